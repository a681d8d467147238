//! What is watched while orders work: losses, refusals, markets that run away, positions beyond their limits, exposure.
//!
//! ```text
//!   fill, time ─▶ equity in one currency ─▶ day's loss, drawdown ─▶ kill switch
//!   answers of a venue ─▶ share of refusals ─▶ that venue halted        halted: nothing new, everything cancelled,
//!   mid ─▶ how far, how fast ─▶ that instrument halted                    until a named person resumes it
//!   fill ─▶ position over its limit ─▶ what would add to it is cancelled
//! ```
//! Whatever trips does so within the event that showed it: the gate refuses and the cancels are among that event's
//! actions. Equity counts each instrument by itself; a fill counts its own anew, time all of them, so that a message of a
//! book costs a look at its own mid and no more.

use super::{Action, Engine};
use crate::inputs::{Elsewhere, Input, Setting};
use crate::wall::{funding_entry, position_entry, position_state};
use dp_journal::Entry;
use dp_journal::entry::{self, Risk};
use dp_oms::{Ledger, Position};
use dp_risk::{LossWatch, MoveWatch, Rates, Trip, WatchLimits, million_of};
use dp_shm::{Counter, HALTS_SHOWN, HaltNote, RiskState};
use dp_types::limit::ASSETS_MAX;
use dp_types::{
    AssetId, CancelOrder, Instrument, InstrumentId, LaneId, Notional, Now, Payoff, Price, Qty,
    Side, StrategyId, Text, UnixNanos, VenueId,
};

/// How often equity is journaled when it has changed.
const EQUITY_NS: u64 = 10_000_000_000;
/// A lane that has not shown where it stands for so long is none of this run.
const SHOWN_NS: u64 = 60_000_000_000;
/// A P&L of one instrument beyond this cannot be added up with those of 1,023 others.
const PNL_MAX: i128 = i128::MAX / 4_096;

/// What is watched of one instrument.
#[derive(Debug, Clone, Default)]
struct Line {
    /// The latest price it was valued at.
    mark: Price,
    /// Realised + unrealised + funding - fees, reporting currency.
    pnl: Notional,
    /// Why `pnl` is not right: its worth is not known. It is what was known last.
    is_uncounted: bool,
    /// An earlier run left some of it, and in this one it was never counted.
    is_missing: bool,
    /// A fill took it over its limit, and none has brought it back.
    is_over: bool,
    moves: MoveWatch,
}

/// What is halted.
#[derive(Debug, Clone, Copy)]
struct Halt {
    venue: VenueId,
    instrument: Option<InstrumentId>,
    trip: (u8, i64, i64),
}

/// Watches of one lane.
#[derive(Debug)]
pub(super) struct Watches {
    pub(super) limits: WatchLimits,
    loss: LossWatch,
    /// Of what is counted, while some of what an earlier run left is missing: compared with the whole of then it would
    /// be a loss, or hide one.
    meanwhile: LossWatch,
    pub(super) rates: Rates,
    /// Whose mid an asset's rate is.
    sources: Box<[Option<InstrumentId>]>,
    currency: Option<AssetId>,
    lines: Box<[Line]>,
    /// The lines' P&L added up, how many of them are not right, and how many never were.
    equity: i128,
    uncounted: usize,
    missing: usize,
    /// Paid in and not counted: its worth was not known.
    lacking: Vec<AssetId>,
    elsewhere: Elsewhere,
    halts: Vec<Halt>,
    /// As last journaled, and when it may be again.
    journaled: Option<dp_risk::Equity>,
    journal_due: UnixNanos,
}

