mod faults;
mod orders;

use super::*;
use crate::venues::rig::{MS, Rig, START, Texts, apply};
use ring::hmac;
use std::fmt::Write as _;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Bybit> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Bybit::new(&config, START))
}

fn lively() -> Rig<Bybit> {
    rig_with(|_| ())
}

fn quiet() -> Rig<Bybit> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn login(rig: &mut Rig<Bybit>, path: &str) -> ConnId {
    let conn = rig.open(path, "");
    let expires = rig.now / MS + 10_000;
    let sign = sign(&format!("GET/realtime{expires}"));
    // As our connector writes it: no request id, the expiry a number.
    let text = format!(r#"{{"op":"auth","args":["{KEY}",{expires},"{sign}"]}}"#);
    let answer = &rig.send(conn, &text)[0];
    assert!(
        answer["success"] == true || answer["retCode"] == 0,
        "{answer}"
    );
    conn
}

/// A trade connection and a private one with the topics.
fn trader(rig: &mut Rig<Bybit>, topics: &[&str]) -> (ConnId, ConnId) {
    let (trade, private) = (login(rig, "/v5/trade"), login(rig, "/v5/private"));
    let text = json!({"req_id": "p", "op": "subscribe", "args": topics});
    let answer = rig.send(private, &text.to_string());
    assert_eq!(
        answer[0],
        json!({"success": true, "ret_msg": "", "conn_id": format!("cejreaspqfm9se7usbrg-{private:x}"),
            "req_id": "p", "op": "subscribe"})
    );
    rig.take(private);
    (trade, private)
}

fn op(rig: &mut Rig<Bybit>, conn: ConnId, op: &str, arg: Value) -> Value {
    let header = json!({"X-BAPI-TIMESTAMP": (rig.now / MS).to_string()});
    let text = json!({"header": header, "op": op, "args": [arg]}).to_string();
    let answers = rig.send(conn, &text);
    answers.first().cloned().unwrap_or(Value::Null)
}

fn order(kind: &str, side: &str, price: &str, id: &str) -> Value {
    json!({"category": "spot", "symbol": "BTCUSDT", "side": side, "orderType": "Limit",
        "price": price, "qty": "0.001", "timeInForce": kind, "orderLinkId": id})
}

fn linear(side: &str, price: &str, id: &str) -> Value {
    let mut arg = order("GTC", side, price, id);
    arg["category"] = json!("linear");
    arg
}

fn named(category: &str, id: &str) -> Value {
    json!({"category": category, "symbol": "BTCUSDT", "orderLinkId": id})
}

/// `(orderStatus, cancelType, rejectReason)` of the order pushes a connection got.
fn fates(rig: &mut Rig<Bybit>, conn: ConnId) -> Vec<(String, String, String)> {
    let orders = rig.take(conn).into_iter();
    let orders = orders.filter(|m| m["topic"].as_str().unwrap().starts_with("order"));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    orders
        .map(|m| {
            let row = &m["data"][0];
            (
                text(row, "orderStatus"),
                text(row, "cancelType"),
                text(row, "rejectReason"),
            )
        })
        .collect()
}

fn subscribe(rig: &mut Rig<Bybit>, category: &str, topics: &[&str]) -> ConnId {
    let conn = rig.open(&format!("/v5/public/{category}"), "");
    let text = json!({"req_id": "s1", "op": "subscribe", "args": topics});
    let answer = &rig.send(conn, &text.to_string())[0];
    assert_eq!(
        (&answer["success"], &answer["req_id"]),
        (&json!(true), &json!("s1"))
    );
    rig.inbox.get_mut(&conn).unwrap().remove(0);
    conn
}

fn signed(rig: &Rig<Bybit>, method: &str, target: &str, body: &str) -> Request {
    let timestamp = (rig.now / MS).to_string();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let content = if method == "POST" { body } else { query };
    let sign = sign(&format!("{timestamp}{KEY}5000{content}"));
    Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: vec![
            ("x-bapi-api-key".into(), KEY.into()),
            ("x-bapi-timestamp".into(), timestamp),
            ("x-bapi-recv-window".into(), "5000".into()),
            ("x-bapi-sign".into(), sign),
        ],
        body: body.into(),
    }
}

fn rest(rig: &mut Rig<Bybit>, method: &str, target: &str, body: &str) -> Value {
    let request = signed(rig, method, target, body);
    serde_json::from_str(&rig.http(&request).unwrap().body).unwrap()
}

