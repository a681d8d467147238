//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::{OrderId, RawOrder, Side};
use dp_venue_api::{DecodeError, Event, Fault, RestRequest, Sink, Venue};
use dp_venue_bitfinex::{LINK_MARKET, LINK_PRIVATE};
use rig::{Rig, fixture, good};
use tests_venues::rig::at_ms;

/// Feeds fixtures to a ready machine and compares the events of the last one.
fn check(names: &[&str], expected: &[&str]) {
    let mut rig = rig::ready();
    check_on(&mut rig, names, expected);
}

fn check_on(rig: &mut Rig, names: &[&str], expected: &[&str]) {
    let mut events = Vec::new();
    for name in names {
        let link = if name.starts_with("feed") {
            LINK_MARKET
        } else {
            LINK_PRIVATE
        };
        events = good(rig, link, 100, name).events;
    }
    assert_eq!(events, expected, "{names:?}");
}

#[test]
fn books() {
    check(
        &["feed_snapshot"],
        &["Book Snapshot 1..1 prev -1 checksum None 3x2"],
    );
    check(
        &["feed_snapshot", "feed_delta"],
        &["Book Delta 2..2 prev -1 checksum None 1x0"],
    );
    check(
        &["feed_snapshot", "feed_delta", "feed_delta_delete"],
        &["Book Delta 3..3 prev -1 checksum None 0x1"],
    );
    check(
        &["feed_snapshot", "feed_checksum"],
        &["Book Delta 2..2 prev -1 checksum Some(-228054655) 0x0"],
    );
    check(
        &["feed_snapshot", "feed_heartbeat"],
        &["Book Delta 2..2 prev -1 checksum None 0x0"],
    );
}

#[test]
fn an_empty_list_is_a_whole_book() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_MARKET, 0, "[17082,[],1,1760000000085]");
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Book Snapshot 1..1 prev -1 checksum None 0x0"]
    );
}

/// Keeps the orders of a raw book's messages.
#[derive(Default)]
struct Orders(Vec<Vec<RawOrder>>);

impl Sink for Orders {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::L3(message) = event {
            self.0.push(message.orders.to_vec());
        }
    }
    fn send_text(&mut self, _: dp_types::LinkId, _: &[u8]) {}
    fn request(&mut self, _: dp_types::LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: dp_types::LinkId, _: &'static str) {}
}

#[test]
fn raw_books() {
    let raw = ["feed_snapshot", "feed_subscribed_raw", "feed_raw_snapshot"];
    check(&raw, &["L3 Snapshot 2 checksum None 3 orders"]);
    let mut rig = rig::ready();
    check_on(
        &mut rig,
        &[&raw[..], &["feed_raw_delta"]].concat(),
        &["L3 Delta 3 checksum None 1 orders"],
    );
    let mut orders = Orders::default();
    let mut bytes = fixture("feed_raw_delete").as_bytes().to_vec();
    rig.venue
        .on_text(
            &rig.registry,
            LINK_MARKET,
            at_ms(1),
            &mut bytes,
            &mut orders,
        )
        .unwrap();
    let [gone] = orders.0[0][..] else {
        panic!("{:?}", orders.0)
    };
    assert_eq!((gone.id, gone.side), (OrderId(190_000_000_003), Side::Buy));
    assert!(gone.qty.is_zero(), "no price takes the order out");
    check(
        &[&raw[..], &["feed_raw_checksum"]].concat(),
        &["L3 Delta 3 checksum Some(1595431981) 0 orders"],
    );
}

#[test]
fn trades_are_told_once() {
    let told = [
        "Trade 401597394 sell 0.1 @ 64999",
        "Trade 401597395 buy 0.005 @ 65000",
    ];
    let all = [
        "feed_snapshot",
        "feed_trades_snapshot",
        "feed_trade_executed",
        "feed_trade_confirmed",
    ];
    check(&all[..2], &told);
    check(&all[..3], &["Trade 401597396 sell 0.02 @ 10087.98969503"]);
    check(&all, &["Ignored a trade that was told before"]);
    // What was executed while we were away is told by the confirmation, or by the next list.
    check(
        &["feed_trade_confirmed"],
        &["Trade 401597396 sell 0.02 @ 10087.98969503"],
    );
    let mut rig = rig::ready();
    check_on(&mut rig, &all[..2], &told);
    rig.close(LINK_MARKET, 200);
    rig::market(&mut rig, 300);
    let list = "[17084,[[401597397,1760000000300,1,65000],[401597395,1760000000123,0.005,65000]],1,1760000000400]";
    let (said, _) = rig.text(LINK_MARKET, 400, list);
    assert_eq!(said.events, ["Trade 401597397 buy 1 @ 65000"]);
}

