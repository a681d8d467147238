//! Answers and pushes that come twice, late, broken or never.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_bybit::{LINK_ORDERS, LINK_PRIVATE, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
/// A run begins so far before the last known fill.
const OVERLAP_MS: u64 = 60_000;

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

/// Everything open, the dead man's switch settled: nothing else is due for 20 s.
fn ready() -> Rig {
    let mut rig = rig::ready();
    rig.text(dp_venue_bybit::LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    let info = rig.deadline(0).requests.remove(0);
    rig.response(0, info.tag, 200, fixture("rest_dcp_info_none"))
        .1
        .unwrap();
    rig
}

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    assert_eq!(said.requests.len(), 1);
    said.requests.remove(0)
}

fn query(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &named(1), at_ms(ms), &mut said)
        .unwrap();
    said.requests.remove(0)
}

/// The one request an answer led to.
fn next(rig: &mut Rig, ms: u64, asked: &Request, body: &str) -> Request {
    let (mut said, result) = rig.response(ms, asked.tag, 200, body);
    assert_eq!((result, said.requests.len()), (Ok(()), 1), "{said:?}");
    said.requests.remove(0)
}

fn list(items: &[String], cursor: &str) -> String {
    format!(
        r#"{{"retCode":0,"retMsg":"OK","result":{{"list":[{}],"nextPageCursor":"{cursor}"}},"time":1}}"#,
        items.join(",")
    )
}

/// Fills of these times, newest first, and where the next page begins.
fn fills(times: std::ops::RangeInclusive<u64>, cursor: &str) -> String {
    let fill = |ms: u64| {
        format!(
            r#"{{"symbol":"BTCUSDT","execId":"{ms}","orderId":"77","orderLinkId":"","execType":"Trade","execPrice":"1","execQty":"1","side":"Buy","isMaker":false,"execFee":"0.1","execTime":"{}"}}"#,
            START_MS + ms
        )
    };
    list(&times.rev().map(fill).collect::<Vec<_>>(), cursor)
}

fn orders(ids: std::ops::RangeInclusive<u64>, cursor: &str) -> String {
    let order = |id| {
        format!(
            r#"{{"category":"linear","symbol":"BTCUSDT","orderId":"{id}","orderLinkId":"","price":"1","qty":"1","side":"Buy","orderStatus":"New","cumExecQty":"0","updatedTime":"1"}}"#
        )
    };
    list(&ids.map(order).collect::<Vec<_>>(), cursor)
}

