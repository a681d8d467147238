//! The legacy interface: REST with `Authent`, and the feed with its challenge.

use super::*;

fn request(method: &str, name: &str, data: &str, nonce: &str) -> Request {
    let path = format!("/api/v3/{name}");
    let authent = sign("", &format!("{data}{nonce}{path}"));
    let (query, body) = match method {
        "GET" => (data, ""),
        _ => ("", data),
    };
    let mut headers = vec![
        ("apikey".to_owned(), KEY.to_owned()),
        ("authent".to_owned(), authent),
    ];
    if !nonce.is_empty() {
        headers.push(("nonce".to_owned(), nonce.to_owned()));
    }
    Request {
        method: method.into(),
        path: format!("/derivatives{path}"),
        query: query.into(),
        headers,
        body: body.into(),
    }
}

/// Sends a signed request; what was held is released.
fn call(rig: &mut Rig<KrakenFutures>, method: &str, name: &str, data: &str) -> Value {
    let before: Vec<RequestId> = rig.replies.keys().copied().collect();
    let response = rig.http(&request(method, name, data, ""));
    let response = response.unwrap_or_else(|| {
        rig.run(20);
        let id = rig.replies.keys().find(|id| !before.contains(id)).copied();
        rig.replies
            .remove(&id.expect("an answer after the hold"))
            .unwrap()
    });
    serde_json::from_str(&response.body).unwrap()
}

fn send(kind: &str, side: &str, price: &str, id: &str) -> String {
    format!(
        "orderType={kind}&symbol=PF_XBTUSD&side={side}&size=0.01&limitPrice={price}&cliOrdId={id}"
    )
}

#[test]
fn requests_are_signed_and_nonces_rise() {
    let mut rig = quiet();
    let mut answer = |request: &Request| -> Value {
        serde_json::from_str(&rig.http(request).unwrap().body).unwrap()
    };
    assert_eq!(
        answer(&request("GET", "openorders", "", ""))["result"],
        "success"
    );
    assert_eq!(
        answer(&request("GET", "openorders", "", "5"))["result"],
        "success"
    );
    let mut forged = request("GET", "openorders", "", "6");
    forged.query = "symbol=PF_XBTUSD".into();
    let mut stranger = request("GET", "openorders", "", "6");
    stranger.headers[0].1 = "nobody".into();
    for (request, why) in [
        (request("GET", "openorders", "", "5"), "nonceDuplicate"),
        (request("GET", "openorders", "", "4"), "nonceBelowThreshold"),
        (forged, "authenticationError"),
        (stranger, "authenticationError"),
        (request("GET", "nonsense", "", "6"), "invalidArgument"),
    ] {
        let got = answer(&request);
        assert_eq!(
            (&got["result"], &got["error"]),
            (&json!("error"), &json!(why))
        );
    }
}

#[test]
fn public_answers_are_as_recorded() {
    let mut rig = quiet();
    let instruments = rig.get("/derivatives/api/v3/instruments", "");
    let first = &instruments["instruments"][0];
    assert_eq!(
        (
            &first["symbol"],
            &first["tickSize"],
            &first["contractValueTradePrecision"],
            &first["makerProtectionMillis"]
        ),
        (&json!(XBT), &json!(1), &json!(4), &json!(20))
    );
    let book = rig.get("/derivatives/api/v3/orderbook", "symbol=pf_xbtusd");
    assert_eq!(book["orderBook"]["bids"][0][0].to_string(), "64999.0");
    assert_eq!(
        rig.get("/derivatives/api/v3/orderbook", "symbol=PF_FOO")["error"],
        "invalidArgument"
    );
    assert_eq!(
        rig.get("/derivatives/api/v3/tickers", "")["tickers"][1]["symbol"],
        "PF_ETHUSD"
    );
    assert_eq!(
        rig.get("/derivatives/api/v3/history", "symbol=PF_XBTUSD")["history"],
        json!([])
    );
}

