//! What time and people ask of the engine: words and limits others write, timers, checkpoints, pauses, stops.

use super::seats::Seat;
use super::{
    ACTIONS_MAX, ASK_AGAIN_NS, Action, CANCEL_AGAIN_NS, Engine, RECONCILE_NS, TICK_NS, VenueState,
};
use crate::inputs::Words;
use crate::wall::position_state;
use dp_journal::Entry;
use dp_journal::entry::{Checkpoint, NodeLimit, ReconcileCause, Switch};
use dp_oms::Order;
use dp_risk::Lease;
use dp_shm::NodeLimits;
use dp_types::{
    AssetId, CancelOrder, InstrumentId, Notional, Now, Qty, Side, StrategyState, Text, UnixNanos,
    VenueId,
};

/// Numbers among [`NodeLimit::NAMES`] of limits that are not among the [`plain`] ones.
const CURRENCY_EXPOSURE: u8 = 9;
const ORDER_VALUE: u8 = 10;

/// The first limits of the node, in the order of [`NodeLimit::NAMES`].
fn plain(node: &NodeLimits) -> [i128; 9] {
    [
        node.collar_bps.into(),
        node.orders_per_s_max.into(),
        node.book_age_ms_max.into(),
        node.reject_pct_max.into(),
        node.move_bps_max.into(),
        node.move_ms.into(),
        node.day_loss_max.0,
        node.drawdown_max.0,
        node.exposure_max.0,
    ]
}

/// Room for what works on an instrument; the default: for nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    /// The largest order.
    order: Qty,
    /// Everything on a side fits.
    buys: bool,
    sells: bool,
}

impl Room {
    fn holds(self, order: &Order) -> bool {
        let is_side_held = match order.side {
            Side::Buy => self.buys,
            Side::Sell => self.sells,
        };
        is_side_held && order.leaves() <= self.order
    }
}

