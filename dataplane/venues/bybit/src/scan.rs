//! The hot push, read by hand in the order in which the venue writes its fields: changes of a book.
//!
//! ```text
//! {"topic":"orderbook.N.S","type":"delta","ts":..,"data":{"s":S,"b":[[P,Q],...],"a":[...],"u":..,"seq":..}[,"cts":..]}
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up has
//! left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan` holds the
//! two against each other. Source: venue page, section 3; fixtures `feed_delta.json`; recordings.

use crate::feed::{Depth, Levels};
use crate::symbols::{self, Category};
use dp_types::{InstrumentId, RawLevel, VenueNanos};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;

/// A change without its levels, which are where they were put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) instrument: InstrumentId,
    pub(crate) depth: Depth,
    pub(crate) id: i64,
    pub(crate) venue_ns: VenueNanos,
}

/// Reads one push. `None` when it is not of the shape above. Cost: no allocation; about 7 ns a level.
#[inline]
pub(crate) fn change(
    registry: &Registry,
    category: Option<Category>,
    text: &[u8],
    levels: &mut Levels,
) -> Option<Change> {
    let mut at = Cursor::new(text);
    at.need(br#"{"topic":"orderbook."#)?;
    let depth = Depth::of(str::from_utf8(at.text()?).ok()?)?;
    at.need(br#","type":"delta","ts":"#)?;
    let said_ms = at.uint()?;
    at.need(br#","data":{"s":""#)?;
    let symbol = str::from_utf8(at.text()?).ok()?;
    let instrument = symbols::find(registry, category, symbol)?;
    levels.clear();
    at.need(br#","b":"#)?;
    side(&mut at, &mut levels.bids)?;
    at.need(br#","a":"#)?;
    side(&mut at, &mut levels.asks)?;
    at.need(br#","u":"#)?;
    let id = i64::try_from(at.uint()?).ok()?;
    at.need(br#","seq":"#)?;
    at.pass_uint()?;
    at.need(b"}")?;
    let engine_ms = if at.eat(br#","cts":"#) { at.uint()? } else { 0 };
    at.need(b"}")?;
    // A counter of 1 is a whole book, whatever its type.
    let is_change = at.is_done() && id != 1;
    is_change.then_some(Change {
        instrument,
        depth,
        id,
        venue_ns: VenueNanos::from_millis(if engine_ms == 0 { said_ms } else { engine_ms }),
    })
}

/// `[["price","quantity"],...]`.
#[inline]
fn side(at: &mut Cursor<'_>, levels: &mut Vec<RawLevel>) -> Option<()> {
    at.rows((br#"[[""#, br#"],[""#, b"]]"), |at| at.level(levels))
}
