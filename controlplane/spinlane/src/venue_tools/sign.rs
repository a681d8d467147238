//! `spinlane venue sign`: a request, a message or a bare payload, signed as the venue wants it.

use crate::tools::{Signed, Tool as _, with_tool};
use anyhow::{Context as _, bail};
use dp_types::VenueId;
use dp_venue_api::{RestMethod, Secret, Secrets};
use serde_json::{Map, Value, json};

/// Signs one request object; the result has `signed_payload`, `signature` and `request`.
///
/// Errors: as [`sign`].
pub fn sign_object(id: VenueId, request: &Map<String, Value>) -> anyhow::Result<Value> {
    let (payload, signed) =
        with_tool!(id, T => T::sign(request).map(|signed| (T::payload(&signed), signed)))
            .with_context(|| format!("venue `{id}` has no signer"))??;
    Ok(json!({
        "signed_payload": payload,
        "signature": signed.signature,
        "request": signed.request,
    }))
}

pub(crate) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn need<'a>(object: &'a Map<String, Value>, key: &str) -> anyhow::Result<&'a str> {
    match text(object, key) {
        "" => bail!("`{key}` is missing or empty"),
        text => Ok(text),
    }
}

pub(crate) fn clock_ms(object: &Map<String, Value>) -> Option<u64> {
    let value = object.get("clock_ms")?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

pub(crate) fn secrets(object: &Map<String, Value>) -> anyhow::Result<Secrets> {
    let secret = need(object, "secret")?;
    let is_pem = secret.contains("PRIVATE KEY");
    let [api_secret, ed25519_pem] = if is_pem { ["", secret] } else { [secret, ""] };
    Ok(Secrets {
        // A key is needed to sign at all; the published vectors all have one.
        api_key: need(object, "key")?.to_owned(),
        api_secret: Secret::new(api_secret)?,
        passphrase: Secret::new(text(object, "passphrase"))?,
        ed25519_pem: Secret::new(ed25519_pem)?,
    })
}

/// The request to sign: `request`, or one made of `method`, `path` and `body`.
pub(crate) fn request_of(object: &Map<String, Value>) -> Option<Map<String, Value>> {
    if let Some(Value::Object(request)) = object.get("request") {
        return Some(request.clone());
    }
    let path = text(object, "path");
    if path.is_empty() {
        return None;
    }
    let mut request = Map::new();
    request.insert("url".into(), json!(path));
    request.insert("method".into(), json!(text(object, "method")));
    if let Some(body) = object.get("body") {
        request.insert("body".into(), body.clone());
    }
    Some(request)
}

/// Path with query of an absolute or bare URL.
pub(crate) fn target_of(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => url,
    }
}

pub(crate) fn method_of(request: &Map<String, Value>) -> anyhow::Result<RestMethod> {
    Ok(
        match text(request, "method").to_ascii_uppercase().as_str() {
            "GET" => RestMethod::Get,
            "POST" => RestMethod::Post,
            "PUT" => RestMethod::Put,
            "DELETE" => RestMethod::Delete,
            other => bail!("`method` is `{other}`; use GET, POST, PUT or DELETE"),
        },
    )
}

/// Body text as it goes over the wire: a string as it is, an object in compact JSON, nothing as
/// empty.
pub(crate) fn body_of(request: &Map<String, Value>) -> String {
    match request.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(body)) => body.clone(),
        Some(other) => other.to_string(),
    }
}

