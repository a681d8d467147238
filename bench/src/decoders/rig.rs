//! A venue machine and its books, given one message after the other as a lane gives them.

use super::tape::{Step, Tape};
use anyhow::{Context as _, bail};
use dp_book::{FeedPlan, Outcome};
use dp_lane::{AnyKeeper, AnyVenue};
use dp_types::{BookMsgKind, Instrument, LinkId, Now, UnixNanos, VenueId};
use dp_venue_api::{
    Event, Fault, ReadCounts, Registry, RestRequest, RestResponse, RestTag, Sink, Venue as _,
    VenueConfig,
};
use std::hint::black_box;

/// The link of market data; the same number at every venue.
const LINK_MARKET: LinkId = LinkId(1);
/// The link of answers.
const LINK_REST: LinkId = LinkId(0);

/// Counts, and keeps the books where there are any.
pub struct Tap {
    books: Vec<(AnyKeeper, Instrument)>,
    has_books: bool,
    /// Depth messages.
    pub messages: u64,
    /// Changes of a book that is in order.
    pub changes: u64,
    /// Levels told.
    pub levels: u64,
    /// Changes that a book did not take; of updates only.
    pub refused: u64,
}

impl Sink for Tap {
    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        let Event::Book(message) = event else {
            black_box(event);
            return;
        };
        self.messages += 1;
        self.levels += (message.bids.len() + message.asks.len()) as u64;
        let mut is_taken = true;
        if !self.has_books {
            black_box(message);
        } else if let Some((keeper, instrument)) = self.books.get_mut(message.instrument.0 as usize)
        {
            let times = (UnixNanos(1), UnixNanos(1));
            let taken = keeper.on_msg(0, message, instrument, times);
            is_taken = taken.outcome == Some(Outcome::Applied);
        }
        let is_change = message.kind == BookMsgKind::Delta;
        self.changes += u64::from(is_change && is_taken);
        self.refused += u64::from(!is_taken);
    }

    fn send_text(&mut self, _link: LinkId, text: &[u8]) {
        black_box(text);
    }

    fn request(&mut self, _link: LinkId, request: &RestRequest<'_>) {
        black_box(request);
    }

    fn reconnect(&mut self, _link: LinkId, why: &'static str) {
        black_box(why);
    }
}

/// What came of one step.
pub struct Fed {
    /// It changed one book, by one level at least, and did nothing else to any.
    pub is_one_update: bool,
}

/// A machine, its books, and the message it is about to be given.
pub struct Rig {
    machine: AnyVenue,
    registry: Registry,
    /// What comes out.
    pub tap: Tap,
    bytes: Vec<u8>,
    is_binary: bool,
    next: usize,
    /// How what is no update was read.
    beside: ReadCounts,
    /// Updates that were not understood.
    pub faults: u64,
}

impl Rig {
    /// The machine of a tape's venue, with books or without. Errors: this build has none.
    pub fn new(tape: &Tape, has_books: bool) -> anyhow::Result<Self> {
        let mut registry = Registry::new();
        let config = VenueConfig {
            symbols: tape.symbols.clone(),
            ..VenueConfig::default()
        };
        let machine = AnyVenue::new(tape.venue, config, &mut registry)?;
        let mut rig = Self {
            machine: machine.with_context(|| format!("this build has no {}", tape.venue))?,
            registry,
            tap: Tap {
                books: Vec::new(),
                has_books,
                messages: 0,
                changes: 0,
                levels: 0,
                refused: 0,
            },
            bytes: Vec::with_capacity(1 << 20),
            is_binary: false,
            next: 0,
            beside: ReadCounts::default(),
            faults: 0,
        };
        for instrument in rig.registry.instruments() {
            let keeper = AnyKeeper::new(instrument, FeedPlan::ONE).context("a book rule")?;
            rig.tap.books.push((keeper, *instrument));
        }
        Ok(rig)
    }

