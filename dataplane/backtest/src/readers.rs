//! Recorded messages through the venues' own machines: one a connection, and one a venue for its REST answers.

use crate::BacktestError;
use dp_book::State;
use dp_capture::Record;
use dp_config::Config;
use dp_lane::{AnyVenue, Desk as _, Fact, Paper, offline};
use dp_types::{
    BookMsg, InstrumentId, LinkId, Now, Price, Qty, QuoteMsg, TradeMsg, Tsc, VenueId, VenueNanos,
};
use dp_venue_api::{
    Control, Event, Fault, Registry, RestRequest, RestResponse, Sink, Usage, Venue as _,
};

/// The market data link of each venue, and its REST link.
const MARKET: LinkId = LinkId(1);
const REST: LinkId = LinkId(0);
/// Kinds of market data a connection can bring: books, single orders, trades, quotes.
const KINDS: usize = 4;
/// Whom nothing belongs to yet.
const NOBODY: u32 = u32::MAX;

/// A venue's machine for REST answers.
struct Seat {
    venue: VenueId,
    rest: AnyVenue,
}

/// One connection of one recording.
struct Connection {
    source: usize,
    name: String,
    venue: VenueId,
    machine: AnyVenue,
}

/// The machines, and what they have read.
pub struct Readers<'c> {
    config: &'c Config,
    /// Instruments and assets.
    pub registry: Registry,
    seats: Vec<Seat>,
    connections: Vec<Connection>,
    /// Which connection brings an instrument's data, by kind: the first that does. Others that carry it too are
    /// another session's view of the same.
    owners: Vec<[u32; KINDS]>,
    /// Messages read.
    pub messages: u64,
    /// Events made of them.
    pub events: u64,
    /// Messages that could not be read.
    pub decode_errors: u64,
}

impl<'c> Readers<'c> {
    /// Machines for the configuration's venues, with the instruments it tells the rules of.
    ///
    /// Errors: a venue this build has no machine for, a rule that does not fit.
    pub fn new(config: &'c Config) -> Result<Self, BacktestError> {
        let mut registry = Registry::new();
        let mut seats = Vec::new();
        for name in config.venue.keys() {
            let Some(venue) = VenueId::from_name(name) else {
                continue;
            };
            let rest = machine(config, venue, &mut registry)?;
            seats.push(Seat { venue, rest });
        }
        let mut readers = Self {
            config,
            owners: vec![[NOBODY; KINDS]; registry.instruments().len()],
            registry,
            seats,
            connections: Vec::new(),
            messages: 0,
            events: 0,
            decode_errors: 0,
        };
        readers.take_rules()?;
        Ok(readers)
    }

