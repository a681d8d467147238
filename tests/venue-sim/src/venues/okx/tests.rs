use super::*;
use crate::venues::rig::{MS, Rig, START, Texts, apply};
use base64::Engine as _;
use ring::hmac;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const PASS: &str = "spinlane-sim-pass";

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Okx> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Okx::new(&config, START))
}

fn quiet() -> Rig<Okx> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn login(rig: &mut Rig<Okx>) -> ConnId {
    let conn = rig.open("/ws/v5/private", "");
    let timestamp = (rig.now / 1_000 / MS).to_string();
    let sign = sign(&format!("{timestamp}GET/users/self/verify"));
    let login = json!({"op": "login", "args": [{"apiKey": KEY, "passphrase": PASS,
        "timestamp": timestamp, "sign": sign}]});
    assert_eq!(rig.send(conn, &login.to_string())[0]["code"], "0");
    conn
}

fn trader(rig: &mut Rig<Okx>) -> ConnId {
    let conn = login(rig);
    let sub = r#"{"op":"subscribe","args":[{"channel":"orders","instType":"ANY"}]}"#;
    assert_eq!(rig.send(conn, sub)[0]["event"], "subscribe");
    conn
}

fn op(rig: &mut Rig<Okx>, conn: ConnId, op: &str, args: Value) -> Vec<Value> {
    let args = if args.is_array() { args } else { json!([args]) };
    rig.send(
        conn,
        &json!({"id": "7", "op": op, "args": args}).to_string(),
    )
}

fn order(kind: &str, side: &str, px: &str, id: &str) -> Value {
    json!({"instIdCode": Okx::code(0), "tdMode": "cash", "side": side, "ordType": kind, "px": px,
        "sz": "0.001", "clOrdId": id})
}

fn subscribe(rig: &mut Rig<Okx>, channel: &str) -> ConnId {
    let conn = rig.open("/ws/v5/public", "");
    let args = json!([{"channel": channel, "instId": "BTC-USDT"}]);
    let answer = rig.send(
        conn,
        &json!({"id": "1", "op": "subscribe", "args": args}).to_string(),
    );
    assert_eq!(
        (&answer[0]["event"], &answer[0]["id"]),
        (&json!("subscribe"), &json!("1"))
    );
    conn
}

fn crc(book: &Texts) -> i64 {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mut sides: Vec<Vec<String>> = Vec::new();
    for (at, side) in book.iter().enumerate() {
        let mut levels: Vec<(&String, &String)> = side.iter().collect();
        levels.sort_by(|a, b| number(a.0).total_cmp(&number(b.0)));
        if at == 0 {
            levels.reverse();
        }
        sides.push(
            levels
                .iter()
                .take(25)
                .map(|(px, sz)| format!("{px}:{sz}"))
                .collect(),
        );
    }
    let mut parts: Vec<&str> = Vec::new();
    for at in 0..25 {
        for side in &sides {
            parts.extend(side.get(at).map(String::as_str));
        }
    }
    i64::from(crc32fast::hash(parts.join(":").as_bytes()) as i32)
}

/// The chain and the checksum of every message, as a client rebuilds them; a late subscriber fits in.
#[test]
fn books_chain_and_every_checksum_is_right() {
    let mut rig = rig_with(|config| config.has_okx_checksums = true);
    let early = subscribe(&mut rig, "books");
    rig.run(3_050);
    let late = subscribe(&mut rig, "books");
    rig.run(5_000);
    for conn in [early, late] {
        let (mut last, mut book, mut updates) = (-1, Texts::default(), 0);
        for message in rig.take(conn).into_iter().skip(1) {
            let data = &message["data"][0];
            assert_eq!(data["prevSeqId"].as_i64(), Some(last));
            last = data["seqId"].as_i64().unwrap();
            apply(&mut book[0], &data["bids"]);
            apply(&mut book[1], &data["asks"]);
            assert_eq!(data["checksum"].as_i64(), Some(crc(&book)));
            updates += i32::from(message["action"] == "update");
        }
        assert!(updates > 40, "{updates}");
    }
}

