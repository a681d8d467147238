//! Lanes of the dataplane, wired from the crates below.
//!
//! One lane is one thread: its own io_uring, venue machines, books, strategies, risk gate, orders and
//! journal ring. Lanes share nothing but the node's shared memory. Nothing in a turn blocks or waits for
//! the control plane.
#![forbid(unsafe_code)]

mod any_venue;
mod books;
pub mod budget;
mod cast;
mod contain;
pub mod cost;
mod desk;
mod engine;
mod fix;
mod further;
pub mod host;
pub mod inputs;
mod lane;
mod link;
pub mod node;
pub mod offline;
pub mod orders;
mod outbox;
mod paper;
mod race;
mod resolve;
pub mod roles;
mod session;
mod wall;
pub mod way;
pub mod wiretap;

pub use any_venue::AnyVenue;
pub use books::AnyKeeper;
pub use contain::abort_on_others;
pub use desk::{Desk, Fact, Local, OnInstruments, Outcome, VenueLinks};
pub use engine::{Action, Engine, Seating, Setup, VenueState};
pub use fix::FixLink;
pub use further::{further_feed, is_of_feed};
pub use lane::{Cycle, Lane, PaperLane, Parts, RemoteLane, RemoteParts};
pub use link::{Link, LinkEvent, LinkFault};
pub use orders::AnyOrders;
pub use paper::Paper;
pub use resolve::{Fresh, Inbox, inbox};
pub use wall::Wall;
