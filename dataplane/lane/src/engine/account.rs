//! Positions by the venue's word beside ours by fills: what differs for good is corrected, or stops that venue.
//!
//! ```text
//!   Event::Position ─▶ noted           compared, every order's fate known       ─▶ ours against the venue's
//!     equal                                        ─▶ nothing
//!     not told, where the venue lists them         ─▶ trading there waits for another comparison
//!     differs, the first time                      ─▶ trading there waits for another comparison: a fill may be on its way
//!     differs by the same numbers again, little    ─▶ corrected: booked to nobody, at the mark
//!                                        more      ─▶ the venue is halted; a named person who resumes it takes its word
//! ```
//! Compared is what the venue has said since the comparison began and since our latest fill: an older word may be of a
//! position that was liquidated while we were away. A venue that lists positions ([`Engine::await_positions`]) tells each
//! instrument of ours in every comparison, flat ones too; of what another never speaks of (spot) nothing is known.
//! An instrument that never had a book has no mark: it is corrected when its first book comes, since at a price of
//! nothing the whole of it would be profit.

use super::Engine;
use crate::inputs::{Input, Setting};
use crate::wall::position_state;
use dp_risk::Trip;
use dp_types::{
    Instrument, InstrumentId, Now, PositionReport, Qty, Side, StrategyId, UnixNanos, VenueId,
};

/// One instrument's position as its venue tells it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    /// How far it may be from ours, increments.
    tolerance: Qty,
    /// By the venue's latest word.
    theirs: Option<Qty>,
    word: Word,
    /// Ours and theirs when they differed last.
    differed: Option<(Qty, Qty)>,
    /// To be corrected once the instrument has a price.
    is_owed: bool,
}

/// How old a venue's latest word of a position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Word {
    /// It was told before the comparison under way began, or never.
    #[default]
    Old,
    /// It was told in it; a fill of ours has come since.
    Overtaken,
    /// It was told in it, and since our latest fill.
    Fresh,
}

/// What a comparison with a venue's word came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Differences {
    /// How many differ.
    pub(super) differ: u32,
    /// How many of them were corrected.
    pub(super) corrected: u32,
    /// One of them for the first time, or not told of: another comparison tells whether it is for good.
    pub(super) is_open: bool,
}

