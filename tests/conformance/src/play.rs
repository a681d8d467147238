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

/// Plays every case of a venue that the environment asks for, each on a fresh lane and venue, and prints a line for each
/// where somebody watches (`--nocapture`). Returns a line for each that failed, not the first only.
pub fn play(venue: Tried, time: Time) -> Vec<String> {
    // What the lane logs, by RUST_LOG; asked for by one test after another.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .try_init();
    let is_watched = std::env::args().any(|argument| argument == "--nocapture");
    let name = venue.label();
    let mut failed = Vec::new();
    if !is_asked("SPINLANE_VENUE", |wanted| wanted == name) {
        return failed;
    }
    for (number, case) in cases::all().enumerate() {
        if !is_played(&case, time) || !venue.plays(&case) {
            continue;
        }
        let start = Instant::now();
        let played = catch_unwind(AssertUnwindSafe(|| {
            one(&case, venue, number as u64 + 1, time)
        }));
        let played = played.unwrap_or_else(|_| Err("it panicked".to_owned()));
        let told = match &played {
            Ok(Verdict::Held) => "held".to_owned(),
            Ok(Verdict::NotHere(why)) => format!("not here: {why}"),
            Err(why) => format!("FAILED: {why}"),
        };
        let took = start.elapsed().as_millis();
        let line = format!("{name} {} {} ({took} ms): {told}", case.id, case.what);
        if is_watched {
            println!("{line}");
        }
        // Over sockets a case may be out of the question for the time it takes.
        let is_expected = match &played {
            Ok(Verdict::Held) => !case.is_not_of(&venue),
            Ok(Verdict::NotHere(_)) => time == Time::Machine || case.is_not_of(&venue),
            Err(_) => false,
        };
        if !is_expected {
            failed.push(line);
        }
    }
    failed
}
