//! Numbers keep their digits: bare ones that a parser would round are put in quotes first.
//!
//! ```text
//!   {"price":65000.0,"qty":0.50000000,"checksum":3426176702}
//!   {"price":"65000.0","qty":"0.50000000","checksum":3426176702}      then json::Doc, then Value::as_decimal
//! ```
//! Some venues print prices as JSON numbers, and make checksums of the digits they printed. What has a fraction,
//! an exponent or more digits than 64 bits hold becomes a string; other integers stay numbers.

use super::JsonError;

/// Digits every unsigned 64-bit integer can have.
const INTEGER_DIGITS_MAX: usize = 19;

/// Rewrites messages into its own memory, which grows to the largest one seen and stays.
#[derive(Debug)]
pub struct Quoter {
    text: Vec<u8>,
    bytes_max: usize,
}

impl Quoter {
    /// A quoter that allocates for no message of `warm_bytes`, and takes none longer than `bytes_max`.
    pub fn new(warm_bytes: usize, bytes_max: usize) -> Self {
        // The densest message is "1.5," over and over: four bytes become six.
        Self {
            text: Vec::with_capacity(warm_bytes.saturating_add(warm_bytes / 2) + 2),
            bytes_max,
        }
    }

    /// The message with quotes around its inexact numbers. What is no JSON stays none.
    ///
    /// Cost: one pass and one copy; no allocation once warm. Errors: [`JsonError::TooLarge`].
    pub fn quote(&mut self, message: &[u8]) -> Result<&mut [u8], JsonError> {
        if message.len() > self.bytes_max {
            return Err(JsonError::TooLarge);
        }
        self.text.clear();
        let mut rest = message;
        while let Some((&byte, after)) = rest.split_first() {
            let count = match byte {
                b'"' => string_len(after) + 1,
                b'-' | b'0'..=b'9' => number_len(rest),
                _ => after.iter().take_while(|byte| is_between(**byte)).count() + 1,
            };
            let Some((token, further)) = rest.split_at_checked(count) else {
                break;
            };
            let is_inexact = matches!(byte, b'-' | b'0'..=b'9') && is_inexact(token);
            if is_inexact {
                self.text.push(b'"');
            }
            self.text.extend_from_slice(token);
            if is_inexact {
                self.text.push(b'"');
            }
            rest = further;
        }
        Ok(&mut self.text)
    }
}

/// Bytes that begin neither a string nor a number.
const fn is_between(byte: u8) -> bool {
    !matches!(byte, b'"' | b'-' | b'0'..=b'9')
}

/// Length of a string's rest with its closing quote; all there is where it is not closed.
fn string_len(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = rest.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(rest.len(), |end| end + 1)
}

/// Length of a run of bytes that numbers are made of.
fn number_len(text: &[u8]) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    text.iter().take_while(|byte| is_part(byte)).count()
}

fn is_inexact(number: &[u8]) -> bool {
    number.len() > INTEGER_DIGITS_MAX
        || number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Doc;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut quoter = Quoter::new(16, 1_000);
        let bytes = quoter.quote(text.as_bytes()).unwrap().to_vec();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_inexact_numbers_get_quotes() {
        for (text, want) in [
            (
                r#"{"price":65000.0,"qty":0.50000000,"checksum":3426176702}"#,
                r#"{"price":"65000.0","qty":"0.50000000","checksum":3426176702}"#,
            ),
            ("[1e-8,-2.5E+3,-7,0]", r#"["1e-8","-2.5E+3",-7,0]"#),
            (
                "[12345678901234567890123,9999999999999999999]",
                r#"["12345678901234567890123",9999999999999999999]"#,
            ),
            (
                r#"{"a":"1.5","b\"2.5":[true , null]}"#,
                r#"{"a":"1.5","b\"2.5":[true , null]}"#,
            ),
            (r#"["\\",1.5]"#, r#"["\\","1.5"]"#),
            ("1.5", r#""1.5""#),
            (r#"["1.5"#, r#"["1.5"#),
            ("", ""),
        ] {
            assert_eq!(quoted(text), want, "{text}");
        }
    }

    #[test]
    fn digits_survive_the_parser() {
        let mut quoter = Quoter::new(64, 1_000);
        let mut doc = Doc::new(64);
        let tree = doc
            .parse(quoter.quote(br#"{"qty":0.10000000,"n":7}"#).unwrap())
            .unwrap();
        let qty = tree.root().decimal("qty").unwrap();
        assert_eq!((qty.mantissa, qty.exponent), (10_000_000, -8));
        assert_eq!(tree.root().u64("n"), Ok(7));
    }

    #[test]
    fn too_long_is_refused_and_the_room_is_enough() {
        let text = "1.5,".repeat(250);
        let mut quoter = Quoter::new(1_000, 1_000);
        let room = quoter.text.capacity();
        assert_eq!(quoter.quote(text.as_bytes()).unwrap().len(), 1_500);
        assert_eq!(quoter.text.capacity(), room);
        assert_eq!(quoter.quote(&[b' '; 1_001]), Err(JsonError::TooLarge));
    }

    proptest! {
        /// Without its quotes nothing was added or lost.
        #[test]
        fn only_quotes_are_added(text: Vec<u8>) {
            let mut quoter = Quoter::new(0, 10_000);
            let without = |text: &[u8]| {
                text.iter().copied().filter(|&byte| byte != b'"').collect::<Vec<_>>()
            };
            let made = quoter.quote(&text).unwrap().to_vec();
            prop_assert_eq!(without(&made), without(&text));
        }
    }
}
