//! `tick-to-trade`: our path, its floors and its peers at three rates, and what the figures prove.
//!
//! ```text
//!   entrants ─▶ race ─▶ rows, ratios, stages ─▶ targets ─▶ report ─▶ text, page or JSON
//! ```

mod entrants;
mod report;
mod rows;
mod targets;
mod text;

use crate::host::Seats;
use crate::race::Race;
use crate::road::Mode;
use crate::venue::Load;
use anyhow::Context as _;
use dp_transport::Clock;
use std::path::PathBuf;

pub use entrants::{BOTH, FLOOR_TLS, OURS, PEER_PARKING, VETH};
pub use report::Report;
pub use rows::{Line, Ratio};

/// Where the peers' program is built.
const PEERS: &str = "bench/peers/target/release/spinlane-bench-peers";

/// Where clients meet the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// Ours, floors and peers over loopback.
    Loopback,
    /// Ours and floors over a veth, with and without the kernel.
    Veth,
}

/// What `tick-to-trade` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ticks a second, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 30_000],
          value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub rates: Vec<u64>,
    /// Rounds: each client once in each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Seconds a rate, client and round.
    #[arg(long, default_value_t = 0.8)]
    pub seconds: f64,
    /// Core of the client.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the venue.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
    /// The peers' program (`make bench` builds it).
    #[arg(long, default_value = PEERS)]
    pub peers: PathBuf,
    /// Between client and venue: loopback, a cable between two namespaces (needs root).
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Family::Loopback, Family::Veth])]
    pub family: Vec<Family>,
    /// How the ends of the cable are bypassed.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Mode::Native, Mode::Generic])]
    pub xdp_mode: Vec<Mode>,
    /// Only clients whose name has this text.
    #[arg(long)]
    pub only: Option<String>,
    /// Also write a page with percentile curves, time series and heat maps.
    #[arg(long)]
    pub html: Option<PathBuf>,
    /// Fail unless every target is proven by its whole interval.
    #[arg(long)]
    pub gate: bool,
}

impl Args {
    /// Whether `--only` lets it run.
    fn is_wanted(&self, name: &str) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| only.split(',').any(|part| name.contains(part)))
    }
}

/// Runs it. Errors: a client that does not do its part.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let mut notes = Vec::new();
    let program = std::env::current_exe()?;
    let mut who = Vec::new();
    if args.family.contains(&Family::Loopback) {
        who = entrants::over_loopback(&program, &args.peers, &mut notes);
    }
    if args.family.contains(&Family::Veth) {
        match tests_net::Namespace::new() {
            Ok(_) => who.extend(entrants::over_veth(&program, &args.xdp_mode)),
            Err(error) => notes.push(format!("no cable: no network namespaces here ({error})")),
        }
    }
    who.retain(|one| args.is_wanted(&one.name));
    let mut asked = Vec::new();
    if args.family.contains(&Family::Loopback) {
        asked.extend(entrants::LOOPBACK);
    }
    if args.family.contains(&Family::Veth) {
        asked.extend(entrants::veth_names(&args.xdp_mode));
    }
    asked.retain(|name| args.is_wanted(name));
    let loads: Vec<Load> = args
        .rates
        .iter()
        .map(|rate| Load::new(*rate, args.seconds))
        .collect();
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    notes.extend(seats.doubts());
    let measured = Race {
        entrants: &who,
        loads: &loads,
        rounds: args.rounds as usize,
        seats: &seats,
        clock,
        is_strict: false,
        on_step: &mut |round, name| eprintln!("round {}: {name}", round + 1),
    }
    .run()?;
    let report = Report::new(&measured, args, &asked, seats, &clock, notes);
    if let Some(path) = &args.html {
        let page = crate::html::page(&report, &measured)?;
        std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(report)
}
