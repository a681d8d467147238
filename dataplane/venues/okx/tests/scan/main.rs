//! The scanner against the general parser: whatever comes in, both say the same, and the hot shapes are read by
//! the scanner.
#![allow(missing_docs)]

mod orders;
#[path = "../../../api/tests/said/mod.rs"]
mod said;

use dp_types::{LinkId, Now};
use dp_venue_api::{Registry, Venue as _, VenueConfig};
use dp_venue_okx::{LINK_PUBLIC, Okx};
use proptest::prelude::*;
use said::{Ear, mutate};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;

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
        let before = self.scanner.read_counts();
        let (mut ours, mut theirs) = (Ear::default(), Ear::default());
        let (link, now): (LinkId, _) = (LINK_PUBLIC, Now::default());
        let result = self
            .scanner
            .on_text(&self.registry, link, now, &mut text.to_vec(), &mut ours);
        let want =
            self.oracle
                .parse_text(&self.registry, link, now, &mut text.to_vec(), &mut theirs);
        let shown = || String::from_utf8_lossy(text).into_owned();
        assert_eq!(result, want, "{}", shown());
        assert_eq!(ours.0, theirs.0, "{}", shown());
        assert_eq!(
            self.scanner.next_deadline(),
            self.oracle.next_deadline(),
            "{}",
            shown()
        );
        let after = self.scanner.read_counts();
        assert_eq!(
            after.scanned + after.parsed,
            before.scanned + before.parsed + 1
        );
        after.scanned > before.scanned
    }
}

// ---- recordings --------------------------------------------------------------------------------------

fn captures() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/captures/okx");
    if dir.is_dir() {
        return Some(dir);
    }
    let require = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        !require.contains("captures"),
        "REQUIRE has captures, and they are not there"
    );
    println!("SKIPPED: ../shared/captures/okx is not there");
    None
}

/// Every text of a recording that came from the venue.
fn texts(path: &PathBuf) -> Vec<String> {
    let file = std::fs::File::open(path).expect("capture opens");
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ext| ext == "gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    BufReader::with_capacity(1 << 20, reader)
        .lines()
        .filter_map(|line| {
            let line: serde_json::Value =
                serde_json::from_str(&line.expect("capture reads")).expect("capture is JSON");
            let is_ours = line["dir"] != "out" && line["url"].is_null();
            line["raw"].as_str().filter(|_| is_ours).map(str::to_owned)
        })
        .collect()
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
    let Some(dir) = captures() else { return };
    let texts = texts(&dir.join(name));
    let symbols: Vec<_> = symbols(&texts).into_iter().collect();
    let mut both = Both::new(&symbols);
    let (mut hot, mut scanned) = (0u32, 0u32);
    for text in &texts {
        let is_scanned = both.check(text.as_bytes());
        hot += u32::from(is_hot(text));
        scanned += u32::from(is_scanned);
        assert!(is_hot(text) || !is_scanned, "{text}");
    }
    let all = texts.len();
    println!("{name}: {scanned} of {hot} hot messages scanned, {all} in all");
    assert!(hot >= hot_min, "{name}: {hot} hot messages");
    assert!(scanned * 1_000 >= hot * 999, "{name}: {scanned} of {hot}");
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
    for fixture in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
        .expect("fixtures")
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("readable"))
    {
        both.check(fixture.trim_ascii_end());
    }
    assert!(
        both.scanner.read_counts().scanned >= 9,
        "the feed's fixtures"
    );
    let Some(dir) = captures() else { return };
    for name in [
        "messages-crypto-msg-parser",
        "messages-gocryptotrader",
        "responses-xchange",
    ] {
        let texts = texts(&dir.join(format!("{name}.jsonl")));
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

/// A number as the venue prints it.
fn usual_number() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[1-9][0-9]{0,5}\\.[0-9]{8}",
        2 => "0\\.[0-9]{2,8}",
        1 => "[1-9][0-9]{0,9}",
        1 => "[1-9][0-9]{8,9}\\.[0-9]{2,8}",
    ]
    .boxed()
}

fn any_number() -> BoxedStrategy<String> {
    prop_oneof![
        6 => usual_number(),
        1 => "-?[0-9]{1,20}(\\.[0-9]{0,19})?([eE][+-]?[0-9]{1,3})?",
        1 => "[-+.0-9eE]{0,5}",
    ]
    .boxed()
}

fn usual_int() -> BoxedStrategy<String> {
    prop_oneof![
        0u64..100,
        1_600_000_000_000u64..1_800_000_000_000,
        0u64..1_000_000_000_000_000_000
    ]
    .prop_map(|value| value.to_string())
    .boxed()
}

fn any_int() -> BoxedStrategy<String> {
    prop_oneof![
        6 => usual_int(),
        1 => any::<i128>().prop_map(|value| value.to_string()),
        1 => Just("-1".to_owned()),
        1 => "[-0-9.eE]{1,4}",
        1 => Just("null".to_owned()),
    ]
    .boxed()
}

fn side(number: &BoxedStrategy<String>, max: usize) -> BoxedStrategy<String> {
    let level = (number.clone(), number.clone(), 0u32..2_000)
        .prop_map(|(price, qty, orders)| format!("[\"{price}\",\"{qty}\",\"0\",\"{orders}\"]"));
    proptest::collection::vec(level, 0..max)
        .prop_map(|levels| format!("[{}]", levels.join(",")))
        .boxed()
}

type Fields = Vec<(&'static str, String)>;

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
            let quoted = |text: &str| format!("\"{text}\"");
            let ts = ("ts", quoted(&ints[0]));
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
                        ("instId", quoted("BTC-USDT")),
                        ("tradeId", quoted(&ints[1])),
                        ("px", quoted(&price)),
                        ("sz", quoted(&size)),
                        ("side", quoted(side)),
                        ts,
                    ];
                    fields.extend(b.then(|| ("count", quoted("3"))));
                    fields.extend(c.then(|| ("source", quoted("0"))));
                    fields.extend(d.then(|| ("seqId", int(2))));
                    (if b { "trades" } else { "trades-all" }, "", fields)
                }
            }
        })
        .boxed()
}

fn print(channel: &str, action: &str, fields: &Fields) -> Vec<u8> {
    let fields: Vec<_> = fields
        .iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    let fields = fields.join(",");
    format!(
        r#"{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},{action}"data":[{{{fields}}}]}}"#
    )
    .into_bytes()
}

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
        swap in any::<Option<(prop::sample::Index, prop::sample::Index)>>(),
        again in any::<Option<prop::sample::Index>>(),
        less in any::<Option<prop::sample::Index>>(),
    ) {
        if let Some((a, b)) = swap {
            let (a, b) = (a.index(fields.len()), b.index(fields.len()));
            fields.swap(a, b);
        }
        if let Some(at) = again {
            let field = fields[at.index(fields.len())].clone();
            fields.push(field);
        }
        if let Some(at) = less {
            fields.remove(at.index(fields.len()));
        }
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
    for fixture in [
        "feed_delta",
        "feed_snapshot",
        "feed_bbo",
        "feed_bbo_one_side",
        "feed_trades",
    ] {
        let path = format!("{}/fixtures/{fixture}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(path).expect("a fixture");
        let text = text.trim_ascii_end();
        for at in 0..text.len() {
            for byte in [
                b' ', b'"', b'\\', b'0', b'9', b'-', b'.', b'e', b',', b']', b'}', 0, 0x80,
            ] {
                let mut text = text.to_vec();
                text[at] = byte;
                check(&text);
                text.remove(at);
                check(&text);
            }
        }
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
