//! The stopwatch: TSC around one operation or around a batch of them, into HDR histograms.
//!
//! ```text
//!   each    t0 · op · t1      one sample an op; holds the two clock reads, so the floor row is its zero
//!   xN      t0 · op … op · t1 one sample a batch, divided by N: for what is near or below the floor
//! ```
//!
//! Inputs are made ready outside the timed part. RDTSC does not wait for what is in flight, so a few
//! nanoseconds may move between neighbouring samples; they cancel in the sum. A sample that an interrupt
//! fell into stays in: the hiccup meter says how many there are to expect.

use crate::host::Hiccups;
use dp_transport::clock::{Clock, tsc};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::hint::black_box;

/// Ops in a batch: the two clock reads weigh a 64th of their cost on each.
pub const BATCH: usize = 64;
/// Samples of what takes milliseconds.
pub const RARE_MAX: usize = 1_000;
/// Batches of what takes milliseconds to make ready.
const RARE_BATCHES_MAX: usize = 100;
/// How long one look at the hiccups takes, ns.
const HICCUP_WINDOW_NS: u64 = 100_000_000;
/// Samples thrown away first, one in this many.
const WARM_SHARE: usize = 10;

/// One measured line. Times in nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Scenario it belongs to.
    pub scenario: &'static str,
    /// What was done.
    pub name: String,
    /// Ops a sample: 1 = each op timed.
    pub batch: usize,
    /// Ops timed.
    pub ops: u64,
    /// Median.
    pub p50: f64,
    /// 99th percentile (of batches, where batched).
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Worst.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// For the usual way of doing it: its median over ours, and which row ours is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_of: Option<Peer>,
}

/// What a peer row is compared with.
#[derive(Debug, Clone, Serialize)]
pub struct Peer {
    /// Our row.
    pub name: String,
    /// Its median over ours.
    pub ratio: f64,
}

/// Measures and keeps the rows.
#[derive(Debug)]
pub struct Meter {
    clock: Clock,
    samples: usize,
    scenario: &'static str,
    /// All rows so far; the first two are the floors.
    pub rows: Vec<Row>,
    /// All looks at the hiccups so far.
    pub hiccups: Hiccups,
    /// Things to tell beside the numbers.
    pub notes: Vec<String>,
}

impl Meter {
    /// Calibrates the clock (100 ms) and measures the floors.
    pub fn new(samples: usize) -> Self {
        let mut meter = Self {
            clock: Clock::calibrate(100),
            samples,
            scenario: "floor",
            rows: Vec::new(),
            hiccups: Hiccups::default(),
            notes: Vec::new(),
        };
        meter.each("two clock reads", |_| ());
        meter.batch("empty loop", |at| at);
        let step_ns = meter.clock.cycles_to_ns(clock_step());
        if step_ns > 1 {
            // Seen on virtual machines: single samples below a few steps are coarse, batches are not.
            let note = format!("this clock moves in steps of {step_ns} ns");
            meter.notes.push(note);
        }
        meter
    }

