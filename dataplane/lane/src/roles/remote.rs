//! The desk of a feed or gateway lane: what sessions hear goes into a ring, what they must do comes out of one.
//!
//! The last look before an order leaves is here, where it leaves: kill switch, lease, and the age of the book it
//! was decided on. A gateway whose engine does not turn stands still with it, as a lane that has both does: the
//! venue's own switches (dead man, cancel on disconnect) then see the silence they are there for.

use super::mail::{Arrival, BookHead, Errand, LEVELS, PRIVATE_SLOTS, Told};
use crate::desk::{Desk, Fact, Outcome, VenueLinks};
use crate::engine::Action;
use crate::wall::Wall;
use dp_shm::spsc::{Receiver, Sender};
use dp_shm::twin::Words as _;
use dp_shm::{BeatLine, Command, CommandNote, Counter, Stage};
use dp_types::limit::{FEEDS_MAX, INSTRUMENTS_MAX, LIVE_ORDERS_MAX};
use dp_types::{
    BookMsg, CancelOrder, Epoch, Instrument, InstrumentId, Now, RawLevel, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::{Event, Registry};
use std::sync::atomic::Ordering;

/// An engine that has not begun a turn for so long is not there. Its longest turn takes milliseconds.
const ENGINE_SILENT_NS: u64 = 2_000_000_000;
/// Room an errand may need for what is said of it and of the orders entered together before it: a list of every live order,
/// each cancelled.
const OUTCOME_SLOTS: u64 = LIVE_ORDERS_MAX as u64 + 64;
/// Facts kept until there is room: every kind of every venue.
const OWED_MAX: usize = 64;
/// Books lost at once, from any feed.
const LOST_MAX: usize = INSTRUMENTS_MAX * FEEDS_MAX;

const _: () = assert!(OUTCOME_SLOTS < PRIVATE_SLOTS);

/// Shows a venue's instruments to the node; says which of them cannot trade.
pub type OnKnown<'r> = Box<dyn FnMut(&Registry, VenueId) -> Vec<InstrumentId> + Send + 'r>;

/// What a [`Remote`] is made with.
pub struct RemoteSetup<'r> {
    /// The lane's side of the shared memory.
    pub wall: Wall<'r>,
    /// Of this run.
    pub epoch: Epoch,
    /// Its ends of the rings.
    pub rings: (Sender<Told>, Receiver<Errand>),
    /// Liveness of the engine's lane.
    pub engine: &'r BeatLine,
    /// Venues whose instruments this lane tells: where it is the gateway, or there is none.
    pub tells: Vec<VenueId>,
    /// See [`OnKnown`].
    pub on_known: OnKnown<'r>,
}

/// An engine at the other end of two rings.
pub struct Remote<'r> {
    wall: Wall<'r>,
    epoch: Epoch,
    told: Sender<Told>,
    errands: Receiver<Errand>,
    engine: &'r BeatLine,
    tells: Vec<VenueId>,
    on_known: OnKnown<'r>,
    /// When the bytes in hand came in.
    arrived: Tsc,
    /// Of the errand in hand.
    caused: Tsc,
    good_until: UnixNanos,
    live: Vec<CancelOrder>,
    /// Books the ring had no room for, and of which feed, not told yet.
    lost: Vec<(InstrumentId, u8)>,
    /// Facts the ring had no room for.
    owed: Vec<(VenueId, Fact)>,
    stopped: Vec<(VenueId, UnixNanos)>,
}

impl<'r> Remote<'r> {
    /// A desk without anything to say yet. Takes its memory here.
    pub fn new(setup: RemoteSetup<'r>) -> Self {
        let (told, errands) = setup.rings;
        Self {
            wall: setup.wall,
            epoch: setup.epoch,
            told,
            errands,
            engine: setup.engine,
            tells: setup.tells,
            on_known: setup.on_known,
            arrived: Tsc(0),
            caused: Tsc(0),
            good_until: UnixNanos(0),
            live: Vec::with_capacity(LIVE_ORDERS_MAX),
            lost: Vec::with_capacity(LOST_MAX),
            owed: Vec::with_capacity(OWED_MAX),
            stopped: Vec::with_capacity(16),
        }
    }