impl Engine<'_> {
    /// Reads the words others write: kill, lease. Cost: three loads.
    #[inline]
    pub fn read_words(&mut self, now: Now) {
        let words = self.words_now();
        let is_due = now.unix >= self.cancel_due;
        self.wall.tap.tell_words(&words, now, is_due);
        self.take_words(&words, now);
    }

    /// Reads them in the middle of an event, which itself has changed them.
    pub(super) fn read_words_within(&mut self, now: Now) {
        let words = if self.wall.tap.is_replay() {
            self.wall.tap.words_within()
        } else {
            let words = self.words_now();
            self.wall.tap.told_within(&words);
            Some(words)
        };
        if let Some(words) = words {
            self.take_words(&words, now);
        }
    }

    #[inline]
    fn words_now(&self) -> Words {
        let lease = self.wall.region.lease();
        let is_ours = lease.epoch() == Some(self.epoch);
        let kill = self.wall.region.kill().state();
        let note = if kill == self.kill {
            None
        } else {
            self.wall.region.kill().last_change()
        };
        Words {
            lease_until: if is_ours { lease.until() } else { UnixNanos(0) },
            kill,
            who: note.map_or(Text::EMPTY, |note| Text::lossy(note.who.as_str())),
            why: note.map_or(Text::EMPTY, |note| Text::lossy(note.why.as_str())),
        }
    }

    /// The turn's time, of a recording.
    pub(crate) const fn see(&mut self, seen: UnixNanos) {
        self.seen = seen;
    }

    /// The words others write are these.
    #[inline]
    pub(crate) fn take_words(&mut self, words: &Words, now: Now) {
        self.seen = now.unix;
        self.gate.set_lease(Lease {
            until: words.lease_until,
            epoch: self.epoch,
        });
        let kill = words.kill;
        if kill != self.kill {
            self.kill = kill;
            self.gate.set_killed(kill.is_killed);
            let entry = Entry::Switch(Switch {
                is_killed: kill.is_killed,
                changes: kill.changes,
                who: words.who,
                why: words.why,
            });
            self.wall.fact(now.unix, &entry);
            if !kill.is_killed {
                self.watch_armed();
            }
            self.cancel_due = UnixNanos(0);
            // "No order is open" is the venue's to say.
            for state in &mut self.venues {
                if kill.is_killed {
                    state.want_reconcile(ReconcileCause::Killed);
                }
            }
        }
        if now.unix >= self.cancel_due {
            self.cancel_due = now.unix.after(CANCEL_AGAIN_NS);
            if self.kill.is_killed || self.is_stopping || self.is_paused {
                self.cancel_everything();
            } else {
                self.cancel_unwanted(now);
            }
        }
    }

    /// When [`Engine::on_tick`] is next due.
    pub const fn next_deadline(&self) -> UnixNanos {
        self.tick_due
    }

    /// Timers: unanswered requests, settling, strategies, positions at the mark.
    pub fn on_tick(&mut self, now: Now) {
        let is_due = now.unix >= self.tick_due;
        if !is_due && self.feeds.is_none() {
            return;
        }
        if is_due {
            self.look_elsewhere(now);
        }
        self.wall.tap.on_tick(now);
        if self.feeds.is_some() {
            self.mind_feeds(now);
        }
        if !is_due {
            return;
        }
        self.count_feeds();
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
            let is_free = state.is_logged_in && !state.is_reconciling;
            let is_asked = now.unix.since(state.reconcile_asked) < ASK_AGAIN_NS;
            if is_free && !is_asked && (is_old || state.wants_reconcile) {
                state.reconcile_asked = now.unix;
                self.act(Action::Reconcile(venue));
            }
            self.settle(venue, now);
        }
        for at in 0..self.instruments.len() as u32 {
            self.correct_owed(InstrumentId(at), now);
            self.show_position(InstrumentId(at), now);
        }
        self.watch_time(now);
        self.show_markets(now);
        if self.wall.is_checkpoint_due() {
            self.checkpoint(now);
        }
        self.read_limits(now);
        self.tell_untold(now);
        self.call_timers(now);
        self.mind_seats(now.unix);
    }

    fn show_position(&mut self, id: InstrumentId, now: Now) {
        let total = self.ledger.total(id);
        let (Some(instrument), Some(mark)) = (self.instrument(id), self.mark(id)) else {
            return;
        };
        if total.is_untouched() {
            return;
        }
        let state = position_state(&instrument, &total, mark, now);
        self.wall.show_position(id, state);
        for (strategy, part) in self
            .ledger
            .parts(id)
            .filter(|(_, part)| !part.is_untouched())
        {
            let state = position_state(&instrument, part, mark, now);
            self.wall.show_part((id, *strategy), state);
        }
    }

    pub(super) fn checkpoint(&mut self, now: Now) {
        let Self {
            wall,
            oms,
            ledger,
            watches,
            instruments,
            ..
        } = self;
        let orders = oms.all_held().map(|order| {
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
        let standing = watches.standing(ledger, instruments, now);
        wall.checkpoint(now.unix, orders.chain(standing));
    }

    /// Limits that were put in force since the last look, off the page.
    fn read_page(&mut self) -> Option<(u64, NodeLimits)> {
        let page = self.wall.region.config();
        if page.version() == self.limits_version {
            return None;
        }
        let (version, node) = page.read(&mut self.limits_seen)?;
        self.wall.tap.paged(version, node, &self.limits_seen);
        Some((version, node))
    }

    /// Takes over limits that were put in force since the last look, and journals them.
    fn read_limits(&mut self, now: Now) {
        let told = if self.wall.tap.is_replay() {
            self.wall.tap.page(&mut self.limits_seen)
        } else {
            self.read_page()
        };
        let Some((version, node)) = told else {
            return;
        };
        self.limits_version = version;
        // What they leave no room for goes at the next look.
        self.cancel_due = UnixNanos(0);
        self.gate.set_node_limits(dp_risk::NodeLimits {
            collar_bps: node.collar_bps,
            orders_per_s_max: node.orders_per_s_max,
            book_age_ns_max: u64::from(node.book_age_ms_max) * 1_000_000,
        });
        self.watch_by(crate::node::risk::watch_limits(&node));
        self.limit_exposure(node.exposure_max);
        self.limit_order_value(node.order_value_max);
        for limit in node
            .currencies
            .iter()
            .filter(|it| it.asset != AssetId::NONE)
        {
            self.limit_currency(limit.asset, limit.max);
        }
        self.journal_limits(version, &node, now);
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
                who: node.who,
            });
            self.wall.fact(now.unix, &entry);
        }
    }

    /// Journals what of the node's limits is another than before, with what it was.
    fn journal_limits(&mut self, version: u64, node: &NodeLimits, now: Now) {
        let before = core::mem::replace(&mut self.node_limits_seen, *node);
        for (what, (was, is)) in (0..).zip(plain(&before).into_iter().zip(plain(node))) {
            self.journal_limit((version, node.who), what, AssetId::NONE, (was, is), now);
        }
        let values = (before.order_value_max.0, node.order_value_max.0);
        self.journal_limit((version, node.who), ORDER_VALUE, AssetId::NONE, values, now);
        for limit in node
            .currencies
            .iter()
            .filter(|it| it.asset != AssetId::NONE)
        {
            let mut held = before.currencies.iter();
            let was = held
                .find(|it| it.asset == limit.asset)
                .map_or(Notional(0), |it| it.max);
            let moved = (was.0, limit.max.0);
            self.journal_limit(
                (version, node.who),
                CURRENCY_EXPOSURE,
                limit.asset,
                moved,
                now,
            );
        }
    }

    fn journal_limit(
        &mut self,
        (version, who): (u64, Text<31>),
        what: u8,
        asset: AssetId,
        (before, after): (i128, i128),
        now: Now,
    ) {
        if before != after {
            let limit = NodeLimit {
                version,
                what,
                asset,
                before,
                now: after,
                who,
            };
            self.wall.fact(now.unix, &Entry::NodeLimit(limit));
        }
    }

    /// Pauses or resumes: paused means nothing new and quotes pulled.
    pub fn set_paused(&mut self, is_paused: bool) {
        self.wall.beat.show_paused(is_paused);
        self.is_paused = is_paused;
        self.cancel_due = UnixNanos(0);
    }

    /// Has every order that is now live at a venue cancelled; strategies may go on.
    pub fn clear_venue(&mut self, venue: VenueId) {
        if let (Ok(next), Some(state)) = (self.oms.next_id(), self.venue_mut(venue)) {
            state.cleared = next;
        }
        self.cancel_due = UnixNanos(0);
    }

    /// Cancels what nobody answers for: its strategy is stopped or gone, people want it gone, or a limit that was lowered
    /// leaves no room for it. Again and again, since a cancel that is refused for rate or for want of a link is not heard
    /// of here.
    fn cancel_unwanted(&mut self, now: Now) {
        for at in 0..self.instruments.len() as u32 {
            let id = InstrumentId(at);
            if self.oms.live(id).next().is_none() {
                continue;
            }
            let room = self.room_of(id);
            let orders: Vec<CancelOrder> = self
                .oms
                .live(id)
                .filter(|order| !order.is_cancelling && self.is_unwanted(order, room))
                .map(Order::named)
                .take(ACTIONS_MAX.saturating_sub(self.actions.len()))
                .collect();
            for order in &orders {
                self.cancel(order, now);
            }
        }
    }

    fn is_unwanted(&self, order: &Order, room: Room) -> bool {
        // Before the first comparison seats may still be empty.
        let is_known = |state: &VenueState| state.is_logged_in && state.reconciled_at.0 > 0;
        let Some(state) = self.venue(order.venue).filter(|state| is_known(state)) else {
            return false;
        };
        let is_running = |seat: &Seat| seat.state == StrategyState::Running;
        let mut seats = self.seats.iter();
        let is_wanted = seats.any(|seat| {
            seat.id == order.strategy && is_running(seat) && seat.legs.contains(&order.instrument)
        });
        let is_barred = order.client_id < state.cleared || self.gate.is_halted(order.instrument);
        is_barred || !is_wanted || !room.holds(order)
    }

    /// What the limits of an instrument leave room for, as it is held and worked now.
    fn room_of(&mut self, id: InstrumentId) -> Room {
        let Some(limits) = self.gate.limits(id) else {
            return Room::default();
        };
        let held = self.ledger.total(id).held().0;
        let working = self.oms.exposure(id);
        let fits = |along: i64| along <= limits.position_max.0;
        Room {
            order: limits.order_qty_max,
            buys: fits(held.saturating_add(working.buy.0)),
            sells: fits(working.sell.0.saturating_sub(held)),
        }
    }

    /// Cancels every order at a venue.
    pub(super) fn cancel_venue(&mut self, venue: VenueId) {
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
