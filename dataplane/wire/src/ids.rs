//! Ids as text, both ways: decimal, base 36, UUID. Venues differ in what their ids look like, not in how digits are
//! read.
//!
//! Reading is canonical: what would not come back exactly as it came (a zero in front, a capital) is `None`, so
//! that an id kept as a number is always the venue's own text again.

use crate::digits::Digits;

/// Bytes of a UUID as text.
pub const UUID_LEN: usize = 36;
/// Where a UUID has its dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Most decimal digits of an id: 10^38 < 2^127.
const DECIMAL_LEN_MAX: usize = 38;
/// Decimal digits that fit 64 bits whatever they are.
const SAFE_LEN: usize = 19;

/// Appends `value` in decimal.
pub fn push_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(Digits::u64(value).as_bytes());
}

/// Appends `value` in base 36, lower case.
pub fn push_base36(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(Digits::base36(value).as_bytes());
}

/// The digits of an integer, written to the end of `buffer`; 20 bytes are always enough.
pub fn write_u64(value: u64, buffer: &mut [u8]) -> &str {
    let text = Digits::u64(value);
    let digits = text.as_bytes();
    let Some(place) = buffer.len().checked_sub(digits.len()) else {
        return "";
    };
    let Some(place) = buffer.get_mut(place..) else {
        return "";
    };
    place.copy_from_slice(digits);
    core::str::from_utf8(place).unwrap_or("")
}

/// The digits of an integer, written to the end of `buffer`; 39 bytes are always enough.
pub fn write_u128(value: u128, buffer: &mut [u8]) -> &str {
    if let Ok(value) = u64::try_from(value) {
        return write_u64(value, buffer);
    }
    let (mut rest, mut start) = (value, buffer.len());
    for (at, slot) in buffer.iter_mut().enumerate().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    let digits = buffer.get(start..).unwrap_or(&[]);
    core::str::from_utf8(digits).unwrap_or("")
}

/// What a canonical number looks like, whatever its base: something, and no zero in front of more.
fn is_canonical(text: &[u8]) -> bool {
    !text.is_empty() && (text.len() == 1 || !text.starts_with(b"0"))
}

/// A canonical decimal integer.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if !is_canonical(text) {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A canonical decimal integer of at most 38 digits.
pub fn parse_u128(text: &[u8]) -> Option<u128> {
    if !is_canonical(text) || text.len() > DECIMAL_LEN_MAX {
        return None;
    }
    // Two halves of at most nineteen digits: one multiplication of 128 bits.
    let (high, low) = text.split_at(text.len().saturating_sub(SAFE_LEN));
    let half = |text: &[u8]| {
        text.iter().try_fold(0u64, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            Some(value * 10 + u64::from(digit))
        })
    };
    let scale = 10u128.pow(SAFE_LEN as u32);
    Some(u128::from(half(high)?) * scale + u128::from(half(low)?))
}

/// A digit of base 36, lower case.
pub const fn digit36(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'z' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// A canonical number in base 36, lower case.
pub fn parse_base36(text: &[u8]) -> Option<u64> {
    if !is_canonical(text) {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = digit36(byte)?;
        value.checked_mul(36)?.checked_add(u64::from(digit))
    })
}

/// The bits of a UUID in lower case with dashes.
pub fn parse_uuid(text: &[u8]) -> Option<u128> {
    if text.len() != UUID_LEN {
        return None;
    }
    let mut bits = 0;
    for (at, &byte) in text.iter().enumerate() {
        let digit = match byte {
            b'-' if DASHES.contains(&at) => continue,
            _ if DASHES.contains(&at) => return None,
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        bits = bits << 4 | u128::from(digit);
    }
    Some(bits)
}

/// The text of a UUID of these bits, in lower case with dashes.
pub fn uuid_text(bits: u128) -> [u8; UUID_LEN] {
    let (mut text, mut rest) = ([b'-'; UUID_LEN], bits);
    for (at, slot) in text.iter_mut().enumerate().rev() {
        if DASHES.contains(&at) {
            continue;
        }
        *slot = HEX.get((rest & 15) as usize).copied().unwrap_or(b'0');
        rest >>= 4;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_not_come_back_is_refused() {
        for text in ["", "00", "01", "-1", "+1", "1a", "18446744073709551616"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
        }
        assert_eq!((parse_u64(b"0"), parse_base36(b"0")), (Some(0), Some(0)));
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        for text in ["", "0z", "Z", "3w5e11264sgsg"] {
            assert_eq!(parse_base36(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_base36(b"3w5e11264sgsf"), Some(u64::MAX));
        assert_eq!(parse_u128(&[b'9'; 39]), None);
        assert_eq!(parse_u128(&[b'9'; 38]), Some(10u128.pow(38) - 1));
        for text in [
            "d50ec984-77a8-460a-b958-66f114b0de9",
            "d50ec984-77a8-460a-b958-66f114b0deb9b",
            "D50ec984-77a8-460a-b958-66f114b0de9b",
            "d50ec98477a8--460a-b958-66f114b0de9b",
            "d50ec984-77a8-460a-b958066f114b0de9b",
        ] {
            assert_eq!(parse_uuid(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_buffer_that_is_too_short_holds_nothing() {
        assert_eq!(write_u64(123, &mut [0; 2]), "");
        assert_eq!(write_u64(123, &mut [0; 3]), "123");
    }

    proptest! {
        #[test]
        fn ids_come_back(value: u64, wide in 0..10u128.pow(38), bits: u128) {
            let mut text = Vec::new();
            push_base36(value, &mut text);
            prop_assert_eq!(parse_base36(&text), Some(value));
            text.clear();
            push_u64(value, &mut text);
            prop_assert_eq!(core::str::from_utf8(&text).unwrap(), value.to_string());
            prop_assert_eq!(parse_u64(&text), Some(value));
            let mut buffer = [0; 39];
            prop_assert_eq!(write_u64(value, &mut buffer), value.to_string());
            prop_assert_eq!(write_u128(wide, &mut buffer), wide.to_string());
            prop_assert_eq!(parse_u128(wide.to_string().as_bytes()), Some(wide));
            prop_assert_eq!(parse_uuid(&uuid_text(bits)), Some(bits));
        }

        #[test]
        fn what_is_taken_is_what_comes_back(text in "[0-9a-z]{0,14}") {
            if let Some(value) = parse_base36(text.as_bytes()) {
                let mut back = Vec::new();
                push_base36(value, &mut back);
                prop_assert_eq!(back, text.as_bytes());
            }
        }
    }
}
