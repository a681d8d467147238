//! Kill and arm: one word in shared memory, read by every lane each duty cycle. Pause and resume: a command
//! to each lane.
//!
//! The word outlives every process and needs none to be set: a killed node that is restarted stays
//! killed until somebody arms it. A mark in the state directory keeps it over a reboot, too. Who, when and why lie beside it; the dataplane journals each change it
//! sees, and the journal ends up in `risk_events`.

use crate::app::show;
use crate::cli::{ArmArgs, KillArgs, PauseArgs};
use crate::fail::Refused;
use crate::target::Target;
use crate::view::status::{self, Kill};
use crate::view::{is_alive, now};
use dp_shm::{Command, LaneView, Region, mark};
use dp_types::UnixNanos;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

pub(crate) const POLL: Duration = Duration::from_millis(50);

/// What `kill` and `arm` led to.
#[derive(Debug, Clone, Serialize)]
pub struct Switched {
    /// `done`; `unknown` when orders are still open or nobody runs who could cancel them.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// Whether this call changed the switch.
    pub changed: bool,
    /// The switch now.
    pub kill: Kill,
    /// Orders of ours that are not final, here or on a venue's own list.
    pub open_orders: u32,
    /// Every venue has listed its open orders since the kill.
    pub venues_asked: bool,
    /// The trading process runs.
    pub dataplane_is_running: bool,
}

impl Switched {
    /// Reads how it stands; venues count as asked when they listed their orders after `since`.
    pub fn read(region: &Region, changed: bool, since: UnixNanos) -> Self {
        Self {
            venues_asked: status::venues(region).all(|venue| venue.reconciled >= since),
            outcome: "done",
            node: region.node().as_str().to_owned(),
            changed,
            kill: status::kill(region),
            open_orders: open_orders(region),
            dataplane_is_running: is_alive(region.header().dataplane_pid.load(Relaxed)),
        }
    }
}

fn open_orders(region: &Region) -> u32 {
    status::venues(region).map(|venue| venue.open_orders).sum()
}

/// What throwing the switch led to.
#[derive(Debug, Clone)]
pub struct Thrown {
    /// Whether this call changed it.
    pub changed: bool,
    /// Since when trading is killed.
    pub since: UnixNanos,
    /// Why a reboot may forget it; `None` = it will not.
    pub unkept: Option<String>,
}

/// Throws the switch, by whoever asks: the word in shared memory first, then the mark on disk. Needs no process to run.
pub fn throw(region: &Region, state_dir: Option<&Path>, by: &str, reason: &str) -> Thrown {
    let mut since = now();
    let changed = region.kill().kill(by, reason, since);
    if !changed && let Some(change) = region.kill().last_change() {
        since = change.at;
    }
    Thrown {
        changed,
        since,
        unkept: keep(state_dir, region, |mark| mark::set(mark, reason)),
    }
}

/// `spinlane kill`: sets the switch, then watches the open orders go. Exit code 1 when they do not.
pub fn kill(target: &Target, args: &KillArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let region = target.attach()?;
    let by = args.by.clone().unwrap_or_else(user);
    let Thrown {
        changed,
        since,
        unkept,
    } = throw(&region, state_dir(target), &by, &args.reason);
    if let Some(why) = unkept {
        eprintln!("{why}");
    }
    if !as_json {
        let word = if changed {
            "killed"
        } else {
            "was killed already"
        };
        eprintln!("{}: {word}, by {by}: {}", region.node(), args.reason);
    }
    let deadline = Instant::now() + Duration::from_secs(args.wait_s);
    let mut told = None;
    loop {
        let switched = Switched::read(&region, changed, since);
        let open = switched.open_orders;
        if !as_json && told != Some(open) {
            eprintln!("open orders: {open}");
            told = Some(open);
        }
        if (open == 0 && switched.venues_asked)
            || !switched.dataplane_is_running
            || Instant::now() >= deadline
        {
            return finish(switched, as_json);
        }
        std::thread::sleep(POLL);
    }
}

