//! What answers orders: answers to requests and pushes of the orders channel, in whatever order their fields come.

use super::{Both, CRATE, check, texts};
use proptest::prelude::*;
use tests_venues::damage::{each_byte, mutate};
use tests_venues::made::{
    Change, Fields, any_number, change, object, text, usual_int, usual_number, word,
};
use tests_venues::rig::fixture;

const HOT: [&str; 13] = [
    "entry_new_ack",
    "entry_new_ack_2026",
    "entry_cancel_ack",
    "entry_amend_ack",
    "entry_unknown_outcome",
    "account_order_live",
    "account_order_partial",
    "account_order_partial_2026",
    "account_order_filled_echo",
    "account_order_filled_rebate",
    "account_order_canceled_ioc",
    "account_order_canceled_post_only",
    "account_order_canceled_user",
];
/// Several items, a text of more than 31 bytes, a failed amend, no item.
const COLD: [&str; 4] = [
    "entry_batch_cancel_partial",
    "entry_cancel_reject",
    "account_order_amend_failed",
    "entry_reject_rate",
];

#[test]
fn our_fixtures_are_scanned() {
    for name in HOT {
        assert!(check(fixture(CRATE, name).as_bytes()), "{name}");
    }
    for name in COLD {
        assert!(!check(fixture(CRATE, name).as_bytes()), "{name}");
    }
}

