use super::*;
use crate::engine::{NewOrder, PostOnly, Side, Size, Tif};

fn data(pushes: &[Value], kind: &str) -> Value {
    let found = pushes.iter().find(|push| push["data"]["type"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {pushes:?}"))["data"].clone()
}

fn balances(pushes: &[Value]) -> Vec<&Value> {
    let of = |push: &&Value| push["topic"] == "/account/balance";
    pushes.iter().filter(of).map(|push| &push["data"]).collect()
}

#[test]
fn an_order_lives_and_its_pushes_say_so() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    let window = format!(
        "\"timeInForce\":\"GTC\",\"postOnly\":true,\"allowMaxTimeWindow\":500,\"clientTimestamp\":{}",
        rig.now / MS
    );
    let answer = rig.send(entry, &order("a1", "buy", "64000.5", "0.001", &window))[0].clone();
    let id = answer["data"]["orderId"].as_str().unwrap().to_owned();
    assert_eq!(
        (&answer["id"], &answer["op"]),
        (&json!("na1I1"), &json!("spot.order"))
    );
    assert_eq!((&answer["code"], id.len()), (&json!("200000"), 24));
    assert_eq!(answer["data"]["clientOid"], "sl-a1");
    assert_eq!(answer["rateLimit"]["limit"], 4_000);
    let pushes = rig.take(user);
    assert_eq!(words(&pushes), ["received new", "open open"]);
    assert_eq!(
        (&pushes[0]["channelType"], &pushes[0]["topic"]),
        (&json!("private"), &json!("/spotMarket/tradeOrdersV2"))
    );
    let open = data(&pushes, "open");
    for (name, value) in [
        ("orderId", id.as_str()),
        ("clientOid", "sl-a1"),
        ("price", "64000.5"),
        ("originSize", "0.001"),
        ("filledSize", "0"),
        ("remainSize", "0.001"),
        ("canceledSize", "0"),
        ("remainFunds", "64.0005"),
    ] {
        assert_eq!(open[name], value, "{name}");
    }
    let held = balances(&pushes);
    assert_eq!((&held[0]["currency"], held.len()), (&json!("USDT"), 1));
    assert_eq!(
        (&held[0]["hold"], &held[0]["availableChange"]),
        (&json!("64.0005"), &json!("-64.0005"))
    );
    assert_eq!(held[0]["relationEvent"], "trade_hf.hold");

    let again = place(&mut rig, entry, "a1", "buy", "64000");
    assert_eq!(
        (&again["code"], &again["msg"]),
        (&json!("400100"), &json!("clientOidDuplicated"))
    );
    let asked = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/orders/client-order/sl-a1?symbol=BTC-USDT",
        "",
    );
    let row = &asked["data"];
    assert_eq!((&row["id"], &row["active"]), (&json!(id), &json!(true)));
    assert_eq!(
        (&row["stp"], &row["postOnly"], &row["timeInForce"]),
        (&json!("CN"), &json!(true), &json!("GTC"))
    );

    assert_eq!(
        cancel(&mut rig, entry, "a1")["data"],
        json!({"orderId": id})
    );
    let pushes = rig.take(user);
    assert_eq!(words(&pushes), ["canceled done"]);
    assert_eq!(data(&pushes, "canceled")["canceledSize"], "0.001");
    assert_eq!(balances(&pushes)[0]["relationEvent"], "trade_hf.release");
    let gone = cancel(&mut rig, entry, "a1");
    assert_eq!(
        (&gone["code"], &gone["msg"]),
        (
            &json!("400100"),
            &json!("order_not_exist_or_not_allow_to_cancel")
        )
    );
    let reused = place(&mut rig, entry, "a1", "buy", "64000");
    assert_eq!(
        reused["code"], "200000",
        "an id whose order is over may be used again"
    );
}