    /// Whether market data may take `count` places: the private half stays free.
    #[inline]
    fn has_room(&mut self, count: u64) -> bool {
        self.told.has_room(count + PRIVATE_SLOTS)
    }

    /// Says what could not be said before, oldest first; whether all of it is said.
    fn tell_owed(&mut self) -> bool {
        while let Some((venue, fact)) = self.owed.first().copied() {
            if self.told.push(Told::Fact(venue, fact)).is_err() {
                return false;
            }
            self.owed.remove(0);
        }
        while let Some((book, feed)) = self.lost.last().copied() {
            if !self.has_room(1) || self.told.push(Told::BookLost(book, feed)).is_err() {
                return false;
            }
            self.lost.pop();
        }
        true
    }

    fn lose(&mut self, book: InstrumentId, feed: u8) {
        self.wall.count(Counter::RingLosses);
        if !self.lost.contains(&(book, feed)) && self.lost.len() < LOST_MAX {
            self.lost.push((book, feed));
        }
    }

    fn book(&mut self, feed: u8, msg: &BookMsg<'_>, now: Now) {
        let pieces = |levels: &[RawLevel]| levels.len().div_ceil(LEVELS) as u64;
        let need = 1 + pieces(msg.bids) + pieces(msg.asks);
        let is_behind = !self.lost.is_empty() && !self.tell_owed();
        if is_behind || !self.has_room(need) {
            self.lose(msg.instrument, feed);
            return;
        }
        let arrival = self.arrival(feed, now);
        // There is room: nothing comes back.
        let _ = self.told.stage(Told::Book(BookHead::of(msg), arrival));
        for side in [msg.bids, msg.asks] {
            for levels in side.chunks(LEVELS) {
                let mut piece = [RawLevel::default(); LEVELS];
                for (slot, level) in piece.iter_mut().zip(levels) {
                    *slot = *level;
                }
                let _ = self.told.stage(Told::Levels(piece));
            }
        }
        self.told.publish();
    }

    /// Market data without a state: what is lost is counted and no more.
    fn passing(&mut self, told: Told) {
        if !self.has_room(1) || self.told.push(told).is_err() {
            self.wall.count(Counter::RingLosses);
        }
    }

    /// What must not be lost; false: it was.
    fn private(&mut self, told: Told) -> bool {
        let is_told = self.owed.is_empty() && self.told.push(told).is_ok();
        if !is_told {
            self.wall.count(Counter::RingLosses);
        }
        is_told
    }

    const fn arrival(&self, feed: u8, now: Now) -> Arrival {
        Arrival {
            unix: now.unix,
            tsc: self.arrived,
            feed,
        }
    }
}

