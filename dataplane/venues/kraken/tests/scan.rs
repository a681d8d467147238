//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_kraken::{Kraken, LINK_PUBLIC};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Kraken> {
    Both::new(symbols, LINK_PUBLIC, Kraken::new, Kraken::parse_text)
}

/// Changes of a book, of today's form.
fn is_hot(text: &str) -> bool {
    text.starts_with(r#"{"channel":"book","type":"update""#)
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("kraken") else {
        return;
    };
    for (name, hot_min) in [
        ("v2-book10-algousd-20241003.jsonl.gz", 1),
        ("v1-20210417.jsonl.gz", 0),
    ] {
        let texts: Vec<String> = captures::texts(&dir.join(name)).collect();
        let symbols = captures::named(&texts, r#""symbol":""#, &['"']);
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
    let mut both = both(&["BTC/USD"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    for name in ["feed_book_update", "feed_book_bad_checksum"] {
        both.check_hot(fixture(CRATE, name));
    }
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["BTC/USD"]);
    for (text, is_scanned) in [
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            true,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1,"qty":2.50}],"asks":[{"price":3.5,"qty":0.0},{"price":4,"qty":1}],"checksum":4294967295,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            true,
        ),
        (
            r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":4294967296,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":-1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1,"timestamp":"soon"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"qty":1,"price":2}],"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1e3,"qty":2}],"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            true,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":01,"qty":2}],"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":null,"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"NO/BODY","bids":[],"asks":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"checksum":1,"timestamp":"2026-05-05T10:00:00.540295Z"}]}"#,
            false,
        ),
    ] {
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
