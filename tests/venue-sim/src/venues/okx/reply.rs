//! OKX's words for orders, events and refusals.

use crate::core::Core;
use crate::engine::{Cause, Fill, Order, Position, Refusal, Side, Size, Spec, State, What};
use crate::record::{Payment, state_name};
use crate::text::{amount, fixed, price, qty, trimmed};
use serde_json::{Map, Value, json};

/// A refusal in OKX's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status where it is the whole request's.
    pub status: u16,
    /// Error code.
    pub code: i64,
    /// Its text.
    pub text: String,
}

impl Refused {
    /// A refusal of one item.
    pub fn new(code: i64, text: impl Into<String>) -> Self {
        Self::http(200, code, text)
    }

    /// A refusal with an HTTP status.
    pub fn http(status: u16, code: i64, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
        }
    }

    /// A parameter that is missing or wrong.
    pub fn parameter(name: &str) -> Self {
        Self::new(51000, format!("Parameter {name} error"))
    }

    /// Too fast.
    pub fn too_fast() -> Self {
        let text = "Rate limit reached. Please refer to API documentation and throttle requests \
                    accordingly.";
        Self::http(429, 50011, text)
    }
}

/// A new order or amendment refused by the engine.
pub fn engine_refused(refusal: Refusal, asset: &str) -> Refused {
    match refusal {
        Refusal::Balance => Refused::new(
            51008,
            format!("Order failed. Insufficient {asset} balance in account."),
        ),
        Refusal::Duplicate => Refused::new(51016, "Duplicated client order ID."),
        Refusal::Unknown => Refused::new(
            51503,
            "Order modification failed as the order has been \
                                                 filled, canceled or does not exist.",
        ),
        Refusal::WouldTake | Refusal::Amend | Refusal::Overflow => Refused::parameter("sz"),
    }
}

/// What an instrument is, by its name.
pub fn inst_type(inst_id: &str) -> &'static str {
    if inst_id.ends_with("-SWAP") {
        "SWAP"
    } else {
        "SPOT"
    }
}

/// What `balance_and_position` tells of a funding payment: the balance it made.
pub fn funding_update(core: &Core, payment: &Payment) -> Value {
    let spec = core.engine.spec(payment.inst);
    let balance = core
        .engine
        .ledger()
        .balance(payment.account, spec.quote_asset);
    let at = ms(payment.at_ns);
    json!({
        "pTime": at, "eventType": "funding_fee", "posData": [], "trades": [],
        "balData": [{"ccy": spec.quote, "cashBal": amount(balance.free + balance.locked), "uTime": at}],
    })
}

/// A funding payment as the list of bills has it.
pub fn bill(core: &Core, inst_id: &str, payment: &Payment) -> Value {
    let spec = core.engine.spec(payment.inst);
    let (pnl, held) = (
        amount(payment.amount),
        core.engine.position(payment.account, payment.inst).qty,
    );
    let is_expense = payment.amount < 0;
    json!({
        "instType": inst_type(inst_id), "instId": inst_id, "billId": bill_id(payment).to_string(),
        "type": "8", "subType": if is_expense { "173" } else { "174" }, "ccy": spec.quote,
        "balChg": pnl, "pnl": pnl, "fee": "0", "interest": "0", "posBal": "0", "posBalChg": "0",
        "sz": qty(spec, held.abs()), "px": price(spec, core.engine.day(payment.inst).last),
        "mgnMode": "cross", "ordId": "", "clOrdId": "", "tradeId": "", "tag": "", "from": "",
        "to": "", "notes": "", "execType": "", "ts": ms(payment.at_ns),
    })
}

/// A payment's number among the bills.
pub fn bill_id(payment: &Payment) -> u64 {
    623_950_854_533_000_000 + payment.id
}

/// The word for a side.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// The number and text of why an order was cancelled.
fn cancel_source(state: State) -> (&'static str, &'static str) {
    let State::Canceled(cause) = state else {
        return ("", "");
    };
    match cause {
        Cause::User | Cause::CancelAll | Cause::Replaced => ("1", "Order canceled by user"),
        Cause::Ioc => ("14", "Order canceled: IOC remainder"),
        Cause::Fok => ("13", "Order canceled: FOK not filled completely"),
        Cause::PostOnly => ("31", "POST_ONLY would take liquidity"),
        Cause::SelfTrade => ("32", "Self trade prevention"),
        Cause::DeadMan => ("20", "Cancel all after triggered"),
    }
}

