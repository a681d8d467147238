//! How a Bybit book is kept: family A, one contiguous counter a topic.
//!
//! ```text
//! snapshot   pushed first, and again whenever the venue likes: replaces the book, whatever its u
//! u == 1     the service restarted: a snapshot (`feed` says so whatever its type)
//! delta      u == last + 1        at or below last: old, dropped; above: a gap, subscribed anew
//! ```
//! `orderbook.1` pushes snapshots only, the same `u` again when nothing changed: nothing is chained there. The
//! retired generations have no such counter: their deltas come with id -1 and are taken in the order they come.
//! No checksum. Source: venue page, section 3, read 2026-11-20; recordings: 19 of 19 deltas at +1.

use dp_book::{Bootstrap, Chain, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of one instrument's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BybitSync;

impl BybitSync {
    /// The rule is the same for all instruments.
    pub const fn new(_instrument: &Instrument) -> Self {
        Self
    }
}

impl SyncRule for BybitSync {
    fn chain(&self, msg: &BookMsg<'_>) -> Chain {
        if msg.last_id < 0 {
            Chain::Unchained
        } else {
            Chain::Contiguous
        }
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Keeper, Outcome};
    use dp_types::{
        BookMsgKind, Decimal, InstrumentId, RawLevel, Text, UnixNanos, VenueId, VenueNanos,
    };

    fn run(keeper: &mut Keeper<BybitSync>, kind: BookMsgKind, id: i64) -> Outcome {
        let instrument = Instrument::bare(InstrumentId(0), VenueId::BYBIT, Text::EMPTY, 2, 3);
        let one = Decimal {
            mantissa: 1,
            exponent: 0,
        };
        let message = BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: id,
            last_id: id,
            prev_id: -1,
            checksum: None,
            bids: &[RawLevel {
                price: one,
                qty: one,
            }],
            asks: &[],
            venue_ns: VenueNanos(0),
        };
        keeper.on_msg(&message, &instrument, UnixNanos(1))
    }

    #[test]
    fn plus_one_or_a_gap_and_a_snapshot_at_any_time() {
        use BookMsgKind::{Delta, Snapshot};
        let mut keeper = Keeper::new(BybitSync);
        assert!(run(&mut keeper, Delta, 7).needs_snapshot(), "nothing yet");
        assert_eq!(run(&mut keeper, Snapshot, 10), Outcome::Applied);
        assert_eq!(run(&mut keeper, Delta, 11), Outcome::Applied);
        assert_eq!(run(&mut keeper, Delta, 11), Outcome::Ignored);
        assert!(matches!(run(&mut keeper, Delta, 13), Outcome::Gap(_)));
        assert_ne!(run(&mut keeper, Delta, 12), Outcome::Applied, "stale");
        assert_eq!(run(&mut keeper, Snapshot, 13), Outcome::Applied);
        assert_eq!(run(&mut keeper, Snapshot, 1), Outcome::Applied, "a restart");
        assert_eq!(run(&mut keeper, Delta, 2), Outcome::Applied);
        assert_eq!(
            run(&mut keeper, Snapshot, 2),
            Outcome::Applied,
            "sent again"
        );
    }

    #[test]
    fn retired_books_have_no_counter() {
        let mut keeper = Keeper::new(BybitSync);
        assert_eq!(
            run(&mut keeper, BookMsgKind::Snapshot, -1),
            Outcome::Applied
        );
        assert_eq!(run(&mut keeper, BookMsgKind::Delta, -1), Outcome::Applied);
        assert_eq!(keeper.counts().gaps, 0);
    }
}
