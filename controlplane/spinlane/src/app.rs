//! From what was asked to who does it.

use crate::cli::{Cli, Command, LatencyArgs, NodeArgs, OrdersArgs, VenueCommand};
use crate::target::Target;
use crate::view::balances::Balances;
use crate::view::doctor::Doctor;
use crate::view::lanes::Lanes;
use crate::view::latency::Latency;
use crate::view::market::Markets;
use crate::view::orders::{Order, Orders};
use crate::view::performance::Performance;
use crate::view::positions::Positions;
use crate::view::risk::Risk;
use crate::view::status::Status;
use crate::view::strategies::{Kinds, Strategies};
use crate::{
    backtest, control, daemon, demo, halts, limits, pnl, record, replay, report, strategy,
    venue_list, venue_tools,
};
use anyhow::Context;
use clap::CommandFactory;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Does what was asked. Errors: see [`crate::fail::exit_code`].
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    let as_json = cli.json;
    match cli.command {
        Command::Demo(args) => return demo::run(&args, as_json),
        Command::Run(args) => daemon::run(&Target::find(&cli.node)?, &args)?,
        Command::Replay(args) => replay::run(&args, as_json)?,
        Command::Backtest(args) => backtest::run(&args, cli.node.config.as_deref(), as_json)?,
        Command::Record(args) => record::run(&args, cli.node.config.as_deref(), as_json)?,
        Command::Venue(VenueCommand::List) => venue_list::run(as_json)?,
        Command::Venue(VenueCommand::Decode(args)) => venue_tools::decode(&args.venue)?,
        Command::Venue(VenueCommand::Reasons) => print!("{}", venue_tools::reasons(as_json)),
        Command::Venue(VenueCommand::Sign(args)) => venue_tools::sign(&args.venue)?,
        Command::Status => {
            let status = Status::read(&Target::find(&cli.node)?.attach()?);
            show(as_json, &status, || status.text())?;
        }
        Command::Lanes => {
            let lanes = Lanes::read(&Target::find(&cli.node)?.attach()?);
            show(as_json, &lanes, || lanes.text())?;
            return Ok(ExitCode::from(u8::from(lanes.is_ill())));
        }
        Command::Doctor => {
            let target = Target::find(&cli.node)?;
            let mut doctor = Doctor::read(&target.config("doctor")?.node.state_dir)?;
            if let Some(api) = target
                .config
                .as_ref()
                .and_then(|config| config.api.as_ref())
            {
                doctor.add_api(api);
            }
            // A node that has stopped and cleared away has no lanes to look at.
            if let Ok(region) = target.attach() {
                doctor.add_lanes(&Lanes::read(&region));
            }
            show(as_json, &doctor, || doctor.text())?;
            return Ok(ExitCode::from(u8::from(doctor.is_ill())));
        }
        Command::Orders(args) => orders(&cli.node, &args, as_json)?,
        Command::Market => {
            let markets = Markets::read(&Target::find(&cli.node)?.attach()?);
            show(as_json, &markets, || markets.text())?;
        }
        Command::Positions => {
            let region = Target::find(&cli.node)?.attach()?;
            show(as_json, &Positions::read(&region), || {
                Positions::text(&region)
            })?;
        }
        Command::Balances => {
            let balances = Balances::read(&Target::find(&cli.node)?.attach()?);
            show(as_json, &balances, || balances.text())?;
        }
        Command::Strategies(args) if args.kinds => {
            let kinds = Kinds::of(&dp_strategy::SHIPPED);
            show(as_json, &kinds, || kinds.text())?;
        }
        Command::Strategies(args) if args.performance => {
            let performance = performance(&Target::find(&cli.node)?, args.days)?;
            show(as_json, &performance, || performance.text())?;
        }
        Command::Strategies(_) => {
            let region = Target::find(&cli.node)?.attach()?;
            show(as_json, &Strategies::read(&region), || {
                Strategies::text(&region)
            })?;
        }
        Command::Strategy(command) => return strategy::run(&cli.node, &command, as_json),
        Command::Pnl(args) => pnl::run(&Target::find(&cli.node)?, &args, as_json)?,
        Command::Risk => {
            let risk = Risk::read(&Target::find(&cli.node)?.attach()?);
            show(as_json, &risk, || risk.text())?;
        }
        Command::Limits(args) => limits::run(&Target::find(&cli.node)?, &args, as_json)?,
        Command::Reconcile(args) => {
            return halts::reconcile(&Target::find(&cli.node)?, &args, as_json);
        }
        Command::Latency(args) => latency(&cli.node, &args, as_json)?,
        Command::Pause(args) => {
            return control::pause(&Target::find(&cli.node)?, &args, true, as_json);
        }
        Command::Resume(args) => {
            return halts::resume(&Target::find(&cli.node)?, &args, as_json);
        }
        Command::Kill(args) => return control::kill(&Target::find(&cli.node)?, &args, as_json),
        Command::Arm(args) => control::arm(&Target::find(&cli.node)?, &args, as_json)?,
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "spinlane",
                &mut std::io::stdout(),
            );
        }
        Command::Man => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a view as JSON or as text.
pub fn show(
    as_json: bool,
    view: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let line = if as_json {
        serde_json::to_string(view)?
    } else {
        text()
    };
    match writeln!(std::io::stdout(), "{line}") {
        // `spinlane orders | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout"),
    }
}

fn orders(node: &NodeArgs, args: &OrdersArgs, as_json: bool) -> anyhow::Result<()> {
    let target = Target::find(node)?;
    let orders = if args.db {
        orders_of_database(&target, args)?
    } else {
        Orders::read(&target.attach()?, args.all, args.limit)
    };
    show(as_json, &orders, || orders.text())
}

fn performance(target: &Target, days: u32) -> anyhow::Result<Performance> {
    let config = target.config("strategies --performance")?;
    let sessions = daemon::ask(config, async |query| query.performance(days.into()).await)?;
    Ok(Performance::of(sessions))
}

fn orders_of_database(target: &Target, args: &OrdersArgs) -> anyhow::Result<Orders> {
    let config = target.config("orders --db")?;
    let limit = i64::try_from(args.limit).unwrap_or(i64::MAX);
    let rows = daemon::ask(config, async |query| query.orders(!args.all, limit).await)?;
    Ok(Orders {
        outcome: "done",
        source: "database",
        orders: rows.into_iter().map(Order::from).collect(),
    })
}

fn latency(node: &NodeArgs, args: &LatencyArgs, as_json: bool) -> anyhow::Result<()> {
    let latency = Latency::read(&Target::find(node)?.attach()?);
    if let Some(path) = &args.html {
        report::write(path, &latency, None)?;
    }
    show(as_json, &latency, || match &args.html {
        Some(path) => format!("{}\n\nreport: {}", latency.text(), path.display()),
        None => latency.text(),
    })
}

/// Logs are talk: to stderr, at the level `SPINLANE_LOG` says (default: what an operator should know).
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SPINLANE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second call (tests) finds a logger in place, which is as good.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init()
        .ok();
}
