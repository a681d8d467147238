//! What the live machines have no use for, read by the names of its fields, whatever the venue: lists of trades and
//! orders nobody asks for, tickers, bodies of retired APIs.
//!
//! Numbers stay the text they came as and must be ones; an object that lacks a field of its kind is none of that
//! kind. Nothing here is in the path of an order.

use dp_types::{Decimal, OrderState, Side};
use dp_wire::time;
use serde_json::{Map, Value, json};

/// The symbol of a message that names no instrument, and whose line names none either.
pub const UNKNOWN: &str = "UNKNOWN";
/// Deepest nesting looked into; the deepest that venues send is five.
pub(super) const DEPTH_MAX: usize = 8;

pub(super) type Object = Map<String, Value>;

const SYMBOL: &[&str] = &[
    "symbol",
    "s",
    "instId",
    "instrument_id",
    "instrument_name",
    "product_id",
    "contract_code",
    "pair",
];
const TIME: &[&str] = &[
    "time",
    "ts",
    "timestamp",
    "T",
    "transactTime",
    "updateTime",
    "updatedAt",
    "createdAt",
    "created_at",
    "creation_timestamp",
    "E",
];

/// The first of these fields that is there and not null.
pub(super) fn first<'a>(object: &'a Object, keys: &[&str]) -> &'a Value {
    keys.iter()
        .filter_map(|key| object.get(*key))
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null)
}

/// A number as it was printed, bare or as text.
pub fn digits(value: &Value) -> Option<String> {
    let text = plain(value)?;
    Decimal::parse(text.as_bytes()).ok()?;
    Some(text)
}

/// A number or a text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Nanoseconds since 1970 of a time in seconds, milliseconds, microseconds or nanoseconds, told by its length, or in
/// RFC 3339; 0 when it is none.
pub fn time_ns(value: &Value) -> u64 {
    let Some(text) = plain(value) else { return 0 };
    if let Some(ns) = time::parse_rfc3339(text.as_bytes()) {
        return ns;
    }
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    if !matches!(whole.len(), 10 | 13 | 16 | 19) {
        return 0;
    }
    let mut padded = format!("{whole}{rest}");
    padded.truncate(19);
    format!("{padded:0<19}").parse().unwrap_or(0)
}

/// Buy or sell, from any of the words for it.
pub fn side(value: &Value) -> Option<Side> {
    let word = value.as_str()?;
    if ["buy", "b", "bid"]
        .iter()
        .any(|it| word.eq_ignore_ascii_case(it))
    {
        return Some(Side::Buy);
    }
    let is_sell = ["sell", "s", "ask"]
        .iter()
        .any(|it| word.eq_ignore_ascii_case(it));
    is_sell.then_some(Side::Sell)
}

/// Who took, from whether the buyer was there first.
fn taker(buyer_is_maker: bool) -> Side {
    if buyer_is_maker {
        Side::Sell
    } else {
        Side::Buy
    }
}

/// Levels of one side; `None` when one of them is none.
fn levels(value: Option<&Value>) -> Option<Vec<[String; 2]>> {
    value?.as_array()?.iter().map(level).collect()
}

fn level(item: &Value) -> Option<[String; 2]> {
    match item {
        Value::Array(_) => Some([digits(&item[0])?, digits(&item[1])?]),
        Value::Object(item) => {
            let qty = first(item, &["amount", "size", "qty"]);
            Some([digits(first(item, &["price"]))?, digits(qty)?])
        }
        _ => None,
    }
}

/// A book as an event.
pub fn book_json(symbol: &str, bids: &[[String; 2]], asks: &[[String; 2]], ns: u64) -> Value {
    json!({
        "kind": "book",
        "symbol": symbol,
        "type": "snapshot",
        "first_id": -1,
        "last_id": -1,
        "prev_id": -1,
        "checksum": null,
        "bids": bids,
        "asks": asks,
        "venue_ns": ns,
    })
}

/// A trade as an event.
pub fn trade_json(
    symbol: &str,
    id: &Value,
    taker: Option<Side>,
    what: [String; 2],
    ns: u64,
) -> Value {
    let [price, qty] = what;
    json!({
        "kind": "trade",
        "symbol": symbol,
        "trade_id": plain(id),
        "side": taker.map(Side::name),
        "price": price,
        "qty": qty,
        "venue_ns": ns,
    })
}

/// A balance of which only the sum is told.
pub fn total_json(asset: &Value, total: &str) -> Value {
    json!({"kind": "balance", "asset": asset, "free": null, "locked": null, "total": total})
}

