//! Every case on every venue, in virtual time and over real sockets.
//!
//! `SPINLANE_CASE=F04,E` plays only these (by the beginning of their numbers), `SPINLANE_VENUE=okx,kraken` only there;
//! `SPINLANE_CONFORMANCE=long` also those in which a day passes, or on sockets minutes. `--nocapture` shows each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tests_conformance::stage::{Memory, Sockets, Virtual, sim_config};
use tests_conformance::venues::{self, Tried};
use tests_conformance::{Case, Trial, Verdict, cases};

fn is_asked(variable: &str, is_one: impl Fn(&str) -> bool) -> bool {
    std::env::var(variable).map_or(true, |list| list.split(',').any(is_one))
}

fn is_played(case: &Case, is_virtual: bool) -> bool {
    let is_long = std::env::var("SPINLANE_CONFORMANCE").is_ok_and(|form| form == "long");
    let fits = match (case.is_long, is_virtual) {
        (true, false) => false,
        (true, true) => is_long,
        (false, true) => true,
        (false, false) => is_long || !case.is_slow,
    };
    fits && is_asked("SPINLANE_CASE", |start| case.id.starts_with(start))
}

fn one(case: &Case, venue: Tried, seed: u64, is_virtual: bool) -> cases::Outcome {
    let memory = Memory::new();
    if is_virtual {
        let mut sim = sim_config(&venue, seed);
        if case.is_long {
            sim.flow.ticks_per_s = 2;
        }
        let (mut stage, known) = Virtual::with(&memory, venue, case.feeds, &sim);
        case.play(&mut Trial::new(&mut stage, known))
    } else {
        let (mut stage, known) = Sockets::new(&memory, venue, case.feeds, seed);
        case.play(&mut Trial::new(&mut stage, known))
    }
}

/// Plays every case of a venue, each on a fresh lane and venue. Returns a line for each that failed, not the first
/// only.
fn play(venue: Tried, is_virtual: bool) -> Vec<String> {
    // What the lane logs, by RUST_LOG; asked for by one test after another.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .try_init();
    let name = venue.label();
    let mut failed = Vec::new();
    if !is_asked("SPINLANE_VENUE", |wanted| wanted == name) {
        return failed;
    }
    for (number, case) in cases::all().enumerate() {
        let is_told = case.id.starts_with('F') && venue.has_feed_of_its_own();
        if !is_played(&case, is_virtual) || is_told {
            continue;
        }
        let start = Instant::now();
        let played = catch_unwind(AssertUnwindSafe(|| {
            one(&case, venue, number as u64 + 1, is_virtual)
        }));
        let played = played.unwrap_or_else(|_| Err("it panicked".to_owned()));
        let told = match &played {
            Ok(Verdict::Held) => "held".to_owned(),
            Ok(Verdict::NotHere(why)) => format!("not here: {why}"),
            Err(why) => format!("FAILED: {why}"),
        };
        let took = start.elapsed().as_millis();
        println!("{name} {} {} ({took} ms): {told}", case.id, case.what);
        // Over sockets a case may be out of the question for the time it takes.
        let is_expected = match &played {
            Ok(Verdict::Held) => !venue.not_here.contains(&case.id),
            Ok(Verdict::NotHere(_)) => !is_virtual || venue.not_here.contains(&case.id),
            Err(_) => false,
        };
        if !is_expected {
            failed.push(format!("{name} {} {}: {told}", case.id, case.what));
        }
    }
    failed
}

#[test]
fn sockets() {
    // Cases over sockets wait most of their time: every venue at once.
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = venues::all()
            .map(|venue| scope.spawn(move || play(venue, false)))
            .collect();
        let lists = threads.into_iter().map(|one| one.join().expect("no panic"));
        lists.flatten().collect()
    });
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

macro_rules! virtual_time {
    ($($test:ident $name:literal)*) => {
        mod virtual_time {
            use super::*;
            $(
                #[test]
                fn $test() {
                    let venue = Tried::named($name).expect("on the list");
                    let failed = play(venue, true);
                    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
                }
            )*

            #[test]
            fn every_venue_has_its_test() {
                let tests = [$($name),*];
                assert!(venues::all().all(|venue| tests.contains(&venue.label().as_str())));
            }
        }
    };
}

virtual_time! {
    binance "binance"
    binance_usdm "binance-usdm"
    bitfinex "bitfinex"
    bybit "bybit"
    coinbase "coinbase"
    coinbase_fix "coinbase-fix"
    binance_fix "binance-fix"
    deribit_fix "deribit-fix"
    kraken_fix "kraken-fix"
    yofx_fix "yofx-fix"
    deribit "deribit"
    huobi "huobi"
    kraken "kraken"
    kraken_futures "kraken-futures"
    kucoin "kucoin"
    oanda "oanda"
    okx "okx"
}
