//! Orders over the trade socket: their lives, the private events in order, refusals, limits, faults.

use super::*;

/// State and event of each push about an order, in order.
fn story(pushes: &[Value]) -> Vec<String> {
    let is_order = |push: &&Value| push["ch"] == "orders#*";
    let word = |push: &Value| {
        let data = &push["data"];
        format!("{} {}", data["eventType"], data["orderStatus"]).replace('"', "")
    };
    pushes.iter().filter(is_order).map(word).collect()
}

/// Takes what is there of the other side at a price, by somebody else.
fn somebody_sells(rig: &mut Rig<Huobi>, price: i64, qty: i64) {
    let ask = crate::engine::NewOrder {
        account: crate::engine::MARKET,
        inst: 0,
        side: Side::Sell,
        price: Some(price),
        size: crate::engine::Size::Base(qty),
        tif: crate::engine::Tif::Ioc,
        post_only: crate::engine::PostOnly::No,
        client_id: "".into(),
        type_name: "",
        echo: "".into(),
    };
    let now = rig.now;
    rig.face.core().engine.place(now, ask).unwrap();
    rig.run(1);
}

#[test]
fn an_order_lives_and_its_pushes_say_so() {
    let mut rig = quiet();
    let (conn, user) = (login(&mut rig, "/ws/trade"), user(&mut rig));
    // The very text our connector sends.
    let text = r#"{"ch":"create-order","params":{"account-id":"992701","symbol":"btcusdt","type":"buy-limit-maker","amount":"0.001","price":"64999.8","source":"spot-api","client-order-id":"sl1z141z5"},"cid":"n1z141z5I1"}"#;
    let got = rig.send(conn, text);
    let id = got[0]["data"].as_str().unwrap().to_owned();
    assert_eq!(
        got[0].to_string(),
        format!("{{\"status\":\"ok\",\"data\":\"{id}\",\"cid\":\"n1z141z5I1\"}}")
    );
    let pushes = rig.take(user);
    let created = rig.now / MS;
    assert_eq!(
        pushes[0].to_string(),
        format!(
            "{{\"action\":\"push\",\"ch\":\"orders#*\",\"data\":{{\"orderSource\":\"spot-api\",\
             \"accountId\":992701,\"orderPrice\":\"64999.8\",\"orderSize\":\"0.001\",\
             \"orderCreateTime\":{created},\"symbol\":\"btcusdt\",\"eventType\":\"creation\",\
             \"type\":\"buy-limit-maker\",\"orderId\":{id},\"clientOrderId\":\"sl1z141z5\",\
             \"orderStatus\":\"submitted\"}}}}"
        )
    );
    assert_eq!(pushes[1]["ch"], "accounts.update#2");
    assert_eq!(
        pushes[1]["data"].to_string(),
        format!(
            "{{\"currency\":\"usdt\",\"accountId\":992701,\"balance\":\"1000000\",\
             \"available\":\"999935.0002\",\"changeType\":\"order.place\",\"accountType\":\"trade\",\
             \"changeTime\":{created},\"seqNum\":2}}"
        )
    );
    somebody_sells(&mut rig, 6_499_980, 400);
    let pushes = rig.take(user);
    assert_eq!(story(&pushes), ["trade partial-filled"]);
    let data = &pushes[0]["data"];
    let keys: Vec<&str> = data
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys.join(","),
        "tradePrice,tradeVolume,tradeId,tradeTime,aggressor,remainAmt,execAmt,orderId,type,\
         clientOrderId,orderSource,orderPrice,orderSize,orderStatus,symbol,eventType"
    );
    assert_eq!(
        (&data["remainAmt"], &data["execAmt"], &data["aggressor"]),
        (&json!("0.0006"), &json!("0.0004"), &json!(false))
    );
    let clearing = &pushes[1];
    assert!(clearing.get("action").is_none() && clearing["ch"] == "trade.clearing#btcusdt#1");
    assert_eq!(
        (
            &clearing["data"]["transactFee"],
            &clearing["data"]["feeCurrency"]
        ),
        (&json!("0.0000008"), &json!("btc"))
    );
    assert_eq!(clearing["data"]["tradeId"], data["tradeId"]);
    let moved: Vec<&Value> = pushes[2..]
        .iter()
        .map(|push| &push["data"]["currency"])
        .collect();
    assert_eq!(moved, [&json!("btc"), &json!("usdt")]);

    let cancel =
        format!("{{\"ch\":\"cancel\",\"params\":{{\"order-ids\":[\"{id}\"]}},\"cid\":\"c1\"}}");
    let answer = format!(
        "{{\"status\":\"ok\",\"data\":{{\"success\":[\"{id}\"],\"failed\":[]}},\"cid\":\"c1\"}}"
    );
    assert_eq!(rig.send(conn, &cancel)[0].to_string(), answer);
    let pushes = rig.take(user);
    assert_eq!(story(&pushes), ["cancellation partial-canceled"]);
    assert_eq!(pushes[1]["data"]["eventType"], "cancellation");
    assert_eq!(pushes[2]["data"]["changeType"], "order.cancel");
    let again = rig.send(conn, &cancel).remove(0);
    assert_eq!(
        again["data"]["failed"][0].to_string(),
        format!(
            "{{\"err-msg\":\"the order state is error\",\"order-state\":5,\"order-id\":\"{id}\",\
             \"err-code\":\"order-orderstate-error\",\"client-order-id\":\"sl1z141z5\"}}"
        )
    );
}

