//! What venues say of our orders, and what the lane says of those it sent or held back: evidence for the OMS,
//! the journal and the strategies.

use super::{ACTIONS_MAX, Action, Engine, SENT_SLOTS};
use crate::wall::position_state;
use dp_journal::entry::Reconcile;
use dp_oms::{Change, Fee, FillOutcome, Order};
use dp_risk::Refusal;
use dp_shm::{Counter, Stage};
use dp_transport::tsc;
use dp_types::{
    AssetId, CancelOrder, ClientOrderId, Decimal, FillReport, Instrument, Notional, Now,
    OrderReport, OrderState, Price, Qty, RejectReason, Tsc, UnixNanos,
};
use dp_venue_api::RequestAck;

/// A fill so much older than the comparison that brought it is late. Beyond what two clocks are apart.
const LATE_NS: u64 = 1_000_000_000;

impl Engine<'_> {
    /// What the comparison under way at an instrument's venue has found so far.
    fn report_of(&mut self, instrument: &Instrument) -> Option<&mut Reconcile> {
        self.venue_of(instrument)?.report.as_mut()
    }

    pub(super) fn on_order(&mut self, report: &OrderReport, now: Now) {
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
        let known = report.client_id.and_then(|id| self.oms.get(id));
        if let Some(id) = report.client_id
            && known.is_none()
        {
            self.on_stranger(id, report, now);
            return;
        }
        let is_past = known.is_some_and(Order::is_past);
        let cum = known.map(|order| order.cum);
        let mut is_listed = false;
        if let Some(state) = self.venue_of(&instrument) {
            state.silent = 0;
            if state.is_reconciling && !report.state.is_final() {
                is_listed = true;
                if let Some(report) = &mut state.report {
                    report.open_orders += 1;
                }
            }
        }
        let illegal = self.oms.tally().illegal;
        let change = self.oms.on_report(report, &instrument, now.unix);
        let held = report.client_id.and_then(|id| self.oms.get(id).copied());
        if let Some(order) = held.filter(|order| is_listed && is_past && order.state.is_final()) {
            // Over by a word of the venue before the list was asked for, and on it all the same: it must go.
            self.on_stranger(order.client_id, report, now);
        }
        if is_listed
            && held.map(|order| order.cum) != cum
            && let Some(report) = self.report_of(&instrument)
        {
            report.other_qty += 1;
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
        if state.is_reconciling
            && let Some(report) = &mut state.report
        {
            report.adopted += 1;
        }
        if state.take_stranger(cancel) {
            self.cancel(&cancel, now);
        }
    }

    pub(super) fn on_fill(&mut self, report: &FillReport, now: Now) {
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
                if let Some(found) = self.report_of(&instrument)
                    && report.venue_ns.0.saturating_add(LATE_NS) < found.began.0
                {
                    found.late_fills += 1;
                }
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
        let fee = self.fee_of(instrument, report);
        let strategy = order.strategy;
        let booked = self
            .ledger
            .book(instrument, strategy, order.side, (price, qty), fee);
        match booked {
            Ok(booked) => {
                let mark = self.mark(instrument.id).unwrap_or(price);
                let part = position_state(instrument, &booked.part, mark, now);
                let total = position_state(instrument, &booked.total, mark, now);
                self.wall
                    .filled(now.unix, order, report, (price, qty), (&part, &total));
                self.outdate_account(instrument.id);
                self.move_balances(instrument, report, order.side, (price, qty), now);
                self.watch_fill(instrument, &booked.total, now);
            }
            // A position beyond its integers cannot be managed, and what it would be is not known.
            Err(_) => {
                self.kill_for_range(now);
                self.wall.fill_alone(now.unix, order, report, (price, qty));
            }
        }
    }

    pub(super) fn kill_for_range(&self, now: Now) {
        let why = "a position left the range of its integers";
        self.wall.region.kill().kill("risk", why, now.unix);
    }

    pub(super) fn on_ack(&mut self, ack: &RequestAck, now: Now) {
        let Some(order) = self.oms.get(ack.client_id).copied() else {
            return;
        };
        if let Some(state) = self.venue_mut(order.venue) {
            state.silent = 0;
        }
        let slot = ack.client_id.sequence() as usize & (SENT_SLOTS - 1);
        let sent = self.sent.get(slot).copied().unwrap_or_default();
        let is_about_new = matches!(order.state, OrderState::Pending | OrderState::New);
        if order.is_amending && !is_about_new {
            self.watch_answer(order.venue, ack.reason != RejectReason::None, now);
        }
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
                self.tell_strategy(&order, now);
            }
        }
    }

    /// An order moved: journal it, count it, tell its strategy.
    pub(super) fn on_change(&mut self, change: &Change, now: Now) {
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
        // An answer to a new order. What became of an unknown one is found out, not answered; a post-only order that
        // would have crossed is served as asked.
        let is_answer = matches!(change.from, OrderState::New | OrderState::Pending);
        let is_refused =
            order.state == OrderState::Rejected && change.reason != RejectReason::PostOnlyCross;
        if is_answer && (is_taken || is_refused) {
            self.watch_answer(order.venue, is_refused, now);
        }
        self.tell_strategy(&order, now);
    }

    fn tell_strategy(&mut self, order: &Order, now: Now) {
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

    /// What never left is told its strategy by the next tick: one that wished again at once would be refused again at
    /// once, and the lane would do nothing else.
    fn tell_later(&mut self, change: &Change, now: Now) {
        self.wall.order_moved(now.unix, change);
        if self.untold.len() < ACTIONS_MAX {
            self.untold.push_back(change.order);
        }
    }

    /// Tells strategies what of theirs did not leave.
    pub(super) fn tell_untold(&mut self, now: Now) {
        while let Some(order) = self.untold.pop_front() {
            self.tell_strategy(&order, now);
        }
    }

    /// A fill's fee: its worth, and what of it was taken out of what was bought. Paid in a third asset it counts by the
    /// rates of both; where one is not known the position leaves it out, the fill's record keeps it exactly, and where
    /// money is limited nothing new is risked until it is known.
    fn fee_of(&mut self, instrument: &Instrument, report: &FillReport) -> Fee {
        let paid = (report.fee, report.fee_asset);
        let value = self.value_of(instrument, paid, report.price);
        let base = if report.fee_asset == instrument.base && instrument.base != instrument.quote {
            instrument.base_fee(report.fee).unwrap_or(0)
        } else {
            0
        };
        Fee { value, base }
    }

    /// What an amount of some asset is worth in an instrument's quote units, its base asset at `price`; 0 where that is
    /// not known, of which the watches are told.
    pub(super) fn value_of(
        &mut self,
        instrument: &Instrument,
        (amount, asset): (Decimal, AssetId),
        price: Decimal,
    ) -> Notional {
        let whole = Notional::of(amount).unwrap_or_default();
        let value = if asset == instrument.quote {
            Some(whole)
        } else if asset == instrument.base {
            worth(amount, price)
        } else {
            self.watches.between(whole, asset, instrument.quote)
        };
        if value.is_none() && whole.0 != 0 {
            self.lack_worth(asset, instrument);
        }
        value.unwrap_or_default()
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
            self.tell_later(&change, now);
        }
    }

    /// A new order was held back at the last moment: killed, or the lease is gone.
    pub fn on_new_withheld(&mut self, id: ClientOrderId, now: Now) {
        self.wall.count(Counter::RiskRefusals);
        // Or the lease, which is a stub that is always held.
        self.wall.violations.count(Refusal::Killed.code());
        if let Some(change) = self.oms.on_not_sent(id, RejectReason::Other) {
            self.tell_later(&change, now);
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
            self.tell_later(&change, now);
        }
    }

    fn note_sent(&mut self, id: ClientOrderId) {
        if let Some(slot) = self.sent.get_mut(id.sequence() as usize & (SENT_SLOTS - 1)) {
            *slot = tsc();
        }
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
