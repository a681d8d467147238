//! Who the sessions of a lane work for: the engine beside them, or one at the other end of rings.
//!
//! ```text
//!   sessions ── event, fact, outcome, links ──▶ Desk ── next_action ──▶ sessions
//!                                                │ Local: the engine, called at once
//!                                                │ Remote: two rings to the engine's lane
//! ```
//! Sessions are compiled for each desk; there is no virtual call between a record and the strategy.

use crate::any_venue::AnyVenue;
use crate::engine::{Action, Engine};
use crate::wall::Wall;
use dp_shm::LinkState;
use dp_types::{
    CancelOrder, ClientOrderId, InstrumentId, Now, RejectReason, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::{Event, Registry};

/// What befell a venue's links, as far as trading there goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The order link is logged in.
    LoggedIn,
    /// The venue machine begins to name open orders and fills.
    ReconcileStarted,
    /// It has named them all.
    Reconciled,
    /// The venue takes nothing until then.
    RateLimited(UnixNanos),
    /// The market data link of this feed is gone.
    FeedLost(u8),
    /// The order link is gone.
    OrdersLost,
    /// A private message could not be read, or was lost.
    PrivateFault,
    /// Something of this instrument's book was lost before it came here, by the venue's own feed.
    BookLost(InstrumentId),
    /// The book of single orders of an instrument is lost with its link.
    L3Lost(InstrumentId),
}

/// What became of an order the desk wanted sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes of a new order are with the transport.
    NewSent(ClientOrderId),
    /// A new order was not written: no room in a rate, no link.
    NewRefused(ClientOrderId, RejectReason),
    /// A new order was held back at the last check.
    NewWithheld(ClientOrderId),
    /// The bytes of an amend are with the transport.
    AmendSent(ClientOrderId),
    /// An amend was not written, or held back.
    AmendRefused(ClientOrderId, RejectReason),
    /// The bytes of a cancel are with the transport.
    CancelSent(ClientOrderId),
    /// A cancel was not written: no room in a rate, no link.
    CancelRefused(ClientOrderId),
}

/// How a venue's links stand, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueLinks {
    /// Whose.
    pub venue: VenueId,
    /// Each link's state, in the machine's order.
    pub links: [LinkState; 8],
    /// When a message came last.
    pub last_message: UnixNanos,
    /// Connections opened again.
    pub reconnects: u64,
}

/// Who hears what sessions hear, and says what they must do.
pub trait Desk {
    /// How long a stopping lane waits for [`Desk::is_over`], nanoseconds.
    const STOP_NS_MAX: u64;

    /// The lane's side of the shared memory.
    fn wall(&self) -> &Wall<'_>;
    /// A turn begins. False: nothing may be done in it.
    fn begin(&mut self, now: Now) -> bool;
    /// Bytes came in at `arrived`; what follows is caused by them.
    fn on_bytes(&mut self, arrived: Tsc);
    /// An event of a venue machine, but no control; `feed`: which of the machines that bring the venue's market data;
    /// `since`: when its message was handed to the machine. False: it could not be taken, and the venue must say
    /// everything again.
    fn event(&mut self, feed: u8, event: &Event<'_>, now: Now, since: Tsc) -> bool;
    /// See [`Fact`].
    fn fact(&mut self, venue: VenueId, fact: Fact, now: Now);
    /// See [`Outcome`].
    fn outcome(&mut self, outcome: Outcome, now: Now);
    /// The machine of a venue whose instruments are about to be known: for a desk that stands in for the venue.
    fn meet(&mut self, machine: &AnyVenue) {
        let _ = machine;
    }
    /// The venue's instruments and their rules are known.
    fn instruments_known(&mut self, registry: &Registry, venue: VenueId);
    /// The next thing to do.
    fn next_action(&mut self) -> Option<Action>;
    /// Whether the new order or amend in hand may leave at this very moment.
    fn may_send(&self, now: UnixNanos) -> bool;
    /// When the bytes came in that caused the order in hand; `here` is this lane's own guess.
    fn arrived(&self, here: Tsc) -> Tsc;
    /// Appends the live orders of an instrument that is to be cleared.
    fn live(&mut self, instrument: InstrumentId, into: &mut Vec<CancelOrder>);
    /// No connection is opened at a venue before.
    fn stopped_until(&self, venue: VenueId) -> UnixNanos;
    /// Timers and commands: every millisecond.
    fn on_deadline(&mut self, now: Now);
    /// How a venue's links stand: ten times a second.
    fn show(&mut self, links: &VenueLinks, now: Now);
    /// The node stops.
    fn stop(&mut self);
    /// Whether a stopping lane may end.
    fn is_over(&self) -> bool;
    /// Why a lane that ends all the same should not have, for the log: orders still open.
    fn open_orders(&self) -> usize;
}

/// What sets limits and seats strategies once a venue's instruments are known.
pub type OnInstruments<'r> = Box<dyn FnMut(&Registry, &mut Engine<'r>, VenueId) + Send + 'r>;