/// Signs for Kraken spot: a REST request whose body holds its nonce (or gets one from `clock_ms`), or the parts of
/// a payload. The payload's text is the JSON of its parts: what is signed is path and a hash of nonce and body.
pub(crate) fn sign_kraken(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    use dp_venue_kraken::auth::Auth;
    let auth = Auth::new(&Secrets {
        // The signature does not need the key's name.
        api_key: match text(object, "key") {
            "" => "unnamed".to_owned(),
            key => key.to_owned(),
        },
        api_secret: Secret::new(need(object, "secret")?)?,
        ..Secrets::default()
    })
    .context("`key` is empty")?;
    if let Some(logon) = FixLogon::of(object) {
        let (seq, nonce) = (logon.need(34)?, logon.need(5025)?);
        let seq = seq.parse().context("field 34 is no number")?;
        let names = (logon.need(49)?, logon.need(56)?, logon.need(553)?);
        let head = dp_venue_kraken::fix::logon_head(seq, names.0, names.1, names.2);
        let password = auth.sign_logon(&head, nonce).as_str().to_owned();
        let payload = json!({"head": head, "nonce": nonce}).to_string();
        return Ok(FixLogon::signed(payload, password, 554));
    }
    let signed = |path: &str, nonce: &str, body: &str, request| Signed {
        payload: json!({"path": path, "nonce": nonce, "postdata": body}).to_string(),
        signature: auth.sign(path, nonce, body).as_str().to_owned(),
        request,
    };
    let Some(mut request) = request_of(object) else {
        let Some(Value::Object(parts)) = object.get("signed_payload") else {
            bail!("there is no `request` and no `signed_payload` with its parts to sign");
        };
        let nonce = need(parts, "nonce")?;
        let (path, body) = (need(parts, "path")?, need(parts, "postdata")?);
        return Ok(signed(path, nonce, body, Value::Null));
    };
    let url = need(&request, "url")?.to_owned();
    let mut body = body_of(&request);
    let nonce = match (nonce_of(&body), clock_ms(object)) {
        (Some(nonce), _) => nonce,
        (None, Some(ms)) => {
            let rest = if body.is_empty() { "" } else { "&" };
            body = format!("nonce={ms}{rest}{body}");
            ms.to_string()
        }
        (None, None) => bail!("the body has no `nonce`, and there is no `clock_ms` to make one of"),
    };
    let mut made = signed(target_of(&url), &nonce, &body, Value::Null);
    let mut headers = match request.get("headers") {
        Some(Value::Object(headers)) => headers.clone(),
        _ => Map::new(),
    };
    headers.insert("API-Key".into(), json!(auth.api_key()));
    headers.insert("API-Sign".into(), json!(made.signature));
    let form = "application/x-www-form-urlencoded";
    headers.entry("Content-Type").or_insert_with(|| {
        json!(if body.starts_with('{') {
            "application/json"
        } else {
            form
        })
    });
    request.insert("headers".into(), Value::Object(headers));
    request.insert("body".into(), json!(body));
    made.request = Value::Object(request);
    Ok(made)
}

/// The nonce in a form, or in a JSON body.
fn nonce_of(body: &str) -> Option<String> {
    if let Ok(Value::Object(fields)) = serde_json::from_str(body) {
        let nonce = fields.get("nonce")?;
        return nonce
            .as_str()
            .map(str::to_owned)
            .or(Some(nonce.to_string()));
    }
    let nonce = body.split('&').find_map(|pair| pair.strip_prefix("nonce="));
    nonce.map(str::to_owned)
}