/// The announced bootstrap: no snapshot, the REST book fits into the chain and rebuilds the book.
#[test]
fn without_a_snapshot_the_rest_book_splices() {
    let mut rig = rig_with(|config| config.has_okx_snapshots = false);
    let conn = subscribe(&mut rig, "books");
    rig.run(550);
    let rest = rig.get("/api/v5/market/books", "instId=BTC-USDT&sz=400")["data"][0].clone();
    let at = rest["seqId"].as_i64().unwrap();
    let mut book = Texts::default();
    apply(&mut book[0], &rest["bids"]);
    apply(&mut book[1], &rest["asks"]);
    rig.run(2_000);
    rig.face.core().flows.clear();
    rig.run(200);
    let (mut last, mut applied) = (at, 0);
    for message in rig.take(conn).into_iter().skip(1) {
        assert_eq!(message["action"], "update");
        let data = &message["data"][0];
        let (before, after) = (
            data["prevSeqId"].as_i64().unwrap(),
            data["seqId"].as_i64().unwrap(),
        );
        if after <= at {
            continue;
        }
        assert!(if applied == 0 {
            before <= at
        } else {
            before == last
        });
        last = after;
        applied += 1;
        apply(&mut book[0], &data["bids"]);
        apply(&mut book[1], &data["asks"]);
    }
    let rest = rig.get("/api/v5/market/books", "instId=BTC-USDT&sz=400")["data"][0].clone();
    let mut whole = Texts::default();
    apply(&mut whole[0], &rest["bids"]);
    apply(&mut whole[1], &rest["asks"]);
    assert_eq!((rest["seqId"].as_i64(), book), (Some(last), whole));
    assert!(applied > 10);
}

#[test]
fn without_the_option_checksums_are_zero() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, "books");
    rig.run(500);
    let messages = rig.take(conn);
    assert!(messages[1..].iter().all(|m| m["data"][0]["checksum"] == 0));
    rig.fault("bad-checksum");
    rig.run(500);
    let wrong = rig
        .take(conn)
        .iter()
        .filter(|m| m["data"][0]["checksum"] != 0)
        .count();
    assert_eq!(wrong, 1);
}

#[test]
fn a_quiet_book_repeats_its_number_and_a_reset_lowers_it() {
    let mut rig = quiet();
    let conn = subscribe(&mut rig, "books");
    // Somebody has to talk, or the venue hangs up after 30 s.
    for _ in 0..7 {
        rig.run(10_000);
        rig.send(conn, "ping");
    }
    let all = rig.inbox[&conn].clone();
    let update = all.iter().find(|text| text.contains("\"update\"")).unwrap();
    let update: Value = serde_json::from_str(update).unwrap();
    assert_eq!(update["data"][0]["prevSeqId"], update["data"][0]["seqId"]);

    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, "books");
    rig.run(1_000);
    rig.fault("seq-reset");
    rig.run(1_000);
    let mut last = -1;
    let mut falls = 0;
    for message in rig.take(conn).into_iter().skip(1) {
        let data = &message["data"][0];
        assert_eq!(data["prevSeqId"].as_i64(), Some(last));
        falls += i32::from(data["seqId"].as_i64().unwrap() < last);
        last = data["seqId"].as_i64().unwrap();
    }
    assert_eq!(falls, 1);
}

#[test]
fn each_depth_fault_breaks_the_chain_once() {
    for (fault, expected) in [("gap", 1), ("duplicate", 1), ("reorder", 3)] {
        let mut rig = rig_with(|_| ());
        let conn = subscribe(&mut rig, "books");
        rig.run(1_000);
        rig.fault(fault);
        rig.run(2_000);
        let mut last = -1;
        let mut breaks = 0;
        for message in rig.take(conn).into_iter().skip(1) {
            let data = &message["data"][0];
            breaks += i32::from(data["prevSeqId"].as_i64() != Some(last));
            last = data["seqId"].as_i64().unwrap();
        }
        assert_eq!(breaks, expected, "{fault}");
    }
}

