//! Times: RFC 3339 on the WebSocket, seconds with a fraction in REST.

const SECOND_NS: u64 = 1_000_000_000;
const DAY_S: u64 = 86_400;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Year, month and day of a number of days since 1970. Years begin in March here, so that the leap day comes
/// last; 719,468 days are from March of year 0 to 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn to_seconds(ns: u64) -> String {
    let s = ns / SECOND_NS;
    let (year, month, day) = date(s / DAY_S);
    let (hour, minute, second) = (s / 3_600 % 24, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// `2026-05-05T10:00:00.123456Z`.
pub fn micros(ns: u64) -> String {
    format!("{}.{:06}Z", to_seconds(ns), ns % SECOND_NS / 1_000)
}

/// `2026-05-05T10:00:00Z`.
pub fn seconds(ns: u64) -> String {
    format!("{}Z", to_seconds(ns))
}

/// `Sat,  8 Feb 14 05:04:36 +0000`.
pub fn rfc1123(ns: u64) -> String {
    let s = ns / SECOND_NS;
    let days = s / DAY_S;
    let (year, month, day) = date(days);
    let name = |names: &[&'static str], at: u64| names.get(at as usize).copied().unwrap_or("");
    format!(
        "{}, {day:2} {} {:02} {:02}:{:02}:{:02} +0000",
        name(&DAYS, days % 7),
        name(&MONTHS, month - 1),
        year % 100,
        s / 3_600 % 24,
        s / 60 % 60,
        s % 60
    )
}

/// `1688585840.892134`: REST's seconds, digits of a JSON number.
pub fn fraction(ns: u64) -> String {
    format!("{}.{:06}", ns / SECOND_NS, ns % SECOND_NS / 1_000)
}

/// Unix nanoseconds of an RFC 3339 time in UTC, with up to nine decimals.
pub fn parse(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, decimals) = clock.split_once('.').unwrap_or((clock, "0"));
    let is_number = |text: &str| (1..=9).contains(&text.len()) && digits(text);
    let numbers = |text: &str, mark: char| -> Option<Vec<u64>> {
        let parts = text.split(mark);
        parts
            .map(|part| part.parse().ok().filter(|_| is_number(part)))
            .collect()
    };
    let (date, clock) = (numbers(date, '-')?, numbers(clock, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), clock.as_slice()) else {
        return None;
    };
    let is_time = hour < 24 && minute < 60 && second <= 60;
    let is_date = (1970..2500).contains(&year) && (1..=12).contains(&month);
    if !is_time || !is_date || !(1..=31).contains(&day) || !is_number(decimals) {
        return None;
    }
    let ns: u64 = format!("{decimals:0<9}").parse().ok()?;
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    let days = days.checked_sub(719_468)?;
    let s = days * DAY_S + hour * 3_600 + minute * 60 + second;
    s.checked_mul(SECOND_NS)?.checked_add(ns)
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_709_164_800_000_001_000, "2024-02-29T00:00:00.000001Z"),
            (1_767_225_599_999_999_000, "2025-12-31T23:59:59.999999Z"),
            (1_795_219_200_000_000_000, "2026-11-21T00:00:00.000000Z"),
        ] {
            assert_eq!((micros(ns).as_str(), parse(text)), (text, Some(ns)));
        }
        assert_eq!(seconds(1_391_835_876_000_000_000), "2014-02-08T05:04:36Z");
        assert_eq!(
            rfc1123(1_391_835_876_000_000_000),
            "Sat,  8 Feb 14 05:04:36 +0000"
        );
        assert_eq!(fraction(1_688_585_840_892_134_567), "1688585840.892134");
        for bad in [
            "",
            "Z",
            "2026-05-05T10:00:00",
            "2026-13-05T10:00:00Z",
            "2026-05-05T10:00Z",
            "2026-05-05T10:00:00.Z",
            "2026-05-05T10:00:00.0123456789Z",
            "1969-05-05T10:00:00Z",
            "+026-05-05T10:00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
