//! The face as a client sees it.

use super::*;
use crate::venues::rig::{MS, Rig, START, Texts, apply};
use ring::hmac;
use std::fmt::Write as _;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";

/// A market in which nobody else moves.
fn quiet() -> Rig<BinanceUsdm> {
    let mut config = SimConfig::default();
    config.flow.ticks_per_s = 0;
    Rig::new(BinanceUsdm::new(&config, START))
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A signed WS-API request; what came back on that connection.
fn call(
    rig: &mut Rig<BinanceUsdm>,
    conn: ConnId,
    method: &str,
    params: &[(&str, &str)],
) -> Vec<Value> {
    let timestamp = (rig.now / MS).to_string();
    let mut pairs: Vec<(&str, &str)> = params.to_vec();
    pairs.extend([("apiKey", KEY), ("timestamp", timestamp.as_str())]);
    pairs.sort_unstable();
    let text: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let signature = sign(&text.join("&"));
    pairs.push(("signature", &signature));
    let params: serde_json::Map<String, Value> = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    let request = json!({"id": "r", "method": method, "params": params});
    rig.send(conn, &request.to_string())
}

/// A REST request with the key, signed unless it is about a listen key.
fn rest(rig: &mut Rig<BinanceUsdm>, method: &str, path: &str, query: &str) -> (u16, Value) {
    let query = if path.ends_with("listenKey") {
        query.to_owned()
    } else {
        let and = if query.is_empty() { "" } else { "&" };
        let query = format!("{query}{and}timestamp={}", rig.now / MS);
        format!("{query}&signature={}", sign(&query))
    };
    let request = Request {
        method: method.into(),
        path: path.into(),
        query,
        headers: vec![("x-mbx-apikey".into(), KEY.into())],
        ..Request::default()
    };
    let response = rig.http(&request).expect("an answer");
    let body = serde_json::from_str(&response.body).expect("JSON");
    (response.status, body)
}

/// Opens the user stream of a fresh key.
fn user_stream(rig: &mut Rig<BinanceUsdm>) -> ConnId {
    let (status, body) = rest(rig, "POST", "/fapi/v1/listenKey", "");
    assert_eq!(status, 200, "{body}");
    let key = body["listenKey"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 64);
    rig.open(&format!("/private/ws/{key}"), "")
}

fn limit<'a>(side: &'a str, tif: &'a str, price: &'a str, id: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("symbol", "BTCUSDT"),
        ("side", side),
        ("type", "LIMIT"),
        ("timeInForce", tif),
        ("price", price),
        ("quantity", "0.010"),
        ("newClientOrderId", id),
    ]
}

/// `pu` chains, `U` does not; on the first diff that ends behind it any REST book becomes the engine's.
#[test]
fn diffs_chain_by_pu_and_rebuild_the_book() {
    let mut rig = Rig::new(BinanceUsdm::new(&SimConfig::default(), START));
    let conn = rig.open("/public/ws/btcusdt@depth@100ms", "");
    rig.run(250);
    let snapshot = rig.get("/fapi/v1/depth", "symbol=BTCUSDT&limit=1000");
    rig.run(20_000);
    rig.face.core().flows.clear();
    rig.run(200);
    let at = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut book = Texts::default();
    apply(&mut book[0], &snapshot["bids"]);
    apply(&mut book[1], &snapshot["asks"]);
    let (mut last, mut skips, mut kept) = (None, 0, 0);
    for event in rig.take(conn) {
        let id = |name: &str| event[name].as_u64().unwrap();
        assert!(last.is_none_or(|last| id("pu") == last), "{event}");
        assert!(id("pu") < id("U") && id("U") <= id("u"));
        skips += u64::from(id("U") != id("pu") + 1);
        last = Some(id("u"));
        if id("u") <= at {
            continue;
        }
        assert!(kept > 0 || id("pu") <= at, "it overlaps the snapshot");
        kept += 1;
        apply(&mut book[0], &event["b"]);
        apply(&mut book[1], &event["a"]);
    }
    assert!(kept > 150 && skips > 150, "{kept} events, {skips} skips");
    let engine = rig.get("/fapi/v1/depth", "symbol=BTCUSDT&limit=1000");
    assert_eq!(engine["lastUpdateId"].as_u64(), last);
    let mut whole = Texts::default();
    apply(&mut whole[0], &engine["bids"]);
    apply(&mut whole[1], &engine["asks"]);
    assert_eq!(book, whole);
}

