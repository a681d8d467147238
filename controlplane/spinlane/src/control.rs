//! Kill and arm: one word in shared memory, read by every lane each duty cycle.
//!
//! The word outlives every process and needs none to be set: a killed node that is restarted stays
//! killed until somebody arms it. Who, when and why lie beside it; the dataplane journals each change it
//! sees, and the journal ends up in `risk_events`.

use crate::app::show;
use crate::cli::{ArmArgs, KillArgs};
use crate::fail::Refused;
use crate::target::Target;
use crate::view::status::{self, Kill};
use crate::view::{is_alive, now};
use dp_shm::Region;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);

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
    /// Orders that are not final, as the lanes count them.
    pub open_orders: u32,
    /// The trading process runs.
    pub dataplane_is_running: bool,
}

impl Switched {
    fn read(region: &Region, changed: bool) -> Self {
        Self {
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

/// `spinlane kill`: sets the switch, then watches the open orders go. Exit code 1 when they do not.
pub fn kill(target: &Target, args: &KillArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let region = target.attach()?;
    let by = args.by.clone().unwrap_or_else(user);
    let changed = region.kill().kill(&by, &args.reason, now());
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
        let open = open_orders(&region);
        if !as_json && told != Some(open) {
            eprintln!("open orders: {open}");
            told = Some(open);
        }
        let switched = Switched::read(&region, changed);
        if open == 0 || !switched.dataplane_is_running || Instant::now() >= deadline {
            return finish(switched, as_json);
        }
        std::thread::sleep(POLL);
    }
}

fn finish(mut switched: Switched, as_json: bool) -> anyhow::Result<ExitCode> {
    let is_over = switched.open_orders == 0;
    if !is_over {
        switched.outcome = "unknown";
    }
    show(as_json, &switched, || {
        match (is_over, switched.dataplane_is_running) {
            (true, _) => "trading is killed, 0 open orders".to_owned(),
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
    let region = target.attach()?;
    let changed = region.kill().arm(&args.by, &args.reason, now());
    let switched = Switched::read(&region, changed);
    show(as_json, &switched, || {
        let word = if changed {
            "armed"
        } else {
            "was armed already"
        };
        format!("{}: {word}, by {}", region.node(), args.by)
    })
}

/// The user who runs this, for the record.
fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name)
}
