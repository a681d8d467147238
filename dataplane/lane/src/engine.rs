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

use crate::books::AnyKeeper;
use crate::wall::{Wall, book_state, position_state};
use dp_book::State;
use dp_journal::entry::{
    AmendIntent, CancelIntent, Checkpoint, OrderIntent, Reconcile, Risk, Switch,
};
use dp_journal::{Durability, Entry};
use dp_oms::{Change, FillOutcome, Oms, Order, Position, Positions};
use dp_risk::{BookState as RiskBook, Cleared, Context, Gate, Lease, Refusal, Resting};
use dp_shm::{BookTop, Counter, KillState, Stage};
use dp_strategy::{Intent, Intents, Strategy, View};
use dp_transport::tsc;
use dp_types::{
    AmendOrder, BookMsg, BookMsgKind, CancelOrder, ClientOrderId, Epoch, FillReport, Instrument,
    InstrumentId, LiveOrder, NewOrder, Notional, Now, OrderReport, OrderState, Price, Qty,
    QuoteMsg, RejectReason, Side, StrategyId, Text, TradeMsg, Tsc, UnixNanos, VenueId,
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
    /// Compare open orders, fills and balances.
    Reconcile(VenueId),
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

/// What the engine knows of a venue.
#[derive(Debug)]
pub struct VenueState {
    /// Which.
    pub venue: VenueId,
    /// Its order link is logged in.
    pub is_logged_in: bool,
    /// Orders and fills agree with the venue's since the login.
    pub is_reconciled: bool,
    /// When the login was accepted.
    pub logged_in: UnixNanos,
    /// The venue stopped us until then.
    pub stopped_until: UnixNanos,
    /// A reconciliation is under way.
    is_reconciling: bool,
    /// It is the one the login asked for: trading waits for it.
    is_settling: bool,
    /// Orders the venue did not name, not settled yet.
    unnamed: Vec<ClientOrderId>,
    open_orders: u32,
    adopted: u32,
    asked: UnixNanos,
    reconciled_at: UnixNanos,
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
        Self {
            wall,
            epoch: setup.epoch,
            books: (0..count).map(|_| None).collect(),
            venues,
            gate: Gate::new(count, setup.limits),
            oms: Oms::new(setup.epoch, setup.lane, count),
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
            is_paused: false,
            is_stopping: false,
            tick_due: UnixNanos(0),
            cancel_due: UnixNanos(0),
        }
    }

    /// Seats a strategy.
    pub fn seat(
        &mut self,
        id: StrategyId,
        instrument: InstrumentId,
        strategy: Box<dyn Strategy + Send>,
    ) {
        let refused = (0, UnixNanos(0));
        self.seats.push(Seat {
            strategy,
            id,
            instrument,
            is_running: true,
            refused,
        });
    }

    /// Takes over what an earlier run left in the journal.
    pub fn recover(&mut self, recovered: &dp_journal::Recovered) {
        for order in recovered.orders.values() {
            self.oms.adopt(&dp_oms::Recovered {
                live: order.live(),
                venue: order.venue,
                strategy: order.strategy,
                kind: order.kind,
                tif: order.tif,
                qty: order.qty,
            });
        }
        for (_, instrument, trade) in &recovered.seen_trades {
            self.oms.adopt_fill(*instrument, *trade);
        }
        for (instrument, state) in &recovered.positions {
            let position = Position {
                qty: state.qty,
                cost: state.cost,
                realised: state.realised,
                fees: state.fees,
                fills: state.fills,
            };
            self.positions.restore(*instrument, position);
        }
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

    /// Whether no order of ours is live.
    pub const fn is_flat(&self) -> bool {
        self.oms.live_count() == 0
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
        let outcome = slot.keeper.on_msg(msg, instrument, now.unix);
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
        if let Some(instrument) = self.instrument(trade.instrument) {
            self.wall.trade_tick(now.unix, &instrument, trade);
            self.call(trade.instrument, now, |strategy, view, out| {
                strategy.on_trade(view, trade, out)
            });
        }
    }

    fn on_quote(&mut self, quote: &QuoteMsg, now: Now) {
        self.wall.count(Counter::QuoteEvents);
        self.call(quote.instrument, now, |strategy, view, out| {
            strategy.on_quote(view, quote, out)
        });
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
        if let Some(state) = self.venue_of(&instrument)
            && state.is_reconciling
            && !report.state.is_final()
        {
            state.open_orders += 1;
        }
        let illegal = self.oms.tally().illegal;
        let change = self.oms.on_report(report, &instrument);
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
        if report.state.is_final() || report.state == OrderState::Unknown {
            return;
        }
        if let Some(instrument) = self.instrument(report.instrument)
            && let Some(state) = self.venue_of(&instrument)
        {
            state.adopted += 1;
        }
        let cancel = CancelOrder {
            instrument: report.instrument,
            client_id: id,
            order_id: report.order_id,
        };
        self.cancel(&cancel, now);
    }

    fn on_fill(&mut self, report: &FillReport, now: Now) {
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
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
            FillOutcome::Duplicate => self.wall.count(Counter::DuplicateFills),
            FillOutcome::Foreign => {}
            FillOutcome::BadNumber => self.wall.count(Counter::DecodeErrors),
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
        let fee = fee_in_quote(instrument, report).unwrap_or(Notional(0));
        match self.positions.book(instrument, order.side, price, qty, fee) {
            Ok(position) => {
                let mark = self.mark(instrument.id).unwrap_or(price);
                let state = position_state(instrument, &position, mark, now);
                self.wall
                    .filled(now.unix, order, report, (price, qty), &state);
            }
            // A position beyond its integers cannot be managed: stop at once.
            Err(_) => self.wall.is_behind = true,
        }
    }

    fn on_ack(&mut self, ack: &RequestAck, now: Now) {
        let Some(order) = self.oms.get(ack.client_id).copied() else {
            return;
        };
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

    // ---- venues -------------------------------------------------------------------------------

    fn venue_of(&mut self, instrument: &Instrument) -> Option<&mut VenueState> {
        self.venue_mut(instrument.venue)
    }

    fn venue_mut(&mut self, venue: VenueId) -> Option<&mut VenueState> {
        self.venues.iter_mut().find(|state| state.venue == venue)
    }

    /// The order link is logged in: compare before trading.
    pub fn on_logged_in(&mut self, venue: VenueId, now: Now) {
        if let Some(state) = self.venue_mut(venue) {
            state.is_logged_in = true;
            state.is_reconciled = false;
            state.is_settling = true;
            state.logged_in = now.unix;
        }
        self.act(Action::Reconcile(venue));
    }

    /// The venue machine begins to compare.
    pub fn on_reconcile_started(&mut self, venue: VenueId) {
        self.oms.begin_reconcile(venue);
        if let Some(state) = self.venue_mut(venue) {
            state.is_reconciling = true;
            (state.open_orders, state.adopted) = (0, 0);
            state.unnamed.clear();
        }
    }

    /// The venue has named every open order and recent fill.
    pub fn on_reconciled(&mut self, venue: VenueId, now: Now) {
        let unnamed = self.oms.end_reconcile(venue);
        for order in &unnamed {
            self.act(Action::Query(*order));
        }
        if let Some(state) = self.venue_mut(venue) {
            state.is_reconciling = false;
            state.reconciled_at = now.unix;
            state.asked = now.unix;
            state.unnamed = unnamed.iter().map(|order| order.client_id).collect();
        }
        self.settle(venue, now);
    }

    /// Trading may begin once every order has a known fate.
    fn settle(&mut self, venue: VenueId, now: Now) {
        let oms = &self.oms;
        let Some(state) = self.venues.iter_mut().find(|state| state.venue == venue) else {
            return;
        };
        if state.is_reconciling || !state.is_logged_in || state.reconciled_at.0 == 0 {
            return;
        }
        state.unnamed.retain(|id| {
            oms.get(*id)
                .is_some_and(|order| !order.is_seen && !order.state.is_final())
        });
        let has_unknown = oms
            .all_live()
            .any(|order| order.venue == venue && order.state == OrderState::Unknown);
        let is_settled = state.unnamed.is_empty() && !has_unknown;
        if is_settled && state.is_settling {
            state.is_settling = false;
            state.is_reconciled = true;
            let entry = Entry::Reconcile(Reconcile {
                venue,
                open_orders: state.open_orders,
                unknown: 0,
                adopted: state.adopted,
            });
            self.wall.fact(now.unix, &entry);
        } else if !is_settled && now.unix.since(state.asked) >= ASK_AGAIN_NS {
            state.asked = now.unix;
            let ask: Vec<CancelOrder> = oms
                .all_live()
                .filter(|order| {
                    let is_open = order.state == OrderState::Unknown;
                    order.venue == venue && (is_open || state.unnamed.contains(&order.client_id))
                })
                .map(Order::named)
                .collect();
            for order in ask {
                self.act(Action::Query(order));
            }
        }
    }

    /// The order link is gone: unanswered requests have an unknown outcome, and trading waits.
    pub fn on_orders_lost(&mut self, venue: VenueId, now: Now) {
        if let Some(state) = self.venue_mut(venue) {
            (state.is_logged_in, state.is_reconciled) = (false, false);
            state.is_reconciling = false;
        }
        let mut lost = Vec::new();
        self.oms
            .on_link_lost(venue, &mut |change| lost.push(change));
        for change in lost {
            self.on_change(&change, now);
        }
    }

    /// The market data link is gone: its books are not to be trusted.
    pub fn on_feed_lost(&mut self, venue: VenueId, now: Now) {
        for at in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get(at).copied() else {
                break;
            };
            if instrument.venue != venue {
                continue;
            }
            if let Some(Some(slot)) = self.books.get_mut(at) {
                slot.keeper.reset();
                slot.top.state = book_state(slot.keeper.proof().state);
                let top = slot.top;
                self.wall.show_book(instrument.id, &top);
            }
            self.call(instrument.id, now, |strategy, view, out| {
                strategy.on_book(view, out)
            });
        }
    }

    /// The venue stopped us for rate.
    pub fn on_rate_limited(&mut self, venue: VenueId, until: UnixNanos) {
        self.wall.count(Counter::RateRefusals);
        if let Some(state) = self.venue_mut(venue) {
            state.stopped_until = state.stopped_until.max(until);
        }
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

    /// A new order did not leave.
    pub fn on_new_refused(&mut self, id: ClientOrderId, reason: RejectReason, now: Now) {
        self.wall.count(Counter::RateRefusals);
        if let Some(change) = self.oms.on_not_sent(id, reason) {
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
            self.on_change(&change, now);
        }
        for at in 0..self.venues.len() {
            let Some(state) = self.venues.get(at) else {
                break;
            };
            let venue = state.venue;
            let is_due = state.is_reconciled && now.unix.since(state.reconciled_at) >= RECONCILE_NS;
            if is_due && !state.is_reconciling {
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
        let entries = self.oms.all_live().map(|order| {
            Entry::Checkpoint(Checkpoint {
                order: order.live(),
                venue: order.venue,
                strategy: order.strategy,
                kind: order.kind,
                tif: order.tif,
                qty: order.qty,
            })
        });
        self.wall.checkpoint(now.unix, entries);
    }

    /// Pauses or resumes: paused means nothing new and quotes pulled.
    pub fn set_paused(&mut self, is_paused: bool) {
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

    // ---- strategies ---------------------------------------------------------------------------

    fn mark(&self, id: InstrumentId) -> Option<Price> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        slot.keeper
            .book()
            .mid_doubled()
            .map(|doubled| Price(doubled / 2))
    }

    /// Calls every strategy of an instrument.
    #[inline]
    fn call(
        &mut self,
        id: InstrumentId,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        for at in 0..self.seats.len() {
            if self.seats.get(at).is_some_and(|seat| seat.instrument == id) {
                self.call_seat(at, now, &speak);
            }
        }
    }

    /// Calls the strategy an order belongs to.
    fn call_one(
        &mut self,
        strategy: StrategyId,
        id: InstrumentId,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        let is_it = |seat: &Seat| seat.id == strategy && seat.instrument == id;
        if let Some(at) = self.seats.iter().position(is_it) {
            self.call_seat(at, now, speak);
        }
    }

    fn call_seat(
        &mut self,
        at: usize,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        let start = tsc();
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let id = seat.instrument;
        let (Some(instrument), Some(Some(slot))) = (
            self.instruments.get(id.0 as usize),
            self.books.get(id.0 as usize),
        ) else {
            return;
        };
        if !seat.is_running {
            return;
        }
        let is_reconciled = self
            .venues
            .iter()
            .any(|state| state.venue == instrument.venue && state.is_reconciled);
        let proof = slot.keeper.proof();
        let age_max = self.gate.node_limits().book_age_ns_max;
        let can_trade = !self.is_paused
            && !self.is_stopping
            && proof.state == State::Synced
            && now.unix.since(proof.at) <= age_max
            && self.gate.check_authority(is_reconciled, now.unix).is_ok();
        self.oms.live_of(seat.id, id, &mut self.live);
        let position = self.positions.get(id);
        let view = View {
            now,
            instrument,
            book: slot.keeper.book(),
            position: position.qty,
            cost: position.cost,
            live: &self.live,
            can_trade,
        };
        self.intents.clear();
        speak(seat.strategy.as_mut(), &view, &mut self.intents);
        self.wall.stamp(Stage::Strategy, start);
        for wish in 0..self.intents.len() {
            if let Some(intent) = self.intents.get(wish) {
                self.on_intent(at, intent, now);
            }
        }
    }

    fn on_intent(&mut self, at: usize, intent: Intent, now: Now) {
        let Some(seat) = self.seats.get(at) else {
            return;
        };
        let (id, instrument) = (seat.id, seat.instrument);
        match intent {
            Intent::New {
                side,
                kind,
                tif,
                price,
                qty,
            } => {
                // The one id a wish can get; it is used up only when the order is admitted.
                let Ok(client_id) = self.oms.next_id() else {
                    return;
                };
                let order = NewOrder {
                    instrument,
                    client_id,
                    side,
                    kind,
                    tif,
                    price,
                    qty,
                };
                self.place(at, id, &order, now);
            }
            Intent::Cancel { client_id } => {
                if let Some(order) = self.own(client_id, id) {
                    self.cancel(&order.named(), now);
                }
            }
            Intent::Amend {
                client_id,
                price,
                qty,
            } => {
                if let Some(order) = self.own(client_id, id) {
                    self.amend(at, &order, price, qty, now);
                }
            }
        }
    }

    /// A live order of this strategy.
    fn own(&self, client_id: ClientOrderId, strategy: StrategyId) -> Option<Order> {
        let order = self.oms.get(client_id)?;
        (order.strategy == strategy && !order.state.is_final()).then_some(*order)
    }

    fn place(&mut self, at: usize, strategy: StrategyId, order: &NewOrder, now: Now) {
        let start = tsc();
        let Some(instrument) = self.instrument(order.instrument) else {
            return;
        };
        let cleared = self.check(order.instrument, now, |gate, context| {
            gate.check_new(order, context, now.unix)
        });
        let checked = self.wall.stamp(Stage::Risk, start);
        let cleared = match cleared {
            Some(Ok(cleared)) if !self.is_paused && !self.is_stopping => cleared,
            Some(Err(refusal)) => {
                self.on_refusal(at, strategy, order.instrument, refusal, now);
                return;
            }
            _ => return,
        };
        if self
            .oms
            .admit(&cleared, instrument.venue, strategy, now.unix)
            .is_err()
        {
            return;
        }
        let admitted = self.wall.stamp(Stage::Oms, checked);
        let entry = Entry::OrderIntent(OrderIntent {
            client_id: order.client_id,
            instrument: order.instrument,
            venue: instrument.venue,
            strategy,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            price: order.price,
            qty: order.qty,
            level: Durability::Published,
        });
        let is_published = self.wall.wish(now.unix, &entry);
        self.wall.stamp(Stage::Journal, admitted);
        if is_published {
            self.act(Action::New(cleared));
        } else {
            // Never sent: nothing to journal, and the id is not used again.
            self.oms.on_not_sent(order.client_id, RejectReason::Other);
        }
    }

    fn cancel(&mut self, order: &CancelOrder, now: Now) {
        let venue = self
            .instrument(order.instrument)
            .map_or(VenueId(0), |it| it.venue);
        let entry = Entry::CancelIntent(CancelIntent {
            client_id: order.client_id,
            instrument: order.instrument,
            venue,
            order_id: order.order_id,
        });
        self.wall.fact(now.unix, &entry);
        let cleared = self.gate.clear_cancel(*order);
        self.act(Action::Cancel(cleared));
    }

    fn amend(
        &mut self,
        at: usize,
        order: &Order,
        price: Option<Price>,
        qty: Option<Qty>,
        now: Now,
    ) {
        let amend = AmendOrder {
            instrument: order.instrument,
            client_id: order.client_id,
            order_id: order.order_id,
            price,
            qty,
        };
        let resting = Resting {
            side: order.side,
            kind: order.kind,
            price: order.price,
            qty: order.qty,
        };
        let cleared = self.check(order.instrument, now, |gate, context| {
            gate.check_amend(&amend, &resting, context, now.unix)
        });
        match cleared {
            Some(Ok(cleared)) => {
                let entry = Entry::AmendIntent(AmendIntent {
                    client_id: order.client_id,
                    instrument: order.instrument,
                    venue: order.venue,
                    order_id: order.order_id,
                    price,
                    qty,
                });
                if self.wall.wish(now.unix, &entry) {
                    // From here on the larger of both quantities may be filled.
                    self.oms.on_amend_asked(&amend);
                    self.act(Action::Amend(cleared));
                }
            }
            Some(Err(refusal)) => {
                self.on_refusal(at, order.strategy, order.instrument, refusal, now);
            }
            None => {}
        }
    }

    /// Runs a check of the gate with the context of an instrument.
    fn check<T>(
        &mut self,
        id: InstrumentId,
        now: Now,
        check: impl FnOnce(&mut Gate, &Context<'_>) -> Result<T, Refusal>,
    ) -> Option<Result<T, Refusal>> {
        let at = id.0 as usize;
        let instrument = self.instruments.get(at)?;
        let slot = self.books.get(at)?.as_ref()?;
        let proof = slot.keeper.proof();
        let (bid, ask) = (slot.keeper.book().best_bid(), slot.keeper.book().best_ask());
        let exposure = self.oms.exposure(id);
        let is_reconciled = self
            .venues
            .iter()
            .any(|state| state.venue == instrument.venue && state.is_reconciled);
        let _ = now;
        let context = Context {
            instrument,
            book: RiskBook {
                is_proven: proof.state == State::Synced,
                updated: proof.at,
                bid: bid.map(|level| level.price),
                ask: ask.map(|level| level.price),
            },
            position: self.positions.get(id).qty,
            working_buy: exposure.buy,
            working_sell: exposure.sell,
            own_bid: exposure.own_bid,
            own_ask: exposure.own_ask,
            is_reconciled,
        };
        Some(check(&mut self.gate, &context))
    }

    /// A refusal is counted always and journaled once a second and kind: a strategy that keeps asking
    /// must not fill the journal.
    fn on_refusal(
        &mut self,
        at: usize,
        strategy: StrategyId,
        instrument: InstrumentId,
        refusal: Refusal,
        now: Now,
    ) {
        self.wall.count(Counter::RiskRefusals);
        let venue = self
            .instrument(instrument)
            .map_or(VenueId(0), |it| it.venue);
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let (code, last) = seat.refused;
        if code == refusal.code() && now.unix.since(last) < REFUSAL_NS {
            return;
        }
        seat.refused = (refusal.code(), now.unix);
        let (observed, limit) = refusal.numbers();
        let entry = Entry::Risk(Risk {
            rule: refusal.code(),
            client_id: None,
            instrument,
            venue,
            strategy,
            observed,
            limit,
        });
        self.wall.wish(now.unix, &entry);
    }
}

impl VenueState {
    const fn new(venue: VenueId) -> Self {
        Self {
            venue,
            is_logged_in: false,
            is_reconciled: false,
            logged_in: UnixNanos(0),
            stopped_until: UnixNanos(0),
            is_reconciling: false,
            is_settling: false,
            unnamed: Vec::new(),
            open_orders: 0,
            adopted: 0,
            asked: UnixNanos(0),
            reconciled_at: UnixNanos(0),
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

/// A fill's fee in quote units. `None` when it was paid in a third asset (or leaves the range): the fill's
/// record keeps the exact fee, the position's fee sum leaves it out.
fn fee_in_quote(instrument: &Instrument, report: &FillReport) -> Option<Notional> {
    let fee = report.fee;
    if report.fee_asset == instrument.quote {
        return fee
            .to_increments(12)
            .ok()
            .map(|units| Notional(i128::from(units)));
    }
    if report.fee_asset != instrument.base {
        return None;
    }
    let product = i128::from(fee.mantissa) * i128::from(report.price.mantissa);
    let exponent = 12 + i32::from(fee.exponent) + i32::from(report.price.exponent);
    let scale = 10i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        product.checked_mul(scale).map(Notional)
    } else {
        Some(Notional(product / scale))
    }
}
