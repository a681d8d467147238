//! What we may send: exact sliding windows per kind of order request, and for REST per address and per endpoint.
//!
//! ```text
//! account, 1 s    create and cancel 20 on spot, 10 elsewhere; amend 10; batches 20 or 10, counted by orders;
//!                 queries 50; cancel-all 20 on spot, 10 elsewhere, 1 for options
//! address, 5 s    600 REST requests; a tenth is kept for cancel-all
//! 10006           what was refused waits for the reset the venue names, else 1 s; cancels only if one was refused
//! 403             the address is stopped: everything waits 10 min
//! ```
//! Accounts with a level may do more: each answer names the limit, and the window grows (or shrinks) to it. A token
//! bucket of N a second lets almost 2N pass in an unlucky one; here the times of the last N are kept, which allows
//! the full burst and never more. Cancels have pools of their own at this venue: among orders no reserve has to be
//! held back for them.
//! Source: venue page, sections 4.1 and 6, read 2026-11-20.

use crate::symbols::Category;
use dp_types::UnixNanos;

const SECOND_NS: u64 = 1_000_000_000;
/// The account's window: 1 s, and a twentieth more because requests can close up on the way.
const WINDOW_NS: u64 = 1_050_000_000;
/// The most one account may do in a window that we follow; the venue's highest published is 60.
const LIMIT_MAX: usize = 256;
/// REST requests of one address, their window, and how many of them are kept for cancel-all.
const ADDRESS_COUNT: usize = 600;
const ADDRESS_WINDOW_NS: u64 = 5_100_000_000;
const ADDRESS_RESERVE: usize = ADDRESS_COUNT / 10;
/// Queries of orders, positions and executions.
const QUERY_COUNT: usize = 50;
/// A refusal for rate without a time.
const STOP_NS: u64 = SECOND_NS;
/// The longest stop an answer may name: its windows are a second.
const STOP_NS_MAX: u64 = 60 * SECOND_NS;
/// How long an address that was refused must rest.
const BAN_NS: u64 = 600 * SECOND_NS;

/// The times of the last requests: at most `limit` in any window.
#[derive(Debug, Clone)]
pub struct Window {
    times: Box<[u64]>,
    limit: usize,
    next: usize,
    window_ns: u64,
}

impl Window {
    /// An empty window of `limit` requests (raised to 1) per `window_ns`, which may grow to `limit_max`.
    /// Allocates once.
    pub fn new(limit: usize, limit_max: usize, window_ns: u64) -> Self {
        let limit = limit.max(1);
        Self {
            times: vec![0; limit_max.max(limit)].into_boxed_slice(),
            limit,
            next: 0,
            window_ns,
        }
    }

    /// The venue's own limit; what is out of range is not believed.
    fn learn(&mut self, limit: usize) {
        if (1..=self.times.len()).contains(&limit) {
            self.limit = limit;
        }
    }

    /// Whether `cost` more requests fit at `now`, and `reserve` beside them. A cost above the limit never fits.
    fn fits(&self, now: UnixNanos, cost: usize, reserve: usize) -> bool {
        let Some(before) = self.limit.checked_sub(cost.saturating_add(reserve)) else {
            return cost == 0;
        };
        if cost == 0 {
            return true;
        }
        // The request `before` places back from the last one is the first that must have left the window.
        let len = self.times.len();
        let slot = (self.next + len - 1 - before.min(len - 1)) % len;
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

    /// Takes `cost` requests, all or none.
    pub fn take(&mut self, now: UnixNanos, cost: usize) -> bool {
        let fits = self.fits(now, cost, 0);
        if fits {
            self.charge(now, cost);
        }
        fits
    }
}

/// A kind of order request; each has its own pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// `order.create`.
    New,
    /// `order.amend`.
    Amend,
    /// `order.cancel`.
    Cancel,
    /// `order.cancel-batch`, counted by orders.
    BatchCancel,
}

