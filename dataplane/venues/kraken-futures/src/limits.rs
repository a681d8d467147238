//! What we may send: the derivatives pool of cost units, with a part that only cancels may use.
//!
//! ```text
//! 500 units in 10 s       new, amend, cancel 10 each · batch of n new orders or n cancels 9 + n · dead man's switch 25
//! ├── 350 for anything ──┤── 150 for cancels and the switch ──┤
//! ```
//! The numbers are those of the venue's derivatives pool. What the Unified WebSocket counts is not documented [U];
//! until it is, the same pool is the safe guess. The venue tells nothing of what is used, so we count ourselves.
//! Source: venue page, section 7, read 2026-11-20.

use crate::entry::{BATCH_MAX, NEW_MAX};
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Budget, OrderAsk, Rates, Refused, Stops, Times, lacking, named_ns};

/// Cost units of a key in a window.
pub const POOL_UNITS: u32 = 500;
/// Units that new orders and amends leave to cancels: fifteen of them, or two batches of fifty.
pub const CANCEL_RESERVE: u32 = 150;
/// The window: 10 s, and a fortieth more because requests can close up on the way.
const WINDOW_NS: u64 = 10_250_000_000;
/// How long we hold still when the venue refused for rate: until its window has drained.
const STOP_NS: u64 = 10_000_000_000;
/// How long cancels do when one of them was refused.
const CANCEL_STOP_NS: u64 = 1_000_000_000;

/// Units of a batch beside one an order.
const BATCH_UNITS: u32 = 9;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `add_order`.
    New,
    /// `batch_add` of so many orders.
    BatchNew(u32),
    /// `amend_order`.
    Amend,
    /// `cancel_order`.
    Cancel,
    /// `batch_cancel` of so many orders.
    BatchCancel(u32),
    /// `cancel_all_orders_after`.
    DeadMan,
}

impl Op {
    /// Its cost in units.
    pub const fn cost(self) -> u32 {
        match self {
            Self::New | Self::Amend | Self::Cancel => 10,
            Self::BatchNew(count) | Self::BatchCancel(count) => BATCH_UNITS.saturating_add(count),
            Self::DeadMan => 25,
        }
    }
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    pool: Times,
    /// Our share of [`CANCEL_RESERVE`].
    reserve: u32,
    stops: Stops,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let now = UnixNanos(0);
    let mut limits = Limits::new(budget);
    let orders = (0..POOL_UNITS).take_while(|_| limits.take(now, Op::New));
    lacking(&[
        (orders.count() > 0, "a new order"),
        (limits.take(now, Op::DeadMan), "the switch after new orders"),
        (limits.take(now, Op::Cancel), "a cancel after new orders"),
    ])
}

impl Limits {
    /// Our part of the pool; all memory is taken here.
    pub fn new(budget: Budget) -> Self {
        Self {
            pool: Times::new(POOL_UNITS, WINDOW_NS, budget.account),
            reserve: budget.account.of(CANCEL_RESERVE),
            stops: Stops::NONE,
        }
    }

    /// Orders a batch of cancels may name: always room for it in what new orders leave.
    pub fn batch_max(&self) -> usize {
        let room = self.reserve.saturating_sub(BATCH_UNITS) as usize;
        room.clamp(1, BATCH_MAX)
    }

    /// Orders a batch may enter: always room for it in what is not kept for cancels.
    pub fn news_max(&self) -> usize {
        let open = self.pool.limit().saturating_sub(self.reserve);
        let room = open.saturating_sub(BATCH_UNITS) as usize;
        room.clamp(1, NEW_MAX)
    }

    /// Takes room for a request, or says that there is none.
    pub fn take(&mut self, now: UnixNanos, op: Op) -> bool {
        let (is_held, reserve) = match op {
            Op::New | Op::BatchNew(_) | Op::Amend => (self.stops.holds(now), self.reserve),
            Op::Cancel | Op::BatchCancel(_) => (self.stops.holds_cancels(now), 0),
            Op::DeadMan => (false, 0), // what keeps orders from outliving us is always worth a try
        };
        !is_held && self.pool.take(now, op.cost(), reserve)
    }

