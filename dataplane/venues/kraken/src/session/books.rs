//! Book snapshots: the venue pushes one after each subscription, so a lost book is unsubscribed and, once that is
//! confirmed, subscribed again. One at a time a book, paced.

use super::{Session, Waits, min_of};
use crate::LINK_PUBLIC;
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{Registry, Sink};

impl Session {
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.is_wanted = book.is_followed;
        }
        self.ask_snapshots(registry, now, out);
    }

    /// When a snapshot may be asked for next; while the link is away its opening brings them all.
    pub(super) fn books_due(&self) -> Option<UnixNanos> {
        let wanted = self.books.iter().filter(|book| book.is_wanted);
        min_of(wanted.map(|book| self.public.is_open.then(|| book.due())))
    }

    pub(super) fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.public.is_open {
            return;
        }
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index) else {
                break;
            };
            if !book.is_wanted || book.due() > now.unix {
                continue;
            }
            (book.waits, book.asked) = (Waits::Unsubscribed, now.unix);
            self.write_book(registry, "unsubscribe", InstrumentId(index as u32));
            out.send_text(LINK_PUBLIC, &self.message);
        }
    }

    /// The old subscription of a book has ended, or there was none.
    pub(super) fn unsubscribed(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let book = self.books.get_mut(id.0 as usize);
        let Some(book) = book.filter(|book| book.waits == Waits::Unsubscribed) else {
            return;
        };
        (book.waits, book.asked) = (Waits::Snapshot, now.unix);
        self.write_book(registry, "subscribe", id);
        out.send_text(LINK_PUBLIC, &self.message);
    }

    /// A snapshot was pushed and could be read: the keeper asks again if it does not fit.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            (book.is_wanted, book.waits) = (false, Waits::Nothing);
        }
    }
}
