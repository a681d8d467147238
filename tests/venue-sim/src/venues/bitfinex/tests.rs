use super::*;
use crate::venues::rig::{MS, Rig, START};
use ring::hmac;
use std::fmt::Write as _;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";
const BTC: &str = "tBTCUST";
/// Times, numbers and checksums.
const ALL_FLAGS: u64 = 229_376;

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> Rig<Bitfinex> {
    let mut config = SimConfig::default();
    change(&mut config);
    Rig::new(Bitfinex::new(&config, START))
}

fn lively() -> Rig<Bitfinex> {
    rig_with(|_| ())
}

fn quiet() -> Rig<Bitfinex> {
    rig_with(|config| config.flow.ticks_per_s = 0)
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA384, SECRET.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn auth(nonce: u64) -> Value {
    json!({"event": "auth", "apiKey": KEY, "authSig": sign(&format!("AUTH{nonce}")),
        "authNonce": nonce.to_string(), "authPayload": format!("AUTH{nonce}"), "dms": 4,
        "filter": ["trading", "wallet", "balance", "notify"]})
}

/// A socket that is logged in, its snapshots taken.
fn trader(rig: &mut Rig<Bitfinex>) -> ConnId {
    let conn = rig.open("/ws/2", "");
    let nonce = rig.now / 1_000 + conn;
    let got = rig.send(conn, &auth(nonce).to_string());
    assert_eq!(
        (&got[0]["event"], &got[0]["status"]),
        (&json!("auth"), &json!("OK"))
    );
    let words: Vec<&Value> = got[1..].iter().map(|frame| &frame[1]).collect();
    assert_eq!(words, ["os", "ps", "ws", "bu"]);
    rig.take(conn);
    conn
}

fn subscribe(rig: &mut Rig<Bitfinex>, flags: u64, request: &Value) -> (ConnId, u64) {
    let conn = rig.open("/ws/2", "");
    assert_eq!(rig.take(conn)[0]["platform"]["status"], 1);
    let conf = rig.send(conn, &json!({"event": "conf", "flags": flags}).to_string());
    assert_eq!(
        conf,
        [json!({"event": "conf", "status": "OK", "flags": flags})]
    );
    rig.take(conn);
    let mut request = request.clone();
    request["event"] = json!("subscribe");
    request["symbol"] = json!(BTC);
    let got = rig.send(conn, &request.to_string());
    assert_eq!(got[0]["event"], "subscribed", "{got:?}");
    rig.inbox.get_mut(&conn).unwrap().remove(0);
    (conn, got[0]["chanId"].as_u64().unwrap())
}

fn book(prec: &str, len: &str) -> Value {
    json!({"channel": "book", "prec": prec, "freq": "F0", "len": len})
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// A book rebuilt as a client would, from tokens: `[bids, asks]`, each line as it was printed.
#[derive(Default)]
struct Mirror {
    lines: Vec<Value>,
    is_raw: bool,
}

impl Mirror {
    fn apply(&mut self, data: &Value) {
        if data[0].is_array() {
            self.lines = data.as_array().unwrap().clone();
            return;
        }
        let at = usize::from(self.is_raw);
        let is_gone = number(&data[1]) == 0.0;
        // A price may stand on the other side a moment later; an order stays on its own.
        let is_same = |line: &Value| {
            line[0] == data[0]
                && (self.is_raw || (number(&line[2]) > 0.0) == (number(&data[2]) > 0.0))
        };
        self.lines.retain(|line| !is_same(line));
        if !is_gone {
            assert!(number(&data[at]) > 0.0);
            self.lines.push(data.clone());
        }
    }

    fn side(&self, is_bid: bool) -> Vec<&Value> {
        let at = usize::from(self.is_raw);
        let lines = self.lines.iter();
        let mut side: Vec<&Value> = lines
            .filter(|line| (number(&line[2]) > 0.0) == is_bid)
            .collect();
        side.sort_by(|a, b| {
            let (a_price, b_price) = (number(&a[at]), number(&b[at]));
            let by_price = a_price.total_cmp(&b_price);
            let by_price = if is_bid { by_price.reverse() } else { by_price };
            by_price.then(a[0].as_u64().cmp(&b[0].as_u64()))
        });
        side
    }

    fn sum(&self) -> i64 {
        let (bids, asks) = (self.side(true), self.side(false));
        let mut parts = Vec::new();
        for at in 0..25 {
            for side in [&bids, &asks] {
                parts.extend(side.get(at).map(|line| format!("{}:{}", line[0], line[2])));
            }
        }
        i64::from(crc32fast::hash(parts.join(":").as_bytes()) as i32)
    }
}

/// Numbers, times, lengths and every checksum, as a client sees them; a late subscriber fits in.
#[test]
fn books_of_every_shape_are_what_their_checksums_say() {
    for (prec, len) in [
        ("P0", "25"),
        ("P0", "1"),
        ("P0", "250"),
        ("P1", "25"),
        ("R0", "25"),
        ("R0", "100"),
    ] {
        let mut rig = lively();
        let early = subscribe(&mut rig, ALL_FLAGS, &book(prec, len));
        rig.run(1_030);
        let late = subscribe(&mut rig, ALL_FLAGS, &book(prec, len));
        rig.run(2_000);
        for (conn, channel) in [early, late] {
            let mut mirror = Mirror {
                is_raw: prec == "R0",
                ..Mirror::default()
            };
            let (mut seq, mut sums) = (0, 0);
            for frame in rig.take(conn) {
                let frame = frame.as_array().unwrap();
                assert_eq!(frame[0], channel);
                seq += 1;
                let [.., number, time] = frame.as_slice() else {
                    panic!("{frame:?}")
                };
                assert_eq!(number.as_u64(), Some(seq));
                assert!(time.as_u64() > Some(START / MS - 1));
                if frame[1] == "cs" {
                    sums += 1;
                    assert_eq!(frame[2].as_i64(), Some(mirror.sum()), "{prec} {len}");
                    for is_bid in [true, false] {
                        assert!(mirror.side(is_bid).len() <= len.parse().unwrap());
                    }
                } else {
                    assert_eq!(frame.len(), 4);
                    mirror.apply(&frame[1]);
                }
            }
            assert!(sums > 15, "{sums} checksums of {prec} {len}");
        }
    }
}

#[test]
fn a_rebuilt_book_is_the_one_of_rest() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, 0, &book("P0", "100"));
    rig.run(3_000);
    rig.fault("calm:for=10s");
    rig.run(200);
    let mut mirror = Mirror::default();
    for frame in rig.take(conn) {
        mirror.apply(&frame[1]);
    }
    let rest = rig.get("/v2/book/tBTCUST/P0", "len=100");
    let mut lines = mirror.side(true);
    lines.extend(mirror.side(false));
    assert_eq!(rest.as_array().unwrap().iter().collect::<Vec<_>>(), lines);
}

