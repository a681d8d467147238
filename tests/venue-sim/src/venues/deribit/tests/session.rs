//! Logins, heartbeats, cancel on disconnect, limits, and bad days of the connection.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn auth(rig: &mut Rig<Deribit>, conn: ConnId, params: Value) -> Value {
    ask(rig, conn, "public/auth", params).remove(0)
}

#[test]
fn the_published_vectors_hold() {
    // Source: the venue's documentation; the REST ones were recomputed independently.
    for (text, sign) in [
        (
            "1576074319000\n1iqt2wls\n",
            "56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1",
        ),
        (
            "1576074319000\n1iqt2wls\nGET\n/api/v2/private/get_account_summary?currency=BTC\n\n",
            "9bfbc51a2bc372d72cc396cf1a213dc78d42eb74cb7dc272351833ad0de276ab",
        ),
    ] {
        assert_eq!(hex_hmac("AMANDASECRECT", text), sign);
    }
}

#[test]
fn logins_are_checked() {
    let mut rig = quiet();
    let conn = open(&mut rig);
    let good = signed_login(&rig, 1, "n1");
    for (name, value) in [
        ("client_id", json!("nobody")),
        ("signature", json!("00")),
        ("signature", json!("zz")),
        ("nonce", json!("other")),
        ("data", json!("x")),
        ("timestamp", json!(rig.now / MS - 61_000)),
        ("timestamp", json!("x")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let refused = auth(&mut rig, conn, bad);
        assert_eq!(
            (code(&refused), &refused["error"]["message"]),
            (13_004, &json!("invalid_credentials")),
            "{name}"
        );
    }
    let granted = auth(&mut rig, conn, good.clone());
    let keys: Vec<&String> = granted["result"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "access_token",
            "expires_in",
            "refresh_token",
            "scope",
            "token_type"
        ]
    );
    assert_eq!(
        code(&auth(&mut rig, conn, good)),
        13_004,
        "the same nonce again"
    );
    let wrong = json!({"grant_type": "client_credentials", "client_id": KEY, "client_secret": "x"});
    assert_eq!(code(&auth(&mut rig, conn, wrong)), 13_004);
    let named = json!({"grant_type": "client_credentials", "client_id": KEY,
        "client_secret": SECRET, "scope": "session:hbx"});
    let granted = auth(&mut rig, conn, named);
    assert_eq!(granted["result"]["sid"], "hbx");
    let refresh =
        json!({"grant_type": "refresh_token", "refresh_token": granted["result"]["refresh_token"]});
    assert_eq!(code(&auth(&mut rig, conn, refresh.clone())), 0);
    assert_eq!(code(&auth(&mut rig, conn, refresh)), 13_009, "used up");
    assert_eq!(
        code(&auth(&mut rig, conn, json!({"grant_type": "password"}))),
        -32_602
    );
    rig.fault("clock-skew:ms=61000");
    let late = signed_login(&rig, 1, "n2");
    assert_eq!(code(&auth(&mut rig, conn, late)), 13_004);
}

#[test]
fn a_login_lapses_and_a_new_one_goes_on() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    rig.run(899_000);
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "a")[0]), 0);
    rig.run(1_000);
    let got = place(&mut rig, conn, 64_000.0, "b");
    assert_eq!(
        (code(&got[0]), &got[0]["error"]["message"]),
        (13_009, &json!("unauthorized"))
    );
    let again = signed_login(&rig, 1, "again");
    assert_eq!(code(&auth(&mut rig, conn, again)), 0);
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "c")[0]), 0);
    rig.fault("token-expiry");
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "d")[0]), 13_009);
    let stranger = open(&mut rig);
    assert_eq!(code(&place(&mut rig, stranger, 64_000.0, "e")[0]), 10_000);
}

