//! Fixed-point text, both ways: the venues' string numbers.

use crate::engine::{Amount, Spec};
use dp_types::Decimal;

/// `value` x 10^-`decimals` with exactly `shown` decimals, cut (never rounded up).
pub fn fixed(value: i128, decimals: u8, shown: u8) -> String {
    let (decimals, shown) = (u32::from(decimals), u32::from(shown));
    let scaled = if shown >= decimals {
        value.unsigned_abs() * 10u128.pow(shown - decimals)
    } else {
        value.unsigned_abs() / 10u128.pow(decimals - shown)
    };
    let one = 10u128.pow(shown);
    let sign = if value < 0 && scaled > 0 { "-" } else { "" };
    if shown == 0 {
        format!("{sign}{scaled}")
    } else {
        let width = shown as usize;
        format!("{sign}{}.{:0width$}", scaled / one, scaled % one)
    }
}

/// As [`fixed`] with all decimals, then without trailing zeros.
pub fn trimmed(value: i128, decimals: u8) -> String {
    let text = fixed(value, decimals, decimals);
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An amount with 8 decimals.
pub fn amount8(amount: Amount) -> String {
    fixed(amount, 12, 8)
}

/// An amount without trailing zeros.
pub fn amount(amount: Amount) -> String {
    trimmed(amount, 12)
}

/// A price with 8 decimals.
pub fn price8(spec: &Spec, price: i64) -> String {
    fixed(i128::from(price), spec.price_decimals, 8)
}

/// A quantity with 8 decimals.
pub fn qty8(spec: &Spec, qty: i64) -> String {
    fixed(i128::from(qty), spec.qty_decimals, 8)
}

/// A price without trailing zeros.
pub fn price(spec: &Spec, price: i64) -> String {
    trimmed(i128::from(price), spec.price_decimals)
}

/// A quantity without trailing zeros.
pub fn qty(spec: &Spec, qty: i64) -> String {
    trimmed(i128::from(qty), spec.qty_decimals)
}

/// Parses a number into increments. `None` when it is not a number; `Some(None)` when it is finer or
/// larger than the increments hold.
pub fn increments(text: &str, decimals: u8) -> Option<Option<i64>> {
    let number = Decimal::parse(text.as_bytes()).ok()?;
    Some(number.to_increments(decimals).ok())
}

/// Parses an amount of an asset; `None` when it does not fit 10^-12 exactly.
pub fn parse_amount(text: &str) -> Option<Amount> {
    let number = Decimal::parse(text.as_bytes()).ok()?;
    let power = i32::from(number.exponent) + 12;
    let mantissa = i128::from(number.mantissa);
    if power >= 0 {
        mantissa.checked_mul(10i128.checked_pow(power.unsigned_abs())?)
    } else {
        let divisor = 10i128.pow(power.unsigned_abs());
        (mantissa % divisor == 0).then_some(mantissa / divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(fixed(6_500_001, 2, 8), "65000.01000000");
        assert_eq!(fixed(-5, 2, 1), "0.0");
        assert_eq!(fixed(-15, 2, 1), "-0.1");
        assert_eq!(trimmed(6_500_000, 2), "65000");
        assert_eq!(trimmed(50, 5), "0.0005");
        assert_eq!(amount8(1_234_567_890_123), "1.23456789");
        assert_eq!(parse_amount("10000"), Some(10_000_000_000_000_000));
        assert_eq!(parse_amount("0.0000000000001"), None);
        assert_eq!(increments("1.5", 0), Some(None));
        assert_eq!(increments("x", 0), None);
    }
}
