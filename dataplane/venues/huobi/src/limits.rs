//! What we may send: exact sliding windows per operation of the user, per link, per REST endpoint.
//!
//! The venue counts over all keys of a user in windows of 2 s, and each socket's requests in one of its own. A token
//! bucket of N per 2 s lets almost 2N pass in an unlucky 2 s; here the time of the last N requests is kept, which
//! allows the full burst and never more. New orders and cancels have pools of their own; what they share is the
//! trade socket, of which [`CANCEL_RESERVE`] requests a second are kept for cancels.
//! Source: venue page, section 6, read 2026-11-20.

use dp_types::UnixNanos;

/// New orders, and cancels of one order.
const ORDER_COUNT: usize = 100;
/// Cancels of several orders.
const BATCH_COUNT: usize = 50;
/// Their window: 2 s, and a fortieth more because requests can close up on the way.
const WINDOW_NS: u64 = 2_050_000_000;
/// Requests of one private socket a second. Unverified for the trade socket: the page has it of private ones.
const LINK_COUNT: usize = 50;
const LINK_WINDOW_NS: u64 = 1_025_000_000;
/// Public REST requests in as long.
const PUBLIC_COUNT: usize = 10;
/// Of these, how many a new order leaves for cancels.
pub const CANCEL_RESERVE: usize = 10;
/// How long we hold still when the venue refused for rate: its window.
const STOP_NS: u64 = 2_000_000_000;
/// The longest stop we believe: its windows are seconds.
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
        // The slot the last of them would take holds the oldest time that must have left the
        // window.
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

    /// Takes `cost` requests, all or none.
    pub fn take(&mut self, now: UnixNanos, cost: usize) -> bool {
        let fits = self.fits(now, cost);
        if fits {
            self.charge(now, cost);
        }
        fits
    }
}

/// A kind of order request; each has its own pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `create-order`.
    New,
    /// `cancel` of one order.
    Cancel,
    /// `cancel` of several.
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
    new: Window,
    cancel: Window,
    batch_cancel: Window,
    /// The trade socket.
    link: Window,
    rest: [Window; 4],
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
}

impl Default for Limits {
    /// All memory is taken here.
    fn default() -> Self {
        Self {
            new: Window::new(ORDER_COUNT, WINDOW_NS),
            cancel: Window::new(ORDER_COUNT, WINDOW_NS),
            batch_cancel: Window::new(BATCH_COUNT, WINDOW_NS),
            link: Window::new(LINK_COUNT, LINK_WINDOW_NS),
            rest: [
                Window::new(PUBLIC_COUNT, LINK_WINDOW_NS),
                Window::new(50, WINDOW_NS),
                Window::new(20, WINDOW_NS),
                Window::new(1, WINDOW_NS),
            ],
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
        }
    }
}

impl Limits {
    /// Takes room for an order request.
    pub fn order(&mut self, now: UnixNanos, op: OrderOp) -> bool {
        let (window, stopped_until, kept) = match op {
            OrderOp::New => (&mut self.new, self.stopped_until, CANCEL_RESERVE),
            OrderOp::Cancel => (&mut self.cancel, self.cancels_stopped_until, 0),
            OrderOp::BatchCancel => (&mut self.batch_cancel, self.cancels_stopped_until, 0),
        };
        if now < stopped_until || !window.fits(now, 1) || !self.link.fits(now, 1 + kept) {
            return false;
        }
        window.charge(now, 1);
        self.link.charge(now, 1);
        true
    }

    /// A new trade socket starts with its full allowance.
    pub fn link_opened(&mut self) {
        self.link.times.fill(0);
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos, pool: RestPool) -> bool {
        now >= self.stopped_until
            && self
                .rest
                .get_mut(pool as usize)
                .is_some_and(|window| window.take(now, 1))
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
            self.cancels_stopped_until = now.after(STOP_NS);
        }
        let named_s = retry_after_s.map_or(0, |s| s.min(STOP_S_MAX));
        let stop_ns = STOP_NS.max(u64::from(named_s) * 1_000_000_000);
        self.stopped_until = self.stopped_until.max(now.after(stop_ns));
        self.stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn new_orders_leave_room_for_cancels_on_the_socket() {
        let mut limits = Limits::default();
        let count = (0..60).filter(|_| limits.order(T0, OrderOp::New)).count();
        assert_eq!(count, LINK_COUNT - CANCEL_RESERVE);
        let count = (0..60)
            .filter(|_| limits.order(T0, OrderOp::Cancel))
            .count();
        assert_eq!(count, CANCEL_RESERVE);
        assert!(!limits.order(T0, OrderOp::BatchCancel));
        assert!(limits.order(T0.after(LINK_WINDOW_NS), OrderOp::BatchCancel));
        limits.link_opened();
        assert!(limits.order(T0, OrderOp::New), "a new socket");
    }

    #[test]
    fn a_hundred_of_a_kind_in_its_window() {
        let mut limits = Limits::default();
        let mut passed = 0;
        for at in 0..200 {
            let now = T0.after(at * 10_000_000); // 2 s in all: the socket would take 100
            passed += usize::from(limits.order(now, OrderOp::Cancel));
        }
        assert_eq!(passed, ORDER_COUNT);
        assert!(!limits.order(T0.after(2_000_000_000), OrderOp::Cancel));
        assert!(limits.order(T0.after(2 * WINDOW_NS), OrderOp::Cancel));
    }

    #[test]
    fn public_requests_are_ten_a_second() {
        let mut limits = Limits::default();
        let mut take = |now| limits.rest(now, RestPool::Public);
        assert_eq!((0..20).filter(|_| take(T0)).count(), 10);
        assert!(take(T0.after(LINK_WINDOW_NS)));
    }

    #[test]
    fn a_stop_holds_everything_but_cancels_for_a_window() {
        let mut limits = Limits::default();
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
        let mut limits = Limits::default();
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.order(T0, OrderOp::Cancel));
        assert!(limits.order(T0.after(STOP_NS), OrderOp::Cancel));
        assert!(!limits.order(T0.after(STOP_NS), OrderOp::New));
    }

    proptest! {
        /// Law: whatever the pace, no span of the window's length holds more than its count.
        #[test]
        fn never_more_than_the_count_in_any_window(
            steps in proptest::collection::vec(0u64..300_000_000, 1..400),
        ) {
            let mut window = Window::new(7, 1_000_000_000);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for step in steps {
                now += step;
                if window.take(UnixNanos(now), 1) {
                    passed.push(now);
                }
            }
            for span in passed.windows(8) {
                prop_assert!(span[7] - span[0] >= 1_000_000_000);
            }
        }
    }
}
