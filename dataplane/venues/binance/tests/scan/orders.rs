//! What answers orders: acknowledgements, answers to cancels, reports of the user stream.

use super::{Both, CRATE, check};
use dp_types::LinkId;
use proptest::prelude::*;
use tests_venues::captures::{self, texts};
use tests_venues::damage::{each_byte, mutate};
use tests_venues::ear::Ear;
use tests_venues::made::{
    Change, Fields, any_int, any_number, change, object, text, usual_int, usual_number, word,
};
use tests_venues::rig::fixture;

const HOT: [&str; 11] = [
    "entry_new_ack",
    "entry_cancel_ack",
    "account_new",
    "account_fill_partial",
    "account_fill_last",
    "account_canceled",
    "account_expired_ioc",
    "account_expired_unmatched",
    "account_replaced",
    "account_foreign",
    "account_balance",
];

#[test]
fn our_fixtures_are_scanned() {
    for name in HOT {
        assert!(check(fixture(CRATE, name).as_bytes()), "{name}");
    }
}

#[test]
fn recorded_reports_are_scanned() {
    let Some(dir) = captures::dir("binance") else {
        return;
    };
    let mut both = Both::new(&["BNBBTC"]);
    let reports: Vec<_> = texts(&dir.join("messages-gocryptotrader.jsonl"))
        .filter(|text| text.contains("executionReport"))
        .collect();
    assert!(!reports.is_empty());
    for text in reports {
        // The stream name is that of the retired way to get them.
        let (_, report) = text.split_once(r#""data":"#).expect("an envelope");
        let report = report.strip_suffix('}').expect("an envelope");
        assert!(both.check(report.as_bytes()), "{report}");
        both.check(text.as_bytes());
    }
}

// ---- made up -----------------------------------------------------------------------------------------

/// Names of orders: ours, foreign ones, none.
fn name() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "sl-1[0-9a-z]{7}",
        1 => "[a-zA-Z0-9_-]{0,31}",
    ]
    .prop_map(|name| text(&name))
    .boxed()
}

