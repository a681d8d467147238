//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, Fault, RestTag};
use dp_venue_kraken_futures::{LINK_PRIVATE, LINK_PUBLIC, rest};
use rig::{Rig, fixture};

const ORDER: &str = "276434836988396706071109083490528299182"; // cff769bb-... as the number it is

/// Feeds fixtures to a ready machine, one after the other, and compares the events of the last.
fn check(names: &[&str], expected: &[&str]) {
    let mut rig = rig::ready();
    check_with(&mut rig, names, expected);
}

fn check_with(rig: &mut Rig, names: &[&str], expected: &[&str]) {
    let mut events = Vec::new();
    for name in names {
        let (said, result) = rig.text(LINK_PRIVATE, 100, fixture(name));
        assert_eq!(result, Ok(()), "{name}");
        events = said.events;
    }
    assert_eq!(events, expected, "{names:?}");
}

#[test]
fn market_data() {
    check(
        &["feed_snapshot"],
        &["Book Snapshot -1..-1 prev -1 checksum Some(-771257592) 2x2"],
    );
    check(
        &["feed_update"],
        &["Book Delta -1..-1 prev -1 checksum Some(-1241715429) 3x0"],
    );
    check(
        &["feed_trade"],
        &[
            "Trade 10218208 buy 0.0100 @ 65001.0",
            "Trade 7557239497389134771126223662882883358 sell 0.2000 @ 65000.0",
        ],
    );
    check(
        &["feed_ticker"],
        &["Quote -1 0.5000 @ 65000.0 / 0.2400 @ 65001.0"],
    );
    check(
        &["feed_ticker_one_side"],
        &["Quote -1 0.5000 @ 65000.0 / 0 @ 0"],
    );
    check(&["feed_level3"], &["L3 Delta -1 checksum Some(7) 2 orders"]);
    check(&["feed_status"], &["Ignored connected to orders"]);
    for name in ["feed_instruments", "feed_instrument_update"] {
        check(&[name], &["Ignored rules are read at the start"]);
    }
    check(&["feed_heartbeat"], &["Heartbeat"]);
    check(&["feed_pong"], &["Heartbeat"]);
}

#[test]
fn order_answers() {
    let accepted = format!("Ack 1 order {ORDER} None 0");
    check(&["entry_new_ack"], &[&accepted]);
    check(&["entry_cancel_ack"], &[&accepted]);
    check(&["entry_amend_ack"], &["Ack 1 order 0 None 0"]);
    for name in ["entry_new_ack_foreign", "entry_reject_unasked"] {
        check(
            &[name],
            &["Ignored an answer about orders that are not ours"],
        );
    }
    // Nobody asked: whose rows they are is not known.
    for name in ["entry_batch_cancel_ack", "entry_batch_add_ack"] {
        check(
            &[name],
            &["Ignored a batch was taken: its orders tell how it went"],
        );
    }
    check(
        &["entry_dead_man_ack"],
        &["Ignored dead man's switch armed"],
    );
}

#[test]
fn order_pushes_are_laid_over_what_was_told() {
    let new = "Order 1 ACK None px 65000.0 qty 0.0100 cum 0";
    check(&["account_new"], &[new]);
    check(
        &["account_new", "account_trade"],
        &[
            "Fill 1 trade 141078031635231618180567848083707957592 buy 0.0040 @ 65000.0 fee 0.052 AssetId(1) maker",
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 0.0100 cum 0.0040",
        ],
    );
    check(
        &["account_new", "account_trade", "account_trade_last"],
        &[
            "Fill 1 trade 141078031635231618180567848083707957593 buy 0.0060 @ 65000.0 fee 0.153 AssetId(1) taker",
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 0.0100 cum 0.0100",
            "Order 1 FILLED None px 65000.0 qty 0.0100 cum 0.0100",
        ],
    );
    check(
        &["account_new", "account_trade", "account_cancelled"],
        &["Order 1 CANCELLED None px 65000.0 qty 0.0100 cum 0.0040"],
    );
    check(
        &["account_new", "account_cancelled_post_only"],
        &["Order 1 REJECTED PostOnlyCross px 65000.0 qty 0.0100 cum 0"],
    );
    check(
        &["account_new_ioc", "account_cancelled_ioc"],
        &["Order 1 EXPIRED None px 65000.0 qty 0.0100 cum 0"],
    );
    check(
        &["account_new", "account_amended"],
        &["Order 1 ACK None px 64990.0 qty 0.0200 cum 0"],
    );
    check(
        &["account_unfollowed"],
        &[
            "Ignored an order of an instrument we do not follow",
            "Ignored a stranger's order that was never named",
        ],
    );
}

