//! What is known of each order: the venue tells an order whole once, and then only what changed, often no more
//! than its ids and the new status.
//!
//! A bounded table, all of its memory taken at the start: an order is in it from the moment it is sent or first
//! told, and leaves when its place is needed and it is final, or else is the oldest. Both of its ids lead to it:
//! each by a chain of places whose ids share a hash, so that adding and removing touch no allocator.

use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{ClientOrderId, Decimal, InstrumentId, OrderId, Side, UnixNanos};

/// Places: every live order of a lane, and as many that ended.
pub const ORDERS_MAX: usize = 2 * LIVE_ORDERS_MAX;
/// Places looked at for one whose order is final.
const REACH: usize = 64;
/// Chains of an index: twice the places, so that nearly all hold one.
const CHAINS: usize = 2 * ORDERS_MAX;
const _: () = assert!(CHAINS.is_power_of_two());
/// Knuth's multiplicative hash: 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One order as last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The venue's id; 0 until it was told.
    pub order_id: OrderId,
    /// Our id; none for an order that is not ours.
    pub client_id: Option<ClientOrderId>,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Its side.
    pub side: Side,
    /// Limit price, if told.
    pub price: Option<Decimal>,
    /// Quantity, if told.
    pub qty: Option<Decimal>,
    /// Filled so far, if told.
    pub cum: Option<Decimal>,
    /// It never takes: an amend must say so again.
    pub is_post_only: bool,
    /// What is not filled at once ends by itself (IOC, market).
    pub is_immediate: bool,
    /// Nothing can follow.
    pub is_final: bool,
    /// When it was sent or last amended, as far as we saw: the venue's cost of a cancel falls with age.
    pub touched: UnixNanos,
}

/// From a hash to places. Which of a chain's places is meant the ids there say.
#[derive(Debug)]
struct Index {
    /// First place of each chain, from 1; 0 = none.
    heads: Box<[u32]>,
    /// The one after it, by place.
    next: Box<[u32]>,
}

impl Index {
    fn new() -> Self {
        Self {
            heads: vec![0; CHAINS].into_boxed_slice(),
            next: vec![0; ORDERS_MAX].into_boxed_slice(),
        }
    }

    /// The chain of an id.
    fn chain(id: u128) -> usize {
        let folded = (id as u64) ^ (id >> 64) as u64; // both halves
        (folded.wrapping_mul(GOLDEN) >> 40) as usize % CHAINS
    }

    /// The places of the chain of an id.
    fn places(&self, id: u128) -> impl Iterator<Item = usize> + '_ {
        let mut link = self.heads.get(Self::chain(id)).copied().unwrap_or(0);
        core::iter::from_fn(move || {
            let at = link.checked_sub(1)? as usize;
            link = self.next.get(at).copied().unwrap_or(0);
            Some(at)
        })
        .take(ORDERS_MAX)
    }

    /// Puts a place, which is in no chain, into that of an id.
    fn add(&mut self, id: u128, at: usize) {
        if let (Some(head), Some(next)) =
            (self.heads.get_mut(Self::chain(id)), self.next.get_mut(at))
        {
            *next = *head;
            *head = at as u32 + 1; // at most ORDERS_MAX
        }
    }

    /// Takes a place out of the chain of an id, if it is there.
    fn remove(&mut self, id: u128, at: usize) {
        let before = self.places(id).take_while(|place| *place != at).last();
        if !self.places(id).any(|place| place == at) {
            return;
        }
        let after = self.next.get(at).copied().unwrap_or(0);
        let link = match before {
            Some(before) => self.next.get_mut(before),
            None => self.heads.get_mut(Self::chain(id)),
        };
        if let Some(link) = link {
            *link = after;
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct Orders {
    places: Vec<Known>,
    by_order: Index,
    by_client: Index,
    /// The oldest place, once all are taken.
    next: usize,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            places: Vec::with_capacity(ORDERS_MAX),
            by_order: Index::new(),
            by_client: Index::new(),
            next: 0,
        }
    }
}

impl Orders {
    /// The order with the venue's id (0 = not known), or with ours. Cost: O(1).
    pub fn find(&mut self, id: OrderId, client: Option<ClientOrderId>) -> Option<&mut Known> {
        let at = self.place(id, client)?;
        self.link(at, id);
        self.places.get_mut(at)
    }

    /// As [`Orders::find`], by our id alone.
    pub fn find_client(&mut self, client: ClientOrderId) -> Option<&mut Known> {
        self.find(OrderId(0), Some(client))
    }

    /// Adds an order that is not in the table. Cost: O(1), no allocation.
    pub fn add(&mut self, known: Known) -> Option<&mut Known> {
        let at = if self.places.len() < ORDERS_MAX {
            self.places.push(known);
            self.places.len() - 1
        } else {
            self.replace(known)
        };
        if known.order_id.0 != 0 {
            self.by_order.add(known.order_id.0, at);
        }
        if let Some(client) = known.client_id {
            self.by_client.add(u128::from(client.0), at);
        }
        self.places.get_mut(at)
    }

