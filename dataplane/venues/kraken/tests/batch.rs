//! New orders of one decision, in one request.
#![allow(missing_docs)]

mod rig;

use dp_types::{InstrumentId, NewOrder, OrderKind, Tif};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_kraken::symbols::push_client_id;
use dp_venue_kraken::{LINK_PRIVATE, LINK_PUBLIC};
use proptest::prelude::*;
use rig::{Rig, cancel, client, events, new_order};
use tests_venues::damage::mutate;
use tests_venues::rig::{Said, at_ms};

const ORDER_7: &str = "OABCDE-12345-FGHIJ7";
const ORDER_8: &str = "OABCDE-12345-FGHIJ8";
const ORDER_9: &str = "OABCDE-12345-FGHIJ9";

fn enter_all(rig: &mut Rig, orders: &[NewOrder], ms: u64) -> (Result<(), EntryError>, Said) {
    let mut said = Said::default();
    let result = rig
        .venue
        .new_orders(&rig.registry, orders, at_ms(ms), &mut said);
    (result, said)
}

fn enter(rig: &mut Rig, sequences: &[u32], ms: u64) -> (Result<(), EntryError>, Said) {
    let orders: Vec<_> = sequences.iter().copied().map(new_order).collect();
    enter_all(rig, &orders, ms)
}

/// The text of the client id with this sequence.
fn name(sequence: u32) -> String {
    let mut text = Vec::new();
    push_client_id(client(sequence), &mut text);
    String::from_utf8(text).unwrap()
}

