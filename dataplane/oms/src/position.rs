//! Positions and P&L by average cost, in integers.
//!
//! ```text
//! cost        what the open quantity cost, 10⁻¹² quote units; its sign is the position's, of inverse contracts the other
//! realised    what closing brought in, less what the closed part had cost (fees apart)
//! unrealised  value of the open quantity at the mark, less its cost
//! identity    realised + unrealised == value of what is held at mark − net cash paid
//! ```
//! Inverse contracts are booked by the coin they are worth, turned over ([`Instrument::outlay`]): what is open cost the sum
//! of quantity / price, so the average entry is harmonic, and closing is exact but for what each value was rounded by.
//!
//! A fee taken out of what was bought makes the fill smaller: that much less was bought, for that much less money, and
//! the fee was paid in money. So what is held is what P&L counts, and the fee is paid once, at the fill's price.
//!
//! Closing part of a position takes the same part of its cost; the division rounds towards zero and the
//! remainder stays with the open part, so the identity holds to the last 10⁻¹².

use dp_types::{BASE_FEE_PARTS, Instrument, InstrumentId, Notional, Price, Qty, Side};

/// Parts of one increment.
const PARTS: i128 = BASE_FEE_PARTS as i128;

/// Why a fill could not be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PositionFault {
    /// The instrument is not in the table.
    #[error("instrument {0} has no position line")]
    NoLine(u32),
    /// A number left its range.
    #[error("the position left the range of its integers")]
    Overflow,
}

/// The position of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Net quantity, increments; negative = short.
    pub qty: Qty,
    /// What the open quantity cost.
    pub cost: Notional,
    /// P&L of what was closed, fees apart.
    pub realised: Notional,
    /// Fees paid, quote units (a rebate is negative).
    pub fees: Notional,
    /// Fills booked.
    pub fills: u64,
    /// Fees taken out of what was bought, in [`BASE_FEE_PARTS`]ths of an increment. Their worth is in `fees` and out of
    /// `cost`; `qty` is what was traded.
    pub base_fees: i64,
    /// Funding received, quote units (paid: below 0). Beside `realised`, as fees are.
    pub funding: Notional,
}

/// What a fill cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fee {
    /// Its worth in quote units (a rebate is negative).
    pub value: Notional,
    /// The fee itself where it was taken out of what was bought, in [`BASE_FEE_PARTS`]ths of an increment; 0 = it was paid
    /// in money.
    pub base: i64,
}

impl From<Notional> for Fee {
    fn from(value: Notional) -> Self {
        Self { value, base: 0 }
    }
}

impl Position {
    /// Books one fill. `value` is the [`Instrument::outlay`] of its quantity bought, `fee`: what it cost.
    ///
    /// Errors: [`PositionFault::Overflow`]; nothing changed.
    pub fn book(
        &mut self,
        side: Side,
        qty: Qty,
        value: Notional,
        fee: Fee,
    ) -> Result<(), PositionFault> {
        let next = self
            .after(side, qty, value, fee)
            .ok_or(PositionFault::Overflow)?;
        *self = next;
        Ok(())
    }

    /// What is really there to sell: traded quantity less the fees taken out of it, in whole increments,
    /// rounded down.
    pub fn held(&self) -> Qty {
        // At most venues there are none, and this is asked at each tick.
        if self.base_fees == 0 {
            return self.qty;
        }
        let given_back = self.base_fees.saturating_neg().div_euclid(BASE_FEE_PARTS);
        Qty(self.qty.0.saturating_add(given_back))
    }

    /// Whether nothing was ever booked here.
    pub const fn is_untouched(&self) -> bool {
        self.fills == 0 && self.funding.0 == 0
    }

    /// What is held, in so many parts of an increment each: [`PARTS`], or one while no fee was taken out of it.
    fn parts(&self, of_one: i128) -> i128 {
        i128::from(self.qty.0) * of_one - i128::from(self.base_fees)
    }

