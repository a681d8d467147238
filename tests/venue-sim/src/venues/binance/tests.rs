use super::*;
use crate::venues::rig::{MS, Rig, Texts, apply};
use ring::hmac;
use serde_json::Value;
use std::fmt::Write as _;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";

fn rig_with(config: &SimConfig) -> Rig<Binance> {
    Rig::new(Binance::new(config, crate::venues::rig::START))
}

fn rig() -> Rig<Binance> {
    rig_with(&SimConfig::default())
}

/// A market in which nobody else moves.
fn quiet() -> Rig<Binance> {
    let mut config = SimConfig::default();
    config.flow.ticks_per_s = 0;
    rig_with(&config)
}

fn hex_hmac(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A signed WS-API request.
fn call(rig: &mut Rig<Binance>, conn: ConnId, method: &str, params: &[(&str, &str)]) -> Vec<Value> {
    let timestamp = (rig.now / MS).to_string();
    let mut pairs: Vec<(&str, &str)> = params.to_vec();
    pairs.extend([("apiKey", KEY), ("timestamp", timestamp.as_str())]);
    pairs.sort_unstable();
    let text: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let sign = hex_hmac(&text.join("&"));
    pairs.push(("signature", &sign));
    let params: serde_json::Map<String, Value> = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    rig.send(
        conn,
        &json!({"id": "r", "method": method, "params": params}).to_string(),
    )
}

fn limit<'a>(side: &'a str, price: &'a str, id: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("symbol", "BTCUSDT"),
        ("side", side),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("price", price),
        ("quantity", "0.00100"),
        ("newClientOrderId", id),
    ]
}

/// The U/u law and the splice: contiguous events, and the book they build on any REST book is the
/// engine's, at every event.
#[test]
fn diffs_are_contiguous_and_rebuild_the_book() {
    let mut rig = rig();
    let conn = rig.open("/ws/btcusdt@depth@100ms", "");
    rig.run(250);
    let snapshot = rig.get("/api/v3/depth", "symbol=BTCUSDT&limit=5000");
    rig.run(20_000);
    let at = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut book = Texts::default();
    apply(&mut book[0], &snapshot["bids"]);
    apply(&mut book[1], &snapshot["asks"]);
    let (mut last, mut kept) = (None, 0);
    for event in rig.take(conn) {
        let (first, end) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
        assert!(first <= end);
        assert!(
            last.is_none_or(|last: u64| first == last + 1),
            "{first} after {last:?}"
        );
        last = Some(end);
        if end <= at {
            continue;
        }
        assert!(
            kept > 0 || first <= at + 1,
            "the first kept event overlaps the snapshot"
        );
        kept += 1;
        apply(&mut book[0], &event["b"]);
        apply(&mut book[1], &event["a"]);
    }
    assert!(kept > 150, "{kept} events in 20 s");
    // Nobody moves any more: the stream comes to the engine's number.
    rig.face.core().flows.clear();
    rig.run(200);
    for event in rig.take(conn) {
        assert_eq!(event["U"].as_u64(), last.map(|last| last + 1));
        last = event["u"].as_u64();
        apply(&mut book[0], &event["b"]);
        apply(&mut book[1], &event["a"]);
    }
    let engine = rig.get("/api/v3/depth", "symbol=BTCUSDT&limit=5000");
    assert_eq!(engine["lastUpdateId"].as_u64(), last);
    let mut whole = Texts::default();
    apply(&mut whole[0], &engine["bids"]);
    apply(&mut whole[1], &engine["asks"]);
    assert_eq!(book, whole);
}

