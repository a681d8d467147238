//! Playing the list at a venue.

use crate::stage::{Memory, Sockets, Virtual, sim_config};
use crate::venues::Tried;
use crate::{Case, Trial, Verdict, cases};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Where time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Pipes in memory and a clock that jumps.
    Virtual,
    /// Sockets and the machine's clock.
    Machine,
}

/// What the short form plays over sockets, where time cannot jump: one of each kind of thing that happens.
const SHORT: [&str; 13] = [
    "F01", "F03", "F04", "F14", "F20", "E01", "E05", "E08", "E13", "E17", "A01", "S01", "S02",
];

fn is_asked(variable: &str, is_one: impl Fn(&str) -> bool) -> bool {
    std::env::var(variable).map_or(true, |list| list.split(',').any(is_one))
}

fn is_played(case: &Case, time: Time) -> bool {
    let is_long = std::env::var("SPINLANE_CONFORMANCE").is_ok_and(|form| form == "long");
    let is_chosen = std::env::var_os("SPINLANE_CASE").is_some();
    let fits = match (case.is_long, time) {
        (true, Time::Machine) => false,
        (true, Time::Virtual) => is_long,
        (false, Time::Virtual) => true,
        (false, Time::Machine) if is_chosen => is_long || !case.is_slow,
        (false, Time::Machine) => is_long || SHORT.contains(&case.id),
    };
    fits && is_asked("SPINLANE_CASE", |start| case.id.starts_with(start))
}

fn one(case: &Case, venue: Tried, seed: u64, time: Time) -> cases::Outcome {
    let venue = venue.following(case.follows);
    let memory = Memory::new();
    if time == Time::Machine {
        let (mut stage, known) = Sockets::new(&memory, venue, case.feeds, seed);
        return case.play(&mut Trial::new(&mut stage, known));
    }
    let mut sim = sim_config(&venue, seed);
    if case.is_long {
        sim.flow.ticks_per_s = 2;
    }
    let (mut stage, known) = Virtual::with(&memory, venue, case.feeds, &sim);
    case.play(&mut Trial::new(&mut stage, known))
}

/// A case at a venue.
#[derive(Clone, Copy)]
pub struct Job {
    venue: Tried,
    case: Case,
    /// Of the case on the list, from 1: what chance it has follows from it.
    number: u64,
    time: Time,
}

/// Every case of a venue that the environment asks for.
pub fn jobs(venue: Tried, time: Time) -> impl Iterator<Item = Job> {
    let name = venue.label();
    let is_wanted = is_asked("SPINLANE_VENUE", |wanted| wanted == name);
    (1..)
        .zip(cases::all())
        .filter(move |(_, case)| is_wanted && is_played(case, time) && venue.plays(case))
        .map(move |(number, case)| Job {
            venue,
            case,
            number,
            time,
        })
}

impl Job {
    /// Whether it waits for a minute or two over sockets.
    pub const fn is_slow(&self) -> bool {
        self.case.is_slow
    }

    /// Plays it on a fresh lane and venue, and prints a line where somebody watches (`--nocapture`). Returns the line if
    /// it failed.
    pub fn play(self) -> Option<String> {
        // What the lane logs, by RUST_LOG; asked for by one test after another.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .try_init();
        let Self {
            venue,
            case,
            number,
            time,
        } = self;
        let start = Instant::now();
        let played = catch_unwind(AssertUnwindSafe(|| one(&case, venue, number, time)));
        let played = played.unwrap_or_else(|_| Err("it panicked".to_owned()));
        let told = match &played {
            Ok(Verdict::Held) => "held".to_owned(),
            Ok(Verdict::NotHere(why)) => format!("not here: {why}"),
            Err(why) => format!("FAILED: {why}"),
        };
        let (name, took) = (venue.label(), start.elapsed().as_millis());
        let line = format!("{name} {} {} ({took} ms): {told}", case.id, case.what);
        if std::env::args().any(|argument| argument == "--nocapture") {
            println!("{line}");
        }
        // Over sockets a case may be out of the question for the time it takes.
        let is_expected = match &played {
            Ok(Verdict::Held) => !case.is_not_of(&venue),
            Ok(Verdict::NotHere(_)) => time == Time::Machine || case.is_not_of(&venue),
            Err(_) => false,
        };
        (!is_expected).then_some(line)
    }
}

/// Plays every case of a venue, one after the other. Returns a line for each that failed, not the first only.
pub fn play(venue: Tried, time: Time) -> Vec<String> {
    jobs(venue, time).filter_map(Job::play).collect()
}
