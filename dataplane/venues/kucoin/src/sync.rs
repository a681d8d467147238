//! How a KuCoin book is kept: ranges of a counter over a fetched snapshot. There is no checksum.
//!
//! ```text
//! delta      sequenceStart .. sequenceEnd, every change in it with a number of its own
//! snapshot   sequence S: deltas that end at or below S are dropped, the first applied begins at or
//!            below S + 1, each next one at the number behind the last
//! snapshot older than the first delta held back: fetched again
//! a number far below ours: the venue counts anew, a gap
//! anything else: a gap, stale at once, fetched again
//! ```
//! A delta that reaches over S is applied whole: sizes are absolute and `feed` puts the changes in the order of
//! their numbers, so what the snapshot has already comes out the same. A price of "0" changes nothing and only
//! moves the counter; `feed` leaves it out. Futures count the same way, one change a message. Pushed whole
//! books (depth 5 and 50, the unified feed) are decoded; the rule is not made for them. Recorded: the numbers of one
//! book were 1617071937790 in March 2021 and 14103847 in September 2022. Taken for late messages, the deltas of a
//! counter that began anew would all be dropped, and the book would stand still without anybody noticing.
//! Source: venue page, sections 3.1 and 3.5, read 2026-11-20; fixtures `feed_delta*.json`.

use dp_book::{Bootstrap, Chain, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of every book of this venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KucoinSync;

impl KucoinSync {
    /// The same for every instrument.
    pub const fn new(_: &Instrument) -> Self {
        Self
    }
}

impl SyncRule for KucoinSync {
    fn chain(&self, _msg: &BookMsg<'_>) -> Chain {
        Chain::Contiguous
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Rest
    }
}
