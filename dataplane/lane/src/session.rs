//! The sessions of a lane: venue machines, their links and what they want sent, over one transport. All of a
//! lane's I/O and none of its decisions: those are its desk's.
//!
//! ```text
//!   transport ─▶ link (TLS, WebSocket, HTTP) ─▶ venue machine ─▶ LaneSink ─▶ desk: events, facts
//!                                                      │ texts, requests
//!                                                      ▼
//!   transport ◀─ link ◀────────────────────────────  outbox      ◀─ venue machine ◀─ desk: actions
//! ```

mod out;

use crate::any_venue::AnyVenue;
use crate::desk::{Desk, Fact, VenueLinks};
use crate::link::{Link, LinkEvent, LinkFault};
use crate::outbox::Outbox;
use crate::resolve::Inbox;
use crate::wall::Wall;
use dp_proto::ws::WsFault;
use dp_shm::{Counter, LinkState, Stage};
use dp_transport::{Chunk, Clock, CloseReason, Counts, Ready, Socket, Transport, tsc};
use dp_types::{CancelOrder, LinkId, Now, Tsc, UnixNanos, VenueId};
use dp_venue_api::{
    Control, Event, Fault, LinkRole, ReadCounts, Registry, RestRequest, RestResponse, RestTag,
    Sink, Venue as _,
};

/// The link of each venue that carries its books (venues number theirs alike: 0 REST, 1 market data,
/// 2 orders).
const FEED: LinkId = LinkId(1);
/// The link that carries orders and the user stream.
pub(crate) const ORDERS: LinkId = LinkId(2);
/// Room an order link keeps for cancels and answers to pings: new orders and amends are refused below it.
const CANCEL_BYTES: usize = 64 << 10;
/// A venue that refuses a connection for rate is left alone at least so long.
const BAN_NS: u64 = 60_000_000_000;

/// One venue of a lane.
struct Seat {
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
    registry: Registry,
    seats: Vec<Seat>,
    addresses: Inbox,
    /// Orders about to be cancelled together.
    live: Vec<CancelOrder>,
}

/// The sink a venue machine speaks to.
struct LaneSink<'s, D> {
    desk: &'s mut D,
    outbox: &'s mut Outbox,
    venue: VenueId,
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
            event => {
                if !self.desk.event(event, self.now, self.since) {
                    self.outbox.reconnect(ORDERS, "the engine's ring is full");
                }
            }
        }
    }

    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.outbox.text(link, text);
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
            Control::BookLost(instrument) => {
                tracing::warn!(venue = %self.venue, instrument = instrument.0, "book lost");
                return;
            }
            Control::Subscribed(_) | Control::Heartbeat => return,
        };
        self.desk.fact(self.venue, fact, self.now);
    }
}

