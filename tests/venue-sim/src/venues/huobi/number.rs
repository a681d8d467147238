//! Numbers as the venue prints them: market data as bare numbers of its Java, orders with 18 decimals.

use crate::text::{fixed, trimmed};

/// `value` x 10^-`decimals` as a bare number: at least one decimal, an exponent below 10^-3 and from 10^7
/// (recorded: `716.0`, `1.98E-4`, `8.18E8`).
pub fn bare(value: i128, decimals: u8) -> String {
    let all = value.unsigned_abs().to_string();
    let digits = all.trim_end_matches('0');
    if digits.is_empty() {
        return String::from("0.0");
    }
    let sign = if value < 0 { "-" } else { "" };
    // The value is 0.DIGITS x 10^point.
    let point = all.len() as i32 - i32::from(decimals);
    let (first, rest) = digits.split_at(1);
    if !(-2..=7).contains(&point) {
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{}", point - 1);
    }
    let before = usize::try_from(point).unwrap_or(0);
    let zeros = "0".repeat(usize::try_from(-point).unwrap_or(0));
    match digits.split_at_checked(before) {
        Some(("", after)) => format!("{sign}0.{zeros}{after}"),
        Some((whole, after)) if !after.is_empty() => format!("{sign}{whole}.{after}"),
        _ => format!("{sign}{digits}{}.0", "0".repeat(before - digits.len())),
    }
}

/// `value` x 10^-`decimals` with 18 decimals, and short where it is nothing.
pub fn long(value: i128, decimals: u8) -> String {
    if value == 0 {
        String::from("0.0")
    } else {
        fixed(value, decimals, 18)
    }
}

/// `value` x 10^-`decimals` as a rule of a symbol has it: a bare number without an exponent.
pub fn rule(value: i128, decimals: u8) -> serde_json::Value {
    let text = trimmed(value, decimals);
    serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded texts.
    #[test]
    fn bare_numbers_are_printed_as_recorded() {
        for (value, decimals, text) in [
            (0, 8, "0.0"),
            (71_600, 2, "716.0"),
            (198, 6, "1.98E-4"),
            (9_120, 10, "9.12E-7"),
            (10, 9, "1.0E-8"),
            (3_000_000, 0, "3000000.0"),
            (16_450_000, 2, "164500.0"),
            (421_611_302, 2, "4216113.02"),
            (8_181_588_598_785_326, 7, "8.181588598785326E8"),
            (6_500_010, 2, "65000.1"),
            (9_708, 6, "0.009708"),
            (1_000, 6, "0.001"),
            (999, 6, "9.99E-4"),
            (10_000_000, 0, "1.0E7"),
            (-25, 1, "-2.5"),
        ] {
            assert_eq!(bare(value, decimals), text);
        }
    }

    #[test]
    fn long_ones_have_18_decimals_and_nothing_is_short() {
        assert_eq!(long(6_500_010, 2), "65000.100000000000000000");
        assert_eq!(long(0, 6), "0.0");
        assert_eq!(rule(10, 6).to_string(), "0.00001");
    }
}
