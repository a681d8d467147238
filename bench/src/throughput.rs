//! `throughput`: events a second from memory on one core, and through sockets on one lane for a while.
//!
//! ```text
//!   memory    text ─▶ machine ─▶ book ─▶ strategy            as fast as it goes, distinct messages
//!   sockets   venue ══ TLS ══▶ the production lane           at a fixed timetable; none may be lost
//! ```
//! An event is one book, trade or quote message applied. Through sockets one tick in 20 is answered, so that
//! latency is known under load; it is set beside the same lane's at 10,000 ticks a second.

use crate::client::lane;
use crate::hand::{Hand, Signal};
use crate::host::{Hiccups, Seats, Suffered};
use crate::race::{Entrant, Measured, Race};
use crate::scratch::Scratch;
use crate::stats::{Estimate, Samples};
use crate::summary::Summary;
use crate::target::Bound;
use crate::venue::Load;
use anyhow::{bail, ensure};
use dp_shm::{Counter, Stage};
use dp_transport::{Clock, tsc};

/// Messages of one block of the memory part.
const BLOCK: u64 = 512;
/// One tick in so many is answered through sockets.
const EVERY: u64 = 20;
/// The rate the loaded lane's latency is compared with.
const QUIET: u64 = 10_000;

/// What `throughput` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ticks a second through sockets.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1_000..=2_000_000))]
    pub rate: u64,
    /// Seconds through sockets.
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Messages from memory.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(512..=1_000_000_000))]
    pub messages: u64,
    /// Core of the lane.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the venue.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
    /// Fail unless every target is proven.
    #[arg(long)]
    pub gate: bool,
}

/// Runs it. Errors: a message that was refused or lost.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    let memory = || {
        seats.sit(seats.client_core);
        from_memory(args, clock)
    };
    let memory = std::thread::scope(|scope| scope.spawn(memory).join());
    let (blocks, hiccups) = memory.unwrap_or_else(|_| bail!("the measuring thread panicked"))?;
    let mut summary = Summary::new("throughput", clock.tsc_hz(), seats.clone(), hiccups);
    memory_facts(&mut summary, blocks);
    let measured = through_sockets(args, &seats, clock)?;
    socket_facts(&mut summary, &measured, args, &clock)?;
    Ok(summary)
}

/// Nanoseconds of 1,000 messages by each block, and the hiccups around them.
fn from_memory(args: &Args, clock: Clock) -> anyhow::Result<(Samples, Hiccups)> {
    let mut hiccups = Hiccups::default();
    hiccups.look(&clock, 50_000_000);
    let scratch = Scratch::new(&lane::shape())?;
    let mut hand = Hand::new(&scratch.region, clock, || Box::new(Signal))?;
    let before = hand.count(Counter::BookEvents);
    let mut samples = Samples::default();
    let blocks = args.messages.div_ceil(BLOCK);
    let warm = blocks.div_ceil(10);
    for block in 0..blocks + warm {
        let suffered = Suffered::own();
        let start = tsc();
        for _ in 0..BLOCK {
            hand.load_tick();
            hand.tick();
        }
        let cycles = tsc().since(start);
        hand.drain();
        let is_clean = Suffered::own().since(suffered).switches == 0;
        if block >= warm {
            let thousand = clock.cycles_to_ns(cycles) * 1_000 / BLOCK;
            samples.add_round(
                &[is_clean],
                [(u32::try_from(thousand).unwrap_or(u32::MAX), 0)],
            );
        }
    }
    let applied = hand.count(Counter::BookEvents) - before;
    let said = (blocks + warm) * BLOCK;
    ensure!(
        applied == said && hand.faults == 0 && hand.count(Counter::Gaps) == 0,
        "{applied} of {said} messages applied"
    );
    hiccups.look(&clock, 50_000_000);
    Ok((samples, hiccups))
}

