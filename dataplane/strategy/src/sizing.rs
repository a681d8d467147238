//! How much to order: as much as is wanted, less where the market moves much, never beyond what may be held.

use dp_types::{Instrument, Qty, Side};

/// What sizes are made from. Quantities in increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// The usual size.
    pub qty: Qty,
    /// Largest position either way; above 0.
    pub position_max: Qty,
    /// The move in a second, one standard deviation, in parts of 2^10 of a price increment, up to which the usual size
    /// is ordered; beyond it so much less that the money at risk stays the same. 0: volatility does not matter.
    pub calm_deviation: i64,
}

impl Sizing {
    /// The size of an order, a multiple of the lot. `deviation` is as [`dp_signal::Volatility::deviation`] tells it
    /// for one second. 0 where nothing may be added, or where volatility matters and is not known.
    pub fn size(
        &self,
        instrument: &Instrument,
        side: Side,
        position: Qty,
        deviation: Option<i64>,
    ) -> Qty {
        let along = i128::from(position.0) * i128::from(side.sign());
        let room = i128::from(self.position_max.0) - along;
        let mut qty = i128::from(self.qty.0).min(room).max(0);
        if self.calm_deviation > 0 {
            let Some(deviation) = deviation else {
                return Qty(0);
            };
            let calm = i128::from(self.calm_deviation);
            qty = qty.min(i128::from(self.qty.0.max(0)) * calm / i128::from(deviation).max(calm));
        }
        // At most the usual size, which is an `i64`.
        instrument.lot_down(Qty(qty as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{InstrumentId, Text, VenueId};
    use proptest::prelude::*;

    const SIZING: Sizing = Sizing {
        qty: Qty(100),
        position_max: Qty(250),
        calm_deviation: 2 << 10,
    };

    fn lots_of(lot: i64) -> Instrument {
        Instrument {
            lot: Qty(lot),
            ..Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 1, 2)
        }
    }

    #[test]
    fn equals_the_table() {
        use Side::{Buy, Sell};
        for (side, position, deviation, want) in [
            (Buy, 0, 1 << 10, 100),
            (Buy, 0, 2 << 10, 100),
            (Buy, 0, 4 << 10, 50),   // twice as wild, half as much
            (Buy, 200, 1 << 10, 50), // room for 50
            (Buy, 250, 1 << 10, 0),
            (Buy, 300, 1 << 10, 0),
            (Sell, 200, 1 << 10, 100), // that side has room
            (Sell, -200, 4 << 10, 50),
            (Sell, -230, 4 << 10, 20),
        ] {
            let got = SIZING.size(&lots_of(10), side, Qty(position), Some(deviation));
            assert_eq!(got, Qty(want), "{side:?} {position} {deviation}");
        }
        assert_eq!(SIZING.size(&lots_of(10), Buy, Qty(0), None), Qty(0));
        let blind = Sizing {
            calm_deviation: 0,
            ..SIZING
        };
        assert_eq!(blind.size(&lots_of(30), Buy, Qty(0), None), Qty(90));
    }

    proptest! {
        #[test]
        fn never_beyond_the_largest_position_nor_off_the_lot(
            qty in 0i64.., most in 1i64.., calm in 0i64.., lot in 1i64..1_000, is_buy: bool,
            position: i64, deviation: Option<i64>
        ) {
            let sizing = Sizing { qty: Qty(qty), position_max: Qty(most), calm_deviation: calm };
            let side = if is_buy { Side::Buy } else { Side::Sell };
            let size = sizing.size(&lots_of(lot), side, Qty(position), deviation).0;
            prop_assert!(size >= 0 && size <= qty && size % lot == 0);
            let after = i128::from(position) * i128::from(side.sign()) + i128::from(size);
            prop_assert!(size == 0 || after <= i128::from(most));
        }
    }
}
