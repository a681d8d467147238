//! Deribit's words for orders, trades, positions, money and refusals.
//!
//! Numbers are bare, always with a point: `65000.0`. A field without a value is absent.

use super::tape::Tape;
use crate::core::Core;
use crate::engine::{AccountId, Cause, Fill, NewOrder, Order, Refusal, Side, Spec, State};
use crate::record::Payment;
use crate::text;
use serde_json::{Map, Number, Value, json};

/// A refusal in Deribit's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Error code.
    pub code: i64,
    /// Its name.
    pub text: &'static str,
    /// What exactly, where the venue says.
    pub data: Option<Value>,
    /// It was carried out all the same.
    pub is_done: bool,
}

impl Refused {
    /// A refusal by its code.
    pub fn new(code: i64) -> Self {
        Self {
            code,
            text: error_text(code),
            data: None,
            is_done: false,
        }
    }

    /// A parameter that is missing or wrong.
    pub fn parameter(name: &str, reason: &str) -> Self {
        Self {
            data: Some(json!({"reason": reason, "param": name})),
            ..Self::new(-32602)
        }
    }

    /// The HTTP status it comes with.
    pub const fn status(&self) -> u16 {
        match self.code {
            10_000 | 13_004 | 13_009 => 401,
            10_028 => 429,
            _ => 400,
        }
    }
}

/// The name of a code, as the venue's clients know it.
fn error_text(code: i64) -> &'static str {
    match code {
        10_000 => "authorization_required",
        10_002 => "qty_too_low",
        10_003 => "order_overlap",
        10_004 => "order_not_found",
        10_005 => "price_too_low",
        10_007 => "price_too_high",
        10_009 => "not_enough_funds",
        10_010 => "already_closed",
        10_011 => "price_not_allowed",
        10_012 => "book_closed",
        10_020 => "invalid_or_unsupported_instrument",
        10_021 => "invalid_amount",
        10_023 => "invalid_price",
        10_028 => "too_many_requests",
        10_030 => "must_be_websocket_request",
        10_033 => "not_implemented",
        10_040 => "retry",
        10_041 => "settlement_in_progress",
        10_043 => "price_wrong_tick",
        10_047 => "matching_engine_queue_full",
        10_066 => "too_many_concurrent_requests",
        11_008 => "already_filled",
        11_029 => "invalid_arguments",
        11_044 => "not_open_order",
        11_051 => "system_maintenance",
        11_054 => "post_only_reject",
        11_094 => "internal_server_error",
        13_004 => "invalid_credentials",
        13_009 => "unauthorized",
        13_028 => "temporarily_unavailable",
        13_888 => "timed_out",
        -32_600 => "Invalid Request",
        -32_601 => "Method not found",
        -32_602 => "Invalid params",
        -32_700 => "Parse error",
        _ => "error",
    }
}

/// A new order or edit refused by the engine.
pub fn engine_refused(refusal: Refusal) -> Refused {
    Refused::new(match refusal {
        Refusal::Balance => 10_009,
        Refusal::WouldTake => 11_054,
        Refusal::Unknown => 10_010,
        Refusal::Duplicate | Refusal::Amend | Refusal::Overflow => 11_029,
    })
}

/// With a point, as the venue prints every amount.
pub fn float(text: String) -> String {
    if text.contains('.') {
        text
    } else {
        text + ".0"
    }
}

/// A number of JSON that keeps its text.
pub fn number(text: String) -> Value {
    let number: Option<Number> = float(text).parse().ok();
    number.map_or(Value::Null, Value::Number)
}

/// A price.
pub fn price(spec: &Spec, price: i64) -> Value {
    number(text::price(spec, price))
}

/// An amount: base currency.
pub fn qty(spec: &Spec, qty: i64) -> Value {
    number(text::qty(spec, qty))
}

/// Money, to eight places.
pub fn money(amount: i128) -> Value {
    number(text::trimmed(amount / 10_000, 8))
}

/// The word for a side.
pub const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// What an order was asked with beside what the engine knows, kept in its `echo`: life and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// `time_in_force`.
    pub life: &'static str,
    /// Must not take.
    pub is_post_only: bool,
    /// Refused rather than moved when it would.
    pub rejects: bool,
    /// Only makes a position smaller.
    pub is_reduce_only: bool,
}

impl Terms {
    /// As text.
    pub fn echo(self) -> String {
        let flag = |is_set, name| if is_set { name } else { "" };
        format!(
            "{}{}{}{}",
            self.life,
            flag(self.is_post_only, " post_only"),
            flag(self.rejects, " reject_post_only"),
            flag(self.is_reduce_only, " reduce_only"),
        )
    }
}

fn has(ask: &NewOrder, word: &str) -> bool {
    ask.echo.split(' ').any(|known| known == word)
}

/// Contracts in an amount: one is the least that trades.
fn contracts(spec: &Spec, qty: i64) -> Value {
    number((qty / spec.lot).to_string())
}

/// The venue's milliseconds of a time.
pub fn ms(core: &Core, at_ns: u64) -> i64 {
    (at_ns / 1_000_000) as i64 + core.skew_ms
}

