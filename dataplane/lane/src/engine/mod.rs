//! Events in, actions out: books, strategies, risk, orders, positions of one lane.
//!
//! ```text
//!   Event::Book ─▶ keeper ─▶ strategies ─▶ Intent ─▶ gate ─▶ OMS ─▶ journal ─▶ Action::New
//!   Event::Order / Fill / Ack ─▶ OMS ─▶ journal, position ─▶ strategies
//!   time, kill word, lease word, commands ─▶ gate; unanswered orders ─▶ UNKNOWN ─▶ Action::Query
//! ```
//!
//! The engine sends nothing: the lane takes [`Action`]s and gives them to the venue machines. There is one
//! way to an `Action::New`: through the gate (which alone makes `Cleared`), the OMS (which names the
//! order) and the journal (which holds the intent before anything leaves).

mod venues;
mod wishes;

pub use venues::VenueState;

use crate::books::AnyKeeper;
use crate::wall::{Wall, book_state, position_state};
use dp_book::State;
use dp_journal::Entry;
use dp_journal::entry::{Checkpoint, Switch};
use dp_oms::{Change, Fee, FillOutcome, Oms, Order, Position, Positions};
use dp_risk::{Cleared, Gate, Lease};
use dp_shm::{BookTop, Counter, InstrumentLimits, KillState, Stage};
use dp_strategy::{Intents, Strategy};
use dp_transport::tsc;
use dp_types::{
    AmendOrder, BookMsg, BookMsgKind, CancelOrder, ClientOrderId, Decimal, Epoch, FillReport,
    Instrument, InstrumentId, LiveOrder, NewOrder, Notional, Now, OrderReport, OrderState, Price,
    Qty, QuoteMsg, RejectReason, Side, StrategyId, Text, TradeMsg, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::{Event, RequestAck};
use std::collections::VecDeque;

/// Actions waiting for the lane. Sixteen strategies' full lists.
const ACTIONS_MAX: usize = 256;
/// Orders one strategy may see of its own at once.
const LIVE_SHOWN_MAX: usize = 64;
/// How often timers run.
const TICK_NS: u64 = 100_000_000;
/// How often a killed or stopping lane cancels again what still lives.
const CANCEL_AGAIN_NS: u64 = 500_000_000;
/// How often an order of unknown fate is asked about again.
const ASK_AGAIN_NS: u64 = 1_000_000_000;
/// How often open orders are compared with the venue's, trading or not.
const RECONCILE_NS: u64 = 300_000_000_000;
/// One refusal of a kind and strategy is journaled per this long; the others are counted.
const REFUSAL_NS: u64 = 1_000_000_000;
/// Beyond an order's window: the venue's clock against ours, and its own queue.
const WINDOW_MARGIN_NS: u64 = 1_000_000_000;
/// Requests in a row without an answer that mean the order link is dead though it is up.
const SILENT_MAX: u32 = 2;
/// Slots of send times for order-to-ack; a power of two.
const SENT_SLOTS: usize = 4_096;

/// What the lane must do.
#[derive(Debug)]
pub enum Action {
    /// Send a new order.
    New(Cleared<NewOrder>),
    /// Send an amend.
    Amend(Cleared<AmendOrder>),
    /// Send a cancel.
    Cancel(Cleared<CancelOrder>),
    /// Cancel everything of an instrument.
    CancelAll(Cleared<InstrumentId>),
    /// Fetch a snapshot.
    Snapshot(InstrumentId),
    /// Ask what became of an order.
    Query(CancelOrder),
    /// Compare open orders and fills.
    Reconcile(VenueId),
    /// Open the order link anew: it is up and does not answer.
    Reopen(VenueId),
}

/// One strategy on its instrument.
struct Seat {
    strategy: Box<dyn Strategy + Send>,
    id: StrategyId,
    instrument: InstrumentId,
    is_running: bool,
    /// Last refusal journaled, by code, and when.
    refused: (u8, UnixNanos),
}

/// One instrument's book and what was last shown of it.
struct BookSlot {
    keeper: AnyKeeper,
    top: BookTop,
}

/// What the engine is made with.
pub struct Setup {
    /// Epoch of this run.
    pub epoch: Epoch,
    /// Lane.
    pub lane: dp_types::LaneId,
    /// Lane-wide limits.
    pub limits: dp_risk::NodeLimits,
    /// How long after an order was written its venue may still take it, nanoseconds.
    pub order_window_ns: u64,
    /// Venues of this lane.
    pub venues: Vec<VenueId>,
    /// Instruments known so far, by id; their rules follow.
    pub instruments: Vec<Instrument>,
}

/// Books, strategies, risk, orders and positions of one lane.
pub struct Engine<'r> {
    /// Shared memory.
    pub wall: Wall<'r>,
    epoch: Epoch,
    instruments: Vec<Instrument>,
    books: Vec<Option<Box<BookSlot>>>,
    venues: Vec<VenueState>,
    gate: Gate,
    oms: Oms,
    positions: Positions,
    seats: Vec<Seat>,
    intents: Intents,
    live: Vec<LiveOrder>,
    actions: VecDeque<Action>,
    sent: Box<[Tsc]>,
    kill: KillState,
    /// Version of the limits in force, and where they are read into.
    limits_version: u64,
    limits_seen: Vec<InstrumentLimits>,
    is_paused: bool,
    is_stopping: bool,
    tick_due: UnixNanos,
    cancel_due: UnixNanos,
}