/// What the venue refused for rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A cancel.
    Cancel,
    /// Something else, or nobody knows what.
    Other,
}

/// A pool of REST requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestPool {
    /// Market data: the address's limit only.
    Public,
    /// Orders, executions, positions, wallet, the dead man's switch.
    Query,
    /// `order/cancel-all`.
    CancelAll,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    orders: [Window; 4],
    query: Window,
    cancel_all: Window,
    address: Window,
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
    banned_until: UnixNanos,
}

impl Limits {
    /// The windows of an account without a level, for orders of this category; all memory is taken here.
    pub fn new(category: Category) -> Self {
        let is_spot = category == Category::Spot;
        let orders = |limit| Window::new(limit, LIMIT_MAX, WINDOW_NS);
        let (many, cancel_all) = match category {
            Category::Spot => (20, 20),
            Category::Linear | Category::Inverse => (10, 10),
            Category::Option => (10, 1),
        };
        Self {
            orders: [
                orders(many),
                orders(10),
                orders(many),
                orders(if is_spot { 20 } else { 10 }),
            ],
            query: Window::new(QUERY_COUNT, QUERY_COUNT, WINDOW_NS),
            cancel_all: Window::new(cancel_all, cancel_all, WINDOW_NS),
            address: Window::new(ADDRESS_COUNT, ADDRESS_COUNT, ADDRESS_WINDOW_NS),
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
            banned_until: UnixNanos(0),
        }
    }

    /// Takes room for an order request; `count` is 1, or the orders of a batch.
    pub fn order(&mut self, now: UnixNanos, budget: Budget, count: usize) -> bool {
        let stopped_until = match budget {
            Budget::New | Budget::Amend => self.stopped_until,
            Budget::Cancel | Budget::BatchCancel => self.cancels_stopped_until,
        };
        now >= stopped_until.max(self.banned_until)
            && self
                .orders
                .get_mut(budget as usize)
                .is_some_and(|window| window.take(now, count))
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos, pool: RestPool) -> bool {
        let (window, reserve, stopped_until) = match pool {
            RestPool::Public => (None, ADDRESS_RESERVE, self.stopped_until),
            RestPool::Query => (Some(&mut self.query), ADDRESS_RESERVE, self.stopped_until),
            RestPool::CancelAll => (Some(&mut self.cancel_all), 0, self.cancels_stopped_until),
        };
        let may = now >= stopped_until.max(self.banned_until)
            && self.address.fits(now, 1, reserve)
            && window.is_none_or(|window| window.take(now, 1));
        if may {
            self.address.charge(now, 1);
        }
        may
    }

    /// An answer named the limit of its kind of request.
    pub fn learn(&mut self, budget: Budget, limit: u32) {
        if let Some(window) = self.orders.get_mut(budget as usize) {
            window.learn(limit as usize);
        }
    }

    /// The venue refused for rate: holds everything but cancels until the reset it named (Unix ms, 0 = none), and
    /// cancels too when one of them was refused. Returns when that ends.
    pub fn stop(&mut self, now: UnixNanos, refused: Refused, reset_ms: u64) -> UnixNanos {
        let until = UnixNanos::from_millis(reset_ms)
            .max(now.after(STOP_NS))
            .min(now.after(STOP_NS_MAX));
        if refused == Refused::Cancel {
            self.cancels_stopped_until = self.cancels_stopped_until.max(until);
        }
        self.stopped_until = self.stopped_until.max(until);
        self.stopped_until
    }

