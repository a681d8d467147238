//! Doubles of the wire as decimals: the one file of the dataplane that has the type.
//!
//! The classic feed carries prices and amounts as IEEE doubles. What the venue meant is the shortest decimal that
//! reads back as the same double: that is what it prints in JSON, and what its tick is a part of. No arithmetic is
//! done with them; every digit comes from the text.

use dp_types::{Decimal, NumError};

/// The decimal a double stands for.
///
/// Cost: some 30 ns, no allocation. Errors: [`NumError::Empty`] for what is no number (the feed's null is one),
/// [`NumError::TooLong`] for what no price or amount is.
pub fn decimal(bits: u64) -> Result<Decimal, NumError> {
    let value = f64::from_bits(bits);
    if !value.is_finite() {
        return Err(NumError::Empty);
    }
    Decimal::parse(zmij::Buffer::new().format_finite(value).as_bytes())
}

/// The double a printed number becomes on this wire, as its bits; `None` when it is no number. For those who send:
/// tests, simulators, tools.
pub fn bits(text: &str) -> Option<u64> {
    text.parse::<f64>().ok().map(f64::to_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_venue_meant() {
        let text = |bits| decimal(bits).unwrap().to_string();
        for (bits, want) in [
            (0x40ee_5460_0000_0000, "62115.0"),
            (0x40e4_8a94_cccc_cccd, "42068.65"),
            (0x3f1a_36e2_eb1c_432d, "0.0001"),
            (0x3fe7_3b64_5a1c_ac08, "0.7260"),
            (0x4015_cccc_cccc_cccd, "5.45"),
            (0, "0.0"),
        ] {
            assert_eq!(
                decimal(bits).unwrap().to_increments(8),
                Decimal::parse(want.as_bytes()).unwrap().to_increments(8),
                "{}",
                text(bits)
            );
        }
        assert_eq!(decimal(u64::MAX), Err(NumError::Empty), "the feed's null");
        assert_eq!(decimal(f64::INFINITY.to_bits()), Err(NumError::Empty));
        assert_eq!(decimal(f64::MAX.to_bits()), Err(NumError::TooLong));
        assert_eq!(bits("a price"), None);
    }

    proptest! {
        #[test]
        fn any_bits_are_the_same_double_or_refused(raw: u64) {
            if let Ok(value) = decimal(raw) {
                let back = bits(&format!("{}e{}", value.mantissa, value.exponent));
                let is_zero = value.is_zero(); // of which there are two
                prop_assert!(back == Some(raw) || is_zero);
            }
        }

        #[test]
        fn prices_come_back_digit_by_digit(mantissa in -999_999_999_999_999i64..1_000_000_000_000_000, places in 0i8..9) {
            let printed = Decimal { mantissa, exponent: -places };
            let back = decimal(bits(&printed.to_string()).unwrap()).unwrap();
            prop_assert_eq!(back.to_increments(8), printed.to_increments(8));
        }
    }
}
