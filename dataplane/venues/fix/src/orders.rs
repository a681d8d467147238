//! What requests and reports must know of an order that neither repeats: one slot for each of the latest.
//!
//! An order older than the latest [`SLOTS`] of its lane is not known any more: it is cancelled by the venue's id, or by
//! the venue's other road.

use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{
    ClientOrderId, InstrumentId, NewOrder, OrderKind, Price, Qty, Side, Tif, UnixNanos,
};

/// As many as a lane may have live at once.
const SLOTS: usize = LIVE_ORDERS_MAX;
const _: () = assert!(SLOTS.is_power_of_two());

/// How long a request may wait at a venue before its order's absence proves anything. [U]: no venue names a time.
const ON_ITS_WAY_NS: u64 = 10_000_000_000;

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Our id; 0 in an empty slot.
    pub client_id: ClientOrderId,
    /// What is traded.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Limit price.
    pub price: Price,
    /// Whole quantity.
    pub qty: Qty,
    /// Under which request's number the venue knows it now.
    pub number: u16,
    /// The venue has said something of it.
    pub is_answered: bool,
    /// A cancel of this session was refused: it is not this session's order.
    pub is_elsewhere: bool,
    /// When it was sent, and on which connection (counted from 1; 0 = an earlier run).
    sent: (UnixNanos, u32),
}

impl Held {
    /// An order as it is sent.
    pub const fn sent(order: &NewOrder, now: UnixNanos, connection: u32) -> Self {
        Self {
            client_id: order.client_id,
            instrument: order.instrument,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            price: order.price,
            qty: order.qty,
            number: 0,
            is_answered: false,
            is_elsewhere: false,
            sent: (now, connection),
        }
    }

    /// Whether it never rests.
    pub fn is_immediate(&self) -> bool {
        self.kind == OrderKind::Market || (self.kind == OrderKind::Limit && self.tif != Tif::Gtc)
    }

    /// An order of an earlier run, as the venue tells it.
    pub const fn told(order: &NewOrder, number: u16) -> Self {
        Self {
            number,
            is_answered: true,
            ..Self::sent(order, UnixNanos(0), 0)
        }
    }
}

/// The latest orders.
#[derive(Debug)]
pub struct Orders(Box<[Option<Held>]>);

impl Default for Orders {
    fn default() -> Self {
        Self(vec![None; SLOTS].into_boxed_slice())
    }
}

impl Orders {
    fn slot(&mut self, id: ClientOrderId) -> Option<&mut Option<Held>> {
        self.0.get_mut(id.sequence() as usize & (SLOTS - 1))
    }

    /// Notes an order over an older one.
    pub fn note(&mut self, held: Held) {
        if let Some(slot) = self.slot(held.client_id)
            && slot.is_none_or(|known| known.client_id <= held.client_id)
        {
            *slot = Some(held);
        }
    }

    /// An order, where it is known.
    pub fn get(&mut self, id: ClientOrderId) -> Option<&mut Held> {
        let held = self.slot(id)?.as_mut()?;
        (held.client_id == id).then_some(held)
    }

    /// Whether a new order may still come to life at the venue: it is on its way on the connection that is up now, and
    /// has not been for long. One of a connection before was carried out or lost with it.
    pub fn may_arrive(&self, id: ClientOrderId, now: UnixNanos, connection: u32) -> bool {
        let slot = self.0.get(id.sequence() as usize & (SLOTS - 1));
        let held = slot.and_then(|held| held.filter(|held| held.client_id == id));
        held.is_some_and(|held| {
            let (at, of) = held.sent;
            !held.is_answered && of == connection && now.since(at) < ON_ITS_WAY_NS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};

    fn held(sequence: u32, now: u64, connection: u32) -> Held {
        let order = NewOrder {
            instrument: InstrumentId(1),
            client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
            side: Side::Sell,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            price: Price(5),
            qty: Qty(7),
        };
        Held::sent(&order, UnixNanos(now), connection)
    }

    #[test]
    fn the_latest_are_known() {
        let mut orders = Orders::default();
        let (old, new) = (held(3, 1, 1), held(3 + SLOTS as u32, 2, 1));
        orders.note(old);
        assert_eq!(orders.get(old.client_id).copied(), Some(old));
        assert_eq!(orders.get(new.client_id), None);
        orders.note(new);
        assert_eq!(orders.get(new.client_id).copied(), Some(new));
        assert_eq!(orders.get(old.client_id), None);
        orders.note(old);
        assert_eq!(orders.get(old.client_id), None, "not over a younger one");
    }

    #[test]
    fn an_order_is_on_its_way_for_so_long_and_on_one_connection() {
        let mut orders = Orders::default();
        let one = held(1, 100, 2);
        orders.note(one);
        let id = one.client_id;
        assert!(orders.may_arrive(id, UnixNanos(100 + ON_ITS_WAY_NS - 1), 2));
        assert!(!orders.may_arrive(id, UnixNanos(100 + ON_ITS_WAY_NS), 2));
        assert!(!orders.may_arrive(id, UnixNanos(101), 3), "logged on anew");
        orders.get(id).unwrap().is_answered = true;
        assert!(!orders.may_arrive(id, UnixNanos(101), 2));
    }
}