#[test]
fn events_of_a_link() {
    check(&["feed_info"], &["Ignored the venue operates"]);
    check(&["feed_conf"], &["Ignored flags confirmed"]);
    check(&["feed_pong"], &["Heartbeat"]);
    check(&["feed_unsubscribed"], &["Ignored unsubscribed"]);
    check(
        &["feed_snapshot", "feed_ticker"],
        &["Ignored a channel that was not subscribed here"],
    );
    let mut rig = rig::ready();
    let said = good(&mut rig, LINK_MARKET, 0, "feed_info_reconnect");
    assert_eq!(said.events, ["ClosingSoon(LinkId(1))"]);
    assert_eq!(said.reconnects.len(), 1);
}

#[test]
fn notifications() {
    check(&["entry_new_ack"], &["Ack 1 order 185815098001 None 0"]);
    check(
        &["entry_reject_funds"],
        &["Ack 1 order 0 InsufficientFunds 0"],
    );
    check(
        &["entry_reject_rate"],
        &[
            "Ack 1 order 0 RateLimit 11010",
            "RateLimited { until_ms: 1760000001100 }",
        ],
    );
    check(&["entry_amend_ack"], &["Ack 1 order 185815098001 None 0"]);
    check(
        &["entry_amend_reject"],
        &["Ack 1 order 185815098001 Invalid 0"],
    );
    check(&["entry_cancel_ack"], &["Ack 1 order 185815098001 None 0"]);
    check(
        &["entry_cancel_reject"],
        &["Ignored an answer about orders that are not ours"],
    );
    check(
        &["entry_cancels_ack"],
        &[
            "Ack 1 order 185815098001 None 0",
            "Ack 2 order 185815098002 None 0",
        ],
    );
    check(
        &["entry_several_ack"],
        &[
            "Ack 1 order 185815098001 None 0",
            "Ack 2 order 0 InsufficientFunds 0",
        ],
    );
}

#[test]
fn orders_of_the_account() {
    check(
        &["account_order_new"],
        &["Order 1 ACK None px 65000 qty 1 cum 0"],
    );
    check(
        &["account_order_partial"],
        &["Order 1 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4"],
    );
    check(
        &["account_order_amended"],
        &["Order 1 ACK None px 64999 qty 1 cum 0"],
    );
    check(
        &["account_order_filled"],
        &["Order 1 FILLED None px 65000 qty 1 cum 1"],
    );
    check(
        &["account_order_canceled"],
        &["Order 1 CANCELLED None px 65000 qty 1 cum 0.4"],
    );
    check(
        &["account_order_canceled_post_only"],
        &["Order 1 REJECTED PostOnlyCross px 65000 qty 1 cum 0"],
    );
    check(
        &["account_order_canceled_ioc"],
        &["Order 1 EXPIRED None px 65000 qty 1 cum 0.4"],
    );
    check(
        &["account_order_funds"],
        &["Order 1 REJECTED InsufficientFunds px 65000 qty 1 cum 0.4"],
    );
    check(
        &["account_order_foreign"],
        &["Ignored an order of an instrument we do not follow"],
    );
    check(
        &["account_orders"],
        &[
            "Order 1 ACK None px 65000 qty 1 cum 0",
            "Order 2 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4",
        ],
    );
}

