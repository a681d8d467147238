//! New orders of one decision in one REST request, where the configuration asks for it: futures only.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderKind, Price, Qty, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, RestTag, Venue};
use dp_venue_binance::auth::Auth;
use dp_venue_binance::{LINK_BATCHES, LINK_ORDERS};
use proptest::prelude::*;
use rig::{Keys, UsdmRig};
use serde_json::{Value, json};
use tests_venues::rig::{Rig, Said, at_ms};

fn order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_100),
        qty: Qty(10_000_000),
    }
}

fn enter<V: Venue>(rig: &mut Rig<V>, sequences: &[u32], ms: u64) -> (Result<(), EntryError>, Said) {
    let orders: Vec<_> = sequences.iter().copied().map(order).collect();
    let mut said = Said::default();
    let result = rig
        .venue
        .new_orders(&rig.registry, &orders, at_ms(ms), &mut said);
    (result, said)
}

fn sent(rig: &mut UsdmRig, sequences: &[u32], ms: u64) -> RestTag {
    let (result, said) = enter(rig, sequences, ms);
    assert_eq!(result, Ok(()));
    said.requests[0].tag
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().unwrap(), rest.next().unwrap()];
        let digits = core::str::from_utf8(&digits).unwrap();
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
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

#[test]
fn one_form_carries_them_signed_as_it_is_sent() {
    for keys in [Keys::Hmac, Keys::Ed25519] {
        let mut rig = rig::batching(keys);
        assert_eq!(rig.venue.batch_max(), 5);
        let (result, said) = enter(&mut rig, &[5, 6, 7], 0);
        assert_eq!(result, Ok(()));
        assert!(said.sent.is_empty());
        let [request] = said.requests.as_slice() else {
            panic!("{:?}", said.requests)
        };
        assert_eq!(request.link, LINK_BATCHES);
        assert_eq!(request.line, "POST /fapi/v1/batchOrders");
        let names: Vec<_> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["X-MBX-APIKEY", "Content-Type"]);
        let (signed, signature) = request.body.split_once("&signature=").unwrap();
        let auth = Auth::new(&rig::secrets(keys)).unwrap().unwrap();
        assert_eq!(decoded(signature), auth.sign(signed.as_bytes()).as_str());
        let (orders, rest) = signed.split_once('&').unwrap();
        assert_eq!(rest, "recvWindow=1000&timestamp=1760000000000");
        let orders = orders.strip_prefix("batchOrders=").unwrap();
        let is_form = |byte: u8| byte.is_ascii_alphanumeric() || b"%-._~".contains(&byte);
        assert!(orders.bytes().all(is_form), "{orders}");
        let orders: Value = serde_json::from_str(&decoded(orders)).unwrap();
        let one = |id: &str| {
            json!({
                "newClientOrderId": id, "newOrderRespType": "ACK", "price": "65000.1",
                "quantity": "0.1", "side": "BUY", "symbol": "BTCUSDT", "timeInForce": "GTX",
                "type": "LIMIT",
            })
        };
        let ids = ["sl-1z141z9", "sl-1z141za", "sl-1z141zb"];
        assert_eq!(orders, Value::from(ids.map(one).to_vec()));
    }
}

#[test]
fn each_is_answered_for_itself() {
    let mut rig = rig::batching(Keys::Ed25519);
    let tag = sent(&mut rig, &[5, 6, 7, 8], 0);
    // What fails comes without ids: its place names it.
    let answer = r#"[
        {"orderId":77,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"sl-1z141z9","updateTime":1760000000004},
        {"code":-5022,"msg":"Due to the order could not be executed as maker, the Post Only order will be rejected."},
        {"code":-1007,"msg":"Timeout waiting for response from backend server."},
        {"orderId":79,"symbol":"BTCUSDT","clientOrderId":"sl-1z141zc"}]"#;
    let (said, result) = rig.response(1, tag, 200, answer);
    assert_eq!(result, Ok(()));
    assert_eq!(
        fates(&said),
        [
            "5 ack 77",
            "6 REJECTED PostOnlyCross",
            "7 UNKNOWN UnknownOutcome",
            "8 ack 79"
        ]
    );
    assert!(
        said.events
            .contains(&"Ack 6 order 0 PostOnlyCross -5022".to_owned())
    );
    // The terms of each are known: it can be changed.
    let amend = dp_types::AmendOrder {
        instrument: InstrumentId(0),
        client_id: order(8).client_id,
        order_id: dp_types::OrderId(79),
        price: None,
        qty: Some(Qty(5_000_000)),
    };
    let mut said = Said::default();
    let amended = rig
        .venue
        .amend_order(&rig.registry, &amend, at_ms(2), &mut said);
    assert_eq!(amended, Ok(()));
    assert_eq!(said.sent[0].0, LINK_ORDERS);
}

