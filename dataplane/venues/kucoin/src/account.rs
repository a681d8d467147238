//! Private pushes → events: order reports, fills, balances, positions.
//!
//! ```text
//! type       status        evidence for
//! received   new           an answer: the venue has it, the book does not yet
//! open       open          Ack
//! match      match, open   a Fill (we took, we were taken), then PartiallyFilled
//! filled     done          Filled
//! canceled   done          Cancelled; Rejected(PostOnlyCross) where it is seen to be that
//! update     open, match   Ack with its new quantity
//! update     done          Cancelled
//! ```
//! That a post-only order would have taken is told nowhere: it is cancelled without having been on the book, and
//! we did not ask for it. So the post-only orders that were sent and not seen yet are kept ([`Posted`]).
//! The fill goes out before the state it led to, so that a final state never precedes its last fill. The push
//! tells no fee: it is reckoned from the account's rates ([`Rates`]), up at the last place. A fill whose price
//! or size is empty (one is so in the venue's documents) is left to the list of fills: the order's own count
//! shows that it is missing.
//! Source: venue page, section 4.4, read 2026-11-20; fixtures `account_*.json`.

use crate::feed::{at, decimal, find, id, integer, optional, side, text, time};
use crate::symbols::parse_client_id;
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, InstrumentId, Liquidity, OrderId, OrderState,
    PositionReport, RejectReason, TradeId, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, RequestAck, Sink, Standing, Trade};
use dp_wire::json::Value;

/// Post-only orders sent and not seen yet that are kept: what goes out in the moments until the first word of
/// each. One too many takes the place of the oldest, whose refusal then reads as a cancel.
const POSTED_MAX: usize = 64;

/// Post-only orders that were sent and not heard of yet.
#[derive(Debug, Clone)]
pub struct Posted {
    ids: [ClientOrderId; POSTED_MAX],
    next: usize,
}

impl Default for Posted {
    fn default() -> Self {
        Self {
            ids: [ClientOrderId(0); POSTED_MAX],
            next: 0,
        }
    }
}

impl Posted {
    /// One was sent.
    pub fn add(&mut self, id: ClientOrderId) {
        if let Some(slot) = self.ids.get_mut(self.next) {
            *slot = id;
        }
        self.next = (self.next + 1) % POSTED_MAX;
    }

    /// It was seen, or its cancel was sent. Says whether it was among those not seen yet.
    pub fn remove(&mut self, id: ClientOrderId) -> bool {
        let slot = self.ids.iter_mut().find(|held| **held == id && id.0 != 0);
        slot.map(|slot| *slot = ClientOrderId(0)).is_some()
    }

    /// The stream was lost: what it would have told of them is not known.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What the account is charged on one instrument, as parts of the value traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Where ours rested.
    pub maker: Decimal,
    /// Where ours took.
    pub taker: Decimal,
}

/// Decimals of a reckoned fee: those of a value in the node's accounts.
const FEE_DECIMALS: u32 = 12;

impl Rates {
    /// The charge on `qty` at `price` at a rate, rounded up. `None` when it leaves the range.
    pub fn fee(rate: Decimal, price: Decimal, qty: Decimal) -> Option<Decimal> {
        let product = i128::from(price.mantissa)
            .checked_mul(i128::from(qty.mantissa))?
            .checked_mul(i128::from(rate.mantissa))?;
        let exponent = [price, qty, rate].map(|part| i32::from(part.exponent));
        let exponent: i32 = exponent.iter().sum();
        let (mantissa, exponent) = if exponent < -(FEE_DECIMALS as i32) {
            let cut = exponent.unsigned_abs() - FEE_DECIMALS;
            // Beyond 38 places nothing is left but what is rounded up.
            let scale = 10i128.checked_pow(cut).unwrap_or(i128::MAX);
            let up = i128::from(product.rem_euclid(scale) != 0);
            (product.div_euclid(scale) + up, -(FEE_DECIMALS as i32))
        } else {
            (product, exponent)
        };
        Some(Decimal {
            mantissa: i64::try_from(mantissa).ok()?,
            exponent: i8::try_from(exponent).ok().filter(|it| *it <= 18)?,
        })
    }
}

/// What the private stream is read against.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) posted: Posted,
    /// By instrument.
    pub(crate) rates: Vec<Option<Rates>>,
}

/// The side of the book a fill was on.
pub(crate) fn liquidity_of(word: &str) -> Liquidity {
    match word {
        "maker" | "MAKER" => Liquidity::Maker,
        "taker" | "TAKER" => Liquidity::Taker,
        _ => Liquidity::None,
    }
}