#[test]
fn a_taker_and_a_maker_are_told_apart() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    rig.send(entry, &order("t", "buy", "65010", "0.001", GTC));
    let pushes = rig.take(user);
    let said = words(&pushes);
    let fills = said.iter().filter(|word| *word == "match match").count();
    assert_eq!(
        (
            said.first().unwrap().as_str(),
            said.last().unwrap().as_str()
        ),
        ("received new", "filled done")
    );
    assert_eq!((fills + 2, fills > 0), (said.len(), true));
    let fill = data(&pushes, "match");
    assert_eq!(
        (&fill["liquidity"], &fill["feeType"]),
        (&json!("taker"), &json!("takerFee"))
    );
    assert_eq!(data(&pushes, "filled")["remainSize"], "0");
    let currencies: Vec<&Value> = balances(&pushes)
        .iter()
        .map(|row| &row["currency"])
        .collect();
    assert_eq!(currencies, ["BTC", "USDT"]);

    // A quote inside the others' spread, then somebody who takes part of it.
    let best = rig.face.core().engine.book(0).best(Side::Buy).unwrap().0;
    let inside = format!("{}.{}", (best + 1) / 10, (best + 1) % 10);
    place(&mut rig, entry, "m", "buy", &inside);
    rig.take(user);
    let ask = NewOrder {
        account: 0,
        inst: 0,
        side: Side::Sell,
        price: None,
        size: Size::Base(40_000),
        tif: Tif::Ioc,
        post_only: PostOnly::No,
        client_id: "".into(),
        type_name: "",
        echo: "".into(),
    };
    let now = rig.now;
    rig.face.core().engine.place(now, ask).unwrap();
    rig.run(10);
    let pushes = rig.take(user);
    assert_eq!(words(&pushes), ["match open"]);
    let fill = data(&pushes, "match");
    assert_eq!(
        (&fill["liquidity"], &fill["matchSize"]),
        (&json!("maker"), &json!("0.0004"))
    );
    assert_eq!(
        (&fill["filledSize"], &fill["remainSize"]),
        (&json!("0.0004"), &json!("0.0006"))
    );
    let listed = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/fills?symbol=BTC-USDT&limit=1",
        "",
    );
    let row = &listed["data"]["items"][0];
    assert_eq!(
        row["tradeId"].to_string(),
        fill["tradeId"].as_str().unwrap()
    );
    assert_eq!(
        (&row["liquidity"], &row["feeCurrency"]),
        (&json!("maker"), &json!("USDT"))
    );
    let last = listed["data"]["lastId"].as_u64().unwrap();
    assert_eq!(row["id"].as_u64(), Some(last));
    let target = format!("/api/v1/hf/fills?symbol=BTC-USDT&lastId={last}");
    let before = rest(&mut rig, "GET", &target, "");
    assert_eq!(before["data"]["items"].as_array().unwrap().len(), fills);
}

#[test]
fn terms_end_orders_as_they_say() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    let post = "\"timeInForce\":\"GTC\",\"postOnly\":true";
    for (id, price, size, terms, expected) in [
        (
            "p",
            "66000",
            "0.001",
            post,
            vec!["received new", "canceled done"],
        ),
        (
            "i",
            "64000",
            "0.001",
            "\"timeInForce\":\"IOC\"",
            vec!["received new", "canceled done"],
        ),
        (
            "f",
            "65001",
            "9",
            "\"timeInForce\":\"FOK\"",
            vec!["received new", "canceled done"],
        ),
        (
            "q",
            "66000",
            "0.00001",
            "\"timeInForce\":\"IOC\",\"postOnly\":true",
            vec![],
        ),
    ] {
        let answer = rig.send(entry, &order(id, "buy", price, size, terms))[0].clone();
        let pushes = rig.take(user);
        if expected.is_empty() {
            assert_eq!(answer["code"], "600101", "too little money: {answer}");
        } else {
            assert_eq!(answer["code"], "200000");
            assert_eq!(words(&pushes), expected, "{id}");
        }
    }
    let terms = "\"timeInForce\":\"IOC\",\"postOnly\":true";
    rig.send(entry, &order("r", "buy", "66000", "0.001", terms));
    assert_eq!(
        words(&rig.take(user)).last().unwrap(),
        "filled done",
        "post-only counts for orders that rest"
    );
    rig.send(entry, &order("s", "sell", "66000", "0.001", GTC));
    rig.take(user);
    rig.send(entry, &order("b", "buy", "66000", "1", GTC));
    let said = words(&rig.take(user));
    assert_eq!(
        (said[1].as_str(), said.last().unwrap().as_str()),
        ("match match", "canceled done"),
        "met our own"
    );
}

