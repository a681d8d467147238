//! The machine over time: start, flags, login, pings, books, maintenance, orders, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Gap, Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId,
    OrderKind, Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{EntryError, Event, LinkRole, RestRequest, Sink, Venue};
use dp_venue_bitfinex::sync::BitfinexSync;
use dp_venue_bitfinex::{LINK_MARKET, LINK_PRIVATE, LINK_REST};
use rig::{Rig, fixture, good};
use tests_venues::rates;
use tests_venues::rig::{START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const DAY_MS: u64 = 86_400_000;

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

/// One BTC at 65,000 and a half: not a price of this venue.
fn new_order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Sell,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(650_005_000_000_000),
        qty: Qty(100_000_000),
    }
}

fn cancel(sequence: u32, order_id: u128) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(order_id),
    }
}

#[test]
fn start_asks_for_rules_then_subscribes() {
    let mut rig = rig::new(&["tBTCUSD", "tBTCF0:USTF0", "tFOOUSD"], false);
    assert_eq!(rig.venue.links().len(), 2, "no keys, no private link");
    let said = rig.open(LINK_MARKET, 0);
    assert_eq!(
        said.sent,
        [(LINK_MARKET, r#"{"event":"conf","flags":229376}"#.to_owned())],
        "flags first, and nothing else before the rules are known"
    );
    let asked = rig.open(LINK_REST, 0).requests;
    let lines: Vec<_> = asked.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v2/conf/pub:info:pair",
            "GET /v2/conf/pub:info:pair:futures",
            "GET /v2/tickers?symbols=tBTCUSD,tBTCF0:USTF0,tFOOUSD",
        ]
    );
    let answers = ["rest_pairs", "rest_futures", "rest_tickers"];
    let mut last = (Said::default(), Ok(()));
    for (request, name) in asked.iter().zip(answers) {
        assert!(last.0.events.is_empty() && last.1.is_ok());
        last = rig.response(1, request.tag, 200, fixture(name));
    }
    let (said, result) = last;
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert!(result.is_err(), "one symbol is not listed");
    assert!(!rig.registry.get(InstrumentId(2)).unwrap().is_live);

    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (10, 8));
    assert_eq!(
        (btc.tick, btc.lot),
        (Price(10_000_000_000), Qty(1)),
        "one dollar at 65,000"
    );
    assert_eq!(
        (btc.qty_min, btc.qty_max),
        (Qty(6_000), Qty(200_000_000_000))
    );
    assert_eq!(rig.registry.asset_name(btc.quote), "USD");
    let perpetual = rig.registry.get(InstrumentId(1)).unwrap();
    assert_eq!(rig.registry.asset_name(perpetual.quote), "USTF0");

    let sent: Vec<_> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        sent,
        [
            r#"{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"25","subId":"b0"}"#,
            r#"{"event":"subscribe","channel":"trades","symbol":"tBTCUSD","subId":"t0"}"#,
            r#"{"event":"subscribe","channel":"book","symbol":"tBTCF0:USTF0","prec":"P0","freq":"F0","len":"25","subId":"b1"}"#,
            r#"{"event":"subscribe","channel":"trades","symbol":"tBTCF0:USTF0","subId":"t1"}"#,
        ],
        "nothing would confirm what is not listed"
    );
}

