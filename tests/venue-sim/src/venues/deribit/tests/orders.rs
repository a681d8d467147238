//! Orders: their life, their refusals, what is told of them, and what faults do to that.

use super::*;

#[test]
fn an_order_lives_and_its_pushes_say_so() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    // As our connector writes it, digit for digit.
    let until = rig.now / MS + 500;
    let text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"n1z141z5I1\",\"method\":\"private/buy\",\"params\":{{\
         \"instrument_name\":\"{BTC}\",\"amount\":0.01,\"type\":\"limit\",\"price\":64500,\
         \"label\":\"sl1z141z5\",\"time_in_force\":\"good_til_cancelled\",\"post_only\":true,\
         \"reject_post_only\":true,\"valid_until\":{until}}}}}"
    );
    let got = rig.send(conn, &text);
    assert_eq!(got[0]["id"], "n1z141z5I1");
    let order = &got[0]["result"]["order"];
    let keys: Vec<&str> = order
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys.join(" "),
        "order_id order_state order_type instrument_name direction price amount contracts \
         filled_amount average_price time_in_force label post_only reject_post_only reduce_only \
         replaced mmp api web is_liquidation risk_reducing creation_timestamp \
         last_update_timestamp"
    );
    assert_eq!(
        (&order["order_state"], &order["label"]),
        (&json!("open"), &json!("sl1z141z5"))
    );
    let shown =
        ["price", "amount", "contracts", "filled_amount"].map(|name| order[name].to_string());
    assert_eq!(shown, ["64500.0", "0.01", "100.0", "0.0"]);
    assert_eq!(got[0]["result"]["trades"], json!([]));
    assert_eq!(
        changes(&got),
        [&json!({"instrument_name": BTC, "trades": [], "orders": [order], "positions": []})]
    );
    let money = pushed(&got, "user.portfolio.usdt")[0];
    assert_eq!(
        (&money["currency"], money["initial_margin"].to_string()),
        (&json!("USDT"), "64.5".into())
    );

    let id = order["order_id"].clone();
    let edit = json!({"order_id": id, "amount": 0.02, "price": 64400, "post_only": true,
        "reject_post_only": true, "valid_until": until});
    let edited = ask(&mut rig, conn, "private/edit", edit);
    let order = &edited[0]["result"]["order"];
    assert_eq!(
        (&order["order_id"], &order["replaced"]),
        (&id, &json!(true))
    );
    assert_eq!(
        (order["price"].to_string(), order["amount"].to_string()),
        ("64400.0".into(), "0.02".into())
    );
    assert_eq!(changes(&edited)[0]["orders"], json!([order]));

    let canceled = ask(&mut rig, conn, "private/cancel", json!({"order_id": id}));
    let order = &canceled[0]["result"];
    assert_eq!(
        (
            &order["order_state"],
            &order["cancel_reason"],
            &order["replaced"]
        ),
        (&json!("cancelled"), &json!("user_request"), &json!(true))
    );
    assert_eq!(changes(&canceled)[0]["orders"], json!([order]));
    for (method, expected) in [("private/cancel", 11_044), ("private/edit", 10_010)] {
        let params = json!({"order_id": id, "amount": 0.01, "price": 64000});
        assert_eq!(code(&ask(&mut rig, conn, method, params)[0]), expected);
    }
    let gone = ask(
        &mut rig,
        conn,
        "private/cancel",
        json!({"order_id": "ETH-1"}),
    );
    assert_eq!(
        (code(&gone[0]), &gone[0]["error"]["message"]),
        (10_004, &json!("order_not_found"))
    );
}

