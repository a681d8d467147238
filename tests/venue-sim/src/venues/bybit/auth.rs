//! Signatures and timestamps.

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use serde_json::Value;

/// For how long a request counts that names no window, milliseconds.
const RECV_WINDOW_MS: i64 = 5_000;
/// How far a client's clock may be ahead, whatever its window, milliseconds.
const AHEAD_MS: i64 = 1_000;
/// What a login signs before its expiry.
const LOGIN: &str = "GET/realtime";

/// Checks a signed REST request. Errors: 10001 (no headers), 10002, 10003, 10004.
pub fn rest(core: &Core, request: &Request) -> Result<AccountId, Refused> {
    let header = |name: &str| request.header(name).unwrap_or("");
    let api_key = header("x-bapi-api-key");
    let timestamp = header("x-bapi-timestamp");
    let window = header("x-bapi-recv-window");
    let sign = header("x-bapi-sign");
    if api_key.is_empty() || timestamp.is_empty() || sign.is_empty() {
        let text = format!(
            "empty value: apiTimestamp[{timestamp}] apiKey[{api_key}] apiSignature[{sign}]: openapi sign \
             params error!"
        );
        return Err(Refused::new(10001, text));
    }
    let key = core
        .credential(api_key)
        .ok_or_else(|| Refused::new(10003, "API key is invalid."))?;
    check_time(core, timestamp, window)?;
    let content = if request.method == "POST" {
        &request.body
    } else {
        &request.query
    };
    let signed = format!("{timestamp}{api_key}{window}{content}");
    if key.is_hex_hmac(signed.as_bytes(), sign) {
        Ok(key.account)
    } else {
        let text =
            format!("error sign! origin_string[{signed}], please check your sign generation.");
        Err(Refused::new(10004, text))
    }
}

/// Checks when a request was sent: `server - window <= sent < server + 1000`. Errors: 10001, 10002.
pub fn check_time(core: &Core, timestamp: &str, window: &str) -> Result<(), Refused> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|value| *value > 0);
    let sent =
        number(timestamp).ok_or_else(|| Refused::parameter("X-BAPI-TIMESTAMP is not a number"))?;
    let window_ms = match window {
        "" => RECV_WINDOW_MS,
        text => {
            number(text).ok_or_else(|| Refused::parameter("X-BAPI-RECV-WINDOW is not a number"))?
        }
    };
    let server = core.venue_ms();
    if server.saturating_sub(window_ms) <= sent && sent < server.saturating_add(AHEAD_MS) {
        return Ok(());
    }
    let text = format!(
        "invalid request, please check your server timestamp or recv_window param. \
         req_timestamp[{sent}],server_timestamp[{server}],recv_window[{window_ms}]"
    );
    Err(Refused::new(10002, text))
}

/// Checks the arguments of a WebSocket login: key, expiry in milliseconds, signature. Errors: 10002, 10003, 10004.
pub fn login(core: &Core, args: &[Value]) -> Result<AccountId, Refused> {
    let text = |at: usize| match args.get(at) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let (api_key, expires, sign) = (text(0), text(1), text(2));
    let key = core
        .credential(&api_key)
        .ok_or_else(|| Refused::new(10003, "Invalid apikey"))?;
    let is_fresh = expires
        .parse::<i64>()
        .is_ok_and(|expires| expires > core.venue_ms());
    if !is_fresh {
        return Err(Refused::new(10002, "error:request expired"));
    }
    if key.is_hex_hmac(format!("{LOGIN}{expires}").as_bytes(), &sign) {
        Ok(key.account)
    } else {
        let text = "error sign! please check signature generation algorithm";
        Err(Refused::new(10004, text))
    }
}
