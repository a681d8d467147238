//! The face under a virtual clock: books, orders, sessions.

mod books;
mod orders;
mod sessions;

use super::*;
use crate::venues::rig::{MS, Rig, START};
use ring::hmac;
use std::fmt::Write as _;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const BTC: &str = "tBTCUST";
/// Times, numbers and checksums.
const ALL_FLAGS: u64 = 229_376;

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Bitfinex> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Bitfinex::new(&config, START))
}

fn lively() -> Rig<Bitfinex> {
    rig_with(|_| ())
}

fn quiet() -> Rig<Bitfinex> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA384, SECRET.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn auth(nonce: u64) -> Value {
    json!({"event": "auth", "apiKey": KEY, "authSig": sign(&format!("AUTH{nonce}")),
        "authNonce": nonce.to_string(), "authPayload": format!("AUTH{nonce}"), "dms": 4,
        "filter": ["trading", "wallet", "balance", "notify"]})
}

/// A socket that is logged in, its snapshots taken.
fn trader(rig: &mut Rig<Bitfinex>) -> ConnId {
    let conn = rig.open("/ws/2", "");
    let nonce = rig.now / 1_000 + conn;
    let got = rig.send(conn, &auth(nonce).to_string());
    assert_eq!(
        (&got[0]["event"], &got[0]["status"]),
        (&json!("auth"), &json!("OK"))
    );
    let words: Vec<&Value> = got[1..].iter().map(|frame| &frame[1]).collect();
    assert_eq!(words, ["os", "ps", "ws", "bu"]);
    rig.take(conn);
    conn
}

fn subscribe(rig: &mut Rig<Bitfinex>, flags: u64, request: &Value) -> (ConnId, u64) {
    let conn = rig.open("/ws/2", "");
    assert_eq!(rig.take(conn)[0]["platform"]["status"], 1);
    let conf = rig.send(conn, &json!({"event": "conf", "flags": flags}).to_string());
    assert_eq!(
        conf,
        [json!({"event": "conf", "status": "OK", "flags": flags})]
    );
    rig.take(conn);
    let mut request = request.clone();
    request["event"] = json!("subscribe");
    request["symbol"] = json!(BTC);
    let got = rig.send(conn, &request.to_string());
    assert_eq!(got[0]["event"], "subscribed", "{got:?}");
    rig.inbox.get_mut(&conn).unwrap().remove(0);
    (conn, got[0]["chanId"].as_u64().unwrap())
}

fn book(prec: &str, len: &str) -> Value {
    json!({"channel": "book", "prec": prec, "freq": "F0", "len": len})
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// A book rebuilt as a client would, from tokens: `[bids, asks]`, each line as it was printed.
#[derive(Default)]
struct Mirror {
    lines: Vec<Value>,
    is_raw: bool,
}

impl Mirror {
    fn apply(&mut self, data: &Value) {
        if data[0].is_array() {
            self.lines = data.as_array().unwrap().clone();
            return;
        }
        let at = usize::from(self.is_raw);
        let is_gone = number(&data[1]) == 0.0;
        // A price may stand on the other side a moment later; an order stays on its own.
        let is_same = |line: &Value| {
            line[0] == data[0]
                && (self.is_raw || (number(&line[2]) > 0.0) == (number(&data[2]) > 0.0))
        };
        self.lines.retain(|line| !is_same(line));
        if !is_gone {
            assert!(number(&data[at]) > 0.0);
            self.lines.push(data.clone());
        }
    }

    fn side(&self, is_bid: bool) -> Vec<&Value> {
        let at = usize::from(self.is_raw);
        let lines = self.lines.iter();
        let mut side: Vec<&Value> = lines
            .filter(|line| (number(&line[2]) > 0.0) == is_bid)
            .collect();
        side.sort_by(|a, b| {
            let (a_price, b_price) = (number(&a[at]), number(&b[at]));
            let by_price = a_price.total_cmp(&b_price);
            let by_price = if is_bid { by_price.reverse() } else { by_price };
            by_price.then(a[0].as_u64().cmp(&b[0].as_u64()))
        });
        side
    }

    fn sum(&self) -> i64 {
        let (bids, asks) = (self.side(true), self.side(false));
        let mut parts = Vec::new();
        for at in 0..25 {
            for side in [&bids, &asks] {
                parts.extend(side.get(at).map(|line| format!("{}:{}", line[0], line[2])));
            }
        }
        i64::from(crc32fast::hash(parts.join(":").as_bytes()) as i32)
    }
}

fn signed(nonce: u64, path: &str, body: &str) -> Request {
    let sign = sign(&format!("/api{path}{nonce}{body}"));
    Request {
        method: "POST".into(),
        path: path.into(),
        headers: vec![
            ("bfx-nonce".into(), nonce.to_string()),
            ("bfx-apikey".into(), KEY.into()),
            ("bfx-signature".into(), sign),
        ],
        body: body.into(),
        ..Request::default()
    }
}

fn post(rig: &mut Rig<Bitfinex>, path: &str, body: &str) -> (u16, Value) {
    // Above every login's, and rising with the requests.
    let nonce = (1 << 52)
        + rig.face.core().record.counts()["requests"]
            .to_string()
            .len() as u64;
    let nonce = nonce.max(rig.face.nonces.get(KEY).copied().unwrap_or(0) + 1);
    let response = rig.http(&signed(nonce, path, body)).unwrap();
    let body = serde_json::from_str(&response.body).unwrap_or(Value::String(response.body));
    (response.status, body)
}

fn order(cid: u64, kind: &str, amount: &str, price: &str) -> Value {
    json!({"cid": cid, "type": kind, "symbol": BTC, "amount": amount, "price": price})
}

fn op(rig: &mut Rig<Bitfinex>, conn: ConnId, word: &str, body: Value) -> Vec<Value> {
    rig.send(conn, &json!([0, word, null, body]).to_string())
}

/// The words of channel 0 in order, wallets left out.
fn words(frames: &[Value]) -> Vec<&str> {
    let words = frames.iter().map(|frame| frame[1].as_str().unwrap());
    words.filter(|word| *word != "wu").collect()
}
