//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_deribit::{Deribit, LINK_MD};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Deribit> {
    Both::new(symbols, LINK_MD, Deribit::new, Deribit::parse_text)
}

/// Changes of a book.
fn is_hot(text: &str) -> bool {
    text.contains(r#""channel":"book."#) && text.contains(r#""type":"change""#)
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("deribit") else {
        return;
    };
    for (name, hot_min) in [("ws-20210405.jsonl.gz", 170), ("ws-20210722.jsonl.gz", 30)] {
        let texts: Vec<String> = captures::texts(&dir.join(name)).collect();
        let symbols = captures::named(&texts, r#""instrument_name":""#, &['"']);
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
    let mut both = both(&["BTC-PERPETUAL"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    for name in ["feed_book_change", "feed_book_gap"] {
        both.check_hot(fixture(CRATE, name));
    }
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["BTC-PERPETUAL"]);
    for (text, is_scanned) in [
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"prev_change_id":7,"instrument_name":"BTC-PERPETUAL","change_id":8,"bids":[],"asks":[]}}}"#,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[["new",1,2.5]],"asks":[["delete",3.5,0.0],["change",4,1]]}}}"#,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"prev_change_id":7,"instrument_name":"BTC-PERPETUAL","prev_change_id":6,"change_id":8,"bids":[],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","change_id":8,"bids":[],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[["new",1,0]],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[["delete",1,2]],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[["gone",1,2]],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[["new","1",2]],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[["new",1e3,2]],"asks":[]}}}"#,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.100ms","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.none.20.100ms","data":{"type":"change","timestamp":1,"instrument_name":"BTC-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[],"asks":[]}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{"type":"change","timestamp":1,"instrument_name":"ETH-PERPETUAL","prev_change_id":7,"change_id":8,"bids":[],"asks":[]}}}"#,
            false,
        ),
    ] {
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
