//! The wall between the dataplane (one writer process) and everything that watches or steers it.
//!
//! One file per node, mapped by both sides. This crate alone owns its layout, version and hash, and it
//! is the only way through: rings, metric pages, positions, limits, kill word, lease word.
//!
//! ```text
//!   spinlane-dataplane  ── Region::open_or_create ─┐              ┌─ Region::attach ── spinlane (any number)
//!     LaneWriter: beat, counters, stages,          ▼              ▼
//!     tick ring ▶, journal ring ▶, commands ◀   /dev/shm/spinlane-NAME
//! ```
//!
//! Every shared word is an atomic and every record is copied word by word before it is judged, so no
//! content of the file, torn or hostile, can make a reader misbehave: at worst it reads nonsense and
//! says so. That leaves `unsafe` in two files: `map.rs`, which makes the mapping and points into it, and
//! `spsc.rs`, the ring between two lanes of one process.
//!
//! Deliberately not here: what an order or a record means (`dp-journal`), clocks, waiting. Nothing in
//! this crate blocks a lane; the locks are for the processes on the other side.
//!
//! The rings, `spsc`'s too, and the twin slots are model-checked, all interleavings, weak memory included:
//! `RUSTFLAGS="--cfg loom" cargo test -p dp-shm --release --lib loom` (a few seconds).
//!
//! A file shrunk by someone else while it is mapped ends both sides by SIGBUS; the file is ours alone (0660) and
//! no program of ours shrinks it.

#[cfg(not(target_endian = "little"))]
compile_error!("the shared layout is little-endian");

pub mod mark;
pub mod ring;
pub mod spsc;
mod sync;
pub mod twin;

#[cfg(not(loom))]
mod balance;
#[cfg(not(loom))]
mod command;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod hist;
#[cfg(not(loom))]
mod lane;
#[cfg(not(loom))]
pub mod layout;
#[cfg(not(loom))]
mod lines;
#[cfg(not(loom))]
mod lock;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod market;
#[cfg(not(loom))]
mod metric;
#[cfg(not(loom))]
mod numbers;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod risk;
#[cfg(not(loom))]
mod strategies;
#[cfg(not(loom))]
mod table;
#[cfg(not(loom))]
mod words;

/// What the name of a node begins with in shared memory while it trades on paper.
pub const PAPER: &str = "PAPER ";

pub use ring::{Consumer, Full, LogRead, LogReader, LogWriter, Producer};
#[cfg(not(loom))]
pub use {
    balance::{BALANCES_MAX, BalanceLine, BalanceState},
    command::{Command, CommandNote},
    config::{ConfigPage, CurrencyLimit, InstrumentLimits, NodeLimits},
    error::ShmError,
    hist::{HistSnapshot, HistView},
    lane::{CommandSender, Counters, LaneView, LaneWriter, ROLES, Stages, Violations},
    layout::{BeatLine, CostLine, Header, LAYOUT_HASH, Shape, VERSION},
    lines::{
        BookLine, BookState, BookTop, LinkState, PositionLine, PositionState, VenueLine,
        VenueStatus,
    },
    lock::{Lock, LockGuard},
    market::{MarketLine, MarketState, MinuteBar, MinuteSpread},
    metric::{Counter, Stage},
    numbers::{Numbers, NumbersPage},
    region::{Opened, Region},
    risk::{HALTS_SHOWN, HaltNote, PARTS_MAX, PartLine, PartState, RiskLine, RiskState},
    strategies::{
        LEGS_SHOWN_MAX, PARAMS_MAX, ParamSpec, STATE_WORDS_MAX, SavedState, StrategyLine,
        StrategySpec, StrategySpecLine, StrategyStateLine, StrategyStatus, checksum,
    },
    table::{AssetTable, InstrumentEntry, InstrumentTable, TableError},
    words::{KillChange, KillState, KillWord, LeaseWord},
};
