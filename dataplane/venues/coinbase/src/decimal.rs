//! Sums and products of printed numbers, exact as far as 64 bits go: what is left of an order, what a fee is.

use dp_types::{Decimal, Notional, NumError};

/// Without the zeros behind the last place that counts.
fn trim_zeros(text: &str) -> &str {
    if text.contains(['e', 'E']) || !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.')
}

/// A printed number in its own digits, or without its last zeros where these are more than 64 bits hold: the venue
/// prints up to sixteen decimals.
///
/// Errors: as [`Decimal::parse`].
pub fn parse(text: &str) -> Result<Decimal, NumError> {
    match Decimal::parse(text.as_bytes()) {
        Err(NumError::TooLong) => Decimal::parse(trim_zeros(text).as_bytes()),
        parsed => parsed,
    }
}

/// Appends a number without the zeros behind the last place that counts: increments are finer than ticks.
pub fn push(out: &mut Vec<u8>, value: Decimal) {
    let mut buffer = [0; Decimal::TEXT_MAX];
    out.extend_from_slice(trim_zeros(value.write(&mut buffer)).as_bytes());
}

/// Both as integers of the finer one's places.
fn aligned(one: Decimal, other: Decimal) -> Option<(i128, i128, i8)> {
    let exponent = one.exponent.min(other.exponent);
    let scaled = |value: Decimal| {
        let power = u32::try_from(i32::from(value.exponent) - i32::from(exponent)).ok()?;
        i128::from(value.mantissa).checked_mul(10i128.checked_pow(power)?)
    };
    Some((scaled(one)?, scaled(other)?, exponent))
}

fn made(mantissa: i128, exponent: i8) -> Option<Decimal> {
    let mantissa = i64::try_from(mantissa).ok()?;
    Some(Decimal { mantissa, exponent })
}

/// `whole - part`. `None` beyond 64 bits.
pub fn less(whole: Decimal, part: Decimal) -> Option<Decimal> {
    let (whole, part, exponent) = aligned(whole, part)?;
    made(whole.checked_sub(part)?, exponent)
}

/// `one + other`. `None` beyond 64 bits.
pub fn plus(one: Decimal, other: Decimal) -> Option<Decimal> {
    let (one, other, exponent) = aligned(one, other)?;
    made(one.checked_add(other)?, exponent)
}

/// Whether `one` is below `other`; false when they cannot be compared in 128 bits.
pub fn is_below(one: Decimal, other: Decimal) -> bool {
    aligned(one, other).is_some_and(|(one, other, _)| one < other)
}

/// A tenth, rounded up: a charge is never understated.
const fn tenth(value: i128) -> i128 {
    value.div_euclid(10) + (value.rem_euclid(10) != 0) as i128
}

/// `price x size x rate`, rounded up in the last place 64 bits hold. `None` when it is beyond them.
pub fn fee(price: Decimal, size: Decimal, rate: Decimal) -> Option<Decimal> {
    let (mut product, mut exponent) = (1i128, 0i32);
    for part in [price, size, rate] {
        while product.checked_mul(i128::from(part.mantissa)).is_none() {
            (product, exponent) = (tenth(product), exponent + 1);
        }
        product = product.checked_mul(i128::from(part.mantissa))?;
        exponent += i32::from(part.exponent);
    }
    while product % 10 == 0 && exponent < 0 {
        (product, exponent) = (product / 10, exponent + 1);
    }
    while i64::try_from(product).is_err() || exponent < -18 {
        (product, exponent) = (tenth(product), exponent + 1);
    }
    let exponent = i8::try_from(exponent).ok().filter(|power| *power <= 18)?;
    made(product, exponent)
}

/// Money as printed, cut where it has more digits than 64 bits hold: fees and balances only. `None` for what is no
/// number.
pub fn money(text: &str) -> Option<Decimal> {
    let mut text = text;
    loop {
        match parse(text) {
            Ok(value) => return Some(value),
            Err(NumError::TooLong) if text.contains('.') => {
                let (last, _) = text.char_indices().next_back()?;
                text = text.get(..last)?.trim_end_matches('.');
            }
            Err(_) => return None,
        }
    }
}

