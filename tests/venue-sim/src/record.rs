//! The simulator's own account of what clients did: what their counts are compared with.

use crate::core::Core;
use crate::engine::{Amount, Cause, Fill, Order, Side, State, What};
use crate::text;
use crate::venues::Face;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Orders, fills and refusals kept, each; beyond it `truncated` is set and only counts go on.
pub const RECORD_MAX: usize = 1_000_000;

/// Codes that say nothing of the order: the time-outs of Binance, OKX and Bybit.
const OPEN_OUTCOMES: [i64; 4] = [-1007, 50004, 10000, 10016];

/// A refused request.
#[derive(Debug, Clone)]
struct Refused {
    op: &'static str,
    client_id: String,
    code: i64,
    text: String,
    at_ns: u64,
}

/// A fill with the order it belongs to.
#[derive(Debug, Clone, Copy)]
struct FillRow {
    order: u64,
    fill: Fill,
}

/// A funding payment to an account.
#[derive(Debug, Clone, Copy)]
pub struct Payment {
    /// Its number, from 1.
    pub id: u64,
    /// Whose.
    pub account: usize,
    /// For what.
    pub inst: usize,
    /// How much; below 0 it paid.
    pub amount: Amount,
    /// When, Unix nanoseconds.
    pub at_ns: u64,
}

/// What clients asked and got. Requests are counted as they came in, duplicates included.
#[derive(Debug, Default)]
pub struct Record {
    orders: BTreeMap<u64, Order>,
    fills: Vec<FillRow>,
    refused: Vec<Refused>,
    payments: Vec<Payment>,
    requests: BTreeMap<&'static str, u64>,
    client_ids: BTreeMap<String, u64>,
    is_truncated: bool,
}

impl Record {
    /// Counts a request: `new`, `cancel`, `amend`, `cancel_all`, `query`, … With a new order's client id
    /// the requests under that id are counted too.
    pub fn request(&mut self, op: &'static str, client_id: Option<&str>) {
        *self.requests.entry(op).or_default() += 1;
        if let Some(id) = client_id.filter(|id| !id.is_empty()) {
            if self.client_ids.len() < RECORD_MAX {
                *self.client_ids.entry(id.to_owned()).or_default() += 1;
            } else {
                self.is_truncated = true;
            }
        }
    }

    /// Notes a refusal. An outcome left open is none when the order was carried out all the same.
    pub fn refused(&mut self, op: &'static str, id: &str, code: i64, text: &str, at_ns: u64) {
        let is_ours = |order: &Order| &*order.ask.client_id == id;
        if op == "new" && OPEN_OUTCOMES.contains(&code) && self.orders.values().any(is_ours) {
            return;
        }
        if self.refused.len() >= RECORD_MAX {
            self.is_truncated = true;
            return;
        }
        self.refused.push(Refused {
            op,
            client_id: id.to_owned(),
            code,
            text: text.to_owned(),
            at_ns,
        });
    }

    /// Notes what happened to a client's order.
    pub fn note(&mut self, order: &Order, what: What) {
        if self.orders.len() < RECORD_MAX || self.orders.contains_key(&order.id) {
            self.orders.insert(order.id, order.clone());
        } else {
            self.is_truncated = true;
        }
        if let What::Fill(fill) = what {
            if self.fills.len() < RECORD_MAX {
                self.fills.push(FillRow {
                    order: order.id,
                    fill,
                });
            } else {
                self.is_truncated = true;
            }
        }
    }

    /// Notes funding that was paid; returns the payments.
    pub fn funded(&mut self, paid: &[(usize, usize, Amount)], at_ns: u64) -> Vec<Payment> {
        let first = self.payments.len() as u64 + 1;
        let payments = (first..)
            .zip(paid)
            .map(|(id, &(account, inst, amount))| Payment {
                id,
                account,
                inst,
                amount,
                at_ns,
            });
        let payments: Vec<_> = payments.collect();
        if self.payments.len() < RECORD_MAX {
            self.payments.extend(&payments);
        } else {
            self.is_truncated = true;
        }
        payments
    }

    /// An account's funding payments, oldest first.
    pub fn payments(&self, account: usize) -> impl DoubleEndedIterator<Item = &Payment> {
        self.payments.iter().filter(move |it| it.account == account)
    }

    /// An account's fills with their orders, oldest first.
    pub fn fills(&self, account: usize) -> impl DoubleEndedIterator<Item = (&Order, Fill)> {
        self.fills.iter().filter_map(move |row| {
            let order = self.orders.get(&row.order)?;
            (order.ask.account == account).then_some((order, row.fill))
        })
    }

    /// Counts, without the lists.
    pub fn counts(&self) -> Value {
        let new = self.requests.get("new").copied().unwrap_or(0);
        let duplicates: u64 = self.client_ids.values().map(|count| count - 1).sum();
        json!({
            "requests": self.requests,
            "new_requests": new,
            "duplicate_client_ids": duplicates,
            "orders": self.orders.len(),
            "fills": self.fills.len(),
            "refused": self.refused.len(),
            "truncated": self.is_truncated,
        })
    }
}

/// The word for a state: `live, partially_filled, filled, canceled`.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Partial => "partially_filled",
        State::Filled => "filled",
        State::Canceled(_) => "canceled",
    }
}

