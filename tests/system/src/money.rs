//! Money and quantities in answers: exact decimal texts.

use serde_json::Value;

/// Parts of one unit.
const PICO: i128 = 1_000_000_000_000;

/// A decimal text in 10^-12.
pub fn pico(text: &Value) -> i128 {
    let text = text.as_str().unwrap();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = format!("{part:0<12}");
    let whole: i128 = whole.parse().unwrap();
    sign * (whole * PICO + part[..12].parse::<i128>().unwrap())
}
