//! Books that lost their place: the channel is subscribed anew, and its first frame is a whole book; every third
//! time in a row the connection is made anew instead.

use super::{BookState, Market, READY_WAIT_NS, SECOND_NS, Session, min_of};
use crate::feed::{self, Shows, Stamp};
use crate::symbols::push_u64;
use dp_types::{InstrumentId, Now, UnixNanos, VenueNanos};
use dp_venue_api::{Control, Event, Registry, Sink};

/// Pause between two subscriptions of one book.
const RENEW_PAUSE_NS: u64 = SECOND_NS / 2;
/// Every so many in a row the connection is made anew.
const RECONNECT_EVERY: u32 = 3;
/// A book that asked for nothing this long is well again.
const CALM_NS: u64 = 60 * SECOND_NS;

impl Session {
    /// A book of an instrument, if that is one we follow.
    pub(super) fn book(&mut self, id: InstrumentId, shows: Shows) -> Option<&mut BookState> {
        let followed = self.followed.get_mut(id.0 as usize)?;
        Some(followed.book(shows))
    }

    /// The keeper has lost its place. Without a channel there is nothing to do: one is on its way, and brings a
    /// whole book.
    pub(crate) fn renew(&mut self, id: InstrumentId, shows: Shows, now: Now, out: &mut impl Sink) {
        let book = self.book(id, shows);
        let book = book.filter(|book| book.channel.is_some() && book.renewed_by.is_none());
        if let Some(book) = book {
            let due = match book.renewed.0 {
                0 => now.unix,
                _ => book.renewed.after(RENEW_PAUSE_NS).max(now.unix),
            };
            book.renew_at = Some(due);
            self.renew_due(now, out);
        }
    }

    /// When a book is to be subscribed anew, or should have been.
    pub(super) fn books_due(&self) -> Option<UnixNanos> {
        let books = self.followed.iter();
        let books = books.flat_map(|one| [one.levels, one.orders]);
        min_of(books.map(|book| min_of([book.renew_at, book.renewed_by])))
    }

    pub(super) fn renew_due(&mut self, now: Now, out: &mut impl Sink) {
        let all = (0..self.followed.len() as u32).map(InstrumentId);
        let all = all.flat_map(|id| [(id, Shows::Levels), (id, Shows::Orders)]);
        for (id, shows) in all {
            let followed = self.followed.get_mut(id.0 as usize);
            let Some(book) = followed.map(|one| one.book(shows)) else {
                return;
            };
            let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
            let is_late = is_due(book.renewed_by);
            if !is_late && !is_due(book.renew_at) {
                continue;
            }
            let is_its = |market: &&mut Market| market.symbols.contains(&id);
            let Some(market) = self.markets.iter_mut().find(is_its) else {
                book.renew_at = None;
                book.renewed_by = None;
                continue;
            };
            book.renew_at = None;
            book.renewed_by = None;
            let is_calm = now.unix.since(book.renewed) > CALM_NS;
            book.attempts = if is_calm { 1 } else { book.attempts + 1 };
            book.renewed = now.unix;
            if is_late || book.attempts.is_multiple_of(RECONNECT_EVERY) {
                out.reconnect(market.link, "a book did not come back by subscribing anew");
                continue;
            }
            let Some(channel) = book.channel else {
                continue;
            };
            book.renewed_by = Some(now.unix.after(READY_WAIT_NS));
            self.message.clear();
            self.message
                .extend_from_slice(br#"{"event":"unsubscribe","chanId":"#);
            push_u64(channel, &mut self.message);
            self.message.push(b'}');
            out.send_text(market.link, &self.message);
        }
    }

    /// A channel is gone. Its book is subscribed anew where we left it for that.
    pub(super) fn on_unsubscribed(
        &mut self,
        registry: &Registry,
        link: dp_types::LinkId,
        channel: u64,
        out: &mut impl Sink,
    ) {
        let Some(market) = self.market(link) else {
            return;
        };
        let held = market.channels.iter().find(|held| held.id == channel);
        let book_of = held.and_then(|held| held.kind.book());
        market.channels.retain(|held| held.id != channel);
        let Some((id, shows)) = book_of else { return };
        let Some(book) = self.book(id, shows) else {
            return;
        };
        book.channel = None;
        if book.renewed_by.is_some() {
            self.send_book_subscribe(registry, link, (id, shows), out);
        }
    }

    /// The link is gone or new: channels of the old one mean nothing.
    pub(super) fn forget_channels(&mut self, at: usize) {
        let Some(market) = self.markets.get(at) else {
            return;
        };
        for id in &market.symbols {
            let Some(followed) = self.followed.get_mut(id.0 as usize) else {
                continue;
            };
            for shows in [Shows::Levels, Shows::Orders] {
                let book = followed.book(shows);
                book.channel = None;
                book.renew_at = None;
                book.renewed_by = None;
            }
        }
    }

    /// Books of a link are not to be trusted until the venue pushes whole ones.
    pub(super) fn lose_books(&mut self, at: usize, out: &mut impl Sink) {
        let Some(market) = self.markets.get(at) else {
            return;
        };
        let missed = market.seq.map_or(0, |seq| seq.saturating_add(1));
        let stamp = stamp_of(-1);
        for channel in &market.channels {
            if let Some((id, Shows::Levels)) = channel.kind.book() {
                feed::tell_gap(id, missed, stamp, &mut self.room, out);
            }
        }
    }

    /// And so are its single orders.
    pub(super) fn lose_orders(&mut self, at: usize, out: &mut impl Sink) {
        let Some(market) = self.markets.get(at) else {
            return;
        };
        for id in &market.symbols {
            let followed = self.followed.get(id.0 as usize);
            if followed.is_some_and(|one| one.orders.is_followed) {
                out.event(&Event::Control(Control::L3Lost(*id)));
            }
        }
    }

    /// Tells every book of a link that the number `missed` did not come, and `got` did.
    pub(super) fn tell_gaps(&mut self, at: usize, missed: i64, got: i64, out: &mut impl Sink) {
        let Some(market) = self.markets.get(at) else {
            return;
        };
        let stamp = stamp_of(got);
        for channel in &market.channels {
            match channel.kind.book() {
                Some((id, Shows::Levels)) => {
                    feed::tell_gap(id, missed, stamp, &mut self.room, out);
                }
                Some((id, Shows::Orders)) => feed::tell_hole(id, stamp, &mut self.room, out),
                None => {}
            }
        }
    }
}

/// Of a message that never came.
const fn stamp_of(seq: i64) -> Stamp {
    Stamp {
        seq,
        venue_ns: VenueNanos(0),
    }
}
