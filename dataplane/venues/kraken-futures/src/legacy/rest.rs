//! Answers of the legacy REST interface (`/derivatives/api/v3`, until 1 March 2027) → rules, reports, fills,
//! positions, balances. Decoded and replayed; the live machine asks for none of them.
//!
//! ```text
//! instruments → rules          orderbook → Book without a number: not to be spliced
//! openorders → Order           fills → Fill           openpositions → Position       accounts → Balance
//! sendorder, editorder, cancelorder, batchorder → Ack, and Order from `orderEvents`
//! ```
//! `result: success` does not mean that an order exists: the status inside decides.
//! Source: venue page, sections 2, 5 and 5A, read 2026-11-20; fixtures `legacy_rest_*.json`.

use super::{client_id, followed, read_trade};
use crate::account::{added, named, order_id_if_told, report};
use crate::feed::{Levels, at, optional, side, some, text, time};
use crate::orders::Known;
use crate::reject;
use crate::rest::Legacy;
use crate::rules::{Rules, lot_of_precision};
use crate::symbols::parse_order_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    AssetId, Balance, BookMsg, BookMsgKind, Decimal, InstrumentId, NumError, OrderState,
    PositionReport, RawLevel, RejectReason, Side, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// One answer, read by what was asked.
///
/// Errors: an answer that says `error`, or a shape that is not its own; of a list the first, the others are out.
pub(crate) fn on_answer(
    registry: &mut Registry,
    ask: Legacy,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), Fault> {
    if text(root, "result") == "error" {
        let refusal = reject::legacy(text(root, "error"));
        return Err(Fault::Venue {
            code: refusal.code,
            reason: refusal.reason,
        });
    }
    match ask {
        Legacy::Instruments => {
            for item in root.array("instruments").map_err(at("instruments"))? {
                let lot = match some(item, "contractValueTradePrecision") {
                    Some(precision) => precision
                        .as_i64()
                        .and_then(lot_of_precision)
                        .ok_or(DecodeError::Field("contractValueTradePrecision"))?,
                    // Before quantities had fractions an order was so many whole contracts.
                    None => Decimal {
                        mantissa: 1,
                        exponent: 0,
                    },
                };
                let is_live = item.get("tradeable").and_then(Value::as_bool) == Some(true);
                if let Some(rules) = Rules::of_legacy(registry, item, lot, is_live)? {
                    rules.apply(registry)?;
                }
            }
        }
        Legacy::Book(id) => on_book(id, root, levels, out)?,
        Legacy::OpenOrders => each(root, "openOrders", |item| on_open(registry, item, out))?,
        Legacy::Fills => each(root, "fills", |item| on_fill(registry, item, out))?,
        Legacy::Positions => each(root, "openPositions", |item| {
            on_position(registry, item, out)
        })?,
        Legacy::Accounts => on_accounts(registry, root, out)?,
        Legacy::Entry => on_entry(registry, root, out)?,
    }
    Ok(())
}

