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

mod account;
mod balances;
mod desk;
mod funding;
mod l3;
mod life;
mod market;
mod orders;
mod risk;
mod seats;
mod stats;
mod time;
mod venues;
mod wishes;

pub use seats::Seating;
pub use venues::VenueState;

use crate::books::AnyKeeper;
use crate::inputs::{Input, Past};
use crate::orders::AnyOrders;
use crate::wall::Wall;
use dp_book::{Book, Counts, FeedCounts, FeedPlan, Once, Proof};
use dp_oms::{Ledger, Oms, Position};
use dp_risk::{Cleared, Gate};
use dp_shm::{BookTop, InstrumentLimits, KillState, Stage};
use dp_strategy::Intents;
use dp_types::{
    AmendOrder, CancelOrder, Epoch, Instrument, InstrumentId, LiveOrder, NewOrder, Now, Tsc,
    UnixNanos, VenueId,
};
use dp_venue_api::Event;
use market::News;
use seats::Seat;
use stats::Stats;
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
    /// Fetch a snapshot, or have it pushed: by this feed.
    Snapshot(InstrumentId, u8),
    /// Fetch the book of single orders, or have it pushed.
    L3Snapshot(InstrumentId),
    /// Ask what became of an order.
    Query(CancelOrder),
    /// Compare open orders and fills.
    Reconcile(VenueId),
    /// Open the order link anew: it is up and does not answer.
    Reopen(VenueId),
}

/// One instrument's book and what was last shown of it.
struct BookSlot {
    keeper: AnyKeeper,
    /// Trades and quotes told, where several feeds bring them.
    once: Option<Box<Once>>,
    top: BookTop,
    /// Single orders, where they were asked for.
    orders: Option<Box<AnyOrders>>,
    stats: Stats,
}

/// What the engine is made with.
#[derive(Debug, Clone)]
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
    ledger: Ledger,
    watches: risk::Watches,
    accounts: Box<[account::Account]>,
    purses: balances::Purses,
    /// Funding told of an earlier time is of an account before ours, by instrument.
    funded_since: Box<[UnixNanos]>,
    seats: Vec<Seat>,
    intents: Intents,
    live: Vec<LiveOrder>,
    actions: VecDeque<Action>,
    /// Orders and amends that did not leave, and whose strategies have not been told.
    untold: VecDeque<dp_oms::Order>,
    sent: Box<[Tsc]>,
    kill: KillState,
    /// Version of the limits in force, and where they are read into.
    limits_version: u64,
    limits_seen: Vec<InstrumentLimits>,
    /// The node's as they were last.
    node_limits_seen: dp_shm::NodeLimits,
    is_paused: bool,
    is_stopping: bool,
    /// The latest turn's time.
    seen: UnixNanos,
    tick_due: UnixNanos,
    cancel_due: UnixNanos,
    /// What the last book message changed, not shown yet.
    news: Option<News>,
    /// Instruments whose single orders are followed, and how many orders there is room for.
    followed: Vec<(InstrumentId, usize)>,
    /// What several feeds have done for the books, as last counted; `None` while every venue has one.
    feeds: Option<FeedCounts>,
}

