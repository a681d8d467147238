//! `compare`: two builds of this program, in turn, on one machine: which is faster, and is that proven?
//!
//! The bench venue, the timetable and the statistics are this build's; of the others only their clients run
//! (`client spinlane`, `in-process --ours`), whose command lines stay as they are for that.

use crate::host::{Hiccups, Seats};
use crate::race::{Entrant, Race};
use crate::stats::{Estimate, ROUNDS_MIN, median_ratio};
use crate::summary::{Fact, Pair, Summary, span};
use crate::venue::Load;
use anyhow::{Context as _, bail, ensure};
use dp_transport::Clock;
use std::path::{Path, PathBuf};

/// What `compare` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// One build of spinlane-bench.
    #[arg(long)]
    pub a: PathBuf,
    /// The other one.
    #[arg(long)]
    pub b: PathBuf,
    /// What they are compared by.
    #[arg(long, value_enum, default_value_t = What::TickToTrade)]
    pub what: What,
    /// Ticks a second.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000])]
    pub rates: Vec<u64>,
    /// Rounds: both once in each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub rounds: u32,
    /// Seconds a rate, build and round.
    #[arg(long, default_value_t = 0.8)]
    pub seconds: f64,
    /// Ticks of an in-process round.
    #[arg(long, default_value_t = 5_000)]
    pub ticks: u32,
    /// Core of the clients.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the venue.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
    /// Fail when b is slower beyond its interval.
    #[arg(long)]
    pub gate: bool,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Over sockets.
    TickToTrade,
    /// In memory.
    InProcess,
}

/// Runs it. Errors: a build that does not do its part.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    for path in [&args.a, &args.b] {
        ensure!(path.is_file(), "{} is not there", path.display());
    }
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    let mut summary = Summary::new("compare", clock.tsc_hz(), seats.clone(), Hiccups::default());
    match args.what {
        What::TickToTrade => over_sockets(args, &seats, clock, &mut summary)?,
        What::InProcess => in_memory(args, &seats, &mut summary)?,
    }
    let verdict = |pair| verdict(pair, args.rounds as usize);
    let verdicts: Vec<String> = summary.ratios.iter().map(verdict).collect();
    summary.notes.extend(verdicts);
    Ok(summary)
}

/// Errors, with `--gate`: b took longer, by the whole interval, or something was not compared: a ratio needs clean
/// windows of both.
pub fn check(summary: &Summary, args: &Args) -> anyhow::Result<()> {
    if !args.gate {
        return Ok(());
    }
    ensure!(
        args.rounds as usize >= ROUNDS_MIN,
        "not proven ({} rounds): an interval needs {ROUNDS_MIN}",
        args.rounds
    );
    let groups = match args.what {
        What::TickToTrade => args.rates.len(),
        // Paced and hot.
        What::InProcess => 2,
    };
    let has_interval = |pair: &&Pair| !pair.estimate.low.is_nan();
    let found = summary.ratios.iter().filter(has_interval).count();
    let wanted = 2 * groups;
    ensure!(found >= wanted, "{found} of {wanted} ratios were measured");
    let slower = summary.ratios.iter().filter(|pair| pair.estimate.low > 1.0);
    let slower: Vec<String> = slower
        .map(|pair| format!("{} {}", pair.group, pair.quantile))
        .collect();
    ensure!(slower.is_empty(), "b is slower: {}", slower.join("; "));
    Ok(())
}

fn verdict(pair: &Pair, rounds: usize) -> String {
    let Estimate { low, high, .. } = pair.estimate;
    let few = format!("not proven ({rounds} rounds)");
    let word = match () {
        () if rounds < ROUNDS_MIN => few.as_str(),
        () if low > 1.0 => "b is slower than a",
        () if high < 1.0 => "b is faster than a",
        () => "no difference is proven",
    };
    let (group, quantile) = (&pair.group, pair.quantile);
    format!(
        "{group}, {quantile}: {word} (b / a {})",
        span(&pair.estimate)
    )
}

