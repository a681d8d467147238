//! Order requests: checked against link and counter, then written and sent. Nothing leaves when one errs.

use super::Session;
use crate::limits::{OrderOp, cancel_cost};
use crate::orders::Known;
use crate::{LINK_PRIVATE, entry};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Instrument, InstrumentId, NewOrder, Now, OrderId,
    OrderKind, Tif,
};
use dp_venue_api::{EntryError, Sink};

impl Session {
    fn check(&self) -> Result<(), EntryError> {
        if self.private.is_ready {
            Ok(())
        } else {
            Err(EntryError::NotReady)
        }
    }

    /// How long ago an order was placed or amended; one we do not know is new.
    fn age_ns(&mut self, client: ClientOrderId, now: Now) -> u64 {
        let known = self.orders.find_client(client);
        known.map_or(0, |known| now.unix.since(known.touched))
    }

    pub(crate) fn new_order(
        &mut self,
        instrument: &Instrument,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.check()?;
        self.admit_new(instrument, order, now)?;
        self.message.clear();
        let (window_ms, token) = (self.order_window_ms, self.token.as_str());
        entry::write_new(instrument, order, now, window_ms, token, &mut self.message);
        out.send_text(LINK_PRIVATE, &self.message);
        Ok(())
    }

    /// Orders a batch may enter.
    pub(crate) fn news_max(&self) -> usize {
        self.limits.news_max()
    }

    /// New orders of one instrument in one request: all are sent, or none.
    pub(crate) fn new_orders(
        &mut self,
        instrument: &Instrument,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.check()?;
        if orders.len() > entry::NEW_MAX || !orders.iter().all(entry::is_supported) {
            return Err(EntryError::Unsupported);
        }
        let op = OrderOp::BatchNew(orders.len() as u32);
        if !self.limits.order(now.unix, instrument.id, op) {
            return Err(EntryError::RateLimited);
        }
        for order in orders {
            self.note_new(instrument, order, now);
        }
        self.message.clear();
        let (window_ms, token) = (self.order_window_ms, self.token.as_str());
        entry::write_batch_new(instrument, orders, now, window_ms, token, &mut self.message);
        out.send_text(LINK_PRIVATE, &self.message);
        Ok(())
    }

    /// Takes room for a new order, whichever road it leaves by, and notes it: what answers name it by id only.
    pub(crate) fn admit_new(
        &mut self,
        instrument: &Instrument,
        order: &NewOrder,
        now: Now,
    ) -> Result<(), EntryError> {
        if !entry::is_supported(order) {
            return Err(EntryError::Unsupported);
        }
        if !self.limits.order(now.unix, order.instrument, OrderOp::New) {
            return Err(EntryError::RateLimited);
        }
        self.note_new(instrument, order, now);
        Ok(())
    }

    fn note_new(&mut self, instrument: &Instrument, order: &NewOrder, now: Now) {
        self.orders.add(Known {
            order_id: OrderId(0),
            client_id: Some(order.client_id),
            instrument: order.instrument,
            side: order.side,
            price: (order.kind != OrderKind::Market).then(|| instrument.price_decimal(order.price)),
            qty: Some(instrument.qty_decimal(order.qty)),
            cum: None,
            is_post_only: order.kind == OrderKind::PostOnly,
            is_immediate: order.kind == OrderKind::Market || order.tif == Tif::Ioc,
            is_final: false,
            touched: now.unix,
        });
    }

    /// Takes room for the cancel of one order, whichever road it leaves by.
    pub(crate) fn admit_cancel(
        &mut self,
        cancel: &CancelOrder,
        now: Now,
    ) -> Result<(), EntryError> {
        let op = OrderOp::Cancel(cancel_cost(self.age_ns(cancel.client_id, now)));
        if self.limits.order(now.unix, cancel.instrument, op) {
            Ok(())
        } else {
            Err(EntryError::RateLimited)
        }
    }

    pub(crate) fn amend_order(
        &mut self,
        instrument: &Instrument,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.check()?;
        let op = OrderOp::Amend(self.age_ns(amend.client_id, now));
        if !self.limits.order(now.unix, amend.instrument, op) {
            return Err(EntryError::RateLimited);
        }
        let mut is_post_only = false;
        if let Some(known) = self.orders.find_client(amend.client_id) {
            known.touched = now.unix;
            is_post_only = known.is_post_only;
        }
        self.message.clear();
        let (window_ms, token) = (self.order_window_ms, self.token.as_str());
        let text = &mut self.message;
        entry::write_amend(instrument, amend, is_post_only, now, window_ms, token, text);
        out.send_text(LINK_PRIVATE, &self.message);
        Ok(())
    }

    /// Cancels the listed orders of one instrument, in as many messages as they need.
    pub(crate) fn cancel_orders(
        &mut self,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.check()?;
        let mut rest = live;
        while !rest.is_empty() {
            // As many as the counter has room for go together; the first that does not fit ends the list.
            let mut count = 0;
            for cancel in rest.iter().take(entry::BATCH_MAX) {
                let cancel = &CancelOrder {
                    instrument,
                    ..*cancel
                };
                if self.admit_cancel(cancel, now).is_err() {
                    break;
                }
                count += 1;
            }
            let (batch, after) = rest.split_at_checked(count).unwrap_or((&[], &[]));
            if batch.is_empty() {
                return Err(EntryError::RateLimited);
            }
            let number = self.next_number();
            self.message.clear();
            entry::write_cancels(batch, number, self.token.as_str(), &mut self.message);
            out.send_text(LINK_PRIVATE, &self.message);
            rest = after;
        }
        Ok(())
    }
}
