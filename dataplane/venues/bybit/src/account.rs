//! Private pushes → events: order reports, fills, balances, positions.
//!
//! ```text
//! orderStatus                          rejectReason                       evidence for
//! New, Untriggered, Triggered, Active                                     Ack
//! PartiallyFilled                                                         PartiallyFilled
//! Filled                               (a cancel that came late: any)     Filled
//! Cancelled, PartiallyFilledCanceled,  EC_PostOnlyWillTakeLiquidity       Rejected(PostOnlyCross)
//!   Deactivated                        EC_NoImmediateQtyToFill, -ForNoFullFill   Expired
//!                                      anything else                      Cancelled
//! Rejected                             by its word                        Rejected
//! ```
//! `execution` tells fills, `order` tells states, in either order: the order's own `cumExecQty` shows a fill that is
//! still missing. `execution.fast` tells the same fills without their fees: it reads, and is not subscribed.
//! Funding comes as an execution too: no fill, a payment, whose `execFee` is what we paid (below 0: received), its id the
//! `execId`; the list of executions tells it again. Settlements are neither. A charge is positive here as with us. An
//! item of another category than ours is of an instrument we do not follow, whatever its name.
//! Source: venue page, sections 4.2 and 4.2A, read 2026-11-20; fixtures `account_*.json`.

use crate::feed::{at, millis, optional, side, text, trade_id};
use crate::reject;
use crate::symbols::{self, Category, parse_client_id, parse_id};
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, FillReport, FundingReport, InstrumentId, Liquidity,
    NumError, OrderId, OrderReport, OrderState, PositionReport, RejectReason, Side,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

/// Why items of other instruments, or of the same name elsewhere, are passed over.
const NOT_FOLLOWED: Event<'static> = Event::Ignored("of an instrument we do not follow");
const NO_TRADE: Event<'static> = Event::Ignored("a settlement: no trade of an order");
const HEDGED: Event<'static> = Event::Ignored("one leg of a hedged position");

/// The instrument of an item; `None` when we do not follow it.
fn followed(
    registry: &Registry,
    category: Option<Category>,
    item: Value<'_>,
) -> Result<Option<InstrumentId>, DecodeError> {
    let symbol = item.str("symbol").map_err(at("symbol"))?;
    let told = text(item, "category");
    let is_other = category.is_some_and(|own| !told.is_empty() && own.as_str() != told);
    if is_other {
        return Ok(None);
    }
    Ok(symbols::find(registry, category, symbol))
}

/// The venue's id of an order, which is always there.
fn order_id(item: Value<'_>) -> Result<OrderId, DecodeError> {
    parse_id(text(item, "orderId").as_bytes())
        .filter(|id| *id != 0)
        .map(OrderId)
        .ok_or(DecodeError::Field("orderId"))
}

fn client_id(item: Value<'_>) -> Option<ClientOrderId> {
    parse_client_id(text(item, "orderLinkId").as_bytes())
}

/// What the status and its reason show. `None` for a status that we do not know.
pub(crate) fn evidence(
    status: &[u8],
    word: &[u8],
    is_partly_done: bool,
) -> Option<(OrderState, RejectReason)> {
    let none = RejectReason::None;
    Some(match status {
        b"New" | b"Created" | b"Untriggered" | b"Triggered" | b"Active" => (OrderState::Ack, none),
        b"PartiallyFilled" => (OrderState::PartiallyFilled, none),
        b"Filled" => (OrderState::Filled, none),
        b"Cancelled" | b"PartiallyFilledCanceled" | b"Deactivated" => {
            match reject::reason_of_word(word) {
                // An amend may cross after a fill: what was done stays done.
                RejectReason::PostOnlyCross if is_partly_done => {
                    (OrderState::Cancelled, RejectReason::PostOnlyCross)
                }
                RejectReason::PostOnlyCross => (OrderState::Rejected, RejectReason::PostOnlyCross),
                _ if reject::is_own_terms(word) => (OrderState::Expired, none),
                _ => (OrderState::Cancelled, none),
            }
        }
        b"Rejected" => {
            let reason = match reject::reason_of_word(word) {
                RejectReason::None => RejectReason::Other,
                reason => reason,
            };
            // Seen: refused with something done.
            if is_partly_done {
                (OrderState::Cancelled, reason)
            } else {
                (OrderState::Rejected, reason)
            }
        }
        _ => return None,
    })
}