/// A printed amount of the quote asset as a notional value.
pub fn notional(value: Decimal) -> Option<Notional> {
    let power = i32::from(value.exponent) + 12;
    let scale = 10i128.checked_pow(power.unsigned_abs())?;
    let mantissa = i128::from(value.mantissa);
    Some(Notional(if power >= 0 {
        mantissa.checked_mul(scale)?
    } else {
        mantissa / scale
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_lose_only_zeros_that_do_not_count() {
        for (text, trimmed) in [
            ("1000.0000000000000000", "1000"),
            ("2.6256545174247500", "2.62565451742475"),
            ("100", "100"),
            ("0.00", "0"),
            ("1.0e10", "1.0e10"),
        ] {
            assert_eq!(trim_zeros(text), trimmed);
        }
    }

    #[test]
    fn sums_are_exact_or_none() {
        for (whole, part, left) in [
            ("1.34", "0.34", "1.00"),
            ("1", "0.00000001", "0.99999999"),
            ("0.5", "0.50", "0.00"),
            ("1", "2", "-1"),
        ] {
            assert_eq!(less(of(whole), of(part)).unwrap().to_string(), left);
            let back = plus(of(left), of(part)).unwrap();
            assert!(!is_below(back, of(whole)) && !is_below(of(whole), back));
        }
        let (huge, tiny) = (of("9223372036854775807e18"), of("1e-18"));
        assert_eq!((less(huge, tiny), plus(huge, tiny)), (None, None));
        assert!(is_below(tiny, of("1")) && !is_below(of("1.0"), of("1")));
    }

    #[test]
    fn fees() {
        for (price, size, rate, want) in [
            ("0.05915000", "0.01000000", "0.003", "0.0000017745"),
            ("65000.00", "0.34", "0.005", "110.5"),
            ("65000.00", "0.34", "-0.0001", "-2.21"),
            ("65000.00", "0.34", "0", "0"),
            ("0.00000001", "0.00000001", "0.0013", "0.000000000000000001"),
        ] {
            let fee = fee(of(price), of(size), of(rate)).unwrap();
            assert_eq!(fee.to_string(), want);
        }
        let huge = of("9223372036854775807e18");
        assert_eq!(fee(huge, huge, huge), None);
    }

    #[test]
    fn money_is_cut_not_refused() {
        for (text, want) in [
            ("2.6256545174247500", "2.6256545174247500"),
            ("1050.2618069699000000", "1050.2618069699"),
            ("12345678.1234567890123456", "12345678.12345678901"),
            ("0.34000000", "0.34000000"),
            ("1000000000000000000", "1000000000000000000"),
        ] {
            assert_eq!(money(text).unwrap().to_string(), want);
        }
        for text in ["", "x", "99999999999999999999", "1.x"] {
            assert_eq!(money(text), None, "{text}");
        }
    }

    #[test]
    fn notional_values() {
        assert_eq!(notional(of("10")), Some(Notional(10_000_000_000_000)));
        assert_eq!(notional(of("0.00001")), Some(Notional(10_000_000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_numbers_have_a_sum_a_fee_or_none(a: i64, b: i64, c: i64, x in -18i8..=18, y in -18i8..=18, z in -18i8..=18) {
            let (a, b) = (Decimal { mantissa: a, exponent: x }, Decimal { mantissa: b, exponent: y });
            let c = Decimal { mantissa: c, exponent: z };
            // Back again it is the same number, where that fits its places.
            if let Some(back) = plus(a, b).and_then(|sum| less(sum, b)) {
                prop_assert!(!is_below(back, a) && !is_below(a, back));
            }
            let _ = (fee(a, b, c), notional(a));
        }

        #[test]
        fn any_text_is_money_or_none(text: String) {
            let _ = money(&text);
        }
    }
}
