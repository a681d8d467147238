//! Lists, questions and their answers: late, broken, doubled or lost.
#![allow(missing_docs)]

mod rig;

use dp_types::{CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, OrderId, RejectReason};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_deribit::rest::{TRADE_PAGES_MAX, tag_of_url};
use dp_venue_deribit::{LINK_MD, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rig::{Request, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const NONE: &str = r#"{"jsonrpc":"2.0","result":[]}"#;
const NO_TRADES: &str = r#"{"jsonrpc":"2.0","result":{"trades":[],"has_more":false}}"#;
const TRADES: &str = "GET /api/v2/private/get_user_trades_by_instrument?instrument_name=BTC-PERPETUAL&count=1000&sorting=desc";

fn named(sequence: u32, order_id: u128) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        order_id: OrderId(order_id),
    }
}

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    assert_eq!(said.requests.len(), 1);
    said.requests.remove(0)
}

fn query(rig: &mut Rig, ms: u64, order: &CancelOrder) -> Request {
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, order, at_ms(ms), &mut said)
        .unwrap();
    said.requests.remove(0)
}

/// The one request an answer led to.
fn next(rig: &mut Rig, ms: u64, asked: &Request, body: &str) -> Request {
    let (mut said, result) = rig.response(ms, asked.tag, 200, body);
    assert_eq!((result, said.requests.len()), (Ok(()), 1), "{said:?}");
    said.requests.remove(0)
}

/// Trades of ours, newest first.
fn trades(numbers: std::ops::RangeInclusive<u64>, has_more: bool) -> String {
    trades_of(&numbers.rev().collect::<Vec<_>>(), has_more)
}

fn trades_of(numbers: &[u64], has_more: bool) -> String {
    let trade = |number| {
        format!(
            r#"{{"instrument_name":"BTC-PERPETUAL","trade_seq":{number},"trade_id":"{number}","order_id":"77","direction":"buy","price":1.0,"amount":10.0,"fee":0.0,"timestamp":1}}"#
        )
    };
    let items: Vec<_> = numbers.iter().map(trade).collect();
    format!(
        r#"{{"jsonrpc":"2.0","result":{{"trades":[{}],"has_more":{has_more}}}}}"#,
        items.join(",")
    )
}

/// The list names what is held: what it leaves out was closed, by whomever.
#[test]
fn a_position_the_list_leaves_out_is_flat() {
    let mut rig = rig::ready();
    let mut step = reconcile(&mut rig, 100);
    for (ms, body) in [
        (110, r#"{"jsonrpc":"2.0","result":[]}"#),
        (120, fixture("rest_trades")),
    ] {
        let (mut said, _) = rig.response(ms, step.tag, 200, body);
        step = said.requests.remove(0);
    }
    assert!(step.line.contains("get_positions"), "{}", step.line);
    let (said, result) = rig.response(130, step.tag, 200, r#"{"jsonrpc":"2.0","result":[]}"#);
    result.unwrap();
    assert_eq!(said.events, ["Position 0 0 @ -"]);
}

#[test]
fn reconciliation_reads_orders_trades_positions_and_balances() {
    let mut rig = rig::ready();
    let step = reconcile(&mut rig, 100);
    assert_eq!(step.line, "GET /api/v2/private/get_open_orders");
    let signed = &step.headers[0];
    assert_eq!(signed.0, "Authorization");
    assert!(
        signed
            .1
            .starts_with("deri-hmac-sha256 id=AMANDA,ts=1760000000100,sig=")
    );
    let (said, _) = rig.response(110, step.tag, 200, fixture("rest_open_orders"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 100.0 cum 40.0",
            "Order - ACK None px 60000.0 qty 100.0 cum 0.0",
        ]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, TRADES);
    let (said, _) = rig.response(120, step.tag, 200, fixture("rest_trades"));
    assert_eq!(
        said.events,
        ["Fill 1 trade 403691900 buy 40.0 @ 65000.0 fee -0.00000002 AssetId(0) maker"]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, "GET /api/v2/private/get_positions?currency=any");
    let (said, _) = rig.response(130, step.tag, 200, fixture("rest_positions"));
    assert_eq!(said.events, ["Position 0 100.0 @ 65000.0"]);
    let step = &said.requests[0];
    assert_eq!(step.line, "GET /api/v2/private/get_account_summaries");
    let (said, _) = rig.response(140, step.tag, 200, fixture("rest_summaries"));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(0) free 1.4011 locked 0.1",
            "Balance AssetId(65535) free 0.0 locked 0.0",
            "Reconciled"
        ]
    );
    let after = said.requests.iter().map(|request| &request.line);
    let is_log = |line: &String| line.contains("/get_transaction_log?");
    assert!(after.clone().count() == 1 && after.clone().all(is_log));
    // The next run reads on from what is known.
    let step = reconcile(&mut rig, 200);
    let step = next(&mut rig, 210, &step, NONE);
    assert_eq!(step.line, format!("{TRADES}&start_seq=271252861"));
}