/// Signs for OKX: a REST request, a login message, or a bare payload.
pub(crate) fn sign_okx(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    use dp_venue_okx::auth::Auth;
    use dp_wire::time::TimeText;
    let auth = Auth::new(&secrets(object)?).context("`key` is empty")?;
    let signature_of = |payload: &str| auth.sign(&[payload.as_bytes()]).as_str().to_owned();
    if let Some(mut request) = request_of(object) {
        let url = need(&request, "url")?.to_owned();
        let method = method_of(&request)?;
        let body = body_of(&request);
        let mut headers = match request.get("headers") {
            Some(Value::Object(headers)) => headers.clone(),
            _ => Map::new(),
        };
        let time = match (text(&headers, "OK-ACCESS-TIMESTAMP"), clock_ms(object)) {
            ("", Some(ms)) => TimeText::rfc3339_millis(ms.saturating_mul(1_000_000))
                .as_str()
                .to_owned(),
            ("", None) => bail!("neither `clock_ms` nor the header OK-ACCESS-TIMESTAMP is there"),
            (time, _) => time.to_owned(),
        };
        let payload = format!("{time}{}{}{body}", method.as_str(), target_of(&url));
        let signature = signature_of(&payload);
        for (name, value) in [
            ("OK-ACCESS-KEY", auth.api_key()),
            ("OK-ACCESS-PASSPHRASE", auth.passphrase()),
            ("OK-ACCESS-TIMESTAMP", &time),
            ("OK-ACCESS-SIGN", &signature),
        ] {
            headers.insert(name.into(), json!(value));
        }
        request.insert("headers".into(), Value::Object(headers));
        return Ok(Signed {
            payload,
            signature,
            request: Value::Object(request),
        });
    }
    let message = object.get("message");
    let is_login = message.is_some_and(|message| message["op"] == "login")
        || text(object, "case").contains("login");
    if is_login {
        let named = message
            .and_then(|message| message["args"][0]["timestamp"].as_str())
            .and_then(|seconds| seconds.parse::<u64>().ok());
        let seconds = named
            .or_else(|| clock_ms(object).map(|ms| ms / 1_000))
            .context("neither `clock_ms` nor the message's timestamp is there")?;
        let mut login = dp_wire::buf::Buf::new();
        auth.write_login(seconds, &mut login)
            .context("key and passphrase are too long for a login")?;
        let payload = Auth::login_payload(seconds);
        return Ok(Signed {
            signature: signature_of(&payload),
            payload,
            request: serde_json::from_slice(login.as_bytes())?,
        });
    }
    let payload = need(object, "signed_payload")
        .context("there is no `request`, no login `message` and no `signed_payload` to sign")?;
    Ok(Signed {
        signature: signature_of(payload),
        payload: payload.to_owned(),
        request: Value::Null,
    })
}

/// A query or form without its `signature`.
fn unsigned(query: &str) -> String {
    let kept: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.starts_with("signature=") && !pair.is_empty())
        .collect();
    kept.join("&")
}

/// A FIX logon that stands in `message`, `|` for SOH where it is more legible.
pub(crate) struct FixLogon<'a>(&'a str);

impl<'a> FixLogon<'a> {
    /// `None` when `message` is none.
    pub(crate) fn of(object: &'a Map<String, Value>) -> Option<Self> {
        let logon = Self(text(object, "message"));
        (logon.get(35) == Some("A")).then_some(logon)
    }

    /// A field.
    pub(crate) fn get(&self, tag: u32) -> Option<&'a str> {
        let tag = tag.to_string();
        let mut pairs = self.0.split(['|', '\u{1}']);
        pairs.find_map(|pair| pair.strip_prefix(&tag)?.strip_prefix('='))
    }

    /// A field that must be there.
    pub(crate) fn need(&self, tag: u32) -> anyhow::Result<&'a str> {
        let found = self.get(tag);
        found.with_context(|| format!("the logon has no field {tag}"))
    }

    /// What was signed and with what result, in the field it belongs in.
    pub(crate) fn signed(payload: String, signature: String, tag: u32) -> Signed {
        let mut fields = Map::new();
        fields.insert(tag.to_string(), json!(signature));
        Signed {
            payload,
            signature,
            request: Value::Object(fields),
        }
    }
}

/// What a FIX logon signs at Binance: SenderCompID, TargetCompID, MsgSeqNum and SendingTime behind its type, by SOH.
fn fix_logon_payload(object: &Map<String, Value>) -> Option<String> {
    let logon = FixLogon::of(object)?;
    let fields = [49, 56, 34, 52].map(|tag| logon.get(tag));
    let [Some(sender), Some(target), Some(seq), Some(time)] = fields else {
        return None;
    };
    Some(dp_venue_binance::auth::fix_logon_payload([
        sender, target, seq, time,
    ]))
}

