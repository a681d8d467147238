//! What we may send: exact sliding windows per instrument and operation, per sub-account, per link,
//! per REST endpoint.
//!
//! The venue counts in windows of 2 s and tells nothing of what is used, so we count ourselves. Cancels have pools of
//! their own at this venue and do not count against the sub-account's cap: no reserve has to be held back for them.
//! Instruments and books are counted by address, what a link does by link, all else by account.
//! Source: venue page, sections 1, 4 and 6, read 2026-11-20.

use crate::entry::BATCH_MAX;
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{
    Budget, OrderAsk, Rates, Refused, Share, Stops, Times, lacking, named_ns,
};

/// Order requests of one kind on one instrument.
const ORDER_COUNT: u32 = 60;
/// Orders in batches on one instrument.
const BATCH_COUNT: u32 = 300;
/// New and amend requests of the whole sub-account.
const ACCOUNT_COUNT: u32 = 1_000;
/// Their window: 2 s, and a fortieth more because requests can close up on the way.
const WINDOW_NS: u64 = 2_050_000_000;
/// Lists of instruments.
const INSTRUMENTS_COUNT: u32 = 20;
/// Subscribe, unsubscribe and login operations of one link in an hour.
const LINK_OPS_COUNT: u32 = 480;
const LINK_OPS_WINDOW_NS: u64 = 3_600_000_000_000;
/// How long we hold still when the venue refused for rate: its window.
const STOP_NS: u64 = 2_000_000_000;

/// A kind of order request; each has its own pool on each instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `order`.
    New,
    /// `amend-order`.
    Amend,
    /// `cancel-order`.
    Cancel,
    /// `batch-orders`, counted by orders.
    BatchNew,
    /// `batch-cancel-orders`, counted by orders.
    BatchCancel,
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
    /// `account/positions`: 10 in 2 s, as balances [U].
    Positions,
    /// `trade/cancel-all-after`: 1 in 1 s.
    DeadMan,
    /// `account/bills`: 5 in 1 s.
    Bills,
}

#[derive(Debug, Clone)]
struct InstrumentWindows {
    id: InstrumentId,
    new: Times,
    amend: Times,
    cancel: Times,
    batch_new: Times,
    batch_cancel: Times,
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    instruments: Vec<InstrumentWindows>,
    account: Times,
    link_ops: [Times; 2],
    rest: [Times; 7],
    stops: Stops,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let (now, id) = (UnixNanos(0), InstrumentId(0));
    let mut limits = Limits::new(&[id], budget);
    lacking(&[
        (budget.account.holds(ORDER_COUNT), "a new order"),
        (
            limits.order(now, id, OrderOp::BatchCancel, BATCH_MAX as u32),
            "a batch of cancels",
        ),
        (
            budget.address.holds(INSTRUMENTS_COUNT),
            "the list of instruments",
        ),
    ])
}

impl Limits {
    /// Our windows for these instruments; all memory is taken here.
    pub fn new(instruments: &[InstrumentId], budget: Budget) -> Self {
        let account = |count| Times::new(count, WINDOW_NS, budget.account);
        let address = |count| Times::new(count, WINDOW_NS, budget.address);
        let instruments = instruments
            .iter()
            .map(|&id| InstrumentWindows {
                id,
                new: account(ORDER_COUNT),
                amend: account(ORDER_COUNT),
                cancel: account(ORDER_COUNT),
                batch_new: account(BATCH_COUNT),
                batch_cancel: account(BATCH_COUNT),
            })
            .collect();
        let ops = || Times::new(LINK_OPS_COUNT, LINK_OPS_WINDOW_NS, Share::WHOLE);
        Self {
            instruments,
            account: account(ACCOUNT_COUNT),
            link_ops: [ops(), ops()],
            rest: [
                address(INSTRUMENTS_COUNT),
                address(40),
                account(60),
                account(10),
                account(10),
                Times::new(1, WINDOW_NS / 2, budget.account),
                Times::new(5, WINDOW_NS / 2, budget.account),
            ],
            stops: Stops::NONE,
        }
    }

