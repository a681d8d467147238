//! How a Bitfinex book is kept: pushed whole, then changed level by level, proved by a checksum and by the
//! numbers of the connection.
//!
//! ```text
//! snapshot    first array of a channel                    replaces the book
//! update      one level; order of arrival                 applied
//! "cs", "hb"  messages of their own, told as deltas without levels: what they say is about the book after all
//!             earlier frames, which is the book after an empty change. "hb" brings nothing but news of its age
//! a number of the connection left out: told as a delta without levels, `prev_id` the number that should have
//!             come, `first_id` the one that did; everywhere else `prev_id` is -1. A gap: stale at once
//! ```
//! The checksum is the signed CRC-32 of `bid:amount:ask:-amount:...` over the 25 best levels, from the tokens on
//! the wire, asks negative; where a side ends the other goes on. Tokens are what JavaScript prints: no zeros at
//! the end, and an exponent below 10^-6. Should the venue sum up plain decimals there, the book is still right:
//! [`SyncRule::checksum_otherwise`].
//! Source: venue page, sections 1.2 and 3.3, read 2026-11-21.

use dp_book::{Book, Bootstrap, Chain, Copies, Gap, Ids, L3Book, OrdersRule, Step, SyncRule};
use dp_types::{BookMsg, Decimal, Instrument, Level, OrderId, Side};
use dp_wire::buf::Buf;

/// Levels a side the checksum covers; of a raw book, orders.
pub const CHECKSUM_LEVELS: usize = 25;
/// 25 levels of two sides, price and amount, each at most 20 digits, a zero and a point in front, a sign and a
/// colon; plain decimals below one have up to 18 zeros more.
const TEXT_MAX: usize = CHECKSUM_LEVELS * 4 * 42;

/// The smallest power of ten that JavaScript prints as a plain decimal.
const PLAIN_POWER_MIN: i32 = -6;

/// How a number is spelled in the text of a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// As JavaScript does: `5.6e-7`.
    Wire,
    /// `0.00000056`.
    Plain,
}

/// The rule of one instrument's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitfinexSync {
    price_decimals: u8,
    qty_decimals: u8,
}

impl BitfinexSync {
    /// The rule for books in this instrument's increments.
    pub const fn new(instrument: &Instrument) -> Self {
        Self {
            price_decimals: instrument.price_decimals,
            qty_decimals: instrument.qty_decimals,
        }
    }

    fn push_level(self, side: Side, level: &Level, how: Spelling, text: &mut Buf<TEXT_MAX>) {
        let price =
            Decimal::from_increments(level.price.0, self.price_decimals, level.price_printed);
        let qty = Decimal::from_increments(level.qty.0, self.qty_decimals, level.qty_printed);
        push_part(text, |text| push_number(price, how, text));
        push_part(text, |text| push_amount(side, qty, how, text));
    }

    fn sum(self, book: &Book, how: Spelling) -> Option<u32> {
        let mut text = Buf::new();
        let (mut bids, mut asks) = (book.bids(), book.asks());
        for _ in 0..CHECKSUM_LEVELS {
            for (side, level) in [(Side::Buy, bids.next()), (Side::Sell, asks.next())] {
                if let Some(level) = level {
                    self.push_level(side, &level, how, &mut text);
                }
            }
        }
        text.finish().ok().map(crc32fast::hash)
    }
}

fn push_part<const N: usize>(text: &mut Buf<N>, push: impl FnOnce(&mut Buf<N>)) {
    if !text.is_empty() {
        text.push(b':');
    }
    push(text);
}

fn push_amount<const N: usize>(side: Side, qty: Decimal, how: Spelling, text: &mut Buf<N>) {
    if side == Side::Sell {
        text.push(b'-');
    }
    push_number(qty, how, text);
}

/// Appends a number above zero.
fn push_number<const N: usize>(number: Decimal, how: Spelling, text: &mut Buf<N>) {
    let mut digits = number.mantissa.unsigned_abs();
    let mut power = i32::from(number.exponent);
    while digits != 0 && digits.is_multiple_of(10) {
        digits /= 10;
        power += 1;
    }
    let count = digits.checked_ilog10().unwrap_or(0) as i32 + 1;
    let first = power + count - 1; // the power of its first digit
    if how == Spelling::Plain || digits == 0 || first >= PLAIN_POWER_MIN {
        text.push_decimal(number);
        return;
    }
    // One digit, a point and the others, by the mantissa's own writer.
    text.push_decimal(Decimal {
        mantissa: digits.cast_signed(),
        exponent: (1 - count) as i8,
    });
    text.push_str("e-");
    text.push_u64(u64::from(first.unsigned_abs()));
}

impl SyncRule for BitfinexSync {
    fn chain(&self, _msg: &BookMsg<'_>) -> Chain {
        Chain::Unchained
    }

