//! The four families of book integrity (contiguous counter, linked list, checksum only, none) as one
//! parameterised rule over message ids. A venue's `sync.rs` names its parameters; no venue has code of
//! its own here.
//!
//! Source: venues/README section 4; the venues' own splice rules.

use crate::Book;
use dp_types::{BookMsg, BookMsgKind, Instrument, Level, NumError, RawLevel};

/// How consecutive deltas are chained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// `first_id == last + 1` (Binance spot, KuCoin): a message whose `last_id` is not above ours is old
    /// and dropped; one that straddles ours is applied.
    Contiguous,
    /// `prev_id == last` (Binance futures, OKX, Deribit). Equal ids are a heartbeat; an id below its
    /// predecessor is a venue restart of the counter and continues the chain.
    Linked,
    /// No ids: order of arrival, a checksum or nothing proves the book.
    Unchained,
}

/// How the copies of one stream that several connections bring are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// By the venue's numbers, which are the same on every connection: the copies are merged before the book, and
    /// what one connection lost another fills in.
    Numbered,
    /// Messages have no number, or one of the connection: each connection keeps a book of its own, proved as the
    /// venue proves it, and the one whose venue time is the latest is looked at.
    Timed,
    /// The same, where every message is a whole book: a snapshot with a later time is news, whoever brings it.
    Whole,
}

/// Where the first whole book comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// Fetched by REST while deltas are held back.
    Rest,
    /// Pushed on the channel; deltas before it are dropped.
    Pushed,
    /// Whichever comes first; deltas are held back meanwhile.
    Either,
}

/// A hole: what should have come and what came, in the rule's own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The id that would have continued the book.
    pub expected: i64,
    /// The id that came.
    pub got: i64,
}

/// The ids a book has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Last id applied; -1 = the venue gives none.
    pub last: i64,
    /// No delta was applied since the snapshot: the splice condition holds instead of the chain's.
    pub is_fresh: bool,
}

/// What to do with a delta on a synced book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Continues the book.
    Apply,
    /// Already contained in it.
    Drop,
    /// Something is missing.
    Gap(Gap),
}

