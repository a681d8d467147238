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

use dp_book::{Bootstrap, Chain, Gap, Ids, Step, SyncRule, contiguous};
use dp_types::{BookMsg, Instrument};

/// No message comes so many numbers late: a busy book counts some thousands a second.
const FALL_MIN: i64 = 1_000_000;

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

    fn judge(&self, ids: Ids, msg: &BookMsg<'_>) -> Step {
        match contiguous(ids, msg) {
            Step::Drop if ids.last.saturating_sub(msg.last_id) >= FALL_MIN => Step::Gap(Gap {
                expected: ids.last.saturating_add(1),
                got: msg.first_id,
            }),
            step => step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{BookMsgKind, InstrumentId, VenueNanos};

    #[test]
    fn a_late_message_is_dropped_and_a_counter_that_fell_is_a_gap() {
        let judge = |first_id, last_id| {
            let msg = BookMsg {
                instrument: InstrumentId(0),
                kind: BookMsgKind::Delta,
                bids: &[],
                asks: &[],
                first_id,
                last_id,
                prev_id: -1,
                checksum: None,
                venue_ns: VenueNanos(0),
            };
            let ids = Ids {
                last: 14_103_847,
                is_fresh: false,
            };
            KucoinSync.judge(ids, &msg)
        };
        let expected = 14_103_848;
        assert_eq!(judge(expected, expected + 2), Step::Apply);
        assert_eq!(
            judge(expected - 9, expected),
            Step::Apply,
            "it straddles ours"
        );
        for late in [expected - 1, expected - FALL_MIN] {
            assert_eq!(judge(late, late), Step::Drop);
        }
        for got in [expected + 1, expected - FALL_MIN - 1, 1] {
            assert_eq!(judge(got, got), Step::Gap(Gap { expected, got }));
        }
    }
}
