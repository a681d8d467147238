//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, Fault};
use dp_venue_coinbase::{LINK_PUBLIC, LINK_USER, rest};
use rig::{Rig, fixture};

/// Feeds a fixture to a machine and compares the events.
fn tell(rig: &mut Rig, name: &str, expected: &[&str]) {
    let link = if name.starts_with("account") {
        LINK_USER
    } else {
        LINK_PUBLIC
    };
    let (said, result) = rig.text(link, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(said.events, expected, "{name}");
}

fn check(name: &str, expected: &[&str]) {
    tell(&mut rig::ready(), name, expected);
}

const MAKER: &str = "d50ec984-77a8-460a-b958-66f114b0de9b";

#[test]
fn market_data() {
    check(
        "feed_snapshot",
        &["Book Snapshot -1..-1 prev -1 checksum None 2x1"],
    );
    check(
        "feed_l2update",
        &["Book Delta -1..-1 prev -1 checksum None 1x1"],
    );
    check(
        "feed_ticker",
        &["Quote -1 0.45054140 @ 65000.00 / 0.20000000 @ 65000.02"],
    );
    check("feed_ticker_2021", &["Ignored a ticker without sizes"]);
    check("feed_last_match", &["Trade 370843401 buy 0.001 @ 65000.01"]);
    check("feed_heartbeat", &["Heartbeat"]);
    check("feed_subscriptions", &["Ignored subscriptions"]);
}

#[test]
fn single_orders_shrink_with_each_match() {
    let mut rig = rig::ready();
    for (name, expected) in [
        ("feed_received", &["L3 Delta 10 checksum None 0 orders"][..]),
        ("feed_open", &["L3 Delta 11 checksum None 1 orders"]),
        (
            "feed_match",
            &[
                "Trade 370843402 sell 0.34 @ 65000.00",
                "L3 Delta 12 checksum None 1 orders",
            ],
        ),
        ("feed_change", &["L3 Delta 13 checksum None 1 orders"]),
        ("feed_done", &["L3 Delta 14 checksum None 1 orders"]),
    ] {
        tell(&mut rig, name, expected);
    }
}

/// What the events hold of one order, message by message.
#[test]
fn what_is_told_of_single_orders() {
    use dp_venue_api::{Event, RestRequest, Sink, Venue as _};
    #[derive(Default)]
    struct Orders(Vec<String>);
    impl Sink for Orders {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::L3(message) = event {
                let orders = message.orders.iter().map(|order| {
                    let id = dp_venue_coinbase::symbols::order_id_text(order.id);
                    let side = order.side.name();
                    format!(
                        "{id} {side} {:?} {} @ {}",
                        order.act, order.qty, order.price
                    )
                });
                self.0.push(orders.collect::<Vec<_>>().join(", "));
            }
        }
        fn send_text(&mut self, _: dp_types::LinkId, _: &[u8]) {}
        fn request(&mut self, _: dp_types::LinkId, _: &RestRequest<'_>) {}
        fn reconnect(&mut self, _: dp_types::LinkId, _: &'static str) {}
    }
    let mut rig = rig::ready();
    let mut orders = Orders::default();
    for name in ["feed_open", "feed_match", "feed_change", "feed_done"] {
        let mut bytes = fixture(name).as_bytes().to_vec();
        let now = tests_venues::rig::at_ms(1);
        rig.venue
            .on_text(&rig.registry, LINK_PUBLIC, now, &mut bytes, &mut orders)
            .unwrap();
    }
    let expected = ["Rests 1.34", "Trades 0.34", "Becomes 0.80", "Rests 0"];
    let expected = expected.map(|qty| format!("{MAKER} buy {qty} @ 65000.00"));
    assert_eq!(orders.0, expected);
}

#[test]
fn books_by_rest() {
    let mut rig = rig::ready();
    let url = "https://api.exchange.coinbase.com/products/BTC-USD/book?level=3";
    let tag = rest::tag_of_url(&rig.registry, url).unwrap();
    let (said, result) = rig.response(1, tag, 200, fixture("rest_book3"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["L3 Snapshot 13 checksum None 2 orders"]);
    let (said, result) = rig.response(3, tag, 200, fixture("rest_book2"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Book Snapshot -1..-1 prev -1 checksum None 2x1"]
    );
}

#[test]
fn advanced_trade() {
    let mut rig = rig::ready();
    for (name, expected) in [
        ("advanced_subscriptions", &["Ignored subscriptions"][..]),
        (
            "advanced_snapshot",
            &["Book Snapshot 1..1 prev -1 checksum None 1x1"],
        ),
        (
            "advanced_update",
            &["Book Delta 2..2 prev 1 checksum None 0x1"],
        ),
        (
            "advanced_trades",
            &["Trade 995098700 sell 0.00150000 @ 65000.01"],
        ),
        (
            "advanced_ticker",
            &["Quote -1 1.5 @ 65000.00 / 0.2 @ 65000.02"],
        ),
        ("advanced_heartbeats", &["Heartbeat"]),
        (
            "advanced_user",
            &[
                "Order 1 PARTIALLY_FILLED None px 65000.00 qty - cum 0.004",
                "Order - REJECTED PostOnlyCross px 64000.00 qty - cum 0",
            ],
        ),
    ] {
        tell(&mut rig, name, expected);
    }
    // The next of this book after other channels' messages: it follows its own last one.
    let update = |number: &str| {
        let number = format!(r#""sequence_num":{number}"#);
        fixture("advanced_update").replace(r#""sequence_num":2"#, &number)
    };
    let (said, _) = rig.text(LINK_PUBLIC, 200, &update("7"));
    assert_eq!(
        said.events,
        ["Book Delta 7..7 prev 2 checksum None 0x1"],
        "nothing is missing"
    );
    let (said, _) = rig.text(LINK_PUBLIC, 201, &update("9"));
    assert_eq!(
        said.events,
        ["Book Delta 9..9 prev 8 checksum None 0x1"],
        "8 was lost, of whichever channel"
    );
    let (said, _) = rig.text(LINK_PUBLIC, 202, &update("10"));
    assert_eq!(said.events, ["Book Delta 10..10 prev 9 checksum None 0x1"]);
}

#[test]
fn own_orders() {
    let mut rig = rig::ready();
    for (name, expected) in [
        (
            "account_received",
            &["Order 1 ACK None px 65000.00 qty 1.34 cum 0"][..],
        ),
        (
            "account_open",
            &["Order 1 ACK None px 65000.00 qty 1.34 cum 0.00"],
        ),
        (
            "account_match_maker",
            &[
                "Fill 1 trade 370843402 buy 0.34 @ 65000.00 fee 55.25 AssetId(1) maker",
                "Order 1 PARTIALLY_FILLED None px - qty 1.34 cum 0.34",
            ],
        ),
        (
            "account_done_canceled",
            &["Order 1 CANCELLED None px 65000.00 qty 1.34 cum 0.34"],
        ),
    ] {
        tell(&mut rig, name, expected);
    }
    let mut rig = rig::ready();
    tell(
        &mut rig,
        "account_received",
        &["Order 1 ACK None px 65000.00 qty 1.34 cum 0"],
    );
    tell(
        &mut rig,
        "account_match_maker",
        &[
            "Fill 1 trade 370843402 buy 0.34 @ 65000.00 fee 55.25 AssetId(1) maker",
            "Order 1 PARTIALLY_FILLED None px - qty 1.34 cum 0.34",
        ],
    );
    tell(
        &mut rig,
        "account_match_taker",
        &["Fill 1 trade 370843403 buy 1.00 @ 64999.99 fee 324.99995 AssetId(1) taker"],
    );
    tell(
        &mut rig,
        "account_done_filled",
        &["Order 1 FILLED None px 65000.00 qty 1.34 cum 1.34"],
    );
}

#[test]
fn an_order_another_ones_self_trade_made_smaller() {
    let mut rig = rig::ready();
    tell(
        &mut rig,
        "account_received",
        &["Order 1 ACK None px 65000.00 qty 1.34 cum 0"],
    );
    tell(
        &mut rig,
        "account_change",
        &["Order 1 ACK None px 65000.00 qty 0.80 cum 0"],
    );
    tell(
        &mut rig,
        "account_done_filled",
        &["Order 1 FILLED None px 65000.00 qty 0.80 cum 0.80"],
    );
}

#[test]
fn what_ends_an_order() {
    check(
        "account_done_time_in_force",
        &["Order - EXPIRED None px 65000.00 qty - cum -"],
    );
    check(
        "account_activate",
        &["Ignored a stop order was activated: we send none"],
    );
    // A market order is told without a price, and without a remainder.
    let mut rig = rig::ready();
    let received = fixture("account_received").replace(r#""price":"65000.00","#, "");
    rig.text(LINK_USER, 1, &received).1.unwrap();
    rig.text(LINK_USER, 2, fixture("account_match_maker"))
        .1
        .unwrap();
    let done = fixture("account_done_filled")
        .replace(r#""price":"65000.00","#, "")
        .replace(r#""remaining_size":"0","#, "");
    let (said, result) = rig.text(LINK_USER, 3, &done);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 1 FILLED None px - qty 1.34 cum 0.34"],
        "the sum of its matches"
    );
}

/// Recordings hold both feeds in one: what names a user is of the user channel on any link.
#[test]
fn own_orders_on_any_link() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PUBLIC, 1, fixture("account_received"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Order 1 ACK None px 65000.00 qty 1.34 cum 0"]);
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let number = |field| DecodeError::Number {
        field,
        error: dp_types::NumError::BadByte(0),
    };
    for (text, error) in [
        ("", DecodeError::Json),
        ("{", DecodeError::Json),
        ("[]", DecodeError::Shape("neither a message nor an answer")),
        ("7", DecodeError::Shape("neither a message nor an answer")),
        (r#"{"type":7}"#, DecodeError::Field("type")),
        (
            r#"{"type":"l2update","product_id":"X-Y","changes":[]}"#,
            DecodeError::UnknownSymbol,
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","changes":[["hold","1","1"]]}"#,
            DecodeError::Field("side"),
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1"]]}"#,
            DecodeError::Field("size"),
        ),
        (
            r#"{"type":"l2update","product_id":"BTC-USD","changes":[],"time":"noon"}"#,
            number("time"),
        ),
        (
            r#"{"type":"match","product_id":"BTC-USD","trade_id":0,"side":"buy","size":"1","price":"1"}"#,
            DecodeError::Field("trade_id"),
        ),
        (
            r#"{"type":"open","product_id":"BTC-USD","order_id":"7","side":"buy","remaining_size":"1","price":"1"}"#,
            DecodeError::Field("order_id"),
        ),
        (
            r#"{"channel":"l2_data","events":[]}"#,
            DecodeError::Field("sequence_num"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_PUBLIC, 0, text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
    let (said, result) = rig::ready().text(LINK_PUBLIC, 0, fixture("feed_error"));
    let reason = RejectReason::BadSymbol;
    assert_eq!(result, Err(Fault::Venue { code: 0, reason }));
    assert!(said.events.is_empty());
}
