//! Through sockets: the production lane at a timetable for a while, and the same lane quiet beside it.
//!
//! ```text
//!   evenly      tick ─────── tick ─────── tick      each when it is due, a TLS record each
//!   bursts      16 ticks ─────────────── 16 ticks   all of a burst due at once, a record each, one write
//!   coalesced   16 ticks ─────────────── 16 ticks   the same, all of a burst in one record
//! ```
//! A tick is a depth message of 20 levels, a WebSocket message of its own. Whatever the form, ticks that fell due
//! while the venue was at something else go out together with the next write.

use super::Args;
use crate::host::Seats;
use crate::race::{Entrant, Measured, Race};
use crate::road::Road;
use crate::stats::Estimate;
use crate::summary::Summary;
use crate::target::{Bound, Verdict};
use crate::venue::Load;
use dp_shm::{Counter, Stage};
use dp_transport::Clock;

/// One tick in so many is answered.
const EVERY: u64 = 20;
/// The rate the loaded lane's latency is compared with.
pub const QUIET: u64 = 10_000;
/// Ticks of a burst.
const BURST: u64 = 16;

/// How ticks go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Evenly spaced, a TLS record each.
    Evenly,
    /// 16 due at once, a record each.
    Bursts,
    /// 16 due at once in one record.
    Coalesced,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Evenly, Self::Bursts, Self::Coalesced];

    const fn name(self) -> &'static str {
        match self {
            Self::Evenly => "evenly",
            Self::Bursts => "bursts",
            Self::Coalesced => "coalesced",
        }
    }

    fn load(self, rate: u64, seconds: f64) -> Load {
        let load = Load {
            every: EVERY,
            ..Load::new(rate, seconds)
        };
        match self {
            Self::Evenly => load,
            Self::Bursts => load.in_bursts(BURST, 1),
            Self::Coalesced => load.in_bursts(BURST, BURST),
        }
    }
}

/// One form: quiet, then loaded, in a process of its own. A lane that cannot keep up is a verdict, not an end.
pub fn run(
    form: Form,
    road: Road,
    args: &Args,
    seats: &Seats,
    clock: Clock,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let lane = Entrant::built_in("spinlane", &std::env::current_exe()?, "spinlane").over(road);
    let loads = [
        form.load(QUIET, (args.seconds / 4.0).clamp(0.5, 10.0)),
        form.load(args.rate, args.seconds),
    ];
    let outcome = Race {
        entrants: &[lane],
        loads: &loads,
        rounds: 1,
        seats,
        clock,
        is_strict: true,
        on_step: &mut |_, name| eprintln!("through sockets, {}: {name}", form.name()),
    }
    .run();
    match outcome {
        Ok(measured) => {
            let mut missing = 0.0;
            for one in &measured {
                let lost = facts(form, one, &clock, summary);
                missing += lost;
                let doubts = one.doubts.iter();
                let doubts = doubts
                    .map(|doubt| format!("{}/s: {doubt}; a node's lane has it", one.load.rate));
                summary.notes.extend(doubts);
                if one.load.rate == args.rate {
                    let verdict = self::lost(form, args.rate, lost);
                    summary.targets.push(verdict);
                }
            }
            judge(form, args.rate, missing, summary);
        }
        Err(error) => {
            let note = format!("{}, {}/s: {error:#}", form.name(), args.rate);
            summary.notes.push(note);
            left_out(form, args.rate, summary);
        }
    }
    Ok(())
}

/// What its targets say of a form that was not run to the end.
fn left_out(form: Form, rate: u64, summary: &mut Summary) {
    summary.targets.push(lost(form, rate, f64::NAN));
    judge(form, rate, 0.0, summary);
}

/// Names the target of a form nobody asked for.
pub fn not_asked(form: Form, rate: u64, summary: &mut Summary) {
    let what = lost(form, rate, f64::NAN).what;
    summary.notes.push(format!(
        "targets not asked for: {what}; p99 over the same at {QUIET}/s"
    ));
}

fn group(form: Form, rate: u64) -> String {
    format!(
        "sockets, {}, {rate}/s, one in {EVERY} answered",
        form.name()
    )
}

