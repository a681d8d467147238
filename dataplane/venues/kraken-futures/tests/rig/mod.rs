//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_venue_api::{Registry, Secrets};
use dp_venue_kraken_futures::{KrakenFutures, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use tests_venues::rig::Said;

pub type Rig = tests_venues::rig::Rig<KrakenFutures>;

pub const STATUS: &str =
    r#"{"error":[],"result":{"status":"online","timestamp":"2025-10-09T08:53:20Z"}}"#;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("key").into(),
        api_secret: key(
            "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
        ).into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 500);
    let venue = KrakenFutures::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

fn request(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("a request is JSON")
}

/// The number of a request, from its text.
pub fn number(text: &str) -> u64 {
    request(text)["req_id"]
        .as_u64()
        .expect("a request has a number")
}

/// The answer that what was asked is done.
pub fn done(text: &str) -> String {
    let message = request(text);
    let (method, number) = (&message["method"], &message["req_id"]);
    let channel = &message["params"]["channel"];
    format!(
        r#"{{"method":{method},"result":{{"channel":{channel}}},"success":true,"req_id":{number}}}"#
    )
}

/// The answer that it was refused.
pub fn refused(text: &str, error: &str) -> String {
    let message = request(text);
    let (method, number) = (&message["method"], &message["req_id"]);
    format!(r#"{{"method":{method},"error":"{error}","success":false,"req_id":{number}}}"#)
}

/// A fixture that answers this request.
pub fn answering(text: &str, name: &str) -> String {
    let mut answer = request(fixture(name));
    answer["req_id"] = request(text)["req_id"].clone();
    answer.to_string()
}

/// Confirms everything that was sent.
pub fn confirm(rig: &mut Rig, ms: u64, said: &Said) -> Said {
    let mut all = Said::default();
    for (link, text) in &said.sent {
        let (mut told, result) = rig.text(*link, ms, &done(text));
        result.expect("a confirmation is read");
        all.events.append(&mut told.events);
        all.sent.append(&mut told.sent);
    }
    all
}

/// A machine that follows `PF_XBTUSD`, subscribed and logged in at `START_MS`; its switch is armed.
pub fn ready() -> Rig {
    let mut rig = new(&["PF_XBTUSD"], true);
    rig.open(LINK_REST, 0);
    rig.open(LINK_PUBLIC, 0);
    let (said, result) = rig.text(LINK_PUBLIC, 0, fixture("feed_instruments"));
    result.expect("instruments are read");
    let (said, result) = rig.response(0, said.requests[0].tag, 200, STATUS);
    result.expect("rules are taken");
    confirm(&mut rig, 0, &said);
    let asked = rig.open(LINK_PRIVATE, 0).requests;
    let (said, result) = rig.response(0, asked[0].tag, 200, fixture("rest_token"));
    result.expect("a token");
    let said = confirm(&mut rig, 0, &said);
    assert_eq!(
        said.events.last().map(String::as_str),
        Some("LoggedIn(LinkId(2))")
    );
    let said = rig.deadline(0);
    rig.text(LINK_PRIVATE, 0, &done(&said.sent[0].1))
        .1
        .expect("the switch is armed");
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