#[test]
fn pages_are_turned_by_the_venues_cursor_once_each() {
    let mut rig = ready();
    let first = reconcile(&mut rig, 0);
    // The link is cut with the request in its queue; it is asked again, and both are answered.
    rig.close(LINK_REST, 2);
    let again = rig.open(LINK_REST, 3).requests;
    assert_eq!(again[0].tag, first.tag, "the same question");
    let second = next(&mut rig, 4, &first, &orders(1..=50, "p%3A2"));
    assert!(second.line.ends_with("&limit=50&cursor=p%3A2"));
    let (said, result) = rig.response(5, first.tag, 200, &orders(1..=50, "p%3A2"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    assert!(said.requests.is_empty());
    let newest = next(&mut rig, 6, &second, &orders(51..=60, ""));
    assert_eq!(
        newest.line,
        "GET /v5/execution/list?category=linear&limit=100"
    );
    let older = next(&mut rig, 7, &newest, &fills(101..=200, "q"));
    assert!(older.line.ends_with("cursor=q"));
    let (said, _) = rig.response(8, newest.tag, 200, &fills(101..=200, "q"));
    assert_eq!(said.events.len(), 100, "fills are true whenever told");
    assert!(said.requests.is_empty());
    let positions = next(&mut rig, 9, &older, &fills(60..=100, ""));
    let balance = next(&mut rig, 10, &positions, fixture("rest_empty_list"));
    let (said, _) = rig.response(11, balance.tag, 200, fixture("rest_wallet"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    let (said, _) = rig.response(12, balance.tag, 200, fixture("rest_wallet"));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
}

/// The end of a run whose orders are asked for; returns how the fills were asked for.
fn run(rig: &mut Rig, ms: u64, fills: &str) -> String {
    let asked = reconcile(rig, ms);
    let asked = next(rig, ms, &asked, fixture("rest_empty_list"));
    let positions = next(rig, ms, &asked, fills);
    let balance = next(rig, ms, &positions, fixture("rest_empty_list"));
    let (said, _) = rig.response(ms, balance.tag, 200, fixture("rest_wallet"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    asked.line
}

#[test]
fn fills_are_known_only_once_a_reconciliation_is_complete() {
    let mut rig = ready();
    let asked = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &asked, fixture("rest_empty_list"));
    next(&mut rig, 2, &asked, &fills(1..=50, ""));
    // Given up before its end.
    let line = run(&mut rig, 1_100, &fills(1..=70, ""));
    assert!(!line.contains("startTime"));
    let line = run(&mut rig, 3_000, fixture("rest_empty_list"));
    let since = START_MS + 70 - OVERLAP_MS;
    assert!(line.ends_with(&format!("&startTime={since}")), "{line}");
    // A start more than six days ago would hide the newest: the venue's own seven days are asked for.
    let line = run(&mut rig, 6 * 86_400_000 + 100, fixture("rest_empty_list"));
    assert!(!line.contains("startTime"), "{line}");
}

#[test]
fn a_list_without_end_is_an_error_and_proves_nothing() {
    let mut rig = ready();
    let mut asked = reconcile(&mut rig, 0);
    for page in 0..49 {
        asked = next(&mut rig, page * 30, &asked, &orders(1..=1, "again"));
    }
    let (said, result) = rig.response(1_500, asked.tag, 200, &orders(1..=1, "again"));
    assert_eq!(result, Err(DecodeError::TooMuch("open orders").into()));
    assert!(said.requests.is_empty());
    assert!(rig.deadline(11_499).requests.is_empty());
    let anew = rig.deadline(11_500).requests.remove(0);
    assert!(!anew.line.contains("cursor"), "from the start");
    // Fills beyond the maximum: the run goes on, and what was not read is not taken for known.
    let mut known = ready();
    run(&mut known, 0, &fills(1..=10, ""));
    let asked = reconcile(&mut known, 2_000);
    let mut asked = next(&mut known, 2_000, &asked, fixture("rest_empty_list"));
    let mut ms = 2_000;
    for _ in 0..49 {
        ms += 30;
        asked = next(&mut known, ms, &asked, &fills(500..=501, "more"));
    }
    let (mut said, result) = known.response(ms, asked.tag, 200, &fills(500..=501, "more"));
    assert_eq!(result, Err(DecodeError::TooMuch("fills").into()));
    let positions = match said.requests.pop() {
        Some(request) => request,
        None => known.deadline(ms + 1_100).requests.remove(0),
    };
    let balance = next(
        &mut known,
        ms + 1_200,
        &positions,
        fixture("rest_empty_list"),
    );
    known
        .response(ms + 1_300, balance.tag, 200, fixture("rest_wallet"))
        .1
        .unwrap();
    let line = run(&mut known, 20_000, fixture("rest_empty_list"));
    assert!(
        line.ends_with(&format!("startTime={}", START_MS + 10 - OVERLAP_MS)),
        "{line}"
    );
}

#[test]
fn every_answer_about_an_order_with_fills_asks_for_them() {
    let item = |state: &str| fixture("rest_order").replace(r#""Filled""#, &format!("\"{state}\""));
    for state in [
        "New",
        "PartiallyFilled",
        "Filled",
        "Cancelled",
        "PartiallyFilledCanceled",
        "Rejected",
    ] {
        for (status, body) in [(0, ""), (429, ""), (200, r#"{"retCode":0,"result":{}}"#)] {
            let mut rig = ready();
            let asked = query(&mut rig, 1);
            let (said, result) = rig.response(2, asked.tag, 200, &item(state));
            assert_eq!((result, said.requests.len()), (Ok(()), 1), "{state}");
            let asked = query(&mut rig, 2);
            let (twice, _) = rig.response(2, asked.tag, 200, &item(state));
            assert!(twice.requests.is_empty(), "its fills are on the way");
            // It never came, was refused, or could not be read: the next answer asks again.
            let lost = said.requests[0].tag;
            assert!(rig.response(3, lost, status, body).1.is_err());
            assert!(rig.deadline(4_000).requests.is_empty());
            let asked = query(&mut rig, 4_001);
            let fills = next(&mut rig, 4_002, &asked, &item(state));
            let (said, _) = rig.response(4_003, fills.tag, 200, fixture("rest_executions"));
            assert!(said.events[0].starts_with("Fill 1 trade "));
            assert!(said.requests.is_empty());
        }
    }
    // More than a page of them: the fills get the name of the order asked about.
    let mut rig = ready();
    let asked = query(&mut rig, 10);
    let asked = next(&mut rig, 11, &asked, &item("Filled"));
    let older = next(&mut rig, 12, &asked, &fills(101..=200, "x y"));
    assert!(older.line.ends_with("orderId=77&limit=100&cursor=x%20y"));
    let (said, _) = rig.response(13, older.tag, 200, &fills(50..=100, ""));
    assert_eq!((said.events.len(), said.requests.len()), (51, 0));
    assert!(said.events[0].starts_with("Fill 1 trade 100 "));
}

#[test]
fn only_so_many_questions_about_orders_are_on_their_way() {
    let mut rig = ready();
    let ask = |rig: &mut Rig, sequence: u32, ms: u64| {
        let mut said = Said::default();
        let result = rig
            .venue
            .query_order(&rig.registry, &named(sequence), at_ms(ms), &mut said);
        (result, said.requests)
    };
    let (result, first) = ask(&mut rig, 1, 1);
    assert_eq!((result, first.len()), (Ok(()), 1));
    let (result, again) = ask(&mut rig, 1, 1);
    assert_eq!((result, again.len()), (Ok(()), 0), "it is on its way");
    let asked = (2..60).filter(|it| ask(&mut rig, *it, 1).0.is_ok()).count();
    assert_eq!(asked, 31);
    assert!(rig.response(3, first[0].tag, 0, "").1.is_err());
    assert_eq!(ask(&mut rig, 1, 4).1.len(), 1, "lost: again");
    assert_eq!(ask(&mut rig, 59, 4).0, Err(EntryError::RateLimited));
    // The link is gone with all of them, or no answer came at all.
    rig.close(LINK_REST, 6_000);
    assert_eq!(ask(&mut rig, 1, 6_500).0, Err(EntryError::NotReady));
    rig.open(LINK_REST, 7_000);
    for ms in [8_000, 60_000] {
        let asked = (1..60)
            .filter(|it| ask(&mut rig, *it, ms).0.is_ok())
            .count();
        assert_eq!(asked, 32);
    }
}

#[test]
fn whatever_is_lost_is_asked_again_once_and_signed_anew() {
    let mut rig = ready();
    let time = |request: &Request| {
        let mut headers = request.headers.iter();
        headers
            .find(|(name, _)| name == "X-BAPI-TIMESTAMP")
            .map(|(_, value)| value.clone())
    };
    let mut ms = 1_000;
    let mut asked = reconcile(&mut rig, ms);
    for name in [
        "rest_empty_list",
        "rest_empty_list",
        "rest_empty_list",
        "rest_wallet",
    ] {
        // The lane's order: the request's status 0, then the end of the link.
        assert!(rig.response(ms, asked.tag, 0, "").1.is_err());
        rig.close(LINK_REST, ms);
        let again = rig.open(LINK_REST, ms + 2_000).requests;
        assert_eq!(again.len(), 1, "{}", asked.line);
        // A queue that was full: the link stays.
        assert!(rig.response(ms + 2_001, again[0].tag, 0, "").1.is_err());
        assert!(rig.deadline(ms + 2_500).requests.is_empty(), "a pause");
        let again = rig.deadline(ms + 3_100).requests;
        assert_eq!(again.len(), 1, "{}", asked.line);
        assert!(rig.deadline(ms + 4_000).requests.is_empty(), "one copy");
        assert_eq!(again[0].line, asked.line);
        assert_ne!(time(&again[0]), time(&asked), "a time of its own");
        ms += 4_200;
        let (mut said, result) = rig.response(ms, again[0].tag, 200, fixture(name));
        assert_eq!(result, Ok(()));
        match said.requests.pop() {
            Some(request) => asked = request,
            None => assert_eq!(said.events.last().unwrap(), "Reconciled"),
        }
    }
}

#[test]
fn one_bad_item_does_not_hide_the_others() {
    let mut rig = ready();
    let asked = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &asked, fixture("rest_empty_list"));
    let page = fills(1..=3, "").replacen(r#""execPrice":"1""#, r#""execPrice":"x""#, 1);
    let (said, result) = rig.response(2, asked.tag, 200, &page);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!((said.events.len(), said.requests.len()), (2, 0));
    assert_eq!(rig.deadline(2_000).requests[0].tag, asked.tag, "not passed");

    let item = |name: &str| {
        let push = fixture(name);
        let start = push.find(r#""data":["#).unwrap() + 8;
        push[start..].strip_suffix("]}").unwrap().to_owned()
    };
    for (name, from, to, field) in [
        (
            "account_order_partial",
            r#""orderStatus":"PartiallyFilled""#,
            r#""orderStatus":"Held""#,
            "orderStatus",
        ),
        (
            "account_order_partial",
            r#""cumExecQty":"0.004""#,
            r#""cumExecQty":"x""#,
            "cumExecQty",
        ),
        (
            "account_order_partial",
            r#""side":"Buy""#,
            r#""side":"Both""#,
            "side",
        ),
        (
            "account_order_partial",
            r#""symbol":"BTCUSDT","#,
            "",
            "symbol",
        ),
        (
            "account_execution",
            r#""execPrice":"65000.00""#,
            r#""execPrice":"65.0.0""#,
            "execPrice",
        ),
        (
            "account_execution",
            r#""execId":"0ab1bdf7-4219-438b-b30a-32ec863018f7""#,
            r#""execId":"""#,
            "execId",
        ),
        (
            "account_position",
            r#""side":"Sell""#,
            r#""side":"""#,
            "side",
        ),
        ("account_wallet", r#""coin":[{"#, r#""coins":[{"#, "coin"),
    ] {
        let good = item(name);
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let topic = name.split('_').nth(1).unwrap();
        let push = format!(r#"{{"topic":"{topic}","data":[{good},{bad},{good}]}}"#);
        let (said, result) = rig::ready().text(LINK_PRIVATE, 1, &push);
        let named = match result {
            Err(Fault::Decode(
                DecodeError::Field(name) | DecodeError::Number { field: name, .. },
            )) => name,
            other => panic!("{to}: {other:?}"),
        };
        assert_eq!((named, said.events.len()), (field, 2), "{to}");
    }
}

#[test]
fn a_refusal_for_rate_stops_everything_but_cancels() {
    let until = |ms: u64| format!("RateLimited {{ until_ms: {} }}", START_MS + ms);
    let body = |code: &str| format!(r#"{{"retCode":{code},"retMsg":"","result":{{}}}}"#);
    let order = NewOrder {
        instrument: BTC,
        client_id: client(1),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_100),
        qty: Qty(10_000),
    };
    let calls = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        let results = [
            rig.venue
                .new_order(&rig.registry, &order, at_ms(ms), &mut said),
            rig.venue
                .cancel_order(&rig.registry, &named(1), at_ms(ms), &mut said),
            rig.venue
                .cancel_all(&rig.registry, BTC, &[named(1)], at_ms(ms), &mut said),
            rig.venue
                .query_order(&rig.registry, &named(1), at_ms(ms), &mut said),
        ];
        let sent = said.sent.len() + said.requests.len();
        assert_eq!(sent, results.iter().filter(|it| it.is_ok()).count());
        results
    };
    let stopped = Err(EntryError::RateLimited);
    for (status, retry_after_s, body, stop_ms) in [
        (429, None, String::new(), 1_000),
        (200, None, body("10006"), 1_000),
        (429, Some(30), String::new(), 30_000),
        (200, Some(7), body("10006"), 7_000),
        (200, Some(3_600), body("10429"), 60_000),
    ] {
        let mut rig = ready();
        let asked = reconcile(&mut rig, 0);
        let (said, result) = rig.limited(0, asked.tag, status, &body, retry_after_s);
        assert!(matches!(result, Err(Fault::Venue { .. })), "{result:?}");
        assert_eq!(said.events, [until(stop_ms)], "{status} {body}");
        let held = [stopped, Ok(()), Ok(()), stopped];
        assert_eq!(calls(&mut rig, stop_ms - 1), held, "what rests must go");
        assert_eq!(calls(&mut rig, stop_ms + 1_100), [Ok(()); 4]);
    }
    // The address is refused: silence.
    let mut rig = ready();
    let asked = reconcile(&mut rig, 0);
    let (said, result) = rig.response(0, asked.tag, 403, "access too frequent");
    let refused = Fault::Venue {
        code: 403,
        reason: RejectReason::RateLimit,
    };
    assert_eq!(result, Err(refused));
    assert_eq!(said.events, [until(600_000)]);
    assert_eq!(calls(&mut rig, 599_999), [stopped; 4]);
    // A refused cancel holds cancels too.
    let mut rig = ready();
    let text =
        r#"{"reqId":"c1z141z5N1","op":"order.cancel","retCode":10006,"retMsg":"","data":{}}"#;
    let (said, _) = rig.text(LINK_ORDERS, 0, text);
    assert!(said.events.contains(&until(1_000)));
    assert_eq!(calls(&mut rig, 999), [stopped; 4]);
    assert_eq!(calls(&mut rig, 1_000)[1], Ok(()));
}

#[test]
fn a_batch_of_which_one_was_refused_for_rate_stops_cancels() {
    let mut rig = ready();
    let text = concat!(
        r#"{"reqId":"b1N1","op":"order.cancel-batch","retCode":0,"retMsg":"OK","data":{"list":["#,
        r#"{"orderId":"7","orderLinkId":"sl-1z141z5"},{"orderId":"","orderLinkId":"sl-1z141z6"}]},"#,
        r#""retExtInfo":{"list":[{"code":0,"msg":"OK"},{"code":10006,"msg":"Too many visits!"}]}}"#
    );
    let (said, result) = rig.text(LINK_ORDERS, 0, text);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Ack 1 order 7 None 0".to_owned(),
            "Ack 2 order 0 RateLimit 10006".to_owned(),
            format!("RateLimited {{ until_ms: {} }}", START_MS + 1_000),
        ]
    );
}
