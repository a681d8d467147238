//! What we may send: exact sliding windows per instrument and operation, per sub-account, per link,
//! per REST endpoint.
//!
//! The venue counts in windows of 2 s and tells nothing of what is used, so we count ourselves. A
//! token bucket of N per 2 s lets almost 2N pass in an unlucky 2 s; here the time of the last N
//! requests is kept, which allows the full burst and never more. Cancels have pools of their own at
//! this venue and do not count against the sub-account's cap: no reserve has to be held back for
//! them.
//! Source: venue page, sections 1, 4 and 6, read 2026-11-20.

use dp_types::{InstrumentId, UnixNanos};

/// Order requests of one kind on one instrument.
const ORDER_COUNT: usize = 60;
/// Orders in batches on one instrument.
const BATCH_COUNT: usize = 300;
/// New and amend requests of the whole sub-account.
const ACCOUNT_COUNT: usize = 1_000;
/// Their window: 2 s, and a fortieth more because requests can close up on the way.
const WINDOW_NS: u64 = 2_050_000_000;
/// Subscribe, unsubscribe and login operations of one link in an hour.
const LINK_OPS_COUNT: usize = 480;
const LINK_OPS_WINDOW_NS: u64 = 3_600_000_000_000;
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

/// A kind of order request; each has its own pool on each instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `order`.
    New,
    /// `amend-order`.
    Amend,
    /// `cancel-order`.
    Cancel,
    /// `batch-cancel-orders`, counted by orders.
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
    /// `public/instruments`: 20 in 2 s.
    Instruments,
    /// `market/books`: 40 in 2 s.
    Books,
    /// `trade/orders-pending`, `trade/order`, `trade/fills`: 60 in 2 s.
    Trade,
    /// `account/balance`: 10 in 2 s.
    Balance,
    /// `trade/cancel-all-after`: 1 in 1 s.
    DeadMan,
}

#[derive(Debug, Clone)]
struct InstrumentWindows {
    id: InstrumentId,
    new: Window,
    amend: Window,
    cancel: Window,
    batch_cancel: Window,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    instruments: Vec<InstrumentWindows>,
    account: Window,
    link_ops: [Window; 2],
    rest: [Window; 5],
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
}

impl Limits {
    /// Windows for these instruments; all memory is taken here.
    pub fn new(instruments: &[InstrumentId]) -> Self {
        let instruments = instruments
            .iter()
            .map(|&id| InstrumentWindows {
                id,
                new: Window::new(ORDER_COUNT, WINDOW_NS),
                amend: Window::new(ORDER_COUNT, WINDOW_NS),
                cancel: Window::new(ORDER_COUNT, WINDOW_NS),
                batch_cancel: Window::new(BATCH_COUNT, WINDOW_NS),
            })
            .collect();
        let ops = || Window::new(LINK_OPS_COUNT, LINK_OPS_WINDOW_NS);
        Self {
            instruments,
            account: Window::new(ACCOUNT_COUNT, WINDOW_NS),
            link_ops: [ops(), ops()],
            rest: [
                Window::new(20, WINDOW_NS),
                Window::new(40, WINDOW_NS),
                Window::new(60, WINDOW_NS),
                Window::new(10, WINDOW_NS),
                Window::new(1, WINDOW_NS / 2),
            ],
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
        }
    }

    /// Takes room for an order request; `count` is 1, or the orders of a batch.
    pub fn order(&mut self, now: UnixNanos, id: InstrumentId, op: OrderOp, count: usize) -> bool {
        let stopped_until = match op {
            OrderOp::New | OrderOp::Amend => self.stopped_until,
            OrderOp::Cancel | OrderOp::BatchCancel => self.cancels_stopped_until,
        };
        if now < stopped_until {
            return false;
        }
        // A lane has a handful of instruments: a scan beats a table.
        let Some(own) = self.instruments.iter_mut().find(|own| own.id == id) else {
            return false;
        };
        let (window, in_account) = match op {
            OrderOp::New => (&mut own.new, count),
            OrderOp::Amend => (&mut own.amend, count),
            OrderOp::Cancel => (&mut own.cancel, 0),
            OrderOp::BatchCancel => (&mut own.batch_cancel, 0),
        };
        if !window.fits(now, count) || !self.account.fits(now, in_account) {
            return false;
        }
        window.charge(now, count);
        self.account.charge(now, in_account);
        true
    }

