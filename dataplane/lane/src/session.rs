//! The sessions of a lane: venue machines, their links and what they want sent, over one transport. All of a
//! lane's I/O and none of its decisions: those are its desk's.
//!
//! A venue whose market data comes by several feeds has a machine for each: the first is the venue's own, the others
//! have no more than its market data links and their own instruments, and say nothing but market data.
//!
//! ```text
//!   transport ─▶ link (TLS, WebSocket, HTTP, FIX) ─▶ venue machine ─▶ LaneSink ─▶ desk: events, facts
//!         datagrams ──────────────────────────────▶    │
//!                                                      │ texts, requests
//!                                                      ▼
//!   transport ◀─ link ◀────────────────────────────  outbox      ◀─ venue machine ◀─ desk: actions
//! ```

mod groups;
mod out;
mod race;

pub(crate) use out::{admit, follows};

use crate::any_venue::AnyVenue;
use crate::desk::{Desk, Fact, VenueLinks};
use crate::link::{Link, LinkEvent, LinkFault};
use crate::outbox::Outbox;
use crate::resolve::Inbox;
use crate::wall::Wall;
use crate::wiretap::{Of, Wiretap};
use dp_proto::ws::WsFault;
use dp_shm::{Counter, LinkState, Stage};
use dp_transport::{Chunk, Clock, CloseReason, Counts, Ready, Socket, Transport, tsc};
use dp_types::{CancelOrder, LinkId, NewOrder, Now, Tsc, UnixNanos, VenueId};
use dp_venue_api::{
    Control, Event, Fault, LineCounts, LinkKind, LinkRole, ReadCounts, Registry, RestRequest,
    RestResponse, RestTag, Sink, Venue as _,
};

/// Most new orders one request carries, whatever a venue would take.
pub(crate) const ORDERS_MAX: usize = 32;

/// The link of each venue that carries its books (venues number theirs alike: 0 REST, 1 market data,
/// 2 orders).
const FEED: LinkId = LinkId(1);
/// The link that carries orders and the user stream.
pub(crate) const ORDERS: LinkId = LinkId(2);
/// Room an order link keeps for cancels and answers to pings: new orders and amends are refused below it.
const CANCEL_BYTES: usize = 64 << 10;
/// A venue that refuses a connection for rate is left alone at least so long.
const BAN_NS: u64 = 60_000_000_000;

/// One venue of a lane, or a further feed of it.
struct Seat {
    /// 0: the venue's own machine.
    feed: u8,
    venue: AnyVenue,
    links: Vec<Link>,
    outbox: Outbox,
    last_message: UnixNanos,
}

/// Venue machines, links and transport of one lane.
pub(crate) struct Sessions<T> {
    pub(crate) transport: T,
    /// What it had counted when that was last shown.
    counts: Counts,
    /// The same of the venue machines together.
    reads: ReadCounts,
    pub(crate) clock: Clock,
    /// Instruments as each feed has learnt them; ids and assets are the same in all.
    registries: Vec<Registry>,
    seats: Vec<Seat>,
    /// Multicast groups, and what they had brought when that was last shown.
    groups: Vec<groups::Joined>,
    lines: LineCounts,
    addresses: Inbox,
    /// Orders about to be cancelled together.
    live: Vec<CancelOrder>,
    /// Orders about to be entered together.
    orders: Vec<NewOrder>,
    /// Where what is heard and said is copied to, while it is recorded.
    pub(crate) tap: Option<Box<Wiretap>>,
}

/// The sink a venue machine speaks to.
struct LaneSink<'s, D> {
    desk: &'s mut D,
    outbox: &'s mut Outbox,
    venue: VenueId,
    feed: u8,
    now: Now,
    /// When the message was handed to the machine.
    since: Tsc,
    /// The machine has learnt its instruments: the desk must be told once the machine is free.
    has_instruments: bool,
}

impl<D: Desk> Sink for LaneSink<'_, D> {
    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Control(control) => self.control(*control),
            Event::Order(_) | Event::Fill(_) | Event::Ack(_) | Event::Funding(_)
                if self.feed > 0 => {}
            event => {
                if !self.desk.event(self.feed, event, self.now, self.since) {
                    self.outbox.reconnect(ORDERS, "the engine's ring is full");
                }
            }
        }
    }

    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.outbox.text(link, text);
    }

    fn send_fix(&mut self, link: LinkId, kind: &'static str, fields: &[u8]) {
        self.outbox.fix(link, kind, fields);
    }

    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.outbox.request(link, request);
    }

    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.outbox.reconnect(link, why);
    }

    fn connect(&mut self, link: LinkId, path: &str) {
        self.outbox.connect(link, path);
    }
}

