//! The face under a virtual clock: a trader with its three links, and what each may meet.

mod books;
mod faults;
mod orders;
mod streams;

use super::*;
use crate::venues::rig::{MS, Rig, START};
use base64::Engine as _;
use ring::hmac;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const PASS: &str = "spinlane-sim-pass";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Kucoin> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Kucoin::new(&config, START))
}

fn quiet() -> Rig<Kucoin> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn signed(rig: &Rig<Kucoin>, method: &str, target: &str, body: &str) -> Request {
    let ms = (rig.now / MS).to_string();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = [
        ("kc-api-key", KEY.to_owned()),
        ("kc-api-sign", sign(&format!("{ms}{method}{target}{body}"))),
        ("kc-api-timestamp", ms),
        ("kc-api-passphrase", sign(PASS)),
        ("kc-api-key-version", "3".to_owned()),
    ];
    Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: body.into(),
    }
}

fn rest(rig: &mut Rig<Kucoin>, method: &str, target: &str, body: &str) -> Value {
    let request = signed(rig, method, target, body);
    serde_json::from_str(&rig.http(&request).expect("an answer").body).expect("JSON")
}

fn bullet(rig: &mut Rig<Kucoin>, is_private: bool) -> String {
    let path = if is_private {
        "/api/v1/bullet-private"
    } else {
        "/api/v1/bullet-public"
    };
    let answer = rest(rig, "POST", path, "");
    assert_eq!(answer["code"], "200000");
    let server = &answer["data"]["instanceServers"][0];
    assert_eq!(server["endpoint"], "wss://localhost/");
    assert_eq!(
        (&server["pingInterval"], &server["pingTimeout"]),
        (&json!(18_000), &json!(10_000))
    );
    answer["data"]["token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

/// A classic stream, welcome.
fn stream(rig: &mut Rig<Kucoin>, is_private: bool) -> ConnId {
    let token = bullet(rig, is_private);
    let conn = rig.open("/", &format!("token={token}&connectId=sl1-7"));
    assert_eq!(rig.take(conn), [json!({"id": "sl1-7", "type": "welcome"})]);
    conn
}

/// Subscribes a topic and returns what followed the confirmation.
fn subscribe(rig: &mut Rig<Kucoin>, conn: ConnId, topic: &str, is_private: bool) -> Vec<Value> {
    let text = format!(
        r#"{{"id":"s1","type":"subscribe","topic":"{topic}","privateChannel":{is_private},"response":true}}"#
    );
    let answer = rig.send(conn, &text);
    assert_eq!(answer[0], json!({"id": "s1", "type": "ack"}), "{topic}");
    rig.take(conn);
    answer[1..].to_vec()
}

fn public(rig: &mut Rig<Kucoin>, topic: &str) -> ConnId {
    let conn = stream(rig, false);
    subscribe(rig, conn, topic, false);
    conn
}

fn encoded(text: &str) -> String {
    text.replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

fn orders_query(rig: &Rig<Kucoin>) -> String {
    let ms = (rig.now / MS).to_string();
    format!(
        "apikey={KEY}&sign={}&passphrase={}&timestamp={ms}",
        encoded(&sign(&format!("{KEY}{ms}"))),
        encoded(&sign(PASS)),
    )
}

/// The order link, logged in.
fn entry(rig: &mut Rig<Kucoin>) -> ConnId {
    let query = orders_query(rig);
    let conn = rig.open("/v1/private", &query);
    let challenge = rig.inbox[&conn][0].clone();
    assert!(
        challenge.starts_with("{\"sessionId\":\"") && challenge.contains("\", \"timestamp\": ")
    );
    let answer = rig.send(conn, &sign(&challenge));
    assert_eq!(answer[0]["data"], "welcome");
    assert_eq!(answer[0]["pingInterval"], 18_000);
    rig.take(conn);
    conn
}

/// The order link, and a stream of our own orders and balances.
fn trader(rig: &mut Rig<Kucoin>) -> (ConnId, ConnId) {
    let user = stream(rig, true);
    for topic in ["/spotMarket/tradeOrdersV2", "/account/balance"] {
        assert!(subscribe(rig, user, topic, true).is_empty());
    }
    (entry(rig), user)
}

/// A new order as our own connector writes it.
fn order(id: &str, side: &str, price: &str, size: &str, terms: &str) -> String {
    format!(
        "{{\"id\":\"n{id}I1\",\"op\":\"spot.order\",\"args\":{{\"clientOid\":\"sl-{id}\",\
         \"symbol\":\"BTC-USDT\",\"side\":\"{side}\",\"type\":\"limit\",\"price\":\"{price}\",\
         \"size\":\"{size}\",{terms},\"stp\":\"CN\"}}}}"
    )
}

const GTC: &str = "\"timeInForce\":\"GTC\"";

fn place(rig: &mut Rig<Kucoin>, entry: ConnId, id: &str, side: &str, price: &str) -> Value {
    rig.send(entry, &order(id, side, price, "0.001", GTC))[0].clone()
}

fn cancel(rig: &mut Rig<Kucoin>, entry: ConnId, id: &str) -> Value {
    let text = format!(
        "{{\"id\":\"c{id}I1\",\"op\":\"spot.cancel\",\"args\":{{\"clientOid\":\"sl-{id}\",\
         \"symbol\":\"BTC-USDT\"}}}}"
    );
    rig.send(entry, &text)[0].clone()
}

/// `type status` of the pushes about orders.
fn words(pushes: &[Value]) -> Vec<String> {
    let orders = pushes
        .iter()
        .filter(|push| push["subject"] == "orderChange");
    orders
        .map(|push| {
            let word = |name: &str| push["data"][name].as_str().expect("a word").to_owned();
            format!("{} {}", word("type"), word("status"))
        })
        .collect()
}
