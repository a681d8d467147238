//! `instructions`: what a fixed workload costs in instructions, counted by callgrind: a gate noise cannot
//! move.
//!
//! ```text
//!   valgrind --tool=callgrind spinlane-bench workload NAME n      I(n)
//!   the same with 5 n                                             I(5n)     (I(5n) − I(n)) / 4n = one tick
//! ```
//! The difference takes start, calibration and come-up away. What is counted is the path of [`crate::hand`]:
//! the text's copy, machine, book, strategy, and for orders risk, OMS, journal, encode and both answers. Answers
//! of a venue are counted by themselves too, copy and machine alone: there a tick is one message.
//! No cache, no branch predictor, no kernel: it says what changed, not how fast it is. The counts belong to a
//! compiler and a profile, which stand in the file.

use crate::client::lane;
use crate::hand::{Hand, Signal};
use crate::head;
use crate::scenario::read_answers;
use crate::scratch::Scratch;
use anyhow::{Context as _, bail, ensure};
use core::fmt;
use dp_transport::Clock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The longer run is so many times as long.
const TIMES: u64 = 5;
/// Growth that fails, percent: histogram buckets and hash seeds move counts by far less.
const TOLERANCE: f64 = 1.0;

/// A fixed piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// A tick of 20 levels through machine, book and a strategy that watches.
    Tick,
    /// The same, answered by an order, which is acknowledged and expires.
    TickToOrder,
    /// One message of Binance that answers an order: acknowledgement, fill, cancel in turn.
    BinanceAnswer,
    /// The same of OKX.
    OkxAnswer,
}

impl Work {
    const ALL: [Self; 4] = [
        Self::Tick,
        Self::TickToOrder,
        Self::BinanceAnswer,
        Self::OkxAnswer,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::TickToOrder => "tick-to-order",
            Self::BinanceAnswer => "binance-answer",
            Self::OkxAnswer => "okx-answer",
        }
    }
}

/// What `workload` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct WorkArgs {
    /// Which.
    #[arg(value_enum)]
    work: Work,
    /// How many ticks.
    ticks: u64,
}

/// What `instructions` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The committed counts.
    #[arg(long, default_value = "bench/baselines/instructions.json")]
    pub baseline: PathBuf,
    /// Ticks of the shorter run.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub ticks: u64,
    /// Write what was counted as the new baseline.
    #[arg(long)]
    pub save: bool,
    /// Fail on growth beyond 1 %, and when valgrind is missing.
    #[arg(long)]
    pub gate: bool,
}

/// Does the work, and nothing else. Errors: it did not do all of it.
pub fn work(args: &WorkArgs) -> anyhow::Result<()> {
    match args.work {
        Work::Tick | Work::TickToOrder => {}
        Work::BinanceAnswer => return read_answers(false, args.ticks),
        Work::OkxAnswer => return read_answers(true, args.ticks),
    }
    let scratch = Scratch::new(&lane::shape())?;
    let clock = Clock::calibrate(1);
    let is_order = args.work == Work::TickToOrder;
    let mut hand = Hand::new(&scratch.region, clock, || {
        if is_order {
            Box::new(lane::Answer { every: 1 })
        } else {
            Box::new(Signal::default())
        }
    })?;
    let mut orders = 0;
    for _ in 0..args.ticks {
        hand.load_tick();
        hand.tick();
        if is_order {
            orders += hand.answer();
        } else {
            hand.drain();
        }
    }
    let wanted = if is_order { args.ticks } else { 0 };
    ensure!(
        orders == wanted && hand.faults == 0,
        "{orders} orders for {wanted} ticks"
    );
    Ok(())
}

/// Counts kept in the repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The compiler.
    pub rustc: String,
    /// How it was built: `release`.
    #[serde(default = "unknown")]
    pub profile: String,
    /// Instructions a tick, by workload.
    pub instructions: BTreeMap<String, f64>,
}

fn unknown() -> String {
    "an unknown profile".to_owned()
}

