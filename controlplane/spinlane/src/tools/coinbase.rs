//! Coinbase to the offline tools: the Exchange, and Advanced Trade as far as it is read and signed.

use super::{Names, Signed, Tool};
use crate::venue_tools::{
    FixLogon, body_of, clock_ms, method_of, need, request_of, secrets, target_of, text,
};
use anyhow::{Context as _, bail};
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_coinbase::auth::{Auth, Timestamp};
use dp_venue_coinbase::fix::logon_payload;
use dp_venue_coinbase::jwt::{self, JwtKey};
use dp_venue_coinbase::reject;
use dp_venue_coinbase::symbols::{Uuid, order_id_text, parse_client_id};
use serde_json::{Map, Value, json};

/// Coinbase to the tools.
#[derive(Debug)]
pub struct CoinbaseTool;

/// Notes the products and assets named anywhere in a message.
fn walk(value: &Value, names: &mut Names) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, names)),
        Value::Object(fields) => {
            let product = fields.get("product_id").and_then(Value::as_str);
            product_named(product, names);
            // Of an account it is the name; elsewhere it may be an object.
            names.asset(fields.get("currency").and_then(Value::as_str));
            for (name, inner) in fields {
                // Levels are most of a message and name nothing.
                if !matches!(name.as_str(), "bids" | "asks" | "changes" | "updates") {
                    walk(inner, names);
                }
            }
        }
        _ => {}
    }
}

/// Notes a product, and the assets it is of.
fn product_named(product: Option<&str>, names: &mut Names) {
    names.symbol(product);
    for asset in product.into_iter().flat_map(|product| product.split('-')) {
        names.asset(Some(asset));
    }
}

