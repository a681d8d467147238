//! The life of an order, positions, lists, and every refusal.

use super::*;

#[test]
fn an_order_lives_and_its_pushes_say_so() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order", "execution", "wallet"]);
    let answer = op(
        &mut rig,
        trade,
        "order.create",
        order("GTC", "Buy", "60000", "sl-1"),
    );
    assert_eq!(
        (&answer["retCode"], &answer["retMsg"]),
        (&json!(0), &json!("OK"))
    );
    let id = answer["data"]["orderId"].as_str().unwrap().to_owned();
    assert!(id.len() == 19 && id.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(answer["data"]["orderLinkId"], "sl-1");
    assert_eq!(answer["header"]["X-Bapi-Limit-Status"], "19");
    let pushes = rig.take(private);
    let topics: Vec<&Value> = pushes.iter().map(|m| &m["topic"]).collect();
    assert_eq!(topics, ["order", "wallet"]);
    let coins = pushes[1]["data"][0]["coin"].as_array().unwrap();
    let usdt = coins.iter().find(|row| row["coin"] == "USDT").unwrap();
    assert_eq!((&usdt["locked"], coins.len()), (&json!("60"), 2));
    let again = op(
        &mut rig,
        trade,
        "order.create",
        order("GTC", "Buy", "60000", "sl-1"),
    );
    assert_eq!(again["retCode"], 170141);
    let mut amend = named("spot", "sl-1");
    (amend["price"], amend["qty"]) = (json!("60001"), json!("0.002"));
    let answer = op(&mut rig, trade, "order.amend", amend.clone());
    assert_eq!(
        (&answer["retCode"], &answer["data"]["orderId"]),
        (&json!(0), &json!(id))
    );
    let row = rig.take(private)[0]["data"][0].clone();
    assert_eq!(
        (&row["price"], &row["qty"], &row["orderStatus"]),
        (&json!("60001"), &json!("0.002"), &json!("New"))
    );
    assert_eq!(op(&mut rig, trade, "order.amend", amend)["retCode"], 10001);
    assert_eq!(
        op(&mut rig, trade, "order.cancel", named("spot", "sl-1"))["retCode"],
        0
    );
    let cancelled = (
        "Cancelled".into(),
        "CancelByUser".into(),
        "EC_PerCancelRequest".into(),
    );
    assert_eq!(fates(&mut rig, private), [cancelled]);
    let gone = op(&mut rig, trade, "order.cancel", named("spot", "sl-1"));
    assert_eq!(
        (&gone["retCode"], &gone["data"]),
        (&json!(170213), &json!({}))
    );
    let again = op(
        &mut rig,
        trade,
        "order.create",
        order("GTC", "Buy", "60000", "sl-1"),
    );
    assert_eq!(again["retCode"], 170141, "an id is never free again");
}

#[test]
fn a_crossing_post_only_is_accepted_and_told_once_as_cancelled() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order.spot"]);
    let answer = op(
        &mut rig,
        trade,
        "order.create",
        order("PostOnly", "Buy", "70000", "p"),
    );
    assert_eq!(answer["retCode"], 0);
    let fate = (
        "Cancelled".into(),
        "UNKNOWN".into(),
        "EC_PostOnlyWillTakeLiquidity".into(),
    );
    assert_eq!(fates(&mut rig, private), [fate]);
}

#[test]
fn what_cannot_be_filled_at_once_ends_by_its_own_terms() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order", "execution"]);
    for (kind, qty, status, reason) in [
        ("FOK", "0.001", "Filled", "EC_NoError"),
        (
            "IOC",
            "9",
            "PartiallyFilledCanceled",
            "EC_NoImmediateQtyToFill",
        ),
        ("FOK", "9", "Cancelled", "EC_CancelForNoFullFill"),
    ] {
        let mut arg = order(
            kind,
            "Buy",
            "65100",
            &format!("{kind}{qty}").replace('.', "-"),
        );
        arg["qty"] = json!(qty);
        let answer = op(&mut rig, trade, "order.create", arg);
        assert_eq!(answer["retCode"], 0, "{answer}");
        let fate = fates(&mut rig, private).pop().unwrap();
        assert_eq!((fate.0.as_str(), fate.2.as_str()), (status, reason));
    }
}

