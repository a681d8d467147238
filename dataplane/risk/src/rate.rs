//! A token bucket in integer nanoseconds: one rate, one burst.

use dp_types::UnixNanos;

const SECOND_NS: u64 = 1_000_000_000;

/// At most `per_second` at once and `per_second` a second thereafter, so any one second sees at most
/// twice that; 0 lets nothing pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    per_second: u32,
    /// Time one unit takes to come back, rounded up so that the rate is never exceeded.
    unit_ns: u64,
    /// How far ahead of now `spent_until` may be after taking one: a second, in whole units.
    burst_ns: u64,
    /// The bucket is full when this is at or before now.
    spent_until: u64,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(per_second: u32) -> Self {
        let divisor = if per_second == 0 { 1 } else { per_second };
        let unit_ns = SECOND_NS.div_ceil(divisor as u64);
        Self {
            per_second,
            unit_ns,
            burst_ns: unit_ns.saturating_mul(per_second as u64),
            spent_until: 0,
        }
    }

    /// The same debt in time under another rate: a reload does not hand out a fresh burst.
    pub const fn with_rate(self, per_second: u32) -> Self {
        let mut next = Self::new(per_second);
        next.spent_until = self.spent_until;
        next
    }

    /// Units a second.
    pub const fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Units that have not come back yet.
    pub const fn used(&self, now: UnixNanos) -> u32 {
        let debt_ns = self.spent_until.saturating_sub(now.0);
        let used = debt_ns.div_ceil(self.unit_ns);
        if used < self.per_second as u64 {
            used as u32
        } else {
            self.per_second
        }
    }

    /// Takes one unit; says whether there was one. Cost: a few integer operations. Errors: none.
    #[inline]
    pub const fn take(&mut self, now: UnixNanos) -> bool {
        let start = if self.spent_until > now.0 {
            self.spent_until
        } else {
            now.0
        };
        let after = start.saturating_add(self.unit_ns);
        if self.burst_ns == 0 || after - now.0 > self.burst_ns {
            return false;
        }
        self.spent_until = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_lets_nothing_pass_and_a_burst_is_one_second() {
        assert!(!Bucket::new(0).take(UnixNanos(SECOND_NS)));
        let mut bucket = Bucket::new(7);
        let now = UnixNanos(9 * SECOND_NS);
        assert_eq!((0..20).filter(|_| bucket.take(now)).count(), 7);
        assert_eq!(
            (bucket.used(now), bucket.used(now.after(SECOND_NS / 2))),
            (7, 4)
        );
        assert_eq!(bucket.used(now.after(2 * SECOND_NS)), 0);
        assert!(!bucket.take(now.after(SECOND_NS / 7 - 1)));
        assert!(bucket.take(now.after(SECOND_NS / 7 + 1)));
    }

    #[test]
    fn a_reload_hands_out_no_fresh_burst() {
        let mut bucket = Bucket::new(10);
        let now = UnixNanos(SECOND_NS);
        while bucket.take(now) {}
        bucket = bucket.with_rate(10);
        assert!(!bucket.take(now));
    }

    proptest! {
        #[test]
        fn any_second_sees_at_most_twice_the_rate(
            rate in 1u32..200, steps in proptest::collection::vec(0u64..40_000_000, 1..400)
        ) {
            let (mut bucket, mut now, mut taken) = (Bucket::new(rate), SECOND_NS, Vec::new());
            for step in steps {
                now += step;
                if bucket.take(UnixNanos(now)) {
                    taken.push(now);
                }
            }
            for (i, start) in taken.iter().enumerate() {
                let inside = taken[i..].iter().take_while(|at| **at < start + SECOND_NS).count();
                prop_assert!(inside <= 2 * rate as usize);
            }
        }

        #[test]
        fn no_time_and_no_rate_overflows(rate: u32, times in proptest::collection::vec(any::<u64>(), 1..20)) {
            let mut bucket = Bucket::new(rate);
            for time in times {
                bucket.take(UnixNanos(time));
            }
        }
    }
}
