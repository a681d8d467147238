//! Money is integers. Exact text ⇄ integer conversion, and the four number types.
//!
//! ```text
//!  wire text ──parse──▶ Decimal {mantissa, exponent}  exactly the printed digits
//!                          │ Instrument::price / qty   checked, exact or refused
//!                          ▼
//!                       Price(i64) / Qty(i64)          increments of the instrument
//!                          │ Instrument::notional
//!                          ▼
//!                       Notional(i128)                 10⁻¹² quote units
//! ```

use core::fmt;

/// A price in the instrument's increments (10^-`price_decimals`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Price(pub i64);

/// A quantity in the instrument's increments (10^-`qty_decimals`). Signed where it is a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Qty(pub i64);

/// Money across instruments: 10⁻¹² quote units. Made only by [`crate::Instrument::notional`] and sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Notional(pub i128);

/// One level of a book in increments, and how many decimals the venue printed each number with
/// (what a checksum over the printed digits needs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Level {
    /// Price.
    pub price: Price,
    /// Total quantity.
    pub qty: Qty,
    /// Decimals the price was printed with.
    pub price_printed: u8,
    /// Decimals the quantity was printed with.
    pub qty_printed: u8,
}

// Levels lie in a row, eight to three cache lines.
const _: () = assert!(size_of::<Level>() == 24);

/// An exact decimal number: `mantissa` x 10^`exponent`, `exponent` in -18..=18. Numerically equal
/// values with other digits ("1.0", "1") are different `Decimal`s: the printed form is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Decimal {
    /// All digits, signed.
    pub mantissa: i64,
    /// Power of ten.
    pub exponent: i8,
}

/// Why a text or number cannot be held exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumError {
    /// No digits at all.
    Empty,
    /// A byte that is not part of a number, at this offset.
    BadByte(u8),
    /// More digits than an `i64` or the exponent holds.
    TooLong,
    /// Finer than the instrument's increment.
    TooFine,
    /// Larger than an `i64` of increments.
    TooLarge,
}

impl fmt::Display for NumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty number"),
            Self::BadByte(at) => write!(f, "not a number: byte {at}"),
            Self::TooLong => f.write_str("number has more digits than 64 bits hold"),
            Self::TooFine => f.write_str("number is finer than the instrument's increment"),
            Self::TooLarge => f.write_str("number is larger than 64 bits of increments"),
        }
    }
}

impl core::error::Error for NumError {}

/// 10^`exponent` as an `i128`; `None` above 10^38.
pub(crate) const fn pow10(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// 10^n for n in 0..=18.
const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// The inverse of 5^n modulo 2^64, for n in 0..=18.
const INVERSE5: [u64; 19] = {
    let mut five = 5u64;
    // Newton: each step doubles the bits that are right, from the three of 5 x 5 = 1 mod 8.
    let mut step = 0;
    while step < 5 {
        five = five.wrapping_mul(2u64.wrapping_sub(five.wrapping_mul(5)));
        step += 1;
    }
    let mut table = [1u64; 19];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1].wrapping_mul(five);
        i += 1;
    }
    table
};

impl Decimal {
    /// Zero, printed "0".
    pub const ZERO: Self = Self {
        mantissa: 0,
        exponent: 0,
    };
    /// Longest text [`Decimal::write`] makes: sign, 19 digits, 18 zeros, point and leading zero.
    pub const TEXT_MAX: usize = 48;

