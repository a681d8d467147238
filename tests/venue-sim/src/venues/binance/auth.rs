//! Parameters, signatures and the time window.

use super::reply::Reject;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use crate::venues::query_pairs;
use serde_json::Value;

/// A request's parameters in the order sent, decoded.
#[derive(Debug, Clone, Default)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    /// Those of a REST request: query, then body.
    pub fn of_rest(request: &Request) -> Self {
        let mut pairs = query_pairs(&request.query);
        pairs.extend(query_pairs(&request.body));
        Self(pairs)
    }

    /// Those of a WS-API request. Numbers keep their text.
    pub fn of_json(params: Option<&Value>) -> Self {
        let mut pairs = Vec::new();
        if let Some(Value::Object(map)) = params {
            for (key, value) in map {
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                pairs.push((key.clone(), text));
            }
        }
        Self(pairs)
    }

    /// A parameter that was sent and is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there. Errors: -1102.
    pub fn need(&self, name: &str) -> Result<&str, Reject> {
        self.get(name).ok_or_else(|| Reject::missing(name))
    }

    /// What a WS-API signature is made over: sorted by name, without the signature.
    fn sorted_text(&self) -> String {
        let mut pairs: Vec<&(String, String)> = self
            .0
            .iter()
            .filter(|(key, _)| key != "signature")
            .collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let parts: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        parts.join("&")
    }
}

/// Checks a signed REST request. Errors: -2014, -2015, -1102, -1021, -1022.
pub fn rest(core: &Core, request: &Request, params: &Params) -> Result<AccountId, Reject> {
    let api_key = request.header("x-mbx-apikey").unwrap_or("");
    if api_key.is_empty() {
        return Err(Reject::new(401, -2014, "API-key format invalid."));
    }
    let strip = |text: &str| {
        let kept: Vec<&str> = text
            .split('&')
            .filter(|part| !part.starts_with("signature="))
            .collect();
        kept.join("&")
    };
    let signed = format!("{}{}", strip(&request.query), strip(&request.body));
    signature(core, api_key, params, &signed)
}

/// Checks the signature of a WS-API request. Errors: as [`rest`].
pub fn ws(core: &Core, params: &Params) -> Result<AccountId, Reject> {
    let api_key = params.need("apiKey")?;
    signature(core, api_key, params, &params.sorted_text())
}

/// As [`ws`], Ed25519 only, as `session.logon` wants it.
pub fn logon(core: &Core, params: &Params) -> Result<AccountId, Reject> {
    let account = ws(core, params)?;
    let api_key = params.need("apiKey")?;
    let sign = params.need("signature")?;
    let is_ed25519 = core
        .credential(api_key)
        .is_some_and(|key| key.is_ed25519(params.sorted_text().as_bytes(), sign));
    if is_ed25519 {
        Ok(account)
    } else {
        Err(Reject::new(
            400,
            -4056,
            "HMAC_SHA256 API key is not supported.",
        ))
    }
}

fn signature(
    core: &Core,
    api_key: &str,
    params: &Params,
    signed: &str,
) -> Result<AccountId, Reject> {
    let key = core.credential(api_key).ok_or_else(|| {
        Reject::new(
            401,
            -2015,
            "Invalid API-key, IP, or permissions for action.",
        )
    })?;
    let sign = params.need("signature")?;
    window(core, params)?;
    if key.is_hex_hmac(signed.as_bytes(), sign) || key.is_ed25519(signed.as_bytes(), sign) {
        Ok(key.account)
    } else {
        Err(Reject::new(
            400,
            -1022,
            "Signature for this request is not valid.",
        ))
    }
}

/// Checks `timestamp` against `recvWindow`. Errors: -1102, -1021, -1131.
pub fn window(core: &Core, params: &Params) -> Result<(), Reject> {
    let sent: i64 = params
        .need("timestamp")?
        .parse()
        .map_err(|_| Reject::missing("timestamp"))?;
    // 10^14 ms is the year 5138: what is larger is in microseconds.
    let sent = if sent > 100_000_000_000_000 {
        sent / 1_000
    } else {
        sent
    };
    let allowed = match params.get("recvWindow") {
        None => 5_000,
        // Up to three decimals, of which whole milliseconds count.
        Some(text) => text
            .split('.')
            .next()
            .and_then(|whole| whole.parse::<i64>().ok())
            .ok_or_else(|| Reject::missing("recvWindow"))?,
    };
    if !(0..=60_000).contains(&allowed) {
        return Err(Reject::new(
            400,
            -1131,
            "recvWindow must be less than 60000.",
        ));
    }
    let server = core.venue_ms();
    if sent >= server.saturating_add(1_000) {
        let text = "Timestamp for this request was 1000ms ahead of the server's time.";
        return Err(Reject::new(400, -1021, text));
    }
    if server.saturating_sub(sent) > allowed {
        let text = "Timestamp for this request is outside of the recvWindow.";
        return Err(Reject::new(400, -1021, text));
    }
    Ok(())
}