/// Best quotes carry the book's own counter: at equal ids they are equal to the rebuilt book's.
#[test]
fn best_quotes_share_the_counter() {
    let mut rig = quiet();
    let conn = rig.open("/stream", "streams=btcusdt@bookTicker/btcusdt@depth@100ms");
    let api = rig.open("/ws-api/v3", "");
    let best = rig.get("/api/v3/ticker/bookTicker", "symbol=BTCUSDT");
    let bid: f64 = best["bidPrice"].as_str().unwrap().parse().unwrap();
    let price = format!("{:.2}", bid + 0.01);
    let placed = call(&mut rig, api, "order.place", &limit("BUY", &price, "a"));
    assert_eq!(placed[0]["result"]["status"], "NEW", "{placed:?}");
    rig.run(200);
    let got = rig.take(conn);
    let ticker = &got
        .iter()
        .find(|m| m["stream"] == "btcusdt@bookTicker")
        .unwrap()["data"];
    let diff = &got
        .iter()
        .find(|m| m["stream"] == "btcusdt@depth@100ms")
        .unwrap()["data"];
    assert_eq!(ticker["u"], diff["u"]);
    assert_eq!(
        (&ticker["b"], &ticker["B"]),
        (&diff["b"][0][0], &diff["b"][0][1])
    );
}

#[test]
fn an_order_lives_and_its_reports_say_so() {
    let mut rig = quiet();
    let api = rig.open("/ws-api/v3", "");
    let subscribed = call(&mut rig, api, "userDataStream.subscribe.signature", &[]);
    assert_eq!(subscribed[0]["result"]["subscriptionId"], 0);
    let placed = call(
        &mut rig,
        api,
        "order.place",
        &limit("BUY", "60000.00", "one"),
    );
    let result = &placed[0]["result"];
    assert_eq!(
        (&result["status"], &result["clientOrderId"]),
        (&json!("NEW"), &json!("one"))
    );
    assert_eq!(result["fills"], json!([]));
    assert_eq!(placed[0]["rateLimits"][0]["count"], 1);
    let report = &placed[1]["event"];
    assert_eq!(
        (&report["x"], &report["X"], &report["t"]),
        (&json!("NEW"), &json!("NEW"), &json!(-1))
    );
    assert_eq!(placed[2]["event"]["e"], "outboundAccountPosition");
    assert_eq!(placed[2]["event"]["B"][1]["l"], "60.00000000");

    let again = call(
        &mut rig,
        api,
        "order.place",
        &limit("BUY", "60000.00", "one"),
    );
    assert_eq!(
        again[0]["error"],
        json!({"code": -2010, "msg": "Duplicate order sent."})
    );

    let reduce = [
        ("symbol", "BTCUSDT"),
        ("origClientOrderId", "one"),
        ("newQty", "0.00050"),
    ];
    let amended = call(&mut rig, api, "order.amend.keepPriority", &reduce);
    assert_eq!(amended[0]["result"]["amendedOrder"]["qty"], "0.00050000");
    assert_eq!(amended[1]["event"]["x"], "REPLACED");

    let cancel = [("symbol", "BTCUSDT"), ("origClientOrderId", "one")];
    let canceled = call(&mut rig, api, "order.cancel", &cancel);
    assert_eq!(canceled[0]["result"]["status"], "CANCELED");
    let report = &canceled[1]["event"];
    assert_eq!(
        (&report["x"], &report["C"]),
        (&json!("CANCELED"), &json!("one"))
    );
    assert_eq!(report["c"], canceled[0]["result"]["clientOrderId"]);
    let gone = call(&mut rig, api, "order.cancel", &cancel);
    assert_eq!(gone[0]["error"]["code"], -2011);
    let all = call(
        &mut rig,
        api,
        "openOrders.cancelAll",
        &[("symbol", "BTCUSDT")],
    );
    assert_eq!(all[0]["error"]["code"], -2011);
}

