//! Strategies in their seats: who is called about what, what each is shown, and what becomes of its words.
//!
//! A call is contained: one that panics loses its wishes of that call and its seat until it is made again, and the others
//! go on in the same turn (`super::life`).

use super::wishes::is_reconciled;
use super::{AnyOrders, BookSlot, Engine, VenueState};
use crate::contain::contain;
use dp_book::State;
use dp_oms::{Ledger, Oms};
use dp_risk::Gate;
use dp_shm::{SavedState, Stage};
use dp_strategy::{Boxed, Inputs, Intent, Intents, Kind, Leg, Legs, Strategy, Values, View};
use dp_transport::tsc;
use dp_types::{Instrument, InstrumentId, Now, Qty, StrategyId, StrategyState, Text, UnixNanos};

/// A strategy about to take its seat.
#[derive(Debug, Clone)]
pub struct Seating {
    /// Its place in the configuration.
    pub id: StrategyId,
    /// Its name.
    pub name: Text<31>,
    /// Its instruments, in its own order.
    pub legs: Vec<InstrumentId>,
    /// What it is made by, now and after a fault.
    pub kind: Kind,
    /// What it is set to.
    pub values: Values,
    /// What the configuration says it is set to.
    pub configured: Values,
    /// Whose saved state it may take up ([`dp_shm::StrategySpec::identity`]).
    pub identity: u64,
    /// Where it shall stand.
    pub goal: StrategyState,
    /// What it has learnt in an earlier run.
    pub saved: Option<SavedState>,
}

/// How a strategy is made again.
pub(super) struct Mould {
    pub kind: Kind,
    pub values: Values,
    pub configured: Values,
    pub identity: u64,
    /// The last that it saved and that could be taken up.
    pub saved: Option<SavedState>,
    /// Values being set, of a command that goes on.
    pub pending: Option<Result<Values, dp_strategy::ParamFault>>,
}

/// One strategy on its instruments.
pub(super) struct Seat {
    pub id: StrategyId,
    pub legs: Box<[InstrumentId]>,
    pub inputs: Inputs,
    pub state: StrategyState,
    /// `None` while it is broken.
    pub strategy: Option<Boxed>,
    /// Calls in a row whose wishes did not fit.
    pub floods_in_row: u32,
    /// When its last signal was journaled.
    pub signalled: UnixNanos,
    /// Last refusal journaled, by code, and when.
    pub refused: (u8, UnixNanos),
    pub name: Text<31>,
    /// `None`: it was put here as it is, and cannot be made again.
    pub mould: Option<Box<Mould>>,
    pub record: super::life::Record,
}

