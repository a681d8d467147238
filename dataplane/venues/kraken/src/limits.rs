//! What we may send: the venue's own counters, modelled. They rise with each request and fall with time.
//!
//! ```text
//! engine   one counter an instrument: add +1 · a batch of n adds +n/2 · amend +1 and more when young ·
//!          cancel +8 when young, 0 when old
//!          falls by DECAY a second, never above THRESHOLD
//! REST     one counter: +1, lists of trades +2
//! level3   200 a second and connection: +5 a subscription of ten prices
//! ```
//! The venue counts cancels and amends by the age of their order: those of an order that just came cost most. New
//! orders and amends leave a fifth of the counter free, so that what rests can be taken off. All numbers are
//! those of the lowest tier: an account of a higher one is served better than we use. The limit of open orders
//! on a pair is not modelled: the venue refuses those above it, and nothing else happens.
//! Half a point is counted whole: what the venue does with it is [U].
//! Source: venue page, section 6, read 2026-11-20; the venue's page of trading limits, docs.kraken.com, read 2026-11-22;
//! what is marked [U] there is marked here.

use crate::entry::NEW_MAX;
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Bucket, Budget, OrderAsk, Rates, lacking, named_ns};

const SECOND_NS: u64 = 1_000_000_000;
/// Where an instrument's counter ends: tier Starter. (Intermediate 125, Pro 180.)
pub const THRESHOLD: u32 = 60;
/// How long it takes to fall by one; [U]. (Intermediate 2.34 a second, Pro 3.75.)
const DECAY_NS: u64 = SECOND_NS;
/// Share of it that new orders and amends leave for cancels: one in this many, and room for one cancel at least.
const RESERVE_SHARE: u32 = 5;
/// Where the REST counter ends, and how long it takes to fall by one: tier Starter, 0.333 a second.
const REST_MAX: u32 = 15;
const REST_DECAY_NS: u64 = 1_000 * SECOND_NS / 333 + 1;
/// How long REST is left alone when the venue locked us out.
const LOCKOUT_NS: u64 = 15 * 60 * SECOND_NS;

/// What subscriptions of single orders may cost in a second, what one of the smallest depth costs, and how long it
/// takes until one more fits: a twentieth longer than the venue says.
const LEVEL3_MAX: u32 = 200;
const LEVEL3_COST: u32 = 5;
const LEVEL3_DECAY_NS: u64 = SECOND_NS * 21 / 20 / LEVEL3_MAX as u64;

/// What the dearest cancel costs.
const CANCEL_COST_MAX: u32 = 8;
/// What the dearest REST request costs: both lists an order may be on.
const REST_COST_MAX: u32 = 3;
/// What a cancel costs, by age of its order: below so many seconds, so much.
const CANCEL_COSTS: [(u64, u32); 6] = [
    (5, CANCEL_COST_MAX),
    (10, 6),
    (15, 5),
    (45, 4),
    (90, 2),
    (300, 1),
];
/// What an amend costs beside its 1.
const AMEND_COSTS: [(u64, u32); 3] = [(5, 3), (10, 2), (15, 1)];

/// A kind of order request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOp {
    /// `add_order`.
    New,
    /// `batch_add` of so many orders.
    BatchNew(u32),
    /// `amend_order`, of an order touched so many nanoseconds ago.
    Amend(u64),
    /// Cancels that cost so much together ([`cancel_cost`]).
    Cancel(u32),
}

fn by_age(costs: &[(u64, u32)], age_ns: u64) -> u32 {
    let young = costs
        .iter()
        .find(|(seconds, _)| age_ns < seconds * SECOND_NS);
    young.map_or(0, |(_, cost)| *cost)
}

/// What the cancel of an order costs that was placed or amended so many nanoseconds ago.
pub fn cancel_cost(age_ns: u64) -> u32 {
    by_age(&CANCEL_COSTS, age_ns)
}

/// Every limit of one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    instruments: Vec<(InstrumentId, Bucket)>,
    /// What is left for cancels.
    reserve: u32,
    news_max: usize,
    rest: Bucket,
    rest_stopped_until: UnixNanos,
    level3: Bucket,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let (now, id) = (UnixNanos(0), InstrumentId(0));
    let mut limits = Limits::new(&[id], budget);
    let orders = (0..THRESHOLD).take_while(|_| limits.order(now, id, OrderOp::New));
    lacking(&[
        (orders.count() > 0, "a new order and the cancel of one"),
        (limits.rest(now, REST_COST_MAX), "a question about an order"),
    ])
}

impl Limits {
    /// Our share of the counters of these instruments; all memory is taken here.
    pub fn new(instruments: &[InstrumentId], budget: Budget) -> Self {
        let counter = Bucket::new(THRESHOLD, DECAY_NS, budget.account);
        let reserve = (counter.burst() / RESERVE_SHARE).max(CANCEL_COST_MAX);
        // Two orders a point.
        let room = counter.burst().saturating_sub(reserve) as usize * 2;
        Self {
            instruments: instruments.iter().map(|&id| (id, counter)).collect(),
            reserve,
            news_max: room.clamp(1, NEW_MAX),
            rest: Bucket::new(REST_MAX, REST_DECAY_NS, budget.account),
            rest_stopped_until: UnixNanos(0),
            level3: Bucket::new(LEVEL3_MAX, LEVEL3_DECAY_NS, budget.account),
        }
    }

    /// Orders a batch may enter: always room for it in what is not kept for cancels.
    pub fn news_max(&self) -> usize {
        self.news_max
    }

