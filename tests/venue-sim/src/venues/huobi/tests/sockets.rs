//! Pings, refusals, logins, limits of connections, and what cuts them.

use super::*;
use proptest::prelude::*;

#[test]
fn every_text_makes_one_gzip_member() {
    let mut seed = 1u64;
    let noise = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + (seed >> 58) as u8)
    };
    let noise: String = (0..100_000).map(noise).collect();
    for text in ["", "{}", &noise, &"a".repeat(100_000)] {
        let frame = ws::gzip(text);
        let mut reader = flate2::read::GzDecoder::new(frame.as_slice());
        let mut back = String::new();
        reader.read_to_string(&mut back).unwrap();
        assert!(
            back == text && reader.into_inner().is_empty(),
            "{}",
            text.len()
        );
    }
}

#[test]
fn market_sockets_are_pinged_every_5_s_and_closed_after_two_without_a_pong() {
    let mut rig = quiet();
    let (deaf, kept) = (rig.open("/ws", ""), rig.open("/feed", ""));
    rig.run(4_900);
    assert_eq!(market(&mut rig, kept).len(), 0);
    for _ in 0..4 {
        rig.run(5_000);
        let ping = market(&mut rig, kept).remove(0)["ping"].clone();
        rig.send(kept, &json!({"pong": ping}).to_string());
        rig.send(deaf, &json!({"pong": 1}).to_string());
    }
    assert_eq!(market(&mut rig, deaf).len(), 2, "another value is no pong");
    assert_eq!(rig.closed.get(&deaf), Some(&Some(ws::CLOSE)));
    assert!(!rig.closed.contains_key(&kept));
}

