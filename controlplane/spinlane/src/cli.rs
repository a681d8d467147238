//! The command line: the only source of help, man pages and completions.

use crate::replay::ReplayArgs;
use crate::venue_tools::VenueArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Spinlane: trades crypto from a colocation cage, and tells the truth about it.
///
/// Exit codes: 0 done, 1 failed, 2 usage or configuration. Data goes to stdout, talk to stderr.
#[derive(Debug, Parser)]
#[command(
    name = "spinlane",
    version,
    max_term_width = 100,
    propagate_version = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Which node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Print JSON with stable field names instead of text.
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,
}

/// Which node a command speaks of: one of the three, or none where this machine has just one.
#[derive(Debug, Clone, Default, Args)]
pub struct NodeArgs {
    /// The node's configuration file.
    #[arg(long, global = true, value_name = "FILE", display_order = 101)]
    pub config: Option<PathBuf>,
    /// The node's name: its shared memory is /dev/shm/spinlane-NAME.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        conflicts_with = "config",
        display_order = 102
    )]
    pub node: Option<String>,
    /// The node's shared-memory file.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        conflicts_with_all = ["config", "node"],
        display_order = 103
    )]
    pub shm: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trade against simulated venues on this machine, then show what it took.
    Demo(DemoArgs),
    /// Run the control plane of a node: keeps history, in PostgreSQL.
    Run(RunArgs),
    /// Run recorded messages of a venue through the live decode and book code.
    Replay(ReplayArgs),
    /// Run recordings through the engine, its strategies and paper exchanges; needs --config.
    Backtest(BacktestArgs),
    /// Record the venues' market data into capture files, without trading; keys are read for prices alone; needs --config.
    Record(RecordArgs),
    /// A venue's formats and signatures.
    #[command(subcommand)]
    Venue(VenueCommand),
    /// How the node stands: processes, links, books, kill switch.
    Status,
    /// Whether each lane turns, where it hangs, what it costs the kernel; exit 1 when one is stuck.
    Lanes,
    /// What the node asked of its machine and what it found; exit 1 when something fatal is missing.
    Doctor,
    /// Orders, from shared memory or the database.
    Orders(OrdersArgs),
    /// What each market was like of late: last minute's bar, VWAP, spread, depth.
    Market,
    /// Positions and P&L, from shared memory; of each strategy too.
    Positions,
    /// What one has of each asset: by each venue's word, and by our fills.
    Balances,
    /// Strategies: where each stands, what it is set to, its last fault.
    Strategies(StrategiesArgs),
    /// Start, pause, resume, stop or set one strategy; write out a project for one of your own.
    #[command(subcommand)]
    Strategy(StrategyCommand),
    /// What is used of each limit, and what is halted.
    Risk,
    /// The limits in force; `limits set` puts others in force until the next start.
    Limits(LimitsArgs),
    /// What every position made, by average cost and first in, first out, from the database; needs --config.
    Pnl(PnlArgs),
    /// Compare orders and positions with a venue's now.
    Reconcile(ReconcileArgs),
    /// Where the time goes, stage by stage.
    Latency(LatencyArgs),
    /// Send nothing new and cancel what is open, until `resume`; ends with the dataplane's run.
    Pause(PauseArgs),
    /// Send again after a pause; of a VENUE, or its SYMBOL: after a watch has halted it.
    Resume(ResumeArgs),
    /// Stop trading now: nothing new is sent and every open order is cancelled.
    Kill(KillArgs),
    /// Allow trading again after a kill.
    Arm(ArmArgs),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How long to trade.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Plain lines, even on a terminal.
    #[arg(long)]
    pub headless: bool,
    /// Directory for state, logs and the report; made where it is missing. Default: a new one under /tmp.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `backtest`. But for the first two they are the trading program's own.
#[derive(Debug, Clone, Args)]
pub struct BacktestArgs {
    /// Also write a report with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The trading program, where it is one with strategies of your own. Default: the shipped one.
    #[arg(long, value_name = "PATH")]
    pub dataplane: Option<PathBuf>,
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
    #[arg(long, value_name = "N")]
    pub repeat: Option<u32>,
    /// Recordings: PATH, or VENUE=PATH where neither its directory nor its name begins with the venue's name.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

impl BacktestArgs {
    /// The trading program's part of them, as words.
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                words.extend([name.into(), value]);
            }
        };
        for name in &self.strategies {
            flag("--strategy", Some(name.into()));
        }
        let number = |value: Option<u64>| value.map(|value| value.to_string().into());
        flag("--feed-us", number(self.feed_us));
        flag("--order-us", number(self.order_us));
        flag("--answer-us", number(self.answer_us));
        flag("--latency", self.latency.as_ref().map(Into::into));
        flag("--queue", self.queue.as_ref().map(Into::into));
        flag("--seed", number(self.seed));
        flag("--repeat", number(self.repeat.map(u64::from)));
        words.push("--".into());
        words.extend(self.files.iter().map(Into::into));
        words
    }
}

