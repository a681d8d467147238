//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secrets};
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST, Okx};

pub type Rig = tests_venues::rig::Rig<Okx>;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("985d5b66-57ce-40fb-b714-afc0b9787083").into(),
        api_secret: key("chNOOS4KvNXR_Xq4k4c9qsfoKWvnDecLATCRlcBwyKDYnWgO").into(),
        passphrase: key("1234567890").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = Okx::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// A machine that follows BTC-USDT, subscribed and logged in at `START_MS`.
pub fn ready() -> Rig {
    following("BTC-USDT", "rest_instruments_spot")
}

/// The same of any instrument.
pub fn following(symbol: &str, rules: &str) -> Rig {
    let mut rig = new(&[symbol], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture(rules))
        .1
        .expect("instruments are read");
    rig.open(LINK_PUBLIC, 0);
    for channel in ["books", "trades", "bbo-tbt"] {
        let ack = format!(
            r#"{{"event":"subscribe","arg":{{"channel":"{channel}","instId":"{symbol}"}}}}"#
        );
        rig.text(LINK_PUBLIC, 0, &ack).1.expect("an ack");
    }
    rig.open(LINK_PRIVATE, 0);
    rig.text(LINK_PRIVATE, 0, fixture("entry_login_ack"))
        .1
        .expect("login");
    for arg in [
        r#""channel":"orders","instType":"ANY""#,
        r#""channel":"account""#,
    ] {
        let ack = format!(r#"{{"event":"subscribe","arg":{{{arg}}},"connId":"a"}}"#);
        rig.text(LINK_PRIVATE, 0, &ack).1.expect("an ack");
    }
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