#[test]
fn kinds_of_orders_end_as_they_should() {
    for (kind, price, expected) in [
        ("buy-limit", "64000", vec!["creation submitted"]),
        (
            "buy-limit-maker",
            "66000",
            vec!["creation submitted", "cancellation canceled"],
        ),
        (
            "buy-ioc",
            "64000",
            vec!["creation submitted", "cancellation canceled"],
        ),
        (
            "buy-ioc",
            "66000",
            vec!["creation submitted", "trade filled"],
        ),
        (
            "sell-limit-fok",
            "66000",
            vec!["creation submitted", "cancellation canceled"],
        ),
        (
            "sell-limit-fok",
            "64000",
            vec!["creation submitted", "trade filled"],
        ),
    ] {
        let mut rig = quiet();
        let (conn, user) = (login(&mut rig, "/ws/trade"), user(&mut rig));
        assert_eq!(place(&mut rig, conn, kind, price, "a")["status"], "ok");
        let pushes = rig.take(user);
        assert_eq!(story(&pushes), expected, "{kind} {price}");
        for push in pushes
            .iter()
            .filter(|push| push["data"]["eventType"] == "cancellation")
        {
            assert_eq!(push["data"].get("execAmt").unwrap_or(&json!("0")), "0");
        }
    }
}

#[test]
fn a_market_buy_counts_in_the_quote_asset() {
    let mut rig = quiet();
    let (conn, user) = (login(&mut rig, "/ws/trade"), user(&mut rig));
    let mut buy = order("buy-market", "", "m");
    buy["amount"] = json!("100");
    trade(&mut rig, conn, "create-order", buy);
    let pushes = rig.take(user);
    let last = pushes
        .iter()
        .rfind(|push| push["ch"] == "orders#*")
        .unwrap();
    let data = &last["data"];
    assert_eq!(
        (&data["orderValue"], &data["orderStatus"]),
        (&json!("100"), &json!("filled"))
    );
    assert!(data.get("orderSize").is_none() && data.get("orderPrice").is_none());
    let number = |name: &str| data[name].as_str().unwrap().parse::<f64>().unwrap();
    assert!((number("execAmt") + number("remainAmt") - 100.0).abs() < 1e-9);
    assert!(
        number("remainAmt") < 0.07,
        "less than the smallest lot is worth"
    );
}

#[test]
fn refusals_have_the_venues_words() {
    let mut rig = quiet();
    let conn = login(&mut rig, "/ws/trade");
    for (name, value, word) in [
        ("account-id", "1", "account-get-accounts-inexistent-error"),
        ("symbol", "linkusdt", "base-symbol-error"),
        ("type", "buy-stop-limit", "order-type-invalid"),
        ("source", "margin-api", "order-source-invalid"),
        ("client-order-id", "a b", "invalid-client-order-id"),
        ("price", "64000.001", "order-orderprice-precision-error"),
        ("price", "x", "order-invalid-price"),
        ("price", "-1", "order-invalid-price"),
        ("price", "71500.01", "order-limitorder-price-max-error"),
        ("amount", "0.0000001", "order-orderamount-precision-error"),
        ("amount", "0.000001", "order-limitorder-amount-min-error"),
        ("amount", "0.00002", "order-value-min-error"),
        ("amount", "9001", "order-limitorder-amount-max-error"),
        ("amount", "x", "invalid-amount"),
        ("amount", "900", "account-frozen-balance-insufficient-error"),
    ] {
        let mut bad = order("buy-limit", "64000", "x");
        bad[name] = json!(value);
        let got = trade(&mut rig, conn, "create-order", bad).remove(0);
        assert_eq!(
            (&got["err-code"], &got["cid"]),
            (&json!(word), &json!("c-1")),
            "{name}={value}"
        );
    }
    let low = place(&mut rig, conn, "sell-limit", "58499.99", "x");
    assert_eq!(low["err-code"], "order-limitorder-price-min-error");
    assert_eq!(
        trade(&mut rig, conn, "nothing", json!({}))[0]["err-code"],
        "bad-request"
    );
    let stranger = rig.open("/ws/trade", "");
    let got = place(&mut rig, stranger, "buy-limit", "64000", "x");
    assert_eq!(got["err-code"], "api-signature-not-valid");
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 0);
}

