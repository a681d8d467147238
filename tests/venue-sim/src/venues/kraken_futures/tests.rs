mod legacy;
mod orders;

use super::*;
use crate::venues::rig::{MS, Rig, START};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac};

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const ID: &str = "736c0000-0000-4000-8000-00010000000";
const XBT: &str = "PF_XBTUSD";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<KrakenFutures> {
    let mut config = SimConfig {
        symbols: ["BTC-USD", "ETH-USD"]
            .iter()
            .filter_map(|s| s.parse().ok())
            .collect(),
        ..SimConfig::default()
    };
    change(&mut config);
    Rig::new(KrakenFutures::new(&config, START))
}

fn quiet() -> Rig<KrakenFutures> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

/// HMAC-SHA512 of a text and a digest, as every scheme of the venue has it.
fn sign(head: &str, hashed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
    let digest = digest::digest(&digest::SHA256, hashed.as_bytes());
    BASE64.encode(hmac::sign(&key, &[head.as_bytes(), digest.as_ref()].concat()).as_ref())
}

fn token_request(nonce: u64) -> Request {
    let (path, body) = ("/0/private/GetWebSocketsToken", format!("nonce={nonce}"));
    Request {
        method: "POST".into(),
        path: path.into(),
        query: String::new(),
        headers: vec![
            ("api-key".into(), KEY.into()),
            ("api-sign".into(), sign(path, &format!("{nonce}{body}"))),
        ],
        body,
    }
}

fn spot(rig: &mut Rig<KrakenFutures>, request: &Request) -> Value {
    let response = rig.http(request).unwrap();
    serde_json::from_str(&response.body).unwrap()
}

fn token(rig: &mut Rig<KrakenFutures>) -> String {
    let nonce = rig.now / 1_000;
    let answer = spot(rig, &token_request(nonce));
    rig.run(1);
    answer["result"]["token"].as_str().unwrap().to_owned()
}

fn ask(rig: &mut Rig<KrakenFutures>, conn: ConnId, method: &str, params: &Value) -> Vec<Value> {
    let mut params = params.clone();
    params["asset_class"] = json!("derivatives");
    let text = json!({"method": method, "params": params, "req_id": 7}).to_string();
    rig.send(conn, &text)
}

fn subscribe(rig: &mut Rig<KrakenFutures>, params: &Value) -> ConnId {
    let conn = rig.open("/v2/public", "");
    let answer = ask(rig, conn, "subscribe", params);
    assert_eq!(
        (&answer[0]["success"], &answer[0]["req_id"]),
        (&json!(true), &json!(7)),
        "{answer:?}"
    );
    conn
}

/// A private connection that follows orders and balances, its inbox empty, and its token.
fn trader(rig: &mut Rig<KrakenFutures>) -> (ConnId, String) {
    let token = token(rig);
    let conn = rig.open("/v2/private", "");
    for channel in ["executions", "balances"] {
        let params = json!({"channel": channel, "snap_trades": true, "token": token});
        let got = ask(rig, conn, "subscribe", &params);
        assert_eq!(
            (&got[0]["result"]["channel"], &got[1]["sequence"]),
            (&json!(channel), &json!(1))
        );
    }
    rig.take(conn);
    (conn, token)
}

/// A post-only order far from the market; `id` is one digit.
fn quote(token: &str, id: u8, price: f64) -> Value {
    json!({"order_type": "limit", "side": "buy", "symbol": XBT, "order_qty": 0.01, "limit_price": price,
        "time_in_force": "gtc", "post_only": true, "cl_ord_id": format!("{ID}{id}"), "token": token})
}

fn taker(token: &str, id: u8, qty: f64, tif: &str) -> Value {
    let mut order = quote(token, id, 66_000.0);
    order["post_only"] = json!(false);
    order["order_qty"] = json!(qty);
    order["time_in_force"] = json!(tif);
    order
}

/// What a connection got, heartbeats aside.
fn heard(rig: &mut Rig<KrakenFutures>, conn: ConnId) -> Vec<Value> {
    let mut messages = rig.take(conn);
    messages.retain(|message| message["channel"] != "heartbeat");
    messages
}

/// What was told of executions: type, status.
fn told(messages: &[Value]) -> Vec<(String, String)> {
    let executions = messages
        .iter()
        .filter(|message| message["channel"] == "executions");
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    executions
        .map(|message| {
            (
                text(&message["data"][0]["exec_type"]),
                text(&message["data"][0]["order_status"]),
            )
        })
        .collect()
}

