//! Orders on the Unified WebSocket: their lives, refusals, limits, and the faults of answers.

use super::*;

#[test]
fn an_order_lives_and_its_reports_are_sparse() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    let got = ask(&mut rig, conn, "add_order", &quote(&token, 1, 60_000.0));
    let texts = rig.inbox[&conn].clone();
    let id = got[0]["result"]["order_id"].as_str().unwrap().to_owned();
    assert!(texts[0].starts_with(&format!(
        r#"{{"method":"add_order","req_id":7,"success":true,"result":{{"order_id":"{id}","cl_ord_id":"{ID}1"}},"time_in":"#
    )));
    assert!(texts[1].starts_with(&format!(
        concat!(
            r#"{{"channel":"executions","type":"update","data":[{{"order_id":"{}","cl_ord_id":"{}1","symbol":"PF_XBTUSD","#,
            r#""exec_type":"new","order_status":"new","side":"buy","order_type":"limit","order_qty":0.01,"limit_price":60000,"#,
            r#""time_in_force":"GTC","post_only":true,"cum_qty":0,"timestamp":"#
        ),
        id, ID
    )), "{}", texts[1]);
    assert!(texts[1].ends_with(r#""sequence":2}"#));
    let again = error(&mut rig, conn, "add_order", &quote(&token, 1, 60_000.0));
    assert_eq!(again, "EGeneral:Invalid arguments:cl_ord_id");
    rig.take(conn);
    let amend = json!({"cl_ord_id": format!("{ID}1"), "limit_price": 60_001, "order_qty": 0.02, "post_only": true, "token": token});
    let got = ask(&mut rig, conn, "amend_order", &amend);
    assert_eq!(
        got[0]["result"],
        json!({"amend_id": "", "cl_ord_id": format!("{ID}1")})
    );
    let row = &got[1]["data"][0];
    assert_eq!(
        (&row["exec_type"], &row["limit_price"], &row["order_qty"]),
        (&json!("amended"), &json!(60_001), &json!(0.02))
    );
    assert!(row.get("symbol").is_none() && row.get("side").is_none());
    let cancel = json!({"cl_ord_id": [format!("{ID}1"), format!("{ID}2")], "token": token});
    let got = ask(&mut rig, conn, "cancel_order", &cancel);
    assert_eq!(got[0]["result"]["order_id"], json!(id));
    assert_eq!(
        (
            &got[1]["data"][0]["exec_type"],
            &got[1]["data"][0]["reason"]
        ),
        (&json!("canceled"), &json!("User requested"))
    );
    assert_eq!(
        (&got[2]["error"], got.len()),
        (&json!("EOrder:Unknown order"), 3)
    );
}

#[test]
fn a_post_only_order_that_would_take_is_refused_and_so_is_an_amend() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&token, 1, 66_000.0)),
        "EOrder:Post only order"
    );
    ask(&mut rig, conn, "add_order", &quote(&token, 2, 60_000.0));
    let amend = json!({"cl_ord_id": format!("{ID}2"), "limit_price": 66_000, "post_only": true, "token": token});
    assert_eq!(
        error(&mut rig, conn, "amend_order", &amend),
        "EOrder:Post only order"
    );
    let order = rig.face.core().engine.open_orders(1).next().unwrap();
    assert_eq!(order.ask.price, Some(600_000), "as it was");
}

/// What could take reaches the engine 20 ms later, and answers then; a cancel does not wait.
#[test]
fn maker_protection_holds_what_could_take() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    assert!(
        ask(
            &mut rig,
            conn,
            "add_order",
            &taker(&token, 1, 0.0001, "ioc")
        )
        .is_empty()
    );
    rig.run(19);
    assert!(heard(&mut rig, conn).is_empty());
    rig.run(1);
    let got = heard(&mut rig, conn);
    assert_eq!(got[0]["success"], true);
    let seen = told(&got);
    let seen: Vec<(&str, &str)> = seen
        .iter()
        .map(|(kind, status)| (kind.as_str(), status.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("new", "new"),
            ("trade", "partially_filled"),
            ("filled", "filled")
        ]
    );
    // Cancelled while it is held: it becomes immediate-or-cancel.
    let mut behind = taker(&token, 2, 0.01, "gtc");
    behind["limit_price"] = json!(60_000);
    assert!(ask(&mut rig, conn, "add_order", &behind).is_empty());
    let cancel = json!({"cl_ord_id": [format!("{ID}2")], "token": token});
    let got = ask(&mut rig, conn, "cancel_order", &cancel);
    assert_eq!(
        (&got[0]["result"], got.len()),
        (&json!({"cl_ord_id": format!("{ID}2")}), 1)
    );
    rig.take(conn);
    rig.run(20);
    let seen = told(&rig.take(conn));
    assert_eq!(seen.last().unwrap().0, "canceled");
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 0);
}