/// One order object, as pushed, listed or queried.
pub(crate) fn report(
    instrument: InstrumentId,
    item: Value<'_>,
) -> Result<OrderReport, DecodeError> {
    let cum = optional(item, "cumExecQty")?;
    let (state, reason) = evidence(
        item.str("orderStatus")
            .map_err(at("orderStatus"))?
            .as_bytes(),
        text(item, "rejectReason").as_bytes(),
        cum.is_some_and(|cum| !cum.is_zero()),
    )
    .ok_or(DecodeError::Field("orderStatus"))?;
    let named = Named {
        instrument,
        client_id: client_id(item),
        order_id: order_id(item)?,
        side: side(item, "side")?,
        cum,
    };
    Ok(named.report(&Standing {
        state,
        reason,
        price: optional(item, "price")?,
        qty: optional(item, "qty")?,
        venue_ns: millis(item, "updatedTime")?,
    }))
}

/// Orders pushed or listed, each by itself. Returns how many there were.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_orders<'a>(
    registry: &Registry,
    category: Option<Category>,
    items: impl Iterator<Item = Value<'a>>,
    out: &mut impl Sink,
) -> Result<usize, DecodeError> {
    each(items, |item| {
        match followed(registry, category, item)? {
            Some(id) => out.event(&Event::Order(report(id, item)?)),
            None => out.event(&NOT_FOLLOWED),
        }
        Ok(())
    })
}

/// Runs over all items, whatever one of them holds; the first error is told, else their count.
fn each<'a>(
    items: impl Iterator<Item = Value<'a>>,
    mut tell: impl FnMut(Value<'a>) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    let (mut count, mut result) = (0, Ok(()));
    for item in items {
        count += 1;
        result = result.and(tell(item));
    }
    result.map(|()| count)
}

/// What an execution is.
enum Execution {
    Fill(FillReport),
    Funding(FundingReport),
    NotFollowed,
    NoTrade,
}

/// Whether an `execType` is a trade; `execution.fast` tells none, and tells trades only.
fn is_trade(exec_type: &str) -> bool {
    matches!(
        exec_type,
        "" | "Trade" | "BlockTrade" | "AdlTrade" | "BustTrade" | "MovePosition"
    )
}

/// What a fee is paid in: told, or by the venue's rule the settlement asset, on spot what was received.
fn fee_asset(
    registry: &Registry,
    category: Option<Category>,
    item: Value<'_>,
    (id, side): (InstrumentId, Side),
) -> AssetId {
    let told = text(item, "feeCurrency");
    if !told.is_empty() {
        return registry.find_asset(told).unwrap_or(AssetId::NONE);
    }
    let is_spot = category == Some(Category::Spot) || text(item, "category") == "spot";
    registry.get(id).map_or(AssetId::NONE, |known| {
        if is_spot && side == Side::Buy {
            known.base
        } else {
            known.quote
        }
    })
}

fn execution(
    registry: &Registry,
    category: Option<Category>,
    item: Value<'_>,
) -> Result<Execution, DecodeError> {
    let exec_type = text(item, "execType");
    let is_funding = exec_type == "Funding";
    if !is_funding && !is_trade(exec_type) {
        return Ok(Execution::NoTrade);
    }
    let Some(id) = followed(registry, category, item)? else {
        return Ok(Execution::NotFollowed);
    };
    if is_funding {
        return Ok(Execution::Funding(funding(registry, item, id)?));
    }
    let side = side(item, "side")?;
    let named = Named {
        instrument: id,
        client_id: client_id(item),
        order_id: order_id(item)?,
        side,
        // Its `leavesQty` is 0 when the rest was cancelled: only the order tells what is done.
        cum: None,
    };
    let liquidity = match item.get("isMaker").and_then(Value::as_bool) {
        Some(true) => Liquidity::Maker,
        Some(false) => Liquidity::Taker,
        None => Liquidity::None,
    };
    Ok(Execution::Fill(named.fill(&Trade {
        id: trade_id(item, "execId")?,
        price: item.decimal("execPrice").map_err(at("execPrice"))?,
        qty: item.decimal("execQty").map_err(at("execQty"))?,
        fee: optional(item, "execFee")?.unwrap_or(Decimal::ZERO),
        fee_asset: fee_asset(registry, category, item, (id, side)),
        liquidity,
        venue_ns: millis(item, "execTime")?,
    })))
}

