//! New orders of one decision, in one request.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderKind, Price, Qty, RejectReason,
    Side, Tif,
};
use dp_venue_api::{EntryError, Fault, Venue};
use dp_venue_bitfinex::{LINK_MARKET, LINK_PRIVATE};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage::mutate;
use tests_venues::rig::{Said, at_ms};

fn order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(650_000_000_000_000),
        qty: Qty(100_000),
    }
}

fn enter_all(rig: &mut Rig, orders: &[NewOrder], ms: u64) -> (Result<(), EntryError>, Said) {
    let mut said = Said::default();
    let result = rig
        .venue
        .new_orders(&rig.registry, orders, at_ms(ms), &mut said);
    (result, said)
}

fn enter(rig: &mut Rig, sequences: &[u32], ms: u64) -> (Result<(), EntryError>, Said) {
    let orders: Vec<_> = sequences.iter().copied().map(order).collect();
    enter_all(rig, &orders, ms)
}

/// The notification about one of them.
fn on_req(sequence: u32, order_id: u64, status: &str, text: &str) -> String {
    let id = (1u64 << 32) + u64::from(sequence);
    let order_id = if order_id == 0 {
        "null".to_owned()
    } else {
        order_id.to_string()
    };
    format!(
        r#"[1760000000130,"on-req",null,null,[{order_id},null,{id},"tBTCUSD",null,null,0.001,0.001],null,"{status}","{text}"]"#
    )
}

