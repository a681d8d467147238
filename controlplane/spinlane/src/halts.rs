//! `spinlane resume` and `spinlane reconcile`: what a watch has halted goes on by a named person's word, and orders and
//! positions are compared when somebody asks.

use crate::app::show;
use crate::cli::{PauseArgs, ReconcileArgs, ResumeArgs};
use crate::control::{self, POLL, user};
use crate::fail::{Refused, Usage};
use crate::limits;
use crate::target::Target;
use crate::view::{is_alive, now, status};
use dp_shm::{Command, Region, VenueLine};
use dp_types::{InstrumentId, LaneId, VenueId};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What `resume VENUE` and `reconcile VENUE` led to.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// `done`; `unknown` when the lane has not said so.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// Where.
    pub venue: String,
    /// What; `None` = the whole venue.
    pub symbol: Option<String>,
    /// It is halted now.
    pub is_halted: bool,
    /// Its orders and positions agree with the venue's.
    pub is_reconciled: bool,
}

fn venue(name: &str) -> Result<VenueId, Usage> {
    VenueId::from_name(name).ok_or_else(|| {
        Usage(format!(
            "`{name}` is not a venue: see `spinlane venue list`"
        ))
    })
}

/// `spinlane resume`. Exit code 1 when the lane does not follow. Errors: [`Refused`] where nothing is halted, nobody is
/// named or nobody runs.
pub fn resume(target: &Target, args: &ResumeArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(name) = &args.venue else {
        let pause = PauseArgs {
            by: args.by.clone(),
            wait_s: args.wait_s,
        };
        return control::pause(target, &pause, false, as_json);
    };
    let by = args.by.as_deref().unwrap_or_default().trim();
    if by.is_empty() {
        let why = "resume: --by needs the name of who takes responsibility";
        return Err(Refused(why.into()).into());
    }
    let region = target.attach()?;
    let venue = venue(name)?;
    let instrument = match &args.symbol {
        Some(symbol) => Some(limits::find(&region, Some(name), symbol)?.id),
        None => None,
    };
    if !is_halted(&region, venue, instrument) {
        let what = args.symbol.as_deref().unwrap_or_default();
        let why = format!("resume: {name} {what} is not halted: see `spinlane risk`");
        return Err(Refused(why).into());
    }
    let command = instrument.map_or(Command::ResumeVenue(venue), Command::ResumeInstrument);
    send(&region, venue, command, by)?;
    let is_over = wait(args.wait_s, || !is_halted(&region, venue, instrument));
    finish(
        &region,
        (venue, args.symbol.clone()),
        instrument,
        is_over,
        as_json,
    )
}

/// `spinlane reconcile`. Exit code 1 when the comparison has not ended, or found a difference. Errors: [`Refused`] when
/// nobody runs.
pub fn reconcile(target: &Target, args: &ReconcileArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let region = target.attach()?;
    let venue = venue(&args.venue)?;
    let by = args.by.clone().unwrap_or_else(user);
    let since = now();
    send(&region, venue, Command::Reconcile(venue), &by)?;
    let is_over = wait(args.wait_s, || {
        let state = region.venue(venue).and_then(VenueLine::read);
        state.is_some_and(|state| state.reconciled >= since && state.is_reconciled)
    });
    let is_halted = is_halted(&region, venue, None);
    finish(&region, (venue, None), None, is_over && !is_halted, as_json)
}

fn finish(
    region: &Region,
    (venue, symbol): (VenueId, Option<String>),
    instrument: Option<InstrumentId>,
    is_done: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let state = status::venues(region).find(|state| state.venue == venue);
    let asked = Asked {
        outcome: if is_done { "done" } else { "unknown" },
        node: region.node().as_str().to_owned(),
        venue: venue.name().to_owned(),
        symbol,
        is_halted: is_halted(region, venue, instrument),
        is_reconciled: state.is_some_and(|state| state.is_reconciled),
    };
    show(as_json, &asked, || {
        let symbol = asked.symbol.as_deref().unwrap_or_default();
        let halted = if asked.is_halted {
            "halted"
        } else {
            "not halted"
        };
        let compared = if asked.is_reconciled {
            "orders and positions agree"
        } else {
            "orders and positions are not compared"
        };
        format!(
            "{}: {} {symbol}: {halted}, {compared}",
            asked.node, asked.venue
        )
    })?;
    Ok(ExitCode::from(u8::from(!is_done)))
}

/// Sends to the lane whose engine has the venue.
fn send(region: &Region, venue: VenueId, command: Command, by: &str) -> anyhow::Result<()> {
    if !is_alive(region.header().dataplane_pid.load(Relaxed)) {
        return Err(Refused("the dataplane does not run: there is nobody to tell".into()).into());
    }
    let state = status::venues(region).find(|state| state.venue == venue);
    let state = state.ok_or_else(|| Refused(format!("{} is not on this node", venue.name())))?;
    let sent = region.command_sender(state.lane)?.send(command, by, now());
    sent.map_err(|_| {
        Refused(format!(
            "lane {} takes no commands: it is stuck",
            state.lane.0
        ))
        .into()
    })
}

fn wait(wait_s: u64, is_over: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(wait_s);
    while !is_over() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

fn is_halted(region: &Region, venue: VenueId, instrument: Option<InstrumentId>) -> bool {
    let lanes = (0..region.shape().lanes as u8).map(LaneId);
    let mut halts = lanes
        .filter_map(|lane| region.risk(lane)?.read())
        .flat_map(|it| it.halts);
    halts.any(|halt| halt.is_some_and(|it| (it.venue, it.instrument) == (venue, instrument)))
}
