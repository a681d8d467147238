//! How a Kraken book is kept: no ids at all, a checksum over the ten best levels of both sides after every
//! message, and the subscribed depth.
//!
//! ```text
//! snapshot   at most `depth` levels a side       pushed after subscribing; replaces the book
//! update     in order, then cut to the depth     nothing is sent for levels that fall out of it
//! checksum   CRC-32 of asks from the lowest, then bids from the highest: for each of ten levels the digits of
//!            price and quantity as printed, without the point and without zeros in front
//!            65000.1 x 0.25000000, 65000.0 x 0.50000000  →  65000125000000 65000050000000  →  2851171180
//! ```
//! level3     single orders: the checksum is over every order of the ten best prices, in their queues; a price that leaves
//!            the depth goes without a word, one that enters brings all its orders
//! WebSocket v1 prints other digits (more zeros) and makes its checksum the same way from those.
//! Source: venue page, sections 3.1 and 3.2, read 2026-11-20; fixtures `feed_book_*.json`.

use dp_book::{Book, Bootstrap, Chain, Copies, L3Book, OrdersRule, SyncRule};
use dp_types::{BookMsg, Decimal, Instrument, L3Msg, Level, Side};
use dp_wire::buf::Buf;

/// Levels a side the checksum covers, whatever the depth.
pub const CHECKSUM_LEVELS: usize = 10;
/// Depths the venue offers.
pub const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// The depth we subscribe: what the checksum proves, all of it. It is also the smallest there is, and so the
/// one a snapshot shows without doubt, however few levels it has ([`KrakenSync::depth_max`]).
pub const DEPTH: usize = DEPTHS[0];
const _: () = assert!(DEPTH == CHECKSUM_LEVELS);
/// Ten levels of two sides, two numbers each, at most 19 digits.
const TEXT_MAX: usize = CHECKSUM_LEVELS * 4 * 19;

/// The rule of one instrument's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KrakenSync {
    price_decimals: u8,
    qty_decimals: u8,
}

impl KrakenSync {
    /// The rule for books in this instrument's increments.
    pub const fn new(instrument: &Instrument) -> Self {
        Self {
            price_decimals: instrument.price_decimals,
            qty_decimals: instrument.qty_decimals,
        }
    }

    fn printed(self, level: &Level) -> [Decimal; 2] {
        [
            Decimal::from_increments(level.price.0, self.price_decimals, level.price_printed),
            Decimal::from_increments(level.qty.0, self.qty_decimals, level.qty_printed),
        ]
    }
}

/// CRC-32 of the digits of prices and quantities in the order given, as printed, zeros in front left out.
/// `None` for more than the ten levels a side have.
pub fn checksum(numbers: impl IntoIterator<Item = Decimal>) -> Option<u32> {
    let mut text = Buf::<TEXT_MAX>::new();
    for number in numbers {
        // Without point and leading zeros the printed digits are the mantissa's; of a zero nothing is left.
        if number.mantissa != 0 {
            text.push_u64(number.mantissa.unsigned_abs());
        }
    }
    text.finish().ok().map(crc32fast::hash)
}

impl SyncRule for KrakenSync {
    fn chain(&self, _msg: &BookMsg<'_>) -> Chain {
        Chain::Unchained
    }

    /// No numbers.
    fn copies(&self) -> Copies {
        Copies::Timed
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }

    fn checksum(&self, book: &Book) -> Option<u32> {
        let asks = book.asks().take(CHECKSUM_LEVELS);
        let bids = book.bids().take(CHECKSUM_LEVELS);
        checksum(asks.chain(bids).flat_map(|level| self.printed(&level)))
    }

    /// The smallest depth the venue offers that holds the snapshot. Messages do not say which was subscribed;
    /// of a recording with fewer levels than it asked for, the far end may be cut too soon. The ten best
    /// levels are checked all the same.
    fn depth_max(&self, snapshot: &BookMsg<'_>) -> Option<usize> {
        let levels = snapshot.bids.len().max(snapshot.asks.len());
        DEPTHS.into_iter().find(|depth| levels <= *depth)
    }
}

/// Prices a side whose single orders we keep: the smallest the venue offers, and what the checksum proves.
pub const ORDERS_DEPTH: usize = 10;