#[test]
fn recorded_pushes_are_scanned() {
    let Some(texts) = texts("messages-gocryptotrader.jsonl") else {
        return;
    };
    let mut both = Both::new(&["BTC-USDT"]);
    let pushes: Vec<_> = texts
        .into_iter()
        .filter(|text| text.contains(r#"{"arg":{"channel":"orders""#))
        .collect();
    assert!(pushes.len() >= 4, "{}", pushes.len());
    for text in pushes {
        assert!(both.check(text.as_bytes()), "{text}");
    }
}

// ---- made up -----------------------------------------------------------------------------------------

/// A text of a number, at times an empty one.
fn perhaps(number: &BoxedStrategy<String>) -> BoxedStrategy<String> {
    prop_oneof![4 => number.clone(), 1 => Just(String::new())]
        .prop_map(|number| text(&number))
        .boxed()
}

fn quoted(number: &BoxedStrategy<String>) -> BoxedStrategy<String> {
    number.clone().prop_map(|number| text(&number)).boxed()
}

fn client_id() -> BoxedStrategy<String> {
    prop_oneof![3 => "sl1[0-9a-z]{7}", 1 => "[a-zA-Z0-9]{0,31}"]
        .prop_map(|id| text(&id))
        .boxed()
}

/// One order, its fields shuffled.
fn order(number: &BoxedStrategy<String>, int: &BoxedStrategy<String>) -> BoxedStrategy<Fields> {
    let states: &[&str] = &[
        "live",
        "partially_filled",
        "filled",
        "canceled",
        "mmp_canceled",
    ];
    let sources: &[&str] = &["", "1", "13", "14", "20", "31", "32"];
    let reasons: &[&str] = &[
        "",
        "POST_ONLY would take liquidity",
        "Self trade prevention",
    ];
    let assets: &[&str] = &["BTC", "USDT", "XYZ", ""];
    let words = (
        word(&["buy", "sell"]),
        word(states),
        word(sources),
        word(reasons),
        word(assets),
        word(&["M", "T", ""]),
    );
    let numbers = proptest::collection::vec(perhaps(number), 3);
    let fills = proptest::collection::vec(quoted(number), 3);
    let times = proptest::collection::vec(perhaps(int), 3);
    let id = (1u64..u64::MAX).prop_map(|id| text(&id.to_string()));
    let more = any::<[bool; 3]>();
    (words, numbers, fills, times, id, client_id(), more)
        .prop_map(|(words, numbers, fills, times, id, client_id, more)| {
            let (side, state, source, reason, asset, kind) = words;
            let [has_reason, has_linked, has_attached] = more;
            let mut fields: Fields = vec![
                ("instType", text("SPOT")),
                ("instId", text("BTC-USDT")),
                ("ordId", id),
                ("clOrdId", client_id),
                ("px", numbers[0].clone()),
                ("sz", numbers[1].clone()),
                ("side", side),
                ("state", state),
                ("accFillSz", numbers[2].clone()),
                ("fillSz", fills[0].clone()),
                ("fillPx", fills[1].clone()),
                ("fillFee", fills[2].clone()),
                ("fillFeeCcy", asset),
                ("fillTime", times[0].clone()),
                ("tradeId", times[1].clone()),
                ("execType", kind),
                ("uTime", times[2].clone()),
                ("cancelSource", source),
                ("amendResult", text("")),
                ("code", text("0")),
                ("notionalUsd", text("10.000599999999999")),
            ];
            fields.extend(has_reason.then_some(("cancelSourceReason", reason)));
            fields.extend(has_linked.then(|| ("linkedAlgoOrd", r#"{"algoId":""}"#.to_owned())));
            fields.extend(has_attached.then(|| ("attachAlgoOrds", "[]".to_owned())));
            fields
        })
        .prop_shuffle()
        .boxed()
}

fn print_push(order: &Fields) -> Vec<u8> {
    let order = object(order);
    let head = r#"{"arg":{"channel":"orders","instType":"ANY","uid":"77982378738415879"},"data":["#;
    format!("{head}{order}]}}").into_bytes()
}

/// An answer of one item, all of it shuffled.
fn answer(int: &BoxedStrategy<String>) -> BoxedStrategy<Fields> {
    let codes: &[&str] = &["0", "1", "2", "50011", ""];
    let own: &[&str] = &["0", "51008", "51016", "50004", "50061", ""];
    let item = (
        perhaps(int),
        client_id(),
        perhaps(int),
        word(own),
        any::<bool>(),
    )
        .prop_map(|(order_id, client_id, ts, code, is_new)| {
            let mut fields: Fields = vec![
                ("ordId", order_id),
                ("clOrdId", client_id),
                ("ts", ts),
                ("sCode", code),
                ("sMsg", text("Order successfully placed.")),
            ];
            fields.extend(is_new.then(|| ("tag", text(""))));
            fields
        })
        .prop_shuffle();
    let ids = "(n1[0-9a-z]{7}I[12]|[ac]1[0-9a-z]{7}|b7|1512|)";
    (ids, word(codes), item, perhaps(int), any::<bool>())
        .prop_map(|(id, code, item, out_time, has_times)| {
            let mut fields: Fields = vec![
                ("id", text(&id)),
                ("op", text("order")),
                ("code", code),
                ("msg", text("")),
                ("data", format!("[{}]", object(&item))),
            ];
            if has_times {
                fields.extend([("inTime", text("1760000000008123")), ("outTime", out_time)]);
            }
            fields
        })
        .prop_shuffle()
        .boxed()
}

/// Names that mean something somewhere.
const NAMES: [&str; 6] = ["event", "table", "x", "arg", "data", "algo"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn pushes_are_scanned_in_any_order(fields in order(&usual_number(), &usual_int())) {
        let text = print_push(&fields);
        prop_assert!(check(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn answers_are_scanned_in_any_order(fields in answer(&usual_int())) {
        let text = object(&fields);
        prop_assert!(check(text.as_bytes()), "{text}");
    }

    #[test]
    fn odd_pushes_mean_the_same(
        mut fields in order(&any_number(), &any_number()), other: Change, again: Change
    ) {
        change(&mut fields, &NAMES, other);
        change(&mut fields, &NAMES, again);
        check(&print_push(&fields));
    }

    #[test]
    fn odd_answers_mean_the_same(mut fields in answer(&any_number()), other: Change) {
        change(&mut fields, &NAMES, other);
        check(object(&fields).as_bytes());
    }

    #[test]
    fn damaged_pushes_and_answers_mean_the_same(
        order in order(&usual_number(), &usual_int()),
        answer in answer(&usual_int()),
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4),
    ) {
        for mut text in [print_push(&order), object(&answer).into_bytes()] {
            mutate(&mut text, &edits);
            check(&text);
        }
    }
}

#[test]
fn every_byte_of_them_matters_the_same_to_both() {
    for name in ["entry_new_ack", "entry_cancel_ack", "account_order_partial"] {
        each_byte(fixture(CRATE, name).as_bytes(), |text| {
            check(text);
        });
    }
}
