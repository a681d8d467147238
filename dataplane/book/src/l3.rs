//! The book of single orders: who stands where in each queue.
//!
//! ```text
//!   id ─▶ index ─▶ orders  [ id, side, level, before, behind ]      one slab, free slots in a chain
//!                     ▲
//!   queues  worst … 64999 65000 ◀ best      [ total, count, front, back ] of each price
//! ```
//!
//! An order that shrinks at its price keeps its place; one that grows, or goes to another price, goes to the back:
//! that is what the venues that show their orders do. Where a venue ranks its orders, the rank says where one stands.
//! All memory is taken at the start; an order more than there is room for is an error, and the book must be fetched
//! again.

use dp_types::{
    BookMsgKind, Instrument, L3Msg, Level, NumError, OrderAct, OrderId, Price, Qty, RawLevel,
    RawOrder, Side,
};

/// No order.
const NONE: u32 = u32::MAX;
/// Behind whatever is there.
const BY_ARRIVAL: i64 = i64::MAX;

/// Why a message could not be applied. The book is stale then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum L3Error {
    /// More orders rest than the book has room for.
    #[error("more than {0} orders")]
    Full(usize),
    /// Another quantity of an order that does not rest.
    #[error("a change of an order that does not rest")]
    Stranger,
    /// A number does not fit the instrument's increments, or a queue's total does not fit at all.
    #[error(transparent)]
    Number(#[from] NumError),
}

/// An order in its queue.
#[derive(Debug, Clone, Copy)]
struct Resting {
    id: OrderId,
    side: Side,
    level: Level,
    /// The venue's; [`BY_ARRIVAL`] where it has none.
    rank: i64,
    /// Towards the front; in a free slot nothing.
    before: u32,
    /// Towards the back; in a free slot the next free one.
    behind: u32,
}

/// All orders of one price.
#[derive(Debug, Clone, Copy)]
struct Queue {
    /// The price for bids, its complement for asks: they grow as they get better.
    key: i64,
    total: i64,
    count: u32,
    front: u32,
    back: u32,
}

/// A book of single orders.
#[derive(Debug, Clone)]
pub struct L3Book {
    orders: Vec<Resting>,
    orders_max: usize,
    free: u32,
    held: usize,
    /// Place by hash → slot in `orders`; [`NONE`] = empty. At least twice as many as there are orders.
    index: Box<[u32]>,
    bids: Vec<Queue>,
    asks: Vec<Queue>,
}

const fn key(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => price.0,
        Side::Sell => !price.0,
    }
}

impl L3Book {
    /// An empty book of at most `orders_max` orders, at least one. Takes all its memory here: 80 bytes an order.
    pub fn new(orders_max: usize) -> Self {
        let orders_max = orders_max.clamp(1, (NONE / 2) as usize);
        let places = (2 * orders_max).next_power_of_two();
        Self {
            orders: Vec::with_capacity(orders_max),
            orders_max,
            free: NONE,
            held: 0,
            index: vec![NONE; places].into_boxed_slice(),
            bids: Vec::with_capacity(orders_max),
            asks: Vec::with_capacity(orders_max),
        }
    }

    /// Forgets all orders.
    pub fn clear(&mut self) {
        self.orders.clear();
        self.free = NONE;
        self.held = 0;
        self.index.fill(NONE);
        self.bids.clear();
        self.asks.clear();
    }

    /// Orders that rest.
    pub const fn len(&self) -> usize {
        self.held
    }

    /// Whether none rests.
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Applies a message, order by order. Errors: [`L3Error`]; what came before the order at fault is in the book.
    ///
    /// Cost: O(1) an order but for a price that begins or ends, which moves the better ones, and for a rank before
    /// others', which are passed. No allocation.
    pub fn apply(&mut self, msg: &L3Msg<'_>, instrument: &Instrument) -> Result<(), L3Error> {
        if msg.kind == BookMsgKind::Snapshot {
            self.clear();
        }
        for order in msg.orders {
            self.apply_order(order, instrument)?;
        }
        Ok(())
    }