fn ms(ns: u64) -> String {
    (ns / 1_000_000).to_string()
}

/// Average price of what is done.
fn average(spec: &Spec, order: &Order) -> String {
    let base = spec.base_amount(order.cum);
    if base == 0 {
        return String::new();
    }
    let scaled = order.cum_quote.saturating_mul(100_000_000) / base;
    trimmed(scaled, 8)
}

fn fee_asset<'a>(spec: &'a Spec, order: &Order) -> &'a str {
    match order.ask.side {
        Side::Buy if !spec.is_contract => &spec.base,
        Side::Buy | Side::Sell => &spec.quote,
    }
}

/// A charged fee: negative, as the venue prints it.
fn charged(fee: i128) -> String {
    if fee == 0 {
        "0".to_owned()
    } else {
        format!("-{}", amount(fee))
    }
}

fn asked(spec: &Spec, order: &Order) -> String {
    match order.ask.size {
        Size::Quote(budget) => amount(budget),
        Size::Base(_) => qty(spec, order.qty),
    }
}

/// An order as REST and the `orders` channel show it; `fill` is the execution a push is about.
pub fn order_row(core: &Core, inst_id: &str, order: &Order, fill: Option<Fill>) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let (source, reason) = cancel_source(order.state);
    let text = |fill: Option<String>| fill.unwrap_or_default();
    let is_budget = matches!(order.ask.size, Size::Quote(_));
    json!({
        "instType": inst_type(inst_id), "instId": inst_id, "ordId": order.id.to_string(),
        "clOrdId": &*order.ask.client_id, "tag": &*order.ask.echo,
        "px": order.ask.price.map_or(String::new(), |value| price(spec, value)),
        "sz": asked(spec, order), "notionalUsd": "", "ordType": order.ask.type_name,
        "side": side(order.ask.side), "posSide": "", "tdMode": if spec.is_contract { "cross" } else { "cash" }, "ccy": "",
        "tgtCcy": if is_budget { "quote_ccy" } else { "" },
        "state": state_name(order.state), "accFillSz": qty(spec, order.cum),
        "fillSz": fill.map_or("0".to_owned(), |fill| qty(spec, fill.qty)),
        "fillPx": text(fill.map(|fill| price(spec, fill.price))),
        "fillTime": text(fill.map(|fill| ms(fill.at_ns))),
        "tradeId": text(fill.map(|fill| fill.trade.to_string())),
        "execType": text(fill.map(|fill| exec_type(fill).to_owned())),
        "fillFee": fill.map_or("0".to_owned(), |fill| charged(fill.fee)),
        "fillFeeCcy": if fill.is_some() { fee_asset(spec, order) } else { "" },
        "avgPx": average(spec, order), "fee": charged(order.fee),
        "feeCcy": fee_asset(spec, order), "rebate": "0", "rebateCcy": spec.quote, "pnl": "0",
        "lever": "", "reduceOnly": "false", "stpMode": "cancel_taker", "stpId": "",
        "cancelSource": source, "cancelSourceReason": reason, "category": "normal",
        "amendResult": "", "reqId": "", "code": "0", "msg": "", "algoId": "", "algoClOrdId": "",
        "attachAlgoClOrdId": "", "slTriggerPx": "", "slOrdPx": "", "tpTriggerPx": "",
        "tpOrdPx": "", "quickMgnType": "", "source": "", "isTpLimit": "false",
        "cTime": ms(order.created_ns), "uTime": ms(order.updated_ns),
    })
}

fn exec_type(fill: Fill) -> &'static str {
    if fill.is_maker { "M" } else { "T" }
}

/// The pushes of the `orders` channel for one event. A market order's last fill comes as partial, then
/// a further push says filled, as recorded from the venue.
pub fn pushes(core: &Core, inst_id: &str, order: &Order, what: What, req_id: &str) -> Vec<Value> {
    match what {
        What::New => {
            let mut fresh = order.clone();
            (fresh.state, fresh.last) = (State::Live, None);
            vec![order_row(core, inst_id, &fresh, None)]
        }
        What::Fill(fill) if order.state == State::Filled && order.ask.price.is_none() => {
            let mut partial = order.clone();
            partial.state = State::Partial;
            vec![
                order_row(core, inst_id, &partial, Some(fill)),
                order_row(core, inst_id, order, None),
            ]
        }
        What::Fill(fill) => vec![order_row(core, inst_id, order, Some(fill))],
        What::Canceled(_) => vec![order_row(core, inst_id, order, None)],
        What::Amended => {
            let mut row = order_row(core, inst_id, order, None);
            row["amendResult"] = json!("0");
            row["reqId"] = json!(req_id);
            vec![row]
        }
    }
}

