//! Kraken's words for refusals, orders, executions and balances.

use super::names::{Pair, id_text};
use super::{time, venue_ns};
use crate::core::Core;
use crate::engine::{
    AccountId, Amount, Cause, Fill, NewOrder, Order, PostOnly, Refusal, Side, Size, Spec, State,
    Tif,
};
use crate::text::fixed;
use serde_json::{Map, Value, json};

/// Decimals of costs and fees.
pub const COST_DECIMALS: u8 = 5;
/// Decimals of balances: enough for a price times a quantity.
pub const BALANCE_DECIMALS: u8 = 10;
/// Decimals of most of REST's prices.
const REST_DECIMALS: u8 = 5;

/// The venue's errors have no numbers: in the record, and in `reject:code=`, each has its place here, from 1.
pub const ERRORS: [&str; 24] = [
    "EOrder:Insufficient funds",
    "EOrder:Post only order",
    "EOrder:Rate limit exceeded",
    "EOrder:Orders limit exceeded",
    "EOrder:Unknown order",
    "EOrder:Invalid order",
    "EOrder:Invalid price",
    "EOrder:Cost minimum not met",
    "EOrder:Tick size check failed",
    "EOrder:Margin allowance exceeded",
    "EGeneral:Invalid arguments",
    "EGeneral:Permission denied",
    "EGeneral:Temporary lockout",
    "EGeneral:Unknown method",
    "EQuery:Unknown asset pair",
    "EAPI:Invalid key",
    "EAPI:Invalid signature",
    "EAPI:Invalid nonce",
    "EAPI:Rate limit exceeded",
    "EService:Unavailable",
    "EService:Busy",
    "EService:Deadline elapsed",
    "EService:Timeout",
    "ESession:Invalid session",
];

/// An open order of the account has this client id.
const DUPLICATE: &str = "EGeneral:Invalid arguments:cl_ord_id not unique";

/// A refusal in Kraken's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in [`ERRORS`]; 0 when it is not there.
    pub code: i64,
    /// The venue's text.
    pub text: String,
}

impl Refused {
    /// A refusal.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let place = ERRORS.iter().position(|known| text.starts_with(known));
        Self {
            code: place.map_or(0, |at| at as i64 + 1),
            text,
        }
    }

    /// The refusal of a number; the usual one without.
    pub fn numbered(code: Option<i64>) -> Self {
        let at = code
            .and_then(|code| usize::try_from(code).ok())
            .unwrap_or(1);
        Self::new(*ERRORS.get(at.wrapping_sub(1)).unwrap_or(&ERRORS[0]))
    }

    /// An argument that is missing or wrong.
    pub fn argument(name: &str) -> Self {
        Self::new(format!("EGeneral:Invalid arguments:{name}"))
    }
}

/// A new order or amendment refused by the engine.
pub fn engine_refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Balance => Refused::new("EOrder:Insufficient funds"),
        Refusal::WouldTake => Refused::new("EOrder:Post only order"),
        Refusal::Duplicate => Refused::new(DUPLICATE),
        Refusal::Unknown => Refused::new("EOrder:Unknown order"),
        Refusal::Amend | Refusal::Overflow => Refused::argument("volume"),
    }
}

/// A JSON number with these digits.
pub fn number(digits: &str) -> Value {
    serde_json::from_str(digits).unwrap_or(Value::Null)
}

/// The word for a side.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// A price with the pair's decimals.
pub fn price(spec: &Spec, price: i64) -> String {
    fixed(price.into(), spec.price_decimals, spec.price_decimals)
}

/// A quantity with the pair's decimals.
pub fn qty(spec: &Spec, qty: i64) -> String {
    fixed(qty.into(), spec.qty_decimals, spec.qty_decimals)
}

/// A price as most of REST prints it.
pub fn rest_price(spec: &Spec, price: i64) -> String {
    fixed(price.into(), spec.price_decimals, REST_DECIMALS)
}

