//! The duty cycle of one lane: transport, links, venue machines and engine, turned over and over by one
//! thread. Wiring only: everything that decides is below.
//!
//! ```text
//!   turn:  words ─▶ poll ─▶ each record: decrypt ─▶ message ─▶ venue ─▶ engine ─▶ actions ─▶ seal ─▶ send
//!          ─▶ deadlines (links, venues, engine) ─▶ idle policy when nothing was found
//! ```
//! What a message caused is sent before the next record is opened.

use crate::any_venue::AnyVenue;
use crate::engine::{Action, Engine};
use crate::link::{Link, LinkEvent, LinkFault};
use crate::outbox::{Item, Outbox, OwnedRequest};
use crate::resolve::Inbox;
use dp_proto::ws::WsFault;
use dp_shm::{Command, CommandNote, Counter, LinkState, Stage, VenueStatus, twin::Words as _};
use dp_transport::{Chunk, Clock, CloseReason, Counts, Idle, Ready, Socket, Transport, tsc};
use dp_types::{LaneId, LinkId, Now, RejectReason, Tsc, UnixNanos, VenueId};
use dp_venue_api::{
    Control, EntryError, Event, Fault, Registry, RestRequest, RestResponse, RestTag, Sink, Venue,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// The link of each venue that carries market data (venues number theirs alike: 0 REST, 1 market data,
/// 2 orders).
const FEED: LinkId = LinkId(1);
/// The link that carries orders and the user stream.
const ORDERS: LinkId = LinkId(2);
/// How often deadlines of links and venues are looked at.
const DEADLINE_NS: u64 = 1_000_000;
/// Longest sleep of a lane that parks: kill word and commands are read between.
const PARK_NS_MAX: u64 = 2_000_000;
/// How often the clock is anchored anew and status lines are written.
const COLD_NS: u64 = 100_000_000;
/// A venue that refuses a connection for rate is left alone at least so long.
const BAN_NS: u64 = 60_000_000_000;
/// How long a stopping lane waits for its cancels to be confirmed.
const STOP_NS_MAX: u64 = 10_000_000_000;

/// One venue of a lane.
struct Seat {
    venue: AnyVenue,
    links: Vec<Link>,
    outbox: Outbox,
    last_message: UnixNanos,
}

/// Everything one thread turns.
pub struct Lane<'r, T> {
    id: LaneId,
    transport: T,
    /// What the transport had counted when it was last shown.
    counts: Counts,
    clock: Clock,
    registry: Registry,
    engine: Engine<'r>,
    seats: Vec<Seat>,
    idle: Idle,
    addresses: Inbox,
    deadline_due: UnixNanos,
    cold_due: UnixNanos,
    /// Sets limits once instruments are known.
    on_instruments: Box<dyn FnMut(&Registry, &mut Engine<'r>, VenueId) + Send + 'r>,
}

/// Parts of a lane.
pub struct Parts<'r, T> {
    /// Which lane.
    pub id: LaneId,
    /// Sockets.
    pub transport: T,
    /// Clock.
    pub clock: Clock,
    /// Instruments and assets.
    pub registry: Registry,
    /// Engine, with its strategies seated.
    pub engine: Engine<'r>,
    /// Venue machines and their links.
    pub venues: Vec<(AnyVenue, Vec<Link>)>,
    /// Idle policy.
    pub idle: Idle,
    /// Where new addresses of the links' hosts come in.
    pub addresses: Inbox,
    /// Called when a venue's instruments are known: publishes them and sets limits.
    pub on_instruments: Box<dyn FnMut(&Registry, &mut Engine<'r>, VenueId) + Send + 'r>,
}

/// The sink a venue machine speaks to.
struct LaneSink<'s, 'r> {
    engine: &'s mut Engine<'r>,
    outbox: &'s mut Outbox,
    venue: VenueId,
    now: Now,
    /// When the message was handed to the machine.
    since: Tsc,
    /// The machine has learnt its instruments: the engine must be told once it is free.
    has_instruments: &'s mut bool,
}

impl Sink for LaneSink<'_, '_> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Control(control) => self.control(*control),
            event => self.engine.on_event(event, self.now, self.since),
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
}

