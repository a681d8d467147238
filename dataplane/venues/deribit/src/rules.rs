//! What an instrument is traded by, however the venue told it: a list, or a definition on the wire.

use crate::symbols::is_spot;
use dp_types::{Decimal, Instrument, NumError, Payoff, Price};
use dp_venue_api::{DecodeError, Registry};

/// Books may hold orders from before tick or lot were made coarser, so increments are finer than the rules: prices
/// by two places, amounts by six but to no more than eight.
const PRICE_DECIMALS_FINER: u8 = 2;
const QTY_DECIMALS_FINER: u8 = 6;
const QTY_DECIMALS_MAX: u8 = 8;

/// `decimals` and `by` more, but to no more than `max` unless the rule itself is finer.
const fn finer(decimals: u8, by: u8, max: u8) -> u8 {
    let more = decimals.saturating_add(by);
    let capped = if more > max { max } else { more };
    if capped > decimals { capped } else { decimals }
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// The places that count of a number printed as a double: `10.0` has none.
fn places(value: Decimal) -> u8 {
    let mut value = value;
    while value.exponent < 0 && value.mantissa % 10 == 0 {
        value.mantissa /= 10;
        value.exponent += 1;
    }
    value.decimals()
}

/// The tick of an instrument, and the places of its finest one.
///
/// Where the tick grows with the price (options: 0.0001, and 0.0005 above 0.005) we quote by the coarsest, which is
/// right at every price as long as each is a multiple of the finer ones, as they all are; what cheap options lose in
/// fineness, dear ones do not pay in refusals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    coarsest: Decimal,
    finest_places: u8,
}

impl Ticks {
    pub(crate) fn new(tick: Decimal) -> Self {
        Self {
            coarsest: tick,
            finest_places: places(tick),
        }
    }

    /// Takes one more, of other prices.
    pub(crate) fn also(&mut self, tick: Decimal) {
        self.finest_places = self.finest_places.max(places(tick));
        let units = |value: Decimal| value.to_increments(10).unwrap_or(0);
        if units(tick) > units(self.coarsest) {
            self.coarsest = tick;
        }
    }
}

/// The rules of one instrument. Quantities are the venue's amounts, not its contracts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) ticks: Ticks,
    pub(crate) amount_min: Decimal,
    /// Of futures: amounts are multiples of it.
    pub(crate) contract: Option<Decimal>,
    pub(crate) is_live: bool,
    /// The venue's number of the instrument.
    pub(crate) venue_code: u64,
    /// What a position gains; `None` where that is not told.
    pub(crate) payoff: Option<Payoff>,
    /// The base, and what it is settled in; `None` where that is not told.
    pub(crate) assets: Option<(&'a str, &'a str)>,
}

impl Rules<'_> {
    /// The instrument by these rules, over what we knew of it. Errors: a number that does not fit; no room for assets.
    pub(crate) fn over(
        &self,
        known: Instrument,
        registry: &mut Registry,
    ) -> Result<Instrument, DecodeError> {
        let lot = self.contract.unwrap_or(self.amount_min);
        let qty_places = places(lot).max(places(self.amount_min));
        let mut made = Instrument {
            price_decimals: finer(self.ticks.finest_places, PRICE_DECIMALS_FINER, 18),
            qty_decimals: finer(qty_places, QTY_DECIMALS_FINER, QTY_DECIMALS_MAX),
            is_live: self.is_live,
            is_spot: is_spot(known.symbol.as_str()),
            venue_code: self.venue_code,
            payoff: self.payoff.unwrap_or(known.payoff),
            ..known
        };
        made.tick = made
            .price(self.ticks.coarsest)
            .map_err(number("tick_size"))?;
        if made.tick <= Price(0) {
            return Err(DecodeError::Field("tick_size")); // 0 would mean that there are no rules
        }
        made.lot = made.qty(lot).map_err(number("contract_size"))?;
        made.qty_min = made
            .qty(self.amount_min)
            .map_err(number("min_trade_amount"))?;
        let mut asset = |name: &str| {
            registry
                .asset(name)
                .map_err(|_| DecodeError::TooMuch("assets"))
        };
        if let Some((base, settled)) = self.assets {
            (made.base, made.quote) = (asset(base)?, asset(settled)?);
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_are_finer_than_the_rules_within_bounds() {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        assert_eq!(places(decimal("10.0")), 0);
        assert_eq!(places(decimal("0.0")), 0);
        assert_eq!(places(decimal("0.5")), 1);
        assert_eq!(places(decimal("1.0e-5")), 5);
        let qty = |lot| finer(lot, QTY_DECIMALS_FINER, QTY_DECIMALS_MAX);
        assert_eq!((qty(0), qty(2), qty(8), qty(10)), (6, 8, 8, 10));
        assert_eq!((finer(1, 2, 18), finer(17, 2, 18)), (3, 18));
        let mut ticks = Ticks::new(decimal("0.0001"));
        ticks.also(decimal("0.0005"));
        ticks.also(decimal("0.0002"));
        assert_eq!(ticks.coarsest, decimal("0.0005"));
        assert_eq!(ticks.finest_places, 4);
    }
}
