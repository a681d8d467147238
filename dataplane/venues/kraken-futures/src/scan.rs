//! The hot push, read by hand in the order in which the venue writes its fields: changes of a book.
//!
//! ```text
//! {"channel":"book","type":"update","data":[{"symbol":S,"bids":[{"price":P,"qty":Q},...],"asks":[...],
//!  "checksum":..,"timestamp":"..."}]}
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up has
//! left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan` holds the
//! two against each other. Source: venue page, section 3; fixture `feed_update.json`.

use crate::ID;
use crate::feed::Levels;
use dp_types::{BookMsg, BookMsgKind, RawLevel, VenueNanos};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;
use dp_wire::time::parse_rfc3339;

/// Reads one push. `None` when it is not of the shape above. Cost: no allocation; about 15 ns a level.
#[inline]
pub(crate) fn change<'a>(
    registry: &Registry,
    text: &[u8],
    levels: &'a mut Levels,
) -> Option<BookMsg<'a>> {
    let mut at = Cursor::new(text);
    at.need(br#"{"channel":"book","type":"update","data":[{"symbol":""#)?;
    let instrument = registry.find(ID, at.text()?)?;
    at.need(br#","bids":"#)?;
    side(&mut at, &mut levels.bids)?;
    at.need(br#","asks":"#)?;
    side(&mut at, &mut levels.asks)?;
    at.need(br#","checksum":"#)?;
    let checksum = u32::try_from(at.uint()?).ok()?;
    at.need(br#","timestamp":""#)?;
    let venue_ns = VenueNanos(parse_rfc3339(at.text()?)?);
    at.need(b"}]}")?;
    at.is_done().then_some(BookMsg {
        instrument,
        kind: BookMsgKind::Delta,
        first_id: -1,
        last_id: -1,
        prev_id: -1,
        checksum: Some(checksum),
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns,
    })
}

/// `[{"price":price,"qty":quantity},...]`.
#[inline]
fn side(at: &mut Cursor<'_>, levels: &mut Vec<RawLevel>) -> Option<()> {
    levels.clear();
    at.rows((br#"[{"price":"#, br#"},{"price":"#, b"}]"), |at| {
        let price = at.bare()?;
        at.need(br#","qty":"#)?;
        let qty = at.bare()?;
        levels.push(RawLevel { price, qty });
        Some(())
    })
}
