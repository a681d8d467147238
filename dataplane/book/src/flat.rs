//! The flat book: two sorted arrays a side, best level at the end.
//!
//! ```text
//!   keys    worst … 64998 64999 65000 ◀ best          bids; asks are kept by their complement: one order
//!   rests           0.512   0    1.25                 quantity 0: an empty slot that keeps its price
//!              ▲
//!   hints   hash(price) ─▶ where that price was last: looked at first, believed only when the key agrees
//! ```
//!
//! Nearly every update is about a price that had one before: quantities change, levels come and go at the same
//! prices. So a removed level leaves its slot behind, and a price finds its slot again by the hint: setting,
//! removing and bringing back a known price is one compare and one store, without a search and without a branch
//! on what the update is. Only a price never seen searches, from the touch outwards, and takes an empty slot
//! between the same neighbours or moves what is better than itself. Prices stand apart from quantities: a search
//! touches prices only.

use dp_types::limit::BOOK_LEVELS_MAX;
use dp_types::{Level, Price, Qty, Side};

/// Slots at the touch that are searched together.
const NEAR: usize = 8;
/// How far an empty slot is looked for before all that is better moves up.
const REACH: usize = 16;
/// Bits of a hint's place: a thousand prices a side, two lines of cache in sixty-four; more share places and search.
const HINT_BITS: u32 = 10;
/// Knuth's multiplicative hash: 2^64 over the golden ratio spreads evenly spaced prices best.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Quantity of a level and how its numbers were printed; quantity 0 = an empty slot.
#[derive(Debug, Clone, Copy)]
struct Rest {
    qty: Qty,
    price_printed: u8,
    qty_printed: u8,
}

/// One side, ascending towards the best level: keys grow as levels get better.
#[derive(Debug, Clone)]
struct Ladder {
    /// The price for bids, its complement for asks: one order for both, and every price has one.
    keys: Vec<i64>,
    rests: Vec<Rest>,
    /// Where a price was last, cut to 16 bits: a wrong one is found out.
    hints: Box<[u16; 1 << HINT_BITS]>,
    /// 0 for bids, all ones for asks.
    flip: i64,
    /// Levels that may live; slots are half as many more.
    capacity: usize,
    live: usize,
}

impl Ladder {
    fn new(side: Side, capacity: usize) -> Self {
        let slots = capacity + capacity / 2 + 1; // a level is put in before the worst one goes
        Self {
            keys: Vec::with_capacity(slots),
            rests: Vec::with_capacity(slots),
            hints: Box::new([0; 1 << HINT_BITS]),
            flip: match side {
                Side::Buy => 0,
                Side::Sell => -1,
            },
            capacity,
            live: 0,
        }
    }

    #[inline]
    fn hint(&mut self, key: i64) -> Option<&mut u16> {
        let place = key.cast_unsigned().wrapping_mul(GOLDEN) >> (64 - HINT_BITS);
        self.hints.get_mut(place as usize)
    }

    /// Sets, inserts or removes a level. Says whether a level fell off the far end.
    #[inline]
    fn apply(&mut self, level: &Level) -> bool {
        let key = level.price.0 ^ self.flip;
        let rest = Rest {
            qty: level.qty,
            price_printed: level.price_printed,
            qty_printed: level.qty_printed,
        };
        let at = self.hint(key).map_or(0, |hint| usize::from(*hint));
        if self.keys.get(at) == Some(&key)
            && let Some(held) = self.rests.get_mut(at)
        {
            // Whether it was and whether it is are sums, not branches: both are anybody's guess.
            let was = usize::from(held.qty.0 != 0);
            let is = usize::from(rest.qty.0 != 0);
            *held = rest;
            self.live = self.live + is - was;
            if is == 0 && at + 1 == self.keys.len() {
                self.drop_empty();
            }
        } else {
            self.place(key, rest);
        }
        self.live > self.capacity && self.drop_worst()
    }