impl LaneSink<'_, '_> {
    fn control(&mut self, control: Control) {
        match control {
            Control::InstrumentsReady => *self.has_instruments = true,
            Control::LoggedIn(_) => {
                tracing::info!(venue = %self.venue, "logged in");
                self.engine.on_logged_in(self.venue, self.now);
            }
            Control::LoginRefused(reason) => {
                tracing::error!(venue = %self.venue, reason = reason.name(), "login refused: check the keys file");
            }
            Control::ReconcileStarted => {
                self.engine.on_reconcile_started(self.venue, self.now);
            }
            Control::Reconciled => {
                tracing::info!(venue = %self.venue, "orders and fills compared with the venue");
                self.engine.on_reconciled(self.venue, self.now);
            }
            Control::ClosingSoon(link) => {
                self.outbox.reconnect(link, "the venue will close it soon");
            }
            Control::RateLimited { until_ms } => {
                tracing::warn!(venue = %self.venue, until_ms, "the venue stopped us for rate");
                self.engine
                    .on_rate_limited(self.venue, UnixNanos::from_millis(until_ms));
            }
            Control::BookLost(instrument) => {
                tracing::warn!(venue = %self.venue, instrument = instrument.0, "book lost");
            }
            Control::Subscribed(_) | Control::Heartbeat => {}
        }
    }
}

impl<'r, T: Transport> Lane<'r, T> {
    /// Puts the parts together.
    pub fn new(parts: Parts<'r, T>) -> Self {
        let seats = parts.venues.into_iter().map(|(venue, links)| Seat {
            venue,
            links,
            outbox: Outbox::new(),
            last_message: UnixNanos(0),
        });
        Self {
            id: parts.id,
            transport: parts.transport,
            counts: Counts::default(),
            clock: parts.clock,
            registry: parts.registry,
            engine: parts.engine,
            seats: seats.collect(),
            idle: parts.idle,
            addresses: parts.addresses,
            deadline_due: UnixNanos(0),
            cold_due: UnixNanos(0),
            on_instruments: parts.on_instruments,
        }
    }

    /// Turns until told to stop and flat, or until stopping has taken [`STOP_NS_MAX`].
    pub fn run(&mut self, stop: &AtomicBool) {
        let mut stop_by = None;
        loop {
            let now = self.clock.now();
            let work = self.turn(now);
            if stop.load(Ordering::Relaxed) && stop_by.is_none() {
                tracing::info!(lane = self.id.0, "stopping: cancelling what is open");
                self.engine.stop();
                stop_by = Some(now.unix.after(STOP_NS_MAX));
            }
            if let Some(by) = stop_by
                && (self.engine.is_flat() || now.unix > by)
            {
                if !self.engine.is_flat() {
                    let open = self.engine.oms().held_count();
                    tracing::error!(
                        lane = self.id.0,
                        open,
                        "stopped with orders not confirmed closed"
                    );
                }
                self.show_status(now);
                self.show_counts();
                return;
            }
            if work == 0 {
                self.engine.wall.count(Counter::IdleCycles);
                self.idle.wait(&mut self.transport, PARK_NS_MAX);
            }
        }
    }

    /// One duty cycle at `now`. Returns how many things it found to do.
    pub fn turn(&mut self, now: Now) -> usize {
        self.engine.wall.beat.beat(now);
        self.engine.wall.count(Counter::DutyCycles);
        self.engine.read_words(now);
        let mut work = self.transport.poll(now.unix);
        while let Some(ready) = self.transport.next() {
            let arrived = tsc();
            match ready {
                Ready::Bytes(socket, chunk) => self.on_bytes(socket, chunk, now, arrived),
                Ready::Connected(socket) => self.on_connected(socket, now),
                Ready::Closed(socket, reason) => self.on_socket_closed(socket, reason, now),
            }
        }
        work += self.flush_all(now, now.tsc);
        if now.unix >= self.deadline_due {
            self.deadline_due = now.unix.after(DEADLINE_NS);
            self.on_deadlines(now);
        }
        if now.unix >= self.cold_due {
            self.cold_due = now.unix.after(COLD_NS);
            self.clock.resync();
            self.take_addresses();
            self.show_status(now);
            self.show_counts();
        }
        if work > 0 {
            self.engine.wall.stamp(Stage::DutyCycle, now.tsc);
        }
        work
    }

