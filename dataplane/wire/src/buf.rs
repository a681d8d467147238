//! A byte buffer of fixed capacity, in place: order messages are built here without a heap.
//!
//! Writing past the end never panics and never cuts silently: it sets a flag, writes nothing more,
//! and [`Buf::finish`] refuses. So a builder writes straight through and checks once.

use dp_types::Decimal;

/// The message did not fit its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message does not fit its buffer")]
pub struct Overflow;

/// At most `N` bytes, stored in place.
#[derive(Debug, Clone, Copy)]
pub struct Buf<const N: usize> {
    bytes: [u8; N],
    len: usize,
    has_overflowed: bool,
}

impl<const N: usize> Default for Buf<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Buf<N> {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
            has_overflowed: false,
        }
    }

    /// Empties it and forgets an overflow.
    pub fn clear(&mut self) {
        self.len = 0;
        self.has_overflowed = false;
    }

    /// Appends one byte.
    pub fn push(&mut self, byte: u8) {
        self.push_bytes(&[byte]);
    }

    /// Appends bytes: all of them, or none and the overflow flag.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.bytes.get_mut(self.len..end) {
            Some(room) if !self.has_overflowed => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.has_overflowed = true,
        }
    }

    /// Appends text as it is.
    pub fn push_str(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    /// Appends an unsigned integer in decimal digits. Cost: at most 20 digits, no formatter.
    pub fn push_u64(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut rest = number;
        let mut start = digits.len();
        for (index, place) in digits.iter_mut().enumerate().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            start = index;
            if rest == 0 {
                break;
            }
        }
        self.push_bytes(digits.get(start..).unwrap_or(&[]));
    }

    /// Appends a signed integer in decimal digits.
    pub fn push_i64(&mut self, number: i64) {
        if number < 0 {
            self.push(b'-');
        }
        self.push_u64(number.unsigned_abs());
    }

    /// Appends a decimal number in plain notation with exactly its own digits, e.g. `-0.0250`.
    pub fn push_decimal(&mut self, number: Decimal) {
        self.push_str(number.write(&mut [0; Decimal::TEXT_MAX]));
    }

    /// What was written and fitted.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Whether something did not fit.
    pub const fn has_overflowed(&self) -> bool {
        self.has_overflowed
    }

    /// The whole message, or [`Overflow`] when some of it did not fit.
    pub fn finish(&self) -> Result<&[u8], Overflow> {
        if self.has_overflowed {
            Err(Overflow)
        } else {
            Ok(self.as_bytes())
        }
    }

    /// Bytes written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn overflow_is_flagged_and_sticky() {
        let mut buf = Buf::<4>::new();
        buf.push_str("abc");
        buf.push_str("de");
        assert!(buf.has_overflowed());
        buf.push(b'f');
        assert_eq!((buf.as_bytes(), buf.finish()), (&b"abc"[..], Err(Overflow)));
        buf.clear();
        buf.push_u64(1234);
        assert_eq!(buf.finish(), Ok(&b"1234"[..]));
    }

    proptest! {
        #[test]
        fn integers_print_as_the_formatter_does(unsigned: u64, signed: i64) {
            let mut buf = Buf::<64>::new();
            buf.push_u64(unsigned);
            buf.push(b' ');
            buf.push_i64(signed);
            let expected = format!("{unsigned} {signed}");
            prop_assert_eq!(buf.finish(), Ok(expected.as_bytes()));
        }

        #[test]
        fn decimals_survive_a_round_trip(mantissa: i64, exponent in -18i8..=0) {
            let number = Decimal { mantissa, exponent };
            let mut buf = Buf::<64>::new();
            buf.push_decimal(number);
            prop_assert_eq!(Decimal::parse(buf.as_bytes()), Ok(number));
        }
    }

    #[test]
    fn extremes_print() {
        let mut buf = Buf::<64>::new();
        for number in [i64::MIN, 0, i64::MAX] {
            buf.clear();
            buf.push_i64(number);
            assert_eq!(buf.as_bytes(), number.to_string().as_bytes());
        }
    }
}
