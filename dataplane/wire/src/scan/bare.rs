//! Numbers printed bare, and lists of rows: what venues print that do not put their numbers into quotes.
//!
//! ```text
//!   [[64999.9,0.15],[64990,0]]        rows: what begins the list, what is between two rows, what ends it
//!     └bare─┘ └bare┘
//! ```
//! Read digit by digit: a number ends where no digit is, and most have fewer than ten.

use super::Cursor;
use dp_types::Decimal;
use dp_types::limit::MSG_LEVELS_MAX;

/// Most digits taken: any number of 18 fits an `i64`.
const DIGITS_MAX: usize = 18;

impl Cursor<'_> {
    /// A number printed bare, up to what ends it, a comma or a closing bracket, which is left. More than 18 digits are
    /// given up.
    ///
    /// Equals what [`crate::json::Doc::parse_exact`] makes of it. Cost: about 1 ns a digit, more with an exponent.
    #[inline]
    pub fn bare(&mut self) -> Option<Decimal> {
        let is_negative = self.eat(b"-");
        let rest = self.from(self.at)?;
        let (mut mantissa, mut digits, mut point) = (0i64, 0usize, None);
        // A point and what ends the number are looked at as well.
        for &byte in rest.iter().take(DIGITS_MAX + 2) {
            match byte {
                b'0'..=b'9' => {
                    mantissa = mantissa.wrapping_mul(10).wrapping_add(i64::from(byte & 15));
                    digits += 1;
                }
                b'.' if point.is_none() => point = Some(digits),
                b',' | b']' | b'}' => return self.end_bare(is_negative, mantissa, digits, point),
                b'e' | b'E' => return self.scientific(is_negative, mantissa, digits, point),
                _ => return None,
            }
        }
        None
    }

    /// A number with an exponent, from its first digit on: [`Decimal::parse`] has the limits.
    #[cold]
    fn scientific(
        &mut self,
        is_negative: bool,
        mantissa: i64,
        digits: usize,
        point: Option<usize>,
    ) -> Option<Decimal> {
        let start = self.at.checked_sub(usize::from(is_negative))?;
        self.end_bare(is_negative, mantissa, digits, point)?;
        // The letter.
        self.at = self.at.wrapping_add(1);
        let _ = self.eat(b"-") || self.eat(b"+");
        let rest = self.from(self.at)?;
        let power = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = self.at.checked_add(power)?;
        let is_ended = matches!(rest.get(power), Some(b',' | b']' | b'}'));
        if power == 0 || !is_ended {
            return None;
        }
        self.at = end;
        Decimal::parse(self.bytes.get(start..end)?).ok()
    }

    /// `point` is how many digits stand before it.
    #[inline(always)]
    fn end_bare(
        &mut self,
        is_negative: bool,
        mantissa: i64,
        digits: usize,
        point: Option<usize>,
    ) -> Option<Decimal> {
        let whole = point.unwrap_or(digits);
        let is_padded = whole > 1 && self.from(self.at)?.first() == Some(&b'0');
        let is_cut = whole == 0 || point == Some(digits);
        // The general parser's minus zero is its own affair.
        let is_minus_zero = is_negative && mantissa == 0;
        if is_padded || is_cut || is_minus_zero || digits > DIGITS_MAX {
            return None;
        }
        let text = digits.wrapping_add(usize::from(point.is_some()));
        self.at = self.at.wrapping_add(text);
        Some(Decimal {
            mantissa: if is_negative { -mantissa } else { mantissa },
            exponent: -(digits.wrapping_sub(whole) as i8),
        })
    }

    /// A list, empty or between `open` and `close`, `next` between its rows; at most as many as a message may have.
    #[inline(always)]
    pub fn rows<const O: usize, const N: usize, const C: usize>(
        &mut self,
        (open, next, close): (&[u8; O], &[u8; N], &[u8; C]),
        mut row: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let mut at = *self; // held in registers
        if !at.eat(b"[]") {
            at.need(open)?;
            let mut room = MSG_LEVELS_MAX;
            loop {
                room = room.checked_sub(1)?;
                row(&mut at)?;
                if !at.eat(next) {
                    break;
                }
            }
            at.need(close)?;
        }
        *self = at;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Doc;
    use proptest::prelude::*;

    /// What the general parser makes of a number in a list.
    fn general(text: &str) -> Option<Decimal> {
        let mut doc = Doc::exact(256, 256);
        let tree = doc.parse_exact(format!("[{text}]").as_bytes()).ok()?;
        let items = tree.root().as_array()?;
        let mut items = items.map(|item| item.as_decimal().ok());
        let first = items.next()?;
        items.next().is_none().then_some(first)?
    }

    /// Whatever is taken is what the general parser makes of it, and taken whole.
    fn check(text: &str) -> bool {
        let mut is_taken = false;
        for end in [",", "]", "}"] {
            let bytes = format!("{text}{end}");
            let mut cursor = Cursor::new(bytes.as_bytes());
            let taken = cursor.bare();
            if let Some(number) = taken {
                assert_eq!(Some(number), general(text), "{text}");
                assert!(
                    cursor.eat(&[end.as_bytes()[0]]) && cursor.is_done(),
                    "{text}"
                );
            }
            is_taken = taken.is_some();
        }
        is_taken
    }

    #[test]
    fn numbers_of_every_form() {
        for text in [
            "0",
            "7",
            "0.0",
            "65000",
            "65000.10",
            "-0.5",
            "-12",
            "1e5",
            "1.5E-3",
            "5.33E-4",
            "-1e+3",
            "0.00000001",
            "123456789012345678",
            "12345678901.2345678",
            "-0.0000000000000001",
        ] {
            assert!(check(text), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            ".5",
            "5.",
            "-.5",
            "00",
            "01.5",
            "-01",
            "-0",
            "-0.0",
            "1e",
            "1.5E+",
            "1.e5",
            "1e5.5",
            "1e400",
            "+1",
            "1..2",
            "1.2.3",
            "--1",
            "1-",
            " 1",
            "1 ",
            "\"1\"",
            "1234567890123456789",
            "0.123456789012345678",
            "null",
        ] {
            assert!(!check(text), "{text}");
        }
        assert_eq!(Cursor::new(b"65000.1").bare(), None, "nothing ends it");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_means_the_same(text in "-?[0-9]{0,20}(\\.[0-9]{0,20})?([eE+-].?)?") {
            check(&text);
        }

        #[test]
        fn what_venues_print_is_taken(text in "-?(0|[1-9][0-9]{0,8})\\.[0-9]{0,7}[1-9]") {
            prop_assert!(check(&text));
        }

        #[test]
        fn lists_are_taken_whole_or_not_at_all(rows in proptest::collection::vec(0u32..1_000, 0..20), cut in 0usize..64) {
            let printed: Vec<_> = rows.iter().map(|row| format!("[{row},1.5]")).collect();
            let text = format!("[{}]", printed.join(","));
            let read = |text: &str| {
                let mut cursor = Cursor::new(text.as_bytes());
                let mut found = Vec::new();
                let taken = cursor.rows((b"[[", b"],[", b"]]"), |at| {
                    found.push(at.bare()?.mantissa);
                    at.need(b",1.5")
                });
                taken.filter(|()| cursor.is_done()).map(|()| found)
            };
            let want: Vec<_> = rows.iter().map(|row| i64::from(*row)).collect();
            prop_assert_eq!(read(&text), Some(want));
            if cut < text.len() {
                prop_assert_eq!(read(&text[..cut]), None);
            }
        }
    }
}