#[test]
fn confirmations_in_any_order_make_the_link_ready() {
    let mut rig = rig::new(&["tBTCUSD"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    rig::answer_lists(&mut rig, &asked);
    rig.open(LINK_MARKET, 0);
    let said = good(&mut rig, LINK_MARKET, 1, "feed_subscribed_trades");
    assert_eq!(said.events, ["Ignored subscription confirmed"]);
    let said = good(&mut rig, LINK_MARKET, 2, "feed_subscribed_book");
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
}

#[test]
fn a_refused_subscription_holds_up_no_other_and_a_missing_one_ends_the_link() {
    let mut rig = rig::new(&["tBTCUSD"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    rig::answer_lists(&mut rig, &asked);
    rig.open(LINK_MARKET, 0);
    // With all that was asked for, or with its code alone; another error is no answer to a subscription.
    for (text, is_answer) in [
        (fixture("feed_error_subscribe"), true),
        (r#"{"event":"error","code":10305,"msg":"x"}"#, true),
        (r#"{"event":"error","code":10001,"msg":"x"}"#, false),
    ] {
        rig.close(LINK_MARKET, 0);
        rig.open(LINK_MARKET, 0);
        let (said, result) = rig.text(LINK_MARKET, 1, text);
        assert!(result.is_err() && said.events.is_empty() != is_answer);
        let said = good(&mut rig, LINK_MARKET, 2, "feed_subscribed_trades");
        assert_eq!(said.events == ["Subscribed(LinkId(1))"], is_answer);
    }
    rig.close(LINK_MARKET, 3);
    rig.open(LINK_MARKET, 4);
    assert!(rig.deadline(10_003).reconnects.is_empty());
    assert_eq!(rig.deadline(10_004).reconnects.len(), 1);
    assert!(rig.deadline(30_000).reconnects.is_empty(), "asked for once");
}

#[test]
fn flags_that_are_refused_end_the_link() {
    let mut rig = rig::ready();
    for text in [
        r#"{"event":"error","code":10050,"msg":"configuration setup failed"}"#,
        r#"{"event":"conf","status":"FAILED"}"#,
    ] {
        let (said, result) = rig.text(LINK_MARKET, 0, text);
        assert!(result.is_err(), "{text}");
        assert_eq!(said.reconnects, [(LINK_MARKET, "flags refused")]);
    }
}

#[test]
fn lists_that_are_refused_or_lost_are_asked_again() {
    let mut rig = rig::new(&["tBTCUSD"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    assert_eq!(asked.len(), 2);
    let mut ms = 0;
    for (status, body) in [
        (503, "<html>"),
        (0, ""),
        (500, fixture("rest_error")),
        (200, "{}"),
    ] {
        assert!(rig.response(ms, asked[0].tag, status, body).1.is_err());
        ms += 10_000;
        let again = rig.deadline(ms).requests;
        assert_eq!(again.len(), 1, "after status {status}");
        assert_eq!(again[0].line, asked[0].line);
    }
    // No answer at all, to both.
    assert_eq!(rig.deadline(ms + 46_000).requests.len(), 2);
    // Too many: all hold still for a minute.
    let tag = asked[0].tag;
    let (said, result) = rig.response(100_000, tag, 429, fixture("rest_error_rate"));
    assert!(result.is_err());
    assert_eq!(said.events, ["RateLimited { until_ms: 1760000160000 }"]);
    assert!(rig.deadline(159_000).requests.is_empty());
    assert!(!rig.deadline(162_000).requests.is_empty());
}

#[test]
fn twelve_instruments_a_link() {
    let symbols: Vec<_> = (0..30).map(|n| format!("tA{n:02}USD")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let mut rig = rig::new(&symbols, true);
    let links: Vec<_> = rig.venue.links().iter().map(|link| link.id.0).collect();
    assert_eq!(links, [0, 1, 2, 3, 4]);
    let role = |link| rig.venue.link_role(LinkId(link));
    assert_eq!(role(2), LinkRole::Orders);
    assert!(
        [1, 3, 4]
            .map(role)
            .iter()
            .all(|role| *role == LinkRole::Market)
    );
    let asked = rig.open(LINK_REST, 0).requests;
    let pairs: Vec<_> = symbols
        .iter()
        .map(|symbol| format!(r#"["{}",[null,null,null,"1","2"]]"#, &symbol[1..]))
        .collect();
    let body = format!("[[{}]]", pairs.join(","));
    assert_eq!(rig.response(0, asked[0].tag, 200, &body).1, Ok(()));
    assert_eq!(rig.response(0, asked[1].tag, 200, "[]").1, Ok(()));
    for (link, books) in [(1, 12), (3, 12), (4, 6)] {
        let sent = rig.open(LinkId(link), 0).sent;
        assert_eq!(sent.len(), 1 + 2 * books);
        assert!(sent.iter().all(|(to, _)| *to == LinkId(link)));
    }
    // Each link has its own numbers and channels; what a further one carried is stale with its end.
    for (link, symbol) in [(1, "tA00USD"), (3, "tA12USD")] {
        let link = LinkId(link);
        good(&mut rig, link, 1, "feed_conf");
        let ack = fixture("feed_subscribed_book").replace("tBTCUSD", symbol);
        rig.text(link, 1, &ack).1.unwrap();
        good(&mut rig, link, 2, "feed_snapshot");
    }
    let said = rig.close(LinkId(3), 3);
    assert_eq!(
        said.events,
        ["Book Delta -1..-1 prev 2 checksum None 0x0"],
        "prev tells what is missing"
    );
    assert!(rig.close(LINK_MARKET, 3).events.is_empty());
}

#[test]
fn login_with_the_dead_mans_switch() {
    let mut rig = rig::new(&["tBTCUSD"], true);
    let said = rig.open(LINK_PRIVATE, 0);
    let login: serde_json::Value = serde_json::from_str(&said.sent[0].1).unwrap();
    assert_eq!(
        (&login["event"], &login["dms"]),
        (&"auth".into(), &4.into())
    );
    let mut out = Said::default();
    let venue = &mut rig.venue;
    let refused = venue.new_order(&rig.registry, &new_order(1), at_ms(0), &mut out);
    assert_eq!(refused, Err(EntryError::NotReady));
    let said = good(&mut rig, LINK_PRIVATE, 1, "entry_login_ack");
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    let venue = &mut rig.venue;
    assert_eq!(
        venue.new_order(&rig.registry, &new_order(1), at_ms(2), &mut out),
        Ok(())
    );
    venue.on_closed(LINK_PRIVATE, at_ms(3), &mut out);
    let refused = venue.new_order(&rig.registry, &new_order(2), at_ms(4), &mut out);
    assert_eq!(refused, Err(EntryError::NotReady));
    // The next login has a higher nonce, even at the same time.
    let again: serde_json::Value =
        serde_json::from_str(&rig.open(LINK_PRIVATE, 0).sent[0].1).unwrap();
    assert!(again["authNonce"].as_str().unwrap() > login["authNonce"].as_str().unwrap());
}

#[test]
fn refused_logins() {
    let mut rig = rig::new(&["tBTCUSD"], true);
    rig.open(LINK_PRIVATE, 0);
    let said = good(&mut rig, LINK_PRIVATE, 1, "entry_login_refused");
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "login refused")]);
    // A key that may only read.
    rig.open(LINK_PRIVATE, 2);
    let said = good(&mut rig, LINK_PRIVATE, 3, "entry_login_read_only");
    assert_eq!(said.events, ["LoginRefused(Permission)"]);
    assert!(said.reconnects.is_empty());
    let mut out = Said::default();
    let venue = &mut rig.venue;
    let refused = venue.new_order(&rig.registry, &new_order(1), at_ms(4), &mut out);
    assert_eq!(refused, Err(EntryError::NotReady));
    // None at all.
    rig.open(LINK_PRIVATE, 100);
    assert!(rig.deadline(10_099).reconnects.is_empty());
    assert_eq!(rig.deadline(10_100).reconnects.len(), 1);
}

#[test]
fn silence_is_pinged_and_then_ends_the_link() {
    let mut rig = rig::ready();
    assert!(rig.deadline(19_999).sent.is_empty());
    let ping = r#"{"event":"ping","cid":1}"#.to_owned();
    let said = rig.deadline(20_000);
    assert_eq!(
        said.sent,
        [(LINK_MARKET, ping.clone()), (LINK_PRIVATE, ping.clone())]
    );
    assert!(rig.deadline(21_000).sent.is_empty(), "one ping at a time");
    good(&mut rig, LINK_MARKET, 22_000, "feed_pong");
    let said = rig.deadline(28_000);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "no pong")]);
    assert_eq!(rig.deadline(42_000).sent, [(LINK_MARKET, ping)]);
}

#[test]
fn maintenance_holds_new_orders_until_it_ends() {
    let mut rig = rig::ready();
    good(&mut rig, LINK_MARKET, 0, "feed_snapshot");
    let said = good(&mut rig, LINK_MARKET, 1, "feed_info_maintenance");
    assert_eq!(
        said.events,
        [
            "Book Delta -1..-1 prev 2 checksum None 0x0",
            "Ignored maintenance: nothing new is sent until it ends"
        ],
        "the book is stale"
    );
    let mut out = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    let order = venue.new_order(registry, &new_order(1), at_ms(2), &mut out);
    assert_eq!(order, Err(EntryError::NotReady));
    let order = venue.cancel_order(registry, &cancel(1, 7), at_ms(2), &mut out);
    assert_eq!(order, Ok(()), "what rests may be taken away");
    // The order link is not made anew: that would cost all orders.
    let said = good(&mut rig, LINK_PRIVATE, 3, "feed_info_maintenance_ended");
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    assert!(said.reconnects.is_empty());
    let said = good(&mut rig, LINK_MARKET, 3, "feed_info_maintenance_ended");
    assert_eq!(said.reconnects.len(), 1);
    let venue = &mut rig.venue;
    let order = venue.new_order(&rig.registry, &new_order(1), at_ms(4), &mut out);
    assert_eq!(order, Ok(()));
    // A server that begins in maintenance confirms nothing for as long as it takes.
    rig.close(LINK_MARKET, 5);
    rig.open(LINK_MARKET, 6);
    let status = fixture("feed_info").replace(r#""status":1"#, r#""status":0"#);
    rig.text(LINK_MARKET, 7, &status).1.unwrap();
    assert!(rig.deadline(15_000).reconnects.is_empty());
}

// ---- books ----

struct Book {
    keeper: Keeper<BitfinexSync>,
    instrument: dp_types::Instrument,
    outcomes: Vec<Outcome>,
    said: Said,
}

impl Sink for Book {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            let outcome = self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
            self.outcomes.push(outcome);
        }
        self.said.event(event);
    }
    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.said.send_text(link, text);
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.said.request(link, request);
    }
    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.said.reconnect(link, why);
    }
}

impl Book {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(BitfinexSync::new(&instrument)),
            instrument,
            outcomes: Vec::new(),
            said: Said::default(),
        }
    }

    fn feed(&mut self, rig: &mut Rig, ms: u64, text: &str) -> Outcome {
        let mut bytes = text.as_bytes().to_vec();
        let (venue, registry) = (&mut rig.venue, &rig.registry);
        venue
            .on_text(registry, LINK_MARKET, at_ms(ms), &mut bytes, self)
            .unwrap();
        *self.outcomes.last().unwrap()
    }
}

