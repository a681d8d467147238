//! Public messages → events: books, best quotes, trades.
//!
//! ```text
//! {"topic":"orderbook.50.BTCUSDT","type":"snapshot"|"delta","ts":..,"data":{"s","b","a","u","seq"},"cts":..}
//!     orderbook.N     Book
//!     orderbook.1     Quote, or Book where nothing deeper is followed (it has snapshots only)
//!     publicTrade     Trade, one per item
//!     anything else   Ignored, with its reason
//! ```
//! Two depths of one instrument have counters of their own and are two books: one of them is the book, see
//! [`BookView`]. Fields are found by name, in any order; unknown ones are passed over. Messages of the retired
//! generations are read in `retired`.
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_*.json`.

use crate::symbols::{self, Category, parse_id, parse_u64};
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

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A decimal that may be missing: no field, `null` and `""` all mean absent at this venue.
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

/// A count printed as a number or as digits in a string; 0 when absent or empty.
pub(crate) fn count(value: Value<'_>, key: &'static str) -> Result<u64, DecodeError> {
    match value.get(key) {
        None => Ok(0),
        Some(field) if field.as_str() == Some("") || field.is_null() => Ok(0),
        Some(field) => field
            .as_u64()
            .or_else(|| parse_u64(field.as_str()?.as_bytes()))
            .ok_or(DecodeError::Number {
                field: key,
                error: NumError::BadByte(0),
            }),
    }
}

/// Venue milliseconds; 0 when absent or empty.
pub(crate) fn millis(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    count(value, key).map(VenueNanos::from_millis)
}

/// The side of an order or a trade.
pub(crate) fn side(value: Value<'_>, key: &'static str) -> Result<Side, DecodeError> {
    match value.str(key).map_err(at(key))? {
        "Buy" => Ok(Side::Buy),
        "Sell" => Ok(Side::Sell),
        _ => Err(DecodeError::Field(key)),
    }
}

/// The id of an execution.
pub(crate) fn trade_id(value: Value<'_>, key: &'static str) -> Result<TradeId, DecodeError> {
    let text = value.str(key).map_err(at(key))?;
    parse_id(text.as_bytes())
        .filter(|id| *id != 0)
        .map(TradeId)
        .ok_or(DecodeError::Field(key))
}

/// The instrument that a field of a public message names.
pub(crate) fn instrument(
    registry: &Registry,
    category: Option<Category>,
    value: Value<'_>,
    key: &'static str,
) -> Result<InstrumentId, DecodeError> {
    let symbol = value.str(key).map_err(at(key))?;
    symbols::find(registry, category, symbol).ok_or(DecodeError::UnknownSymbol)
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

impl Levels {
    pub(crate) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Adds one level. Errors: more than a message may carry.
    pub(crate) fn push(&mut self, side: Side, level: RawLevel) -> Result<(), DecodeError> {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level);
        Ok(())
    }

    fn read(&mut self, data: Value<'_>) -> Result<(), DecodeError> {
        self.clear();
        for (side, key) in [(Side::Buy, "b"), (Side::Sell, "a")] {
            for item in data.array(key).map_err(at(key))? {
                self.push(side, level(item)?)?;
            }
        }
        Ok(())
    }
}

/// `[price, size]`.
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

/// How deep the books of a topic are; each depth of an instrument is a book of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth(pub u16);

impl Depth {
    /// The best levels only, every message whole.
    pub const BEST: Self = Self(1);

    /// Of `orderbook.DEPTH.SYMBOL`, from what follows the first point. `None`: not a book of ours.
    pub(crate) fn of(rest: &str) -> Option<Self> {
        let (depth, _) = rest.split_once('.')?;
        depth.parse().ok().map(Self)
    }
}

/// What a depth topic is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookView {
    /// The instrument's book.
    Book,
    /// The best quote beside a deeper book.
    Quote,
    /// A second book.
    Other,
}

impl BookView {
    /// The first depth that is seen is the book (`channel` keeps which); level 1 gives way to the first whole
    /// deeper one, and is the quote from then on.
    pub(crate) fn of(channel: &mut Option<Depth>, depth: Depth, is_snapshot: bool) -> Self {
        match *channel {
            Some(known) if known == depth => Self::Book,
            Some(_) if depth == Depth::BEST => Self::Quote,
            Some(Depth::BEST) if is_snapshot => {
                *channel = Some(depth);
                Self::Book
            }
            Some(_) => Self::Other,
            None => {
                *channel = Some(depth);
                Self::Book
            }
        }
    }
}

/// Whether a book push replaces the book: its type says so, or its counter of 1 (the service restarted).
///
/// Errors: another type, no counter.
pub(crate) fn kind_of(root: Value<'_>, data: Value<'_>) -> Result<BookMsgKind, DecodeError> {
    let is_first = data.i64("u").map_err(at("u"))? == 1;
    match root.str("type").map_err(at("type"))? {
        "snapshot" => Ok(BookMsgKind::Snapshot),
        "delta" if is_first => Ok(BookMsgKind::Snapshot),
        "delta" => Ok(BookMsgKind::Delta),
        _ => Err(DecodeError::Field("type")),
    }
}

/// The engine's time of a book, else the message's.
fn book_time(root: Value<'_>) -> Result<VenueNanos, DecodeError> {
    match millis(root, "cts")? {
        VenueNanos(0) => millis(root, "ts"),
        time => Ok(time),
    }
}

/// One book object, pushed (`root` has its times) or fetched (`root` is the object itself). Cost: one pass, no
/// allocation.
pub(crate) fn book<'a>(
    instrument: InstrumentId,
    kind: BookMsgKind,
    root: Value<'_>,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    levels.read(data)?;
    let id = data.i64("u").map_err(at("u"))?;
    Ok(BookMsg {
        instrument,
        kind,
        first_id: id,
        last_id: id,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: book_time(root)?,
    })
}

/// The best quote in a push of level 1. An empty side has quantity 0.
pub(crate) fn quote(
    instrument: InstrumentId,
    root: Value<'_>,
    data: Value<'_>,
) -> Result<QuoteMsg, DecodeError> {
    let best = |key: &'static str| match data.array(key).map_err(at(key))?.next() {
        Some(item) => level(item),
        None => Ok(RawLevel::default()),
    };
    Ok(QuoteMsg {
        instrument,
        update_id: -1, // its counter is not the deeper book's
        bid: best("b")?,
        ask: best("a")?,
        venue_ns: book_time(root)?,
    })
}

/// Every public trade of a push.
pub(crate) fn on_trades(
    registry: &Registry,
    category: Option<Category>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in root.array("data").map_err(at("data"))? {
        out.event(&Event::Trade(TradeMsg {
            instrument: instrument(registry, category, item, "s")?,
            trade_id: trade_id(item, "i")?,
            taker: side(item, "S")?,
            price: item.decimal("p").map_err(at("p"))?,
            qty: item.decimal("v").map_err(at("v"))?,
            venue_ns: millis(item, "T")?,
        }));
    }
    Ok(())
}

/// Why a topic, named by its first word, is of no use to us.
pub(crate) fn ignored(topic: &str) -> &'static str {
    match topic {
        "tickers" | "tickers_lt" | "instrument_info" => "ticker",
        "kline" | "kline_lt" | "klineV2" | "candle" => "candle",
        "liquidation" | "allLiquidation" => "liquidations",
        "greeks" => "greeks",
        "dcp" => "dead man's switch",
        _ => "a topic we do not use",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_depth_is_the_book_and_level_1_gives_way() {
        let mut channel = None;
        let mut view = |depth, is_snapshot| BookView::of(&mut channel, Depth(depth), is_snapshot);
        assert_eq!(view(1, true), BookView::Book, "nothing deeper yet");
        assert_eq!(view(1, true), BookView::Book);
        assert_eq!(view(50, false), BookView::Other, "not without its start");
        assert_eq!(view(50, true), BookView::Book);
        assert_eq!(view(50, false), BookView::Book);
        assert_eq!(view(1, true), BookView::Quote);
        assert_eq!(view(200, true), BookView::Other);
    }

    #[test]
    fn depths_of_topics() {
        for (rest, depth) in [
            ("50.BTCUSDT", Some(Depth(50))),
            ("1.A", Some(Depth::BEST)),
            ("rpi.BTCUSDT", None),
            ("50", None),
            ("70000.A", None),
        ] {
            assert_eq!(Depth::of(rest), depth, "{rest}");
        }
    }
}
