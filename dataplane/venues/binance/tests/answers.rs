//! REST answers that come twice, late, broken or never.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_binance::{LINK_MD, LINK_ORDERS, LINK_REST};
use rig::{Keys, Rig, fixture};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

fn named(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    assert_eq!(said.requests.len(), 1);
    said.requests.remove(0)
}

fn snapshot(rig: &mut Rig, ms: u64) -> Vec<Request> {
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
    said.requests
}

/// The one request an answer led to.
fn next(rig: &mut Rig, ms: u64, asked: &Request, body: &str) -> Request {
    let (mut said, result) = rig.response(ms, asked.tag, 200, body);
    assert_eq!((result, said.requests.len()), (Ok(()), 1), "{said:?}");
    said.requests.remove(0)
}

fn trades(symbol: &str, ids: std::ops::RangeInclusive<u64>) -> String {
    let items: Vec<_> = ids
        .map(|id| {
            format!(
                r#"{{"symbol":"{symbol}","id":{id},"orderId":77,"price":"1","qty":"1","commission":"0","commissionAsset":"BNB","time":1,"isBuyer":true,"isMaker":true}}"#
            )
        })
        .collect();
    format!("[{}]", items.join(","))
}

/// Two symbols with their rules, keys, everything open.
fn two() -> Rig {
    let mut rig = rig::new(&["BTCUSDT", "ETHUSDT"], Keys::Hmac);
    let asked = rig.open(LINK_REST, 0).requests.remove(0);
    rig.response(0, asked.tag, 200, fixture("rest_exchange_info_halt"))
        .1
        .unwrap();
    rig
}

const EMPTY_ACCOUNT: &str = r#"{"balances":[]}"#;

#[test]
fn a_trades_answer_that_comes_twice_is_not_the_next_symbols() {
    let mut rig = two();
    let orders = reconcile(&mut rig, 0);
    let btc = next(&mut rig, 1, &orders, "[]");
    // The link is cut with the request in its queue; it is asked again, and both are answered.
    rig.close(LINK_REST, 2);
    let again = rig.open(LINK_REST, 3).requests.remove(0);
    assert!(again.line.contains("myTrades?symbol=BTCUSDT&limit"));
    assert_eq!(btc.tag, again.tag, "the same question");
    let eth = next(&mut rig, 4, &again, &trades("BTCUSDT", 4_000..=4_001));
    assert!(eth.line.contains("myTrades?symbol=ETHUSDT&limit"));
    let (said, result) = rig.response(5, btc.tag, 200, &trades("BTCUSDT", 4_000..=4_001));
    assert_eq!((said.requests.len(), result), (0, Ok(())));
    assert_eq!(said.events.len(), 2, "fills are true whenever told");
    let account = next(&mut rig, 6, &eth, &trades("ETHUSDT", 7..=9));
    rig.response(7, account.tag, 200, EMPTY_ACCOUNT).1.unwrap();

    let orders = reconcile(&mut rig, 100);
    let btc = next(&mut rig, 101, &orders, "[]");
    assert!(btc.line.contains("&fromId=4002&"), "{}", btc.line);
    let eth = next(&mut rig, 102, &btc, "[]");
    assert!(eth.line.contains("&fromId=10&"), "{}", eth.line);
}

/// Later pages of one symbol: an answer that comes twice does not turn two pages.
#[test]
fn a_page_that_comes_twice_turns_one() {
    let mut rig = two();
    let orders = reconcile(&mut rig, 0);
    let btc = next(&mut rig, 1, &orders, "[]");
    let eth = next(&mut rig, 2, &btc, &trades("BTCUSDT", 1..=1));
    let account = next(&mut rig, 3, &eth, "[]");
    rig.response(4, account.tag, 200, EMPTY_ACCOUNT).1.unwrap();
    let orders = reconcile(&mut rig, 100);
    let first = next(&mut rig, 101, &orders, "[]");
    let second = next(&mut rig, 102, &first, &trades("BTCUSDT", 2..=1_001));
    assert!(second.line.contains("symbol=BTCUSDT&fromId=1002&"));
    let (said, _) = rig.response(103, first.tag, 200, &trades("BTCUSDT", 2..=1_001));
    assert!(said.requests.is_empty());
    let eth = next(&mut rig, 104, &second, &trades("BTCUSDT", 1_002..=1_003));
    assert!(eth.line.contains("symbol=ETHUSDT&"));
}

