//! Public messages → events: books, trades, best quotes.
//!
//! ```text
//! {"type":"snapshot", ...}         Book: the whole book, in pieces of at most 5,000 levels a side
//! {"type":"l2update", ...}         Book: absolute sizes, 0 removes
//! {"type":"match" | "last_match"}  Trade; on the full channel the maker's order shrinks too (L3)
//! {"type":"ticker", ...}           Quote, where it has sizes
//! {"type":"open" | "done" | "change"}   L3, see `full`
//! {"channel":"l2_data", ...}       Advanced Trade, see `advanced`
//! anything else                    Ignored, with its reason
//! ```
//! `match.side` is the maker's: the aggressor is the other one. A ticker is sent with each match and not when the
//! quote moves. Fields are found by name, in any order; unknown ones are passed over. The sequence of `matches` and
//! `ticker` counts events that are not on these channels, and `level2` has none: no id goes into book or quote.
//! Source: venue page, section A3; fixtures `feed_*.json`.

pub(crate) mod advanced;
pub(crate) mod full;

use crate::ID;
use crate::decimal;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, NumError, QuoteMsg, RawLevel, Side, TradeId,
    TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::{Items, JsonError, Value};
use dp_wire::time::parse_rfc3339;

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

/// A decimal that may be missing: no field, `null` and `""` all mean absent.
pub(crate) fn optional(
    value: Value<'_>,
    key: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    match value.get(key) {
        None => Ok(None),
        Some(field) if field.is_null() => Ok(None),
        Some(field) => match field.as_str() {
            None => field.as_decimal().map(Some).map_err(at(key)),
            Some("") => Ok(None),
            Some(text) => decimal::parse(text)
                .map(Some)
                .map_err(|error| DecodeError::Number { field: key, error }),
        },
    }
}

/// A time; 0 when absent.
///
/// Errors: a text that is none.
pub(crate) fn time(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    match text(value, key) {
        "" => Ok(VenueNanos(0)),
        text => parse_rfc3339(text.as_bytes())
            .map(VenueNanos)
            .ok_or(DecodeError::Number {
                field: key,
                error: NumError::BadByte(0),
            }),
    }
}

/// The side of an order or of a match.
pub(crate) fn side(value: Value<'_>) -> Result<Side, DecodeError> {
    match value.str("side").map_err(at("side"))? {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(DecodeError::Field("side")),
    }
}

/// The instrument a product is.
pub(crate) fn instrument(
    registry: &Registry,
    value: Value<'_>,
) -> Result<InstrumentId, DecodeError> {
    let symbol = value.str("product_id").map_err(at("product_id"))?;
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// The venue's id of a trade: a number, in some payloads as a string.
pub(crate) fn trade_id(value: Value<'_>) -> Result<TradeId, DecodeError> {
    let field = value.field("trade_id").map_err(at("trade_id"))?;
    let number = field
        .as_u64()
        .or_else(|| field.as_str().and_then(|text| text.parse().ok()));
    match number {
        Some(number) if number > 0 => Ok(TradeId(u128::from(number))),
        _ => Err(DecodeError::Field("trade_id")),
    }
}

/// The engine's count of events of a product; -1 where the message has none.
pub(crate) fn sequence(value: Value<'_>) -> Result<i64, DecodeError> {
    match value.get("sequence") {
        None => Ok(-1),
        Some(field) => field.as_i64().ok_or(DecodeError::Field("sequence")),
    }
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

    pub(crate) fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bids.len().max(self.asks.len()) >= MSG_LEVELS_MAX
    }

    pub(crate) fn push(&mut self, side: Side, level: RawLevel) {
        match side {
            Side::Buy => self.bids.push(level),
            Side::Sell => self.asks.push(level),
        }
    }

    /// The message these levels are.
    pub(crate) fn message(
        &self,
        instrument: InstrumentId,
        kind: BookMsgKind,
        (last_id, prev_id): (i64, i64),
        venue_ns: VenueNanos,
    ) -> BookMsg<'_> {
        BookMsg {
            instrument,
            kind,
            first_id: last_id,
            last_id,
            prev_id,
            checksum: None,
            bids: &self.bids,
            asks: &self.asks,
            venue_ns,
        }
    }
}

/// The next item of a list as a decimal.
fn next(items: &mut Items<'_>, field: &'static str) -> Result<Decimal, DecodeError> {
    items
        .next()
        .ok_or(DecodeError::Field(field))?
        .as_decimal()
        .map_err(at(field))
}

/// `[price, size, ...]`.
fn level(value: Value<'_>) -> Result<RawLevel, DecodeError> {
    let mut items = value.as_array().ok_or(DecodeError::Field("level"))?;
    Ok(RawLevel {
        price: next(&mut items, "price")?,
        qty: next(&mut items, "size")?,
    })
}

