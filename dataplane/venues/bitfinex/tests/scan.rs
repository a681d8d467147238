//! The scanner against the general parser: whatever comes in, both say the same, and the hot shape is read by the
//! scanner.
#![allow(missing_docs)]

use dp_venue_bitfinex::{Bitfinex, LINK_MARKET};
use tests_venues::both::Both;
use tests_venues::captures::{self, Tally};
use tests_venues::rig::{fixture, fixtures};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn both(symbols: &[&str]) -> Both<Bitfinex> {
    Both::new(symbols, LINK_MARKET, Bitfinex::new, Bitfinex::parse_text)
}

/// One level of a book: three numbers and what numbers the frame.
fn is_hot(text: &str) -> bool {
    let Ok(serde_json::Value::Array(items)) = serde_json::from_str(text) else {
        return false;
    };
    let row = items.get(1).and_then(serde_json::Value::as_array);
    items.len() == 3 && row.is_some_and(|row| row.len() == 3 && !row[0].is_array())
}

#[test]
fn recordings_mean_the_same_and_what_is_hot_is_scanned() {
    let Some(dir) = captures::dir("bitfinex") else {
        return;
    };
    for (name, hot_min) in [("ws2-20210417.jsonl.gz", 1_500)] {
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
    let mut both = both(&["tBTCUSD"]);
    for (_, text) in fixtures(CRATE) {
        both.check(text.as_bytes());
    }
    for name in [
        "feed_conf",
        "feed_subscribed_book",
        "feed_subscribed_raw",
        "feed_subscribed_trades",
    ] {
        both.check(fixture(CRATE, name).as_bytes());
    }
    for name in ["feed_delta", "feed_delta_delete"] {
        both.check_hot(fixture(CRATE, name));
    }
}

#[test]
fn what_is_odd_means_the_same() {
    let mut both = both(&["tBTCUSD"]);
    for name in [
        "feed_conf",
        "feed_subscribed_book",
        "feed_subscribed_raw",
        "feed_subscribed_trades",
    ] {
        both.check(fixture(CRATE, name).as_bytes());
    }
    for (text, is_scanned) in [
        (r"[17082,[65000,2,1.2],2,1760000000090]", true),
        (r"[17082,[65000.5,0,-1],3,1760000000090]", true),
        (r"[17082,[65000,2,1.2],9,1760000000090]", true),
        (r"[17082,[65000,2,1.2],10]", false),
        (r"[17082,[65000,2,0],11,1]", false),
        (r"[17082,[65000,-2,1],12,1]", false),
        (r"[17082,[6.5e4,2,1],13,1]", true),
        (r"[17082,[65000,2,1,4],14,1]", false),
        (r"[17082,[65000,2,1],15,1,5]", false),
        (r#"[17082,"hb",16,1]"#, false),
        (r"[17083,[190000000004,64999,0.3],17,1]", false),
        (r"[17084,[1,2,3],18,1]", false),
        (r"[99,[1,2,3],19,1]", false),
        (r"[0,[1,2,3],20,1]", false),
    ] {
        assert_eq!(both.check(text.as_bytes()), is_scanned, "{text}");
    }
}
