//! Links, the listen key, signs of life, the dead man's switch.

use super::*;

#[test]
fn links_are_those_of_the_split_hosts() {
    let bare = rig::of::<Usdm>(&["BTCUSDT"], Keys::None);
    assert_eq!((bare.venue.id(), bare.venue.links().len()), (ID_USDM, 2));
    let rig = rig::of::<Usdm>(&["BTCUSDT", "ETHUSDT"], Keys::Hmac);
    let links: Vec<_> = rig
        .venue
        .links()
        .iter()
        .map(|it| (it.name, it.host.as_str(), it.path.as_str(), it.is_held))
        .collect();
    let streams = "/public/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker/\
                   ethusdt@depth@100ms/ethusdt@trade/ethusdt@bookTicker";
    assert_eq!(
        links,
        [
            ("rest", "rest.test", "", false),
            ("md", "public.test", streams, false),
            (
                "orders",
                "private.test",
                "/ws-fapi/v1?returnRateLimits=true",
                false
            ),
            ("user", "public.test", "", true),
            ("cancels", "rest.test", "", false),
        ]
    );
}

fn answer_key(rig: &mut UsdmRig, tag: RestTag, body: &str) -> Released {
    let mut released = Released::default();
    let mut body = body.as_bytes().to_vec();
    let response = dp_venue_api::RestResponse {
        tag,
        status: 200,
        retry_after_s: None,
        usage: dp_venue_api::Usage::default(),
        body: &mut body,
    };
    let (venue, registry) = (&mut rig.venue, &mut rig.registry);
    let _ = venue.on_response(registry, LINK_REST, at_ms(0), response, &mut released);
    released
}

