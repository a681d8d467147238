//! Private pushes → events: order reports, fills, balances; positions, which are listed alone.
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
use crate::symbols::{InstType, parse_client_id, parse_id};
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, FillReport, Instrument, InstrumentId, Liquidity,
    OrderId, OrderReport, OrderState, PositionReport, RejectReason, TradeId,
};
use dp_venue_api::{
    DecodeError, Event, ListedPositions, Named, Registry, RequestAck, Sink, Standing, Trade,
};
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

/// A fee as ours: the venue's minus is a charge.
pub(crate) fn negated(value: Decimal) -> Result<Decimal, DecodeError> {
    Ok(Decimal {
        mantissa: value.mantissa.checked_neg().ok_or(DecodeError::Number {
            field: "fee",
            error: dp_types::NumError::TooLarge,
        })?,
        exponent: value.exponent,
    })
}

/// What the state and its reason show. `None` for a state that we do not know.
pub(crate) fn evidence(
    state: &[u8],
    source: &[u8],
    words: &[u8],
) -> Option<(OrderState, RejectReason)> {
    let none = RejectReason::None;
    Some(match state {
        b"live" => (OrderState::Ack, none),
        b"partially_filled" => (OrderState::PartiallyFilled, none),
        b"filled" => (OrderState::Filled, none),
        b"canceled" | b"mmp_canceled" => {
            if source == reject::CANCEL_POST_ONLY || words == reject::POST_ONLY_WORDS {
                (OrderState::Rejected, RejectReason::PostOnlyCross)
            } else if source == reject::CANCEL_FOK || source == reject::CANCEL_IOC {
                (OrderState::Expired, none)
            } else {
                (OrderState::Cancelled, none)
            }
        }
        _ => return None,
    })
}

/// The side of the book a fill was on, by its `execType`.
pub(crate) const fn liquidity_of(exec_type: &[u8]) -> Liquidity {
    match exec_type {
        b"M" => Liquidity::Maker,
        b"T" => Liquidity::Taker,
        _ => Liquidity::None,
    }
}

fn named(instrument: InstrumentId, item: Value<'_>) -> Result<Named, DecodeError> {
    Ok(Named {
        instrument,
        client_id: client_id(item),
        order_id: order_id(item)?,
        side: side(item)?,
        cum: optional(item, "accFillSz")?,
    })
}

fn standing(item: Value<'_>) -> Result<Standing, DecodeError> {
    let (state, reason) = evidence(
        item.str("state").map_err(at("state"))?.as_bytes(),
        text(item, "cancelSource").as_bytes(),
        text(item, "cancelSourceReason").as_bytes(),
    )
    .ok_or(DecodeError::Field("state"))?;
    Ok(Standing {
        state,
        reason,
        price: optional(item, "px")?,
        qty: optional(item, "sz")?,
        venue_ns: millis(item, "uTime")?,
    })
}

/// One order object, as pushed, listed or queried.
pub(crate) fn report(
    instrument: InstrumentId,
    item: Value<'_>,
) -> Result<OrderReport, DecodeError> {
    Ok(named(instrument, item)?.report(&standing(item)?))
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

/// The fill in an order object, if there is one.
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
    let trade = Trade {
        id: trade_id,
        price: item.decimal("fillPx").map_err(at("fillPx"))?,
        qty: item.decimal("fillSz").map_err(at("fillSz"))?,
        fee: negated(optional(item, keys.fee)?.unwrap_or(Decimal::ZERO))?,
        fee_asset: registry
            .find_asset(text(item, keys.fee_asset))
            .unwrap_or(AssetId::NONE),
        liquidity: liquidity_of(text(item, "execType").as_bytes()),
        venue_ns: millis(item, keys.time)?,
    };
    Ok(Some(named(instrument, item)?.fill(&trade)))
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

/// The `amendResult` of an amend that was not done.
pub(crate) const AMEND_FAILED: &[u8] = b"-1";

/// What a push says of one order, but for a failed amend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pushed {
    pub(crate) fill: Option<FillReport>,
    pub(crate) report: OrderReport,
}

impl Pushed {
    pub(crate) fn tell(&self, out: &mut impl Sink) {
        if let Some(fill) = self.fill {
            out.event(&Event::Fill(fill));
        }
        out.event(&Event::Order(self.report));
    }
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
    if text(item, "amendResult").as_bytes() == AMEND_FAILED
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

/// Every position of `account/positions`, each by itself; of the derivatives we follow, those it leaves out are flat.
///
/// Errors: the first that cannot be read; all the others are out, and none is told as flat.
pub(crate) fn on_positions(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut listed = ListedPositions::default();
    let mut result = Ok(());
    for item in root.array("data").map_err(at("data"))? {
        match on_position(registry, item, out) {
            Ok(Some(id)) => listed.add(id),
            Ok(None) => {}
            Err(error) => result = result.and(Err(error)),
        }
    }
    result?;
    listed.tell_flat(registry, crate::ID, is_derivative, out);
    Ok(())
}

fn is_derivative(known: &Instrument) -> bool {
    InstType::of(known.symbol.as_str()) != InstType::Spot
}

/// A position; the instrument, where we follow it.
fn on_position(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    let found = match instrument(registry, item) {
        Err(DecodeError::UnknownSymbol) => None,
        found => Some(found?),
    };
    // A margin position of a spot pair is a loan, not a contract.
    let is_ours = |id: &InstrumentId| registry.get(*id).is_some_and(is_derivative);
    let Some(id) = found.filter(is_ours) else {
        out.event(&Event::Ignored("of an instrument we do not follow"));
        return Ok(None);
    };
    if !matches!(text(item, "posSide"), "net" | "") {
        out.event(&Event::Ignored("one leg of a hedged position"));
        return Ok(Some(id));
    }
    out.event(&Event::Position(PositionReport {
        instrument: id,
        qty: item.decimal("pos").map_err(at("pos"))?,
        entry: optional(item, "avgPx")?,
        venue_ns: millis(item, "uTime")?,
    }));
    Ok(Some(id))
}

fn balance(registry: &Registry, item: Value<'_>) -> Result<Balance, DecodeError> {
    let asset = item.str("ccy").map_err(at("ccy"))?;
    let free = match optional(item, "availBal")? {
        Some(free) => Some(free),
        None => optional(item, "availEq")?,
    };
    Ok(Balance {
        venue: crate::ID,
        asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
        free: free.unwrap_or(Decimal::ZERO),
        locked: optional(item, "frozenBal")?.unwrap_or(Decimal::ZERO),
    })
}