    /// Venues, in order.
    pub fn venues(&self) -> impl Iterator<Item = VenueId> + '_ {
        self.seats.iter().map(|seat| seat.venue)
    }

    /// A venue's machine, which has read what the recordings tell of its rules.
    pub fn machine(&self, venue: VenueId) -> Option<&AnyVenue> {
        let seat = self.seats.iter().find(|seat| seat.venue == venue)?;
        Some(&seat.rest)
    }

    /// `[[paper.instrument]]`.
    fn take_rules(&mut self) -> Result<(), BacktestError> {
        for told in &self.config.paper.instrument {
            let rules = &told.rules;
            let wrong = |why: String| {
                let (venue, symbol) = (&told.venue, &rules.symbol);
                BacktestError::Usage(format!("paper.instrument {venue} {symbol}: {why}"))
            };
            let id = VenueId::from_name(&told.venue)
                .and_then(|venue| self.registry.find(venue, rules.symbol.as_bytes()));
            let Some(mut it) = id.and_then(|id| self.registry.get(id).copied()) else {
                continue;
            };
            let [tick, lot, qty_min] = rules.steps().map_err(wrong)?;
            let number = |error: dp_types::NumError| wrong(error.to_string());
            it.tick = it.price(tick).map_err(number)?;
            it.lot = it.qty(lot).map_err(number)?;
            it.qty_min = it.qty(qty_min).map_err(number)?;
            let full = |error: dp_venue_api::RegistryError| wrong(error.to_string());
            it.base = self.registry.asset(&rules.base).map_err(full)?;
            it.quote = self.registry.asset(&rules.quote).map_err(full)?;
            it.is_live = true;
            self.registry.update(it);
        }
        Ok(())
    }

    /// Whether an instrument's rules are known.
    pub fn is_known(&self, id: InstrumentId) -> bool {
        let known = self.registry.get(id);
        known.is_some_and(|it| it.tick > Price(0) && it.lot > Qty(0))
    }

    /// Looks at a line for rules of instruments alone.
    ///
    /// Errors: a line that cannot be read.
    pub fn learn(&mut self, venue: VenueId, record: Record, now: Now) -> Result<(), BacktestError> {
        if record.is_rest() {
            self.on_rest(venue, record, now, 0, None)?;
        }
        Ok(())
    }

    /// A line of a recording. Says whether the venue's instruments are known anew.
    ///
    /// Errors: a line that cannot be read.
    pub fn on_line(
        &mut self,
        (source, venue): (usize, VenueId),
        record: Record,
        (now, shift): (Now, u64),
        desk: &mut Paper<'_>,
    ) -> Result<bool, BacktestError> {
        if record.event.is_some() {
            self.open((source, venue), &record, now, desk)?;
            return Ok(false);
        }
        self.messages += 1;
        if record.is_rest() {
            return self.on_rest(venue, record, now, shift, Some(desk));
        }
        let at = self.connection((source, venue), &record.conn)?;
        let is_binary = record.is_binary();
        let mut bytes = record.into_bytes()?;
        let Self {
            registry,
            connections,
            owners,
            events,
            ..
        } = self;
        let Some(connection) = connections.get_mut(at) else {
            return Ok(false);
        };
        let mut heard = Heard {
            desk: Some(desk),
            owners,
            owner: Some(at as u32),
            venue,
            now,
            shift,
            events,
            has_instruments: false,
        };
        let machine = &mut connection.machine;
        let result = if is_binary {
            machine.on_binary(registry, MARKET, now, &mut bytes, &mut heard)
        } else {
            machine.on_text(registry, MARKET, now, &mut bytes, &mut heard)
        };
        self.count(result);
        Ok(false)
    }

    /// The recordings begin again: every connection is new, every book lost.
    pub fn begin_again(&mut self, now: Now, desk: &mut Paper<'_>) {
        self.connections.clear();
        self.owners.fill([NOBODY; KINDS]);
        for seat in &self.seats {
            desk.fact(seat.venue, Fact::FeedLost(0), now);
        }
    }

    fn count(&mut self, result: Result<(), Fault>) {
        self.decode_errors += u64::from(matches!(result, Err(Fault::Decode(_))));
    }

    /// A connection is opened. One of that name before it is gone, and the books it brought are lost.
    fn open(
        &mut self,
        (source, venue): (usize, VenueId),
        record: &Record,
        now: Now,
        desk: &mut Paper<'_>,
    ) -> Result<(), BacktestError> {
        let count = self.connections.len();
        let at = self.connection((source, venue), &record.conn)?;
        if at == count {
            return Ok(());
        }
        self.connections[at].machine = machine(self.config, venue, &mut self.registry)?;
        for (id, owners) in (0..).map(InstrumentId).zip(&self.owners) {
            if owners[0] == at as u32 {
                desk.fact(venue, Fact::BookLost(id), now);
            }
            if owners[1] == at as u32 {
                desk.fact(venue, Fact::L3Lost(id), now);
            }
        }
        Ok(())
    }

    /// The place of a connection, made when it is first heard of.
    fn connection(
        &mut self,
        (source, venue): (usize, VenueId),
        name: &str,
    ) -> Result<usize, BacktestError> {
        let is_it = |it: &Connection| it.source == source && it.venue == venue && it.name == name;
        if let Some(at) = self.connections.iter().position(is_it) {
            return Ok(at);
        }
        self.connections.push(Connection {
            source,
            name: name.to_owned(),
            venue,
            machine: machine(self.config, venue, &mut self.registry)?,
        });
        Ok(self.connections.len() - 1)
    }

    /// A REST answer: rules go to the registry, a book to a keeper that waits for one.
    fn on_rest(
        &mut self,
        venue: VenueId,
        mut record: Record,
        now: Now,
        shift: u64,
        desk: Option<&mut Paper<'_>>,
    ) -> Result<bool, BacktestError> {
        let url = record.url.take().unwrap_or_default();
        let Some(tag) = offline::tag_of_url(venue, &self.registry, &url) else {
            return Ok(false);
        };
        let Self {
            registry,
            seats,
            owners,
            events,
            ..
        } = self;
        let Some(seat) = seats.iter_mut().find(|seat| seat.venue == venue) else {
            return Ok(false);
        };
        let mut body = record.into_bytes()?;
        let response = RestResponse {
            tag,
            status: 200,
            retry_after_s: None,
            usage: Usage::default(),
            body: &mut body,
        };
        let mut heard = Heard {
            desk,
            owners,
            owner: None,
            venue,
            now,
            shift,
            events,
            has_instruments: false,
        };
        let result = seat
            .rest
            .on_response(registry, REST, now, response, &mut heard);
        let has_instruments = heard.has_instruments;
        self.count(result);
        Ok(has_instruments)
    }
}

