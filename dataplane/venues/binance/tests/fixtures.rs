//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, Fault};
use dp_venue_binance::{LINK_MD, LINK_ORDERS};
use rig::{Keys, fixture};

/// Feeds a fixture to a ready machine and compares the events.
fn check(name: &str, expected: &[&str]) {
    let mut rig = rig::ready(Keys::Ed25519);
    let (said, result) = rig.text(LINK_ORDERS, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(said.events, expected, "{name}");
}

#[test]
fn market_data() {
    check(
        "feed_delta",
        &["Book Delta 1000101..1000104 prev -1 checksum None 2x1"],
    );
    check(
        "feed_delta_raw",
        &["Book Delta 1000101..1000104 prev -1 checksum None 0x0"],
    );
    check(
        "feed_delta_gap",
        &["Book Delta 1000107..1000109 prev -1 checksum None 1x0"],
    );
    check(
        "feed_delta_futures",
        &["Book Delta 9000101..9000110 prev 9000087 checksum None 1x1"],
    );
    check(
        "feed_partial_depth",
        &["Book Snapshot 1000104..1000104 prev -1 checksum None 1x2"],
    );
    check(
        "feed_partial_depth_futures",
        &["Book Snapshot 9000110..9000110 prev -1 checksum None 0x1"],
    );
    check(
        "feed_trade",
        &["Trade 4500000001 buy 0.01000000 @ 65000.01000000"],
    );
    check(
        "feed_agg_trade",
        &["Trade 4500000002 sell 0.01500000 @ 65000.00000000"],
    );
    let quote = "Quote 1000105 0.51200000 @ 65000.00000000 / 1.19000000 @ 65000.01000000";
    check("feed_quote", &[quote]);
    check("feed_quote_raw", &[quote]);
    check(
        "feed_quote_futures",
        &["Quote 9000110 3.100 @ 65010.10 / 0.200 @ 65010.30"],
    );
    check("feed_ticker", &["Ignored ticker"]);
    check("feed_candle", &["Ignored candle"]);
    check("feed_subscribe_ack", &["Ignored a control answer"]);
}

#[test]
fn order_answers() {
    let order = "12510053279";
    check("entry_new_ack", &[&format!("Ack 1 order {order} None 0")]);
    check(
        "entry_new_result",
        &[
            &format!("Ack 1 order {order} None 0"),
            "Order 1 ACK None px 65000.00000000 qty 0.01000000 cum 0.00000000",
        ],
    );
    for (name, reason, code, state) in [
        ("funds", "InsufficientFunds", -2010, "REJECTED"),
        ("post_only", "PostOnlyCross", -2010, "REJECTED"),
        ("filter", "Invalid", -1013, "REJECTED"),
        ("late", "Timestamp", -1021, "REJECTED"),
        ("overloaded", "VenueDown", -1008, "REJECTED"),
        // One of that id lives at the venue: it must not be forgotten.
        ("duplicate", "DuplicateId", -2010, "UNKNOWN"),
    ] {
        check(
            &format!("entry_reject_{name}"),
            &[
                &format!("Ack 1 order 0 {reason} {code}"),
                &format!("Order 1 {state} {reason} px - qty - cum -"),
            ],
        );
    }
    check(
        "entry_unknown_outcome",
        &[
            "Ack 1 order 0 UnknownOutcome -1007",
            "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
        ],
    );
    check(
        "entry_cancel_ack",
        &[&format!("Ack 1 order {order} None 0")],
    );
    check("entry_cancel_reject", &["Ack 1 order 0 UnknownOrder -2011"]);
    check("entry_amend_ack", &[&format!("Ack 1 order {order} None 0")]);
    check("entry_amend_reject", &["Ack 1 order 0 Invalid -2038"]);
    check(
        "entry_cancel_all_ack",
        &["Ignored all cancelled; each is streamed"],
    );
    check("entry_cancel_all_none", &["Ignored nothing was open"]);
    check(
        "entry_query_partial",
        &["Order 1 PARTIALLY_FILLED None px 65000.00000000 qty 0.01000000 cum 0.00400000"],
    );
    check(
        "entry_query_none",
        &["Order 1 REJECTED UnknownOrder px - qty - cum -"],
    );
}

#[test]
fn refusals_for_rate() {
    for (name, until) in [
        ("entry_reject_rate", 1_760_000_020_000u64),
        ("entry_banned", 1_760_000_200_000),
    ] {
        check(
            name,
            &[
                "Ack 1 order 0 RateLimit -1003",
                "Order 1 REJECTED RateLimit px - qty - cum -",
                &format!("RateLimited {{ until_ms: {until} }}"),
            ],
        );
    }
}

#[test]
fn user_data() {
    let order = |state: &str, qty: &str, cum: &str| {
        format!("Order 1 {state} px 65000.00000000 qty {qty} cum {cum}")
    };
    let whole = "0.01000000";
    check("account_new", &[&order("ACK None", whole, "0.00000000")]);
    check(
        "account_fill_partial",
        &[
            "Fill 1 trade 4500000002 buy 0.00400000 @ 65000.00000000 fee 0.00000400 AssetId(1) maker",
            &order("PARTIALLY_FILLED None", whole, "0.00400000"),
        ],
    );
    check(
        "account_fill_last",
        &[
            "Fill 1 trade 4500000003 buy 0.00600000 @ 64999.99000000 fee 0.00031000 AssetId(0) taker",
            &order("FILLED None", whole, whole),
        ],
    );
    check(
        "account_canceled",
        &[&order("CANCELLED None", whole, "0.00400000")],
    );
    check(
        "account_expired_ioc",
        &[&order("EXPIRED None", whole, "0.00000000")],
    );
    check(
        "account_expired_band",
        &[&order("EXPIRED PriceBand", whole, "0.00000000")],
    );
    check(
        "account_self_trade",
        &[&order("CANCELLED None", whole, "0.00000000")],
    );
    check(
        "account_replaced",
        &[&order("PARTIALLY_FILLED None", "0.00900000", "0.00400000")],
    );
    check(
        "account_foreign",
        &["Order - ACK None px 65000.00000000 qty 0.01000000 cum 0.00000000"],
    );
    check(
        "account_balance",
        &[
            "Balance AssetId(2) free 9350.00000000 locked 390.00000000",
            "Balance AssetId(1) free 0.00399600 locked 0.00000000",
            "Balance AssetId(65535) free 1.00000000 locked 0.00000000",
        ],
    );
    check(
        "account_balance_update",
        &["Ignored a deposit, withdrawal or transfer; the balance is told apart"],
    );
    check(
        "account_list_status",
        &["Ignored order list: we place none"],
    );
}

#[test]
fn session_events() {
    let mut rig = rig::ready(Keys::Ed25519);
    let (said, result) = rig.text(LINK_MD, 0, fixture("feed_server_shutdown"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["ClosingSoon(LinkId(1))"]);
    assert_eq!(said.reconnects.len(), 1);

    let (said, result) = rig.text(LINK_MD, 0, fixture("feed_control_error"));
    assert!(said.events.is_empty());
    let expected = Fault::Venue {
        code: 2,
        reason: RejectReason::Other,
    };
    assert_eq!(result, Err(expected));
}

#[test]
fn a_refused_mass_cancel_is_a_fault() {
    let mut rig = rig::ready(Keys::Ed25519);
    let refused = r#"{"id":"x-0","status":400,"error":{"code":-1021,"msg":"late"}}"#;
    let (_, result) = rig.text(LINK_ORDERS, 0, refused);
    let expected = Fault::Venue {
        code: -1021,
        reason: RejectReason::Timestamp,
    };
    assert_eq!(result, Err(expected));
}

/// The tools' way in: symbols are learnt from the message, REST answers are told by their URL.
#[test]
fn tools_decode_without_knowing_symbols() {
    let decode = |url: Option<&str>, name: &str| {
        let mut registry = dp_venue_api::Registry::new();
        let mut said = tests_venues::rig::Said::default();
        let mut text = fixture(name).as_bytes().to_vec();
        let mut decoder = dp_venue_binance::feed::Decoder::default();
        dp_venue_binance::feed::decode_any(&mut decoder, &mut registry, url, &mut text, &mut said)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        said.events
    };
    let depth = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000";
    for (url, name, first, count) in [
        (None, "feed_delta", "Book Delta", 1),
        (
            Some("wss://x/stream"),
            "feed_partial_depth",
            "Book Snapshot",
            1,
        ),
        (Some(depth), "rest_depth", "Book Snapshot", 1),
        (
            Some("/api/v3/exchangeInfo"),
            "rest_exchange_info",
            "InstrumentsReady",
            1,
        ),
        (
            Some("/api/v3/openOrders?timestamp=1"),
            "rest_open_orders",
            "Order 1",
            2,
        ),
        (
            Some("/api/v3/myTrades?symbol=BTCUSDT"),
            "rest_my_trades",
            "Fill -",
            2,
        ),
        (
            Some("/api/v3/account?timestamp=1"),
            "rest_account",
            "Balance",
            2,
        ),
        (None, "account_fill_last", "Fill 1", 2),
        (None, "entry_new_result", "Ack 1", 2),
    ] {
        let events = decode(url, name);
        assert!(events[0].starts_with(first), "{name}: {events:?}");
        assert_eq!(events.len(), count, "{name}: {events:?}");
    }
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let depth = |inner: &str| format!(r#"{{"stream":"x","data":{{"e":"depthUpdate",{inner}}}}}"#);
    let ids = r#""s":"BTCUSDT","U":1,"u":2"#;
    for (text, error) in [
        (String::new(), DecodeError::Json),
        ("pong".into(), DecodeError::Json),
        ("{".into(), DecodeError::Json),
        (
            "{}".into(),
            DecodeError::Shape("neither a stream message nor an answer"),
        ),
        (
            r#"{"stream":"x","data":{}}"#.into(),
            DecodeError::Shape("a stream message without a kind"),
        ),
        (
            fixture("rest_depth").into(),
            DecodeError::Shape("depth without a symbol"),
        ),
        (
            depth(r#""s":"XYZ","U":1,"u":2,"b":[],"a":[]"#),
            DecodeError::UnknownSymbol,
        ),
        (
            depth(r#""U":1,"u":2,"b":[],"a":[]"#),
            DecodeError::Field("s"),
        ),
        (depth(&format!(r#"{ids},"b":[]"#)), DecodeError::Field("a")),
        (
            depth(&format!(r#"{ids},"b":[["1"]],"a":[]"#)),
            DecodeError::Field("quantity"),
        ),
        (
            depth(&format!(r#"{ids},"b":[[1.5,"1"]],"a":[]"#)),
            DecodeError::Field("price"),
        ),
        (
            depth(r#""s":"BTCUSDT","U":1,"u":-2,"b":[],"a":[]"#),
            DecodeError::Field("u"),
        ),
        (
            r#"{"id":"n-1z141z5-0","status":200}"#.into(),
            DecodeError::Field("result"),
        ),
        (
            r#"{"id":"n-1z141z5-0","status":400}"#.into(),
            DecodeError::Field("error"),
        ),
        (
            r#"{"id":"n-1z141z5-0","status":70000}"#.into(),
            DecodeError::Field("status"),
        ),
    ] {
        let mut rig = rig::ready(Keys::Hmac);
        let (said, result) = rig.text(LINK_MD, 0, &text);
        assert_eq!(result, Err(error.into()), "{text}");
        assert!(said.events.is_empty());
    }
}

/// An order or a fill may be behind it: whoever hears of the fault compares with the venue.
#[test]
fn a_report_that_cannot_be_read_is_a_fault() {
    let report = fixture("account_fill_partial");
    for (from, to, field, events) in [
        (r#""x":"TRADE""#, r#""x":"MERGED""#, "x", 1),
        (r#""x":"TRADE","#, "", "x", 0),
        (r#""X":"PARTIALLY_FILLED""#, r#""X":"HALF""#, "status", 1),
        (r#""S":"BUY""#, r#""S":"LONG""#, "S", 0),
        (r#""z":"0.00400000""#, r#""z":"0.004.1""#, "z", 0),
        (r#""l":"0.00400000""#, r#""l":"x""#, "l", 0),
        (r#""L":"65000.00000000""#, r#""L":"1e""#, "L", 0),
        (r#""p":"65000.00000000""#, r#""p":"""#, "p", 1),
        (r#""q":"0.01000000""#, r#""q":{}"#, "q", 1),
        (r#""n":"0.00000400""#, r#""n":"-""#, "n", 0),
        (r#""t":4500000002"#, r#""t":-1"#, "t", 0),
        (r#""i":12510053279"#, r#""i":"12""#, "i", 0),
        (r#""i":12510053279,"#, "", "i", 0),
        (r#""c":"sl-1z141z5","#, "", "c", 0),
        (r#""C":"""#, r#""C":7"#, "C", 0),
        (r#""m":true"#, r#""m":1"#, "m", 0),
        (r#""T":1760000000005"#, r#""T":"now""#, "T", 0),
        (r#""s":"BTCUSDT","#, "", "s", 0),
    ] {
        let text = report.replacen(from, to, 1);
        assert_ne!(text, report, "{from}");
        let mut rig = rig::ready(Keys::Ed25519);
        let (said, result) = rig.text(LINK_ORDERS, 1, &text);
        let named = match result {
            Err(Fault::Decode(
                DecodeError::Field(name) | DecodeError::Number { field: name, .. },
            )) => name,
            other => panic!("{to}: {other:?}"),
        };
        assert_eq!(
            (named, said.events.len()),
            (field, events),
            "{to}: {said:?}"
        );
    }
}