#[test]
fn open_orders_and_balances_of_another_run_are_not_read() {
    let mut rig = two();
    let old = reconcile(&mut rig, 0);
    let new = reconcile(&mut rig, 1);
    let (said, result) = rig.response(2, old.tag, 200, fixture("rest_open_orders"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    assert!(said.requests.is_empty());
    next(&mut rig, 3, &new, fixture("rest_open_orders"));
    let (said, _) = rig.response(4, new.tag, 200, fixture("rest_open_orders"));
    assert!(said.requests.is_empty(), "nor twice");
}

#[test]
fn trades_are_known_only_once_a_reconciliation_is_complete() {
    let mut rig = rig::ready(Keys::Hmac);
    let orders = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &orders, "[]");
    next(&mut rig, 2, &asked, &trades("BTCUSDT", 5_000..=5_001));
    // Given up before its end: what it saw of trades is asked for again.
    let orders = reconcile(&mut rig, 10);
    let asked = next(&mut rig, 11, &orders, "[]");
    assert!(!asked.line.contains("fromId"), "{}", asked.line);
    let account = next(&mut rig, 12, &asked, &trades("BTCUSDT", 5_000..=5_001));
    rig.response(13, account.tag, 200, EMPTY_ACCOUNT).1.unwrap();
    let orders = reconcile(&mut rig, 20);
    let asked = next(&mut rig, 21, &orders, "[]");
    assert!(asked.line.contains("&fromId=5002&"), "{}", asked.line);
}

#[test]
fn every_answer_about_an_order_with_fills_asks_for_its_trades() {
    let mut rig = rig::ready(Keys::Ed25519);
    let states = [
        "NEW",
        "PARTIALLY_FILLED",
        "FILLED",
        "CANCELED",
        "EXPIRED",
        "EXPIRED_IN_MATCH",
        "REJECTED",
    ];
    let found = |name: &str, state: &str| {
        let text = fixture(name).replace(r#""status":"FILLED""#, r#""status":"PARTIALLY_FILLED""#);
        text.replace("PARTIALLY_FILLED", state)
    };
    // The trades were lost, refused, or could not be read: the next answer asks again.
    let failures = [(0, ""), (500, "<html>"), (200, "[{}]"), (200, "{")];
    for state in states {
        for (status, body) in failures {
            let text = found("entry_query_partial", state);
            let (said, result) = rig.text(LINK_ORDERS, 1, &text);
            assert_eq!((result, said.requests.len()), (Ok(()), 1), "{state}");
            let (twice, _) = rig.text(LINK_ORDERS, 2, &text);
            assert!(twice.requests.is_empty(), "its trades are on the way");
            let lost = said.requests[0].tag;
            assert!(rig.response(3, lost, status, body).1.is_err());
        }
    }
    // No answer at all, with the link and without.
    let text = found("entry_query_partial", "FILLED");
    assert_eq!(rig.text(LINK_ORDERS, 4, &text).0.requests.len(), 1);
    rig.close(LINK_REST, 5);
    rig.open(LINK_REST, 6);
    assert_eq!(rig.text(LINK_ORDERS, 7, &text).0.requests.len(), 1);
    assert_eq!(rig.text(LINK_ORDERS, 60_000, &text).0.requests.len(), 1);
    let (said, _) = rig.text(LINK_ORDERS, 120_000, &text);
    let refused = rig.response(120_000, said.requests[0].tag, 429, "");
    assert!(refused.1.is_err());
    assert!(rig.text(LINK_ORDERS, 120_001, &text).0.requests.is_empty());
    assert_eq!(rig.text(LINK_ORDERS, 180_000, &text).0.requests.len(), 1);
    assert!(rig.deadline(190_000).requests.is_empty());
    rig.close(LINK_REST, 190_001);
    rig.open(LINK_REST, 190_002);
    rig.close(LINK_ORDERS, 190_003);
    for state in states {
        let mut said = Said::default();
        rig.venue
            .query_order(&rig.registry, &named(1), at_ms(190_004), &mut said)
            .unwrap();
        let (said, result) = rig.response(
            190_005,
            said.requests[0].tag,
            200,
            &found("rest_order", state),
        );
        assert_eq!((result, said.requests.len()), (Ok(()), 1), "{state}");
        let asked = &said.requests[0];
        assert!(asked.line.contains("myTrades?symbol=BTCUSDT&orderId="));
        let (said, _) = rig.response(190_006, asked.tag, 200, fixture("rest_my_trades"));
        assert!(said.events[0].starts_with("Fill 1 trade 4500000002"));
    }
}

/// Many orders asked about every second must not fill the link's queue before what is more urgent.
#[test]
fn only_so_many_questions_about_orders_are_on_their_way() {
    let mut rig = rig::ready(Keys::Hmac);
    rig.close(LINK_ORDERS, 0);
    let ask = |rig: &mut Rig, sequence: u32| {
        let mut said = Said::default();
        let result = rig
            .venue
            .query_order(&rig.registry, &named(sequence), at_ms(1), &mut said);
        (result, said.requests)
    };
    let (result, first) = ask(&mut rig, 1);
    assert_eq!((result, first.len()), (Ok(()), 1));
    let (result, again) = ask(&mut rig, 1);
    assert_eq!((result, again.len()), (Ok(()), 0), "it is on its way");
    let asked = (2..100)
        .filter(|sequence| ask(&mut rig, *sequence).0.is_ok())
        .count();
    assert_eq!(asked, 31);
    assert_eq!(snapshot(&mut rig, 2).len(), 1, "not held up");
    assert!(rig.response(3, first[0].tag, 0, "").1.is_err());
    assert_eq!(ask(&mut rig, 1).1.len(), 1, "lost: again");
    assert_eq!(ask(&mut rig, 99).0, Err(EntryError::RateLimited));
}

#[test]
fn one_bad_trade_of_a_page_does_not_hide_the_others() {
    let mut rig = rig::ready(Keys::Hmac);
    let orders = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &orders, "[]");
    let page = trades("BTCUSDT", 1..=3).replacen(r#""price":"1""#, r#""price":"x""#, 2);
    let page = page.replacen(r#""price":"x""#, r#""price":"1""#, 1);
    let (said, result) = rig.response(2, asked.tag, 200, &page);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!(said.events.len(), 2);
    assert_eq!(rig.deadline(2_000).requests[0].tag, asked.tag, "not passed");
}

#[test]
fn an_order_of_many_trades_is_read_to_its_end() {
    let mut rig = rig::ready(Keys::Ed25519);
    let (said, _) = rig.text(LINK_ORDERS, 1, fixture("entry_query_partial"));
    // A full page is the newest one: from the oldest then.
    let newest = next(
        &mut rig,
        2,
        &said.requests[0],
        &trades("BTCUSDT", 501..=1_500),
    );
    assert!(newest.line.contains("orderId=77&fromId=0&limit=1000&"));
    let rest = next(&mut rig, 3, &newest, &trades("BTCUSDT", 1..=1_000));
    assert!(rest.line.contains("orderId=77&fromId=1001&"));
    let (said, _) = rig.response(4, rest.tag, 200, &trades("BTCUSDT", 1_001..=1_500));
    assert_eq!((said.events.len(), said.requests.len()), (500, 0));
}

#[test]
fn whatever_is_lost_is_asked_again_once_and_signed_anew() {
    let mut rig = rig::new(&["BTCUSDT"], Keys::Hmac);
    let mut ms = 0;
    // The lane's order: each request's status 0, then the end of the link; and the other way round.
    let lose = |rig: &mut Rig, asked: &Request, ms: u64| {
        assert!(rig.response(ms, asked.tag, 0, "").1.is_err());
        rig.close(LINK_REST, ms);
        assert!(rig.deadline(ms + 60_000).requests.is_empty(), "no link");
        let mut again = rig.open(LINK_REST, ms + 61_000).requests;
        assert_eq!(again.len(), 1, "{}", asked.line);
        rig.close(LINK_REST, ms + 61_001);
        assert!(rig.response(ms + 61_001, again[0].tag, 0, "").1.is_err());
        again = rig.open(LINK_REST, ms + 63_000).requests;
        assert_eq!(again.len(), 1, "{}", asked.line);
        // A queue that was full: the link stays.
        assert!(rig.response(ms + 63_001, again[0].tag, 0, "").1.is_err());
        assert!(rig.deadline(ms + 63_500).requests.is_empty(), "a pause");
        again = rig.deadline(ms + 65_000).requests;
        assert_eq!(again.len(), 1, "{}", asked.line);
        assert!(rig.deadline(ms + 67_000).requests.is_empty(), "one copy");
        let name = |line: &str| line.split('?').next().unwrap().to_owned();
        assert_eq!(name(&again[0].line), name(&asked.line));
        if asked.line.contains("signature=") {
            assert_ne!(again[0].line, asked.line, "a time of its own");
        }
        again.remove(0)
    };
    let asked = rig.open(LINK_REST, ms).requests.remove(0);
    let rules = lose(&mut rig, &asked, ms);
    ms += 100_000;
    rig.response(ms, rules.tag, 200, fixture("rest_exchange_info"))
        .1
        .unwrap();
    let asked = snapshot(&mut rig, ms).remove(0);
    let depth = lose(&mut rig, &asked, ms);
    ms += 100_000;
    rig.response(ms, depth.tag, 200, fixture("rest_depth"))
        .1
        .unwrap();
    let mut asked = reconcile(&mut rig, ms);
    for body in ["[]", "[]", EMPTY_ACCOUNT] {
        let again = lose(&mut rig, &asked, ms);
        ms += 100_000;
        let (mut said, result) = rig.response(ms, again.tag, 200, body);
        assert_eq!(result, Ok(()));
        match said.requests.pop() {
            Some(request) => asked = request,
            None => assert_eq!(said.events, ["Reconciled"]),
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_asked_again() {
    let mut rig = rig::ready(Keys::None);
    let asked = snapshot(&mut rig, 0).remove(0);
    for body in ["{", r#"{"lastUpdateId":-1,"bids":[],"asks":[]}"#] {
        let asked = if body == "{" {
            asked.clone()
        } else {
            rig.deadline(1_000).requests.remove(0)
        };
        let (_, result) = rig.response(0, asked.tag, 200, body);
        assert!(matches!(result, Err(Fault::Decode(_))));
    }
    assert_eq!(rig.deadline(2_000).requests.len(), 1);
}

#[test]
fn a_new_stream_does_not_wait_for_the_old_ones_snapshot() {
    let mut rig = rig::ready(Keys::None);
    let old = snapshot(&mut rig, 0).remove(0);
    rig.close(LINK_MD, 300);
    rig.open(LINK_MD, 400);
    let new = snapshot(&mut rig, 401).remove(0);
    // The old answer, or its loss, is not the new one's.
    let (said, result) = rig.response(402, old.tag, 200, fixture("rest_depth"));
    assert_eq!(said.events, ["Ignored a snapshot nobody waits for"]);
    assert_eq!(result, Ok(()));
    assert!(rig.response(403, old.tag, 0, "").1.is_err());
    assert!(rig.deadline(3_000).requests.is_empty());
    let (said, _) = rig.response(3_001, new.tag, 200, fixture("rest_depth"));
    assert!(said.events[0].starts_with("Book Snapshot"));
    let (said, _) = rig.response(3_002, new.tag, 200, fixture("rest_depth"));
    assert!(!said.events[0].starts_with("Book"), "nor twice");
}

#[test]
fn one_symbol_the_venue_does_not_know_does_not_hold_up_the_others() {
    let mut rig = rig::new(&["NOPEUSDT", "BTCUSDT", "B-D"], Keys::None);
    let all = rig.open(LINK_REST, 0).requests.remove(0);
    let (mut said, result) = rig.response(1, all.tag, 400, fixture("rest_bad_symbol"));
    assert!(result.is_err());
    let nope = said.requests.remove(0);
    assert_eq!(nope.line, "GET /api/v3/exchangeInfo?symbol=NOPEUSDT");
    // Lost, then refused: named, and on to the next.
    assert!(rig.response(2, nope.tag, 0, "").1.is_err());
    let nope = rig.deadline(1_002).requests.remove(0);
    let (mut said, result) = rig.response(1_003, nope.tag, 400, fixture("rest_bad_symbol"));
    let unlisted = |id| Err(Fault::Decode(DecodeError::Unlisted(InstrumentId(id))));
    assert_eq!(result, unlisted(0));
    let btc = said.requests.remove(0);
    assert_eq!(btc.line, "GET /api/v3/exchangeInfo?symbol=BTCUSDT");
    let (mut said, result) = rig.response(1_004, btc.tag, 200, fixture("rest_exchange_info"));
    assert_eq!(result, Ok(()));
    assert!(said.events.is_empty());
    let last = said.requests.remove(0);
    // An answer of before counts for nothing.
    assert!(
        rig.response(1_005, nope.tag, 400, "{}")
            .0
            .requests
            .is_empty()
    );
    let illegal = r#"{"code":-1100,"msg":"Illegal characters found in parameter 'symbol'."}"#;
    let (said, result) = rig.response(1_006, last.tag, 400, illegal);
    assert_eq!(
        (said.events, result),
        (vec!["InstrumentsReady".to_owned()], unlisted(2))
    );
    let is_live = |id| rig.registry.get(InstrumentId(id)).unwrap().is_live;
    assert_eq!((is_live(0), is_live(1), is_live(2)), (false, true, false));
    assert_eq!(rig.venue.next_deadline(), None);
}

#[test]
fn asking_symbol_by_symbol_keeps_to_the_weight() {
    let symbols: Vec<_> = (0..300).map(|n| format!("S{n}")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let mut rig = rig::new(&symbols, Keys::None);
    let mut asked = rig.open(LINK_REST, 0).requests;
    let mut count = 0;
    while let Some(request) = asked.pop() {
        count += 1;
        asked = rig
            .response(1, request.tag, 400, fixture("rest_bad_symbol"))
            .0
            .requests;
    }
    assert_eq!(count, 240, "4,800 of weight at 20 each");
    assert!(rig.deadline(30_000).requests.is_empty());
    assert_eq!(rig.deadline(70_000).requests.len(), 1);
}

fn is_stopped(rig: &mut Rig, ms: u64) -> bool {
    let order = NewOrder {
        instrument: BTC,
        client_id: client(1),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(650_000_100),
        qty: Qty(1_000_000),
    };
    let mut said = Said::default();
    let registry = &rig.registry;
    let refused = [
        rig.venue.new_order(registry, &order, at_ms(ms), &mut said),
        rig.venue
            .cancel_order(registry, &named(1), at_ms(ms), &mut said),
        rig.venue
            .cancel_all(registry, BTC, &[], at_ms(ms), &mut said),
        rig.venue
            .query_order(registry, &named(1), at_ms(ms), &mut said),
    ];
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
    let is_stopped = refused == [Err(EntryError::RateLimited); 4];
    assert_eq!(is_stopped, said.requests.is_empty() && said.sent.is_empty());
    is_stopped
}

#[test]
fn a_refusal_for_rate_stops_everything_until_the_time_it_names() {
    let until = |ms: u64| format!("RateLimited {{ until_ms: {} }}", START_MS + ms);
    let words = |ms: u64| {
        let at = START_MS + ms;
        format!(
            r#"{{"code":-1003,"msg":"Way too much request weight used; IP banned until {at}."}}"#
        )
    };
    // Status and Retry-After, words, both (the later counts), neither.
    for (status, retry_after_s, body, stop_ms) in [
        (418, Some(200), "{}".to_owned(), 200_000),
        (418, None, words(150_000), 150_000),
        (418, Some(100), words(150_000), 150_000),
        (429, Some(200), words(150_000), 200_000),
        (403, None, words(150_000), 150_000),
        (418, None, "<html>".to_owned(), 120_000),
        (429, None, String::new(), 60_000),
    ] {
        let mut rig = rig::ready(Keys::Ed25519);
        let asked = snapshot(&mut rig, 0).remove(0);
        let (said, result) = rig.limited(0, asked.tag, status, &body, retry_after_s);
        assert!(result.is_err());
        assert_eq!(said.events, [until(stop_ms)], "{status} {body}");
        assert!(is_stopped(&mut rig, stop_ms - 1), "{status} {body}");
        assert!(rig.deadline(stop_ms - 1).requests.is_empty());
        assert!(!is_stopped(&mut rig, stop_ms), "{status} {body}");
    }
    // The WebSocket API: of an order, of nothing, and of a stream link.
    for (link, status, id) in [
        (LINK_ORDERS, Some(418), r#""n-1z141z5-0""#),
        (LINK_ORDERS, Some(400), r#""n-1z141z5-0""#),
        (LINK_ORDERS, Some(429), "null"),
        (LINK_MD, None, ""),
    ] {
        let mut rig = rig::ready(Keys::Ed25519);
        let error = words(90_000);
        let text = match status {
            Some(status) => format!(r#"{{"id":{id},"status":{status},"error":{error}}}"#),
            None => error,
        };
        let (said, result) = rig.text(link, 0, &text);
        assert_eq!(result, Ok(()), "{text}");
        assert!(said.events.contains(&until(90_000)), "{text}");
        assert!(is_stopped(&mut rig, 89_999) && !is_stopped(&mut rig, 90_000));
    }
}

#[test]
fn a_lost_query_says_nothing_and_asks_for_nothing() {
    let mut rig = rig::ready(Keys::Hmac);
    rig.close(LINK_ORDERS, 0);
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &named(1), at_ms(1), &mut said)
        .unwrap();
    let (lost, result) = rig.response(2, said.requests[0].tag, 0, "");
    let unknown = Fault::Venue {
        code: 0,
        reason: RejectReason::UnknownOutcome,
    };
    assert_eq!((lost.events.len(), result), (0, Err(unknown)));
    assert!(rig.deadline(60_000).requests.is_empty(), "its owner asks");
}
