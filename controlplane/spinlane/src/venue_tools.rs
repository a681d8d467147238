//! `spinlane venue decode` and `spinlane venue sign`: the venue crates' own code, one line in, one
//! out.
//!
//! `decode` prints for every input line exactly one JSON line: `{"events":[...]}`,
//! `{"ignored":why}` or `{"error":what}`. `sign` reads one object of the shape of
//! `auth-vectors.json` without its answers and prints `{"signed_payload","signature","request"}`.
//! Neither sends anything; neither keeps a secret.

use crate::capture::{Direction, LINE_MAX, Record, as_json};
use crate::tools::{EventsOnly, Names, Signed, Tool, event_json, venue, with_tool};
use anyhow::{Context as _, bail};
use dp_types::{Now, Tsc, UnixNanos, VenueId};
use dp_venue_api::{Event, Fault, Registry, RestMethod, RestResponse, Secrets, Venue as _};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Read as _, Write};

/// Arguments of `spinlane venue decode` and `spinlane venue sign`.
#[derive(Debug, Clone, clap::Args)]
pub struct VenueArgs {
    /// Venue, by its name in the configuration: binance, okx, ...
    #[arg(long)]
    pub venue: String,
}

/// `spinlane venue decode`: lines from standard input, results to standard output.
///
/// Errors: the venue is not in this build, or the streams fail. A line is never an error.
pub fn decode(venue_name: &str) -> anyhow::Result<()> {
    let input = std::io::stdin().lock();
    let output = std::io::BufWriter::new(std::io::stdout().lock());
    with_tool!(venue(venue_name)?, T => decode_lines::<T>(input, output))
        .with_context(|| format!("venue `{venue_name}` has no decoder"))?
}

/// `spinlane venue sign`: one object from standard input, the signed one to standard output.
///
/// Errors: not such an object, or it holds too little to sign; the text names what is missing.
pub fn sign(venue_name: &str) -> anyhow::Result<()> {
    let id = venue(venue_name)?;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LINE_MAX as u64)
        .read_to_string(&mut text)
        .context("reading standard input")?;
    let request: Value =
        serde_json::from_str(&text).context("standard input is not one JSON object")?;
    let Value::Object(request) = request else {
        bail!("standard input is JSON, but not an object");
    };
    println!("{}", sign_object(id, &request)?);
    Ok(())
}

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

/// Decodes every line of `input`; one line of output each, whatever the input.
///
/// Errors: the streams fail.
pub fn decode_lines<T: Tool>(
    mut input: impl BufRead,
    mut output: impl Write,
) -> anyhow::Result<()> {
    let mut decoder = Decoder::<T>::new()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let size = input
            .by_ref()
            .take(LINE_MAX as u64 + 1)
            .read_until(b'\n', &mut line)
            .context("reading standard input")?;
        if size == 0 {
            output.flush()?;
            return Ok(());
        }
        let result = if size > LINE_MAX {
            skip_line(&mut input)?;
            json!({"error": format!("line is longer than {LINE_MAX} bytes")})
        } else {
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            decoder.line(&line)
        };
        writeln!(output, "{result}").context("writing standard output")?;
    }
}

/// Reads on to the end of an overlong line, in pieces.
fn skip_line(input: &mut impl BufRead) -> anyhow::Result<()> {
    loop {
        let buffer = input.fill_buf().context("reading standard input")?;
        let (used, is_end) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

/// Decodes single messages of one venue.
pub struct Decoder<T: Tool> {
    registry: Registry,
    machine: T::Machine,
}

impl<T: Tool> std::fmt::Debug for Decoder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({})", T::ID.name())
    }
}

impl<T: Tool> Decoder<T> {
    /// A decoder that knows no symbol yet: each line brings its own. Errors: none in practice; the
    /// machine registers nothing.
    pub fn new() -> anyhow::Result<Self> {
        let mut registry = Registry::new();
        let machine = T::machine(Vec::new(), &mut registry)?;
        Ok(Self { registry, machine })
    }

