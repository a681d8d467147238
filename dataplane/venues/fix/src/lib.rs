//! Orders over FIX, whatever the venue: what its messages have in common, once.
//!
//! ```text
//!   FixEntry<V>   a venue's own machine V, with new orders, cancels and amends over a FIX link instead, and market data
//!                 over another one where that is configured
//!                 reconciliation, questions and balances stay on V's roads, and books that are not asked for here
//!   Gateway       a machine of its own for a liquidity provider that speaks nothing but FIX
//!
//!   write    D F G q H V      our requests, from blocks that are made once      ┐ what differs between venues
//!   report   8 9 3 j          → reports, fills, acks                            ├ is a [`Dialect`]: data, and the
//!   market   V W X Y          → books, trades                                   │ venue's own ids and words
//!   singles  W X f            → the same, out of single orders                  ┘
//!   orders   what a request must repeat of an order, one slot for each of the latest
//! ```
//! Sessions (logon, heartbeats, numbers, gaps) are the link's (`dp-proto::fix`, `dp-lane`). Nothing here sends an order
//! twice: what was lost with a connection is asked about.
//! Sources: FIX 4.4 volumes 3 and 4; the venue pages, for each dialect.
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

pub mod dialect;
mod entry;
mod feed;
mod gateway;
pub mod limits;
pub mod logon;
pub mod market;
pub mod orders;
pub mod report;
pub mod singles;
pub mod sync;
pub mod write;

pub use dialect::Dialect;
pub use entry::{Ask, FixEntry, OverFix};
pub use gateway::{CAPABILITIES, Gateway, ID, LINK_MARKET, LINK_ORDERS};
