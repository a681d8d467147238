//! The face under a virtual clock.

mod books;
mod orders;
mod rest;
mod sockets;

use super::*;
use crate::venues::rig::{MS, Rig, START};
use base64::Engine as _;
use ring::hmac;
use std::io::Read as _;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const ACCOUNT: &str = "992701";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Huobi> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Huobi::new(&config, START))
}

fn quiet() -> Rig<Huobi> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

/// What a market socket got since the last look: one gzip member each, with the recorded header.
fn market(rig: &mut Rig<Huobi>, conn: ConnId) -> Vec<Value> {
    let frames = std::mem::take(rig.binary.entry(conn).or_default());
    let unpack = |frame: &Vec<u8>| {
        assert_eq!(frame[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]);
        let mut text = String::new();
        let mut reader = flate2::read::GzDecoder::new(frame.as_slice());
        reader.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    frames.iter().map(unpack).collect()
}

/// Says something on a market socket; what came back at once.
fn say(rig: &mut Rig<Huobi>, conn: ConnId, text: &str) -> Vec<Value> {
    market(rig, conn);
    rig.send(conn, text);
    market(rig, conn)
}

/// A market socket with one topic of the first instrument, its confirmation read.
fn subscribe(rig: &mut Rig<Huobi>, path: &str, topic: &str) -> ConnId {
    let conn = rig.open(path, "");
    let name = format!("market.btcusdt.{topic}");
    let answer = say(rig, conn, &json!({"sub": name, "id": "1"}).to_string());
    assert_eq!(
        answer[0].to_string(),
        format!(
            "{{\"id\":\"1\",\"status\":\"ok\",\"subbed\":\"{name}\",\"ts\":{}}}",
            rig.now / MS
        )
    );
    conn
}

/// Lets time pass and answers the pings of these market sockets.
fn run(rig: &mut Rig<Huobi>, conns: &[ConnId], ms: u64) -> Vec<Vec<Value>> {
    let mut all = vec![Vec::new(); conns.len()];
    for part in 0..ms.div_ceil(1_000) {
        rig.run(1_000.min(ms - part * 1_000));
        for (conn, seen) in conns.iter().zip(&mut all) {
            for message in market(rig, *conn) {
                match message.get("ping") {
                    Some(value) => {
                        rig.send(*conn, &json!({"pong": value}).to_string());
                    }
                    None => seen.push(message),
                }
            }
        }
    }
    all
}

fn stamp(now: u64) -> String {
    // The rig's clock starts at midnight of 2026-11-21.
    let seconds = (now - START) / MS / 1_000;
    format!(
        "2026-11-21T{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// The frame a client logs in with.
fn login_frame(path: &str, now: u64) -> Value {
    let stamp = stamp(now);
    let signed = format!(
        "GET\nlocalhost\n{path}\naccessKey={KEY}&signatureMethod=HmacSHA256&signatureVersion=2.1\
         &timestamp={}",
        stamp.replace(':', "%3A")
    );
    json!({"action": "req", "ch": "auth", "params": {"authType": "api", "accessKey": KEY,
        "signatureMethod": "HmacSHA256", "signatureVersion": "2.1", "timestamp": stamp,
        "signature": sign(&signed)}})
}

fn login(rig: &mut Rig<Huobi>, path: &str) -> ConnId {
    let conn = rig.open(path, "");
    let frame = login_frame(path, rig.now).to_string();
    let answer = rig.send(conn, &frame);
    let text = r#"{"action":"req","code":200,"ch":"auth","data":{}}"#;
    assert_eq!(answer[0].to_string(), text);
    conn
}

/// A private stream with all that our orders do.
fn user(rig: &mut Rig<Huobi>) -> ConnId {
    let conn = login(rig, "/ws/v2");
    for ch in ["orders#*", "trade.clearing#*#1", "accounts.update#2"] {
        let answer = rig.send(conn, &json!({"action": "sub", "ch": ch}).to_string());
        let text = format!("{{\"action\":\"sub\",\"code\":200,\"ch\":\"{ch}\",\"data\":{{}}}}");
        assert_eq!(answer[0].to_string(), text);
    }
    rig.take(conn);
    conn
}

/// A signed request as a client makes it: `query` is its own, percent-encoded.
fn signed(now: u64, method: &str, path: &str, query: &str, body: &str) -> Request {
    let mut pairs = vec![
        format!("AccessKeyId={KEY}"),
        "SignatureMethod=HmacSHA256".into(),
        "SignatureVersion=2".into(),
        format!("Timestamp={}", stamp(now).replace(':', "%3A")),
    ];
    pairs.extend(
        query
            .split('&')
            .filter(|it| !it.is_empty())
            .map(String::from),
    );
    pairs.sort();
    let joined = pairs.join("&");
    let sign = sign(&format!("{method}\nlocalhost\n{path}\n{joined}"));
    let sign = sign
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    Request {
        method: method.into(),
        path: path.into(),
        query: format!("{joined}&Signature={sign}"),
        headers: vec![("host".into(), "localhost:40121".into())],
        body: body.into(),
    }
}

fn ask(rig: &mut Rig<Huobi>, method: &str, path: &str, query: &str, body: &str) -> Value {
    let request = signed(rig.now, method, path, query, body);
    let response = rig.http(&request).expect("an answer");
    serde_json::from_str(&response.body).expect("JSON")
}

fn order(kind: &str, price: &str, id: &str) -> Value {
    json!({"account-id": ACCOUNT, "symbol": "btcusdt", "type": kind, "amount": "0.001",
        "price": price, "source": "spot-api", "client-order-id": id})
}

/// A request of the trade socket.
fn trade(rig: &mut Rig<Huobi>, conn: ConnId, ch: &str, params: Value) -> Vec<Value> {
    let text = json!({"ch": ch, "params": params, "cid": "c-1"}).to_string();
    rig.send(conn, &text)
}

fn place(rig: &mut Rig<Huobi>, conn: ConnId, kind: &str, price: &str, id: &str) -> Value {
    let answers = trade(rig, conn, "create-order", order(kind, price, id));
    answers.into_iter().next().unwrap_or_default()
}