fn machine(
    config: &Config,
    venue: VenueId,
    registry: &mut Registry,
) -> Result<AnyVenue, BacktestError> {
    let wrong = |why: String| BacktestError::Usage(format!("venue.{venue}: {why}"));
    let section = config.venue.get(venue.name());
    let section = section.ok_or_else(|| wrong("no such section".into()))?;
    let made = AnyVenue::new(venue, offline::reader(section), registry);
    let made = made.map_err(|error| wrong(error.to_string()))?;
    made.ok_or_else(|| wrong("this build has no machine for it".into()))
}

/// What a machine says, to the desk.
struct Heard<'a, 'r> {
    desk: Option<&'a mut Paper<'r>>,
    owners: &'a mut [[u32; KINDS]],
    /// The connection it came by; `None`: a REST answer.
    owner: Option<u32>,
    venue: VenueId,
    now: Now,
    shift: u64,
    events: &'a mut u64,
    has_instruments: bool,
}

impl Heard<'_, '_> {
    /// Whether this connection is the one that brings this instrument's data of a kind.
    fn owns(&mut self, id: InstrumentId, kind: usize) -> bool {
        let slot = self
            .owners
            .get_mut(id.0 as usize)
            .and_then(|it| it.get_mut(kind));
        match (self.owner, slot) {
            (Some(owner), Some(slot)) if *slot == NOBODY => {
                *slot = owner;
                true
            }
            (Some(owner), Some(slot)) => *slot == owner,
            _ => false,
        }
    }

    /// A book asked for by REST is for a keeper that waits.
    fn is_awaited(&self, id: InstrumentId) -> bool {
        let desk = self.desk.as_ref();
        let book = desk.and_then(|desk| desk.engine().book(id));
        book.is_some_and(|(_, proof)| proof.state != State::Synced)
    }

    const fn later(&self, venue_ns: VenueNanos) -> VenueNanos {
        if venue_ns.0 == 0 {
            venue_ns
        } else {
            VenueNanos(venue_ns.0.saturating_add(self.shift))
        }
    }

    fn tell(&mut self, event: &Event<'_>) {
        *self.events += 1;
        if let Some(desk) = &mut self.desk {
            desk.event(0, event, self.now, Tsc(0));
            // What only a live link could do: the recording brings what it brought.
            while desk.next_action().is_some() {}
        }
    }
}

impl Sink for Heard<'_, '_> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(msg) => {
                let is_ours = match self.owner {
                    Some(_) => self.owns(msg.instrument, 0),
                    None => self.is_awaited(msg.instrument),
                };
                if is_ours {
                    let venue_ns = self.later(msg.venue_ns);
                    self.tell(&Event::Book(BookMsg { venue_ns, ..*msg }));
                }
            }
            Event::L3(msg) if self.owns(msg.instrument, 1) => self.tell(event),
            Event::Trade(trade) if self.owns(trade.instrument, 2) => {
                let venue_ns = self.later(trade.venue_ns);
                self.tell(&Event::Trade(TradeMsg { venue_ns, ..*trade }));
            }
            Event::Quote(quote) if self.owns(quote.instrument, 3) => {
                let venue_ns = self.later(quote.venue_ns);
                self.tell(&Event::Quote(QuoteMsg { venue_ns, ..*quote }));
            }
            Event::Control(Control::InstrumentsReady) => self.has_instruments = true,
            Event::Control(Control::BookLost(id)) if self.owns(*id, 0) => {
                let (venue, now) = (self.venue, self.now);
                if let Some(desk) = &mut self.desk {
                    desk.fact(venue, Fact::BookLost(*id), now);
                }
            }
            _ => {}
        }
    }

    fn send_text(&mut self, _: LinkId, _: &[u8]) {}

    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}

    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}
