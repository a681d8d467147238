//! Book snapshots: asked for by REST, one at a time a book, paced, each answer known by its number; and every
//! so often by a new subscription.

use super::{RESUBSCRIBE_EVERY, RETRY_NS, SNAPSHOT_CALM_NS, Session, min_of};
use crate::LINK_PUBLIC;
use crate::limits::RestPool;
use crate::rest::{self, Ask, RECORDED};
use dp_types::{InstrumentId, Now};
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
            book.is_wanted = true;
            self.snapshots_at = min_of([self.snapshots_at, Some(book.due().max(now.unix))]);
        }
        self.run_due(registry, now, out);
    }

    pub(super) fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index).filter(|book| book.is_wanted) else {
                continue;
            };
            let id = InstrumentId(index as u32);
            if book.due() > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(book.due())]);
                continue;
            }
            let is_calm = now.unix.since(book.asked) > SNAPSHOT_CALM_NS;
            let attempts = if is_calm { 1 } else { book.attempts + 1 };
            let is_anew = attempts % RESUBSCRIBE_EVERY == 0 && self.public.is_open;
            let may = if is_anew {
                self.limits.link_ops(now.unix, false, 2)
            } else {
                self.limits.rest(now.unix, RestPool::Books)
            };
            if !may {
                self.snapshots_at = min_of([self.snapshots_at, Some(now.unix.after(RETRY_NS))]);
                continue;
            }
            self.snapshots = self.snapshots.wrapping_add(1).max(1);
            let number = self.snapshots;
            book.is_wanted = false;
            book.attempts = attempts;
            book.asked = now.unix;
            book.awaited = (!is_anew).then_some(number);
            if is_anew {
                for op in ["unsubscribe", "subscribe"] {
                    self.write_subscription(registry, op, &["books"], &[id]);
                    out.send_text(LINK_PUBLIC, &self.message);
                }
            } else if let Some(known) = registry.get(id) {
                let symbol = known.symbol.as_str();
                let target = format!("/api/v5/market/books?instId={symbol}&sz=400");
                rest::get(Ask::Books(id, number), &target, out);
            }
        }
    }

    /// Whether this snapshot is the one its book waits for. A recorded one always is.
    pub(super) fn awaits_snapshot(&self, id: InstrumentId, number: u32) -> bool {
        let book = self.books.get(id.0 as usize);
        number == RECORDED || book.is_some_and(|book| book.awaited == Some(number))
    }

    /// A snapshot was fetched or pushed and could be read: the keeper asks again if it does not fit.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.awaited = None;
            book.is_wanted = false;
        }
    }

    /// A snapshot was refused, lost or unreadable.
    pub(super) fn snapshot_failed(&mut self, id: InstrumentId, number: u32, now: Now) {
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.awaited == Some(number)) {
            book.awaited = None;
            book.is_wanted = true;
            let soon = now.unix.after(RETRY_NS);
            self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
        }
    }
}