impl Watches {
    /// Nothing is watched. Takes its memory here.
    pub(super) fn new(instruments: usize) -> Self {
        Self {
            limits: WatchLimits::default(),
            loss: LossWatch::default(),
            meanwhile: LossWatch::default(),
            rates: Rates::new(ASSETS_MAX),
            sources: vec![None; ASSETS_MAX].into_boxed_slice(),
            currency: None,
            lines: vec![Line::default(); instruments].into_boxed_slice(),
            equity: 0,
            uncounted: 0,
            missing: 0,
            lacking: Vec::with_capacity(ASSETS_MAX + 1),
            elsewhere: Elsewhere::default(),
            halts: Vec::with_capacity(instruments + dp_shm::layout::VENUES_MAX),
            journaled: None,
            journal_due: UnixNanos(0),
        }
    }

    /// Takes a line's P&L as it is now; `None` = it cannot be told in the reporting currency.
    fn count(&mut self, id: InstrumentId, mark: Price, pnl: Option<Notional>) {
        let Some(line) = self.lines.get_mut(id.0 as usize) else {
            return;
        };
        line.mark = mark;
        let pnl = pnl.filter(|pnl| pnl.0.checked_abs().is_some_and(|size| size <= PNL_MAX));
        self.uncounted -= usize::from(line.is_uncounted);
        line.is_uncounted = pnl.is_none();
        self.uncounted += usize::from(line.is_uncounted);
        if let Some(pnl) = pnl {
            self.equity += pnl.0 - line.pnl.0;
            line.pnl = pnl;
            self.missing -= usize::from(core::mem::take(&mut line.is_missing));
        }
    }

    /// An earlier run left some of an instrument: until it is counted, not everything is.
    fn miss(&mut self, id: InstrumentId) {
        if let Some(line) = self.lines.get_mut(id.0 as usize) {
            self.missing += usize::from(!core::mem::replace(&mut line.is_missing, true));
        }
    }

    /// What nothing can be added to for want of, if anything ([`dp_risk::Exposures::set_blind`]).
    fn blind(&self) -> Option<AssetId> {
        let missing = (self.missing > 0).then_some(AssetId::NONE);
        let is_unknown = |it: &AssetId| self.rates.rate(*it).is_none();
        missing.or_else(|| self.lacking.iter().copied().find(is_unknown))
    }

    /// Whatever must stay within the journal beside orders: positions by strategy, halts, equity.
    pub(super) fn standing<'e>(
        &'e self,
        ledger: &'e Ledger,
        instruments: &'e [Instrument],
        now: Now,
    ) -> impl Iterator<Item = Entry> + 'e {
        let halts = self.halts.iter().map(|halt| halt.entry(true, ""));
        let equity = self.loss.equity().map(|equity| equity_entry(&equity));
        let parts = instruments.iter().flat_map(move |it| {
            let mark = self
                .lines
                .get(it.id.0 as usize)
                .map_or(Price(0), |line| line.mark);
            let parts = ledger.parts(it.id).filter(|(_, part)| !part.is_untouched());
            parts.flat_map(move |(strategy, part)| {
                let state = position_state(it, part, mark, now);
                let place = (it.id, *strategy);
                let funding =
                    (state.funding.0 != 0).then(|| funding_entry(place, it.venue, &state));
                let position = position_entry(place, it.venue, &state);
                core::iter::once(position).chain(funding)
            })
        });
        halts.chain(equity).chain(parts)
    }

    /// What a fee in one asset is in another, where both are known.
    pub(super) fn between(&self, amount: Notional, from: AssetId, to: AssetId) -> Option<Notional> {
        self.rates.between(amount, from, to)
    }
}

