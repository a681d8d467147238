//! The hot messages of the market streams, read in the order in which the venue writes their fields.
//!
//! ```text
//! {"stream":S,"data":M} or M            M, with the fields of futures in brackets:
//!   {"e":"depthUpdate","E"[,"T"],"s"[,"ps"],"U","u"[,"pu"],"b":[...],"a":[...]}
//!   {["e":"bookTicker",]"u"["e":...],"s"[,"ps"],"b","B","a","A"[,"T","E"]}
//!   {"e":"trade","E"[,"T"],"s","t","p","q"[,"b","a"][,"T"][,"X"],"m"[,"M"]}
//!   {"e":"aggTrade","E"[,"a"],"s"[,"a"],"p","q","f","l","T","m"[,"M"]}
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: nothing is told to
//! the sink before the last byte was read, so a message given up has left no trace. What is accepted makes the
//! event that `feed` would make of it: `tests/scan` holds the two against each other. Partial books are not
//! hot.
//! Source: venue page, sections 3 and 9, read 2026-11-20; recordings.

use super::{id, instrument, millis};
use crate::feed::Levels;
use crate::product::Market;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, InstrumentId, QuoteMsg, RawLevel, Side, TradeId, TradeMsg, VenueNanos,
};
use dp_venue_api::{Event, Sink};
use dp_wire::scan::Cursor;

/// Reads one message and tells its event. `false` when it is not of a shape above: nothing was told then.
///
/// Cost: no allocation; about 250 ns for 20 levels.
#[inline]
pub(super) fn text(
    market: Market<'_>,
    text: &[u8],
    levels: &mut Levels,
    out: &mut impl Sink,
) -> bool {
    let mut at = Cursor::new(text);
    let message = if at.eat(br#"{"stream":""#) {
        read_wrapped(market, at, levels)
    } else {
        read(market, &mut at, b"", levels).filter(|_| at.is_done())
    };
    let Some(message) = message else {
        return false;
    };
    out.event(&match message {
        Message::Depth(depth) => Event::Book(BookMsg {
            instrument: depth.instrument,
            kind: BookMsgKind::Delta,
            first_id: depth.first_id,
            last_id: depth.last_id,
            prev_id: depth.prev_id,
            checksum: None,
            bids: &levels.bids,
            asks: &levels.asks,
            venue_ns: depth.venue_ns,
        }),
        Message::Quote(quote) => Event::Quote(quote),
        Message::Trade(trade) => Event::Trade(trade),
    });
    true
}

/// What was read; the levels of a depth message are where they were put.
enum Message {
    Depth(Depth),
    Quote(QuoteMsg),
    Trade(TradeMsg),
}

struct Depth {
    instrument: InstrumentId,
    first_id: i64,
    last_id: i64,
    prev_id: i64,
    venue_ns: VenueNanos,
}

