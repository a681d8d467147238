//! Points in time as text, in the two spellings venues use.
//!
//! ```text
//!   RFC 3339   2026-05-05T10:00:00.265000Z        JSON
//!   FIX        20260505-10:00:00.265              UTCTimestamp
//! ```
//! Only UTC, only years from 1970 to 2553. A leap second (`:60`) counts as the next one. Source: RFC 3339 section 5.6;
//! FIX 4.4, volume 1, data types.

const SECOND_NS: u64 = 1_000_000_000;
const DAY_S: u64 = 86_400;
/// Decimals of a second read; those behind the ninth are cut.
const DECIMALS_MAX: usize = 18;
/// The last whole year that 64 bits of nanoseconds hold.
const YEAR_MAX: u64 = 2553;

/// Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian, years starting in March).
const fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097); // 400 years have 146,097 days
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

/// The inverse of [`date`]; `None` for a date that is none.
fn days((year, month, day): (u64, u64, u64)) -> Option<u64> {
    if !(1970..=YEAR_MAX).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day)
    {
        return None;
    }
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // The 31st of a short month would be another day.
    (date(days) == (year, month, day)).then_some(days)
}

/// Takes a number of `width` digits.
fn number(text: &mut &[u8], width: usize) -> Option<u64> {
    let (digits, rest) = text.split_at_checked(width)?;
    *text = rest;
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn need(text: &mut &[u8], literal: u8) -> Option<()> {
    let (first, rest) = text.split_first()?;
    *text = rest;
    (*first == literal).then_some(())
}

/// `HH:MM:SS` with or without decimals, nanoseconds of the day.
fn time_of_day(text: &mut &[u8]) -> Option<u64> {
    let hour = number(text, 2)?;
    need(text, b':')?;
    let minute = number(text, 2)?;
    need(text, b':')?;
    let second = number(text, 2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut ns = ((hour * 60 + minute) * 60 + second) * SECOND_NS;
    if text.first() == Some(&b'.') {
        *text = text.get(1..)?;
        let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=DECIMALS_MAX).contains(&count) {
            return None;
        }
        let kept = count.min(9);
        ns += number(text, kept)? * 10u64.pow(9 - kept as u32);
        *text = text.get(count - kept..)?;
    }
    Some(ns)
}

fn join(date: (u64, u64, u64), ns_of_day: u64) -> Option<u64> {
    Some(days(date)? * DAY_S * SECOND_NS + ns_of_day)
}

/// Reads an RFC 3339 time in UTC (`Z` or `+00:00`): nanoseconds since 1970. `None` when it is not one.
pub fn parse_rfc3339(mut text: &[u8]) -> Option<u64> {
    let text = &mut text;
    let year = number(text, 4)?;
    need(text, b'-')?;
    let month = number(text, 2)?;
    need(text, b'-')?;
    let day = number(text, 2)?;
    if !matches!(text.first()?, b'T' | b't' | b' ') {
        return None;
    }
    *text = text.get(1..)?;
    let ns = time_of_day(text)?;
    matches!(*text, b"Z" | b"z" | b"+00:00").then_some(())?;
    join((year, month, day), ns)
}

/// Reads a FIX UTCTimestamp: nanoseconds since 1970. `None` when it is not one.
pub fn parse_fix(mut text: &[u8]) -> Option<u64> {
    let text = &mut text;
    let date = (number(text, 4)?, number(text, 2)?, number(text, 2)?);
    need(text, b'-')?;
    let ns = time_of_day(text)?;
    text.is_empty().then_some(())?;
    join(date, ns)
}

/// A point in time as text, in place.
#[derive(Debug, Clone, Copy)]
pub struct TimeText {
    bytes: [u8; 30],
    len: usize,
}

impl TimeText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// Writes digits over the zeros of `shape`, in its order: year to second, then as many decimals as it has.
    fn shaped(shape: &[u8], ns: u64) -> Self {
        let (year, month, day) = date(ns / (DAY_S * SECOND_NS));
        let second = ns / SECOND_NS % DAY_S;
        let fraction = ns % SECOND_NS;
        let joined = [
            (year, 4),
            (month, 2),
            (day, 2),
            (second / 3_600, 2),
            (second / 60 % 60, 2),
            (second % 60, 2),
            (fraction, 9),
        ];
        let digits = joined.into_iter().flat_map(|(value, width)| {
            (0..width)
                .rev()
                .map(move |place| b'0' + (value / 10u64.pow(place) % 10) as u8)
        });
        let mut bytes = [0; 30];
        let len = shape.len().min(bytes.len());
        let mut digits = digits;
        for (slot, byte) in bytes.iter_mut().zip(shape) {
            *slot = match byte {
                b'0' => digits.next().unwrap_or(b'0'),
                other => *other,
            };
        }
        Self { bytes, len }
    }

    /// RFC 3339 with milliseconds: `2026-05-05T10:00:00.265Z`. `ns` since 1970.
    pub fn rfc3339_millis(ns: u64) -> Self {
        Self::shaped(b"0000-00-00T00:00:00.000Z", ns)
    }

    /// RFC 3339 without decimals: `2026-05-05T10:00:00Z`. `ns` since 1970.
    pub fn rfc3339_seconds(ns: u64) -> Self {
        Self::shaped(b"0000-00-00T00:00:00Z", ns)
    }

    /// As [`TimeText::rfc3339_seconds`] without its zone: `2026-05-05T10:00:00`. `ns` since 1970.
    pub fn plain_seconds(ns: u64) -> Self {
        Self::shaped(b"0000-00-00T00:00:00", ns)
    }

    /// The day: `2026-05-05`. `ns` since 1970.
    pub fn date(ns: u64) -> Self {
        Self::shaped(b"0000-00-00", ns)
    }

    /// FIX UTCTimestamp with milliseconds: `20260505-10:00:00.265`. `ns` since 1970.
    pub fn fix_millis(ns: u64) -> Self {
        Self::shaped(b"00000000-00:00:00.000", ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(TimeText::rfc3339_millis(ms * 1_000_000).as_str(), text);
            assert_eq!(parse_rfc3339(text.as_bytes()), Some(ms * 1_000_000));
        }
        assert_eq!(
            TimeText::rfc3339_seconds(951_782_400_999_999_999).as_str(),
            "2000-02-29T00:00:00Z"
        );
        assert_eq!(
            TimeText::fix_millis(1_719_487_045_223_000_000).as_str(),
            "20240627-11:17:25.223"
        );
        assert_eq!(
            parse_fix(b"20240627-11:17:25.223"),
            Some(1_719_487_045_223_000_000)
        );
        assert_eq!(
            parse_fix(b"20240612-08:52:21.636837"),
            Some(1_718_182_341_636_837_000)
        );
        assert_eq!(
            parse_fix(b"20240612-08:52:21"),
            Some(1_718_182_341_000_000_000)
        );
        assert_eq!(
            parse_rfc3339(b"2026-05-05T10:00:01.000000001+00:00"),
            Some(1_777_975_201_000_000_001)
        );
        assert_eq!(
            parse_rfc3339(b"2016-12-31T23:59:60Z"),
            parse_rfc3339(b"2017-01-01T00:00:00Z")
        );
    }

    #[test]
    fn shorter_forms_and_longer_fractions() {
        let end_of_february = 951_782_400_999_999_999;
        assert_eq!(
            TimeText::plain_seconds(end_of_february).as_str(),
            "2000-02-29T00:00:00"
        );
        assert_eq!(TimeText::date(end_of_february).as_str(), "2000-02-29");
        let long = parse_rfc3339(b"2025-10-09T08:53:20.1234567899Z");
        assert_eq!(long, Some(1_760_000_000_123_456_789), "cut");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2600-01-01T00:00:00Z",
            "2026-05-05T24:00:00Z",
            "2026-05-05T10:60:00Z",
            "2026-05-05T10:00:61Z",
            "2026-05-05T10:00:00",
            "2026-05-05T10:00:00.Z",
            "2026-05-05T10:00:00.1234567890123456789Z",
            "2026-05-05T10:00:00+02:00",
            "2026-05-05T10:00:00ZZ",
            "+026-05-05T10:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
        for text in [
            "",
            "20240627",
            "20240627-11:17",
            "20240627-11:17:25.223Z",
            "20240230-00:00:00",
        ] {
            assert_eq!(parse_fix(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(ms in 0u64..18_000_000_000_000) {
            let ns = ms * 1_000_000;
            prop_assert_eq!(parse_rfc3339(TimeText::rfc3339_millis(ns).as_bytes()), Some(ns));
            prop_assert_eq!(parse_fix(TimeText::fix_millis(ns).as_bytes()), Some(ns));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            let _ = (parse_rfc3339(&text), parse_fix(&text));
        }

        #[test]
        fn any_time_has_a_text(ns: u64) {
            prop_assert_eq!(TimeText::rfc3339_millis(ns).as_str().len(), 24);
        }
    }
}
