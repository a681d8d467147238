//! Simulated venues as a product tool: test your own client on them.
//!
//! An implementation independent of our connectors, so that the two check each other.
//!
//! ```text
//!  edge/   sockets: TLS, HTTP/1.1, WebSocket, the admin endpoint        tokio
//!    │ requests, texts, `now`           ▲ texts, replies, closes
//!    ▼                                  │
//!  venues/ one face per venue: its wire words, limits, signatures       pure
//!    │ orders                           ▲ events
//!    ▼                                  │
//!  engine/ matching, balances, fees     flow.rs: everybody else         pure, seeded
//! ```
//! The core takes virtual time and never reads a clock; only [`edge`] touches sockets and the clock.

#![forbid(unsafe_code)]
// The venues' largest JSON objects have some 60 keys; the macro that writes them recurses once a key.
#![recursion_limit = "512"]

pub mod config;
pub mod core;
pub mod edge;
pub mod engine;
pub mod fault;
pub mod fix;
pub mod flow;
pub mod keys;
pub mod record;
pub mod text;
pub mod venues;
pub mod window;