    /// Takes room for `count` subscribe, unsubscribe or login operations on a WebSocket link
    /// (0 = public, 1 = private).
    pub fn link_ops(&mut self, now: UnixNanos, is_private: bool, count: usize) -> bool {
        let [public, private] = &mut self.link_ops;
        let window = if is_private { private } else { public };
        window.take(now, count)
    }

    /// A new link starts with a full hour's allowance.
    pub fn link_opened(&mut self, is_private: bool) {
        let [public, private] = &mut self.link_ops;
        let window = if is_private { private } else { public };
        window.times.fill(0);
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

    const ID: InstrumentId = InstrumentId(3);
    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn sixty_orders_then_none_until_the_window_has_passed() {
        let mut limits = Limits::new(&[ID]);
        for _ in 0..60 {
            assert!(limits.order(T0, ID, OrderOp::New, 1));
        }
        assert!(!limits.order(T0, ID, OrderOp::New, 1));
        assert!(limits.order(T0, ID, OrderOp::Cancel, 1), "own pool");
        assert!(!limits.order(T0.after(2_000_000_000), ID, OrderOp::New, 1));
        assert!(limits.order(T0.after(WINDOW_NS), ID, OrderOp::New, 60));
    }

    #[test]
    fn the_account_cap_counts_new_and_amend_over_instruments() {
        let ids: Vec<_> = (0..10).map(InstrumentId).collect();
        let mut limits = Limits::new(&ids);
        let mut passed = 0;
        for &id in &ids {
            for op in [OrderOp::New, OrderOp::Amend] {
                for _ in 0..60 {
                    passed += usize::from(limits.order(T0, id, op, 1));
                }
            }
        }
        assert_eq!(passed, ACCOUNT_COUNT);
        assert!(
            limits.order(T0, ids[9], OrderOp::Cancel, 1),
            "cancels are not counted"
        );
    }

    #[test]
    fn a_stop_holds_everything_but_cancels_for_a_window() {
        let mut limits = Limits::new(&[ID]);
        assert_eq!(limits.stop(T0, Refused::Other, Some(1)), T0.after(STOP_NS));
        let until = limits.stop(T0, Refused::Other, Some(30));
        assert_eq!(until, T0.after(30_000_000_000));
        assert!(!limits.order(T0, ID, OrderOp::New, 1));
        assert!(!limits.order(T0, ID, OrderOp::Amend, 1));
        assert!(!limits.rest(T0, RestPool::Trade));
        assert!(
            limits.order(T0, ID, OrderOp::Cancel, 1),
            "what rests must go"
        );
        assert!(limits.order(T0, ID, OrderOp::BatchCancel, 5));
        assert!(limits.order(until, ID, OrderOp::New, 1));
        assert!(limits.rest(until, RestPool::Trade));
    }

    #[test]
    fn a_refused_cancel_holds_cancels_for_a_window_and_no_longer() {
        let mut limits = Limits::new(&[ID]);
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.order(T0, ID, OrderOp::Cancel, 1));
        assert!(limits.order(T0.after(STOP_NS), ID, OrderOp::Cancel, 1));
        assert!(!limits.order(T0.after(STOP_NS), ID, OrderOp::New, 1));
    }

    #[test]
    fn unknown_instruments_and_oversized_batches_are_refused() {
        let mut limits = Limits::new(&[ID]);
        assert!(!limits.order(T0, InstrumentId(99), OrderOp::New, 1));
        assert!(!limits.order(T0, ID, OrderOp::BatchCancel, 301));
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
