//! Book snapshots: asked for on the feed socket itself after the first increment, or after a while without one; one at
//! a time a book and one a tenth of a second in all, each answer known by its number.

use super::{QUIET_NS, REQ_PAUSE_NS, RETRY_NS, SNAPSHOT_WAIT_NS, Session, min_of};
use crate::entry::push_instrument;
use crate::feed;
use crate::symbols::push_base36;
use crate::{LINK_FEED, MBP_LEVELS};
use dp_types::{InstrumentId, Now};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::digits::Digits;
use dp_wire::json::Value;

impl Session {
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let book = self.books.get_mut(id.0 as usize);
        // Whole books need none: the next message is one.
        if let Some(book) = book.filter(|book| !book.is_refreshed) {
            (book.is_wanted, book.quiet_at) = (true, None);
            self.snapshots_at = min_of([self.snapshots_at, Some(book.due().max(now.unix))]);
        }
        self.snapshots_due(registry, now, out);
    }

    /// The increments of a book were confirmed: its first one asks for the snapshot, or a clock does.
    pub(super) fn await_increment(&mut self, id: InstrumentId, now: Now) {
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.asked.0 == 0) {
            book.quiet_at = Some(now.unix.after(QUIET_NS));
            self.snapshots_at = min_of([self.snapshots_at, book.quiet_at]);
        }
    }

    /// Asks for the snapshots that are due, as far as the socket's pace allows.
    pub(super) fn snapshots_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let is_due = self.snapshots_at.is_some_and(|at| at <= now.unix);
        if !is_due || !self.feed.is_open {
            return;
        }
        self.snapshots_at = None;
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index) else {
                continue;
            };
            match book.quiet_at {
                Some(at) if at <= now.unix => (book.is_wanted, book.quiet_at) = (true, None),
                at => self.snapshots_at = min_of([self.snapshots_at, at]),
            }
            // One that was asked for and not answered is wanted again.
            let is_lost = book.awaited.is_some() && book.due() <= now.unix;
            if !book.is_wanted && !is_lost {
                continue;
            }
            let id = InstrumentId(index as u32);
            let may_at = book.due().max(self.req_sent.after(REQ_PAUSE_NS));
            if may_at > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(may_at)]);
                continue;
            }
            self.snapshots = self.snapshots.wrapping_add(1).max(1);
            book.is_wanted = false;
            book.asked = now.unix;
            book.awaited = Some(self.snapshots);
            self.req_sent = now.unix;
            let lost_at = now.unix.after(SNAPSHOT_WAIT_NS);
            self.snapshots_at = min_of([self.snapshots_at, Some(lost_at)]);
            self.write_req(registry, id);
            out.send_text(LINK_FEED, &self.message);
        }
    }

    /// `{"req":"market.btcusdt.mbp.20","id":"x1In"}`: the instrument's number and the snapshot's.
    fn write_req(&mut self, registry: &Registry, id: InstrumentId) {
        let symbol = registry.get(id).map_or("", |known| known.symbol.as_str());
        let out = &mut self.message;
        out.clear();
        for part in [r#"{"req":"market."#, symbol, ".mbp."] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(Digits::u64(MBP_LEVELS as u64).as_bytes());
        out.extend_from_slice(br#"","id":"x"#);
        push_instrument(out, id);
        out.push(b'I');
        push_base36(u64::from(self.snapshots), out);
        out.extend_from_slice(br#""}"#);
    }

    /// The answer to a `req`, of this instrument and this number.
    pub(super) fn on_snapshot(
        &mut self,
        (id, number): (InstrumentId, Option<u32>),
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let awaited = self.books.get(id.0 as usize).and_then(|book| book.awaited);
        // One without a number of ours was recorded: each takes it.
        if number.is_some() && number != awaited {
            out.event(&Event::Ignored("a snapshot nobody waits for"));
            return Ok(());
        }
        match feed::snapshot(id, root, &mut self.levels) {
            Ok(message) => out.event(&Event::Book(message)),
            Err(error) => {
                self.snapshot_failed(id, now);
                return Err(error);
            }
        }
        // The keeper asks again if it does not fit.
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.awaited = None;
        }
        Ok(())
    }

    /// A snapshot was refused or could not be read: again in a while.
    pub(super) fn snapshot_failed(&mut self, id: InstrumentId, now: Now) {
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.awaited.is_some()) {
            book.awaited = None;
            book.is_wanted = true;
            let soon = now.unix.after(RETRY_NS);
            self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
        }
    }
}