#[test]
fn market_orders_take_by_size_and_by_funds() {
    let mut rig = quiet();
    let (_, user) = trader(&mut rig);
    for (side, amount) in [("sell", "\"size\":\"0.001\""), ("buy", "\"funds\":\"100\"")] {
        let body = format!(r#"{{"symbol":"BTC-USDT","side":"{side}","type":"market",{amount}}}"#);
        let answer = rest(&mut rig, "POST", "/api/v1/hf/orders", &body);
        let pushes = rig.take(user);
        assert_eq!(words(&pushes).last().unwrap(), "filled done", "{side}");
        assert!(data(&pushes, "received").get("price").is_none());
        let id = answer["data"]["orderId"].as_str().unwrap();
        let target = format!("/api/v1/hf/orders/{id}?symbol=BTC-USDT");
        let row = rest(&mut rig, "GET", &target, "")["data"].clone();
        assert_eq!(
            (&row["active"], &row["cancelExist"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(
            (&row["type"], &row["price"]),
            (&json!("market"), &json!("0"))
        );
        let (size, funds) = if side == "buy" {
            ("0", "100")
        } else {
            ("0.001", "0")
        };
        assert_eq!((&row["size"], &row["funds"]), (&json!(size), &json!(funds)));
        assert_ne!(row["dealSize"], "0");
    }
}

#[test]
fn an_altered_order_is_another_and_a_part_may_be_canceled() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    let first = place(&mut rig, entry, "a", "buy", "64000")["data"]["orderId"].clone();
    rig.take(user);
    let modify = r#"{"id":"m1","op":"spot.modify","args":{"symbol":"BTC-USDT","clientOid":"sl-a","newPrice":"64001","newSize":"0.002"}}"#;
    let second = rig.send(entry, modify)[0]["data"]["newOrderId"].clone();
    let pushes = rig.take(user);
    assert_eq!(
        words(&pushes),
        ["canceled done", "received new", "open open"]
    );
    assert_ne!(first, second);
    assert_eq!(data(&pushes, "open")["orderId"], second);
    let target = format!(
        "/api/v1/hf/orders/cancel/{}?symbol=BTC-USDT&cancelSize=0.0005",
        second.as_str().unwrap()
    );
    let part = rest(&mut rig, "DELETE", &target, "");
    assert_eq!(
        part["data"],
        json!({"orderId": second, "cancelSize": "0.0005"})
    );
    let pushes = rig.take(user);
    assert_eq!(words(&pushes), ["update open"]);
    let update = data(&pushes, "update");
    assert_eq!(
        (&update["size"], &update["oldSize"], &update["originSize"]),
        (&json!("0.0015"), &json!("0.002"), &json!("0.002"))
    );
    let body = r#"{"symbol":"BTC-USDT","clientOid":"sl-a","newPrice":"64002"}"#;
    let third = rest(&mut rig, "POST", "/api/v1/hf/orders/alter", body);
    let active = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/orders/active?symbol=BTC-USDT",
        "",
    );
    assert_eq!(active["data"].as_array().unwrap().len(), 1);
    assert_eq!(active["data"][0]["id"], third["data"]["newOrderId"]);
    assert_eq!(active["data"][0]["size"], "0.0015");
    let same = rest(&mut rig, "POST", "/api/v1/hf/orders/alter", body);
    assert_eq!(same["code"], "400100");
}

/// However many they are, they weigh as one; each is recorded, and so is the request.
#[test]
fn orders_that_come_together_weigh_one_and_come_signed() {
    let mut rig = quiet();
    let target = "/api/v1/hf/orders/multi";
    let order = |id: String| {
        json!({"clientOid": id, "symbol": "BTC-USDT", "side": "buy", "type": "limit",
            "price": "64000", "size": "0.01"})
    };
    let body = |name: &str, count: usize| {
        let orders: Vec<Value> = (0..count).map(|n| order(format!("{name}{n}"))).collect();
        json!({"orderList": orders}).to_string()
    };
    let left = |rig: &mut Rig<Kucoin>, body: &str| {
        let request = signed(rig, "POST", target, body);
        let answer = rig.http(&request).expect("an answer");
        let found = answer
            .headers
            .iter()
            .find(|(name, _)| *name == "gw-ratelimit-remaining");
        found.unwrap().1.parse::<u32>().unwrap()
    };
    let before = left(&mut rig, &body("a", 20));
    assert_eq!(left(&mut rig, &body("b", 2)), before - 1);
    let counts = rig.face.core().record.counts();
    let requests = &counts["requests"];
    assert_eq!(
        (&requests["new_batch"], &requests["new"]),
        (&json!(2), &json!(22))
    );
    for count in [0, 21] {
        let answer = rest(&mut rig, "POST", target, &body("c", count));
        assert_eq!(answer["code"], "400100");
    }
    let mut forged = signed(&rig, "POST", target, &body("d", 2));
    forged.body = forged.body.replace("64000", "64001");
    let answer = rig.http(&forged).expect("an answer");
    assert!(answer.body.contains("400005"), "{}", answer.body);
    assert_eq!(rig.face.core().record.counts()["orders"], 22);
}

#[test]
fn rest_places_lists_and_cancels() {
    let mut rig = quiet();
    let body = |id: &str, symbol: &str, price: &str| {
        json!({"clientOid": id, "symbol": symbol, "side": "buy", "type": "limit", "price": price,
            "size": "0.01", "remark": "r", "tags": "t"})
    };
    let one = body("a", "BTC-USDT", "64000").to_string();
    let tested = rest(&mut rig, "POST", "/api/v1/hf/orders/test", &one);
    assert_eq!(tested["data"]["clientOid"], "a");
    let a = rest(&mut rig, "POST", "/api/v1/hf/orders", &one)["data"]["orderId"].clone();
    let sync = body("b", "BTC-USDT", "64000").to_string();
    let b = rest(&mut rig, "POST", "/api/v1/hf/orders/sync", &sync);
    assert_eq!(
        (&b["data"]["status"], &b["data"]["remainSize"]),
        (&json!("open"), &json!("0.01"))
    );
    let batch = json!({"orderList": [
        body("c", "ETH-USDT", "3100"), body("d", "ETH-USDT", "3100.001"), body("e", "ETH-USDT", "3100")
    ]});
    let rows = rest(
        &mut rig,
        "POST",
        "/api/v1/hf/orders/multi",
        &batch.to_string(),
    )["data"]
        .clone();
    let successes: Vec<&Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["success"])
        .collect();
    assert_eq!(successes, [true, false, true]);
    assert_eq!(rows[1]["failMsg"], "Price increment invalid.");
    let active = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/orders/active?symbol=BTC-USDT",
        "",
    );
    let names: Vec<&Value> = active["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["clientOid"])
        .collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(
        (&active["data"][0]["remark"], &active["data"][0]["tags"]),
        (&json!("r"), &json!("t"))
    );
    let symbols = rest(&mut rig, "GET", "/api/v1/hf/orders/active/symbols", "");
    assert_eq!(symbols["data"]["symbols"], json!(["BTC-USDT", "ETH-USDT"]));
    let held = rest(
        &mut rig,
        "GET",
        "/api/v1/accounts?type=trade&currency=USDT",
        "",
    );
    assert_eq!(
        (&held["data"][0]["holds"], &held["data"][0]["available"]),
        (&json!("1342"), &json!("998658"))
    );

    let target = format!("/api/v1/hf/orders/{}?symbol=BTC-USDT", a.as_str().unwrap());
    let wrong = rest(&mut rig, "DELETE", &target.replace("BTC", "ETH"), "");
    assert_eq!(wrong["code"], "400100");
    assert_eq!(
        rest(&mut rig, "DELETE", &target, "")["data"],
        json!({"orderId": a})
    );
    let by_name = "/api/v1/hf/orders/client-order/b?symbol=BTC-USDT";
    assert_eq!(
        rest(&mut rig, "DELETE", by_name, "")["data"],
        json!({"clientOid": "b"})
    );
    let gone = rest(&mut rig, "DELETE", by_name, "");
    assert_eq!(gone["msg"], "order_not_exist_or_not_allow_to_cancel");
    let by_sync = "/api/v1/hf/orders/sync/client-order/c?symbol=ETH-USDT";
    let canceled = rest(&mut rig, "DELETE", by_sync, "");
    assert_eq!(
        (
            &canceled["data"]["status"],
            &canceled["data"]["canceledSize"]
        ),
        (&json!("done"), &json!("0.01"))
    );
    let all = rest(&mut rig, "DELETE", "/api/v1/hf/orders?symbol=ETH-USDT", "");
    assert_eq!(all, json!({"code": "200000", "data": "success"}));
    rest(&mut rig, "POST", "/api/v1/hf/orders", &one);
    let every = rest(&mut rig, "DELETE", "/api/v1/hf/orders/cancelAll", "");
    assert_eq!(
        every["data"],
        json!({"succeedSymbols": ["BTC-USDT"], "failedSymbols": []})
    );
    let done = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/orders/done?symbol=BTC-USDT&limit=2",
        "",
    );
    let last = done["data"]["lastId"].as_u64().unwrap();
    let target = format!("/api/v1/hf/orders/done?symbol=BTC-USDT&limit=2&lastId={last}");
    let rest_of = rest(&mut rig, "GET", &target, "");
    let count = |page: &Value| page["data"]["items"].as_array().unwrap().len();
    assert_eq!((count(&done), count(&rest_of)), (2, 1));
    let unknown = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/orders/client-order/zz?symbol=BTC-USDT",
        "",
    );
    assert_eq!(
        (&unknown["code"], &unknown["msg"]),
        (&json!("400100"), &json!("order not exist"))
    );
}

