//! How an OANDA book is kept: each price is the whole of it.
//!
//! Prices have a time and no number, and what lay between two of them is left out on purpose: nothing shows a price
//! that was lost, and the next one mends it. Of several connections the price with the latest time is looked at: their
//! windows of a quarter of a second are not aligned, so one often knows a price that the other has not told yet.
//! Source: developer.oanda.com/rest-live-v20/pricing-ep, read 2026-11-22.

use dp_book::{Bootstrap, Chain, Copies, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of one instrument's book: the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OandaSync;

impl OandaSync {
    /// The rule for books of this instrument.
    pub const fn new(_instrument: &Instrument) -> Self {
        Self
    }
}

impl SyncRule for OandaSync {
    fn chain(&self, _: &BookMsg<'_>) -> Chain {
        Chain::Unchained
    }

    fn copies(&self) -> Copies {
        Copies::Whole
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
}
