//! Where everything lies. This file is the wire format between the two processes.
//!
//! ```text
//!        0 ┌───────────────────────────────────────────────┐
//!          │ Header          identity, sizes, run          │  one page, checked before anything is mapped
//!     4096 ├───────────────────────────────────────────────┤
//!          │ LeaseWord │ KillWord + 8 notes                 │
//!          ├───────────────────────────────────────────────┤
//!          │ ConfigPage      version, 2 slots of limits    │  node-wide, then per instrument
//!          ├───────────────────────────────────────────────┤
//!          │ AssetTable      count, 256 names              │
//!          │ InstrumentTable count, entries                │  write-once identity, rules may change
//!          ├───────────────────────────────────────────────┤
//!          │ VenueLine   x 16                              │
//!          │ PositionLine x instruments                    │
//!          │ BookLine     x instruments                    │
//!          │ MarketLine   x instruments                    │
//!          │ Strategy status, spec, saved state   x 64     │
//!          │ RiskLine     x 16                             │
//!          ├───────────────────────────────────────────────┤ ┐
//!          │ LaneHead    beat, cost, cursors, counters,     │ │
//!          │             violations by rule                │ │
//!          │ histograms  one per Stage                     │ │ x lanes
//!          │ PartLine    x 256                             │ │
//!          │ BalanceLine x 128                             │ │
//!          │ tick ring   tick_records x 64 B               │ │
//!          │ command ring command_records x 64 B           │ │
//!          │ journal ring journal_records x 128 B          │ │
//!          └───────────────────────────────────────────────┘ ┘
//! ```
//!
//! Sections start on pages. Offsets follow from [`Shape`] alone, which the header carries; they are
//! computed once at open and kept privately, never read again from memory others can write.

use crate::balance::{BALANCES_MAX, BalanceLine};
use crate::config::ConfigHead;
use crate::hist::HistPage;
use crate::lane::ROLES;
use crate::lines::{BookLine, PositionLine, VenueLine};
use crate::market::MarketLine;
use crate::metric::{Counter, Stage};
use crate::risk::{PARTS_MAX, PartLine, RiskLine};
use crate::strategies::{StrategyLine, StrategySpecLine, StrategyStateLine};
use crate::table::{AssetLine, InstrumentLine, TableHead};
use crate::words::{KillWord, LeaseWord};
use core::mem::{align_of, offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use dp_types::limit::{ASSETS_MAX, INSTRUMENTS_MAX, LANES_MAX, STRATEGIES_MAX};

/// Version of the layout; raised with each release that changes it.
pub const VERSION: u32 = 2;
/// First eight bytes of every region: "spinlane".
pub const MAGIC: u64 = u64::from_le_bytes(*b"spinlane");
/// Sections start on these.
pub const PAGE: usize = 4096;
/// Venues with a line of their own: [`dp_types::VenueId`] 1..=11, rounded up.
pub const VENUES_MAX: usize = 16;
/// Words in a market tick.
pub const TICK_WORDS: usize = 8;
/// Words in a command.
pub const COMMAND_WORDS: usize = 8;
/// Words in a journal record.
pub const RECORD_WORDS: usize = 16;
/// Risk rules with a count of their own: numbers below this.
pub const RULES_MAX: usize = 128;

/// How big a region's parts are. Everything else about its layout follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Lanes, 1..=[`LANES_MAX`].
    pub lanes: u32,
    /// Instruments, 1..=[`INSTRUMENTS_MAX`].
    pub instruments: u32,
    /// Records in each lane's journal ring; a power of two, 256..=2^24.
    pub journal_records: u32,
    /// Records in each lane's tick ring; a power of two, 256..=2^24.
    pub tick_records: u32,
    /// Records in each lane's command ring; a power of two, 16..=4096.
    pub command_records: u32,
}

impl Shape {
    /// A shape with 256 commands a lane, which no operator outruns.
    pub const fn new(
        lanes: u32,
        instruments: u32,
        journal_records: u32,
        tick_records: u32,
    ) -> Self {
        Self {
            lanes,
            instruments,
            journal_records,
            tick_records,
            command_records: 256,
        }
    }

    /// Bytes of a region of this shape, which passes [`Shape::check`]: under 2^37.
    pub const fn size(&self) -> u64 {
        Offsets::of(self).size as u64
    }

