//! A lane's share of the region: the writing half its thread owns, the reading half everyone else gets.

use crate::balance::{BALANCES_MAX, BalanceLine};
use crate::command::{Command, CommandNote};
use crate::error::ShmError;
use crate::hist::{HistPage, HistView, bump};
use crate::layout::{
    BeatLine, COMMAND_WORDS, CostLine, LaneHead, Offsets, RECORD_WORDS, RULES_MAX, Shape, Slot,
    TICK_WORDS,
};
use crate::lock::{Lock, LockGuard};
use crate::map::Mapping;
use crate::metric::{Counter, Stage};
use crate::region::Region;
use crate::ring::{Consumer, Full, LogReader, LogWriter, Producer};
use crate::risk::{PARTS_MAX, PartLine};
use crate::twin::Words;
use core::sync::atomic::{AtomicU64, Ordering};
use dp_types::{LaneId, Now, Text, UnixNanos};

/// What a lane may do, in the order of their bits: the configuration's words.
pub const ROLES: [&str; 4] = ["feed", "engine", "gateway", "journal"];

impl BeatLine {
    /// A duty cycle begins, and the one before has ended. Cost: two loads of its own line, two stores.
    #[inline]
    pub fn beat(&self, now: Now) {
        let before = self.beat_tsc.load(Ordering::Relaxed);
        let cycles = now.tsc.0.saturating_sub(before);
        if before != 0 && cycles > self.cycle_tsc_max.load(Ordering::Relaxed) {
            self.cycle_tsc_max.store(cycles, Ordering::Relaxed);
        }
        self.beat_tsc.store(now.tsc.0, Ordering::Relaxed);
        self.beat_unix_ns.store(now.unix.0, Ordering::Relaxed);
    }

    /// The lane runs in this kernel thread from here on; no cycle of an earlier run counts.
    pub fn begin(&self, thread: u32) {
        self.beat_tsc.store(0, Ordering::Relaxed);
        self.cycle_tsc_max.store(0, Ordering::Relaxed);
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The lane has ended in order.
    pub fn end(&self) {
        self.thread.store(0, Ordering::Relaxed);
    }

    /// The lane runs pinned to `core`, or to none.
    pub fn show_core(&self, core: Option<usize>) {
        let plus_one = core.and_then(|core| u32::try_from(core + 1).ok());
        self.core_plus_one
            .store(plus_one.unwrap_or(0), Ordering::Relaxed);
    }

    /// The lane has these of [`ROLES`], a bit each.
    pub fn show_roles(&self, bits: u32) {
        self.roles.store(bits, Ordering::Relaxed);
    }

    /// Which of [`ROLES`] it has.
    pub fn roles(&self) -> impl Iterator<Item = &'static str> {
        let bits = self.roles.load(Ordering::Relaxed);
        let roles = ROLES.into_iter().enumerate();
        roles.filter_map(move |(at, role)| (bits >> at & 1 == 1).then_some(role))
    }

    /// The lane sends nothing new, or does again.
    pub fn show_paused(&self, is_paused: bool) {
        self.is_paused
            .store(u32::from(is_paused), Ordering::Relaxed);
    }
}

/// Counters of one lane. Anyone may read; only the lane adds.
#[derive(Clone, Copy)]
pub struct Counters<'r>(&'r [AtomicU64; Counter::COUNT]);

impl Counters<'_> {
    /// Adds `by`. Single writer: a load and a store, no locked instruction.
    #[inline]
    pub fn add(&self, counter: Counter, by: u64) {
        bump(&self.0[counter as usize], by);
    }

    /// Adds 1.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// The count since the region was made.
    #[inline]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Relaxed)
    }

    /// All of them with their names.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL
            .iter()
            .map(|counter| (*counter, self.get(*counter)))
    }
}

/// Violations of one lane by rule. Anyone may read; only the lane adds.
#[derive(Clone, Copy)]
pub struct Violations<'r>(&'r [AtomicU64; RULES_MAX]);

impl Violations<'_> {
    /// Counts one of the rule with this number; one of [`RULES_MAX`] or more is not counted. Single writer, as
    /// [`Counters::add`].
    #[inline]
    pub fn count(&self, rule: u8) {
        if let Some(count) = self.0.get(usize::from(rule)) {
            bump(count, 1);
        }
    }

    /// The count since the region was made; 0 of a rule that has none.
    pub fn get(&self, rule: u8) -> u64 {
        let count = self.0.get(usize::from(rule));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// Stage histograms of one lane. Anyone may read; only the lane records.
#[derive(Clone, Copy)]
pub struct Stages<'r>(&'r [HistPage]);

impl<'r> Stages<'r> {
    /// Records one duration in TSC cycles. Cost: under 10 ns, four stores at most.
    #[inline]
    pub fn record(&self, stage: Stage, cycles: u64) {
        self.0[stage as usize].record(cycles);
    }

    /// One stage's histogram.
    pub fn view(&self, stage: Stage) -> HistView<'r> {
        HistView(&self.0[stage as usize])
    }
}

