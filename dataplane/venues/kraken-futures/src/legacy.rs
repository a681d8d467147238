//! The legacy feed (`/ws/v1`, until 1 March 2027) → events: what recordings are made of. Decoded and replayed;
//! the live machine does not connect to it.
//!
//! ```text
//! feed              book_snapshot, book             Book: one level a delta, seq +1 a product
//!                   trade_snapshot, trade           Trade, one each
//!                   ticker, ticker_lite, heartbeat  Ignored: the book tells the best quote sooner
//!                   open_orders(_snapshot), _verbose   Order: `qty` is what remains, `filled` what is done
//!                   fills(_snapshot)                Fill, and pushed ones the state they led to
//! event             info, subscribed, challenge     Ignored        error     a venue error
//! ```
//! A cancel names the order by its ids only: the rest is what [`Orders`] holds of it. `direction` 0 buys.
//! Source: venue page, section 4, read 2026-11-20; fixtures `legacy_*.json`.

pub mod rest;

use crate::account::{self, NEVER_NAMED, NOT_FOLLOWED, added, report};
use crate::feed::{Levels, at, counter, instrument, optional, read_levels, side, some, text};
use crate::orders::{Known, Orders};
use crate::reject;
use crate::symbols::{parse_client_id, parse_order_id, parse_trade_id};
use dp_types::{
    AssetId, BookMsg, BookMsgKind, ClientOrderId, Decimal, InstrumentId, Liquidity, NumError,
    OrderState, RawLevel, RejectReason, Side, TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, Registry, Sink, Trade};
use dp_wire::json::Value;

/// Unix milliseconds as the feed prints them; 0 when absent.
fn millis(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    match some(value, key) {
        None => Ok(VenueNanos(0)),
        Some(field) => field
            .as_u64()
            .map(VenueNanos::from_millis)
            .ok_or(DecodeError::Field(key)),
    }
}

/// Our id in an object: some payloads spell it one way, some the other.
fn client_id(value: Value<'_>) -> Option<ClientOrderId> {
    ["cli_ord_id", "cliOrdId"]
        .into_iter()
        .find_map(|key| parse_client_id(text(value, key).as_bytes()))
}

/// One message with a `feed`.
///
/// Errors: a shape that is not the feed's; of a list the first, all the others are out.
pub(crate) fn on_feed(
    registry: &Registry,
    orders: &mut Orders,
    feed: &str,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), Fault> {
    match feed {
        "book" => on_delta(registry, root, levels, out)?,
        "book_snapshot" => on_snapshot(registry, root, levels, out)?,
        "trade" => on_trade(registry, root, out)?,
        "trade_snapshot" => {
            for item in root.array("trades").map_err(at("trades"))? {
                on_trade(registry, item, out)?;
            }
        }
        "open_orders" | "open_orders_verbose" => on_order(registry, orders, root, out)?,
        "open_orders_snapshot" | "open_orders_verbose_snapshot" => {
            let mut result = Ok(());
            for item in root.array("orders").map_err(at("orders"))? {
                result = result.and(on_open(registry, orders, item, "", out));
            }
            result?;
        }
        "fills" | "fills_snapshot" => {
            let is_past = feed == "fills_snapshot";
            let mut result = Ok(());
            for item in root.array("fills").map_err(at("fills"))? {
                result = result.and(on_fill(registry, orders, item, is_past, out));
            }
            result?;
        }
        feed => out.event(&Event::Ignored(ignored(feed))),
    }
    Ok(())
}

/// Why a feed is of no use to us.
fn ignored(feed: &str) -> &'static str {
    match feed {
        "ticker" | "ticker_lite" => "ticker",
        "heartbeat" => "heartbeat",
        "open_positions" | "balances" | "balances_snapshot" => {
            "an account feed that is read by REST"
        }
        _ => "a feed we do not use",
    }
}

/// One message with an `event`.
pub(crate) fn on_event(event: &str, root: Value<'_>, out: &mut impl Sink) -> Result<(), Fault> {
    let why = match event {
        "info" => "connected",
        "subscribed" => "subscription confirmed",
        "unsubscribed" => "unsubscribed",
        "subscribed_failed" | "unsubscribed_failed" | "error" => {
            let refusal = reject::legacy(text(root, "message"));
            return Err(Fault::Venue {
                code: refusal.code,
                reason: match text(root, "message") {
                    "Invalid product id" => RejectReason::BadSymbol,
                    _ => refusal.reason,
                },
            });
        }
        "alert" => "an alert for people",
        "challenge" => "a challenge to sign",
        _ => "an event we do not know",
    };
    out.event(&Event::Ignored(why));
    Ok(())
}

