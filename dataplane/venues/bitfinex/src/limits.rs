//! What we may send: orders over the logged-in socket, REST requests, questions about balances.
//!
//! ```text
//! orders   1,000 in 5 min, of which 200 are kept for cancels     [U]: commonly cited, confirmed by no public text;
//!          several in one request are counted each
//! REST     45 in 60 s for signed requests, 30 in 60 s for public ones: under the 90 the venue shares out
//! ```
//! The venue tells nothing of what is used, so we count ourselves; public requests are the address's. A refusal for rate stops REST for a minute, orders for a second, twice
//! as long each time while refusals go on.
//! Source: venue page, section 6, read 2026-11-21.

use crate::entry::BATCH_MAX;
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Budget, OrderAsk, Rates, Stops, Times, lacking, named_ns};

const SECOND_NS: u64 = 1_000_000_000;
/// Requests about orders in [`ORDER_WINDOW_NS`] [U].
const ORDER_COUNT: u32 = 1_000;
/// Share of those only cancels may take: one in this many.
const RESERVE_SHARE: u32 = 5;
/// 5 min, and a fortieth more because requests can close up on the way.
const ORDER_WINDOW_NS: u64 = 307 * SECOND_NS;
/// Signed REST requests a minute [U].
const SIGNED_COUNT: u32 = 45;
/// Public REST requests a minute; the venue's pages say 90, shared by all lists.
const PUBLIC_COUNT: u32 = 30;
const REST_WINDOW_NS: u64 = 61 * SECOND_NS;
/// How long REST holds still when it was refused for rate: the venue's block.
const REST_STOP_NS: u64 = 60 * SECOND_NS;
/// The first stop of orders, and the longest.
const ORDER_STOP_NS: u64 = SECOND_NS;
const ORDER_STOP_NS_MAX: u64 = 60 * SECOND_NS;

/// A kind of order request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `on`, or `ox_multi` counted by orders.
    New,
    /// `ou`.
    Amend,
    /// `oc`, or `oc_multi` counted by orders.
    Cancel,
}

/// A pool of REST requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestPool {
    /// Lists anyone may read.
    Public,
    /// Questions about our account.
    Signed,
}

/// What the venue refused for rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A cancel.
    Cancel,
    /// Another order request.
    Order,
    /// A REST request.
    Rest,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    orders: Times,
    rest: [Times; 2],
    rest_stopped_until: UnixNanos,
    /// Of orders.
    stops: Stops,
    /// How long the latest stop of orders was.
    stop_ns: u64,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    lacking(&[
        (
            budget.account.holds(ORDER_COUNT / RESERVE_SHARE),
            "a cancel after new orders",
        ),
        (budget.account.holds(SIGNED_COUNT), "a list of orders"),
        (budget.address.holds(PUBLIC_COUNT), "the list of pairs"),
    ])
}

impl Limits {
    /// Nothing used; all memory is taken here.
    pub fn new(budget: Budget) -> Self {
        Self {
            orders: Times::new(ORDER_COUNT, ORDER_WINDOW_NS, budget.account),
            rest: [
                Times::new(PUBLIC_COUNT, REST_WINDOW_NS, budget.address),
                Times::new(SIGNED_COUNT, REST_WINDOW_NS, budget.account),
            ],
            rest_stopped_until: UnixNanos(0),
            stops: Stops::NONE,
            stop_ns: 0,
        }
    }

    /// Orders one cancel may name: always room for it in what new orders leave.
    pub const fn batch_max(&self) -> usize {
        let reserve = self.reserve() as usize;
        if reserve < BATCH_MAX {
            reserve
        } else {
            BATCH_MAX
        }
    }

    /// Orders one request may enter: always room for it in what is not kept for cancels.
    pub const fn news_max(&self) -> usize {
        let room = self.orders.limit().saturating_sub(self.reserve()) as usize;
        match room {
            0 => 1,
            1..BATCH_MAX => room,
            _ => BATCH_MAX,
        }
    }

    /// What only cancels may take; at least one of them.
    const fn reserve(&self) -> u32 {
        let reserve = self.orders.limit() / RESERVE_SHARE;
        if reserve == 0 { 1 } else { reserve }
    }