impl<'r> Engine<'r> {
    /// An engine without strategies. Takes its memory here.
    pub fn new(mut wall: Wall<'r>, setup: Setup) -> Self {
        wall.tap.tell(|| Input::Setup(setup.clone()));
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
            ledger: Ledger::new(count),
            watches: risk::Watches::new(count),
            accounts: vec![account::Account::default(); count].into_boxed_slice(),
            purses: balances::Purses::new(),
            funded_since: vec![UnixNanos(0); count].into_boxed_slice(),
            instruments: setup.instruments,
            seats: Vec::new(),
            intents: Intents::new(),
            live: Vec::with_capacity(LIVE_SHOWN_MAX),
            actions: VecDeque::with_capacity(ACTIONS_MAX),
            untold: VecDeque::with_capacity(ACTIONS_MAX),
            sent: vec![Tsc(0); SENT_SLOTS].into_boxed_slice(),
            kill: KillState {
                is_killed: false,
                changes: 0,
            },
            limits_version: 0,
            limits_seen: vec![InstrumentLimits::default(); count],
            node_limits_seen: dp_shm::NodeLimits::default(),
            is_paused: false,
            is_stopping: false,
            seen: UnixNanos(0),
            tick_due: UnixNanos(0),
            cancel_due: UnixNanos(0),
            news: None,
            followed: Vec::new(),
            feeds: None,
        }
    }

    /// How a venue's market data comes, before its instruments are known.
    pub fn set_feeds(&mut self, venue: VenueId, plan: FeedPlan) {
        self.wall.tap.tell(|| Input::Feeds(venue, plan));
        if let Some(state) = self.venue_mut(venue) {
            state.feeds = plan;
        }
        if plan.count > 1 {
            self.feeds.get_or_insert_default();
        }
    }

    /// Takes over what an earlier run left of this lane's venues, and writes it into this lane's journal:
    /// it may have been another's, or another file's.
    pub fn recover(&mut self, recovered: &dp_journal::Recovered, now: Now) {
        let past = || Input::Recover(Box::new(Past::of(recovered)), now);
        self.wall.tap.tell(past);
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
        for (venue, instrument, payment) in &recovered.seen_payments {
            if has(self, *venue) {
                self.ledger.adopt_payment(*instrument, *payment);
            }
        }
        self.fund_since(recovered, now);
        for ((id, strategy), state) in &recovered.parts {
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
                funding: state.funding,
            };
            // What cannot be added up cannot be managed.
            if self.ledger.restore(*id, *strategy, position).is_err() {
                self.kill_for_range(now);
            }
            self.wall.take_part(now.unix, &instrument, *strategy, state);
        }
        for (id, state) in &recovered.positions {
            if self.instrument(*id).is_some_and(|it| has(self, it.venue)) {
                self.wall.show_position(*id, *state);
            }
        }
        self.recover_watches(recovered);
        self.recover_balances(recovered, now);
        self.checkpoint(now);
    }

    /// Sets limits of one instrument; `None` = it cannot trade.
    pub fn set_limits(&mut self, instrument: InstrumentId, limits: Option<dp_risk::Limits>) {
        self.wall.tap.tell(|| Input::Limits(instrument, limits));
        self.gate.set_limits(instrument, limits);
    }

    /// Rules of the instruments are known (again). A book whose increments changed starts over.
    pub fn set_instruments(&mut self, venue: VenueId, instruments: &[Instrument]) {
        let ours = instruments.iter().filter(|it| it.venue == venue).copied();
        let told = || Input::Instruments(venue, ours.collect());
        self.wall.tap.tell(told);
        let plan = self.venue(venue).map_or(FeedPlan::ONE, |state| state.feeds);
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
                let orders_max = self.followed.iter().find(|it| it.0 == fresh.id);
                let orders_max = orders_max.map(|it| it.1);
                *slot = AnyKeeper::new(fresh, plan).map(|keeper| {
                    Box::new(BookSlot {
                        keeper,
                        once: (plan.count > 1).then(|| Box::new(Once::new(plan.hold_ns))),
                        top: BookTop::default(),
                        orders: orders_max
                            .and_then(|max| AnyOrders::new(fresh, max))
                            .map(Box::new),
                        stats: Stats::new(),
                    })
                });
            }
            *held = *fresh;
        }
        self.obey_halts();
    }

    /// The next thing to do. Once there is nothing more, others may read what the books are.
    #[inline]
    pub fn next_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        self.wall.tap.took(action.as_ref(), self.news.is_some());
        if action.is_none() {
            self.show_news();
        }
        action
    }

    /// What is known of a venue.
    pub fn venue(&self, venue: VenueId) -> Option<&VenueState> {
        self.venues.iter().find(|state| state.venue == venue)
    }

    /// An instrument's book and what is proven of it; `None` before its rules are known.
    pub fn book(&self, id: InstrumentId) -> Option<(&Book, Proof)> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        Some((slot.keeper.book(), slot.keeper.proof()))
    }

    /// What an instrument's book has been through; `None` before its rules are known.
    pub fn book_counts(&self, id: InstrumentId) -> Option<Counts> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        Some(slot.keeper.counts())
    }

    /// Feeds that could bring an instrument's book alone; `None` where it has one, or none yet.
    pub fn feeds_ready(&self, id: InstrumentId) -> Option<usize> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        slot.keeper.feeds_ready()
    }

    /// Rules of the instruments, by id.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// All orders.
    pub const fn oms(&self) -> &Oms {
        &self.oms
    }

    /// What each strategy holds.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Stops in order: nothing new, everything cancelled. [`Engine::is_flat`] tells when it is done.
    pub fn stop(&mut self) {
        let seen = self.seen;
        self.wall.tap.tell(|| Input::Stop(seen));
        self.is_stopping = true;
        self.save_all(self.seen);
    }

    /// Whether no order of ours is live and every fill is counted.
    pub fn is_flat(&self) -> bool {
        self.oms.held_count() == 0 && self.venues.iter().all(|state| state.strangers.is_empty())
    }

    fn act(&mut self, action: Action) {
        // A full list means the lane is not taking actions: wishes are dropped, which the strategy sees
        // as orders that never came; what must happen (a cancel nobody would wish for again, a comparison) is
        // asked for again by time.
        if self.actions.len() < ACTIONS_MAX {
            self.actions.push_back(action);
        }
    }

    // ---- events -------------------------------------------------------------------------------

    /// One event of a venue's own machine. `since` is when its message was handed to the machine.
    #[inline]
    pub fn on_event(&mut self, event: &Event<'_>, now: Now, since: Tsc) {
        self.on_event_of(0, event, now, since);
    }

    /// As [`Engine::on_event`], from one of the feeds that bring a venue's market data; 0 is the venue's own machine.
    pub fn on_event_of(&mut self, feed: u8, event: &Event<'_>, now: Now, since: Tsc) {
        if !matches!(event, Event::Book(_)) {
            self.wall.tap.tell(|| Input::Event(feed, *event, now));
        }
        match event {
            Event::Book(msg) => {
                let decoded = self.wall.stamp(Stage::Decode, since);
                self.on_book(feed, msg, now, now.unix, decoded);
            }
            Event::Trade(trade) => self.on_trade(trade, now),
            // Of the venue's own machine alone.
            Event::L3(msg) if feed == 0 => self.on_l3(msg, now),
            Event::Quote(quote) => self.on_quote(feed, quote, now),
            Event::Order(report) => self.on_order(report, now),
            Event::Fill(report) => self.on_fill(report, now),
            Event::Ack(ack) => self.on_ack(ack, now),
            // Ours to keep from fills, and compared with the venue's.
            Event::Position(report) => self.on_position(report),
            Event::Balance(balance) => self.on_balance(balance, now),
            Event::Funding(report) => self.on_funding(report, now),
            Event::L3(_) | Event::Control(_) | Event::Ignored(_) => {}
        }
    }

    /// Where an instrument is traded.
    fn place_of(&self, id: InstrumentId) -> Option<VenueId> {
        self.instruments.get(id.0 as usize).map(|it| it.venue)
    }

    fn instrument(&self, id: InstrumentId) -> Option<Instrument> {
        self.instruments.get(id.0 as usize).copied()
    }
}
