//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secrets};
use dp_venue_bybit::{Bybit, LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};

pub type Rig = tests_venues::rig::Rig<Bybit>;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("test_api_key").into(),
        api_secret: key("test_secret").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Bybit::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// Logs both links in.
pub fn log_in(rig: &mut Rig, ms: u64) {
    rig.open(LINK_ORDERS, ms);
    rig.text(LINK_ORDERS, ms, fixture("entry_login_ack"))
        .1
        .expect("login");
    rig.open(LINK_PRIVATE, ms);
    for name in ["account_login_ack", "account_subscribe_ack"] {
        rig.text(LINK_PRIVATE, ms, fixture(name)).1.expect(name);
    }
}

/// A machine that trades `symbol`, whose rules are a fixture, subscribed and logged in at `START_MS`.
pub fn trading(symbol: &str, rules: &str) -> Rig {
    let mut rig = new(&[symbol], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture(rules))
        .1
        .expect("rules are read");
    rig.open(LINK_PUBLIC, 0);
    rig.text(LINK_PUBLIC, 0, fixture("feed_subscribe_ack"))
        .1
        .expect("an ack");
    log_in(&mut rig, 0);
    rig
}

/// A machine that trades the linear BTCUSDT.
pub fn ready() -> Rig {
    trading("BTCUSDT.P", "rest_rules_linear")
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
