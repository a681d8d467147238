//! The hot push, read by hand in the order in which the venue writes its fields: changes of a book.
//!
//! ```text
//! {"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.I.raw","data":{"type":"change",
//!  "timestamp":..,["prev_change_id":..,]"instrument_name":I,["prev_change_id":..,]"change_id":..,
//!  "bids":[["new",P,Q],["delete",P,0.0],...],"asks":[...]}}}
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up has
//! left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan` holds the
//! two against each other. Source: venue page, section 3; fixture `feed_book_change.json`; recordings.

use crate::ID;
use crate::feed::{BookChannel, Levels};
use dp_types::{InstrumentId, RawLevel, VenueNanos};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;

/// A change without its levels, which are where they were put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) instrument: InstrumentId,
    pub(crate) channel: BookChannel,
    pub(crate) prev_id: i64,
    pub(crate) id: i64,
    pub(crate) venue_ns: VenueNanos,
}

/// Reads one push. `None` when it is not of the shape above. Cost: no allocation; about 15 ns a level.
#[inline]
pub(crate) fn change(registry: &Registry, text: &[u8], levels: &mut Levels) -> Option<Change> {
    let mut at = Cursor::new(text);
    at.need(br#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":""#)?;
    let channel = BookChannel::of(str::from_utf8(at.text()?).ok()?)?;
    at.need(br#","data":{"type":"change","timestamp":"#)?;
    let venue_ns = VenueNanos::from_millis(at.uint()?);
    let is_early = at.eat(PREV_ID);
    let mut prev_id = if is_early { id(&mut at)? } else { 0 };
    at.need(br#","instrument_name":""#)?;
    let instrument = registry.find(ID, at.text()?)?;
    if !is_early {
        at.need(PREV_ID)?;
        prev_id = id(&mut at)?;
    }
    at.need(br#","change_id":"#)?;
    let change_id = id(&mut at)?;
    at.need(br#","bids":"#)?;
    side(&mut at, &mut levels.bids)?;
    at.need(br#","asks":"#)?;
    side(&mut at, &mut levels.asks)?;
    at.need(b"}}}")?;
    let is_change = at.is_done() && channel != BookChannel::Grouped;
    is_change.then_some(Change {
        instrument,
        channel,
        prev_id,
        id: change_id,
        venue_ns,
    })
}

/// The name of the change before.
const PREV_ID: &[u8; 18] = br#","prev_change_id":"#;

#[inline]
fn id(at: &mut Cursor<'_>) -> Option<i64> {
    i64::try_from(at.uint()?).ok()
}

/// `[["action",price,amount],...]`. A level that contradicts its action is `feed`'s to tell.
#[inline]
fn side(at: &mut Cursor<'_>, levels: &mut Vec<RawLevel>) -> Option<()> {
    levels.clear();
    at.rows((br#"[[""#, br#"],[""#, b"]]"), |at| {
        let is_delete = at.eat(br#"delete","#);
        if !is_delete && !at.eat(br#"change","#) {
            at.need(br#"new","#)?;
        }
        let price = at.bare()?;
        at.need(b",")?;
        let qty = at.bare()?;
        levels.push(RawLevel { price, qty });
        (qty.is_zero() == is_delete).then_some(())
    })
}
