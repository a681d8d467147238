//! OKX, venue page section 3.

use crate::heard::{Depth, Heard, Level, int, list, pairs, side, text, trade};
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[("rest_books", "/api/v5/market/books?instId=BTC-USDT&sz=400")];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if let Some(url) = url {
        let symbol = url
            .split_once("books?instId=")
            .map_or("", |(_, rest)| rest.split('&').next().unwrap_or(rest));
        let books = list(&message["data"]).iter();
        return books
            .filter(|_| !symbol.is_empty() && message["code"] == "0")
            .map(|book| depth(symbol, book, true))
            .collect();
    }
    let (channel, symbol) = (
        text(&message["arg"]["channel"]),
        text(&message["arg"]["instId"]),
    );
    let is_whole = message["action"] != "update";
    let read = |data: &Value| match channel.as_str() {
        "bbo-tbt" => {
            let best = |side: &Value| pairs(side).into_iter().next().unwrap_or_default();
            let (bid, ask): (Level, Level) = (best(&data["bids"]), best(&data["asks"]));
            Some(Heard::Quote {
                symbol: symbol.clone(),
                update_id: int(&data["seqId"]),
                bid,
                ask,
            })
        }
        "trades" | "trades-all" => {
            let symbol = text(&data["instId"]);
            let taker = side(&data["side"]);
            Some(trade(
                &symbol,
                &data["tradeId"],
                taker,
                &data["px"],
                &data["sz"],
            ))
        }
        name if name.starts_with("books") => Some(depth(&symbol, data, is_whole)),
        _ => None,
    };
    list(&message["data"]).iter().filter_map(read).collect()
}

fn depth(symbol: &str, data: &Value, is_whole: bool) -> Heard {
    let (bids, asks) = (pairs(&data["bids"]), pairs(&data["asks"]));
    let depth = if is_whole {
        Depth::snapshot(symbol, bids, asks)
    } else {
        Depth::delta(symbol, bids, asks)
    };
    let id = int(&data["seqId"]);
    // A checksum of 0 is none, since June 2026.
    let checksum = data["checksum"].as_i64().filter(|sum| *sum != 0);
    depth
        .ids(id, id, int(&data["prevSeqId"]))
        .checksum(checksum.map(|sum| sum as u32))
        .heard()
}
