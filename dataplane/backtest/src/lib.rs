//! Backtest: recordings through the venues' machines, the exact engine and paper exchanges, in virtual time.
//!
//! ```text
//!   recordings ─▶ Tape: one, by receive time ─▶ Readers: venue machines ─▶ dp_lane::Paper: engine, exchanges
//!                                                                             │ journal
//!                                        Report ◀─ Account, one a strategy ◀─ Ledger: orders, fills, digest
//! ```
//! What runs is what runs live: books, strategies, risk, orders and journal are the lane's own, with a shared memory of
//! their own that is gone afterwards. All venues are in one engine, whatever lanes the configuration parts them into.
//! There is no clock but the recordings' stamps and no chance but the seed's: the same recordings, configuration and
//! seed give the same orders and fills, which the report's `digest` proves.
//!
//! Floating point is only where nothing is booked: in ratios of the report.
#![forbid(unsafe_code)]

mod account;
mod curve;
mod latency;
mod ledger;
mod markout;
mod readers;
mod report;
mod run;
mod tape;
mod thin;

pub use report::{
    EquityPoint, FillPoint, InstrumentReport, Markout, Report, SCHEMA, Settings, StrategyReport,
    Total,
};
pub use run::{Options, run};
pub use tape::Source;

use dp_capture::CaptureError;
use dp_config::ConfigError;
use std::path::PathBuf;

/// Command line of a backtest.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The node's configuration file: venues, strategies, limits, `[paper]`.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Run this strategy alone, by its name or number; may be given several times. Default: all.
    #[arg(long = "strategy", value_name = "NAME")]
    pub strategies: Vec<String>,
    /// How long market data is on its way, microseconds; instead of paper.feed_us.
    #[arg(long, value_name = "US")]
    pub feed_us: Option<u64>,
    /// How long a request is on its way, microseconds; instead of paper.order_us.
    #[arg(long, value_name = "US")]
    pub order_us: Option<u64>,
    /// How long an answer is on its way back, microseconds; instead of paper.answer_us.
    #[arg(long, value_name = "US")]
    pub answer_us: Option<u64>,
    /// Delays as measured: what `spinlane latency --json` printed. Half of order_to_ack each way.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["order_us", "answer_us"])]
    pub latency: Option<PathBuf>,
    /// Who cancels before us: behind, proportional or squared; instead of paper.queue.
    #[arg(long, value_name = "MODEL")]
    pub queue: Option<String>,
    /// For delays that are drawn; instead of paper.seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Run the recordings so many times, one after the other.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub repeat: u32,
    /// Recordings: PATH, or VENUE=PATH where neither its directory nor its name begins with the venue's name.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// Why a backtest cannot run: a sentence with what, where and the mend.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A recording.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A recording without receive times.
    #[error("{0}: its messages have no receive times (ts); a backtest needs them")]
    NoTimes(String),
    /// The command line or the configuration asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// Temporary files or shared memory.
    #[error("the backtest's own memory: {0}")]
    Memory(String),
}

impl BacktestError {
    /// Whether the command line or the configuration is at fault.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Usage(_))
    }
}
