//! What answers orders: answers to requests and pushes of the orders channel, in whatever order their fields come.

use super::{Both, any_number, captures, check, texts, usual_int, usual_number};
use crate::said::mutate;
use proptest::prelude::*;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(path).expect("a fixture");
    text.trim_ascii_end().to_vec()
}

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
        assert!(check(&fixture(name)), "{name}");
    }
    for name in COLD {
        assert!(!check(&fixture(name)), "{name}");
    }
}

#[test]
fn recorded_pushes_are_scanned() {
    let Some(dir) = captures() else { return };
    let mut both = Both::new(&["BTC-USDT"]);
    let pushes: Vec<_> = texts(&dir.join("messages-gocryptotrader.jsonl"))
        .into_iter()
        .filter(|text| text.contains(r#"{"arg":{"channel":"orders""#))
        .collect();
    assert!(pushes.len() >= 4, "{}", pushes.len());
    for text in pushes {
        assert!(both.check(text.as_bytes()), "{text}");
    }
}

// ---- made up -----------------------------------------------------------------------------------------

/// Names with the JSON of their values.
type Fields = Vec<(&'static str, String)>;

fn print(fields: &Fields) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

fn text(text: &str) -> String {
    format!("\"{text}\"")
}

fn word(words: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(words).prop_map(text).boxed()
}

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
    let order = print(order);
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
                ("data", format!("[{}]", print(&item))),
            ];
            if has_times {
                fields.extend([("inTime", text("1760000000008123")), ("outTime", out_time)]);
            }
            fields
        })
        .prop_shuffle()
        .boxed()
}

/// Writes a field again, leaves one out, puts another value or another field in.
type Change = Option<(u8, prop::sample::Index, prop::sample::Index)>;

fn change(fields: &mut Fields, change: Change) {
    let Some((what, a, b)) = change else { return };
    let (a, b) = (a.index(fields.len()), b.index(fields.len()));
    const NAMES: [&str; 6] = ["event", "table", "x", "arg", "data", "algo"];
    const VALUES: [&str; 7] = ["null", "1", "\"-1\"", "[]", "{}", "\"\\u0030\"", "\"x\""];
    match what % 4 {
        0 => fields.insert(b, fields[a].clone()),
        1 => {
            fields.remove(a);
        }
        2 => VALUES[b % VALUES.len()].clone_into(&mut fields[a].1),
        _ => fields.insert(
            a,
            (NAMES[b % NAMES.len()], VALUES[a % VALUES.len()].to_owned()),
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn pushes_are_scanned_in_any_order(fields in order(&usual_number(), &usual_int())) {
        let text = print_push(&fields);
        prop_assert!(check(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn answers_are_scanned_in_any_order(fields in answer(&usual_int())) {
        let text = print(&fields);
        prop_assert!(check(text.as_bytes()), "{text}");
    }

    #[test]
    fn odd_pushes_mean_the_same(
        mut fields in order(&any_number(), &any_number()), other: Change, again: Change
    ) {
        change(&mut fields, other);
        change(&mut fields, again);
        check(&print_push(&fields));
    }

    #[test]
    fn odd_answers_mean_the_same(mut fields in answer(&any_number()), other: Change) {
        change(&mut fields, other);
        check(print(&fields).as_bytes());
    }

    #[test]
    fn damaged_pushes_and_answers_mean_the_same(
        order in order(&usual_number(), &usual_int()),
        answer in answer(&usual_int()),
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4),
    ) {
        for mut text in [print_push(&order), print(&answer).into_bytes()] {
            mutate(&mut text, &edits);
            check(&text);
        }
    }
}

#[test]
fn every_byte_of_them_matters_the_same_to_both() {
    for name in ["entry_new_ack", "entry_cancel_ack", "account_order_partial"] {
        let text = fixture(name);
        for at in 0..text.len() {
            for byte in *b" \"\\09-.e,]}\0\x80" {
                let mut text = text.clone();
                text[at] = byte;
                check(&text);
                text.remove(at);
                check(&text);
            }
        }
    }
}
