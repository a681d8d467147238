//! Books, the tape, and the small channels.

use super::*;
use crate::venues::rig::Texts;

fn is_zero(size: &str) -> bool {
    size.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// A number without the zeros at its end: REST and the feed print differently.
fn plain(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

fn whole(book: &Value) -> Texts {
    ["bids", "asks"].map(|side| {
        let levels = book[side].as_array().unwrap().iter();
        let text = |level: &Value, at: usize| plain(level[at].as_str().unwrap());
        levels
            .map(|level| (text(level, 0), text(level, 1)))
            .collect()
    })
}

/// Snapshot and updates make the book that REST shows, on either channel, whenever one comes.
#[test]
fn level2_rebuilds_the_book() {
    for channel in ["level2", "level2_batch"] {
        let mut rig = rig_with(|_| ());
        rig.run(1_234);
        let conn = rig.open("/", "");
        let text = subscription(&rig, 1, &format!("\"{channel}\""));
        let mut got = rig.send(conn, &text);
        rig.take(conn);
        rig.run(5_000);
        rig.face.core().flows.clear();
        rig.run(100);
        got.extend(rig.take(conn));
        assert_eq!(kinds(&got[..2]), ["subscriptions", "snapshot"]);
        let mut book = whole(&got[1]);
        for message in &got[2..] {
            assert_eq!(message["type"], "l2update");
            for change in message["changes"].as_array().unwrap() {
                let text = |at: usize| change[at].as_str().unwrap();
                assert_eq!(text(2).len() - text(2).find('.').unwrap(), 9, "8 decimals");
                let side = &mut book[usize::from(text(0) == "sell")];
                if is_zero(text(2)) {
                    side.remove(&plain(text(1)));
                } else {
                    side.insert(plain(text(1)), plain(text(2)));
                }
            }
        }
        let rest = rig.get("/products/BTC-USD/book", "level=2");
        assert_eq!(book, whole(&rest), "{channel}");
        assert!(got.len() > 50, "{channel}: {}", got.len());
    }
}

/// The orders of a book as the tape makes them: id to side, price and size.
type Orders = BTreeMap<String, (String, String, i64)>;

fn units(text: &str) -> i64 {
    crate::text::increments(text, 8).flatten().unwrap()
}

fn single_orders(book: &Value) -> Orders {
    let mut orders = Orders::new();
    for (name, side) in [("bids", "buy"), ("asks", "sell")] {
        for row in book[name].as_array().unwrap() {
            let text = |at: usize| row[at].as_str().unwrap().to_owned();
            orders.insert(text(2), (side.into(), plain(&text(0)), units(&text(1))));
        }
    }
    orders
}

/// Applies a message of the tape as the venue's page says.
fn apply(orders: &mut Orders, message: &Value) {
    let text = |name: &str| message[name].as_str().unwrap_or("").to_owned();
    match message["type"].as_str().unwrap() {
        "received" => {}
        "open" => {
            let size = units(&text("remaining_size"));
            let order = (text("side"), plain(&text("price")), size);
            assert!(orders.insert(text("order_id"), order).is_none());
        }
        "match" => {
            let maker = orders.get_mut(&text("maker_order_id")).expect("it rests");
            assert_eq!(
                (&maker.0, &maker.1),
                (&text("side"), &plain(&text("price")))
            );
            maker.2 -= units(&text("size"));
        }
        "done" => {
            if let Some(order) = orders.remove(&text("order_id")) {
                assert_eq!(units(&text("remaining_size")), order.2);
            }
        }
        other => panic!("{other}"),
    }
}

/// Sequence numbers in the order they came.
fn sequences(messages: &[Value]) -> Vec<i64> {
    messages
        .iter()
        .map(|message| message["sequence"].as_i64().unwrap())
        .collect()
}

/// What the full channel says after a REST book makes the REST book of later, order by order; our own orders
/// are among them.
#[test]
fn the_tape_carries_the_book_of_single_orders() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, 1, "\"full\"");
    rig.run(2_000);
    let before = rig.get("/products/BTC-USD/book", "level=3");
    for at in 0..20 {
        let (side, price) = [("buy", "70000"), ("sell", "60000"), ("buy", "64990")][at % 3];
        let size = ["0.5", "0.02", "1"][at % 3];
        assert_eq!(post(&mut rig, &order(side, price, size, at as u8)).0, 200);
        rig.run(500);
    }
    let after = rig.get("/products/BTC-USD/book", "level=3");
    let messages = rig.take(conn);
    let numbers = sequences(&messages);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let mut orders = single_orders(&before);
    let start = before["sequence"].as_i64().unwrap();
    let later = |message: &&Value| message["sequence"].as_i64().unwrap() > start;
    for message in messages.iter().filter(later) {
        apply(&mut orders, message);
    }
    assert_eq!(orders, single_orders(&after));
    assert_eq!(after["sequence"].as_i64(), numbers.last().copied());
    assert!(messages.len() > 500);
    let known = kinds(&messages);
    assert!(
        ["received", "open", "match", "done"]
            .iter()
            .all(|kind| known.contains(kind))
    );
}

