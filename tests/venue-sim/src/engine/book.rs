//! One instrument's resting orders, best price first, earliest first within a price.

use super::order::Side;
use std::collections::{BTreeMap, VecDeque};

/// One price: the total and who queues for it.
#[derive(Debug, Clone, Default)]
pub struct Level {
    /// Sum of what remains, in increments.
    pub total: i64,
    /// Order ids, earliest first.
    pub queue: VecDeque<u64>,
}

/// Both sides of one instrument.
#[derive(Debug, Clone, Default)]
pub struct Book {
    bids: BTreeMap<i64, Level>,
    asks: BTreeMap<i64, Level>,
}

impl Book {
    /// Puts an order at the end of its price's queue.
    pub fn push(&mut self, side: Side, price: i64, order: u64, qty: i64) {
        let level = self.side_mut(side).entry(price).or_default();
        level.total += qty;
        level.queue.push_back(order);
    }

    /// Takes `qty` off a level without touching its queue: a partial fill or a reduction.
    pub fn reduce(&mut self, side: Side, price: i64, qty: i64) {
        if let Some(level) = self.side_mut(side).get_mut(&price) {
            level.total -= qty;
        }
    }

    /// Removes an order that still had `qty` open; the level goes with its last order.
    pub fn remove(&mut self, side: Side, price: i64, order: u64, qty: i64) {
        let levels = self.side_mut(side);
        if let Some(level) = levels.get_mut(&price) {
            level.total -= qty;
            if level.queue.front() == Some(&order) {
                level.queue.pop_front();
            } else {
                level.queue.retain(|&queued| queued != order);
            }
            if level.queue.is_empty() {
                levels.remove(&price);
            }
        }
    }

    /// Best price and its level.
    pub fn best(&self, side: Side) -> Option<(i64, &Level)> {
        let entry = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        entry.map(|(&price, level)| (price, level))
    }

    /// Total at a price; 0 when there is none.
    pub fn total(&self, side: Side, price: i64) -> i64 {
        self.side(side).get(&price).map_or(0, |level| level.total)
    }

    /// Orders at a price.
    pub fn count(&self, side: Side, price: i64) -> usize {
        self.side(side)
            .get(&price)
            .map_or(0, |level| level.queue.len())
    }

    /// Levels of one side, best first.
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (i64, &Level)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(|(&price, level)| (price, level))),
            Side::Sell => Box::new(self.asks.iter().map(|(&price, level)| (price, level))),
        }
    }

    /// Levels of one side.
    pub fn depth(&self, side: Side) -> usize {
        self.side(side).len()
    }

    fn side(&self, side: Side) -> &BTreeMap<i64, Level> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<i64, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
