//! How the venue's books are kept: three ways, told apart by the message.
//!
//! ```text
//! mbp.N        prevSeqNum == last seqNum       spot increments. The snapshot S is asked for on the same socket
//!                                              after the first of them; those up to S are dropped, the first
//!                                              applied has prevSeqNum <= S. What falls out of the N best levels
//!                                              is not deleted: the book is cut to N after each message
//! high_freq    version == last + 1             a swap's increments, behind a pushed snapshot
//! whole books  a rising number                 depth.stepN, mbp.refresh.N: each replaces the one before; one that
//!                                              is not above it says the same again, or is older
//! anything else                                a gap: stale at once, snapshot asked for
//! ```
//! Amounts of levels are sums in which dust shows (recorded: 4099.862110062893 where the lot is 0.0001, and
//! 173416519.2452 beside it): no increment of 64 bits holds both. They are cut to the instrument's increment, and
//! what is less than one is one: a level of dust is still a level.
//! The venue has no checksum. Source: venue page, section 3, read 2026-11-20; fixtures `feed_mbp*.json`.

use crate::MBP_LEVELS;
use crate::symbols::is_spot;
use dp_book::{Bootstrap, Chain, SyncRule};
use dp_types::{BookMsg, Decimal, Instrument, Level, NumError, Qty, RawLevel};

/// The rule of one instrument's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HuobiSync {
    is_spot: bool,
}

impl HuobiSync {
    /// The rule of an instrument's book.
    pub fn new(instrument: &Instrument) -> Self {
        Self {
            is_spot: is_spot(instrument.symbol.as_str()),
        }
    }
}

impl SyncRule for HuobiSync {
    fn chain(&self, msg: &BookMsg<'_>) -> Chain {
        // Spot increments say what they follow; those of swaps do not.
        if msg.prev_id >= 0 {
            Chain::Linked
        } else {
            Chain::Contiguous
        }
    }

    fn bootstrap(&self) -> Bootstrap {
        // Whether asked for or pushed: never back to an older book.
        Bootstrap::Rest
    }

    fn depth_max(&self, snapshot: &BookMsg<'_>) -> Option<usize> {
        // One with more levels is whole, or of increments of more.
        let levels = snapshot.bids.len().max(snapshot.asks.len());
        self.is_spot.then_some(levels.max(MBP_LEVELS))
    }

    fn level(&self, instrument: &Instrument, raw: &RawLevel) -> Result<Level, NumError> {
        match instrument.level(raw) {
            Err(NumError::TooFine) => Ok(Level {
                price: instrument.price(raw.price)?,
                qty: cut(raw.qty, instrument.qty_decimals)?,
                price_printed: raw.price.decimals(),
                qty_printed: instrument.qty_decimals,
            }),
            level => level,
        }
    }
}