    /// Parses `-?digits(.digits)?([eE][+-]?digits)?` exactly, as venues print numbers.
    ///
    /// Cost: one pass, no allocation. Errors: [`NumError::Empty`], [`NumError::BadByte`],
    /// [`NumError::TooLong`] (over 18 significant digits beyond `i64`, or an exponent out of ±18).
    pub fn parse(text: &[u8]) -> Result<Self, NumError> {
        let (is_negative, mut at) = match text.first() {
            None => return Err(NumError::Empty),
            Some(b'-') => (true, 1),
            Some(_) => (false, 0),
        };
        // Accumulated below zero: i64::MIN has no positive twin.
        let mut mantissa: i64 = 0;
        let (mut digits, mut decimals, mut in_fraction) = (0usize, 0i32, false);
        while let Some(&byte) = text.get(at) {
            match byte {
                b'0'..=b'9' => {
                    let digit = i64::from(byte - b'0');
                    mantissa = mantissa
                        .checked_mul(10)
                        .and_then(|m| m.checked_sub(digit))
                        .ok_or(NumError::TooLong)?;
                    digits += 1;
                    decimals += i32::from(in_fraction);
                }
                b'.' if !in_fraction && digits > 0 => in_fraction = true,
                b'e' | b'E' if digits > 0 => break,
                _ => return Err(NumError::BadByte(at.min(255) as u8)),
            }
            at += 1;
        }
        if digits == 0 {
            return Err(NumError::Empty);
        }
        if in_fraction && decimals == 0 {
            return Err(NumError::BadByte(at.min(255) as u8));
        }
        let power = parse_exponent(text.get(at..).unwrap_or(&[]), at)?;
        let exponent = power - decimals;
        if !(-18..=18).contains(&exponent) {
            return Err(NumError::TooLong);
        }
        let mantissa = if is_negative {
            mantissa
        } else {
            mantissa.checked_neg().ok_or(NumError::TooLong)?
        };
        Ok(Self {
            mantissa,
            exponent: exponent as i8,
        })
    }

    /// Decimals after the point as printed (0 for integers and positive exponents).
    #[inline]
    pub const fn decimals(self) -> u8 {
        if self.exponent < 0 {
            self.exponent.unsigned_abs()
        } else {
            0
        }
    }

    /// Whether the value is zero, whatever its digits.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The value as an integer count of 10^-`decimals`. Exact or refused, never rounded.
    ///
    /// Cost: one multiplication, and no division: that a number divides by 10^n is seen from its product with
    /// the inverse of 5^n modulo 2^64 (Granlund and Montgomery 1994, section 9).
    /// Errors: [`NumError::TooFine`], [`NumError::TooLarge`].
    #[inline(always)]
    pub fn to_increments(self, decimals: u8) -> Result<i64, NumError> {
        let shift = i32::from(self.exponent) + i32::from(decimals);
        // A venue seldom prints more decimals than the increment has.
        match POW10.get(shift as usize) {
            Some(factor) => self.mantissa.checked_mul(*factor).ok_or(NumError::TooLarge),
            None => self.to_coarser(shift),
        }
    }

    /// As [`Decimal::to_increments`], of what is printed finer than the increment. `shift` is negative, or
    /// beyond the table.
    #[inline(never)]
    fn to_coarser(self, shift: i32) -> Result<i64, NumError> {
        if self.mantissa == 0 {
            return Ok(0);
        }
        let down = shift.unsigned_abs() as usize;
        let (Some(inverse), true) = (INVERSE5.get(down), shift < 0) else {
            return Err(NumError::TooLarge);
        };
        // Of multiples of 10^n this is the quotient, of all others something larger than any quotient.
        let quotient = self
            .mantissa
            .unsigned_abs()
            .wrapping_mul(*inverse)
            .rotate_right(shift.unsigned_abs());
        if quotient > u64::MAX / POW10[down].unsigned_abs() {
            return Err(NumError::TooFine);
        }
        let quotient = quotient as i64; // at most 2^63 / 10
        Ok(if self.mantissa < 0 {
            -quotient
        } else {
            quotient
        })
    }

    /// The number behind `value` increments of 10^-`decimals`, with the `printed` decimals the venue gave
    /// it (see [`Level`]); the inverse of [`Decimal::to_increments`] down to the digit. Saturates where
    /// more zeros were printed than 64 bits hold.
    pub fn from_increments(value: i64, decimals: u8, printed: u8) -> Self {
        let scale = |by: u8| POW10.get(usize::from(by)).copied().unwrap_or(i64::MAX);
        let mantissa = if printed <= decimals {
            value / scale(decimals - printed)
        } else {
            value.saturating_mul(scale(printed - decimals))
        };
        Self {
            mantissa,
            exponent: -(printed.min(18) as i8),
        }
    }

