//! HTX, venue page section 3: topics of spot and swaps.

use crate::heard::{Depth, Heard, best, int, list, pairs, side, text, trade};
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[];
/// The page's own, which no fixture has.
pub const MORE: &[&str] = &[
    r#"{"id":"5","rep":"market.btcusdt.mbp.150","status":"ok","data":{"seqNum":100020146794,"bids":[[64999.9,0.2],[64999.5,1.1]],"asks":[[65000.1,0.5],[65000.4,2]]}}"#,
];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if url.is_some() {
        return Vec::new();
    }
    // An answer with a number of ours that we did not ask for here.
    if text(&message["id"]).starts_with('x') {
        return Vec::new();
    }
    let (topic, tick) = match message["rep"].as_str() {
        Some(topic) => (topic, &message["data"]),
        None => (message["ch"].as_str().unwrap_or_default(), &message["tick"]),
    };
    let Some((symbol, name)) = topic
        .strip_prefix("market.")
        .and_then(|rest| rest.split_once('.'))
    else {
        return Vec::new();
    };
    let (bids, asks) = (pairs(&tick["bids"]), pairs(&tick["asks"]));
    let whole = |id: &Value| {
        let depth = Depth::snapshot(symbol, bids.clone(), asks.clone());
        vec![depth.id(int(id)).heard()]
    };
    let is_swap = symbol.contains(['-', '_']);
    match name {
        _ if message["rep"].is_string() && name.starts_with("mbp.") => whole(&tick["seqNum"]),
        _ if name.starts_with("mbp.refresh.") => whole(&tick["seqNum"]),
        _ if name.starts_with("mbp.") => {
            let id = int(&tick["seqNum"]);
            let depth = Depth::delta(symbol, bids.clone(), asks.clone());
            vec![depth.ids(id, id, int(&tick["prevSeqNum"])).heard()]
        }
        // The version of a swap's whole book repeats within a second: `mrid` rises.
        _ if name.starts_with("depth.step") && is_swap => whole(&tick["mrid"]),
        _ if name.starts_with("depth.step") => whole(&tick["version"]),
        _ if name.ends_with(".high_freq") && tick["event"] == "snapshot" => whole(&tick["version"]),
        _ if name.ends_with(".high_freq") => {
            let id = int(&tick["version"]);
            let depth = Depth::delta(symbol, bids.clone(), asks.clone());
            vec![depth.id(id).heard()]
        }
        // Best quotes count in numbers of their own.
        "bbo" if is_swap => vec![Heard::Quote {
            symbol: symbol.to_owned(),
            update_id: -1,
            bid: best(&tick["bid"][0], &tick["bid"][1]),
            ask: best(&tick["ask"][0], &tick["ask"][1]),
        }],
        "bbo" => vec![Heard::Quote {
            symbol: symbol.to_owned(),
            update_id: -1,
            bid: best(&tick["bid"], &tick["bidSize"]),
            ask: best(&tick["ask"], &tick["askSize"]),
        }],
        "trade.detail" => {
            let one = |it: &Value| {
                // Spot has a second, shorter id to tell trades apart by.
                let id = match text(&it["tradeId"]).as_str() {
                    "" | "0" => &it["id"],
                    _ => &it["tradeId"],
                };
                trade(
                    symbol,
                    id,
                    side(&it["direction"]),
                    &it["price"],
                    &it["amount"],
                )
            };
            list(&tick["data"]).iter().map(one).collect()
        }
        _ => Vec::new(),
    }
}