/// A book as a client keeps it; returns it with its number and how many deltas there were.
fn rebuilt(messages: Vec<Value>) -> (Texts, u64, usize) {
    let (mut book, mut last, mut deltas) = (Texts::default(), None, 0);
    for message in messages {
        let (data, u) = (&message["data"], message["data"]["u"].as_u64().unwrap());
        if message["type"] == "snapshot" {
            book = Texts::default();
        } else {
            assert_eq!(Some(u), last.map(|last| last + 1));
            deltas += 1;
        }
        last = Some(u);
        apply(&mut book[0], &data["b"]);
        apply(&mut book[1], &data["a"]);
    }
    (book, last.unwrap(), deltas)
}

/// Every depth chains, its book is the venue's own at the end, and never deeper than it is.
#[test]
fn books_chain_and_end_as_the_rest_book() {
    for (category, depth) in [
        ("spot", 50),
        ("linear", 50),
        ("linear", 200),
        ("spot", 1_000),
    ] {
        // More levels than 50, so that some fall out of the depth.
        let mut rig = rig_with(|config| config.flow.levels = 80);
        let topic = format!("orderbook.{depth}.BTCUSDT");
        let early = subscribe(&mut rig, category, &[&topic]);
        rig.run(3_050);
        let late = subscribe(&mut rig, category, &[&topic]);
        rig.run(3_000);
        rig.face.core().flows.clear();
        rig.run(300);
        let query = format!(
            "category={category}&symbol=BTCUSDT&limit={}",
            depth.min(200)
        );
        let answer = rig.get("/v5/market/orderbook", &query)["result"].clone();
        let mut whole = Texts::default();
        apply(&mut whole[0], &answer["b"]);
        apply(&mut whole[1], &answer["a"]);
        for conn in [early, late] {
            let (book, u, deltas) = rebuilt(rig.take(conn));
            assert!(deltas > 10, "{deltas}");
            assert_eq!(book, whole, "{category} {depth}");
            assert!(book[0].len() <= depth && (depth < 80) == (book[0].len() == depth));
            assert!(depth != 1_000 || answer["u"].as_u64() == Some(u));
        }
    }
}

#[test]
fn the_best_level_is_told_whole_and_again_when_nothing_moves() {
    let mut rig = lively();
    let conn = subscribe(&mut rig, "linear", &["orderbook.1.BTCUSDT"]);
    rig.run(2_000);
    let messages = rig.take(conn);
    assert!(messages.len() > 5);
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(message["type"], "snapshot");
        assert_eq!(message["data"]["b"].as_array().unwrap().len(), 1);
        let u = message["data"]["u"].as_u64().unwrap();
        assert_eq!(u, messages[0]["data"]["u"].as_u64().unwrap() + at as u64);
    }
    rig.face.core().flows.clear();
    rig.run(7_000);
    let quiet = rig.take(conn);
    assert_eq!(quiet.len(), 2, "every 3 s");
    assert_eq!(quiet[0]["data"]["u"], quiet[1]["data"]["u"]);
    assert!(quiet[0]["data"]["seq"].as_u64() < quiet[1]["data"]["seq"].as_u64());
}

