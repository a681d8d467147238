//! What the bench venue answers: just enough Binance spot for a real lane to come up and trade, and for each
//! order its acknowledgement and, because it is an IOC that finds nobody, its expiry.

use super::walk::{self, Walk};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Instrument rules. Limits of rate are wide: what is measured here is us, not them.
const INFO: &str = r#"{"timezone":"UTC","serverTime":1,"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100000000},{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":2000000000},{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":1000000000}],"exchangeFilters":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"icebergAllowed":false,"isSpotTradingAllowed":true,"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}],"permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_MAKER","allowedSelfTradePreventionModes":["EXPIRE_MAKER"]}]}"#;

/// An account with enough of everything.
const ACCOUNT: &str = r#"{"makerCommission":0,"takerCommission":0,"canTrade":true,"updateTime":1,"accountType":"SPOT","balances":[{"asset":"BTC","free":"1000000.00000000","locked":"0.00000000"},{"asset":"USDT","free":"1000000000.00000000","locked":"0.00000000"}],"permissions":["SPOT"]}"#;

/// What stands behind an answered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A new order, and the number of the tick it answers, if it bears one.
    Order(Option<u64>),
    /// Anything else.
    Other,
}

/// The one who answers.
#[derive(Debug, Default)]
pub struct Desk {
    orders: u64,
    first: String,
    second: String,
}

impl Desk {
    /// The answer to a REST request. `next` is the number of the next tick.
    pub fn rest(walk: &Walk, next: u64, target: &str) -> Cow<'static, str> {
        match target.split('?').next().unwrap_or_default() {
            "/api/v3/exchangeInfo" => INFO.into(),
            "/api/v3/account" => ACCOUNT.into(),
            "/api/v3/depth" => walk.snapshot(next).into(),
            _ => "[]".into(),
        }
    }

    /// Takes one request of the WebSocket API. What to say to it stands in [`Desk::said`].
    pub fn hear(&mut self, text: &str, unix_ms: u64) -> Heard {
        let request = Request::of(text);
        self.first.clear();
        self.second.clear();
        if !request.is_order() {
            let _ = write!(
                self.first,
                r#"{{"id":"{}","status":200,"result":{{"subscriptionId":0}}}}"#,
                request.id
            );
            return Heard::Other;
        }
        self.orders += 1;
        request.answer(self.orders, unix_ms, &mut self.first, &mut self.second);
        Heard::Order(request.lots().and_then(walk::number_of))
    }

    /// The texts the latest request is answered with.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        let both = [self.first.as_str(), self.second.as_str()];
        both.into_iter().filter(|text| !text.is_empty())
    }
}

/// One request of the WebSocket API, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request<'a> {
    /// Its own id.
    id: &'a str,
    /// What it wants.
    method: &'a str,
    /// The client's order id.
    client: &'a str,
    /// Price as sent.
    price: &'a str,
    /// Quantity as sent.
    qty: &'a str,
}

impl<'a> Request<'a> {
    /// Looks for the fields; those that are not there are empty.
    fn of(text: &'a str) -> Self {
        Self {
            id: field(text, r#""id":""#),
            method: field(text, r#""method":""#),
            client: field(text, r#""newClientOrderId":""#),
            price: field(text, r#""price":""#),
            qty: field(text, r#""quantity":""#),
        }
    }

    /// Whether it is a new order.
    fn is_order(&self) -> bool {
        self.method == "order.place"
    }

    /// Lots of 0.00001 it is for; `None` when that is no number.
    fn lots(&self) -> Option<u64> {
        let (whole, part) = self.qty.split_once('.').unwrap_or((self.qty, ""));
        let part = part.get(..part.len().min(5))?;
        let scale = 10u64.checked_pow(5 - part.len() as u32)?;
        let part: u64 = if part.is_empty() {
            0
        } else {
            part.parse().ok()?
        };
        let whole: u64 = whole.parse().ok()?;
        whole.checked_mul(100_000)?.checked_add(part * scale)
    }

    /// The acknowledgement and the report of the expiry: what a new order that finds nobody is answered.
    fn answer(&self, order_id: u64, unix_ms: u64, ack: &mut String, report: &mut String) {
        let Self {
            id,
            client,
            price,
            qty,
            ..
        } = self;
        ack.clear();
        let _ = write!(
            ack,
            r#"{{"id":"{id}","status":200,"result":{{"symbol":"BTCUSDT","orderId":{order_id},"orderListId":-1,"clientOrderId":"{client}","transactTime":{unix_ms}}}}}"#
        );
        report.clear();
        let _ = write!(
            report,
            r#"{{"subscriptionId":0,"event":{{"e":"executionReport","E":{unix_ms},"s":"BTCUSDT","c":"{client}","S":"BUY","o":"LIMIT","f":"IOC","q":"{qty}","p":"{price}","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"EXPIRED","X":"EXPIRED","r":"NONE","i":{order_id},"l":"0.00000000","z":"0.00000000","L":"0.00000000","n":"0","N":null,"T":{unix_ms},"t":-1,"I":8641985,"w":true,"m":false,"M":true,"O":{unix_ms},"Z":"0.00000000","Y":"0.00000000","Q":"0.00000000","W":{unix_ms},"V":"EXPIRE_MAKER"}}}}"#
        );
    }
}

/// What stands after `name` up to the next quote. By hand: what a general search costs changes with how the compiler cuts
/// it up, and this is counted.
#[inline(never)]
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let (bytes, name) = (text.as_bytes(), name.as_bytes());
    let mut at = 0;
    while at + name.len() < bytes.len() {
        // Names begin with a quote, and so does little else.
        if bytes[at] == b'"' && bytes[at..].starts_with(name) {
            let rest = &text[at + name.len()..];
            return rest.split('"').next().unwrap_or_default();
        }
        at += 1;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart_and_answered_in_json() {
        let text = r#"{"id":"n-1z-0","method":"order.place","params":{"newClientOrderId":"sl-1z","newOrderRespType":"ACK","price":"65000.01","quantity":"10.00007","recvWindow":5000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"IOC","timestamp":1,"type":"LIMIT"}}"#;
        let request = Request::of(text);
        assert!(request.is_order());
        assert_eq!((request.id, request.client), ("n-1z-0", "sl-1z"));
        assert_eq!(request.lots(), Some(1_000_007));
        let (mut ack, mut report) = (String::new(), String::new());
        request.answer(9, 1_760_000_000_000, &mut ack, &mut report);
        let ack: serde_json::Value = serde_json::from_str(&ack).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(ack["result"]["clientOrderId"], "sl-1z");
        assert_eq!(report["event"]["X"], "EXPIRED");
        assert_eq!(report["event"]["q"], "10.00007");
    }

    #[test]
    fn quantities_of_any_length_count_in_lots() {
        let lots = |qty| {
            Request {
                qty,
                ..Request::of("")
            }
            .lots()
        };
        assert_eq!(lots("10.00007000"), Some(1_000_007));
        assert_eq!(lots("11.5"), Some(1_150_000));
        assert_eq!(lots("12"), Some(1_200_000));
        assert_eq!(lots(""), None);
        assert_eq!(lots("x.1"), None);
    }
}
