//! A limit that flows back with time.

use super::Share;
use dp_types::UnixNanos;

/// So many units at once, and one back every interval. Kept as the time at which all are back (GCRA): one number,
/// exact, no timer.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    full_at: UnixNanos,
    burst: u32,
    interval_ns: u64,
}

impl Bucket {
    /// A full bucket: our share of `burst` units, and of one every `interval_ns`.
    pub const fn new(burst: u32, interval_ns: u64, share: Share) -> Self {
        Self {
            full_at: UnixNanos(0),
            burst: share.of(burst),
            interval_ns: share.interval_ns(interval_ns),
        }
    }

    /// Our share of the burst.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// Takes `cost` units unless less than `kept` would be left; all or none.
    pub fn take(&mut self, now: UnixNanos, cost: u32, kept: u32) -> bool {
        let full_at = self.after(now, cost);
        let room = self.burst.saturating_sub(kept);
        let fits = full_at.since(now) <= self.time(room);
        if fits {
            self.full_at = full_at;
        }
        fits
    }

    /// Takes `cost` units whatever is left.
    pub fn force(&mut self, now: UnixNanos, cost: u32) {
        self.full_at = self.after(now, cost);
    }

    /// The venue says that it is empty. Returns when `units` of it are back.
    pub fn empty(&mut self, now: UnixNanos, units: u32) -> UnixNanos {
        self.full_at = self.full_at.max(now.after(self.time(self.burst)));
        let missing = self.burst.saturating_sub(units);
        let left = self.full_at.since(now);
        now.after(left.saturating_sub(self.time(missing)))
    }

    fn after(&self, now: UnixNanos, cost: u32) -> UnixNanos {
        self.full_at.max(now).after(self.time(cost))
    }

    /// How long so many units take to come back.
    fn time(&self, units: u32) -> u64 {
        self.interval_ns.saturating_mul(u64::from(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
    const INTERVAL_NS: u64 = 100_000_000;

    #[test]
    fn a_burst_then_one_an_interval() {
        let mut bucket = Bucket::new(7, INTERVAL_NS, Share::WHOLE);
        assert!(!bucket.take(T0, 8, 0) && !bucket.take(T0, 1, 7) && !bucket.take(T0, 1, u32::MAX));
        assert!(bucket.take(T0, 5, 2) && !bucket.take(T0, 1, 2) && bucket.take(T0, 2, 0));
        assert!(!bucket.take(UnixNanos(T0.0 + INTERVAL_NS - 1), 1, 0));
        assert!(bucket.take(T0.after(INTERVAL_NS), 1, 0));
        bucket.force(T0.after(INTERVAL_NS), 1);
        assert!(!bucket.take(T0.after(2 * INTERVAL_NS), 1, 0));
        assert!(bucket.take(T0, 0, 0) || bucket.full_at > T0.after(7 * INTERVAL_NS));
    }

    #[test]
    fn a_share_is_smaller_and_slower() {
        let mut bucket = Bucket::new(7, INTERVAL_NS, Share::percent(50));
        assert_eq!(bucket.burst(), 3);
        assert!(bucket.take(T0, 3, 0) && !bucket.take(T0.after(INTERVAL_NS), 1, 0));
        assert!(bucket.take(T0.after(2 * INTERVAL_NS), 1, 0));
    }

    #[test]
    fn an_empty_one_names_when_units_are_back() {
        let mut bucket = Bucket::new(7, INTERVAL_NS, Share::WHOLE);
        let until = bucket.empty(T0, 2);
        assert_eq!(until, T0.after(2 * INTERVAL_NS));
        assert!(!bucket.take(UnixNanos(until.0 - 1), 2, 0) && bucket.take(until, 2, 0));
        assert_eq!(bucket.empty(until, 9), until.after(7 * INTERVAL_NS));
    }

    proptest! {
        /// Law: whatever the pace and cost, and wherever the clock goes, no span holds more than the burst and what
        /// comes back in it.
        #[test]
        fn never_more_than_burst_and_rate(
            steps in proptest::collection::vec((-200_000_000i64..400_000_000, 1u32..9), 1..300),
        ) {
            let mut bucket = Bucket::new(7, INTERVAL_NS, Share::WHOLE);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for (step, cost) in steps {
                now = now.saturating_add_signed(step);
                if bucket.take(UnixNanos(now), cost, 0) {
                    passed.push((now, cost));
                }
            }
            passed.sort_unstable();
            for (at, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (until, cost) in passed.iter().skip(at) {
                    sum += u64::from(*cost);
                    prop_assert!(sum <= 7 + (until - from) / INTERVAL_NS);
                }
            }
        }

        #[test]
        fn any_time_and_size_is_taken(times: Vec<u64>, cost: u32, interval_ns: u64) {
            let mut bucket = Bucket::new(3, interval_ns, Share::percent(1));
            for time in times {
                bucket.take(UnixNanos(time), cost, 0);
                bucket.force(UnixNanos(time), cost);
                bucket.empty(UnixNanos(time), cost);
            }
        }
    }
}