    /// The venue refused for rate: holds new orders and amends until the window has drained, or as long as it
    /// named; cancels only when one of them was refused, and shortly. Returns when the longer ends.
    pub fn stop(
        &mut self,
        now: UnixNanos,
        refused: Refused,
        retry_after_s: Option<u32>,
    ) -> UnixNanos {
        if refused == Refused::Cancel {
            self.stops.hold_cancels(now.after(CANCEL_STOP_NS));
        }
        self.stops
            .hold(now.after(STOP_NS.max(named_ns(retry_after_s))))
    }
}

impl Rates for Limits {
    fn batch_max(&self) -> usize {
        self.news_max()
    }

    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(1) => Self::take(self, now, Op::New),
            OrderAsk::New(count) => Self::take(self, now, Op::BatchNew(count)),
            OrderAsk::Amend(_) => Self::take(self, now, Op::Amend),
            OrderAsk::Cancel(_) => Self::take(self, now, Op::Cancel),
            OrderAsk::CancelAll(live) => {
                let most = Self::batch_max(self);
                live.chunks(most).all(|batch| {
                    let op = match batch {
                        [_] => Op::Cancel,
                        batch => Op::BatchCancel(batch.len() as u32),
                    };
                    Self::take(self, now, op)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_venue_api::limits::Share;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn new_orders_leave_room_for_cancels() {
        let mut limits = Limits::new(Budget::WHOLE);
        let sent = (0..100).filter(|_| limits.take(T0, Op::New)).count();
        assert_eq!(sent as u32, (POOL_UNITS - CANCEL_RESERVE) / 10);
        let cancels = (0..100).filter(|_| limits.take(T0, Op::Cancel)).count();
        assert_eq!(cancels as u32, CANCEL_RESERVE / 10);
        assert!(!limits.take(T0, Op::DeadMan));
        assert!(limits.take(T0.after(WINDOW_NS), Op::BatchCancel(50)));
        assert!(!limits.take(T0, Op::BatchCancel(POOL_UNITS)), "never fits");
    }

    #[test]
    fn a_batch_costs_little_and_leaves_the_same_room() {
        let mut limits = Limits::new(Budget::WHOLE);
        assert_eq!(limits.news_max(), NEW_MAX);
        let batch = Op::BatchNew(NEW_MAX as u32);
        let sent = (0..100).filter(|_| limits.take(T0, batch)).count();
        assert_eq!(sent as u32, (POOL_UNITS - CANCEL_RESERVE) / 24);
        assert!(limits.take(T0, Op::BatchCancel(50)));
        limits.stop(T0, Refused::Other, None);
        assert!(!limits.take(T0.after(STOP_NS - 1), batch));
        let small = Limits::new(Budget::of(Share::percent(5)));
        assert!((1..NEW_MAX).contains(&small.news_max()));
    }

    #[test]
    fn a_stop_holds_everything_but_cancels() {
        let mut limits = Limits::new(Budget::WHOLE);
        assert_eq!(limits.stop(T0, Refused::Other, None), T0.after(STOP_NS));
        let until = limits.stop(T0, Refused::Other, Some(30));
        assert_eq!(until, T0.after(30_000_000_000));
        assert!(!limits.take(T0, Op::New) && !limits.take(T0, Op::Amend));
        assert!(limits.take(T0, Op::Cancel) && limits.take(T0, Op::DeadMan));
        assert!(limits.take(until, Op::New));
    }

    #[test]
    fn a_refused_cancel_holds_cancels_shortly() {
        let mut limits = Limits::new(Budget::WHOLE);
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.take(T0, Op::Cancel) && !limits.take(T0, Op::BatchCancel(2)));
        assert!(limits.take(T0.after(CANCEL_STOP_NS), Op::Cancel));
    }

    #[test]
    fn a_share_is_a_smaller_pool_with_its_reserve() {
        let mut limits = Limits::new(Budget::of(Share::percent(30)));
        let sent = (0..100).filter(|_| limits.take(T0, Op::New)).count();
        assert_eq!((sent, limits.batch_max()), (10, 36));
        assert!(limits.take(T0, Op::BatchCancel(36)));
        assert_eq!(Limits::new(Budget::WHOLE).batch_max(), BATCH_MAX);
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(25)), (None, None));
        assert_eq!(of(20), Some("a cancel after new orders"));
        assert_eq!(of(2), Some("a new order"));
        assert_eq!(of(5), Some("the switch after new orders"));
    }
}
