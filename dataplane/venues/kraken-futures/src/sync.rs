//! How a Kraken Futures book is kept: the checksum of the Unified WebSocket, the counter of the legacy feed.
//!
//! ```text
//! Unified   snapshot pushed, updates without a number; after each message the book is cut to the
//!           subscribed depth, then its checksum must be the venue's
//! legacy    snapshot pushed with seq S, each delta one level with seq S+1, S+2, ...; whole depth, no checksum
//! anything else    a gap or a wrong sum: stale at once, subscribed anew
//! ```
//! A message shows of which feed it is: only the legacy one has numbers. The checksum is the CRC-32 of the ten
//! best asks, then the ten best bids, each price and quantity as printed without its point and without the zeros
//! in front. It is the spot market's rule; that derivatives follow it is stated by one source.
//! Source: venue page, sections 3 and 4; `kraken.md`, section 3.1; read 2026-11-20.

use dp_book::{Book, Bootstrap, Chain, Copies, SyncRule};
use dp_types::{BookMsg, Decimal, Instrument, Level};
use dp_wire::buf::Buf;

/// Levels a side that we subscribe, and cut the book to: 10, 25, 100, 500 or 1,000 are offered.
pub const BOOK_DEPTH: usize = 100;
/// Levels a side the checksum covers.
pub const CHECKSUM_LEVELS: usize = 10;
/// Ten levels of two sides, price and quantity, each at most 19 digits and 18 zeros.
const TEXT_MAX: usize = CHECKSUM_LEVELS * 4 * 40;

/// The rule of one instrument's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KrakenFuturesSync {
    price_decimals: u8,
    qty_decimals: u8,
}

impl KrakenFuturesSync {
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
            // The digits without the point are the mantissa, and no integer is printed with zeros in front.
            text.push_i64(Decimal::from_increments(value, decimals, printed).mantissa);
        }
    }
}

/// Whether a message is of the legacy feed.
const fn is_numbered(msg: &BookMsg<'_>) -> bool {
    msg.last_id >= 0
}

impl SyncRule for KrakenFuturesSync {
    fn chain(&self, msg: &BookMsg<'_>) -> Chain {
        if is_numbered(msg) {
            Chain::Contiguous
        } else {
            Chain::Unchained
        }
    }

    /// No numbers on the feed we subscribe.
    fn copies(&self) -> Copies {
        Copies::Timed
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }

    fn depth_max(&self, snapshot: &BookMsg<'_>) -> Option<usize> {
        (!is_numbered(snapshot)).then_some(BOOK_DEPTH)
    }

    fn checksum(&self, book: &Book) -> Option<u32> {
        let mut text = Buf::new();
        for level in book.asks().take(CHECKSUM_LEVELS) {
            self.push_level(&level, &mut text);
        }
        for level in book.bids().take(CHECKSUM_LEVELS) {
            self.push_level(&level, &mut text);
        }
        text.finish().ok().map(crc32fast::hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Gap, Keeper, Outcome};
    use dp_types::{BookMsgKind, InstrumentId, RawLevel, Text, UnixNanos, VenueId, VenueNanos};

    fn instrument() -> Instrument {
        let symbol = Text::new("PF_XBTUSD").unwrap();
        Instrument::bare(InstrumentId(0), VenueId::KRAKEN_FUTURES, symbol, 6, 8)
    }

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

    type Levels<'a> = &'a [(&'a str, &'a str)];

    fn feed(
        keeper: &mut Keeper<KrakenFuturesSync>,
        kind: BookMsgKind,
        id: i64,
        checksum: Option<u32>,
        (bids, asks): (Levels<'_>, Levels<'_>),
    ) -> Outcome {
        let message = BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: id,
            last_id: id,
            prev_id: -1,
            checksum,
            bids: &levels(bids),
            asks: &levels(asks),
            venue_ns: VenueNanos(0),
        };
        keeper.on_msg(&message, &instrument(), UnixNanos(1))
    }

    fn keeper() -> Keeper<KrakenFuturesSync> {
        Keeper::new(KrakenFuturesSync::new(&instrument()))
    }

