//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::{AssetId, Decimal, Instrument, InstrumentId, Payoff, Price, Qty, RejectReason};
use dp_venue_api::{DecodeError, Fault};
use dp_venue_deribit::{LINK_MD, LINK_ORDERS, LINK_REST};
use rig::fixture;

/// Feeds a fixture to a ready machine and compares the events.
fn check(name: &str, expected: &[&str]) {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_ORDERS, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(said.events, expected, "{name}");
    assert!(said.reconnects.is_empty(), "{name}");
}

#[test]
fn market_data() {
    check(
        "feed_book_snapshot",
        &["Book Snapshot 123456789..123456789 prev -1 checksum None 2x1"],
    );
    check(
        "feed_book_change",
        &["Book Delta 123456795..123456795 prev 123456789 checksum None 1x2"],
    );
    check(
        "feed_book_grouped",
        &["Book Snapshot 123456795..123456795 prev -1 checksum None 1x2"],
    );
    check(
        "feed_quote",
        &["Quote -1 950.0 @ 65000.0 / 300.0 @ 65001.0"],
    );
    check("feed_quote_one_side", &["Quote -1 950.0 @ 65000.0 / 0 @ 0"]);
    check(
        "feed_trades",
        &[
            "Trade 403691824 buy 10.0 @ 65000.5",
            "Trade 403691825 sell 20.0 @ 65000.5",
        ],
    );
    check("feed_ticker", &["Ignored ticker"]);
    check("feed_heartbeat", &["Heartbeat"]);
}

#[test]
fn order_answers() {
    const ORDER: &str = "104819327443";
    let ack = format!("Ack 1 order {ORDER} None 0");
    let refused = |reason: &str, state: &str| format!("Order 1 {state} {reason} px - qty - cum -");
    check(
        "entry_new_ack",
        &[&ack, "Order 1 ACK None px 65000.0 qty 100.0 cum 0.0"],
    );
    check(
        "entry_new_ioc_filled",
        &[
            &ack,
            "Fill 1 trade 403691910 buy 60.0 @ 65000.5 fee 0.0000005 AssetId(0) taker",
            "Fill 1 trade 403691911 buy 40.0 @ 65001.0 fee 0.00000031 AssetId(0) taker",
            "Order 1 FILLED None px 65001.0 qty 100.0 cum 100.0",
        ],
    );
    check(
        "entry_new_ioc_rest",
        &[&ack, "Order 1 EXPIRED None px 65000.0 qty 100.0 cum 0.0"],
    );
    check(
        "entry_reject_funds",
        &[
            "Ack 1 order 0 InsufficientFunds 10009",
            &refused("InsufficientFunds", "REJECTED"),
        ],
    );
    check(
        "entry_reject_post_only",
        &[
            "Ack 1 order 0 PostOnlyCross 11054",
            &refused("PostOnlyCross", "REJECTED"),
        ],
    );
    check(
        "entry_timed_out",
        &[
            "Ack 1 order 0 UnknownOutcome 13888",
            &refused("UnknownOutcome", "UNKNOWN"),
        ],
    );
    check(
        "entry_reject_rate",
        &[
            "RateLimited { until_ms: 1760000006100 }",
            "Ack 1 order 0 RateLimit 10028",
            &refused("RateLimit", "REJECTED"),
        ],
    );
    check(
        "entry_amend_ack",
        &[&ack, "Order 1 ACK None px 64999.5 qty 100.0 cum 0.0"],
    );
    check(
        "entry_amend_refused",
        &["Ack 1 order 0 InsufficientFunds 10009"],
    );
    check(
        "entry_cancel_ack",
        &[&ack, "Order 1 CANCELLED None px 64999.5 qty 100.0 cum 0.0"],
    );
    check("entry_cancel_gone", &["Ack 1 order 0 UnknownOrder 11044"]);
    check("entry_cancel_by_label", &["Ack 1 order 0 None 0"]);
    check(
        "entry_cancel_by_label_none",
        &["Ack 1 order 0 UnknownOrder 10004"],
    );
    check("entry_cancel_all", &["Ignored confirmed"]);
}

#[test]
fn what_happens_to_orders_and_positions() {
    check(
        "account_changes_open",
        &["Order 1 ACK None px 65000.0 qty 100.0 cum 0.0"],
    );
    check(
        "account_changes_partial",
        &[
            "Fill 1 trade 403691900 buy 40.0 @ 65000.0 fee -0.00000002 AssetId(0) maker",
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 100.0 cum 40.0",
            "Position 0 40.0 @ 65000.0",
        ],
    );
    check(
        "account_changes_filled",
        &[
            "Fill 1 trade 403691901 buy 60.0 @ 65000.0 fee 0.0 AssetId(0) maker",
            "Order 1 FILLED None px 65000.0 qty 100.0 cum 100.0",
            "Position 0 100.0 @ 65000.0",
        ],
    );
    check(
        "account_changes_cancelled",
        &["Order 1 CANCELLED None px 65000.0 qty 100.0 cum 40.0"],
    );
    check(
        "account_changes_edit_refused",
        &["Order 1 REJECTED PostOnlyCross px 65000.0 qty 100.0 cum 0.0"],
    );
    check(
        "account_changes_settled",
        &["Order 1 EXPIRED None px 65000.0 qty 100.0 cum 0.0"],
    );
    check("account_changes_short", &["Position 0 -30.0 @ 65000.0"]);
    check("account_changes_flat", &["Position 0 0.0 @ -"]);
    check(
        "account_changes_foreign",
        &["Ignored about an instrument we do not follow"],
    );
    check(
        "account_portfolio",
        &["Balance AssetId(0) free 1.4011 locked 0.1"],
    );
}