    /// Takes room for an order request; `count` is 1, or the orders of a batch.
    pub fn order(&mut self, now: UnixNanos, id: InstrumentId, op: OrderOp, count: u32) -> bool {
        let is_held = match op {
            OrderOp::New | OrderOp::Amend | OrderOp::BatchNew => self.stops.holds(now),
            OrderOp::Cancel | OrderOp::BatchCancel => self.stops.holds_cancels(now),
        };
        if is_held {
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
            OrderOp::BatchNew => (&mut own.batch_new, count),
            OrderOp::BatchCancel => (&mut own.batch_cancel, 0),
        };
        if !window.fits(now, count, 0) || !self.account.fits(now, in_account, 0) {
            return false;
        }
        window.charge(now, count);
        self.account.charge(now, in_account);
        true
    }

    /// Takes room for `count` subscribe, unsubscribe or login operations on a WebSocket link
    /// (0 = public, 1 = private).
    pub fn link_ops(&mut self, now: UnixNanos, is_private: bool, count: u32) -> bool {
        let [public, private] = &mut self.link_ops;
        let window = if is_private { private } else { public };
        window.take(now, count, 0)
    }

    /// A new link starts with a full hour's allowance.
    pub fn link_opened(&mut self, is_private: bool) {
        let [public, private] = &mut self.link_ops;
        let window = if is_private { private } else { public };
        window.clear();
    }

    /// Takes room for one REST request.
    pub fn rest(&mut self, now: UnixNanos, pool: RestPool) -> bool {
        !self.stops.holds(now)
            && self
                .rest
                .get_mut(pool as usize)
                .is_some_and(|window| window.take(now, 1, 0))
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
        BATCH_MAX
    }

    fn take(&mut self, now: UnixNanos, id: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(1) => self.order(now, id, OrderOp::New, 1),
            OrderAsk::New(count) => self.order(now, id, OrderOp::BatchNew, count),
            OrderAsk::Amend(_) => self.order(now, id, OrderOp::Amend, 1),
            OrderAsk::Cancel(_) => self.order(now, id, OrderOp::Cancel, 1),
            OrderAsk::CancelAll(live) => live
                .chunks(BATCH_MAX)
                .all(|batch| self.order(now, id, OrderOp::BatchCancel, batch.len() as u32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: InstrumentId = InstrumentId(3);
    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn sixty_orders_then_none_until_the_window_has_passed() {
        let mut limits = Limits::new(&[ID], Budget::WHOLE);
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
        let mut limits = Limits::new(&ids, Budget::WHOLE);
        let mut passed = 0;
        for &id in &ids {
            for op in [OrderOp::New, OrderOp::Amend] {
                for _ in 0..60 {
                    passed += u32::from(limits.order(T0, id, op, 1));
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
        let mut limits = Limits::new(&[ID], Budget::WHOLE);
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
        let mut limits = Limits::new(&[ID], Budget::WHOLE);
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.order(T0, ID, OrderOp::Cancel, 1));
        assert!(limits.order(T0.after(STOP_NS), ID, OrderOp::Cancel, 1));
        assert!(!limits.order(T0.after(STOP_NS), ID, OrderOp::New, 1));
    }

    #[test]
    fn unknown_instruments_and_oversized_batches_are_refused() {
        let mut limits = Limits::new(&[ID], Budget::WHOLE);
        assert!(!limits.order(T0, InstrumentId(99), OrderOp::New, 1));
        assert!(!limits.order(T0, ID, OrderOp::BatchCancel, 301));
    }

    #[test]
    fn a_share_is_a_smaller_venue() {
        let mut limits = Limits::new(&[ID], Budget::of(Share::percent(50)));
        assert!(limits.order(T0, ID, OrderOp::New, 30) && !limits.order(T0, ID, OrderOp::New, 1));
        assert!(limits.order(T0, ID, OrderOp::Cancel, 30));
        assert!(limits.link_ops(T0, false, LINK_OPS_COUNT), "nobody else's");
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(7)), (None, None));
        assert_eq!(of(6), Some("a batch of cancels"));
        assert_eq!(of(1), Some("a new order"));
    }
}
