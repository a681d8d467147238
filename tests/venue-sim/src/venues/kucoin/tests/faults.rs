use super::*;

#[test]
fn pools_are_counted_and_told() {
    let mut rig = quiet();
    let entry = entry(&mut rig);
    let request = signed(&rig, "GET", "/api/v1/hf/orders/active?symbol=BTC-USDT", "");
    let headers = |response: &crate::core::Response| -> Vec<String> {
        response
            .headers
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect()
    };
    let first = rig.http(&request).unwrap();
    assert_eq!(
        headers(&first)[..2],
        [
            "gw-ratelimit-limit 4000".to_owned(),
            "gw-ratelimit-remaining 3998".to_owned()
        ]
    );
    let told = place(&mut rig, entry, "a", "buy", "64000")["rateLimit"].clone();
    assert_eq!(
        told,
        json!({"limit": 4_000, "reset": 30_000, "remaining": 3_997}),
        "one pool for both"
    );
    for _ in 0..133 {
        rest(&mut rig, "DELETE", "/api/v1/hf/orders/cancelAll", "");
    }
    let told = place(&mut rig, entry, "b", "buy", "64000")["rateLimit"]["remaining"].clone();
    assert_eq!(told, json!(6));
    let spent = signed(&rig, "DELETE", "/api/v1/hf/orders/cancelAll", "");
    let response = rig.http(&spent).unwrap();
    assert_eq!(response.status, 429);
    assert!(response.body.contains("\"429000\""));
    assert!(headers(&response)[2].starts_with("gw-ratelimit-reset "));
    for at in 0..6 {
        assert_eq!(
            place(&mut rig, entry, &format!("c{at}"), "buy", "64000")["code"],
            "200000"
        );
    }
    let refused = place(&mut rig, entry, "d", "buy", "64000");
    assert_eq!(
        (&refused["code"], &refused["rateLimit"]["remaining"]),
        (&json!("429000"), &json!(0))
    );
    let limits = rig.face.stats()["limits"].clone();
    let spot = limits
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "spot of account 1")
        .unwrap();
    assert_eq!(
        (&spot["highest"], &spot["refused"]),
        (&json!(4_000), &json!(2))
    );
    rig.run(30_000);
    assert_eq!(
        place(&mut rig, entry, "d", "buy", "64000")["code"],
        "200000"
    );
    let mut large = rig_with(|config| config.rate_factor = 3);
    let request = signed(&large, "GET", "/api/v1/accounts", "");
    assert_eq!(large.http(&request).unwrap().headers[0].1, "6000");
}

#[test]
fn rate_limit_faults_name_their_time() {
    let mut rig = quiet();
    let entry = entry(&mut rig);
    rig.fault("rate-limit:for=7s");
    let refused = place(&mut rig, entry, "a", "buy", "64000");
    assert_eq!(
        (&refused["code"], &refused["rateLimit"]["reset"]),
        (&json!("429000"), &json!(7_000))
    );
    rig.fault("rate-limit:for=7s");
    let request = signed(&rig, "GET", "/api/v1/accounts", "");
    let response = rig.http(&request).unwrap();
    assert_eq!(
        (response.status, response.headers[2].1.as_str()),
        (429, "7000")
    );
    assert_eq!(rig.http(&request).unwrap().status, 200);
}

#[test]
fn refusals_and_open_outcomes() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    rig.fault("reject");
    assert_eq!(
        place(&mut rig, entry, "a", "buy", "64000")["code"],
        "200004"
    );
    rig.fault("reject:code=260100");
    assert_eq!(
        place(&mut rig, entry, "b", "buy", "64000")["code"],
        "260100"
    );
    assert!(rig.take(user).is_empty());
    rig.fault("timeout:executed=false,timeout:executed=true");
    for id in ["c", "d"] {
        assert_eq!(place(&mut rig, entry, id, "buy", "64000")["code"], "500000");
    }
    let target = |id: &str| format!("/api/v1/hf/orders/client-order/sl-{id}?symbol=BTC-USDT");
    assert_eq!(
        rest(&mut rig, "GET", &target("c"), "")["msg"],
        "order not exist"
    );
    assert_eq!(
        rest(&mut rig, "GET", &target("d"), "")["data"]["active"],
        true
    );
    let refused = rig.face.core().record.counts()["refused"].clone();
    assert_eq!(refused, json!(3), "d was carried out");
    let body = |id: &str| {
        format!(
            r#"{{"clientOid":"{id}","symbol":"BTC-USDT","side":"buy","type":"limit","price":"64000","size":"0.001"}}"#
        )
    };
    rig.fault("http-500:executed=true,http-500:executed=false:code=502");
    for (id, status) in [("e", 500), ("f", 502)] {
        let request = signed(&rig, "POST", "/api/v1/hf/orders", &body(id));
        assert_eq!(rig.http(&request).unwrap().status, status);
    }
    let open = rig.face.core().engine.open_orders(1);
    let open: Vec<&str> = open.map(|order| &*order.ask.client_id).collect();
    assert_eq!(open, ["sl-d", "e"]);
}