    /// Checks the ranges. Errors: the sentence that says which is wrong.
    pub const fn check(&self) -> Result<(), &'static str> {
        if self.lanes == 0 || self.lanes as usize > LANES_MAX {
            return Err("1 to 16 lanes");
        }
        if self.instruments == 0 || self.instruments as usize > INSTRUMENTS_MAX {
            return Err("1 to 1024 instruments");
        }
        if !self.journal_records.is_power_of_two()
            || self.journal_records < 256
            || self.journal_records > 1 << 24
        {
            return Err("journal_records: a power of two, 256 to 16777216");
        }
        if !self.tick_records.is_power_of_two()
            || self.tick_records < 256
            || self.tick_records > 1 << 24
        {
            return Err("tick_records: a power of two, 256 to 16777216");
        }
        if !self.command_records.is_power_of_two()
            || self.command_records < 16
            || self.command_records > 4096
        {
            return Err("command_records: a power of two, 16 to 4096");
        }
        Ok(())
    }
}

/// Identity, sizes and the run that holds the file. Written by the dataplane; `control_pid` by the
/// control plane.
#[repr(C, align(64))]
pub struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) layout_hash: AtomicU64,
    pub(crate) version: AtomicU32,
    pub(crate) lanes: AtomicU32,
    pub(crate) instruments: AtomicU32,
    pub(crate) journal_records: AtomicU32,
    pub(crate) tick_records: AtomicU32,
    pub(crate) command_records: AtomicU32,
    pub(crate) size: AtomicU64,
    /// Epoch of the run that holds or last held the file; 0 = none yet.
    pub epoch: AtomicU32,
    /// Process of the dataplane, 0 when it ended in order.
    pub dataplane_pid: AtomicU32,
    /// Process of the control plane, 0 when it ended in order.
    pub control_pid: AtomicU32,
    /// Bit per lane: it has written here what it took over from earlier runs.
    pub(crate) settled: AtomicU32,
    /// Dataplane starts since the file was made.
    pub starts: AtomicU64,
    /// TSC cycles a second, as measured by the dataplane: turns stages into nanoseconds.
    pub tsc_hz: AtomicU64,
    /// When this run began, Unix nanoseconds.
    pub started_unix_ns: AtomicU64,
    pub(crate) node: [AtomicU64; 4],
    /// When the file was made, Unix nanoseconds: ring positions count from then, so it names them.
    pub born_unix_ns: AtomicU64,
}

/// Liveness of one lane. Writer: that lane alone. Readers: control plane, CLI.
#[repr(C, align(64))]
pub struct BeatLine {
    /// Start of the latest duty cycle, TSC cycles.
    pub beat_tsc: AtomicU64,
    /// Longest duty cycle since start, beat to beat, waits and stalls included, TSC cycles.
    pub cycle_tsc_max: AtomicU64,
    /// Start of the latest duty cycle, Unix nanoseconds.
    pub beat_unix_ns: AtomicU64,
    /// Kernel thread id, 0 = not running.
    pub thread: AtomicU32,
    /// Core it is pinned to, plus one; 0 = not pinned.
    pub core_plus_one: AtomicU32,
    /// 0 = trades, 1 = paused (sends nothing new).
    pub is_paused: AtomicU32,
    /// A bit for each of [`crate::ROLES`] it has.
    pub roles: AtomicU32,
    pad: [AtomicU32; 6],
}

/// What one lane costs the kernel: page faults, voluntary and involuntary context switches, in this order.
/// Writer: the dataplane's main thread, never the lane. Readers: control plane, CLI.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct CostLine {
    /// Since the lane's thread started.
    pub since_start: [AtomicU64; 3],
    /// The same counts when it became steady.
    pub at_steady: [AtomicU64; 3],
    /// Since when it is steady, Unix nanoseconds: its connections stand and its orders are compared; 0 = it is not.
    pub steady_unix_ns: AtomicU64,
    /// System calls it was refused (seccomp).
    pub refused: AtomicU32,
    /// Number of the last of them, plus one; 0 = none.
    pub refused_call_plus_one: AtomicU32,
}

impl CostLine {
    /// Since when the lane is steady, and what it cost since; `None` = it is not.
    pub fn since_steady(&self) -> Option<(u64, [u64; 3])> {
        let from = self.steady_unix_ns.load(Ordering::Relaxed);
        let cost = |at: usize| {
            let now = self.since_start[at].load(Ordering::Relaxed);
            now.saturating_sub(self.at_steady[at].load(Ordering::Relaxed))
        };
        (from != 0).then(|| (from, [cost(0), cost(1), cost(2)]))
    }
}