#[test]
fn a_taker_is_filled_and_both_answers_agree() {
    let mut rig = quiet();
    let api = rig.open("/ws-api/v3", "");
    call(&mut rig, api, "userDataStream.subscribe.signature", &[]);
    let placed = call(
        &mut rig,
        api,
        "order.place",
        &limit("SELL", "60000.00", "t"),
    );
    let result = &placed[0]["result"];
    assert_eq!(result["status"], "FILLED");
    let events: Vec<&Value> = placed[1..].iter().map(|m| &m["event"]).collect();
    let states: Vec<&str> = events
        .iter()
        .filter_map(|event| event["X"].as_str())
        .collect();
    assert_eq!(
        (states.first(), states.last()),
        (Some(&"NEW"), Some(&"FILLED"))
    );
    let told: Vec<&Value> = events
        .iter()
        .filter(|e| e["x"] == "TRADE")
        .map(|e| &e["t"])
        .collect();
    let answered: Vec<&Value> = result["fills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fill| &fill["tradeId"])
        .collect();
    assert_eq!(told, answered);
    // A fill gives the order's place in the counter back.
    let usage = call(&mut rig, api, "account.rateLimits.orders", &[]);
    assert_eq!(usage[0]["result"][0]["count"], 0);
}

#[test]
fn refusals_have_the_venue_s_codes() {
    let mut rig = quiet();
    let api = rig.open("/ws-api/v3", "");
    let mut cases: Vec<(Vec<(&str, &str)>, i64, &str)> = Vec::new();
    let with = |name: &'static str, value: &'static str| {
        let mut order = limit("BUY", "60000.00", "x");
        order.retain(|(key, _)| *key != name);
        order.push((name, value));
        order
    };
    cases.push((with("symbol", "NOPE"), -1121, "Invalid symbol."));
    cases.push((
        with("price", "60000.001"),
        -1013,
        "Filter failure: PRICE_FILTER",
    ));
    cases.push((
        with("price", "1.00"),
        -1013,
        "Filter failure: PERCENT_PRICE_BY_SIDE",
    ));
    cases.push((
        with("quantity", "0.000001"),
        -1013,
        "Filter failure: LOT_SIZE",
    ));
    cases.push((
        with("quantity", "0.00001"),
        -1013,
        "Filter failure: NOTIONAL",
    ));
    cases.push((
        with("quantity", "900"),
        -2010,
        "Account has insufficient balance for requested action.",
    ));
    cases.push((
        with("quantity", "0.0000000001"),
        -1111,
        "Parameter 'quantity' has too much precision.",
    ));
    cases.push((with("side", "HOLD"), -1117, "Invalid side."));
    let mut maker = limit("BUY", "70000.00", "x");
    maker.retain(|(key, _)| *key != "timeInForce" && *key != "type");
    maker.push(("type", "LIMIT_MAKER"));
    cases.push((maker, -2010, "Order would immediately match and take."));
    for (params, code, text) in cases {
        let answer = call(&mut rig, api, "order.place", &params);
        assert_eq!(
            answer[0]["error"],
            json!({"code": code, "msg": text}),
            "{params:?}"
        );
        assert_eq!(answer[0]["status"], 400);
    }
    let missing = call(
        &mut rig,
        api,
        "order.status",
        &[("symbol", "BTCUSDT"), ("orderId", "1")],
    );
    assert_eq!(missing[0]["error"]["code"], -2013);
}

#[test]
fn time_and_signature_are_checked() {
    let mut rig = quiet();
    let api = rig.open("/ws-api/v3", "");
    rig.fault("clock-skew:ms=10000");
    let late = call(&mut rig, api, "account.status", &[]);
    assert_eq!(late[0]["error"]["code"], -1021);
    rig.fault("clock-skew:ms=-2000");
    let early = call(&mut rig, api, "account.status", &[]);
    assert_eq!(early[0]["error"]["code"], -1021);
    rig.fault("clock-skew:ms=0");
    let forged = json!({"id": 1, "method": "account.status", "params": {
        "apiKey": KEY, "timestamp": rig.now / MS, "signature": "00"}});
    assert_eq!(
        rig.send(api, &forged.to_string())[0]["error"]["code"],
        -1022
    );
    let stranger = json!({"id": 1, "method": "account.status", "params": {
        "apiKey": "who", "timestamp": rig.now / MS, "signature": "00"}});
    assert_eq!(
        rig.send(api, &stranger.to_string())[0]["error"]["code"],
        -2015
    );
}

#[test]
fn a_session_logs_on_with_ed25519_only() {
    use base64::Engine as _;
    let mut rig = quiet();
    let api = rig.open("/ws-api/v3", "");
    let hmac = call(&mut rig, api, "session.logon", &[]);
    assert_eq!(hmac[0]["error"]["code"], -4056);
    let timestamp = rig.now / MS;
    let credential = crate::keys::Credential::default_key(1);
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&credential.seed).unwrap();
    let text = format!("apiKey={KEY}&timestamp={timestamp}");
    let sign =
        base64::engine::general_purpose::STANDARD.encode(pair.sign(text.as_bytes()).as_ref());
    let logon = json!({"id": 1, "method": "session.logon", "params": {
        "apiKey": KEY, "timestamp": timestamp, "signature": sign}});
    let answer = rig.send(api, &logon.to_string());
    assert_eq!(answer[0]["result"]["apiKey"], KEY, "{answer:?}");
    let subscribed = rig.send(api, r#"{"id":2,"method":"userDataStream.subscribe"}"#);
    assert_eq!(
        subscribed[0],
        json!({"id": 2, "status": 200, "result": {"subscriptionId": 0},
        "rateLimits": subscribed[0]["rateLimits"]})
    );
    let mut order: serde_json::Map<String, Value> = limit("BUY", "60000.00", "s")
        .into_iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    order.insert("timestamp".into(), json!(timestamp));
    let place = json!({"id": 3, "method": "order.place", "params": order});
    assert_eq!(rig.send(api, &place.to_string())[0]["status"], 200);
}

#[test]
fn each_depth_fault_does_what_it_says() {
    type Ids = [(u64, u64)];
    let gaps = |ids: &Ids| ids.windows(2).filter(|w| w[1].0 > w[0].1 + 1).count();
    let twice = |ids: &Ids| ids.windows(2).filter(|w| w[0] == w[1]).count();
    let back = |ids: &Ids| ids.windows(2).filter(|w| w[1].0 < w[0].0).count();
    for (fault, expected) in [
        ("gap", [1, 0, 0]),
        ("duplicate", [0, 1, 0]),
        ("reorder", [2, 0, 1]),
    ] {
        let mut rig = rig();
        let conn = rig.open("/ws/btcusdt@depth@100ms", "");
        rig.run(1_000);
        rig.fault(fault);
        rig.run(2_000);
        let ids: Vec<(u64, u64)> = rig
            .take(conn)
            .iter()
            .map(|event| (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap()))
            .collect();
        assert_eq!(
            [gaps(&ids), twice(&ids), back(&ids)],
            expected,
            "{fault}: {ids:?}"
        );
    }
}

#[test]
fn each_reply_fault_does_what_it_says() {
    let kinds = |texts: &[Value]| -> Vec<&'static str> {
        texts
            .iter()
            .map(|m| {
                if m.get("id").is_some() {
                    "reply"
                } else {
                    "event"
                }
            })
            .collect()
    };
    let place = |fault: &str| {
        let mut rig = quiet();
        let api = rig.open("/ws-api/v3", "");
        call(&mut rig, api, "userDataStream.subscribe.signature", &[]);
        rig.fault(fault);
        let got = call(
            &mut rig,
            api,
            "order.place",
            &limit("SELL", "60000.00", "f"),
        );
        // What came before and at once is in `got`; what comes later is looked for in the inbox.
        rig.take(api);
        (rig, api, got)
    };
    let (_, _, got) = place("reply-after-stream");
    assert_eq!(
        (kinds(&got)[0], kinds(&got).last()),
        ("event", Some(&"reply"))
    );

    let (mut rig, api, got) = place("stream-after-reply:ms=50");
    assert_eq!(kinds(&got), ["reply"]);
    rig.run(60);
    assert!(kinds(&rig.take(api)).contains(&"event"));

    let (mut rig, api, got) = place("slow-ack:ms=300");
    assert!(!kinds(&got).contains(&"reply"));
    rig.run(299);
    assert!(!kinds(&rig.take(api)).contains(&"reply"));
    rig.run(2);
    assert_eq!(kinds(&rig.take(api)), ["reply"]);

    let (mut rig, api, got) = place("lost-ack");
    assert!(!kinds(&got).contains(&"reply"));
    rig.run(5_000);
    assert!(!kinds(&rig.take(api)).contains(&"reply"));
    let query = [("symbol", "BTCUSDT"), ("origClientOrderId", "f")];
    let status = call(&mut rig, api, "order.status", &query);
    assert_eq!(
        status[0]["result"]["status"], "FILLED",
        "it was carried out"
    );

    let (_, _, got) = place("duplicate-fill");
    let trades: Vec<&Value> = got
        .iter()
        .filter(|m| m["event"]["x"] == "TRADE")
        .map(|m| &m["event"]["I"])
        .collect();
    assert_eq!(trades[0], trades[1]);

    let (_, _, got) = place("reject:code=-1013");
    assert_eq!(got[0]["error"]["code"], -1013);

    for (executed, code) in [("true", 200), ("false", 400)] {
        let (mut rig, api, got) = place(&format!("timeout:executed={executed}"));
        let reply = got.iter().find(|m| m.get("id").is_some()).unwrap();
        assert_eq!(
            (&reply["status"], &reply["error"]["code"]),
            (&json!(503), &json!(-1007))
        );
        let status = call(&mut rig, api, "order.status", &query);
        assert_eq!(status[0]["status"], code);
    }
}