/// A payment: what was charged as a fee of it, turned round; in the settlement asset where none is named.
fn funding(
    registry: &Registry,
    item: Value<'_>,
    instrument: InstrumentId,
) -> Result<FundingReport, DecodeError> {
    let paid = item.decimal("execFee").map_err(at("execFee"))?;
    let named = registry.find_asset(text(item, "feeCurrency"));
    let settled = || registry.get(instrument).map(|known| known.quote);
    Ok(FundingReport {
        instrument,
        id: trade_id(item, "execId")?,
        amount: negated(paid, "execFee")?,
        asset: named.or_else(settled).unwrap_or(AssetId::NONE),
        venue_ns: millis(item, "execTime")?,
    })
}

/// Executions pushed or listed, each by itself; those without a name of ours get that of the order asked about.
/// Returns how many there were and the latest time of one, Unix milliseconds.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_executions<'a>(
    registry: &Registry,
    category: Option<Category>,
    asked: Option<ClientOrderId>,
    items: impl Iterator<Item = Value<'a>>,
    out: &mut impl Sink,
) -> Result<(usize, u64), DecodeError> {
    let mut latest = 0;
    let count = each(items, |item| {
        match execution(registry, category, item)? {
            Execution::Fill(fill) => {
                let client_id = fill.client_id.or(asked);
                out.event(&Event::Fill(FillReport { client_id, ..fill }));
            }
            Execution::Funding(funding) => out.event(&Event::Funding(funding)),
            Execution::NotFollowed => out.event(&NOT_FOLLOWED),
            Execution::NoTrade => out.event(&NO_TRADE),
        }
        latest = latest.max(millis(item, "execTime")?.0 / 1_000_000);
        Ok(())
    })?;
    Ok((count, latest))
}

/// Positions pushed or listed, each by itself; `heard`: of an instrument we follow.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_positions<'a>(
    registry: &Registry,
    category: Option<Category>,
    items: impl Iterator<Item = Value<'a>>,
    mut heard: impl FnMut(InstrumentId),
    out: &mut impl Sink,
) -> Result<usize, DecodeError> {
    each(items, |item| {
        let Some(instrument) = followed(registry, category, item)? else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        heard(instrument);
        if crate::feed::count(item, "positionIdx")? != 0 {
            out.event(&HEDGED);
            return Ok(());
        }
        let size = item.decimal("size").map_err(at("size"))?;
        let qty = match text(item, "side") {
            "Buy" => size,
            "Sell" => negated(size, "size")?,
            // Flat; old code spells it None.
            "" | "None" if size.is_zero() => size,
            _ => return Err(DecodeError::Field("side")),
        };
        let entry = match optional(item, "entryPrice")? {
            Some(price) => Some(price),
            None => optional(item, "avgPrice")?,
        };
        out.event(&Event::Position(PositionReport {
            instrument,
            qty,
            entry: entry.filter(|price| !price.is_zero()),
            venue_ns: millis(item, "updatedTime")?,
        }));
        Ok(())
    })
}

/// Balances of a wallet push or of `account/wallet-balance`: the same objects, each asset by itself.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_wallets<'a>(
    registry: &Registry,
    accounts: impl Iterator<Item = Value<'a>>,
    out: &mut impl Sink,
) -> Result<usize, DecodeError> {
    each(accounts, |account| {
        let coins = account.array("coin").map_err(at("coin"))?;
        each(coins, |item| {
            out.event(&Event::Balance(balance(registry, item)?));
            Ok(())
        })
        .map(|_| ())
    })
}