    /// Index of the first key not below `key`, searched from the touch outwards in growing strides: what is
    /// new is mostly near, and what is near is in the cache.
    #[inline]
    fn search(&self, key: i64) -> usize {
        let tail = self.keys.len().saturating_sub(NEAR);
        let (mut far, near) = self.keys.split_at(tail);
        if far.last().is_none_or(|last| *last < key) {
            return tail + near.iter().filter(|held| **held < key).count();
        }
        let mut stride = 4 * NEAR;
        loop {
            let (further, here) = far.split_at(far.len().saturating_sub(stride));
            if further.last().is_none_or(|last| *last < key) {
                return further.len() + here.partition_point(|held| *held < key);
            }
            far = further;
            stride *= 4;
        }
    }

    /// As `apply`, for a price whose hint was wrong or that has no slot.
    #[inline(never)]
    fn place(&mut self, key: i64, rest: Rest) {
        let mut at = self.search(key);
        let is_there = self.keys.get(at) == Some(&key);
        if !is_there {
            if rest.qty.0 == 0 {
                return;
            }
            at = match self.empty_near(at) {
                Some(slot) => self.shift(slot, at),
                None => self.insert(at, key),
            };
        }
        if let (Some(held), Some(was)) = (self.keys.get_mut(at), self.rests.get_mut(at)) {
            let is = usize::from(rest.qty.0 != 0);
            self.live = self.live + is - usize::from(was.qty.0 != 0);
            (*held, *was) = (key, rest);
        }
        if let Some(hint) = self.hint(key) {
            *hint = at as u16;
        }
        if rest.qty.0 == 0 && at + 1 == self.keys.len() {
            self.drop_empty();
        }
    }

    #[inline]
    fn is_empty_slot(&self, at: usize) -> bool {
        self.rests.get(at).is_some_and(|rest| rest.qty.0 == 0)
    }

    /// The nearest empty slot to the border before index `at`, at most [`REACH`] away.
    #[inline]
    fn empty_near(&self, at: usize) -> Option<usize> {
        // Nearer to the touch than that, moving what is better is less.
        (0..REACH.min(self.keys.len() - at)).find_map(|away| {
            let (above, below) = (at + away, at.wrapping_sub(away + 1));
            if self.is_empty_slot(above) {
                Some(above)
            } else {
                self.is_empty_slot(below).then_some(below)
            }
        })
    }

    /// Moves an empty slot to the border before index `at`, over the few levels between; returns where it is.
    #[inline]
    fn shift(&mut self, slot: usize, at: usize) -> usize {
        let (range, to, freed) = if slot >= at {
            (at..slot, at + 1, at)
        } else {
            (slot + 1..at, slot, at - 1)
        };
        if !range.is_empty() {
            self.keys.copy_within(range.clone(), to);
            self.rests.copy_within(range, to);
        }
        if let Some(rest) = self.rests.get_mut(freed) {
            rest.qty = Qty(0);
        }
        freed
    }

    /// Makes an empty slot for `key` before index `at`; returns where it is.
    fn insert(&mut self, at: usize, key: i64) -> usize {
        let is_full = self.keys.len() >= self.capacity + self.capacity / 2;
        let at = if is_full { self.compact(key) } else { at };
        self.keys.insert(at, key);
        self.rests.insert(
            at,
            Rest {
                qty: Qty(0),
                price_printed: 0,
                qty_printed: 0,
            },
        );
        at
    }

    /// Closes every gap; returns the place of `key` after that. As rare as the slots are many.
    #[cold]
    fn compact(&mut self, key: i64) -> usize {
        let mut rests = self.rests.iter();
        self.keys
            .retain(|_| rests.next().is_some_and(|rest| rest.qty.0 != 0));
        self.rests.retain(|rest| rest.qty.0 != 0);
        self.search(key)
    }

    /// Takes the empty slots off the touch: the last one is always a level.
    #[inline(never)]
    fn drop_empty(&mut self) {
        while self.rests.last().is_some_and(|rest| rest.qty.0 == 0) {
            self.keys.pop();
            self.rests.pop();
        }
    }