/// How often the row of numbers breaks, and how many checksums are wrong.
fn breaks(rig: &mut Rig<Bitfinex>, conn: ConnId) -> (i32, i32) {
    let (mut seq, mut breaks, mut wrong, mut mirror) = (0, 0, 0, Mirror::default());
    for frame in rig.take(conn) {
        let frame = frame.as_array().unwrap();
        let number = frame[frame.len() - 2].as_i64().unwrap();
        breaks += i32::from(number != seq + 1);
        seq = number;
        if frame[1] == "cs" {
            wrong += i32::from(frame[2].as_i64() != Some(mirror.sum()));
        } else {
            mirror.apply(&frame[1]);
        }
    }
    (breaks, wrong)
}

#[test]
fn each_book_fault_breaks_what_it_should() {
    for (fault, expected) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("seq-reset", 1),
        ("bad-checksum", 0),
    ] {
        let mut rig = lively();
        let (conn, _) = subscribe(&mut rig, ALL_FLAGS, &book("P0", "25"));
        rig.run(1_000);
        rig.fault(fault);
        rig.run(1_000);
        let (holes, wrong) = breaks(&mut rig, conn);
        // A frame that is held may have a checksum between itself and the one before.
        assert!(
            holes == expected || (fault == "reorder" && holes > 1),
            "{fault}: {holes}"
        );
        if fault == "bad-checksum" {
            assert_eq!(wrong, 1);
        } else if fault == "gap" {
            assert!(wrong > 0, "what was dropped is missed");
        }
    }
}

