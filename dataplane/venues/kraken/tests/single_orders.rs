//! Single orders: a link and a token of their own.
#![allow(missing_docs)]

mod rig;

use dp_types::InstrumentId;
use dp_venue_api::{LinkRole, Registry, Secrets, Venue as _, VenueConfig};
use dp_venue_kraken::{Kraken, LINK_L3, LINK_PRIVATE, LINK_REST};
use rig::{Rig, ack, fixture};
use tests_venues::rig::{Said, at_ms, config};

const BTC: InstrumentId = InstrumentId(0);
const TOKEN: &str = "WW91ciBhdXRoZW50aWNhdGlvbiB0b2tlbiBnb2VzIGhlcmUu";

fn following(has_keys: bool, l3: &[&str]) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("FAKEAPIKEY").into(),
        api_secret: key("kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = VenueConfig {
        l3_symbols: l3.iter().map(|symbol| (*symbol).to_owned()).collect(),
        ..config(&["BTC/USD"], secrets, 5_000)
    };
    let venue = Kraken::new(config, &mut registry).unwrap();
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// One whose pairs are known and whose link of single orders has its token: what it sent then.
fn with_token() -> (Rig, Said) {
    let mut rig = following(true, &["BTC/USD"]);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_pairs"))
        .1
        .unwrap();
    let asked = rig.open(LINK_L3, 0).requests;
    assert_eq!(asked[0].line, "POST /0/private/GetWebSocketsToken");
    let (said, result) = rig.response(0, asked[0].tag, 200, fixture("rest_token"));
    assert_eq!(result, Ok(()));
    (rig, said)
}

fn ready() -> Rig {
    let (mut rig, _) = with_token();
    let said = rig.text(LINK_L3, 0, &ack("level3")).0;
    assert_eq!(said.events, ["Subscribed(LinkId(3))"]);
    rig.text(LINK_L3, 0, fixture("feed_level3_snapshot"))
        .1
        .unwrap();
    rig
}

fn ask(rig: &mut Rig, ms: u64) -> Said {
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue.request_l3(registry, BTC, at_ms(ms), &mut said);
    said
}

fn params(said: &Said) -> serde_json::Value {
    let (link, text) = &said.sent[0];
    assert_eq!(*link, LINK_L3);
    serde_json::from_str(text).unwrap()
}

#[test]
fn there_is_a_link_where_orders_are_asked_for_and_keys_are() {
    let last = |rig: &Rig| {
        let link = rig.venue.links().last().unwrap();
        (link.id, link.host.clone())
    };
    let rig = following(true, &["BTC/USD"]);
    assert_eq!(last(&rig), (LINK_L3, "ws-l3.kraken.com".to_owned()));
    assert_eq!(rig.venue.link_role(LINK_L3), LinkRole::Market);
    for (has_keys, l3) in [(true, &[][..]), (false, &["BTC/USD"])] {
        assert!(last(&following(has_keys, l3)).0 < LINK_L3);
    }
}

#[test]
fn it_is_subscribed_with_a_token_of_its_own() {
    let (mut rig, said) = with_token();
    let message = params(&said);
    assert_eq!(message["method"], "subscribe");
    assert_eq!(
        message["params"],
        serde_json::json!({
            "channel": "level3", "symbol": ["BTC/USD"], "depth": 10, "snapshot": true, "token": TOKEN,
        })
    );
    let other = rig.open(LINK_PRIVATE, 10).requests;
    assert_eq!(other.len(), 1, "the private link's is another");
    let said = rig.response(11, other[0].tag, 200, fixture("rest_token")).0;
    assert!(said.sent.iter().all(|(link, _)| *link == LINK_PRIVATE));
}

#[test]
fn lost_orders_are_subscribed_anew_once_the_old_subscription_has_ended() {
    let mut rig = ready();
    let message = params(&ask(&mut rig, 5_000));
    assert_eq!(
        (&message["method"], &message["params"]["channel"]),
        (&"unsubscribe".into(), &"level3".into())
    );
    assert!(ask(&mut rig, 5_001).sent.is_empty(), "it is under way");
    let ended = ack("level3").replace("\"subscribe\"", "\"unsubscribe\"");
    let said = rig.text(LINK_L3, 5_002, &ended).0;
    assert_eq!(params(&said)["method"], "subscribe");
    rig.text(LINK_L3, 5_003, &ack("level3")).1.unwrap();
    rig.text(LINK_L3, 5_004, fixture("feed_level3_snapshot"))
        .1
        .unwrap();
    rig.text(LINK_L3, 7_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    assert!(rig.deadline(7_001).sent.is_empty(), "it is here");
}

#[test]
fn a_token_that_is_refused_costs_this_link_and_no_other() {
    let mut rig = ready();
    let refused = r#"{"error":"ESession:Invalid session","method":"subscribe","success":false,"symbol":"BTC/USD","time_in":"2026-05-05T10:00:00.123456Z","time_out":"2026-05-05T10:00:00.123500Z","req_id":1}"#;
    let (said, result) = rig.text(LINK_L3, 1, refused);
    assert!(result.is_err());
    assert_eq!(said.reconnects, [(LINK_L3, "the token is refused")]);
    assert!(
        said.events.is_empty(),
        "no login is refused, and no order stopped"
    );
    assert_eq!(rig.close(LINK_L3, 2).events, ["L3Lost(InstrumentId(0))"]);
    let asked = rig.open(LINK_L3, 3).requests;
    assert_eq!(asked[0].line, "POST /0/private/GetWebSocketsToken");
}
