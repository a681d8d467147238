//! What we may send: exact sliding windows per kind of order request, and for REST per address and per endpoint.
//!
//! ```text
//! account, 1 s    create and cancel 20 on spot, 10 elsewhere; amend 10; batches 20 or 10, counted by orders;
//!                 queries 50; cancel-all 20 on spot, 10 elsewhere, 1 for options
//! address, 5 s    600 REST requests; a tenth is kept for cancel-all
//! 10006           what was refused waits for the reset the venue names, else 1 s; cancels only if one was refused
//! 403             the address is stopped: everything waits 10 min
//! ```
//! Accounts with a level may do more: each answer names the limit, and the window grows (or shrinks) to it; and what is
//! left of it, which tells what other sessions of the account have used. Cancels have pools of their own at this venue:
//! among orders no reserve has to be held back for them.
//! Source: venue page, sections 4.1 and 6, read 2026-11-20.

use crate::symbols::Category;
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Budget, OrderAsk, Rates, Refused, Stops, Times, lacking};

const SECOND_NS: u64 = 1_000_000_000;
/// The account's window: 1 s, and a twentieth more because requests can close up on the way.
const WINDOW_NS: u64 = 1_050_000_000;
/// The most one account may do in a window that we follow; the venue's highest published is 60.
const LIMIT_MAX: u32 = 256;
/// REST requests of one address, their window, and the share of them kept for cancel-all: one in this many.
const ADDRESS_COUNT: u32 = 600;
const ADDRESS_WINDOW_NS: u64 = 5_100_000_000;
const ADDRESS_RESERVE_SHARE: u32 = 10;
/// Amends, of which an account has least.
const AMEND_COUNT: u32 = 10;
/// Queries of orders, positions and executions.
const QUERY_COUNT: u32 = 50;
/// A refusal for rate without a time.
const STOP_NS: u64 = SECOND_NS;
/// The longest stop an answer may name: its windows are a second.
const STOP_NS_MAX: u64 = 60 * SECOND_NS;
/// How long an address that was refused must rest.
const BAN_NS: u64 = 600 * SECOND_NS;

/// A kind of order request; each has its own pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `order.create`.
    New,
    /// `order.amend`.
    Amend,
    /// `order.cancel`.
    Cancel,
    /// `order.create-batch`, counted by orders.
    BatchNew,
    /// `order.cancel-batch`, counted by orders.
    BatchCancel,
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
    category: Category,
    orders: [Times; 5],
    query: Times,
    cancel_all: Times,
    address: Times,
    stops: Stops,
    banned_until: UnixNanos,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    lacking(&[
        (budget.account.holds(AMEND_COUNT), "a new order"),
        (
            budget.address.holds(ADDRESS_COUNT / ADDRESS_RESERVE_SHARE),
            "a cancel of all",
        ),
    ])
}

impl Limits {
    /// Our windows of an account without a level, for orders of this category; all memory is taken here.
    pub fn new(category: Category, budget: Budget) -> Self {
        let account = |limit, max| Times::growing(limit, max, WINDOW_NS, budget.account);
        let (create, batch, cancel_all) = match category {
            Category::Spot => (20, 20, 20),
            Category::Linear | Category::Inverse => (10, 10, 10),
            Category::Option => (10, 10, 1),
        };
        let counts = [create, AMEND_COUNT, create, batch, batch];
        Self {
            category,
            orders: counts.map(|count| account(count, LIMIT_MAX)),
            query: account(QUERY_COUNT, QUERY_COUNT),
            cancel_all: account(cancel_all, cancel_all),
            address: Times::new(ADDRESS_COUNT, ADDRESS_WINDOW_NS, budget.address),
            stops: Stops::NONE,
            banned_until: UnixNanos(0),
        }
    }

    /// Orders a batch may name, of the most the venue takes.
    pub fn batch_max(&self, most: usize) -> usize {
        let [.., batch] = &self.orders;
        most.min(batch.limit() as usize)
    }

