//! The machine over time: start, logins, pings, books anew, cancel-all, the dead man's switch, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Epoch, InstrumentId, LaneId, NewOrder,
    Notional, OrderId, OrderKind, Payoff, Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{DecodeError, EntryError, Event, Fault, RestRequest, Sink, Venue};
use dp_venue_bybit::sync::BybitSync;
use dp_venue_bybit::{LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rates;
use tests_venues::rig::{START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const PING: &str = r#"{"op":"ping"}"#;

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

fn new_order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Sell,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_100),
        qty: Qty(10_000),
    }
}

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

fn place(rig: &mut Rig, sequence: u32, ms: u64) -> (Result<(), EntryError>, Said) {
    let mut said = Said::default();
    let order = new_order(sequence);
    let result = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(ms), &mut said);
    (result, said)
}

#[test]
fn links_are_those_of_the_category() {
    let paths = |symbol: &str, has_keys| -> Vec<String> {
        let rig = rig::new(&[symbol], has_keys);
        rig.venue
            .links()
            .iter()
            .map(|link| link.path.clone())
            .collect()
    };
    assert_eq!(paths("BTCUSDT", false), ["", "/v5/public/spot"]);
    assert_eq!(
        paths("BTCUSDT.P", true),
        [
            "",
            "/v5/public/linear",
            "/v5/trade",
            "/v5/private?max_active_time=40s"
        ]
    );
    assert_eq!(paths("BTCUSD", false)[1], "/v5/public/inverse");
    assert_eq!(
        paths("BTC-26DEC25-70000-C-USDT", false)[1],
        "/v5/public/option"
    );
}

#[test]
fn a_contract_pays_as_its_type_says() {
    let inverse = fixture("rest_rules_linear")
        .replace("BTCUSDT", "BTCUSD")
        .replace(r#""settleCoin":"USDT""#, r#""settleCoin":"BTC""#);
    for (told, payoff) in [
        ("InversePerpetual", Payoff::Inverse),
        ("InverseFutures", Payoff::Inverse),
        ("LinearPerpetual", Payoff::Unknown),
        ("", Payoff::Unknown),
    ] {
        let mut rig = rig::new(&["BTCUSD"], false);
        let tag = rig.open(LINK_REST, 0).requests[0].tag;
        let body = inverse.replace("LinearPerpetual", told);
        rig.response(1, tag, 200, &body).1.unwrap();
        let contract = rig.registry.get(BTC).unwrap();
        assert_eq!(contract.payoff, payoff, "{told}");
        assert_eq!(contract.base, contract.quote, "settled in its coin");
    }
}

#[test]
fn start_asks_for_rules_then_subscribes() {
    let mut rig = rig::new(&["BTCUSDT.P", "FOOUSDT.P", "BTCUSDT"], false);
    assert!(
        rig.open(LINK_PUBLIC, 0).sent.is_empty(),
        "nothing before the rules are known"
    );
    let asked = rig.open(LINK_REST, 0).requests;
    let lines: Vec<_> = asked.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v5/market/instruments-info?category=linear&symbol=BTCUSDT",
            "GET /v5/market/instruments-info?category=linear&symbol=FOOUSDT",
        ],
        "the spot symbol is of another category"
    );
    let first = rig.response(1, asked[0].tag, 200, fixture("rest_rules_linear"));
    assert!(first.0.events.is_empty() && first.1.is_ok());
    let (said, result) = rig.response(2, asked[1].tag, 200, fixture("rest_rules_unknown"));
    assert_eq!(said.events, ["InstrumentsReady"]);
    let unlisted = DecodeError::Unlisted(InstrumentId(1));
    assert_eq!(result, Err(Fault::Decode(unlisted)));
    let is_live = |id| rig.registry.get(InstrumentId(id)).unwrap().is_live;
    assert!(is_live(0) && !is_live(1) && !is_live(2));

    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (4, 7));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(1_000), Qty(10_000), Qty(10_000))
    );
    assert_eq!(btc.notional_min, Notional(5_000_000_000_000));
    let one = Decimal {
        mantissa: 1,
        exponent: 0,
    };
    assert_eq!(btc.multiplier, one);
    assert_eq!(btc.payoff, Payoff::Linear);
    assert_eq!(rig.registry.asset_name(btc.quote), "USDT");

    assert_eq!(
        said.sent,
        [(
            LINK_PUBLIC,
            concat!(
                r#"{"req_id":"s1","op":"subscribe","args":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT","#,
                r#""orderbook.1.BTCUSDT"]}"#
            )
            .to_owned()
        )]
    );
    let (said, result) = rig.text(LINK_PUBLIC, 3, fixture("feed_subscribe_ack"));
    assert_eq!(
        (said.events, result),
        (vec!["Subscribed(LinkId(1))".to_owned()], Ok(()))
    );
    // A new link is subscribed at once.
    rig.close(LINK_PUBLIC, 4);
    assert_eq!(rig.open(LINK_PUBLIC, 5).sent.len(), 1);
}