fn book(object: &Object, symbol: &str) -> Option<Value> {
    let (bids, asks) = (levels(object.get("bids"))?, levels(object.get("asks"))?);
    let mut book = book_json(symbol, &bids, &asks, time_ns(first(object, TIME)));
    let id = first(object, &["lastUpdateId", "sequence", "change_id"]);
    if let Some(id) = plain(id).and_then(|text| text.parse::<i64>().ok()) {
        book["last_id"] = json!(id);
    }
    Some(book)
}

fn order_id(object: &Object) -> Option<String> {
    plain(first(
        object,
        &["orderId", "order_id", "ordId", "ordertxid"],
    ))
}

fn client_id(object: &Object) -> Value {
    let keys = [
        "clientOrderId",
        "clientOid",
        "clOrdId",
        "orderLinkId",
        "client_oid",
    ];
    first(object, &keys).clone()
}

/// The state of an order from the venue's word for it.
pub fn state(word: &str) -> Option<OrderState> {
    Some(match word.to_ascii_lowercase().as_str() {
        "new" | "live" | "open" | "active" | "pending_cancel" => OrderState::Ack,
        "partially_filled" | "partial-filled" => OrderState::PartiallyFilled,
        "filled" => OrderState::Filled,
        "canceled" | "cancelled" => OrderState::Cancelled,
        "rejected" => OrderState::Rejected,
        "expired" | "expired_in_match" => OrderState::Expired,
        _ => return None,
    })
}

fn order(object: &Object, symbol: &str) -> Option<Value> {
    let side = side(first(object, &["side"]))?;
    let qty = [
        "origQty",
        "original_amount",
        "origSize",
        "size",
        "sz",
        "quantity",
    ];
    let qty = digits(first(object, &qty))?;
    let is_order = object.contains_key("status") || object.contains_key("original_amount");
    let id = match order_id(object) {
        Some(id) => id,
        None if is_order => plain(first(object, &["id"]))?,
        None => return None,
    };
    let flag = |key: &str| object.get(key).and_then(Value::as_bool);
    let state = match (flag("is_cancelled"), flag("is_live")) {
        (Some(true), _) => Some(OrderState::Cancelled),
        (_, Some(true)) => Some(OrderState::Ack),
        (_, Some(false)) => Some(OrderState::Filled),
        _ => first(object, &["status", "state", "type"])
            .as_str()
            .and_then(state),
    };
    Some(json!({
        "kind": "order",
        "symbol": symbol,
        "client_id": client_id(object),
        "order_id": id,
        "side": side.name(),
        "state": state.map(OrderState::name),
        "reason": "none",
        "price": digits(first(object, &["price", "orderPrice", "px"])),
        "qty": qty,
        "cum": digits(first(object, &["executedQty", "executed_amount", "dealSize", "accFillSz"])),
        "venue_ns": time_ns(first(object, TIME)),
    }))
}

/// An own trade, told by the order it was of, or by a kind that public trades without a number do not have.
fn fill(object: &Object, symbol: &str) -> Option<Value> {
    if object.contains_key("status") || object.contains_key("bids") {
        return None;
    }
    let trade_id = plain(first(object, &["tradeId", "trade_id", "tid", "id"]));
    let order_id = order_id(object);
    let kind = first(object, &["side", "type"]);
    let is_own = order_id.is_some() && trade_id.is_some()
        || trade_id.is_none() && object.contains_key("exchange");
    let side = side(kind).filter(|_| is_own)?;
    Some(json!({
        "kind": "fill",
        "symbol": symbol,
        "client_id": client_id(object),
        "order_id": order_id,
        "trade_id": trade_id,
        "side": side.name(),
        "price": digits(first(object, &["price", "px", "fillPx"]))?,
        "qty": digits(first(object, &["qty", "size", "amount", "sz", "fillSz"]))?,
        "fee": digits(first(object, &["commission", "fee"])),
        "fee_asset": first(object, &["commissionAsset", "feeCurrency", "feeCcy"]),
        "liquidity": "none",
        "venue_ns": time_ns(first(object, TIME)),
    }))
}

