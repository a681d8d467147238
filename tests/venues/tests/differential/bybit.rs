//! Bybit, venue page section 3; and the retired topics, whose fields have the same names in words.

use crate::heard::{Depth, Heard, int, list, num, pairs, side, text, trade};
use bigdecimal::BigDecimal;
use dp_types::Side;
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[];
/// Of the retired generation, which no fixture has.
pub const MORE: &[&str] = &[
    r#"{"topic":"trade.BTCUSDT","data":[{"symbol":"BTCUSDT","price":57073.5,"size":237,"trade_time_ms":1616304710061,"side":"Buy","trade_id":"f6198d62-4d4d-5908-9902-32c3aa5d9cfd"}]}"#,
    r#"{"topic":"orderBookL2_25.BTCUSDT","type":"snapshot","data":{"order_book":[{"price":"36385.50","side":"Buy","size":6.457},{"price":"36400.00","side":"Sell","size":13.931001}]},"timestamp_e6":"1622543529282954"}"#,
    r#"{"topic":"orderBookL2_25.BTCUSDT","type":"delta","data":{"delete":[{"price":"36385.50","side":"Buy"}],"update":[{"price":36400.00,"side":"Sell","size":1}],"insert":[]},"timestamp_e6":1622542809497981}"#,
];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    let topic = text(&message["topic"]);
    let data = &message["data"];
    let of = |name: &str| url.is_none() && topic.starts_with(name);
    if of("orderbook.") {
        let symbol = text(&data["s"]);
        let id = int(&data["u"]);
        let (bids, asks) = (pairs(&data["b"]), pairs(&data["a"]));
        // A number of 1 is a service that began anew: whole, whatever it is called.
        let depth = if message["type"] == "snapshot" || id == 1 {
            Depth::snapshot(&symbol, bids, asks)
        } else {
            Depth::delta(&symbol, bids, asks)
        };
        return vec![depth.id(id).heard()];
    }
    if of("publicTrade.") {
        let one = |it: &Value| {
            trade(
                &text(&it["s"]),
                &it["i"],
                side(&it["S"]),
                &it["p"],
                &it["v"],
            )
        };
        return list(data).iter().map(one).collect();
    }
    if of("trade.") {
        let one = |it: &Value| {
            trade(
                &text(&it["symbol"]),
                &it["trade_id"],
                side(&it["side"]),
                &it["price"],
                &it["size"],
            )
        };
        return list(data).iter().map(one).collect();
    }
    if of("orderBookL2_25.") || of("orderBook_200.") {
        return vec![retired(&topic, message["type"] == "snapshot", data)];
    }
    // Whole books that were asked for: of today, and of the retired generation, whose rows name their symbol.
    let result = &message["result"];
    if result["u"].is_number() {
        let (bids, asks) = (pairs(&result["b"]), pairs(&result["a"]));
        let depth = Depth::snapshot(&text(&result["s"]), bids, asks);
        return vec![depth.id(int(&result["u"])).heard()];
    }
    if result[0]["size"].is_number() && result[0]["price"].is_string() {
        return vec![retired(&text(&result[0]["symbol"]), true, result)];
    }
    Vec::new()
}

/// Single levels with their side, in a list or in three.
fn retired(topic: &str, is_whole: bool, data: &Value) -> Heard {
    let symbol = topic.rsplit('.').next().unwrap_or_default();
    let lists = [
        data,
        &data["order_book"],
        &data["delete"],
        &data["update"],
        &data["insert"],
    ];
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    for item in lists.into_iter().flat_map(list) {
        let qty = if item["size"].is_null() {
            BigDecimal::default()
        } else {
            num(&item["size"])
        };
        let level = (num(&item["price"]), qty);
        match side(&item["side"]) {
            Side::Buy => bids.push(level),
            Side::Sell => asks.push(level),
        }
    }
    if is_whole {
        Depth::snapshot(symbol, bids, asks).heard()
    } else {
        Depth::delta(symbol, bids, asks).heard()
    }
}
