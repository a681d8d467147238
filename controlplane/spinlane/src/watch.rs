//! Watches the lanes' beats from outside, and says when one hangs and when it turns again.
//!
//! A thread of its own: the database may keep the drain waiting for as long as it likes. It looks at whether
//! the beat has moved, by its own monotonic clock: neither a stepped clock nor a stopped lane fools it. It
//! changes nothing: whether to kill, and what, is for people to say.

use crate::view::lanes::{Health, Standing, standings};
use dp_shm::Region;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at every beat. A stuck lane is told of at most this later than its bound.
const LOOK: Duration = Duration::from_millis(20);

/// What was seen of one lane since the watch began: metrics, in `control.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// How it stands.
    pub health: Health,
    /// How long its beat has not moved, milliseconds.
    pub still_ms: u64,
    /// Times it was slow.
    pub slow_count: u64,
    /// Times it was stuck.
    pub stuck_count: u64,
    /// Longest its beat did not move while it ran, milliseconds.
    pub still_ms_max: u64,
}

/// The watch over one node. Dropping it ends its thread.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the node whose shared memory is, or will be, at `shm`. Errors: no thread.
    pub fn start(shm: PathBuf) -> std::io::Result<Self> {
        let seen = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, over) = (Arc::clone(&seen), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().name("watch".into());
        let thread = thread.spawn(move || watch(&shm, &told, &over))?;
        Ok(Self {
            seen,
            is_over,
            thread: Some(thread),
        })
    }

    /// What was seen so far, by lane.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A watch that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn watch(shm: &std::path::Path, told: &Mutex<Vec<Seen>>, is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        // Not there yet, or being made: nothing to say, the drain says it.
        if let Ok(region) = Region::attach(shm) {
            let mut beats: Vec<Beat> = region.lanes().map(|_| Beat::new(Instant::now())).collect();
            while !is_over.load(Relaxed) && region.is_current() {
                let now = Instant::now();
                for (lane, beat) in standings(&region).iter().zip(&mut beats) {
                    let tsc = region.lane(dp_types::LaneId(lane.lane));
                    let tsc = tsc.map_or(0, |view| view.beat.beat_tsc.load(Relaxed));
                    tell(lane, beat.look(lane.health, lane.thread, tsc, now), beat);
                }
                let seen: Vec<Seen> = beats.iter().map(|beat| beat.seen.clone()).collect();
                *told.lock().unwrap_or_else(PoisonError::into_inner) = seen;
                std::thread::sleep(LOOK);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Nothing,
    /// It stands otherwise than at the look before.
    From(Health),
}

/// One lane's beat between looks.
#[derive(Debug)]
struct Beat {
    seen: Seen,
    tsc: u64,
    thread: u32,
    moved: Instant,
}

impl Beat {
    fn new(now: Instant) -> Self {
        Self {
            seen: Seen::default(),
            tsc: 0,
            thread: 0,
            moved: now,
        }
    }

    /// Takes a look: `told` is what shared memory says of the lane, `tsc` its beat.
    fn look(&mut self, told: Health, thread: u32, tsc: u64, now: Instant) -> News {
        if tsc != self.tsc || thread != self.thread {
            (self.tsc, self.thread, self.moved) = (tsc, thread, now);
        }
        let still = now.saturating_duration_since(self.moved).as_millis();
        let still_ms = u64::try_from(still).unwrap_or(u64::MAX);
        let health = match told {
            Health::Stopped | Health::Dead => told,
            _ => Health::of_beat(Some(still_ms)),
        };
        let before = core::mem::replace(&mut self.seen.health, health);
        self.seen.still_ms = still_ms;
        if !matches!(health, Health::Stopped | Health::Dead) {
            self.seen.still_ms_max = self.seen.still_ms_max.max(still_ms);
        }
        if before == health {
            return News::Nothing;
        }
        self.seen.slow_count += u64::from(health == Health::Slow);
        self.seen.stuck_count += u64::from(health == Health::Stuck);
        News::From(before)
    }
}

fn tell(lane: &Standing, news: News, beat: &Beat) {
    let News::From(before) = news else { return };
    let (id, core, thread) = (lane.lane, lane.core, lane.thread);
    let still_ms = beat.seen.still_ms;
    let hangs = || crate::view::lanes::Thread::read(lane.pid, thread).text();
    match beat.seen.health {
        Health::Stuck => {
            tracing::error!(
                lane = id,
                ?core,
                thread,
                still_ms,
                hangs = hangs(),
                "lane stuck"
            );
        }
        Health::Slow => {
            tracing::warn!(
                lane = id,
                ?core,
                thread,
                still_ms,
                hangs = hangs(),
                "lane slow"
            );
        }
        Health::Dead => tracing::error!(lane = id, ?core, thread, "lane dead: its process is gone"),
        Health::Fine if matches!(before, Health::Slow | Health::Stuck) => {
            let still_ms = beat.seen.still_ms_max;
            tracing::warn!(
                lane = id,
                was = before.name(),
                still_ms_max = still_ms,
                "lane turns again"
            );
        }
        Health::Fine => tracing::info!(lane = id, ?core, thread, "lane turns"),
        Health::Stopped => tracing::info!(lane = id, "lane ended in order"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_stands_still_is_slow_then_stuck_and_its_return_is_told() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut beat = Beat::new(start);
        let turns = News::From(Health::Stopped);
        assert_eq!(beat.look(Health::Fine, 7, 1, at(0)), turns);
        assert_eq!(beat.look(Health::Fine, 7, 2, at(20)), News::Nothing);
        assert_eq!(beat.look(Health::Fine, 7, 2, at(60)), News::Nothing);
        assert_eq!(
            beat.look(Health::Fine, 7, 2, at(80)),
            News::From(Health::Fine)
        );
        // What shared memory says of the beat's age goes by a clock that may have been stepped.
        assert_eq!(
            beat.look(Health::Fine, 7, 2, at(540)),
            News::From(Health::Slow)
        );
        assert_eq!(
            beat.look(Health::Stuck, 7, 3, at(700)),
            News::From(Health::Stuck)
        );
        assert_eq!(beat.seen.health, Health::Fine);
        let Seen {
            slow_count,
            stuck_count,
            still_ms_max,
            ..
        } = beat.seen;
        assert_eq!((slow_count, stuck_count, still_ms_max), (1, 1, 520));
    }

    #[test]
    fn an_end_is_no_stall() {
        let start = Instant::now();
        let later = start + Duration::from_secs(9);
        let mut beat = Beat::new(start);
        beat.look(Health::Fine, 7, 1, start);
        assert_eq!(
            beat.look(Health::Dead, 7, 1, later),
            News::From(Health::Fine)
        );
        assert_eq!(
            beat.look(Health::Stopped, 0, 1, later),
            News::From(Health::Dead)
        );
        assert_eq!(
            beat.look(Health::Fine, 8, 1, later),
            News::From(Health::Stopped)
        );
        assert_eq!((beat.seen.stuck_count, beat.seen.still_ms_max), (0, 0));
    }
}