fn on_snapshot(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    read_levels(root, "bids", &mut levels.bids)?;
    read_levels(root, "asks", &mut levels.asks)?;
    tell_book(registry, root, BookMsgKind::Snapshot, levels, out)
}

fn on_delta(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let level = RawLevel {
        price: root.decimal("price").map_err(at("price"))?,
        qty: root.decimal("qty").map_err(at("qty"))?,
    };
    levels.bids.clear();
    levels.asks.clear();
    match side(root)? {
        Side::Buy => levels.bids.push(level),
        Side::Sell => levels.asks.push(level),
    }
    tell_book(registry, root, BookMsgKind::Delta, levels, out)
}

fn tell_book(
    registry: &Registry,
    root: Value<'_>,
    kind: BookMsgKind,
    levels: &Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let seq = counter(root, "seq")?;
    out.event(&Event::Book(BookMsg {
        instrument: instrument(registry, root, "product_id")?,
        kind,
        first_id: seq,
        last_id: seq,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: millis(root, "timestamp")?,
    }));
    Ok(())
}

fn on_trade(registry: &Registry, item: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let id = some(item, "uid").or_else(|| some(item, "seq"));
    out.event(&Event::Trade(TradeMsg {
        instrument: instrument(registry, item, "product_id")?,
        trade_id: id
            .and_then(parse_trade_id)
            .ok_or(DecodeError::Field("uid"))?,
        taker: side(item)?,
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal("qty").map_err(at("qty"))?,
        venue_ns: millis(item, "time")?,
    }));
    Ok(())
}

/// What an order's push and its reason show.
fn evidence(is_cancel: bool, reason: &str, cum: Option<Decimal>) -> (OrderState, RejectReason) {
    let none = RejectReason::None;
    match reason {
        "full_fill" => (OrderState::Filled, none),
        _ if !is_cancel && cum.is_some_and(|cum| !cum.is_zero()) => {
            (OrderState::PartiallyFilled, none)
        }
        _ if !is_cancel => (OrderState::Ack, none),
        "post_order_failed_because_it_would_filled" => {
            (OrderState::Rejected, RejectReason::PostOnlyCross)
        }
        "ioc_order_failed_because_it_would_not_be_executed" | "contract_expired" => {
            (OrderState::Expired, none)
        }
        "cancelled_by_user" | "dead_man_switch" => (OrderState::Cancelled, none),
        reason => (OrderState::Cancelled, reject::legacy(reason).reason),
    }
}

/// An `open_orders` push: with the order in it, or with its ids alone.
fn on_order(
    registry: &Registry,
    orders: &mut Orders,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let reason = text(root, "reason");
    if let Some(order) = some(root, "order") {
        let is_cancel = root
            .get("is_cancel")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let (known, venue_ns) = match read_order(registry, order) {
            Err(DecodeError::UnknownSymbol) => {
                out.event(&NOT_FOLLOWED);
                return Ok(());
            }
            read => read?,
        };
        tell(
            orders,
            known,
            evidence(is_cancel, reason, known.cum),
            venue_ns,
            out,
        );
        return Ok(());
    }
    let id =
        parse_order_id(text(root, "order_id").as_bytes()).ok_or(DecodeError::Field("order_id"))?;
    match orders.find(id) {
        Some(known) => {
            let stands = evidence(true, reason, known.cum);
            tell(orders, known, stands, VenueNanos(0), out);
            Ok(())
        }
        None if client_id(root).is_some() => Err(DecodeError::Field("instrument")),
        None => {
            out.event(&NEVER_NAMED);
            Ok(())
        }
    }
}

