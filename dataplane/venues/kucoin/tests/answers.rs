//! Answers and pushes that come twice, late, broken or never.
#![allow(missing_docs)]

mod rig;

use dp_types::{CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, OrderId, RejectReason};
use dp_venue_api::{DecodeError, EntryError, Fault, InFlight, Venue};
use dp_venue_kucoin::{LINK_MD, LINK_REST, LINK_USER};
use rig::{Rig, asked, close, fixture};
use tests_venues::rig::{Request, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const NO_FILLS: &str = r#"{"code":"200000","data":{"items":[],"lastId":0}}"#;
const NO_ORDERS: &str = r#"{"code":"200000","data":[]}"#;

fn named(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        order_id: OrderId(0),
    }
}

/// Everything open, and the dead man's switch armed at `START_MS`: next in 5 s.
fn ready() -> Rig {
    let mut rig = rig::ready();
    let armed = rig.deadline(0).requests.remove(0);
    rig.response(0, armed.tag, 200, fixture("rest_dead_man"))
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
    let is_book = |request: &Request| request.line.contains("orderbook");
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

/// Fills, newest first.
fn fills(ids: std::ops::RangeInclusive<u64>) -> String {
    let last = *ids.start();
    let fill = |id| {
        format!(
            r#"{{"id":{id},"symbol":"BTC-USDT","tradeId":{id},"orderId":"655a1c00f3a1c20007d1a003","price":"1","size":"1","side":"buy","liquidity":"taker","feeCurrency":"USDT","fee":"0.1","createdAt":1}}"#
        )
    };
    let items: Vec<_> = ids.rev().map(fill).collect();
    format!(
        r#"{{"code":"200000","data":{{"items":[{}],"lastId":{last}}}}}"#,
        items.join(",")
    )
}

/// Runs a reconciliation whose fills are these pages; returns the lines of the fills' requests.
fn run(rig: &mut Rig, ms: u64, pages: &[String]) -> Vec<String> {
    let first = reconcile(rig, ms);
    let mut step = next(rig, ms, &first, NO_ORDERS);
    let mut lines = Vec::new();
    for page in pages {
        lines.push(step.line.clone());
        step = next(rig, ms, &step, page);
    }
    assert_eq!(step.line, "GET /api/v1/accounts?type=trade");
    let (said, _) = rig.response(ms, step.tag, 200, fixture("rest_accounts"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    lines
}

#[test]
fn fills_are_paged_back_to_the_last_known_one() {
    let mut rig = ready();
    let page = "GET /api/v1/hf/fills?symbol=BTC-USDT&limit=100";
    let lines = run(&mut rig, 0, &[fills(1..=100), NO_FILLS.to_owned()]);
    assert_eq!(lines, [page.to_owned(), format!("{page}&lastId=1")]);
    let lines = run(&mut rig, 1, &[fills(101..=200), fills(51..=150)]);
    assert_eq!(lines, [page.to_owned(), format!("{page}&lastId=101")]);
    let lines = run(&mut rig, 2, &[fills(150..=249)]);
    assert_eq!(lines, [page], "it reaches what is known");
}

#[test]
fn fills_are_known_only_once_a_reconciliation_is_complete() {
    let mut rig = ready();
    let asked = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &asked, NO_ORDERS);
    next(&mut rig, 2, &asked, &fills(1..=50));
    // Given up before its end: a full page does not stop at what it saw.
    let lines = run(&mut rig, 10, &[fills(1..=100), NO_FILLS.to_owned()]);
    assert_eq!(lines.len(), 2);
}

#[test]
fn an_answer_that_comes_twice_turns_one_page() {
    let mut rig = ready();
    let first = reconcile(&mut rig, 0);
    // The link is cut with the request in its queue; it is asked again, and both are answered.
    close(&mut rig, LINK_REST, 2);
    let again = rig.open(LINK_REST, 3).requests;
    let line = "GET /api/v1/hf/orders/active";
    assert_eq!(asked(&again, line).tag, first.tag, "the same question");
    let step = next(&mut rig, 4, &first, NO_ORDERS);
    let (said, result) = rig.response(5, first.tag, 200, fixture("rest_open"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    let older = next(&mut rig, 6, &step, &fills(101..=200));
    let (said, _) = rig.response(7, step.tag, 200, &fills(101..=200));
    assert_eq!(said.events.len(), 100, "fills are true whenever told");
    assert!(said.requests.is_empty());
    let balance = next(&mut rig, 8, &older, NO_FILLS);
    let done = |rig: &mut Rig| {
        let (said, _) = rig.response(9, balance.tag, 200, fixture("rest_accounts"));
        said.events.contains(&"Reconciled".to_owned())
    };
    assert!(done(&mut rig) && !done(&mut rig));
}

#[test]
fn a_failed_step_is_repeated_and_an_old_run_says_nothing_of_the_new_one() {
    let mut rig = ready();
    let first = reconcile(&mut rig, 100);
    for (ms, status, body) in [
        (200, 502, "bad gateway"),
        (1_300, 0, ""),
        (2_400, 200, fixture("rest_too_many")),
        (6_500, 200, "{"),
        (
            7_600,
            200,
            r#"{"code":"200000","data":[{"symbol":"BTC-USDT"}]}"#,
        ),
    ] {
        assert!(
            rig.response(ms, first.tag, status, body).1.is_err(),
            "{body}"
        );
        let mut again = rig.deadline(ms + 1_000).requests;
        if again.is_empty() {
            again = rig.deadline(ms + 4_000).requests; // the venue had said stop
        }
        asked(&again, "GET /api/v1/hf/orders/active");
    }
    let second = reconcile(&mut rig, 20_000);
    let (old, _) = rig.response(20_100, first.tag, 200, fixture("rest_open"));
    assert!(old.requests.is_empty() && old.events.len() == 1);
    next(&mut rig, 20_200, &second, NO_ORDERS);
}

#[test]
fn items_are_read_one_by_one() {
    let mut rig = ready();
    let first = reconcile(&mut rig, 0);
    let broken = fixture("rest_open").replacen(r#""side":"buy""#, r#""side":"up""#, 1);
    let (said, result) = rig.response(1, first.tag, 200, &broken);
    assert_eq!(result, Err(DecodeError::Field("side").into()));
    assert_eq!(said.events, ["Order - ACK None px 60000 qty 0.1 cum 0"]);
    assert!(
        said.requests.is_empty(),
        "a list we cannot read proves nothing"
    );
}

#[test]
fn a_query_tells_what_became_of_an_order() {
    for (name, event, asks_fills) in [
        (
            "rest_order",
            "Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.0004",
            true,
        ),
        (
            "rest_order_filled",
            "Order 1 FILLED None px 65000.1 qty 0.001 cum 0.00100000",
            true,
        ),
        (
            "rest_order_expired",
            "Order 1 EXPIRED None px 65000.1 qty 0.001 cum 0.0004",
            true,
        ),
        (
            "rest_order_canceled",
            "Order 1 CANCELLED None px 65000.1 qty 0.001 cum 0",
            false,
        ),
    ] {
        let mut rig = ready();
        let asked = query(&mut rig, 0);
        assert_eq!(
            asked.line,
            "GET /api/v1/hf/orders/client-order/sl-1z141z5?symbol=BTC-USDT"
        );
        let (said, result) = rig.response(1, asked.tag, 200, fixture(name));
        assert_eq!((said.events, result), (vec![event.to_owned()], Ok(())));
        assert_eq!(!said.requests.is_empty(), asks_fills, "{name}");
        let Some(fills) = said.requests.first() else {
            continue;
        };
        assert_eq!(
            fills.line,
            "GET /api/v1/hf/fills?symbol=BTC-USDT&orderId=655a1c00f3a1c20007d1a003&limit=100"
        );
        let (said, _) = rig.response(2, fills.tag, 200, fixture("rest_fills"));
        assert_eq!(
            said.events,
            ["Fill 1 trade 10067996711204865 buy 0.0004 @ 65000.1 fee 0.02600004 AssetId(1) maker"]
        );
    }
}

#[test]
fn an_order_that_is_not_there_was_not_placed() {
    for body in [
        fixture("rest_order_gone"),
        r#"{"code":"200000","data":null}"#,
        r#"{"code":"200000"}"#,
    ] {
        let mut rig = ready();
        let asked = query(&mut rig, 0);
        let (gone, result) = rig.response(1, asked.tag, 200, body);
        assert_eq!(result, Ok(()), "{body}");
        assert_eq!(
            gone.events,
            ["Order 1 REJECTED UnknownOrder px - qty - cum -"]
        );
    }
    let mut rig = ready();
    let asked = query(&mut rig, 0);
    let (nothing, result) = rig.response(1, asked.tag, 0, "");
    assert!(nothing.events.is_empty(), "no answer settles nothing");
    let unknown = Fault::Venue {
        code: 0,
        reason: RejectReason::UnknownOutcome,
    };
    assert_eq!(result, Err(unknown));
}

#[test]
fn a_question_is_asked_once_until_it_is_answered_and_only_so_many_wait() {
    let mut rig = ready();
    let first = query(&mut rig, 0);
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &named(1), at_ms(1), &mut said)
        .unwrap();
    assert!(said.requests.is_empty(), "its answer is on the way");
    rig.response(2, first.tag, 0, "").1.unwrap_err();
    query(&mut rig, 3);
    let more = (2..100)
        .take_while(|sequence| {
            let order = named(*sequence);
            rig.venue
                .query_order(&rig.registry, &order, at_ms(4), &mut said)
                .is_ok()
        })
        .count();
    assert_eq!(more, InFlight::MAX - 1);
    close(&mut rig, LINK_REST, 5);
    let refused = rig
        .venue
        .query_order(&rig.registry, &named(1), at_ms(6), &mut said);
    assert_eq!(refused, Err(EntryError::NotReady));
}

#[test]
fn the_fills_of_one_order_are_paged_to_a_bound() {
    let mut rig = ready();
    let asked = query(&mut rig, 0);
    let mut page = next(&mut rig, 1, &asked, fixture("rest_order"));
    let mut pages = 0u64;
    loop {
        pages += 1;
        let top = 100_000 - pages * 100;
        let (mut said, result) = rig.response(2, page.tag, 200, &fills(top..=top + 99));
        match said.requests.pop() {
            Some(request) => page = request,
            None => {
                let error = DecodeError::TooMuch("fills of one order");
                assert_eq!(result, Err(error.into()));
                break;
            }
        }
        assert!(
            page.line.ends_with(&format!("&lastId={top}")),
            "{}",
            page.line
        );
    }
    assert_eq!(pages, 16);
}

#[test]
fn a_snapshot_counts_only_for_the_stream_it_was_asked_for() {
    let mut rig = ready();
    let asked = snapshot(&mut rig, 600).remove(0);
    close(&mut rig, LINK_MD, 601);
    let (said, _) = rig.response(602, asked.tag, 200, fixture("rest_snapshot"));
    assert_eq!(said.events, ["Ignored a snapshot nobody waits for"]);
    let anew = snapshot(&mut rig, 1_200).remove(0);
    assert_ne!(anew.tag, asked.tag);
    let (said, _) = rig.response(1_201, anew.tag, 200, fixture("rest_snapshot"));
    assert_eq!(
        said.events,
        ["Book Snapshot 14103845..14103845 prev -1 checksum None 2x2"]
    );
}

#[test]
fn a_lost_or_refused_snapshot_is_asked_for_again() {
    for (status, body) in [
        (0, ""),
        (500, "<html>"),
        (401, r#"{"code":"400002","msg":"KC-API-TIMESTAMP Invalid"}"#),
        (200, r#"{"code":"200000","data":{"bids":[],"asks":[]}}"#),
    ] {
        let mut rig = ready();
        let asked = snapshot(&mut rig, 600).remove(0);
        assert!(rig.response(601, asked.tag, status, body).1.is_err());
        let again = rig.deadline(1_601).requests;
        assert_eq!(again.len(), 1, "{status}");
        assert!(again[0].line.contains("orderbook/level2?symbol=BTC-USDT"));
    }
    let mut rig = ready();
    snapshot(&mut rig, 600);
    close(&mut rig, LINK_REST, 601);
    let again = rig.open(LINK_REST, 602).requests;
    assert!(again.is_empty(), "paced");
    let again = rig.deadline(1_101).requests;
    assert_eq!(again.len(), 1);
}

#[test]
fn symbols_tokens_and_rates_are_asked_for_until_they_are_here() {
    for (line, name) in [
        ("GET /api/v2/symbols", "rest_symbols"),
        ("POST /api/v1/bullet-public", "rest_token"),
        ("POST /api/v1/bullet-private", "rest_token_private"),
        ("GET /api/v1/trade-fees?symbols=BTC-USDT", "rest_fees"),
    ] {
        let mut rig = rig::new(&["BTC-USDT"], true);
        let requests = rig.open(LINK_REST, 0).requests;
        let first = asked(&requests, line).clone();
        for (ms, status, body) in [(100, 0, ""), (2_000, 503, "<html>"), (4_000, 200, "{}")] {
            assert!(
                rig.response(ms, first.tag, status, body).1.is_err(),
                "{line}"
            );
            asked(&rig.deadline(ms + 1_000).requests, line);
        }
        rig.response(6_000, first.tag, 200, fixture(name))
            .1
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let later = rig.deadline(40_000).requests;
        assert!(!later.iter().any(|it| it.line.starts_with(line)), "{line}");
    }
}

#[test]
fn a_token_that_would_bend_the_request_is_refused() {
    let mut rig = rig::new(&["BTC-USDT"], false);
    let requests = rig.open(LINK_REST, 0).requests;
    let tag = asked(&requests, "POST /api/v1/bullet-public").tag;
    let good = fixture("rest_token");
    for bad in [
        good.replace("hbxFakeToken.0001", ""),
        good.replace("hbxFakeToken.0001", "a b"),
        good.replace("hbxFakeToken.0001", "a\\r\\nHost: x"),
        good.replace("hbxFakeToken.0001", "a&b=c"),
        good.replace("hbxFakeToken.0001", &"a".repeat(5_000)),
        good.replace(r#"[{"endpoint""#, r#"[],"x":[{"endpoint""#),
        good.replace("kucoin.com/", "kucoin.com/a b"),
        good.replace("18000", "\"soon\""),
    ] {
        assert!(rig.response(1, tag, 200, &bad).1.is_err(), "{bad}");
    }
    assert!(rig.response(2, tag, 200, good).1.is_ok());
}

#[test]
fn a_fill_without_rates_or_numbers_is_left_to_the_list() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    let (said, _) = rig.text(LINK_USER, 0, fixture("account_match_maker"));
    assert_eq!(
        said.events[0],
        "Fill 1 trade 10067996711204865 buy 0.0004 @ 65000.1 fee 0 AssetId(65535) maker",
        "the rates are not here"
    );
    let push =
        fixture("account_match_maker").replace(r#""matchSize":"0.0004""#, r#""matchSize":"""#);
    let (said, result) = rig.text(LINK_USER, 0, &push);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.0004"],
        "the count shows that one is missing"
    );
}

#[test]
fn an_answer_with_a_foreign_tag_is_refused() {
    let mut rig = ready();
    for raw in [0, 14, u64::MAX] {
        let (said, result) = rig.response(0, dp_venue_api::RestTag(raw), 200, NO_ORDERS);
        assert_eq!(
            result,
            Err(DecodeError::Shape("a tag that is not ours").into())
        );
        assert!(said.events.is_empty());
    }
}
