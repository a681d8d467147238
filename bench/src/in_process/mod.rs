//! `in-process`: from a tick's TLS record to its order's TLS record, in memory, on one core.
//!
//! ```text
//!   ours    lane.turn():  record ─▶ open ─▶ frame ─▶ machine ─▶ book ─▶ strategy ─▶ … ─▶ seal ─▶ record
//!   frames  the same over our TCP: from a received frame's descriptor to that of the order's frame
//!   peer    rustls ─▶ tungstenite ─▶ serde_json ─▶ BTreeMap ─▶ serde_json ─▶ tungstenite ─▶ rustls
//! ```
//! Hot: one tick after the other. Paced: 100 us of empty socket reads before each, which is what a real feed
//! does to the caches. Both are asked in blocks, in turn; the venue's end (sealing, opening, answering) is
//! untimed.

mod ours;
mod peer;

use crate::client::lane;
use crate::host::{Hiccups, Seats, Suffered};
use crate::scratch::Scratch;
use crate::stats::{Estimate, Samples};
use crate::summary::Summary;
use crate::target::Bound;
use crate::venue::conn::Conn;
use crate::venue::texts::{Desk, Heard};
use crate::venue::{ca, walk::Walk};
use anyhow::{bail, ensure};
use dp_shm::{Counter, Region};
use dp_transport::{Clock, tsc};
use ours::{Frames, Ours, Records};
use peer::Peer;
use rustls::ServerConfig;
use std::net::UdpSocket;
use std::sync::Arc;

/// Ticks of one block: they share a window.
const BLOCK: usize = 256;
/// Empty socket reads before a paced tick, ns.
const PAUSE_NS: u64 = 100_000;
/// Ticks before the first that counts.
const WARM: usize = 2_000;
/// What precedes a tick.
const PACED: &str = "paced 100 us";
const HOT: &str = "hot";
const OURS: &str = "spinlane lane";
const PEER: &str = "rustls+tungstenite+serde_json+BTreeMap";

/// What `in-process` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ticks a client and way of pacing.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(500..=10_000_000))]
    pub ticks: u32,
    /// Core to measure on.
    #[arg(long, default_value_t = 0)]
    pub core: usize,
    /// Only our own path.
    #[arg(long)]
    pub ours: bool,
    /// Fail unless every target is proven by its whole interval.
    #[arg(long)]
    pub gate: bool,
}

/// The venue's end of a client in memory.
struct Far {
    feed: Conn,
    orders: Conn,
}

/// One who answers ticks in memory.
trait Path {
    /// Takes the next tick's record, untimed.
    fn load(&mut self, cipher: &[u8]) -> anyhow::Result<()>;
    /// The timed part: from the record to the order's record. Cycles, where the path knows better than a watch
    /// around the call.
    fn tick(&mut self) -> anyhow::Result<Option<u64>>;
    /// The order's record; the venue's end.
    fn far(&mut self, order: &mut Vec<u8>) -> anyhow::Result<&mut Far>;
    /// Takes the venue's answers, untimed.
    fn answers(&mut self, cipher: &[u8]) -> anyhow::Result<()>;
}

/// Says what the desk says to every request that came; returns the orders among them.
fn answer(desk: &mut Desk, conn: &mut Conn) -> Vec<Option<u64>> {
    let mut numbers = Vec::new();
    while let Some(text) = conn.next_frame() {
        if let Heard::Order(number) = desk.hear(text, 1_760_000_000_000) {
            numbers.push(number);
        }
        for text in desk.said() {
            conn.say(text);
        }
    }
    numbers
}

/// What a tick is preceded by.
struct Pause {
    socket: UdpSocket,
    clock: Clock,
}

impl Pause {
    fn new(clock: Clock) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, clock })
    }

    fn pass(&self) {
        let begin = tsc();
        let mut buffer = [0; 64];
        while self.clock.cycles_to_ns(tsc().since(begin)) < PAUSE_NS {
            let _ = self.socket.recv(&mut buffer);
        }
    }
}

