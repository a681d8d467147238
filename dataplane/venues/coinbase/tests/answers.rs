//! Answers and pushes that come twice, late, broken or never.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_coinbase::{LINK_ENTRY, LINK_REST, LINK_USER};
use rig::{Rig, fixture};
use tests_venues::rig::{Request, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
/// The fixtures' order, as its 128 bits.
const ORDER: u128 = 0xd50e_c984_77a8_460a_b958_66f1_14b0_de9b;

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

fn one(said: Said) -> Request {
    let [request] = <[Request; 1]>::try_from(said.requests).unwrap();
    request
}

fn place(rig: &mut Rig, sequence: u32, ms: u64) -> Request {
    let order = NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(650_000_000),
        qty: Qty(1_000_000),
    };
    let mut said = Said::default();
    rig.venue
        .new_order(&rig.registry, &order, at_ms(ms), &mut said)
        .unwrap();
    one(said)
}

fn take_off(rig: &mut Rig, sequence: u32, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &named(sequence), at_ms(ms), &mut said)
        .unwrap();
    one(said)
}

fn query(rig: &mut Rig, sequence: u32, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &named(sequence), at_ms(ms), &mut said)
        .unwrap();
    one(said)
}

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    one(said)
}

#[test]
fn what_an_answer_to_a_new_order_means() {
    let pending = "Order 1 ACK None px 65000.00 qty 0.01000000 cum 0";
    for (status, body, events, is_error) in [
        (
            200,
            fixture("entry_pending"),
            vec![format!("Ack 1 order {ORDER} None 0"), pending.to_owned()],
            false,
        ),
        (
            200,
            fixture("entry_rejected_post_only"),
            vec![
                format!("Ack 1 order {ORDER} PostOnlyCross 200"),
                "Order 1 REJECTED PostOnlyCross px 1.00000000 qty 0.10000000 cum 0".to_owned(),
            ],
            false,
        ),
        (
            400,
            fixture("entry_funds"),
            vec![
                "Ack 1 order 0 InsufficientFunds 400".to_owned(),
                "Order 1 REJECTED InsufficientFunds px - qty - cum -".to_owned(),
            ],
            false,
        ),
        (
            401,
            "",
            vec![
                "Ack 1 order 0 Auth 401".to_owned(),
                "Order 1 REJECTED Auth px - qty - cum -".to_owned(),
            ],
            false,
        ),
        (
            429,
            fixture("entry_rate"),
            vec![
                "RateLimited { until_ms: 1760000001010 }".to_owned(),
                "Ack 1 order 0 RateLimit 429".to_owned(),
                "Order 1 REJECTED RateLimit px - qty - cum -".to_owned(),
            ],
            false,
        ),
        // Whether it was done nobody knows: its answer is lost, broken, or the venue's own error.
        (0, "", unknown(0), true),
        (500, "<html>", unknown(500), true),
        (
            503,
            r#"{"message":"Service unavailable"}"#,
            unknown(503),
            true,
        ),
        (200, "{", unknown(200), true),
        (200, "{}", unknown(200), true),
        (
            200,
            r#"{"id":"x","side":"buy","status":"pending"}"#,
            unknown(200),
            true,
        ),
    ] {
        let mut rig = rig::ready();
        let asked = place(&mut rig, 1, 0);
        let (said, result) = rig.response(10, asked.tag, status, body);
        assert_eq!(said.events, events, "{status} {body}");
        assert_eq!(result.is_err(), is_error, "{status} {body}: {result:?}");
        assert!(said.requests.is_empty(), "nothing is sent again");
    }
}

fn unknown(status: u16) -> Vec<String> {
    vec![
        format!("Ack 1 order 0 UnknownOutcome {status}"),
        "Order 1 UNKNOWN UnknownOutcome px - qty - cum -".to_owned(),
    ]
}

