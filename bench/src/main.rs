//! `spinlane-bench`: what the dataplane costs on this machine, with the floor, the hiccups and the usual way
//! of doing it measured in the same run.
//!
//! ```text
//!   stages         data ─▶ scenario ─▶ Meter (each | batches) ─▶ Row ─▶ table or --json
//!   tick-to-trade  venue ⇄ client processes in turn (race) ─▶ samples ─▶ bootstrap ─▶ verdicts
//! ```
//! Absolute times belong to the machine they came from and gate nothing; ratios of one run do, by their
//! intervals. How everything is measured, and what it cannot show: `bench/METHOD.md`.
#![forbid(unsafe_code)]

mod answers;
mod baseline;
mod books;
mod client;
mod compare;
mod data;
mod decoders;
mod facing;
mod hand;
mod head;
mod host;
mod html;
mod in_process;
mod instructions;
mod jitter;
mod meter;
#[path = "../peers/src/app.rs"]
mod naive;
mod race;
mod replay;
mod report;
mod road;
mod scenario;
mod scratch;
mod stats;
mod summary;
mod t2t;
mod target;
mod throughput;
mod transport;
mod venue;
mod watched;

use clap::Parser;
use meter::Meter;
use std::io::Write as _;
use std::path::PathBuf;

/// What the Spinlane dataplane costs on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "spinlane-bench",
    version,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    stages: Stages,
    /// One JSON object on stdout instead of the table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// From a tick's scheduled time at the venue to its order there: ours, floors, peers.
    TickToTrade(t2t::Args),
    /// From a tick's TLS record to its order's, in memory: ours beside the usual stack.
    InProcess(in_process::Args),
    /// Round trips of each transport beside a bare recv spin.
    Transport(transport::Args),
    /// Gaps of a spinning thread: interrupts, neighbours, the hypervisor.
    Jitter(jitter::Args),
    /// Events a second from memory, and through sockets for a while.
    Throughput(throughput::Args),
    /// What each venue's decoder costs, beside the documents people usually make of the same messages.
    Decoders(decoders::Args),
    /// Our book, its messages and our backtest beside hftbacktest's and NautilusTrader's.
    Books(books::Args),
    /// Recorded messages through a machine at their speed, a multiple, or a rate.
    Replay(replay::Args),
    /// Instructions of fixed workloads, counted by callgrind, against a committed count.
    Instructions(instructions::Args),
    /// Two builds of this program in turn.
    Compare(compare::Args),
    /// Runs that are kept, and later ones compared with them.
    Baseline {
        #[command(subcommand)]
        verb: baseline::Verb,
    },
    /// A fixed piece of work; what `instructions` counts.
    #[command(hide = true)]
    Workload(instructions::WorkArgs),
    /// A client of the bench venue; started by the others.
    #[command(hide = true)]
    Client(client::Args),
}

/// Costs of single stages.
#[derive(Debug, clap::Args)]
struct Stages {
    /// What to measure.
    #[arg(value_enum, default_values_t = [scenario::Kind::All])]
    scenarios: Vec<scenario::Kind>,
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
    let cli = Cli::parse();
    // Clients and counted work run inside somebody else's measurement.
    let is_measuring = !matches!(
        cli.verb,
        Some(Verb::Client(_) | Verb::Workload(_) | Verb::Baseline { .. } | Verb::Instructions(_))
    );
    let _alone = is_measuring.then(host::Alone::wait).transpose()?;
    match &cli.verb {
        None => show(&stages(&cli.stages)?, cli.json),
        Some(Verb::TickToTrade(args)) => {
            let report = t2t::run(args)?;
            show(&report, cli.json)?;
            report.check(args.gate)
        }
        Some(Verb::InProcess(args)) => {
            let summary = in_process::run(args)?;
            show(&summary, cli.json)?;
            summary.check(args.gate)
        }
        Some(Verb::Transport(args)) => show(&transport::run(args)?, cli.json),
        Some(Verb::Jitter(args)) => show(&jitter::run(args)?, cli.json),
        Some(Verb::Throughput(args)) => {
            let summary = throughput::run(args)?;
            show(&summary, cli.json)?;
            summary.check(args.gate)
        }
        Some(Verb::Decoders(args)) => show(&decoders::run(args)?, cli.json),
        Some(Verb::Books(args)) => show(&books::run(args)?, cli.json),
        Some(Verb::Replay(args)) => show(&replay::run(args)?, cli.json),
        Some(Verb::Instructions(args)) => {
            let report = instructions::run(args)?;
            show(&report, cli.json)?;
            report.check(args.gate)
        }
        Some(Verb::Compare(args)) => {
            let summary = compare::run(args)?;
            show(&summary, cli.json)?;
            compare::check(&summary, args)
        }
        Some(Verb::Baseline { verb }) => match baseline::run(verb)? {
            Some(report) => {
                show(&report, cli.json)?;
                report.check()
            }
            None => Ok(()),
        },
        Some(Verb::Workload(args)) => instructions::work(args),
        Some(Verb::Client(args)) => client::run(args),
    }
}

fn stages(args: &Stages) -> anyhow::Result<report::Report> {
    if let Some(core) = args.core {
        dp_transport::pin(core)?;
    }
    let mut meter = Meter::new(args.samples as usize);
    for kind in scenario::order(&args.scenarios) {
        meter.sample_hiccups();
        scenario::run(kind, &mut meter, &args.captures)?;
    }
    meter.sample_hiccups();
    Ok(report::Report::new(meter, cfg!(debug_assertions)))
}

/// Writes a report to stdout.
fn show(
    report: &(impl serde::Serialize + core::fmt::Display),
    is_json: bool,
) -> anyhow::Result<()> {
    let mut text = if is_json {
        serde_json::to_string_pretty(report)?
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
