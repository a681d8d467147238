//! `spinlane strategy`: start, pause, resume, stop, set. A command to the lane whose engine has it, which answers on the
//! strategy's line; what was asked, by whom, and what became of it is in the journal, and so in `risk_events`.

use crate::app::show;
use crate::cli::{NodeArgs, StrategyArgs, StrategyCommand, StrategySetArgs};
use crate::control::user;
use crate::fail::{Refused, Usage};
use crate::target::Target;
use crate::template;
use crate::view::strategies::{all, first_instrument};
use crate::view::{is_alive, now};
use dp_shm::{Command, Region, StrategySpec, StrategyStatus};
use dp_strategy::Unit;
use dp_types::{StrategyId, UnixNanos};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// What a command to a strategy led to.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// `done`; `unknown` when its lane has not said so.
    pub outcome: &'static str,
    /// The node.
    pub node: String,
    /// The strategy.
    pub strategy: String,
    /// Where it stands now.
    pub state: &'static str,
}

/// Does what was asked. Exit code 1 when the lane does not answer. Errors: [`Refused`], by the strategy's lane or before.
pub fn run(node: &NodeArgs, command: &StrategyCommand, as_json: bool) -> anyhow::Result<ExitCode> {
    type Move = fn(StrategyId) -> Command;
    let (args, step): (&StrategyArgs, Move) = match command {
        StrategyCommand::Start(args) => (args, Command::StrategyStart),
        StrategyCommand::Pause(args) => (args, Command::StrategyPause),
        StrategyCommand::Resume(args) => (args, Command::StrategyResume),
        StrategyCommand::Stop(args) => (args, Command::StrategyStop),
        StrategyCommand::Set(args) => return set(&Target::find(node)?, args, as_json),
        StrategyCommand::New(args) => {
            template::write(args, as_json)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let region = Target::find(node)?.attach()?;
    let (id, _, status) = find(&region, &args.name)?;
    tell(&region, (id, &status), args, &[step(id)], as_json)
}

fn set(target: &Target, args: &StrategySetArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let region = target.attach()?;
    let (id, spec, status) = find(&region, &args.to.name)?;
    if !status.is_seated {
        return Err(unseated(&args.to.name).into());
    }
    let it = first_instrument(&region, &status);
    let mut commands = Vec::new();
    for (at, setting) in args.settings.iter().enumerate() {
        let (name, text) = setting.split_once('=').ok_or_else(|| {
            Usage(format!(
                "`{setting}`: write PARAM=VALUE, as in quote_qty=0.01"
            ))
        })?;
        let params = &spec.params[..usize::from(spec.params_count)];
        let place = params.iter().position(|param| param.name.as_str() == name);
        let place = place.ok_or_else(|| {
            let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
            Refused(format!(
                "{} has no parameter `{name}`; it has {}",
                args.to.name,
                names.join(", ")
            ))
        })?;
        let unit = Unit::from_raw(params[place].unit).unwrap_or(Unit::Count);
        let value = unit
            .parse(text, &it)
            .map_err(|wanted| Refused(format!("`{name}` must be {wanted}, not `{text}`")))?;
        let (least, most) = params[place].range;
        if value < least || value > most {
            let text = |value| unit.text(value, &it);
            return Err(Refused(format!(
                "`{name}` is {}, allowed are {} to {}",
                text(value),
                text(least),
                text(most)
            ))
            .into());
        }
        commands.push(Command::StrategySet {
            id,
            param: place as u8,
            value,
            is_last: at + 1 == args.settings.len(),
        });
    }
    tell(&region, (id, &status), &args.to, &commands, as_json)
}

fn find(region: &Region, name: &str) -> anyhow::Result<(StrategyId, StrategySpec, StrategyStatus)> {
    let mut names = Vec::new();
    for found in all(region) {
        if found.1.name.as_str() == name {
            return Ok(found);
        }
        names.push(found.1.name.as_str().to_owned());
    }
    Err(Usage(format!(
        "there is no strategy `{name}`; there are: {}",
        names.join(", ")
    ))
    .into())
}

fn unseated(name: &str) -> Refused {
    Refused(format!(
        "{name} has no seat yet: the rules of its instruments are not known; see `spinlane status` for its venues"
    ))
}

/// Gives commands to the strategy's lane, all at once, and waits for the answer.
fn tell(
    region: &Region,
    (id, status): (StrategyId, &StrategyStatus),
    args: &StrategyArgs,
    commands: &[Command],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if !is_alive(region.header().dataplane_pid.load(Relaxed)) {
        return Err(Refused("the dataplane does not run: there is nobody to tell".into()).into());
    }
    if !status.is_seated {
        return Err(unseated(&args.name).into());
    }
    let by = args.by.clone().unwrap_or_else(user);
    let at = now();
    {
        let mut sender = region.command_sender(status.lane)?;
        for command in commands {
            sender.send(*command, &by, at).map_err(|_| {
                Refused(format!(
                    "lane {} takes no commands: it is stuck; `spinlane kill` works",
                    status.lane.0
                ))
            })?;
        }
    }
    let answer = wait(region, id, at, Duration::from_secs(args.wait_s));
    let said = answer.map(|status| status.answer);
    if let Some(why) = said.filter(|why| !why.as_str().is_empty()) {
        return Err(Refused(format!("{}: {why}", args.name)).into());
    }
    let told = Told {
        outcome: if answer.is_some() { "done" } else { "unknown" },
        node: region.node().as_str().to_owned(),
        strategy: args.name.clone(),
        state: answer.unwrap_or(*status).state.name(),
    };
    show(as_json, &told, || match answer {
        Some(_) => format!("{}: {} is {}", told.node, told.strategy, told.state),
        None => format!(
            "{}: lane {} has not answered; see `spinlane lanes` and `spinlane strategies`",
            told.node, status.lane.0
        ),
    })?;
    Ok(if answer.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The line once it answers what was asked at `at`.
fn wait(
    region: &Region,
    id: StrategyId,
    at: UnixNanos,
    longest: Duration,
) -> Option<StrategyStatus> {
    let deadline = Instant::now() + longest;
    loop {
        let status = region.strategy(id).and_then(dp_shm::twin::Twin::read);
        if let Some(status) = status.filter(|status| status.answered == at) {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(POLL);
    }
}
