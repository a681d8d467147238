//! The hot message, read by hand in the order in which the venue writes its fields: changes of a book.
//!
//! ```text
//! {"type":"l2update","product_id":S,"changes":[["buy","P","Q"],...],"time":"..."}    or the time before the changes
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s, which finds fields by name: a message given up has
//! left no trace but in the room for levels. What is accepted is what `feed` would make of it: `tests/scan` holds the
//! two against each other. Source: venue page, section A3; fixture `feed_l2update.json`; recordings.

use crate::ID;
use crate::feed::Levels;
use dp_types::{BookMsg, BookMsgKind, VenueNanos};
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;
use dp_wire::time::parse_rfc3339;

/// Reads one message. `None` when it is not of the shape above. Cost: no allocation; about 7 ns a level.
#[inline]
pub(crate) fn changes<'a>(
    registry: &Registry,
    text: &[u8],
    levels: &'a mut Levels,
) -> Option<BookMsg<'a>> {
    let mut at = Cursor::new(text);
    at.need(br#"{"type":"l2update","product_id":""#)?;
    let instrument = registry.find(ID, at.text()?)?;
    let is_early = at.eat(TIME);
    let mut venue_ns = if is_early {
        time(&mut at)?
    } else {
        VenueNanos(0)
    };
    at.need(br#","changes":"#)?;
    levels.clear();
    at.rows((br#"[[""#, br#"],[""#, b"]]"), |at| {
        let side = if at.eat(br#"buy",""#) {
            &mut levels.bids
        } else {
            at.need(br#"sell",""#)?;
            &mut levels.asks
        };
        at.level(side)
    })?;
    if !is_early {
        at.need(TIME)?;
        venue_ns = time(&mut at)?;
    }
    at.need(b"}")?;
    let is_done = at.is_done();
    is_done.then(|| levels.message(instrument, BookMsgKind::Delta, (-1, -1), venue_ns))
}

/// The name of a time and its opening quote.
const TIME: &[u8; 9] = br#","time":""#;

/// What follows [`TIME`].
#[inline]
fn time(at: &mut Cursor<'_>) -> Option<VenueNanos> {
    parse_rfc3339(at.text()?).map(VenueNanos)
}
