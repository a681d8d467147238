//! KuCoin's words for orders, fills, balances, tickers and refusals.

use super::streams::Print;
use crate::core::Core;
use crate::engine::{
    AccountId, Amount, Balance, Fill, Order, Refusal, Side, Size, Spec, State, Tif, What,
};
use crate::text::{amount, fixed, price, qty, trimmed};
use serde_json::{Map, Value, json};

/// All went well.
pub const SUCCESS: i64 = 200_000;
/// The venue's own trouble: what became of the request is open.
pub const OUTCOME_OPEN: i64 = 500_000;
/// Any wrong parameter; its text says which.
pub const PARAMETER: i64 = 400_100;
/// The order of a cancel is not there.
pub const CANCEL_GONE: &str = "order_not_exist_or_not_allow_to_cancel";

/// The beginning of every order id's 24 digits.
const ORDER_ID_HEAD: &str = "655a1c00";
/// The same of orders that are nobody's here.
const OTHER_ID_HEAD: &str = "655a1bff";
/// A fill's number in its account's list, less its trade's.
const FILL_ID_LESS: u64 = 10_048_181_715_949_000;

/// A refusal in KuCoin's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// Error code.
    pub code: i64,
    /// Its text.
    pub text: String,
}

impl Refused {
    /// A refusal in a good HTTP answer.
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
    pub fn parameter(text: impl Into<String>) -> Self {
        Self::new(PARAMETER, text)
    }

    /// No such symbol.
    pub fn symbol() -> Self {
        Self::new(900_001, "symbol not exists")
    }

    /// Too fast.
    pub fn too_fast() -> Self {
        let text = "Too many requests in a short period of time, please retry later";
        Self::http(429, 429_000, text)
    }

    /// The outcome is open.
    pub fn open_outcome() -> Self {
        Self::http(500, OUTCOME_OPEN, "Internal Server Error")
    }
}

/// A new order or amendment refused by the engine.
pub fn engine_refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Balance => Refused::new(200_004, "Balance insufficient!"),
        Refusal::Duplicate => Refused::parameter("clientOidDuplicated"),
        Refusal::Unknown => Refused::parameter(CANCEL_GONE),
        Refusal::WouldTake | Refusal::Amend | Refusal::Overflow => {
            Refused::parameter("size invalid")
        }
    }
}

/// The venue's id of an order.
pub fn order_id(id: u64) -> String {
    format!("{ORDER_ID_HEAD}{id:016x}")
}

/// The id of another trader's order, made from a trade's.
pub fn other_order_id(trade: u64) -> String {
    format!("{OTHER_ID_HEAD}{trade:016x}")
}

/// The order of an id.
pub fn parse_order_id(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(ORDER_ID_HEAD)?;
    let is_plain = digits.len() == 16 && !digits.starts_with('+');
    u64::from_str_radix(digits, 16).ok().filter(|_| is_plain)
}

/// A fill's number in its account's list.
pub fn fill_id(trade: u64) -> u64 {
    trade.saturating_sub(FILL_ID_LESS)
}

/// The word for a side.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn asked(order: &Order) -> i64 {
    match order.ask.size {
        Size::Base(size) => size,
        Size::Quote(_) => order.qty,
    }
}

/// Value of a quantity at an order's own price; a market order has none.
fn funds(spec: &Spec, order: &Order, size: i64) -> Amount {
    let price = order.ask.price;
    price
        .and_then(|price| spec.notional(price, size))
        .unwrap_or(0)
}

fn canceled(order: &Order) -> i64 {
    match order.state {
        State::Canceled(_) => order.leaves(),
        _ => 0,
    }
}

fn remaining(order: &Order) -> i64 {
    if order.state.is_open() {
        order.leaves()
    } else {
        0
    }
}

fn maker_word(fill: Fill) -> &'static str {
    if fill.is_maker { "maker" } else { "taker" }
}