/// States and sizes the fixtures do not have.
#[test]
fn every_state_of_an_order_and_direction_of_a_position() {
    let told = |name: &str, from: &str, to: &str| {
        let text = fixture(name).replace(from, to);
        assert_ne!(text, fixture(name));
        let (said, result) = rig::ready().text(LINK_ORDERS, 0, &text);
        result.map(|()| said.events.last().cloned().unwrap_or_default())
    };
    let state = |word: &str| told("account_changes_cancelled", "\"cancelled\"", word);
    let (px, cum) = ("px 65000.0 qty 100.0", "cum 40.0");
    for (word, want) in [
        ("\"untriggered\"", "PARTIALLY_FILLED None"),
        ("\"triggered\"", "PARTIALLY_FILLED None"),
        ("\"rejected\"", "REJECTED Other"),
        ("\"archive\"", "CANCELLED None"),
    ] {
        assert_eq!(state(word), Ok(format!("Order 1 {want} {px} {cum}")));
    }
    assert_eq!(
        state("\"haunted\""),
        Err(DecodeError::Field("order_state").into())
    );
    assert_eq!(
        told(
            "account_changes_filled",
            "\"order_state\":\"filled\"",
            "\"order_state\":\"archived\""
        ),
        Ok("Position 0 100.0 @ 65000.0".to_owned())
    );
    // A market order's price is a bound of the venue's own, and what it leaves is over.
    let (said, _) = rig::ready().text(
        LINK_ORDERS,
        0,
        &fixture("account_changes_cancelled").replace("\"limit\"", "\"market\""),
    );
    assert_eq!(
        said.events,
        ["Order 1 EXPIRED None px - qty 100.0 cum 40.0"]
    );
    let short = |from: &str, to: &str| told("account_changes_short", from, to);
    assert_eq!(
        short("-30.0", "30.0"),
        Ok("Position 0 -30.0 @ 65000.0".to_owned()),
        "the direction decides"
    );
    assert_eq!(
        short("\"direction\":\"sell\"", "\"direction\":\"buy\""),
        Ok("Position 0 30.0 @ 65000.0".to_owned())
    );
    assert_eq!(
        short("\"direction\":\"sell\"", "\"direction\":\"up\""),
        Err(DecodeError::Field("direction").into())
    );
}

