//! Balances by the venue's word beside ours by fills: what positions are where a venue speaks of none.
//!
//! ```text
//!   told while nothing of ours works there, or twice the same ─▶ the opening: from here on fills count
//!   fill ─▶ base, quote and fee move ours; what the venue said before is old
//!   compared, every order's fate known ─▶ ours against what the venue told since the comparison began
//!     equal                                         ─▶ nothing
//!     as far apart as rounding makes                ─▶ taken and written down: all of it while nothing of ours works
//!                                                      there, else what two comparisons in a row found of it
//!     differs, the first time                       ─▶ trading there waits for another comparison: a fill may be on its way
//!     differs by the same numbers again, little     ─▶ corrected: the venue's word is taken
//!                                         more      ─▶ the venue is halted; a named person who resumes it takes its word
//! ```
//! What differs for good is what no fill of ours explains: deposits, withdrawals, transfers, orders of others, interest.
//! Each venue rounds money in its own way, and its fees in another: a ten-thousandth of what fills moved since the
//! comparison before the last is that, and never more than [`Engine::set_balance_rounding`] says. While orders work there
//! a fill may be on its way and as small: what stood in the comparison before as well is none.
//!
//! Compared is what spot instruments of ours are in, and what their fees were paid in. An asset a derivative of ours is in
//! as well is shown and not compared: it moves with prices, and positions are compared instead.
//! An account others trade in ([`Engine::share_account`]) is shown and not compared either. Every venue is asked for
//! its balances last in a comparison, after the fills; a push that comes before its fill is old once the fill is heard.

use super::Engine;
use super::account::Differences;
use crate::inputs::{Input, Setting};
use dp_journal::Entry;
use dp_journal::entry::{self, BalanceCause};
use dp_risk::Trip;
use dp_shm::{BALANCES_MAX, BalanceState, Counter};
use dp_types::limit::ASSETS_MAX;
use dp_types::{
    AssetId, Balance, FillReport, Instrument, Notional, Now, Price, Qty, Side, UnixNanos, VenueId,
};

/// What fills moved, over what rounding may come to.
const ROUNDING: u128 = 10_000;
/// One of anything.
const ONE: i128 = 1_000_000_000_000;
/// What rounding may come to of an asset nobody named and whose worth is not known: a hundredth of one.
const ROUNDING_MAX: Notional = Notional(ONE / 100);

/// One asset at one venue.
#[derive(Debug, Clone, Copy)]
struct Purse {
    state: BalanceState,
    /// Told since the comparison under way began, and since our latest fill.
    is_fresh: bool,
    /// As told at the comparison before, while the opening is not known.
    before: Option<Notional>,
    /// Ours and theirs when they differed last.
    differed: Option<(Notional, Notional)>,
    /// What the venue had beyond ours at the comparison before, within rounding, and the turnover then.
    rounded: Option<Rounded>,
}

/// A difference within rounding.
#[derive(Debug, Clone, Copy)]
struct Rounded {
    beyond: i128,
    turnover: Notional,
}

/// Balances of one lane.
#[derive(Debug)]
pub(super) struct Purses {
    held: Vec<Purse>,
    tolerances: Box<[Notional]>,
    /// The most that rounding may come to; 0: nobody said.
    roundings: Box<[Notional]>,
}

/// What a comparison came to for one asset.
enum Verdict {
    /// Nothing to compare, or nothing to do.
    Nothing,
    /// Rounding: write it down and take so much of it.
    Round(i128),
    /// Write this down and take the venue's word.
    Take(BalanceCause),
    /// It differs, once.
    Differs,
    /// It differs for good, by more than it may.
    Beyond,
}

impl Purse {
    const fn new(venue: VenueId, asset: AssetId) -> Self {
        Self {
            state: BalanceState {
                venue,
                asset,
                lane: dp_types::LaneId(0),
                ours: None,
                theirs: None,
                locked: Notional(0),
                tolerance: Notional(0),
                turnover: Notional(0),
                is_compared: false,
                differs: false,
                told: UnixNanos(0),
                moved: UnixNanos(0),
                journal_seq: 0,
                updated: UnixNanos(0),
            },
            is_fresh: false,
            before: None,
            differed: None,
            rounded: None,
        }
    }