/// One cursor on a line of its own, so that its writer and its reader do not share a line with others.
#[repr(C, align(64))]
pub struct Cursor {
    /// The position.
    pub at: AtomicU64,
    pad: [AtomicU64; 7],
}

/// Everything of a lane but its histograms and ring slots.
#[repr(C, align(64))]
pub struct LaneHead {
    /// Liveness.
    pub beat: BeatLine,
    /// What it costs the kernel.
    pub cost: CostLine,
    /// Ticks: the lane's cursor.
    pub tick_head: Cursor,
    /// Ticks: the drainer's cursor.
    pub tick_tail: Cursor,
    /// Commands: the senders' cursor.
    pub command_head: Cursor,
    /// Commands: the lane's cursor.
    pub command_tail: Cursor,
    /// Journal: the lane's cursor.
    pub journal_head: Cursor,
    /// Journal: everything below is in the database.
    pub journal_drained: Cursor,
    /// By [`Counter`].
    pub counters: [AtomicU64; Counter::COUNT],
    /// By `dp_risk`'s number of a rule: orders and amends it refused, times it tripped.
    pub violations: [AtomicU64; RULES_MAX],
}

/// One record of a ring.
pub type Slot<const W: usize> = [AtomicU64; W];

/// Offsets in bytes of each section, from the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub lease: usize,
    pub kill: usize,
    pub config: usize,
    pub assets: usize,
    pub instruments: usize,
    pub venues: usize,
    pub positions: usize,
    pub books: usize,
    pub markets: usize,
    pub strategies: usize,
    pub strategy_specs: usize,
    pub strategy_states: usize,
    pub risks: usize,
    pub lanes: usize,
    pub lane_stride: usize,
    pub hist: usize,
    pub parts: usize,
    pub balances: usize,
    pub ticks: usize,
    pub commands: usize,
    pub journal: usize,
    pub size: usize,
}

const fn pages(size: usize) -> usize {
    size.next_multiple_of(PAGE)
}

impl Offsets {
    /// Of a checked shape. Cannot overflow: the largest shape is under 2^37 bytes.
    pub const fn of(shape: &Shape) -> Self {
        let instruments = shape.instruments as usize;
        let lease = PAGE;
        let kill = lease + size_of::<LeaseWord>();
        let config = pages(kill + size_of::<KillWord>());
        let assets = pages(config + ConfigHead::size(instruments));
        let assets_end = assets + size_of::<TableHead>() + ASSETS_MAX * size_of::<AssetLine>();
        let table = pages(assets_end);
        let table_end = table + size_of::<TableHead>() + instruments * size_of::<InstrumentLine>();
        let venues = pages(table_end);
        let positions = pages(venues + VENUES_MAX * size_of::<VenueLine>());
        let books = pages(positions + instruments * size_of::<PositionLine>());
        let markets = pages(books + instruments * size_of::<BookLine>());
        let strategies = pages(markets + instruments * size_of::<MarketLine>());
        let strategy_specs = strategies + STRATEGIES_MAX * size_of::<StrategyLine>();
        let strategy_states = strategy_specs + STRATEGIES_MAX * size_of::<StrategySpecLine>();
        let risks = pages(strategy_states + STRATEGIES_MAX * size_of::<StrategyStateLine>());
        let lanes = pages(risks + LANES_MAX * size_of::<RiskLine>());
        // Relative to the lane's start from here on.
        let hist = pages(size_of::<LaneHead>());
        let parts = pages(hist + Stage::COUNT * size_of::<HistPage>());
        let balances = pages(parts + PARTS_MAX * size_of::<PartLine>());
        let ticks = pages(balances + BALANCES_MAX * size_of::<BalanceLine>());
        let commands = pages(ticks + shape.tick_records as usize * size_of::<Slot<TICK_WORDS>>());
        let commands_size = shape.command_records as usize * size_of::<Slot<COMMAND_WORDS>>();
        let journal = pages(commands + commands_size);
        let journal_size = shape.journal_records as usize * size_of::<Slot<RECORD_WORDS>>();
        let lane_stride = pages(journal + journal_size);
        Self {
            lease,
            kill,
            config,
            assets,
            instruments: table,
            venues,
            positions,
            books,
            markets,
            strategies,
            strategy_specs,
            strategy_states,
            risks,
            lanes,
            lane_stride,
            hist,
            parts,
            balances,
            ticks,
            commands,
            journal,
            size: lanes + lane_stride * shape.lanes as usize,
        }
    }
}

