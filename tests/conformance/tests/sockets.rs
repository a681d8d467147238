//! The cases on every venue over real sockets: a dozen of them, all with `SPINLANE_CONFORMANCE=long`. Choosing among them: as
//! in virtual time (`suite`).

use std::sync::Mutex;
use tests_conformance::play::{Job, Time, jobs};
use tests_conformance::venues;

/// Cases at a time. Over sockets they wait most of their time, but a machine of two cores keeps only so many lanes, venues and
/// their TLS in time.
const AT_ONCE: usize = 24;

#[test]
fn cases_hold_over_sockets() {
    let mut list: Vec<_> = venues::all()
        .flat_map(|venue| jobs(venue, Time::Machine))
        .collect();
    // From the end: those that wait longest must not be the last to begin.
    list.sort_by_key(Job::is_slow);
    let left = Mutex::new(list);
    let next = || left.lock().ok()?.pop();
    let work = || {
        std::iter::from_fn(next)
            .filter_map(Job::play)
            .collect::<Vec<_>>()
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let lists = threads.into_iter().map(|one| one.join().expect("no panic"));
        lists.flatten().collect()
    });
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