fn trade(object: &Object, symbol: &str) -> Option<Value> {
    let ns = time_ns(first(object, TIME));
    let has = |keys: &[&str]| keys.iter().all(|key| object.contains_key(*key));
    // One letter a field: many messages have a price `p`, only trades have it beside a number and the first and last
    // of what they stand for, or beside who made it.
    if has(&["p", "q", "T"]) && (has(&["f", "l"]) || has(&["t", "m"])) {
        let what = [digits(object.get("p")?)?, digits(object.get("q")?)?];
        let maker = object.get("m").and_then(Value::as_bool);
        let id = first(object, &["a", "t"]);
        return Some(trade_json(symbol, id, maker.map(taker), what, ns));
    }
    let price = digits(first(object, &["price", "px"]))?;
    let qty = digits(first(object, &["qty", "size", "sz", "amount"]))?;
    let id = first(object, &["tradeId", "trade_id", "tid", "id"]);
    let maker = object.get("isBuyerMaker").and_then(Value::as_bool);
    let taker = maker
        .map(taker)
        .or_else(|| side(first(object, &["side", "type"])));
    if order_id(object).is_some() || id.is_null() || (taker.is_none() && ns == 0) {
        return None;
    }
    Some(trade_json(symbol, id, taker, [price, qty], ns))
}

fn quote_or_ticker(object: &Object, symbol: &str) -> Option<Value> {
    let side = |price: &[&str], qty: &[&str]| {
        let price = digits(first(object, price));
        price.map(|price| (price, digits(first(object, qty))))
    };
    let bid = [
        "bidPrice",
        "bid_price",
        "best_bid_price",
        "best_bid",
        "bidPx",
        "bid",
        "buy",
    ];
    let bid = side(
        &bid,
        &["bidQty", "best_bid_amount", "bidSz", "best_bid_size"],
    );
    let ask = [
        "askPrice",
        "ask_price",
        "best_ask_price",
        "best_ask",
        "askPx",
        "ask",
        "sell",
    ];
    let ask = side(
        &ask,
        &["askQty", "best_ask_amount", "askSz", "best_ask_size"],
    );
    let last = [
        "lastPrice",
        "last_price",
        "last",
        "lastDealPrice",
        "lastTradedPrice",
        "lastPr",
    ];
    // A lone `last` may be the time of the last row.
    let is_about = bid.is_some() || ask.is_some() || !first(object, SYMBOL).is_null();
    let mut last = digits(first(object, &last)).filter(|_| is_about);
    // A list of last prices: a symbol, a price and at most a time and the pair.
    if last.is_none() && object.contains_key("symbol") && object.len() <= 4 {
        last = digits(first(object, &["price"]));
    }
    if last.is_none() && bid.is_some() && ask.is_some() {
        last = digits(first(object, &["price"]));
    }
    if last.is_none() {
        let ((bid, bid_qty), (ask, ask_qty)) = (bid?, ask?);
        return Some(json!({
            "kind": "quote",
            "symbol": symbol,
            "update_id": -1,
            "bid": [bid, bid_qty],
            "ask": [ask, ask_qty],
            "venue_ns": time_ns(first(object, TIME)),
        }));
    }
    let shown =
        |side: Option<(String, Option<String>)>| side.map(|(price, qty)| json!([price, qty]));
    Some(json!({
        "kind": "ticker",
        "symbol": symbol,
        "last": last,
        "bid": shown(bid),
        "ask": shown(ask),
        "volume": digits(first(object, &["volume", "vol", "vol24h"])),
    }))
}

fn balance(object: &Object, name: &str) -> Option<Value> {
    let asset = first(object, &["asset", "currency", "coin", "coinType"]);
    asset.as_str()?;
    let free = digits(first(object, &["free", "available", "availableBalance"]));
    let locked = digits(first(
        object,
        &[
            "locked",
            "freeze",
            "freezeBalanceStr",
            "hold",
            "holdBalance",
        ],
    ));
    let total = match digits(first(object, &["balanceStr", "balance"])) {
        // An amount of money is a balance only where it is called one: it may be a price or a fee.
        None if object.len() == 2 && matches!(name, "" | "balance") => {
            digits(first(object, &["amount"]))
        }
        total => total,
    };
    match (free, total) {
        (Some(free), _) => Some(json!({
            "kind": "balance", "asset": asset, "free": free, "locked": locked,
        })),
        (None, Some(total)) => Some(total_json(asset, &total)),
        (None, None) => None,
    }
}

/// The venue's refusal: a number and words, and nothing else.
fn refusal(object: &Object) -> Option<Value> {
    let (code, words) = (first(object, &["code"]), first(object, &["msg", "message"]));
    let is_one = object.len() <= 3 && code.as_i64().is_some_and(|code| code != 0);
    let words = words.as_str().filter(|_| is_one)?;
    Some(json!({"kind": "error", "code": code, "reason": words}))
}

/// Every event in a message. `symbol` is of those that name no instrument themselves.
pub fn read(message: &Value, symbol: &str) -> Vec<Value> {
    let mut events = Vec::new();
    walk(message, ("", symbol), DEPTH_MAX, &mut events);
    events
}