    /// Drops the worst level and the empty slots beyond it. Always true.
    #[cold]
    fn drop_worst(&mut self) -> bool {
        let worst = self.rests.iter().position(|rest| rest.qty.0 != 0);
        let gone = worst.map_or(0, |worst| worst + 1);
        self.keys.drain(..gone);
        self.rests.drain(..gone);
        self.live -= 1;
        true
    }

    #[inline]
    fn level(&self, at: usize) -> Option<Level> {
        let (key, rest) = (self.keys.get(at)?, self.rests.get(at)?);
        (rest.qty.0 != 0).then(|| Level {
            price: Price(key ^ self.flip),
            qty: rest.qty,
            price_printed: rest.price_printed,
            qty_printed: rest.qty_printed,
        })
    }

    /// The level of a price.
    #[inline]
    fn at(&self, price: Price) -> Option<Level> {
        let key = price.0 ^ self.flip;
        let at = self.search(key);
        (self.keys.get(at) == Some(&key)).then(|| self.level(at))?
    }

    #[inline]
    fn best(&self) -> Option<Level> {
        self.level(self.keys.len().checked_sub(1)?)
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = Level> + '_ {
        (0..self.keys.len()).rev().filter_map(|at| self.level(at))
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.rests.clear();
        self.live = 0;
    }
}

/// An L2 book in the instrument's increments. All memory is taken when it is made.
#[derive(Debug, Clone)]
pub struct Book {
    bids: Ladder,
    asks: Ladder,
    overflows: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self::new(BOOK_LEVELS_MAX)
    }
}

impl Book {
    /// An empty book that keeps at most `levels_max` levels a side (at least 1).
    pub fn new(levels_max: usize) -> Self {
        let levels_max = levels_max.max(1);
        let (bids, asks) = (
            Ladder::new(Side::Buy, levels_max),
            Ladder::new(Side::Sell, levels_max),
        );
        Self {
            bids,
            asks,
            overflows: 0,
        }
    }

    /// Sets the total quantity at a price; quantity 0 removes the level, and removing an absent one is
    /// nothing. A full side drops its worst level and counts it.
    ///
    /// Cost: O(distance from the touch), no allocation.
    #[inline]
    pub fn apply_level(&mut self, side: Side, level: &Level) {
        let ladder = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        self.overflows += u64::from(ladder.apply(level));
    }

    /// Forgets all levels.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Drops the worst levels until neither side has more than `levels_max` (not counted as overflows).
    ///
    /// Cost: nothing where none is too many, O(levels) for each dropped.
    #[inline]
    pub fn truncate(&mut self, levels_max: usize) {
        for ladder in [&mut self.bids, &mut self.asks] {
            while ladder.live > levels_max {
                ladder.drop_worst();
            }
        }
    }

