//! Connections, logins, limits, accidents.

use super::*;

#[test]
fn what_is_quiet_beats_and_is_counted() {
    let mut rig = quiet();
    let (conn, channel) = subscribe(&mut rig, 65_536, &book("P0", "25"));
    let private = trader(&mut rig);
    rig.run(31_000);
    let beats: Vec<Value> = rig.take(conn)[1..].to_vec();
    assert_eq!(
        beats,
        [json!([channel, "hb", 2]), json!([channel, "hb", 3])]
    );
    assert_eq!(rig.take(private), [json!([0, "hb"]), json!([0, "hb"])]);
    let pong = rig.send(conn, r#"{"event":"ping","cid":1}"#);
    assert_eq!(pong[0]["cid"], 1);
    rig.run(600_000);
    assert!(rig.closed.is_empty(), "nobody is cut for silence");
}

#[test]
fn subscriptions_are_refused_in_the_venue_s_words() {
    let mut rig = quiet();
    let conn = rig.open("/ws/2", "");
    let mut ask = |request: Value| rig.send(conn, &request.to_string())[0].clone();
    let wrong = json!({"event": "subscribe", "channel": "book", "symbol": "tFOOUSD", "prec": "P0",
        "freq": "F0", "len": "25", "subId": "b1"});
    assert_eq!(
        ask(wrong).to_string(),
        r#"{"event":"error","channel":"book","symbol":"tFOOUSD","prec":"P0","freq":"F0","len":"25","subId":"b1","pair":"FOOUSD","msg":"symbol: invalid","code":10300}"#
    );
    let mut good = json!({"event": "subscribe", "channel": "book", "symbol": BTC, "subId": "b0"});
    let got = ask(good.clone());
    let channel = got["chanId"].clone();
    assert_eq!(
        got.to_string(),
        format!(
            r#"{{"event":"subscribed","channel":"book","chanId":{channel},"symbol":"tBTCUST","prec":"P0","freq":"F0","len":"25","subId":"b0","pair":"BTCUST"}}"#
        )
    );
    assert_eq!(ask(good.clone())["code"], 10_301);
    good["channel"] = json!("candles");
    assert_eq!(ask(good.clone())["code"], 10_302);
    good["channel"] = json!("book");
    good["len"] = json!(7);
    assert_eq!(ask(good)["msg"], "len: invalid");
    let leave = json!({"event": "unsubscribe", "chanId": channel});
    assert_eq!(
        ask(leave.clone()),
        json!({"event": "unsubscribed", "status": "OK", "chanId": channel})
    );
    assert_eq!(ask(leave)["code"], 10_401);
    assert_eq!(ask(json!({"event": "conf", "flags": 8}))["code"], 10_050);
    assert_eq!(ask(json!({"event": "sneezegasm"}))["code"], 10_000);
    assert_eq!(ask(json!([0, "on", null, {}]))["code"], 10_200);
    let mut opened = 0;
    for symbol in [BTC, "tETHUST"] {
        for prec in ["P0", "P1", "P2", "P3", "P4"] {
            for len in ["1", "25", "100"] {
                let book = json!({"event": "subscribe", "channel": "book", "symbol": symbol,
                    "prec": prec, "len": len});
                let got = ask(book);
                opened += i32::from(got["event"] == "subscribed");
                assert!(got["event"] == "subscribed" || got["code"] == 10_305);
            }
        }
    }
    assert_eq!(opened, 25);
}

#[test]
fn logins_and_requests_are_signed_and_nonces_rise() {
    let mut rig = quiet();
    let conn = rig.open("/ws/2", "");
    for (name, value, code) in [
        ("apiKey", "x", 10_100),
        ("authPayload", "HELLO5", 10_111),
        ("authSig", "00ff", 10_112),
        ("authNonce", "9007199254740993", 10_114),
    ] {
        let mut bad = auth(5);
        bad[name] = json!(value);
        let got = rig.send(conn, &bad.to_string());
        assert_eq!(
            (&got[0]["status"], got[0]["code"].as_i64()),
            (&json!("FAILED"), Some(code))
        );
    }
    rig.run(15_000);
    assert_eq!(rig.send(conn, &auth(1_000).to_string())[0]["status"], "OK");
    let status = |rig: &mut Rig<Bitfinex>, request: &Request| {
        let response = rig.http(request).unwrap();
        (response.status, response.body)
    };
    let small = signed(1_000, "/v2/auth/r/wallets", "{}");
    assert_eq!(
        status(&mut rig, &small),
        (500, r#"["error",10114,"nonce: small"]"#.into())
    );
    let good = signed(1_001, "/v2/auth/r/wallets", "{}");
    assert_eq!(status(&mut rig, &good).0, 200);
    assert_eq!(status(&mut rig, &good).0, 500, "a nonce is used once");
    let mut forged = signed(1_002, "/v2/auth/r/wallets", "{}");
    forged.body = r#"{"a":1}"#.into();
    assert_eq!(
        status(&mut rig, &forged).1,
        r#"["error",10112,"signature: invalid"]"#
    );
    assert_eq!(
        status(&mut rig, &signed(1_002, "/v2/auth/r/wallets", "{}")).0,
        200
    );
    let other = rig.open("/ws/2", "");
    assert_eq!(rig.send(other, &auth(900).to_string())[0]["code"], 10_114);
}

#[test]
fn the_dead_man_s_switch_is_the_socket() {
    let mut rig = quiet();
    let (guard, other) = (trader(&mut rig), trader(&mut rig));
    op(
        &mut rig,
        other,
        "on",
        order(1, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    rig.take(other);
    rig.face.closed(guard);
    rig.run(1);
    let told = rig.take(other);
    assert_eq!(
        (words(&told), &told[0][2][13]),
        (vec!["oc"], &json!("CANCELED"))
    );
    op(
        &mut rig,
        other,
        "on",
        order(2, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    rig.fault("disconnect:link=private");
    assert_eq!(
        (
            rig.closed[&other],
            rig.face.core().engine.open_orders(1).count()
        ),
        (None, 0)
    );
    // Without the switch orders stay.
    let conn = rig.open("/ws/2", "");
    let mut login = auth((1 << 52) + 1);
    login.as_object_mut().unwrap().remove("dms");
    rig.send(conn, &login.to_string());
    op(
        &mut rig,
        conn,
        "on",
        order(3, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    rig.face.closed(conn);
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 1);
    assert_eq!(rig.face.stats()["dead_man_armed"], 0);
}

#[test]
fn a_filter_lets_through_what_it_names() {
    let mut rig = quiet();
    let conn = rig.open("/ws/2", "");
    rig.take(conn);
    let mut login = auth(1_000);
    login["filter"] = json!(["trading-tETHUST", "notify"]);
    let got = rig.send(conn, &login.to_string());
    let said: Vec<&Value> = got[1..].iter().map(|frame| &frame[1]).collect();
    assert_eq!(said, ["os", "ps"]);
    let got = op(
        &mut rig,
        conn,
        "on",
        order(1, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!(words(&got), ["n"]);
    let mut other = order(2, "EXCHANGE LIMIT", "0.01", "3000");
    other["symbol"] = json!("tETHUST");
    assert_eq!(words(&op(&mut rig, conn, "on", other)), ["n", "on"]);
}

/// `[…, SEQ, AUTH_SEQ]`, notifications with the second only and moving neither.
#[test]
fn channel_0_is_numbered_twice() {
    let mut rig = quiet();
    let conn = rig.open("/ws/2", "");
    rig.send(conn, r#"{"event":"conf","flags":65536}"#);
    let got = rig.send(conn, &auth(1_000).to_string());
    let tails: Vec<(u64, u64)> = got[1..]
        .iter()
        .map(|frame| (frame[3].as_u64().unwrap(), frame[4].as_u64().unwrap()))
        .collect();
    assert_eq!(tails, [(1, 0), (2, 0), (3, 0), (4, 0)]);
    let got = op(
        &mut rig,
        conn,
        "on",
        order(1, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!((&got[0][1], &got[0][3]), (&json!("n"), &json!(0)));
    assert_eq!((&got[1][3], &got[1][4]), (&json!(5), &json!(1)));
    rig.take(conn);
    rig.run(15_100);
    let frames = rig.take(conn);
    assert_eq!(
        frames.last(),
        Some(&json!([0, "hb", 8])),
        "two wallets between"
    );
}

#[test]
fn restarts_and_maintenance() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, ALL_FLAGS, &book("P0", "25"));
    let private = trader(&mut rig);
    rig.run(500);
    assert_eq!(breaks(&mut rig, conn), (0, 0));
    rig.fault("restart:code=20060:for=3s");
    assert_eq!(rig.take(private)[0]["code"], 20_060);
    let refused = op(
        &mut rig,
        private,
        "on",
        order(1, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!(
        (&refused[0][2][5], &refused[0][2][7]),
        (&json!(20_060), &json!("maintenance"))
    );
    assert_eq!(rig.get("/v2/platform/status", ""), json!([0]));
    let told = json!(["error", 20_060, "maintenance"]);
    assert_eq!(rig.get("/v2/ticker/tBTCUST", ""), told);
    assert_eq!(post(&mut rig, "/v2/auth/r/wallets", "{}"), (500, told));
    let late = rig.open("/ws/2", "");
    assert_eq!(rig.take(late)[0]["platform"]["status"], 0);
    let ask = json!({"event": "subscribe", "channel": "trades", "symbol": BTC});
    assert_eq!(rig.send(late, &ask.to_string())[0]["code"], 11_000);
    rig.run(2_900);
    assert_eq!(rig.take(conn).len(), 1, "20060 and silence");
    rig.run(1_000);
    let frames = rig.take(conn);
    assert_eq!(frames[0]["code"], 20_061);
    assert!(frames.len() > 5, "what is kept goes on");
    assert_eq!(rig.get("/v2/platform/status", ""), json!([1]));

    rig.fault("restart:for=1s");
    assert!(rig.take(conn).iter().any(|frame| frame["code"] == 20_051));
    rig.run(900);
    assert!(rig.closed.is_empty());
    rig.run(300);
    assert!(rig.closed.contains_key(&conn) && rig.closed.contains_key(&private));
}

/// How often the row of numbers breaks, and how many frames are none.
fn breaks(rig: &mut Rig<Bitfinex>, conn: ConnId) -> (i32, i32) {
    let (mut seq, mut breaks, mut others) = (0, 0, 0);
    for frame in rig.take(conn) {
        let Some(items) = frame.as_array() else {
            others += 1;
            continue;
        };
        let number = items[items.len() - 2].as_i64().unwrap();
        breaks += i32::from(number != seq + 1);
        seq = number;
    }
    (breaks, others)
}

#[test]
fn silence_and_a_wrong_clock() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, ALL_FLAGS, &book("P0", "25"));
    rig.run(500);
    rig.fault("silence:link=public:for=2s");
    let before = rig.inbox[&conn].len();
    rig.run(1_900);
    assert_eq!(rig.inbox[&conn].len(), before);
    rig.run(1_000);
    assert_eq!(
        breaks(&mut rig, conn),
        (1, 0),
        "what was not sent was counted"
    );
    rig.fault("clock-skew:ms=-5000");
    let pong = rig.send(conn, r#"{"event":"ping"}"#);
    assert_eq!(pong[0]["ts"].as_u64(), Some(rig.now / MS - 5_000));
    rig.run(200);
    let frames = rig.take(conn);
    let last = frames.last().unwrap().as_array().unwrap();
    assert!(last[last.len() - 1].as_u64() < Some(rig.now / MS - 4_900));
}

#[test]
fn limits_are_kept_and_told() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut last = Value::Null;
    for cid in 1..=1_001 {
        let got = op(
            &mut rig,
            conn,
            "on",
            order(cid, "EXCHANGE IOC", "0.001", "60000"),
        );
        last = got[0][2][7].clone();
    }
    assert_eq!(last, "ratelimit: error");
    let calcs = (0..10).map(|_| rig.send(conn, r#"[0,"calc",null,[["wallet_exchange_UST"]]]"#));
    let refused = calcs
        .collect::<Vec<_>>()
        .iter()
        .filter(|got| got[0]["code"] == 11_010)
        .count();
    assert_eq!(refused, 2);
    let tickers = |rig: &mut Rig<Bitfinex>| {
        let request = Request {
            method: "GET".into(),
            path: "/v2/tickers".into(),
            query: "symbols=ALL".into(),
            ..Request::default()
        };
        let response = rig.http(&request).unwrap();
        (response.status, response.body)
    };
    let passed = (0..95).filter(|_| tickers(&mut rig).0 == 200).count();
    assert_eq!(
        (passed, tickers(&mut rig)),
        (90, (429, r#"{"error":"ERR_RATE_LIMIT"}"#.into()))
    );
    rig.run(50_000);
    assert_eq!(tickers(&mut rig).0, 429, "and another minute");
    rig.run(59_000);
    assert_eq!(tickers(&mut rig).0, 429);
    rig.run(60_000);
    assert_eq!(tickers(&mut rig).0, 200);
    let upgrades = (0..25)
        .filter(|_| rig.face.refuses_upgrade(&Request::default()).is_none())
        .count();
    assert_eq!(upgrades, 20);
    let logins = (0..6).map(|nonce| {
        let conn = rig.open("/ws/2", "");
        rig.take(conn);
        rig.send(conn, &auth((1 << 52) + nonce).to_string())[0]["code"].clone()
    });
    assert_eq!(logins.last(), Some(json!(11_010)));
    let limits = rig.face.stats()["limits"].clone();
    let orders = limits
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "orders of account 1");
    assert_eq!(orders.unwrap()["refused"], 1);
}

#[test]
fn what_everybody_may_ask() {
    let mut rig = quiet();
    assert_eq!(
        rig.get("/v2/conf/pub:list:pair:exchange", ""),
        json!([["BTCUST", "ETHUST"]])
    );
    assert_eq!(
        rig.get("/v2/conf/pub%3Ainfo%3Apair", "").to_string(),
        r#"[[["BTCUST",[null,null,null,"0.00006","9000.0",null,null,null,0.2,0.1,null,null]],["ETHUST",[null,null,null,"0.001","9000.0",null,null,null,0.2,0.1,null,null]]]]"#
    );
    assert_eq!(
        rig.get("/v2/conf/pub:list:currency,pub:info:pair:futures", ""),
        json!([["BTC", "UST", "ETH"], []])
    );
    let book = rig.get("/v2/book/tETHUST/P0", "len=1");
    assert_eq!(
        (book[0][0].to_string(), book[1][0].to_string()),
        ("3199.9".into(), "3200.1".into())
    );
    let ticker = rig.get("/v2/ticker/tETHUST", "");
    assert_eq!(
        (ticker.as_array().unwrap().len(), &ticker[0]),
        (10, &book[0][0])
    );
    assert_eq!(rig.get("/v2/book/tETHUST/P9", "")[2], "prec: invalid");
    assert_eq!(
        rig.get("/v2/ticker/tFOO", ""),
        json!(["error", 10_020, "symbol: invalid"])
    );
    assert_eq!(rig.get("/v3/ticker", "")[2], "path: invalid");
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", word in "[a-z_-]{0,12}", number: i64) {
        let mut rig = quiet();
        let conn = trader(&mut rig);
        rig.send(conn, &text);
        for event in ["subscribe", "unsubscribe", "conf", "auth", "ping", word.as_str()] {
            let message = json!({"event": event, "channel": "book", "symbol": text, "chanId": number,
                "flags": number, "len": number, "cid": text, "apiKey": KEY, "authNonce": number});
            rig.send(conn, &message.to_string());
        }
        for kind in ["on", "ou", "oc", "oc_multi", "ox_multi", "calc", word.as_str()] {
            let body = json!({"cid": number, "id": text, "gid": text, "amount": number, "price": text,
                "delta": number, "cid_date": text, "symbol": BTC, "type": "EXCHANGE LIMIT", "meta": text});
            op(&mut rig, conn, kind, body.clone());
            op(&mut rig, conn, kind, json!([body, [kind, text, number], number, [["on", body]]]));
            op(&mut rig, conn, kind, json!({"all": 1, "cid": [[number, text]], "id": [number, text]}));
            let order = order(number.unsigned_abs(), "EXCHANGE LIMIT", &number.to_string(), &text);
            op(&mut rig, conn, kind, order);
        }
        for path in ["orders", "orders/hist", "trades/tBTCUST/hist", text.as_str()] {
            post(&mut rig, &format!("/v2/auth/r/{path}"), &text);
            let body = json!({"start": number, "end": text, "limit": number, "sort": 1}).to_string();
            post(&mut rig, &format!("/v2/auth/r/{path}"), &body);
        }
        post(&mut rig, "/v2/auth/w/order/multi", &text);
    }
}