#[test]
fn spot_rules_and_options_topics() {
    let mut rig = rig::new(&["BTCUSDT"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(1, asked[0].tag, 200, fixture("rest_rules_spot"))
        .1
        .unwrap();
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (4, 8));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(100), Qty(100), Qty(4_800))
    );
    let mut rig = rig::new(&["BTC-26DEC25-70000-C-USDT"], false);
    rig.open(LINK_PUBLIC, 0);
    let asked = rig.open(LINK_REST, 0).requests;
    let body = fixture("rest_rules_linear").replace(
        r#""symbol":"BTCUSDT""#,
        r#""symbol":"BTC-26DEC25-70000-C-USDT""#,
    );
    let (said, _) = rig.response(1, asked[0].tag, 200, &body);
    assert!(
        said.sent[0]
            .1
            .ends_with(r#""args":["orderbook.25.BTC-26DEC25-70000-C-USDT"]}"#)
    );
}

#[test]
fn a_refused_or_lost_rules_answer_is_asked_again() {
    let mut rig = rig::new(&["BTCUSDT"], false);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    for (ms, status, body) in [
        (0, 503, "<html>"),
        (2_000, 0, ""),
        (4_000, 200, fixture("rest_too_many")),
    ] {
        assert!(rig.response(ms, tag, status, body).1.is_err());
        assert!(rig.venue.next_deadline().is_some());
        let again = rig.deadline(ms + 2_000).requests;
        assert_eq!(again.len(), 1, "after status {status}");
    }
    // No answer at all.
    assert_eq!(rig.deadline(60_000).requests.len(), 1);
}

