//! How an OKX book is kept: the `prevSeqId` chain, both bootstraps, the old checksum.
//!
//! ```text
//! snapshot   prevSeqId -1, seqId S        pushed, or fetched: deltas up to S are dropped,
//!                                         the first applied has prevSeqId <= S < seqId
//! update     prevSeqId == last            also when seqId == prevSeqId (heartbeat) and when
//!                                         seqId < prevSeqId (counter restarted by maintenance)
//! anything else                           a gap: stale at once, snapshot asked for
//! ```
//! Recordings from before the ids rely on the checksum alone: signed CRC-32 of
//! `bid:size:ask:size:...` over the 25 best levels, from the digits as printed; where a side ends
//! the other goes on. Since June 2026 the venue sends 0, which `feed` reads as "none".
//! Source: venue page, sections 3.2 and 3.3, read 2026-11-20; fixtures `feed_delta_*.json`.

use dp_book::{Book, Bootstrap, Chain, SyncRule};
use dp_types::{BookMsg, Decimal, Instrument, Level};
use dp_wire::buf::Buf;

/// Levels a side the checksum covers.
pub const CHECKSUM_LEVELS: usize = 25;
/// 25 levels of two sides, price and quantity, each at most 20 digits, a point, a colon.
const TEXT_MAX: usize = CHECKSUM_LEVELS * 4 * 22;

/// The rule of one instrument's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OkxSync {
    price_decimals: u8,
    qty_decimals: u8,
}

impl OkxSync {
    /// The rule for books in this instrument's increments.
    pub const fn new(instrument: &Instrument) -> Self {
        Self {
            price_decimals: instrument.price_decimals,
            qty_decimals: instrument.qty_decimals,
        }
    }

    fn push_level(self, level: &Level, text: &mut Buf<TEXT_MAX>) {
        for (value, decimals, printed) in [
            (level.price.0, self.price_decimals, level.price_printed),
            (level.qty.0, self.qty_decimals, level.qty_printed),
        ] {
            if !text.is_empty() {
                text.push(b':');
            }
            text.push_decimal(Decimal::from_increments(value, decimals, printed));
        }
    }
}

impl SyncRule for OkxSync {
    fn chain(&self, _msg: &BookMsg<'_>) -> Chain {
        Chain::Linked
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Either
    }

    fn checksum(&self, book: &Book) -> Option<u32> {
        let mut text = Buf::new();
        let (mut bids, mut asks) = (book.bids(), book.asks());
        for _ in 0..CHECKSUM_LEVELS {
            let (bid, ask) = (bids.next(), asks.next());
            for level in [bid, ask].iter().flatten() {
                self.push_level(level, &mut text);
            }
        }
        text.finish().ok().map(crc32fast::hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{BookMsgKind, InstrumentId, RawLevel, Text, UnixNanos, VenueId, VenueNanos};

    fn levels(texts: &[(&str, &str)]) -> Vec<RawLevel> {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        texts
            .iter()
            .map(|(price, qty)| RawLevel {
                price: decimal(price),
                qty: decimal(qty),
            })
            .collect()
    }

    fn checksum(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> i32 {
        let symbol = Text::new("BTC-USDT").unwrap();
        let instrument = Instrument::bare(InstrumentId(0), VenueId::OKX, symbol, 6, 8);
        let mut keeper = dp_book::Keeper::new(OkxSync::new(&instrument));
        let message = BookMsg {
            instrument: InstrumentId(0),
            kind: BookMsgKind::Snapshot,
            first_id: -1,
            last_id: -1,
            prev_id: -1,
            checksum: None,
            bids: &levels(bids),
            asks: &levels(asks),
            venue_ns: VenueNanos(0),
        };
        keeper.on_msg(&message, &instrument, UnixNanos(1));
        keeper.rule().checksum(keeper.book()).unwrap().cast_signed()
    }

    #[test]
    fn published_and_own_checksums() {
        assert_eq!(
            checksum(
                &[("3366.1", "7"), ("3366", "6")],
                &[("3366.8", "9"), ("3368", "8")]
            ),
            -1_881_014_294
        );
        assert_eq!(
            checksum(
                &[("3366.1", "7")],
                &[("3366.8", "9"), ("3368", "8"), ("3372", "8")]
            ),
            831_078_360
        );
        assert_eq!(
            checksum(
                &[("65000", "1.5"), ("64999.9", "0.2"), ("64999.5", "3")],
                &[("65000.1", "0.8"), ("65000.4", "2")]
            ),
            -1_516_162_764
        );
    }

    #[test]
    fn an_empty_book_has_the_checksum_of_nothing() {
        assert_eq!(checksum(&[], &[]), 0);
    }

    #[test]
    fn the_longest_numbers_fit_the_text() {
        let long = |n: i64| (format!("{}.{:06}", 9_000_000_000_000i64 - n, 0), n);
        let bids: Vec<_> = (0..30).map(long).collect();
        let bids: Vec<_> = bids
            .iter()
            .map(|(price, _)| (price.as_str(), "92233720368.54775807"))
            .collect();
        assert_ne!(checksum(&bids, &[]), 0);
    }
}
