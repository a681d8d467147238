//! Private pushes → events: order reports, fills, positions, balances.
//!
//! ```text
//! order_state            evidence for
//! open                   Ack, PartiallyFilled when filled_amount is above 0 (the venue has no such state)
//! untriggered, triggered the same
//! filled                 Filled
//! rejected               Rejected
//! cancelled              Rejected(PostOnlyCross) by its cancel_reason; Expired for what an IOC, FOK or market order
//!                        left and for a settlement; else Cancelled
//! archive, archived      Filled when all of it is, else Cancelled
//!
//! user.changes  {"instrument_name":I,"trades":[..],"orders":[..],"positions":[..]}
//! ```
//! One message holds all that an event did, and fills go out before the state they led to. An order's `label` says
//! whether it is ours. Amounts, filled amounts and position sizes are in USD for inverse futures and in the base
//! currency for everything else; a short position is negative. Fees are charges, rebates negative.
//! Source: venue page, section 4, read 2026-11-20; fixtures `account_*.json`.

use crate::feed::{NOT_FOLLOWED, at, instrument, millis, optional, side, side_of, trade_id};
use crate::reject;
use crate::resting::{Resting, Terms};
use crate::symbols::{is_spot, parse_client_id, parse_id};
use dp_types::{
    AssetId, Balance, Decimal, FillReport, InstrumentId, Liquidity, NumError, OrderId, OrderReport,
    OrderState, PositionReport, RejectReason, Side, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, ListedPositions, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The venue's id of an order, which is always there.
fn order_id(item: Value<'_>) -> Result<OrderId, DecodeError> {
    parse_id(text(item, "order_id").as_bytes())
        .map(OrderId)
        .ok_or(DecodeError::Field("order_id"))
}

fn named(
    instrument: InstrumentId,
    item: Value<'_>,
    cum: Option<Decimal>,
) -> Result<Named, DecodeError> {
    Ok(Named {
        instrument,
        client_id: parse_client_id(text(item, "label").as_bytes()),
        order_id: order_id(item)?,
        side: side(item)?,
        cum,
    })
}

/// Whether it ends by itself: what it cannot do at once it does not wait for.
fn is_immediate(item: Value<'_>) -> bool {
    matches!(
        text(item, "time_in_force"),
        "immediate_or_cancel" | "fill_or_kill"
    ) || text(item, "order_type") == "market"
}

/// What the state and its reason show. `None` for a state that we do not know.
fn evidence(
    item: Value<'_>,
    qty: Option<Decimal>,
    cum: Option<Decimal>,
) -> Option<(OrderState, RejectReason)> {
    let cancel_reason = text(item, "cancel_reason");
    let is_begun = cum.is_some_and(|cum| !cum.is_zero());
    let post_only = (OrderState::Rejected, RejectReason::PostOnlyCross);
    let state = match text(item, "order_state") {
        "open" | "untriggered" | "triggered" if is_begun => OrderState::PartiallyFilled,
        "open" | "untriggered" | "triggered" => OrderState::Ack,
        "filled" => OrderState::Filled,
        "rejected" | "cancelled" if reject::is_post_only(cancel_reason) => return Some(post_only),
        "rejected" => return Some((OrderState::Rejected, RejectReason::Other)),
        "cancelled" if cancel_reason == "settlement" || is_immediate(item) => OrderState::Expired,
        "cancelled" => OrderState::Cancelled,
        "archive" | "archived" if is_begun && is_same(qty, cum) => OrderState::Filled,
        "archive" | "archived" => OrderState::Cancelled,
        _ => return None,
    };
    Some((state, RejectReason::None))
}

/// Whether two amounts are one number, whatever their digits.
fn is_same(one: Option<Decimal>, other: Option<Decimal>) -> bool {
    let units = |value: Option<Decimal>| value.and_then(|it| it.to_increments(8).ok());
    units(one).is_some() && units(one) == units(other)
}

/// The limit price. A market order's is a bound of the venue's own, or a word.
fn limit_price(item: Value<'_>) -> Result<Option<Decimal>, DecodeError> {
    if text(item, "order_type") == "market" || text(item, "price") == "market_price" {
        return Ok(None);
    }
    optional(item, "price")
}

/// One order object, as answered, pushed, listed or queried. What an amend of it must tell anew is noted.
pub(crate) fn report(
    instrument: InstrumentId,
    item: Value<'_>,
    resting: &mut Resting,
) -> Result<OrderReport, DecodeError> {
    let (cum, qty) = (optional(item, "filled_amount")?, optional(item, "amount")?);
    let named = named(instrument, item, cum)?;
    let (state, reason) = evidence(item, qty, cum).ok_or(DecodeError::Field("order_state"))?;
    let price = limit_price(item)?;
    if let (Some(client_id), Some(price), Some(amount)) = (named.client_id, price, qty) {
        let is_post_only = item.get("post_only").and_then(Value::as_bool) == Some(true);
        let terms = Terms {
            price,
            amount,
            is_post_only,
        };
        resting.note(client_id, terms);
    }
    Ok(named.report(&Standing {
        state,
        reason,
        price,
        qty,
        venue_ns: millis(item, "last_update_timestamp")?,
    }))
}

/// One of our trades, as pushed, answered or listed.
pub(crate) fn fill(
    registry: &Registry,
    instrument: InstrumentId,
    item: Value<'_>,
) -> Result<FillReport, DecodeError> {
    let trade = Trade {
        id: trade_id(item)?,
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal("amount").map_err(at("amount"))?,
        fee: optional(item, "fee")?.unwrap_or(Decimal::ZERO),
        fee_asset: registry
            .find_asset(text(item, "fee_currency"))
            .unwrap_or(AssetId::NONE),
        liquidity: match text(item, "liquidity") {
            "M" => Liquidity::Maker,
            "T" => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns: millis(item, "timestamp")?,
    };
    Ok(named(instrument, item, None)?.fill(&trade))
}

/// One position. The venue signs sizes; the direction decides.
fn position(
    instrument: InstrumentId,
    item: Value<'_>,
    venue_ns: VenueNanos,
) -> Result<PositionReport, DecodeError> {
    let size = item.decimal("size").map_err(at("size"))?;
    let word = item.str("direction").map_err(at("direction"))?;
    let side = side_of(word);
    if side.is_none() && word != "zero" {
        return Err(DecodeError::Field("direction"));
    }
    let is_flat = side.is_none() || size.is_zero();
    let is_turned = (size.mantissa < 0) != (side == Some(Side::Sell));
    let mantissa = match size.mantissa {
        _ if is_flat => 0,
        mantissa if is_turned => mantissa.checked_neg().ok_or(DecodeError::Number {
            field: "size",
            error: NumError::TooLarge,
        })?,
        mantissa => mantissa,
    };
    Ok(PositionReport {
        instrument,
        qty: Decimal { mantissa, ..size },
        entry: optional(item, "average_price")?.filter(|_| !is_flat),
        venue_ns,
    })
}

/// The instrument of an item, `None` when it is not ours to follow.
pub(crate) fn followed(
    registry: &Registry,
    item: Value<'_>,
) -> Result<Option<InstrumentId>, DecodeError> {
    match instrument(registry, item) {
        Err(DecodeError::UnknownSymbol) => Ok(None),
        found => found.map(Some),
    }
}

/// The items of a field; none where it is missing.
fn items<'a>(
    data: Value<'a>,
    key: &'static str,
) -> Result<impl Iterator<Item = Value<'a>> + use<'a>, DecodeError> {
    let list = match data.get(key) {
        None => None,
        Some(list) => Some(list.as_array().ok_or(DecodeError::Field(key))?),
    };
    Ok(list.into_iter().flatten())
}

/// A `user.changes` push: what one event did to orders, trades and positions of an instrument.
///
/// Errors: the first item that cannot be read; all the others are out. What it said must be found by comparing
/// with the venue.
pub(crate) fn on_changes(
    registry: &Registry,
    data: Value<'_>,
    resting: &mut Resting,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(id) = followed(registry, data)? else {
        out.event(&NOT_FOLLOWED);
        return Ok(());
    };
    let mut result = Ok(());
    for item in items(data, "trades")? {
        let told = fill(registry, id, item).map(|fill| out.event(&Event::Fill(fill)));
        result = result.and(told);
    }
    for item in items(data, "orders")? {
        let told = report(id, item, resting).map(|report| out.event(&Event::Order(report)));
        result = result.and(told);
    }
    for item in items(data, "positions")? {
        let told = on_position(registry, item, VenueNanos(0), out);
        result = result.and(told.map(|_| ()));
    }
    result
}

/// A position of a push or of a list; its instrument, where we follow it.
fn on_position(
    registry: &Registry,
    item: Value<'_>,
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    let found = followed(registry, item)?;
    match found {
        Some(id) => out.event(&Event::Position(position(id, item, venue_ns)?)),
        None => out.event(&NOT_FOLLOWED),
    }
    Ok(found)
}

/// Every item of a list, each by itself.
///
/// Errors: it is no list, or the first item that cannot be read; all the others are out.
fn each(
    list: Value<'_>,
    mut tell: impl FnMut(Value<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in list.as_array().ok_or(DecodeError::Field("result"))? {
        result = result.and(tell(item));
    }
    result
}

/// Every position of `get_positions`; of the derivatives we follow, those it leaves out are flat. Errors: as
/// [`on_changes`]; one that cannot be read may be of any of them, and none is then told as flat.
pub(crate) fn on_positions(
    registry: &Registry,
    list: Value<'_>,
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut listed = ListedPositions::default();
    each(list, |item| {
        if let Some(id) = on_position(registry, item, venue_ns, out)? {
            listed.add(id);
        }
        Ok(())
    })?;
    listed.tell_flat(
        registry,
        crate::ID,
        |known| !is_spot(known.symbol.as_str()),
        out,
    );
    Ok(())
}

/// Every order of a list. Errors: as [`on_changes`].
pub(crate) fn on_orders(
    registry: &Registry,
    list: Value<'_>,
    resting: &mut Resting,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    each(list, |item| on_order(registry, item, resting, out))
}

fn on_order(
    registry: &Registry,
    item: Value<'_>,
    resting: &mut Resting,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    match followed(registry, item)? {
        Some(id) => out.event(&Event::Order(report(id, item, resting)?)),
        None => out.event(&NOT_FOLLOWED),
    }
    Ok(())
}

/// A `user.orders` push: an order, or a list of them. Not subscribed, but told by others' recordings. Errors: as
/// [`on_changes`].
pub(crate) fn on_order_push(
    registry: &Registry,
    data: Value<'_>,
    resting: &mut Resting,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    if data.as_array().is_some() {
        return on_orders(registry, data, resting, out);
    }
    on_order(registry, data, resting, out)
}

/// A `user.trades` push: our trades. Not subscribed, as above. Errors: as [`on_changes`].
pub(crate) fn on_trades(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    each(data, |item| {
        match followed(registry, item)? {
            Some(id) => out.event(&Event::Fill(fill(registry, id, item)?)),
            None => out.event(&NOT_FOLLOWED),
        }
        Ok(())
    })
}

/// Every balance of `get_account_summaries`, or the one of `get_account_summary`. Errors: as [`on_changes`].
pub(crate) fn on_balances(
    registry: &Registry,
    result: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    match result.get("summaries") {
        Some(list) => each(list, |item| on_balance(registry, item, out)),
        None => on_balance(registry, result, out),
    }
}

/// The balance of one currency: what is free, and what margin holds.
pub(crate) fn on_balance(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let asset = item.str("currency").map_err(at("currency"))?;
    let free = item
        .decimal("available_funds")
        .map_err(at("available_funds"))?;
    out.event(&Event::Balance(Balance {
        venue: crate::ID,
        asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
        free,
        locked: optional(item, "initial_margin")?.unwrap_or(Decimal::ZERO),
    }));
    Ok(())
}
