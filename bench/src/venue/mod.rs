//! The bench venue: one thread that says ticks by a fixed timetable and notes when their orders come back.
//!
//! ```text
//!   timetable T0 T1 T2 …  ──▶ sealed beforehand ──write──▶ client ──▶ order ──read──▶ arrival
//!   latency of tick k = arrival of the order that bears k's number − Tk
//! ```
//! The timetable does not wait for anybody: when venue or client stall, ticks become due meanwhile, go out
//! late, and their lateness is in their latency (coordinated omission is in). A tick is sealed before it is
//! due, and an arrival is stamped before it is decrypted, so that of the venue's own work only its two
//! system calls are in the figure; how much it works beside is told as its load.
//!
//! Everything but orders (REST, upgrades, pings) is looked at every millisecond. It keeps no book, matches
//! nothing, and believes its client.

pub mod bypass;
pub mod ca;
pub mod conn;
pub mod drain;
pub mod net;
mod session;
pub mod side;
#[cfg(test)]
mod tests;
pub mod texts;
pub mod walk;

pub use session::Session;

use anyhow::Context as _;
use dp_transport::clock::Clock;
use hdrhistogram::Histogram;
use rustls::ServerConfig;
use std::sync::Arc;
use walk::Walk;

/// A timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Ticks a second.
    pub rate: u64,
    /// Ticks before those that count.
    pub warm: u64,
    /// Ticks that count.
    pub ticks: u64,
    /// One tick in so many is to be answered (1 = each); must divide [`walk::NUMBERS`].
    pub every: u64,
    /// The venue stands still before this tick that counts, for so many ns: to see the tail it makes.
    pub stall: Option<(u64, u64)>,
    /// So many ticks fall due at once; divides 64.
    pub burst: u64,
    /// So many ticks of a burst share one TLS record; divides the burst. 16 KiB hold 20.
    pub per_record: u64,
}

impl Load {
    /// `seconds` at `rate`, a tenth of a second to warm up, each tick answered.
    pub fn new(rate: u64, seconds: f64) -> Self {
        Self {
            rate,
            warm: rate / 10,
            ticks: ((rate as f64 * seconds) as u64).max(1),
            every: 1,
            stall: None,
            burst: 1,
            per_record: 1,
        }
    }

    /// The same in bursts, whole ones: warm-up and end are moved up to the next.
    pub const fn in_bursts(self, burst: u64, per_record: u64) -> Self {
        Self {
            warm: self.warm.next_multiple_of(burst),
            ticks: self.ticks.next_multiple_of(burst),
            burst,
            per_record,
            ..self
        }
    }
}

/// What came of a timetable.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// (nanoseconds from the scheduled time, window of the scheduled time).
    pub values: Vec<(u32, u32)>,
    /// Whether each window was clean.
    pub clean: Vec<bool>,
    /// Ticks that count and were to be answered.
    pub asked: u64,
    /// Those that were.
    pub answered: u64,
    /// Orders that answer no tick, or one answered already.
    pub strays: u64,
    /// How late the venue itself wrote each tick, ns.
    pub late: Histogram<u64>,
    /// Share of the time the venue worked instead of looking for orders.
    pub venue_load: f64,
    /// Times client and venue were preempted while it ran.
    pub preemptions: (u64, u64),
}

/// What all sessions share.
pub struct Venue {
    /// What is said.
    pub walk: Walk,
    /// The server side of TLS.
    pub tls: Arc<ServerConfig>,
    /// What clients must trust, PEM.
    pub ca: String,
    clock: Clock,
}

impl Venue {
    /// One that has not met a client. TLS or not is told by a client's first byte.
    pub fn new(clock: Clock) -> anyhow::Result<Self> {
        let (ca, tls) = ca::certificates().context("the bench's own certificates")?;
        Ok(Self {
            walk: Walk::new(),
            tls,
            ca,
            clock,
        })
    }
}
