//! What a trading client written the usual way does with a tick: serde_json into borrowed structs, a
//! `BTreeMap` of floats for each side, an order out of a struct through serde_json. No trick on either side:
//! types are declared, nothing is parsed twice, strings are borrowed.
//!
//! Also compiled into `spinlane-bench`, for the same work without sockets.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A combined-stream message.
#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    data: Depth<'a>,
}

/// A depth update.
#[derive(Deserialize)]
#[expect(dead_code, reason = "a client reads what its venue documents")]
struct Depth<'a> {
    #[serde(rename = "E")]
    event_ms: u64,
    s: &'a str,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    a: Vec<[&'a str; 2]>,
}

/// An order for the WebSocket API.
#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    method: &'static str,
    params: Params<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    new_client_order_id: &'a str,
    new_order_resp_type: &'static str,
    price: &'a str,
    quantity: &'a str,
    recv_window: u32,
    side: &'static str,
    symbol: &'a str,
    time_in_force: &'static str,
    timestamp: u64,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// An answer or a report: what is looked at of it.
#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(borrow)]
    event: Option<Report<'a>>,
}

#[derive(Deserialize)]
struct Report<'a> {
    c: &'a str,
    #[serde(rename = "X")]
    state: &'a str,
}

/// A price that orders: books have no NaN.
#[derive(Clone, Copy, PartialEq)]
struct Price(f64);

impl Eq for Price {}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The book and the orders under way.
#[derive(Default)]
pub struct App {
    bids: BTreeMap<Price, f64>,
    asks: BTreeMap<Price, f64>,
    live: BTreeMap<String, f64>,
    sent: u64,
    /// Answer one tick in so many.
    every: u64,
}

/// A message that is not what it should be.
#[derive(Debug)]
pub struct BadMessage;

impl App {
    /// An empty book. `every`: answer one tick in so many.
    #[must_use]
    pub fn new(every: u64) -> Self {
        Self {
            every,
            ..Self::default()
        }
    }

    /// Applies a tick; the order it calls for, as text.
    ///
    /// # Errors
    /// The text is no depth update.
    pub fn on_tick(&mut self, text: &str) -> Result<Option<String>, BadMessage> {
        let depth = self.apply(text)?;
        let Some((price, qty)) = self.bids.last_key_value() else {
            return Ok(None);
        };
        // Ten bitcoin and more stand for a tick's number.
        let number = (qty * 100_000.0).round() as i64 - 1_000_000;
        if number < 0 || !number.unsigned_abs().is_multiple_of(self.every.max(1)) {
            return Ok(None);
        }
        self.sent += 1;
        let (id, client) = (format!("n-{}", self.sent), format!("peer-{}", self.sent));
        let request = Request {
            id: &id,
            method: "order.place",
            params: Params {
                new_client_order_id: &client,
                new_order_resp_type: "ACK",
                price: &format!("{:.2}", price.0),
                quantity: &format!("{qty:.5}"),
                recv_window: 5_000,
                side: "BUY",
                symbol: depth.s,
                time_in_force: "IOC",
                timestamp: depth.event_ms,
                kind: "LIMIT",
            },
        };
        let order = serde_json::to_string(&request).map_err(|_| BadMessage)?;
        self.live.insert(client, *qty);
        Ok(Some(order))
    }

    fn apply<'t>(&mut self, text: &'t str) -> Result<Depth<'t>, BadMessage> {
        let message: Combined<'_> = serde_json::from_str(text).map_err(|_| BadMessage)?;
        let depth = message.data;
        apply(&mut self.bids, &depth.b)?;
        apply(&mut self.asks, &depth.a)?;
        Ok(depth)
    }

    /// Applies a tick and answers nothing: best bid and ask after it.
    ///
    /// # Errors
    /// The text is no depth update.
    #[allow(dead_code, reason = "the stage without sockets asks")]
    pub fn on_depth(&mut self, text: &str) -> Result<Option<(f64, f64)>, BadMessage> {
        self.apply(text)?;
        let best = (self.bids.last_key_value(), self.asks.first_key_value());
        Ok(best.0.zip(best.1).map(|(bid, ask)| (bid.0.0, ask.0.0)))
    }

    /// Takes an answer or a report: an order that has ended is forgotten.
    ///
    /// # Errors
    /// The text is neither.
    pub fn on_answer(&mut self, text: &str) -> Result<(), BadMessage> {
        let heard: Heard<'_> = serde_json::from_str(text).map_err(|_| BadMessage)?;
        if let Some(report) = heard.event.filter(|report| report.state == "EXPIRED") {
            self.live.remove(report.c);
        }
        Ok(())
    }

    /// Orders under way.
    #[must_use]
    #[allow(dead_code, reason = "the path without sockets asks")]
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

/// Reads a tick and every number in it, and keeps nothing: their sum.
///
/// # Errors
/// The text is no depth update.
#[allow(dead_code, reason = "the stage without a book asks")]
pub fn read(text: &str) -> Result<f64, BadMessage> {
    let message: Combined<'_> = serde_json::from_str(text).map_err(|_| BadMessage)?;
    let numbers = message.data.b.iter().chain(&message.data.a).flatten();
    let numbers = numbers.map(|number| number.parse::<f64>().map_err(|_| BadMessage));
    numbers.sum()
}

fn apply(side: &mut BTreeMap<Price, f64>, levels: &[[&str; 2]]) -> Result<(), BadMessage> {
    for [price, qty] in levels {
        let price: f64 = price.parse().map_err(|_| BadMessage)?;
        let qty: f64 = qty.parse().map_err(|_| BadMessage)?;
        if qty == 0.0 {
            side.remove(&Price(price));
        } else {
            side.insert(Price(price), qty);
        }
    }
    Ok(())
}