#[test]
fn takers_of_each_kind() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    let best = rig
        .face
        .core()
        .engine
        .book(0)
        .best(crate::engine::Side::Sell)
        .map(|(price, level)| (price, level.total))
        .unwrap();
    let more = (best.1 + 100) as f64 / 10_000.0;
    let limited = |rig: &mut Rig<KrakenFutures>, id: u8, tif: &str| {
        let mut order = taker(&token, id, more, tif);
        order["limit_price"] = json!(best.0 / 10);
        ask(rig, conn, "add_order", &order);
        rig.run(20);
        told(&rig.take(conn))
    };
    let killed = limited(&mut rig, 1, "fok");
    assert_eq!(
        killed
            .iter()
            .map(|(kind, _)| kind.as_str())
            .collect::<Vec<_>>(),
        ["new", "canceled"]
    );
    let rest = limited(&mut rig, 2, "ioc");
    assert_eq!(rest.last().unwrap().0, "canceled");
    assert!(rest.iter().any(|(kind, _)| kind == "trade"));
    let market = json!({"order_type": "market", "side": "sell", "symbol": XBT, "order_qty": 0.01,
        "cl_ord_id": format!("{ID}3"), "token": token});
    ask(&mut rig, conn, "add_order", &market);
    rig.run(20);
    let got = rig.take(conn);
    assert_eq!(told(&got).last().unwrap().1, "filled");
    let trade = got
        .iter()
        .find(|message| message["data"][0]["exec_type"] == "trade")
        .unwrap();
    let row = &trade["data"][0];
    assert_eq!(
        (&row["liquidity_ind"], &row["fees"][0]["asset"]),
        (&json!("t"), &json!("USD"))
    );
    assert!(row.get("side").is_none(), "sparse");
    let entry = got
        .iter()
        .find(|message| message["channel"] == "balances")
        .unwrap();
    let entry = &entry["data"][0];
    assert_eq!(
        (&entry["asset"], &entry["type"]),
        (&json!("USD"), &json!("trade"))
    );
    assert!(entry["fee"].as_f64().unwrap() > 0.0);
}

/// Entries of the ledger add up: before + amount - fee = after, message by message.
#[test]
fn balances_add_up_and_streams_count_by_one() {
    let mut rig = rig_with(|_| ());
    let token = token(&mut rig);
    let conn = rig.open("/v2/private", "");
    for channel in ["executions", "balances"] {
        ask(
            &mut rig,
            conn,
            "subscribe",
            &json!({"channel": channel, "token": token}),
        );
    }
    for id in 1..9 {
        let mut order = taker(&token, id, 0.05, "ioc");
        if id % 2 == 0 {
            order["side"] = json!("sell");
            order["limit_price"] = json!(64_000);
        }
        ask(&mut rig, conn, "add_order", &order);
        rig.run(50);
    }
    let messages = rig.take(conn);
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let (mut balance, mut entries) = (0.0, 0);
    for message in &messages {
        let Some(sequence) = message["sequence"].as_u64() else {
            continue;
        };
        let channel = message["channel"].as_str().unwrap().to_owned();
        assert_eq!(last.insert(channel, sequence).unwrap_or(0) + 1, sequence);
        if message["channel"] == "balances" {
            let row = &message["data"][0];
            let number = |name: &str| row[name].as_f64().unwrap_or(0.0);
            if message["type"] == "update" {
                balance += number("amount") - number("fee");
                assert!((balance - number("balance")).abs() < 1e-6, "{row}");
                entries += 1;
            }
            balance = number("balance");
        }
    }
    assert!(entries >= 8, "{entries}");
}

