//! The list: every case, by number.
//!
//! F: feeds and books. E: order entry. A: account. S: sessions. A number is never given twice.

mod account;
mod entry;
mod feed;
mod feeds;
mod queues;
mod session;

use crate::trial::{Held, Trial};
use crate::venues::{Follows, Tried};

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Held,
    /// It has no meaning at this venue, and why.
    NotHere(&'static str),
}

/// What a case returns: a verdict, or a sentence saying what was not so.
pub type Outcome = Result<Verdict, String>;

/// One numbered case.
#[derive(Clone, Copy)]
pub struct Case {
    /// `F01`.
    pub id: &'static str,
    /// What must hold, in a line.
    pub what: &'static str,
    /// Hours pass in it: for virtual time only.
    pub is_long: bool,
    /// It takes long where time cannot jump.
    pub is_slow: bool,
    /// Connections that bring the market data.
    pub feeds: usize,
    /// What the lane follows.
    pub follows: Follows,
    /// The case itself; [`Trial::agree`] follows it.
    pub run: fn(&mut Trial<'_, '_>) -> Outcome,
}

/// Every case.
pub const CASES: &[&[Case]] = &[
    feed::CASES,
    feeds::CASES,
    queues::CASES,
    entry::CASES,
    account::CASES,
    session::CASES,
];

/// Every case, in order.
pub fn all() -> impl Iterator<Item = Case> {
    CASES.iter().flat_map(|group| group.iter().copied())
}

impl Case {
    const fn new(
        id: &'static str,
        what: &'static str,
        run: fn(&mut Trial<'_, '_>) -> Outcome,
    ) -> Self {
        Self {
            id,
            what,
            is_long: false,
            is_slow: false,
            feeds: 1,
            follows: Follows::Levels,
            run,
        }
    }

    const fn long(
        id: &'static str,
        what: &'static str,
        run: fn(&mut Trial<'_, '_>) -> Outcome,
    ) -> Self {
        Self {
            id,
            what,
            is_long: true,
            is_slow: true,
            feeds: 1,
            follows: Follows::Levels,
            run,
        }
    }

    /// With single orders.
    const fn orders(
        id: &'static str,
        what: &'static str,
        run: fn(&mut Trial<'_, '_>) -> Outcome,
    ) -> Self {
        Self {
            follows: Follows::Orders,
            ..Self::new(id, what, run)
        }
    }

    /// By two lines.
    const fn by_two(self) -> Self {
        Self { feeds: 2, ..self }
    }

    /// With two connections for the market data.
    const fn twice(
        id: &'static str,
        what: &'static str,
        run: fn(&mut Trial<'_, '_>) -> Outcome,
    ) -> Self {
        Self {
            feeds: 2,
            ..Self::new(id, what, run)
        }
    }

    const fn slow(self) -> Self {
        Self {
            is_slow: true,
            ..self
        }
    }

    /// Whether the venue is known to have no such thing.
    pub fn is_not_of(&self, venue: &Tried) -> bool {
        let has_none = self.follows == Follows::Orders && venue.window.is_none();
        has_none || venue.not_here.contains(&self.id)
    }

    /// Plays it to the end, where everything must agree.
    pub fn play(&self, trial: &mut Trial<'_, '_>) -> Outcome {
        let verdict = if trial.takes_orders() || !self.is_of_orders() {
            (self.run)(trial)?
        } else if self.id == "E10" {
            entry::refused_here(trial)?
        } else {
            return Ok(Verdict::NotHere("it is prices alone"));
        };
        trial.agree()?;
        Ok(verdict)
    }

    /// Whether it means something only where orders are taken.
    fn is_of_orders(&self) -> bool {
        self.id.starts_with(['E', 'A']) || matches!(self.id, "S02" | "S05")
    }
}

/// A case that holds wherever it is asked.
fn held(done: Held) -> Outcome {
    done.map(|()| Verdict::Held)
}
