//! Public pushes → events: books, best quotes, trades.
//!
//! ```text
//! {"type":"message","topic":"HEAD:SYMBOL","subject":...,"data":{...}}
//!     /market/level2                                    Book (delta of a range)
//!     /spotMarket/level2Depth5, 50                      Book (whole, without a number)
//!     /market/match                                     Trade
//!     /spotMarket/level1                                Quote without a number
//!     /market/ticker                                    Quote with the book's number
//!     /contractMarket/level2                            Book (delta of one change)
//!     /contractMarket/level2Depth5, 50                  Book (whole)
//!     /contractMarket/execution                         Trade
//!     /contractMarket/tickerV2                          Quote
//!     anything else                                     Ignored, with its reason
//! ```
//! We subscribe to spot `level2`, `match` and `level1`; the others are read where recordings and tools meet them.
//! Pushed whole books and `level2` are different books of one instrument: the kind seen first is the book, the
//! other is ignored. Fields are found by name, in any order; unknown ones are passed over. Times come in
//! milliseconds, microseconds and nanoseconds: their size tells.
//! Source: venue page, sections 3.1 and 3.3 to 3.6, read 2026-11-20; fixtures `feed_*.json`.

use crate::ID;
use crate::symbols::parse_id;
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

/// A decimal. The venue has printed twenty places of which the last were zeros: more than a decimal keeps, and
/// then those go.
fn number(value: Value<'_>) -> Result<Decimal, JsonError> {
    match value.as_decimal() {
        Err(JsonError::Decimal(NumError::TooLong)) => {
            let text = value.as_str().unwrap_or("");
            let short = text.trim_end_matches('0');
            if text.contains(['e', 'E']) || !text.contains('.') {
                return Err(JsonError::Decimal(NumError::TooLong));
            }
            Ok(Decimal::parse(short.as_bytes())?)
        }
        read => read,
    }
}

/// A decimal that must be there.
pub(crate) fn decimal(value: Value<'_>, key: &'static str) -> Result<Decimal, DecodeError> {
    value.field(key).and_then(number).map_err(at(key))
}

