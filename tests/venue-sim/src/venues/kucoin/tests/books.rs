use super::*;
use crate::venues::rig::{Texts, apply};

/// Changes of a message in the order of their numbers: `(number, side, [price, size])`.
fn changes(data: &Value) -> Vec<(u64, usize, Value)> {
    let mut all = Vec::new();
    for (at, side) in ["bids", "asks"].into_iter().enumerate() {
        for row in data["changes"][side].as_array().unwrap() {
            let number = row[2].as_str().unwrap().parse().unwrap();
            all.push((number, at, json!([row[0], row[1]])));
        }
    }
    all.sort_by_key(|(number, ..)| *number);
    all
}

fn whole(rest: &Value) -> (u64, Texts) {
    let data = &rest["data"];
    let mut book = Texts::default();
    apply(&mut book[0], &data["bids"]);
    apply(&mut book[1], &data["asks"]);
    (data["sequence"].as_str().unwrap().parse().unwrap(), book)
}

fn snapshot(rig: &mut Rig<Kucoin>) -> Value {
    rest(
        rig,
        "GET",
        "/api/v3/market/orderbook/level2?symbol=BTC-USDT",
        "",
    )
}

/// Every number is used once, ranges follow one another, and a REST book of any moment fits in.
#[test]
fn a_rest_book_splices_and_the_chain_rebuilds_the_book() {
    let mut rig = rig_with(|_| ());
    let conn = public(&mut rig, "/market/level2:BTC-USDT,ETH-USDT");
    rig.run(553);
    let (at, mut book) = whole(&snapshot(&mut rig));
    rig.run(3_000);
    rig.face.core().flows.clear();
    rig.run(50);
    let (end, expected) = whole(&snapshot(&mut rig));
    let (mut last, mut applied, mut ranges, mut twice, mut empty) = (None, 0, 0, 0, 0);
    for message in rig.take(conn) {
        if message["topic"] != "/market/level2:BTC-USDT" {
            assert_eq!(message["topic"], "/market/level2:ETH-USDT");
            continue;
        }
        let data = &message["data"];
        let (first, until) = (
            data["sequenceStart"].as_u64().unwrap(),
            data["sequenceEnd"].as_u64().unwrap(),
        );
        assert!(
            last.is_none_or(|last| first == last + 1),
            "{first} after {last:?}"
        );
        last = Some(until);
        let changes = changes(data);
        let numbers: Vec<u64> = changes.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, (first..=until).collect::<Vec<u64>>());
        ranges += i32::from(until > first);
        let prices: std::collections::BTreeSet<String> = changes
            .iter()
            .map(|(_, side, row)| format!("{side}{}", row[0]))
            .collect();
        twice += i32::from(prices.len() < changes.len());
        for (number, side, row) in changes {
            empty += i32::from(row[0] == "0");
            if number > at && row[0] != "0" {
                apply(&mut book[side], &json!([row]));
                applied += 1;
            }
        }
    }
    assert_eq!((last, book), (Some(end), expected));
    assert!(
        applied > 100 && ranges > 10 && twice > 0 && empty > 10,
        "{applied} {ranges} {twice} {empty}"
    );
}

#[test]
fn part_books_are_public_and_whole_ones_are_not() {
    let mut rig = quiet();
    let part = rig.get("/api/v1/market/orderbook/level2_20", "symbol=BTC-USDT");
    assert_eq!(part["data"]["bids"].as_array().unwrap().len(), 20);
    let hundred = rig.get("/api/v1/market/orderbook/level2_100", "symbol=BTC-USDT");
    assert_eq!(
        whole(&hundred),
        whole(&snapshot(&mut rig)),
        "there are 30 levels"
    );
    let unsigned = rig.get("/api/v3/market/orderbook/level2", "symbol=BTC-USDT");
    assert_eq!(unsigned["code"], "400001");
    for path in ["/api/v1/market/orderbook/level2_20", "/api/v1/market/stats"] {
        assert_eq!(rig.get(path, "symbol=NO-SUCH")["code"], "900001", "{path}");
    }
}

#[test]
fn each_depth_fault_breaks_the_chain() {
    for (fault, expected) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("seq-reset", 1),
    ] {
        let mut rig = rig_with(|config| config.symbols.truncate(1));
        let conn = public(&mut rig, "/market/level2:BTC-USDT");
        rig.run(500);
        rig.fault(fault);
        rig.run(1_000);
        let (mut last, mut breaks, mut falls) = (None, 0, 0);
        for message in rig.take(conn) {
            let first = message["data"]["sequenceStart"].as_u64().unwrap();
            breaks += i32::from(last.is_some_and(|last| first != last + 1));
            falls += i32::from(last.is_some_and(|last| first + 1_000_000 < last));
            last = message["data"]["sequenceEnd"].as_u64();
        }
        assert_eq!(breaks, expected, "{fault}");
        assert_eq!(falls, i32::from(fault == "seq-reset"), "{fault}");
    }
}

