//! The futures' words for orders, events and refusals.

use crate::core::Core;
use crate::engine::{
    AccountId, Amount, Cause, Fill, Order, Position, PostOnly, Refusal, Side, Spec, Tif, What,
};
use crate::record::Payment;
use crate::text::{amount8, fixed};
use crate::venues::binance::reply::{Reject, side, status};
use serde_json::{Value, json};

/// A new order or a change refused by the engine.
pub fn refused(refusal: Refusal) -> Reject {
    let (code, text) = match refusal {
        Refusal::Balance => (-2019, "Margin is insufficient."),
        Refusal::WouldTake => (
            -5022,
            "Due to the order could not be executed as maker, the Post Only order will be rejected. \
             The order will not be recorded in the order history.",
        ),
        Refusal::Duplicate => (-4116, "ClientOrderId is duplicated."),
        Refusal::Unknown => (-2013, "Order does not exist."),
        Refusal::Amend => (-5027, "No need to modify the order."),
        Refusal::Overflow => (-4005, "Quantity greater than max quantity."),
    };
    Reject::new(400, code, text)
}

/// A price with the instrument's decimals.
pub fn price(spec: &Spec, price: i64) -> String {
    fixed(i128::from(price), spec.price_decimals, spec.price_decimals)
}

/// A quantity with the instrument's decimals.
pub fn qty(spec: &Spec, qty: i64) -> String {
    fixed(i128::from(qty), spec.qty_decimals, spec.qty_decimals)
}

fn tif(order: &Order) -> &'static str {
    match (order.ask.post_only, order.ask.tif) {
        (PostOnly::Refuse | PostOnly::AcceptThenCancel, _) => "GTX",
        (PostOnly::No, Tif::Gtc) => "GTC",
        (PostOnly::No, Tif::Ioc) => "IOC",
        (PostOnly::No, Tif::Fok) => "FOK",
    }
}

const fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

/// What was paid for a quantity, for one: cut.
fn average(spec: &Spec, cost: Amount, of: i64) -> String {
    let base = spec.base_amount(of);
    if base == 0 {
        return price(spec, 0);
    }
    fixed(cost.saturating_mul(100_000_000) / base, 8, 8)
}

/// The answer to a new order, a change, a cancel: the order as it stands. To a new one the venue always says `NEW`.
pub fn row(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "orderId": order.id, "symbol": symbol, "status": status(order.state),
        "clientOrderId": &*order.ask.client_id,
        "price": price(spec, order.ask.price.unwrap_or(0)),
        "avgPrice": average(spec, order.cum_quote, order.cum),
        "origQty": qty(spec, order.qty), "executedQty": qty(spec, order.cum),
        "cumQty": qty(spec, order.cum), "cumQuote": amount8(order.cum_quote),
        "timeInForce": tif(order), "type": order.ask.type_name, "reduceOnly": false,
        "closePosition": false, "side": side(order.ask.side), "positionSide": "BOTH",
        "stopPrice": "0.00", "workingType": "CONTRACT_PRICE", "priceProtect": false,
        "origType": order.ask.type_name, "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER", "goodTillDate": 0,
        "updateTime": ms(order.updated_ns),
    })
}

/// The answer to a new order that asked for `ACK`.
pub fn placed(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let mut value = row(core, symbol, order);
    value["status"] = json!("NEW");
    for name in ["executedQty", "cumQty"] {
        value[name] = json!(qty(spec, 0));
    }
    for name in ["avgPrice", "cumQuote"] {
        value[name] = json!("0.00");
    }
    value
}

/// The answer to a query.
pub fn queried(core: &Core, symbol: &str, order: &Order) -> Value {
    let mut value = row(core, symbol, order);
    value["time"] = json!(ms(order.created_ns));
    value
}

/// One of `userTrades`.
pub fn trade(core: &Core, symbol: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "symbol": symbol, "id": fill.trade, "orderId": order.id, "side": side(order.ask.side),
        "price": price(spec, fill.price), "qty": qty(spec, fill.qty), "realizedPnl": "0",
        "quoteQty": amount8(spec.notional(fill.price, fill.qty).unwrap_or(0)),
        "commission": amount8(fill.fee), "commissionAsset": spec.quote, "time": ms(fill.at_ns),
        "positionSide": "BOTH", "buyer": order.ask.side == Side::Buy, "maker": fill.is_maker,
    })
}