    /// Applies one order. Cost and errors: as [`L3Book::apply`].
    pub fn apply_order(
        &mut self,
        order: &RawOrder,
        instrument: &Instrument,
    ) -> Result<(), L3Error> {
        let held = self.find(order.id);
        if order.act == OrderAct::Resized {
            return self.resize(held, instrument.qty(order.qty)?);
        }
        let rank = match (order.act, held) {
            (OrderAct::Ranked(rank), _) => rank,
            (OrderAct::Rests, _) | (_, None) => BY_ARRIVAL,
            (_, Some((_, resting))) => resting.rank,
        };
        let level = instrument.level(&RawLevel {
            price: order.price,
            qty: order.qty,
        })?;
        let level = match (order.act, held) {
            (OrderAct::Becomes | OrderAct::Trades, None) => return Ok(()),
            (OrderAct::Trades, Some((_, resting))) => Level {
                qty: Qty(resting.level.qty.0.saturating_sub(level.qty.0)),
                ..resting.level
            },
            _ => level,
        };
        if let Some((at, resting)) = held {
            let is_same = resting.side == order.side
                && resting.level.price == level.price
                && resting.rank == rank;
            if is_same && level.qty.0 > 0 && level.qty <= resting.level.qty {
                self.shrink(at, level);
                return Ok(());
            }
            self.take_out(at);
        }
        if level.qty.0 <= 0 {
            return Ok(());
        }
        self.put_in(order.id, order.side, level, rank)
    }

    /// Another quantity, in the same place. What does not rest any more is gone already.
    fn resize(&mut self, held: Option<(u32, Resting)>, qty: Qty) -> Result<(), L3Error> {
        let Some((at, resting)) = held else {
            return if qty.0 > 0 {
                Err(L3Error::Stranger)
            } else {
                Ok(())
            };
        };
        let level = Level {
            qty,
            ..resting.level
        };
        if qty.0 <= 0 {
            self.take_out(at);
        } else if qty <= resting.level.qty {
            self.shrink(at, level);
        } else {
            self.take_out(at);
            self.put_in(resting.id, resting.side, level, resting.rank)?;
        }
        Ok(())
    }

    /// Keeps the best `levels` prices of each side.
    pub fn truncate(&mut self, levels: usize) {
        for side in [Side::Buy, Side::Sell] {
            while self.queues(side).len() > levels {
                let Some(worst) = self.queues(side).first().map(|queue| queue.front) else {
                    break;
                };
                // The queue goes with its last order.
                self.take_out(worst);
            }
        }
    }

    // ---- queues ---------------------------------------------------------------------------------

    fn queues(&self, side: Side) -> &Vec<Queue> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn queues_mut(&mut self, side: Side) -> &mut Vec<Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Where the queue of a price is, or would be.
    fn search(&self, side: Side, key: i64) -> Result<usize, usize> {
        self.queues(side)
            .binary_search_by_key(&key, |queue| queue.key)
    }

    fn shrink(&mut self, at: u32, level: Level) {
        let Some(resting) = self.orders.get_mut(at as usize) else {
            return;
        };
        let (side, less) = (resting.side, resting.level.qty.0 - level.qty.0);
        resting.level = level;
        if let Ok(found) = self.search(side, key(side, level.price))
            && let Some(queue) = self.queues_mut(side).get_mut(found)
        {
            queue.total -= less;
        }
    }

    fn put_in(&mut self, id: OrderId, side: Side, level: Level, rank: i64) -> Result<(), L3Error> {
        if self.held >= self.orders_max {
            return Err(L3Error::Full(self.orders_max));
        }
        let key = key(side, level.price);
        let found = match self.search(side, key) {
            Ok(found) => found,
            Err(place) => {
                let queue = Queue {
                    key,
                    total: 0,
                    count: 0,
                    front: NONE,
                    back: NONE,
                };
                self.queues_mut(side).insert(place, queue);
                place
            }
        };
        let Some(queue) = self.queues_mut(side).get_mut(found) else {
            return Ok(());
        };
        let total = queue.total.checked_add(level.qty.0);
        let total = total.ok_or(L3Error::Number(NumError::TooLarge))?;
        let (mut before, mut behind) = (queue.back, NONE);
        // New orders rank last: most often nothing is passed.
        while let Some(last) = self.orders.get(before as usize)
            && last.rank > rank
        {
            (behind, before) = (before, last.before);
        }
        let at = self.slot(Resting {
            id,
            side,
            level,
            rank,
            before,
            behind,
        });
        if let Some(last) = self.orders.get_mut(before as usize) {
            last.behind = at;
        }
        if let Some(next) = self.orders.get_mut(behind as usize) {
            next.before = at;
        }
        if let Some(queue) = self.queues_mut(side).get_mut(found) {
            queue.total = total;
            queue.count += 1;
            if before == NONE {
                queue.front = at;
            }
            if behind == NONE {
                queue.back = at;
            }
        }
        self.note(id, at);
        self.held += 1;
        Ok(())
    }

