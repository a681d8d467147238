//! Signatures, limits, the dead man's switch, what may go wrong, and what clients may send.

use super::*;

#[test]
fn published_signatures_are_taken() {
    let mut rig = quiet();
    let key = "test_api_key";
    rig.face.core().keys.push(crate::keys::Credential::new(
        key.into(),
        "test_secret".into(),
        String::new(),
        1,
    ));
    rig.face.core().now = 1_700_000_000_000 * MS;
    let request = |method: &str, query: &str, body: &str, sign: &str| Request {
        method: method.into(),
        query: query.into(),
        body: body.into(),
        headers: [
            ("api-key", key),
            ("timestamp", "1700000000000"),
            ("recv-window", "5000"),
            ("sign", sign),
        ]
        .map(|(name, value)| (format!("x-bapi-{name}"), value.to_owned()))
        .to_vec(),
        ..Request::default()
    };
    let query = "category=linear&symbol=BTCUSDT";
    let body = r#"{"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "test-order-1"}"#;
    for (method, query, body, sign) in [
        (
            "GET",
            query,
            "",
            "fd4f31228a46109dc6673062328693696df9a96c7ff04e6491a45e7f63a0fdd7",
        ),
        (
            "POST",
            "",
            body,
            "2df4a0603d69c08d5dea29ba85b46eb7db64ce9e9ebd34a7802a3d69700cb2a1",
        ),
    ] {
        let core = rig.face.core();
        assert_eq!(auth::rest(core, &request(method, query, body, sign)), Ok(1));
        let forged = request(method, query, body, &sign.replace('f', "e"));
        assert_eq!(auth::rest(core, &forged).unwrap_err().code, 10004);
    }
    rig.face.core().now -= MS;
    let sign = "bacffe7500499eb829bb58c45d36d1b3e5ac67c14eaeba91df5e99ccee013925";
    let args = [json!(key), json!(1_700_000_000_000u64), json!(sign)];
    assert_eq!(auth::login(rig.face.core(), &args), Ok(1));
}

#[test]
fn rest_is_signed_and_in_time() {
    let mut rig = quiet();
    let good = signed(
        &rig,
        "GET",
        "/v5/account/wallet-balance?accountType=UNIFIED",
        "",
    );
    let code = |rig: &mut Rig<Bybit>, request: &Request| {
        let body = rig.http(request).unwrap().body;
        serde_json::from_str::<Value>(&body).unwrap()["retCode"].clone()
    };
    assert_eq!(code(&mut rig, &good), 0);
    for (header, value, expected) in [
        ("x-bapi-api-key", "x", 10003),
        ("x-bapi-timestamp", "x", 10001),
        ("x-bapi-recv-window", "1", 10004),
        ("x-bapi-sign", "ab", 10004),
        ("x-bapi-sign", "", 10001),
    ] {
        let mut bad = good.clone();
        for (name, text) in &mut bad.headers {
            if name == header {
                *text = value.into();
            }
        }
        assert_eq!(code(&mut rig, &bad), expected, "{header}");
    }
    // Five seconds late is the last moment; one ahead is too much.
    for (skew, expected) in [(5_000, 0), (5_001, 10002), (-999, 0), (-1_000, 10002)] {
        rig.fault(&format!("clock-skew:ms={skew}"));
        assert_eq!(code(&mut rig, &good), expected, "{skew}");
    }
}

