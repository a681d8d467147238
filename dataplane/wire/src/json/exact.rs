//! Numbers as printed: a copy of a message in which each bare number with a fraction, an exponent or more digits
//! than 64 bits hold stands in quotes, so that the parser leaves its digits alone.
//!
//! ```text
//! {"price":65000.0,"ids":[7,1.0e-5],"s":"1.5"}   →   {"price":"65000.0","ids":[7,"1.0e-5"],"s":"1.5"}
//! ```
//! What is no number by RFC 8259 is copied as it is, for the parser to refuse; so is one in the place of a key.

/// Digits every unsigned 64-bit integer can have. There are ids of 27.
const INTEGER_DIGITS_MAX: usize = 19;

/// Room for the copy of a message of `len` bytes: the shortest such number takes four with what parts it from the
/// next, and gets two more.
pub(super) const fn room(len: usize) -> usize {
    len.saturating_add(len / 2).saturating_add(2)
}

/// Writes the copy over what `out` holds. Cost: one pass, no allocation within `out`'s capacity.
pub(super) fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'"' => string_end(bytes, at + 1),
            b'-' | b'0'..=b'9' => number_end(bytes, at),
            _ => at + 1,
        };
        let token = bytes.get(at..end).unwrap_or(&[]);
        if byte != b'"' && is_inexact(token) && !is_key(bytes, end) {
            out.extend_from_slice(bytes.get(copied..at).unwrap_or(&[]));
            out.push(b'"');
            out.extend_from_slice(token);
            out.push(b'"');
            copied = end;
        }
        at = end;
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or(&[]));
}

/// The place behind the closing quote, or the end.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The place behind everything a number is made of.
fn number_end(bytes: &[u8], at: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let rest = bytes.get(at..).unwrap_or(&[]);
    at + rest
        .iter()
        .position(|byte| !is_part(byte))
        .unwrap_or(rest.len())
}

fn is_key(bytes: &[u8], at: usize) -> bool {
    let mut rest = bytes.get(at..).unwrap_or(&[]).iter();
    rest.find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Whether it is a number of JSON with a fraction or an exponent, or an integer that 64 bits may not hold.
fn is_inexact(token: &[u8]) -> bool {
    let token = token.strip_prefix(b"-").unwrap_or(token);
    let (whole, rest) = digits(token);
    if whole == 0 || (whole > 1 && token.starts_with(b"0")) {
        return false;
    }
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => digits(rest),
        _ => (0, rest),
    };
    match rest.split_first() {
        None if token.contains(&b'.') => fraction > 0,
        None => whole > INTEGER_DIGITS_MAX,
        Some((b'e' | b'E', power)) => {
            let power = match power.split_first() {
                Some((b'+' | b'-', power)) => power,
                _ => power,
            };
            let has_point = token.contains(&b'.');
            (fraction > 0 || !has_point) && !power.is_empty() && digits(power).1.is_empty()
        }
        Some(_) => false,
    }
}

/// How many digits come first, and what follows them.
fn digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    (count, text.get(count..).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Doc;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote(text.as_bytes(), &mut out);
        assert!(out.len() <= room(text.len()), "{text}");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_numbers_that_would_lose_their_digits_are_quoted() {
        for (text, want) in [
            (r#"{"a":65000.0,"b":7}"#, r#"{"a":"65000.0","b":7}"#),
            ("[1.0e-5,-0.5,1E2,-3]", r#"["1.0e-5","-0.5","1E2",-3]"#),
            (r#"["1.5","x\"1.5",1.5]"#, r#"["1.5","x\"1.5","1.5"]"#),
            ("1.50", r#""1.50""#),
            (
                "[1234567890123456789,123456789012345678901234567]",
                r#"[1234567890123456789,"123456789012345678901234567"]"#,
            ),
        ] {
            assert_eq!(quoted(text), want);
        }
        for text in [
            "[1.]", "[.5]", "[01.5]", "[1.5.2]", "[1e]", "[1.e5]", "[--1.5]", "[1e+]", "[1.5-2]",
            "{1.5:2}", "{1.5 :2}", "\"1.5", "[1", "",
        ] {
            assert_eq!(quoted(text), text);
            let mut doc = Doc::exact(16, 64);
            assert!(doc.parse_exact(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn digits_come_back_as_printed() {
        let mut doc = Doc::exact(64, 64);
        let tree = doc
            .parse_exact(br#"[65000.0,1.0e-5,0.0,7,"2.50"]"#)
            .unwrap();
        let numbers: Vec<_> = tree
            .root()
            .as_array()
            .unwrap()
            .map(|item| {
                let value = item.as_decimal().unwrap();
                (value.mantissa, value.exponent)
            })
            .collect();
        assert_eq!(
            numbers,
            [(650_000, -1), (10, -6), (0, -1), (7, 0), (250, -2)]
        );
        assert_eq!(tree.root().at(3).unwrap().as_u64(), Some(7));
    }

    #[test]
    fn the_limit_is_that_of_the_message_itself() {
        let mut doc = Doc::exact(5, 5);
        assert!(doc.parse_exact(b"[1.5]").is_ok());
        assert_eq!(
            doc.parse_exact(b"[1.50]").err(),
            Some(crate::json::JsonError::TooLarge)
        );
    }

    proptest! {
        /// Law: what the plain parser takes the exact one takes, and the other way round, but for numbers that no
        /// double holds.
        #[test]
        fn takes_what_the_plain_parser_takes(text in r#"[\[\]{},:"\\0-9eE.+ a-]{0,24}"#) {
            let plain = Doc::new(64).parse(&mut text.clone().into_bytes()).map(|_| ());
            let exact = Doc::exact(64, 64).parse_exact(text.as_bytes()).map(|_| ());
            match plain {
                Ok(()) => prop_assert_eq!(exact, Ok(())),
                Err(crate::json::JsonError::Number) => {}
                Err(_) => prop_assert!(exact.is_err(), "{}", text),
            }
        }
    }
}
