//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::{OrderId, RejectReason};
use dp_venue_api::{DecodeError, Event, Fault, RestRequest, Sink, Venue as _};
use dp_venue_kucoin::symbols::order_id_text;
use dp_venue_kucoin::{ID, LINK_MD, LINK_ORDERS, LINK_USER};
use rig::fixture;

/// Feeds a fixture to a ready machine and compares the events.
fn check(name: &str, expected: &[&str]) {
    let mut rig = rig::ready();
    rig.registry.register(ID, "XBTUSDTM", 8, 0).unwrap();
    let (said, result) = rig.text(LINK_USER, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(said.events, expected, "{name}");
}

/// The packed form of the fixtures' order.
fn order() -> u128 {
    dp_venue_kucoin::symbols::parse_id(b"655a1c00f3a1c20007d1a003").unwrap()
}

#[test]
fn market_data() {
    check(
        "feed_delta",
        &["Book Delta 14103844..14103847 prev -1 checksum None 2x2"],
    );
    check(
        "feed_delta_noop",
        &["Book Delta 14103848..14103848 prev -1 checksum None 0x0"],
    );
    check(
        "feed_delta_twice",
        &["Book Delta 14103849..14103850 prev -1 checksum None 0x2"],
    );
    check(
        "feed_depth5",
        &["Book Snapshot -1..-1 prev -1 checksum None 1x1"],
    );
    check("feed_level1", &["Quote -1 0.2 @ 64999.9 / 0.5 @ 65000.1"]);
    check("feed_level1_one_side", &["Quote -1 0 @ 0 / 0.5 @ 65000.1"]);
    let quote = "Quote 14103847 0.2 @ 64999.9 / 0.5 @ 65000.1";
    check("feed_ticker", &[quote]);
    check("feed_ticker_all", &[quote]);
    check(
        "feed_trade",
        &["Trade 10067996711204865 buy 0.00331 @ 65000.1"],
    );
    check("feed_candle", &["Ignored candle"]);
    check(
        "feed_level3",
        &["Ignored the retired feed of single orders"],
    );
}

#[test]
fn changes_come_in_the_order_of_their_numbers() {
    struct Last(Vec<(String, String)>);
    impl Sink for Last {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::Book(book) = event {
                let text =
                    |level: &dp_types::RawLevel| (level.price.to_string(), level.qty.to_string());
                self.0 = book.asks.iter().map(text).collect();
            }
        }
        fn send_text(&mut self, _: dp_types::LinkId, _: &[u8]) {}
        fn request(&mut self, _: dp_types::LinkId, _: &RestRequest<'_>) {}
        fn reconnect(&mut self, _: dp_types::LinkId, _: &'static str) {}
    }
    let mut rig = rig::ready();
    let mut text = fixture("feed_delta_twice").as_bytes().to_vec();
    let mut last = Last(Vec::new());
    let now = tests_venues::rig::at_ms(0);
    rig.venue
        .on_text(&rig.registry, LINK_MD, now, &mut text, &mut last)
        .unwrap();
    let level = |qty: &str| ("65000.2".to_owned(), qty.to_owned());
    assert_eq!(last.0, [level("2.5"), level("0")], "placed, then removed");
}

#[test]
fn futures() {
    check(
        "futures_delta",
        &["Book Delta 1709400450243..1709400450243 prev -1 checksum None 0x1"],
    );
    check(
        "futures_depth5",
        &["Book Snapshot 1709294294670..1709294294670 prev -1 checksum None 1x1"],
    );
    let trade = dp_venue_kucoin::symbols::parse_id(b"6057bc953c7feb667195bac9").unwrap();
    check(
        "futures_trade",
        &[&format!("Trade {trade} buy 16 @ 65000.1")],
    );
    check(
        "futures_ticker",
        &["Quote 1647024019666 118 @ 65000.0 / 562 @ 65000.1"],
    );
    check("futures_mark", &["Ignored mark price and funding"]);
    check("futures_position", &["Position 1 -20 @ 65000.25"]);
    check(
        "futures_wallet",
        &["Balance AssetId(1) free 5923.5 locked 2312"],
    );
    check(
        "futures_order",
        &[
            &format!("Fill 1 trade {} sell 3 @ 65000.1 fee 0  maker", trade + 1)
                .replace("fee 0  maker", "fee 0 AssetId(65535) maker"),
            "Order 1 PARTIALLY_FILLED None px 65000.1 qty 5 cum 3",
        ],
    );
}

#[test]
fn unified() {
    check(
        "unified_book_snapshot",
        &["Book Snapshot 14103843..14103843 prev -1 checksum None 2x2"],
    );
    check(
        "unified_book_delta",
        &["Book Delta 14103844..14103847 prev -1 checksum None 1x1"],
    );
    check(
        "unified_ticker",
        &["Quote 25958853459 0.02 @ 64999.9 / 0.97 @ 65000.1"],
    );
    check(
        "unified_trade",
        &["Trade 20631804219899904 sell 0.0008 @ 65000.1"],
    );
    check("unified_mark", &["Ignored mark price and funding"]);
    check(
        "unified_order",
        &["Order 1 PARTIALLY_FILLED None px 65000 qty 0.001 cum 0.0004"],
    );
    check(
        "unified_execution",
        &["Fill - trade 21002796345212928 buy 0.0004 @ 65000 fee 0.0000004 AssetId(0) maker"],
    );
    check(
        "unified_balance",
        &["Balance AssetId(1) free 12.94 locked 1.02"],
    );
    check("unified_welcome", &["Ignored welcome"]);
    check("unified_confirmed", &["Ignored subscription confirmed"]);
    let (_, result) = rig::ready().text(LINK_MD, 0, fixture("unified_refused"));
    let refused = Fault::Venue {
        code: 0,
        reason: RejectReason::Invalid,
    };
    assert_eq!(result, Err(refused));
}

#[test]
fn order_answers() {
    let order = order();
    check("entry_new_ack", &[&format!("Ack 1 order {order} None 0")]);
    check(
        "entry_reject_funds",
        &[
            "Ack 1 order 0 InsufficientFunds 200004",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    check(
        "entry_reject_duplicate",
        &[
            "Ack 1 order 0 DuplicateId 400100",
            "Order 1 UNKNOWN DuplicateId px - qty - cum -",
        ],
    );
    check(
        "entry_unknown_outcome",
        &[
            "Ack 1 order 0 UnknownOutcome 500000",
            "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
        ],
    );
    check(
        "entry_reject_rate",
        &[
            "Ack 1 order 0 RateLimit 429000",
            "Order 1 REJECTED RateLimit px - qty - cum -",
            "RateLimited { until_ms: 1760000005100 }",
        ],
    );
    check(
        "entry_cancel_ack",
        &[&format!("Ack 1 order {order} None 0")],
    );
    check(
        "entry_cancel_reject",
        &["Ack 1 order 0 UnknownOrder 400100"],
    );
    check("entry_pong", &["Heartbeat"]);
    let (said, result) = rig::ready().text(LINK_ORDERS, 0, fixture("entry_reject_no_id"));
    let refused = Fault::Venue {
        code: 4_001_002,
        reason: RejectReason::Invalid,
    };
    assert_eq!((said.events.len(), result), (0, Err(refused)));
}

#[test]
fn order_pushes() {
    let order = order();
    assert_eq!(
        order_id_text(OrderId(order)).as_str(),
        "655a1c00f3a1c20007d1a003"
    );
    check(
        "account_received",
        &[&format!("Ack 1 order {order} None 0")],
    );
    check(
        "account_open",
        &["Order 1 ACK None px 65000.1 qty 0.001 cum 0"],
    );
    check(
        "account_match_maker",
        &[
            // 65000.1 x 0.0004 x 0.0005
            "Fill 1 trade 10067996711204865 buy 0.0004 @ 65000.1 fee 0.013000020 AssetId(1) maker",
            "Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.0004",
        ],
    );
    check(
        "account_match_taker",
        &[
            // 64999.9 x 0.0006 x 0.001
            "Fill 1 trade 10067996711204866 buy 0.0006 @ 64999.9 fee 0.03899994 AssetId(1) taker",
            "Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.001",
        ],
    );
    check(
        "account_filled",
        &["Order 1 FILLED None px 65000.1 qty 0.001 cum 0.001"],
    );
    check(
        "account_canceled",
        &["Order 1 CANCELLED None px 65000.1 qty 0.001 cum 0.0004"],
    );
    check(
        "account_canceled_untouched",
        &["Order 1 CANCELLED None px 65000.1 qty 0.001 cum 0"],
    );
    check(
        "account_update",
        &["Order 1 ACK None px 65000.1 qty 0.0006 cum 0"],
    );
    check(
        "account_update_done",
        &["Order 1 CANCELLED None px 65000.1 qty 0.0004 cum 0.0004"],
    );
    check(
        "account_foreign",
        &["Order - ACK None px 65000.1 qty 0.001 cum 0"],
    );
    check(
        "account_other_symbol",
        &["Ignored an order of an instrument we do not follow"],
    );
    check(
        "account_balance",
        &["Balance AssetId(1) free 9340 locked 660"],
    );
    check(
        "account_balance_main",
        &["Ignored a balance of another account"],
    );
}

#[test]
fn session_events() {
    let mut rig = rig::ready();
    let fault = |code, reason| Err(Fault::Venue { code, reason });
    let (said, result) = rig.text(LINK_MD, 0, fixture("feed_error_topic"));
    assert_eq!(result, fault(404, RejectReason::BadSymbol));
    assert!(said.events.is_empty() && said.reconnects.is_empty());
    let (said, result) = rig.text(LINK_MD, 0, fixture("feed_error_token"));
    assert_eq!(result, fault(401, RejectReason::Auth));
    assert_eq!(said.reconnects, [(LINK_MD, "its token is refused")]);
    let (said, result) = rig.text(LINK_MD, 0, fixture("feed_error_busy"));
    assert_eq!(result, fault(509, RejectReason::RateLimit));
    assert_eq!(said.events, ["RateLimited { until_ms: 1760000003000 }"]);
    let (said, _) = rig.text(LINK_MD, 0, fixture("feed_pong"));
    assert_eq!(said.events, ["Heartbeat"]);
}

/// The unified feed's frames are binary and hold text.
#[test]
fn a_binary_frame_is_read_as_its_text() {
    let mut rig = rig::ready();
    let mut bytes = fixture("unified_trade").as_bytes().to_vec();
    let mut said = tests_venues::rig::Said::default();
    let now = tests_venues::rig::at_ms(0);
    rig.venue
        .on_binary(&rig.registry, LINK_MD, now, &mut bytes, &mut said)
        .unwrap();
    assert_eq!(
        said.events,
        ["Trade 20631804219899904 sell 0.0008 @ 65000.1"]
    );
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let delta = |changes: &str, ends: &str| {
        format!(
            r#"{{"type":"message","topic":"/market/level2:BTC-USDT","subject":"trade.l2update","data":{{"changes":{changes}{ends}}}}}"#
        )
    };
    let empty = r#"{"asks":[],"bids":[]}"#;
    for (text, error) in [
        (String::new(), DecodeError::Json),
        ("ping".into(), DecodeError::Json),
        ("{".into(), DecodeError::Json),
        (
            "[]".into(),
            DecodeError::Shape("neither a push, an event nor an answer"),
        ),
        (
            r#"{"topic":"/market/match:X-Y"}"#.into(),
            DecodeError::Field("data"),
        ),
        (
            delta(empty, "").replace("BTC-USDT", "X-Y"),
            DecodeError::UnknownSymbol,
        ),
        (delta(empty, ""), DecodeError::Field("sequenceStart")),
        (
            delta(empty, r#","sequenceStart":5,"sequenceEnd":4"#),
            DecodeError::Field("sequenceEnd"),
        ),
        (
            delta(r#"{"asks":[["1"]],"bids":[]}"#, ""),
            DecodeError::Field("size"),
        ),
        (
            delta(r#"{"asks":[["1","1"]],"bids":[]}"#, ""),
            DecodeError::Field("a change's sequence"),
        ),
        (
            delta(empty, r#","sequenceStart":4,"sequenceEnd":4,"time":"soon""#),
            DecodeError::Number {
                field: "time",
                error: dp_types::NumError::BadByte(0),
            },
        ),
        (
            fixture("account_open").replace(r#""type":"open""#, r#""type":"bent""#),
            DecodeError::Field("type"),
        ),
        (
            fixture("entry_new_ack").replace("200000", "fine"),
            DecodeError::Field("code"),
        ),
        (
            fixture("entry_new_ack").replace("sl-1z141z5", "sl-1z141z6"),
            DecodeError::Field("clientOid"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_MD, 0, &text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
}