/// `ORDER_TRADE_UPDATE`.
pub fn report(core: &Core, symbol: &str, order: &Order, what: What) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let state = status(order.state);
    let (execution, state) = match what {
        // Filled on arrival: the first report still says NEW.
        What::New => ("NEW", "NEW"),
        What::Fill(_) => ("TRADE", state),
        What::Amended => ("AMENDMENT", state),
        What::Canceled(Cause::Ioc | Cause::Fok | Cause::PostOnly | Cause::SelfTrade) => {
            ("EXPIRED", state)
        }
        What::Canceled(_) => ("CANCELED", state),
    };
    let fill = match what {
        What::Fill(fill) => Some(fill),
        _ => None,
    };
    let mut of_order = json!({
        "s": symbol, "c": &*order.ask.client_id, "S": side(order.ask.side),
        "o": order.ask.type_name, "f": tif(order), "q": qty(spec, order.qty),
        "p": price(spec, order.ask.price.unwrap_or(0)),
        "ap": average(spec, order.cum_quote, order.cum), "sp": "0", "x": execution, "X": state,
        "i": order.id, "l": qty(spec, fill.map_or(0, |fill| fill.qty)),
        "z": qty(spec, order.cum), "L": price(spec, fill.map_or(0, |fill| fill.price)),
    });
    // A commission is told where there is one.
    if let Some(fill) = fill {
        of_order["n"] = json!(amount8(fill.fee));
        of_order["N"] = json!(spec.quote);
    }
    let rest = json!({
        "T": ms(order.updated_ns), "t": fill.map_or(0, |fill| fill.trade), "b": "0", "a": "0",
        "m": fill.is_some_and(|fill| fill.is_maker), "R": false, "wt": "CONTRACT_PRICE",
        "ot": order.ask.type_name, "ps": "BOTH", "cp": false, "rp": "0", "pP": false, "si": 0,
        "ss": 0, "V": "EXPIRE_MAKER", "pm": "NONE", "gtd": 0, "er": "0",
    });
    if let (Value::Object(into), Value::Object(from)) = (&mut of_order, rest) {
        into.extend(from);
    }
    json!({
        "e": "ORDER_TRADE_UPDATE", "T": ms(order.updated_ns), "E": core.venue_ms(), "o": of_order,
    })
}

/// `TRADE_LITE`: a fill, told before its report and without its fee.
pub fn lite(core: &Core, symbol: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    json!({
        "e": "TRADE_LITE", "E": core.venue_ms(), "T": ms(fill.at_ns), "s": symbol,
        "q": qty(spec, order.qty), "p": price(spec, order.ask.price.unwrap_or(0)),
        "m": fill.is_maker, "c": &*order.ask.client_id, "S": side(order.ask.side),
        "L": price(spec, fill.price), "l": qty(spec, fill.qty), "t": fill.trade, "i": order.id,
    })
}

/// What a position was entered at.
pub fn entry(spec: &Spec, position: Position) -> String {
    average(spec, position.cost, position.qty.abs())
}

/// `ACCOUNT_UPDATE`: what a fill made of the wallet and the position.
pub fn account_update(core: &Core, symbol: &str, account: AccountId, inst: usize) -> Value {
    let spec = core.engine.spec(inst);
    let position = core.engine.position(account, inst);
    let wallet = amount8(total(core, account, spec.quote_asset));
    json!({
        "e": "ACCOUNT_UPDATE", "E": core.venue_ms(), "T": core.venue_ms(),
        "a": {
            "m": "ORDER",
            "B": [{"a": spec.quote, "wb": wallet, "cw": wallet, "bc": "0"}],
            "P": [{
                "s": symbol, "pa": qty(spec, position.qty), "ep": entry(spec, position),
                "bep": "0", "cr": amount8(position.realised), "up": "0", "mt": "cross",
                "iw": "0", "ps": "BOTH",
            }],
        },
    })
}

/// `ACCOUNT_UPDATE`: what funding made of the wallet; of a crossed position no symbol is told.
pub fn funding_update(core: &Core, payment: &Payment) -> Value {
    let spec = core.engine.spec(payment.inst);
    let wallet = amount8(total(core, payment.account, spec.quote_asset));
    let change = amount8(payment.amount);
    json!({
        "e": "ACCOUNT_UPDATE", "E": core.venue_ms(), "T": ms(payment.at_ns),
        "a": {
            "B": [{"a": spec.quote, "wb": wallet, "cw": wallet, "bc": change}], "P": [],
            "m": "FUNDING_FEE",
        },
    })
}

/// All an account has of an asset, margin included.
pub fn total(core: &Core, account: AccountId, asset: usize) -> Amount {
    let balance = core.engine.ledger().balance(account, asset);
    balance.free + balance.locked
}
