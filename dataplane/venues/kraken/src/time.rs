//! Times of v1 and REST: seconds since 1970 with a fraction, `1688585840.8921`. Those of v2 are RFC 3339.

use dp_types::{Decimal, VenueNanos};

/// The time in seconds with a fraction, rounded down to nanoseconds; `None` when negative or out of range.
pub fn of_seconds(seconds: Decimal) -> Option<VenueNanos> {
    let mantissa = u128::try_from(seconds.mantissa).ok()?;
    let power = i32::from(seconds.exponent) + 9;
    let scale = 10u128.checked_pow(power.unsigned_abs())?;
    let nanos = if power >= 0 {
        mantissa.checked_mul(scale)?
    } else {
        mantissa / scale
    };
    u64::try_from(nanos).ok().map(VenueNanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_with_a_fraction() {
        for (text, nanos) in [
            ("1688585840.8921", Some(1_688_585_840_892_100_000)),
            ("1616333924.737428", Some(1_616_333_924_737_428_000)),
            ("1549990357", Some(1_549_990_357_000_000_000)),
            ("0.0000000019", Some(1)),
            ("-1", None),
            ("1e18", None),
        ] {
            let seconds = Decimal::parse(text.as_bytes()).unwrap();
            assert_eq!(of_seconds(seconds).map(|at| at.0), nanos, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_a_time_or_none(mantissa: i64, exponent in -18i8..=18) {
            let _ = of_seconds(Decimal { mantissa, exponent });
        }
    }
}