impl Engine<'_> {
    /// Sets what trips, from now on.
    pub fn set_watch(&mut self, limits: WatchLimits) {
        self.wall.tap.tell(|| Input::Set(Setting::Watch(limits)));
        self.watch_by(limits);
    }

    /// As [`Engine::set_watch`], of limits that were read.
    pub(super) fn watch_by(&mut self, limits: WatchLimits) {
        if limits.move_ns != self.watches.limits.move_ns {
            // Parts of another length are other parts.
            self.watches
                .lines
                .iter_mut()
                .for_each(|line| line.moves.reset());
        }
        self.watches.limits = limits;
        self.count_money();
    }

    /// Sets the largest gross exposure, reporting currency; 0 = not limited.
    pub fn set_exposure_max(&mut self, max: Notional) {
        self.wall.tap.tell(|| Input::Set(Setting::ExposureMax(max)));
        self.limit_exposure(max);
    }

    /// As [`Engine::set_exposure_max`], of limits that were read.
    pub(super) fn limit_exposure(&mut self, max: Notional) {
        self.gate.exposures_mut().set_gross_max(max);
        self.count_money();
    }

    /// Sets the largest worth of one order, reporting currency; 0 = not limited.
    pub fn set_order_value_max(&mut self, max: Notional) {
        let setting = Setting::OrderValueMax(max);
        self.wall.tap.tell(|| Input::Set(setting));
        self.limit_order_value(max);
    }

    /// As [`Engine::set_order_value_max`], of limits that were read.
    pub(super) fn limit_order_value(&mut self, max: Notional) {
        self.gate.exposures_mut().set_order_max(max);
        self.count_money();
    }

    /// Sets the largest exposure in one asset over all venues, reporting currency; 0 = not limited.
    pub fn set_currency_max(&mut self, asset: AssetId, max: Notional) {
        let setting = Setting::CurrencyMax(asset, max);
        self.wall.tap.tell(|| Input::Set(setting));
        self.limit_currency(asset, max);
    }

    /// As [`Engine::set_currency_max`], of limits that were read.
    pub(super) fn limit_currency(&mut self, asset: AssetId, max: Notional) {
        self.gate.exposures_mut().set_currency_max(asset, max);
        self.count_money();
    }

    /// Names the currency that money is counted in.
    pub fn set_currency(&mut self, asset: AssetId) {
        self.wall.tap.tell(|| Input::Set(Setting::Currency(asset)));
        self.watches.currency = Some(asset);
        self.watches.rates.set(asset, 1_000_000_000_000);
        self.count_money();
    }

    /// One unit of an asset is worth `rate` 10^-12 of the reporting currency, until an instrument of the two has a price.
    pub fn set_rate(&mut self, asset: AssetId, rate: u64) {
        self.wall
            .tap
            .tell(|| Input::Set(Setting::Rate(asset, rate)));
        let source = self.watches.sources.get(usize::from(asset.0)).copied();
        if source.flatten().is_none() && self.watches.currency != Some(asset) {
            self.watches.rates.set(asset, rate);
        }
    }

    /// Where an earlier run stood: what is halted stays so, and no loss is forgotten.
    pub(super) fn recover_watches(&mut self, recovered: &dp_journal::Recovered) {
        for halt in recovered.halts.values() {
            if self.venue(halt.venue).is_some() {
                self.watches.halts.push(Halt {
                    venue: halt.venue,
                    instrument: halt.instrument,
                    trip: (halt.rule, halt.observed, halt.limit),
                });
            }
        }
        self.obey_halts();
        if let Some(equity) = recovered.equity.get(&self.wall.lane()) {
            self.watches.loss.restore(dp_risk::Equity {
                day: equity.day,
                at_midnight: equity.at_midnight,
                highest: equity.highest,
                now: equity.now,
            });
        }
        for (id, state) in &recovered.positions {
            if let Some(line) = self.watches.lines.get_mut(id.0 as usize) {
                line.mark = state.mark;
            }
        }
        for at in 0..self.instruments.len() as u32 {
            let id = InstrumentId(at);
            if !self.ledger.total(id).is_untouched() {
                self.watches.miss(id);
            }
        }
        self.look_for_blindness();
    }

    /// Tells the gate whether everything is counted.
    fn look_for_blindness(&mut self) {
        let blind = self.watches.blind();
        self.gate.exposures_mut().set_blind(blind);
    }

    /// Something was paid in an asset whose worth is not known.
    pub(super) fn lack_worth(&mut self, asset: AssetId, instrument: &Instrument) {
        let lacking = &mut self.watches.lacking;
        if !lacking.contains(&asset) {
            // It has room for every asset, and for none.
            lacking.push(asset);
            tracing::warn!(
                venue = %instrument.venue, symbol = %instrument.symbol, asset = asset.0,
                "a fee or payment is in an asset whose worth is not known, and is not in the profit: \
                 give its rate in [risk], or an instrument of it"
            );
        }
        self.look_for_blindness();
    }

    // ---- events -------------------------------------------------------------------------------

    /// The mid of a book has moved.
    #[inline]
    pub(super) fn watch_move(&mut self, id: InstrumentId, now: Now) {
        if self.watches.limits.move_bps_max == 0 {
            return;
        }
        let (Some(mid), Some(line)) = (self.mark(id), self.watches.lines.get_mut(id.0 as usize))
        else {
            return;
        };
        if let Some(trip) = line.moves.on_mid(mid, &self.watches.limits, now.unix)
            && let Some(instrument) = self.instrument(id)
        {
            self.halt(instrument.venue, Some(id), trip, now);
        }
    }

    /// A venue answered a new order or an amend.
    pub(super) fn watch_answer(&mut self, venue: VenueId, is_refused: bool, now: Now) {
        let limits = self.watches.limits;
        let Some(state) = self.venue_mut(venue) else {
            return;
        };
        if let Some(trip) = state.rejects.on_answer(is_refused, &limits) {
            self.halt(venue, None, trip, now);
        }
    }

    /// A fill was booked: its instrument's position and P&L are what they are now.
    pub(super) fn watch_fill(&mut self, instrument: &Instrument, total: &Position, now: Now) {
        self.recount(instrument);
        self.watch_equity(now);
        let (id, held) = (instrument.id, total.held());
        let limit = self
            .gate
            .limits(id)
            .map_or(Qty(0), |limits| limits.position_max);
        let is_over = held.0.unsigned_abs() > limit.0.unsigned_abs();
        let was_over = match self.watches.lines.get_mut(id.0 as usize) {
            Some(line) => core::mem::replace(&mut line.is_over, is_over),
            None => return,
        };
        if !is_over {
            return;
        }
        if !was_over {
            let trip = Trip::Position {
                qty: held.0,
                limit: limit.0,
            };
            self.tell(trip, Some(instrument), now);
        }
        let adds = if held.0 > 0 { Side::Buy } else { Side::Sell };
        let orders = self.oms.live(id);
        let orders: Vec<CancelOrder> = orders
            .filter(|order| order.side == adds && !order.is_cancelling)
            .map(dp_oms::Order::named)
            .collect();
        for order in &orders {
            self.cancel(order, now);
        }
    }

    /// Funding was paid: its instrument's P&L is what it is now.
    pub(super) fn watch_funding(&mut self, instrument: &Instrument, now: Now) {
        self.recount(instrument);
        self.watch_equity(now);
    }

    /// Time passed: rates and worths by the mids as they are, equity of everything, exposure of everything.
    pub(super) fn watch_time(&mut self, now: Now) {
        self.read_rates();
        for at in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get(at).copied() else {
                break;
            };
            let is_known = self.books.get(at).is_some_and(Option::is_some);
            if !is_known {
                continue;
            }
            self.recount(&instrument);
            let id = instrument.id;
            let working = self.oms.exposure(id);
            let held = self.ledger.total(id).held();
            let mark = self.last_mark(id);
            let million = million_of(&instrument, mark).filter(|_| mark.0 > 0);
            let worth = million.and_then(|it| self.watches.rates.convert(it, instrument.quote));
            let exposures = self.gate.exposures_mut();
            exposures.set_worth(&instrument, worth);
            exposures.show(id, held, working.buy, working.sell);
        }
        self.look_for_blindness();
        self.watch_equity(now);
        self.journal_equity(now);
        self.show_risk(now);
    }

    /// Reads what the node's other lanes have lost today and what they hold: the day's loss and gross exposure are the node's.
    pub(super) fn look_elsewhere(&mut self, now: Now) {
        if self.wall.tap.is_replay() {
            return;
        }
        let (own, region) = (self.wall.lane(), self.wall.region);
        let mut sum = Elsewhere::default();
        let others = (0..region.shape().lanes as u8).map(LaneId);
        for lane in others.filter(|lane| *lane != own) {
            let shown = region.risk(lane).and_then(dp_shm::RiskLine::read);
            let is_live = |it: &RiskState| now.unix.since(it.updated) < SHOWN_NS;
            if let Some(it) = shown.filter(is_live) {
                let loss = it.at_midnight.0.saturating_sub(it.equity.0);
                sum.loss.0 = sum.loss.0.saturating_add(loss);
                sum.gross.0 = sum.gross.0.saturating_add(it.gross.0);
            }
        }
        if sum != self.watches.elsewhere {
            self.wall.tap.tell(|| Input::Elsewhere(sum));
            self.take_elsewhere(sum);
        }
    }

    pub(crate) const fn take_elsewhere(&mut self, sum: Elsewhere) {
        self.watches.elsewhere = sum;
        self.gate.exposures_mut().set_elsewhere(sum.gross);
    }

    /// A person armed the kill switch: the drawdown counts anew. The day's loss is the day's: beyond its limit it trips
    /// again, until that is raised or the day is over.
    pub(super) fn watch_armed(&mut self) {
        self.watches.loss.reset_drawdown();
        self.watches.meanwhile.reset_drawdown();
        self.watches.journal_due = UnixNanos(0);
    }

    // ---- halts --------------------------------------------------------------------------------

    /// Halts a venue or one of its instruments, unless it is: nothing new, and what is there is cancelled.
    pub(super) fn halt(
        &mut self,
        venue: VenueId,
        instrument: Option<InstrumentId>,
        trip: Trip,
        now: Now,
    ) {
        let place = (venue, instrument);
        if self.watches.halts.iter().any(|halt| halt.place() == place) {
            return;
        }
        let what = instrument.and_then(|id| self.instrument(id));
        tracing::error!(%venue, symbol = what.map(|it| tracing::field::display(it.symbol)), "halted: {trip}");
        self.tell_at(trip, venue, what.as_ref(), now);
        let (observed, limit) = trip.numbers();
        let halt = Halt {
            venue,
            instrument,
            trip: (trip.code(), observed, limit),
        };
        self.wall.fact(now.unix, &halt.entry(true, ""));
        self.watches.halts.push(halt);
        self.obey_halts();
        match instrument {
            Some(id) if self.oms.live(id).next().is_some() => {
                let cleared = self.gate.clear_cancel_all(id);
                self.act(Action::CancelAll(cleared));
            }
            Some(_) => {}
            None => self.cancel_venue(venue),
        }
    }

    /// Whether a venue, or one of its instruments, is halted.
    pub fn is_halted(&self, venue: VenueId, instrument: Option<InstrumentId>) -> bool {
        let mut halts = self.watches.halts.iter();
        halts.any(|halt| halt.place() == (venue, instrument))
    }

    /// A named person lets a halted venue or instrument go on. What was watched begins anew.
    pub fn resume(
        &mut self,
        venue: VenueId,
        instrument: Option<InstrumentId>,
        who: &str,
        at: UnixNanos,
    ) {
        let halts = &mut self.watches.halts;
        let Some(found) = halts
            .iter()
            .position(|it| it.place() == (venue, instrument))
        else {
            return;
        };
        let halt = halts.remove(found);
        self.wall.fact(at, &halt.entry(false, who));
        match instrument {
            Some(id) => {
                if let Some(line) = self.watches.lines.get_mut(id.0 as usize) {
                    line.moves.reset();
                }
            }
            None => {
                if let Some(state) = self.venue_mut(venue) {
                    state.rejects.reset();
                }
                self.take_their_word(venue, at);
            }
        }
        self.obey_halts();
    }

    /// Tells the gate what is halted.
    pub(super) fn obey_halts(&mut self) {
        let Self {
            instruments,
            watches,
            gate,
            ..
        } = self;
        for instrument in instruments.iter() {
            let is_it = |halt: &Halt| {
                halt.venue == instrument.venue
                    && halt.instrument.is_none_or(|id| id == instrument.id)
            };
            gate.set_halted(instrument.id, watches.halts.iter().any(is_it));
        }
    }

    // ---- money --------------------------------------------------------------------------------

    /// Whether some amount of money is limited: then an order whose worth is not known is refused.
    fn count_money(&mut self) {
        let limits = &self.watches.limits;
        let has_loss = limits.day_loss_max.0 > 0 || limits.drawdown_max.0 > 0;
        let exposures = self.gate.exposures_mut();
        let is_counted = has_loss || exposures.is_limited();
        exposures.set_counted(is_counted);
    }

    /// The price an instrument is valued at: its mid, or what that was last.
    pub(super) fn last_mark(&self, id: InstrumentId) -> Price {
        let line = self.watches.lines.get(id.0 as usize);
        let last = line.map_or(Price(0), |line| line.mark);
        self.mark(id).unwrap_or(last)
    }

    /// What one instrument made, in the reporting currency.
    fn recount(&mut self, instrument: &Instrument) {
        let mark = self.last_mark(instrument.id);
        let watches = &mut self.watches;
        let position = self.ledger.total(instrument.id);
        let made = || {
            let open = position.unrealised(instrument, mark)?;
            let sum = position.realised.checked_add(open)?;
            let sum = sum.checked_add(position.funding)?;
            sum.0.checked_sub(position.fees.0).map(Notional)
        };
        let pnl = if position.is_untouched() {
            Some(Notional(0))
        } else {
            made().and_then(|made| watches.rates.convert(made, instrument.quote))
        };
        watches.count(instrument.id, mark, pnl);
    }

    /// Looks at the equity as it is counted now: what cannot be told at this moment counts as it was told last, and the gate
    /// refuses what would add to it.
    fn watch_equity(&mut self, now: Now) {
        let watches = &mut self.watches;
        if watches.currency.is_none() {
            return;
        }
        let equity = Notional(watches.equity);
        let watch = if watches.missing > 0 {
            &mut watches.meanwhile
        } else {
            &mut watches.loss
        };
        let elsewhere = watches.elsewhere.loss;
        let trip = watch.on_equity((equity, elsewhere), &watches.limits, now.unix);
        let Some(trip) = trip.filter(|_| !self.gate.is_killed()) else {
            return;
        };
        self.tell(trip, None, now);
        let why = trip.to_string();
        self.wall.region.kill().kill("risk", &why, now.unix);
        // The switch is obeyed within this event, not in the next turn.
        self.read_words_within(now);
        self.watches.journal_due = UnixNanos(0);
    }

    /// Rates of assets that are traded against the reporting currency, or against one whose rate is known.
    fn read_rates(&mut self) {
        let Some(currency) = self.watches.currency else {
            return;
        };
        for at in 0..self.instruments.len() {
            let Some(it) = self.instruments.get(at).copied() else {
                break;
            };
            let is_whole = it.multiplier.to_increments(0) == Ok(1);
            // The price of an inverse contract is in dollars, not in its quote: as a rate it would be the rate's square.
            let is_rate = it.payoff == Payoff::Linear && is_whole && it.base != it.quote;
            let Some(mark) = self.mark(it.id).filter(|_| is_rate && it.base != currency) else {
                continue;
            };
            let watches = &mut self.watches;
            let Some(source) = watches.sources.get_mut(usize::from(it.base.0)) else {
                continue;
            };
            if source.is_some_and(|held| held != it.id) {
                continue;
            }
            let price = Notional::of(it.price_decimal(mark));
            let rate = price.and_then(|price| watches.rates.convert(price, it.quote));
            if let Some(rate) = rate.and_then(|rate| u64::try_from(rate.0).ok()) {
                *source = Some(it.id);
                watches.rates.set(it.base, rate);
            }
        }
    }

    fn journal_equity(&mut self, now: Now) {
        let Some(equity) = self.watches.loss.equity() else {
            return;
        };
        // The latest too: over midnight it is what the next day's loss is counted from.
        if self.watches.journaled == Some(equity) || now.unix < self.watches.journal_due {
            return;
        }
        self.watches.journaled = Some(equity);
        self.watches.journal_due = now.unix.after(EQUITY_NS);
        self.wall.fact(now.unix, &equity_entry(&equity));
    }

    // ---- told ---------------------------------------------------------------------------------

    /// Counts and journals what tripped, of one instrument or of everything.
    fn tell(&mut self, trip: Trip, instrument: Option<&Instrument>, now: Now) {
        let venue = instrument.map_or(VenueId(0), |it| it.venue);
        self.tell_at(trip, venue, instrument, now);
    }

    fn tell_at(&mut self, trip: Trip, venue: VenueId, instrument: Option<&Instrument>, now: Now) {
        self.wall.count(Counter::RiskTrips);
        self.wall.violations.count(trip.code());
        let (observed, limit) = trip.numbers();
        let entry = Entry::Risk(Risk {
            rule: trip.code(),
            client_id: None,
            instrument: instrument.map_or(entry::NO_INSTRUMENT, |it| it.id),
            venue,
            strategy: StrategyId::NOBODY,
            observed,
            limit,
        });
        // Not a wish: what stopped trading is on record whatever else is not.
        self.wall.fact(now.unix, &entry);
    }

    fn show_risk(&self, now: Now) {
        let watches = &self.watches;
        let equity = watches.loss.equity().unwrap_or_default();
        let exposures = self.gate.exposures();
        let (gross, gross_max) = exposures.gross();
        let top = exposures.top();
        let (top_exposure, top_max) =
            top.map_or_else(Default::default, |it| exposures.currency(it));
        let mut halts = [None; HALTS_SHOWN];
        for (shown, halt) in halts.iter_mut().zip(&watches.halts) {
            *shown = Some(HaltNote {
                venue: halt.venue,
                instrument: halt.instrument,
                rule: halt.trip.0,
            });
        }
        self.wall.show_risk(&RiskState {
            currency: watches.currency,
            is_counted: watches.uncounted == 0 && watches.blind().is_none(),
            equity: equity.now,
            at_midnight: equity.at_midnight,
            highest: equity.highest,
            day_loss_max: watches.limits.day_loss_max,
            drawdown_max: watches.limits.drawdown_max,
            gross,
            gross_max,
            top,
            top_exposure,
            top_max,
            orders_used: self.gate.rate_used(now.unix),
            orders_max: self.gate.node_limits().orders_per_s_max,
            halts,
            halts_count: watches.halts.len() as u32,
            updated: now.unix,
        });
    }
}

impl Halt {
    const fn place(&self) -> (VenueId, Option<InstrumentId>) {
        (self.venue, self.instrument)
    }

    fn entry(&self, is_halted: bool, who: &str) -> Entry {
        let (rule, observed, limit) = self.trip;
        Entry::Halt(entry::Halt {
            venue: self.venue,
            instrument: self.instrument,
            is_halted,
            rule,
            observed,
            limit,
            who: Text::lossy(who),
        })
    }
}

const fn equity_entry(equity: &dp_risk::Equity) -> Entry {
    Entry::Equity(entry::Equity {
        day: equity.day,
        at_midnight: equity.at_midnight,
        highest: equity.highest,
        now: equity.now,
    })
}
