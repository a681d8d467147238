//! Coinbase, venue page sections A3 and B: level2, matches, ticker, the full channel, Advanced Trade.

use crate::heard::{Depth, Heard, Level, Order, best, int, list, num, pairs, side, text, trade};
use bigdecimal::BigDecimal;
use dp_types::{OrderAct, Side};
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[
    ("rest_book2", "/products/BTC-USD/book?level=2"),
    ("rest_book3", "/products/BTC-USD/book?level=3"),
];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

/// Rows with their side first, as bids and asks.
fn sides(rows: impl Iterator<Item = (Side, Level)>) -> (Vec<Level>, Vec<Level>) {
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    for (side, level) in rows {
        match side {
            Side::Buy => bids.push(level),
            Side::Sell => asks.push(level),
        }
    }
    (bids, asks)
}

pub fn read(_: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if let Some(url) = url {
        return rest(message, url);
    }
    if message["channel"].is_string() {
        let (channel, number) = (text(&message["channel"]), int(&message["sequence_num"]));
        return list(&message["events"])
            .iter()
            .flat_map(|event| advanced(&channel, number, event))
            .collect();
    }
    // The same words about our own orders have our names in them.
    if message["user_id"].is_string() || message["profile_id"].is_string() {
        return Vec::new();
    }
    let symbol = text(&message["product_id"]);
    let told = |orders: Vec<Order>| {
        vec![Heard::Orders {
            symbol: symbol.clone(),
            is_snapshot: false,
            last: int(&message["sequence"]),
            checksum: None,
            orders,
        }]
    };
    let order = |act: OrderAct, qty: BigDecimal, price: &str, id: &str| {
        told(vec![(
            text(&message[id]),
            side(&message["side"]),
            best(&message[price], &Value::from(0)).0,
            qty,
            act,
        )])
    };
    match message["type"].as_str() {
        Some("snapshot") => {
            let depth = Depth::snapshot(&symbol, pairs(&message["bids"]), pairs(&message["asks"]));
            vec![depth.heard()]
        }
        Some("l2update") => {
            let rows = list(&message["changes"]).iter();
            let (bids, asks) = sides(rows.map(|it| (side(&it[0]), (num(&it[1]), num(&it[2])))));
            vec![Depth::delta(&symbol, bids, asks).heard()]
        }
        // The side is the maker's: the aggressor's is the other.
        Some(kind @ ("match" | "last_match")) => {
            let taker = side(&message["side"]).opposite();
            let traded = trade(
                &symbol,
                &message["trade_id"],
                taker,
                &message["price"],
                &message["size"],
            );
            let size = num(&message["size"]);
            // The last before we came takes nothing of what we see.
            let taken = match kind {
                "match" => order(OrderAct::Trades, size, "price", "maker_order_id"),
                _ => Vec::new(),
            };
            [vec![traded], taken].concat()
        }
        Some("ticker") if message["best_bid_size"].is_string() => vec![Heard::Quote {
            symbol,
            update_id: -1,
            bid: best(&message["best_bid"], &message["best_bid_size"]),
            ask: best(&message["best_ask"], &message["best_ask_size"]),
        }],
        Some("open") => {
            let size = num(&message["remaining_size"]);
            order(OrderAct::Rests, size, "price", "order_id")
        }
        Some("done") if message["price"].is_string() => {
            order(OrderAct::Rests, BigDecimal::default(), "price", "order_id")
        }
        Some("change") => {
            let has_new = message["new_price"].is_string();
            let price = if has_new { "new_price" } else { "price" };
            order(
                OrderAct::Becomes,
                num(&message["new_size"]),
                price,
                "order_id",
            )
        }
        // Nothing rests, and its number counts.
        Some("received" | "activate" | "done") => told(Vec::new()),
        _ => Vec::new(),
    }
}

fn rest(message: &Value, url: &str) -> Vec<Heard> {
    let Some((product, _)) = url
        .split_once("/products/")
        .and_then(|(_, rest)| rest.split_once("/book"))
    else {
        return Vec::new();
    };
    if message["bids"][0][2].is_string() || message["asks"][0][2].is_string() {
        let orders = |name: &str, side: Side| -> Vec<Order> {
            let order = |it: &Value| {
                (
                    text(&it[2]),
                    side,
                    num(&it[0]),
                    num(&it[1]),
                    OrderAct::Rests,
                )
            };
            list(&message[name]).iter().map(order).collect()
        };
        return vec![Heard::Orders {
            symbol: product.to_owned(),
            is_snapshot: true,
            last: int(&message["sequence"]),
            checksum: None,
            orders: [orders("bids", Side::Buy), orders("asks", Side::Sell)].concat(),
        }];
    }
    // The channel of levels has no numbers to splice by.
    let depth = Depth::snapshot(product, pairs(&message["bids"]), pairs(&message["asks"]));
    vec![depth.heard()]
}

fn advanced(channel: &str, number: i64, event: &Value) -> Vec<Heard> {
    match channel {
        "l2_data" => {
            let symbol = text(&event["product_id"]);
            let rows = list(&event["updates"]).iter();
            let level = |it: &Value| (num(&it["price_level"]), num(&it["new_quantity"]));
            let (bids, asks) = sides(rows.map(|it| (side(&it["side"]), level(it))));
            // Messages of a connection are numbered, all channels together.
            let depth = if event["type"] == "snapshot" {
                Depth::snapshot(&symbol, bids, asks).id(number)
            } else {
                Depth::delta(&symbol, bids, asks).ids(number, number, number - 1)
            };
            vec![depth.heard()]
        }
        "market_trades" => {
            let one = |it: &Value| {
                let symbol = text(&it["product_id"]);
                trade(
                    &symbol,
                    &it["trade_id"],
                    side(&it["side"]).opposite(),
                    &it["price"],
                    &it["size"],
                )
            };
            list(&event["trades"]).iter().map(one).collect()
        }
        "ticker" => {
            let one = |it: &Value| Heard::Quote {
                symbol: text(&it["product_id"]),
                update_id: -1,
                bid: best(&it["best_bid"], &it["best_bid_quantity"]),
                ask: best(&it["best_ask"], &it["best_ask_quantity"]),
            };
            list(&event["tickers"]).iter().map(one).collect()
        }
        _ => Vec::new(),
    }
}
