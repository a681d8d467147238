//! Book snapshots: pushed with a subscription, and asked for by a new one, paced, one at a time a book.

use super::{RETRY_NS, Session, min_of};
use dp_types::{InstrumentId, Now};
use dp_venue_api::{Control, DecodeError, Event, Registry, Sink};

use crate::feed::{self, BookChannel};
use crate::limits::BOOK_MESSAGES;
use dp_types::BookMsgKind;
use dp_wire::json::Value;

impl Session {
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if !self.md.is_open {
            return; // the next link's subscription brings one
        }
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.is_wanted = true;
            self.ask_snapshots(registry, now, out);
        }
    }

    /// Asks for what is wanted or has not come in time. The keeper asks once and waits.
    pub(super) fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        if !self.md.is_ready {
            return; // what is wanted is asked for when it is
        }
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index) else {
                continue;
            };
            if !book.is_wanted && !book.is_awaited {
                continue;
            }
            let due = book.due();
            if due > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(due)]);
                continue;
            }
            if !self.limits.subscribe(now.unix, BOOK_MESSAGES) {
                self.snapshots_at = min_of([self.snapshots_at, Some(now.unix.after(RETRY_NS))]);
                continue;
            }
            (book.is_wanted, book.is_awaited, book.asked) = (false, true, now.unix);
            self.snapshots_at = min_of([self.snapshots_at, Some(book.due())]);
            self.renew_book(registry, InstrumentId(index as u32), out);
        }
    }

    /// A snapshot came: the keeper asks again if it does not like it.
    fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            (book.is_wanted, book.is_awaited) = (false, false);
        }
    }

    /// A book's new subscription was refused, or its channel not named.
    pub(super) fn snapshot_failed(&mut self, id: InstrumentId, now: Now) {
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.is_awaited) {
            (book.is_wanted, book.is_awaited) = (true, false);
            self.snapshots_at = min_of([self.snapshots_at, Some(book.due().max(now.unix))]);
        }
    }

    /// Whether this channel is the instrument's book: the first one seen is, the others are passed over.
    pub(super) fn is_its_book(&mut self, id: InstrumentId, channel: BookChannel) -> bool {
        let followed = self.books.get_mut(id.0 as usize);
        followed
            .filter(|book| book.is_followed)
            .is_none_or(|book| *book.channel.get_or_insert(channel) == channel)
    }

    /// A message of a book channel.
    ///
    /// Errors: a message that cannot be read, or that contradicts itself. What it said is missing from then on, so
    /// the book is lost at once rather than at the next change.
    pub(super) fn on_book(
        &mut self,
        registry: &Registry,
        channel: BookChannel,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let id = feed::instrument(registry, data)?;
        if !self.is_its_book(id, channel) {
            out.event(&Event::Ignored("a second book channel of this instrument"));
            return Ok(());
        }
        let is_snapshot = match feed::book(id, channel, data, &mut self.levels) {
            Ok(message) => {
                out.event(&Event::Book(message));
                message.kind == BookMsgKind::Snapshot
            }
            Err(error) => {
                out.event(&Event::Control(Control::BookLost(id)));
                return Err(error);
            }
        };
        if is_snapshot {
            self.snapshot_taken(id);
        }
        Ok(())
    }
}
