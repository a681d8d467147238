//! A venue's market data over FIX: its link, what is asked for on it, and how what comes is read.
//!
//! ```text
//! logged on, rules known ─▶ V for each instrument ─▶ W, X … ─▶ books, trades
//! a book lost its place  ─▶ V ends, V asks anew (1 s apart) ─▶ W
//! ```
//! The session is proved by its own numbers: a message of it that is missing ends the link, and every book begins anew
//! with the next one.

use crate::dialect::{Dialect, Entries, MarketDialect};
use crate::market::{Market, write_request};
use crate::singles::Singles;
use crate::write::Fields;
use dp_types::{InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::digits::Digits;
use dp_wire::fix::Message;

/// Pause between two requests for one book.
const PAUSE_NS: u64 = 1_000_000_000;

/// What was asked for of one instrument.
#[derive(Debug, Clone, Copy)]
struct Asked {
    id: InstrumentId,
    /// Number of the first request that runs; 0 = none does.
    number: u64,
    at: UnixNanos,
    /// The book is wanted anew.
    is_wanted: bool,
}

#[derive(Debug)]
enum Reader {
    Levels(Market),
    Orders(Singles),
}

/// Market data over FIX.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) link: LinkId,
    dialect: MarketDialect,
    reader: Reader,
    asked: Vec<Asked>,
    is_up: bool,
    has_rules: bool,
    /// Requests so far.
    count: u64,
    fields: Box<Fields>,
}

impl Feed {
    /// On this link, of these instruments.
    pub(crate) fn new(link: LinkId, dialect: MarketDialect, instruments: &[InstrumentId]) -> Self {
        let asked = |id: &InstrumentId| Asked {
            id: *id,
            number: 0,
            at: UnixNanos(0),
            is_wanted: false,
        };
        Self {
            link,
            dialect,
            reader: match dialect.entries {
                Entries::Levels(levels) => Reader::Levels(Market::new(levels, instruments)),
                Entries::Orders => Reader::Orders(Singles::new(instruments)),
            },
            asked: instruments.iter().map(asked).collect(),
            is_up: false,
            has_rules: false,
            count: 0,
            fields: Box::default(),
        }
    }

    /// Both have logged on.
    pub(crate) fn on_open(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.is_up = true;
        self.begin(registry, now, out);
        out.event(&Event::Control(Control::Subscribed(self.link)));
    }

    /// The instruments' rules are known: books before them would be of other increments.
    pub(crate) fn on_rules(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.has_rules = true;
        self.begin(registry, now, out);
    }

    pub(crate) fn on_closed(&mut self) {
        self.is_up = false;
        for asked in &mut self.asked {
            (asked.number, asked.is_wanted) = (0, false);
        }
        if let Reader::Orders(singles) = &mut self.reader {
            singles.forget(None);
        }
    }

    fn begin(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for at in 0..self.asked.len() {
            let runs = self.asked.get(at).is_some_and(|asked| asked.number > 0);
            if self.is_up && self.has_rules && !runs {
                self.ask(registry, at, now, out);
            }
        }
    }

    /// Ends what was asked for of an instrument, and asks for it anew. One without rules is not asked for.
    fn ask(&mut self, registry: &Registry, at: usize, now: Now, out: &mut impl Sink) {
        let Some(asked) = self.asked.get_mut(at) else {
            return;
        };
        let Some(known) = registry.get(asked.id).filter(|known| known.tick.0 != 0) else {
            return;
        };
        let ended = asked.number;
        asked.number = self.count + 1;
        (asked.at, asked.is_wanted) = (now.unix, false);
        if let Reader::Orders(singles) = &mut self.reader {
            singles.forget(Some(asked.id));
        }
        let begun = asked.number;
        for (first, is_wanted) in [(ended, false), (begun, true)] {
            if first == 0 {
                continue;
            }
            for (number, ask) in (first..).zip(self.dialect.asks) {
                let (id, symbol) = (Digits::u64(number), known.symbol.as_bytes());
                write_request(id.as_bytes(), is_wanted, symbol, ask, &mut self.fields);
                if let Some(fields) = self.fields.whole() {
                    out.send_fix(self.link, "V", fields);
                }
            }
        }
        self.count += self.dialect.asks.len() as u64;
    }

    /// A book lost its place.
    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.id == id) {
            // Nothing runs: the logon will ask for all.
            asked.is_wanted = asked.number > 0;
        }
        self.on_deadline(registry, now, out);
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for at in 0..self.asked.len() {
            let is_due = |asked: &Asked| asked.is_wanted && asked.at.after(PAUSE_NS) <= now.unix;
            if self.asked.get(at).is_some_and(is_due) {
                self.ask(registry, at, now, out);
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let wanted = self.asked.iter().filter(|asked| asked.is_wanted);
        wanted.map(|asked| asked.at.after(PAUSE_NS)).min()
    }

    /// One message of the link.
    ///
    /// Errors: [`Fault`]; where a book may have lost something by it, the link is asked to begin anew.
    pub(crate) fn on_message(
        &mut self,
        dialect: &Dialect,
        registry: &Registry,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let read = match (message.kind(), &mut self.reader) {
            (b"W" | b"X", Reader::Levels(market)) => {
                market.on_message(dialect.venue, registry, message, dialect.trade_id, out)
            }
            (b"W" | b"X" | b"f", Reader::Orders(singles)) => {
                singles.on_message(dialect, registry, message, out)
            }
            (b"Y" | b"j" | b"3", _) => {
                let code = message.u64(281).unwrap_or(0) as i32;
                let reason = RejectReason::BadSymbol;
                return Err(Fault::Venue { code, reason });
            }
            (b"B", _) => {
                out.event(&Event::Ignored("a notice"));
                return Ok(());
            }
            _ => return Err(DecodeError::Shape("a FIX message of a kind we do not know").into()),
        };
        match read {
            Ok(whole) => {
                for asked in &mut self.asked {
                    asked.is_wanted &= whole != Some(asked.id);
                }
                Ok(())
            }
            Err(error) => {
                out.reconnect(self.link, "market data that cannot be read");
                Err(error.into())
            }
        }
    }
}