    /// Takes room for an order request; `count` is 1, or the orders of a batch.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp, count: u32) -> bool {
        let is_held = match op {
            OrderOp::New | OrderOp::Amend | OrderOp::BatchNew => self.stops.holds(now),
            OrderOp::Cancel | OrderOp::BatchCancel => self.stops.holds_cancels(now),
        };
        let window = self.orders.get_mut(op as usize);
        !is_held
            && now >= self.banned_until
            && window.is_some_and(|window| window.take(now, count, 0))
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos, pool: RestPool) -> bool {
        let reserve = self.address.limit() / ADDRESS_RESERVE_SHARE;
        let (window, reserve, is_held) = match pool {
            RestPool::Public => (None, reserve, self.stops.holds(now)),
            RestPool::Query => (Some(&mut self.query), reserve, self.stops.holds(now)),
            RestPool::CancelAll => (Some(&mut self.cancel_all), 0, self.stops.holds_cancels(now)),
        };
        let may = !is_held
            && now >= self.banned_until
            && self.address.fits(now, 1, reserve)
            && window.is_none_or(|window| window.take(now, 1, 0));
        if may {
            self.address.charge(now, 1);
        }
        may
    }

    /// An answer named the limit of its kind of request, and what is left of it until a time (Unix ms).
    pub fn learn(
        &mut self,
        now: UnixNanos,
        op: OrderOp,
        limit: u32,
        left: Option<u32>,
        reset_ms: u64,
    ) {
        let Some(window) = self.orders.get_mut(op as usize) else {
            return;
        };
        window.learn(limit);
        if let Some(left) = left {
            let until = UnixNanos::from_millis(reset_ms).min(now.after(WINDOW_NS));
            window.tell(now, limit.saturating_sub(left), until);
        }
    }

    /// The venue refused for rate: holds everything but cancels until the reset it named (Unix ms, 0 = none), and
    /// cancels too when one of them was refused. Returns when that ends.
    pub fn stop(&mut self, now: UnixNanos, refused: Refused, reset_ms: u64) -> UnixNanos {
        let until = UnixNanos::from_millis(reset_ms)
            .max(now.after(STOP_NS))
            .min(now.after(STOP_NS_MAX));
        if refused == Refused::Cancel {
            self.stops.hold_cancels(until);
        }
        self.stops.hold(until)
    }

    /// The address was refused: nothing at all may leave. Returns when that ends.
    pub fn ban(&mut self, now: UnixNanos) -> UnixNanos {
        self.banned_until = self.banned_until.max(now.after(BAN_NS));
        self.banned_until
    }
}

