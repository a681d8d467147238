//! Answers to orders, and comparing with the venue.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_kraken_futures::{LINK_PRIVATE, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rig::{Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const ABSENT_1: &str = "Order 1 REJECTED UnknownOrder px - qty - cum -";

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        order_id: OrderId(0),
    }
}

/// Sends a new order and returns its text.
fn send_new(rig: &mut Rig) -> String {
    let order = NewOrder {
        instrument: BTC,
        client_id: cancel(1).client_id,
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_000),
        qty: Qty(10_000),
    };
    let mut said = Said::default();
    rig.venue
        .new_order(&rig.registry, &order, at_ms(10), &mut said)
        .unwrap();
    said.sent.pop().unwrap().1
}

fn send_cancel(rig: &mut Rig) -> String {
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
        .unwrap();
    said.sent.pop().unwrap().1
}

#[test]
fn an_accepted_order_is_acknowledged_by_its_number() {
    let mut rig = rig::ready();
    let text = send_new(&mut rig);
    let answer = rig::answering(&text, "entry_new_ack_foreign");
    let (said, result) = rig.text(LINK_PRIVATE, 20, &answer);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Ack 1 order 276434836988396706071109083490528299182 None 0"]
    );
}

#[test]
fn refused_orders_are_final_unknown_ones_are_not() {
    for (error, events) in [
        (
            "EOrder:Insufficient funds",
            [
                "Ack 1 order 0 InsufficientFunds 1",
                "Order 1 REJECTED InsufficientFunds px - qty - cum -",
            ],
        ),
        (
            "EOrder:Post only order",
            [
                "Ack 1 order 0 PostOnlyCross 5",
                "Order 1 REJECTED PostOnlyCross px - qty - cum -",
            ],
        ),
        (
            "EService:Deadline elapsed",
            [
                "Ack 1 order 0 Timestamp 30",
                "Order 1 REJECTED Timestamp px - qty - cum -",
            ],
        ),
        (
            "EService:Timeout",
            [
                "Ack 1 order 0 UnknownOutcome 31",
                "Order 1 UNKNOWN UnknownOutcome px - qty - cum -",
            ],
        ),
        (
            "EOrder:What nobody has heard of",
            [
                "Ack 1 order 0 Other -1",
                "Order 1 REJECTED Other px - qty - cum -",
            ],
        ),
    ] {
        let mut rig = rig::ready();
        let text = send_new(&mut rig);
        let (said, result) = rig.text(LINK_PRIVATE, 20, &rig::refused(&text, error));
        assert_eq!(
            (said.events, result),
            (events.map(str::to_owned).to_vec(), Ok(())),
            "{error}"
        );
        assert!(said.reconnects.is_empty());
    }
}

#[test]
fn refused_cancels_settle_nothing() {
    let mut rig = rig::ready();
    let text = send_cancel(&mut rig);
    let (said, _) = rig.text(
        LINK_PRIVATE,
        20,
        &rig::refused(&text, "EOrder:Unknown order"),
    );
    assert_eq!(said.events, ["Ack 1 order 0 UnknownOrder 10"]);
    let text = send_cancel(&mut rig);
    let (said, _) = rig.text(
        LINK_PRIVATE,
        20,
        &rig::refused(&text, "EOrder:Rate limit exceeded"),
    );
    assert_eq!(
        said.events,
        [
            "RateLimited { until_ms: 1760000010020 }",
            "Ack 1 order 0 RateLimit 6"
        ]
    );
    let mut out = Said::default();
    let now = |rig: &mut Rig, ms, out: &mut Said| {
        rig.venue
            .cancel_order(&rig.registry, &cancel(1), at_ms(ms), out)
    };
    assert_eq!(now(&mut rig, 1_019, &mut out), Err(EntryError::RateLimited));
    assert_eq!(now(&mut rig, 1_020, &mut out), Ok(()));
}

#[test]
fn a_refused_batch_is_a_fault_and_a_lost_session_ends_the_link() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let live = [cancel(1), cancel(2)];
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let answer = rig::refused(&said.sent[0].1, "EGeneral:Invalid arguments:cl_ord_id");
    let invalid = Fault::Venue {
        code: 18,
        reason: RejectReason::Invalid,
    };
    assert_eq!(rig.text(LINK_PRIVATE, 1, &answer).1, Err(invalid));
    let text = send_new(&mut rig);
    let (said, _) = rig.text(
        LINK_PRIVATE,
        20,
        &rig::refused(&text, "ESession:Invalid session"),
    );
    assert_eq!(said.events.last().unwrap(), "LoginRefused(Auth)");
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "login refused")]);
}

