//! KuCoin, venue page section 3: classic topics of spot and futures, and the unified feed.

use crate::heard::{Depth, Heard, Level, best, int, list, num, pairs, side, text, trade};
use bigdecimal::Zero as _;
use dp_types::Side;
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[(
    "rest_snapshot",
    "/api/v3/market/orderbook/level2?symbol=BTC-USDT",
)];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    let data = &message["data"];
    if let Some(url) = url {
        let is_book = url.contains("orderbook/level2?") || url.contains("/level2/snapshot?");
        let symbol = url
            .split_once("symbol=")
            .map_or("", |(_, rest)| rest.split('&').next().unwrap_or(rest));
        if !is_book {
            return Vec::new();
        }
        let depth = Depth::snapshot(symbol, pairs(&data["bids"]), pairs(&data["asks"]));
        return vec![depth.id(int(&data["sequence"])).heard()];
    }
    if message["T"].is_string() {
        return unified(message);
    }
    let topic = text(&message["topic"]);
    let (topic, symbol) = topic.split_once(':').unwrap_or((&topic, ""));
    let flat = |price: &str, qty: &str| best(&data[price], &data[qty]);
    match topic {
        "/market/level2" => {
            // In the order of their own numbers; a price of 0 carries no change of the book.
            let side = |name: &str| -> Vec<Level> {
                let mut rows: Vec<_> = list(&data["changes"][name]).iter().collect();
                rows.sort_by_key(|row| int(&row[2]));
                let levels = rows.into_iter().map(|row| (num(&row[0]), num(&row[1])));
                levels.filter(|(price, _)| !price.is_zero()).collect()
            };
            let depth = Depth::delta(symbol, side("bids"), side("asks"));
            let (first, last) = (int(&data["sequenceStart"]), int(&data["sequenceEnd"]));
            vec![depth.ids(first, last, -1).heard()]
        }
        "/contractMarket/level2" => {
            let change = text(&data["change"]);
            let mut parts = change.split(',').map(Value::from);
            let mut next = || parts.next().unwrap_or_default();
            let (price, side_, size) = (next(), next(), next());
            let level = vec![(num(&price), num(&size))];
            let depth = match side(&side_) {
                Side::Buy => Depth::delta(symbol, level, Vec::new()),
                Side::Sell => Depth::delta(symbol, Vec::new(), level),
            };
            vec![depth.id(int(&data["sequence"])).heard()]
        }
        "/spotMarket/level2Depth5"
        | "/spotMarket/level2Depth50"
        | "/contractMarket/level2Depth5"
        | "/contractMarket/level2Depth50" => {
            let depth = Depth::snapshot(symbol, pairs(&data["bids"]), pairs(&data["asks"]));
            vec![depth.id(int(&data["sequence"])).heard()]
        }
        "/spotMarket/level1" => vec![Heard::Quote {
            symbol: symbol.to_owned(),
            update_id: -1,
            bid: best(&data["bids"][0], &data["bids"][1]),
            ask: best(&data["asks"][0], &data["asks"][1]),
        }],
        "/market/ticker" => {
            let symbol = match symbol {
                "all" => text(&message["subject"]),
                symbol => symbol.to_owned(),
            };
            vec![Heard::Quote {
                symbol,
                update_id: int(&data["sequence"]),
                bid: flat("bestBid", "bestBidSize"),
                ask: flat("bestAsk", "bestAskSize"),
            }]
        }
        "/contractMarket/tickerV2" => vec![Heard::Quote {
            symbol: symbol.to_owned(),
            update_id: int(&data["sequence"]),
            bid: flat("bestBidPrice", "bestBidSize"),
            ask: flat("bestAskPrice", "bestAskSize"),
        }],
        "/market/match" | "/contractMarket/execution" => {
            let taker = side(&data["side"]);
            vec![trade(
                symbol,
                &data["tradeId"],
                taker,
                &data["price"],
                &data["size"],
            )]
        }
        _ => Vec::new(),
    }
}

fn unified(message: &Value) -> Vec<Heard> {
    let kind = text(&message["T"]);
    let data = &message["d"];
    let symbol = text(&data["s"]);
    match kind.split('.').next() {
        Some("obu") => {
            let (bids, asks) = (pairs(&data["b"]), pairs(&data["a"]));
            let depth = if message["t"] == "snapshot" {
                Depth::snapshot(&symbol, bids, asks)
            } else {
                Depth::delta(&symbol, bids, asks)
            };
            let (first, last) = (int(&data["O"]), int(&data["C"]));
            // A whole book stands for its last change.
            let first = if depth.is_snapshot { last } else { first };
            vec![depth.ids(first, last, -1).heard()]
        }
        Some("ticker") => vec![Heard::Quote {
            symbol,
            update_id: int(&data["E"]),
            bid: best(&data["b"], &data["B"]),
            ask: best(&data["a"], &data["A"]),
        }],
        Some("trade") => vec![trade(
            &symbol,
            &data["ti"],
            side(&data["S"]),
            &data["p"],
            &data["q"],
        )],
        _ => Vec::new(),
    }
}
