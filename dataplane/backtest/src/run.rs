//! The run: time from the recordings, everything else as a lane does it.

use crate::ledger::Ledger;
use crate::readers::Readers;
use crate::report::{self, Report, SCHEMA, Settings};
use crate::tape::{Next, Source, Tape};
use crate::{Args, BacktestError, latency};
use dp_config::{Config, Queue};
use dp_journal::Reader;
use dp_lane::{Desk as _, Engine, Paper, Setup, Wall, offline};
use dp_paper::Delay;
use dp_shm::layout::Shape;
use dp_shm::{Counter, Region};
use dp_strategy::Kind;
use dp_transport::clock;
use dp_types::{Epoch, InstrumentId, LaneId, Now, StrategyId, Tsc, UnixNanos, VenueId};
use std::path::Path;

/// Records of the journal: read after every message, of which none causes so many.
const JOURNAL_RECORDS: u32 = 1 << 14;
/// Nobody reads them here.
const TICK_RECORDS: u32 = 1 << 8;
/// Ticks of 100 ms that are run through while the recordings are silent; a longer silence is skipped.
const TICKS_MAX: usize = 36_000;
const EPOCH: Epoch = Epoch(1);
const LANE: LaneId = LaneId(0);

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name, for the report.
    pub config_name: String,
    /// The node, with the strategies that are to run.
    pub config: Config,
    /// Recordings.
    pub sources: Vec<Source>,
    /// Times they are run.
    pub repeat: u32,
    /// Measured delays and their file's name.
    pub latency: Option<(String, Delay)>,
}

impl Options {
    /// From the command line. Errors: what cannot be, with the mend.
    pub fn of(args: &Args) -> Result<Self, BacktestError> {
        let mut config = Config::load(&args.config)?;
        choose(&mut config, &args.strategies)?;
        let paper = &mut config.paper;
        paper.feed_us = args.feed_us.unwrap_or(paper.feed_us);
        paper.order_us = args.order_us.unwrap_or(paper.order_us);
        paper.answer_us = args.answer_us.unwrap_or(paper.answer_us);
        paper.seed = args.seed.unwrap_or(paper.seed);
        if let Some(name) = &args.queue {
            let queue = Queue::from_name(name);
            let why = || format!("--queue {name}: use behind, proportional or squared");
            paper.queue = queue.ok_or_else(|| BacktestError::Usage(why()))?;
        }
        let latency = match &args.latency {
            Some(path) => Some((path.display().to_string(), latency::one_way(path)?)),
            None => None,
        };
        let sources = args.files.iter().map(|file| source(&config, file));
        Ok(Self {
            config_name: args.config.display().to_string(),
            sources: sources.collect::<Result<_, _>>()?,
            config,
            repeat: args.repeat,
            latency,
        })
    }

    fn settings(&self) -> Settings {
        let paper = &self.config.paper;
        let is_drawn = self.latency.is_some();
        let files = self.sources.iter();
        Settings {
            config: self.config_name.clone(),
            files: files
                .map(|it| (it.venue.name().to_owned(), it.path.display().to_string()))
                .collect(),
            repeat: self.repeat,
            feed_us: paper.feed_us,
            order_us: (!is_drawn).then_some(paper.order_us),
            answer_us: (!is_drawn).then_some(paper.answer_us),
            latency: self.latency.as_ref().map(|(name, _)| name.clone()),
            queue: paper.queue.name(),
            seed: paper.seed,
            fees: paper
                .fees
                .iter()
                .map(|(name, fees)| (name.clone(), fees.maker_ppm, fees.taker_ppm))
                .collect(),
        }
    }
}

/// Keeps the strategies that were named, under the names they have.
fn choose(config: &mut Config, names: &[String]) -> Result<(), BacktestError> {
    let mut keep = vec![names.is_empty(); config.strategy.len()];
    for name in names {
        let id = config.strategy_id(name);
        let slot = id.and_then(|id| keep.get_mut(usize::from(id.0)));
        let why = || format!("--strategy {name}: the configuration has none of that name");
        *slot.ok_or_else(|| BacktestError::Usage(why()))? = true;
    }
    for at in 0..config.strategy.len() {
        config.strategy[at].name = config.strategy_name(StrategyId(at as u16));
    }
    let mut keep = keep.into_iter();
    config.strategy.retain(|_| keep.next().unwrap_or(false));
    if config.strategy.is_empty() {
        let why = "there is no [[strategy]] to run";
        return Err(BacktestError::Usage(why.into()));
    }
    Ok(())
}

