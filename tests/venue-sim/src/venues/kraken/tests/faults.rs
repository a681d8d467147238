//! Faults, limits, the dead man's switch, tokens.

use super::*;

#[test]
fn the_dead_man_s_switch_cancels_once() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "d1"),
    );
    let got = method(
        &mut rig,
        &me,
        "cancel_all_orders_after",
        json!({"timeout": 60}),
    );
    assert_eq!(
        got[0]["result"],
        json!({"currentTime": "2026-11-21T00:00:00Z", "triggerTime": "2026-11-21T00:01:00Z"})
    );
    rig.run(30_000);
    method(
        &mut rig,
        &me,
        "cancel_all_orders_after",
        json!({"timeout": 60}),
    );
    rig.take(me.0);
    rig.run(59_900);
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 1);
    rig.run(200);
    assert_eq!(types(&rig.take(me.0)), ["canceled"]);
    assert_eq!(rig.face.stats()["dead_man_armed"], 0);
    assert_eq!(
        rest(&mut rig, "CancelAllOrdersAfter", "&timeout=0")["result"]["triggerTime"],
        "0"
    );
    assert!(rest(&mut rig, "CancelAllOrdersAfter", "&timeout=86401")["error"][0].is_string());
}

#[test]
fn counters_are_per_pair_and_punish_haste() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    for at in 0..6 {
        let id = format!("q{at}");
        method(
            &mut rig,
            &me,
            "add_order",
            limit("buy", "60000", "0.001", &id),
        );
        let got = method(&mut rig, &me, "cancel_order", json!({"cl_ord_id": [id]}));
        assert_eq!(got[0]["success"], true, "nine each");
    }
    for at in 0..6 {
        let got = method(
            &mut rig,
            &me,
            "add_order",
            limit("buy", "60000", "0.001", &format!("n{at}")),
        );
        assert_eq!(got[0]["success"], true);
    }
    let got = method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "full"),
    );
    assert_eq!(got[0]["error"], "EOrder:Rate limit exceeded");
    let mut other = limit("buy", "3000", "0.01", "eth");
    other["symbol"] = json!("ETH/USDT");
    assert_eq!(
        method(&mut rig, &me, "add_order", other)[0]["success"],
        true
    );
    rig.run(1_000);
    let got = method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "later"),
    );
    assert_eq!(got[0]["success"], true);
    let limits = rig.face.stats()["limits"].clone();
    assert_eq!(
        (&limits[0]["highest"], &limits[0]["refused"]),
        (&json!(60), &json!(1))
    );
    let refused = (0..20).filter(|_| !rest(&mut rig, "Balance", "")["error"][0].is_null());
    assert_eq!(refused.count(), 6, "15, less the token's");
    // Sixty orders may be open on a pair.
    let mut rig = quiet();
    let me = trader(&mut rig);
    let mut refusals = Vec::new();
    for at in 0..61 {
        let got = method(
            &mut rig,
            &me,
            "add_order",
            limit("buy", "60000", "0.001", &format!("o{at}")),
        );
        refusals.extend(got[0]["error"].as_str().map(str::to_owned));
        rig.run(1_000);
    }
    assert_eq!(refusals, ["EOrder:Orders limit exceeded"]);
}

#[test]
fn answers_go_wrong_on_request() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    let add = |rig: &mut Rig<Kraken>, fault: &str, id: &str| {
        rig.fault(fault);
        method(rig, &me, "add_order", limit("buy", "60000", "0.001", id))
    };
    for (fault, error) in [
        ("reject", "EOrder:Insufficient funds"),
        ("reject:code=2", "EOrder:Post only order"),
        ("reject:code=-5", "EOrder:Insufficient funds"),
        ("rate-limit", "EOrder:Rate limit exceeded"),
        ("timeout:executed=false", "EService:Timeout"),
    ] {
        let got = add(&mut rig, fault, "x");
        assert_eq!((&got[0]["error"], got.len()), (&json!(error), 1));
    }
    let got = add(&mut rig, "timeout", "t");
    assert_eq!(
        (&got[0]["error"], types(&got[1..]).len()),
        (&json!("EService:Timeout"), 2)
    );
    assert_eq!(
        types(&add(&mut rig, "lost-ack", "l")),
        ["pending_new", "new"],
        "no answer"
    );
    let got = add(&mut rig, "reply-after-stream", "r");
    assert_eq!(
        (&got[0]["channel"], &got[2]["method"]),
        (&json!("executions"), &json!("add_order"))
    );
    assert_eq!(add(&mut rig, "stream-after-reply:ms=50", "s").len(), 1);
    rig.take(me.0);
    rig.run(60);
    assert_eq!(types(&rig.take(me.0)), ["pending_new", "new"]);
    assert_eq!(
        add(&mut rig, "slow-ack:ms=50", "w").len(),
        2,
        "the messages only"
    );
    rig.run(60);
    assert_eq!(
        rig.take(me.0).last().expect("an answer")["method"],
        "add_order"
    );
    let record = &rig.face.core().record;
    assert_eq!(
        record.counts()["refused"],
        5,
        "what timed out and is there was not refused"
    );
}