/// A block of ticks through one path. Errors: a tick without its one order.
fn block(
    path: &mut dyn Path,
    walk: &Walk,
    next: &mut u64,
    desk: &mut Desk,
    pause: Option<&Pause>,
    clock: &Clock,
) -> anyhow::Result<(Vec<(u32, u32)>, bool)> {
    let mut values = Vec::with_capacity(BLOCK);
    let (mut cipher, mut order) = (Vec::new(), Vec::new());
    let before = Suffered::own();
    for _ in 0..BLOCK {
        order.clear();
        cipher.clear();
        let feed = &mut path.far(&mut order)?.feed;
        walk.write(*next, clock.now().unix.millis(), feed.said());
        feed.seal()?;
        cipher.append(&mut feed.out);
        if let Some(pause) = pause {
            pause.pass();
        }
        path.load(&cipher)?;
        let start = tsc();
        let own = path.tick()?;
        let cycles = own.unwrap_or(tsc().since(start));
        let orders = &mut path.far(&mut order)?.orders;
        orders.on_bytes(&order)?;
        let numbers = answer(desk, orders);
        ensure!(
            numbers == [Some(*next % crate::venue::walk::NUMBERS)],
            "tick {next} was answered with {numbers:?}"
        );
        orders.seal()?;
        let out = core::mem::take(&mut orders.out);
        path.answers(&out)?;
        let ns = u32::try_from(clock.cycles_to_ns(cycles)).unwrap_or(u32::MAX);
        values.push((ns.max(1), 0));
        *next += 1;
    }
    let is_clean = !Suffered::own().since(before).is_preempted();
    Ok((values, is_clean))
}

/// Runs it. Errors: a path that does not do its part.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.core, args.core);
    let mut hiccups = Hiccups::default();
    let run = || -> anyhow::Result<Summary> {
        seats.sit(seats.client_core);
        hiccups.look(&clock, 50_000_000);
        measure(args, &seats, hiccups, clock)
    };
    let outcome = std::thread::scope(|scope| scope.spawn(run).join());
    outcome.unwrap_or_else(|_| bail!("the measuring thread panicked"))
}

fn measure(args: &Args, seats: &Seats, hiccups: Hiccups, clock: Clock) -> anyhow::Result<Summary> {
    let (ca, server) = ca::certificates()?;
    let mut run = Run {
        summary: Summary::new("in_process", clock.tsc_hz(), seats.clone(), hiccups),
        pause: Pause::new(clock)?,
        blocks: (args.ticks as usize).div_ceil(BLOCK),
        clock,
    };
    run.summary.head.seats.is_apart = true;
    run.summary.notes = run.summary.head.seats.doubts();
    records(&mut run, args, &ca, &server)?;
    if !args.ours {
        for levels in [5, 10] {
            frames(&mut run, levels, &ca, &server)?;
        }
    }
    judge(&mut run.summary, !args.ours);
    Ok(run.summary)
}

/// From record to record: ours, and the usual stack.
fn records(run: &mut Run, args: &Args, ca: &str, server: &Arc<ServerConfig>) -> anyhow::Result<()> {
    let walk = Walk::new();
    let scratch = Scratch::new(&lane::shape())?;
    let mut ours = Ours::new(
        &scratch.region,
        run.clock,
        Records::new(),
        ca,
        server,
        &walk,
    )?;
    let mut peer = Peer::new(ca, server)?;
    // Ours continues the stream it was spliced into; the peer takes any.
    let first = walk_position(&scratch.region);
    let mut paths: Vec<(&str, &mut dyn Path, u64)> = vec![(OURS, &mut ours, first)];
    if !args.ours {
        paths.push((PEER, &mut peer, 0));
    }
    run.groups([PACED, HOT], &walk, &mut paths)
}