impl<'r> Engine<'r> {
    /// An engine without strategies. Takes its memory here.
    pub fn new(wall: Wall<'r>, setup: Setup) -> Self {
        let count = setup.instruments.len().max(1);
        let venues = setup.venues.into_iter().map(VenueState::new).collect();
        let mut oms = Oms::new(setup.epoch, setup.lane, count);
        oms.set_absent_after(setup.order_window_ns.saturating_add(WINDOW_MARGIN_NS));
        Self {
            wall,
            epoch: setup.epoch,
            books: (0..count).map(|_| None).collect(),
            venues,
            gate: Gate::new(count, setup.limits),
            oms,
            positions: Positions::new(count),
            instruments: setup.instruments,
            seats: Vec::new(),
            intents: Intents::new(),
            live: Vec::with_capacity(LIVE_SHOWN_MAX),
            actions: VecDeque::with_capacity(ACTIONS_MAX),
            sent: vec![Tsc(0); SENT_SLOTS].into_boxed_slice(),
            kill: KillState {
                is_killed: false,
                changes: 0,
            },
            limits_version: 0,
            limits_seen: vec![InstrumentLimits::default(); count],
            is_paused: false,
            is_stopping: false,
            tick_due: UnixNanos(0),
            cancel_due: UnixNanos(0),
        }
    }

    /// Seats a strategy; one that is seated stays.
    pub fn seat(
        &mut self,
        id: StrategyId,
        instrument: InstrumentId,
        strategy: Box<dyn Strategy + Send>,
    ) {
        let is_seated = |seat: &Seat| (seat.id, seat.instrument) == (id, instrument);
        if self.seats.iter().any(is_seated) {
            return;
        }
        let refused = (0, UnixNanos(0));
        self.seats.push(Seat {
            strategy,
            id,
            instrument,
            is_running: true,
            refused,
        });
    }

    /// Takes over what an earlier run left of this lane's venues, and writes it into this lane's journal:
    /// it may have been another's, or another file's.
    pub fn recover(&mut self, recovered: &dp_journal::Recovered, now: Now) {
        let has = |engine: &Self, venue| engine.venues.iter().any(|state| state.venue == venue);
        for order in recovered.orders.values() {
            if has(self, order.venue) {
                self.oms.adopt(&dp_oms::Recovered {
                    live: order.live(),
                    venue: order.venue,
                    strategy: order.strategy,
                    kind: order.kind,
                    tif: order.tif,
                    qty: order.qty,
                    filled: order.filled,
                    at: order.at,
                });
            }
        }
        for (venue, instrument, trade) in &recovered.seen_trades {
            if has(self, *venue) {
                self.oms.adopt_fill(*instrument, *trade);
            }
        }
        for (id, state) in &recovered.positions {
            let Some(instrument) = self.instrument(*id).filter(|it| has(self, it.venue)) else {
                continue;
            };
            let position = Position {
                qty: state.qty,
                cost: state.cost,
                realised: state.realised,
                fees: state.fees,
                fills: state.fills,
                base_fees: state.base_fees,
            };
            self.positions.restore(*id, position);
            self.wall.take_position(now.unix, &instrument, state);
        }
        self.checkpoint(now);
    }