#[test]
fn logins_are_checked_and_an_order_names_its_time() {
    let mut rig = quiet();
    let expires = rig.now / MS + 10_000;
    let right = sign(&format!("GET/realtime{expires}"));
    let login = |key: &str, expires: u64, sign: &str| {
        json!({"op": "auth", "args": [key, expires, sign]}).to_string()
    };
    let (private, trade) = (rig.open("/v5/private", ""), rig.open("/v5/trade", ""));
    let stale = login(KEY, rig.now / MS, &right);
    let answer = &rig.send(private, &stale)[0];
    assert_eq!(
        (&answer["success"], &answer["ret_msg"]),
        (&json!(false), &json!("error:request expired"))
    );
    for (text, code) in [
        (login("x", expires, &right), 10003),
        (login(KEY, expires, "ab"), 10004),
        (login(KEY, expires, &right), 0),
        (login(KEY, expires, &right), 20001),
    ] {
        assert_eq!(rig.send(trade, &text)[0]["retCode"], code);
    }
    let sub = r#"{"op":"subscribe","args":["order"]}"#;
    assert_eq!(
        rig.send(private, sub)[0]["success"],
        false,
        "not without a login"
    );
    let stranger = rig.open("/v5/trade", "");
    assert_eq!(
        op(
            &mut rig,
            stranger,
            "order.create",
            order("GTC", "Buy", "60000", "x")
        )["retCode"],
        10005
    );
    // The receive window is the venue's deadline of the request.
    let at = |ms: u64, window: &str, id: &str| {
        json!({"reqId": id, "header": {"X-BAPI-TIMESTAMP": ms.to_string(), "X-BAPI-RECV-WINDOW": window},
            "op": "order.create", "args": [order("GTC", "Buy", "60000", id)]})
        .to_string()
    };
    let now = rig.now / MS;
    for (text, code) in [
        (at(now - 501, "500", "w1"), 10002),
        (at(now - 500, "500", "w2"), 0),
        (at(now + 1_000, "5000", "w3"), 10002),
        (at(now, "5000", "w2"), 20006),
        (at(now, "5000", &"x".repeat(37)), 10001),
    ] {
        let answer = &rig.send(trade, &text)[0];
        assert_eq!(answer["retCode"], code);
        assert!(text.contains(answer["reqId"].as_str().unwrap()));
    }
}

#[test]
fn wrong_topics_refuse_the_whole_request() {
    let mut rig = quiet();
    let conn = subscribe(&mut rig, "spot", &["orderbook.50.BTCUSDT"]);
    let many: Vec<String> = (0..11).map(|_| "tickers.BTCUSDT".to_owned()).collect();
    for (topics, text) in [
        (
            json!(["tickers.BTCUSDT", "orderbook.50.FOO"]),
            "Invalid topic: orderbook.50.FOO",
        ),
        (
            json!(["orderbook.500.BTCUSDT"]),
            "Invalid topic: orderbook.500.BTCUSDT",
        ),
        (
            json!(["orderbook.50.BTCUSDT"]),
            "error:already subscribed,topic:orderbook.50.BTCUSDT",
        ),
        (json!(many), "args size >10"),
        (json!([7]), "error:invalid args"),
    ] {
        let answer = rig.send(
            conn,
            &json!({"op": "subscribe", "args": topics}).to_string(),
        );
        assert_eq!((answer.len(), &answer[0]["ret_msg"]), (1, &json!(text)));
        assert!(answer[0].get("req_id").is_none());
    }
    let again = r#"{"req_id":"s2","op":"unsubscribe","args":["orderbook.50.BTCUSDT"]}"#;
    assert_eq!(rig.send(conn, again)[0]["success"], true);
    let again = again.replace("unsubscribe", "subscribe");
    assert_eq!(rig.send(conn, &again)[1]["type"], "snapshot");
    let private = login(&mut rig, "/v5/private");
    for (topics, is_taken) in [
        (["order", "order.spot"], false),
        (["order", "execution.spot"], true),
    ] {
        let text = json!({"op": "subscribe", "args": topics}).to_string();
        assert_eq!(rig.send(private, &text)[0]["success"], is_taken);
    }
}

