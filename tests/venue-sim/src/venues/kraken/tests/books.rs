//! Public data: snapshots, changes, checksums, trades, heartbeats.

use super::*;
use crate::venues::rig::MS;
use std::collections::BTreeMap;

/// A book as a client keeps it: price and quantity as printed, under the digits of the price.
#[derive(Default)]
struct Book {
    depth: usize,
    sides: [BTreeMap<u64, (String, String)>; 2],
}

fn digits(text: &str) -> u64 {
    text.replace('.', "").parse().expect("digits")
}

impl Book {
    fn of(depth: usize) -> Self {
        Self {
            depth,
            ..Self::default()
        }
    }

    fn apply(&mut self, message: &Value) {
        if message["type"] == "snapshot" {
            self.sides = Default::default();
        }
        for (at, key) in ["bids", "asks"].into_iter().enumerate() {
            for level in message["data"][0][key].as_array().expect("levels") {
                let (price, qty) = (level["price"].to_string(), level["qty"].to_string());
                if digits(&qty) == 0 {
                    self.sides[at].remove(&digits(&price));
                } else {
                    self.sides[at].insert(digits(&price), (price, qty));
                }
            }
        }
        while self.sides[0].len() > self.depth {
            self.sides[0].pop_first();
        }
        while self.sides[1].len() > self.depth {
            self.sides[1].pop_last();
        }
    }

    fn checksum(&self) -> u32 {
        let [bids, asks] = &self.sides;
        let levels = asks.values().take(10).chain(bids.values().rev().take(10));
        let text: String = levels
            .flat_map(|(price, qty)| [price, qty])
            .map(|text| text.replace('.', "").trim_start_matches('0').to_owned())
            .collect();
        crc32fast::hash(text.as_bytes())
    }

    fn is_right(&self, message: &Value) -> bool {
        message["data"][0]["checksum"].as_u64() == Some(self.checksum().into())
    }
}

fn subscribe(rig: &mut Rig<Kraken>, channel: &str, rest: &str) -> ConnId {
    let conn = rig.open("/v2", "");
    assert_eq!(rig.take(conn)[0]["data"][0]["system"], "online");
    let text = format!(
        r#"{{"method":"subscribe","params":{{"channel":"{channel}","symbol":["BTC/USDT"]{rest}}},"req_id":5}}"#
    );
    let got = send(rig, conn, &text);
    assert_eq!(
        (&got[0]["success"], &got[0]["result"]["symbol"]),
        (&json!(true), &json!("BTC/USDT"))
    );
    conn
}

fn messages(rig: &mut Rig<Kraken>, conn: ConnId, channel: &str) -> Vec<Value> {
    let mut all = rig.take(conn);
    all.retain(|message| message["channel"] == channel);
    all
}

