//! Signatures, limits, links, and answers on a bad day.

use super::*;

#[test]
fn rest_is_signed() {
    let mut rig = quiet();
    let good = signed(&rig, 1, ("GET", "/accounts?x=1"), "");
    assert_eq!(rig.http(&good).unwrap().status, 200);
    for (header, words) in [
        ("cb-access-key", "Invalid API Key"),
        ("cb-access-passphrase", "Invalid Passphrase"),
        ("cb-access-timestamp", "invalid timestamp"),
        ("cb-access-sign", "invalid signature"),
    ] {
        let mut bad = good.clone();
        bad.headers
            .iter_mut()
            .filter(|(name, _)| name == header)
            .for_each(|(_, v)| *v = "x".into());
        let response = rig.http(&bad).unwrap();
        assert_eq!(
            (response.status, response.body),
            (401, format!("{{\"message\":\"{words}\"}}"))
        );
        bad.headers.retain(|(name, _)| name != header);
        assert_eq!(rig.http(&bad).unwrap().status, 401);
    }
    rig.fault("clock-skew:ms=31000");
    assert!(
        rig.http(&good)
            .unwrap()
            .body
            .contains("request timestamp expired")
    );
    rig.fault("clock-skew:ms=29000");
    assert_eq!(rig.http(&good).unwrap().status, 200);
}

#[test]
fn channels_want_a_signature_and_a_product() {
    let mut rig = quiet();
    let conn = rig.open("/", "");
    let plain = |channel: &str, product: &str| {
        format!(
            "{{\"type\":\"subscribe\",\"product_ids\":[\"{product}\"],\"channels\":[\"{channel}\"]}}"
        )
    };
    let stale = subscription(&rig, 1, "\"user\"");
    rig.run(31_000);
    let conn_late = rig.open("/", "");
    for (text, words) in [
        (
            plain("level2", "BTC-USD"),
            "level2, level3, and full channels now require authentication",
        ),
        (
            plain("full", "BTC-USD"),
            "level2, level3, and full channels now require authentication",
        ),
        (
            plain("user", "BTC-USD"),
            "user channel requires authentication",
        ),
        (plain("ticker", "FOO-USD"), "FOO-USD is not a valid product"),
        (plain("tick", "BTC-USD"), "tick is not a valid channel"),
        (
            r#"{"type":"subscribe","channels":["ticker"]}"#.into(),
            "no product_ids for ticker",
        ),
        (stale, "request timestamp expired"),
        (
            subscription(&rig, 1, "\"user\"").replace("-pass", "-past"),
            "Invalid Passphrase",
        ),
        (
            subscription(&rig, 1, "\"user\"").replace("signature\":\"", "signature\":\"A"),
            "invalid signature",
        ),
    ] {
        let got = rig.send(conn_late, &text);
        assert_eq!(
            (&got[0]["type"], &got[0]["reason"]),
            (&json!("error"), &json!(words)),
            "{text}"
        );
    }
    assert_eq!(rig.send(conn_late, "{")[0]["message"], "Malformed JSON");
    assert!(
        rig.closed.contains_key(&conn),
        "it did not subscribe for 5 s"
    );
    rig.run(4_800);
    assert!(
        !rig.closed.contains_key(&conn_late),
        "refusals are no subscription, but 5 s are not over"
    );
    rig.run(300);
    assert!(rig.closed.contains_key(&conn_late));
    // One connection is one account's, and an account has ten of a kind.
    let conn = subscribe(&mut rig, 1, "\"user\"");
    let other = subscription(&rig, 2, "\"level2\"");
    assert_eq!(
        rig.send(conn, &other)[0]["message"],
        "Authentication Failed"
    );
    for _ in 1..10 {
        rig.run(200);
        subscribe(&mut rig, 1, "\"user\"");
    }
    let eleventh = rig.open("/", "");
    let text = subscription(&rig, 1, "\"user\"");
    assert_eq!(
        rig.send(eleventh, &text)[0]["reason"],
        "user subscription limit exceeded"
    );
}

