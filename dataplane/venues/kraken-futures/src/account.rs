//! Private pushes of the Unified WebSocket → events: order reports, fills, balances.
//!
//! ```text
//! order_status       reason, time in force     evidence for
//! pending_new        -                         nothing yet (derivatives send none)
//! new, triggered     -                         Ack
//! partially_filled   -                         PartiallyFilled
//! filled             -                         Filled
//! canceled           "Post only order"         Rejected(PostOnlyCross): accepted before
//! canceled           of an IOC                 Expired
//! canceled           anything else             Cancelled (ours, dead man's switch, self-trade)
//! expired            -                         Expired
//! rejected           -                         Rejected [U: not in the venue's list]
//! ```
//! Updates are sparse: each is laid over what [`Orders`] holds of the order. A fill goes out before the state it
//! led to, so that a final state never precedes its last fill. Trades in a snapshot are history: they tell fills
//! and no states. A fee is a charge. That bodies follow the spot market's is stated by the venue in part; what it
//! does not show for derivatives is optional.
//! Source: venue page, sections 3 and 5A; `kraken.md`, section 4.1; read 2026-11-20; fixtures `account_*.json`.

use crate::feed::{at, instrument, kind, optional, side_if_told, some, text, time};
use crate::orders::{Known, Orders};
use crate::reject::{self, POST_ONLY_WORDS};
use crate::symbols::{parse_client_id, parse_order_id, parse_trade_id};
use dp_types::{
    AssetId, Balance, BookMsgKind, ClientOrderId, Decimal, Liquidity, NumError, OrderId,
    OrderReport, OrderState, RejectReason, Side, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Trade};
use dp_wire::json::Value;

/// Trades the venue puts into a snapshot: more may have been missed when it holds so many. [U: spot's number]
pub const SNAPSHOT_TRADES: usize = 50;

/// An order or a trade of an instrument that is not ours to follow.
pub(crate) const NOT_FOLLOWED: Event<'static> =
    Event::Ignored("an order of an instrument we do not follow");
/// A report that names neither symbol nor any order we were told of, and is not ours.
pub(crate) const NEVER_NAMED: Event<'static> =
    Event::Ignored("a stranger's order that was never named");

/// What a push was about, for those who wait for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trades {
    /// How many a snapshot held.
    pub(crate) count: usize,
    /// The oldest and the newest of the push.
    pub(crate) oldest: Option<VenueNanos>,
    pub(crate) newest: Option<VenueNanos>,
}

impl Trades {
    fn add(&mut self, at: VenueNanos) {
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
    }
}

/// Every item of an executions push, each by itself; in a snapshot the orders first, because they say how much of
/// them is done, then the trades. `named` hears of each order of ours that a snapshot holds.
///
/// Errors: the first item that cannot be read; all the others are out. What it said must be found by comparing
/// with the venue.
pub(crate) fn on_executions(
    registry: &Registry,
    orders: &mut Orders,
    root: Value<'_>,
    out: &mut impl Sink,
    mut named: impl FnMut(ClientOrderId),
) -> (Trades, Result<(), DecodeError>) {
    let mut trades = Trades::default();
    let is_snapshot = match kind(root) {
        Ok(kind) => kind == BookMsgKind::Snapshot,
        Err(error) => return (trades, Err(error)),
    };
    let items = match root.array("data").map_err(at("data")) {
        Ok(items) => items,
        Err(error) => return (trades, Err(error)),
    };
    let mut result = Ok(());
    let is_trade = |item: &Value<'_>| text(*item, "exec_type") == "trade";
    if !is_snapshot {
        for item in items {
            let told = on_execution(registry, orders, item, &mut trades, out);
            result = result.and(told);
        }
        return (trades, result);
    }
    for item in items.clone().filter(|item| !is_trade(item)) {
        if let Some(id) = parse_client_id(text(item, "cl_ord_id").as_bytes()) {
            named(id);
        }
        let told = on_execution(registry, orders, item, &mut trades, out);
        result = result.and(told);
    }
    for item in items.filter(is_trade) {
        let told = on_past_trade(registry, orders, item, &mut trades, out);
        result = result.and(told);
    }
    (trades, result)
}

