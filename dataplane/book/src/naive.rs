//! The oracle: the same book over `BTreeMap`, written to be obviously right.

use dp_types::{Level, Side};
use std::collections::BTreeMap;

/// An L2 book by price in ordered maps.
#[derive(Debug, Clone)]
pub struct NaiveBook {
    bids: BTreeMap<i64, Level>,
    asks: BTreeMap<i64, Level>,
    levels_max: usize,
    overflows: u64,
}

impl NaiveBook {
    /// An empty book of at most `levels_max` levels a side.
    pub fn new(levels_max: usize) -> Self {
        let (bids, asks) = (BTreeMap::new(), BTreeMap::new());
        Self {
            bids,
            asks,
            levels_max: levels_max.max(1),
            overflows: 0,
        }
    }

    /// As [`crate::Book::apply_level`].
    pub fn apply_level(&mut self, side: Side, level: &Level) {
        let map = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if level.qty.0 == 0 {
            map.remove(&level.price.0);
            return;
        }
        map.insert(level.price.0, *level);
        if map.len() > self.levels_max {
            match side {
                Side::Buy => map.pop_first(),
                Side::Sell => map.pop_last(),
            };
            self.overflows += 1;
        }
    }

    /// Forgets all levels.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Best bid.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.values().next_back().copied()
    }

    /// Best ask.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.values().next().copied()
    }

    /// Bids, best first.
    pub fn bids(&self) -> impl Iterator<Item = Level> + '_ {
        self.bids.values().rev().copied()
    }

    /// Asks, best first.
    pub fn asks(&self) -> impl Iterator<Item = Level> + '_ {
        self.asks.values().copied()
    }

    /// Levels dropped because a side was full.
    pub const fn overflows(&self) -> u64 {
        self.overflows
    }
}