    /// Writes the number in plain notation (no exponent) and returns the text, e.g. `-0.0250`.
    pub fn write(self, buffer: &mut [u8; Self::TEXT_MAX]) -> &str {
        let mut at = buffer.len();
        let mut put = |byte: u8| {
            at -= 1;
            buffer[at] = byte;
        };
        for _ in 0..self.exponent.max(0) {
            if self.mantissa != 0 {
                put(b'0');
            }
        }
        let decimals = usize::from(self.decimals());
        let mut rest = self.mantissa.unsigned_abs();
        let mut written = 0;
        while rest > 0 || written <= decimals {
            if written == decimals && decimals > 0 {
                put(b'.');
            }
            put(b'0' + (rest % 10) as u8);
            rest /= 10;
            written += 1;
        }
        if self.mantissa < 0 {
            put(b'-');
        }
        core::str::from_utf8(&buffer[at..]).unwrap_or("")
    }
}

/// Parses what follows the digits: nothing, or `e` with a signed power. `base` is its offset in the text.
fn parse_exponent(text: &[u8], base: usize) -> Result<i32, NumError> {
    let bad = |at: usize| NumError::BadByte((base + at).min(255) as u8);
    let Some((_, rest)) = text.split_first() else {
        return Ok(0);
    };
    let (sign, digits, offset) = match rest.split_first() {
        Some((b'-', digits)) => (-1, digits, 2),
        Some((b'+', digits)) => (1, digits, 2),
        _ => (1, rest, 1),
    };
    if digits.is_empty() {
        return Err(bad(offset));
    }
    let mut power = 0i32;
    for (at, &byte) in digits.iter().enumerate() {
        if !byte.is_ascii_digit() {
            return Err(bad(offset + at));
        }
        power = (power * 10 + i32::from(byte - b'0')).min(1_000);
    }
    Ok(sign * power)
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.write(&mut [0; Self::TEXT_MAX]))
    }
}

impl fmt::Display for Notional {
    /// Quote units with 12 decimals, trailing zeros cut to two.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ONE: u128 = 1_000_000_000_000;
        let (whole, mut fraction) = (self.0.unsigned_abs() / ONE, self.0.unsigned_abs() % ONE);
        let mut width = 12;
        while width > 2 && fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{fraction:0width$}")
    }
}

impl Notional {
    /// An amount of quote units, digits below 10^-12 cut. `None` when it leaves the range.
    pub fn of(amount: Decimal) -> Option<Self> {
        let exponent = 12 + i32::from(amount.exponent);
        let scale = pow10(exponent.unsigned_abs());
        let mantissa = i128::from(amount.mantissa);
        if exponent >= 0 {
            mantissa.checked_mul(scale?).map(Self)
        } else {
            // Beyond any scale there is nothing left.
            Some(Self(scale.map_or(0, |scale| mantissa / scale)))
        }
    }

    /// Sum, `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Absolute value, saturating.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;
    use std::str::FromStr;
    use std::string::{String, ToString};

    fn oracle(text: &str) -> BigDecimal {
        BigDecimal::from_str(text).unwrap()
    }

    #[test]
    fn increments_come_back_as_printed() {
        for (value, decimals, printed, text) in [
            (65_000_000, 3, 0, "65000"),
            (650_001, 1, 1, "65000.1"),
            (10, 1, 2, "1.00"),
            (454, 9, 9, "0.000000454"),
            (1_500, 3, 3, "1.500"),
            (i64::MAX, 0, 18, "9.223372036854775807"),
        ] {
            let made = Decimal::from_increments(value, decimals, printed);
            assert_eq!(format!("{made}"), text);
        }
    }

    #[test]
    fn known_texts() {
        for (text, mantissa, exponent) in [
            ("0", 0, 0),
            ("-0.50", -50, -2),
            ("61837.63000000", 6_183_763_000_000, -8),
            ("0.000000454", 454, -9),
            ("1e-7", 1, -7),
            ("12E+3", 12, 3),
            ("-9223372036854775808", i64::MIN, 0),
        ] {
            assert_eq!(
                Decimal::parse(text.as_bytes()),
                Ok(Decimal { mantissa, exponent }),
                "{text}"
            );
        }
    }

