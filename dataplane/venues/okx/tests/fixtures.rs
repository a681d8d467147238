//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, Fault};
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC};
use rig::fixture;

/// Feeds a fixture to a ready machine and compares the events.
fn check(name: &str, expected: &[&str]) {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PRIVATE, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(said.events, expected, "{name}");
}

#[test]
fn market_data() {
    check(
        "feed_snapshot",
        &["Book Snapshot 123456..123456 prev -1 checksum Some(-1516162764) 3x2"],
    );
    check(
        "feed_delta",
        &["Book Delta 123460..123460 prev 123456 checksum None 0x1"],
    );
    check(
        "feed_delta_noop",
        &["Book Delta 123460..123460 prev 123460 checksum None 0x0"],
    );
    check("feed_bbo", &["Quote 123461 1.5 @ 65000 / 2 @ 65000.4"]);
    check("feed_bbo_one_side", &["Quote -1 1.5 @ 65000 / 0 @ 0"]);
    check("feed_trades", &["Trade 130639474 buy 0.12060306 @ 65000.1"]);
    check("feed_ticker", &["Ignored ticker"]);
    check(
        "account_positions",
        &["Ignored positions are kept from fills"],
    );
    check("account_connection_count", &["Ignored connection count"]);
}

#[test]
fn order_answers() {
    let order = "2497956918703120384";
    check("entry_new_ack", &[&format!("Ack 1 order {order} None 0")]);
    check(
        "entry_reject_funds",
        &[
            "Ack 1 order 0 InsufficientFunds 51008",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    check(
        "entry_unknown_outcome",
        &[
            "Ack 1 order 0 UnknownOutcome 50004",
            "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
        ],
    );
    check(
        "entry_error_request",
        &[
            "Ack 1 order 0 Invalid 60012",
            "Order 1 REJECTED Invalid px - qty - cum -",
        ],
    );
    check(
        "entry_cancel_ack",
        &[&format!("Ack 1 order {order} None 0")],
    );
    check("entry_cancel_reject", &["Ack 1 order 0 UnknownOrder 51400"]);
    check("entry_amend_ack", &[&format!("Ack 1 order {order} None 0")]);
    check(
        "entry_batch_cancel_partial",
        &[
            "Ack 1 order 12689 None 0",
            "Ack 2 order 0 UnknownOrder 51401",
        ],
    );
    check(
        "entry_reject_rate",
        &[
            "Ack 1 order 0 RateLimit 50011",
            "Order 1 REJECTED RateLimit px - qty - cum -",
            "RateLimited { until_ms: 1760000002100 }",
        ],
    );
}

#[test]
fn order_pushes() {
    check(
        "account_order_live",
        &["Order 1 ACK None px 65000 qty 1 cum 0"],
    );
    check(
        "account_order_partial",
        &[
            "Fill 1 trade 1518905529 buy 0.4 @ 65000 fee 0.0052 AssetId(1) maker",
            "Order 1 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4",
        ],
    );
    check(
        "account_order_filled_rebate",
        &[
            "Fill 1 trade 1518905530 buy 0.6 @ 65000 fee -0.0011 AssetId(1) maker",
            "Order 1 FILLED None px 65000 qty 1 cum 1",
        ],
    );
    check(
        "account_order_filled_echo",
        &["Order 1 FILLED None px 65000 qty 1 cum 1"],
    );
    check(
        "account_order_canceled_user",
        &["Order 1 CANCELLED None px 65000 qty 1 cum 0.4"],
    );
    check(
        "account_order_canceled_post_only",
        &["Order 1 REJECTED PostOnlyCross px 65000 qty 1 cum 0"],
    );
    check(
        "account_order_canceled_ioc",
        &["Order 1 EXPIRED None px 65000 qty 1 cum 0.4"],
    );
    check(
        "account_order_canceled_dead_man",
        &["Order 1 CANCELLED None px 65000 qty 1 cum 0"],
    );
    check(
        "account_order_amend_failed",
        &[
            "Ack 1 order 2497956918703120384 InsufficientFunds 51008",
            "Order 1 ACK None px 65000 qty 1 cum 0",
        ],
    );
    check(
        "account_balance",
        &[
            "Balance AssetId(1) free 9340 locked 660",
            "Balance AssetId(0) free 0.5 locked 0",
        ],
    );
}

#[test]
fn session_events() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PUBLIC, 0, fixture("feed_error_channel"));
    assert!(said.events.is_empty());
    let expected = Fault::Venue {
        code: 60018,
        reason: RejectReason::BadSymbol,
    };
    assert_eq!(result, Err(expected));

    let (said, result) = rig.text(LINK_PUBLIC, 0, fixture("feed_notice_upgrade"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["ClosingSoon(LinkId(1))"]);
    assert_eq!(said.reconnects.len(), 1);

    let (said, _) = rig.text(LINK_PUBLIC, 0, "pong");
    assert_eq!(said.events, ["Heartbeat"]);
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    for (text, error) in [
        ("", DecodeError::Json),
        ("ping", DecodeError::Json),
        ("{", DecodeError::Json),
        (
            "[]",
            DecodeError::Shape("neither a push, an event nor an answer"),
        ),
        (
            r#"{"arg":{"channel":"books","instId":"X-Y"},"action":"update","data":[]}"#,
            DecodeError::UnknownSymbol,
        ),
        (
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"data":[]}"#,
            DecodeError::Field("action"),
        ),
        (
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"bids":[["1"]],"asks":[],"ts":"1"}]}"#,
            DecodeError::Field("size"),
        ),
        (
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"bids":[],"asks":[],"ts":"1","checksum":4294967296}]}"#,
            DecodeError::Field("checksum"),
        ),
        (
            r#"{"id":"n1z141z5I1","op":"order","code":"x","data":[]}"#,
            DecodeError::Field("code"),
        ),
        (
            r#"{"id":"n1z141z5I1","op":"order","code":"0","data":[]}"#,
            DecodeError::Field("data"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_PUBLIC, 0, text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
}
