//! Two processes, one file: opening, refusing, replacing, what survives a kill, hostile content.
#![cfg(not(loom))]

mod hostile;
mod metrics;
mod processes;
mod values;

use dp_shm::twin::Words;
use dp_shm::*;
use dp_types::*;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

const SHAPE: Shape = Shape::new(2, 4, 256, 256);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("region")
    }
}

/// A child between its fork and its exec holds copies of our descriptors, locks included: nothing is
/// opened while one is started.
static SPAWN: RwLock<()> = RwLock::new(());

fn try_open(path: &Path, shape: &Shape) -> Result<(Region, Opened), ShmError> {
    let _nobody_spawns = SPAWN
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Region::open_or_create(path, shape)
}

fn open(path: &Path) -> Region {
    try_open(path, &SHAPE).unwrap().0
}

#[test]
fn what_the_dataplane_writes_others_read() {
    let place = Place::new();
    let (dataplane, opened) = try_open(&place.file(), &SHAPE).unwrap();
    assert_eq!(opened, Opened::Created);
    dataplane.set_node("ny4-a");
    assert_eq!(
        dataplane.begin_run(Epoch(7), 2_600_000_000, UnixNanos(5)),
        1
    );
    let mut lane = dataplane.lane_writer(LaneId(1)).unwrap();
    lane.counters.count(Counter::Fills);
    lane.stages.record(Stage::Risk, 120);
    lane.ticks.push(&[3; 8]).unwrap();
    lane.journal.append(&[[9; 16]], 0).unwrap();
    lane.beat.beat(Now {
        tsc: Tsc(11),
        unix: UnixNanos(12),
    });

    let reader = Region::attach(&place.file()).unwrap();
    assert_eq!(
        (reader.node().as_str(), reader.epoch()),
        ("ny4-a", Epoch(7))
    );
    assert_eq!(reader.tsc_hz(), Some(2_600_000_000));
    let view = reader.lane(LaneId(1)).unwrap();
    assert_eq!(view.counters.get(Counter::Fills), 1);
    assert_eq!(view.stages.view(Stage::Risk).snapshot().quantile(0.5), 120);
    assert_eq!(view.journal.read(0), LogRead::Record([9; 16]));
    assert_eq!(
        view.beat
            .beat_tsc
            .load(std::sync::atomic::Ordering::Relaxed),
        11
    );
    let drainer = reader.lock(Lock::Drainer).unwrap();
    assert_eq!(view.ticks(&drainer).pop(), Some([3; 8]));
    assert!(matches!(
        reader.lock(Lock::Drainer),
        Err(ShmError::Held { .. })
    ));

    let mut sender = reader.command_sender(LaneId(1)).unwrap();
    sender
        .send(Command::StrategyStop(StrategyId(3)), "ann", UnixNanos(77))
        .unwrap();
    let note = CommandNote::from_words(&lane.commands.pop().unwrap()).unwrap();
    assert_eq!(note.command, Command::StrategyStop(StrategyId(3)));
    assert_eq!((note.who.as_str(), note.at), ("ann", UnixNanos(77)));
    let set = |param, value, is_last| Command::StrategySet {
        id: StrategyId(500),
        param,
        value,
        is_last,
    };
    for command in [
        Command::StrategyPause(StrategyId(4)),
        Command::StrategyResume(StrategyId(5)),
        set(0, i64::MIN, false),
        set(127, i64::MAX, true),
        Command::ResumeVenue(VenueId::OKX),
        Command::ResumeInstrument(InstrumentId(1_023)),
        Command::Reconcile(VenueId::BINANCE),
    ] {
        sender.send(command, "ann", UnixNanos(78)).unwrap();
        let note = CommandNote::from_words(&lane.commands.pop().unwrap()).unwrap();
        assert_eq!(note.command, command);
    }
    assert!(reader.lane(LaneId(2)).is_none());
    assert!(matches!(
        reader.lane_writer(LaneId(0)),
        Err(ShmError::NotWriter(0))
    ));
    assert!(matches!(
        dataplane.lane_writer(LaneId(1)),
        Err(ShmError::NotWriter(1))
    ));
}

#[test]
fn a_second_dataplane_is_refused_and_told_who_holds_it() {
    let place = Place::new();
    let first = open(&place.file());
    first.begin_run(Epoch(1), 1, UnixNanos(1));
    let refused = try_open(&place.file(), &SHAPE);
    let Err(ShmError::Held { pid, .. }) = refused else {
        panic!("must be refused")
    };
    assert_eq!(pid, std::process::id());
    drop(first);
    assert_eq!(try_open(&place.file(), &SHAPE).unwrap().1, Opened::Reused);
}

#[test]
fn a_region_of_other_sizes_is_kept_beside() {
    let place = Place::new();
    let first = open(&place.file());
    first
        .lane_writer(LaneId(0))
        .unwrap()
        .journal
        .append(&[[5; 16]], 0)
        .unwrap();
    let watcher = Region::attach(&place.file()).unwrap();
    drop(first);
    let bigger = Shape {
        instruments: 8,
        ..SHAPE
    };
    let (_new, opened) = try_open(&place.file(), &bigger).unwrap();
    let Opened::Replaced { kept, .. } = opened else {
        panic!("must be replaced: {opened:?}")
    };
    assert!(!watcher.is_current());
    let old = Region::attach(&kept).unwrap();
    assert_eq!(old.lane(LaneId(0)).unwrap().journal.head(), 1);
}

#[test]
fn foreign_absent_and_other_layouts_say_so() {
    let place = Place::new();
    assert!(matches!(
        Region::attach(&place.file()),
        Err(ShmError::Absent(_))
    ));
    std::fs::write(place.file(), vec![1u8; 9000]).unwrap();
    assert!(matches!(
        Region::attach(&place.file()),
        Err(ShmError::Foreign(_))
    ));
    let refused = try_open(&place.file(), &SHAPE);
    assert!(
        matches!(refused, Err(ShmError::Foreign(_))),
        "never replaces what is not ours"
    );
    std::fs::remove_file(place.file()).unwrap();
    drop(open(&place.file()));
    let file = std::fs::File::options()
        .write(true)
        .open(place.file())
        .unwrap();
    file.write_all_at(&[0xee; 8], 8).unwrap();
    let Err(error) = Region::attach(&place.file()) else {
        panic!("must be refused")
    };
    assert!(
        error.to_string().contains("use programs of one release"),
        "{error}"
    );
}
