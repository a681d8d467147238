//! Kraken, venue page section 3; and WebSocket v1, whose frames are lists: `[channel, data…, name, pair]`.

use crate::heard::{Depth, Heard, Order, best, fields, list, num, pairs, side, text, trade};
use bigdecimal::BigDecimal;
use dp_types::{OrderAct, Side};
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

fn checksum(data: &Value) -> Option<u32> {
    text(data).parse().ok()
}

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if url.is_some() {
        return Vec::new();
    }
    if let [_, parts @ .., name, pair] = list(message) {
        return first_version(parts, &text(name), &text(pair));
    }
    second_version(message)
}

/// WebSocket v2, which derivatives speak too.
pub fn second_version(message: &Value) -> Vec<Heard> {
    let is_whole = message["type"] == "snapshot";
    let channel = text(&message["channel"]);
    let read = |data: &Value| {
        let symbol = text(&data["symbol"]);
        let checksum = checksum(&data["checksum"]);
        Some(match channel.as_str() {
            "book" => {
                let side = |name: &str| fields(&data[name], "price", "qty");
                let (bids, asks) = (side("bids"), side("asks"));
                let depth = if is_whole {
                    Depth::snapshot(&symbol, bids, asks)
                } else {
                    Depth::delta(&symbol, bids, asks)
                };
                depth.checksum(checksum).heard()
            }
            "level3" => {
                let orders = |name: &str, side: Side| {
                    list(&data[name]).iter().map(move |it| order(side, it))
                };
                Heard::Orders {
                    symbol,
                    is_snapshot: is_whole,
                    last: -1,
                    checksum,
                    orders: orders("bids", Side::Buy)
                        .chain(orders("asks", Side::Sell))
                        .collect(),
                }
            }
            "trade" => {
                let taker = side(&data["side"]);
                trade(
                    &symbol,
                    &data["trade_id"],
                    taker,
                    &data["price"],
                    &data["qty"],
                )
            }
            "ticker" => Heard::Quote {
                symbol,
                update_id: -1,
                bid: best(&data["bid"], &data["bid_qty"]),
                ask: best(&data["ask"], &data["ask_qty"]),
            },
            _ => return None,
        })
    };
    list(&message["data"]).iter().filter_map(read).collect()
}

/// What is deleted rests no more, whatever its size was.
fn order(side: Side, it: &Value) -> Order {
    let rests = match it["event"].as_str() {
        Some("delete") => BigDecimal::default(),
        _ => num(&it["order_qty"]),
    };
    let price = num(&it["limit_price"]);
    (text(&it["order_id"]), side, price, rests, OrderAct::Rests)
}

/// Whole sides are `as` and `bs`, changes `a` and `b`, in one object or in two; the checksum is in the last.
fn first_version(parts: &[Value], name: &str, pair: &str) -> Vec<Heard> {
    let kind = name.split('-').next().unwrap_or_default();
    match kind {
        "book" => {
            let all =
                |short: &str| -> Vec<_> { parts.iter().flat_map(|it| pairs(&it[short])).collect() };
            let checksum = parts.iter().find_map(|it| checksum(&it["c"]));
            let depth = if parts
                .iter()
                .any(|it| it["as"].is_array() || it["bs"].is_array())
            {
                Depth::snapshot(pair, all("bs"), all("as"))
            } else {
                Depth::delta(pair, all("b"), all("a"))
            };
            vec![depth.checksum(checksum).heard()]
        }
        "trade" => {
            let trades = parts.iter().flat_map(list);
            // They have no ids.
            trades
                .map(|it| trade(pair, &Value::Null, side(&it[3]), &it[0], &it[1]))
                .collect()
        }
        "spread" => {
            let quote = |it: &Value| Heard::Quote {
                symbol: pair.to_owned(),
                update_id: -1,
                bid: best(&it[0], &it[3]),
                ask: best(&it[1], &it[4]),
            };
            parts.first().map(quote).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
