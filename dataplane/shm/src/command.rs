//! What the other side may ask of a lane. Killing and arming are not here: they are a word, so that they
//! work even when a ring is full or a lane is stuck.

use crate::twin::Words;
use crate::words::{pack_text, unpack_text, words_of};
use dp_types::{InstrumentId, StrategyId, Text, UnixNanos, VenueId};

/// In the byte that names a parameter: no more follow.
const LAST: u8 = 0x80;

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
    /// Have a strategy pull its quotes and wait.
    StrategyPause(StrategyId),
    /// Let a paused strategy act again.
    StrategyResume(StrategyId),
    /// Set one of a strategy's parameters. Several of one sender take force together, with the last.
    StrategySet {
        /// Whose.
        id: StrategyId,
        /// Which, by its place in the kind's list; below 128.
        param: u8,
        /// To what, in the parameter's unit.
        value: i64,
        /// No more follow: take them all, or none.
        is_last: bool,
    },
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
    /// Number, whom it is about, and what else there is to say.
    const fn to_raw(self) -> (u8, u16, u8, i64) {
        let (kind, arg) = match self {
            Self::Pause => (1, 0),
            Self::Resume => (2, 0),
            Self::StrategyStart(id) => (3, id.0),
            Self::StrategyStop(id) => (4, id.0),
            Self::CancelAll(venue) => (5, venue.0 as u16),
            Self::Stop => (6, 0),
            Self::StrategyPause(id) => (7, id.0),
            Self::StrategyResume(id) => (8, id.0),
            Self::StrategySet {
                id,
                param,
                value,
                is_last,
            } => {
                let last = if is_last { LAST } else { 0 };
                return (9, id.0, param & !LAST | last, value);
            }
            Self::ResumeVenue(venue) => (32, venue.0 as u16),
            Self::ResumeInstrument(id) => (33, id.0 as u16),
            Self::Reconcile(venue) => (34, venue.0 as u16),
        };
        (kind, arg, 0, 0)
    }

    fn from_raw(kind: u8, arg: u16, detail: u8, value: i64) -> Option<Self> {
        let venue = |arg: u16| u8::try_from(arg).ok().map(VenueId);
        match kind {
            1 => Some(Self::Pause),
            2 => Some(Self::Resume),
            3 => Some(Self::StrategyStart(StrategyId(arg))),
            4 => Some(Self::StrategyStop(StrategyId(arg))),
            5 => venue(arg).map(Self::CancelAll),
            6 => Some(Self::Stop),
            7 => Some(Self::StrategyPause(StrategyId(arg))),
            8 => Some(Self::StrategyResume(StrategyId(arg))),
            9 => Some(Self::StrategySet {
                id: StrategyId(arg),
                param: detail & !LAST,
                value,
                is_last: detail & LAST != 0,
            }),
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
        let (kind, arg, detail, value) = self.command.to_raw();
        let mut bytes = [0; 64];
        (bytes[0], bytes[1]) = (kind, detail);
        bytes[2..4].copy_from_slice(&arg.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.at.0.to_le_bytes());
        pack_text(&mut bytes[16..48], self.who.as_bytes());
        bytes[48..56].copy_from_slice(&value.to_le_bytes());
        words_of(&bytes)
    }

    fn from_words(words: &[u64; 8]) -> Option<Self> {
        let bytes = words.map(u64::to_le_bytes);
        let [kind, detail, arg, arg_high, ..] = bytes[0];
        let arg = u16::from_le_bytes([arg, arg_high]);
        Some(Self {
            command: Command::from_raw(kind, arg, detail, words[6] as i64)?,
            who: unpack_text(bytes.as_flattened().get(16..48)?),
            at: UnixNanos(words[1]),
        })
    }
}