/// Another account takes from our quote, twice.
#[test]
fn fills_come_with_the_order_and_the_position() {
    let mut rig = rig_with(|config| {
        config.flow.ticks_per_s = 0;
        config.keys = 2;
    });
    let conn = trader(&mut rig);
    let taker = log_in_as(&mut rig, 2);
    // One tick inside the spread, so that it is met first.
    let best = rig.get("/api/v2/public/ticker", &format!("instrument_name={BTC}"));
    let best = best["result"]["best_bid_price"].as_f64().unwrap();
    let id = place(&mut rig, conn, best + 0.5, "m1")[0]["result"]["order"]["order_id"].clone();
    rig.take(conn);
    let sell = |rig: &mut Rig<Deribit>, amount: f64| {
        let mut order = order(rig, best + 0.5, "");
        order["amount"] = json!(amount);
        order["time_in_force"] = json!("immediate_or_cancel");
        ask(rig, taker, "private/sell", order)
    };
    let answer = sell(&mut rig, 0.004);
    let result = &answer[0]["result"];
    assert_eq!(
        (
            &result["order"]["order_state"],
            result["order"].get("label")
        ),
        (&json!("filled"), None)
    );
    let trade = &result["trades"][0];
    assert_eq!(
        (&trade["liquidity"], &trade["direction"], trade.get("label")),
        (&json!("T"), &json!("sell"), None)
    );
    assert_eq!(
        trade["fee"].to_string(),
        format!("{:.6}", (best + 0.5) * 0.004 * 0.0005).trim_end_matches('0')
    );
    rig.run(1);
    let told = rig.take(conn);
    let change = changes(&told)[0];
    let (fill, order) = (&change["trades"][0], &change["orders"][0]);
    assert_eq!(
        (&order["order_state"], order["filled_amount"].to_string()),
        (&json!("open"), "0.004".into())
    );
    assert_eq!(
        (&fill["order_id"], &fill["liquidity"], &fill["state"]),
        (&id, &json!("M"), &json!("open"))
    );
    assert_eq!(
        (fill["fee"].to_string(), &fill["fee_currency"]),
        ("0.0".into(), &json!("USDT"))
    );
    assert_eq!(
        (&fill["trade_id"], &fill["trade_seq"]),
        (&trade["trade_id"], &trade["trade_seq"])
    );
    let position = &change["positions"][0];
    assert_eq!(
        (position["size"].to_string(), &position["direction"]),
        ("0.004".into(), &json!("buy"))
    );
    assert_eq!(position["average_price"].as_f64(), Some(best + 0.5));
    let answer = sell(&mut rig, 0.01);
    assert_eq!(answer[0]["result"]["order"]["order_state"], "cancelled");
    assert_eq!(
        answer[0]["result"]["order"]["filled_amount"].to_string(),
        "0.006"
    );
    let told = rig.take(conn);
    let change = changes(&told)[0];
    assert_eq!(change["orders"][0]["order_state"], "filled");
    assert_eq!(change["positions"][0]["size"].to_string(), "0.01");
    let short = ask(
        &mut rig,
        taker,
        "private/get_positions",
        json!({"currency": "USDT"}),
    );
    let short = &short[0]["result"][0];
    assert_eq!(
        (short["size"].to_string(), &short["direction"]),
        ("-0.01".into(), &json!("sell"))
    );
}

#[test]
fn post_only_is_refused_moved_or_cancelled_when_edited() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut crossing = order(&rig, 65_500.0, "p1");
    crossing["post_only"] = json!(true);
    crossing["reject_post_only"] = json!(true);
    let got = ask(&mut rig, conn, "private/buy", crossing.clone());
    assert_eq!((code(&got[0]), got.len()), (11_054, 1));
    crossing["reject_post_only"] = json!(false);
    let got = ask(&mut rig, conn, "private/buy", crossing.clone());
    let order = &got[0]["result"]["order"];
    let ticker = rig.get("/api/v2/public/ticker", &format!("instrument_name={BTC}"));
    let ask_price = ticker["result"]["best_ask_price"].as_f64().unwrap();
    assert_eq!(
        order["price"].as_f64(),
        Some(ask_price - 0.5),
        "just behind the spread"
    );
    assert_eq!(
        (&order["order_state"], &order["reject_post_only"]),
        (&json!("open"), &json!(false))
    );
    let edit = json!({"order_id": order["order_id"], "amount": 0.01, "price": 65500,
        "post_only": true, "reject_post_only": true});
    let got = ask(&mut rig, conn, "private/edit", edit);
    let order = &got[0]["result"]["order"];
    assert_eq!(
        (&order["order_state"], &order["cancel_reason"]),
        (&json!("cancelled"), &json!("edit_post_only_reject"))
    );
    assert_eq!(changes(&got)[0]["orders"], json!([order]));
    crossing["time_in_force"] = json!("immediate_or_cancel");
    assert_eq!(
        code(&ask(&mut rig, conn, "private/buy", crossing)[0]),
        11_029
    );
}

