//! HTX, once Huobi, to the offline tools.

use super::{Names, Signed, Tool};
use crate::venue_tools::{clock_ms, method_of, need, request_of, secrets, text};
use anyhow::Context as _;
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestMethod, RestTag, VenueConfig};
use dp_venue_huobi::auth::{Auth, Stamp, login_payload};
use dp_venue_huobi::symbols::{is_spot, split_topic};
use serde_json::{Map, Value, json};

/// HTX to the tools.
#[derive(Debug)]
pub struct HuobiTool;

/// A number or a text in the digits it was printed with; `null` for anything else.
fn digits(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        Value::String(text) => json!(text),
        _ => Value::Null,
    }
}

/// One side of a ticker: two fields on spot, a level on swaps.
fn side(tick: &Value, key: &str, size: &str) -> Value {
    match &tick[key] {
        Value::Array(level) if level.len() == 2 => json!([digits(&level[0]), digits(&level[1])]),
        price @ Value::Number(_) => json!([digits(price), digits(&tick[size])]),
        _ => Value::Null,
    }
}

impl Tool for HuobiTool {
    type Machine = dp_venue_huobi::Huobi;
    type Rule = dp_venue_huobi::sync::HuobiSync;
    const ID: VenueId = VenueId::HUOBI;
    const LINK: LinkId = dp_venue_huobi::LINK_FEED;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_huobi::Huobi::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_huobi::sync::HuobiSync::new(instrument)
    }

    fn tag_of_url(_registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_huobi::rest::tag_of_url(url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        for key in ["ch", "rep"] {
            let topic = message[key].as_str().and_then(split_topic);
            names.symbol(topic.map(|(symbol, _)| symbol));
        }
        // The lists of rules name thousands that nobody trades: only what messages are about.
        if url.is_some_and(|url| url.contains("symbols") || url.contains("contract_info")) {
            return;
        }
        let data = &message["data"];
        let lists = [data, &data["list"]]
            .into_iter()
            .filter_map(Value::as_array);
        for item in lists.flatten().chain([data]) {
            let symbol = item["symbol"].as_str();
            names.symbol(symbol.filter(|symbol| is_spot(symbol)));
            for key in [
                "currency",
                "feeCurrency",
                "feeDeductType",
                "fee-currency",
                "fee-deduct-currency",
            ] {
                let asset = item[key].as_str().map(str::to_ascii_uppercase);
                names.asset(asset.as_deref());
            }
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        let (symbol, channel) = split_topic(message["ch"].as_str()?)?;
        if !matches!(channel, "ticker" | "detail" | "detail.merged") {
            return None;
        }
        let tick = &message["tick"];
        let last = match &tick["lastPrice"] {
            Value::Null => &tick["close"],
            last => last,
        };
        Some(json!({
            "kind": "ticker",
            "symbol": symbol,
            "last": digits(last),
            "bid": side(tick, "bid", "bidSize"),
            "ask": side(tick, "ask", "askSize"),
            "volume": digits(&tick["amount"]),
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        message["cid"].as_str()?;
        let word = match message["status"].as_str()? {
            "ok" => "",
            _ => message["err-code"].as_str()?,
        };
        Some(json!({
            "kind": "ack",
            "client_id": Value::Null,
            "order_id": digits(&message["data"]),
            "reason": dp_venue_huobi::reject::reason(word).name(),
            "code": word,
        }))
    }

    fn checksum(bits: u32) -> Value {
        json!(bits) // the venue has none
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_huobi::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_huobi::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let mut text = Vec::with_capacity(16);
        dp_venue_huobi::symbols::push_client_id(id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        sign(request)
    }
}

/// The time that is signed: of the request itself where it has one, else the clock.
fn stamp(named: &str, object: &Map<String, Value>) -> anyhow::Result<(Stamp, String)> {
    let ms = clock_ms(object);
    if named.is_empty() {
        let ms = ms.context("neither `clock_ms` nor the request's timestamp is there")?;
        let stamp = Stamp::from_millis(ms);
        return Ok((stamp, stamp.as_str().to_owned()));
    }
    let stamp = Stamp::parse(named).context("the timestamp is not YYYY-MM-DDThh:mm:ss")?;
    Ok((stamp, named.to_owned()))
}

/// Scheme with host, host, path and query of an absolute URL.
fn parts(url: &str) -> Option<(&str, &str, &str, &str)> {
    let host_at = url.find("://")? + 3;
    let path_at = host_at + url.get(host_at..)?.find('/')?;
    let (base, target) = url.split_at_checked(path_at)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let host = base.get(host_at..)?;
    Some((base, host.split(':').next()?, path, query))
}

/// Signs a REST request, a login message of either family, or a bare payload.
fn sign(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    let auth = Auth::new(&secrets(object)?).context("`key` is empty")?;
    if let Some(mut request) = request_of(object) {
        let url = need(&request, "url")?.to_owned();
        let (base, host, path, query) = parts(&url).context("`url` has no host")?;
        let method = method_of(&request)?;
        // Whatever part of a signature is there is made anew; the time is kept.
        let is_ours = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or("");
            ![
                "AccessKeyId",
                "SignatureMethod",
                "SignatureVersion",
                "Signature",
                "Timestamp",
            ]
            .contains(&name)
        };
        let own: Vec<_> = query.split('&').filter(is_ours).collect();
        let named = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("Timestamp="));
        let named = named.unwrap_or("").replace("%3A", ":");
        let (stamp, _) = stamp(&named, object)?;
        let own = own.join("&");
        let payload = auth.rest_payload(method, host, path, &own, &stamp);
        let target = auth.target(method, host, path, &own, &stamp);
        request.insert("url".into(), json!(format!("{base}{target}")));
        return Ok(Signed {
            signature: auth.sign(payload.as_bytes()).as_str().to_owned(),
            payload,
            request: Value::Object(request),
        });
    }
    if let Some(Value::Object(message)) = object.get("message") {
        return sign_login(&auth, object, message);
    }
    let payload = need(object, "signed_payload")
        .context("there is no `request`, no login `message` and no `signed_payload` to sign")?;
    Ok(Signed {
        signature: auth.sign(payload.as_bytes()).as_str().to_owned(),
        payload: payload.to_owned(),
        request: Value::Null,
    })
}

/// A login message: `host` and `socket` say where it goes, by default to the private stream of its family.
fn sign_login(
    auth: &Auth,
    object: &Map<String, Value>,
    message: &Map<String, Value>,
) -> anyhow::Result<Signed> {
    let or = |key: &str, default: &'static str| match text(object, key) {
        "" => default.to_owned(),
        given => given.to_owned(),
    };
    if text(message, "op") == "auth" {
        let (host, path) = (
            or("host", "api.hbdm.com"),
            or("socket", "/linear-swap-notification"),
        );
        let (stamp, time) = stamp(text(message, "Timestamp"), object)?;
        let payload = auth.rest_payload(RestMethod::Get, &host, &path, "", &stamp);
        let signature = auth.sign(payload.as_bytes()).as_str().to_owned();
        return Ok(Signed {
            payload,
            request: json!({
                "op": "auth",
                "type": "api",
                "AccessKeyId": auth.api_key(),
                "SignatureMethod": "HmacSHA256",
                "SignatureVersion": "2",
                "Timestamp": time,
                "Signature": signature,
            }),
            signature,
        });
    }
    let (host, path) = (or("host", "api.huobi.pro"), or("socket", "/ws/v2"));
    let named = message.get("params").and_then(Value::as_object);
    let named = named.map_or("", |params| text(params, "timestamp"));
    let (stamp, _) = stamp(named, object)?;
    let payload = login_payload(auth.api_key(), &host, &path, &stamp);
    let mut login = dp_wire::buf::Buf::new();
    auth.write_login(&host, &path, &stamp, &mut login)
        .context("the key is too long for a login")?;
    Ok(Signed {
        signature: auth.sign(payload.as_bytes()).as_str().to_owned(),
        payload,
        request: serde_json::from_slice(login.as_bytes())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx";
    const SECRET: &str = "b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx";

    fn signed(request: Value) -> Signed {
        let mut object = request.as_object().unwrap().clone();
        object.insert("key".into(), json!(KEY));
        object.insert("secret".into(), json!(SECRET));
        HuobiTool::sign(&object).unwrap()
    }

    /// The vectors of the venue page.
    #[test]
    fn requests_and_logins() {
        let clock = 1_494_515_970_000_u64;
        let url = "https://be.huobi.com/v1/order/orders?order-id=1234567890";
        let rest = signed(json!({"clock_ms": clock, "request": {"method": "GET", "url": url}}));
        assert_eq!(
            rest.signature,
            "4F65x5A2bLyMWVQj3Aqp+B4w+ivaA7n5Oi2SuYtCJ9o="
        );
        // What came out, signed again, is the same.
        let again = signed(json!({"request": rest.request}));
        assert_eq!(again, rest);
        let ws = "axtO0jdyWXVW/kMs0WefT2OvjoacWnJte/hJOc66pW4=";
        let message =
            json!({"action": "req", "ch": "auth", "params": {"timestamp": "2019-09-01T18:16:16"}});
        let login = signed(json!({"message": message}));
        assert_eq!(
            (&*login.signature, &login.request["params"]["signature"]),
            (ws, &json!(ws))
        );
        let login = signed(json!({"message": message, "socket": "/ws/trade"}));
        assert_eq!(
            login.signature,
            "naR4CgTai2YrEpnbrnPTfOshp1lGdpnkIpIWHKnvCHU="
        );
        let swap = json!({"message": {"op": "auth"}, "clock_ms": 1_700_000_000_000_u64});
        assert_eq!(
            signed(swap).signature,
            "OLaUqWcvLp1gw4EuRa3Lc8a7s8PHHhCT/x8848NxffY="
        );
        let payload = signed(json!({"signed_payload": login.payload}));
        assert_eq!(payload.signature, login.signature);
    }

    #[test]
    fn tickers_of_both_markets() {
        let spot = json!({"ch": "market.btcusdt.ticker", "tick": {"lastPrice": 5, "bid": 4, "bidSize": 2, "amount": 1}});
        let shown = HuobiTool::ticker(&spot).unwrap();
        assert_eq!(
            (&shown["last"], &shown["bid"]),
            (&json!("5"), &json!(["4", "2"]))
        );
        assert_eq!(shown["ask"], Value::Null);
        let swap = json!({"ch": "market.BTC-USDT.detail", "tick": {"close": 7, "ask": [8, 1]}});
        let shown = HuobiTool::ticker(&swap).unwrap();
        assert_eq!(
            (&shown["last"], &shown["ask"]),
            (&json!("7"), &json!(["8", "1"]))
        );
        assert!(HuobiTool::ticker(&json!({"ch": "market.btcusdt.bbo"})).is_none());
    }
}