/// Every checksum, recomputed from the digits received; a late subscriber and another depth too.
#[test]
fn every_checksum_is_right_at_every_depth() {
    let mut rig = rig_with(|_| ());
    let early = subscribe(&mut rig, "book", r#","depth":10,"snapshot":true"#);
    rig.run(2_050);
    let deep = subscribe(&mut rig, "book", r#","depth":25"#);
    let late = subscribe(&mut rig, "book", "");
    rig.run(5_000);
    for (conn, depth) in [(early, 10), (deep, 25), (late, 10)] {
        let mut book = Book::of(depth);
        let all = messages(&mut rig, conn, "book");
        assert_eq!(all[0]["type"], "snapshot");
        assert!(all.len() > 100, "{}", all.len());
        for message in &all {
            book.apply(message);
            assert!(book.is_right(message), "{message}");
        }
        let best = book.sides[0].last_key_value().expect("bids").0;
        let real = rig
            .face
            .core()
            .engine
            .book(0)
            .best(crate::engine::Side::Buy);
        assert_eq!(Some(*best as i64), real.map(|(price, _)| price));
    }
}

/// What each fault breaks, as a client sees it.
#[test]
fn book_faults_show_in_the_checksum() {
    for (fault, is_broken) in [
        ("gap", true),
        ("reorder", true),
        ("bad-checksum", true),
        ("duplicate", false),
        ("extra-fields", false),
    ] {
        let mut rig = rig_with(|_| ());
        let conn = subscribe(&mut rig, "book", "");
        rig.run(500);
        rig.fault(fault);
        rig.run(500);
        let used = rig.face.core().faults.used.len();
        let (mut book, mut wrong) = (Book::of(10), 0);
        let all = messages(&mut rig, conn, "book");
        for message in &all {
            book.apply(message);
            wrong += usize::from(!book.is_right(message));
        }
        assert_eq!((used, wrong > 0), (1, is_broken), "{fault}: {wrong}");
        let doubled = all.windows(2).any(|pair| pair[0] == pair[1]);
        assert_eq!(doubled, fault == "duplicate", "{fault}");
        let extra = all.iter().any(|message| message.get("zz_new").is_some());
        assert_eq!(extra, fault == "extra-fields", "{fault}");
    }
}

/// As our connector repairs a book: unsubscribe, and once that is confirmed subscribe.
#[test]
fn a_book_is_repaired_by_a_new_subscription() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, "book", r#","depth":10,"snapshot":true"#);
    rig.run(300);
    let params = r#""params":{"channel":"book","symbol":["BTC/USDT"],"depth":10"#;
    let again = format!(r#"{{"method":"subscribe",{params},"snapshot":true}},"req_id":9}}"#);
    let got = send(&mut rig, conn, &again);
    assert_eq!(
        (&got[0]["error"], &got[0]["symbol"]),
        (&json!("Already subscribed"), &json!("BTC/USDT"))
    );
    let end = format!(r#"{{"method":"unsubscribe",{params}}},"req_id":8}}"#);
    let got = send(&mut rig, conn, &end);
    assert_eq!(
        got[0]["result"],
        json!({"channel": "book", "depth": 10, "symbol": "BTC/USDT"})
    );
    assert_eq!(
        send(&mut rig, conn, &end)[0]["error"],
        "Subscription Not Found"
    );
    rig.take(conn);
    rig.run(300);
    assert!(messages(&mut rig, conn, "book").is_empty());
    let got = send(&mut rig, conn, &again);
    assert_eq!(
        (&got[0]["req_id"], &got[1]["type"]),
        (&json!(9), &json!("snapshot"))
    );
    let mut book = Book::of(10);
    rig.run(300);
    for message in messages(&mut rig, conn, "book") {
        book.apply(&message);
        assert!(book.is_right(&message));
    }
}

#[test]
fn rest_books_may_be_old_or_ahead() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, "book", "");
    rig.run(3_000);
    let ask = |rig: &mut Rig<Kraken>| {
        let answer = rig.get("/0/public/Depth", "pair=XBTUSDT&count=10");
        let book = answer["result"]["XBTUSDT"].clone();
        assert_eq!(book["bids"].as_array().map(Vec::len), Some(10));
        book
    };
    let now = ask(&mut rig);
    rig.fault("snapshot-old");
    assert_ne!(ask(&mut rig), now);
    rig.take(conn);
    rig.fault("snapshot-new:ms=400");
    assert_eq!(ask(&mut rig), now);
    rig.run(390);
    assert!(messages(&mut rig, conn, "book").is_empty());
    rig.run(100);
    assert!(!messages(&mut rig, conn, "book").is_empty());
}

#[test]
fn trades_are_numbered_without_gaps_and_tickers_follow_the_best_prices() {
    let mut rig = rig_with(|_| ());
    let trades = subscribe(&mut rig, "trade", r#","snapshot":false"#);
    let bbo = subscribe(&mut rig, "ticker", r#","event_trigger":"bbo""#);
    rig.run(5_000);
    let all = messages(&mut rig, trades, "trade");
    let rows = all
        .iter()
        .flat_map(|message| message["data"].as_array().expect("rows"));
    let numbers: Vec<u64> = rows
        .map(|row| row["trade_id"].as_u64().expect("a number"))
        .collect();
    assert!(numbers.len() > 20 && all.iter().all(|message| message["type"] == "update"));
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let late = subscribe(&mut rig, "trade", r#","snapshot":true"#);
    let shown = &messages(&mut rig, late, "trade")[0];
    assert_eq!(
        (&shown["type"], shown["data"].as_array().map(Vec::len)),
        (&json!("snapshot"), Some(50))
    );
    let tickers = messages(&mut rig, bbo, "ticker");
    assert_eq!(tickers[0]["type"], "snapshot");
    let best = |message: &Value| {
        ["bid", "bid_qty", "ask", "ask_qty"].map(|key| message["data"][0][key].clone())
    };
    assert!(tickers.len() > 50);
    assert!(
        tickers
            .windows(2)
            .all(|pair| best(&pair[0]) != best(&pair[1]))
    );
    // The other pair counts by itself.
    let rows = rig.get("/0/public/Trades", "pair=ETHUSDT")["result"]["ETHUSDT"].clone();
    assert_eq!(rows[0][6], 83_449_369);
}

#[test]
fn numbers_keep_their_zeros() {
    let mut rig = quiet();
    let conn = subscribe(&mut rig, "book", "");
    let text = rig.inbox[&conn].last().expect("a snapshot").clone();
    let (_, level) = text.split_once("{\"price\":").expect("a level");
    let (price, rest) = level.split_once(",\"qty\":").expect("a quantity");
    let (qty, _) = rest.split_once('}').expect("its end");
    let decimals = |text: &str| text.split_once('.').map(|(_, decimals)| decimals.len());
    assert_eq!(
        (decimals(price), decimals(qty)),
        (Some(1), Some(8)),
        "{price} {qty}"
    );
    let got = send(
        &mut rig,
        conn,
        r#"{"method":"subscribe","params":{"channel":"instrument"}}"#,
    );
    let pair = &got[1]["data"]["pairs"][0];
    assert_eq!(
        (
            pair["symbol"].as_str(),
            pair["qty_min"].to_string(),
            pair["price_increment"].to_string()
        ),
        (Some("BTC/USDT"), "0.00005000".into(), "0.1".into())
    );
}

#[test]
fn refused_subscriptions_say_why() {
    let mut rig = quiet();
    let conn = rig.open("/v2", "");
    for (text, error, symbol) in [
        (
            r#"{"channel":"book","symbol":["FOO/USD"]}"#,
            "Currency pair not supported FOO/USD",
            Some("FOO/USD"),
        ),
        (
            r#"{"channel":"book","symbol":["BTC/USDT"],"depth":27}"#,
            "Subscription depth not supported",
            None,
        ),
        (
            r#"{"channel":"book","symbol":["BTC/USDT"],"depth":"10"}"#,
            "Depth field must be a number_float",
            None,
        ),
        (r#"{"channel":"foo"}"#, "Unsupported event", None),
        (r#"{"channel":"executions"}"#, "Token(s) not found", None),
        (
            r#"{"channel":"executions","token":"x"}"#,
            "ESession:Invalid session",
            None,
        ),
    ] {
        let message = format!(r#"{{"method":"subscribe","params":{text},"req_id":3}}"#);
        let got = send(&mut rig, conn, &message);
        assert_eq!(
            (
                &got[0]["error"],
                got[0]["symbol"].as_str(),
                &got[0]["success"]
            ),
            (&json!(error), symbol, &json!(false))
        );
    }
    let text = r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USDT","X/Y","ETH/USDT"]}}"#;
    let got = send(&mut rig, conn, text);
    let verdicts: Vec<&Value> = got.iter().map(|answer| &answer["success"]).collect();
    assert_eq!(verdicts, [true, false, true]);
}

#[test]
fn heartbeats_pings_silence_and_the_end() {
    let mut rig = quiet();
    let conn = subscribe(&mut rig, "trade", "");
    let idle = rig.open("/v2", "");
    rig.take(conn);
    rig.run(5_050);
    assert_eq!(messages(&mut rig, conn, "heartbeat").len(), 5);
    assert_eq!(
        send(&mut rig, conn, r#"{"method":"ping"}"#)[0]["method"],
        "pong"
    );
    assert_eq!(
        send(&mut rig, conn, r#"{"method":"ping","req_id":101}"#)[0]["req_id"],
        101
    );
    rig.fault("silence:link=public:for=3s");
    rig.take(conn);
    rig.run(2_900);
    assert!(rig.take(conn).is_empty());
    rig.run(52_200);
    assert!(rig.closed.contains_key(&idle) && !rig.closed.contains_key(&conn));
    rig.fault("restart:for=1s");
    let last = rig.take(conn).pop().expect("a status");
    assert_eq!(last["data"][0]["system"], "maintenance");
    rig.run(1_100);
    assert!(rig.closed.contains_key(&conn));
    let other = subscribe(&mut rig, "trade", "");
    rig.fault("disconnect:link=public");
    assert_eq!(rig.closed[&other], None, "cut");
    assert!(rig.now > START + 60_000 * MS);
}

#[test]
fn too_many_connections_are_turned_away() {
    let mut rig = quiet();
    let refused = (0..160).filter(|_| rig.face.refuses_upgrade(&Request::default()).is_some());
    assert_eq!(refused.count(), 10);
}
