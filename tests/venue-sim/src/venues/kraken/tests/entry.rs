//! Orders and the private channels.

use super::*;
use crate::venues::rig::MS;

#[test]
fn an_order_lives_and_its_messages_say_so() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    let got = method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000.0", "0.001", "a1"),
    );
    let text = &rig.inbox[&me.0][0];
    assert!(
        text.starts_with(
            r#"{"method":"add_order","req_id":7,"result":{"cl_ord_id":"a1","order_id":"O"#
        ),
        "{text}"
    );
    assert_eq!(types(&got[1..]), ["pending_new", "new"]);
    let text = &rig.inbox[&me.0][1];
    let id = got[0]["result"]["order_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        *text,
        format!(
            "{{\"channel\":\"executions\",\"type\":\"update\",\"data\":[{{\"order_id\":\"{id}\",\
             \"symbol\":\"BTC/USDT\",\"order_qty\":0.00100000,\"cum_cost\":0.00000,\
             \"time_in_force\":\"GTC\",\"exec_type\":\"pending_new\",\"side\":\"buy\",\
             \"order_type\":\"limit\",\"cl_ord_id\":\"a1\",\"limit_price_type\":\"static\",\
             \"limit_price\":60000.0,\"stop_price\":0.0,\"order_status\":\"pending_new\",\
             \"fee_usd_equiv\":0.00000,\"fee_ccy_pref\":\"fciq\",\
             \"timestamp\":\"2026-11-21T00:00:00.000000Z\"}}],\"sequence\":2}}"
        )
    );
    let again = method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "a1"),
    );
    assert_eq!(
        again[0]["error"],
        "EGeneral:Invalid arguments:cl_ord_id not unique"
    );
    let amend = json!({"cl_ord_id": "a1", "order_qty": 0.002, "limit_price": 60001});
    let got = method(&mut rig, &me, "amend_order", amend.clone());
    assert_eq!(got[0]["result"]["cl_ord_id"], "a1");
    assert!(
        got[0]["result"]["amend_id"]
            .as_str()
            .expect("an id")
            .starts_with('T')
    );
    let row = &rows(&got[1..], "executions")[0];
    assert_eq!(
        (
            row["exec_type"].as_str(),
            row["order_qty"].to_string(),
            row["limit_price"].to_string()
        ),
        (Some("amended"), "0.00200000".into(), "60001.0".into())
    );
    let got = method(&mut rig, &me, "amend_order", amend);
    assert_eq!(got[0]["success"], false, "nothing to change");
    let got = method(&mut rig, &me, "cancel_order", json!({"cl_ord_id": ["a1"]}));
    assert_eq!(got[0]["result"], json!({"cl_ord_id": "a1", "order_id": id}));
    let row = &rows(&got[1..], "executions")[0];
    assert_eq!(
        (&row["order_status"], &row["reason"]),
        (&json!("canceled"), &json!("User requested"))
    );
    for (name, error) in [
        ("a1", "EOrder:Unknown order"),
        ("never", "EOrder:Unknown order"),
    ] {
        let got = method(&mut rig, &me, "cancel_order", json!({"cl_ord_id": [name]}));
        assert_eq!((&got[0]["error"], got.len()), (&json!(error), 1));
    }
    let got = method(
        &mut rig,
        &me,
        "cancel_order",
        json!({"order_id": ["OZZZZZ-ZZZZZ-ZZZZZZ"]}),
    );
    assert_eq!(got[0]["error"], "EOrder:Invalid order", "never made");
}

