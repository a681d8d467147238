//! Signatures and timestamps.

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use serde_json::Value;

/// How far a timestamp may be off, milliseconds.
const WINDOW_MS: i64 = 30_000;

/// Checks a signed REST request. Errors: 50102..50113.
pub fn rest(core: &Core, request: &Request) -> Result<AccountId, Refused> {
    let header = |name: &str, code: i64| {
        request
            .header(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                let text = format!(
                    "Request header {} can not be empty.",
                    name.to_ascii_uppercase()
                );
                Refused::http(401, code, text)
            })
    };
    let api_key = header("ok-access-key", 50103)?;
    let passphrase = header("ok-access-passphrase", 50104)?;
    let timestamp = header("ok-access-timestamp", 50107)?;
    let sign = header("ok-access-sign", 50106)?;
    let key = core
        .credential(api_key)
        .ok_or_else(|| Refused::http(401, 50111, "Invalid OK-ACCESS-KEY"))?;
    if key.passphrase != passphrase {
        let text = "Request header OK-ACCESS-PASSPHRASE incorrect.";
        return Err(Refused::http(401, 50105, text));
    }
    let sent = iso_ms(timestamp)
        .ok_or_else(|| Refused::http(401, 50112, "Invalid OK-ACCESS-TIMESTAMP"))?;
    if (core.venue_ms() - sent).abs() > WINDOW_MS {
        return Err(Refused::http(401, 50102, "Timestamp request expired"));
    }
    let question = if request.query.is_empty() { "" } else { "?" };
    let signed = format!(
        "{timestamp}{}{}{question}{}{}",
        request.method, request.path, request.query, request.body
    );
    if key.is_base64_hmac(signed.as_bytes(), sign) {
        Ok(key.account)
    } else {
        Err(Refused::http(401, 50113, "Invalid Sign"))
    }
}

/// Checks the argument of a WebSocket login. Errors: 60004..60024.
pub fn login(core: &Core, arg: &Value) -> Result<AccountId, Refused> {
    let field = |name: &str| arg.get(name).and_then(Value::as_str).unwrap_or("");
    let key = core
        .credential(field("apiKey"))
        .ok_or_else(|| Refused::new(60005, "Invalid apiKey"))?;
    if key.passphrase != field("passphrase") {
        return Err(Refused::new(60024, "Wrong passphrase"));
    }
    let timestamp = field("timestamp");
    let sent: i64 = timestamp
        .parse()
        .map_err(|_| Refused::new(60004, "Invalid timestamp"))?;
    let off = core.venue_ms().saturating_sub(sent.saturating_mul(1_000));
    if off.saturating_abs() > WINDOW_MS {
        return Err(Refused::new(60006, "Timestamp request expired"));
    }
    let signed = format!("{timestamp}GET/users/self/verify");
    if key.is_base64_hmac(signed.as_bytes(), field("sign")) {
        Ok(key.account)
    } else {
        Err(Refused::new(60007, "Invalid sign"))
    }
}

/// Milliseconds since 1970 of `2020-12-08T09:08:57.715Z`.
pub fn iso_ms(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let numbers = |text: &str, mark: char| -> Option<Vec<i64>> {
        text.split(mark).map(|part| part.parse().ok()).collect()
    };
    let date = numbers(date, '-')?;
    let (clock, millis) = match time.split_once('.') {
        Some((clock, millis)) if millis.len() == 3 => (clock, millis.parse::<i64>().ok()?),
        Some(_) => return None,
        None => (time, 0),
    };
    let clock = numbers(clock, ':')?;
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), clock.as_slice()) else {
        return None;
    };
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && (0..1000).contains(&millis);
    if !in_range {
        return None;
    }
    // Days since 1970-01-01 of the proleptic Gregorian calendar, with years that begin in March so that
    // the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    let days = days - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_times() {
        assert_eq!(iso_ms("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(iso_ms("2020-12-08T09:08:57.715Z"), Some(1_607_418_537_715));
        assert_eq!(iso_ms("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        for bad in [
            "",
            "2020-12-08",
            "2020-13-08T09:08:57.715Z",
            "2020-12-08T09:08Z",
            "xZ",
        ] {
            assert_eq!(iso_ms(bad), None, "{bad}");
        }
    }
}
