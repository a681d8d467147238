//! Public trades as the venue numbers them: one more with each trade of an instrument, and which way the price went.

use crate::engine::Trade;
use crate::record::RECORD_MAX;
use std::collections::{BTreeMap, VecDeque};

/// Trades kept of each instrument.
const KEPT: usize = 10_000;
/// The number before the first one.
const FIRST_SEQ: u64 = 271_252_850;

/// A printed trade.
#[derive(Debug, Clone, Copy)]
pub struct Print {
    /// The trade.
    pub trade: Trade,
    /// Its number within the instrument.
    pub seq: u64,
    /// 0 up, 1 level after up, 2 down, 3 level after down.
    pub tick: u8,
}

/// Every instrument's tape.
#[derive(Debug)]
pub struct Tape {
    prints: Vec<VecDeque<Print>>,
    last: Vec<(u64, i64, u8)>,
    /// What lists of clients' trades need of each, by trade id.
    ours: BTreeMap<u64, (u64, u8)>,
}

impl Tape {
    /// Empty tapes; `prices` are where instruments start.
    pub fn new(prices: impl Iterator<Item = i64>) -> Self {
        let last: Vec<(u64, i64, u8)> = prices.map(|price| (FIRST_SEQ, price, 0)).collect();
        Self {
            prints: vec![VecDeque::new(); last.len()],
            last,
            ours: BTreeMap::new(),
        }
    }

    /// Numbers a trade and keeps it.
    pub fn print(&mut self, trade: &Trade) -> Option<Print> {
        let (seq, price, tick) = self.last.get_mut(trade.inst)?;
        *seq += 1;
        *tick = match trade.price.cmp(price) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Less => 2,
            std::cmp::Ordering::Equal => *tick | 1,
        };
        *price = trade.price;
        let print = Print {
            trade: *trade,
            seq: *seq,
            tick: *tick,
        };
        let prints = self.prints.get_mut(trade.inst)?;
        prints.push_back(print);
        if prints.len() > KEPT {
            prints.pop_front();
        }
        Some(print)
    }

    /// Keeps what a client's trade needs.
    pub fn keep(&mut self, print: &Print) {
        if self.ours.len() >= RECORD_MAX {
            self.ours.pop_first();
        }
        self.ours.insert(print.trade.id, (print.seq, print.tick));
    }

    /// Number and direction of a client's trade.
    pub fn of(&self, trade: u64) -> (u64, u8) {
        self.ours.get(&trade).copied().unwrap_or_default()
    }

    /// An instrument's trades, oldest first.
    pub fn prints(&self, inst: usize) -> impl DoubleEndedIterator<Item = &Print> {
        self.prints.get(inst).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Side;

    #[test]
    fn directions_and_numbers() {
        let mut tape = Tape::new([100].into_iter());
        let mut print = |price| {
            let trade = Trade {
                id: 1,
                inst: 0,
                price,
                qty: 1,
                taker: Side::Buy,
                taker_order: 1,
                maker_order: 2,
                at_ns: 0,
            };
            let print = tape.print(&trade).unwrap();
            (print.seq - FIRST_SEQ, print.tick)
        };
        let told = [101, 101, 101, 99, 99, 100].map(&mut print);
        assert_eq!(told, [(1, 0), (2, 1), (3, 1), (4, 2), (5, 3), (6, 0)]);
    }
}
