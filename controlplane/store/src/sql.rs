//! Our exact integers as PostgreSQL's own binary types, for COPY.
//!
//! `numeric` on the wire (PostgreSQL source, `numeric_send`): four 16-bit words — count of base-10000
//! digits, weight of the first, sign, decimals shown — and the digits. Nothing passes through a float.

use dp_types::{Decimal, Instrument, Notional, Price, Qty, Text, UnixNanos};
use std::error::Error;
use std::time::{Duration, UNIX_EPOCH};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};

/// A `numeric` value: `mantissa` x 10^-`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numeric {
    mantissa: i128,
    scale: u8,
}

impl Numeric {
    /// An exact decimal number.
    pub fn decimal(value: Decimal) -> Self {
        let zeros = u32::from(value.exponent.max(0).unsigned_abs());
        Self {
            // An exponent beyond ±18 is not one of ours; it must not end the drain.
            mantissa: 10i128
                .checked_pow(zeros)
                .and_then(|factor| i128::from(value.mantissa).checked_mul(factor))
                .unwrap_or(i128::MAX),
            scale: value.decimals(),
        }
    }

    /// A price in an instrument's increments.
    pub fn price(instrument: &Instrument, price: Price) -> Self {
        Self::decimal(instrument.price_decimal(price))
    }

    /// A quantity in an instrument's increments.
    pub fn qty(instrument: &Instrument, qty: Qty) -> Self {
        Self::decimal(instrument.qty_decimal(qty))
    }

    /// Money: 12 decimals.
    pub const fn notional(value: Notional) -> Self {
        Self {
            mantissa: value.0,
            scale: 12,
        }
    }

    /// Base-10000 digits, most significant first, and the weight of the first.
    fn digits(self) -> (Vec<u16>, i16) {
        // The point must fall between two digits: pad the decimals to whole groups of four.
        let pad = (4 - self.scale % 4) % 4;
        let groups = i16::from((self.scale + pad) / 4);
        let mut rest = self.mantissa.unsigned_abs();
        let mut digits = Vec::with_capacity(12);
        // The lowest group takes the padding: 4 - pad digits of ours, then zeros.
        let low = 10u128.pow(u32::from(4 - pad));
        digits.push((rest % low) as u16 * 10u16.pow(u32::from(pad)));
        rest /= low;
        while rest > 0 {
            digits.push((rest % 10_000) as u16);
            rest /= 10_000;
        }
        let weight = digits.len() as i16 - 1 - groups;
        digits.reverse();
        (digits, weight)
    }
}

impl ToSql for Numeric {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (digits, weight) = if self.mantissa == 0 {
            (Vec::new(), 0)
        } else {
            self.digits()
        };
        let sign: u16 = if self.mantissa < 0 { 0x4000 } else { 0 };
        out.extend_from_slice(&(digits.len() as u16).to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&u16::from(self.scale).to_be_bytes());
        for digit in digits {
            out.extend_from_slice(&digit.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    accepts!(NUMERIC);
    to_sql_checked!();
}

/// A `timestamptz` of one of our times, cut to PostgreSQL's microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(pub u64);

impl At {
    /// `None` for 0, which is our "not known".
    pub fn known(nanos: u64) -> Option<Self> {
        (nanos != 0).then_some(Self(nanos))
    }
}

impl From<UnixNanos> for At {
    fn from(at: UnixNanos) -> Self {
        Self(at.0)
    }
}

impl ToSql for At {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        (UNIX_EPOCH + Duration::from_micros(self.0 / 1_000)).to_sql(kind, out)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

/// A short text. PostgreSQL's `text` holds every character but NUL, which becomes a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<const N: usize>(pub Text<N>);

impl<const N: usize> ToSql for Word<N> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let text = self.0.as_str();
        if text.contains('\0') {
            text.replace('\0', " ").to_sql(kind, out)
        } else {
            text.to_sql(kind, out)
        }
    }

    accepts!(TEXT);
    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What PostgreSQL makes of the digits: each worth 10000^(weight - place).
    fn value(number: Numeric) -> (i128, u32) {
        let (digits, weight) = number.digits();
        let places = digits.len() as i32 - 1 - i32::from(weight);
        let whole = digits
            .iter()
            .fold(0i128, |sum, digit| sum * 10_000 + i128::from(*digit));
        (whole, 4 * places.max(0) as u32)
    }

    proptest! {
        #[test]
        fn digits_are_the_number(mantissa in 1i64.., scale in 0u8..=18) {
            let number = Numeric { mantissa: i128::from(mantissa), scale };
            let (whole, scale_there) = value(number);
            let (digits, _) = number.digits();
            prop_assert!(digits.iter().all(|digit| *digit < 10_000));
            let factor = 10i128.pow(scale_there - u32::from(scale));
            prop_assert_eq!(whole, i128::from(mantissa) * factor);
        }
    }

    #[test]
    fn positive_exponents_become_zeros() {
        let number = Numeric::decimal(Decimal {
            mantissa: 12,
            exponent: 3,
        });
        assert_eq!(
            number,
            Numeric {
                mantissa: 12_000,
                scale: 0
            }
        );
    }
}