impl<D: Desk> LaneSink<'_, D> {
    fn control(&mut self, control: Control) {
        let fact = match control {
            Control::InstrumentsReady => {
                self.has_instruments = true;
                return;
            }
            Control::LoggedIn(_) => {
                tracing::info!(venue = %self.venue, "logged in");
                Fact::LoggedIn
            }
            Control::LoginRefused(reason) => {
                tracing::error!(venue = %self.venue, reason = reason.name(), "login refused: check the keys file");
                return;
            }
            Control::ReconcileStarted => Fact::ReconcileStarted,
            Control::Reconciled => {
                tracing::info!(venue = %self.venue, "orders and fills compared with the venue");
                Fact::Reconciled
            }
            Control::ClosingSoon(link) => {
                self.outbox.reconnect(link, "the venue will close it soon");
                return;
            }
            Control::RateLimited { until_ms } => {
                tracing::warn!(venue = %self.venue, until_ms, "the venue stopped us for rate");
                Fact::RateLimited(UnixNanos::from_millis(until_ms))
            }
            Control::L3Lost(instrument) => Fact::L3Lost(instrument),
            Control::BookLost(instrument) => {
                tracing::warn!(venue = %self.venue, instrument = instrument.0, "book lost");
                Fact::BookLost(instrument)
            }
            Control::Subscribed(_) | Control::Heartbeat => return,
        };
        if self.feed > 0 && !matches!(fact, Fact::RateLimited(_)) {
            return;
        }
        self.desk.fact(self.venue, fact, self.now);
    }
}

