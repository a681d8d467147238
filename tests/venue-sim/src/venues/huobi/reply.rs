//! The venue's words for orders, events and refusals.
//!
//! ```text
//!  v1  {"status":"ok","data":…}        {"status":"error","err-code":WORD,"err-msg":…,"data":null}
//!  v2  {"code":200,"data":…}           {"code":NUMBER,"message":…}
//! ```
//! Both arrive with HTTP 200, refusals too.

use super::number::{bare, long};
use crate::core::{Core, Response};
use crate::engine::{AccountId, Fill, Order, Refusal, Side, Size, Spec, State, What};
use crate::text::{amount, price, qty, trimmed};
use serde_json::{Map, Value, json};

/// The record's number of a refusal: the venue has words for it.
pub const REFUSED: i64 = 1;
/// First id of the fills of lists: trades count up from it, two sides each.
const FILL_IDS: u64 = 313_288_753_000_000;
/// The account id that clients place their orders from is this and the account's number.
const ACCOUNT_IDS: u64 = 992_700;

/// A refusal in the venue's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// Its word.
    pub word: &'static str,
    /// Its number where the newer endpoints or the private socket say it.
    pub number: i64,
    /// What went wrong, in a sentence.
    pub text: String,
    /// How the order stands that could not be cancelled.
    pub order_state: Option<i64>,
    /// It says nothing of the order, which was carried out.
    pub is_done: bool,
}

impl Refused {
    /// A refusal by its word.
    pub fn new(word: &'static str, text: impl Into<String>) -> Self {
        Self {
            status: 200,
            word,
            // "Invalid field value", of the newer endpoints.
            number: 2002,
            text: text.into(),
            order_state: None,
            is_done: false,
        }
    }

    /// A signature that is not good.
    pub fn signature(english: &str, chinese: &str) -> Self {
        let text = format!("Signature not valid: {english} [{chinese}]");
        Self {
            number: 1003,
            ..Self::new("api-signature-not-valid", text)
        }
    }

    /// A field that is missing or no good.
    pub fn field(name: &str) -> Self {
        Self::new("bad-argument", format!("invalid field value in `{name}`"))
    }

    /// Too fast.
    pub fn too_fast() -> Self {
        Self {
            status: 429,
            number: 429,
            ..Self::new("rate-too-many-requests", "exceeded rate limit")
        }
    }

    /// No such order.
    pub fn unknown_order() -> Self {
        Self::new("base-record-invalid", "record invalid")
    }

    /// The order is filled or cancelled already.
    pub fn order_state(state: State, cum: i64) -> Self {
        Self {
            order_state: Some(state_number(state, cum)),
            ..Self::new("order-orderstate-error", "the order state is error")
        }
    }

    /// As an answer of REST, in the envelope of its path.
    pub fn response(&self, path: &str) -> Response {
        let body = if path.starts_with("/v2/") {
            json!({"code": self.number, "message": self.text})
        } else if path.starts_with("/market/") {
            json!({"status": "error", "err-code": self.word, "err-msg": self.text})
        } else {
            let mut body = json!({
                "status": "error", "err-code": self.word, "err-msg": self.text, "data": null,
            });
            if let Some(state) = self.order_state {
                body["order-state"] = json!(state);
            }
            body
        };
        Response::json(self.status, body)
    }

    /// For the record, which has room for one text.
    pub fn told(&self) -> String {
        format!("{}: {}", self.word, self.text)
    }
}

/// A new order refused by the engine, with what is left of the asset it pays with.
pub fn engine_refused(refusal: Refusal, left: i128) -> Refused {
    match refusal {
        Refusal::Balance => Refused::new(
            "account-frozen-balance-insufficient-error",
            format!(
                "trade account balance is not enough, left: `{}`",
                amount(left)
            ),
        ),
        Refusal::Overflow => Refused::new(
            "order-limitorder-amount-max-error",
            "limit order amount error",
        ),
        // Neither is asked of the engine: the venue takes client ids again and orders as they come.
        Refusal::WouldTake | Refusal::Duplicate | Refusal::Unknown | Refusal::Amend => {
            Refused::unknown_order()
        }
    }
}

/// The word for a side.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// The word for a state.
pub fn state(order: &Order) -> &'static str {
    match order.state {
        State::Live => "submitted",
        State::Partial => "partial-filled",
        State::Filled => "filled",
        State::Canceled(_) if order.cum > 0 => "partial-canceled",
        State::Canceled(_) => "canceled",
    }
}

/// The number for a state.
pub fn state_number(state: State, cum: i64) -> i64 {
    match state {
        State::Live => 3,
        State::Partial => 4,
        State::Filled => 6,
        State::Canceled(_) if cum > 0 => 5,
        State::Canceled(_) => 7,
    }
}

