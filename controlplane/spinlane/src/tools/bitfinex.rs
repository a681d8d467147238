//! Bitfinex to the offline tools.

use super::{Names, Signed, Tool, shape};
use crate::venue_tools::{body_of, clock_ms, need, request_of, secrets, target_of, text};
use anyhow::Context as _;
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, RejectReason, Side, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_bitfinex::auth::Auth;
use serde_json::{Map, Value, json};

/// Bitfinex to the tools.
#[derive(Debug)]
pub struct BitfinexTool;

impl Tool for BitfinexTool {
    type Machine = dp_venue_bitfinex::Bitfinex;
    type Rule = dp_venue_bitfinex::sync::BitfinexSync;
    const ID: VenueId = VenueId::BITFINEX;
    const LINK: LinkId = dp_venue_bitfinex::LINK_MARKET;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_bitfinex::Bitfinex::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_bitfinex::sync::BitfinexSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_bitfinex::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        if let Some(url) = url {
            return names_of_answer(message, url, names);
        }
        // A subscription, or a channel that a recorder wrote in the place of its number.
        for named in [message, &message[0]] {
            let channel = named["channel"].as_str();
            if matches!(channel, Some("book" | "trades" | "ticker")) {
                names.symbol(named["symbol"].as_str());
            }
        }
        if message[0].as_u64() != Some(0) {
            return;
        }
        let data = &message[2];
        match message[1].as_str().unwrap_or("") {
            "os" | "on" | "ou" | "oc" => rows(data, |row| names.symbol(row[3].as_str())),
            "n" => rows(&data[4], |row| names.symbol(row[3].as_str())),
            "te" | "tu" => rows(data, |row| of_trade(row, names)),
            "ws" | "wu" => rows(data, |row| names.asset(row[1].as_str())),
            "ps" | "pn" | "pu" | "pc" => rows(data, |row| names.symbol(row[0].as_str())),
            _ => {}
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        let fields = message[1].as_array()?;
        let is_number = |value: &Value| value.is_number() || value.is_null();
        // Which channel a number stands for is known only beside its subscription: a ticker is told by its shape.
        if !(10..=11).contains(&fields.len()) || !fields.iter().all(is_number) {
            return None;
        }
        let printed = |index: usize| match &message[1][index] {
            Value::Null => Value::Null,
            number => json!(number.to_string()),
        };
        // Its sizes are sums over 25 levels, not what stands at the best price.
        Some(json!({
            "kind": "ticker",
            "symbol": message[0]["symbol"],
            "last": printed(6),
            "bid": [printed(0), Value::Null],
            "ask": [printed(2), Value::Null],
            "volume": printed(7),
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        let notice = &message[2];
        if message[1] != "n" || !notice[1].as_str()?.ends_with("-req") {
            return None;
        }
        let order = if notice[4][0].is_array() {
            &notice[4][0]
        } else {
            &notice[4]
        };
        let code = i32::try_from(notice[5].as_i64().unwrap_or(0)).ok()?;
        let words = notice[7].as_str().unwrap_or("");
        let reason = match notice[6].as_str()? {
            "SUCCESS" => RejectReason::None,
            _ => dp_venue_bitfinex::reject::reason(code, words),
        };
        Some(json!({
            "kind": "ack",
            "client_id": order[2],
            "order_id": order[0],
            "reason": reason.name(),
            "code": code,
        }))
    }

    fn others(message: &Value, symbol: &str) -> Vec<Value> {
        let data = &message[2];
        let row_or_rows = |value: &Value| match value {
            Value::Array(rows) if rows.iter().all(Value::is_array) => rows.clone(),
            row => vec![row.clone()],
        };
        match (message[0].as_u64(), message[1].as_str()) {
            // Told before all of it is known: a fill without its fee, a wallet without what is free in it.
            (Some(0), Some("te" | "tu")) => own_trade(data).into_iter().collect(),
            (Some(0), Some("ws" | "wu")) => row_or_rows(data).iter().filter_map(wallet).collect(),
            (Some(0), _) => Vec::new(),
            // The channel's subscription was not seen: what it is of is told by its rows.
            (Some(_), Some("te" | "tu")) => rows_json(std::slice::from_ref(data), symbol),
            (Some(_), None) => rows_json(&row_or_rows(&message[1]), symbol),
            _ => rows_json(&row_or_rows(message), symbol),
        }
    }

    fn checksum(bits: u32) -> Value {
        json!(bits.cast_signed())
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_bitfinex::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_bitfinex::symbols::parse_client_id(text)
    }

    fn client_text(id: ClientOrderId) -> String {
        id.0.to_string()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        sign(request)
    }
}

/// One row, or each of a list.
fn rows(data: &Value, mut note: impl FnMut(&Value)) {
    if data[0].is_array() {
        data.as_array().into_iter().flatten().for_each(note);
    } else {
        note(data);
    }
}

fn of_trade(row: &Value, names: &mut Names) {
    names.symbol(row[1].as_str());
    names.asset(row[10].as_str());
}

fn names_of_answer(message: &Value, url: &str, names: &mut Names) {
    let path = url.split('?').next().unwrap_or(url);
    let symbol = path
        .split(['/', ':'])
        .find(|part| part.starts_with('t') && part.len() > 6 && !part.contains("trades"));
    if path.contains("/auth/r/") {
        names.symbol(symbol);
    }
    if path.contains("/auth/r/orders") {
        rows(message, |row| names.symbol(row[3].as_str()));
    } else if path.contains("/trades") && path.contains("/auth/r/") {
        rows(message, |row| of_trade(row, names));
    } else if path.ends_with("/auth/r/wallets") {
        rows(message, |row| names.asset(row[1].as_str()));
    } else if path.ends_with("/auth/r/positions") {
        rows(message, |row| names.symbol(row[0].as_str()));
    }
}

/// Signs a REST request, a login message, or a bare payload.
fn sign(object: &Map<String, Value>) -> anyhow::Result<Signed> {
    let auth = Auth::new(&secrets(object)?).context("`key` is empty")?;
    let signature_of = |payload: &str| auth.sign(&[payload.as_bytes()]).as_str().to_owned();
    if let Some(mut request) = request_of(object) {
        let path = target_of(need(&request, "url")?).to_owned();
        let path = path.split('?').next().unwrap_or(&path).to_owned();
        let body = body_of(&request);
        let mut headers = match request.get("headers") {
            Some(Value::Object(headers)) => headers.clone(),
            _ => Map::new(),
        };
        let nonce = match (text(&headers, "bfx-nonce"), clock_ms(object)) {
            ("", ms) => ms
                .context("neither `clock_ms` nor the header bfx-nonce is there")?
                .to_string(),
            (nonce, _) => nonce.to_owned(),
        };
        let sign = auth.sign_rest(&path, &nonce, body.as_bytes());
        for (name, value) in [
            ("bfx-nonce", nonce.as_str()),
            ("bfx-apikey", auth.api_key()),
            ("bfx-signature", sign.as_str()),
            ("content-type", "application/json"),
        ] {
            headers.insert(name.into(), json!(value));
        }
        request.insert("headers".into(), Value::Object(headers));
        return Ok(Signed {
            payload: format!("/api{path}{nonce}{body}"),
            signature: sign.as_str().to_owned(),
            request: Value::Object(request),
        });
    }
    let message = object.get("message");
    let is_login = message.is_some_and(|message| message["event"] == "auth")
        || text(object, "case").contains("login");
    if is_login {
        let nonce = message
            .and_then(|message| message["authNonce"].as_str()?.parse().ok())
            .or_else(|| clock_ms(object))
            .context("neither `clock_ms` nor the message's authNonce is there")?;
        let mut login = dp_wire::buf::Buf::new();
        auth.write_login(nonce, &mut login)
            .context("the key is too long for a login")?;
        let mut made: Value = serde_json::from_slice(login.as_bytes())?;
        // The venue looks at what is signed as it is sent: one given is kept.
        let given = message.and_then(|message| message["authPayload"].as_str());
        let payload = given.map_or_else(|| format!("AUTH{nonce}"), str::to_owned);
        let signature = signature_of(&payload);
        made["authPayload"] = json!(payload);
        made["authSig"] = json!(signature);
        return Ok(Signed {
            payload,
            signature,
            request: made,
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

/// A trade of ours as it was executed: the fee comes with its second telling.
fn own_trade(row: &Value) -> Option<Value> {
    let qty = shape::digits(&row[4])?;
    let side = if qty.starts_with('-') { "sell" } else { "buy" };
    Some(json!({
        "kind": "fill",
        "symbol": row[1].as_str()?,
        "client_id": row[11],
        "order_id": shape::digits(&row[3])?,
        "trade_id": shape::digits(&row[0])?,
        "side": side,
        "price": shape::digits(&row[5])?,
        "qty": qty.trim_start_matches('-'),
        "fee": null,
        "fee_asset": null,
        "liquidity": if row[8] == 1 { "maker" } else { "taker" },
        "venue_ns": shape::time_ns(&row[2]),
    }))
}

fn wallet(row: &Value) -> Option<Value> {
    row[0].as_str()?;
    row[1].as_str()?;
    Some(shape::total_json(&row[1], &shape::digits(&row[2])?))
}

/// Rows of numbers, told by how many there are: a trade has four with a time, a level three, tickers eleven.
fn rows_json(rows: &[Value], symbol: &str) -> Vec<Value> {
    let is_level = |row: &Value| {
        row.as_array()
            .is_some_and(|row| row.len() == 3 && row.iter().all(Value::is_number))
    };
    if !rows.is_empty() && rows.iter().all(is_level) {
        return vec![levels_json(rows, symbol)];
    }
    rows.iter()
        .filter_map(|row| trade_or_ticker(row, symbol))
        .collect()
}

fn trade_or_ticker(row: &Value, symbol: &str) -> Option<Value> {
    let fields = row.as_array()?;
    // A ticker of a list names its pair before its numbers.
    if let Some(pair) = fields
        .first()?
        .as_str()
        .filter(|pair| pair.starts_with('t'))
    {
        let rest = Value::from(fields.get(1..)?.to_vec());
        return BitfinexTool::ticker(&json!([{"symbol": pair}, rest]));
    }
    let ns = shape::time_ns(&row[1]);
    if fields.len() != 4 || ns == 0 {
        return None;
    }
    let (qty, price) = (shape::digits(&row[2])?, shape::digits(&row[3])?);
    let taker = if qty.starts_with('-') {
        Side::Sell
    } else {
        Side::Buy
    };
    let qty = qty.trim_start_matches('-').to_owned();
    Some(shape::trade_json(
        symbol,
        &row[0],
        Some(taker),
        [price, qty],
        ns,
    ))
}

/// Levels: price, count, amount; of single orders: id, price, amount. Amounts to sell are negative, and ids are far
/// longer than any count.
fn levels_json(rows: &[Value], symbol: &str) -> Value {
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    for row in rows {
        let is_order = row[0].as_u64().is_some_and(|id| id > 1_000_000_000);
        let price = shape::digits(&row[usize::from(is_order)]);
        let (Some(price), Some(qty)) = (price, shape::digits(&row[2])) else {
            continue;
        };
        let is_gone = !is_order && row[1] == 0;
        let side = if qty.starts_with('-') {
            &mut asks
        } else {
            &mut bids
        };
        let qty = if is_gone {
            "0"
        } else {
            qty.trim_start_matches('-')
        };
        side.push([price, qty.to_owned()]);
    }
    let mut book = shape::book_json(symbol, &bids, &asks, 0);
    if rows.len() == 1 {
        book["type"] = json!("delta");
    }
    book
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::replay_file;
    use crate::tools::tests::capture_path;
    use crate::venue_tools::{decode_lines, sign_object};

    fn decoded(lines: &[&str]) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<BitfinexTool>(lines.join("\n").as_bytes(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn lines_of_one_session_are_read_together() {
        let lines = decoded(&[
            r#"{"event":"conf","status":"OK","flags":65536}"#,
            r#"{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"P0"}"#,
            "[7,[[65000,3,1.5],[65001,2,-5.6e-7]],1]",
            r#"[7,"cs",-5,2]"#,
            "[9,[65000,31.89,65001,43.35,-550.8,-0.0084,65000,8314.71,65800,64200,null],3]",
            r#"[0,"tu",[402088407,"tETHUSD",1700000001123,185815098001,-0.4,65000,"EXCHANGE LIMIT",65000,1,-0.0004,"ETH"]]"#,
            r#"[0,"n",[1,"on-req",null,null,[null,null,77,null,null,null,1],null,"ERROR","Invalid price."]]"#,
            r#"{"event":"error","code":10300,"msg":"symbol: invalid"}"#,
        ]);
        let book = &lines[2]["events"][0];
        assert_eq!(
            (&book["kind"], &book["type"]),
            (&json!("book"), &json!("snapshot"))
        );
        assert_eq!(book["asks"], json!([["65001", "0.00000056"]]));
        assert_eq!(lines[3]["events"][0]["checksum"], -5);
        assert_eq!(lines[4]["events"][0]["last"], "65000");
        let fill = &lines[5]["events"][0];
        assert_eq!(
            (&fill["kind"], &fill["fee_asset"]),
            (&json!("fill"), &json!("ETH"))
        );
        assert_eq!(fill["order_id"], "185815098001");
        let ack = &lines[6]["events"][0];
        assert_eq!(
            (&ack["client_id"], &ack["reason"]),
            (&json!(77), &json!("invalid"))
        );
        assert_eq!(lines[7]["events"][0]["kind"], "error");
    }

    #[test]
    fn answers_are_read_by_their_urls() {
        let order = r#"[[1,null,4294967297,"tBTCUSD",1,2,1,1,"EXCHANGE LIMIT",null,null,null,0,"ACTIVE",null,null,65000]]"#;
        let wallets = r#"[["exchange","USD",100,0,40]]"#;
        let records = [("orders", order), ("wallets", wallets)].map(|(what, raw)| {
            let url = format!("https://api.bitfinex.com/v2/auth/r/{what}");
            json!({"conn": "http", "url": url, "raw": raw}).to_string()
        });
        let lines = decoded(&[&records[0], &records[1]]);
        assert_eq!(lines[0]["events"][0]["client_id"], 4_294_967_297_u64);
        assert_eq!(lines[1]["events"][0]["locked"], "60");
    }

    #[test]
    fn vectors_of_the_venue_page() {
        let keys = json!({
            "key": "hO6oQotzTE0S5FRYze2Jx2wGx7eVnJGMolpA1nZyehsoMgCcgKNWQHd4QgTFZuwl4Zt4xMe2PqGBegWXO4A",
            "secret": "mheO6dR8ovSsxZQCOYEFCtelpuxcWGTfHw7te326y6jOwq5WpvFQ9JNljoTwBXZGv5It07m9RXSPpDQEK2w",
            "clock_ms": 1_696_751_141_337_u64,
        });
        let signed = |more: Value| {
            let mut asked = keys.as_object().unwrap().clone();
            asked.extend(more.as_object().unwrap().clone());
            sign_object(VenueId::BITFINEX, &asked).unwrap()
        };
        let rest = signed(json!({"method": "POST", "path": "/v2/auth/r/orders", "body": "{}"}));
        assert_eq!(
            rest["signed_payload"],
            "/api/v2/auth/r/orders1696751141337{}"
        );
        let want = "0615d555079828abd0babb51428c585291a7662a36706854ddf134c231d6c15088bec5b78b55ac390c88d1947ae340c9";
        assert_eq!(rest["signature"], want);
        assert_eq!(rest["request"]["headers"]["bfx-signature"], want);
        let login = signed(json!({"message": {"event": "auth"}}));
        let want = "870fbffed5d1cf67b0d2dbae845bbe4e8ebdc18a53d9efe9af71d04a7fa50e58675aee14438fe61b880b21734287b94b";
        assert_eq!(
            (&login["signature"], &login["request"]["authSig"]),
            (&json!(want), &json!(want))
        );
        let twice = signed(
            json!({"message": {"event": "auth", "authNonce": "5", "authPayload": "AUTH55"}}),
        );
        assert_eq!(twice["signed_payload"], "AUTH55");
        let bare = signed(json!({"signed_payload": "AUTH1696751141337"}));
        assert_eq!(bare["signature"], want);
    }

    #[test]
    fn recordings_replay_without_a_gap() {
        for (name, symbols, sums) in [
            ("bitfinex/ws2-20210417.jsonl.gz", 7, 0),
            ("bitfinex/checksum-vector-xrpbtc.jsonl.gz", 1, 1),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("bitfinex", &path).unwrap();
            assert_eq!(report["decode_errors"], 0, "{}", report["first_error"]);
            let entries = report["symbols"].as_object().unwrap();
            assert_eq!(entries.len(), symbols);
            let total = |key: &str| {
                entries
                    .values()
                    .map(|it| it[key].as_u64().unwrap())
                    .sum::<u64>()
            };
            assert_eq!((total("gaps"), total("checksums_failed")), (0, 0));
            assert_eq!(total("checksums_ok"), sums);
            assert!(entries.values().all(|entry| entry["synced"] == true));
        }
    }
}
