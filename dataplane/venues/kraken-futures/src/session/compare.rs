//! Comparing with the venue: what is open is what the executions snapshot says, so the channel is left and entered
//! anew. The venue has no question about one order; such a question takes the same way.
//!
//! ```text
//! run   Leave(executions) ─ack─▶ Enter(executions) ─snapshot─▶ orders, trades, then the orders asked about that
//!       it does not hold: told as unknown there
//!   for reconciliation only:  ─▶ Leave(balances) ─ack─▶ Enter(balances) ─snapshot─▶ Reconciled
//! ```
//! A question counts as answered only by a snapshot that was asked for after it. Any step that is not answered in
//! time ends the link, and the next login compares from the start.

use super::{ANSWER_WAIT_NS, SECOND_NS, Session, min_of};
use crate::account::{SNAPSHOT_TRADES, Trades};
use crate::requests::Channel;
use dp_types::{
    CancelOrder, ClientOrderId, Now, OrderId, OrderReport, OrderState, RejectReason, UnixNanos,
    VenueNanos,
};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Sink};

/// Orders that are asked about at once.
pub(super) const QUERIES_MAX: usize = 64;
/// Pause before orders are asked about: the questions of one moment take one snapshot.
const LOOK_PAUSE_NS: u64 = SECOND_NS / 4;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Leave(Channel),
    Enter(Channel),
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    step: Step,
    is_reconciliation: bool,
    /// Until when the step may take.
    pub(super) at: UnixNanos,
}

/// One order that was asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query {
    order: CancelOrder,
    /// A snapshot was asked for since.
    is_asked: bool,
    /// The snapshot held it.
    is_found: bool,
}

impl Session {
    pub(crate) fn reconcile(&mut self, now: Now, out: &mut impl Sink) {
        if !self.private.is_ready {
            return;
        }
        out.event(&Event::Control(Control::ReconcileStarted));
        match &mut self.run {
            // Its snapshot is not asked for yet, so it will be of after now.
            Some(run) if run.step == Step::Leave(Channel::Executions) => {
                run.is_reconciliation = true;
            }
            // A run that is further: its channels are on their way in, and are left again when they are here.
            Some(_) | None => self.begin(true, now, out),
        }
    }

    fn begin(&mut self, is_reconciliation: bool, now: Now, out: &mut impl Sink) {
        self.run_wanted_at = None;
        self.step(Step::Leave(Channel::Executions), is_reconciliation, now);
        self.leave(Channel::Executions, out);
    }

    fn step(&mut self, step: Step, is_reconciliation: bool, now: Now) {
        self.run = Some(Run {
            step,
            is_reconciliation,
            at: now.unix.after(ANSWER_WAIT_NS),
        });
    }

    pub(crate) fn query_order(&mut self, order: &CancelOrder, now: Now) -> Result<(), EntryError> {
        if !self.private.is_ready {
            return Err(EntryError::NotReady);
        }
        let mut held = self.queries.iter();
        if held.any(|query| query.order.client_id == order.client_id && !query.is_asked) {
            return Ok(()); // its snapshot is still to be asked for
        }
        if self.queries.len() >= QUERIES_MAX {
            return Err(EntryError::RateLimited);
        }
        self.queries.push(Query {
            order: *order,
            is_asked: false,
            is_found: false,
        });
        if self.run.is_none() {
            let soon = now.unix.after(LOOK_PAUSE_NS);
            self.run_wanted_at = min_of([self.run_wanted_at, Some(soon)]);
        }
        Ok(())
    }

    /// Orders were asked about: looks at what is open, unless a run is under way that will.
    pub(super) fn look(&mut self, now: Now, out: &mut impl Sink) {
        self.run_wanted_at = None;
        if self.private.is_ready && self.run.is_none() && !self.queries.is_empty() {
            self.begin(false, now, out);
        }
    }

    /// A channel was left, or had not been entered: it is entered now.
    pub(super) fn left(&mut self, channel: Channel, now: Now, out: &mut impl Sink) {
        if let Some(run) = self.run.filter(|run| run.step == Step::Leave(channel)) {
            if channel == Channel::Executions {
                for query in &mut self.queries {
                    (query.is_asked, query.is_found) = (true, false);
                }
            }
            self.step(Step::Enter(channel), run.is_reconciliation, now);
            self.enter(channel, crate::requests::Kind::Private(channel), out);
        }
        out.event(&Event::Ignored(
            "a private channel was left, to be entered anew",
        ));
    }

    /// Entering a channel again was refused: without executions the link is of no use.
    pub(super) fn enter_refused(
        &mut self,
        channel: Channel,
        reason: RejectReason,
        now: Now,
        out: &mut impl Sink,
    ) {
        match channel {
            Channel::Executions => self.refuse_login(reason, out),
            Channel::Balances => {
                self.has_balances = false;
                if self.run.is_some_and(|run| run.step == Step::Enter(channel)) {
                    self.end_run(now, out);
                }
            }
        }
    }

    /// An order of ours was in an executions snapshot.
    pub(super) fn found(queries: &mut [Query], id: ClientOrderId) {
        for query in queries {
            query.is_found |= query.order.client_id == id;
        }
    }

    /// An executions snapshot was told.
    ///
    /// Errors: it holds as many trades as it can, and none that was known: others may lie between.
    pub(super) fn executions_taken(
        &mut self,
        trades: &Trades,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let known = self.trade_last;
        let is_cut = trades.count >= SNAPSHOT_TRADES
            && known != VenueNanos(0)
            && trades.oldest.is_some_and(|oldest| oldest > known);
        let awaited = Step::Enter(Channel::Executions);
        if let Some(run) = self.run.filter(|run| run.step == awaited) {
            for at in 0..self.queries.len() {
                let Some(query) = self.queries.get(at).copied() else {
                    break;
                };
                // Trades that may have been missed would tell what became of it.
                if query.is_asked && !query.is_found && !is_cut {
                    absent(&query.order, out);
                }
            }
            self.queries.retain(|query| !query.is_asked);
            if run.is_reconciliation && self.has_balances {
                let next = Step::Leave(Channel::Balances);
                self.step(next, true, now);
                self.leave(Channel::Balances, out);
            } else {
                self.end_run(now, out);
            }
        }
        if is_cut {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    /// The newest trade that we were told of.
    pub(super) fn note_trades(&mut self, trades: &Trades) {
        self.trade_last = trades
            .newest
            .map_or(self.trade_last, |at| at.max(self.trade_last));
    }

    /// A balances snapshot was told.
    pub(super) fn balances_taken(&mut self, now: Now, out: &mut impl Sink) {
        let awaited = Step::Enter(Channel::Balances);
        if self.run.is_some_and(|run| run.step == awaited) {
            self.end_run(now, out);
        }
    }

    fn end_run(&mut self, now: Now, out: &mut impl Sink) {
        if let Some(run) = self.run.take()
            && run.is_reconciliation
        {
            out.event(&Event::Control(Control::Reconciled));
        }
        if !self.queries.is_empty() {
            self.run_wanted_at = Some(now.unix.after(LOOK_PAUSE_NS));
        }
    }
}

/// The venue has no open order of this id.
fn absent(order: &CancelOrder, out: &mut impl Sink) {
    out.event(&Event::Order(OrderReport {
        instrument: order.instrument,
        client_id: Some(order.client_id),
        order_id: OrderId(0),
        side: None,
        state: OrderState::Rejected,
        reason: RejectReason::UnknownOrder,
        price: None,
        qty: None,
        cum: None,
        venue_ns: VenueNanos(0),
    }));
}