    fn after(&self, side: Side, qty: Qty, value: Notional, fee: Fee) -> Option<Self> {
        let sign = side.sign();
        let mut next = *self;
        next.qty = Qty(self.qty.0.checked_add(qty.0.checked_mul(sign)?)?);
        next.fees = self.fees.checked_add(fee.value)?;
        next.base_fees = self.base_fees.checked_add(fee.base)?;
        next.fills = self.fills.saturating_add(1);
        let mut value = value.0.checked_mul(i128::from(sign))?;
        if fee.base != 0 {
            value = value.checked_sub(fee.value.0)?;
        }
        // At most venues whole increments do, and divide faster; both come to the same.
        let is_whole = self.base_fees == 0 && next.base_fees == 0;
        let of_one = if is_whole { 1 } else { PARTS };
        let (held, left) = (self.parts(of_one), next.parts(of_one));
        let added = left.checked_sub(held)?;
        if held.signum() != -added.signum() || held == 0 {
            next.cost = self.cost.checked_add(Notional(value))?;
        } else {
            let closed = added.abs().min(held.abs());
            // The closed part of the cost, and the closing part of this fill's value.
            let cost_out = share(self.cost.0, closed, held.abs())?;
            let value_in = share(value, closed, added.abs())?;
            let gain = value_in.checked_add(cost_out)?.checked_neg()?;
            next.realised = self.realised.checked_add(Notional(gain))?;
            // What is left: the rest of the old position, or the rest of this fill the other way.
            let cost = self.cost.0.checked_sub(cost_out)?;
            let value_over = value.checked_sub(value_in)?;
            next.cost = Notional(cost.checked_add(value_over)?);
        }
        if left == 0 {
            // A remainder of the divisions belongs to what is closed now.
            next.realised = Notional(next.realised.0.checked_sub(next.cost.0)?);
            next.cost = Notional(0);
        }
        Some(next)
    }

    /// P&L of what is open, at `mark`. `None` when it leaves the range.
    pub fn unrealised(&self, instrument: &Instrument, mark: Price) -> Option<Notional> {
        let traded = instrument.outlay(mark, self.qty)?.0;
        let held = if self.base_fees == 0 {
            traded
        } else {
            let parts = instrument.outlay(mark, Qty(self.base_fees))?.0;
            traded.checked_sub(parts / PARTS)?
        };
        held.checked_sub(self.cost.0).map(Notional)
    }
}

/// `whole` x `part` / `of`, rounded towards zero, for `0 < part <= of < 2^78`: by quotient and remainder, because the
/// plain product leaves an `i128` at positions that can be held. Right beyond `of` too, while it fits.
pub(crate) fn share(whole: i128, part: i128, of: i128) -> Option<i128> {
    let (quotient, remainder) = (whole.checked_div(of)?, whole.checked_rem(of)?);
    let rest = match remainder.checked_mul(part) {
        Some(product) => product.checked_div(of)?,
        None => i128::try_from(long_share(remainder.unsigned_abs(), part, of)?)
            .ok()?
            .checked_mul(remainder.signum())?,
    };
    quotient.checked_mul(part)?.checked_add(rest)
}

/// `rest` x `part` / `of`, for `rest < of`, bit by bit of the part: the product itself does not fit.
fn long_share(rest: u128, part: i128, of: i128) -> Option<u128> {
    let (part, of) = (u128::try_from(part).ok()?, u128::try_from(of).ok()?);
    let (mut quotient, mut remainder) = (0u128, 0u128);
    for bit in (0..u128::BITS - part.leading_zeros()).rev() {
        let added = if part >> bit & 1 == 1 { rest } else { 0 };
        let sum = remainder.checked_mul(2)?.checked_add(added)?;
        quotient = quotient.checked_mul(2)?.checked_add(sum / of)?;
        remainder = sum % of;
    }
    Some(quotient)
}

/// Positions of one lane, by instrument.
#[derive(Debug)]
pub struct Positions {
    lines: Vec<Position>,
}

impl Positions {
    /// Flat in everything. Takes all its memory here.
    pub fn new(instruments: usize) -> Self {
        Self {
            lines: vec![Position::default(); instruments],
        }
    }

    /// Sets a line from what an earlier run left.
    pub fn restore(&mut self, instrument: InstrumentId, position: Position) {
        if let Some(line) = self.lines.get_mut(instrument.0 as usize) {
            *line = position;
        }
    }

