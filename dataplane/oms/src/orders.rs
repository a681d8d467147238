//! The order table: O(1) lookup, merging of evidence, exposure, reconciliation.

use crate::order::{Change, Order, Recovered};
use crate::seen::{SEEN_MAX, Seen};
use crate::table::Table;
use crate::transition::{Verdict, judge};
use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, FillReport, Instrument, InstrumentId, LaneId,
    LiveOrder, NewOrder, OrderId, OrderReport, OrderState, Price, Qty, RejectReason, Side,
    StrategyId, TradeId, UnixNanos, VenueId, VenueNanos,
};

/// Final orders kept for late reports and fills.
const FINAL_ORDERS_KEPT: usize = 4_096;
/// Nanoseconds after which a request without an answer has an unknown outcome.
pub const ANSWER_NS_MAX: u64 = 5_000_000_000;

/// As [`Oms::set_absent_after`] until it is set: Binance's and OKX's longest usual windows, and a margin.
const ABSENT_NS: u64 = 6_000_000_000;
/// Times a venue must say that it does not know an order before it is held for dead.
const ABSENCES_MIN: u8 = 2;

/// Why an order was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OmsFault {
    /// [`Room::live`] are live.
    #[error("as many orders are live as there is room for")]
    Full,
    /// The epoch's sequence is used up: a restart takes a new epoch.
    #[error("the client order ids of this epoch are used up")]
    IdsUsedUp,
    /// The id is in use.
    #[error("the client order id is in use")]
    Duplicate,
    /// The instrument is not in the table.
    #[error("the instrument is not in the table")]
    NoInstrument,
}

/// How many of each an [`Oms`] holds; its memory is their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Orders that are not final.
    pub live: usize,
    /// Final orders kept for late reports and fills; older ones are forgotten.
    pub finals: usize,
    /// Fills remembered so that one told again is not counted again; older ones are forgotten.
    pub fills: usize,
}

impl Default for Room {
    /// What a lane takes.
    fn default() -> Self {
        Self {
            live: LIVE_ORDERS_MAX,
            finals: FINAL_ORDERS_KEPT,
            fills: SEEN_MAX,
        }
    }
}

/// What became of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one call; a box would allocate on the hot path"
)]
pub enum FillOutcome {
    /// Counted, for this order, with this quantity and price in increments. The change is there when the
    /// order's state moved with it.
    Counted {
        /// The order after it.
        order: Order,
        /// Quantity.
        qty: Qty,
        /// Price.
        price: Price,
        /// The move, if any.
        change: Option<Change>,
    },
    /// Told before.
    Duplicate,
    /// Of an order we do not know.
    Foreign,
    /// Beyond what its venue says is done of the order: told before and forgotten here, or ahead of the
    /// venue's own word. Not counted: when it is new, that word follows and its fills are asked for.
    Beyond,
    /// Its numbers do not fit the instrument.
    BadNumber,
}

/// Things that should not happen, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Evidence refused by the transition table.
    pub illegal: u64,
    /// Fills told again.
    pub duplicate_fills: u64,
    /// Fills beyond the order's quantity.
    pub overfills: u64,
    /// Fills beyond what the venue says is done.
    pub beyond: u64,
    /// Orders held for dead that their venue named alive.
    pub revived: u64,
    /// Reports and fills of orders we do not know.
    pub foreign: u64,
    /// Fills after the order was final.
    pub late_fills: u64,
    /// Orders of an earlier run there was no room for.
    pub not_adopted: u64,
}

/// Worst case of one instrument: what a risk gate needs beside the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exposure {
    /// Leaves of all working buys, unknown ones and amends in flight included.
    pub buy: Qty,
    /// Leaves of all working sells.
    pub sell: Qty,
    /// Best price among our working buys.
    pub own_bid: Option<Price>,
    /// Best price among our working sells.
    pub own_ask: Option<Price>,
}

/// All orders of one lane.
#[derive(Debug)]
pub struct Oms {
    epoch: Epoch,
    lane: LaneId,
    next_sequence: u32,
    table: Table,
    seen: Seen,
    tally: Tally,
    absent_ns: u64,
}

impl Oms {
    /// An empty table for `instruments` instruments. Takes all its memory here.
    pub fn new(epoch: Epoch, lane: LaneId, instruments: usize) -> Self {
        Self::with_room(epoch, lane, instruments, Room::default())
    }