#[test]
fn what_an_answer_to_a_cancel_means() {
    for (status, body, event) in [
        (
            200,
            fixture("entry_cancelled"),
            format!("Ack 1 order {ORDER} None 0"),
        ),
        (
            404,
            fixture("entry_not_found"),
            "Ack 1 order 0 UnknownOrder 404".to_owned(),
        ),
        (
            400,
            r#"{"message":"Order already done"}"#,
            "Ack 1 order 0 UnknownOrder 400".to_owned(),
        ),
        (0, "", "Ack 1 order 0 UnknownOutcome 0".to_owned()),
        (200, "", "Ack 1 order 0 UnknownOutcome 200".to_owned()),
    ] {
        let mut rig = rig::ready();
        let asked = take_off(&mut rig, 1, 0);
        let (said, _) = rig.response(10, asked.tag, status, body);
        assert_eq!(said.events, [event], "{status} {body}");
    }
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &[], at_ms(0), &mut said)
        .unwrap();
    let tag = one(said).tag;
    let (said, result) = rig.response(1, tag, 200, fixture("entry_cancelled_all"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Ignored all are cancelled: the user channel tells each"]
    );
    assert!(rig.response(1, tag, 0, "").1.is_err());
}

#[test]
fn a_refusal_for_rate_holds_everything_for_a_second() {
    let mut rig = rig::ready();
    let asked = place(&mut rig, 1, 0);
    let (said, _) = rig.limited(100, asked.tag, 429, fixture("entry_rate"), Some(3));
    assert_eq!(said.events[0], "RateLimited { until_ms: 1760000003100 }");
    let mut out = Said::default();
    let mut result = |ms: u64, is_cancel: bool| {
        let (registry, now) = (&rig.registry, at_ms(ms));
        if is_cancel {
            rig.venue.cancel_order(registry, &named(1), now, &mut out)
        } else {
            rig.venue.query_order(registry, &named(1), now, &mut out)
        }
    };
    assert_eq!(result(1_099, true), Err(EntryError::RateLimited));
    assert_eq!(result(1_100, true), Ok(()));
    assert_eq!(result(3_099, false), Err(EntryError::RateLimited));
    assert_eq!(result(3_100, false), Ok(()));
}

/// A request without an answer may be carried out as long as the venue takes its timestamp.
#[test]
fn no_such_order_proves_nothing_while_its_request_may_arrive() {
    const NOT_YET: &str = "Ignored no such order yet: its request may still arrive";
    let mut rig = rig::ready();
    let ask = |rig: &mut Rig, ms: u64| {
        let asked = query(rig, 1, ms);
        let line = "GET /orders/client:51de1a4e-0000-4000-8000-000100000001?product_id=BTC-USD";
        assert_eq!((asked.link, asked.line.as_str()), (LINK_REST, line));
        let (said, result) = rig.response(ms, asked.tag, 404, fixture("entry_not_found"));
        assert_eq!(result, Ok(()));
        said.events
    };
    let gone = ["Order 1 REJECTED UnknownOrder px - qty - cum -"];
    let asked = place(&mut rig, 1, 0);
    assert_eq!(ask(&mut rig, 1_000), [NOT_YET], "not answered");
    rig.response(2_000, asked.tag, 0, "").1.unwrap_err();
    rig.close(LINK_ENTRY, 2_000);
    assert_eq!(ask(&mut rig, 3_000), [NOT_YET], "lost");
    assert_eq!(ask(&mut rig, 34_999), [NOT_YET]);
    assert_eq!(ask(&mut rig, 35_000), gone);
    // One that was answered is not waited for.
    let mut rig = rig::ready();
    let asked = place(&mut rig, 1, 0);
    rig.response(1, asked.tag, 200, fixture("entry_pending"))
        .1
        .unwrap();
    assert_eq!(ask(&mut rig, 2), gone);
    let mut rig = rig::ready();
    let asked = place(&mut rig, 1, 0);
    rig.response(1, asked.tag, 400, fixture("entry_funds"))
        .1
        .unwrap();
    assert_eq!(ask(&mut rig, 2), gone);
}