/// Fills with their fees and balances; the money of the messages is the ledger's.
#[test]
fn fills_are_told_one_by_one_with_their_balances() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    let mut order = limit("buy", "70000.0", "0.03", "f1");
    order["time_in_force"] = json!("ioc");
    let got = method(&mut rig, &me, "add_order", order);
    let told = types(&got[1..]);
    let trades = told.iter().filter(|kind| *kind == "trade").count();
    assert!(trades > 1, "{told:?}");
    assert_eq!(
        (told[0].as_str(), told.last().map(String::as_str)),
        ("pending_new", Some("filled"))
    );
    let (fills, entries) = (rows(&got[1..], "executions"), rows(&got[1..], "balances"));
    let fills: Vec<&Value> = fills
        .iter()
        .filter(|row| row["exec_type"] == "trade")
        .collect();
    assert_eq!(entries.len(), 2 * trades);
    let first = fills[0];
    assert_eq!(
        (
            &first["liquidity_ind"],
            &first["order_status"],
            &first["fees"][0]["asset"]
        ),
        (&json!("t"), &json!("partially_filled"), &json!("USDT"))
    );
    assert_eq!(
        (&entries[1]["asset"], &entries[1]["ref_id"]),
        (&json!("USDT"), &first["exec_id"])
    );
    let wanted = rest(&mut rig, "Balance", "")["result"].clone();
    let last = |asset: &str| {
        let mut mine = entries.iter().filter(|entry| entry["asset"] == asset);
        mine.next_back().expect("an entry")["balance"].to_string()
    };
    assert_eq!(wanted["XXBT"], last("BTC"));
    assert_eq!(wanted["USDT"], last("USDT"));
    let history = rest(&mut rig, "TradesHistory", "&start=1")["result"].clone();
    assert_eq!(history["count"], trades);
    let listed = &history["trades"][first["exec_id"].as_str().expect("an id")];
    assert_eq!(
        (&listed["pair"], &listed["trade_id"], &listed["maker"]),
        (&json!("XBTUSDT"), &first["trade_id"], &json!(false))
    );
    let ids = format!(
        "&txid={}&trades=true",
        first["order_id"].as_str().expect("an id")
    );
    let whole = rest(&mut rig, "QueryOrders", &ids)["result"].clone();
    let whole = whole
        .as_object()
        .expect("orders")
        .values()
        .next()
        .expect("one");
    assert_eq!(
        (&whole["status"], &whole["vol_exec"]),
        (&json!("closed"), &json!("0.03000000"))
    );
    let trades: Vec<&str> = whole["trades"]
        .as_array()
        .expect("ids")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let named = rest(
        &mut rig,
        "QueryTrades",
        &format!("&txid={}", trades.join("%2C")),
    );
    assert_eq!(
        named["result"].as_object().map(serde_json::Map::len),
        Some(trades.len())
    );
}

#[test]
fn orders_that_must_not_rest_or_take() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    let mut ask = |change: Value, price: &str, id: &str| {
        let mut order = limit("buy", price, "0.001", id);
        for (key, value) in change.as_object().expect("fields") {
            order[key.as_str()] = value.clone();
        }
        let got = method(&mut rig, &me, "add_order", order);
        assert_eq!(got[0]["success"], true, "{got:?}");
        let last = rows(&got[1..], "executions").pop().expect("a row");
        (types(&got[1..]), last["reason"].clone())
    };
    let (told, reason) = ask(json!({"post_only": true}), "70000", "p1");
    assert_eq!(
        (told.join(" "), reason),
        ("pending_new new canceled".into(), json!("Post only order"))
    );
    let (told, _) = ask(json!({"post_only": true}), "60000", "p2");
    assert_eq!(told, ["pending_new", "new"]);
    let (told, _) = ask(json!({"time_in_force": "ioc"}), "60000", "i1");
    assert_eq!(told.last().map(String::as_str), Some("canceled"));
    let (told, reason) = ask(
        json!({"time_in_force": "fok", "order_qty": 10}),
        "66000",
        "k1",
    );
    assert_eq!((told.len(), reason), (3, json!("Fill or kill")));
    let mut market = limit("sell", "1", "0.001", "m1");
    market["order_type"] = json!("market");
    market
        .as_object_mut()
        .expect("fields")
        .remove("limit_price");
    let got = method(&mut rig, &me, "add_order", market);
    assert_eq!(types(&got[1..]).last().map(String::as_str), Some("filled"));
    let cash =
        json!({"order_type": "market", "side": "buy", "symbol": "BTC/USDT", "cash_order_qty": 100});
    let got = method(&mut rig, &me, "add_order", cash);
    assert_eq!(types(&got[1..]).last().map(String::as_str), Some("filled"));
    let cross = json!({"cl_ord_id": "p2", "limit_price": 70000, "post_only": true});
    let got = method(&mut rig, &me, "amend_order", cross);
    assert_eq!(
        (&got[0]["error"], got.len()),
        (&json!("EOrder:Post only order"), 1)
    );
    assert_eq!(
        rig.face.core().engine.open_orders(1).count(),
        1,
        "it stays as it was"
    );
}