#[test]
fn immediate_orders_end_in_their_answer() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut all = order(&rig, 65_500.0, "i1");
    all["amount"] = json!(5.0);
    for (life, filled) in [("fill_or_kill", false), ("immediate_or_cancel", true)] {
        all["time_in_force"] = json!(life);
        let got = ask(&mut rig, conn, "private/buy", all.clone());
        let (order, trades) = (&got[0]["result"]["order"], &got[0]["result"]["trades"]);
        assert_eq!(
            (&order["order_state"], &order["time_in_force"]),
            (&json!("cancelled"), &json!(life))
        );
        assert_eq!(order.get("cancel_reason"), None);
        let trades = trades.as_array().unwrap();
        assert_eq!(
            (trades.len() > 1, order["filled_amount"] != json!(0.0)),
            (filled, filled)
        );
        // One message holds all of it.
        assert_eq!(changes(&got).len(), 1);
        assert_eq!(changes(&got)[0]["trades"], json!(trades));
        let seqs: Vec<u64> = trades
            .iter()
            .map(|it| it["trade_seq"].as_u64().unwrap())
            .collect();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
    let market = json!({"instrument_name": BTC, "amount": 0.01, "type": "market", "label": "k",
        "time_in_force": "immediate_or_cancel"});
    let got = ask(&mut rig, conn, "private/sell", market);
    let order = &got[0]["result"]["order"];
    assert_eq!(
        (&order["order_state"], &order["order_type"]),
        (&json!("filled"), &json!("market"))
    );
}

#[test]
fn what_is_wrong_has_its_code() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let text = "x".repeat(65);
    for (name, value, expected) in [
        ("instrument_name", json!("BTC-PERPETUAL"), 10_020),
        ("instrument_name", json!(null), -32_602),
        ("amount", json!(0.00005), 10_021),
        ("amount", json!(0), 10_021),
        ("amount", json!("x"), 10_021),
        ("amount", json!(1e300), 10_021),
        ("amount", json!(null), -32_602),
        ("amount", json!(2_000), 10_009),
        ("price", json!(64000.25), 10_043),
        ("price", json!(-1), 10_023),
        ("price", json!(70000), 10_007),
        ("price", json!(null), -32_602),
        ("type", json!("stop_limit"), 10_033),
        ("type", json!("magic"), -32_602),
        ("time_in_force", json!("now"), -32_602),
        ("reduce_only", json!(true), 11_029),
        ("valid_until", json!(rig.now / MS - 1), 13_888),
        ("label", json!(text), -32_602),
    ] {
        rig.run(1_000);
        let mut bad = order(&rig, 64_000.0, "e");
        bad[name] = value.clone();
        let got = ask(&mut rig, conn, "private/buy", bad);
        assert_eq!((code(&got[0]), got.len()), (expected, 1), "{name} {value}");
    }
    rig.run(1_000);
    let low = order(&rig, 60_000.0, "e");
    assert_eq!(code(&ask(&mut rig, conn, "private/sell", low)[0]), 10_005);
    for (method, expected) in [("private/nothing", -32_601), ("nothing", -32_601)] {
        assert_eq!(code(&ask(&mut rig, conn, method, json!({}))[0]), expected);
    }
    // What would meet an order of one's own.
    rig.run(5_000);
    let ticker = rig.get("/api/v2/public/ticker", &format!("instrument_name={BTC}"));
    let bid = ticker["result"]["best_bid_price"].as_f64().unwrap();
    place(&mut rig, conn, bid + 0.5, "own");
    let meeting = order(&rig, bid + 0.5, "own");
    assert_eq!(
        code(&ask(&mut rig, conn, "private/sell", meeting)[0]),
        10_003
    );
    let counts = rig.face.core().record.counts();
    assert_eq!(counts["orders"], 1);
}

#[test]
fn labels_may_be_used_again_and_name_all_that_bear_them() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    for price in [64_100.0, 64_200.0] {
        assert_eq!(code(&place(&mut rig, conn, price, "twin")[0]), 0);
    }
    place(&mut rig, conn, 64_300.0, "single");
    let open = ask(
        &mut rig,
        conn,
        "private/get_open_orders_by_label",
        json!({"currency": "USDT", "label": "twin"}),
    );
    assert_eq!(open[0]["result"].as_array().unwrap().len(), 2);
    let edit = |label: &str| json!({"label": label, "instrument_name": BTC, "amount": 0.01, "price": 64000});
    assert_eq!(
        code(&ask(&mut rig, conn, "private/edit_by_label", edit("twin"))[0]),
        11_029
    );
    assert_eq!(
        code(&ask(&mut rig, conn, "private/edit_by_label", edit("none"))[0]),
        10_004
    );
    let edited = ask(&mut rig, conn, "private/edit_by_label", edit("single"));
    assert_eq!(edited[0]["result"]["order"]["price"].to_string(), "64000.0");
    let by_label = |label: &str| json!({"label": label, "currency": "USDT"});
    for expected in [2, 0] {
        let got = ask(&mut rig, conn, "private/cancel_by_label", by_label("twin"));
        assert_eq!(got[0]["result"], expected);
    }
    let got = ask(
        &mut rig,
        conn,
        "private/cancel_all_by_instrument",
        json!({"instrument_name": BTC}),
    );
    assert_eq!((&got[0]["result"], changes(&got).len()), (&json!(1), 1));
    let state = ask(
        &mut rig,
        conn,
        "private/get_order_state_by_label",
        by_label("twin"),
    );
    assert_eq!(state[0]["result"].as_array().unwrap().len(), 2);
    assert_eq!(rig.face.core().record.counts()["duplicate_client_ids"], 1);
}

