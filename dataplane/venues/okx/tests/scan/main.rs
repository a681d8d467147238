//! The scanner against the general parser: whatever comes in, both say the same, and the hot shapes are read by
//! the scanner.
#![allow(missing_docs)]

mod orders;

use dp_types::{LinkId, Now};
use dp_venue_api::{Registry, Venue as _, VenueConfig};
use dp_venue_okx::{LINK_PUBLIC, Okx};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tests_venues::captures::{self, Tally};
use tests_venues::damage::{each_byte, mutate};
use tests_venues::ear::{is_scanned, same};
use tests_venues::made::{
    Change, Fields, any_int, any_number, change, object, text, usual_int, usual_number,
};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// A machine, the same again as oracle, and what they know.
struct Both {
    registry: Registry,
    scanner: Okx,
    oracle: Okx,
}

impl Both {
    fn new(symbols: &[&str]) -> Self {
        let mut registry = Registry::new();
        let mut machine = || {
            let config = VenueConfig {
                symbols: symbols.iter().map(|&symbol| symbol.to_owned()).collect(),
                ..VenueConfig::default()
            };
            Okx::new(config, &mut registry).expect("there is room")
        };
        let (scanner, oracle) = (machine(), machine());
        Self {
            registry,
            scanner,
            oracle,
        }
    }

    /// Gives a text to both. Says whether the scanner took it.
    fn check(&mut self, text: &[u8]) -> bool {
        let Self {
            registry,
            scanner,
            oracle,
        } = self;
        let before = scanner.read_counts();
        let (link, now): (LinkId, _) = (LINK_PUBLIC, Now::default());
        same(
            text,
            |text, ear| {
                let result = scanner.on_text(registry, link, now, text, ear);
                (result, scanner.next_deadline())
            },
            |text, ear| {
                let result = oracle.parse_text(registry, link, now, text, ear);
                (result, oracle.next_deadline())
            },
        );
        is_scanned(before, scanner.read_counts())
    }
}

// ---- recordings --------------------------------------------------------------------------------------

fn texts(name: &str) -> Option<Vec<String>> {
    Some(captures::texts(&captures::dir("okx")?.join(name)).collect())
}

