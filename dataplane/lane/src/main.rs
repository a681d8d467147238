//! `spinlane-dataplane`: starts the lanes of one node and waits for the word to stop.
#![forbid(unsafe_code)]

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The trading process of one node. It needs no control plane to run: prices in, orders out, everything
/// it does published in shared memory.
#[derive(Parser)]
#[command(name = "spinlane-dataplane", version)]
struct Cli {
    /// The node's configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration, say what would run, and exit.
    #[arg(long)]
    check: bool,
    /// End when the process that started this one ends (for demos and tests).
    #[arg(long)]
    die_with_parent: bool,
}

/// Exit code for a bad command line or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SPINLANE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    if cli.die_with_parent {
        let signal = nix::sys::signal::Signal::SIGTERM;
        if let Err(error) = nix::sys::prctl::set_pdeathsig(signal) {
            tracing::warn!(%error, "cannot follow the parent's end");
        }
    }
    let config = match dp_config::Config::load(&cli.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    if cli.check {
        for (index, lane) in config.lane.iter().enumerate() {
            println!(
                "lane {index}: {} of {} core {:?} {:?}",
                lane.roles_text(),
                config.venues_of(index).join(" "),
                lane.core,
                lane.idle
            );
        }
        return ExitCode::SUCCESS;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            eprintln!("error: cannot listen for signals: {error}");
            return ExitCode::FAILURE;
        }
    }
    match dp_lane::node::run(&config, &stop) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the dataplane ends");
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
