//! Kraken spot to the offline tools.

use super::{Names, Signed, Tool, shape};
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_kraken::symbols;
use serde_json::{Map, Value, json};

/// Kraken spot to the tools.
#[derive(Debug)]
pub struct KrakenTool;

impl Tool for KrakenTool {
    type Machine = dp_venue_kraken::Kraken;
    type Rule = dp_venue_kraken::sync::KrakenSync;
    const ID: VenueId = VenueId::KRAKEN;
    const LINK: LinkId = dp_venue_kraken::LINK_PUBLIC;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_kraken::Kraken::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_kraken::sync::KrakenSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_kraken::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        if let Some(frame) = message.as_array() {
            return names_of_v1(frame, names);
        }
        // The list of pairs names hundreds that nobody trades: only what messages are about.
        if url.is_some_and(|url| url.contains("/AssetPairs")) {
            return;
        }
        for item in message["data"].as_array().into_iter().flatten() {
            names.symbol(item["symbol"].as_str());
            names.asset(item["asset"].as_str());
            for fee in item["fees"].as_array().into_iter().flatten() {
                names.asset(fee["asset"].as_str());
            }
        }
        if url.is_some() {
            names_of_rest(&message["result"], names);
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        // v2's ticker is a best quote to the machine; v1's names its lots beside it.
        let frame = message.as_array().filter(|frame| frame.len() == 4)?;
        if frame[2] != "ticker" {
            return None;
        }
        let item = &frame[1];
        Some(json!({
            "kind": "ticker",
            "symbol": frame[3],
            "last": item["c"][0],
            "bid": super::ticker_side(&item["b"][0], &item["b"][2]),
            "ask": super::ticker_side(&item["a"][0], &item["a"][2]),
            "volume": item["v"][1],
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        let orders = ["add_order", "amend_order", "edit_order", "cancel_order"];
        let method = message["method"].as_str()?;
        if !orders.contains(&method) {
            return None;
        }
        let error = message["error"].as_str();
        let (code, reason) = match (message["success"].as_bool()?, error) {
            (true, _) => (0, dp_types::RejectReason::None),
            (false, words) => dp_venue_kraken::reject::error(words.unwrap_or("")),
        };
        Some(json!({
            "kind": "ack",
            "client_id": message["result"]["cl_ord_id"],
            "order_id": message["result"]["order_id"],
            "reason": reason.name(),
            "code": code,
        }))
    }

    fn url_of(message: &Value, _symbol: &str) -> Option<String> {
        let result = message.get("error").and(message["result"].as_object())?;
        let all = |test: fn(&Value) -> bool| !result.is_empty() && result.values().all(test);
        let path = if result.contains_key("token") {
            "private/GetWebSocketsToken"
        } else if result.contains_key("open") {
            "private/OpenOrders"
        } else if result.contains_key("closed") {
            "private/ClosedOrders"
        } else if result.contains_key("trades") {
            "private/TradesHistory"
        } else if all(|value| value.get("descr").is_some() && value.get("status").is_some()) {
            "private/QueryOrders"
        } else if all(|value| value.get("wsname").is_some()) {
            "public/AssetPairs"
        } else if all(Value::is_string)
            && result
                .keys()
                .all(|key| !key.contains(|it: char| it.is_lowercase()))
        {
            "private/Balance"
        } else {
            return None;
        };
        Some(format!("/0/{path}"))
    }

    fn others(message: &Value, _symbol: &str) -> Vec<Value> {
        let Some(result) = message["result"].as_object() else {
            return Vec::new();
        };
        // What an order request is answered with: the ids, or how many were cancelled.
        if let Some(ids) = result.get("txid").and_then(Value::as_array) {
            return ids.iter().map(ack_json).collect();
        }
        let is_cancel = |key: &String| matches!(key.as_str(), "count" | "pending");
        if !result.is_empty() && result.keys().all(is_cancel) {
            return vec![ack_json(&Value::Null)];
        }
        let mut events = Vec::new();
        for (pair, about) in result {
            if about["a"].is_array() && about["b"].is_array() && about["c"].is_array() {
                events.extend(Self::ticker(&json!([
                    0,
                    rest_ticker(about),
                    "ticker",
                    pair
                ])));
            }
            for row in about.as_array().into_iter().flatten() {
                events.extend(row_json(pair, row));
            }
        }
        events
    }

    fn checksum(bits: u32) -> Value {
        json!(bits)
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let mut text = Vec::with_capacity(16);
        symbols::push_client_id(id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        crate::venue_tools::sign_kraken(request)
    }

    fn payload(signed: &Signed) -> Value {
        serde_json::from_str(&signed.payload).unwrap_or_default()
    }
}

/// The pair stands last in a public frame, and in each order or trade of a private one.
fn names_of_v1(frame: &[Value], names: &mut Names) {
    let private = ["openOrders", "ownTrades"].map(Value::from);
    if !frame.iter().any(|part| private.contains(part)) {
        names.symbol(frame.last().and_then(Value::as_str));
        return;
    }
    for item in frame
        .first()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        names_of_rest(item, names);
    }
}

/// Orders and trades under their ids, balances under their assets.
fn names_of_rest(items: &Value, names: &mut Names) {
    let nested = ["open", "closed", "trades"]
        .into_iter()
        .find_map(|key| items.get(key));
    let items = nested.unwrap_or(items).as_object();
    for (key, item) in items.into_iter().flatten() {
        let pair = item["pair"].as_str().or(item["descr"]["pair"].as_str());
        names.symbol(pair);
        if pair.is_none() && (item.is_string() || item.get("balance").is_some()) {
            names.asset(Some(symbols::asset_name(key)));
        }
    }
}

/// An accepted order request.
fn ack_json(order_id: &Value) -> Value {
    json!({"kind": "ack", "client_id": null, "order_id": order_id, "reason": "none", "code": 0})
}

/// A ticker of REST as the WebSocket's: with lots, which are not told where the venue leaves them out.
fn rest_ticker(about: &Value) -> Value {
    let mut about = about.clone();
    for side in ["a", "b"] {
        if let Some(fields) = about[side]
            .as_array_mut()
            .filter(|fields| fields.len() == 2)
        {
            let qty = fields.last().cloned().unwrap_or_default();
            fields.push(qty);
        }
    }
    about
}

/// A public trade (price, volume, time, side, kind ...) or a best quote (time, bid, ask).
fn row_json(pair: &str, row: &Value) -> Option<Value> {
    if let Some(side) = shape::side(&row[3]).filter(|_| row[4].is_string()) {
        let what = [shape::digits(&row[0])?, shape::digits(&row[1])?];
        return Some(shape::trade_json(
            pair,
            &row[6],
            Some(side),
            what,
            shape::time_ns(&row[2]),
        ));
    }
    let fields = row.as_array().filter(|row| row.len() == 3)?;
    let ns = fields.first().map(shape::time_ns).filter(|ns| *ns > 0)?;
    Some(json!({
        "kind": "quote",
        "symbol": pair,
        "update_id": -1,
        "bid": [shape::digits(&row[1])?, null],
        "ask": [shape::digits(&row[2])?, null],
        "venue_ns": ns,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::decode_lines;

    fn decoded(lines: &[&str]) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<KrakenTool>(lines.join("\n").as_bytes(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn recordings_of_both_protocols_every_checksum() {
        for (name, symbols, messages, checksums) in [
            ("kraken/v1-20210417.jsonl.gz", 10, 4_279, 4_269),
            ("kraken/v1-book10-xdgusd-202307.jsonl.gz", 1, 15, 14),
            ("kraken/v2-book10-algousd-20241003.jsonl.gz", 1, 2, 2),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("kraken", &path).unwrap();
            let books = report["symbols"].as_object().unwrap();
            let sum = |key: &str| -> u64 {
                let counts = books.values().map(|book| book[key].as_u64().unwrap());
                counts.sum()
            };
            assert_eq!(books.len(), symbols, "{name}");
            assert_eq!(
                (sum("messages"), sum("checksums_ok")),
                (messages, checksums)
            );
            assert_eq!(sum("checksums_failed") + sum("gaps"), 0, "{name}");
            assert_eq!(
                report["decode_errors"], 0,
                "{name}: {}",
                report["first_error"]
            );
            assert!(books.values().all(|book| book["synced"] == true), "{name}");
        }
    }

    #[test]
    fn orders_and_fills_show_the_venues_own_ids() {
        let lines = decoded(&[
            r#"{"channel":"executions","type":"update","data":[{"order_id":"OABCDE-12345-FGHIJK","cl_ord_id":"hbx-000001","symbol":"BTC/USD","side":"buy","order_type":"limit","order_qty":0.01,"limit_price":65000.0,"exec_type":"new","order_status":"new","timestamp":"2026-05-05T10:00:00.124000Z"}],"sequence":7}"#,
            r#"{"channel":"executions","type":"update","data":[{"order_id":"OABCDE-12345-FGHIJK","exec_id":"TQVW2E-DGIAM-WPWXDI","exec_type":"trade","last_qty":0.004,"last_price":65000.0,"liquidity_ind":"m","cum_qty":0.004,"fees":[{"asset":"USD","qty":0.416}],"timestamp":"2026-05-05T10:00:03.000000Z"}],"sequence":8}"#,
            r#"{"method":"add_order","req_id":43,"success":false,"error":"EOrder:Insufficient funds"}"#,
            r#"[340,{"a":["29938.60000",12,"12.41074632"],"b":["29938.50000",0,"0.08410000"],"c":["29938.60000","0.10146338"],"v":["1","2"]},"ticker","XBT/USD"]"#,
            r#"[[{"TDLH43-DVQXD-2KHVYY":{"fee":"1600.00000","ordertxid":"OGTT3Y-C6I3P-XRI6HX","pair":"XBT/USD","price":"100000.00000","time":"1560516023.070651","type":"sell","vol":"1.00000000"}}],"ownTrades",{"sequence":1}]"#,
        ]);
        let event = |line: usize, at: usize| &lines[line]["events"][at];
        assert_eq!(event(0, 0)["state"], "ACK");
        assert_eq!(event(0, 0)["order_id"], "OABCDE-12345-FGHIJK");
        let fill = event(1, 0);
        assert_eq!(
            (&fill["kind"], &fill["symbol"]),
            (&json!("fill"), &json!("BTC/USD"))
        );
        assert_eq!(fill["trade_id"], "TQVW2E-DGIAM-WPWXDI");
        assert_eq!(
            (&fill["fee"], &fill["fee_asset"]),
            (&json!("0.416"), &json!("USD"))
        );
        assert_eq!(event(1, 1)["state"], "PARTIALLY_FILLED");
        assert_eq!(event(2, 0)["reason"], "insufficient_funds");
        assert_eq!(event(3, 0)["bid"], json!(["29938.50000", "0.08410000"]));
        assert_eq!(event(4, 0)["side"], "sell");
    }

    #[test]
    fn rest_answers_are_read_by_their_urls() {
        let record = |name: &str, raw: &str| {
            let url = format!("https://api.kraken.com/0/private/{name}");
            json!({"conn": "http", "url": url, "raw": raw}).to_string()
        };
        let open = r#"{"error":[],"result":{"open":{"OABCDE-12345-FGHIJK":{"status":"open","opentm":1777975200.1245,"descr":{"pair":"XBTUSD","type":"buy","ordertype":"limit","price":"65000.0"},"vol":"0.01000000","vol_exec":"0.00000000"}}}}"#;
        let balances = r#"{"error":[],"result":{"ZUSD":{"balance":"10.5","hold_trade":"0.50"}}}"#;
        let lines = decoded(&[&record("OpenOrders", open), &record("BalanceEx", balances)]);
        assert_eq!(lines[0]["events"][0]["state"], "ACK");
        assert_eq!(lines[0]["events"][0]["symbol"], "XBTUSD");
        assert_eq!(
            lines[1]["events"][0],
            json!({"kind": "balance", "asset": "USD", "free": "10.00", "locked": "0.50"})
        );
    }

    #[test]
    fn a_request_without_a_nonce_gets_one_of_the_clock() {
        let request = json!({
            "key": "k", "secret": "c2VjcmV0", "clock_ms": 1_700_000_000_123u64,
            "path": "/0/private/BalanceEx", "method": "POST",
        });
        let signed = KrakenTool::sign(request.as_object().unwrap()).unwrap();
        assert_eq!(signed.request["body"], "nonce=1700000000123");
        assert_eq!(KrakenTool::payload(&signed)["nonce"], "1700000000123");
        let json_body = json!({
            "secret": "c2VjcmV0", "path": "/0/private/AddOrder", "body": "{\"nonce\":\"7\"}",
        });
        let signed = KrakenTool::sign(json_body.as_object().unwrap()).unwrap();
        assert_eq!(KrakenTool::payload(&signed)["nonce"], "7");
        for bad in [
            json!({"secret": "s"}),
            json!({"secret": "s", "path": "/x"}),
            json!({}),
        ] {
            assert!(KrakenTool::sign(bad.as_object().unwrap()).is_err());
        }
    }
}
