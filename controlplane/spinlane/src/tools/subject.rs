//! What a message without events is about: the reason it is ignored for, where the live machine tells none.

use super::shape::{DEPTH_MAX, digits, first, time_ns};
use dp_venue_api::Reason;
use serde_json::Value;

/// Parts of paths, in lower case, and what such an answer is about. The first that fits.
const PATHS: &[(&str, Reason)] = &[
    ("kline", Reason::Candle),
    ("candle", Reason::Candle),
    ("ohlc", Reason::Candle),
    ("funding", Reason::Funding),
    ("premiumindex", Reason::Mark),
    ("indexinfo", Reason::Mark),
    ("avgprice", Reason::Mark),
    ("markprice", Reason::Mark),
    ("open-interest", Reason::OpenInterest),
    ("openinterest", Reason::OpenInterest),
    ("open_interest", Reason::OpenInterest),
    ("ratio", Reason::Statistics),
    ("takerbuysellvol", Reason::Statistics),
    ("futures/data/", Reason::Statistics),
    ("liquidation", Reason::Liquidation),
    ("instruments", Reason::Instruments),
    ("exchangeinfo", Reason::Instruments),
    ("symbols", Reason::Instruments),
    ("assetpairs", Reason::Instruments),
    ("products", Reason::Instruments),
    ("contract_info", Reason::Instruments),
    ("pub:list", Reason::Instruments),
    ("pub:info", Reason::Instruments),
    ("deposit", Reason::Transfer),
    ("withdraw", Reason::Transfer),
    ("userdatastream", Reason::Token),
    ("bullet", Reason::Token),
    ("/time", Reason::Clock),
    ("margin", Reason::Margin),
    ("movements", Reason::Transfer),
    ("status-data", Reason::Mark),
    ("currencies", Reason::Assets),
];

/// What an answer is about, by where it came from: a URL, or the name its line gives it.
pub fn reason_of_path(path: &str) -> Option<Reason> {
    let path = path.split('?').next().unwrap_or("").to_ascii_lowercase();
    let mut paths = PATHS.iter();
    paths
        .find(|(part, _)| path.contains(part))
        .map(|(_, reason)| *reason)
}

/// Fields that tell what a body without books, trades, orders, fills and balances is about.
const KEYS: &[(&str, Reason)] = &[
    ("listenKey", Reason::Token),
    ("token", Reason::Token),
    ("openInterest", Reason::OpenInterest),
    ("open_interest", Reason::OpenInterest),
    ("oi", Reason::OpenInterest),
    ("trade_turnover", Reason::OpenInterest),
    ("withdrawal_fee", Reason::Assets),
    ("withdrawMinFee", Reason::Assets),
    ("display_decimals", Reason::Assets),
    ("min_size", Reason::Assets),
    ("rates", Reason::Assets),
    ("maker_fees", Reason::Assets),
    ("fees_maker", Reason::Instruments),
    ("nextvolume", Reason::Assets),
    ("usd_to_btc", Reason::Assets),
    ("tick_size", Reason::Instruments),
    ("tickSize", Reason::Instruments),
    ("quote_increment", Reason::Instruments),
    ("address", Reason::Transfer),
    ("gen-address", Reason::Transfer),
    ("dribblets", Reason::Transfer),
    ("divTime", Reason::Transfer),
    ("refid", Reason::Transfer),
    ("unixtime", Reason::Clock),
    ("frr", Reason::Margin),
    ("mf", Reason::Margin),
    ("high", Reason::Statistics),
];

/// Fields of the venue's shops and wallets, which are beside its exchange.
const SERVICE: &[&str] = &[
    "payment_method",
    "instant_buy",
    "contact",
    "user",
    "recurring_payment",
    "transactions",
    "account_changes",
    "subtotal",
    "transfer",
    "button",
    "base",
];

/// What a message without events is about, by the names of its fields, its marks and its shape.
pub fn reason(message: &Value) -> Option<Reason> {
    about(message, DEPTH_MAX)
}

fn about(value: &Value, depth: usize) -> Option<Reason> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Array(items) => {
            let is_candle = items.len() >= 6 && items.iter().all(|item| digits(item).is_some());
            if is_candle && time_ns(items.first()?) > 0 {
                return Some(Reason::Candle);
            }
            // What a frame of an unknown channel says of itself: a sign of life, a loan.
            match items.get(1).and_then(Value::as_str) {
                Some("hb") => return Some(Reason::Heartbeat),
                Some("fte" | "ftu") => return Some(Reason::Margin),
                _ => {}
            }
            // A list is of one kind: its first items tell.
            items.iter().take(4).find_map(|item| about(item, depth))
        }
        Value::Object(object) => {
            // An event names its kind.
            let kind = first(object, &["e"]).as_str();
            if let Some(reason) = kind.and_then(reason_of_path) {
                return Some(reason);
            }
            let is_echo = object.contains_key("jsonrpc") && value["result"][0].is_string();
            if is_echo {
                return Some(Reason::Confirmed);
            }
            let by_key = KEYS.iter().find(|(key, _)| object.contains_key(*key));
            let is_service = SERVICE.iter().any(|key| object.contains_key(*key));
            let here = by_key.map(|(_, reason)| *reason);
            here.or(is_service.then_some(Reason::Service)).or_else(|| {
                object
                    .values()
                    .take(16)
                    .find_map(|inner| about(inner, depth))
            })
        }
        _ => None,
    }
}

/// A request of a client that was recorded, or is in a library's tests, beside the venue's answers: it asks for a
/// subscription and answers nothing.
pub fn is_request(message: &Value) -> bool {
    let Value::Object(object) = message else {
        return false;
    };
    let asks = ["op", "method", "event", "type"].iter().any(|key| {
        let verb = object.get(*key).and_then(Value::as_str).unwrap_or("");
        let verb = verb.rsplit('/').next().unwrap_or("").to_ascii_lowercase();
        matches!(verb.as_str(), "subscribe" | "unsubscribe")
    });
    let answers = ["arg", "result", "success", "error", "code", "response"];
    asks && !answers.iter().any(|key| object.contains_key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_asks_and_an_echo_answers() {
        assert!(is_request(&json!({"op": "subscribe", "args": []})));
        assert!(is_request(
            &json!({"method": "public/subscribe", "params": {}})
        ));
        assert!(!is_request(&json!({"event": "subscribe", "arg": {}})));
        assert!(!is_request(&json!({"op": "subscribe", "success": true})));
        assert!(!is_request(&json!({"type": "subscriptions"})));
    }

    #[test]
    fn reasons_by_path_and_by_field() {
        assert_eq!(
            reason_of_path("/fapi/v1/Klines?symbol=time"),
            Some(Reason::Candle)
        );
        assert_eq!(reason_of_path("/api/v3/depth"), None);
        assert_eq!(
            reason(&json!({"data": [{"oi": "1"}]})),
            Some(Reason::OpenInterest)
        );
        assert_eq!(
            reason(&json!([[1_602_819_641_313_u64, 1, 2, 3, 4, 5]])),
            Some(Reason::Candle)
        );
        assert_eq!(
            reason(&json!([{"e": "markPriceUpdate"}])),
            Some(Reason::Mark)
        );
        assert_eq!(reason(&json!([7, "hb"])), Some(Reason::Heartbeat));
        assert_eq!(reason(&json!({"bird": 1})), None);
    }
}
