//! Private messages and lists → events: order reports, fills, balances.
//!
//! ```text
//! exec_type / status        reason             evidence for
//! pending_new               -                  nothing yet: accepted, not live
//! new, amended, restated    -                  Ack, or PartiallyFilled once something is filled
//! trade                     -                  the fill, then PartiallyFilled, or Filled when it was the last
//! filled                    -                  Filled
//! canceled                  Post only order    Rejected(PostOnlyCross), when nothing is filled
//! canceled                  not the user's     Expired, of an IOC or market order
//! canceled                  any other          Cancelled
//! expired                   -                  Expired
//! ```
//! Updates carry only what changed; the rest is remembered in [`Orders`]. The fill goes out before the state it
//! led to. REST lists and v1's `openOrders` have one shape, REST trades and v1's `ownTrades` another.
//! Source: venue page, sections 4.1 and 4.2, read 2026-11-20; fixtures `account_*.json`, `rest_*.json`.

use crate::feed::{at, bad_number, optional, side_of, text, timestamp};
use crate::orders::{Known, Orders};
use crate::symbols::{asset_name, find_pair, pack_id, parse_client_id};
use crate::{ID, time};
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, InstrumentId, Liquidity, Now, OrderId, OrderState,
    RejectReason, Side, TradeId, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

/// Why an update says nothing: its order was accepted and is not live yet.
pub const PENDING: &str = "an order accepted and not live yet";
/// Why an update says nothing: it names an order only, and the order's beginning was not seen.
pub const STRAY: &str = "an update of an order whose beginning was not seen";
/// Why an order, a fill or a balance says nothing.
pub const NOT_FOLLOWED: &str = "of an instrument we do not follow";
/// Why a balance says nothing.
const OTHER_WALLET: &str = "a balance of another wallet";

/// What the venue calls a cancel that we asked for.
const BY_USER: &str = "User requested";
/// And one of a post-only order that would have taken.
const BY_POST_ONLY: &str = "Post only order";

/// An id of the venue, not empty.
fn id(text: &str, field: &'static str) -> Result<u128, DecodeError> {
    pack_id(text.as_bytes())
        .filter(|id| *id != 0)
        .ok_or(DecodeError::Field(field))
}

fn client_id(item: Value<'_>) -> Option<ClientOrderId> {
    parse_client_id(text(item, "cl_ord_id").as_bytes())
}

fn named(known: &Known) -> Named {
    Named {
        instrument: known.instrument,
        client_id: known.client_id,
        order_id: known.order_id,
        side: known.side,
        cum: known.cum,
    }
}

fn is_some_filled(known: &Known) -> bool {
    known.cum.is_some_and(|cum| !cum.is_zero())
}

/// Whether all of the order is filled, however the numbers were printed.
fn is_all_filled(registry: &Registry, known: &Known) -> bool {
    let (Some(instrument), Some(qty), Some(cum)) =
        (registry.get(known.instrument), known.qty, known.cum)
    else {
        return false;
    };
    match (instrument.qty(qty), instrument.qty(cum)) {
        (Ok(qty), Ok(cum)) => qty.0 > 0 && cum >= qty,
        _ => false,
    }
}

/// What an order that ended without being filled shows.
fn ended(known: &Known, why: &str) -> (OrderState, RejectReason) {
    if why == BY_POST_ONLY && !is_some_filled(known) {
        (OrderState::Rejected, RejectReason::PostOnlyCross)
    } else if known.is_immediate && why != BY_USER {
        (OrderState::Expired, RejectReason::None)
    } else {
        (OrderState::Cancelled, RejectReason::None)
    }
}

/// What a live order shows.
fn live(known: &Known) -> OrderState {
    if is_some_filled(known) {
        OrderState::PartiallyFilled
    } else {
        OrderState::Ack
    }
}

/// Tells how an order stands, and remembers when it is over.
fn tell(
    known: &mut Known,
    (state, reason): (OrderState, RejectReason),
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    known.is_final = state.is_final();
    out.event(&Event::Order(named(known).report(&Standing {
        state,
        reason,
        price: known.price,
        qty: known.qty,
        venue_ns,
    })));
}

