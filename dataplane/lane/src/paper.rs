//! A desk that sends nothing: the engine's orders go to an exchange made of the venue's own market data.
//!
//! ```text
//!   sessions, or a recording ── market data ──▶ Paper ──▶ Engine
//!                                                 │  ▲       │ New, Amend, Cancel, Query, Reconcile
//!                                       books,    ▼  │       ▼
//!                                       trades  Exchange, one a venue: answers after their delays
//! ```
//! The engine cannot tell: it hears a login, a comparison, acks and fills as a venue gives them. The same desk is live
//! paper trading, under sessions that have no order link, and the backtest, under a recording.
//!
//! A request goes out if a live session would let it out: each venue's own limits are asked ([`Rates`]), in the requests a
//! session would make of it.
//!
//! Trades count for our queue as the first feed brings them: of several feeds, copies would serve us twice.

use crate::any_venue::AnyVenue;
use crate::desk::{Desk, Fact, Local, OnInstruments, Outcome, VenueLinks};
use crate::engine::{Action, Engine};
use crate::session::{ORDERS_MAX, admit, follows};
use crate::wall::Wall;
use dp_book::{Book, State};
use dp_paper::{Answer, Exchange, Request, Setup};
use dp_risk::Cleared;
use dp_shm::Counter;
use dp_types::{
    CancelOrder, ClientOrderId, Instrument, InstrumentId, LaneId, NewOrder, Now, OrderReport,
    RejectReason, TradeMsg, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::limits::{OrderAsk, Rates};
use dp_venue_api::{Event, Registry, Venue as _};
use std::collections::VecDeque;

/// Answers taken in one go: a strategy that asks again at once and delays of 0 could go on for ever.
const ANSWERS_MAX: usize = 4_096;
/// What is asked of the market data links at once: as much as the engine holds.
const MARKET_MAX: usize = 256;

/// One venue's exchange.
struct Floor {
    venue: VenueId,
    exchange: Exchange,
    /// What a live session would send by; `None`: the venue names no limits, or its machine was not met yet.
    rates: Option<Box<dyn Rates>>,
    /// Its instruments are known, and the engine is logged in.
    is_open: bool,
}

/// The engine, and the exchanges in place of its venues.
pub struct Paper<'r> {
    local: Local<'r>,
    floors: Vec<Floor>,
    /// What only the market data links can do.
    market: VecDeque<Action>,
    /// Orders about to be listed, or cancelled together.
    listed: Vec<OrderReport>,
    /// New orders of one request.
    entering: Vec<NewOrder>,
    /// Orders that are cancelled together, and their ages, nanoseconds.
    live: Vec<CancelOrder>,
    ages: Vec<u64>,
    now: Now,
}

impl<'r> Paper<'r> {
    /// An engine whose venues are these.
    pub fn new(
        lane: LaneId,
        engine: Engine<'r>,
        on_instruments: OnInstruments<'r>,
        venues: Vec<(VenueId, Setup)>,
    ) -> Self {
        let count = engine.instruments().len();
        let floor = |(venue, setup)| Floor {
            venue,
            exchange: Exchange::new(setup, count),
            rates: None,
            is_open: false,
        };
        Self {
            local: Local {
                lane,
                engine,
                on_instruments,
            },
            floors: venues.into_iter().map(floor).collect(),
            market: VecDeque::with_capacity(MARKET_MAX),
            listed: Vec::with_capacity(dp_types::limit::LIVE_ORDERS_MAX),
            entering: Vec::with_capacity(ORDERS_MAX),
            live: Vec::with_capacity(dp_types::limit::LIVE_ORDERS_MAX),
            ages: Vec::with_capacity(dp_types::limit::LIVE_ORDERS_MAX),
            now: Now {
                tsc: Tsc(0),
                unix: UnixNanos(0),
            },
        }
    }

