//! Channel 0 and the lists of REST → events: order reports, fills, balances, positions.
//!
//! ```text
//! STATUS begins with                  evidence for
//! ACTIVE                              Ack
//! PARTIALLY FILLED                    PartiallyFilled
//! EXECUTED, FORCED EXECUTED           Filled
//! CANCELED                            Cancelled
//! IOC CANCELED, FILLORKILL CANCELED   Expired
//! POSTONLY CANCELED                   Rejected(PostOnlyCross): accepted before
//! INSUFFICIENT BALANCE or MARGIN      Rejected(InsufficientFunds), of what was left of it
//! RSN_PAUSE, RSN_BOOKSLIP             Rejected(VenueDown), Rejected(PriceBand)
//! RSN_DUST, RSN_POS_...               Rejected(Invalid)
//! anything else of a closed order     Cancelled(Other)
//! ```
//! An execution comes twice: `te` at once, without its fee, and `tu` with it, up to seconds later. Fills are
//! counted once, and one counted without its fee would leave us believing in coins the venue has kept: so a fill
//! is told with `tu`. That the order has traded is told at once all the same, by `ou` or `oc`, which come with
//! `te`, and counts as exposure until the fill is here.
//! AMOUNT is what is left and AMOUNT_ORIG what was asked: done is the difference, as we never amend amounts.
//! Fees: the venue's minus is a charge, ours a plus.
//! Source: venue page, sections 4.4 and 4.5, read 2026-11-21; fixtures `account_*.json`.

use crate::ID;
use crate::feed::{at, ignored, negated, sided};
use crate::symbols::{is_collateral, is_derivative};
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, FillReport, InstrumentId, Liquidity, NumError,
    OrderId, OrderReport, OrderState, PositionReport, RejectReason, TradeId, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

/// An order of another instrument.
pub(crate) const FOREIGN_ORDER: &str = "an order of an instrument we do not follow";
/// A fill of another instrument.
pub(crate) const FOREIGN_FILL: &str = "a fill of an instrument we do not follow";
/// `te`, see above.
pub(crate) const FEE_TO_COME: &str = "an execution before its fee is known: told when it is";
/// A wallet we do not trade from.
pub(crate) const OTHER_WALLET: &str = "a wallet we do not trade from";
/// The venue computes what is available only when asked.
pub(crate) const AVAILABLE_TO_COME: &str = "a wallet before what is free in it is known: asked for";
/// A position of a spot pair: kept from fills.
pub(crate) const SPOT_POSITION: &str = "a position that is kept from fills";

/// The element at a place; `None` for null as well.
pub(crate) fn item(row: Value<'_>, index: usize) -> Option<Value<'_>> {
    row.at(index).filter(|value| !value.is_null())
}

/// The text at a place, empty when there is none.
pub(crate) fn text(row: Value<'_>, index: usize) -> &str {
    item(row, index).and_then(Value::as_str).unwrap_or("")
}

/// The integer at a place, 0 when there is none.
pub(crate) fn uint(row: Value<'_>, index: usize) -> u64 {
    item(row, index).and_then(Value::as_u64).unwrap_or(0)
}

/// The number at a place, if there is one.
fn optional(
    row: Value<'_>,
    index: usize,
    field: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    let value = item(row, index).map(Value::as_decimal);
    value.transpose().map_err(at(field))
}

fn number(row: Value<'_>, index: usize, field: &'static str) -> Result<Decimal, DecodeError> {
    optional(row, index, field)?.ok_or(DecodeError::Field(field))
}

/// Our id at a place; none when the order is not ours.
pub(crate) fn client_id(row: Value<'_>, index: usize) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(uint(row, index))
}

fn millis(row: Value<'_>, index: usize) -> VenueNanos {
    VenueNanos::from_millis(uint(row, index))
}

/// The instrument of the symbol at a place, if we follow it.
///
/// Errors: there is no symbol.
pub(crate) fn instrument(
    registry: &Registry,
    row: Value<'_>,
    index: usize,
) -> Result<Option<InstrumentId>, DecodeError> {
    let symbol = row.at(index).and_then(Value::as_str);
    let symbol = symbol.ok_or(DecodeError::Field("symbol"))?;
    Ok(registry.find(ID, symbol.as_bytes()))
}

/// The difference of two numbers, exact.
fn minus(from: Decimal, what: Decimal, field: &'static str) -> Result<Decimal, DecodeError> {
    let exponent = from.exponent.min(what.exponent);
    let scaled = |value: Decimal| {
        let power = u32::from(value.exponent.abs_diff(exponent));
        10i64
            .checked_pow(power)
            .and_then(|factor| value.mantissa.checked_mul(factor))
    };
    let mantissa = match (scaled(from), scaled(what)) {
        (Some(from), Some(what)) => from.checked_sub(what),
        _ => None,
    };
    let mantissa = mantissa.ok_or(DecodeError::Number {
        field,
        error: NumError::TooLarge,
    })?;
    Ok(Decimal { mantissa, exponent })
}

/// Whether a list or event is about orders that live, or one that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Open,
    Closed,
}