/// The middle of the book, on whole ticks; the last price while a side is empty.
pub fn mark(core: &Core, inst: usize) -> i64 {
    let (book, spec) = (core.engine.book(inst), core.engine.spec(inst));
    let best = |side| book.best(side).map(|(price, _)| price);
    match (best(Side::Buy), best(Side::Sell)) {
        (Some(bid), Some(ask)) => i64::midpoint(bid, ask) / spec.tick * spec.tick,
        _ => core.engine.day(inst).last,
    }
}

/// How far from the mark an order may be priced, in thousandths: what recordings of perpetuals show.
const BAND_PERMILLE: i64 = 15;

/// The lowest price to sell at and the highest to buy at.
pub fn band(core: &Core, inst: usize) -> (i64, i64) {
    let (mark, tick) = (mark(core, inst), core.engine.spec(inst).tick);
    let away = mark / 1_000 * BAND_PERMILLE / tick * tick;
    (mark - away, mark + away)
}

/// Average price of `qty` increments that cost so much, to eight places.
fn average(spec: &Spec, qty: i64, cost: i128) -> Value {
    let base = spec.base_amount(qty.abs());
    if base == 0 {
        return number("0".to_owned());
    }
    number(text::trimmed(cost.saturating_mul(100_000_000) / base, 8))
}

fn order_state(state: State) -> &'static str {
    match state {
        State::Live | State::Partial => "open",
        State::Filled => "filled",
        State::Canceled(_) => "cancelled",
    }
}

/// Why it was cancelled; the venue has no word for what an immediate order leaves [U].
fn cancel_reason(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::User | Cause::CancelAll | Cause::Replaced => "user_request",
        Cause::DeadMan => "cancel_on_disconnect",
        Cause::PostOnly => "edit_post_only_reject",
        Cause::SelfTrade => "risk_mitigation",
        Cause::Ioc | Cause::Fok => return None,
    })
}

/// An order, as answered, pushed and listed.
pub fn order_row(core: &Core, name: &str, order: &Order, is_edited: bool) -> Value {
    let (spec, ask) = (core.engine.spec(order.ask.inst), &order.ask);
    let shown = ask.price.or(order.last.map(|fill| fill.price));
    let shown = shown.unwrap_or_else(|| mark(core, ask.inst));
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("order_id", json!(order.id.to_string()));
    put("order_state", json!(order_state(order.state)));
    if let State::Canceled(cause) = order.state
        && let Some(reason) = cancel_reason(cause)
    {
        put("cancel_reason", json!(reason));
    }
    put("order_type", json!(ask.type_name));
    put("instrument_name", json!(name));
    put("direction", json!(side(ask.side)));
    put("price", price(spec, shown));
    put("amount", qty(spec, order.qty));
    put("contracts", contracts(spec, order.qty));
    put("filled_amount", qty(spec, order.cum));
    put("average_price", average(spec, order.cum, order.cum_quote));
    let life = ask.echo.split(' ').next().unwrap_or("");
    put("time_in_force", json!(life));
    if !ask.client_id.is_empty() {
        put("label", json!(&*ask.client_id));
    }
    put("post_only", json!(has(ask, "post_only")));
    if has(ask, "post_only") {
        put("reject_post_only", json!(has(ask, "reject_post_only")));
    }
    put("reduce_only", json!(has(ask, "reduce_only")));
    put("replaced", json!(is_edited));
    for (name, value) in [
        ("mmp", false),
        ("api", true),
        ("web", false),
        ("is_liquidation", false),
        ("risk_reducing", false),
    ] {
        put(name, json!(value));
    }
    put("creation_timestamp", json!(ms(core, order.created_ns)));
    put("last_update_timestamp", json!(ms(core, order.updated_ns)));
    Value::Object(row)
}

/// A trade of ours. Index and mark are its own price, and `profit_loss` is not told by trade here: the position's is.
pub fn trade_row(core: &Core, tape: &Tape, name: &str, order: &Order, fill: Fill) -> Value {
    let (spec, ask) = (core.engine.spec(order.ask.inst), &order.ask);
    let (seq, tick) = tape.of(fill.trade);
    let at = price(spec, fill.price);
    let mut row = json!({
        "trade_seq": seq, "trade_id": fill.trade.to_string(), "timestamp": ms(core, fill.at_ns),
        "order_id": order.id.to_string(), "order_type": ask.type_name, "label": &*ask.client_id,
        "instrument_name": name, "state": order_state(order.state), "direction": side(ask.side),
        "price": at, "amount": qty(spec, fill.qty), "contracts": contracts(spec, fill.qty),
        "liquidity": if fill.is_maker { "M" } else { "T" }, "fee": money(fill.fee),
        "fee_currency": spec.quote, "index_price": at, "mark_price": at,
        "post_only": has(ask, "post_only"), "reduce_only": has(ask, "reduce_only"),
        "self_trade": false, "profit_loss": number("0".to_owned()), "tick_direction": tick,
        "matching_id": null,
    });
    if ask.client_id.is_empty()
        && let Some(row) = row.as_object_mut()
    {
        row.shift_remove("label");
    }
    row
}

