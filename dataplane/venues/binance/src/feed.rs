//! Public messages → events.
//!
//! ```text
//! {"stream":S,"data":{…}} or {…} alone
//!   e = depthUpdate            Book delta (futures: with pu)
//!   e = trade, aggTrade        Trade
//!   e = bookTicker, or no e and u, b, B, a, A     Quote
//!   lastUpdateId               partial depth: Ignored (the diff stream is what we follow)
//!   e = serverShutdown         Control::ClosingSoon
//!   result / code              answer to a control message
//!   anything else              Ignored, with its reason
//! ```
//! Fields are found by name in any order; unknown ones are passed over. Source: venue page, section 3,
//! read 2026-11-20; fixtures `feed_*.json`.

use crate::ID;
use crate::symbols::trade_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, InstrumentId, LinkId, QuoteMsg, RawLevel, Side, TradeMsg, VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Registry, Sink};
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

/// Venue milliseconds, 0 when absent.
pub(crate) fn millis(value: Value<'_>, key: &str) -> VenueNanos {
    VenueNanos::from_millis(value.get(key).and_then(|time| time.as_u64()).unwrap_or(0))
}

/// The instrument a symbol names.
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

/// Room for the levels of one message, taken once.
#[derive(Debug)]
pub struct Levels {
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
}

impl Default for Levels {
    fn default() -> Self {
        let room = || Vec::with_capacity(MSG_LEVELS_MAX);
        Self {
            bids: room(),
            asks: room(),
        }
    }
}

/// `[price, quantity]`; more items (older snapshots carry an empty array) are passed over.
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
        qty: next("quantity")?,
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

/// Decodes one public message into `out`. Cost: one pass, no allocation.
///
/// Errors: [`DecodeError`]; nothing was emitted.
pub fn decode(
    registry: &Registry,
    link: LinkId,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let data = root.get("data").unwrap_or(root);
    match data.get("e").and_then(|event| event.as_str()) {
        Some("depthUpdate") => depth_update(registry, data, levels, out),
        Some("trade") => trade(registry, data, "t", out),
        Some("aggTrade") => trade(registry, data, "a", out),
        Some("bookTicker") => quote(registry, data, out),
        Some("serverShutdown") => {
            out.event(&Event::Control(Control::ClosingSoon(link)));
            Ok(())
        }
        Some("24hrTicker" | "24hrMiniTicker" | "1hTicker" | "4hTicker" | "1dTicker") => {
            ignored("24 h statistics", out)
        }
        Some("kline" | "continuous_kline" | "indexPrice_kline" | "markPrice_kline") => {
            ignored("candle", out)
        }
        Some(_) => ignored("a stream we do not follow", out),
        None if data.get("B").is_some() && data.get("A").is_some() => quote(registry, data, out),
        None if data.get("lastUpdateId").is_some() => ignored("partial depth", out),
        None if root.get("result").is_some() => ignored("answer to a control message", out),
        None if root.get("code").is_some() => Err(DecodeError::Shape("control message refused")),
        None if data.as_array().is_some() => ignored("array of statistics", out),
        None => Err(DecodeError::Shape("neither an event nor an answer")),
    }
}

fn ignored(why: &'static str, out: &mut impl Sink) -> Result<(), DecodeError> {
    out.event(&Event::Ignored(why));
    Ok(())
}

fn depth_update(
    registry: &Registry,
    data: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let instrument = instrument(registry, data, "s")?;
    read_levels(data, "b", &mut levels.bids)?;
    read_levels(data, "a", &mut levels.asks)?;
    let prev_id = match data.get("pu") {
        Some(id) => id.as_i64().ok_or(DecodeError::Field("pu"))?,
        None => -1,
    };
    out.event(&Event::Book(BookMsg {
        instrument,
        kind: BookMsgKind::Delta,
        first_id: data.i64("U").map_err(at("U"))?,
        last_id: data.i64("u").map_err(at("u"))?,
        prev_id,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: millis(data, "E"),
    }));
    Ok(())
}

/// A REST depth answer: the snapshot of `instrument`.
///
/// Errors: [`DecodeError`]; nothing was emitted.
pub fn snapshot(
    instrument: InstrumentId,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let last_id = root.i64("lastUpdateId").map_err(at("lastUpdateId"))?;
    read_levels(root, "bids", &mut levels.bids)?;
    read_levels(root, "asks", &mut levels.asks)?;
    out.event(&Event::Book(BookMsg {
        instrument,
        kind: BookMsgKind::Snapshot,
        first_id: last_id,
        last_id,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: millis(root, "E"),
    }));
    Ok(())
}

fn trade(
    registry: &Registry,
    data: Value<'_>,
    id: &'static str,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    // `m`: the buyer was the maker, so the aggressor sold.
    let is_sell = data.bool("m").map_err(at("m"))?;
    let event = TradeMsg {
        instrument: instrument(registry, data, "s")?,
        trade_id: trade_id(data.i64(id).map_err(at(id))?),
        taker: if is_sell { Side::Sell } else { Side::Buy },
        price: data.decimal("p").map_err(at("p"))?,
        qty: data.decimal("q").map_err(at("q"))?,
        venue_ns: millis(data, "T"),
    };
    out.event(&Event::Trade(event));
    Ok(())
}

fn quote(registry: &Registry, data: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let level = |price: &'static str, qty: &'static str| -> Result<RawLevel, DecodeError> {
        Ok(RawLevel {
            price: data.decimal(price).map_err(at(price))?,
            qty: data.decimal(qty).map_err(at(qty))?,
        })
    };
    let event = QuoteMsg {
        instrument: instrument(registry, data, "s")?,
        update_id: data.get("u").and_then(|id| id.as_i64()).unwrap_or(-1),
        bid: level("b", "B")?,
        ask: level("a", "A")?,
        venue_ns: millis(data, "T"),
    };
    out.event(&Event::Quote(event));
    Ok(())
}
