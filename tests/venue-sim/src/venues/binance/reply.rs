//! Binance's words for orders, events and refusals.

use crate::core::Core;
use crate::engine::{Cause, Fill, Order, Refusal, Side, Size, Spec, State, Tif, What};
use crate::text::{amount8, price8, qty8};
use serde_json::{Value, json};

/// A refusal in Binance's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// HTTP status, the same on the WS-API.
    pub status: u16,
    /// Error code.
    pub code: i64,
    /// Its text.
    pub text: String,
    /// When to come back, Unix milliseconds.
    pub retry_after_ms: Option<u64>,
    /// More, for cancel-replace.
    pub data: Option<Box<Value>>,
}

impl Reject {
    /// A refusal.
    pub fn new(status: u16, code: i64, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
            retry_after_ms: None,
            data: None,
        }
    }

    /// A parameter that is missing or does not parse.
    pub fn missing(name: &str) -> Self {
        let text =
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
        Self::new(400, -1102, text)
    }

    /// A filter's refusal.
    pub fn filter(name: &str) -> Self {
        Self::new(400, -1013, format!("Filter failure: {name}"))
    }

    /// With the time to come back.
    pub fn retry_after(mut self, at_ms: u64) -> Self {
        self.retry_after_ms = Some(at_ms);
        self
    }

    /// The error's JSON.
    pub fn json(&self) -> Value {
        let mut error = json!({"code": self.code, "msg": self.text});
        if let Some(data) = &self.data {
            error["data"] = (**data).clone();
        } else if let Some(at) = self.retry_after_ms {
            error["data"] = json!({"retryAfter": at});
        }
        error
    }
}

/// A new order refused by the engine.
pub fn new_refused(refusal: Refusal) -> Reject {
    let text = match refusal {
        Refusal::Balance => "Account has insufficient balance for requested action.",
        Refusal::WouldTake => "Order would immediately match and take.",
        Refusal::Duplicate => "Duplicate order sent.",
        Refusal::Unknown | Refusal::Amend => "Order was rejected.",
        Refusal::Overflow => return Reject::filter("NOTIONAL"),
    };
    Reject::new(400, -2010, text)
}

/// A cancel of nothing.
pub fn unknown_order() -> Reject {
    Reject::new(400, -2011, "Unknown order sent.")
}

/// The word for a state.
pub fn status(state: State) -> &'static str {
    match state {
        State::Live => "NEW",
        State::Partial => "PARTIALLY_FILLED",
        State::Filled => "FILLED",
        State::Canceled(cause) => match cause {
            Cause::Ioc | Cause::Fok | Cause::PostOnly => "EXPIRED",
            Cause::SelfTrade => "EXPIRED_IN_MATCH",
            Cause::User | Cause::CancelAll | Cause::Replaced | Cause::DeadMan => "CANCELED",
        },
    }
}

/// The word for a side.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// The word for a life.
pub fn tif(tif: Tif) -> &'static str {
    match tif {
        Tif::Gtc => "GTC",
        Tif::Ioc => "IOC",
        Tif::Fok => "FOK",
    }
}

fn price(spec: &Spec, order: &Order) -> String {
    price8(spec, order.ask.price.unwrap_or(0))
}

fn budget(order: &Order) -> String {
    match order.ask.size {
        Size::Base(_) => "0.00000000".to_owned(),
        Size::Quote(amount) => amount8(amount),
    }
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

/// The answer to a new order: `ACK`, `RESULT` or `FULL`.
pub fn placed(core: &Core, symbol: &str, order: &Order, kind: &str, fills: &[Fill]) -> Value {
    let mut value = json!({
        "symbol": symbol, "orderId": order.id, "orderListId": -1,
        "clientOrderId": &*order.ask.client_id, "transactTime": ms(order.updated_ns),
    });
    if kind == "ACK" {
        return value;
    }
    merge(&mut value, body(core, order));
    if kind == "FULL" {
        let spec = core.engine.spec(order.ask.inst);
        let asset = fee_asset(spec, order);
        value["fills"] = fills
            .iter()
            .map(|fill| {
                json!({
                    "price": price8(spec, fill.price), "qty": qty8(spec, fill.qty),
                    "commission": amount8(fill.fee), "commissionAsset": asset,
                    "tradeId": fill.trade,
                })
            })
            .collect();
    }
    value
}

fn body(core: &Core, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "price": price(spec, order), "origQty": qty8(spec, order.qty),
        "executedQty": qty8(spec, order.cum), "origQuoteOrderQty": budget(order),
        "cummulativeQuoteQty": amount8(order.cum_quote), "status": status(order.state),
        "timeInForce": tif(order.ask.tif), "type": order.ask.type_name,
        "side": side(order.ask.side), "workingTime": ms(order.created_ns),
        "selfTradePreventionMode": "EXPIRE_TAKER",
    })
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// The answer to a cancel: `cancel_id` names the cancel itself.
pub fn canceled(core: &Core, symbol: &str, order: &Order, cancel_id: &str) -> Value {
    let mut value = json!({
        "symbol": symbol, "origClientOrderId": &*order.ask.client_id, "orderId": order.id,
        "orderListId": -1, "clientOrderId": cancel_id, "transactTime": ms(order.updated_ns),
    });
    merge(&mut value, body(core, order));
    // Documented for every answer but this one.
    if let Value::Object(value) = &mut value {
        value.shift_remove("workingTime");
    }
    value
}