    /// Takes room for an order request. None for an instrument we do not follow.
    pub fn order(&mut self, now: UnixNanos, id: InstrumentId, op: OrderOp) -> bool {
        // A lane has a handful of instruments: a scan beats a table.
        let Some((_, counter)) = self.instruments.iter_mut().find(|(own, _)| *own == id) else {
            return false;
        };
        let (cost, kept) = match op {
            OrderOp::New => (1, self.reserve),
            OrderOp::BatchNew(count) => (count.div_ceil(2), self.reserve),
            OrderOp::Amend(age_ns) => (1 + by_age(&AMEND_COSTS, age_ns), self.reserve),
            OrderOp::Cancel(cost) => (cost, 0),
        };
        counter.take(now, cost, kept)
    }

    /// Takes room for one signed REST request.
    pub fn rest(&mut self, now: UnixNanos, cost: u32) -> bool {
        now >= self.rest_stopped_until && self.rest.take(now, cost, 0)
    }

    /// Takes room for one subscription of single orders.
    pub fn level3(&mut self, now: UnixNanos) -> bool {
        self.level3.take(now, LEVEL3_COST, 0)
    }

    /// The venue refused an order request for rate: its counter is full, whatever our model said. All of them,
    /// where the instrument is not known. Returns when a new order may go again.
    pub fn order_refused(&mut self, now: UnixNanos, id: Option<InstrumentId>) -> UnixNanos {
        let refused = self.instruments.iter_mut();
        let refused = refused.filter(|(own, _)| id.is_none_or(|id| id == *own));
        let until = refused.map(|(_, counter)| counter.empty(now, self.reserve + 1));
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
        let lockout_ns = if is_lockout { LOCKOUT_NS } else { 0 };
        let until = self.rest.empty(now, self.rest.burst().div_ceil(2));
        self.rest_stopped_until = until.max(now.after(named_ns(retry_after_s).max(lockout_ns)));
        self.rest_stopped_until
    }
}

impl Rates for Limits {
    fn batch_max(&self) -> usize {
        self.news_max()
    }

    fn take(&mut self, now: UnixNanos, id: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(1) => self.order(now, id, OrderOp::New),
            OrderAsk::New(count) => self.order(now, id, OrderOp::BatchNew(count)),
            OrderAsk::Amend(age_ns) => self.order(now, id, OrderOp::Amend(age_ns)),
            OrderAsk::Cancel(age_ns) => self.order(now, id, OrderOp::Cancel(cancel_cost(age_ns))),
            OrderAsk::CancelAll(ages_ns) => ages_ns
                .iter()
                .all(|age_ns| self.order(now, id, OrderOp::Cancel(cancel_cost(*age_ns)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_venue_api::limits::Share;

    const ID: InstrumentId = InstrumentId(3);
    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
    const YOUNG: OrderOp = OrderOp::Cancel(8);

    #[test]
    fn new_orders_leave_the_reserve_to_cancels() {
        let mut limits = Limits::new(&[ID], Budget::WHOLE);
        let passed = (0..100)
            .filter(|_| limits.order(T0, ID, OrderOp::New))
            .count();
        assert_eq!(passed as u32, THRESHOLD - THRESHOLD / RESERVE_SHARE);
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
    fn a_batch_costs_half_and_leaves_the_same_room() {
        let mut limits = Limits::new(&[ID], Budget::WHOLE);
        assert_eq!(limits.news_max(), NEW_MAX);
        let batch = OrderOp::BatchNew(NEW_MAX as u32);
        let passed = (0..100).filter(|_| limits.order(T0, ID, batch)).count();
        assert_eq!(passed, 6, "eight points each, of 48");
        assert!(!limits.order(T0, ID, OrderOp::BatchNew(2)));
        assert!(limits.order(T0, ID, YOUNG), "twelve are left");
        // Of a share that lets four points out there are batches of eight; of the least, of two.
        for (percent, most) in [(30, NEW_MAX), (20, 8), (15, 2)] {
            let budget = Budget::of(Share::percent(percent));
            let mut limits = Limits::new(&[ID], budget);
            assert_eq!(limits.news_max(), most, "{percent} %");
            let batch = OrderOp::BatchNew(limits.news_max() as u32);
            assert!(limits.order(T0, ID, batch) && limits.order(T0, ID, YOUNG));
        }
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
        let mut limits = Limits::new(&[ID, other], Budget::WHOLE);
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
        let mut limits = Limits::new(&[], Budget::WHOLE);
        let passed = (0..100).filter(|_| limits.rest(T0, 2)).count();
        assert_eq!(passed, 7);
        let until = limits.rest_refused(T0, false, Some(60));
        assert_eq!(until, T0.after(60 * SECOND_NS));
        assert!(!limits.rest(T0.after(59 * SECOND_NS), 1) && limits.rest(until, 1));
        let until = limits.rest_refused(T0, true, None);
        assert_eq!(until, T0.after(LOCKOUT_NS));
        assert!(!limits.rest(T0.after(LOCKOUT_NS - 1), 1) && limits.rest(until, 1));
    }

    #[test]
    fn a_share_is_a_smaller_and_slower_counter_with_room_for_a_cancel() {
        let mut limits = Limits::new(&[ID], Budget::of(Share::percent(30)));
        let taken = |limits: &mut Limits, now| {
            let orders = 0..THRESHOLD;
            orders
                .filter(|_| limits.order(now, ID, OrderOp::New))
                .count()
        };
        assert_eq!(taken(&mut limits, T0), 10);
        assert!(limits.order(T0, ID, YOUNG) && !limits.order(T0, ID, YOUNG));
        assert_eq!(
            taken(&mut limits, T0.after(41 * SECOND_NS)),
            4,
            "twelve back"
        );
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(20)), (None, None));
        assert_eq!(of(19), Some("a question about an order"));
        assert_eq!(of(13), Some("a new order and the cancel of one"));
    }
}