#[test]
fn the_user_stream_opens_by_a_listen_key_and_orders_wait_for_it() {
    let mut rig = rig::of::<Usdm>(&["BTCUSDT"], Keys::Ed25519);
    let opened = rig.open(LINK_REST, 0);
    let key = asked(&opened, "POST /fapi/v1/listenKey");
    assert_eq!(
        key.headers,
        [("X-MBX-APIKEY".to_owned(), API_KEY.to_owned())]
    );
    assert!(
        !key.line.contains("signature"),
        "a key's name is all it takes"
    );
    let tag = key.tag;
    // What goes into a path must be a key and nothing else.
    for hostile in [
        r#"{"listenKey":"../x"}"#,
        r#"{"listenKey":""}"#,
        "{}",
        r#"{"listenKey":5}"#,
    ] {
        assert!(answer_key(&mut rig, tag, hostile).0.is_empty(), "{hostile}");
    }
    let released = answer_key(&mut rig, tag, fixture("usdm_listen_key"));
    let path = "/private/ws/pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1";
    assert_eq!(released.0, [(LINK_USER, path.to_owned())]);
    assert!(
        answer_key(&mut rig, tag, fixture("usdm_listen_key"))
            .0
            .is_empty(),
        "once"
    );

    let logon = rig.open(LINK_ORDERS, 0);
    assert!(text(&logon).contains(r#""method":"session.logon""#));
    let (heard, _) = rig.text(LINK_ORDERS, 0, fixture("usdm_logon_ack"));
    assert_eq!(heard.events.len(), 1, "not yet: {heard:?}");
    let order = new_order(OrderKind::Limit, Tif::Gtc);
    assert_eq!(place(&mut rig, order, 1).unwrap_err(), EntryError::NotReady);
    assert_eq!(rig.open(LINK_USER, 1).events, ["LoggedIn(LinkId(2))"]);
    place(&mut rig, order, 1).unwrap();

    // Its end ends the order link, and asks for a key at once.
    let closed = rig.close(LINK_USER, 2);
    assert_eq!(
        closed.reconnects,
        [(LINK_ORDERS, "the user stream is gone")]
    );
    assert_eq!(place(&mut rig, order, 3).unwrap_err(), EntryError::NotReady);
    asked(&rig.deadline(3), "POST /fapi/v1/listenKey");
}

#[test]
fn keys_that_cannot_log_on_prove_themselves_by_a_signed_question() {
    let mut rig = rig::of::<Usdm>(&["BTCUSDT"], Keys::Hmac);
    let opened = rig.open(LINK_ORDERS, 0);
    let sent = text(&opened);
    assert!(sent.contains(r#""method":"v2/account.balance""#) && sent.contains(r#""signature":""#));
    let refused = r#"{"id":"u","status":401,"error":{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}}"#;
    let (heard, _) = rig.text(LINK_ORDERS, 1, refused);
    assert_eq!(heard.events, ["LoginRefused(Auth)"]);
    assert_eq!(heard.reconnects.len(), 1);
}

#[test]
fn a_listen_key_is_kept_alive_and_asked_for_anew_when_it_ends() {
    let mut rig = ready_usdm(Keys::Ed25519);
    assert!(
        rig.deadline(29 * MINUTE_MS)
            .requests
            .iter()
            .all(|it| !it.line.starts_with("PUT"))
    );
    let kept = asked(&rig.deadline(30 * MINUTE_MS), "PUT /fapi/v1/listenKey").tag;
    let (heard, result) = rig.response(30 * MINUTE_MS, kept, 200, "{}");
    assert_eq!(
        (heard.events, result),
        (
            vec!["Ignored a listen key is kept alive".to_owned()],
            Ok(())
        )
    );
    // Lost: again in a second. Refused: it is one no more.
    let kept = asked(&rig.deadline(60 * MINUTE_MS), "PUT").tag;
    rig.response(60 * MINUTE_MS, kept, 0, "").1.unwrap_err();
    let kept = asked(&rig.deadline(60 * MINUTE_MS + 1_000), "PUT").tag;
    let none = r#"{"code":-1125,"msg":"This listenKey does not exist."}"#;
    let (heard, _) = rig.response(60 * MINUTE_MS + 1_001, kept, 400, none);
    assert_eq!(heard.reconnects, [(LINK_USER, "the listen key has ended")]);
    rig.close(LINK_USER, 60 * MINUTE_MS + 1_002);
    asked(&rig.deadline(60 * MINUTE_MS + 1_002), "POST");

    let mut rig = ready_usdm(Keys::Ed25519);
    let (heard, result) = rig.text(LINK_USER, 10, fixture("usdm_key_expired"));
    assert_eq!(result, Ok(()));
    assert_eq!(heard.reconnects, [(LINK_USER, "the listen key has ended")]);
}

#[test]
fn a_key_that_is_refused_is_told_and_not_asked_for_at_once() {
    let mut rig = rig::of::<Usdm>(&["BTCUSDT"], Keys::Ed25519);
    let tag = asked(&rig.open(LINK_REST, 0), "POST").tag;
    let no = r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#;
    let (heard, result) = rig.response(0, tag, 401, no);
    assert_eq!(
        (heard.events, result),
        (vec!["LoginRefused(Auth)".to_owned()], Ok(()))
    );
    let is_asked = |said: &Said| said.requests.iter().any(|it| it.line.starts_with("POST"));
    assert!(!is_asked(&rig.deadline(9_000)) && is_asked(&rig.deadline(10_000)));
}

/// A stream that does not tell of a request that was taken is half open.
#[test]
fn a_silent_user_stream_is_found_by_what_it_owes() {
    let mut rig = ready_usdm(Keys::Ed25519);
    place(&mut rig, new_order(OrderKind::PostOnly, Tif::Gtc), 0).unwrap();
    rig.text(LINK_ORDERS, 10, fixture("usdm_new_ack"))
        .1
        .unwrap();
    rig.text(LINK_USER, 20, fixture("usdm_order_new"))
        .1
        .unwrap();
    assert!(rig.deadline(6_000).reconnects.is_empty(), "it spoke");
    rig.text(LINK_ORDERS, 6_000, fixture("usdm_cancel_ack"))
        .1
        .unwrap();
    assert!(rig.deadline(10_999).reconnects.is_empty());
    let why = "the user stream does not tell of our orders";
    assert_eq!(rig.deadline(11_000).reconnects, [(LINK_USER, why)]);
}

#[test]
fn every_socket_is_replaced_before_its_day_is_over_and_asked_for_signs_of_life() {
    let mut rig = ready_usdm(Keys::Ed25519);
    let sent = rig.deadline(20_000).sent;
    assert_eq!(
        sent[0],
        (
            LINK_MD,
            r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#.to_owned()
        )
    );
    assert_eq!(
        sent[1].1,
        r#"{"id":"p","method":"session.status","params":{}}"#
    );
    let (pong, _) = rig.text(
        LINK_ORDERS,
        20_001,
        r#"{"id":"p","status":200,"result":{}}"#,
    );
    assert_eq!(pong.events, ["Ignored a pong"]);
    let mut replaced = Vec::new();
    for minute in 0..24 * 60 {
        let said = rig.deadline(minute * MINUTE_MS);
        replaced.extend(said.reconnects.into_iter().map(|(link, _)| (link, minute)));
    }
    replaced.sort_by_key(|(_, minute)| *minute);
    let day = [(LINK_USER, 1_410), (LINK_ORDERS, 1_420), (LINK_MD, 1_430)];
    assert_eq!(replaced, day);
}

#[test]
fn the_switch_is_put_off_while_we_are_logged_in_and_not_after() {
    let mut rig = ready_usdm(Keys::Hmac);
    let mut armed = Vec::new();
    for s in 0..60 {
        for request in rig.deadline(s * 1_000).requests {
            if request
                .line
                .starts_with("POST /fapi/v1/countdownCancelAll?symbol=BTCUSDT&")
            {
                assert_eq!(request.link, LINK_CANCELS);
                assert!(
                    request.line.contains("&countdownTime=20000&"),
                    "{}",
                    request.line
                );
                armed.push(s);
                let done = r#"{"symbol":"BTCUSDT","countdownTime":"20000"}"#;
                rig.response(s * 1_000, request.tag, 200, done).1.unwrap();
            }
        }
    }
    assert_eq!(armed.len(), 12, "{armed:?}");
    assert!(
        armed
            .windows(2)
            .all(|pair| pair[1] - pair[0] == usdm::DEAD_MAN_REARM_S)
    );
    rig.close(LINK_ORDERS, 60_000);
    assert!(
        rig.deadline(120_000)
            .requests
            .iter()
            .all(|it| it.link != LINK_CANCELS)
    );
}
