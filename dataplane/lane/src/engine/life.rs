//! A strategy's life: moves people ask for, faults and what follows them, what it keeps, what its line shows.
//!
//! ```text
//!   fault ─▶ FAILED, its orders cancelled ─▶ 1 s, 2 s … 60 s ─▶ made again from its kind, its parameters and what it
//!            saved last ─▶ where it stood before;  the ninth fault in a row: FAILED until somebody starts it
//! ```

use super::seats::{Mould, Seat, Seating};
use super::{ACTIONS_MAX, Engine};
use crate::contain::{contain, dispose};
use crate::inputs::{Input, Seated};
use dp_journal::Entry;
use dp_journal::entry::{Pair, Signal, StrategyCause, StrategyEvent};
use dp_shm::{CommandNote, LEGS_SHOWN_MAX, SavedState, StrategyStatus};
use dp_strategy::{Boxed, Inputs, ParamFault, StateFault, StateReader, StateWriter, Strategy};
use dp_types::{
    IllegalMove, InstrumentId, Notional, PairResult, StrategyId, StrategyMove, StrategyState, Text,
    UnixNanos,
};

/// How often what strategies have learnt is saved.
const SAVE_NS: u64 = 300_000_000_000;
/// One signal of a strategy is journaled per this long.
const SIGNAL_NS: u64 = 1_000_000_000;
/// How long a strategy that broke waits to be made again: at first, and at most.
const RETRY_NS: (u64, u64) = (1_000_000_000, 60_000_000_000);
/// Times in a row it is made again. Doubling from a second they take three minutes.
const RESTARTS_MAX: u32 = 8;
/// One that has run for so long has recovered: its next fault is the first again.
const RECOVERED_NS: u64 = 300_000_000_000;
/// Faults in a row from which on it starts fresh: what it saved may be what breaks it.
const DISTRUST_FAULTS: u32 = 3;
/// Calls in a row whose wishes did not fit that are taken for a fault.
const FLOODS_MAX: u32 = 16;
/// How often a line is written when nothing happens.
const SHOW_NS: u64 = 1_000_000_000;

// What a strategy may have is what its lines have room for.
const _: () = assert!(dp_strategy::PARAMS_MAX == dp_shm::PARAMS_MAX);
const _: () = assert!(dp_strategy::STATE_MAX == dp_shm::STATE_WORDS_MAX);

/// What is told of a strategy beside where it stands.
#[derive(Default)]
pub(super) struct Record {
    /// Where it goes when it is made again.
    goal: StrategyState,
    since: UnixNanos,
    restarts: u32,
    faults_in_row: u32,
    floods: u32,
    fault: Text<63>,
    fault_at: UnixNanos,
    retry_at: UnixNanos,
    made_at: UnixNanos,
    saved_at: UnixNanos,
    save_due: UnixNanos,
    signal: i64,
    pairs: u64,
    pairs_net: Notional,
    answered: UnixNanos,
    answer: Text<127>,
    show_due: UnixNanos,
}

