//! `tick-to-trade`: our path, its floors and its peers at three rates, and what the figures prove.

use crate::host::{Hiccups, Seats};
use crate::race::{Entrant, Measured, Race};
use crate::report::{Machine, micros};
use crate::road::{Mode, Road};
use crate::stats::{self, Bootstrap, Estimate, Set};
use crate::summary::{Figures, span};
use crate::target::{self, Target, Verdict};
use crate::venue::Load;
use anyhow::Context as _;
use core::fmt;
use dp_shm::{Counter, HistSnapshot};
use dp_transport::Clock;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Our own row.
pub const OURS: &str = "spinlane";
/// The bare loop without TLS.
pub const FLOOR_PLAIN: &str = "floor: TCP, byte scan";
/// The bare loop with TLS.
pub const FLOOR_TLS: &str = "floor: TCP, rustls, byte scan";
/// The peer as people run it.
pub const PEER_PARKING: &str = "tokio-tungstenite, parking";
/// The same, tuned.
pub const PEER_SPINNING: &str = "tokio-tungstenite, spinning";
/// Our own row over a cable.
pub const VETH: &str = "veth: spinlane";
/// The bare loop over a cable, without TLS.
pub const VETH_FLOOR: &str = "veth: floor, TCP, byte scan";
/// Ours around the kernel at both ends.
pub const BOTH: [&str; 2] = [
    "veth: XDP native, both ends",
    "veth: XDP generic, both ends",
];
/// The bare loop around the kernel at both ends.
pub const BOTH_FLOOR: [&str; 2] = ["veth: floor, XDP native", "veth: floor, XDP generic"];
/// Ours around the kernel, the venue on its own.
pub const ONE: [&str; 2] = ["veth: XDP native, one end", "veth: XDP generic, one end"];
/// A stage no lane has by itself: from the received frame's descriptor to the order's, TCP included.
const DESCRIPTORS: &str = "rx_to_tx_descriptor";
/// Where the peers' program is built.
pub const PEERS: &str = "bench/peers/target/release/spinlane-bench-peers";

/// Where clients meet the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// Ours, floors and peers over loopback.
    Loopback,
    /// Ours and floors over a veth, with and without the kernel.
    Veth,
}

/// What `tick-to-trade` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ticks a second, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 30_000],
          value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub rates: Vec<u64>,
    /// Rounds: each client once in each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Seconds a rate, client and round.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Core of the client.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the venue.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
    /// The peers' program (`make bench` builds it).
    #[arg(long, default_value = PEERS)]
    pub peers: PathBuf,
    /// Between client and venue: loopback, a cable between two namespaces (needs root).
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Family::Loopback, Family::Veth])]
    pub family: Vec<Family>,
    /// How the ends of the cable are bypassed.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Mode::Native, Mode::Generic])]
    pub xdp_mode: Vec<Mode>,
    /// Only clients whose name has this text.
    #[arg(long)]
    pub only: Option<String>,
    /// Also write a page with percentile curves, time series and heat maps.
    #[arg(long)]
    pub html: Option<PathBuf>,
    /// Fail unless every target is proven by its whole interval.
    #[arg(long)]
    pub gate: bool,
}

/// One client at one rate. Times in nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Who.
    pub client: String,
    /// Ticks a second.
    pub rate: u64,
    /// Ticks that were to be answered.
    pub asked: u64,
    /// Those that were not.
    pub unanswered: u64,
    /// Orders that answer no tick.
    pub strays: u64,
    /// Rounds it left before it was heard out at this rate.
    pub rounds_missed: usize,
    /// Of clean windows; absent when there were none.
    pub clean: Option<Figures>,
    /// Of all windows.
    pub all: Option<Figures>,
    /// Windows of 20 ms: clean, preempted.
    pub windows: (usize, usize),
    /// Preemptions counted: client, venue.
    pub preemptions: (u64, u64),
    /// How late the venue wrote its ticks, p50 and p99.
    pub venue_late: (u64, u64),
    /// Share of the time the venue worked, worst round.
    pub venue_load: f64,
    /// Gaps on the client's core right before.
    pub hiccups: Hiccups,
    /// Merged histograms (HdrHistogram V2, deflated, base64): clean, all.
    pub histograms: (String, String),
}

