//! RFC 3339 times, both ways: the Unified WebSocket and REST print all of theirs so.
//!
//! ```text
//! 2026-10-05T10:00:00.440295Z      any number of fraction digits comes in, three go out; always UTC
//! ```

use dp_types::VenueNanos;

const DAY_S: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

/// Reads a time. `None` when it is none, is before 1970 or after 2554 (64 bits of nanoseconds).
pub fn parse(text: &[u8]) -> Option<VenueNanos> {
    let number = |from: usize, to: usize| {
        text.get(from..to)?.iter().try_fold(0u64, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + u64::from(byte - b'0'))
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, mark)| text.get(*at) == Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_time = hour < 24 && minute < 60 && second <= 60;
    if !(is_time && (1..=12).contains(&month) && (1..=31).contains(&day) && year >= 1970) {
        return None;
    }
    let (fraction, zone) = match text.get(19)? {
        b'.' => {
            let rest = text.get(20..)?;
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest.split_at_checked(count)?
        }
        _ => (&[][..], text.get(19..)?),
    };
    let is_bare_point = text.get(19) == Some(&b'.') && fraction.is_empty();
    if zone != b"Z" || is_bare_point {
        return None;
    }
    let mut scale = 1_000_000_000;
    let mut nanos = 0;
    for digit in fraction.iter().take(9) {
        scale /= 10;
        nanos += u64::from(digit - b'0') * scale;
    }
    let seconds = days(year, month, day)? * DAY_S + hour * 3_600 + minute * 60 + second;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
        .map(VenueNanos)
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar, years starting in March.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(EPOCH_DAYS)
}

/// Bytes of [`write_millis`].
pub const TEXT_LEN: usize = 24;

/// The text of Unix milliseconds, up to the year 9999 (later times are shown as its last millisecond).
pub fn write_millis(unix_ms: u64) -> [u8; TEXT_LEN] {
    const LAST_MS: u64 = 253_402_300_799_999;
    let ms = unix_ms.min(LAST_MS);
    let shifted = ms / 86_400_000 + EPOCH_DAYS;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
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
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let in_day = ms % 86_400_000;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (at, width, value) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, in_day / 3_600_000),
        (14, 2, in_day / 60_000 % 60),
        (17, 2, in_day / 1_000 % 60),
        (20, 3, in_day % 1_000),
    ] {
        let mut rest = value;
        for slot in text.iter_mut().skip(at).take(width).rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000_000_000),
            ("2025-10-09T08:53:20.440295Z", 1_760_000_000_440_295_000),
            ("2100-03-01T00:00:00.5Z", 4_107_542_400_500_000_000),
            ("2025-10-09T08:53:20.1234567899Z", 1_760_000_000_123_456_789),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(VenueNanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "2025-10-09",
            "2025-10-09 08:53:20Z",
            "2025-10-09T08:53:20",
            "2025-10-09T08:53:20+00:00",
            "2025-10-09T08:53:20.Z",
            "2025-13-09T08:53:20Z",
            "2025-10-00T08:53:20Z",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2025-10-09T08:53:2xZ",
            "2025-10-09T08:53:20.1xZ",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms in 0u64..18_000_000_000_000) {
            let text = write_millis(ms);
            prop_assert_eq!(parse(&text), Some(VenueNanos::from_millis(ms)));
        }

        #[test]
        fn any_bytes_are_a_time_or_none(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn anything_that_looks_like_one(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?Z?") {
            let _ = parse(text.as_bytes());
        }
    }
}