/// A status inside `success` decides.
#[test]
fn an_order_by_rest() {
    let mut rig = quiet();
    let sent = call(
        &mut rig,
        "POST",
        "sendorder",
        &send("post", "buy", "60000", "a"),
    );
    let status = &sent["sendStatus"];
    assert_eq!(
        (&sent["result"], &status["status"], &status["cliOrdId"]),
        (&json!("success"), &json!("placed"), &json!("a"))
    );
    assert_eq!(status["orderEvents"][0]["type"], "PLACE");
    assert_eq!(status["orderEvents"][0]["order"]["type"], "post");
    for (data, why) in [
        (send("post", "buy", "66000", "b"), "postWouldExecute"),
        (
            send("lmt", "buy", "60000", "a"),
            "clientOrderIdAlreadyExist",
        ),
        (send("stp", "buy", "60000", "b"), "invalidOrderType"),
        (send("lmt", "buy", "60000.5", "b"), "invalidPrice"),
        (
            send("lmt", "buy", "60000", "b").replace("0.01", "0.00001"),
            "invalidSize",
        ),
        (
            send("lmt", "buy", "60000", "b").replace("0.01", "5000"),
            "insufficientAvailableFunds",
        ),
        (
            send("lmt", "buy", "60000", &"x".repeat(101)),
            "clientOrderIdInvalid",
        ),
        (send("ioc", "buy", "60000", "b"), "iocWouldNotExecute"),
    ] {
        let got = call(&mut rig, "POST", "sendorder", &data);
        assert_eq!(
            (&got["result"], &got["sendStatus"]["status"]),
            (&json!("success"), &json!(why)),
            "{data}"
        );
    }
    assert_eq!(
        call(&mut rig, "POST", "sendorder", "orderType=lmt")["error"],
        "requiredArgumentMissing"
    );
    let edited = call(
        &mut rig,
        "POST",
        "editorder",
        "cliOrdId=a&limitPrice=60001&size=0.02",
    );
    assert_eq!(edited["editStatus"]["status"], "edited");
    let gone = call(&mut rig, "POST", "editorder", "cliOrdId=z&limitPrice=60001");
    assert_eq!(gone["editStatus"]["status"], "orderForEditNotFound");
    let open = call(&mut rig, "GET", "openorders", "")["openOrders"][0].clone();
    assert_eq!(
        (
            open["limitPrice"].to_string(),
            &open["unfilledSize"],
            &open["status"]
        ),
        ("60001.0".to_owned(), &json!(0.02), &json!("untouched"))
    );
    let states = call(&mut rig, "POST", "orders/status", "cliOrdIds=a");
    assert_eq!(states["orders"][0]["status"], "ENTERED_BOOK");
    let id = open["order_id"].as_str().unwrap();
    let cancelled = call(&mut rig, "POST", "cancelorder", &format!("order_id={id}"));
    assert_eq!(
        (
            &cancelled["cancelStatus"]["status"],
            &cancelled["cancelStatus"]["cliOrdId"]
        ),
        (&json!("cancelled"), &json!("a"))
    );
    assert_eq!(
        call(&mut rig, "POST", "cancelorder", "cliOrdId=a")["cancelStatus"]["status"],
        "notFound"
    );
}

