//! Public messages → events: books, best quotes, trades.
//!
//! ```text
//! {"arg":{"channel":C,"instId":S},"action":"snapshot"|"update","data":[{...}]}
//!     C = books, books50-l2-tbt, books-l2-tbt   Book (snapshot, then deltas)
//!     C = books5                                Book (every message is a snapshot)
//!     C = bbo-tbt                               Quote
//!     C = trades, trades-all                    Trade, one per item
//!     C = anything else                         Ignored, with its reason
//! ```
//! Two book channels of one instrument share their counter but are different books: the first one
//! seen on a link is the book, the other is ignored. Fields are found by name, in any order;
//! unknown ones are passed over. Recordings older than 2022 carry no `seqId`: then every id is -1
//! and the checksum alone proves the book. A `checksum` of 0 means the venue sends none (all
//! messages since June 2026).
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_*.json`.

use crate::ID;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, NumError, QuoteMsg, RawLevel, Side, TradeId,
    TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::{JsonError, Value};

/// Names a field in the error of reading it.
pub(crate) fn at(field: &'static str) -> impl Fn(JsonError) -> DecodeError {
    move |error| match error {
        JsonError::Decimal(error) => DecodeError::Number { field, error },
        JsonError::Missing | JsonError::Kind | JsonError::Inexact => DecodeError::Field(field),
        error => of_json(error),
    }
}

/// An error of the JSON text itself.
pub(crate) fn of_json(error: JsonError) -> DecodeError {
    match error {
        JsonError::TooLarge => DecodeError::TooMuch("message size"),
        JsonError::TooDeep => DecodeError::TooMuch("nesting"),
        _ => DecodeError::Json,
    }
}

/// A decimal that may be missing: no field and `""` both mean absent at this venue.
pub(crate) fn optional(
    value: Value<'_>,
    key: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    match value.get(key) {
        None => Ok(None),
        Some(field) if field.as_str() == Some("") || field.is_null() => Ok(None),
        Some(field) => field.as_decimal().map(Some).map_err(at(key)),
    }
}

/// Venue milliseconds printed as a string; 0 when absent or empty.
pub(crate) fn millis(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    let Some(text) = value.get(key).and_then(Value::as_str) else {
        return Ok(VenueNanos(0));
    };
    let ms = crate::symbols::parse_id(text.as_bytes())
        .and_then(|ms| u64::try_from(ms).ok())
        .ok_or(DecodeError::Number {
            field: key,
            error: NumError::BadByte(0),
        })?;
    Ok(VenueNanos::from_millis(ms))
}

/// The side of an order or a trade.
pub(crate) fn side(value: Value<'_>) -> Result<Side, DecodeError> {
    let word = value.str("side").map_err(at("side"))?;
    side_of(word.as_bytes()).ok_or(DecodeError::Field("side"))
}

/// `buy` or `sell`.
pub(crate) const fn side_of(word: &[u8]) -> Option<Side> {
    match word {
        b"buy" => Some(Side::Buy),
        b"sell" => Some(Side::Sell),
        _ => None,
    }
}

/// The instrument a symbol names.
pub(crate) fn instrument(
    registry: &Registry,
    value: Value<'_>,
) -> Result<InstrumentId, DecodeError> {
    let symbol = value.str("instId").map_err(at("instId"))?;
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// Room for the levels of one message, taken once.
#[derive(Debug)]
pub struct Levels {
    pub(crate) bids: Vec<RawLevel>,
    pub(crate) asks: Vec<RawLevel>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
        }
    }
}

/// `[price, size, "0", order count]`.
fn level(value: Value<'_>) -> Result<RawLevel, DecodeError> {
    let mut items = value.as_array().ok_or(DecodeError::Field("level"))?;
    let mut next = |field| {
        items
            .next()
            .ok_or(DecodeError::Field(field))?
            .as_decimal()
            .map_err(at(field))
    };
    Ok(RawLevel {
        price: next("price")?,
        qty: next("size")?,
    })
}

fn read_levels(
    data: Value<'_>,
    key: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    for item in data.array(key).map_err(at(key))? {
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level(item)?);
    }
    Ok(())
}

/// An integer counter, -1 where the message has none.
fn counter(data: Value<'_>, key: &'static str) -> Result<i64, DecodeError> {
    match data.get(key) {
        None => Ok(-1),
        Some(value) => value.as_i64().ok_or(DecodeError::Field(key)),
    }
}

/// The signed 32-bit checksum as its bits; `None` when absent or 0.
fn checksum(data: Value<'_>) -> Result<Option<u32>, DecodeError> {
    let Some(value) = data.get("checksum") else {
        return Ok(None);
    };
    let signed = value
        .as_i64()
        .and_then(|value| i32::try_from(value).ok())
        .ok_or(DecodeError::Field("checksum"))?;
    Ok((signed != 0).then_some(signed.cast_unsigned()))
}

/// One book object, pushed or fetched. Cost: one pass, no allocation.
pub(crate) fn book<'a>(
    instrument: InstrumentId,
    kind: BookMsgKind,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    read_levels(data, "bids", &mut levels.bids)?;
    read_levels(data, "asks", &mut levels.asks)?;
    let seq_id = counter(data, "seqId")?;
    Ok(BookMsg {
        instrument,
        kind,
        first_id: seq_id,
        last_id: seq_id,
        prev_id: counter(data, "prevSeqId")?,
        checksum: checksum(data)?,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: millis(data, "ts")?,
    })
}

/// Book channels, each a book of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookChannel {
    /// 400 levels, 100 ms.
    Books,
    /// 5 levels, every message whole.
    Books5,
    /// 50 levels, 10 ms.
    Books50,
    /// 400 levels, 10 ms.
    BooksTbt,
}

impl BookChannel {
    /// By the channel's name.
    pub fn of(channel: &str) -> Option<Self> {
        match channel {
            "books" => Some(Self::Books),
            "books5" => Some(Self::Books5),
            "books50-l2-tbt" => Some(Self::Books50),
            "books-l2-tbt" => Some(Self::BooksTbt),
            _ => None,
        }
    }
}

/// Whether a book push says it is whole.
pub(crate) fn is_snapshot(root: Value<'_>) -> bool {
    root.get("action").and_then(Value::as_str) == Some("snapshot")
}

/// Every item of a book push.
pub(crate) fn on_book(
    id: InstrumentId,
    channel: BookChannel,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let kind = match root.get("action").and_then(Value::as_str) {
        Some("snapshot") => BookMsgKind::Snapshot,
        Some("update") => BookMsgKind::Delta,
        None if channel == BookChannel::Books5 => BookMsgKind::Snapshot,
        _ => return Err(DecodeError::Field("action")),
    };
    for data in root.array("data").map_err(at("data"))? {
        let message = book(id, kind, data, levels)?;
        out.event(&Event::Book(message));
    }
    Ok(())
}

/// Every item of a best-quote push. An empty side has quantity 0.
pub(crate) fn on_quote(
    instrument: InstrumentId,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for data in root.array("data").map_err(at("data"))? {
        let best = |key: &'static str| match data.array(key).map_err(at(key))?.next() {
            Some(item) => level(item),
            None => Ok(RawLevel::default()),
        };
        out.event(&Event::Quote(QuoteMsg {
            instrument,
            update_id: counter(data, "seqId")?,
            bid: best("bids")?,
            ask: best("asks")?,
            venue_ns: millis(data, "ts")?,
        }));
    }
    Ok(())
}

/// Every public trade of a push.
pub(crate) fn on_trades(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for data in root.array("data").map_err(at("data"))? {
        let trade_id = data.str("tradeId").map_err(at("tradeId"))?;
        out.event(&Event::Trade(TradeMsg {
            instrument: instrument(registry, data)?,
            trade_id: crate::symbols::parse_id(trade_id.as_bytes())
                .map(TradeId)
                .ok_or(DecodeError::Field("tradeId"))?,
            taker: side(data)?,
            price: data.decimal("px").map_err(at("px"))?,
            qty: data.decimal("sz").map_err(at("sz"))?,
            venue_ns: millis(data, "ts")?,
        }));
    }
    Ok(())
}

/// Why a channel is of no use to us.
pub(crate) fn ignored(channel: &str) -> &'static str {
    match channel {
        "tickers" => "ticker",
        "fills" => "fills: the orders channel tells the same",
        "positions" | "balance_and_position" => "positions are kept from fills",
        "funding-rate" => "funding rate",
        channel if channel.starts_with("candle") => "candle",
        _ => "a channel we do not use",
    }
}