impl Engine<'_> {
    /// Sets how far a venue's word of a position may be from ours, increments.
    pub fn set_tolerance(&mut self, instrument: InstrumentId, tolerance: Qty) {
        let setting = Setting::Tolerance(instrument, tolerance);
        self.wall.tap.tell(|| Input::Set(setting));
        if let Some(account) = self.accounts.get_mut(instrument.0 as usize) {
            account.tolerance = tolerance;
        }
    }

    /// A venue lists positions: until it has told one of ours in a comparison, that has not ended well.
    pub fn await_positions(&mut self, venue: VenueId) {
        self.wall
            .tap
            .tell(|| Input::Set(Setting::ListedPositions(venue)));
        if let Some(state) = self.venue_mut(venue) {
            state.lists_positions = true;
        }
    }

    /// A comparison begins: what was told before is old in it.
    pub(super) fn begin_positions(&mut self, venue: VenueId) {
        for (account, instrument) in self.accounts.iter_mut().zip(&self.instruments) {
            if instrument.venue == venue {
                account.word = Word::Old;
            }
        }
    }

    /// A venue told a position of ours.
    pub(super) fn on_position(&mut self, report: &PositionReport) {
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
        match (
            instrument.qty(report.qty),
            self.accounts.get_mut(instrument.id.0 as usize),
        ) {
            (Ok(qty), Some(account)) => (account.theirs, account.word) = (Some(qty), Word::Fresh),
            // What it holds is in parts of what can be traded: not a number of ours to compare with.
            _ => self.wall.count(dp_shm::Counter::DecodeErrors),
        }
    }

    /// A fill was booked: what the venue said before it is old.
    pub(super) fn outdate_account(&mut self, instrument: InstrumentId) {
        if let Some(account) = self.accounts.get_mut(instrument.0 as usize) {
            if account.word == Word::Fresh {
                account.word = Word::Overtaken;
            }
            (account.differed, account.is_owed) = (None, false);
        }
    }

    /// A comparison of orders and fills has ended: positions too.
    pub(super) fn compare_positions(&mut self, venue: VenueId, now: Now) -> Differences {
        let mut found = Differences::default();
        for at in 0..self.instruments.len() {
            if let Some(instrument) = self.instrument(InstrumentId(at as u32))
                && instrument.venue == venue
            {
                self.compare_position(&instrument, &mut found, now);
            }
        }
        found
    }

    fn compare_position(&mut self, instrument: &Instrument, found: &mut Differences, now: Now) {
        if instrument.is_spot {
            return;
        }
        let ours = self.ledger.total(instrument.id).held();
        let venue = self.venue(instrument.venue);
        // One without rules may be spot as well, and is not traded.
        let is_due = instrument.tick.0 > 0 && venue.is_some_and(|it| it.lists_positions);
        // While nothing is sent, a word a fill has overtaken is soon followed by one none has.
        let is_settling = venue.is_some_and(|it| it.is_settling);
        let Some(account) = self.accounts.get_mut(instrument.id.0 as usize) else {
            return;
        };
        let Some(theirs) = account.theirs.filter(|_| account.word == Word::Fresh) else {
            let may_wait = account.word == Word::Overtaken && !is_settling;
            if is_due && !may_wait {
                tracing::warn!(symbol = %instrument.symbol, venue = %instrument.venue, "the venue did not tell this \
                    position: trading there waits for another comparison");
                found.is_open = true;
            }
            return;
        };
        if theirs == ours {
            (account.differed, account.is_owed) = (None, false);
            return;
        }
        found.differ += 1;
        if account.differed.replace((ours, theirs)) != Some((ours, theirs)) {
            found.is_open = true;
            return;
        }
        if theirs.0.abs_diff(ours.0) <= account.tolerance.0.unsigned_abs() {
            found.corrected += u32::from(self.correct(instrument, now));
            return;
        }
        let trip = Trip::Mismatch {
            theirs: theirs.0,
            ours: ours.0,
        };
        self.halt(instrument.venue, None, trip, now);
    }

    /// A named person resumed a venue: what it holds by its own word is what we hold.
    pub(super) fn take_their_word(&mut self, venue: VenueId, at: UnixNanos) {
        let now = Now {
            unix: at,
            tsc: dp_types::Tsc(0),
        };
        for at in 0..self.instruments.len() {
            let has_differed = self
                .accounts
                .get(at)
                .is_some_and(|it| it.differed.is_some());
            if let Some(instrument) = self.instrument(InstrumentId(at as u32))
                && instrument.venue == venue
                && has_differed
            {
                self.correct(&instrument, now);
            }
        }
        self.take_their_balances(venue, now);
    }

    /// Corrects what waited for its instrument's first price.
    pub(super) fn correct_owed(&mut self, id: InstrumentId, now: Now) {
        let is_owed = |account: &Account| account.is_owed;
        if self.accounts.get(id.0 as usize).is_some_and(is_owed)
            && let Some(instrument) = self.instrument(id)
        {
            self.correct(&instrument, now);
        }
    }

    /// Books what the venue holds beyond ours to nobody, at the mark: a correction makes neither profit nor loss. False:
    /// not now.
    fn correct(&mut self, instrument: &Instrument, now: Now) -> bool {
        let ours = self.ledger.total(instrument.id).held();
        let mark = self.last_mark(instrument.id);
        let Some(account) = self.accounts.get_mut(instrument.id.0 as usize) else {
            return false;
        };
        account.is_owed = mark.0 <= 0;
        if account.is_owed {
            return false;
        }
        account.differed = None;
        let Some(theirs) = account.theirs else {
            return false;
        };
        let beyond = i128::from(theirs.0) - i128::from(ours.0);
        let (side, qty) = (
            if beyond > 0 { Side::Buy } else { Side::Sell },
            i64::try_from(beyond.unsigned_abs()),
        );
        let Ok(qty) = qty else {
            self.kill_for_range(now);
            return false;
        };
        let nobody = StrategyId::NOBODY;
        let numbers = (mark, Qty(qty));
        let fee = dp_oms::Fee::default();
        match self.ledger.book(instrument, nobody, side, numbers, fee) {
            Ok(booked) => {
                tracing::warn!(symbol = %instrument.symbol, venue = %instrument.venue, "position corrected: \
                    {theirs:?} by the venue's word, {ours:?} by our fills");
                let part = position_state(instrument, &booked.part, mark, now);
                let total = position_state(instrument, &booked.total, mark, now);
                self.wall.take_part(now.unix, instrument, nobody, &part);
                self.wall.show_position(instrument.id, total);
            }
            Err(_) => {
                self.kill_for_range(now);
                return false;
            }
        }
        true
    }
}
