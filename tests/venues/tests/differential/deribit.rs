//! Deribit, venue page section 3: JSON-RPC notifications by channel.

use crate::heard::{Depth, Heard, Level, best, int, list, num, pairs, side, text, trade};
use bigdecimal::{BigDecimal, Zero as _};
use serde_json::Value;

/// Nothing is remembered from one message to the next.
pub type Page = ();

pub const BOOKS: &[(&str, &str)] = &[(
    "rest_order_book",
    "https://www.deribit.com/api/v2/public/get_order_book?depth=5&instrument_name=BTC-PERPETUAL",
)];
pub const MORE: &[&str] = &[];
pub const BEFORE: &[&str] = &[];

pub fn read(_: &mut Page, message: &Value, _: Option<&str>) -> Vec<Heard> {
    let bare = match &message["result"] {
        Value::Null => message,
        result => result,
    };
    // Answers come over the socket too, and are recorded without their envelope.
    if bare["change_id"].is_number() && bare["bids"].is_array() {
        return vec![whole(bare)];
    }
    if bare["trade_seq"].is_number() && bare["order_id"].is_null() {
        return vec![one_trade(bare)];
    }
    let channel = text(&message["params"]["channel"]);
    let data = &message["params"]["data"];
    let symbol = text(&data["instrument_name"]);
    let names: Vec<_> = channel.split('.').collect();
    match names.as_slice() {
        // Grouped books are whole each time, their rows without an action.
        ["book", _, _, _, _] => vec![whole(data)],
        ["book", ..] if !is_contradiction(data) => {
            let (bids, asks) = (rows(&data["bids"]), rows(&data["asks"]));
            let depth = if data["type"] == "snapshot" {
                Depth::snapshot(&symbol, bids, asks)
            } else {
                Depth::delta(&symbol, bids, asks)
            };
            let id = int(&data["change_id"]);
            vec![depth.ids(id, id, int(&data["prev_change_id"])).heard()]
        }
        ["trades", ..] => list(data).iter().map(one_trade).collect(),
        ["quote", _] => vec![Heard::Quote {
            symbol,
            update_id: -1,
            bid: best(&data["best_bid_price"], &data["best_bid_amount"]),
            ask: best(&data["best_ask_price"], &data["best_ask_amount"]),
        }],
        _ => Vec::new(),
    }
}

/// A book whose rows have no action.
fn whole(data: &Value) -> Heard {
    let symbol = text(&data["instrument_name"]);
    let depth = Depth::snapshot(&symbol, pairs(&data["bids"]), pairs(&data["asks"]));
    depth.id(int(&data["change_id"])).heard()
}

fn one_trade(it: &Value) -> Heard {
    let symbol = text(&it["instrument_name"]);
    let taker = side(&it["direction"]);
    trade(&symbol, &it["trade_id"], taker, &it["price"], &it["amount"])
}

/// Whether something is deleted and has an amount, or the other way round.
fn is_contradiction(data: &Value) -> bool {
    let is_bad = |it: &Value| (it[0] == "delete") != num(&it[2]).is_zero();
    ["bids", "asks"]
        .iter()
        .any(|side| list(&data[side]).iter().any(is_bad))
}

/// `[action, price, amount]`; what is deleted has no amount, whatever is printed.
fn rows(value: &Value) -> Vec<Level> {
    let row = |it: &Value| match it[0].as_str() {
        Some("delete") => (num(&it[1]), BigDecimal::default()),
        _ => (num(&it[1]), num(&it[2])),
    };
    list(value).iter().map(row).collect()
}
