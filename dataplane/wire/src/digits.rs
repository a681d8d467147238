//! Numbers as text, quickly: eight digits by three multiplications instead of eight divisions.
//!
//! ```text
//!   65000|01000000 ──▶ 0 0 0 6 5 0 0 0|0 1 0 0 0 0 0 0 ──▶ 65000.01      Digits: text in place, right-aligned
//! ```
//! For what goes into an order. Deliberately not here: floats, padding, signs of anything but decimals.

use crate::tables::{PAIR, PAIRS, POW10};
use dp_types::Decimal;

/// Longest text: a decimal of 19 digits and 18 zeros with sign and point.
const TEXT_MAX: usize = Decimal::TEXT_MAX;
/// What two groups of eight digits hold.
const SIXTEEN: u64 = 10_000_000_000_000_000;
const EIGHT: u64 = 100_000_000;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The text of one number.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    bytes: [u8; TEXT_MAX],
    start: usize,
    end: usize,
}

impl Digits {
    const EMPTY: Self = Self {
        bytes: [b'0'; TEXT_MAX],
        start: TEXT_MAX,
        end: TEXT_MAX,
    };

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or(&[])
    }

    /// An integer in decimal digits. Cost: about 4 ns up to sixteen digits.
    #[inline]
    pub fn u64(value: u64) -> Self {
        let mut text = Self::EMPTY;
        if value < SIXTEEN {
            text.put_sixteen(value);
            text.start = text.end - digits_of(value).max(1);
            return text;
        }
        text.put_long(value);
        text
    }

    /// An integer in base 36, lower case. Cost: about 5 ns.
    #[inline]
    pub fn base36(value: u64) -> Self {
        /// Groups of four digits do not wait for each other.
        const GROUP: u64 = PAIR * PAIR;
        let mut text = Self::EMPTY;
        let groups = [
            value / (GROUP * GROUP * GROUP),
            value / (GROUP * GROUP) % GROUP,
            value / GROUP % GROUP,
            value % GROUP,
        ];
        if let Some(places) = text.bytes.last_chunk_mut::<16>() {
            for (group, place) in groups.into_iter().zip(places.as_chunks_mut::<4>().0) {
                let pair = |at: u64| PAIRS.get(at as usize).copied().unwrap_or([b'0'; 2]);
                let ([a, b], [c, d]) = (pair(group / PAIR), pair(group % PAIR));
                *place = [a, b, c, d];
            }
        }
        let zeros = text.bytes.rchunks_exact(16).next().unwrap_or(&[]);
        let zeros = zeros
            .iter()
            .take(15)
            .take_while(|&&byte| byte == b'0')
            .count();
        text.start = TEXT_MAX - 16 + zeros;
        text
    }

    /// A decimal number in plain notation without the zeros behind the last place that counts: increments are
    /// finer than ticks. `0.0100` is `0.01`, `500` stays.
    ///
    /// Cost: about 6 ns up to sixteen digits, of which at most fifteen behind the point.
    #[inline]
    pub fn decimal(value: Decimal) -> Self {
        let decimals = usize::from(value.exponent.unsigned_abs());
        let is_usual = value.exponent <= 0 && decimals < 16;
        match u64::try_from(value.mantissa) {
            Ok(mantissa) if is_usual && mantissa < SIXTEEN => Self::usual(mantissa, decimals),
            _ => Self::any(value),
        }
    }

    #[inline]
    fn usual(mantissa: u64, decimals: usize) -> Self {
        let mut text = Self::EMPTY;
        let low = text.put_sixteen(mantissa);
        let shown = digits_of(mantissa).max(decimals + 1);
        if decimals == 0 {
            text.start = TEXT_MAX - shown;
            return text;
        }
        // Zeros at the end: those of the second group, and on into the first when it is all zeros.
        let zeros = if low != 0 {
            low.leading_zeros() as usize / 8
        } else {
            trailing_zeros(mantissa)
        };
        text.end = TEXT_MAX - zeros.min(decimals);
        // The digits before the point move one place to the front.
        let point = TEXT_MAX - decimals;
        text.start = TEXT_MAX - shown - 1;
        text.bytes
            .copy_within(point - 16 + decimals..point, point - 17 + decimals);
        if let Some(slot) = text.bytes.get_mut(point - 1) {
            *slot = b'.';
        }
        if zeros >= decimals {
            text.end = point - 1;
        }
        text
    }

    /// Writes sixteen digits at the end; returns the values of the last eight.
    #[inline]
    fn put_sixteen(&mut self, value: u64) -> u64 {
        let (high, low) = (eight((value / EIGHT) as u32), eight((value % EIGHT) as u32));
        if let Some((head, last)) = self.bytes.split_last_chunk_mut::<8>() {
            *last = (low | ZEROS).to_le_bytes();
            if let Some(before) = head.last_chunk_mut::<8>() {
                *before = (high | ZEROS).to_le_bytes();
            }
        }
        low
    }

    #[cold]
    fn put_long(&mut self, value: u64) {
        let mut rest = value;
        for (at, slot) in self.bytes.iter_mut().enumerate().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
            self.start = at;
            if rest == 0 {
                break;
            }
        }
    }

    #[cold]
    fn any(value: Decimal) -> Self {
        let mut text = Self::EMPTY;
        let mut buffer = [0; TEXT_MAX];
        let mut shown = value.write(&mut buffer);
        if value.exponent < 0 {
            shown = shown.trim_end_matches('0').trim_end_matches('.');
        }
        text.start = TEXT_MAX - shown.len();
        if let Some(place) = text.bytes.get_mut(text.start..) {
            place.copy_from_slice(shown.as_bytes());
        }
        text
    }
}

