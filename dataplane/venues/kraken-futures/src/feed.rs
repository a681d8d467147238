//! Public messages of the Unified WebSocket → events: books, single orders, best quotes, trades.
//!
//! ```text
//! {"channel":C,"type":"snapshot"|"update","data":[{...}]}
//!     C = book      Book, with its checksum       C = trade     Trade, one per item
//!     C = level3    L3, single orders             C = ticker    Quote
//! ```
//! Prices and quantities are JSON numbers, and their printed digits are what the checksum is made of: a message
//! is read by `Doc::parse_exact`, which leaves them alone. Fields are found by name, in any order; unknown ones
//! are passed over. Bodies follow the spot market's, of which the venue shows the book only; fields that are not
//! needed are optional.
//! Source: venue page, section 3; `kraken.md`, section 3; read 2026-11-20; fixtures `feed_*.json`.

use crate::ID;
use crate::symbols::{parse_order_id, parse_trade_id};
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, L3Msg, NumError, OrderAct, QuoteMsg, RawLevel,
    RawOrder, Side, TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::{JsonError, Value};
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

/// A field that is there and not `null`.
pub(crate) fn some<'a>(value: Value<'a>, key: &str) -> Option<Value<'a>> {
    value.get(key).filter(|field| !field.is_null())
}

/// A decimal that may be missing or `null`.
pub(crate) fn optional(
    value: Value<'_>,
    key: &'static str,
) -> Result<Option<Decimal>, DecodeError> {
    match some(value, key) {
        None => Ok(None),
        Some(field) => field.as_decimal().map(Some).map_err(at(key)),
    }
}

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// An RFC 3339 time; 0 when absent.
pub(crate) fn time(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    match some(value, key) {
        None => Ok(VenueNanos(0)),
        Some(field) => field
            .as_str()
            .and_then(|text| parse_rfc3339(text.as_bytes()))
            .map(VenueNanos)
            .ok_or(DecodeError::Field(key)),
    }
}

/// `buy` or `sell`; `None` when there is no such field.
pub(crate) fn side_if_told(value: Value<'_>) -> Result<Option<Side>, DecodeError> {
    match some(value, "side").map(Value::as_str) {
        None => Ok(None),
        Some(Some("buy")) => Ok(Some(Side::Buy)),
        Some(Some("sell")) => Ok(Some(Side::Sell)),
        Some(_) => Err(DecodeError::Field("side")),
    }
}

/// The side of an order or a trade.
pub(crate) fn side(value: Value<'_>) -> Result<Side, DecodeError> {
    side_if_told(value)?.ok_or(DecodeError::Field("side"))
}

