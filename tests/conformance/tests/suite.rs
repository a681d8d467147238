//! Every case on every venue, in virtual time and over real sockets.
//!
//! `SPINLANE_CASE=F04,E` plays only these (by the beginning of their numbers); `--nocapture` shows each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tests_conformance::stage::{Memory, Sockets, Virtual, sim_config};
use tests_conformance::venues::Tried;
use tests_conformance::{Trial, Verdict, cases};

fn wanted(id: &str) -> bool {
    match std::env::var("SPINLANE_CASE") {
        Ok(list) => list.split(',').any(|start| id.starts_with(start)),
        Err(_) => true,
    }
}

/// Plays every case of a venue, each on a fresh lane and venue; tells all that failed, not the first only.
fn play(name: &str, is_virtual: bool) {
    let venue = Tried::named(name).expect("on the list");
    let mut failed = Vec::new();
    for (number, case) in cases::all().enumerate() {
        if !wanted(case.id) || (case.is_long && !is_virtual) {
            continue;
        }
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let memory = Memory::new();
            let seed = number as u64 + 1;
            if is_virtual {
                let mut sim = sim_config(&venue, seed);
                if case.is_long {
                    sim.flow.ticks_per_s = 2;
                }
                let (mut stage, known) = Virtual::with(&memory, venue, &sim);
                case.play(&mut Trial::new(&mut stage, known))
            } else {
                let (mut stage, known) = Sockets::new(&memory, venue, seed);
                case.play(&mut Trial::new(&mut stage, known))
            }
        }));
        let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
        let told = match &outcome {
            Ok(Verdict::Held) => "held".to_owned(),
            Ok(Verdict::NotHere(why)) => format!("not here: {why}"),
            Err(why) => format!("FAILED: {why}"),
        };
        let took = start.elapsed().as_millis();
        println!("{name} {} {} ({took} ms): {told}", case.id, case.what);
        if outcome.is_err() {
            failed.push(format!("{} {}: {told}", case.id, case.what));
        }
    }
    assert!(failed.is_empty(), "{name}:\n{}", failed.join("\n"));
}

macro_rules! suite {
    ($($module:ident $name:literal)*) => {
        $(mod $module {
            #[test]
            fn virtual_time() {
                super::play($name, true);
            }

            #[test]
            fn sockets() {
                super::play($name, false);
            }
        })*
    };
}

suite! {
    binance "binance"
    bitfinex "bitfinex"
    bybit "bybit"
    coinbase "coinbase"
    deribit "deribit"
    kraken "kraken"
    kraken_futures "kraken-futures"
    kucoin "kucoin"
    huobi "huobi"
    okx "okx"
}