#[test]
fn connections_are_cut_silenced_and_told() {
    let mut rig = rig();
    let data = rig.open("/stream", "streams=btcusdt@depth@100ms");
    let api = rig.open("/ws-api/v3", "");
    rig.fault("silence:link=public:for=1s");
    rig.run(990);
    assert!(rig.take(data).is_empty());
    rig.run(300);
    assert!(!rig.take(data).is_empty());
    rig.fault("disconnect:link=private");
    assert_eq!(
        (rig.closed.get(&api), rig.closed.get(&data)),
        (Some(&None), None)
    );
    rig.fault("restart:for=2s");
    assert!(
        rig.take(data)
            .iter()
            .any(|m| m["stream"] == "!serverShutdown")
    );
    rig.run(1_900);
    assert!(!rig.closed.contains_key(&data));
    rig.run(300);
    assert!(rig.closed.contains_key(&data));
}

#[test]
fn limits_answer_429_and_418() {
    let mut rig = quiet();
    let ask = Request {
        method: "GET".into(),
        path: "/api/v3/time".into(),
        ..Request::default()
    };
    rig.fault("rate-limit:n=1");
    let response = rig.http(&ask).unwrap();
    assert_eq!(response.status, 429);
    assert!(
        response
            .headers
            .iter()
            .any(|(name, _)| *name == "retry-after")
    );
    assert_eq!(rig.http(&ask).unwrap().status, 200);
    rig.fault("ban:for=2s");
    assert_eq!(rig.http(&ask).unwrap().status, 418);
    assert_eq!(
        rig.face
            .refuses_upgrade(&Request::default())
            .map(|one| one.status),
        Some(418)
    );
    assert_eq!(rig.face.stats()["while_banned"], 2);
    rig.run(2_100);
    assert_eq!(rig.http(&ask).unwrap().status, 200);
    assert_eq!(rig.face.refuses_upgrade(&Request::default()), None);
}

