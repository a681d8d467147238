//! Session protocols as pure state machines, client side: TLS, WebSocket, HTTP/1.1.
//!
//! ```text
//!   cipher ─▶ tls::TlsClient ─▶ plain ─▶ ws::WsClient     ─▶ messages
//!   cipher ◀─      seal      ◀─       └▶ http::HttpClient ─▶ responses
//! ```
//!
//! No socket, no timer, no thread. The three nest by hand in the lane, each tested alone. All read
//! the same way: `next(bytes, &mut cursor, out)` gives one thing at a time until `None`, so the
//! caller may send between two messages of one burst; what a machine wants sent is appended to
//! `out`.
#![forbid(unsafe_code)]
// Bytes from outside never panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod fix;
pub mod http;
pub mod tls;
pub mod ws;

// The server in memory that the tests in `tests/` use, for unit tests that must see inside.
#[cfg(test)]
extern crate self as dp_proto;
#[cfg(test)]
#[path = "../tests/rig/mod.rs"]
mod rig;