/// What a position would bring now.
fn floating(core: &Core, account: AccountId, inst: usize) -> i128 {
    let (spec, held) = (core.engine.spec(inst), core.engine.position(account, inst));
    let worth = spec.notional(mark(core, inst), held.qty.abs()).unwrap_or(0);
    (worth - held.cost) * i128::from(held.qty.signum())
}

/// A position. Margin is held for orders only, so its own is nothing.
pub fn position_row(core: &Core, name: &str, account: AccountId, inst: usize) -> Value {
    let (spec, held) = (core.engine.spec(inst), core.engine.position(account, inst));
    let floating = floating(core, account, inst);
    let (size, mark) = (qty(spec, held.qty), price(spec, mark(core, inst)));
    json!({
        "instrument_name": name, "kind": "future", "size": size, "size_currency": size,
        "direction": match held.qty.signum() { 1 => "buy", -1 => "sell", _ => "zero" },
        "average_price": average(spec, held.qty, held.cost), "mark_price": mark,
        "index_price": mark, "initial_margin": money(0), "maintenance_margin": money(0),
        "floating_profit_loss": money(floating), "realized_profit_loss": money(held.realised),
        "total_profit_loss": money(floating + held.realised), "leverage": 10,
    })
}

/// A settlement of funding as the log of transactions has it: the price's P&L is left at nothing.
pub fn settlement_row(core: &Core, name: &str, payment: &Payment) -> Value {
    let spec = core.engine.spec(payment.inst);
    let held = core.engine.position(payment.account, payment.inst).qty;
    let balance = core
        .engine
        .ledger()
        .balance(payment.account, spec.quote_asset);
    let paid = number(text::amount(payment.amount));
    let side = match held {
        0 => "-",
        1.. => "long",
        _ => "short",
    };
    json!({
        "id": payment.id, "user_seq": payment.id, "user_id": payment.account, "username": "simulator",
        "type": "settlement", "timestamp": payment.at_ns / 1_000_000, "currency": spec.quote,
        "instrument_name": name, "side": side, "position": qty(spec, held),
        "amount": qty(spec, held.abs()), "price": price(spec, mark(core, payment.inst)),
        "price_currency": spec.quote, "interest_pl": paid, "total_interest_pl": paid,
        "session_rpl": paid, "session_upl": 0.0, "change": paid, "cashflow": paid,
        "commission": null, "trade_id": null, "order_id": null,
        "balance": money(balance.free + balance.locked), "equity": null,
        "info": {"settlement_price": price(spec, mark(core, payment.inst)), "floating_pl": 0.0},
    })
}

/// An account's money in one asset.
pub fn portfolio(core: &Core, account: AccountId, asset: usize, name: &str) -> Value {
    let engine = &core.engine;
    let held = engine.ledger().balance(account, asset);
    let insts = (0..engine.instruments()).filter(|inst| engine.spec(*inst).quote_asset == asset);
    let (mut realised, mut open, mut delta) = (0, 0, 0);
    for inst in insts {
        let position = engine.position(account, inst);
        realised += position.realised;
        open += floating(core, account, inst);
        delta += engine.spec(inst).base_amount(position.qty);
    }
    let balance = held.free + held.locked;
    json!({
        "currency": name, "balance": money(balance), "equity": money(balance + open),
        "available_funds": money(held.free), "available_withdrawal_funds": money(held.free),
        "initial_margin": money(held.locked), "maintenance_margin": money(held.locked / 2),
        "margin_balance": money(balance + open), "session_rpl": money(realised),
        "session_upl": money(open), "total_pl": money(realised + open),
        "delta_total": money(delta), "futures_pl": money(realised + open),
    })
}

/// A JSON-RPC answer. `id` is the request's, where it had one.
pub fn envelope(core: &Core, id: Option<&Value>, result: &Result<Value, Refused>) -> String {
    let mut map = Map::new();
    map.insert("jsonrpc".into(), json!("2.0"));
    if let Some(id) = id {
        map.insert("id".into(), id.clone());
    }
    match result {
        Ok(result) => map.insert("result".into(), result.clone()),
        Err(refused) => {
            let mut error = json!({"code": refused.code, "message": refused.text});
            if let Some(data) = &refused.data {
                error["data"] = data.clone();
            }
            map.insert("error".into(), error)
        }
    };
    let us = (core.now / 1_000) as i64 + core.skew_ms.saturating_mul(1_000);
    map.insert("usIn".into(), json!(us));
    map.insert("usOut".into(), json!(us));
    map.insert("usDiff".into(), json!(0));
    map.insert("testnet".into(), json!(false));
    Value::Object(map).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_point_and_money_eight_places() {
        for (text, shown) in [("65000", "65000.0"), ("0.5", "0.5"), ("-3", "-3.0")] {
            assert_eq!(number(text.to_owned()).to_string(), shown);
        }
        assert_eq!(money(1_234_567_890_123).to_string(), "1.23456789");
        assert_eq!(money(0).to_string(), "0.0");
        assert_eq!(money(-500_000_000_000).to_string(), "-0.5");
        assert_eq!(money(310_000).to_string(), "0.00000031");
    }
}
