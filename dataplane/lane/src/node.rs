//! From a configuration to running lanes. All of it cold: it may block, allocate and fail with a sentence.
//!
//! ```text
//!   run: plan ─▶ shared memory ─▶ past ─▶ epoch ─▶ a thread a lane: connect, build ─▶ judged ─▶ turned
//!                                                  instruments, limits, strategies: tables
//! ```

mod build;
mod connect;
mod kept;
mod past;
mod record;
pub(crate) mod risk;
mod strategies;
mod tables;

pub use strategies::check;
pub(crate) use strategies::seat_fresh;
pub(crate) use tables::limits_of;

use crate::budget;
use crate::cast;
use crate::cost::{self, Subject};
use crate::host;
use crate::orders;
use crate::resolve::{inbox, resolve, watch};
use crate::way::{Way, Ways};
use crate::wiretap::Wiretap;
use dp_config::{Config, ConfigError};
use dp_host::Placement;
use dp_journal::Recovered;
use dp_shm::layout::Shape;
use dp_shm::{InstrumentLimits, NodeLimits, Opened, Region};
use dp_strategy::Kind;
use dp_transport::{Clock, clock};
use dp_types::limit::INSTRUMENTS_MAX;
use dp_types::{Epoch, InstrumentId, LaneId};
use kept::{Keeper, Kept};
use past::{doubt_positions, keep_kill, kill_by_file, note_flat, restore_kill, take_over};
use record::Recordings;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tables::{named_assets, publish_limits, seed_registry};

/// How often the kill switch is kept on disk when it has changed.
const KILL_POLL: core::time::Duration = core::time::Duration::from_millis(50);
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
    /// The lanes have set limits that readers do not see yet, of these instruments.
    is_changed: bool,
    fresh: Vec<InstrumentId>,
    /// Limits of this run stand on the page.
    is_published: bool,
    limits: Vec<InstrumentLimits>,
    node: NodeLimits,
}

/// Runs the node, with strategies of these kinds, until `stop` is set and every lane has stopped in order.
///
/// Errors: [`NodeError`], before any lane has started.
pub fn run(config: &Config, kinds: &[Kind], stop: &Arc<AtomicBool>) -> Result<(), NodeError> {
    run_with((config, kinds), None, stop)
}

/// As [`run`], on paper and with what market data links hear and say copied to `tap`.
///
/// Errors: as [`run`].
pub fn record(config: &Config, tap: &Wiretap, stop: &Arc<AtomicBool>) -> Result<(), NodeError> {
    run_with((config, &[]), Some(tap), stop)
}

fn run_with(
    (config, kinds): (&Config, &[Kind]),
    tap: Option<&Wiretap>,
    stop: &Arc<AtomicBool>,
) -> Result<(), NodeError> {
    check(config, kinds).map_err(sentence)?;
    budget::check(config).map_err(sentence)?;
    orders::check(config).map_err(sentence)?;
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
    let ways = Ways::prepare(config, &topology)?;
    let past = take_over(&region, &config.node.shm)?;
    let told: Vec<&Region> = past.iter().chain([&region]).collect();
    past::keep_apart(config, &told)?;
    let last_epoch = told.iter().map(|region| region.epoch()).max();
    let last_epoch = last_epoch.unwrap_or(Epoch(0));
    let epoch = dp_journal::epoch::next(&config.node.state_dir, last_epoch)?;
    let clock = Clock::calibrate(CALIBRATE_MS);
    let now = clock.now().unix;
    kept::unseat(&region);
    let starts = region.begin_run(epoch, clock.tsc_hz(), now);
    region.set_node(&past::shown_name(config));
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
    if config.is_paper() {
        tracing::warn!("PAPER: no order leaves this node; fills are made of the market data");
    }

    // Before there are lanes: what they map later is locked too.
    host::lock_memory();
    let (gate, turnstiles) = host::Gate::new(config.lane.len());
    let registry = seed_registry(config, &region)?;
    let kept = kept::take_up(config, kinds, &region);
    let mut keeper = Keeper::new(config);
    let parts = cast::cast(config, &seats)?;
    let shared = Mutex::new(Shared {
        is_changed: false,
        fresh: Vec::new(),
        is_published: false,
        limits: vec![InstrumentLimits::default(); INSTRUMENTS_MAX],
        node: risk::node_limits(config, named_assets(&registry)),
    });
    // Whichever lane ends first is heard first: one that cannot run stops the others.
    let (done, ends) = crossbeam::channel::bounded(config.lane.len());
    let mut watched = Vec::new();
    let subjects: Vec<OnceLock<Subject>> = config.lane.iter().map(|_| OnceLock::new()).collect();
    let mut costs = cost::Watch::new(config, &region, &subjects);
    // Set whenever the lanes have ended, however they did.
    let is_over = AtomicBool::new(false);
    let recordings = Recordings::prepare(config, epoch)?;
    std::thread::scope(|scope| {
        let _untaken = recordings.start(scope);
        let lanes = config.lane.iter().zip(seats).zip(turnstiles);
        let lanes = lanes.zip(ways.lanes()).zip(&subjects).zip(parts);
        for (index, (((((lane, seat), turnstile), way), subject), part)) in lanes.enumerate() {
            let id = LaneId(index as u8);
            let plan = Plan {
                config,
                kinds,
                lane,
                way,
                seat,
                id,
                epoch,
                starts,
                clock,
                region: &region,
                recovered: &recovered,
                recordings: &recordings,
                kept: &kept,
                shared: &shared,
                subject,
                tap,
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
        let mut killed = None;
        loop {
            kill_by_file(config, &region);
            killed = keep_kill(config, &region, killed);
            keeper.keep(config, &region);
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
        keeper.keep(config, &region);
        if outcome.is_ok() {
            note_flat(config, &region);
        }
        outcome
    })
}

/// Everything a lane's thread needs to build itself.
#[derive(Clone, Copy)]
struct Plan<'a> {
    config: &'a Config,
    kinds: &'a [Kind],
    lane: &'a dp_config::Lane,
    way: &'a Way,
    seat: Placement,
    id: LaneId,
    epoch: Epoch,
    starts: u64,
    clock: Clock,
    region: &'a Region,
    recovered: &'a Recovered,
    recordings: &'a Recordings,
    /// What strategies kept over the restart, in their order.
    kept: &'a [Kept],
    shared: &'a Mutex<Shared>,
    /// Where the lane tells who it is, once it has confined itself.
    subject: &'a OnceLock<Subject>,
    /// Where market data links are copied to.
    tap: Option<&'a Wiretap>,
}