#[test]
fn fills_positions_and_accounts_agree() {
    let mut rig = quiet();
    let taken = call(
        &mut rig,
        "POST",
        "sendorder",
        &send("ioc", "sell", "64000", "t"),
    );
    let kinds: Vec<&Value> = taken["sendStatus"]["orderEvents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["type"])
        .collect();
    assert_eq!((kinds[0], kinds[1]), (&json!("PLACE"), &json!("EXECUTION")));
    let fills = call(&mut rig, "GET", "fills", "");
    let sum: f64 = fills["fills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fill| fill["size"].as_f64().unwrap())
        .sum();
    let position = call(&mut rig, "GET", "openpositions", "")["openPositions"][0].clone();
    assert_eq!(
        (&position["side"], &position["symbol"]),
        (&json!("short"), &json!(XBT))
    );
    assert!((sum - 0.01).abs() < 1e-12 && (position["size"].as_f64().unwrap() - sum).abs() < 1e-12);
    let accounts = call(&mut rig, "GET", "accounts", "");
    let flex = &accounts["accounts"]["flex"];
    assert_eq!(flex["type"], "multiCollateralMarginAccount");
    assert!(
        flex["currencies"]["USD"]["quantity"].as_f64().unwrap() < 1_000_000.0,
        "a fee was paid"
    );
    let filled = call(&mut rig, "POST", "cancelorder", "cliOrdId=t");
    assert_eq!(filled["cancelStatus"]["status"], "filled");
}

#[test]
fn batches_cancel_all_and_the_switch() {
    let mut rig = quiet();
    let batch = json!({"batchOrder": [
        {"order": "send", "order_tag": "1", "orderType": "post", "symbol": XBT, "side": "buy", "size": 0.01, "limitPrice": 60_000, "cliOrdId": "a"},
        {"order": "send", "order_tag": "2", "orderType": "lmt", "symbol": XBT, "side": "buy", "size": 5_000, "limitPrice": 60_000},
        {"order": "cancel", "cliOrdId": "z"},
    ]});
    let got = call(
        &mut rig,
        "POST",
        "batchorder",
        &format!("json={}", batch.to_string().replace('"', "%22")),
    );
    let rows: Vec<(&Value, &Value)> = got["batchStatus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["order_tag"], &row["status"]))
        .collect();
    assert_eq!(
        rows,
        [
            (&json!("1"), &json!("placed")),
            (&json!("2"), &json!("insufficientAvailableFunds")),
            (&Value::Null, &json!("notFound")),
        ]
    );
    let all = call(&mut rig, "POST", "cancelallorders", "symbol=PF_XBTUSD");
    assert_eq!(
        (
            &all["cancelStatus"]["status"],
            &all["cancelStatus"]["cancelledOrders"][0]["cliOrdId"]
        ),
        (&json!("cancelled"), &json!("a"))
    );
    assert_eq!(
        call(&mut rig, "POST", "cancelallorders", "")["cancelStatus"]["status"],
        "noOrdersToCancel"
    );
    call(
        &mut rig,
        "POST",
        "sendorder",
        &send("post", "buy", "60000", "b"),
    );
    let armed = call(&mut rig, "POST", "cancelallordersafter", "timeout=10");
    assert!(
        armed["status"]["triggerTime"].as_str().unwrap()
            > armed["status"]["currentTime"].as_str().unwrap()
    );
    rig.run(10_100);
    assert_eq!(
        call(&mut rig, "GET", "openorders", "")["openOrders"],
        json!([])
    );
}

#[test]
fn limits_and_broken_gateways() {
    let mut rig = quiet();
    rig.fault("http-500:executed=true,http-500:code=503:executed=false");
    for (id, status) in [("a", 500), ("b", 503)] {
        let response = rig
            .http(&request(
                "POST",
                "sendorder",
                &send("post", "buy", "60000", id),
                "",
            ))
            .unwrap();
        assert_eq!(response.status, status);
    }
    let open: Vec<String> = rig
        .face
        .core()
        .engine
        .open_orders(1)
        .map(|order| order.ask.client_id.to_string())
        .collect();
    assert_eq!(open, ["a"]);
    rig.fault("rate-limit");
    assert_eq!(
        call(&mut rig, "GET", "accounts", "")["error"],
        "apiLimitExceeded"
    );
    rig.fault("lost-ack");
    assert!(
        rig.http(&request(
            "POST",
            "sendorder",
            &send("post", "buy", "60000", "c"),
            ""
        ))
        .is_none()
    );
    assert_eq!(rig.hung.len(), 1);
    let mut sent = 0;
    while call(
        &mut rig,
        "GET",
        "fills",
        "lastFillTime=2026-11-21T00:00:00.000Z",
    )["result"]
        == "success"
    {
        sent += 1;
    }
    assert_eq!(sent, 19, "20 units of two orders, then 25 each");
}

fn private_feed(rig: &mut Rig<KrakenFutures>, conn: ConnId, feed: &str) -> Vec<Value> {
    let asked = rig.send(
        conn,
        &json!({"event": "challenge", "api_key": KEY}).to_string(),
    );
    let challenge = asked[0]["message"].as_str().unwrap().to_owned();
    let signed = sign("", &challenge);
    let text = json!({"event": "subscribe", "feed": feed, "api_key": KEY, "original_challenge": challenge, "signed_challenge": signed});
    rig.send(conn, &text.to_string())
}

#[test]
fn deltas_chain_and_rebuild_the_book() {
    let mut rig = rig_with(|_| ());
    let conn = rig.open("/ws/v1", "");
    assert_eq!(rig.inbox[&conn][0], r#"{"event":"info","version":1}"#);
    let text =
        json!({"event": "subscribe", "feed": "book", "product_ids": ["pf_xbtusd", "PF_FOO"]})
            .to_string();
    let got = rig.send(conn, &text);
    assert_eq!(
        got[0],
        json!({"event": "subscribed", "feed": "book", "product_ids": [XBT]})
    );
    assert_eq!(
        (&got[1]["message"], &got[2]["feed"]),
        (&json!("Invalid product id"), &json!("book_snapshot"))
    );
    for feed in ["trade", "ticker", "ticker_lite", "heartbeat"] {
        rig.send(
            conn,
            &json!({"event": "subscribe", "feed": feed, "product_ids": [XBT]}).to_string(),
        );
    }
    rig.take(conn);
    rig.send(
        conn,
        &json!({"event": "unsubscribe", "feed": "book", "product_ids": [XBT]}).to_string(),
    );
    rig.run(500);
    rig.send(conn, &text);
    rig.run(5_000);
    rig.face.core().flows.clear();
    let (mut book, mut last, mut deltas) = (<[Side; 2]>::default(), None, 0);
    let mut feeds: BTreeMap<String, usize> = BTreeMap::new();
    for message in rig.take(conn) {
        let feed = message["feed"].as_str().unwrap_or("").to_owned();
        *feeds.entry(feed.clone()).or_default() += 1;
        match feed.as_str() {
            "book_snapshot" => {
                apply(&mut book[0], &message["bids"], usize::MAX, true);
                apply(&mut book[1], &message["asks"], usize::MAX, false);
                last = message["seq"].as_u64();
            }
            "book" if message.get("seq").is_some() => {
                assert_eq!(message["seq"].as_u64(), last.map(|last| last + 1));
                last = message["seq"].as_u64();
                let is_bid = message["side"] == "buy";
                apply(
                    &mut book[usize::from(!is_bid)],
                    &json!([message]),
                    usize::MAX,
                    is_bid,
                );
                deltas += 1;
            }
            _ => {}
        }
    }
    assert!(
        deltas > 300
            && feeds["trade"] > 20
            && feeds["ticker"] >= 4
            && feeds["ticker_lite"] >= 4
            && feeds["heartbeat"] >= 4,
        "{feeds:?}"
    );
    let venue = rig.get("/derivatives/api/v3/orderbook", "symbol=PF_XBTUSD")["orderBook"].clone();
    for (side, name) in book.iter().zip(["bids", "asks"]) {
        let ours: Vec<Value> = side
            .iter()
            .map(|(_, price, qty)| serde_json::from_str(&format!("[{price},{qty}]")).unwrap())
            .collect();
        assert_eq!(Value::from(ours), venue[name]);
    }
}

#[test]
fn each_fault_of_the_chain() {
    for (fault, expected) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("seq-reset", 1),
    ] {
        let mut rig = rig_with(|_| ());
        let conn = rig.open("/ws/v1", "");
        rig.send(
            conn,
            &json!({"event": "subscribe", "feed": "book", "product_ids": [XBT]}).to_string(),
        );
        rig.run(300);
        rig.fault(fault);
        rig.run(1_000);
        let numbers: Vec<u64> = rig
            .take(conn)
            .iter()
            .filter_map(|message| message["seq"].as_u64())
            .collect();
        let breaks = numbers
            .windows(2)
            .filter(|two| two[0] + 1 != two[1])
            .count();
        assert_eq!(breaks, expected, "{fault}");
    }
}

#[test]
fn private_feeds_need_a_signed_challenge() {
    let mut rig = quiet();
    let conn = rig.open("/ws/v1", "");
    let forged = json!({"event": "subscribe", "feed": "fills", "api_key": KEY, "original_challenge": "x", "signed_challenge": sign("", "x")});
    assert_eq!(
        rig.send(conn, &forged.to_string())[0]["event"],
        "error",
        "not the challenge that was given"
    );
    let orders = private_feed(&mut rig, conn, "open_orders");
    assert_eq!(
        (&orders[0]["event"], &orders[1]["feed"]),
        (&json!("subscribed"), &json!("open_orders_snapshot"))
    );
    let fills = private_feed(&mut rig, conn, "fills");
    assert_eq!(fills[1]["feed"], "fills_snapshot");
    private_feed(&mut rig, conn, "open_positions");
    private_feed(&mut rig, conn, "balances");
    rig.take(conn);
    call(
        &mut rig,
        "POST",
        "sendorder",
        &send("post", "buy", "60000", "a"),
    );
    call(&mut rig, "POST", "cancelorder", "cliOrdId=a");
    let got = rig.take(conn);
    assert_eq!(
        (&got[0]["reason"], &got[0]["order"]["direction"]),
        (&json!("new_placed_order_by_user"), &json!(0))
    );
    assert_eq!(
        (&got[1]["reason"], &got[1]["is_cancel"]),
        (&json!("cancelled_by_user"), &json!(true))
    );
    assert!(got[1].get("order").is_none(), "ids only");
    call(
        &mut rig,
        "POST",
        "sendorder",
        &send("ioc", "buy", "66000", "b").replace("0.01", "0.0001"),
    );
    let got = rig.take(conn);
    let seen: Vec<&str> = got
        .iter()
        .map(|message| message["feed"].as_str().unwrap())
        .collect();
    assert_eq!(
        seen,
        [
            "open_orders",
            "open_orders",
            "fills",
            "balances",
            "open_positions"
        ]
    );
    assert_eq!(
        (&got[1]["reason"], got[1]["order"]["qty"].to_string()),
        (&json!("full_fill"), "0.0".to_owned())
    );
    assert_eq!(
        (
            &got[2]["fills"][0]["buy"],
            got[2]["fills"][0]["remaining_order_qty"].to_string()
        ),
        (&json!(true), "0.0".to_owned())
    );
    assert_eq!(got[4]["positions"][0]["balance"], json!(0.0001));
}

#[test]
fn a_client_that_says_nothing_for_a_minute_is_cut() {
    let mut rig = quiet();
    let (idle, kept) = (rig.open("/ws/v1", ""), rig.open("/ws/v1", ""));
    for conn in [idle, kept] {
        rig.send(
            conn,
            &json!({"event": "subscribe", "feed": "heartbeat"}).to_string(),
        );
    }
    rig.run(40_000);
    rig.send(kept, "ping");
    rig.run(20_200);
    assert!(rig.closed.contains_key(&idle) && !rig.closed.contains_key(&kept));
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_requests_are_answered(text in ".{0,120}", name in "[a-z]{0,20}") {
        let mut rig = quiet();
        let conn = rig.open("/ws/v1", "");
        rig.send(conn, &text);
        for event in ["subscribe", "unsubscribe", "challenge", name.as_str()] {
            for feed in ["book", "fills", text.as_str()] {
                let message = json!({"event": event, "feed": feed, "product_ids": [text], "api_key": text, "original_challenge": text, "signed_challenge": text});
                rig.send(conn, &message.to_string());
            }
        }
        for path in ["sendorder", "editorder", "cancelorder", "batchorder", "cancelallorders", "cancelallordersafter",
            "orders/status", name.as_str()] {
            for data in [text.clone(), format!("json={text}"), format!("size={text}&limitPrice={text}&orderType=lmt&symbol=PF_XBTUSD&side=buy&timeout={text}")] {
                let request = request("POST", path, &data, "");
                rig.http(&request);
                rig.run(20);
            }
        }
        for path in ["orderbook", "fills", "history", "openorders"] {
            rig.http(&request("GET", path, &format!("symbol={text}&lastFillTime={text}"), ""));
        }
    }
}
