//! What both interfaces print alike: JSON in the venue's own field order, numbers as bare digits, ids as UUIDs, and
//! refusals in the words of each.

use crate::engine::{Refusal, Side, Spec};
use crate::text;
use serde_json::Value;
use std::fmt::{Display, Write as _};

/// A JSON object, written field by field.
#[derive(Debug, Clone)]
pub struct Row(String);

impl Row {
    /// An empty one.
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    fn key(&mut self, name: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":");
    }

    /// A string.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.key(name);
        let _ = write!(self.0, "{}", Value::from(value));
        self
    }

    /// A string that is left out when empty.
    pub fn text_if(self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.text(name, value)
        }
    }

    /// A number, a boolean, or JSON that is already text.
    pub fn raw(mut self, name: &str, value: impl Display) -> Self {
        self.key(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// A value that is left out when there is none.
    pub fn raw_if(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.raw(name, value),
            None => self,
        }
    }

    /// The text.
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Texts of JSON as a list.
pub fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A price with all its places, as the Unified book prints it.
pub fn price(spec: &Spec, price: i64) -> String {
    text::fixed(i128::from(price), spec.price_decimals, spec.price_decimals)
}

/// A quantity with all its places.
pub fn qty(spec: &Spec, qty: i64) -> String {
    text::fixed(i128::from(qty), spec.qty_decimals, spec.qty_decimals)
}

/// A number as the legacy interface prints it: never without a place.
pub fn double(number: &str) -> String {
    if number.contains('.') {
        number.to_owned()
    } else {
        format!("{number}.0")
    }
}

/// A price as the legacy interface prints it.
pub fn double_price(spec: &Spec, price: i64) -> String {
    double(&text::price(spec, price))
}

/// A quantity as the legacy interface prints it.
pub fn double_qty(spec: &Spec, qty: i64) -> String {
    double(&text::qty(spec, qty))
}

/// The word for a side.
pub const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// First group of each kind of id.
const ORDER_IDS: u32 = 0xcff7_69bb;
const FILL_IDS: u32 = 0x6a22_a3fb;
const TRADE_IDS: u32 = 0x05af_78ac;
const ACCOUNT_IDS: u32 = 0xe258_dba9;

fn uuid(group: u32, id: u64) -> String {
    let (high, low) = (id >> 48, id & 0xffff_ffff_ffff);
    format!("{group:08x}-{high:04x}-4000-8000-{low:012x}")
}

/// An order's id as the venue prints it.
pub fn order_id(id: u64) -> String {
    uuid(ORDER_IDS, id)
}

/// A fill's id.
pub fn fill_id(trade: u64) -> String {
    uuid(FILL_IDS, trade)
}

/// A public trade's id in the legacy feed.
pub fn trade_uid(trade: u64) -> String {
    uuid(TRADE_IDS, trade)
}

/// An account's id.
pub fn account_id(account: usize) -> String {
    uuid(ACCOUNT_IDS, account as u64)
}

/// The number behind an order's id.
pub fn parse_order_id(text: &str) -> Option<u64> {
    let mut parts = text.split('-').skip(1);
    let high = u64::from_str_radix(parts.next()?, 16).ok()?;
    let low = u64::from_str_radix(parts.nth(2)?, 16).ok()?;
    let id = high.checked_mul(1 << 48)?.checked_add(low)?;
    (order_id(id) == text).then_some(id)
}

/// Why the venue says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Not enough margin.
    Funds,
    /// Post-only and it would take.
    PostOnly,
    /// Too many requests.
    Rate,
    /// No such open order.
    Unknown,
    /// A price that is none.
    Price,
    /// Not on the tick.
    Tick,
    /// Below the smallest order.
    Minimum,
    /// A quantity that is none, or too large.
    Size,
    /// The client's id is in use.
    Duplicate,
    /// Too late.
    Deadline,
    /// Outcome unknown.
    Timeout,
    /// The service is away.
    Unavailable,
    /// The token or the login is no good.
    Session,
    /// No such key.
    Key,
    /// A wrong signature.
    Signature,
    /// A nonce that did not rise.
    Nonce,
    /// A nonce that was used.
    NonceTwice,
    /// Not on this connection.
    Permission,
    /// A wrong argument.
    Argument,
    /// A missing argument.
    Missing,
    /// No such instrument.
    Symbol,
    /// A kind of order that is not taken.
    OrderType,
    /// A client id that is none.
    ClientId,
    /// Nothing to take at once.
    Ioc,
}

