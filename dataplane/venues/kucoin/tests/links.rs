//! The links over time: tokens, welcome, login, pings, and what their ends lead to.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderKind, Price, Qty, Side, Tif,
    UnixNanos,
};
use dp_venue_api::{EntryError, Venue};
use dp_venue_kucoin::{LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER};
use rig::{Rig, answer, asked, close, deadline, fixture, log_in, open_user};
use tests_venues::rig::{Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Tries to send an order.
fn place(rig: &mut Rig, ms: u64) -> Result<(), EntryError> {
    let order = NewOrder {
        instrument: BTC,
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap(),
        side: Side::Sell,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(65_000_100),
        qty: Qty(100_000_000),
    };
    let mut said = Said::default();
    rig.venue
        .new_order(&rig.registry, &order, at_ms(ms), &mut said)
}

#[test]
fn a_token_leads_to_the_link_and_the_welcome_to_subscriptions() {
    let mut rig = rig::new(&["BTC-USDT", "GONE-USDT"], true);
    let links = rig.venue.links();
    let names: Vec<_> = links.iter().map(|link| (link.name, link.is_held)).collect();
    assert_eq!(
        names,
        [
            ("rest", false),
            ("md", true),
            ("orders", true),
            ("user", true),
            ("cancels", false)
        ]
    );
    let requests = rig.open(LINK_REST, 0).requests;
    let token = asked(&requests, "POST /api/v1/bullet-public");
    assert!(token.headers.is_empty() && token.body.is_empty());
    let heard = answer(&mut rig, 5, token, 200, fixture("rest_token"));
    assert_eq!(
        heard.connects,
        [(
            LINK_MD,
            "/?token=hbxFakeToken.0001&connectId=sl1-1760000000005".to_owned()
        )]
    );
    assert!(
        rig.open(LINK_MD, 10).sent.is_empty(),
        "not before the welcome"
    );
    let (said, _) = rig.text(LINK_MD, 11, fixture("feed_welcome"));
    assert!(said.sent.is_empty(), "not before the symbols are known");
    let symbols = asked(&requests, "GET /api/v2/symbols").tag;
    let (said, result) = rig.response(12, symbols, 200, fixture("rest_symbols"));
    assert!(result.is_err(), "one symbol is not listed");
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
    assert_eq!(said.events, ["InstrumentsReady"]);
    let subscription = |n: u32, topic: &str| {
        format!(
            r#"{{"id":"s{n}","type":"subscribe","topic":"{topic}:BTC-USDT","privateChannel":false,"response":true}}"#
        )
    };
    assert_eq!(
        said.sent,
        [
            (LINK_MD, subscription(1, "/market/level2")),
            (LINK_MD, subscription(2, "/market/match")),
            (LINK_MD, subscription(3, "/spotMarket/level1")),
        ]
    );
    for events in [
        "Ignored subscription confirmed",
        "Ignored subscription confirmed",
        "Subscribed(LinkId(1))",
    ] {
        let (said, _) = rig.text(LINK_MD, 13, fixture("feed_ack"));
        assert_eq!(said.events, [events]);
    }
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (3, 8));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(100), Qty(1), Qty(1_000))
    );
    assert_eq!(btc.qty_max, Qty(10u64.pow(18) as i64));
    assert_eq!(btc.notional_min.to_string(), "0.10");
    assert!(btc.is_live);
    assert_eq!(rig.registry.asset_name(btc.quote), "USDT");
}