#[test]
fn logged_in_is_said_when_both_links_are_ready() {
    for is_private_first in [false, true] {
        let mut rig = rig::new(&["BTCUSDT.P"], true);
        let orders = |rig: &mut Rig| {
            let said = rig.open(LINK_ORDERS, 0);
            let text = &said.sent[0].1;
            assert!(text.starts_with(r#"{"op":"auth","args":["test_api_key",1760000010000,""#));
            rig.text(LINK_ORDERS, 1, fixture("entry_login_ack")).0
        };
        let private = |rig: &mut Rig| {
            rig.open(LINK_PRIVATE, 0);
            let (said, _) = rig.text(LINK_PRIVATE, 1, fixture("account_login_ack"));
            assert_eq!(
                said.sent,
                [(
                    LINK_PRIVATE,
                    r#"{"req_id":"p","op":"subscribe","args":["order","execution","position","wallet"]}"#
                        .to_owned()
                )]
            );
            assert_eq!(said.events, ["Ignored login accepted"]);
            rig.text(LINK_PRIVATE, 2, fixture("account_subscribe_ack"))
                .0
        };
        let (first, second) = if is_private_first {
            (private(&mut rig), {
                assert_eq!(place(&mut rig, 1, 3).0, Err(EntryError::NotReady));
                orders(&mut rig)
            })
        } else {
            (orders(&mut rig), {
                assert_eq!(place(&mut rig, 1, 3).0, Err(EntryError::NotReady));
                private(&mut rig)
            })
        };
        let logged_in = "LoggedIn(LinkId(2))".to_owned();
        assert!(!first.events.contains(&logged_in));
        assert!(second.events.contains(&logged_in), "{:?}", second.events);
        assert_eq!(place(&mut rig, 1, 4).0, Ok(()));
    }
}

#[test]
fn the_order_link_goes_with_its_stream_and_comes_back_alone() {
    let mut rig = rig::ready();
    // The stream is lost: the order link is replaced with it.
    let said = rig.close(LINK_PRIVATE, 10);
    assert_eq!(
        said.reconnects,
        [(LINK_ORDERS, "the private stream is gone")]
    );
    assert_eq!(place(&mut rig, 1, 11).0, Err(EntryError::NotReady));
    assert!(rig.close(LINK_ORDERS, 12).reconnects.is_empty());
    assert!(
        rig.close(LINK_PRIVATE, 13).reconnects.is_empty(),
        "not again and again while it is down"
    );
    rig::log_in(&mut rig, 20);
    assert_eq!(place(&mut rig, 1, 21).0, Ok(()));
    // The order link alone: the stream stays, one login is enough.
    rig.close(LINK_ORDERS, 30);
    assert_eq!(place(&mut rig, 2, 31).0, Err(EntryError::NotReady));
    rig.open(LINK_ORDERS, 32);
    let (said, _) = rig.text(LINK_ORDERS, 33, fixture("entry_login_ack"));
    assert_eq!(
        said.events,
        ["LoggedIn(LinkId(2))", "Ignored login accepted"]
    );
    assert_eq!(place(&mut rig, 2, 34).0, Ok(()));
    // A second answer changes nothing.
    let again = fixture("entry_login_ack").replace(r#""retCode":0"#, r#""retCode":20001"#);
    let (said, _) = rig.text(LINK_ORDERS, 35, &again);
    assert_eq!(said.events, ["Ignored login accepted"]);
}

#[test]
fn a_stream_that_answers_no_ping_takes_the_order_link_with_it() {
    let mut rig = rig::ready();
    rig.deadline(20_000);
    for link in [LINK_PUBLIC, LINK_ORDERS] {
        rig.text(link, 20_100, fixture("feed_pong")).1.unwrap();
    }
    let said = rig.deadline(28_000);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "no pong")]);
    assert_eq!(place(&mut rig, 1, 28_000).0, Err(EntryError::NotReady));
    assert_eq!(rig.close(LINK_PRIVATE, 28_000).reconnects.len(), 1);
}

#[test]
fn a_refused_login_says_so_and_asks_for_a_new_link() {
    for (link, name) in [
        (LINK_ORDERS, "entry_login_refused"),
        (LINK_PRIVATE, "account_login_refused"),
    ] {
        let mut rig = rig::new(&["BTCUSDT"], true);
        rig.open(link, 0);
        let (said, result) = rig.text(link, 1, fixture(name));
        assert_eq!(result, Ok(()));
        assert_eq!(said.events, ["LoginRefused(Auth)"]);
        assert_eq!(said.reconnects, [(link, "login refused")]);
    }
    let mut rig = rig::new(&["BTCUSDT"], true);
    rig.open(LINK_PRIVATE, 0);
    rig.text(LINK_PRIVATE, 1, fixture("account_login_ack"))
        .1
        .unwrap();
    let (said, _) = rig.text(LINK_PRIVATE, 2, fixture("feed_subscribe_refused"));
    assert_eq!(said.events, ["LoginRefused(Permission)"]);
    assert_eq!(said.reconnects.len(), 1);
}

#[test]
fn a_login_without_answer_is_given_up() {
    for link in [LINK_ORDERS, LINK_PRIVATE] {
        let mut rig = rig::new(&["BTCUSDT"], true);
        rig.open(link, 0);
        assert_eq!(rig.venue.next_deadline(), Some(at_ms(10_000).unix));
        assert!(rig.deadline(9_999).reconnects.is_empty());
        assert_eq!(rig.deadline(10_000).reconnects.len(), 1);
        assert!(rig.deadline(20_000).reconnects.is_empty(), "asked for once");
    }
}