#[test]
fn an_item_more_does_no_harm_to_those_before_it() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, ALL_FLAGS, &book("P0", "25"));
    rig.take(conn);
    rig.fault("extra-fields:n=2");
    rig.run(500);
    let frames = rig.take(conn);
    let longer = frames
        .iter()
        .filter(|frame| frame[1].as_array().is_some_and(|row| row.len() == 6));
    assert_eq!(longer.count(), 2);
}

#[test]
fn the_rest_book_may_be_old_or_ahead() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, 0, &book("P0", "25"));
    rig.run(5_000);
    let get = |rig: &mut Rig<Bitfinex>| rig.get("/v2/book/tBTCUST/P0", "len=25");
    let fresh = get(&mut rig);
    rig.fault("snapshot-old");
    let old = get(&mut rig);
    assert!(old != fresh && old.as_array().unwrap().len() == 50);
    assert_eq!(get(&mut rig), fresh, "once");
    rig.run(60);
    rig.take(conn);
    rig.fault("snapshot-new:ms=400");
    get(&mut rig);
    rig.run(390);
    assert_eq!(rig.take(conn), Vec::<Value>::new());
    rig.run(100);
    assert!(!rig.take(conn).is_empty());
}

#[test]
fn trades_come_twice_and_tickers_have_eleven_items() {
    let mut rig = lively();
    let (trades, _) = subscribe(&mut rig, 0, &json!({"channel": "trades"}));
    let (ticker, _) = subscribe(&mut rig, 0, &json!({"channel": "ticker"}));
    rig.run(10_000);
    let frames = rig.take(trades);
    assert!(frames[0][1].is_array());
    let of = |kind: &str| -> Vec<&Value> {
        frames
            .iter()
            .filter(|frame| frame[1] == kind)
            .map(|frame| &frame[2])
            .collect()
    };
    let (executed, confirmed) = (of("te"), of("tu"));
    assert!(executed.len() > 5 && executed.len() - confirmed.len() < 5);
    assert_eq!(executed[..confirmed.len()], confirmed[..]);
    let first = |kind: &str| frames.iter().position(|frame| frame[1] == kind);
    assert!(first("te") < first("tu"));
    let list = rig.get("/v2/trades/tBTCUST/hist", "limit=3");
    assert_eq!(list[0], *executed[executed.len() - 1]);
    let rows = rig.take(ticker);
    assert!(
        rows.len() > 5
            && rows
                .iter()
                .all(|frame| frame[1].as_array().unwrap().len() == 11)
    );
    let rest = rig.get("/v2/tickers", "symbols=tBTCUST,tFOOUSD");
    assert_eq!(
        (rest.as_array().unwrap().len(), &rest[0][0]),
        (1, &json!(BTC))
    );
}