/// `record`.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    /// Directory of the recordings, one a venue; made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How long; without, until Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub seconds: Option<u64>,
}

/// Which half of a pair this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Trades.
    Primary,
    /// Waits.
    Standby,
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Which half of a pair this node is. In this release there is no pair: only `primary` runs.
    #[arg(long, value_enum, default_value_t = Role::Primary)]
    pub role: Role,
    /// End when the process that started this one ends (for demos and tests).
    #[arg(long)]
    pub die_with_parent: bool,
}

/// `venue`.
#[derive(Debug, Subcommand)]
pub enum VenueCommand {
    /// List the venues of this build and what each can do.
    List,
    /// Decode messages, one a line on stdin, to one line of normalised events each.
    Decode(VenueArgs),
    /// List the reasons for which `decode` ignores a message.
    Reasons,
    /// Sign a request given as JSON on stdin.
    Sign(VenueArgs),
}

/// `orders`.
#[derive(Debug, Clone, Args)]
pub struct OrdersArgs {
    /// All that are remembered, not only those that are open.
    #[arg(long)]
    pub all: bool,
    /// Read the database (all of history) instead of shared memory; needs --config.
    #[arg(long)]
    pub db: bool,
    /// At most so many, the newest.
    #[arg(long, default_value_t = 1_000)]
    pub limit: usize,
}

/// `latency`.
#[derive(Debug, Clone, Args)]
pub struct LatencyArgs {
    /// Also write a report with percentile plots to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `limits`.
#[derive(Debug, Clone, Args)]
pub struct LimitsArgs {
    /// What to do; nothing: show them.
    #[command(subcommand)]
    pub command: Option<LimitsCommand>,
}

/// What can be done with limits.
#[derive(Debug, Clone, Subcommand)]
pub enum LimitsCommand {
    /// Put limits in force until the next start; what is not named stays.
    Set(Box<LimitsSetArgs>),
}

/// `limits set`. Amounts are in the reporting currency; 0 takes an amount or a watch away.
#[derive(Debug, Clone, Args)]
pub struct LimitsSetArgs {
    /// Who answers for it, for the record.
    #[arg(long)]
    pub by: String,
    /// The venue, where several have the symbol.
    #[arg(long, requires = "symbol")]
    pub venue: Option<String>,
    /// The instrument the two below are of.
    #[arg(long)]
    pub symbol: Option<String>,
    /// Largest order; 0 = it cannot trade.
    #[arg(long, requires = "symbol")]
    pub order_qty_max: Option<String>,
    /// Largest position, working orders included.
    #[arg(long, requires = "symbol")]
    pub position_max: Option<String>,
    /// Furthest an order price may be from the mid, basis points.
    #[arg(long)]
    pub collar_bps: Option<u32>,
    /// New orders and amends a second, per lane.
    #[arg(long)]
    pub orders_per_s_max: Option<u32>,
    /// Oldest book that may be traded on, milliseconds.
    #[arg(long)]
    pub book_age_ms_max: Option<u32>,
    /// Largest share of refusals among a venue's last 64 answers, percent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub reject_pct_max: Option<u32>,
    /// Furthest a mid may move within --move-ms, basis points.
    #[arg(long)]
    pub move_bps_max: Option<u32>,
    /// Within how long, milliseconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=86_400_000))]
    pub move_ms: Option<u32>,
    /// Largest loss since midnight UTC.
    #[arg(long)]
    pub day_loss_max: Option<String>,
    /// Largest fall from the highest equity.
    #[arg(long)]
    pub drawdown_max: Option<String>,
    /// Largest worth of one order.
    #[arg(long)]
    pub order_value_max: Option<String>,
    /// Largest gross exposure.
    #[arg(long)]
    pub exposure_max: Option<String>,
    /// The currency the one below is of.
    #[arg(long, requires = "currency_exposure_max")]
    pub currency: Option<String>,
    /// Largest exposure in one currency over all venues.
    #[arg(long, requires = "currency")]
    pub currency_exposure_max: Option<String>,
}

/// `reconcile`.
#[derive(Debug, Clone, Args)]
pub struct ReconcileArgs {
    /// Which venue.
    pub venue: String,
    /// Who, for the record. Default: the user running this.
    #[arg(long)]
    pub by: Option<String>,
    /// Longest wait for the comparison, seconds.
    #[arg(long, default_value_t = 10)]
    pub wait_s: u64,
}

/// `resume`.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// A halted venue; absent = the lanes, after a pause.
    #[arg(requires = "by")]
    pub venue: Option<String>,
    /// A halted instrument of that venue.
    pub symbol: Option<String>,
    /// Who, for the record. Default after a pause: the user running this; a halt needs a name.
    #[arg(long)]
    pub by: Option<String>,
    /// Longest wait for the lanes to say so, seconds.
    #[arg(long, default_value_t = 5)]
    pub wait_s: u64,
}

