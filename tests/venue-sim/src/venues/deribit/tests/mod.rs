//! What the tests share: clients, signatures, requests as our connector writes them.

mod books;
mod orders;
mod session;

use super::*;
use crate::venues::rig::{MS, Rig, START};
use ring::hmac;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const BTC: &str = "BTC_USDT-PERPETUAL";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Deribit> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Deribit::new(&config, START))
}

/// Nobody else trades.
fn quiet() -> Rig<Deribit> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn hex_hmac(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<String>>().concat()
}

fn open(rig: &mut Rig<Deribit>) -> ConnId {
    rig.open("/ws/api/v2", "")
}

/// Asks a method; what came back at once, the answer first unless a fault says otherwise.
fn ask(rig: &mut Rig<Deribit>, conn: ConnId, method: &str, params: Value) -> Vec<Value> {
    let text = json!({"jsonrpc": "2.0", "id": "q", "method": method, "params": params});
    rig.send(conn, &text.to_string())
}

fn code(message: &Value) -> i64 {
    message["error"]["code"].as_i64().unwrap_or(0)
}

/// A login of the `number`-th key, signed now.
fn signed_login(rig: &Rig<Deribit>, number: usize, nonce: &str) -> Value {
    let suffix = |text: &str| match number {
        1 => text.to_owned(),
        _ => format!("{text}-{number}"),
    };
    let ms = rig.now / MS;
    let signature = hex_hmac(&suffix(SECRET), &format!("{ms}\n{nonce}\n"));
    json!({"grant_type": "client_signature", "client_id": suffix(KEY), "timestamp": ms,
        "nonce": nonce, "data": "", "signature": signature})
}

fn log_in_as(rig: &mut Rig<Deribit>, number: usize) -> ConnId {
    let conn = open(rig);
    let params = signed_login(rig, number, &format!("0x2x{conn}"));
    let answer = ask(rig, conn, "public/auth", params);
    assert_eq!(answer[0]["result"]["expires_in"], 900, "{answer:?}");
    conn
}

fn log_in(rig: &mut Rig<Deribit>) -> ConnId {
    log_in_as(rig, 1)
}

/// Logged in, with all that our connector asks for.
fn trader(rig: &mut Rig<Deribit>) -> ConnId {
    let conn = log_in(rig);
    let scope = json!({"scope": "connection"});
    let armed = ask(rig, conn, "private/enable_cancel_on_disconnect", scope);
    assert_eq!(armed[0]["result"], "ok");
    let channels = json!({"channels": ["user.changes.any.any.raw", "user.portfolio.usdt"]});
    let told = ask(rig, conn, "private/subscribe", channels.clone());
    let mut names = channels["channels"].as_array().unwrap().clone();
    names.reverse();
    assert_eq!(told[0]["result"], Value::Array(names));
    rig.take(conn);
    conn
}

fn subscribe(rig: &mut Rig<Deribit>, conn: ConnId, channel: &str) -> Vec<Value> {
    let channels = json!({"channels": [channel]});
    let told = ask(rig, conn, "public/subscribe", channels.clone());
    assert_eq!(told[0]["result"], channels["channels"], "{channel}");
    told
}

/// A limit order of 0.01 BTC as our connector writes it.
fn order(rig: &Rig<Deribit>, price: f64, label: &str) -> Value {
    json!({"instrument_name": BTC, "amount": 0.01, "type": "limit", "price": price,
        "label": label, "time_in_force": "good_til_cancelled", "valid_until": rig.now / MS + 500})
}

fn place(rig: &mut Rig<Deribit>, conn: ConnId, price: f64, label: &str) -> Vec<Value> {
    let order = order(rig, price, label);
    ask(rig, conn, "private/buy", order)
}

/// The data of the pushes of a channel.
fn pushed<'a>(messages: &'a [Value], channel: &str) -> Vec<&'a Value> {
    let of = messages
        .iter()
        .filter(|it| it["params"]["channel"] == channel);
    of.map(|it| &it["params"]["data"]).collect()
}

fn changes(messages: &[Value]) -> Vec<&Value> {
    pushed(messages, "user.changes.any.any.raw")
}

fn signed_get(rig: &Rig<Deribit>, target: &str) -> Request {
    let ms = rig.now / MS;
    let nonce = format!("{target}{ms}");
    let sig = hex_hmac(SECRET, &format!("{ms}\n{nonce}\nGET\n{target}\n\n"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method: "GET".into(),
        path: path.into(),
        query: query.into(),
        headers: vec![(
            "authorization".into(),
            format!("deri-hmac-sha256 id={KEY},ts={ms},sig={sig},nonce={nonce}"),
        )],
        body: String::new(),
    }
}

/// A signed question over HTTP.
fn rest(rig: &mut Rig<Deribit>, target: &str) -> Value {
    rig.run(1); // no nonce twice
    let request = signed_get(rig, &format!("/api/v2/private/{target}"));
    serde_json::from_str(&rig.http(&request).expect("an answer").body).expect("JSON")
}
