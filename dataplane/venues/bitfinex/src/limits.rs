//! What we may send: orders over the logged-in socket, REST requests, questions about balances.
//!
//! ```text
//! orders   1,000 in 5 min, of which 200 are kept for cancels     [U]: commonly cited, confirmed by no public text
//! REST     45 in 60 s for signed requests, 30 in 60 s for public ones: under the 90 the venue shares out
//! ```
//! The venue tells nothing of what is used, so the times of the last requests are kept: exact, and a burst is
//! allowed as long as the window has room. A refusal for rate stops REST for a minute, orders for a second, twice
//! as long each time while refusals go on.
//! Source: venue page, section 6, read 2026-11-21.

use dp_types::UnixNanos;

const SECOND_NS: u64 = 1_000_000_000;
/// Requests about orders in [`ORDER_WINDOW_NS`] [U].
const ORDER_COUNT: usize = 1_000;
/// Of those, what only cancels may take.
const CANCEL_RESERVE: usize = ORDER_COUNT / 5;
/// 5 min, and a fortieth more because requests can close up on the way.
const ORDER_WINDOW_NS: u64 = 307 * SECOND_NS;
/// Signed REST requests a minute [U].
const SIGNED_COUNT: usize = 45;
/// Public REST requests a minute; the venue's pages say 90, shared by all lists.
const PUBLIC_COUNT: usize = 30;
const REST_WINDOW_NS: u64 = 61 * SECOND_NS;
/// How long REST holds still when it was refused for rate: the venue's block.
const REST_STOP_NS: u64 = 60 * SECOND_NS;
/// The first stop of orders, and the longest.
const ORDER_STOP_NS: u64 = SECOND_NS;
const ORDER_STOP_NS_MAX: u64 = 60 * SECOND_NS;
/// The longest stop we believe.
const STOP_S_MAX: u32 = 3_600;

/// The times of the last `N` requests: at most `N` in any window.
#[derive(Debug, Clone)]
pub struct Window {
    times: Box<[u64]>,
    next: usize,
    window_ns: u64,
}

impl Window {
    /// An empty window of `count` requests (raised to 1) per `window_ns`. Allocates once.
    pub fn new(count: usize, window_ns: u64) -> Self {
        Self {
            times: vec![0; count.max(1)].into_boxed_slice(),
            next: 0,
            window_ns,
        }
    }

    /// Whether `cost` more requests fit at `now`. A cost above the window never fits.
    fn fits(&self, now: UnixNanos, cost: usize) -> bool {
        if cost == 0 {
            return true;
        }
        if cost > self.times.len() {
            return false;
        }
        // The slot the last of them would take holds the oldest time that must have left the window.
        let slot = (self.next + cost - 1) % self.times.len();
        match self.times.get(slot) {
            Some(0) => true,
            Some(&time) => time.saturating_add(self.window_ns) <= now.0,
            None => false,
        }
    }

    fn charge(&mut self, now: UnixNanos, cost: usize) {
        for _ in 0..cost.min(self.times.len()) {
            if let Some(slot) = self.times.get_mut(self.next) {
                *slot = now.0.max(1); // 0 marks a slot never used
            }
            self.next = (self.next + 1) % self.times.len();
        }
    }

    /// Takes `cost` requests if `cost` and `reserve` more fit: all or none.
    pub fn take(&mut self, now: UnixNanos, cost: usize, reserve: usize) -> bool {
        let fits = self.fits(now, cost.saturating_add(reserve));
        if fits {
            self.charge(now, cost);
        }
        fits
    }
}

/// A kind of order request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `on`.
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
    orders: Window,
    rest: [Window; 2],
    rest_stopped_until: UnixNanos,
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
    /// How long the latest stop of orders was.
    stop_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// Nothing used; all memory is taken here.
    pub fn new() -> Self {
        Self {
            orders: Window::new(ORDER_COUNT, ORDER_WINDOW_NS),
            rest: [
                Window::new(PUBLIC_COUNT, REST_WINDOW_NS),
                Window::new(SIGNED_COUNT, REST_WINDOW_NS),
            ],
            rest_stopped_until: UnixNanos(0),
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
            stop_ns: 0,
        }
    }

    /// Takes room for a request about `count` orders.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp, count: usize) -> bool {
        let (stopped_until, reserve) = match op {
            OrderOp::New | OrderOp::Amend => (self.stopped_until, CANCEL_RESERVE),
            OrderOp::Cancel => (self.cancels_stopped_until, 0),
        };
        now >= stopped_until && self.orders.take(now, count, reserve)
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
        let named_ns = u64::from(retry_after_s.unwrap_or(0).min(STOP_S_MAX)) * SECOND_NS;
        if refused == Refused::Rest {
            let until = now.after(REST_STOP_NS.max(named_ns));
            self.rest_stopped_until = self.rest_stopped_until.max(until);
            return self.rest_stopped_until;
        }
        if refused == Refused::Cancel {
            self.cancels_stopped_until = now.after(ORDER_STOP_NS);
        }
        // Answers to what was on its way already say nothing new.
        if now >= self.stopped_until {
            let is_calm = now.since(self.stopped_until) > ORDER_STOP_NS_MAX;
            self.stop_ns = if is_calm {
                ORDER_STOP_NS
            } else {
                (self.stop_ns * 2).clamp(ORDER_STOP_NS, ORDER_STOP_NS_MAX)
            };
            self.stopped_until = now.after(self.stop_ns);
        }
        self.stopped_until = self.stopped_until.max(now.after(named_ns));
        self.stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn a_fifth_is_kept_for_cancels() {
        let mut limits = Limits::new();
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
    fn refused_orders_stop_twice_as_long_each_time_until_it_is_calm() {
        let mut limits = Limits::new();
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
        let mut limits = Limits::new();
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

    proptest! {
        /// Law: whatever the pace, no span of the window's length holds more than its count.
        #[test]
        fn never_more_than_the_count_in_any_window(
            steps in proptest::collection::vec(0u64..300_000_000, 1..400),
        ) {
            let mut window = Window::new(7, SECOND_NS);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for step in steps {
                now += step;
                if window.take(UnixNanos(now), 1, 0) {
                    passed.push(now);
                }
            }
            for span in passed.windows(8) {
                prop_assert!(span[7] - span[0] >= SECOND_NS);
            }
        }
    }
}