/// A quantity that is finer than the increment: cut to it, and one of it where less is left.
fn cut(qty: Decimal, decimals: u8) -> Result<Qty, NumError> {
    let finer = qty.decimals().saturating_sub(decimals);
    let scale = 10i64
        .checked_pow(u32::from(finer))
        .ok_or(NumError::TooFine)?;
    let coarse = Decimal {
        mantissa: qty.mantissa / scale,
        exponent: -(decimals as i8),
    };
    let increments = coarse.to_increments(decimals)?;
    Ok(Qty(match increments {
        0 if qty.mantissa > 0 => 1,
        increments => increments,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Keeper, Outcome, State};
    use dp_types::{BookMsgKind, InstrumentId, Text, UnixNanos, VenueId, VenueNanos};

    fn instrument() -> Instrument {
        let symbol = Text::new("btcusdt").unwrap();
        Instrument::bare(InstrumentId(0), VenueId::HUOBI, symbol, 2, 6)
    }

    fn raw(price: &str, qty: &str) -> RawLevel {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        RawLevel {
            price: decimal(price),
            qty: decimal(qty),
        }
    }

    struct Rig(Keeper<HuobiSync>);

    impl Rig {
        fn new() -> Self {
            Self(Keeper::new(HuobiSync::new(&instrument())))
        }

        fn feed(
            &mut self,
            kind: BookMsgKind,
            (last_id, prev_id): (i64, i64),
            bids: &[RawLevel],
            asks: &[RawLevel],
        ) -> Outcome {
            let msg = BookMsg {
                instrument: InstrumentId(0),
                kind,
                first_id: last_id,
                last_id,
                prev_id,
                checksum: None,
                bids,
                asks,
                venue_ns: VenueNanos(0),
            };
            self.0.on_msg(&msg, &instrument(), UnixNanos(1))
        }
    }

    use BookMsgKind::{Delta, Snapshot};

    #[test]
    fn mbp_by_the_book() {
        let mut rig = Rig::new();
        let bid = [raw("100", "1")];
        assert_eq!(rig.feed(Delta, (12, 10), &bid, &[]), Outcome::NeedSnapshot);
        assert_eq!(rig.feed(Delta, (15, 12), &bid, &[]), Outcome::Buffered);
        assert_eq!(
            rig.feed(Snapshot, (9, -1), &bid, &[]),
            Outcome::NeedSnapshot,
            "every delta is past it"
        );
        assert_eq!(rig.feed(Snapshot, (13, -1), &bid, &[]), Outcome::Applied);
        assert_eq!(
            rig.0.proof().last_id,
            15,
            "12 dropped, 15 follows what 13 contains"
        );
        assert_eq!(
            rig.feed(Delta, (16, 15), &[], &[]),
            Outcome::Applied,
            "no change"
        );
        assert_eq!(
            rig.feed(Snapshot, (14, -1), &[], &[]),
            Outcome::Ignored,
            "late"
        );
        assert!(matches!(
            rig.feed(Delta, (19, 18), &bid, &[]),
            Outcome::Gap(_)
        ));
        assert_eq!(rig.feed(Snapshot, (18, -1), &bid, &[]), Outcome::Applied);
        assert_eq!(
            rig.0.proof().last_id,
            19,
            "the delta after the gap was kept"
        );
    }

    #[test]
    fn mbp_forgets_what_falls_out_of_the_window() {
        let mut rig = Rig::new();
        let level = |at: usize| raw(&format!("{}", 1_000 - at), "1");
        let bids: Vec<_> = (0..MBP_LEVELS).map(level).collect();
        rig.feed(Snapshot, (1, -1), &bids, &[]);
        let better = [raw("1001", "1"), raw("1002", "1")];
        assert_eq!(rig.feed(Delta, (2, 1), &better, &[]), Outcome::Applied);
        let book = rig.0.book();
        assert_eq!(book.bids().count(), MBP_LEVELS);
        assert_eq!(book.bids().last().unwrap().price.0, 98_300);
    }

    #[test]
    fn swaps_count_up_and_whole_books_never_go_back() {
        let mut rig = Rig::new();
        let bid = [raw("100", "1")];
        rig.feed(Snapshot, (7, -1), &bid, &[]);
        assert_eq!(rig.feed(Delta, (8, -1), &bid, &[]), Outcome::Applied);
        assert!(matches!(
            rig.feed(Delta, (10, -1), &bid, &[]),
            Outcome::Gap(_)
        ));
        let mut rig = Rig::new();
        for (id, outcome) in [
            (7, Outcome::Applied),
            (9, Outcome::Applied),
            (9, Outcome::Ignored),
            (8, Outcome::Ignored),
            (10, Outcome::Applied),
        ] {
            assert_eq!(rig.feed(Snapshot, (id, -1), &bid, &[]), outcome, "{id}");
        }
        assert_eq!(rig.0.proof().state, State::Synced);
        assert_eq!(
            rig.feed(Snapshot, (11, -1), &[], &[]),
            Outcome::Applied,
            "empty"
        );
    }

    #[test]
    fn dust_is_cut_and_stays_a_level() {
        let rule = HuobiSync::new(&instrument());
        let of = |qty| rule.level(&instrument(), &raw("0.5", qty));
        for (qty, increments) in [
            ("4099.862110062893", 4_099_862_110),
            ("0.0000001", 1),
            ("2.516448728473207E7", 25_164_487_284_732),
            ("0.5", 500_000),
            ("0", 0),
            ("0.0000000", 0),
        ] {
            assert_eq!(of(qty).unwrap().qty, Qty(increments), "{qty}");
        }
        let fine = raw("0.001", "0.0000001");
        assert_eq!(
            rule.level(&instrument(), &fine),
            Err(NumError::TooFine),
            "a price is never cut"
        );
    }
}
