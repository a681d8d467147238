//! What the engine knows of its venues: login, reconciliation, links that are lost.
//!
//! ```text
//!   logged in ─▶ Reconcile ─▶ named: open orders, fills ─▶ unnamed and unknown ones are asked about
//!            ─▶ every order has a known fate ─▶ trading may begin
//! ```

use super::{ASK_AGAIN_NS, Action, Engine, SILENT_MAX};
use dp_book::{FeedPlan, Loss, State};
use dp_journal::Entry;
use dp_journal::entry::{Reconcile, ReconcileCause};
use dp_oms::{Change, Order};
use dp_risk::RejectWatch;
use dp_shm::Counter;
use dp_strategy::Inputs;
use dp_types::{
    CancelOrder, ClientOrderId, Instrument, InstrumentId, Now, OrderState, UnixNanos, VenueId,
    VenueNanos,
};

/// What the engine knows of a venue.
#[derive(Debug)]
pub struct VenueState {
    /// Which.
    pub venue: VenueId,
    /// Its order link is logged in.
    pub is_logged_in: bool,
    /// Orders and fills agree with the venue's since the login.
    pub is_reconciled: bool,
    /// Others trade in the account.
    pub(super) has_shared_account: bool,
    /// It tells each position of ours in every comparison.
    pub(super) lists_positions: bool,
    /// When the login was accepted.
    pub logged_in: UnixNanos,
    /// The venue stopped us until then.
    pub stopped_until: UnixNanos,
    /// A reconciliation is under way.
    pub(super) is_reconciling: bool,
    /// It is the one the login asked for: trading waits for it.
    pub(super) is_settling: bool,
    /// Positions and balances were not compared yet since the last comparison of orders has ended.
    pub(super) owes_account: bool,
    /// Orders the venue did not name, not settled yet.
    pub(super) unnamed: Vec<ClientOrderId>,
    pub(super) asked: UnixNanos,
    /// When the last comparison that has ended began.
    pub reconciled_at: UnixNanos,
    /// When the one under way began.
    pub(super) began_at: UnixNanos,
    /// Compare again as soon as can be.
    pub(super) wants_reconcile: bool,
    /// Why, the first reason since the last one began.
    pub(super) cause: Option<ReconcileCause>,
    /// What the one under way has found, and the last until every order's fate is known.
    pub(super) report: Option<Reconcile>,
    /// When that was asked for last.
    pub(super) reconcile_asked: UnixNanos,
    /// Times our orders and fills came into doubt: a login, a private message that could not be read.
    doubts: u64,
    /// Of these, those before the comparison under way began, and before the last that has ended.
    doubts_compared: (u64, u64),
    /// Orders below this must go, people say: what was live when they said it.
    pub(super) cleared: ClientOrderId,
    /// Orders of ours at the venue that we hold for over or do not know: cancelled until it lists them no
    /// more.
    pub strangers: Vec<CancelOrder>,
    /// Requests without an answer since the last word on the order link.
    pub(super) silent: u32,
    /// How long the venue's market data is on its way.
    pub(super) delay: Delay,
    /// How it comes.
    pub(super) feeds: FeedPlan,
    /// Its answers to orders.
    pub(super) rejects: RejectWatch,
}

/// Strangers kept track of at once; venues allow fewer open orders.
const STRANGERS_MAX: usize = 4_096;
/// How long the shortest way a message took is remembered, at least.
const FLOOR_NS: u64 = 60_000_000_000;

/// How much longer than the shortest way of late a message was under way. Needs no common clock: the
/// difference of the two clocks is in the shortest way too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delay {
    /// Shortest ways of the window before and of this one, nanoseconds, clocks' difference included.
    floors: [i128; 2],
    until: UnixNanos,
}

impl Delay {
    const fn new() -> Self {
        Self {
            floors: [i128::MAX; 2],
            until: UnixNanos(0),
        }
    }