#[test]
fn every_link_is_pinged_every_twenty_seconds_whatever_it_carries() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    rig.text(LINK_PUBLIC, 19_000, fixture("feed_trades"))
        .1
        .unwrap();
    assert!(rig.deadline(19_999).sent.is_empty());
    let all = [LINK_PUBLIC, LINK_ORDERS, LINK_PRIVATE].map(|link| (link, PING.to_owned()));
    assert_eq!(rig.deadline(20_000).sent, all);
    assert!(rig.deadline(21_000).sent.is_empty(), "one ping at a time");
    // Anything that comes shows that the link lives.
    rig.text(LINK_PUBLIC, 22_000, fixture("feed_trades"))
        .1
        .unwrap();
    rig.text(LINK_ORDERS, 22_000, fixture("entry_pong"))
        .1
        .unwrap();
    rig.text(LINK_PRIVATE, 22_000, fixture("account_pong"))
        .1
        .unwrap();
    assert!(rig.deadline(28_000).reconnects.is_empty());
    assert_eq!(rig.deadline(40_000).sent, all);
    let said = rig.deadline(48_000);
    let lost: Vec<_> = said.reconnects.iter().map(|(link, _)| *link).collect();
    assert_eq!(lost, [LINK_PUBLIC, LINK_ORDERS, LINK_PRIVATE]);
}

#[test]
fn orders_are_written_within_the_accounts_second() {
    let mut rig = rig::ready();
    let mut texts = Vec::new();
    for sequence in 1..=10 {
        let (result, said) = place(&mut rig, sequence, 10);
        assert_eq!(result, Ok(()));
        texts.extend(said.sent);
    }
    assert_eq!(place(&mut rig, 11, 10).0, Err(EntryError::RateLimited));
    assert_eq!(
        texts[0],
        (
            LINK_ORDERS,
            concat!(
                r#"{"reqId":"n1z141z5I1","header":{"X-BAPI-TIMESTAMP":"1760000000010","X-BAPI-RECV-WINDOW":"500"},"#,
                r#""op":"order.create","args":[{"category":"linear","symbol":"BTCUSDT","side":"Sell","orderType":"Limit","#,
                r#""price":"6500.01","qty":"0.001","timeInForce":"PostOnly","orderLinkId":"sl-1z141z5"}]}"#
            )
            .to_owned()
        )
    );
    let mut said = Said::default();
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(0),
        price: Some(Price(65_000_000)),
        qty: None,
    };
    for _ in 0..2 {
        rig.venue
            .amend_order(&rig.registry, &amend, at_ms(10), &mut said)
            .unwrap();
        rig.venue
            .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
            .unwrap();
    }
    let ids: std::collections::BTreeSet<_> = said
        .sent
        .iter()
        .map(|(_, text)| text.split('"').nth(3).unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 4, "the venue takes no request id twice");
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    let error = rig
        .venue
        .cancel_order(&rig.registry, &unknown, at_ms(10), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
    // The answer names a higher limit.
    let ack = fixture("entry_new_ack").replace(r#""X-Bapi-Limit":"10""#, r#""X-Bapi-Limit":"12""#);
    rig.text(LINK_ORDERS, 11, &ack).1.unwrap();
    let placed = (11..20).filter(|it| place(&mut rig, *it, 12).0.is_ok());
    assert_eq!(placed.count(), 2);
}

#[test]
fn a_rate_refusal_stops_new_orders_until_the_time_it_names() {
    let mut rig = rig::ready();
    rig.text(LINK_ORDERS, 100, fixture("entry_reject_rate"))
        .1
        .unwrap();
    assert_eq!(place(&mut rig, 2, 1_899).0, Err(EntryError::RateLimited));
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(1_000), &mut said)
        .unwrap();
    assert_eq!(place(&mut rig, 2, 1_900).0, Ok(()));
}

