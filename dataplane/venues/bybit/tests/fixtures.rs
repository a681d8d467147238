//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, Fault};
use dp_venue_bybit::{LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC};
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
        &["Book Snapshot 18521288..18521288 prev -1 checksum None 2x2"],
    );
    check(
        "feed_delta",
        &["Book Delta 18521289..18521289 prev -1 checksum None 1x1"],
    );
    check(
        "feed_restart",
        &["Book Snapshot 1..1 prev -1 checksum None 1x1"],
    );
    check(
        "feed_best",
        &["Quote -1 0.600 @ 65000.00 / 0.250 @ 65000.10"],
    );
    check("feed_best_one_side", &["Quote -1 0 @ 0 / 0.250 @ 65000.10"]);
    check(
        "feed_trades",
        &[
            "Trade 43803378801316580537883803377582744495 buy 0.001 @ 65000.10",
            "Trade 43803378801316580537883803377582744496 sell 0.002 @ 65000.00",
        ],
    );
    check(
        "feed_trade_spot",
        &["Trade 2290000000061666327 sell 0.5 @ 65000.1"],
    );
    check("feed_ticker", &["Ignored ticker"]);
    check("account_greeks", &["Ignored greeks"]);
    check(
        "rest_book",
        &["Book Snapshot 18521288..18521288 prev -1 checksum None 1x1"],
    );
    for name in ["feed_pong", "account_pong", "entry_pong"] {
        check(name, &["Heartbeat"]);
    }
}

/// a4c1718e-fe53-4659-a118-1f6ecce04ad9, packed.
const ORDER: u128 = 0xa4c1718e_fe53_4659_a118_1f6ecce04ad9;

#[test]
fn order_answers() {
    let accepted = format!("Ack 1 order {ORDER} None 0");
    for name in ["entry_new_ack", "entry_cancel_ack", "entry_amend_ack"] {
        check(name, &[&accepted]);
    }
    check(
        "entry_reject_funds",
        &[
            "Ack 1 order 0 InsufficientFunds 110007",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    check(
        "entry_unknown_outcome",
        &[
            "Ack 1 order 0 UnknownOutcome 10016",
            "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
        ],
    );
    check(
        "entry_reject_duplicate",
        &[
            "Ack 1 order 0 DuplicateId 110072",
            "Order 1 UNKNOWN DuplicateId px - qty - cum -",
        ],
    );
    check(
        "entry_reject_rate",
        &[
            "Ack 1 order 0 RateLimit 10006",
            "Order 1 REJECTED RateLimit px - qty - cum -",
            "RateLimited { until_ms: 1760000001900 }",
        ],
    );
    check(
        "entry_cancel_reject",
        &["Ack 1 order 0 UnknownOrder 110001"],
    );
    check("entry_amend_reject", &["Ack 1 order 0 PriceBand 110003"]);
    check(
        "entry_batch_cancel_partial",
        &["Ack 1 order 306643058389519162471895336311588913153 None 0"],
    );
    check(
        "entry_foreign",
        &["Ignored an answer about orders that are not ours"],
    );
}

#[test]
fn a_restarting_trade_service_gets_no_more_orders() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_ORDERS, 100, fixture("entry_restarting"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Ack 1 order 0 VenueDown 10019",
            "Order 1 REJECTED VenueDown px - qty - cum -",
            "ClosingSoon(LinkId(2))",
        ]
    );
    assert_eq!(
        said.reconnects,
        [(LINK_ORDERS, "the trade service restarts")]
    );
}

