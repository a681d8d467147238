//! Orders, over the socket and over REST.

use super::*;

#[test]
fn an_order_lives_and_channel_0_says_so() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let got = op(
        &mut rig,
        conn,
        "on",
        order(7, "EXCHANGE LIMIT", "0.001", "60000.19"),
    );
    assert_eq!(words(&got), ["n", "on"]);
    let notice = &got[0][2];
    let (id, ms) = (notice[4][0].clone(), START / MS);
    assert_eq!(
        notice.to_string(),
        format!(
            r#"[{ms},"on-req",null,null,[{id},null,7,"tBTCUST",{ms},{ms},0.001,0.001,"EXCHANGE LIMIT",null,null,null,0,"ACTIVE",null,null,60000,0,0,0,null,null,null,0,0,null,null,null,"API>BFX",null,null,null],null,"SUCCESS","Submitting exchange limit buy order for 0.001 BTC."]"#
        )
    );
    assert_eq!(got[1][2], notice[4]);
    let again = op(
        &mut rig,
        conn,
        "on",
        order(7, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!(
        (&again[0][2][6], &again[0][2][7]),
        (&json!("ERROR"), &json!("duplicate cid"))
    );
    let amended = op(
        &mut rig,
        conn,
        "ou",
        json!({"id": id, "price": "60001", "amount": "0.002"}),
    );
    assert_eq!(words(&amended), ["n", "ou"]);
    assert_eq!(
        amended[0][2][7],
        "Submitting update to exchange limit buy order for 0.001 BTC."
    );
    let row = &amended[1][2];
    assert_eq!(
        row[16].to_string() + " " + &row[6].to_string(),
        "60001 0.002"
    );
    let gone = op(
        &mut rig,
        conn,
        "oc",
        json!({"cid": 7, "cid_date": "2026-11-20"}),
    );
    assert_eq!(
        (words(&gone), &gone[0][2][7]),
        (vec!["n"], &json!("Order not found."))
    );
    let cancelled = op(
        &mut rig,
        conn,
        "oc",
        json!({"cid": 7, "cid_date": "2026-11-21"}),
    );
    assert_eq!(
        (words(&cancelled), &cancelled[1][2][13]),
        (vec!["n", "oc"], &json!("CANCELED"))
    );
    let text = format!("Submitted for cancellation; waiting for confirmation (ID: {id}).");
    assert_eq!(cancelled[0][2][7], text);
    let gone = op(&mut rig, conn, "oc", json!({"id": id}));
    assert_eq!(
        gone[0][2].to_string(),
        format!(
            r#"[{ms},"oc-req",null,null,[{id},null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,0,null,null,null,null,null,null,null,null],null,"ERROR","Order not found."]"#
        )
    );
    // The day is over: the same id names another order.
    rig.run(86_400_000);
    let next = op(
        &mut rig,
        conn,
        "on",
        order(7, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!(next[0][2][6], "SUCCESS");
}

#[test]
fn executions_come_at_once_and_with_their_fee_later() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut orders = Vec::new();
    for (cid, price) in [(1, "65003"), (2, "65030")] {
        let got = op(
            &mut rig,
            conn,
            "on",
            order(cid, "EXCHANGE LIMIT", "0.05", price),
        );
        orders.push((words(&got).join(" "), got.clone()));
        assert_eq!(got[0][2][4][13], "ACTIVE", "as it was accepted");
    }
    let (mut with, mut without) = (0, 0);
    for (said, got) in &orders {
        let tail = got.iter().rev().find(|frame| frame[1] != "wu").unwrap();
        if said.starts_with("n on te") {
            with += 1;
        } else {
            assert!(said.starts_with("n te"), "{said}");
            without += 1;
        }
        let status = tail[2][13].as_str().unwrap();
        let is_open = tail[1] == "on" || tail[1] == "ou";
        let start = if is_open {
            "PARTIALLY FILLED @ "
        } else {
            "EXECUTED @ "
        };
        assert!(status.starts_with(start), "{said}: {status}");
    }
    assert_eq!((with, without), (1, 1), "{orders:?}");
    let executed: Vec<Value> = rig
        .take(conn)
        .into_iter()
        .filter(|frame| frame[1] == "te")
        .collect();
    rig.run(150);
    let confirmed: Vec<Value> = rig
        .take(conn)
        .into_iter()
        .filter(|frame| frame[1] == "tu")
        .collect();
    assert!(!executed.is_empty() && executed.len() == confirmed.len());
    for (te, tu) in executed.iter().zip(&confirmed) {
        let (te, tu) = (te[2].as_array().unwrap(), tu[2].as_array().unwrap());
        assert_eq!((te.len(), tu.len(), &te[..9]), (12, 12, &tu[..9]));
        assert!(te[9].is_null() && number(&tu[9]) < 0.0 && tu[10] == "BTC");
        assert!(
            (number(&tu[9]) + number(&tu[4]) * 0.002).abs() < 2e-8,
            "0.2 % of a taker"
        );
    }
    let (_, list) = post(&mut rig, "/v2/auth/r/trades/tBTCUST/hist", r#"{"sort":1}"#);
    let told: Vec<Value> = confirmed.iter().map(|frame| frame[2].clone()).collect();
    assert_eq!(list, Value::Array(told.clone()));
    let name = format!("/v2/auth/r/order/tBTCUST:{}/trades", told[0][3]);
    let (_, own) = post(&mut rig, &name, "{}");
    assert!(
        own.as_array()
            .unwrap()
            .iter()
            .all(|row| row[3] == told[0][3])
            && own[0].is_array()
    );
}

#[test]
fn orders_end_as_their_kind_says() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let last = |got: &[Value]| {
        let closed = got.iter().find(|frame| frame[1] == "oc").expect("an end");
        closed[2][13].as_str().unwrap().to_owned()
    };
    let mut post_only = order(1, "EXCHANGE LIMIT", "0.001", "70000");
    post_only["flags"] = json!(4_096);
    let got = op(&mut rig, conn, "on", post_only);
    assert_eq!(
        (&got[0][2][6], last(&got).as_str()),
        (&json!("SUCCESS"), "POSTONLY CANCELED")
    );
    let got = op(
        &mut rig,
        conn,
        "on",
        order(2, "EXCHANGE IOC", "0.001", "60000"),
    );
    assert_eq!(last(&got), "IOC CANCELED");
    let got = op(&mut rig, conn, "on", order(3, "EXCHANGE FOK", "9", "65001"));
    assert_eq!(last(&got), "FILLORKILL CANCELED");
    let got = op(
        &mut rig,
        conn,
        "on",
        order(4, "EXCHANGE IOC", "-9", "64999"),
    );
    assert!(last(&got).starts_with("IOC CANCELED was: PARTIALLY FILLED @ 64999.0(-"));
    let mut market = order(5, "EXCHANGE MARKET", "0.1", "");
    market.as_object_mut().unwrap().remove("price");
    let got = op(&mut rig, conn, "on", market);
    let status = last(&got);
    assert!(status.starts_with("EXECUTED @ ") && status.contains(": was PARTIALLY FILLED @ "));
}

#[test]
fn orders_are_refused_in_the_venue_s_words() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    for (name, value, words) in [
        ("symbol", json!("tFOOUSD"), "symbol: invalid"),
        ("type", json!("LIMIT"), "type: invalid"),
        ("amount", json!("0"), "minimum size for BTC/UST is 0.00006"),
        (
            "amount",
            json!("0.000000001"),
            "minimum size for BTC/UST is 0.00006",
        ),
        (
            "amount",
            json!("-9001"),
            "maximum size for BTC/UST is 9000.0",
        ),
        ("amount", json!("x"), "amount: invalid"),
        (
            "amount",
            json!("100"),
            "not enough exchange balance for 100 BTCUST at 60000",
        ),
        ("price", json!("0"), "price: invalid"),
        ("cid", json!(1u64 << 45), "cid: invalid"),
        ("flags", json!(64), "flags: invalid"),
        ("tif", json!("2026-12-01 10:45:23"), "tif: invalid"),
    ] {
        let mut bad = order(9, "EXCHANGE LIMIT", "0.001", "60000");
        bad[name] = value;
        let got = op(&mut rig, conn, "on", bad);
        let notice = &got[0][2];
        assert_eq!((notice[6].as_str(), got.len()), (Some("ERROR"), 1));
        assert!(notice[7].as_str().unwrap().contains(words), "{notice}");
        assert_eq!(notice[4].as_array().unwrap().len(), 32);
    }
    let sell = op(
        &mut rig,
        conn,
        "on",
        order(10, "EXCHANGE LIMIT", "-0.001", "70000"),
    );
    let id = sell[0][2][4][0].clone();
    for (body, words) in [
        (json!({"id": id, "amount": "0.002"}), "amount: invalid"),
        (json!({"id": id, "delta": "0.002"}), "amount: invalid"),
        (json!({"id": id, "price": "70000"}), "nothing changes"),
        (json!({"id": 1, "price": "70000"}), "Order not found."),
        (json!({"price": "70000"}), "id: invalid"),
    ] {
        let got = op(&mut rig, conn, "ou", body);
        assert!(got[0][2][7].as_str().unwrap().contains(words), "{got:?}");
    }
    let more = op(&mut rig, conn, "ou", json!({"id": id, "delta": "-0.002"}));
    assert_eq!(more[1][2][6].to_string(), "-0.003");
}

#[test]
fn several_orders_at_once() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut place = |cid: u64, group: i64| {
        let mut order = order(cid, "EXCHANGE LIMIT", "0.001", "60000");
        order["gid"] = json!(group);
        op(&mut rig, conn, "on", order)[0][2][4][0].clone()
    };
    let ids: Vec<Value> = (1..=6).map(|cid| place(cid, cid as i64 / 3)).collect();
    let cancel = |rig: &mut Rig<Bitfinex>, body: Value| {
        let got = op(rig, conn, "oc_multi", body);
        let closed = got.iter().filter(|frame| frame[1] == "oc").count();
        (closed, got[0][2].clone())
    };
    let (closed, notice) = cancel(&mut rig, json!({"id": [ids[0], 5]}));
    assert_eq!(
        (closed, &notice[7]),
        (1, &json!("Submitting 1 order cancellations."))
    );
    assert_eq!(
        (&notice[1], &notice[4][0][0]),
        (&json!("oc_multi-req"), &ids[0])
    );
    assert_eq!(cancel(&mut rig, json!({"cid": [[2, "2026-11-21"]]})).0, 1);
    assert_eq!(cancel(&mut rig, json!({"gid": [1]})).0, 3);
    let (closed, notice) = cancel(&mut rig, json!({"id": [ids[0]]}));
    assert_eq!(
        (closed, &notice[4], &notice[7]),
        (0, &Value::Null, &json!("Order not found."))
    );
    let ops = json!([
        ["on", order(11, "EXCHANGE LIMIT", "0.001", "60000")],
        ["oc", {"id": ids[5]}],
        ["on", order(12, "EXCHANGE LIMIT", "100", "60000")],
    ]);
    let got = op(&mut rig, conn, "ox_multi", ops);
    let each: Vec<(&Value, &Value)> = got[..3]
        .iter()
        .map(|frame| (&frame[2][1], &frame[2][6]))
        .collect();
    let [on, oc, done, refused] = ["on-req", "oc-req", "SUCCESS", "ERROR"].map(Value::from);
    assert_eq!(each, [(&on, &done), (&oc, &done), (&on, &refused)]);
    assert_eq!(words(&got), ["n", "n", "n", "on", "oc"]);
    for bad in [
        json!([]),
        json!([["on", order(13, "EXCHANGE LIMIT", "0.001", "60000")], ["ou", {"id": ids[5]}]]),
        json!([["ox_multi", []]]),
        json!([["buy", {}]]),
        json!({"all": 1}),
    ] {
        let got = op(&mut rig, conn, "ox_multi", bad);
        assert_eq!(words(&got), ["n"]);
        assert_eq!(
            (&got[0][2][1], &got[0][2][4], &got[0][2][7]),
            (
                &json!("ox_multi-req"),
                &Value::Null,
                &json!("input: invalid")
            )
        );
    }
    assert_eq!(cancel(&mut rig, json!({"all": 1})).0, 1);
}