/// The instrument, or nothing, and told so, where it is one that we do not follow.
pub(crate) fn known(
    found: Result<InstrumentId, DecodeError>,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    match found {
        Ok(id) => Ok(Some(id)),
        Err(DecodeError::UnknownSymbol) => {
            out.event(&Event::Ignored(NOT_FOLLOWED));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(crate) const NOT_FOLLOWED: &str = "an order of an instrument we do not follow";

pub(crate) fn client_id(item: Value<'_>) -> Option<ClientOrderId> {
    parse_client_id(text(item, "clientOid").as_bytes())
}

/// The venue's id of an order, which is always there.
pub(crate) fn order_id(item: Value<'_>, key: &'static str) -> Result<OrderId, DecodeError> {
    match id(item, key)? {
        0 => Err(DecodeError::Field(key)),
        id => Ok(OrderId(id)),
    }
}

/// What a push shows. `None` for a type we do not know.
fn evidence(kind: &str, status: &str) -> Option<OrderState> {
    Some(match (kind, status) {
        ("open", _) | ("update", "open" | "match" | "new") => OrderState::Ack,
        ("match", _) => OrderState::PartiallyFilled,
        ("filled", _) => OrderState::Filled,
        ("canceled", _) | ("update", "done") => OrderState::Cancelled,
        _ => return None,
    })
}

impl Book {
    /// One push of the orders topic, spot or futures.
    pub(crate) fn on_order(
        &mut self,
        registry: &Registry,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let symbol = data.str("symbol").map_err(at("symbol"))?;
        let Some(instrument) = known(find(registry, symbol), out)? else {
            return Ok(());
        };
        let named = Named {
            instrument,
            client_id: client_id(data),
            order_id: order_id(data, "orderId")?,
            side: side(data, "side")?,
            cum: optional(data, "filledSize")?,
        };
        let venue_ns = time(data, "ts")?;
        let kind = data.str("type").map_err(at("type"))?;
        if kind == "received" {
            out.event(&received(&named, venue_ns));
            return Ok(());
        }
        let state = evidence(kind, text(data, "status")).ok_or(DecodeError::Field("type"))?;
        if kind == "match"
            && let Some(trade) = self.trade(registry, instrument, data, venue_ns)?
        {
            out.event(&Event::Fill(named.fill(&trade)));
        }
        let was_posted = named.client_id.is_some_and(|id| self.posted.remove(id));
        let is_untouched = named.cum.is_none_or(Decimal::is_zero);
        let is_cross = state == OrderState::Cancelled && was_posted && is_untouched;
        let (state, reason) = if is_cross {
            (OrderState::Rejected, RejectReason::PostOnlyCross)
        } else {
            (state, RejectReason::None)
        };
        // An update tells the new size, everything else the one it has had.
        let qty = match optional(data, "size")? {
            Some(size) => Some(size),
            None => optional(data, "originSize")?,
        };
        out.event(&Event::Order(named.report(&Standing {
            state,
            reason,
            price: optional(data, "price")?,
            qty,
            venue_ns,
        })));
        Ok(())
    }

    /// The trade in a push; `None` where its price or size is empty.
    fn trade(
        &self,
        registry: &Registry,
        instrument: InstrumentId,
        data: Value<'_>,
        venue_ns: VenueNanos,
    ) -> Result<Option<Trade>, DecodeError> {
        let (price, qty) = (optional(data, "matchPrice")?, optional(data, "matchSize")?);
        let (Some(price), Some(qty)) = (price, qty) else {
            return Ok(None);
        };
        let liquidity = liquidity_of(text(data, "liquidity"));
        // What is charged may differ from the side of the book: a fill against a hidden order.
        let charged = match text(data, "feeType") {
            "makerFee" => Liquidity::Maker,
            "takerFee" => Liquidity::Taker,
            _ => liquidity,
        };
        let rates = self.rates.get(instrument.0 as usize).copied().flatten();
        let rate = rates.and_then(|rates| match charged {
            Liquidity::Maker => Some(rates.maker),
            Liquidity::Taker => Some(rates.taker),
            Liquidity::None => None,
        });
        let fee = rate.and_then(|rate| Rates::fee(rate, price, qty));
        let quote = registry.get(instrument).map(|known| known.quote);
        Ok(Some(Trade {
            id: TradeId(id(data, "tradeId")?),
            price,
            qty,
            fee: fee.unwrap_or(Decimal::ZERO),
            fee_asset: fee.and(quote).unwrap_or(AssetId::NONE),
            liquidity,
            venue_ns,
        }))
    }
}

/// The venue has an order and not yet on its book: that answers the request, and no more.
fn received<'a>(named: &Named, venue_ns: VenueNanos) -> Event<'a> {
    match named.client_id {
        Some(client_id) => Event::Ack(RequestAck {
            client_id,
            order_id: named.order_id,
            reason: RejectReason::None,
            code: 0,
            venue_ns,
        }),
        None => Event::Ignored("received: an order that is not ours"),
    }
}

/// A balance push. Other accounts of the same person are told by the same topic; `relationEvent` begins with
/// the account's name, and ours is the trade account (`trade`, `trade_hf`).
pub(crate) fn on_balance(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let event = text(data, "relationEvent");
    let account = event.split('.').next().unwrap_or("");
    if !matches!(account, "trade" | "trade_hf" | "") {
        out.event(&Event::Ignored(OTHER_ACCOUNT));
        return Ok(());
    }
    out.event(&Event::Balance(Balance {
        venue: crate::ID,
        asset: asset(registry, data)?,
        free: decimal(data, "available")?,
        locked: decimal(data, "hold")?,
    }));
    Ok(())
}

pub(crate) const OTHER_ACCOUNT: &str = "a balance of another account";

pub(crate) fn asset(registry: &Registry, data: Value<'_>) -> Result<AssetId, DecodeError> {
    let name = data.str("currency").map_err(at("currency"))?;
    Ok(registry.find_asset(name).unwrap_or(AssetId::NONE))
}

/// A futures wallet push.
pub(crate) fn on_wallet(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(free) = optional(data, "availableBalance")? else {
        out.event(&Event::Ignored("a wallet's margin, not its balance"));
        return Ok(());
    };
    out.event(&Event::Balance(Balance {
        venue: crate::ID,
        asset: asset(registry, data)?,
        free,
        locked: optional(data, "holdBalance")?.unwrap_or(Decimal::ZERO),
    }));
    Ok(())
}

/// A futures position push; those that tell only its value at a new mark price have no `currentQty`.
pub(crate) fn on_position(
    registry: &Registry,
    symbol: &str,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(qty) = data.get("currentQty").and_then(integer) else {
        out.event(&Event::Ignored("a position's value, not its size"));
        return Ok(());
    };
    let Some(instrument) = known(find(registry, symbol), out)? else {
        return Ok(());
    };
    out.event(&Event::Position(PositionReport {
        instrument,
        qty: Decimal {
            mantissa: qty,
            exponent: 0,
        },
        entry: optional(data, "avgEntryPrice")?,
        venue_ns: time(data, "currentTimestamp")?,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn fees_are_exact_and_rounded_up_at_the_last_place() {
        for (rate, price, qty, fee) in [
            ("0.001", "65000.1", "0.0004", "0.02600004"),
            ("0.001", "0.0000026192", "0.0001", "0.000000000001"),
            ("0", "65000", "1", "0"),
            ("-0.0001", "65000", "1", "-6.5"),
        ] {
            let made = Rates::fee(number(rate), number(price), number(qty)).unwrap();
            let want = number(fee);
            let scaled = |value: Decimal| value.to_increments(12).unwrap();
            assert_eq!(scaled(made), scaled(want), "{rate} {price} {qty}");
        }
        let large = number("9223372036854775807");
        assert_eq!(Rates::fee(large, large, large), None);
    }

    #[test]
    fn a_posted_order_is_seen_once_and_the_oldest_gives_way() {
        let mut posted = Posted::default();
        let id = |n: u64| ClientOrderId(n + 1);
        assert!(!posted.remove(ClientOrderId(0)));
        for n in 0..=POSTED_MAX as u64 {
            posted.add(id(n));
        }
        assert!(!posted.remove(id(0)), "gave way");
        assert!(posted.remove(id(1)) && !posted.remove(id(1)));
        posted.clear();
        assert!(!posted.remove(id(2)));
    }

    proptest! {
        #[test]
        fn any_three_numbers_have_a_fee_or_none(
            parts in proptest::array::uniform3((any::<i64>(), -18i8..=18)),
        ) {
            let [rate, price, qty] = parts.map(|(mantissa, exponent)| Decimal { mantissa, exponent });
            let _ = Rates::fee(rate, price, qty);
        }
    }
}