    /// Best bid.
    #[inline]
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.best()
    }

    /// Best ask.
    #[inline]
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.best()
    }

    /// Bids, best first.
    pub fn bids(&self) -> impl DoubleEndedIterator<Item = Level> + '_ {
        self.bids.iter()
    }

    /// Asks, best first.
    pub fn asks(&self) -> impl DoubleEndedIterator<Item = Level> + '_ {
        self.asks.iter()
    }

    /// Levels of a side, best first.
    pub fn side(&self, side: Side) -> impl DoubleEndedIterator<Item = Level> + '_ {
        match side {
            Side::Buy => self.bids.iter(),
            Side::Sell => self.asks.iter(),
        }
    }

    /// What rests at a price; `None` where nothing does. Cost: as of setting a level without a hint.
    #[inline]
    pub fn level_at(&self, side: Side, price: Price) -> Option<Level> {
        match side {
            Side::Buy => self.bids.at(price),
            Side::Sell => self.asks.at(price),
        }
    }

    /// How many levels a side has.
    pub fn level_count(&self, side: Side) -> usize {
        match side {
            Side::Buy => self.bids.live,
            Side::Sell => self.asks.live,
        }
    }

    /// Twice the mid price, in increments: the sum of both best prices, so that nothing is rounded.
    #[inline]
    pub fn mid_doubled(&self) -> Option<i64> {
        self.best_bid()?
            .price
            .0
            .checked_add(self.best_ask()?.price.0)
    }

    /// Whether the best bid is at or above the best ask.
    #[inline]
    pub fn is_crossed(&self) -> bool {
        match (self.best_bid(), self.best_ask()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// Levels dropped because a side was full, since the book was made.
    pub const fn overflows(&self) -> u64 {
        self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::NaiveBook;
    use proptest::prelude::*;

    fn level(price: i64, qty: i64) -> Level {
        Level {
            price: Price(price),
            qty: Qty(qty),
            price_printed: 1,
            qty_printed: 2,
        }
    }

    #[test]
    fn a_full_side_keeps_the_best_levels() {
        let mut book = Book::new(3);
        for price in [5, 1, 3, 4, 2] {
            book.apply_level(Side::Buy, &level(price, 1));
            book.apply_level(Side::Sell, &level(price + 10, 1));
        }
        let bids: Vec<i64> = book.bids().map(|level| level.price.0).collect();
        let asks: Vec<i64> = book.asks().map(|level| level.price.0).collect();
        assert_eq!((bids, asks), (vec![5, 4, 3], vec![11, 12, 13]));
        assert_eq!(book.overflows(), 4);
    }

    #[test]
    fn crossed_is_seen() {
        let mut book = Book::new(8);
        book.apply_level(Side::Buy, &level(100, 1));
        assert!(!book.is_crossed());
        book.apply_level(Side::Sell, &level(100, 1));
        assert!(book.is_crossed());
        book.apply_level(Side::Sell, &level(100, 0));
        assert_eq!(book.best_ask(), None);
    }

    #[test]
    fn levels_that_come_and_go_far_away_take_no_memory() {
        let mut book = Book::new(64);
        for price in 1..=20 {
            book.apply_level(Side::Buy, &level(price * 1_000, 1));
        }
        let room = (book.bids.keys.capacity(), book.bids.rests.capacity());
        for round in 0..10_000 {
            let price = 1_000 * (1 + round % 7) + round % 991;
            book.apply_level(Side::Buy, &level(price, 1));
            if price % 1_000 != 0 {
                book.apply_level(Side::Buy, &level(price, 0));
            }
        }
        assert_eq!(book.level_count(Side::Buy), 20);
        assert_eq!(book.bids().count(), 20);
        let after = (book.bids.keys.capacity(), book.bids.rests.capacity());
        assert_eq!(room, after);
    }

    proptest! {
        #[test]
        fn flat_book_equals_naive_book(
            capacity in 1usize..40,
            updates in proptest::collection::vec((any::<bool>(), 1i64..120, 0i64..3), 0..900)
        ) {
            let mut flat = Book::new(capacity);
            let mut naive = NaiveBook::new(capacity);
            let room = flat.bids.keys.capacity();
            for (at, (is_bid, price, qty)) in updates.into_iter().enumerate() {
                let side = if is_bid { Side::Buy } else { Side::Sell };
                flat.apply_level(side, &level(price, qty));
                naive.apply_level(side, &level(price, qty));
                prop_assert_eq!(flat.best_bid(), naive.best_bid());
                prop_assert_eq!(flat.best_ask(), naive.best_ask());
                let there = flat.side(side).find(|it| it.price == Price(price));
                prop_assert_eq!(flat.level_at(side, Price(price)), there);
                if at % 16 == 0 {
                    prop_assert!(flat.bids().eq(naive.bids()));
                    prop_assert!(flat.asks().rev().eq(naive.asks().collect::<Vec<_>>().into_iter().rev()));
                }
            }
            prop_assert!(flat.bids().eq(naive.bids()));
            prop_assert!(flat.asks().eq(naive.asks()));
            prop_assert_eq!(flat.level_count(Side::Buy), naive.bids().count());
            prop_assert_eq!(flat.overflows(), naive.overflows());
            prop_assert_eq!(flat.bids.keys.capacity(), room, "no memory after the start");
        }
    }
}
