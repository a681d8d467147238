//! The hot frame, read by hand: one level of a book.
//!
//! ```text
//! [CHANNEL,[PRICE,COUNT,AMOUNT],NUMBER]    with the flag for times: [CHANNEL,[PRICE,COUNT,AMOUNT],NUMBER,MS]
//! ```
//! Anything else, whatever is wrong or new about it, is `feed`'s: a frame given up has left no trace. What is accepted
//! is what `feed` would make of it: `tests/scan` holds the two against each other.
//! Source: venue page, section 3; fixtures `feed_delta*.json`; recordings.

use crate::feed::{FLAG_SEQ, FLAG_TIME, Stamp, sided};
use dp_types::{Decimal, RawLevel, Side, VenueNanos};
use dp_wire::scan::Cursor;

/// One level of whatever book the channel is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) channel: u64,
    pub(crate) side: Side,
    pub(crate) level: RawLevel,
    pub(crate) stamp: Stamp,
}

/// Reads one frame of a connection with these flags. `None` when it is not of the shape above, or when frames are
/// not numbered. Cost: no allocation; about 40 ns.
#[inline]
pub(crate) fn row(text: &[u8], flags: u64) -> Option<Row> {
    if flags & FLAG_SEQ == 0 {
        return None;
    }
    let mut at = Cursor::new(text);
    at.need(b"[")?;
    let channel = at.uint().filter(|channel| *channel != 0)?;
    at.need(b",[")?;
    let price = at.bare()?;
    at.need(b",")?;
    let count = at.uint()?;
    at.need(b",")?;
    let (side, size) = sided(at.bare()?, "amount").ok()?;
    at.need(b"],")?;
    let seq = i64::try_from(at.uint()?).ok()?;
    let mut venue_ns = VenueNanos(0);
    if flags & FLAG_TIME != 0 {
        at.need(b",")?;
        venue_ns = VenueNanos::from_millis(at.uint()?);
    }
    at.need(b"]")?;
    let qty = if count == 0 { Decimal::ZERO } else { size };
    at.is_done().then_some(Row {
        channel,
        side,
        level: RawLevel { price, qty },
        stamp: Stamp { seq, venue_ns },
    })
}
