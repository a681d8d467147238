//! From a configuration to running lanes: shared memory, epoch, recovery, venues, strategies, threads.
//! All of it cold: it may block, allocate and fail with a sentence.

use crate::any_venue::AnyVenue;
use crate::cast::{self, Part};
use crate::cost::{self, Subject};
use crate::engine::{Engine, Setup};
use crate::host::{self, Turnstile};
use crate::lane::{Lane, Parts, RemoteLane, RemoteParts};
use crate::link::Link;
use crate::resolve::{Inbox, Reach, Watched, inbox, resolve, watch};
use crate::roles::{EngineLane, EngineParts, Peer, Remote, RemoteSetup};
use crate::session::FEED;
use crate::wall::Wall;
use crate::way::{Way, Ways};
use dp_config::{Config, ConfigError, Keys, Role, host_port};
use dp_host::{Placement, Witness};
use dp_journal::{Entry, Recovered, entry::EpochStart};
use dp_proto::tls::{Roots, client_config};
use dp_shm::layout::Shape;
use dp_shm::{InstrumentEntry, InstrumentLimits, Lock, NodeLimits, Opened, Region, mark};
use dp_strategy::{MarketMaker, Params, Strategy};
use dp_transport::{Clock, Idle, Sockets, Transport, Uring, clock, grow_heap};
use dp_types::limit::INSTRUMENTS_MAX;
use dp_types::{
    AssetId, Decimal, Epoch, Instrument, InstrumentId, LaneId, Qty, StrategyId, Text, VenueId,
};
use dp_venue_api::{LinkSpec, Registry, Secrets, Venue as _, VenueConfig};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How often the kill switch is kept on disk when it has changed.
const KILL_POLL: core::time::Duration = core::time::Duration::from_millis(50);
/// What a lane's heap is grown to before it trades: rustls's blocks, one a record, and REST bodies.
const HEAP_BYTES: usize = 16 << 20;
/// Milliseconds the clock is calibrated for.
const CALIBRATE_MS: u64 = 100;

