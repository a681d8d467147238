//! REST, and what no client should send.

use super::*;

#[test]
fn rest_is_signed_and_nonces_rise() {
    let mut rig = quiet();
    let error = |rig: &mut Rig<Kraken>, request: &Request| {
        let body: Value =
            serde_json::from_str(&rig.http(request).expect("an answer").body).expect("JSON");
        body["error"][0].as_str().unwrap_or("").to_owned()
    };
    let good = signed("BalanceEx", 10, "");
    assert_eq!(error(&mut rig, &good), "");
    assert_eq!(error(&mut rig, &good), "EAPI:Invalid nonce", "the same one");
    assert_eq!(
        error(&mut rig, &signed("BalanceEx", 9, "")),
        "EAPI:Invalid nonce"
    );
    let mut forged = signed("BalanceEx", 11, "");
    forged.path = "/0/private/Balance".into();
    assert_eq!(error(&mut rig, &forged), "EAPI:Invalid signature");
    let mut other = signed("BalanceEx", 11, "");
    other.body += "&x=1";
    assert_eq!(error(&mut rig, &other), "EAPI:Invalid signature");
    let mut unknown = signed("BalanceEx", 11, "");
    unknown.headers[0].1 = "x".into();
    assert_eq!(error(&mut rig, &unknown), "EAPI:Invalid key");
    assert_eq!(
        error(&mut rig, &signed("BalanceEx", 11, "")),
        "",
        "refused ones do not count"
    );
    assert_eq!(
        error(&mut rig, &signed("Withdraw", 12, "")),
        "EGeneral:Unknown method"
    );
    let json = signed(
        "AddOrder",
        13,
        r#"{"pair":"XBTUSDT","type":"buy","ordertype":"limit","price":"60000","volume":"0.001"}"#,
    );
    assert_eq!(error(&mut rig, &json), "");
}

/// The forms a client of REST sends, and the lists it reads.
#[test]
fn orders_by_rest() {
    let mut rig = quiet();
    let place = "&pair=XBTUSDT&type=buy&ordertype=limit&volume=0.00100000&price=60000.0";
    let got = rest(
        &mut rig,
        "AddOrder",
        &format!("{place}&cl_ord_id=r1&oflags=post"),
    );
    assert_eq!(
        got["result"]["descr"]["order"],
        "buy 0.00100000 XBTUSDT @ limit 60000.0"
    );
    let id = got["result"]["txid"][0].as_str().expect("an id").to_owned();
    let checked = rest(&mut rig, "AddOrder", &format!("{place}&validate=true"));
    assert!(
        checked["result"].get("txid").is_none() && checked["result"]["descr"]["order"].is_string()
    );
    let open = rest(&mut rig, "OpenOrders", "&trades=true&cl_ord_id=r1");
    let row = &open["result"]["open"][id.as_str()];
    assert_eq!(
        (&row["cl_ord_id"], &row["oflags"], &row["descr"]["pair"]),
        (&json!("r1"), &json!("fciq,post"), &json!("XBTUSDT"))
    );
    let held = rest(&mut rig, "BalanceEx", "")["result"]["USDT"]["hold_trade"].clone();
    assert_eq!(held, "60.0000000000");
    assert_eq!(
        rest(&mut rig, "OpenOrders", "&cl_ord_id=x")["result"]["open"],
        json!({})
    );
    let amended = rest(
        &mut rig,
        "AmendOrder",
        &format!("&txid={id}&limit_price=60001.5"),
    );
    assert!(amended["result"]["amend_id"].is_string());
    assert_eq!(
        rest(&mut rig, "CancelOrder", &format!("&txid={id}"))["result"]["count"],
        1
    );
    assert_eq!(
        rest(&mut rig, "CancelOrder", &format!("&txid={id}"))["error"][0],
        "EOrder:Unknown order"
    );
    let closed = rest(&mut rig, "ClosedOrders", "&trades=true&cl_ord_id=r1")["result"].clone();
    assert_eq!(
        (&closed["count"], &closed["closed"][id.as_str()]["reason"]),
        (&json!(1), &json!("User requested"))
    );
    let asked = rest(&mut rig, "QueryOrders", &format!("&txid={id}&trades=true"));
    assert_eq!(asked["result"][id.as_str()]["descr"]["price"], "60001.5");
    let never = rest(&mut rig, "QueryOrders", "&txid=OZZZZZ-ZZZZZ-ZZZZZZ");
    assert_eq!(never["error"][0], "EOrder:Invalid order");
    let wrong = rest(&mut rig, "AddOrder", &place.replace("0.00100000", "x"));
    assert_eq!(wrong["error"][0], "EGeneral:Invalid arguments:volume");
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_texts_are_answered(text in ".{0,200}", name in "[a-zA-Z_%&=,-]{0,20}", digits in "-?[0-9]{0,25}[.]?[0-9]{0,25}e?[0-9]{0,3}") {
        let mut rig = quiet();
        let me = trader(&mut rig);
        send(&mut rig, me.0, &text);
        let number = reply::number(&digits);
        for kind in ["add_order", "amend_order", "cancel_order", "batch_add", "batch_cancel",
            "cancel_all_orders_after", "subscribe", "unsubscribe", name.as_str()] {
            for value in [json!(text), number.clone(), json!([text]), json!({"a": name})] {
                let order = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USDT",
                    "order_qty": value, "limit_price": number, "cl_ord_id": name, "deadline": text});
                method(&mut rig, &me, kind, order.clone());
                let other = json!({"channel": name, "symbol": value, "order_id": value, "cl_ord_id": value,
                    "orders": [order, value], "timeout": value, "depth": number, "order_qty": number});
                method(&mut rig, &me, kind, other);
            }
        }
        for path in ["AddOrder", "CancelOrder", "AmendOrder", "QueryOrders", "QueryTrades", "TradesHistory", "ClosedOrders"] {
            let fields = format!("&pair=XBTUSDT&type=buy&ordertype=limit&price={digits}&volume={digits}&txid={name}&start={digits}&ofs={digits}&x={text}");
            rest(&mut rig, path, &fields);
        }
        rig.get("/0/public/Depth", &format!("pair=XBTUSDT&count={digits}"));
        rig.get("/0/public/Trades", &format!("pair={name}&since={digits}"));
    }
}
