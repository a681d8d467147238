//! The generations before V5 (2021, 2022), for replay and `venue decode`: the live venue sends none of it.
//!
//! ```text
//! {"topic":"orderBookL2_25.S","type":"snapshot","data":[{"price","side","size"},..]}      inverse
//!                                        "data":{"order_book":[..]}                       linear
//! {"topic":"orderBookL2_25.S","type":"delta","data":{"delete":[..],"update":[..],"insert":[..]}}
//! {"topic":"trade.S","data":[{"symbol","side","size","price","trade_time_ms","trade_id"},..]}
//! {"ret_code":0,"result":[{"symbol","price","size","side"},..]}                           REST books
//! ```
//! Prices and sizes are bare numbers here and there, whose digits a JSON parser does not keep: the text is copied
//! with its numbers quoted before it is parsed. `cross_seq` counts over all topics and chains nothing, so these
//! books have no ids. Source: recordings of 2021 and 2022.

use crate::feed::{Levels, at, count, ignored, instrument, side, text, trade_id};
use dp_types::{BookMsg, BookMsgKind, Decimal, InstrumentId, RawLevel, Side, TradeMsg, VenueNanos};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::Value;

/// First words of the retired topics.
const TOPICS: [&str; 6] = [
    "orderBookL2_25",
    "orderBook_200",
    "trade",
    "klineV2",
    "candle",
    "instrument_info",
];

/// Whether a text is of a retired generation: looks at the topic where it stands first, as it always does, and
/// no further.
pub(crate) fn is_retired(bytes: &[u8]) -> bool {
    let Some(rest) = after(bytes, b"{") else {
        return false;
    };
    if after(rest, b"\"ret_code\"").is_some() {
        return true;
    }
    let topic = after(rest, b"\"topic\"")
        .and_then(|rest| after(rest, b":"))
        .and_then(|rest| after(rest, b"\""));
    topic.is_some_and(|topic| {
        let is_of = |name: &&str| {
            topic
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"."))
        };
        TOPICS.iter().any(is_of)
    })
}

/// What follows `token`, with the white space before it.
fn after<'a>(bytes: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    bytes.trim_ascii_start().strip_prefix(token)
}

/// Copies a JSON text with its numbers as strings, digits as they are. Text that is no JSON stays none.
pub(crate) fn quote_numbers(from: &[u8], to: &mut Vec<u8>) {
    to.clear();
    let (mut in_string, mut is_escaped, mut in_number) = (false, false, false);
    for &byte in from {
        let is_number =
            !in_string && matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E');
        // Letters of `true`, `false` and `null` are none of a number that has not begun.
        let is_number = is_number && (in_number || matches!(byte, b'-' | b'0'..=b'9'));
        if is_number != in_number {
            to.push(b'"');
            in_number = is_number;
        }
        to.push(byte);
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    if in_number {
        to.push(b'"');
    }
}

/// `timestamp_e6`: microseconds.
fn micros(root: Value<'_>) -> Result<VenueNanos, DecodeError> {
    let micros = count(root, "timestamp_e6")?;
    Ok(VenueNanos(micros.saturating_mul(1_000)))
}

/// One entry of a book: which side, and the level. What is deleted has no size.
fn entry(item: Value<'_>, is_deleted: bool) -> Result<(Side, RawLevel), DecodeError> {
    let qty = if is_deleted {
        Decimal::ZERO
    } else {
        item.decimal("size").map_err(at("size"))?
    };
    let price = item.decimal("price").map_err(at("price"))?;
    Ok((side(item, "side")?, RawLevel { price, qty }))
}

fn read<'a>(
    items: impl Iterator<Item = Value<'a>>,
    is_deleted: bool,
    levels: &mut Levels,
) -> Result<(), DecodeError> {
    for item in items {
        let (side, level) = entry(item, is_deleted)?;
        levels.push(side, level)?;
    }
    Ok(())
}

fn tell(
    instrument: InstrumentId,
    kind: BookMsgKind,
    venue_ns: VenueNanos,
    levels: &Levels,
    out: &mut impl Sink,
) {
    out.event(&Event::Book(BookMsg {
        instrument,
        kind,
        first_id: -1,
        last_id: -1,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns,
    }));
}