#[test]
fn pushes_we_do_not_ask_for_are_read_all_the_same() {
    let order = fixture("rest_order_state");
    let start = order.find(r#"{"order_id""#).unwrap();
    let end = order.find(r#","usIn""#).unwrap();
    let order = &order[start..end];
    let told = |channel: &str, data: &str| {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#
        );
        let (said, result) = rig::ready().text(LINK_ORDERS, 0, &text);
        assert_eq!(result, Ok(()));
        said.events
    };
    let want = ["Order 1 PARTIALLY_FILLED None px 65000.0 qty 100.0 cum 40.0"];
    assert_eq!(told("user.orders.BTC-PERPETUAL.raw", order), want);
    assert_eq!(
        told("user.orders.BTC-PERPETUAL.100ms", &format!("[{order}]")),
        want
    );
    let trades = fixture("rest_order_trades");
    let start = trades.find(r#"[{"trade_seq""#).unwrap();
    let end = trades.find(r#","usIn""#).unwrap();
    assert_eq!(
        told("user.trades.BTC-PERPETUAL.raw", &trades[start..end]),
        ["Fill - trade 403691900 buy 40.0 @ 65000.0 fee -0.00000002 AssetId(0) maker"]
    );
}

#[test]
fn rules_of_each_kind_of_instrument() {
    let rules = |symbol: &str, name: &str| {
        let mut rig = rig::new(&[symbol], false);
        let asked = rig.open(LINK_REST, 0).requests;
        assert_eq!(
            asked[0].line,
            format!("GET /api/v2/public/get_instrument?instrument_name={symbol}")
        );
        let (said, result) = rig.response(1, asked[0].tag, 200, fixture(name));
        assert_eq!(
            (result, said.events),
            (Ok(()), vec!["InstrumentsReady".to_owned()])
        );
        *rig.registry.get(InstrumentId(0)).unwrap()
    };
    let one = Decimal {
        mantissa: 1,
        exponent: 0,
    };
    let common = |known: Instrument, base, quote| {
        assert_eq!((known.base, known.quote), (AssetId(base), AssetId(quote)));
        assert_eq!(known.multiplier, one, "quantities are amounts");
    };
    // Ten dollars a contract, half a dollar a step.
    let perpetual = rules("BTC-PERPETUAL", "rest_instrument_perpetual");
    common(perpetual, 0, 0);
    assert_eq!(perpetual.payoff, Payoff::Inverse);
    assert!(perpetual.is_live && perpetual.venue_code == 124_972);
    assert_eq!((perpetual.price_decimals, perpetual.qty_decimals), (3, 6));
    assert_eq!(
        (perpetual.tick, perpetual.lot),
        (Price(500), Qty(10_000_000))
    );
    assert_eq!(perpetual.qty_min, Qty(10_000_000));
    // The tick grows with the price: by the coarsest we are right at every price.
    let option = rules("BTC-27NOV26-70000-C", "rest_instrument_option");
    common(option, 0, 0);
    assert_eq!(option.payoff, Payoff::Linear, "priced in its own coin");
    assert_eq!((option.price_decimals, option.qty_decimals), (6, 7));
    assert_eq!((option.tick, option.lot), (Price(500), Qty(1_000_000)));
    let linear = rules("BTC_USDC-PERPETUAL", "rest_instrument_linear");
    common(linear, 0, 1);
    assert_eq!(linear.payoff, Payoff::Linear);
    assert!(!linear.is_live);
    assert_eq!((linear.qty_decimals, linear.lot), (8, Qty(10_000)));
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let book = |fields: &str| {
        format!(
            r#"{{"method":"subscription","params":{{"channel":"book.BTC-PERPETUAL.raw","data":{{"instrument_name":"BTC-PERPETUAL",{fields}}}}}}}"#
        )
    };
    for (text, error) in [
        (String::new(), DecodeError::Json),
        ("pong".to_owned(), DecodeError::Json),
        ("{".to_owned(), DecodeError::Json),
        (
            r#"{"method":"x"}"#.to_owned(),
            DecodeError::Shape("a method we do not know"),
        ),
        (
            r#"{"method":"subscription"}"#.to_owned(),
            DecodeError::Field("params"),
        ),
        (
            r#"{"id":"n1z141z5I1"}"#.to_owned(),
            DecodeError::Field("result"),
        ),
        (
            r#"{"id":"n1z141z5I1","error":{"code":"x"}}"#.to_owned(),
            DecodeError::Field("code"),
        ),
        (
            r#"{"id":"n1z141z5I1","error":{"code":0}}"#.to_owned(),
            DecodeError::Field("code"),
        ),
        (
            r#"{"id":"n1z141z5I1","result":{"order":{}}}"#.to_owned(),
            DecodeError::Field("order_id"),
        ),
        (
            fixture("feed_quote").replace("BTC-PERPETUAL", "X"),
            DecodeError::UnknownSymbol,
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_MD, 0, &text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
    // A book that cannot be read is lost at once.
    for (text, error) in [
        (
            book(r#""type":"new","bids":[],"asks":[]"#),
            DecodeError::Field("type"),
        ),
        (
            book(r#""type":"change","change_id":7,"bids":[],"asks":[]"#),
            DecodeError::Field("prev_change_id"),
        ),
        (
            book(r#""type":"snapshot","bids":[],"asks":[]"#),
            DecodeError::Field("change_id"),
        ),
        (
            book(r#""type":"snapshot","change_id":7,"bids":[["new",1.5]],"asks":[]"#),
            DecodeError::Field("amount"),
        ),
        (
            book(r#""type":"snapshot","change_id":7,"bids":[[7,1.5,2.5]],"asks":[]"#),
            DecodeError::Field("action"),
        ),
        (
            book(r#""type":"snapshot","change_id":7,"bids":[["delete",1.5,0.0]],"asks":[]"#),
            DecodeError::Shape("a level that contradicts its action"),
        ),
        (
            book(
                r#""type":"change","prev_change_id":1,"change_id":7,"bids":[["new",1.5,0.0]],"asks":[]"#,
            ),
            DecodeError::Shape("a level that contradicts its action"),
        ),
        (
            fixture("feed_book_contradiction").to_owned(),
            DecodeError::Shape("a level that contradicts its action"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_MD, 0, &text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert_eq!(said.events, ["BookLost(InstrumentId(0))"]);
    }
}

#[test]
fn errors_of_the_venues_own_are_told() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(
        LINK_MD,
        0,
        r#"{"jsonrpc":"2.0","id":9,"error":{"code":11051,"message":"system_maintenance"}}"#,
    );
    let expected = Fault::Venue {
        code: 11_051,
        reason: RejectReason::VenueDown,
    };
    assert_eq!((said.events.len(), result), (0, Err(expected)));
}
