//! `spinlane resume` and `spinlane reconcile`: what a watch has halted goes on by a named person's word, and orders and
//! positions are compared when somebody asks.

use crate::app::show;
use crate::cli::{PauseArgs, ReconcileArgs, ResumeArgs};
use crate::control::{self, POLL, user};
use crate::fail::{Refused, Usage};
use crate::limits;
use crate::target::Target;
use crate::venue_list;
use crate::view::{is_alive, now, status};
use dp_journal::entry::{Entry, Reconcile};
use dp_journal::{ReadItem, Reader, Record};
use dp_shm::{Command, Region, VenueLine};
use dp_types::{InstrumentId, LaneId, UnixNanos, VenueId};
use dp_venue_api::Positions;
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
    /// What the comparison came to; `None`: none was asked for, or it has not ended.
    pub report: Option<Report>,
}

/// What a comparison with a venue came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Why it was made: `asked`, or another reason that came first.
    pub cause: &'static str,
    /// When it began, Unix nanoseconds.
    pub began_unix_ns: u64,
    /// Orders of ours that were compared.
    pub compared: u32,
    /// Orders open at the venue.
    pub open_orders: u32,
    /// Orders we held for open that it did not list.
    pub missing: u32,
    /// Orders open there that we did not hold for open.
    pub adopted: u32,
    /// Orders it told another filled quantity of.
    pub other_qty: u32,
    /// Fills we heard of by it.
    pub late_fills: u32,
    /// Orders whose fate stays unknown.
    pub unknown: u32,
    /// Whether the venue tells the positions of derivatives: `listed`; `untold`: it trades some, and fills alone say what
    /// is held; `none`: we trade none there.
    pub positions: &'static str,
    /// Positions that differed.
    pub positions_differed: u32,
    /// Of these, corrected.
    pub positions_corrected: u32,
    /// Balances that differed.
    pub balances_differed: u32,
    /// Of these, corrected.
    pub balances_corrected: u32,
}

impl Report {
    fn of(it: &Reconcile) -> Self {
        Self {
            cause: it.cause.name(),
            began_unix_ns: it.began.0,
            compared: it.compared,
            open_orders: it.open_orders,
            missing: it.missing,
            adopted: it.adopted,
            other_qty: it.other_qty,
            late_fills: it.late_fills,
            unknown: it.unknown,
            positions: positions(it.venue).name(),
            positions_differed: it.positions_differed,
            positions_corrected: it.positions_corrected,
            balances_differed: it.balances_differed,
            balances_corrected: it.balances_corrected,
        }
    }

    fn text(&self) -> String {
        let untold = if self.positions == Positions::Untold.name() {
            "\n  positions not told: the venue lists none of its derivatives to us, so a liquidation we did not hear of is \
                not found; look there"
        } else {
            ""
        };
        format!(
            "  {} orders compared, {} open there; {} missing there, {} unknown to us, {} with another filled quantity, \
             {} fills late, {} without a known fate\n  {} positions differed ({} corrected), {} balances ({} corrected){untold}",
            self.compared,
            self.open_orders,
            self.missing,
            self.adopted,
            self.other_qty,
            self.late_fills,
            self.unknown,
            self.positions_differed,
            self.positions_corrected,
            self.balances_differed,
            self.balances_corrected
        )
    }
}

/// Whether a venue tells positions; one this build does not know has none of ours.
fn positions(venue: VenueId) -> Positions {
    let told = venue_list::of(venue).ok().flatten();
    told.map_or(Positions::None, |can| can.positions)
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
    let asked = asked(&region, (venue, args.symbol.clone()), instrument, is_over);
    finish(&asked, as_json)
}

/// `spinlane reconcile`. Exit code 1 when the comparison has not ended, or found a difference. Errors: [`Refused`] when
/// nobody runs.
pub fn reconcile(target: &Target, args: &ReconcileArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let region = target.attach()?;
    let venue = venue(&args.venue)?;
    let by = args.by.clone().unwrap_or_else(user);
    let since = now();
    let mut journals: Vec<Reader<'_>> = region
        .lanes()
        .map(|lane| Reader::from_seq(lane.journal, lane.journal.head()))
        .collect();
    send(&region, venue, Command::Reconcile(venue), &by)?;
    // The first whole one since. Where it found something, another follows before all agrees.
    let mut report = None;
    let is_over = wait(args.wait_s, || {
        let records = journals.iter_mut().flatten();
        let told = records.filter_map(|item| told_of(&item, venue, since));
        report = report.take().or(told.last());
        let state = region.venue(venue).and_then(VenueLine::read);
        let is_whole =
            |state: dp_shm::VenueStatus| state.reconciled >= since && state.is_reconciled;
        report.is_some() && state.is_some_and(is_whole)
    });
    let is_done = is_over && !is_halted(&region, venue, None);
    let asked = Asked {
        report,
        ..asked(&region, (venue, None), None, is_done)
    };
    finish(&asked, as_json)
}

/// What a record says of a comparison of this venue that began since.
fn told_of(item: &ReadItem, venue: VenueId, since: UnixNanos) -> Option<Report> {
    match item {
        ReadItem::Record(Record {
            entry: Entry::Reconcile(it),
            ..
        }) if it.venue == venue && it.began >= since => Some(Report::of(it)),
        _ => None,
    }
}

fn asked(
    region: &Region,
    (venue, symbol): (VenueId, Option<String>),
    instrument: Option<InstrumentId>,
    is_done: bool,
) -> Asked {
    let state = status::venues(region).find(|state| state.venue == venue);
    Asked {
        outcome: if is_done { "done" } else { "unknown" },
        node: region.node().as_str().to_owned(),
        venue: venue.name().to_owned(),
        symbol,
        is_halted: is_halted(region, venue, instrument),
        is_reconciled: state.is_some_and(|state| state.is_reconciled),
        report: None,
    }
}

fn finish(asked: &Asked, as_json: bool) -> anyhow::Result<ExitCode> {
    show(as_json, asked, || {
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
        let report = asked.report.as_ref().map(Report::text);
        let report = report.map_or_else(String::new, |text| format!("\n{text}"));
        format!(
            "{}: {} {symbol}: {halted}, {compared}{report}",
            asked.node, asked.venue
        )
    })?;
    Ok(ExitCode::from(u8::from(asked.outcome != "done")))
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

fn wait(wait_s: u64, mut is_over: impl FnMut() -> bool) -> bool {
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