/// The switch runs when the last connection that holds it is gone, and a ping of the next stops it.
#[test]
fn the_dead_man_s_switch_cancels_its_product() {
    let mut rig = quiet();
    let body = r#"{"product":"SPOT","timeWindow":20}"#;
    assert_eq!(
        rest(&mut rig, "POST", "/v5/order/disconnected-cancel-all", body)["result"],
        json!({})
    );
    for bad in [
        r#"{"product":"SPOT","timeWindow":2}"#,
        r#"{"product":"X","timeWindow":20}"#,
    ] {
        assert_eq!(
            rest(&mut rig, "POST", "/v5/order/disconnected-cancel-all", bad)["retCode"],
            10001
        );
    }
    let infos =
        rest(&mut rig, "GET", "/v5/account/query-dcp-info", "")["result"]["dcpInfos"].clone();
    assert_eq!(
        infos[0],
        json!({"product": "SPOT", "dcpStatus": "ON", "timeWindow": "20"})
    );
    assert_eq!(infos[1]["timeWindow"], "10");
    rig.run(10_000);
    let (trade, watch) = trader(&mut rig, &["order"]);
    op(
        &mut rig,
        trade,
        "order.create",
        order("GTC", "Buy", "60000", "d1"),
    );
    op(
        &mut rig,
        trade,
        "order.create",
        linear("Buy", "60000.00", "d2"),
    );
    let subscribed = |rig: &mut Rig<Bybit>| {
        let conn = login(rig, "/v5/private");
        let sub = r#"{"req_id":"d","op":"subscribe","args":["dcp.spot"]}"#;
        assert_eq!(rig.send(conn, sub)[0]["success"], true);
        conn
    };
    let (first, second) = (subscribed(&mut rig), subscribed(&mut rig));
    rig.face.closed(first);
    rig.run(25_000);
    assert_eq!(
        rig.face.core().engine.open_orders(1).count(),
        2,
        "one survivor holds it"
    );
    rig.face.closed(second);
    rig.run(19_900);
    let third = subscribed(&mut rig);
    rig.send(third, r#"{"op":"ping"}"#);
    rig.run(5_000);
    assert_eq!(
        rig.face.core().engine.open_orders(1).count(),
        2,
        "held again in time"
    );
    rig.take(watch);
    rig.fault("disconnect:link=private");
    let watch = login(&mut rig, "/v5/private");
    rig.send(watch, r#"{"op":"subscribe","args":["order"]}"#);
    rig.take(watch);
    rig.run(20_100);
    let fate = (
        "Cancelled".into(),
        "CancelByDCP".into(),
        "EC_PerCancelRequest".into(),
    );
    assert_eq!(
        fates(&mut rig, watch),
        [fate],
        "spot's order, and not linear's"
    );
}

#[test]
fn each_pool_has_its_second() {
    let mut rig = quiet();
    let (trade, _) = trader(&mut rig, &["order"]);
    for (category, price, limit) in [("spot", "60000", 20), ("linear", "60000.00", 10)] {
        for second in 0..2 {
            let mut refused = 0;
            for at in 0..=limit {
                let mut arg = order("GTC", "Buy", price, &format!("{category}{second}-{at}"));
                arg["category"] = json!(category);
                let answer = op(&mut rig, trade, "order.create", arg);
                if answer["retCode"] == 10006 {
                    refused += 1;
                    let reset = answer["header"]["X-Bapi-Limit-Reset-Timestamp"]
                        .as_str()
                        .unwrap();
                    assert_eq!(
                        reset.parse::<u64>().unwrap(),
                        rig.now / MS / 1_000 * 1_000 + 1_000
                    );
                }
            }
            assert_eq!(refused, 1, "{category}");
            rig.run(1_000);
        }
    }
    let limits = rig.face.stats()["limits"].clone();
    let mut limits = limits.as_array().unwrap().iter();
    let spot = limits
        .find(|row| row["name"] == "create spot of account 1")
        .unwrap();
    assert_eq!(
        (&spot["limit"], &spot["highest"], &spot["refused"]),
        (&json!(20), &json!(20), &json!(2))
    );
}

#[test]
fn an_address_that_asks_too_often_is_refused_for_ten_minutes() {
    let mut rig = quiet();
    let time = |rig: &mut Rig<Bybit>| {
        let path = "/v5/market/time".into();
        let request = Request {
            method: "GET".into(),
            path,
            ..Request::default()
        };
        rig.http(&request).unwrap().status
    };
    assert_eq!((0..601).filter(|_| time(&mut rig) == 200).count(), 600);
    assert_eq!(
        rig.face
            .refuses_upgrade(&Request::default())
            .map(|one| one.status),
        Some(403)
    );
    rig.run(599_000);
    assert_eq!(time(&mut rig), 403);
    rig.run(1_000);
    assert_eq!(
        (
            time(&mut rig),
            rig.face.refuses_upgrade(&Request::default())
        ),
        (200, None)
    );
    rig.fault("ban:for=5s");
    assert_eq!(time(&mut rig), 403);
    rig.run(5_000);
    assert_eq!(time(&mut rig), 200);
}

#[test]
fn faults_of_answers() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order"]);
    let create = |rig: &mut Rig<Bybit>, id: &str| {
        op(rig, trade, "order.create", order("GTC", "Buy", "60000", id))
    };
    rig.fault("rate-limit:for=3s");
    let answer = create(&mut rig, "f1");
    let reset = (rig.now / MS + 3_000).to_string();
    assert_eq!(
        (
            &answer["retCode"],
            &answer["header"]["X-Bapi-Limit-Reset-Timestamp"]
        ),
        (&json!(10006), &json!(reset))
    );
    rig.fault("reject");
    assert_eq!(create(&mut rig, "f2")["retCode"], 170131);
    rig.fault("reject:code=170210");
    assert_eq!(create(&mut rig, "f3")["retCode"], 170210);
    rig.fault("timeout:executed=true");
    assert_eq!(create(&mut rig, "f4")["retCode"], 10000);
    rig.fault("timeout:executed=false:code=10016");
    assert_eq!(create(&mut rig, "f5")["retCode"], 10016);
    rig.fault("lost-ack");
    assert_eq!(create(&mut rig, "f6"), Value::Null);
    rig.fault("http-500:executed=true,http-500:executed=false");
    for (id, status) in [("f7", 500), ("f8", 500), ("f9", 200)] {
        let body = order("GTC", "Buy", "60000", id).to_string();
        let request = signed(&rig, "POST", "/v5/order/create", &body);
        assert_eq!(rig.http(&request).unwrap().status, status);
    }
    let open = rig.face.core().engine.open_orders(1);
    let open: Vec<&str> = open.map(|order| &*order.ask.client_id).collect();
    assert_eq!(open, ["f4", "f6", "f7", "f9"]);
    assert_eq!(fates(&mut rig, private).len(), 4);

    rig.run(1_000);
    rig.fault("slow-ack:ms=300");
    assert_eq!(create(&mut rig, "s1"), Value::Null);
    assert_eq!(fates(&mut rig, private).len(), 1, "told before the answer");
    rig.run(301);
    assert_eq!(rig.take(trade).last().unwrap()["data"]["orderLinkId"], "s1");
    rig.fault("stream-after-reply:ms=300");
    assert_eq!(create(&mut rig, "s2")["retCode"], 0);
    assert_eq!(fates(&mut rig, private).len(), 0);
    rig.run(301);
    assert_eq!(fates(&mut rig, private).len(), 1);
}

#[test]
fn faults_of_connections() {
    let mut rig = lively();
    let (trade, private) = trader(&mut rig, &["order"]);
    let public = subscribe(&mut rig, "spot", &["orderbook.50.BTCUSDT"]);
    rig.fault("silence:link=public:for=1s");
    rig.take(public);
    rig.run(900);
    assert!(rig.take(public).is_empty());
    rig.run(1_000);
    assert!(!rig.take(public).is_empty());
    rig.fault("restart:link=private:for=1s");
    let answer = op(
        &mut rig,
        trade,
        "order.create",
        order("GTC", "Buy", "60000", "x"),
    );
    assert_eq!(answer["retCode"], 10019);
    rig.run(1_200);
    assert!(
        [trade, private]
            .iter()
            .all(|conn| rig.closed.contains_key(conn))
    );
    assert!(!rig.closed.contains_key(&public));
    rig.fault("disconnect:link=public");
    assert_eq!(rig.closed.get(&public), Some(&None));
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", name in "[a-z.-]{0,20}", number in proptest::num::i64::ANY) {
        let mut rig = quiet();
        let (trade, private) = trader(&mut rig, &["order", "position", "wallet", "execution"]);
        let public = rig.open("/v5/public/linear", &text);
        for conn in [trade, private, public] {
            rig.send(conn, &text);
            rig.send(conn, &json!({"op": name, "args": [text, number], "req_id": number, "reqId": text}).to_string());
            rig.send(conn, &json!({"op": "subscribe", "args": [text, name]}).to_string());
        }
        for kind in ["create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch"] {
            for category in ["spot", "linear"] {
                let item = json!({"category": category, "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit",
                    "price": number.to_string(), "qty": text, "orderLinkId": name, "orderId": text});
                let arg = json!({"category": category, "request": [item, text, number]});
                op(&mut rig, trade, &format!("order.{kind}"), item.clone());
                op(&mut rig, trade, &format!("order.{kind}"), arg.clone());
                let request = signed(&rig, "POST", &format!("/v5/order/{kind}"), &arg.to_string());
                assert!(rig.http(&request).is_some());
            }
        }
        for path in ["order/realtime", "order/history", "execution/list", "position/list", "market/orderbook",
            "market/recent-trade", "account/query-dcp-info", &name] {
            let query = format!("category=linear&symbol=BTCUSDT&limit={number}&cursor={text}&startTime={number}&orderId={text}");
            let request = signed(&rig, "GET", &format!("/v5/{path}?{query}"), "");
            assert!(rig.http(&request).is_some());
        }
        let request = signed(&rig, "POST", "/v5/order/create", &text);
        assert!(rig.http(&request).is_some());
    }
}