#[test]
fn http_knows_tokens_passwords_and_signatures() {
    let mut rig = quiet();
    let conn = open(&mut rig);
    let login = signed_login(&rig, 1, "n");
    let token = auth(&mut rig, conn, login)["result"]["access_token"].clone();
    let token = token.as_str().unwrap().to_owned();
    let target = "/api/v2/private/get_positions?currency=any";
    let good = signed_get(&rig, target);
    assert_eq!(rig.http(&good).unwrap().status, 200);
    assert_eq!(rig.http(&good).unwrap().status, 401, "the same nonce again");
    rig.run(1);
    let with = |rig: &mut Rig<Deribit>, value: Option<String>| {
        let mut request = signed_get(rig, target);
        request.headers = value
            .map(|it| ("authorization".to_owned(), it))
            .into_iter()
            .collect();
        let response = rig.http(&request).unwrap();
        let body: Value = serde_json::from_str(&response.body).unwrap();
        (response.status, code(&body))
    };
    let basic = STANDARD.encode(format!("{KEY}:{SECRET}"));
    assert_eq!(with(&mut rig, Some(format!("Bearer {token}"))), (200, 0));
    assert_eq!(with(&mut rig, Some(format!("Basic {basic}"))), (200, 0));
    assert_eq!(with(&mut rig, Some("Basic AAAA".into())), (401, 13_004));
    assert_eq!(with(&mut rig, Some("Bearer x".into())), (401, 13_009));
    assert_eq!(with(&mut rig, Some("magic".into())), (401, 13_004));
    assert_eq!(with(&mut rig, None), (401, 10_000));
    let stale = signed_get(&rig, target).headers[0]
        .1
        .replace("ts=1", "ts=0");
    assert_eq!(with(&mut rig, Some(stale)), (401, 13_004));
    rig.run(900_000);
    assert_eq!(
        with(&mut rig, Some(format!("Bearer {token}"))),
        (401, 13_009)
    );
    // The signature covers the body of a POST.
    let body = json!({"jsonrpc": "2.0", "id": 5, "method": "private/buy", "params": order(&rig, 64_000.0, "post")});
    let (body, ms) = (body.to_string(), rig.now / MS);
    let sig = hex_hmac(SECRET, &format!("{ms}\nzz\nPOST\n/api/v2\n{body}\n"));
    let mut post = Request {
        method: "POST".into(),
        path: "/api/v2".into(),
        headers: vec![(
            "authorization".into(),
            format!("deri-hmac-sha256 id={KEY},ts={ms},sig={sig},nonce=zz"),
        )],
        body,
        ..Request::default()
    };
    let mut forged = post.clone();
    forged.body = forged.body.replace("0.01", "0.02");
    assert_eq!(rig.http(&forged).unwrap().status, 401);
    let answer: Value = serde_json::from_str(&rig.http(&post).unwrap().body).unwrap();
    assert_eq!(
        (&answer["id"], &answer["result"]["order"]["label"]),
        (&json!(5), &json!("post"))
    );
    post.body = "{".into();
    let response = rig.http(&post).unwrap();
    assert!(response.status == 400 && response.body.contains("-32700"));
    assert_eq!(
        code(&rig.get("/api/v2/public/subscribe", "channels=x")),
        10_030
    );
}

#[test]
fn heartbeats_ask_for_proof_of_life() {
    let mut rig = quiet();
    let [kept, lost, plain] = [(); 3].map(|()| open(&mut rig));
    for conn in [kept, lost] {
        let got = ask(
            &mut rig,
            conn,
            "public/set_heartbeat",
            json!({"interval": 10}),
        );
        assert_eq!(got[0]["result"], "ok");
    }
    let short = ask(
        &mut rig,
        plain,
        "public/set_heartbeat",
        json!({"interval": 9}),
    );
    assert_eq!(code(&short[0]), -32_602);
    rig.take(kept);
    rig.run(10_000);
    let kinds: Vec<Value> = rig
        .take(kept)
        .iter()
        .map(|it| it["params"]["type"].clone())
        .collect();
    assert_eq!(kinds, ["heartbeat", "test_request"]);
    rig.run(9_000);
    rig.send(
        kept,
        r#"{"jsonrpc":"2.0","id":"t","method":"public/test","params":{}}"#,
    );
    rig.run(2_000);
    assert!(rig.closed.contains_key(&lost) && !rig.closed.contains_key(&kept));
    rig.run(60_000);
    assert!(rig.closed.contains_key(&kept), "it has not answered since");
    assert!(
        !rig.closed.contains_key(&plain),
        "it never asked for heartbeats"
    );
}