/// `name` is what the value is called, empty at the top.
fn walk(value: &Value, (name, symbol): (&str, &str), depth: usize, events: &mut Vec<Value>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match value {
        Value::Array(items) => {
            for item in items {
                walk(item, (name, symbol), depth, events);
            }
        }
        Value::Object(object) => {
            let named = first(object, SYMBOL).as_str();
            let topic = first(object, &["topic"]).as_str();
            let in_topic = topic
                .and_then(|topic| topic.split_once(':'))
                .map(|(_, symbol)| symbol);
            let symbol = named
                .or(in_topic)
                .filter(|name| !name.is_empty())
                .unwrap_or(symbol);
            let event = book(object, symbol)
                .or_else(|| order(object, symbol))
                .or_else(|| fill(object, symbol))
                .or_else(|| quote_or_ticker(object, symbol))
                .or_else(|| trade(object, symbol))
                .or_else(|| balance(object, name))
                .or_else(|| refusal(object));
            if let Some(event) = event {
                events.push(event);
                return;
            }
            for (key, inner) in object {
                let named = if is_symbol(key) { key } else { symbol };
                walk(inner, (key, named), depth, events);
            }
        }
        _ => {}
    }
}

/// Whether a key is the name of an instrument: answers about several are keyed by it.
fn is_symbol(key: &str) -> bool {
    let is_of_name =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_/.".contains(&byte);
    key.len() >= 5 && key.bytes().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(message: Value) -> Vec<String> {
        let events = read(&message, UNKNOWN);
        let kind =
            |event: &Value| format!("{} {}", event["kind"].as_str().unwrap(), event["symbol"]);
        events.iter().map(kind).collect()
    }

    #[test]
    fn objects_are_told_apart_by_their_fields() {
        for (message, kind) in [
            (
                json!([{"id": 1, "price": "5", "qty": "1", "time": 1_602_819_641_313_u64, "isBuyerMaker": true}]),
                "trade",
            ),
            (
                json!([{"a": 1, "p": "5", "q": "1", "f": 1, "l": 1, "T": 1_602_819_641_313_u64, "m": true}]),
                "trade",
            ),
            (
                json!({"bidPrice": "4", "bidQty": "1", "askPrice": "5", "askQty": "1"}),
                "quote",
            ),
            (
                json!({"lastPrice": "4", "bidPrice": "4", "askPrice": "5"}),
                "ticker",
            ),
            (json!({"data": {"bids": [["4", "1"]], "asks": []}}), "book"),
            (
                json!({"orderId": 7, "side": "BUY", "origQty": "1", "status": "NEW"}),
                "order",
            ),
            (
                json!({"orderId": 7, "id": 8, "side": "SELL", "price": "5", "qty": "1"}),
                "fill",
            ),
        ] {
            assert_eq!(kinds(message), [format!("{kind} \"{UNKNOWN}\"")]);
        }
        assert_eq!(
            kinds(json!({"asset": "BTC", "free": "1", "locked": "0"})),
            ["balance null"]
        );
        assert_eq!(
            kinds(json!({"result": {"XXBTZUSD": {"bids": [], "asks": []}}})),
            ["book \"XXBTZUSD\""]
        );
    }

    #[test]
    fn what_lacks_a_number_is_nothing() {
        for message in [
            json!({"bids": [["x", "1"]], "asks": []}),
            json!({"bids": [{"rate": "1", "amount": "1"}], "asks": []}),
            json!({"id": 1, "price": "five", "qty": "1", "time": 1_602_819_641_313_u64}),
            json!({"fundingRate": "0.1", "symbol": "BTCUSDT", "fundingTime": 1}),
            json!({"total": {"amount": "1", "currency": "USD"}}),
            json!({"result": {"A-B": [[1, 2, 3]], "last": 1_391_837_200}}),
            json!([[[[[[[[[{"asset": "BTC", "free": "1"}]]]]]]]]]),
        ] {
            assert_eq!(read(&message, UNKNOWN), Vec::<Value>::new(), "{message}");
        }
    }

    #[test]
    fn times_of_every_unit() {
        for (value, ns) in [
            (json!(1_602_819_641), 1_602_819_641_000_000_000),
            (json!("1602819641.5"), 1_602_819_641_500_000_000),
            (json!(1_602_819_641_313_u64), 1_602_819_641_313_000_000),
            (
                json!(1_602_819_641_313_000_001_u64),
                1_602_819_641_313_000_001,
            ),
            (json!("1970-01-01T00:00:01Z"), 1_000_000_000),
            (json!("soon"), 0),
            (json!(7), 0),
        ] {
            assert_eq!(time_ns(&value), ns, "{value}");
        }
    }
}
