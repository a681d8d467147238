//! REST: rules, books, signatures, lists, the dead man's switch, limits, a broken gateway.

use super::*;

#[test]
fn rules_and_public_figures_as_recorded() {
    let mut rig = rig_with(|_| ());
    rig.run(2_000);
    let rules = rig.get("/v1/settings/common/market-symbols", "symbols=btcusdt");
    assert_eq!(rules["data"].as_array().unwrap().len(), 1);
    let rule = &rules["data"][0];
    for (name, value) in [
        ("symbol", json!("btcusdt")),
        ("bc", json!("btc")),
        ("qc", json!("usdt")),
        ("pp", json!(2)),
        ("ap", json!(6)),
        ("minov", json!(5)),
        ("lominoa", serde_json::from_str("0.00001").unwrap()),
        ("blmlt", serde_json::from_str("1.1").unwrap()),
        ("state", json!("online")),
        ("at", json!("enabled")),
    ] {
        assert_eq!(rule[name], value, "{name}");
    }
    assert_eq!(
        rig.get("/v1/settings/common/market-symbols", "")["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        rig.get("/v2/settings/common/symbols", "")["data"][1]["sc"],
        "ethusdt"
    );
    assert_eq!(
        rig.get("/v1/common/symbols", "")["data"][0]["price-precision"],
        2
    );
    assert_eq!(
        rig.get("/v1/common/timestamp", "")["data"],
        json!(rig.now / MS)
    );
    let depth = rig.get("/market/depth", "symbol=btcusdt&type=step0&depth=10");
    assert_eq!(depth["ch"], "market.btcusdt.depth.step0");
    assert_eq!(depth["tick"]["asks"].as_array().unwrap().len(), 10);
    let trades = rig.get("/market/history/trade", "symbol=btcusdt&size=3");
    assert_eq!(trades["data"].as_array().unwrap().len(), 3);
    let last = rig.get("/market/trade", "symbol=btcusdt");
    assert_eq!(last["tick"], trades["data"][0]);
    let merged = rig.get("/market/detail/merged", "symbol=btcusdt");
    assert_eq!(merged["tick"]["bid"].as_array().unwrap().len(), 2);
    assert_eq!(
        rig.get("/market/tickers", "")["data"][1]["symbol"],
        "ethusdt"
    );
    let bad = rig.get("/market/depth", "symbol=nobody");
    assert_eq!(
        bad.to_string(),
        r#"{"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol"}"#
    );
    assert_eq!(
        rig.get("/market/depth", "symbol=btcusdt&type=step9")["err-msg"],
        "invalid type"
    );
}

#[test]
fn requests_are_signed_with_their_host() {
    let mut rig = quiet();
    let good = signed(rig.now, "GET", "/v1/account/accounts", "", "");
    assert_eq!(
        rig.http(&good).unwrap().body,
        r#"{"status":"ok","data":[{"id":992701,"type":"spot","subtype":"","state":"working"}]}"#
    );
    let refused = |rig: &mut Rig<Huobi>, request: &Request| {
        let response = rig.http(request).unwrap();
        assert_eq!(response.status, 200);
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(
            (&body["err-code"], &body["data"]),
            (&json!("api-signature-not-valid"), &json!(null))
        );
        body["err-msg"].to_string()
    };
    for (from, to, text) in [
        ("Signature=", "Signature=A", "Verification failure"),
        (KEY, "nobody", "Incorrect Access key"),
        (
            "Timestamp=2026",
            "Timestamp=2025",
            "Invalid submission time",
        ),
        ("HmacSHA256", "Ed25519", "Incorrect signature method"),
        ("Version=2", "Version=2.1", "Incorrect signature method"),
    ] {
        let mut bad = good.clone();
        bad.query = bad.query.replace(from, to);
        assert!(refused(&mut rig, &bad).contains(text), "{from}");
    }
    let mut other = good.clone();
    other.headers = vec![("host".into(), "api.huobi.pro".into())];
    assert!(refused(&mut rig, &other).contains("Verification failure"));
    rig.fault("clock-skew:ms=301000");
    assert!(refused(&mut rig, &good).contains("submission time"));
    let v2 = signed(
        rig.now,
        "POST",
        "/v2/algo-orders/cancel-all-after",
        "",
        "{}",
    );
    let body = rig.http(&v2).unwrap().body;
    assert!(body.starts_with(r#"{"code":1003,"message":"#), "{body}");
}

#[test]
fn orders_are_listed_paged_and_found() {
    let mut rig = quiet();
    let mut ids = Vec::new();
    for at in 0..5 {
        let body = order("buy-limit", "64000", &format!("l{at}")).to_string();
        let got = ask(&mut rig, "POST", "/v1/order/orders/place", "", &body);
        ids.push(got["data"].as_str().unwrap().to_owned());
    }
    let open = |rig: &mut Rig<Huobi>, more: &str| {
        let query = format!("account-id={ACCOUNT}&size=2&symbol=btcusdt{more}");
        let data = ask(rig, "GET", "/v1/order/openOrders", &query, "")["data"].clone();
        let ids = data.as_array().unwrap().iter();
        ids.map(|order| order["id"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(open(&mut rig, ""), [ids[4].as_str(), &ids[3]]);
    let next = format!("&from={}&direct=next", ids[3]);
    assert_eq!(open(&mut rig, &next), [ids[2].as_str(), &ids[1]]);
    let back = format!("&from={}&direct=prev", ids[2]);
    assert_eq!(open(&mut rig, &back), [ids[3].as_str(), &ids[4]]);
    let one = ask(
        &mut rig,
        "GET",
        &format!("/v1/order/orders/{}", ids[0]),
        "",
        "",
    );
    assert_eq!(
        (&one["data"]["price"], &one["data"]["field-amount"]),
        (&json!("64000.000000000000000000"), &json!("0.0"))
    );
    let path = format!("/v1/order/orders/{}/submitcancel", ids[0]);
    assert_eq!(ask(&mut rig, "POST", &path, "", "")["data"], json!(ids[0]));
    let again = ask(&mut rig, "POST", &path, "", "");
    assert_eq!(
        (&again["err-code"], &again["order-state"]),
        (&json!("order-orderstate-error"), &json!(7))
    );
    let by_client = |rig: &mut Rig<Huobi>, id: &str| {
        let path = "/v1/order/orders/submitCancelClientOrder";
        ask(
            rig,
            "POST",
            path,
            "",
            &json!({"client-order-id": id}).to_string(),
        )["data"]
            .clone()
    };
    assert_eq!(by_client(&mut rig, "l1"), json!(10));
    assert_eq!(by_client(&mut rig, "l1"), json!(7));
    assert_eq!(by_client(&mut rig, "nobody"), json!(0));
    let many = json!({"order-ids": [ids[2], "7"]}).to_string();
    let data = ask(&mut rig, "POST", "/v1/order/orders/batchcancel", "", &many)["data"].clone();
    assert_eq!(data["failed"][0]["err-code"], "base-record-invalid");
    let all = json!({"account-id": ACCOUNT, "symbol": "btcusdt"}).to_string();
    let data = ask(
        &mut rig,
        "POST",
        "/v1/order/orders/batchCancelOpenOrders",
        "",
        &all,
    );
    assert_eq!(data["data"]["success-count"], 2);
    let gone = ask(
        &mut rig,
        "GET",
        "/v1/order/orders",
        "symbol=btcusdt&states=canceled%2Cfilled",
        "",
    );
    assert_eq!(gone["data"].as_array().unwrap().len(), 5);
    assert_eq!(
        ask(&mut rig, "GET", "/v1/order/orders/1", "", "")["err-code"],
        "base-record-invalid"
    );
    let batch = json!([order("buy-limit", "64000", "x"), {"symbol": "no"}]).to_string();
    let rows = ask(&mut rig, "POST", "/v1/order/batch-orders", "", &batch)["data"].clone();
    assert!(rows[0].get("order-id").is_some() && rows[1].get("err-code").is_some());
}

#[test]
fn fills_and_balances_agree() {
    let mut rig = quiet();
    let mut buy = order("buy-ioc", "66000", "f");
    buy["amount"] = json!("0.02");
    let got = ask(
        &mut rig,
        "POST",
        "/v1/order/orders/place",
        "",
        &buy.to_string(),
    );
    let id = got["data"].as_str().unwrap().to_owned();
    let path = format!("/v1/order/orders/{id}/matchresults");
    let fills = ask(&mut rig, "GET", &path, "", "")["data"].clone();
    let list = ask(
        &mut rig,
        "GET",
        "/v1/order/matchresults",
        "symbol=btcusdt&size=100",
        "",
    );
    assert_eq!(list["data"], fills);
    let fills = fills.as_array().unwrap();
    assert!(fills.len() > 1, "several makers");
    let sum = |name: &str| {
        let parts = fills
            .iter()
            .map(|fill| fill[name].as_str().unwrap().parse::<f64>().unwrap());
        parts.sum::<f64>()
    };
    assert!((sum("filled-amount") - 0.02).abs() < 1e-12);
    assert!(
        (sum("filled-fees") - 0.00004).abs() < 1e-12,
        "0.2 % of what was received"
    );
    let from = fills[0]["id"].to_string();
    let older = ask(
        &mut rig,
        "GET",
        "/v1/order/matchresults",
        &format!("from={from}"),
        "",
    );
    assert_eq!(older["data"].as_array().unwrap().len(), fills.len() - 1);
    let later = format!("start-time={}", rig.now / MS + 1);
    let none = ask(&mut rig, "GET", "/v1/order/matchresults", &later, "");
    assert_eq!(none["data"], json!([]));
    let path = format!("/v1/account/accounts/{ACCOUNT}/balance");
    let list = ask(&mut rig, "GET", &path, "", "")["data"]["list"].clone();
    let free = |currency: &str| {
        let rows = list.as_array().unwrap();
        let row = rows
            .iter()
            .find(|row| row["currency"] == currency && row["type"] == "trade");
        row.unwrap()["balance"].as_str().unwrap().to_owned()
    };
    assert_eq!(free("btc"), "16.019960000000000000");
    assert!(free("usdt").starts_with("9986"));
    let other = ask(&mut rig, "GET", "/v1/account/accounts/5/balance", "", "");
    assert_eq!(other["err-code"], "account-get-accounts-inexistent-error");
}

#[test]
fn the_dead_man_s_switch_cancels_once() {
    let mut rig = quiet();
    let user = user(&mut rig);
    let body = order("buy-limit", "64000", "d").to_string();
    ask(&mut rig, "POST", "/v1/order/orders/place", "", &body);
    let arm = |rig: &mut Rig<Huobi>, seconds: u64| {
        let path = "/v2/algo-orders/cancel-all-after";
        ask(rig, "POST", path, "", &format!("{{\"timeout\":{seconds}}}"))
    };
    assert_eq!(arm(&mut rig, 4)["code"], 2002);
    rig.run(2_000);
    let armed = arm(&mut rig, 5);
    let now_s = rig.now / MS / 1_000;
    assert_eq!(
        armed.to_string(),
        format!(
            "{{\"code\":200,\"data\":[{{\"currentTime\":\"{now_s}\",\"triggerTime\":\"{}\"}}]}}",
            now_s + 5
        )
    );
    assert_eq!(arm(&mut rig, 5)["code"], 429, "one in 2 s");
    rig.run(2_000);
    arm(&mut rig, 5);
    rig.take(user);
    rig.run(4_900);
    assert_eq!(rig.take(user).len(), 0);
    rig.run(200);
    assert_eq!(rig.take(user)[0]["data"]["orderStatus"], "canceled");
    ask(&mut rig, "POST", "/v1/order/orders/place", "", &body);
    rig.run(10_000);
    assert_eq!(
        rig.face.core().engine.open_orders(1).count(),
        1,
        "it is armed anew or not at all"
    );
    arm(&mut rig, 5);
    rig.run(2_000);
    assert_eq!(arm(&mut rig, 0)["data"][0]["triggerTime"], "0");
    rig.run(6_000);
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 1);
}

#[test]
fn endpoints_are_limited_and_say_what_is_left() {
    let mut rig = quiet();
    let balance = |rig: &mut Rig<Huobi>| {
        let path = format!("/v1/account/accounts/{ACCOUNT}/balance");
        let request = signed(rig.now, "GET", &path, "", "");
        rig.http(&request).unwrap()
    };
    let first = balance(&mut rig);
    let end = (rig.now / MS / 2_000 + 1) * 2_000;
    assert_eq!(
        first.headers,
        [
            ("X-HB-RateLimit-Requests-Remain", "49".to_owned()),
            ("X-HB-RateLimit-Requests-Expire", end.to_string())
        ]
    );
    let passed = (0..60).filter(|_| balance(&mut rig).status == 200).count();
    assert_eq!(passed, 49);
    let last = balance(&mut rig);
    assert!(last.status == 429 && last.body.contains("rate-too-many-requests"));
    let symbols = |rig: &mut Rig<Huobi>| rig.get("/v1/settings/common/market-symbols", "");
    let passed = (0..12)
        .filter(|_| symbols(&mut rig)["status"] == "ok")
        .count();
    assert_eq!(passed, 10, "10 a second");
    rig.run(2_000);
    rig.fault("rate-limit");
    assert_eq!(balance(&mut rig).status, 429);
    assert_eq!(balance(&mut rig).status, 200);
}

#[test]
fn a_broken_gateway_says_nothing_and_a_lost_answer_hangs() {
    let mut rig = quiet();
    let place = |rig: &mut Rig<Huobi>, id: &str| {
        let body = order("buy-limit", "64000", id).to_string();
        let request = signed(rig.now, "POST", "/v1/order/orders/place", "", &body);
        rig.http(&request).map(|response| response.status)
    };
    rig.fault("http-500:executed=true,http-500:executed=false,lost-ack");
    // An answer is lost before a gateway breaks: the last of them takes the fault.
    let statuses = ["a", "b", "c", "d"].map(|id| place(&mut rig, id));
    assert_eq!(
        statuses
            .iter()
            .filter(|status| **status == Some(200))
            .count(),
        2,
        "{statuses:?}"
    );
    assert_eq!(rig.hung.len(), 1);
    let open = rig.face.core().engine.open_orders(1);
    let open: Vec<&str> = open.map(|order| &*order.ask.client_id).collect();
    assert_eq!(open, ["a", "c", "d"]);
}
