//! What we may send: credit pools of the sub-account, kept at four fifths of what the venue gives.
//!
//! ```text
//! pool        the venue              ours            kept for
//! matching    20 at once,  5 a s     16 and 4 a s    4 for cancels
//! other      100 at once, 20 a s     80 and 16 a s   16 for heartbeats and logins
//! subscribe   10 at once, 3.3 a s     8 and 2 a s    -
//! ```
//! The venue counts credits that flow back (500 of 50,000 at 10,000 a second for an ordinary request, 3,000 of
//! 30,000 for a subscription) and tells nothing of what is left. Too many requests end the session, and with it,
//! by cancel on disconnect, every order: so we stay well below, and hold still for as long as all pools take to
//! fill when it happened all the same. Cancels go on at their pace even then: what they might cost, the session, would
//! cancel the rest.
//!
//! These are the venue's defaults; accounts that trade more are given more, which `get_account_summary` tells and
//! we do not read. What is asked without a login is counted by address, so of pools that serve both we use the part
//! that is ours by either.
//! Source: venue page, section 6, read 2026-11-20.

use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Bucket, Budget, OrderAsk, Rates, lacking, named_ns};

const SECOND_NS: u64 = 1_000_000_000;
/// Matching-engine requests at once, and kept of them for cancels.
const MATCHING_BURST: u32 = 16;
const MATCHING_KEPT: u32 = 4;
const MATCHING_NS: u64 = SECOND_NS / 4;
/// Other requests at once, and kept of them for what must be answered.
const OTHER_BURST: u32 = 80;
const OTHER_KEPT: u32 = 16;
const OTHER_NS: u64 = SECOND_NS / 16;
/// Subscriptions at once.
pub(crate) const SUBSCRIBE_BURST: u32 = 8;
const SUBSCRIBE_NS: u64 = SECOND_NS / 2;
/// What it takes to enter a book anew: its channel is left first.
pub(crate) const BOOK_MESSAGES: u32 = 2;

/// How long we hold still after a refusal: until the slowest of the venue's pools (50,000 at 10,000 a second) is
/// full, and a second.
const STOP_NS: u64 = 6 * SECOND_NS;

/// A kind of matching-engine request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `buy`, `sell`, `edit`.
    Enter,
    /// `cancel`, `cancel_by_label`, `cancel_all_by_instrument`.
    Cancel,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    matching: Bucket,
    other: Bucket,
    subscribe: Bucket,
    /// Our share of [`MATCHING_KEPT`] and [`OTHER_KEPT`].
    kept: [u32; 2],
    stopped_until: UnixNanos,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let now = UnixNanos(0);
    let mut limits = Limits::new(budget);
    lacking(&[
        (limits.order(now, OrderOp::Enter), "a new order"),
        (
            budget.account.holds(MATCHING_KEPT),
            "a cancel after new orders",
        ),
        (limits.rest(now), "a list of orders"),
        (limits.subscribe.take(now, BOOK_MESSAGES, 0), "a book"),
    ])
}

impl Limits {
    /// Our share of full pools.
    pub fn new(budget: Budget) -> Self {
        let both = budget.account.min(budget.address);
        Self {
            matching: Bucket::new(MATCHING_BURST, MATCHING_NS, budget.account),
            other: Bucket::new(OTHER_BURST, OTHER_NS, both),
            subscribe: Bucket::new(SUBSCRIBE_BURST, SUBSCRIBE_NS, both),
            kept: [budget.account.of(MATCHING_KEPT), both.of(OTHER_KEPT)],
            stopped_until: UnixNanos(0),
        }
    }

    /// Takes room for one order request.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp) -> bool {
        match op {
            OrderOp::Enter => !self.is_stopped(now) && self.matching.take(now, 1, self.kept[0]),
            OrderOp::Cancel => self.matching.take(now, 1, 0),
        }
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos) -> bool {
        !self.is_stopped(now) && self.other.take(now, 1, self.kept[1])
    }

    /// Takes room for one request a link cannot do without: a login, a heartbeat's interval, cancel on disconnect.
    pub fn upkeep(&mut self, now: UnixNanos) -> bool {
        !self.is_stopped(now) && self.other.take(now, 1, 0)
    }

    /// Counts an answer to the venue's test request, which must go out whatever is left.
    pub fn test(&mut self, now: UnixNanos) {
        self.other.force(now, 1);
    }

    /// Takes room for `count` subscribe or unsubscribe requests. Those of a link are not parted: more than our share of a
    /// burst go when all of it is there, and are paid for afterwards.
    pub fn subscribe(&mut self, now: UnixNanos, count: u32) -> bool {
        let at_once = count.min(self.subscribe.burst());
        let may = !self.is_stopped(now) && self.subscribe.take(now, at_once, 0);
        if may {
            self.subscribe.force(now, count - at_once);
        }
        may
    }

    /// The venue refused for rate: nothing but cancels and answers to its tests goes out until its pools are full again, or as
    /// long as it named. Returns until when.
    pub fn stop(&mut self, now: UnixNanos, retry_after_s: Option<u32>) -> UnixNanos {
        for pool in [&mut self.matching, &mut self.other, &mut self.subscribe] {
            pool.empty(now, 0);
        }
        let stop_ns = STOP_NS.max(named_ns(retry_after_s));
        self.stopped_until = self.stopped_until.max(now.after(stop_ns));
        self.stopped_until
    }

    /// Until when nothing else may be sent; in the past when it may.
    pub const fn stopped_until(&self) -> UnixNanos {
        self.stopped_until
    }

    fn is_stopped(&self, now: UnixNanos) -> bool {
        now < self.stopped_until
    }
}

