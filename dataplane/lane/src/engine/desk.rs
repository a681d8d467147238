//! The engine's side of a desk: facts, outcomes, commands and the venue's line, by whichever way they came.

use super::Engine;
use crate::desk::{Fact, Outcome, VenueLinks};
use crate::inputs::Input;
use dp_shm::{Command, CommandNote, VenueStatus, twin::Words as _};
use dp_types::{
    ClientOrderId, InstrumentId, LaneId, Now, OrderState, StrategyMove, UnixNanos, VenueId,
};

impl Engine<'_> {
    /// What befell a venue's links.
    pub fn on_fact(&mut self, venue: VenueId, fact: Fact, now: Now) {
        self.wall.tap.tell(|| Input::Fact(venue, fact, now));
        match fact {
            Fact::LoggedIn => self.on_logged_in(venue, now),
            Fact::ReconcileStarted => self.on_reconcile_started(venue, now),
            Fact::Reconciled => self.on_reconciled(venue, now),
            Fact::RateLimited(until) => self.on_rate_limited(venue, until),
            Fact::FeedLost(feed) => self.on_feed_lost(venue, feed, now),
            Fact::OrdersLost => self.on_orders_lost(venue, now),
            Fact::PrivateFault => self.on_private_fault(venue),
            Fact::BookLost(id) => self.on_hole(id, now),
            Fact::L3Lost(id) => self.on_l3_lost(id, now),
        }
    }

    /// What became of an order.
    #[inline]
    pub fn on_outcome(&mut self, outcome: Outcome, now: Now) {
        self.wall.tap.tell(|| Input::Outcome(outcome, now));
        self.settle_outcome(outcome, now);
    }

    fn settle_outcome(&mut self, outcome: Outcome, now: Now) {
        match outcome {
            Outcome::NewSent(id) => self.on_new_sent(id, now),
            Outcome::NewRefused(id, reason) => self.on_new_refused(id, reason, now),
            Outcome::NewWithheld(id) => self.on_new_withheld(id, now),
            Outcome::AmendSent(id) => self.on_amend_sent(id, now),
            Outcome::AmendRefused(id, reason) => self.on_amend_refused(id, reason, now),
            Outcome::CancelSent(id) => self.on_cancel_sent(id, now),
            Outcome::CancelRefused(id) => self.oms.on_cancel_not_sent(id),
        }
    }

    /// A cancel is on its way to the lane that sends it: it is not asked for twice meanwhile.
    pub(crate) fn on_cancel_passed(&mut self, id: ClientOrderId, now: Now) {
        self.wall.tap.tell(|| Input::CancelPassed(id, now));
        self.oms.on_cancel_sent(id, now.unix);
    }

    /// An amend is on its way to the lane that sends it. False: one is already, and this one must wait for it.
    pub(crate) fn on_amend_passed(&mut self, id: ClientOrderId, now: Now) -> bool {
        self.wall.tap.tell(|| Input::AmendPassed(id, now));
        let is_first = self.oms.get(id).is_some_and(|order| !order.is_amending);
        self.oms.on_amend_sent(id, now.unix);
        is_first
    }

    /// What became of an errand.
    pub(crate) fn on_outcome_of_errand(&mut self, outcome: Outcome, now: Now) {
        self.wall.tap.tell(|| Input::Errand(outcome, now));
        if let Outcome::AmendRefused(id, _) = outcome {
            self.oms.on_amend_turned_back(id);
        }
        self.settle_outcome(outcome, now);
    }

    /// Messages about a book were lost on their way from the lane that heard them.
    pub(crate) fn on_ring_lost(&mut self, id: InstrumentId, feed: u8, now: Now) {
        self.wall.tap.tell(|| Input::BookLost(id, feed, now));
        self.on_book_lost(id, feed, now);
    }

    /// Until when a decision made on an instrument's book as it is now may leave: beyond it the book would be
    /// too old to trade on. 0 without a book.
    pub(crate) fn good_until(&self, id: InstrumentId) -> UnixNanos {
        let slot = self.books.get(id.0 as usize).and_then(Option::as_ref);
        slot.map_or(UnixNanos(0), |slot| {
            let age_max = self.gate.node_limits().book_age_ns_max;
            slot.keeper.proof().at.after(age_max)
        })
    }

    /// Obeys whatever people have asked.
    pub fn take_commands(&mut self) {
        while let Some(words) = self.wall.commands.pop() {
            if let Some(note) = CommandNote::from_words(&words) {
                self.on_command(&note);
            }
        }
    }

    /// Obeys what somebody asks.
    pub fn on_command(&mut self, note: &CommandNote) {
        let now = self.seen;
        self.wall.tap.tell(|| Input::Command(*note, now));
        tracing::info!(who = note.who.as_str(), command = ?note.command, "command");
        match note.command {
            Command::Pause => self.set_paused(true),
            Command::Resume => self.set_paused(false),
            Command::StrategyStart(id) => self.on_ask(id, StrategyMove::Start, note, now),
            Command::StrategyPause(id) => self.on_ask(id, StrategyMove::Pause, note, now),
            Command::StrategyResume(id) => self.on_ask(id, StrategyMove::Resume, note, now),
            Command::StrategyStop(id) => self.on_ask(id, StrategyMove::Stop, note, now),
            Command::StrategySet {
                id,
                param,
                value,
                is_last,
            } => self.on_set(id, (param, value, is_last), note, now),
            Command::CancelAll(venue) => self.clear_venue(venue),
            Command::Stop => self.stop(),
            Command::ResumeVenue(venue) => self.resume(venue, None, note.who.as_str(), note.at),
            Command::ResumeInstrument(id) => {
                if let Some(instrument) = self.instrument(id) {
                    self.resume(instrument.venue, Some(id), note.who.as_str(), note.at);
                }
            }
            Command::Reconcile(venue) => self.ask_to_reconcile(venue),
        }
    }

    /// Renews a venue's line.
    pub(crate) fn show_venue(&self, lane: LaneId, links: &VenueLinks, now: Now) {
        let venue = links.venue;
        let Some(state) = self.venue(venue) else {
            return;
        };
        let ours = self.oms.all_held().filter(|order| order.venue == venue);
        let (mut open_orders, mut unknown_orders) = (state.strangers.len() as u32, 0);
        for order in ours {
            open_orders += 1;
            unknown_orders += u32::from(order.state == OrderState::Unknown);
        }
        let status = VenueStatus {
            venue,
            lane,
            links: links.links,
            is_logged_in: state.is_logged_in,
            is_reconciled: state.is_reconciled,
            open_orders,
            unknown_orders,
            last_message: links.last_message,
            logged_in: state.logged_in,
            stopped_until: state.stopped_until,
            reconciled: state.reconciled_at,
            reconnects: links.reconnects,
            updated: now.unix,
        };
        self.wall.show_venue(venue, &status);
    }
}
