//! The lane of an engine whose feeds and gateways are elsewhere: rings in, rings out, no sockets.

use super::mail::{CANCEL_SLOTS, Errand, LEVELS, Told};
use crate::desk::{OnInstruments, Outcome, VenueLinks};
use crate::engine::{Action, Engine};
use dp_shm::spsc::{Receiver, Sender};
use dp_shm::{Counter, LinkState, Stage};
use dp_transport::{Clock, Idle, tsc};
use dp_types::limit::{LIVE_ORDERS_MAX, MSG_LEVELS_MAX};
use dp_types::{
    CancelOrder, InstrumentId, LaneId, Now, RawLevel, RejectReason, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::{Event, Registry};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// Values taken from one ring before the next one has its turn.
const BURST: usize = 256;
/// How often timers are looked at.
const DEADLINE_NS: u64 = 1_000_000;
/// How often the clock is anchored anew and status lines are written.
const COLD_NS: u64 = 100_000_000;
/// How long a stopping lane waits for its cancels to be confirmed.
const STOP_NS_MAX: u64 = 10_000_000_000;
/// Errands that wait for a full ring: every live order's cancel, and its question.
const HELD_MAX: usize = 2 * LIVE_ORDERS_MAX;

/// A feed or gateway lane, as its engine sees it.
#[derive(Debug)]
pub struct Peer {
    /// This lane's ends of the rings.
    pub rings: (Receiver<Told>, Sender<Errand>),
    /// Venues whose market data comes from there.
    pub feeds: Vec<VenueId>,
    /// Venues whose orders go there.
    pub gateways: Vec<VenueId>,
}

/// Parts of an engine's lane.
pub struct EngineParts<'r> {
    /// Which lane.
    pub id: LaneId,
    /// Clock.
    pub clock: Clock,
    /// Instruments, with the ids all lanes share.
    pub registry: Registry,
    /// Books, strategies, orders.
    pub engine: Engine<'r>,
    /// The lanes it works with.
    pub peers: Vec<Peer>,
    /// Idle policy; one that parks yields: no ring wakes a sleeper.
    pub idle: Idle,
    /// Sets limits and seats strategies.
    pub on_instruments: OnInstruments<'r>,
}

/// One lane at the other end.
struct Wire {
    told: Receiver<Told>,
    errands: Sender<Errand>,
    feeds: Vec<VenueId>,
    gateways: Vec<VenueId>,
    /// Errands the ring had no room for, in order: never a new order.
    held: VecDeque<Errand>,
    links: Vec<VenueLinks>,
}

/// An engine, turned.
pub struct EngineLane<'r> {
    id: LaneId,
    clock: Clock,
    registry: Registry,
    engine: Engine<'r>,
    wires: Vec<Wire>,
    idle: Idle,
    on_instruments: OnInstruments<'r>,
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
    live: Vec<CancelOrder>,
    deadline_due: UnixNanos,
    cold_due: UnixNanos,
}

impl<'r> EngineLane<'r> {
    /// Puts the parts together. Takes its memory here.
    pub fn new(parts: EngineParts<'r>) -> Self {
        let wires = parts.peers.into_iter().map(|peer| Wire {
            told: peer.rings.0,
            errands: peer.rings.1,
            feeds: peer.feeds,
            gateways: peer.gateways,
            held: VecDeque::with_capacity(HELD_MAX),
            links: Vec::with_capacity(16),
        });
        Self {
            id: parts.id,
            clock: parts.clock,
            registry: parts.registry,
            engine: parts.engine,
            wires: wires.collect(),
            idle: parts.idle,
            on_instruments: parts.on_instruments,
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
            live: Vec::with_capacity(LIVE_ORDERS_MAX),
            deadline_due: UnixNanos(0),
            cold_due: UnixNanos(0),
        }
    }

    /// Turns until told to stop and flat, or until stopping has taken [`STOP_NS_MAX`]. Its end tells the other
    /// lanes that they may end.
    pub fn run(mut self, stop: &AtomicBool) {
        let lane = self.id.0;
        let mut stop_by = None;
        loop {
            let now = self.clock.now();
            let work = self.turn(now);
            if stop.load(Ordering::Relaxed) && stop_by.is_none() {
                tracing::info!(lane, "stopping: cancelling what is open");
                self.engine.stop();
                stop_by = Some(now.unix.after(STOP_NS_MAX));
            }
            if let Some(by) = stop_by
                && (self.engine.is_flat() || now.unix > by)
            {
                if !self.engine.is_flat() {
                    let open = self.engine.oms().held_count();
                    tracing::error!(lane, open, "stopped with orders not confirmed closed");
                }
                self.show(now);
                return;
            }
            if work == 0 {
                self.engine.wall.count(Counter::IdleCycles);
                match self.idle {
                    Idle::Spin => core::hint::spin_loop(),
                    Idle::Yield | Idle::Park => std::thread::yield_now(),
                }
            }
        }
    }