    /// Decodes one line: raw text, or an object of the capture format.
    pub fn line(&mut self, line: &[u8]) -> Value {
        if line.iter().all(u8::is_ascii_whitespace) {
            return json!({"error": "empty line"});
        }
        let object = serde_json::from_slice::<Map<String, Value>>(line).ok();
        let is_record = |object: &Map<String, Value>| {
            object.contains_key("raw") || object.contains_key("raw_b64")
        };
        if !object.as_ref().is_some_and(is_record) {
            return self.message(line.to_vec(), None, false);
        }
        let record = match Record::parse(line) {
            Ok(record) => record,
            Err(error) => return json!({"error": format!("not a capture object: {error}")}),
        };
        if record.event.is_some() {
            return json!({"ignored": "a connection was opened"});
        }
        if record.dir == Direction::Out {
            return json!({"ignored": "sent by the recorder"});
        }
        match record.bytes() {
            Ok(bytes) if bytes.is_empty() => json!({"error": "empty message"}),
            Ok(bytes) => {
                let is_http = |url: &&str| url.starts_with("http") || url.starts_with('/');
                let url = record.url.as_deref().filter(is_http);
                self.message(bytes, url, record.is_binary())
            }
            Err(error) => json!({"error": format!("{error:#}")}),
        }
    }

    fn message(&mut self, mut bytes: Vec<u8>, url: Option<&str>, is_binary: bool) -> Value {
        let parsed = as_json(&bytes);
        if let Some(message) = &parsed {
            self.learn(message, url);
        }
        let now = Now {
            tsc: Tsc(0),
            unix: UnixNanos(1),
        };
        let Self { registry, machine } = self;
        // Owned copies: the printer needs machine and registry, which the call below holds.
        let mut events = Vec::new();
        let result = match url {
            Some(url) => {
                let Some(tag) = T::tag_of_url(registry, url) else {
                    return json!({"ignored": "a REST answer we do not ask for"});
                };
                let response = RestResponse {
                    tag,
                    status: 200,
                    retry_after_s: None,
                    body: &mut bytes,
                };
                let names = registry.clone();
                let mut sink = EventsOnly(|event: &Event<'_>| {
                    events.push(event_json(&names, T::order_id_text, T::checksum, event));
                });
                machine.on_response(registry, dp_types::LinkId(0), now, response, &mut sink)
            }
            None => {
                let names = &*registry;
                let mut sink = EventsOnly(|event: &Event<'_>| {
                    events.push(event_json(names, T::order_id_text, T::checksum, event));
                });
                if is_binary {
                    machine.on_binary(registry, T::LINK, now, &mut bytes, &mut sink)
                } else {
                    machine.on_text(registry, T::LINK, now, &mut bytes, &mut sink)
                }
            }
        };
        match result {
            Err(Fault::Decode(error)) => return json!({"error": error.to_string()}),
            Err(Fault::Venue { code, reason }) => events.push(Ok(json!({
                "kind": "error",
                "code": code,
                "reason": reason.name(),
            }))),
            Ok(()) => {}
        }
        let why = events
            .iter()
            .find_map(|event| event.as_ref().err().copied());
        let told: Vec<_> = events.into_iter().filter_map(Result::ok).collect();
        if !told.is_empty() {
            return json!({"events": told});
        }
        let extra = parsed
            .as_ref()
            .and_then(|message| T::ticker(message).or_else(|| T::foreign_ack(message)));
        match extra {
            Some(event) => json!({"events": [event]}),
            None => json!({"ignored": why.unwrap_or("understood; nothing to tell")}),
        }
    }

    /// Registers the names of a message. A registry that fills up in a long stream starts over:
    /// lines are decoded one by one, nothing refers back.
    fn learn(&mut self, message: &Value, url: Option<&str>) {
        let mut names = Names::default();
        T::names(message, url, &mut names);
        use dp_types::limit::{ASSETS_MAX, INSTRUMENTS_MAX};
        if self.registry.instruments().len() + names.symbols.len() > INSTRUMENTS_MAX
            || self.registry.assets().len() + names.assets.len() > ASSETS_MAX
        {
            self.registry = Registry::new();
        }
        names.register::<T>(&mut self.registry);
    }
}

// ---- signing ----

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
    Ok(Secrets {
        // A key is needed to sign at all; the published vectors all have one.
        api_key: need(object, "key")?.to_owned(),
        api_secret: if is_pem {
            String::new()
        } else {
            secret.to_owned()
        },
        passphrase: text(object, "passphrase").to_owned(),
        ed25519_pem: if is_pem {
            secret.to_owned()
        } else {
            String::new()
        },
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
        api_secret: need(object, "secret")?.to_owned(),
        ..Secrets::default()
    })
    .context("`key` is empty")?;
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