/// Every item of a list by itself; the first error of any.
fn each(
    root: Value<'_>,
    key: &'static str,
    mut read: impl FnMut(Value<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in root.array(key).map_err(at(key))? {
        let told = read(item);
        result = result.and(told);
    }
    result
}

fn on_book(
    instrument: InstrumentId,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let book = root
        .get("orderBook")
        .ok_or(DecodeError::Field("orderBook"))?;
    for (key, side) in [("bids", &mut levels.bids), ("asks", &mut levels.asks)] {
        side.clear();
        for pair in book.array(key).map_err(at(key))? {
            if side.len() >= MSG_LEVELS_MAX {
                return Err(DecodeError::TooMuch("levels"));
            }
            let number = |index| {
                let field = pair.at(index).ok_or(DecodeError::Field(key))?;
                field.as_decimal().map_err(at(key))
            };
            side.push(RawLevel {
                price: number(0)?,
                qty: number(1)?,
            });
        }
    }
    out.event(&Event::Book(BookMsg {
        instrument,
        kind: BookMsgKind::Snapshot,
        first_id: -1,
        last_id: -1,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: time(root, "serverTime")?,
    }));
    Ok(())
}

fn on_open(registry: &Registry, item: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let Some(instrument) = followed(registry, item, out)? else {
        return Ok(());
    };
    let cum = item.decimal("filledSize").map_err(at("filledSize"))?;
    // Left out of an order that has only a trigger.
    let qty = optional(item, "unfilledSize")?.and_then(|left| added(left, cum));
    let known = Known {
        order_id: parse_order_id(text(item, "order_id").as_bytes())
            .ok_or(DecodeError::Field("order_id"))?,
        instrument,
        client_id: client_id(item),
        side: Some(side(item)?),
        price: optional(item, "limitPrice")?,
        qty,
        cum: Some(cum),
        is_ioc: false,
    };
    let state = if cum.is_zero() {
        OrderState::Ack
    } else {
        OrderState::PartiallyFilled
    };
    let venue_ns = time(item, "lastUpdateTime")?;
    out.event(&Event::Order(report(
        &known,
        state,
        RejectReason::None,
        venue_ns,
    )));
    Ok(())
}

fn on_fill(registry: &Registry, item: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let Some(instrument) = followed(registry, item, out)? else {
        return Ok(());
    };
    let side = side(item)?;
    let known = Known {
        order_id: parse_order_id(text(item, "order_id").as_bytes())
            .ok_or(DecodeError::Field("order_id"))?,
        instrument,
        client_id: client_id(item),
        side: Some(side),
        price: None,
        qty: None,
        cum: None,
        is_ioc: false,
    };
    let trade = read_trade(registry, item, "size", time(item, "fillTime")?)?;
    out.event(&Event::Fill(named(&known, side).fill(&trade)));
    Ok(())
}

fn on_position(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(instrument) = followed(registry, item, out)? else {
        return Ok(());
    };
    let size = item.decimal("size").map_err(at("size"))?;
    let mantissa = match text(item, "side") {
        "long" => Some(size.mantissa),
        "short" => size.mantissa.checked_neg(),
        _ => return Err(DecodeError::Field("side")),
    };
    out.event(&Event::Position(PositionReport {
        instrument,
        qty: Decimal {
            mantissa: mantissa.ok_or(DecodeError::Number {
                field: "size",
                error: NumError::TooLarge,
            })?,
            exponent: size.exponent,
        },
        entry: optional(item, "price")?,
        venue_ns: VenueNanos(0), // `fillTime` is when it was opened
    }));
    Ok(())
}

/// Free and held of each currency: cash as its balance, the common margin as what is left available of it.
fn on_accounts(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let accounts = root.get("accounts").and_then(Value::as_object);
    for (_, account) in accounts.ok_or(DecodeError::Field("accounts"))? {
        match text(account, "type") {
            "cashAccount" => {
                let balances = account.get("balances").and_then(Value::as_object);
                for (name, free) in balances.into_iter().flatten() {
                    let free = free.as_decimal().map_err(at("balances"))?;
                    tell_balance(registry, name, free, Decimal::ZERO, out);
                }
            }
            "multiCollateralMarginAccount" => {
                let currencies = account.get("currencies").and_then(Value::as_object);
                for (name, currency) in currencies.into_iter().flatten() {
                    let all = currency.decimal("quantity").map_err(at("quantity"))?;
                    let free = currency.decimal("available").map_err(at("available"))?;
                    let held = minus(all, free).filter(|held| held.mantissa > 0);
                    tell_balance(registry, name, free, held.unwrap_or(Decimal::ZERO), out);
                }
            }
            "marginAccount" => out.event(&Event::Ignored("the margin of one inverse contract")),
            _ => return Err(DecodeError::Field("type")),
        }
    }
    Ok(())
}

fn minus(one: Decimal, other: Decimal) -> Option<Decimal> {
    let negative = Decimal {
        mantissa: other.mantissa.checked_neg()?,
        exponent: other.exponent,
    };
    added(one, negative)
}

/// Currencies are written in small letters in places.
fn tell_balance(
    registry: &Registry,
    name: &str,
    free: Decimal,
    locked: Decimal,
    out: &mut impl Sink,
) {
    let asset = registry
        .find_asset(name)
        .or_else(|| registry.find_asset(&name.to_ascii_uppercase()));
    out.event(&Event::Balance(Balance {
        venue: crate::ID,
        asset: asset.unwrap_or(AssetId::NONE),
        free,
        locked,
    }));
}

/// Answers to orders, edits, cancels, batches and the dead man's switch.
fn on_entry(registry: &Registry, root: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    if let Some(items) = root.get("batchStatus").and_then(Value::as_array) {
        let mut result = Ok(());
        for item in items {
            let told = on_status(registry, item, out);
            result = result.and(told);
        }
        return result;
    }
    let status = ["sendStatus", "editStatus", "cancelStatus"]
        .into_iter()
        .find_map(|key| root.get(key));
    match (status, root.get("status")) {
        (Some(status), _) => on_status(registry, status, out),
        (None, Some(_)) => {
            out.event(&Event::Ignored("dead man's switch armed"));
            Ok(())
        }
        (None, None) => Err(DecodeError::Shape(
            "neither an answer to an order nor to a batch",
        )),
    }
}

/// Statuses that say that what was asked is done.
const DONE: [&str; 4] = ["placed", "edited", "cancelled", "noOrdersToCancel"];

/// One status, what it means for the order of ours that it names, and what happened to orders with it.
fn on_status(registry: &Registry, item: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let status = item.str("status").map_err(at("status"))?;
    let refusal = match status {
        status if DONE.contains(&status) => None,
        status => Some(reject::legacy(status)),
    };
    let order_id = match order_id_if_told(item, "order_id")? {
        id if id.0 == 0 => order_id_if_told(item, "orderId")?,
        id => id,
    };
    match client_id(item) {
        Some(client_id) => out.event(&Event::Ack(RequestAck {
            client_id,
            order_id,
            reason: refusal.map_or(RejectReason::None, |refusal| refusal.reason),
            code: refusal.map_or(0, |refusal| refusal.code),
            venue_ns: time(item, "receivedTime")?,
        })),
        None => out.event(&Event::Ignored("an answer about orders that are not ours")),
    }
    let events = item.get("orderEvents").and_then(Value::as_array);
    for event in events.into_iter().flatten() {
        on_order_event(registry, event, out)?;
    }
    Ok(())
}

/// What happened to one order; an execution is told by the fills.
fn on_order_event(
    registry: &Registry,
    event: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let none = RejectReason::None;
    let stands = match text(event, "type") {
        "PLACE" | "EDIT" => (OrderState::Ack, none),
        "CANCEL" => (OrderState::Cancelled, none),
        "REJECT" => (
            OrderState::Rejected,
            reject::legacy(text(event, "reason")).reason,
        ),
        _ => {
            out.event(&Event::Ignored("an execution, which the fills tell"));
            return Ok(());
        }
    };
    let Some(order) = some(event, "new").or_else(|| some(event, "order")) else {
        out.event(&Event::Ignored("an order event without its order"));
        return Ok(());
    };
    let Some(instrument) = followed(registry, order, out)? else {
        return Ok(());
    };
    let known = Known {
        order_id: parse_order_id(text(order, "orderId").as_bytes())
            .ok_or(DecodeError::Field("orderId"))?,
        instrument,
        client_id: client_id(order),
        side: Some(match text(order, "side") {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            _ => return Err(DecodeError::Field("side")),
        }),
        price: optional(order, "limitPrice")?,
        qty: optional(order, "quantity")?,
        cum: optional(order, "filled")?,
        is_ioc: false,
    };
    let venue_ns = time(order, "lastUpdateTimestamp")?;
    out.event(&Event::Order(report(&known, stands.0, stands.1, venue_ns)));
    Ok(())
}