#[test]
fn a_rest_book_may_be_older_or_newer_than_the_stream() {
    let mut rig = rig_with(|config| config.symbols.truncate(1));
    rig.run(3_000);
    let conn = public(&mut rig, "/market/level2:BTC-USDT");
    rig.run(200);
    rig.fault("snapshot-old");
    let (old, _) = whole(&snapshot(&mut rig));
    let first = rig.take(conn)[0]["data"]["sequenceStart"].as_u64().unwrap();
    assert!(old + 1 < first, "{old} {first}");
    rig.fault("snapshot-new:ms=400");
    let (new, _) = whole(&snapshot(&mut rig));
    rig.run(390);
    assert!(rig.take(conn).is_empty(), "the stream lags");
    rig.run(30);
    let late = rig.take(conn);
    let first = late[0]["data"]["sequenceStart"].as_u64().unwrap();
    let end = late[0]["data"]["sequenceEnd"].as_u64().unwrap();
    assert!(first <= new + 1 && new < end, "{first} {new} {end}");
}

#[test]
fn small_topics_tell_quotes_depths_and_trades() {
    let mut rig = rig_with(|config| config.symbols.truncate(1));
    let conn = stream(&mut rig, false);
    for (topic, greets) in [
        ("/spotMarket/level1:BTC-USDT", true),
        ("/market/ticker:BTC-USDT", true),
        ("/market/ticker:all", false),
        ("/spotMarket/level2Depth5:BTC-USDT", true),
        ("/spotMarket/level2Depth50:BTC-USDT", true),
        ("/market/match:BTC-USDT", false),
    ] {
        assert_eq!(
            !subscribe(&mut rig, conn, topic, false).is_empty(),
            greets,
            "{topic}"
        );
    }
    rig.run(3_000);
    let messages = rig.take(conn);
    let of = |topic: &str| -> Vec<&Value> {
        messages
            .iter()
            .filter(|message| message["topic"] == topic)
            .collect()
    };
    let keys = |value: &Value| -> Vec<String> {
        value["data"].as_object().unwrap().keys().cloned().collect()
    };
    let quote = of("/spotMarket/level1:BTC-USDT")[0];
    assert_eq!(
        (quote["subject"].as_str(), keys(quote)),
        (
            Some("level1"),
            vec!["asks".to_owned(), "bids".to_owned(), "timestamp".to_owned()]
        )
    );
    assert_eq!(quote["data"]["asks"].as_array().unwrap().len(), 2, "flat");
    let ticker = of("/market/ticker:BTC-USDT")[0];
    let expected = "bestAsk bestAskSize bestBid bestBidSize price sequence size time";
    assert_eq!(keys(ticker).join(" "), expected);
    assert_eq!(of("/market/ticker:all")[0]["subject"], "BTC-USDT");
    for (topic, levels) in [("5", 5), ("50", 20)] {
        let depth = of(&format!("/spotMarket/level2Depth{topic}:BTC-USDT"));
        assert!(depth.len() > 10);
        assert!(depth[3]["data"]["bids"].as_array().unwrap().len() >= levels);
    }
    let trades = of("/market/match:BTC-USDT");
    assert!(trades.len() > 10);
    let expected = "makerOrderId price sequence side size symbol takerOrderId time tradeId type";
    assert_eq!(keys(trades[0]).join(" "), expected);
    let listed = rig.get("/api/v1/market/histories", "symbol=BTC-USDT");
    let last = trades.last().unwrap();
    assert_eq!(listed["data"][0]["sequence"], last["data"]["sequence"]);
}

#[test]
fn extra_fields_leave_the_rest_as_it_is() {
    let mut rig = rig_with(|_| ());
    let conn = public(&mut rig, "/market/level2:BTC-USDT");
    rig.fault("extra-fields");
    rig.run(300);
    let messages = rig.take(conn);
    let strange = messages
        .iter()
        .filter(|message| message.get("zz_new").is_some());
    assert_eq!(strange.count(), 1);
    assert!(
        messages
            .iter()
            .all(|message| message["subject"] == "trade.l2update")
    );
}