    const ASKS: Levels<'_> = &[
        ("65000.1", "0.25000000"),
        ("65000.2", "1.00000000"),
        ("65000.5", "0.00150000"),
        ("65001.0", "3.20000000"),
        ("65001.7", "0.10000000"),
        ("65002.0", "0.75000000"),
        ("65002.4", "2.00000000"),
        ("65003.1", "0.00020000"),
        ("65003.9", "5.00000000"),
        ("65004.0", "0.33330000"),
    ];
    const BIDS: Levels<'_> = &[
        ("65000.0", "0.50000000"),
        ("64999.9", "0.12000000"),
        ("64999.5", "2.00000000"),
        ("64999.0", "0.00500000"),
        ("64998.8", "1.10000000"),
        ("64998.1", "0.40000000"),
        ("64997.6", "0.00010000"),
        ("64997.0", "6.00000000"),
        ("64996.2", "0.09000000"),
        ("64995.5", "1.75000000"),
    ];

    use BookMsgKind::{Delta, Snapshot};

    #[test]
    fn checksums_of_the_venue_page() {
        let one = (&BIDS[..1], &ASKS[..1]);
        let outcome = feed(&mut keeper(), Snapshot, -1, Some(2_851_171_180), one);
        assert_eq!(outcome, Outcome::Applied);
        let mut book = keeper();
        for (kind, sum, levels) in [
            (Snapshot, 3_426_176_702, (BIDS, ASKS)),
            (
                Delta,
                642_592_318,
                (&[("64999.9", "0.00000000")][..], &[][..]),
            ),
            (
                Delta,
                823_980_338,
                (&[("64995.0", "0.20000000")][..], &[][..]),
            ),
        ] {
            assert_eq!(
                feed(&mut book, kind, -1, Some(sum), levels),
                Outcome::Applied
            );
        }
        let wrong = feed(&mut book, Delta, -1, Some(1), (&[], &[]));
        assert!(matches!(wrong, Outcome::BadChecksum { venue: 1, .. }));
    }

    #[test]
    fn every_shared_checksum() {
        let Some(dir) = tests_venues::captures::dir("kraken-futures") else {
            return;
        };
        let text = std::fs::read_to_string(dir.join("../checksum-vectors.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "kraken" {
                continue;
            }
            let side = |name: &str| -> Vec<(String, String)> {
                let levels = vector[name].as_array().unwrap();
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                levels
                    .iter()
                    .map(|level| (text(&level[0]), text(&level[1])))
                    .collect()
            };
            let (bids, asks) = (side("bids"), side("asks"));
            let bids: Vec<_> = bids.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
            let asks: Vec<_> = asks.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
            let sum = vector["checksum"].as_u64().unwrap() as u32;
            let outcome = feed(&mut keeper(), Snapshot, -1, Some(sum), (&bids, &asks));
            assert_eq!(outcome, Outcome::Applied, "{}", vector["case"]);
            count += 1;
        }
        assert!(count >= 2, "only {count} checksums found");
    }

    #[test]
    fn the_legacy_counter_rises_by_exactly_one() {
        let mut book = keeper();
        let one = (&BIDS[..1], &ASKS[..1]);
        assert_eq!(feed(&mut book, Delta, 9, None, one), Outcome::NeedSnapshot);
        assert_eq!(feed(&mut book, Snapshot, 10, None, one), Outcome::Applied);
        assert_eq!(feed(&mut book, Delta, 11, None, one), Outcome::Applied);
        assert_eq!(feed(&mut book, Delta, 11, None, one), Outcome::Ignored);
        let gap = Gap {
            expected: 12,
            got: 13,
        };
        assert_eq!(feed(&mut book, Delta, 13, None, one), Outcome::Gap(gap));
        assert_eq!(
            feed(&mut book, Delta, 14, None, one),
            Outcome::Ignored,
            "until a snapshot"
        );
        assert_eq!(feed(&mut book, Snapshot, 20, None, one), Outcome::Applied);
    }

    #[test]
    fn only_the_unified_book_is_cut_to_its_depth() {
        let prices: Vec<_> = (0..150).map(|n| (65_001 + n).to_string()).collect();
        let asks: Vec<_> = prices.iter().map(|price| (price.as_str(), "1")).collect();
        for (id, depth) in [(-1, BOOK_DEPTH), (7, 150)] {
            let mut book = keeper();
            feed(&mut book, Snapshot, id, None, (&[], &asks));
            assert_eq!(book.book().asks().count(), depth);
        }
    }

    #[test]
    fn the_longest_numbers_fit_the_text() {
        let bids: Vec<_> = (0..10)
            .map(|n| format!("{}.000000", 9_000_000_000_000i64 - n))
            .collect();
        let bids: Vec<_> = bids
            .iter()
            .map(|price| (price.as_str(), "92233720368.54775807"))
            .collect();
        let mut book = keeper();
        feed(&mut book, Snapshot, -1, None, (&bids, &[]));
        let sum = KrakenFuturesSync::new(&instrument()).checksum(book.book());
        assert!(sum.is_some_and(|sum| sum != 0));
    }
}
