//! A feed as a lane hears it: beside the sessions that bring rules and orders.
//!
//! ```text
//! REST        rules ─▶ the lane's registry
//! datagrams   definitions ─▶ a registry of our own: they number the instruments, and that is all that is read here
//!             classic: books, trades, quotes ─▶ the lane        there is no market data link
//!             Starbase: single orders, trades ─▶ the lane       books of levels and quotes come by the link, as ever
//! ```
//! What trades by which rule is asked over REST on every road: orders need it, and a datagram may then change nothing
//! the lane trades by.
//!
//! A group is no connection: that its road is broken nobody says. The classic round never ends, so when nothing at
//! all has come for [`SILENCE_NS`], no book is believed any more. Starbase's channels give signs of life, each of its
//! own.

use super::classic::Multicast;
use super::starbase::{Starbase, hole};
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{DecodeError, LINES_MAX, LineCounts, Registry, RegistryError, Sink};

/// Longest silence of all groups together, of the classic feed. \[U\]: no page says how long a round takes; what is
/// heard is all its channels.
const SILENCE_NS: u64 = 5_000_000_000;

#[derive(Debug)]
enum Machine {
    Classic(Multicast),
    Starbase(Starbase),
}

/// The feed, and which line brought what.
#[derive(Debug)]
pub(crate) struct Heard {
    feed: Machine,
    registry: Registry,
    firsts: [u64; LINES_MAX],
    /// When it counts as silent; `None` before the first datagram, once it does, and where channels tell it themselves.
    silent_at: Option<UnixNanos>,
}

impl Heard {
    /// The classic feed of symbols that are registered. Errors: [`RegistryError`].
    pub(crate) fn classic(symbols: &[String], registry: &Registry) -> Result<Self, RegistryError> {
        let mut registry = registry.clone();
        let mut feed = Multicast::new(symbols, &mut registry)?;
        feed.keep_rules_to_itself();
        Ok(Self::new(Machine::Classic(feed), registry))
    }

    /// Starbase, of symbols that are registered. Errors: [`RegistryError`].
    pub(crate) fn starbase(symbols: &[String], registry: &Registry) -> Result<Self, RegistryError> {
        let mut registry = registry.clone();
        let mut feed = Starbase::new(symbols, &mut registry)?;
        feed.keep_rules_to_itself();
        Ok(Self::new(Machine::Starbase(feed), registry))
    }

    const fn new(feed: Machine, registry: Registry) -> Self {
        Self {
            feed,
            registry,
            firsts: [0; LINES_MAX],
            silent_at: None,
        }
    }

    /// One datagram of a line. Cost and errors: as [`Multicast::on_datagram`].
    pub(crate) fn on_datagram(
        &mut self,
        line: u8,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let (copies, registry) = (self.copies(), &mut self.registry);
        let result = match &mut self.feed {
            Machine::Classic(feed) => feed.on_datagram(registry, now, bytes, out),
            Machine::Starbase(feed) => feed.on_datagram(registry, now, bytes, out),
        };
        let is_first = result.is_ok() && self.copies() == copies;
        if let Some(firsts) = self.firsts.get_mut(usize::from(line)) {
            *firsts += u64::from(is_first);
        }
        if result.is_ok() && matches!(self.feed, Machine::Classic(_)) {
            self.silent_at = Some(now.unix.after(SILENCE_NS));
        }
        result
    }

    /// Time has passed. A held datagram that cannot be read has lost its books, which is told as such.
    pub(crate) fn on_deadline(&mut self, now: Now, out: &mut impl Sink) {
        let registry = &mut self.registry;
        match &mut self.feed {
            Machine::Classic(feed) => {
                if feed.next_deadline().is_some_and(|due| due <= now.unix) {
                    let _ = feed.on_deadline(registry, now, out);
                }
                if self.silent_at.is_some_and(|at| at <= now.unix) {
                    self.silent_at = None;
                    feed.lose_all(out);
                }
                // There is nobody to ask: the next whole book of the round mends what is missing.
                while feed.missing().is_some() {}
            }
            Machine::Starbase(feed) => {
                if feed.next_deadline().is_some_and(|due| due <= now.unix) {
                    let _ = feed.on_deadline(registry, now, out);
                }
                // Nor is there here: a lane sends no datagrams.
                while feed.missing().is_some() {}
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let due = match &self.feed {
            Machine::Classic(feed) => feed.next_deadline(),
            Machine::Starbase(feed) => feed.next_deadline(),
        };
        self.silent_at.into_iter().chain(due).min()
    }

    /// The keeper wants the book of levels whole: the round brings it. `false` where it comes by a link.
    pub(crate) fn request_snapshot(&mut self, instrument: InstrumentId) -> bool {
        match &mut self.feed {
            Machine::Classic(feed) => feed.request_snapshot(instrument),
            Machine::Starbase(_) => return false,
        }
        true
    }

    /// The keeper wants the book of single orders whole: the round brings it, and until then changes are held. It is
    /// told so, or a keeper that has a whole one by now would think that nothing changes.
    pub(crate) fn request_l3(&mut self, instrument: InstrumentId, out: &mut impl Sink) {
        if let Machine::Starbase(feed) = &mut self.feed
            && feed.request_snapshot(instrument)
        {
            out.event(&hole(instrument));
        }
    }

    const fn copies(&self) -> u64 {
        match &self.feed {
            Machine::Classic(feed) => feed.copies(),
            Machine::Starbase(feed) => feed.copies(),
        }
    }

    pub(crate) const fn counts(&self) -> LineCounts {
        LineCounts {
            firsts: self.firsts,
            copies: self.copies(),
            filled: match &self.feed {
                Machine::Classic(feed) => feed.filled(),
                Machine::Starbase(feed) => feed.filled(),
            },
        }
    }
}