impl Rates for Limits {
    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(count) => (0..count).all(|_| self.order(now, OrderOp::Enter)),
            OrderAsk::Amend(_) => self.order(now, OrderOp::Enter),
            OrderAsk::Cancel(_) | OrderAsk::CancelAll(_) => self.order(now, OrderOp::Cancel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_venue_api::limits::Share;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn twelve_orders_at_once_then_four_cancels_then_four_a_second() {
        let mut limits = Limits::new(Budget::WHOLE);
        let count = |limits: &mut Limits, at, op| (0..50).filter(|_| limits.order(at, op)).count();
        assert_eq!(count(&mut limits, T0, OrderOp::Enter), 12);
        assert_eq!(count(&mut limits, T0, OrderOp::Cancel), 4, "the reserve");
        assert_eq!(count(&mut limits, T0.after(SECOND_NS), OrderOp::Cancel), 4);
        let full = T0.after(5 * SECOND_NS);
        assert_eq!(count(&mut limits, full, OrderOp::Cancel), 16);
        assert_eq!(count(&mut limits, full, OrderOp::Enter), 0);
    }

    #[test]
    fn links_are_kept_up_when_lists_have_taken_their_share() {
        let mut limits = Limits::new(Budget::WHOLE);
        assert_eq!((0..200).filter(|_| limits.rest(T0)).count(), 64);
        assert_eq!((0..200).filter(|_| limits.upkeep(T0)).count(), 16);
        limits.test(T0);
        assert!(!limits.upkeep(T0.after(OTHER_NS)), "the test was counted");
        assert!(limits.upkeep(T0.after(2 * OTHER_NS)));
    }

    #[test]
    fn a_stop_holds_everything_until_the_venues_pools_are_full() {
        let mut limits = Limits::new(Budget::WHOLE);
        assert_eq!(limits.stop(T0, Some(1)), T0.after(STOP_NS));
        let until = limits.stop(T0, Some(30));
        assert_eq!(until, T0.after(30 * SECOND_NS));
        let before = UnixNanos(until.0 - 1);
        assert!(!limits.order(before, OrderOp::Enter));
        assert!(!limits.order(T0, OrderOp::Cancel), "its pool is empty");
        assert!(
            limits.order(T0.after(MATCHING_NS), OrderOp::Cancel),
            "but what rests must go"
        );
        assert!(!limits.rest(before) && !limits.upkeep(before) && !limits.subscribe(before, 1));
        assert!(limits.order(until, OrderOp::Enter) && limits.rest(until));
        assert!(limits.upkeep(until) && limits.subscribe(until, 1));
        assert_eq!(
            limits.stop(until, Some(u32::MAX)).since(until),
            3_600 * SECOND_NS
        );
    }

    #[test]
    fn a_share_is_a_smaller_and_slower_account() {
        let mut limits = Limits::new(Budget::of(Share::percent(50)));
        let count = |limits: &mut Limits, at, op| (0..50).filter(|_| limits.order(at, op)).count();
        assert_eq!(count(&mut limits, T0, OrderOp::Enter), 6);
        assert_eq!(count(&mut limits, T0, OrderOp::Cancel), 2, "the reserve");
        assert_eq!(count(&mut limits, T0.after(SECOND_NS), OrderOp::Cancel), 2);
        assert!(
            limits.subscribe(T0, 7),
            "a link's subscriptions go together"
        );
        assert!(
            !limits.subscribe(T0.after(4 * SUBSCRIBE_NS), 1),
            "and are paid for"
        );
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(25)), (None, None));
        assert_eq!(of(24), Some("a cancel after new orders"));
        let narrow = Budget {
            address: Share::percent(24),
            ..Budget::WHOLE
        };
        assert_eq!(lacks(narrow), Some("a book"));
    }
}