fn on_open(
    registry: &Registry,
    orders: &mut Orders,
    item: Value<'_>,
    reason: &str,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    match read_order(registry, item) {
        Ok((known, venue_ns)) => {
            tell(
                orders,
                known,
                evidence(false, reason, known.cum),
                venue_ns,
                out,
            );
            Ok(())
        }
        Err(DecodeError::UnknownSymbol) => {
            out.event(&NOT_FOLLOWED);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Notes an order and tells how it stands.
fn tell(
    orders: &mut Orders,
    known: Known,
    (state, reason): (OrderState, RejectReason),
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    if state.is_final() {
        orders.end(known);
    } else {
        orders.put(known);
    }
    out.event(&Event::Order(report(&known, state, reason, venue_ns)));
}

fn read_order(registry: &Registry, item: Value<'_>) -> Result<(Known, VenueNanos), DecodeError> {
    let left = item.decimal("qty").map_err(at("qty"))?;
    let cum = item.decimal("filled").map_err(at("filled"))?;
    let direction = some(item, "direction").and_then(Value::as_u64);
    let known = Known {
        order_id: parse_order_id(text(item, "order_id").as_bytes())
            .ok_or(DecodeError::Field("order_id"))?,
        instrument: instrument(registry, item, "instrument")?,
        client_id: client_id(item),
        side: Some(match direction {
            Some(0) => Side::Buy,
            Some(1) => Side::Sell,
            _ => return Err(DecodeError::Field("direction")),
        }),
        price: optional(item, "limit_price")?,
        qty: Some(added(left, cum).ok_or(DecodeError::Number {
            field: "qty",
            error: NumError::TooLarge,
        })?),
        cum: Some(cum),
        is_ioc: false,
    };
    Ok((known, millis(item, "last_update_time")?))
}

/// What is done of an order, by what remains of it.
fn done(qty: Option<Decimal>, left: Decimal) -> Option<Decimal> {
    let minus = Decimal {
        mantissa: left.mantissa.checked_neg()?,
        exponent: left.exponent,
    };
    added(qty?, minus).filter(|done| done.mantissa >= 0)
}

fn on_fill(
    registry: &Registry,
    orders: &mut Orders,
    item: Value<'_>,
    is_past: bool,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let instrument = match instrument(registry, item, "instrument") {
        Err(DecodeError::UnknownSymbol) => {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        }
        found => found?,
    };
    let order_id =
        parse_order_id(text(item, "order_id").as_bytes()).ok_or(DecodeError::Field("order_id"))?;
    let held = orders.find(order_id);
    let left = optional(item, "remaining_order_qty")?;
    let side = if item.bool("buy").map_err(at("buy"))? {
        Side::Buy
    } else {
        Side::Sell
    };
    let qty = held.and_then(|held| held.qty);
    let known = Known {
        order_id,
        instrument,
        client_id: client_id(item).or_else(|| held.and_then(|held| held.client_id)),
        side: Some(side),
        price: held.and_then(|held| held.price),
        qty,
        cum: left.and_then(|left| done(qty, left)),
        is_ioc: false,
    };
    let trade = read_trade(registry, item, "qty", millis(item, "time")?)?;
    out.event(&Event::Fill(account::named(&known, side).fill(&trade)));
    if let Some(left) = left.filter(|_| !is_past) {
        let state = if left.is_zero() {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        tell(
            orders,
            known,
            (state, RejectReason::None),
            trade.venue_ns,
            out,
        );
    }
    Ok(())
}

/// What traded, pushed or listed: only the names of quantity and kind differ.
pub(crate) fn read_trade(
    registry: &Registry,
    item: Value<'_>,
    qty: &'static str,
    venue_ns: VenueNanos,
) -> Result<Trade, DecodeError> {
    let kind = match text(item, "fill_type") {
        "" => text(item, "fillType"),
        kind => kind,
    };
    let fee_asset = registry.find_asset(text(item, "fee_currency"));
    Ok(Trade {
        id: item
            .get("fill_id")
            .and_then(parse_trade_id)
            .ok_or(DecodeError::Field("fill_id"))?,
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal(qty).map_err(at(qty))?,
        fee: optional(item, "fee_paid")?.unwrap_or(Decimal::ZERO),
        fee_asset: fee_asset.unwrap_or(AssetId::NONE),
        liquidity: match kind {
            "maker" => Liquidity::Maker,
            // Also an order that was made to take by an edit.
            kind if kind.starts_with("taker") => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns,
    })
}

/// The instrument of an object that may be of one we do not follow; that is told.
pub(crate) fn followed(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    match instrument(registry, item, "symbol") {
        Ok(id) => Ok(Some(id)),
        Err(DecodeError::UnknownSymbol) => {
            out.event(&NOT_FOLLOWED);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
