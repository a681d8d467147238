//! What a book has to offer near its middle, and how its spread has been.

use crate::PPM;
use dp_book::Book;
use dp_types::{Qty, Side, UnixNanos};

/// A look at a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Best ask less best bid, increments.
    pub spread: i64,
    /// Bought by whoever sells down to the given distance, increments.
    pub bids: Qty,
    /// Sold to whoever buys up to it.
    pub asks: Qty,
}

impl Depth {
    /// The quantity within `bps` hundredths of a percent of mid, each side. `None` where a side is empty.
    ///
    /// Cost: one step a level within the distance.
    pub fn of(book: &Book, bps: u32) -> Option<Self> {
        let (bid, ask) = (book.best_bid()?.price.0, book.best_ask()?.price.0);
        let mid_doubled = i128::from(bid) + i128::from(ask);
        let far_doubled = mid_doubled * i128::from(bps) / 10_000;
        let near = |side| {
            let levels = book.side(side).take_while(|level| {
                let away = 2 * i128::from(level.price.0) - mid_doubled;
                away.abs() <= far_doubled
            });
            Qty(levels.fold(0i64, |sum, level| sum.saturating_add(level.qty.0)))
        };
        Some(Self {
            spread: ask.saturating_sub(bid),
            bids: near(Side::Buy),
            asks: near(Side::Sell),
        })
    }

    /// Bids less asks, of both: -1,000,000 to 1,000,000.
    pub fn imbalance_ppm(&self) -> i64 {
        let (bids, asks) = (i128::from(self.bids.0), i128::from(self.asks.0));
        let ppm = ((bids - asks) * i128::from(PPM)).checked_div(bids + asks);
        ppm.unwrap_or(0) as i64
    }
}

/// How the spread was, weighted by how long it was so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DepthStats {
    /// Smallest spread, increments; 0 before the first look.
    pub spread_min: i64,
    /// Largest.
    pub spread_max: i64,
    weighted: i128,
    time_ns: u64,
    last: Option<(i64, UnixNanos)>,
}

impl DepthStats {
    /// The spread is `spread` from `now` on; `None`: there is none.
    #[inline]
    pub fn on_spread(&mut self, spread: Option<i64>, now: UnixNanos) {
        if let Some((last, at)) = self.last {
            let ns = now.0.saturating_sub(at.0);
            self.time_ns = self.time_ns.saturating_add(ns);
            let weighted = i128::from(last) * i128::from(ns);
            self.weighted = self.weighted.saturating_add(weighted);
        }
        let is_first = self.last.is_none() && self.time_ns == 0;
        if let Some(spread) = spread {
            self.spread_min = if is_first {
                spread
            } else {
                self.spread_min.min(spread)
            };
            self.spread_max = if is_first {
                spread
            } else {
                self.spread_max.max(spread)
            };
        }
        self.last = spread.map(|spread| (spread, now));
    }

    /// Mean spread over the time there was one, in thousandths of an increment; `None` before any passed.
    pub fn spread_mean_milli(&self) -> Option<i64> {
        let mean = self
            .weighted
            .saturating_mul(1_000)
            .checked_div(self.time_ns.into())?;
        i64::try_from(mean).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Level, Price};

    fn book(levels: &[(Side, i64, i64)]) -> Book {
        let mut book = Book::new(16);
        for (side, price, qty) in levels {
            let level = Level {
                price: Price(*price),
                qty: Qty(*qty),
                ..Level::default()
            };
            book.apply_level(*side, &level);
        }
        book
    }

    #[test]
    fn counts_what_is_within_the_distance() {
        let book = book(&[
            (Side::Buy, 9_999, 5),
            (Side::Buy, 9_990, 7),
            (Side::Buy, 9_000, 100),
            (Side::Sell, 10_001, 2),
            (Side::Sell, 10_010, 4),
            (Side::Sell, 10_011, 50),
        ]);
        // Ten hundredths of a percent of 10,000 are 10.
        let depth = Depth::of(&book, 10).unwrap();
        let want = Depth {
            spread: 2,
            bids: Qty(12),
            asks: Qty(6),
        };
        assert_eq!(depth, want);
        assert_eq!(depth.imbalance_ppm(), 333_333);
    }

    #[test]
    fn an_empty_side_has_no_depth() {
        assert_eq!(Depth::of(&book(&[(Side::Buy, 1, 1)]), 10), None);
    }

    #[test]
    fn the_mean_is_weighted_by_time_and_leaves_out_what_was_not_known() {
        let mut stats = DepthStats::default();
        assert_eq!(stats.spread_mean_milli(), None);
        for (spread, at) in [
            (Some(2), 0),
            (Some(6), 30),
            (None, 40),
            (Some(1), 100),
            (Some(1), 110),
        ] {
            stats.on_spread(spread, UnixNanos(at));
        }
        // 2 for 30, 6 for 10, 1 for 10.
        assert_eq!(stats.spread_mean_milli(), Some(2_600));
        assert_eq!((stats.spread_min, stats.spread_max), (1, 6));
    }
}