    /// Nanoseconds beyond the shortest way; 0 for a message without a time of its venue.
    #[inline]
    pub(super) fn beyond_floor(&mut self, now: UnixNanos, sent: VenueNanos) -> u64 {
        if sent.0 == 0 {
            return 0;
        }
        let way = i128::from(now.0) - i128::from(sent.0);
        if now >= self.until {
            self.until = now.after(FLOOR_NS);
            self.floors = [self.floors[1], i128::MAX];
        }
        self.floors[1] = self.floors[1].min(way);
        let floor = self.floors[0].min(self.floors[1]);
        u64::try_from(way - floor).unwrap_or(0)
    }
}

impl VenueState {
    pub(super) fn new(venue: VenueId) -> Self {
        Self {
            venue,
            is_logged_in: false,
            is_reconciled: false,
            has_shared_account: false,
            lists_positions: false,
            logged_in: UnixNanos(0),
            stopped_until: UnixNanos(0),
            is_reconciling: false,
            owes_account: false,
            is_settling: false,
            unnamed: Vec::new(),
            asked: UnixNanos(0),
            reconciled_at: UnixNanos(0),
            began_at: UnixNanos(0),
            wants_reconcile: false,
            cause: None,
            report: None,
            reconcile_asked: UnixNanos(0),
            doubts: 0,
            doubts_compared: (0, 0),
            cleared: ClientOrderId(0),
            strangers: Vec::new(),
            silent: 0,
            delay: Delay::new(),
            feeds: FeedPlan::ONE,
            rejects: RejectWatch::default(),
        }
    }

    /// How much longer than the shortest way a message of `venue` was under way, nanoseconds: it proves a book as of
    /// then, not of now.
    #[inline]
    pub(super) fn late_ns(
        states: &mut [Self],
        venue: VenueId,
        now: UnixNanos,
        sent: VenueNanos,
    ) -> u64 {
        let state = states.iter_mut().find(|state| state.venue == venue);
        state.map_or(0, |state| state.delay.beyond_floor(now, sent))
    }

    /// What is known of orders and fills may be wrong until a comparison that begins from now on has ended.
    fn doubt(&mut self, cause: ReconcileCause) {
        self.is_reconciled = false;
        self.is_settling = true;
        self.want_reconcile(cause);
        self.doubts += 1;
    }

    /// Compare again as soon as can be.
    pub(super) fn want_reconcile(&mut self, cause: ReconcileCause) {
        self.wants_reconcile = true;
        self.cause.get_or_insert(cause);
    }

    /// Notes a stranger; says whether it is new.
    pub(super) fn take_stranger(&mut self, order: CancelOrder) -> bool {
        let is_new = !self
            .strangers
            .iter()
            .any(|held| held.client_id == order.client_id);
        if is_new && self.strangers.len() < STRANGERS_MAX {
            self.strangers.push(order);
        }
        is_new
    }
}

