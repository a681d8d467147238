//! One scale for instruments of several venues: prices and quantities in 10^-12 of a unit.

use dp_types::{Instrument, Payoff, Price, Qty};

const DECIMALS: i32 = 12;

/// `value` x 10^`exponent`, rounded towards zero.
fn shift(value: i128, exponent: i32) -> Option<i128> {
    let scale = 10i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        value.checked_mul(scale)
    } else {
        value.checked_div(scale)
    }
}

/// A price, 10^-12 quote units.
pub fn price_pico(it: &Instrument, price: Price) -> Option<i128> {
    shift(price.0.into(), DECIMALS - i32::from(it.price_decimals))
}

/// A quantity, 10^-12 base units: what contracts stand for, where it trades in contracts. `None` for inverse contracts,
/// which stand for another amount at each price.
pub fn base_pico(it: &Instrument, qty: Qty) -> Option<i128> {
    let is_linear = it.payoff == Payoff::Linear;
    let units = is_linear.then_some(i128::from(qty.0))?;
    let units = units.checked_mul(it.multiplier.mantissa.into())?;
    shift(units, exponent(it))
}

/// The most whole lots within so many 10^-12 base units, 0 where not one fits. As [`base_pico`].
pub fn lots_within(it: &Instrument, base: i128) -> Option<Qty> {
    let base = (it.payoff == Payoff::Linear).then_some(base.max(0))?;
    let units = shift(base, -exponent(it))?;
    let qty = units.checked_div(it.multiplier.mantissa.into())?;
    Some(it.lot_down(Qty(i64::try_from(qty).ok()?)))
}

fn exponent(it: &Instrument) -> i32 {
    DECIMALS - i32::from(it.qty_decimals) + i32::from(it.multiplier.exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Decimal, InstrumentId, Text, VenueId};
    use proptest::prelude::*;

    fn instrument(
        price_decimals: u8,
        qty_decimals: u8,
        lot: i64,
        multiplier: Decimal,
    ) -> Instrument {
        let id = InstrumentId(0);
        Instrument {
            lot: Qty(lot),
            multiplier,
            ..Instrument::bare(id, VenueId::OKX, Text::EMPTY, price_decimals, qty_decimals)
        }
    }

    const ONE: Decimal = Decimal {
        mantissa: 1,
        exponent: 0,
    };
    /// A contract of a hundredth.
    const HUNDREDTH: Decimal = Decimal {
        mantissa: 1,
        exponent: -2,
    };

    #[test]
    fn coins_and_contracts_come_to_one_scale() {
        let spot = instrument(2, 5, 10, ONE);
        let swap = instrument(1, 0, 1, HUNDREDTH);
        assert_eq!(
            price_pico(&spot, Price(6_500_050)),
            Some(65_000_500_000_000_000)
        );
        assert_eq!(
            price_pico(&swap, Price(650_005)),
            Some(65_000_500_000_000_000)
        );
        assert_eq!(base_pico(&spot, Qty(3_000)), Some(30_000_000_000));
        assert_eq!(base_pico(&swap, Qty(3)), Some(30_000_000_000));
        assert_eq!(lots_within(&spot, 30_199_999_999), Some(Qty(3_010)));
        assert_eq!(lots_within(&swap, 39_999_999_999), Some(Qty(3)));
        assert_eq!(lots_within(&swap, -5), Some(Qty(0)));
    }

    proptest! {
        #[test]
        fn lots_within_a_quantity_never_exceed_it(
            base in 0i128..1 << 80, decimals in 0u8..18, lot in 1i64..1_000, exponent in -6i8..3
        ) {
            let it = instrument(0, decimals, lot, Decimal { mantissa: 5, exponent });
            if let Some(qty) = lots_within(&it, base) {
                prop_assert!(base_pico(&it, qty).unwrap() <= base);
                prop_assert_eq!(qty.0 % lot, 0);
            }
        }
    }
}