/// What a STATUS shows. `None` for one of a live order that we do not know.
fn evidence(status: &str, life: Life) -> Option<(OrderState, RejectReason)> {
    const PREFIXES: [(&str, OrderState, RejectReason); 13] = {
        use {OrderState as S, RejectReason as R};
        [
            ("ACTIVE", S::Ack, R::None),
            ("PARTIALLY FILLED", S::PartiallyFilled, R::None),
            ("EXECUTED", S::Filled, R::None),
            ("FORCED EXECUTED", S::Filled, R::None),
            ("CANCELED", S::Cancelled, R::None),
            ("IOC CANCELED", S::Expired, R::None),
            ("FILLORKILL CANCELED", S::Expired, R::None),
            ("POSTONLY CANCELED", S::Rejected, R::PostOnlyCross),
            ("INSUFFICIENT", S::Rejected, R::InsufficientFunds),
            ("RSN_PAUSE", S::Rejected, R::VenueDown),
            ("RSN_BOOKSLIP", S::Rejected, R::PriceBand),
            ("RSN_DUST", S::Rejected, R::Invalid),
            ("RSN_POS_REDUCE", S::Rejected, R::Invalid),
        ]
    };
    let known = PREFIXES
        .into_iter()
        .find(|(prefix, ..)| status.starts_with(prefix))
        .map(|(_, state, reason)| (state, reason));
    match (known, life) {
        (Some((state, reason)), Life::Closed) if state.is_final() => Some((state, reason)),
        // It says that the order has ended: whatever its words are.
        (_, Life::Closed) => Some((OrderState::Cancelled, RejectReason::Other)),
        (known, Life::Open) => known,
    }
}

/// One order array of an instrument of ours, as pushed or listed.
pub(crate) fn report(
    instrument: InstrumentId,
    row: Value<'_>,
    life: Life,
) -> Result<OrderReport, DecodeError> {
    let order_id = uint(row, 0);
    if order_id == 0 {
        return Err(DecodeError::Field("order id"));
    }
    let rest = number(row, 6, "amount")?;
    let asked = number(row, 7, "original amount")?;
    let (side, qty) = sided(asked, "original amount")?;
    let left = if rest.is_zero() || sided(rest, "amount")?.0 == side {
        Decimal {
            mantissa: rest
                .mantissa
                .checked_abs()
                .ok_or(DecodeError::Field("amount"))?,
            ..rest
        }
    } else {
        return Err(DecodeError::Field("amount"));
    };
    let status = row.at(13).and_then(Value::as_str);
    let (state, reason) = status
        .and_then(|status| evidence(status, life))
        .ok_or(DecodeError::Field("status"))?;
    let is_market = text(row, 8).contains("MARKET");
    let price = optional(row, 16, "price")?.filter(|price| !price.is_zero() && !is_market);
    let named = Named {
        instrument,
        client_id: client_id(row, 2),
        order_id: OrderId(u128::from(order_id)),
        side,
        cum: Some(minus(qty, left, "amount")?).filter(|cum| cum.mantissa >= 0),
    };
    Ok(named.report(&Standing {
        state,
        reason,
        price,
        qty: Some(qty),
        venue_ns: millis(row, 5),
    }))
}

/// Tells one order array; returns what it told.
pub(crate) fn on_order(
    registry: &Registry,
    row: Value<'_>,
    life: Life,
    out: &mut impl Sink,
) -> Result<Option<OrderReport>, DecodeError> {
    let Some(id) = instrument(registry, row, 3)? else {
        out.event(&Event::Ignored(FOREIGN_ORDER));
        return Ok(None);
    };
    let report = report(id, row, life)?;
    out.event(&Event::Order(report));
    Ok(Some(report))
}

/// One own trade with its fee, from `tu` or a list; `None` when it is of an instrument we do not follow.
pub(crate) fn fill(registry: &Registry, row: Value<'_>) -> Result<Option<FillReport>, DecodeError> {
    let Some(instrument) = instrument(registry, row, 1)? else {
        return Ok(None);
    };
    let (trade_id, order_id) = (uint(row, 0), uint(row, 3));
    if trade_id == 0 {
        return Err(DecodeError::Field("trade id"));
    }
    if order_id == 0 {
        return Err(DecodeError::Field("order id"));
    }
    let (side, qty) = sided(number(row, 4, "amount")?, "amount")?;
    let fee = optional(row, 9, "fee")?.unwrap_or(Decimal::ZERO);
    let named = Named {
        instrument,
        client_id: client_id(row, 11),
        order_id: OrderId(u128::from(order_id)),
        side,
        cum: None,
    };
    Ok(Some(named.fill(&Trade {
        id: TradeId(u128::from(trade_id)),
        price: number(row, 5, "price")?,
        qty,
        fee: negated(fee, "fee")?,
        fee_asset: registry.find_asset(text(row, 10)).unwrap_or(AssetId::NONE),
        liquidity: match item(row, 8).and_then(Value::as_i64) {
            Some(1) => Liquidity::Maker,
            Some(-1) => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns: millis(row, 2),
    })))
}

/// What became of a wallet's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wallet {
    /// It was told, or is of no use.
    Done,
    /// What is free of this asset is not told: it must be asked for.
    Unknown(AssetId),
}

