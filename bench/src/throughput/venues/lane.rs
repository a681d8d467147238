//! One lane and the simulated venues it follows, in one process: the lane on the calling thread, the venues on a
//! thread that sits on another core.

use crate::client::lane as client;
use crate::facing;
use crate::scratch::Scratch;
use crate::venue::drain::Drain;
use anyhow::{Context as _, bail};
use dp_book::State;
use dp_lane::{AnyVenue, Engine, Lane, Link, Parts, Setup, Wall};
use dp_proto::tls::{Roots, client_config};
use dp_shm::layout::Shape;
use dp_shm::{Counter, Region};
use dp_strategy::Strategy;
use dp_transport::{Clock, Idle, Sockets};
use dp_types::{
    Decimal, Epoch, Instrument, InstrumentId, LaneId, Qty, RawLevel, Side, StrategyId, UnixNanos,
    VenueId,
};
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::Value;
use spinlane_sim::config::SimConfig;
use spinlane_sim::edge::{Handle, Options, Running, start};
use spinlane_sim::fault::Fault;
use spinlane_sim::flow::FlowConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Records and market ticks the rings hold.
const RECORDS: u32 = 1 << 17;
/// How often the rings are emptied, which on a node another process does.
const DRAIN: Duration = Duration::from_millis(5);
/// Levels a side that are compared: what every venue shows.
const LEVELS: usize = 10;

/// The rings and counters of one run.
pub fn memory() -> anyhow::Result<Scratch> {
    Scratch::new(&Shape::new(1, 32, RECORDS, RECORDS))
}

/// What was counted of one venue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Book messages.
    pub messages: u64,
    /// Levels in them.
    pub levels: u64,
    /// Gaps, wrong checksums, crossed books, numbers that do not fit, overflows.
    pub faults: u64,
}

impl Counted {
    /// What was added after `before`.
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            messages: self.messages - before.messages,
            levels: self.levels - before.levels,
            faults: self.faults - before.faults,
        }
    }
}

/// Everything countable at one moment.
pub struct Look {
    /// When.
    pub at: Instant,
    /// By venue.
    pub counted: Vec<Counted>,
    /// Links made anew.
    pub reconnects: u64,
    /// Turns of the lane that found work.
    pub lane_busy_s: f64,
    /// Of all threads but the lane's.
    pub venue_cpu_s: f64,
}

struct Simulated {
    venue: VenueId,
    handle: Handle,
    running: Running,
    symbols: Vec<String>,
}

/// What the lane does at the venues.
#[derive(Clone, Copy)]
pub struct Play {
    /// Events of other traders a second in each market.
    pub ticks_per_s: u32,
    /// Core of the venues.
    pub venue_core: usize,
    /// Keys to trade with; without, there is market data alone.
    pub has_keys: bool,
    /// A strategy for each instrument.
    pub strategy: fn(VenueId) -> Box<dyn Strategy + Send>,
}