impl Engine<'_> {
    /// Seats a strategy as it is on its instruments, in its own order; one that is seated stays. One that breaks is not
    /// made again: see [`Engine::sit`].
    pub fn seat(&mut self, id: StrategyId, legs: &[InstrumentId], strategy: Boxed) {
        if self.is_seated(id) {
            return;
        }
        for leg in legs {
            self.ledger.open(*leg, id);
        }
        self.seats.push(Seat {
            id,
            legs: legs.into(),
            inputs: strategy.inputs(),
            state: StrategyState::Running,
            name: Text::lossy(strategy.name()),
            strategy: Some(strategy),
            floods_in_row: 0,
            signalled: UnixNanos(0),
            refused: (0, UnixNanos(0)),
            mould: None,
            record: super::life::Record::default(),
        });
    }

    /// Whether a strategy has its seat.
    pub fn is_seated(&self, id: StrategyId) -> bool {
        self.seats.iter().any(|seat| seat.id == id)
    }

    /// Where a strategy stands; `None` before it has its seat.
    pub fn strategy_state(&self, id: StrategyId) -> Option<StrategyState> {
        let seat = self.seats.iter().find(|seat| seat.id == id)?;
        Some(seat.state)
    }

    /// Calls every strategy of an instrument that wants to hear this.
    #[inline]
    pub(super) fn call(
        &mut self,
        id: InstrumentId,
        what: Inputs,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        for at in 0..self.seats.len() {
            if let Some(leg) = self.leg_of(at, id, what) {
                self.call_seat(at, leg, now, &speak);
            }
        }
    }

    /// Calls the strategy an order belongs to.
    pub(super) fn call_one(
        &mut self,
        strategy: StrategyId,
        id: InstrumentId,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        if let Some(at) = self.seats.iter().position(|seat| seat.id == strategy)
            && let Some(leg) = self.leg_of(at, id, Inputs::NONE)
        {
            self.call_seat(at, leg, now, speak);
        }
    }

    /// Calls whoever wants to hear the time.
    pub(super) fn call_timers(&mut self, now: Now) {
        for at in 0..self.seats.len() {
            let wants = |seat: &Seat| seat.state.hears() && seat.inputs.has(Inputs::TIMER);
            if self.seats.get(at).is_some_and(wants) {
                self.call_seat(at, 0, now, |strategy, view, out| {
                    strategy.on_timer(view, out);
                });
            }
        }
    }

    /// Which of a seat's instruments this one is, where it hears and wants to hear this.
    #[inline]
    fn leg_of(&self, at: usize, id: InstrumentId, what: Inputs) -> Option<usize> {
        let seat = self.seats.get(at)?;
        if !seat.inputs.has(what) || !seat.state.hears() {
            return None;
        }
        seat.legs.iter().position(|leg| *leg == id)
    }

    fn call_seat(
        &mut self,
        at: usize,
        leg: usize,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        let start = tsc();
        let may_wish = !self.is_paused && !self.is_stopping && self.wall.has_room();
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let Some(strategy) = seat.strategy.as_deref_mut() else {
            return;
        };
        let is_running = seat.state == StrategyState::Running;
        self.live.clear();
        let mut is_settled = true;
        for id in &seat.legs {
            is_settled &= self.oms.live_of(seat.id, *id, &mut self.live);
        }
        let look = Look {
            legs: &seat.legs,
            instruments: &self.instruments,
            books: &self.books,
            strategy: seat.id,
            ledger: &self.ledger,
            oms: &self.oms,
            is_settled,
            venues: &self.venues,
            gate: &self.gate,
            now,
            may_wish: may_wish && is_running,
        };
        let Some(here) = look.get(leg) else {
            return;
        };
        let view = View {
            now,
            leg,
            instrument: here.instrument,
            book: here.book,
            orders: here.orders,
            position: here.position,
            cost: here.cost,
            live: &self.live,
            is_settled,
            can_trade: here.can_trade,
            legs: &look,
        };
        self.intents.clear();
        let intents = &mut self.intents;
        let spoke = contain(|| speak(strategy, &view, intents));
        self.wall.stamp(Stage::Strategy, start);
        let lost = core::mem::take(&mut self.intents.overflows);
        if let Err(fault) = spoke {
            self.intents.clear();
            self.on_fault(at, fault, now.unix);
            return;
        }
        if (lost > 0 || seat.floods_in_row > 0) && self.is_flooding(at, lost, now.unix) {
            return;
        }
        if let Some(value) = self.intents.told() {
            self.on_signal(at, leg, value, now.unix);
        }
        if let Some(result) = self.intents.told_pair().copied() {
            self.on_pair_done(at, &result, now.unix);
        }
        for wish in 0..self.intents.len() {
            let intent = self.intents.get(wish);
            // A paused one may take orders away, and its orders go in any case.
            let may = |it: &Intent| is_running || matches!(it, Intent::Cancel { .. });
            if let Some(intent) = intent.filter(may) {
                self.on_intent(at, leg, intent, now);
            }
        }
    }
}

/// A strategy's instruments, as it looks at them.
struct Look<'e> {
    legs: &'e [InstrumentId],
    instruments: &'e [Instrument],
    books: &'e [Option<Box<BookSlot>>],
    strategy: StrategyId,
    ledger: &'e Ledger,
    oms: &'e Oms,
    /// Then no order has fills to come, and none is looked for.
    is_settled: bool,
    venues: &'e [VenueState],
    gate: &'e Gate,
    now: Now,
    may_wish: bool,
}

impl core::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.legs).finish()
    }
}

impl Legs for Look<'_> {
    #[inline]
    fn get(&self, at: usize) -> Option<Leg<'_>> {
        let id = *self.legs.get(at)?;
        let instrument = self.instruments.get(id.0 as usize)?;
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        let proof = slot.keeper.proof();
        let is_reconciled = is_reconciled(self.venues, instrument);
        let can_trade = self.may_wish
            && proof.state == State::Synced
            && !self.gate.is_halted(id)
            && self.now.unix.since(proof.at) <= self.gate.node_limits().book_age_ns_max
            && self
                .gate
                .check_authority(is_reconciled, self.now.unix)
                .is_ok();
        let position = self.ledger.part(id, self.strategy);
        Some(Leg {
            instrument,
            book: slot.keeper.book(),
            orders: slot.orders.as_deref().map(AnyOrders::view),
            position: position.held(),
            coming: if self.is_settled {
                Qty(0)
            } else {
                self.oms.coming(self.strategy, id)
            },
            cost: position.cost,
            can_trade,
        })
    }

    fn count(&self) -> usize {
        self.legs.len()
    }
}