    /// `is_quiet`: nothing of ours works at the venue. `rounding_max`: the most that rounding may come to.
    fn judge(&mut self, is_quiet: bool, rounding_max: Notional) -> Verdict {
        let (Some(theirs), true) = (self.state.theirs, self.is_fresh && self.state.is_compared)
        else {
            return Verdict::Nothing;
        };
        let Some(ours) = self.state.ours else {
            let is_known = is_quiet || self.before.replace(theirs) == Some(theirs);
            return if is_known {
                Verdict::Take(BalanceCause::Opening)
            } else {
                Verdict::Nothing
            };
        };
        let beyond = theirs.0.abs_diff(ours.0);
        if beyond == 0 {
            self.take();
            return Verdict::Nothing;
        }
        let rounding = self.state.turnover.0.unsigned_abs() / ROUNDING;
        let rounding = rounding.min(rounding_max.0.unsigned_abs());
        if beyond <= rounding {
            return self.round(theirs.0.saturating_sub(ours.0), is_quiet);
        }
        if self.differed.replace((ours, theirs)) != Some((ours, theirs)) {
            return Verdict::Differs;
        }
        let tolerance = self.state.tolerance.0.unsigned_abs();
        if beyond <= tolerance.saturating_add(rounding) {
            Verdict::Take(BalanceCause::Corrected)
        } else {
            Verdict::Beyond
        }
    }

    /// Within rounding: what of it is no fill on its way.
    fn round(&mut self, beyond: i128, is_quiet: bool) -> Verdict {
        self.differed = None;
        if is_quiet {
            return Verdict::Round(beyond);
        }
        let turnover = self.state.turnover;
        let before = self.rounded.replace(Rounded { beyond, turnover });
        let Some(before) = before else {
            return Verdict::Nothing;
        };
        // Rounding of what was moved before that comparison is in what it found: it is not allowed for once more.
        let since = turnover.0.saturating_sub(before.turnover.0);
        self.state.turnover = Notional(since);
        if before.beyond.signum() != beyond.signum() {
            self.rounded = Some(Rounded {
                beyond,
                turnover: self.state.turnover,
            });
            return Verdict::Nothing;
        }
        let stood = before.beyond.unsigned_abs().min(beyond.unsigned_abs());
        let stood = beyond.signum() * i128::try_from(stood).unwrap_or(i128::MAX);
        self.rounded = Some(Rounded {
            beyond: beyond.saturating_sub(stood),
            turnover: self.state.turnover,
        });
        Verdict::Round(stood)
    }

    /// The venue's word is ours.
    fn take(&mut self) {
        self.state.ours = self.state.theirs;
        self.state.turnover = Notional(0);
        (self.before, self.differed, self.rounded) = (None, None, None);
    }

    const fn entry(&self, cause: BalanceCause) -> Option<Entry> {
        let (Some(ours), Some(theirs)) = (self.state.ours, self.state.theirs) else {
            return None;
        };
        Some(Entry::Balance(entry::Balance {
            venue: self.state.venue,
            asset: self.state.asset,
            cause,
            ours,
            theirs,
            allowed: self.state.tolerance,
        }))
    }
}

impl Purses {
    /// Nothing is known. Takes its memory here.
    pub(super) fn new() -> Self {
        Self {
            held: Vec::with_capacity(BALANCES_MAX),
            tolerances: vec![Notional(0); ASSETS_MAX].into_boxed_slice(),
            roundings: vec![Notional(0); ASSETS_MAX].into_boxed_slice(),
        }
    }

    /// The purse of an asset and its place, made where there is none; `None`: it is none of ours, or there is no room.
    fn at(&mut self, venue: VenueId, asset: AssetId) -> Option<(usize, &mut Purse)> {
        let tolerance = *self.tolerances.get(usize::from(asset.0))?;
        let is_it = |purse: &Purse| (purse.state.venue, purse.state.asset) == (venue, asset);
        let place = self.held.iter().position(is_it);
        let place = place.unwrap_or(self.held.len());
        if place == self.held.len() {
            if place >= BALANCES_MAX {
                return None;
            }
            let mut purse = Purse::new(venue, asset);
            purse.state.tolerance = tolerance;
            self.held.push(purse);
        }
        self.held.get_mut(place).map(|purse| (place, purse))
    }

    /// What was told before a comparison is old in it.
    pub(super) fn begin(&mut self, venue: VenueId) {
        for purse in self.held.iter_mut().filter(|it| it.state.venue == venue) {
            purse.is_fresh = false;
        }
    }
}