    /// Samples asked for, a row.
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// Names what follows.
    pub fn begin(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// Counter cycles a second.
    pub fn tsc_hz(&self) -> u64 {
        self.clock.tsc_hz()
    }

    /// Times each op. `op` is given the number of the sample.
    pub fn each<R>(&mut self, name: &str, mut op: impl FnMut(usize) -> R) {
        self.each_on(
            name,
            &mut 0,
            |number, at| *number = at,
            |number| op(*number),
        );
    }

    /// Times each op on `state`, which `ready` brings in order beforehand, untimed.
    pub fn each_on<S, R>(
        &mut self,
        name: &str,
        state: &mut S,
        ready: impl FnMut(&mut S, usize),
        op: impl FnMut(&mut S) -> R,
    ) {
        self.time(name, self.samples, state, ready, op);
    }

    /// Times each op, at most [`RARE_MAX`] of them.
    pub fn each_rarely<R>(&mut self, name: &str, mut op: impl FnMut(usize) -> R) {
        let samples = self.samples.min(RARE_MAX);
        let count = |number: &mut usize, at| *number = at;
        self.time(name, samples, &mut 0, count, |number| op(*number));
    }

    fn time<S, R>(
        &mut self,
        name: &str,
        samples: usize,
        state: &mut S,
        mut ready: impl FnMut(&mut S, usize),
        mut op: impl FnMut(&mut S) -> R,
    ) {
        let mut times = histogram();
        let warm = samples / WARM_SHARE;
        for at in 0..samples + warm {
            ready(state, at);
            let state = black_box(&mut *state);
            let start = tsc();
            let result = op(state);
            let end = tsc();
            black_box(result);
            if at >= warm {
                times.saturating_record(self.picos(end.since(start), 1));
            }
        }
        self.push(name, 1, &times);
    }

    /// Times batches of [`BATCH`] ops. `op` is given the number of the op.
    pub fn batch<R>(&mut self, name: &str, mut op: impl FnMut(usize) -> R) {
        self.batch_on(name, &mut (), |(), _| (), |(), at| op(at));
    }

    /// Times batches on `state`, which `ready` brings in order before each batch, untimed; both are given
    /// the number of the (first) op.
    pub fn batch_on<S, R>(
        &mut self,
        name: &str,
        state: &mut S,
        ready: impl FnMut(&mut S, usize),
        op: impl FnMut(&mut S, usize) -> R,
    ) {
        let batches = (self.samples / BATCH).max(100);
        self.batches(name, batches, state, ready, op);
    }

    /// As [`Meter::batch_on`], at most [`RARE_BATCHES_MAX`] of them.
    pub fn batch_rarely<S, R>(
        &mut self,
        name: &str,
        state: &mut S,
        ready: impl FnMut(&mut S, usize),
        op: impl FnMut(&mut S, usize) -> R,
    ) {
        let batches = (self.samples / BATCH).clamp(10, RARE_BATCHES_MAX);
        self.batches(name, batches, state, ready, op);
    }

    fn batches<S, R>(
        &mut self,
        name: &str,
        batches: usize,
        state: &mut S,
        mut ready: impl FnMut(&mut S, usize),
        mut op: impl FnMut(&mut S, usize) -> R,
    ) {
        let mut times = histogram();
        let warm = (batches / WARM_SHARE).max(1);
        for batch in 0..batches + warm {
            let first = batch * BATCH;
            ready(state, first);
            let state = black_box(&mut *state);
            let start = tsc();
            for at in first..first + BATCH {
                black_box(op(state, black_box(at)));
            }
            let end = tsc();
            if batch >= warm {
                times.saturating_record(self.picos(end.since(start), BATCH));
            }
        }
        self.push(name, BATCH, &times);
    }

    /// Says that the latest row is the usual way of doing what row `name` does.
    pub fn is_peer_of(&mut self, name: &str) {
        let scenario = self.scenario;
        let ours = self
            .rows
            .iter()
            .find(|row| row.scenario == scenario && row.name == name)
            .map(|row| row.p50);
        if let (Some(ours), Some(row)) = (ours, self.rows.last_mut()) {
            row.peer_of = Some(Peer {
                name: name.to_owned(),
                ratio: row.p50 / ours.max(f64::MIN_POSITIVE),
            });
        }
    }

    /// A row of times that were taken elsewhere, cycles. None gives no row.
    pub fn taken(&mut self, name: &str, cycles: &[u64]) {
        if cycles.is_empty() {
            return;
        }
        let mut times = histogram();
        for one in cycles {
            times.saturating_record(self.picos(*one, 1));
        }
        self.push(name, 1, &times);
    }

    /// Spins for a moment and notes where the time went that was not ours.
    pub fn sample_hiccups(&mut self) {
        self.hiccups.look(&self.clock, HICCUP_WINDOW_NS);
    }

    fn picos(&self, cycles: u64, ops: usize) -> u64 {
        let picos = u128::from(cycles) * 1_000_000_000_000
            / u128::from(self.clock.tsc_hz().max(1))
            / ops as u128;
        u64::try_from(picos).unwrap_or(u64::MAX)
    }

    fn push(&mut self, name: &str, batch: usize, times: &Histogram<u64>) {
        let nanos = |picos: u64| picos as f64 / 1_000.0;
        self.rows.push(Row {
            scenario: self.scenario,
            name: name.to_owned(),
            batch,
            ops: times.len() * batch as u64,
            p50: nanos(times.value_at_quantile(0.5)),
            p99: nanos(times.value_at_quantile(0.99)),
            p999: nanos(times.value_at_quantile(0.999)),
            max: nanos(times.max()),
            mean: times.mean() / 1_000.0,
            peer_of: None,
        });
    }
}

/// The smallest step between two different readings of the counter, cycles.
fn clock_step() -> u64 {
    let steps = (0..10_000).map(|_| {
        let first = tsc();
        let next = core::iter::repeat_with(tsc).find(|next| *next != first);
        next.map_or(u64::MAX, |next| next.since(first))
    });
    steps.min().unwrap_or(0)
}

/// Picoseconds from 1 to ten seconds, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000_000, 3).expect("the bounds are constants that fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_what_was_done_and_a_peer_is_told_by_its_median() {
        let mut meter = Meter::new(2_000);
        let spin = |turns: u64| (0..turns).fold(0u64, |sum, turn| sum ^ black_box(turn));
        meter.begin("test");
        meter.each("short", |_| spin(100));
        // A thousand times the work: no neighbour's mood makes it the shorter one.
        meter.each("long", |_| spin(100_000));
        meter.is_peer_of("short");
        meter.batch("batched", |_| spin(100));
        let row = |name: &str| meter.rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!((row("short").ops, row("long").ops), (2_000, 2_000));
        let batched = row("batched");
        assert_eq!((batched.batch, batched.ops), (BATCH, 100 * BATCH as u64));
        assert!(row("two clock reads").p50 < row("long").p50);
        assert!(row("short").p50 < row("long").p50);
        let peer = row("long").peer_of.as_ref().unwrap();
        let ratio = row("long").p50 / row("short").p50;
        assert!((peer.ratio - ratio).abs() < 1e-9 && peer.ratio > 1.0);
    }

    #[test]
    fn hiccups_are_looked_for() {
        let mut meter = Meter::new(100);
        meter.sample_hiccups();
        assert!(meter.hiccups.looked_ns >= HICCUP_WINDOW_NS);
        assert!(meter.hiccups.lost_ns >= meter.hiccups.max_ns);
    }
}