    /// Sets limits of one instrument; `None` = it cannot trade.
    pub fn set_limits(&mut self, instrument: InstrumentId, limits: Option<dp_risk::Limits>) {
        self.gate.set_limits(instrument, limits);
    }

    /// Sets lane-wide limits.
    pub fn set_node_limits(&mut self, limits: dp_risk::NodeLimits) {
        self.gate.set_node_limits(limits);
    }

    /// Rules of the instruments are known (again). A book whose increments changed starts over.
    pub fn set_instruments(&mut self, venue: VenueId, instruments: &[Instrument]) {
        for fresh in instruments
            .iter()
            .filter(|instrument| instrument.venue == venue)
        {
            let at = fresh.id.0 as usize;
            let (Some(held), Some(slot)) = (self.instruments.get_mut(at), self.books.get_mut(at))
            else {
                continue;
            };
            let decimals = |it: &Instrument| (it.price_decimals, it.qty_decimals);
            if slot.is_none() || decimals(held) != decimals(fresh) {
                *slot = AnyKeeper::new(fresh).map(|keeper| {
                    Box::new(BookSlot {
                        keeper,
                        top: BookTop::default(),
                    })
                });
            }
            *held = *fresh;
        }
    }

    /// The next thing to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is known of a venue.
    pub fn venue(&self, venue: VenueId) -> Option<&VenueState> {
        self.venues.iter().find(|state| state.venue == venue)
    }

    /// All orders.
    pub const fn oms(&self) -> &Oms {
        &self.oms
    }

    /// Stops in order: nothing new, everything cancelled. [`Engine::is_flat`] tells when it is done.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether no order of ours is live and every fill is counted.
    pub fn is_flat(&self) -> bool {
        self.oms.held_count() == 0 && self.venues.iter().all(|state| state.strangers.is_empty())
    }

    fn act(&mut self, action: Action) {
        // A full list means the lane is not taking actions: wishes are dropped, which the strategy sees
        // as orders that never came; a cancel comes back by itself.
        if self.actions.len() < ACTIONS_MAX {
            self.actions.push_back(action);
        }
    }

    // ---- events -------------------------------------------------------------------------------

    /// One event of a venue machine. `since` is when its message was handed to the machine.
    pub fn on_event(&mut self, event: &Event<'_>, now: Now, since: Tsc) {
        match event {
            Event::Book(msg) => {
                let decoded = self.wall.stamp(Stage::Decode, since);
                self.on_book(msg, now, decoded);
            }
            Event::Trade(trade) => self.on_trade(trade, now),
            Event::Quote(quote) => self.on_quote(quote, now),
            Event::Order(report) => self.on_order(report, now),
            Event::Fill(report) => self.on_fill(report, now),
            Event::Ack(ack) => self.on_ack(ack, now),
            Event::Balance(_) | Event::Control(_) | Event::Ignored(_) => {}
        }
    }

    fn instrument(&self, id: InstrumentId) -> Option<Instrument> {
        self.instruments.get(id.0 as usize).copied()
    }