/// One workload.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Which.
    pub workload: String,
    /// Instructions a tick.
    pub instructions: f64,
    /// The baseline's.
    pub baseline: Option<f64>,
    /// Growth over it, percent.
    pub growth: Option<f64>,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    outcome: &'static str,
    kind: &'static str,
    is_debug: bool,
    rows: Vec<Row>,
    /// Why the counts cannot be set beside the baseline's.
    why: Option<String>,
    notes: Vec<String>,
}

/// Runs it. Errors: a debug build, a workload that fails; with `--gate` no valgrind.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report {
        outcome: "done",
        kind: "instructions",
        is_debug: cfg!(debug_assertions),
        rows: Vec::new(),
        why: None,
        notes: Vec::new(),
    };
    ensure!(
        !report.is_debug,
        "a debug build's instructions are neither compared nor kept: cargo build --release"
    );
    if Command::new("valgrind").arg("--version").output().is_err() {
        report.outcome = "skipped";
        let note = "SKIPPED: valgrind is not installed (apt-get install valgrind)";
        report.notes.push(note.to_owned());
        ensure!(!args.gate, "valgrind is not installed");
        return Ok(report);
    }
    let held = read(args)?;
    let mut now = Baseline {
        rustc: version(),
        profile: "release".to_owned(),
        instructions: BTreeMap::new(),
    };
    for work in Work::ALL {
        let [short, long] = [args.ticks, args.ticks * TIMES].map(|ticks| count(work, ticks));
        let each = (long? - short?) as f64 / (args.ticks * (TIMES - 1)) as f64;
        let rounded = (each * 10.0).round() / 10.0;
        now.instructions.insert(work.name().to_owned(), rounded);
    }
    (report.rows, report.why) = compare(held.as_ref(), &now);
    report.notes.extend(report.why.clone());
    if args.save {
        let text = serde_json::to_string_pretty(&now)? + "\n";
        if let Some(folder) = args.baseline.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&args.baseline, text)
            .with_context(|| format!("writing {}", args.baseline.display()))?;
    }
    Ok(report)
}

/// What was counted beside what is held, and why the two cannot be compared, where they cannot: another compiler or
/// profile makes other instructions of the same source.
fn compare(held: Option<&Baseline>, now: &Baseline) -> (Vec<Row>, Option<String>) {
    let why = match held {
        None => Some("no baseline yet: --save makes one".to_owned()),
        Some(held) if (&held.rustc, &held.profile) != (&now.rustc, &now.profile) => Some(format!(
            "not compared: the baseline is of {}, {}; this is {}, {}: save it anew",
            held.rustc, held.profile, now.rustc, now.profile
        )),
        Some(_) => None,
    };
    let rows = now.instructions.iter().map(|(workload, &instructions)| {
        let baseline = held.and_then(|held| held.instructions.get(workload).copied());
        let comparable = baseline.filter(|_| why.is_none());
        Row {
            workload: workload.clone(),
            instructions,
            baseline,
            growth: comparable.map(|held| 100.0 * (instructions / held - 1.0)),
        }
    });
    (rows.collect(), why)
}

impl Report {
    /// Errors, when `is_gate`: a workload that grew beyond the tolerance, or counts that cannot be compared.
    pub fn check(&self, is_gate: bool) -> anyhow::Result<()> {
        if let Some(why) = self.why.as_ref().filter(|_| is_gate) {
            bail!("{why}");
        }
        let grown = |row: &&Row| row.growth.is_none_or(|growth| growth > TOLERANCE);
        let grown: Vec<&str> = self
            .rows
            .iter()
            .filter(grown)
            .map(|row| row.workload.as_str())
            .collect();
        ensure!(
            !is_gate || grown.is_empty(),
            "more than {TOLERANCE} % over the baseline, or none: {}",
            grown.join(", ")
        );
        Ok(())
    }
}

fn read(args: &Args) -> anyhow::Result<Option<Baseline>> {
    let Ok(text) = std::fs::read_to_string(&args.baseline) else {
        return Ok(None);
    };
    let held = serde_json::from_str(&text);
    held.map(Some)
        .with_context(|| format!("{}: not counts of ours", args.baseline.display()))
}