#[test]
fn cancel_all_is_the_venues_own_and_else_goes_in_batches() {
    let mut rig = rig::ready();
    rig.deadline(0); // the dead man's switch
    let live: Vec<_> = (1..=3).map(cancel).collect();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let request = &said.requests[0];
    assert_eq!(request.line, "POST /v5/order/cancel-all");
    assert_eq!(request.body, r#"{"category":"linear","symbol":"BTCUSDT"}"#);
    assert!(said.sent.is_empty());
    let (answer, result) = rig.response(1, request.tag, 200, fixture("rest_cancel_all"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        answer.events,
        ["Ignored cancel-all accepted; the order stream tells of each"]
    );
    rig.close(LINK_REST, 2);
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(3), &mut said)
        .unwrap();
    assert_eq!(said.sent.len(), 1);
    assert_eq!(said.sent[0].1.matches("orderLinkId").count(), 3);
    let more: Vec<_> = (10..30).map(cancel).collect();
    let result = rig
        .venue
        .cancel_all(&rig.registry, BTC, &more, at_ms(3), &mut said);
    assert_eq!(result, Err(EntryError::RateLimited), "10 orders a second");
}

#[test]
fn the_dead_mans_switch_is_armed_where_the_account_has_one() {
    let mut rig = rig::ready();
    let asked = rig.deadline(0).requests.remove(0);
    assert_eq!(asked.line, "GET /v5/account/query-dcp-info");
    let names: Vec<_> = asked
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(names.contains(&"X-BAPI-SIGN") && names.contains(&"X-BAPI-TIMESTAMP"));
    let (said, result) = rig.response(10, asked.tag, 200, fixture("rest_dcp_info_on"));
    assert_eq!(result, Ok(()));
    let subscription = r#"{"req_id":"d","op":"subscribe","args":["dcp.future"]}"#;
    assert_eq!(
        said.sent,
        [
            (LINK_PRIVATE, subscription.to_owned()),
            (LINK_PRIVATE, PING.to_owned())
        ]
    );
    let window = &said.requests[0];
    assert_eq!(window.line, "POST /v5/order/disconnected-cancel-all");
    assert_eq!(window.body, r#"{"product":"DERIVATIVES","timeWindow":20}"#);
    let (said, _) = rig.text(LINK_PRIVATE, 11, fixture("account_subscribe_ack"));
    assert_eq!(said.events, ["Ignored subscription confirmed"]);
    // Lost: all of it again.
    assert!(rig.response(20, window.tag, 0, "").1.is_err());
    let again = rig.deadline(1_020).requests.remove(0);
    assert_eq!(again.line, asked.line);
    let body =
        fixture("rest_dcp_info_on").replace(r#""timeWindow":"10"}]"#, r#""timeWindow":"20"}]"#);
    let (said, _) = rig.response(1_030, again.tag, 200, &body);
    assert_eq!(said.events, ["Ignored dead man's switch armed"]);
    assert!(said.requests.is_empty() && rig.deadline(15_000).requests.is_empty());
    // A new login arms it anew.
    rig.close(LINK_PRIVATE, 16_000);
    rig.close(LINK_ORDERS, 16_000);
    rig::log_in(&mut rig, 17_000);
    assert_eq!(rig.deadline(17_000).requests.len(), 1);
}

#[test]
fn an_account_without_a_dead_mans_switch_trades_all_the_same() {
    let mut rig = rig::ready();
    let asked = rig.deadline(0).requests.remove(0);
    let (said, result) = rig.response(10, asked.tag, 200, fixture("rest_dcp_info_none"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Ignored the account has no dead man's switch"]
    );
    assert!(said.sent.is_empty() && rig.deadline(15_000).requests.is_empty());
    assert_eq!(place(&mut rig, 1, 11).0, Ok(()));
}

/// Feeds the machine's depth into a keeper, as a lane does.
struct Book {
    keeper: Keeper<BybitSync>,
    outcomes: Vec<Outcome>,
    instrument: dp_types::Instrument,
}

impl Sink for Book {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            let now = UnixNanos::from_millis(START_MS);
            self.outcomes
                .push(self.keeper.on_msg(message, &self.instrument, now));
        }
    }
    fn send_text(&mut self, _: dp_types::LinkId, _: &[u8]) {}
    fn request(&mut self, _: dp_types::LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: dp_types::LinkId, _: &'static str) {}
}

impl Book {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(BybitSync::new(&instrument)),
            outcomes: Vec::new(),
            instrument,
        }
    }

    fn feed(&mut self, rig: &mut Rig, name: &str) -> Outcome {
        let mut bytes = fixture(name).as_bytes().to_vec();
        rig.venue
            .on_text(&rig.registry, LINK_PUBLIC, at_ms(0), &mut bytes, self)
            .unwrap();
        *self.outcomes.last().unwrap()
    }
}

#[test]
fn snapshot_chain_gap_and_restart() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    assert_eq!(book.feed(&mut rig, "feed_snapshot"), Outcome::Applied);
    assert_eq!(book.feed(&mut rig, "feed_delta"), Outcome::Applied);
    book.feed(&mut rig, "feed_best");
    assert_eq!(book.outcomes.len(), 2, "the best quote is no book here");
    assert_eq!(book.feed(&mut rig, "feed_restart"), Outcome::Applied);
    assert_eq!(book.keeper.proof().last_id, 1);
    assert_eq!(book.feed(&mut rig, "feed_snapshot"), Outcome::Applied);
    let outcome = book.feed(&mut rig, "feed_delta_gap");
    assert!(matches!(outcome, Outcome::Gap(_)) && outcome.needs_snapshot());
    assert_eq!(book.keeper.proof().state, State::Waiting, "stale at once");
}

