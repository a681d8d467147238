//! How a Binance book is kept: diff events over a fetched snapshot. There is no checksum.
//!
//! ```text
//! spot      snapshot L; events with u <= L are dropped, the first applied has U <= L+1 <= u,
//!           each next one U == u_before + 1
//! futures   (messages with `pu`) events up to L are dropped, the first applied follows something in the snapshot,
//!           each next one pu == u_before; ids skip, so U proves nothing
//! snapshot older than the first event held back: fetched again
//! anything else: a gap, stale at once, fetched again
//! ```
//! Source: venue page, sections 3 (book splice) and 9, read 2026-11-20; fixtures `feed_delta*.json`.

use dp_book::{Bootstrap, Chain, SyncRule};
use dp_types::{BookMsg, Instrument};

/// The rule of every book of this venue: which chain it is shows in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BinanceSync;

impl BinanceSync {
    /// The same for every instrument.
    pub const fn new(_: &Instrument) -> Self {
        Self
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Book, Keeper, Outcome, State};
    use dp_types::{
        BookMsgKind, Decimal, Instrument, InstrumentId, RawLevel, Text, UnixNanos, VenueId,
        VenueNanos,
    };

    fn feed(keeper: &mut Keeper<BinanceSync>, kind: BookMsgKind, ids: (i64, i64, i64)) -> Outcome {
        let symbol = Text::new("BTCUSDT").unwrap();
        let instrument = Instrument::bare(InstrumentId(0), VenueId::BINANCE, symbol, 2, 8);
        let level = RawLevel {
            price: Decimal::parse(b"65000.00").unwrap(),
            qty: Decimal::parse(b"0.51200000").unwrap(),
        };
        let message = BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: ids.0,
            last_id: ids.1,
            prev_id: ids.2,
            checksum: None,
            bids: &[level],
            asks: &[],
            venue_ns: VenueNanos(0),
        };
        keeper.on_msg(&message, &instrument, UnixNanos(1))
    }

    fn keeper() -> Keeper<BinanceSync> {
        Keeper::with_book(BinanceSync, Book::new(8))
    }

    use BookMsgKind::{Delta, Snapshot};

    #[test]
    fn spot_refetches_a_snapshot_older_than_its_first_event() {
        let mut keeper = keeper();
        assert_eq!(
            feed(&mut keeper, Delta, (101, 104, -1)),
            Outcome::NeedSnapshot
        );
        assert_eq!(
            feed(&mut keeper, Snapshot, (99, 99, -1)),
            Outcome::NeedSnapshot
        );
        // 100 + 1 = U: exactly continued.
        assert_eq!(
            feed(&mut keeper, Snapshot, (100, 100, -1)),
            Outcome::Applied
        );
        assert_eq!(keeper.proof().last_id, 104);
        assert!(matches!(
            feed(&mut keeper, Delta, (106, 107, -1)),
            Outcome::Gap(_)
        ));
    }

    #[test]
    fn futures_chain_by_pu_although_ids_skip() {
        let mut keeper = keeper();
        assert_eq!(
            feed(&mut keeper, Delta, (90, 95, 80)),
            Outcome::NeedSnapshot
        );
        // The next event starts after the snapshot, but follows an event the snapshot contains.
        assert_eq!(feed(&mut keeper, Delta, (103, 110, 95)), Outcome::Buffered);
        assert_eq!(
            feed(&mut keeper, Snapshot, (100, 100, -1)),
            Outcome::Applied
        );
        assert_eq!(keeper.proof().last_id, 110);
        assert_eq!(feed(&mut keeper, Delta, (150, 160, 110)), Outcome::Applied);
        assert!(matches!(
            feed(&mut keeper, Delta, (161, 170, 159)),
            Outcome::Gap(_)
        ));
        assert_eq!(keeper.proof().state, State::Waiting);
    }
}