/// Fingerprint of everything two builds must agree on: version, sizes, offsets, names and their order.
pub const LAYOUT_HASH: u64 = layout_hash();

const fn mix(hash: u64, value: u64) -> u64 {
    // FNV-1a over 64-bit steps with a rotation, so that order and position count.
    (hash.rotate_left(5) ^ value).wrapping_mul(0x0100_0000_01b3)
}

const fn mix_text(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = mix(hash, bytes[at] as u64);
        at += 1;
    }
    mix(hash, 0xff)
}

const fn layout_hash() -> u64 {
    let facts = [
        VERSION as usize,
        size_of::<Header>(),
        offset_of!(Header, layout_hash),
        offset_of!(Header, version),
        offset_of!(Header, size),
        offset_of!(Header, epoch),
        offset_of!(Header, tsc_hz),
        offset_of!(Header, node),
        offset_of!(Header, born_unix_ns),
        size_of::<LeaseWord>(),
        size_of::<KillWord>(),
        size_of::<TableHead>(),
        size_of::<AssetLine>(),
        size_of::<InstrumentLine>(),
        size_of::<VenueLine>(),
        size_of::<PositionLine>(),
        size_of::<BookLine>(),
        size_of::<MarketLine>(),
        size_of::<StrategyLine>(),
        size_of::<StrategySpecLine>(),
        size_of::<StrategyStateLine>(),
        size_of::<RiskLine>(),
        size_of::<PartLine>(),
        size_of::<BalanceLine>(),
        size_of::<BeatLine>(),
        offset_of!(BeatLine, beat_unix_ns),
        size_of::<CostLine>(),
        offset_of!(CostLine, steady_unix_ns),
        offset_of!(BeatLine, roles),
        size_of::<LaneHead>(),
        offset_of!(LaneHead, journal_head),
        offset_of!(LaneHead, counters),
        offset_of!(LaneHead, violations),
        size_of::<HistPage>(),
        align_of::<HistPage>(),
        ConfigHead::size(1),
        ConfigHead::size(2),
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < facts.len() {
        hash = mix(hash, facts[at] as u64);
        at += 1;
    }
    at = 0;
    while at < Counter::COUNT {
        hash = mix_text(hash, Counter::ALL[at].name());
        at += 1;
    }
    at = 0;
    while at < Stage::COUNT {
        hash = mix_text(hash, Stage::ALL[at].name());
        at += 1;
    }
    at = 0;
    while at < ROLES.len() {
        hash = mix_text(hash, ROLES[at]);
        at += 1;
    }
    let shape = Shape::new(2, 3, 512, 1024);
    let offsets = Offsets::of(&shape);
    mix(mix(hash, offsets.lane_stride as u64), offsets.size as u64)
}

const _: () = {
    assert!(size_of::<Header>() == 128 && offset_of!(Header, magic) == 0);
    assert!(offset_of!(Header, layout_hash) == 8 && offset_of!(Header, version) == 16);
    assert!(offset_of!(Header, size) == 40 && offset_of!(Header, epoch) == 48);
    assert!(size_of::<BeatLine>() == 64 && offset_of!(BeatLine, cycle_tsc_max) == 8);
    assert!(size_of::<Cursor>() == 64 && size_of::<LeaseWord>() == 64);
    assert!(size_of::<CostLine>() == 64 && offset_of!(LaneHead, cost) == 64);
    assert!(offset_of!(LaneHead, tick_head) == 128 && offset_of!(LaneHead, counters) == 512);
    assert!(size_of::<Slot<TICK_WORDS>>() == 64 && size_of::<Slot<COMMAND_WORDS>>() == 64);
    assert!(size_of::<Slot<RECORD_WORDS>>() == 128);
    assert!(size_of::<PositionLine>() == 320 && size_of::<BookLine>() == 192);
    assert!(size_of::<InstrumentLine>() == 320 && size_of::<AssetLine>() == 64);
    assert!(size_of::<VenueLine>() == 192);
    assert!(size_of::<RiskLine>() == 512 && size_of::<PartLine>() == 320);
    assert!(size_of::<BalanceLine>() == 256);
    assert!(size_of::<HistPage>().is_multiple_of(64));
};
