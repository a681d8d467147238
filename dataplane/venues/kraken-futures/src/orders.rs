//! What is known of each living order: the venue's reports are sparse, so each is laid over what was told before.
//!
//! ```text
//!   new      id, symbol, side, price, quantity        ─┐
//!   trade    id, last quantity, cum                    ├─▶ one whole report each
//!   cancel   id                                       ─┘
//! ```
//! An open-addressing table, filled by whatever names an order with its symbol: memory is taken once, and a table
//! that is full takes no more (those orders' sparse reports are errors then, and found by comparing). What has
//! ended stays for a while, since a trade that completes an order is followed by a report of its end.

use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{ClientOrderId, Decimal, InstrumentId, OrderId, Side};

/// Twice what may live, so that probes stay short.
const SLOTS: usize = 2 * LIVE_ORDERS_MAX;
const _: () = assert!(SLOTS.is_power_of_two());
/// Ended orders that are remembered: more than end between a last trade and its echo.
const ENDED_LEN: usize = 64;

/// One order, as far as it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The venue's id.
    pub order_id: OrderId,
    /// What is traded.
    pub instrument: InstrumentId,
    /// Our id; none for an order that is not ours.
    pub client_id: Option<ClientOrderId>,
    /// Its side.
    pub side: Option<Side>,
    /// Limit price.
    pub price: Option<Decimal>,
    /// Quantity.
    pub qty: Option<Decimal>,
    /// Filled in all.
    pub cum: Option<Decimal>,
    /// What is not done at once is cancelled.
    pub is_ioc: bool,
}

/// Every living order of this account that we were told of.
#[derive(Debug)]
pub struct Orders {
    slots: Box<[Option<Known>]>,
    live: usize,
    ended: [Option<Known>; ENDED_LEN],
    ended_next: usize,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            slots: vec![None; SLOTS].into_boxed_slice(),
            live: 0,
            ended: [None; ENDED_LEN],
            ended_next: 0,
        }
    }
}

/// Where an id belongs. UUIDs are random, but whoever makes them may not be.
const fn home(id: OrderId) -> usize {
    let folded = (id.0 >> 64) as u64 ^ id.0 as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (SLOTS - 1)
}

impl Orders {
    /// The slot that holds an order, or the empty one where it would go. Half of all are empty.
    fn probe(&self, id: OrderId) -> usize {
        let mut at = home(id);
        for _ in 0..SLOTS {
            match self.slots.get(at) {
                Some(Some(known)) if known.order_id != id => at = (at + 1) & (SLOTS - 1),
                _ => break,
            }
        }
        at
    }

    /// What is known of an order, living or just ended.
    pub fn find(&self, id: OrderId) -> Option<Known> {
        let living = self.slots.get(self.probe(id)).copied().flatten();
        let ended = || {
            let held = self.ended.iter().flatten();
            held.copied().find(|known| known.order_id == id)
        };
        living.or_else(ended)
    }

    /// Notes a living order. Says whether there was room.
    pub fn put(&mut self, known: Known) -> bool {
        let at = self.probe(known.order_id);
        let Some(slot) = self.slots.get_mut(at) else {
            return false;
        };
        if slot.is_none() {
            if self.live >= LIVE_ORDERS_MAX {
                return false;
            }
            self.live += 1;
        }
        *slot = Some(known);
        true
    }

    /// Notes that an order has ended.
    pub fn end(&mut self, known: Known) {
        let id = known.order_id;
        let held = self.ended.iter_mut().flatten();
        match held.into_iter().find(|ended| ended.order_id == id) {
            Some(ended) => *ended = known,
            None => {
                if let Some(slot) = self.ended.get_mut(self.ended_next % ENDED_LEN) {
                    *slot = Some(known);
                }
                self.ended_next = (self.ended_next + 1) % ENDED_LEN;
            }
        }
        let at = self.probe(id);
        if self.slots.get(at).is_some_and(Option::is_some) {
            self.live -= 1;
            self.close(at);
        }
    }

    /// Empties a slot and moves those behind it that had to step aside for it.
    fn close(&mut self, at: usize) {
        let mut hole = at;
        let mut next = at;
        for _ in 0..SLOTS {
            next = (next + 1) & (SLOTS - 1);
            let Some(Some(known)) = self.slots.get(next) else {
                break;
            };
            // It may move when its home is not between the hole and where it is.
            let from_home = next.wrapping_sub(home(known.order_id)) & (SLOTS - 1);
            if from_home >= next.wrapping_sub(hole) & (SLOTS - 1) {
                self.slots.swap(hole, next);
                hole = next;
            }
        }
        if let Some(slot) = self.slots.get_mut(hole) {
            *slot = None;
        }
    }

    /// How many live.
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether none lives.
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn known(id: u128, instrument: u32) -> Known {
        Known {
            order_id: OrderId(id),
            instrument: InstrumentId(instrument),
            client_id: None,
            side: Some(Side::Buy),
            price: None,
            qty: None,
            cum: None,
            is_ioc: false,
        }
    }

    #[test]
    fn a_full_table_takes_no_more_and_gives_room_again() {
        let mut orders = Orders::default();
        for id in 1..=LIVE_ORDERS_MAX as u128 {
            assert!(orders.put(known(id, 1)));
        }
        assert!(!orders.put(known(u128::MAX, 1)));
        assert!(orders.put(known(7, 2)), "one that is there is told anew");
        orders.end(known(7, 2));
        assert_eq!(orders.find(OrderId(7)), Some(known(7, 2)), "a while longer");
        assert!(orders.put(known(u128::MAX, 1)));
        assert_eq!(orders.len(), LIVE_ORDERS_MAX);
    }

    #[test]
    fn an_ended_order_is_forgotten_after_many_others() {
        let mut orders = Orders::default();
        for id in 1..=ENDED_LEN as u128 + 1 {
            orders.put(known(id, 1));
            orders.end(known(id, 1));
            orders.end(known(id, 1));
        }
        assert!(orders.is_empty());
        assert_eq!(orders.find(OrderId(1)), None);
        assert_eq!(orders.find(OrderId(2)), Some(known(2, 1)));
    }

    proptest! {
        /// Law: the table knows what a map knows, ids that share a home included.
        #[test]
        fn as_a_map(steps in proptest::collection::vec((any::<bool>(), 1u128..40, 0u32..9), 0..400)) {
            let (mut orders, mut map) = (Orders::default(), BTreeMap::new());
            for (is_end, id, instrument) in steps {
                // Multiples of the slots' count fold to few homes.
                let one = known(id << 96 | id, instrument);
                if is_end {
                    orders.end(one);
                    map.remove(&one.order_id);
                } else {
                    orders.put(one);
                    map.insert(one.order_id, one);
                }
                prop_assert_eq!(orders.len(), map.len());
                for (id, one) in &map {
                    prop_assert_eq!(orders.find(*id), Some(*one));
                }
            }
        }
    }
}
