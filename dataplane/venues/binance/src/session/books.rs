//! Book snapshots: asked for one at a time a book, paced, each answer known by its number.
//!
//! ```text
//! wanted ─▶ awaited(n) ─ answer n, decoded ─▶ done
//!    ▲          │  failed, or the REST link lost: wanted again
//!    └──────────┘  stream lost: awaited no more, so that answer n belongs to no splice
//! ```

use super::{ANSWER_WAIT_NS, RETRY_NS, SECOND_NS, Session, min_of};
use crate::rest::{self, Ask, DEPTH_LIMIT, RECORDED};
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{Registry, Sink};

/// Pause between two snapshots of one book: diffs come every 100 ms, so each try sees new ones.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS / 4;

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BookState {
    /// A snapshot is to be asked for as soon as may be.
    pub(super) is_wanted: bool,
    /// The number of the snapshot whose answer counts.
    pub(super) awaited: Option<u32>,
    /// When the last one was asked for.
    asked: UnixNanos,
}

impl BookState {
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.awaited) {
            (0, _) => UnixNanos(0),
            (_, Some(_)) => self.asked.after(ANSWER_WAIT_NS),
            (_, None) => self.asked.after(SNAPSHOT_PAUSE_NS),
        }
    }
}

impl Session {
    pub(super) fn book(&mut self, id: InstrumentId) -> Option<&mut BookState> {
        // A lane has a handful of instruments: a scan beats a table.
        self.followed
            .iter_mut()
            .find(|followed| followed.id == id)
            .map(|followed| &mut followed.book)
    }

    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(book) = self.book(id) {
            book.is_wanted = true;
            let due = book.due().max(now.unix);
            self.snapshots_at = min_of([self.snapshots_at, Some(due)]);
        }
        self.run_due(registry, now, out);
    }

    pub(super) fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        for followed in &mut self.followed {
            let (id, book) = (followed.id, &mut followed.book);
            if !book.is_wanted {
                continue;
            }
            if book.due() > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(book.due())]);
                continue;
            }
            let Some(known) = registry.get(id) else {
                continue;
            };
            self.snapshots = self.snapshots.wrapping_add(1).max(1);
            let ask = Ask::Depth(id, self.snapshots);
            if !self.limits.request(now.unix, ask.weight(self.product)) {
                let later = now.unix.after(RETRY_NS);
                self.snapshots_at = min_of([self.snapshots_at, Some(later)]);
                continue;
            }
            *book = BookState {
                is_wanted: false,
                awaited: Some(self.snapshots),
                asked: now.unix,
            };
            let path = self.product.paths().depth;
            let target = format!("{path}?symbol={}&limit={DEPTH_LIMIT}", known.symbol);
            rest::ask(ask, &target, None, out);
        }
    }

    /// Whether this snapshot is the one its book waits for. A recorded one always is.
    pub(super) fn awaits_snapshot(&mut self, id: InstrumentId, number: u32) -> bool {
        number == RECORDED
            || self
                .book(id)
                .is_some_and(|book| book.awaited == Some(number))
    }

    /// A snapshot came and could be read: the keeper asks again if it does not fit.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.book(id) {
            book.awaited = None;
            book.is_wanted = false;
        }
    }

    /// A snapshot was refused, lost or unreadable.
    pub(super) fn snapshot_failed(&mut self, id: InstrumentId, number: u32, now: Now) {
        if let Some(book) = self.book(id).filter(|book| book.awaited == Some(number)) {
            book.awaited = None;
            book.is_wanted = true;
            let soon = now.unix.after(RETRY_NS);
            self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
        }
    }
}
