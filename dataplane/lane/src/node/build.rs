//! On a lane's thread: its transport opened, itself built and confined, and turned.

use super::connect::{Machines, VenueParts};
use super::{NodeError, Plan, sentence};
use crate::cast::{self, Part};
use crate::cost;
use crate::engine::{Engine, Setup};
use crate::host::{self, Turnstile};
use crate::lane::{Lane, PaperLane, Parts, RemoteLane, RemoteParts};
use crate::offline;
use crate::resolve::Inbox;
use crate::roles::{EngineLane, EngineParts, Peer, Remote, RemoteSetup};
use crate::wall::Wall;
use crate::way::Way;
use dp_book::FeedPlan;
use dp_config::Role;
use dp_host::Witness;
use dp_journal::{Entry, entry::EpochStart};
use dp_transport::{Idle, Sockets, Transport, Uring, grow_heap};
use dp_types::VenueId;
use dp_venue_api::Registry;
use std::sync::atomic::AtomicBool;

/// What a lane's heap is grown to before it trades: rustls's blocks, one a record, and REST bodies.
const HEAP_BYTES: usize = 16 << 20;

impl<'a> Plan<'a> {
    /// The lane's thread: builds and turns it.
    pub(super) fn run(
        self,
        part: Part,
        registry: Registry,
        venues: Vec<VenueParts>,
        addresses: Inbox,
        turnstile: Turnstile,
        stop: &AtomicBool,
    ) -> Result<(), NodeError> {
        let named =
            |error: &dyn core::fmt::Display| sentence(format!("lane {}: {error}", self.id.0));
        host::sit(self.seat, self.lane.fifo).map_err(|error| named(&error))?;
        if !grow_heap(HEAP_BYTES) {
            tracing::warn!(
                lane = self.id.0,
                "the heap cannot be kept: a record may cost a system call"
            );
        }
        if let Part::Engine { peers, pages, node } = part {
            let witness = host::witness_alone(self.seat, self.lane, pages, node);
            let lane = self.build_engine(registry, peers)?;
            self.set_out((&[], &[]), (witness, turnstile), || lane.run(stop));
            return Ok(());
        }
        let parts = (registry, venues, addresses);
        match self.way {
            Way::IoUring => {
                let mut transport =
                    Uring::on_node(self.seat.node).map_err(|error| named(&error))?;
                let witness = host::witness(self.seat, self.lane, &mut transport);
                self.turn(part, parts, transport, (witness, turnstile), stop)
            }
            Way::Sockets => {
                let mut transport =
                    Sockets::on_node(self.seat.node).map_err(|error| named(&error))?;
                let witness = host::witness(self.seat, self.lane, &mut transport);
                self.turn(part, parts, transport, (witness, turnstile), stop)
            }
            Way::AfXdp(queue) => {
                let mut transport = queue.open(self.seat.node).map_err(|error| named(&error))?;
                let mut witness = host::witness(self.seat, self.lane, &mut transport);
                queue.testify(transport.frames(), &mut witness);
                self.turn(part, parts, transport, (witness, turnstile), stop)
            }
        }
    }

    /// Builds a lane with sockets over its transport and turns it.
    fn turn<T: Transport>(
        self,
        part: Part,
        parts: Machines,
        transport: T,
        start: (Witness, Turnstile),
        stop: &AtomicBool,
    ) -> Result<(), NodeError> {
        let calls = (transport.steady_syscalls(), transport.cold_syscalls());
        if let Part::Remote { .. } = part {
            let mut lane = self.build_remote(part, parts, transport)?;
            self.set_out(calls, start, || lane.run(stop));
        } else {
            let parts = self.parts(parts, transport)?;
            if self.config.is_paper() {
                let mut lane = PaperLane::paper(parts, self.exchanges());
                if let Some(tap) = self.tap {
                    lane.record(tap.clone());
                }
                self.hear(&mut lane)?;
                self.set_out(calls, start, || lane.run(stop));
            } else {
                let mut lane = Lane::new(parts);
                self.hear(&mut lane)?;
                self.set_out(calls, start, || lane.run(stop));
            }
        }
        Ok(())
    }

