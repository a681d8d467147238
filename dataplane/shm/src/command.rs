//! What the other side may ask of a lane. Killing and arming are not here: they are a word, so that they
//! work even when a ring is full or a lane is stuck.

use crate::twin::Words;
use crate::words::{pack_text, unpack_text, words_of};
use dp_types::{InstrumentId, StrategyId, Text, UnixNanos, VenueId};

/// A request to one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Send nothing new; cancels go on.
    Pause,
    /// Send again.
    Resume,
    /// Let a strategy act.
    StrategyStart(StrategyId),
    /// Stop a strategy; its orders are cancelled.
    StrategyStop(StrategyId),
    /// Cancel every order at a venue.
    CancelAll(VenueId),
    /// Cancel everything and end the process in order.
    Stop,
    /// A halted venue may trade again.
    ResumeVenue(VenueId),
    /// A halted instrument may trade again. Ids fit 16 bits: there are at most 1,024.
    ResumeInstrument(InstrumentId),
    /// Compare orders and positions with a venue's now.
    Reconcile(VenueId),
}

impl Command {
    const fn to_raw(self) -> (u8, u16) {
        match self {
            Self::Pause => (1, 0),
            Self::Resume => (2, 0),
            Self::StrategyStart(id) => (3, id.0),
            Self::StrategyStop(id) => (4, id.0),
            Self::CancelAll(venue) => (5, venue.0 as u16),
            Self::Stop => (6, 0),
            Self::ResumeVenue(venue) => (32, venue.0 as u16),
            Self::ResumeInstrument(id) => (33, id.0 as u16),
            Self::Reconcile(venue) => (34, venue.0 as u16),
        }
    }

    fn from_raw(kind: u8, arg: u16) -> Option<Self> {
        let venue = |arg: u16| u8::try_from(arg).ok().map(VenueId);
        match kind {
            1 => Some(Self::Pause),
            2 => Some(Self::Resume),
            3 => Some(Self::StrategyStart(StrategyId(arg))),
            4 => Some(Self::StrategyStop(StrategyId(arg))),
            5 => venue(arg).map(Self::CancelAll),
            6 => Some(Self::Stop),
            32 => venue(arg).map(Self::ResumeVenue),
            33 => Some(Self::ResumeInstrument(InstrumentId(arg.into()))),
            34 => venue(arg).map(Self::Reconcile),
            _ => None,
        }
    }
}

/// A command with who gave it and when. From a ring: `while let Some(words) = commands.pop()`, then
/// `CommandNote::from_words(&words)`; `None` = not a command, count and drop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandNote {
    /// What to do.
    pub command: Command,
    /// Who asks.
    pub who: Text<31>,
    /// Since when.
    pub at: UnixNanos,
}

impl Words<8> for CommandNote {
    fn to_words(&self) -> [u64; 8] {
        let (kind, arg) = self.command.to_raw();
        let mut bytes = [0; 64];
        bytes[0] = kind;
        bytes[2..4].copy_from_slice(&arg.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.at.0.to_le_bytes());
        pack_text(&mut bytes[16..48], self.who.as_bytes());
        words_of(&bytes)
    }

    fn from_words(words: &[u64; 8]) -> Option<Self> {
        let bytes = words.map(u64::to_le_bytes);
        let [kind, _, arg, arg_high, ..] = bytes[0];
        Some(Self {
            command: Command::from_raw(kind, u16::from_le_bytes([arg, arg_high]))?,
            who: unpack_text(bytes.as_flattened().get(16..48)?),
            at: UnixNanos(words[1]),
        })
    }
}
