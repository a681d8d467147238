//! Public messages → events: books, best quotes, trades.
//!
//! ```text
//! {"ch":"market.SYMBOL.CHANNEL","ts":...,"tick":{...}}
//!     mbp.N                  Book delta: seqNum follows prevSeqNum; its snapshot is asked for on the same socket
//!     mbp.refresh.N          Book, every message whole, by seqNum
//!     depth.stepN            Book, every message whole, by mrid (swaps: their version repeats) or version
//!     depth.size_N.high_freq Book of a swap: snapshot, then deltas of version + 1
//!     bbo                    Quote
//!     trade.detail           Trade, one per item; a swap's quantity counts contracts
//!     anything else          Ignored, with its reason
//! ```
//! A side of a book may be missing, `null` or empty. Prices and quantities are bare numbers, with exponents on
//! cheap pairs: they come here as printed ([`dp_wire::json::Doc::parse_exact`]). Two book channels of one instrument are
//! different books: the first one seen on a link is the book, the other is ignored.
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_*.json`.

use crate::symbols::parse_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, NumError, QuoteMsg, RawLevel, Side, TradeId,
    TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Sink};
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

/// Without the zeros behind the last place that counts: the venue prints up to 18 of them.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') || text.iter().any(u8::is_ascii_alphabetic) {
        return text;
    }
    let end = text.iter().rposition(|&byte| byte != b'0');
    let text = text.get(..=end.unwrap_or(0)).unwrap_or(&[]);
    text.strip_suffix(b".").unwrap_or(text)
}

/// A number that must be exact, in quotes or a bare integer.
///
/// Errors: [`DecodeError::Field`] of another kind, [`DecodeError::Number`].
pub(crate) fn exact(value: Value<'_>, field: &'static str) -> Result<Decimal, DecodeError> {
    match value.as_decimal() {
        Err(JsonError::Decimal(NumError::TooLong)) => {
            let text = value.as_str().unwrap_or("");
            Decimal::parse(trimmed(text.as_bytes()))
                .map_err(|error| DecodeError::Number { field, error })
        }
        read => read.map_err(at(field)),
    }
}

/// Digits that always fit 64 bits.
const DIGITS_MAX: usize = 18;

/// An amount, cut towards zero behind the last digit that 64 bits hold: sums of dust are printed longer.
///
/// Errors: as [`exact`]; what is too long before its point.
pub(crate) fn amount(value: Value<'_>, field: &'static str) -> Result<Decimal, DecodeError> {
    let error = match exact(value, field) {
        Err(DecodeError::Number {
            error: NumError::TooLong,
            ..
        }) => DecodeError::Number {
            field,
            error: NumError::TooLong,
        },
        read => return read,
    };
    let text = value.as_str().unwrap_or("").as_bytes();
    let point = text.iter().position(|&byte| byte == b'.').ok_or(error)?;
    let is_plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    // One more for the point itself.
    let kept = (DIGITS_MAX + 1).max(point);
    let cut = text.get(..kept.min(text.len())).ok_or(error)?;
    if !text.iter().all(is_plain) {
        return Err(error);
    }
    Decimal::parse(trimmed(cut)).map_err(|error| DecodeError::Number { field, error })
}

/// Milliseconds of the venue, a number or its digits; 0 when absent.
pub(crate) fn millis(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    let ms = id(value, key)?;
    let ms = u64::try_from(ms).map_err(|_| DecodeError::Field(key))?;
    Ok(VenueNanos::from_millis(ms))
}

/// An id, a number or its digits; 0 when absent, `null` or empty.
pub(crate) fn id(value: Value<'_>, key: &'static str) -> Result<u128, DecodeError> {
    let Some(field) = value.get(key).filter(|field| !field.is_null()) else {
        return Ok(0);
    };
    let read = match field.as_u64() {
        Some(number) => Some(u128::from(number)),
        None => field.as_str().and_then(|text| parse_id(text.as_bytes())),
    };
    read.ok_or(DecodeError::Field(key))
}

/// The counter of a book; -1 when absent.
fn counter(value: Value<'_>, key: &'static str) -> Result<i64, DecodeError> {
    match value.get(key) {
        None => Ok(-1),
        Some(field) => field
            .as_i64()
            .filter(|number| *number >= 0)
            .ok_or(DecodeError::Field(key)),
    }
}

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
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

/// `[price, quantity]`.
fn level(value: Value<'_>) -> Result<RawLevel, DecodeError> {
    let mut items = value.as_array().ok_or(DecodeError::Field("level"))?;
    let price = items.next().ok_or(DecodeError::Field("price"))?;
    let qty = items.next().ok_or(DecodeError::Field("quantity"))?;
    Ok(RawLevel {
        price: exact(price, "price")?,
        qty: amount(qty, "quantity")?,
    })
}

fn read_levels(
    tick: Value<'_>,
    key: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    let Some(side) = tick.get(key).filter(|side| !side.is_null()) else {
        return Ok(());
    };
    for item in side.as_array().ok_or(DecodeError::Field(key))? {
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level(item)?);
    }
    Ok(())
}

/// Both sides of a book, under ids that its channel gave. Cost: one pass, no allocation.
fn book<'a>(
    instrument: InstrumentId,
    kind: BookMsgKind,
    (last_id, prev_id): (i64, i64),
    tick: Value<'_>,
    venue_ns: VenueNanos,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    read_levels(tick, "bids", &mut levels.bids)?;
    read_levels(tick, "asks", &mut levels.asks)?;
    Ok(BookMsg {
        instrument,
        kind,
        first_id: last_id,
        last_id,
        prev_id,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns,
    })
}

/// The snapshot that a `req` on the feed socket was answered with.
pub(crate) fn snapshot<'a>(
    instrument: InstrumentId,
    root: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    let data = root.get("data").ok_or(DecodeError::Field("data"))?;
    let ids = (counted(data, "seqNum")?, -1);
    let venue_ns = millis(root, "ts")?;
    book(
        instrument,
        BookMsgKind::Snapshot,
        ids,
        data,
        venue_ns,
        levels,
    )
}

/// A counter that must be there.
fn counted(value: Value<'_>, key: &'static str) -> Result<i64, DecodeError> {
    match counter(value, key)? {
        -1 => Err(DecodeError::Field(key)),
        number => Ok(number),
    }
}

/// What a market data topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Increments of a spot book.
    Mbp,
    /// Whole spot books of a few levels.
    Refresh,
    /// Whole books.
    Depth,
    /// Increments of a swap's book.
    HighFreq,
    /// Best bid and offer.
    Quote,
    /// Public trades.
    Trades,
    /// Of no use to us, and why.
    Unused(&'static str),
}

impl Channel {
    /// By the name behind the symbol.
    pub fn of(name: &str) -> Self {
        match name {
            "bbo" => return Self::Quote,
            "trade.detail" => return Self::Trades,
            "ticker" | "detail" | "detail.merged" => return Self::Unused("ticker"),
            _ => {}
        }
        let starts = |prefix| name.starts_with(prefix);
        if starts("mbp.refresh.") {
            Self::Refresh
        } else if starts("mbp.") {
            Self::Mbp
        } else if starts("depth.size_") {
            Self::HighFreq
        } else if starts("depth.") {
            Self::Depth
        } else if starts("kline.") {
            Self::Unused("candle")
        } else {
            Self::Unused("a channel we do not use")
        }
    }
}

/// One message of a book channel.
pub(crate) fn on_book(
    instrument: InstrumentId,
    channel: Channel,
    root: Value<'_>,
    tick: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    use BookMsgKind::{Delta, Snapshot};
    let (kind, ids) = match channel {
        Channel::Mbp => (
            Delta,
            (counted(tick, "seqNum")?, counted(tick, "prevSeqNum")?),
        ),
        Channel::Refresh => (Snapshot, (counted(tick, "seqNum")?, -1)),
        Channel::HighFreq => {
            let kind = match tick.str("event").map_err(at("event"))? {
                "snapshot" => Snapshot,
                "update" => Delta,
                _ => return Err(DecodeError::Field("event")),
            };
            (kind, (counted(tick, "version")?, -1))
        }
        _ => {
            let order = match counter(tick, "mrid")? {
                -1 => counted(tick, "version")?,
                mrid => mrid,
            };
            (Snapshot, (order, -1))
        }
    };
    let venue_ns = match millis(tick, "ts")? {
        VenueNanos(0) => millis(root, "ts")?,
        own => own,
    };
    let message = book(instrument, kind, ids, tick, venue_ns, levels)?;
    out.event(&Event::Book(message));
    Ok(())
}

/// A best quote, and the counter of its own channel (-1 for none). An empty side has quantity 0.
pub(crate) fn quote(
    instrument: InstrumentId,
    tick: Value<'_>,
) -> Result<(QuoteMsg, i64), DecodeError> {
    // Spot prints four fields, swaps two levels; a side that is empty is missing or null.
    let side = |key: &'static str, size: &'static str| {
        let Some(best) = tick.get(key).filter(|best| !best.is_null()) else {
            return Ok(RawLevel::default());
        };
        if best.as_array().is_some() {
            return level(best);
        }
        Ok(RawLevel {
            price: exact(best, key)?,
            qty: match tick.get(size) {
                Some(qty) => amount(qty, size)?,
                None => Decimal::ZERO,
            },
        })
    };
    let venue_ns = match millis(tick, "quoteTime")? {
        VenueNanos(0) => millis(tick, "ts")?,
        own => own,
    };
    let order = match counter(tick, "seqId")? {
        -1 => counter(tick, "mrid")?,
        order => order,
    };
    let quote = QuoteMsg {
        instrument,
        update_id: -1, // a number space of its own, not the book's
        bid: side("bid", "bidSize")?,
        ask: side("ask", "askSize")?,
        venue_ns,
    };
    Ok((quote, order))
}

/// `buy` or `sell`.
pub(crate) fn side_of(word: &str) -> Option<Side> {
    match word {
        "buy" => Some(Side::Buy),
        "sell" => Some(Side::Sell),
        _ => None,
    }
}

/// Every public trade of a message.
pub(crate) fn on_trades(
    instrument: InstrumentId,
    tick: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in tick.array("data").map_err(at("data"))? {
        // The id proper has 27 digits; spot counts its trades in a shorter one beside it.
        let trade_id = match id(item, "tradeId")? {
            0 => id(item, "id")?,
            own => own,
        };
        out.event(&Event::Trade(TradeMsg {
            instrument,
            trade_id: TradeId(trade_id),
            taker: side_of(text(item, "direction")).ok_or(DecodeError::Field("direction"))?,
            price: exact(item.field("price").map_err(at("price"))?, "price")?,
            qty: amount(item.field("amount").map_err(at("amount"))?, "amount")?,
            venue_ns: millis(item, "ts")?,
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_wire::json::Doc;

    fn read(text: &str) -> (Result<Decimal, DecodeError>, Result<Decimal, DecodeError>) {
        let mut doc = Doc::exact(64, 256);
        let tree = doc.parse_exact(format!("[{text}]").as_bytes()).unwrap();
        let value = tree.root().at(0).unwrap();
        (exact(value, "x"), amount(value, "x"))
    }

    #[test]
    fn numbers_as_the_venue_prints_them() {
        for (text, want) in [
            ("9.121E-7", "0.0000009121"),
            ("2.516448728473207E7", "25164487.28473207"),
            ("188358.0", "188358.0"),
            ("650", "650"),
            ("\"65000.100000000000000000\"", "65000.1"),
            ("\"100000.000000000000000000\"", "100000"),
            ("100.000000000000000000", "100"),
            ("0.0", "0.0"),
        ] {
            let (exact, amount) = read(text);
            assert_eq!(exact.unwrap().to_string(), want, "{text}");
            assert_eq!(amount.unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn only_amounts_are_cut_and_only_behind_the_point() {
        for (text, want) in [
            (
                "\"0.9999999999999999999999999999999999996\"",
                "0.99999999999999999",
            ),
            ("\"1234567.123456789012345678\"", "1234567.12345678901"),
        ] {
            let (exact, amount) = read(text);
            assert!(exact.is_err(), "{text}");
            assert_eq!(amount.unwrap().to_string(), want);
        }
        for text in [
            "\"12345678901234567890123\"",
            "\"\"",
            "\"x\"",
            "null",
            "1e99",
            "\"-\"",
        ] {
            let (exact, amount) = read(text);
            assert!(exact.is_err() && amount.is_err(), "{text}");
        }
    }

    #[test]
    fn zeros_that_do_not_count() {
        for (text, want) in [
            ("0.000", "0"),
            ("1.50", "1.5"),
            ("100", "100"),
            ("1.0E-10", "1.0E-10"),
            ("", ""),
            (".", ""),
        ] {
            assert_eq!(trimmed(text.as_bytes()), want.as_bytes(), "{text}");
        }
    }
}