/// Percent-encodes what a base64 signature holds beside letters and digits.
fn percent_encode(signature: &str) -> String {
    signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

/// Signs for Binance: a REST request, WebSocket-API parameters, a FIX logon, or a bare payload.
pub(crate) fn sign_binance(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    use dp_venue_binance::auth::Auth;
    let auth = Auth::new(&secrets(object)?)?.context("`key` is empty")?;
    let signature_of = |payload: &str| auth.sign(payload.as_bytes()).as_str().to_owned();
    let given = text(object, "signed_payload");
    if let Some(Value::Object(_)) = object.get("request") {
        let mut request = request_of(object).unwrap_or_default();
        let url = need(&request, "url")?.to_owned();
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let (mut query, body) = (unsigned(query), unsigned(&body_of(&request)));
        if query.is_empty() && body.is_empty() {
            let ms = clock_ms(object).context("no parameters and no `clock_ms` to sign")?;
            query = format!("timestamp={ms}");
        }
        let payload = format!("{query}{body}");
        let signature = signature_of(&payload);
        let suffix = format!("&signature={}", percent_encode(&signature));
        if body.is_empty() {
            request.insert("url".into(), json!(format!("{path}?{query}{suffix}")));
        } else {
            request.insert("body".into(), json!(format!("{body}{suffix}")));
        }
        let mut headers = match request.get("headers") {
            Some(Value::Object(headers)) => headers.clone(),
            _ => Map::new(),
        };
        headers.insert("X-MBX-APIKEY".into(), json!(auth.api_key()));
        request.insert("headers".into(), Value::Object(headers));
        return Ok(Signed {
            payload,
            signature,
            request: Value::Object(request),
        });
    }
    if let Some(Value::Object(message)) = object.get("message")
        && let Some(Value::Object(params)) = message.get("params")
    {
        let mut message = message.clone();
        let mut pairs: Vec<_> = params
            .iter()
            .filter(|(name, _)| *name != "signature")
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            })
            .collect();
        pairs.sort_unstable();
        let payload = pairs.join("&");
        let signature = signature_of(&payload);
        let mut params = params.clone();
        params.insert("signature".into(), json!(signature));
        message.insert("params".into(), Value::Object(params));
        return Ok(Signed {
            payload,
            signature,
            request: Value::Object(message),
        });
    }
    let payload = match (given, fix_logon_payload(object)) {
        ("", Some(payload)) => payload,
        ("", None) => bail!("there is no `request`, no `message` and no `signed_payload` to sign"),
        (given, _) => given.to_owned(),
    };
    let signature = signature_of(&payload);
    let request = match (text(object, "path"), text(object, "method")) {
        ("", _) | (_, "") => Value::Null,
        (path, method) => json!({
            "url": format!("{path}?{payload}&signature={}", percent_encode(&signature)),
            "method": method,
            "headers": {"X-MBX-APIKEY": auth.api_key()},
        }),
    };
    Ok(Signed {
        payload,
        signature,
        request,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::capture_path;
    use crate::tools::venue;

    /// The FIX vectors of the venue pages, from a logon without its answer.
    #[test]
    fn fix_logons_are_signed() {
        for (id, key, secret, message, tag, expected) in [
            (
                VenueId::COINBASE,
                "fakekey",
                "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ==",
                "35=A|34=1|49=fakekey|52=20231114-22:13:20.000|56=Coinbase|554=fakepass|",
                "96",
                "OV+UMLTeG9t6api8XB/ocEsui44tgcP4WHB1/WgzXnY=",
            ),
            (
                VenueId::KRAKEN,
                "FAKEAPIKEY",
                "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
                "35=A|34=1|49=CLIENT|56=KRAKEN-TRD|553=FAKEAPIKEY|5025=1700000000000|",
                "554",
                "rJ7tqP5CMTXpVMrleONscE1mQMsaWwXBHKpp0YfzpR92zWNAY7YJjMPZS77r4e6EPHYcuBNsgK7BtygZsxgPPQ==",
            ),
            (
                VenueId::DERIBIT,
                "AMANDA",
                "AMANDASECRECT",
                "35=A|34=1|49=US|56=DERIBITSERVER|96=1576074319000.MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=|",
                "554",
                "7d+lqe93Nuinv3QEgsuls4FF/mbL6NMZVhTPlMSvOQo=",
            ),
        ] {
            let object = json!({"key": key, "secret": secret, "message": message});
            let signed = sign_object(id, object.as_object().unwrap()).unwrap();
            assert_eq!(signed["signature"], expected, "{id}");
            assert_eq!(signed["request"][tag], expected, "{id}");
            assert!(!signed.to_string().contains(secret), "{id}");
        }
    }

    /// Every vector of this build's venues from what is left without its answers; the published ones that name no
    /// request have only the payload to sign.
    #[test]
    fn every_vector_is_reproduced_from_what_was_asked() {
        let Some(path) = capture_path("auth-vectors.json") else {
            return;
        };
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (mut derived, mut given) = (0, 0);
        for vector in file["vectors"].as_array().unwrap() {
            let Some(id) = vector["venue"].as_str().and_then(|name| venue(name).ok()) else {
                continue;
            };
            let mut asked = vector.as_object().unwrap().clone();
            asked.remove("signature");
            let payload = asked.remove("signed_payload").unwrap();
            if let Some(request) = asked.get_mut("request") {
                for key in ["url", "body"] {
                    if let Some(text) = request[key].as_str() {
                        let cut = text.split("&signature=").next().unwrap().to_owned();
                        request[key] = json!(cut);
                    }
                }
                let headers = request["headers"].as_object_mut().unwrap();
                let is_ours = |name: &str| {
                    name.starts_with("OK-ACCESS-")
                        || ["Authorization", "API-Sign", "X-BAPI-SIGN"].contains(&name)
                };
                headers.retain(|name, _| !is_ours(name));
            }
            let mut all = Value::Object(asked);
            for place in ["/message/args/0", "/message/params"] {
                if let Some(Value::Object(fields)) = all.pointer_mut(place) {
                    fields.retain(|name, _| !["sign", "signature"].contains(&name.as_str()));
                }
            }
            // Key, end and signature, in this order.
            if let Some(Value::Array(args)) = all.pointer_mut("/message/args")
                && args.iter().all(|arg| !arg.is_object())
            {
                args.truncate(2);
            }
            let mut asked = all.as_object().unwrap().clone();
            let signed = match sign_object(id, &asked) {
                Ok(signed) => {
                    derived += 1;
                    signed
                }
                Err(_) => {
                    given += 1;
                    asked.insert("signed_payload".into(), payload.clone());
                    sign_object(id, &asked).unwrap()
                }
            };
            let case = &vector["case"];
            assert_eq!(signed["signed_payload"], payload, "{case}");
            assert_eq!(signed["signature"], vector["signature"], "{case}");
            for key in ["request", "message"] {
                if vector[key].is_object() {
                    assert_eq!(signed["request"], vector[key], "{case}");
                }
            }
        }
        assert!(
            derived >= 57 && given <= 6,
            "{derived} derived, {given} given"
        );
    }

    #[test]
    fn what_cannot_be_signed_says_what_is_missing() {
        for (request, word) in [
            (json!({}), "`secret`"),
            (json!({"secret": "s"}), "`key`"),
            (json!({"secret": "s", "key": "k"}), "signed_payload"),
            (
                json!({"secret": "s", "key": "k", "path": "/x", "method": "GET"}),
                "clock_ms",
            ),
            (
                json!({"secret": "s", "key": "k", "path": "/x", "method": "HOP", "clock_ms": 1}),
                "HOP",
            ),
        ] {
            let error = sign_object(VenueId::OKX, request.as_object().unwrap()).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
    }
}