    fn on_book(&mut self, msg: &BookMsg<'_>, now: Now, decoded: Tsc) {
        self.wall.count(Counter::BookEvents);
        let id = msg.instrument;
        let at = id.0 as usize;
        let (Some(instrument), Some(Some(slot))) =
            (self.instruments.get(at), self.books.get_mut(at))
        else {
            return;
        };
        // A message that was long on its way proves the book as of then, not of now.
        let late_ns = self
            .venues
            .iter_mut()
            .find(|state| state.venue == instrument.venue)
            .map_or(0, |state| state.delay.beyond_floor(now.unix, msg.venue_ns));
        let heard = UnixNanos(now.unix.0.saturating_sub(late_ns));
        if late_ns > self.gate.node_limits().book_age_ns_max {
            self.wall.count(Counter::LateBooks);
        }
        let outcome = slot.keeper.on_msg(msg, instrument, heard);
        if msg.kind == BookMsgKind::Snapshot && outcome == dp_book::Outcome::Applied {
            self.wall.count(Counter::Snapshots);
        }
        let has_moved = slot.refresh(msg, now.unix);
        let top = slot.top;
        let instrument = *instrument;
        self.wall.stamp(Stage::Book, decoded);
        self.wall.show_book(id, &top);
        if has_moved {
            self.wall.quote_tick(now.unix, &instrument, &top);
        }
        self.count_outcome(&outcome);
        if outcome.needs_snapshot() {
            self.act(Action::Snapshot(id));
        }
        // A book that went stale is news too: quotes resting on it must go.
        if matches!(
            outcome,
            dp_book::Outcome::Buffered | dp_book::Outcome::Ignored
        ) {
            return;
        }
        self.call(id, now, |strategy, view, out| strategy.on_book(view, out));
    }

    fn count_outcome(&self, outcome: &dp_book::Outcome) {
        use dp_book::Outcome;
        let counter = match outcome {
            Outcome::Gap(_) => Counter::Gaps,
            Outcome::BadChecksum { .. } => Counter::ChecksumFailures,
            Outcome::Crossed => Counter::CrossedBooks,
            Outcome::BadNumber(_) => Counter::DecodeErrors,
            _ => return,
        };
        self.wall.count(counter);
        self.wall.count(Counter::Resyncs);
    }

    fn on_trade(&mut self, trade: &TradeMsg, now: Now) {
        self.wall.count(Counter::TradeEvents);
        if let Some(instrument) = self.instrument(trade.instrument)
            && self.is_plausible(&instrument, &[trade.price])
        {
            self.wall.trade_tick(now.unix, &instrument, trade);
            self.call(trade.instrument, now, |strategy, view, out| {
                strategy.on_trade(view, trade, out);
            });
        }
    }

    fn on_quote(&mut self, quote: &QuoteMsg, now: Now) {
        self.wall.count(Counter::QuoteEvents);
        let Some(instrument) = self.instrument(quote.instrument) else {
            return;
        };
        if !self.is_plausible(&instrument, &[quote.bid.price, quote.ask.price]) {
            return;
        }
        self.call(quote.instrument, now, |strategy, view, out| {
            strategy.on_quote(view, quote, out);
        });
    }

    /// Whether prices are anywhere near the book: half to twice its mid. Without a book anything is, and a
    /// price of 0 is an empty side. What is not is counted.
    fn is_plausible(&self, instrument: &Instrument, prices: &[Decimal]) -> bool {
        let Some(mid) = self.mark(instrument.id).map(|mid| i128::from(mid.0)) else {
            return true;
        };
        let is_near = |price: &Decimal| match instrument.price(*price) {
            Ok(Price(0)) => true,
            Ok(Price(price)) => {
                let price = i128::from(price);
                price * 2 >= mid && price <= mid * 2
            }
            Err(_) => false,
        };
        let is_plausible = prices.iter().all(is_near);
        if !is_plausible {
            self.wall.count(Counter::AbsurdPrices);
        }
        is_plausible
    }

    fn on_order(&mut self, report: &OrderReport, now: Now) {
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
        let is_ours = report
            .client_id
            .is_some_and(|id| self.oms.get(id).is_some());
        if let Some(id) = report.client_id
            && !is_ours
        {
            self.on_stranger(id, report, now);
            return;
        }
        let mut is_listed = false;
        if let Some(state) = self.venue_of(&instrument) {
            state.silent = 0;
            if state.is_reconciling && !report.state.is_final() {
                state.open_orders += 1;
                is_listed = true;
            }
        }
        let illegal = self.oms.tally().illegal;
        let change = self.oms.on_report(report, &instrument, now.unix);
        let held = report.client_id.and_then(|id| self.oms.get(id).copied());
        if let Some(order) = held.filter(|order| is_listed && order.state.is_final()) {
            // Over by an earlier word of the venue, and on its list all the same: it must go.
            self.on_stranger(order.client_id, report, now);
        }
        if self.oms.tally().illegal > illegal {
            self.wall.count(Counter::IllegalTransitions);
        }
        if let Some(change) = change {
            self.on_change(&change, now);
        }
    }

