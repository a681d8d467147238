//! How a Binance book is kept.
//!
//! ```text
//! spot      next U == last u + 1; first after the snapshot: U <= lastUpdateId + 1 <= u
//! futures   next pu == last u;    first after the snapshot: U <= lastUpdateId <= u   (message has `pu`)
//! ```
//! The snapshot is fetched by REST while deltas are held back; one older than the first held delta is
//! fetched again. There is no checksum. Source: venue page, sections 3 and 9, read 2026-11-20.

use dp_book::{Bootstrap, Chain, SyncRule};
use dp_types::BookMsg;

/// The rule of all Binance books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BinanceSync;

impl SyncRule for BinanceSync {
    fn chain(&self, msg: &BookMsg<'_>) -> Chain {
        if msg.prev_id >= 0 {
            Chain::Linked
        } else {
            Chain::Contiguous
        }
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Rest
    }
}
