//! Private pushes → events: order reports, fills, balances.
//!
//! ```text
//! state              cancelSource        evidence for
//! live               -                   Ack
//! partially_filled   -                   PartiallyFilled
//! filled             -                   Filled
//! canceled           31 (post-only)      Rejected(PostOnlyCross): accepted before
//! canceled           13, 14 (FOK, IOC)   Expired
//! canceled           anything else       Cancelled (1 user, 20 dead man, 32 self-trade)
//! ```
//! A fill is booked only when `tradeId` is there: market orders end with an echo that repeats the
//! state without one. The fill goes out before the state it led to, so that a final state never
//! precedes its last fill. Fees: the venue's minus is a charge, ours a plus. An empty string is an
//! absent value.
//! Source: venue page, section 4.1, read 2026-11-20; fixtures `account_*.json`.

use crate::feed::{at, instrument, millis, optional, side};
use crate::reject;
use crate::symbols::{parse_client_id, parse_id};
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, FillReport, InstrumentId, Liquidity, OrderId,
    OrderReport, OrderState, RejectReason, TradeId,
};
use dp_venue_api::{DecodeError, Event, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// An id of digits; 0 when absent or empty.
pub(crate) fn id(value: Value<'_>, key: &'static str) -> Result<u128, DecodeError> {
    parse_id(text(value, key).as_bytes()).ok_or(DecodeError::Field(key))
}

/// The venue's id of an order, which is always there.
fn order_id(item: Value<'_>) -> Result<OrderId, DecodeError> {
    match id(item, "ordId")? {
        0 => Err(DecodeError::Field("ordId")),
        id => Ok(OrderId(id)),
    }
}

fn client_id(item: Value<'_>) -> Option<ClientOrderId> {
    parse_client_id(text(item, "clOrdId").as_bytes())
}

fn negated(value: Decimal) -> Result<Decimal, DecodeError> {
    Ok(Decimal {
        mantissa: value.mantissa.checked_neg().ok_or(DecodeError::Number {
            field: "fee",
            error: dp_types::NumError::TooLarge,
        })?,
        exponent: value.exponent,
    })
}

/// What the state and its reason show.
fn evidence(item: Value<'_>) -> Result<(OrderState, RejectReason), DecodeError> {
    let none = RejectReason::None;
    Ok(match item.str("state").map_err(at("state"))? {
        "live" => (OrderState::Ack, none),
        "partially_filled" => (OrderState::PartiallyFilled, none),
        "filled" => (OrderState::Filled, none),
        "canceled" | "mmp_canceled" => {
            let source = text(item, "cancelSource").as_bytes();
            let words = text(item, "cancelSourceReason").as_bytes();
            if source == reject::CANCEL_POST_ONLY || words == reject::POST_ONLY_WORDS {
                (OrderState::Rejected, RejectReason::PostOnlyCross)
            } else if source == reject::CANCEL_FOK || source == reject::CANCEL_IOC {
                (OrderState::Expired, none)
            } else {
                (OrderState::Cancelled, none)
            }
        }
        _ => return Err(DecodeError::Field("state")),
    })
}

/// One order object, as pushed, listed or queried.
pub(crate) fn report(
    instrument: InstrumentId,
    item: Value<'_>,
) -> Result<OrderReport, DecodeError> {
    let (state, reason) = evidence(item)?;
    Ok(OrderReport {
        instrument,
        client_id: client_id(item),
        order_id: order_id(item)?,
        side: Some(side(item)?),
        state,
        reason,
        price: optional(item, "px")?,
        qty: optional(item, "sz")?,
        cum: optional(item, "accFillSz")?,
        venue_ns: millis(item, "uTime")?,
    })
}

/// Names of a fill's fields, which differ between the orders push and the fills list.
struct FillKeys {
    fee: &'static str,
    fee_asset: &'static str,
    time: &'static str,
}

const PUSHED: FillKeys = FillKeys {
    fee: "fillFee",
    fee_asset: "fillFeeCcy",
    time: "fillTime",
};
const LISTED: FillKeys = FillKeys {
    fee: "fee",
    fee_asset: "feeCcy",
    time: "ts",
};

fn read_fill(
    registry: &Registry,
    instrument: InstrumentId,
    item: Value<'_>,
    keys: &FillKeys,
) -> Result<Option<FillReport>, DecodeError> {
    let trade_id = TradeId(id(item, "tradeId")?);
    if trade_id.0 == 0 {
        return Ok(None);
    }
    Ok(Some(FillReport {
        instrument,
        client_id: client_id(item),
        order_id: order_id(item)?,
        trade_id,
        side: side(item)?,
        price: item.decimal("fillPx").map_err(at("fillPx"))?,
        qty: item.decimal("fillSz").map_err(at("fillSz"))?,
        cum: optional(item, "accFillSz")?,
        fee: negated(optional(item, keys.fee)?.unwrap_or(Decimal::ZERO))?,
        fee_asset: registry
            .find_asset(text(item, keys.fee_asset))
            .unwrap_or(AssetId::NONE),
        liquidity: match text(item, "execType") {
            "M" => Liquidity::Maker,
            "T" => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns: millis(item, keys.time)?,
    }))
}

/// One item of the fills list.
pub(crate) fn listed_fill(
    registry: &Registry,
    item: Value<'_>,
) -> Result<Option<FillReport>, DecodeError> {
    read_fill(registry, instrument(registry, item)?, item, &LISTED)
}

/// Every item of an orders push, each by itself.
///
/// Errors: the first item that cannot be read; all the others are out. What it said must be found by comparing
/// with the venue.
pub(crate) fn on_orders(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in root.array("data").map_err(at("data"))? {
        let told = on_order(registry, item, out);
        result = result.and(told);
    }
    result
}

fn on_order(registry: &Registry, item: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let id = match instrument(registry, item) {
        Err(DecodeError::UnknownSymbol) => {
            out.event(&Event::Ignored(
                "an order of an instrument we do not follow",
            ));
            return Ok(());
        }
        found => found?,
    };
    if let Some(fill) = read_fill(registry, id, item, &PUSHED)? {
        out.event(&Event::Fill(fill));
    }
    let report = report(id, item)?;
    if text(item, "amendResult") == "-1"
        && let Some(client_id) = report.client_id
    {
        let code = text(item, "code").parse().unwrap_or(0);
        let reason = match reject::reason(code) {
            RejectReason::None => RejectReason::Other,
            reason => reason,
        };
        out.event(&Event::Ack(RequestAck {
            client_id,
            order_id: report.order_id,
            reason,
            code,
            venue_ns: report.venue_ns,
        }));
    }
    out.event(&Event::Order(report));
    Ok(())
}

/// Every balance of an account push or of `account/balance`: the same objects, each by itself.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_balances(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for account in root.array("data").map_err(at("data"))? {
        match account.array("details").map_err(at("details")) {
            Ok(details) => {
                for item in details {
                    let told = balance(registry, item).map(|it| out.event(&Event::Balance(it)));
                    result = result.and(told);
                }
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}

fn balance(registry: &Registry, item: Value<'_>) -> Result<Balance, DecodeError> {
    let asset = item.str("ccy").map_err(at("ccy"))?;
    let free = match optional(item, "availBal")? {
        Some(free) => Some(free),
        None => optional(item, "availEq")?,
    };
    Ok(Balance {
        asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
        free: free.unwrap_or(Decimal::ZERO),
        locked: optional(item, "frozenBal")?.unwrap_or(Decimal::ZERO),
    })
}