fn finish(mut switched: Switched, as_json: bool) -> anyhow::Result<ExitCode> {
    let is_over = switched.open_orders == 0 && switched.venues_asked;
    if !is_over {
        switched.outcome = "unknown";
    }
    show(as_json, &switched, || {
        match (is_over, switched.dataplane_is_running) {
            (true, _) => "trading is killed, 0 open orders: every venue was asked".to_owned(),
            (false, true) if switched.open_orders == 0 => {
                "trading is killed, 0 open orders as far as \
                this node knows, and not every venue has answered: look at the venue"
                    .to_owned()
            }
            (false, true) => format!(
                "trading is killed, {} orders still open; the node goes on cancelling: watch `spinlane orders`",
                switched.open_orders
            ),
            (false, false) => format!(
                "trading is killed, {} orders were open when the dataplane ended and nobody cancels them: \
             start it again (it stays killed and cancels) or cancel at the venue",
                switched.open_orders
            ),
        }
    })?;
    Ok(if is_over {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `spinlane arm`. Errors: [`Refused`] when no name is given.
pub fn arm(target: &Target, args: &ArmArgs, as_json: bool) -> anyhow::Result<()> {
    if args.by.trim().is_empty() {
        return Err(Refused("arm: --by needs the name of who takes responsibility".into()).into());
    }
    if let Some(config) = &target.config {
        let file = mark::kill_asked(&config.node.state_dir);
        if mark::read(&file).is_some() {
            let why = format!("arm: {} kills: remove it first", file.display());
            return Err(Refused(why).into());
        }
    }
    let region = target.attach()?;
    let since = now();
    let changed = region.kill().arm(&args.by, &args.reason, since);
    if let Some(why) = keep(state_dir(target), &region, |mark| {
        mark::clear(mark).map(drop)
    }) {
        eprintln!("{why}");
    }
    let switched = Switched::read(&region, changed, since);
    show(as_json, &switched, || {
        let word = if changed {
            "armed"
        } else {
            "was armed already"
        };
        format!("{}: {word}, by {}", region.node(), args.by)
    })
}

/// What `pause` and `resume` led to.
#[derive(Debug, Clone, Serialize)]
pub struct Paused {
    /// `done`; `unknown` when a lane has not said so.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// Lanes that are as asked.
    pub lanes: usize,
    /// All lanes.
    pub lanes_count: usize,
}

/// `spinlane pause` and `spinlane resume`: a command to each lane. Exit code 1 when a lane does not follow.
pub fn pause(
    target: &Target,
    args: &PauseArgs,
    is_paused: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let region = target.attach()?;
    if !is_alive(region.header().dataplane_pid.load(Relaxed)) {
        return Err(Refused(
            "the dataplane does not run: nothing is sent, and there is nobody to tell".into(),
        )
        .into());
    }
    let by = args.by.clone().unwrap_or_else(user);
    let command = if is_paused {
        Command::Pause
    } else {
        Command::Resume
    };
    for lane in region.lanes() {
        let sent = region.command_sender(lane.lane)?.send(command, &by, now());
        sent.map_err(|_| {
            Refused(format!(
                "lane {} takes no commands: it is stuck; `spinlane kill` works",
                lane.lane.0
            ))
        })?;
    }
    let deadline = Instant::now() + Duration::from_secs(args.wait_s);
    let follows = |lane: &LaneView<'_>| (lane.beat.is_paused.load(Relaxed) != 0) == is_paused;
    let count = || region.lanes().filter(follows).count();
    let lanes_count = region.lanes().count();
    while count() < lanes_count && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    let lanes = count();
    let is_done = lanes == lanes_count;
    let paused = Paused {
        outcome: if is_done { "done" } else { "unknown" },
        node: region.node().as_str().to_owned(),
        lanes,
        lanes_count,
    };
    show(as_json, &paused, || {
        let word = if is_paused { "paused" } else { "trading" };
        format!("{}: {lanes} of {lanes_count} lanes {word}", paused.node)
    })?;
    Ok(if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn state_dir(target: &Target) -> Option<&Path> {
    let config = target.config.as_ref()?;
    Some(&config.node.state_dir)
}

/// Keeps the switch on disk at once: the dataplane does so too, when it runs. Returns why a reboot may forget it.
fn keep(
    state_dir: Option<&Path>,
    region: &Region,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Option<String> {
    let runs = is_alive(region.header().dataplane_pid.load(Relaxed));
    match state_dir {
        Some(state_dir) => {
            let mark = mark::killed(state_dir);
            let error = write(&mark).err()?;
            Some(format!(
                "{}: {error}: a reboot may forget this",
                mark.display()
            ))
        }
        None => (!runs).then(|| {
            "the dataplane does not run: name the node by --config, or a reboot forgets this".into()
        }),
    }
}

/// The user who runs this, for the record.
pub fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name)
}
