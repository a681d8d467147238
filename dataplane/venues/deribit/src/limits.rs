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
//! cancel the rest. A pool is one number, the time at which it will be full again.
//!
//! These are the venue's defaults; accounts that trade more are given more, which `get_account_summary` tells and
//! we do not read. Machines that share an account share its pools: each keeps these by itself.
//! Source: venue page, section 6, read 2026-11-20.

use dp_types::UnixNanos;

const SECOND_NS: u64 = 1_000_000_000;
/// Matching-engine requests at once, and kept of them for cancels.
const MATCHING_BURST: u64 = 16;
const MATCHING_KEPT: u64 = 4;
const MATCHING_NS: u64 = SECOND_NS / 4;
/// Other requests at once, and kept of them for what must be answered.
const OTHER_BURST: u64 = 80;
const OTHER_KEPT: u64 = 16;
const OTHER_NS: u64 = SECOND_NS / 16;
/// Subscriptions at once.
pub(crate) const SUBSCRIBE_BURST: u64 = 8;
const SUBSCRIBE_NS: u64 = SECOND_NS / 2;

/// How long we hold still after a refusal: until the slowest of the venue's pools (50,000 at 10,000 a second) is
/// full, and a second.
const STOP_NS: u64 = 6 * SECOND_NS;
/// The longest stop we believe.
const STOP_S_MAX: u32 = 3_600;

/// A pool of requests that flow back evenly.
#[derive(Debug, Clone, Copy)]
struct Pool {
    /// When it is full.
    full_at: UnixNanos,
    burst: u64,
    /// Time for one request to come back.
    request_ns: u64,
}

impl Pool {
    const fn new(burst: u64, request_ns: u64) -> Self {
        Self {
            full_at: UnixNanos(0),
            burst,
            request_ns,
        }
    }

    /// Takes `count` requests unless less than `kept` would be left; all or none.
    fn take(&mut self, now: UnixNanos, count: u64, kept: u64) -> bool {
        let full_at = self.after(now, count);
        let room = self.burst.saturating_sub(kept);
        let fits = full_at.since(now) <= self.request_ns.saturating_mul(room);
        if fits {
            self.full_at = full_at;
        }
        fits
    }

    /// Takes one whatever is left.
    fn force(&mut self, now: UnixNanos) {
        self.full_at = self.after(now, 1);
    }

    fn empty(&mut self, now: UnixNanos) {
        self.full_at = self.full_at.max(now.after(self.request_ns * self.burst));
    }

    fn after(&self, now: UnixNanos, count: u64) -> UnixNanos {
        let cost_ns = self.request_ns.saturating_mul(count);
        self.full_at.max(now).after(cost_ns)
    }
}

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
    matching: Pool,
    other: Pool,
    subscribe: Pool,
    stopped_until: UnixNanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            matching: Pool::new(MATCHING_BURST, MATCHING_NS),
            other: Pool::new(OTHER_BURST, OTHER_NS),
            subscribe: Pool::new(SUBSCRIBE_BURST, SUBSCRIBE_NS),
            stopped_until: UnixNanos(0),
        }
    }
}

impl Limits {
    /// Takes room for one order request.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp) -> bool {
        match op {
            OrderOp::Enter => !self.is_stopped(now) && self.matching.take(now, 1, MATCHING_KEPT),
            OrderOp::Cancel => self.matching.take(now, 1, 0),
        }
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos) -> bool {
        !self.is_stopped(now) && self.other.take(now, 1, OTHER_KEPT)
    }

    /// Takes room for one request a link cannot do without: a login, a heartbeat's interval, cancel on disconnect.
    pub fn upkeep(&mut self, now: UnixNanos) -> bool {
        !self.is_stopped(now) && self.other.take(now, 1, 0)
    }

    /// Counts an answer to the venue's test request, which must go out whatever is left.
    pub fn test(&mut self, now: UnixNanos) {
        self.other.force(now);
    }

    /// Takes room for `count` subscribe or unsubscribe requests.
    pub fn subscribe(&mut self, now: UnixNanos, count: u64) -> bool {
        !self.is_stopped(now) && self.subscribe.take(now, count, 0)
    }

    /// The venue refused for rate: nothing but cancels and answers to its tests goes out until its pools are full again, or as
    /// long as it named. Returns until when.
    pub fn stop(&mut self, now: UnixNanos, retry_after_s: Option<u32>) -> UnixNanos {
        for pool in [&mut self.matching, &mut self.other, &mut self.subscribe] {
            pool.empty(now);
        }
        let named_s = retry_after_s.map_or(0, |s| s.min(STOP_S_MAX));
        let stop_ns = STOP_NS.max(u64::from(named_s) * SECOND_NS);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn twelve_orders_at_once_then_four_cancels_then_four_a_second() {
        let mut limits = Limits::default();
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
        let mut limits = Limits::default();
        assert_eq!((0..200).filter(|_| limits.rest(T0)).count(), 64);
        assert_eq!((0..200).filter(|_| limits.upkeep(T0)).count(), 16);
        limits.test(T0);
        assert!(!limits.upkeep(T0.after(OTHER_NS)), "the test was counted");
        assert!(limits.upkeep(T0.after(2 * OTHER_NS)));
    }

    #[test]
    fn a_stop_holds_everything_until_the_venues_pools_are_full() {
        let mut limits = Limits::default();
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

    proptest! {
        /// Law: in no span of time does more pass than the burst and what flows back in it.
        #[test]
        fn never_more_than_burst_and_rate(
            steps in proptest::collection::vec((0u64..400_000_000, 1u64..4), 1..300),
        ) {
            let mut pool = Pool::new(7, 100_000_000);
            let (mut now, mut passed) = (T0, Vec::new());
            for (step, count) in steps {
                now = now.after(step);
                if pool.take(now, count, 0) {
                    passed.push((now, count));
                }
            }
            for (at, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (until, count) in passed.iter().skip(at) {
                    sum += count;
                    prop_assert!(sum <= 7 + until.since(*from) / 100_000_000 + 1);
                }
            }
        }
    }
}
