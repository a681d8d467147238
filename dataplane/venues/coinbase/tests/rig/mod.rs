//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{FixConfig, Registry, Secret, Secrets};
use dp_venue_coinbase::{Coinbase, LINK_ENTRY, LINK_PUBLIC, LINK_REST, LINK_USER};
use dp_venue_fix::FixEntry;

pub type Rig = tests_venues::rig::Rig<Coinbase>;
pub type FixRig = tests_venues::rig::Rig<FixEntry<Coinbase>>;

/// Obviously no key of anybody: the venue page's.
pub const SECRET: &str =
    "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ==";

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    with(symbols, secrets(has_keys))
}

pub fn secrets(has_keys: bool) -> Secrets {
    let key = |text: &str| if has_keys { text } else { "" }.to_owned();
    Secrets {
        api_key: key("fakekey"),
        api_secret: key(SECRET).into(),
        passphrase: key("fakepass").into(),
        ed25519_pem: Secret::default(),
    }
}

/// A machine that follows BTC-USD, with orders and market data over FIX.
pub fn over_fix() -> FixRig {
    let mut registry = Registry::new();
    let mut config = tests_venues::rig::config(&["BTC-USD"], secrets(true), 500);
    config.fix = Some(FixConfig {
        entry: ("fix.test".into(), 6_121),
        market: Some(("fix-md.test".into(), 6_121)),
        ..FixConfig::default()
    });
    let machine = Coinbase::new(config.clone(), &mut registry).expect("the registry has room");
    FixRig {
        venue: FixEntry::new(machine, config, &registry),
        registry,
        rest: LINK_REST,
    }
}

pub fn with(symbols: &[&str], secrets: Secrets) -> Rig {
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Coinbase::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// A machine that follows BTC-USD, subscribed and logged in at `START_MS`.
pub fn ready() -> Rig {
    let mut rig = new(&["BTC-USD"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_products"))
        .1
        .expect("products are read");
    rig.open(LINK_PUBLIC, 0);
    rig.text(LINK_PUBLIC, 0, fixture("feed_subscriptions"))
        .1
        .expect("subscribed");
    rig.open(LINK_USER, 0);
    rig.text(LINK_USER, 0, fixture("account_subscriptions"))
        .1
        .expect("logged in");
    rig.open(LINK_ENTRY, 0);
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