/// An item laid over what was known of its order. `None` where it is nobody we can name; that was told.
fn merged(
    registry: &Registry,
    orders: &Orders,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<Option<Known>, DecodeError> {
    let order_id =
        parse_order_id(text(item, "order_id").as_bytes()).ok_or(DecodeError::Field("order_id"))?;
    let held = orders.find(order_id);
    let client_id = parse_client_id(text(item, "cl_ord_id").as_bytes())
        .or_else(|| held.and_then(|held| held.client_id));
    let instrument = match (some(item, "symbol"), held) {
        (Some(_), _) => match instrument(registry, item, "symbol") {
            Err(DecodeError::UnknownSymbol) => {
                out.event(&NOT_FOLLOWED);
                return Ok(None);
            }
            found => found?,
        },
        (None, Some(held)) => held.instrument,
        (None, None) if client_id.is_none() => {
            out.event(&NEVER_NAMED);
            return Ok(None);
        }
        (None, None) => return Err(DecodeError::Field("symbol")),
    };
    let tif = text(item, "time_in_force");
    Ok(Some(Known {
        order_id,
        instrument,
        client_id,
        side: side_if_told(item)?.or_else(|| held.and_then(|held| held.side)),
        price: optional(item, "limit_price")?.or_else(|| held.and_then(|held| held.price)),
        qty: optional(item, "order_qty")?.or_else(|| held.and_then(|held| held.qty)),
        cum: optional(item, "cum_qty")?.or_else(|| held.and_then(|held| held.cum)),
        is_ioc: tif.eq_ignore_ascii_case("ioc") || held.is_some_and(|held| held.is_ioc),
    }))
}

fn on_execution(
    registry: &Registry,
    orders: &mut Orders,
    item: Value<'_>,
    trades: &mut Trades,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(known) = merged(registry, orders, item, out)? else {
        return Ok(());
    };
    let exec_type = text(item, "exec_type");
    let status = match text(item, "order_status") {
        "" => exec_type,
        status => status,
    };
    let venue_ns = time(item, "timestamp")?;
    let told = evidence(status, text(item, "reason"), known.is_ioc)?;
    let fill = match exec_type {
        "trade" => fill(registry, &known, item, venue_ns, trades, out),
        _ => Ok(()),
    };
    match told {
        Some((state, reason)) => {
            if state.is_final() {
                orders.end(known);
            } else {
                orders.put(known);
            }
            out.event(&Event::Order(report(&known, state, reason, venue_ns)));
        }
        None => {
            orders.put(known);
            out.event(&Event::Ignored("an order on its way to the book"));
        }
    }
    fill
}

fn on_past_trade(
    registry: &Registry,
    orders: &Orders,
    item: Value<'_>,
    trades: &mut Trades,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(known) = merged(registry, orders, item, out)? else {
        return Ok(());
    };
    let venue_ns = time(item, "timestamp")?;
    fill(registry, &known, item, venue_ns, trades, out)
}

/// The report of an order that stands so.
pub(crate) const fn report(
    known: &Known,
    state: OrderState,
    reason: RejectReason,
    venue_ns: VenueNanos,
) -> OrderReport {
    OrderReport {
        instrument: known.instrument,
        client_id: known.client_id,
        order_id: known.order_id,
        side: known.side,
        state,
        reason,
        price: known.price,
        qty: known.qty,
        cum: known.cum,
        venue_ns,
    }
}

/// What a status and its reason show; `None` while the order is not on the book.
fn evidence(
    status: &str,
    why: &str,
    is_ioc: bool,
) -> Result<Option<(OrderState, RejectReason)>, DecodeError> {
    let none = RejectReason::None;
    Ok(Some(match status {
        "pending_new" => return Ok(None),
        // The second line are exec types, where a report has no status.
        "new" | "triggered" | "status" | "amended" | "restated" | "iceberg_refill" => {
            (OrderState::Ack, none)
        }
        "partially_filled" | "trade" => (OrderState::PartiallyFilled, none),
        "filled" => (OrderState::Filled, none),
        "canceled" if why.contains(POST_ONLY_WORDS) => {
            (OrderState::Rejected, RejectReason::PostOnlyCross)
        }
        "canceled" if is_ioc => (OrderState::Expired, none),
        "canceled" => (OrderState::Cancelled, none),
        "expired" => (OrderState::Expired, none),
        "rejected" => (OrderState::Rejected, reject::unified(why).reason),
        _ => return Err(DecodeError::Field("order_status")),
    }))
}

/// Tells the fill in an item.
fn fill(
    registry: &Registry,
    known: &Known,
    item: Value<'_>,
    venue_ns: VenueNanos,
    trades: &mut Trades,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    trades.add(venue_ns);
    let Some(side) = known.side else {
        // Updates may leave it out; of an order of ours it was told when the order was new.
        if known.client_id.is_none() {
            out.event(&Event::Ignored("a stranger's trade without its side"));
            return Ok(());
        }
        return Err(DecodeError::Field("side"));
    };
    let id = some(item, "exec_id").or_else(|| some(item, "trade_id"));
    let (fee, fee_asset) = fees(registry, item)?;
    let trade = Trade {
        id: id
            .and_then(parse_trade_id)
            .ok_or(DecodeError::Field("exec_id"))?,
        price: item.decimal("last_price").map_err(at("last_price"))?,
        qty: item.decimal("last_qty").map_err(at("last_qty"))?,
        fee,
        fee_asset,
        liquidity: match text(item, "liquidity_ind") {
            "m" => Liquidity::Maker,
            "t" => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns,
    };
    let named = named(known, side);
    out.event(&Event::Fill(named.fill(&trade)));
    Ok(())
}

/// Whose a fill is.
pub(crate) const fn named(known: &Known, side: Side) -> Named {
    Named {
        instrument: known.instrument,
        client_id: known.client_id,
        order_id: known.order_id,
        side,
        cum: known.cum,
    }
}

/// What was charged: `fees` is a list, of one asset as a rule. Another asset's part is not added to the first's.
fn fees(registry: &Registry, item: Value<'_>) -> Result<(Decimal, AssetId), DecodeError> {
    let list = some(item, "fees").and_then(Value::as_array);
    let (mut sum, mut asset) = (Decimal::ZERO, None);
    for fee in list.into_iter().flatten() {
        let name = text(fee, "asset");
        if *asset.get_or_insert(name) == name {
            let part = fee.decimal("qty").map_err(at("qty"))?;
            sum = added(sum, part).ok_or(DecodeError::Number {
                field: "fees",
                error: NumError::TooLarge,
            })?;
        }
    }
    let asset = asset.and_then(|name| registry.find_asset(name));
    Ok((sum, asset.unwrap_or(AssetId::NONE)))
}

/// The exact sum of two numbers, in the finer one's digits.
pub(crate) fn added(one: Decimal, other: Decimal) -> Option<Decimal> {
    let exponent = one.exponent.min(other.exponent).min(0);
    let whole = |value: Decimal| value.to_increments(exponent.unsigned_abs()).ok();
    Some(Decimal {
        mantissa: whole(one)?.checked_add(whole(other)?)?,
        exponent,
    })
}

/// Every balance of a push, each by itself. What open orders hold back is not told: all counts as free [U].
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_balances(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in root.array("data").map_err(at("data"))? {
        let told = balance(registry, item).map(|balance| out.event(&Event::Balance(balance)));
        result = result.and(told);
    }
    result
}

fn balance(registry: &Registry, item: Value<'_>) -> Result<Balance, DecodeError> {
    let asset = item.str("asset").map_err(at("asset"))?;
    Ok(Balance {
        venue: crate::ID,
        asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
        free: item.decimal("balance").map_err(at("balance"))?,
        locked: Decimal::ZERO,
    })
}

/// The order a report is about, where it names one.
pub(crate) fn order_id_if_told(
    value: Value<'_>,
    key: &'static str,
) -> Result<OrderId, DecodeError> {
    match some(value, key) {
        None => Ok(OrderId(0)),
        Some(field) => field
            .as_str()
            .and_then(|text| parse_order_id(text.as_bytes()))
            .ok_or(DecodeError::Field(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_or_none() {
        let sum = |one: &str, other: &str| {
            let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
            added(decimal(one), decimal(other)).map(|sum| sum.to_string())
        };
        assert_eq!(sum("0", "0.416").as_deref(), Some("0.416"));
        assert_eq!(sum("1.5", "-0.25").as_deref(), Some("1.25"));
        assert_eq!(sum("1e3", "1").as_deref(), Some("1001"));
        assert_eq!(sum("9223372036854775807", "1"), None);
        assert_eq!(sum("9223372036854775807", "0.1"), None);
    }
}