/// What a lane's thread writes and takes in. One per lane and process ([`Region::lane_writer`]).
pub struct LaneWriter<'r> {
    /// Which lane.
    pub lane: LaneId,
    /// Liveness.
    pub beat: &'r BeatLine,
    /// Counters.
    pub counters: Counters<'r>,
    /// What the risk gate refused and what tripped.
    pub violations: Violations<'r>,
    /// Histograms.
    pub stages: Stages<'r>,
    /// Market ticks out; a full ring drops, and the lane counts it.
    pub ticks: Producer<'r, TICK_WORDS>,
    /// Commands in: [`CommandNote::from_words`].
    pub commands: Consumer<'r, COMMAND_WORDS>,
    /// The journal ring; `dp_journal::Journal` gives it meaning.
    pub journal: LogWriter<'r, RECORD_WORDS>,
    /// What each strategy holds of each instrument, in no order; one without an execution is free.
    pub held: &'r [PartLine],
    /// Balances by venue and asset, in no order; one without a venue is free.
    pub balances: &'r [BalanceLine],
}

/// What others see of a lane ([`Region::lane`]).
#[derive(Clone, Copy)]
pub struct LaneView<'r> {
    /// Which lane.
    pub lane: LaneId,
    /// Liveness.
    pub beat: &'r BeatLine,
    /// What it costs the kernel.
    pub cost: &'r CostLine,
    /// Counters.
    pub counters: Counters<'r>,
    /// What the risk gate refused and what tripped.
    pub violations: Violations<'r>,
    /// Histograms.
    pub stages: Stages<'r>,
    /// The journal ring, readable by any number.
    pub journal: LogReader<'r, RECORD_WORDS>,
    /// What each strategy holds of each instrument, in no order; one without an execution is free.
    pub held: &'r [PartLine],
    /// Balances by venue and asset, in no order; one without a venue is free.
    pub balances: &'r [BalanceLine],
    parts: LaneParts<'r>,
}

impl<'r> LaneView<'r> {
    /// The tick ring's reading end. `guard` must be this region's [`Lock::Drainer`]: one reader only.
    pub fn ticks(&self, guard: &LockGuard) -> Consumer<'r, TICK_WORDS> {
        assert!(
            guard.lock() == Lock::Drainer,
            "ticks are taken under the drainer lock"
        );
        let head = self.parts.head;
        Consumer::new(&head.tick_head.at, &head.tick_tail.at, self.parts.ticks)
    }

    /// Ticks waiting for the drainer.
    pub fn ticks_waiting(&self) -> u64 {
        let head = self.parts.head.tick_head.at.load(Ordering::Acquire);
        head.saturating_sub(self.parts.head.tick_tail.at.load(Ordering::Acquire))
    }
}

/// Sends commands to one lane; holds [`Lock::Control`] while it lives.
pub struct CommandSender<'r> {
    ring: Producer<'r, COMMAND_WORDS>,
    _guard: LockGuard,
}

impl CommandSender<'_> {
    /// Puts a command into the lane's ring. `who` is cut to 31 bytes. Errors: [`Full`]: the lane has not
    /// taken commands for long; it is stuck or not running.
    pub fn send(&mut self, command: Command, who: &str, now: UnixNanos) -> Result<(), Full> {
        self.ring.push(
            &CommandNote {
                command,
                who: Text::lossy(who),
                at: now,
            }
            .to_words(),
        )
    }
}

#[derive(Clone, Copy)]
pub(crate) struct LaneParts<'r> {
    head: &'r LaneHead,
    hists: &'r [HistPage],
    held: &'r [PartLine],
    balances: &'r [BalanceLine],
    ticks: &'r [Slot<TICK_WORDS>],
    commands: &'r [Slot<COMMAND_WORDS>],
    journal: &'r [Slot<RECORD_WORDS>],
}

impl<'r> LaneParts<'r> {
    /// `lane` must be below `shape.lanes`.
    pub fn of(map: &'r Mapping, shape: &Shape, offsets: &Offsets, lane: LaneId) -> Self {
        let base = offsets.lanes + usize::from(lane.0) * offsets.lane_stride;
        Self {
            head: map.at(base),
            hists: map.slice(base + offsets.hist, Stage::COUNT),
            held: map.slice(base + offsets.parts, PARTS_MAX),
            balances: map.slice(base + offsets.balances, BALANCES_MAX),
            ticks: map.slice(base + offsets.ticks, shape.tick_records as usize),
            commands: map.slice(base + offsets.commands, shape.command_records as usize),
            journal: map.slice(base + offsets.journal, shape.journal_records as usize),
        }
    }

    pub fn writer(self, lane: LaneId) -> LaneWriter<'r> {
        let head = self.head;
        LaneWriter {
            lane,
            beat: &head.beat,
            counters: Counters(&head.counters),
            violations: Violations(&head.violations),
            stages: Stages(self.hists),
            ticks: Producer::new(&head.tick_head.at, &head.tick_tail.at, self.ticks),
            commands: Consumer::new(&head.command_head.at, &head.command_tail.at, self.commands),
            journal: LogWriter::new(
                &head.journal_head.at,
                &head.journal_drained.at,
                self.journal,
            ),
            held: self.held,
            balances: self.balances,
        }
    }

    pub fn view(self, lane: LaneId) -> LaneView<'r> {
        let head = self.head;
        LaneView {
            lane,
            beat: &head.beat,
            cost: &head.cost,
            counters: Counters(&head.counters),
            violations: Violations(&head.violations),
            stages: Stages(self.hists),
            journal: LogReader::new(
                &head.journal_head.at,
                &head.journal_drained.at,
                self.journal,
            ),
            held: self.held,
            balances: self.balances,
            parts: self,
        }
    }

    pub fn sender(self, region: &Region) -> Result<CommandSender<'r>, ShmError> {
        let guard = region.lock(Lock::Control)?;
        let head = self.head;
        let ring = Producer::new(&head.command_head.at, &head.command_tail.at, self.commands);
        Ok(CommandSender {
            ring,
            _guard: guard,
        })
    }
}