#[test]
fn each_wrong_order_has_its_words() {
    let mut rig = rig_with(|config| {
        config.flow.ticks_per_s = 0;
        config.rate_factor = 10;
    });
    let me = trader(&mut rig);
    for (name, value, error) in [
        ("symbol", json!("FOO/USD"), "EQuery:Unknown asset pair"),
        ("side", json!("up"), "EGeneral:Invalid arguments:side"),
        (
            "order_type",
            json!("iceberg"),
            "EGeneral:Invalid arguments:order_type",
        ),
        (
            "order_qty",
            json!("0.001"),
            "Order_qty field must be a number_float",
        ),
        (
            "order_qty",
            json!(0.00001),
            "EGeneral:Invalid arguments:volume minimum not met",
        ),
        ("order_qty", json!(900), "EOrder:Insufficient funds"),
        (
            "order_qty",
            reply::number("0.000000001"),
            "EGeneral:Invalid arguments:order_qty",
        ),
        (
            "limit_price",
            reply::number("60000.01"),
            "EOrder:Invalid price:BTC/USDT price can only be specified up to 1 decimals.",
        ),
        ("limit_price", json!(0), "EOrder:Invalid price"),
        ("limit_price", json!(1), "EOrder:Cost minimum not met"),
        (
            "post_only",
            json!("yes"),
            "Post_only field must be a boolean",
        ),
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
        (
            "deadline",
            json!("2026-11-20T23:59:59.999Z"),
            "EService:Deadline elapsed",
        ),
        (
            "deadline",
            json!("2026-11-21T00:01:01.000Z"),
            "EGeneral:Invalid arguments:deadline",
        ),
        (
            "deadline",
            json!("soon"),
            "EGeneral:Invalid arguments:deadline",
        ),
    ] {
        let mut order = limit("buy", "60000", "0.001", "w");
        order[name] = value;
        let got = method(&mut rig, &me, "add_order", order);
        assert_eq!((&got[0]["error"], got.len()), (&json!(error), 1), "{name}");
    }
    let mut fine = limit("buy", "60000", "0.001", "w");
    fine["deadline"] = json!("2026-11-21T00:00:00.500Z");
    fine["validate"] = json!(true);
    let got = method(&mut rig, &me, "add_order", fine);
    assert_eq!(
        (&got[0]["result"], got.len()),
        (&json!({"cl_ord_id": "w"}), 1)
    );
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 0);
    let foreign = (me.0, "T".to_owned());
    let got = method(
        &mut rig,
        &foreign,
        "add_order",
        limit("buy", "60000", "0.001", "w"),
    );
    assert_eq!(got[0]["error"], "ESession:Invalid session");
    let text = json!({"method": "add_order", "params": limit("buy", "60000", "0.001", "w")});
    assert_eq!(
        send(&mut rig, me.0, &text.to_string())[0]["error"],
        "Token(s) not found"
    );
}

