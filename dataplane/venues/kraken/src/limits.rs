//! What we may send: the venue's own counters, modelled. They rise with each request and fall with time.
//!
//! ```text
//! engine   one counter an instrument: add +1 · amend +1 and more when young · cancel +8 when young, 0 when old
//!          falls by DECAY a second, never above THRESHOLD
//! REST     one counter: +1, lists of trades +2
//! ```
//! The venue counts cancels and amends by the age of their order: those of an order that just came cost most. New
//! orders and amends leave [`RESERVE`] of the counter free, so that what rests can be taken off. All numbers are
//! those of the lowest tier: an account of a higher one is served better than we use. The limit of open orders
//! on a pair is not modelled: the venue refuses those above it, and nothing else happens.
//! Source: venue page, section 6, read 2026-11-20; what is marked [U] there is marked here.

use dp_types::{InstrumentId, UnixNanos};

const SECOND_NS: u64 = 1_000_000_000;
/// Counters are kept in thousandths.
const ONE: u64 = 1_000;

/// Where an instrument's counter ends: tier Starter. (Intermediate 125, Pro 180.)
pub const THRESHOLD: u64 = 60;
/// What it falls by in a second, in thousandths; [U]. (Intermediate 2.34, Pro 3.75.)
const DECAY_MILLI: u64 = 1_000;
/// What new orders and amends leave for cancels: a fifth.
pub const RESERVE: u64 = THRESHOLD / 5;
/// Where the REST counter ends, and what it falls by in a second, in thousandths: tier Starter.
const REST_MAX: u64 = 15;
const REST_DECAY_MILLI: u64 = 333;
/// How long REST is left alone when the venue locked us out.
const LOCKOUT_NS: u64 = 15 * 60 * SECOND_NS;
/// The longest stop we believe.
const STOP_S_MAX: u32 = 3_600;

/// What a cancel costs, by age of its order: below so many seconds, so much.
const CANCEL_COSTS: [(u64, u64); 6] = [(5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)];
/// What an amend costs beside its 1.
const AMEND_COSTS: [(u64, u64); 3] = [(5, 3), (10, 2), (15, 1)];

/// A kind of order request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `add_order`.
    New,
    /// `amend_order`, of an order touched so many nanoseconds ago.
    Amend(u64),
    /// Cancels that cost so much together ([`cancel_cost`]).
    Cancel(u64),
}

fn by_age(costs: &[(u64, u64)], age_ns: u64) -> u64 {
    let young = costs
        .iter()
        .find(|(seconds, _)| age_ns < seconds * SECOND_NS);
    young.map_or(0, |(_, cost)| *cost)
}

/// What the cancel of an order costs that was placed or amended so many nanoseconds ago.
pub fn cancel_cost(age_ns: u64) -> u64 {
    by_age(&CANCEL_COSTS, age_ns)
}

/// A counter that falls with time.
#[derive(Debug, Clone, Copy)]
struct Counter {
    milli: u64,
    decay_milli: u64,
    at: UnixNanos,
}

impl Counter {
    const fn new(decay_milli: u64) -> Self {
        Self {
            milli: 0,
            decay_milli,
            at: UnixNanos(0),
        }
    }

    fn fall(&mut self, now: UnixNanos) {
        let fallen = u128::from(now.since(self.at)) * u128::from(self.decay_milli);
        let fallen = u64::try_from(fallen / u128::from(SECOND_NS)).unwrap_or(u64::MAX);
        // What is less than a thousandth stays for the next time.
        if fallen > 0 {
            self.milli = self.milli.saturating_sub(fallen);
            self.at = now;
        }
    }

    /// Adds `cost` where the sum stays within `max`.
    fn take(&mut self, now: UnixNanos, cost: u64, max: u64) -> bool {
        self.fall(now);
        let sum = self.milli.saturating_add(cost * ONE);
        let fits = sum <= max * ONE;
        if fits {
            self.milli = sum;
        }
        fits
    }

    /// The venue says it is full: so it is, and not before `max - until` has fallen is there room again.
    fn fill(&mut self, now: UnixNanos, max: u64, until: u64) -> UnixNanos {
        self.milli = max * ONE;
        self.at = now;
        now.after((max - until.min(max)) * ONE * SECOND_NS / self.decay_milli.max(1))
    }
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    instruments: Vec<(InstrumentId, Counter)>,
    rest: Counter,
    rest_stopped_until: UnixNanos,
}

impl Limits {
    /// Counters for these instruments; all memory is taken here.
    pub fn new(instruments: &[InstrumentId]) -> Self {
        Self {
            instruments: instruments
                .iter()
                .map(|&id| (id, Counter::new(DECAY_MILLI)))
                .collect(),
            rest: Counter::new(REST_DECAY_MILLI),
            rest_stopped_until: UnixNanos(0),
        }
    }

    /// Takes room for an order request. None for an instrument we do not follow.
    pub fn order(&mut self, now: UnixNanos, id: InstrumentId, op: OrderOp) -> bool {
        // A lane has a handful of instruments: a scan beats a table.
        let Some((_, counter)) = self.instruments.iter_mut().find(|(own, _)| *own == id) else {
            return false;
        };
        let (cost, max) = match op {
            OrderOp::New => (1, THRESHOLD - RESERVE),
            OrderOp::Amend(age_ns) => (1 + by_age(&AMEND_COSTS, age_ns), THRESHOLD - RESERVE),
            OrderOp::Cancel(cost) => (cost, THRESHOLD),
        };
        counter.take(now, cost, max)
    }