#[test]
fn an_order_lives_and_its_pushes_say_so() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let got = op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "a1"),
    );
    assert_eq!(
        (&got[0]["code"], &got[0]["data"][0]["sCode"]),
        (&json!("0"), &json!("0"))
    );
    assert_eq!(got[1]["data"][0]["state"], "live");
    let again = op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "a1"),
    );
    assert_eq!(
        (&again[0]["code"], &again[0]["data"][0]["sCode"]),
        (&json!("1"), &json!("51016"))
    );
    let amend = json!({"instIdCode": Okx::code(0), "clOrdId": "a1", "newPx": "60001",
        "newSz": "0.002", "reqId": "q1"});
    let amended = op(&mut rig, conn, "amend-order", amend);
    assert_eq!(amended[0]["data"][0]["sCode"], "0");
    let push = &amended[1]["data"][0];
    assert_eq!(
        (
            &push["px"],
            &push["sz"],
            &push["amendResult"],
            &push["reqId"]
        ),
        (&json!("60001"), &json!("0.002"), &json!("0"), &json!("q1"))
    );
    let cancel = json!({"instIdCode": Okx::code(0), "clOrdId": "a1"});
    let canceled = op(&mut rig, conn, "cancel-order", cancel.clone());
    let push = &canceled[1]["data"][0];
    assert_eq!(
        (&push["state"], &push["cancelSource"]),
        (&json!("canceled"), &json!("1"))
    );
    let gone = op(&mut rig, conn, "cancel-order", cancel);
    assert_eq!(gone[0]["data"][0]["sCode"], "51400");
}

#[test]
fn a_crossing_post_only_is_accepted_then_canceled() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let got = op(
        &mut rig,
        conn,
        "order",
        order("post_only", "buy", "70000", "p"),
    );
    assert_eq!(got[0]["data"][0]["sCode"], "0");
    let states: Vec<&Value> = got[1..].iter().map(|m| &m["data"][0]["state"]).collect();
    assert_eq!(states, [&json!("live"), &json!("canceled")]);
    assert_eq!(got[2]["data"][0]["cancelSource"], "31");
}

#[test]
fn a_market_order_ends_with_a_push_without_a_fill() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut buy = order("market", "buy", "", "m");
    buy["sz"] = json!("100");
    let got = op(&mut rig, conn, "order", buy);
    let rows: Vec<&Value> = got[1..].iter().map(|m| &m["data"][0]).collect();
    let last = rows.last().unwrap();
    assert_eq!(
        (&last["state"], &last["fillSz"], &last["tradeId"]),
        (&json!("filled"), &json!("0"), &json!(""))
    );
    let fills = rows.iter().filter(|row| row["tradeId"] != "").count();
    assert!(fills >= 1 && rows[0]["state"] == "live");
    assert_eq!(last["feeCcy"], "BTC");
    assert!(last["fee"].as_str().unwrap().starts_with('-'));
}

#[test]
fn a_batch_answers_item_by_item() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut rich = order("limit", "buy", "60000", "b2");
    rich["sz"] = json!("900");
    let args = json!([
        order("limit", "buy", "60000", "b1"),
        rich,
        order("limit", "buy", "1", "b3")
    ]);
    let got = op(&mut rig, conn, "batch-orders", args);
    let codes: Vec<&Value> = got[0]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["sCode"])
        .collect();
    assert_eq!(got[0]["code"], "2");
    assert_eq!(codes, [&json!("0"), &json!("51008"), &json!("51006")]);
    for (name, value, code) in [
        ("clOrdId", "a-b", "51000"),
        ("tdMode", "cross", "51000"),
        ("instIdCode", "1", "51001"),
        ("sz", "0.000000001", "51121"),
        ("sz", "0.000001", "51020"),
        ("px", "60000.01", "51000"),
    ] {
        let mut bad = order("limit", "buy", "60000", "x");
        bad[name] = json!(value);
        let got = op(&mut rig, conn, "order", bad);
        assert_eq!(got[0]["data"][0]["sCode"], code, "{name}={value}");
    }
}

fn signed(rig: &Rig<Okx>, method: &str, path: &str, body: &str) -> Request {
    // The rig's clock starts at midnight of 2026-11-21.
    let ms = (rig.now - START) / MS;
    let (seconds, millis) = (ms / 1_000, ms % 1_000);
    let timestamp = format!(
        "2026-11-21T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    let sign = sign(&format!("{timestamp}{method}{path}{body}"));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: vec![
            ("ok-access-key".into(), KEY.into()),
            ("ok-access-passphrase".into(), PASS.into()),
            ("ok-access-timestamp".into(), timestamp),
            ("ok-access-sign".into(), sign),
        ],
        body: body.into(),
    }
}