/// Answers what was asked last, and returns what that led to.
fn done(rig: &mut Rig, ms: u64, said: &Said) -> Said {
    let (_, text) = said.sent.last().expect("something was asked");
    let (said, result) = rig.text(LINK_PRIVATE, ms, &rig::done(text));
    assert_eq!(result, Ok(()));
    said
}

fn asked(said: &Said) -> (String, String) {
    let (_, text) = said.sent.last().expect("something was asked");
    let message: serde_json::Value = serde_json::from_str(text).unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (
        word(&message["method"]),
        word(&message["params"]["channel"]),
    )
}

fn pair(method: &str, channel: &str) -> (String, String) {
    (method.to_owned(), channel.to_owned())
}

#[test]
fn reconciliation_reads_orders_trades_and_balances() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    assert_eq!(asked(&said), pair("unsubscribe", "executions"));
    let said = done(&mut rig, 110, &said);
    assert_eq!(asked(&said), pair("subscribe", "executions"));
    assert!(
        said.sent[0]
            .1
            .contains(r#""snap_orders":true,"snap_trades":true"#)
    );
    done(&mut rig, 120, &said);
    let (said, result) = rig.text(LINK_PRIVATE, 130, fixture("account_snapshot"));
    assert_eq!((said.events.len(), result), (3, Ok(())));
    assert_eq!(asked(&said), pair("unsubscribe", "balances"));
    let said = done(&mut rig, 140, &said);
    assert_eq!(asked(&said), pair("subscribe", "balances"));
    let (said, _) = rig.text(LINK_PRIVATE, 150, fixture("account_balances"));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(1) free 10000.50 locked 0",
            "Balance AssetId(0) free 0.5 locked 0",
            "Reconciled"
        ]
    );
    let (again, _) = rig.text(LINK_PRIVATE, 160, fixture("account_balances"));
    assert_eq!(again.events.len(), 2, "once");
}

#[test]
fn a_snapshot_that_cannot_be_read_whole_proves_nothing() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    done(&mut rig, 110, &said);
    let broken = fixture("account_snapshot").replace(r#""side":"sell""#, r#""side":"up""#);
    let (said, result) = rig.text(LINK_PRIVATE, 130, &broken);
    assert_eq!(result, Err(DecodeError::Field("side").into()));
    assert_eq!(said.events.len(), 2, "what could be read is told");
    assert!(said.sent.is_empty());
    for ms in [2_000, 4_000, 6_000, 8_000, 10_000] {
        rig.text(LINK_PRIVATE, ms, fixture("feed_heartbeat"))
            .1
            .unwrap();
        let reconnects = rig.deadline(ms).reconnects;
        assert!(reconnects.iter().all(|(link, _)| *link != LINK_PRIVATE));
    }
    rig.text(LINK_PRIVATE, 10_110, fixture("feed_heartbeat"))
        .1
        .unwrap();
    let why = "comparing was not answered in time";
    assert!(
        rig.deadline(10_110)
            .reconnects
            .contains(&(LINK_PRIVATE, why))
    );
}

/// Leaves and enters executions; then the snapshot.
fn look(rig: &mut Rig, ms: u64, snapshot: &str) -> (Vec<String>, Result<(), Fault>) {
    rig.text(LINK_PRIVATE, ms, fixture("feed_heartbeat"))
        .1
        .unwrap();
    let mut said = rig.deadline(ms);
    said.sent.retain(|(_, text)| text.contains("executions"));
    assert_eq!(asked(&said), pair("unsubscribe", "executions"));
    done(rig, ms, &said);
    let (said, result) = rig.text(LINK_PRIVATE, ms, snapshot);
    assert!(said.sent.is_empty(), "balances are not asked about");
    (said.events, result)
}

