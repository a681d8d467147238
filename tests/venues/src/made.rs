//! Made-up messages: numbers, words and fields as venues print them, and as nobody does.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A decimal as venues print them.
pub fn usual_number() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[1-9][0-9]{0,5}\\.[0-9]{8}",
        2 => "0\\.[0-9]{2,8}",
        1 => "[1-9][0-9]{0,9}",
        1 => "[1-9][0-9]{8,9}\\.[0-9]{2,8}",
    ]
    .boxed()
}

/// A decimal of any look, and what is none.
pub fn any_number() -> BoxedStrategy<String> {
    prop_oneof![
        6 => usual_number(),
        1 => "-?[0-9]{1,20}(\\.[0-9]{0,19})?([eE][+-]?[0-9]{1,3})?",
        1 => "[-+.0-9eE]{0,5}",
    ]
    .boxed()
}

/// A count, an id, a time in milliseconds.
pub fn usual_int() -> BoxedStrategy<String> {
    prop_oneof![
        0u64..100,
        1_600_000_000_000u64..1_800_000_000_000,
        0u64..1_000_000_000_000_000_000
    ]
    .prop_map(|value| value.to_string())
    .boxed()
}

/// An integer of any size, and what is none.
pub fn any_int() -> BoxedStrategy<String> {
    prop_oneof![
        6 => usual_int(),
        1 => any::<i128>().prop_map(|value| value.to_string()),
        1 => Just("-1".to_owned()),
        1 => "[-0-9.eE]{1,4}",
        1 => Just("null".to_owned()),
    ]
    .boxed()
}

/// A JSON string; nothing is escaped.
pub fn text(text: &str) -> String {
    format!("\"{text}\"")
}

/// One of some words, as a JSON string.
pub fn word(words: &'static [&'static str]) -> BoxedStrategy<String> {
    select(words).prop_map(text).boxed()
}

/// Names with the JSON of their values.
pub type Fields = Vec<(&'static str, String)>;

/// A JSON object.
pub fn object(fields: &Fields) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// Something done to the fields of an object, or nothing.
pub type Change = Option<(u8, Index, Index)>;

/// Swaps two fields, writes one again, leaves one out, puts another value in, or a field of one of `names`.
pub fn change(fields: &mut Fields, names: &[&'static str], change: Change) {
    const VALUES: [&str; 7] = ["null", "1", "\"-1\"", "[]", "{}", "\"\\u0030\"", "\"x\""];
    let Some((what, a, b)) = change else { return };
    let (value, name) = (a.get(&VALUES), b.get(names));
    let (a, b) = (a.index(fields.len()), b.index(fields.len()));
    match what % 5 {
        0 => fields.swap(a, b),
        1 => fields.insert(b, fields[a].clone()),
        2 => {
            fields.remove(a);
        }
        3 => (*value).clone_into(&mut fields[b].1),
        _ => fields.insert(a, (name, (*value).to_owned())),
    }
}