fn version() -> String {
    let said = Command::new("rustc").arg("--version").output();
    said.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |said| String::from_utf8_lossy(&said.stdout).trim().to_owned(),
    )
}

/// Instructions of a whole run under callgrind.
fn count(work: Work, ticks: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["workload", work.name(), &ticks.to_string()])
        .output()
        .context("starting valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} under callgrind: {said}", work.name());
    }
    collected(&said).with_context(|| format!("callgrind told no count: {said}"))
}

/// The number behind `Collected :` in callgrind's last words.
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head::fmt_build(f, self.is_debug)?;
        writeln!(
            f,
            "{:<30}{:>16}{:>16}{:>12}",
            "instructions a tick", "now", "baseline", "growth"
        )?;
        for row in &self.rows {
            let Row {
                workload,
                instructions,
                ..
            } = row;
            let held = row
                .baseline
                .map_or("-".to_owned(), |held| format!("{held:.1}"));
            let growth = row
                .growth
                .map_or("-".to_owned(), |growth| format!("{growth:+.2} %"));
            writeln!(
                f,
                "{workload:<30}{instructions:>16.1}{held:>16}{growth:>12}"
            )?;
        }
        head::fmt_notes(f, &self.notes)?;
        write!(f, "\nCounted by callgrind. Method: bench/METHOD.md")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_last_words_are_read() {
        let said = "==1== Events    : Ir\n==1== Collected : 123456789\n==1==";
        assert_eq!(collected(said), Some(123_456_789));
        assert_eq!(collected("==1== no"), None);
    }

    fn counts(rustc: &str, profile: &str, by: f64) -> Baseline {
        let count = |work: Work| (work.name().to_owned(), 10_000.0 * by);
        Baseline {
            rustc: rustc.to_owned(),
            profile: profile.to_owned(),
            instructions: Work::ALL.map(count).into(),
        }
    }

    fn report(held: Option<&Baseline>, now: &Baseline) -> Report {
        let (rows, why) = compare(held, now);
        Report {
            outcome: "done",
            kind: "instructions",
            is_debug: false,
            rows,
            why,
            notes: Vec::new(),
        }
    }

    #[test]
    fn two_percent_more_than_the_baseline_fail_a_gate_and_nothing_else() {
        let now = |by| counts("rustc 1", "release", by);
        let held = now(1.0);
        let check = |by, is_gate| report(Some(&held), &now(by)).check(is_gate);
        let error = check(1.02, true).unwrap_err().to_string();
        assert!(error.ends_with("tick, tick-to-order"), "{error}");
        assert!(check(1.02, false).is_ok());
        assert!(check(1.009, true).is_ok() && check(0.7, true).is_ok());
        let mut one = now(1.0);
        one.instructions.insert("tick".to_owned(), 10_200.0);
        let error = report(Some(&held), &one).check(true).unwrap_err();
        assert!(error.to_string().ends_with(": tick"), "{error}");
        let mut less = held.clone();
        less.instructions.remove("tick");
        let report = report(Some(&less), &now(1.0));
        assert!(report.check(true).is_err(), "not held proves nothing");
    }

    #[test]
    fn another_compiler_or_profile_is_said_and_not_compared() {
        let now = counts("rustc 2", "release", 1.5);
        for held in [
            None,
            Some(counts("rustc 1", "release", 1.0)),
            Some(counts("rustc 2", "an unknown profile", 1.0)),
        ] {
            let report = report(held.as_ref(), &now);
            assert!(report.rows.iter().all(|row| row.growth.is_none()));
            assert!(report.check(false).is_ok());
            let error = report.check(true).unwrap_err().to_string();
            assert_eq!(Some(error), report.why);
        }
        // A file of before there was a profile in it.
        let old = r#"{"rustc": "rustc 2", "instructions": {"tick": 1.0}}"#;
        let old: Baseline = serde_json::from_str(old).unwrap();
        assert!(compare(Some(&old), &now).1.is_some());
    }

    #[test]
    fn the_workloads_do_their_work() {
        for work_kind in Work::ALL {
            work(&WorkArgs {
                work: work_kind,
                ticks: 300,
            })
            .unwrap();
        }
    }
}
