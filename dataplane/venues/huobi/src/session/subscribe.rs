//! Rules first, then the subscriptions of both market sockets, and what the venue answers to them.

use super::{ANSWER_WAIT_NS, READY_WAIT_NS, RETRY_NS, Session};
use crate::entry::push_instrument;
use crate::feed::{Channel, text};
use crate::limits::RestPool;
use crate::reject::{self, REFUSED};
use crate::rest::{self, Ask};
use crate::symbols::parse_base36;
use crate::{LINK_FEED, LINK_TRADES};
use dp_types::{Instrument, InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// All rules at once.
const RULES_TARGET: &str = "/v1/settings/common/market-symbols";
/// Increments of 20 levels, [`crate::MBP_LEVELS`].
const BOOKS: &str = "mbp.20";
/// Whole books of as many levels, ten a second, of every symbol.
const REFRESH: &str = "mbp.refresh.20";
const TRADES: &str = "trade.detail";
const QUOTES: &str = "bbo";

/// What a request on a market socket was, read back from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Increments of a book.
    Books(InstrumentId),
    /// Trades, best quotes or whole books.
    Other(InstrumentId),
    /// A snapshot.
    Snapshot(InstrumentId, u32),
}

impl Request {
    /// Reads a request's id. `None` when we did not write it.
    pub(super) fn parse(id: &[u8]) -> Option<Self> {
        let (kind, rest) = id.split_first()?;
        let mut parts = rest.split(|&byte| byte == b'I');
        let index = parse_base36(parts.next()?)?.checked_sub(1)?;
        let instrument = InstrumentId(u32::try_from(index).ok()?);
        Some(match kind {
            b'm' => Self::Books(instrument),
            b'r' | b't' | b'q' => Self::Other(instrument),
            b'x' => {
                let number = parse_base36(parts.next()?)?;
                Self::Snapshot(instrument, u32::try_from(number).ok()?)
            }
            _ => return None,
        })
    }
}

