//! Answers and pushes that come twice, late, broken or never.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const EMPTY: &str = r#"{"code":"0","msg":"","data":[]}"#;

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

/// Everything open, and the dead man's switch armed at `START_MS`: next in 5 s.
fn ready() -> Rig {
    let mut rig = rig::ready();
    let armed = rig.deadline(0).requests.remove(0);
    rig.response(0, armed.tag, 200, fixture("rest_cancel_all_after"))
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

fn snapshot(rig: &mut Rig, ms: u64) -> Vec<Request> {
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
    let is_book = |request: &Request| request.line.contains("market/books");
    said.requests.into_iter().filter(is_book).collect()
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

fn list(items: &[String]) -> String {
    format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, items.join(","))
}

/// Fills, newest first.
fn fills(bills: std::ops::RangeInclusive<u64>) -> String {
    let fill = |bill| {
        format!(
            r#"{{"instId":"BTC-USDT","tradeId":"{bill}","ordId":"77","clOrdId":"","billId":"{bill}","fillPx":"1","fillSz":"1","side":"buy","execType":"T","feeCcy":"USDT","fee":"-0.1","ts":"1"}}"#
        )
    };
    list(&bills.rev().map(fill).collect::<Vec<_>>())
}

fn pending(orders: std::ops::RangeInclusive<u64>) -> String {
    let order = |id| {
        format!(
            r#"{{"instId":"BTC-USDT","ordId":"{id}","clOrdId":"","px":"1","sz":"1","side":"buy","state":"live","accFillSz":"0","uTime":"1"}}"#
        )
    };
    list(&orders.rev().map(order).collect::<Vec<_>>())
}

#[test]
fn an_answer_that_comes_twice_turns_one_page() {
    let mut rig = ready();
    let first = reconcile(&mut rig, 0);
    // The link is cut with the request in its queue; it is asked again, and both are answered.
    rig.close(LINK_REST, 2);
    let again = rig.open(LINK_REST, 3).requests;
    let again = again
        .iter()
        .find(|request| request.line.contains("pending"));
    assert_eq!(again.unwrap().tag, first.tag, "the same question");
    let second = next(&mut rig, 4, &first, &pending(101..=200));
    assert!(second.line.ends_with("after=101"));
    let (said, result) = rig.response(5, first.tag, 200, &pending(101..=200));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    assert!(said.requests.is_empty());
    let newest = next(&mut rig, 6, &second, &pending(50..=100));
    assert_eq!(newest.line, "GET /api/v5/trade/fills?limit=100");
    let older = next(&mut rig, 7, &newest, &fills(101..=200));
    let (said, _) = rig.response(8, newest.tag, 200, &fills(101..=200));
    assert_eq!(said.events.len(), 100, "fills are true whenever told");
    assert!(said.requests.is_empty());
    let balance = next(&mut rig, 9, &older, &fills(60..=100));
    assert!(balance.line.ends_with("account/balance"));
    let (said, _) = rig.response(10, balance.tag, 200, fixture("rest_balance"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    let (said, _) = rig.response(11, balance.tag, 200, fixture("rest_balance"));
    assert!(!said.events.contains(&"Reconciled".to_owned()));
}

#[test]
fn fills_are_known_only_once_a_reconciliation_is_complete() {
    let mut rig = ready();
    let asked = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &asked, EMPTY);
    next(&mut rig, 2, &asked, &fills(1..=50));
    // Given up before its end: a full page does not stop at what it saw.
    let asked = reconcile(&mut rig, 10);
    let asked = next(&mut rig, 11, &asked, EMPTY);
    let older = next(&mut rig, 12, &asked, &fills(1..=100));
    assert!(older.line.ends_with("after=1"), "{}", older.line);
    let balance = next(&mut rig, 13, &older, EMPTY);
    rig.response(14, balance.tag, 200, fixture("rest_balance"))
        .1
        .unwrap();
    let asked = reconcile(&mut rig, 20);
    let asked = next(&mut rig, 21, &asked, EMPTY);
    let balance = next(&mut rig, 22, &asked, &fills(100..=199));
    assert!(balance.line.ends_with("account/balance"));
}

/// More fills than we read: what lies between is not taken for known.
#[test]
fn fills_that_were_not_reached_are_tried_again() {
    let mut rig = ready();
    let mut ms = 0;
    let mut run = |rig: &mut Rig, newest: u64, oldest: u64| {
        let asked = reconcile(rig, ms);
        let mut asked = next(rig, ms, &asked, EMPTY);
        let (mut pages, mut top) = (0, newest);
        let mut is_cut = false;
        while asked.line.contains("trade/fills") {
            pages += 1;
            ms += 100; // sixty in two seconds
            let low = top.saturating_sub(99).max(oldest);
            let (said, result) = rig.response(ms, asked.tag, 200, &fills(low..=top));
            is_cut |= result == Err(DecodeError::TooMuch("fills").into());
            top = low - 1;
            asked = said
                .requests
                .into_iter()
                .find(|request| !request.line.contains("cancel-all"))
                .unwrap();
        }
        rig.response(ms, asked.tag, 200, fixture("rest_balance"))
            .1
            .unwrap();
        ms += 100;
        (pages, is_cut)
    };
    assert_eq!(run(&mut rig, 50, 1), (1, false));
    assert_eq!(run(&mut rig, 20_050, 1), (100, true));
    assert_eq!(run(&mut rig, 9_000, 1), (90, false), "back to bill 50");
    assert_eq!(run(&mut rig, 9_050, 1), (1, false));
}

#[test]
fn every_answer_about_an_order_with_fills_asks_for_them() {
    let mut rig = ready();
    let item = |state: &str| {
        fixture("rest_orders_pending").replace(r#""partially_filled""#, &format!("\"{state}\""))
    };
    for state in [
        "live",
        "partially_filled",
        "filled",
        "canceled",
        "mmp_canceled",
    ] {
        for (status, body) in [(0, ""), (429, ""), (200, r#"{"code":"0","data":[{}]}"#)] {
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
            assert_eq!(
                fills.line,
                "GET /api/v5/trade/fills?instId=BTC-USDT&ordId=2497956918703120384&limit=100"
            );
            let (said, _) = rig.response(4_003, fills.tag, 200, fixture("rest_fills"));
            assert!(said.events[0].starts_with("Fill 1 trade 1518905529"));
            assert!(said.requests.is_empty());
        }
    }
    // More than a page of them.
    let asked = query(&mut rig, 10);
    let asked = next(&mut rig, 11, &asked, &item("filled"));
    let older = next(&mut rig, 12, &asked, &fills(101..=200));
    assert!(older.line.ends_with("ordId=77&limit=100&after=101"));
    let (said, _) = rig.response(13, older.tag, 200, &fills(50..=100));
    assert_eq!((said.events.len(), said.requests.len()), (51, 0));
}

/// Many orders asked about every second must not fill the link's queue before the dead man's switch.
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
    let asked = (2..50).filter(|it| ask(&mut rig, *it, 1).0.is_ok()).count();
    assert_eq!(asked, 31);
    assert!(rig.response(3, first[0].tag, 0, "").1.is_err());
    assert_eq!(ask(&mut rig, 1, 4).1.len(), 1, "lost: again");
    assert_eq!(ask(&mut rig, 49, 4).0, Err(EntryError::RateLimited));
    let armed = rig.deadline(5_000).requests.remove(0);
    assert!(armed.line.ends_with("cancel-all-after"), "not held up");
    // The link is gone with all of them, or no answer came at all.
    rig.close(LINK_REST, 6_000);
    rig.open(LINK_REST, 7_000);
    for ms in [8_000, 60_000] {
        let asked = (1..50)
            .filter(|it| ask(&mut rig, *it, ms).0.is_ok())
            .count();
        assert_eq!(asked, 32);
    }
}

#[test]
fn whatever_is_lost_is_asked_again_once_and_signed_anew() {
    let mut rig = rig::new(&["BTC-USDT", "BTC-USDT-SWAP"], true);
    // The lane's order: each request's status 0, then the end of the link; and the other way round.
    let lose = |rig: &mut Rig, asked: &Request, ms: u64| {
        assert!(rig.response(ms, asked.tag, 0, "").1.is_err());
        rig.close(LINK_REST, ms);
        assert!(rig.deadline(ms + 50_000).requests.is_empty(), "no link");
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
        assert!(rig.deadline(ms + 70_000).requests.is_empty(), "one copy");
        let name = |line: &str| line.split('?').next().unwrap().to_owned();
        assert_eq!(name(&again[0].line), name(&asked.line));
        let time = |request: &Request| {
            let mut headers = request.headers.iter();
            headers
                .find(|(name, _)| name == "OK-ACCESS-TIMESTAMP")
                .map(|(_, value)| value.clone())
        };
        if time(asked).is_some() {
            assert_ne!(time(&again[0]), time(asked), "a time of its own");
        }
        again.remove(0)
    };
    let lists = rig.open(LINK_REST, 0).requests;
    rig.response(1, lists[0].tag, 200, fixture("rest_instruments_spot"))
        .1
        .unwrap();
    let swap = lose(&mut rig, &lists[1], 2);
    rig.response(90_000, swap.tag, 200, fixture("rest_instruments_swap"))
        .1
        .unwrap();
    let asked = snapshot(&mut rig, 100_000).remove(0);
    let books = lose(&mut rig, &asked, 100_000);
    rig.response(190_000, books.tag, 200, fixture("rest_books"))
        .1
        .unwrap();
    let mut ms = 200_000;
    let mut asked = reconcile(&mut rig, ms);
    for body in [EMPTY, EMPTY, EMPTY, fixture("rest_balance")] {
        let again = lose(&mut rig, &asked, ms);
        ms += 100_000;
        let (mut said, result) = rig.response(ms, again.tag, 200, body);
        assert_eq!(result, Ok(()));
        asked = said.requests.pop().unwrap();
        let is_last = said.events.last().is_some_and(|it| it == "Reconciled");
        assert_eq!(is_last, asked.line.contains("/account/bills"));
    }
    rig.response(ms, asked.tag, 200, EMPTY).1.unwrap();
    rig.open(LINK_PRIVATE, ms);
    rig.text(LINK_PRIVATE, ms, fixture("entry_login_ack"))
        .1
        .unwrap();
    for _ in 0..3 {
        rig.text(LINK_PRIVATE, ms, r#"{"event":"subscribe","arg":{}}"#)
            .1
            .unwrap();
    }
    let asked = rig.deadline(ms).requests.remove(0);
    // The private link stays open and silent here: its own end is not what is tried.
    let armed = {
        assert!(rig.response(ms + 1, asked.tag, 0, "").1.is_err());
        assert!(rig.deadline(ms + 500).requests.is_empty(), "a pause");
        let again = rig.deadline(ms + 1_100).requests;
        assert_eq!(again.len(), 1);
        rig.close(LINK_REST, ms + 1_200);
        assert!(rig.response(ms + 1_200, again[0].tag, 0, "").1.is_err());
        let mut again = rig.open(LINK_REST, ms + 2_300).requests;
        assert_eq!(again.len(), 1);
        again.remove(0)
    };
    rig.response(ms + 2_400, armed.tag, 200, EMPTY).1.unwrap();
    assert!(rig.deadline(ms + 7_299).requests.is_empty());
    assert_eq!(rig.deadline(ms + 7_300).requests.len(), 1);
}

/// Two armings that leave a stalled link together would break the venue's 1 a second.
#[test]
fn the_dead_mans_switch_is_asked_for_one_at_a_time() {
    let mut rig = rig::ready();
    let first = rig.deadline(0).requests.remove(0);
    for ms in (0..12_000).step_by(500) {
        assert!(rig.deadline(ms).requests.is_empty(), "{ms}");
    }
    assert!(rig.response(11_000, first.tag, 200, EMPTY).1.is_ok());
    assert_eq!(rig.deadline(11_001).requests.len(), 1, "and at once then");
    assert_eq!(rig.deadline(23_001).requests.len(), 1, "or without answer");
    // Nor by a new login, while one is on its way.
    let mut rig = rig::ready();
    let first = rig.deadline(0).requests.remove(0);
    rig.close(LINK_PRIVATE, 1_000);
    rig.open(LINK_PRIVATE, 1_100);
    rig.text(LINK_PRIVATE, 1_200, fixture("entry_login_ack"))
        .1
        .unwrap();
    for _ in 0..2 {
        let ack = r#"{"event":"subscribe","arg":{}}"#;
        rig.text(LINK_PRIVATE, 1_300, ack).1.unwrap();
    }
    assert!(rig.deadline(1_400).requests.is_empty());
    assert!(rig.response(2_000, first.tag, 200, EMPTY).1.is_ok());
    assert!(rig.deadline(4_999).requests.is_empty());
    assert_eq!(rig.deadline(5_000).requests.len(), 1);
}

/// A run that follows on another within a second is over the switch's own limit, and over no other.
#[test]
fn a_switch_refused_for_rate_holds_up_nothing_else() {
    let busy = r#"{"code":"50011","msg":"Rate limit reached.","data":[]}"#;
    for (status, holds) in [(429, false), (200, false), (429, true)] {
        let mut rig = rig::ready();
        let switch = rig.deadline(0).requests.remove(0);
        let retry_after_s = holds.then_some(3);
        let (said, result) = rig.limited(1, switch.tag, status, busy, retry_after_s);
        assert!(result.is_err(), "told");
        let stopped = said.events.iter().any(|it| it.contains("RateLimited"));
        assert_eq!(stopped, holds, "{status}");
        let mut asked = Said::default();
        let took = rig
            .venue
            .query_order(&rig.registry, &named(1), at_ms(2), &mut asked);
        assert_eq!(took.is_ok(), !holds, "{status}");
        assert!(rig.deadline(1_000).requests.is_empty(), "its second");
        let again = rig.deadline(if holds { 4_100 } else { 1_100 }).requests;
        assert_eq!(again[0].line, switch.line, "{status}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_asked_again() {
    let mut rig = ready();
    let asked = snapshot(&mut rig, 0).remove(0);
    let broken = r#"{"code":"0","data":[{"bids":[["x","1"]],"asks":[]}]}"#;
    assert!(rig.response(0, asked.tag, 200, broken).1.is_err());
    assert_eq!(rig.deadline(1_000).requests.len(), 1);
    // Not when one was pushed meanwhile.
    let asked = snapshot(&mut rig, 3_000);
    assert!(asked.is_empty(), "one at a time");
    rig.text(LINK_PUBLIC, 3_001, fixture("feed_snapshot"))
        .1
        .unwrap();
    let asked = snapshot(&mut rig, 3_002).remove(0);
    rig.text(LINK_PUBLIC, 3_003, fixture("feed_snapshot"))
        .1
        .unwrap();
    assert!(rig.response(3_004, asked.tag, 0, "").1.is_err());
    assert!(rig.deadline(4_999).requests.is_empty());
}

#[test]
fn a_new_stream_does_not_wait_for_the_old_ones_snapshot() {
    let mut rig = ready();
    let old = snapshot(&mut rig, 0).remove(0);
    rig.close(LINK_PUBLIC, 600);
    rig.open(LINK_PUBLIC, 700);
    let new = snapshot(&mut rig, 701).remove(0);
    let (said, result) = rig.response(702, old.tag, 200, fixture("rest_books"));
    assert_eq!(said.events, ["Ignored a snapshot nobody waits for"]);
    assert_eq!(result, Ok(()));
    let (said, _) = rig.response(703, new.tag, 200, fixture("rest_books"));
    assert!(said.events[0].starts_with("Book Snapshot"));
}

#[test]
fn a_family_the_venue_does_not_have_does_not_hold_up_the_others() {
    let mut rig = rig::new(&["BTC-USDT", "NOPE-USD-261225-1-C"], false);
    rig.open(LINK_PUBLIC, 0);
    let lists = rig.open(LINK_REST, 0).requests;
    let refusal = r#"{"code":"51000","msg":"Parameter instFamily error","data":[]}"#;
    // The list of all spot symbols names none: its refusal is a failure.
    assert!(rig.response(1, lists[0].tag, 400, refusal).1.is_err());
    let unlisted = Fault::Decode(DecodeError::Unlisted(InstrumentId(1)));
    {
        // Named, whichever list is the last.
        let mut rig = rig::new(&["BTC-USDT", "NOPE-USD-261225-1-C"], false);
        let lists = rig.open(LINK_REST, 0).requests;
        let spot = rig.response(1, lists[0].tag, 200, fixture("rest_instruments_spot"));
        assert_eq!((spot.0.events.len(), spot.1), (0, Ok(())));
        let (said, result) = rig.response(2, lists[1].tag, 400, refusal);
        assert_eq!(said.events, ["InstrumentsReady"]);
        assert_eq!(result, Err(unlisted));
    }
    let (said, result) = rig.response(2, lists[1].tag, 400, refusal);
    assert!(said.events.is_empty() && result.is_err());
    let spot = rig.deadline(1_002).requests;
    assert_eq!(spot.len(), 1, "and only it is asked again");
    let (said, result) = rig.response(1_003, spot[0].tag, 200, fixture("rest_instruments_spot"));
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert_eq!(result, Err(unlisted));
    assert!(rig.registry.get(BTC).unwrap().is_live);
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
    assert!(said.sent[0].1.contains("BTC-USDT") && !said.sent[0].1.contains("NOPE"));
    // A subscription that is refused is answered too.
    let ack = r#"{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}"#;
    rig.text(LINK_PUBLIC, 1_004, ack).1.unwrap();
    rig.text(LINK_PUBLIC, 1_005, ack).1.unwrap();
    let (said, result) = rig.text(LINK_PUBLIC, 1_006, fixture("feed_error_channel"));
    assert!(result.is_err());
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    assert!(rig.deadline(12_000).reconnects.is_empty());
}

#[test]
fn one_bad_fill_of_a_page_does_not_hide_the_others() {
    let mut rig = ready();
    let asked = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &asked, EMPTY);
    let page = fills(1..=3).replacen(r#""fillPx":"1""#, r#""fillPx":"x""#, 1);
    let (said, result) = rig.response(2, asked.tag, 200, &page);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!((said.events.len(), said.requests.len()), (2, 0));
    assert_eq!(rig.deadline(2_000).requests[0].tag, asked.tag, "not passed");
}

#[test]
fn one_bad_item_of_a_push_does_not_hide_the_others() {
    let good = |sequence: &str| {
        let push = fixture("account_order_partial");
        let start = push.find(r#""data":["#).unwrap() + 8;
        let item = push[start..].trim_end().strip_suffix("]}").unwrap();
        item.replace("1518905529", sequence)
    };
    let push = |items: &[String]| {
        format!(
            r#"{{"arg":{{"channel":"orders","instType":"ANY"}},"data":[{}]}}"#,
            items.join(",")
        )
    };
    for (from, to, field) in [
        (
            r#""state":"partially_filled""#,
            r#""state":"held""#,
            "state",
        ),
        (r#""fillPx":"65000""#, r#""fillPx":"65.0.0""#, "fillPx"),
        (r#""accFillSz":"0.4""#, r#""accFillSz":"x""#, "accFillSz"),
        (r#""side":"buy""#, r#""side":"both""#, "side"),
        (r#""tradeId":"7""#, r#""tradeId":"-7""#, "tradeId"),
        (r#""ordId":"2497956918703120384""#, r#""ordId":"""#, "ordId"),
        (r#""instId":"BTC-USDT","#, "", "instId"),
    ] {
        let bad = good("7").replacen(from, to, 1);
        assert_ne!(bad, good("7"), "{from}");
        let mut rig = rig::ready();
        let (said, result) = rig.text(LINK_PRIVATE, 1, &push(&[good("5"), bad, good("6")]));
        let named = match result {
            Err(Fault::Decode(
                DecodeError::Field(name) | DecodeError::Number { field: name, .. },
            )) => name,
            other => panic!("{to}: {other:?}"),
        };
        assert_eq!(named, field);
        let of = |trade: &str| {
            let start = format!("Fill 1 trade {trade} ");
            said.events
                .iter()
                .filter(|it| it.starts_with(&start))
                .count()
        };
        let orders = said.events.iter().filter(|it| it.starts_with("Order 1"));
        assert_eq!((of("5"), of("6"), orders.count()), (1, 1, 2), "{to}");
    }
    let balances = concat!(
        r#"{"arg":{"channel":"account"},"data":[{"details":[{"ccy":"BTC","availBal":"x"},{"#,
        r#""ccy":"USDT","availBal":"1"}]},{},{"details":[{"ccy":"USDT","availBal":"2"}]}]}"#
    );
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PRIVATE, 1, balances);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!(said.events.len(), 2);
    let answer = concat!(
        r#"{"id":"b7","op":"batch-cancel-orders","code":"2","msg":"","data":[{"clOrdId":"sl1z141z5","sCode":"no"},"#,
        r#"{"clOrdId":"sl1z141z6","ordId":"1","sCode":"50011"}]}"#
    );
    let (said, result) = rig.text(LINK_PRIVATE, 1, answer);
    assert!(matches!(result, Err(Fault::Decode(_))));
    assert_eq!(said.events[0], "Ack 2 order 1 RateLimit 50011");
    assert!(
        said.events[1].starts_with("RateLimited"),
        "the stop is kept"
    );
}

#[test]
fn a_refusal_for_rate_stops_everything_but_cancels() {
    let until = |ms: u64| format!("RateLimited {{ until_ms: {} }}", START_MS + ms);
    let body = |code: &str| format!(r#"{{"code":"{code}","msg":"","data":[]}}"#);
    let order = NewOrder {
        instrument: BTC,
        client_id: client(1),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_100),
        qty: Qty(100_000_000),
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
    for (status, retry_after_s, body, stop_ms) in [
        (429, None, body("50011"), 2_000),
        (200, None, body("50061"), 2_000),
        (429, Some(30), String::new(), 30_000),
        (429, Some(1), "<html>".to_owned(), 2_000),
        (200, Some(7), body("50011"), 7_000),
    ] {
        let mut rig = ready();
        let asked = snapshot(&mut rig, 0).remove(0);
        let (said, result) = rig.limited(0, asked.tag, status, &body, retry_after_s);
        let reason = match result {
            Err(Fault::Venue { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason, RejectReason::RateLimit);
        assert_eq!(said.events, [until(stop_ms)], "{status} {body}");
        let stopped = Err(EntryError::RateLimited);
        let held = [stopped, Ok(()), Ok(()), stopped];
        assert_eq!(calls(&mut rig, stop_ms - 1), held, "what rests must go");
        assert!(rig.deadline(stop_ms - 1).requests.is_empty());
        assert_eq!(calls(&mut rig, stop_ms), [Ok(()); 4]);
    }
    for code in ["50011", "50061", "60014"] {
        let mut rig = ready();
        let text =
            format!(r#"{{"id":"n1z141z5I1","op":"order","code":"{code}","msg":"","data":[]}}"#);
        let (said, _) = rig.text(LINK_PRIVATE, 0, &text);
        assert!(said.events.contains(&until(2_000)), "{code}");
        assert_eq!(calls(&mut rig, 1)[1], Ok(()), "a new order was refused");
        let text = format!(
            r#"{{"id":"c1z141z5","op":"cancel-order","code":"{code}","msg":"","data":[]}}"#
        );
        let _ = rig.text(LINK_PRIVATE, 0, &text);
        assert_eq!(
            calls(&mut rig, 1)[1],
            Err(EntryError::RateLimited),
            "a cancel was"
        );
        assert_eq!(calls(&mut rig, 2_001)[1], Ok(()));
        let text = format!(r#"{{"event":"error","code":"{code}","msg":"","connId":"a"}}"#);
        let (said, _) = rig.text(LINK_PRIVATE, 0, &text);
        assert!(said.events.contains(&until(2_000)), "{code}");
    }
}

/// The list names what is held: a swap it leaves out is flat, and one in hedge mode is nobody's to judge.
#[test]
fn a_swap_the_list_of_positions_leaves_out_is_flat() {
    let row = |side: &str, symbol: &str| {
        format!(
            r#"{{"code":"0","msg":"","data":[{{"instType":"SWAP","instId":"{symbol}","posSide":"{side}","pos":"-0.4","avgPx":"65000","uTime":"1760000000402"}}]}}"#
        )
    };
    let ours = "BTC-USDT-SWAP";
    for (body, told) in [
        (EMPTY.to_owned(), vec!["Position 0 0 @ -"]),
        (row("net", ours), vec!["Position 0 -0.4 @ 65000"]),
        (
            row("long", ours),
            vec!["Ignored one leg of a hedged position"],
        ),
        (
            row("net", "ETH-USDT-SWAP"),
            vec![
                "Ignored of an instrument we do not follow",
                "Position 0 0 @ -",
            ],
        ),
    ] {
        let mut rig = rig::following(ours, "rest_instruments_swap");
        let mut asked = reconcile(&mut rig, 100);
        for ms in [110, 120] {
            let (mut said, result) = rig.response(ms, asked.tag, 200, EMPTY);
            result.unwrap();
            asked = said.requests.pop().unwrap();
        }
        assert_eq!(asked.line, "GET /api/v5/account/positions");
        let (said, result) = rig.response(130, asked.tag, 200, &body);
        result.unwrap();
        assert_eq!(said.events, told);
        assert_eq!(said.requests[0].line, "GET /api/v5/account/balance");
    }
}