#[test]
fn a_client_id_is_taken_again_and_names_the_newest_for_a_while() {
    let mut rig = quiet();
    let conn = login(&mut rig, "/ws/trade");
    let first = place(&mut rig, conn, "buy-limit", "64000", "twice");
    let second = place(&mut rig, conn, "buy-limit", "64001", "twice");
    assert_ne!(first["data"], second["data"]);
    let one = json!({"client-order-ids": ["twice"]});
    assert_eq!(
        trade(&mut rig, conn, "cancel", one.clone())[0]["data"]["success"],
        json!(["twice"])
    );
    let found = |rig: &mut Rig<Huobi>, id: &str| {
        let path = "/v1/order/orders/getClientOrder";
        ask(rig, "GET", path, &format!("clientOrderId={id}"), "")
    };
    let data = found(&mut rig, "twice")["data"].clone();
    assert_eq!(
        (data["id"].to_string(), &data["state"]),
        (second["data"].as_str().unwrap().into(), &json!("canceled"))
    );
    place(&mut rig, conn, "buy-limit", "64000", "open");
    rig.now += 2 * 3_600_000 * MS;
    rig.face.step(rig.now);
    assert_eq!(
        found(&mut rig, "twice")["err-code"],
        "base-record-invalid",
        "final, for 2 h"
    );
    assert_eq!(
        found(&mut rig, "open")["data"]["state"],
        "submitted",
        "open, for 8 h"
    );
}

#[test]
fn several_are_placed_and_cancelled_each_for_itself() {
    let mut rig = quiet();
    let conn = login(&mut rig, "/ws/trade");
    let orders = json!([
        order("buy-limit", "64000", "b1"),
        order("buy-limit", "0.001", "b2"),
        order("sell-limit", "66000", "b3"),
    ]);
    let rows = trade(&mut rig, conn, "create-batchorder", orders)[0]["data"].clone();
    assert_eq!(rows[0]["client-order-id"], "b1");
    assert_eq!(rows[1]["err-code"], "order-orderprice-precision-error");
    let many = json!({"client-order-ids": ["b1", "nobody"]});
    let data = trade(&mut rig, conn, "cancel", many)[0]["data"].clone();
    assert_eq!(
        data.to_string(),
        r#"{"success":["b1"],"failed":[{"err-msg":"record invalid","order-state":-1,"order-id":"","err-code":"base-record-invalid","client-order-id":"nobody"}]}"#
    );
    for at in 0..4 {
        place(&mut rig, conn, "buy-limit", "64000", &format!("r{at}"));
    }
    let some = json!({"account-id": ACCOUNT, "symbol": "btcusdt", "side": "buy", "size": 3});
    let data = trade(&mut rig, conn, "cancelall", some)[0]["data"].clone();
    assert_eq!(data["success-count"], 3);
    assert!(data["next-id"].as_u64().unwrap() > 1_000_000);
    let rest = json!({"account-id": ACCOUNT});
    let data = trade(&mut rig, conn, "cancelall", rest)[0]["data"].clone();
    assert_eq!(
        data.to_string(),
        r#"{"success-count":2,"failed-count":0,"next-id":-1}"#
    );
}