impl Rates for Limits {
    fn batch_max(&self) -> usize {
        Self::batch_max(self, self.category.batch_max())
    }

    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(1) => self.order(now, OrderOp::New, 1),
            OrderAsk::New(count) => self.order(now, OrderOp::BatchNew, count),
            OrderAsk::Amend(_) => self.order(now, OrderOp::Amend, 1),
            OrderAsk::Cancel(_) => self.order(now, OrderOp::Cancel, 1),
            OrderAsk::CancelAll(live) => {
                let most = Rates::batch_max(self);
                let mut batches = live.chunks(most);
                self.rest(now, RestPool::CancelAll)
                    || batches.all(|it| self.order(now, OrderOp::BatchCancel, it.len() as u32))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_venue_api::limits::Share;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    fn passed(limits: &mut Limits, now: UnixNanos, op: OrderOp) -> usize {
        (0..1_000).take_while(|_| limits.order(now, op, 1)).count()
    }

    #[test]
    fn each_kind_has_its_own_second() {
        for (category, counts) in [
            (Category::Spot, [20, 10, 20, 20]),
            (Category::Linear, [10, 10, 10, 10]),
            (Category::Option, [10, 10, 10, 10]),
        ] {
            let mut limits = Limits::new(category, Budget::WHOLE);
            let all = [
                OrderOp::New,
                OrderOp::Amend,
                OrderOp::Cancel,
                OrderOp::BatchCancel,
            ];
            for now in [T0, T0.after(WINDOW_NS)] {
                let got = all.map(|op| passed(&mut limits, now, op));
                assert_eq!(got, counts, "{category:?}");
            }
            assert_eq!(
                passed(&mut limits, T0.after(2 * WINDOW_NS - 1), OrderOp::New),
                0
            );
        }
    }

    #[test]
    fn an_answer_names_the_accounts_own_limit() {
        let mut limits = Limits::new(Category::Linear, Budget::WHOLE);
        limits.learn(T0, OrderOp::New, 60, None, 0);
        assert_eq!(passed(&mut limits, T0, OrderOp::New), 60);
        limits.learn(T0, OrderOp::New, 5, None, 0);
        let later = T0.after(WINDOW_NS);
        assert_eq!(passed(&mut limits, later, OrderOp::New), 5);
        for absurd in [0, 1_000_000] {
            limits.learn(T0, OrderOp::New, absurd, None, 0);
        }
        assert_eq!(passed(&mut limits, later.after(WINDOW_NS), OrderOp::New), 5);
        assert_eq!(passed(&mut limits, T0, OrderOp::Cancel), 10, "not its own");
    }

    #[test]
    fn a_stop_holds_everything_but_cancels_as_long_as_named() {
        let mut limits = Limits::new(Category::Spot, Budget::WHOLE);
        assert_eq!(limits.stop(T0, Refused::Other, 0), T0.after(STOP_NS));
        let named = T0.after(3 * SECOND_NS);
        assert_eq!(limits.stop(T0, Refused::Other, named.millis()), named);
        assert!(!limits.order(T0, OrderOp::New, 1) && !limits.rest(T0, RestPool::Query));
        assert!(limits.order(T0, OrderOp::Cancel, 1), "what rests must go");
        assert!(limits.rest(T0, RestPool::CancelAll));
        assert!(limits.order(named, OrderOp::New, 1));
        let far = limits.stop(T0, Refused::Cancel, u64::MAX);
        assert_eq!(far, T0.after(STOP_NS_MAX), "not believed");
        assert!(!limits.order(named, OrderOp::Cancel, 1));
        assert!(limits.order(far, OrderOp::Cancel, 1));
    }

    #[test]
    fn a_banned_address_is_silent() {
        let mut limits = Limits::new(Category::Spot, Budget::WHOLE);
        let until = limits.ban(T0);
        let before = UnixNanos(until.0 - 1);
        assert!(!limits.order(before, OrderOp::Cancel, 1));
        assert!(!limits.rest(before, RestPool::CancelAll));
        assert!(limits.order(until, OrderOp::Cancel, 1));
    }

    #[test]
    fn the_address_keeps_a_tenth_for_cancel_all() {
        let mut limits = Limits::new(Category::Spot, Budget::WHOLE);
        let sent = (0..1_000)
            .filter(|_| limits.rest(T0, RestPool::Public))
            .count();
        assert_eq!(sent, 540);
        assert!(!limits.rest(T0, RestPool::Query));
        assert!(limits.rest(T0, RestPool::CancelAll));
    }

    #[test]
    fn a_share_is_a_smaller_account_and_others_cost_what_is_not_theirs() {
        let mut limits = Limits::new(Category::Linear, Budget::of(Share::percent(50)));
        assert_eq!(limits.batch_max(20), 5);
        assert_eq!(passed(&mut limits, T0, OrderOp::New), 5);
        let reset = T0.after(SECOND_NS / 2);
        limits.learn(T0, OrderOp::New, 20, Some(3), reset.millis());
        assert_eq!(
            passed(&mut limits, T0, OrderOp::New),
            3,
            "twelve are others'"
        );
        assert_eq!(passed(&mut limits, reset, OrderOp::New), 2);
        assert_eq!(passed(&mut limits, T0, OrderOp::Cancel), 5);
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(10)), (None, None));
        assert_eq!(of(9), Some("a new order"));
    }
}