#[test]
fn an_executions_snapshot_holds_open_orders_and_the_latest_trades() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    ask(&mut rig, conn, "add_order", &quote(&token, 1, 60_000.0));
    ask(&mut rig, conn, "add_order", &taker(&token, 2, 0.001, "ioc"));
    rig.run(20);
    rig.take(conn);
    ask(
        &mut rig,
        conn,
        "unsubscribe",
        &json!({"channel": "executions", "token": token}),
    );
    let params = json!({"channel": "executions", "snap_orders": true, "snap_trades": true, "order_status": true, "token": token});
    let got = ask(&mut rig, conn, "subscribe", &params);
    let rows = got[1]["data"].as_array().unwrap();
    assert_eq!(
        (&got[1]["type"], &got[1]["sequence"], rows.len()),
        (&json!("snapshot"), &json!(1), 2)
    );
    assert_eq!(
        (
            &rows[0]["exec_type"],
            &rows[0]["limit_price"],
            &rows[0]["side"]
        ),
        (&json!("new"), &json!(60_000), &json!("buy"))
    );
    assert_eq!(
        (
            &rows[1]["exec_type"],
            &rows[1]["side"],
            &rows[1]["cl_ord_id"]
        ),
        (&json!("trade"), &json!("buy"), &json!(format!("{ID}2")))
    );
    assert_eq!(
        (&rows[1]["cum_qty"], &rows[1]["last_qty"]),
        (&json!(0.001), &json!(0.001))
    );
    let only_ends = json!({"channel": "executions", "snap_orders": false, "order_status": false, "token": token});
    ask(
        &mut rig,
        conn,
        "unsubscribe",
        &json!({"channel": "executions", "token": token}),
    );
    assert_eq!(
        ask(&mut rig, conn, "subscribe", &only_ends).len(),
        1,
        "no snapshot was asked for"
    );
    let amend = json!({"cl_ord_id": format!("{ID}1"), "order_qty": 0.005, "post_only": true, "token": token});
    assert_eq!(
        ask(&mut rig, conn, "amend_order", &amend).len(),
        1,
        "no end"
    );
}

#[test]
fn what_an_order_is_refused_for() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    for (field, value, why) in [
        (
            "symbol",
            json!("PF_FOOUSD"),
            "Currency pair not supported PF_FOOUSD",
        ),
        (
            "order_type",
            json!("stop-loss"),
            "EGeneral:Invalid arguments:order_type",
        ),
        ("side", json!("up"), "EGeneral:Invalid arguments:side"),
        (
            "limit_price",
            json!(60_000.5),
            "EOrder:Tick size check failed",
        ),
        ("limit_price", json!(0), "EOrder:Invalid price"),
        (
            "limit_price",
            json!("60000"),
            "EGeneral:Invalid arguments:limit_price",
        ),
        (
            "order_qty",
            json!(0.00001),
            "EGeneral:Invalid arguments:order_qty",
        ),
        ("order_qty", json!(0), "EOrder:Order minimum not met"),
        ("order_qty", json!(5_000), "EOrder:Insufficient funds"),
        (
            "time_in_force",
            json!("gtd"),
            "EGeneral:Invalid arguments:time_in_force",
        ),
        (
            "cl_ord_id",
            json!("nineteen-characters"),
            "EGeneral:Invalid arguments:cl_ord_id",
        ),
        ("token", json!("x"), "ESession:Invalid session"),
        (
            "deadline",
            json!("2026-11-20T00:00:00.000Z"),
            "EService:Deadline elapsed",
        ),
        (
            "deadline",
            json!("2026-11-21T00:00:00.400Z"),
            "EGeneral:Invalid arguments:deadline",
        ),
        (
            "deadline",
            json!("2026-11-21T00:02:00.000Z"),
            "EGeneral:Invalid arguments:deadline",
        ),
        (
            "deadline",
            json!("soon"),
            "EGeneral:Invalid arguments:deadline",
        ),
    ] {
        let mut order = quote(&token, 1, 60_000.0);
        order[field] = value.clone();
        assert_eq!(
            error(&mut rig, conn, "add_order", &order),
            why,
            "{field}={value}"
        );
    }
    // A deadline that passes while the order is held.
    let mut late = taker(&token, 2, 0.01, "ioc");
    late["deadline"] = json!("2026-11-21T00:00:00.520Z");
    ask(&mut rig, conn, "add_order", &late);
    rig.fault("clock-skew:ms=600");
    rig.take(conn);
    rig.run(20);
    assert_eq!(
        heard(&mut rig, conn)[0]["error"],
        "EService:Deadline elapsed"
    );
    let public = rig.open("/v2/public", "");
    assert_eq!(
        error(&mut rig, public, "add_order", &quote(&token, 1, 60_000.0)),
        "EGeneral:Permission denied"
    );
}