/// One client against another at one rate.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    /// The slower one, or so one hopes.
    pub over: String,
    /// The other one.
    pub under: String,
    /// Ticks a second.
    pub rate: u64,
    /// `p50` or `p99`.
    pub quantile: &'static str,
    /// `clean` or `all`.
    pub set: &'static str,
    /// Its times over theirs.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// `lower` or `higher` is better for us.
    pub better: &'static str,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `done`.
    pub outcome: &'static str,
    /// `tick_to_trade`.
    pub kind: &'static str,
    /// Where.
    pub machine: Machine,
    /// Cores and priority.
    pub seats: Seats,
    /// Built without optimisation: the numbers mean nothing.
    pub is_debug: bool,
    /// Rounds run.
    pub rounds: u32,
    /// Seconds a rate, client and round.
    pub seconds: f64,
    /// One line a client and rate.
    pub rows: Vec<Line>,
    /// Clients against ours, ours against the floors.
    pub ratios: Vec<Ratio>,
    /// The lane's own stages.
    pub stages: Vec<StageLine>,
    /// The design's targets.
    pub targets: Vec<Verdict>,
    /// What to know beside.
    pub notes: Vec<String>,
}

/// A stage of the lane at one rate, ns.
#[derive(Debug, Clone, Serialize)]
pub struct StageLine {
    /// Whose.
    pub client: String,
    /// Ticks a second.
    pub rate: u64,
    /// Its name.
    pub stage: &'static str,
    /// Times.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Mean.
    pub mean: u64,
}

/// Who races: ours, the floors, and the peers where they are built.
pub fn entrants(program: &Path, peers: &Path, notes: &mut Vec<String>) -> Vec<Entrant> {
    let mut all = vec![
        Entrant::built_in(OURS, program, "spinlane"),
        Entrant::built_in("spinlane, io_uring", program, "spinlane-uring"),
        Entrant::built_in(FLOOR_PLAIN, program, "floor-plain"),
        Entrant::built_in(FLOOR_TLS, program, "floor-tls"),
    ];
    if !peers.is_file() {
        notes.push(format!(
            "no peers: {} is not there; `make bench` builds it (bench/peers, a workspace of its own)",
            peers.display()
        ));
        return all;
    }
    for (name, stack, runtime) in [
        (PEER_PARKING, "tungstenite", "park"),
        (PEER_SPINNING, "tungstenite", "spin"),
        ("fastwebsockets, parking", "fastwebsockets", "park"),
        ("fastwebsockets, spinning", "fastwebsockets", "spin"),
    ] {
        let args = ["--stack", stack, "--runtime", runtime];
        all.push(Entrant {
            name: name.to_owned(),
            program: peers.to_owned(),
            args: args.map(str::to_owned).to_vec(),
            is_lane: false,
            road: Road::Loopback,
        });
    }
    all
}

/// Who races over a cable.
pub fn veth_entrants(program: &Path, modes: &[Mode]) -> Vec<Entrant> {
    let mut all = vec![
        Entrant::built_in(VETH, program, "spinlane").over(Road::Veth),
        Entrant::built_in(VETH_FLOOR, program, "floor-plain").over(Road::Veth),
    ];
    for mode in modes {
        let at = usize::from(*mode == Mode::Generic);
        let (lane, floor) = ("spinlane", "floor-plain");
        for (name, kind, is_both) in [
            (ONE[at], lane, false),
            (BOTH[at], lane, true),
            (BOTH_FLOOR[at], floor, true),
        ] {
            let road = Road::Bypass {
                mode: *mode,
                is_both,
            };
            all.push(Entrant::built_in(name, program, kind).over(road));
        }
    }
    all
}

