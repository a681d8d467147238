//! Shared memory of one case.

use dp_shm::Region;
use dp_shm::layout::Shape;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A region; its file goes with it.
pub struct Memory {
    region: Region,
    path: PathBuf,
}

impl Memory {
    /// A fresh region.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spinlane-conformance-{}-{number}", std::process::id());
        let path = PathBuf::from("/dev/shm").join(name);
        let opened = Region::open_or_create(&path, &Shape::new(1, 8, 1 << 12, 1 << 12));
        let region = opened.expect("shared memory").0;
        Self { region, path }
    }

    /// The region.
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// Says that everything in the journal is in the database, as the control plane would.
    pub fn drain(region: &Region) {
        for lane in region.lanes() {
            lane.journal.set_drained(lane.journal.head());
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
