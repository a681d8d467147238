//! Counters that rise with each request and fall with time.
//!
//! ```text
//!  orders   one counter a pair and account: add +1 · a batch of n adds +n/2, half a point is kept ·
//!           amend +1 and more while the order is young · cancel +8 to 0
//!  REST     one an account: +1, lists of trades +2; orders are not counted here
//! ```
//! A counter that is full refuses; a refused request is counted too, so that whoever hurries stays refused.

use serde_json::{Value, json};

const SECOND_NS: u64 = 1_000_000_000;
/// Counters are kept in thousandths.
const ONE: u64 = 1_000;

/// Where a pair's counter ends, and what it falls by in a second (thousandths, [U]): tier Starter.
pub const ORDERS: (u64, u64) = (60, 1_000);
/// The same of the REST counter.
pub const REST: (u64, u64) = (15, 333);
/// Open orders of an account on one pair, tier Starter [U].
pub const OPEN_ORDERS: usize = 60;

/// What a cancel costs by the age of its order: below so many seconds, so much.
const CANCEL: [(u64, u64); 6] = [(5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)];
/// What an amend costs beside its 1.
const AMEND: [(u64, u64); 3] = [(5, 3), (10, 2), (15, 1)];

fn by_age(costs: &[(u64, u64)], age_ns: u64) -> u64 {
    let young = costs
        .iter()
        .find(|(seconds, _)| age_ns < seconds * SECOND_NS);
    young.map_or(0, |(_, cost)| *cost)
}

/// The cost of cancelling an order that was placed or amended so long ago.
pub fn cancel_cost(age_ns: u64) -> u64 {
    by_age(&CANCEL, age_ns)
}

/// The cost of amending it.
pub fn amend_cost(age_ns: u64) -> u64 {
    1 + by_age(&AMEND, age_ns)
}

/// The cost of new orders in one request, in thousandths.
pub fn batch_cost(orders: usize) -> u64 {
    orders as u64 * ONE / 2
}

/// One counter.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    limit: u64,
    decay_milli: u64,
    milli: u64,
    at_ns: u64,
    highest: u64,
    refused: u64,
}

impl Counter {
    /// An empty counter with everything raised by a factor.
    pub fn new((limit, decay_milli): (u64, u64), factor: u32) -> Self {
        let factor = u64::from(factor.max(1));
        Self {
            limit: limit * factor,
            decay_milli: decay_milli * factor,
            milli: 0,
            at_ns: 0,
            highest: 0,
            refused: 0,
        }
    }

    /// Counts a request; whether it fits.
    pub fn take(&mut self, now: u64, cost: u64) -> bool {
        self.take_milli(now, cost * ONE)
    }

    /// The same, in thousandths.
    pub fn take_milli(&mut self, now: u64, cost: u64) -> bool {
        let fallen = u128::from(now.saturating_sub(self.at_ns)) * u128::from(self.decay_milli);
        let fallen = u64::try_from(fallen / u128::from(SECOND_NS)).unwrap_or(u64::MAX);
        // What is less than a thousandth stays for the next time.
        if fallen > 0 {
            (self.milli, self.at_ns) = (self.milli.saturating_sub(fallen), now);
        }
        let (sum, most) = (self.milli + cost, self.limit * ONE);
        self.milli = sum.min(most);
        self.highest = self.highest.max(self.milli.div_ceil(ONE));
        let fits = sum <= most;
        self.refused += u64::from(!fits);
        fits
    }

    /// For the admin endpoint. The window is the time a full counter takes to empty.
    pub fn json(&self, name: &str) -> Value {
        json!({
            "name": name, "window_ms": self.limit * ONE * 1_000 / self.decay_milli.max(1),
            "limit": self.limit, "highest": self.highest, "refused": self.refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_fills_falls_and_counts_what_it_refuses() {
        let mut counter = Counter::new((3, 1_000), 2);
        let start = 1_000 * SECOND_NS;
        assert!((0..6).all(|_| counter.take(start, 1)) && !counter.take(start, 1));
        assert!(counter.take(start + SECOND_NS / 2, 1), "two a second fall");
        assert!(!counter.take(start + SECOND_NS / 2, 2));
        let told = counter.json("x");
        assert_eq!(
            (&told["limit"], &told["highest"], &told["refused"]),
            (&json!(6), &json!(6), &json!(2))
        );
    }

    #[test]
    fn a_batch_costs_half_of_its_orders() {
        let mut counter = Counter::new((3, 1_000), 1);
        let start = 1_000 * SECOND_NS;
        assert!(counter.take_milli(start, batch_cost(3)));
        assert!(counter.take_milli(start, batch_cost(3)));
        assert!(!counter.take_milli(start, batch_cost(2)));
    }

    #[test]
    fn young_orders_cost_most() {
        let at = |seconds| {
            (
                cancel_cost(seconds * SECOND_NS),
                amend_cost(seconds * SECOND_NS),
            )
        };
        let costs: Vec<(u64, u64)> = [0, 5, 10, 15, 45, 90, 300].into_iter().map(at).collect();
        assert_eq!(
            costs,
            [(8, 4), (6, 3), (5, 2), (4, 1), (2, 1), (1, 1), (0, 1)]
        );
    }
}
