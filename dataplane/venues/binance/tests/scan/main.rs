//! The scanner against the general parser: whatever comes in, both say the same, and the hot shapes are read by
//! the scanner.
#![allow(missing_docs)]

mod orders;

use dp_types::LinkId;
use dp_venue_api::Registry;
use dp_venue_binance::feed::{Decoder, decode_any};
use proptest::prelude::*;
use std::cell::RefCell;
use tests_venues::captures::{self, Tally, texts};
use tests_venues::damage::{each_byte, mutate};
use tests_venues::ear::{Ear, is_scanned, same};
use tests_venues::made::{
    Change, Fields, any_int, any_number, change, object, text, usual_int, usual_number,
};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// A decoder, the same again as oracle, and what they know.
struct Both {
    registry: Registry,
    scanner: Decoder,
    oracle: Decoder,
}

impl Both {
    fn new(symbols: &[&str]) -> Self {
        let mut registry = Registry::new();
        for symbol in symbols {
            registry
                .register(dp_venue_binance::ID, symbol, 8, 8)
                .expect("there is room");
        }
        Self {
            registry,
            scanner: Decoder::default(),
            oracle: Decoder::default(),
        }
    }

    /// Decodes by both. Says whether the scanner took it.
    fn check(&mut self, text: &[u8]) -> bool {
        let Self {
            registry,
            scanner,
            oracle,
        } = self;
        let before = scanner.counts();
        same(
            text,
            |text, ear| scanner.text(registry, LinkId(1), text, ear),
            |text, ear| oracle.parse(registry, LinkId(1), text, ear),
        );
        is_scanned(before, scanner.counts())
    }
}

// ---- recordings --------------------------------------------------------------------------------------

/// Whether a message is of one of the shapes the scanner is for.
fn is_hot(text: &str) -> bool {
    let kinds = [
        r#""e":"depthUpdate""#,
        r#""e":"bookTicker""#,
        r#""e":"trade""#,
        r#""e":"aggTrade""#,
        r#"@bookTicker""#,
    ];
    // All of them are near the beginning.
    let head = text.get(..80).unwrap_or(text);
    kinds.iter().any(|kind| head.contains(kind))
}

/// A recording of a session: nearly all of what is hot must be scanned.
fn session(name: &str) {
    let Some(dir) = captures::dir("binance") else {
        return;
    };
    let mut both = Both::new(&[]);
    let mut tally = Tally::default();
    for (at, text) in texts(&dir.join(format!("{name}.jsonl.gz"))).enumerate() {
        // The first messages of each symbol make it known; the last ones find it so.
        if at < 2_000 {
            let (mut copy, mut ear) = (text.clone().into_bytes(), Ear::default());
            let Both {
                registry, oracle, ..
            } = &mut both;
            let _ = decode_any(oracle, registry, None, &mut copy, &mut ear);
        }
        tally.count(&text, is_hot(&text), both.check(text.as_bytes()));
    }
    tally.check(name, 501);
}

#[test]
fn recorded_spot_2021() {
    session("spot-20210405");
}

#[test]
fn recorded_spot_2024() {
    session("spot-btcusdt-20240808");
}

#[test]
fn recorded_us_2021() {
    session("us-20210417");
}

#[test]
fn recorded_usdm_2021() {
    session("usdm-20210417");
}

#[test]
fn recorded_usdm_2024() {
    session("usdm-ethusdt-20240718");
}

#[test]
fn recorded_coinm_2021() {
    session("coinm-20210721");
}

#[test]
fn recorded_coinm_2024() {
    session("coinm-ethusd-20240808");
}