    /// As [`Oms::new`], with another [`Room`].
    pub fn with_room(epoch: Epoch, lane: LaneId, instruments: usize, room: Room) -> Self {
        Self {
            epoch,
            lane,
            next_sequence: 1,
            table: Table::new(instruments, room.live, room.finals),
            seen: Seen::new(room.fills),
            tally: Tally::default(),
            absent_ns: ABSENT_NS,
        }
    }

    /// Sets how long after a new order was written its venue's "no such order" proves nothing: the longest
    /// window in which a venue takes an order, and a margin.
    pub const fn set_absent_after(&mut self, ns: u64) {
        self.absent_ns = ns;
    }

    /// The id the next order will bear. Errors: [`OmsFault::IdsUsedUp`].
    pub fn next_id(&self) -> Result<ClientOrderId, OmsFault> {
        self.id_after(0)
    }

    /// The id that the order after so many others will bear. Errors: [`OmsFault::IdsUsedUp`].
    pub fn id_after(&self, orders: u32) -> Result<ClientOrderId, OmsFault> {
        let sequence = self.next_sequence.checked_add(orders);
        sequence
            .and_then(|sequence| ClientOrderId::new(self.epoch, self.lane, sequence))
            .ok_or(OmsFault::IdsUsedUp)
    }

    /// Takes in an order the gate has cleared, under the id [`Oms::next_id`] gave.
    ///
    /// Errors: [`OmsFault`]; nothing changed.
    pub fn admit(
        &mut self,
        order: &NewOrder,
        venue: VenueId,
        strategy: StrategyId,
        now: UnixNanos,
    ) -> Result<Order, OmsFault> {
        if !self.table.has_room(1) {
            return Err(OmsFault::Full);
        }
        if !self.table.has_instrument(order.instrument) {
            return Err(OmsFault::NoInstrument);
        }
        let held = Order::new(order, venue, strategy, now);
        if !self.table.insert(held) {
            return Err(OmsFault::Duplicate);
        }
        self.next_sequence = self.next_sequence.saturating_add(1);
        Ok(held)
    }

    /// Whether so many more new orders find a place.
    pub const fn has_room(&self, count: usize) -> bool {
        self.table.has_room(count)
    }

    /// Takes over an order from the journal of an earlier run. One that was never answered, or whose
    /// cancel or amend was not, is unknown until the venue tells. Says whether it was taken: not when it is final with
    /// all its fills counted, known already, or there is no room (counted in [`Tally::not_adopted`]).
    pub fn adopt(&mut self, recovered: &Recovered) -> bool {
        let live = recovered.live;
        let state = match live.state {
            state if state.is_final() => state,
            OrderState::New | OrderState::Pending => OrderState::Unknown,
            _ if live.is_cancelling || live.is_amending => OrderState::Unknown,
            state => state,
        };
        let cum = Qty(recovered.qty.0.saturating_sub(live.leaves.0));
        let order = Order {
            client_id: live.client_id,
            order_id: live.order_id,
            instrument: live.instrument,
            venue: recovered.venue,
            strategy: recovered.strategy,
            side: live.side,
            kind: recovered.kind,
            tif: recovered.tif,
            state,
            price: live.price,
            qty: recovered.qty,
            cum,
            filled: recovered.filled,
            is_cancelling: false,
            is_amending: false,
            asked_price: live.price,
            asked_qty: recovered.qty,
            sent_at: UnixNanos(0),
            placed_at: recovered.at,
            absences: 0,
            is_inferred: false,
            is_seen: false,
        };
        if state.is_final() && order.is_settled() {
            return false;
        }
        let is_known = self.table.get(order.client_id).is_some();
        let is_taken = !is_known && self.table.insert(order);
        self.tally.not_adopted += u64::from(!is_known && !is_taken);
        is_taken
    }

    /// Remembers a fill counted by an earlier run, whichever of our orders it was of.
    pub fn adopt_fill(&mut self, instrument: InstrumentId, trade_id: TradeId) {
        self.seen.insert((instrument, trade_id, ClientOrderId(0)));
    }

    /// The bytes of a new order are with the transport.
    pub fn on_sent(&mut self, id: ClientOrderId, now: UnixNanos) -> Option<Change> {
        let mut order = self.table.get_mut(id)?;
        (order.sent_at, order.placed_at) = (now, now);
        let from = step(&mut order, OrderState::Pending, &mut self.tally)?;
        Some(Change {
            order: *order,
            from,
            reason: RejectReason::None,
            code: 0,
            venue_ns: VenueNanos(0),
        })
    }

