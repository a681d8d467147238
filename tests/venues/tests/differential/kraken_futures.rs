//! Kraken Futures, venue page sections 3 and 4: the unified WebSocket and the legacy feeds.

use crate::heard::{Depth, Heard, fields, int, list, num, pairs, side, text, trade};
use crate::kraken::second_version;
use dp_types::Side;
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[(
    "legacy_rest_book",
    "https://futures.kraken.com/derivatives/api/v3/orderbook?symbol=PF_XBTUSD",
)];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if let Some(url) = url {
        let symbol = url
            .split_once("orderbook?symbol=")
            .map(|(_, symbol)| symbol);
        let book = &message["orderBook"];
        return symbol
            .map(|symbol| {
                let side = |name: &str| pairs(&book[name]);
                Depth::snapshot(symbol, side("bids"), side("asks")).heard()
            })
            .into_iter()
            .collect();
    }
    if message["feed"].is_string() {
        return legacy(message);
    }
    second_version(message)
}

fn legacy(message: &Value) -> Vec<Heard> {
    let symbol = text(&message["product_id"]);
    let one = |it: &Value| {
        trade(
            &text(&it["product_id"]),
            &it["uid"],
            side(&it["side"]),
            &it["price"],
            &it["qty"],
        )
    };
    match message["feed"].as_str() {
        _ if message["event"].is_string() => Vec::new(),
        Some("book_snapshot") => {
            let side = |name: &str| fields(&message[name], "price", "qty");
            let depth = Depth::snapshot(&symbol, side("bids"), side("asks"));
            vec![depth.id(int(&message["seq"])).heard()]
        }
        Some("book") => {
            let level = vec![(num(&message["price"]), num(&message["qty"]))];
            let depth = match side(&message["side"]) {
                Side::Buy => Depth::delta(&symbol, level, Vec::new()),
                Side::Sell => Depth::delta(&symbol, Vec::new(), level),
            };
            vec![depth.id(int(&message["seq"])).heard()]
        }
        Some("trade_snapshot") => list(&message["trades"]).iter().map(one).collect(),
        Some("trade") => vec![one(message)],
        _ => Vec::new(),
    }
}