impl Tool for CoinbaseTool {
    type Machine = dp_venue_coinbase::Coinbase;
    type Rule = dp_venue_coinbase::sync::CoinbaseSync;
    const ID: VenueId = VenueId::COINBASE;
    const LINK: LinkId = dp_venue_coinbase::LINK_PUBLIC;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_coinbase::Coinbase::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_coinbase::sync::CoinbaseSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_coinbase::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        if let Some(url) = url {
            let path = url.split('?').next().unwrap_or("");
            // The list of products names hundreds that nobody trades: only what messages are about.
            if path.ends_with("/products") {
                return;
            }
            let in_path = path
                .split_once("/products/")
                .and_then(|(_, rest)| rest.split('/').next());
            let in_query = url
                .split(['?', '&'])
                .find_map(|pair| pair.strip_prefix("product_id="));
            product_named(in_path.or(in_query), names);
        }
        walk(message, names);
    }

    fn ticker(message: &Value) -> Option<Value> {
        let (item, size, volume) = if message["type"] == "ticker" {
            (message, "size", "volume_24h")
        } else if message["channel"] == "ticker" {
            let item = &message["events"][0]["tickers"][0];
            (item, "quantity", "volume_24_h")
        } else {
            return None;
        };
        let side = |side: &str| {
            let price = &item[format!("best_{side}")];
            let qty = &item[format!("best_{side}_{size}")];
            match price.as_str() {
                // Tickers of before 2022 have no sizes.
                Some(price) if qty.is_null() => json!([price, null]),
                _ => super::ticker_side(price, qty),
            }
        };
        Some(json!({
            "kind": "ticker",
            "symbol": item["product_id"],
            "last": item["price"],
            "bid": side("bid"),
            "ask": side("ask"),
            "volume": item[volume],
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        // The Exchange refuses in words; Advanced Trade says whether it took the order.
        if let Some(words) = message["message"].as_str() {
            return Some(json!({
                "kind": "ack",
                "client_id": null,
                "order_id": null,
                "reason": reject::of_words(words).name(),
                "code": words,
            }));
        }
        // Requests that are about no order say `success` too.
        if message.get("success_response").is_none() && message.get("error_response").is_none() {
            return None;
        }
        let taken = message["success"].as_bool()?;
        let error = &message["error_response"];
        let code = error["error"].as_str().unwrap_or("");
        let reasons = [
            "preview_failure_reason",
            "new_order_failure_reason",
            "error",
        ];
        let words: Vec<_> = reasons
            .into_iter()
            .filter_map(|key| error[key].as_str())
            .collect();
        let reason = if taken {
            dp_types::RejectReason::None
        } else {
            reject::of_words(&words.join(" "))
        };
        let order = &message["success_response"];
        Some(json!({
            "kind": "ack",
            "client_id": order["client_order_id"],
            "order_id": order["order_id"],
            "reason": reason.name(),
            "code": code,
        }))
    }

    fn url_of(message: &Value, symbol: &str) -> Option<String> {
        let has = |value: &Value, keys: [&str; 3]| keys.iter().all(|key| value.get(key).is_some());
        if has(message, ["bids", "asks", "sequence"]) && message.get("type").is_none() {
            return Some(format!("/products/{symbol}/book?level=2"));
        }
        let item = message.as_array()?.first()?;
        has(item, ["id", "base_currency", "quote_currency"]).then(|| "/products".to_owned())
    }

    fn checksum(bits: u32) -> Value {
        json!(bits) // the venue has none
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        Uuid::of_client(id).as_str().to_owned()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        let is_advanced = need(request, "key")?.starts_with("organizations/")
            || need(request, "secret")?.contains("PRIVATE KEY");
        if is_advanced {
            return sign_advanced(request);
        }
        sign_exchange(request)
    }
}

/// The headers of a request, to add to.
fn headers_of(request: &Map<String, Value>) -> Map<String, Value> {
    match request.get("headers") {
        Some(Value::Object(headers)) => headers.clone(),
        _ => Map::new(),
    }
}

/// A timestamp that is given, or the second of `clock_ms`.
fn timestamp_of(object: &Map<String, Value>, given: &Value) -> anyhow::Result<String> {
    match (given, clock_ms(object)) {
        (Value::String(given), _) if !given.is_empty() => Ok(given.clone()),
        (Value::Number(given), _) => Ok(given.to_string()),
        (_, Some(ms)) => Ok(Timestamp::from_seconds(ms / 1_000).as_str().to_owned()),
        (_, None) => bail!("neither `clock_ms` nor a timestamp is there"),
    }
}

/// Signs for the Exchange: a REST request, an authenticated subscribe, or a bare payload.
fn sign_exchange(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    let auth = Auth::new(&secrets(object)?)?.context("`key` is empty")?;
    if let Some(logon) = FixLogon::of(object) {
        let fields = [52, 34, 49, 554].map(|tag| logon.need(tag));
        let [time, seq, key, passphrase] = fields;
        let signed = [time?, seq?, key?, passphrase?];
        let parts = logon_payload(signed, logon.need(56)?);
        let signature = auth.sign(&parts).as_str().to_owned();
        let payload = String::from_utf8_lossy(&parts.concat()).into_owned();
        return Ok(FixLogon::signed(payload, signature, 96));
    }
    if let Some(mut request) = request_of(object) {
        let url = need(&request, "url")?.to_owned();
        let method = method_of(&request)?;
        let body = body_of(&request);
        let mut headers = headers_of(&request);
        let given = headers.get("CB-ACCESS-TIMESTAMP").cloned();
        let timestamp = timestamp_of(object, &given.unwrap_or_default())?;
        let target = target_of(&url);
        let signature = auth.sign_rest(&timestamp, method, target, body.as_bytes());
        for (name, value) in [
            ("CB-ACCESS-KEY", auth.api_key()),
            ("CB-ACCESS-SIGN", signature.as_str()),
            ("CB-ACCESS-TIMESTAMP", &timestamp),
            ("CB-ACCESS-PASSPHRASE", auth.passphrase()),
        ] {
            headers.insert(name.into(), json!(value));
        }
        request.insert("headers".into(), Value::Object(headers));
        return Ok(Signed {
            payload: format!("{timestamp}{}{target}{body}", method.as_str()),
            signature: signature.as_str().to_owned(),
            request: Value::Object(request),
        });
    }
    if let Some(Value::Object(message)) = object.get("message") {
        let mut message = message.clone();
        let given = message.get("timestamp").cloned();
        let timestamp = timestamp_of(object, &given.unwrap_or_default())?;
        let signature = auth.sign_subscribe(&timestamp);
        for (name, value) in [
            ("signature", signature.as_str()),
            ("key", auth.api_key()),
            ("passphrase", auth.passphrase()),
            ("timestamp", &timestamp),
        ] {
            message.insert(name.into(), json!(value));
        }
        return Ok(Signed {
            payload: Auth::subscribe_payload(&timestamp),
            signature: signature.as_str().to_owned(),
            request: Value::Object(message),
        });
    }
    let payload = need(object, "signed_payload")
        .context("there is no `request`, no `message` and no `signed_payload` to sign")?;
    Ok(Signed {
        payload: payload.to_owned(),
        signature: auth.sign(&[payload.as_bytes()]).as_str().to_owned(),
        request: Value::Null,
    })
}

/// Signs for Advanced Trade: a REST request, a subscribe, or the first two parts of a token. A `nonce` that is
/// given is taken, else a fresh one.
fn sign_advanced(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    let key = JwtKey::new(need(object, "key")?, need(object, "secret")?)?;
    let token = |uri: &str| -> anyhow::Result<(String, String)> {
        let ms = clock_ms(object).context("`clock_ms` is missing")?;
        let nonce = match text(object, "nonce") {
            "" => jwt::nonce()?,
            given => given.to_owned(),
        };
        let payload = key.payload(&nonce, ms / 1_000, uri);
        let signature = key.sign(&payload)?;
        Ok((payload, signature))
    };
    if let Some(mut request) = request_of(object) {
        let url = need(&request, "url")?.to_owned();
        let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let address = address.split('?').next().unwrap_or("");
        let host = if address.starts_with('/') {
            "api.coinbase.com"
        } else {
            ""
        };
        let uri = format!("{} {host}{address}", method_of(&request)?.as_str());
        let (payload, signature) = token(&uri)?;
        let mut headers = headers_of(&request);
        let bearer = format!("Bearer {payload}.{signature}");
        headers.insert("Authorization".into(), json!(bearer));
        request.insert("headers".into(), Value::Object(headers));
        return Ok(Signed {
            payload,
            signature,
            request: Value::Object(request),
        });
    }
    if let Some(Value::Object(message)) = object.get("message") {
        let (payload, signature) = token("")?;
        let mut message = message.clone();
        message.insert("jwt".into(), json!(format!("{payload}.{signature}")));
        return Ok(Signed {
            payload,
            signature,
            request: Value::Object(message),
        });
    }
    let payload = need(object, "signed_payload")
        .context("there is no `request`, no `message` and no `signed_payload` to sign")?;
    Ok(Signed {
        payload: payload.to_owned(),
        signature: key.sign(payload)?,
        request: Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::{decode_lines, sign_object};

    const SECRET: &str =
        "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ==";

    fn decoded(input: &str) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<CoinbaseTool>(input.as_bytes(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn the_recorded_session() {
        let Some(path) = capture_path("coinbase/exchange-20210417-a.jsonl.gz") else {
            return;
        };
        let report = replay_file("coinbase", &path).unwrap();
        assert_eq!(report["decode_errors"], 0, "{report}");
        assert_eq!(report["symbols"].as_object().unwrap().len(), 5);
        for (symbol, book) in report["symbols"].as_object().unwrap() {
            assert_eq!(
                (&book["gaps"], &book["crossed"]),
                (&json!(0), &json!(0)),
                "{symbol}"
            );
            assert_eq!(book["bids"].as_array().unwrap().len(), 10, "{symbol}");
        }
    }

    /// One line of each file decodes to something other than an error, and what is an order, a fill, a trade or a
    /// book is told.
    #[test]
    fn every_recorded_line() {
        for name in ["messages-crypto-msg-parser", "responses-xchange"] {
            let Some(path) = capture_path(&format!("coinbase/{name}.jsonl")) else {
                return;
            };
            let text = std::fs::read_to_string(path).unwrap();
            for (line, result) in text.lines().zip(decoded(&text)) {
                assert!(result.get("error").is_none(), "{result}: {line}");
                if line.contains("product_id") {
                    assert!(result.get("events").is_some(), "{result}: {line}");
                }
            }
        }
    }

    #[test]
    fn private_messages_tickers_and_refusals() {
        let fill = r#"{"type":"match","trade_id":7,"sequence":12,"maker_order_id":"d50ec984-77a8-460a-b958-66f114b0de9b","taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2026-05-05T10:00:03.000000Z","product_id":"BTC-USD","size":"0.34","price":"65000.00","side":"buy","user_id":"5","maker_user_id":"5","maker_fee_rate":"0.0025"}"#;
        let ticker = r#"{"type":"ticker","sequence":1,"product_id":"BTC-USD","price":"29940.91","volume_24h":"2","best_bid":"29940.90","best_ask":"29940.91","time":"2022-06-02T09:20:54.127011Z"}"#;
        let refused = r#"{"message":"Insufficient funds"}"#;
        let advanced = r#"{"success":false,"error_response":{"error":"INSUFFICIENT_FUND","message":"Insufficient balance in source account","preview_failure_reason":"PREVIEW_INSUFFICIENT_FUND","new_order_failure_reason":"UNKNOWN_FAILURE_REASON"},"order_configuration":{}}"#;
        let lines = decoded(&[fill, ticker, refused, advanced].join("\n"));
        let told = &lines[0]["events"][0];
        assert_eq!(
            (&told["kind"], &told["side"]),
            (&json!("fill"), &json!("buy"))
        );
        assert_eq!(
            (&told["fee"], &told["fee_asset"]),
            (&json!("55.25"), &json!("USD"))
        );
        let told = &lines[1]["events"][0];
        assert_eq!(told["kind"], "ticker");
        assert_eq!(told["bid"], json!(["29940.90", null]));
        assert_eq!(lines[2]["events"][0]["reason"], "insufficient_funds");
        assert_eq!(lines[3]["events"][0]["reason"], "insufficient_funds");
    }

    fn signed(object: Value) -> Value {
        sign_object(VenueId::COINBASE, object.as_object().unwrap()).unwrap()
    }

    #[test]
    fn the_exchanges_vectors() {
        let body = r#"{"product_id":"BTC-USD","side":"buy","type":"limit","price":"30000.00","size":"0.01","time_in_force":"GTC"}"#;
        let keys = |mut object: Value| {
            for (name, value) in [("key", "k"), ("secret", SECRET), ("passphrase", "p")] {
                object[name] = json!(value);
            }
            object["clock_ms"] = json!(1_700_000_000_999u64);
            object
        };
        let url = "https://api.exchange.coinbase.com/accounts";
        let get = signed(keys(json!({"request": {"method": "GET", "url": url}})));
        assert_eq!(
            get["signature"],
            "TKc4yMi0k9lIrnmlImyKDpBCjvWf488WiBx6RhYUKcc="
        );
        assert_eq!(get["signed_payload"], "1700000000GET/accounts");
        assert_eq!(
            get["request"]["headers"]["CB-ACCESS-SIGN"],
            get["signature"]
        );
        let post = signed(keys(
            json!({"path": "/orders", "method": "POST", "body": body}),
        ));
        assert_eq!(
            post["signature"],
            "Se6oOTgMCpGlENjkWGeQqAUo5mMB+R+OWLUgq00QLOE="
        );
        let user = json!({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["user"]});
        let message = signed(keys(json!({"message": user})));
        let verify = "zYGf8hCgf8Rv8lXLP7Eo7UR59Bm/VqrD41ChQapSlMo=";
        assert_eq!(message["request"]["signature"], verify);
        assert_eq!(message["request"]["timestamp"], "1700000000");
        let bare = signed(keys(
            json!({"signed_payload": "1700000000GET/users/self/verify"}),
        ));
        assert_eq!(bare["signature"], verify);
        let error = sign_object(VenueId::COINBASE, &Map::new()).unwrap_err();
        assert!(format!("{error:#}").contains("`key`"), "{error:#}");
    }

    #[test]
    fn the_advanced_vector() {
        let token = signed(json!({
            "key": "organizations/fake-org/apiKeys/fake-key",
            "secret": "gkRha0YGuEAKZv0O/L6prxYR/SVA6XWzgIsgAH2bz24=",
            "nonce": "00112233445566778899aabbccddeeff",
            "clock_ms": 1_700_000_000_000u64,
            "request": {"method": "GET", "url": "https://api.coinbase.com/api/v3/brokerage/accounts?limit=1"},
        }));
        let signature = "WibNFLciVPQ8rVPg-VkBeuHCUq94wu3U9yTaz4q6U1cA_5bKVyJHxPULzaSBSqKPms6ogJmEmDLu4jTratO8AQ";
        assert_eq!(token["signature"], signature);
        let bearer = token["request"]["headers"]["Authorization"]
            .as_str()
            .unwrap();
        assert!(bearer.starts_with("Bearer ey") && bearer.ends_with(signature));
    }
}
