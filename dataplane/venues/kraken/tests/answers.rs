//! Answers and pushes that come twice, late, broken, in another order or never.
#![allow(missing_docs)]

mod rig;

use dp_types::RejectReason;
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_kraken::rest::{FILL_PAGES_MAX, PAGE_LEN};
use dp_venue_kraken::{LINK_PRIVATE, LINK_REST, reject};
use rig::{Rig, cancel, fixture, new_order};
use tests_venues::rig::{Request, Said, at_ms};

const OPEN: &str = r#"{"error":[],"result":{"open":{}}}"#;

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    assert_eq!(said.requests.len(), 1);
    said.requests.remove(0)
}

/// The one request an answer led to.
fn next(rig: &mut Rig, ms: u64, asked: &Request, body: &str) -> Request {
    let (mut said, result) = rig.response(ms, asked.tag, 200, body);
    assert_eq!((result, said.requests.len()), (Ok(()), 1), "{said:?}");
    said.requests.remove(0)
}

/// A page of trades at these seconds, newest first.
fn trades(seconds: impl DoubleEndedIterator<Item = u64>) -> String {
    let trade = |at: u64| {
        format!(
            r#""T{at}":{{"ordertxid":"O7","pair":"XXBTZUSD","time":{at}.5,"type":"buy","price":"1","vol":"1","fee":"0"}}"#
        )
    };
    let items: Vec<_> = seconds.rev().map(trade).collect();
    format!(
        r#"{{"error":[],"result":{{"trades":{{{}}}}}}}"#,
        items.join(",")
    )
}