    /// Makes the next update ready; whatever stands before it is fed, and behind the last one a new session begins.
    pub fn load_update(&mut self, tape: &Tape) {
        loop {
            let Some(step) = tape.steps.get(self.next) else {
                self.begin_again();
                continue;
            };
            self.next += 1;
            if step.is_update {
                self.load(step);
                return;
            }
            // What it said the first time it says again.
            let before = self.machine.read_counts();
            let _ = self.feed(step);
            self.beside = self.beside + (self.machine.read_counts() - before);
        }
    }

    fn begin_again(&mut self) {
        self.next = 0;
        let now = Now::default();
        self.machine.on_closed(LINK_MARKET, now, &mut self.tap);
        for (keeper, _) in &mut self.tap.books {
            keeper.lose(0);
        }
    }

    fn load(&mut self, step: &Step) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&step.bytes);
        self.is_binary = step.is_binary;
    }

    /// The loaded message through machine and book.
    #[inline]
    pub fn decode(&mut self) {
        self.faults += u64::from(self.hear().is_err());
    }

    #[inline]
    fn hear(&mut self) -> Result<(), Fault> {
        let Self {
            machine,
            registry,
            tap,
            bytes,
            ..
        } = self;
        let (link, now) = (LINK_MARKET, Now::default());
        if self.is_binary {
            machine.on_binary(registry, link, now, bytes, tap)
        } else {
            machine.on_text(registry, link, now, bytes, tap)
        }
    }

    /// Feeds one step. Errors: an answer that is not understood.
    pub fn feed(&mut self, step: &Step) -> anyhow::Result<Fed> {
        let (messages, changes, levels) = (self.tap.messages, self.tap.changes, self.tap.levels);
        let refused = self.tap.refused;
        self.load(step);
        let is_understood = match &step.url {
            None => self.hear().is_ok(),
            Some(url) => {
                self.hear_answer(url)?;
                false
            }
        };
        // A book that waits for its snapshot takes nothing.
        self.tap.refused = refused;
        Ok(Fed {
            is_one_update: is_understood
                && self.tap.messages - messages == 1
                && self.tap.changes - changes == 1
                && self.tap.levels > levels,
        })
    }

    /// A book that is asked for; no other answer matters to a decoder.
    fn hear_answer(&mut self, url: &str) -> anyhow::Result<()> {
        let Some(tag) = book_tag(self.machine.id(), &self.registry, url) else {
            return Ok(());
        };
        let response = RestResponse {
            tag,
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut self.bytes,
        };
        let (registry, tap) = (&mut self.registry, &mut self.tap);
        let result = self
            .machine
            .on_response(registry, LINK_REST, Now::default(), response, tap);
        result.with_context(|| format!("the answer of {url}"))
    }

    /// How many updates the scanner took, of all. Errors: updates that were not understood or not taken: a figure
    /// for them would flatter.
    pub fn check(&self, tape: &Tape) -> anyhow::Result<(u64, u64)> {
        let (faults, refused) = (self.faults, self.tap.refused);
        if faults > 0 || self.tap.has_books && refused > 0 {
            bail!(
                "{}: {faults} updates not understood, {refused} refused",
                tape.venue
            );
        }
        let counts = self.machine.read_counts() - self.beside;
        Ok((counts.scanned, counts.scanned + counts.parsed))
    }
}

/// The tag of a book's URL, at the two venues whose books begin with an answer.
fn book_tag(venue: VenueId, registry: &Registry, url: &str) -> Option<RestTag> {
    match venue {
        VenueId::BINANCE => {
            let spot = dp_venue_binance::product::Product::Spot;
            dp_venue_binance::rest::tag_of_url(spot, registry, url)
        }
        VenueId::KUCOIN if url.contains("/level2") => {
            dp_venue_kucoin::rest::tag_of_url(registry, url)
        }
        _ => None,
    }
}