/// A cost or fee.
pub fn cost(amount: Amount) -> String {
    fixed(amount, 12, COST_DECIMALS)
}

/// A balance.
pub fn balance(amount: Amount) -> String {
    fixed(amount, 12, BALANCE_DECIMALS)
}

/// The average price of what is done, with the pair's decimals.
fn average(spec: &Spec, order: &Order) -> String {
    let base = spec.base_amount(order.cum);
    let scaled = match base {
        0 => 0,
        base => order.cum_quote.saturating_mul(100_000_000) / base,
    };
    fixed(scaled, 8, spec.price_decimals)
}

/// `order_status` of the stream.
fn status(state: State) -> &'static str {
    match state {
        State::Live => "new",
        State::Partial => "partially_filled",
        State::Filled => "filled",
        State::Canceled(_) => "canceled",
    }
}

/// Why an order was cancelled. The first two were recorded; the others are [U].
fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::User | Cause::CancelAll | Cause::Replaced => "User requested",
        Cause::PostOnly => "Post only order",
        Cause::Ioc => "Immediate or cancel",
        Cause::Fok => "Fill or kill",
        Cause::SelfTrade => "Self trade prevention",
        Cause::DeadMan => "Cancel all orders after",
    }
}

/// The venue's text of an order's id.
pub fn order_id(id: u64) -> String {
    id_text('O', id)
}

/// The venue's text of an execution: one side of a trade, as both may be clients.
pub fn exec_id(fill: Fill) -> String {
    id_text('T', fill.trade << 1 | u64::from(fill.is_maker))
}

/// `cl_ord_id` where there is one, else `order_userref`.
fn put_name(row: &mut Map<String, Value>, order: &Order) {
    if order.ask.client_id.is_empty() {
        row.insert("order_userref".into(), userref(order));
    } else {
        row.insert("cl_ord_id".into(), json!(&*order.ask.client_id));
    }
}

fn userref(order: &Order) -> Value {
    match &*order.ask.echo {
        "" => json!(0),
        digits => number(digits),
    }
}

fn put(row: &mut Map<String, Value>, pairs: Value) {
    if let Value::Object(pairs) = pairs {
        row.extend(pairs);
    }
}

fn is_post_only(order: &Order) -> bool {
    order.ask.post_only != PostOnly::No
}

fn tif(order: &Order) -> &'static str {
    match (order.ask.price, order.ask.tif) {
        (None, _) | (_, Tif::Gtc) => "GTC",
        (_, Tif::Ioc) => "IOC",
        (_, Tif::Fok) => "FOK",
    }
}

/// Everything about an order: `pending_new`, and the rows of a snapshot.
pub fn whole(core: &Core, pair: &Pair, order: &Order, exec_type: &str) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let mut row = Map::new();
    put(
        &mut row,
        json!({
            "order_id": order_id(order.id), "symbol": pair.symbol,
            "order_qty": number(&qty(spec, order.qty)),
            "cum_cost": number(&cost(order.cum_quote)), "time_in_force": tif(order),
            "exec_type": exec_type, "side": side(order.ask.side), "order_type": order.ask.type_name,
        }),
    );
    if exec_type != "pending_new" {
        put(
            &mut row,
            json!({
                "cum_qty": number(&qty(spec, order.cum)), "avg_price": number(&average(spec, order)),
            }),
        );
    }
    put_name(&mut row, order);
    if let Some(limit) = order.ask.price {
        put(
            &mut row,
            json!({"limit_price_type": "static", "limit_price": number(&price(spec, limit))}),
        );
    }
    row.insert("stop_price".into(), number(&price(spec, 0)));
    if is_post_only(order) {
        row.insert("post_only".into(), json!(true));
    }
    let status = match exec_type {
        "pending_new" => exec_type,
        _ => status(order.state),
    };
    put(
        &mut row,
        json!({
            "order_status": status, "fee_usd_equiv": number(&cost(order.fee)),
            "fee_ccy_pref": "fciq", "timestamp": time::micros(venue_ns(core, order.updated_ns)),
        }),
    );
    Value::Object(row)
}