#[test]
fn wrong_orders_are_refused_in_the_venue_s_words() {
    let mut rig = quiet();
    let entry = entry(&mut rig);
    for (name, value, code) in [
        ("symbol", json!("NO-SUCH"), "900001"),
        ("side", json!("up"), "400100"),
        ("type", json!("stop"), "400100"),
        ("clientOid", json!("a b"), "400100"),
        ("clientOid", json!("x".repeat(41)), "400100"),
        ("price", json!("64000.05"), "400100"),
        ("price", json!("90000"), "400100"),
        ("price", json!(null), "400100"),
        ("size", json!("0.000000001"), "600100"),
        ("size", json!("0.000001"), "400100"),
        ("size", json!("0.00002"), "600101"),
        ("size", json!("999999"), "400100"),
        ("size", json!("100"), "200004"),
        ("timeInForce", json!("GTT"), "400100"),
        ("stp", json!("XX"), "400100"),
        ("hidden", json!(true), "400100"),
        ("allowMaxTimeWindow", json!(500), "400002"),
    ] {
        let mut args = json!({"clientOid": "sl-x", "symbol": "BTC-USDT", "side": "buy", "type": "limit",
            "price": "64000", "size": "0.001", "clientTimestamp": rig.now / MS - 501});
        args[name] = value.clone();
        let text = json!({"id": "nxI1", "op": "spot.order", "args": args}).to_string();
        let answer = rig.send(entry, &text)[0].clone();
        assert_eq!(
            (&answer["id"], &answer["code"]),
            (&json!("nxI1"), &json!(code)),
            "{name}={value}"
        );
        assert!(answer.get("data").is_none());
    }
    for text in [
        "{",
        r#"{"id":"1","op":"futures.order","args":{}}"#,
        r#"{"id":"1","op":"spot.order"}"#,
        r#"{"id":1,"op":"spot.order","args":{}}"#,
        r#"{"id":"123456789012345678901234567890123","op":"spot.order","args":{}}"#,
    ] {
        let answer = rig.send(entry, text)[0].clone();
        assert_eq!(answer["code"], "4001002", "{text}");
        assert!(answer.get("id").is_none());
    }
    let refused = &rig.face.core().record.counts()["refused"];
    assert_eq!(refused, &json!(17));
}