/// One of `fills`.
pub fn fill_row(core: &Core, inst_id: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "instType": inst_type(inst_id), "instId": inst_id, "tradeId": fill.trade.to_string(),
        "ordId": order.id.to_string(), "clOrdId": &*order.ask.client_id,
        "billId": fill.trade.to_string(), "tag": &*order.ask.echo,
        "fillPx": price(spec, fill.price), "fillSz": qty(spec, fill.qty),
        "side": side(order.ask.side), "posSide": "net", "execType": exec_type(fill),
        "feeCcy": fee_asset(spec, order), "fee": charged(fill.fee), "ts": ms(fill.at_ns),
        "fillTime": ms(fill.at_ns), "fillPnl": "0",
    })
}

/// A push of the `fills` channel.
pub fn fill_push(core: &Core, inst_id: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "instId": inst_id, "fillSz": qty(spec, fill.qty), "fillPx": price(spec, fill.price),
        "side": side(order.ask.side), "ts": ms(fill.at_ns), "ordId": order.id.to_string(),
        "clOrdId": &*order.ask.client_id, "tradeId": fill.trade.to_string(),
        "execType": exec_type(fill), "count": "1",
    })
}

/// A position in a swap, in net mode.
pub fn position_row(core: &Core, inst_id: &str, inst: usize, position: Position) -> Value {
    let spec = core.engine.spec(inst);
    let each =
        position.cost * 10i128.pow(spec.qty_decimals.into()) / i128::from(position.qty.abs());
    let now = ms(core.now);
    json!({
        "instType": "SWAP", "instId": inst_id, "mgnMode": "cross", "posId": (inst + 1).to_string(),
        "posSide": "net", "pos": qty(spec, position.qty), "avgPx": amount(each), "lever": "2",
        "liqPx": "", "markPx": price(spec, core.engine.day(inst).last), "ccy": spec.quote,
        "tradeId": "1", "adl": "1", "cTime": now, "uTime": now,
    })
}

/// Balances of an account; all of them, or those of one instrument.
pub fn balances(core: &Core, account: usize, inst: Option<usize>) -> Value {
    let engine = &core.engine;
    let now = ms(core.now);
    let mut details: Vec<(usize, Value)> = Vec::new();
    let mut total = 0;
    let insts = match inst {
        Some(inst) => inst..inst + 1,
        None => 0..engine.instruments(),
    };
    for inst in insts {
        let spec = engine.spec(inst);
        let last = spec.notional(engine.day(inst).last, 10i64.pow(spec.qty_decimals.into()));
        for (name, asset, worth) in [
            (&spec.base, spec.base_asset, last.unwrap_or(0)),
            (&spec.quote, spec.quote_asset, crate::engine::UNIT),
        ] {
            if details.iter().any(|(known, _)| *known == asset) {
                continue;
            }
            let balance = engine.ledger().balance(account, asset);
            let equity = balance.free + balance.locked;
            total += equity / 1_000_000 * (worth / 1_000_000);
            details.push((
                asset,
                json!({
                    "ccy": name, "eq": amount(equity), "cashBal": amount(equity),
                    "availBal": amount(balance.free), "availEq": amount(balance.free),
                    "frozenBal": amount(balance.locked), "ordFrozen": amount(balance.locked),
                    "eqUsd": "", "upl": "0", "liab": "", "interest": "", "uTime": now,
                }),
            ));
        }
    }
    let details: Vec<Value> = details.into_iter().map(|(_, row)| row).collect();
    json!({
        "uTime": now, "totalEq": fixed(total, 12, 2), "isoEq": "", "adjEq": "", "ordFroz": "",
        "imr": "", "mmr": "", "mgnRatio": "", "notionalUsd": "", "details": details,
    })
}

/// `{"code":…,"msg":…,"data":[…]}`.
pub fn envelope(code: i64, text: &str, data: Vec<Value>) -> Value {
    let mut map = Map::new();
    map.insert("code".into(), json!(code.to_string()));
    map.insert("msg".into(), json!(text));
    map.insert("data".into(), data.into());
    Value::Object(map)
}
