//! What we may send: the derivatives pool of cost units, with a part that only cancels may use.
//!
//! ```text
//! 500 units in 10 s       new, amend, cancel 10 each · batch of n cancels 9 + n · dead man's switch 25
//! ├── 350 for anything ──┤── 150 for cancels and the switch ──┤
//! ```
//! The numbers are those of the venue's derivatives pool. What the Unified WebSocket counts is not documented [U];
//! until it is, the same pool is the safe guess. The venue tells nothing of what is used, so we count ourselves:
//! an exact sliding window, because a bucket of N per 10 s lets almost 2 N pass in an unlucky 10 s.
//! Source: venue page, section 7, read 2026-11-20.

use dp_types::UnixNanos;

/// Cost units of a key in a window.
pub const POOL_UNITS: usize = 500;
/// Units that new orders and amends leave to cancels: fifteen of them, or two batches of fifty.
pub const CANCEL_RESERVE: usize = 150;
/// The window: 10 s, and a fortieth more because requests can close up on the way.
const WINDOW_NS: u64 = 10_250_000_000;
/// How long we hold still when the venue refused for rate: until its window has drained.
const STOP_NS: u64 = 10_000_000_000;
/// How long cancels do when one of them was refused.
const CANCEL_STOP_NS: u64 = 1_000_000_000;
/// The longest stop we believe when HTTP names one.
const STOP_S_MAX: u32 = 3_600;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `add_order`.
    New,
    /// `amend_order`.
    Amend,
    /// `cancel_order`.
    Cancel,
    /// `batch_cancel` of so many orders.
    BatchCancel(usize),
    /// `cancel_all_orders_after`.
    DeadMan,
}

impl Op {
    /// Its cost in units.
    pub const fn cost(self) -> usize {
        match self {
            Self::New | Self::Amend | Self::Cancel => 10,
            Self::BatchCancel(count) => 9 + count,
            Self::DeadMan => 25,
        }
    }

    /// Units it must leave to others.
    const fn reserve(self) -> usize {
        match self {
            Self::New | Self::Amend => CANCEL_RESERVE,
            Self::Cancel | Self::BatchCancel(_) | Self::DeadMan => 0,
        }
    }
}

/// What the venue refused for rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A cancel.
    Cancel,
    /// Something else, or nobody knows what.
    Other,
}

/// When each unit was last used: at most as many in any window as there are units.
#[derive(Debug, Clone)]
struct Window {
    times: Box<[u64]>,
    next: usize,
}

impl Window {
    fn fits(&self, now: UnixNanos, units: usize) -> bool {
        if units == 0 || units > self.times.len() {
            return units == 0;
        }
        // The slot the last of them would take holds the oldest time that must have left the window.
        let slot = (self.next + units - 1) % self.times.len();
        self.times
            .get(slot)
            .is_some_and(|&time| time == 0 || time.saturating_add(WINDOW_NS) <= now.0)
    }

    fn charge(&mut self, now: UnixNanos, units: usize) {
        for _ in 0..units.min(self.times.len()) {
            if let Some(slot) = self.times.get_mut(self.next) {
                *slot = now.0.max(1); // 0 marks a slot never used
            }
            self.next = (self.next + 1) % self.times.len();
        }
    }
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    pool: Window,
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool: Window {
                times: vec![0; POOL_UNITS].into_boxed_slice(),
                next: 0,
            },
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
        }
    }
}

impl Limits {
    /// Takes room for a request, or says that there is none.
    pub fn take(&mut self, now: UnixNanos, op: Op) -> bool {
        let stopped_until = match op {
            Op::New | Op::Amend => self.stopped_until,
            Op::Cancel | Op::BatchCancel(_) => self.cancels_stopped_until,
            Op::DeadMan => UnixNanos(0), // what keeps orders from outliving us is always worth a try
        };
        if now < stopped_until || !self.pool.fits(now, op.cost() + op.reserve()) {
            return false;
        }
        self.pool.charge(now, op.cost());
        true
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
            self.cancels_stopped_until = now.after(CANCEL_STOP_NS);
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
    fn new_orders_leave_room_for_cancels() {
        let mut limits = Limits::default();
        let sent = (0..100).filter(|_| limits.take(T0, Op::New)).count();
        assert_eq!(sent, (POOL_UNITS - CANCEL_RESERVE) / 10);
        let cancels = (0..100).filter(|_| limits.take(T0, Op::Cancel)).count();
        assert_eq!(cancels, CANCEL_RESERVE / 10);
        assert!(!limits.take(T0, Op::DeadMan));
        assert!(limits.take(T0.after(WINDOW_NS), Op::BatchCancel(50)));
        assert!(!limits.take(T0, Op::BatchCancel(POOL_UNITS)), "never fits");
    }

    #[test]
    fn a_stop_holds_everything_but_cancels() {
        let mut limits = Limits::default();
        assert_eq!(limits.stop(T0, Refused::Other, None), T0.after(STOP_NS));
        let until = limits.stop(T0, Refused::Other, Some(30));
        assert_eq!(until, T0.after(30_000_000_000));
        assert!(!limits.take(T0, Op::New) && !limits.take(T0, Op::Amend));
        assert!(limits.take(T0, Op::Cancel) && limits.take(T0, Op::DeadMan));
        assert!(limits.take(until, Op::New));
    }

    #[test]
    fn a_refused_cancel_holds_cancels_shortly() {
        let mut limits = Limits::default();
        limits.stop(T0, Refused::Cancel, Some(3_600));
        assert!(!limits.take(T0, Op::Cancel) && !limits.take(T0, Op::BatchCancel(2)));
        assert!(limits.take(T0.after(CANCEL_STOP_NS), Op::Cancel));
    }

    proptest! {
        /// Law: whatever the pace, no span of the window's length holds more than the pool.
        #[test]
        fn never_more_than_the_pool_in_any_window(
            steps in proptest::collection::vec((0u64..800_000_000, 0u8..4), 1..300),
        ) {
            let (mut limits, mut now, mut passed) = (Limits::default(), T0.0, Vec::new());
            for (step, op) in steps {
                now += step;
                let op = [Op::New, Op::Cancel, Op::BatchCancel(20), Op::DeadMan][usize::from(op)];
                if limits.take(UnixNanos(now), op) {
                    passed.push((now, op.cost()));
                }
            }
            for (at, (end, _)) in passed.iter().enumerate() {
                let used: usize = passed[..=at]
                    .iter()
                    .filter(|(time, _)| time + WINDOW_NS > *end)
                    .map(|(_, cost)| cost)
                    .sum();
                prop_assert!(used <= POOL_UNITS);
            }
        }
    }
}