    /// The engine, for read-outs.
    pub const fn engine(&self) -> &Engine<'r> {
        &self.local.engine
    }

    /// The engine, to read its words or be asked to stop by whoever turns this desk without a lane.
    pub const fn engine_mut(&mut self) -> &mut Engine<'r> {
        &mut self.local.engine
    }

    /// When the next request arrives at an exchange or an answer is back.
    pub fn next_due(&self) -> Option<UnixNanos> {
        let dues = self.floors.iter();
        dues.filter_map(|floor| floor.exchange.next_due()).min()
    }

    /// Orders at the exchanges.
    pub fn resting(&self) -> usize {
        let floors = self.floors.iter();
        floors.map(|floor| floor.exchange.open_orders()).sum()
    }

    /// Carries out what arrives at the exchanges by `now`, and tells the engine what is back by then: each at its time.
    pub fn settle(&mut self, now: Now) {
        self.now = now;
        self.carry();
        let mut left = ANSWERS_MAX;
        while let Some(due) = self.next_due().filter(|due| *due <= now.unix) {
            self.now.unix = due;
            self.arrive(due, &mut left);
            self.carry();
            if left == 0 {
                break;
            }
        }
        self.now = now;
    }

    /// What happens at the exchanges at `due`.
    fn arrive(&mut self, due: UnixNanos, left: &mut usize) {
        let Self {
            local, floors, now, ..
        } = self;
        let engine = &mut local.engine;
        for floor in floors {
            floor.exchange.advance(due, |id| whole_book(engine, id));
            while *left > 0
                && let Some(answer) = floor.exchange.answer(due)
            {
                *left -= 1;
                let event = match answer {
                    Answer::Order(report) => Event::Order(report),
                    Answer::Fill(report) => Event::Fill(report),
                    Answer::Ack(ack) => Event::Ack(ack),
                };
                engine.on_event(&event, *now, now.tsc);
            }
        }
    }

    /// Gives what the engine wants done to the exchanges; keeps what is the market data links'.
    fn carry(&mut self) {
        let mut next = self.local.engine.next_action();
        while let Some(action) = next {
            next = match action {
                Action::New(order) => self.enter(&order),
                other => {
                    self.perform(other);
                    self.local.engine.next_action()
                }
            };
        }
    }

    /// Carries one action out, other than a new order.
    fn perform(&mut self, action: Action) {
        match action {
            // They are entered.
            Action::New(_) => {}
            Action::Amend(amend) => {
                let id = amend.client_id;
                let outcome = if !self.local.engine.may_send(self.now.unix) {
                    Outcome::AmendRefused(id, RejectReason::Other)
                } else if self.has_room(amend.instrument, OrderAsk::Amend(self.age_ns(id))) {
                    self.request(amend.instrument, Request::Amend(*amend));
                    Outcome::AmendSent(id)
                } else {
                    Outcome::AmendRefused(id, RejectReason::RateLimit)
                };
                self.local.engine.on_outcome(outcome, self.now);
            }
            Action::Cancel(cancel) => {
                let id = cancel.client_id;
                let outcome = if self.has_room(cancel.instrument, OrderAsk::Cancel(self.age_ns(id)))
                {
                    self.request(cancel.instrument, Request::Cancel(*cancel));
                    Outcome::CancelSent(id)
                } else {
                    self.local.wall().count(Counter::RateRefusals);
                    Outcome::CancelRefused(id)
                };
                self.local.engine.on_outcome(outcome, self.now);
            }
            Action::CancelAll(id) => self.cancel_all(*id),
            // What a live session refuses is asked again: an exchange that answers always is asked once.
            Action::Query(order) => self.request(order.instrument, Request::Query(order)),
            Action::Reconcile(venue) => self.reconcile(venue),
            // An exchange answers always.
            Action::Reopen(_) => {}
            Action::Snapshot(..) | Action::L3Snapshot(_) => {
                if self.market.len() < MARKET_MAX {
                    self.market.push_back(action);
                }
            }
        }
    }

    /// Enters a new order, and with it those behind it that one request would carry too, as a session does: a request
    /// of several there is no room for is tried order by order. Returns the action that follows.
    fn enter(&mut self, first: &Cleared<NewOrder>) -> Option<Action> {
        let now = self.now;
        let floor = self.floor_of(first.instrument);
        let rates = floor.and_then(|floor| floor.rates.as_ref());
        let most = rates.map_or(1, |rates| rates.batch_max()).min(ORDERS_MAX);
        let mut orders = core::mem::take(&mut self.entering);
        orders.clear();
        admit(&mut self.local, first, &mut orders, now);
        let mut next = self.local.engine.next_action();
        while let Some(Action::New(order)) = &next
            && orders.len() < most
            && orders.last().is_some_and(|last| follows(last, order))
        {
            admit(&mut self.local, order, &mut orders, now);
            next = self.local.engine.next_action();
        }
        let together = OrderAsk::New(orders.len() as u32);
        let is_sent = orders.len() > 1 && self.has_room(first.instrument, together);
        for order in &orders {
            let id = order.client_id;
            let outcome = if is_sent || self.has_room(order.instrument, OrderAsk::New(1)) {
                self.request(order.instrument, Request::New(*order));
                Outcome::NewSent(id)
            } else {
                Outcome::NewRefused(id, RejectReason::RateLimit)
            };
            self.local.engine.on_outcome(outcome, now);
        }
        self.entering = orders;
        next
    }

    fn cancel_all(&mut self, id: InstrumentId) {
        let (mut live, mut ages) = (
            core::mem::take(&mut self.live),
            core::mem::take(&mut self.ages),
        );
        live.clear();
        ages.clear();
        self.local.live(id, &mut live);
        ages.extend(live.iter().map(|order| self.age_ns(order.client_id)));
        let outcome = if self.has_room(id, OrderAsk::CancelAll(&ages)) {
            self.request(id, Request::CancelAll(id));
            Outcome::CancelSent
        } else {
            self.local.wall().count(Counter::RateRefusals);
            Outcome::CancelRefused
        };
        for order in &live {
            let engine = &mut self.local.engine;
            engine.on_outcome(outcome(order.client_id), self.now);
        }
        (self.live, self.ages) = (live, ages);
    }

    /// How long ago an order was placed or amended; one that is not known is new.
    fn age_ns(&self, id: ClientOrderId) -> u64 {
        let known = self.local.engine.oms().get(id);
        known.map_or(0, |order| self.now.unix.since(order.sent_at))
    }

    /// Whether a live session would let a request out; takes the room it would take.
    fn has_room(&mut self, id: InstrumentId, ask: OrderAsk<'_>) -> bool {
        let now = self.now.unix;
        let floor = self.floor_of(id);
        let rates = floor.and_then(|floor| floor.rates.as_mut());
        rates.is_none_or(|rates| rates.take(now, id, ask))
    }

    fn request(&mut self, id: InstrumentId, request: Request) {
        let now = self.now.unix;
        if let Some(floor) = self.floor_of(id) {
            floor.exchange.request(request, now);
        }
    }

    fn floor_of(&mut self, id: InstrumentId) -> Option<&mut Floor> {
        let venue = self.local.engine.instruments().get(id.0 as usize)?.venue;
        self.floors.iter_mut().find(|floor| floor.venue == venue)
    }

    /// Names what rests at a venue, at once: what is under way is told when it is back.
    fn reconcile(&mut self, venue: VenueId) {
        let Some(floor) = self.floors.iter().find(|floor| floor.venue == venue) else {
            return;
        };
        self.listed.clear();
        self.listed.extend(floor.exchange.list(self.now.unix));
        let engine = &mut self.local.engine;
        engine.on_fact(venue, Fact::ReconcileStarted, self.now);
        for report in &self.listed {
            engine.on_event(&Event::Order(*report), self.now, self.now.tsc);
        }
        engine.on_fact(venue, Fact::Reconciled, self.now);
    }

    /// The exchange meets a book that has changed.
    fn market_moved(&mut self, id: InstrumentId) {
        let Self {
            local, floors, now, ..
        } = self;
        let Some(instrument) = local.engine.instruments().get(id.0 as usize) else {
            return;
        };
        let floor = floors.iter_mut().find(|it| it.venue == instrument.venue);
        if let (Some(floor), Some(book)) = (floor, whole_book(&local.engine, id)) {
            floor.exchange.on_book(id, book, now.unix);
        }
    }

    fn traded(&mut self, trade: &TradeMsg) {
        let engine = &self.local.engine;
        let known = engine.instruments().get(trade.instrument.0 as usize);
        let Some(instrument) = known.filter(|it| engine.is_plausible(it, &[trade.price])) else {
            return;
        };
        let (price, qty) = (instrument.price(trade.price), instrument.qty(trade.qty));
        let now = self.now.unix;
        if let (Ok(price), Ok(qty), Some(floor)) = (price, qty, self.floor_of(trade.instrument)) {
            let id = trade.instrument;
            floor.exchange.on_trade(id, price, qty, trade.taker, now);
        }
    }
}