/// The answer to a query.
pub fn queried(core: &Core, symbol: &str, order: &Order) -> Value {
    let mut value = json!({
        "symbol": symbol, "orderId": order.id, "orderListId": -1,
        "clientOrderId": &*order.ask.client_id,
    });
    merge(&mut value, body(core, order));
    let more = json!({
        "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": ms(order.created_ns),
        "updateTime": ms(order.updated_ns), "isWorking": order.state.is_open(),
    });
    merge(&mut value, more);
    value
}

/// One of `myTrades`.
pub fn my_trade(core: &Core, symbol: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let quote = spec.notional(fill.price, fill.qty).unwrap_or(0);
    json!({
        "symbol": symbol, "id": fill.trade, "orderId": order.id, "orderListId": -1,
        "price": price8(spec, fill.price), "qty": qty8(spec, fill.qty),
        "quoteQty": amount8(quote), "commission": amount8(fill.fee),
        "commissionAsset": fee_asset(spec, order), "time": ms(fill.at_ns),
        "isBuyer": order.ask.side == Side::Buy, "isMaker": fill.is_maker, "isBestMatch": true,
    })
}

fn fee_asset<'a>(spec: &'a Spec, order: &Order) -> &'a str {
    match order.ask.side {
        Side::Buy => &spec.base,
        Side::Sell => &spec.quote,
    }
}

/// What an execution report carries beside the order.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What happened.
    pub what: What,
    /// The name of the cancel, when it was one.
    pub cancel_id: &'a str,
    /// The unique execution id.
    pub execution: u64,
    /// The venue's time, milliseconds.
    pub now_ms: i64,
}

/// The `executionReport` event.
pub fn report(core: &Core, symbol: &str, order: &Order, report: Report<'_>) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let client_id = &*order.ask.client_id;
    let state = status(order.state);
    let (execution, shown, original) = match report.what {
        What::New => ("NEW", client_id, ""),
        What::Fill(_) => ("TRADE", client_id, ""),
        What::Amended => ("REPLACED", client_id, ""),
        What::Canceled(Cause::SelfTrade) => ("TRADE_PREVENTION", client_id, ""),
        What::Canceled(Cause::Ioc | Cause::Fok | Cause::PostOnly) => ("EXPIRED", client_id, ""),
        What::Canceled(_) => ("CANCELED", report.cancel_id, client_id),
    };
    // Filled on arrival: the first report still says NEW.
    let state = if report.what == What::New {
        "NEW"
    } else {
        state
    };
    let fill = match report.what {
        What::Fill(fill) => Some(fill),
        _ => None,
    };
    let last_quote = fill
        .and_then(|fill| spec.notional(fill.price, fill.qty))
        .unwrap_or(0);
    let is_working = order.state.is_open();
    json!({
        "e": "executionReport", "E": report.now_ms, "s": symbol, "c": shown,
        "S": side(order.ask.side), "o": order.ask.type_name, "f": tif(order.ask.tif),
        "q": qty8(spec, order.qty), "p": price(spec, order), "P": "0.00000000",
        "F": "0.00000000", "g": -1, "C": original, "x": execution, "X": state, "r": "NONE",
        "i": order.id, "l": qty8(spec, fill.map_or(0, |fill| fill.qty)),
        "z": qty8(spec, order.cum), "L": price8(spec, fill.map_or(0, |fill| fill.price)),
        "n": amount8(fill.map_or(0, |fill| fill.fee)),
        "N": fill.map(|_| fee_asset(spec, order)), "T": ms(order.updated_ns),
        "t": fill.map_or(-1, |fill| fill.trade as i64), "I": report.execution,
        "w": is_working, "m": fill.is_some_and(|fill| fill.is_maker), "M": fill.is_some(),
        "O": ms(order.created_ns), "Z": amount8(order.cum_quote), "Y": amount8(last_quote),
        "Q": budget(order), "W": ms(order.created_ns), "V": "EXPIRE_TAKER",
    })
}