#[test]
fn private_sockets_are_pinged_every_20_s_in_their_own_words() {
    let mut rig = quiet();
    let conn = login(&mut rig, "/ws/trade");
    rig.take(conn);
    rig.run(20_100);
    let ping = rig.take(conn).remove(0);
    assert_eq!(ping["action"], "ping");
    let pong = json!({"action": "pong", "data": ping["data"]});
    assert_eq!(rig.send(conn, &pong.to_string()), [json!(null); 0]);
    let own = rig.send(conn, r#"{"action":"ping","data":{"ts":5}}"#);
    assert_eq!(own[0].to_string(), r#"{"action":"pong","data":{"ts":5}}"#);
    rig.run(40_100);
    assert!(!rig.closed.contains_key(&conn));
    rig.run(20_000);
    assert!(rig.closed.contains_key(&conn));
}

#[test]
fn market_requests_are_answered_and_refused_as_recorded() {
    let mut rig = quiet();
    let (ws, feed) = (rig.open("/ws", ""), rig.open("/feed", ""));
    let got = say(&mut rig, ws, r#"{"sub":"market.btcusdt.bbo","id":7}"#);
    assert_eq!(
        (&got[0]["id"], got.len()),
        (&json!(7), 2),
        "the id's own type"
    );
    for (conn, text, message) in [
        (
            feed,
            r#"{"sub":"market.linkusdt.mbp.150","id":"2"}"#,
            "invalid mbp.150.symbol linkusdt",
        ),
        (feed, r#"{"sub":"market.btcusdt.bbo"}"#, "invalid topic"),
        (ws, r#"{"sub":"market.btcusdt.mbp.20"}"#, "invalid topic"),
        (
            ws,
            r#"{"sub":"market.btcusdt.mbp.refresh.7"}"#,
            "invalid topic",
        ),
        (ws, r#"{"sub":"market.linkusdt.bbo"}"#, "invalid symbol"),
        (
            ws,
            r#"{"unsub":"market.btcusdt.detail"}"#,
            "unsub with not subbed topic",
        ),
        (ws, r#"{"ping":"x"}"#, "invalid ping"),
        (ws, "{", "invalid json"),
        (ws, "[]", "invalid json"),
        (ws, "{}", "invalid command"),
    ] {
        let got = say(&mut rig, conn, text).remove(0);
        assert_eq!(
            (&got["status"], &got["err-code"], &got["err-msg"]),
            (&json!("error"), &json!("bad-request"), &json!(message)),
            "{text}"
        );
    }
    let pong = say(&mut rig, ws, r#"{"ping":18212558000}"#);
    assert_eq!(pong, [json!({"pong": 18212558000u64})]);
    let gone = say(&mut rig, ws, r#"{"unsub":"market.btcusdt.bbo","id":"3"}"#);
    assert_eq!(gone[0]["unsubbed"], "market.btcusdt.bbo");
    let req = r#"{"req":"market.btcusdt.depth.step0","id":"r"}"#;
    assert_eq!(
        say(&mut rig, ws, req)[0]["data"]["bids"]
            .as_array()
            .unwrap()
            .len(),
        30
    );
    assert_eq!(say(&mut rig, ws, req)[0]["err-msg"], "429 too many request");
    rig.run(100);
    assert_eq!(say(&mut rig, ws, req)[0]["status"], "ok");
    let limits = rig.face.stats()["limits"].to_string();
    assert!(limits.contains(
        "\"requests of /ws 1\",\"window_ms\":100,\"limit\":1,\"highest\":1,\"refused\":1"
    ));
}

#[test]
fn logins_are_checked() {
    let mut rig = quiet();
    let conn = rig.open("/ws/v2", "");
    let sub = r#"{"action":"sub","ch":"orders#*"}"#;
    assert_eq!(
        rig.send(conn, sub)[0].to_string(),
        r#"{"action":"sub","code":2002,"ch":"orders#*","message":"invalid.auth.state"}"#
    );
    let good = login_frame("/ws/v2", rig.now);
    for (name, value, code) in [
        ("signature", "AAAA", 2002),
        ("accessKey", "x", 2002),
        ("timestamp", "2026-11-21T00:06:00", 2002),
        ("timestamp", "now", 2002),
        ("signatureVersion", "2", 2002),
        ("authType", "", 2001),
    ] {
        let mut bad = good.clone();
        bad["params"][name] = json!(value);
        let got = rig.send(conn, &bad.to_string()).remove(0);
        assert_eq!(
            (&got["code"], &got["ch"]),
            (&json!(code), &json!("auth")),
            "{name}"
        );
    }
    let other = login_frame("/ws/trade", rig.now).to_string();
    assert_eq!(
        rig.send(conn, &other)[0]["code"],
        2002,
        "the path is signed"
    );
    rig.fault("clock-skew:ms=301000");
    assert_eq!(rig.send(conn, &good.to_string())[0]["code"], 2002);
    rig.fault("clock-skew:ms=299000");
    assert_eq!(rig.send(conn, &good.to_string())[0]["code"], 200);
    for (ch, message) in [
        ("orders#xx", "invalid.symbol"),
        ("orders", "invalid.ch"),
        ("orders#*#1", "invalid.ch"),
        ("trade.clearing#*#2", "invalid.ch"),
        ("accounts.update#3", "invalid.ch"),
        ("nothing", "invalid.ch"),
    ] {
        let got = rig.send(conn, &json!({"action": "sub", "ch": ch}).to_string());
        assert_eq!(
            (&got[0]["code"], &got[0]["message"]),
            (&json!(2001), &json!(message))
        );
    }
    let plain = rig.send(conn, r#"{"action":"sub","ch":"accounts.update"}"#);
    assert_eq!(plain[0]["ch"], "accounts.update#0");
    assert_eq!(plain.len(), 1 + 3, "the state of three assets");
    let gone = rig.send(conn, r#"{"action":"unsub","ch":"accounts.update"}"#);
    assert_eq!((&gone[0]["code"], gone.len()), (&json!(200), 1));
}

#[test]
fn a_stranger_is_cut_and_the_eleventh_connection_of_a_key_is_refused() {
    let mut rig = quiet();
    let stranger = rig.open("/ws/trade", "");
    for _ in 0..10 {
        login(&mut rig, "/ws/v2");
    }
    let conn = rig.open("/ws/v2", "");
    let frame = login_frame("/ws/v2", rig.now).to_string();
    let got = rig.send(conn, &frame);
    assert_eq!(
        (&got[0]["code"], &got[0]["message"]),
        (&json!(4000), &json!("too.many.connection"))
    );
    rig.run(10_100);
    assert!(rig.closed.contains_key(&stranger) && rig.closed.len() == 2);
}

#[test]
fn fifty_requests_a_second_fit_a_private_socket() {
    let mut rig = quiet();
    let conn = login(&mut rig, "/ws/v2");
    let sub = r#"{"action":"sub","ch":"orders#*"}"#;
    let fits = (0..60)
        .filter(|_| rig.send(conn, sub)[0]["code"] == 200)
        .count();
    assert_eq!(fits, 49, "the login was one");
    let pong = r#"{"action":"ping","data":{"ts":1}}"#;
    assert_eq!(
        rig.send(conn, pong)[0]["action"],
        "pong",
        "pings do not count"
    );
    assert_eq!(rig.send(conn, sub)[0]["message"], "too.many.request");
}

#[test]
fn silence_restart_and_disconnect() {
    let mut rig = rig_with(|_| ());
    let feed = subscribe(&mut rig, "/feed", "mbp.20");
    let private = login(&mut rig, "/ws/v2");
    rig.run(1_000);
    market(&mut rig, feed);
    rig.fault("silence:link=public:for=12s");
    rig.run(11_900);
    assert_eq!(market(&mut rig, feed).len(), 0, "not even a ping");
    rig.run(1_000);
    assert!(!market(&mut rig, feed).is_empty(), "and nobody is blamed");
    rig.fault("restart:link=private:for=1s");
    rig.run(900);
    assert!(!rig.closed.contains_key(&private));
    rig.run(200);
    assert_eq!(rig.closed.get(&private), Some(&Some(ws::CLOSE)));
    rig.fault("disconnect");
    assert_eq!(rig.closed.get(&feed), Some(&None));
}

proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,120}", name in "[a-z.#*0-9-]{0,24}") {
        let mut rig = quiet();
        let (user, orders) = (login(&mut rig, "/ws/v2"), login(&mut rig, "/ws/trade"));
        let (ws, feed) = (rig.open("/ws", ""), rig.open("/feed", ""));
        for conn in [user, orders, ws, feed] {
            rig.send(conn, &text);
            for word in ["sub", "unsub", "req", "ping", "pong", "action"] {
                rig.send(conn, &json!({word: name, "id": text, "ch": name}).to_string());
                rig.send(conn, &json!({word: format!("market.btcusdt.{name}")}).to_string());
                rig.send(conn, &json!({"action": word, "ch": name, "data": text}).to_string());
            }
        }
        let any = json!({"account-id": ACCOUNT, "symbol": "btcusdt", "type": "buy-limit",
            "amount": text, "price": text, "client-order-id": name, "order-ids": [text, 1],
            "size": text, "types": name});
        for ch in ["create-order", "create-batchorder", "cancel", "cancelall", &name] {
            trade(&mut rig, orders, ch, any.clone());
            trade(&mut rig, orders, ch, json!([any, text, null]));
        }
        let paths = ["/v1/order/orders/place", "/v1/order/batch-orders",
            "/v1/order/orders/batchcancel", "/v2/algo-orders/cancel-all-after", "/v1/order/orders/x"];
        for path in paths {
            for (method, body) in [("POST", text.clone()), ("POST", any.to_string()), ("GET", String::new())] {
                let request = signed(rig.now, method, path, "", &body);
                prop_assert!(rig.http(&request).is_some());
            }
        }
        rig.run(1_000);
    }
}
