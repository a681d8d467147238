//! Orders out, answers in.

use super::*;

#[test]
fn orders_are_written_as_the_futures_want_them() {
    let mut rig = ready_usdm(Keys::Ed25519);
    let words = |rig: &mut UsdmRig, kind, tif| {
        let said = place(rig, new_order(kind, tif), 5).unwrap();
        text(&said).to_owned()
    };
    assert_eq!(
        words(&mut rig, OrderKind::PostOnly, Tif::Gtc),
        r#"{"id":"n-1z141z5-0","method":"order.place","params":{"newClientOrderId":"sl-1z141z5","newOrderRespType":"ACK","price":"65000.1","quantity":"0.01","recvWindow":1000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"GTX","timestamp":1760000000005,"type":"LIMIT"}}"#
    );
    for (tif, word) in [(Tif::Gtc, "GTC"), (Tif::Ioc, "IOC"), (Tif::Fok, "FOK")] {
        let sent = words(&mut rig, OrderKind::Limit, tif);
        assert!(
            sent.contains(&format!(r#""timeInForce":"{word}""#)),
            "{sent}"
        );
    }
    let market = words(&mut rig, OrderKind::Market, Tif::Ioc);
    assert!(market.contains(r#""type":"MARKET""#) && !market.contains("timeInForce"));
    let cancel = CancelOrder {
        instrument: BTC,
        client_id: client(),
        order_id: OrderId(8_886_774_001),
    };
    let sent = said(&mut rig, |rig, out| {
        rig.venue
            .cancel_order(&rig.registry, &cancel, at_ms(6), out)
    });
    assert_eq!(
        text(&sent.unwrap()),
        r#"{"id":"c-1z141z5-0","method":"order.cancel","params":{"orderId":8886774001,"recvWindow":60000,"symbol":"BTCUSDT","timestamp":1760000000006}}"#
    );
}

#[test]
fn a_change_tells_the_whole_order_anew() {
    let mut rig = ready_usdm(Keys::Hmac);
    let modify = |rig: &mut UsdmRig, amend: AmendOrder| {
        said(rig, |rig, out| {
            rig.venue.amend_order(&rig.registry, &amend, at_ms(7), out)
        })
    };
    // Nothing is known of it.
    let price = Some(Price(64_000_100));
    assert_eq!(
        modify(&mut rig, amend(price, None)).unwrap_err(),
        EntryError::Unsupported
    );
    place(&mut rig, new_order(OrderKind::PostOnly, Tif::Gtc), 5).unwrap();
    let sent = modify(&mut rig, amend(price, None)).unwrap();
    let params: serde_json::Value = serde_json::from_str(text(&sent)).unwrap();
    let params = params["params"].as_object().unwrap();
    let pairs: Vec<(&str, String)> = params
        .iter()
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.as_str(), text)
        })
        .collect();
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let get = |name: &str| pairs.iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!(
        ["side", "price", "quantity", "orderId", "recvWindow"].map(get),
        ["BUY", "64000.1", "0.01", "8886774001", "1000"]
    );
    let signed = auth::sign_params(SECRET, &pairs).unwrap();
    assert_eq!(get("signature"), signed.signature);
    // The stream's word replaces what was sent.
    rig.text(LINK_USER, 8, fixture("usdm_order_amended"))
        .1
        .unwrap();
    let sent = modify(&mut rig, amend(None, Some(Qty(2_000_000)))).unwrap();
    let sent = text(&sent);
    assert!(
        sent.contains(r#""price":"64000.1""#) && sent.contains(r#""quantity":"0.02""#),
        "{sent}"
    );
    let (heard, _) = rig.text(LINK_ORDERS, 9, fixture("usdm_modify_same"));
    assert_eq!(heard.events, ["Ack 1 order 0 Invalid -5027"]);
}

#[test]
fn everything_is_cancelled_by_one_request_that_waits_behind_nothing() {
    let mut rig = ready_usdm(Keys::Hmac);
    let all = |rig: &mut UsdmRig, ms| {
        said(rig, |rig, out| {
            rig.venue
                .cancel_all(&rig.registry, BTC, &[], at_ms(ms), out)
        })
    };
    let sent = all(&mut rig, 5).unwrap();
    let request = &sent.requests[0];
    assert_eq!(request.link, LINK_CANCELS);
    let (target, signature) = request.line.split_once("&signature=").unwrap();
    let query = format!("symbol=BTCUSDT&recvWindow=60000&timestamp={}", START_MS + 5);
    assert_eq!(target, format!("DELETE /fapi/v1/allOpenOrders?{query}"));
    assert_eq!(
        signature,
        auth::sign_rest(SECRET, &query, "").unwrap().signature
    );
    let done = r#"{"code":200,"msg":"The operation of cancel all open order is done."}"#;
    assert_eq!(rig.response(6, request.tag, 200, done).1, Ok(()));
    // Whoever asked must hear that orders may still be open.
    assert!(rig.response(6, request.tag, 0, "").1.is_err());
    let none = r#"{"code":-2011,"msg":"Unknown order sent."}"#;
    assert_eq!(rig.response(6, request.tag, 400, none).1, Ok(()));
    rig.close(LINK_CANCELS, 7);
    assert_eq!(all(&mut rig, 8).unwrap_err(), EntryError::NotReady);
}

#[test]
fn answers_settle_orders_or_leave_them_open() {
    let check = |name: &str, expected: &[&str]| {
        let mut rig = ready_usdm(Keys::Ed25519);
        let (heard, result) = rig.text(LINK_ORDERS, 100, fixture(name));
        assert_eq!(result, Ok(()), "{name}");
        assert_eq!(heard.events, expected, "{name}");
    };
    // The answer says NEW whatever became of it: only the stream knows.
    check("usdm_new_ack", &["Ack 1 order 8886774001 None 0"]);
    check("usdm_cancel_ack", &["Ack 1 order 8886774001 None 0"]);
    check(
        "usdm_reject_post_only",
        &[
            "Ack 1 order 0 PostOnlyCross -5022",
            "Order 1 REJECTED PostOnlyCross px - qty - cum -",
        ],
    );
    check(
        "usdm_reject_margin",
        &[
            "Ack 1 order 0 InsufficientFunds -2019",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ],
    );
    // One of that id lives at the venue.
    check(
        "usdm_reject_duplicate",
        &[
            "Ack 1 order 0 DuplicateId -4116",
            "Order 1 UNKNOWN DuplicateId px - qty - cum -",
        ],
    );
}
