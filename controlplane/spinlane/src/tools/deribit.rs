//! Deribit to the offline tools.

use super::{Names, Signed, Tool};
use crate::venue_tools::{
    FixLogon, body_of, clock_ms, method_of, need, request_of, secrets, target_of, text,
};
use anyhow::Context as _;
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_deribit::auth::Auth;
use serde_json::{Map, Value, json};

/// Deribit to the tools.
#[derive(Debug)]
pub struct DeribitTool;

impl Tool for DeribitTool {
    type Machine = dp_venue_deribit::Deribit;
    type Rule = dp_venue_deribit::sync::DeribitSync;
    const ID: VenueId = VenueId::DERIBIT;
    const LINK: LinkId = dp_venue_deribit::LINK_MD;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_deribit::Deribit::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_deribit::sync::DeribitSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_deribit::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        let in_url = url.and_then(|url| {
            url.split(['?', '&'])
                .find_map(|pair| pair.strip_prefix("instrument_name="))
        });
        names.symbol(in_url);
        // The instruments list names thousands that nobody trades: only what messages are about.
        if url.is_some_and(|url| url.contains("/get_instruments")) {
            return;
        }
        let channel = message["params"]["channel"].as_str().unwrap_or("");
        if let Some(about) = channel
            .strip_prefix("book.")
            .or(channel.strip_prefix("quote."))
        {
            names.symbol(about.split('.').next());
        }
        note(&message["params"]["data"], names);
        note(&message["result"], names);
        if message["result"].is_null() && message["params"].is_null() {
            note(message, names);
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        let channel = message["params"]["channel"].as_str()?;
        if !channel.starts_with("ticker.") {
            return None;
        }
        let item = &message["params"]["data"];
        Some(json!({
            "kind": "ticker",
            "symbol": item["instrument_name"],
            "last": printed(&item["last_price"]),
            "bid": side(&item["best_bid_price"], &item["best_bid_amount"]),
            "ask": side(&item["best_ask_price"], &item["best_ask_amount"]),
            "volume": printed(&item["stats"]["volume"]),
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        if message.get("method").is_some() || message["id"].is_null() {
            return None;
        }
        let code = &message["error"]["code"];
        let result = &message["result"];
        let order = if result["order"].is_object() {
            &result["order"]
        } else {
            result
        };
        if code.is_null() && !order["order_id"].is_string() {
            return None;
        }
        let code = i32::try_from(code.as_i64().unwrap_or(0)).ok()?;
        Some(json!({
            "kind": "ack",
            "client_id": order["label"],
            "order_id": order["order_id"],
            "reason": dp_venue_deribit::reject::reason(code).name(),
            "code": code,
        }))
    }

    fn checksum(_bits: u32) -> Value {
        Value::Null // the venue has none
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_deribit::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_deribit::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let mut text = Vec::with_capacity(16);
        dp_venue_deribit::symbols::push_client_id(id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        sign(request)
    }
}

/// Notes what an object, and the objects in its lists, are about.
fn note(value: &Value, names: &mut Names) {
    if let Some(list) = value.as_array() {
        for item in list {
            note(item, names);
        }
        return;
    }
    names.symbol(value["instrument_name"].as_str());
    for key in ["fee_currency", "currency"] {
        names.asset(value[key].as_str());
    }
    for key in ["order", "orders", "trades", "positions", "summaries"] {
        if value[key].is_array() || value[key].is_object() {
            note(&value[key], names);
        }
    }
}

/// A number as text, `null` where there is none.
fn printed(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        _ => Value::Null,
    }
}

/// One side of a ticker, `null` when it is empty.
fn side(price: &Value, qty: &Value) -> Value {
    match (price.as_f64(), qty.as_f64()) {
        (Some(_), Some(size)) if size > 0.0 => json!([printed(price), printed(qty)]),
        _ => Value::Null,
    }
}

/// Signs for Deribit: a REST request, a login message, or a bare payload. A nonce that is not given is the time's
/// digits, as others make it.
fn sign(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    let auth = Auth::new(&secrets(object)?).context("`key` is empty")?;
    let signature_of = |payload: &str| auth.sign(&[payload.as_bytes()]).as_str().to_owned();
    if let Some(logon) = FixLogon::of(object) {
        // What is hashed behind it is the secret itself: shown is what goes over the wire.
        let raw = logon.need(96)?;
        let password = Auth::logon_password(raw, need(object, "secret")?);
        return Ok(FixLogon::signed(raw.to_owned(), password, 554));
    }
    if let Some(mut request) = request_of(object) {
        let target = target_of(need(&request, "url")?).to_owned();
        let (method, body) = (method_of(&request)?, body_of(&request));
        let mut headers = match request.get("headers") {
            Some(Value::Object(headers)) => headers.clone(),
            _ => Map::new(),
        };
        let part = |name: &str| {
            let parts = text(&headers, "Authorization").split([' ', ',']);
            parts.filter_map(|part| part.strip_prefix(name)).next_back()
        };
        let ms = match part("ts=") {
            Some(ms) => ms.parse().context("`ts` of Authorization is no number")?,
            None => clock_ms(object).context("neither `clock_ms` nor a `ts` is there")?,
        };
        let nonce = part("nonce=").map_or_else(|| ms.to_string(), str::to_owned);
        let payload = Auth::rest_payload(ms, &nonce, method, &target, &body);
        let authorization = auth.authorization(ms, &nonce, method, &target, &body);
        headers.insert("Authorization".into(), json!(authorization));
        request.insert("headers".into(), Value::Object(headers));
        return Ok(Signed {
            signature: signature_of(&payload),
            payload,
            request: Value::Object(request),
        });
    }
    if let Some(message) = object.get("message").filter(|message| message.is_object()) {
        let mut message = message.clone();
        let params = message["params"]
            .as_object_mut()
            .context("the message has no `params`")?;
        let ms = params.get("timestamp").and_then(Value::as_u64);
        let ms = ms
            .or_else(|| clock_ms(object))
            .context("neither `clock_ms` nor the message's timestamp is there")?;
        let nonce = match text(params, "nonce") {
            "" => ms.to_string(),
            nonce => nonce.to_owned(),
        };
        let payload = Auth::login_payload(ms, &nonce) + text(params, "data");
        let signature = signature_of(&payload);
        for (name, value) in [
            ("timestamp", json!(ms)),
            ("nonce", json!(nonce)),
            ("signature", json!(signature)),
        ] {
            params.insert(name.into(), value);
        }
        return Ok(Signed {
            payload,
            signature,
            request: message,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::decode_lines;

    #[test]
    fn recordings_have_no_gap() {
        for (name, messages) in [
            ("deribit/ws-20210405.jsonl.gz", 187),
            ("deribit/ws-20210722.jsonl.gz", 46),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("deribit", &path).unwrap();
            let symbols = report["symbols"].as_object().unwrap();
            let total = |key: &str| -> u64 {
                let counts = symbols.values().map(|entry| entry[key].as_u64().unwrap());
                counts.sum()
            };
            assert_eq!((symbols.len(), total("messages")), (10, messages), "{name}");
            assert_eq!(total("gaps") + total("checksums_failed"), 0);
            assert_eq!(report["decode_errors"], 0);
            assert!(symbols.values().all(|entry| entry["synced"] == true));
        }
    }

    #[test]
    fn lines_decode_in_the_venues_own_digits() {
        let push = |channel: &str, data: Value| {
            json!({"method": "subscription", "params": {"channel": channel, "data": data}})
                .to_string()
        };
        let quote = r#"{"method":"subscription","params":{"channel":"quote.A","data":{"timestamp":1,"instrument_name":"A","best_bid_price":65000.0,"best_bid_amount":10,"best_ask_amount":0.0}}}"#;
        let ticker = push(
            "ticker.A.100ms",
            json!({"instrument_name": "A", "last_price": 1.5, "best_bid_price": 1.0, "best_bid_amount": 2.0, "best_ask_price": 0.0, "best_ask_amount": 0.0, "stats": {"volume": null}}),
        );
        let portfolio = push(
            "user.portfolio.btc",
            json!({"currency": "BTC", "available_funds": 1.25}),
        );
        let refused = r#"{"id":4,"error":{"code":10009,"message":"not_enough_funds"}}"#;
        let mut output = Vec::new();
        let input = [quote, &ticker, &portfolio, refused].join("\n");
        decode_lines::<DeribitTool>(input.as_bytes(), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        let line =
            |at: usize| -> Value { serde_json::from_str(output.lines().nth(at).unwrap()).unwrap() };
        assert_eq!(line(0)["events"][0]["bid"], json!(["65000.0", "10"]));
        assert_eq!(line(0)["events"][0]["ask"], Value::Null);
        assert_eq!(line(1)["events"][0]["bid"], json!(["1.0", "2.0"]));
        assert_eq!(line(1)["events"][0]["ask"], Value::Null);
        assert_eq!(line(2)["events"][0]["asset"], "BTC");
        assert_eq!(line(3)["events"][0]["reason"], "insufficient_funds");
    }

    #[test]
    fn a_login_and_a_request_of_the_venue_page() {
        let signed = |mut object: Value| {
            object["key"] = json!("AMANDA");
            object["secret"] = json!("AMANDASECRECT");
            sign(object.as_object().unwrap()).unwrap()
        };
        let params = json!({"timestamp": 1_576_074_319_000u64, "nonce": "1iqt2wls", "data": ""});
        let login = signed(json!({"message": {"method": "public/auth", "params": params}}));
        let want = "56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1";
        assert_eq!(login.payload, "1576074319000\n1iqt2wls\n");
        assert_eq!(login.request["params"]["signature"], want);
        let given = "deri-hmac-sha256 id=AMANDA,ts=1576074319000,sig=,nonce=1iqt2wls";
        let request = signed(json!({"request": {
            "url": "https://www.deribit.com/api/v2/private/get_account_summary?currency=BTC",
            "method": "GET",
            "headers": {"Authorization": given},
        }}));
        let want = "9bfbc51a2bc372d72cc396cf1a213dc78d42eb74cb7dc272351833ad0de276ab";
        assert_eq!(request.signature, want);
        let sent = request.request["headers"]["Authorization"]
            .as_str()
            .unwrap();
        assert_eq!(sent, given.replace("sig=", &format!("sig={want}")));
    }

    #[test]
    fn names_are_found_wherever_messages_have_them() {
        let names = |message: Value, url: Option<&str>| {
            let mut names = Names::default();
            DeribitTool::names(&message, url, &mut names);
            let all = names.symbols.into_iter().chain(names.assets);
            all.collect::<Vec<_>>().join(" ")
        };
        let push = |channel: &str, data: Value| {
            names(json!({"params": {"channel": channel, "data": data}}), None)
        };
        assert_eq!(push("book.BTC-PERPETUAL.raw", json!({})), "BTC-PERPETUAL");
        assert_eq!(
            push("trades.option.any.raw", json!([{"instrument_name": "A-1"}])),
            "A-1"
        );
        let changes = json!({"instrument_name": "B", "trades": [{"fee_currency": "BTC"}]});
        assert_eq!(push("user.changes.any.any.raw", changes), "B BTC");
        assert_eq!(names(json!({"instrument_name": "C"}), None), "C");
        let list = json!({"result": [{"instrument_name": "D"}]});
        assert_eq!(
            names(
                list.clone(),
                Some("/api/v2/public/get_instruments?currency=BTC")
            ),
            ""
        );
        assert_eq!(names(list, Some("/api/v2/private/get_positions")), "D");
    }

    #[test]
    fn answers_about_foreign_orders() {
        let ack = |message: Value| DeribitTool::foreign_ack(&message);
        let refused = ack(json!({"id": 4, "error": {"code": 10_009, "message": "x"}})).unwrap();
        assert_eq!(refused["reason"], "insufficient_funds");
        let order = json!({"id": 3, "result": {"order": {"order_id": "1", "label": "hbx-1"}}});
        assert_eq!(ack(order).unwrap()["client_id"], "hbx-1");
        assert_eq!(
            ack(json!({"id": 3, "result": {"order_id": "7"}})).unwrap()["order_id"],
            "7"
        );
        for other in [
            json!({"id": 1, "result": ["book.X.raw"]}),
            json!({"method": "heartbeat"}),
            json!({"result": {"order_id": "7"}}),
        ] {
            assert_eq!(ack(other), None);
        }
    }
}