/// What changed, and little else.
pub fn change(core: &Core, order: &Order, exec_type: &str) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let mut row = Map::new();
    let at = time::micros(venue_ns(core, order.updated_ns));
    row.insert("timestamp".into(), json!(at));
    let done = json!({
        "cum_qty": number(&qty(spec, order.cum)), "cum_cost": number(&cost(order.cum_quote)),
        "fee_usd_equiv": number(&cost(order.fee)), "avg_price": number(&average(spec, order)),
    });
    if exec_type == "amended" {
        put(
            &mut row,
            json!({
                "exec_type": exec_type, "order_status": status(order.state),
                "cum_qty": number(&qty(spec, order.cum)), "reason": "User requested",
                "amended": true, "order_qty": number(&qty(spec, order.qty)),
                "limit_price": number(&price(spec, order.ask.price.unwrap_or(0))),
                "limit_price_type": "static",
            }),
        );
    } else {
        put(
            &mut row,
            json!({"order_status": exec_type, "exec_type": exec_type}),
        );
    }
    if matches!(exec_type, "filled" | "canceled") {
        put(&mut row, done);
    }
    if exec_type != "amended" && is_post_only(order) {
        row.insert("post_only".into(), json!(true));
    }
    put_name(&mut row, order);
    if let (State::Canceled(cause), "canceled") = (order.state, exec_type) {
        put(
            &mut row,
            json!({"cancel_reason": reason(cause), "reason": reason(cause)}),
        );
    }
    row.insert("order_id".into(), json!(order_id(order.id)));
    Value::Object(row)
}

/// One execution. A trade that completes an order still says `partially_filled`; `filled` follows.
pub fn trade(core: &Core, pair: &Pair, order: &Order, fill: Fill, trade_id: u64) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let value = spec.notional(fill.price, fill.qty).unwrap_or(0);
    let mut row = Map::new();
    row.insert("order_id".into(), json!(order_id(order.id)));
    put_name(&mut row, order);
    put(
        &mut row,
        json!({
            "exec_id": exec_id(fill), "exec_type": "trade", "trade_id": trade_id,
            "symbol": pair.symbol, "side": side(order.ask.side),
            "last_qty": number(&qty(spec, fill.qty)), "last_price": number(&price(spec, fill.price)),
            "liquidity_ind": if fill.is_maker { "m" } else { "t" }, "cost": number(&cost(value)),
            "order_status": "partially_filled", "order_type": order.ask.type_name,
            "cum_qty": number(&qty(spec, order.cum)), "cum_cost": number(&cost(order.cum_quote)),
            "avg_price": number(&average(spec, order)),
            "timestamp": time::micros(venue_ns(core, fill.at_ns)),
            "fee_usd_equiv": number(&cost(fill.fee)),
            "fees": [{"asset": spec.quote, "qty": number(&cost(fill.fee))}],
        }),
    );
    Value::Object(row)
}

/// What a new order is, in one line.
pub fn asked(core: &Core, pair: &Pair, ask: &NewOrder) -> String {
    let spec = core.engine.spec(ask.inst);
    let size = match ask.size {
        Size::Base(size) => qty(spec, size),
        Size::Quote(budget) => cost(budget),
    };
    described(spec, pair, ask, &size)
}

fn described(spec: &Spec, pair: &Pair, ask: &NewOrder, size: &str) -> String {
    let what = format!("{} {size} {}", side(ask.side), pair.altname);
    match ask.price {
        Some(limit) => format!("{what} @ limit {}", price(spec, limit)),
        None => format!("{what} @ market"),
    }
}

