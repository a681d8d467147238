//! What the market did after our fills: the mid a while later against the price we got.

use dp_types::{Instrument, Notional, Payoff, Price, Qty, Side, UnixNanos};
use std::collections::VecDeque;

/// How long after a fill the market is looked at, milliseconds.
pub const HORIZONS_MS: [u64; 4] = [100, 1_000, 10_000, 60_000];

/// A fill whose horizon has not come.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: UnixNanos,
    side: Side,
    price: Price,
    qty: Qty,
}

/// One horizon's sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Fills looked at.
    pub count: u64,
    /// Twice what they gained or lost by then, fees apart.
    doubled: i128,
    /// What they were worth.
    value: i128,
}

impl Sum {
    /// What they gained or lost by then, fees apart.
    pub const fn gain(&self) -> Notional {
        Notional(self.doubled / 2)
    }

    /// The same in hundredths of a percent of what they were worth.
    pub fn bps(&self) -> Option<f64> {
        (self.value > 0).then(|| self.doubled as f64 / 2.0 / self.value as f64 * 10_000.0)
    }
}

/// Markouts of one account.
#[derive(Debug, Clone, Default)]
pub struct Markouts {
    waiting: [VecDeque<Waiting>; HORIZONS_MS.len()],
    sums: [Sum; HORIZONS_MS.len()],
}

impl Markouts {
    /// A fill at `at`; they come in order of time.
    pub fn fill(&mut self, at: UnixNanos, side: Side, price: Price, qty: Qty) {
        for (waiting, ms) in self.waiting.iter_mut().zip(HORIZONS_MS) {
            waiting.push_back(Waiting {
                due: at.after(ms * 1_000_000),
                side,
                price,
                qty,
            });
        }
    }

    /// The market has been so since before `now`: what fell due before is looked at. A fill without a mid by then is left
    /// out.
    pub fn look(&mut self, now: UnixNanos, instrument: &Instrument, mid_doubled: Option<i64>) {
        for (waiting, sum) in self.waiting.iter_mut().zip(&mut self.sums) {
            while let Some(fill) = waiting.front().copied().filter(|fill| fill.due < now) {
                waiting.pop_front();
                let Some(mid) = mid_doubled else { continue };
                let moved = moved_doubled(instrument, &fill, mid);
                let value = instrument.notional(fill.price, fill.qty);
                if let (Some(moved), Some(value)) = (moved, value) {
                    sum.count += 1;
                    sum.doubled = sum
                        .doubled
                        .saturating_add(moved.saturating_mul(fill.side.sign().into()));
                    sum.value = sum.value.saturating_add(value.0);
                }
            }
        }
    }

    /// When the market must be looked at next.
    pub fn next_due(&self) -> Option<UnixNanos> {
        let fronts = self.waiting.iter().filter_map(VecDeque::front);
        fronts.map(|fill| fill.due).min()
    }

    /// Sums by horizon.
    pub const fn sums(&self) -> &[Sum; HORIZONS_MS.len()] {
        &self.sums
    }
}

/// Twice what a purchase of the fill's would have gained by a mid, which is told doubled. `None` when it leaves the range.
fn moved_doubled(instrument: &Instrument, fill: &Waiting, mid_doubled: i64) -> Option<i128> {
    if instrument.payoff == Payoff::Linear {
        let gone = mid_doubled.saturating_sub(fill.price.0.saturating_mul(2));
        return Some(instrument.notional(Price(gone), fill.qty)?.0);
    }
    // At a price twice as high half as much coin.
    let at_mid = instrument.outlay(Price(mid_doubled), fill.qty)?.0;
    let at_fill = instrument.outlay(fill.price, fill.qty)?.0;
    at_mid.checked_mul(4)?.checked_sub(at_fill.checked_mul(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{InstrumentId, Text, VenueId};

    /// 50 dollars bought at 100, 0.5 of the coin; at 125 they are 0.4 of it.
    #[test]
    fn an_inverse_contract_gains_in_its_coin() {
        let it = Instrument {
            payoff: Payoff::Inverse,
            ..Instrument::bare(InstrumentId(0), VenueId::DERIBIT, Text::EMPTY, 0, 0)
        };
        let mut markouts = Markouts::default();
        markouts.fill(UnixNanos(0), Side::Buy, Price(100), Qty(50));
        markouts.look(UnixNanos(200_000_000), &it, Some(250));
        let sum = markouts.sums()[0];
        assert_eq!((sum.count, sum.gain()), (1, Notional(100_000_000_000)));
        assert_eq!(sum.bps(), Some(2_000.0));
    }

    /// Bought 2 at 100; after 100 ms the mid is 100.5, after 1 s 98. Sold 1 at 100 at 50 ms.
    #[test]
    fn each_fill_is_held_against_the_mid_of_its_horizon() {
        let it = Instrument::bare(InstrumentId(0), VenueId::BINANCE, Text::EMPTY, 0, 0);
        let ms = |ms: u64| UnixNanos(ms * 1_000_000);
        let mut markouts = Markouts::default();
        markouts.fill(ms(0), Side::Buy, Price(100), Qty(2));
        markouts.fill(ms(50), Side::Sell, Price(100), Qty(1));
        assert_eq!(markouts.next_due(), Some(ms(100)));
        markouts.look(ms(100), &it, Some(201));
        assert_eq!(
            markouts.sums()[0].count,
            0,
            "the change at 100 ms itself comes after"
        );
        markouts.look(ms(101), &it, Some(201));
        assert_eq!(
            (markouts.sums()[0].count, markouts.sums()[0].gain()),
            (1, Notional(1_000_000_000_000))
        );
        assert_eq!(markouts.sums()[0].bps(), Some(50.0));
        markouts.look(ms(1_100), &it, Some(196));
        let gains = [0, 1, 2].map(|at| {
            (
                markouts.sums()[at].count,
                markouts.sums()[at].gain().0 / 1_000_000_000_000,
            )
        });
        assert_eq!(gains, [(2, 3), (2, -2), (0, 0)]);
    }
}