    /// Takes room for one signed REST request.
    pub fn rest(&mut self, now: UnixNanos, cost: u64) -> bool {
        now >= self.rest_stopped_until && self.rest.take(now, cost, REST_MAX)
    }

    /// The venue refused an order request for rate: its counter is full, whatever our model said. All of them,
    /// where the instrument is not known. Returns when a new order may go again.
    pub fn order_refused(&mut self, now: UnixNanos, id: Option<InstrumentId>) -> UnixNanos {
        let refused = self.instruments.iter_mut();
        let refused = refused.filter(|(own, _)| id.is_none_or(|id| id == *own));
        let until =
            refused.map(|(_, counter)| counter.fill(now, THRESHOLD, THRESHOLD - RESERVE - 1));
        until.max().unwrap_or(now)
    }

    /// The venue refused a REST request for rate, or locked us out; `retry_after_s` is the time HTTP named.
    /// Returns until when REST is left alone.
    pub fn rest_refused(
        &mut self,
        now: UnixNanos,
        is_lockout: bool,
        retry_after_s: Option<u32>,
    ) -> UnixNanos {
        let named_ns = retry_after_s.map_or(0, |s| u64::from(s.min(STOP_S_MAX)) * SECOND_NS);
        let lockout_ns = if is_lockout { LOCKOUT_NS } else { 0 };
        let until = self.rest.fill(now, REST_MAX, REST_MAX / 2);
        self.rest_stopped_until = until.max(now.after(named_ns.max(lockout_ns)));
        self.rest_stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: InstrumentId = InstrumentId(3);
    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
    const YOUNG: OrderOp = OrderOp::Cancel(8);

    #[test]
    fn new_orders_leave_the_reserve_to_cancels() {
        let mut limits = Limits::new(&[ID]);
        let passed = (0..100)
            .filter(|_| limits.order(T0, ID, OrderOp::New))
            .count();
        assert_eq!(passed as u64, THRESHOLD - RESERVE);
        assert!(!limits.order(T0, ID, OrderOp::Amend(u64::MAX)));
        assert!(limits.order(T0, ID, YOUNG), "twelve are left");
        assert!(!limits.order(T0, ID, YOUNG));
        assert!(
            limits.order(T0, ID, OrderOp::Cancel(cancel_cost(400 * SECOND_NS))),
            "free"
        );
        assert!(limits.order(T0.after(4 * SECOND_NS), ID, YOUNG));
        assert!(!limits.order(T0.after(4 * SECOND_NS), ID, OrderOp::New));
    }

    #[test]
    fn costs_fall_with_age() {
        for (seconds, cancel, amend) in [
            (0, 8, 3),
            (4, 8, 3),
            (5, 6, 2),
            (10, 5, 1),
            (15, 4, 0),
            (45, 2, 0),
            (90, 1, 0),
            (300, 0, 0),
        ] {
            let age = seconds * SECOND_NS;
            assert_eq!(
                (cancel_cost(age), by_age(&AMEND_COSTS, age)),
                (cancel, amend)
            );
        }
    }

    #[test]
    fn a_refusal_fills_the_counter_of_its_instrument() {
        let other = InstrumentId(4);
        let mut limits = Limits::new(&[ID, other]);
        let until = limits.order_refused(T0, Some(ID));
        assert_eq!(until, T0.after(13 * SECOND_NS));
        assert!(limits.order(T0, other, OrderOp::New));
        assert!(!limits.order(T0, ID, YOUNG));
        assert!(limits.order(T0.after(8 * SECOND_NS), ID, YOUNG));
        let until = limits.order_refused(T0, None);
        assert!(
            !limits.order(until.after(0), InstrumentId(9), OrderOp::New),
            "not followed"
        );
        assert!(!limits.order(T0.after(12 * SECOND_NS), other, OrderOp::New));
        assert!(limits.order(until, other, OrderOp::New));
    }

    #[test]
    fn rest_has_a_counter_of_its_own_and_a_lockout_lasts() {
        let mut limits = Limits::new(&[]);
        let passed = (0..100).filter(|_| limits.rest(T0, 2)).count();
        assert_eq!(passed, 7);
        let until = limits.rest_refused(T0, false, Some(60));
        assert_eq!(until, T0.after(60 * SECOND_NS));
        assert!(!limits.rest(T0.after(59 * SECOND_NS), 1) && limits.rest(until, 1));
        let until = limits.rest_refused(T0, true, None);
        assert_eq!(until, T0.after(LOCKOUT_NS));
        assert!(!limits.rest(T0.after(LOCKOUT_NS - 1), 1) && limits.rest(until, 1));
    }

    proptest! {
        /// Law: whatever the pace, the venue's counter by its own rule never passes its threshold.
        #[test]
        fn never_above_the_threshold(
            steps in proptest::collection::vec((0u64..3_000_000_000, 0u64..10), 1..300),
        ) {
            let mut limits = Limits::new(&[ID]);
            let (mut now, mut exact) = (T0, 0u128);
            for (step, cost) in steps {
                now = now.after(step);
                // In 10^-12: thousandths a nanosecond are exact.
                exact = exact.saturating_sub(u128::from(step) * u128::from(DECAY_MILLI));
                if limits.order(now, ID, OrderOp::Cancel(cost)) {
                    exact += u128::from(cost) * u128::from(ONE) * u128::from(SECOND_NS);
                }
                prop_assert!(exact <= u128::from(THRESHOLD * ONE) * u128::from(SECOND_NS));
            }
        }
    }
}
