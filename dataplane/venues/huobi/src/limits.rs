//! What we may send: exact sliding windows per operation of the user, per link, per REST endpoint.
//!
//! The venue counts over all keys of a user in windows of 2 s, and each socket's requests in one of its own. New
//! orders and cancels have pools of their own; what they share is the trade socket, of which [`CANCEL_RESERVE`]
//! requests a second are kept for cancels. Public requests are counted by address.
//! Source: venue page, section 6, read 2026-11-20.

use crate::entry::{BATCH_MAX, NEW_MAX};
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::Usage;
use dp_venue_api::limits::{
    Budget, OrderAsk, Rates, Refused, Share, Stops, Times, lacking, named_ns,
};

/// New orders, and cancels of one order.
const ORDER_COUNT: u32 = 100;
/// Cancels of several orders.
const BATCH_COUNT: u32 = 50;
/// Their window: 2 s, and a fortieth more because requests can close up on the way.
const WINDOW_NS: u64 = 2_050_000_000;
/// A window that is said to end later than this is not believed.
const ENDS_NS_MAX: u64 = 60_000_000_000;
/// Requests of one private socket a second. Unverified for the trade socket: the page has it of private ones.
const LINK_COUNT: u32 = 50;
const LINK_WINDOW_NS: u64 = 1_025_000_000;
/// Public REST requests in as long.
const PUBLIC_COUNT: u32 = 10;
/// Of these, how many a new order leaves for cancels.
pub const CANCEL_RESERVE: u32 = 10;
/// How long we hold still when the venue refused for rate: its window.
const STOP_NS: u64 = 2_000_000_000;

/// A kind of order request; each has its own pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `create-order`.
    New,
    /// `cancel` of one order.
    Cancel,
    /// `create-batchorder`.
    BatchNew,
    /// `cancel` of several.
    BatchCancel,
}

/// A pool of REST requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestPool {
    /// Rules of symbols: 10 a second.
    Public,
    /// Accounts, balances, open orders, one order: 50 in 2 s.
    Account,
    /// Fills: 20 in 2 s.
    Fills,
    /// The dead man's switch: 1 in 2 s, the least the page has (unverified).
    DeadMan,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    new: Times,
    cancel: Times,
    batch_new: Times,
    batch_cancel: Times,
    /// The trade socket.
    link: Times,
    rest: [Times; 4],
    stops: Stops,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    lacking(&[
        (budget.account.holds(BATCH_COUNT), "a new order"),
        (budget.address.holds(PUBLIC_COUNT), "the rules of symbols"),
    ])
}

impl Limits {
    /// Our windows; all memory is taken here.
    pub fn new(budget: Budget) -> Self {
        let user = |count| Times::new(count, WINDOW_NS, budget.account);
        Self {
            new: user(ORDER_COUNT),
            cancel: user(ORDER_COUNT),
            batch_new: user(BATCH_COUNT),
            batch_cancel: user(BATCH_COUNT),
            link: Times::new(LINK_COUNT, LINK_WINDOW_NS, Share::WHOLE),
            rest: [
                Times::new(PUBLIC_COUNT, LINK_WINDOW_NS, budget.address),
                user(50),
                user(20),
                user(1),
            ],
            stops: Stops::NONE,
        }
    }

    /// Takes room for an order request.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp) -> bool {
        let (window, is_held, kept) = match op {
            OrderOp::New => (&mut self.new, self.stops.holds(now), CANCEL_RESERVE),
            OrderOp::BatchNew => (&mut self.batch_new, self.stops.holds(now), CANCEL_RESERVE),
            OrderOp::Cancel => (&mut self.cancel, self.stops.holds_cancels(now), 0),
            OrderOp::BatchCancel => (&mut self.batch_cancel, self.stops.holds_cancels(now), 0),
        };
        if is_held || !window.fits(now, 1, 0) || !self.link.fits(now, 1, kept) {
            return false;
        }
        window.charge(now, 1);
        self.link.charge(now, 1);
        true
    }

    /// A new trade socket starts with its full allowance.
    pub fn link_opened(&mut self) {
        self.link.clear();
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos, pool: RestPool) -> bool {
        !self.stops.holds(now)
            && self
                .rest
                .get_mut(pool as usize)
                .is_some_and(|window| window.take(now, 1, 0))
    }

    /// Takes what the venue says is left of a pool, by whatever other machines of the user have used of it. When it ends
    /// the page gives without its unit: what is no time within a minute from now counts as one window from now.
    pub fn tell(&mut self, now: UnixNanos, pool: RestPool, usage: Usage) {
        let (Some(left), Some(window)) = (usage.left, self.rest.get_mut(pool as usize)) else {
            return;
        };
        let ends = usage.ends_ms.and_then(|ms| ms.checked_mul(1_000_000));
        let ends = ends
            .map(UnixNanos)
            .filter(|ends| (1..=ENDS_NS_MAX).contains(&ends.since(now)));
        window.tell_left(now, left, ends.unwrap_or(now.after(WINDOW_NS)));
    }

    /// The venue refused for rate: holds everything but cancels until its next window, or as long as it
    /// named; cancels, which have pools of their own, only when one of them was refused, and for a window.
    /// Returns when the longer ends.
    pub fn stop(
        &mut self,
        now: UnixNanos,
        refused: Refused,
        retry_after_s: Option<u32>,
    ) -> UnixNanos {
        if refused == Refused::Cancel {
            self.stops.hold_cancels(now.after(STOP_NS));
        }
        self.stops
            .hold(now.after(STOP_NS.max(named_ns(retry_after_s))))
    }
}

