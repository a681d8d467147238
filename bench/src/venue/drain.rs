//! The control plane's part for a lane under test: someone must empty its rings, or it stops trading.

use anyhow::Context;
use dp_shm::layout::RECORD_WORDS;
use dp_shm::{LaneView, Lock, LockGuard, LogRead, Region};
use dp_types::LaneId;

/// The one who empties the rings of a region's first lane.
pub struct Drain<'v> {
    lane: LaneView<'v>,
    guard: LockGuard,
    next: u64,
}

impl<'v> Drain<'v> {
    /// Takes the drainer's lock. Errors: somebody else has it.
    pub fn new(region: &'v Region) -> anyhow::Result<Self> {
        Ok(Self {
            lane: region.lane(LaneId(0)).context("a region without lanes")?,
            guard: region.lock(Lock::Drainer)?,
            next: 0,
        })
    }

    /// Copies what the journal has, as the real drain does, and throws the market ticks away.
    pub fn run(&mut self) {
        let lane = &self.lane;
        self.next = self.next.max(lane.journal.oldest());
        let mut sum = [0u64; RECORD_WORDS];
        while let LogRead::Record(record) = lane.journal.read(self.next) {
            for (sum, word) in sum.iter_mut().zip(record) {
                *sum ^= word;
            }
            self.next += 1;
        }
        std::hint::black_box(sum);
        lane.journal.set_drained(self.next);
        lane.ticks(&self.guard).clear();
    }
}
