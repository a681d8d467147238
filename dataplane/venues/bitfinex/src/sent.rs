//! What is remembered of the orders we sent: what the venue's answers leave out, and the UTC day without which
//! a client id names nothing.
//!
//! ```text
//! slot = the id's low bits, with lane and epoch mixed in      4,096 slots: as many orders as a lane has alive
//! ```
//! Sequences rise one by one, so a slot is taken over after 4,096 further orders, when whatever its order still
//! has to hear is long told by the venue's own id. An order that is not here (sent by an earlier run) is
//! addressed by the venue's id; without one, by today's date, and if that is wrong the venue says "not found",
//! which settles nothing: the order is then asked about, and the answer brings the venue's id.

use crate::symbols::Day;
use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{ClientOrderId, InstrumentId, OrderId, Side};

const _: () = assert!(LIVE_ORDERS_MAX.is_power_of_two());

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) client_id: ClientOrderId,
    /// 0 until the venue has named it.
    pub(crate) order_id: OrderId,
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    /// When it was submitted.
    pub(crate) day: Day,
}

/// The orders sent last.
#[derive(Debug)]
pub(crate) struct Sent(Box<[Option<Known>]>);

impl Sent {
    /// None. Takes its memory here.
    pub(crate) fn new() -> Self {
        Self(vec![None; LIVE_ORDERS_MAX].into_boxed_slice())
    }

    fn slot(&mut self, id: ClientOrderId) -> Option<&mut Option<Known>> {
        let at = (id.0 ^ id.0 >> 20) as usize & (LIVE_ORDERS_MAX - 1);
        self.0.get_mut(at)
    }

    /// A new order goes out.
    pub(crate) fn add(&mut self, known: Known) {
        if let Some(slot) = self.slot(known.client_id) {
            *slot = Some(known);
        }
    }

    /// The venue has named an order.
    pub(crate) fn name(&mut self, id: ClientOrderId, order_id: OrderId) {
        let held = self.slot(id).and_then(Option::as_mut);
        if let Some(known) = held.filter(|known| known.client_id == id && order_id.0 != 0) {
            known.order_id = order_id;
        }
    }

    /// What is known of an order.
    pub(crate) fn get(&mut self, id: ClientOrderId) -> Option<Known> {
        (*self.slot(id)?).filter(|known| known.client_id == id)
    }

    /// Our id of the venue's order. Cost: a scan of all; refusals that name no client id ask for it.
    pub(crate) fn find(&self, order_id: OrderId) -> Option<ClientOrderId> {
        let mut known = self.0.iter().flatten();
        known
            .find(|known| order_id.0 != 0 && known.order_id == order_id)
            .map(|known| known.client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};

    fn known(lane: u8, sequence: u32) -> Known {
        Known {
            client_id: ClientOrderId::new(Epoch(1), LaneId(lane), sequence).unwrap(),
            order_id: OrderId(0),
            instrument: InstrumentId(3),
            side: Side::Buy,
            day: Day::of_millis(0),
        }
    }

    #[test]
    fn the_last_orders_are_known_by_both_ids_and_older_ones_are_not() {
        let mut sent = Sent::new();
        for sequence in 1..=LIVE_ORDERS_MAX as u32 {
            let order = known(0, sequence);
            sent.add(order);
            sent.name(order.client_id, OrderId(u128::from(sequence) + 1_000));
        }
        let first = known(0, 1).client_id;
        assert_eq!(sent.find(OrderId(1_001)), Some(first));
        assert_eq!(sent.get(first).unwrap().order_id, OrderId(1_001));
        sent.add(known(0, 1 + LIVE_ORDERS_MAX as u32));
        assert_eq!((sent.get(first), sent.find(OrderId(1_001))), (None, None));
        assert_eq!(sent.find(OrderId(0)), None, "not a name");
    }

    #[test]
    fn lanes_do_not_take_each_others_slots() {
        let mut sent = Sent::new();
        for lane in 0..16 {
            sent.add(known(lane, 7));
        }
        assert!((0..16).all(|lane| sent.get(known(lane, 7).client_id).is_some()));
    }
}
