//! Laws of records and readers, recovery, and a writer killed in mid-publish.

mod arbitrary;
mod kill;
mod laws;
mod recovery;

use dp_journal::Journal;
use dp_shm::{Region, Shape};
use dp_types::{Epoch, LaneId};
use std::sync::RwLock;

const SHAPE: Shape = Shape::new(1, 4, 256, 256);
const LANE: LaneId = LaneId(0);

/// A child between its fork and its exec holds copies of our descriptors, locks included: nothing is
/// opened while one is started.
static SPAWN: RwLock<()> = RwLock::new(());

/// A region of its own in a folder of its own.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("region")
    }

    fn open(&self) -> Region {
        let _nobody_spawns = SPAWN
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Region::open_or_create(&self.file(), &SHAPE).unwrap().0
    }
}

fn journal(region: &Region, epoch: u16) -> Journal<'_> {
    Journal::new(
        region.lane_writer(LANE).unwrap().journal,
        LANE,
        Epoch(epoch),
    )
}