#[test]
fn answers_and_events_come_in_any_order_or_not_at_all() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    rig.fault("lost-ack");
    let text = order("a", "buy", "64000", "0.001", GTC);
    assert!(rig.send(entry, &text).is_empty());
    assert_eq!(words(&rig.take(user)), ["received new", "open open"]);
    rig.fault("slow-ack:ms=300");
    let text = order("b", "buy", "64000", "0.001", GTC);
    assert!(rig.send(entry, &text).is_empty());
    assert_eq!(words(&rig.take(user)).len(), 2);
    rig.run(310);
    assert_eq!(rig.take(entry)[0]["id"], "nbI1");
    rig.fault("stream-after-reply:ms=300");
    assert_eq!(
        place(&mut rig, entry, "c", "buy", "64000")["code"],
        "200000"
    );
    assert!(rig.take(user).is_empty());
    rig.run(310);
    assert_eq!(words(&rig.take(user)), ["received new", "open open"]);
    rig.fault("lost-ack");
    let request = signed(&rig, "DELETE", "/api/v1/hf/orders?symbol=BTC-USDT", "");
    assert!(rig.http(&request).is_none());
    assert_eq!(rig.hung.len(), 1);
    assert_eq!(words(&rig.take(user)), ["canceled done"; 3]);
}

/// The two links have an inbox each: who was first shows where one frame is sent to both.
#[test]
fn events_may_come_before_the_answer() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    for (fault, expected) in [("", [entry, user]), ("reply-after-stream", [user, entry])] {
        rig.fault(fault);
        let text = order(&format!("x{}", fault.len()), "buy", "64000", "0.001", GTC);
        let now = rig.now;
        rig.face.step(now);
        rig.face.text(entry, &text);
        let mut order: Vec<ConnId> = Vec::new();
        for out in rig.face.core().take_out() {
            if let crate::core::Out::Text(conn, _) = out
                && order.last() != Some(&conn)
            {
                order.push(conn);
            }
        }
        assert_eq!(order, expected, "{fault}");
    }
}

#[test]
fn a_fill_may_be_told_twice() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    rig.fault("duplicate-fill");
    place(&mut rig, entry, "a", "buy", "65050");
    let pushes = rig.take(user);
    let mut trades: Vec<String> = pushes
        .iter()
        .filter(|push| push["data"]["type"] == "match")
        .map(|push| push["data"]["tradeId"].to_string())
        .collect();
    let all = trades.len();
    trades.dedup();
    assert_eq!(trades.len() + 1, all);
}

#[test]
fn links_are_cut_silenced_and_closed() {
    let mut rig = rig_with(|_| ());
    let book = public(&mut rig, "/market/level2:BTC-USDT");
    let (entry, user) = trader(&mut rig);
    rig.fault("silence:link=public:for=1s");
    rig.take(book);
    rig.run(900);
    assert!(rig.take(book).is_empty());
    rig.run(300);
    assert!(!rig.take(book).is_empty());
    rig.fault("disconnect:link=private");
    assert_eq!(rig.closed.get(&entry), Some(&None));
    assert!(rig.closed.contains_key(&user) && !rig.closed.contains_key(&book));
    rig.fault("restart:for=1s");
    rig.run(900);
    assert!(!rig.closed.contains_key(&book));
    rig.run(300);
    assert_eq!(rig.closed.get(&book), Some(&Some(1000)));
}

#[test]
fn nobody_trades_while_it_is_calm() {
    let mut rig = rig_with(|_| ());
    let book = public(&mut rig, "/market/level2:BTC-USDT");
    rig.run(200);
    rig.fault("calm:for=2s");
    rig.run(100);
    rig.take(book);
    rig.run(1_800);
    assert!(rig.take(book).is_empty());
    rig.run(500);
    assert!(!rig.take(book).is_empty());
    rig.fault("calm:for=60s");
    rig.run(1_000);
    rig.take(book);
    rig.fault("calm:for=0s");
    rig.run(500);
    assert!(!rig.take(book).is_empty(), "a calm ends when it is told to");
}
