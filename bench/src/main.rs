//! `spinlane-bench`: what each stage of the path costs on this machine, with the floor, the hiccups and
//! the usual way of doing it measured in the same run.
//!
//! ```text
//!   data ─▶ scenario ─▶ Meter (each | batches) ─▶ Row ─▶ table (80 columns) or --json
//! ```
//!
//! It measures stages one at a time, caches warm, on distinct inputs in rotation; it does not measure
//! tick-to-trade, sockets or queueing, and it passes no verdict: numbers belong to the machine they came
//! from. No gates.
#![forbid(unsafe_code)]

mod data;
mod meter;
mod report;
mod scenario;
mod scratch;

use clap::Parser;
use meter::Meter;
use std::io::Write as _;
use std::path::PathBuf;

/// Per-stage costs of the Spinlane dataplane on this machine.
#[derive(Debug, Parser)]
#[command(name = "spinlane-bench", version)]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_values_t = [scenario::Kind::All])]
    scenarios: Vec<scenario::Kind>,
    /// One JSON object on stdout instead of the table.
    #[arg(long)]
    json: bool,
    /// Samples a row.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    samples: u32,
    /// Recorded messages to decode beside the synthetic ones; left out when it is not there.
    #[arg(long, default_value = "../shared/captures")]
    captures: PathBuf,
    /// Pin the measuring thread to this core.
    #[arg(long)]
    core: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(core) = args.core {
        dp_transport::pin(core)?;
    }
    let mut meter = Meter::new(args.samples as usize);
    for kind in scenario::order(&args.scenarios) {
        meter.sample_hiccups();
        scenario::run(kind, &mut meter, &args.captures)?;
    }
    meter.sample_hiccups();
    let report = report::Report::new(meter, cfg!(debug_assertions));
    let mut text = if args.json {
        serde_json::to_string_pretty(&report)?
    } else {
        report.to_string()
    };
    text.push('\n');
    match std::io::stdout().write_all(text.as_bytes()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