/// A decimal that may be missing: no field, null and `""` all mean absent at this venue.
pub(crate) fn optional(
    value: Value<'_>,
    key: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    match value.get(key) {
        None => Ok(None),
        Some(field) if field.as_str() == Some("") || field.is_null() => Ok(None),
        Some(field) => number(field).map(Some).map_err(at(key)),
    }
}

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// An integer, bare or as a string of digits.
pub(crate) fn integer(value: Value<'_>) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A counter of the venue.
pub(crate) fn counter(value: Value<'_>, key: &'static str) -> Result<i64, DecodeError> {
    integer(value.field(key).map_err(at(key))?)
        .filter(|count| *count >= 0)
        .ok_or(DecodeError::Field(key))
}

/// A time of the venue, whatever its unit; 0 when it is not there.
///
/// Errors: a field that is no number.
pub(crate) fn time(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    let Some(field) = value.get(key) else {
        return Ok(VenueNanos(0));
    };
    let time = integer(field)
        .and_then(|time| u64::try_from(time).ok())
        .ok_or(DecodeError::Number {
            field: key,
            error: NumError::BadByte(0),
        })?;
    Ok(nanos(time))
}

/// A time in a unit that its size tells.
pub(crate) const fn nanos(time: u64) -> VenueNanos {
    // 10^14 ms is the year 5138; 10^14 us was March 1973, and 10^17 ns too.
    let unit = match time {
        0..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    VenueNanos(time.saturating_mul(unit))
}

/// The side of an order or a trade, in either case of letters.
pub(crate) fn side(value: Value<'_>, key: &'static str) -> Result<Side, DecodeError> {
    side_of(value.str(key).map_err(at(key))?).ok_or(DecodeError::Field(key))
}

fn side_of(word: &str) -> Option<Side> {
    match word {
        "buy" | "BUY" => Some(Side::Buy),
        "sell" | "SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// The instrument a symbol names.
pub(crate) fn find(registry: &Registry, symbol: &str) -> Result<InstrumentId, DecodeError> {
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// An id of an order or a trade: text, or a bare number.
pub(crate) fn id(value: Value<'_>, key: &'static str) -> Result<u128, DecodeError> {
    let field = value.field(key).map_err(at(key))?;
    match field.as_u64() {
        Some(number) => Some(u128::from(number)),
        None => field.as_str().and_then(|text| parse_id(text.as_bytes())),
    }
    .ok_or(DecodeError::Field(key))
}

/// Room for the levels of one message, taken once.
#[derive(Debug)]
pub struct Levels {
    pub(crate) bids: Vec<RawLevel>,
    pub(crate) asks: Vec<RawLevel>,
    /// The changes of one side under their numbers.
    pub(crate) changes: Vec<(i64, RawLevel)>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
            changes: Vec::with_capacity(MSG_LEVELS_MAX),
        }
    }
}

/// `[price, size, ...]`.
fn level(value: Value<'_>) -> Result<(RawLevel, impl Iterator<Item = Value<'_>>), DecodeError> {
    let mut items = value.as_array().ok_or(DecodeError::Field("level"))?;
    let mut next =
        |field| number(items.next().ok_or(DecodeError::Field(field))?).map_err(at(field));
    let level = RawLevel {
        price: next("price")?,
        qty: next("size")?,
    };
    Ok((level, items))
}

/// One side of a whole book.
fn read_side(
    data: Value<'_>,
    key: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    for item in data.array(key).map_err(at(key))? {
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level(item)?.0);
    }
    Ok(())
}

/// One side of a delta, to the bids.
fn read_changes(
    data: Value<'_>,
    key: &'static str,
    levels: &mut Levels,
) -> Result<(), DecodeError> {
    levels.changes.clear();
    for item in data.array(key).map_err(at(key))? {
        if levels.changes.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        let (level, mut rest) = level(item)?;
        let number = rest.next().and_then(integer);
        let number = number.ok_or(DecodeError::Field("a change's sequence"))?;
        levels.changes.push((number, level));
    }
    levels.sort();
    Ok(())
}

/// A whole book, pushed or fetched. `sequence` is -1 where the message has none. Cost: one pass, no allocation.
pub(crate) fn snapshot<'a>(
    instrument: InstrumentId,
    (data, keys): (Value<'_>, [&'static str; 2]),
    sequence: i64,
    venue_ns: VenueNanos,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    let [bids, asks] = keys;
    read_side(data, bids, &mut levels.bids)?;
    read_side(data, asks, &mut levels.asks)?;
    let ids = (sequence, sequence);
    Ok(levels.message(instrument, BookMsgKind::Snapshot, ids, venue_ns))
}

/// Changes of absolute sizes without numbers of their own (the unified feed).
pub(crate) fn changes<'a>(
    instrument: InstrumentId,
    (data, keys): (Value<'_>, [&'static str; 2]),
    ids: (i64, i64),
    venue_ns: VenueNanos,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    let [bids, asks] = keys;
    read_side(data, bids, &mut levels.bids)?;
    read_side(data, asks, &mut levels.asks)?;
    Ok(levels.message(instrument, BookMsgKind::Delta, ids, venue_ns))
}

impl Levels {
    /// Makes one side's changes the bids, in the order of their own numbers: one price may change twice.
    pub(crate) fn sort(&mut self) {
        let Self { bids, changes, .. } = self;
        if !changes.is_sorted_by_key(|(number, _)| *number) {
            changes.sort_unstable_by_key(|(number, _)| *number);
        }
        // A price of 0 changes no level: it stands for one of the numbers in the range.
        let levels = changes.iter().map(|(_, level)| *level);
        bids.clear();
        bids.extend(levels.filter(|level| !level.price.is_zero()));
    }

