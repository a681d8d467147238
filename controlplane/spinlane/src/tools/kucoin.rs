//! KuCoin to the offline tools.

use super::{Names, Signed, Tool, shape};
use crate::venue_tools::{
    body_of, clock_ms, method_of, need, request_of, secrets, target_of, text,
};
use anyhow::{Context as _, bail};
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_kucoin::auth::{Auth, KEY_VERSION};
use serde_json::{Map, Value, json};

/// KuCoin to the tools.
#[derive(Debug)]
pub struct KucoinTool;

impl Tool for KucoinTool {
    type Machine = dp_venue_kucoin::Kucoin;
    type Rule = dp_venue_kucoin::sync::KucoinSync;
    const ID: VenueId = VenueId::KUCOIN;
    const LINK: LinkId = dp_venue_kucoin::LINK_MD;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_kucoin::Kucoin::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_kucoin::sync::KucoinSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_kucoin::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        if let Some(url) = url {
            let mut pairs = url.split(['?', '&']);
            names.symbol(pairs.find_map(|pair| pair.strip_prefix("symbol=")));
            // The list of symbols names a thousand that nobody trades: only what messages are about.
            if url.contains("/symbols") {
                return;
            }
        }
        // `/market/ticker:all` names each symbol in its subject; candles add their span to it.
        let in_topic = message["topic"]
            .as_str()
            .and_then(|topic| topic.split_once(':'));
        match in_topic {
            Some(("/market/ticker", "all")) => names.symbol(message["subject"].as_str()),
            Some((_, symbol)) => names.symbol(symbol.split(['_', ',']).next()),
            None => {}
        }
        let data = &message["data"];
        let lists = [data, &data["items"]]
            .into_iter()
            .filter_map(Value::as_array);
        for item in [data, &message["d"]].into_iter().chain(lists.flatten()) {
            for key in ["symbol", "s"] {
                names.symbol(item[key].as_str());
            }
            for key in ["currency", "feeCurrency", "fC"] {
                names.asset(item[key].as_str());
            }
        }
        let is_balance = message["T"]
            .as_str()
            .is_some_and(|it| it.starts_with("balance"));
        names.asset(message["d"]["c"].as_str().filter(|_| is_balance));
    }

    fn ticker(message: &Value) -> Option<Value> {
        if message["subject"] != "trade.snapshot" {
            return None;
        }
        let item = &message["data"]["data"];
        Some(json!({
            "kind": "ticker",
            "symbol": item["symbol"],
            "last": item["lastTradedPrice"],
            // It tells prices without sizes.
            "bid": Value::Null,
            "ask": Value::Null,
            "volume": item["vol"],
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        message["op"].as_str().filter(|op| *op != "pong")?;
        let code = message["code"].as_str()?;
        let words = message["msg"].as_str().unwrap_or("");
        let reason = dp_venue_kucoin::reject::reason(code.parse().ok()?, words);
        Some(json!({
            "kind": "ack",
            "client_id": message["data"]["clientOid"],
            "order_id": message["data"]["orderId"],
            "reason": reason.name(),
            "code": code,
        }))
    }

    fn url_of(message: &Value, symbol: &str) -> Option<String> {
        message
            .get("code")
            .filter(|_| message.get("topic").is_none())?;
        let data = &message["data"];
        let symbol = data["symbol"].as_str().unwrap_or(symbol);
        let is_book = data["asks"].is_array() && data["bids"].is_array();
        is_book.then(|| format!("/api/v3/market/orderbook/level2?symbol={symbol}"))
    }

    fn others(message: &Value, symbol: &str) -> Vec<Value> {
        let topic = message["topic"].as_str().unwrap_or("");
        match topic.split_once(':') {
            Some((name, _)) if name.contains("level3") => vec![single_order(message, symbol)],
            _ => Vec::new(),
        }
    }

    fn checksum(bits: u32) -> Value {
        json!(bits) // the venue has none
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_kucoin::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_kucoin::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let mut text = Vec::with_capacity(16);
        dp_venue_kucoin::symbols::push_client_id(id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A REST request, a bare payload (the order link's challenge is one), or, from a key and a time alone, the
    /// target of the order link.
    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        let auth = Auth::new(&secrets(request)?).context("`key` is empty")?;
        let signature_of = |payload: &str| auth.sign(&[payload.as_bytes()]).as_str().to_owned();
        if let Some(asked) = request_of(request) {
            return sign_rest(&auth, asked, clock_ms(request));
        }
        if let Ok(payload) = need(request, "signed_payload") {
            return Ok(Signed {
                signature: signature_of(payload),
                payload: payload.to_owned(),
                request: Value::Null,
            });
        }
        let Some(ms) = clock_ms(request) else {
            bail!("there is no `request`, no `signed_payload` and no `clock_ms` to sign");
        };
        let payload = auth.orders_payload(ms);
        Ok(Signed {
            signature: signature_of(&payload),
            payload,
            request: json!({"url": auth.orders_target(ms)}),
        })
    }
}

fn sign_rest(
    auth: &Auth,
    mut request: Map<String, Value>,
    clock_ms: Option<u64>,
) -> anyhow::Result<Signed> {
    let url = need(&request, "url")?.to_owned();
    let (method, body) = (method_of(&request)?, body_of(&request));
    let mut headers = match request.get("headers") {
        Some(Value::Object(headers)) => headers.clone(),
        _ => Map::new(),
    };
    let ms = match (text(&headers, "KC-API-TIMESTAMP"), clock_ms) {
        ("", Some(ms)) => ms.to_string(),
        ("", None) => bail!("neither `clock_ms` nor the header KC-API-TIMESTAMP is there"),
        (ms, _) => ms.to_owned(),
    };
    let payload = format!("{ms}{}{}{body}", method.as_str(), target_of(&url));
    let signature = auth.sign(&[payload.as_bytes()]).as_str().to_owned();
    for (name, value) in [
        ("KC-API-KEY", auth.api_key()),
        ("KC-API-SIGN", &signature),
        ("KC-API-TIMESTAMP", &ms),
        ("KC-API-PASSPHRASE", auth.passphrase()),
        ("KC-API-KEY-VERSION", KEY_VERSION),
    ] {
        headers.insert(name.into(), json!(value));
    }
    request.insert("headers".into(), Value::Object(headers));
    Ok(Signed {
        payload,
        signature,
        request: Value::Object(request),
    })
}

/// A message of the retired feed of single orders. `received` and `match` tell nothing that rests.
fn single_order(message: &Value, symbol: &str) -> Value {
    let data = &message["data"];
    let qty = match message["subject"].as_str() {
        Some("done") => Some("0".to_owned()),
        _ => shape::digits(&data["size"]).or_else(|| shape::digits(&data["remainSize"])),
    };
    let side = shape::side(&data["side"]).map(dp_types::Side::name);
    json!({
        "kind": "l3",
        "symbol": data["symbol"].as_str().unwrap_or(symbol),
        "type": "delta",
        "last_id": shape::digits(&data["sequence"]).and_then(|id| id.parse::<i64>().ok()),
        "checksum": null,
        "orders": [[data["orderId"], side, shape::digits(&data["price"]), qty]],
        "venue_ns": shape::time_ns(&data["ts"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::{Decoder, sign_object};

    fn keys(more: Value) -> Value {
        let mut object = json!({
            "key": "5c2db93503aa674c74a31734",
            "secret": "f03a5284-5c39-4aaa-9b20-dea10bdcf8e3",
            "passphrase": "QWIxMjM0NTY3OCkoKiZeJSQjQA==",
        });
        for (name, value) in more.as_object().unwrap() {
            object[name] = value.clone();
        }
        object
    }

    fn signed(more: Value) -> Value {
        sign_object(VenueId::KUCOIN, keys(more).as_object().unwrap()).unwrap()
    }

    #[test]
    fn requests_targets_and_challenges_are_signed() {
        let made = signed(json!({
            "clock_ms": 1_547_015_186_532_u64,
            "request": {
                "url": "https://api.kucoin.com/api/v1/hf/orders/active?symbol=BTC-USDT",
                "method": "GET",
            },
        }));
        let sign = "YanufEw+RqWtpG4UZTpXJjtq5/JpIEm/dNnf8i8o+/4=";
        assert_eq!(made["signature"], sign);
        assert_eq!(made["request"]["headers"]["KC-API-SIGN"], sign);
        let passphrase = "HFkKIy8cKfQF3Ognmbamq9Bd8VfYy3eUQj7uC8NvMes=";
        assert_eq!(made["request"]["headers"]["KC-API-PASSPHRASE"], passphrase);
        let made = signed(json!({"clock_ms": 1_547_015_186_532_u64}));
        assert_eq!(
            made["signature"],
            "1aZxqbZDJcyu0GNFGzhNE76P9+SsBgDEW2rhk1IPi1A="
        );
        assert!(
            made["request"]["url"]
                .as_str()
                .unwrap()
                .starts_with("/v1/private?apikey=")
        );
        let challenge = r#"{"sessionId":"3f1a","data":"welcome","timestamp":1547015186532}"#;
        let made = signed(json!({"signed_payload": challenge}));
        assert_eq!(
            made["signature"],
            "Y4ck92NsIzbDA8oxLarjmPxfGczWa7NlX9+1fcTr9NA="
        );
        let error = sign_object(VenueId::KUCOIN, keys(json!({})).as_object().unwrap());
        assert!(format!("{:#}", error.unwrap_err()).contains("clock_ms"));
    }

    #[test]
    fn a_recording_replays_without_a_gap_and_with_the_venues_own_best_quotes() {
        let Some(path) = capture_path("kucoin/spot-20210425-a.jsonl.gz") else {
            return;
        };
        let report = replay_file("kucoin", &path).unwrap();
        let symbols = report["symbols"].as_object().unwrap();
        let sum = |key: &str| -> u64 {
            symbols
                .values()
                .map(|entry| entry[key].as_u64().unwrap())
                .sum()
        };
        assert_eq!(
            (report["decode_errors"].clone(), symbols.len()),
            (json!(0), 5)
        );
        assert_eq!(sum("gaps") + sum("crossed") + sum("bad_numbers"), 0);
        assert_eq!(sum("messages"), 1_332 + 5);
        assert_eq!(sum("quotes_compared"), sum("quotes_equal"));
        assert!(sum("quotes_equal") > 400);
        assert!(symbols.values().all(|entry| entry["synced"] == true));
    }

    #[test]
    fn single_messages_decode() {
        let mut decoder = Decoder::<KucoinTool>::new().unwrap();
        let mut kind = |text: &str| {
            let line = decoder.line(text.as_bytes());
            line["events"][0]["kind"].as_str().unwrap_or("").to_owned()
        };
        assert_eq!(
            kind(
                r#"{"topic":"/market/ticker:all","subject":"A-B","data":{"bestAsk":"2","bestAskSize":"1","bestBid":"1","bestBidSize":"1","sequence":"5","time":1}}"#
            ),
            "quote"
        );
        assert_eq!(
            kind(r#"{"T":"balance.SPOT","P":1,"d":{"c":"USDT","a":"1","h":"0"}}"#),
            "balance"
        );
        assert_eq!(
            kind(
                r#"{"topic":"/market/snapshot:A-B","subject":"trade.snapshot","data":{"sequence":"1","data":{"symbol":"A-B","lastTradedPrice":1.5,"vol":2}}}"#
            ),
            "ticker"
        );
        assert_eq!(
            kind(
                r#"{"id":"x","op":"spot.order","code":"200000","data":{"orderId":"655a1c00f3a1c20007d1a003"}}"#
            ),
            "ack"
        );
    }
}
