//! Public messages → events: books, best quotes, trades.
//!
//! ```text
//! {"method":"subscription","params":{"channel":C,"data":D}}
//!     C = book.I.raw, book.I.100ms, book.I.agg2     Book (snapshot, then changes)
//!     C = book.I.none.20.100ms                      Book (every message is a snapshot)
//!     C = quote.I                                   Quote
//!     C = trades.…                                  Trade, one per item
//!     C = anything else                             Ignored, with its reason
//! ```
//! A level is `[action, price, amount]`; `new` and `change` carry an amount, `delete` none, and a snapshot is made
//! of `new` ones: a level that says otherwise is refused, and the book is lost with it. Several book channels of one
//! instrument have counters of their own: the first one seen on a link is the book, the others are ignored.
//!
//! Numbers are printed bare and read as printed; fields without a value are absent. Amounts are in the unit the
//! instrument is traded in: USD for inverse futures, the base currency for all others.
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_*.json`.

use crate::ID;
use crate::symbols::parse_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, QuoteMsg, RawLevel, Side, TradeId, TradeMsg,
    VenueNanos,
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

/// A decimal that may be missing.
pub(crate) fn optional(
    value: Value<'_>,
    key: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    match value.get(key) {
        None => Ok(None),
        Some(field) if field.is_null() => Ok(None),
        Some(field) => field.as_decimal().map(Some).map_err(at(key)),
    }
}

/// Venue milliseconds; 0 when absent.
pub(crate) fn millis(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    match value.get(key) {
        None => Ok(VenueNanos(0)),
        Some(field) => field
            .as_u64()
            .map(VenueNanos::from_millis)
            .ok_or(DecodeError::Field(key)),
    }
}

/// The side of an order, a trade or a position; `None` for another word.
pub(crate) fn side_of(word: &str) -> Option<Side> {
    match word {
        "buy" => Some(Side::Buy),
        "sell" => Some(Side::Sell),
        _ => None,
    }
}

/// The side of an order or a trade.
pub(crate) fn side(value: Value<'_>) -> Result<Side, DecodeError> {
    let word = value.str("direction").map_err(at("direction"))?;
    side_of(word).ok_or(DecodeError::Field("direction"))
}

/// The instrument a message names.
pub(crate) fn instrument(
    registry: &Registry,
    value: Value<'_>,
) -> Result<InstrumentId, DecodeError> {
    let symbol = value
        .str("instrument_name")
        .map_err(at("instrument_name"))?;
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// The venue's id of a trade.
pub(crate) fn trade_id(value: Value<'_>) -> Result<TradeId, DecodeError> {
    let text = value.str("trade_id").map_err(at("trade_id"))?;
    parse_id(text.as_bytes())
        .map(TradeId)
        .ok_or(DecodeError::Field("trade_id"))
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

/// A level that says the opposite of its action.
pub(crate) const CONTRADICTION: DecodeError =
    DecodeError::Shape("a level that contradicts its action");

/// `[action, price, amount]` of a message of this kind.
fn told_level(kind: BookMsgKind, value: Value<'_>) -> Result<RawLevel, DecodeError> {
    let mut items = value.as_array().ok_or(DecodeError::Field("level"))?;
    let action = items.next().and_then(Value::as_str);
    let action = action.ok_or(DecodeError::Field("action"))?;
    let level = level_of(items)?;
    let is_right = match (action, kind) {
        ("new", _) | ("change", BookMsgKind::Delta) => !level.qty.is_zero(),
        ("delete", BookMsgKind::Delta) => level.qty.is_zero(),
        _ => false,
    };
    is_right.then_some(level).ok_or(CONTRADICTION)
}

/// `[price, amount]`.
fn plain_level(value: Value<'_>) -> Result<RawLevel, DecodeError> {
    level_of(value.as_array().ok_or(DecodeError::Field("level"))?)
}

fn level_of<'a>(mut items: impl Iterator<Item = Value<'a>>) -> Result<RawLevel, DecodeError> {
    let mut next = |field| {
        items
            .next()
            .ok_or(DecodeError::Field(field))?
            .as_decimal()
            .map_err(at(field))
    };
    Ok(RawLevel {
        price: next("price")?,
        qty: next("amount")?,
    })
}

fn read_levels(
    data: Value<'_>,
    key: &'static str,
    levels: &mut Vec<RawLevel>,
    read: impl Fn(Value<'_>) -> Result<RawLevel, DecodeError>,
) -> Result<(), DecodeError> {
    levels.clear();
    for item in data.array(key).map_err(at(key))? {
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(read(item)?);
    }
    Ok(())
}

/// Book channels, each a book of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookChannel {
    /// Every change; only where logged in.
    Raw,
    /// Changes, every 100 ms.
    Ms100,
    /// Changes, about every second.
    Agg2,
    /// Some levels, every message whole.
    Grouped,
}

impl BookChannel {
    /// By the channel's name: `book.I.raw`, `book.I.none.20.100ms`.
    pub fn of(channel: &str) -> Option<Self> {
        let mut parts = channel.strip_prefix("book.")?.split('.').skip(1);
        match (parts.next()?, parts.next()) {
            ("raw", None) => Some(Self::Raw),
            ("100ms", None) => Some(Self::Ms100),
            ("agg2", None) => Some(Self::Agg2),
            (_, Some(_)) => Some(Self::Grouped),
            _ => None,
        }
    }
}

/// One message of a book channel. Cost: one pass, no allocation.
///
/// Errors: [`CONTRADICTION`] among others; what it said is lost to the book.
pub(crate) fn book<'a>(
    instrument: InstrumentId,
    channel: BookChannel,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    if channel == BookChannel::Grouped {
        return whole_book(instrument, data, levels);
    }
    let kind = match data.str("type").map_err(at("type"))? {
        "snapshot" => BookMsgKind::Snapshot,
        "change" => BookMsgKind::Delta,
        _ => return Err(DecodeError::Field("type")),
    };
    read_levels(data, "bids", &mut levels.bids, |it| told_level(kind, it))?;
    read_levels(data, "asks", &mut levels.asks, |it| told_level(kind, it))?;
    let prev_id = match kind {
        BookMsgKind::Snapshot => -1,
        BookMsgKind::Delta => data.i64("prev_change_id").map_err(at("prev_change_id"))?,
    };
    message(instrument, kind, prev_id, data, levels)
}

/// A book told whole: a grouped one, or the answer to `get_order_book`.
pub(crate) fn whole_book<'a>(
    instrument: InstrumentId,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    read_levels(data, "bids", &mut levels.bids, plain_level)?;
    read_levels(data, "asks", &mut levels.asks, plain_level)?;
    message(instrument, BookMsgKind::Snapshot, -1, data, levels)
}

fn message<'a>(
    instrument: InstrumentId,
    kind: BookMsgKind,
    prev_id: i64,
    data: Value<'_>,
    levels: &'a Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    let change_id = data.i64("change_id").map_err(at("change_id"))?;
    Ok(BookMsg {
        instrument,
        kind,
        first_id: change_id,
        last_id: change_id,
        prev_id,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: millis(data, "timestamp")?,
    })
}

/// The best quote. A side that is empty has no price, or an amount of 0.
pub(crate) fn quote(registry: &Registry, data: Value<'_>) -> Result<QuoteMsg, DecodeError> {
    let side = |price, qty| {
        Ok(match (optional(data, price)?, optional(data, qty)?) {
            (Some(price), Some(qty)) => RawLevel { price, qty },
            _ => RawLevel::default(),
        })
    };
    Ok(QuoteMsg {
        instrument: instrument(registry, data)?,
        update_id: -1,
        bid: side("best_bid_price", "best_bid_amount")?,
        ask: side("best_ask_price", "best_ask_amount")?,
        venue_ns: millis(data, "timestamp")?,
    })
}

/// One public trade.
pub(crate) fn trade(registry: &Registry, item: Value<'_>) -> Result<TradeMsg, DecodeError> {
    Ok(TradeMsg {
        instrument: instrument(registry, item)?,
        trade_id: trade_id(item)?,
        taker: side(item)?,
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal("amount").map_err(at("amount"))?,
        venue_ns: millis(item, "timestamp")?,
    })
}

/// Every trade of a push, each by itself. Those of an instrument we do not follow are passed over: a channel of a
/// whole kind tells of all.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_trades(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in data.as_array().ok_or(DecodeError::Field("data"))? {
        match trade(registry, item) {
            Ok(trade) => out.event(&Event::Trade(trade)),
            Err(DecodeError::UnknownSymbol) => out.event(&NOT_FOLLOWED),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}

/// Of an instrument that is not ours to follow.
pub(crate) const NOT_FOLLOWED: Event<'static> =
    Event::Ignored("about an instrument we do not follow");

/// A result without a request of ours, or its bare content, as collections of other people hold them: a book and a
/// trade are told, the rest is ignored.
pub(crate) fn on_stray(
    registry: &Registry,
    content: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let has = |key| content.get(key).is_some();
    if has("bids") && has("change_id") {
        let id = instrument(registry, content)?;
        out.event(&Event::Book(whole_book(id, content, levels)?));
    } else if has("trade_id") && has("trade_seq") {
        out.event(&Event::Trade(trade(registry, content)?));
    } else {
        out.event(&Event::Ignored("an answer we did not ask for"));
    }
    Ok(())
}

/// Why a channel is of no use to us.
pub(crate) fn ignored(channel: &str) -> &'static str {
    match channel.split('.').next() {
        Some("ticker" | "incremental_ticker") => "ticker",
        Some("chart") => "candle",
        Some("perpetual") => "funding",
        _ => "a channel we do not use",
    }
}
