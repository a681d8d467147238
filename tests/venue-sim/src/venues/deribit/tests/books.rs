//! Public channels.

use super::*;
use std::collections::BTreeMap;

/// A book as a client keeps it: `[bids, asks]`, by the printed price.
type Book = [BTreeMap<String, String>; 2];

/// Applies `[action, price, amount]`, which must say the truth about the book.
fn apply(book: &mut Book, data: &Value) {
    for (side, name) in book.iter_mut().zip(["bids", "asks"]) {
        for level in data[name].as_array().unwrap() {
            let (price, amount) = (level[1].to_string(), level[2].to_string());
            let was = if amount == "0.0" {
                side.remove(&price)
            } else {
                side.insert(price, amount.clone())
            };
            let is_right = match level[0].as_str().unwrap() {
                "new" => was.is_none() && amount != "0.0",
                "change" => was.is_some_and(|was| was != amount) && amount != "0.0",
                "delete" => was.is_some() && amount == "0.0",
                _ => false,
            };
            assert!(is_right, "{level}");
        }
    }
}

fn plain(data: &Value) -> Book {
    ["bids", "asks"].map(|name| {
        let levels = data[name].as_array().unwrap().iter();
        levels
            .map(|level| (level[0].to_string(), level[1].to_string()))
            .collect()
    })
}

/// Follows a channel's messages from their snapshot on; the book, the last id, the number of changes.
fn follow(messages: &[Value], channel: &str) -> (Book, u64, usize) {
    let (mut book, mut last, mut count) = (Book::default(), 0, 0);
    for (at, data) in pushed(messages, channel).into_iter().enumerate() {
        assert_eq!(data["instrument_name"], BTC);
        if at == 0 {
            assert_eq!(
                (&data["type"], data.get("prev_change_id")),
                (&json!("snapshot"), None)
            );
        } else {
            assert_eq!(
                (&data["type"], data["prev_change_id"].as_u64()),
                (&json!("change"), Some(last))
            );
            count += 1;
        }
        last = data["change_id"].as_u64().unwrap();
        apply(&mut book, data);
    }
    (book, last, count)
}

#[test]
fn every_book_channel_chains_and_rebuilds_the_book_also_for_who_comes_late() {
    let mut rig = rig_with(|_| ());
    let early = log_in(&mut rig);
    for (pace, least) in [("raw", 200), ("100ms", 60), ("agg2", 6)] {
        let channel = format!("book.{BTC}.{pace}");
        subscribe(&mut rig, early, &channel);
        rig.run(1_037);
        let late = log_in(&mut rig);
        subscribe(&mut rig, late, &channel);
        rig.run(7_000);
        // All is told when nobody trades for a while.
        rig.fault("calm:for=10s");
        rig.run(2_000);
        let rest = rig.get(
            "/api/v2/public/get_order_book",
            &format!("instrument_name={BTC}&depth=1000"),
        );
        let whole = plain(&rest["result"]);
        for conn in [early, late] {
            let (book, last, count) = follow(&rig.take(conn), &channel);
            assert_eq!(book, whole, "{pace}");
            assert!(rest["result"]["change_id"].as_u64().unwrap() >= last);
            assert!(count >= least, "{count} {pace}");
        }
        rig.run(8_000);
        let channels = json!({"channels": [channel]});
        for conn in [early, late] {
            let left = ask(&mut rig, conn, "public/unsubscribe", channels.clone());
            assert_eq!(left[0]["result"], channels["channels"]);
            rig.take(conn);
            rig.run(500);
            assert!(pushed(&rig.take(conn), &channel).is_empty());
        }
    }
}

#[test]
fn change_ids_of_one_book_jump() {
    let mut rig = rig_with(|_| ());
    let conn = open(&mut rig);
    let channel = format!("book.{BTC}.100ms");
    subscribe(&mut rig, conn, &channel);
    rig.run(3_000);
    let messages = rig.take(conn);
    let ids: Vec<u64> = pushed(&messages, &channel)
        .iter()
        .map(|data| data["change_id"].as_u64().unwrap())
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(ids.windows(2).any(|pair| pair[1] > pair[0] + 1));
}

#[test]
fn each_fault_of_the_stream_breaks_the_chain() {
    for (fault, expected) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("extra-fields", 0),
    ] {
        let mut rig = rig_with(|_| ());
        let conn = open(&mut rig);
        let channel = format!("book.{BTC}.100ms");
        subscribe(&mut rig, conn, &channel);
        rig.run(1_000);
        rig.fault(fault);
        rig.run(2_000);
        let messages = rig.take(conn);
        let foreign = messages
            .iter()
            .filter(|it| it.get("zz_new").is_some())
            .count();
        assert_eq!(foreign, usize::from(fault == "extra-fields"));
        let all = pushed(&messages, &channel);
        let breaks = all
            .windows(2)
            .filter(|pair| pair[1]["prev_change_id"] != pair[0]["change_id"]);
        assert_eq!(breaks.count(), expected, "{fault}");
    }
}