#[test]
fn the_checksum_is_about_the_book_after_all_earlier_frames() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    book.feed(&mut rig, 0, fixture("feed_snapshot"));
    let outcome = book.feed(&mut rig, 1, fixture("feed_checksum"));
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!(book.keeper.counts().checksums_ok, 1);
    let outcome = book.feed(&mut rig, 2, "[17082,[65000,2,1.2],3,1]");
    assert_eq!(outcome, Outcome::Applied);
    let outcome = book.feed(&mut rig, 3, r#"[17082,"cs",-228054655,4,1]"#);
    assert!(matches!(outcome, Outcome::BadChecksum { .. }));
    assert_eq!(book.keeper.proof().state, State::Waiting);
}

#[test]
fn a_number_left_out_on_any_channel_makes_the_book_stale_and_the_link_new() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    book.feed(&mut rig, 0, fixture("feed_snapshot"));
    // Of trades, and of a channel nobody asked for.
    for text in [r#"[17084,"hb",2,1]"#, r#"[99,"hb",3,1]"#] {
        rig.text(LINK_MARKET, 1, text).1.unwrap();
    }
    let gap = Gap {
        expected: 4,
        got: 5,
    };
    let outcome = book.feed(&mut rig, 2, r#"[17084,"hb",5,1]"#);
    assert_eq!(outcome, Outcome::Gap(gap));
    assert_eq!(book.said.reconnects.len(), 1);
    let outcome = book.feed(&mut rig, 3, "[17082,[65000,2,1.2],6,1]");
    assert_eq!(outcome, Outcome::Ignored);
    // A new connection counts from one again, on channels of its own.
    rig.close(LINK_MARKET, 4);
    rig::market(&mut rig, 5);
    let outcome = book.feed(&mut rig, 6, fixture("feed_snapshot"));
    assert_eq!((outcome, book.said.reconnects.len()), (Outcome::Applied, 1));
}