impl Desk for Remote<'_> {
    /// Longer than the engine's: it goes when the engine has gone.
    const STOP_NS_MAX: u64 = 15_000_000_000;

    #[inline]
    fn wall(&self) -> &Wall<'_> {
        &self.wall
    }

    #[inline]
    fn begin(&mut self, now: Now) -> bool {
        let beat = UnixNanos(self.engine.beat_unix_ns.load(Ordering::Relaxed));
        let is_there = now.unix.since(beat) < ENGINE_SILENT_NS || self.errands.is_closed();
        // Reports have half the ring; a turn that begins with less room could lose one.
        let has_room = self.told.has_room(PRIVATE_SLOTS);
        is_there
            && has_room
            && (self.owed.is_empty() && self.lost.is_empty() || {
                self.tell_owed();
                self.owed.is_empty()
            })
    }

    #[inline]
    fn on_bytes(&mut self, arrived: Tsc) {
        self.arrived = arrived;
    }

    #[inline]
    fn event(&mut self, feed: u8, event: &Event<'_>, now: Now, since: Tsc) -> bool {
        match event {
            Event::Book(msg) => {
                self.wall.stamp(Stage::Decode, since);
                self.book(feed, msg, now);
                true
            }
            Event::Trade(trade) => {
                self.passing(Told::Trade(*trade, self.arrival(feed, now)));
                true
            }
            Event::Quote(quote) => {
                self.passing(Told::Quote(*quote, self.arrival(feed, now)));
                true
            }
            Event::Order(report) => self.private(Told::Order(*report, self.arrived)),
            Event::Fill(report) => self.private(Told::Fill(*report, self.arrived)),
            Event::Position(report) => self.private(Told::Position(*report, self.arrived)),
            Event::Balance(balance) => self.private(Told::Balance(*balance, self.arrived)),
            Event::Funding(report) => self.private(Told::Funding(*report, self.arrived)),
            Event::Ack(ack) => self.private(Told::Ack(*ack, self.arrived)),
            // Single orders are followed in whole lanes only: the configuration has been checked.
            Event::L3(_) | Event::Control(_) | Event::Ignored(_) => true,
        }
    }

    fn fact(&mut self, venue: VenueId, fact: Fact, _: Now) {
        if let Fact::RateLimited(until) = fact {
            match self.stopped.iter_mut().find(|(held, _)| *held == venue) {
                Some((_, held)) => *held = until.max(*held),
                None => self.stopped.push((venue, until)),
            }
        }
        let is_told = self.private(Told::Fact(venue, fact));
        if !is_told && !self.owed.contains(&(venue, fact)) && self.owed.len() < OWED_MAX {
            self.owed.push((venue, fact));
        }
    }

    #[inline]
    fn outcome(&mut self, outcome: Outcome, _: Now) {
        // `next_action` has seen to the room.
        self.private(Told::Outcome(outcome));
    }

    fn instruments_known(&mut self, registry: &Registry, venue: VenueId) {
        let barred = (self.on_known)(registry, venue);
        if !self.tells.contains(&venue) {
            return;
        }
        let all = registry.instruments().iter();
        for instrument in all.filter(|instrument| instrument.venue == venue) {
            let is_live = instrument.is_live && !barred.contains(&instrument.id);
            self.private(Told::Instrument(Instrument {
                is_live,
                ..*instrument
            }));
        }
        self.private(Told::Known(venue));
    }

    #[inline]
    fn next_action(&mut self) -> Option<Action> {
        loop {
            if !self.told.has_room(OUTCOME_SLOTS) {
                return None;
            }
            match self.errands.pop()? {
                Errand::Live(order) if self.live.len() < LIVE_ORDERS_MAX => self.live.push(order),
                Errand::Live(_) => {}
                Errand::Do {
                    action,
                    arrived,
                    good_until,
                } => {
                    (self.caused, self.good_until) = (arrived, good_until);
                    return Some(action);
                }
            }
        }
    }

    #[inline]
    fn may_send(&self, now: UnixNanos) -> bool {
        let region = self.wall.region;
        !region.kill().is_killed()
            && region.lease().may_trade(self.epoch, now)
            && now <= self.good_until
    }

    #[inline]
    fn arrived(&self, _: Tsc) -> Tsc {
        self.caused
    }

    fn live(&mut self, _: InstrumentId, into: &mut Vec<CancelOrder>) {
        into.append(&mut self.live);
    }

    fn stopped_until(&self, venue: VenueId) -> UnixNanos {
        let stopped = self.stopped.iter().find(|(held, _)| *held == venue);
        stopped.map_or(UnixNanos(0), |(_, until)| *until)
    }

    /// What people ask is the engine's to do; this lane shows that it has heard.
    fn on_deadline(&mut self, _: Now) {
        while let Some(words) = self.wall.commands.pop() {
            match CommandNote::from_words(&words).map(|note| note.command) {
                Some(Command::Pause) => self.wall.beat.show_paused(true),
                Some(Command::Resume) => self.wall.beat.show_paused(false),
                _ => {}
            }
        }
    }

    fn show(&mut self, links: &VenueLinks, _: Now) {
        self.passing(Told::Links(*links));
    }

    fn stop(&mut self) {}

    fn is_over(&self) -> bool {
        self.errands.is_closed()
    }

    fn open_orders(&self) -> usize {
        0
    }
}