#[test]
fn several_at_once() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    let two = json!([
        limit("buy", "60000", "0.001", "b1"),
        limit("buy", "60001", "0.001", "b2")
    ]);
    let got = method(
        &mut rig,
        &me,
        "batch_add",
        json!({"symbol": "BTC/USDT", "orders": two}),
    );
    let ids: Vec<&Value> = got[0]["result"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["cl_ord_id"])
        .collect();
    assert_eq!(ids, ["b1", "b2"]);
    let bad = json!([
        limit("buy", "60000", "0.001", "b3"),
        limit("buy", "0", "0.001", "b4")
    ]);
    let got = method(
        &mut rig,
        &me,
        "batch_add",
        json!({"symbol": "BTC/USDT", "orders": bad}),
    );
    assert_eq!(
        (&got[0]["error"], got.len()),
        (&json!("EOrder:Invalid price"), 1),
        "one spoils all"
    );
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 2);
    let got = method(
        &mut rig,
        &me,
        "cancel_order",
        json!({"cl_ord_id": ["b1", "nobody", "b2"]}),
    );
    let answers: Vec<&Value> = got
        .iter()
        .filter(|message| message["method"] == "cancel_order")
        .collect();
    let verdicts: Vec<&Value> = answers.iter().map(|answer| &answer["success"]).collect();
    assert_eq!(verdicts, [true, false, true], "one answer each");
    for id in ["c1", "c2", "c3"] {
        method(
            &mut rig,
            &me,
            "add_order",
            limit("buy", "60000", "0.001", id),
        );
    }
    let got = method(
        &mut rig,
        &me,
        "batch_cancel",
        json!({"cl_ord_id": ["c1", "c2"]}),
    );
    assert_eq!(got[0]["orders_cancelled"], 2);
    let got = method(&mut rig, &me, "cancel_all", json!({}));
    assert_eq!(got[0]["result"]["count"], 1);
    let order = |id: &str| json!({"ordertype": "limit", "type": "buy", "price": "60000", "volume": "0.001", "cl_ord_id": id});
    let batch = json!({"pair": "XBTUSDT", "orders": [order("r1"), order("r2")]}).to_string();
    let got = rest(&mut rig, "AddOrderBatch", &batch);
    let id = got["result"]["orders"][0]["txid"]
        .as_str()
        .expect("an id")
        .to_owned();
    let got = rest(
        &mut rig,
        "CancelOrderBatch",
        &json!({"orders": [id], "cl_ord_ids": ["r2"]}).to_string(),
    );
    assert_eq!(got["result"]["count"], 2);
}

/// One request, counted at half a point an order; what only the engine finds is that order's own, what is wrong before it
/// is everyone's.
#[test]
fn several_at_once_are_counted_and_told_each_for_itself() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    let batch = |prices: [(&str, &str); 3]| {
        let order = |nth: usize| limit("buy", prices[nth].0, prices[nth].1, &format!("p{nth}"));
        json!({"symbol": "BTC/USDT", "orders": [order(0), order(1), order(2)]})
    };
    let small = ("60000", "0.001");
    let poor = batch([small, ("60000", "1000"), small]);
    let got = method(&mut rig, &me, "batch_add", poor);
    let rows = got[0]["result"].as_array().expect("rows");
    assert!(rows[0]["order_id"].is_string() && rows[2]["order_id"].is_string());
    assert_eq!(
        rows[1],
        json!({"cl_ord_id": "p1", "error": "EOrder:Insufficient funds", "success": false})
    );
    let names = json!({"cl_ord_id": ["p0", "p2"]});
    let got = method(&mut rig, &me, "batch_cancel", names);
    assert_eq!(got[0]["orders_cancelled"], 2);
    let counts = rig.face.core().record.counts();
    let requests = &counts["requests"];
    assert_eq!(
        (&requests["new_batch"], &requests["new"]),
        (&json!(1), &json!(3))
    );
    // 17.5 points are used; 28 batches of three more are 42, whatever comes of them.
    let wrong = batch([small, ("0", "0.001"), small]);
    for left in (0..=28).rev() {
        let got = method(&mut rig, &me, "batch_add", wrong.clone());
        let words = if left > 0 {
            "EOrder:Invalid price"
        } else {
            "EOrder:Rate limit exceeded"
        };
        assert_eq!((&got[0]["error"], got.len()), (&json!(words), 1), "{left}");
    }
}

#[test]
fn a_new_subscriber_sees_what_is_open() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "o1"),
    );
    let mut taken = limit("buy", "70000", "0.001", "o2");
    taken["time_in_force"] = json!("ioc");
    method(&mut rig, &me, "add_order", taken);
    let conn = rig.open("/v2", "");
    let text = json!({"method": "subscribe", "params": {"channel": "executions", "snap_trades": true,
        "order_status": false, "token": me.1}});
    let got = send(&mut rig, conn, &text.to_string());
    let kinds: Vec<&Value> = got[1]["data"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["exec_type"])
        .collect();
    assert_eq!(kinds[0], "new");
    assert!(kinds.len() > 1 && kinds[1..].iter().all(|kind| *kind == "trade"));
    method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "o3"),
    );
    let told: Vec<Value> = rig.take(conn).into_iter().skip(3).collect();
    assert_eq!(types(&told), ["new"], "no transitions were asked for");
    assert_eq!(told[0]["sequence"], 2);
    rig.run(10 * 1_000 + (rig.now - START) / MS);
}