fn over_sockets(
    args: &Args,
    seats: &Seats,
    clock: Clock,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let who = [("a", &args.a), ("b", &args.b)];
    let who = who.map(|(name, program)| Entrant::built_in(name, program, "spinlane"));
    let loads: Vec<Load> = args
        .rates
        .iter()
        .map(|rate| Load::new(*rate, args.seconds))
        .collect();
    let measured = Race {
        entrants: &who,
        loads: &loads,
        rounds: args.rounds as usize,
        seats,
        clock,
        is_strict: false,
        on_step: &mut |round, name| eprintln!("round {}: {name}", round + 1),
    }
    .run()?;
    for load in &loads {
        let here = measured.iter().filter(|one| one.load.rate == load.rate);
        let all: Vec<_> = here
            .map(|one| (one.name.clone(), one.samples.clone()))
            .collect();
        summary.add(&format!("{} ticks/s", load.rate), &all);
    }
    for one in &measured {
        summary.hiccups.add(&one.hiccups);
        let missing = one.asked - one.answered;
        let rounds = one.ends.len();
        ensure!(
            missing == 0 && rounds == 0,
            "{}: not measured: {missing} ticks unanswered, {rounds} rounds missed",
            one.name
        );
    }
    Ok(())
}

/// The clean medians and 99th percentiles of one in-process run: (group, p50, p99).
fn in_process_once(
    args: &Args,
    seats: &Seats,
    program: &Path,
) -> anyhow::Result<Vec<(String, [f64; 2])>> {
    let output = seats
        .client(program)
        .args(["in-process", "--ours", "--json", "--ticks"])
        .args([args.ticks.to_string(), "--core".to_owned()])
        .arg(args.client_core.to_string())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", program.display(), said.trim());
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let rows = json["rows"].as_array().context("no rows")?;
    let row = |row: &serde_json::Value| {
        let figures = &row["clean"];
        let value = |quantile: &str| figures[quantile]["value"].as_f64();
        let group = row["group"].as_str()?.to_owned();
        Some((group, [value("p50")?, value("p99")?]))
    };
    Ok(rows.iter().filter_map(row).collect())
}

fn in_memory(args: &Args, seats: &Seats, summary: &mut Summary) -> anyhow::Result<()> {
    /// Group, then per build and quantile one number a round.
    type Found = Vec<(String, [[Vec<f64>; 2]; 2])>;
    let mut found = Found::new();
    for round in 0..args.rounds {
        eprintln!("round {}", round + 1);
        // Who goes first alternates.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for build in order {
            let program = [&args.a, &args.b][build];
            for (group, figures) in in_process_once(args, seats, program)? {
                let at = found.iter().position(|(held, _)| *held == group);
                let at = at.unwrap_or_else(|| {
                    found.push((group, Default::default()));
                    found.len() - 1
                });
                for (quantile, value) in figures.into_iter().enumerate() {
                    found[at].1[build][quantile].push(value);
                }
            }
        }
    }
    for (group, [a, b]) in found {
        for (at, quantile) in [(0, "p50"), (1, "p99")] {
            ensure!(a[at].len() == b[at].len(), "a round without clean windows");
            summary.ratios.push(Pair {
                group: group.clone(),
                over: "b".to_owned(),
                under: "a".to_owned(),
                quantile,
                estimate: median_ratio(&b[at], &a[at], 3),
                better: "lower",
            });
            let middle = crate::stats::median(a[at].iter().copied());
            summary.facts.push(Fact {
                what: format!("{group}, {quantile}, median round of a, ns"),
                value: middle,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_means_by_the_whole_interval() {
        let seats = Seats::find(0, 0);
        let mut summary = Summary::new("compare", 1, seats, Hiccups::default());
        let pair = |low, high| Pair {
            group: "g".to_owned(),
            over: "b".to_owned(),
            under: "a".to_owned(),
            quantile: "p50",
            estimate: Estimate {
                value: f64::midpoint(low, high),
                low,
                high,
            },
            better: "lower",
        };
        let mut args = Args {
            a: PathBuf::new(),
            b: PathBuf::new(),
            what: What::TickToTrade,
            rates: vec![10_000],
            rounds: 8,
            seconds: 1.0,
            ticks: 500,
            client_core: 0,
            venue_core: 0,
            gate: true,
        };
        summary.ratios = vec![pair(0.98, 1.2); 2];
        assert!(check(&summary, &args).is_ok());
        assert!(verdict(&summary.ratios[0], 8).contains("no difference"));
        summary.ratios.pop();
        assert!(check(&summary, &args).is_err(), "one was not measured");
        summary.ratios = vec![pair(1.01, 1.2); 2];
        assert!(check(&summary, &args).is_err());
        args.gate = false;
        assert!(check(&summary, &args).is_ok());
        assert!(verdict(&pair(0.8, 0.9), 8).contains("faster"));
        assert!(verdict(&pair(0.8, 0.9), 7).contains("not proven (7 rounds)"));
        args = Args {
            gate: true,
            rounds: 7,
            ..args
        };
        summary.ratios = vec![pair(0.98, 1.2); 2];
        assert!(check(&summary, &args).is_err(), "too few rounds");
    }
}
