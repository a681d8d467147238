//! TCP in user space, for orders: sans-IO, fed with frames, asked for frames.
//!
//! Why our own: the order path bypasses the kernel, and the one well-kept TCP library for this has a
//! floor of a second under its retransmission time-out and does not listen to SACK. Here one lost
//! segment costs single milliseconds (`tests/tcp/recovery.rs`).
//!
//! ```text
//!   frame ──▶ Stack::on_frame ──▶ which connection? ──▶ Connection::on_segment ──▶ payload, in place
//!                                                            │   ▲
//!                             SACK scoreboard, RACK-TLP ◀────┘   │ Connection::send (copied once)
//!   frame ◀── Stack::poll_transmit ◀── Connection::poll_transmit ┘
//! ```
//!
//! [`wire`] is bytes and values; [`Connection`] is one RFC 9293 state machine; [`Stack`] is many of
//! them behind one interface. Nothing here reads a clock, makes a system call, or allocates after
//! construction. `now` is nanoseconds of any clock; if it runs backwards, time stands still.
//!
//! Deliberately not here: IPv6, fragments, ECN, urgent data (read as ordinary data), Nagle, delayed
//! ACKs, SYN cookies, ARP questions (neighbours are told by the caller, from the kernel's table), and
//! raising a path MTU that was once lowered (a reconnect does that).
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

mod assembly;
mod board;
mod config;
mod congestion;
mod connection;
mod counters;
mod hash;
mod rack;
mod ring;
mod rtt;
mod seq;
mod stack;
pub mod wire;

pub use config::{Config, ConfigError};
pub use connection::{Connection, End, Events, Opening, State};
pub use counters::{Counters, StackCounters};
pub use hash::Secret;
pub use seq::Seq;
pub use stack::{Arrival, ConnId, ConnectError, Host, Stack, StackConfig, Verdict};