#[test]
fn an_edit_that_only_gets_smaller_keeps_its_place() {
    let mut rig = rig_with(|config| {
        config.flow.ticks_per_s = 0;
        config.keys = 2;
    });
    let (first, second) = (trader(&mut rig), log_in_as(&mut rig, 2));
    let ticker = rig.get("/api/v2/public/ticker", &format!("instrument_name={BTC}"));
    let price = ticker["result"]["best_bid_price"].as_f64().unwrap() + 0.5;
    let id = place(&mut rig, first, price, "a")[0]["result"]["order"]["order_id"].clone();
    place(&mut rig, second, price, "b");
    let smaller = json!({"order_id": id, "amount": 0.005, "price": price});
    ask(&mut rig, first, "private/edit", smaller);
    rig.take(first);
    // The market sells one lot.
    rig.face
        .core()
        .engine
        .place(
            START,
            NewOrder {
                account: crate::engine::MARKET,
                inst: 0,
                side: Side::Sell,
                price: None,
                size: crate::engine::Size::Base(1),
                tif: Tif::Ioc,
                post_only: PostOnly::No,
                client_id: "".into(),
                type_name: "",
                echo: "".into(),
            },
        )
        .unwrap();
    rig.run(1);
    assert_eq!(
        changes(&rig.take(first))[0]["trades"][0]["amount"].to_string(),
        "0.0001"
    );
}

#[test]
fn faults_of_answers_and_pushes() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    rig.fault("reject,reject:code=10047");
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "f1")[0]), 10_009);
    assert_eq!(code(&place(&mut rig, conn, 64_000.0, "f1")[0]), 10_047);
    rig.fault("timeout:executed=false,timeout:executed=true");
    let [left, done] = ["f2", "f3"].map(|label| place(&mut rig, conn, 64_000.0, label));
    assert_eq!((code(&left[0]), left.len()), (13_888, 1));
    assert_eq!((code(&done[0]), changes(&done).len()), (13_888, 1));
    let refused = rig.face.core().record.counts()["refused"].clone();
    assert_eq!(refused, 3, "an order that was placed is no refusal");
    rig.fault("lost-ack");
    let got = place(&mut rig, conn, 64_000.0, "f4");
    assert_eq!(
        (
            changes(&got).len(),
            got.iter().any(|it| it.get("id").is_some())
        ),
        (1, false)
    );
    rig.fault("slow-ack:ms=300");
    let got = place(&mut rig, conn, 64_000.0, "f5");
    assert_eq!(changes(&got).len(), 1);
    assert!(got[0].get("id").is_none());
    rig.take(conn);
    rig.run(310);
    assert_eq!(rig.take(conn)[0]["result"]["order"]["label"], "f5");
    rig.fault("reply-after-stream");
    let got = place(&mut rig, conn, 64_000.0, "f6");
    assert!(got[0]["params"].is_object() && got.last().unwrap()["id"] == "q");
    rig.fault("stream-after-reply:ms=200");
    let got = place(&mut rig, conn, 64_000.0, "f7");
    assert_eq!((got.len(), &got[0]["id"]), (1, &json!("q")));
    rig.take(conn);
    rig.run(210);
    assert_eq!(changes(&rig.take(conn)).len(), 1);
    rig.fault("duplicate-fill");
    let mut taking = order(&rig, 65_100.0, "f8");
    taking["time_in_force"] = json!("immediate_or_cancel");
    let got = ask(&mut rig, conn, "private/buy", taking);
    let told = changes(&got);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
    assert!(told[0]["trades"][0]["trade_id"].is_string());
}