    /// An order with an id of our making that we do not know: of an earlier epoch whose journal is gone.
    /// It must not stay at the venue.
    fn on_stranger(&mut self, id: ClientOrderId, report: &OrderReport, now: Now) {
        self.wall.count(Counter::StaleEpochFrames);
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
        let Some(state) = self.venue_of(&instrument) else {
            return;
        };
        if report.state.is_final() {
            state.strangers.retain(|order| order.client_id != id);
            return;
        }
        if report.state == OrderState::Unknown {
            return;
        }
        let cancel = CancelOrder {
            instrument: report.instrument,
            client_id: id,
            order_id: report.order_id,
        };
        if state.is_reconciling {
            state.adopted += 1;
        }
        if state.take_stranger(cancel) {
            self.cancel(&cancel, now);
        }
    }

    fn on_fill(&mut self, report: &FillReport, now: Now) {
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
        if let Some(state) = self.venue_of(&instrument) {
            state.silent = 0;
        }
        match self.oms.on_fill(report, &instrument) {
            FillOutcome::Counted {
                order,
                qty,
                price,
                change,
            } => {
                self.wall.count(Counter::Fills);
                self.book_fill(&instrument, report, &order, price, qty, now);
                if let Some(change) = change {
                    self.on_change(&change, now);
                }
                self.call_one(
                    order.strategy,
                    order.instrument,
                    now,
                    |strategy, view, out| {
                        strategy.on_fill(view, report, out);
                    },
                );
            }
            FillOutcome::Duplicate | FillOutcome::Beyond => {
                self.wall.count(Counter::DuplicateFills);
            }
            FillOutcome::Foreign => self.wall.count(Counter::ForeignFills),
            FillOutcome::BadNumber => {
                self.wall.count(Counter::DecodeErrors);
                self.on_private_fault(instrument.venue);
            }
        }
    }

    fn book_fill(
        &mut self,
        instrument: &Instrument,
        report: &FillReport,
        order: &Order,
        price: Price,
        qty: Qty,
        now: Now,
    ) {
        let fee = fee_of(instrument, report);
        match self.positions.book(instrument, order.side, price, qty, fee) {
            Ok(position) => {
                let mark = self.mark(instrument.id).unwrap_or(price);
                let state = position_state(instrument, &position, mark, now);
                self.wall
                    .filled(now.unix, order, report, (price, qty), &state);
            }
            // A position beyond its integers cannot be managed, and what it would be is not known.
            Err(_) => {
                let why = "a position left the range of its integers";
                self.wall.region.kill().kill("risk", why, now.unix);
                self.wall.fill_alone(now.unix, order, report, (price, qty));
            }
        }
    }

    fn on_ack(&mut self, ack: &RequestAck, now: Now) {
        let Some(order) = self.oms.get(ack.client_id).copied() else {
            return;
        };
        if let Some(state) = self.venue_mut(order.venue) {
            state.silent = 0;
        }
        let slot = ack.client_id.sequence() as usize & (SENT_SLOTS - 1);
        let sent = self.sent.get(slot).copied().unwrap_or_default();
        let is_about_new = matches!(order.state, OrderState::Pending | OrderState::New);
        if sent.0 > 0 {
            let stage = if is_about_new {
                Stage::OrderToAck
            } else {
                Stage::CancelToAck
            };
            self.wall.stamp(stage, sent);
            if let Some(slot) = self.sent.get_mut(slot) {
                *slot = Tsc(0);
            }
        }
        if let Some(ask) = self.oms.on_answer(ack.client_id, ack.order_id, ack.reason) {
            self.act(Action::Query(ask));
        }
        if ack.reason != RejectReason::None && !is_about_new {
            // A refused cancel or amend: the order lives, and the journal says so.
            if let Some(order) = self.oms.get(ack.client_id).copied() {
                let (from, reason) = (order.state, ack.reason);
                let change = Change {
                    order,
                    from,
                    reason,
                    code: ack.code,
                    venue_ns: ack.venue_ns,
                };
                self.wall.order_moved(now.unix, &change);
            }
        }
    }

