//! The conformance suite: one list of numbered cases for all venues, run by the production lane.
//!
//! ```text
//!   case ─▶ Trial ─▶ script (a strategy) ─▶ lane: gate, OMS, venue machine, WebSocket, HTTP, TLS ─▶ simulated venue
//!             ▲                                                                        │
//!             └────── books, orders, positions compared with the venue's own ◀─────────┘
//! ```
//!
//! The same cases run on two stages: [`stage::Virtual`] (pipes in memory, a clock that jumps: a forced
//! disconnect after 24 hours takes seconds) and [`stage::Sockets`] (io_uring on loopback, the machine's clock).
//! The venue is `spinlane-sim`, which shares no code with our connectors.
#![forbid(unsafe_code)]

pub mod cases;
pub mod play;
pub mod script;
pub mod soak;
pub mod stage;
pub mod trial;
pub mod venues;
mod wire;

pub use cases::{CASES, Case, Verdict};
pub use trial::Trial;