/// An order as REST lists it.
pub fn listed(core: &Core, pair: &Pair, order: &Order, trades: Option<Vec<String>>) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let status = match order.state {
        State::Live | State::Partial => "open",
        State::Filled => "closed",
        State::Canceled(_) => "canceled",
    };
    let mut row = Map::new();
    put(&mut row, json!({"refid": null, "userref": userref(order)}));
    if !order.ask.client_id.is_empty() {
        row.insert("cl_ord_id".into(), json!(&*order.ask.client_id));
    }
    row.insert("status".into(), json!(status));
    if let State::Canceled(cause) = order.state {
        row.insert("reason".into(), json!(reason(cause)));
    } else if order.state == State::Filled {
        row.insert("reason".into(), Value::Null);
    }
    row.insert(
        "opentm".into(),
        number(&time::fraction(venue_ns(core, order.created_ns))),
    );
    if !order.state.is_open() {
        row.insert(
            "closetm".into(),
            number(&time::fraction(venue_ns(core, order.updated_ns))),
        );
    }
    let zero = fixed(0, 0, REST_DECIMALS);
    let limit = order.ask.price.map(|limit| price(spec, limit));
    let average = match order.cum {
        0 => zero.clone(),
        _ => average(spec, order),
    };
    put(
        &mut row,
        json!({
            "starttm": 0, "expiretm": 0,
            "descr": {
                "pair": pair.altname, "type": side(order.ask.side),
                "ordertype": order.ask.type_name, "price": limit.unwrap_or_else(|| "0".into()),
                "price2": "0", "leverage": "none", "order": described(spec, pair, &order.ask, &qty(spec, order.qty)),
                "close": "",
            },
            "vol": qty(spec, order.qty), "vol_exec": qty(spec, order.cum),
            "cost": cost(order.cum_quote), "fee": cost(order.fee), "price": average,
            "stopprice": zero, "limitprice": zero, "misc": "",
            "oflags": if is_post_only(order) { "fciq,post" } else { "fciq" },
        }),
    );
    if let Some(trades) = trades.filter(|trades| !trades.is_empty()) {
        row.insert("trades".into(), json!(trades));
    }
    Value::Object(row)
}

/// An execution as REST lists it.
pub fn listed_trade(core: &Core, pair: &Pair, order: &Order, fill: Fill, trade_id: u64) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let value = spec.notional(fill.price, fill.qty).unwrap_or(0);
    json!({
        "ordertxid": order_id(order.id), "postxid": id_text('T', order.id), "pair": pair.key,
        "time": number(&time::fraction(venue_ns(core, fill.at_ns))),
        "type": side(order.ask.side), "ordertype": order.ask.type_name,
        "price": rest_price(spec, fill.price), "cost": cost(value), "fee": cost(fill.fee),
        "vol": qty(spec, fill.qty), "margin": cost(0), "leverage": "0", "misc": "",
        "trade_id": trade_id, "maker": fill.is_maker,
        "ledgers": [ledger_id(fill, 0), ledger_id(fill, 1)],
    })
}

/// The id of what a fill moved of the base (0) or quote (1) asset.
pub fn ledger_id(fill: Fill, leg: u64) -> String {
    id_text('L', fill.trade << 2 | u64::from(fill.is_maker) << 1 | leg)
}

/// Balances of an account: name, REST name, total and what orders hold of it.
pub fn balances(
    core: &Core,
    pairs: &[Pair],
    account: AccountId,
) -> Vec<(String, String, Amount, Amount)> {
    let mut rows: Vec<(usize, (String, String, Amount, Amount))> = Vec::new();
    for (inst, pair) in pairs.iter().enumerate() {
        let spec = core.engine.spec(inst);
        for (asset, name, id) in [
            (spec.base_asset, &spec.base, &pair.base_id),
            (spec.quote_asset, &spec.quote, &pair.quote_id),
        ] {
            if rows.iter().all(|(known, _)| *known != asset) {
                let held = core.engine.ledger().balance(account, asset);
                let total = held.free + held.locked;
                rows.push((asset, (name.clone(), id.clone(), total, held.locked)));
            }
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}