impl OrdersRule for KrakenSync {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }

    fn levels_max(&self, _snapshot: &L3Msg<'_>) -> Option<usize> {
        Some(ORDERS_DEPTH)
    }

    fn checksum(&self, book: &L3Book) -> Option<u32> {
        let mut sum = crc32fast::Hasher::new();
        for side in [Side::Sell, Side::Buy] {
            let orders = book.levels(side).take(CHECKSUM_LEVELS);
            let count: u32 = orders.map(|(_, _, count)| count).sum();
            for (_, level) in book.orders(side).take(count as usize) {
                let mut text = Buf::<40>::new();
                for number in self.printed(&level) {
                    if number.mantissa != 0 {
                        text.push_u64(number.mantissa.unsigned_abs());
                    }
                }
                sum.update(text.as_bytes());
            }
        }
        Some(sum.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Keeper, OrdersKeeper, Outcome};
    use dp_types::{
        BookMsgKind, InstrumentId, OrderAct, OrderId, RawLevel, RawOrder, Text, UnixNanos, VenueId,
        VenueNanos,
    };

    const ASKS: [(&str, &str); 10] = [
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
    const BIDS: [(&str, &str); 10] = [
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

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn levels<T: AsRef<str>>(texts: &[(T, T)]) -> Vec<RawLevel> {
        texts
            .iter()
            .map(|(price, qty)| RawLevel {
                price: decimal(price.as_ref()),
                qty: decimal(qty.as_ref()),
            })
            .collect()
    }

    fn instrument() -> Instrument {
        let symbol = Text::new("BTC/USD").unwrap();
        Instrument::bare(InstrumentId(0), VenueId::KRAKEN, symbol, 5, 8)
    }

    /// The venue page's snapshot of single orders, section 3.2: two of them share a price.
    #[test]
    fn the_checksum_of_single_orders() {
        let order = |id, side, price: &str, qty: &str| RawOrder {
            act: OrderAct::Rests,
            id: OrderId(id),
            side,
            price: decimal(price),
            qty: decimal(qty),
        };
        let orders = [
            order(1, Side::Buy, "65000.0", "0.50000000"),
            order(2, Side::Buy, "64999.9", "0.12000000"),
            order(3, Side::Sell, "65000.1", "0.25000000"),
            order(4, Side::Sell, "65000.1", "0.10000000"),
            order(5, Side::Sell, "65000.2", "1.00000000"),
        ];
        let mut keeper = OrdersKeeper::new(KrakenSync::new(&instrument()), 100);
        let snapshot = L3Msg {
            instrument: InstrumentId(0),
            kind: BookMsgKind::Snapshot,
            last_id: -1,
            has_hole: false,
            has_more: false,
            checksum: Some(4_193_277_946),
            orders: &orders,
            venue_ns: VenueNanos(0),
        };
        let now = UnixNanos(1);
        assert_eq!(
            keeper.on_msg(&snapshot, &instrument(), now),
            Outcome::Applied
        );
        // Where the two stand in their queue counts.
        let [one, two, three, four, five] = orders;
        let other = L3Msg {
            orders: &[one, two, four, three, five],
            ..snapshot
        };
        let told = keeper.on_msg(&other, &instrument(), now);
        assert!(matches!(told, Outcome::BadChecksum { .. }));
    }

    fn feed(
        keeper: &mut Keeper<KrakenSync>,
        kind: BookMsgKind,
        checksum: Option<u32>,
        bids: &[RawLevel],
        asks: &[RawLevel],
    ) -> Outcome {
        let message = BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: -1,
            last_id: -1,
            prev_id: -1,
            checksum,
            bids,
            asks,
            venue_ns: VenueNanos(0),
        };
        keeper.on_msg(&message, &instrument(), UnixNanos(1))
    }

    fn of(bids: &[RawLevel], asks: &[RawLevel]) -> u32 {
        let mut keeper = Keeper::new(KrakenSync::new(&instrument()));
        feed(&mut keeper, BookMsgKind::Snapshot, None, bids, asks);
        SyncRule::checksum(keeper.rule(), keeper.book()).unwrap()
    }

    #[test]
    fn one_level_a_side_ten_and_none() {
        assert_eq!(of(&levels(&BIDS[..1]), &levels(&ASKS[..1])), 2_851_171_180);
        assert_eq!(of(&levels(&BIDS), &levels(&ASKS)), 3_426_176_702);
        assert_eq!(of(&[], &[]), 0);
    }

    #[test]
    fn the_published_book_of_v1() {
        let side = |prices: [u32; 10]| {
            prices.map(|price| (format!("0.{price:05}"), "0.00000500".to_owned()))
        };
        let asks = side([5005, 5010, 5015, 5020, 5025, 5030, 5035, 5040, 5045, 5050]);
        let bids = side([5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950]);
        assert_eq!(of(&levels(&bids), &levels(&asks)), 974_947_235);
    }

    #[test]
    fn an_update_is_cut_to_the_depth_before_it_is_checked() {
        let mut keeper = Keeper::new(KrakenSync::new(&instrument()));
        let mut run = |kind, checksum, bids: &[(&str, &str)], asks: &[(&str, &str)]| {
            feed(
                &mut keeper,
                kind,
                Some(checksum),
                &levels(bids),
                &levels(asks),
            )
        };
        use BookMsgKind::{Delta, Snapshot};
        assert_eq!(run(Snapshot, 3_426_176_702, &BIDS, &ASKS), Outcome::Applied);
        let gone = ("64999.9", "0.00000000");
        assert_eq!(
            run(Delta, 642_592_318, &[gone], &[]),
            Outcome::Applied,
            "nine bids"
        );
        let new = ("64995.0", "0.20000000");
        assert_eq!(run(Delta, 823_980_338, &[new], &[]), Outcome::Applied);
        // A better bid pushes 64995.0 out of the ten; taking it away does not bring that back.
        let better = ("65000.05", "1");
        assert!(
            run(Delta, 0, &[better], &[]).needs_snapshot(),
            "the checksum is wrong"
        );
        assert_eq!(run(Snapshot, 3_426_176_702, &BIDS, &ASKS), Outcome::Applied);
        let both = [better, ("65000.05", "0")];
        let nine = levels(&BIDS[..9]);
        assert_eq!(
            run(Delta, of(&levels(&BIDS), &levels(&ASKS)), &both, &[]),
            Outcome::Applied,
            "within one message nothing is cut"
        );
        let cut = of(&nine, &levels(&ASKS));
        let full = {
            let mut bids = levels(&[better]);
            bids.extend_from_slice(&nine);
            of(&bids, &levels(&ASKS))
        };
        assert_eq!(run(Delta, full, &[better], &[]), Outcome::Applied);
        assert_eq!(run(Delta, cut, &[("65000.05", "0")], &[]), Outcome::Applied);
    }

    /// The published level 3 book: every order of the ten best prices, in queue order.
    #[test]
    fn a_book_of_orders_has_its_checksum_over_all_of_them() {
        let asks = [
            ("65000.1", "0.25000000"),
            ("65000.1", "0.10000000"),
            ("65000.2", "1.00000000"),
        ];
        let numbers = asks
            .iter()
            .chain(&BIDS[..2])
            .flat_map(|(price, qty)| [price, qty]);
        assert_eq!(
            checksum(numbers.map(|text| decimal(text))),
            Some(4_193_277_946)
        );
    }

    #[test]
    fn the_longest_numbers_fit_and_more_do_not() {
        let long = Decimal {
            mantissa: i64::MIN,
            exponent: -8,
        };
        assert!(checksum([long; CHECKSUM_LEVELS * 4]).is_some());
        assert_eq!(checksum([long; CHECKSUM_LEVELS * 4 + 1]), None);
    }

    #[test]
    fn the_depth_is_the_smallest_that_holds_the_snapshot() {
        let rule = KrakenSync::new(&instrument());
        for (count, want) in [
            (0, Some(10)),
            (10, Some(10)),
            (11, Some(25)),
            (841, Some(1_000)),
            (1_001, None),
        ] {
            let levels = vec![RawLevel::default(); count];
            let message = BookMsg {
                instrument: InstrumentId(0),
                kind: BookMsgKind::Snapshot,
                first_id: -1,
                last_id: -1,
                prev_id: -1,
                checksum: None,
                bids: &[],
                asks: &levels,
                venue_ns: VenueNanos(0),
            };
            assert_eq!(rule.depth_max(&message), want);
        }
    }

    /// Every Kraken vector of the shared file.
    #[test]
    fn every_shared_vector() {
        let Some(dir) = tests_venues::captures::dir("kraken") else {
            return;
        };
        let path = dir.with_file_name("checksum-vectors.json");
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "kraken" {
                continue;
            }
            let side = |key: &str| -> Vec<(String, String)> {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                let levels = vector[key].as_array().unwrap().iter();
                levels
                    .map(|level| (text(&level[0]), text(&level[1])))
                    .collect()
            };
            let got = of(&levels(&side("bids")), &levels(&side("asks")));
            assert_eq!(u64::from(got), vector["checksum"].as_u64().unwrap());
            count += 1;
        }
        assert_eq!(count, 2);
    }
}
