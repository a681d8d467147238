//! New orders of one decision in one REST request, where the configuration asks for it.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, RestTag, Venue};
use dp_venue_kucoin::{LINK_BATCHES, LINK_ORDERS};
use proptest::prelude::*;
use rig::Rig;
use serde_json::{Value, json};
use tests_venues::rig::{Said, at_ms};

fn order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_100),
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

fn sent(rig: &mut Rig, sequences: &[u32], ms: u64) -> RestTag {
    let (result, said) = enter(rig, sequences, ms);
    assert_eq!(result, Ok(()));
    said.requests[0].tag
}

/// What became of each: `5 ack`, `6 REJECTED Invalid`, `7 UNKNOWN UnknownOutcome`.
fn fates(said: &Said) -> Vec<String> {
    let fate = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "Ack" if words[4] == "None" => Some(format!("{} ack {}", words[1], words[3])),
            "Order" => Some(words[1..4].join(" ")),
            _ => None,
        }
    };
    said.events.iter().filter_map(fate).collect()
}

fn good(items: &str) -> String {
    format!(r#"{{"code":"200000","data":[{items}]}}"#)
}

const TAKEN: &str = r#"{"orderId":"7","success":true}"#;

#[test]
fn one_request_carries_them_signed_each_with_its_window() {
    let mut rig = rig::batching();
    assert_eq!(rig.venue.batch_max(), 20);
    let (result, said) = enter(&mut rig, &[5, 6], 0);
    assert_eq!(result, Ok(()));
    assert!(said.sent.is_empty());
    let [request] = said.requests.as_slice() else {
        panic!("{:?}", said.requests)
    };
    assert_eq!(request.link, LINK_BATCHES);
    assert_eq!(request.line, "POST /api/v1/hf/orders/multi");
    let header = |name: &str| &request.headers.iter().find(|it| it.0 == name).unwrap().1;
    let auth = dp_venue_kucoin::auth::Auth::new(&dp_venue_api::Secrets {
        api_key: "5c2db93503aa674c74a31734".into(),
        api_secret: "f03a5284-5c39-4aaa-9b20-dea10bdcf8e3".into(),
        ..dp_venue_api::Secrets::default()
    });
    let target = "/api/v1/hf/orders/multi";
    let post = dp_venue_api::RestMethod::Post;
    let sign = auth.unwrap().sign_rest(
        header("KC-API-TIMESTAMP"),
        post,
        target,
        request.body.as_bytes(),
    );
    assert_eq!(header("KC-API-SIGN"), sign.as_str());
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let list = body["orderList"].as_array().unwrap();
    let named: Vec<_> = list
        .iter()
        .map(|it| it["clientOid"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["sl-1z141z9", "sl-1z141za"]);
    for it in list {
        assert_eq!(
            (&it["symbol"], &it["side"]),
            (&json!("BTC-USDT"), &json!("buy"))
        );
        assert_eq!(
            (&it["timeInForce"], &it["postOnly"]),
            (&json!("GTC"), &json!(true))
        );
        assert_eq!(it["allowMaxTimeWindow"], 500);
        assert_eq!(it["clientTimestamp"], 1_760_000_000_000_u64);
    }
    // As a single one has it, but for what names the request.
    let mut single = Said::default();
    rig.venue
        .new_order(&rig.registry, &order(5), at_ms(0), &mut single)
        .unwrap();
    let single: Value = serde_json::from_str(&single.sent[0].1).unwrap();
    assert_eq!(single["args"], list[0]);
}

#[test]
fn the_whole_of_twenty_is_told_apart() {
    let mut rig = rig::batching();
    for count in [2, 15, 16, 17, 20] {
        let sequences: Vec<_> = (1..=count).collect();
        let tag = sent(&mut rig, &sequences, 0);
        let items = vec![TAKEN; count as usize].join(",");
        let (said, result) = rig.response(1, tag, 200, &good(&items));
        assert_eq!(result, Ok(()));
        let acks: Vec<_> = sequences.iter().map(|it| format!("{it} ack 7")).collect();
        assert_eq!(fates(&said), acks);
    }
    let sequences: Vec<_> = (1..=21).collect();
    assert_eq!(
        enter(&mut rig, &sequences, 0).0,
        Err(EntryError::Unsupported)
    );
}

#[test]
fn each_is_answered_for_itself() {
    let mut rig = rig::batching();
    let tag = sent(&mut rig, &[5, 6, 7, 8, 9, 10], 0);
    let answer = good(
        r#"{"orderId":"655a1c00f3a1c20007d1a003","clientOid":"sl-1z141z9","success":true},
        {"clientOid":"sl-1z141za","success":false,"failMsg":"Balance insufficient!"},
        {"success":false,"failMsg":"clientOidDuplicated"},
        {"clientOid":"sl-1z141zc","success":false,"failMsg":"Internal Server Error"},
        {"success":false,"failMsg":"Price increment invalid."},
        {"orderId":"9","success":true}"#,
    );
    let (said, result) = rig.response(1, tag, 200, &answer);
    assert_eq!(result, Ok(()));
    let told = fates(&said);
    assert!(told[0].starts_with("5 ack "), "{told:?}");
    assert_eq!(
        told[1..],
        [
            "6 REJECTED InsufficientFunds",
            "7 UNKNOWN DuplicateId",
            "8 UNKNOWN UnknownOutcome",
            "9 REJECTED Invalid",
            "10 ack 9"
        ]
    );
}

#[test]
fn what_the_answer_leaves_out_or_says_wrongly_is_asked_about() {
    let named = |name: &str, id: u32| {
        format!(r#"{{"orderId":"{id}","clientOid":"{name}","success":true}}"#)
    };
    let (first, second) = (named("sl-1z141z9", 7), named("sl-1z141za", 8));
    let stranger = named("sl-1z141zz", 9);
    let unknown = |sequence: u32| format!("{sequence} UNKNOWN UnknownOutcome");
    let both = || vec![unknown(5), unknown(6)];
    let cases = [
        (good(&first), vec!["5 ack 7".into(), unknown(6)], true),
        (good(""), both(), true),
        (
            good(&format!("{first},{second},{first}")),
            vec!["5 ack 7".into(), "6 ack 8".into()],
            true,
        ),
        (
            good(&format!("{second},{second}")),
            vec!["6 ack 8".into(), unknown(5)],
            true,
        ),
        (
            good(&format!("{second},{first}")),
            vec!["6 ack 8".into(), "5 ack 7".into()],
            false,
        ),
        (
            good(&format!("{stranger},{second}")),
            vec!["6 ack 8".into(), unknown(5)],
            true,
        ),
        // Success without an order, neither success nor failure, no objects, no list, no JSON.
        (good(r#"{"success":true},{"orderId":"8"}"#), both(), true),
        (good("7,null"), both(), true),
        (r#"{"code":"200000","data":{}}"#.into(), both(), true),
        (r#"{"code":"200000"}"#.into(), both(), true),
        ("{}".into(), both(), true),
        ("<html>".into(), both(), true),
        (String::new(), both(), true),
    ];
    for (answer, expected, is_fault) in cases {
        let mut rig = rig::batching();
        let tag = sent(&mut rig, &[5, 6], 0);
        let (said, result) = rig.response(1, tag, 200, &answer);
        assert_eq!(fates(&said), expected, "{answer}");
        let is_decode = matches!(result, Err(Fault::Decode(_)));
        assert_eq!(is_decode, is_fault, "{answer}: {result:?}");
    }
}

#[test]
fn what_is_refused_whole_is_refused_for_each() {
    let each = |fate: &str| vec![format!("5 {fate}"), format!("6 {fate}")];
    let of = |code: u32| format!(r#"{{"code":"{code}","msg":"x"}}"#);
    let cases = [
        (200, of(400_100), each("REJECTED Invalid"), false),
        (200, of(400_002), each("REJECTED Timestamp"), false),
        (401, of(400_005), each("REJECTED Auth"), false),
        (403, "<html>".into(), each("REJECTED Auth"), false),
        (429, of(429_000), each("REJECTED RateLimit"), false),
        (429, String::new(), each("REJECTED RateLimit"), false),
        (408, String::new(), each("UNKNOWN UnknownOutcome"), true),
        (200, of(500_000), each("UNKNOWN UnknownOutcome"), true),
        (500, of(500_000), each("UNKNOWN UnknownOutcome"), true),
        (502, "<html>".into(), each("UNKNOWN UnknownOutcome"), true),
        // The link ended, or ten seconds passed without an answer.
        (0, String::new(), each("UNKNOWN UnknownOutcome"), true),
    ];
    for (status, answer, expected, is_fault) in cases {
        let mut rig = rig::batching();
        let tag = sent(&mut rig, &[5, 6], 0);
        let (said, result) = rig.response(1, tag, status, &answer);
        assert_eq!(fates(&said), expected, "{status} {answer}");
        assert_eq!(result.is_err(), is_fault, "{status}: {result:?}");
        let is_stopped = enter(&mut rig, &[7, 8], 2).0 == Err(EntryError::RateLimited);
        assert_eq!(is_stopped, status == 429, "{status}");
        // What rests must go all the same.
        let cancel = CancelOrder {
            instrument: InstrumentId(0),
            client_id: order(5).client_id,
            order_id: OrderId(1),
        };
        let mut said = Said::default();
        let cancelled = rig
            .venue
            .cancel_order(&rig.registry, &cancel, at_ms(2), &mut said);
        assert_eq!(cancelled, Ok(()));
    }
}

#[test]
fn one_refused_for_rate_stops_what_follows() {
    let mut rig = rig::batching();
    let tag = sent(&mut rig, &[5, 6], 0);
    let many = r#"{"success":false,"failMsg":"Too many requests"}"#;
    let (said, result) = rig.response(1, tag, 200, &good(&format!("{TAKEN},{many}")));
    assert_eq!(result, Ok(()));
    assert_eq!(fates(&said), ["5 ack 7", "6 REJECTED RateLimit"]);
    assert_eq!(enter(&mut rig, &[7, 8], 2).0, Err(EntryError::RateLimited));
}

#[test]
fn one_is_under_way_at_a_time_and_none_without_its_link() {
    let mut rig = rig::batching();
    let tag = sent(&mut rig, &[5, 6], 0);
    assert_eq!(enter(&mut rig, &[7, 8], 1).0, Err(EntryError::Backlog));
    // Others go by themselves meanwhile.
    let mut said = Said::default();
    let single = rig
        .venue
        .new_order(&rig.registry, &order(7), at_ms(1), &mut said);
    assert_eq!((single, said.sent.len()), (Ok(()), 1));
    let (_, result) = rig.response(2, tag, 200, &good(&format!("{TAKEN},{TAKEN}")));
    assert_eq!(result, Ok(()));
    sent(&mut rig, &[8, 9], 3);
    rig.close(LINK_BATCHES, 4);
    assert_eq!(enter(&mut rig, &[10, 11], 4).0, Err(EntryError::Backlog));
    rig.open(LINK_BATCHES, 5);
    sent(&mut rig, &[10, 11], 5);
    rig.close(LINK_ORDERS, 6);
    assert_eq!(enter(&mut rig, &[12, 13], 6).0, Err(EntryError::NotReady));
}

#[test]
fn a_batch_costs_as_one_order() {
    let mut rig = rig::batching();
    let items = good(&format!("{TAKEN},{TAKEN}"));
    let mut passed = 0;
    while passed < 5_000 {
        let (result, said) = enter(&mut rig, &[1, 2], 0);
        if result.is_err() {
            assert_eq!(result, Err(EntryError::RateLimited));
            break;
        }
        rig.response(0, said.requests[0].tag, 200, &items)
            .1
            .unwrap();
        passed += 1;
    }
    // 4,000, a fifth kept for cancels, and what the start has cost.
    assert!((3_150..=3_200).contains(&passed), "{passed}");
    assert_eq!(
        enter(&mut rig, &[], 0).0,
        Err(EntryError::UnknownInstrument)
    );
}

#[test]
fn without_being_asked_for_there_are_none() {
    let mut rig = rig::ready();
    assert_eq!(rig.venue.batch_max(), 1);
    assert!(rig.venue.links().iter().all(|link| link.id != LINK_BATCHES));
    assert_eq!(enter(&mut rig, &[5, 6], 0).0, Err(EntryError::Unsupported));
}

#[test]
fn an_answer_nobody_asked_for_is_harmless() {
    let mut rig = rig::batching();
    // Kind 13, two orders, an instrument that is not followed.
    let tag = RestTag(0xd | 2 << 4 | (7 << 45 | 1 << 32) << 8);
    let (said, result) = rig.response(0, tag, 200, &good(""));
    let strange = DecodeError::UnknownSymbol;
    assert_eq!((said.events.len(), result), (0, Err(strange.into())));
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever comes, each order of a batch has one fate and no more, and the machine goes on.
    #[test]
    fn each_order_has_one_fate(
        items in proptest::collection::vec(prop::sample::select(vec![
            r#"{"orderId":"7","clientOid":"sl-1z141z9","success":true}"#, TAKEN,
            r#"{"orderId":"8","clientOid":"sl-1z141zb","success":true}"#, r#"{"orderId":"","success":true}"#,
            r#"{"orderId":-1,"success":true}"#, r#"{"success":false}"#, r#"{"success":false,"failMsg":7}"#,
            r#"{"success":"false"}"#, "{}", "[]", "null", r#"{"orderId":"9","clientOid":"sl-zzzzzzzzz","success":true}"#,
        ]), 0..8),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        status in prop::sample::select(vec![200, 200, 200, 0, 400, 429, 503]),
        is_list: bool,
    ) {
        let mut rig = rig::batching();
        let tag = sent(&mut rig, &[5, 6, 7], 0);
        let body = if is_list {
            good(&items.join(","))
        } else {
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (said, _) = rig.response(1, tag, status, &body);
        let mut named: Vec<_> = fates(&said).iter().map(|fate| fate[..1].to_owned()).collect();
        named.sort();
        prop_assert_eq!(named, ["5", "6", "7"], "{}", body);
    }
}