    /// An order moved: journal it, count it, tell its strategy.
    fn on_change(&mut self, change: &Change, now: Now) {
        let order = change.order;
        self.wall.order_moved(now.unix, change);
        let was_waiting = matches!(
            change.from,
            OrderState::New | OrderState::Pending | OrderState::Unknown
        );
        match order.state {
            OrderState::Rejected => self.wall.count(Counter::Rejects),
            OrderState::Cancelled | OrderState::Expired => self.wall.count(Counter::CancelsDone),
            OrderState::Unknown => {
                self.wall.count(Counter::UnknownOrders);
                self.act(Action::Query(order.named()));
            }
            _ => {}
        }
        let is_taken = !matches!(
            order.state,
            OrderState::Rejected | OrderState::Unknown | OrderState::Pending | OrderState::New
        );
        if was_waiting && is_taken {
            self.wall.count(Counter::Acks);
        }
        let live = order.live();
        self.call_one(
            order.strategy,
            order.instrument,
            now,
            |strategy, view, out| {
                strategy.on_order(view, &live, order.state, out);
            },
        );
    }

    // ---- what left, and what did not --------------------------------------------------------

    /// The bytes of a new order are with the transport.
    pub fn on_new_sent(&mut self, id: ClientOrderId, now: Now) {
        self.wall.count(Counter::OrdersSent);
        self.note_sent(id);
        if let Some(change) = self.oms.on_sent(id, now.unix) {
            self.wall.order_moved(now.unix, &change);
        }
    }

    /// Whether a new order or an amend may leave at this very moment: kill switch and lease as they are now,
    /// not as they were when the strategy was asked.
    #[inline]
    pub fn may_send(&self, now: UnixNanos) -> bool {
        let region = self.wall.region;
        !region.kill().is_killed() && region.lease().may_trade(self.epoch, now)
    }

    /// A new order did not leave.
    pub fn on_new_refused(&mut self, id: ClientOrderId, reason: RejectReason, now: Now) {
        self.wall.count(Counter::RateRefusals);
        if let Some(change) = self.oms.on_not_sent(id, reason) {
            self.wall.order_moved(now.unix, &change);
        }
    }

    /// A new order was held back at the last moment: killed, or the lease is gone.
    pub fn on_new_withheld(&mut self, id: ClientOrderId, now: Now) {
        self.wall.count(Counter::RiskRefusals);
        if let Some(change) = self.oms.on_not_sent(id, RejectReason::Other) {
            self.wall.order_moved(now.unix, &change);
        }
    }

    /// The bytes of a cancel are with the transport.
    pub fn on_cancel_sent(&mut self, id: ClientOrderId, now: Now) {
        self.wall.count(Counter::CancelsSent);
        self.note_sent(id);
        self.oms.on_cancel_sent(id, now.unix);
    }

    /// The bytes of an amend are with the transport.
    pub fn on_amend_sent(&mut self, id: ClientOrderId, now: Now) {
        self.wall.count(Counter::AmendsSent);
        self.note_sent(id);
        self.oms.on_amend_sent(id, now.unix);
    }

    /// An amend did not leave: the order stands as it stood, and the journal says so.
    pub fn on_amend_refused(&mut self, id: ClientOrderId, reason: RejectReason, now: Now) {
        self.wall.count(Counter::RateRefusals);
        if let Some(change) = self.oms.on_amend_not_sent(id, reason) {
            self.wall.order_moved(now.unix, &change);
        }
    }

    fn note_sent(&mut self, id: ClientOrderId) {
        if let Some(slot) = self.sent.get_mut(id.sequence() as usize & (SENT_SLOTS - 1)) {
            *slot = tsc();
        }
    }

    // ---- time ---------------------------------------------------------------------------------