/// Every item of an `executions` message, each by itself. Returns an order of which only an update was seen.
///
/// Errors: the first item that cannot be read; all the others are out. What it said must be found by comparing
/// with the venue.
pub(crate) fn on_executions(
    registry: &Registry,
    orders: &mut Orders,
    root: Value<'_>,
    now: Now,
    out: &mut impl Sink,
) -> (Option<OrderId>, Result<(), DecodeError>) {
    let items = match root.array("data").map_err(at("data")) {
        Ok(items) => items,
        Err(error) => return (None, Err(error)),
    };
    // A snapshot holds what is open, whatever happened to it last.
    let is_snapshot = text(root, "type") == "snapshot";
    let (mut stray, mut result) = (None, Ok(()));
    for item in items {
        match on_execution(registry, orders, item, is_snapshot, now, out) {
            Ok(unknown) => stray = stray.or(unknown),
            Err(error) => result = result.and(Err(error)),
        }
    }
    (stray, result)
}

fn on_execution(
    registry: &Registry,
    orders: &mut Orders,
    item: Value<'_>,
    is_snapshot: bool,
    now: Now,
    out: &mut impl Sink,
) -> Result<Option<OrderId>, DecodeError> {
    let order_id = OrderId(id(text(item, "order_id"), "order_id")?);
    let client_id = client_id(item);
    let symbol = text(item, "symbol");
    let instrument = registry.find(ID, symbol.as_bytes());
    if !symbol.is_empty() && instrument.is_none() {
        out.event(&Event::Ignored(NOT_FOLLOWED));
        return Ok(None);
    }
    let names = (order_id, client_id);
    let side = side_of(text(item, "side"));
    let Some(known) = known(orders, names, instrument.zip(side), now) else {
        out.event(&Event::Ignored(STRAY));
        return Ok(Some(order_id));
    };
    known.price = optional(item, "limit_price")?.or(known.price);
    known.qty = optional(item, "order_qty")?.or(known.qty);
    known.cum = optional(item, "cum_qty")?.or(known.cum);
    let tif = text(item, "time_in_force");
    let is_market = text(item, "order_type") == "market";
    known.is_immediate |= tif.eq_ignore_ascii_case("ioc") || is_market;
    known.is_post_only |= item.get("post_only").and_then(Value::as_bool) == Some(true);
    let venue_ns = timestamp(item, "timestamp")?;
    let exec_type = text(item, "exec_type");
    if let "new" | "amended" = exec_type {
        known.touched = now.unix;
    }
    if exec_type == "trade" {
        let trade = read_trade(registry, item, venue_ns)?;
        out.event(&Event::Fill(named(known).fill(&trade)));
    }
    match evidence(registry, known, item, is_snapshot)? {
        Some(evidence) => tell(known, evidence, venue_ns, out),
        None => out.event(&Event::Ignored(PENDING)),
    }
    Ok(None)
}

/// The order's place in the table; `None` when it is not there and cannot be put there.
fn known(
    orders: &mut Orders,
    (order_id, client_id): (OrderId, Option<ClientOrderId>),
    told: Option<(InstrumentId, Side)>,
    now: Now,
) -> Option<&mut Known> {
    if orders.find(order_id, client_id).is_some() {
        return orders.find(order_id, client_id);
    }
    let (instrument, side) = told?;
    orders.add(Known {
        order_id,
        client_id,
        instrument,
        side,
        price: None,
        qty: None,
        cum: None,
        is_post_only: false,
        is_immediate: false,
        is_final: false,
        touched: now.unix,
    })
}

/// What an item is evidence for; `None` when it settles nothing yet.
fn evidence(
    registry: &Registry,
    known: &Known,
    item: Value<'_>,
    is_snapshot: bool,
) -> Result<Option<(OrderState, RejectReason)>, DecodeError> {
    let plain = |state| Ok(Some((state, RejectReason::None)));
    let why = match text(item, "reason") {
        "" => text(item, "cancel_reason"),
        why => why,
    };
    match text(item, "exec_type") {
        // The status beside a trade is behind it: the last one may still say partially filled.
        "trade" if is_all_filled(registry, known) => return plain(OrderState::Filled),
        "trade" => return plain(OrderState::PartiallyFilled),
        "filled" => return plain(OrderState::Filled),
        "canceled" => return Ok(Some(ended(known, why))),
        "expired" => return plain(OrderState::Expired),
        "pending_new" | "new" | "iceberg_refill" | "amended" | "restated" | "status" | "" => {}
        _ => return Err(DecodeError::Field("exec_type")),
    }
    match (text(item, "order_status"), text(item, "exec_type")) {
        ("pending_new", _) | ("", "pending_new") if !is_snapshot => Ok(None),
        ("pending_new" | "new" | "triggered" | "partially_filled" | "", _) => plain(live(known)),
        ("filled", _) => plain(OrderState::Filled),
        ("canceled", _) => Ok(Some(ended(known, why))),
        ("expired", _) => plain(OrderState::Expired),
        _ => Err(DecodeError::Field("order_status")),
    }
}