#[test]
fn a_query_tells_what_became_of_an_order_and_then_its_fills() {
    let mut rig = rig::ready();
    let asked = query(&mut rig, 1, 0);
    let (said, result) = rig.response(1, asked.tag, 200, fixture("rest_order"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 1 CANCELLED None px 65000.00 qty 1.34000000 cum 0.34000000"]
    );
    let fills = one(said);
    assert_eq!(
        fills.line,
        "GET /fills?order_id=d50ec984-77a8-460a-b958-66f114b0de9b&limit=100"
    );
    let asked = query(&mut rig, 1, 2);
    let (twice, _) = rig.response(3, asked.tag, 200, fixture("rest_order"));
    assert!(twice.requests.is_empty(), "its fills are on the way");
    let (said, result) = rig.response(4, fills.tag, 200, fixture("rest_fills"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Fill 1 trade 370843402 buy 0.34000000 @ 65000.00 fee 55.2500000000000000 AssetId(1) maker"
        ]
    );
    // Lost, refused or broken: whoever misses it asks about the order again.
    for (status, body) in [(0, ""), (500, ""), (200, "[{}]"), (200, "{}")] {
        let asked = query(&mut rig, 1, 5);
        let fills = one(rig.response(5, asked.tag, 200, fixture("rest_order")).0);
        assert!(rig.response(6, fills.tag, status, body).1.is_err());
    }
}

#[test]
fn fills_of_one_order_on_several_pages() {
    let fills = |trades: std::ops::RangeInclusive<u64>| {
        let items: Vec<_> = trades
            .rev()
            .map(|trade| fixture("rest_fills").replace("370843402", &trade.to_string()))
            .map(|list| list.trim_matches(['[', ']']).to_owned())
            .collect();
        format!("[{}]", items.join(","))
    };
    let mut rig = rig::ready();
    let asked = query(&mut rig, 1, 0);
    let first = one(rig.response(0, asked.tag, 200, fixture("rest_order")).0);
    let second = one(rig.response(1, first.tag, 200, &fills(101..=200)).0);
    assert!(
        second.line.ends_with("&limit=100&after=101"),
        "{}",
        second.line
    );
    let (said, _) = rig.response(2, second.tag, 200, &fills(90..=100));
    assert_eq!((said.events.len(), said.requests.len()), (11, 0));
    // Without an end: bounded, and said.
    let asked = query(&mut rig, 1, 10_000);
    let mut next = one(rig
        .response(10_000, asked.tag, 200, fixture("rest_order"))
        .0);
    let full = fills(101..=200);
    for page in 1..=16 {
        let ms = 10_000 + page * 200;
        let (said, result) = rig.response(ms, next.tag, 200, &full);
        if page == 16 {
            let error = DecodeError::TooMuch("fills of one order");
            assert_eq!(result, Err(Fault::Decode(error)));
            assert!(said.requests.is_empty());
            return;
        }
        next = one(said);
    }
}

#[test]
fn only_so_many_questions_are_on_their_way() {
    let mut rig = rig::ready();
    let mut asked = Vec::new();
    for sequence in 1..=32 {
        asked.push(query(&mut rig, sequence, u64::from(sequence) * 200));
    }
    let mut out = Said::default();
    let mut again = |sequence: u32, ms: u64| {
        rig.venue
            .query_order(&rig.registry, &named(sequence), at_ms(ms), &mut out)
    };
    assert_eq!(again(1, 8_000), Ok(()), "it is on its way");
    assert_eq!(again(40, 8_000), Err(EntryError::RateLimited));
    assert!(out.requests.is_empty());
    rig.close(LINK_REST, 9_000);
    rig.open(LINK_REST, 9_001);
    let _ = query(&mut rig, 40, 9_002);
}

#[test]
fn an_answer_that_comes_twice_or_of_another_run_moves_nothing() {
    let mut rig = rig::ready();
    let first = reconcile(&mut rig, 0);
    rig.close(LINK_REST, 2);
    let again = one(rig.open(LINK_REST, 3));
    assert_eq!(again.tag, first.tag, "the same question");
    let fills = one(rig.response(4, first.tag, 200, fixture("rest_orders")).0);
    let (said, result) = rig.response(5, first.tag, 200, fixture("rest_orders"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    // A run that was given up: its lists say nothing, its fills are true all the same.
    let orders = reconcile(&mut rig, 6);
    let (said, _) = rig.response(7, fills.tag, 200, fixture("rest_fills"));
    assert_eq!((said.events.len(), said.requests.len()), (1, 0));
    let fills = one(rig.response(8, orders.tag, 200, "[]").0);
    let accounts = one(rig.response(9, fills.tag, 200, "[]").0);
    let (said, _) = rig.response(10, accounts.tag, 200, "[]");
    assert_eq!(said.events, ["Reconciled"]);
    let (said, _) = rig.response(11, accounts.tag, 200, "[]");
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
}

#[test]
fn a_step_that_failed_is_asked_again_signed_anew() {
    let mut rig = rig::ready();
    let mut step = reconcile(&mut rig, 0);
    let mut ms = 0;
    for body in ["[]", "[]", "[]"] {
        for (status, broken) in [(0, ""), (502, "bad gateway"), (200, "{}"), (200, "[{}]")] {
            assert!(rig.response(ms + 1, step.tag, status, broken).1.is_err());
            assert!(rig.deadline(ms + 900).requests.is_empty(), "a pause");
            let again = one(rig.deadline(ms + 1_001));
            assert_eq!((again.tag, &again.line), (step.tag, &step.line));
            let stamp = |request: &Request| request.headers[2].1.clone();
            assert_ne!(stamp(&again), stamp(&step), "a time of its own");
            (step, ms) = (again, ms + 2_000);
        }
        let (said, result) = rig.response(ms, step.tag, 200, body);
        assert_eq!(result, Ok(()));
        if said.requests.is_empty() {
            assert_eq!(said.events, ["Reconciled"]);
            return;
        }
        // No answer at all.
        assert_eq!(said.requests.len(), 1);
        assert!(rig.deadline(ms + 44_999).requests.is_empty());
        step = one(rig.deadline(ms + 45_000));
        ms += 46_000;
    }
    panic!("never reconciled");
}

#[test]
fn a_list_of_open_orders_that_is_too_long_starts_over() {
    let item = fixture("rest_orders")
        .trim_matches(['[', ']'])
        .split("},{")
        .next()
        .unwrap()
        .to_owned()
        + "}";
    let list = format!("[{}]", vec![item; 1_000].join(","));
    let mut rig = rig::ready();
    let asked = reconcile(&mut rig, 0);
    let (said, result) = rig.response(1, asked.tag, 200, &list);
    let error = DecodeError::TooMuch("open orders");
    assert_eq!(result, Err(Fault::Decode(error)));
    assert!(said.requests.is_empty());
    assert!(rig.deadline(9_000).requests.is_empty());
    let again = one(rig.deadline(10_001));
    assert_eq!(again.line, asked.line);
    assert_ne!(again.tag, asked.tag, "a run of its own");
}

/// An order of which the start was not heard on this link: REST tells what is filled of it.
#[test]
fn what_happens_to_an_order_whose_start_was_not_heard_is_asked() {
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, fixture("account_received"))
        .1
        .unwrap();
    rig.close(LINK_USER, 2);
    rig.open(LINK_USER, 3);
    rig.text(LINK_USER, 4, fixture("account_subscriptions"))
        .1
        .unwrap();
    let (said, result) = rig.text(LINK_USER, 5, fixture("account_match_maker"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Fill 1 trade 370843402 buy 0.34 @ 65000.00 fee 55.25 AssetId(1) maker"]
    );
    let asked = one(said);
    assert!(asked.line.starts_with("GET /orders/client:51de1a4e"));
    // The venue's own remainder counts again.
    let (said, _) = rig.text(LINK_USER, 6, fixture("account_done_canceled"));
    assert_eq!(
        said.events,
        ["Order 1 CANCELLED None px 65000.00 qty 1.34 cum 0.34"]
    );
    assert!(said.requests.is_empty());

    // Of one that only a list named, the same.
    let mut rig = rig::ready();
    let orders = reconcile(&mut rig, 0);
    rig.response(1, orders.tag, 200, fixture("rest_orders"))
        .1
        .unwrap();
    let (said, _) = rig.text(LINK_USER, 5, fixture("account_match_maker"));
    assert!(said.events[0].starts_with("Fill 1 trade"));
    assert!(one(said).line.starts_with("GET /orders/client:51de1a4e"));

    // Of one that nobody knows nothing is asked.
    let (said, result) = rig::ready().text(LINK_USER, 5, fixture("account_match_maker"));
    assert_eq!(result, Ok(()));
    assert!(said.events[0].starts_with("Fill - trade") && said.requests.is_empty());
}

#[test]
fn a_match_that_comes_twice_is_added_once() {
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, fixture("account_received"))
        .1
        .unwrap();
    for _ in 0..3 {
        let (said, _) = rig.text(LINK_USER, 2, fixture("account_match_maker"));
        assert_eq!(
            said.events[1],
            "Order 1 PARTIALLY_FILLED None px - qty 1.34 cum 0.34"
        );
    }
}

#[test]
fn a_match_that_does_not_say_whose_it_is_is_found_by_the_order() {
    let bare = fixture("account_match_maker")
        .replace(r#""maker_user_id":"5844eceecf7e803e259d0365","#, "")
        .replace(r#""maker_fee_rate":"0.0025","#, "");
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_USER, 1, &bare);
    let error = DecodeError::Field("taker_user_id");
    assert_eq!((said.events.len(), result), (0, Err(Fault::Decode(error))));
    rig.text(LINK_USER, 1, fixture("account_received"))
        .1
        .unwrap();
    let (said, result) = rig.text(LINK_USER, 2, &bare);
    assert_eq!(result, Ok(()));
    assert!(
        said.events[0]
            .starts_with("Fill 1 trade 370843402 buy 0.34 @ 65000.00 fee 0 AssetId(65535)"),
        "{said:?}"
    );
}

#[test]
fn orders_of_other_products_are_passed_over() {
    let other = fixture("account_received").replace("BTC-USD", "XYZ-USD");
    let (said, result) = rig::ready().text(LINK_USER, 1, &other);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Ignored an order of an instrument we do not follow"]
    );
}

#[test]
fn how_listed_orders_ended() {
    for (change, with, want) in [
        (r#""canceled""#, r#""filled""#, "FILLED None"),
        (r#""GTC""#, r#""IOC""#, "EXPIRED None"),
        (
            r#""status":"done""#,
            r#""status":"open""#,
            "PARTIALLY_FILLED None",
        ),
        (
            r#""status":"done""#,
            r#""status":"rejected""#,
            "REJECTED Other",
        ),
        (r#""done_reason":"canceled","#, "", "CANCELLED None"),
    ] {
        let mut rig = rig::ready();
        let asked = query(&mut rig, 1, 0);
        let body = fixture("rest_order").replace(change, with);
        let (said, result) = rig.response(1, asked.tag, 200, &body);
        assert_eq!(result, Ok(()), "{body}");
        assert!(said.events[0].contains(want), "{said:?}");
    }
    let mut rig = rig::ready();
    let asked = query(&mut rig, 1, 0);
    let body = fixture("rest_order").replace(r#""status":"done""#, r#""status":"new word""#);
    let (_, result) = rig.response(1, asked.tag, 200, &body);
    assert_eq!(result, Err(Fault::Decode(DecodeError::Field("status"))));
    let asked = query(&mut rig, 1, 2);
    let (_, result) = rig.response(3, asked.tag, 500, "");
    let reason = RejectReason::UnknownOutcome;
    assert_eq!(result, Err(Fault::Venue { code: 500, reason }));
}