    /// Numbers are of the connection.
    fn copies(&self) -> Copies {
        Copies::Timed
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }

    fn checksum(&self, book: &Book) -> Option<u32> {
        self.sum(book, Spelling::Wire)
    }

    fn checksum_otherwise(&self, book: &Book) -> Option<u32> {
        self.sum(book, Spelling::Plain)
    }

    fn judge(&self, _ids: Ids, msg: &BookMsg<'_>) -> Step {
        if msg.prev_id < 0 {
            Step::Apply
        } else {
            Step::Gap(Gap {
                expected: msg.prev_id,
                got: msg.first_id,
            })
        }
    }
}

/// Single orders, of the best prices first: by their ids within one price, whatever their places in the queue.
fn best_orders(book: &L3Book, side: Side) -> ([(OrderId, Level); CHECKSUM_LEVELS], usize) {
    let mut best = [(OrderId(0), Level::default()); CHECKSUM_LEVELS];
    let mut held = 0;
    let mut orders = book.orders(side);
    for (_, _, count) in book.levels(side) {
        if held >= CHECKSUM_LEVELS {
            break;
        }
        let start = held;
        // Of a price only the lowest ids are wanted: the others fall out at the end.
        for order in orders.by_ref().take(count as usize) {
            let place = best
                .get(start..held)
                .map_or(0, |held| held.partition_point(|one| one.0.0 < order.0.0));
            held = (held + 1).min(CHECKSUM_LEVELS);
            if let Some(moved) = best.get_mut(start + place..held)
                && !moved.is_empty()
            {
                moved.rotate_right(1);
                if let Some(slot) = moved.first_mut() {
                    *slot = order;
                }
            }
        }
    }
    (best, held)
}