/// A stream of another route is taken and stays silent.
#[test]
fn each_route_tells_its_own() {
    let mut rig = Rig::new(BinanceUsdm::new(&SimConfig::default(), START));
    let streams = "streams=btcusdt@aggTrade/btcusdt@trade/btcusdt@bookTicker";
    let (public, market) = (
        rig.open("/public/stream", streams),
        rig.open("/market/stream", streams),
    );
    rig.run(10_000);
    let kinds = |rig: &mut Rig<BinanceUsdm>, conn| {
        let mut kinds: Vec<String> = rig
            .take(conn)
            .iter()
            .map(|it| it["data"]["e"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&mut rig, public), ["bookTicker", "trade"]);
    assert_eq!(kinds(&mut rig, market), ["aggTrade"]);
}

#[test]
fn an_order_rests_is_changed_and_cancelled_and_the_stream_tells_all() {
    let mut rig = quiet();
    let (api, user) = (rig.open("/ws-fapi/v1", ""), user_stream(&mut rig));
    let placed = call(
        &mut rig,
        api,
        "order.place",
        &limit("BUY", "GTX", "60000.00", "a"),
    );
    assert_eq!(placed[0]["status"], 200, "{placed:?}");
    let result = &placed[0]["result"];
    assert_eq!(
        (&result["status"], &result["timeInForce"]),
        (&json!("NEW"), &json!("GTX"))
    );
    let limits = &placed[0]["rateLimits"];
    assert_eq!(limits[0]["count"], 1, "of orders in 10 s: {limits}");
    assert_eq!(limits[1]["interval"], "MINUTE");
    assert_eq!(
        limits[2]["count"], 1,
        "the listen key; orders weigh nothing"
    );
    let change = [
        ("symbol", "BTCUSDT"),
        ("side", "BUY"),
        ("origClientOrderId", "a"),
        ("price", "59000.00"),
        ("quantity", "0.020"),
    ];
    let changed = call(&mut rig, api, "order.modify", &change);
    assert_eq!(changed[0]["result"]["origQty"], "0.020", "{changed:?}");
    let again = call(&mut rig, api, "order.modify", &change);
    assert_eq!(again[0]["error"]["code"], -5027);
    let named = [("symbol", "BTCUSDT"), ("origClientOrderId", "a")];
    let cancelled = call(&mut rig, api, "order.cancel", &named);
    assert_eq!(cancelled[0]["result"]["status"], "CANCELED");
    let gone = call(&mut rig, api, "order.cancel", &named);
    assert_eq!(gone[0]["error"]["code"], -2011);
    let told: Vec<(String, String, String)> = rig
        .take(user)
        .iter()
        .map(|it| {
            let text = |name: &str| it["o"][name].as_str().unwrap().to_owned();
            assert_eq!(it["e"], "ORDER_TRADE_UPDATE");
            assert_eq!(it["o"]["c"], "a", "the order's own name, always");
            (text("x"), text("X"), text("p"))
        })
        .collect();
    let expected = [
        ("NEW", "NEW", "60000.00"),
        ("AMENDMENT", "NEW", "59000.00"),
        ("CANCELED", "CANCELED", "59000.00"),
    ];
    assert_eq!(
        told,
        expected.map(|(x, state, price)| (x.into(), state.into(), price.into()))
    );
}

#[test]
fn a_fill_moves_the_position_and_is_told_three_times_over() {
    let mut rig = quiet();
    let (api, user) = (rig.open("/ws-fapi/v1", ""), user_stream(&mut rig));
    let placed = call(
        &mut rig,
        api,
        "order.place",
        &limit("BUY", "IOC", "70000.00", "a"),
    );
    // The answer says NEW whatever became of it.
    assert_eq!(placed[0]["result"]["status"], "NEW", "{placed:?}");
    assert_eq!(placed[0]["result"]["executedQty"], "0.000");
    let told = rig.take(user);
    let kinds: Vec<&str> = told.iter().map(|it| it["e"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[..4],
        [
            "ORDER_TRADE_UPDATE",
            "TRADE_LITE",
            "ACCOUNT_UPDATE",
            "ORDER_TRADE_UPDATE"
        ]
    );
    let report = &told[3]["o"];
    assert_eq!(told[1]["t"], report["t"]);
    assert_eq!(report["N"], "USDT");
    let last = told.iter().rfind(|it| it["e"] == "ACCOUNT_UPDATE").unwrap();
    assert_eq!(last["a"]["P"][0]["pa"], "0.010");
    let (_, positions) = rest(&mut rig, "GET", "/fapi/v3/positionRisk", "");
    assert_eq!(positions[0]["positionAmt"], "0.010");
    assert_eq!(positions[0]["entryPrice"], last["a"]["P"][0]["ep"]);
    let (_, balances) = rest(&mut rig, "GET", "/fapi/v3/balance", "");
    assert_eq!(balances[0]["balance"], last["a"]["B"][0]["wb"]);
    let (_, trades) = rest(&mut rig, "GET", "/fapi/v1/userTrades", "symbol=BTCUSDT");
    assert_eq!(trades[0]["id"], report["t"]);
    assert_eq!(trades[0]["commission"], report["n"]);
}

#[test]
fn what_is_refused_is_refused_in_the_futures_own_words() {
    let mut rig = quiet();
    let api = rig.open("/ws-fapi/v1", "");
    let with = |name: &'static str, value: &'static str| {
        let mut order = limit("BUY", "GTC", "60000.00", "a");
        match order.iter_mut().find(|(known, _)| *known == name) {
            Some(pair) => pair.1 = value,
            None => order.push((name, value)),
        }
        order
    };
    let mut gtx = with("timeInForce", "GTX");
    gtx.retain(|(name, _)| *name != "price");
    gtx.push(("price", "70000.00"));
    for (order, code) in [
        (with("price", "60000.01"), -4014),
        (with("price", "60000.001"), -1111),
        (with("price", "600000.00"), -4016),
        (with("price", "0"), -4013),
        (with("quantity", "0"), -4003),
        (with("quantity", "0.00001"), -1111),
        (with("quantity", "9000.001"), -4005),
        (with("quantity", "0.000"), -4003),
        (with("quantity", "1000.000"), -2019),
        (with("type", "STOP"), -4120),
        (with("timeInForce", "GTD"), -1115),
        (with("positionSide", "LONG"), -4061),
        (with("reduceOnly", "true"), -2022),
        (with("symbol", "XRPUSDT"), -1121),
        (with("newClientOrderId", "no spaces"), -1100),
        (gtx, -5022),
    ] {
        let answer = call(&mut rig, api, "order.place", &order);
        assert_eq!(answer[0]["error"]["code"], code, "{order:?} {answer:?}");
    }
    let first = call(&mut rig, api, "order.place", &with("side", "BUY"));
    assert_eq!(first[0]["status"], 200, "{first:?}");
    let twin = call(&mut rig, api, "order.place", &with("side", "BUY"));
    assert_eq!(twin[0]["error"]["code"], -4116);
    let mut small = with("symbol", "ETHUSDT");
    small.retain(|(name, _)| !matches!(*name, "price" | "quantity"));
    small.extend([("price", "3000.00"), ("quantity", "0.001")]);
    let small = call(&mut rig, api, "order.place", &small);
    assert_eq!(small[0]["error"]["code"], -4164, "three dollars");
}

#[test]
fn the_dead_mans_switch_fires_unless_it_is_put_off() {
    let mut rig = quiet();
    let (api, user) = (rig.open("/ws-fapi/v1", ""), user_stream(&mut rig));
    call(
        &mut rig,
        api,
        "order.place",
        &limit("BUY", "GTC", "60000.00", "a"),
    );
    let countdown = |rig: &mut Rig<BinanceUsdm>, ms: &str| {
        let query = format!("symbol=BTCUSDT&countdownTime={ms}");
        let (status, body) = rest(rig, "POST", "/fapi/v1/countdownCancelAll", &query);
        assert_eq!((status, &body["countdownTime"]), (200, &json!(ms)));
    };
    for _ in 0..5 {
        countdown(&mut rig, "2000");
        rig.run(1_500);
    }
    let open = |rig: &mut Rig<BinanceUsdm>| {
        let (_, open) = rest(rig, "GET", "/fapi/v1/openOrders", "");
        open.as_array().unwrap().len()
    };
    assert_eq!(open(&mut rig), 1);
    countdown(&mut rig, "0");
    rig.run(10_000);
    assert_eq!(open(&mut rig), 1, "0 ends it");
    countdown(&mut rig, "2000");
    rig.take(user);
    rig.run(2_100);
    assert_eq!(open(&mut rig), 0);
    assert_eq!(rig.take(user)[0]["o"]["X"], "CANCELED");
}

#[test]
fn a_listen_key_lives_an_hour_unless_it_is_kept_alive() {
    let mut rig = quiet();
    let user = user_stream(&mut rig);
    rig.run(1_800_000);
    assert_eq!(rest(&mut rig, "PUT", "/fapi/v1/listenKey", "").0, 200);
    rig.run(1_900_000);
    assert!(rig.take(user).is_empty());
    rig.run(1_800_000);
    let told = rig.take(user);
    assert_eq!(told[0]["e"], "listenKeyExpired");
    let (status, body) = rest(&mut rig, "PUT", "/fapi/v1/listenKey", "");
    assert_eq!((status, &body["code"]), (400, &json!(-1125)));
    let stranger = rig.open("/private/ws/abc", "");
    assert_eq!(rig.closed.get(&stranger), Some(&Some(1008)));
    let again = user_stream(&mut rig);
    rig.fault("token-expiry");
    assert_eq!(rig.take(again)[0]["e"], "listenKeyExpired");
}

#[test]
fn orders_have_windows_of_their_own_and_weight_is_told() {
    let mut rig = quiet();
    let api = rig.open("/ws-fapi/v1", "");
    let mut refused = None;
    for n in 0..=ORDERS {
        let id = format!("o{n}");
        let order = limit("BUY", "GTC", "60000.00", &id);
        let answer = call(&mut rig, api, "order.place", &order);
        let named = [("symbol", "BTCUSDT"), ("origClientOrderId", id.as_str())];
        match answer[0]["error"]["code"].as_i64() {
            Some(code) => refused = refused.or(Some((n, code))),
            None => {
                call(&mut rig, api, "order.cancel", &named);
            }
        }
    }
    assert_eq!(refused, Some((ORDERS, -1015)), "cancels are not counted");
    let request = Request {
        method: "GET".into(),
        path: "/fapi/v1/depth".into(),
        query: "symbol=BTCUSDT&limit=1000".into(),
        ..Request::default()
    };
    let header = |response: Response| {
        let found = response
            .headers
            .iter()
            .find(|(name, _)| *name == "x-mbx-used-weight-1m");
        found.unwrap().1.parse::<u32>().unwrap()
    };
    let before = header(rig.http(&request).unwrap());
    assert_eq!(header(rig.http(&request).unwrap()), before + 20);
    rig.fault("rate-limit:n=1:for=3s");
    let limited = rig.http(&request).unwrap();
    assert_eq!(limited.status, 429);
    assert!(
        limited.body.contains("2400 request weight"),
        "{}",
        limited.body
    );
}

/// Orders that go together, as the form of a signed request; what came back.
fn together(
    rig: &mut Rig<BinanceUsdm>,
    orders: &[Vec<(&str, &str)>],
    secret: &str,
) -> (u16, Value) {
    let list: Vec<Value> = orders
        .iter()
        .map(|order| {
            order
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect()
        })
        .collect();
    let encoded = Value::from(list)
        .to_string()
        .bytes()
        .fold(String::new(), |mut out, byte| {
            let _ = write!(out, "%{byte:02X}");
            out
        });
    let form = format!("batchOrders={encoded}&timestamp={}", rig.now / MS);
    let request = Request {
        method: "POST".into(),
        path: "/fapi/v1/batchOrders".into(),
        body: format!("{form}&signature={}{secret}", sign(&form)),
        headers: vec![("x-mbx-apikey".into(), KEY.into())],
        ..Request::default()
    };
    let response = rig.http(&request).expect("an answer");
    let body = serde_json::from_str(&response.body).expect("JSON");
    (response.status, body)
}

#[test]
fn orders_that_come_together_are_answered_each_and_counted_once() {
    let mut rig = quiet();
    let user = user_stream(&mut rig);
    let orders = [
        limit("BUY", "GTX", "60000.00", "a"),
        limit("BUY", "GTX", "70000.00", "b"),
        limit("BUY", "GTC", "60000.00", "c"),
    ];
    let (status, rows) = together(&mut rig, &orders, "");
    assert_eq!(status, 200, "{rows}");
    let named = |at: usize| rows[at]["clientOrderId"].as_str();
    assert_eq!((named(0), named(1), named(2)), (Some("a"), None, Some("c")));
    assert_eq!(rows[1]["code"], -5022);
    let told = rig.take(user);
    let told: Vec<_> = told
        .iter()
        .map(|it| it["o"]["c"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["a", "c"]);
    let counts = rig.face.core().record.counts();
    assert_eq!(counts["requests"]["new_batch"], 1);
    assert_eq!(
        (&counts["requests"]["new"], &counts["refused"]),
        (&json!(3), &json!(1))
    );
    let stats = rig.face.stats();
    let used = |name: &str| {
        let all = stats["limits"].as_array().unwrap().iter();
        let found = all
            .clone()
            .find(|it| it["name"].as_str().unwrap().starts_with(name));
        found.unwrap()["highest"].as_u64().unwrap()
    };
    assert_eq!(used("orders of"), 5);
    assert_eq!(used("orders a minute"), 1);
    assert_eq!(used("weight"), 1 + 5, "the listen key");
}

#[test]
fn orders_that_come_together_and_badly_are_refused_whole() {
    let mut rig = quiet();
    let one = limit("BUY", "GTC", "60000.00", "a");
    let six: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .map(|id| limit("BUY", "GTC", "60000.00", id))
        .into();
    for (orders, secret, code) in [
        (&six[..], "", -1102),
        (&[][..], "", -1102),
        (&[one.clone()][..], "0", -1022),
    ] {
        let (status, body) = together(&mut rig, orders, secret);
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{body}");
    }
    let counts = rig.face.core().record.counts();
    assert_eq!(
        (&counts["requests"]["new_batch"], &counts["refused"]),
        (&json!(3), &json!(7))
    );
    assert_eq!(counts["orders"], 0);
    // Sixty of them are the orders of 10 s, however few each has.
    let mut answers = Vec::new();
    for n in 0..61 {
        let id = format!("o{n}");
        answers.push(together(
            &mut rig,
            &[limit("BUY", "GTC", "60000.00", &id)],
            "",
        ));
    }
    assert!(answers[..60].iter().all(|(status, _)| *status == 200));
    assert_eq!(
        (answers[60].0, &answers[60].1["code"]),
        (429, &json!(-1015))
    );
}
