//! What becomes of requests whose answers are late, lost, refused or double.
#![allow(missing_docs)]

mod rig;

use dp_types::{CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, OrderId, RejectReason};
use dp_venue_api::{DecodeError, EntryError, Fault, RestTag, Venue};
use dp_venue_huobi::{LINK_ORDERS, LINK_REST, LINK_USER};
use rig::{Rig, fixture};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const EMPTY: &str = r#"{"status":"ok","data":[]}"#;

fn named(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        order_id: OrderId(0),
    }
}

/// A ready machine whose dead man's switch is armed for a while.
fn ready() -> Rig {
    let mut rig = rig::ready();
    let tag = rig.deadline(0).requests[0].tag;
    rig.response(0, tag, 200, fixture("rest_cancel_all_after"))
        .1
        .unwrap();
    rig
}

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    said.requests.pop().expect("a request")
}

fn next(rig: &mut Rig, ms: u64, asked: &Request, body: &str) -> Request {
    let (mut said, result) = rig.response(ms, asked.tag, 200, body);
    assert_eq!(result, Ok(()));
    said.requests.pop().expect("a request")
}

/// A page of so many fills with ids down from `top`.
fn fills(top: u64, count: u64) -> String {
    let items: Vec<_> = (0..count)
        .map(|at| {
            format!(
                r#"{{"symbol":"btcusdt","fee-currency":"usdt","price":"1","created-at":1,"role":"taker","order-id":1,"trade-id":{0},"filled-amount":"1","filled-fees":"0.1","id":{0},"type":"buy-ioc"}}"#,
                top - at
            )
        })
        .collect();
    format!(r#"{{"status":"ok","data":[{}]}}"#, items.join(","))
}

#[test]
fn rules_and_account_are_asked_for_until_they_are_here() {
    let mut rig = rig::new(&["btcusdt"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    for (ms, status, body) in [
        (0, 503, "<html>"),
        (2_000, 0, ""),
        (4_000, 200, fixture("rest_too_many")),
        (8_000, 200, r#"{"status":"ok"}"#),
    ] {
        for request in &asked {
            assert!(rig.response(ms, request.tag, status, body).1.is_err());
        }
        let again: Vec<_> = rig.deadline(ms + 2_000).requests;
        let tags: Vec<_> = again.iter().map(|request| request.tag).collect();
        assert_eq!(tags, [asked[0].tag, asked[1].tag], "after {status} {body}");
    }
    // No answer at all, then the link's end.
    assert_eq!(rig.deadline(60_000).requests.len(), 2);
    rig.close(LINK_REST, 60_001);
    assert!(rig.deadline(200_000).requests.is_empty());
    assert_eq!(rig.open(LINK_REST, 200_001).requests.len(), 2);
    let none = r#"{"status":"ok","data":[{"id":1,"type":"spot","state":"lock"},{"id":2,"type":"otc","state":"working"}]}"#;
    let (_, result) = rig.response(200_002, asked[1].tag, 200, none);
    assert_eq!(
        result,
        Err(DecodeError::Shape("no working spot account").into())
    );
}

#[test]
fn an_answer_of_another_run_moves_nothing() {
    let mut rig = ready();
    let first = reconcile(&mut rig, 100);
    assert!(rig.response(200, first.tag, 502, "bad gateway").1.is_err());
    let again = rig.deadline(1_200).requests;
    assert_eq!(again[0].tag, first.tag);
    let second = reconcile(&mut rig, 1_300);
    assert_ne!(second.tag, first.tag);
    let (old, result) = rig.response(1_400, first.tag, 200, fixture("rest_open_orders"));
    assert_eq!(result, Ok(()));
    assert_eq!(old.events, ["Ignored an answer of another reconciliation"]);
    assert!(old.requests.is_empty());
    let step = next(&mut rig, 1_500, &second, EMPTY);
    let (double, _) = rig.response(1_600, second.tag, 200, EMPTY);
    assert_eq!(
        double.events,
        ["Ignored an answer of another reconciliation"]
    );
    let balance = next(&mut rig, 1_700, &step, EMPTY);
    let (said, _) = rig.response(1_800, balance.tag, 200, fixture("rest_balance"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    let (said, _) = rig.response(1_900, balance.tag, 200, fixture("rest_balance"));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
}

#[test]
fn every_step_survives_the_links_end() {
    let mut rig = ready();
    let mut ms = 10_000;
    let mut asked = reconcile(&mut rig, ms);
    for body in [EMPTY, EMPTY, fixture("rest_balance")] {
        rig.close(LINK_REST, ms + 1);
        assert!(rig.response(ms + 1, asked.tag, 0, "").1.is_err());
        assert!(rig.deadline(ms + 5_000).requests.is_empty(), "no link");
        let sent = rig.open(LINK_REST, ms + 6_000).requests;
        let again = sent
            .iter()
            .find(|request| request.tag == asked.tag)
            .expect("asked again");
        ms += 10_000;
        let (mut said, result) = rig.response(ms, again.tag, 200, body);
        assert_eq!(result, Ok(()));
        match said.requests.pop() {
            Some(request) => asked = request,
            None => assert_eq!(said.events.last().unwrap(), "Reconciled"),
        }
    }
}

#[test]
fn symbols_are_gone_through_one_by_one_and_unlisted_ones_passed() {
    let mut rig = rig::new(&["btcusdt", "nopeusdt", "ethbtc"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    assert!(
        rig.response(0, asked[0].tag, 200, fixture("rest_market_symbols"))
            .1
            .is_err()
    );
    rig.response(0, asked[1].tag, 200, fixture("rest_accounts"))
        .1
        .unwrap();
    rig::log_in(&mut rig, 0);
    let mut step = reconcile(&mut rig, 1);
    let mut seen = Vec::new();
    for ms in 2..6 {
        let path = step.line.split('?').next().unwrap().to_owned();
        let symbol = step.line.split("symbol=").nth(1).unwrap();
        seen.push((path, symbol.split('&').next().unwrap().to_owned()));
        step = next(&mut rig, ms, &step, EMPTY);
    }
    let both = |path: &str| {
        ["btcusdt", "ethbtc"].map(|symbol| (format!("GET /v1/order/{path}"), symbol.to_owned()))
    };
    assert_eq!(seen, [both("openOrders"), both("matchresults")].concat());
    assert!(step.line.contains("/balance"));
}

#[test]
fn full_pages_go_on_from_the_oldest_and_never_in_circles() {
    let mut rig = ready();
    let step = reconcile(&mut rig, 1);
    let step = next(&mut rig, 2, &step, EMPTY);
    let step = next(&mut rig, 3, &step, &fills(2_000, 500));
    assert!(
        step.line.contains("direct=next&from=1501&size=500"),
        "{}",
        step.line
    );
    let step = next(&mut rig, 4, &step, &fills(1_501, 500));
    assert!(step.line.contains("from=1002"), "{}", step.line);
    // One that brings nothing older proves nothing: the run starts over, and does not end.
    let (said, result) = rig.response(5, step.tag, 200, &fills(2_000, 500));
    assert_eq!(result, Err(DecodeError::TooMuch("fills").into()));
    assert!(said.requests.is_empty() && said.events.iter().all(|it| it.starts_with("Fill")));
    assert!(rig.deadline(4_000).requests.is_empty());
    let again = rig.deadline(10_006).requests;
    assert!(
        again.iter().any(|it| it.line.contains("openOrders")),
        "{again:?}"
    );
    let step = again
        .into_iter()
        .find(|it| it.line.contains("openOrders"))
        .unwrap();
    let step = next(&mut rig, 10_010, &step, EMPTY);
    let step = next(&mut rig, 10_011, &step, &fills(700, 499));
    assert!(
        step.line.contains("/balance"),
        "a page that is not full is the last"
    );
}

#[test]
fn one_bad_fill_of_a_page_does_not_hide_the_others() {
    let mut rig = ready();
    let step = reconcile(&mut rig, 0);
    let step = next(&mut rig, 1, &step, EMPTY);
    let page = fills(3, 3).replacen(r#""price":"1""#, r#""price":"x""#, 1);
    let (said, result) = rig.response(2, step.tag, 200, &page);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!((said.events.len(), said.requests.len()), (2, 0));
    assert_eq!(rig.deadline(2_000).requests[0].tag, step.tag, "not passed");
}

#[test]
fn a_balance_that_cannot_be_read_does_not_hide_the_others() {
    let mut rig = ready();
    let step = reconcile(&mut rig, 0);
    let step = next(&mut rig, 1, &step, EMPTY);
    let step = next(&mut rig, 2, &step, EMPTY);
    let body = fixture("rest_balance").replace("9340.000000000000000000", "x");
    let (said, result) = rig.response(3, step.tag, 200, &body);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!(said.events, ["Balance AssetId(0) free 0.5 locked 0"]);
    let (said, _) = rig.response(4, step.tag, 200, fixture("rest_balance"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
}

#[test]
fn orders_are_queried_once_and_only_so_many_at_a_time() {
    let mut rig = ready();
    let mut said = Said::default();
    let query = |rig: &mut Rig, n: u32, ms: u64, said: &mut Said| {
        rig.venue
            .query_order(&rig.registry, &named(n), at_ms(ms), said)
    };
    let results: Vec<_> = (1..=40).map(|n| query(&mut rig, n, 0, &mut said)).collect();
    let sent = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!((sent, said.requests.len()), (32, 32));
    assert_eq!(results[39], Err(EntryError::RateLimited));
    let first = said.requests[0].tag;
    assert!(rig.response(1, first, 0, "").1.is_err(), "lost");
    assert_eq!(query(&mut rig, 1, 2, &mut said), Ok(()));
    assert_eq!(said.requests.len(), 33, "asked again");
    rig.close(LINK_REST, 3);
    assert_eq!(query(&mut rig, 50, 4, &mut said), Err(EntryError::NotReady));
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..named(1)
    };
    let result = rig
        .venue
        .query_order(&rig.registry, &unknown, at_ms(5), &mut said);
    assert_eq!(result, Err(EntryError::UnknownInstrument));
    assert!(matches!(
        rig.response(6, RestTag(99), 200, EMPTY).1,
        Err(Fault::Decode(DecodeError::Shape("a tag that is not ours")))
    ));
}

#[test]
fn a_refusal_for_rate_stops_everything_but_cancels() {
    let until = |ms: u64| format!("RateLimited {{ until_ms: {} }}", START_MS + ms);
    let cancel = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        rig.venue
            .cancel_order(&rig.registry, &named(1), at_ms(ms), &mut said)
    };
    let query = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        rig.venue
            .query_order(&rig.registry, &named(2), at_ms(ms), &mut said)
    };
    for (status, retry_after_s, body, stop_ms) in [
        (429, None, fixture("rest_too_many"), 2_000),
        (200, None, fixture("rest_too_many"), 2_000),
        (429, Some(30), "<html>", 30_000),
        (200, None, r#"{"code":429,"message":"x"}"#, 2_000),
    ] {
        let mut rig = ready();
        let step = reconcile(&mut rig, 0);
        let (said, result) = rig.limited(0, step.tag, status, body, retry_after_s);
        let reason = match result {
            Err(Fault::Venue { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason, RejectReason::RateLimit);
        assert_eq!(said.events, [until(stop_ms)], "{status} {body}");
        assert_eq!(query(&mut rig, stop_ms - 1), Err(EntryError::RateLimited));
        assert_eq!(cancel(&mut rig, stop_ms - 1), Ok(()), "what rests must go");
        assert_eq!(query(&mut rig, stop_ms), Ok(()));
    }
    let mut rig = ready();
    let refused = fixture("entry_reject_rate").replace("n1z141z5I1", "c1z141z5");
    let (said, _) = rig.text(LINK_ORDERS, 0, &refused);
    assert_eq!(
        said.events,
        ["Ack 1 order 0 RateLimit 1".to_owned(), until(2_000)]
    );
    assert_eq!(
        cancel(&mut rig, 1),
        Err(EntryError::RateLimited),
        "a cancel was refused"
    );
    assert_eq!(cancel(&mut rig, 2_001), Ok(()));
    let no_id = r#"{"status":"error","err-code":"too-many-requests","err-msg":"x"}"#;
    let (said, result) = rig.text(LINK_ORDERS, 3_000, no_id);
    assert_eq!(said.events, [until(5_000)]);
    assert!(result.is_err());
}

#[test]
fn answers_of_a_batch_are_read_one_by_one() {
    let mut rig = ready();
    let text = r#"{"status":"ok","data":{"success":[7,"sl1z141z5","5"],"failed":[{"client-order-id":"sl1z141z6","err-code":"base-request-exceed-frequency-limit"},{"client-order-id":"sl1z141z7"},{}]},"cid":"b7"}"#;
    let (said, result) = rig.text(LINK_ORDERS, 0, text);
    assert_eq!(result, Err(DecodeError::Field("success").into()));
    assert_eq!(
        said.events,
        [
            "Ack 1 order 0 None 0",
            "Ack 2 order 0 RateLimit 1",
            "Ack 3 order 0 Other 1",
            "RateLimited { until_ms: 1760000002000 }"
        ],
        "the stop is kept"
    );
    for (text, event) in [
        (
            r#"{"status":"error","err-code":"system-error","cid":"b7"}"#,
            "Ignored a cancel of several orders was refused",
        ),
        (
            r#"{"status":"ok","data":{"success":["5"],"failed":[]},"cid":"b7"}"#,
            "Ignored an answer about orders that are not ours",
        ),
        (
            r#"{"status":"ok","data":"5","cid":"hbx-1"}"#,
            "Ignored an answer about orders that are not ours",
        ),
    ] {
        let (said, result) = rig.text(LINK_ORDERS, 0, text);
        assert_eq!((said.events, result), (vec![event.to_owned()], Ok(())));
    }
    let (said, _) = rig.text(
        LINK_ORDERS,
        0,
        r#"{"status":"error","err-code":"invalid-client-order-id","cid":"n1z141z5I1"}"#,
    );
    assert_eq!(
        said.events[1], "Order 1 UNKNOWN DuplicateId px - qty - cum -",
        "it may be ours"
    );
}

#[test]
fn orders_of_others_do_no_harm() {
    let mut rig = ready();
    for (from, to) in [
        ("\"btcusdt\"", "\"ethusdt\""),
        ("orders#btcusdt", "orders#ethusdt"),
    ] {
        let push = fixture("account_order_partial").replace(from, to);
        let (said, result) = rig.text(LINK_USER, 0, &push);
        assert_eq!((said.events.len(), result), (1, Ok(())));
    }
    let push = fixture("account_clearing").replace("\"btcusdt\"", "\"ethusdt\"");
    let (said, result) = rig.text(LINK_USER, 0, &push);
    assert_eq!(
        said.events,
        ["Ignored an order of an instrument we do not follow"]
    );
    assert_eq!(result, Ok(()));
    let push = fixture("account_update").replace("usdt", "doge");
    let (said, _) = rig.text(LINK_USER, 0, &push);
    assert_eq!(
        said.events,
        ["Ignored a balance of an asset nobody trades here"]
    );
}

/// Two armings that leave a stalled link together would break the venue's limit.
#[test]
fn the_dead_mans_switch_is_asked_for_one_at_a_time() {
    let mut rig = rig::ready();
    let first = rig.deadline(0).requests.remove(0);
    for ms in (0..12_000).step_by(500) {
        assert!(rig.deadline(ms).requests.is_empty(), "{ms}");
    }
    assert!(
        rig.response(11_000, first.tag, 200, r#"{"code":200}"#)
            .1
            .is_ok()
    );
    assert_eq!(rig.deadline(11_001).requests.len(), 1, "and at once then");
    assert_eq!(rig.deadline(23_001).requests.len(), 1, "or without answer");
    let refused = r#"{"code":2003,"message":"x"}"#;
    assert!(rig.response(23_100, first.tag, 200, refused).1.is_err());
    assert_eq!(
        rig.deadline(25_200).requests.len(),
        1,
        "a refusal is no arming"
    );
}
