//! Public messages of WebSocket v2 → events: books, best quotes, trades, single orders.
//!
//! ```text
//! {"channel":C,"type":"snapshot"|"update","data":[{"symbol":S, ...}]}
//!     C = book                               Book: snapshot, then deltas, each with its checksum
//!     C = ticker                             Quote (subscribed with event_trigger bbo)
//!     C = trade                              Trade, one per item
//!     C = level3                             L3
//!     C = anything else                      Ignored, with its reason
//! ```
//! Prices and quantities are JSON numbers whose printed digits count: they were put in quotes before parsing
//! (`dp_wire::json::quote`). Fields are found by name, in any order; unknown ones are passed over.
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_*.json`.

use crate::ID;
use crate::symbols::pack_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, L3Msg, NumError, OrderAct, OrderId, QuoteMsg,
    RawLevel, RawOrder, Side, TradeId, TradeMsg, VenueNanos,
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

/// The text of a field, empty when absent or of another kind.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A decimal that may be missing or null.
pub(crate) fn optional(
    value: Value<'_>,
    key: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    match value.get(key) {
        Some(field) if !field.is_null() => field.as_decimal().map(Some).map_err(at(key)),
        _ => Ok(None),
    }
}

/// The time of an object; 0 where it has none.
pub(crate) fn timestamp(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    match value.get(key).and_then(Value::as_str) {
        None => Ok(VenueNanos(0)),
        Some(text) => dp_wire::time::parse_rfc3339(text.as_bytes())
            .map(VenueNanos)
            .ok_or(DecodeError::Field(key)),
    }
}

/// The side of an order or a trade: whole words, or v1's letters.
pub(crate) fn side_of(word: &str) -> Option<Side> {
    match word {
        "buy" | "b" => Some(Side::Buy),
        "sell" | "s" => Some(Side::Sell),
        _ => None,
    }
}

/// The instrument a symbol names.
pub(crate) fn instrument(
    registry: &Registry,
    value: Value<'_>,
) -> Result<InstrumentId, DecodeError> {
    let symbol = value.str("symbol").map_err(at("symbol"))?;
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// Room for the levels or orders of one message, taken once.
#[derive(Debug)]
pub struct Levels {
    pub(crate) bids: Vec<RawLevel>,
    pub(crate) asks: Vec<RawLevel>,
    orders: Vec<RawOrder>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
            orders: Vec::with_capacity(MSG_LEVELS_MAX),
        }
    }
}

/// Adds a level, within the bound.
pub(crate) fn push_level(levels: &mut Vec<RawLevel>, level: RawLevel) -> Result<(), DecodeError> {
    if levels.len() >= MSG_LEVELS_MAX {
        return Err(DecodeError::TooMuch("levels"));
    }
    levels.push(level);
    Ok(())
}

fn read_levels(
    data: Value<'_>,
    key: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    let Some(items) = data.get(key) else {
        return Ok(()); // a side without a change may be left out
    };
    for item in items.as_array().ok_or(DecodeError::Field(key))? {
        let level = RawLevel {
            price: item.decimal("price").map_err(at("price"))?,
            qty: item.decimal("qty").map_err(at("qty"))?,
        };
        push_level(levels, level)?;
    }
    Ok(())
}

fn checksum(data: Value<'_>) -> Result<Option<u32>, DecodeError> {
    match data.get("checksum") {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|value| u32::try_from(value).ok())
            .map(Some)
            .ok_or(DecodeError::Field("checksum")),
    }
}

/// Whether a message is whole or a change.
pub(crate) fn kind(root: Value<'_>) -> Result<BookMsgKind, DecodeError> {
    match root.get("type").and_then(Value::as_str) {
        Some("snapshot") => Ok(BookMsgKind::Snapshot),
        Some("update") => Ok(BookMsgKind::Delta),
        _ => Err(DecodeError::Field("type")),
    }
}

/// One item of a book message. Cost: one pass, no allocation.
pub(crate) fn book<'a>(
    registry: &Registry,
    kind: BookMsgKind,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    read_levels(data, "bids", &mut levels.bids)?;
    read_levels(data, "asks", &mut levels.asks)?;
    Ok(BookMsg {
        instrument: instrument(registry, data)?,
        kind,
        first_id: -1,
        last_id: -1,
        prev_id: -1,
        checksum: checksum(data)?,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: timestamp(data, "timestamp")?,
    })
}

/// Every best quote of a ticker message. An empty side has quantity 0.
pub(crate) fn on_ticker(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for data in root.array("data").map_err(at("data"))? {
        let best = |price: &'static str, qty: &'static str| -> Result<RawLevel, DecodeError> {
            Ok(RawLevel {
                price: optional(data, price)?.unwrap_or_default(),
                qty: optional(data, qty)?.unwrap_or_default(),
            })
        };
        out.event(&Event::Quote(QuoteMsg {
            instrument: instrument(registry, data)?,
            update_id: -1,
            bid: best("bid", "bid_qty")?,
            ask: best("ask", "ask_qty")?,
            venue_ns: timestamp(data, "timestamp")?,
        }));
    }
    Ok(())
}

/// Every public trade of a message.
pub(crate) fn on_trades(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for data in root.array("data").map_err(at("data"))? {
        let taker = data.str("side").map_err(at("side"))?;
        let trade_id = data.u64("trade_id").map_err(at("trade_id"))?;
        out.event(&Event::Trade(TradeMsg {
            instrument: instrument(registry, data)?,
            trade_id: TradeId(u128::from(trade_id)),
            taker: side_of(taker).ok_or(DecodeError::Field("side"))?,
            price: data.decimal("price").map_err(at("price"))?,
            qty: data.decimal("qty").map_err(at("qty"))?,
            venue_ns: timestamp(data, "timestamp")?,
        }));
    }
    Ok(())
}

/// One item of a message of single orders: bids, then asks, each in the venue's order.
pub(crate) fn orders<'a>(
    registry: &Registry,
    kind: BookMsgKind,
    data: Value<'_>,
    levels: &'a mut Levels,
) -> Result<L3Msg<'a>, DecodeError> {
    levels.orders.clear();
    for (key, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
        for item in data.array(key).map_err(at(key))? {
            if levels.orders.len() >= MSG_LEVELS_MAX {
                return Err(DecodeError::TooMuch("orders"));
            }
            levels.orders.push(order(item, side)?);
        }
    }
    Ok(L3Msg {
        instrument: instrument(registry, data)?,
        kind,
        last_id: -1,
        has_hole: false,
        has_more: false,
        checksum: checksum(data)?,
        orders: &levels.orders,
        venue_ns: timestamp(data, "timestamp")?,
    })
}

fn order(item: Value<'_>, side: Side) -> Result<RawOrder, DecodeError> {
    let id = item.str("order_id").map_err(at("order_id"))?;
    let qty = item.decimal("order_qty").map_err(at("order_qty"))?;
    Ok(RawOrder {
        act: OrderAct::Rests,
        id: OrderId(pack_id(id.as_bytes()).ok_or(DecodeError::Field("order_id"))?),
        side,
        price: item.decimal("limit_price").map_err(at("limit_price"))?,
        qty: match text(item, "event") {
            "" | "add" | "modify" => qty,
            "delete" => Decimal { mantissa: 0, ..qty },
            _ => return Err(DecodeError::Field("event")),
        },
    })
}

/// A number that is none.
pub(crate) const fn bad_number(field: &'static str) -> DecodeError {
    DecodeError::Number {
        field,
        error: NumError::TooLarge,
    }
}

/// Why a channel is of no use to us.
pub(crate) fn ignored(channel: &str) -> &'static str {
    match channel {
        "ohlc" => "candle",
        "instrument" => "instruments: their rules come by REST",
        "status" => "system status",
        _ => "a channel we do not use",
    }
}