/// Runs it. Errors: a client that does not do its part.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let mut notes = Vec::new();
    let program = std::env::current_exe()?;
    let mut who = Vec::new();
    if args.family.contains(&Family::Loopback) {
        who = entrants(&program, &args.peers, &mut notes);
    }
    if args.family.contains(&Family::Veth) {
        match tests_net::Namespace::new() {
            Ok(_) => who.extend(veth_entrants(&program, &args.xdp_mode)),
            Err(error) => notes.push(format!("no cable: no network namespaces here ({error})")),
        }
    }
    if let Some(only) = &args.only {
        who.retain(|one| only.split(',').any(|part| one.name.contains(part)));
    }
    let loads: Vec<Load> = args
        .rates
        .iter()
        .map(|rate| Load::new(*rate, args.seconds))
        .collect();
    let (report, measured) = race(&who, &loads, args, notes)?;
    if let Some(path) = &args.html {
        let page = crate::html::page(&report, &measured)?;
        std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(report)
}

/// Races any entrants and makes the report.
pub fn race(
    who: &[Entrant],
    loads: &[Load],
    args: &Args,
    mut notes: Vec<String>,
) -> anyhow::Result<(Report, Vec<Measured>)> {
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    notes.extend(seats.doubts());
    let measured = Race {
        entrants: who,
        loads,
        rounds: args.rounds as usize,
        seats: &seats,
        clock,
        is_strict: false,
        on_step: &mut |round, name| eprintln!("round {}: {name}", round + 1),
    }
    .run()?;
    let report = report(&measured, args, seats, &clock, notes);
    Ok((report, measured))
}

fn report(
    measured: &[Measured],
    args: &Args,
    seats: Seats,
    clock: &Clock,
    mut notes: Vec<String>,
) -> Report {
    let (mut rows, mut ratios, mut stages) = (Vec::new(), Vec::new(), Vec::new());
    let mut rates: Vec<u64> = measured.iter().map(|one| one.load.rate).collect();
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        let here: Vec<&Measured> = measured
            .iter()
            .filter(|one| one.load.rate == rate)
            .collect();
        let samples: Vec<_> = here.iter().map(|one| &one.samples).collect();
        let clean = Bootstrap::new(&samples, Set::Clean, rate);
        let all = Bootstrap::new(&samples, Set::All, rate);
        for (at, one) in here.iter().enumerate() {
            rows.push(line(one, at, &clean, &all));
            stages.extend(stage_lines(one, clock));
            lane_notes(one, &mut notes);
        }
        for (over, under) in pairs(&here) {
            for (at, quantile) in [(0, "p50"), (2, "p99")] {
                for (set, name, draws) in [(Set::Clean, "clean", &clean), (Set::All, "all", &all)] {
                    let point = |one: &Measured| one.samples.quantiles(set).map(|it| it.0[at]);
                    let (Some(top), Some(bottom)) = (point(here[over]), point(here[under])) else {
                        continue;
                    };
                    let (low, high) = draws.ratio(over, under, at);
                    let value = top / bottom;
                    ratios.push(Ratio {
                        over: here[over].name.clone(),
                        under: here[under].name.clone(),
                        rate,
                        quantile,
                        set: name,
                        estimate: Estimate { value, low, high },
                        better: better(&here[over].name),
                    });
                }
            }
        }
    }
    let targets = target::TICK_TO_TRADE
        .iter()
        .filter_map(|target: &Target| target.judge(&ratios))
        .chain(target::absolute(&rows))
        .collect();
    Report {
        outcome: "done",
        kind: "tick_to_trade",
        machine: Machine::here(clock.tsc_hz()),
        seats,
        is_debug: cfg!(debug_assertions),
        rounds: args.rounds,
        seconds: args.seconds,
        rows,
        ratios,
        stages,
        targets,
        notes,
    }
}

/// Everyone over ours; ours over the floors; over the cable alike. For any other field, everyone over the
/// first.
fn pairs(here: &[&Measured]) -> Vec<(usize, usize)> {
    let find = |name: &str| here.iter().position(|one| one.name == name);
    let mut pairs = Vec::new();
    for (at, one) in here.iter().enumerate() {
        let name = one.name.as_str();
        let floor_of = BOTH_FLOOR.iter().position(|floor| *floor == name);
        let base = match floor_of {
            Some(mode) => find(BOTH[mode]),
            None if name.starts_with("veth: ") => find(VETH),
            None => find(OURS).or(Some(0)),
        };
        let Some(base) = base.filter(|base| *base != at) else {
            continue;
        };
        pairs.push(if name.contains("floor") {
            (base, at)
        } else {
            (at, base)
        });
    }
    pairs
}