/// A lane and its venues.
pub struct Stage<'r> {
    region: &'r Region,
    clock: Clock,
    lane: Lane<'r, Sockets>,
    drain: Drain<'r>,
    drained: Instant,
    venues: Vec<Simulated>,
    runtime: Runtime,
    folder: PathBuf,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl<'r> Stage<'r> {
    /// Starts the venues and builds the lane. Errors: a port, a directory, a machine that this build has not.
    pub fn new(
        memory: &'r Scratch,
        venues: &[(VenueId, [&str; 2])],
        play: Play,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let venue_core = play.venue_core;
        let region = &memory.region;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || {
                let _ = dp_transport::pin(venue_core);
            })
            .enable_all()
            .build()?;
        let folder =
            std::env::temp_dir().join(format!("spinlane-bench-{}-sim", std::process::id()));
        let mut simulated = Vec::new();
        for (venue, symbols) in venues {
            simulated.push(simulate(
                &runtime,
                *venue,
                symbols,
                play.ticks_per_s,
                &folder,
            )?);
        }
        client::begin(region, &clock);
        let lane = build(region, clock, &simulated, play)?;
        Ok(Self {
            region,
            clock,
            lane,
            drain: Drain::new(region)?,
            drained: Instant::now(),
            venues: simulated,
            runtime,
            folder,
        })
    }

    /// Turns until every book is in order. Errors: not in time.
    pub fn come_up(&mut self, within: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        loop {
            self.turn_for(Duration::from_millis(50));
            let missing = self.missing();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("no book of {}", missing.join(", "));
            }
        }
    }

    fn missing(&self) -> Vec<String> {
        let engine = self.lane.engine();
        let is_synced = |at: u32| {
            let book = engine.book(InstrumentId(at));
            book.is_some_and(|(_, proof)| proof.state == State::Synced)
        };
        let missing = engine
            .instruments()
            .iter()
            .filter(|one| !is_synced(one.id.0));
        missing
            .map(|one| format!("{} {}", one.venue, one.symbol))
            .collect()
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine<'r> {
        self.lane.engine()
    }

    /// The shared memory.
    pub const fn region(&self) -> &'r Region {
        self.region
    }

    /// One turn, now.
    pub fn turn(&mut self) {
        self.lane.turn(self.clock.now());
    }

    /// The lane's time.
    pub fn now(&self) -> UnixNanos {
        self.clock.now().unix
    }

    /// Turns for a while.
    pub fn turn_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            // The clock of the loop is read once in many turns.
            for _ in 0..64 {
                self.lane.turn(self.clock.now());
            }
            let now = Instant::now();
            if now - self.drained > DRAIN {
                self.drain.run();
                self.drained = now;
            }
            if now >= until {
                return;
            }
        }
    }

    /// Nobody else trades any more.
    pub fn stand_still(&self) {
        let calm = Fault::parse_list("calm:for=600s").unwrap_or_default();
        self.runtime.block_on(async {
            for one in &self.venues {
                one.handle.faults(calm.clone()).await;
            }
        });
    }

    /// Turns until every book equals its venue's own, and how long that took; or which one does not. Errors: a book
    /// of the simulator's that is none.
    pub fn settle(&mut self, within: Duration) -> anyhow::Result<Result<Duration, String>> {
        let begin = Instant::now();
        let mut next = 0;
        let count = self
            .venues
            .iter()
            .map(|one| one.symbols.len())
            .sum::<usize>();
        loop {
            match self.is_equal(next)? {
                Ok(()) if next + 1 == count => return Ok(Ok(begin.elapsed())),
                Ok(()) => next += 1,
                Err(unequal) if begin.elapsed() > within => return Ok(Err(unequal)),
                Err(_) => self.turn_for(Duration::from_millis(2)),
            }
        }
    }

    /// Whether the book of an instrument is the venue's.
    fn is_equal(&self, at: usize) -> anyhow::Result<Result<(), String>> {
        let engine = self.lane.engine();
        let id = InstrumentId(u32::try_from(at)?);
        let instrument = engine.instruments().get(at).context("an instrument")?;
        let one = self.venues.iter().find(|one| one.venue == instrument.venue);
        let one = one.context("its venue")?;
        let symbol = instrument.symbol.as_str();
        let inst = one.symbols.iter().position(|known| known == symbol);
        let theirs = self
            .runtime
            .block_on(one.handle.book(inst.context("its symbol")?));
        let what = || format!("{} {symbol}", instrument.venue);
        let Some((book, proof)) = engine.book(id) else {
            return Ok(Err(what()));
        };
        let mut is_equal = proof.state == State::Synced;
        for (side, name) in [(Side::Buy, "bids"), (Side::Sell, "asks")] {
            let theirs = rungs(instrument, &theirs[name])?;
            let ours: Vec<_> = book
                .side(side)
                .take(LEVELS)
                .map(|it| (it.price, it.qty))
                .collect();
            is_equal &= ours == theirs;
        }
        Ok(if is_equal { Ok(()) } else { Err(what()) })
    }

    /// Counts everything.
    pub fn look(&self) -> Look {
        let engine = self.lane.engine();
        let of_venue = |one: &Simulated| {
            let ids = engine
                .instruments()
                .iter()
                .filter(|it| it.venue == one.venue);
            ids.filter_map(|it| engine.book_counts(it.id))
                .fold(Counted::default(), |sum, it| Counted {
                    messages: sum.messages + it.messages,
                    levels: sum.levels + it.levels,
                    faults: sum.faults
                        + it.gaps
                        + it.checksums_failed
                        + it.crossed
                        + it.bad_numbers
                        + it.overflows,
                })
        };
        let cpu = |who| {
            getrusage(who).map_or(0.0, |it| {
                (it.user_time() + it.system_time()).num_microseconds() as f64 / 1e6
            })
        };
        Look {
            at: Instant::now(),
            counted: self.venues.iter().map(of_venue).collect(),
            reconnects: engine.wall.counters.get(Counter::Reconnects),
            lane_busy_s: self.busy_s(),
            venue_cpu_s: cpu(UsageWho::RUSAGE_SELF) - cpu(UsageWho::RUSAGE_THREAD),
        }
    }

    fn busy_s(&self) -> f64 {
        let lane = self.region.lane(LaneId(0));
        let cycles = lane.map_or(0, |lane| {
            lane.stages.view(dp_shm::Stage::DutyCycle).snapshot().sum()
        });
        self.clock.cycles_to_ns(cycles) as f64 / 1e9
    }
}