/// Lets a venue machine hear or speak. Also says whether it has learnt its instruments.
#[inline]
fn tell<D: Desk, R>(
    venue: &mut AnyVenue,
    outbox: &mut Outbox,
    desk: &mut D,
    (feed, now, since): (u8, Now, Tsc),
    say: impl FnOnce(&mut AnyVenue, &mut LaneSink<'_, D>) -> R,
) -> (R, bool) {
    let mut sink = LaneSink {
        desk,
        outbox,
        venue: venue.id(),
        feed,
        now,
        since,
        has_instruments: false,
    };
    let result = say(venue, &mut sink);
    // A further feed learns them for itself.
    let has_instruments = sink.has_instruments && feed == 0;
    (result, has_instruments)
}

impl<T: Transport> Sessions<T> {
    /// Sessions over a transport. A venue's second machine is its second feed, and so on.
    pub(crate) fn new(
        transport: T,
        clock: Clock,
        registry: Registry,
        venues: Vec<(AnyVenue, Vec<Link>)>,
        addresses: Inbox,
    ) -> Self {
        let mut seats: Vec<Seat> = Vec::with_capacity(venues.len());
        for (venue, links) in venues {
            let before = seats.iter().filter(|seat| seat.venue.id() == venue.id());
            seats.push(Seat {
                feed: before.count() as u8,
                venue,
                links,
                outbox: Outbox::new(),
                last_message: UnixNanos(0),
            });
        }
        let feeds = 1 + seats.iter().map(|seat| seat.feed).max().unwrap_or(0);
        Self {
            transport,
            counts: Counts::default(),
            reads: ReadCounts::default(),
            clock,
            registries: vec![registry; usize::from(feeds)],
            seats,
            groups: Vec::new(),
            lines: LineCounts::default(),
            addresses,
            live: Vec::with_capacity(dp_types::limit::LIVE_ORDERS_MAX),
            orders: Vec::with_capacity(ORDERS_MAX),
            tap: None,
        }
    }

    /// Takes everything the transport has. Returns how much that was.
    #[inline]
    pub(crate) fn poll(&mut self, desk: &mut impl Desk, now: Now) -> usize {
        let work = self.transport.poll(now.unix);
        while let Some(ready) = self.transport.next() {
            let arrived = tsc();
            match ready {
                Ready::Bytes(socket, chunk) => self.on_bytes(desk, socket, chunk, now, arrived),
                Ready::Connected(socket) => self.on_connected(desk, socket, now),
                Ready::Closed(socket, reason) => self.on_socket_closed(desk, socket, reason, now),
            }
        }
        work
    }

    fn find(&self, socket: Socket) -> Option<(usize, usize)> {
        self.seats.iter().enumerate().find_map(|(seat_at, seat)| {
            let link_at = seat.links.iter().position(|link| link.holds(socket))?;
            Some((seat_at, link_at))
        })
    }

    // ---- bytes --------------------------------------------------------------------------------

    fn on_bytes(
        &mut self,
        desk: &mut impl Desk,
        socket: Socket,
        chunk: Chunk,
        now: Now,
        arrived: Tsc,
    ) {
        let Some((seat_at, link_at)) = self.find(socket) else {
            self.on_datagram(desk, socket, chunk, now, arrived);
            return;
        };
        desk.on_bytes(arrived);
        let mut cursor = 0;
        loop {
            let bytes = self.transport.bytes(&chunk);
            let seat = &mut self.seats[seat_at];
            let registry = &mut self.registries[usize::from(seat.feed)];
            let tap = self.tap.as_deref_mut();
            let record = (bytes, &mut cursor);
            let result = seat.on_record((desk, tap), registry, link_at, record, now);
            let (has_more, has_instruments) = match result {
                Ok(found) => found,
                Err(fault) => {
                    self.transport.release(chunk);
                    self.lose(desk, seat_at, link_at, fault, now);
                    return;
                }
            };
            if has_instruments {
                self.instruments_known(desk, seat_at);
            }
            // What this record caused leaves before the next one is opened.
            self.flush_seat(desk, seat_at, now, arrived);
            if !has_more || !self.seats[seat_at].links[link_at].holds(socket) {
                break;
            }
        }
        self.transport.release(chunk);
    }

    fn instruments_known(&self, desk: &mut impl Desk, seat_at: usize) {
        let seat = &self.seats[seat_at];
        if seat.feed == 0 {
            desk.meet(&seat.venue);
        }
        desk.instruments_known(&self.registries[0], seat.venue.id());
    }

    /// Lets the machine of a seat hear or speak.
    fn tell<D: Desk, R>(
        &mut self,
        desk: &mut D,
        seat_at: usize,
        now: Now,
        say: impl FnOnce(&mut AnyVenue, &mut Registry, &mut LaneSink<'_, D>) -> R,
    ) -> R {
        let Seat {
            feed,
            venue,
            outbox,
            ..
        } = &mut self.seats[seat_at];
        let registry = &mut self.registries[usize::from(*feed)];
        let at = (*feed, now, tsc());
        let (result, has_instruments) = tell(venue, outbox, desk, at, |venue, sink| {
            say(venue, registry, sink)
        });
        if has_instruments {
            self.instruments_known(desk, seat_at);
        }
        result
    }

    // ---- links --------------------------------------------------------------------------------

    fn on_connected(&mut self, desk: &mut impl Desk, socket: Socket, now: Now) {
        let Some((seat_at, link_at)) = self.finish(socket, now) else {
            return;
        };
        if let Err(fault) = self.seats[seat_at].links[link_at].on_connected() {
            self.lose(desk, seat_at, link_at, fault, now);
            return;
        }
        self.send_link(desk, seat_at, link_at, now);
    }

    fn on_socket_closed(
        &mut self,
        desk: &mut impl Desk,
        socket: Socket,
        reason: CloseReason,
        now: Now,
    ) {
        if self.falls(socket, now) {
            return;
        }
        let Some((seat_at, link_at)) = self.find(socket) else {
            self.on_group_closed(desk, socket, now);
            return;
        };
        let spec = &self.seats[seat_at].links[link_at].spec;
        tracing::warn!(link = spec.name, host = %spec.host, %reason, "connection ended");
        self.forget(desk, seat_at, link_at, now);
    }

    /// A link is of no more use: say so, close it, tell the machine.
    fn lose(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        link_at: usize,
        fault: LinkFault,
        now: Now,
    ) {
        let venue = self.seats[seat_at].venue.id();
        let link = &self.seats[seat_at].links[link_at];
        tracing::warn!(venue = %venue, link = link.spec.name, %fault, "link lost");
        match fault {
            LinkFault::Tls(_) => desk.wall().count(Counter::TlsFaults),
            LinkFault::Ws(_) => desk.wall().count(Counter::WsFaults),
            LinkFault::Fix(_) => desk.wall().count(Counter::FixFaults),
            LinkFault::Http(_) | LinkFault::NoAnswer => desk.wall().count(Counter::HttpErrors),
            _ => {}
        }
        let refused = match fault {
            LinkFault::Ws(WsFault::Refused {
                status: 418 | 429,
                retry_after_s,
            }) => Some(retry_after_s.map_or(BAN_NS, |s| u64::from(s) * 1_000_000_000)),
            _ => None,
        };
        if let Some((socket, bytes)) = link.take_out() {
            // The alert or close frame; whether it gets out no longer matters.
            let _ = self.transport.send(socket, bytes);
        }
        if let Some(pause_ns) = refused {
            let until = now.unix.after(pause_ns.max(BAN_NS));
            desk.fact(venue, Fact::RateLimited(until), now);
        }
        self.forget(desk, seat_at, link_at, now);
    }

    fn forget(&mut self, desk: &mut impl Desk, seat_at: usize, link_at: usize, now: Now) {
        let seat = &mut self.seats[seat_at];
        let (venue, feed) = (seat.venue.id(), seat.feed);
        let (id, kind) = (seat.links[link_at].spec.id, seat.links[link_at].spec.kind);
        let Some((socket, unanswered)) = seat.links[link_at].on_closed(now.unix) else {
            return;
        };
        self.transport.close(socket);
        self.abandon(seat_at, link_at);
        desk.wall().count(Counter::Reconnects);
        self.give_no_answer(desk, seat_at, id, &unanswered, now);
        self.tell(desk, seat_at, now, |machine, _, sink| {
            machine.on_closed(id, now, sink);
        });
        match id {
            FEED => desk.fact(venue, Fact::FeedLost(feed), now),
            ORDERS => desk.fact(venue, Fact::OrdersLost, now),
            // A session of orders: what was on its way there has no known fate.
            _ if kind == LinkKind::Fix => desk.fact(venue, Fact::OrdersLost, now),
            _ => {}
        }
    }

    /// Requests that get no answer: the venue machine learns that by a status of 0.
    fn give_no_answer(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        link: LinkId,
        tags: &[RestTag],
        now: Now,
    ) {
        for tag in tags {
            let response = RestResponse {
                tag: *tag,
                status: 0,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut [],
            };
            // What the machine says of it is the same as of any refusal: it asks again or gives up.
            let _ = self.tell(desk, seat_at, now, |machine, registry, sink| {
                machine.on_response(registry, link, now, response, sink)
            });
        }
    }

    pub(crate) fn on_deadlines(&mut self, desk: &mut impl Desk, now: Now) {
        for seat_at in 0..self.seats.len() {
            for link_at in 0..self.seats[seat_at].links.len() {
                if let Err(fault) = self.seats[seat_at].links[link_at].on_deadline(now.unix) {
                    self.lose(desk, seat_at, link_at, fault, now);
                }
                self.open_if_due(desk, seat_at, link_at, now);
                self.mind_race(desk, seat_at, link_at, now);
            }
            let due = self.seats[seat_at].venue.next_deadline();
            if due.is_some_and(|due| due <= now.unix) {
                self.tell(desk, seat_at, now, |machine, registry, sink| {
                    machine.on_deadline(registry, now, sink);
                });
            }
        }
        desk.on_deadline(now);
        self.flush_all(desk, now, now.tsc);
    }

    // ---- read-outs ----------------------------------------------------------------------------

    /// Adds how the messages were read since the last time.
    fn show_reads(&mut self, desk: &mut impl Desk) {
        let seats = self.seats.iter();
        let reads = seats.fold(ReadCounts::default(), |sum, seat| {
            sum + seat.venue.read_counts()
        });
        let fresh = reads - self.reads;
        self.reads = reads;
        let counters = desk.wall().counters;
        counters.add(Counter::MessagesScanned, fresh.scanned);
        counters.add(Counter::MessagesParsed, fresh.parsed);
    }

    /// Tells the desk how every venue's links stand.
    pub(crate) fn show(&mut self, desk: &mut impl Desk, now: Now) {
        let counts = self.transport.counts();
        crate::way::publish(desk.wall().counters, &(counts - self.counts));
        self.counts = counts;
        self.show_reads(desk);
        self.show_lines(desk);
        for own in self.seats.iter().filter(|seat| seat.feed == 0) {
            let venue = own.venue.id();
            // Of further feeds, what brings market data.
            let further = self.seats.iter();
            let further = further.filter(|seat| seat.venue.id() == venue && seat.feed > 0);
            let all = || {
                own.links
                    .iter()
                    .chain(further.clone().flat_map(Seat::market))
            };
            let mut links = [LinkState::None; 8];
            for (slot, link) in links.iter_mut().zip(all()) {
                *slot = link.state();
            }
            let heard = further.clone().map(|seat| seat.last_message).max();
            let links = VenueLinks {
                venue,
                links,
                last_message: own.last_message.max(heard.unwrap_or_default()),
                reconnects: all().map(|link| link.reopened).sum(),
            };
            desk.show(&links, now);
        }
    }
}

impl Seat {
    /// Links that bring market data.
    fn market(&self) -> impl Iterator<Item = &Link> {
        let is_market = |link: &&Link| self.venue.link_role(link.spec.id) == LinkRole::Market;
        self.links.iter().filter(is_market)
    }

    /// Opens one record and lets the venue machine hear what is in it. Says whether there is more, and whether
    /// the machine has learnt its instruments.
    fn on_record<D: Desk>(
        &mut self,
        (desk, mut tap): (&mut D, Option<&mut Wiretap>),
        registry: &mut Registry,
        link_at: usize,
        (bytes, cursor): (&mut [u8], &mut usize),
        now: Now,
    ) -> Result<(bool, bool), LinkFault> {
        let Self {
            feed,
            venue,
            links,
            outbox,
            last_message,
        } = self;
        let feed = *feed;
        let link = &mut links[link_at];
        let id = link.spec.id;
        let role = venue.link_role(id);
        let is_orders = role == LinkRole::Orders;
        let url = tap
            .as_ref()
            .map_or(String::new(), |_| Wiretap::url(&link.spec));
        let start = tsc();
        let before = *cursor;
        let mut has_instruments = false;
        let mut is_first = true;
        let has_more = link.on_record(bytes, cursor, now.unix, &mut |event| {
            if is_first {
                desk.wall().stamp(Stage::Decrypt, start);
                is_first = false;
            }
            *last_message = now.unix;
            let venue_id = venue.id();
            if let Some(tap) = &mut tap {
                let of = Of {
                    venue: venue_id,
                    feed,
                    link: id,
                    role,
                };
                tap.event((of, &url), &event, now.unix);
            }
            let ((), has) = tell(
                venue,
                outbox,
                desk,
                (feed, now, tsc()),
                |venue, sink| match event {
                    LinkEvent::Up => {
                        tracing::info!(venue = %venue_id, feed, link = id.0, "link up");
                        venue.on_open(registry, id, now, sink);
                    }
                    LinkEvent::Text(text) => {
                        sink.desk.wall().count(Counter::MessagesRx);
                        let result = venue.on_text(registry, id, now, text, sink);
                        if is_orders && matches!(result, Err(Fault::Decode(_))) {
                            sink.desk.fact(venue_id, Fact::PrivateFault, now);
                        }
                        note_fault(sink.desk.wall(), venue_id, result);
                    }
                    LinkEvent::Binary(bytes) => {
                        sink.desk.wall().count(Counter::MessagesRx);
                        let result = venue.on_binary(registry, id, now, bytes, sink);
                        if is_orders && matches!(result, Err(Fault::Decode(_))) {
                            sink.desk.fact(venue_id, Fact::PrivateFault, now);
                        }
                        note_fault(sink.desk.wall(), venue_id, result);
                    }
                    LinkEvent::Fix(message) => {
                        sink.desk.wall().count(Counter::MessagesRx);
                        let result = venue.on_fix(registry, id, now, message, sink);
                        if is_orders && matches!(result, Err(Fault::Decode(_))) {
                            sink.desk.fact(venue_id, Fact::PrivateFault, now);
                        }
                        note_fault(sink.desk.wall(), venue_id, result);
                    }
                    LinkEvent::Response(response) => {
                        let result = venue.on_response(registry, id, now, response, sink);
                        if result.is_err() {
                            sink.desk.wall().count(Counter::HttpErrors);
                        }
                        note_fault(sink.desk.wall(), venue_id, result);
                    }
                    LinkEvent::Ping => sink.desk.wall().count(Counter::WsPings),
                },
            );
            has_instruments |= has;
        })?;
        let read = (*cursor - before) as u64;
        desk.wall().counters.add(Counter::BytesRx, read);
        Ok((has_more, has_instruments))
    }
}

/// Counts what a venue machine could not understand, and says it once in a while.
fn note_fault(wall: &Wall<'_>, venue: VenueId, result: Result<(), Fault>) {
    let Err(fault) = result else { return };
    if let Fault::Decode(_) = fault {
        wall.count(Counter::DecodeErrors);
    }
    tracing::debug!(venue = %venue, %fault, "message not taken");
}
