//! `jitter`: what a core does to a thread that only wants to run. It spins on the counter and keeps every
//! gap between two readings: interrupts, other threads, the hypervisor.

use crate::head::{self, Machine};
use crate::host::{HICCUP_NS, Hiccups, Seats, Suffered};
use crate::stats;
use anyhow::bail;
use core::fmt;
use dp_transport::{Clock, tsc};
use serde::Serialize;

/// Gaps over this, ns, are looked at one by one: was the thread switched out?
const LOOK_NS: u64 = HICCUP_NS;
/// The quantiles shown.
const QUANTILES: [f64; 6] = [0.5, 0.99, 0.999, 0.9999, 0.99999, 0.999999];

/// What `jitter` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seconds a core.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Cores, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1])]
    pub cores: Vec<usize>,
}

/// One core.
#[derive(Debug, Serialize)]
pub struct Core {
    /// Which.
    pub core: usize,
    /// How long it was looked at, ns.
    pub looked_ns: u64,
    /// Gaps between readings, ns, at 50, 99, 99.9, 99.99, 99.999 and 99.9999 %.
    pub gaps: [u64; 6],
    /// The longest, ns.
    pub max_ns: u64,
    /// Share of the time in gaps over 10 us.
    pub lost: f64,
    /// Gaps over 10 us with a switch to another thread in them.
    pub switched: u64,
    /// Gaps over 10 us without: interrupts and what is below the kernel.
    pub stolen: u64,
    /// HdrHistogram V2, deflated, base64.
    pub histogram: String,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    outcome: &'static str,
    kind: &'static str,
    machine: Machine,
    is_fifo: bool,
    rows: Vec<Core>,
    notes: Vec<String>,
}

/// Runs it. Errors: a core there is not.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let clock = Clock::calibrate(100);
    let mut rows = Vec::new();
    let mut doubts = Vec::new();
    let mut is_fifo = false;
    for &core in &args.cores {
        let seats = Seats::find(core, core);
        if seats.client_core != core {
            bail!("there is no core {core}");
        }
        is_fifo = seats.is_fifo;
        doubts = seats.doubts();
        let watch = || {
            seats.sit(core);
            watch(core, (args.seconds * 1e9) as u64, &clock)
        };
        let row = std::thread::scope(|scope| scope.spawn(watch).join());
        rows.extend(row.ok());
    }
    doubts.retain(|doubt| !doubt.starts_with("one core"));
    Ok(Report {
        outcome: "done",
        kind: "jitter",
        machine: Machine::here(clock.tsc_hz()),
        is_fifo,
        rows,
        notes: doubts,
    })
}

fn watch(core: usize, window_ns: u64, clock: &Clock) -> Core {
    let mut gaps = stats::histogram();
    let mut hiccups = Hiccups::default();
    let (mut switched, mut stolen) = (0, 0);
    let mut seen = Suffered::own();
    let (begin, mut last) = (tsc(), tsc());
    loop {
        let now = tsc();
        let gap = clock.cycles_to_ns(now.since(last));
        gaps.saturating_record(gap.max(1));
        last = now;
        if gap > LOOK_NS {
            hiccups.count += 1;
            hiccups.lost_ns += gap;
            hiccups.max_ns = hiccups.max_ns.max(gap);
            let here = Suffered::own();
            if here.since(seen).switches > 0 {
                switched += 1;
            } else {
                stolen += 1;
            }
            seen = here;
            // The look itself is not a gap.
            last = tsc();
        }
        let looked_ns = clock.cycles_to_ns(now.since(begin));
        if looked_ns >= window_ns {
            return Core {
                core,
                looked_ns,
                gaps: QUANTILES.map(|quantile| gaps.value_at_quantile(quantile)),
                max_ns: gaps.max(),
                lost: hiccups.lost_ns as f64 / looked_ns.max(1) as f64,
                switched,
                stolen,
                histogram: stats::encoded(&gaps),
            };
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.fmt(f)?;
        let fifo = if self.is_fifo {
            "SCHED_FIFO"
        } else {
            "no SCHED_FIFO"
        };
        writeln!(f, "gaps of a spinning thread, ns; {fifo}\n")?;
        writeln!(
            f,
            "{:<6}{:>6}{:>7}{:>8}{:>8}{:>9}{:>9}{:>9}{:>7}{:>10}",
            "core",
            "p50",
            "p99",
            "p99.9",
            "p99.99",
            "5 nines",
            "6 nines",
            "max",
            "lost",
            "switched"
        )?;
        for row in &self.rows {
            let [p50, p99, p999, p4, p5, p6] = row.gaps.map(short);
            let (max, lost) = (short(row.max_ns), 100.0 * row.lost);
            writeln!(
                f,
                "{:<6}{p50:>6}{p99:>7}{p999:>8}{p4:>8}{p5:>9}{p6:>9}{max:>9}{lost:>6.1}%{:>10}",
                row.core, row.switched
            )?;
            let seconds = row.looked_ns as f64 / 1e9;
            writeln!(
                f,
                "      {:.0} gaps a second over 10 us without a switch",
                row.stolen as f64 / seconds
            )?;
        }
        head::fmt_notes(f, &self.notes)?;
        write!(
            f,
            "\nlost: share of the time in gaps over 10 us. Method: bench/METHOD.md"
        )
    }
}

fn short(ns: u64) -> String {
    match ns {
        0..100_000 => ns.to_string(),
        100_000..10_000_000 => format!("{}us", ns / 1_000),
        _ => format!("{}ms", ns / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_watched_and_told_within_80_columns() {
        let args = Args {
            seconds: 0.05,
            cores: vec![0],
        };
        let report = run(&args).unwrap();
        let row = &report.rows[0];
        assert!(row.looked_ns >= 50_000_000 && row.max_ns >= row.gaps[0]);
        assert!(row.gaps.is_sorted());
        for line in report.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let missing = Args {
            seconds: 0.01,
            cores: vec![4_000],
        };
        assert!(run(&missing).is_err());
    }
}