/// An order as the lists and queries show it.
pub fn order_row(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let is_open = order.state.is_open();
    let budget = match order.ask.size {
        Size::Quote(budget) => Some(budget),
        Size::Base(_) => None,
    };
    // Kept as the client wrote them.
    let kept: Value = serde_json::from_str(&order.ask.echo).unwrap_or(Value::Null);
    let kept = |name: &str| kept.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "id": order_id(order.id), "symbol": symbol, "opType": "DEAL",
        "type": order.ask.type_name, "side": side(order.ask.side),
        "price": price(spec, order.ask.price.unwrap_or(0)),
        "size": if budget.is_some() { "0".to_owned() } else { qty(spec, asked(order)) },
        "funds": amount(budget.unwrap_or_else(|| funds(spec, order, asked(order)))),
        "dealSize": qty(spec, order.cum), "dealFunds": amount(order.cum_quote),
        "fee": amount(order.fee), "feeCurrency": spec.quote, "stp": kept("stp"),
        "timeInForce": tif(order.ask.tif, order.ask.price.is_some()),
        "postOnly": order.ask.post_only != crate::engine::PostOnly::No, "hidden": false,
        "iceberg": false, "visibleSize": "0", "cancelAfter": 0, "channel": "API",
        "clientOid": &*order.ask.client_id, "remark": kept("remark"), "tags": kept("tags"),
        "cancelExist": matches!(order.state, State::Canceled(_)),
        "createdAt": ms(order.created_ns), "lastUpdatedAt": ms(order.updated_ns),
        "tradeType": "TRADE", "inOrderBook": is_open,
        "cancelledSize": qty(spec, canceled(order)),
        "cancelledFunds": amount(funds(spec, order, canceled(order))),
        "remainSize": qty(spec, remaining(order)),
        "remainFunds": amount(funds(spec, order, remaining(order))), "active": is_open,
    })
}

/// A market order is printed as the venue's default.
fn tif(tif: Tif, is_limit: bool) -> &'static str {
    match tif {
        Tif::Ioc if is_limit => "IOC",
        Tif::Fok => "FOK",
        Tif::Gtc | Tif::Ioc => "GTC",
    }
}

/// The sizes of an order, as the operations that wait for its fate answer.
pub fn sync_row(core: &Core, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "orderId": order_id(order.id), "clientOid": &*order.ask.client_id,
        "orderTime": ms(order.created_ns), "originSize": qty(spec, asked(order)),
        "dealSize": qty(spec, order.cum), "remainSize": qty(spec, remaining(order)),
        "canceledSize": qty(spec, canceled(order)),
        "status": if order.state.is_open() { "open" } else { "done" },
        "matchTime": ms(order.updated_ns),
    })
}

/// A push of an order that stands in the book.
pub fn open_push(core: &Core, symbol: &str, order: &Order) -> Value {
    push_row(core, symbol, order, ("open", "open"), None, None)
}

/// The pushes for one event of an order; `old_qty` is what it was changed from.
pub fn pushes(core: &Core, symbol: &str, order: &Order, what: What, old_qty: i64) -> Vec<Value> {
    let push = |words, fill, old| push_row(core, symbol, order, words, fill, old);
    match what {
        What::New => vec![received(core, symbol, order)],
        What::Fill(fill) => {
            let status = if fill.is_maker { "open" } else { "match" };
            let mut rows = vec![push(("match", status), Some(fill), None)];
            if order.state == State::Filled {
                rows.push(push(("filled", "done"), None, None));
            }
            rows
        }
        What::Canceled(_) => vec![push(("canceled", "done"), None, None)],
        What::Amended => vec![push(("update", "open"), None, Some(old_qty))],
    }
}