/// Why the node cannot run: one sentence with what, where and the mend.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration or a keys file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Shared memory.
    #[error(transparent)]
    Shm(#[from] dp_shm::ShmError),
    /// The epoch.
    #[error(transparent)]
    Epoch(#[from] dp_journal::epoch::EpochError),
    /// Anything else, already a sentence.
    #[error("{0}")]
    Host(String),
}

fn sentence(text: impl Into<String>) -> NodeError {
    NodeError::Host(text.into())
}

/// What lanes share while they start: the tables everyone reads by the same ids.
struct Shared {
    /// The lanes have set limits that readers do not see yet.
    is_changed: bool,
    limits: Vec<InstrumentLimits>,
    node: NodeLimits,
}

/// Runs the node until `stop` is set and every lane has stopped in order.
///
/// Errors: [`NodeError`], before any lane has started.
pub fn run(config: &Config, stop: &Arc<AtomicBool>) -> Result<(), NodeError> {
    let shape = Shape::new(
        config.lane.len() as u32,
        INSTRUMENTS_MAX as u32,
        config.node.journal_records,
        config.node.tick_records,
    );
    std::fs::create_dir_all(&config.node.state_dir).map_err(|error| {
        sentence(format!(
            "{}: cannot be made: {error}",
            config.node.state_dir.display()
        ))
    })?;
    let is_kernels = |lane: &dp_config::Lane| lane.has_sockets() && lane.card().is_none();
    if config.lane.iter().any(is_kernels) {
        dp_transport::check_sockets().map_err(|error| sentence(error.to_string()))?;
    }
    // Before anything is taken: a plan that cannot be is refused whole.
    let topology = host::topology(config);
    let seats = host::place(config, &topology, &shape)?;
    let (region, opened) = Region::open_or_create(&config.node.shm, &shape)?;
    match &opened {
        Opened::Created => tracing::info!(shm = %config.node.shm.display(), "shared memory made"),
        Opened::Reused => {
            tracing::info!(shm = %config.node.shm.display(), "shared memory taken up again");
        }
        Opened::Replaced { why, kept } => {
            tracing::warn!(why, kept = %kept.display(), "shared memory replaced");
        }
    }
    // Put back when everything below has ended.
    let ways = Ways::prepare(config)?;
    let past = take_over(&region, &config.node.shm)?;
    let told: Vec<&Region> = past.iter().chain([&region]).collect();
    let last_epoch = told.iter().map(|region| region.epoch()).max();
    let last_epoch = last_epoch.unwrap_or(Epoch(0));
    let epoch = dp_journal::epoch::next(&config.node.state_dir, last_epoch)?;
    let clock = Clock::calibrate(CALIBRATE_MS);
    let now = clock.now().unix;
    let starts = region.begin_run(epoch, clock.tsc_hz(), now);
    region.set_node(&config.node.name);
    // The lease stub: always held, by whoever started last. The check before each send is the real one.
    region.lease().hold_always(epoch);
    let is_fresh = !matches!(opened, Opened::Reused);
    restore_kill(config, &region, is_fresh);
    doubt_positions(config, &region, epoch, is_fresh && past.is_empty());
    // Before any lane writes: all of them look at the same past.
    let recovered = dp_journal::recover(&told);
    if !recovered.orders.is_empty() {
        tracing::warn!(
            orders = recovered.orders.len(),
            "orders of the last run are open or unknown: asking the venues"
        );
    }
    tracing::info!(
        epoch = epoch.0,
        starts,
        lanes = config.lane.len(),
        "dataplane starts"
    );

    // Before there are lanes: what they map later is locked too.
    host::lock_memory();
    let (gate, turnstiles) = host::Gate::new(config.lane.len());
    let registry = seed_registry(config, &region)?;
    let parts = cast::cast(config, &seats)?;
    let shared = Mutex::new(Shared {
        is_changed: false,
        limits: vec![InstrumentLimits::default(); INSTRUMENTS_MAX],
        node: NodeLimits {
            collar_bps: config.risk.collar_bps,
            orders_per_s_max: config.risk.orders_per_s_max,
            book_age_ms_max: config.risk.book_age_ms_max,
        },
    });
    // Whichever lane ends first is heard first: one that cannot run stops the others.
    let (done, ends) = crossbeam::channel::bounded(config.lane.len());
    let mut watched = Vec::new();
    let subjects: Vec<OnceLock<Subject>> = config.lane.iter().map(|_| OnceLock::new()).collect();
    let mut costs = cost::Watch::new(config, &region, &subjects);
    // Set whenever the lanes have ended, however they did.
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let lanes = config.lane.iter().zip(seats).zip(turnstiles);
        let lanes = lanes.zip(ways.lanes()).zip(&subjects).zip(parts);
        for (index, (((((lane, seat), turnstile), way), subject), part)) in lanes.enumerate() {
            let id = LaneId(index as u8);
            let plan = Plan {
                config,
                lane,
                way,
                seat,
                id,
                epoch,
                starts,
                clock,
                region: &region,
                recovered: &recovered,
                shared: &shared,
                subject,
            };
            let venues = plan.venues();
            let addresses = inbox();
            watched.extend(plan.watched(&addresses));
            let (registry, done) = (registry.clone(), done.clone());
            let flag = Arc::clone(stop);
            let thread = std::thread::Builder::new().name(format!("lane-{index}"));
            let spawned = thread.spawn_scoped(scope, move || {
                let outcome = venues.and_then(|venues| {
                    plan.run(part, registry, venues, addresses, turnstile, &flag)
                });
                // The receiver outlives every lane.
                let _ = done.send(outcome);
            });
            if let Err(error) = spawned {
                stop.store(true, Ordering::Relaxed);
                return Err(sentence(format!("lane {index}: no thread: {error}")));
            }
        }
        drop(done);
        // Nobody meets a venue before the machine under all of them is known. A lane that ended before it
        // could say what it found has told why, and stops the others below.
        let judged = gate
            .hear()
            .map(|heard| host::judge(config, &topology, &heard));
        match judged {
            Some(Ok(())) => gate.open(),
            Some(Err(error)) => return Err(error),
            None => drop(gate),
        }
        let names = std::thread::Builder::new().name("names".into());
        if let Err(error) = names.spawn_scoped(scope, || watch(watched, &is_over, resolve)) {
            tracing::error!(%error, "no thread for names: addresses stay as they are");
        }
        let mut outcome = Ok(());
        let mut kept = None;
        loop {
            kept = keep_kill(config, &region, kept);
            publish_limits(&region, &shared)?;
            costs.look(clock::unix_now());
            let ended = match ends.recv_timeout(KILL_POLL) {
                Ok(ended) => ended,
                Err(crossbeam::channel::RecvTimeoutError::Timeout) => continue,
                Err(crossbeam::channel::RecvTimeoutError::Disconnected) => break,
            };
            if let Err(error) = ended {
                tracing::error!(%error, "a lane could not run; the others are stopped");
                stop.store(true, Ordering::Relaxed);
                outcome = Err(error);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        costs.finish(clock::unix_now());
        if outcome.is_ok() {
            note_flat(config, &region);
        }
        outcome
    })
}

/// The files before this one that still count, oldest first: none once its lanes have settled in it. Names
/// and kill switch are taken over here, orders and positions by the lanes. A file that cannot be read means
/// that nobody knows what was held: the kill switch goes on.
fn take_over(region: &Region, path: &Path) -> Result<Vec<Region>, NodeError> {
    let mut past: Vec<Region> = Vec::new();
    if region.is_settled() {
        return Ok(past);
    }
    for kept in Region::kept(path).iter().rev() {
        match Region::attach(kept) {
            Ok(older) => {
                let is_last = older.is_settled();
                past.insert(0, older);
                if is_last {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the last run's orders and positions cannot be read");
                let why = "positions of the last run cannot be read";
                region.kill().kill("start", why, clock::unix_now());
                break;
            }
        }
    }
    for older in &past {
        let full = |error| sentence(format!("{}: {error}", older.path().display()));
        for (id, name) in (0..).map(AssetId).zip(older.assets().iter()) {
            region.assets().publish(id, name).map_err(full)?;
        }
        for entry in older.instruments().iter() {
            region.instruments().publish(&entry).map_err(full)?;
        }
        if older.kill().is_killed() {
            let why = older.kill().last_change().map(|change| change.why);
            let why = why.as_ref().map_or("killed", |why| why.as_str());
            region.kill().kill("start", why, clock::unix_now());
        }
    }
    Ok(past)
}

/// A kill outlives the shared memory: with fresh memory the mark in the state directory speaks.
fn restore_kill(config: &Config, region: &Region, is_fresh: bool) {
    if is_fresh && let Some(why) = mark::read(&mark::killed(&config.node.state_dir)) {
        region.kill().kill("restart", &why, clock::unix_now());
    }
    if region.kill().is_killed() {
        tracing::warn!("the kill switch is on: nothing is sent until `spinlane arm`");
    }
    keep_kill(config, region, None);
}

/// With fresh memory and an earlier run that did not end flat, nobody knows what is held: trading starts
/// killed, until somebody has looked and arms it.
fn doubt_positions(config: &Config, region: &Region, epoch: Epoch, is_fresh: bool) {
    let flat = mark::flat(&config.node.state_dir);
    let was_flat = mark::read(&flat).is_some();
    if let Err(error) = mark::clear(&flat) {
        tracing::error!(mark = %flat.display(), %error, "cannot be removed: remove it");
    }
    if is_fresh && epoch > Epoch(1) && !was_flat {
        let why = "shared memory is gone with the last run's positions: they count as 0";
        tracing::error!("{why}; compare with the venues, then `spinlane arm`");
        region.kill().kill("start", why, clock::unix_now());
    }
}

/// Every lane has stopped in order: when nothing is held either, the next start may know it.
fn note_flat(config: &Config, region: &Region) {
    let mut lines = (0..INSTRUMENTS_MAX as u32).filter_map(|at| region.position(InstrumentId(at)));
    let is_flat = lines.all(|line| line.read().is_none_or(|state| state.qty == Qty(0)));
    if is_flat && let Err(error) = mark::set(&mark::flat(&config.node.state_dir), "") {
        tracing::warn!(%error, "cannot note that nothing is held");
    }
}

/// Keeps the mark as the switch is; says how the switch stands. Errors are told, not fatal: the switch
/// itself is in shared memory.
fn keep_kill(config: &Config, region: &Region, before: Option<u64>) -> Option<u64> {
    let state = region.kill().state();
    if before == Some(state.changes) {
        return before;
    }
    let mark = mark::killed(&config.node.state_dir);
    let result = if state.is_killed {
        let why = region.kill().last_change().map(|change| change.why);
        mark::set(&mark, why.as_ref().map_or("killed", |why| why.as_str()))
    } else {
        mark::clear(&mark).map(drop)
    };
    if let Err(error) = result {
        tracing::error!(mark = %mark.display(), %error, "the kill switch is not kept on disk");
    }
    Some(state.changes)
}

/// Shows readers the limits the lanes have set. Not done by a lane: it takes a lock that a command may hold.
fn publish_limits(region: &Region, shared: &Mutex<Shared>) -> Result<(), NodeError> {
    let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if !core::mem::take(&mut held.is_changed) {
        return Ok(());
    }
    let (node, limits) = (held.node, held.limits.clone());
    drop(held);
    let guard = region.lock(Lock::Control)?;
    region.config().publish(&guard, &node, &limits);
    Ok(())
}

/// Instruments in the order of the region's ids, then the configuration's new ones.
fn seed_registry(config: &Config, region: &Region) -> Result<Registry, NodeError> {
    let mut registry = Registry::new();
    let full = |error| sentence(format!("instruments: {error}"));
    for name in region.assets().iter() {
        registry.asset(name.as_str()).map_err(full)?;
    }
    for entry in region.instruments().iter() {
        let held = entry.instrument;
        let id = registry
            .register(
                held.venue,
                held.symbol.as_str(),
                held.price_decimals,
                held.qty_decimals,
            )
            .map_err(full)?;
        if id != held.id {
            return Err(sentence(format!(
                "{}: its instruments have holes; move the file away and start again",
                config.node.shm.display()
            )));
        }
    }
    for (name, venue) in &config.venue {
        let Some(id) = VenueId::from_name(name) else {
            continue;
        };
        for symbol in &venue.symbols {
            registry.register(id, symbol, 8, 8).map_err(full)?;
        }
    }
    Ok(registry)
}

/// Everything a lane's thread needs to build itself.
#[derive(Clone, Copy)]
struct Plan<'a> {
    config: &'a Config,
    lane: &'a dp_config::Lane,
    way: &'a Way,
    seat: Placement,
    id: LaneId,
    epoch: Epoch,
    starts: u64,
    clock: Clock,
    region: &'a Region,
    recovered: &'a Recovered,
    shared: &'a Mutex<Shared>,
    /// Where the lane tells who it is, once it has confined itself.
    subject: &'a OnceLock<Subject>,
}

/// A venue's configuration with everything looked up.
struct VenueParts {
    id: VenueId,
    config: VenueConfig,
    tls: Arc<ClientConfig>,
}

/// What a lane with sockets is built from: instruments, its venues, where their hosts' addresses come in.
type Machines = (Registry, Vec<VenueParts>, Inbox);

impl<'a> Plan<'a> {
    /// Reads keys and certificates of the venues the lane connects to. Errors name the file and the mend.
    fn venues(&self) -> Result<Vec<VenueParts>, NodeError> {
        if !self.lane.has_sockets() {
            return Ok(Vec::new());
        }
        self.lane
            .venues
            .iter()
            .map(|name| self.venue(name))
            .collect()
    }

    fn venue(&self, name: &str) -> Result<VenueParts, NodeError> {
        let id =
            VenueId::from_name(name).ok_or_else(|| sentence(format!("venue.{name}: unknown")))?;
        let section = self
            .config
            .venue
            .get(name)
            .ok_or_else(|| sentence(format!("venue.{name}: no such section")))?;
        let keys = match &section.keys_file {
            // Without keys a machine keeps to market data.
            Some(path) if self.lane.has(Role::Gateway) => Keys::load(path)?,
            _ => Keys::default(),
        };
        let endpoint = |key: &str, text: &str| {
            host_port(text).map_err(|why| sentence(format!("venue.{name}.{key}: {why}")))
        };
        let config = VenueConfig {
            rest: endpoint("rest", &section.rest)?,
            public: endpoint("public", &section.public)?,
            private: endpoint("private", &section.private)?,
            symbols: section.symbols.clone(),
            secrets: Secrets {
                api_key: keys.api_key,
                api_secret: keys.api_secret,
                passphrase: keys.passphrase,
                ed25519_pem: keys.ed25519_pem,
            },
            order_window_ms: section.order_window_ms,
        };
        Ok(VenueParts {
            id,
            config,
            tls: tls_config(name, section)?,
        })
    }

    /// The hosts the lane connects to. None of a venue whose links cannot be made: its lane says why.
    fn watched(&self, addresses: &Inbox) -> Vec<Watched> {
        let mut watched = Vec::new();
        for name in &self.lane.venues {
            let Ok(parts) = self.venue(name) else {
                continue;
            };
            let (mut registry, venue) = (Registry::new(), parts.id);
            let Ok(Some(machine)) = AnyVenue::new(venue, parts.config, &mut registry) else {
                continue;
            };
            watched.extend(machine.links().iter().map(|spec| Watched {
                venue,
                link: spec.id,
                host: spec.host.clone(),
                port: spec.port,
                peers: self.addresses(spec).unwrap_or_default(),
                reach: self.reach(),
                inbox: Arc::clone(addresses),
            }));
        }
        watched
    }

    /// The lane's thread: builds and turns it.
    fn run(
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
                queue.testify(transport.frames().mode(), &mut witness);
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
            let mut lane = self.build(parts, transport)?;
            self.set_out(calls, start, || lane.run(stop));
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

    fn build<T: Transport>(
        self,
        (mut registry, venues, addresses): Machines,
        transport: T,
    ) -> Result<Lane<'a, T>, NodeError> {
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
        Ok(Lane::new(Parts {
            id: self.id,
            transport,
            clock: self.clock,
            registry,
            engine,
            venues: machines,
            idle: self.idle(),
            addresses,
            on_instruments: Box::new(on_instruments),
        }))
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
        Ok(RemoteLane::remote(RemoteParts {
            transport,
            clock: self.clock,
            registry,
            desk,
            venues,
            idle: self.idle(),
            addresses,
        }))
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
        Ok(wall)
    }

    /// Venue machines and those of their links that the lane has the roles for.
    fn machines(
        &self,
        registry: &mut Registry,
        venues: Vec<VenueParts>,
    ) -> Result<Vec<(AnyVenue, Vec<Link>)>, NodeError> {
        let mut machines = Vec::new();
        for parts in venues {
            let (id, tls) = (parts.id, parts.tls);
            let machine = AnyVenue::new(id, parts.config, registry)
                .map_err(|error| sentence(format!("venue.{id}: {error}")))?
                .ok_or_else(|| sentence(format!("venue.{id}: this build has no machine for it")))?;
            let mut links = self.links(&machine, &tls)?;
            links.retain(|link| link.spec.id != FEED || self.lane.has(Role::Feed));
            machines.push((machine, links));
        }
        Ok(machines)
    }

    /// The engine of the lane's venues, with what an earlier run left of them.
    fn engine(&self, wall: Wall<'a>, registry: &Registry) -> Engine<'a> {
        let setup = Setup {
            epoch: self.epoch,
            lane: self.id,
            limits: self.risk_limits(),
            order_window_ns: self.order_window_ns(),
            venues: cast::venues(self.config, Role::Engine, usize::from(self.id.0)),
            instruments: registry.instruments().to_vec(),
        };
        let mut engine = Engine::new(wall, setup);
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

    fn links(&self, machine: &AnyVenue, tls: &Arc<ClientConfig>) -> Result<Vec<Link>, NodeError> {
        let seed = self.clock.now().unix.0 ^ u64::from(std::process::id()) << 32;
        let link = |(at, spec): (usize, &LinkSpec)| {
            let peers = self.addresses(spec).map_err(sentence)?;
            let seed = seed ^ (u64::from(self.id.0) << 16 | at as u64);
            Ok(Link::new(spec.clone(), peers, Arc::clone(tls), seed))
        };
        machine.links().iter().enumerate().map(link).collect()
    }

    /// Addresses of a link's host that the lane can reach. Errors: one sentence.
    fn addresses(&self, spec: &LinkSpec) -> Result<Vec<SocketAddr>, String> {
        self.reach()
            .keep(&spec.host, resolve(&spec.host, spec.port)?)
    }

    const fn reach(&self) -> Reach {
        match self.way {
            Way::IoUring | Way::Sockets => Reach::Any,
            Way::AfXdp(_) => Reach::Ipv4,
        }
    }

    /// The longest window of the lane's venues.
    fn order_window_ns(&self) -> u64 {
        let window = |name: &str| self.config.venue.get(name).map(|it| it.order_window_ms);
        let venues = self.config.venues_of(usize::from(self.id.0));
        let longest = venues.into_iter().filter_map(window).max();
        u64::from(longest.unwrap_or(0)) * 1_000_000
    }

    fn risk_limits(&self) -> dp_risk::NodeLimits {
        let risk = &self.config.risk;
        dp_risk::NodeLimits {
            collar_bps: risk.collar_bps,
            orders_per_s_max: risk.orders_per_s_max,
            book_age_ns_max: u64::from(risk.book_age_ms_max) * 1_000_000,
        }
    }

    /// Shows a venue's instruments to the node. Returns those that cannot trade: their increments are others
    /// than those of earlier runs.
    fn show_instruments(&self, registry: &Registry, venue: VenueId) -> Vec<InstrumentId> {
        let mut barred = Vec::new();
        let all = registry.instruments().iter();
        let ours = all.filter(|it| it.venue == venue);
        for instrument in ours.clone() {
            // The node's tables have many writers in turn.
            let _guard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = self.show_instrument(registry, instrument) {
                tracing::error!(%error, "an instrument cannot trade");
                barred.push(instrument.id);
            }
        }
        tracing::info!(venue = %venue, instruments = ours.clone().count(), "instruments known");
        for instrument in ours.filter(|it| it.tick.0 == 0) {
            tracing::error!(symbol = %instrument.symbol, venue = %venue, "the venue does not list it: it cannot trade");
        }
        barred
    }

    /// Puts the limits of a venue's instruments in force; those of `barred` cannot trade.
    fn limit(
        &self,
        registry: &Registry,
        engine: &mut Engine<'_>,
        venue: VenueId,
        barred: &[InstrumentId],
    ) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = registry.instruments().iter().filter(|it| it.venue == venue);
        for instrument in ours {
            let limits = self.limits_of(instrument).unwrap_or_else(|error| {
                tracing::error!(%error, "an instrument cannot trade");
                None
            });
            let limits = limits.filter(|_| !barred.contains(&instrument.id));
            engine.set_limits(instrument.id, limits);
            if let Some(slot) = shared.limits.get_mut(instrument.id.0 as usize) {
                *slot = limits.map_or_else(InstrumentLimits::default, |limits| InstrumentLimits {
                    order_qty_max: limits.order_qty_max,
                    position_max: limits.position_max,
                });
            }
        }
        shared.is_changed = true;
    }

    /// Puts an instrument into the node's table. Errors: its increments are others than those its orders,
    /// positions and records of earlier runs are counted in.
    fn show_instrument(
        &self,
        registry: &Registry,
        instrument: &Instrument,
    ) -> Result<(), NodeError> {
        let name = |id: AssetId| Text::lossy(registry.asset_name(id));
        let (base, quote) = (name(instrument.base), name(instrument.quote));
        let shown = Instrument {
            base: self.node_asset(base)?,
            quote: self.node_asset(quote)?,
            ..*instrument
        };
        let entry = InstrumentEntry {
            instrument: shown,
            base,
            quote,
        };
        self.region.instruments().publish(&entry).map_err(|error| {
            sentence(format!(
                "{}: {error}: its price or quantity increments changed: close its position, stop, let \
                 `spinlane run` drain, then start with another node.shm",
                instrument.symbol
            ))
        })
    }

    /// The node's id of an asset: lanes learn theirs apart, readers want one table.
    fn node_asset(&self, name: Text<15>) -> Result<AssetId, NodeError> {
        let assets = self.region.assets();
        if let Some(at) = assets.iter().position(|held| held == name) {
            return Ok(AssetId(at as u16));
        }
        let id = AssetId(assets.len() as u16);
        assets
            .publish(id, name)
            .map_err(|error| sentence(format!("asset {name}: {error}")))?;
        Ok(id)
    }

    /// Limits of an instrument by its symbol; `None` when the configuration has no line for it.
    fn limits_of(&self, instrument: &Instrument) -> Result<Option<dp_risk::Limits>, NodeError> {
        let risk = &self.config.risk;
        let symbol = instrument.symbol.as_str();
        let (Some(order), Some(position)) = (
            risk.order_qty_max.get(symbol),
            risk.position_max.get(symbol),
        ) else {
            return Ok(None);
        };
        Ok(Some(dp_risk::Limits {
            order_qty_max: quantity(instrument, "risk.order_qty_max", order)?,
            position_max: quantity(instrument, "risk.position_max", position)?,
        }))
    }

    fn seat_strategies(&self, registry: &Registry, engine: &mut Engine<'_>, venue: VenueId) {
        for (index, section) in self.config.strategy.iter().enumerate() {
            if VenueId::from_name(&section.venue) != Some(venue) {
                continue;
            }
            let Some(id) = registry.find(venue, section.symbol.as_bytes()) else {
                continue;
            };
            let Some(instrument) = registry.get(id) else {
                continue;
            };
            match strategy(section, instrument) {
                Ok(made) => {
                    tracing::info!(strategy = made.name(), symbol = %instrument.symbol, "strategy seated");
                    engine.seat(StrategyId(index as u16), id, made);
                }
                Err(error) => tracing::error!(%error, "strategy[{index}] cannot run"),
            }
        }
    }
}

/// Builds a strategy from its section. Errors name the key and the mend.
fn strategy(
    section: &dp_config::Strategy,
    instrument: &Instrument,
) -> Result<Box<dyn Strategy + Send>, NodeError> {
    match section.kind.as_str() {
        "market_maker" => Ok(Box::new(MarketMaker::new(Params {
            quote_qty: quantity(instrument, "strategy.quote_qty", &section.quote_qty)?,
            half_spread_ticks: section.half_spread_ticks,
            requote_ticks: section.requote_ticks,
            position_max: quantity(instrument, "strategy.position_max", &section.position_max)?,
            requote_ns_min: u64::from(section.requote_ms_min) * 1_000_000,
            amend: section.amend,
        }))),
        other => Err(sentence(format!(
            "strategy.kind: `{other}` is not one of: market_maker"
        ))),
    }
}

/// A quantity of the configuration in an instrument's increments.
fn quantity(instrument: &Instrument, key: &str, text: &str) -> Result<Qty, NodeError> {
    let symbol = instrument.symbol;
    let value = Decimal::parse(text.as_bytes())
        .map_err(|error| sentence(format!("{key} of {symbol}: `{text}`: {error}")))?;
    instrument
        .qty(value)
        .map_err(|error| sentence(format!("{key} of {symbol}: `{text}`: {error}")))
}

fn tls_config(name: &str, section: &dp_config::Venue) -> Result<Arc<ClientConfig>, NodeError> {
    let pin = match &section.pin_sha256 {
        Some(text) => Some(
            pin_of(text)
                .ok_or_else(|| sentence(format!("venue.{name}.pin_sha256: use 64 hex digits")))?,
        ),
        None => None,
    };
    let pem = match &section.ca_file {
        Some(path) => Some(read_pem(name, path)?),
        None => None,
    };
    let roots = pem.as_ref().map_or(Roots::Public, |pem| Roots::Ca(pem));
    client_config(roots, pin).map_err(|error| sentence(format!("venue.{name}: TLS: {error}")))
}

fn read_pem(name: &str, path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path)
        .map_err(|error| sentence(format!("venue.{name}.ca_file: {}: {error}", path.display())))
}

fn pin_of(text: &str) -> Option<[u8; 32]> {
    let mut pin = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (slot, pair) in pin.iter_mut().zip(text.as_bytes().chunks(2)) {
        *slot = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(pin)
}