#[test]
fn a_snapshot_tells_orders_before_the_trades_that_led_to_them() {
    check(
        &["account_snapshot"],
        &[
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 0.0100 cum 0.0040",
            "Order - ACK None px 70000.0 qty 1.0000 cum 0",
            "Fill 1 trade 141078031635231618180567848083707957592 buy 0.0040 @ 65000.0 fee 0 AssetId(65535) maker",
        ],
    );
    check(&["account_snapshot_empty"], &["Ignored no open order"]);
    check(
        &["account_balances"],
        &[
            "Balance AssetId(1) free 10000.50 locked 0",
            "Balance AssetId(0) free 0.5 locked 0",
        ],
    );
    check(
        &["account_balances", "account_balance_update"],
        &["Balance AssetId(1) free 10000.45 locked 0"],
    );
}

#[test]
fn a_gap_in_a_private_stream_is_told_after_its_message() {
    let mut rig = rig::ready();
    check_with(
        &mut rig,
        &["account_snapshot_empty"],
        &["Ignored no open order"],
    );
    let gap = fixture("account_new").replace(r#""sequence":2"#, r#""sequence":3"#);
    let (said, result) = rig.text(LINK_PRIVATE, 0, &gap);
    assert_eq!(said.events.len(), 1);
    let error = DecodeError::Shape("a gap in a private stream");
    assert_eq!(result, Err(Fault::Decode(error)));
    let next = fixture("account_trade").replace(r#""sequence":3"#, r#""sequence":4"#);
    assert_eq!(rig.text(LINK_PRIVATE, 0, &next).1, Ok(()), "told once");
}

#[test]
fn legacy_feeds() {
    check(
        &["legacy_snapshot"],
        &["Book Snapshot 326072249..326072249 prev -1 checksum None 2x1"],
    );
    check(
        &["legacy_delta"],
        &["Book Delta 326072250..326072250 prev -1 checksum None 0x1"],
    );
    check(
        &["legacy_trade_snapshot"],
        &["Trade 269385575831124072318880308087596353265 sell 0.44 @ 65000"],
    );
    check(
        &["legacy_trade"],
        &["Trade 7557239497389134771126223662882883358 buy 0.01 @ 65001"],
    );
    check(&["legacy_ticker"], &["Ignored ticker"]);
    check(&["legacy_subscribed"], &["Ignored subscription confirmed"]);
    check(&["legacy_challenge"], &["Ignored a challenge to sign"]);
    check(
        &["legacy_orders_snapshot"],
        &["Order - ACK None px 65000.0 qty 0.01 cum 0.0"],
    );
    check(
        &["legacy_order_new"],
        &["Order 2 ACK None px 65000.0 qty 0.01 cum 0.0"],
    );
    check(
        &["legacy_order_full_fill"],
        &["Order 2 FILLED None px 65000.0 qty 0.01 cum 0.01"],
    );
    check(
        &["legacy_order_new", "legacy_order_cancelled"],
        &["Order 2 CANCELLED None px 65000.0 qty 0.01 cum 0.0"],
    );
    check(
        &["legacy_order_new", "legacy_order_post_only"],
        &["Order 2 REJECTED PostOnlyCross px 65000.0 qty 0.01 cum 0.0"],
    );
    check(
        &["legacy_order_new", "legacy_fills"],
        &[
            "Fill 2 trade 141078031635231618180567848083707957592 buy 0.004 @ 65000.0 fee 0.0052 AssetId(1) maker",
            "Order 2 PARTIALLY_FILLED None px 65000.0 qty 0.01 cum 0.004",
        ],
    );
    check(
        &["legacy_fills_snapshot"],
        &[
            "Fill 2 trade 141078031635231618180567848083707957592 buy 0.004 @ 65000.0 fee 0.0052 AssetId(1) maker",
        ],
    );
}

fn legacy_rest(name: &str, path: &str) -> (Vec<String>, Result<(), Fault>) {
    let mut rig = rig::new(&["PF_XBTUSD", "PF_SHIBUSD"], false);
    rig.registry.asset("USD").unwrap();
    let url = format!("https://futures.kraken.com/derivatives/api/v3/{path}");
    let tag: RestTag = rest::tag_of_url(&rig.registry, &url).unwrap();
    let (said, result) = rig.response(0, tag, 200, fixture(name));
    if path == "instruments" {
        let known = |id| *rig.registry.get(dp_types::InstrumentId(id)).unwrap();
        let (btc, shib) = (known(0), known(1));
        assert_eq!((btc.tick.0, btc.lot.0, btc.qty_min.0), (100, 100, 100));
        assert_eq!(
            (btc.price_decimals, btc.qty_decimals, btc.is_live),
            (2, 6, true)
        );
        assert_eq!(shib.qty_decimal(shib.lot).to_string(), "1000.00");
        assert_eq!(shib.price_decimal(shib.tick).to_string(), "0.0000000100");
        assert!(!shib.is_live);
    }
    (said.events, result)
}

#[test]
fn legacy_answers() {
    let order = "118551294606706959375739063829867662035"; // 59302619-...
    let ack = format!("Ack 2 order {order} None 0");
    for (name, path, expected) in [
        ("legacy_rest_instruments", "instruments", vec![]),
        (
            "legacy_rest_book",
            "orderbook?symbol=PF_XBTUSD",
            vec!["Book Snapshot -1..-1 prev -1 checksum None 2x1"],
        ),
        (
            "legacy_rest_send",
            "sendorder",
            vec![&ack, "Order 2 ACK None px 65000 qty 0.01 cum 0"],
        ),
        (
            "legacy_rest_send_refused",
            "sendorder",
            vec!["Ack 2 order 0 InsufficientFunds 1005"],
        ),
        ("legacy_rest_cancel", "cancelorder", vec![&ack]),
        ("legacy_rest_edit", "editorder", vec![&ack]),
        (
            "legacy_rest_batch",
            "batchorder",
            vec![
                "Ignored an answer about orders that are not ours",
                "Ack 2 order 0 InsufficientFunds 1005",
            ],
        ),
        (
            "legacy_rest_dead_man",
            "cancelallordersafter",
            vec!["Ignored dead man's switch armed"],
        ),
        (
            "legacy_rest_orders",
            "openorders",
            vec![
                "Order 2 PARTIALLY_FILLED None px 65000 qty 0.010 cum 0.004",
                "Ignored an order of an instrument we do not follow",
            ],
        ),
        (
            "legacy_rest_fills",
            "fills",
            vec![
                "Fill 2 trade 269622650915219366967073978480479398911 buy 0.004 @ 65000.0 fee 0.0052 AssetId(0) maker",
            ],
        ),
        (
            "legacy_rest_positions",
            "openpositions",
            vec!["Position 0 0.5 @ 65000.0", "Position 0 -0.25 @ 65000.0"],
        ),
        (
            "legacy_rest_accounts",
            "accounts",
            vec![
                "Balance AssetId(0) free 12.5 locked 0",
                "Balance AssetId(0) free 9340.5 locked 659.5",
                "Ignored the margin of one inverse contract",
            ],
        ),
    ] {
        let (events, result) = legacy_rest(name, path);
        assert_eq!(
            (events, result),
            (expected.iter().map(|it| (*it).to_owned()).collect(), Ok(())),
            "{name}"
        );
    }
    let limited = Fault::Venue {
        code: 1_024,
        reason: RejectReason::RateLimit,
    };
    assert_eq!(
        legacy_rest("legacy_rest_limit", "sendorder"),
        (vec![], Err(limited))
    );
}

#[test]
fn venue_errors_are_typed() {
    for (name, code, reason) in [
        ("feed_subscribe_refused", 35, RejectReason::BadSymbol),
        ("legacy_error", -1, RejectReason::BadSymbol),
        ("feed_message_rate", 36, RejectReason::RateLimit),
    ] {
        let (_, result) = rig::ready().text(LINK_PUBLIC, 0, fixture(name));
        assert_eq!(result, Err(Fault::Venue { code, reason }), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    for (text, error) in [
        ("", DecodeError::Json),
        ("ping", DecodeError::Json),
        ("{", DecodeError::Json),
        ("[]", DecodeError::Shape("neither a push nor an answer")),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"X","bids":[],"asks":[]}]}"#,
            DecodeError::UnknownSymbol,
        ),
        (
            r#"{"channel":"book","data":[]}"#,
            DecodeError::Field("type"),
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"PF_XBTUSD","bids":[{"price":1.5}]}]}"#,
            DecodeError::Field("qty"),
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"PF_XBTUSD","checksum":4294967296}]}"#,
            DecodeError::Field("checksum"),
        ),
        (
            r#"{"channel":"executions","type":"update","data":[{"order_id":"O6ZQNQ-BXL4E-5WGINO"}]}"#,
            DecodeError::Field("order_id"),
        ),
        (
            r#"{"method":"add_order","req_id":1,"result":{}}"#,
            DecodeError::Field("success"),
        ),
        (
            r#"{"feed":"book","product_id":"PF_XBTUSD","side":"buy","seq":-1,"price":1,"qty":1}"#,
            DecodeError::Number {
                field: "seq",
                error: dp_types::NumError::BadByte(0),
            },
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_PUBLIC, 0, text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
}
