//! Bybit to the offline tools.

use super::{Names, Signed, Tool};
use crate::venue_tools::{body_of, clock_ms, need, request_of, secrets, text};
use anyhow::Context as _;
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_bybit::auth::{Auth, LOGIN_LIFE_MS, RECV_WINDOW_MS};
use serde_json::{Map, Value, json};

/// Bybit to the tools.
#[derive(Debug)]
pub struct BybitTool;

impl Tool for BybitTool {
    type Machine = dp_venue_bybit::Bybit;
    type Rule = dp_venue_bybit::sync::BybitSync;
    const ID: VenueId = VenueId::BYBIT;
    const LINK: LinkId = dp_venue_bybit::LINK_PUBLIC;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_bybit::Bybit::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_bybit::sync::BybitSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_bybit::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        let in_url = url.and_then(|url| {
            url.split(['?', '&'])
                .find_map(|pair| pair.strip_prefix("symbol="))
        });
        names.symbol(in_url);
        // The instruments list names hundreds that nobody trades: only what messages are about.
        if url.is_some_and(|url| url.contains("instruments-info")) {
            return;
        }
        let (data, result) = (&message["data"], &message["result"]);
        for object in [data, result] {
            names.symbol(object["s"].as_str());
            names.symbol(object["symbol"].as_str());
        }
        // The retired generations name a delta's symbol in its items, and in the topic.
        if let Some(topic) = message["topic"].as_str()
            && (topic.starts_with("orderBook") || topic.starts_with("trade."))
        {
            names.symbol(topic.rsplit('.').next());
        }
        let lists = [data, result, &result["list"]];
        for item in lists.into_iter().filter_map(Value::as_array).flatten() {
            names.symbol(item["symbol"].as_str());
            names.symbol(item["s"].as_str());
            names.asset(item["feeCurrency"].as_str());
            for coin in item["coin"].as_array().into_iter().flatten() {
                names.asset(coin["coin"].as_str());
            }
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        let topic = message["topic"].as_str()?;
        let data = &message["data"];
        let first = |item: &Value, keys: [&str; 2]| {
            let found = keys.into_iter().find(|key| item[*key].is_string());
            found.map_or(Value::Null, |key| item[key].clone())
        };
        let (item, bid, ask) = if topic.starts_with("tickers.") {
            let side = |price, size| super::ticker_side(&first(data, price), &first(data, size));
            let bid = side(["bid1Price", "bidPrice"], ["bid1Size", "bidSize"]);
            let ask = side(["ask1Price", "askPrice"], ["ask1Size", "askSize"]);
            (data, bid, ask)
        } else if topic.starts_with("instrument_info.") {
            // Best prices come without sizes here.
            let item = data["update"].get(0).unwrap_or(data);
            (item, Value::Null, Value::Null)
        } else {
            return None;
        };
        Some(json!({
            "kind": "ticker",
            "symbol": item["symbol"],
            "last": first(item, ["lastPrice", "last_price"]),
            "bid": bid,
            "ask": ask,
            "volume": item["volume24h"],
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        let op = message["op"].as_str()?;
        if !op.starts_with("order.") {
            return None;
        }
        let code = i32::try_from(message["retCode"].as_i64()?).ok()?;
        Some(json!({
            "kind": "ack",
            "client_id": message["data"]["orderLinkId"],
            "order_id": message["data"]["orderId"],
            "reason": dp_venue_bybit::reject::reason(code).name(),
            "code": code,
        }))
    }

    fn checksum(bits: u32) -> Value {
        json!(bits)
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_bybit::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_bybit::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let mut text = Vec::with_capacity(16);
        dp_venue_bybit::symbols::push_client_id(id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A REST request, a login message, or a bare payload.
    fn sign(object: &Map<String, Value>) -> anyhow::Result<Signed> {
        let auth = Auth::new(&secrets(object)?).context("`key` is empty")?;
        if let Some(request) = request_of(object) {
            return sign_request(&auth, object, request);
        }
        let message = object.get("message").filter(|it| it["op"] == "auth");
        if message.is_some() || text(object, "case").contains("login") {
            return sign_login(&auth, object, message);
        }
        let payload = need(object, "signed_payload")
            .context("there is no `request`, no login `message` and no `signed_payload` to sign")?;
        Ok(Signed {
            payload: payload.to_owned(),
            signature: auth.sign(&[payload.as_bytes()]).as_str().to_owned(),
            request: Value::Null,
        })
    }
}

fn sign_request(
    auth: &Auth,
    object: &Map<String, Value>,
    mut request: Map<String, Value>,
) -> anyhow::Result<Signed> {
    let url = need(&request, "url")?.to_owned();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let body = body_of(&request);
    let content = if body.is_empty() { query } else { &body };
    let mut headers = match request.get("headers") {
        Some(Value::Object(headers)) => headers.clone(),
        _ => Map::new(),
    };
    let time = match (text(&headers, "X-BAPI-TIMESTAMP"), clock_ms(object)) {
        ("", ms) => ms
            .context("neither `clock_ms` nor the header X-BAPI-TIMESTAMP is there")?
            .to_string(),
        (time, _) => time.to_owned(),
    };
    let window = match text(&headers, "X-BAPI-RECV-WINDOW") {
        "" => RECV_WINDOW_MS.to_string(),
        window => window.to_owned(),
    };
    let payload = format!("{time}{}{window}{content}", auth.api_key());
    let signature = auth.sign_rest(&time, &window, content).as_str().to_owned();
    for (name, value) in [
        ("X-BAPI-API-KEY", auth.api_key()),
        ("X-BAPI-TIMESTAMP", &time),
        ("X-BAPI-RECV-WINDOW", &window),
        ("X-BAPI-SIGN", &signature),
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

fn sign_login(
    auth: &Auth,
    object: &Map<String, Value>,
    message: Option<&Value>,
) -> anyhow::Result<Signed> {
    // The venue takes the expiry as a number and as a string: it stays what it was.
    let named = message.map(|message| &message["args"][1]);
    let expires = match named.filter(|expires| !expires.is_null()) {
        Some(expires) => expires.clone(),
        None => {
            let ms =
                clock_ms(object).context("neither `clock_ms` nor the message's expiry is there")?;
            json!(ms.saturating_add(LOGIN_LIFE_MS))
        }
    };
    let digits = match &expires {
        Value::String(digits) => digits.clone(),
        other => other.to_string(),
    };
    let signature = auth.sign_login(&digits).as_str().to_owned();
    Ok(Signed {
        payload: Auth::login_payload(&digits),
        request: json!({"op": "auth", "args": [auth.api_key(), expires, signature]}),
        signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::decode_lines;

    fn decoded(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<BybitTool>(input, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn recordings_have_no_gap() {
        for (name, symbols, messages) in [
            ("bybit/v5-20250613-linear.jsonl.gz", 4, 198),
            ("bybit/v5-ob500-xrpusdt-20241201-first20.jsonl.gz", 1, 20),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("bybit", &path).unwrap();
            let entries = report["symbols"].as_object().unwrap();
            assert_eq!(entries.len(), symbols, "{name}");
            let sum = |key: &str| -> u64 {
                entries
                    .values()
                    .map(|entry| entry[key].as_u64().unwrap())
                    .sum()
            };
            assert_eq!((sum("messages"), sum("gaps")), (messages, 0), "{name}");
            assert_eq!(report["decode_errors"], 0, "{}", report["first_error"]);
            assert!(entries.values().all(|entry| entry["synced"] == true));
        }
    }

    /// What is passed over in the single messages is candles, greeks and open interest; tickers are shown.
    #[test]
    fn single_messages_are_events() {
        let Some(path) = capture_path("bybit/messages-crypto-msg-parser.jsonl") else {
            return;
        };
        let mut input = std::fs::read(&path).unwrap();
        input.extend(std::fs::read(path.with_file_name("messages-gocryptotrader.jsonl")).unwrap());
        let lines = decoded(&input);
        assert_eq!(lines.len(), 24 + 15);
        let mut ignored: Vec<_> = lines
            .iter()
            .filter_map(|line| line["ignored"].as_str())
            .collect();
        ignored.sort_unstable();
        ignored.dedup();
        let reasons = ["candle", "open interest", "statistics"];
        assert_eq!(ignored, reasons);
        assert!(lines.iter().all(|line| line["error"].is_null()));
        let events = lines.iter().filter(|line| line["events"].is_array());
        assert_eq!(events.count(), 39 - 6);
    }

    #[test]
    fn the_venues_own_digits_and_ids() {
        let trade = r#"{"topic":"trade.BTCUSDT","data":[{"symbol":"BTCUSDT","price":57170.50,"size":0.04,"trade_time_ms":"1616304737092","side":"Buy","trade_id":"fe9ef57c-2571-5728-847b-7bc039b6b52d"}]}"#;
        let execution = r#"{"topic":"execution","data":[{"category":"spot","symbol":"BTCUSDT","execId":"2290000000061666327","execType":"Trade","execPrice":"65000.00","execQty":"0.004","execFee":"0.000004","feeCurrency":"BTC","isMaker":false,"orderId":"1523347543495541248","orderLinkId":"sl-1z141z5","side":"Buy","execTime":"1760000000470"}]}"#;
        let answer = r#"{"reqId":"r-2","retCode":110007,"retMsg":"x","op":"order.create","data":{},"retExtInfo":{}}"#;
        let option = r#"{"topic":"tickers.BTC-28JUN24-60000-P","type":"snapshot","data":{"symbol":"BTC-28JUN24-60000-P","bidPrice":"3475","bidSize":"10.14","askPrice":"","askSize":"0","lastPrice":"3565"}}"#;
        let lines = decoded([trade, execution, answer, option].join("\n").as_bytes());
        let event = |line: usize| &lines[line]["events"][0];
        assert_eq!(event(0)["price"], "57170.50");
        assert_eq!(event(0)["trade_id"], "fe9ef57c-2571-5728-847b-7bc039b6b52d");
        let fill = event(1);
        assert_eq!(fill["order_id"], "1523347543495541248");
        assert_eq!(
            (&fill["fee_asset"], &fill["liquidity"]),
            (&json!("BTC"), &json!("taker"))
        );
        assert_eq!(event(2)["reason"], "insufficient_funds");
        assert_eq!(event(3)["bid"], json!(["3475", "10.14"]));
        assert_eq!(event(3)["ask"], Value::Null);
    }
}