fn rest(rig: &mut Rig<Okx>, method: &str, path: &str, body: &str) -> Value {
    let request = signed(rig, method, path, body);
    serde_json::from_str(&rig.http(&request).unwrap().body).unwrap()
}

#[test]
fn the_dead_man_s_switch_cancels() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "d1"),
    );
    let armed = rest(
        &mut rig,
        "POST",
        "/api/v5/trade/cancel-all-after",
        r#"{"timeOut":"10"}"#,
    );
    assert_eq!(armed["code"], "0");
    rig.take(conn);
    rig.run(9_900);
    assert_eq!(
        rest(&mut rig, "GET", "/api/v5/trade/orders-pending", "")["data"][0]["clOrdId"],
        "d1"
    );
    rig.run(200);
    let push = &rig.take(conn)[0]["data"][0];
    assert_eq!(
        (&push["state"], &push["cancelSource"]),
        (&json!("canceled"), &json!("20"))
    );
    let bad = rest(
        &mut rig,
        "POST",
        "/api/v5/trade/cancel-all-after",
        r#"{"timeOut":"5"}"#,
    );
    assert_eq!(bad["code"], "51000");
}

#[test]
fn rest_is_signed() {
    let mut rig = quiet();
    let good = signed(&rig, "GET", "/api/v5/account/balance?ccy=BTC", "");
    assert_eq!(rig.http(&good).unwrap().status, 200);
    for (header, code) in [
        ("ok-access-key", "50111"),
        ("ok-access-passphrase", "50105"),
        ("ok-access-timestamp", "50112"),
        ("ok-access-sign", "50113"),
    ] {
        let mut bad = good.clone();
        for (name, value) in &mut bad.headers {
            if name == header {
                *value = "x".into();
            }
        }
        let response = rig.http(&bad).unwrap();
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!((response.status, &body["code"]), (401, &json!(code)));
    }
    rig.fault("clock-skew:ms=40000");
    let response = rig.http(&good).unwrap();
    assert!(response.body.contains("50102"));
}

#[test]
fn a_silent_connection_is_cut_after_30_s_and_ping_keeps_it() {
    let mut rig = quiet();
    let idle = rig.open("/ws/v5/public", "");
    let kept = rig.open("/ws/v5/public", "");
    rig.run(20_000);
    assert_eq!(rig.send(kept, "ping"), [json!("pong")]);
    rig.run(10_200);
    assert!(rig.closed.contains_key(&idle) && !rig.closed.contains_key(&kept));
    rig.fault("restart:for=1s");
    assert!(rig.inbox[&kept].iter().any(|text| text.contains("64008")));
    rig.run(1_200);
    assert!(rig.closed.contains_key(&kept));
}

#[test]
fn limits_and_reply_faults() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    rig.fault("rate-limit");
    let got = op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "r1"),
    );
    assert_eq!((&got[0]["code"], got.len()), (&json!("50011"), 1));
    rig.fault("lost-ack");
    let got = op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "r2"),
    );
    assert_eq!(
        got[0]["data"][0]["state"], "live",
        "no answer, only the push"
    );
    rig.fault("reject:code=51008");
    let got = op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "r3"),
    );
    assert_eq!(got[0]["data"][0]["sCode"], "51008");
    rig.fault("timeout:executed=false");
    let got = op(
        &mut rig,
        conn,
        "order",
        order("limit", "buy", "60000", "r4"),
    );
    assert_eq!(got[0]["data"][0]["sCode"], "50004");
    assert_eq!(
        rest(
            &mut rig,
            "GET",
            "/api/v5/trade/order?instId=BTC-USDT&clOrdId=r4",
            ""
        )["code"],
        "51603"
    );
    rig.run(2_000);
    let mut refused = 0;
    for at in 0..61 {
        let got = op(
            &mut rig,
            conn,
            "order",
            order("limit", "buy", "60000", &format!("n{at}")),
        );
        refused += i32::from(got[0]["data"][0]["sCode"] == "50011");
    }
    assert_eq!(refused, 1, "60 in 2 s");
    // Orders in batches are counted one by one, in a pool of their own.
    for at in 0..16 {
        let name = |n| order("limit", "buy", "60000", &format!("m{at}n{n}"));
        let args: Vec<Value> = (0..20).map(name).collect();
        let got = op(&mut rig, conn, "batch-orders", json!(args));
        let want = if at < 15 { "0" } else { "1" };
        assert_eq!(got[0]["code"], want, "batch {at}");
    }
    let limits = rig.face.stats()["limits"].clone();
    for (name, limit, refused) in [
        ("new BTC-USDT", 60, 1),
        ("new in batches BTC-USDT", 300, 20),
    ] {
        let mut rows = limits.as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == name).unwrap();
        assert_eq!(
            (&row["limit"], &row["highest"], &row["refused"]),
            (&json!(limit), &json!(limit), &json!(refused))
        );
    }
}

