//! What is traded and by which rules: increments, tick, lot, limits, and the only maker of [`Notional`].

use crate::num::pow10;
use crate::{
    AssetId, Decimal, InstrumentId, Level, Notional, NumError, Price, Qty, RawLevel, Text, VenueId,
};

/// Parts of a quantity increment in which fees taken out of what was bought are kept: venues charge parts
/// of a thousandth of a quantity.
pub const BASE_FEE_PARTS: i64 = 10_000;
/// Its decimals.
const BASE_FEE_DECIMALS: i32 = 4;

/// What a position gains as the price moves, in what it is settled in (`quote`).
///
/// ```text
/// Linear    q contracts of c at p are worth q x c x p; from e to x they gain q x c x (x - e)
/// Inverse   c is in what the price is in (dollars): q contracts are worth q x c / p of the coin they are settled in,
///           base and quote both; from e to x they gain q x c x (1/e - 1/x) of it
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Payoff {
    /// Spot, linear contracts, options priced in what they are settled in.
    #[default]
    Linear,
    /// Contracts of a fixed sum, settled in the coin.
    Inverse,
    /// The venue's words do not tell: it has no value, and is not traded.
    Unknown,
}

impl Payoff {
    /// By its number; `None` when it is none.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Linear),
            1 => Some(Self::Inverse),
            2 => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// One instrument at one venue.
///
/// `Price` and `Qty` count increments of 10^-`price_decimals` and 10^-`qty_decimals`; tick and lot are
/// rules on top and may change while running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instrument {
    /// Our dense id.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: VenueId,
    /// Decimals of one price increment, 0..=18.
    pub price_decimals: u8,
    /// Decimals of one quantity increment, 0..=18.
    pub qty_decimals: u8,
    /// The venue says it trades now.
    pub is_live: bool,
    /// What is bought is held as its asset: what one has of both assets follows from fills.
    pub is_spot: bool,
    /// What a position in it gains.
    pub payoff: Payoff,
    /// The venue's symbol.
    pub symbol: Text<31>,
    /// Base asset.
    pub base: AssetId,
    /// Quote (settlement) asset.
    pub quote: AssetId,
    /// Numeric code some venues want in orders (OKX `instIdCode`); 0 = none.
    pub venue_code: u64,
    /// Smallest price step; 0 = no rule.
    pub tick: Price,
    /// Smallest quantity step; 0 = no rule.
    pub lot: Qty,
    /// Smallest order.
    pub qty_min: Qty,
    /// Largest order; 0 = no rule.
    pub qty_max: Qty,
    /// Smallest order value; 0 = no rule.
    pub notional_min: Notional,
    /// Base units one unit of quantity stands for (contract value x multiplier); 1 for spot. Of inverse contracts: units of
    /// what the price is in.
    pub multiplier: Decimal,
}

/// Which rule of the instrument an order or a number breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentFault {
    /// The price is not a multiple of the tick.
    OffTick,
    /// The quantity is not a multiple of the lot.
    OffLot,
    /// Below the smallest order.
    BelowMin,
    /// Above the largest order.
    AboveMax,
    /// Below the smallest order value.
    BelowNotional,
    /// Price or quantity is zero or negative.
    NotPositive,
    /// The instrument does not trade now.
    NotLive,
    /// A product left the range of its integer.
    Overflow,
    /// What a position in it would gain is not known ([`Payoff::Unknown`]).
    NoPayoff,
}

