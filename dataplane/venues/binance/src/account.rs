//! Our orders, fills and balances as the venue tells them: user stream, replies and queries.
//!
//! | evidence | state |
//! |---|---|
//! | `X` NEW, x REPLACED | ACK (PARTIALLY_FILLED when some is done) |
//! | PARTIALLY_FILLED, FILLED | the same |
//! | CANCELED | CANCELLED |
//! | EXPIRED, EXPIRED_IN_MATCH | EXPIRED |
//! | REJECTED | REJECTED |
//!
//! Source: venue page, sections 4.2 and 4.3, read 2026-11-20; fixtures `account_*.json`.

use crate::entry::id_of;
use crate::feed::{at, instrument, millis};
use crate::symbols::{order_id, trade_id};
use dp_types::{
    AssetId, Balance, Decimal, FillReport, InstrumentId, Liquidity, OrderReport, OrderState,
    RejectReason, Side, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::Value;

/// The state a venue status shows. `PENDING_NEW` and `PENDING_CANCEL` are not used with plain orders.
fn state(status: &str, cum: Decimal) -> Result<OrderState, DecodeError> {
    match status {
        "NEW" | "PENDING_NEW" | "PENDING_CANCEL" if cum.is_zero() => Ok(OrderState::Ack),
        "NEW" | "PENDING_NEW" | "PENDING_CANCEL" | "PARTIALLY_FILLED" => {
            Ok(OrderState::PartiallyFilled)
        }
        "FILLED" => Ok(OrderState::Filled),
        "CANCELED" => Ok(OrderState::Cancelled),
        "REJECTED" => Ok(OrderState::Rejected),
        "EXPIRED" | "EXPIRED_IN_MATCH" => Ok(OrderState::Expired),
        _ => Err(DecodeError::Field("status")),
    }
}

fn side(value: Value<'_>, key: &'static str) -> Result<Side, DecodeError> {
    match value.str(key).map_err(at(key))? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(DecodeError::Field(key)),
    }
}

fn asset(registry: &Registry, value: Value<'_>, key: &str) -> AssetId {
    let name = value.get(key).and_then(|name| name.as_str()).unwrap_or("");
    registry.find_asset(name).unwrap_or(AssetId::NONE)
}

/// `executionReport` of the user stream: an order report, and a fill when there was one.
///
/// Errors: [`DecodeError`]; nothing was emitted.
pub fn on_execution(
    registry: &Registry,
    event: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    // On a cancel `c` is the cancel's own id and `C` the order's.
    let original = event.get("C").and_then(|id| id.as_str()).unwrap_or("");
    let client_id = id_of(event, if original.is_empty() { "c" } else { "C" });
    let cum = event.decimal("z").map_err(at("z"))?;
    let report = OrderReport {
        instrument: instrument(registry, event, "s")?,
        client_id,
        order_id: order_id(event.i64("i").map_err(at("i"))?),
        side: Some(side(event, "S")?),
        state: state(event.str("X").map_err(at("X"))?, cum)?,
        reason: match event.str("x").map_err(at("x"))? {
            "REJECTED" => RejectReason::Other,
            _ => RejectReason::None,
        },
        price: Some(event.decimal("p").map_err(at("p"))?),
        qty: Some(event.decimal("q").map_err(at("q"))?),
        cum: Some(cum),
        venue_ns: millis(event, "T"),
    };
    let trade = event.i64("t").unwrap_or(-1);
    if event.str("x") == Ok("TRADE") && trade >= 0 {
        let is_maker = event.bool("m").map_err(at("m"))?;
        out.event(&Event::Fill(FillReport {
            instrument: report.instrument,
            client_id,
            order_id: report.order_id,
            trade_id: trade_id(trade),
            side: side(event, "S")?,
            price: event.decimal("L").map_err(at("L"))?,
            qty: event.decimal("l").map_err(at("l"))?,
            fee: event.decimal("n").unwrap_or(Decimal::ZERO),
            fee_asset: asset(registry, event, "N"),
            liquidity: if is_maker {
                Liquidity::Maker
            } else {
                Liquidity::Taker
            },
            venue_ns: report.venue_ns,
        }));
    }
    out.event(&Event::Order(report));
    Ok(())
}

/// An order as REST and the WS-API print it, with our id under `key`.
///
/// Errors: [`DecodeError`]; nothing was emitted.
pub fn on_order_body(
    registry: &Registry,
    order: Value<'_>,
    key: &str,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let status = order.str("status").map_err(at("status"))?;
    let cum = order.decimal("executedQty").map_err(at("executedQty"))?;
    // `amendedOrder` says `qty` where the others say `origQty`.
    let qty = order
        .decimal("origQty")
        .or_else(|_| order.decimal("qty"))
        .map_err(at("origQty"))?;
    let time = ["transactTime", "updateTime", "time"]
        .iter()
        .find(|key| order.get(key).is_some());
    out.event(&Event::Order(OrderReport {
        instrument: instrument(registry, order, "symbol")?,
        client_id: id_of(order, key),
        order_id: order_id(order.i64("orderId").map_err(at("orderId"))?),
        side: Some(side(order, "side")?),
        state: state(status, cum)?,
        reason: RejectReason::None,
        price: Some(order.decimal("price").map_err(at("price"))?),
        qty: Some(qty),
        cum: Some(cum),
        venue_ns: time.map_or(VenueNanos(0), |key| millis(order, key)),
    }));
    Ok(())
}

/// One entry of `myTrades`: a fill without our id (the OMS knows the venue's). Returns the trade's id.
///
/// Errors: [`DecodeError`]; nothing was emitted.
pub fn on_trade_body(
    registry: &Registry,
    instrument: InstrumentId,
    trade: Value<'_>,
    out: &mut impl Sink,
) -> Result<i64, DecodeError> {
    let id = trade.i64("id").map_err(at("id"))?;
    let is_buy = trade.bool("isBuyer").map_err(at("isBuyer"))?;
    let is_maker = trade.bool("isMaker").map_err(at("isMaker"))?;
    out.event(&Event::Fill(FillReport {
        instrument,
        client_id: None,
        order_id: order_id(trade.i64("orderId").map_err(at("orderId"))?),
        trade_id: trade_id(id),
        side: if is_buy { Side::Buy } else { Side::Sell },
        price: trade.decimal("price").map_err(at("price"))?,
        qty: trade.decimal("qty").map_err(at("qty"))?,
        fee: trade.decimal("commission").unwrap_or(Decimal::ZERO),
        fee_asset: asset(registry, trade, "commissionAsset"),
        liquidity: if is_maker {
            Liquidity::Maker
        } else {
            Liquidity::Taker
        },
        venue_ns: millis(trade, "time"),
    }));
    Ok(id)
}

/// Balances under `list`, with the names of their fields.
///
/// Errors: [`DecodeError`]; balances before the bad one were emitted.
pub fn on_balances(
    registry: &Registry,
    root: Value<'_>,
    list: &'static str,
    name: &'static str,
    free: &'static str,
    locked: &'static str,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for balance in root.array(list).map_err(at(list))? {
        out.event(&Event::Balance(Balance {
            asset: asset(registry, balance, name),
            free: balance.decimal(free).map_err(at(free))?,
            locked: balance.decimal(locked).map_err(at(locked))?,
        }));
    }
    Ok(())
}
