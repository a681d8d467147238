//! Single orders: the full channel beside the book's, and the book it counts from.
#![allow(missing_docs)]

mod rig;

use dp_types::InstrumentId;
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use dp_venue_coinbase::{Coinbase, LINK_PUBLIC, LINK_REST};
use rig::{Rig, SECRET, fixture};
use tests_venues::rig::{Request, Said, at_ms, config};

const BTC: InstrumentId = InstrumentId(0);
const BOOK: &str = r#"{"sequence":13,"bids":[["65000.00","0.80","d50ec984-77a8-460a-b958-66f114b0de9b"]],"asks":[],"time":"2026-05-05T10:00:00.000000Z"}"#;

fn following(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &str| if has_keys { text } else { "" }.to_owned();
    let secrets = Secrets {
        api_key: key("fakekey"),
        api_secret: key(SECRET).into(),
        passphrase: key("fakepass").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = VenueConfig {
        l3_symbols: vec!["BTC-USD".to_owned()],
        ..config(symbols, secrets, 500)
    };
    let venue = Coinbase::new(config, &mut registry).unwrap();
    let mut rig = Rig {
        venue,
        registry,
        rest: LINK_REST,
    };
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_products"))
        .1
        .unwrap();
    rig
}

fn acks(channels: &[&str]) -> String {
    let list: Vec<_> = channels
        .iter()
        .map(|name| format!(r#"{{"name":"{name}","product_ids":["BTC-USD"]}}"#))
        .collect();
    format!(
        r#"{{"type":"subscriptions","channels":[{}]}}"#,
        list.join(",")
    )
}

/// One that follows BTC-USD with its single orders, subscribed, with the request for its book.
fn ready() -> (Rig, Request) {
    let mut rig = following(&["BTC-USD"], true);
    rig.open(LINK_PUBLIC, 0);
    let said = rig.text(LINK_PUBLIC, 0, &acks(&["level2", "ticker"])).0;
    assert!(said.requests.is_empty(), "nothing counts yet");
    let mut said = rig
        .text(LINK_PUBLIC, 0, &acks(&["level2", "ticker", "full"]))
        .0;
    assert_eq!(said.requests.len(), 1);
    (rig, said.requests.remove(0))
}

fn ask(rig: &mut Rig, ms: u64) -> Said {
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue.request_l3(registry, BTC, at_ms(ms), &mut said);
    said
}

#[test]
fn with_keys_full_takes_the_place_of_matches() {
    let mut rig = following(&["BTC-USD", "ETH-USD"], true);
    let sent = rig.open(LINK_PUBLIC, 1).sent;
    let parts: Vec<(String, String)> = sent
        .iter()
        .map(|(_, text)| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(value["key"], "fakekey");
            (
                value["product_ids"].to_string(),
                value["channels"].to_string(),
            )
        })
        .collect();
    let part = |products: &str, channels: &str| (products.to_owned(), channels.to_owned());
    assert_eq!(
        parts,
        [
            part(
                r#"["BTC-USD","ETH-USD"]"#,
                r#"["level2","ticker","heartbeat"]"#
            ),
            part(r#"["BTC-USD"]"#, r#"["full"]"#),
            part(r#"["ETH-USD"]"#, r#"["matches"]"#),
        ]
    );
    let sent = following(&["BTC-USD"], false).open(LINK_PUBLIC, 1).sent;
    assert_eq!(sent.len(), 1, "without keys the venue shows none");
}

#[test]
fn the_book_is_fetched_once_the_channel_counts() {
    let (mut rig, asked) = ready();
    assert_eq!(asked.line, "GET /products/BTC-USD/book?level=3");
    assert!(
        asked
            .headers
            .iter()
            .any(|(name, _)| name == "CB-ACCESS-SIGN")
    );
    assert!(ask(&mut rig, 1).requests.is_empty(), "it is on its way");
    let (said, result) = rig.response(2, asked.tag, 200, BOOK);
    assert_eq!(
        (said.events, result),
        (
            vec!["L3 Snapshot 13 checksum None 1 orders".to_owned()],
            Ok(())
        )
    );
    assert!(
        rig.deadline(60_000).requests.is_empty(),
        "nothing is wanted"
    );
}

#[test]
fn a_book_that_does_not_help_is_asked_for_seldomer() {
    let (mut rig, mut asked) = ready();
    let mut ms = 0;
    for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 16_000] {
        rig.response(ms, asked.tag, 200, BOOK).1.unwrap();
        assert!(ask(&mut rig, ms).requests.is_empty(), "a pause");
        assert_eq!(rig.venue.next_deadline(), Some(at_ms(ms + pause).unix));
        ms += pause;
        asked = rig.deadline(ms).requests.remove(0);
    }
    // One that is refused, lost or unreadable is wanted again without being asked for.
    for (status, body) in [(500, "<html>"), (0, ""), (200, "{")] {
        assert!(rig.response(ms, asked.tag, status, body).1.is_err());
        ms += 16_000;
        asked = rig.deadline(ms).requests.remove(0);
    }
}

#[test]
fn own_orders_on_the_full_channel_are_everybodys() {
    let (mut rig, _) = ready();
    let own = fixture("feed_open").replace("\"type\"", r#""user_id":"1","profile_id":"2","type""#);
    let said = rig.text(LINK_PUBLIC, 1, &own).0;
    assert_eq!(said.events, ["L3 Delta 11 checksum None 1 orders"]);
}

#[test]
fn a_link_that_ends_is_told_and_its_successor_fetches_anew() {
    let (mut rig, asked) = ready();
    assert_eq!(
        rig.close(LINK_PUBLIC, 1).events,
        ["L3Lost(InstrumentId(0))"]
    );
    assert!(
        ask(&mut rig, 2).requests.is_empty(),
        "the confirmation asks"
    );
    rig.response(3, asked.tag, 200, BOOK).1.unwrap();
    rig.open(LINK_PUBLIC, 4_000);
    let said = rig.text(LINK_PUBLIC, 4_000, &acks(&["level2", "full"])).0;
    assert_eq!(said.requests.len(), 1);
}
