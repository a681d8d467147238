//! The duty cycle of a lane with sockets: sessions and their desk, turned over and over by one thread.
//!
//! ```text
//!   turn:  words ─▶ poll ─▶ each record: decrypt ─▶ message ─▶ venue ─▶ desk ─▶ actions ─▶ seal ─▶ send
//!          ─▶ deadlines (links, venues, desk) ─▶ idle policy when nothing was found
//! ```
//! What a message caused is sent before the next record is opened. With the engine as desk that is run to
//! completion, [`Lane`]; with rings as desk it is a feed or a gateway of a spread node, [`RemoteLane`].

use crate::any_venue::AnyVenue;
use crate::desk::{Desk, Local, OnInstruments};
use crate::engine::Engine;
use crate::link::Link;
use crate::paper::Paper;
use crate::resolve::Inbox;
use crate::roles::Remote;
use crate::session::Sessions;
use crate::wiretap::Wiretap;
use dp_shm::{Counter, Stage};
use dp_transport::{Clock, Group, Idle, OpenError, Transport};
use dp_types::{LaneId, Now, UnixNanos, VenueId};
use dp_venue_api::Registry;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest sleep of a lane that parks: kill word and commands are read between.
const PARK_NS_MAX: u64 = 2_000_000;
/// How long a stopping lane waits for the answers to its goodbyes.
const GOODBYE_NS_MAX: u64 = 1_000_000_000;
/// How often deadlines of links and venues are looked at.
const DEADLINE_NS: u64 = 1_000_000;
/// How often the clock is anchored anew and status lines are written.
const COLD_NS: u64 = 100_000_000;

/// Everything one thread with sockets turns.
pub struct Cycle<T, D> {
    sessions: Sessions<T>,
    desk: D,
    idle: Idle,
    deadline_due: UnixNanos,
    cold_due: UnixNanos,
}

/// Feed, engine, gateway and journal in one thread.
pub type Lane<'r, T> = Cycle<T, Local<'r>>;
/// As [`Lane`], on paper.
pub type PaperLane<'r, T> = Cycle<T, Paper<'r>>;
/// Feed or gateway or both, for an engine in another lane.
pub type RemoteLane<'r, T> = Cycle<T, Remote<'r>>;

/// Parts of a lane that runs to completion.
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
    pub on_instruments: OnInstruments<'r>,
}

/// Parts of a feed or gateway lane.
pub struct RemoteParts<'r, T> {
    /// Sockets.
    pub transport: T,
    /// Clock.
    pub clock: Clock,
    /// Instruments and assets.
    pub registry: Registry,
    /// Its ends of the rings to the engine's lane.
    pub desk: Remote<'r>,
    /// Venue machines and those of their links that this lane has the roles for.
    pub venues: Vec<(AnyVenue, Vec<Link>)>,
    /// Idle policy.
    pub idle: Idle,
    /// Where new addresses of the links' hosts come in.
    pub addresses: Inbox,
}

impl<'r, T: Transport> Lane<'r, T> {
    /// Puts the parts together.
    pub fn new(parts: Parts<'r, T>) -> Self {
        Self::with_engine(parts, |lane, engine, on_instruments| Local {
            lane,
            engine,
            on_instruments,
        })
    }

    /// The engine, for tests and read-outs.
    pub const fn engine(&self) -> &Engine<'r> {
        &self.desk.engine
    }
}

impl<'r, T: Transport> PaperLane<'r, T> {
    /// Puts the parts together; `exchanges` stand in for the venues, whose order links are not among the parts.
    pub fn paper(parts: Parts<'r, T>, exchanges: Vec<(VenueId, dp_paper::Setup)>) -> Self {
        Self::with_engine(parts, |lane, engine, on_instruments| {
            Paper::new(lane, engine, on_instruments, exchanges)
        })
    }
}

impl<'r, T: Transport> RemoteLane<'r, T> {
    /// Puts the parts together.
    pub fn remote(parts: RemoteParts<'r, T>) -> Self {
        let RemoteParts {
            transport,
            clock,
            registry,
            desk,
            venues,
            idle,
            addresses,
        } = parts;
        let sessions = Sessions::new(transport, clock, registry, venues, addresses);
        Self::of(sessions, desk, idle)
    }
}