    pub(crate) fn message(
        &self,
        instrument: InstrumentId,
        kind: BookMsgKind,
        (first_id, last_id): (i64, i64),
        venue_ns: VenueNanos,
    ) -> BookMsg<'_> {
        BookMsg {
            instrument,
            kind,
            first_id,
            last_id,
            prev_id: -1,
            checksum: None,
            bids: &self.bids,
            asks: &self.asks,
            venue_ns,
        }
    }
}

/// A spot delta. Cost: one pass, no allocation.
fn delta<'a>(
    instrument: InstrumentId,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    let changes = data.field("changes").map_err(at("changes"))?;
    read_changes(changes, "asks", levels)?;
    core::mem::swap(&mut levels.bids, &mut levels.asks);
    read_changes(changes, "bids", levels)?;
    let ids = (
        counter(data, "sequenceStart")?,
        counter(data, "sequenceEnd")?,
    );
    if ids.0 > ids.1 {
        return Err(DecodeError::Field("sequenceEnd"));
    }
    Ok(levels.message(instrument, BookMsgKind::Delta, ids, time(data, "time")?))
}

/// A futures delta: `"price,side,size"`.
fn change<'a>(
    instrument: InstrumentId,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    let error = || DecodeError::Field("change");
    let text = data.str("change").map_err(at("change"))?;
    let mut parts = text.split(',');
    let mut next = || parts.next().ok_or_else(error);
    let (price, side, size) = (next()?, next()?, next()?);
    let number = |text: &str| {
        Decimal::parse(text.as_bytes()).map_err(|error| DecodeError::Number {
            field: "change",
            error,
        })
    };
    let level = RawLevel {
        price: number(price)?,
        qty: number(size)?,
    };
    levels.bids.clear();
    levels.asks.clear();
    match side_of(side).ok_or_else(error)? {
        _ if level.price.is_zero() => {}
        Side::Buy => levels.bids.push(level),
        Side::Sell => levels.asks.push(level),
    }
    let sequence = counter(data, "sequence")?;
    let ids = (sequence, sequence);
    Ok(levels.message(
        instrument,
        BookMsgKind::Delta,
        ids,
        time(data, "timestamp")?,
    ))
}

/// Feeds of one instrument that are a book each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookFeed {
    /// All changes, spot and futures.
    Level2,
    /// Whole books of 5 levels.
    Depth5,
    /// Whole books of 50 levels.
    Depth50,
}

/// What a topic is about, by what stands before its symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Book(BookFeed),
    Trade,
    Level1,
    Ticker,
    TickerV2,
    Orders,
    Balance,
    Wallet,
    Position,
    Other(&'static str),
}

impl Topic {
    pub(crate) fn of(head: &str) -> Self {
        match head {
            "/market/level2" | "/contractMarket/level2" => Self::Book(BookFeed::Level2),
            "/spotMarket/level2Depth5" | "/contractMarket/level2Depth5" => {
                Self::Book(BookFeed::Depth5)
            }
            "/spotMarket/level2Depth50" | "/contractMarket/level2Depth50" => {
                Self::Book(BookFeed::Depth50)
            }
            "/market/match" | "/contractMarket/execution" => Self::Trade,
            "/spotMarket/level1" => Self::Level1,
            "/market/ticker" => Self::Ticker,
            "/contractMarket/tickerV2" => Self::TickerV2,
            "/spotMarket/tradeOrders"
            | "/spotMarket/tradeOrdersV2"
            | "/contractMarket/tradeOrders" => Self::Orders,
            "/account/balance" => Self::Balance,
            "/contractAccount/wallet" => Self::Wallet,
            "/contract/position" | "/contract/positionAll" => Self::Position,
            "/market/candles" | "/contractMarket/candle" => Self::Other("candle"),
            "/market/snapshot" | "/contractMarket/snapshot" => Self::Other("ticker of a day"),
            "/indicator/index" | "/indicator/markPrice" => Self::Other("index"),
            "/contract/instrument" | "/contract/announcement" => {
                Self::Other("mark price and funding")
            }
            "/spotMarket/level3" | "/contractMarket/level3v2" | "/contractMarket/level3" => {
                Self::Other("the retired feed of single orders")
            }
            "/margin/position" | "/margin/loan" => Self::Other("margin: we do not borrow"),
            "/spotMarket/advancedOrders" | "/contractMarket/advancedOrders" => {
                Self::Other("stop orders: we send none")
            }
            _ => Self::Other("a topic we do not use"),
        }
    }
}

