//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::{InstrumentId, Payoff, RejectReason};
use dp_venue_api::{DecodeError, Fault};
use dp_venue_huobi::{LINK_FEED, LINK_ORDERS, LINK_REST, LINK_USER};
use rig::{binary, fixture, gzip};

/// Feeds a fixture to a ready machine that follows a swap too, as text and as gzip, and compares the events.
fn check(name: &str, expected: &[&str]) {
    for is_binary in [false, true] {
        let mut rig = rig::ready();
        rig.registry
            .register(dp_venue_huobi::ID, "BTC-USDT", 10, 8)
            .unwrap();
        let (said, result) = if is_binary {
            binary(&mut rig, LINK_USER, 100, &gzip(fixture(name)))
        } else {
            rig.text(LINK_USER, 100, fixture(name))
        };
        assert_eq!(result, Ok(()), "{name}");
        assert_eq!(said.events, expected, "{name}");
    }
}

#[test]
fn spot_market_data() {
    check(
        "feed_mbp_delta",
        &["Book Delta 100020146795..100020146795 prev 100020146794 checksum None 1x1"],
    );
    check(
        "feed_mbp_one_side",
        &["Book Delta 100020146799..100020146799 prev 100020146795 checksum None 0x1"],
    );
    check(
        "feed_mbp_no_change",
        &["Book Delta 100020146800..100020146800 prev 100020146799 checksum None 0x0"],
    );
    check(
        "feed_mbp_snapshot",
        &["Ignored a snapshot nobody waits for"],
    );
    check(
        "feed_refresh",
        &["Book Snapshot 100020142010..100020142010 prev -1 checksum None 1x1"],
    );
    check(
        "feed_depth",
        &["Book Snapshot 136998124622..136998124622 prev -1 checksum None 2x1"],
    );
    check("feed_bbo", &["Quote -1 0.2 @ 64999.9 / 0.5 @ 65000.1"]);
    check("feed_trades", &["Trade 102523573486 buy 0.00331 @ 65000.1"]);
    check("feed_ticker", &["Ignored ticker"]);
    check("feed_kline", &["Ignored candle"]);
}

#[test]
fn swap_market_data() {
    check(
        "feed_swap_snapshot",
        &["Book Snapshot 1512467..1512467 prev -1 checksum None 1x1"],
    );
    check(
        "feed_swap_update",
        &["Book Delta 1512468..1512468 prev -1 checksum None 1x0"],
    );
    check(
        "feed_swap_null_side",
        &["Book Snapshot 1512470..1512470 prev -1 checksum None 0x1"],
    );
    check(
        "feed_swap_depth",
        &["Book Snapshot 74377472700..74377472700 prev -1 checksum None 1x1"],
    );
    check(
        "feed_swap_empty",
        &["Book Snapshot 68112277468..68112277468 prev -1 checksum None 0x0"],
    );
    check("feed_swap_bbo", &["Quote -1 38 @ 65009.9 / 205 @ 65010.1"]);
    check(
        "feed_swap_trades",
        &["Trade 743774717120000 sell 6 @ 65010.1"],
    );
    check("feed_swap_funding", &["Ignored funding rate"]);
}

