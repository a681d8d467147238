//! New orders of one decision, in one request.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderKind, Price, Qty, Side, Tif,
};
use dp_venue_api::{EntryError, Venue};
use dp_venue_huobi::LINK_ORDERS;
use rig::Rig;
use tests_venues::rig::{Said, at_ms};

fn order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(6_500_000_000_000),
        qty: Qty(1_000_000),
    }
}

fn enter(rig: &mut Rig, sequences: &[u32], ms: u64) -> (Result<(), EntryError>, Said) {
    let orders: Vec<_> = sequences.iter().copied().map(order).collect();
    let mut said = Said::default();
    let result = rig
        .venue
        .new_orders(&rig.registry, &orders, at_ms(ms), &mut said);
    (result, said)
}

/// The request's own id.
fn id_of(text: &str) -> &str {
    let from = text.find(r#""cid":""#).unwrap() + 7;
    text[from..].split('"').next().unwrap()
}

#[test]
fn one_request_carries_them_and_each_is_answered_for_itself() {
    let mut rig = rig::ready();
    let (result, said) = enter(&mut rig, &[5, 6, 7], 0);
    assert_eq!(result, Ok(()));
    let [(link, text)] = said.sent.as_slice() else {
        panic!("{:?}", said.sent)
    };
    assert_eq!(*link, LINK_ORDERS);
    assert!(
        text.starts_with(r#"{"ch":"create-batchorder","params":[{"account-id":"#),
        "{text}"
    );
    assert_eq!(text.matches(r#""type":"buy-limit-maker""#).count(), 3);
    let answer = format!(
        r#"{{"cid":"{}","status":"ok","data":[{},{},{}]}}"#,
        id_of(text),
        r#"{"order-id":7,"client-order-id":""}"#,
        r#"{"client-order-id":"","err-code":"account-frozen-balance-insufficient-error","err-msg":""}"#,
        r#"{"order-id":9,"client-order-id":"sl-1z141zb"}"#,
    );
    let (said, result) = rig.text(LINK_ORDERS, 1, &answer);
    assert_eq!(result, Ok(()));
    let events = said.events.join("\n");
    assert_eq!(said.events.len(), 4, "{events}");
    assert!(said.events[0].starts_with("Ack 5 order 7 None"), "{events}");
    assert!(
        said.events[1].starts_with("Ack 6 order 0 Insufficient"),
        "{events}"
    );
    assert!(said.events[2].starts_with("Order 6 REJECTED"), "{events}");
    assert!(said.events[3].starts_with("Ack 7 order 9 None"), "{events}");
}

#[test]
fn what_is_refused_whole_is_refused_for_each_and_what_is_not_told_is_open() {
    let mut rig = rig::ready();
    let (_, said) = enter(&mut rig, &[5, 6], 0);
    let id = id_of(&said.sent[0].1).to_owned();
    let whole =
        format!(r#"{{"cid":"{id}","status":"error","err-code":"invalid-amount","err-msg":""}}"#);
    let (said, result) = rig.text(LINK_ORDERS, 1, &whole);
    assert_eq!(result, Ok(()));
    let rejected = said.events.iter().filter(|it| it.contains("REJECTED"));
    assert_eq!(rejected.count(), 2, "{:?}", said.events);
    let short =
        format!(r#"{{"cid":"{id}","status":"ok","data":[{{"order-id":7,"client-order-id":""}}]}}"#);
    let (said, result) = rig.text(LINK_ORDERS, 2, &short);
    assert!(result.is_err(), "the second has no verdict");
    assert_eq!(said.events.len(), 1, "{:?}", said.events);
}

#[test]
fn batches_are_counted_and_all_or_none_is_sent() {
    let mut rig = rig::ready();
    let most = rig.venue.batch_max() as u32;
    assert_eq!(most, 10);
    let sequences: Vec<_> = (1..=most).collect();
    let sent = (0..100).take_while(|_| enter(&mut rig, &sequences, 0).0.is_ok());
    assert_eq!(
        sent.count(),
        40,
        "a second's worth of the link, less what is kept for cancels"
    );
    let (result, said) = enter(&mut rig, &[20, 21], 500);
    assert_eq!(result, Err(EntryError::RateLimited));
    assert!(said.sent.is_empty());
    let market = NewOrder {
        kind: OrderKind::Market,
        ..order(21)
    };
    let mut said = Said::default();
    let both = [order(20), market];
    let result = rig
        .venue
        .new_orders(&rig.registry, &both, at_ms(3_000), &mut said);
    assert_eq!(
        result,
        Err(EntryError::Unsupported),
        "no market orders here"
    );
    assert!(said.sent.is_empty());
}
