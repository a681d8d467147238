//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_huobi::{Huobi, LINK_FEED};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Huobi> {
    Both::new(
        symbols,
        LINK_FEED,
        Huobi::new,
        |venue, registry, link, now, text, ear| venue.parse_text(registry, link, now, text, ear),
    )
}

/// Increments of a book.
fn is_hot(text: &str) -> bool {
    text.starts_with(r#"{"ch":"market."#) && text.contains(".mbp.") && text.contains("prevSeqNum")
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("huobi") else {
        return;
    };
    for (name, hot_min) in [
        ("messages-crypto-msg-parser.jsonl", 0),
        ("messages-gocryptotrader.jsonl", 0),
    ] {
        let texts: Vec<String> = captures::texts(&dir.join(name)).collect();
        let symbols = captures::named(&texts, r#""ch":"market."#, &['.', '"']);
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
    let mut both = both(&["btcusdt"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    for name in ["feed_mbp_delta", "feed_mbp_gap", "feed_mbp_no_change"] {
        both.check_hot(fixture(CRATE, name));
    }
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["btcusdt"]);
    for (text, is_scanned) in [
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7}}"#,
            true,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.150","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"asks":[[1.5,0.0],[2,3]]}}"#,
            true,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"bids":[[1,2]],"asks":[]}}"#,
            true,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"asks":[],"bids":[]}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"bids":[[1,5.33E-4]]}}"#,
            true,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"bids":[[1,2,3]]}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"bids":[[1,0.1234567890123456789]]}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7,"bids":null}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":"1","tick":{"seqNum":8,"prevSeqNum":7}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{"seqNum":-8,"prevSeqNum":7}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.refresh.20","ts":1,"tick":{"seqNum":9,"prevSeqNum":7}}"#,
            false,
        ),
        (
            r#"{"ch":"market.ethusdt.mbp.20","ts":1,"tick":{"seqNum":8,"prevSeqNum":7}}"#,
            false,
        ),
        (
            r#"{"ch":"market.btcusdt.depth.step0","ts":1,"tick":{"seqNum":8,"prevSeqNum":7}}"#,
            false,
        ),
    ] {
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