/// The instrument the symbol under `key` names.
pub(crate) fn instrument(
    registry: &Registry,
    value: Value<'_>,
    key: &'static str,
) -> Result<InstrumentId, DecodeError> {
    let symbol = value.str(key).map_err(at(key))?;
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// Room for the levels or orders of one message, taken once.
#[derive(Debug)]
pub struct Levels {
    pub(crate) bids: Vec<RawLevel>,
    pub(crate) asks: Vec<RawLevel>,
    pub(crate) orders: Vec<RawOrder>,
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

/// The levels under `key`, each an object of price and quantity; none when there is no such field.
pub(crate) fn read_levels(
    data: Value<'_>,
    key: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    let Some(items) = some(data, key) else {
        return Ok(());
    };
    for item in items.as_array().ok_or(DecodeError::Field(key))? {
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(RawLevel {
            price: item.decimal("price").map_err(at("price"))?,
            qty: item.decimal("qty").map_err(at("qty"))?,
        });
    }
    Ok(())
}

/// Whether a push is whole.
pub(crate) fn kind(root: Value<'_>) -> Result<BookMsgKind, DecodeError> {
    match root.str("type").map_err(at("type"))? {
        "snapshot" => Ok(BookMsgKind::Snapshot),
        "update" => Ok(BookMsgKind::Delta),
        _ => Err(DecodeError::Field("type")),
    }
}

fn checksum(data: Value<'_>) -> Result<Option<u32>, DecodeError> {
    match some(data, "checksum") {
        None => Ok(None),
        Some(sum) => sum
            .as_u64()
            .and_then(|sum| u32::try_from(sum).ok())
            .map(Some)
            .ok_or(DecodeError::Field("checksum")),
    }
}

/// Every item of a book push, none of which has a number. Cost: one pass, no allocation.
pub(crate) fn on_book(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
    mut taken: impl FnMut(InstrumentId),
) -> Result<(), DecodeError> {
    let kind = kind(root)?;
    for data in root.array("data").map_err(at("data"))? {
        let instrument = instrument(registry, data, "symbol")?;
        read_levels(data, "bids", &mut levels.bids)?;
        read_levels(data, "asks", &mut levels.asks)?;
        out.event(&Event::Book(BookMsg {
            instrument,
            kind,
            first_id: -1,
            last_id: -1,
            prev_id: -1,
            checksum: checksum(data)?,
            bids: &levels.bids,
            asks: &levels.asks,
            venue_ns: time(data, "timestamp")?,
        }));
        if kind == BookMsgKind::Snapshot {
            taken(instrument);
        }
    }
    Ok(())
}

/// Every item of a push of single orders; an order that is deleted has quantity 0. We do not subscribe it.
pub(crate) fn on_level3(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let kind = kind(root)?;
    for data in root.array("data").map_err(at("data"))? {
        let instrument = instrument(registry, data, "symbol")?;
        let orders = &mut levels.orders;
        orders.clear();
        for (key, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
            let items = some(data, key).and_then(Value::as_array);
            for item in items.into_iter().flatten() {
                if orders.len() >= MSG_LEVELS_MAX {
                    return Err(DecodeError::TooMuch("orders"));
                }
                orders.push(order(item, side)?);
            }
        }
        out.event(&Event::L3(L3Msg {
            instrument,
            kind,
            last_id: -1,
            has_hole: false,
            has_more: false,
            checksum: checksum(data)?,
            orders,
            venue_ns: time(data, "timestamp")?,
        }));
    }
    Ok(())
}

fn order(item: Value<'_>, side: Side) -> Result<RawOrder, DecodeError> {
    let qty = item.decimal("order_qty").map_err(at("order_qty"))?;
    Ok(RawOrder {
        act: OrderAct::Rests,
        id: parse_order_id(text(item, "order_id").as_bytes())
            .ok_or(DecodeError::Field("order_id"))?,
        side,
        price: item.decimal("limit_price").map_err(at("limit_price"))?,
        qty: if text(item, "event") == "delete" {
            Decimal::ZERO
        } else {
            qty
        },
    })
}

/// Every public trade of a push.
pub(crate) fn on_trades(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for data in root.array("data").map_err(at("data"))? {
        out.event(&Event::Trade(TradeMsg {
            instrument: instrument(registry, data, "symbol")?,
            trade_id: data
                .get("trade_id")
                .and_then(parse_trade_id)
                .ok_or(DecodeError::Field("trade_id"))?,
            taker: side(data)?,
            price: data.decimal("price").map_err(at("price"))?,
            qty: data.decimal("qty").map_err(at("qty"))?,
            venue_ns: time(data, "timestamp")?,
        }));
    }
    Ok(())
}

/// The best quote of every item of a ticker push. An empty side has quantity 0.
pub(crate) fn on_ticker(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for data in root.array("data").map_err(at("data"))? {
        let best = |price: &'static str, qty: &'static str| -> Result<RawLevel, DecodeError> {
            Ok(match (optional(data, price)?, optional(data, qty)?) {
                (Some(price), Some(qty)) => RawLevel { price, qty },
                _ => RawLevel::default(),
            })
        };
        out.event(&Event::Quote(QuoteMsg {
            instrument: instrument(registry, data, "symbol")?,
            update_id: -1, // shares no counter with the book
            bid: best("bid", "bid_qty")?,
            ask: best("ask", "ask_qty")?,
            venue_ns: time(data, "timestamp")?,
        }));
    }
    Ok(())
}

/// A number that counts messages: not below 0.
pub(crate) fn counter(value: Value<'_>, key: &'static str) -> Result<i64, DecodeError> {
    value.i64(key).map_err(at(key)).and_then(|number| {
        (number >= 0).then_some(number).ok_or(DecodeError::Number {
            field: key,
            error: NumError::BadByte(0),
        })
    })
}
