//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_coinbase::{Coinbase, LINK_PUBLIC};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Coinbase> {
    Both::new(symbols, LINK_PUBLIC, Coinbase::new, Coinbase::parse_text)
}

/// Changes of a book.
fn is_hot(text: &str) -> bool {
    text.starts_with(r#"{"type":"l2update""#)
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("coinbase") else {
        return;
    };
    for (name, hot_min) in [("exchange-20210417-a.jsonl.gz", 6_400)] {
        let texts: Vec<String> = captures::texts(&dir.join(name)).collect();
        let symbols = captures::named(&texts, r#""product_id":""#, &['"']);
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
    let mut both = both(&["BTC-USD"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    {
        let name = "feed_l2update";
        both.check_hot(fixture(CRATE, name));
    }
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["BTC-USD"]);
    for (text, is_scanned) in [
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[]}"#,
            true,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"],["sell","3.5","0"]],"time":"2026-05-05T10:00:00.265000Z"}"#,
            true,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["sell","1","2"]],"time":"2026-05-05T10:00:00.265000Z"}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","changes":[]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["hold","1","2"]]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["buy","1"]]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["buy","1",2]]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["buy","1.50000000000000000000","2"]]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["buy","1","2","3"]]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"ETH-USD","time":"2026-05-05T10:00:00.265000Z","changes":[]}"#,
            false,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","time":"soon","changes":[]}"#,
            false,
        ),
    ] {
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