#[test]
fn a_book_that_lost_its_place_is_subscribed_anew_until_a_snapshot_came() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    let ask = |rig: &mut Rig, ms| {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
        said.sent
    };
    let sent = ask(&mut rig, 1_000);
    let ops: Vec<_> = sent
        .iter()
        .map(|(_, text)| text.split(r#""op":"#).nth(1).unwrap())
        .collect();
    assert_eq!(
        ops,
        [
            r#""unsubscribe","args":["orderbook.50.BTCUSDT"]}"#,
            r#""subscribe","args":["orderbook.50.BTCUSDT"]}"#
        ]
    );
    assert!(ask(&mut rig, 1_100).is_empty(), "paced");
    assert!(rig.deadline(1_499).sent.is_empty());
    assert_eq!(rig.venue.next_deadline(), Some(at_ms(1_500).unix));
    assert_eq!(rig.deadline(1_500).sent.len(), 2, "and not forgotten");
    // No snapshot came.
    assert!(rig.deadline(6_499).sent.is_empty());
    assert_eq!(rig.deadline(6_500).sent.len(), 2);
    rig.text(LINK_PUBLIC, 6_600, fixture("feed_snapshot"))
        .1
        .unwrap();
    assert!(rig.deadline(19_000).sent.is_empty());
    // While the link is down nothing is asked: the next one begins with snapshots.
    rig.close(LINK_PUBLIC, 19_100);
    assert!(ask(&mut rig, 19_200).is_empty());
    assert_eq!(rig.open(LINK_PUBLIC, 19_300).sent.len(), 1);
}

#[test]
fn depths_of_one_symbol_are_not_mixed() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    let other = fixture("feed_delta").replace("orderbook.50", "orderbook.200");
    let (said, _) = rig.text(LINK_PUBLIC, 0, &other);
    assert_eq!(said.events, ["Ignored a second book of this instrument"]);
    let retail = fixture("feed_delta").replace("orderbook.50", "orderbook.rpi");
    let (said, _) = rig.text(LINK_PUBLIC, 0, &retail);
    assert_eq!(said.events, ["Ignored a book of retail orders"]);
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 18, "{told:?}");
}