    fn take_out(&mut self, at: u32) {
        let Some(&gone) = self.orders.get(at as usize) else {
            return;
        };
        self.forget(gone.id);
        if let Some(before) = self.orders.get_mut(gone.before as usize) {
            before.behind = gone.behind;
        }
        if let Some(behind) = self.orders.get_mut(gone.behind as usize) {
            behind.before = gone.before;
        }
        if let Ok(found) = self.search(gone.side, key(gone.side, gone.level.price)) {
            let queues = self.queues_mut(gone.side);
            if let Some(queue) = queues.get_mut(found) {
                queue.total -= gone.level.qty.0;
                queue.count -= 1;
                if queue.front == at {
                    queue.front = gone.behind;
                }
                if queue.back == at {
                    queue.back = gone.before;
                }
                if queue.count == 0 {
                    queues.remove(found);
                }
            }
        }
        let free = self.free;
        if let Some(slot) = self.orders.get_mut(at as usize) {
            slot.behind = free;
        }
        self.free = at;
        self.held -= 1;
    }

    fn slot(&mut self, resting: Resting) -> u32 {
        let at = self.free;
        match self.orders.get_mut(at as usize) {
            Some(slot) => {
                self.free = slot.behind;
                *slot = resting;
                at
            }
            None => {
                self.orders.push(resting);
                (self.orders.len() - 1) as u32
            }
        }
    }

    // ---- ids ------------------------------------------------------------------------------------