#[test]
fn batches_and_the_switch() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    let batch = |orders: Value| json!({"symbol": XBT, "orders": orders, "token": token});
    let mut bad = quote(&token, 2, 60_000.0);
    bad["limit_price"] = json!(60_000.5);
    let orders = json!([quote(&token, 1, 60_000.0), bad, quote(&token, 3, 60_001.0)]);
    assert_eq!(
        error(&mut rig, conn, "batch_add", &batch(orders)),
        "EOrder:Tick size check failed",
        "one spoils all"
    );
    let taker = quote(&token, 2, 70_000.0);
    let orders = json!([
        quote(&token, 1, 60_000.0),
        taker,
        quote(&token, 3, 60_001.0)
    ]);
    let got = ask(&mut rig, conn, "batch_add", &batch(orders));
    let rows = got[0]["result"].as_array().unwrap();
    let done: Vec<&Value> = rows.iter().map(|row| &row["success"]).collect();
    assert_eq!(done, [&json!(true), &json!(false), &json!(true)]);
    assert_eq!(rows[1]["error"], "EOrder:Post only order");
    let ids = json!([format!("{ID}1"), format!("{ID}2"), format!("{ID}3")]);
    let got = ask(
        &mut rig,
        conn,
        "batch_cancel",
        &json!({"cl_ord_id": ids, "token": token}),
    );
    assert_eq!(got[0]["result"], json!({"count": 2}));
    let one = json!({"cl_ord_id": [format!("{ID}1")], "token": token});
    assert_eq!(
        error(&mut rig, conn, "batch_cancel", &one),
        "EGeneral:Invalid arguments:orders"
    );
    ask(&mut rig, conn, "add_order", &quote(&token, 4, 60_000.0));
    assert_eq!(
        ask(&mut rig, conn, "cancel_all", &json!({"token": token}))[0]["result"],
        json!({"count": 1})
    );
    rig.run(11_000);
    ask(&mut rig, conn, "add_order", &quote(&token, 5, 60_000.0));
    let switch = |timeout: u64| json!({"timeout": timeout, "token": token});
    let armed = ask(&mut rig, conn, "cancel_all_orders_after", &switch(10));
    assert_eq!(
        armed[0]["result"],
        json!({"currentTime": "2026-11-21T00:00:11Z", "triggerTime": "2026-11-21T00:00:21Z"})
    );
    rig.run(9_000);
    ask(&mut rig, conn, "cancel_all_orders_after", &switch(10));
    rig.take(conn);
    rig.run(9_900);
    assert!(told(&rig.take(conn)).is_empty());
    rig.run(200);
    assert_eq!(
        told(&rig.take(conn)),
        [("canceled".to_owned(), "canceled".to_owned())]
    );
    assert_eq!(
        ask(&mut rig, conn, "cancel_all_orders_after", &switch(0))[0]["result"]["triggerTime"],
        "0"
    );
}