/// One entry of `rateLimits`; `odd` ones too.
fn usage(int: &BoxedStrategy<String>, is_odd: bool) -> BoxedStrategy<String> {
    let kinds: &[&str] = &["ORDERS", "REQUEST_WEIGHT", "RAW_REQUESTS"];
    let units: &[&str] = &["SECOND", "MINUTE", "HOUR", "DAY", "WEEK"];
    let number = if is_odd {
        int.clone()
    } else {
        (1u32..100).prop_map(|number| number.to_string()).boxed()
    };
    (word(kinds), word(units), number, int.clone(), prop::option::of(int.clone()))
        .prop_map(|(kind, unit, number, limit, count)| {
            let count = count.map_or(String::new(), |count| format!(r#","count":{count}"#));
            format!(
                r#"{{"rateLimitType":{kind},"interval":{unit},"intervalNum":{number},"limit":{limit}{count}}}"#
            )
        })
        .boxed()
}

/// The fields of an answer's `result` and what stands around it.
fn answer(
    number: BoxedStrategy<String>,
    int: BoxedStrategy<String>,
    is_odd: bool,
) -> BoxedStrategy<(String, Fields, String)> {
    let numbers = proptest::collection::vec(number, 5);
    let ints = proptest::collection::vec(int.clone(), 2);
    let names = proptest::collection::vec(name(), 3);
    let id = if is_odd {
        "[nacqxlu]?(-?[0-9a-z]{0,9}){0,3}".boxed()
    } else {
        "[nc]-1[0-9a-z]{7}-(0|[1-9a-z])".boxed()
    };
    let usages = prop::option::of(proptest::collection::vec(usage(&int, is_odd), 1..5));
    (id, numbers, ints, names, usages, any::<[bool; 3]>())
        .prop_map(|(id, numbers, ints, names, usages, flags)| {
            let [has_standing, has_quote, has_prevention] = flags;
            let is_cancel = id.starts_with('c');
            let mut fields: Fields = vec![("symbol", text("BTCUSDT"))];
            fields.extend(is_cancel.then(|| ("origClientOrderId", names[0].clone())));
            fields.extend([
                ("orderId", ints[0].clone()),
                ("orderListId", "-1".to_owned()),
                ("clientOrderId", names[1].clone()),
                ("transactTime", ints[1].clone()),
            ]);
            if is_cancel && has_standing {
                let quoted = |at: usize| text(&numbers[at]);
                fields.extend([("price", quoted(0)), ("origQty", quoted(1))]);
                fields.push(("executedQty", quoted(2)));
                fields.extend(has_quote.then(|| ("origQuoteOrderQty", quoted(3))));
                fields.push(("cummulativeQuoteQty", quoted(4)));
                for (key, value) in [
                    ("status", "CANCELED"),
                    ("timeInForce", "GTC"),
                    ("type", "LIMIT_MAKER"),
                    ("side", "SELL"),
                ] {
                    fields.push((key, text(value)));
                }
                let prevention = || ("selfTradePreventionMode", text("EXPIRE_MAKER"));
                fields.extend(has_prevention.then(prevention));
            }
            let usages = usages.map_or(String::new(), |usages| {
                format!(r#","rateLimits":[{}]"#, usages.join(","))
            });
            (id, fields, usages)
        })
        .boxed()
}

fn print_answer(id: &str, status: &str, fields: &Fields, usages: &str) -> Vec<u8> {
    let result = object(fields);
    format!(r#"{{"id":"{id}","status":{status},"result":{result}{usages}}}"#).into_bytes()
}

/// The fields of a report, in the venue's order.
fn report(
    number: BoxedStrategy<String>,
    int: BoxedStrategy<String>,
    is_odd: bool,
) -> BoxedStrategy<Fields> {
    let numbers = proptest::collection::vec(number, 10);
    let ints = proptest::collection::vec(int, 7);
    let names = proptest::collection::vec(name(), 2);
    let words: &[&str] = &[
        "NEW", "TRADE", "CANCELED", "EXPIRED", "REPLACED", "REJECTED",
    ];
    let odd_words: &[&str] = &["TRADE", "CALCULATED", "TRADE_PREVENTION", "trade", ""];
    let states: &[&str] = &["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"];
    let odd_states: &[&str] = &["PENDING_NEW", "REJECTED", "PENDING_CANCEL", "EXPIRED", ""];
    let assets: &[&str] = &["BTC", "USDT", "BNB", "XYZ"];
    let words = if is_odd { odd_words } else { words };
    let states = if is_odd { odd_states } else { states };
    let causes: &[&str] = &["INSUFFICIENT_LIQUIDITY", "PRICE_RANGE_EXCEEDED", ""];
    let asset = prop_oneof![Just("null".to_owned()), word(assets)];
    let word = (
        word(words),
        word(states),
        word(&["BUY", "SELL"]),
        asset,
        word(causes),
    );
    (numbers, ints, names, word, any::<[bool; 6]>())
        .prop_map(
            |(numbers, ints, names, (word, state, side, asset, cause), flags)| {
                let quoted = |at: usize| text(&numbers[at]);
                let int = |at: usize| ints[at].clone();
                let [
                    is_cancel,
                    is_maker,
                    has_time,
                    has_mode,
                    has_cause,
                    is_working,
                ] = flags;
                let trade_id = if word == "\"TRADE\"" {
                    int(6)
                } else {
                    "-1".to_owned()
                };
                let mut fields: Fields = vec![
                    ("e", text("executionReport")),
                    ("E", int(0)),
                    ("s", text("BTCUSDT")),
                    ("c", names[0].clone()),
                    ("S", side),
                    ("o", text("LIMIT")),
                    ("f", text("GTC")),
                    ("q", quoted(0)),
                    ("p", quoted(1)),
                    ("P", quoted(2)),
                    ("F", quoted(3)),
                    ("g", "-1".to_owned()),
                    (
                        "C",
                        if is_cancel {
                            names[1].clone()
                        } else {
                            text("")
                        },
                    ),
                    ("x", word),
                    ("X", state),
                    ("r", text("NONE")),
                    ("i", int(1)),
                    ("l", quoted(4)),
                    ("z", quoted(5)),
                    ("L", quoted(6)),
                    ("n", quoted(7)),
                    ("N", asset),
                    ("T", int(2)),
                    ("t", trade_id),
                    ("I", int(3)),
                    ("w", is_working.to_string()),
                    ("m", is_maker.to_string()),
                    ("M", (!is_maker).to_string()),
                    ("O", int(4)),
                    ("Z", quoted(8)),
                    ("Y", quoted(9)),
                    ("Q", text("0.00000000")),
                ];
                fields.extend(has_time.then(|| ("W", int(5))));
                fields.extend(has_mode.then(|| ("V", text("EXPIRE_MAKER"))));
                fields.extend(has_cause.then_some(("eR", cause)));
                fields
            },
        )
        .boxed()
}

fn print_report(fields: &Fields, is_wrapped: bool) -> Vec<u8> {
    let event = object(fields);
    if !is_wrapped {
        return event.into_bytes();
    }
    format!(r#"{{"subscriptionId":7,"event":{event}}}"#).into_bytes()
}

/// Balances that changed.
fn balances(number: &BoxedStrategy<String>, int: &BoxedStrategy<String>) -> BoxedStrategy<Fields> {
    let assets: &[&str] = &["BTC", "USDT", "XYZ", "", "1000CAT"];
    let one = (word(assets), number.clone(), number.clone()).prop_map(|(asset, free, locked)| {
        format!(r#"{{"a":{asset},"f":"{free}","l":"{locked}"}}"#)
    });
    (
        proptest::collection::vec(one, 0..5),
        int.clone(),
        int.clone(),
    )
        .prop_map(|(items, event, update)| {
            vec![
                ("e", text("outboundAccountPosition")),
                ("E", event),
                ("u", update),
                ("B", format!("[{}]", items.join(","))),
            ]
        })
        .boxed()
}

/// Names that mean something somewhere.
const NAMES: [&str; 4] = ["amendedOrder", "event", "status", "x"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn answers_the_venue_prints_are_scanned(
        (id, fields, usages) in answer(usual_number(), usual_int(), false)
    ) {
        let text = print_answer(&id, "200", &fields, &usages);
        prop_assert!(check(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn reports_the_venue_prints_are_scanned(
        fields in report(usual_number(), usual_int(), false), is_wrapped: bool
    ) {
        let text = print_report(&fields, is_wrapped);
        let is_nobodys = fields.iter().any(|(key, value)| *key == "i" && value == "0");
        prop_assert!(check(&text) != is_nobodys, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn balances_the_venue_prints_are_scanned(
        fields in balances(&usual_number(), &usual_int()), is_wrapped: bool
    ) {
        let text = print_report(&fields, is_wrapped);
        prop_assert!(check(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn odd_balances_mean_the_same(
        mut fields in balances(&any_number(), &any_int()), other: Change, is_wrapped: bool,
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 0..3),
    ) {
        change(&mut fields, &NAMES, other);
        let mut text = print_report(&fields, is_wrapped);
        mutate(&mut text, &edits);
        check(&text);
    }

    #[test]
    fn odd_answers_mean_the_same(
        (id, mut fields, usages) in answer(any_number(), any_int(), true),
        status in prop::sample::select(vec!["200", "200", "200", "400", "204", "\"200\"", "2e2"]),
        other: Change,
    ) {
        change(&mut fields, &NAMES, other);
        check(&print_answer(&id, status, &fields, &usages));
    }

    #[test]
    fn odd_reports_mean_the_same(
        mut fields in prop_oneof![
            report(any_number(), any_int(), false),
            report(usual_number(), usual_int(), true),
        ],
        other: Change,
        is_wrapped: bool,
    ) {
        change(&mut fields, &NAMES, other);
        check(&print_report(&fields, is_wrapped));
    }

    #[test]
    fn damaged_answers_and_reports_mean_the_same(
        (id, result, usages) in answer(usual_number(), usual_int(), false),
        fields in report(usual_number(), usual_int(), false),
        edits in proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4),
    ) {
        for mut text in [print_answer(&id, "200", &result, &usages), print_report(&fields, true)] {
            mutate(&mut text, &edits);
            check(&text);
        }
    }
}

#[test]
fn every_byte_of_them_matters_the_same_to_both() {
    for name in [
        "account_balance",
        "entry_new_ack",
        "entry_cancel_ack",
        "account_fill_last",
        "account_expired_ioc",
    ] {
        each_byte(fixture(CRATE, name).as_bytes(), |text| {
            check(text);
        });
    }
}

/// The counts of the venue come through, whichever way they were read: the first three that concern us.
#[test]
fn rate_limits_are_kept_up_to_the_room() {
    let entry = |kind: &str, unit: &str| {
        format!(
            r#"{{"rateLimitType":"{kind}","interval":"{unit}","intervalNum":1,"limit":9,"count":4}}"#
        )
    };
    let many = [
        entry("RAW_REQUESTS", "MINUTE"),
        entry("ORDERS", "SECOND"),
        entry("ORDERS", "WEEK"),
        entry("ORDERS", "DAY"),
        entry("REQUEST_WEIGHT", "MINUTE"),
        entry("REQUEST_WEIGHT", "DAY"),
    ];
    let (head, _) = fixture(CRATE, "entry_new_ack")
        .split_once(r#""rateLimits""#)
        .expect("they are there");
    let text = format!(r#"{head}"rateLimits":[{}]}}"#, many.join(","));
    let mut both = Both::new(&["BTCUSDT"]);
    assert!(both.check(text.as_bytes()));
    let mut out = Ear::default();
    let mut bytes = text.into_bytes();
    let heard = both
        .scanner
        .text(&both.registry, LinkId(2), &mut bytes, &mut out)
        .expect("an answer");
    let kept: Vec<_> = heard
        .usages
        .iter()
        .flatten()
        .map(|usage| usage.is_orders)
        .collect();
    assert_eq!(kept, [true, true, false]);
}