impl<T: Transport, D: Desk> Cycle<T, D> {
    /// Of an engine's parts, with the desk it sits at.
    fn with_engine<'r>(
        parts: Parts<'r, T>,
        desk: impl FnOnce(LaneId, Engine<'r>, OnInstruments<'r>) -> D,
    ) -> Self {
        let Parts {
            id,
            transport,
            clock,
            registry,
            engine,
            venues,
            idle,
            addresses,
            on_instruments,
        } = parts;
        let sessions = Sessions::new(transport, clock, registry, venues, addresses);
        Self::of(sessions, desk(id, engine, on_instruments), idle)
    }

    const fn of(sessions: Sessions<T>, desk: D, idle: Idle) -> Self {
        Self {
            sessions,
            desk,
            idle,
            deadline_due: UnixNanos(0),
            cold_due: UnixNanos(0),
        }
    }

    /// Hears a multicast group as a line (0 or 1) of a venue's feed. Before the thread is confined.
    ///
    /// Errors: [`OpenError`].
    pub fn hear(&mut self, venue: VenueId, line: u8, group: &Group) -> Result<(), OpenError> {
        self.sessions.hear(venue, line, group)
    }

    /// Copies what market data links hear and say from now on.
    pub fn record(&mut self, tap: Wiretap) {
        self.sessions.tap = Some(Box::new(tap));
    }

    /// Turns until told to stop and the desk is done, or until stopping has taken [`Desk::STOP_NS_MAX`].
    pub fn run(&mut self, stop: &AtomicBool) {
        let lane = self.desk.wall().lane().0;
        let mut stop_by = None;
        loop {
            let now = self.sessions.clock.now();
            let work = self.turn(now);
            if stop.load(Ordering::Relaxed) && stop_by.is_none() {
                tracing::info!(lane, "stopping");
                self.desk.stop();
                stop_by = Some(now.unix.after(D::STOP_NS_MAX));
            }
            if let Some(by) = stop_by
                && (self.desk.is_over() || now.unix > by)
            {
                if !self.desk.is_over() {
                    let open = self.desk.open_orders();
                    tracing::error!(lane, open, "stopped with orders not confirmed closed");
                }
                self.log_out(now);
                self.sessions.show(&mut self.desk, now);
                return;
            }
            if work == 0 {
                self.desk.wall().count(Counter::IdleCycles);
                self.idle.wait(&mut self.sessions.transport, PARK_NS_MAX);
            }
        }
    }

    /// Says goodbye where a venue expects it, and waits a moment for the answer.
    fn log_out(&mut self, now: Now) {
        let Self { sessions, desk, .. } = self;
        sessions.log_out(desk, now);
        let by = now.unix.after(GOODBYE_NS_MAX);
        loop {
            let now = self.sessions.clock.now();
            if !self.sessions.is_leaving() || now.unix > by {
                return;
            }
            if self.turn(now) == 0 {
                self.idle.wait(&mut self.sessions.transport, PARK_NS_MAX);
            }
        }
    }

    /// One duty cycle at `now`. Returns how many things it found to do.
    pub fn turn(&mut self, now: Now) -> usize {
        let Self { sessions, desk, .. } = self;
        desk.wall().beat.beat(now);
        desk.wall().count(Counter::DutyCycles);
        if !desk.begin(now) {
            return 0;
        }
        let mut work = sessions.poll(desk, now);
        work += sessions.flush_all(desk, now, now.tsc);
        if now.unix >= self.deadline_due {
            self.deadline_due = now.unix.after(DEADLINE_NS);
            sessions.on_deadlines(desk, now);
        }
        if now.unix >= self.cold_due {
            self.cold_due = now.unix.after(COLD_NS);
            sessions.clock.resync();
            sessions.take_addresses(now);
            sessions.show(desk, now);
        }
        if work > 0 {
            desk.wall().stamp(Stage::DutyCycle, now.tsc);
        }
        work
    }

    /// Who the sessions work for, for tests and read-outs.
    pub const fn desk(&self) -> &D {
        &self.desk
    }

    /// The clock, for simulation: one that stands still is moved before each turn.
    pub const fn clock(&mut self) -> &mut Clock {
        &mut self.sessions.clock
    }

    /// The transport, for tests.
    pub const fn transport(&mut self) -> &mut T {
        &mut self.sessions.transport
    }
}
