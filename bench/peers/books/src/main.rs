//! Books and backtest loops side by side, in one process and one run: Spinlane's, hftbacktest's, NautilusTrader's.
//! Started by `spinlane-bench books`, which reads the JSON this prints and judges it.
//!
//! ```text
//!   recording ─▶ level changes, trades ─▶ each in the form its library takes (untimed)
//!     level     the same changes in the same order into each book, 64 a batch; and those of a made-up market, which keeps
//!               to prices near the touch
//!     message   the venue's texts, decoded and into the book
//!     backtest  the recording over and over, one market maker
//! ```
//! Fair means: one build with link-time optimisation, one core, the libraries in turn round by round and in another order
//! each round, and nobody is charged for making its own form of the input. That all books end a round with the same best
//! levels is checked in every round: nobody leaves out work.
#![forbid(unsafe_code)]

mod books;
mod loops;
mod made_up;
mod recording;
mod round;
mod texts;

use clap::Parser;
use recording::Recording;
use serde::Serialize;
use std::path::PathBuf;

/// Messages of a made-up market.
const MADE_UP_MESSAGES: u32 = 3_000;

/// Books and backtest loops beside ours.
#[derive(Debug, Parser)]
struct Args {
    /// A recording of Binance spot, one market; where it is not, one is made up from a fixed seed.
    #[arg(long)]
    recording: PathBuf,
    /// The node whose market maker is run.
    #[arg(long)]
    config: PathBuf,
    /// Rounds: everyone once in each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Times the recording is run by each backtest, in each of its rounds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,
    /// Rounds of the backtests: they take seconds each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    backtest_rounds: u32,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
struct Report {
    outcome: &'static str,
    kind: &'static str,
    source: String,
    levels: usize,
    messages: usize,
    trades: usize,
    /// Of the best levels every book ended with.
    digest: String,
    level: Vec<round::Row>,
    made_up: Vec<round::Row>,
    message: Vec<round::Row>,
    backtest: Vec<loops::Row>,
    notes: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let scratch = tempfile::tempdir()?;
    let made_up = scratch.path().join("made-up.jsonl");
    made_up::write(&made_up, MADE_UP_MESSAGES)?;
    let (path, source) = if args.recording.is_file() {
        (args.recording.clone(), args.recording.display().to_string())
    } else {
        let source = format!("made up, seed {}", made_up::SEED);
        (made_up.clone(), source)
    };
    let recording = Recording::read(&path)?;
    let mut notes = Vec::new();
    let (level, digest) = books::run(&recording, args.rounds, &mut notes)?;
    let (near, _) = books::run(&Recording::read(&made_up)?, args.rounds, &mut Vec::new())?;
    let (message, again) = texts::run(&recording, args.rounds)?;
    anyhow::ensure!(
        digest == again,
        "level by level the books end otherwise than message by message"
    );
    let backtest = loops::run(&recording, &args, &mut notes)?;
    let report = Report {
        outcome: "done",
        kind: "books",
        source,
        levels: recording.levels().count(),
        messages: recording.messages().count(),
        trades: recording.trades().count(),
        digest: format!("{digest:016x}"),
        level,
        made_up: near,
        message,
        backtest,
        notes,
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