#[test]
fn single_recorded_messages_and_our_fixtures() {
    let mut both = Both::new(&["BTCUSDT", "ETHUSDT", "BNBBTC"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    assert!(both.scanner.counts().scanned >= 8, "the feed's fixtures");
    let Some(dir) = captures::dir("binance") else {
        return;
    };
    for name in [
        "messages-crypto-msg-parser",
        "messages-gocryptotrader",
        "responses-xchange",
        "rest-gocryptotrader",
    ] {
        for text in texts(&dir.join(format!("{name}.jsonl"))) {
            both.check(text.as_bytes());
        }
    }
}

thread_local! {
    /// Made once a test: its room for levels and its parser are large.
    static BOTH: RefCell<Both> = RefCell::new(Both::new(&["BTCUSDT"]));
}

fn check(text: &[u8]) -> bool {
    BOTH.with_borrow_mut(|both| both.check(text))
}

// ---- made up -----------------------------------------------------------------------------------------

fn side(number: &BoxedStrategy<String>) -> BoxedStrategy<String> {
    let level = (number.clone(), number.clone())
        .prop_map(|(price, qty)| format!("[\"{price}\",\"{qty}\"]"));
    proptest::collection::vec(level, 0..12)
        .prop_map(|levels| format!("[{}]", levels.join(",")))
        .boxed()
}

/// The fields of one message of a hot shape, in the venue's order, and its stream.
fn fields(
    number: BoxedStrategy<String>,
    int: BoxedStrategy<String>,
) -> BoxedStrategy<(Fields, &'static str)> {
    let numbers = proptest::collection::vec(number.clone(), 4);
    let ints = proptest::collection::vec(int, 6);
    let flags = any::<[bool; 4]>();
    (0u8..4, numbers, ints, side(&number), side(&number), flags)
        .prop_map(|(shape, numbers, ints, bids, asks, flags)| {
            let quoted = |at: usize| text(&numbers[at]);
            let int = |at: usize| ints[at].clone();
            let symbol = ("s", text("BTCUSDT"));
            let [is_future, has_more, m, _] = flags;
            let mut fields: Fields = Vec::new();
            let stream = match shape {
                0 => {
                    fields.extend([("e", text("depthUpdate")), ("E", int(0))]);
                    fields.extend(is_future.then(|| ("T", int(1))));
                    fields.push(symbol);
                    fields.extend(has_more.then(|| ("ps", text("BTCUSD"))));
                    fields.extend([("U", int(2)), ("u", int(3))]);
                    fields.extend(is_future.then(|| ("pu", int(4))));
                    fields.extend([("b", bids), ("a", asks)]);
                    if has_more {
                        "btcusdt@depth@100ms"
                    } else {
                        "btcusdt@depth"
                    }
                }
                1 => {
                    if is_future && has_more {
                        fields.extend([("e", text("bookTicker")), ("u", int(0))]);
                    } else {
                        fields.push(("u", int(0)));
                        fields.extend(is_future.then(|| ("e", text("bookTicker"))));
                    }
                    fields.extend([symbol, ("b", quoted(0)), ("B", quoted(1))]);
                    fields.extend([("a", quoted(2)), ("A", quoted(3))]);
                    if is_future {
                        fields.extend([("T", int(1)), ("E", int(2))]);
                    }
                    "btcusdt@bookTicker"
                }
                2 => {
                    fields.extend([("e", text("trade")), ("E", int(0))]);
                    fields.extend(is_future.then(|| ("T", int(1))));
                    fields.extend([symbol, ("t", int(2)), ("p", quoted(0)), ("q", quoted(1))]);
                    if is_future {
                        fields.push(("X", text("MARKET")));
                    } else {
                        if has_more {
                            fields.extend([("b", int(3)), ("a", int(4))]);
                        }
                        fields.push(("T", int(1)));
                    }
                    fields.push(("m", m.to_string()));
                    fields.extend((!is_future).then(|| ("M", "true".to_owned())));
                    "btcusdt@trade"
                }
                _ => {
                    fields.extend([("e", text("aggTrade")), ("E", int(0))]);
                    if is_future {
                        fields.extend([("a", int(1)), symbol]);
                    } else {
                        fields.extend([symbol, ("a", int(1))]);
                    }
                    fields.extend([("p", quoted(0)), ("q", quoted(1)), ("f", int(2))]);
                    fields.extend([("l", int(3)), ("T", int(4)), ("m", m.to_string())]);
                    fields.extend((!is_future).then(|| ("M", "false".to_owned())));
                    "btcusdt@aggTrade"
                }
            };
            (fields, stream)
        })
        .boxed()
}

fn print(fields: &Fields, stream: Option<&str>) -> Vec<u8> {
    let data = object(fields);
    match stream {
        Some(stream) => format!("{{\"stream\":\"{stream}\",\"data\":{data}}}").into_bytes(),
        None => data.into_bytes(),
    }
}

/// Names that mean something somewhere.
const NAMES: [&str; 6] = ["e", "s", "data", "pu", "b", "x"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_the_venue_prints_is_scanned(
        (fields, stream) in fields(usual_number(), usual_int()), is_wrapped: bool
    ) {
        let text = print(&fields, is_wrapped.then_some(stream));
        let is_nothing = fields.iter().any(|(key, value)| {
            *key == "q" && value.bytes().all(|byte| matches!(byte, b'"' | b'0' | b'.'))
        });
        let is_scanned = check(&text);
        prop_assert!(is_scanned || is_nothing, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn odd_numbers_streams_and_orders_mean_the_same(
        (mut fields, stream) in fields(any_number(), any_int()),
        wrapped in 0u8..5,
        one: Change,
        other: Change,
    ) {
        change(&mut fields, &NAMES, one);
        change(&mut fields, &NAMES, other);
        let stream = match wrapped {
            0 => None,
            1 => Some("btcusdt@depth5@100ms"),
            2 => Some("btcusdt@depth20"),
            3 => Some("ethusdt@depth@depth5"),
            _ => Some(stream),
        };
        check(&print(&fields, stream));
    }

    #[test]
    fn damaged_messages_mean_the_same(
        (fields, stream) in fields(usual_number(), usual_int()),
        is_wrapped: bool,
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4),
    ) {
        let mut text = print(&fields, is_wrapped.then_some(stream));
        mutate(&mut text, &edits);
        check(&text);
    }
}

#[test]
fn every_byte_of_a_message_matters_the_same_to_both() {
    for name in [
        "feed_delta",
        "feed_quote",
        "feed_trade",
        "feed_agg_trade",
        "feed_delta_futures",
    ] {
        each_byte(fixture(CRATE, name).as_bytes(), |text| {
            check(text);
        });
    }
}

#[test]
fn too_many_levels_are_refused_by_both() {
    for count in [5_000, 5_001] {
        let levels = vec![r#"["1.5","2"]"#; count].join(",");
        let text = format!(
            r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[{levels}],"a":[]}}"#
        );
        assert_eq!(check(text.as_bytes()), count == 5_000);
    }
}
