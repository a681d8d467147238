//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_types::LinkId;
use dp_venue_api::{Fault, Registry, Secrets, Venue};
use dp_venue_huobi::{Huobi, LINK_FEED, LINK_ORDERS, LINK_REST, LINK_TRADES, LINK_USER};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use tests_venues::rig::{Said, at_ms};

pub type Rig = tests_venues::rig::Rig<Huobi>;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx").into(),
        api_secret: key("b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Huobi::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// A machine that follows btcusdt, subscribed and logged in at `START_MS`.
pub fn ready() -> Rig {
    let mut rig = new(&["btcusdt"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_market_symbols"))
        .1
        .expect("rules are read");
    rig.response(0, asked[1].tag, 200, fixture("rest_accounts"))
        .1
        .expect("accounts are read");
    rig.open(LINK_FEED, 0);
    rig.text(LINK_FEED, 0, fixture("feed_sub_ack"))
        .1
        .expect("an ack");
    rig.open(LINK_TRADES, 0);
    for topic in ["trade.detail", "bbo"] {
        let ack =
            format!(r#"{{"id":"t1","status":"ok","subbed":"market.btcusdt.{topic}","ts":1}}"#);
        rig.text(LINK_TRADES, 0, &ack).1.expect("an ack");
    }
    log_in(&mut rig, 0);
    rig
}

/// Opens both private sockets and answers what they ask; returns what was said last.
pub fn log_in(rig: &mut Rig, ms: u64) -> Said {
    for link in [LINK_ORDERS, LINK_USER] {
        rig.open(link, ms);
        rig.text(link, ms, fixture("entry_login_ack"))
            .1
            .expect("login");
    }
    let mut last = Said::default();
    for channel in ["orders#*", "trade.clearing#*#1", "accounts.update#2"] {
        let ack = format!(r#"{{"action":"sub","code":200,"ch":"{channel}","data":{{}}}}"#);
        let (said, result) = rig.text(LINK_USER, ms, &ack);
        result.expect("an ack");
        last = said;
    }
    last
}

/// A binary message on a link.
pub fn binary(rig: &mut Rig, link: LinkId, ms: u64, bytes: &[u8]) -> (Said, Result<(), Fault>) {
    let mut said = Said::default();
    let mut bytes = bytes.to_vec();
    let result = rig
        .venue
        .on_binary(&rig.registry, link, at_ms(ms), &mut bytes, &mut said);
    (said, result)
}

/// As the venue compresses it.
pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