impl Session {
    pub(super) fn ask_rules(&mut self, now: Now, out: &mut impl Sink) {
        if !self.limits.rest(now.unix, RestPool::Public) {
            self.rules.0 = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.rules.0 = Some(now.unix.after(ANSWER_WAIT_NS));
        rest::get(Ask::Instruments, RULES_TARGET, out);
    }

    /// The rules are here. Errors: the first of our symbols the venue does not list; it has no rules and must not
    /// trade.
    pub(super) fn on_rules(
        &mut self,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::instruments(registry, root)?;
        self.rules.0 = None;
        if self.are_instruments_ready {
            return Ok(());
        }
        self.are_instruments_ready = true;
        let mut unlisted = Ok(());
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.and(Err(DecodeError::Unlisted(id).into()));
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe_books(registry, now, out);
        self.subscribe_trades(registry, now, out);
        self.check_login(now, out);
        unlisted
    }

    /// How many of our symbols have rules: for another no confirmation would ever come.
    fn listed(&self, registry: &Registry) -> u32 {
        let is_listed = |id: &&InstrumentId| registry.get(**id).is_some_and(|it| it.tick.0 != 0);
        self.symbols.iter().filter(is_listed).count() as u32
    }

    pub(super) fn subscribe_books(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let listed = self.listed(registry);
        if !self.feed.is_open || !self.are_instruments_ready || listed == 0 {
            self.feed.ready_by = None; // the clock runs from the subscription
            return;
        }
        self.feed.ready_by = Some(now.unix.after(READY_WAIT_NS));
        self.feed.acks_missing = listed;
        self.subscribe_each(registry, LINK_FEED, b'm', BOOKS, out);
    }

    pub(super) fn subscribe_trades(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let listed = self.listed(registry);
        if !self.trades.is_open || !self.are_instruments_ready || listed == 0 {
            self.trades.ready_by = None;
            return;
        }
        self.trades.ready_by = Some(now.unix.after(READY_WAIT_NS));
        self.trades.acks_missing = listed * 2;
        self.subscribe_each(registry, LINK_TRADES, b't', TRADES, out);
        self.subscribe_each(registry, LINK_TRADES, b'q', QUOTES, out);
        for at in 0..self.symbols.len() {
            if let Some(&id) = self.symbols.get(at)
                && self
                    .books
                    .get(id.0 as usize)
                    .is_some_and(|book| book.is_refreshed)
            {
                self.subscribe_whole(registry, id, out);
            }
        }
    }

    fn subscribe_each(
        &mut self,
        registry: &Registry,
        link: LinkId,
        kind: u8,
        channel: &str,
        out: &mut impl Sink,
    ) {
        for at in 0..self.symbols.len() {
            let known = self.symbols.get(at).and_then(|id| registry.get(*id));
            if let Some(known) = known.filter(|known| known.tick.0 != 0) {
                self.write_sub(known, kind, channel);
                out.send_text(link, &self.message);
            }
        }
    }

    /// `{"sub":"market.btcusdt.mbp.20","id":"m1"}`: one letter and the instrument's number.
    fn write_sub(&mut self, instrument: &Instrument, kind: u8, channel: &str) {
        let out = &mut self.message;
        out.clear();
        let symbol = instrument.symbol.as_str();
        for part in [r#"{"sub":"market."#, symbol, ".", channel, r#"","id":""#] {
            out.extend_from_slice(part.as_bytes());
        }
        out.push(kind);
        push_instrument(out, instrument.id);
        out.extend_from_slice(br#""}"#);
    }

    fn subscribe_whole(&mut self, registry: &Registry, id: InstrumentId, out: &mut impl Sink) {
        if let Some(known) = registry.get(id) {
            self.trades.acks_missing += u32::from(!self.trades.is_ready);
            self.write_sub(known, b'r', REFRESH);
            out.send_text(LINK_TRADES, &self.message);
        }
    }

    /// A subscription was confirmed, or will never be.
    pub(super) fn on_subscribed(&mut self, link: LinkId, out: &mut impl Sink) {
        let is_ready = match link {
            LINK_FEED => self.feed.acked(),
            LINK_TRADES => self.trades.acked(),
            _ => false,
        };
        out.event(&if is_ready {
            Event::Control(Control::Subscribed(link))
        } else {
            Event::Ignored("subscription confirmed")
        });
    }

    /// A request on a market socket was refused.
    ///
    /// Errors: the refusal, but of increments the venue does not have: then whole books are subscribed.
    pub(super) fn on_refused(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let words = text(root, "err-msg");
        let reason = match reject::reason(words) {
            RejectReason::Other | RejectReason::None if words.starts_with("invalid ") => {
                RejectReason::BadSymbol
            }
            RejectReason::None => reject::reason(text(root, "err-code")),
            reason => reason,
        };
        let refusal = Fault::Venue {
            code: REFUSED,
            reason,
        };
        let request = Request::parse(text(root, "id").as_bytes());
        match request {
            Some(Request::Snapshot(id, _)) => self.snapshot_failed(id, now),
            // The clock of the link asks again.
            Some(_) if reason == RejectReason::RateLimit => {}
            Some(Request::Books(id)) if reason == RejectReason::BadSymbol => {
                self.on_subscribed(link, out);
                if let Some(book) = self.books.get_mut(id.0 as usize) {
                    (book.is_refreshed, book.channel) = (true, None);
                    (book.is_wanted, book.awaited) = (false, None);
                }
                if self.trades.is_open {
                    self.subscribe_whole(registry, id, out);
                }
                return Ok(());
            }
            // The others must not wait for it.
            Some(Request::Books(_) | Request::Other(_)) => self.on_subscribed(link, out),
            None => {}
        }
        Err(refusal)
    }

    /// Whether this channel is the instrument's book: the first one seen is, the others are passed over.
    pub(super) fn is_its_book(
        &mut self,
        id: InstrumentId,
        channel: Channel,
        out: &mut impl Sink,
    ) -> bool {
        let followed = self.books.get_mut(id.0 as usize);
        let is_other = followed
            .filter(|book| book.is_followed)
            .is_some_and(|book| *book.channel.get_or_insert(channel) != channel);
        if is_other {
            out.event(&Event::Ignored("a second book channel of this instrument"));
        }
        !is_other
    }

    /// Whether a best quote is not older than the last one told.
    pub(super) fn is_new_quote(&mut self, id: InstrumentId, order: i64) -> bool {
        let book = self.books.get_mut(id.0 as usize);
        let Some(book) = book.filter(|book| book.is_followed && order >= 0) else {
            return true;
        };
        let is_new = order >= book.quote_last;
        book.quote_last = book.quote_last.max(order);
        is_new
    }
}

/// When something was asked for that has no answer yet, it is due again.
pub(super) fn again(due: &mut Option<UnixNanos>, now: Now) {
    *due = due.map(|_| now.unix.after(RETRY_NS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_come_back() {
        let id = InstrumentId(35);
        for (text, request) in [
            ("m10", Request::Books(id)),
            ("t10", Request::Other(id)),
            ("q10", Request::Other(id)),
            ("r10", Request::Other(id)),
            ("x10I7", Request::Snapshot(id, 7)),
        ] {
            assert_eq!(Request::parse(text.as_bytes()), Some(request), "{text}");
        }
        for foreign in ["", "m", "m0", "x10", "x10I", "1", "y10", "mzzzzzzzz"] {
            assert_eq!(Request::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn the_channels_have_as_many_levels_as_the_rule_keeps() {
        for channel in [BOOKS, REFRESH] {
            let levels = channel.rsplit('.').next().unwrap();
            assert_eq!(levels.parse(), Ok(crate::MBP_LEVELS));
        }
    }
}
