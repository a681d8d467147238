//! The hot messages, read by hand in the order in which the venue writes their fields: market data and what
//! answers orders. Anything else is `feed`'s, the general parser's, and so is whatever here is given up.

mod market;
mod orders;

use crate::feed::{Heard, Levels};
use crate::product::Market;
use dp_types::{InstrumentId, VenueNanos};
use dp_venue_api::Sink;
use dp_wire::scan::Cursor;

/// Reads one message and tells its events. `None` when it is of no hot shape: nothing was told then.
#[inline]
pub(crate) fn text(
    market: Market<'_>,
    text: &[u8],
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Option<Heard> {
    if market::text(market, text, levels, out) {
        return Some(Heard::default());
    }
    orders::text(market, text, out)
}

#[inline]
fn millis(at: &mut Cursor<'_>) -> Option<VenueNanos> {
    at.uint().map(VenueNanos::from_millis)
}

#[inline]
fn id(at: &mut Cursor<'_>) -> Option<i64> {
    i64::try_from(at.uint()?).ok()
}

/// `"s":"..."` of an instrument we know.
#[inline]
fn instrument(market: Market<'_>, at: &mut Cursor<'_>) -> Option<InstrumentId> {
    at.need(br#""s":""#)?;
    market.listed(at.text()?)
}
