//! The cases on every venue over real sockets: a dozen of them, all with `SPINLANE_CONFORMANCE=long`. Choosing among them: as
//! in virtual time (`suite`).

use std::sync::Mutex;
use tests_conformance::play::{Time, play};
use tests_conformance::venues;

/// Venues at a time. Cases over sockets wait most of their time, but a machine of two cores keeps only so many lanes, venues
/// and their TLS in time.
const AT_ONCE: usize = 18;

#[test]
fn cases_hold_over_sockets() {
    let left = Mutex::new(venues::all());
    let next = || left.lock().ok()?.next();
    let work = || {
        std::iter::from_fn(next)
            .flat_map(|venue| play(venue, Time::Machine))
            .collect::<Vec<_>>()
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let lists = threads.into_iter().map(|one| one.join().expect("no panic"));
        lists.flatten().collect()
    });
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