    /// Where an id's place in the index begins.
    fn home(&self, id: OrderId) -> usize {
        let folded = (id.0 as u64) ^ ((id.0 >> 64) as u64).rotate_left(32);
        let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash ^ (hash >> 32)) as usize) & (self.index.len() - 1)
    }

    /// The place that holds an id, or the empty one where it would go.
    fn place_of(&self, id: OrderId) -> usize {
        let mut place = self.home(id);
        // At least half of the places are empty: this ends.
        while let Some(resting) = self.at_place(place)
            && resting.1.id != id
        {
            place = (place + 1) & (self.index.len() - 1);
        }
        place
    }

    fn at_place(&self, place: usize) -> Option<(u32, Resting)> {
        let at = *self.index.get(place)?;
        Some((at, *self.orders.get(at as usize)?))
    }

    fn find(&self, id: OrderId) -> Option<(u32, Resting)> {
        self.at_place(self.place_of(id))
    }

    fn note(&mut self, id: OrderId, at: u32) {
        let place = self.place_of(id);
        if let Some(slot) = self.index.get_mut(place) {
            *slot = at;
        }
    }

    /// Takes an id out of the index, and moves up what stood behind it, so that no search ends early.
    fn forget(&mut self, id: OrderId) {
        let mask = self.index.len() - 1;
        let mut hole = self.place_of(id);
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let Some((at, resting)) = self.at_place(place) else {
                break;
            };
            // It may move if its home is not between the hole and where it is.
            let from_home = place.wrapping_sub(self.home(resting.id)) & mask;
            let from_hole = place.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                if let Some(slot) = self.index.get_mut(hole) {
                    *slot = at;
                }
                hole = place;
            }
        }
        if let Some(slot) = self.index.get_mut(hole) {
            *slot = NONE;
        }
    }

    // ---- reading --------------------------------------------------------------------------------

    /// The levels of a side, best first: price, total, orders.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Price, Qty, u32)> {
        self.queues(side).iter().rev().map(move |queue| {
            let price = match side {
                Side::Buy => queue.key,
                Side::Sell => !queue.key,
            };
            (Price(price), Qty(queue.total), queue.count)
        })
    }

    /// Where an order rests; `None` when it does not.
    pub fn get(&self, id: OrderId) -> Option<(Side, Level)> {
        let (_, resting) = self.find(id)?;
        Some((resting.side, resting.level))
    }

    /// The total at a price; 0 where nobody rests.
    pub fn total(&self, side: Side, price: Price) -> Qty {
        let found = self.search(side, key(side, price)).ok();
        let queue = found.and_then(|at| self.queues(side).get(at));
        Qty(queue.map_or(0, |queue| queue.total))
    }

    /// The orders of a side, best price first, in each queue from the front.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = (OrderId, Level)> {
        self.queues(side).iter().rev().flat_map(move |queue| {
            let mut at = queue.front;
            core::iter::from_fn(move || {
                let resting = self.orders.get(at as usize)?;
                at = resting.behind;
                Some((resting.id, resting.level))
            })
        })
    }

    /// The best level of a side: price and total.
    pub fn best(&self, side: Side) -> Option<(Price, Qty)> {
        self.levels(side)
            .next()
            .map(|(price, total, _)| (price, total))
    }

    /// Whether the best bid is at or above the best ask.
    pub fn is_crossed(&self) -> bool {
        match (self.best(Side::Buy), self.best(Side::Sell)) {
            (Some((bid, _)), Some((ask, _))) => bid >= ask,
            _ => false,
        }
    }

    /// Quantity that stands before an order in its queue; `None` when it does not rest. Cost: O(orders before it).
    pub fn ahead_of(&self, id: OrderId) -> Option<Qty> {
        let mut ahead = 0;
        let mut at = self.find(id)?.1.before;
        while let Some(resting) = self.orders.get(at as usize) {
            ahead += resting.level.qty.0;
            at = resting.before;
        }
        Some(Qty(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Decimal, InstrumentId, Text, VenueId, VenueNanos};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn instrument() -> Instrument {
        let symbol = Text::new("BTC-USD").unwrap();
        Instrument::bare(InstrumentId(0), VenueId::COINBASE, symbol, 2, 8)
    }

    fn order(id: u128, side: Side, price: i64, qty: i64) -> RawOrder {
        let decimal = |mantissa, exponent| Decimal { mantissa, exponent };
        RawOrder {
            act: OrderAct::Rests,
            id: OrderId(id),
            side,
            price: decimal(price, -2),
            qty: decimal(qty, -8),
        }
    }

    fn message(kind: BookMsgKind, orders: &[RawOrder]) -> L3Msg<'_> {
        L3Msg {
            instrument: InstrumentId(0),
            kind,
            last_id: 1,
            has_hole: false,
            has_more: false,
            checksum: None,
            orders,
            venue_ns: VenueNanos(0),
        }
    }

    /// The same, written to be obviously right.
    #[derive(Default)]
    struct Naive(BTreeMap<(bool, i64), Vec<(u128, i64)>>);

    impl Naive {
        fn apply(&mut self, order: &RawOrder) {
            let (id, price, qty) = (order.id.0, order.price.mantissa, order.qty.mantissa);
            let here = (order.side == Side::Buy, price);
            if let Some(held) = self
                .0
                .get_mut(&here)
                .and_then(|queue| queue.iter_mut().find(|held| held.0 == id))
                && 0 < qty
                && qty <= held.1
            {
                held.1 = qty;
                return;
            }
            self.0
                .values_mut()
                .for_each(|queue| queue.retain(|held| held.0 != id));
            if qty > 0 {
                self.0.entry(here).or_default().push((id, qty));
            }
            self.0.retain(|_, queue| !queue.is_empty());
        }

        fn orders(&self, side: Side) -> Vec<(u128, i64, i64)> {
            let mut queues: Vec<_> = self
                .0
                .iter()
                .filter(|(at, _)| at.0 == (side == Side::Buy))
                .collect();
            if side == Side::Buy {
                queues.reverse();
            }
            let of = |(at, queue): (&(bool, i64), &Vec<(u128, i64)>)| {
                let price = at.1;
                queue
                    .iter()
                    .map(move |(id, qty)| (*id, price, *qty))
                    .collect::<Vec<_>>()
            };
            queues.into_iter().flat_map(of).collect()
        }
    }

    proptest! {
        /// Any changes, to few ids at few prices, so that they meet; ids spread as a venue's do, and ids that share
        /// a place in the index.
        #[test]
        fn it_is_the_naive_book(
            changes in prop::collection::vec((0u128..24, any::<bool>(), 0i64..6, 0i64..4), 0..400),
            spread in prop::sample::select(vec![1u128, 64, 1 << 64, 0x9e37_79b9_7f4a_7c15]),
        ) {
            let (mut book, mut naive) = (L3Book::new(24), Naive::default());
            for (id, is_bid, price, qty) in changes {
                let side = if is_bid { Side::Buy } else { Side::Sell };
                let change = order(id * spread, side, 6_500_000 + price, qty);
                book.apply(&message(BookMsgKind::Delta, &[change]), &instrument()).unwrap();
                naive.apply(&change);
                for side in [Side::Buy, Side::Sell] {
                    let got: Vec<_> = book
                        .orders(side)
                        .map(|(id, level)| (id.0, level.price.0, level.qty.0))
                        .collect();
                    let want = naive.orders(side);
                    let totals: i64 = book.levels(side).map(|(_, total, _)| total.0).sum();
                    prop_assert_eq!(totals, want.iter().map(|held| held.2).sum::<i64>());
                    let counts: u32 = book.levels(side).map(|(_, _, count)| count).sum();
                    prop_assert_eq!(counts as usize, want.len());
                    prop_assert_eq!(got, want);
                }
                prop_assert_eq!(book.len(), naive.orders(Side::Buy).len() + naive.orders(Side::Sell).len());
            }
        }
    }

    #[test]
    fn a_place_in_the_queue_is_kept_by_shrinking_and_lost_by_growing() {
        let mut book = L3Book::new(8);
        let bid = |id, qty| order(id, Side::Buy, 6_500_000, qty);
        let snapshot = [
            bid(1, 5),
            bid(2, 3),
            bid(3, 2),
            order(9, Side::Sell, 6_500_100, 1),
        ];
        book.apply(&message(BookMsgKind::Snapshot, &snapshot), &instrument())
            .unwrap();
        assert_eq!(book.ahead_of(OrderId(3)), Some(Qty(8)));
        let change = |book: &mut L3Book, order| {
            book.apply(&message(BookMsgKind::Delta, &[order]), &instrument())
                .unwrap();
        };
        change(&mut book, bid(1, 4));
        assert_eq!(book.ahead_of(OrderId(3)), Some(Qty(7)));
        change(&mut book, bid(2, 4));
        assert_eq!(
            (book.ahead_of(OrderId(3)), book.ahead_of(OrderId(2))),
            (Some(Qty(4)), Some(Qty(6)))
        );
        change(&mut book, bid(1, 0));
        assert_eq!(
            (book.ahead_of(OrderId(1)), book.ahead_of(OrderId(3))),
            (None, Some(Qty(0)))
        );
        assert_eq!(book.best(Side::Buy), Some((Price(6_500_000), Qty(6))));
        assert!(!book.is_crossed());
        change(&mut book, order(8, Side::Buy, 6_500_100, 1));
        assert!(book.is_crossed());
    }

    #[test]
    fn ranked_orders_stand_by_rank_whenever_they_come() {
        let mut book = L3Book::new(8);
        let put = |id, rank, qty| RawOrder {
            act: OrderAct::Ranked(rank),
            ..order(id, Side::Sell, 6_500_000, qty)
        };
        let kept = |id, qty| RawOrder {
            act: OrderAct::Resized,
            ..order(id, Side::Sell, 0, qty)
        };
        let mut told = |order| book.apply(&message(BookMsgKind::Delta, &[order]), &instrument());
        for order in [put(1, 50, 5), put(2, 70, 3), put(3, 60, 2), put(4, 40, 1)] {
            assert_eq!(told(order), Ok(()));
        }
        assert_eq!(told(kept(1, 9)), Ok(()), "grown in its place");
        assert_eq!(told(kept(3, 1)), Ok(()), "shrunk in its place");
        assert_eq!(told(put(4, 80, 1)), Ok(()), "ranked anew");
        assert_eq!(told(kept(7, 1)), Err(L3Error::Stranger));
        assert_eq!(told(kept(7, 0)), Ok(()), "gone already");
        let ids: Vec<_> = book
            .orders(Side::Sell)
            .map(|(id, level)| (id.0, level.qty.0))
            .collect();
        assert_eq!(ids, [(1, 9), (3, 1), (2, 3), (4, 1)]);
        assert_eq!(book.best(Side::Sell), Some((Price(6_500_000), Qty(14))));
    }

    #[test]
    fn one_order_too_many_is_told_and_leaves_no_trace() {
        let mut book = L3Book::new(2);
        let bids = [1, 2, 3].map(|id| order(id, Side::Buy, 100 + id as i64, 1));
        let told = book.apply(&message(BookMsgKind::Snapshot, &bids), &instrument());
        assert_eq!(told, Err(L3Error::Full(2)));
        assert_eq!((book.len(), book.levels(Side::Buy).count()), (2, 2));
        let huge = order(1, Side::Buy, 100, i64::MAX);
        book.apply(&message(BookMsgKind::Snapshot, &[huge]), &instrument())
            .unwrap();
        let told = book.apply(
            &message(BookMsgKind::Delta, &[order(2, Side::Buy, 100, 1)]),
            &instrument(),
        );
        assert_eq!(told, Err(L3Error::Number(NumError::TooLarge)));
        assert_eq!(book.best(Side::Buy), Some((Price(100), Qty(i64::MAX))));
    }
}
