//! Order-flow imbalance: what was added to and taken from the best bid and ask, bid less ask.
//!
//! For each change of the best quotes, with bid price P, its quantity q, ask price A, its quantity r, and those before
//! marked ': e = \[P >= P'\] q - \[P <= P'\] q' - \[A <= A'\] r + \[A >= A'\] r'. Source: Cont, Kukanov, Stoikov, "The
//! Price Impact of Order Book Events", Journal of Financial Econometrics 12(1), 2014, equation 2. There the sum is over
//! a window; here the past is forgotten by halves, which needs no list of it.

use crate::{Leaky, PPM};
use dp_types::{Price, Qty, UnixNanos};

/// The best quotes of a book: price and quantity, increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// Best bid.
    pub bid: (Price, Qty),
    /// Best ask.
    pub ask: (Price, Qty),
}

/// The imbalance of one instrument.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    net: Leaky,
    gross: Leaky,
    last: Option<Top>,
}

impl Flow {
    /// Nothing seen. What is `half_life_ns` old counts half.
    pub const fn new(half_life_ns: u64) -> Self {
        Self {
            net: Leaky::new(half_life_ns),
            gross: Leaky::new(half_life_ns),
            last: None,
        }
    }

    /// What was learnt, as integers: for [`Flow::resume`].
    pub fn keep(&self) -> [i64; 6] {
        let ([a, b, c], [d, e, f]) = (self.net.keep(), self.gross.keep());
        [a, b, c, d, e, f]
    }

    /// Knows what another has learnt; the next quotes are the first again.
    pub fn resume(&mut self, [a, b, c, d, e, f]: [i64; 6]) {
        self.net.resume([a, b, c]);
        self.gross.resume([d, e, f]);
        self.last = None;
    }

    /// The best quotes are these now. Cost: near 20 ns; nothing is allocated.
    #[inline]
    pub fn on_top(&mut self, top: &Top, now: UnixNanos) {
        let Some(last) = self.last.replace(*top) else {
            return;
        };
        let bid = side(top.bid, last.bid);
        // An ask is better the lower it is.
        let mirrored = |(price, qty): (Price, Qty)| (Price(price.0.saturating_neg()), qty);
        let ask = side(mirrored(top.ask), mirrored(last.ask));
        self.net.add(bid.saturating_sub(ask), now);
        let moved = bid.saturating_abs().saturating_add(ask.saturating_abs());
        self.gross.add(moved, now);
    }

    /// The book is not to be trusted: the next quotes are the first again, and what was learnt is kept.
    pub const fn on_gap(&mut self) {
        self.last = None;
    }

    /// The imbalance as of the last change: quantity increments, more wanted to buy if positive.
    pub fn imbalance(&self) -> Qty {
        Qty(self.net.get())
    }

    /// The same as a part of all that was added and taken: -1,000,000 to 1,000,000, 0 where nothing was.
    pub fn imbalance_ppm(&self) -> i64 {
        let (net, gross) = (self.net.fine(), self.gross.fine());
        if gross <= 0 {
            return 0;
        }
        let ppm = net.saturating_mul(PPM.into()) / gross;
        ppm.clamp((-PPM).into(), PPM.into()) as i64
    }
}

/// What was added to a side less what was taken from it, where a higher price is better.
#[inline]
const fn side((price, qty): (Price, Qty), (last_price, last_qty): (Price, Qty)) -> i64 {
    if price.0 > last_price.0 {
        qty.0
    } else if price.0 < last_price.0 {
        last_qty.0.saturating_neg()
    } else {
        qty.0.saturating_sub(last_qty.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: u64 = u64::MAX;

    const fn top(bid: (i64, i64), ask: (i64, i64)) -> Top {
        Top {
            bid: (Price(bid.0), Qty(bid.1)),
            ask: (Price(ask.0), Qty(ask.1)),
        }
    }

    /// By hand, after equation 2; nothing is forgotten.
    #[test]
    fn equals_the_paper_by_hand() {
        let steps = [
            (top((100, 5), (101, 7)), 0),
            (top((100, 8), (101, 7)), 3),  // three more on the bid
            (top((100, 8), (101, 5)), 5),  // two fewer on the ask
            (top((101, 2), (102, 4)), 12), // a better bid of 2; the ask of 5 was taken
            (top((100, 9), (102, 4)), 10), // the bid of 2 went
            (top((100, 9), (101, 6)), 4),  // a better ask of 6
        ];
        let mut flow = Flow::new(LONG);
        for (at, (top, want)) in steps.into_iter().enumerate() {
            flow.on_top(&top, UnixNanos(at as u64));
            assert_eq!(flow.imbalance(), Qty(want), "step {at}");
        }
        // 4 of 3 + 2 + 7 + 2 + 6.
        assert_eq!(flow.imbalance_ppm(), 200_000);
    }

    #[test]
    fn what_is_a_half_life_old_counts_half_and_a_gap_is_no_flow() {
        let mut flow = Flow::new(1_000);
        flow.on_top(&top((100, 5), (101, 5)), UnixNanos(0));
        flow.on_top(&top((100, 105), (101, 5)), UnixNanos(0));
        flow.on_top(&top((100, 105), (101, 5)), UnixNanos(1_000));
        assert_eq!(flow.imbalance(), Qty(50));
        flow.on_gap();
        flow.on_top(&top((90, 1), (91, 900)), UnixNanos(1_000));
        assert_eq!(flow.imbalance(), Qty(50));
    }

    #[test]
    fn another_that_resumes_knows_what_was_learnt() {
        let mut first = Flow::new(1_000);
        first.on_top(&top((100, 5), (101, 5)), UnixNanos(0));
        first.on_top(&top((100, 105), (101, 6)), UnixNanos(10));
        let mut heir = Flow::new(1_000);
        heir.resume(first.keep());
        assert_eq!(heir.imbalance_ppm(), first.imbalance_ppm());
        heir.on_top(&top((90, 1), (91, 900)), UnixNanos(10));
        assert_eq!(heir.imbalance(), first.imbalance(), "no flow over the gap");
        heir.resume([0, 1, -5, 0, -1, 5]);
        assert!(heir.imbalance_ppm().abs() <= PPM);
    }

    proptest! {
        #[test]
        fn a_mirrored_market_has_the_opposite_imbalance(
            steps in proptest::collection::vec((1i64..50, 1i64..100, 1i64..5, 1i64..100, 0u64..3_000), 2..40)
        ) {
            let (mut here, mut there) = (Flow::new(1_000), Flow::new(1_000));
            let mut now = 0;
            for (bid, bid_qty, spread, ask_qty, later) in steps {
                now += later;
                here.on_top(&top((bid, bid_qty), (bid + spread, ask_qty)), UnixNanos(now));
                let mirror = top((1_000 - bid - spread, ask_qty), (1_000 - bid, bid_qty));
                there.on_top(&mirror, UnixNanos(now));
                prop_assert_eq!(here.imbalance_ppm(), -there.imbalance_ppm());
            }
        }

        #[test]
        fn no_number_overflows(
            steps in proptest::collection::vec(any::<(i64, i64, i64, i64, u64)>(), 1..20)
        ) {
            let mut flow = Flow::new(7);
            for (bid, bid_qty, ask, ask_qty, now) in steps {
                flow.on_top(&top((bid, bid_qty), (ask, ask_qty)), UnixNanos(now));
                prop_assert!(flow.imbalance_ppm().abs() <= PPM);
            }
        }
    }
}