fn read_trade(
    registry: &Registry,
    item: Value<'_>,
    venue_ns: VenueNanos,
) -> Result<Trade, DecodeError> {
    // One asset as a rule; of a fee in two only the first has a place in a report.
    let fee = item.get("fees").and_then(|fees| fees.at(0));
    let (fee, asset) = match fee {
        Some(fee) => (optional(fee, "qty")?, text(fee, "asset")),
        None => (None, ""),
    };
    Ok(Trade {
        id: TradeId(id(text(item, "exec_id"), "exec_id")?),
        price: item.decimal("last_price").map_err(at("last_price"))?,
        qty: item.decimal("last_qty").map_err(at("last_qty"))?,
        fee: fee.unwrap_or(Decimal::ZERO),
        fee_asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
        liquidity: match text(item, "liquidity_ind") {
            "m" => Liquidity::Maker,
            "t" => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns,
    })
}

/// An order of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) client_id: Option<ClientOrderId>,
    pub(crate) instrument: InstrumentId,
    pub(crate) is_filled: bool,
}

/// One order object under its id, of REST or of v1. `None` when it was ignored.
pub(crate) fn on_listed_order(
    registry: &Registry,
    orders: &mut Orders,
    (name, item): (&str, Value<'_>),
    now: Now,
    out: &mut impl Sink,
) -> Result<Option<Listed>, DecodeError> {
    let order_id = OrderId(id(name, "order id")?);
    let description = item.get("descr");
    let described = |key| description.map_or("", |description| text(description, key));
    let pair = described("pair");
    let instrument = find_pair(registry, pair);
    if !pair.is_empty() && instrument.is_none() {
        out.event(&Event::Ignored(NOT_FOLLOWED));
        return Ok(None);
    }
    let told = instrument.zip(side_of(described("type")));
    let Some(known) = known(orders, (order_id, client_id(item)), told, now) else {
        out.event(&Event::Ignored(STRAY));
        return Ok(None);
    };
    if described("ordertype") == "limit"
        && let Some(description) = description
    {
        known.price = optional(description, "price")?.or(known.price);
    }
    known.qty = optional(item, "vol")?.or(known.qty);
    known.cum = optional(item, "vol_exec")?.or(known.cum);
    let tif = text(item, "timeinforce");
    let is_market = described("ordertype") == "market";
    known.is_immediate |= tif.eq_ignore_ascii_case("ioc") || is_market;
    known.is_post_only |= text(item, "oflags").split(',').any(|flag| flag == "post");
    let why = match text(item, "reason") {
        "" => text(item, "cancel_reason"),
        why => why,
    };
    let evidence = match text(item, "status") {
        // Listed or told again, a pending order is at the venue.
        "pending" | "open" => (live(known), RejectReason::None),
        "" if is_all_filled(registry, known) => (OrderState::Filled, RejectReason::None),
        "" => (live(known), RejectReason::None),
        "closed" => (OrderState::Filled, RejectReason::None),
        "canceled" => ended(known, why),
        "expired" => (OrderState::Expired, RejectReason::None),
        _ => return Err(DecodeError::Field("status")),
    };
    let keys = ["closetm", "lastupdated", "opentm"];
    let venue_ns = keys.iter().find_map(|key| seconds(item, key).transpose());
    tell(
        known,
        evidence,
        venue_ns.transpose()?.unwrap_or_default(),
        out,
    );
    Ok(Some(Listed {
        client_id: known.client_id,
        instrument: known.instrument,
        is_filled: is_some_filled(known),
    }))
}

/// A time in seconds; `None` where there is none, which may be 0.
fn seconds(item: Value<'_>, key: &'static str) -> Result<Option<VenueNanos>, DecodeError> {
    let Some(seconds) = optional(item, key)?.filter(|seconds| !seconds.is_zero()) else {
        return Ok(None);
    };
    time::of_seconds(seconds).map(Some).ok_or(bad_number(key))
}

/// One trade object under its id, of REST or of v1; returns its time. An order that the table does not know has
/// the name that was asked about, if any.
pub(crate) fn on_listed_fill(
    registry: &Registry,
    orders: &mut Orders,
    (name, item): (&str, Value<'_>),
    asked: Option<ClientOrderId>,
    out: &mut impl Sink,
) -> Result<VenueNanos, DecodeError> {
    let venue_ns = seconds(item, "time")?.unwrap_or_default();
    let order_id = OrderId(id(text(item, "ordertxid"), "ordertxid")?);
    let Some(instrument) = find_pair(registry, text(item, "pair")) else {
        out.event(&Event::Ignored(NOT_FOLLOWED));
        return Ok(venue_ns);
    };
    let known = orders
        .find(order_id, None)
        .and_then(|known| known.client_id);
    let named = Named {
        instrument,
        client_id: known.or(asked),
        order_id,
        side: side_of(text(item, "type")).ok_or(DecodeError::Field("type"))?,
        cum: None,
    };
    out.event(&Event::Fill(
        named.fill(&Trade {
            id: TradeId(id(name, "trade id")?),
            price: item.decimal("price").map_err(at("price"))?,
            qty: item.decimal("vol").map_err(at("vol"))?,
            fee: optional(item, "fee")?.unwrap_or(Decimal::ZERO),
            // Lists tell fees in the quote asset, by the venue's document.
            fee_asset: registry
                .get(instrument)
                .map_or(AssetId::NONE, |known| known.quote),
            liquidity: match item.get("maker").and_then(Value::as_bool) {
                Some(true) => Liquidity::Maker,
                Some(false) => Liquidity::Taker,
                None => Liquidity::None,
            },
            venue_ns,
        }),
    ));
    Ok(venue_ns)
}

/// Every balance of a `balances` message. The stream tells totals only: what orders hold is in them, and told
/// apart by REST ([`on_listed_balances`]).
pub(crate) fn on_balances(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in root.array("data").map_err(at("data"))? {
        if !matches!(text(item, "wallet_type"), "" | "spot") {
            out.event(&Event::Ignored(OTHER_WALLET));
            continue;
        }
        let asset = item.str("asset").map_err(at("asset"))?;
        out.event(&Event::Balance(Balance {
            venue: ID,
            asset: asset_of(registry, asset),
            free: item.decimal("balance").map_err(at("balance"))?,
            locked: Decimal::ZERO,
        }));
    }
    Ok(())
}

/// Every balance of `BalanceEx` (or of `Balance`, which tells totals only).
pub(crate) fn on_listed_balances(
    registry: &Registry,
    result: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for (name, item) in result.as_object().ok_or(DecodeError::Field("result"))? {
        let (total, locked) = if item.as_object().is_some() {
            let total = item.decimal("balance").map_err(at("balance"))?;
            (
                total,
                optional(item, "hold_trade")?.unwrap_or(Decimal::ZERO),
            )
        } else {
            (item.as_decimal().map_err(at("balance"))?, Decimal::ZERO)
        };
        out.event(&Event::Balance(Balance {
            venue: ID,
            asset: asset_of(registry, name),
            free: difference(total, locked).ok_or(bad_number("hold_trade"))?,
            locked,
        }));
    }
    Ok(())
}

fn asset_of(registry: &Registry, name: &str) -> AssetId {
    registry
        .find_asset(asset_name(name))
        .unwrap_or(AssetId::NONE)
}

/// `a - b`, in the finer of both; `None` when it leaves the range.
fn difference(a: Decimal, b: Decimal) -> Option<Decimal> {
    let exponent = a.exponent.min(b.exponent);
    let scaled = |value: Decimal| {
        let by = u32::from(value.exponent.abs_diff(exponent));
        value.mantissa.checked_mul(10i64.checked_pow(by)?)
    };
    Some(Decimal {
        mantissa: scaled(a)?.checked_sub(scaled(b)?)?,
        exponent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_exact_or_none() {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        for (a, b, want) in [
            ("200000.00", "1500.0", "198500.00"),
            ("0.5", "0.10", "0.40"),
            ("2", "0", "2"),
            ("0", "0.00000001", "-0.00000001"),
        ] {
            let made = difference(decimal(a), decimal(b)).unwrap();
            assert_eq!(made.to_string(), want);
        }
        assert_eq!(
            difference(decimal("9000000000000000000"), decimal("0.1")),
            None
        );
    }
}
