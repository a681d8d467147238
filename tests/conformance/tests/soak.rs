//! Every venue for hours of virtual time with a fault every minute.
//!
//! Half an hour by default; a day by `SPINLANE_SOAK_HOURS=24 cargo test -p tests-conformance --test soak -- --nocapture`.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tests_conformance::{soak, venues};

fn minutes() -> u64 {
    match std::env::var("SPINLANE_SOAK_HOURS") {
        Ok(hours) => hours.parse::<u64>().expect("SPINLANE_SOAK_HOURS: a number") * 60,
        Err(_) => 30,
    }
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
    let (minutes, next) = (minutes(), AtomicUsize::new(0));
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
                    let told = catch_unwind(|| soak::run(*venue, minutes, 1));
                    let told = told.unwrap_or_else(|_| Err("it panicked".to_owned()));
                    let took = start.elapsed().as_secs();
                    println!("{} {minutes} min ({took} s): {told:?}", venue.name);
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
