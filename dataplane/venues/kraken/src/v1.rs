//! WebSocket v1, retired: array frames, read for recordings only.
//!
//! ```text
//! [id,{"as":[..],"bs":[..]},"book-N","XBT/USD"]               Book, snapshot
//! [id,{"a":[..]},{"b":[..],"c":"crc"},"book-N","XBT/USD"]     Book, delta, in one object or two
//! [id,[["price","qty","seconds","b"|"s",..],..],"trade",S]    Trade (v1 has no ids of trades: 0)
//! [id,["bid","ask","seconds","bid qty","ask qty"],"spread",S] Quote
//! [[{"O..":{..}},..],"openOrders",{"sequence":n}]             Order        ownTrades: Fill
//! {"event":"systemStatus" | "subscriptionStatus" | "heartbeat" | "pong", ..}
//! ```
//! Symbols stay as v1 writes them (`XBT/USD`). A level may carry a fourth item, `"r"`: sent again because it came
//! back into the depth.
//! Source: recordings of 2021 and 2023 under `shared/captures/kraken`.

use crate::account;
use crate::feed::{Levels, at, bad_number, push_level, side_of};
use crate::orders::Orders;
use crate::{ID, time};
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, Now, QuoteMsg, RawLevel, TradeId, TradeMsg,
    VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Registry, Sink};
use dp_wire::json::Value;

/// One array frame.
pub(crate) fn on_frame(
    registry: &Registry,
    root: Value<'_>,
    levels: &mut Levels,
    orders: &mut Orders,
    now: Now,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const SHAPE: DecodeError = DecodeError::Shape("an array that is no v1 frame");
    let name = root.len().checked_sub(2).and_then(|index| root.at(index));
    let name = name.and_then(Value::as_str).ok_or(SHAPE)?;
    if let "openOrders" | "ownTrades" = name {
        let items = root.at(0).and_then(Value::as_array).ok_or(SHAPE)?;
        return on_private(registry, name, items, orders, now, out);
    }
    let symbol = root.at(root.len() - 1).and_then(Value::as_str);
    let symbol = symbol.ok_or(SHAPE)?;
    let find = || {
        registry
            .find(ID, symbol.as_bytes())
            .ok_or(DecodeError::UnknownSymbol)
    };
    let data = root.at(1).ok_or(SHAPE)?;
    match name {
        "trade" => on_trades(find()?, data, out),
        "spread" => on_spread(find()?, data, out),
        "ticker" => {
            out.event(&Event::Ignored("ticker"));
            Ok(())
        }
        name if name.starts_with("book-") => {
            let book = book(find()?, root, levels)?;
            out.event(&Event::Book(book));
            Ok(())
        }
        name if name.starts_with("ohlc-") => {
            out.event(&Event::Ignored("candle"));
            Ok(())
        }
        _ => {
            out.event(&Event::Ignored("a channel we do not use"));
            Ok(())
        }
    }
}

/// One message about the link.
pub(crate) fn on_event(event: &str, out: &mut impl Sink) {
    out.event(&match event {
        "heartbeat" | "pong" => Event::Control(Control::Heartbeat),
        "systemStatus" => Event::Ignored("system status"),
        "subscriptionStatus" => Event::Ignored("subscription confirmed"),
        _ => Event::Ignored("an event we do not know"),
    });
}

/// The object or objects of a book frame as one message.
fn book<'a>(
    instrument: InstrumentId,
    root: Value<'_>,
    levels: &'a mut Levels,
) -> Result<BookMsg<'a>, DecodeError> {
    levels.bids.clear();
    levels.asks.clear();
    let mut kind = BookMsgKind::Delta;
    let (mut checksum, mut venue_ns) = (None, VenueNanos(0));
    let parts = root.len().saturating_sub(3);
    for part in root.as_array().into_iter().flatten().skip(1).take(parts) {
        for (key, value) in part.as_object().ok_or(DecodeError::Field("book"))? {
            let side = match key {
                "as" | "a" => &mut levels.asks,
                "bs" | "b" => &mut levels.bids,
                "c" => {
                    let text = value.as_str().and_then(|text| text.parse().ok());
                    checksum = Some(text.ok_or(DecodeError::Field("c"))?);
                    continue;
                }
                _ => continue,
            };
            if let "as" | "bs" = key {
                kind = BookMsgKind::Snapshot;
            }
            for item in value.as_array().ok_or(DecodeError::Field("levels"))? {
                let [price, qty, seconds] = numbers(item, ["price", "qty", "timestamp"])?;
                push_level(side, RawLevel { price, qty })?;
                venue_ns = venue_ns.max(nanos(seconds)?);
            }
        }
    }
    Ok(BookMsg {
        instrument,
        kind,
        first_id: -1,
        last_id: -1,
        prev_id: -1,
        checksum,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns,
    })
}

/// The first items of an array, which are numbers.
fn numbers<const N: usize>(
    item: Value<'_>,
    names: [&'static str; N],
) -> Result<[Decimal; N], DecodeError> {
    let mut items = item.as_array().ok_or(DecodeError::Field("item"))?;
    let mut made = [Decimal::ZERO; N];
    for (slot, name) in made.iter_mut().zip(names) {
        let value = items.next().ok_or(DecodeError::Field(name))?;
        *slot = value.as_decimal().map_err(at(name))?;
    }
    Ok(made)
}

fn nanos(seconds: Decimal) -> Result<VenueNanos, DecodeError> {
    time::of_seconds(seconds).ok_or(bad_number("timestamp"))
}

fn on_trades(
    instrument: InstrumentId,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in data.as_array().ok_or(DecodeError::Field("trade"))? {
        let [price, qty, seconds] = numbers(item, ["price", "qty", "timestamp"])?;
        let taker = item.at(3).and_then(Value::as_str).and_then(side_of);
        out.event(&Event::Trade(TradeMsg {
            instrument,
            trade_id: TradeId(0),
            taker: taker.ok_or(DecodeError::Field("side"))?,
            price,
            qty,
            venue_ns: nanos(seconds)?,
        }));
    }
    Ok(())
}

fn on_spread(
    instrument: InstrumentId,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let names = ["bid", "ask", "timestamp", "bid qty", "ask qty"];
    let [bid, ask, seconds, bid_qty, ask_qty] = numbers(data, names)?;
    let level = |price, qty| RawLevel { price, qty };
    out.event(&Event::Quote(QuoteMsg {
        instrument,
        update_id: -1,
        bid: level(bid, bid_qty),
        ask: level(ask, ask_qty),
        venue_ns: nanos(seconds)?,
    }));
    Ok(())
}

/// Orders or trades of ours, each an object of its own under its id.
fn on_private<'a>(
    registry: &Registry,
    name: &str,
    items: impl Iterator<Item = Value<'a>>,
    orders: &mut Orders,
    now: Now,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in items {
        for (id, value) in item.as_object().ok_or(DecodeError::Field("item"))? {
            let told = if name == "openOrders" {
                account::on_listed_order(registry, orders, (id, value), now, out).map(|_| ())
            } else {
                account::on_listed_fill(registry, orders, (id, value), None, out).map(|_| ())
            };
            result = result.and(told);
        }
    }
    result
}
