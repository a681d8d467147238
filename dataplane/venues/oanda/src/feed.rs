//! Lines of the stream → events: best quotes and books.
//!
//! ```text
//! {"type":"PRICE","instrument":…,"bids":[{"price","liquidity"}…],"asks":…}   Quote, Book: the whole ladder
//! {"type":"HEARTBEAT","time":…}                                             every 5 s
//! anything else                                                            Ignored, with its reason
//! ```
//! A price at which nobody may trade (`tradeable` false; of before 2018 `status` alone) is a book without levels:
//! what cannot be traded is no price. `closeoutBid` and `closeoutAsk` are what the venue values positions at, and no
//! level. Fields are found by name, in any order; unknown ones are passed over. Levels come best first; the book does
//! not rely on it, the quote does.
//! Source: developer.oanda.com/rest-live-v20/pricing-df, read 2026-11-22; fixtures `feed_*.json`.

use crate::{ID, symbols};
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{BookMsg, BookMsgKind, InstrumentId, QuoteMsg, RawLevel, VenueNanos};
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

/// Where a price came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The stream, in its order.
    Stream,
    /// An answer that may be older than what the stream has told since.
    Asked,
}

/// Room for a ladder, taken once, and what the stream has told.
#[derive(Debug)]
pub(crate) struct Feed {
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
    /// By instrument: the time of the stream's last price.
    told: Vec<VenueNanos>,
}

impl Feed {
    pub(crate) fn new(instruments: &[InstrumentId]) -> Self {
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        Self {
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
            told: vec![VenueNanos(0); size.unwrap_or(0)],
        }
    }

    /// A stream begins: its prices are not compared with those of the one before.
    pub(crate) fn restart(&mut self) {
        self.told.fill(VenueNanos(0));
    }

    /// One line of the stream. Errors: [`DecodeError`]; nothing was said of it.
    pub(crate) fn on_line(
        &mut self,
        registry: &Registry,
        line: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        match line.str("type").map_err(at("type"))? {
            "PRICE" => self.on_price(registry, line, Source::Stream, out),
            "HEARTBEAT" => {
                out.event(&Event::Control(Control::Heartbeat));
                Ok(())
            }
            _ => {
                out.event(&Event::Ignored("a message of a kind we do not know"));
                Ok(())
            }
        }
    }

    /// One price. Errors: as [`Feed::on_line`].
    pub(crate) fn on_price(
        &mut self,
        registry: &Registry,
        price: Value<'_>,
        source: Source,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let symbol = price.str("instrument").map_err(at("instrument"))?;
        let id = registry.find(ID, symbol.as_bytes());
        let id = id.ok_or(DecodeError::UnknownSymbol)?;
        let venue_ns = symbols::time(price.str("time").map_err(at("time"))?)?;
        let Self { bids, asks, told } = self;
        read_side(price, "bids", bids)?;
        read_side(price, "asks", asks)?;
        if !is_tradeable(price) {
            bids.clear();
            asks.clear();
        }
        if let Some(told) = told.get_mut(id.0 as usize) {
            match source {
                Source::Stream => *told = venue_ns,
                Source::Asked if venue_ns < *told => {
                    out.event(&Event::Ignored("an older best quote"));
                    return Ok(());
                }
                Source::Asked => {}
            }
        }
        out.event(&Event::Quote(QuoteMsg {
            instrument: id,
            update_id: -1,
            bid: bids.first().copied().unwrap_or_default(),
            ask: asks.first().copied().unwrap_or_default(),
            venue_ns,
        }));
        out.event(&Event::Book(BookMsg {
            instrument: id,
            kind: BookMsgKind::Snapshot,
            first_id: -1,
            last_id: -1,
            prev_id: -1,
            checksum: None,
            bids,
            asks,
            venue_ns,
        }));
        Ok(())
    }
}

fn is_tradeable(price: Value<'_>) -> bool {
    match price.get("tradeable").and_then(Value::as_bool) {
        Some(is_tradeable) => is_tradeable,
        None => price
            .get("status")
            .and_then(Value::as_str)
            .is_none_or(|status| status == "tradeable"),
    }
}

fn read_side(
    price: Value<'_>,
    side: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    for level in price.array(side).map_err(at(side))? {
        if levels.len() == MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(RawLevel {
            price: level.decimal("price").map_err(at("price"))?,
            qty: level.decimal("liquidity").map_err(at("liquidity"))?,
        });
    }
    Ok(())
}