    /// The address was refused: nothing at all may leave. Returns when that ends.
    pub fn ban(&mut self, now: UnixNanos) -> UnixNanos {
        self.banned_until = self.banned_until.max(now.after(BAN_NS));
        self.banned_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    fn passed(limits: &mut Limits, now: UnixNanos, budget: Budget) -> usize {
        (0..1_000)
            .take_while(|_| limits.order(now, budget, 1))
            .count()
    }

    #[test]
    fn each_kind_has_its_own_second() {
        for (category, counts) in [
            (Category::Spot, [20, 10, 20, 20]),
            (Category::Linear, [10, 10, 10, 10]),
            (Category::Option, [10, 10, 10, 10]),
        ] {
            let mut limits = Limits::new(category);
            let all = [
                Budget::New,
                Budget::Amend,
                Budget::Cancel,
                Budget::BatchCancel,
            ];
            for now in [T0, T0.after(WINDOW_NS)] {
                let got = all.map(|budget| passed(&mut limits, now, budget));
                assert_eq!(got, counts, "{category:?}");
            }
            assert_eq!(
                passed(&mut limits, T0.after(2 * WINDOW_NS - 1), Budget::New),
                0
            );
        }
    }

    #[test]
    fn an_answer_names_the_accounts_own_limit() {
        let mut limits = Limits::new(Category::Linear);
        limits.learn(Budget::New, 60);
        assert_eq!(passed(&mut limits, T0, Budget::New), 60);
        limits.learn(Budget::New, 5);
        let later = T0.after(WINDOW_NS);
        assert_eq!(passed(&mut limits, later, Budget::New), 5);
        for absurd in [0, 1_000_000] {
            limits.learn(Budget::New, absurd);
        }
        assert_eq!(passed(&mut limits, later.after(WINDOW_NS), Budget::New), 5);
        assert_eq!(passed(&mut limits, T0, Budget::Cancel), 10, "not its own");
    }

    #[test]
    fn a_stop_holds_everything_but_cancels_as_long_as_named() {
        let mut limits = Limits::new(Category::Spot);
        assert_eq!(limits.stop(T0, Refused::Other, 0), T0.after(STOP_NS));
        let named = T0.after(3 * SECOND_NS);
        assert_eq!(limits.stop(T0, Refused::Other, named.millis()), named);
        assert!(!limits.order(T0, Budget::New, 1) && !limits.rest(T0, RestPool::Query));
        assert!(limits.order(T0, Budget::Cancel, 1), "what rests must go");
        assert!(limits.rest(T0, RestPool::CancelAll));
        assert!(limits.order(named, Budget::New, 1));
        let far = limits.stop(T0, Refused::Cancel, u64::MAX);
        assert_eq!(far, T0.after(STOP_NS_MAX), "not believed");
        assert!(!limits.order(named, Budget::Cancel, 1));
        assert!(limits.order(far, Budget::Cancel, 1));
    }

    #[test]
    fn a_banned_address_is_silent() {
        let mut limits = Limits::new(Category::Spot);
        let until = limits.ban(T0);
        let before = UnixNanos(until.0 - 1);
        assert!(!limits.order(before, Budget::Cancel, 1));
        assert!(!limits.rest(before, RestPool::CancelAll));
        assert!(limits.order(until, Budget::Cancel, 1));
    }

    #[test]
    fn the_address_keeps_a_tenth_for_cancel_all() {
        let mut limits = Limits::new(Category::Spot);
        let sent = (0..1_000)
            .filter(|_| limits.rest(T0, RestPool::Public))
            .count();
        assert_eq!(sent, ADDRESS_COUNT - ADDRESS_RESERVE);
        assert!(!limits.rest(T0, RestPool::Query));
        assert!(limits.rest(T0, RestPool::CancelAll));
    }

    proptest! {
        /// Law: whatever the pace, no span of the window's length holds more than its limit.
        #[test]
        fn never_more_than_the_limit_in_any_window(
            steps in proptest::collection::vec((0u64..300_000_000, 0usize..4), 1..400),
        ) {
            let mut window = Window::new(7, 20, 1_000_000_000);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for (step, cost) in steps {
                now += step;
                if window.take(UnixNanos(now), cost) {
                    passed.extend(std::iter::repeat_n(now, cost));
                }
            }
            for span in passed.windows(8) {
                prop_assert!(span[7] - span[0] >= 1_000_000_000);
            }
        }
    }
}