/// A book push of an instrument that has this feed for its book.
pub(crate) fn book<'a>(
    instrument: InstrumentId,
    feed: BookFeed,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    if feed != BookFeed::Level2 {
        let sequence = match data.get("sequence") {
            Some(_) => counter(data, "sequence")?,
            None => -1,
        };
        let at = time(data, "timestamp")?;
        return snapshot(instrument, (data, ["bids", "asks"]), sequence, at, levels);
    }
    match data.get("change") {
        Some(_) => change(instrument, data, levels),
        None => delta(instrument, data, levels),
    }
}

/// One public trade. Spot has `time`, futures `ts`.
pub(crate) fn on_trade(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let symbol = data.str("symbol").map_err(at("symbol"))?;
    let clock = if data.get("time").is_some() {
        "time"
    } else {
        "ts"
    };
    out.event(&Event::Trade(TradeMsg {
        instrument: find(registry, symbol)?,
        trade_id: TradeId(id(data, "tradeId")?),
        taker: side(data, "side")?,
        price: decimal(data, "price")?,
        qty: decimal(data, "size")?,
        venue_ns: time(data, clock)?,
    }));
    Ok(())
}

/// Best quotes of `/spotMarket/level1`: one flat `[price, size]` a side, empty or null where there is none.
pub(crate) fn on_level1(
    instrument: InstrumentId,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let best = |key: &'static str| match data.get(key) {
        Some(item) if !item.is_empty() => level(item).map(|(level, _)| level),
        Some(item) if item.is_null() || item.as_array().is_some() => Ok(RawLevel::default()),
        _ => Err(DecodeError::Field(key)),
    };
    out.event(&Event::Quote(QuoteMsg {
        instrument,
        update_id: -1,
        bid: best("bids")?,
        ask: best("asks")?,
        venue_ns: time(data, "timestamp")?,
    }));
    Ok(())
}

/// Names of a ticker's fields: price and size of the best bid and of the best offer, counter, time.
pub(crate) type QuoteKeys = [&'static str; 6];
/// Spot.
pub(crate) const TICKER: QuoteKeys = [
    "bestBid",
    "bestBidSize",
    "bestAsk",
    "bestAskSize",
    "sequence",
    "time",
];
/// Futures.
pub(crate) const TICKER_V2: QuoteKeys = [
    "bestBidPrice",
    "bestBidSize",
    "bestAskPrice",
    "bestAskSize",
    "sequence",
    "ts",
];

/// The best quote in a ticker. On spot its number is the book's (451 of 451 in a recording are the same).
pub(crate) fn on_ticker(
    instrument: InstrumentId,
    (data, time_of): (Value<'_>, Value<'_>),
    keys: &QuoteKeys,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let [bid, bid_size, ask, ask_size, sequence, clock] = *keys;
    let best = |price, size| {
        let (price, qty) = (optional(data, price)?, optional(data, size)?);
        Ok(RawLevel {
            price: price.unwrap_or(Decimal::ZERO),
            qty: qty.unwrap_or(Decimal::ZERO),
        })
    };
    out.event(&Event::Quote(QuoteMsg {
        instrument,
        update_id: match data.get(sequence) {
            Some(_) => counter(data, sequence)?,
            None => -1,
        },
        bid: best(bid, bid_size)?,
        ask: best(ask, ask_size)?,
        venue_ns: time(time_of, clock)?,
    }));
    Ok(())
}
