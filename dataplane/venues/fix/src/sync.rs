//! How a gateway's book is kept: a pushed snapshot (W) and changes (X) in the order of the session.
//!
//! The session's numbers are the chain: no message of it is missed and the link lives on. A snapshot replaces at any
//! moment. Nothing proves a single book.

use dp_book::{Bootstrap, Chain, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of one instrument's book: the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewaySync;

impl GatewaySync {
    /// The rule for books of this instrument.
    pub const fn new(_instrument: &Instrument) -> Self {
        Self
    }
}

impl SyncRule for GatewaySync {
    fn chain(&self, _: &BookMsg<'_>) -> Chain {
        Chain::Unchained
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
}