#[test]
fn balances_are_told_and_links_are_cut_by_kind() {
    let mut rig = quiet();
    let accounts = rest(&mut rig, "GET", "/accounts", "");
    let id = accounts[1]["id"].as_str().unwrap();
    assert_eq!(accounts[1]["currency"], "USD");
    let one = rest(&mut rig, "GET", &format!("/accounts/{id}"), "");
    assert_eq!(one, accounts[1]);
    let channels = format!("{{\"name\":\"balance\",\"account_ids\":[\"{id}\"]}}");
    let conn = subscribe(&mut rig, 1, &channels);
    post(&mut rig, &order("buy", "60000", "0.001", 1));
    let got = rig.take(conn);
    assert_eq!(
        (&got[0]["type"], &got[0]["holds"]),
        (&json!("balance"), &json!("60"))
    );
    let user = subscribe(&mut rig, 1, "\"user\"");
    rig.fault("silence:for=1s:link=private");
    post(&mut rig, &order("buy", "60000", "0.001", 2));
    assert!(rig.take(user).is_empty() && !rig.take(conn).is_empty());
    rig.fault("disconnect:link=private");
    assert!(rig.closed.contains_key(&user) && !rig.closed.contains_key(&conn));
    rig.fault("restart:for=1s");
    rig.run(900);
    assert!(!rig.closed.contains_key(&conn));
    rig.run(300);
    assert!(rig.closed.contains_key(&conn));
}

#[test]
fn answers_can_be_late_lost_or_wrong() {
    let mut rig = quiet();
    let user = subscribe(&mut rig, 1, "\"user\"");
    let send = |rig: &mut Rig<Coinbase>, id: u8| {
        let body = order("buy", "60000", "0.001", id).to_string();
        let request = signed(rig, 1, ("POST", "/orders"), &body);
        rig.http(&request).map(|response| response.status)
    };
    rig.fault("lost-ack");
    assert_eq!(
        (send(&mut rig, 1), rig.hung.len(), rig.take(user).len()),
        (None, 1, 2)
    );
    rig.fault("slow-ack:ms=300");
    assert_eq!((send(&mut rig, 2), rig.take(user).len()), (None, 2));
    rig.run(310);
    assert_eq!(rig.replies.len(), 1, "the answer came late");
    rig.fault("stream-after-reply:ms=300");
    assert_eq!((send(&mut rig, 3), rig.take(user).len()), (Some(200), 0));
    rig.run(310);
    assert_eq!(rig.take(user).len(), 2);
    for (fault, status, rests) in [
        ("timeout:executed=true", 500, 2),
        ("timeout:executed=false", 500, 0),
        ("http-500:code=502:executed=true", 502, 2),
        ("http-500:executed=false", 500, 0),
        ("reject", 400, 0),
        ("reject:code=403", 403, 0),
        ("rate-limit", 429, 0),
    ] {
        rig.fault(fault);
        let told = (send(&mut rig, 10), rig.take(user).len());
        assert_eq!(told, (Some(status), rests), "{fault}");
        ask(&mut rig, "DELETE", "/orders", "");
        rig.take(user);
    }
    let counts = rig.face.core().record.counts();
    assert_eq!(
        counts["new_requests"], 9,
        "an http-500 that did nothing was never seen"
    );
}

#[test]
fn limits_are_buckets() {
    let mut rig = quiet();
    let count = |rig: &mut Rig<Coinbase>, target: &str| {
        (0..60)
            .filter(|_| ask(rig, "GET", target, "").status == 200)
            .count()
    };
    for (target, burst, rate) in [
        ("/time", 15, 10),
        ("/accounts", 30, 15),
        ("/fills?product_id=BTC-USD", 20, 10),
    ] {
        assert_eq!(count(&mut rig, target), burst, "{target}");
        rig.run(1_000);
        assert_eq!(count(&mut rig, target), rate, "{target}");
    }
    let conn = rig.open("/", "");
    let text = r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["ticker"]}"#;
    let got = (0..21).map(|_| rig.send(conn, text)).collect::<Vec<_>>();
    assert_eq!(got[19][0]["type"], "subscriptions");
    assert_eq!(got[20][0]["reason"], "rate limit exceeded");
    for _ in 0..80 {
        rig.send(conn, text);
    }
    assert!(rig.closed.contains_key(&conn), "101 messages in a second");
    let limits = rig.face.stats()["limits"].clone();
    let fills = |limit: &&Value| limit["name"] == "REST fills of account 1";
    let fills = limits.as_array().unwrap().iter().find(fills).unwrap();
    assert_eq!(
        (&fills["limit"], &fills["highest"]),
        (&json!(20), &json!(20))
    );
    assert_eq!(fills["refused"], 90);
}