/// From descriptor to descriptor, with `levels` changes a side.
fn frames(
    run: &mut Run,
    levels: usize,
    ca: &str,
    server: &Arc<ServerConfig>,
) -> anyhow::Result<()> {
    let walk = Walk::of(levels);
    let scratch = Scratch::new(&lane::shape())?;
    let ends = Frames::new(run.clock)?;
    let mut ours = Ours::new(&scratch.region, run.clock, ends, ca, server, &walk)?;
    let first = walk_position(&scratch.region);
    let mut paths: Vec<(&str, &mut dyn Path, u64)> = vec![(OURS, &mut ours, first)];
    let groups = [PACED, HOT].map(|group| descriptors(levels, group));
    run.groups([&groups[0], &groups[1]], &walk, &mut paths)
}

/// The group of the rows from descriptor to descriptor.
fn descriptors(levels: usize, pacing: &str) -> String {
    format!("RX to TX descriptor, {levels}+{levels} levels, {pacing}")
}

/// What every part of a run shares.
struct Run {
    summary: Summary,
    pause: Pause,
    blocks: usize,
    clock: Clock,
}

impl Run {
    /// Paced, then hot, in blocks in turn. A path: its name, itself, the number of its next tick.
    fn groups(
        &mut self,
        [paced, hot]: [&str; 2],
        walk: &Walk,
        paths: &mut [(&str, &mut dyn Path, u64)],
    ) -> anyhow::Result<()> {
        let mut desk = Desk::default();
        let warm = WARM.div_ceil(BLOCK).min(self.blocks);
        for (group, pause) in [(paced, Some(&self.pause)), (hot, None)] {
            let names = paths.iter();
            let names = names.map(|(name, ..)| ((*name).to_owned(), Samples::default()));
            let mut all: Vec<(String, Samples)> = names.collect();
            for round in 0..self.blocks + warm {
                for (at, (_, path, next)) in paths.iter_mut().enumerate() {
                    let (values, is_clean) =
                        block(&mut **path, walk, next, &mut desk, pause, &self.clock)?;
                    if round >= warm {
                        all[at].1.add_round(&[is_clean], values);
                    }
                }
            }
            self.summary.add(group, &all);
        }
        Ok(())
    }
}

/// The number of the tick our lane expects: one past those it has heard.
fn walk_position(region: &Region) -> u64 {
    let lane = region.lane(dp_types::LaneId(0));
    // The snapshot is a book event too.
    lane.map_or(0, |lane| {
        lane.counters.get(Counter::BookEvents) - lane.counters.get(Counter::Snapshots)
    })
}

/// Design, section 7: paced 1.5 us and 3.2 us, and the peer stack at least five times as long; from descriptor
/// to descriptor with 5+5 levels 1.5 us and 3 us.
fn judge(summary: &mut Summary, has_peer: bool) {
    let what = "in process, paced: peer stack / spinlane, p50, at least 5".to_owned();
    if has_peer {
        let found = summary.ratio(PACED, PEER, "p50");
        let found = found.unwrap_or(Estimate::NONE);
        let verdict = Bound::AtLeast.judge(what, 5.0, found, true);
        let verdict = verdict.over_rounds(summary.rounds(PACED));
        summary.targets.push(verdict);
    } else {
        summary.notes.push(format!("targets not asked for: {what}"));
    }
    let frames = descriptors(5, PACED);
    for (what, group, targets) in [
        ("in process, paced", PACED, [1_500.0, 3_200.0]),
        (
            "RX to TX descriptor, 5+5 levels",
            &frames,
            [1_500.0, 3_000.0],
        ),
    ] {
        let Some(figures) = summary.clean(group, OURS) else {
            continue;
        };
        let found = [("p50", figures.p50), ("p99", figures.p99)];
        for ((quantile, found), target) in found.into_iter().zip(targets) {
            let what = format!("{what}: {quantile}, at most {} us", target / 1_000.0);
            let verdict = Bound::AtMost.judge(what, target, found, false);
            let verdict = verdict.over_rounds(summary.rounds(group));
            summary.targets.push(verdict);
        }
    }
}
