//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secrets};
use dp_venue_oanda::{LINK_REST, LINK_STREAM, Oanda};

pub type Rig = tests_venues::rig::Rig<Oanda>;

/// Obviously nobody's.
pub const ACCOUNT: &str = "101-001-0000001-001";
pub const TOKEN: &str = "not-a-token";

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let mut registry = Registry::new();
    let key = |text: &str| if has_keys { text } else { "" }.to_owned();
    let secrets = Secrets {
        api_key: key(ACCOUNT),
        api_secret: key(TOKEN).into(),
        ..Secrets::default()
    };
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Oanda::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// A machine that follows two pairs, its stream open at `START_MS`.
pub fn ready() -> Rig {
    let mut rig = new(&["EUR_USD", "USD_JPY"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_instruments"))
        .1
        .expect("instruments are read");
    let asked = rig.open(LINK_STREAM, 0).requests;
    rig.response(0, asked[0].tag, 200, "")
        .1
        .expect("the stream begins");
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