/// A gateway's 5xx says nothing of the order behind it.
#[test]
fn a_broken_gateway_leaves_orders_carried_out_or_not() {
    let mut rig = quiet();
    let order = |rig: &mut Rig<Binance>, id: &str| {
        let timestamp = rig.now / MS;
        let query = format!(
            "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=60000&\
             newClientOrderId={id}&timestamp={timestamp}"
        );
        let request = Request {
            method: "POST".into(),
            path: "/api/v3/order".into(),
            query: format!("{query}&signature={}", hex_hmac(&query)),
            headers: vec![("x-mbx-apikey".into(), KEY.into())],
            ..Request::default()
        };
        rig.http(&request).unwrap()
    };
    rig.fault("http-500:n=1:executed=true:code=502,http-500:n=1:executed=false:code=200");
    let carried_out = order(&mut rig, "a");
    assert_eq!(carried_out.status, 502);
    assert!(serde_json::from_str::<Value>(&carried_out.body).is_err());
    assert_eq!(order(&mut rig, "b").status, 500, "only a 5xx");
    assert_eq!(order(&mut rig, "c").status, 200);
    let open: Vec<String> = rig
        .face
        .core()
        .engine
        .open_orders(1)
        .map(|order| order.ask.client_id.to_string())
        .collect();
    assert_eq!(open, ["a", "c"]);
    let highest = |name: &str, stats: &Value| {
        let limits = stats["limits"].as_array().unwrap();
        let limit = limits.iter().find(|limit| limit["name"] == name).unwrap();
        limit["highest"].as_u64().unwrap()
    };
    let stats = rig.face.stats();
    assert_eq!(highest("orders of account 1", &stats), 2);
    assert_eq!(highest("weight", &stats), 1, "each was given back");
}