#[test]
fn endpoints_are_limited_and_a_broken_gateway_says_nothing() {
    let mut rig = quiet();
    let balance = |rig: &mut Rig<Okx>| {
        let request = signed(rig, "GET", "/api/v5/account/balance", "");
        rig.http(&request).unwrap().status
    };
    let passed = (0..12).filter(|_| balance(&mut rig) == 200).count();
    assert_eq!(passed, 10, "10 in 2 s");
    let place = |rig: &mut Rig<Okx>, id: &str| {
        let body = order("limit", "buy", "60000", id).to_string();
        let request = signed(rig, "POST", "/api/v5/trade/order", &body);
        rig.http(&request).unwrap().status
    };
    rig.fault("http-500:executed=true,http-500:executed=false");
    assert_eq!((place(&mut rig, "a"), place(&mut rig, "b")), (500, 500));
    assert_eq!(place(&mut rig, "c"), 200);
    let open = rig.face.core().engine.open_orders(1);
    let open: Vec<&str> = open.map(|order| &*order.ask.client_id).collect();
    assert_eq!(open, ["a", "c"]);
}

#[test]
fn channels_need_the_right_url_and_a_login() {
    let mut rig = quiet();
    let public = rig.open("/ws/v5/public", "");
    let wrong = r#"{"op":"subscribe","args":[{"channel":"foo","instId":"BTC-USDT"}]}"#;
    assert_eq!(rig.send(public, wrong)[0]["code"], "60018");
    let private = rig.open("/ws/v5/private", "");
    let orders = r#"{"op":"subscribe","args":[{"channel":"orders","instType":"ANY"}]}"#;
    assert_eq!(rig.send(private, orders)[0]["code"], "60011");
    let got = op(&mut rig, private, "order", order("limit", "buy", "1", "x"));
    assert_eq!(got[0]["code"], "60011");
    let forged = json!({"op": "login", "args": [{"apiKey": KEY, "passphrase": PASS,
        "timestamp": (rig.now / 1_000 / MS).to_string(), "sign": "AAAA"}]});
    assert_eq!(rig.send(private, &forged.to_string())[0]["code"], "60007");
}

#[test]
fn small_channels_send_whole_books_and_trades() {
    let mut rig = rig_with(|_| ());
    let conns = ["books5", "bbo-tbt", "trades", "tickers"].map(|name| subscribe(&mut rig, name));
    rig.run(5_000);
    for (conn, levels) in conns.into_iter().zip([5, 1, 0, 0]) {
        let messages = rig.take(conn);
        assert!(messages.len() > 5, "{}", messages.len());
        for message in messages[1..].iter().filter(|_| levels > 0) {
            let bids = message["data"][0]["bids"].as_array().unwrap();
            assert_eq!(bids.len(), levels);
        }
    }
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", name in "[a-z-]{0,20}") {
        let mut rig = quiet();
        let conn = login(&mut rig);
        rig.send(conn, &text);
        op(&mut rig, conn, &name, json!([{"instId": text, "sz": text}]));
        for kind in ["order", "amend-order", "cancel-order", "subscribe"] {
            let arg = json!({"instIdCode": Okx::code(0), "clOrdId": name, "px": text, "sz": text,
                "side": "buy", "ordType": "limit", "tdMode": "cash", "channel": text});
            op(&mut rig, conn, kind, arg);
        }
        let body = text.clone();
        let request = signed(&rig, "POST", "/api/v5/trade/order", &body);
        assert!(rig.http(&request).is_some());
    }
}
