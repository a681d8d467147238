//! What we may send: a bucket for each of the venue's limits, with room kept for cancels.
//!
//! ```text
//! private   15 a second, bursts of 30, of the profile: orders, cancels and questions share it
//!             new orders leave 10 in it, questions 20: a cancel always finds room before either
//! fills     10 a second, bursts of 20
//! public    10 a second, bursts of 15, of the address
//! messages  8 a second, bursts of 20, of the address: subscriptions
//! ```
//! The venue names a rate and a burst, which is a bucket that refills; kept here as the time at which it would be
//! full again (GCRA): one number, exact, no timer. Refills are counted a twentieth slower than the venue's, because
//! requests can close up on the way. HTTP 429 says "wait" and not how long: nothing goes out for a second, a cancel
//! included, since it would be refused from the same bucket.
//! Source: venue page, section A6.

use dp_types::UnixNanos;

/// Left in the private bucket by new orders.
const KEPT_FROM_ORDERS: u32 = 10;
/// Left in it by questions.
const KEPT_FROM_QUESTIONS: u32 = 20;
/// How long we hold still when the venue refused for rate.
const STOP_NS: u64 = 1_000_000_000;
/// The longest stop we believe.
const STOP_S_MAX: u32 = 3_600;

/// A bucket of requests.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// One request is back after so long.
    interval_ns: u64,
    burst: u32,
    /// When it is full again.
    full_at: UnixNanos,
}

impl Bucket {
    const fn new(per_second: u64, burst: u32) -> Self {
        Self {
            interval_ns: 1_050_000_000 / per_second,
            burst,
            full_at: UnixNanos(0),
        }
    }

    /// Takes one request if `kept` more would still fit.
    fn take(&mut self, now: UnixNanos, kept: u32) -> bool {
        let size_ns = self.interval_ns * u64::from(self.burst);
        let after = self.full_at.max(now).after(self.interval_ns);
        let fits = after.since(now) + self.interval_ns * u64::from(kept) <= size_ns;
        if fits {
            self.full_at = after;
        }
        fits
    }
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new order.
    New,
    /// A cancel, of one order or of all.
    Cancel,
    /// A question about orders or balances.
    Question,
    /// A question about fills.
    Fills,
    /// The list of products.
    Public,
    /// A subscription.
    Subscribe,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    private: Bucket,
    fills: Bucket,
    public: Bucket,
    messages: Bucket,
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            private: Bucket::new(15, 30),
            fills: Bucket::new(10, 20),
            public: Bucket::new(10, 15),
            messages: Bucket::new(8, 20),
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
        }
    }
}

impl Limits {
    /// Takes room for one request.
    pub fn take(&mut self, now: UnixNanos, kind: Kind) -> bool {
        let (bucket, kept, stopped_until) = match kind {
            Kind::New => (&mut self.private, KEPT_FROM_ORDERS, self.stopped_until),
            Kind::Cancel => (&mut self.private, 0, self.cancels_stopped_until),
            Kind::Question => (&mut self.private, KEPT_FROM_QUESTIONS, self.stopped_until),
            Kind::Fills => (&mut self.fills, 0, self.stopped_until),
            Kind::Public => (&mut self.public, 0, self.stopped_until),
            Kind::Subscribe => (&mut self.messages, 0, UnixNanos(0)),
        };
        now >= stopped_until && bucket.take(now, kept)
    }

    /// The venue refused for rate: holds everything for a second, or as long as it named; cancels for the second
    /// only. Returns when the longer ends.
    pub fn stop(&mut self, now: UnixNanos, retry_after_s: Option<u32>) -> UnixNanos {
        let named_s = retry_after_s.map_or(0, |s| s.min(STOP_S_MAX));
        let stop_ns = STOP_NS.max(u64::from(named_s) * 1_000_000_000);
        self.cancels_stopped_until = self.cancels_stopped_until.max(now.after(STOP_NS));
        self.stopped_until = self.stopped_until.max(now.after(stop_ns));
        self.stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    fn count(limits: &mut Limits, now: UnixNanos, kind: Kind) -> usize {
        (0..100).filter(|_| limits.take(now, kind)).count()
    }

    #[test]
    fn questions_leave_room_for_orders_and_orders_for_cancels() {
        let mut limits = Limits::default();
        assert_eq!(count(&mut limits, T0, Kind::Question), 10);
        assert_eq!(count(&mut limits, T0, Kind::New), 10);
        assert_eq!(count(&mut limits, T0, Kind::Cancel), 10);
        assert_eq!(count(&mut limits, T0, Kind::Cancel), 0);
        assert_eq!(count(&mut limits, T0, Kind::Fills), 20, "their own bucket");
        let later = T0.after(1_050_000_000);
        assert_eq!(count(&mut limits, later, Kind::New), 5, "fifteen are back");
        assert_eq!(count(&mut limits, later, Kind::Cancel), 10);
    }

    #[test]
    fn a_stop_holds_everything_for_a_second_and_cancels_no_longer() {
        let mut limits = Limits::default();
        let until = limits.stop(T0, Some(30));
        assert_eq!(until, T0.after(30_000_000_000));
        let soon = T0.after(STOP_NS - 1);
        assert!(!limits.take(soon, Kind::Cancel) && !limits.take(soon, Kind::New));
        let later = T0.after(STOP_NS);
        assert!(limits.take(later, Kind::Cancel));
        assert!(!limits.take(later, Kind::New) && !limits.take(later, Kind::Question));
        assert!(limits.take(until, Kind::New) && limits.take(until, Kind::Question));
        assert_eq!(limits.stop(until, None), until.after(STOP_NS));
        let named = limits.stop(until, Some(u32::MAX));
        assert_eq!(named, until.after(3_600_000_000_000));
    }

    proptest! {
        /// Law: whatever the pace, no span holds more than the burst and what the venue's rate gives back in it.
        #[test]
        fn never_more_than_the_venues_bucket(
            steps in proptest::collection::vec(0u64..200_000_000, 1..400),
        ) {
            let mut bucket = Bucket::new(15, 30);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for step in steps {
                now += step;
                if bucket.take(UnixNanos(now), 0) {
                    passed.push(now);
                }
            }
            for (at, first) in passed.iter().enumerate() {
                for (more, last) in passed.iter().enumerate().skip(at) {
                    let count = (more - at + 1) as u64;
                    prop_assert!(count <= 30 + (last - first) * 15 / 1_000_000_000 + 1);
                }
            }
        }
    }
}