#[test]
fn snapshots_can_be_older_and_newer_than_the_stream() {
    let mut rig = rig();
    let conn = rig.open("/ws/btcusdt@depth@100ms", "");
    rig.run(3_000);
    rig.take(conn);
    rig.run(300);
    let first = rig.take(conn)[0]["U"].as_u64().unwrap();
    rig.fault("snapshot-old");
    let old = rig.get("/api/v3/depth", "symbol=BTCUSDT&limit=5000");
    assert!(old["lastUpdateId"].as_u64().unwrap() < first);
    rig.fault("snapshot-new:ms=1000");
    let new = rig.get("/api/v3/depth", "symbol=BTCUSDT&limit=5000");
    rig.run(900);
    assert!(rig.take(conn).is_empty(), "the stream is behind");
    rig.run(300);
    let event = &rig.take(conn)[0];
    let at = new["lastUpdateId"].as_u64().unwrap();
    assert!(event["U"].as_u64().unwrap() <= at + 1 && event["u"].as_u64().unwrap() > at);
}

#[test]
fn a_run_repeats_under_one_seed() {
    let texts = || {
        let mut rig = rig();
        let conn = rig.open("/ws/btcusdt@depth@100ms/btcusdt@trade/ethusdt@aggTrade", "");
        rig.run(3_000);
        rig.inbox.remove(&conn).unwrap()
    };
    let first = texts();
    assert!(first.len() > 50);
    assert_eq!(first, texts());
}

#[test]
fn control_messages_are_answered() {
    let mut rig = quiet();
    let conn = rig.open("/ws", "");
    let sub = r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#;
    assert_eq!(rig.send(conn, sub), [json!({"result": null, "id": 1})]);
    let list = rig.send(conn, r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#);
    assert_eq!(list, [json!({"result": ["btcusdt@trade"], "id": 2})]);
    let un = r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":3}"#;
    assert_eq!(rig.send(conn, un), [json!({"result": null, "id": 3})]);
    assert_eq!(rig.send(conn, "{")[0]["code"], 3);
    assert_eq!(rig.send(conn, "{}")[0]["code"], 2);
    rig.send(conn, "{}");
    assert_eq!(
        rig.closed.get(&conn),
        Some(&Some(1008)),
        "six messages in a second"
    );
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", method in "[a-zA-Z.]{0,24}") {
        let mut rig = quiet();
        let api = rig.open("/ws-api/v3", "");
        rig.send(api, &text);
        let order = json!({"id": text, "method": method, "params": {"symbol": text, "price": text}});
        rig.send(api, &order.to_string());
        let request = Request { method: "POST".into(), path: "/api/v3/order".into(),
            query: text.clone(), body: text, ..Request::default() };
        assert!(rig.http(&request).is_some());
    }
}