/// What is better for a ratio over this client: ours over a floor, and bypass over the kernel, want to be
/// small.
fn better(over: &str) -> &'static str {
    let is_ours = over == OURS || over.starts_with("veth: ");
    if is_ours { "lower" } else { "higher" }
}

fn line(one: &Measured, at: usize, clean: &Bootstrap, all: &Bootstrap) -> Line {
    let histogram = |set| stats::encoded(&one.samples.histogram(set));
    Line {
        client: one.name.clone(),
        rate: one.load.rate,
        asked: one.asked,
        unanswered: one.asked - one.answered,
        strays: one.strays,
        rounds_missed: one.ends.len(),
        clean: Figures::of(&one.samples, Set::Clean, clean, at),
        all: Figures::of(&one.samples, Set::All, all, at),
        windows: one.samples.window_counts(),
        preemptions: one.preemptions,
        venue_late: (
            one.late.value_at_quantile(0.5),
            one.late.value_at_quantile(0.99),
        ),
        venue_load: one.venue_load,
        hiccups: one.hiccups,
        histograms: (histogram(Set::Clean), histogram(Set::All)),
    }
}

fn stage_lines(one: &Measured, clock: &Clock) -> Vec<StageLine> {
    let line = |(stage, times): (&'static str, &HistSnapshot)| StageLine {
        client: one.name.clone(),
        rate: one.load.rate,
        stage,
        count: times.total(),
        p50: clock.cycles_to_ns(times.quantile(0.5)),
        p99: clock.cycles_to_ns(times.quantile(0.99)),
        mean: clock.cycles_to_ns(times.mean()),
    };
    let stages = one.stages.iter();
    let stages = stages.map(|(stage, times)| (stage.name(), times));
    let all = stages.chain([(DESCRIPTORS, &one.spans)]);
    all.filter(|(_, times)| times.total() > 0)
        .map(line)
        .collect()
}

/// What a lane counted that it should not have.
fn lane_notes(one: &Measured, notes: &mut Vec<String>) {
    let bad = [
        Counter::Gaps,
        Counter::DecodeErrors,
        Counter::RiskRefusals,
        Counter::RateRefusals,
        Counter::JournalRefusals,
        Counter::UnknownOrders,
        Counter::IllegalTransitions,
        Counter::Reconnects,
    ];
    for end in &one.ends {
        notes.push(format!("missing at {}/s: {end}", one.load.rate));
    }
    for counter in bad {
        let count = one.count(counter);
        if count > 0 {
            let (name, rate) = (&one.name, one.load.rate);
            notes.push(format!("{name} at {rate}/s: {count} {}", counter.name()));
        }
    }
}