fn read_wrapped(market: Market<'_>, mut at: Cursor<'_>, levels: &mut Levels) -> Option<Message> {
    let stream = at.text()?;
    at.need(br#","data":"#)?;
    let message = read(market, &mut at, stream, levels)?;
    at.need(b"}")?;
    at.is_done().then_some(message)
}

#[inline]
fn read(
    market: Market<'_>,
    at: &mut Cursor<'_>,
    stream: &[u8],
    levels: &mut Levels,
) -> Option<Message> {
    if at.eat(br#"{"u":"#) {
        let update_id = id(at)?;
        let _ = at.eat(br#","e":"bookTicker""#);
        at.need(b",")?;
        return quote(market, at, update_id);
    }
    at.need(br#"{"e":""#)?;
    if at.eat(br#"depthUpdate","#) {
        return depth(market, at, stream, levels);
    }
    if at.eat(br#"trade","#) {
        return trade(market, at);
    }
    if at.eat(br#"aggTrade","#) {
        return aggregate(market, at);
    }
    at.need(br#"bookTicker","u":"#)?;
    let update_id = id(at)?;
    at.need(b",")?;
    quote(market, at, update_id)
}

#[inline]
fn depth(
    market: Market<'_>,
    at: &mut Cursor<'_>,
    stream: &[u8],
    levels: &mut Levels,
) -> Option<Message> {
    if !is_diff(stream) {
        return None;
    }
    let times = times(at)?;
    let instrument = instrument(market, at)?;
    skip_pair(at)?;
    at.need(br#","U":"#)?;
    let first_id = id(at)?;
    at.need(br#","u":"#)?;
    let last_id = id(at)?;
    let prev_id = if at.eat(br#","pu":"#) { at.int()? } else { -1 };
    at.need(br#","b":"#)?;
    side(at, &mut levels.bids)?;
    at.need(br#","a":"#)?;
    side(at, &mut levels.asks)?;
    at.need(b"}")?;
    Some(Message::Depth(Depth {
        instrument,
        first_id,
        last_id,
        prev_id,
        venue_ns: times.engine.unwrap_or(times.event),
    }))
}

/// A stream of changes, or none named: `@depth`, `@depth@100ms`. Partial books are `feed`'s.
#[inline]
fn is_diff(stream: &[u8]) -> bool {
    let Some(at) = stream.iter().position(|&byte| byte == b'@') else {
        return stream.is_empty();
    };
    let rest = stream
        .get(at..)
        .and_then(|rest| rest.strip_prefix(b"@depth"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'@')))
}

#[inline]
fn quote(market: Market<'_>, at: &mut Cursor<'_>, update_id: i64) -> Option<Message> {
    let instrument = instrument(market, at)?;
    skip_pair(at)?;
    at.need(br#","b":""#)?;
    let bid_price = at.decimal()?;
    at.need(br#","B":""#)?;
    let bid_qty = at.decimal()?;
    at.need(br#","a":""#)?;
    let ask_price = at.decimal()?;
    at.need(br#","A":""#)?;
    let ask_qty = at.decimal()?;
    let venue_ns = if at.eat(br#","T":"#) {
        millis(at)?
    } else {
        VenueNanos(0)
    };
    if at.eat(br#","E":"#) {
        at.uint()?;
    }
    at.need(b"}")?;
    let level = |price, qty| RawLevel { price, qty };
    Some(Message::Quote(QuoteMsg {
        instrument,
        update_id,
        bid: level(bid_price, bid_qty),
        ask: level(ask_price, ask_qty),
        venue_ns,
    }))
}

#[inline]
fn trade(market: Market<'_>, at: &mut Cursor<'_>) -> Option<Message> {
    let times = times(at)?;
    let instrument = instrument(market, at)?;
    at.need(br#","t":"#)?;
    let trade_id = at.uint()?;
    let price_qty = price_qty(at)?;
    if at.eat(br#","b":"#) {
        // The orders that met, in recordings older than their removal.
        at.uint()?;
        at.need(br#","a":"#)?;
        at.uint()?;
    }
    let venue_ns = match times.engine {
        Some(engine) => engine,
        None if at.eat(br#","T":"#) => millis(at)?,
        None => return None,
    };
    // Futures say what kind of trade it was; "NA" has quantity 0.
    if at.eat(br#","X":""#) {
        at.text()?;
    }
    end_trade(at, instrument, trade_id, price_qty, venue_ns)
}

#[inline]
fn aggregate(market: Market<'_>, at: &mut Cursor<'_>) -> Option<Message> {
    at.need(br#""E":"#)?;
    at.uint()?;
    // The aggregate's own number stands before the symbol on futures.
    let is_ahead = at.eat(br#","a":"#);
    if is_ahead {
        at.uint()?;
    }
    at.need(b",")?;
    let instrument = instrument(market, at)?;
    if !is_ahead {
        at.need(br#","a":"#)?;
        at.uint()?;
    }
    let price_qty = price_qty(at)?;
    at.need(br#","f":"#)?;
    at.uint()?;
    at.need(br#","l":"#)?;
    let last_id = at.uint()?;
    at.need(br#","T":"#)?;
    let venue_ns = millis(at)?;
    end_trade(at, instrument, last_id, price_qty, venue_ns)
}

/// `,"m":B[,"M":B]}`. A trade of nothing is `feed`'s to pass over.
#[inline]
fn end_trade(
    at: &mut Cursor<'_>,
    instrument: InstrumentId,
    trade_id: u64,
    RawLevel { price, qty }: RawLevel,
    venue_ns: VenueNanos,
) -> Option<Message> {
    at.need(br#","m":"#)?;
    let is_buyer_maker = at.bool()?;
    if at.eat(br#","M":"#) {
        at.bool()?;
    }
    at.need(b"}")?;
    if qty.is_zero() {
        return None;
    }
    Some(Message::Trade(TradeMsg {
        instrument,
        trade_id: TradeId(u128::from(trade_id)),
        taker: if is_buyer_maker {
            Side::Sell
        } else {
            Side::Buy
        },
        price,
        qty,
        venue_ns,
    }))
}

/// Times of a message whose first field is `E`, up to the comma behind them.
struct Times {
    event: VenueNanos,
    engine: Option<VenueNanos>,
}

#[inline]
fn times(at: &mut Cursor<'_>) -> Option<Times> {
    at.need(br#""E":"#)?;
    let event = millis(at)?;
    let engine = if at.eat(br#","T":"#) {
        Some(millis(at)?)
    } else {
        None
    };
    at.need(b",")?;
    Some(Times { event, engine })
}

/// The pair of a coin-margined future.
#[inline]
fn skip_pair(at: &mut Cursor<'_>) -> Option<()> {
    if at.eat(br#","ps":""#) {
        at.text()?;
    }
    Some(())
}

/// `,"p":"...","q":"..."`.
#[inline]
fn price_qty(at: &mut Cursor<'_>) -> Option<RawLevel> {
    at.need(br#","p":""#)?;
    let price = at.decimal()?;
    at.need(br#","q":""#)?;
    let qty = at.decimal()?;
    Some(RawLevel { price, qty })
}

/// `[["price","quantity"],...]`.
#[inline]
fn side(cursor: &mut Cursor<'_>, levels: &mut Vec<RawLevel>) -> Option<()> {
    levels.clear();
    let mut at = *cursor; // held in registers
    if at.eat(b"[]") {
        *cursor = at;
        return Some(());
    }
    at.need(br#"[[""#)?;
    while levels.len() < MSG_LEVELS_MAX {
        at.level(levels)?;
        if !at.eat(br#"],[""#) {
            at.need(b"]]")?;
            *cursor = at;
            return Some(());
        }
    }
    None
}