#[test]
fn trades_are_paged_to_the_end_and_known_only_once_the_run_is_complete() {
    let mut rig = rig::ready();
    let step = reconcile(&mut rig, 0);
    let step = next(&mut rig, 1, &step, NONE);
    let step = next(&mut rig, 2, &step, &trades(1_001..=2_000, true));
    assert_eq!(step.line, format!("{TRADES}&end_seq=1000"));
    let again = reconcile(&mut rig, 10); // given up half way
    let step = next(&mut rig, 11, &again, NONE);
    assert_eq!(step.line, TRADES, "nothing is known yet");
    let step = next(&mut rig, 12, &step, &trades(1_001..=2_000, true));
    let step = next(&mut rig, 13, &step, &trades(900..=1_000, false));
    assert!(step.line.contains("get_positions"));
    let step = next(&mut rig, 14, &step, NONE);
    let (said, _) = rig.response(15, step.tag, 200, fixture("rest_summaries"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    let step = reconcile(&mut rig, 20);
    let step = next(&mut rig, 21, &step, NONE);
    assert_eq!(step.line, format!("{TRADES}&start_seq=2001"));
    // A page that says there is more and shows nothing, or ends at the first, is the last.
    for page in [trades_of(&[], true), trades(1..=1, true)] {
        let step = reconcile(&mut rig, 30);
        let step = next(&mut rig, 31, &step, NONE);
        let step = next(&mut rig, 32, &step, &page);
        assert!(step.line.contains("get_positions"), "{}", step.line);
    }
}

#[test]
fn more_trades_than_we_read_are_not_taken_for_known() {
    let mut rig = rig::ready();
    let step = reconcile(&mut rig, 0);
    let mut step = next(&mut rig, 0, &step, NONE);
    let mut top = 50_000;
    for page in 1..TRADE_PAGES_MAX {
        step = next(
            &mut rig,
            u64::from(page),
            &step,
            &trades(top - 9..=top, true),
        );
        top -= 10;
    }
    let (said, result) = rig.response(50, step.tag, 200, &trades(top - 9..=top, true));
    assert_eq!(result, Err(DecodeError::TooMuch("trades of ours").into()));
    let step = &said.requests[0];
    assert!(step.line.contains("get_positions"), "the run goes on");
    let step = next(&mut rig, 51, &step.clone(), NONE);
    rig.response(52, step.tag, 200, fixture("rest_summaries"))
        .1
        .unwrap();
    let step = reconcile(&mut rig, 60);
    assert_eq!(next(&mut rig, 61, &step, NONE).line, TRADES);
}

#[test]
fn each_instruments_trades_are_read_in_turn() {
    let mut rig = rig::new(&["BTC-PERPETUAL", "ETH-PERPETUAL"], true);
    rig.open(LINK_REST, 0);
    let step = reconcile(&mut rig, 1);
    let step = next(&mut rig, 2, &step, NONE);
    let (said, _) = rig.response(3, step.tag, 200, NO_TRADES);
    let other = &said.requests[0];
    assert!(other.line.contains("instrument_name=ETH-PERPETUAL&"));
    // The same answer again turns no page, and is told all the same.
    let (said, result) = rig.response(4, step.tag, 200, &trades(5..=6, false));
    assert_eq!(
        (result, said.events.len(), said.requests.len()),
        (Ok(()), 2, 0)
    );
    let step = next(&mut rig, 5, &other.clone(), NO_TRADES);
    assert!(step.line.contains("get_positions"));
}

#[test]
fn an_answer_of_another_run_moves_nothing() {
    let mut rig = rig::ready();
    let old = reconcile(&mut rig, 0);
    let new = reconcile(&mut rig, 1);
    assert_ne!(old.tag, new.tag);
    let (said, result) = rig.response(2, old.tag, 200, fixture("rest_open_orders"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    assert!(said.requests.is_empty());
    next(&mut rig, 3, &new, NONE);
    let (said, _) = rig.response(4, new.tag, 200, NONE);
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
}

#[test]
fn whatever_is_lost_is_asked_again_and_signed_anew() {
    let mut rig = rig::ready();
    let mut ms = 1_000;
    let mut step = reconcile(&mut rig, ms);
    for body in [NONE, NO_TRADES, NONE, fixture("rest_summaries")] {
        for (status, lost) in [(0, ""), (502, "bad gateway"), (200, "{"), (200, "{}")] {
            assert!(rig.response(ms, step.tag, status, lost).1.is_err());
            assert!(rig.deadline(ms + 999).requests.is_empty(), "a pause");
            let mut again = rig.deadline(ms + 1_000).requests;
            assert_eq!(again.len(), 1, "{}", step.line);
            let again = again.remove(0);
            assert_eq!((again.tag, &again.line), (step.tag, &step.line));
            assert_ne!(again.headers, step.headers, "a time and nonce of its own");
            (step, ms) = (again, ms + 1_000);
        }
        // The link is gone with it.
        rig.close(LINK_REST, ms);
        assert!(rig.response(ms, step.tag, 0, "").1.is_err());
        assert!(rig.deadline(ms + 5_000).requests.is_empty(), "no link");
        let mut again = rig.open(LINK_REST, ms + 6_000).requests;
        assert_eq!((again.len(), again.remove(0).tag), (1, step.tag));
        ms += 6_000;
        // Or no answer came at all.
        assert!(rig.deadline(ms + 44_999).requests.is_empty());
        step = rig.deadline(ms + 45_000).requests.remove(0);
        ms += 45_000;
        let (mut said, result) = rig.response(ms, step.tag, 200, body);
        assert_eq!(result, Ok(()));
        match said.requests.pop() {
            Some(request) => step = request,
            None => assert_eq!(said.events.last().unwrap(), "Reconciled"),
        }
    }
}

#[test]
fn refusals_over_http_are_told_by_their_code() {
    let mut rig = rig::ready();
    let step = reconcile(&mut rig, 0);
    let body = r#"{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028}}"#;
    let (said, result) = rig.response(10, step.tag, 429, body);
    assert_eq!(said.events, ["RateLimited { until_ms: 1760000006010 }"]);
    let reason = RejectReason::RateLimit;
    let code = 10_028;
    assert_eq!(result, Err(Fault::Venue { code, reason }));
    assert!(rig.deadline(6_009).requests.is_empty());
    let step = rig.deadline(7_010).requests.remove(0);
    let (said, result) = rig.limited(7_020, step.tag, 429, "slow down", Some(30));
    assert_eq!(said.events, ["RateLimited { until_ms: 1760000037020 }"]);
    let code = 429;
    assert_eq!(result, Err(Fault::Venue { code, reason }));
    let step = rig.deadline(38_020).requests.remove(0);
    let (_, result) = rig.response(38_030, step.tag, 401, "");
    let (code, reason) = (401, RejectReason::Auth);
    assert_eq!(result, Err(Fault::Venue { code, reason }));
}

#[test]
fn a_question_by_id_or_by_label_then_the_trades() {
    let mut rig = rig::ready();
    let asked = query(&mut rig, 0, &named(1, 104_819_327_443));
    assert_eq!(
        asked.line,
        "GET /api/v2/private/get_order_state?order_id=104819327443"
    );
    let (said, result) = rig.response(1, asked.tag, 200, fixture("rest_order_state"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 1 PARTIALLY_FILLED None px 65000.0 qty 100.0 cum 40.0"]
    );
    let trades = &said.requests[0];
    assert_eq!(
        trades.line,
        "GET /api/v2/private/get_user_trades_by_order?order_id=104819327443"
    );
    // They do not name the label here; the question did.
    let (said, _) = rig.response(2, trades.tag, 200, fixture("rest_order_trades"));
    assert_eq!(
        said.events,
        ["Fill 1 trade 403691900 buy 40.0 @ 65000.0 fee -0.00000002 AssetId(0) maker"]
    );
    let asked = query(&mut rig, 3, &named(1, 0));
    assert_eq!(
        asked.line,
        "GET /api/v2/private/get_order_state_by_label?currency=BTC&label=sl1z141z5"
    );
    let (said, _) = rig.response(4, asked.tag, 200, fixture("rest_order_by_label"));
    assert_eq!(
        said.events,
        ["Order 1 FILLED None px 65000.0 qty 100.0 cum 100.0"]
    );
    assert_eq!(said.requests.len(), 1);
    // An id of another currency keeps its prefix.
    let eth = u128::from(u32::from_be_bytes(*b"\0ETH")) << 64 | 0x5_5441; // 349249
    let asked = query(&mut rig, 5, &named(2, eth));
    assert!(
        asked.line.ends_with("order_id=ETH-349249"),
        "{}",
        asked.line
    );
}

#[test]
fn no_such_order_is_an_answer_and_no_answer_settles_nothing() {
    let mut rig = rig::ready();
    let gone = "Order 1 REJECTED UnknownOrder px - qty - cum -";
    let asked = query(&mut rig, 0, &named(1, 7));
    let (said, result) = rig.response(1, asked.tag, 400, fixture("rest_order_gone"));
    assert_eq!((result, said.events), (Ok(()), vec![gone.to_owned()]));
    let asked = query(&mut rig, 2, &named(1, 0));
    let (said, result) = rig.response(3, asked.tag, 200, NONE);
    assert_eq!((result, said.events), (Ok(()), vec![gone.to_owned()]));
    let asked = query(&mut rig, 4, &named(1, 0));
    let (said, result) = rig.response(5, asked.tag, 0, "");
    assert!(said.events.is_empty());
    assert_eq!(
        result,
        Err(Fault::Venue {
            code: 0,
            reason: RejectReason::UnknownOutcome
        })
    );
}

#[test]
fn only_so_many_questions_are_on_their_way_and_each_once() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let mut ask = |rig: &mut Rig, sequence, ms| {
        let order = named(sequence, 7);
        rig.venue
            .query_order(&rig.registry, &order, at_ms(ms), &mut said)
    };
    for sequence in (1..=32).chain(1..=32) {
        assert_eq!(ask(&mut rig, sequence, 1), Ok(()));
    }
    assert_eq!(ask(&mut rig, 33, 1), Err(EntryError::RateLimited));
    rig.close(LINK_REST, 2);
    assert_eq!(ask(&mut rig, 33, 3), Err(EntryError::NotReady));
    rig.open(LINK_REST, 60_000);
    assert_eq!(ask(&mut rig, 33, 60_000), Ok(()));
    assert_eq!(said.requests.len(), 33);
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..named(1, 0)
    };
    let error = rig
        .venue
        .query_order(&rig.registry, &unknown, at_ms(0), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn an_instrument_the_venue_does_not_have_holds_up_nobody() {
    let mut rig = rig::new(&["BTC-PERPETUAL", "BTC-1JAN20"], false);
    rig.open(LINK_MD, 0);
    let asked = rig.open(LINK_REST, 0).requests;
    assert_eq!(asked.len(), 2);
    let rules = fixture("rest_instrument_perpetual");
    let (said, _) = rig.response(1, asked[0].tag, 200, rules);
    assert!(said.events.is_empty());
    // A trouble of the venue's is not a word about the instrument.
    let down = r#"{"error":{"code":11051,"message":"system_maintenance"}}"#;
    assert!(rig.response(2, asked[1].tag, 503, down).1.is_err());
    let asked = rig.deadline(1_002).requests.remove(0);
    let (said, result) = rig.response(1_003, asked.tag, 400, fixture("rest_no_instrument"));
    assert_eq!(result, Err(DecodeError::Unlisted(InstrumentId(1)).into()));
    assert_eq!(said.events, ["InstrumentsReady"]);
    let subscribed = &said.sent[0].1;
    assert!(subscribed.contains("BTC-PERPETUAL") && !subscribed.contains("1JAN20"));
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
    assert_eq!(rig.registry.get(BTC).map(|known| known.is_live), Some(true));
    assert!(
        rig.deadline(60_000).requests.is_empty(),
        "nor is it asked again"
    );
}

#[test]
fn rules_that_cannot_be_read_are_asked_for_again() {
    let mut rig = rig::new(&["BTC-PERPETUAL"], false);
    let mut asked = rig.open(LINK_REST, 0).requests.remove(0);
    let rules = fixture("rest_instrument_perpetual");
    let mut ms = 0;
    for (from, to) in [
        (r#""tick_size":0.5"#, r#""tick_size":0.0"#),
        (r#""tick_size":0.5"#, r#""tick_size":"x""#),
        (r#""min_trade_amount":10.0"#, r#""min_trade_amount":null"#),
        (
            r#""base_currency":"BTC""#,
            r#""base_currency":"A NAME FAR TOO LONG""#,
        ),
    ] {
        let (said, result) = rig.response(ms, asked.tag, 200, &rules.replace(from, to));
        assert!(result.is_err() && said.events.is_empty(), "{to}");
        ms += 1_000;
        asked = rig.deadline(ms).requests.remove(0);
    }
    let (said, _) = rig.response(ms, asked.tag, 200, rules);
    assert_eq!(said.events, ["InstrumentsReady"]);
}

#[test]
fn one_item_that_cannot_be_read_does_not_silence_the_others() {
    let mut rig = rig::ready();
    let step = reconcile(&mut rig, 0);
    let orders = fixture("rest_open_orders").replacen("\"buy\"", "\"up\"", 1);
    let (said, result) = rig.response(1, step.tag, 200, &orders);
    assert_eq!(result, Err(DecodeError::Field("direction").into()));
    assert_eq!(said.events.len(), 1);
    let again = rig.deadline(1_001).requests;
    assert_eq!(again[0].line, step.line, "and the list is read again");
}

#[test]
fn recorded_answers_are_read_by_their_urls() {
    let mut rig = rig::ready();
    let mut told = |url: &str, name: &str| {
        let tag = tag_of_url(&rig.registry, url).unwrap();
        let (said, result) = rig.response(1, tag, 200, fixture(name));
        assert_eq!(result, Ok(()), "{name}");
        assert!(said.requests.is_empty());
        said.events
    };
    let root = "https://www.deribit.com/api/v2";
    assert_eq!(
        told(
            &format!("{root}/public/get_order_book?instrument_name=BTC-PERPETUAL"),
            "rest_order_book"
        ),
        ["Book Snapshot 123456795..123456795 prev -1 checksum None 1x1"]
    );
    let orders = format!("{root}/private/get_open_orders_by_instrument?instrument_name=X");
    assert_eq!(told(&orders, "rest_open_orders").len(), 2);
    let trades = format!("{root}/private/get_user_trades_by_currency?currency=BTC");
    assert_eq!(told(&trades, "rest_trades").len(), 1);
    let positions = format!("{root}/private/get_positions?currency=BTC");
    assert_eq!(told(&positions, "rest_positions").len(), 1);
    let balances = format!("{root}/private/get_account_summaries");
    assert_eq!(told(&balances, "rest_summaries").len(), 2);
}
