//! `throughput`: events a second from memory on one core, and through sockets on one lane for a while.
//!
//! ```text
//!   memory    text ─▶ machine ─▶ book ─▶ strategy            as fast as it goes, distinct messages, by shape
//!   sockets   venue ══ TLS ══▶ the production lane           at a fixed timetable; none may be lost
//!   venues    ten simulated venues ══ TLS ══▶ one lane       raised until something is lost
//! ```
//! An event is one book, trade or quote message applied. Through sockets one tick in 20 is answered, so that
//! latency is known under load; it is set beside the same lane's at 10,000 ticks a second.

mod memory;
mod sockets;
pub mod venues;

use crate::host::{Hiccups, Seats};
use crate::road::{Mode, Road};
use crate::stats::Estimate;
use crate::summary::Summary;
use crate::target::Bound;
use anyhow::{bail, ensure};
use dp_transport::Clock;
use memory::Shape;
use sockets::Form;

/// What a core is to do from memory, messages of 20 levels a second.
const WANTED: f64 = 1_000_000.0;

/// Seconds of each part; fewer are no proof that a rate is held.
const SECONDS: f64 = 60.0;

/// What `throughput` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ticks a second through sockets.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1_000..=2_000_000))]
    pub rate: u64,
    /// Seconds of each part: a shape from memory, a form through sockets.
    #[arg(long, default_value_t = SECONDS)]
    pub seconds: f64,
    /// How ticks go out through sockets.
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = [Form::Evenly, Form::Bursts, Form::Coalesced])]
    pub form: Vec<Form>,
    /// Between lane and venue.
    #[arg(long, value_enum, default_value_t = Way::Loopback)]
    pub road: Way,
    /// How the ends of a cable are bypassed.
    #[arg(long, value_enum, default_value_t = Mode::Generic)]
    pub xdp_mode: Mode,
    /// Only this part.
    #[arg(long, value_enum)]
    pub part: Option<Part>,
    /// Core of the lane.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the venue.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
    /// Fail unless every target asked for is proven; takes 60 seconds a part at least.
    #[arg(long)]
    pub gate: bool,
}

impl Args {
    /// Whether a part is to be run: all are, unless one is named.
    fn asks(&self, part: Part) -> bool {
        self.part.is_none_or(|only| only == part)
    }
}

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// From memory.
    Memory,
    /// Through sockets, one venue.
    Sockets,
    /// Through sockets, ten simulated venues at once.
    Venues,
}

/// A road by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// Kernel sockets over loopback.
    Loopback,
    /// Kernel sockets over a cable.
    Veth,
    /// AF_XDP at the lane's end of a cable.
    XdpOne,
    /// AF_XDP at both ends.
    XdpBoth,
}

impl Way {
    const fn road(self, mode: Mode) -> Road {
        match self {
            Self::Loopback => Road::Loopback,
            Self::Veth => Road::Veth,
            Self::XdpOne | Self::XdpBoth => Road::Bypass {
                mode,
                is_both: matches!(self, Self::XdpBoth),
            },
        }
    }
}

/// Runs it. Errors: a message from memory that was refused or lost, a road that cannot be built.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    ensure!(
        !args.gate || args.seconds >= SECONDS,
        "--gate needs {SECONDS} seconds of each part: {} do not show that a rate is held",
        args.seconds
    );
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    let mut hiccups = Hiccups::default();
    let mut runs = Vec::new();
    if args.asks(Part::Memory) {
        let from_memory = || -> anyhow::Result<Vec<memory::Run>> {
            seats.sit(seats.client_core);
            let run = |shape: &Shape| memory::run(*shape, args.seconds, clock, &mut hiccups);
            Shape::ALL.iter().map(run).collect()
        };
        let outcome = std::thread::scope(|scope| scope.spawn(from_memory).join());
        runs = outcome.unwrap_or_else(|_| bail!("the measuring thread panicked"))?;
    }
    let mut summary = Summary::new("throughput", clock.tsc_hz(), seats.clone(), hiccups);
    if !args.asks(Part::Memory) {
        summary
            .notes
            .push(format!("targets not asked for: {}", held_words()));
    } else {
        memory_facts(&mut summary, &runs);
    }
    let are_asked = args.asks(Part::Sockets);
    for form in Form::ALL {
        if !are_asked || !args.form.contains(&form) {
            sockets::not_asked(form, args.rate, &mut summary);
            continue;
        }
        let road = args.road.road(args.xdp_mode);
        sockets::run(form, road, args, &seats, clock, &mut summary)?;
    }
    if are_asked {
        let note = format!(
            "sockets over {:?} ({} where bypassed): a tick is 20 levels, about 750 bytes",
            args.road,
            args.xdp_mode.name()
        );
        summary.notes.push(note);
        let note = "sockets run once a form, so no interval over rounds: gated are counts (nothing lost over the \
                    whole time) and a rule, the upper end of the loaded p99 over the lower end of the quiet one";
        summary.notes.push(note.to_owned());
    }
    if args.asks(Part::Venues) {
        match venues::run(args, &seats, clock, &mut summary) {
            // What was measured before is told all the same.
            Err(error) if args.part.is_none() => {
                summary.notes.push(format!("ten venues: {error:#}"));
            }
            outcome => outcome?,
        }
    }
    Ok(summary)
}

fn memory_facts(summary: &mut Summary, runs: &[memory::Run]) {
    const GROUP: &str = "memory: 1,000 messages, from blocks of 512";
    let rows: Vec<_> = runs
        .iter()
        .map(|run| (run.shape.name().to_owned(), run.blocks.clone()))
        .collect();
    if !rows.is_empty() {
        summary.add(GROUP, &rows);
    }
    let mut held = Estimate::NONE;
    for run in runs {
        let name = run.shape.name();
        let block = summary.clean(GROUP, name).map(|figures| figures.p50.value);
        let sustained = run.messages as f64 / run.seconds;
        let mut fact = |what: &str, value| summary.fact(format!("memory, {name}: {what}"), value);
        fact("messages a second, all of the time", sustained);
        fact("share of a core at 1,000,000/s", WANTED / sustained);
        fact("seconds", run.seconds);
        if let Some(ns) = block {
            fact("messages a second, median block", 1e12 / ns);
            fact("ns a message, median block", ns / 1_000.0);
        }
        if run.shape == Shape::Depth {
            held = Estimate::exact(sustained);
        }
    }
    // A count over a time, drains and preemptions in it: no block is picked, so there is no interval.
    let verdict = Bound::AtLeast.judge(held_words(), WANTED, held, true);
    summary.targets.push(verdict);
}

fn held_words() -> String {
    format!("memory: 20 levels, all of the time, at least {WANTED}/s")
}