/// One wallet row: of the exchange wallet, and of the margin wallet what derivatives are settled in.
pub(crate) fn on_wallet(
    registry: &Registry,
    row: Value<'_>,
    out: &mut impl Sink,
) -> Result<Wallet, DecodeError> {
    let name = row.at(1).and_then(Value::as_str);
    let name = name.ok_or(DecodeError::Field("currency"))?;
    let kind = row.at(0).and_then(Value::as_str);
    let is_ours = match kind.ok_or(DecodeError::Field("wallet"))? {
        "exchange" => !is_collateral(name),
        "margin" => is_collateral(name),
        _ => false,
    };
    if !is_ours {
        out.event(&Event::Ignored(OTHER_WALLET));
        return Ok(Wallet::Done);
    }
    let asset = registry.find_asset(name);
    let balance = number(row, 2, "balance")?;
    let Some(free) = optional(row, 4, "available")? else {
        out.event(&Event::Ignored(AVAILABLE_TO_COME));
        return Ok(asset.map_or(Wallet::Done, Wallet::Unknown));
    };
    out.event(&Event::Balance(Balance {
        venue: ID,
        asset: asset.unwrap_or(AssetId::NONE),
        free,
        locked: minus(balance, free, "available")?,
    }));
    Ok(Wallet::Done)
}

/// One position row, of a perpetual that we follow; the instrument, if it is.
pub(crate) fn on_position(
    registry: &Registry,
    row: Value<'_>,
    is_closed: bool,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    let symbol = row.at(0).and_then(Value::as_str);
    let symbol = symbol.ok_or(DecodeError::Field("symbol"))?;
    if !is_derivative(symbol) {
        out.event(&Event::Ignored(SPOT_POSITION));
        return Ok(None);
    }
    let Some(instrument) = registry.find(ID, symbol.as_bytes()) else {
        out.event(&Event::Ignored(ignored::NOT_FOLLOWED));
        return Ok(None);
    };
    let qty = if is_closed {
        Decimal::ZERO
    } else {
        number(row, 2, "amount")?
    };
    out.event(&Event::Position(PositionReport {
        instrument,
        qty,
        entry: optional(row, 3, "base price")?,
        venue_ns: millis(row, 13),
    }));
    Ok(Some(instrument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_by_their_beginnings() {
        use {OrderState as S, RejectReason as R};
        for (status, life, want) in [
            ("ACTIVE", Life::Open, Some((S::Ack, R::None))),
            (
                "PARTIALLY FILLED @ 65000.0(0.0004)",
                Life::Open,
                Some((S::PartiallyFilled, R::None)),
            ),
            (
                "EXECUTED @ 107.6(-0.2)",
                Life::Closed,
                Some((S::Filled, R::None)),
            ),
            (
                "FORCED EXECUTED @ 1.0(2.0)",
                Life::Closed,
                Some((S::Filled, R::None)),
            ),
            (
                "CANCELED was: PARTIALLY FILLED @ 1.0(2.0)",
                Life::Closed,
                Some((S::Cancelled, R::None)),
            ),
            ("IOC CANCELED", Life::Closed, Some((S::Expired, R::None))),
            (
                "FILLORKILL CANCELED",
                Life::Closed,
                Some((S::Expired, R::None)),
            ),
            (
                "POSTONLY CANCELED",
                Life::Closed,
                Some((S::Rejected, R::PostOnlyCross)),
            ),
            (
                "INSUFFICIENT BALANCE (U1) was: ACTIVE",
                Life::Closed,
                Some((S::Rejected, R::InsufficientFunds)),
            ),
            (
                "RSN_BOOKSLIP 1",
                Life::Closed,
                Some((S::Rejected, R::PriceBand)),
            ),
            (
                "RSN_POS_REDUCE_FLIP",
                Life::Closed,
                Some((S::Rejected, R::Invalid)),
            ),
            (
                "SOMETHING NEW",
                Life::Closed,
                Some((S::Cancelled, R::Other)),
            ),
            ("ACTIVE", Life::Closed, Some((S::Cancelled, R::Other))),
            ("SOMETHING NEW", Life::Open, None),
        ] {
            assert_eq!(evidence(status, life), want, "{status}");
        }
    }

    #[test]
    fn differences_are_exact() {
        let number = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        for (from, what, want) in [
            ("1", "0.4", "0.6"),
            ("0.001", "0.001", "0.000"),
            ("1e3", "1", "999"),
        ] {
            let made = minus(number(from), number(what), "x").unwrap();
            assert_eq!(made.to_string(), want);
        }
        assert!(minus(number("1e18"), number("1e-18"), "x").is_err());
    }
}