/// Adds the row and its facts; returns the ticks and orders that were lost.
fn facts(form: Form, one: &Measured, clock: &Clock, summary: &mut Summary) -> f64 {
    let rate = one.load.rate;
    summary.add(
        &group(form, rate),
        &[("spinlane".to_owned(), one.samples.clone())],
    );
    let said = one.load.warm + one.load.ticks;
    let applied = one.count(Counter::BookEvents);
    let missing = said.saturating_sub(applied) + one.count(Counter::Gaps);
    let unanswered = one.asked - one.answered;
    let seconds = said as f64 / rate as f64;
    let name = form.name();
    let mut fact = |what: &str, value| summary.fact(format!("{name}, {rate}/s: {what}"), value);
    fact("ticks said", said as f64);
    fact("ticks not applied, gaps", missing as f64);
    fact("orders missing", unanswered as f64);
    fact("lane busy, share of the time", busy(one, clock) / seconds);
    fact("lane busy, ns a tick", busy(one, clock) * 1e9 / said as f64);
    fact("venue busy, share of the time", one.venue_load);
    fact(
        "venue busy, ns a tick",
        one.venue_load * seconds * 1e9 / said as f64,
    );
    fact(
        "venue late, p99, us",
        one.late.value_at_quantile(0.99) as f64 / 1e3,
    );
    for (stage, times) in &one.stages {
        let is_its = times.total() > 0 && *stage != Stage::DutyCycle;
        if is_its && times.total() >= said / 2 {
            let mean = clock.cycles_to_ns(times.mean()) as f64;
            fact(&format!("lane, {}, mean ns", stage.name()), mean);
        }
    }
    (missing + unanswered) as f64
}

fn lost(form: Form, rate: u64, count: f64) -> Verdict {
    let found = Estimate::exact(count);
    let what = format!("{}, {rate}/s: ticks or orders lost, none", form.name());
    // A bound of zero has no distance in shares of itself.
    Verdict {
        is_met: count == 0.0,
        distance: if count == 0.0 { 0.0 } else { -1.0 },
        ..Bound::AtMost.judge(what, 1.0, found, true)
    }
}

/// p99 under load beside the same form's when quiet; and, told, beside the evenly spaced one's. One round each has no
/// interval over rounds. The rule instead: the upper end over the windows of the loaded run, over the lower end of
/// the quiet one's.
fn judge(form: Form, rate: u64, missing: f64, summary: &mut Summary) {
    let mut verdicts = Vec::new();
    let p99 = |form, rate| {
        summary
            .clean(&group(form, rate), "spinlane")
            .map(|it| it.p99)
    };
    let loaded = p99(form, rate);
    let even = p99(Form::Evenly, QUIET).filter(|_| form != Form::Evenly);
    for (beside, quiet, is_gated) in [
        ("the same", p99(form, QUIET), true),
        ("evenly", even, false),
    ] {
        // Two single runs: the worst of one against the best of the other.
        let found = loaded.zip(quiet).map(|(loaded, quiet)| Estimate {
            value: loaded.value / quiet.value,
            low: loaded.low / quiet.high,
            high: loaded.high / quiet.low,
        });
        let Some(found) = found.or(is_gated.then_some(Estimate::NONE)) else {
            continue;
        };
        let name = form.name();
        let what = format!("{name}, {rate}/s: p99 over {beside} at {QUIET}/s, at most 2");
        let verdict = Bound::AtMost.judge(what, 2.0, found, is_gated);
        verdicts.push(if missing > 0.0 {
            verdict.not_measured(&format!("{missing} ticks or orders lost"))
        } else {
            verdict
        });
    }
    summary.targets.extend(verdicts);
}

/// Seconds in which the lane's turns found work.
fn busy(one: &Measured, clock: &Clock) -> f64 {
    let turns = one.stages.iter();
    let turns = turns.clone().find(|(stage, _)| *stage == Stage::DutyCycle);
    let cycles = turns.map_or(0, |(_, times)| times.sum());
    clock.cycles_to_ns(cycles) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Hiccups;
    use crate::stats::Samples;

    #[test]
    fn a_form_without_rows_fails_a_gate() {
        let mut summary = Summary::new("throughput", 1, Seats::find(0, 0), Hiccups::default());
        left_out(Form::Bursts, 300_000, &mut summary);
        let said: Vec<_> = summary.targets.iter().map(Verdict::is_measured).collect();
        assert_eq!(said, [false, false], "lost ticks and p99");
        assert!(summary.check(true).is_err() && summary.check(false).is_ok());
        // Only the quiet half was measured.
        summary.targets.clear();
        let mut samples = Samples::default();
        samples.add_round(&[true], vec![(1_000, 0); 100]);
        summary.add(
            &group(Form::Bursts, QUIET),
            &[("spinlane".to_owned(), samples)],
        );
        left_out(Form::Bursts, 300_000, &mut summary);
        assert_eq!(summary.targets.len(), 2);
        assert!(summary.check(true).is_err());
        // The quiet rate itself is as quick as itself.
        summary.targets = vec![lost(Form::Bursts, QUIET, 0.0)];
        judge(Form::Bursts, QUIET, 0.0, &mut summary);
        assert!(summary.check(true).is_ok(), "{:?}", summary.targets);
        summary.targets = vec![lost(Form::Bursts, QUIET, 0.0)];
        judge(Form::Bursts, QUIET, 2.0, &mut summary);
        let why = summary.targets[1].why.as_deref();
        assert_eq!(why, Some("not measured: 2 ticks or orders lost"));
        assert!(summary.check(true).is_err());
        summary.targets = vec![lost(Form::Bursts, QUIET, 1.0)];
        assert!(summary.check(true).is_err());
    }
}
