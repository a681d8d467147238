//! FIX times: `20231114-22:13:20.000`, UTC.

const DAY_MS: i64 = 86_400_000;

/// A time with three decimals of the second.
pub fn text(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
    format!(
        "{year:04}{month:02}{day:02}-{:02}:{:02}:{:02}.{ms:03}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Milliseconds since 1970 of a time with up to nine decimals, which are cut.
pub fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let number = |text: &str, length: usize| -> Option<i64> {
        let is_number = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let part = |of: &str, from: usize, to: usize| number(of.get(from..to)?, to - from);
    if date.len() != 8 || time.len() != 8 || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let (year, month, day) = (part(date, 0, 4)?, part(date, 4, 6)?, part(date, 6, 8)?);
    let (hour, minute, second) = (part(time, 0, 2)?, part(time, 3, 5)?, part(time, 6, 8)?);
    let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = hour < 24 && minute < 60 && second <= 60 && time.split(':').count() == 3;
    (is_date && is_time).then_some(())?;
    let seconds = hour * 3_600 + minute * 60 + second;
    Some(days(year, month, day) * DAY_MS + seconds * 1_000 + number(&millis, 3)?)
}

/// Days since 1970 of a date. Years that begin in March have the leap day last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = if month <= 2 { month + 9 } else { month - 3 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 {
        (year, month + 3, of_month)
    } else {
        (year + 1, month - 9, of_month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_both_ways() {
        for (ms, told) in [
            (1_700_000_000_000, "20231114-22:13:20.000"),
            (951_782_400_007, "20000229-00:00:00.007"),
            (4_102_444_799_999, "20991231-23:59:59.999"),
            (0, "19700101-00:00:00.000"),
        ] {
            assert_eq!(text(ms), told);
            assert_eq!(parse(told), Some(ms));
        }
        assert_eq!(parse("20231114-22:13:20"), Some(1_700_000_000_000));
        assert_eq!(parse("20231114-22:13:20.123456"), Some(1_700_000_000_123));
        for bad in [
            "",
            "20231114",
            "20231314-22:13:20.000",
            "20231114-25:13:20.000",
            "20231114-22:13:20.",
            "2023111é-22:13:2",
            "20231114-22-13-20.0",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