/// A book push.
fn on_book(
    registry: &Registry,
    symbol: &str,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let id = crate::symbols::find(registry, None, symbol).ok_or(DecodeError::UnknownSymbol)?;
    let data = root.field("data").map_err(at("data"))?;
    levels.clear();
    let kind = match root.str("type").map_err(at("type"))? {
        "snapshot" => {
            let list = data.get("order_book").unwrap_or(data);
            let items = list.as_array().ok_or(DecodeError::Field("order_book"))?;
            read(items, false, levels)?;
            BookMsgKind::Snapshot
        }
        "delta" => {
            for key in ["delete", "update", "insert"] {
                if let Some(list) = data.get(key) {
                    let items = list.as_array().ok_or(DecodeError::Field(key))?;
                    read(items, key == "delete", levels)?;
                }
            }
            BookMsgKind::Delta
        }
        _ => return Err(DecodeError::Field("type")),
    };
    tell(id, kind, micros(root)?, levels, out);
    Ok(())
}

fn on_trades(registry: &Registry, root: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    for item in root.array("data").map_err(at("data"))? {
        out.event(&Event::Trade(TradeMsg {
            instrument: instrument(registry, None, item, "symbol")?,
            trade_id: trade_id(item, "trade_id")?,
            taker: side(item, "side")?,
            price: item.decimal("price").map_err(at("price"))?,
            qty: item.decimal("size").map_err(at("size"))?,
            venue_ns: VenueNanos::from_millis(count(item, "trade_time_ms")?),
        }));
    }
    Ok(())
}

/// A REST answer without its URL: a book, or something we have no use for.
fn on_answer(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let items = root.get("result").and_then(Value::as_array);
    let is_book = |item: &Value<'_>| item.get("price").is_some() && item.get("side").is_some();
    let Some(first) = items
        .clone()
        .and_then(|mut items| items.next())
        .filter(is_book)
    else {
        out.event(&Event::Ignored("a REST answer of a retired generation"));
        return Ok(());
    };
    let id = instrument(registry, None, first, "symbol")?;
    levels.clear();
    for item in items.into_iter().flatten() {
        if item.get("symbol").and_then(Value::as_str) != Some(text(first, "symbol")) {
            return Err(DecodeError::Field("symbol"));
        }
        let (side, level) = entry(item, false)?;
        levels.push(side, level)?;
    }
    // Seconds with microseconds behind the point.
    let time = match crate::feed::optional(root, "time_now")? {
        Some(now) => now.to_increments(6).unwrap_or(0),
        None => 0,
    };
    let venue_ns = VenueNanos(time.unsigned_abs().saturating_mul(1_000));
    tell(id, BookMsgKind::Snapshot, venue_ns, levels, out);
    Ok(())
}

/// A message of a retired generation, its numbers quoted.
pub(crate) fn on_message(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(topic) = root.get("topic").and_then(Value::as_str) else {
        return on_answer(registry, root, levels, out);
    };
    let (word, rest) = topic.split_once('.').unwrap_or((topic, ""));
    match word {
        "orderBookL2_25" => on_book(registry, rest, root, levels, out),
        "orderBook_200" => {
            // `orderBook_200.100ms.SYMBOL`
            let symbol = rest.split_once('.').map_or(rest, |(_, symbol)| symbol);
            on_book(registry, symbol, root, levels, out)
        }
        "trade" => on_trades(registry, root, out),
        word => {
            out.event(&Event::Ignored(ignored(word)));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote_numbers(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_become_strings_and_nothing_else_changes() {
        for (text, want) in [
            ("[1,-2.50,3e-7]", r#"["1","-2.50","3e-7"]"#),
            ("57", r#""57""#),
            (
                r#"{"a1":"x2\"3","t":true,"f":false,"n":null,"p":8.3550005}"#,
                r#"{"a1":"x2\"3","t":true,"f":false,"n":null,"p":"8.3550005"}"#,
            ),
            (r#"["\\",5]"#, r#"["\\","5"]"#),
        ] {
            assert_eq!(quoted(text), want);
        }
    }

    #[test]
    fn the_retired_are_told_by_their_topic() {
        for text in [
            r#"{"topic":"trade.BTCUSD","data":[]}"#,
            r#" { "topic" : "orderBookL2_25.BTCUSD" }"#,
            r#"{"topic":"instrument_info.100ms.BTCUSD"}"#,
            r#"{"ret_code":0}"#,
        ] {
            assert!(is_retired(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "{",
            r#"{"topic":"#,
            r#"{"topic":"tradeX.BTCUSD"}"#,
            r#"{"topic":"tickers.BTCUSD"}"#,
            r#"{"topic":"orderbook.50.BTCUSDT"}"#,
            r#"{"retCode":0}"#,
        ] {
            assert!(!is_retired(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        /// But for quotes the copy is what came, and no longer than three times that.
        #[test]
        fn nothing_is_lost(text in r#"[\[\]{},:"\\0-9eE.+ truefalsn-]{0,60}"#) {
            let copy = quoted(&text);
            prop_assert_eq!(copy.replace('"', ""), text.replace('"', ""));
            prop_assert!(copy.len() <= 3 * text.len());
        }
    }
}