#[test]
fn the_user_stream_and_the_order_link_together_are_the_login() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    // The order link needs no REST: its target is signed, and signed again while it is not open.
    assert_eq!(rig.venue.next_deadline(), Some(UnixNanos(0)));
    let first = deadline(&mut rig, 0).connects;
    assert_eq!(first.len(), 1);
    assert!(
        first[0]
            .1
            .starts_with("/v1/private?apikey=5c2db93503aa674c74a31734&sign=")
    );
    assert!(first[0].1.ends_with("&timestamp=1760000000000"));
    assert!(deadline(&mut rig, 1_999).connects.is_empty());
    let again = deadline(&mut rig, 2_000).connects;
    assert!(again[0].1.ends_with("&timestamp=1760000002000"));

    rig.open(LINK_ORDERS, 2_100);
    let (said, _) = rig.text(LINK_ORDERS, 2_110, fixture("entry_challenge"));
    let signed = "pN/HilIFHFaNc5pYnEBEYeFBGa0FJfZRGERJzdImUoU=";
    assert_eq!(said.sent, [(LINK_ORDERS, signed.to_owned())]);
    let (said, _) = rig.text(LINK_ORDERS, 2_120, fixture("entry_welcome"));
    assert_eq!(
        said.events,
        ["Ignored welcome"],
        "the user stream is missing"
    );
    assert_eq!(place(&mut rig, 2_130), Err(EntryError::NotReady));

    let requests = rig.open(LINK_REST, 2_200).requests;
    let token = asked(&requests, "POST /api/v1/bullet-private");
    let names: Vec<_> = token
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    for name in [
        "KC-API-KEY",
        "KC-API-SIGN",
        "KC-API-TIMESTAMP",
        "KC-API-PASSPHRASE",
        "KC-API-KEY-VERSION",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    let heard = answer(&mut rig, 2_210, token, 200, fixture("rest_token_private"));
    assert_eq!(
        heard.connects,
        [(
            LINK_USER,
            "/endpoint?token=hbxFakeToken.0002&connectId=sl3-1760000002210".to_owned()
        )]
    );
    rig.open(LINK_USER, 2_300);
    let (said, _) = rig.text(LINK_USER, 2_310, fixture("feed_welcome"));
    let topics: Vec<_> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        topics,
        [
            r#"{"id":"s1","type":"subscribe","topic":"/spotMarket/tradeOrdersV2","privateChannel":true,"response":true}"#,
            r#"{"id":"s2","type":"subscribe","topic":"/account/balance","privateChannel":true,"response":true}"#,
        ]
    );
    rig.text(LINK_USER, 2_320, fixture("feed_ack")).1.unwrap();
    let (said, _) = rig.text(LINK_USER, 2_330, fixture("feed_ack"));
    assert_eq!(
        said.events,
        ["Subscribed(LinkId(3))", "LoggedIn(LinkId(2))"]
    );
    assert_eq!(place(&mut rig, 2_340), Ok(()));
}

#[test]
fn a_refused_login_says_so_and_is_tried_with_a_fresh_signature() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    rig.open(LINK_ORDERS, 0);
    let (said, result) = rig.text(LINK_ORDERS, 1, fixture("entry_login_refused"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.reconnects, [(LINK_ORDERS, "login refused")]);
    close(&mut rig, LINK_ORDERS, 2);
    let connects = deadline(&mut rig, 2).connects;
    assert!(connects[0].1.ends_with("&timestamp=1760000000002"));
}

#[test]
fn a_welcome_without_a_challenge_is_no_login() {
    let mut rig = rig::ready();
    close(&mut rig, LINK_ORDERS, 1);
    rig.open(LINK_ORDERS, 2);
    let (said, _) = rig.text(LINK_ORDERS, 3, fixture("entry_welcome"));
    assert_eq!(said.events, ["Ignored welcome"]);
    assert_eq!(place(&mut rig, 4), Err(EntryError::NotReady));
    // And a challenge on another link is not signed.
    let (said, _) = rig.text(LINK_MD, 5, fixture("entry_challenge"));
    assert!(said.sent.is_empty());
}

#[test]
fn a_link_that_does_not_get_ready_is_given_up() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    for link in [LINK_MD, LINK_USER, LINK_ORDERS] {
        rig.open(link, 0);
    }
    assert!(deadline(&mut rig, 9_999).said.reconnects.is_empty());
    let given_up: Vec<_> = deadline(&mut rig, 10_000).said.reconnects;
    let links: Vec<_> = given_up.iter().map(|(link, _)| *link).collect();
    assert_eq!(links, [LINK_MD, LINK_USER, LINK_ORDERS]);
    assert!(
        deadline(&mut rig, 10_001).said.reconnects.is_empty(),
        "once"
    );
}

#[test]
fn pings_go_out_whatever_comes_in_and_a_missing_pong_ends_the_link() {
    let mut rig = rig::ready();
    rig.deadline(0); // the dead man's switch
    rig.text(LINK_MD, 17_000, fixture("feed_trade")).1.unwrap();
    assert!(rig.deadline(17_999).sent.is_empty());
    assert!(rig.venue.next_deadline() <= Some(at_ms(18_000).unix));
    let sent = rig.deadline(18_000).sent;
    assert_eq!(
        sent,
        [
            (
                LINK_MD,
                r#"{"id":"1760000018000","type":"ping"}"#.to_owned()
            ),
            (
                LINK_USER,
                r#"{"id":"1760000018000","type":"ping"}"#.to_owned()
            ),
            (
                LINK_ORDERS,
                r#"{"id":"p","op":"ping","timestamp":"1760000018000"}"#.to_owned()
            ),
        ]
    );
    rig.text(LINK_MD, 18_050, fixture("feed_pong")).1.unwrap();
    rig.text(LINK_ORDERS, 18_050, fixture("entry_pong"))
        .1
        .unwrap();
    // Market data is no pong.
    rig.text(LINK_USER, 20_000, fixture("account_balance"))
        .1
        .unwrap();
    assert!(rig.deadline(27_999).reconnects.is_empty());
    assert_eq!(rig.deadline(28_000).reconnects, [(LINK_USER, "no pong")]);
    let again = rig.deadline(36_000).sent;
    let links: Vec<_> = again.iter().map(|(link, _)| *link).collect();
    assert_eq!(links, [LINK_MD, LINK_ORDERS]);
}