/// A book that is the venue's; what is left of one that lost its place would fill or spare orders it should not.
fn whole_book<'e>(engine: &'e Engine<'_>, id: InstrumentId) -> Option<&'e Book> {
    let (book, proof) = engine.book(id)?;
    (proof.state == State::Synced).then_some(book)
}

impl Desk for Paper<'_> {
    const STOP_NS_MAX: u64 = <Local<'_> as Desk>::STOP_NS_MAX;

    fn wall(&self) -> &Wall<'_> {
        self.local.wall()
    }

    fn begin(&mut self, now: Now) -> bool {
        let may = self.local.begin(now);
        self.settle(now);
        may
    }

    fn on_bytes(&mut self, arrived: Tsc) {
        self.local.on_bytes(arrived);
    }

    fn event(&mut self, feed: u8, event: &Event<'_>, now: Now, since: Tsc) -> bool {
        // What arrived before it met the market as it was.
        self.settle(now);
        match event {
            // Of the venue's, about nothing of ours.
            Event::Order(_) | Event::Fill(_) | Event::Ack(_) | Event::Funding(_) => return true,
            Event::Trade(trade) if feed == 0 => self.traded(trade),
            _ => {}
        }
        self.local.event(feed, event, now, since);
        if let Event::Book(msg) = event {
            self.market_moved(msg.instrument);
        }
        true
    }

    fn fact(&mut self, venue: VenueId, fact: Fact, now: Now) {
        self.now = now;
        match fact {
            Fact::LoggedIn
            | Fact::ReconcileStarted
            | Fact::Reconciled
            | Fact::OrdersLost
            | Fact::PrivateFault => {}
            Fact::RateLimited(_) | Fact::FeedLost(_) | Fact::BookLost(_) | Fact::L3Lost(_) => {
                self.local.fact(venue, fact, now);
            }
        }
    }

    fn outcome(&mut self, _: Outcome, _: Now) {}

    fn meet(&mut self, machine: &AnyVenue) {
        let id = machine.id();
        let floor = self.floors.iter_mut().find(|floor| floor.venue == id);
        // Once: what has been used since is used.
        if let Some(floor) = floor.filter(|floor| floor.rates.is_none()) {
            floor.rates = machine.rates();
        }
    }

    fn instruments_known(&mut self, registry: &Registry, venue: VenueId) {
        self.local.instruments_known(registry, venue);
        let Some(floor) = self.floors.iter_mut().find(|floor| floor.venue == venue) else {
            return;
        };
        let ours = |it: &&Instrument| it.venue == venue;
        for instrument in registry.instruments().iter().filter(ours) {
            floor.exchange.set_instrument(instrument);
        }
        if !floor.is_open {
            floor.is_open = true;
            let engine = &mut self.local.engine;
            engine.on_fact(venue, Fact::LoggedIn, self.now);
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.carry();
        self.market.pop_front()
    }

    fn may_send(&self, _: UnixNanos) -> bool {
        false
    }

    fn arrived(&self, here: Tsc) -> Tsc {
        here
    }

    fn live(&mut self, _: InstrumentId, _: &mut Vec<CancelOrder>) {}

    fn stopped_until(&self, venue: VenueId) -> UnixNanos {
        self.local.stopped_until(venue)
    }

    fn on_deadline(&mut self, now: Now) {
        self.local.on_deadline(now);
        self.settle(now);
    }

    fn show(&mut self, links: &VenueLinks, now: Now) {
        self.local.show(links, now);
    }

    fn stop(&mut self) {
        self.local.stop();
    }

    fn is_over(&self) -> bool {
        self.local.is_over()
    }

    fn open_orders(&self) -> usize {
        self.local.open_orders()
    }
}
