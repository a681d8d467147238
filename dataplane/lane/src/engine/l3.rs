//! Books of single orders, for instruments that were asked for: into their keepers, and to the strategies.
//!
//! No price is traded on them: the gate looks at the book of levels, and an order leaves or stays whatever this one is.

use super::{Action, Engine, VenueState};
use crate::inputs::Input;
use dp_book::{Outcome, State};
use dp_shm::Counter;
use dp_strategy::Inputs;
use dp_strategy::OrdersView;
use dp_types::{BookMsgKind, InstrumentId, L3Msg, Now, UnixNanos};

impl Engine<'_> {
    /// Single orders of an instrument are to be followed, in a book of at most so many. Before its rules are known.
    pub fn follow_orders(&mut self, id: InstrumentId, orders_max: usize) {
        self.wall.tap.tell(|| Input::Follow(id, orders_max));
        self.followed.retain(|it| it.0 != id);
        self.followed.push((id, orders_max));
    }

    /// An instrument's single orders and what is proven of them; `None` where they were not asked for.
    pub fn orders(&self, id: InstrumentId) -> Option<OrdersView<'_>> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        slot.orders.as_deref().map(super::AnyOrders::view)
    }

    pub(super) fn on_l3(&mut self, msg: &L3Msg<'_>, now: Now) {
        let id = msg.instrument;
        let at = id.0 as usize;
        let (Some(instrument), Some(Some(slot))) =
            (self.instruments.get(at), self.books.get_mut(at))
        else {
            return;
        };
        let Some(orders) = slot.orders.as_deref_mut() else {
            return;
        };
        self.wall.count(Counter::BookEvents);
        let late_ns =
            VenueState::late_ns(&mut self.venues, instrument.venue, now.unix, msg.venue_ns);
        let heard = UnixNanos(now.unix.0.saturating_sub(late_ns));
        let outcome = orders.on_msg(msg, instrument, heard);
        let is_whole = orders.view().proof.state == State::Synced;
        if msg.kind == BookMsgKind::Snapshot && is_whole {
            self.wall.count(Counter::Snapshots);
        }
        if outcome == Outcome::TooMany {
            tracing::error!(symbol = %instrument.symbol, "more single orders than single_orders_max has room for");
        }
        self.count_outcome(&outcome);
        if outcome.needs_snapshot() {
            self.act(Action::L3Snapshot(id));
        }
        // One that went stale is news too.
        if !matches!(outcome, Outcome::Buffered | Outcome::Ignored) {
            self.call(id, Inputs::ORDERS, now, |strategy, view, out| {
                strategy.on_orders(view, out);
            });
        }
    }

    /// The link that brought an instrument's single orders is gone: they are not to be trusted.
    pub(super) fn on_l3_lost(&mut self, id: InstrumentId, now: Now) {
        let Some(Some(slot)) = self.books.get_mut(id.0 as usize) else {
            return;
        };
        if let Some(orders) = slot.orders.as_deref_mut() {
            orders.reset();
            self.call(id, Inputs::ORDERS, now, |strategy, view, out| {
                strategy.on_orders(view, out);
            });
        }
    }
}