/// How many digits a number below 10^16 has; 0 has none.
#[inline]
fn digits_of(value: u64) -> usize {
    // 1233 / 4096 is just above the logarithm of 2; the guess is right or one too large.
    let guess = ((64 - value.leading_zeros()) as usize * 1_233) >> 12;
    guess + usize::from(POW10.get(guess).is_some_and(|pow| value >= *pow))
}

/// Zeros at the end of a number of sixteen digits whose last eight are zeros; many for 0.
#[cold]
fn trailing_zeros(value: u64) -> usize {
    let high = eight((value / EIGHT) as u32);
    8 + high.leading_zeros() as usize / 8
}

/// Eight digit values of a number below 10^8, the first one in the lowest byte.
#[inline]
fn eight(value: u32) -> u64 {
    let (high, low) = (u64::from(value / 10_000), u64::from(value % 10_000));
    // Two fours, four twos, eight ones: quotients by multiplication, all lanes at once.
    let fours = high | low << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - tens * 10) << 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trimmed(value: Decimal) -> String {
        let text = value.to_string();
        if value.exponent < 0 {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    }

    fn check(mantissa: i64, exponent: i8) {
        let value = Decimal { mantissa, exponent };
        assert_eq!(
            Digits::decimal(value).as_bytes(),
            trimmed(value).as_bytes(),
            "{mantissa} {exponent}"
        );
    }

    fn base36(mut value: u64) -> String {
        let mut text = Vec::new();
        loop {
            text.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(value % 36) as usize]);
            value /= 36;
            if value == 0 {
                break;
            }
        }
        text.reverse();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn edges() {
        for exponent in [0, -1, -2, -8, -14, -15, -16, -18, 1, 18] {
            for power in 0..19 {
                let power = 10i64.pow(power);
                for mantissa in [power - 1, power, power + 1, 15 * (power / 10), -power] {
                    check(mantissa, exponent);
                }
            }
            check(i64::MAX, exponent);
            check(i64::MIN, exponent);
        }
        for value in [
            0,
            9,
            10,
            35,
            36,
            u64::MAX,
            SIXTEEN - 1,
            SIXTEEN,
            EIGHT - 1,
            EIGHT,
        ] {
            assert_eq!(Digits::u64(value).as_bytes(), value.to_string().as_bytes());
            assert_eq!(Digits::base36(value).as_bytes(), base36(value).as_bytes());
        }
    }

    proptest! {
        #[test]
        fn texts_equal_the_formatters(value: u64, shift in 0u32..64, exponent in -18i8..=18, zeros in 0u32..12) {
            let value = value >> shift;
            let (text, other) = (Digits::u64(value), Digits::base36(value));
            prop_assert_eq!(core::str::from_utf8(text.as_bytes()), Ok(&*value.to_string()));
            prop_assert_eq!(core::str::from_utf8(other.as_bytes()), Ok(&*base36(value)));
            check(value.cast_signed(), exponent);
            check((value >> 8).cast_signed().saturating_mul(10i64.pow(zeros)), exponent);
        }
    }
}