/// The best levels of a side as the simulator prints them.
fn rungs(instrument: &Instrument, side: &Value) -> anyhow::Result<Vec<(dp_types::Price, Qty)>> {
    let rows = side.as_array().context("a side")?;
    let rung = |row: &Value| -> anyhow::Result<_> {
        let number = |at: usize| -> anyhow::Result<Decimal> {
            let text = row[at].as_str().context("a number")?;
            Decimal::parse(text.as_bytes()).map_err(|error| anyhow::anyhow!("{text}: {error}"))
        };
        let raw = RawLevel {
            price: number(0)?,
            qty: number(1)?,
        };
        let level = instrument
            .level(&raw)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((level.price, level.qty))
    };
    rows.iter().take(LEVELS).map(rung).collect()
}

fn simulate(
    runtime: &Runtime,
    venue: VenueId,
    symbols: &[&str],
    ticks_per_s: u32,
    folder: &std::path::Path,
) -> anyhow::Result<Simulated> {
    let parsed: Result<Vec<_>, _> = symbols.iter().map(|text| text.parse()).collect();
    let name = venue.name();
    let tls_dir = folder.join(name);
    std::fs::create_dir_all(&tls_dir)?;
    let options = Options {
        venues: vec![(name.to_owned(), 0)],
        listen: [127, 0, 0, 1].into(),
        admin_port: 0,
        tls_dir,
        faults: Vec::new(),
        sim: SimConfig {
            symbols: parsed.map_err(|error| anyhow::anyhow!("{error}"))?,
            flow: FlowConfig {
                ticks_per_s,
                ..FlowConfig::default()
            },
            ..SimConfig::default()
        },
    };
    // The venue's tasks are born on the runtime's own thread, which sits where they are to run.
    let running = runtime.block_on(runtime.spawn(async move { start(&options).await }))??;
    let handle = running.handle(name).context("the venue")?.clone();
    let names = (0..symbols.len()).map(|inst| {
        let book = runtime.block_on(handle.book(inst));
        book["symbol"].as_str().unwrap_or_default().to_owned()
    });
    Ok(Simulated {
        venue,
        symbols: names.collect(),
        handle,
        running,
    })
}

fn build<'r>(
    region: &'r Region,
    clock: Clock,
    venues: &[Simulated],
    play: Play,
) -> anyhow::Result<Lane<'r, Sockets>> {
    let mut registry = Registry::new();
    let mut machines = Vec::new();
    for one in venues {
        let port = one.running.port(one.venue.name()).context("its port")?;
        let host = || ("localhost".to_owned(), port);
        let config = VenueConfig {
            rest: host(),
            public: host(),
            private: host(),
            symbols: one.symbols.clone(),
            order_window_ms: 5_000,
            secrets: if play.has_keys {
                facing::secrets(one.venue)?
            } else {
                Secrets::default()
            },
            ..VenueConfig::default()
        };
        let machine = AnyVenue::new(one.venue, config, &mut registry)?.context("a machine")?;
        let tls = client_config(Roots::Ca(&std::fs::read(&one.running.ca_path)?), None)?;
        let peer = SocketAddr::from(([127, 0, 0, 1], port));
        let links = machine.links().iter().zip(1..);
        let links: Vec<Link> = links
            .map(|(spec, seed)| Link::new(spec.clone(), &[peer], Arc::clone(&tls), seed))
            .collect();
        machines.push((machine, links));
    }
    let wall = Wall::new(region, region.lane_writer(LaneId(0))?, LaneId(0), Epoch(1));
    let engine = Engine::new(
        wall,
        Setup {
            epoch: Epoch(1),
            lane: LaneId(0),
            limits: dp_risk::NodeLimits {
                collar_bps: 1_000,
                orders_per_s_max: 1_000_000,
                book_age_ns_max: 60_000_000_000,
            },
            order_window_ns: 5_000_000_000,
            venues: venues.iter().map(|one| one.venue).collect(),
            instruments: registry.instruments().to_vec(),
        },
    );
    let watch = move |registry: &Registry, engine: &mut Engine<'r>, venue: VenueId| {
        for one in registry
            .instruments()
            .iter()
            .filter(|one| one.venue == venue)
        {
            let at = u16::try_from(one.id.0).unwrap_or(u16::MAX);
            let limits = dp_risk::Limits {
                order_qty_max: Qty(i64::MAX / 4),
                position_max: Qty(i64::MAX / 4),
            };
            engine.set_limits(one.id, Some(limits));
            engine.seat(StrategyId(at), &[one.id], (play.strategy)(venue));
        }
    };
    Ok(Lane::new(Parts {
        id: LaneId(0),
        transport: Sockets::new()?,
        clock,
        registry,
        engine,
        venues: machines,
        idle: Idle::Spin,
        addresses: dp_lane::inbox(),
        on_instruments: Box::new(watch),
    }))
}