#[test]
fn order_pushes() {
    for (name, event) in [
        ("account_order_new", "ACK None px 65000.00 qty 0.010 cum 0"),
        (
            "account_order_partial",
            "PARTIALLY_FILLED None px 65000.00 qty 0.010 cum 0.004",
        ),
        (
            "account_order_filled",
            "FILLED None px 65000.00 qty 0.010 cum 0.010",
        ),
        (
            "account_order_filled_late_cancel",
            "FILLED None px 65000.00 qty 0.010 cum 0.010",
        ),
        (
            "account_order_canceled",
            "CANCELLED None px 65000.00 qty 0.010 cum 0.004",
        ),
        (
            "account_order_canceled_post_only",
            "REJECTED PostOnlyCross px 65000.00 qty 0.010 cum 0",
        ),
        (
            "account_order_rejected_post_only",
            "REJECTED PostOnlyCross px 65000.00 qty 0.010 cum 0",
        ),
        (
            "account_order_canceled_ioc",
            "EXPIRED None px 65000.00 qty 0.010 cum 0.004",
        ),
        (
            "account_order_rejected_partly_done",
            "CANCELLED Other px 65000.00 qty 0.010 cum 0.004",
        ),
    ] {
        check(name, &[&format!("Order 1 {event}")]);
    }
    check(
        "account_order_other_category",
        &["Ignored of an instrument we do not follow"],
    );
}

/// 0ab1bdf7-4219-438b-b30a-32ec863018f7, packed.
const TRADE: u128 = 0x0ab1bdf7_4219_438b_b30a_32ec863018f7;

#[test]
fn executions_positions_balances() {
    let fill =
        |fee: &str| format!("Fill 1 trade {TRADE} buy 0.004 @ 65000.00 fee {fee} AssetId(1) maker");
    check("account_execution", &[&fill("0.052")]);
    check("account_execution_rebate", &[&fill("-0.0065")]);
    check("account_execution_fast", &[&fill("0")]);
    check(
        "account_execution_funding",
        &[
            "Funding 0 -0.0104 AssetId(1) id 255598177688378209704497992676927026162 at 1760000000470000000",
        ],
    );
    check(
        "account_execution_settle",
        &["Ignored a settlement: no trade of an order"],
    );
    check("account_position", &["Position 0 -0.004 @ 65000"]);
    check("account_position_flat", &["Position 0 0 @ -"]);
    check(
        "account_wallet",
        &["Balance AssetId(1) free 9593.3 locked 65.0"],
    );
    check(
        "account_wallet_few_fields",
        &["Balance AssetId(1) free 201.34882644 locked 0"],
    );
}

#[test]
fn a_refused_subscription_is_told() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PUBLIC, 0, fixture("feed_subscribe_refused"));
    assert!(said.events.is_empty());
    let expected = Fault::Venue {
        code: 0,
        reason: RejectReason::BadSymbol,
    };
    assert_eq!(result, Err(expected));
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    for (text, error) in [
        ("", DecodeError::Json),
        ("ping", DecodeError::Json),
        ("{", DecodeError::Json),
        (
            "[]",
            DecodeError::Shape("neither a push, a confirmation nor an answer"),
        ),
        (
            r#"{"topic":"orderbook.50.X","type":"delta","data":{"s":"X","b":[],"a":[],"u":2}}"#,
            DecodeError::UnknownSymbol,
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"s":"BTCUSDT","b":[],"a":[]}}"#,
            DecodeError::Field("u"),
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"new","data":{"s":"BTCUSDT","b":[],"a":[],"u":2}}"#,
            DecodeError::Field("type"),
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"s":"BTCUSDT","b":[["1"]],"a":[],"u":2}}"#,
            DecodeError::Field("size"),
        ),
        (
            r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"s":"BTCUSDT","b":[["1",2.5]],"a":[],"u":2}}"#,
            DecodeError::Field("size"),
        ),
        (
            r#"{"reqId":"n1z141z5I1","op":"order.create","retCode":"x","data":{}}"#,
            DecodeError::Field("retCode"),
        ),
        (
            r#"{"reqId":"b1N1","op":"order.cancel-batch","retCode":0,"data":{"list":[{"orderLinkId":"sl-1z141z5"}]}}"#,
            DecodeError::Field("retExtInfo"),
        ),
        (
            r#"{"topic":"trade.BTCUSDT","data":[{"symbol":"BTCUSDT.P","trade_id":"x"}]}"#,
            DecodeError::Field("trade_id"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_PUBLIC, 0, text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
}