    /// One duty cycle at `now`. Returns how many values it took.
    pub fn turn(&mut self, now: Now) -> usize {
        self.engine.wall.beat.beat(now);
        self.engine.wall.count(Counter::DutyCycles);
        self.engine.read_words(now);
        self.send_held();
        let mut work = 0;
        for at in 0..self.wires.len() {
            for _ in 0..BURST {
                let Some(told) = self.wires.get_mut(at).and_then(|wire| wire.told.pop()) else {
                    break;
                };
                let arrived = self.hear(at, &told, now);
                self.dispatch(arrived, now);
                work += 1;
            }
        }
        if now.unix >= self.deadline_due {
            self.deadline_due = now.unix.after(DEADLINE_NS);
            self.engine.on_tick(now);
            self.engine.take_commands();
        }
        if now.unix >= self.cold_due {
            self.cold_due = now.unix.after(COLD_NS);
            self.clock.resync();
            self.show(now);
        }
        self.dispatch(now.tsc, now);
        if work > 0 {
            self.engine.wall.stamp(Stage::DutyCycle, now.tsc);
        }
        work
    }

    /// The engine, for tests and read-outs.
    pub const fn engine(&self) -> &Engine<'r> {
        &self.engine
    }

    // ---- in -----------------------------------------------------------------------------------

    /// Gives the engine what was told; returns when the bytes behind it came in.
    #[inline]
    fn hear(&mut self, at: usize, told: &Told, now: Now) -> Tsc {
        let start = tsc();
        let event = match told {
            Told::Book(head, arrival) => {
                let Self {
                    wires, bids, asks, ..
                } = self;
                if let Some(wire) = wires.get_mut(at) {
                    gather(&mut wire.told, head.bids, bids);
                    gather(&mut wire.told, head.asks, asks);
                }
                let msg = head.with(&self.bids, &self.asks);
                self.engine
                    .on_book(arrival.feed, &msg, now, arrival.unix, start);
                return arrival.tsc;
            }
            // Never without its head, which has taken it.
            Told::Levels(_) => return start,
            Told::Trade(trade, arrival) => (Event::Trade(*trade), arrival.tsc, arrival.feed),
            Told::Quote(quote, arrival) => (Event::Quote(*quote), arrival.tsc, arrival.feed),
            Told::Order(report, arrived) => (Event::Order(*report), *arrived, 0),
            Told::Fill(report, arrived) => (Event::Fill(*report), *arrived, 0),
            Told::Position(report, arrived) => (Event::Position(*report), *arrived, 0),
            Told::Balance(balance, arrived) => (Event::Balance(*balance), *arrived, 0),
            Told::Funding(report, arrived) => (Event::Funding(*report), *arrived, 0),
            Told::Ack(ack, arrived) => (Event::Ack(*ack), *arrived, 0),
            Told::BookLost(instrument, feed) => {
                self.engine.on_ring_lost(*instrument, *feed, now);
                return start;
            }
            Told::Fact(venue, fact) => {
                self.engine.on_fact(*venue, *fact, now);
                return start;
            }
            Told::Outcome(outcome) => {
                self.engine.on_outcome_of_errand(*outcome, now);
                return start;
            }
            Told::Instrument(instrument) => {
                self.registry.update(*instrument);
                return start;
            }
            Told::Known(venue) => {
                self.engine
                    .set_instruments(*venue, self.registry.instruments());
                (self.on_instruments)(&self.registry, &mut self.engine, *venue);
                return start;
            }
            Told::Links(links) => {
                self.note_links(at, links);
                return start;
            }
        };
        let (event, arrived, feed) = event;
        self.engine.on_event_of(feed, &event, now, start);
        arrived
    }

    fn note_links(&mut self, at: usize, links: &VenueLinks) {
        let Some(wire) = self.wires.get_mut(at) else {
            return;
        };
        match wire.links.iter_mut().find(|it| it.venue == links.venue) {
            Some(held) => *held = *links,
            None => wire.links.push(*links),
        }
    }

    // ---- out ----------------------------------------------------------------------------------

    /// Gives everything the engine wants done to the lanes that do it.
    #[inline]
    fn dispatch(&mut self, arrived: Tsc, now: Now) {
        while let Some(action) = self.engine.next_action() {
            self.send(action, arrived, now);
        }
    }

    fn send(&mut self, action: Action, arrived: Tsc, now: Now) {
        let venue_of = |id: InstrumentId| self.registry.get(id).map(|it| it.venue);
        let (venue, is_market) = match &action {
            Action::New(order) => (venue_of(order.instrument), false),
            Action::Amend(amend) => (venue_of(amend.instrument), false),
            Action::Cancel(cancel) => (venue_of(cancel.instrument), false),
            Action::CancelAll(instrument) => (venue_of(**instrument), false),
            Action::Snapshot(instrument, _) | Action::L3Snapshot(instrument) => {
                (venue_of(*instrument), true)
            }
            Action::Query(order) => (venue_of(order.instrument), false),
            Action::Reconcile(venue) | Action::Reopen(venue) => (Some(*venue), false),
        };
        let Some(venue) = venue else { return };
        let is_its = |wire: &&mut Wire| {
            let served = if is_market {
                &wire.feeds
            } else {
                &wire.gateways
            };
            served.contains(&venue)
        };
        let Some(wire) = self.wires.iter_mut().find(is_its) else {
            return;
        };
        let (mut good_until, mut refused) = (UnixNanos(0), None);
        match &action {
            Action::New(order) => {
                good_until = self.engine.good_until(order.instrument);
                let outcome = Outcome::NewRefused(order.client_id, RejectReason::Other);
                refused = (!wire.may_wish()).then_some(outcome);
            }
            Action::Amend(amend) => {
                good_until = self.engine.good_until(amend.instrument);
                let outcome = Outcome::AmendRefused(amend.client_id, RejectReason::Other);
                let may_go = wire.may_wish() && self.engine.on_amend_passed(amend.client_id, now);
                refused = (!may_go).then_some(outcome);
            }
            Action::Cancel(cancel) => self.engine.on_cancel_passed(cancel.client_id, now),
            Action::CancelAll(instrument) => {
                self.live.clear();
                let live = self.engine.oms().live(**instrument);
                self.live.extend(live.map(dp_oms::Order::named));
                // The whole list or none of it: what is left of one must not join the next.
                if wire.held.len() + self.live.len() >= HELD_MAX {
                    self.engine.wall.count(Counter::RingRefusals);
                    return;
                }
                for order in &self.live {
                    wire.send(Errand::Live(*order));
                    self.engine.on_cancel_passed(order.client_id, now);
                }
            }
            _ => {}
        }
        if let Some(outcome) = refused {
            self.engine.wall.count(Counter::RingRefusals);
            self.engine.on_outcome(outcome, now);
            return;
        }
        let is_kept = wire.send(Errand::Do {
            action,
            arrived,
            good_until,
        });
        if !is_kept {
            self.engine.wall.count(Counter::RingRefusals);
        }
    }

    fn send_held(&mut self) {
        for wire in &mut self.wires {
            while let Some(errand) = wire.held.pop_front() {
                if let Err(errand) = wire.errands.push(errand) {
                    wire.held.push_front(errand);
                    break;
                }
            }
        }
    }

    // ---- read-outs ----------------------------------------------------------------------------

    /// Renews each venue's line: its feed's links first, then its gateway's.
    fn show(&self, now: Now) {
        let all = || self.wires.iter().flat_map(|wire| &wire.links);
        for (at, first) in all().enumerate() {
            if all().take(at).any(|links| links.venue == first.venue) {
                continue;
            }
            let mut sum = *first;
            for more in all().skip(at + 1).filter(|it| it.venue == first.venue) {
                let free = sum.links.iter_mut().filter(|it| **it == LinkState::None);
                let states = more.links.iter().filter(|it| **it != LinkState::None);
                for (slot, state) in free.zip(states) {
                    *slot = *state;
                }
                sum.last_message = sum.last_message.max(more.last_message);
                sum.reconnects += more.reconnects;
            }
            self.engine.show_venue(self.id, &sum, now);
        }
    }
}

impl Wire {
    /// Whether a new order or amend may go: there is room beyond what is kept for cancels.
    #[inline]
    fn may_wish(&mut self) -> bool {
        self.held.is_empty() && self.errands.has_room(CANCEL_SLOTS + 1)
    }

    /// Sends, or keeps for later behind those kept before. False: even that had no room.
    #[inline]
    fn send(&mut self, errand: Errand) -> bool {
        if self.held.is_empty() {
            let Err(errand) = self.errands.push(errand) else {
                return true;
            };
            self.held.push_back(errand);
            return true;
        }
        let has_room = self.held.len() < HELD_MAX;
        if has_room {
            self.held.push_back(errand);
        }
        has_room
    }
}

/// Takes `count` levels of a message off the ring; they were published with its head.
#[inline]
fn gather(told: &mut Receiver<Told>, count: u32, into: &mut Vec<RawLevel>) {
    into.clear();
    let mut left = count as usize;
    while left > 0 {
        let Some(Told::Levels(piece)) = told.pop() else {
            return;
        };
        into.extend(piece.iter().take(left));
        left -= left.min(LEVELS);
    }
}
