//! Symbols and times: the venue's text ⇄ ours.
//!
//! ```text
//! EUR_USD                           instrument: base and quote
//! 2016-12-20T05:55:35.676011610Z    time, nine digits of fraction
//! ```
//! Source: developer.oanda.com/rest-live-v20, "Primitives", read 2026-11-22.

use dp_types::{NumError, VenueNanos};
use dp_venue_api::DecodeError;
use dp_wire::time::parse_rfc3339;

/// Base and quote of an instrument's name; `None` when it has not both.
pub fn assets(name: &str) -> Option<(&str, &str)> {
    let (base, quote) = name.split_once('_')?;
    let is_whole = !base.is_empty() && !quote.is_empty() && !quote.contains('_');
    is_whole.then_some((base, quote))
}

/// A time of the venue. Errors: the text is none.
pub fn time(text: &str) -> Result<VenueNanos, DecodeError> {
    let time = parse_rfc3339(text.as_bytes()).map(VenueNanos);
    time.ok_or(DecodeError::Number {
        field: "time",
        error: NumError::BadByte(0),
    })
}

/// Appends a symbol to a query's list. A byte with a meaning in a query is written as its code: a name from a
/// configuration must not become another parameter.
pub(crate) fn push(out: &mut String, symbol: &str) {
    for byte in symbol.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
            out.push('%');
            out.push(digit(byte >> 4).to_ascii_uppercase());
            out.push(digit(byte & 0xf).to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_sides() {
        assert_eq!(assets("EUR_USD"), Some(("EUR", "USD")));
        assert_eq!(assets("NAS100_USD"), Some(("NAS100", "USD")));
        for none in ["", "EURUSD", "_USD", "EUR_", "A_B_C"] {
            assert_eq!(assets(none), None, "{none}");
        }
    }

    #[test]
    fn times_have_nanoseconds() {
        let at = time("2016-12-20T05:55:35.676011610Z").unwrap();
        assert_eq!(at.0 % 1_000_000_000, 676_011_610);
        assert!(time("1482213335.676011610").is_err() && time("").is_err());
    }

    #[test]
    fn a_symbol_stays_one() {
        let mut query = String::new();
        push(&mut query, "EUR_USD");
        push(&mut query, "&a=b /");
        assert_eq!(query, "EUR_USD%26a%3Db%20%2F");
    }
}
