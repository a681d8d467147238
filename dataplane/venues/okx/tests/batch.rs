//! New orders of one decision, in one request.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderKind, Price, Qty, Side, Tif,
};
use dp_venue_api::{EntryError, Venue};
use dp_venue_okx::LINK_PRIVATE;
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
    text["{\"id\":\"".len()..].split('"').next().unwrap()
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
    assert!(text.contains(r#""op":"batch-orders","expTime":"#), "{text}");
    assert_eq!(text.matches(r#""ordType":"post_only""#).count(), 3);
    let answer = format!(
        r#"{{"id":"{}","op":"batch-orders","code":"2","msg":"","data":[{},{},{}]}}"#,
        id_of(text),
        r#"{"ordId":"7","clOrdId":"sl1z141z9","ts":"1760000000810","sCode":"0","sMsg":""}"#,
        r#"{"ordId":"","clOrdId":"sl1z141za","ts":"1760000000810","sCode":"51008","sMsg":""}"#,
        r#"{"ordId":"9","clOrdId":"","ts":"1760000000810","sCode":"0","sMsg":""}"#,
    );
    let (said, result) = rig.text(LINK_PRIVATE, 1, &answer);
    assert_eq!(result, Ok(()));
    let events = said.events.join("\n");
    assert_eq!(said.events.len(), 4, "{events}");
    assert!(said.events[0].starts_with("Ack 5 order 7 None"), "{events}");
    assert!(
        said.events[1].starts_with("Ack 6 order 0 Insufficient"),
        "{events}"
    );
    assert!(said.events[2].starts_with("Order 6 REJECTED"), "{events}");
    assert!(
        said.events[3].starts_with("Ack 7 order 9 None"),
        "by its place: {events}"
    );
}

#[test]
fn what_is_refused_whole_is_refused_for_each_and_a_list_that_is_too_long_names_nobody() {
    let mut rig = rig::ready();
    let (_, said) = enter(&mut rig, &[5, 6], 0);
    let id = id_of(&said.sent[0].1).to_owned();
    let whole = format!(r#"{{"id":"{id}","op":"batch-orders","code":"60013","msg":"","data":[]}}"#);
    let (said, result) = rig.text(LINK_PRIVATE, 1, &whole);
    assert_eq!(result, Ok(()));
    let rejected = said.events.iter().filter(|it| it.contains("REJECTED"));
    assert_eq!(rejected.count(), 2, "{:?}", said.events);
    let item = r#"{"ordId":"","clOrdId":"","ts":"1760000000810","sCode":"51008","sMsg":""}"#;
    let long = format!(
        r#"{{"id":"{id}","op":"batch-orders","code":"1","msg":"","data":[{item},{item},{item}]}}"#
    );
    let (said, result) = rig.text(LINK_PRIVATE, 2, &long);
    assert_eq!(result, Ok(()));
    let acks = said.events.iter().filter(|it| it.starts_with("Ack"));
    assert_eq!(acks.count(), 2, "{:?}", said.events);
}

#[test]
fn orders_of_a_batch_are_counted_and_all_or_none_is_sent() {
    let mut rig = rig::ready();
    let sequences: Vec<_> = (1..=rig.venue.batch_max() as u32).collect();
    for _ in 0..300 / sequences.len() {
        assert_eq!(enter(&mut rig, &sequences, 0).0, Ok(()));
    }
    let (result, said) = enter(&mut rig, &[20, 21], 500);
    assert_eq!(result, Err(EntryError::RateLimited));
    assert!(said.sent.is_empty());
    assert_eq!(enter(&mut rig, &[20, 21], 2_200).0, Ok(()));
    assert_eq!(
        enter(&mut rig, &[], 2_200).0,
        Err(EntryError::UnknownInstrument)
    );
}