/// Why something people asked for is not done.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Move(#[from] IllegalMove),
    #[error("{0}")]
    Values(#[from] ParamFault),
    #[error("{0}")]
    Broke(&'static str),
}

/// Who asked for something, for the record; nobody: it came by itself.
const NOBODY: Text<31> = Text::EMPTY;

impl Engine<'_> {
    /// Makes a strategy and seats it where it shall stand; one that is seated stays. One that cannot be made fails, and
    /// is tried again like one that broke.
    pub fn sit(&mut self, seating: Seating) {
        if self.is_seated(seating.id) {
            return;
        }
        let seen = self.seen;
        let told = || Input::Seat(Box::new(Seated::of(&seating)), seen);
        self.wall.tap.tell(told);
        for leg in &seating.legs {
            self.ledger.open(*leg, seating.id);
        }
        let goal = match seating.goal {
            StrategyState::Failed => StrategyState::Running,
            goal => goal,
        };
        self.seats.push(Seat {
            id: seating.id,
            legs: seating.legs.into(),
            inputs: Inputs::NONE,
            state: StrategyState::Loaded,
            strategy: None,
            floods_in_row: 0,
            signalled: UnixNanos(0),
            refused: (0, UnixNanos(0)),
            name: seating.name,
            mould: Some(Box::new(Mould {
                kind: seating.kind,
                values: seating.values,
                configured: seating.configured,
                identity: seating.identity,
                saved: seating.saved,
                pending: None,
            })),
            record: Record {
                goal,
                since: self.seen,
                ..Record::default()
            },
        });
        let at = self.seats.len() - 1;
        let now = self.seen;
        if seating.goal == StrategyState::Failed {
            // Given up in the run before: until somebody starts it.
            self.seats[at].state = StrategyState::Failed;
            self.note(at, StrategyCause::Seated, "", NOBODY, now);
        } else if self.make(at, now) {
            self.go_to_goal(at, now);
            self.note(at, StrategyCause::Seated, "", NOBODY, now);
        }
        self.show(at, now);
    }

    /// Lets a strategy act or not; the orders of one that stops are cancelled.
    pub fn set_running(&mut self, id: StrategyId, is_running: bool) {
        let step = if is_running {
            StrategyMove::Start
        } else {
            StrategyMove::Stop
        };
        if let Some(at) = self.seats.iter().position(|seat| seat.id == id) {
            // One that stands there already stays.
            let _ = self.go(at, step, self.seen);
        }
    }

    // ---- what people ask --------------------------------------------------------------------------

    /// Somebody asks for a move.
    pub(super) fn on_ask(
        &mut self,
        id: StrategyId,
        step: StrategyMove,
        note: &CommandNote,
        now: UnixNanos,
    ) {
        let Some(at) = self.seats.iter().position(|seat| seat.id == id) else {
            return;
        };
        let asked = self.go(at, step, now);
        if asked.is_ok() {
            self.note(at, StrategyCause::Asked, "", note.who, now);
        }
        self.answer(at, note, asked, now);
    }

    /// Somebody sets a parameter; several take force together.
    pub(super) fn on_set(
        &mut self,
        id: StrategyId,
        (param, value, is_last): (u8, i64, bool),
        note: &CommandNote,
        now: UnixNanos,
    ) {
        let Some(at) = self.seats.iter().position(|seat| seat.id == id) else {
            return;
        };
        let Some(mould) = self.seats[at].mould.as_deref_mut() else {
            return;
        };
        let before = mould.pending.take().unwrap_or(Ok(mould.values));
        let params = mould.kind.params;
        let wanted = before.and_then(|values| values.with(params, usize::from(param), value));
        if !is_last {
            mould.pending = Some(wanted);
            return;
        }
        let set = match wanted {
            Ok(values) => self.set(at, &values, now),
            Err(fault) => Err(fault.into()),
        };
        if set.is_ok() {
            self.note_values(at, note.who, now);
        }
        self.answer(at, note, set, now);
    }

    /// All values, or none. Errors: why not.
    fn set(
        &mut self,
        at: usize,
        values: &dp_strategy::Values,
        now: UnixNanos,
    ) -> Result<(), Refused> {
        let seat = &mut self.seats[at];
        let Some(mould) = seat.mould.as_deref_mut() else {
            return Err(Refused::Broke("it cannot be set"));
        };
        match seat.strategy.as_deref_mut() {
            Some(strategy) => match contain(|| strategy.set(values)) {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => return Err(fault.into()),
                Err(words) => {
                    self.on_fault(at, words, now);
                    return Err(Refused::Broke("it broke when it was set"));
                }
            },
            // A broken one: whether one could be made of them is all there is to ask.
            None => match contain(|| (mould.kind.make)(values)) {
                Ok(Ok(made)) => dispose(made),
                Ok(Err(fault)) => return Err(fault.into()),
                Err(_) => return Err(Refused::Broke("it breaks when it is made with this")),
            },
        }
        mould.values = *values;
        Ok(())
    }

    /// Journals the parameters as they are now: all of them, so that the record does not depend on an earlier one.
    fn note_values(&mut self, at: usize, who: Text<31>, now: UnixNanos) {
        let seat = &self.seats[at];
        let Some(mould) = seat.mould.as_deref() else {
            return;
        };
        for (place, param) in mould.kind.params.iter().enumerate() {
            let entry = Entry::Strategy(StrategyEvent {
                strategy: seat.id,
                state: seat.state,
                cause: StrategyCause::Set,
                param: place as u8,
                value: mould.values.get(place),
                who,
                detail: Text::lossy(param.name),
            });
            self.wall.fact(now, &entry);
        }
    }

    /// What became of a command: on the line, and of one that was refused in the journal.
    fn answer(
        &mut self,
        at: usize,
        note: &CommandNote,
        outcome: Result<(), Refused>,
        now: UnixNanos,
    ) {
        let told = outcome.map_or_else(|why| why.to_string(), |()| String::new());
        if outcome.is_err() {
            self.note(at, StrategyCause::Refused, &told, note.who, now);
        }
        let record = &mut self.seats[at].record;
        (record.answered, record.answer) = (note.at, Text::lossy(&told));
        self.show(at, now);
    }

    /// Makes a move, and all that follows from it. Errors: why it is not to be made.
    fn go(&mut self, at: usize, step: StrategyMove, now: UnixNanos) -> Result<(), Refused> {
        let from = self.seats[at].state;
        let to = from.after(step)?;
        if to == StrategyState::Running && self.seats[at].strategy.is_none() {
            // People start a broken one: its faults so far are forgiven.
            let record = &mut self.seats[at].record;
            (record.faults_in_row, record.goal) = (0, StrategyState::Running);
            if !self.make(at, now) {
                return Err(Refused::Broke("it broke when it was made"));
            }
        }
        if from.hears() && !to.hears() || to == StrategyState::Paused {
            self.save(at, now);
        }
        // It may have broken meanwhile: then it can still be stopped, not paused.
        let to = match self.seats[at].state {
            state if state == from => to,
            broken => broken.after(step)?,
        };
        self.stand(at, to, now);
        Ok(())
    }

    fn stand(&mut self, at: usize, state: StrategyState, now: UnixNanos) {
        let seat = &mut self.seats[at];
        seat.state = state;
        seat.record.since = now;
        if state != StrategyState::Failed {
            seat.record.retry_at = UnixNanos(0);
        }
        // What it has at a venue goes, or may stay, from this turn on.
        self.cancel_due = UnixNanos(0);
    }

    // ---- faults -----------------------------------------------------------------------------------

    /// It panicked, or flooded: its orders go, and it is made again after a while.
    #[cold]
    pub(super) fn on_fault(&mut self, at: usize, words: Text<63>, now: UnixNanos) {
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let Ok(to) = seat.state.after(StrategyMove::Fault) else {
            return;
        };
        let record = &mut seat.record;
        if seat.state != StrategyState::Loaded {
            record.goal = seat.state;
        }
        if record.made_at.0 > 0 && now.since(record.made_at) >= RECOVERED_NS {
            record.faults_in_row = 0;
        }
        record.faults_in_row += 1;
        (record.fault, record.fault_at) = (words, now);
        let wait = RETRY_NS.0 << (record.faults_in_row - 1).min(16);
        let can_retry = seat.mould.is_some() && record.faults_in_row <= RESTARTS_MAX;
        let retry_at = if can_retry {
            now.after(wait.min(RETRY_NS.1))
        } else {
            UnixNanos(0)
        };
        if let Some(mould) = seat.mould.as_deref_mut() {
            mould.pending = None;
            if record.faults_in_row >= DISTRUST_FAULTS {
                mould.saved = None;
            }
            if let Some(broken) = seat.strategy.take() {
                dispose(broken);
            }
        }
        seat.floods_in_row = 0;
        tracing::error!(
            strategy = seat.name.as_str(),
            fault = words.as_str(),
            in_row = seat.record.faults_in_row,
            "a strategy broke: its orders are cancelled"
        );
        self.stand(at, to, now);
        self.seats[at].record.retry_at = retry_at;
        self.note(at, StrategyCause::Fault, words.as_str(), NOBODY, now);
        self.show(at, now);
    }

    /// Whether this was one too many calls in a row whose wishes did not fit.
    #[cold]
    pub(super) fn is_flooding(&mut self, at: usize, lost: u64, now: UnixNanos) -> bool {
        let Some(seat) = self.seats.get_mut(at) else {
            return false;
        };
        if lost == 0 {
            seat.floods_in_row = 0;
            return false;
        }
        seat.floods_in_row += 1;
        seat.record.floods = seat.record.floods.saturating_add(1);
        let is_too_much = seat.floods_in_row >= FLOODS_MAX;
        if is_too_much {
            let words = "it asked for more than a call may, again and again";
            self.on_fault(at, Text::lossy(words), now);
        }
        is_too_much
    }

    /// Makes a strategy of its mould, with what it saved last. False: it broke.
    fn make(&mut self, at: usize, now: UnixNanos) -> bool {
        let Some(mould) = self.seats[at].mould.as_deref_mut() else {
            return false;
        };
        let made = made(mould);
        match made {
            Ok((strategy, restored)) => {
                let seat = &mut self.seats[at];
                seat.inputs = strategy.inputs();
                seat.strategy = Some(strategy);
                seat.record.made_at = now;
                seat.record.save_due = now.after(SAVE_NS);
                if let Some(restored) = restored {
                    self.note_restored(at, restored, now);
                }
                true
            }
            Err(words) => {
                self.on_fault(at, words, now);
                false
            }
        }
    }

    fn note_restored(&mut self, at: usize, restored: Result<UnixNanos, Text<63>>, now: UnixNanos) {
        let name = self.seats[at].name;
        match restored {
            Ok(saved_at) => {
                self.seats[at].record.saved_at = saved_at;
                let age_s = now.since(saved_at) / 1_000_000_000;
                tracing::info!(
                    strategy = name.as_str(),
                    age_s,
                    "took up what it had learnt"
                );
                self.note(at, StrategyCause::Restored, "", NOBODY, now);
            }
            Err(why) => {
                tracing::warn!(
                    strategy = name.as_str(),
                    why = why.as_str(),
                    "what it had learnt cannot be taken up: it starts fresh"
                );
                self.note(at, StrategyCause::Unrestored, why.as_str(), NOBODY, now);
            }
        }
    }

    /// From where it was made to where it shall stand.
    fn go_to_goal(&mut self, at: usize, now: UnixNanos) {
        let step = match self.seats[at].record.goal {
            StrategyState::Paused => StrategyMove::Pause,
            StrategyState::Stopped => StrategyMove::Stop,
            StrategyState::Running => StrategyMove::Start,
            StrategyState::Loaded | StrategyState::Failed => return,
        };
        if let Ok(to) = self.seats[at].state.after(step) {
            self.stand(at, to, now);
        }
    }

    fn retry(&mut self, at: usize, now: UnixNanos) {
        let Ok(to) = self.seats[at].state.after(StrategyMove::Reload) else {
            return;
        };
        self.stand(at, to, now);
        if !self.make(at, now) {
            return;
        }
        self.seats[at].record.restarts += 1;
        self.go_to_goal(at, now);
        tracing::warn!(
            strategy = self.seats[at].name.as_str(),
            "made again after a fault"
        );
        self.note(at, StrategyCause::Restarted, "", NOBODY, now);
    }

    // ---- what time asks ---------------------------------------------------------------------------

    /// Strategies that are due to be made again, saved, shown.
    pub(super) fn mind_seats(&mut self, now: UnixNanos) {
        for at in 0..self.seats.len() {
            let retry_at = self.seats[at].record.retry_at;
            if retry_at.0 > 0 && now >= retry_at {
                self.retry(at, now);
            }
            let record = &mut self.seats[at].record;
            if record.save_due.0 == 0 {
                record.save_due = now.after(SAVE_NS);
            }
            if now >= self.seats[at].record.save_due {
                self.save(at, now);
            }
            if now >= self.seats[at].record.show_due {
                self.show(at, now);
            }
        }
    }

    /// What each has learnt, before the node ends.
    pub(super) fn save_all(&mut self, now: UnixNanos) {
        for at in 0..self.seats.len() {
            self.save(at, now);
            self.show(at, now);
        }
    }

    fn save(&mut self, at: usize, now: UnixNanos) {
        let seat = &mut self.seats[at];
        seat.record.save_due = now.after(SAVE_NS);
        let (Some(strategy), Some(mould), true) =
            (&seat.strategy, &mut seat.mould, seat.state.hears())
        else {
            return;
        };
        let version = strategy.state_version();
        if version == 0 {
            return;
        }
        let mut out = StateWriter::new();
        if let Err(words) = contain(|| strategy.save(&mut out)) {
            self.on_fault(at, words, now);
            return;
        }
        let Some(words) = out.words() else {
            return;
        };
        let saved = SavedState::seal(mould.identity, version, now, words);
        if let Some(line) = self.wall.region.strategy_state(seat.id) {
            line.write(&saved);
        }
        mould.saved = Some(saved);
        seat.record.saved_at = now;
    }

    /// A number a strategy tells for the record.
    pub(super) fn on_signal(&mut self, at: usize, leg: usize, value: i64, now: UnixNanos) {
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        seat.record.signal = value;
        if seat.signalled.0 > 0 && now.since(seat.signalled) < SIGNAL_NS {
            return;
        }
        seat.signalled = now;
        let entry = Entry::Signal(Signal {
            strategy: seat.id,
            instrument: seat.legs.get(leg).copied().unwrap_or_default(),
            value,
        });
        self.wall.wish(now, &entry);
    }

    /// What a pair made.
    pub(super) fn on_pair_done(&mut self, at: usize, result: &PairResult, now: UnixNanos) {
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let record = &mut seat.record;
        record.pairs = record.pairs.saturating_add(1);
        record.pairs_net = Notional(record.pairs_net.0.saturating_add(result.net.0));
        let entry = Entry::Pair(Pair {
            strategy: seat.id,
            instrument: seat.legs.first().copied().unwrap_or_default(),
            result: *result,
        });
        self.wall.wish(now, &entry);
    }

    // ---- what others see --------------------------------------------------------------------------

    fn note(
        &mut self,
        at: usize,
        cause: StrategyCause,
        detail: &str,
        who: Text<31>,
        now: UnixNanos,
    ) {
        let seat = &self.seats[at];
        let entry = Entry::Strategy(StrategyEvent {
            strategy: seat.id,
            state: seat.state,
            cause,
            param: 0,
            value: 0,
            who,
            detail: Text::lossy(detail),
        });
        self.wall.fact(now, &entry);
    }

    /// Renews a strategy's line.
    fn show(&mut self, at: usize, now: UnixNanos) {
        let mut live = 0;
        for leg in &self.seats[at].legs {
            let id = self.seats[at].id;
            let is_its = |order: &&dp_oms::Order| order.strategy == id;
            live += self.oms.live(*leg).filter(is_its).take(ACTIONS_MAX).count();
        }
        let seat = &mut self.seats[at];
        seat.record.show_due = now.after(SHOW_NS);
        let record = &seat.record;
        let mut legs = [InstrumentId(0); LEGS_SHOWN_MAX];
        for (shown, leg) in legs.iter_mut().zip(&seat.legs) {
            *shown = *leg;
        }
        let mould = seat.mould.as_deref();
        let status = StrategyStatus {
            state: seat.state,
            goal: record.goal,
            lane: self.wall.lane(),
            is_seated: true,
            legs_count: seat.legs.len() as u8,
            legs,
            values: mould.map_or([0; _], |mould| *mould.values.raw()),
            configured: mould.map_or([0; _], |mould| *mould.configured.raw()),
            restarts: record.restarts,
            floods: record.floods,
            live_orders: live as u32,
            fault: record.fault,
            fault_at: record.fault_at,
            retry_at: record.retry_at,
            since: record.since,
            saved_at: record.saved_at,
            answered: record.answered,
            answer: record.answer,
            signal: record.signal,
            pairs: record.pairs,
            pairs_net: record.pairs_net,
            updated: now,
        };
        if let Some(line) = self.wall.region.strategy(seat.id) {
            line.write(&status);
        }
    }
}

