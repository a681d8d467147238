//! Orders out, on a link of their own.

use super::Session;
use crate::entry::{self, ORDERS_PATH};
use crate::limits::Kind;
use crate::rest::{self, Ask};
use crate::{LINK_ENTRY, LINK_REST};
use dp_types::{CancelOrder, Instrument, NewOrder, Now};
use dp_venue_api::{EntryError, RestMethod, Sink};

/// The text of what we wrote ourselves.
fn as_str(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("")
}

impl Session {
    /// Only while the user channel runs: else nobody would hear what becomes of it.
    pub(crate) fn new_order(
        &mut self,
        instrument: &Instrument,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let Some(auth) = &self.auth else {
            return Err(EntryError::NotReady);
        };
        if !self.is_entry_open || !self.user.is_ready {
            return Err(EntryError::NotReady);
        }
        if !self.unanswered.has_room(now.unix) || !self.limits.take(now.unix, Kind::New) {
            return Err(EntryError::RateLimited);
        }
        self.unanswered.add(order.client_id, now.unix);
        self.message.clear();
        entry::write_new(instrument, order, &mut self.message);
        let ask = Ask::New(order.instrument, order.client_id);
        let (method, to) = (RestMethod::Post, (LINK_ENTRY, ask));
        rest::signed(auth, to, (method, ORDERS_PATH), &self.message, now, out);
        Ok(())
    }

    pub(crate) fn cancel_order(
        &mut self,
        instrument: &Instrument,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let ask = Ask::Cancel(cancel.instrument, cancel.client_id);
        self.delete(ask, now, out, |target| {
            entry::write_target(instrument, cancel, target);
        })
    }

    pub(crate) fn cancel_all(
        &mut self,
        instrument: &Instrument,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.delete(Ask::CancelAll(instrument.id), now, out, |target| {
            entry::write_all_target(instrument, target);
        })
    }

    /// Whether or not the user channel runs: what rests must go, and reconciliation finds that it has.
    fn delete(
        &mut self,
        ask: Ask,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), EntryError> {
        let auth = self.auth.as_ref().filter(|_| self.is_entry_open);
        let auth = auth.ok_or(EntryError::NotReady)?;
        if !self.limits.take(now.unix, Kind::Cancel) {
            return Err(EntryError::RateLimited);
        }
        self.target.clear();
        write(&mut self.target);
        let (method, to) = (RestMethod::Delete, (LINK_ENTRY, ask));
        rest::signed(auth, to, (method, as_str(&self.target)), &[], now, out);
        Ok(())
    }

    /// Queues a signed GET whose target was written already.
    pub(super) fn ask_target(&self, ask: Ask, now: Now, out: &mut impl Sink) {
        if let Some(auth) = &self.auth {
            let (method, to) = (RestMethod::Get, (LINK_REST, ask));
            rest::signed(auth, to, (method, as_str(&self.target)), &[], now, out);
        }
    }
}
