//! The hot pushes of the public link, read in the order in which the venue writes their fields.
//!
//! ```text
//! {"arg":{"channel":C,"instId":S},["action":A,]"data":[D]}
//!   C = books, books50-l2-tbt, books-l2-tbt   {"asks":[...],"bids":[...],"ts"[,"checksum"][,"prevSeqId","seqId"]}
//!   C = bbo-tbt                               {"asks":[...],"bids":[...],"ts"[,"seqId"]}
//!   C = trades, trades-all                    {"instId","tradeId","px","sz","side","ts"[,"count"][,"source"][,"seqId"]}
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up
//! has left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan`
//! holds the two against each other. Pushes of several items and `books5` are not hot.
//! Source: venue page, section 3, read 2026-11-20; fixtures `feed_*.json`; recordings.

use crate::ID;
use crate::feed::{BookChannel, Levels};
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsgKind, InstrumentId, QuoteMsg, RawLevel, Side, TradeId, TradeMsg, VenueNanos,
};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;

/// What was read; the levels of a book push are where they were put.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Push {
    Book(BookPush),
    Quote(QuoteMsg),
    Trade(TradeMsg),
}

/// A book push without its levels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BookPush {
    pub(crate) instrument: InstrumentId,
    pub(crate) channel: BookChannel,
    pub(crate) kind: BookMsgKind,
    pub(crate) seq_id: i64,
    pub(crate) prev_id: i64,
    pub(crate) checksum: Option<u32>,
    pub(crate) venue_ns: VenueNanos,
}

/// Reads one push from behind the first quote of its channel's name. `None` when it is not of a shape above.
///
/// Cost: no allocation; about 350 ns for 20 levels.
#[inline]
pub(super) fn push(registry: &Registry, mut at: Cursor<'_>, levels: &mut Levels) -> Option<Push> {
    let push = if at.eat(br#"books","#) {
        book(registry, &mut at, BookChannel::Books, levels)
    } else if at.eat(br#"bbo-tbt","#) {
        quote(registry, &mut at, levels)
    } else if at.eat(br#"trades","#) || at.eat(br#"trades-all","#) {
        trade(registry, &mut at)
    } else if at.eat(br#"books50-l2-tbt","#) {
        book(registry, &mut at, BookChannel::Books50, levels)
    } else {
        at.need(br#"books-l2-tbt","#)?;
        book(registry, &mut at, BookChannel::BooksTbt, levels)
    }?;
    at.need(b"}]}")?;
    at.is_done().then_some(push)
}

/// `"instId":"..."},`: the symbol.
#[inline]
fn symbol<'a>(at: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let symbol = at.text_after(br#""instId":""#)?;
    at.need(b"},")?;
    Some(symbol)
}

#[inline]
fn book(
    registry: &Registry,
    at: &mut Cursor<'_>,
    channel: BookChannel,
    levels: &mut Levels,
) -> Option<Push> {
    let instrument = registry.find(ID, symbol(at)?)?;
    at.need(br#""action":""#)?;
    let kind = if at.eat(br#"update""#) {
        BookMsgKind::Delta
    } else {
        at.need(br#"snapshot""#)?;
        BookMsgKind::Snapshot
    };
    at.need(br#","data":[{"#)?;
    let venue_ns = sides(at, levels)?;
    let checksum = if at.eat(br#","checksum":"#) {
        let signed = i32::try_from(at.int()?).ok()?;
        (signed != 0).then_some(signed.cast_unsigned())
    } else {
        None
    };
    // Both orders were seen; recordings from before the ids have neither.
    let (seq_id, prev_id) = if at.eat(br#","prevSeqId":"#) {
        let prev_id = at.int()?;
        at.need(br#","seqId":"#)?;
        (at.int()?, prev_id)
    } else if at.eat(br#","seqId":"#) {
        let seq_id = at.int()?;
        at.need(br#","prevSeqId":"#)?;
        (seq_id, at.int()?)
    } else {
        (-1, -1)
    };
    Some(Push::Book(BookPush {
        instrument,
        channel,
        kind,
        seq_id,
        prev_id,
        checksum,
        venue_ns,
    }))
}

#[inline]
fn quote(registry: &Registry, at: &mut Cursor<'_>, levels: &mut Levels) -> Option<Push> {
    let instrument = registry.find(ID, symbol(at)?)?;
    at.need(br#""data":[{"#)?;
    let venue_ns = sides(at, levels)?;
    let update_id = if at.eat(br#","seqId":"#) {
        at.int()?
    } else {
        -1
    };
    let best = |levels: &[RawLevel]| match levels {
        [] => Some(RawLevel::default()),
        [level] => Some(*level),
        _ => None,
    };
    Some(Push::Quote(QuoteMsg {
        instrument,
        update_id,
        bid: best(&levels.bids)?,
        ask: best(&levels.asks)?,
        venue_ns,
    }))
}

#[inline]
fn trade(registry: &Registry, at: &mut Cursor<'_>) -> Option<Push> {
    let of = symbol(at)?;
    let symbol = at.text_after(br#""data":[{"instId":""#)?;
    if symbol != of {
        return None;
    }
    let instrument = registry.find(ID, symbol)?;
    at.need(br#","tradeId":""#)?;
    let trade_id = at.uint()?;
    at.need(br#"","px":""#)?;
    let price = at.decimal()?;
    at.need(br#","sz":""#)?;
    let qty = at.decimal()?;
    at.need(br#","side":""#)?;
    let taker = if at.eat(br#"buy""#) {
        Side::Buy
    } else {
        at.need(br#"sell""#)?;
        Side::Sell
    };
    let venue_ns = millis(at)?;
    if at.eat(br#","count":""#) {
        at.text()?;
    }
    if at.eat(br#","source":""#) {
        at.text()?;
    }
    if at.eat(br#","seqId":"#) {
        at.int()?;
    }
    Some(Push::Trade(TradeMsg {
        instrument,
        trade_id: TradeId(u128::from(trade_id)),
        taker,
        price,
        qty,
        venue_ns,
    }))
}

/// `,"ts":"..."`.
#[inline]
fn millis(at: &mut Cursor<'_>) -> Option<VenueNanos> {
    at.need(br#","ts":""#)?;
    let ms = at.uint()?;
    at.need(b"\"")?;
    Some(VenueNanos::from_millis(ms))
}

/// `"asks":[...],"bids":[...],"ts":"..."`.
#[inline]
fn sides(at: &mut Cursor<'_>, levels: &mut Levels) -> Option<VenueNanos> {
    at.need(br#""asks":"#)?;
    side(at, &mut levels.asks)?;
    at.need(br#","bids":"#)?;
    side(at, &mut levels.bids)?;
    millis(at)
}

/// `[["price","size","0","orders"],...]`.
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
        at.need(br#","0",""#)?;
        at.pass_digits()?;
        if !at.eat(br#"],[""#) {
            at.need(b"]]")?;
            *cursor = at;
            return Some(());
        }
    }
    None
}