fn memory_facts(summary: &mut Summary, blocks: Samples) {
    let all = [("decode + book + strategy".to_owned(), blocks)];
    summary.add(
        "memory: 1,000 messages of 20 levels, from blocks of 512",
        &all,
    );
    let Some(figures) = summary.rows.first().and_then(|row| row.clean) else {
        return;
    };
    let rate = |ns: f64| 1e12 / ns;
    // The fastest end of the time is the highest rate.
    let found = Estimate {
        value: rate(figures.p50.value),
        low: rate(figures.p50.high),
        high: rate(figures.p50.low),
    };
    summary.fact(
        "memory: messages of 20 levels a second, median block",
        found.value,
    );
    let what = "memory: messages of 20 levels a second, at least 1,000,000".to_owned();
    let verdict = Bound::AtLeast.judge(what, 1_000_000.0, found, true);
    summary.targets.push(verdict);
}

fn through_sockets(args: &Args, seats: &Seats, clock: Clock) -> anyhow::Result<Vec<Measured>> {
    let entrant = Entrant::built_in("spinlane", &std::env::current_exe()?, "spinlane");
    let load = |rate, seconds| Load {
        every: EVERY,
        ..Load::new(rate, seconds)
    };
    let loads = [
        load(QUIET, (args.seconds / 4.0).clamp(0.5, 10.0)),
        load(args.rate, args.seconds),
    ];
    Race {
        entrants: &[entrant],
        loads: &loads,
        rounds: 1,
        seats,
        clock,
        on_step: &mut |_, name| eprintln!("through sockets: {name}"),
    }
    .run()
}

fn socket_facts(
    summary: &mut Summary,
    measured: &[Measured],
    args: &Args,
    clock: &Clock,
) -> anyhow::Result<()> {
    let [quiet, loaded] = measured else {
        bail!("two timetables make two results");
    };
    for one in [quiet, loaded] {
        let name = format!("sockets, {}/s, one tick in {EVERY} answered", one.load.rate);
        summary.add(&name, &[("spinlane".to_owned(), one.samples.clone())]);
        let said = one.load.warm + one.load.ticks;
        let applied = one.count(Counter::BookEvents);
        let lost = said.saturating_sub(applied) + one.count(Counter::Gaps);
        let unanswered = one.asked - one.answered;
        let rate = one.load.rate;
        summary.fact(format!("{rate}/s: ticks said"), said as f64);
        summary.fact(format!("{rate}/s: ticks not applied, gaps"), lost as f64);
        summary.fact(format!("{rate}/s: orders missing"), unanswered as f64);
        summary.fact(
            format!("{rate}/s: lane busy, share of the time"),
            busy(one, clock),
        );
        summary.fact(
            format!("{rate}/s: venue busy, share of the time"),
            one.venue_load,
        );
        let late = one.late.value_at_quantile(0.99) as f64 / 1_000.0;
        summary.fact(format!("{rate}/s: venue late, p99, us"), late);
        ensure!(lost == 0, "{lost} of {said} ticks were lost at {rate}/s");
        ensure!(
            unanswered == 0,
            "{unanswered} orders are missing at {rate}/s"
        );
    }
    let group = |rate| format!("sockets, {rate}/s, one tick in {EVERY} answered");
    let p99 = |rate| summary.clean(&group(rate), "spinlane").map(|it| it.p99);
    if let (Some(quiet), Some(loaded)) = (p99(QUIET), p99(args.rate)) {
        // Two single runs: the worst of one against the best of the other.
        let found = Estimate {
            value: loaded.value / quiet.value,
            low: loaded.low / quiet.high,
            high: loaded.high / quiet.low,
        };
        let what = format!(
            "sockets: p99 at {} /s over p99 at 10,000/s, at most 2",
            args.rate
        );
        summary
            .targets
            .push(Bound::AtMost.judge(what, 2.0, found, true));
    }
    Ok(())
}

/// Share of the time the lane's turns found work.
fn busy(one: &Measured, clock: &Clock) -> f64 {
    let turns = one
        .stages
        .iter()
        .find(|(stage, _)| *stage == Stage::DutyCycle);
    let cycles = turns.map_or(0, |(_, times)| times.sum());
    let said = (one.load.warm + one.load.ticks) as f64 / one.load.rate as f64;
    clock.cycles_to_ns(cycles) as f64 / 1e9 / said
}