/// The engine in the same lane: run to completion.
pub struct Local<'r> {
    pub(crate) lane: dp_types::LaneId,
    pub(crate) engine: Engine<'r>,
    pub(crate) on_instruments: OnInstruments<'r>,
}

impl Desk for Local<'_> {
    const STOP_NS_MAX: u64 = 10_000_000_000;

    #[inline]
    fn wall(&self) -> &Wall<'_> {
        &self.engine.wall
    }

    #[inline]
    fn begin(&mut self, now: Now) -> bool {
        self.engine.read_words(now);
        true
    }

    #[inline]
    fn on_bytes(&mut self, _: Tsc) {}

    #[inline]
    fn event(&mut self, feed: u8, event: &Event<'_>, now: Now, since: Tsc) -> bool {
        self.engine.on_event_of(feed, event, now, since);
        true
    }

    fn fact(&mut self, venue: VenueId, fact: Fact, now: Now) {
        self.engine.on_fact(venue, fact, now);
    }

    #[inline]
    fn outcome(&mut self, outcome: Outcome, now: Now) {
        // Here a cancel counts as asked for once it is sent, so one that is not leaves nothing to undo: an
        // earlier one may still be under way.
        if !matches!(outcome, Outcome::CancelRefused(_)) {
            self.engine.on_outcome(outcome, now);
        }
    }

    fn instruments_known(&mut self, registry: &Registry, venue: VenueId) {
        self.engine.set_instruments(venue, registry.instruments());
        (self.on_instruments)(registry, &mut self.engine, venue);
    }

    #[inline]
    fn next_action(&mut self) -> Option<Action> {
        self.engine.next_action()
    }

    #[inline]
    fn may_send(&self, now: UnixNanos) -> bool {
        self.engine.may_send(now)
    }

    #[inline]
    fn arrived(&self, here: Tsc) -> Tsc {
        here
    }

    fn live(&mut self, instrument: InstrumentId, into: &mut Vec<CancelOrder>) {
        into.extend(self.engine.oms().live(instrument).map(dp_oms::Order::named));
    }

    fn stopped_until(&self, venue: VenueId) -> UnixNanos {
        let state = self.engine.venue(venue);
        state.map_or(UnixNanos(0), |state| state.stopped_until)
    }

    fn on_deadline(&mut self, now: Now) {
        self.engine.on_tick(now);
        self.engine.take_commands();
    }

    fn show(&mut self, links: &VenueLinks, now: Now) {
        self.engine.show_venue(self.lane, links, now);
    }

    fn stop(&mut self) {
        self.engine.stop();
    }

    fn is_over(&self) -> bool {
        self.engine.is_flat()
    }

    fn open_orders(&self) -> usize {
        self.engine.oms().held_count()
    }
}