#[test]
fn order_answers() {
    let order = "1314507823485263";
    check("entry_new_ack", &[&format!("Ack 1 order {order} None 0")]);
    check(
        "entry_reject_funds",
        &[
            "Ack 1 order 0 InsufficientFunds 1",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    check(
        "entry_unknown_outcome",
        &[
            "Ack 1 order 0 UnknownOutcome 1",
            "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
        ],
    );
    check(
        "entry_reject_rate",
        &[
            "Ack 1 order 0 RateLimit 1",
            "Order 1 REJECTED RateLimit px - qty - cum -",
            "RateLimited { until_ms: 1760000002100 }",
        ],
    );
    check("entry_cancel_ack", &["Ack 1 order 0 None 0"]);
    check("entry_cancel_reject", &["Ack 1 order 0 UnknownOrder 1"]);
    check(
        "entry_batch_cancel_partial",
        &["Ack 1 order 0 None 0", "Ack 2 order 0 UnknownOrder 1"],
    );
}

#[test]
fn order_pushes() {
    check(
        "account_order_creation",
        &["Order 1 ACK None px 65000.1 qty 0.001000000000000000 cum -"],
    );
    check(
        "account_order_partial",
        &["Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.0004"],
    );
    check(
        "account_order_filled",
        &["Order 1 FILLED None px 65000.1 qty 0.001 cum 0.001"],
    );
    check(
        "account_order_canceled",
        &["Order 1 CANCELLED None px 65000.1 qty 0.001 cum 0"],
    );
    check(
        "account_order_partial_canceled",
        &["Order 1 CANCELLED None px 65000.1 qty 0.001 cum 0.0004"],
    );
    check(
        "account_order_ioc_expired",
        &["Order 1 EXPIRED None px 65000.1 qty 0.001 cum 0.0004"],
    );
    check(
        "account_order_market_buy",
        &["Order - PARTIALLY_FILLED None px - qty - cum -"],
    );
    check(
        "account_order_trigger_refused",
        &["Order - REJECTED Invalid px - qty - cum -"],
    );
    check(
        "account_order_misspelt",
        &["Order - ACK None px 77 qty 2.000000000000000000 cum -"],
    );
}

#[test]
fn balances_and_cancellations() {
    check(
        "account_update",
        &["Balance AssetId(1) free 900 locked 34.9999"],
    );
    check(
        "account_update_first",
        &["Balance AssetId(1) free 20.29 locked 0.00"],
    );
    check(
        "account_update_free_only",
        &["Balance AssetId(1) free 934.9999 locked 0"],
    );
    check(
        "account_clearing_cancellation",
        &["Ignored a cancellation: orders# tells the same"],
    );
}

/// A fill goes out at once where nobody is logged in; else it waits for the push of its order.
#[test]
fn fills() {
    for (name, expected) in [
        (
            "account_clearing",
            "Fill 1 trade 102523573487 buy 0.0004 @ 65000.1 fee 0.0000008 AssetId(0) maker",
        ),
        (
            "account_clearing_rebate",
            "Fill 1 trade 102523573488 buy 0.0006 @ 65000.1 fee -0.0000001 AssetId(0) taker",
        ),
        (
            "account_clearing_deducted",
            "Fill 1 trade 102523573490 buy 0.0006 @ 65000.1 fee 0.52 AssetId(2) maker",
        ),
    ] {
        let mut rig = rig::new(&["btcusdt"], true);
        for asset in ["BTC", "USDT", "HT"] {
            rig.registry.asset(asset).unwrap();
        }
        let (said, result) = rig.text(LINK_USER, 1, fixture(name));
        assert_eq!(result, Ok(()));
        assert_eq!(said.events, [expected]);
        let (said, _) = rig::ready().text(LINK_USER, 1, fixture(name));
        assert_eq!(said.events.len(), 0, "held");
    }
}

#[test]
fn pings_of_three_shapes_are_echoed() {
    for (name, pong) in [
        ("feed_ping", r#"{"pong":1760000000123}"#),
        (
            "entry_ping",
            r#"{"action":"pong","data":{"ts":1760000000123}}"#,
        ),
        ("feed_swap_ping", r#"{"op":"pong","ts":"1760000000123"}"#),
    ] {
        for link in [LINK_FEED, LINK_ORDERS, LINK_USER] {
            let mut rig = rig::ready();
            let (said, result) = binary(&mut rig, link, 1, &gzip(fixture(name)));
            assert_eq!(result, Ok(()));
            assert_eq!(said.events, ["Heartbeat"]);
            assert_eq!(said.sent, [(link, pong.to_owned())]);
        }
    }
    for bad in [
        r#"{"ping":1.5}"#,
        r#"{"ping":-1}"#,
        r#"{"ping":"x\"y"}"#,
        r#"{"ping":null}"#,
    ] {
        let (said, result) = rig::ready().text(LINK_FEED, 1, bad);
        assert_eq!(result, Err(DecodeError::Field("ping").into()), "{bad}");
        assert!(said.sent.is_empty());
    }
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let shape = DecodeError::Shape("neither market data, a push, a ping nor an answer");
    for (text, error) in [
        ("", DecodeError::Json),
        ("ping", DecodeError::Json),
        ("{", DecodeError::Json),
        ("[]", shape),
        ("{}", shape),
        (
            r#"{"ch":"market.xy.mbp.20","tick":{}}"#,
            DecodeError::UnknownSymbol,
        ),
        (r#"{"ch":"btcusdt","tick":{}}"#, DecodeError::Field("ch")),
        (
            r#"{"ch":"market.btcusdt.mbp.20","tick":{"seqNum":1}}"#,
            DecodeError::Field("prevSeqNum"),
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","tick":{"seqNum":-1,"prevSeqNum":0}}"#,
            DecodeError::Field("seqNum"),
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","tick":{"seqNum":2,"prevSeqNum":1,"bids":[[1]]}}"#,
            DecodeError::Field("quantity"),
        ),
        (
            r#"{"ch":"market.btcusdt.mbp.20","tick":{"seqNum":2,"prevSeqNum":1,"bids":{}}}"#,
            DecodeError::Field("bids"),
        ),
        (
            r#"{"status":"ok","data":"","cid":"n1z141z5I1"}"#,
            DecodeError::Field("data"),
        ),
        (
            r#"{"status":"fine","cid":"n1z141z5I1"}"#,
            DecodeError::Field("status"),
        ),
        (
            r#"{"status":"error","cid":"n1z141z5I1"}"#,
            DecodeError::Field("err-code"),
        ),
        (
            r#"{"action":"push","ch":"orders#*","data":{"symbol":"btcusdt","type":"buy-limit","orderStatus":"lost"}}"#,
            DecodeError::Field("orderStatus"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_FEED, 0, text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
    let (said, result) = binary(&mut rig::ready(), LINK_FEED, 0, b"{}");
    assert!(matches!(result, Err(Fault::Decode(DecodeError::Shape(_)))));
    assert!(said.events.is_empty());
}

#[test]
fn refusals_name_their_reason() {
    let (said, result) = rig::ready().text(
        LINK_FEED,
        0,
        r#"{"status":"error","err-code":"bad-request","err-msg":"invalid ping","ts":1}"#,
    );
    assert!(said.events.is_empty());
    let refusal = |reason| Err(Fault::Venue { code: 1, reason });
    assert_eq!(result, refusal(RejectReason::BadSymbol));
    let text = r#"{"status":"error","err-code":"system-error","err-msg":"x"}"#;
    let (_, result) = rig::ready().text(LINK_ORDERS, 0, text);
    assert_eq!(result, refusal(RejectReason::UnknownOutcome));
}

#[test]
fn rules_of_older_lists_and_of_swaps() {
    for (symbol, name, decimals, multiplier) in [
        ("btcusdt", "rest_symbols_2021", (4, 10), "1"),
        ("BTC-USDT", "rest_swap_contract_info", (3, 0), "0.001"),
    ] {
        let mut rig = rig::new(&[symbol], false);
        let tag = rig.open(LINK_REST, 0).requests[0].tag;
        assert_eq!(rig.response(1, tag, 200, fixture(name)).1, Ok(()), "{name}");
        let known = rig.registry.get(InstrumentId(0)).unwrap();
        assert_eq!((known.price_decimals, known.qty_decimals), decimals);
        assert_eq!(known.multiplier.to_string(), multiplier);
        assert!(
            known.is_live && known.tick.0 == 100 && known.lot.0 > 0,
            "{known:?}"
        );
        assert_eq!(rig.registry.asset_name(known.quote), "USDT");
        assert_eq!(known.payoff, Payoff::Linear, "{name}");
    }
    // The same list, of contracts against the coin itself, and against what nobody has described.
    for (quote, payoff, settled) in [
        ("USD", Payoff::Inverse, "BTC"),
        ("HUSD", Payoff::Unknown, "HUSD"),
    ] {
        let symbol = format!("BTC-{quote}");
        let list = fixture("rest_swap_contract_info").replace("BTC-USDT", &symbol);
        let mut rig = rig::new(&[&symbol], false);
        let tag = rig.open(LINK_REST, 0).requests[0].tag;
        assert_eq!(rig.response(1, tag, 200, &list).1, Ok(()), "{symbol}");
        let known = rig.registry.get(InstrumentId(0)).unwrap();
        assert_eq!(known.payoff, payoff, "{symbol}");
        assert_eq!(rig.registry.asset_name(known.quote), settled);
    }
}
