//! How a Coinbase book is kept: a pushed snapshot and changes in the order of the connection.
//!
//! ```text
//! Exchange   level2, level2_batch   no ids: the channel promises delivery, an end of the connection is the
//!                                   only loss; a new subscription pushes a new snapshot
//! Advanced   l2_data                sequence_num counts every message of the connection: `feed` turns it into
//!                                   ids of each book, so that a hole makes every book on it stale
//! ```
//! full       single orders: the product's sequence rises by one over all messages; the book is fetched
//! There is no checksum and no id of one product on `level2`: nothing proves a single book.
//! Source: venue page, sections A3 and B3.

use dp_book::{Bootstrap, Chain, Copies, OrdersRule, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of one instrument's book: the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoinbaseSync;

impl CoinbaseSync {
    /// The rule for books of this instrument.
    pub const fn new(_instrument: &Instrument) -> Self {
        Self
    }
}

impl SyncRule for CoinbaseSync {
    fn chain(&self, msg: &BookMsg<'_>) -> Chain {
        if msg.last_id < 0 {
            Chain::Unchained
        } else {
            Chain::Linked
        }
    }

    /// No numbers, or those of the connection.
    fn copies(&self) -> Copies {
        Copies::Timed
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
}

impl OrdersRule for CoinbaseSync {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Rest
    }

    fn is_counted(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Keeper, Outcome, State};
    use dp_types::{BookMsgKind, InstrumentId, Text, UnixNanos, VenueNanos};

    fn told(keeper: &mut Keeper<CoinbaseSync>, kind: BookMsgKind, ids: (i64, i64)) -> Outcome {
        let message = BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: ids.0,
            last_id: ids.0,
            prev_id: ids.1,
            checksum: None,
            bids: &[],
            asks: &[],
            venue_ns: VenueNanos(0),
        };
        let instrument = Instrument::bare(InstrumentId(0), crate::ID, Text::EMPTY, 2, 8);
        keeper.on_msg(&message, &instrument, UnixNanos(1))
    }

    #[test]
    fn without_ids_what_comes_after_a_snapshot_is_applied() {
        let mut keeper = Keeper::new(CoinbaseSync);
        let (delta, snapshot) = (BookMsgKind::Delta, BookMsgKind::Snapshot);
        assert_eq!(
            told(&mut keeper, delta, (-1, -1)),
            Outcome::NeedSnapshot,
            "nothing to change yet"
        );
        assert_eq!(told(&mut keeper, snapshot, (-1, -1)), Outcome::Applied);
        assert_eq!(told(&mut keeper, delta, (-1, -1)), Outcome::Applied);
    }

    #[test]
    fn with_ids_a_hole_is_found() {
        let mut keeper = Keeper::new(CoinbaseSync);
        let (delta, snapshot) = (BookMsgKind::Delta, BookMsgKind::Snapshot);
        assert_eq!(told(&mut keeper, snapshot, (1, -1)), Outcome::Applied);
        assert_eq!(told(&mut keeper, delta, (4, 1)), Outcome::Applied);
        assert!(matches!(told(&mut keeper, delta, (9, 8)), Outcome::Gap(_)));
        assert_eq!(keeper.proof().state, State::Waiting);
    }
}