/// How one venue's book is kept: pure data and two pure functions.
pub trait SyncRule {
    /// How deltas chain. A venue may chain one product differently: it looks at the message.
    fn chain(&self, msg: &BookMsg<'_>) -> Chain;
    /// Where the snapshot comes from.
    fn bootstrap(&self) -> Bootstrap;
    /// How copies of the stream are told apart.
    fn copies(&self) -> Copies {
        Copies::Numbered
    }
    /// The checksum the venue would send for this book; `None` where the venue has none.
    fn checksum(&self, book: &Book) -> Option<u32> {
        let _ = book;
        None
    }
    /// The same book's checksum in a second spelling of its numbers, where it is not certain which of the two a
    /// venue sums up. Asked for only when the first one does not match.
    fn checksum_otherwise(&self, book: &Book) -> Option<u32> {
        let _ = book;
        None
    }
    /// How deep the book that starts with this snapshot is kept, where the venue sends no deletes for levels
    /// that fall out of the subscribed depth; `None` where it does.
    fn depth_max(&self, snapshot: &BookMsg<'_>) -> Option<usize> {
        let _ = snapshot;
        None
    }

    /// A printed level in the instrument's increments: exact or refused. A venue that prints sums of dust finer
    /// than any increment says here what becomes of it.
    ///
    /// Errors: [`NumError`]; the book is then stale.
    #[inline(always)]
    fn level(&self, instrument: &Instrument, raw: &RawLevel) -> Result<Level, NumError> {
        instrument.level(raw)
    }

    /// Whether a delta continues a book that has seen `ids`. The default covers all chains.
    fn judge(&self, ids: Ids, msg: &BookMsg<'_>) -> Step {
        match self.chain(msg) {
            Chain::Unchained => Step::Apply,
            Chain::Contiguous => contiguous(ids, msg),
            Chain::Linked => linked(ids, msg),
        }
    }
}

/// No message comes so many numbers late: a busy book counts some thousands a second.
pub(crate) const FALL_MIN: i64 = 1_000_000;

/// A message whose numbers the book has seen: late, told again, or of a counter that began anew. The deltas of the
/// last would all be dropped for late ones, and the book would stand still without anybody noticing: a fall so far
/// is a gap. (Recorded: KuCoin's numbers of one book were 1617071937790 in March 2021, 14103847 in September 2022.)
fn seen(ids: Ids, msg: &BookMsg<'_>, gap: Gap) -> Step {
    if ids.last.saturating_sub(msg.last_id) >= FALL_MIN {
        Step::Gap(gap)
    } else {
        Step::Drop
    }
}

fn contiguous(ids: Ids, msg: &BookMsg<'_>) -> Step {
    let next = ids.last.saturating_add(1);
    if msg.last_id <= ids.last {
        let got = msg.first_id;
        seen(
            ids,
            msg,
            Gap {
                expected: next,
                got,
            },
        )
    } else if msg.first_id <= next {
        // A straddling message is absolute quantities: applying it again over the snapshot is exact.
        Step::Apply
    } else {
        Step::Gap(Gap {
            expected: next,
            got: msg.first_id,
        })
    }
}

fn linked(ids: Ids, msg: &BookMsg<'_>) -> Step {
    if ids.last < 0 || msg.last_id < 0 {
        // Recordings older than the ids: nothing to chain.
        return Step::Apply;
    }
    if msg.prev_id == ids.last {
        return Step::Apply;
    }
    if ids.is_fresh {
        // Splice over a fetched snapshot: what it contains is dropped, and the first delta must follow
        // something it contains. OKX words it prevSeqId <= snapshot < seqId; Binance futures words it
        // U <= id <= u, which is stricter than needed: its ids skip, so a snapshot may fall between pu and
        // U, and then nothing is missing (seen in recordings).
        if msg.last_id <= ids.last {
            let (expected, got) = (ids.last, msg.prev_id);
            return seen(ids, msg, Gap { expected, got });
        }
        if msg.prev_id <= ids.last {
            return Step::Apply;
        }
    }
    Step::Gap(Gap {
        expected: ids.last,
        got: msg.prev_id,
    })
}

/// Ids after a message was applied.
pub(crate) fn ids_after(msg: &BookMsg<'_>) -> Ids {
    Ids {
        last: msg.last_id,
        is_fresh: msg.kind == BookMsgKind::Snapshot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{BookMsgKind, InstrumentId, VenueNanos};

    const LAST: i64 = 14_103_847;

    fn delta(prev_id: i64, first_id: i64, last_id: i64) -> BookMsg<'static> {
        BookMsg {
            instrument: InstrumentId(0),
            kind: BookMsgKind::Delta,
            bids: &[],
            asks: &[],
            first_id,
            last_id,
            prev_id,
            checksum: None,
            venue_ns: VenueNanos(0),
        }
    }

    fn ids(is_fresh: bool) -> Ids {
        Ids {
            last: LAST,
            is_fresh,
        }
    }

    #[test]
    fn contiguous_late_is_dropped_and_a_fallen_counter_is_a_gap() {
        let judge = |first, last| contiguous(ids(false), &delta(-1, first, last));
        let expected = LAST + 1;
        assert_eq!(judge(expected, expected + 2), Step::Apply);
        assert_eq!(judge(LAST - 8, expected), Step::Apply, "it straddles ours");
        for late in [LAST, expected - FALL_MIN] {
            assert_eq!(judge(late, late), Step::Drop);
        }
        for got in [expected + 1, LAST - FALL_MIN, 1] {
            assert_eq!(judge(got, got), Step::Gap(Gap { expected, got }));
        }
    }

    #[test]
    fn linked_late_is_dropped_behind_a_snapshot_and_a_fallen_counter_is_a_gap() {
        let judge = |prev, last| linked(ids(true), &delta(prev, -1, last));
        assert_eq!(judge(LAST - 5, LAST + 5), Step::Apply, "it straddles ours");
        assert_eq!(judge(LAST - 5, LAST), Step::Drop);
        let gap = |got| {
            let expected = LAST;
            Step::Gap(Gap { expected, got })
        };
        assert_eq!(judge(LAST + 1, LAST + 2), gap(LAST + 1));
        assert_eq!(judge(7, 8), gap(7));
    }
}