impl Engine<'_> {
    pub(super) fn venue_of(&mut self, instrument: &Instrument) -> Option<&mut VenueState> {
        self.venue_mut(instrument.venue)
    }

    pub(super) fn venue_mut(&mut self, venue: VenueId) -> Option<&mut VenueState> {
        self.venues.iter_mut().find(|state| state.venue == venue)
    }

    /// The order link is logged in: compare before trading.
    pub fn on_logged_in(&mut self, venue: VenueId, now: Now) {
        if let Some(state) = self.venue_mut(venue) {
            let is_first = state.logged_in.0 == 0;
            let cause = if is_first {
                ReconcileCause::Start
            } else {
                ReconcileCause::Reconnect
            };
            state.is_logged_in = true;
            state.logged_in = now.unix;
            state.doubt(cause);
            state.reconcile_asked = now.unix;
        }
        self.act(Action::Reconcile(venue));
    }

    /// The venue machine begins to compare.
    pub fn on_reconcile_started(&mut self, venue: VenueId, now: Now) {
        // One that had ended, and whose orders' fates are not all known: what is known is told.
        self.report(venue, now);
        self.oms.begin_reconcile(venue);
        self.begin_positions(venue);
        self.purses.begin(venue);
        let held = self.oms.all_held().filter(|order| order.venue == venue);
        let compared = held.count() as u32;
        if let Some(state) = self.venue_mut(venue) {
            state.is_reconciling = true;
            state.wants_reconcile = false;
            state.doubts_compared.0 = state.doubts;
            state.began_at = now.unix;
            // Those that still live are named again.
            state.strangers.clear();
            // The machine's own wish, where nobody else had one.
            let cause = state.cause.take().unwrap_or(ReconcileCause::Timer);
            state.report = Some(Reconcile::begun(venue, cause, now.unix, compared));
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
            state.owes_account = true;
            state.reconciled_at = state.began_at;
            state.doubts_compared.1 = state.doubts_compared.0;
            state.asked = now.unix;
            state.unnamed = unnamed.iter().map(|order| order.client_id).collect();
            if let Some(report) = &mut state.report {
                report.missing = unnamed.len() as u32;
            }
        }
        self.settle(venue, now);
    }

    /// Every order's fate is known: what the venue holds for us is compared with what that makes, once a comparison.
    fn close(&mut self, venue: VenueId, now: Now) {
        if self
            .venue_mut(venue)
            .is_some_and(|it| core::mem::take(&mut it.owes_account))
        {
            let positions = self.compare_positions(venue, now);
            let balances = self.compare_balances(venue, now);
            let Some(state) = self.venue_mut(venue) else {
                return;
            };
            if let Some(report) = &mut state.report {
                report.positions_differed = positions.differ;
                report.positions_corrected = positions.corrected;
                report.balances_differed = balances.differ;
                report.balances_corrected = balances.corrected;
            }
            if positions.is_open || balances.is_open {
                let is_again = state
                    .report
                    .as_ref()
                    .is_some_and(|it| it.cause == ReconcileCause::Doubt);
                state.doubt(ReconcileCause::Doubt);
                // Mostly a fill was on its way, and has come: asked again at once, but only once.
                if !is_again {
                    state.reconcile_asked = UnixNanos(0);
                }
                return;
            }
        }
        if let Some(state) = self.venue_mut(venue)
            && core::mem::take(&mut state.is_settling)
        {
            state.is_reconciled = true;
        }
        self.report(venue, now);
    }

    /// Trading may begin once every order has a known fate.
    pub(super) fn settle(&mut self, venue: VenueId, now: Now) {
        let oms = &self.oms;
        let Some(state) = self.venues.iter_mut().find(|state| state.venue == venue) else {
            return;
        };
        let is_compared = state.reconciled_at.0 > 0 && state.doubts_compared.1 == state.doubts;
        if state.is_reconciling || !state.is_logged_in || !is_compared {
            return;
        }
        state.unnamed.retain(|id| {
            oms.get(*id)
                .is_some_and(|order| !order.is_seen && !order.state.is_final())
        });
        let has_unknown = oms
            .all_live()
            .any(|order| order.venue == venue && order.state == OrderState::Unknown);
        let is_owed = |order: &Order| order.venue == venue && !order.is_settled();
        let has_owed = oms.all_held().any(is_owed);
        let is_settled =
            state.unnamed.is_empty() && state.strangers.is_empty() && !has_unknown && !has_owed;
        if is_settled {
            self.close(venue, now);
        } else if now.unix.since(state.asked) >= ASK_AGAIN_NS {
            state.asked = now.unix;
            let ask: Vec<CancelOrder> = oms
                .all_held()
                .filter(|order| {
                    let is_open = order.state == OrderState::Unknown;
                    let is_unnamed = state.unnamed.contains(&order.client_id);
                    order.venue == venue && (is_open || is_unnamed) || is_owed(order)
                })
                .map(Order::named)
                .collect();
            let strangers = state.strangers.clone();
            // Whether they are gone, only a new list tells.
            if !strangers.is_empty() {
                state.want_reconcile(ReconcileCause::Doubt);
            }
            for order in ask {
                self.act(Action::Query(order));
            }
            for order in &strangers {
                self.cancel(order, now);
            }
        }
    }

    /// Writes down what a comparison that has ended came to, once.
    fn report(&mut self, venue: VenueId, now: Now) {
        let oms = &self.oms;
        let Some(state) = self.venues.iter_mut().find(|state| state.venue == venue) else {
            return;
        };
        if state.is_reconciling {
            return;
        }
        let Some(mut report) = state.report.take() else {
            return;
        };
        let is_unknown = |order: &&Order| {
            let is_unnamed = state.unnamed.contains(&order.client_id) && !order.state.is_final();
            order.venue == venue && (order.state == OrderState::Unknown || is_unnamed)
        };
        report.unknown = oms.all_held().filter(is_unknown).count() as u32;
        if report.differs() {
            tracing::warn!(%venue, cause = report.cause.name(), ?report, "compared with the venue: not all was as we had it");
        }
        self.wall.fact(now.unix, &Entry::Reconcile(report));
    }

    /// The order link is gone: unanswered requests have an unknown outcome, and trading waits.
    pub fn on_orders_lost(&mut self, venue: VenueId, now: Now) {
        self.report(venue, now);
        if let Some(state) = self.venue_mut(venue) {
            (state.is_logged_in, state.is_reconciled) = (false, false);
            // One that was cut short has not ended: the next login's tells.
            (state.is_reconciling, state.report) = (false, None);
        }
        let mut lost = Vec::new();
        self.oms
            .on_link_lost(venue, &mut |change| lost.push(change));
        for change in lost {
            self.on_change(&change, now);
        }
    }

    /// Somebody wants orders and positions compared now.
    pub(super) fn ask_to_reconcile(&mut self, venue: VenueId) {
        if let Some(state) = self.venue_mut(venue) {
            state.want_reconcile(ReconcileCause::Asked);
        }
    }

    /// A private message could not be read: an order or a fill may have been in it.
    pub fn on_private_fault(&mut self, venue: VenueId) {
        if let Some(state) = self.venue_mut(venue) {
            state.doubt(ReconcileCause::Doubt);
        }
    }

    /// A request was not answered in time. One about an order on the book, or several in a row: the link is
    /// up and dead.
    pub(super) fn on_silence(&mut self, change: &Change) {
        let venue = change.order.venue;
        let was_resting = matches!(change.from, OrderState::Ack | OrderState::PartiallyFilled);
        if let Some(state) = self.venue_mut(venue) {
            state.silent += 1;
            if was_resting || state.silent >= SILENT_MAX {
                state.silent = 0;
                self.act(Action::Reopen(venue));
            }
        }
    }

    /// A market data link is gone: its books are not to be trusted, unless other feeds bring them too.
    pub fn on_feed_lost(&mut self, venue: VenueId, feed: u8, now: Now) {
        for at in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get(at).copied() else {
                break;
            };
            if instrument.venue != venue {
                continue;
            }
            self.on_book_lost(instrument.id, feed, now);
        }
    }

    /// Messages of a feed about this book were lost: where no other feed brings it, it is not to be trusted, and
    /// begins anew.
    pub fn on_book_lost(&mut self, id: InstrumentId, feed: u8, now: Now) {
        if let Some(Some(slot)) = self.books.get_mut(id.0 as usize) {
            match slot.keeper.lose(usize::from(feed)) {
                Loss::Unseen(ask) => {
                    self.ask_for_book(id, ask);
                    return;
                }
                Loss::Moved | Loss::Whole => slot.look(),
            }
            let top = slot.top;
            self.wall.show_book(id, &top);
        }
        self.call(id, Inputs::BOOK, now, |strategy, view, out| {
            strategy.on_book(view, out);
        });
    }

    /// The venue machine knows that something of this book is missing: a gap, though no number has shown it yet.
    pub(super) fn on_hole(&mut self, id: InstrumentId, now: Now) {
        let is_whole = |engine: &Self| {
            let book = engine.book(id);
            book.is_some_and(|(_, proof)| proof.state == State::Synced)
        };
        let was_whole = is_whole(self);
        self.on_book_lost(id, 0, now);
        if was_whole && !is_whole(self) {
            self.wall.count(Counter::Gaps);
            self.wall.count(Counter::Resyncs);
        }
    }

    /// The venue stopped us for rate.
    pub fn on_rate_limited(&mut self, venue: VenueId, until: UnixNanos) {
        self.wall.count(Counter::RateRefusals);
        if let Some(state) = self.venue_mut(venue) {
            state.stopped_until = state.stopped_until.max(until);
        }
    }
}