fn received(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let mut row = json!({
        "clientOid": &*order.ask.client_id, "orderId": order_id(order.id),
        "orderTime": ms(order.created_ns), "orderType": order.ask.type_name,
        "originSize": qty(spec, asked(order)), "side": side(order.ask.side), "status": "new",
        "symbol": symbol, "ts": order.created_ns, "type": "received",
    });
    if let Some(at) = order.ask.price {
        row["price"] = json!(price(spec, at));
    }
    row["pt"] = json!(core.venue_ms());
    row
}

fn push_row(
    core: &Core,
    symbol: &str,
    order: &Order,
    (kind, status): (&str, &str),
    fill: Option<Fill>,
    old_qty: Option<i64>,
) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("clientOid", json!(&*order.ask.client_id));
    put("orderId", json!(order_id(order.id)));
    put("symbol", json!(symbol));
    put("side", json!(side(order.ask.side)));
    put("orderType", json!(order.ask.type_name));
    if let Some(at) = order.ask.price {
        put("price", json!(price(spec, at)));
    }
    put("size", json!(qty(spec, order.qty)));
    put("originSize", json!(qty(spec, asked(order))));
    put("filledSize", json!(qty(spec, order.cum)));
    put("remainSize", json!(qty(spec, remaining(order))));
    put("canceledSize", json!(qty(spec, canceled(order))));
    put(
        "remainFunds",
        json!(amount(funds(spec, order, remaining(order)))),
    );
    if let Some(old) = old_qty {
        put("oldSize", json!(qty(spec, old)));
    }
    if let Some(fill) = fill {
        let word = maker_word(fill);
        put("matchPrice", json!(price(spec, fill.price)));
        put("matchSize", json!(qty(spec, fill.qty)));
        put("tradeId", json!(fill.trade.to_string()));
        put("liquidity", json!(word));
        put("feeType", json!(format!("{word}Fee")));
    }
    put("status", json!(status));
    put("type", json!(kind));
    put("orderTime", json!(ms(order.created_ns)));
    put("ts", json!(order.updated_ns));
    Value::Object(row)
}

/// One of an account's fills.
pub fn fill_row(core: &Core, symbol: &str, order: &Order, fill: Fill, counter: &str) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "id": fill_id(fill.trade), "orderId": order_id(order.id), "counterOrderId": counter,
        "tradeId": fill.trade, "symbol": symbol, "side": side(order.ask.side),
        "liquidity": maker_word(fill), "type": order.ask.type_name, "forceTaker": false,
        "price": price(spec, fill.price), "size": qty(spec, fill.qty),
        "funds": amount(spec.notional(fill.price, fill.qty).unwrap_or(0)),
        "fee": amount(fill.fee), "feeRate": "0.001", "feeCurrency": spec.quote, "stop": "",
        "tradeType": "TRADE", "createdAt": ms(fill.at_ns),
    })
}

/// An asset's account id.
pub fn account_id(account: AccountId, asset: usize) -> String {
    format!(
        "{:024x}",
        0x5bd6_e928_u64 * 1_000 + account as u64 * 100 + asset as u64
    )
}

/// What is in an account of an asset.
pub fn account_row(account: AccountId, kind: &str, asset: (&str, usize), held: Balance) -> Value {
    json!({
        "id": account_id(account, asset.1), "currency": asset.0, "type": kind,
        "balance": amount(held.free + held.locked), "available": amount(held.free),
        "holds": amount(held.locked),
    })
}

/// A push of a balance and of what moved it.
pub fn balance_push(
    core: &Core,
    (name, asset): (&str, usize),
    (before, after): (Balance, Balance),
    (symbol, order, what): (&str, &Order, What),
) -> Value {
    let mut context = json!({"symbol": symbol});
    if let What::Fill(fill) = what {
        context["tradeId"] = json!(fill.trade.to_string());
    }
    context["orderId"] = json!(order_id(order.id));
    let event = match what {
        What::New | What::Amended => "trade_hf.hold",
        What::Fill(_) => "trade_hf.setted",
        What::Canceled(_) => "trade_hf.release",
    };
    json!({
        "accountId": account_id(order.ask.account, asset), "available": amount(after.free),
        "availableChange": amount(after.free - before.free), "currency": name,
        "hold": amount(after.locked), "holdChange": amount(after.locked - before.locked),
        "relationContext": context, "relationEvent": event,
        "relationEventId": format!("{:024x}", order.updated_ns),
        "time": core.venue_ms().to_string(), "total": amount(after.free + after.locked),
    })
}

