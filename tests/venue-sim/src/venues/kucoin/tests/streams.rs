use super::*;

fn code_of(answer: &[Value]) -> i64 {
    assert_eq!(answer[0]["type"], "error", "{answer:?}");
    answer[0]["code"].as_i64().unwrap()
}

#[test]
fn tokens_open_streams_and_expire() {
    let mut rig = rig_with(|config| config.flow.ticks_per_s = 0);
    let forged = rig.open("/", "token=abc&connectId=1");
    let said = rig.take(forged);
    assert_eq!(
        (code_of(&said), &said[0]["data"]),
        (401, &json!("token is invalid"))
    );
    assert!(rig.closed.contains_key(&forged));
    let token = bullet(&mut rig, true);
    rig.fault("token-expiry");
    let late = rig.open("/", &format!("token={token}"));
    assert_eq!(code_of(&rig.take(late)), 401);
    let (entry, user) = trader(&mut rig);
    rig.fault("token-expiry");
    assert!(rig.closed.contains_key(&entry) && rig.closed.contains_key(&user));
}

#[test]
fn subscriptions_are_answered_as_recorded() {
    let mut rig = quiet();
    let conn = stream(&mut rig, false);
    let numbered = r#"{"id":7,"type":"subscribe","topic":"/market/match:NO-SUCH","response":true}"#;
    assert_eq!(
        rig.send(conn, numbered),
        [json!({"id": "7", "type": "ack"})]
    );
    let silent = r#"{"id":"8","type":"subscribe","topic":"/market/level2:BTC-USDT"}"#;
    assert!(rig.send(conn, silent).is_empty());
    for (text, code) in [
        (
            r#"{"id":"1","type":"subscribe","topic":"/market/nothing:BTC-USDT","response":true}"#,
            404,
        ),
        (
            r#"{"id":"1","type":"subscribe","topic":"/market/level2","response":true}"#,
            404,
        ),
        (r#"{"id":"1","type":"subscribe","response":true}"#, 406),
        (r#"{"id":"1","type":"what"}"#, 415),
        ("{", 400),
        (
            r#"{"id":"1","type":"subscribe","topic":"/spotMarket/tradeOrdersV2","privateChannel":true,"response":true}"#,
            403,
        ),
    ] {
        assert_eq!(code_of(&rig.send(conn, text)), code, "{text}");
    }
    let many = vec!["BTC-USDT"; 101].join(",");
    let text = format!(r#"{{"id":"1","type":"subscribe","topic":"/market/match:{many}"}}"#);
    assert_eq!(code_of(&rig.send(conn, &text)), 509);
    let pong = rig.send(conn, r#"{"id":"1700000000000","type":"ping"}"#);
    let us = rig.now / 1_000;
    assert_eq!(
        pong,
        [json!({"id": "1700000000000", "type": "pong", "timestamp": us})]
    );
}

#[test]
fn unsubscribed_topics_fall_silent_and_a_second_ask_changes_nothing() {
    let mut rig = rig_with(|_| ());
    let conn = public(&mut rig, "/market/level2:BTC-USDT");
    subscribe(&mut rig, conn, "/market/level2:BTC-USDT", false);
    rig.run(300);
    let starts: Vec<Value> = rig
        .take(conn)
        .iter()
        .map(|message| message["data"]["sequenceStart"].clone())
        .collect();
    let mut once = starts.clone();
    once.dedup();
    assert!(!starts.is_empty() && starts == once, "one stream");
    let text =
        r#"{"id":"2","type":"unsubscribe","topic":"/market/level2:BTC-USDT","response":true}"#;
    assert_eq!(rig.send(conn, text), [json!({"id": "2", "type": "ack"})]);
    rig.take(conn);
    rig.run(300);
    assert!(rig.take(conn).is_empty());
}

#[test]
fn only_the_client_s_own_frames_keep_a_link() {
    let mut rig = rig_with(|config| config.flow.ticks_per_s = 5);
    let streaming = public(&mut rig, "/market/level2:BTC-USDT");
    let kept = stream(&mut rig, false);
    let entry = entry(&mut rig);
    for _ in 0..3 {
        rig.run(20_000);
        rig.send(kept, r#"{"id":"1","type":"ping"}"#);
        let pong = rig.send(entry, r#"{"id":"p","op":"ping","timestamp":"5"}"#);
        assert_eq!(pong, [json!({"id": "p", "op": "pong", "timestamp": "5"})]);
    }
    rig.run(200);
    let last = rig.take(streaming).pop().unwrap();
    assert_eq!(
        last,
        json!({"type": "error", "code": 400, "data": "ping timeout"})
    );
    assert_eq!(rig.closed.keys().collect::<Vec<_>>(), [&streaming]);
}

#[test]
fn a_link_takes_a_hundred_frames_in_ten_seconds_and_lives_a_day() {
    let mut rig = rig_with(|config| {
        config.flow.ticks_per_s = 0;
        config.lifetime_s = 30;
    });
    let conn = stream(&mut rig, false);
    let ping = r#"{"id":"1","type":"ping"}"#;
    let pongs = (0..101)
        .filter(|_| rig.send(conn, ping)[0]["type"] == "pong")
        .count();
    assert_eq!(pongs, 100);
    rig.run(10_000);
    assert_eq!(rig.send(conn, ping)[0]["type"], "pong");
    rig.run(20_100);
    assert!(rig.closed.contains_key(&conn));
}

#[test]
fn the_order_link_is_let_in_by_a_signed_challenge_only() {
    let mut rig = quiet();
    let query = orders_query(&rig);
    for (from, to, code) in [
        (KEY, "nobody", "400003"),
        ("timestamp=1", "timestamp=2", "400002"),
        ("passphrase=", "passphrase=A", "400004"),
        ("sign=", "sign=A", "400005"),
    ] {
        let conn = rig.open("/v1/private", &query.replacen(from, to, 1));
        let said = rig.take(conn);
        assert_eq!(said[0]["code"], code);
        assert!(said[0].get("id").is_none() && said[0].get("op").is_none());
        rig.run(200);
        assert!(rig.closed.contains_key(&conn), "{code}");
    }
    let query = orders_query(&rig);
    let wrong = rig.open("/v1/private", &query);
    assert_eq!(rig.send(wrong, &sign("another text"))[0]["code"], "400011");
    assert!(rig.closed.contains_key(&wrong));
    let slow = rig.open("/v1/private", &query);
    rig.run(30_200);
    assert_eq!(rig.take(slow)[1]["code"], "400012");
    assert!(rig.closed.contains_key(&slow));
}

#[test]
fn rest_is_signed() {
    let mut rig = quiet();
    let good = signed(&rig, "GET", "/api/v1/accounts?type=trade", "");
    assert_eq!(rig.http(&good).unwrap().status, 200);
    for (header, value, code) in [
        ("kc-api-key", "x", "400003"),
        ("kc-api-key", "", "400001"),
        ("kc-api-timestamp", "x", "400002"),
        ("kc-api-passphrase", PASS, "400004"),
        ("kc-api-sign", "x", "400005"),
        ("kc-api-key-version", "1", "400009"),
    ] {
        let mut bad = good.clone();
        for (name, held) in &mut bad.headers {
            if name == header {
                *held = value.into();
            }
        }
        let response = rig.http(&bad).unwrap();
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!((response.status, &body["code"]), (401, &json!(code)));
    }
    let body = r#"{"clientOid":"a","symbol":"BTC-USDT"}"#;
    let mut other = signed(&rig, "POST", "/api/v1/hf/orders", body);
    other.body = other.body.replace('a', "b");
    assert!(
        rig.http(&other).unwrap().body.contains("400005"),
        "the body is signed too"
    );
    rig.fault("clock-skew:ms=6000");
    assert!(rig.http(&good).unwrap().body.contains("400002"));
}

#[test]
fn what_there_is_to_trade() {
    let mut rig = quiet();
    let symbols = rig.get("/api/v2/symbols", "");
    let first = &symbols["data"][0];
    for (name, value) in [
        ("symbol", "BTC-USDT"),
        ("priceIncrement", "0.1"),
        ("baseIncrement", "0.00000001"),
        ("baseMinSize", "0.00001"),
        ("priceLimitRate", "0.2"),
        ("minFunds", "5"),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert_eq!(
        rig.get("/api/v2/symbols/ETH-USDT", "")["data"]["priceIncrement"],
        "0.01"
    );
    assert_eq!(
        rig.get("/api/v1/timestamp", "")["data"].as_u64(),
        Some(rig.now / MS)
    );
    let fees = rest(
        &mut rig,
        "GET",
        "/api/v1/trade-fees?symbols=BTC-USDT,ETH-USDT",
        "",
    );
    assert_eq!(fees["data"][1]["makerFeeRate"], "0.001");
    assert_eq!(
        rest(&mut rig, "GET", "/api/v1/nothing", "")["code"],
        "404000"
    );
}