#[test]
fn other_faults() {
    let mut rig = quiet();
    let me = trader(&mut rig);
    rig.fault("duplicate-fill");
    let mut order = limit("buy", "70000", "0.0001", "d");
    order["time_in_force"] = json!("ioc");
    let got = method(&mut rig, &me, "add_order", order);
    let trades: Vec<Value> = rows(&got[1..], "executions")
        .into_iter()
        .filter(|row| row["exec_type"] == "trade")
        .collect();
    assert_eq!((trades.len(), &trades[0]), (2, &trades[1]));
    rig.fault("seq-reset");
    let got = method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "s"),
    );
    assert_eq!(got[1]["sequence"], 1, "it was higher before");
    // The venue's clock is ahead: what is sent now is too late already.
    rig.fault("clock-skew:ms=6000");
    let mut late = limit("buy", "60000", "0.001", "c");
    late["deadline"] = json!("2026-11-21T00:00:05.000Z");
    assert_eq!(
        method(&mut rig, &me, "add_order", late)[0]["error"],
        "EService:Deadline elapsed"
    );
    assert_eq!(
        rig.get("/0/public/Time", "")["result"]["unixtime"],
        START / SECOND_NS + 6
    );
    rig.fault("ban:for=2s");
    assert_eq!(
        rest(&mut rig, "Balance", "")["error"][0],
        "EGeneral:Temporary lockout"
    );
    rig.run(2_000);
    assert_eq!(rest(&mut rig, "Balance", "")["error"], json!([]));
    let place = "&pair=XBTUSDT&type=buy&ordertype=limit&volume=0.001&price=60000";
    for (fault, at) in [("http-500", 1), ("http-500:executed=false:code=520", 2)] {
        rig.fault(fault);
        let fields = format!("{place}&cl_ord_id=h{at}");
        let nonce = rig.face.nonces[&1] + 1;
        let response = rig
            .http(&signed("AddOrder", nonce, &fields))
            .expect("an answer");
        assert!(response.status >= 500 && serde_json::from_str::<Value>(&response.body).is_err());
        let is_there = rig
            .face
            .core()
            .engine
            .by_client_id(1, &format!("h{at}"))
            .is_some();
        assert_eq!(is_there, at == 1);
    }
    rig.fault("lost-ack");
    let nonce = rig.face.nonces[&1] + 1;
    assert!(rig.http(&signed("AddOrder", nonce, place)).is_none() && rig.hung.len() == 1);
    rig.fault("rate-limit:n=2");
    assert_eq!(
        rest(&mut rig, "OpenOrders", "")["error"][0],
        "EAPI:Rate limit exceeded"
    );
    assert_eq!(
        rest(&mut rig, "CancelAll", "")["error"][0],
        "EOrder:Rate limit exceeded"
    );
}

#[test]
fn tokens_last_as_long_as_they_are_used() {
    let mut rig = quiet();
    let unused = token(&mut rig);
    let me = trader(&mut rig);
    rig.run(901_000);
    let got = method(
        &mut rig,
        &me,
        "add_order",
        limit("buy", "60000", "0.001", "t1"),
    );
    assert_eq!(got[0]["success"], true, "its connection lives");
    let conn = rig.open("/v2", "");
    for token in [&unused, &me.1] {
        let text =
            json!({"method": "subscribe", "params": {"channel": "balances", "token": token}});
        let got = send(&mut rig, conn, &text.to_string());
        assert_eq!(
            got[0]["error"], "ESession:Invalid session",
            "too old to begin with"
        );
    }
    rig.fault("token-expiry");
    let got = method(&mut rig, &me, "cancel_order", json!({"cl_ord_id": ["t1"]}));
    assert_eq!(got[0]["error"], "ESession:Invalid session");
    let again = trader(&mut rig);
    let got = method(
        &mut rig,
        &again,
        "cancel_order",
        json!({"cl_ord_id": ["t1"]}),
    );
    assert_eq!(got[0]["success"], true);
    rig.fault("disconnect:link=private");
    assert!(rig.closed.contains_key(&me.0) && rig.closed.contains_key(&again.0));
    assert!(!rig.closed.contains_key(&conn), "no token of its own");
}