#[test]
fn fills_are_told_before_the_state_they_make_and_in_rest() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order", "execution", "execution.fast"]);
    rig.fault("duplicate-fill");
    let mut arg = order("", "Sell", "", "m");
    (arg["orderType"], arg["marketUnit"]) = (json!("Market"), json!("baseCoin"));
    assert_eq!(op(&mut rig, trade, "order.create", arg)["retCode"], 0);
    let pushes = rig.take(private);
    let topics: Vec<&str> = pushes
        .iter()
        .map(|m| m["topic"].as_str().unwrap())
        .collect();
    assert_eq!(
        topics,
        [
            "order",
            "execution",
            "execution.fast",
            "execution",
            "execution.fast",
            "order"
        ]
    );
    assert_eq!(
        pushes[1]["data"], pushes[3]["data"],
        "the fault: told twice"
    );
    assert!(pushes[2].get("id").is_none());
    let (fill, last) = (&pushes[1]["data"][0], &pushes[5]["data"][0]);
    assert_eq!(
        (&last["orderStatus"], &last["cumExecQty"]),
        (&json!("Filled"), &json!("0.001"))
    );
    let list = rest(
        &mut rig,
        "GET",
        "/v5/execution/list?category=spot&limit=100",
        "",
    );
    let row = &list["result"]["list"][0];
    assert_eq!(
        (&row["execId"], &row["feeCurrency"]),
        (&fill["execId"], &json!("USDT"))
    );
    assert_eq!(
        (&row["feeRate"], &row["execFee"]),
        (&json!("0.001"), &fill["execFee"])
    );
    // A cancel that came as the order was filled is taken, and the order told once more.
    assert_eq!(
        op(&mut rig, trade, "order.cancel", named("spot", "m"))["retCode"],
        0
    );
    let late = (
        "Filled".into(),
        "CancelByUser".into(),
        "EC_OrigClOrdIDDoesNotExist".into(),
    );
    assert_eq!(fates(&mut rig, private), [late]);
    rig.run(100);
    assert_eq!(
        op(&mut rig, trade, "order.cancel", named("spot", "m"))["retCode"],
        170213
    );
}

#[test]
fn a_perpetual_moves_a_position_and_holds_margin() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order.linear", "position", "wallet"]);
    let answer = op(
        &mut rig,
        trade,
        "order.create",
        linear("Buy", "60000.00", "l1"),
    );
    let id = answer["data"]["orderId"].as_str().unwrap().to_owned();
    assert_eq!((&answer["retCode"], id.len()), (&json!(0), 36));
    let pushes = rig.take(private);
    let coin = &pushes[1]["data"][0]["coin"][0];
    assert_eq!(
        (&coin["locked"], &coin["totalOrderIM"]),
        (&json!("0"), &json!("6"))
    );
    let found = rest(
        &mut rig,
        "GET",
        &format!("/v5/order/realtime?category=linear&symbol=BTCUSDT&orderId={id}"),
        "",
    );
    let row = &found["result"]["list"][0];
    assert_eq!(
        (&row["price"], &row["qty"], &row["leavesQty"]),
        (&json!("60000.00"), &json!("0.001"), &json!("0.001"))
    );
    let mut take = linear("Buy", "", "l2");
    take["orderType"] = json!("Market");
    assert_eq!(op(&mut rig, trade, "order.create", take)["retCode"], 0);
    let pushes = rig.take(private);
    let position = pushes.iter().find(|m| m["topic"] == "position").unwrap();
    let row = &position["data"][0];
    assert_eq!(
        (&row["side"], &row["size"]),
        (&json!("Buy"), &json!("0.001"))
    );
    let list = rest(
        &mut rig,
        "GET",
        "/v5/position/list?category=linear&settleCoin=USDT&limit=200",
        "",
    );
    let rows = list["result"]["list"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["avgPrice"]), (1, &row["entryPrice"]));
    // Reducing takes no more than there is, and nothing without a position.
    let mut close = linear("Sell", "", "l3");
    (close["orderType"], close["reduceOnly"], close["qty"]) =
        (json!("Market"), json!(true), json!("5"));
    assert_eq!(
        op(&mut rig, trade, "order.create", close.clone())["retCode"],
        0
    );
    let pushes = rig.take(private);
    let flat = pushes.iter().rfind(|m| m["topic"] == "position").unwrap();
    assert_eq!(
        (&flat["data"][0]["side"], &flat["data"][0]["size"]),
        (&json!(""), &json!("0"))
    );
    close["orderLinkId"] = json!("l4");
    assert_eq!(
        op(&mut rig, trade, "order.create", close)["retCode"],
        110017
    );
}

