//! The full channel: single orders. Not subscribed by the machine, which keeps no such book; read where it comes.
//!
//! ```text
//! open      rests with remaining_size         L3, its size
//! change    shrinks, or is amended            L3, its new size (only of an order that rests)
//! match     its maker's order shrinks         Trade, and L3, what is left of it
//! done      is gone                           L3, 0 (market orders never rested: ignored)
//! GET /products/X/book?level=3                L3 snapshot, in pieces
//! ```
//! A match tells what traded and not what is left, so sizes of resting orders are remembered: in a table of fixed
//! size, taken when the first of them comes. Each event carries the product's sequence; a book of single orders is
//! begun from the snapshot and drops what is not above its sequence. Holes are not looked for here.
//! Source: venue page, section A3.

use super::{at, sequence, side, text, time, trade};
use crate::decimal::less;
use crate::symbols::parse_order_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{BookMsgKind, Decimal, InstrumentId, L3Msg, OrderId, RawOrder, Side, VenueNanos};
use dp_venue_api::{DecodeError, Event, Sink};
use dp_wire::json::Value;

/// Orders remembered, over all products: BTC-USD alone has had some tens of thousands `[U]`.
const ORDERS_MAX: usize = 1 << 17;
/// Places: half of them stay empty, so that searches end soon.
const PLACES: usize = 2 * ORDERS_MAX;

/// What rests of each order, by id: open addressing, a gap is closed when an order goes.
#[derive(Debug, Default)]
struct Sizes {
    /// Id 0 is an empty place. No memory before the first order.
    places: Box<[(u128, Decimal)]>,
    held: usize,
}

impl Sizes {
    fn home(id: u128) -> usize {
        let folded = (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
        let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (PLACES - 1)
    }

    /// The place that holds an id, or the empty one where it would go.
    fn place(&self, id: u128) -> usize {
        let mut place = Self::home(id);
        for _ in 0..self.places.len() {
            match self.places.get(place) {
                Some((held, _)) if *held != 0 && *held != id => place = (place + 1) & (PLACES - 1),
                _ => break,
            }
        }
        place
    }

    fn get(&self, id: OrderId) -> Option<Decimal> {
        let (held, size) = self.places.get(self.place(id.0))?;
        (*held == id.0).then_some(*size)
    }

    /// Errors: there is no room for one more.
    fn put(&mut self, id: OrderId, size: Decimal) -> Result<(), DecodeError> {
        if self.places.is_empty() {
            self.places = vec![(0, Decimal::ZERO); PLACES].into_boxed_slice();
        }
        let place = self.place(id.0);
        let Some(slot) = self.places.get_mut(place) else {
            return Ok(());
        };
        if slot.0 != id.0 {
            if self.held >= ORDERS_MAX {
                return Err(DecodeError::TooMuch("resting orders"));
            }
            self.held += 1;
        }
        *slot = (id.0, size);
        Ok(())
    }

    fn remove(&mut self, id: OrderId) {
        let mut hole = self.place(id.0);
        if self.places.get(hole).is_none_or(|(held, _)| *held != id.0) {
            return;
        }
        self.held -= 1;
        let mut place = hole;
        for _ in 0..self.places.len() {
            place = (place + 1) & (PLACES - 1);
            let Some(&moved) = self.places.get(place).filter(|(held, _)| *held != 0) else {
                break;
            };
            // It may move back when its home is not between the hole and where it is.
            let from_home = place.wrapping_sub(Self::home(moved.0)) & (PLACES - 1);
            if from_home >= (place.wrapping_sub(hole) & (PLACES - 1)) {
                if let Some(slot) = self.places.get_mut(hole) {
                    *slot = moved;
                }
                hole = place;
            }
        }
        if let Some(slot) = self.places.get_mut(hole) {
            slot.0 = 0;
        }
    }
}

fn order_id(root: Value<'_>, key: &'static str) -> Result<OrderId, DecodeError> {
    parse_order_id(text(root, key).as_bytes()).ok_or(DecodeError::Field(key))
}

/// Single orders as far as messages tell them.
#[derive(Debug, Default)]
pub(crate) struct Full {
    sizes: Sizes,
    /// Orders of one piece of a snapshot.
    orders: Vec<RawOrder>,
    /// Products whose snapshot has come: an order of theirs that is not held does not rest.
    whole: Vec<InstrumentId>,
}

impl Full {
    /// Tells one order's new size, and remembers it.
    fn tell(
        &mut self,
        id: InstrumentId,
        order: RawOrder,
        (last_id, venue_ns): (i64, VenueNanos),
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        if order.qty.is_zero() {
            self.sizes.remove(order.id);
        } else {
            self.sizes.put(order.id, order.qty)?;
        }
        out.event(&Event::L3(L3Msg {
            instrument: id,
            kind: BookMsgKind::Delta,
            last_id,
            checksum: None,
            orders: &[order],
            venue_ns,
        }));
        Ok(())
    }

    /// An order begins to rest.
    pub(crate) fn on_open(
        &mut self,
        id: InstrumentId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let order = RawOrder {
            id: order_id(root, "order_id")?,
            side: side(root)?,
            price: root.decimal("price").map_err(at("price"))?,
            qty: root
                .decimal("remaining_size")
                .map_err(at("remaining_size"))?,
        };
        self.tell(id, order, (sequence(root)?, time(root, "time")?), out)
    }

    /// An order is gone, or never rested.
    pub(crate) fn on_done(
        &mut self,
        id: InstrumentId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Some(price) = super::optional(root, "price")? else {
            out.event(&Event::Ignored("a market order is done"));
            return Ok(());
        };
        let order = RawOrder {
            id: order_id(root, "order_id")?,
            side: side(root)?,
            price,
            qty: Decimal::ZERO,
        };
        self.tell(id, order, (sequence(root)?, time(root, "time")?), out)
    }