    /// Takes room for a request about `count` orders.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp, count: u32) -> bool {
        let (is_held, reserve) = match op {
            OrderOp::New | OrderOp::Amend => (self.stops.holds(now), self.reserve()),
            OrderOp::Cancel => (self.stops.holds_cancels(now), 0),
        };
        !is_held && self.orders.take(now, count, reserve)
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos, pool: RestPool) -> bool {
        now >= self.rest_stopped_until
            && self
                .rest
                .get_mut(pool as usize)
                .is_some_and(|window| window.take(now, 1, 0))
    }

    /// The venue refused for rate. New orders and amends are held whatever it refused; cancels only when one of
    /// them was, and for the shortest stop. Returns when the longest of it ends.
    pub fn stop(
        &mut self,
        now: UnixNanos,
        refused: Refused,
        retry_after_s: Option<u32>,
    ) -> UnixNanos {
        let named_ns = named_ns(retry_after_s);
        if refused == Refused::Rest {
            let until = now.after(REST_STOP_NS.max(named_ns));
            self.rest_stopped_until = self.rest_stopped_until.max(until);
            return self.rest_stopped_until;
        }
        if refused == Refused::Cancel {
            self.stops.hold_cancels(now.after(ORDER_STOP_NS));
        }
        // Answers to what was on its way already say nothing new.
        if !self.stops.holds(now) {
            let is_calm = now.since(self.stops.until()) > ORDER_STOP_NS_MAX;
            self.stop_ns = if is_calm {
                ORDER_STOP_NS
            } else {
                (self.stop_ns * 2).clamp(ORDER_STOP_NS, ORDER_STOP_NS_MAX)
            };
            self.stops.hold(now.after(self.stop_ns));
        }
        self.stops.hold(now.after(named_ns))
    }
}

impl Rates for Limits {
    fn batch_max(&self) -> usize {
        self.news_max()
    }

    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(count) => self.order(now, OrderOp::New, count),
            OrderAsk::Amend(_) => self.order(now, OrderOp::Amend, 1),
            OrderAsk::Cancel(_) => self.order(now, OrderOp::Cancel, 1),
            OrderAsk::CancelAll(live) => live
                .chunks(Self::batch_max(self))
                .all(|batch| self.order(now, OrderOp::Cancel, batch.len() as u32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_venue_api::limits::Share;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn a_fifth_is_kept_for_cancels() {
        let mut limits = Limits::new(Budget::WHOLE);
        let count = (0..2_000).filter(|n| {
            let op = [OrderOp::New, OrderOp::Amend][n % 2];
            limits.order(T0, op, 1)
        });
        assert_eq!(count.count(), 800);
        assert!(!limits.order(T0, OrderOp::Cancel, 201));
        assert!(limits.order(T0, OrderOp::Cancel, 200));
        assert!(!limits.order(T0, OrderOp::Cancel, 1));
        let later = T0.after(ORDER_WINDOW_NS);
        assert!(limits.order(later, OrderOp::New, 1));
    }

    #[test]
    fn several_in_one_request_are_counted_each() {
        let mut limits = Limits::new(Budget::WHOLE);
        assert_eq!(limits.news_max(), BATCH_MAX);
        let sent = (0..100).take_while(|_| limits.order(T0, OrderOp::New, 75));
        assert_eq!(sent.count(), 10, "750 of 800");
        assert!(limits.order(T0, OrderOp::New, 50) && !limits.order(T0, OrderOp::New, 1));
        assert!(limits.order(T0, OrderOp::Cancel, 200), "the reserve");
        assert_eq!(Limits::new(Budget::of(Share::percent(5))).news_max(), 40);
    }

    #[test]
    fn refused_orders_stop_twice_as_long_each_time_until_it_is_calm() {
        let mut limits = Limits::new(Budget::WHOLE);
        let mut now = T0;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = limits.stop(now, Refused::Order, None);
            assert_eq!(until, now.after(seconds * SECOND_NS));
            assert_eq!(
                limits.stop(now, Refused::Order, None),
                until,
                "the same stop"
            );
            assert!(!limits.order(now, OrderOp::New, 1));
            assert!(limits.order(now, OrderOp::Cancel, 1), "what rests must go");
            assert!(limits.order(until, OrderOp::New, 1));
            now = until;
        }
        now = now.after(61 * SECOND_NS);
        assert_eq!(limits.stop(now, Refused::Order, None), now.after(SECOND_NS));
    }

    #[test]
    fn a_refused_cancel_holds_cancels_for_a_second_and_rest_is_apart() {
        let mut limits = Limits::new(Budget::WHOLE);
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.order(T0, OrderOp::Cancel, 1));
        assert!(limits.order(T0.after(SECOND_NS), OrderOp::Cancel, 1));
        assert!(!limits.order(T0.after(SECOND_NS), OrderOp::New, 1));
        assert!(limits.rest(T0, RestPool::Signed));
        let until = limits.stop(T0, Refused::Rest, Some(5));
        assert_eq!(until, T0.after(REST_STOP_NS));
        assert!(!limits.rest(T0, RestPool::Public));
        assert!(limits.rest(until, RestPool::Public));
    }

    #[test]
    fn a_share_is_a_smaller_account_with_its_fifth_for_cancels() {
        let mut limits = Limits::new(Budget::of(Share::percent(30)));
        let taken = (0..2_000).filter(|_| limits.order(T0, OrderOp::New, 1));
        assert_eq!(taken.count(), 240);
        assert_eq!(limits.batch_max(), 60);
        assert!(limits.order(T0, OrderOp::Cancel, 60) && !limits.order(T0, OrderOp::Cancel, 1));
        assert_eq!(Limits::new(Budget::WHOLE).batch_max(), BATCH_MAX);
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(4)), (None, None));
        assert_eq!(of(3), Some("the list of pairs"));
    }
}