fn error(rig: &mut Rig<KrakenFutures>, conn: ConnId, method: &str, params: &Value) -> String {
    let got = ask(rig, conn, method, params);
    let answer = got.iter().find(|message| message["method"] == method);
    let answer = answer.unwrap_or_else(|| panic!("no answer: {got:?}"));
    assert_eq!(answer["success"], false, "{answer}");
    answer["error"].as_str().unwrap().to_owned()
}

type Side = Vec<(f64, String, String)>;

/// Lays levels over a side, as a client does: the texts are kept for the checksum, then the depth cuts.
fn apply(side: &mut Side, levels: &Value, depth: usize, is_bid: bool) {
    for level in levels.as_array().unwrap() {
        let (price, qty) = (level["price"].to_string(), level["qty"].to_string());
        let at: f64 = price.parse().unwrap();
        side.retain(|(_, known, _)| *known != price);
        if qty.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            side.push((at, price, qty));
        }
    }
    side.sort_by(|a, b| {
        if is_bid {
            b.0.total_cmp(&a.0)
        } else {
            a.0.total_cmp(&b.0)
        }
    });
    side.truncate(depth);
}

fn crc([bids, asks]: &[Side; 2]) -> u32 {
    let digits = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
    let best = |side: &Side| -> String {
        side.iter()
            .take(10)
            .map(|(_, price, qty)| digits(price) + &digits(qty))
            .collect()
    };
    crc32fast::hash((best(asks) + &best(bids)).as_bytes())
}

/// Rebuilds a book from its messages; returns it, the number of updates and of wrong checksums.
fn rebuild(messages: &[Value], depth: usize) -> ([Side; 2], usize, usize) {
    let (mut book, mut updates, mut wrong) = (<[Side; 2]>::default(), 0, 0);
    for message in messages
        .iter()
        .filter(|message| message["channel"] == "book")
    {
        let data = &message["data"][0];
        if message["type"] == "snapshot" {
            book = Default::default();
        } else {
            updates += 1;
        }
        apply(&mut book[0], &data["bids"], depth, true);
        apply(&mut book[1], &data["asks"], depth, false);
        wrong += usize::from(data["checksum"].as_u64() != Some(crc(&book).into()));
    }
    (book, updates, wrong)
}

/// Every checksum, recomputed from the printed digits, at a depth that cuts; a late subscriber has the same book.
#[test]
fn books_begin_whole_and_every_checksum_is_right() {
    let mut rig = rig_with(|_| ());
    let ten = json!({"channel": "book", "symbol": [XBT], "depth": 10, "snapshot": true});
    let early = subscribe(&mut rig, &ten);
    let mut deep = ten.clone();
    deep["depth"] = json!(100);
    let deep = subscribe(&mut rig, &deep);
    rig.run(3_000);
    let late = subscribe(&mut rig, &ten);
    rig.run(5_000);
    rig.face.core().flows.clear();
    let venue = rig.get("/derivatives/api/v3/orderbook", "symbol=PF_XBTUSD")["orderBook"].clone();
    for (conn, depth, least) in [(early, 10, 300), (late, 10, 150), (deep, 100, 400)] {
        let (book, updates, wrong) = rebuild(&rig.take(conn), depth);
        assert!(updates > least, "{updates} updates");
        assert_eq!(wrong, 0);
        for (side, name) in book.iter().zip(["bids", "asks"]) {
            let theirs: Vec<f64> = venue[name]
                .as_array()
                .unwrap()
                .iter()
                .take(depth)
                .map(|l| l[0].as_f64().unwrap())
                .collect();
            assert_eq!(side.iter().map(|level| level.0).collect::<Vec<_>>(), theirs);
        }
    }
}

