//! A list of positions names what is held: what it leaves out is flat, and somebody has to say so.

use crate::{Event, Registry, Sink};
use dp_types::{Decimal, Instrument, InstrumentId, PositionReport, VenueId, VenueNanos};

/// Instruments a list of positions has named so far, each once, in whichever order.
#[derive(Debug, Clone, Default)]
pub struct ListedPositions(Vec<InstrumentId>);

impl ListedPositions {
    /// The list named this one, whether or not what it said was of use.
    pub fn add(&mut self, instrument: InstrumentId) {
        if !self.0.contains(&instrument) {
            self.0.push(instrument);
        }
    }

    /// The list is complete: those of ours it should have named, and did not, are told as flat.
    pub fn tell_flat(
        &self,
        registry: &Registry,
        venue: VenueId,
        is_listed_there: impl Fn(&Instrument) -> bool,
        out: &mut impl Sink,
    ) {
        let ours = registry.instruments().iter();
        for known in ours.filter(|known| known.venue == venue && is_listed_there(known)) {
            if !self.0.contains(&known.id) {
                out.event(&Event::Position(PositionReport {
                    instrument: known.id,
                    qty: Decimal::ZERO,
                    entry: None,
                    venue_ns: VenueNanos(0),
                }));
            }
        }
    }
}
