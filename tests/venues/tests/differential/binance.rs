//! Binance, venue page section 3: combined and bare streams, spot and futures.

use crate::heard::{Depth, Heard, best, int, pairs, text, trade};
use dp_types::Side;
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[("rest_depth", "/api/v3/depth?symbol=BTCUSDT")];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if let Some(url) = url {
        let symbol = url
            .split_once("depth?symbol=")
            .map_or("", |(_, rest)| rest.split('&').next().unwrap_or(rest));
        return whole(symbol, message);
    }
    let data = match &message["data"] {
        Value::Null => message,
        data => data,
    };
    let stream = text(&message["stream"]);
    let symbol = text(&data["s"]);
    let taker = if data["m"] == true {
        Side::Sell
    } else {
        Side::Buy
    };
    match data["e"].as_str() {
        Some("depthUpdate") => {
            let (bids, asks) = (pairs(&data["b"]), pairs(&data["a"]));
            // `@depth5` is the whole top of the book, `@depth` and `@depth@100ms` a change of it.
            let is_partial = stream
                .split_once("@depth")
                .is_some_and(|(_, rest)| rest.starts_with(|it: char| it.is_ascii_digit()));
            let (first, last, prev) = (int(&data["U"]), int(&data["u"]), int(&data["pu"]));
            // A whole book stands for its last change, whatever it follows.
            let depth = if is_partial {
                Depth::snapshot(&symbol, bids, asks).id(last)
            } else {
                Depth::delta(&symbol, bids, asks).ids(first, last, prev)
            };
            vec![depth.heard()]
        }
        // A trade of the insurance fund or of nobody is none of the book.
        Some("trade") if text(&data["X"]) == "NA" => Vec::new(),
        Some("trade") => vec![trade(&symbol, &data["t"], taker, &data["p"], &data["q"])],
        Some("aggTrade") => vec![trade(&symbol, &data["l"], taker, &data["p"], &data["q"])],
        None | Some("bookTicker") if data["u"].is_number() && data["B"].is_string() => {
            vec![Heard::Quote {
                symbol,
                update_id: int(&data["u"]),
                bid: best(&data["b"], &data["B"]),
                ask: best(&data["a"], &data["A"]),
            }]
        }
        None => {
            let symbol = match data["symbol"].as_str() {
                Some(symbol) => symbol.to_owned(),
                None => stream.split('@').next().unwrap_or_default().to_uppercase(),
            };
            whole(&symbol, data)
        }
        Some(_) => Vec::new(),
    }
}

/// A whole book; bare, it is nobody's.
fn whole(symbol: &str, data: &Value) -> Vec<Heard> {
    if symbol.is_empty() || data["lastUpdateId"].is_null() {
        return Vec::new();
    }
    let depth = Depth::snapshot(symbol, pairs(&data["bids"]), pairs(&data["asks"]));
    vec![depth.id(int(&data["lastUpdateId"])).heard()]
}
