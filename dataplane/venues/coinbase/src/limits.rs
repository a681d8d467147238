//! What we may send: a bucket for each of the venue's limits, with room kept for cancels.
//!
//! ```text
//! private   15 a second, bursts of 30, of the profile: orders, cancels and questions share it
//!             new orders leave 10 in it, questions 20: a cancel always finds room before either
//! fills     10 a second, bursts of 20
//! public    10 a second, bursts of 15, of the address
//! messages  8 a second, bursts of 20, of the address: subscriptions
//! ```
//! The venue names a rate and a burst, which is a bucket that refills, a twentieth slower than the venue's: requests can
//! close up on the way. HTTP 429 says "wait" and not how long: nothing goes out for a second, a cancel
//! included, since it would be refused from the same bucket.
//! Source: venue page, section A6.

use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Bucket, Budget, OrderAsk, Rates, Share, Stops, lacking, named_ns};

/// Left in the private bucket by new orders.
const KEPT_FROM_ORDERS: u32 = 10;
/// Left in it by questions.
const KEPT_FROM_QUESTIONS: u32 = 20;
/// How long we hold still when the venue refused for rate.
const STOP_NS: u64 = 1_000_000_000;

/// A bucket of `burst` requests that refills at `per_second`.
const fn bucket(per_second: u64, burst: u32, share: Share) -> Bucket {
    Bucket::new(burst, 1_050_000_000 / per_second, share)
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
    /// What new orders and questions leave in the private bucket.
    kept: [u32; 2],
    stops: Stops,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let now = UnixNanos(0);
    let mut limits = Limits::new(budget);
    lacking(&[
        (limits.take(now, Kind::Question), "a question about orders"),
        (limits.take(now, Kind::New), "a new order"),
        (
            budget.account.holds(KEPT_FROM_ORDERS),
            "a cancel after new orders",
        ),
        // A book is asked for anew by leaving its channel and entering it.
        (
            limits.take(now, Kind::Subscribe) && limits.take(now, Kind::Subscribe),
            "a book",
        ),
    ])
}

impl Limits {
    /// Our share of full buckets.
    pub const fn new(budget: Budget) -> Self {
        Self {
            private: bucket(15, 30, budget.account),
            fills: bucket(10, 20, budget.account),
            public: bucket(10, 15, budget.address),
            messages: bucket(8, 20, budget.address),
            kept: [
                budget.account.of(KEPT_FROM_ORDERS),
                budget.account.of(KEPT_FROM_QUESTIONS),
            ],
            stops: Stops::NONE,
        }
    }

    /// Takes room for one request.
    pub fn take(&mut self, now: UnixNanos, kind: Kind) -> bool {
        let [from_orders, from_questions] = self.kept;
        let is_held = self.stops.holds(now);
        let (bucket, kept, is_held) = match kind {
            Kind::New => (&mut self.private, from_orders, is_held),
            Kind::Cancel => (&mut self.private, 0, self.stops.holds_cancels(now)),
            Kind::Question => (&mut self.private, from_questions, is_held),
            Kind::Fills => (&mut self.fills, 0, is_held),
            Kind::Public => (&mut self.public, 0, is_held),
            Kind::Subscribe => (&mut self.messages, 0, false),
        };
        !is_held && bucket.take(now, 1, kept)
    }

    /// The venue refused for rate: holds everything for a second, or as long as it named; cancels for the second
    /// only. Returns when the longer ends.
    pub fn stop(&mut self, now: UnixNanos, retry_after_s: Option<u32>) -> UnixNanos {
        self.stops.hold_cancels(now.after(STOP_NS));
        self.stops
            .hold(now.after(STOP_NS.max(named_ns(retry_after_s))))
    }
}

impl Rates for Limits {
    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(count) => (0..count).all(|_| Self::take(self, now, Kind::New)),
            // The venue has none: each is refused before it is counted.
            OrderAsk::Amend(_) => true,
            OrderAsk::Cancel(_) | OrderAsk::CancelAll(_) => Self::take(self, now, Kind::Cancel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    fn count(limits: &mut Limits, now: UnixNanos, kind: Kind) -> usize {
        (0..100).filter(|_| limits.take(now, kind)).count()
    }

    #[test]
    fn questions_leave_room_for_orders_and_orders_for_cancels() {
        let mut limits = Limits::new(Budget::WHOLE);
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
        let mut limits = Limits::new(Budget::WHOLE);
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

    #[test]
    fn a_share_keeps_its_part_for_cancels() {
        let mut limits = Limits::new(Budget::of(Share::percent(50)));
        assert_eq!(count(&mut limits, T0, Kind::Question), 5);
        assert_eq!(count(&mut limits, T0, Kind::New), 5);
        assert_eq!(count(&mut limits, T0, Kind::Cancel), 5);
        let later = T0.after(1_050_000_000);
        assert_eq!(count(&mut limits, later, Kind::Cancel), 7, "and a half");
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(10)), (None, None));
        assert_eq!(of(5), Some("a question about orders"));
        assert_eq!(of(9), Some("a new order"));
    }
}