/// Lets a venue machine hear or speak. Also says whether it has learnt its instruments.
#[inline]
fn tell<D: Desk, R>(
    venue: &mut AnyVenue,
    outbox: &mut Outbox,
    desk: &mut D,
    (now, since): (Now, Tsc),
    say: impl FnOnce(&mut AnyVenue, &mut LaneSink<'_, D>) -> R,
) -> (R, bool) {
    let mut sink = LaneSink {
        desk,
        outbox,
        venue: venue.id(),
        now,
        since,
        has_instruments: false,
    };
    let result = say(venue, &mut sink);
    let has_instruments = sink.has_instruments;
    (result, has_instruments)
}

impl<T: Transport> Sessions<T> {
    pub(crate) fn new(
        transport: T,
        clock: Clock,
        registry: Registry,
        venues: Vec<(AnyVenue, Vec<Link>)>,
        addresses: Inbox,
    ) -> Self {
        let seats = venues.into_iter().map(|(venue, links)| Seat {
            venue,
            links,
            outbox: Outbox::new(),
            last_message: UnixNanos(0),
        });
        Self {
            transport,
            counts: Counts::default(),
            reads: ReadCounts::default(),
            clock,
            registry,
            seats: seats.collect(),
            addresses,
            live: Vec::with_capacity(dp_types::limit::LIVE_ORDERS_MAX),
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
            self.transport.release(chunk);
            return;
        };
        desk.on_bytes(arrived);
        let mut cursor = 0;
        loop {
            let bytes = self.transport.bytes(&chunk);
            let seat = &mut self.seats[seat_at];
            let result =
                seat.on_record(desk, &mut self.registry, link_at, (bytes, &mut cursor), now);
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
        desk.instruments_known(&self.registry, self.seats[seat_at].venue.id());
    }

    /// Lets the machine of a seat hear or speak.
    fn tell<D: Desk, R>(
        &mut self,
        desk: &mut D,
        seat_at: usize,
        now: Now,
        say: impl FnOnce(&mut AnyVenue, &mut Registry, &mut LaneSink<'_, D>) -> R,
    ) -> R {
        let Seat { venue, outbox, .. } = &mut self.seats[seat_at];
        let registry = &mut self.registry;
        let (result, has_instruments) = tell(venue, outbox, desk, (now, tsc()), |venue, sink| {
            say(venue, registry, sink)
        });
        if has_instruments {
            self.instruments_known(desk, seat_at);
        }
        result
    }

    // ---- links --------------------------------------------------------------------------------

    fn on_connected(&mut self, desk: &mut impl Desk, socket: Socket, now: Now) {
        let Some((seat_at, link_at)) = self.find(socket) else {
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
        let Some((seat_at, link_at)) = self.find(socket) else {
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
        let (venue, id) = (seat.venue.id(), seat.links[link_at].spec.id);
        let Some((socket, unanswered)) = seat.links[link_at].on_closed(now.unix) else {
            return;
        };
        self.transport.close(socket);
        desk.wall().count(Counter::Reconnects);
        self.give_no_answer(desk, seat_at, id, &unanswered, now);
        self.tell(desk, seat_at, now, |machine, _, sink| {
            machine.on_closed(id, now, sink);
        });
        match id {
            FEED => desk.fact(venue, Fact::FeedLost, now),
            ORDERS => desk.fact(venue, Fact::OrdersLost, now),
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

    fn open_if_due(&mut self, desk: &impl Desk, seat_at: usize, link_at: usize, now: Now) {
        let venue = self.seats[seat_at].venue.id();
        if now.unix < desk.stopped_until(venue) {
            // A connection attempt would prolong the ban.
            return;
        }
        let link = &mut self.seats[seat_at].links[link_at];
        let Some(peer) = link.due(now.unix) else {
            return;
        };
        match self.transport.open(peer) {
            Ok(socket) => {
                if let Err(error) = link.on_opening(socket, now.unix) {
                    tracing::error!(host = %link.spec.host, %error, "cannot open a TLS session");
                    self.transport.close(socket);
                    link.on_open_failed(now.unix);
                }
            }
            Err(error) => {
                tracing::error!(%peer, %error, "cannot open a socket");
                link.on_open_failed(now.unix);
            }
        }
    }

    /// Addresses that changed, for the next connects.
    pub(crate) fn take_addresses(&mut self) {
        while let Some(fresh) = self.addresses.pop() {
            let seats = self.seats.iter_mut();
            let links = seats.filter(|seat| seat.venue.id() == fresh.venue);
            let mut links = links.flat_map(|seat| &mut seat.links);
            if let Some(link) = links.find(|link| link.spec.id == fresh.link) {
                link.set_peers(fresh.peers);
            }
        }
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
        for seat in &self.seats {
            let mut links = [LinkState::None; 8];
            for (slot, link) in links.iter_mut().zip(&seat.links) {
                *slot = link.state();
            }
            let links = VenueLinks {
                venue: seat.venue.id(),
                links,
                last_message: seat.last_message,
                reconnects: seat.links.iter().map(|link| link.reopened).sum(),
            };
            desk.show(&links, now);
        }
    }
}

impl Seat {
    /// Opens one record and lets the venue machine hear what is in it. Says whether there is more, and whether
    /// the machine has learnt its instruments.
    fn on_record<D: Desk>(
        &mut self,
        desk: &mut D,
        registry: &mut Registry,
        link_at: usize,
        (bytes, cursor): (&mut [u8], &mut usize),
        now: Now,
    ) -> Result<(bool, bool), LinkFault> {
        let Self {
            venue,
            links,
            outbox,
            last_message,
        } = self;
        let link = &mut links[link_at];
        let id = link.spec.id;
        let is_orders = venue.link_role(id) == LinkRole::Orders;
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
            let ((), has) = tell(
                venue,
                outbox,
                desk,
                (now, tsc()),
                |venue, sink| match event {
                    LinkEvent::Up => {
                        tracing::info!(venue = %venue_id, link = id.0, "link up");
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