impl Instrument {
    /// An instrument with increments only and no rules: what replay starts from before metadata is seen.
    pub const fn bare(
        id: InstrumentId,
        venue: VenueId,
        symbol: Text<31>,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Self {
        Self {
            id,
            venue,
            price_decimals,
            qty_decimals,
            is_live: true,
            is_spot: false,
            payoff: Payoff::Linear,
            symbol,
            base: AssetId::NONE,
            quote: AssetId::NONE,
            venue_code: 0,
            tick: Price(0),
            lot: Qty(0),
            qty_min: Qty(0),
            qty_max: Qty(0),
            notional_min: Notional(0),
            multiplier: Decimal {
                mantissa: 1,
                exponent: 0,
            },
        }
    }

    /// A printed price in this instrument's increments. Errors: [`NumError`] when it does not fit exactly.
    #[inline(always)]
    pub fn price(&self, printed: Decimal) -> Result<Price, NumError> {
        printed.to_increments(self.price_decimals).map(Price)
    }

    /// A printed quantity in this instrument's increments. Errors: as [`Instrument::price`].
    #[inline(always)]
    pub fn qty(&self, printed: Decimal) -> Result<Qty, NumError> {
        printed.to_increments(self.qty_decimals).map(Qty)
    }

    /// A printed level in increments, keeping how many decimals each number was printed with.
    #[inline(always)]
    pub fn level(&self, raw: &RawLevel) -> Result<Level, NumError> {
        Ok(Level {
            price: self.price(raw.price)?,
            qty: self.qty(raw.qty)?,
            price_printed: raw.price.decimals(),
            qty_printed: raw.qty.decimals(),
        })
    }

    /// The price as a decimal number.
    pub const fn price_decimal(&self, price: Price) -> Decimal {
        Decimal {
            mantissa: price.0,
            exponent: -(self.price_decimals as i8),
        }
    }

    /// The quantity as a decimal number.
    pub const fn qty_decimal(&self, qty: Qty) -> Decimal {
        Decimal {
            mantissa: qty.0,
            exponent: -(self.qty_decimals as i8),
        }
    }

    /// A fee taken out of what was bought, in [`BASE_FEE_PARTS`]ths of an increment, rounded up: what is left
    /// is never overstated. `None` when it leaves the range.
    pub fn base_fee(&self, fee: Decimal) -> Option<i64> {
        let exponent = i32::from(fee.exponent) + i32::from(self.qty_decimals) + BASE_FEE_DECIMALS;
        let scale = 10i128.checked_pow(exponent.unsigned_abs())?;
        let mantissa = i128::from(fee.mantissa);
        let parts = if exponent >= 0 {
            mantissa.checked_mul(scale)?
        } else {
            mantissa
                .div_euclid(scale)
                .checked_add(i128::from(mantissa.rem_euclid(scale) != 0))?
        };
        i64::try_from(parts).ok()
    }

    /// A sum of [`Instrument::base_fee`]s as a decimal of the base asset.
    pub const fn base_fee_decimal(&self, parts: i64) -> Decimal {
        Decimal {
            mantissa: parts,
            exponent: -(self.qty_decimals as i8) - BASE_FEE_DECIMALS as i8,
        }
    }

    /// Value of `qty` at `price`, in 10^-12 quote units: rounded towards zero below that, of an inverse contract away from
    /// it, where the price hardly ever divides: what is held against a limit is not understated.
    ///
    /// Errors: `None` when it leaves the range of an `i128`, when the payoff is not known, and for an inverse contract
    /// without a price above 0.
    #[inline]
    pub fn notional(&self, price: Price, qty: Qty) -> Option<Notional> {
        if !matches!(self.payoff, Payoff::Linear) {
            return self.notional_inverse(price, qty);
        }
        let units = i128::from(price.0) * i128::from(qty.0);
        let units = units.checked_mul(i128::from(self.multiplier.mantissa))?;
        let exponent = 12 - i32::from(self.price_decimals) - i32::from(self.qty_decimals)
            + i32::from(self.multiplier.exponent);
        let scale = pow10(exponent.unsigned_abs())?;
        let scaled = if exponent >= 0 {
            units.checked_mul(scale)?
        } else {
            units / scale
        };
        Some(Notional(scaled))
    }

    #[cold]
    fn notional_inverse(&self, price: Price, qty: Qty) -> Option<Notional> {
        if qty.0 == 0 {
            return Some(Notional(0));
        }
        if self.payoff != Payoff::Inverse || price.0 <= 0 {
            return None;
        }
        let units = i128::from(qty.0) * i128::from(self.multiplier.mantissa);
        let exponent = 12 + i32::from(self.price_decimals) - i32::from(self.qty_decimals)
            + i32::from(self.multiplier.exponent);
        let scale = pow10(exponent.unsigned_abs())?;
        let (units, price) = if exponent >= 0 {
            (units.checked_mul(scale)?, i128::from(price.0))
        } else {
            (units, i128::from(price.0).checked_mul(scale)?)
        };
        let is_cut = units % price != 0;
        let away = units.signum() * i128::from(is_cut);
        Some(Notional(units / price + away))
    }

    /// What buying `qty` at `price` lays out, in 10^-12 quote units: its [`Instrument::notional`], and of an inverse contract
    /// that below 0, since to be long of it is to be short of the coin's price in dollars turned over. A position gains what
    /// it would be bought for now less what was laid out for it, whatever its payoff.
    ///
    /// Errors: as [`Instrument::notional`].
    #[inline]
    pub fn outlay(&self, price: Price, qty: Qty) -> Option<Notional> {
        let value = self.notional(price, qty)?;
        match self.payoff {
            Payoff::Inverse => value.0.checked_neg().map(Notional),
            Payoff::Linear | Payoff::Unknown => Some(value),
        }
    }

    /// Checks an order against the venue's rules. `price` is `None` for a market order.
    ///
    /// Errors: the first rule broken, [`InstrumentFault`].
    pub fn check(&self, price: Option<Price>, qty: Qty) -> Result<(), InstrumentFault> {
        if !self.is_live {
            return Err(InstrumentFault::NotLive);
        }
        if self.payoff == Payoff::Unknown {
            return Err(InstrumentFault::NoPayoff);
        }
        if qty.0 <= 0 || price.is_some_and(|price| price.0 <= 0) {
            return Err(InstrumentFault::NotPositive);
        }
        if self.lot.0 > 0 && qty.0 % self.lot.0 != 0 {
            return Err(InstrumentFault::OffLot);
        }
        if qty < self.qty_min {
            return Err(InstrumentFault::BelowMin);
        }
        if self.qty_max.0 > 0 && qty > self.qty_max {
            return Err(InstrumentFault::AboveMax);
        }
        let Some(price) = price else { return Ok(()) };
        if self.tick.0 > 0 && price.0 % self.tick.0 != 0 {
            return Err(InstrumentFault::OffTick);
        }
        match self.notional(price, qty) {
            None => Err(InstrumentFault::Overflow),
            Some(value) if value < self.notional_min => Err(InstrumentFault::BelowNotional),
            Some(_) => Ok(()),
        }
    }

    /// The nearest multiple of the tick at or below `price`; `price` itself where there is no tick.
    pub const fn tick_down(&self, price: Price) -> Price {
        if self.tick.0 > 0 {
            Price(price.0 - price.0.rem_euclid(self.tick.0))
        } else {
            price
        }
    }

    /// The nearest multiple of the tick at or above `price`; saturates.
    pub const fn tick_up(&self, price: Price) -> Price {
        let down = self.tick_down(price);
        if down.0 == price.0 {
            price
        } else {
            Price(down.0.saturating_add(self.tick.0))
        }
    }

    /// The nearest multiple of the lot at or below `qty`.
    pub const fn lot_down(&self, qty: Qty) -> Qty {
        if self.lot.0 > 0 {
            Qty(qty.0 - qty.0.rem_euclid(self.lot.0))
        } else {
            qty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn btcusdt() -> Instrument {
        Instrument {
            tick: Price(1),
            lot: Qty(1),
            qty_min: Qty(1),
            qty_max: Qty(900_000_000),
            notional_min: Notional(5_000_000_000_000),
            ..Instrument::bare(
                InstrumentId(0),
                VenueId::BINANCE,
                Text::new("BTCUSDT").unwrap(),
                2,
                5,
            )
        }
    }

    #[test]
    fn notional_is_exact() {
        // 65000.01 x 0.00002 = 1.3000002 quote units
        let value = btcusdt().notional(Price(6_500_001), Qty(2)).unwrap();
        assert_eq!(value, Notional(1_300_000_200_000));
    }

    #[test]
    fn contract_multiplier_counts() {
        // 3 contracts of 0.01 BTC at 65000.1 = 1950.003
        let mut swap = btcusdt();
        (swap.price_decimals, swap.qty_decimals) = (1, 2);
        swap.multiplier = Decimal {
            mantissa: 1,
            exponent: -2,
        };
        assert_eq!(
            swap.notional(Price(650_001), Qty(300)).unwrap(),
            Notional(1_950_003_000_000_000)
        );
    }

    #[test]
    fn an_inverse_contract_is_worth_dollars_by_the_price() {
        // 10 dollars at 60,000 are 0.000166666666(6) of the coin, and so short.
        let mut perpetual = Instrument {
            payoff: Payoff::Inverse,
            ..btcusdt()
        };
        (perpetual.price_decimals, perpetual.qty_decimals) = (1, 0);
        let at = |price, qty| perpetual.notional(Price(price), Qty(qty));
        assert_eq!(at(600_000, 10), Some(Notional(166_666_667)), "rounded up");
        assert_eq!(at(600_000, -10), Some(Notional(-166_666_667)), "and down");
        assert_eq!(at(600_000, 60_000), Some(Notional(1_000_000_000_000)));
        let outlay = perpetual.outlay(Price(600_000), Qty(60_000));
        assert_eq!(outlay, Some(Notional(-1_000_000_000_000)));
        assert_eq!(
            (at(0, 10), at(-5, 10), at(0, 0)),
            (None, None, Some(Notional(0)))
        );
        assert_eq!(
            at(1, i64::MAX).map(|it| it.0),
            Some(i128::from(i64::MAX) * 10_i128.pow(13))
        );
        // A contract of 100 dollars, quantities in hundredths of one.
        perpetual.multiplier = Decimal {
            mantissa: 100,
            exponent: 0,
        };
        perpetual.qty_decimals = 2;
        let value = perpetual.notional(Price(500_000), Qty(250));
        assert_eq!(
            value,
            Some(Notional(5_000_000_000)),
            "250 dollars at 50,000"
        );
        perpetual.payoff = Payoff::Unknown;
        assert_eq!(perpetual.notional(Price(1), Qty(1)), None);
        assert_eq!(
            perpetual.check(None, Qty(100)),
            Err(InstrumentFault::NoPayoff)
        );
    }

    #[test]
    fn payoffs_come_back_by_number() {
        for payoff in [Payoff::Linear, Payoff::Inverse, Payoff::Unknown] {
            assert_eq!(Payoff::from_raw(payoff as u8), Some(payoff));
        }
        assert_eq!(Payoff::from_raw(3), None);
    }

    #[test]
    fn each_rule_is_named() {
        let mut inst = btcusdt();
        inst.tick = Price(10);
        inst.lot = Qty(10);
        inst.qty_min = Qty(20);
        let cases = [
            (Some(Price(6_500_000)), Qty(100), Ok(())),
            (
                Some(Price(6_500_001)),
                Qty(100),
                Err(InstrumentFault::OffTick),
            ),
            (
                Some(Price(6_500_000)),
                Qty(101),
                Err(InstrumentFault::OffLot),
            ),
            (
                Some(Price(6_500_000)),
                Qty(10),
                Err(InstrumentFault::BelowMin),
            ),
            (
                Some(Price(6_500_000)),
                Qty(900_000_010),
                Err(InstrumentFault::AboveMax),
            ),
            (
                Some(Price(10)),
                Qty(100),
                Err(InstrumentFault::BelowNotional),
            ),
            (Some(Price(0)), Qty(100), Err(InstrumentFault::NotPositive)),
            (
                Some(Price(6_500_000)),
                Qty(0),
                Err(InstrumentFault::NotPositive),
            ),
            (None, Qty(100), Ok(())),
        ];
        for (price, qty, want) in cases {
            assert_eq!(inst.check(price, qty), want, "{price:?} {qty:?}");
        }
        inst.is_live = false;
        assert_eq!(inst.check(None, Qty(100)), Err(InstrumentFault::NotLive));
    }

    #[test]
    fn ticks_round_the_safe_way() {
        let mut inst = btcusdt();
        inst.tick = Price(25);
        assert_eq!(
            (inst.tick_down(Price(99)), inst.tick_up(Price(99))),
            (Price(75), Price(100))
        );
        assert_eq!(
            (inst.tick_down(Price(100)), inst.tick_up(Price(100))),
            (Price(100), Price(100))
        );
    }
}