/// Linear prints all decimals and its time after its type, spot neither.
#[test]
fn each_category_has_its_own_shape() {
    let mut rig = quiet();
    for (category, head, price) in [
        (
            "linear",
            r#"{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":"#,
            2,
        ),
        ("spot", r#"{"topic":"orderbook.50.BTCUSDT","ts":"#, 1),
    ] {
        let conn = subscribe(&mut rig, category, &["orderbook.50.BTCUSDT"]);
        assert!(rig.inbox[&conn][0].starts_with(head), "{category}");
        let message = &rig.take(conn)[0];
        let keys: Vec<&String> = message["data"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["s", "b", "a", "u", "seq"]);
        let best = message["data"]["b"][0][0].as_str().unwrap();
        let decimals = best.split_once('.').map_or(0, |(_, digits)| digits.len());
        assert!(decimals >= price, "{best}");
    }
}

#[test]
fn trades_and_tickers() {
    let mut rig = lively();
    let topics = ["publicTrade.BTCUSDT", "tickers.BTCUSDT"];
    let (spot, linear) = (
        subscribe(&mut rig, "spot", &topics),
        subscribe(&mut rig, "linear", &topics),
    );
    rig.run(5_000);
    for (conn, id_len, kinds) in [
        (spot, 19, ["snapshot"].as_slice()),
        (linear, 36, &["snapshot", "delta"]),
    ] {
        let (trades, tickers): (Vec<Value>, Vec<Value>) = rig
            .take(conn)
            .into_iter()
            .partition(|m| m["topic"] == topics[0]);
        assert!(trades.len() > 5 && tickers.len() > 5);
        for trade in &trades {
            let row = &trade["data"][0];
            assert_eq!(row["i"].as_str().unwrap().len(), id_len);
            assert_eq!(row.get("L").is_some(), id_len == 36);
        }
        let mut seen: Vec<&str> = tickers
            .iter()
            .map(|m| m["type"].as_str().unwrap())
            .collect();
        seen.dedup();
        assert_eq!(seen, kinds);
    }
    let query = "category=linear&symbol=BTCUSDT";
    let ticker = rig.get("/v5/market/tickers", query)["result"]["list"][0].clone();
    assert!(ticker["bid1Price"].is_string() && ticker["symbol"] == "BTCUSDT");
    let trades = rig.get("/v5/market/recent-trade", query)["result"]["list"].clone();
    assert!(trades.as_array().unwrap().len() > 5);
}

#[test]
fn each_depth_fault_breaks_the_chain_once() {
    for (fault, expected) in [("gap", 1), ("duplicate", 1), ("reorder", 3)] {
        let mut rig = lively();
        // Beside the best level, as our connector subscribes it: the fault is the deeper book's.
        let topics = ["orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT"];
        let conn = subscribe(&mut rig, "spot", &topics);
        rig.run(1_000);
        rig.fault(fault);
        rig.run(1_000);
        let (mut last, mut breaks) = (None, 0);
        for message in rig
            .take(conn)
            .into_iter()
            .filter(|m| m["topic"] == topics[0])
        {
            let u = message["data"]["u"].as_u64().unwrap();
            breaks += i32::from(last.is_some_and(|last: u64| u != last + 1));
            last = Some(u);
        }
        assert_eq!(breaks, expected, "{fault}");
    }
}

#[test]
fn a_restart_of_the_books_begins_at_one_and_extra_fields_come() {
    let mut rig = lively();
    let conn = subscribe(&mut rig, "spot", &["orderbook.50.BTCUSDT"]);
    rig.run(500);
    rig.take(conn);
    rig.fault("seq-reset");
    rig.run(500);
    let messages = rig.take(conn);
    let first = &messages[0];
    assert_eq!(
        (&first["type"], &first["data"]["u"]),
        (&json!("snapshot"), &json!(1))
    );
    let (.., u, deltas) = rebuilt(messages);
    assert_eq!(u, 1 + deltas as u64);
    rig.fault("extra-fields:n=2");
    rig.run(500);
    let extra = rig
        .take(conn)
        .iter()
        .filter(|m| m.get("zz_new").is_some())
        .count();
    assert_eq!(extra, 2);
}

#[test]
fn rest_books_may_be_older_or_newer_than_the_stream() {
    let mut rig = lively();
    let conn = subscribe(&mut rig, "spot", &["orderbook.1000.BTCUSDT"]);
    rig.run(3_000);
    let query = "category=spot&symbol=BTCUSDT&limit=200";
    let book = |rig: &mut Rig<Bybit>| rig.get("/v5/market/orderbook", query)["result"].clone();
    rig.fault("snapshot-old");
    let old = book(&mut rig);
    let new = book(&mut rig);
    assert!(new["cts"].as_u64().unwrap() - old["cts"].as_u64().unwrap() >= 900);
    rig.take(conn);
    rig.fault("snapshot-new:ms=900");
    book(&mut rig);
    rig.run(850);
    assert_eq!(
        rig.take(conn),
        Vec::<Value>::new(),
        "the stream lags behind it"
    );
    rig.run(300);
    assert!(!rig.take(conn).is_empty());
}

#[test]
fn pings_are_answered_as_each_room_does() {
    let mut rig = quiet();
    let public = rig.open("/v5/public/spot", "");
    let pong = &rig.send(public, r#"{"op":"ping"}"#)[0];
    assert_eq!(
        (&pong["ret_msg"], &pong["req_id"], &pong["op"]),
        (&json!("pong"), &json!(""), &json!("ping"))
    );
    let private = login(&mut rig, "/v5/private");
    let pong = &rig.send(private, r#"{"op":"ping","req_id":"9"}"#)[0];
    assert_eq!(
        (&pong["op"], &pong["req_id"]),
        (&json!("pong"), &json!("9"))
    );
    let trade = login(&mut rig, "/v5/trade");
    let pong = &rig.send(trade, r#"{"op":"ping"}"#)[0];
    assert_eq!((&pong["retCode"], &pong["op"]), (&json!(0), &json!("pong")));
    assert_eq!(pong["data"][0], (rig.now / MS).to_string());
}

#[test]
fn a_silent_private_connection_is_cut_after_ten_minutes_or_as_its_url_says() {
    let mut rig = quiet();
    let private = rig.open("/v5/private", "");
    let short = rig.open("/v5/trade", "max_active_time=1m");
    let public = rig.open("/v5/public/spot", "");
    rig.run(60_200);
    assert!(rig.closed.contains_key(&short) && !rig.closed.contains_key(&private));
    rig.run(540_200);
    assert!(rig.closed.contains_key(&private) && !rig.closed.contains_key(&public));
}