#[test]
fn every_refusal_has_its_category_s_code() {
    let mut rig = quiet();
    let (trade, _) = trader(&mut rig, &["order"]);
    for (key, value, spot, linear) in [
        ("symbol", "FOOBAR", 170121, 10001),
        ("side", "buy", 10001, 10001),
        ("orderType", "Stop", 10001, 10001),
        ("timeInForce", "GTD", 10001, 10001),
        ("price", "60000.001", 170134, 10001),
        ("price", "x", 10001, 10001),
        ("price", "0", 10001, 10001),
        ("price", "900000", 170193, 110003),
        ("qty", "0.0000001", 170137, 10001),
        ("qty", "0.000001", 170136, 10001),
        ("qty", "9999", 170135, 10001),
        ("qty", "0.00005", 170140, 10001),
        ("qty", "900", 170131, 110007),
        ("orderLinkId", "a b", 10001, 10001),
        ("positionIdx", "1", 10001, 10001),
        ("triggerPrice", "1", 10001, 10001),
        ("category", "option", 10404, 10404),
    ] {
        for (category, code) in [("spot", spot), ("linear", linear)] {
            rig.run(1_000);
            let mut bad = order("GTC", "Buy", "60000", "x");
            bad["category"] = json!(category);
            bad[key] = json!(value);
            let answer = op(&mut rig, trade, "order.create", bad);
            let told = (&answer["retCode"], &answer["data"], &answer["op"]);
            assert_eq!(
                told,
                (&json!(code), &json!({}), &json!("order.create")),
                "{category} {key}={value}"
            );
        }
    }
    let low = order("GTC", "Sell", "100", "x");
    assert_eq!(op(&mut rig, trade, "order.create", low)["retCode"], 170194);
    rig.run(1_000);
    assert_eq!(
        op(&mut rig, trade, "order.cancel", named("linear", "none"))["retCode"],
        110001
    );
    assert_eq!(
        op(&mut rig, trade, "order.amend", named("spot", "none"))["retCode"],
        170213
    );
    assert_eq!(
        op(
            &mut rig,
            trade,
            "order.cancel",
            json!({"category": "spot", "symbol": "BTCUSDT"})
        )["retCode"],
        10001
    );
    assert_eq!(
        op(&mut rig, trade, "order.foo", json!({"category": "spot"}))["retCode"],
        10404
    );
    let refused = rig.face.core().record.counts()["refused"].as_u64().unwrap();
    assert_eq!(refused, 2 * 17 + 4);
}

#[test]
fn a_linear_order_must_be_worth_five() {
    let mut rig = rig_with(|config| {
        config.symbols = vec!["SOL-USDT".parse().unwrap()];
        config.flow.ticks_per_s = 0;
    });
    let (trade, _) = trader(&mut rig, &["order"]);
    for (price, code) in [("49.99", 110094), ("50.00", 0)] {
        let mut arg = linear("Buy", price, "x");
        (arg["symbol"], arg["qty"]) = (json!("SOLUSDT"), json!("0.1"));
        let answer = op(&mut rig, trade, "order.create", arg);
        assert_eq!(answer["retCode"], code, "{price}");
    }
}

#[test]
fn a_batch_answers_item_by_item_in_two_lists() {
    let mut rig = quiet();
    let (trade, private) = trader(&mut rig, &["order"]);
    let item = |id: &str, qty: &str| {
        let mut item = order("GTC", "Buy", "60000", id);
        item["qty"] = json!(qty);
        item.as_object_mut().unwrap().shift_remove("category");
        item
    };
    let batch = json!({"category": "spot", "request": [item("b1", "0.001"), item("b2", "0"), item("b3", "0.002")]});
    let answer = op(&mut rig, trade, "order.create-batch", batch);
    assert_eq!(
        (&answer["retCode"], &answer["header"]["X-Bapi-Limit-Status"]),
        (&json!(0), &json!("17"))
    );
    let (rows, codes) = (&answer["data"]["list"], &answer["retExtInfo"]["list"]);
    assert_eq!(
        rows[1],
        json!({"category": "", "symbol": "", "orderId": "", "orderLinkId": "", "createAt": ""})
    );
    assert_eq!(
        (&rows[2]["orderLinkId"], &codes[0], &codes[1]["code"]),
        (
            &json!("b3"),
            &json!({"code": 0, "msg": "OK"}),
            &json!(170136)
        )
    );
    let cancel = json!({"category": "spot", "request": [
        {"symbol": "BTCUSDT", "orderLinkId": "b1"}, {"symbol": "BTCUSDT", "orderLinkId": "b2"}]});
    let answer = op(&mut rig, trade, "order.cancel-batch", cancel);
    assert_eq!(answer["retExtInfo"]["list"][1]["code"], 170213);
    assert_eq!(fates(&mut rig, private).len(), 3);
    let many: Vec<Value> = (0..11).map(|at| item(&format!("m{at}"), "0.001")).collect();
    let answer = op(
        &mut rig,
        trade,
        "order.create-batch",
        json!({"category": "spot", "request": many}),
    );
    assert_eq!(answer["retCode"], 10001, "ten on spot");
}