/// Whose recording a file is: it says so, or its name, its directory, or the only venue there is.
fn source(config: &Config, file: &str) -> Result<Source, BacktestError> {
    let venue_of = |name: &str| {
        let known = config.venue.contains_key(name);
        VenueId::from_name(name).filter(|_| known)
    };
    if let Some((name, path)) = file.split_once('=')
        && let Some(venue) = venue_of(name)
    {
        return Ok(Source {
            venue,
            path: path.into(),
        });
    }
    let path = Path::new(file);
    let directory = path.parent().and_then(Path::file_name);
    let places = [path.file_name(), directory];
    let mut named = places.into_iter().flatten().filter_map(|place| {
        let place = place.to_str()?;
        // The longest name it begins with: binance-usdm is not binance.
        let venues = config
            .venue
            .keys()
            .filter(|name| place.starts_with(name.as_str()));
        venue_of(venues.max_by_key(|name| name.len())?)
    });
    let only = || {
        let mut venues = config.venue.keys();
        let first = venues.next()?;
        venue_of(first).filter(|_| venues.next().is_none())
    };
    let venue = named.next().or_else(only);
    let why = || format!("{file}: which venue's? Say VENUE={file}");
    Ok(Source {
        venue: venue.ok_or_else(|| BacktestError::Usage(why()))?,
        path: path.into(),
    })
}

/// Runs a backtest with strategies of these kinds. Errors: [`BacktestError`].
pub fn run(options: &Options, kinds: &[Kind]) -> Result<Report, BacktestError> {
    let config = &options.config;
    dp_lane::node::check(config, kinds).map_err(BacktestError::Usage)?;
    let started = clock::unix_now();
    let mut readers = Readers::new(config)?;
    learn(options, &mut readers)?;
    let mut tape = Tape::open(options.sources.clone(), options.repeat)?;
    let Some(first) = tape.first() else {
        let why = "the recordings hold no message".into();
        return Err(BacktestError::Usage(why));
    };
    let memory = |error: &dyn std::fmt::Display| BacktestError::Memory(error.to_string());
    let dir = tempfile::tempdir().map_err(|error| memory(&error))?;
    let shape = Shape::new(
        1,
        dp_types::limit::INSTRUMENTS_MAX as u32,
        JOURNAL_RECORDS,
        TICK_RECORDS,
    );
    let (region, _) =
        Region::open_or_create(&dir.path().join("shm"), &shape).map_err(|error| memory(&error))?;
    region.begin_run(EPOCH, 1_000_000_000, first);
    region.lease().hold_always(EPOCH);
    let journal = region.lane(LANE).ok_or_else(|| memory(&"no lane"))?.journal;
    let writer = region.lane_writer(LANE).map_err(|error| memory(&error))?;
    let mut session = Session {
        desk: desk(options, &readers, Wall::new(&region, writer, LANE, EPOCH)),
        ledger: Ledger::new(config, &readers.registry),
        journal: Reader::from_oldest(journal),
        now: first,
    };
    session.desk.begin(at(first));
    for venue in readers.venues().collect::<Vec<_>>() {
        session.meet(config, kinds, &readers, venue)?;
    }
    loop {
        match tape.next()? {
            Next::Line {
                source,
                at: then,
                record,
                shift,
            } => {
                session.pass(then);
                let venue = tape.sources()[source].venue;
                let when = (at(then), shift);
                session.desk.begin(when.0);
                let has_rules =
                    readers.on_line((source, venue), record, when, &mut session.desk)?;
                session.note();
                if has_rules {
                    session.meet(config, kinds, &readers, venue)?;
                }
            }
            Next::Again => readers.begin_again(at(session.now), &mut session.desk),
            Next::End => break,
        }
    }
    session.look();
    let wall_ns = clock::unix_now().since(started);
    let Session {
        desk, ledger, now, ..
    } = session;
    let per_s = |count: u64| {
        let per_s = u128::from(count) * 1_000_000_000 / u128::from(wall_ns.max(1));
        u64::try_from(per_s).unwrap_or(u64::MAX)
    };
    Ok(Report {
        schema: SCHEMA,
        outcome: "done",
        settings: options.settings(),
        from_ns: first.0,
        to_ns: now.0,
        messages: readers.messages,
        events: readers.events,
        decode_errors: readers.decode_errors,
        gaps: desk.wall().counters.get(Counter::Gaps),
        lost_records: ledger.lost,
        rate_refusals: desk.wall().counters.get(Counter::RateRefusals),
        wall_ms: wall_ns / 1_000_000,
        messages_per_s: per_s(readers.messages),
        events_per_s: per_s(readers.events),
        digest: ledger.digest(),
        strategies: report::strategies(&ledger, &readers.registry),
    })
}