    /// Confines the lane's thread to the calls of its transport, says what was found, and turns it when nobody
    /// objects.
    fn set_out(
        self,
        calls: (&'static [&'static str], &'static [&'static str]),
        (mut witness, turnstile): (Witness, Turnstile),
        run: impl FnOnce(),
    ) {
        let way = &witness.transport.1;
        tracing::info!(lane = self.id.0, core = ?self.seat.core, transport = way, "lane ready");
        // The last thing before it meets a venue: setting up calls what trading must not.
        let subject = cost::confine(self.lane, self.idle(), calls);
        witness.is_confined_asked = cost::asked(self.lane);
        witness.is_confined = subject.is_confined();
        // Nobody has told it before: each lane is one thread.
        let _ = self.subject.set(subject);
        if turnstile.pass(witness) {
            run();
        }
        if let Some(view) = self.region.lane(self.id) {
            view.beat.end();
        }
    }

    /// What a lane that does everything is made of.
    fn parts<T: Transport>(
        self,
        (mut registry, venues, addresses): Machines,
        transport: T,
    ) -> Result<Parts<'a, T>, NodeError> {
        let wall = self.wall()?;
        let machines = self.machines(&mut registry, venues)?;
        let engine = self.engine(wall, &registry);
        let mut seated = false;
        let on_instruments = move |registry: &Registry, engine: &mut Engine<'a>, venue: VenueId| {
            let barred = self.show_instruments(registry, venue);
            self.limit(registry, engine, venue, &barred);
            if !seated || self.lane.venues.len() > 1 {
                self.seat_strategies(registry, engine, venue);
                seated = true;
            }
        };
        Ok(Parts {
            id: self.id,
            transport,
            clock: self.clock,
            registry,
            engine,
            venues: machines,
            idle: self.idle(),
            addresses,
            on_instruments: Box::new(on_instruments),
        })
    }

    /// What stands in for the lane's venues on paper. Its ids are not those of another run.
    fn exchanges(&self) -> Vec<(VenueId, dp_paper::Setup)> {
        let venues = cast::venues(self.config, Role::Engine, usize::from(self.id.0));
        let ids_above = u64::from(self.epoch.0) << 40;
        let exchange = |venue| (venue, offline::exchange(self.config, venue, ids_above));
        venues.into_iter().map(exchange).collect()
    }

    /// A feed or gateway lane.
    fn build_remote<T: Transport>(
        self,
        part: Part,
        (mut registry, venues, addresses): Machines,
        transport: T,
    ) -> Result<RemoteLane<'a, T>, NodeError> {
        let Part::Remote { rings, engine } = part else {
            return Err(sentence("a lane was given another's part"));
        };
        let wall = self.wall()?;
        self.region.settle(self.id);
        let engine = self.region.lane(engine);
        let engine = engine.ok_or_else(|| sentence("the engine's lane is not in shared memory"))?;
        let venues = self.machines(&mut registry, venues)?;
        let lane = usize::from(self.id.0);
        let desk = Remote::new(RemoteSetup {
            wall,
            epoch: self.epoch,
            rings,
            engine: engine.beat,
            tells: cast::tells(self.config, lane),
            on_known: Box::new(move |registry, venue| self.show_instruments(registry, venue)),
        });
        let mut lane = RemoteLane::remote(RemoteParts {
            transport,
            clock: self.clock,
            registry,
            desk,
            venues,
            idle: self.idle(),
            addresses,
        });
        self.hear(&mut lane)?;
        Ok(lane)
    }

    /// An engine's lane.
    fn build_engine(
        self,
        registry: Registry,
        peers: Vec<Peer>,
    ) -> Result<EngineLane<'a>, NodeError> {
        let engine = self.engine(self.wall()?, &registry);
        let on_instruments = move |registry: &Registry, engine: &mut Engine<'a>, venue: VenueId| {
            // Those that cannot be shown came as not live.
            self.limit(registry, engine, venue, &[]);
            self.seat_strategies(registry, engine, venue);
        };
        Ok(EngineLane::new(EngineParts {
            id: self.id,
            clock: self.clock,
            registry,
            engine,
            peers,
            idle: self.idle(),
            on_instruments: Box::new(on_instruments),
        }))
    }

    /// The lane's side of the shared memory; its journal begins with this run.
    fn wall(&self) -> Result<Wall<'a>, NodeError> {
        let writer = self.region.lane_writer(self.id)?;
        let mut wall = Wall::new(self.region, writer, self.id, self.epoch);
        wall.beat
            .begin(nix::unistd::gettid().as_raw().unsigned_abs());
        wall.beat.show_core(self.seat.core.map(usize::from));
        wall.beat.show_paused(false);
        wall.beat.show_roles(self.lane.role_bits());
        let start = Entry::EpochStart(EpochStart {
            starts: self.starts,
        });
        wall.fact(self.clock.now().unix, &start);
        if let Some(recorder) = self.recordings.take(self.id) {
            wall.record(recorder);
        }
        Ok(wall)
    }

    /// The engine of the lane's venues, with what an earlier run left of them.
    fn engine(&self, wall: Wall<'a>, registry: &Registry) -> Engine<'a> {
        let setup = Setup {
            epoch: self.epoch,
            lane: self.id,
            limits: offline::node_limits(self.config),
            order_window_ns: self.order_window_ns(),
            venues: cast::venues(self.config, Role::Engine, usize::from(self.id.0)),
            instruments: registry.instruments().to_vec(),
        };
        let mut engine = Engine::new(wall, setup);
        for (name, section) in &self.config.venue {
            if let Some(venue) = VenueId::from_name(name) {
                let plan = FeedPlan {
                    count: usize::from(section.feeds),
                    hold_ns: u64::from(section.feed_hold_ms) * 1_000_000,
                };
                engine.set_feeds(venue, plan);
                for symbol in &section.single_orders {
                    if let Some(id) = registry.find(venue, symbol.as_bytes()) {
                        engine.follow_orders(id, section.single_orders_max as usize);
                    }
                }
            }
        }
        self.watch(&mut engine);
        engine.recover(self.recovered, self.clock.now());
        self.region.settle(self.id);
        engine
    }

    const fn idle(&self) -> Idle {
        match self.lane.idle {
            dp_config::Idle::Spin => Idle::Spin,
            dp_config::Idle::Yield => Idle::Yield,
            dp_config::Idle::Park => Idle::Park,
        }
    }

    /// The longest window of the lane's venues.
    fn order_window_ns(&self) -> u64 {
        let window = |name: &str| self.config.venue.get(name).map(|it| it.order_window_ms);
        let venues = self.config.venues_of(usize::from(self.id.0));
        let longest = venues.into_iter().filter_map(window).max();
        u64::from(longest.unwrap_or(0)) * 1_000_000
    }
}