#[test]
fn who_is_not_asked_owes_no_answer() {
    let mut rig = quiet();
    let conn = open(&mut rig);
    ask(
        &mut rig,
        conn,
        "public/set_heartbeat",
        json!({"interval": 10}),
    );
    rig.fault("silence:for=35s");
    rig.take(conn);
    rig.run(34_900);
    assert!(rig.take(conn).is_empty() && !rig.closed.contains_key(&conn));
    rig.run(10_000);
    assert_eq!(rig.take(conn).len(), 2);
}

#[test]
fn orders_end_with_the_connection_they_were_placed_over() {
    let mut rig = quiet();
    let (armed, other) = (trader(&mut rig), log_in(&mut rig));
    place(&mut rig, armed, 64_000.0, "mine");
    place(&mut rig, other, 64_100.0, "stays");
    let channels = json!({"channels": ["user.changes.any.any.raw"]});
    ask(&mut rig, other, "private/subscribe", channels);
    assert_eq!(rig.face.stats()["dead_man_armed"], 1);
    rig.take(other);
    rig.face.closed(armed);
    rig.run(1);
    let told = rig.take(other);
    let told = changes(&told);
    let row = &told[0]["orders"][0];
    assert_eq!((told.len(), &row["label"]), (1, &json!("mine")));
    assert_eq!(
        (&row["order_state"], &row["cancel_reason"]),
        (&json!("cancelled"), &json!("cancel_on_disconnect"))
    );
    rig.fault("disconnect:link=private");
    assert_eq!(rig.closed.get(&other), Some(&None), "cut");
    let open_orders = rest(&mut rig, "get_open_orders");
    assert_eq!(
        open_orders["result"][0]["label"], "stays",
        "it did not ask for that"
    );
    // For the account: connections begin with it.
    let conn = log_in(&mut rig);
    ask(
        &mut rig,
        conn,
        "private/enable_cancel_on_disconnect",
        json!({"scope": "account"}),
    );
    let next = log_in(&mut rig);
    let told = ask(
        &mut rig,
        next,
        "private/get_cancel_on_disconnect",
        json!({}),
    );
    assert_eq!(
        told[0]["result"],
        json!({"scope": "connection", "enabled": true})
    );
    let bad = ask(
        &mut rig,
        next,
        "private/enable_cancel_on_disconnect",
        json!({"scope": "world"}),
    );
    assert_eq!(code(&bad[0]), -32_602);
    place(&mut rig, next, 64_200.0, "next");
    rig.face.closed(next);
    assert_eq!(
        rest(&mut rig, "get_open_orders")["result"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn too_many_requests_end_the_session() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut placed = 0;
    while code(&place(&mut rig, conn, 64_000.0, "l")[0]) == 0 {
        placed += 1;
    }
    assert_eq!((placed, rig.closed.contains_key(&conn)), (20, true));
    let last = rig.take(conn).pop().unwrap();
    assert_eq!(last["error"]["message"], "too_many_requests");
    assert_eq!(
        rig.face.core().engine.open_orders(1).count(),
        0,
        "cancelled with it"
    );
    let limits = rig.face.stats()["limits"].clone();
    let row = limits
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "matching engine of account 1");
    let row = row.unwrap();
    assert_eq!((&row["highest"], &row["refused"]), (&json!(20), &json!(1)));
    // Credits flow back, five a second.
    rig.run(1_000);
    let conn = trader(&mut rig);
    let passed = (0..6).filter(|_| code(&place(&mut rig, conn, 64_000.0, "m")[0]) == 0);
    assert_eq!(passed.count(), 5);
    // Over HTTP it is 429, and the factor raises all of it.
    rig.run(10_000);
    let status = |rig: &mut Rig<Deribit>| {
        let request = Request {
            method: "GET".into(),
            path: "/api/v2/public/test".into(),
            ..Request::default()
        };
        rig.http(&request).unwrap().status
    };
    assert_eq!((0..101).filter(|_| status(&mut rig) == 200).count(), 100);
    assert_eq!(status(&mut rig), 429);
    let mut rig = rig_with(|config| config.rate_factor = 3);
    assert_eq!((0..301).filter(|_| status(&mut rig) == 200).count(), 300);
}

#[test]
fn connections_and_sessions_are_counted() {
    let mut rig = quiet();
    for at in 0..16 {
        log_in(&mut rig);
        rig.run(at + 100);
    }
    let conn = open(&mut rig);
    let login = signed_login(&rig, 1, "17");
    assert_eq!(code(&auth(&mut rig, conn, login)), 10_066);
    for _ in 17..32 {
        assert!(rig.face.refuses_upgrade(&Request::default()).is_none());
        open(&mut rig);
    }
    assert_eq!(
        rig.face
            .refuses_upgrade(&Request::default())
            .unwrap()
            .status,
        429
    );
}

#[test]
fn bad_days_of_the_venue() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let public = open(&mut rig);
    subscribe(&mut rig, public, "platform_state");
    rig.fault("http-500:executed=true,http-500:executed=false:code=502");
    let sell = |rig: &mut Rig<Deribit>, label: &str| {
        rig.run(1);
        let query = format!("instrument_name={BTC}&amount=0.01&price=66000&label={label}");
        let request = signed_get(rig, &format!("/api/v2/private/sell?{query}"));
        rig.http(&request)
    };
    assert_eq!(sell(&mut rig, "h1").unwrap().status, 500);
    assert_eq!(sell(&mut rig, "h2").unwrap().status, 502);
    rig.fault("rate-limit");
    assert_eq!(sell(&mut rig, "h3").unwrap().status, 429);
    rig.fault("lost-ack");
    assert!(sell(&mut rig, "h4").is_none() && rig.hung.len() == 1);
    let open_orders = rig.face.core().engine.open_orders(1);
    let labels: Vec<String> = open_orders.map(|it| it.ask.client_id.to_string()).collect();
    assert_eq!(labels, ["h1", "h4"]);
    rig.fault("rate-limit");
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "w")[0]), 10_028);
    assert!(rig.closed.contains_key(&conn));
    let conn = trader(&mut rig);
    rig.take(public);
    rig.fault("restart:for=1s");
    assert_eq!(
        pushed(&rig.take(public), "platform_state"),
        [&json!({"maintenance": true})]
    );
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "x")[0]), 11_051);
    rig.run(1_100);
    assert!(rig.closed.contains_key(&conn) && rig.closed.contains_key(&public));
    let conn = trader(&mut rig);
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "y")[0]), 0);
    rig.fault("clock-skew:ms=3600000");
    let time = rig.get("/api/v2/public/get_time", "");
    assert_eq!(time["result"].as_u64(), Some(rig.now / MS + 3_600_000));
    assert_eq!(
        code(&place(&mut rig, conn, 64_000.0, "z")[0]),
        13_888,
        "its time is over there"
    );
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", name in "[a-z_]{0,20}", number in proptest::num::f64::ANY) {
        let mut rig = rig_with(|config| (config.flow.ticks_per_s, config.rate_factor) = (0, 100));
        let conn = log_in(&mut rig);
        rig.send(conn, &text);
        rig.send(conn, &format!("{{\"id\":{{}},\"method\":\"{name}\",\"params\":[]}}"));
        for method in [
            "public/auth", "public/set_heartbeat", "public/subscribe", "private/subscribe",
            "public/unsubscribe", "private/buy", "private/sell", "private/edit",
            "private/edit_by_label", "private/cancel", "private/cancel_by_label",
            "private/cancel_all_by_currency", "private/enable_cancel_on_disconnect",
            "private/get_order_state", "private/get_user_trades_by_instrument",
            "public/get_order_book", "public/get_index_price", "public/get_last_trades_by_instrument",
        ] {
            for value in [json!(text), json!(number), json!([text]), json!({"a": number})] {
                let params = json!({"instrument_name": BTC, "amount": value, "price": value,
                    "label": value, "order_id": value, "channels": [text, value], "scope": value,
                    "interval": value, "valid_until": value, "currency": value, "count": value,
                    "start_seq": value, "depth": value, "grant_type": "client_signature",
                    "client_id": KEY, "timestamp": value, "nonce": value});
                let got = ask(&mut rig, conn, method, params);
                assert!(!got.is_empty(), "{method}");
            }
        }
        rig.send(conn, &json!({"method": name, "params": {"x": text}}).to_string());
        let request = Request {
            method: "POST".into(), path: format!("/api/v2/{name}"), body: text.clone(),
            headers: vec![("authorization".into(), format!("deri-hmac-sha256 {text}"))],
            ..Request::default()
        };
        assert!(rig.http(&request).is_some());
        let request = Request { method: "GET".into(), path: text.clone(), query: text, ..Request::default() };
        assert!(rig.http(&request).is_some());
    }
}
