//! What is remembered of the orders we sent: what the venue's answers leave out, and the UTC day without which
//! a client id names nothing.
//!
//! ```text
//! slot = the id's low bits, with lane and epoch mixed in      4,096 slots: as many orders as a lane has alive
//! ```
//! Sequences rise one by one, so a slot is taken over after 4,096 further orders, when whatever its order still
//! has to hear is long told by the venue's own id. Of several that went out in one request it is known which they were, and
//! whether the venue has said anything of them since: a refusal of a whole request names none of them. An order that is not here (sent by an earlier run) is
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
    /// The request of several it went out in; [`ALONE`] when it went by itself.
    pub(crate) batch: u32,
    /// Whether the venue has said anything of it.
    pub(crate) is_heard: bool,
}

impl Known {
    const fn is_awaited(&self) -> bool {
        self.batch != ALONE && !self.is_heard
    }
}

/// No request of several.
pub(crate) const ALONE: u32 = 0;

/// The orders sent last.
#[derive(Debug)]
pub(crate) struct Sent {
    orders: Box<[Option<Known>]>,
    batch_last: u32,
}

impl Sent {
    /// None. Takes its memory here.
    pub(crate) fn new() -> Self {
        Self {
            orders: vec![None; LIVE_ORDERS_MAX].into_boxed_slice(),
            batch_last: ALONE,
        }
    }

    fn slot(&mut self, id: ClientOrderId) -> Option<&mut Option<Known>> {
        let at = (id.0 ^ id.0 >> 20) as usize & (LIVE_ORDERS_MAX - 1);
        self.orders.get_mut(at)
    }

    /// A new order goes out.
    pub(crate) fn add(&mut self, known: Known) {
        if let Some(slot) = self.slot(known.client_id) {
            *slot = Some(known);
        }
    }

    /// The number of a request of several orders about to go out.
    pub(crate) fn next_batch(&mut self) -> u32 {
        self.batch_last = self.batch_last.wrapping_add(1).max(1);
        self.batch_last
    }

    /// The venue has spoken of an order, and named it unless this is 0.
    pub(crate) fn name(&mut self, id: ClientOrderId, order_id: OrderId) {
        let held = self.slot(id).and_then(Option::as_mut);
        if let Some(known) = held.filter(|known| known.client_id == id) {
            known.is_heard = true;
            if order_id.0 != 0 {
                known.order_id = order_id;
            }
        }
    }

    /// Nothing more is awaited of the requests of several: their link is gone. Cost: a scan of all.
    pub(crate) fn forget_batches(&mut self) {
        for known in self.orders.iter_mut().flatten() {
            known.batch = ALONE;
        }
    }

    /// Whether it is sure which request of several the venue has refused when it names none: that none but one waits for
    /// an answer, and no order of that one has had its own. Cost: a scan of all.
    pub(crate) fn is_one_batch_awaited(&self) -> bool {
        let known = || self.orders.iter().flatten();
        let mut awaited = known()
            .filter(|it| it.is_awaited())
            .map(|it| it.batch)
            .peekable();
        let Some(batch) = awaited.peek().copied() else {
            return false;
        };
        let is_awaited_whole = known().all(|it| it.batch != batch || it.is_awaited());
        is_awaited_whole && awaited.all(|it| it == batch)
    }

    /// The orders of requests of several that the venue has not spoken of; from now on it has. Cost: a scan of all.
    pub(crate) fn take_awaited(&mut self) -> impl Iterator<Item = Known> {
        let awaited = self.orders.iter_mut().flatten();
        awaited.filter(|it| it.is_awaited()).map(|known| {
            known.is_heard = true;
            *known
        })
    }

    /// What is known of an order.
    pub(crate) fn get(&mut self, id: ClientOrderId) -> Option<Known> {
        (*self.slot(id)?).filter(|known| known.client_id == id)
    }

    /// Our id of the venue's order. Cost: a scan of all; refusals that name no client id ask for it.
    pub(crate) fn find(&self, order_id: OrderId) -> Option<ClientOrderId> {
        let mut known = self.orders.iter().flatten();
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
            batch: ALONE,
            is_heard: false,
        }
    }

    fn together(sent: &mut Sent, sequences: &[u32]) {
        let batch = sent.next_batch();
        for sequence in sequences {
            sent.add(Known {
                batch,
                ..known(0, *sequence)
            });
        }
    }

    /// Sequences of the orders that wait for an answer.
    fn awaited(sent: &mut Sent) -> Vec<u32> {
        let mut all: Vec<_> = sent
            .take_awaited()
            .map(|it| it.client_id.0 as u32)
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_refusal_without_a_name_is_sure_of_one_request_that_nothing_was_heard_of() {
        let mut sent = Sent::new();
        sent.add(known(0, 1));
        assert!(!sent.is_one_batch_awaited(), "alone");
        together(&mut sent, &[2, 3]);
        assert!(sent.is_one_batch_awaited());
        sent.name(known(0, 2).client_id, OrderId(0));
        assert!(!sent.is_one_batch_awaited(), "it is being carried out");
        assert_eq!(awaited(&mut sent), [3]);
        assert_eq!(awaited(&mut sent), [0u32; 0]);
        together(&mut sent, &[4, 5]);
        assert!(sent.is_one_batch_awaited(), "the one before has ended");
        together(&mut sent, &[6, 7]);
        assert!(!sent.is_one_batch_awaited(), "one of two");
        sent.name(known(0, 4).client_id, OrderId(9));
        sent.name(known(0, 5).client_id, OrderId(10));
        assert!(sent.is_one_batch_awaited());
        sent.forget_batches();
        assert!(!sent.is_one_batch_awaited());
        assert_eq!(awaited(&mut sent), [0u32; 0]);
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