fn cause_name(state: State) -> Value {
    let State::Canceled(cause) = state else {
        return Value::Null;
    };
    json!(match cause {
        Cause::User => "user",
        Cause::CancelAll => "cancel_all",
        Cause::Replaced => "replaced",
        Cause::Ioc => "ioc",
        Cause::Fok => "fok",
        Cause::PostOnly => "post_only",
        Cause::SelfTrade => "self_trade",
        Cause::DeadMan => "dead_man",
    })
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// The whole record of a venue as JSON; `symbol` names an instrument in the venue's words.
pub fn to_json(core: &Core, symbol: &dyn Fn(usize) -> String) -> Value {
    let record = &core.record;
    let orders: Vec<Value> = record
        .orders
        .values()
        .map(|o| order_row(core, symbol, o))
        .collect();
    let fills: Vec<Value> = record
        .fills
        .iter()
        .filter_map(|row| {
            Some(fill_row(
                core,
                symbol,
                record.orders.get(&row.order)?,
                row.fill,
            ))
        })
        .collect();
    let refused: Vec<Value> = record
        .refused
        .iter()
        .map(|row| {
            json!({
                "venue": core.name, "op": row.op, "client_order_id": row.client_id,
                "code": row.code, "text": row.text, "at_ns": row.at_ns,
            })
        })
        .collect();
    let payments = record.payments.iter().map(|row| {
        json!({
            "venue": core.name, "api_key": core.key_name(row.account), "id": row.id,
            "symbol": symbol(row.inst), "asset": core.engine.spec(row.inst).quote,
            "amount": text::amount(row.amount), "at_ns": row.at_ns,
        })
    });
    let payments: Vec<Value> = payments.collect();
    json!({
        "orders": orders,
        "fills": fills,
        "funding": payments,
        "refused": refused,
        "requests_by_client_order_id": record.client_ids,
        "counts": record.counts(),
    })
}

/// A book as it is, with the client's position in it: `{symbol, bids: [[price, qty], …], asks, position}`, best
/// first. `account` is whose position.
pub fn book_json(core: &Core, inst: usize, symbol: &str, account: usize) -> Value {
    let (spec, book) = (core.engine.spec(inst), core.engine.book(inst));
    let side = |side| {
        let levels = book.levels(side);
        let row = |(price, level): (i64, &crate::engine::Level)| {
            json!([text::price(spec, price), text::qty(spec, level.total)])
        };
        levels.map(row).collect::<Vec<Value>>()
    };
    json!({
        "symbol": symbol, "bids": side(Side::Buy), "asks": side(Side::Sell),
        "position": text::qty(spec, core.engine.position(account, inst).qty),
    })
}

/// A book's single orders: `{bids: [[order id, price, qty], …], asks}`, best price first, each in its queue's order.
pub fn queues_json(face: &mut dyn Face, inst: usize) -> Value {
    let core = face.core();
    let (spec, book) = (core.engine.spec(inst), core.engine.book(inst));
    let side = |side| {
        let queues = book.levels(side).flat_map(|(price, level)| {
            let orders = level.queue.iter().filter_map(|id| core.engine.order(*id));
            orders.map(move |order| {
                let qty = text::qty(spec, order.leaves());
                (order.id, text::price(spec, price), qty)
            })
        });
        queues.collect::<Vec<_>>()
    };
    let sides = [Side::Buy, Side::Sell].map(side);
    let [bids, asks] = sides.map(|rows| -> Vec<Value> {
        let rows = rows.into_iter();
        rows.map(|(id, price, qty)| json!([face.order_id(id), price, qty]))
            .collect()
    });
    json!({"bids": bids, "asks": asks})
}

fn order_row(core: &Core, symbol: &dyn Fn(usize) -> String, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "venue": core.name,
        "api_key": core.key_name(order.ask.account),
        "client_order_id": &*order.ask.client_id,
        "order_id": order.id.to_string(),
        "symbol": symbol(order.ask.inst),
        "side": side_name(order.ask.side),
        "type": order.ask.type_name,
        "price": order.ask.price.map(|price| text::price(spec, price)),
        "qty": text::qty(spec, order.qty),
        "state": state_name(order.state),
        "cause": cause_name(order.state),
        "cum": text::qty(spec, order.cum),
        "cum_quote": text::amount(order.cum_quote),
        "fee": text::amount(order.fee),
        "created_ns": order.created_ns,
        "updated_ns": order.updated_ns,
    })
}

fn fill_row(core: &Core, symbol: &dyn Fn(usize) -> String, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let is_in_quote = core.engine.is_fee_in_quote(order.ask.inst, order.ask.side);
    let fee_asset = if is_in_quote { &spec.quote } else { &spec.base };
    json!({
        "venue": core.name,
        "client_order_id": &*order.ask.client_id,
        "order_id": order.id.to_string(),
        "trade_id": fill.trade.to_string(),
        "symbol": symbol(order.ask.inst),
        "side": side_name(order.ask.side),
        "price": text::price(spec, fill.price),
        "qty": text::qty(spec, fill.qty),
        "fee": text::amount(fill.fee),
        "fee_asset": fee_asset,
        "fee_in_base": !is_in_quote,
        "maker": fill.is_maker,
        "at_ns": fill.at_ns,
    })
}