    /// A new order did not leave: our own governor or a link that is down refused it.
    pub fn on_not_sent(&mut self, id: ClientOrderId, reason: RejectReason) -> Option<Change> {
        self.evidence(id, OrderState::Rejected, reason, 0, VenueNanos(0))
    }

    /// A cancel was written.
    pub fn on_cancel_sent(&mut self, id: ClientOrderId, now: UnixNanos) {
        if let Some(mut order) = self.table.get_mut(id)
            && !order.state.is_final()
        {
            // The clock of the oldest request without an answer runs on: a cancel that is repeated must
            // not keep a lost order from ever becoming unknown.
            if !order.is_waiting() {
                order.sent_at = now;
            }
            order.is_cancelling = true;
        }
    }

    /// A cancel that was on its way to be written was not: another may be asked for.
    pub fn on_cancel_not_sent(&mut self, id: ClientOrderId) {
        if let Some(mut order) = self.table.get_mut(id) {
            order.is_cancelling = false;
        }
    }

    /// An amend that was on its way to be written was not: [`Oms::on_amend_not_sent`] tells the rest.
    pub fn on_amend_turned_back(&mut self, id: ClientOrderId) {
        if let Some(mut order) = self.table.get_mut(id) {
            order.is_amending = false;
        }
    }

    /// An amend is about to be written: until the venue shows or refuses it, the exposure counts the worse
    /// of both quantities and both prices.
    pub fn on_amend_asked(&mut self, amend: &AmendOrder) {
        if let Some(mut order) = self.table.get_mut(amend.client_id)
            && !order.state.is_final()
        {
            order.asked_price = amend.price.unwrap_or(order.price);
            order.asked_qty = amend.qty.unwrap_or(order.qty);
        }
    }

    /// An amend was written.
    pub fn on_amend_sent(&mut self, id: ClientOrderId, now: UnixNanos) {
        if let Some(mut order) = self.table.get_mut(id)
            && !order.state.is_final()
        {
            if !order.is_waiting() {
                order.sent_at = now;
            }
            order.is_amending = true;
        }
    }

    /// An amend did not leave: the exposure counts the order as it stands again.
    pub fn on_amend_not_sent(&mut self, id: ClientOrderId, reason: RejectReason) -> Option<Change> {
        let mut order = self.table.get_mut(id)?;
        if order.state.is_final() || order.is_amending {
            return None;
        }
        (order.asked_price, order.asked_qty) = (order.price, order.qty);
        Some(Change {
            order: *order,
            from: order.state,
            reason,
            code: 0,
            venue_ns: VenueNanos(0),
        })
    }

    /// A request about an order was answered. The order to ask the venue about is returned when the
    /// answer settles nothing (a cancel of an order it does not know, an outcome left open).
    pub fn on_answer(
        &mut self,
        id: ClientOrderId,
        order_id: OrderId,
        reason: RejectReason,
    ) -> Option<CancelOrder> {
        let mut order = self.table.get_mut(id)?;
        if order_id.0 != 0 {
            order.order_id = order_id;
        }
        let was_asked = order.is_cancelling || order.is_amending;
        let is_one_of_two = order.is_cancelling && order.is_amending;
        order.is_amending = false;
        if reason == RejectReason::None {
            return None;
        }
        order.is_cancelling = false;
        let is_open = matches!(
            reason,
            RejectReason::UnknownOrder | RejectReason::UnknownOutcome
        );
        if !is_open && !is_one_of_two {
            (order.asked_price, order.asked_qty) = (order.price, order.qty);
        }
        (was_asked && is_open && !order.state.is_final()).then(|| order.named())
    }

