//! The life of a strategy: where it stands, what may befall it, and which is legal.
//!
//! ```text
//!             start                pause
//!   LOADED ─────────▶ RUNNING ◀──────────▶ PAUSED       paused: quotes pulled, nothing new, still hears the market
//!      │ pause, stop     │  resume            │
//!      ▼                 ├── stop ────────────┴──▶ STOPPED ── start ─▶ RUNNING       stopped: hears nothing
//!   PAUSED, STOPPED      └── fault ───────────────▶ FAILED ── reload ─▶ LOADED; start ─▶ RUNNING; stop ─▶ STOPPED
//! ```

use core::fmt;

/// Where a strategy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum StrategyState {
    /// Made, or about to be; hears nothing yet.
    #[default]
    Loaded = 0,
    /// Hears the market and acts.
    Running = 1,
    /// Hears the market; its orders are cancelled and new ones do not leave.
    Paused = 2,
    /// Hears nothing; its orders are cancelled.
    Stopped = 3,
    /// It broke: hears nothing; its orders are cancelled.
    Failed = 4,
}

/// What may befall a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrategyMove {
    /// Act: people say so, or the configuration.
    Start,
    /// Pull the quotes and wait.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Cancel and hear nothing.
    Stop,
    /// It panicked, or flooded.
    Fault,
    /// It is made again after a fault.
    Reload,
}

impl StrategyState {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [
        Self::Loaded,
        Self::Running,
        Self::Paused,
        Self::Stopped,
        Self::Failed,
    ];

    /// The word in JSON, tables and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The state with this name; `None`: there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// From its number; `None`: there is none.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Loaded),
            1 => Some(Self::Running),
            2 => Some(Self::Paused),
            3 => Some(Self::Stopped),
            4 => Some(Self::Failed),
            _ => None,
        }
    }

    /// Whether it is told what happens.
    pub const fn hears(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Where it stands after a move. Errors: [`IllegalMove`]; then it stands where it stood.
    pub const fn after(self, step: StrategyMove) -> Result<Self, IllegalMove> {
        use StrategyMove::{Fault, Pause, Reload, Resume, Start, Stop};
        match (self, step) {
            (Self::Loaded | Self::Stopped | Self::Failed, Start) | (Self::Paused, Resume) => {
                Ok(Self::Running)
            }
            (Self::Loaded | Self::Running, Pause) => Ok(Self::Paused),
            (Self::Loaded | Self::Running | Self::Paused | Self::Failed, Stop) => Ok(Self::Stopped),
            (Self::Loaded | Self::Running | Self::Paused, Fault) => Ok(Self::Failed),
            (Self::Failed, Reload) => Ok(Self::Loaded),
            _ => Err(IllegalMove { from: self, step }),
        }
    }
}

/// A move that is not to be made from where a strategy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IllegalMove {
    /// Where it stands.
    pub from: StrategyState,
    /// What was asked.
    pub step: StrategyMove,
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use StrategyMove::{Fault, Pause, Reload, Resume, Start, Stop};
        use StrategyState::{Failed, Loaded, Paused, Running, Stopped};
        f.write_str(match (self.from, self.step) {
            (Running, Start) => "it runs already",
            (Paused, Start) => "it is paused: resume it, or stop it first",
            (Paused, Pause) => "it is paused already",
            (Stopped, Pause) => "it is stopped: there is nothing to pause; start it",
            (Failed, Pause) => "it has failed: there is nothing to pause; start it",
            (Running, Resume) => "it is not paused: it runs",
            (Loaded | Stopped | Failed, Resume) => "it is not paused: start it",
            (Stopped, Stop) => "it is stopped already",
            (_, Fault) => "it is not called where it stands",
            (_, Reload) => "it has not failed",
            _ => "it cannot go there from where it stands",
        })
    }
}

impl core::error::Error for IllegalMove {}

#[cfg(test)]
mod tests {
    use super::*;
    use StrategyMove::{Fault, Pause, Reload, Resume, Start, Stop};
    use StrategyState::{Failed, Loaded, Paused, Running, Stopped};

    const MOVES: [StrategyMove; 6] = [Start, Pause, Resume, Stop, Fault, Reload];

    /// Every state, every move: nothing is left to a default.
    #[test]
    fn every_move_from_every_state_is_as_the_table_says() {
        let table = [
            // Start, Pause, Resume, Stop, Fault, Reload
            (
                Loaded,
                [
                    Some(Running),
                    Some(Paused),
                    None,
                    Some(Stopped),
                    Some(Failed),
                    None,
                ],
            ),
            (
                Running,
                [None, Some(Paused), None, Some(Stopped), Some(Failed), None],
            ),
            (
                Paused,
                [None, None, Some(Running), Some(Stopped), Some(Failed), None],
            ),
            (Stopped, [Some(Running), None, None, None, None, None]),
            (
                Failed,
                [Some(Running), None, None, Some(Stopped), None, Some(Loaded)],
            ),
        ];
        assert_eq!(table.map(|(from, _)| from), StrategyState::ALL);
        for (from, wants) in table {
            for (step, want) in MOVES.into_iter().zip(wants) {
                assert_eq!(from.after(step).ok(), want, "{from:?} {step:?}");
            }
        }
    }

    #[test]
    fn what_is_refused_is_told_in_a_sentence_of_its_own() {
        for from in StrategyState::ALL {
            for step in [Start, Pause, Resume, Stop] {
                if let Err(illegal) = from.after(step) {
                    let told = illegal.to_string();
                    assert!(!told.contains("cannot go there"), "{from:?} {step:?}");
                }
            }
        }
    }

    #[test]
    fn names_and_numbers_come_back() {
        for (raw, state) in (0..).zip(StrategyState::ALL) {
            assert_eq!(StrategyState::from_raw(raw), Some(state));
            assert_eq!(StrategyState::from_name(state.name()), Some(state));
        }
        assert_eq!(StrategyState::from_raw(5), None);
    }
}