/// `pause`.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// Who, for the record. Default: the user running this.
    #[arg(long)]
    pub by: Option<String>,
    /// Longest wait for the lanes to say so, seconds.
    #[arg(long, default_value_t = 5)]
    pub wait_s: u64,
}

/// `pnl`.
#[derive(Debug, Clone, Args)]
pub struct PnlArgs {
    /// Of one strategy alone, by its number in the configuration's order.
    #[arg(long)]
    pub strategy: Option<u16>,
}

/// `strategies`.
#[derive(Debug, Clone, Args)]
pub struct StrategiesArgs {
    /// The kinds of this build instead, and what each can be set to.
    #[arg(long)]
    pub kinds: bool,
    /// How each did, day by day, from the database: P&L, drawdown, Sharpe ratio, fill rate; needs --config.
    #[arg(long, conflicts_with = "kinds")]
    pub performance: bool,
    /// With --performance: the newest so many UTC days of each.
    #[arg(long, default_value_t = 1, requires = "performance", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub days: u32,
}

/// `strategy`.
#[derive(Debug, Subcommand)]
pub enum StrategyCommand {
    /// Let it act: one that was loaded, stopped, or has failed.
    Start(StrategyArgs),
    /// Pull its quotes; it goes on hearing the market.
    Pause(StrategyArgs),
    /// Let it act again after a pause.
    Resume(StrategyArgs),
    /// Cancel its orders; it hears nothing. It stays stopped over a restart.
    Stop(StrategyArgs),
    /// Set parameters: all of them, or none. They stay set over a restart.
    Set(StrategySetArgs),
    /// Write out a project for a strategy of your own: it builds against this checkout, and runs against the simulator.
    New(StrategyNewArgs),
}

/// Which strategy, and who asks.
#[derive(Debug, Clone, Args)]
pub struct StrategyArgs {
    /// Its name, as `spinlane strategies` tells it.
    pub name: String,
    /// Who, for the record. Default: the user running this.
    #[arg(long)]
    pub by: Option<String>,
    /// Longest wait for its lane to answer, seconds.
    #[arg(long, default_value_t = 5)]
    pub wait_s: u64,
}

/// `strategy new`.
#[derive(Debug, Clone, Args)]
pub struct StrategyNewArgs {
    /// Its name, and that of the project and its node: small letters, digits and dashes.
    pub name: String,
    /// Where to write it. Default: a directory of its name, here.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// The checkout of Spinlane to build against. Default: the one this program was built from.
    #[arg(long, value_name = "DIR")]
    pub checkout: Option<PathBuf>,
}

/// `strategy set`.
#[derive(Debug, Clone, Args)]
pub struct StrategySetArgs {
    /// Which.
    #[command(flatten)]
    pub to: StrategyArgs,
    /// What to set: PARAM=VALUE, as in the configuration.
    #[arg(required = true, value_name = "PARAM=VALUE")]
    pub settings: Vec<String>,
}

/// `kill`.
#[derive(Debug, Clone, Args)]
pub struct KillArgs {
    /// Why, for the record.
    #[arg(long, default_value = "operator")]
    pub reason: String,
    /// Who, for the record. Default: the user running this.
    #[arg(long)]
    pub by: Option<String>,
    /// Longest wait for the open orders to be gone, seconds.
    #[arg(long, default_value_t = 10)]
    pub wait_s: u64,
}

/// `arm`.
#[derive(Debug, Clone, Args)]
pub struct ArmArgs {
    /// Who takes responsibility, for the record.
    #[arg(long)]
    pub by: String,
    /// Why it is safe again, for the record.
    #[arg(long, default_value = "operator")]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_stand_anywhere() {
        let cli = Cli::parse_from(["spinlane", "status", "--json", "--node", "a"]);
        assert!(cli.json && cli.node.node.as_deref() == Some("a"));
        let cli = Cli::parse_from(["spinlane", "--json", "--config", "f", "run"]);
        assert!(matches!(cli.command, Command::Run(args) if args.role == Role::Primary));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            &["spinlane"][..],
            &["spinlane", "arm"],
            &["spinlane", "demo", "--seconds", "0"],
            &["spinlane", "status", "--node", "a", "--shm", "b"],
            &["spinlane", "replay", "x"],
            &["spinlane", "backtest", "--config", "c"],
        ] {
            assert!(Cli::try_parse_from(line).is_err(), "{line:?}");
        }
    }
}
