//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, Fault, Venue as _};
use dp_venue_kraken::{LINK_PRIVATE, LINK_PUBLIC, reject};
use rig::{Rig, events, fixture};
use tests_venues::rig::{Said, at_ms};

/// Feeds a fixture to a machine and compares the events.
fn on(rig: &mut Rig, name: &str, expected: &[&str]) {
    let (said, result) = rig.text(LINK_PRIVATE, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(events(&said), expected, "{name}");
}

/// The same, on a ready machine that has sent order 1.
fn check(name: &str, expected: &[&str]) {
    on(&mut rig::with_order(), name, expected);
}

#[test]
fn market_data() {
    check(
        "feed_book_snapshot",
        &["Book Snapshot -1..-1 prev -1 checksum Some(-868790594) 10x10"],
    );
    check(
        "feed_book_update",
        &["Book Delta -1..-1 prev -1 checksum Some(823980338) 2x0"],
    );
    check(
        "feed_ticker",
        &["Quote -1 0.50000000 @ 65000.0 / 0.24000000 @ 65000.1"],
    );
    check(
        "feed_trade",
        &[
            "Trade 10218208 buy 0.01000000 @ 65000.1",
            "Trade 10218209 sell 1 @ 65000",
        ],
    );
    check(
        "feed_level3_snapshot",
        &["L3 Snapshot -1 checksum Some(-101689350) 5 orders"],
    );
    check(
        "feed_level3_update",
        &["L3 Delta -1 checksum Some(1) 2 orders"],
    );
    check("feed_status", &["Ignored system status"]);
    check("feed_heartbeat", &["Heartbeat"]);
    check("feed_pong", &["Heartbeat"]);
    check(
        "feed_instrument",
        &["Ignored instruments: their rules come by REST"],
    );
}

#[test]
fn market_data_of_v1() {
    let mut rig = rig::new(&["XBT/USD"], false);
    on(
        &mut rig,
        "feed_v1_snapshot",
        &["Book Snapshot -1..-1 prev -1 checksum None 1x2"],
    );
    on(
        &mut rig,
        "feed_v1_update",
        &["Book Delta -1..-1 prev -1 checksum Some(974947235) 1x1"],
    );
    on(
        &mut rig,
        "feed_v1_trade",
        &[
            "Trade 0 sell 0.15850568 @ 5541.20000",
            "Trade 0 buy 0.02455000 @ 6060.00000",
        ],
    );
    on(
        &mut rig,
        "feed_v1_spread",
        &["Quote -1 0.02167307 @ 31760.00000 / 6.46761464 @ 31760.10000"],
    );
    for (text, want) in [
        (r#"{"event":"heartbeat"}"#, "Heartbeat"),
        (r#"{"event":"systemStatus"}"#, "Ignored system status"),
        (
            r#"{"event":"subscriptionStatus"}"#,
            "Ignored subscription confirmed",
        ),
        (r#"{"event":1}"#, "Ignored an event we do not know"),
        (r#"[1,{},"ticker","XBT/USD"]"#, "Ignored ticker"),
        (r#"[1,[],"ohlc-5","XBT/USD"]"#, "Ignored candle"),
    ] {
        let (said, result) = rig.text(LINK_PUBLIC, 0, text);
        assert_eq!((said.events, result), (vec![want.to_owned()], Ok(())));
    }
}

#[test]
fn order_answers() {
    let order = "OABCDE-12345-FGHIJK";
    check("entry_new_ack", &[&format!("Ack 1 order {order} None 0")]);
    check(
        "entry_reject_funds",
        &[
            "Ack 1 order 0 InsufficientFunds 1",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    check(
        "entry_reject_post_only",
        &[
            "Ack 1 order 0 PostOnlyCross 5",
            "Order 1 REJECTED PostOnlyCross px - qty - cum -",
        ],
    );
    let timeout = reject::error("EService:Timeout").0;
    check(
        "entry_reject_timeout",
        &[
            &format!("Ack 1 order 0 UnknownOutcome {timeout}"),
            "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
        ],
    );
    check(
        "entry_reject_rate",
        &[
            "Ack 1 order 0 RateLimit 6",
            "Order 1 REJECTED RateLimit px - qty - cum -",
            "RateLimited { until_ms: 1760000013100 }",
        ],
    );
    check("entry_amend_ack", &["Ack 1 order 0 None 0"]);
    check("entry_amend_refused", &["Ack 1 order 0 Invalid 12"]);
    check(
        "entry_cancel_ack",
        &[&format!("Ack 1 order {order} None 0")],
    );
    check("entry_cancel_unknown", &["Ack 1 order 0 UnknownOrder 10"]);
    check(
        "entry_cancel_batch_one",
        &[&format!("Ack 1 order {order} None 0")],
    );
    let mut rig = rig::ready();
    let orders = [rig::new_order(1), rig::new_order(2)];
    let mut said = Said::default();
    let sent = rig
        .venue
        .new_orders(&rig.registry, &orders, at_ms(0), &mut said);
    assert_eq!(sent, Ok(()));
    on(
        &mut rig,
        "entry_batch_add_ack",
        &[
            &format!("Ack 1 order {order} None 0"),
            "Ack 2 order 0 InsufficientFunds 1",
            "Order 2 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    check(
        "entry_foreign",
        &["Ignored an answer about orders that are not ours"],
    );
    check("entry_dead_man_ack", &["Ignored dead man's switch armed"]);
}

#[test]
fn the_life_of_an_order() {
    let mut rig = rig::with_order();
    on(
        &mut rig,
        "account_pending_new",
        &["Ignored an order accepted and not live yet"],
    );
    on(
        &mut rig,
        "account_new",
        &["Order 1 ACK None px 65000.0 qty 0.01 cum 0"],
    );
    on(
        &mut rig,
        "account_trade",
        &[
            "Fill 1 trade TQVW2E-DGIAM-WPWXDI buy 0.004 @ 65000.0 fee 0.416 AssetId(1) maker",
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 0.01 cum 0.004",
        ],
    );
    on(
        &mut rig,
        "account_trade_last",
        &[
            "Fill 1 trade TQVW2E-DGIAM-WPWXDJ buy 0.006 @ 65000.0 fee 0.0000156 AssetId(0) taker",
            "Order 1 FILLED None px 65000.0 qty 0.01 cum 0.01000000",
        ],
    );
    on(
        &mut rig,
        "account_filled",
        &["Order 1 FILLED None px 65000.0 qty 0.01 cum 0.01"],
    );
}

#[test]
fn sparse_updates_stand_on_what_was_sent() {
    check(
        "account_new",
        &["Order 1 ACK None px 65000.000 qty 0.01000000 cum -"],
    );
    check(
        "account_canceled",
        &["Order 1 CANCELLED None px 65000.000 qty 0.01000000 cum 0.004"],
    );
    check(
        "account_canceled_post_only",
        &["Order 1 REJECTED PostOnlyCross px 65000.000 qty 0.01000000 cum 0"],
    );
    check(
        "account_expired",
        &["Order 1 EXPIRED None px 65000.000 qty 0.01000000 cum -"],
    );
    check(
        "account_amended",
        &["Order 1 ACK None px 64999.0 qty 0.02 cum -"],
    );
    check(
        "account_not_followed",
        &["Ignored of an instrument we do not follow"],
    );
    check(
        "account_snapshot",
        &[
            "Order 1 ACK None px 65000.0 qty 0.01 cum 0",
            "Fill - trade TFOREI-DGIAM-WPWXDI sell 0.5 @ 70000.0 fee 0 AssetId(65535) none",
            "Order - PARTIALLY_FILLED None px 70000.0 qty 1.5 cum 0.5",
        ],
    );
}

#[test]
fn an_order_of_which_only_an_update_was_seen_is_asked_about() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PRIVATE, 100, fixture("account_stray"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Ignored an update of an order whose beginning was not seen"]
    );
    let asked = &said.requests[0];
    assert_eq!(asked.line, "POST /0/private/QueryOrders");
    assert!(
        asked
            .body
            .ends_with("&txid=OSTRAY-12345-FGHIJK&trades=true"),
        "{}",
        asked.body
    );
    let answer = fixture("rest_query_orders").replace("OABCDE", "OSTRAY");
    let (said, result) = rig.response(101, asked.tag, 200, &answer);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 1 CANCELLED None px 65000.0 qty 0.01000000 cum 0.00400000"]
    );
    assert!(said.requests[0].line.ends_with("QueryTrades"));
}

#[test]
fn balances_and_v1_accounts() {
    check(
        "account_balances",
        &[
            "Balance AssetId(0) free 1.2000000000 locked 0",
            "Balance AssetId(1) free 9340 locked 0",
        ],
    );
    check(
        "account_balances_update",
        &[
            "Balance AssetId(1) free 9079.584 locked 0",
            "Ignored a balance of another wallet",
        ],
    );
    let mut rig = rig::new(&["XBT/USD"], false);
    on(
        &mut rig,
        "account_v1_open",
        &["Order 1 ACK None px 65000.00000 qty 0.01000000 cum 0.00000000"],
    );
    on(
        &mut rig,
        "account_v1_trades",
        &[
            "Fill 1 trade TDLH43-DVQXD-2KHVYY buy 0.00400000 @ 65000.00000 fee 0.41600 AssetId(65535) none",
        ],
    );
    on(
        &mut rig,
        "account_v1_update",
        &["Order 1 PARTIALLY_FILLED None px 65000.00000 qty 0.01000000 cum 0.00400000"],
    );
    on(
        &mut rig,
        "account_v1_closed",
        &["Order 1 CANCELLED None px 65000.00000 qty 0.01000000 cum 0.00400000"],
    );
}

#[test]
fn refusals_that_are_about_no_order() {
    for (name, words) in [
        ("feed_subscribe_refused", "Currency pair not supported"),
        ("feed_rate_error", "Exceeded msg rate"),
        ("entry_cancel_batch_refused", "EOrder:Unknown order"),
        ("entry_dead_man_refused", "EGeneral:Internal error"),
    ] {
        let (code, reason) = reject::error(words);
        let (_, result) = rig::ready().text(LINK_PUBLIC, 0, fixture(name));
        assert_eq!(result, Err(Fault::Venue { code, reason }), "{name}");
    }
    let (said, _) = rig::ready().text(LINK_PRIVATE, 0, fixture("feed_subscribe_refused"));
    let refused = format!("LoginRefused({:?})", RejectReason::BadSymbol);
    assert_eq!(said.events, [refused]);
    assert_eq!(said.reconnects.len(), 1);
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let book = |data: &str| format!(r#"{{"channel":"book","type":"update","data":[{data}]}}"#);
    for (text, error) in [
        (String::new(), DecodeError::Json),
        ("ping".into(), DecodeError::Json),
        ("{".into(), DecodeError::Json),
        (
            "{}".into(),
            DecodeError::Shape("neither a channel nor an answer"),
        ),
        (
            "[]".into(),
            DecodeError::Shape("an array that is no v1 frame"),
        ),
        (
            r#"[1,{},"book-10","FOO/USD"]"#.into(),
            DecodeError::UnknownSymbol,
        ),
        (
            r#"{"channel":"book","data":[]}"#.into(),
            DecodeError::Field("type"),
        ),
        (
            book(r#"{"symbol":"FOO/USD","bids":[],"asks":[]}"#),
            DecodeError::UnknownSymbol,
        ),
        (
            book(r#"{"symbol":"BTC/USD","bids":[{"price":1.5}],"asks":[]}"#),
            DecodeError::Field("qty"),
        ),
        (
            book(r#"{"symbol":"BTC/USD","checksum":4294967296}"#),
            DecodeError::Field("checksum"),
        ),
        (
            r#"{"method":"add_order","req_id":1}"#.into(),
            DecodeError::Field("success"),
        ),
        (
            r#"{"method":"add_order","req_id":"1","success":true}"#.into(),
            DecodeError::Field("req_id"),
        ),
        (
            r#"{"channel":"executions","type":"update","data":[{"exec_type":"new"}],"sequence":1}"#
                .into(),
            DecodeError::Field("order_id"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_PUBLIC, 0, &text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
}