#[test]
fn the_venue_names_its_intervals_within_bounds() {
    let mut rig = rig::new(&["BTC-USDT"], false);
    let requests = rig.open(LINK_REST, 0).requests;
    let token = asked(&requests, "POST /api/v1/bullet-public").clone();
    let body = fixture("rest_token").replace("18000", "5");
    answer(&mut rig, 0, &token, 200, &body);
    rig.open(LINK_MD, 0);
    rig.text(LINK_MD, 0, fixture("feed_welcome")).1.unwrap();
    assert!(rig.deadline(1_999).sent.is_empty(), "never twice a second");
    assert_eq!(rig.deadline(2_000).sent.len(), 1);
}

#[test]
fn a_lost_link_asks_for_a_new_token() {
    for (link, line) in [
        (LINK_MD, "POST /api/v1/bullet-public"),
        (LINK_USER, "POST /api/v1/bullet-private"),
    ] {
        let mut rig = rig::ready();
        rig.deadline(0);
        assert!(
            close(&mut rig, link, 1_000).connects.is_empty(),
            "the token is spent"
        );
        let requests = deadline(&mut rig, 1_000).said.requests;
        let token = asked(&requests, line);
        assert!(
            deadline(&mut rig, 2_000).said.requests.is_empty(),
            "asked once"
        );
        // Refused, then lost, then here.
        assert!(rig.response(2_100, token.tag, 503, "<html>").1.is_err());
        asked(&deadline(&mut rig, 3_100).said.requests, line);
        assert!(rig.response(3_200, token.tag, 0, "").1.is_err());
        asked(&deadline(&mut rig, 4_200).said.requests, line);
        let heard = answer(&mut rig, 4_300, token, 200, fixture("rest_token"));
        assert_eq!(heard.connects.len(), 1);
        assert_eq!(heard.connects[0].0, link);
        let twice = answer(&mut rig, 4_301, token, 200, fixture("rest_token"));
        assert!(twice.connects.is_empty(), "nobody waits for it");
    }
}

#[test]
fn a_token_near_its_end_is_replaced_with_its_link() {
    let mut rig = rig::ready();
    let late = DAY_MS - 600_000;
    assert!(rig.venue.next_deadline() <= Some(at_ms(late).unix));
    // Pongs are not the matter here: what counts is what is asked for, and when.
    let requests = deadline(&mut rig, late).said.requests;
    let token = asked(&requests, "POST /api/v1/bullet-public").clone();
    let mut rig = rig::ready();
    // The same with the link kept alive.
    for ms in (18_000..late).step_by(18_000) {
        rig.deadline(ms);
        for link in [LINK_MD, LINK_USER] {
            rig.text(link, ms, fixture("feed_pong")).1.unwrap();
        }
        rig.text(LINK_ORDERS, ms, fixture("entry_pong")).1.unwrap();
    }
    asked(
        &deadline(&mut rig, late).said.requests,
        "POST /api/v1/bullet-public",
    );
    let heard = answer(&mut rig, late + 100, &token, 200, fixture("rest_token"));
    assert!(
        heard
            .said
            .events
            .contains(&"ClosingSoon(LinkId(1))".to_owned())
    );
    assert_eq!(
        heard.said.reconnects,
        [(LINK_MD, "its token is near its end")]
    );
    assert!(heard.connects.is_empty(), "the link is still open");
    let connects = close(&mut rig, LINK_MD, late + 101).connects;
    assert!(
        connects[0]
            .1
            .starts_with("/?token=hbxFakeToken.0001&connectId=")
    );
    let requests = deadline(&mut rig, late + 102).said.requests;
    let is_token = |line: &str| line.starts_with("POST /api/v1/bullet-public");
    assert!(
        !requests.iter().any(|asked| is_token(&asked.line)),
        "there is one"
    );
}

#[test]
fn the_end_of_the_user_stream_ends_the_order_link() {
    let mut rig = rig::ready();
    let heard = close(&mut rig, LINK_USER, 10);
    assert_eq!(
        heard.said.reconnects,
        [(LINK_ORDERS, "the user stream is gone")]
    );
    assert_eq!(place(&mut rig, 11), Err(EntryError::NotReady));
    close(&mut rig, LINK_ORDERS, 12);
    assert_eq!(log_in(&mut rig, 20), ["Ignored welcome"]);
    let events = open_user(&mut rig, 30);
    assert_eq!(events.last().unwrap(), "LoggedIn(LinkId(2))");
    // The other way round the stream stays.
    let heard = close(&mut rig, LINK_ORDERS, 40);
    assert!(heard.said.reconnects.is_empty());
    assert_eq!(log_in(&mut rig, 50).last().unwrap(), "LoggedIn(LinkId(2))");
}
