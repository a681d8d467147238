//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secrets};
use dp_venue_deribit::{Deribit, LINK_MD, LINK_ORDERS, LINK_REST};
use tests_venues::rig::Said;

pub type Rig = tests_venues::rig::Rig<Deribit>;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("AMANDA").into(),
        api_secret: key("AMANDASECRECT").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Deribit::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// Its rules are known; no WebSocket is open.
pub fn with_rules() -> Rig {
    let mut rig = new(&["BTC-PERPETUAL"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_instrument_perpetual"))
        .1
        .expect("rules are read");
    rig
}

/// Logs in on the link for orders, to the end.
pub fn log_in(rig: &mut Rig, ms: u64) -> Said {
    rig.open(LINK_ORDERS, ms);
    let mut last = Said::default();
    for name in [
        "entry_heartbeat_ack",
        "entry_login_ack",
        "entry_on_disconnect_ack",
        "entry_subscribed",
    ] {
        let (said, result) = rig.text(LINK_ORDERS, ms, fixture(name));
        result.expect(name);
        last = said;
    }
    last
}

/// A machine that follows BTC-PERPETUAL, subscribed and logged in at `START_MS`.
pub fn ready() -> Rig {
    let mut rig = with_rules();
    rig.open(LINK_MD, 0);
    for name in ["entry_heartbeat_ack", "entry_login_ack", "feed_subscribed"] {
        rig.text(LINK_MD, 0, fixture(name)).1.expect(name);
    }
    log_in(&mut rig, 0);
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