#[test]
fn what_is_quiet_beats_and_is_counted() {
    let mut rig = quiet();
    let (conn, channel) = subscribe(&mut rig, 65_536, &book("P0", "25"));
    let private = trader(&mut rig);
    rig.run(31_000);
    let beats: Vec<Value> = rig.take(conn)[1..].to_vec();
    assert_eq!(
        beats,
        [json!([channel, "hb", 2]), json!([channel, "hb", 3])]
    );
    assert_eq!(rig.take(private), [json!([0, "hb"]), json!([0, "hb"])]);
    let pong = rig.send(conn, r#"{"event":"ping","cid":1}"#);
    assert_eq!(pong[0]["cid"], 1);
    rig.run(600_000);
    assert!(rig.closed.is_empty(), "nobody is cut for silence");
}

#[test]
fn subscriptions_are_refused_in_the_venue_s_words() {
    let mut rig = quiet();
    let conn = rig.open("/ws/2", "");
    let mut ask = |request: Value| rig.send(conn, &request.to_string())[0].clone();
    let wrong = json!({"event": "subscribe", "channel": "book", "symbol": "tFOOUSD", "prec": "P0",
        "freq": "F0", "len": "25", "subId": "b1"});
    assert_eq!(
        ask(wrong).to_string(),
        r#"{"event":"error","channel":"book","symbol":"tFOOUSD","prec":"P0","freq":"F0","len":"25","subId":"b1","pair":"FOOUSD","msg":"symbol: invalid","code":10300}"#
    );
    let mut good = json!({"event": "subscribe", "channel": "book", "symbol": BTC, "subId": "b0"});
    let got = ask(good.clone());
    let channel = got["chanId"].clone();
    assert_eq!(
        got.to_string(),
        format!(
            r#"{{"event":"subscribed","channel":"book","chanId":{channel},"symbol":"tBTCUST","prec":"P0","freq":"F0","len":"25","subId":"b0","pair":"BTCUST"}}"#
        )
    );
    assert_eq!(ask(good.clone())["code"], 10_301);
    good["channel"] = json!("candles");
    assert_eq!(ask(good.clone())["code"], 10_302);
    good["channel"] = json!("book");
    good["len"] = json!(7);
    assert_eq!(ask(good)["msg"], "len: invalid");
    let leave = json!({"event": "unsubscribe", "chanId": channel});
    assert_eq!(
        ask(leave.clone()),
        json!({"event": "unsubscribed", "status": "OK", "chanId": channel})
    );
    assert_eq!(ask(leave)["code"], 10_401);
    assert_eq!(ask(json!({"event": "conf", "flags": 8}))["code"], 10_050);
    assert_eq!(ask(json!({"event": "sneezegasm"}))["code"], 10_000);
    assert_eq!(ask(json!([0, "on", null, {}]))["code"], 10_200);
    let mut opened = 0;
    for symbol in [BTC, "tETHUST"] {
        for prec in ["P0", "P1", "P2", "P3", "P4"] {
            for len in ["1", "25", "100"] {
                let book = json!({"event": "subscribe", "channel": "book", "symbol": symbol,
                    "prec": prec, "len": len});
                let got = ask(book);
                opened += i32::from(got["event"] == "subscribed");
                assert!(got["event"] == "subscribed" || got["code"] == 10_305);
            }
        }
    }
    assert_eq!(opened, 25);
}

#[test]
fn logins_and_requests_are_signed_and_nonces_rise() {
    let mut rig = quiet();
    let conn = rig.open("/ws/2", "");
    for (name, value, code) in [
        ("apiKey", "x", 10_100),
        ("authPayload", "HELLO5", 10_111),
        ("authSig", "00ff", 10_112),
        ("authNonce", "9007199254740993", 10_114),
    ] {
        let mut bad = auth(5);
        bad[name] = json!(value);
        let got = rig.send(conn, &bad.to_string());
        assert_eq!(
            (&got[0]["status"], got[0]["code"].as_i64()),
            (&json!("FAILED"), Some(code))
        );
    }
    rig.run(15_000);
    assert_eq!(rig.send(conn, &auth(1_000).to_string())[0]["status"], "OK");
    let status = |rig: &mut Rig<Bitfinex>, request: &Request| {
        let response = rig.http(request).unwrap();
        (response.status, response.body)
    };
    let small = signed(1_000, "/v2/auth/r/wallets", "{}");
    assert_eq!(
        status(&mut rig, &small),
        (500, r#"["error",10114,"nonce: small"]"#.into())
    );
    let good = signed(1_001, "/v2/auth/r/wallets", "{}");
    assert_eq!(status(&mut rig, &good).0, 200);
    assert_eq!(status(&mut rig, &good).0, 500, "a nonce is used once");
    let mut forged = signed(1_002, "/v2/auth/r/wallets", "{}");
    forged.body = r#"{"a":1}"#.into();
    assert_eq!(
        status(&mut rig, &forged).1,
        r#"["error",10112,"signature: invalid"]"#
    );
    assert_eq!(
        status(&mut rig, &signed(1_002, "/v2/auth/r/wallets", "{}")).0,
        200
    );
    let other = rig.open("/ws/2", "");
    assert_eq!(rig.send(other, &auth(900).to_string())[0]["code"], 10_114);
}

fn signed(nonce: u64, path: &str, body: &str) -> Request {
    let sign = sign(&format!("/api{path}{nonce}{body}"));
    Request {
        method: "POST".into(),
        path: path.into(),
        headers: vec![
            ("bfx-nonce".into(), nonce.to_string()),
            ("bfx-apikey".into(), KEY.into()),
            ("bfx-signature".into(), sign),
        ],
        body: body.into(),
        ..Request::default()
    }
}

fn post(rig: &mut Rig<Bitfinex>, path: &str, body: &str) -> (u16, Value) {
    // Above every login's, and rising with the requests.
    let nonce = (1 << 52)
        + rig.face.core().record.counts()["requests"]
            .to_string()
            .len() as u64;
    let nonce = nonce.max(rig.face.nonces.get(KEY).copied().unwrap_or(0) + 1);
    let response = rig.http(&signed(nonce, path, body)).unwrap();
    let body = serde_json::from_str(&response.body).unwrap_or(Value::String(response.body));
    (response.status, body)
}

fn order(cid: u64, kind: &str, amount: &str, price: &str) -> Value {
    json!({"cid": cid, "type": kind, "symbol": BTC, "amount": amount, "price": price})
}

fn op(rig: &mut Rig<Bitfinex>, conn: ConnId, word: &str, body: Value) -> Vec<Value> {
    rig.send(conn, &json!([0, word, null, body]).to_string())
}

/// The words of channel 0 in order, wallets left out.
fn words(frames: &[Value]) -> Vec<&str> {
    let words = frames.iter().map(|frame| frame[1].as_str().unwrap());
    words.filter(|word| *word != "wu").collect()
}

#[test]
fn an_order_lives_and_channel_0_says_so() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let got = op(
        &mut rig,
        conn,
        "on",
        order(7, "EXCHANGE LIMIT", "0.001", "60000.19"),
    );
    assert_eq!(words(&got), ["n", "on"]);
    let notice = &got[0][2];
    let (id, ms) = (notice[4][0].clone(), START / MS);
    assert_eq!(
        notice.to_string(),
        format!(
            r#"[{ms},"on-req",null,null,[{id},null,7,"tBTCUST",{ms},{ms},0.001,0.001,"EXCHANGE LIMIT",null,null,null,0,"ACTIVE",null,null,60000,0,0,0,null,null,null,0,0,null,null,null,"API>BFX",null,null,null],null,"SUCCESS","Submitting exchange limit buy order for 0.001 BTC."]"#
        )
    );
    assert_eq!(got[1][2], notice[4]);
    let again = op(
        &mut rig,
        conn,
        "on",
        order(7, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!(
        (&again[0][2][6], &again[0][2][7]),
        (&json!("ERROR"), &json!("duplicate cid"))
    );
    let amended = op(
        &mut rig,
        conn,
        "ou",
        json!({"id": id, "price": "60001", "amount": "0.002"}),
    );
    assert_eq!(words(&amended), ["n", "ou"]);
    assert_eq!(
        amended[0][2][7],
        "Submitting update to exchange limit buy order for 0.001 BTC."
    );
    let row = &amended[1][2];
    assert_eq!(
        row[16].to_string() + " " + &row[6].to_string(),
        "60001 0.002"
    );
    let gone = op(
        &mut rig,
        conn,
        "oc",
        json!({"cid": 7, "cid_date": "2026-11-20"}),
    );
    assert_eq!(
        (words(&gone), &gone[0][2][7]),
        (vec!["n"], &json!("Order not found."))
    );
    let cancelled = op(
        &mut rig,
        conn,
        "oc",
        json!({"cid": 7, "cid_date": "2026-11-21"}),
    );
    assert_eq!(
        (words(&cancelled), &cancelled[1][2][13]),
        (vec!["n", "oc"], &json!("CANCELED"))
    );
    let text = format!("Submitted for cancellation; waiting for confirmation (ID: {id}).");
    assert_eq!(cancelled[0][2][7], text);
    let gone = op(&mut rig, conn, "oc", json!({"id": id}));
    assert_eq!(
        gone[0][2].to_string(),
        format!(
            r#"[{ms},"oc-req",null,null,[{id},null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,0,null,null,null,null,null,null,null,null],null,"ERROR","Order not found."]"#
        )
    );
    // The day is over: the same id names another order.
    rig.run(86_400_000);
    let next = op(
        &mut rig,
        conn,
        "on",
        order(7, "EXCHANGE LIMIT", "0.001", "60000"),
    );
    assert_eq!(next[0][2][6], "SUCCESS");
}

#[test]
fn executions_come_at_once_and_with_their_fee_later() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut orders = Vec::new();
    for (cid, price) in [(1, "65003"), (2, "65030")] {
        let got = op(
            &mut rig,
            conn,
            "on",
            order(cid, "EXCHANGE LIMIT", "0.05", price),
        );
        orders.push((words(&got).join(" "), got.clone()));
        assert_eq!(got[0][2][4][13], "ACTIVE", "as it was accepted");
    }
    let (mut with, mut without) = (0, 0);
    for (said, got) in &orders {
        let tail = got.iter().rev().find(|frame| frame[1] != "wu").unwrap();
        if said.starts_with("n on te") {
            with += 1;
        } else {
            assert!(said.starts_with("n te"), "{said}");
            without += 1;
        }
        let status = tail[2][13].as_str().unwrap();
        let is_open = tail[1] == "on" || tail[1] == "ou";
        let start = if is_open {
            "PARTIALLY FILLED @ "
        } else {
            "EXECUTED @ "
        };
        assert!(status.starts_with(start), "{said}: {status}");
    }
    assert_eq!((with, without), (1, 1), "{orders:?}");
    let executed: Vec<Value> = rig
        .take(conn)
        .into_iter()
        .filter(|frame| frame[1] == "te")
        .collect();
    rig.run(150);
    let confirmed: Vec<Value> = rig
        .take(conn)
        .into_iter()
        .filter(|frame| frame[1] == "tu")
        .collect();
    assert!(!executed.is_empty() && executed.len() == confirmed.len());
    for (te, tu) in executed.iter().zip(&confirmed) {
        let (te, tu) = (te[2].as_array().unwrap(), tu[2].as_array().unwrap());
        assert_eq!((te.len(), tu.len(), &te[..9]), (12, 12, &tu[..9]));
        assert!(te[9].is_null() && number(&tu[9]) < 0.0 && tu[10] == "BTC");
        assert!(
            (number(&tu[9]) + number(&tu[4]) * 0.002).abs() < 2e-8,
            "0.2 % of a taker"
        );
    }
    let (_, list) = post(&mut rig, "/v2/auth/r/trades/tBTCUST/hist", r#"{"sort":1}"#);
    let told: Vec<Value> = confirmed.iter().map(|frame| frame[2].clone()).collect();
    assert_eq!(list, Value::Array(told.clone()));
    let name = format!("/v2/auth/r/order/tBTCUST:{}/trades", told[0][3]);
    let (_, own) = post(&mut rig, &name, "{}");
    assert!(
        own.as_array()
            .unwrap()
            .iter()
            .all(|row| row[3] == told[0][3])
            && own[0].is_array()
    );
}

#[test]
fn orders_end_as_their_kind_says() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let last = |got: &[Value]| {
        let closed = got.iter().find(|frame| frame[1] == "oc").expect("an end");
        closed[2][13].as_str().unwrap().to_owned()
    };
    let mut post_only = order(1, "EXCHANGE LIMIT", "0.001", "70000");
    post_only["flags"] = json!(4_096);
    let got = op(&mut rig, conn, "on", post_only);
    assert_eq!(
        (&got[0][2][6], last(&got).as_str()),
        (&json!("SUCCESS"), "POSTONLY CANCELED")
    );
    let got = op(
        &mut rig,
        conn,
        "on",
        order(2, "EXCHANGE IOC", "0.001", "60000"),
    );
    assert_eq!(last(&got), "IOC CANCELED");
    let got = op(&mut rig, conn, "on", order(3, "EXCHANGE FOK", "9", "65001"));
    assert_eq!(last(&got), "FILLORKILL CANCELED");
    let got = op(
        &mut rig,
        conn,
        "on",
        order(4, "EXCHANGE IOC", "-9", "64999"),
    );
    assert!(last(&got).starts_with("IOC CANCELED was: PARTIALLY FILLED @ 64999.0(-"));
    let mut market = order(5, "EXCHANGE MARKET", "0.1", "");
    market.as_object_mut().unwrap().remove("price");
    let got = op(&mut rig, conn, "on", market);
    let status = last(&got);
    assert!(status.starts_with("EXECUTED @ ") && status.contains(": was PARTIALLY FILLED @ "));
}

#[test]
fn orders_are_refused_in_the_venue_s_words() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    for (name, value, words) in [
        ("symbol", json!("tFOOUSD"), "symbol: invalid"),
        ("type", json!("LIMIT"), "type: invalid"),
        ("amount", json!("0"), "minimum size for BTC/UST is 0.00006"),
        (
            "amount",
            json!("0.000000001"),
            "minimum size for BTC/UST is 0.00006",
        ),
        (
            "amount",
            json!("-9001"),
            "maximum size for BTC/UST is 9000.0",
        ),
        ("amount", json!("x"), "amount: invalid"),
        (
            "amount",
            json!("100"),
            "not enough exchange balance for 100 BTCUST at 60000",
        ),
        ("price", json!("0"), "price: invalid"),
        ("cid", json!(1u64 << 45), "cid: invalid"),
        ("flags", json!(64), "flags: invalid"),
        ("tif", json!("2026-12-01 10:45:23"), "tif: invalid"),
    ] {
        let mut bad = order(9, "EXCHANGE LIMIT", "0.001", "60000");
        bad[name] = value;
        let got = op(&mut rig, conn, "on", bad);
        let notice = &got[0][2];
        assert_eq!((notice[6].as_str(), got.len()), (Some("ERROR"), 1));
        assert!(notice[7].as_str().unwrap().contains(words), "{notice}");
        assert_eq!(notice[4].as_array().unwrap().len(), 32);
    }
    let sell = op(
        &mut rig,
        conn,
        "on",
        order(10, "EXCHANGE LIMIT", "-0.001", "70000"),
    );
    let id = sell[0][2][4][0].clone();
    for (body, words) in [
        (json!({"id": id, "amount": "0.002"}), "amount: invalid"),
        (json!({"id": id, "delta": "0.002"}), "amount: invalid"),
        (json!({"id": id, "price": "70000"}), "nothing changes"),
        (json!({"id": 1, "price": "70000"}), "Order not found."),
        (json!({"price": "70000"}), "id: invalid"),
    ] {
        let got = op(&mut rig, conn, "ou", body);
        assert!(got[0][2][7].as_str().unwrap().contains(words), "{got:?}");
    }
    let more = op(&mut rig, conn, "ou", json!({"id": id, "delta": "-0.002"}));
    assert_eq!(more[1][2][6].to_string(), "-0.003");
}

#[test]
fn several_orders_at_once() {
    let mut rig = quiet();
    let conn = trader(&mut rig);
    let mut place = |cid: u64, group: i64| {
        let mut order = order(cid, "EXCHANGE LIMIT", "0.001", "60000");
        order["gid"] = json!(group);
        op(&mut rig, conn, "on", order)[0][2][4][0].clone()
    };
    let ids: Vec<Value> = (1..=6).map(|cid| place(cid, cid as i64 / 3)).collect();
    let cancel = |rig: &mut Rig<Bitfinex>, body: Value| {
        let got = op(rig, conn, "oc_multi", body);
        let closed = got.iter().filter(|frame| frame[1] == "oc").count();
        (closed, got[0][2].clone())
    };
    let (closed, notice) = cancel(&mut rig, json!({"id": [ids[0], 5]}));
    assert_eq!(
        (closed, &notice[7]),
        (1, &json!("Submitting 1 order cancellations."))
    );
    assert_eq!(
        (&notice[1], &notice[4][0][0]),
        (&json!("oc_multi-req"), &ids[0])
    );
    assert_eq!(cancel(&mut rig, json!({"cid": [[2, "2026-11-21"]]})).0, 1);
    assert_eq!(cancel(&mut rig, json!({"gid": [1]})).0, 3);
    let (closed, notice) = cancel(&mut rig, json!({"id": [ids[0]]}));
    assert_eq!(
        (closed, &notice[4], &notice[7]),
        (0, &Value::Null, &json!("Order not found."))
    );
    let ops = json!([
        ["on", order(11, "EXCHANGE LIMIT", "0.001", "60000")],
        ["oc", {"id": ids[5]}],
        ["ox_multi", []],
        ["on", order(12, "EXCHANGE LIMIT", "100", "60000")],
    ]);
    let got = op(&mut rig, conn, "ox_multi", ops);
    let each: Vec<&Value> = got[0][2][4]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row[6])
        .collect();
    assert_eq!(
        each,
        [&json!("SUCCESS"), &json!("SUCCESS"), &json!("ERROR")]
    );
    assert_eq!(words(&got), ["n", "on", "oc"]);
    assert_eq!(cancel(&mut rig, json!({"all": 1})).0, 1);
}