/// The id of an account at the venue.
pub fn account_id(account: AccountId) -> u64 {
    ACCOUNT_IDS + account as u64
}

/// The id of one side of a trade in the lists of fills.
pub fn fill_id(fill: &Fill) -> u64 {
    FILL_IDS + 2 * (fill.trade % 1_000_000_000) + u64::from(fill.is_maker)
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn fee_asset(spec: &Spec, order: &Order) -> String {
    match order.ask.side {
        Side::Buy => spec.base.to_lowercase(),
        Side::Sell => spec.quote.to_lowercase(),
    }
}

/// What was asked, done and remains: of a market buy in the quote asset, of all others in the base asset.
fn amounts(spec: &Spec, order: &Order) -> [(i128, u8); 3] {
    match order.ask.size {
        Size::Quote(budget) => [
            (budget, 12),
            (order.cum_quote, 12),
            (budget - order.cum_quote, 12),
        ],
        Size::Base(size) => {
            let parts = [size, order.cum, size - order.cum];
            parts.map(|part| (i128::from(part), spec.qty_decimals))
        }
    }
}

/// The fields that name an order, as the pushes end with them.
fn named(row: &mut Map<String, Value>, spec: &Spec, symbol: &str, order: &Order, event: &str) {
    row.insert("orderId".into(), json!(order.id));
    row.insert("type".into(), json!(order.ask.type_name));
    row.insert("clientOrderId".into(), json!(&*order.ask.client_id));
    row.insert("orderSource".into(), json!(&*order.ask.echo));
    if let Some(at) = order.ask.price {
        row.insert("orderPrice".into(), json!(price(spec, at)));
    }
    let (name, text) = asked(spec, order);
    row.insert(name.into(), json!(text));
    row.insert("orderStatus".into(), json!(state(order)));
    row.insert("symbol".into(), json!(symbol));
    row.insert("eventType".into(), json!(event));
}

fn asked(spec: &Spec, order: &Order) -> (&'static str, String) {
    let [(value, decimals), ..] = amounts(spec, order);
    match order.ask.size {
        Size::Quote(_) => ("orderValue", trimmed(value, decimals)),
        Size::Base(_) => ("orderSize", trimmed(value, decimals)),
    }
}

/// The data of a push on `orders#`.
pub fn order_push(core: &Core, symbol: &str, order: &Order, what: What) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let [_, done, remains] = amounts(spec, order);
    let mut row = Map::new();
    let event = match what {
        What::New | What::Amended => {
            let (name, text) = asked(spec, order);
            row.insert("orderSource".into(), json!(&*order.ask.echo));
            row.insert("accountId".into(), json!(account_id(order.ask.account)));
            if let Some(at) = order.ask.price {
                row.insert("orderPrice".into(), json!(price(spec, at)));
            }
            row.insert(name.into(), json!(text));
            row.insert("orderCreateTime".into(), json!(ms(order.created_ns)));
            row.insert("symbol".into(), json!(symbol));
            row.insert("eventType".into(), json!("creation"));
            row.insert("type".into(), json!(order.ask.type_name));
            row.insert("orderId".into(), json!(order.id));
            row.insert("clientOrderId".into(), json!(&*order.ask.client_id));
            row.insert("orderStatus".into(), json!("submitted"));
            return Value::Object(row);
        }
        What::Fill(fill) => {
            row.insert("tradePrice".into(), json!(price(spec, fill.price)));
            row.insert("tradeVolume".into(), json!(qty(spec, fill.qty)));
            row.insert("tradeId".into(), json!(fill.trade));
            row.insert("tradeTime".into(), json!(ms(fill.at_ns)));
            row.insert("aggressor".into(), json!(!fill.is_maker));
            "trade"
        }
        What::Canceled(_) => {
            row.insert("lastActTime".into(), json!(ms(order.updated_ns)));
            "cancellation"
        }
    };
    row.insert("remainAmt".into(), json!(trimmed(remains.0, remains.1)));
    row.insert("execAmt".into(), json!(trimmed(done.0, done.1)));
    named(&mut row, spec, symbol, order, event);
    Value::Object(row)
}