/// An answer with this result.
fn answer(request: &str, is_done: bool, more: &str) -> String {
    let (_, number) = request.rsplit_once(r#""req_id":"#).expect("a number");
    let number = number.trim_end_matches('}');
    format!(
        r#"{{"method":"batch_add","req_id":{number},"success":{is_done},{more},"time_out":"2026-05-05T10:00:00.125000Z"}}"#
    )
}

/// Sends three orders, 5 to 7, and gives the venue's answer with this result.
fn answered(result: &str) -> (Vec<String>, Result<(), Fault>) {
    let mut rig = rig::ready();
    let (_, said) = enter(&mut rig, &[5, 6, 7], 0);
    let text = answer(&said.sent[0].1, true, &format!(r#""result":{result}"#));
    let (said, result) = rig.text(LINK_PRIVATE, 1, &text);
    (events(&said), result)
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
    assert!(text.contains(r#""method":"batch_add""#), "{text}");
    assert_eq!(text.matches(r#""post_only":true"#).count(), 3);
    assert_eq!(text.matches(r#""symbol":"BTC/USD""#).count(), 1);
    assert_eq!(text.matches(r#""deadline":"#).count(), 1);
    let rows = format!(
        r#"[{{"order_id":"{ORDER_7}","cl_ord_id":"{}"}},{},{}]"#,
        name(5),
        r#"{"success":false,"error":"EOrder:Insufficient funds"}"#,
        format_args!(r#"{{"order_id":"{ORDER_9}","success":true}}"#),
    );
    for result in [rows.clone(), format!(r#"{{"orders":{rows}}}"#)] {
        let (events, result) = answered(&result);
        assert_eq!(result, Ok(()));
        assert_eq!(
            events,
            [
                format!("Ack 5 order {ORDER_7} None 0"),
                "Ack 6 order 0 InsufficientFunds 1".to_owned(),
                "Order 6 REJECTED InsufficientFunds px - qty - cum -".to_owned(),
                format!("Ack 7 order {ORDER_9} None 0"),
            ]
        );
    }
}

/// The venue looks at a batch as a whole before it does any of it: all of them end, with its reason.
#[test]
fn what_is_refused_whole_is_refused_for_each() {
    for (error, state) in [
        ("EOrder:Tick size check failed", "REJECTED Invalid"),
        ("EService:Deadline elapsed", "REJECTED Timestamp"),
        ("EService:Timeout", "UNKNOWN UnknownOutcome"),
    ] {
        let mut rig = rig::ready();
        let (_, said) = enter(&mut rig, &[5, 6, 7], 0);
        let refused = answer(&said.sent[0].1, false, &format!(r#""error":"{error}""#));
        let (said, result) = rig.text(LINK_PRIVATE, 1, &refused);
        assert_eq!(result, Ok(()));
        for sequence in [5, 6, 7] {
            let want = format!("Order {sequence} {state}");
            let told = said.events.iter().filter(|it| it.starts_with(&want));
            assert_eq!(told.count(), 1, "{want}: {:?}", said.events);
        }
        assert_eq!(said.events.len(), 6, "{:?}", said.events);
    }
}

#[test]
fn a_refusal_for_rate_stops_new_orders_whoever_it_is_about() {
    for more in [
        r#""error":"EOrder:Rate limit exceeded""#,
        r#""result":[{"success":false,"error":"EOrder:Rate limit exceeded"},{},{}]"#,
    ] {
        let mut rig = rig::ready();
        let (_, said) = enter(&mut rig, &[5, 6, 7], 0);
        let text = answer(&said.sent[0].1, !more.contains(r#""error":"EO"#), more);
        let (said, _) = rig.text(LINK_PRIVATE, 1, &text);
        let is_told = |it: &String| it.starts_with("RateLimited");
        assert!(said.events.iter().any(is_told), "{:?}", said.events);
        assert_eq!(enter(&mut rig, &[8, 9], 2).0, Err(EntryError::RateLimited));
    }
}

#[test]
fn a_lost_session_ends_the_link_whoever_it_is_about() {
    for more in [
        r#""error":"ESession:Invalid session""#,
        r#""result":[{"error":"ESession:Invalid session"},{"error":"ESession:Invalid session"}]"#,
    ] {
        let mut rig = rig::ready();
        let (_, said) = enter(&mut rig, &[5, 6], 0);
        let text = answer(&said.sent[0].1, more.contains("result"), more);
        let (said, result) = rig.text(LINK_PRIVATE, 1, &text);
        assert_eq!(result, Ok(()));
        assert_eq!(
            said.reconnects,
            [(LINK_PRIVATE, "the token is refused")],
            "{said:?}"
        );
        assert_eq!(enter(&mut rig, &[8, 9], 2).0, Err(EntryError::NotReady));
    }
}

/// Whoever is not told of is left without an answer, which has the order asked about: never taken for placed or refused.
#[test]
fn rows_that_are_missing_foreign_or_twofold_settle_nothing() {
    let own = |sequence, id| format!(r#"{{"order_id":"{id}","cl_ord_id":"{}"}}"#, name(sequence));
    let nameless = format!(r#"{{"order_id":"{ORDER_7}"}}"#);
    let id = DecodeError::Field("cl_ord_id");
    let order_id = DecodeError::Field("order_id");
    let rows = DecodeError::Field("orders");
    let twice = DecodeError::Shape("an order answered twice");
    let (five, seven) = (own(5, ORDER_7), own(7, ORDER_9));
    for (result, acks, error) in [
        ("null".to_owned(), 0, rows),
        ("[]".to_owned(), 0, rows),
        ("7".to_owned(), 0, rows),
        (r#"{"orders":{}}"#.to_owned(), 0, rows),
        // Two rows without names of three orders: whose they are is not said.
        (format!("[{nameless},{nameless}]"), 0, id),
        (format!("[{}]", own(6, ORDER_7)), 1, rows),
        // One too many, of which one is nobody's.
        (
            format!("[{five},{},{seven},{five}]", own(6, ORDER_8)),
            3,
            twice,
        ),
        (
            format!(
                "[{five},{},{seven},{}]",
                own(6, ORDER_8),
                own(8, "OABCDE-12345-FGHIJ0")
            ),
            3,
            id,
        ),
        (format!("[{five},{},{seven}]", own(5, ORDER_8)), 2, twice),
        (format!("[{five},{{}},{seven}]"), 2, order_id),
        // The id of another order: whose of the two it is, the venue tells later.
        (format!("[{five},{},{seven}]", own(6, ORDER_7)), 2, order_id),
        (
            format!(r#"[{five},7,{{"cl_ord_id":"x","order_id":"{ORDER_7}"}}]"#),
            1,
            order_id,
        ),
        (format!("[{five},{},{seven}]", own(6, "lower")), 2, order_id),
    ] {
        let (events, outcome) = answered(&result);
        assert_eq!(outcome, Err(error.into()), "{result}");
        assert_eq!(events.len(), acks, "{result}: {events:?}");
        assert!(events.iter().all(|it| it.starts_with("Ack")), "{events:?}");
    }
}

/// Answers to requests we never made are nobody's.
#[test]
fn a_number_that_is_not_ours_names_nobody() {
    let mut rig = rig::with_order();
    let row = format!(r#"{{"order_id":"{ORDER_7}","cl_ord_id":"{}"}}"#, name(1));
    // Of one order, of sixteen, of a plain new order, of nothing.
    let number = |count: u64, kind: u64| count << 48 | kind << 45 | client(1).0;
    for number in [number(1, 6), number(16, 6), number(0, 1), number(2, 1), 7] {
        let request = format!(r#"{{"req_id":{number}}}"#);
        let text = answer(&request, true, &format!(r#""result":[{row},{row}]"#));
        let (said, result) = rig.text(LINK_PRIVATE, 1, &text);
        assert_eq!(result, Ok(()));
        assert_eq!(said.events, ["Ignored an answer to what we do not ask"]);
    }
}

#[test]
fn batches_are_counted_and_all_or_none_is_sent() {
    let mut rig = rig::ready();
    assert_eq!(rig.venue.batch_max(), 15);
    let sequences: Vec<_> = (1..=15).collect();
    let sent = (0..100).take_while(|_| enter(&mut rig, &sequences, 0).0.is_ok());
    // Eight points each of sixty, of which twelve are kept for cancels.
    assert_eq!(sent.count(), 6);
    let (result, said) = enter(&mut rig, &[20, 21], 0);
    assert_eq!(result, Err(EntryError::RateLimited));
    assert!(said.sent.is_empty());
    let (result, said) = enter(&mut rig, &[20, 21], 1_000);
    assert_eq!((result, said.sent.len()), (Ok(()), 1), "a point came back");
    let mut said = Said::default();
    let result = rig
        .venue
        .cancel_order(&rig.registry, &cancel(20), at_ms(1_001), &mut said);
    assert_eq!((result, said.sent.len()), (Ok(()), 1), "the reserve");
}

#[test]
fn what_one_request_cannot_carry_is_not_sent() {
    let mut rig = rig::ready();
    let fok = NewOrder {
        kind: OrderKind::Limit,
        tif: Tif::Fok,
        ..new_order(21)
    };
    let unlisted = NewOrder {
        instrument: InstrumentId(9),
        ..new_order(20)
    };
    let many: Vec<_> = (1..=16).map(new_order).collect();
    for (orders, error) in [
        (vec![new_order(20), fok], EntryError::Unsupported),
        (many, EntryError::Unsupported),
        (vec![unlisted, new_order(21)], EntryError::UnknownInstrument),
        (vec![], EntryError::UnknownInstrument),
    ] {
        let (result, said) = enter_all(&mut rig, &orders, 0);
        assert_eq!(result, Err(error));
        assert!(said.sent.is_empty());
    }
    let (result, said) = enter(&mut rig, &[20], 0);
    assert_eq!(result, Ok(()));
    assert!(said.sent[0].1.contains(r#""method":"add_order""#), "alone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever an answer says: no panic, nobody is told twice, and no other order is named.
    #[test]
    fn damaged_answers_name_nobody_else(
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 0..6),
        rows in proptest::collection::vec(0usize..6, 0..20),
    ) {
        let mut rig = rig::ready();
        let (_, said) = enter(&mut rig, &[5, 6, 7], 0);
        let kinds = [
            format!(r#"{{"order_id":"{ORDER_7}","cl_ord_id":"{}"}}"#, name(5)),
            format!(r#"{{"order_id":"{ORDER_9}"}}"#),
            r#"{"success":false,"error":"EOrder:Insufficient funds"}"#.to_owned(),
            format!(r#"{{"cl_ord_id":"{}","success":false,"error":""}}"#, name(7)),
            "null".to_owned(),
            "[]".to_owned(),
        ];
        let rows: Vec<_> = rows.into_iter().map(|at| kinds[at].as_str()).collect();
        let text = answer(&said.sent[0].1, true, &format!(r#""result":[{}]"#, rows.join(",")));
        let mut bytes = text.into_bytes();
        mutate(&mut bytes, &edits);
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let (said, _) = rig.text(LINK_PRIVATE, 1, &text);
        let acks: Vec<_> = said.events.iter().filter(|it| it.starts_with("Ack")).collect();
        // Damage to the number may make it a batch of others: of fifteen at most.
        prop_assert!(acks.len() <= if edits.is_empty() { 3 } else { 15 }, "{acks:?}");
        let is_ours = |it: &&&String| ["Ack 5 ", "Ack 6 ", "Ack 7 "].iter().any(|ours| it.starts_with(ours));
        if edits.is_empty() {
            prop_assert_eq!(acks.iter().filter(is_ours).count(), acks.len());
        }
        let (said, result) = rig.text(LINK_PUBLIC, 2, rig::fixture("feed_trade"));
        prop_assert_eq!((result, said.events.len()), (Ok(()), 2), "still works");
    }
}
