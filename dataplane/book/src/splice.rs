//! Deltas held back while a snapshot, or what comes before them, is on its way, in memory taken once.

use dp_types::limit::{SPLICE_LEVELS_MAX, SPLICE_MSGS_MAX};
use dp_types::{BookMsg, BookMsgKind, InstrumentId, RawLevel, VenueNanos};

/// A held message without its levels.
#[derive(Debug, Clone, Copy)]
struct Held {
    first_id: i64,
    last_id: i64,
    prev_id: i64,
    checksum: Option<u32>,
    venue_ns: VenueNanos,
    bids: (u32, u32),
    asks: (u32, u32),
}

/// A bounded queue of deltas of one instrument.
#[derive(Debug, Clone)]
pub(crate) struct Splice {
    held: Vec<Held>,
    levels: Vec<RawLevel>,
}

impl Splice {
    pub(crate) fn new() -> Self {
        // Levels are taken as they come: most books hold back a few hundred, and the bound is per
        // book. The first resync may grow this; a lane that has synced once does not again.
        Self {
            held: Vec::with_capacity(SPLICE_MSGS_MAX),
            levels: Vec::with_capacity(4096),
        }
    }

    /// A stand-in that owns no memory, for the time the real one is walked.
    pub(crate) const fn empty() -> Self {
        Self {
            held: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// Holds a delta back. False when the bound is reached: the book must start over.
    pub(crate) fn push(&mut self, msg: &BookMsg<'_>) -> bool {
        let levels = self.levels.len() + msg.bids.len() + msg.asks.len();
        if self.held.len() >= SPLICE_MSGS_MAX || levels > SPLICE_LEVELS_MAX {
            return false;
        }
        let bids = self.take(msg.bids);
        let asks = self.take(msg.asks);
        self.held.push(Held {
            first_id: msg.first_id,
            last_id: msg.last_id,
            prev_id: msg.prev_id,
            checksum: msg.checksum,
            venue_ns: msg.venue_ns,
            bids,
            asks,
        });
        true
    }

    fn take(&mut self, levels: &[RawLevel]) -> (u32, u32) {
        let start = self.levels.len() as u32;
        self.levels.extend_from_slice(levels);
        (start, self.levels.len() as u32)
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// The held delta at `at`, oldest first.
    pub(crate) fn get(&self, at: usize, instrument: InstrumentId) -> Option<BookMsg<'_>> {
        let held = self.held.get(at)?;
        let levels = |(start, end): (u32, u32)| self.levels.get(start as usize..end as usize);
        Some(BookMsg {
            instrument,
            kind: BookMsgKind::Delta,
            first_id: held.first_id,
            last_id: held.last_id,
            prev_id: held.prev_id,
            checksum: held.checksum,
            bids: levels(held.bids)?,
            asks: levels(held.asks)?,
            venue_ns: held.venue_ns,
        })
    }

    /// Forgets one; the others keep their order.
    pub(crate) fn remove(&mut self, at: usize) {
        if at < self.held.len() {
            self.held.remove(at);
        }
        if self.held.is_empty() {
            self.levels.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.levels.clear();
    }
}