#[test]
fn an_answer_that_comes_twice_moves_one_step() {
    let mut rig = rig::ready();
    let first = reconcile(&mut rig, 0);
    // The link is cut with the request in its queue; it is asked again, and both are answered.
    rig.close(LINK_REST, 2);
    let again = rig.open(LINK_REST, 3).requests;
    let again = again
        .iter()
        .find(|it| it.line.ends_with("OpenOrders"))
        .unwrap();
    assert_eq!(again.tag, first.tag, "the same question");
    assert_ne!(again.body, first.body, "another nonce");
    let fills = next(&mut rig, 4, &first, OPEN);
    let (said, result) = rig.response(5, first.tag, 200, OPEN);
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    assert!(said.requests.is_empty());
    let balance = next(&mut rig, 6, &fills, &trades(100..110));
    let (said, _) = rig.response(7, fills.tag, 200, &trades(100..110));
    assert_eq!(
        (said.events.len(), said.requests.len()),
        (10, 0),
        "fills are true whenever told"
    );
    let (said, _) = rig.response(8, balance.tag, 200, fixture("rest_balance_ex"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    let (said, _) = rig.response(9, balance.tag, 200, fixture("rest_balance_ex"));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
}

#[test]
fn a_failed_step_is_repeated_and_an_old_run_says_nothing_of_the_new_one() {
    let mut rig = rig::ready();
    let first = reconcile(&mut rig, 100);
    assert!(rig.response(200, first.tag, 502, "bad gateway").1.is_err());
    let again = rig.deadline(2_200).requests;
    assert_eq!(again[0].line, first.line);
    reconcile(&mut rig, 2_300);
    let (old, _) = rig.response(2_400, first.tag, 200, fixture("rest_open_orders"));
    assert!(old.requests.is_empty());
    assert_eq!(old.events, ["Ignored an answer of another reconciliation"]);
}

#[test]
fn trades_are_paged_and_known_only_once_the_run_is_complete() {
    let mut rig = rig::ready();
    let page = PAGE_LEN as u64;
    let asked = reconcile(&mut rig, 0);
    let asked = next(&mut rig, 1, &asked, OPEN);
    let older = next(&mut rig, 2, &asked, &trades(1_000..1_000 + page));
    assert!(older.body.ends_with("&ofs=50"), "{}", older.body);
    // Given up before its end: the next run starts as this one did.
    let asked = reconcile(&mut rig, 60_000);
    let asked = next(&mut rig, 60_001, &asked, OPEN);
    assert!(asked.body.contains("&start=1759740860&"), "{}", asked.body);
    let balance = next(&mut rig, 60_002, &asked, &trades(1_000..1_010));
    rig.response(60_003, balance.tag, 200, fixture("rest_balance_ex"))
        .1
        .unwrap();
    let asked = reconcile(&mut rig, 120_000);
    let asked = next(&mut rig, 120_001, &asked, OPEN);
    assert!(asked.body.contains("&start=949&"), "{}", asked.body);
}

/// More trades than we read: what lies between is not taken for known.
#[test]
fn trades_that_were_not_reached_are_tried_again() {
    let mut rig = rig::ready();
    let page = PAGE_LEN as u64;
    let mut ms = 0;
    let asked = reconcile(&mut rig, ms);
    let mut asked = next(&mut rig, ms, &asked, OPEN);
    for number in 0..FILL_PAGES_MAX {
        ms += 10_000; // the counter falls
        let body = trades(5_000..5_000 + page);
        let (said, result) = rig.response(ms, asked.tag, 200, &body);
        let is_over = number + 1 == FILL_PAGES_MAX;
        let over = Err(DecodeError::TooMuch("fills").into());
        assert_eq!(result, if is_over { over } else { Ok(()) });
        asked = said.requests.into_iter().next().unwrap();
    }
    assert!(asked.line.ends_with("BalanceEx"));
    rig.response(ms, asked.tag, 200, fixture("rest_balance_ex"))
        .1
        .unwrap();
    let asked = reconcile(&mut rig, ms);
    let asked = next(&mut rig, ms, &asked, OPEN);
    assert!(asked.body.contains("&start=1759741800&"), "{}", asked.body);
}

#[test]
fn an_order_told_before_its_answer_keeps_its_id() {
    let mut rig = rig::with_order();
    rig.text(LINK_PRIVATE, 1, fixture("account_new")).1.unwrap();
    let (said, _) = rig.text(LINK_PRIVATE, 2, fixture("entry_new_ack"));
    assert_eq!(
        rig::events(&said),
        ["Ack 1 order OABCDE-12345-FGHIJK None 0"]
    );
    // And one refused is over: the table says so, and its id may be told of no more.
    let mut rig = rig::with_order();
    rig.text(LINK_PRIVATE, 2, fixture("entry_reject_funds"))
        .1
        .unwrap();
    let (said, _) = rig.text(LINK_PRIVATE, 3, fixture("entry_reject_funds"));
    assert_eq!(said.events.len(), 2, "said again, and the same");
}

#[test]
fn an_answer_without_a_number_is_told_by_its_ids() {
    let mut rig = rig::with_order();
    let text = r#"{"method":"cancel_order","success":true,"result":{"cl_ord_id":"sl1z141z5"}}"#;
    let (said, result) = rig.text(LINK_PRIVATE, 1, text);
    assert_eq!(
        (said.events, result),
        (vec!["Ack 1 order 0 None 0".to_owned()], Ok(()))
    );
    let text = r#"{"method":"cancel_order","success":false,"error":"EOrder:Unknown order"}"#;
    let (said, result) = rig.text(LINK_PRIVATE, 1, text);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Ignored an answer about orders that are not ours"]
    );
}

#[test]
fn a_hole_in_the_private_stream_gets_a_new_link() {
    for name in ["account_trade", "account_balances_update"] {
        let mut rig = rig::with_order();
        let (first, other) = match name {
            "account_trade" => ("account_pending_new", "account_filled"),
            _ => ("account_balances", "account_balances"),
        };
        rig.text(LINK_PRIVATE, 1, fixture(first)).1.unwrap();
        let text = fixture(name).replace(r#""sequence":9"#, r#""sequence":8"#);
        let (said, _) = rig.text(LINK_PRIVATE, 2, &text);
        assert!(said.reconnects.is_empty(), "{name} follows");
        let (said, _) = rig.text(LINK_PRIVATE, 3, fixture(other));
        let why = "a message of the private stream is missing";
        assert_eq!(said.reconnects, [(LINK_PRIVATE, why)]);
        assert!(!said.events.is_empty(), "what it says is told all the same");
        let mut out = Said::default();
        let refused = rig
            .venue
            .new_order(&rig.registry, &new_order(2), at_ms(4), &mut out);
        assert_eq!(refused, Err(EntryError::NotReady));
    }
}

#[test]
fn one_bad_item_does_not_hide_the_others() {
    let mut rig = rig::with_order();
    let good = fixture("account_new");
    let item = good
        .split_once(r#""data":["#)
        .unwrap()
        .1
        .split_once(']')
        .unwrap()
        .0;
    let bad = r#"{"order_id":"lower case","exec_type":"new"}"#;
    let odd = item.replace(r#""exec_type":"new""#, r#""exec_type":"surprise""#);
    let text = good.replace(item, &format!("{bad},{item},{odd}"));
    let (said, result) = rig.text(LINK_PRIVATE, 1, &text);
    assert_eq!(result, Err(DecodeError::Field("order_id").into()));
    assert_eq!(said.events.len(), 1, "{said:?}");
}

#[test]
fn questions_about_one_order_are_asked_one_at_a_time() {
    let mut rig = rig::with_order();
    let ask = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        let result = rig
            .venue
            .query_order(&rig.registry, &cancel(1), at_ms(ms), &mut said);
        (said.requests, result)
    };
    let (first, result) = ask(&mut rig, 0);
    assert_eq!((first.len(), result), (1, Ok(())));
    assert!(ask(&mut rig, 1).0.is_empty(), "its answer is on the way");
    let (_, result) = rig.response(2, first[0].tag, 0, "");
    let unknown = Fault::Venue {
        code: 0,
        reason: RejectReason::UnknownOutcome,
    };
    assert_eq!(result, Err(unknown), "no answer settles nothing");
    assert_eq!(ask(&mut rig, 3).0.len(), 1);
    rig.close(LINK_REST, 4);
    assert_eq!(ask(&mut rig, 5).1, Err(EntryError::NotReady));
}

/// Asked every second, which is more than the counter allows: whoever is asked for gets both lists.
#[test]
fn every_question_by_our_id_comes_to_its_end() {
    let mut rig = rig::with_order();
    let mut ends = 0;
    for second in 0..60 {
        let ms = second * 1_000;
        let mut said = Said::default();
        let asked = rig
            .venue
            .query_order(&rig.registry, &cancel(1), at_ms(ms), &mut said);
        let Some(open) = said.requests.pop() else {
            assert_eq!(asked, Err(EntryError::RateLimited));
            continue;
        };
        let (said, _) = rig.response(ms + 1, open.tag, 200, OPEN);
        let closed = &said.requests[0];
        assert!(closed.line.ends_with("ClosedOrders"));
        let empty = r#"{"error":[],"result":{"closed":{},"count":0}}"#;
        let (said, _) = rig.response(ms + 2, closed.tag, 200, empty);
        ends += usize::from(said.events[0].contains("UnknownOrder"));
    }
    assert!(ends >= 10, "{ends}");
}

#[test]
fn rest_keeps_to_its_counter_and_a_lockout_lasts() {
    let mut rig = rig::ready();
    let mut passed = 0;
    for sequence in 1..=40 {
        let mut said = Said::default();
        let result = rig
            .venue
            .query_order(&rig.registry, &cancel(sequence), at_ms(0), &mut said);
        passed += usize::from(result.is_ok());
    }
    assert_eq!(
        passed, 4,
        "fifteen, the token was one, and each may need a second list"
    );
    let asked = reconcile(&mut rig, 60_000);
    let (said, result) = rig.response(60_001, asked.tag, 200, fixture("rest_lockout"));
    let (code, reason) = reject::error("EGeneral:Temporary lockout");
    assert_eq!(result, Err(Fault::Venue { code, reason }));
    assert_eq!(said.events, ["RateLimited { until_ms: 1760000960001 }"]);
    assert!(rig.deadline(900_000).requests.is_empty());
    assert_eq!(rig.deadline(962_001).requests.len(), 1);
    let (said, _) = rig.limited(962_002, asked.tag, 429, "", Some(1_000));
    assert_eq!(said.events, ["RateLimited { until_ms: 1760001962002 }"]);
}

#[test]
fn a_body_that_is_no_answer_is_a_typed_error() {
    let mut rig = rig::ready();
    let asked = reconcile(&mut rig, 0);
    for (body, error) in [
        ("", DecodeError::Json),
        ("{}", DecodeError::Field("error")),
        (r#"{"error":[7]}"#, DecodeError::Field("error")),
        (r#"{"error":[]}"#, DecodeError::Field("result")),
        (
            r#"{"error":["WGeneral:Note"],"result":[]}"#,
            DecodeError::Field("result"),
        ),
        (
            r#"{"error":[],"result":{"open":{"o":{}}}}"#,
            DecodeError::Field("order id"),
        ),
    ] {
        let (_, result) = rig.response(1, asked.tag, 200, body);
        assert_eq!(result, Err(error.into()), "{body}");
    }
    let foreign = dp_venue_api::RestTag(0xff);
    assert!(rig.response(1, foreign, 200, OPEN).1.is_err());
}
