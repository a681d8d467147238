//! One token-bucket engine for every venue's limits, with a reserve that only cancels may use.
//!
//! Source: venues/README section 10. Integer arithmetic in nanoseconds; time is an input.

use dp_types::UnixNanos;

/// One limit: `capacity` units per `window_ns`, refilled evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Units a full window allows.
    pub capacity: u32,
    /// The window, nanoseconds.
    pub window_ns: u64,
    /// Time equivalent already spent: the bucket is full when this is at or before now.
    spent_until: u64,
}

impl Bucket {
    /// A full bucket. `capacity` and `window_ns` must be above 0 (both are raised to 1).
    pub const fn new(capacity: u32, window_ns: u64) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        let window_ns = if window_ns == 0 { 1 } else { window_ns };
        Self {
            capacity,
            window_ns,
            spent_until: 0,
        }
    }

    /// Nanoseconds one unit takes to come back.
    const fn unit_ns(&self) -> u64 {
        self.window_ns / self.capacity as u64
    }

    /// Whole units left at `now`.
    pub const fn available(&self, now: UnixNanos) -> u32 {
        let unit = if self.unit_ns() == 0 {
            1
        } else {
            self.unit_ns()
        };
        let debt_ns = self.spent_until.saturating_sub(now.0);
        let debt_units = debt_ns.div_ceil(unit);
        if debt_units >= self.capacity as u64 {
            0
        } else {
            self.capacity - debt_units as u32
        }
    }

    /// Takes `cost` units if more than `reserve` would be left after; says whether it did.
    pub const fn take(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        if self.available(now) < cost.saturating_add(reserve) {
            return false;
        }
        self.charge(now, cost);
        true
    }

    /// Takes `cost` units whether they are there or not (a request the venue counted anyway).
    pub const fn charge(&mut self, now: UnixNanos, cost: u32) {
        let start = if self.spent_until > now.0 {
            self.spent_until
        } else {
            now.0
        };
        self.spent_until = start.saturating_add(self.unit_ns().saturating_mul(cost as u64));
    }

    /// Corrects the bucket by the venue's own count of units used in this window.
    pub const fn correct(&mut self, now: UnixNanos, used: u32) {
        let venue_says = now
            .0
            .saturating_add(self.unit_ns().saturating_mul(used as u64));
        if venue_says > self.spent_until {
            self.spent_until = venue_says;
        }
    }
}

/// The limits one kind of request passes, and a stop the venue can impose.
///
/// A fifth of each bucket is kept for cancels: new orders and queries are refused first.
#[derive(Debug, Clone, Copy)]
pub struct RateGate<const N: usize> {
    /// The buckets, all of which must have room.
    pub buckets: [Bucket; N],
    stopped_until: UnixNanos,
}

impl<const N: usize> RateGate<N> {
    /// Share of a bucket only cancels may use: one in this many.
    pub const RESERVE_SHARE: u32 = 5;

    /// All buckets full.
    pub const fn new(buckets: [Bucket; N]) -> Self {
        Self {
            buckets,
            stopped_until: UnixNanos(0),
        }
    }

    /// Takes `cost` from every bucket or from none; cancels may use the reserve.
    pub fn take(&mut self, now: UnixNanos, cost: [u32; N], is_cancel: bool) -> bool {
        if now < self.stopped_until {
            return false;
        }
        let fits = self.buckets.iter().zip(cost).all(|(bucket, cost)| {
            let reserve = if is_cancel {
                0
            } else {
                bucket.capacity / Self::RESERVE_SHARE
            };
            cost == 0 || bucket.available(now) >= cost.saturating_add(reserve)
        });
        if fits {
            for (bucket, cost) in self.buckets.iter_mut().zip(cost) {
                bucket.charge(now, cost);
            }
        }
        fits
    }

    /// The venue said stop (429, 418, 50011): nothing passes, cancels included, until then.
    pub fn stop_until(&mut self, until: UnixNanos) {
        self.stopped_until = self.stopped_until.max(until);
    }

    /// Until when the venue has stopped us.
    pub const fn stopped_until(&self) -> UnixNanos {
        self.stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn reserve_is_for_cancels() {
        let mut gate = RateGate::new([Bucket::new(10, SECOND)]);
        let now = UnixNanos(5 * SECOND);
        let new_orders = (0..20).filter(|_| gate.take(now, [1], false)).count();
        let cancels = (0..20).filter(|_| gate.take(now, [1], true)).count();
        assert_eq!((new_orders, cancels), (8, 2));
    }

    #[test]
    fn a_stop_stops_cancels_too() {
        let mut gate = RateGate::new([Bucket::new(10, SECOND)]);
        gate.stop_until(UnixNanos(SECOND));
        assert!(!gate.take(UnixNanos(SECOND - 1), [1], true));
        assert!(gate.take(UnixNanos(SECOND), [1], true));
    }

    #[test]
    fn a_refusal_takes_from_no_bucket() {
        let mut gate = RateGate::new([Bucket::new(100, SECOND), Bucket::new(1, SECOND)]);
        let now = UnixNanos(SECOND);
        assert!(gate.take(now, [1, 1], true));
        assert!(!gate.take(now, [1, 1], true));
        assert_eq!(gate.buckets[0].available(now), 99);
    }

    proptest! {
        #[test]
        fn never_more_than_twice_capacity_in_any_window(
            steps in proptest::collection::vec(0u64..50_000_000, 1..400)
        ) {
            // A token bucket that starts full lets at most capacity + refill through in one window.
            let mut bucket = Bucket::new(20, SECOND);
            let (mut now, mut taken) = (SECOND, Vec::new());
            for step in steps {
                now += step;
                if bucket.take(UnixNanos(now), 1, 0) {
                    taken.push(now);
                }
            }
            for (i, start) in taken.iter().enumerate() {
                let inside = taken[i..].iter().take_while(|at| **at < start + SECOND).count();
                prop_assert!(inside <= 40, "{inside} in one window");
            }
        }
    }
}