    /// A venue's word about an order, from any source.
    ///
    /// "No such order" is its own kind of word: it proves nothing while the order may still be on its way,
    /// and little when said once ([`Oms::set_absent_after`]). An order held for dead on that ground lives
    /// again when its venue names it.
    pub fn on_report(
        &mut self,
        report: &OrderReport,
        instrument: &Instrument,
        now: UnixNanos,
    ) -> Option<Change> {
        let Some(id) = self.find(report.instrument, report.client_id, report.order_id) else {
            self.tally.foreign += 1;
            return None;
        };
        if (report.state, report.reason) == (OrderState::Rejected, RejectReason::UnknownOrder) {
            return self.on_absent(id, report.venue_ns, now);
        }
        let mut order = self.table.get_mut(id)?;
        order.is_seen = true;
        order.absences = 0;
        if report.order_id.0 != 0 {
            order.order_id = report.order_id;
        }
        let (price, qty, leaves) = (order.price, order.qty, order.leaves());
        if let Some(Ok(price)) = report.price.map(|price| instrument.price(price))
            && price.0 > 0
        {
            order.price = price;
        }
        if let Some(Ok(qty)) = report.qty.map(|qty| instrument.qty(qty))
            && qty.0 > 0
        {
            order.qty = qty;
        }
        if let Some(Ok(cum)) = report.cum.map(|cum| instrument.qty(cum)) {
            order.cum = order.cum.max(cum);
        }
        let is_alive = !report.state.is_final() && report.state != OrderState::Unknown;
        let is_revived = order.state.is_final() && order.is_inferred && is_alive;
        let is_amended = order.price != price || order.qty != qty;
        if is_amended {
            order.is_amending = false;
            (order.asked_price, order.asked_qty) = (order.price, order.qty);
        }
        let has_news = is_amended || order.leaves() != leaves;
        let is_owed = order.state.is_final() && !order.is_settled();
        let (mut from, is_partly_done) = (order.state, order.cum.0 > 0);
        drop(order);
        if is_revived {
            self.revive(id);
            from = self.table.get(id)?.state;
        } else if is_owed {
            // Fills of it are still to come: it counts as exposure until they have.
            self.table.revive(id);
        }
        let to = match report.state {
            // "On the book" of an order that is partly done says both.
            OrderState::Ack if is_partly_done => OrderState::PartiallyFilled,
            // A post-only order that an amend would have made take is refused what is left of it.
            OrderState::Rejected if is_partly_done => OrderState::Cancelled,
            to => to,
        };
        let change = self.evidence(id, to, report.reason, 0, report.venue_ns);
        if change.is_some() || !has_news {
            return change;
        }
        let order = *self.table.get(id)?;
        let (reason, venue_ns) = (report.reason, report.venue_ns);
        Some(Change {
            order,
            from,
            reason,
            code: 0,
            venue_ns,
        })
    }

    /// The venue knows no such order.
    fn on_absent(
        &mut self,
        id: ClientOrderId,
        venue_ns: VenueNanos,
        now: UnixNanos,
    ) -> Option<Change> {
        let absent_ns = self.absent_ns;
        let mut order = self.table.get_mut(id)?;
        if order.state.is_final() {
            return None;
        }
        let is_late = now.since(order.placed_at) >= absent_ns;
        order.absences = order.absences.saturating_add(u8::from(is_late));
        if order.absences < ABSENCES_MIN {
            drop(order);
            // Not settled: it is asked about again.
            let reason = RejectReason::UnknownOutcome;
            return self.evidence(id, OrderState::Unknown, reason, 0, venue_ns);
        }
        order.is_inferred = true;
        // What the venue had once it has no more; what it never had it never will.
        let to = if order.order_id.0 != 0 || order.cum.0 > 0 {
            OrderState::Cancelled
        } else {
            OrderState::Rejected
        };
        drop(order);
        self.evidence(id, to, RejectReason::UnknownOrder, 0, venue_ns)
    }

    /// An order held for dead is alive: its venue says so.
    fn revive(&mut self, id: ClientOrderId) {
        if self.table.revive(id)
            && let Some(mut order) = self.table.get_mut(id)
        {
            order.state = OrderState::Unknown;
            order.is_inferred = false;
            self.tally.revived += 1;
        }
    }

