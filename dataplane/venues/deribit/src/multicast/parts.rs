//! A book's levels as they come: in one message, or in several over as many datagrams.

use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{BookMsg, BookMsgKind, InstrumentId, RawLevel, Side, VenueNanos};
use dp_venue_api::{DecodeError, Event, Sink};

/// Levels a side most books have: room for them is taken when a channel is first heard.
const LEVELS_USUAL: usize = 1_024;

/// What the parts are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) kind: BookMsgKind,
    pub(super) instrument: InstrumentId,
    pub(super) prev: i64,
    pub(super) change: i64,
}

/// The parts that are here.
#[derive(Debug)]
pub(super) struct Parts {
    of: Option<Of>,
    /// The call that brought the first of them.
    begun: u64,
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            of: None,
            begun: 0,
            bids: Vec::with_capacity(LEVELS_USUAL),
            asks: Vec::with_capacity(LEVELS_USUAL),
        }
    }
}

impl Parts {
    /// What they are of; `None` when there are none.
    pub(super) const fn of(&self) -> Option<Of> {
        self.of
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.of = None;
        self.bids.clear();
        self.asks.clear();
    }

    /// The call that brought the first of them.
    pub(super) const fn begun(&self) -> u64 {
        self.begun
    }

    /// Begins with this call, unless this goes on with what is here. Returns whether what was here is cut off by it.
    pub(super) fn begin(&mut self, of: Of, call: u64) -> bool {
        let is_cut = self.of.is_some_and(|held| held != of);
        if self.of != Some(of) {
            self.clear();
            (self.of, self.begun) = (Some(of), call);
        }
        is_cut
    }

    /// One level more. Errors: over the maximum of one message.
    pub(super) fn push(&mut self, side: Side, level: RawLevel) -> Result<(), DecodeError> {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level);
        Ok(())
    }

    /// Tells all of it as one message, and forgets it.
    pub(super) fn tell(&mut self, venue_ns: VenueNanos, out: &mut impl Sink) {
        if let Some(of) = self.of {
            out.event(&Event::Book(BookMsg {
                instrument: of.instrument,
                kind: of.kind,
                first_id: of.change,
                last_id: of.change,
                prev_id: of.prev,
                checksum: None,
                bids: &self.bids,
                asks: &self.asks,
                venue_ns,
            }));
        }
        self.clear();
    }
}
