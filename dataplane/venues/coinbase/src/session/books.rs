//! Book snapshots: the venue pushes one with each subscription, so a book that lost its place is subscribed anew;
//! paced, and every so often with a new link.

use super::subscribe::Of;
use super::{RETRY_NS, SECOND_NS, Session, min_of};
use crate::LINK_PUBLIC;
use crate::limits::Kind;
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{Registry, Sink};

/// Pause between two subscriptions of one book.
const PAUSE_NS: u64 = SECOND_NS;
/// How long a snapshot may take: it is the venue's largest message.
const WAIT_NS: u64 = 10 * SECOND_NS;
/// Every so many attempts in a row the whole link is opened anew.
const RECONNECT_EVERY: u32 = 4;
/// A book that asked for nothing this long is well again.
const CALM_NS: u64 = 60 * SECOND_NS;

impl super::BookState {
    /// When the next snapshot may be asked for.
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.is_awaited) {
            (0, _) => UnixNanos(0),
            (_, true) => self.asked.after(WAIT_NS),
            (_, false) => self.asked.after(PAUSE_NS),
        }
    }
}

impl Session {
    /// Notes the wish. On a link that is not subscribed yet there is nothing to do: its subscription pushes all.
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if !self.public.is_ready {
            return;
        }
        let Some(book) = self.books.get_mut(id.0 as usize) else {
            return;
        };
        book.is_wanted = book.is_followed;
        self.snapshots_at = min_of([self.snapshots_at, Some(book.due().max(now.unix))]);
        if self.snapshots_at.is_some_and(|at| at <= now.unix) {
            self.ask_snapshots(registry, now, out);
        }
    }

    pub(super) fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        if !self.public.is_ready {
            return;
        }
        let channel = self.book_channel();
        for index in 0..self.books.len() {
            let wants = |book: &&mut super::BookState| book.is_wanted || book.is_awaited;
            let Some(book) = self.books.get_mut(index).filter(wants) else {
                continue;
            };
            let due = book.due();
            if due > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(due)]);
                continue;
            }
            let is_calm = now.unix.since(book.asked) > CALM_NS;
            let attempts = if is_calm { 1 } else { book.attempts + 1 };
            if attempts % RECONNECT_EVERY == 0 {
                (book.attempts, book.asked) = (attempts, now.unix);
                out.reconnect(LINK_PUBLIC, "a book does not come right");
                return;
            }
            let may = self.limits.take(now.unix, Kind::Subscribe)
                && self.limits.take(now.unix, Kind::Subscribe);
            if !may {
                let soon = now.unix.after(RETRY_NS);
                self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
                continue;
            }
            (book.attempts, book.asked) = (attempts, now.unix);
            (book.is_wanted, book.is_awaited) = (false, true);
            self.snapshots_at = min_of([self.snapshots_at, Some(now.unix.after(WAIT_NS))]);
            let id = InstrumentId(index as u32);
            for kind in ["unsubscribe", "subscribe"] {
                if self.write_subscription(registry, kind, &[channel], Of::One(id), now) {
                    out.send_text(LINK_PUBLIC, &self.message);
                }
            }
        }
    }

    /// A snapshot was pushed and could be read: the keeper asks again if it does not fit.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            (book.is_wanted, book.is_awaited) = (false, false);
        }
    }

    /// A book message could not be read. Nothing else would show the hole: no id, no checksum. So the link is
    /// opened anew, and with it every book on it.
    pub(super) fn book_unreadable(&mut self, id: InstrumentId, out: &mut impl Sink) {
        let is_followed = self
            .books
            .get(id.0 as usize)
            .is_some_and(|book| book.is_followed);
        if is_followed && self.public.is_open {
            out.reconnect(LINK_PUBLIC, "a book message could not be read");
        }
    }
}