#[test]
fn after_a_reset_ids_fall_and_the_chain_holds() {
    let mut rig = rig_with(|_| ());
    let conn = open(&mut rig);
    let channel = format!("book.{BTC}.100ms");
    subscribe(&mut rig, conn, &channel);
    rig.run(1_000);
    rig.fault("seq-reset");
    rig.run(1_000);
    let messages = rig.take(conn);
    follow(&messages, &channel);
    let ids: Vec<u64> = pushed(&messages, &channel)
        .iter()
        .map(|data| data["change_id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.windows(2).filter(|pair| pair[1] < pair[0]).count(), 1);
}

#[test]
fn rest_books_are_old_or_ahead_on_request() {
    let mut rig = rig_with(|_| ());
    let conn = open(&mut rig);
    let channel = format!("book.{BTC}.100ms");
    subscribe(&mut rig, conn, &channel);
    rig.run(3_000);
    let query = format!("instrument_name={BTC}");
    let id = |rig: &mut Rig<Deribit>| {
        let book = rig.get("/api/v2/public/get_order_book", &query);
        assert_eq!(book["result"]["bids"].as_array().unwrap().len(), 5);
        book["result"]["change_id"].as_u64().unwrap()
    };
    let now = id(&mut rig);
    rig.fault("snapshot-old");
    let old = rig.get("/api/v2/public/get_order_book", &format!("{query}&depth=5"));
    assert!(old["result"]["change_id"].as_u64().unwrap() < now);
    rig.take(conn);
    rig.fault("snapshot-new:ms=500");
    id(&mut rig);
    rig.run(490);
    assert!(
        pushed(&rig.take(conn), &channel).is_empty(),
        "the stream lags"
    );
    rig.run(200);
    assert!(!pushed(&rig.take(conn), &channel).is_empty());
}

#[test]
fn names_that_are_missing_are_the_error() {
    let mut rig = quiet();
    let conn = open(&mut rig);
    let raw = format!("book.{BTC}.raw");
    let names = json!({"channels": [
        raw, format!("quote.{BTC}"), "book.X-PERPETUAL.100ms", "user.changes.any.any.raw",
        format!("book.{BTC}.100ms"), "nonsense", "", 7, format!("book.{BTC}.none.7.100ms"),
        "trades.option.any.100ms", "trades.spaghetti.any.100ms",
    ]});
    let told = ask(&mut rig, conn, "public/subscribe", names);
    // The last name first, as recorded.
    let expected = json!([
        "trades.option.any.100ms",
        format!("quote.{BTC}"),
        format!("book.{BTC}.100ms"),
    ]);
    assert_eq!(told[0]["result"], expected);
    assert_eq!(
        told.len(),
        3,
        "one first message of quote and of book: {told:?}"
    );
    let private = ask(
        &mut rig,
        conn,
        "private/subscribe",
        json!({"channels": ["user.portfolio.any"]}),
    );
    assert_eq!(code(&private[0]), 10_000);
    let logged_in = log_in(&mut rig);
    subscribe(&mut rig, logged_in, &raw);
    let missing = ask(&mut rig, logged_in, "public/subscribe", json!({}));
    assert_eq!(code(&missing[0]), -32_602);
}

#[test]
fn trades_are_numbered_without_a_gap_and_can_be_asked_for() {
    let mut rig = rig_with(|_| ());
    let conn = log_in(&mut rig);
    let channels = ["raw", "100ms", "agg2"].map(|pace| format!("trades.{BTC}.{pace}"));
    for channel in &channels {
        subscribe(&mut rig, conn, channel);
    }
    let all = "trades.future.USDT.100ms";
    subscribe(&mut rig, conn, all);
    rig.run(10_000);
    rig.fault("calm:for=10s");
    rig.run(2_000);
    let messages = rig.take(conn);
    let of = |channel: &str| -> Vec<Value> {
        let lists = pushed(&messages, channel);
        let rows = lists
            .iter()
            .flat_map(|list| list.as_array().unwrap().clone());
        rows.filter(|row| row["instrument_name"] == BTC).collect()
    };
    let raw = of(&channels[0]);
    let seqs: Vec<u64> = raw
        .iter()
        .map(|row| row["trade_seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.len() > 20 && seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
    for channel in [&channels[1], &channels[2]] {
        assert_eq!(of(channel), raw, "{channel}");
    }
    assert_eq!(of(all), raw);
    let (first, last) = (seqs[3], seqs[9]);
    let query =
        format!("instrument_name={BTC}&start_seq={first}&end_seq={last}&count=100&sorting=asc");
    let asked = rig.get("/api/v2/public/get_last_trades_by_instrument", &query);
    assert_eq!(asked["result"]["trades"], json!(raw[3..=9]));
    assert_eq!(asked["result"]["has_more"], false);
    let newest = rig.get(
        "/api/v2/public/get_last_trades_by_instrument",
        &format!("instrument_name={BTC}&count=2"),
    );
    let newest = newest["result"].clone();
    assert_eq!(newest["has_more"], true);
    assert_eq!(newest["trades"][0]["trade_seq"], json!(seqs.last()));
}

#[test]
fn quote_ticker_and_grouped_books_show_the_same_best() {
    let mut rig = rig_with(|_| ());
    let conn = open(&mut rig);
    let channels = [
        format!("quote.{BTC}"),
        format!("ticker.{BTC}.100ms"),
        format!("book.{BTC}.none.10.100ms"),
    ];
    for channel in &channels {
        let told = subscribe(&mut rig, conn, channel);
        assert_eq!(pushed(&told, channel).len(), 1, "at once: {channel}");
    }
    rig.run(5_000);
    rig.fault("calm:for=10s");
    rig.run(500);
    let messages = rig.take(conn);
    let [quote, ticker, book] = channels.each_ref().map(|channel| {
        let all = pushed(&messages, channel);
        assert!(all.len() > 10, "{} of {channel}", all.len());
        (*all.last().unwrap()).clone()
    });
    for name in [
        "best_bid_price",
        "best_bid_amount",
        "best_ask_price",
        "best_ask_amount",
    ] {
        assert_eq!(quote[name], ticker[name]);
    }
    assert_eq!(book["bids"].as_array().unwrap().len(), 10);
    assert_eq!(
        book["bids"][0],
        json!([quote["best_bid_price"], quote["best_bid_amount"]])
    );
    assert_eq!(
        book["asks"][0],
        json!([quote["best_ask_price"], quote["best_ask_amount"]])
    );
    assert!(book.get("type").is_none());
}

/// Field for field, in the venue's order and number formats.
#[test]
fn messages_look_like_the_recorded_ones() {
    let mut rig = quiet();
    let conn = log_in(&mut rig);
    let channel = format!("book.{BTC}.raw");
    subscribe(&mut rig, conn, &channel);
    rig.inbox.get_mut(&conn).unwrap().clear();
    place(&mut rig, conn, 64_000.0, "sl1");
    let text = rig.inbox[&conn]
        .iter()
        .find(|text| text.contains("change_id"))
        .unwrap();
    let ms = rig.now / MS;
    let expected = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{{\"channel\":\"{channel}\",\
         \"data\":{{\"type\":\"change\",\"timestamp\":{ms},\"prev_change_id\":123456000,\
         \"instrument_name\":\"{BTC}\",\"change_id\":123456003,\
         \"bids\":[[\"new\",64000.0,0.01]],\"asks\":[]}}}}}}"
    );
    assert_eq!(*text, expected);
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let told = subscribe(&mut rig, conn, &format!("quote.{BTC}"));
    assert_eq!(
        keys(&told[1]["params"]["data"]),
        "timestamp instrument_name best_bid_price best_bid_amount best_ask_price best_ask_amount"
    );
    let book = rig.get(
        "/api/v2/public/get_order_book",
        &format!("instrument_name={BTC}"),
    );
    assert_eq!(
        keys(&book["result"]),
        "timestamp stats state settlement_price open_interest min_price max_price mark_price \
         last_price instrument_name index_price funding_8h estimated_delivery_price \
         current_funding change_id bids best_bid_price best_bid_amount best_ask_price \
         best_ask_amount asks"
    );
    assert_eq!(keys(&book), "jsonrpc result usIn usOut usDiff testnet");
    let instrument = rig.get(
        "/api/v2/public/get_instrument",
        &format!("instrument_name={BTC}"),
    );
    let result = &instrument["result"];
    let shown =
        ["tick_size", "contract_size", "min_trade_amount"].map(|name| result[name].to_string());
    assert_eq!(shown, ["0.5", "0.0001", "0.0001"]);
    assert_eq!(
        (&result["instrument_type"], &result["settlement_currency"]),
        (&json!("linear"), &json!("USDT"))
    );
    let list = rig.get(
        "/api/v2/public/get_instruments",
        "currency=USDT&kind=future",
    );
    assert_eq!(list["result"].as_array().unwrap().len(), 2);
    assert_eq!(list["result"][0], *result);
}
