//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secret, Secrets, VenueConfig};
use dp_venue_binance::{
    Binance, LINK_BATCHES, LINK_CANCELS, LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER, Machine, Of,
    Usdm,
};

/// The venue's published throw-away keys.
pub const API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
pub const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
pub const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
    -----END PRIVATE KEY-----\n";

/// Which keys a rig has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    None,
    Hmac,
    Ed25519,
}

pub type Rig = tests_venues::rig::Rig<Binance>;

pub fn new(symbols: &[&str], keys: Keys) -> Rig {
    of(symbols, keys)
}

/// The keys of a rig.
pub fn secrets(keys: Keys) -> Secrets {
    let only = |is_wanted: bool, text: &str| if is_wanted { text } else { "" }.to_owned();
    Secrets {
        api_key: only(keys != Keys::None, API_KEY),
        api_secret: only(keys == Keys::Hmac, SECRET).into(),
        passphrase: Secret::default(),
        ed25519_pem: only(keys == Keys::Ed25519, PEM).into(),
    }
}

/// A machine of any product.
pub fn of<P: Of>(symbols: &[&str], keys: Keys) -> tests_venues::rig::Rig<Machine<P>> {
    of_config(tests_venues::rig::config(symbols, secrets(keys), 1_000))
}

fn of_config<P: Of>(config: VenueConfig) -> tests_venues::rig::Rig<Machine<P>> {
    let mut registry = Registry::new();
    let venue = Machine::new(config, &mut registry).expect("the registry has room");
    tests_venues::rig::Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// A machine that follows BTCUSDT, with its rules, subscribed and logged in at `START_MS`.
pub fn ready(keys: Keys) -> Rig {
    let mut rig = new(&["BTCUSDT"], keys);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_exchange_info"))
        .1
        .expect("rules are read");
    rig.open(LINK_MD, 0);
    if keys != Keys::None {
        rig.open(LINK_ORDERS, 0);
        if keys == Keys::Ed25519 {
            rig.text(LINK_ORDERS, 0, fixture("entry_logon_ack"))
                .1
                .expect("logon");
        }
        let (said, result) = rig.text(LINK_ORDERS, 0, fixture("entry_user_stream_ack"));
        result.expect("user stream");
        assert!(said.events.contains(&"LoggedIn(LinkId(2))".to_owned()));
    }
    rig
}

pub type UsdmRig = tests_venues::rig::Rig<Machine<Usdm>>;

/// A machine of the futures that follows BTCUSDT, with its rules, subscribed, its user stream open and logged in.
pub fn ready_usdm(keys: Keys) -> UsdmRig {
    up(of(&["BTCUSDT"], keys), keys)
}

/// The same, of a configuration that asks for batches, their link open.
pub fn batching(keys: Keys) -> UsdmRig {
    let config = VenueConfig {
        rest_batches: true,
        ..tests_venues::rig::config(&["BTCUSDT"], secrets(keys), 1_000)
    };
    let mut rig = up(of_config(config), keys);
    rig.open(LINK_BATCHES, 0);
    rig
}

fn up(mut rig: UsdmRig, keys: Keys) -> UsdmRig {
    let asked = rig.open(LINK_REST, 0).requests;
    let is_rules = |line: &str| line == "GET /fapi/v1/exchangeInfo";
    let rules = asked
        .iter()
        .find(|it| is_rules(&it.line))
        .expect("asked for");
    let (_, result) = rig.response(0, rules.tag, 200, fixture("usdm_exchange_info"));
    result.expect("rules are read");
    rig.open(LINK_MD, 0);
    if keys == Keys::None {
        return rig;
    }
    let key = asked
        .iter()
        .find(|it| it.line.starts_with("POST"))
        .expect("a key");
    let (_, result) = rig.response(0, key.tag, 200, fixture("usdm_listen_key"));
    result.expect("a listen key");
    rig.open(LINK_CANCELS, 0);
    rig.open(LINK_USER, 0);
    rig.open(LINK_ORDERS, 0);
    let answer = match keys {
        Keys::Ed25519 => "usdm_logon_ack",
        _ => "usdm_proof_ack",
    };
    let (said, result) = rig.text(LINK_ORDERS, 0, fixture(answer));
    result.expect("logon");
    assert!(said.events.contains(&"LoggedIn(LinkId(2))".to_owned()));
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