impl Engine<'_> {
    /// Sets how far a venue's word of an asset may be from ours, on every venue.
    pub fn set_balance_tolerance(&mut self, asset: AssetId, tolerance: Notional) {
        let setting = Setting::BalanceTolerance(asset, tolerance);
        self.wall.tap.tell(|| Input::Set(setting));
        if let Some(held) = self.purses.tolerances.get_mut(usize::from(asset.0)) {
            *held = tolerance;
        }
        let held = self.purses.held.iter_mut();
        for purse in held.filter(|it| it.state.asset == asset) {
            purse.state.tolerance = tolerance;
        }
    }

    /// Sets how much of an asset rounding may come to, on every venue; 0: what one of the reporting currency is worth
    /// in it, or a hundredth of one where that is not known.
    pub fn set_balance_rounding(&mut self, asset: AssetId, max: Notional) {
        let setting = Setting::BalanceRounding(asset, max);
        self.wall.tap.tell(|| Input::Set(setting));
        if let Some(held) = self.purses.roundings.get_mut(usize::from(asset.0)) {
            *held = max;
        }
    }

    /// The most that rounding of an asset may come to.
    fn rounding_max(&self, asset: AssetId) -> Notional {
        let named = self.purses.roundings.get(usize::from(asset.0)).copied();
        let named = named.filter(|it| it.0 > 0);
        let rate = self.watches.rates.rate(asset);
        let of_rate = |rate| (ONE * ONE).checked_div(i128::from(rate)).map(Notional);
        named.or_else(|| of_rate(rate?)).unwrap_or(ROUNDING_MAX)
    }

    /// Others trade in this venue's account: its balances do not follow from our fills.
    pub fn share_account(&mut self, venue: VenueId) {
        self.wall
            .tap
            .tell(|| Input::Set(Setting::SharedAccount(venue)));
        if let Some(state) = self.venue_mut(venue) {
            state.has_shared_account = true;
        }
    }

    /// What fills came to in an earlier run.
    pub(super) fn recover_balances(&mut self, recovered: &dp_journal::Recovered, now: Now) {
        for ((venue, asset), state) in &recovered.balances {
            if self.venue(*venue).is_none() {
                continue;
            }
            if let Some((place, purse)) = self.purses.at(*venue, *asset) {
                purse.state.ours = state.ours;
                purse.state.turnover = state.turnover;
                purse.state.moved = state.moved;
                self.show_balance(place, now);
            }
        }
    }

    /// A venue told a balance of ours.
    pub(super) fn on_balance(&mut self, balance: &Balance, now: Now) {
        let parts = (Notional::of(balance.free), Notional::of(balance.locked));
        let (Some(free), Some(locked)) = parts else {
            self.wall.count(Counter::DecodeErrors);
            return;
        };
        let Some(total) = free.checked_add(locked) else {
            self.wall.count(Counter::DecodeErrors);
            return;
        };
        if let Some((place, purse)) = self.purses.at(balance.venue, balance.asset) {
            (purse.state.theirs, purse.state.locked) = (Some(total), locked);
            purse.state.told = now.unix;
            purse.is_fresh = true;
            self.show_balance(place, now);
        }
    }

    /// A fill was booked: both assets of a spot instrument move, and what the fee was paid in.
    pub(super) fn move_balances(
        &mut self,
        instrument: &Instrument,
        report: &FillReport,
        side: Side,
        (price, qty): (Price, Qty),
        now: Now,
    ) {
        let sign = i128::from(side.sign());
        let mut quote = Some(Notional(0));
        if instrument.is_spot {
            let signed = |amount: Notional, sign: i128| amount.0.checked_mul(sign).map(Notional);
            let amount = Notional::of(instrument.qty_decimal(qty));
            let base = amount.and_then(|it| signed(it, sign));
            let value = instrument.notional(price, qty);
            quote = value.and_then(|it| signed(it, -sign));
            self.move_balance(instrument.venue, instrument.base, base, now);
        }
        let fee = Notional::of(report.fee).map(|fee| Notional(fee.0.saturating_neg()));
        self.move_balance(instrument.venue, report.fee_asset, fee, now);
        // Last and always: by its line the next run sees that the others were written.
        self.move_balance(instrument.venue, instrument.quote, quote, now);
    }

    fn move_balance(&mut self, venue: VenueId, asset: AssetId, by: Option<Notional>, now: Now) {
        let Some((place, purse)) = self.purses.at(venue, asset) else {
            return;
        };
        let state = &mut purse.state;
        // What cannot be added up is not known: the venue's word is taken anew.
        state.ours = match (state.ours, by) {
            (Some(ours), Some(by)) => ours.checked_add(by),
            _ => None,
        };
        let moved = by.unwrap_or_default().0.saturating_abs();
        state.turnover = Notional(state.turnover.0.saturating_add(moved));
        state.moved = now.unix;
        state.differs = false;
        purse.is_fresh = false;
        (purse.before, purse.differed) = (None, None);
        self.show_balance(place, now);
    }

    /// Whether an asset's balance at a venue follows from fills.
    fn follows_from_fills(&self, venue: VenueId, asset: AssetId, has_moved: bool) -> bool {
        if self.venue(venue).is_some_and(|it| it.has_shared_account) {
            return false;
        }
        let ours = self.instruments.iter().filter(|it| it.venue == venue);
        let mut is_in_spot = false;
        for it in ours.filter(|it| it.base == asset || it.quote == asset) {
            if !it.is_spot {
                return false;
            }
            is_in_spot = true;
        }
        is_in_spot || has_moved
    }

    /// A comparison of orders and fills has ended, and every fate is known: balances too.
    pub(super) fn compare_balances(&mut self, venue: VenueId, now: Now) -> Differences {
        let mut found = Differences::default();
        let strangers = self.venue(venue).map_or(0, |state| state.strangers.len());
        let is_quiet = strangers == 0 && !self.oms.all_held().any(|order| order.venue == venue);
        for place in 0..self.purses.held.len() {
            let Some(purse) = self.purses.held.get(place).copied() else {
                break;
            };
            let BalanceState { asset, moved, .. } = purse.state;
            if purse.state.venue != venue {
                continue;
            }
            let is_compared = self.follows_from_fills(venue, asset, moved.0 > 0);
            let rounding_max = self.rounding_max(asset);
            let Some(purse) = self.purses.held.get_mut(place) else {
                break;
            };
            purse.state.is_compared = is_compared;
            let verdict = purse.judge(is_quiet, rounding_max);
            purse.state.differs = purse.differed.is_some();
            match verdict {
                Verdict::Nothing => {}
                Verdict::Round(by) => self.round_balance(place, by, now),
                Verdict::Take(cause) => {
                    if cause == BalanceCause::Corrected {
                        found.differ += 1;
                        found.corrected += 1;
                    }
                    self.take_balance(place, cause, now);
                }
                Verdict::Differs => {
                    let beyond = purse.state.beyond().unwrap_or_default();
                    tracing::warn!(%venue, asset = asset.0, %beyond, "a balance is another than fills make of it: trading \
                        there waits for another comparison");
                    found.differ += 1;
                    found.is_open = true;
                }
                Verdict::Beyond => {
                    found.differ += 1;
                    self.halt_for_balance(place, now);
                }
            }
            self.show_balance(place, now);
        }
        found
    }

    /// A named person resumed a venue: what one has there is what it says.
    pub(super) fn take_their_balances(&mut self, venue: VenueId, now: Now) {
        for place in 0..self.purses.held.len() {
            let purse = self.purses.held.get(place);
            if purse.is_some_and(|it| it.state.venue == venue && it.differed.is_some()) {
                self.take_balance(place, BalanceCause::Taken, now);
                self.show_balance(place, now);
            }
        }
    }

    fn take_balance(&mut self, place: usize, cause: BalanceCause, now: Now) {
        let Some(purse) = self.purses.held.get_mut(place) else {
            return;
        };
        let entry = if cause == BalanceCause::Opening {
            purse.take();
            purse.entry(cause)
        } else {
            let entry = purse.entry(cause);
            let BalanceState { venue, asset, .. } = purse.state;
            let beyond = purse.state.beyond().unwrap_or_default();
            tracing::warn!(%venue, asset = asset.0, %beyond, "balance corrected: the venue's word is taken");
            purse.take();
            entry
        };
        purse.state.differs = false;
        if let Some(entry) = entry {
            self.wall.fact(now.unix, &entry);
        }
    }

    /// Takes so much of what the venue has beyond ours, within rounding, and writes it down.
    fn round_balance(&mut self, place: usize, by: i128, now: Now) {
        let Some(purse) = self.purses.held.get_mut(place) else {
            return;
        };
        if by == 0 {
            return;
        }
        let state = &mut purse.state;
        let taken = state.ours.and_then(|ours| ours.checked_add(Notional(by)));
        let entry = purse.entry(BalanceCause::Rounded);
        if taken == purse.state.theirs {
            purse.take();
        } else {
            purse.state.ours = taken;
        }
        if let (Some(Entry::Balance(mut entry)), Some(taken)) = (entry, taken) {
            entry.theirs = taken;
            self.wall.fact(now.unix, &Entry::Balance(entry));
        }
    }

    fn halt_for_balance(&mut self, place: usize, now: Now) {
        let Some(purse) = self.purses.held.get(place).copied() else {
            return;
        };
        let (venue, state) = (purse.state.venue, purse.state);
        // One record a halt: which asset it was, the halt itself has no room for.
        if !self.is_halted(venue, None)
            && let Some(entry) = purse.entry(BalanceCause::Differs)
        {
            self.wall.fact(now.unix, &entry);
        }
        let trip = Trip::Balance {
            asset: state.asset.0,
            theirs: state.theirs.unwrap_or_default(),
            ours: state.ours.unwrap_or_default(),
        };
        self.halt(venue, None, trip, now);
    }

    /// Renews the line of a balance.
    fn show_balance(&mut self, place: usize, now: Now) {
        if let Some(purse) = self.purses.held.get_mut(place) {
            purse.state.updated = now.unix;
            self.wall.show_balance(place, purse.state);
        }
    }
}