/// Locked is what open orders hold, on spot and as margin; free is what neither they nor positions hold.
fn balance(registry: &Registry, item: Value<'_>) -> Result<Balance, DecodeError> {
    let asset = item.str("coin").map_err(at("coin"))?;
    let held = |key| Ok::<_, DecodeError>(optional(item, key)?.unwrap_or(Decimal::ZERO));
    let wallet = held("walletBalance")?;
    let locked = sum(held("locked")?, held("totalOrderIM")?, "locked")?;
    let in_use = sum(locked, held("totalPositionIM")?, "totalPositionIM")?;
    Ok(Balance {
        venue: crate::ID,
        asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
        free: sum(wallet, negated(in_use, "locked")?, "walletBalance")?,
        locked,
    })
}

const fn too_large(field: &'static str) -> DecodeError {
    DecodeError::Number {
        field,
        error: NumError::TooLarge,
    }
}

fn negated(value: Decimal, field: &'static str) -> Result<Decimal, DecodeError> {
    Ok(Decimal {
        mantissa: value.mantissa.checked_neg().ok_or(too_large(field))?,
        ..value
    })
}

/// Exact, with the finer of both exponents; a zero changes nothing, not even the digits.
fn sum(a: Decimal, b: Decimal, field: &'static str) -> Result<Decimal, DecodeError> {
    if b.is_zero() {
        return Ok(a);
    }
    if a.is_zero() {
        return Ok(b);
    }
    let exponent = a.exponent.min(b.exponent).min(0);
    let add = || {
        let a = a.to_increments(exponent.unsigned_abs()).ok()?;
        let b = b.to_increments(exponent.unsigned_abs()).ok()?;
        a.checked_add(b)
    };
    Ok(Decimal {
        mantissa: add().ok_or(too_large(field))?,
        exponent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_reasons() {
        use OrderState::{Ack, Cancelled, Expired, Filled, PartiallyFilled, Rejected};
        let none = RejectReason::None;
        let cross = RejectReason::PostOnlyCross;
        for (status, word, is_partly_done, expected) in [
            ("New", "EC_NoError", false, Some((Ack, none))),
            ("PartiallyFilled", "", true, Some((PartiallyFilled, none))),
            (
                "Filled",
                "EC_OrigClOrdIDDoesNotExist",
                true,
                Some((Filled, none)),
            ),
            (
                "Cancelled",
                "EC_PerCancelRequest",
                true,
                Some((Cancelled, none)),
            ),
            (
                "Cancelled",
                "EC_NoImmediateQtyToFill",
                true,
                Some((Expired, none)),
            ),
            (
                "Cancelled",
                "EC_CancelForNoFullFill",
                false,
                Some((Expired, none)),
            ),
            (
                "Cancelled",
                "EC_BySelfMatch",
                false,
                Some((Cancelled, none)),
            ),
            (
                "Cancelled",
                "EC_PostOnlyWillTakeLiquidity",
                false,
                Some((Rejected, cross)),
            ),
            (
                "Rejected",
                "EC_PostOnlyWillTakeLiquidity",
                false,
                Some((Rejected, cross)),
            ),
            (
                "Rejected",
                "EC_NoError",
                false,
                Some((Rejected, RejectReason::Other)),
            ),
            (
                "Rejected",
                "EC_Others",
                true,
                Some((Cancelled, RejectReason::Other)),
            ),
            ("PartiallyFilledCanceled", "", true, Some((Cancelled, none))),
            ("Lost", "", false, None),
        ] {
            let got = evidence(status.as_bytes(), word.as_bytes(), is_partly_done);
            assert_eq!(got, expected, "{status} {word}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let of = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        for (a, b, text) in [
            ("1.50", "0.125", "1.625"),
            ("0", "2.0", "2.0"),
            ("2.0", "0.000", "2.0"),
            ("201.34882644", "-202.99874213", "-1.64991569"),
            ("1e2", "1", "101"),
        ] {
            assert_eq!(sum(of(a), of(b), "x").unwrap().to_string(), text);
        }
        let max = Decimal {
            mantissa: i64::MAX,
            exponent: 0,
        };
        assert_eq!(sum(max, of("0.1"), "x"), Err(too_large("x")));
    }
}