/// Rules of the instruments strategies trade, from wherever in the recordings they are: live they come first.
fn learn(options: &Options, readers: &mut Readers<'_>) -> Result<(), BacktestError> {
    let wanted: Vec<(String, String)> = options
        .config
        .strategy
        .iter()
        .flat_map(dp_config::Strategy::legs)
        .map(|leg| (leg.venue, leg.symbol))
        .collect();
    let unknown = |readers: &Readers<'_>| {
        wanted.iter().find(|(venue, symbol)| {
            let venue = VenueId::from_name(venue);
            let id = venue.and_then(|it| readers.registry.find(it, symbol.as_bytes()));
            !id.is_some_and(|id| readers.is_known(id))
        })
    };
    let mut tape = Tape::open(options.sources.clone(), 1)?;
    while unknown(readers).is_some() {
        let Next::Line {
            source,
            at: then,
            record,
            ..
        } = tape.next()?
        else {
            break;
        };
        let venue = tape.sources()[source].venue;
        readers.learn(venue, record, at(then))?;
    }
    match unknown(readers) {
        None => Ok(()),
        Some((venue, symbol)) => Err(BacktestError::Usage(format!(
            "the recordings do not tell the rules of {symbol} at {venue}: give them in [[paper.instrument]] (venue, \
             symbol, base, quote, tick, lot)"
        ))),
    }
}

fn at(unix: UnixNanos) -> Now {
    Now { tsc: Tsc(0), unix }
}

fn desk<'r>(options: &Options, readers: &Readers<'_>, wall: Wall<'r>) -> Paper<'r> {
    let config = &options.config;
    let windows = config.venue.values().map(|venue| venue.order_window_ms);
    let setup = Setup {
        epoch: EPOCH,
        lane: LANE,
        limits: offline::node_limits(config),
        order_window_ns: u64::from(windows.max().unwrap_or(0)) * 1_000_000,
        venues: readers.venues().collect(),
        instruments: readers.registry.instruments().to_vec(),
    };
    let exchanges = readers.venues().map(|venue| {
        let mut exchange = offline::exchange(config, venue, 0);
        if let Some((_, way)) = &options.latency {
            exchange.order = way.clone();
            exchange.answer = way.clone();
        }
        (venue, exchange)
    });
    let exchanges = exchanges.collect();
    Paper::new(
        LANE,
        Engine::new(wall, setup),
        Box::new(|_, _, _| {}),
        exchanges,
    )
}

/// Engine, exchanges and books of account in virtual time.
struct Session<'r> {
    desk: Paper<'r>,
    ledger: Ledger,
    journal: Reader<'r>,
    now: UnixNanos,
}

impl Session<'_> {
    /// The rules of a venue's instruments are known: limits, seats, the login.
    fn meet(
        &mut self,
        config: &Config,
        kinds: &[Kind],
        readers: &Readers<'_>,
        venue: VenueId,
    ) -> Result<(), BacktestError> {
        let registry = &readers.registry;
        if let Some(machine) = readers.machine(venue) {
            self.desk.meet(machine);
        }
        self.desk.instruments_known(registry, venue);
        let engine = self.desk.engine_mut();
        offline::limit_money(config, registry, engine);
        for instrument in registry.instruments().iter().filter(|it| it.venue == venue) {
            let limits = offline::limits_of(config, instrument).map_err(BacktestError::Usage)?;
            engine.set_limits(instrument.id, limits);
        }
        let mut faults = offline::seat(config, kinds, registry, engine, venue);
        if let Some(fault) = faults.pop() {
            return Err(BacktestError::Usage(fault));
        }
        self.desk.settle(at(self.now));
        self.note();
        Ok(())
    }

    /// Time goes on to `then`: timers, requests that arrive and answers that are back before it, each at its time.
    fn pass(&mut self, then: UnixNanos) {
        let mut ticks = 0;
        loop {
            let tick = self.desk.engine().next_deadline().max(self.now);
            let due = self.desk.next_due().filter(|due| *due <= tick);
            let next = due.unwrap_or(tick);
            if next > then {
                break;
            }
            self.now = self.now.max(next);
            if due.is_some() {
                self.desk.settle(at(self.now));
                self.note();
                continue;
            }
            if ticks == TICKS_MAX {
                // Nothing is said for an hour: whatever is still to happen, happens now.
                self.now = then;
            }
            self.desk.begin(at(self.now));
            self.desk.on_deadline(at(self.now));
            self.note();
            self.look();
            ticks += 1;
        }
        self.now = self.now.max(then);
        let Self { desk, ledger, .. } = self;
        let engine = desk.engine();
        ledger.look_after(then, engine.instruments(), |id| mid(engine, id));
    }

    /// Books what the engine has done.
    fn note(&mut self) {
        let engine = self.desk.engine();
        self.ledger.read(&mut self.journal, engine.instruments());
    }

    /// Values every account.
    fn look(&mut self) {
        let Self {
            desk, ledger, now, ..
        } = self;
        let engine = desk.engine();
        ledger.look(*now, engine.instruments(), |id| mid(engine, id));
    }
}

/// Twice the mid of a book.
fn mid(engine: &Engine<'_>, id: InstrumentId) -> Option<i64> {
    engine.book(id).and_then(|(book, _)| book.mid_doubled())
}