    /// One execution. Counted once, whatever the order's state: money moved.
    pub fn on_fill(&mut self, report: &FillReport, instrument: &Instrument) -> FillOutcome {
        let Some(id) = self.find(report.instrument, report.client_id, report.order_id) else {
            // Counted long ago, and its order forgotten since: a comparison may reach further back.
            let id = report.client_id.unwrap_or(ClientOrderId(0));
            if self.seen.has(&(report.instrument, report.trade_id, id)) {
                self.tally.duplicate_fills += 1;
                return FillOutcome::Duplicate;
            }
            // An order whose answer was lost has no venue id yet: it is asked about, and this told again.
            let is_nameless = |order: &Order| order.order_id.0 == 0;
            if report.client_id.is_none() && self.live(report.instrument).any(is_nameless) {
                return FillOutcome::Beyond;
            }
            self.tally.foreign += 1;
            return FillOutcome::Foreign;
        };
        let (Ok(price), Ok(qty)) = (instrument.price(report.price), instrument.qty(report.qty))
        else {
            return FillOutcome::BadNumber;
        };
        if qty.0 <= 0 {
            return FillOutcome::BadNumber;
        }
        let Some(mut order) = self.table.get_mut(id) else {
            return FillOutcome::Foreign;
        };
        if let Some(Ok(cum)) = report.cum.map(|cum| instrument.qty(cum)) {
            order.cum = order.cum.max(cum);
        }
        let is_beyond = order.filled.0.saturating_add(qty.0) > order.cum.0;
        let is_owed = order.state.is_final() && !order.is_settled();
        drop(order);
        if is_owed {
            self.table.revive(id);
        }
        if self.seen.has(&(report.instrument, report.trade_id, id)) {
            self.tally.duplicate_fills += 1;
            return FillOutcome::Duplicate;
        }
        if is_beyond {
            self.tally.beyond += 1;
            return FillOutcome::Beyond;
        }
        if !self.seen.insert((report.instrument, report.trade_id, id)) {
            self.tally.duplicate_fills += 1;
            return FillOutcome::Duplicate;
        }
        let Some(mut order) = self.table.get_mut(id) else {
            return FillOutcome::Foreign;
        };
        order.is_seen = true;
        if report.order_id.0 != 0 {
            order.order_id = report.order_id;
        }
        order.filled = Qty(order.filled.0.saturating_add(qty.0));
        self.tally.late_fills +=
            u64::from(order.state.is_final() && order.state != OrderState::Filled);
        self.tally.overfills += u64::from(order.filled > order.qty);
        let to = if order.cum >= order.qty {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        drop(order);
        let change = self.evidence(id, to, RejectReason::None, 0, report.venue_ns);
        let order = self.table.get(id).copied();
        if order.is_some_and(|order| order.state.is_final() && order.is_settled()) {
            self.table.retire(id);
        }
        match order {
            Some(order) => FillOutcome::Counted {
                order,
                qty,
                price,
                change,
            },
            None => FillOutcome::Foreign,
        }
    }

    /// The order link of a venue is gone: what was not answered has an unknown outcome.
    pub fn on_link_lost(&mut self, venue: VenueId, on: &mut impl FnMut(Change)) {
        self.give_up(&|order| order.venue == venue, on);
    }

    /// Requests without an answer for [`ANSWER_NS_MAX`] have an unknown outcome.
    pub fn on_timeout(&mut self, now: UnixNanos, on: &mut impl FnMut(Change)) {
        self.give_up(&|order| now.since(order.sent_at) > ANSWER_NS_MAX, on);
    }

    fn give_up(&mut self, is_lost: &impl Fn(&Order) -> bool, on: &mut impl FnMut(Change)) {
        let tally = &mut self.tally;
        self.table.each_live_mut(|order| {
            if !order.is_waiting() || !is_lost(order) {
                return;
            }
            (order.is_cancelling, order.is_amending) = (false, false);
            if let Some(from) = step(order, OrderState::Unknown, tally) {
                on(Change {
                    order: *order,
                    from,
                    reason: RejectReason::UnknownOutcome,
                    code: 0,
                    venue_ns: VenueNanos(0),
                });
            }
        });
    }

    /// A venue is about to name its open orders.
    pub fn begin_reconcile(&mut self, venue: VenueId) {
        self.table.each_mut(|order| {
            if order.venue == venue {
                order.is_seen = false;
            }
        });
    }

    /// The venue has named them all: every live order of ours that it did not name must be asked about.
    /// Cold path: allocates. Orders by id, so the same state asks in the same order.
    pub fn end_reconcile(&self, venue: VenueId) -> Vec<CancelOrder> {
        let unnamed = self
            .all_live()
            .filter(|order| order.venue == venue && !order.is_seen);
        let mut unnamed: Vec<CancelOrder> = unnamed.map(Order::named).collect();
        unnamed.sort_by_key(|order| order.client_id);
        unnamed
    }

    /// Orders of a venue whose fate is not known. Cold path: allocates.
    pub fn unknown(&self, venue: VenueId) -> Vec<CancelOrder> {
        let is_unknown =
            |order: &&Order| order.venue == venue && order.state == OrderState::Unknown;
        let mut unknown: Vec<CancelOrder> = self
            .all_live()
            .filter(is_unknown)
            .map(Order::named)
            .collect();
        unknown.sort_by_key(|order| order.client_id);
        unknown
    }

    /// The order with this id, live or recently final.
    pub fn get(&self, id: ClientOrderId) -> Option<&Order> {
        self.table.get(id)
    }

    /// Live orders of an instrument, oldest first.
    pub fn live(&self, instrument: InstrumentId) -> impl Iterator<Item = &Order> + '_ {
        self.table
            .held(instrument)
            .filter(|order| !order.state.is_final())
    }

