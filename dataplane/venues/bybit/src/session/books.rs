//! Books that lost their place: subscribed anew, paced, until the snapshot that begins a subscription came.

use super::subscribe::{SNAPSHOT_WAIT_NS, Topics};
use super::{BookState, SECOND_NS, Session, min_of};
use crate::feed::{BookView, Depth};
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{Registry, Sink};

/// Pause between two subscriptions of one book.
const PAUSE_NS: u64 = SECOND_NS / 2;

impl BookState {
    /// When it is subscribed anew; `None` while nothing is wrong.
    fn due(&self) -> Option<UnixNanos> {
        let wanted = self.is_wanted.then(|| self.asked.after(PAUSE_NS));
        min_of([wanted, self.snapshot_by])
    }
}

impl Session {
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let book = self.books.get_mut(id.0 as usize);
        // While the link is down there is nothing to ask: the next one begins with snapshots.
        if let Some(book) = book.filter(|book| book.is_followed && book.channel.is_some()) {
            book.is_wanted = true;
            self.resubscribe_books(registry, now, out);
        }
    }

    /// Subscribes every book that is due anew.
    pub(super) fn resubscribe_books(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.books_at = None;
        if !self.public.is_open {
            return;
        }
        for index in 0..self.books.len() {
            let Some(due) = self.books.get(index).and_then(BookState::due) else {
                continue;
            };
            let id = InstrumentId(index as u32);
            if due <= now.unix {
                for op in ["unsubscribe", "subscribe"] {
                    self.subscribe(registry, op, Topics::Book, id, out);
                }
                self.await_snapshot(id, now);
            } else {
                self.books_at = min_of([self.books_at, Some(due)]);
            }
        }
    }

    /// The book was just subscribed.
    pub(super) fn await_snapshot(&mut self, id: InstrumentId, now: Now) {
        let depth = self.depth();
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.channel = Some(depth);
            book.is_wanted = false;
            book.asked = now.unix;
            book.snapshot_by = Some(now.unix.after(SNAPSHOT_WAIT_NS));
            self.books_at = min_of([self.books_at, book.snapshot_by]);
        }
    }

    /// A whole book came.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.is_wanted = false;
            book.snapshot_by = None;
        }
    }

    /// What a depth topic is to us. Of an instrument that only a tool knows, each is its book.
    pub(super) fn view(&mut self, id: InstrumentId, depth: Depth, is_snapshot: bool) -> BookView {
        let book = self.books.get_mut(id.0 as usize);
        match book.filter(|book| book.is_followed) {
            Some(book) => BookView::of(&mut book.channel, depth, is_snapshot),
            None => BookView::Book,
        }
    }
}