    /// Reads the words others write: kill, lease. Cost: three loads.
    #[inline]
    pub fn read_words(&mut self, now: Now) {
        let lease = self.wall.region.lease();
        let is_ours = lease.epoch() == Some(self.epoch);
        let until = if is_ours { lease.until() } else { UnixNanos(0) };
        self.gate.set_lease(Lease {
            until,
            epoch: self.epoch,
        });
        let kill = self.wall.region.kill().state();
        if kill != self.kill {
            self.kill = kill;
            self.gate.set_killed(kill.is_killed);
            let note = self.wall.region.kill().last_change();
            let entry = Entry::Switch(Switch {
                is_killed: kill.is_killed,
                changes: kill.changes,
                who: note.map_or(Text::EMPTY, |note| Text::lossy(note.who.as_str())),
                why: note.map_or(Text::EMPTY, |note| Text::lossy(note.why.as_str())),
            });
            self.wall.fact(now.unix, &entry);
            self.cancel_due = UnixNanos(0);
            // "No order is open" is the venue's to say.
            for state in &mut self.venues {
                state.wants_reconcile |= kill.is_killed;
            }
        }
        if (self.kill.is_killed || self.is_stopping || self.is_paused)
            && now.unix >= self.cancel_due
        {
            self.cancel_due = now.unix.after(CANCEL_AGAIN_NS);
            self.cancel_everything();
        }
    }

    /// When [`Engine::on_tick`] is next due.
    pub const fn next_deadline(&self) -> UnixNanos {
        self.tick_due
    }

    /// Timers: unanswered requests, settling, strategies, positions at the mark.
    pub fn on_tick(&mut self, now: Now) {
        if now.unix < self.tick_due {
            return;
        }
        self.tick_due = now.unix.after(TICK_NS);
        let mut lost = Vec::new();
        self.oms
            .on_timeout(now.unix, &mut |change| lost.push(change));
        for change in lost {
            self.on_silence(&change);
            self.on_change(&change, now);
        }
        for at in 0..self.venues.len() {
            let Some(state) = self.venues.get_mut(at) else {
                break;
            };
            let venue = state.venue;
            let is_old = state.is_reconciled && now.unix.since(state.reconciled_at) >= RECONCILE_NS;
            let is_due = state.is_logged_in && !state.is_reconciling;
            if is_due && (is_old || core::mem::take(&mut state.wants_reconcile)) {
                self.act(Action::Reconcile(venue));
            }
            self.settle(venue, now);
        }
        for at in 0..self.instruments.len() as u32 {
            self.show_position(InstrumentId(at), now);
        }
        if self.wall.is_checkpoint_due() {
            self.checkpoint(now);
        }
        self.read_limits(now);
        for at in 0..self.seats.len() {
            self.call_seat(at, now, |strategy, view, out| strategy.on_timer(view, out));
        }
    }

    fn show_position(&self, id: InstrumentId, now: Now) {
        let position = self.positions.get(id);
        let Some(instrument) = self.instruments.get(id.0 as usize) else {
            return;
        };
        if position.fills > 0
            && let Some(mark) = self.mark(id)
        {
            self.wall
                .show_position(id, position_state(instrument, &position, mark, now));
        }
    }

    fn checkpoint(&mut self, now: Now) {
        let entries = self.oms.all_held().map(|order| {
            Entry::Checkpoint(Checkpoint {
                order: order.live(),
                venue: order.venue,
                strategy: order.strategy,
                kind: order.kind,
                tif: order.tif,
                qty: order.qty,
                filled: order.filled,
            })
        });
        self.wall.checkpoint(now.unix, entries);
    }

    /// Takes over limits that were put in force since the last look, and journals them.
    fn read_limits(&mut self, now: Now) {
        let page = self.wall.region.config();
        if page.version() == self.limits_version {
            return;
        }
        let Some((version, node)) = page.read(&mut self.limits_seen) else {
            return;
        };
        self.limits_version = version;
        self.gate.set_node_limits(dp_risk::NodeLimits {
            collar_bps: node.collar_bps,
            orders_per_s_max: node.orders_per_s_max,
            book_age_ns_max: u64::from(node.book_age_ms_max) * 1_000_000,
        });
        for at in 0..self.instruments.len().min(self.limits_seen.len()) {
            let (Some(instrument), Some(one)) = (
                self.instruments.get(at).copied(),
                self.limits_seen.get(at).copied(),
            ) else {
                break;
            };
            if self.venue(instrument.venue).is_none() {
                continue;
            }
            // All zeros: not set, and not to be traded.
            let limits = (one.order_qty_max.0 > 0).then_some(dp_risk::Limits {
                order_qty_max: one.order_qty_max,
                position_max: one.position_max,
            });
            self.gate.set_limits(instrument.id, limits);
            let entry = Entry::Limits(dp_journal::entry::Limits {
                version,
                instrument: instrument.id,
                order_qty_max: one.order_qty_max,
                position_max: one.position_max,
                collar_bps: node.collar_bps,
                orders_per_s_max: node.orders_per_s_max,
                book_age_ms_max: node.book_age_ms_max,
            });
            self.wall.fact(now.unix, &entry);
        }
    }