#[test]
fn a_lost_book_is_subscribed_anew_and_every_third_time_the_link_is() {
    let mut rig = rig::ready();
    let ask = |rig: &mut Rig, ms| {
        let mut said = Said::default();
        let (venue, registry) = (&mut rig.venue, &rig.registry);
        venue.request_snapshot(registry, BTC, at_ms(ms), &mut said);
        said
    };
    let unsubscribe = r#"{"event":"unsubscribe","chanId":17082}"#.to_owned();
    assert_eq!(ask(&mut rig, 0).sent, [(LINK_MARKET, unsubscribe.clone())]);
    assert!(ask(&mut rig, 1).sent.is_empty(), "it is under way");
    let said = good(&mut rig, LINK_MARKET, 2, "feed_unsubscribed");
    assert!(
        said.sent[0]
            .1
            .contains(r#""channel":"book","symbol":"tBTCUSD""#)
    );
    assert!(ask(&mut rig, 3).sent.is_empty(), "a whole book is coming");
    good(&mut rig, LINK_MARKET, 4, "feed_subscribed_book");
    assert!(ask(&mut rig, 5).sent.is_empty(), "twice a second at most");
    assert_eq!(rig.venue.next_deadline(), Some(at_ms(500).unix));
    assert_eq!(rig.deadline(500).sent, [(LINK_MARKET, unsubscribe.clone())]);
    good(&mut rig, LINK_MARKET, 501, "feed_unsubscribed");
    good(&mut rig, LINK_MARKET, 502, "feed_subscribed_book");
    let said = ask(&mut rig, 2_000);
    assert!(said.sent.is_empty());
    assert_eq!(said.reconnects[0].0, LINK_MARKET, "the third in a row");
    // After a calm minute it counts anew; one that does not come back takes the link with it.
    rig.close(LINK_MARKET, 2_001);
    rig::market(&mut rig, 2_002);
    assert_eq!(ask(&mut rig, 70_000).sent, [(LINK_MARKET, unsubscribe)]);
    good(&mut rig, LINK_MARKET, 70_001, "feed_pong");
    let said = rig.deadline(80_000);
    assert_eq!(said.reconnects.len(), 1, "{said:?}");
}

#[test]
fn a_second_book_of_an_instrument_is_not_mixed_in() {
    let mut rig = rig::ready();
    let deep = fixture("feed_subscribed_book").replace("17082", "17099");
    rig.text(LINK_MARKET, 0, &deep).1.unwrap();
    let (said, _) = rig.text(LINK_MARKET, 1, "[17099,[[65000,3,1.5]],1,1]");
    assert_eq!(said.events, ["Ignored a second book of this instrument"]);
    let coarse = deep.replace("P0", "P3").replace("17099", "17098");
    rig.text(LINK_MARKET, 2, &coarse).1.unwrap();
    let (said, _) = rig.text(LINK_MARKET, 3, "[17098,[[65000,3,1.5]],2,1]");
    assert_eq!(said.events, ["Ignored a second book of this instrument"]);
}

// ---- orders ----

#[test]
fn orders_are_rounded_and_named_and_addressed() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue
        .new_order(registry, &new_order(1), at_ms(10), &mut said)
        .unwrap();
    // Before the venue has named it: by our id and the day it was sent on, even after midnight.
    let midnight = DAY_MS - START_MS % DAY_MS;
    venue
        .cancel_order(registry, &cancel(1, 0), at_ms(midnight + 5), &mut said)
        .unwrap();
    let answer = fixture("entry_new_ack").as_bytes();
    venue
        .on_text(
            registry,
            LINK_PRIVATE,
            at_ms(11),
            &mut answer.to_vec(),
            &mut said,
        )
        .unwrap();
    for order_id in [0, 185_815_098_001] {
        venue
            .cancel_order(registry, &cancel(1, order_id), at_ms(12), &mut said)
            .unwrap();
    }
    // Of an earlier run, without a venue's id: today's date is tried.
    venue
        .cancel_order(registry, &cancel(99, 0), at_ms(13), &mut said)
        .unwrap();
    let sent: Vec<_> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        sent,
        [
            r#"[0,"on",null,{"cid":4294967297,"type":"EXCHANGE LIMIT","symbol":"tBTCUSD","amount":"-1","price":"65001","flags":4096}]"#,
            r#"[0,"oc",null,{"cid":4294967297,"cid_date":"2025-10-09"}]"#,
            r#"[0,"oc",null,{"id":185815098001}]"#,
            r#"[0,"oc",null,{"id":185815098001}]"#,
            r#"[0,"oc",null,{"cid":4294967395,"cid_date":"2025-10-09"}]"#,
        ]
    );
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1, 0)
    };
    let error = venue.cancel_order(registry, &unknown, at_ms(10), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn prices_can_be_amended_and_quantities_cannot() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue
        .new_order(registry, &new_order(1), at_ms(0), &mut said)
        .unwrap();
    let amend = |sequence, price: i64, qty: Option<i64>| AmendOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(u128::from(sequence) + 6),
        price: Some(Price(price)),
        qty: qty.map(Qty),
    };
    let whole = 650_020_000_000_000;
    let half = 650_025_000_000_000;
    for (amend, want) in [
        (amend(1, half, None), Ok(())),
        (amend(2, whole, None), Ok(())),
        (amend(2, half, None), Err(EntryError::Unsupported)),
        (amend(1, whole, Some(5)), Err(EntryError::Unsupported)),
    ] {
        let got = venue.amend_order(registry, &amend, at_ms(1), &mut said);
        assert_eq!(got, want, "{amend:?}");
    }
    let sent: Vec<_> = said.sent[1..]
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(
        sent,
        [
            r#"[0,"ou",null,{"id":7,"price":"65003"}]"#,
            r#"[0,"ou",null,{"id":8,"price":"65002"}]"#,
        ],
        "a sell is rounded up"
    );
}