/// What became of saved state: as of when it is, or why it was not taken up.
type Restored = Option<Result<UnixNanos, Text<63>>>;

/// A strategy of its mould, with what it saved last. Errors: it broke.
fn made(mould: &mut Mould) -> Result<(Boxed, Restored), Text<63>> {
    let mut strategy = fresh(mould)?;
    let Some(saved) = mould.saved.take() else {
        return Ok((strategy, None));
    };
    let told = contain(|| restore(strategy.as_mut(), &saved, mould.identity));
    let why = match told {
        Ok(Ok(())) => {
            mould.saved = Some(saved);
            return Ok((strategy, Some(Ok(saved.at))));
        }
        Ok(Err(StateFault(why))) => Text::lossy(why),
        Err(words) => words,
    };
    // What was taken up half-way is not to be traded on.
    dispose(strategy);
    Ok((fresh(mould)?, Some(Err(why))))
}

fn fresh(mould: &Mould) -> Result<Boxed, Text<63>> {
    match contain(|| (mould.kind.make)(&mould.values))? {
        Ok(made) => Ok(made),
        Err(fault) => Err(Text::lossy(&fault.to_string())),
    }
}

fn restore(
    strategy: &mut dyn Strategy,
    saved: &SavedState,
    identity: u64,
) -> Result<(), StateFault> {
    let words = saved.open().ok_or(StateFault("it is damaged"))?;
    if saved.identity != identity {
        return Err(StateFault("it is another strategy's"));
    }
    if saved.version != strategy.state_version() {
        return Err(StateFault("it is another version's"));
    }
    strategy.restore(&mut StateReader::new(words))
}
