//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_bybit::{Bybit, LINK_PUBLIC};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Bybit> {
    Both::new(symbols, LINK_PUBLIC, Bybit::new, Bybit::parse_text)
}

/// Changes of a book.
fn is_hot(text: &str) -> bool {
    text.starts_with(r#"{"topic":"orderbook."#) && text.contains(r#""type":"delta""#)
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("bybit") else {
        return;
    };
    for (name, hot_min) in [
        ("v5-20250613-linear.jsonl.gz", 0),
        ("v5-ob500-xrpusdt-20241201-first20.jsonl.gz", 19),
    ] {
        let texts: Vec<String> = captures::texts(&dir.join(name)).collect();
        let symbols = captures::named(&texts, r#""s":""#, &['"']);
        let mut both = both(&symbols);
        let mut tally = Tally::default();
        for text in &texts {
            // One was kept in a file with carriage returns, which no frame had.
            tally.count(text, is_hot(text), both.check(text.trim_end().as_bytes()));
        }
        tally.check(name, hot_min);
    }
}

#[test]
fn fixtures_and_what_can_happen_to_the_hot_ones() {
    let mut both = both(&["BTCUSDT"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    for name in ["feed_delta", "feed_delta_gap"] {
        both.check_hot(fixture(CRATE, name));
    }
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["BTCUSDT"]);
    for (text, is_scanned) in [
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":7,"seq":2}}"#,
            true,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[["1","2"]],"a":[["3.5","0"],["4","1.000000000000000001"]],"u":7,"seq":2},"cts":3}"#,
            true,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[["1","2"]],"a":[],"u":1,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[["1","2","3"]],"a":[],"u":7,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[["1",2]],"a":[],"u":7,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[["1e2","2"]],"a":[],"u":7,"seq":2}}"#,
            true,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":-7,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":7.0,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":7,"seq":2},"cts":"3"}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.rpi.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":7,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":8,"seq":2}}"#,
            false,
        ),
        (
            r#"{"topic":"orderbook.+50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":9,"seq":2}}"#,
            true,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"ETHUSDT","b":[],"a":[],"u":7,"seq":2}}"#,
            false,
        ),
    ] {
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