#[test]
fn the_dead_man_s_switch_fires_once_for_what_it_names() {
    let mut rig = quiet();
    let (entry, user) = trader(&mut rig);
    place(&mut rig, entry, "a", "buy", "64000");
    let eth = r#"{"clientOid":"b","symbol":"ETH-USDT","side":"buy","type":"limit","price":"3100","size":"0.1"}"#;
    rest(&mut rig, "POST", "/api/v1/hf/orders", eth);
    let path = "/api/v1/hf/orders/dead-cancel-all";
    let query = "/api/v1/hf/orders/dead-cancel-all/query";
    assert_eq!(rest(&mut rig, "GET", query, "")["data"], json!({}));
    let body = r#"{"timeout":20,"symbols":"BTC-USDT"}"#;
    let s = rig.now / 1_000 / MS;
    let armed = rest(&mut rig, "POST", path, body);
    assert_eq!(
        armed["data"],
        json!({"currentTime": s, "triggerTime": s + 20})
    );
    rig.run(15_000);
    assert_eq!(
        rest(&mut rig, "POST", path, body)["data"]["triggerTime"],
        s + 35,
        "pushed back"
    );
    let told = rest(&mut rig, "GET", query, "")["data"].clone();
    assert_eq!(
        (&told["timeout"], &told["symbols"]),
        (&json!(20), &json!("BTC-USDT"))
    );
    rig.take(user);
    rig.run(19_900);
    assert!(rig.take(user).is_empty());
    rig.run(1_200);
    let pushes = rig.take(user);
    assert_eq!(
        (words(&pushes), &data(&pushes, "canceled")["clientOid"]),
        (vec!["canceled done".to_owned()], &json!("sl-a"))
    );
    assert_eq!(rest(&mut rig, "GET", query, "")["data"], json!({}));
    for (body, code) in [
        (r#"{"timeout":4,"symbols":""}"#, "400100"),
        (r#"{"timeout":86401}"#, "400100"),
        (r#"{"timeout":9,"symbols":"NO-SUCH"}"#, "900001"),
        (r#"{"timeout":9}"#, "200000"),
        (r#"{"timeout":-1}"#, "200000"),
    ] {
        assert_eq!(rest(&mut rig, "POST", path, body)["code"], code, "{body}");
    }
    rig.run(12_000);
    let open = rest(
        &mut rig,
        "GET",
        "/api/v1/hf/orders/active?symbol=ETH-USDT",
        "",
    );
    assert_eq!(
        open["data"].as_array().unwrap().len(),
        1,
        "the switch was taken back"
    );
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", name in "[a-z-]{0,20}") {
        let mut rig = quiet();
        let (entry, user) = trader(&mut rig);
        for conn in [entry, user] {
            rig.send(conn, &text);
            rig.send(conn, &json!({"id": name, "type": "subscribe", "topic": text}).to_string());
        }
        for op in ["spot.order", "spot.cancel", "spot.modify", "ping", name.as_str()] {
            let args = json!({"symbol": "BTC-USDT", "clientOid": name, "orderId": text, "price": text,
                "size": text, "newSize": text, "newPrice": text, "side": "buy", "funds": text,
                "clientTimestamp": text});
            rig.send(entry, &json!({"id": name, "op": op, "args": args}).to_string());
        }
        for path in ["/api/v1/hf/orders", "/api/v1/hf/orders/multi", "/api/v1/hf/orders/dead-cancel-all"] {
            let request = signed(&rig, "POST", path, &text);
            proptest::prop_assert!(rig.http(&request).is_some());
        }
        for path in ["/api/v1/hf/fills", "/api/v1/hf/orders/done", "/api/v1/market/stats"] {
            let mut request = signed(&rig, "GET", &format!("{path}?symbol=BTC-USDT"), "");
            request.query = format!("symbol=BTC-USDT&lastId={text}&limit={text}");
            proptest::prop_assert!(rig.http(&request).is_some());
        }
        rig.open("/", &text);
        rig.open("/v1/private", &text);
        rig.run(300);
    }
}