#[test]
fn words_of_the_public_channels() {
    let mut rig = quiet();
    let conn = rig.open("/v2/public", "");
    assert_eq!(rig.take(conn)[0]["data"][0]["system"], "online");
    let text = r#"{"method":"subscribe","params":{"asset_class":"derivatives","channel":"instrument"},"req_id":1}"#;
    rig.send(conn, text);
    let texts = rig.inbox[&conn].clone();
    assert!(texts[1].contains(concat!(
        r#"{"symbol":"PF_XBTUSD","base":"BTC","quote":"USD","status":"online","qty_precision":4,"#,
        r#""qty_increment":0.0001,"qty_min":0.0001,"price_precision":1,"price_increment":1.0,"#
    )));
    assert!(texts[1].contains(r#""symbol":"PF_ETHUSD""#));
    rig.take(conn);
    let book = json!({"channel": "book", "symbol": [XBT, "PF_FOOUSD"], "depth": 10});
    let got = ask(&mut rig, conn, "subscribe", &book);
    let start = r#"{"method":"subscribe","result":{"channel":"book","symbol":"PF_XBTUSD","depth":10,"snapshot":true},"success":true,"time_in":"2026-11-21T00:00:00.000000Z","time_out":"#;
    assert!(
        rig.inbox[&conn][0].starts_with(start),
        "{}",
        rig.inbox[&conn][0]
    );
    let start = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"PF_XBTUSD","bids":[{"price":64999.0,"qty":0."#;
    assert!(
        rig.inbox[&conn][1].starts_with(start),
        "{}",
        rig.inbox[&conn][1]
    );
    assert_eq!(
        (&got[2]["error"], &got[2]["symbol"]),
        (
            &json!("Currency pair not supported PF_FOOUSD"),
            &json!("PF_FOOUSD")
        )
    );
    for (params, why) in [
        (book.clone(), "Already subscribed"),
        (
            json!({"channel": "book", "symbol": [XBT], "depth": 11}),
            "Subscription depth not supported",
        ),
        (
            json!({"channel": "trade"}),
            "EGeneral:Invalid arguments:symbol",
        ),
        (
            json!({"channel": "fun", "symbol": [XBT]}),
            "EGeneral:Invalid arguments:channel",
        ),
        (
            json!({"channel": "executions", "token": "x"}),
            "EGeneral:Permission denied",
        ),
    ] {
        assert_eq!(ask(&mut rig, conn, "subscribe", &params)[0]["error"], why);
    }
    let spot = r#"{"method":"subscribe","params":{"channel":"trade","symbol":["PF_XBTUSD"]}}"#;
    assert_eq!(
        rig.send(conn, spot)[0]["error"],
        "EGeneral:Invalid arguments:asset_class"
    );
    let pong = &rig.send(conn, r#"{"method":"ping","req_id":101}"#)[0];
    assert_eq!(
        (&pong["method"], &pong["req_id"]),
        (&json!("pong"), &json!(101))
    );
    let one = json!({"channel": "book", "symbol": [XBT], "depth": 10});
    assert_eq!(ask(&mut rig, conn, "unsubscribe", &one)[0]["success"], true);
    assert_eq!(
        ask(&mut rig, conn, "unsubscribe", &one)[0]["error"],
        "Subscription not found"
    );
    assert_eq!(rig.send(conn, "{")[0]["error"], "Malformed request");
    assert_eq!(rig.send(conn, r#"{"method":"fly"}"#)[0]["success"], false);
}

#[test]
fn trades_are_numbered_and_the_ticker_follows_the_best_quote() {
    let mut rig = rig_with(|_| ());
    let trades = subscribe(&mut rig, &json!({"channel": "trade", "symbol": [XBT]}));
    let ticker = subscribe(
        &mut rig,
        &json!({"channel": "ticker", "symbol": [XBT], "event_trigger": "bbo"}),
    );
    rig.run(5_000);
    let mut last = None;
    let mut count = 0;
    for message in rig
        .take(trades)
        .iter()
        .filter(|message| message["channel"] == "trade")
    {
        for row in message["data"].as_array().unwrap() {
            let id = row["trade_id"].as_u64().unwrap();
            assert!(last.is_none_or(|last| last + 1 == id));
            (last, count) = (Some(id), count + 1);
        }
    }
    let quotes: Vec<Value> = rig
        .take(ticker)
        .into_iter()
        .filter(|message| message["channel"] == "ticker")
        .collect();
    assert!(count > 20 && quotes.len() > 20, "{count} {}", quotes.len());
    assert_eq!(
        (&quotes[0]["type"], &quotes[1]["type"]),
        (&json!("snapshot"), &json!("update"))
    );
    let best = |message: &Value| {
        (
            message["data"][0]["bid"].clone(),
            message["data"][0]["bid_qty"].clone(),
            message["data"][0]["ask"].clone(),
            message["data"][0]["ask_qty"].clone(),
        )
    };
    assert!(quotes.windows(2).all(|two| best(&two[0]) != best(&two[1])));
}

#[test]
fn each_depth_fault_does_its_thing_once() {
    for (fault, is_wrong) in [
        ("gap", true),
        ("duplicate", false),
        ("reorder", true),
        ("bad-checksum", true),
    ] {
        let mut rig = rig_with(|_| ());
        let conn = subscribe(
            &mut rig,
            &json!({"channel": "book", "symbol": [XBT], "depth": 10}),
        );
        rig.run(500);
        rig.take(conn);
        let again = json!({"channel": "book", "symbol": [XBT], "depth": 10});
        ask(&mut rig, conn, "unsubscribe", &again);
        ask(&mut rig, conn, "subscribe", &again);
        rig.fault(fault);
        rig.run(1_000);
        let messages = rig.take(conn);
        let (_, updates, wrong) = rebuild(&messages, 10);
        assert!(updates > 20);
        assert_eq!(wrong > 0, is_wrong, "{fault}: {wrong}");
        let updates: Vec<&Value> = messages
            .iter()
            .filter(|message| message["type"] == "update")
            .collect();
        let twice = updates.windows(2).filter(|two| two[0] == two[1]).count();
        assert_eq!(twice, usize::from(fault == "duplicate"), "{fault}");
    }
    let mut rig = rig_with(|_| ());
    let conn = subscribe(
        &mut rig,
        &json!({"channel": "book", "symbol": [XBT], "depth": 10}),
    );
    rig.fault("extra-fields:n=3");
    rig.run(1_000);
    let strange = rig
        .take(conn)
        .iter()
        .filter(|message| message.get("zz_new").is_some())
        .count();
    assert_eq!(strange, 3);
}

#[test]
fn a_token_is_signed_for_and_each_nonce_rises() {
    let mut rig = quiet();
    let good = token_request(1_000);
    assert_eq!(spot(&mut rig, &good)["result"]["expires"], 900);
    let mut forged = token_request(1_001);
    forged.headers[1].1 = sign("/", "x");
    let mut stranger = token_request(1_001);
    stranger.headers[0].1 = "nobody".into();
    for (request, why) in [
        (good, "EAPI:Invalid nonce"),
        (token_request(999), "EAPI:Invalid nonce"),
        (forged, "EAPI:Invalid signature"),
        (stranger, "EAPI:Invalid key"),
    ] {
        assert_eq!(spot(&mut rig, &request)["error"], json!([why]));
    }
    assert_eq!(
        rig.get("/0/public/SystemStatus", "")["result"]["status"],
        "online"
    );
    let got = (0..20)
        .filter(|at| spot(&mut rig, &token_request(2_000 + at))["error"] == json!([]))
        .count();
    assert_eq!(got, 14, "15 calls, one of which was made before");
}

#[test]
fn a_token_is_used_within_a_quarter_of_an_hour_and_then_lives_with_its_connection() {
    let mut rig = quiet();
    let (used, unused) = (token(&mut rig), token(&mut rig));
    let conn = rig.open("/v2/private", "");
    let params = |token: &str| json!({"channel": "balances", "token": token});
    assert_eq!(
        ask(&mut rig, conn, "subscribe", &params(&used))[0]["success"],
        true
    );
    rig.run(901_000);
    assert_eq!(
        ask(&mut rig, conn, "unsubscribe", &params(&used))[0]["success"],
        true
    );
    assert_eq!(
        error(&mut rig, conn, "subscribe", &params(&unused)),
        "ESession:Invalid session"
    );
    rig.fault("token-expiry");
    assert_eq!(
        error(&mut rig, conn, "subscribe", &params(&used)),
        "ESession:Invalid session"
    );
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&used, 1, 60_000.0)),
        "ESession:Invalid session"
    );
}

#[test]
fn connections_beat_end_and_fall_silent() {
    let mut rig = quiet();
    let idle = rig.open("/v2/public", "");
    let busy = subscribe(&mut rig, &json!({"channel": "trade", "symbol": [XBT]}));
    rig.run(10_050);
    let beats = |rig: &mut Rig<KrakenFutures>, conn| {
        let messages = rig.take(conn);
        messages
            .iter()
            .filter(|message| message["channel"] == "heartbeat")
            .count()
    };
    assert_eq!((beats(&mut rig, idle), beats(&mut rig, busy)), (0, 10));
    rig.fault("silence:for=5s");
    rig.run(5_500);
    assert!(beats(&mut rig, busy) <= 1);
    rig.run(50_000);
    assert!(rig.closed.contains_key(&idle) && !rig.closed.contains_key(&busy));
    rig.take(busy);
    rig.fault("restart:for=1s");
    assert_eq!(rig.take(busy)[0]["data"][0]["system"], "maintenance");
    rig.run(1_200);
    assert!(rig.closed.contains_key(&busy));
    let cut = rig.open("/v2/public", "");
    rig.fault("disconnect:link=public");
    assert_eq!(rig.closed.get(&cut), Some(&None));
    let opened = (0..200)
        .filter(|_| rig.face.refuses_upgrade(&Request::default()).is_none())
        .count();
    assert_eq!(opened, 150, "in ten minutes");
    rig.now += 600_000 * MS;
    rig.run(1);
    assert!(rig.face.refuses_upgrade(&Request::default()).is_none());
}
