//! Orders, fills, and what is refused.

use super::*;

#[test]
fn an_order_lives_and_the_user_channel_says_so() {
    let mut rig = quiet();
    let user = subscribe(&mut rig, 1, r#""user","heartbeat""#);
    let oid = format!("{OID}01");
    let body = format!(
        "{{\"product_id\":\"BTC-USD\",\"side\":\"buy\",\"type\":\"limit\",\"price\":\"60000\",\
         \"time_in_force\":\"GTC\",\"post_only\":true,\"size\":\"0.01\",\"client_oid\":\"{oid}\",\
         \"stp\":\"cn\"}}"
    );
    let accepted = rest(&mut rig, "POST", "/orders", &body);
    assert_eq!(
        (&accepted["status"], &accepted["client_oid"]),
        (&json!("pending"), &json!(oid))
    );
    let id = accepted["id"].as_str().unwrap().to_owned();
    let got = rig.take(user);
    assert_eq!(kinds(&got), ["received", "open"]);
    assert_eq!(
        (&got[0]["client_oid"], &got[0]["size"]),
        (&json!(oid), &json!("0.01"))
    );
    assert_eq!(
        (&got[1]["order_id"], &got[1]["remaining_size"]),
        (&json!(id), &json!("0.01"))
    );
    assert!(
        got.iter()
            .all(|m| m["user_id"].is_string() && m["profile_id"].is_string())
    );
    assert_eq!(
        got[1]["sequence"].as_i64(),
        got[0]["sequence"].as_i64().map(|at| at + 1)
    );
    let named = format!("/orders/client:{oid}?product_id=BTC-USD");
    assert_eq!(rest(&mut rig, "GET", &named, "")["status"], "open");
    let open = "/orders?product_id=BTC-USD&status=open&status=pending&status=active&limit=1000";
    assert_eq!(rest(&mut rig, "GET", open, "")[0]["id"], json!(id));
    assert_eq!(
        post(&mut rig, &serde_json::from_str(&body).unwrap()).0,
        400,
        "the same client_oid"
    );
    // Another product's order it is not.
    let wrong = format!("/orders/client:{oid}?product_id=ETH-USD");
    assert_eq!(ask(&mut rig, "DELETE", &wrong, "").status, 404);
    assert_eq!(rest(&mut rig, "DELETE", &named, ""), json!(id));
    let got = rig.take(user);
    assert_eq!(kinds(&got), ["done"]);
    assert_eq!(
        (&got[0]["reason"], &got[0]["remaining_size"]),
        (&json!("canceled"), &json!("0.01"))
    );
    let again = ask(&mut rig, "DELETE", &named, "");
    assert_eq!(
        (again.status, again.body.as_str()),
        (400, r#"{"message":"Order already done"}"#)
    );
    assert_eq!(rest(&mut rig, "GET", &named, "")["done_reason"], "canceled");
    rig.run(61_000);
    let gone = ask(&mut rig, "GET", &named, "");
    assert_eq!(
        (gone.status, gone.body.as_str()),
        (404, r#"{"message":"NotFound"}"#),
        "no trade, no trace"
    );
}

/// Two accounts meet: each hears its own side, fees are in quote on both.
#[test]
fn fills_are_told_to_either_side() {
    let mut rig = quiet();
    let (maker, taker) = (
        subscribe(&mut rig, 1, r#""user""#),
        subscribe(&mut rig, 2, r#""user""#),
    );
    // Between the others' best quotes, so that only these two meet.
    let best = rig.get("/products/BTC-USD/book", "level=1")["bids"][0][0].clone();
    let price = format!(
        "{:.2}",
        best.as_str().unwrap().parse::<f64>().unwrap() + 0.05
    );
    post(&mut rig, &order("buy", &price, "0.3", 1));
    rig.take(maker);
    rig.fault("duplicate-fill");
    let sell = |rig: &mut Rig<Coinbase>, size: &str, id| {
        let body = order("sell", &price, size, id).to_string();
        let request = signed(rig, 2, ("POST", "/orders"), &body);
        assert_eq!(rig.http(&request).unwrap().status, 200);
    };
    sell(&mut rig, "0.1", 2);
    let (made, took) = (rig.take(maker), rig.take(taker));
    assert_eq!(kinds(&made), ["match", "match"], "once is a fault's");
    assert_eq!(made[0], made[1]);
    assert_eq!(kinds(&took), ["received", "match", "done"]);
    assert_eq!(made[0]["trade_id"], took[1]["trade_id"]);
    assert_eq!(made[0]["sequence"], took[1]["sequence"]);
    assert_eq!(
        (&made[0]["side"], &made[0]["maker_fee_rate"]),
        (&json!("buy"), &json!("0.004"))
    );
    assert_eq!(
        (&took[1]["side"], &took[1]["taker_fee_rate"]),
        (&json!("buy"), &json!("0.006"))
    );
    assert!(made[0]["taker_user_id"].is_null() && took[1]["maker_user_id"].is_null());
    let row = rest(&mut rig, "GET", &format!("/orders/client:{OID}01"), "");
    assert_eq!(
        (&row["status"], &row["filled_size"]),
        (&json!("open"), &json!("0.10000000"))
    );
    sell(&mut rig, "0.2", 3);
    assert_eq!(kinds(&rig.take(maker)), ["match", "done"]);
    let row = rest(&mut rig, "GET", &format!("/orders/client:{OID}01"), "");
    assert_eq!(
        (&row["status"], &row["done_reason"]),
        (&json!("done"), &json!("filled"))
    );
    let fills = ask(&mut rig, "GET", "/fills?product_id=BTC-USD&limit=1", "");
    let after = fills
        .headers
        .iter()
        .find(|(name, _)| *name == "cb-after")
        .unwrap();
    let newest: Value = serde_json::from_str(&fills.body).unwrap();
    let target = format!("/fills?product_id=BTC-USD&limit=1&after={}", after.1);
    let oldest = rest(&mut rig, "GET", &target, "");
    assert_eq!(
        oldest[0]["trade_id"].as_i64().map(|id| id + 1),
        newest[0]["trade_id"].as_i64()
    );
    assert_eq!(
        (&oldest[0]["liquidity"], &oldest[0]["side"]),
        (&json!("M"), &json!("buy"))
    );
    // 0.3 at the price and 0.4 % of it are paid, and nothing is held any more.
    let accounts = rest(&mut rig, "GET", "/accounts", "");
    let usd = accounts
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["currency"] == "USD")
        .unwrap();
    let cost = price.parse::<f64>().unwrap() * 0.3 * 1.004;
    let left = usd["available"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((1_000_000.0 - cost - left).abs() < 1e-6, "{left}");
    assert_eq!(usd["hold"], "0.0000000000000000");
}

#[test]
fn orders_of_each_kind() {
    let mut rig = quiet();
    let user = subscribe(&mut rig, 1, r#""user""#);
    let mut kinds_of = |change: &[(&str, Value)], id: u8| {
        let mut body = order("buy", "70000", "0.001", id);
        for (name, value) in change {
            body[*name] = value.clone();
        }
        let (status, row) = post(&mut rig, &body);
        let got = rig.take(user);
        let reason = got
            .last()
            .map_or(json!(null), |m| m["cancel_reason"].clone());
        let told = kinds(&got).join(" ");
        (status, row["status"].clone(), told, reason)
    };
    let pending = json!("pending");
    let taken = |told: &str, reason: Value| (200, pending.clone(), told.to_owned(), reason);
    assert_eq!(kinds_of(&[], 1), taken("received match done", json!(null)));
    let ioc = [("time_in_force", json!("IOC")), ("price", json!("60000"))];
    let expired = json!("101:Time In Force");
    assert_eq!(kinds_of(&ioc, 2), taken("received done", expired.clone()));
    let fok = [("time_in_force", json!("FOK")), ("size", json!("12"))];
    assert_eq!(kinds_of(&fok, 3), taken("received done", expired));
    let market = [("type", json!("market"))];
    assert_eq!(
        kinds_of(&market, 4),
        taken("received match done", json!(null))
    );
    let funds = [
        ("type", json!("market")),
        ("size", json!(null)),
        ("funds", json!("50")),
    ];
    assert_eq!(
        kinds_of(&funds, 5),
        taken("received match done", json!(null))
    );
    let post_only = [("post_only", json!(true))];
    let (status, state, told, _) = kinds_of(&post_only, 6);
    assert_eq!((status, state, told.as_str()), (200, json!("rejected"), ""));
    // Our own quote is in the way: the later one goes.
    assert_eq!(
        kinds_of(&[("price", json!("64999.7"))], 7).2,
        "received open"
    );
    let own = [("side", json!("sell")), ("price", json!("64999.7"))];
    let stopped = taken("received done", json!("102:Self Trade Prevention"));
    assert_eq!(kinds_of(&own, 8), stopped);
}

#[test]
fn what_is_wrong_is_said() {
    let mut rig = rig_with(|config| (config.flow.ticks_per_s, config.rate_factor) = (0, 10));
    for (name, value, status, words) in [
        ("product_id", json!("FOO-USD"), 404, "Product not found"),
        ("side", json!("bid"), 400, "Invalid side"),
        ("type", json!("stop"), 400, "Invalid type"),
        ("client_oid", json!("x"), 400, "Invalid client_oid"),
        ("stp", json!("zz"), 400, "Invalid stp"),
        ("time_in_force", json!("DAY"), 400, "Invalid time_in_force"),
        ("price", json!(null), 400, "Invalid price"),
        ("price", json!("-1"), 400, "Invalid price"),
        (
            "price",
            json!("60000.001"),
            400,
            "price is too accurate. Smallest unit is 0.01000000",
        ),
        (
            "size",
            json!("1e-9"),
            400,
            "size is too accurate. Smallest unit is 0.00000001",
        ),
        ("size", json!("0"), 400, "size is too small"),
        ("size", json!("9999999"), 400, "size is too large"),
        ("size", json!("0.00001"), 400, "notional is too small"),
        ("size", json!("20"), 400, "Insufficient funds"),
        ("stop", json!("loss"), 400, "Invalid stop"),
    ] {
        let mut body = order("buy", "60000", "0.001", 1);
        body[name] = value;
        let (got, answer) = post(&mut rig, &body);
        let told = answer["message"].as_str().unwrap();
        assert!(
            got == status && told.starts_with(words),
            "{name}: {got} {told}"
        );
    }
    let ioc = json!({"time_in_force": "IOC", "post_only": true});
    let mut body = order("buy", "60000", "0.001", 1);
    for (name, value) in ioc.as_object().unwrap() {
        body[name] = value.clone();
    }
    assert_eq!(post(&mut rig, &body).0, 400);
    let unknown = format!("/orders/client:{OID}99");
    for (method, target, status) in [
        ("GET", unknown.as_str(), 404),
        ("DELETE", unknown.as_str(), 404),
        ("DELETE", "/orders/7", 400),
        ("DELETE", "/orders?product_id=FOO-USD", 404),
        ("GET", "/fills", 400),
        ("GET", "/nothing", 404),
        ("PUT", "/orders/d50ec984-77a8-460a-b958-66f114b0de9b", 404),
    ] {
        assert_eq!(
            ask(&mut rig, method, target, "").status,
            status,
            "{method} {target}"
        );
    }
    for at in 0..500u32 {
        let mut body = order("buy", "60000", "0.00002", 1);
        body["client_oid"] = json!(format!("51de1a4e-0000-4000-8000-{at:012x}"));
        assert_eq!(post(&mut rig, &body).0, 200);
        rig.run(10);
    }
    assert_eq!(
        post(&mut rig, &order("buy", "60000", "0.00002", 255)).0,
        400,
        "500 are open"
    );
    assert_eq!(
        rest(&mut rig, "GET", "/orders", "")
            .as_array()
            .unwrap()
            .len(),
        100,
        "a page"
    );
    let gone = rest(&mut rig, "DELETE", "/orders?product_id=BTC-USD", "");
    assert_eq!(gone.as_array().unwrap().len(), 500);
    assert_eq!(rest(&mut rig, "GET", "/orders", ""), json!([]));
}
