//! Market data by multicast: the venue's own way within its data centres. Sans-IO as everything here: datagrams go in
//! in the order they arrive, from one line or from two that carry the same.
//!
//! ```text
//! classic    frame → messages of schema 1, doubles        Multicast   books by change ids, as in JSON
//! Starbase   packet → messages of schema 2102, integers   Starbase    single orders, by rank
//! ```
//! A lane hears either ([`crate::Deribit`], `VenueConfig::market_data`), and both are read from recordings.

pub mod double;
pub mod sequence;

mod channels;
mod classic;
mod feed;
mod followed;
mod frame;
mod heard;
mod parts;
mod places;
mod starbase;

pub use channels::{CHANNELS_MAX, Missing};
pub use classic::Multicast;
pub use feed::Feed;
pub(crate) use heard::Heard;
pub use starbase::{RETRANSMIT_LEN, Starbase, retransmit_request};
