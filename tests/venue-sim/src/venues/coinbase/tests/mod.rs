//! The face under a virtual clock. Texts of orders and subscriptions are those our connector sends.

mod limits;
mod market;
mod orders;

use super::*;
use crate::core::Response;
use crate::venues::rig::{MS, Rig, START};
use base64::Engine as _;
use ring::hmac;

const SECRETS: [&str; 2] = [
    "spinlane-sim-secret-not-a-secret",
    "spinlane-sim-secret-not-a-secret-2",
];
const OID: &str = "51de1a4e-0000-4000-8000-0001000000";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Coinbase> {
    let mut config = SimConfig {
        symbols: vec!["BTC-USD".parse().unwrap(), "ETH-USD".parse().unwrap()],
        keys: 2,
        ..SimConfig::default()
    };
    change(&mut config);
    Rig::new(Coinbase::new(&config, START))
}

fn quiet() -> Rig<Coinbase> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn sign(account: usize, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRETS[account - 1].as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

fn name(account: usize, what: &str) -> String {
    let suffix = if account == 1 { "" } else { "-2" };
    format!("spinlane-sim-{what}{suffix}")
}

fn seconds(rig: &Rig<Coinbase>) -> String {
    (rig.now / 1_000 / MS).to_string()
}

fn signed(
    rig: &Rig<Coinbase>,
    account: usize,
    (method, target): (&str, &str),
    body: &str,
) -> Request {
    let timestamp = seconds(rig);
    let sign = sign(account, &format!("{timestamp}{method}{target}{body}"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: vec![
            ("cb-access-key".into(), name(account, "key")),
            ("cb-access-sign".into(), sign),
            ("cb-access-timestamp".into(), timestamp),
            ("cb-access-passphrase".into(), name(account, "pass")),
        ],
        body: body.into(),
    }
}

fn ask(rig: &mut Rig<Coinbase>, method: &str, target: &str, body: &str) -> Response {
    let request = signed(rig, 1, (method, target), body);
    rig.http(&request).expect("an answer")
}

fn rest(rig: &mut Rig<Coinbase>, method: &str, target: &str, body: &str) -> Value {
    serde_json::from_str(&ask(rig, method, target, body).body).unwrap()
}

fn order(side: &str, price: &str, size: &str, id: u8) -> Value {
    json!({"product_id": "BTC-USD", "side": side, "type": "limit", "price": price,
        "time_in_force": "GTC", "size": size, "client_oid": format!("{OID}{id:02x}"), "stp": "cn"})
}

fn post(rig: &mut Rig<Coinbase>, body: &Value) -> (u16, Value) {
    let response = ask(rig, "POST", "/orders", &body.to_string());
    let value = serde_json::from_str(&response.body).unwrap_or_default();
    (response.status, value)
}

/// A signed subscription, as our connector writes it.
fn subscription(rig: &Rig<Coinbase>, account: usize, channels: &str) -> String {
    let timestamp = seconds(rig);
    let sign = sign(account, &format!("{timestamp}GET/users/self/verify"));
    format!(
        "{{\"type\":\"subscribe\",\"product_ids\":[\"BTC-USD\"],\"channels\":[{channels}],\
         \"signature\":\"{sign}\",\"key\":\"{}\",\"passphrase\":\"{}\",\"timestamp\":\"{timestamp}\"}}",
        name(account, "key"),
        name(account, "pass")
    )
}

fn subscribe(rig: &mut Rig<Coinbase>, account: usize, channels: &str) -> ConnId {
    let conn = rig.open("/", "");
    let text = subscription(rig, account, channels);
    let got = rig.send(conn, &text);
    assert_eq!(got[0]["type"], "subscriptions", "{}", got[0]);
    rig.take(conn);
    conn
}

fn kinds(messages: &[Value]) -> Vec<&str> {
    let kinds = messages.iter().map(|message| message["type"].as_str());
    kinds.map(Option::unwrap_or_default).collect()
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", name in "[a-z:/?=&-]{0,20}") {
        let mut rig = quiet();
        let conn = subscribe(&mut rig, 1, "\"user\"");
        let quoted = json!(text).to_string();
        for frame in [
            text.clone(),
            format!("{{\"type\":\"subscribe\",\"channels\":[{quoted}]}}"),
            subscription(&rig, 1, &format!("{{\"name\":\"balance\",\"account_ids\":[{quoted}]}}")),
            json!({"type": "unsubscribe", "channels": ["full"], "product_ids": [text, 7]}).to_string(),
            json!({"type": name, "channels": text, "key": text, "timestamp": 1}).to_string(),
        ] {
            rig.send(conn, &frame);
        }
        let order = json!({"product_id": "BTC-USD", "side": "buy", "price": text, "size": name,
            "funds": text, "type": "limit", "client_oid": text, "stp": null});
        for body in [text.clone(), order.to_string(), format!("[{quoted}]")] {
            proptest::prop_assert!(ask(&mut rig, "POST", "/orders", &body).status >= 400);
        }
        for target in ["/orders/", "/fills?order_id=", "/fills?after=", "/products/", "/orders?after="] {
            let target = format!("{target}{name}");
            for method in ["GET", "DELETE", "PUT"] {
                ask(&mut rig, method, &target, &text);
            }
        }
    }
}
