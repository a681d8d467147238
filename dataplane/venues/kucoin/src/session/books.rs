//! Book snapshots: asked for by REST, one at a time a book, paced, few at once, each answer known by its number; a
//! book that never fits has the market data link replaced.
//!
//! Whole books need keys. Without them there is the part book of 100 levels: the book is right as far as that
//! reached, and beyond it knows only what has changed since.

use super::links::again;
use super::{RELINK_EVERY, SNAPSHOT_CALM_NS, SNAPSHOTS_MAX, Session, min_of};
use crate::limits::Cost;
use crate::rest::{Ask, Question, RECORDED};
use crate::{LINK_MD, LINK_REST};
use dp_types::{InstrumentId, Now};
use dp_venue_api::{Registry, RestMethod, Sink};

const WHOLE: &str = "/api/v3/market/orderbook/level2";
const PART: &str = "/api/v1/market/orderbook/level2_100";

impl Session {
    /// Every change from here on reaches us: each book is asked for, since a quiet one may not change for hours.
    pub(super) fn ask_books(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.is_further_feed {
            return;
        }
        for &id in &self.symbols {
            let is_listed = registry.get(id).is_some_and(|known| known.tick.0 != 0);
            if let Some(book) = self.books.get_mut(id.0 as usize).filter(|_| is_listed) {
                (book.is_wanted, book.is_early) = (true, true);
                self.snapshots_at = Some(now.unix);
            }
        }
        self.run_due(registry, now, out);
    }

    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            if core::mem::take(&mut book.is_early) && book.awaited.is_some() {
                return; // the first change asks for what is on its way
            }
            book.is_wanted = true;
            self.snapshots_at = min_of([self.snapshots_at, Some(book.due().max(now.unix))]);
        }
        self.run_due(registry, now, out);
    }

    pub(super) fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        let awaited = |session: &Self| {
            let books = session.books.iter();
            books.filter(|book| book.awaited.is_some()).count()
        };
        let mut room = SNAPSHOTS_MAX.saturating_sub(awaited(self));
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index).filter(|book| book.is_wanted) else {
                continue;
            };
            if book.due() > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(book.due())]);
                continue;
            }
            let is_calm = now.unix.since(book.asked) > SNAPSHOT_CALM_NS;
            let attempts = if is_calm { 1 } else { book.attempts + 1 };
            if attempts >= RELINK_EVERY {
                // Its end clears this up; until then nothing more is asked.
                (book.attempts, book.asked, book.is_wanted) = (0, now.unix, false);
                out.reconnect(LINK_MD, "a book does not come together");
                return;
            }
            let cost = match self.auth {
                Some(_) => Cost::Spot(3),
                None => Cost::Public(2),
            };
            if room == 0 || !self.limits.take(now.unix, cost) {
                self.snapshots_at = min_of([self.snapshots_at, Some(again(now))]);
                continue;
            }
            room -= 1;
            self.snapshots = self.snapshots.wrapping_add(1).max(1);
            book.is_wanted = false;
            book.attempts = attempts;
            book.asked = now.unix;
            book.awaited = Some(self.snapshots);
            self.ask_snapshot(registry, InstrumentId(index as u32), now, out);
        }
    }

    fn ask_snapshot(&self, registry: &Registry, id: InstrumentId, now: Now, out: &mut impl Sink) {
        let Some(known) = registry.get(id) else {
            return;
        };
        let path = if self.auth.is_some() { WHOLE } else { PART };
        let question = Question {
            link: LINK_REST,
            ask: Ask::Books(id, self.snapshots),
            method: RestMethod::Get,
            target: &format!("{path}?symbol={}", known.symbol),
            body: "",
        };
        match &self.auth {
            Some(auth) => question.sign(auth, now, out),
            None => question.send(out),
        }
    }

    /// Whether this snapshot is the one its book waits for. A recorded one always is.
    pub(super) fn awaits_snapshot(&self, id: InstrumentId, number: u32) -> bool {
        let book = self.books.get(id.0 as usize);
        number == RECORDED || book.is_some_and(|book| book.awaited == Some(number))
    }

    /// A snapshot was fetched and could be read: the keeper asks again if it does not fit. The next that waits is
    /// asked for.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId, now: Now) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            (book.awaited, book.is_early) = (None, false);
        }
        if self.books.iter().any(|book| book.is_wanted) {
            self.snapshots_at = Some(now.unix);
        }
    }

    /// A snapshot was refused, lost or unreadable.
    pub(super) fn snapshot_failed(&mut self, id: InstrumentId, number: u32, now: Now) {
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.awaited == Some(number)) {
            book.awaited = None;
            book.is_wanted = true;
            self.snapshots_at = min_of([self.snapshots_at, Some(again(now))]);
        }
    }
}