/// Takes as many levels as one message carries.
fn take(items: &mut Items<'_>, levels: &mut Vec<RawLevel>) -> Result<(), DecodeError> {
    levels.clear();
    for item in items.take(MSG_LEVELS_MAX) {
        levels.push(level(item)?);
    }
    Ok(())
}

/// A whole book, pushed or fetched: a snapshot, and deltas for what is more than one message carries. Best levels
/// come first, so each piece is a book that is right as far as it goes.
///
/// Errors: a level that cannot be read; pieces before it are out, and the caller must have the book anew.
pub(crate) fn on_snapshot(
    id: InstrumentId,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut bids = root.array("bids").map_err(at("bids"))?;
    let mut asks = root.array("asks").map_err(at("asks"))?;
    let venue_ns = time(root, "time")?;
    let mut kind = BookMsgKind::Snapshot;
    loop {
        take(&mut bids, &mut levels.bids)?;
        take(&mut asks, &mut levels.asks)?;
        out.event(&Event::Book(levels.message(id, kind, (-1, -1), venue_ns)));
        kind = BookMsgKind::Delta;
        if bids.len() == 0 && asks.len() == 0 {
            return Ok(());
        }
    }
}

/// Changes of a book: `["buy", price, size]`.
pub(crate) fn on_changes(
    id: InstrumentId,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    levels.clear();
    for change in root.array("changes").map_err(at("changes"))? {
        if levels.is_full() {
            return Err(DecodeError::TooMuch("levels"));
        }
        let mut items = change.as_array().ok_or(DecodeError::Field("changes"))?;
        let side = match items.next().and_then(Value::as_str) {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            _ => return Err(DecodeError::Field("side")),
        };
        let level = RawLevel {
            price: next(&mut items, "price")?,
            qty: next(&mut items, "size")?,
        };
        levels.push(side, level);
    }
    let venue_ns = time(root, "time")?;
    let message = levels.message(id, BookMsgKind::Delta, (-1, -1), venue_ns);
    out.event(&Event::Book(message));
    Ok(())
}

/// One trade.
pub(crate) fn trade(id: InstrumentId, root: Value<'_>) -> Result<TradeMsg, DecodeError> {
    Ok(TradeMsg {
        instrument: id,
        trade_id: trade_id(root)?,
        taker: side(root)?.opposite(),
        price: root.decimal("price").map_err(at("price"))?,
        qty: root.decimal("size").map_err(at("size"))?,
        venue_ns: time(root, "time")?,
    })
}

/// Says why a ticker is no quote to us: those of before 2022 have no sizes.
const NO_SIZES: Event<'static> = Event::Ignored("a ticker without sizes");

/// A best quote. `keys` are bid and its size, ask and its size; empty or zero is an empty side.
pub(crate) fn on_quote(
    id: InstrumentId,
    root: Value<'_>,
    keys: [&'static str; 4],
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let [bid, bid_qty, ask, ask_qty] = keys;
    let best = |price, qty| -> Result<Option<RawLevel>, DecodeError> {
        let number = |key| match root.get(key).and_then(Value::as_str) {
            None | Some("") => Ok(None),
            Some(text) => Decimal::parse(text.as_bytes())
                .map(Some)
                .map_err(|error| DecodeError::Number { field: key, error }),
        };
        Ok(match (number(price)?, number(qty)?) {
            (Some(price), Some(qty)) => Some(RawLevel { price, qty }),
            (None, _) => Some(RawLevel::default()),
            (Some(_), None) => None,
        })
    };
    match (best(bid, bid_qty)?, best(ask, ask_qty)?) {
        (Some(bid), Some(ask)) => out.event(&Event::Quote(QuoteMsg {
            instrument: id,
            update_id: -1,
            bid,
            ask,
            venue_ns,
        })),
        _ => out.event(&NO_SIZES),
    }
    Ok(())
}

/// A ticker of the Exchange.
pub(crate) fn on_ticker(
    id: InstrumentId,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let keys = ["best_bid", "best_bid_size", "best_ask", "best_ask_size"];
    on_quote(id, root, keys, time(root, "time")?, out)
}

/// Why a message of the Exchange is of no use to us.
pub(crate) fn ignored(kind: &str) -> &'static str {
    match kind {
        "status" => "status: rules are read from the list of products",
        "auction" | "auctionfeed" => "auction",
        "rfq_match" => "rfq match: it was never on the book",
        "balance" => "balance: it is read by reconciliation",
        _ => "a message we do not know",
    }
}
