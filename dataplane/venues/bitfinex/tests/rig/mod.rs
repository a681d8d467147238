//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secrets};
use dp_venue_bitfinex::{Bitfinex, LINK_MARKET, LINK_PRIVATE, LINK_REST};
use tests_venues::rig::{Request, Said};

pub type Rig = tests_venues::rig::Rig<Bitfinex>;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key(
            "hO6oQotzTE0S5FRYze2Jx2wGx7eVnJGMolpA1nZyehsoMgCcgKNWQHd4QgTFZuwl4Zt4xMe2PqGBegWXO4A",
        )
        .into(),
        api_secret: key(
            "mheO6dR8ovSsxZQCOYEFCtelpuxcWGTfHw7te326y6jOwq5WpvFQ9JNljoTwBXZGv5It07m9RXSPpDQEK2w",
        )
        .into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Bitfinex::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// Answers the lists that were asked for at start.
pub fn answer_lists(rig: &mut Rig, asked: &[Request]) -> Said {
    let mut last = Said::default();
    for request in asked {
        let name = match request.line.as_str() {
            "GET /v2/conf/pub:info:pair" => "rest_pairs",
            "GET /v2/conf/pub:info:pair:futures" => "rest_futures",
            _ => "rest_tickers",
        };
        let (said, result) = rig.response(0, request.tag, 200, fixture(name));
        result.expect("a list is read");
        last = said;
    }
    last
}

/// A machine that follows tBTCUSD, with the first market data link subscribed and the private one logged in at
/// `START_MS`. The book's channel is 17082, that of trades 17084; no frame has come.
pub fn ready() -> Rig {
    let mut rig = new(&["tBTCUSD"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    answer_lists(&mut rig, &asked);
    market(&mut rig, 0);
    rig.open(LINK_PRIVATE, 0);
    good(&mut rig, LINK_PRIVATE, 0, "entry_login_ack");
    rig
}

/// Opens and subscribes the market data link.
pub fn market(rig: &mut Rig, ms: u64) {
    rig.open(LINK_MARKET, ms);
    for name in [
        "feed_info",
        "feed_conf",
        "feed_subscribed_book",
        "feed_subscribed_trades",
    ] {
        good(rig, LINK_MARKET, ms, name);
    }
}

/// Feeds a fixture that must be read.
pub fn good(rig: &mut Rig, link: dp_types::LinkId, ms: u64, name: &str) -> Said {
    let (said, result) = rig.text(link, ms, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    said
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
