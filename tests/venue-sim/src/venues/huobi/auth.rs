//! Signatures: parameters in the query for REST, version 2.1 in a message for the private sockets.
//!
//! ```text
//!  METHOD \n host \n path \n parameters sorted by name, percent-encoded, joined by &      HMAC-SHA256, base64
//! ```
//! Each host has its own signature. Of a request it is the one in its `Host` header; a WebSocket is known here
//! by its path alone, so any of the venue's names and ours will do.

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use crate::venues::query_pairs;
use serde_json::Value;
use std::fmt::Write as _;

/// How far a timestamp may be off, milliseconds.
const WINDOW_MS: i64 = 300_000;
/// Names under which the venue is reached, beside the one the simulator has.
const HOSTS: [&str; 5] = [
    "localhost",
    "127.0.0.1",
    "api.huobi.pro",
    "api-aws.huobi.pro",
    "api.htx.com",
];

/// Checks a signed REST request. Errors: `api-signature-not-valid`.
pub fn rest(core: &Core, request: &Request) -> Result<AccountId, Refused> {
    let mut pairs = query_pairs(&request.query);
    let value = |name: &str| {
        let found = pairs.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    if value("SignatureMethod") != "HmacSHA256" || value("SignatureVersion") != "2" {
        return Err(Refused::signature(
            "Incorrect signature method or version",
            "签名方法或版本错误",
        ));
    }
    let key = core
        .credential(value("AccessKeyId"))
        .ok_or_else(|| Refused::signature("Incorrect Access key", "Access key错误"))?;
    if !is_in_time(core, value("Timestamp")) {
        return Err(Refused::signature(
            "Invalid submission time",
            "提交时间错误",
        ));
    }
    let sign = value("Signature").to_owned();
    pairs.retain(|(name, _)| name != "Signature");
    pairs.sort();
    let host = request.header("host").unwrap_or_default();
    let host = host.split(':').next().unwrap_or("").to_ascii_lowercase();
    let signed = format!(
        "{}\n{host}\n{}\n{}",
        request.method,
        request.path,
        joined(&pairs)
    );
    if key.is_base64_hmac(signed.as_bytes(), &sign) {
        Ok(key.account)
    } else {
        Err(Refused::signature("Verification failure", "校验失败"))
    }
}

/// Checks the parameters of a login to the socket at `path`. Errors: the message of code 2002 or 2001.
pub fn login(core: &Core, path: &str, params: &Value) -> Result<AccountId, (i64, &'static str)> {
    const FAIL: (i64, &str) = (2002, "auth.fail");
    let field = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or("");
    if !params.is_object() {
        return Err((2001, "missing.param.auth"));
    }
    if field("authType") != "api" {
        return Err((2001, "invalid.authType"));
    }
    let is_method = field("signatureMethod") == "HmacSHA256" && field("signatureVersion") == "2.1";
    let key = core.credential(field("accessKey")).ok_or(FAIL)?;
    if !is_method || !is_in_time(core, field("timestamp")) {
        return Err(FAIL);
    }
    let names = [
        "accessKey",
        "signatureMethod",
        "signatureVersion",
        "timestamp",
    ];
    let pairs: Vec<(String, String)> = names
        .iter()
        .map(|name| ((*name).to_owned(), field(name).to_owned()))
        .collect();
    let joined = joined(&pairs);
    let own = core.origin.split(':').next().unwrap_or("");
    let mut hosts = HOSTS.iter().copied().chain([own]);
    let is_signed = hosts.any(|host| {
        let signed = format!("GET\n{host}\n{path}\n{joined}");
        key.is_base64_hmac(signed.as_bytes(), field("signature"))
    });
    if is_signed {
        Ok(key.account)
    } else {
        Err(FAIL)
    }
}

fn is_in_time(core: &Core, timestamp: &str) -> bool {
    let sent = seconds(timestamp).map(|seconds| seconds.saturating_mul(1_000));
    sent.is_some_and(|sent| core.venue_ms().saturating_sub(sent).saturating_abs() <= WINDOW_MS)
}

/// `a=b&c=d`, percent-encoded after RFC 3986 with hex digits in upper case.
fn joined(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Seconds since 1970 of `2017-05-11T15:19:30`, which is UTC and has no zone.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let numbers = |text: &str, mark: char| -> Option<[i64; 3]> {
        let parts: Option<Vec<i64>> = text
            .split(mark)
            .map(|part| {
                let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
                part.parse().ok().filter(|_| is_plain)
            })
            .collect();
        parts?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let in_range = text.len() == 19
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_range {
        return None;
    }
    // Years that begin in March, so that the leap day comes last.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    Some((((days - 719_468) * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Grain, SimConfig};
    use crate::engine::{Fees, FirstIds};
    use crate::keys::Credential;
    use serde_json::json;

    const ACCESS: &str = "e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx";

    fn core_with(secret: &str, time: &str) -> Core {
        let fees = Fees {
            maker_ppm: 0,
            taker_ppm: 0,
            decimals: 8,
            in_quote: false,
        };
        let grain = |_: &crate::config::Symbol, _| Grain {
            price_decimals: 2,
            qty_decimals: 6,
            tick: 1,
            qty_min: 1,
            is_contract: false,
        };
        let now = seconds(time).unwrap() as u64 * 1_000_000_000;
        let config = SimConfig::default();
        let mut core = config.core("huobi", now, fees, grain, 0, FirstIds::default());
        core.keys = vec![Credential::new(
            ACCESS.into(),
            secret.into(),
            String::new(),
            1,
        )];
        core
    }

    /// Vectors 1 and 2 of the venue page, both published.
    #[test]
    fn published_rest_vectors() {
        let query = |sign: &str| {
            format!(
                "AccessKeyId={ACCESS}&order-id=1234567890&SignatureMethod=HmacSHA256\
                 &SignatureVersion=2&Timestamp=2017-05-11T15%3A19%3A30&Signature={sign}"
            )
        };
        for (secret, host, sign) in [
            (
                "b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx",
                "be.huobi.com",
                "4F65x5A2bLyMWVQj3Aqp%2BB4w%2BivaA7n5Oi2SuYtCJ9o%3D",
            ),
            (
                "XXXXXXXXXX",
                "API.huobi.pro:443",
                "2ZQ7%2FroKBjdnAv8z5DymwzgSaOPyPgJl0BIlq9fa94w%3D",
            ),
        ] {
            let core = core_with(secret, "2017-05-11T15:24:30");
            let mut request = Request {
                method: "GET".into(),
                path: "/v1/order/orders".into(),
                query: query(sign),
                headers: vec![("host".into(), host.into())],
                body: String::new(),
            };
            assert_eq!(rest(&core, &request), Ok(1), "{host}");
            request.headers.clear();
            assert!(rest(&core, &request).is_err(), "the host is signed");
        }
    }

    /// Vectors 3, 4 and 5b of the venue page: computed there.
    #[test]
    fn login_vectors() {
        let core = core_with("b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx", "2019-09-01T18:16:16");
        for (path, sign) in [
            ("/ws/v2", "axtO0jdyWXVW/kMs0WefT2OvjoacWnJte/hJOc66pW4="),
            ("/ws/v2", "NmxbMNjER+la+uKKLz+IFGOjiebD8AKbQEMJrDQRAMQ="),
            ("/ws/trade", "naR4CgTai2YrEpnbrnPTfOshp1lGdpnkIpIWHKnvCHU="),
        ] {
            let params = json!({"authType": "api", "accessKey": ACCESS,
                "signatureMethod": "HmacSHA256", "signatureVersion": "2.1",
                "timestamp": "2019-09-01T18:16:16", "signature": sign});
            assert_eq!(login(&core, path, &params), Ok(1));
            assert!(login(&core, "/ws", &params).is_err(), "the path is signed");
        }
    }

    #[test]
    fn times() {
        assert_eq!(seconds("1970-01-01T00:00:00"), Some(0));
        assert_eq!(seconds("2023-11-14T22:13:20"), Some(1_700_000_000));
        assert_eq!(seconds("2024-02-29T00:00:00"), Some(1_709_164_800));
        for bad in [
            "",
            "2020-12-08",
            "2020-13-08T09:08:57",
            "2020-12-08T09:08:57Z",
            "2020-12-08T+9:08:57",
            "9999999999-12-08T1:1:1",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