    /// The position of an instrument; flat when it is not in the table.
    pub fn get(&self, instrument: InstrumentId) -> Position {
        self.lines
            .get(instrument.0 as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Books one fill at `price`. Returns the position after it.
    ///
    /// Errors: [`PositionFault`]; nothing changed.
    pub fn book(
        &mut self,
        instrument: &Instrument,
        side: Side,
        price: Price,
        qty: Qty,
        fee: impl Into<Fee>,
    ) -> Result<Position, PositionFault> {
        let value = instrument
            .outlay(price, qty)
            .ok_or(PositionFault::Overflow)?;
        let line = self.lines.get_mut(instrument.id.0 as usize);
        let line = line.ok_or(PositionFault::NoLine(instrument.id.0))?;
        line.book(side, qty, value, fee.into())?;
        Ok(*line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Decimal, Text, VenueId};
    use proptest::prelude::*;

    /// One increment of price and quantity each are one unit: a value is price x qty x 10^12.
    fn instrument() -> Instrument {
        Instrument::bare(InstrumentId(0), VenueId::BINANCE, Text::EMPTY, 0, 0)
    }

    const ONE: i128 = 1_000_000_000_000;

    #[test]
    fn fees_in_the_base_asset_leave_less_to_sell() {
        let mut positions = Positions::new(1);
        let it = instrument();
        let base = it.base_fee(Decimal::parse(b"0.0004").unwrap()).unwrap();
        assert_eq!(base, 4);
        let mut buy = |side, base| {
            let fee = Fee {
                value: Notional(0),
                base,
            };
            positions.book(&it, side, Price(100), Qty(1), fee).unwrap()
        };
        assert_eq!(buy(Side::Buy, base).held(), Qty(0), "not a whole one");
        for _ in 0..3 {
            buy(Side::Buy, 2_500);
        }
        let after = buy(Side::Sell, 0);
        assert_eq!((after.qty, after.held()), (Qty(3), Qty(2)));
        assert_eq!(after.base_fees, 7_504);
    }

    #[test]
    fn what_a_fee_took_is_not_held_and_is_paid_once() {
        // 1,000 bought at 100, one of them the fee, 999 sold again: nothing is left but the fee.
        let it = instrument();
        let mut positions = Positions::new(1);
        let fee = Fee {
            value: Notional(100 * ONE),
            base: BASE_FEE_PARTS,
        };
        let bought = positions.book(&it, Side::Buy, Price(100), Qty(1_000), fee);
        assert_eq!(bought.unwrap().cost, Notional(99_900 * ONE), "of the 999");
        let sold = positions.book(&it, Side::Sell, Price(100), Qty(999), Notional(0));
        let held = sold.unwrap();
        assert_eq!((held.held(), held.cost), (Qty(0), Notional(0)));
        assert_eq!(
            (held.realised, held.fees),
            (Notional(0), Notional(100 * ONE))
        );
        for mark in [100, 200, 1_000] {
            assert_eq!(
                held.unrealised(&it, Price(mark)),
                Some(Notional(0)),
                "{mark}"
            );
        }
        // And all that was bought is sold when its fee was a quarter of one: what is short of it is owed.
        let quarter = Fee {
            value: Notional(25 * ONE),
            base: BASE_FEE_PARTS / 4,
        };
        positions
            .book(&it, Side::Buy, Price(100), Qty(1), quarter)
            .unwrap();
        let over = positions.book(&it, Side::Sell, Price(120), Qty(1), Notional(0));
        let over = over.unwrap();
        assert_eq!(over.realised, Notional(15 * ONE), "three quarters of 20");
        assert_eq!(over.cost, Notional(-30 * ONE), "a quarter sold at 120");
        assert_eq!(over.unrealised(&it, Price(160)), Some(Notional(-10 * ONE)));
    }

    /// Worked by hand: (side, qty, price) → (qty, cost, realised) in whole units.
    #[test]
    fn a_ledger_worked_by_hand() {
        let ledger = [
            (Side::Buy, 10, 100, (10, 1_000, 0)),
            (Side::Buy, 10, 110, (20, 2_100, 0)),  // average 105
            (Side::Sell, 5, 120, (15, 1_575, 75)), // 5 x (120 - 105)
            (Side::Sell, 20, 90, (-5, -450, -150)), // 15 x (90 - 105) = -225, then short 5 at 90
            (Side::Sell, 5, 100, (-10, -950, -150)),
            (Side::Buy, 4, 80, (-6, -570, -90)), // 4 x (95 - 80) = 60
            (Side::Buy, 6, 100, (0, 0, -120)),   // 6 x (95 - 100) = -30
        ];
        let mut positions = Positions::new(1);
        for (side, qty, price, (want_qty, want_cost, want_realised)) in ledger {
            let after = positions
                .book(&instrument(), side, Price(price), Qty(qty), Notional(0))
                .unwrap();
            assert_eq!(after.qty, Qty(want_qty));
            assert_eq!(
                after.cost,
                Notional(want_cost * ONE),
                "{side:?} {qty} at {price}"
            );
            assert_eq!(
                after.realised,
                Notional(want_realised * ONE),
                "{side:?} {qty} at {price}"
            );
        }
        assert_eq!(positions.get(InstrumentId(0)).fills, 7);
    }

    #[test]
    fn overflow_is_refused_and_changes_nothing() {
        let mut position = Position {
            qty: Qty(i64::MAX),
            ..Position::default()
        };
        let before = position;
        let fault = position.book(Side::Buy, Qty(1), Notional(1), Fee::default());
        assert_eq!((fault, position), (Err(PositionFault::Overflow), before));
    }

    #[test]
    fn a_position_near_the_end_of_the_range_is_still_booked() {
        // 2^62 increments that cost 10^30: the product with a quantity would need 162 bits.
        let (qty, value) = (Qty(1 << 62), Notional(10i128.pow(30)));
        let mut position = Position::default();
        position
            .book(Side::Buy, qty, value, Fee::default())
            .unwrap();
        let half = (Qty(1 << 61), Notional(6 * 10i128.pow(29)));
        position
            .book(Side::Sell, half.0, half.1, Fee::default())
            .unwrap();
        assert_eq!(position.cost, Notional(5 * 10i128.pow(29)));
        assert_eq!(position.realised, Notional(10i128.pow(29)));
    }

    proptest! {
        /// realised + unrealised == value at mark - net cash paid, exactly, whatever was traded.
        #[test]
        fn pnl_identity(
            fills in proptest::collection::vec((any::<bool>(), 1i64..1_000_000, 1i64..10_000_000), 1..60),
            mark in 1i64..10_000_000
        ) {
            let instrument = instrument();
            let mut positions = Positions::new(1);
            let mut paid = 0i128;
            for (is_buy, qty, price) in fills {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                positions.book(&instrument, side, Price(price), Qty(qty), Notional(0)).unwrap();
                paid += i128::from(side.sign()) * i128::from(qty) * i128::from(price) * ONE;
                let held = positions.get(InstrumentId(0));
                let open = held.unrealised(&instrument, Price(mark)).unwrap();
                let value = i128::from(held.qty.0) * i128::from(mark) * ONE;
                prop_assert_eq!(held.realised.0 + open.0, value - paid);
                prop_assert!(held.qty.0 != 0 || held.cost.0 == 0);
            }
        }

        /// The same with fees taken out of what was bought: what is held is valued, and each fee is paid once.
        #[test]
        fn pnl_identity_with_fees_of_the_base_asset(
            fills in proptest::collection::vec(
                (any::<bool>(), 1i64..1_000_000, 1i64..10_000_000, -20_000i64..20_000), 1..60),
            mark in 1i64..10_000_000
        ) {
            let instrument = instrument();
            let parts = i128::from(BASE_FEE_PARTS);
            let mut positions = Positions::new(1);
            let (mut paid, mut held) = (0i128, 0i128);
            for (is_buy, qty, price, base) in fills {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                let value = Notional(i128::from(base) * i128::from(price) * ONE / parts);
                positions.book(&instrument, side, Price(price), Qty(qty), Fee { value, base }).unwrap();
                paid += i128::from(side.sign()) * i128::from(qty) * i128::from(price) * ONE;
                held += i128::from(side.sign()) * i128::from(qty) * parts - i128::from(base);
                let now = positions.get(InstrumentId(0));
                let open = now.unrealised(&instrument, Price(mark)).unwrap();
                let value = held * i128::from(mark) * ONE / parts;
                prop_assert_eq!(now.realised.0 + open.0 - now.fees.0, value - paid);
                prop_assert!(held != 0 || now.cost.0 == 0);
                prop_assert_eq!(i128::from(now.held().0), held.div_euclid(parts));
            }
        }

        /// Where the product does not fit, the share is cut as it is where it does.
        #[test]
        fn long_share_is_share(rest in 0u128..1 << 60, of in 1i128..1 << 62, part in 1i128..1 << 62) {
            let rest = rest % of.unsigned_abs();
            let plain = rest * part.unsigned_abs() / of.unsigned_abs();
            prop_assert_eq!(long_share(rest, part, of), Some(plain));
        }

        /// The share of a product that fits is the plain one.
        #[test]
        fn share_is_the_rounded_product(whole in -(1i128 << 60)..1i128 << 60, of in 1i64.., part in 0.0f64..=1.0) {
            let part = i128::from((of as f64 * part) as i64).clamp(1, of.into());
            prop_assert_eq!(share(whole, part, of.into()), Some(whole * part / i128::from(of)));
        }

        /// Any numbers: booked with the identity kept, or refused with nothing changed.
        #[test]
        fn extreme_numbers_are_booked_exactly_or_refused(
            fills in proptest::collection::vec((any::<bool>(), 1i64.., 0i128..1 << 126), 1..12)
        ) {
            let (mut position, mut paid) = (Position::default(), 0i128);
            for (is_buy, qty, value) in fills {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                let before = position;
                match position.book(side, Qty(qty), Notional(value), Notional(1).into()) {
                    Ok(()) => {
                        paid = paid.wrapping_add(value.wrapping_mul(side.sign().into()));
                        // cost - realised is the cash paid, to the last unit.
                        prop_assert_eq!(position.cost.0.wrapping_sub(position.realised.0), paid);
                    }
                    Err(_) => prop_assert_eq!(position, before),
                }
            }
        }
    }
}