fn frame(notice: &str) -> String {
    format!(r#"[0,"n",{notice}]"#)
}

/// The notification about a request as a whole.
fn whole(data: &str, status: &str, text: &str) -> String {
    frame(&format!(
        r#"[1760000000130,"ox_multi-req",null,null,{data},null,"{status}","{text}"]"#
    ))
}

fn hear(rig: &mut Rig, text: &str) -> (Vec<String>, Result<(), Fault>) {
    let (said, result) = rig.text(LINK_PRIVATE, 1, text);
    (said.events, result)
}

/// The same of what must be read.
fn heard(rig: &mut Rig, text: &str) -> Vec<String> {
    let (events, result) = hear(rig, text);
    assert_eq!(result, Ok(()), "{text}");
    events
}

/// Sends orders.
fn placed(rig: &mut Rig, sequences: &[u32]) {
    assert_eq!(enter(rig, sequences, 0).0, Ok(()));
}

/// What became of each of these orders, as far as it was told.
fn told(events: &[String], what: &str) -> Vec<u32> {
    let sequence = |it: &String| it.split(' ').nth(1).and_then(|it| it.parse().ok());
    let told = events.iter().filter(|it| it.contains(what));
    let mut told: Vec<u32> = told.filter_map(sequence).collect();
    told.sort_unstable();
    told
}

#[test]
fn one_request_carries_them_and_each_is_answered_for_itself() {
    let mut rig = rig::ready();
    let (result, said) = enter(&mut rig, &[5, 6, 7], 0);
    assert_eq!(result, Ok(()));
    let [(link, text)] = said.sent.as_slice() else {
        panic!("{:?}", said.sent)
    };
    assert_eq!(*link, LINK_PRIVATE);
    assert!(
        text.starts_with(r#"[0,"ox_multi",null,[["on",{"cid":4294967301,"#),
        "{text}"
    );
    assert_eq!(text.matches(r#""flags":4096"#).count(), 3);
    let funds = "Invalid order: not enough exchange balance for 0.001 BTCUSD at 65000";
    let first = heard(&mut rig, &frame(&on_req(5, 71, "SUCCESS", "")));
    let second = heard(&mut rig, &frame(&on_req(6, 0, "ERROR", funds)));
    let third = heard(&mut rig, &frame(&on_req(7, 73, "SUCCESS", "")));
    assert_eq!(first, ["Ack 5 order 71 None 0"]);
    assert!(second[0].starts_with("Ack 6 order 0 InsufficientFunds"));
    assert!(second[1].starts_with("Order 6 REJECTED"), "{second:?}");
    assert_eq!(third, ["Ack 7 order 73 None 0"]);
    let (events, result) = hear(&mut rig, &whole("null", "SUCCESS", ""));
    assert_eq!(result, Ok(()));
    assert_eq!(
        events,
        ["Ignored a batch was taken: its orders tell how it went"]
    );
    // The venue has no word for them all: they go by the ids it gave.
    let cancel = dp_types::CancelOrder {
        instrument: InstrumentId(0),
        client_id: order(7).client_id,
        order_id: dp_types::OrderId(0),
    };
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel, at_ms(2), &mut said)
        .unwrap();
    assert_eq!(said.sent[0].1, r#"[0,"oc",null,{"id":73}]"#);
}

/// As REST has them, and as a socket might.
#[test]
fn notifications_within_the_whole_s_are_read_too() {
    let mut rig = rig::ready();
    placed(&mut rig, &[5, 6]);
    let rows = format!(
        "[{},{}]",
        on_req(5, 71, "SUCCESS", ""),
        on_req(6, 0, "ERROR", "price: invalid")
    );
    let (events, result) = hear(&mut rig, &whole(&rows, "SUCCESS", ""));
    assert_eq!(result, Ok(()));
    assert_eq!(told(&events, "Ack"), [5, 6]);
    assert_eq!(told(&events, "REJECTED"), [6]);
}

#[test]
fn what_is_refused_whole_is_refused_for_each() {
    let mut rig = rig::ready();
    placed(&mut rig, &[5, 6, 7]);
    let refused = fixture("entry_several_reject");
    let (events, result) = hear(&mut rig, refused);
    assert_eq!(result, Ok(()));
    assert_eq!(told(&events, "Ack"), [5, 6, 7]);
    assert_eq!(told(&events, "REJECTED Other"), [5, 6, 7]);
    let (events, result) = hear(&mut rig, refused);
    assert_eq!(events, [""; 0], "none waits for an answer any more");
    let (code, reason) = (0, RejectReason::Other);
    assert_eq!(result, Err(Fault::Venue { code, reason }));
    placed(&mut rig, &[8, 9]);
    let events = heard(&mut rig, &whole("null", "ERROR", "ratelimit: error"));
    assert!(events.iter().any(|it| it.starts_with("RateLimited")));
    assert_eq!(told(&events, "REJECTED RateLimit"), [8, 9]);
    assert_eq!(
        enter(&mut rig, &[10, 11], 3).0,
        Err(EntryError::RateLimited)
    );
}

/// The venue names no request: where it may be about one or another nobody is taken for refused.
#[test]
fn a_refusal_that_may_be_of_two_leaves_all_that_wait_open() {
    let refused = whole("null", "ERROR", "input: invalid");
    let mut rig = rig::ready();
    placed(&mut rig, &[5, 6]);
    placed(&mut rig, &[7, 8]);
    heard(&mut rig, &frame(&on_req(8, 71, "SUCCESS", "")));
    let (events, result) = hear(&mut rig, &refused);
    assert_eq!(result, Ok(()));
    assert_eq!(told(&events, "REJECTED"), [0u32; 0]);
    assert_eq!(told(&events, "UNKNOWN UnknownOutcome"), [5, 6, 7]);
    // Answered in part: it is being carried out, so the refusal is none of it.
    let mut rig = rig::ready();
    placed(&mut rig, &[5, 6]);
    heard(&mut rig, fixture("account_order_new"));
    heard(&mut rig, &frame(&on_req(5, 71, "SUCCESS", "")));
    let events = heard(&mut rig, &refused);
    assert_eq!(told(&events, "UNKNOWN"), [6]);
    // What went by itself is answered by itself.
    let mut rig = rig::ready();
    placed(&mut rig, &[5]);
    let (events, result) = hear(&mut rig, &refused);
    assert!(events.is_empty() && result.is_err(), "{events:?}");
    // The link is gone, and with it the answers.
    let mut rig = rig::ready();
    placed(&mut rig, &[5, 6]);
    rig.close(LINK_PRIVATE, 1);
    let (events, result) = hear(&mut rig, &refused);
    assert!(events.is_empty() && result.is_err(), "{events:?}");
}

#[test]
fn what_cannot_be_read_settles_nothing() {
    for data in [
        r#"[["on",{"cid":4294967301}]]"#.to_owned(),
        "[7]".to_owned(),
        "[[]]".to_owned(),
        format!(
            "[{}]",
            r#"[1,"ox_multi-req",null,null,null,null,"ERROR","input: invalid"]"#
        ),
        "[[185815098001,null,4294967301]]".to_owned(),
        "[185815098001,null,4294967301]".to_owned(),
    ] {
        let mut rig = rig::ready();
        placed(&mut rig, &[5, 6]);
        let (events, result) = hear(&mut rig, &whole(&data, "ERROR", "input: invalid"));
        assert!(result.is_err(), "{data}");
        assert!(events.is_empty(), "{data}: {events:?}");
    }
    let mut rig = rig::ready();
    placed(&mut rig, &[5, 6]);
    let (events, result) = hear(&mut rig, &whole("null", "PERHAPS", ""));
    assert!(events.is_empty() && result.is_err());
    let foreign = format!("[{}]", on_req(99, 71, "SUCCESS", ""));
    let events = heard(&mut rig, &whole(&foreign, "SUCCESS", ""));
    assert_eq!(told(&events, "REJECTED"), [0u32; 0], "{events:?}");
}

#[test]
fn orders_of_a_batch_are_counted_and_all_or_none_is_sent() {
    let mut rig = rig::ready();
    assert_eq!(rig.venue.batch_max(), 75);
    let sequences: Vec<_> = (1..=75).collect();
    let sent = (0..100).take_while(|_| enter(&mut rig, &sequences, 0).0.is_ok());
    assert_eq!(sent.count(), 10, "750 of the 800 not kept for cancels");
    let (result, said) = enter(&mut rig, &sequences[..51], 500);
    assert_eq!(result, Err(EntryError::RateLimited));
    assert!(said.sent.is_empty());
    assert_eq!(enter(&mut rig, &sequences[..50], 500).0, Ok(()));
}

#[test]
fn what_one_request_cannot_carry_is_not_sent() {
    let mut rig = rig::ready();
    let unlisted = NewOrder {
        instrument: InstrumentId(9),
        ..order(20)
    };
    let many: Vec<_> = (1..=76).map(order).collect();
    for (orders, error) in [
        (many, EntryError::Unsupported),
        (vec![unlisted, order(21)], EntryError::UnknownInstrument),
        (vec![], EntryError::UnknownInstrument),
    ] {
        let (result, said) = enter_all(&mut rig, &orders, 0);
        assert_eq!(result, Err(error));
        assert!(said.sent.is_empty());
    }
    let (result, said) = enter(&mut rig, &[20], 0);
    assert_eq!(result, Ok(()));
    assert!(said.sent[0].1.starts_with(r#"[0,"on",null,{"#), "alone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is said of a request: no panic, and no other order is named.
    #[test]
    fn damaged_answers_name_nobody_else(
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 0..6),
        rows in proptest::collection::vec(0usize..6, 0..20),
        status in prop::sample::select(vec!["SUCCESS", "ERROR", "FAILURE", ""]),
    ) {
        let mut rig = rig::ready();
        placed(&mut rig, &[5, 6, 7]);
        let kinds = [
            on_req(5, 71, "SUCCESS", ""),
            on_req(6, 0, "ERROR", "price: invalid"),
            r#"[1,"ox_multi-req",null,null,null,null,"ERROR","input: invalid"]"#.to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            r#"["on",{"cid":4294967303}]"#.to_owned(),
        ];
        let rows: Vec<_> = rows.into_iter().map(|at| kinds[at].as_str()).collect();
        let text = whole(&format!("[{}]", rows.join(",")), status, "input: invalid");
        let mut bytes = text.into_bytes();
        mutate(&mut bytes, &edits);
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let (events, _) = hear(&mut rig, &text);
        if edits.is_empty() {
            prop_assert!(told(&events, "Ack").iter().all(|it| (5..=7).contains(it)), "{events:?}");
        }
        for name in ["feed_conf", "feed_subscribed_book", "feed_snapshot"] {
            rig.close(LINK_MARKET, 2);
            rig.open(LINK_MARKET, 3);
            let _ = rig.text(LINK_MARKET, 3, fixture(name));
        }
        let events = heard(&mut rig, &frame(&on_req(7, 73, "SUCCESS", "")));
        prop_assert_eq!(events, ["Ack 7 order 73 None 0"], "still works");
    }
}
