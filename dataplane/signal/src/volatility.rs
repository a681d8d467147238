//! How much a price moves: the variance of its changes a second, the past forgotten by halves.

use crate::Leaky;
use dp_types::UnixNanos;

/// Time is counted in units of this, so that a sum of it stays small.
const TIME_UNIT_NS: u64 = 1_000;
const TIME_UNITS_PER_S: i128 = 1_000_000;
/// Square roots are told in parts of 2^10.
const ROOT_BITS: u32 = 10;

/// The variance of one price.
#[derive(Debug, Clone, Copy)]
pub struct Volatility {
    squares: Leaky,
    time: Leaky,
    last: Option<(i64, UnixNanos)>,
}

impl Volatility {
    /// Nothing seen. What is `half_life_ns` old counts half.
    pub const fn new(half_life_ns: u64) -> Self {
        Self {
            squares: Leaky::new(half_life_ns),
            time: Leaky::new(half_life_ns),
            last: None,
        }
    }

    /// What was learnt, as integers: for [`Volatility::resume`].
    pub fn keep(&self) -> [i64; 6] {
        let ([a, b, c], [d, e, f]) = (self.squares.keep(), self.time.keep());
        [a, b, c, d, e, f]
    }

    /// Knows what another has learnt; the next price is the first again.
    pub fn resume(&mut self, [a, b, c, d, e, f]: [i64; 6]) {
        self.squares.resume([a, b, c]);
        self.time.resume([d, e, f]);
        self.last = None;
    }

    /// The price is `doubled` / 2 increments now: a mid has halves. Cost: near 10 ns.
    #[inline]
    pub fn on_mid(&mut self, doubled: i64, now: UnixNanos) {
        let Some((last, at)) = self.last else {
            self.last = Some((doubled, now));
            return;
        };
        let units = now.0.saturating_sub(at.0) / TIME_UNIT_NS;
        if doubled == last && units < TIME_UNITS_PER_S as u64 {
            // Nothing to learn that a later look does not know.
            return;
        }
        let moved = doubled.saturating_sub(last);
        self.squares.add(moved.saturating_mul(moved), now);
        self.time.add(units.min(i64::MAX as u64) as i64, now);
        // What was cut off the time belongs to the next change.
        let counted = units.saturating_mul(TIME_UNIT_NS);
        self.last = Some((
            doubled,
            UnixNanos(at.0.saturating_add(counted).min(now.0.max(at.0))),
        ));
    }

    /// The book is not to be trusted: the next price is the first again, and what was learnt is kept.
    pub const fn on_gap(&mut self) {
        self.last = None;
    }

    /// Variance a second, in squared half increments (a quarter of it is that of the price in increments); `None` before
    /// any time has passed.
    pub fn per_second(&self) -> Option<i64> {
        let time = self.time.fine();
        if time <= 0 {
            return None;
        }
        let rate = self.squares.fine().saturating_mul(TIME_UNITS_PER_S) / time;
        Some(rate.clamp(0, i64::MAX.into()) as i64)
    }

    /// How far the price goes in `seconds`, one standard deviation, in parts of 2^10 of an increment.
    pub fn deviation(&self, seconds: u32) -> Option<i64> {
        let variance = i128::from(self.per_second()?) * i128::from(seconds);
        // Of half increments: their root is halved.
        let root = (variance << (2 * ROOT_BITS)).isqrt() / 2;
        Some(root.min(i64::MAX.into()) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_price_that_steps_by_two_increments_a_second_has_a_variance_of_four() {
        let mut volatility = Volatility::new(u64::MAX);
        assert_eq!(volatility.per_second(), None);
        for second in 0..10 {
            let price = if second % 2 == 0 { 100 } else { 102 };
            volatility.on_mid(price * 2, UnixNanos(second * 1_000_000_000));
        }
        // In half increments: 4 x 4.
        assert_eq!(volatility.per_second(), Some(16));
        assert_eq!(volatility.deviation(1), Some(2 << 10));
        assert_eq!(volatility.deviation(4), Some(4 << 10));
    }

    #[test]
    fn how_often_one_looks_at_a_price_that_stands_does_not_matter() {
        let (mut often, mut seldom) = (Volatility::new(u64::MAX), Volatility::new(u64::MAX));
        for ms in 0..=4_000u64 {
            let price = 200 + 2 * i64::from(ms >= 2_000);
            let now = UnixNanos(ms * 1_000_000);
            often.on_mid(price, now);
            if ms % 2_000 == 0 {
                seldom.on_mid(price, now);
            }
        }
        assert_eq!(often.per_second(), Some(1));
        assert_eq!(often.per_second(), seldom.per_second());
    }

    #[test]
    fn a_gap_is_no_move() {
        let mut volatility = Volatility::new(u64::MAX);
        volatility.on_mid(200, UnixNanos(0));
        volatility.on_mid(200, UnixNanos(2_000_000_000));
        volatility.on_gap();
        volatility.on_mid(900, UnixNanos(3_000_000_000));
        volatility.on_mid(900, UnixNanos(5_000_000_000));
        assert_eq!(volatility.per_second(), Some(0));
    }

    #[test]
    fn another_that_resumes_knows_what_was_learnt() {
        let mut first = Volatility::new(1_000_000_000);
        for second in 0..10 {
            first.on_mid(200 + second as i64 % 3, UnixNanos(second * 700_000_000));
        }
        let mut heir = Volatility::new(1_000_000_000);
        heir.resume(first.keep());
        assert_eq!(heir.per_second(), first.per_second());
        assert!(heir.per_second().is_some_and(|variance| variance > 0));
        heir.resume([i64::MIN, i64::MAX, -1, i64::MAX, i64::MIN, -1]);
        heir.on_mid(1, UnixNanos(u64::MAX));
        let _ = heir.per_second();
    }

    proptest! {
        #[test]
        fn no_number_overflows(steps in proptest::collection::vec(any::<(i64, u64)>(), 1..20)) {
            let mut volatility = Volatility::new(1);
            for (price, now) in steps {
                volatility.on_mid(price, UnixNanos(now));
                let _ = (volatility.per_second(), volatility.deviation(u32::MAX));
            }
        }
    }
}