    /// The engine, for tests and read-outs.
    pub const fn engine(&self) -> &Engine<'r> {
        &self.engine
    }

    /// The transport, for tests.
    pub const fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    fn find(&self, socket: Socket) -> Option<(usize, usize)> {
        self.seats.iter().enumerate().find_map(|(seat_at, seat)| {
            let link_at = seat.links.iter().position(|link| link.holds(socket))?;
            Some((seat_at, link_at))
        })
    }

    // ---- bytes --------------------------------------------------------------------------------

    fn on_bytes(&mut self, socket: Socket, chunk: Chunk, now: Now, arrived: Tsc) {
        let Some((seat_at, link_at)) = self.find(socket) else {
            self.transport.release(chunk);
            return;
        };
        let mut cursor = 0;
        loop {
            let bytes = self.transport.bytes(&chunk);
            let result = Self::on_record(
                &mut self.engine,
                &mut self.registry,
                &mut self.seats[seat_at],
                link_at,
                bytes,
                &mut cursor,
                now,
            );
            let (has_more, has_instruments) = match result {
                Ok(found) => found,
                Err(fault) => {
                    self.transport.release(chunk);
                    self.lose(seat_at, link_at, fault, now);
                    return;
                }
            };
            if has_instruments {
                self.instruments_known(seat_at);
            }
            // What this record caused leaves before the next one is opened.
            self.flush_seat(seat_at, now, arrived);
            if !has_more || !self.seats[seat_at].links[link_at].holds(socket) {
                break;
            }
        }
        self.transport.release(chunk);
    }

    /// Opens one record and lets the venue machine hear what is in it.
    fn on_record(
        engine: &mut Engine<'r>,
        registry: &mut Registry,
        seat: &mut Seat,
        link_at: usize,
        bytes: &mut [u8],
        cursor: &mut usize,
        now: Now,
    ) -> Result<(bool, bool), LinkFault> {
        let Seat {
            venue,
            links,
            outbox,
            last_message,
        } = seat;
        let link = &mut links[link_at];
        let id = link.spec.id;
        let start = tsc();
        let before = *cursor;
        let mut has_instruments = false;
        let mut is_first = true;
        let has_more = link.on_record(bytes, cursor, now.unix, &mut |event| {
            if is_first {
                engine.wall.stamp(Stage::Decrypt, start);
                is_first = false;
            }
            *last_message = now.unix;
            let since = tsc();
            let venue_id = venue.id();
            let mut sink = LaneSink {
                engine: &mut *engine,
                outbox: &mut *outbox,
                venue: venue_id,
                now,
                since,
                has_instruments: &mut has_instruments,
            };
            match event {
                LinkEvent::Up => {
                    tracing::info!(venue = %venue_id, link = id.0, "link up");
                    venue.on_open(registry, id, now, &mut sink);
                }
                LinkEvent::Text(text) => {
                    sink.engine.wall.count(Counter::MessagesRx);
                    let result = venue.on_text(registry, id, now, text, &mut sink);
                    if id == ORDERS && matches!(result, Err(Fault::Decode(_))) {
                        sink.engine.on_private_fault(venue_id);
                    }
                    note_fault(engine, venue_id, result);
                }
                LinkEvent::Response(response) => {
                    let result = venue.on_response(registry, id, now, response, &mut sink);
                    if result.is_err() {
                        engine.wall.count(Counter::HttpErrors);
                    }
                    note_fault(engine, venue_id, result);
                }
                LinkEvent::Ping => sink.engine.wall.count(Counter::WsPings),
            }
        })?;
        engine
            .wall
            .counters
            .add(Counter::BytesRx, (*cursor - before) as u64);
        Ok((has_more, has_instruments))
    }

    /// The engine, the tables and the limits learn a venue's instruments.
    fn instruments_known(&mut self, seat_at: usize) {
        let venue = self.seats[seat_at].venue.id();
        self.engine
            .set_instruments(venue, self.registry.instruments());
        (self.on_instruments)(&self.registry, &mut self.engine, venue);
    }

    // ---- links --------------------------------------------------------------------------------

    fn on_connected(&mut self, socket: Socket, now: Now) {
        let Some((seat_at, link_at)) = self.find(socket) else {
            return;
        };
        if let Err(fault) = self.seats[seat_at].links[link_at].on_connected() {
            self.lose(seat_at, link_at, fault, now);
            return;
        }
        self.send_link(seat_at, link_at, now);
    }

    fn on_socket_closed(&mut self, socket: Socket, reason: CloseReason, now: Now) {
        let Some((seat_at, link_at)) = self.find(socket) else {
            return;
        };
        let spec = &self.seats[seat_at].links[link_at].spec;
        tracing::warn!(link = spec.name, host = %spec.host, %reason, "connection ended");
        self.forget(seat_at, link_at, now);
    }

    /// A link is of no more use: say so, close it, tell the machine.
    fn lose(&mut self, seat_at: usize, link_at: usize, fault: LinkFault, now: Now) {
        let venue = self.seats[seat_at].venue.id();
        let link = &self.seats[seat_at].links[link_at];
        tracing::warn!(venue = %venue, link = link.spec.name, %fault, "link lost");
        match fault {
            LinkFault::Tls(_) => self.engine.wall.count(Counter::TlsFaults),
            LinkFault::Ws(_) => self.engine.wall.count(Counter::WsFaults),
            LinkFault::Http(_) | LinkFault::NoAnswer => self.engine.wall.count(Counter::HttpErrors),
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
            self.engine
                .on_rate_limited(venue, now.unix.after(pause_ns.max(BAN_NS)));
        }
        self.forget(seat_at, link_at, now);
    }

    fn forget(&mut self, seat_at: usize, link_at: usize, now: Now) {
        let seat = &mut self.seats[seat_at];
        let id = seat.links[link_at].spec.id;
        let Some((socket, unanswered)) = seat.links[link_at].on_closed(now.unix) else {
            return;
        };
        self.transport.close(socket);
        self.engine.wall.count(Counter::Reconnects);
        self.give_no_answer(seat_at, id, &unanswered, now);
        let seat = &mut self.seats[seat_at];
        let mut has_instruments = false;
        let mut sink = LaneSink {
            engine: &mut self.engine,
            outbox: &mut seat.outbox,
            venue: seat.venue.id(),
            now,
            since: tsc(),
            has_instruments: &mut has_instruments,
        };
        seat.venue.on_closed(id, now, &mut sink);
        let venue = seat.venue.id();
        match id {
            FEED => self.engine.on_feed_lost(venue, now),
            ORDERS => self.engine.on_orders_lost(venue, now),
            _ => {}
        }
    }

    /// Requests that get no answer: the venue machine learns that by a status of 0.
    fn give_no_answer(&mut self, seat_at: usize, link: LinkId, tags: &[RestTag], now: Now) {
        let seat = &mut self.seats[seat_at];
        let mut has_instruments = false;
        let mut sink = LaneSink {
            engine: &mut self.engine,
            outbox: &mut seat.outbox,
            venue: seat.venue.id(),
            now,
            since: tsc(),
            has_instruments: &mut has_instruments,
        };
        for tag in tags {
            let response = RestResponse {
                tag: *tag,
                status: 0,
                retry_after_s: None,
                body: &mut [],
            };
            // What the machine says of it is the same as of any refusal: it asks again or gives up.
            let _ = seat
                .venue
                .on_response(&mut self.registry, link, now, response, &mut sink);
        }
    }

    fn on_deadlines(&mut self, now: Now) {
        for seat_at in 0..self.seats.len() {
            for link_at in 0..self.seats[seat_at].links.len() {
                if let Err(fault) = self.seats[seat_at].links[link_at].on_deadline(now.unix) {
                    self.lose(seat_at, link_at, fault, now);
                }
                self.open_if_due(seat_at, link_at, now);
            }
            let seat = &mut self.seats[seat_at];
            if seat
                .venue
                .next_deadline()
                .is_some_and(|due| due <= now.unix)
            {
                let mut has_instruments = false;
                let mut sink = LaneSink {
                    engine: &mut self.engine,
                    outbox: &mut seat.outbox,
                    venue: seat.venue.id(),
                    now,
                    since: tsc(),
                    has_instruments: &mut has_instruments,
                };
                seat.venue.on_deadline(&self.registry, now, &mut sink);
            }
        }
        self.engine.on_tick(now);
        while let Some(words) = self.engine.wall.commands.pop() {
            if let Some(note) = CommandNote::from_words(&words) {
                self.on_command(&note);
            }
        }
        self.flush_all(now, now.tsc);
    }

    fn on_command(&mut self, note: &CommandNote) {
        tracing::info!(who = note.who.as_str(), command = ?note.command, "command");
        match note.command {
            Command::Pause => self.engine.set_paused(true),
            Command::Resume => self.engine.set_paused(false),
            Command::StrategyStart(id) => self.engine.set_running(id, true),
            Command::StrategyStop(id) => self.engine.set_running(id, false),
            Command::CancelAll(venue) => self.engine.cancel_venue(venue),
            Command::Stop => self.engine.stop(),
        }
    }

    fn open_if_due(&mut self, seat_at: usize, link_at: usize, now: Now) {
        let venue = self.seats[seat_at].venue.id();
        let until = self.engine.venue(venue).map(|state| state.stopped_until);
        if until.is_some_and(|until| now.unix < until) {
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

    // ---- out ----------------------------------------------------------------------------------

    fn flush_all(&mut self, now: Now, arrived: Tsc) -> usize {
        (0..self.seats.len())
            .map(|seat_at| self.flush_seat(seat_at, now, arrived))
            .sum()
    }

    /// Gives the engine's actions to the venue machines and everything they say to the links.
    fn flush_seat(&mut self, seat_at: usize, now: Now, arrived: Tsc) -> usize {
        let mut work = 0;
        while let Some(action) = self.engine.next_action() {
            self.perform(&action, now, arrived);
            work += 1;
        }
        if !self.seats[seat_at].outbox.is_empty() {
            self.flush_outbox(seat_at, now);
            work += 1;
        }
        for link_at in 0..self.seats[seat_at].links.len() {
            self.send_link(seat_at, link_at, now);
        }
        work
    }

    fn flush_outbox(&mut self, seat_at: usize, now: Now) {
        let mut faults: [Option<(LinkId, LinkFault)>; 4] = [None; 4];
        let seat = &mut self.seats[seat_at];
        for (item, text) in seat.outbox.items() {
            let (link_id, result) = match item {
                Item::Text { link, .. } => {
                    let held = seat.links.iter_mut().find(|held| held.spec.id == link);
                    (link, held.map_or(Ok(()), |held| held.send_text(text)))
                }
                Item::Reconnect { link, why } => (link, Err(LinkFault::Wish(why))),
            };
            if let Err(fault) = result
                && let Some(slot) = faults.iter_mut().find(|slot| slot.is_none())
            {
                *slot = Some((link_id, fault));
            }
        }
        seat.outbox.clear_items();
        let requests: Vec<(LinkId, OwnedRequest)> = seat.outbox.take_requests().collect();
        let mut unanswered = Vec::new();
        for (link, request) in requests {
            self.engine.wall.count(Counter::HttpRequests);
            if let Some(held) = seat.links.iter_mut().find(|held| held.spec.id == link)
                && let Err(request) = held.queue(request)
            {
                self.engine.wall.count(Counter::HttpErrors);
                unanswered.push((link, request.tag));
            }
        }
        for (link, tag) in unanswered {
            self.give_no_answer(seat_at, link, &[tag], now);
        }
        for (link, fault) in faults.into_iter().flatten() {
            if let Some(at) = self.seats[seat_at]
                .links
                .iter()
                .position(|held| held.spec.id == link)
            {
                self.lose(seat_at, at, fault, now);
            }
        }
    }

    /// Writes queued requests, seals what waits and hands it to the transport.
    fn send_link(&mut self, seat_at: usize, link_at: usize, now: Now) {
        let link = &mut self.seats[seat_at].links[link_at];
        let result = link.pump_requests(now.unix).and_then(|_| {
            if link.is_quiet() {
                return Ok(());
            }
            let start = tsc();
            link.seal()?;
            self.engine.wall.stamp(Stage::Seal, start);
            Ok(())
        });
        if let Err(fault) = result {
            self.lose(seat_at, link_at, fault, now);
            return;
        }
        let Some((socket, bytes)) = link.take_out() else {
            return;
        };
        if self.transport.send(socket, bytes).is_err() {
            self.lose(
                seat_at,
                link_at,
                LinkFault::Wish("the peer does not read"),
                now,
            );
            return;
        }
        self.seats[seat_at].links[link_at].sent();
    }

    /// Addresses that changed, for the next connects.
    fn take_addresses(&mut self) {
        while let Some(fresh) = self.addresses.pop() {
            let seats = self.seats.iter_mut();
            let links = seats.filter(|seat| seat.venue.id() == fresh.venue);
            let mut links = links.flat_map(|seat| &mut seat.links);
            if let Some(link) = links.find(|link| link.spec.id == fresh.link) {
                link.set_peers(fresh.peers);
            }
        }
    }

    fn seat_of(&self, instrument: dp_types::InstrumentId) -> Option<usize> {
        let venue = self.registry.get(instrument)?.venue;
        self.seats.iter().position(|seat| seat.venue.id() == venue)
    }

    /// Carries one action out. Orders take the short way: encode, frame, seal, send, at once.
    fn perform(&mut self, action: &Action, now: Now, arrived: Tsc) {
        match action {
            Action::New(order) => {
                let now = self.clock.now();
                if !self.engine.may_send(now.unix) {
                    self.engine.on_new_withheld(order.client_id, now);
                    return;
                }
                let Some(at) = self.seat_of(order.instrument) else {
                    return;
                };
                let result = self.speak(at, now, |venue, registry, sink| {
                    venue.new_order(registry, order, now, sink)
                });
                match result {
                    Ok(()) => {
                        self.flush_orders(at, now);
                        self.engine.wall.stamp(Stage::TickToTrade, arrived);
                        self.engine.on_new_sent(order.client_id, now);
                    }
                    Err(error) => {
                        self.engine
                            .on_new_refused(order.client_id, reason_of(error), now);
                    }
                }
            }
            Action::Amend(amend) => {
                let now = self.clock.now();
                if !self.engine.may_send(now.unix) {
                    self.engine
                        .on_amend_refused(amend.client_id, RejectReason::Other, now);
                    return;
                }
                let Some(at) = self.seat_of(amend.instrument) else {
                    return;
                };
                let result = self.speak(at, now, |venue, registry, sink| {
                    venue.amend_order(registry, amend, now, sink)
                });
                match result {
                    Ok(()) => {
                        self.flush_orders(at, now);
                        self.engine.on_amend_sent(amend.client_id, now);
                    }
                    Err(error) => {
                        self.engine
                            .on_amend_refused(amend.client_id, reason_of(error), now);
                    }
                }
            }
            Action::Cancel(cancel) => {
                let Some(at) = self.seat_of(cancel.instrument) else {
                    return;
                };
                let result = self.speak(at, now, |venue, registry, sink| {
                    venue.cancel_order(registry, cancel, now, sink)
                });
                if result.is_ok() {
                    self.flush_orders(at, now);
                    self.engine.on_cancel_sent(cancel.client_id, now);
                } else {
                    self.engine.wall.count(Counter::RateRefusals);
                }
            }
            Action::CancelAll(instrument) => self.cancel_all(**instrument, now),
            Action::Snapshot(instrument) => {
                let Some(at) = self.seat_of(*instrument) else {
                    return;
                };
                let _ = self.speak(at, now, |venue, registry, sink| {
                    venue.request_snapshot(registry, *instrument, now, sink);
                    Ok(())
                });
            }
            Action::Query(order) => {
                let Some(at) = self.seat_of(order.instrument) else {
                    return;
                };
                // Refused for rate or for want of a link: asked again while the order stays unknown.
                let _ = self.speak(at, now, |venue, registry, sink| {
                    venue.query_order(registry, order, now, sink)
                });
            }
            Action::Reopen(venue) => {
                let at = self.seats.iter().position(|seat| seat.venue.id() == *venue);
                let is_orders = |link: &Link| link.spec.id == ORDERS;
                if let Some(at) = at
                    && let Some(link_at) = self.seats[at].links.iter().position(is_orders)
                {
                    let fault = LinkFault::Wish("requests are not answered");
                    self.lose(at, link_at, fault, now);
                }
            }
            Action::Reconcile(venue) => {
                let Some(at) = self.seats.iter().position(|seat| seat.venue.id() == *venue) else {
                    return;
                };
                let _ = self.speak(at, now, |machine, registry, sink| {
                    machine.reconcile(registry, now, sink);
                    Ok(())
                });
            }
        }
    }

    fn cancel_all(&mut self, instrument: dp_types::InstrumentId, now: Now) {
        let Some(at) = self.seat_of(instrument) else {
            return;
        };
        let live: Vec<_> = self
            .engine
            .oms()
            .live(instrument)
            .map(dp_oms::Order::named)
            .collect();
        if live.is_empty() {
            return;
        }
        let result = self.speak(at, now, |venue, registry, sink| {
            venue.cancel_all(registry, instrument, &live, now, sink)
        });
        if result.is_ok() {
            self.flush_orders(at, now);
            for order in &live {
                self.engine.on_cancel_sent(order.client_id, now);
            }
        } else {
            self.engine.wall.count(Counter::RateRefusals);
        }
    }

    /// Lets a venue machine speak.
    fn speak(
        &mut self,
        seat_at: usize,
        now: Now,
        say: impl FnOnce(&mut AnyVenue, &Registry, &mut LaneSink<'_, 'r>) -> Result<(), EntryError>,
    ) -> Result<(), EntryError> {
        let seat = &mut self.seats[seat_at];
        let mut has_instruments = false;
        let start = tsc();
        let mut sink = LaneSink {
            engine: &mut self.engine,
            outbox: &mut seat.outbox,
            venue: seat.venue.id(),
            now,
            since: start,
            has_instruments: &mut has_instruments,
        };
        let result = say(&mut seat.venue, &self.registry, &mut sink);
        if result.is_ok() {
            self.engine.wall.stamp(Stage::Encode, start);
        }
        result
    }

    fn flush_orders(&mut self, seat_at: usize, now: Now) {
        self.flush_outbox(seat_at, now);
        let orders = self.seats[seat_at]
            .links
            .iter()
            .position(|link| link.spec.id == ORDERS);
        if let Some(link_at) = orders {
            self.send_link(seat_at, link_at, now);
        }
    }

    // ---- read-outs ----------------------------------------------------------------------------

    fn show_counts(&mut self) {
        let counts = self.transport.counts();
        crate::way::publish(self.engine.wall.counters, &(counts - self.counts));
        self.counts = counts;
    }

    fn show_status(&self, now: Now) {
        for seat in &self.seats {
            let venue = seat.venue.id();
            let Some(state) = self.engine.venue(venue) else {
                continue;
            };
            let mut links = [LinkState::None; 8];
            for (slot, link) in links.iter_mut().zip(&seat.links) {
                *slot = link.state();
            }
            let ours = self
                .engine
                .oms()
                .all_held()
                .filter(|order| order.venue == venue);
            let (mut open_orders, mut unknown_orders) = (state.strangers.len() as u32, 0);
            for order in ours {
                open_orders += 1;
                unknown_orders += u32::from(order.state == dp_types::OrderState::Unknown);
            }
            let status = VenueStatus {
                venue,
                lane: self.id,
                links,
                is_logged_in: state.is_logged_in,
                is_reconciled: state.is_reconciled,
                open_orders,
                unknown_orders,
                last_message: seat.last_message,
                logged_in: state.logged_in,
                stopped_until: state.stopped_until,
                reconciled: state.reconciled_at,
                reconnects: seat.links.iter().map(|link| link.reopened).sum(),
                updated: now.unix,
            };
            self.engine.wall.show_venue(venue, &status);
        }
    }
}

/// Counts what a venue machine could not understand, and says it once in a while.
fn note_fault(engine: &Engine<'_>, venue: VenueId, result: Result<(), Fault>) {
    let Err(fault) = result else { return };
    if let Fault::Decode(_) = fault {
        engine.wall.count(Counter::DecodeErrors);
    }
    tracing::debug!(venue = %venue, %fault, "message not taken");
}

/// Why the venue machine did not write a new order, as the order's reason.
const fn reason_of(error: EntryError) -> RejectReason {
    match error {
        EntryError::NotReady => RejectReason::VenueDown,
        EntryError::RateLimited => RejectReason::RateLimit,
        EntryError::Unsupported => RejectReason::Invalid,
        EntryError::UnknownInstrument => RejectReason::BadSymbol,
    }
}