#[test]
fn lists_are_paged_and_a_named_order_is_found_whatever_became_of_it() {
    let mut rig = quiet();
    let (trade, _) = trader(&mut rig, &["order"]);
    for at in 0..7 {
        let answer = op(
            &mut rig,
            trade,
            "order.create",
            order("GTC", "Buy", "60000", &format!("o{at}")),
        );
        assert_eq!(answer["retCode"], 0);
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let target = format!("/v5/order/realtime?category=spot&openOnly=0&limit=3&cursor={cursor}");
        let result = rest(&mut rig, "GET", &target, "")["result"].clone();
        let rows = result["list"].as_array().unwrap().iter();
        names.extend(rows.map(|row| row["orderLinkId"].as_str().unwrap().to_owned()));
        cursor = result["nextPageCursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
        assert!(cursor.contains("%3A") && names.len() % 3 == 0);
    }
    assert_eq!(names, ["o6", "o5", "o4", "o3", "o2", "o1", "o0"]);
    op(&mut rig, trade, "order.cancel", named("spot", "o3"));
    let query = |rig: &mut Rig<Bybit>, path: &str, id: &str| {
        let target = format!("/v5/order/{path}?category=spot&symbol=BTCUSDT&orderLinkId={id}");
        rest(rig, "GET", &target, "")["result"]["list"]
            .as_array()
            .unwrap()
            .len()
    };
    let found = ["realtime", "history"]
        .map(|path| ["o3", "o4", "none"].map(|id| query(&mut rig, path, id)));
    assert_eq!(found, [[1, 1, 0], [1, 0, 0]]);
    let answer = rest(
        &mut rig,
        "POST",
        "/v5/order/cancel-all",
        r#"{"category":"spot","symbol":"BTCUSDT"}"#,
    );
    let result = &answer["result"];
    assert_eq!(
        (result["list"].as_array().unwrap().len(), &result["success"]),
        (6, &json!("1"))
    );
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 0);
}

#[test]
fn rest_places_amends_and_cancels_and_tells_its_pool_in_headers() {
    let mut rig = quiet();
    let body = order("GTC", "Buy", "60000", "r1").to_string();
    let request = signed(&rig, "POST", "/v5/order/create", &body);
    let response = rig.http(&request).unwrap();
    let header = |name: &str| {
        let found = response.headers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (header("X-Bapi-Limit"), header("X-Bapi-Limit-Status")),
        (Some("20"), Some("19"))
    );
    let answer: Value = serde_json::from_str(&response.body).unwrap();
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["retCode", "retMsg", "result", "retExtInfo", "time"]);
    assert_eq!(answer["result"]["orderLinkId"], "r1");
    let mut amend = named("spot", "r1");
    amend["price"] = json!("59999");
    for (path, body) in [("amend", amend), ("cancel", named("spot", "r1"))] {
        let answer = rest(
            &mut rig,
            "POST",
            &format!("/v5/order/{path}"),
            &body.to_string(),
        );
        assert_eq!(
            (&answer["retCode"], &answer["result"]["orderLinkId"]),
            (&json!(0), &json!("r1"))
        );
    }
    let wallet = rest(
        &mut rig,
        "GET",
        "/v5/account/wallet-balance?accountType=UNIFIED",
        "",
    );
    assert_eq!(wallet["result"]["list"][0]["accountType"], "UNIFIED");
    let rules = rig.get(
        "/v5/market/instruments-info",
        "category=spot&symbol=BTCUSDT",
    );
    let row = &rules["result"]["list"][0];
    assert_eq!(
        (
            &row["priceFilter"]["tickSize"],
            &row["lotSizeFilter"]["basePrecision"]
        ),
        (&json!("0.01"), &json!("0.000001"))
    );
    let rules = rig.get(
        "/v5/market/instruments-info",
        "category=linear&symbol=BTCUSDT",
    );
    let row = &rules["result"]["list"][0];
    assert_eq!(
        (
            &row["priceFilter"]["tickSize"],
            &row["lotSizeFilter"]["qtyStep"]
        ),
        (&json!("0.10"), &json!("0.001"))
    );
    assert_eq!(
        rig.get("/v5/market/instruments-info", "category=spot&symbol=X")["retCode"],
        10001
    );
}
