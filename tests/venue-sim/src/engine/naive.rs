//! The oracle: the same rules written as plainly as possible, a list searched from the front.

use super::order::{Side, Tif};

/// An order of the oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NaiveOrder {
    /// Arrival number.
    pub id: u64,
    /// Side.
    pub side: Side,
    /// Limit; `None` is market.
    pub price: Option<i64>,
    /// What remains.
    pub leaves: i64,
}

/// Trades as (maker, taker, price, quantity), and what rests in order of arrival.
#[derive(Debug, Default)]
pub struct Naive {
    /// What rests.
    pub resting: Vec<NaiveOrder>,
    /// What printed.
    pub trades: Vec<(u64, u64, i64, i64)>,
}

impl Naive {
    /// Places an order; returns whether anything of it rests.
    pub fn place(&mut self, mut order: NaiveOrder, tif: Tif, is_post_only: bool) {
        let crossing = |resting: &NaiveOrder| {
            let price = resting.price.unwrap_or(0);
            resting.side != order.side
                && match (order.price, order.side) {
                    (None, _) => true,
                    (Some(limit), Side::Buy) => price <= limit,
                    (Some(limit), Side::Sell) => price >= limit,
                }
        };
        let available: i64 = self
            .resting
            .iter()
            .filter(|o| crossing(o))
            .map(|o| o.leaves)
            .sum();
        if (is_post_only && available > 0) || (tif == Tif::Fok && available < order.leaves) {
            return;
        }
        while order.leaves > 0 {
            let better = |price: i64| match order.side {
                Side::Buy => price,
                Side::Sell => -price,
            };
            let best = self
                .resting
                .iter()
                .enumerate()
                .filter(|(_, o)| crossing(o))
                .min_by_key(|(at, o)| (better(o.price.unwrap_or(0)), *at))
                .map(|(at, _)| at);
            let Some(at) = best else { break };
            let maker = &mut self.resting[at];
            let qty = maker.leaves.min(order.leaves);
            maker.leaves -= qty;
            order.leaves -= qty;
            self.trades
                .push((maker.id, order.id, maker.price.unwrap_or(0), qty));
            if maker.leaves == 0 {
                self.resting.remove(at);
            }
        }
        if order.leaves > 0 && order.price.is_some() && tif == Tif::Gtc {
            self.resting.push(order);
        }
    }

    /// Cancels what rests under `id`.
    pub fn cancel(&mut self, id: u64) {
        self.resting.retain(|order| order.id != id);
    }

    /// Lowers what remains of `id`.
    pub fn reduce(&mut self, id: u64, leaves: i64) {
        for order in self.resting.iter_mut().filter(|order| order.id == id) {
            order.leaves = leaves;
        }
    }

    /// Total at a price.
    pub fn total(&self, side: Side, price: i64) -> i64 {
        self.resting
            .iter()
            .filter(|o| o.side == side && o.price == Some(price))
            .map(|o| o.leaves)
            .sum()
    }
}