impl Rates for Limits {
    fn batch_max(&self) -> usize {
        NEW_MAX
    }

    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(1) => self.order(now, OrderOp::New),
            OrderAsk::New(_) => self.order(now, OrderOp::BatchNew),
            // The venue has none: each is refused before it is counted.
            OrderAsk::Amend(_) => true,
            OrderAsk::Cancel(_) => self.order(now, OrderOp::Cancel),
            OrderAsk::CancelAll(live) => live
                .chunks(BATCH_MAX)
                .all(|_| self.order(now, OrderOp::BatchCancel)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn new_orders_leave_room_for_cancels_on_the_socket() {
        let mut limits = Limits::new(Budget::WHOLE);
        let count = (0..60).filter(|_| limits.order(T0, OrderOp::New)).count();
        assert_eq!(count as u32, LINK_COUNT - CANCEL_RESERVE);
        let count = (0..60)
            .filter(|_| limits.order(T0, OrderOp::Cancel))
            .count();
        assert_eq!(count as u32, CANCEL_RESERVE);
        assert!(!limits.order(T0, OrderOp::BatchCancel));
        assert!(limits.order(T0.after(LINK_WINDOW_NS), OrderOp::BatchCancel));
        limits.link_opened();
        assert!(limits.order(T0, OrderOp::New), "a new socket");
    }

    #[test]
    fn a_hundred_of_a_kind_in_its_window() {
        let mut limits = Limits::new(Budget::WHOLE);
        let mut passed = 0;
        for at in 0..200 {
            let now = T0.after(at * 10_000_000); // 2 s in all: the socket would take 100
            passed += u32::from(limits.order(now, OrderOp::Cancel));
        }
        assert_eq!(passed, ORDER_COUNT);
        assert!(!limits.order(T0.after(2_000_000_000), OrderOp::Cancel));
        assert!(limits.order(T0.after(2 * WINDOW_NS), OrderOp::Cancel));
    }

    #[test]
    fn public_requests_are_ten_a_second() {
        let mut limits = Limits::new(Budget::WHOLE);
        let mut take = |now| limits.rest(now, RestPool::Public);
        assert_eq!((0..20).filter(|_| take(T0)).count(), 10);
        assert!(take(T0.after(LINK_WINDOW_NS)));
    }

    #[test]
    fn what_the_venue_says_is_left_is_all_that_is_left() {
        let mut limits = Limits::new(Budget::WHOLE);
        let usage = |left, ends: UnixNanos| Usage {
            left: Some(left),
            ends_ms: Some(ends.millis()),
            ..Usage::default()
        };
        let ends = T0.after(1_500_000_000);
        limits.tell(T0, RestPool::Account, usage(2, ends));
        let mut take = |pool, now| (0..60).filter(|_| limits.rest(now, pool)).count();
        assert_eq!(take(RestPool::Account, T0), 2, "others have the rest");
        assert_eq!(take(RestPool::Fills, T0), 20, "a pool of its own");
        assert_eq!(
            take(RestPool::Account, ends),
            48,
            "its window is another now"
        );
        limits.tell(T0, RestPool::Public, usage(0, UnixNanos(u64::MAX)));
        assert!(!limits.rest(T0, RestPool::Public));
        assert!(
            limits.rest(T0.after(WINDOW_NS), RestPool::Public),
            "an end that is no time is a window from now"
        );
    }

    #[test]
    fn a_stop_holds_everything_but_cancels_for_a_window() {
        let mut limits = Limits::new(Budget::WHOLE);
        assert_eq!(limits.stop(T0, Refused::Other, Some(1)), T0.after(STOP_NS));
        let until = limits.stop(T0, Refused::Other, Some(30));
        assert_eq!(until, T0.after(30_000_000_000));
        assert!(!limits.order(T0, OrderOp::New));
        assert!(!limits.rest(T0, RestPool::Account));
        assert!(limits.order(T0, OrderOp::Cancel), "what rests must go");
        assert!(limits.order(T0, OrderOp::BatchCancel));
        assert!(limits.order(until, OrderOp::New));
        assert!(limits.rest(until, RestPool::Account));
    }

    #[test]
    fn a_refused_cancel_holds_cancels_for_a_window_and_no_longer() {
        let mut limits = Limits::new(Budget::WHOLE);
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.order(T0, OrderOp::Cancel));
        assert!(limits.order(T0.after(STOP_NS), OrderOp::Cancel));
        assert!(!limits.order(T0.after(STOP_NS), OrderOp::New));
    }

    #[test]
    fn a_share_is_a_smaller_user_with_sockets_of_its_own() {
        let mut limits = Limits::new(Budget::of(Share::percent(10)));
        let taken = |limits: &mut Limits, op| (0..60).filter(|_| limits.order(T0, op)).count();
        assert_eq!(taken(&mut limits, OrderOp::New), 10);
        assert_eq!(taken(&mut limits, OrderOp::Cancel), 10);
        assert!(limits.rest(T0, RestPool::Public) && !limits.rest(T0, RestPool::Public));
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(10)), (None, None));
        assert_eq!(of(9), Some("the rules of symbols"));
        assert_eq!(of(1), Some("a new order"));
    }
}