#[test]
fn the_pool_is_five_hundred_units_in_ten_seconds() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    let cancel = json!({"cl_ord_id": [format!("{ID}1")], "token": token});
    let mut refused = 0;
    for _ in 0..51 {
        refused += i32::from(
            error(&mut rig, conn, "cancel_order", &cancel) == "EOrder:Rate limit exceeded",
        );
    }
    assert_eq!(refused, 1, "50 of 10 units");
    rig.run(10_000);
    assert_eq!(
        error(&mut rig, conn, "cancel_order", &cancel),
        "EOrder:Unknown order"
    );
    let limits = rig.face.stats()["limits"].clone();
    assert_eq!(
        (
            &limits[0]["limit"],
            &limits[0]["highest"],
            &limits[0]["refused"]
        ),
        (&json!(500), &json!(500), &json!(1))
    );
    for _ in 0..100 {
        rig.send(conn, r#"{"method":"ping"}"#);
    }
    assert_eq!(
        rig.send(conn, r#"{"method":"ping"}"#)[0]["Error"],
        "Exceeded msg rate"
    );
}

#[test]
fn faults_of_answers() {
    let mut rig = quiet();
    let (conn, token) = trader(&mut rig);
    rig.fault("rate-limit");
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&token, 1, 60_000.0)),
        "EOrder:Rate limit exceeded"
    );
    rig.fault("reject,reject:code=5");
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&token, 1, 60_000.0)),
        "EOrder:Insufficient funds"
    );
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&token, 1, 60_000.0)),
        "EOrder:Invalid price"
    );
    rig.fault("timeout:executed=false,timeout:executed=true:at=1s");
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&token, 2, 60_000.0)),
        "EService:Timeout"
    );
    rig.run(1_000);
    assert_eq!(
        error(&mut rig, conn, "add_order", &quote(&token, 3, 60_000.0)),
        "EService:Timeout"
    );
    let open: Vec<String> = rig
        .face
        .core()
        .engine
        .open_orders(1)
        .map(|order| order.ask.client_id.to_string())
        .collect();
    assert_eq!(open, [format!("{ID}3")]);
    rig.take(conn);
    rig.fault("lost-ack");
    let got = ask(&mut rig, conn, "add_order", &quote(&token, 4, 60_000.0));
    assert_eq!((got.len(), &got[0]["channel"]), (1, &json!("executions")));
    rig.fault("reply-after-stream");
    let got = ask(&mut rig, conn, "add_order", &quote(&token, 5, 60_000.0));
    assert_eq!(
        (&got[0]["channel"], &got[1]["success"]),
        (&json!("executions"), &json!(true))
    );
    rig.fault("slow-ack:ms=300");
    let got = ask(&mut rig, conn, "add_order", &quote(&token, 6, 60_000.0));
    assert_eq!(got.len(), 1);
    rig.take(conn);
    rig.run(300);
    assert_eq!(heard(&mut rig, conn)[0]["success"], true);
    rig.fault("stream-after-reply:ms=300");
    assert_eq!(
        ask(&mut rig, conn, "add_order", &quote(&token, 7, 60_000.0)).len(),
        1
    );
    rig.run(300);
    rig.take(conn);
    rig.fault("duplicate-fill");
    ask(
        &mut rig,
        conn,
        "add_order",
        &taker(&token, 8, 0.0001, "ioc"),
    );
    rig.run(20);
    let trades = heard(&mut rig, conn);
    let ids: Vec<&Value> = trades
        .iter()
        .map(|message| &message["data"][0]["exec_id"])
        .filter(|id| !id.is_null())
        .collect();
    assert_eq!((ids.len(), ids[0] == ids[1]), (2, true));
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,120}", name in "[a-z_]{0,20}", number in proptest::num::f64::ANY) {
        let mut rig = quiet();
        let (conn, token) = trader(&mut rig);
        rig.send(conn, &text);
        for method in ["add_order", "amend_order", "cancel_order", "batch_add", "batch_cancel", "cancel_all",
            "cancel_all_orders_after", "subscribe", "unsubscribe", name.as_str()] {
            for channel in ["book", "executions", "instrument", text.as_str()] {
                let params = json!({"symbol": text, "cl_ord_id": text, "order_id": [text], "orders": [text, {"side": text}],
                    "limit_price": number, "order_qty": number, "deadline": text, "side": "buy", "order_type": "limit",
                    "timeout": number, "channel": channel, "depth": number, "token": token});
                ask(&mut rig, conn, method, &params);
            }
            let params = json!({"symbol": XBT, "cl_ord_id": text, "limit_price": number, "order_qty": number, "side": "buy",
                "order_type": "limit", "deadline": text, "token": token});
            ask(&mut rig, conn, method, &params);
            rig.run(20);
        }
    }
}
