//! Every venue for hours of virtual time with a fault every minute.
//!
//! Half an hour by default; a day by `SPINLANE_SOAK_HOURS=24 cargo test -p tests-conformance --test soak -- --nocapture`,
//! another one by `SPINLANE_SOAK_SEED=2`.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tests_conformance::{soak, venues};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// `SPINLANE_VENUE=okx,kraken`: only these.
fn wanted(name: &str) -> bool {
    if spinlane_sim::venues::known(name).is_err() {
        return false;
    }
    match std::env::var("SPINLANE_VENUE") {
        Ok(list) => list.split(',').any(|one| one == name),
        Err(_) => true,
    }
}

#[test]
fn hours_with_a_fault_every_minute_end_as_they_should() {
    let minutes = number("SPINLANE_SOAK_HOURS").map_or(30, |hours| hours * 60);
    let seed = number("SPINLANE_SOAK_SEED").unwrap_or(1);
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(venue) = venues::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    if !wanted(venue.name) {
                        continue;
                    }
                    let told = catch_unwind(|| soak::run(*venue, minutes, seed));
                    let told = told.unwrap_or_else(|_| Err("it panicked".to_owned()));
                    let took = start.elapsed().as_secs();
                    println!(
                        "{} {minutes} min, seed {seed} ({took} s): {told:?}",
                        venue.name
                    );
                    if let Err(why) = told {
                        failed
                            .lock()
                            .unwrap()
                            .push(format!("{}: {why}", venue.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