impl OrdersRule for BitfinexSync {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }

    /// As of levels, but `id:amount` in place of `price:amount`.
    fn checksum(&self, book: &L3Book) -> Option<u32> {
        let mut text = Buf::<TEXT_MAX>::new();
        let [bids, asks] = [Side::Buy, Side::Sell].map(|side| best_orders(book, side));
        for at in 0..CHECKSUM_LEVELS {
            for (side, (orders, held)) in [(Side::Buy, &bids), (Side::Sell, &asks)] {
                let Some((id, level)) = orders.get(at).filter(|_| at < *held) else {
                    continue;
                };
                let id = u64::try_from(id.0).ok()?;
                let qty =
                    Decimal::from_increments(level.qty.0, self.qty_decimals, level.qty_printed);
                push_part(&mut text, |text| text.push_u64(id));
                push_part(&mut text, |text| {
                    push_amount(side, qty, Spelling::Wire, text);
                });
            }
        }
        text.finish().ok().map(crc32fast::hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_book::{Keeper, OrdersKeeper, Outcome};
    use dp_types::{
        BookMsgKind, InstrumentId, L3Msg, OrderAct, RawLevel, RawOrder, Text, UnixNanos, VenueId,
        VenueNanos,
    };

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn levels(texts: &[(&str, &str)]) -> Vec<RawLevel> {
        texts
            .iter()
            .map(|(price, qty)| RawLevel {
                price: decimal(price),
                qty: decimal(qty),
            })
            .collect()
    }

    fn instrument() -> Instrument {
        let symbol = Text::new("tBTCUSD").unwrap();
        Instrument::bare(InstrumentId(0), VenueId::BITFINEX, symbol, 10, 8)
    }

    fn keeper(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Keeper<BitfinexSync> {
        let mut keeper = Keeper::new(BitfinexSync::new(&instrument()));
        let message = BookMsg {
            kind: BookMsgKind::Snapshot,
            bids: &levels(bids),
            asks: &levels(asks),
            ..empty(None, -1)
        };
        let outcome = keeper.on_msg(&message, &instrument(), UnixNanos(1));
        assert_eq!(outcome, Outcome::Applied);
        keeper
    }

    fn empty<'a>(checksum: Option<i32>, prev_id: i64) -> BookMsg<'a> {
        BookMsg {
            instrument: InstrumentId(0),
            kind: BookMsgKind::Delta,
            first_id: 9,
            last_id: 9,
            prev_id,
            checksum: checksum.map(i32::cast_unsigned),
            bids: &[],
            asks: &[],
            venue_ns: VenueNanos(0),
        }
    }

    fn checksum(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> i32 {
        let keeper = keeper(bids, asks);
        SyncRule::checksum(keeper.rule(), keeper.book())
            .unwrap()
            .cast_signed()
    }

    const TINY: (&[(&str, &str)], &[(&str, &str)]) = (
        &[("5.6e-7", "60712.4250231"), ("5.5e-7", "1047414.30449527")],
        &[("5.7e-7", "1500")],
    );

    #[test]
    fn vectors_of_the_venue_page() {
        let whole = checksum(
            &[("64998", "3.25"), ("65000", "1.5"), ("64999", "0.2")],
            &[("65001", "0.8"), ("65002", "2")],
        );
        assert_eq!(whole, -228_054_655);
        assert_eq!(checksum(TINY.0, TINY.1), 428_902_169);
    }

    /// The venue page's raw book, and two orders of one price: the lower id first, wherever it stands.
    #[test]
    fn the_checksum_of_single_orders() {
        let order = |id, side, price, qty| RawOrder {
            act: OrderAct::Rests,
            id: OrderId(id),
            side,
            price: decimal(price),
            qty: decimal(qty),
        };
        let told = |orders: &[RawOrder], checksum: i32| {
            let rule = BitfinexSync::new(&instrument());
            let snapshot = L3Msg {
                instrument: InstrumentId(0),
                kind: BookMsgKind::Snapshot,
                last_id: -1,
                has_hole: false,
                has_more: false,
                checksum: Some(checksum.cast_unsigned()),
                orders,
                venue_ns: VenueNanos(0),
            };
            OrdersKeeper::new(rule, 100).on_msg(&snapshot, &instrument(), UnixNanos(1))
        };
        let page = [
            order(190_000_000_003, Side::Buy, "64999", "0.2"),
            order(190_000_000_001, Side::Buy, "65000", "1.5"),
            order(190_000_000_002, Side::Sell, "65001", "0.8"),
        ];
        assert_eq!(told(&page, 1_595_431_981), Outcome::Applied);
        assert!(matches!(told(&page, 1), Outcome::BadChecksum { .. }));
        // Thirty orders of one price: the 25 lowest ids count.
        let many: Vec<_> = (1..=30u128)
            .rev()
            .map(|id| order(id, Side::Buy, "10", "1"))
            .collect();
        let text: Vec<_> = (1..=25).map(|id| format!("{id}:1")).collect();
        let sum = crc32fast::hash(text.join(":").as_bytes()).cast_signed();
        assert_eq!(told(&many, sum), Outcome::Applied);
    }

    #[test]
    fn numbers_as_javascript_prints_them() {
        for (number, want) in [
            ("65000", "65000"),
            ("0.10", "0.10"),
            ("0.000001", "0.000001"),
            ("0.0000010", "0.0000010"),
            ("0.00000123", "0.00000123"),
            ("0.0000001", "1e-7"),
            ("0.00000056", "5.6e-7"),
            ("5.6123e-7", "5.6123e-7"),
            ("1e-18", "1e-18"),
            ("0", "0"),
        ] {
            let mut text = Buf::<64>::new();
            push_number(decimal(number), Spelling::Wire, &mut text);
            assert_eq!(text.as_bytes(), want.as_bytes(), "{number}");
        }
    }

    #[test]
    fn plain_decimals_below_a_millionth_are_right_too() {
        let text = "0.00000056:60712.4250231:0.00000057:-1500:0.00000055:1047414.30449527";
        let plain = crc32fast::hash(text.as_bytes()).cast_signed();
        for (venue, is_right) in [(428_902_169, true), (plain, true), (7, false)] {
            let mut keeper = keeper(TINY.0, TINY.1);
            let message = empty(Some(venue), -1);
            let outcome = keeper.on_msg(&message, &instrument(), UnixNanos(2));
            assert_eq!(outcome == Outcome::Applied, is_right, "{venue}");
        }
    }

    #[test]
    fn a_heartbeat_makes_the_book_young_and_a_hole_makes_it_stale() {
        let mut keeper = keeper(&[("1", "1")], &[("2", "1")]);
        let outcome = keeper.on_msg(&empty(None, -1), &instrument(), UnixNanos(7));
        assert_eq!(
            (outcome, keeper.proof().at),
            (Outcome::Applied, UnixNanos(7))
        );
        let gap = Gap {
            expected: 5,
            got: 9,
        };
        let outcome = keeper.on_msg(&empty(None, 5), &instrument(), UnixNanos(8));
        assert_eq!(outcome, Outcome::Gap(gap));
        let outcome = keeper.on_msg(&empty(None, -1), &instrument(), UnixNanos(9));
        assert_eq!(
            outcome,
            Outcome::Ignored,
            "until the venue pushes a whole one"
        );
    }

    #[test]
    fn an_empty_book_and_the_longest_one() {
        assert_eq!(checksum(&[], &[]), 0);
        let price = |n: usize| format!("{}.{:010}", 900_000_000 - n, 1);
        let side: Vec<_> = (0..30).map(price).collect();
        let bids: Vec<_> = side
            .iter()
            .map(|price| (price.as_str(), "92233720368.54775807"))
            .collect();
        assert_ne!(checksum(&bids, &[]), 0);
    }
}
