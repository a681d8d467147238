//! The classic feed as a lane hears it: beside the sessions that bring rules and orders.
//!
//! ```text
//! REST        rules ─▶ the lane's registry
//! datagrams   definitions ─▶ a registry of our own: they number the instruments, and that is all that is read here
//!             books, trades, quotes ─▶ the lane
//! ```
//! What trades by which rule is asked over REST on every road: orders need it, and a datagram may then change nothing
//! the lane trades by.
//!
//! A group is no connection: that its road is broken nobody says. The round never ends, so when nothing at all has come
//! for [`SILENCE_NS`], no book is believed any more.

use super::classic::Multicast;
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{DecodeError, LINES_MAX, LineCounts, Registry, RegistryError, Sink};

/// Longest silence of all groups together. \[U\]: no page says how long a round takes; what is heard is all its channels.
const SILENCE_NS: u64 = 5_000_000_000;

/// The feed, and which line brought what.
#[derive(Debug)]
pub(crate) struct Heard {
    feed: Multicast,
    registry: Registry,
    firsts: [u64; LINES_MAX],
    /// When it counts as silent; `None` before the first datagram, and once it does.
    silent_at: Option<UnixNanos>,
}

impl Heard {
    /// The feed of symbols that are registered. Errors: [`RegistryError`].
    pub(crate) fn new(symbols: &[String], registry: &Registry) -> Result<Self, RegistryError> {
        let mut registry = registry.clone();
        let mut feed = Multicast::new(symbols, &mut registry)?;
        feed.keep_rules_to_itself();
        Ok(Self {
            feed,
            registry,
            firsts: [0; LINES_MAX],
            silent_at: None,
        })
    }

    /// One datagram of a line. Cost and errors: as [`Multicast::on_datagram`].
    pub(crate) fn on_datagram(
        &mut self,
        line: u8,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let copies = self.feed.copies();
        let result = self.feed.on_datagram(&mut self.registry, now, bytes, out);
        let is_first = result.is_ok() && self.feed.copies() == copies;
        if let Some(firsts) = self.firsts.get_mut(usize::from(line)) {
            *firsts += u64::from(is_first);
        }
        if result.is_ok() {
            self.silent_at = Some(now.unix.after(SILENCE_NS));
        }
        result
    }

    /// Time has passed. A held datagram that cannot be read has lost its books, which is told as such.
    pub(crate) fn on_deadline(&mut self, now: Now, out: &mut impl Sink) {
        if self.feed.next_deadline().is_some_and(|due| due <= now.unix) {
            let _ = self.feed.on_deadline(&mut self.registry, now, out);
        }
        if self.silent_at.is_some_and(|at| at <= now.unix) {
            self.silent_at = None;
            self.feed.lose_all(out);
        }
        // There is nobody to ask: the next whole book of the round mends what is missing.
        while self.feed.missing().is_some() {}
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let silent_at = self.silent_at.into_iter();
        silent_at.chain(self.feed.next_deadline()).min()
    }

    /// The keeper wants the book whole: the round brings it.
    pub(crate) fn request_snapshot(&mut self, instrument: InstrumentId) {
        self.feed.request_snapshot(instrument);
    }

    pub(crate) const fn counts(&self) -> LineCounts {
        LineCounts {
            firsts: self.firsts,
            copies: self.feed.copies(),
            filled: self.feed.filled(),
        }
    }
}