    fn place(&self, id: OrderId, client: Option<ClientOrderId>) -> Option<usize> {
        let held = |at: usize| self.places.get(at);
        let by_order = || {
            let mut places = self.by_order.places(id.0);
            places.find(|at| held(*at).is_some_and(|known| known.order_id == id))
        };
        let found = (id.0 != 0).then(by_order).flatten();
        if found.is_some() {
            return found;
        }
        let client = client?;
        // An order of ours with another id of the venue is another order.
        let is_it = |known: &Known| {
            let is_same = id.0 == 0 || known.order_id.0 == 0 || known.order_id == id;
            known.client_id == Some(client) && is_same
        };
        let mut places = self.by_client.places(u128::from(client.0));
        places.find(|at| held(*at).is_some_and(is_it))
    }

    /// Notes the venue's id where it was not known yet.
    fn link(&mut self, at: usize, id: OrderId) {
        if let Some(known) = self.places.get_mut(at)
            && known.order_id.0 == 0
            && id.0 != 0
        {
            known.order_id = id;
            self.by_order.add(id.0, at);
        }
    }

    /// Takes the place of a final order near the oldest, or that of the oldest.
    fn replace(&mut self, known: Known) -> usize {
        let is_final = |at: &usize| self.places.get(*at).is_some_and(|known| known.is_final);
        let mut near = (self.next..self.next + REACH).map(|at| at % ORDERS_MAX);
        let at = near.find(is_final).unwrap_or(self.next);
        self.next = (at + 1) % ORDERS_MAX;
        if let Some(place) = self.places.get_mut(at) {
            let old = core::mem::replace(place, known);
            self.by_order.remove(old.order_id.0, at);
            if let Some(client) = old.client_id {
                self.by_client.remove(u128::from(client.0), at);
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    fn order(id: u128, client_id: Option<ClientOrderId>) -> Known {
        Known {
            order_id: OrderId(id),
            client_id,
            instrument: InstrumentId(0),
            side: Side::Buy,
            price: None,
            qty: None,
            cum: None,
            is_post_only: false,
            is_immediate: false,
            is_final: false,
            touched: UnixNanos(0),
        }
    }

    #[test]
    fn an_order_is_found_by_either_id_once_both_were_told_together() {
        let mut orders = Orders::default();
        orders.add(order(0, Some(client(1)))).unwrap();
        assert_eq!(orders.find(OrderId(7), None), None);
        let told = orders.find(OrderId(7), Some(client(1))).unwrap();
        assert_eq!(told.order_id, OrderId(7));
        assert_eq!(
            orders.find(OrderId(7), None).unwrap().client_id,
            Some(client(1))
        );
        assert_eq!(orders.find_client(client(1)).unwrap().order_id, OrderId(7));
        assert_eq!(
            orders.find(OrderId(8), Some(client(1))),
            None,
            "another order"
        );
        assert_eq!(orders.find(OrderId(0), None), None);
    }

    #[test]
    fn final_orders_make_room_first() {
        let mut orders = Orders::default();
        for n in 1..=ORDERS_MAX as u128 {
            orders.add(order(n, None));
        }
        orders.find(OrderId(3), None).unwrap().is_final = true;
        orders.add(order(1 << 100, None));
        assert_eq!(orders.find(OrderId(3), None), None);
        assert!(orders.find(OrderId(1), None).is_some());
        orders.add(order(1 << 101, None));
        assert_eq!(orders.find(OrderId(4), None), None, "the oldest after it");
        for n in [1u128 << 100, 1 << 101] {
            assert!(orders.find(OrderId(n), None).is_some());
        }
    }

    proptest! {
        /// Whatever comes, the table stays within its memory and finds what it was given last.
        #[test]
        fn it_never_grows(ids in proptest::collection::vec((1u128..40, 0u32..40, any::<bool>()), 1..200)) {
            let mut orders = Orders::default();
            for _ in 0..ORDERS_MAX {
                orders.add(order(0, None));
            }
            let room = orders.places.capacity();
            for (id, sequence, is_final) in ids {
                let name = (sequence > 0).then(|| client(sequence));
                if orders.find(OrderId(id), name).is_none() {
                    orders.add(order(id, name));
                }
                let found = orders.find(OrderId(id), name).unwrap();
                prop_assert_eq!(found.order_id, OrderId(id));
                found.is_final = is_final;
            }
            prop_assert_eq!(orders.places.capacity(), room);
            // Every place is in the chains of its own ids, and in no other.
            let linked = |index: &Index| {
                let places = |at: u32| (at != 0).then_some(at);
                let chain = |head: &u32| {
                    let next = |link: &u32| places(index.next[*link as usize - 1]);
                    let links = std::iter::successors(places(*head), next);
                    links.take(ORDERS_MAX + 1).count()
                };
                index.heads.iter().map(chain).sum::<usize>()
            };
            let with = |is_there: fn(&Known) -> bool| {
                orders.places.iter().filter(|known| is_there(known)).count()
            };
            prop_assert_eq!(linked(&orders.by_order), with(|known| known.order_id.0 != 0));
            prop_assert_eq!(linked(&orders.by_client), with(|known| known.client_id.is_some()));
            prop_assert_eq!(orders.places.len(), ORDERS_MAX);
        }
    }
}
