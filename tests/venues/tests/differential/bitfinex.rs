//! Bitfinex, venue page section 3: lists `[channel, what, …, sequence]`, whose channels were confirmed before.

use crate::heard::{Depth, Heard, Level, Order, list, num, text, trade};
use bigdecimal::{BigDecimal, Zero as _};
use dp_types::{OrderAct, Side};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the confirmations said.
#[derive(Debug, Default)]
pub struct Page {
    /// Channel → name, symbol, precision.
    channels: BTreeMap<String, [String; 3]>,
    /// Frames are numbered.
    is_numbered: bool,
    /// Trades told when they were executed.
    executed: BTreeSet<String>,
}

pub const BOOKS: &[(&str, &str)] = &[];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[
    "feed_conf",
    "feed_subscribed_book",
    "feed_subscribed_raw",
    "feed_subscribed_trades",
];

/// The flag that numbers frames.
const SEQ_ALL: u64 = 65_536;

pub fn read(page: &mut Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
    if url.is_some() {
        return Vec::new();
    }
    let confirmed = |it: &Value| ["channel", "symbol", "prec"].map(|key| text(&it[key]));
    match message["event"].as_str() {
        Some("subscribed") => {
            let channel = text(&message["chanId"]);
            page.channels.insert(channel, confirmed(message));
        }
        Some("conf") => {
            page.is_numbered = message["flags"].as_u64().unwrap_or(0) & SEQ_ALL != 0;
        }
        // Under maintenance books are stale: they follow nothing any more.
        Some("info") if message["code"] == 20_060 => {
            let books = page.channels.values().filter(|it| it[0] == "book");
            let symbols: BTreeSet<_> = books.map(|it| it[1].clone()).collect();
            let stale = |it: &String| Depth::delta(it, Vec::new(), Vec::new()).ids(-1, -1, 0);
            return symbols.iter().map(|it| stale(it).heard()).collect();
        }
        _ => {}
    }
    let [channel, what, rest @ ..] = list(message) else {
        return Vec::new();
    };
    // Recorders write the confirmation in the place of the number.
    let known = if channel.is_object() {
        confirmed(channel)
    } else {
        match page.channels.get(&text(channel)) {
            Some(known) => known.clone(),
            None => return Vec::new(),
        }
    };
    let [name, symbol, precision] = known.each_ref().map(String::as_str);
    let (word, body, number) = match (what.as_str(), rest) {
        (None, rest) => (None, what, rest.first()),
        (Some("hb"), rest) => (Some("hb"), &Value::Null, rest.first()),
        (word, [body, rest @ ..]) => (word, body, rest.first()),
        _ => return Vec::new(),
    };
    let number = match number.and_then(Value::as_i64) {
        Some(number) if page.is_numbered => number,
        None if !page.is_numbered => -1,
        // Not of the page's shape.
        None => return Vec::new(),
        Some(_) => -1,
    };
    let is_whole = body[0].is_array() || list(body).is_empty();
    let rows: Vec<_> = if is_whole {
        list(body).iter().collect()
    } else {
        vec![body]
    };
    let is_raw = precision == "R0";
    let nothing = |checksum: Option<u32>| {
        if is_raw {
            return Heard::Orders {
                symbol: symbol.to_owned(),
                is_snapshot: false,
                last: number,
                checksum,
                orders: Vec::new(),
            };
        }
        let none = Depth::delta(symbol, Vec::new(), Vec::new());
        none.id(number).checksum(checksum).heard()
    };
    match (name, word) {
        // What changes nothing is counted all the same.
        ("book", Some("hb")) if number >= 0 => vec![nothing(None)],
        (_, Some("hb")) => Vec::new(),
        ("book", Some("cs")) => vec![nothing(body.as_i64().map(|sum| sum as u32))],
        ("book", None) if is_raw => {
            let orders = rows.into_iter().map(order).collect();
            vec![Heard::Orders {
                symbol: symbol.to_owned(),
                is_snapshot: is_whole,
                last: number,
                checksum: None,
                orders,
            }]
        }
        ("book", None) => {
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            for row in rows {
                let (side, level) = level(row);
                match side {
                    Side::Buy => bids.push(level),
                    Side::Sell => asks.push(level),
                }
            }
            let depth = if is_whole {
                Depth::snapshot(symbol, bids, asks)
            } else {
                Depth::delta(symbol, bids, asks)
            };
            vec![depth.id(number).heard()]
        }
        // Confirmed moments later with the same id.
        ("trades", Some("tu")) if page.executed.contains(&text(&body[0])) => Vec::new(),
        // The newest is first in a list.
        ("trades", _) => {
            page.executed.extend(rows.iter().map(|row| text(&row[0])));
            let trades = rows.into_iter().rev();
            trades.map(|row| one_trade(symbol, row)).collect()
        }
        _ => Vec::new(),
    }
}

/// The sign is the side.
fn signed(amount: &Value) -> (Side, BigDecimal) {
    let amount = num(amount);
    if amount < BigDecimal::zero() {
        (Side::Sell, -amount)
    } else {
        (Side::Buy, amount)
    }
}

/// `[price, count, amount]`; a count of 0 deletes.
fn level(row: &Value) -> (Side, Level) {
    let (side, amount) = signed(&row[2]);
    let qty = if num(&row[1]).is_zero() {
        BigDecimal::zero()
    } else {
        amount
    };
    (side, (num(&row[0]), qty))
}

/// `[id, price, amount]`; a price of 0 deletes.
fn order(row: &Value) -> Order {
    let (side, amount) = signed(&row[2]);
    let price = num(&row[1]);
    let rests = if price.is_zero() {
        BigDecimal::zero()
    } else {
        amount
    };
    (text(&row[0]), side, price, rests, OrderAct::Rests)
}

/// `[id, time, amount, price]`.
fn one_trade(symbol: &str, row: &Value) -> Heard {
    let (taker, qty) = signed(&row[2]);
    trade(
        symbol,
        &row[0],
        taker,
        &row[3],
        &Value::from(qty.to_plain_string()),
    )
}