    /// Pauses or resumes: paused means nothing new and quotes pulled.
    pub fn set_paused(&mut self, is_paused: bool) {
        self.wall.beat.show_paused(is_paused);
        self.is_paused = is_paused;
        self.cancel_due = UnixNanos(0);
    }

    /// Lets a strategy act or not; one that stops has its orders cancelled.
    pub fn set_running(&mut self, id: StrategyId, is_running: bool) {
        for seat in self.seats.iter_mut().filter(|seat| seat.id == id) {
            seat.is_running = is_running;
        }
        if !is_running {
            let orders: Vec<CancelOrder> = self
                .oms
                .all_live()
                .filter(|order| order.strategy == id)
                .map(Order::named)
                .collect();
            for order in orders {
                let cleared = self.gate.clear_cancel(order);
                self.act(Action::Cancel(cleared));
            }
        }
    }

    /// Cancels every order at a venue.
    pub fn cancel_venue(&mut self, venue: VenueId) {
        for at in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get(at).copied() else {
                break;
            };
            if instrument.venue == venue && self.oms.live(instrument.id).next().is_some() {
                let cleared = self.gate.clear_cancel_all(instrument.id);
                self.act(Action::CancelAll(cleared));
            }
        }
    }

    fn cancel_everything(&mut self) {
        for at in 0..self.venues.len() {
            if let Some(venue) = self.venues.get(at).map(|state| state.venue) {
                self.cancel_venue(venue);
            }
        }
    }
}

impl BookSlot {
    /// Takes the best levels for the line; says whether they changed.
    fn refresh(&mut self, msg: &BookMsg<'_>, now: UnixNanos) -> bool {
        let book = self.keeper.book();
        let proof = self.keeper.proof();
        let before = (
            self.top.bid_price,
            self.top.bid_qty,
            self.top.ask_price,
            self.top.ask_qty,
        );
        self.top.set_best(book.best_bid(), book.best_ask());
        self.top.last_update_id = proof.last_id;
        self.top.bid_levels = book.level_count(Side::Buy) as u32;
        self.top.ask_levels = book.level_count(Side::Sell) as u32;
        self.top.state = book_state(proof.state);
        self.top.updates += 1;
        self.top.updated = now;
        self.top.venue_ns = msg.venue_ns;
        let after = (
            self.top.bid_price,
            self.top.bid_qty,
            self.top.ask_price,
            self.top.ask_qty,
        );
        proof.state == State::Synced && before != after
    }
}

/// A fill's fee: its worth, and what of it was taken out of what was bought. Paid in a third asset, the
/// position leaves it out; the fill's record keeps it exactly.
fn fee_of(instrument: &Instrument, report: &FillReport) -> Fee {
    let fee = report.fee;
    if report.fee_asset == instrument.quote {
        let units = fee.to_increments(12).unwrap_or(0);
        return Notional(i128::from(units)).into();
    }
    if report.fee_asset != instrument.base {
        return Fee::default();
    }
    Fee {
        value: worth(fee, report.price).unwrap_or(Notional(0)),
        base: instrument.base_fee(fee).unwrap_or(0),
    }
}

/// An amount at a price, in quote units, toward zero.
fn worth(amount: Decimal, price: Decimal) -> Option<Notional> {
    let product = i128::from(amount.mantissa) * i128::from(price.mantissa);
    let exponent = 12 + i32::from(amount.exponent) + i32::from(price.exponent);
    let scale = 10i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        product.checked_mul(scale).map(Notional)
    } else {
        Some(Notional(product / scale))
    }
}
