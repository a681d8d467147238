use super::*;
use crate::venues::rig::{Rig, START};
use base64::Engine as _;
use ring::{digest, hmac};

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";

mod books;
mod entry;
mod faults;
mod level3;
mod rest;

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Kraken> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Kraken::new(&config, START))
}

/// A market in which nobody else moves.
fn quiet() -> Rig<Kraken> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

/// A signed request with its own nonce.
fn signed(name: &str, nonce: u64, fields: &str) -> Request {
    let path = format!("/0/private/{name}");
    let body = match fields.strip_prefix('{') {
        Some(rest) => format!("{{\"nonce\":\"{nonce}\",{rest}"),
        None => format!("nonce={nonce}{fields}"),
    };
    let hash = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
    let tag = hmac::sign(&key, &[path.as_bytes(), hash.as_ref()].concat());
    let sign = base64::engine::general_purpose::STANDARD.encode(tag.as_ref());
    Request {
        method: "POST".into(),
        path,
        query: String::new(),
        headers: vec![("api-key".into(), KEY.into()), ("api-sign".into(), sign)],
        body,
    }
}

/// The answer to a signed request.
fn rest(rig: &mut Rig<Kraken>, name: &str, fields: &str) -> Value {
    let last = rig.face.nonces.get(&1).copied().unwrap_or(0);
    let request = signed(name, last + 1, fields);
    serde_json::from_str(&rig.http(&request).expect("an answer").body).expect("JSON")
}

fn token(rig: &mut Rig<Kraken>) -> String {
    let answer = rest(rig, "GetWebSocketsToken", "");
    assert_eq!(answer["result"]["expires"], 900);
    answer["result"]["token"].as_str().expect("a token").into()
}

/// A message as a client writes it, with the token put in.
fn send(rig: &mut Rig<Kraken>, conn: ConnId, text: &str) -> Vec<Value> {
    rig.send(conn, text)
}

/// A connection with `executions` and `balances`, as our connector opens them; and its token.
fn trader(rig: &mut Rig<Kraken>) -> (ConnId, String) {
    let token = token(rig);
    let conn = rig.open("/v2", "");
    for (rest, number) in [
        (
            r#"executions","snap_orders":true,"snap_trades":false,"order_status":true"#,
            1,
        ),
        (r#"balances","snapshot":true"#, 2),
    ] {
        let text = format!(
            r#"{{"method":"subscribe","params":{{"channel":"{rest},"token":"{token}"}},"req_id":{number}}}"#
        );
        let got = send(rig, conn, &text);
        assert_eq!(
            (&got[0]["success"], &got[0]["req_id"]),
            (&json!(true), &json!(number))
        );
        assert_eq!(
            (&got[1]["type"], &got[1]["sequence"]),
            (&json!("snapshot"), &json!(1))
        );
    }
    rig.take(conn);
    (conn, token)
}

/// Sends a method with the token among its parameters.
fn method(
    rig: &mut Rig<Kraken>,
    (conn, token): &(ConnId, String),
    method: &str,
    mut params: Value,
) -> Vec<Value> {
    params["token"] = json!(token);
    let message = json!({"method": method, "params": params, "req_id": 7});
    send(rig, *conn, &message.to_string())
}

fn limit(side: &str, price: &str, qty: &str, id: &str) -> Value {
    json!({"order_type": "limit", "side": side, "symbol": "BTC/USDT",
        "order_qty": reply::number(qty), "limit_price": reply::number(price), "cl_ord_id": id})
}

/// The rows of a channel, with sequence numbers that rise by one.
fn rows(messages: &[Value], channel: &str) -> Vec<Value> {
    let told = messages
        .iter()
        .filter(|message| message["channel"] == channel);
    let told: Vec<&Value> = told.collect();
    let numbers = told
        .iter()
        .map(|message| message["sequence"].as_u64().expect("a sequence"));
    let numbers: Vec<u64> = numbers.collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
    let rows = told
        .iter()
        .flat_map(|message| message["data"].as_array().expect("rows"));
    rows.cloned().collect()
}

/// The kinds of the executions.
fn types(messages: &[Value]) -> Vec<String> {
    let rows = rows(messages, "executions");
    rows.iter()
        .map(|row| row["exec_type"].as_str().expect("a type").into())
        .collect()
}
