//! Kraken Futures to the offline tools: the Unified WebSocket, and the legacy interface of recordings.

use super::{Names, Signed, Tool};
use anyhow::Context as _;
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, Secrets, VenueConfig};
use dp_venue_kraken_futures::auth::Auth;
use serde_json::{Map, Value, json};

/// Kraken Futures to the tools.
#[derive(Debug)]
pub struct KrakenFuturesTool;

/// Whether a ticker is one of the legacy feed.
fn is_ticker(message: &Value) -> bool {
    message["feed"] == "ticker" || message["feed"] == "ticker_lite"
}

impl Tool for KrakenFuturesTool {
    type Machine = dp_venue_kraken_futures::KrakenFutures;
    type Rule = dp_venue_kraken_futures::sync::KrakenFuturesSync;
    const ID: VenueId = VenueId::KRAKEN_FUTURES;
    const LINK: LinkId = dp_venue_kraken_futures::LINK_PUBLIC;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_kraken_futures::KrakenFutures::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_kraken_futures::sync::KrakenFuturesSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_kraken_futures::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        let in_url = url.and_then(|url| {
            url.split(['?', '&'])
                .find_map(|pair| pair.strip_prefix("symbol="))
        });
        names.symbol(in_url);
        // Lists of instruments name hundreds that nobody trades: only what messages are about.
        if url.is_some_and(|url| url.contains("/instruments")) || message["channel"] == "instrument"
        {
            return;
        }
        names.symbol(message["product_id"].as_str());
        let lists = [
            "data",
            "orders",
            "fills",
            "openOrders",
            "openPositions",
            "batchStatus",
        ];
        let listed = lists
            .iter()
            .flat_map(|key| message[key].as_array().into_iter().flatten());
        let single = [
            &message["order"],
            &message["sendStatus"],
            &message["editStatus"],
            &message["cancelStatus"],
        ];
        for item in listed.chain(single) {
            for key in ["symbol", "instrument"] {
                names.symbol(item[key].as_str());
            }
            for key in ["asset", "fee_currency"] {
                names.asset(item[key].as_str());
            }
            for fee in item["fees"].as_array().into_iter().flatten() {
                names.asset(fee["asset"].as_str());
            }
            for event in item["orderEvents"].as_array().into_iter().flatten() {
                names.symbol(event["order"]["symbol"].as_str());
                names.symbol(event["new"]["symbol"].as_str());
            }
        }
        for account in message["accounts"].as_object().into_iter().flatten() {
            for key in ["balances", "currencies"] {
                for (name, _) in account.1[key].as_object().into_iter().flatten() {
                    names.asset(Some(&name.to_ascii_uppercase()));
                }
            }
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        if !is_ticker(message) {
            return None;
        }
        let side = |price: &Value, qty: &Value| match (price, qty) {
            (Value::Number(price), Value::Number(qty)) => {
                json!([price.to_string(), qty.to_string()])
            }
            _ => Value::Null,
        };
        Some(json!({
            "kind": "ticker",
            "symbol": message["product_id"],
            "last": message["last"],
            "bid": side(&message["bid"], &message["bid_size"]),
            "ask": side(&message["ask"], &message["ask_size"]),
            "volume": message["volume"],
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        use dp_venue_kraken_futures::reject;
        let (item, refusal) = if let Some(is_done) = message["success"].as_bool() {
            let method = message["method"].as_str()?;
            if !method.ends_with("_order") {
                return None;
            }
            let error = message["error"].as_str().unwrap_or("");
            (
                &message["result"],
                (!is_done).then(|| (error, reject::unified(error))),
            )
        } else {
            let item = ["sendStatus", "editStatus", "cancelStatus"]
                .iter()
                .map(|key| &message[key])
                .find(|item| item.is_object())?;
            let status = item["status"].as_str()?;
            let is_done = ["placed", "edited", "cancelled"].contains(&status);
            (item, (!is_done).then(|| (status, reject::legacy(status))))
        };
        let first = |keys: [&str; 2]| {
            let found = keys.iter().map(|key| &item[key]);
            found.into_iter().find(|value| !value.is_null()).cloned()
        };
        Some(json!({
            "kind": "ack",
            "client_id": first(["cl_ord_id", "cliOrdId"]),
            "order_id": first(["order_id", "orderId"]),
            "reason": refusal.map_or("none", |(_, refusal)| refusal.reason.name()),
            "code": refusal.map(|(word, _)| word),
        }))
    }

    fn checksum(bits: u32) -> Value {
        json!(bits)
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_kraken_futures::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_kraken_futures::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let text = dp_venue_kraken_futures::symbols::client_id_text(id);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Signs a challenge of the legacy feed (`challenge`, or a `message` that has one), a legacy request (`path` with
    /// `/api/v3/`) or one of the spot host, which gives the token. The payload shown is what is hashed.
    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or("");
        let auth = Auth::new(&Secrets {
            // The published vectors have no name of the key; it is not signed.
            api_key: match text("key") {
                "" => "key".to_owned(),
                key => key.to_owned(),
            },
            api_secret: Some(text("secret"))
                .filter(|secret| !secret.is_empty())
                .context("`secret` is missing or empty")?
                .into(),
            ..Secrets::default()
        })
        .context("`key` is empty")?;
        let asked = request.get("message").unwrap_or(&Value::Null);
        let challenge = match (text("challenge"), &asked["event"], &asked["message"]) {
            ("", event, Value::String(challenge)) if event == "challenge" => challenge,
            ("", ..) => asked["original_challenge"].as_str().unwrap_or(""),
            (challenge, ..) => challenge,
        };
        if !challenge.is_empty() {
            let signature = auth.sign_challenge(challenge).as_str().to_owned();
            let feed = asked["feed"].as_str().unwrap_or("open_orders");
            return Ok(Signed {
                payload: challenge.to_owned(),
                request: json!({
                    "event": "subscribe",
                    "feed": feed,
                    "api_key": auth.api_key(),
                    "original_challenge": challenge,
                    "signed_challenge": signature,
                }),
                signature,
            });
        }
        sign_rest(&auth, request)
    }
}

/// A REST request: `request`, the parts of a `signed_payload`, or `path`, `nonce` and `body` by themselves.
fn sign_rest(auth: &Auth, object: &Map<String, Value>) -> anyhow::Result<Signed> {
    let request = object.get("request").unwrap_or(&Value::Null);
    let given = object.get("signed_payload").unwrap_or(&Value::Null);
    let whole = Value::Object(object.clone());
    let find = |keys: &[&str]| {
        let places = [request, given, &whole];
        let mut found = places
            .into_iter()
            .flat_map(|place| keys.iter().map(move |key| &place[*key]));
        found
            .find_map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .unwrap_or_default()
    };
    let url = find(&["url", "path"]);
    anyhow::ensure!(
        !url.is_empty(),
        "there is no `request`, no `path` and no `challenge` to sign"
    );
    let target = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => &url,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = find(&["body", "postdata", "postData", "data"]);
    let is_legacy = path.contains("/api/v3/");
    let nonce = match (find(&["nonce", "Nonce"]), object["secret"].as_str()) {
        (nonce, _) if !nonce.is_empty() => nonce,
        // The spot host takes its nonce from the body, the legacy one from a header or does without.
        _ => {
            let in_body = body.split('&').find_map(|pair| pair.strip_prefix("nonce="));
            let in_header = request["headers"]["Nonce"].as_str();
            in_body.or(in_header).unwrap_or("").to_owned()
        }
    };
    let data = if body.is_empty() { query } else { &body };
    let (payload, signature, names) = if is_legacy {
        let signed = dp_venue_kraken_futures::auth::legacy_path(path);
        (
            format!("{data}{nonce}{signed}"),
            auth.sign_legacy(path, &nonce, data),
            ("APIKey", "Authent"),
        )
    } else {
        anyhow::ensure!(
            !nonce.is_empty(),
            "`nonce` is neither there nor in the body"
        );
        (
            format!("{path}{nonce}{data}"),
            auth.sign_spot(path, &nonce, data),
            ("API-Key", "API-Sign"),
        )
    };
    let mut headers = match &request["headers"] {
        Value::Object(headers) => headers.clone(),
        _ => Map::new(),
    };
    headers.insert(names.0.into(), json!(auth.api_key()));
    headers.insert(names.1.into(), json!(signature.as_str()));
    if is_legacy && !nonce.is_empty() {
        headers.insert("Nonce".into(), json!(nonce));
    }
    let mut made = match request {
        Value::Object(request) => request.clone(),
        _ => Map::new(),
    };
    made.entry("url").or_insert_with(|| json!(url));
    made.insert("headers".into(), Value::Object(headers));
    if !body.is_empty() {
        made.insert("body".into(), json!(body));
    }
    Ok(Signed {
        payload,
        signature: signature.as_str().to_owned(),
        request: Value::Object(made),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::{decode_lines, sign_object};

    fn decoded(input: &str) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<KrakenFuturesTool>(input.as_bytes(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    const SECRET: &str =
        "7zxMEF5p/Z8l2p2U7Ghv6x14Af+Fx+92tPgUdVQ748FOIrEoT9bgT+bTRfXc5pz8na+hL/QdrCVG7bh9KpT0eMTm";

    fn signed(mut request: Value) -> Value {
        request["secret"] = json!(SECRET);
        sign_object(VenueId::KRAKEN_FUTURES, request.as_object().unwrap()).unwrap()
    }

    #[test]
    fn vectors_of_the_venue_page() {
        let challenge = "c100b894-1729-464d-ace1-52dbce11db42";
        let want = "4JEpF3ix66GA2B+ooK128Ift4XQVtc137N9yeg4Kqsn9PI0Kpzbysl9M1IeCEdjg0zl00wkVqcsnG4bmnlMb3A==";
        for request in [
            json!({"challenge": challenge}),
            json!({"message": {"event": "challenge", "message": challenge}}),
        ] {
            let made = signed(request);
            assert_eq!(made["signature"], want);
            assert_eq!(made["request"]["original_challenge"], challenge);
        }
        let data =
            "orderType=lmt&symbol=PF_XBTUSD&side=buy&size=0.01&limitPrice=65000&cliOrdId=hbx-1";
        let path = "/api/v3/sendorder";
        let want = "tSzO5V29uQHEt4AI7ryJ6j6pGw1+uaIn5WzidLVQoienmwX+atTLlS/KoEo/MSI8EGydScri6a6W2t2ShZlcrw==";
        let nonce = "1700000000000";
        for request in [
            json!({"path": path, "nonce": nonce, "body": data}),
            json!({"signed_payload": {"path": path, "nonce": nonce, "postData": data}}),
            json!({"request": {"url": format!("https://futures.kraken.com/derivatives{path}"), "method": "POST",
                "headers": {"Nonce": nonce}, "body": data}}),
        ] {
            let made = signed(request);
            assert_eq!(made["signature"], want);
            assert_eq!(made["signed_payload"], format!("{data}{nonce}{path}"));
            assert_eq!(made["request"]["headers"]["Authent"], want);
        }
        let made = signed(json!({"path": "/api/v3/openorders", "nonce": nonce, "method": "GET"}));
        assert_eq!(
            made["signature"],
            "1Pfx579dcy9h1hLLDRHtvgeunn7H9WfjKT+8SHSU+VRY1UKpZqX1vR3nbpN8f4lThlVVX0u/7iZUaeaFeIKQQQ=="
        );
    }

    #[test]
    fn what_cannot_be_signed_says_what_is_missing() {
        for (request, word) in [
            (json!({}), "`secret`"),
            (json!({"secret": SECRET}), "`challenge`"),
            (
                json!({"secret": SECRET, "path": "/0/private/Balance"}),
                "`nonce`",
            ),
        ] {
            let error =
                sign_object(VenueId::KRAKEN_FUTURES, request.as_object().unwrap()).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
    }

    #[test]
    fn the_recording_has_no_gap() {
        let Some(path) = capture_path("kraken-futures/v1-20210722.jsonl.gz") else {
            return;
        };
        let report = replay_file("kraken-futures", &path).unwrap();
        assert_eq!(report["decode_errors"], 0, "{}", report["first_error"]);
        let symbols = report["symbols"].as_object().unwrap();
        assert_eq!(symbols.len(), 10);
        for (symbol, entry) in symbols {
            assert_eq!((&entry["gaps"], &entry["crossed"]), (&json!(0), &json!(0)));
            assert_eq!(entry["synced"], true, "{symbol}");
        }
    }

    #[test]
    fn messages_of_both_protocols_and_foreign_answers() {
        let lines = decoded(
            r#"{"channel":"executions","type":"update","data":[{"order_id":"cff769bb-dc52-56e1-98c8-22301dc888ae","cl_ord_id":"6d1b345e-2821-40e2-ad83-4ecb18a06876","symbol":"PF_XBTUSD","exec_type":"new","order_status":"new","side":"buy","order_type":"limit","order_qty":0.01,"limit_price":65000,"cum_qty":0,"timestamp":"2026-10-05T10:00:00.001500Z"}],"sequence":2}
{"channel":"executions","type":"update","data":[{"order_id":"cff769bb-dc52-56e1-98c8-22301dc888ae","symbol":"PF_XBTUSD","exec_type":"trade","order_status":"partially_filled","exec_id":"6a22a3fb-e18e-4e76-b841-8689735c9158","last_qty":0.004,"last_price":65000,"liquidity_ind":"m","cum_qty":0.004,"timestamp":"2026-10-05T10:00:03.001500Z"}],"sequence":3}
{"method":"add_order","req_id":2,"success":true,"result":{"order_id":"cff769bb-dc52-56e1-98c8-22301dc888ae","cl_ord_id":"hbx-2"},"time_in":"2026-10-05T10:00:01.000000Z","time_out":"2026-10-05T10:00:01.002000Z"}
{"result":"success","sendStatus":{"status":"insufficientAvailableFunds","receivedTime":"2026-10-05T10:00:00.221Z"}}
{"feed":"ticker","product_id":"PF_XBTUSD","bid":65000,"ask":65001,"bid_size":0.5,"ask_size":0.24,"last":65001}"#,
        );
        assert_eq!(lines[0]["events"][0]["state"], "ACK");
        let fill = &lines[1]["events"][0];
        assert_eq!(
            (&fill["side"], &fill["qty"]),
            (&json!("buy"), &json!("0.004"))
        );
        assert_eq!(fill["trade_id"], "6a22a3fb-e18e-4e76-b841-8689735c9158");
        assert_eq!(lines[2]["events"][0]["client_id"], "hbx-2");
        assert_eq!(lines[3]["events"][0]["reason"], "insufficient_funds");
        assert_eq!(lines[4]["events"][0]["bid"], json!(["65000", "0.5"]));
        let record = json!({"url": "https://futures.kraken.com/derivatives/api/v3/sendorder",
            "raw": r#"{"result":"success","sendStatus":{"status":"insufficientAvailableFunds"}}"#});
        let lines = decoded(&record.to_string());
        assert_eq!(lines[0]["events"][0]["reason"], "insufficient_funds");
    }
}