#[test]
fn what_the_answer_leaves_out_or_says_wrongly_is_asked_about() {
    let good = |name: &str, id: u32| format!(r#"{{"orderId":{id},"clientOrderId":"{name}"}}"#);
    let (first, second) = (good("sl-1z141z9", 7), good("sl-1z141za", 8));
    let stranger = good("sl-1z141zz", 9);
    let unknown = |sequence: u32| format!("{sequence} UNKNOWN UnknownOutcome");
    let cases = [
        // Short, empty, too long, twice the same, in another order, another's, a wrong shape.
        (
            format!("[{first}]"),
            vec!["5 ack 7".into(), unknown(6)],
            true,
        ),
        ("[]".into(), vec![unknown(5), unknown(6)], true),
        (
            format!("[{first},{second},{first}]"),
            vec!["5 ack 7".into(), "6 ack 8".into()],
            true,
        ),
        (
            format!("[{first},{first}]"),
            vec!["5 ack 7".into(), unknown(6)],
            true,
        ),
        (
            format!("[{second},{first}]"),
            vec!["6 ack 8".into(), "5 ack 7".into()],
            false,
        ),
        (
            format!("[{stranger},{second}]"),
            vec!["6 ack 8".into(), unknown(5)],
            true,
        ),
        (
            r#"[{"orderId":"x"},{"code":"x","msg":1}]"#.into(),
            vec![unknown(5), unknown(6)],
            true,
        ),
        ("[7,null]".into(), vec![unknown(5), unknown(6)], true),
        (r#"{"code":200}"#.into(), vec![unknown(5), unknown(6)], true),
        ("<html>".into(), vec![unknown(5), unknown(6)], true),
        (String::new(), vec![unknown(5), unknown(6)], true),
    ];
    for (answer, expected, is_fault) in cases {
        let mut rig = rig::batching(Keys::Hmac);
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
    let late = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;
    let open = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#;
    let many = r#"{"code":-1003,"msg":"Too many requests."}"#;
    let cases = [
        (400, late, each("REJECTED Timestamp"), false),
        (401, "", each("REJECTED Auth"), false),
        (403, "<html>", each("REJECTED Permission"), false),
        (408, open, each("UNKNOWN UnknownOutcome"), true),
        (408, "", each("UNKNOWN UnknownOutcome"), true),
        (429, many, each("REJECTED RateLimit"), false),
        (418, many, each("REJECTED RateLimit"), false),
        (503, open, each("UNKNOWN UnknownOutcome"), true),
        (502, "<html>", each("UNKNOWN UnknownOutcome"), true),
        // The link ended, or ten seconds passed without an answer.
        (0, "", each("UNKNOWN UnknownOutcome"), true),
    ];
    for (status, answer, expected, is_fault) in cases {
        let mut rig = rig::batching(Keys::Ed25519);
        let tag = sent(&mut rig, &[5, 6], 0);
        let (said, result) = rig.response(1, tag, status, answer);
        assert_eq!(fates(&said), expected, "{status}");
        assert_eq!(result.is_err(), is_fault, "{status}: {result:?}");
        let is_stopped = enter(&mut rig, &[7, 8], 2).0 == Err(EntryError::RateLimited);
        assert_eq!(is_stopped, matches!(status, 429 | 418), "{status}");
    }
}

#[test]
fn too_many_orders_hold_orders_and_no_cancels() {
    let full = r#"{"code":-1015,"msg":"Too many new orders."}"#;
    for (status, answer) in [(429, full.to_owned()), (200, format!("[{full},{full}]"))] {
        let mut rig = rig::batching(Keys::Ed25519);
        let tag = sent(&mut rig, &[5, 6], 0);
        let (said, result) = rig.response(1, tag, status, &answer);
        assert_eq!(result, Ok(()));
        assert_eq!(
            fates(&said),
            ["5 REJECTED RateLimit", "6 REJECTED RateLimit"]
        );
        assert_eq!(enter(&mut rig, &[7, 8], 2).0, Err(EntryError::RateLimited));
        let cancel = dp_types::CancelOrder {
            instrument: InstrumentId(0),
            client_id: order(5).client_id,
            order_id: dp_types::OrderId(1),
        };
        let mut said = Said::default();
        let cancelled = rig
            .venue
            .cancel_order(&rig.registry, &cancel, at_ms(2), &mut said);
        assert_eq!(cancelled, Ok(()));
    }
}

#[test]
fn one_is_under_way_at_a_time_and_none_without_its_link() {
    let mut rig = rig::batching(Keys::Ed25519);
    let tag = sent(&mut rig, &[5, 6], 0);
    assert_eq!(enter(&mut rig, &[7, 8], 1).0, Err(EntryError::Backlog));
    // Others go by themselves meanwhile.
    let mut said = Said::default();
    let single = rig
        .venue
        .new_order(&rig.registry, &order(7), at_ms(1), &mut said);
    assert_eq!((single, said.sent.len()), (Ok(()), 1));
    let (_, result) = rig.response(2, tag, 200, r#"[{"orderId":1},{"orderId":2}]"#);
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
fn a_batch_is_counted_as_the_venue_counts_it() {
    let mut rig = rig::batching(Keys::Ed25519);
    let mut sequence = 1;
    let passed = (0..100).filter(|_| {
        let (result, said) = enter(&mut rig, &[sequence, sequence + 1], 0);
        sequence += 2;
        if result.is_ok() {
            let tag = said.requests[0].tag;
            let (_, told) = rig.response(0, tag, 200, r#"[{"orderId":1},{"orderId":2}]"#);
            told.unwrap();
        }
        result.is_ok()
    });
    assert_eq!(passed.count(), 60, "each counts five of 300 in 10 s");
    let six = [1, 2, 3, 4, 5, 6];
    assert_eq!(enter(&mut rig, &six, 0).0, Err(EntryError::Unsupported));
    assert_eq!(
        enter(&mut rig, &[], 0).0,
        Err(EntryError::UnknownInstrument)
    );
}

#[test]
fn without_being_asked_for_there_are_none() {
    let mut rig = rig::ready_usdm(Keys::Ed25519);
    assert_eq!(rig.venue.batch_max(), 1);
    assert!(rig.venue.links().iter().all(|link| link.id != LINK_BATCHES));
    assert_eq!(enter(&mut rig, &[5, 6], 0).0, Err(EntryError::Unsupported));
    let mut spot = rig::ready(Keys::Ed25519);
    assert_eq!(spot.venue.batch_max(), 1);
    assert_eq!(enter(&mut spot, &[5, 6], 0).0, Err(EntryError::Unsupported));
}

#[test]
fn an_answer_nobody_asked_for_is_harmless() {
    let mut rig = rig::batching(Keys::Ed25519);
    let strange = DecodeError::UnknownSymbol;
    // Kind 13, two orders, an instrument that is not followed.
    let tag = RestTag(0xd | 2 << 4 | (7 << 45 | 1 << 32) << 8);
    let (said, result) = rig.response(0, tag, 200, "[]");
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
            r#"{"orderId":7,"clientOrderId":"sl-1z141z9"}"#, r#"{"orderId":8,"clientOrderId":"sl-1z141zb"}"#,
            r#"{"orderId":9}"#, r#"{"orderId":0}"#, r#"{"orderId":-1}"#, r#"{"code":-5022,"msg":"x"}"#,
            r#"{"code":-1007,"msg":""}"#, r#"{"code":0,"msg":""}"#, r#"{"code":1e9,"msg":""}"#, "{}", "[]", "null",
            r#"{"orderId":9,"clientOrderId":"sl-zzzzzzzzz"}"#, r#"{"orderId":9,"clientOrderId":7}"#,
        ]), 0..8),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        status in prop::sample::select(vec![200, 200, 200, 0, 400, 429, 503]),
        is_list: bool,
    ) {
        let mut rig = rig::batching(Keys::Hmac);
        let tag = sent(&mut rig, &[5, 6, 7], 0);
        let body = if is_list {
            format!("[{}]", items.join(","))
        } else {
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (said, _) = rig.response(1, tag, status, &body);
        let mut named: Vec<_> = fates(&said).iter().map(|fate| fate[..1].to_owned()).collect();
        named.sort();
        prop_assert_eq!(named, ["5", "6", "7"], "{}", body);
    }
}