#[test]
fn channels_of_orders_and_trades_tell_the_same_at_once_or_in_batches() {
    let mut rig = quiet();
    let conn = log_in(&mut rig);
    let names = [
        format!("user.orders.{BTC}.raw"),
        format!("user.orders.{BTC}.100ms"),
        "user.trades.any.USDT.raw".to_owned(),
        "user.trades.any.any.100ms".to_owned(),
        "user.changes.future.any.100ms".to_owned(),
        "user.orders.option.any.raw".to_owned(),
    ];
    let told = ask(
        &mut rig,
        conn,
        "private/subscribe",
        json!({"channels": names}),
    );
    assert_eq!(told[0]["result"].as_array().unwrap().len(), names.len());
    rig.run(1);
    place(&mut rig, conn, 64_000.0, "b1");
    let mut taking = order(&rig, 65_100.0, "b2");
    taking["time_in_force"] = json!("immediate_or_cancel");
    let answer = ask(&mut rig, conn, "private/buy", taking);
    let trades = &answer[0]["result"]["trades"];
    let at_once = rig.take(conn);
    rig.run(100);
    let later = rig.take(conn);
    let orders: Vec<Value> = pushed(&at_once, &names[0]).into_iter().cloned().collect();
    assert_eq!(
        (orders.len(), &orders[1]["order_state"]),
        (2, &json!("filled"))
    );
    assert_eq!(pushed(&later, &names[1]), [&json!(orders)]);
    assert_eq!(pushed(&at_once, &names[2]), [trades]);
    assert_eq!(pushed(&later, &names[3]), [trades]);
    let all = pushed(&later, &names[4]);
    assert_eq!(
        (all.len(), &all[0]["trades"], &all[0]["orders"]),
        (1, trades, &json!(orders))
    );
    assert_eq!(all[0]["positions"].as_array().unwrap().len(), 1);
    assert!(pushed(&at_once, &names[5]).is_empty());
}

#[test]
fn reconciliation_over_http_finds_it_all() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let id = place(&mut rig, conn, 64_000.0, "r1")[0]["result"]["order"]["order_id"].clone();
    let id = id.as_str().unwrap();
    let mut taken = Vec::new();
    for _ in 0..3 {
        let mut taking = order(&rig, 65_100.0, "r2");
        taking["time_in_force"] = json!("immediate_or_cancel");
        let got = ask(&mut rig, conn, "private/buy", taking);
        taken.extend(got[0]["result"]["trades"].as_array().unwrap().clone());
    }
    let open = rest(&mut rig, "get_open_orders");
    assert_eq!(
        (&open["result"][0]["order_id"], open.get("id")),
        (&json!(id), None)
    );
    // As our connector pages: newest first, then up to the one before the oldest.
    let list = format!("get_user_trades_by_instrument?instrument_name={BTC}&count=2&sorting=desc");
    let (mut all, mut until) = (Vec::new(), String::new());
    loop {
        let page = rest(&mut rig, &format!("{list}{until}"))["result"].clone();
        let rows = page["trades"].as_array().unwrap();
        all.extend(rows.clone());
        assert_eq!(page["has_more"], all.len() < taken.len());
        if page["has_more"] == false {
            break;
        }
        let oldest = rows[1]["trade_seq"].as_u64().unwrap();
        until = format!("&end_seq={}", oldest - 1);
    }
    all.reverse();
    let ids = |rows: &[Value]| {
        rows.iter()
            .map(|it| it["trade_id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&all), ids(&taken));
    let newest = all.last().unwrap()["trade_seq"].as_u64().unwrap();
    let none = rest(&mut rig, &format!("{list}&start_seq={}", newest + 1));
    assert_eq!(none["result"], json!({"trades": [], "has_more": false}));
    let positions = rest(&mut rig, "get_positions?currency=any");
    assert_eq!(positions["result"][0]["size"].to_string(), "0.03");
    let money = rest(&mut rig, "get_account_summaries");
    let usdt = money["result"]["summaries"].as_array().unwrap().iter();
    let usdt = usdt
        .into_iter()
        .find(|it| it["currency"] == "USDT")
        .unwrap();
    assert_eq!(usdt["initial_margin"].to_string(), "64.0");
    let of_order = taken[0]["order_id"].as_str().unwrap();
    let by_order = rest(
        &mut rig,
        &format!("get_user_trades_by_order?order_id={of_order}"),
    );
    let oldest = by_order["result"].as_array().unwrap().last().unwrap();
    assert_eq!(oldest["trade_id"], taken[0]["trade_id"]);
    let by_label = rest(
        &mut rig,
        "get_order_state_by_label?currency=USDT&label=nobody",
    );
    assert_eq!(by_label["result"], json!([]));
    let state = rest(&mut rig, &format!("get_order_state?order_id={id}"));
    assert_eq!(state["result"]["order_state"], "open");
    ask(&mut rig, conn, "private/cancel", json!({"order_id": id}));
    rig.run(29 * 60_000);
    assert_eq!(
        rest(&mut rig, &format!("get_order_state?order_id={id}"))["result"]["order_state"],
        "cancelled"
    );
    rig.run(2 * 60_000);
    assert_eq!(
        code(&rest(&mut rig, &format!("get_order_state?order_id={id}"))),
        10_004,
        "history"
    );
}
