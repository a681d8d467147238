//! The hot message, inflated, read by hand in the order in which the venue writes its fields: increments of a book.
//!
//! ```text
//! {"ch":"market.S.mbp.N","ts":..,"tick":{"seqNum":..,"prevSeqNum":..[,"bids":[[P,Q],...]][,"asks":[...]]}}
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up has
//! left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan` holds the
//! two against each other. Source: venue page, section 3; fixtures `feed_mbp_*.json`.

use crate::ID;
use crate::feed::{Channel, Levels};
use crate::symbols::split_topic;
use dp_types::{InstrumentId, RawLevel, VenueNanos};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;

/// An increment without its levels, which are where they were put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Increment {
    pub(crate) instrument: InstrumentId,
    pub(crate) last_id: i64,
    pub(crate) prev_id: i64,
    pub(crate) venue_ns: VenueNanos,
}

/// Reads one message. `None` when it is not of the shape above. Cost: no allocation; about 15 ns a level.
#[inline]
pub(crate) fn increment(
    registry: &Registry,
    text: &[u8],
    levels: &mut Levels,
) -> Option<Increment> {
    let mut at = Cursor::new(text);
    at.need(br#"{"ch":""#)?;
    let (symbol, channel) = split_topic(str::from_utf8(at.text()?).ok()?)?;
    if Channel::of(channel) != Channel::Mbp {
        return None;
    }
    let instrument = registry.find(ID, symbol.as_bytes())?;
    at.need(br#","ts":"#)?;
    let venue_ns = VenueNanos::from_millis(at.uint()?);
    at.need(br#","tick":{"seqNum":"#)?;
    let last_id = i64::try_from(at.uint()?).ok()?;
    at.need(br#","prevSeqNum":"#)?;
    let prev_id = i64::try_from(at.uint()?).ok()?;
    levels.bids.clear();
    if at.eat(br#","bids":"#) {
        side(&mut at, &mut levels.bids)?;
    }
    levels.asks.clear();
    if at.eat(br#","asks":"#) {
        side(&mut at, &mut levels.asks)?;
    }
    at.need(b"}}")?;
    at.is_done().then_some(Increment {
        instrument,
        last_id,
        prev_id,
        venue_ns,
    })
}

/// `[[price,quantity],...]`.
#[inline]
fn side(at: &mut Cursor<'_>, levels: &mut Vec<RawLevel>) -> Option<()> {
    at.rows((b"[[", b"],[", b"]]"), |at| {
        let price = at.bare()?;
        at.need(b",")?;
        let qty = at.bare()?;
        levels.push(RawLevel { price, qty });
        Some(())
    })
}