    /// An order has another size, or another price.
    pub(crate) fn on_change(
        &mut self,
        id: InstrumentId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let order = order_id(root, "order_id")?;
        let price = match super::optional(root, "new_price")? {
            Some(price) => Some(price),
            None => super::optional(root, "price")?,
        };
        let is_stranger = self.whole.contains(&id) && self.sizes.get(order).is_none();
        let Some(price) = price.filter(|_| !is_stranger) else {
            out.event(&Event::Ignored("a change of an order that does not rest"));
            return Ok(());
        };
        let order = RawOrder {
            id: order,
            side: side(root)?,
            price,
            qty: root.decimal("new_size").map_err(at("new_size"))?,
        };
        self.tell(id, order, (sequence(root)?, time(root, "time")?), out)
    }

    /// A trade, and what it leaves of the maker's order where that is known.
    pub(crate) fn on_match(
        &mut self,
        id: InstrumentId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let trade = trade(id, root)?;
        out.event(&Event::Trade(trade));
        let Some(maker) = parse_order_id(text(root, "maker_order_id").as_bytes()) else {
            return Ok(());
        };
        let left = self.sizes.get(maker).and_then(|size| less(size, trade.qty));
        let Some(left) = left else {
            return Ok(());
        };
        let order = RawOrder {
            id: maker,
            side: trade.taker.opposite(),
            price: trade.price,
            qty: if left.mantissa > 0 {
                left
            } else {
                Decimal::ZERO
            },
        };
        self.tell(id, order, (sequence(root)?, trade.venue_ns), out)
    }

    /// The book of single orders as fetched: `[price, size, order id]`.
    pub(crate) fn on_snapshot(
        &mut self,
        id: InstrumentId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let last_id = sequence(root)?;
        let venue_ns = time(root, "time")?;
        if !self.whole.contains(&id) {
            self.whole.push(id); // at most as many as there are instruments
        }
        let mut kind = BookMsgKind::Snapshot;
        let mut sides = [("bids", Side::Buy), ("asks", Side::Sell)].into_iter();
        let mut rest: Option<(dp_wire::json::Items<'_>, Side)> = None;
        self.orders.clear();
        loop {
            if rest.as_ref().is_none_or(|(items, _)| items.len() == 0) {
                rest = match sides.next() {
                    Some((key, side)) => Some((root.array(key).map_err(at(key))?, side)),
                    None => None,
                };
            }
            let is_end = rest.is_none();
            if let Some((items, side)) = &mut rest
                && let Some(item) = items.next()
            {
                let order = resting(item, *side)?;
                self.sizes.put(order.id, order.qty)?;
                self.orders.push(order);
            }
            if is_end || self.orders.len() >= MSG_LEVELS_MAX {
                out.event(&Event::L3(L3Msg {
                    instrument: id,
                    kind,
                    last_id,
                    checksum: None,
                    orders: &self.orders,
                    venue_ns,
                }));
                kind = BookMsgKind::Delta;
                self.orders.clear();
            }
            if is_end {
                return Ok(());
            }
        }
    }
}

/// `[price, size, order id]`.
fn resting(item: Value<'_>, side: Side) -> Result<RawOrder, DecodeError> {
    let super::RawLevel { price, qty } = super::level(item)?;
    let id = item.at(2).and_then(Value::as_str).unwrap_or("");
    Ok(RawOrder {
        id: parse_order_id(id.as_bytes()).ok_or(DecodeError::Field("order_id"))?,
        side,
        price,
        qty,
    })
}

/// Whether a fetched book is of single orders: the third of a level is an id and not a count.
pub(crate) fn is_single_orders(root: Value<'_>) -> bool {
    ["bids", "asks"].into_iter().any(|key| {
        let first = root.get(key).and_then(|side| side.at(0));
        let third = first.and_then(|level| level.at(2));
        third.is_some_and(|third| third.as_str().is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn size(mantissa: i64) -> Decimal {
        Decimal {
            mantissa,
            exponent: -2,
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut sizes = Sizes::default();
        for id in 1..=ORDERS_MAX as u128 {
            sizes.put(OrderId(id), size(1)).unwrap();
        }
        let over = OrderId(u128::MAX);
        assert!(sizes.put(over, size(1)).is_err());
        assert_eq!(sizes.put(OrderId(7), size(2)), Ok(()), "it is held");
        sizes.remove(OrderId(8));
        assert_eq!(sizes.put(over, size(3)), Ok(()));
        assert_eq!(sizes.get(over), Some(size(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

        /// Law: the table is a map, however ids crowd together.
        #[test]
        fn sizes_are_a_map(steps in proptest::collection::vec((0u8..3, 1u128..40, 1i64..100), 1..200)) {
            let mut sizes = Sizes::default();
            let mut naive = BTreeMap::new();
            // What the hash folds together is the same for all: they share one home.
            let id = |number: u128| {
                let high = number as u64;
                OrderId(number << 64 | u128::from(high.rotate_left(32) ^ 5))
            };
            for (what, number, qty) in steps {
                if what == 0 {
                    sizes.remove(id(number));
                    naive.remove(&number);
                } else {
                    sizes.put(id(number), size(qty)).unwrap();
                    naive.insert(number, size(qty));
                }
                for number in 1..40 {
                    prop_assert_eq!(sizes.get(id(number)), naive.get(&number).copied());
                }
                prop_assert_eq!(sizes.held, naive.len());
            }
        }
    }
}