#[test]
fn fills_balances_and_positions_of_the_account() {
    check(
        &["account_trade_executed"],
        &["Ignored an execution before its fee is known: told when it is"],
    );
    check(
        &["account_trade_confirmed"],
        &["Fill 1 trade 402088407 buy 0.4 @ 65000 fee 0.0004 AssetId(0) maker"],
    );
    check(
        &["account_trade_rebate"],
        &["Fill - trade 402088408 sell 0.6 @ 65000 fee -0.39 AssetId(1) taker"],
    );
    check(
        &["account_wallets"],
        &[
            "Balance AssetId(1) free 9340 locked 660",
            "Balance AssetId(0) free 0.5 locked 0.0",
            "Ignored a wallet we do not trade from",
            "Ignored a wallet we do not trade from",
            "Ignored a wallet we do not trade from",
            "Balance AssetId(65535) free 200.5 locked 49.5",
        ],
    );
    check(
        &["account_wallet"],
        &["Ignored a wallet before what is free in it is known: asked for"],
    );
    let perpetual = || {
        let mut rig = rig::new(&["tBTCF0:USTF0"], true);
        rig.open(LINK_PRIVATE, 0);
        rig
    };
    check_on(
        &mut perpetual(),
        &["account_positions"],
        &["Position 0 -0.25 @ 64000.5"],
    );
    check_on(
        &mut perpetual(),
        &["account_position_closed"],
        &["Position 0 0 @ 64000.5"],
    );
    check(
        &["account_positions"],
        &["Ignored an instrument we do not follow"],
    );
}

#[test]
fn what_recorders_write_is_read_too() {
    let mut rig = rig::ready();
    for (text, want) in [
        (
            r#"[{"symbol":"tBTCUSD","channel":"book","prec":"P0"},[65000,2,1.2]]"#,
            "Book Delta -1..-1 prev -1 checksum None 1x0",
        ),
        (
            r#"[{"symbol":"tBTCUSD","channel":"book","prec":"R0"},[[1,65000,-1.2]]]"#,
            "L3 Snapshot -1 checksum None 1 orders",
        ),
        (
            r#"[{"symbol":"tBTCUSD","channel":"trades"},"te",[7,1615232733897,-1e-7,51350]]"#,
            "Trade 7 sell 0.0000001 @ 51350",
        ),
        (
            r#"[{"symbol":"tBTCUSD","channel":"ticker"},[1]]"#,
            "Ignored ticker",
        ),
        (
            r#"[{"symbol":"tETHUSD","channel":"trades"},[]]"#,
            "Ignored an instrument we do not follow",
        ),
        (
            r#"[{"symbol":"fUSD","channel":"trades"},[]]"#,
            "Ignored funding",
        ),
    ] {
        let (said, result) = rig.text(LINK_MARKET, 0, text);
        assert_eq!((result, said.events), (Ok(()), vec![want.to_owned()]));
    }
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    for (text, error) in [
        ("", DecodeError::Json),
        ("{", DecodeError::Json),
        ("7", DecodeError::Shape("neither a frame nor an event")),
        ("[]", DecodeError::Shape("an empty frame")),
        ("[17082]", DecodeError::Field("data")),
        ("[17082,7,1,1]", DecodeError::Field("data")),
        ("[17082,[65000,2,1.2]]", DecodeError::Field("seq")),
        ("[17082,[65000,2,1.2],1]", DecodeError::Field("time")),
        ("[17082,[65000,2],1,1]", DecodeError::Field("amount")),
        ("[17082,[65000,2,0],1,1]", DecodeError::Field("amount")),
        ("[17082,[65000,-2,1],1,1]", DecodeError::Field("count")),
        ("[17082,[[65000,2,1],7],1,1]", DecodeError::Field("level")),
        (
            r#"[17082,"cs",4294967296,1,1]"#,
            DecodeError::Field("checksum"),
        ),
        (r#"[17084,"te",[1,2,0.1],1,1]"#, DecodeError::Field("price")),
        (r#"[0,"on"]"#, DecodeError::Field("data")),
        (r#"[0,"on",[1]]"#, DecodeError::Field("symbol")),
        (
            r#"[0,"tu",[null,"tBTCUSD",1,2,0.4,65000]]"#,
            DecodeError::Field("trade id"),
        ),
        (r#"[0,"wu",["exchange"]]"#, DecodeError::Field("currency")),
        (
            r#"[0,"n",[1,"on-req",null,null,[1],null,"MAYBE","x"]]"#,
            DecodeError::Field("status"),
        ),
        (
            r#"{"event":"subscribed","channel":"book"}"#,
            DecodeError::Field("chanId"),
        ),
    ] {
        let (said, result) = rig::ready().text(LINK_MARKET, 0, text);
        assert_eq!(result, Err(Fault::Decode(error)), "{text}");
        assert!(said.events.is_empty(), "{text}: {:?}", said.events);
    }
}
