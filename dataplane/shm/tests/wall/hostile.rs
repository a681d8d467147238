//! Any bytes at all in the file: readers never panic, never loop, never leave the mapping.

use crate::{Place, SHAPE};
use dp_shm::twin::Words;
use dp_shm::*;
use dp_types::*;
use proptest::prelude::*;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Touches everything a reader, a drainer and a lane can touch.
fn visit(region: &Region) {
    let _ = (
        region.node(),
        region.epoch(),
        region.tsc_hz(),
        region.is_current(),
    );
    let _ = (region.kill().state(), region.kill().last_change());
    let _ = (
        region.lease().epoch(),
        region.lease().may_trade(Epoch(1), UnixNanos(1)),
    );
    let mut limits = [InstrumentLimits::default(); 9];
    let _ = region.config().read(&mut limits);
    assert!(region.instruments().iter().count() <= SHAPE.instruments as usize);
    assert!(region.assets().iter().count() <= 256);
    for id in 0..SHAPE.instruments {
        let _ = region
            .position(InstrumentId(id))
            .and_then(PositionLine::read);
        let _ = region.book(InstrumentId(id)).and_then(BookLine::read);
    }
    for id in 0..16 {
        let _ = region.venue(VenueId(id)).and_then(VenueLine::read);
    }
    for lane in region.lanes() {
        let _ = lane.counters.iter().count();
        for stage in Stage::ALL {
            let hist = lane.stages.view(*stage).snapshot();
            let _ = (
                hist.quantile(0.5),
                hist.quantile(1.0),
                hist.mean(),
                hist.iter().count(),
            );
        }
        let log = lane.journal;
        for seq in [
            0,
            1,
            log.drained(),
            log.oldest(),
            log.head().wrapping_sub(1),
            u64::MAX,
        ] {
            let _ = log.read(seq);
        }
        assert!(log.head() - log.oldest() <= log.capacity());
        let _ = lane.ticks_waiting();
    }
}

/// As a lane starting on the file: takes what is there, writes on.
fn run(region: &Region) {
    let guard = region.lock(Lock::Drainer).unwrap();
    for id in 0..SHAPE.lanes {
        let mut lane = region.lane_writer(LaneId(id as u8)).unwrap();
        let mut commands = 0;
        while let Some(words) = lane.commands.pop() {
            let _ = CommandNote::from_words(&words);
            commands += 1;
        }
        assert!(commands <= 256);
        let _ = lane.journal.append(&[[1; 16]; 3], 10);
        let _ = lane.ticks.push(&[1; 8]);
        lane.counters.count(Counter::Fills);
        lane.stages.record(Stage::Oms, u64::MAX);
        lane.stages.record(Stage::Oms, 0);
        let mut ticks = region.lane(LaneId(id as u8)).unwrap().ticks(&guard);
        assert!(std::iter::from_fn(|| ticks.pop()).count() <= 256);
    }
    let _ = region.kill().kill("who", "why", UnixNanos(1));
}

/// Overwrites the file from `from` on with `pattern`, again and again.
fn scribble(path: &Path, from: u64, pattern: &[u8]) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let rest = (file.metadata().unwrap().len() - from) as usize;
    let bytes: Vec<u8> = pattern.iter().copied().cycle().take(rest).collect();
    file.write_all_at(&bytes, from).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_content_is_survived(pattern in proptest::collection::vec(any::<u8>(), 1..97)) {
        let place = Place::new();
        drop(crate::open(&place.file()));
        // After the fixed part of the header, which is checked before anything is mapped.
        scribble(&place.file(), 48, &pattern);
        visit(&Region::attach(&place.file()).unwrap());
        let region = crate::open(&place.file());
        run(&region);
        visit(&region);
    }

    #[test]
    fn cursors_near_the_ends_of_their_range_are_survived(
        cursors in proptest::collection::vec(prop_oneof![
            Just(0), Just(1), Just(255), Just(256), Just(257), Just(u64::MAX), Just(u64::MAX - 1),
            Just(1 << 63), any::<u64>()
        ], 7)
    ) {
        let place = Place::new();
        drop(crate::open(&place.file()));
        let pattern: Vec<u8> = cursors.iter().flat_map(|cursor| cursor.to_le_bytes()).collect();
        scribble(&place.file(), 4096, &pattern);
        let region = crate::open(&place.file());
        run(&region);
        visit(&region);
    }

    #[test]
    fn any_header_is_refused_or_attached(head in proptest::collection::vec(any::<u8>(), 0..128), keep in 0u64..48) {
        let place = Place::new();
        drop(crate::open(&place.file()));
        let file = std::fs::File::options().write(true).open(place.file()).unwrap();
        file.write_all_at(&head, keep).unwrap();
        if let Ok(region) = Region::attach(&place.file()) {
            visit(&region);
        }
    }

    #[test]
    fn any_length_is_refused_or_attached(len in 0u64..300_000) {
        let place = Place::new();
        drop(crate::open(&place.file()));
        let file = std::fs::File::options().write(true).open(place.file()).unwrap();
        file.set_len(len).unwrap();
        let attached = Region::attach(&place.file());
        prop_assert!(matches!(attached, Err(ShmError::Damaged(_) | ShmError::Foreign(_))));
    }
}
