//! The dataplane process: starts the lanes of one node and waits for the word to stop. Of the shipped binary and of one
//! with strategies of your own alike.
#![forbid(unsafe_code)]

mod record;
mod replay;

use clap::Parser;
use dp_strategy::Kind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The trading process of one node. It needs no control plane to run: prices in, orders out, everything
/// it does published in shared memory.
#[derive(Parser)]
#[command(
    name = "spinlane-dataplane",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    /// Something else than to trade.
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The node's configuration file.
    #[arg(long, required = true)]
    config: Option<PathBuf>,
    /// Check the configuration, say what would run, and exit.
    #[arg(long)]
    check: bool,
    /// Undo what a run that crashed has left on this host (reserved ports, settings of a card), and exit.
    #[arg(long)]
    mend: bool,
    /// End when the process that started this one ends (for demos and tests).
    #[arg(long)]
    die_with_parent: bool,
}

/// What the program does beside trading.
#[derive(clap::Subcommand)]
enum Verb {
    /// Run recordings through the engine and paper exchanges; prints one JSON document.
    Backtest(dp_backtest::Args),
    /// Record the venues' market data into capture files, without trading; keys are read for prices alone.
    Record(record::Args),
    /// Play recordings of what engines were told (node.inputs_dir) again, and prove that the same comes out.
    Replay(replay::Args),
}

/// Exit code for a bad command line or configuration.
const USAGE: u8 = 2;

/// Log lines that wait for their thread; more are dropped and counted: a lane never waits for a terminal.
const LOG_LINES_MAX: usize = 16 << 10;

/// Runs the process with strategies of these kinds: [`dp_strategy::SHIPPED`], and yours beside them.
///
/// ```no_run
/// # use dp_strategy::Kind;
/// # const MINE: Kind = dp_strategy::MarketMaker::KIND;
/// fn main() -> std::process::ExitCode {
///     let kinds = [&dp_strategy::SHIPPED[..], &[MINE]].concat();
///     dp_app::main(&kinds)
/// }
/// ```
pub fn main(kinds: &[Kind]) -> ExitCode {
    let cli = Cli::parse();
    dp_lane::abort_on_others();
    let words = if cli.verb.is_some() { "warn" } else { "info" };
    // Lanes speak rarely, but their words must not wait for whoever reads the standard error.
    let (writer, log) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(LOG_LINES_MAX)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SPINLANE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(words)),
        )
        .with_writer(writer)
        .with_ansi(false)
        .init();
    if cli.die_with_parent {
        let signal = nix::sys::signal::Signal::SIGTERM;
        if let Err(error) = nix::sys::prctl::set_pdeathsig(signal) {
            tracing::warn!(%error, "cannot follow the parent's end");
        }
    }
    match &cli.verb {
        Some(Verb::Backtest(args)) => return backtest(args, kinds),
        Some(Verb::Record(args)) => return recording(args),
        Some(Verb::Replay(args)) => return replay::run(args, kinds),
        None => {}
    }
    let config = match dp_config::Config::load(&cli.config.unwrap_or_default()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    if cli.check {
        let checked = dp_lane::node::check(&config, kinds);
        if let Err(error) = checked.and_then(|()| dp_lane::budget::check(&config)) {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
        for (index, lane) in config.lane.iter().enumerate() {
            println!(
                "lane {index}: {} of {} core {:?} {:?} {}",
                lane.roles_text(),
                config.venues_of(index).join(" "),
                lane.core,
                lane.idle,
                transport(&config, lane)
            );
            for budget in dp_lane::budget::texts(&config, index) {
                println!("  {budget}");
            }
        }
        return ExitCode::SUCCESS;
    }
    if cli.mend {
        return mend(&config);
    }
    let stop = match stop_word() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("error: cannot listen for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = dp_lane::node::run(&config, kinds, &stop);
    if let Err(error) = &outcome {
        tracing::error!(%error, "the dataplane ends");
    }
    // Waits for the lines that were not written yet.
    drop(log);
    let dropped = dropped.dropped_lines();
    if dropped > 0 {
        eprintln!("{dropped} log lines were dropped: whoever reads them was too slow");
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Set by the signals that ask to end.
fn stop_word() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Records, and says what.
fn recording(args: &record::Args) -> ExitCode {
    let recorded = stop_word().map_err(|error| format!("cannot listen for signals: {error}"));
    match recorded.and_then(|stop| record::run(args, &stop)) {
        Ok(report) if args.json => println!("{report}"),
        Ok(report) => print!("{}", record::text(&report)),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Prints the report.
fn backtest(args: &dp_backtest::Args, kinds: &[Kind]) -> ExitCode {
    let report = dp_backtest::Options::of(args).and_then(|it| dp_backtest::run(&it, kinds));
    match report {
        Ok(report) => match serde_json::to_writer(std::io::stdout().lock(), &report) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: the report cannot be written: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_usage() { USAGE } else { 1 })
        }
    }
}

/// A lane's transport, for `--check`.
fn transport(config: &dp_config::Config, lane: &dp_config::Lane) -> String {
    let way = dp_lane::way::chosen(lane).name();
    match lane.card() {
        None => way.to_owned(),
        Some(card) => format!(
            "{way} ({} queue {}, mode {}, ports {})",
            card.nic,
            card.queue,
            card.mode.name(),
            config.node.ports
        ),
    }
}

/// Says what was undone, one change a line.
fn mend(config: &dp_config::Config) -> ExitCode {
    match dp_lane::way::mend(config) {
        Ok(changes) => {
            for change in changes {
                println!("undone: {change}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