#[test]
fn order_limits_are_the_documented_ones() {
    let mut rig = quiet();
    // One socket takes no more than fifty a second.
    let conns = [(); 3].map(|()| login(&mut rig, "/ws/trade"));
    rig.run(2_000);
    let mut placed = 0;
    for at in 0..104 {
        let got = place(
            &mut rig,
            conns[at % 3],
            "buy-limit",
            "64000",
            &format!("n{at}"),
        );
        placed += i32::from(got["status"] == "ok");
        let word = "base-request-exceed-frequency-limit";
        assert!(got["status"] == "ok" || got["err-code"] == word, "{got}");
    }
    assert_eq!(placed, 100);
    let limits = rig.face.stats()["limits"].clone();
    let place = |limit: &&Value| limit["name"] == "place of account 1";
    let place = limits.as_array().unwrap().iter().find(place).unwrap();
    assert_eq!(
        (&place["limit"], &place["highest"], &place["refused"]),
        (&json!(100), &json!(100), &json!(4))
    );
    let fast = rig_with(|config| config.rate_factor = 10);
    assert_eq!(fast.face.limits.factor(), 10);
}

#[test]
fn answers_obey_the_faults() {
    let mut rig = quiet();
    let (conn, user) = (login(&mut rig, "/ws/trade"), user(&mut rig));
    let try_one = |rig: &mut Rig<Huobi>, id: &str| place(rig, conn, "buy-limit", "64000", id);
    rig.fault("rate-limit");
    assert_eq!(
        try_one(&mut rig, "a")["err-code"],
        "base-request-exceed-frequency-limit"
    );
    rig.fault("reject, reject:code=4");
    assert_eq!(
        try_one(&mut rig, "b")["err-code"],
        "account-frozen-balance-insufficient-error"
    );
    assert_eq!(
        try_one(&mut rig, "c")["err-code"],
        "base-symbol-trade-disabled"
    );
    rig.fault("timeout:executed=false, timeout");
    assert_eq!(try_one(&mut rig, "d")["err-code"], "gateway-internal-error");
    assert_eq!(rig.take(user).len(), 0);
    assert_eq!(try_one(&mut rig, "e")["err-code"], "gateway-internal-error");
    assert_eq!(story(&rig.take(user)), ["creation submitted"]);
    rig.fault("lost-ack");
    assert_eq!(try_one(&mut rig, "f"), Value::Null);
    assert_eq!(story(&rig.take(user)), ["creation submitted"]);
    rig.fault("slow-ack:ms=300");
    assert_eq!(try_one(&mut rig, "g"), Value::Null);
    assert_eq!(story(&rig.take(user)), ["creation submitted"]);
    rig.take(conn);
    rig.run(310);
    assert_eq!(rig.take(conn)[0]["status"], "ok");
    rig.fault("stream-after-reply:ms=300");
    assert_eq!(try_one(&mut rig, "h")["status"], "ok");
    assert_eq!(rig.take(user).len(), 0);
    rig.run(310);
    assert_eq!(story(&rig.take(user)), ["creation submitted"]);
    let counts = rig.face.core().record.counts();
    assert_eq!(
        (&counts["refused"], &counts["orders"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(counts["requests"]["new"], 8);
}

/// The answer and the push go over two connections: the order of the box is what is looked at.
#[test]
fn the_push_may_come_before_the_answer() {
    let mut rig = quiet();
    let conn = login(&mut rig, "/ws/trade");
    user(&mut rig);
    let text =
        json!({"ch": "create-order", "params": order("buy-limit", "64000", "a")}).to_string();
    let mut first = |fault: &str| {
        rig.fault(fault);
        rig.face.text(conn, &text);
        let out = rig.face.core().take_out();
        matches!(out.first(), Some(crate::core::Out::Text(to, _)) if *to == conn)
    };
    assert!(first(""));
    assert!(!first("reply-after-stream"));
}

#[test]
fn a_fill_may_be_told_twice() {
    let mut rig = quiet();
    let (conn, user) = (login(&mut rig, "/ws/trade"), user(&mut rig));
    rig.fault("duplicate-fill");
    place(&mut rig, conn, "buy-ioc", "66000", "a");
    let pushes = rig.take(user);
    let fills = |ch: &str| {
        let is_fill = |push: &&Value| push["ch"] == ch && push["data"]["eventType"] == "trade";
        pushes.iter().filter(is_fill).cloned().collect::<Vec<_>>()
    };
    for ch in ["orders#*", "trade.clearing#btcusdt#1"] {
        let fills = fills(ch);
        assert_eq!((fills.len(), &fills[0]), (2, &fills[1]), "{ch}");
    }
}