fn symbols(texts: &[String]) -> BTreeSet<&str> {
    texts
        .iter()
        .filter_map(|text| text.split_once(r#""instId":""#)?.1.split_once('"'))
        .map(|(symbol, _)| symbol)
        .collect()
}

/// Whether a message is of one of the shapes the scanner is for: a push of one item.
fn is_hot(text: &str) -> bool {
    let channels = [
        "books",
        "books-l2-tbt",
        "books50-l2-tbt",
        "bbo-tbt",
        "trades",
        "trades-all",
    ];
    let is_channel = channels
        .iter()
        .any(|channel| text.starts_with(&format!(r#"{{"arg":{{"channel":"{channel}","#)));
    is_channel && text.matches(r#""ts":"#).count() == 1
}

/// A recording of a session: nearly all of what is hot must be scanned.
fn session(name: &str, hot_min: u32) {
    let Some(texts) = texts(name) else { return };
    let symbols: Vec<_> = symbols(&texts).into_iter().collect();
    let mut both = Both::new(&symbols);
    let mut tally = Tally::default();
    for text in &texts {
        tally.count(text, is_hot(text), both.check(text.as_bytes()));
    }
    tally.check(name, hot_min);
}

#[test]
fn recorded_2021() {
    session("okex-20210722.jsonl.gz", 4_000);
}

#[test]
fn recorded_2022() {
    session("v5-20220513.jsonl.gz", 300);
}

#[test]
fn single_recorded_messages_and_our_fixtures() {
    let mut both = Both::new(&["BTC-USDT", "ETH-USDT"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    assert!(
        both.scanner.read_counts().scanned >= 9,
        "the feed's fixtures"
    );
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
        "responses-xchange.jsonl",
    ] {
        let Some(texts) = texts(name) else { return };
        let symbols: Vec<_> = symbols(&texts).into_iter().collect();
        let mut both = Both::new(&symbols);
        for text in &texts {
            both.check(text.as_bytes());
        }
    }
}

thread_local! {
    /// Made once a test: its room for levels and its parser are large.
    static BOTH: RefCell<Both> = RefCell::new(Both::new(&["BTC-USDT", "BTC-USDT-SWAP"]));
}

fn check(text: &[u8]) -> bool {
    BOTH.with_borrow_mut(|both| both.check(text))
}

// ---- made up -----------------------------------------------------------------------------------------

fn side(number: &BoxedStrategy<String>, max: usize) -> BoxedStrategy<String> {
    let level = (number.clone(), number.clone(), 0u32..2_000)
        .prop_map(|(price, qty, orders)| format!("[\"{price}\",\"{qty}\",\"0\",\"{orders}\"]"));
    proptest::collection::vec(level, 0..max)
        .prop_map(|levels| format!("[{}]", levels.join(",")))
        .boxed()
}

/// Channel, action and the fields of the item, in the venue's order.
fn push(
    number: BoxedStrategy<String>,
    int: BoxedStrategy<String>,
) -> BoxedStrategy<(&'static str, &'static str, Fields)> {
    let sides = (
        side(&number, 12),
        side(&number, 12),
        side(&number, 2),
        side(&number, 2),
    );
    let numbers = (number.clone(), number);
    let ints = proptest::collection::vec(int, 5);
    (0u8..3, sides, numbers, ints, any::<[bool; 4]>())
        .prop_map(|(shape, sides, (price, size), ints, [a, b, c, d])| {
            let int = |at: usize| ints[at].clone();
            let ts = ("ts", text(&ints[0]));
            let (asks, bids, ask, bid) = sides;
            match shape {
                0 => {
                    let mut fields = vec![("asks", asks), ("bids", bids), ts];
                    fields.extend(a.then(|| ("checksum", (ints[1].len() as i32 - 2).to_string())));
                    let mut ids = vec![("prevSeqId", int(2)), ("seqId", int(3))];
                    if c {
                        ids.reverse();
                    }
                    fields.extend(b.then_some(ids).into_iter().flatten());
                    let action = if d {
                        r#""action":"update","#
                    } else {
                        r#""action":"snapshot","#
                    };
                    ("books", action, fields)
                }
                1 => {
                    let mut fields = vec![("asks", ask), ("bids", bid), ts];
                    fields.extend(a.then(|| ("seqId", int(1))));
                    ("bbo-tbt", "", fields)
                }
                _ => {
                    let side = if a { "buy" } else { "sell" };
                    let mut fields = vec![
                        ("instId", text("BTC-USDT")),
                        ("tradeId", text(&ints[1])),
                        ("px", text(&price)),
                        ("sz", text(&size)),
                        ("side", text(side)),
                        ts,
                    ];
                    fields.extend(b.then(|| ("count", text("3"))));
                    fields.extend(c.then(|| ("source", text("0"))));
                    fields.extend(d.then(|| ("seqId", int(2))));
                    (if b { "trades" } else { "trades-all" }, "", fields)
                }
            }
        })
        .boxed()
}

fn print(channel: &str, action: &str, fields: &Fields) -> Vec<u8> {
    let item = object(fields);
    format!(r#"{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},{action}"data":[{item}]}}"#)
        .into_bytes()
}

/// Names that mean something somewhere.
const NAMES: [&str; 5] = ["checksum", "asks", "px", "seqId", "x"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_the_venue_prints_is_scanned((channel, action, fields) in push(usual_number(), usual_int())) {
        let text = print(channel, action, &fields);
        prop_assert!(check(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn odd_numbers_channels_and_orders_mean_the_same(
        (channel, action, mut fields) in push(any_number(), any_int()),
        other in 0u8..12,
        one: Change,
        another: Change,
    ) {
        change(&mut fields, &NAMES, one);
        change(&mut fields, &NAMES, another);
        let channel = match other {
            0 => "books5",
            1 => "books-l2-tbt",
            2 => "books50-l2-tbt",
            3 => "tickers",
            _ => channel,
        };
        check(&print(channel, action, &fields));
    }

    #[test]
    fn damaged_messages_mean_the_same(
        (channel, action, fields) in push(usual_number(), usual_int()),
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4),
    ) {
        let mut text = print(channel, action, &fields);
        mutate(&mut text, &edits);
        check(&text);
    }
}

#[test]
fn every_byte_of_a_message_matters_the_same_to_both() {
    for name in [
        "feed_delta",
        "feed_snapshot",
        "feed_bbo",
        "feed_bbo_one_side",
        "feed_trades",
    ] {
        each_byte(fixture(CRATE, name).as_bytes(), |text| {
            check(text);
        });
    }
}

#[test]
fn a_second_book_channel_is_passed_over_whichever_way_it_is_read() {
    let mut both = Both::new(&["BTC-USDT"]);
    let book = |channel: &str, space: &str| {
        format!(
            r#"{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},"action":"update",{space}"data":[{{"asks":[],"bids":[],"ts":"1","checksum":0,"prevSeqId":1,"seqId":2}}]}}"#
        )
    };
    for (channel, space, is_scanned) in [
        ("books", "", true),
        ("books-l2-tbt", "", true),
        ("books50-l2-tbt", " ", false),
        ("books", " ", false),
        ("books", "", true),
    ] {
        assert_eq!(both.check(book(channel, space).as_bytes()), is_scanned);
    }
}