/// What our own connector sends, word for word.
#[test]
fn the_connector_s_texts_are_taken() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut send = |text: &str| {
        let got = rig.send(conn, text);
        (got[0][2][6].clone(), got[0][2][4][0].clone(), got)
    };
    let on = r#"[0,"on",null,{"cid":4294967297,"type":"EXCHANGE LIMIT","symbol":"tBTCUST","amount":"-0.001","price":"65002","flags":4096}]"#;
    let (status, id, got) = send(on);
    assert_eq!(
        (status, &got[1][2][12], got[1][2][6].to_string()),
        (json!("SUCCESS"), &json!(4_096), "-0.001".to_owned())
    );
    let day = r#"{"cid":4294967297,"cid_date":"2026-11-21""#;
    for text in [
        format!(r#"[0,"ou",null,{{"id":{id},"price":"65003"}}]"#),
        format!(r#"[0,"ou",null,{day},"price":"65004"}}]"#),
        format!(r#"[0,"oc",null,{day}}}]"#),
        on.replace("97,", "98,"),
        r#"[0,"oc_multi",null,{"cid":[[4294967298,"2026-11-21"]]}]"#.to_owned(),
    ] {
        assert_eq!(send(&text).0, "SUCCESS", "{text}");
    }
    let wallets = rig.send(
        conn,
        r#"[0,"calc",null,[["wallet_exchange_UST"],["wallet_exchange_BTC"]]]"#,
    );
    let told: Vec<&Value> = wallets.iter().map(|frame| &frame[2][1]).collect();
    assert_eq!(told, ["BTC", "UST"]);
    assert!(wallets.iter().all(|frame| frame[2][4] == frame[2][2]));
}

#[test]
fn orders_over_rest() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let submit = |rig: &mut Rig<Bitfinex>, cid: u64| {
        let body = order(cid, "EXCHANGE LIMIT", "0.001", "60000").to_string();
        post(rig, "/v2/auth/w/order/submit", &body)
    };
    let (status, notice) = submit(&mut rig, 1);
    assert_eq!(
        (status, notice[0].as_u64()),
        (200, Some(START / 1_000 / MS)),
        "seconds"
    );
    let row = notice[4][0].clone();
    assert_eq!(
        (row[2].as_u64(), row.as_array().unwrap().len()),
        (Some(1), 32)
    );
    assert_eq!(words(&rig.take(conn)), ["on"]);
    let body = json!({"id": row[0], "price": "60001"}).to_string();
    let (_, notice) = post(&mut rig, "/v2/auth/w/order/update", &body);
    assert_eq!(
        (&notice[1], &notice[6]),
        (&json!("ou-req"), &json!("SUCCESS"))
    );
    let (_, open) = post(&mut rig, "/v2/auth/r/orders/tBTCUST", "{}");
    assert_eq!(
        (open[0][0].clone(), open[0][16].to_string()),
        (row[0].clone(), "60001".into())
    );
    assert_eq!(
        post(&mut rig, "/v2/auth/r/orders/tETHUST", "{}").1,
        json!([])
    );
    let cancel = json!({"id": row[0]}).to_string();
    assert_eq!(
        post(&mut rig, "/v2/auth/w/order/cancel", &cancel).1[6],
        "SUCCESS"
    );
    let again = post(&mut rig, "/v2/auth/w/order/cancel", &cancel);
    assert_eq!(again, (500, json!(["error", 10_001, "Order not found."])));
    submit(&mut rig, 2);
    submit(&mut rig, 3);
    let (_, all) = post(&mut rig, "/v2/auth/w/order/cancel/multi", r#"{"all":1}"#);
    assert_eq!(all[4].as_array().unwrap().len(), 2);
    let ops = json!({"ops": [["on", order(4, "EXCHANGE LIMIT", "0.001", "60000")]]}).to_string();
    assert_eq!(
        post(&mut rig, "/v2/auth/w/order/multi", &ops).1[4][0][6],
        "SUCCESS"
    );
    let (_, closed) = post(&mut rig, "/v2/auth/r/orders/hist", r#"{"limit":2}"#);
    let ids: Vec<Option<u64>> = closed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[2].as_u64())
        .collect();
    assert_eq!(
        (ids, &closed[0][13]),
        (vec![Some(3), Some(2)], &json!("CANCELED"))
    );
    let named = json!({"id": [row[0]]}).to_string();
    assert_eq!(post(&mut rig, "/v2/auth/r/orders/hist", &named).1[0][2], 1);
    let (_, wallets) = post(&mut rig, "/v2/auth/r/wallets", "{}");
    let ust = wallets
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row[1] == "UST")
        .unwrap();
    assert_eq!(
        (ust[2].to_string(), ust[4].to_string()),
        ("1000000".into(), "999940".into())
    );
    assert_eq!(post(&mut rig, "/v2/auth/r/positions", "").1, json!([]));
    for (path, body, status, words) in [
        ("/v2/auth/r/orders/tFOOUSD", "{}", 500, "symbol: invalid"),
        ("/v2/auth/r/wallets", "x", 500, "body: invalid"),
        ("/v2/auth/r/nothing", "{}", 404, "path: invalid"),
        (
            "/v2/auth/r/order/tBTCUST:x/trades",
            "{}",
            500,
            "id: invalid",
        ),
    ] {
        let (got, body) = post(&mut rig, path, body);
        assert_eq!((got, body[2].as_str()), (status, Some(words)), "{path}");
    }
}

#[test]
fn faults_of_answers() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut cid = 100;
    let mut place = |rig: &mut Rig<Bitfinex>, fault: &str| {
        cid += 1;
        rig.fault(fault);
        op(
            rig,
            conn,
            "on",
            order(cid, "EXCHANGE LIMIT", "0.001", "60000"),
        )
    };
    assert_eq!(words(&place(&mut rig, "lost-ack")), ["on"]);
    assert_eq!(words(&place(&mut rig, "reply-after-stream")), ["on", "n"]);
    assert_eq!(words(&place(&mut rig, "stream-after-reply:ms=300")), ["n"]);
    rig.take(conn);
    rig.run(310);
    assert_eq!(words(&rig.take(conn)), ["on"]);
    assert_eq!(words(&place(&mut rig, "slow-ack:ms=300")), ["on"]);
    rig.take(conn);
    rig.run(310);
    assert_eq!(words(&rig.take(conn)), ["n"]);
    assert_eq!(words(&place(&mut rig, "timeout:executed=true")), ["on"]);
    assert!(place(&mut rig, "timeout:executed=false").is_empty());
    for (fault, code, text) in [
        ("reject", Value::Null, "not enough exchange balance"),
        ("reject:code=10020", json!(10_020), "price: invalid"),
        ("reject:code=11010", json!(11_010), "ratelimit: error"),
        ("rate-limit", json!(11_010), "ratelimit: error"),
        ("reject:code=20060", json!(20_060), "maintenance"),
    ] {
        let got = place(&mut rig, fault);
        assert_eq!((got.len(), &got[0][2][5]), (1, &code));
        assert!(got[0][2][7].as_str().unwrap().contains(text), "{got:?}");
    }
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 5);
    rig.take(conn);
    rig.fault("duplicate-fill");
    op(
        &mut rig,
        conn,
        "on",
        order(1, "EXCHANGE IOC", "0.0001", "65001"),
    );
    rig.run(150);
    let got = rig.take(conn);
    let of = |kind: &str| {
        got.iter()
            .filter(|frame| frame[1] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!((of("te").len(), of("tu").len(), of("oc").len()), (2, 2, 1));
    assert_eq!(of("tu")[0], of("tu")[1]);
}

#[test]
fn faults_of_answers_over_rest() {
    let mut rig = quiet();
    let submit = |rig: &mut Rig<Bitfinex>, cid: u64| {
        let body = order(cid, "EXCHANGE LIMIT", "0.001", "60000").to_string();
        post(rig, "/v2/auth/w/order/submit", &body).0
    };
    rig.fault("http-500:executed=true,http-500:executed=false:code=502");
    assert_eq!((submit(&mut rig, 1), submit(&mut rig, 2)), (500, 502));
    rig.fault("timeout:executed=true");
    assert_eq!(submit(&mut rig, 3), 504);
    rig.fault("rate-limit");
    assert_eq!((submit(&mut rig, 4), submit(&mut rig, 5)), (429, 200));
    rig.fault("lost-ack");
    let body = order(6, "EXCHANGE LIMIT", "0.001", "60000").to_string();
    let request = signed(1 << 53, "/v2/auth/w/order/submit", &body);
    assert!(
        rig.http(&request).is_some(),
        "a nonce beyond what is allowed"
    );
    let request = signed((1 << 53) - 1, "/v2/auth/w/order/submit", &body);
    assert!(rig.http(&request).is_none() && rig.hung.len() == 1);
    let open = rig.face.core().engine.open_orders(1);
    let open: Vec<&str> = open.map(|order| &*order.ask.client_id).collect();
    assert_eq!(open, ["1", "3", "5", "6"]);
}
