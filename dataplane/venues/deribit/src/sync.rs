//! How a Deribit book is kept: a linked list of change ids over a pushed snapshot.
//!
//! ```text
//! subscribe ─▶ snapshot, change_id S             ─▶ change, prev_change_id S, change_id T ─▶ ...
//! change whose prev_change_id is not the last     ─▶ a gap: unsubscribe, subscribe, snapshot
//! ```
//! Change ids are the venue's own count over all books and jump; they are compared for equality and for nothing
//! else, so a change that only looks as if it straddled the snapshot is a gap too. There is no checksum. That a
//! level is new, changed or deleted is said by the venue beside it, and `feed` refuses what contradicts itself.
//! By multicast a book is a snapshot of the round and the changes beside it, which were there before: what the snapshot
//! contains is dropped, and the first change behind it must follow it ([`MulticastSync`]).
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_book_*.json`.

use dp_book::{Bootstrap, Chain, Gap, Ids, Step, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of every Deribit book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeribitSync;

impl DeribitSync {
    /// The rule; it is the same for every instrument.
    pub const fn new(_instrument: &Instrument) -> Self {
        Self
    }
}

impl SyncRule for DeribitSync {
    fn chain(&self, _msg: &BookMsg<'_>) -> Chain {
        Chain::Linked
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }

    fn judge(&self, ids: Ids, msg: &BookMsg<'_>) -> Step {
        if msg.prev_id == ids.last {
            return Step::Apply;
        }
        Step::Gap(Gap {
            expected: ids.last,
            got: msg.prev_id,
        })
    }
}

/// The rule of the same books told by multicast: the snapshot comes when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MulticastSync;

impl SyncRule for MulticastSync {
    fn chain(&self, _msg: &BookMsg<'_>) -> Chain {
        Chain::Linked
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Either
    }

    fn judge(&self, ids: Ids, msg: &BookMsg<'_>) -> Step {
        if ids.is_fresh && msg.last_id <= ids.last {
            return Step::Drop;
        }
        DeribitSync.judge(ids, msg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{BookMsgKind, InstrumentId, VenueNanos};

    #[test]
    fn what_a_snapshot_of_the_round_contains_is_dropped() {
        let judge = |is_fresh, (prev_id, last_id)| {
            let message = BookMsg {
                instrument: InstrumentId(0),
                kind: BookMsgKind::Delta,
                first_id: last_id,
                last_id,
                prev_id,
                checksum: None,
                bids: &[],
                asks: &[],
                venue_ns: VenueNanos(0),
            };
            MulticastSync.judge(Ids { last: 10, is_fresh }, &message)
        };
        let gap = |got| Step::Gap(Gap { expected: 10, got });
        assert_eq!(judge(true, (8, 10)), Step::Drop);
        assert_eq!(judge(true, (10, 95)), Step::Apply);
        assert_eq!(judge(true, (9, 95)), gap(9), "no straddling");
        assert_eq!(judge(false, (8, 10)), gap(8), "only behind a snapshot");
    }

    #[test]
    fn only_the_very_next_change_continues_a_book() {
        let judge = |last, is_fresh, (prev_id, last_id)| {
            let message = BookMsg {
                instrument: InstrumentId(0),
                kind: BookMsgKind::Delta,
                first_id: last_id,
                last_id,
                prev_id,
                checksum: None,
                bids: &[],
                asks: &[],
                venue_ns: VenueNanos(0),
            };
            DeribitSync.judge(Ids { last, is_fresh }, &message)
        };
        let gap = |expected, got| Step::Gap(Gap { expected, got });
        for is_fresh in [false, true] {
            assert_eq!(judge(10, is_fresh, (10, 95)), Step::Apply, "ids jump");
            assert_eq!(judge(10, is_fresh, (9, 95)), gap(10, 9), "no straddling");
            assert_eq!(judge(10, is_fresh, (8, 9)), gap(10, 8), "nor old ones");
            assert_eq!(judge(10, is_fresh, (11, 12)), gap(10, 11));
            assert_eq!(judge(10, is_fresh, (10, 3)), Step::Apply, "nor an order");
        }
    }
}
