//! Signatures and timestamps: base64(HMAC-SHA256) under the bytes behind a base64 secret.

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use serde_json::Value;

/// How far a timestamp may be off, milliseconds.
const WINDOW_MS: i64 = 30_000;
/// What a subscription signs after its timestamp.
const VERIFY: &str = "GET/users/self/verify";

/// What a client claims.
struct Claim<'a> {
    key: &'a str,
    passphrase: &'a str,
    timestamp: &'a str,
    sign: &'a str,
}

/// Checks a signed REST request. Errors: 401 in the venue's words.
pub fn rest(core: &Core, request: &Request) -> Result<AccountId, Refused> {
    let header = |name: &str| {
        request
            .header(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                let name = name.to_ascii_uppercase();
                Refused::new(401, format!("{name} header is required"))
            })
    };
    let claim = Claim {
        key: header("cb-access-key")?,
        sign: header("cb-access-sign")?,
        timestamp: header("cb-access-timestamp")?,
        passphrase: header("cb-access-passphrase")?,
    };
    let question = if request.query.is_empty() { "" } else { "?" };
    let signed = format!(
        "{}{}{question}{}{}",
        request.method, request.path, request.query, request.body
    );
    check(core, &claim, &signed)
}

/// Checks a signed subscription; `None` when it is not signed. Errors: as [`rest`].
pub fn subscription(core: &Core, message: &Value) -> Option<Result<AccountId, Refused>> {
    let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or("");
    // A text or a number: ccxt sends a number.
    let timestamp = match message.get("timestamp") {
        Some(Value::Number(number)) => number.to_string(),
        _ => field("timestamp").to_owned(),
    };
    let claim = Claim {
        key: field("key"),
        passphrase: field("passphrase"),
        timestamp: &timestamp,
        sign: field("signature"),
    };
    let is_signed = !(claim.key.is_empty() && claim.sign.is_empty());
    is_signed.then(|| check(core, &claim, VERIFY))
}

fn check(core: &Core, claim: &Claim<'_>, signed: &str) -> Result<AccountId, Refused> {
    let refused = |text: &str| Refused::new(401, text);
    let key = core
        .credential(claim.key)
        .ok_or_else(|| refused("Invalid API Key"))?;
    if key.passphrase != claim.passphrase {
        return Err(refused("Invalid Passphrase"));
    }
    let sent = seconds_ms(claim.timestamp).ok_or_else(|| refused("invalid timestamp"))?;
    if core.venue_ms().saturating_sub(sent).saturating_abs() > WINDOW_MS {
        return Err(refused("request timestamp expired"));
    }
    let text = format!("{}{signed}", claim.timestamp);
    if key.is_base64_hmac(text.as_bytes(), claim.sign) {
        Ok(key.account)
    } else {
        Err(refused("invalid signature"))
    }
}

/// Milliseconds of seconds with or without decimals.
fn seconds_ms(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
    let seconds: i64 = seconds.parse().ok()?;
    seconds
        .checked_mul(1_000)?
        .checked_add(millis.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Credential, unbase64};

    #[test]
    fn times() {
        for (text, ms) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.25", Some(1_700_000_000_250)),
            ("1700000000.1234567", Some(1_700_000_000_123)),
            ("1.", None),
            ("+1", None),
            ("", None),
            ("99999999999999999999", None),
            ("9223372036854775807", None),
        ] {
            assert_eq!(seconds_ms(text), ms, "{text}");
        }
    }

    /// Vectors of the venue page, made with another program.
    #[test]
    fn vectors() {
        let secret = "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ==";
        let secret = String::from_utf8(unbase64(secret).unwrap()).unwrap();
        let key = Credential::new("k".into(), secret, "p".into(), 1);
        let order = concat!(
            r#"1700000000POST/orders{"product_id":"BTC-USD","side":"buy","type":"limit","#,
            r#""price":"30000.00","size":"0.01","time_in_force":"GTC"}"#
        );
        for (text, sign) in [
            (
                "1700000000GET/accounts",
                "TKc4yMi0k9lIrnmlImyKDpBCjvWf488WiBx6RhYUKcc=",
            ),
            (order, "Se6oOTgMCpGlENjkWGeQqAUo5mMB+R+OWLUgq00QLOE="),
            (
                "1700000000GET/users/self/verify",
                "zYGf8hCgf8Rv8lXLP7Eo7UR59Bm/VqrD41ChQapSlMo=",
            ),
        ] {
            assert!(key.is_base64_hmac(text.as_bytes(), sign));
            assert!(!key.is_base64_hmac(&text.as_bytes()[1..], sign));
        }
    }
}
