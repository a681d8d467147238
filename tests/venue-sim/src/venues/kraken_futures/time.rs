//! Times as the venue prints and reads them: RFC 3339, UTC.

const DAY_NS: u64 = 86_400_000_000_000;
/// Days from the first of March of year 0 to 1970.
const EPOCH_DAYS: i64 = 719_468;

/// `2026-10-05T10:00:00.440295Z`, with so many digits of the second, at most nine.
pub fn rfc3339(ns: u64, digits: usize) -> String {
    let (days, rest) = ((ns / DAY_NS) as i64, ns % DAY_NS);
    let (seconds, fraction) = (rest / 1_000_000_000, rest % 1_000_000_000);
    // Years that begin in March: the leap day comes last.
    let days = days + EPOCH_DAYS;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = format!("{fraction:09}");
    let dot = if digits > 0 { "." } else { "" };
    let shown: String = fraction.chars().take(digits).collect();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{dot}{shown}Z")
}

/// Nanoseconds since 1970 of such a text, with up to nine digits of the second.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = |text: &str, mark: char| -> Option<Vec<u64>> {
        let is_number = |part: &&str| (2..=4).contains(&part.len()) && is_digits(part);
        text.split(mark)
            .map(|part| Some(part).filter(is_number)?.parse().ok())
            .collect()
    };
    let (date, clock) = (numbers(date, '-')?, numbers(clock, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), clock.as_slice()) else {
        return None;
    };
    let in_range = (1970..=2500).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && fraction.len() <= 9
        && is_digits(fraction);
    if !in_range {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    let days = days.checked_sub(EPOCH_DAYS as u64)?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    Some(days * DAY_NS + ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for (text, ns) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("2024-02-29T00:00:00.000000Z", 1_709_164_800_000_000_000),
            ("2020-12-08T09:08:57.715001Z", 1_607_418_537_715_001_000),
            ("2099-12-31T23:59:59.999999Z", 4_102_444_799_999_999_000),
        ] {
            assert_eq!(parse(text), Some(ns));
            assert_eq!(rfc3339(ns, 6), text);
        }
        assert_eq!(
            rfc3339(1_709_164_800_123_456_789, 3),
            "2024-02-29T00:00:00.123Z"
        );
        assert_eq!(
            rfc3339(1_709_164_800_123_456_789, 0),
            "2024-02-29T00:00:00Z"
        );
        for bad in [
            "",
            "Z",
            "2020-12-08",
            "2020-13-08T09:08:57Z",
            "2020-12-08T09:08:57",
            "x-1-1T1:1:1Z",
            "2020-12-08T09:08:57.1234567890Z",
            "+020-12-08T09:08:57Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