/// The data of a push on `trade.clearing#`: fills and, in mode 1, cancellations. `None` for other events.
pub fn clearing_push(
    core: &Core,
    symbol: &str,
    order: &Order,
    what: What,
    mode: u8,
) -> Option<Value> {
    let spec = core.engine.spec(order.ask.inst);
    let mut row = json!({"eventType": "trade", "symbol": symbol, "orderId": order.id});
    match what {
        What::Fill(fill) => {
            row["tradePrice"] = json!(price(spec, fill.price));
            row["tradeVolume"] = json!(qty(spec, fill.qty));
            row["orderSide"] = json!(side(order.ask.side));
            row["orderType"] = json!(order.ask.type_name);
            row["aggressor"] = json!(!fill.is_maker);
            row["tradeId"] = json!(fill.trade);
            row["tradeTime"] = json!(ms(fill.at_ns));
            row["transactFee"] = json!(amount(fill.fee));
            row["feeDeduct"] = json!("0");
            row["feeDeductType"] = json!("");
            row["feeCurrency"] = json!(fee_asset(spec, order));
        }
        What::Canceled(_) if mode == 1 => {
            row["eventType"] = json!("cancellation");
            row["orderSide"] = json!(side(order.ask.side));
            row["orderType"] = json!(order.ask.type_name);
        }
        _ => return None,
    }
    row["accountId"] = json!(account_id(order.ask.account));
    row["source"] = json!(&*order.ask.echo);
    if let Some(at) = order.ask.price {
        row["orderPrice"] = json!(price(spec, at));
    }
    let (name, text) = asked(spec, order);
    row[name] = json!(text);
    row["clientOrderId"] = json!(&*order.ask.client_id);
    row["orderCreateTime"] = json!(ms(order.created_ns));
    if matches!(what, What::Canceled(_)) {
        let [_, _, (value, decimals)] = amounts(spec, order);
        row["remainAmt"] = json!(trimmed(value, decimals));
    }
    row["orderStatus"] = json!(state(order));
    Some(row)
}

/// An order in the list of those open.
pub fn open_row(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let [all, ..] = amounts(spec, order);
    json!({
        "symbol": symbol, "source": "api", "price": limit(spec, order),
        "created-at": ms(order.created_ns), "amount": long(all.0, all.1),
        "account-id": account_id(order.ask.account),
        "filled-cash-amount": long(order.cum_quote, 12),
        "client-order-id": &*order.ask.client_id,
        "filled-amount": long(order.cum.into(), spec.qty_decimals),
        "filled-fees": long(order.fee, 12), "id": order.id, "state": state(order),
        "type": order.ask.type_name,
    })
}

/// An order that was asked about, or in the lists of those gone by: older names for the same.
pub fn order_row(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let [all, ..] = amounts(spec, order);
    let end = |is_it: bool| {
        if is_it { ms(order.updated_ns) } else { 0 }
    };
    json!({
        "id": order.id, "symbol": symbol, "account-id": account_id(order.ask.account),
        "client-order-id": &*order.ask.client_id, "amount": long(all.0, all.1),
        "price": limit(spec, order), "created-at": ms(order.created_ns),
        "type": order.ask.type_name,
        "field-amount": long(order.cum.into(), spec.qty_decimals),
        "field-cash-amount": long(order.cum_quote, 12), "field-fees": long(order.fee, 12),
        "finished-at": end(!order.state.is_open()), "source": &*order.ask.echo,
        "state": state(order), "canceled-at": end(matches!(order.state, State::Canceled(_))),
    })
}

fn limit(spec: &Spec, order: &Order) -> String {
    long(order.ask.price.unwrap_or(0).into(), spec.price_decimals)
}

/// A fill of a list.
pub fn fill_row(core: &Core, symbol: &str, order: &Order, fill: &Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "symbol": symbol, "fee-currency": fee_asset(spec, order), "source": &*order.ask.echo,
        "price": price(spec, fill.price), "created-at": ms(fill.at_ns),
        "role": if fill.is_maker { "maker" } else { "taker" }, "order-id": order.id,
        "match-id": fill.trade % 1_000_000_000, "trade-id": fill.trade,
        "filled-amount": long(fill.qty.into(), spec.qty_decimals),
        "filled-fees": amount(fill.fee), "filled-points": "0.0", "fee-deduct-currency": "",
        "fee-deduct-state": "done", "id": fill_id(fill), "type": order.ask.type_name,
    })
}

/// `[[price, amount], …]` of levels.
pub fn levels(spec: &Spec, levels: &[(i64, i64)]) -> String {
    let rows: Vec<String> = levels
        .iter()
        .map(|&(at, total)| {
            let price = bare(at.into(), spec.price_decimals);
            format!("[{price},{}]", bare(total.into(), spec.qty_decimals))
        })
        .collect();
    format!("[{}]", rows.join(","))
}

/// `{"status":"ok","data":…}`.
pub fn ok(data: Value) -> Response {
    Response::json(200, json!({"status": "ok", "data": data}))
}