impl Report {
    /// Whether every tick was answered once and, where `--gate` asks, every target is proven.
    pub fn check(&self, is_gate: bool) -> anyhow::Result<()> {
        let lost: u64 = self
            .rows
            .iter()
            .map(|row| row.unanswered + row.strays)
            .sum();
        let ours = self.rows.iter().filter(|row| row.client == OURS);
        let missed = self.rows.iter().map(|row| row.rounds_missed).sum::<usize>();
        if missed > 0 {
            eprintln!("warning: {missed} rounds without a client that left; see the notes");
        }
        let ours: u64 = ours.map(|row| row.unanswered + row.strays).sum();
        anyhow::ensure!(
            ours == 0,
            "our lane left {ours} ticks without their one order"
        );
        if lost > 0 {
            eprintln!("warning: {lost} ticks of others without their one order");
        }
        target::check(&self.targets, is_gate)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.fmt(f)?;
        if self.is_debug {
            writeln!(f, "NOT A RELEASE BUILD: these numbers mean nothing")?;
        }
        let Seats {
            client_core,
            venue_core,
            is_fifo,
            ..
        } = self.seats;
        let fifo = if is_fifo {
            "SCHED_FIFO"
        } else {
            "no SCHED_FIFO"
        };
        writeln!(
            f,
            "client on core {client_core}, venue on core {venue_core}, {fifo}; {} rounds of {} s",
            self.rounds, self.seconds
        )?;
        let mut rate = 0;
        for row in &self.rows {
            if row.rate != rate {
                rate = row.rate;
                let head = format!("{rate} ticks/s, us");
                writeln!(
                    f,
                    "\n{head:<29}{:>7}{:>7}{:>7}{:>7}{:>8}{:>7}{:>8}",
                    "p50", "p90", "p99", "p99.9", "max", "clean", "hiccups"
                )?;
            }
            let windows = row.windows.0 + row.windows.1;
            let share = 100 * row.windows.0 / windows.max(1);
            let hiccups = row.hiccups.count * 1_000_000_000 / row.hiccups.looked_ns.max(1);
            let clean = row.clean.map_or_else(|| "-".repeat(5), |_| String::new());
            let name: String = row.client.chars().take(29).collect();
            write!(f, "{name:<29}")?;
            figures_row(f, row.clean.as_ref(), &clean)?;
            writeln!(f, "{share:>6}%{hiccups:>6}/s")?;
            write!(f, "{:<29}", "  all windows")?;
            figures_row(f, row.all.as_ref(), "-")?;
            let load = format!("venue {:.0}%", 100.0 * row.venue_load);
            writeln!(f, "{load:>15}")?;
            if row.unanswered + row.strays > 0 {
                writeln!(
                    f,
                    "  {} of {} ticks unanswered, {} strays",
                    row.unanswered, row.asked, row.strays
                )?;
            }
        }
        self.fmt_ratios(f)?;
        self.fmt_stages(f)?;
        target::fmt_table(f, &self.targets)?;
        for note in &self.notes {
            writeln!(f, "note: {}", crate::report::wrapped(note))?;
        }
        write!(
            f,
            "\nclean: windows of 20 ms without preemption of client or venue. Times are from\n\
             the scheduled send. Intervals are 95 %. Method: bench/METHOD.md"
        )
    }
}

fn figures_row(f: &mut fmt::Formatter<'_>, of: Option<&Figures>, none: &str) -> fmt::Result {
    let Some(it) = of else {
        return write!(f, "{none:>7}{none:>7}{none:>7}{none:>7}{none:>8}");
    };
    let [p50, p90, p99, p999] = [it.p50, it.p90, it.p99, it.p999].map(|one| micros(one.value));
    write!(f, "{p50:>7}{p90:>7}{p99:>7}{p999:>7}{:>8}", micros(it.max))
}

impl Report {
    fn fmt_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = "times as long, clean windows";
        writeln!(f, "\n{head:<46}{:>16}{:>16}", "p50", "p99")?;
        for ratio in &self.ratios {
            if (ratio.quantile, ratio.set) != ("p50", "clean") {
                continue;
            }
            let same = |other: &&Ratio| {
                (other.quantile, other.set) == ("p99", "clean")
                    && (&other.over, &other.under, other.rate)
                        == (&ratio.over, &ratio.under, ratio.rate)
            };
            let p99 = self.ratios.iter().find(same);
            let short = |name: &str| name.replace("tokio-tungstenite", "tungstenite");
            let under = short(&ratio.under).replace("floor: TCP, ", "floor, ");
            let under = under.strip_prefix("veth: ").unwrap_or(&under);
            let who = format!("{} / {under}", short(&ratio.over));
            let who: String = who.chars().take(39).collect();
            let p99 = p99.map_or(String::new(), |ratio| span(&ratio.estimate));
            let rate = ratio.rate;
            writeln!(
                f,
                "{rate:>6} {who:<39}{:>16}{p99:>16}",
                span(&ratio.estimate)
            )?;
        }
        Ok(())
    }

    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stages.is_empty() {
            return Ok(());
        }
        let mut whose = "";
        for line in &self.stages {
            let StageLine {
                client,
                rate,
                stage,
                count,
                p50,
                p99,
                mean,
            } = line;
            if client != whose {
                whose = client;
                writeln!(
                    f,
                    "\n{whose:<29}{:>10}{:>10}{:>10}{:>12}",
                    "p50, ns", "p99", "mean", "count"
                )?;
            }
            writeln!(
                f,
                "{rate:>6} {stage:<22}{p50:>10}{p99:>10}{mean:>10}{count:>12}"
            )?;
        }
        Ok(())
    }
}
