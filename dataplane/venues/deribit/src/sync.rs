//! How a Deribit book is kept: a linked list of change ids over a pushed snapshot.
//!
//! ```text
//! subscribe ─▶ snapshot, change_id S             ─▶ change, prev_change_id S, change_id T ─▶ ...
//! change whose prev_change_id is not the last     ─▶ a gap: unsubscribe, subscribe, snapshot
//! ```
//! By multicast the same books come as a snapshot of the round and the changes beside it, which were there before: what
//! the snapshot contains is dropped, and the first change behind it must follow it.
//!
//! Change ids are the venue's own count over all books and jump. What follows is told by equality alone, so a change
//! that only looks as if it straddled the snapshot is a gap too; their order only tells what came before a snapshot.
//! There is no checksum. That a level is new, changed or deleted is said by the venue beside it, and `feed` refuses what
//! contradicts itself.
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_book_*.json`.

use dp_book::{Bootstrap, Chain, Gap, Ids, OrdersRule, Step, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of every Deribit book, whichever road it comes by.
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
        Bootstrap::Either
    }

    fn judge(&self, ids: Ids, msg: &BookMsg<'_>) -> Step {
        if msg.prev_id == ids.last {
            return Step::Apply;
        }
        if ids.is_fresh && msg.last_id <= ids.last {
            return Step::Drop;
        }
        Step::Gap(Gap {
            expected: ids.last,
            got: msg.prev_id,
        })
    }
}

/// Starbase's single orders. Its machine puts messages in order, finds what is missing and splices the round's books:
/// the keeper takes what is told.
impl OrdersRule for DeribitSync {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{BookMsgKind, InstrumentId, VenueNanos};

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
            assert_eq!(judge(10, is_fresh, (11, 12)), gap(10, 11));
            assert_eq!(judge(10, is_fresh, (10, 3)), Step::Apply, "nor an order");
        }
        for told in [(8, 9), (8, 10)] {
            assert_eq!(judge(10, true, told), Step::Drop, "the snapshot has it");
            assert_eq!(judge(10, false, told), gap(10, 8), "only behind one");
        }
    }
}
