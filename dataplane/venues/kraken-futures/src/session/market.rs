//! The public link: instruments first, then the subscriptions, and books that are entered anew.

use super::{
    ANSWER_WAIT_NS, READY_WAIT_NS, REST_RETRY_NS, REST_WAIT_NS, SECOND_NS, SYMBOLS_PER_SUBSCRIBE,
    Session,
};
use crate::LINK_PUBLIC;
use crate::feed::some;
use crate::requests::Kind;
use crate::rest;
use crate::rules::Rules;
use crate::symbols::push_u64;
use crate::sync::BOOK_DEPTH;
use dp_types::{Instrument, InstrumentId, Now, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// Channels of one symbol, with what is asked of each: the ticker at every change of the best quote.
const CHANNELS: [(&str, &str); 3] = [
    ("book", r#","snapshot":true,"depth":"#),
    ("trade", r#","snapshot":false"#),
    ("ticker", r#","event_trigger":"bbo""#),
];
/// Pause between two subscriptions of one book.
const RENEW_PAUSE_NS: u64 = SECOND_NS / 2;

/// Where a book stands, as far as asking for it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Step {
    /// Nothing is asked.
    #[default]
    Idle,
    /// It is to be left and entered.
    Wanted,
    /// It was left; entering waits for the answer.
    Leaving,
    /// It was entered; the snapshot is awaited.
    Entering,
}

/// One followed instrument's book.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BookState {
    is_followed: bool,
    step: Step,
    /// When the step is due, or what it waits for is late.
    at: UnixNanos,
    entered: UnixNanos,
}

/// A state for each followed instrument, by its id.
pub(super) fn book_states(instruments: &[InstrumentId]) -> Vec<BookState> {
    let size = instruments.iter().map(|id| id.0 as usize + 1).max();
    let mut books = vec![BookState::default(); size.unwrap_or(0)];
    for id in instruments {
        if let Some(book) = books.get_mut(id.0 as usize) {
            book.is_followed = true;
        }
    }
    books
}

/// A snapshot came: the keeper asks again if it is no good.
pub(super) fn taken(books: &mut [BookState], id: InstrumentId) {
    let book = books.get_mut(id.0 as usize);
    if let Some(book) = book.filter(|book| book.step == Step::Entering) {
        book.step = Step::Idle;
    }
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// A subscription's parameters: the channel, its symbols, and with `is_whole` what is asked of it.
fn push_channel(
    registry: &Registry,
    (channel, more): (&str, &str),
    symbols: &[InstrumentId],
    is_whole: bool,
    out: &mut Vec<u8>,
) {
    for part in [r#","channel":""#, channel, r#"","symbol":["#] {
        push(out, part);
    }
    let mut separator = r#"""#;
    for id in symbols {
        push(out, separator);
        push(
            out,
            registry.get(*id).map_or("", |known| known.symbol.as_str()),
        );
        push(out, r#"""#);
        separator = r#",""#;
    }
    push(out, "]");
    if is_whole {
        push(out, more);
    }
    if channel == "book" {
        if !is_whole {
            push(out, r#","depth":"#); // one book of each depth may be subscribed
        }
        push_u64(BOOK_DEPTH as u64, out);
    }
}

impl Session {
    /// The link is open: the instruments first, or what they are for when they are known.
    pub(super) fn enter_market(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.are_instruments_ready {
            self.subscribe(registry, now, out);
            return;
        }
        self.public.ready_by = Some(now.unix.after(READY_WAIT_NS));
        self.send_subscription(
            LINK_PUBLIC,
            "subscribe",
            Kind::Instruments,
            |text| push(text, r#","channel":"instrument","snapshot":true"#),
            out,
        );
    }

    /// The link is gone, and with it all that was asked on it.
    pub(super) fn leave_market(&mut self) {
        for book in &mut self.books {
            book.step = Step::Idle;
        }
    }

    /// A message of the instrument channel: rules wait for the registry. They are read at the start: who trades has
    /// counted in the increments of then.
    ///
    /// Errors: an instrument of ours whose numbers cannot be read; the others are taken.
    pub(super) fn on_instruments(
        &mut self,
        registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.are_instruments_ready {
            out.event(&Event::Ignored("rules are read at the start"));
            return Ok(());
        }
        let data = root.get("data").ok_or(DecodeError::Field("data"))?;
        // The spot market has its pairs beside assets; derivatives are not shown [U], and may be the list itself.
        let items = match some(data, "pairs") {
            Some(pairs) => pairs.as_array(),
            None => data.as_array(),
        };
        let mut result = Ok(());
        for item in items.ok_or(DecodeError::Field("pairs"))? {
            match Rules::of_unified(registry, item) {
                Ok(Some(rules)) => self.note(rules),
                Ok(None) => {}
                Err(error) => result = result.and(Err(error)),
            }
        }
        if root.get("type").and_then(Value::as_str) == Some("snapshot") {
            self.is_listed = true;
            self.public.ready_by = None; // the clock runs from the subscriptions
            self.status_at = Some(now.unix);
            self.run_due(registry, now, out);
        }
        out.event(&Event::Ignored("instruments: rules wait for the registry"));
        Ok(result?)
    }

    /// The newest rules of an instrument count.
    fn note(&mut self, rules: Rules) {
        self.rules.retain(|held| held.id() != rules.id());
        if self.rules.len() < self.symbols.len() {
            self.rules.push(rules);
        }
    }

    pub(super) fn ask_status(&mut self, now: Now, out: &mut impl Sink) {
        self.status_at = Some(now.unix.after(REST_WAIT_NS));
        rest::ask_status(out);
    }

    /// The registry may be written: rules that wait go in, and that all are there is told, once. Whatever the answer
    /// says that brings it, even that it was lost.
    ///
    /// Errors: rules that do not fit; a symbol of ours that the venue does not list, once.
    pub(super) fn settle_rules(
        &mut self,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.are_instruments_ready || !self.is_listed {
            return Ok(());
        }
        self.are_instruments_ready = true;
        self.status_at = None;
        let mut result = Ok(());
        for rules in self.rules.drain(..) {
            result = result.and(rules.apply(registry));
        }
        // A symbol the venue did not list keeps no rules: it must not trade.
        let mut unlisted = None;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.or(Some(id));
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe(registry, now, out);
        result?;
        match unlisted {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
    }

    /// Subscribes what has rules: for another symbol no confirmation would ever come.
    fn subscribe(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.public.is_open {
            return;
        }
        let is_listed = |id: &&InstrumentId| registry.get(**id).is_some_and(|it| it.tick.0 != 0);
        let listed: Vec<_> = self.symbols.iter().filter(is_listed).copied().collect();
        let ready_by = now.unix.after(READY_WAIT_NS);
        self.public.ready_by = (!listed.is_empty()).then_some(ready_by);
        self.public.acks_missing = (listed.len() * CHANNELS.len()) as u32;
        for id in &listed {
            self.entering(*id, now);
        }
        for chunk in listed.chunks(SYMBOLS_PER_SUBSCRIBE) {
            for channel in CHANNELS {
                let write = |text: &mut Vec<u8>| push_channel(registry, channel, chunk, true, text);
                self.send_subscription(LINK_PUBLIC, "subscribe", Kind::Market, write, out);
            }
        }
    }

    fn entering(&mut self, id: InstrumentId, now: Now) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.step = Step::Entering;
            book.at = now.unix.after(ANSWER_WAIT_NS);
            book.entered = now.unix;
        }
    }

    /// The keeper has no snapshot or lost its place. A snapshot that is on its way is not asked for again.
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if !self.public.is_open || !self.are_instruments_ready {
            return; // subscribing brings one
        }
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.is_followed && book.step == Step::Idle) {
            book.step = Step::Wanted;
            book.at = now.unix.max(book.entered.after(RENEW_PAUSE_NS));
        }
        self.run_due(registry, now, out);
    }

    /// When the next book is due.
    pub(super) fn books_due(&self) -> Option<UnixNanos> {
        let waiting = self.books.iter().filter(|book| book.step != Step::Idle);
        waiting.map(|book| book.at).min()
    }

    pub(super) fn renew_books(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index).filter(|book| book.at <= now.unix) else {
                continue;
            };
            match book.step {
                Step::Idle => continue,
                Step::Wanted | Step::Entering => {}
                Step::Leaving => {
                    self.give_up(LINK_PUBLIC, "a book was not left in time", out);
                    return;
                }
            }
            book.step = Step::Leaving;
            book.at = now.unix.after(ANSWER_WAIT_NS);
            let id = InstrumentId(index as u32);
            self.send_book(registry, "unsubscribe", Kind::LeaveBook(id), id, out);
        }
    }

    fn send_book(
        &mut self,
        registry: &Registry,
        method: &str,
        kind: Kind,
        id: InstrumentId,
        out: &mut impl Sink,
    ) {
        let [channel, ..] = CHANNELS;
        let is_whole = method == "subscribe";
        let write = |text: &mut Vec<u8>| push_channel(registry, channel, &[id], is_whole, text);
        self.send_subscription(LINK_PUBLIC, method, kind, write, out);
    }

    /// A book was left, or the venue says that it was not entered: either way it may be entered.
    pub(super) fn book_left(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let book = self.books.get(id.0 as usize);
        if book.is_some_and(|book| book.step == Step::Leaving) {
            self.entering(id, now);
            self.send_book(registry, "subscribe", Kind::EnterBook(id), id, out);
        }
        out.event(&Event::Ignored("a book was left, to be entered anew"));
    }

    /// Entering a book was refused: again in a while.
    pub(super) fn book_refused(&mut self, id: InstrumentId, now: Now) {
        let book = self.books.get_mut(id.0 as usize);
        if let Some(book) = book.filter(|book| book.step == Step::Entering) {
            book.at = now.unix.after(REST_RETRY_NS);
        }
    }

    /// One subscription was confirmed or refused; with the last one the link is ready.
    pub(super) fn market_confirmed(&mut self, out: &mut impl Sink) {
        let was_missing = self.public.acks_missing;
        self.public.acks_missing = was_missing.saturating_sub(1);
        if was_missing == 1 {
            self.public.is_ready = true;
            self.public.ready_by = None;
            out.event(&Event::Control(Control::Subscribed(LINK_PUBLIC)));
        } else {
            out.event(&Event::Ignored("subscription confirmed"));
        }
    }

    /// The list of instruments was refused: without it there is nothing to do on this link.
    pub(super) fn instruments_refused(&mut self, out: &mut impl Sink) {
        self.give_up(LINK_PUBLIC, "the instruments were refused", out);
    }
}