#[test]
fn the_tape_counts_whether_or_not_it_is_heard() {
    let book = |is_heard: bool| {
        let mut rig = rig_with(|_| ());
        if is_heard {
            subscribe(&mut rig, 1, "\"full\"");
        }
        rig.run(5_000);
        rig.get("/products/BTC-USD/book", "level=3")
    };
    assert_eq!(book(true), book(false));
}

#[test]
fn each_fault_of_the_tape_shows_in_its_numbers() {
    for (fault, breaks) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("seq-reset", 1),
    ] {
        let mut rig = rig_with(|_| ());
        let conn = subscribe(&mut rig, 1, "\"full\"");
        rig.run(1_000);
        rig.fault(fault);
        rig.run(1_000);
        let numbers = sequences(&rig.take(conn));
        let is_broken = |pair: &&[i64]| pair[1] != pair[0] + 1;
        assert_eq!(
            numbers.windows(2).filter(is_broken).count(),
            breaks,
            "{fault}"
        );
    }
}

#[test]
fn rest_books_can_be_older_or_newer_than_the_stream() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, 1, "\"full\",\"level2\"");
    rig.run(3_000);
    let first = sequences(
        &rig.take(conn)
            .into_iter()
            .filter(|m| m["type"] != "l2update")
            .collect::<Vec<_>>(),
    );
    rig.fault("snapshot-old");
    let book = rig.get("/products/BTC-USD/book", "level=3");
    let at = book["sequence"].as_i64().unwrap();
    assert!(
        at < *first.last().unwrap() && at > first[0],
        "about a second old"
    );
    rig.fault("snapshot-new:ms=500");
    let book = rig.get("/products/BTC-USD/book", "level=3");
    rig.run(450);
    assert!(rig.take(conn).is_empty(), "the stream lags");
    rig.run(100);
    let late = rig.take(conn);
    let first = late
        .iter()
        .find(|message| message["type"] != "l2update")
        .unwrap();
    assert!(first["sequence"].as_i64().unwrap() <= book["sequence"].as_i64().unwrap() + 1);
    assert!(kinds(&late).contains(&"l2update"));
}

#[test]
fn small_channels() {
    let mut rig = rig_with(|_| ());
    rig.run(1_000);
    let channels = r#""matches","ticker","ticker_batch","heartbeat","status""#;
    let conn = rig.open("/", "");
    let text =
        format!(r#"{{"type":"subscribe","product_ids":["BTC-USD"],"channels":[{channels}]}}"#);
    let got = rig.send(conn, &text);
    let expected = ["subscriptions", "last_match", "ticker", "ticker", "status"];
    assert_eq!(kinds(&got), expected);
    rig.take(conn);
    rig.run(10_000);
    let got = rig.take(conn);
    let of = |kind: &str| got.iter().filter(|m| m["type"] == kind).collect::<Vec<_>>();
    assert_eq!((of("heartbeat").len(), of("status").len()), (10, 2));
    let (matches, tickers) = (of("match"), of("ticker"));
    assert!(matches.len() > 50 && tickers.len() > 20);
    // A ticker tells of the trade before it: the same number, the taker's side for the maker's.
    let last = got.iter().position(|m| m["type"] == "ticker").unwrap();
    let (ticker, before) = (&got[last], &got[last - 1]);
    assert_eq!(ticker["sequence"], before["sequence"]);
    assert_eq!(ticker["trade_id"], before["trade_id"]);
    assert_ne!(ticker["side"], before["side"]);
    assert_eq!(
        rig.get("/products/BTC-USD/trades", "limit=3")
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let unsubscribe =
        r#"{"type":"unsubscribe","channels":["matches","ticker","ticker_batch","status"]}"#;
    let got = rig.send(conn, unsubscribe);
    assert_eq!(got[0]["channels"].as_array().unwrap().len(), 1);
    assert_eq!(got[0]["channels"][0]["name"], "heartbeat");
    rig.take(conn);
    rig.fault("extra-fields");
    rig.run(2_000);
    let got = rig.take(conn);
    assert_eq!(kinds(&got), ["heartbeat"; 2]);
    assert!(got[0]["zz_new"].is_object() && got[1]["zz_new"].is_null());
}