/// A public trade.
pub fn trade_row(core: &Core, symbol: &str, print: &Print) -> Value {
    let spec = core.engine.spec(print.trade.inst);
    let trade = &print.trade;
    json!({
        "makerOrderId": print.maker, "price": price(spec, trade.price),
        "sequence": print.sequence.to_string(), "side": side(trade.taker),
        "size": qty(spec, trade.qty), "symbol": symbol,
        "takerOrderId": order_id(trade.taker_order), "time": trade.at_ns.to_string(),
        "tradeId": trade.id.to_string(), "type": "match",
    })
}

/// Best quotes and last trade, with the book's number.
pub fn quote_row(core: &Core, inst: usize, sequence: u64) -> Value {
    let (spec, day, book) = (
        core.engine.spec(inst),
        core.engine.day(inst),
        core.engine.book(inst),
    );
    let [bid, ask] = [Side::Buy, Side::Sell].map(|side| {
        let level = book.best(side);
        level.map_or((0, 0), |(at, level)| (at, level.total))
    });
    json!({
        "bestAsk": price(spec, ask.0), "bestAskSize": qty(spec, ask.1),
        "bestBid": price(spec, bid.0), "bestBidSize": qty(spec, bid.1),
        "price": price(spec, day.last), "sequence": sequence.to_string(),
        "size": qty(spec, day.last_qty), "time": core.venue_ms(),
    })
}

/// A day's figures of an instrument.
pub fn stats_row(core: &Core, inst: usize, symbol: &str) -> Value {
    let (spec, day, book) = (
        core.engine.spec(inst),
        core.engine.day(inst),
        core.engine.book(inst),
    );
    let best = |side| book.best(side).map_or(0, |(at, _)| at);
    let change = i128::from(day.last - day.open);
    let rate = change * 10_000 / i128::from(day.open.max(1));
    json!({
        "time": core.venue_ms(), "symbol": symbol, "buy": price(spec, best(Side::Buy)),
        "sell": price(spec, best(Side::Sell)), "changeRate": trimmed(rate, 4),
        "changePrice": trimmed(change, spec.price_decimals), "high": price(spec, day.high),
        "low": price(spec, day.low), "vol": qty(spec, day.volume),
        "volValue": amount(day.quote_volume), "last": price(spec, day.last),
        "averagePrice": price(spec, day.open), "takerFeeRate": "0.001", "makerFeeRate": "0.001",
        "takerCoefficient": "1", "makerCoefficient": "1",
    })
}

/// The rules of an instrument.
pub fn symbol_row(core: &Core, inst: usize, symbol: &str) -> Value {
    let spec = core.engine.spec(inst);
    let funds_min = amount(spec.notional_min);
    json!({
        "symbol": symbol, "name": symbol, "baseCurrency": spec.base,
        "quoteCurrency": spec.quote, "feeCurrency": spec.quote, "market": "USDS",
        "baseMinSize": qty(spec, spec.qty_min), "quoteMinSize": funds_min,
        "baseMaxSize": qty(spec, spec.qty_max), "quoteMaxSize": "99999999",
        "baseIncrement": qty(spec, spec.lot), "quoteIncrement": "0.000001",
        "priceIncrement": price(spec, spec.tick),
        "priceLimitRate": fixed(i128::from(super::PRICE_LIMIT_PERCENT), 2, 1),
        "minFunds": funds_min, "isMarginEnabled": false, "enableTrading": true, "st": false,
    })
}