#[test]
fn a_query_tells_what_became_of_an_order() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    for sequence in [1, 1, 2] {
        rig.venue
            .query_order(&rig.registry, &cancel(sequence), at_ms(0), &mut said)
            .unwrap();
    }
    assert!(
        said.sent.is_empty(),
        "the questions of a moment take one snapshot"
    );
    let (events, result) = look(&mut rig, 250, fixture("account_snapshot"));
    assert_eq!(result, Ok(()));
    assert!(events[0].starts_with("Order 1 PARTIALLY_FILLED"));
    assert_eq!(
        events.last().unwrap(),
        "Order 2 REJECTED UnknownOrder px - qty - cum -"
    );
    assert_eq!(events.len(), 4, "{events:?}");
    // Nothing is owed any more.
    rig.text(LINK_PRIVATE, 1_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    assert!(rig.deadline(1_000).sent.is_empty());
    let unknown = CancelOrder {
        instrument: InstrumentId(7),
        ..cancel(1)
    };
    let error = rig
        .venue
        .query_order(&rig.registry, &unknown, at_ms(0), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn a_question_is_not_answered_by_a_snapshot_that_was_on_its_way() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    done(&mut rig, 10, &said);
    let mut late = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(2), at_ms(20), &mut late)
        .unwrap();
    let (said, _) = rig.text(LINK_PRIVATE, 30, fixture("account_snapshot_empty"));
    assert_eq!(said.events, [ABSENT_1, "Ignored no open order"]);
    let said = done(&mut rig, 40, &said);
    assert_eq!(asked(&said), pair("subscribe", "balances"));
    rig.text(LINK_PRIVATE, 50, fixture("account_balances"))
        .1
        .unwrap();
    let (events, _) = look(&mut rig, 300, fixture("account_snapshot_empty"));
    assert_eq!(events[0], "Order 2 REJECTED UnknownOrder px - qty - cum -");
}

#[test]
fn trades_that_may_be_missing_are_told_and_nobody_is_declared_dead() {
    let mut rig = rig::ready();
    for name in ["account_new", "account_trade"] {
        rig.text(LINK_PRIVATE, 0, fixture(name)).1.unwrap();
    }
    let trade = |n: usize| {
        format!(
            r#"{{"order_id":"cff769bb-dc52-56e1-98c8-22301dc888ae","symbol":"PF_XBTUSD","side":"buy","exec_type":"trade","exec_id":"6a22a3fb-e18e-4e76-b841-{n:012x}","last_qty":0.0001,"last_price":65000.0,"timestamp":"2025-10-09T08:54:{:02}Z"}}"#,
            n % 60
        )
    };
    let snapshot = |count: usize| {
        let trades: Vec<_> = (1..=count).map(trade).collect();
        format!(
            r#"{{"channel":"executions","type":"snapshot","data":[{}],"sequence":1}}"#,
            trades.join(",")
        )
    };
    let mut said = Said::default();
    let mut ask = |rig: &mut Rig, ms| {
        rig.venue
            .query_order(&rig.registry, &cancel(9), at_ms(ms), &mut said)
            .unwrap();
    };
    ask(&mut rig, 0);
    let (events, result) = look(&mut rig, 250, &snapshot(50));
    assert_eq!(result, Err(DecodeError::TooMuch("fills").into()));
    assert_eq!(events.len(), 50, "fifty fills and no verdict");
    // The same again: what it holds is known now.
    ask(&mut rig, 1_000);
    let (events, result) = look(&mut rig, 1_250, &snapshot(50));
    assert_eq!((events.len(), result), (51, Ok(())));
}

#[test]
fn questions_are_bounded_and_end_with_the_link() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let taken = (1..200)
        .map(|sequence| {
            rig.venue
                .query_order(&rig.registry, &cancel(sequence), at_ms(0), &mut said)
        })
        .take_while(Result::is_ok)
        .count();
    assert_eq!(taken, 64);
    rig.close(LINK_PRIVATE, 1);
    let error = rig
        .venue
        .query_order(&rig.registry, &cancel(1), at_ms(2), &mut said);
    assert_eq!(error, Err(EntryError::NotReady));
    rig.venue.reconcile(&rig.registry, at_ms(2), &mut said);
    assert!(said.events.is_empty() && rig.deadline(400).sent.is_empty());
}

#[test]
fn answers_of_no_request_change_nothing() {
    let mut rig = rig::ready();
    for tag in [0, 99, u64::MAX] {
        let (_, result) = rig.response(1, dp_venue_api::RestTag(tag), 200, rig::STATUS);
        let error = DecodeError::Shape("a tag that is not ours");
        assert_eq!(result, Err(error.into()));
    }
    assert_eq!(rig.rest, LINK_REST);
    let stray =
        r#"{"method":"unsubscribe","result":{"channel":"book"},"success":true,"req_id":77777}"#;
    let (said, result) = rig.text(LINK_PRIVATE, 1, stray);
    assert_eq!(
        (said.events, result),
        (vec!["Ignored unsubscribed".to_owned()], Ok(()))
    );
}
