//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_kucoin::{Kucoin, LINK_MD};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Kucoin> {
    Both::new(symbols, LINK_MD, Kucoin::new, Kucoin::parse_text)
}

/// Changes of a spot book.
fn is_hot(text: &str) -> bool {
    text.contains(r#""/market/level2:"#) && text.contains(r#""trade.l2update""#)
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("kucoin") else {
        return;
    };
    for (name, hot_min) in [
        ("spot-20210425-a.jsonl.gz", 1_000),
        ("messages-crypto-msg-parser.jsonl", 0),
        ("messages-gocryptotrader.jsonl", 1),
    ] {
        let texts: Vec<String> = captures::texts(&dir.join(name)).collect();
        let symbols = captures::named(&texts, r#""topic":"/market/level2:"#, &['"']);
        let mut both = both(&symbols);
        let mut tally = Tally::default();
        for text in &texts {
            tally.count(text, is_hot(text), both.check(text.as_bytes()));
        }
        tally.check(name, hot_min);
    }
}

#[test]
fn fixtures_and_what_can_happen_to_the_hot_ones() {
    let mut both = both(&["BTC-USDT"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    for name in [
        "feed_delta",
        "feed_delta_gap",
        "feed_delta_noop",
        "feed_delta_twice",
    ] {
        both.check_hot(fixture(CRATE, name));
    }
    both.check_hot(
        r#"{"data":{"sequenceStart":7,"symbol":"BTC-USDT","changes":{"asks":[["2","0","8"]],"bids":[["1.5","3","7"]]},"sequenceEnd":8},"subject":"trade.l2update","topic":"/market/level2:BTC-USDT","type":"message"}"#,
    );
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["BTC-USDT"]);
    let message = |symbol: &str, asks: &str, rest: &str| {
        format!(
            r#"{{"type":"message","topic":"/market/level2:{symbol}","subject":"trade.l2update","data":{{"changes":{{"asks":{asks},"bids":[]}},{rest}}}}}"#
        )
    };
    const REST: &str = r#""sequenceEnd":8,"sequenceStart":7,"symbol":"BTC-USDT","time":1"#;
    for (symbol, asks, rest, is_scanned) in [
        ("BTC-USDT", "[]", REST, true),
        ("BTC-USDT", r#"[["1","2","8"],["1","0","7"]]"#, REST, true),
        ("BTC-USDT", r#"[["1","2","8"],["0","0","7"]]"#, REST, true),
        ("BTC-USDT", r#"[["1","2",8]]"#, REST, false),
        ("BTC-USDT", r#"[["1","2","-8"]]"#, REST, false),
        ("BTC-USDT", r#"[["1","2"]]"#, REST, false),
        ("BTC-USDT", r#"[["1","2","8","9"]]"#, REST, false),
        ("BTC-USDT", "null", REST, false),
        (
            "BTC-USDT",
            r#"[["1","0.12345678901234567800","8"]]"#,
            REST,
            false,
        ),
        ("ETH-USDT", "[]", REST, false),
        ("BTC-USDT,ETH-USDT", "[]", REST, false),
        (
            "BTC-USDT",
            "[]",
            r#""sequenceEnd":6,"sequenceStart":7,"symbol":"BTC-USDT""#,
            false,
        ),
        (
            "BTC-USDT",
            "[]",
            r#""sequenceEnd":7,"sequenceStart":7,"symbol":"ETH-USDT""#,
            true,
        ),
        (
            "BTC-USDT",
            "[]",
            r#""sequenceStart":7,"sequenceEnd":8,"symbol":"BTC-USDT""#,
            false,
        ),
    ] {
        let text = message(symbol, asks, rest);
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