    #[test]
    fn bad_texts_are_refused_with_the_place() {
        for (text, want) in [
            ("", NumError::Empty),
            ("-", NumError::Empty),
            (".5", NumError::BadByte(0)),
            ("5.", NumError::BadByte(2)),
            ("1.2.3", NumError::BadByte(3)),
            ("1,5", NumError::BadByte(1)),
            ("+1", NumError::BadByte(0)),
            ("1e", NumError::BadByte(2)),
            ("1e-x", NumError::BadByte(3)),
            ("9223372036854775808", NumError::TooLong),
            ("0.0000000000000000001", NumError::TooLong),
            ("1e99999999999", NumError::TooLong),
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()), Err(want), "{text}");
        }
    }

    #[test]
    fn increments_are_exact_or_refused() {
        let value = Decimal::parse(b"0.51200000").unwrap();
        assert_eq!(value.to_increments(5), Ok(51_200));
        assert_eq!(value.to_increments(2), Err(NumError::TooFine));
        assert_eq!(
            Decimal {
                mantissa: i64::MAX,
                exponent: 0
            }
            .to_increments(1),
            Err(NumError::TooLarge)
        );
    }

    #[test]
    fn notional_prints_two_decimals_at_least() {
        assert_eq!(Notional(-1_500_000_000_000).to_string(), "-1.50");
        assert_eq!(Notional(1).to_string(), "0.000000000001");
    }

    proptest! {
        #[test]
        fn text_comes_back_as_printed(text in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,9})?") {
            let parsed = Decimal::parse(text.as_bytes()).unwrap();
            let negative_zero = parsed.mantissa == 0 && text.starts_with('-');
            let want = if negative_zero { text.trim_start_matches('-').to_string() } else { text.clone() };
            prop_assert_eq!(parsed.to_string(), want);
        }

        #[test]
        fn agrees_with_the_big_decimal_oracle(mantissa: i64, exponent in -18i8..=18, decimals in 0u8..=18) {
            let value = Decimal { mantissa, exponent };
            let text: String = value.to_string();
            prop_assert_eq!(oracle(&text), BigDecimal::new(mantissa.into(), i64::from(-exponent)));
            let exact = oracle(&text) * BigDecimal::new(1.into(), -i64::from(decimals));
            match value.to_increments(decimals) {
                Ok(count) => prop_assert_eq!(BigDecimal::from(count), exact),
                Err(NumError::TooFine) => prop_assert!(!exact.is_integer()),
                Err(_) => prop_assert!(exact.abs() > i64::MAX / 10),
            }
        }

        #[test]
        fn increments_without_a_division_equal_those_with_one(
            any: i64, few in -1_000_000i64..1_000_000, zeros in 0u32..19, exponent in -18i8..=18,
            decimals in 0u8..=18
        ) {
            let round = few.saturating_mul(10i64.pow(zeros));
            for mantissa in [any, round, 0, 1, -1, i64::MIN, i64::MAX] {
                let got = Decimal { mantissa, exponent }.to_increments(decimals);
                let shift = i32::from(exponent) + i32::from(decimals);
                let want = match 10i64.checked_pow(shift.unsigned_abs()) {
                    _ if mantissa == 0 => Ok(0),
                    None => Err(NumError::TooLarge),
                    Some(factor) if shift >= 0 => mantissa.checked_mul(factor).ok_or(NumError::TooLarge),
                    Some(factor) if mantissa % factor == 0 => Ok(mantissa / factor),
                    Some(_) => Err(NumError::TooFine),
                };
                prop_assert_eq!(got, want, "{} {} {}", mantissa, exponent, decimals);
            }
        }

        #[test]
        fn any_bytes_never_panic_and_agree(text in "[-+0-9.eE ]{0,24}") {
            if let Ok(parsed) = Decimal::parse(text.as_bytes()) {
                prop_assert_eq!(oracle(&parsed.to_string()), oracle(&text));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Decimal::parse(&bytes);
        }
    }
}