#[test]
fn all_orders_are_cancelled_by_the_best_name_of_each() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let live: Vec<_> = (1..=80)
        .map(|n| cancel(n, if n % 40 == 0 { 0 } else { u128::from(n) }))
        .collect();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue
        .cancel_all(registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let lens: Vec<_> = said
        .sent
        .iter()
        .map(|(_, text)| {
            let message: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(message[1], "oc_multi");
            let of = |key: &str| message[3][key].as_array().map_or(0, Vec::len);
            (of("id"), of("cid"))
        })
        .collect();
    assert_eq!(lens, [(74, 0), (0, 1), (4, 0), (0, 1)]);
    let more: Vec<_> = (100..1_100).map(|n| cancel(n, u128::from(n))).collect();
    let result = venue.cancel_all(registry, BTC, &more, at_ms(1), &mut said);
    assert_eq!(result, Err(EntryError::RateLimited), "a thousand in 5 min");
}

#[test]
fn a_rate_refusal_stops_orders_for_a_second() {
    let mut rig = rig::ready();
    good(&mut rig, LINK_PRIVATE, 100, "entry_reject_rate");
    let mut out = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    let order = new_order(2);
    let refused = venue.new_order(registry, &order, at_ms(1_000), &mut out);
    assert_eq!(refused, Err(EntryError::RateLimited));
    let order = venue.new_order(registry, &order, at_ms(1_100), &mut out);
    assert_eq!(order, Ok(()));
}

#[test]
fn what_is_free_is_asked_for_once_a_second() {
    let mut rig = rig::ready();
    good(&mut rig, LINK_PRIVATE, 0, "account_wallet");
    good(&mut rig, LINK_PRIVATE, 0, "account_wallet");
    let calc = r#"[0,"calc",null,[["wallet_exchange_USD"]]]"#.to_owned();
    let at = rig.venue.next_deadline();
    assert_eq!(at, Some(at_ms(0).unix));
    assert_eq!(rig.deadline(0).sent, [(LINK_PRIVATE, calc.clone())]);
    let answer = fixture("account_wallet").replace("9340.5,0,null", "9340.5,0,9000.25");
    let (said, _) = rig.text(LINK_PRIVATE, 1, &answer);
    assert_eq!(
        said.events,
        ["Balance AssetId(1) free 9000.25 locked 340.25"]
    );
    good(&mut rig, LINK_PRIVATE, 2, "account_wallet");
    assert!(rig.deadline(999).sent.is_empty());
    assert_eq!(rig.deadline(1_000).sent, [(LINK_PRIVATE, calc)]);
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 802, "{told:?}");
}
