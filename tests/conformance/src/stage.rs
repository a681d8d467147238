//! Where a case is played: a lane, a simulated venue, and time between them.

mod lane;
mod memory;
mod sockets;
mod virtual_time;

pub use memory::Memory;
pub use sockets::Sockets;
pub use virtual_time::{Seat, Virtual};

use crate::script::Shared;
use crate::venues::Tried;
use dp_lane::{AnyVenue, Engine};
use dp_shm::Region;
use dp_types::UnixNanos;
use dp_venue_api::Capabilities;
use serde_json::Value;
use spinlane_sim::config::{MulticastFeed, SimConfig};
use spinlane_sim::flow::FlowConfig;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The groups of a multicast feed's two lines, where nobody else is.
pub const LINES: [SocketAddrV4; 2] = [
    SocketAddrV4::new(Ipv4Addr::new(239, 193, 78, 1), 5_001),
    SocketAddrV4::new(Ipv4Addr::new(239, 193, 78, 2), 5_001),
];

/// A lane and its venue.
pub trait Stage<'r> {
    /// Lets time pass, `ns` at most: one turn of the lane, one of the venue.
    fn step(&mut self, ns: u64);
    /// Lets time pass without the lane: a process that stands still.
    fn stall(&mut self, ns: u64);
    /// The lane's time.
    fn now(&self) -> UnixNanos;
    /// The lane's engine.
    fn engine(&self) -> &Engine<'r>;
    /// Gives the venue faults, as text.
    fn fault(&mut self, text: &str);
    /// The venue's record.
    fn record(&mut self) -> Value;
    /// The venue's figures.
    fn stats(&mut self) -> Value;
    /// The venue's book of an instrument, and our position there.
    fn book(&mut self, instrument: usize) -> Value;
    /// The venue's single orders of an instrument.
    fn queues(&mut self, instrument: usize) -> Value;
    /// Whether hours may pass.
    fn is_virtual(&self) -> bool;
    /// Kills the lane as `kill -9` does, and starts another one on its shared memory; `None` where a stage cannot.
    fn restart(&mut self) -> Option<Known<'r>>;
}

/// What both stages know besides.
pub struct Known<'r> {
    /// The lane's shared memory.
    pub region: &'r Region,
    /// The venue.
    pub venue: Tried,
    /// What it can do.
    pub capabilities: &'static Capabilities,
    /// Connections our machine asks for.
    pub links: usize,
    /// Its words for things.
    pub machine: AnyVenue,
    /// What is wished and heard.
    pub script: Shared,
}

/// How the simulator is set up for a venue's cases.
pub fn sim_config(venue: &Tried, seed: u64) -> SimConfig {
    SimConfig {
        seed,
        symbols: venue
            .symbols
            .iter()
            .map(|text| text.parse().expect("BASE-QUOTE"))
            .collect(),
        flow: FlowConfig {
            ticks_per_s: 50,
            ..FlowConfig::default()
        },
        multicast: (venue.is_multicast() || venue.is_starbase()).then_some(LINES),
        multicast_feed: if venue.is_starbase() {
            MulticastFeed::Starbase
        } else {
            MulticastFeed::Classic
        },
        ..SimConfig::default()
    }
}