    /// All live orders, by instrument.
    pub fn all_live(&self) -> impl Iterator<Item = &Order> + '_ {
        self.all_held().filter(|order| !order.state.is_final())
    }

    /// Everything the position may still move by: live orders, and final ones whose fills are not all
    /// counted.
    pub fn all_held(&self) -> impl Iterator<Item = &Order> + '_ {
        self.table.all_held()
    }

    /// Appends a strategy's live orders of an instrument, as it sees them, as far as the list has room. Says whether every
    /// fill its venue counts of its orders there is counted here.
    pub fn live_of(
        &self,
        strategy: StrategyId,
        instrument: InstrumentId,
        into: &mut Vec<LiveOrder>,
    ) -> bool {
        let mut is_settled = true;
        for order in self.table.held(instrument) {
            if order.strategy != strategy {
                continue;
            }
            is_settled &= order.is_settled();
            if !order.state.is_final() && into.len() < into.capacity() {
                into.push(order.live());
            }
        }
        is_settled
    }

    /// What venues count of a strategy's orders of an instrument beyond the fills that are counted here, increments; sold
    /// is negative. Cost: a walk over the instrument's orders.
    pub fn coming(&self, strategy: StrategyId, instrument: InstrumentId) -> Qty {
        let owed = |order: &Order| {
            let owed = order.cum.0.saturating_sub(order.filled.0).max(0);
            order.side.sign() * owed
        };
        let held = self.table.held(instrument);
        let its = held.filter(|order| order.strategy == strategy);
        Qty(its.map(owed).fold(0i64, i64::saturating_add))
    }

    /// How many orders are not final, or final with fills not counted yet.
    pub const fn held_count(&self) -> usize {
        self.table.held_count()
    }

    /// Worst case of an instrument. Cost: flat in its live orders, but for a walk over them after the one with the best
    /// price of a side went while others rest there.
    pub fn exposure(&mut self, instrument: InstrumentId) -> Exposure {
        let (buy, own_bid) = self.table.working(instrument, Side::Buy);
        let (sell, own_ask) = self.table.working(instrument, Side::Sell);
        Exposure {
            buy,
            sell,
            own_bid,
            own_ask,
        }
    }

    /// What should not have happened.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The order a report is about. One that names another instrument than the order's is not ours: venues
    /// count order ids per symbol (Binance), so the same number names two orders.
    fn find(
        &self,
        instrument: InstrumentId,
        client_id: Option<ClientOrderId>,
        order_id: OrderId,
    ) -> Option<ClientOrderId> {
        if let Some(id) = client_id {
            let order = self.table.get(id)?;
            return (order.instrument == instrument).then_some(id);
        }
        if order_id.0 == 0 {
            return None;
        }
        // Only reconciliation and other people's orders come without a client id: a walk will do.
        self.table
            .held(instrument)
            .chain(self.table.finals())
            .find(|order| order.order_id == order_id && order.instrument == instrument)
            .map(|order| order.client_id)
    }

    /// Applies the table. Returns the change when the order moved.
    fn evidence(
        &mut self,
        id: ClientOrderId,
        to: OrderState,
        reason: RejectReason,
        code: i32,
        venue_ns: VenueNanos,
    ) -> Option<Change> {
        let mut held = self.table.get_mut(id)?;
        let from = step(&mut held, to, &mut self.tally)?;
        let order = *held;
        drop(held);
        if to.is_final() && !from.is_final() && order.is_settled() {
            self.table.retire(id);
        }
        Some(Change {
            order,
            from,
            reason,
            code,
            venue_ns,
        })
    }
}

/// Moves one order by the table; says from where, when it moved.
fn step(order: &mut Order, to: OrderState, tally: &mut Tally) -> Option<OrderState> {
    let from = order.state;
    match judge(from, to) {
        Verdict::Illegal => {
            tally.illegal += 1;
            return None;
        }
        Verdict::Stays => return None,
        Verdict::Moves => {}
    }
    order.state = to;
    if to.is_final() {
        (order.is_cancelling, order.is_amending) = (false, false);
    }
    Some(from)
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod adopt_tests;
#[cfg(test)]
#[path = "fills_tests.rs"]
mod fills_tests;
#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