/// What a FIX logon signs: MsgType, SenderCompID, TargetCompID, MsgSeqNum and SendingTime, by SOH.
fn fix_logon_payload(message: &str) -> Option<String> {
    let field = |tag: &str| {
        message
            .split(['|', '\u{1}'])
            .find_map(|pair| pair.strip_prefix(tag)?.strip_prefix('='))
    };
    let fields: Option<Vec<_>> = ["35", "49", "56", "34", "52"]
        .into_iter()
        .map(field)
        .collect();
    Some(fields?.join("\u{1}"))
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
    let payload = match (given, fix_logon_payload(text(object, "message"))) {
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
    use crate::tools::{BinanceTool, OkxTool};

    fn decoded<T: Tool>(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<T>(input, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn one_line_out_for_each_line_in_whatever_it_is() {
        let input = b"\n{}\nhello\n\xff\xfe\n{\"raw\":null}\n{\"raw_b64\":\"**\"}\n[1]\n{\"raw\":7}\n{\"raw\":\"pong\"}\r\npong";
        let lines = decoded::<OkxTool>(input);
        assert_eq!(lines.len(), 10);
        assert!(
            lines[..8].iter().all(|line| line["error"].is_string()),
            "{lines:?}"
        );
        assert!(
            lines[8..]
                .iter()
                .all(|line| line["events"][0]["kind"] == "control")
        );
        assert_eq!(decoded::<BinanceTool>(input).len(), 10);
    }

    #[test]
    fn a_raw_message_and_its_record_decode_alike() {
        let raw = r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"65000.10","sz":"0.12","side":"buy","ts":"1"}]}"#;
        let record = json!({"ts": null, "dir": "in", "conn": "ws1", "raw": raw});
        let lines = decoded::<OkxTool>(format!("{raw}\n{record}\n").as_bytes());
        assert_eq!(lines[0], lines[1]);
        assert_eq!(lines[0]["events"][0]["kind"], "trade");
        assert_eq!(
            lines[0]["events"][0]["price"], "65000.10",
            "the venue's own digits"
        );
    }

    #[test]
    fn private_messages_tickers_and_foreign_answers() {
        let order = r#"{"arg":{"channel":"orders","instType":"ANY"},"data":[{"instId":"BTC-USDT","ordId":"9","clOrdId":"x","side":"sell","state":"filled","px":"2","sz":"1","accFillSz":"1","fillSz":"1","fillPx":"2","tradeId":"7","execType":"T","fillFee":"-0.1","fillFeeCcy":"USDT","uTime":"1"}]}"#;
        let answer = r#"{"id":"1513","op":"order","code":"1","msg":"","data":[{"ordId":"","clOrdId":"hbx2","sCode":"51008","sMsg":"x"}]}"#;
        let ticker = r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","last":"1","bidPx":"","bidSz":"","askPx":"2","askSz":"3"}]}"#;
        let error = r#"{"event":"error","code":"60018","msg":"x"}"#;
        let lines = decoded::<OkxTool>([order, answer, ticker, error].join("\n").as_bytes());
        let fill = &lines[0]["events"][0];
        assert_eq!(
            (&fill["kind"], &fill["fee"]),
            (&json!("fill"), &json!("0.1"))
        );
        assert_eq!(fill["fee_asset"], "USDT");
        assert_eq!(lines[0]["events"][1]["state"], "FILLED");
        assert_eq!(lines[1]["events"][0]["reason"], "insufficient_funds");
        assert_eq!(lines[2]["events"][0]["bid"], Value::Null);
        assert_eq!(lines[3]["events"][0]["kind"], "error");
    }

    #[test]
    fn a_rest_answer_is_read_by_its_url() {
        let books = r#"{"code":"0","msg":"","data":[{"asks":[["2","1","0","1"]],"bids":[["1","1","0","1"]],"ts":"1"}]}"#;
        let record = json!({"conn": "http", "url": "https://www.okx.com/api/v5/market/books?instId=A-B&sz=400", "raw": books});
        let lines = decoded::<OkxTool>(record.to_string().as_bytes());
        assert_eq!(lines[0]["events"][0]["type"], "snapshot");
        let depth = r#"{"lastUpdateId":5,"bids":[["1.0","2"]],"asks":[]}"#;
        let record = json!({"conn": "http", "url": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT", "raw": depth});
        let lines = decoded::<BinanceTool>(record.to_string().as_bytes());
        assert_eq!(lines[0]["events"][0]["last_id"], 5);
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