/// The words of each: Unified and spot REST, then legacy. That derivatives are refused in the spot market's words is [U],
/// and so is what a duplicate client id is told.
const WORDS: [(Why, &str, &str); 24] = [
    (
        Why::Funds,
        "EOrder:Insufficient funds",
        "insufficientAvailableFunds",
    ),
    (Why::PostOnly, "EOrder:Post only order", "postWouldExecute"),
    (Why::Rate, "EOrder:Rate limit exceeded", "apiLimitExceeded"),
    (Why::Unknown, "EOrder:Unknown order", "notFound"),
    (Why::Price, "EOrder:Invalid price", "invalidPrice"),
    (Why::Tick, "EOrder:Tick size check failed", "invalidPrice"),
    (Why::Minimum, "EOrder:Order minimum not met", "invalidSize"),
    (
        Why::Size,
        "EGeneral:Invalid arguments:order_qty",
        "invalidSize",
    ),
    (
        Why::Duplicate,
        "EGeneral:Invalid arguments:cl_ord_id",
        "clientOrderIdAlreadyExist",
    ),
    (Why::Deadline, "EService:Deadline elapsed", "Unavailable"),
    (Why::Timeout, "EService:Timeout", "Server Error"),
    (Why::Unavailable, "EService:Unavailable", "Unavailable"),
    (
        Why::Session,
        "ESession:Invalid session",
        "authenticationError",
    ),
    (Why::Key, "EAPI:Invalid key", "authenticationError"),
    (
        Why::Signature,
        "EAPI:Invalid signature",
        "authenticationError",
    ),
    (Why::Nonce, "EAPI:Invalid nonce", "nonceBelowThreshold"),
    (Why::NonceTwice, "EAPI:Invalid nonce", "nonceDuplicate"),
    (
        Why::Permission,
        "EGeneral:Permission denied",
        "authenticationError",
    ),
    (
        Why::Argument,
        "EGeneral:Invalid arguments",
        "invalidArgument",
    ),
    (
        Why::Missing,
        "EGeneral:Invalid arguments",
        "requiredArgumentMissing",
    ),
    (
        Why::Symbol,
        "Currency pair not supported",
        "invalidArgument",
    ),
    (
        Why::OrderType,
        "EGeneral:Invalid arguments:order_type",
        "invalidOrderType",
    ),
    (
        Why::ClientId,
        "EGeneral:Invalid arguments:cl_ord_id",
        "clientOrderIdInvalid",
    ),
    (
        Why::Ioc,
        "EOrder:Order would not execute",
        "iocWouldNotExecute",
    ),
];

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Why,
    /// The argument or symbol it is about.
    pub detail: String,
}

impl From<Why> for Refused {
    fn from(why: Why) -> Self {
        Self {
            why,
            detail: String::new(),
        }
    }
}

impl Refused {
    /// A refusal about an argument or a symbol.
    pub fn of(why: Why, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { why, detail }
    }

    /// The refusal of a number: its place among the words, from 1. No funds where there is no such place.
    pub fn numbered(code: Option<i64>) -> Self {
        let at = code.and_then(|code| usize::try_from(code).ok()?.checked_sub(1));
        let row = at.and_then(|at| WORDS.get(at));
        row.map_or(Why::Funds, |(why, ..)| *why).into()
    }

    fn row(&self) -> (usize, (Why, &'static str, &'static str)) {
        let found = WORDS.iter().enumerate().find(|(_, row)| row.0 == self.why);
        found.map_or((0, WORDS[0]), |(at, row)| (at, *row))
    }

    /// Its number, for the record: the venue has none.
    pub fn code(&self) -> i64 {
        self.row().0 as i64 + 1
    }

    /// In the words of the Unified WebSocket and of spot REST.
    pub fn unified(&self) -> String {
        let (_, (why, word, _)) = self.row();
        match why {
            _ if self.detail.is_empty() => word.to_owned(),
            Why::Symbol => format!("{word} {}", self.detail),
            Why::Argument | Why::Missing => format!("{word}:{}", self.detail),
            _ => word.to_owned(),
        }
    }

    /// In the word of the legacy interface.
    pub fn legacy(&self) -> &'static str {
        self.row().1.2
    }

    /// Whether the legacy interface refuses the request, not the order in it.
    pub const fn is_of_request(&self) -> bool {
        matches!(
            self.why,
            Why::Rate
                | Why::Timeout
                | Why::Deadline
                | Why::Unavailable
                | Why::Session
                | Why::Key
                | Why::Signature
                | Why::Nonce
                | Why::NonceTwice
                | Why::Permission
                | Why::Argument
                | Why::Missing
                | Why::Symbol
        )
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Balance => Why::Funds,
            Refusal::WouldTake => Why::PostOnly,
            Refusal::Duplicate => Why::Duplicate,
            Refusal::Unknown => Why::Unknown,
            Refusal::Amend | Refusal::Overflow => Why::Size,
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        for id in [0, 1, 0xffff_ffff_ffff, 1 << 48, u64::MAX] {
            assert_eq!(parse_order_id(&order_id(id)), Some(id));
        }
        for bad in [
            "",
            "x",
            "cff769bb-0000-4000-8000-00000000000g",
            &fill_id(1),
            "cff769bb-0-4000-8000-1",
        ] {
            assert_eq!(parse_order_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_reason_has_its_words() {
        for (at, (why, unified, legacy)) in WORDS.iter().enumerate() {
            let refused = Refused::from(*why);
            assert_eq!(
                (refused.code(), refused.unified().as_str()),
                (at as i64 + 1, *unified)
            );
            assert_eq!(
                (refused.legacy(), Refused::numbered(Some(refused.code()))),
                (*legacy, refused)
            );
        }
        assert_eq!(Refused::numbered(None).why, Why::Funds);
        let symbol = Refused::of(Why::Symbol, "PF_FOOUSD");
        assert_eq!(symbol.unified(), "Currency pair not supported PF_FOOUSD");
    }

    #[test]
    fn rows_keep_their_order_and_escape() {
        let row = Row::new()
            .text("b", "x\"y")
            .raw("a", 1.5)
            .text_if("c", "")
            .raw_if("d", None::<u8>);
        assert_eq!(row.end(), r#"{"b":"x\"y","a":1.5}"#);
    }
}
