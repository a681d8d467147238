//! Times as the venue writes them: RFC 3339 over WebSocket v2, seconds with a fraction over v1 and REST.
//!
//! ```text
//! 2026-05-05T10:00:00.440295Z     UTC only, up to nine digits of a second
//! 1688585840.8921                 seconds since 1970
//! ```

use dp_types::{Decimal, VenueNanos};

const SECOND_NS: u64 = 1_000_000_000;
const DAY_S: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// The time in an RFC 3339 text that ends in `Z`; `None` when it is none, or before 1970.
pub fn parse_rfc3339(text: &[u8]) -> Option<VenueNanos> {
    let (head, rest) = text.split_at_checked(19)?;
    let number = |at: usize, len: usize| digits(head.get(at..at + len)?);
    let is_mark = |at: usize, mark: u8| head.get(at) == Some(&mark);
    let has_marks = is_mark(4, b'-') && is_mark(7, b'-') && is_mark(13, b':') && is_mark(16, b':');
    if !has_marks || !(is_mark(10, b'T') || is_mark(10, b' ')) {
        return None;
    }
    let (month, day) = (number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_of(number(0, 4)?, month, day)?;
    let seconds = days * DAY_S + hour * 3_600 + minute * 60 + second;
    let nanos = match rest.strip_suffix(b"Z")?.split_first() {
        None => 0,
        Some((b'.', fraction)) if (1..=9).contains(&fraction.len()) => {
            digits(fraction)? * 10u64.pow(9 - fraction.len() as u32)
        }
        Some(_) => return None,
    };
    let nanos = seconds.checked_mul(SECOND_NS)?.checked_add(nanos)?; // from the year 2554 on it does not fit
    Some(VenueNanos(nanos))
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        Some(value * 10 + u64::from(digit)) // at most nine of them
    })
}

/// Days from 1970-01-01 (proleptic Gregorian, years starting in March); `None` before it.
const fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let from_march = (month + 9) % 12;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * ERA_DAYS + day_of_era).checked_sub(EPOCH_DAYS)
}

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

/// A time as the venue takes it, in place: `2026-05-05T10:00:05.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; 24]);

impl Rfc3339 {
    /// From Unix milliseconds, up to the year 9999 (later times are shown as its last millisecond).
    pub fn from_millis(unix_ms: u64) -> Self {
        // 9999-12-31T23:59:59.999Z: four digits of year are all the form has.
        const LAST_MS: u64 = 253_402_300_799_999;
        let ms = unix_ms.min(LAST_MS);
        let (days, in_day) = (ms / (DAY_S * 1_000), ms % (DAY_S * 1_000));
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, width: usize, value: u64| {
            let mut rest = value;
            for slot in text.iter_mut().skip(at).take(width).rev() {
                *slot = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, in_day / 3_600_000);
        put(14, 2, in_day / 60_000 % 60);
        put(17, 2, in_day / 1_000 % 60);
        put(20, 3, in_day % 1_000);
        Self(text)
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Year, month and day of a day counted from 1970-01-01: the inverse of [`days_of`].
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + EPOCH_DAYS;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_and_times() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00.5Z", 951_782_400_500_000_000),
            ("2023-11-14T22:13:20.123Z", 1_700_000_000_123_000_000),
            ("2026-05-05T10:00:00.279389650Z", 1_777_975_200_279_389_650),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000_000_000),
        ] {
            assert_eq!(
                parse_rfc3339(text.as_bytes()),
                Some(VenueNanos(nanos)),
                "{text}"
            );
        }
        for text in [
            "",
            "2026-05-05T10:00:00",
            "2026-05-05T10:00:00+00:00",
            "2026-05-05T10:00:00.Z",
            "2026-05-05T10:00:00.1234567890Z",
            "2026-13-05T10:00:00Z",
            "2026-05-00T10:00:00Z",
            "2026-05-05T24:00:00Z",
            "2026-05-05x10:00:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }

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

    #[test]
    fn written_times_end_with_the_year_9999() {
        let text = Rfc3339::from_millis(u64::MAX);
        assert_eq!(text.as_bytes(), b"9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn written_times_come_back(ms in 0u64..18_446_744_073_709) {
            let text = Rfc3339::from_millis(ms);
            prop_assert_eq!(parse_rfc3339(text.as_bytes()), Some(VenueNanos::from_millis(ms)));
        }

        #[test]
        fn any_bytes_are_a_time_or_none(text: Vec<u8>, mantissa: i64, exponent in -18i8..=18) {
            let _ = parse_rfc3339(&text);
            let _ = of_seconds(Decimal { mantissa, exponent });
        }
    }
}
