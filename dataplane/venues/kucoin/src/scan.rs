//! The hot push, read by hand in the order in which the venue writes its fields: changes of a spot book.
//!
//! ```text
//! {"type":"message","topic":"/market/level2:S","subject":"trade.l2update","data":
//!     {"changes":{"asks":[[P,Q,N],...],"bids":[...]},"sequenceEnd":..,"sequenceStart":..,"symbol":S[,"time":..]}}
//! {"data":{"sequenceStart":..,"symbol":S,"changes":{...},"sequenceEnd":..},
//!     "subject":"trade.l2update","topic":"/market/level2:S","type":"message"}                  in 2021
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up has
//! left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan` holds the
//! two against each other. Source: venue page, section 3.3; fixtures `feed_delta*.json`; recordings.

use crate::ID;
use crate::feed::{Levels, nanos};
use dp_types::{InstrumentId, VenueNanos};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;

/// A change without its levels, which are where they were put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) instrument: InstrumentId,
    /// First and last number of the venue's.
    pub(crate) ids: (i64, i64),
    pub(crate) venue_ns: VenueNanos,
}

/// Reads one push. `None` when it is not of the shape above. Cost: no allocation; about 10 ns a level.
#[inline]
pub(crate) fn change(registry: &Registry, text: &[u8], levels: &mut Levels) -> Option<Change> {
    let mut at = Cursor::new(text);
    let change = if at.eat(br#"{"type":"message","topic":"/market/level2:"#) {
        let instrument = registry.find(ID, at.text()?)?;
        at.need(br#","subject":"trade.l2update","data":{"changes":"#)?;
        changes(&mut at, levels)?;
        at.need(br#","sequenceEnd":"#)?;
        let last = number(&mut at)?;
        at.need(br#","sequenceStart":"#)?;
        let first = number(&mut at)?;
        at.text_after(br#","symbol":""#)?;
        let venue_ns = if at.eat(br#","time":"#) {
            nanos(at.uint()?)
        } else {
            VenueNanos(0)
        };
        at.need(b"}}")?;
        Change {
            instrument,
            ids: (first, last),
            venue_ns,
        }
    } else {
        at.need(br#"{"data":{"sequenceStart":"#)?;
        let first = number(&mut at)?;
        at.text_after(br#","symbol":""#)?;
        at.need(br#","changes":"#)?;
        changes(&mut at, levels)?;
        at.need(br#","sequenceEnd":"#)?;
        let last = number(&mut at)?;
        let symbol = at.text_after(br#"},"subject":"trade.l2update","topic":"/market/level2:"#)?;
        at.need(br#","type":"message"}"#)?;
        Change {
            instrument: registry.find(ID, symbol)?,
            ids: (first, last),
            venue_ns: VenueNanos(0),
        }
    };
    (at.is_done() && change.ids.0 <= change.ids.1).then_some(change)
}

#[inline]
fn number(at: &mut Cursor<'_>) -> Option<i64> {
    i64::try_from(at.uint()?).ok()
}

/// `{"asks":[...],"bids":[...]}`.
#[inline]
fn changes(at: &mut Cursor<'_>, levels: &mut Levels) -> Option<()> {
    at.need(br#"{"asks":"#)?;
    side(at, levels)?;
    core::mem::swap(&mut levels.bids, &mut levels.asks);
    at.need(br#","bids":"#)?;
    side(at, levels)?;
    at.need(b"}")
}

/// `[["price","size","number"],...]`, to the bids.
#[inline]
fn side(at: &mut Cursor<'_>, levels: &mut Levels) -> Option<()> {
    let Levels {
        bids: rows,
        changes,
        ..
    } = levels;
    changes.clear();
    rows.clear();
    at.rows((br#"[[""#, br#"],[""#, b"]]"), |at| {
        at.level(rows)?;
        at.need(br#",""#)?;
        let number = number(at)?;
        at.need(br#"""#)?;
        changes.extend(rows.pop().map(|level| (number, level)));
        Some(())
    })?;
    levels.sort();
    Some(())
}
