//! The order table: O(1) lookup, merging of evidence, exposure, reconciliation.

use crate::order::{Change, Order, Recovered};
use crate::seen::Seen;
use crate::transition::{Verdict, judge};
use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{
    CancelOrder, ClientOrderId, Epoch, FillReport, Instrument, InstrumentId, LaneId, LiveOrder,
    NewOrder, OrderId, OrderReport, OrderState, Price, Qty, RejectReason, Side, StrategyId,
    TradeId, UnixNanos, VenueId, VenueNanos,
};
use std::collections::{HashMap, VecDeque};

/// Final orders kept for late reports and fills.
const FINAL_ORDERS_KEPT: usize = 4_096;
/// Nanoseconds after which a request without an answer has an unknown outcome.
pub const ANSWER_NS_MAX: u64 = 5_000_000_000;

/// Why an order was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OmsFault {
    /// [`LIVE_ORDERS_MAX`] are live.
    #[error("{LIVE_ORDERS_MAX} orders are live already")]
    Full,
    /// The epoch's sequence is used up: a restart takes a new epoch.
    #[error("the client order ids of this epoch are used up")]
    IdsUsedUp,
    /// The id is in use.
    #[error("the client order id is in use")]
    Duplicate,
}

/// What became of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Reports and fills of orders we do not know.
    pub foreign: u64,
    /// Fills after the order was final.
    pub late_fills: u64,
}

/// Worst case of one instrument: what a risk gate needs beside the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exposure {
    /// Leaves of all working buys, unknown ones included.
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
    orders: HashMap<ClientOrderId, Order>,
    /// Live orders by instrument, so that exposure is a walk over a handful.
    live: Vec<Vec<ClientOrderId>>,
    live_count: usize,
    finals: VecDeque<ClientOrderId>,
    seen: Seen,
    tally: Tally,
}

impl Oms {
    /// An empty table for `instruments` instruments. Takes all its memory here.
    pub fn new(epoch: Epoch, lane: LaneId, instruments: usize) -> Self {
        let room = LIVE_ORDERS_MAX + FINAL_ORDERS_KEPT;
        Self {
            epoch,
            lane,
            next_sequence: 1,
            // Twice the room: removals leave marks that the map cleans up in place.
            orders: HashMap::with_capacity(2 * room),
            live: (0..instruments).map(|_| Vec::with_capacity(256)).collect(),
            live_count: 0,
            finals: VecDeque::with_capacity(FINAL_ORDERS_KEPT + 1),
            seen: Seen::new(),
            tally: Tally::default(),
        }
    }

    /// The id the next order will bear. Errors: [`OmsFault::IdsUsedUp`].
    pub fn next_id(&self) -> Result<ClientOrderId, OmsFault> {
        ClientOrderId::new(self.epoch, self.lane, self.next_sequence).ok_or(OmsFault::IdsUsedUp)
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
        if self.live_count >= LIVE_ORDERS_MAX {
            return Err(OmsFault::Full);
        }
        if self.orders.contains_key(&order.client_id) {
            return Err(OmsFault::Duplicate);
        }
        let held = Order::new(order, venue, strategy, now);
        self.insert(held);
        self.next_sequence = self.next_sequence.saturating_add(1);
        Ok(held)
    }

    /// Takes over an order from the journal of an earlier run. One that was never answered, or whose
    /// cancel was not, is unknown until the venue tells.
    pub fn adopt(&mut self, recovered: &Recovered) {
        let live = recovered.live;
        let state = match live.state {
            OrderState::New | OrderState::Pending => OrderState::Unknown,
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
            filled: cum,
            is_cancelling: false,
            is_amending: false,
            sent_at: UnixNanos(0),
            is_seen: false,
        };
        if !state.is_final() && !self.orders.contains_key(&order.client_id) {
            self.insert(order);
        }
    }

    /// Remembers a fill counted by an earlier run, whichever of our orders it was of.
    pub fn adopt_fill(&mut self, instrument: InstrumentId, trade_id: TradeId) {
        self.seen.insert((instrument, trade_id, ClientOrderId(0)));
    }

    /// The bytes of a new order are with the transport.
    pub fn on_sent(&mut self, id: ClientOrderId, now: UnixNanos) -> Option<Change> {
        let order = self.orders.get_mut(&id)?;
        order.sent_at = now;
        self.evidence(
            id,
            OrderState::Pending,
            RejectReason::None,
            0,
            VenueNanos(0),
        )
    }

    /// A new order did not leave: our own governor or a link that is down refused it.
    pub fn on_not_sent(&mut self, id: ClientOrderId, reason: RejectReason) -> Option<Change> {
        self.evidence(id, OrderState::Rejected, reason, 0, VenueNanos(0))
    }

    /// A cancel was written.
    pub fn on_cancel_sent(&mut self, id: ClientOrderId, now: UnixNanos) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.is_cancelling = true;
            order.sent_at = now;
        }
    }

    /// An amend was written.
    pub fn on_amend_sent(&mut self, id: ClientOrderId, now: UnixNanos) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.is_amending = true;
            order.sent_at = now;
        }
    }

    /// A request about an order was answered. The order to ask the venue about is returned when the
    /// answer settles nothing (a cancel of an order it does not know, an outcome left open).
    pub fn on_answer(
        &mut self,
        id: ClientOrderId,
        order_id: OrderId,
        reason: RejectReason,
    ) -> Option<CancelOrder> {
        let order = self.orders.get_mut(&id)?;
        if order_id.0 != 0 {
            order.order_id = order_id;
        }
        let was_asked = order.is_cancelling || order.is_amending;
        order.is_amending = false;
        if reason == RejectReason::None {
            return None;
        }
        order.is_cancelling = false;
        let is_open = matches!(
            reason,
            RejectReason::UnknownOrder | RejectReason::UnknownOutcome
        );
        (was_asked && is_open && !order.state.is_final()).then(|| order.named())
    }

    /// A venue's word about an order, from any source.
    pub fn on_report(&mut self, report: &OrderReport, instrument: &Instrument) -> Option<Change> {
        let Some(id) = self.find(report.client_id, report.order_id) else {
            self.tally.foreign += 1;
            return None;
        };
        let order = self.orders.get_mut(&id)?;
        order.is_seen = true;
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
        let is_amended = order.price != price || order.qty != qty;
        if is_amended {
            order.is_amending = false;
        }
        let has_news = is_amended || order.leaves() != leaves;
        let from = order.state;
        let change = self.evidence(id, report.state, report.reason, 0, report.venue_ns);
        if change.is_some() || !has_news {
            return change;
        }
        let order = *self.orders.get(&id)?;
        let (reason, venue_ns) = (report.reason, report.venue_ns);
        Some(Change {
            order,
            from,
            reason,
            code: 0,
            venue_ns,
        })
    }

    /// One execution. Counted once, whatever the order's state: money moved.
    pub fn on_fill(&mut self, report: &FillReport, instrument: &Instrument) -> FillOutcome {
        let Some(id) = self.find(report.client_id, report.order_id) else {
            self.tally.foreign += 1;
            return FillOutcome::Foreign;
        };
        let (Ok(price), Ok(qty)) = (instrument.price(report.price), instrument.qty(report.qty))
        else {
            return FillOutcome::BadNumber;
        };
        if !self.seen.insert((report.instrument, report.trade_id, id)) {
            self.tally.duplicate_fills += 1;
            return FillOutcome::Duplicate;
        }
        let Some(order) = self.orders.get_mut(&id) else {
            return FillOutcome::Foreign;
        };
        order.is_seen = true;
        if report.order_id.0 != 0 {
            order.order_id = report.order_id;
        }
        order.filled = Qty(order.filled.0.saturating_add(qty.0));
        order.cum = order.cum.max(order.filled);
        self.tally.late_fills +=
            u64::from(order.state.is_final() && order.state != OrderState::Filled);
        self.tally.overfills += u64::from(order.filled > order.qty);
        let to = if order.cum >= order.qty {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        let change = self.evidence(id, to, RejectReason::None, 0, report.venue_ns);
        match self.orders.get(&id) {
            Some(order) => FillOutcome::Counted {
                order: *order,
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
        for at in 0..self.live.len() {
            let mut place = 0;
            while let Some(id) = self.live.get(at).and_then(|ids| ids.get(place)).copied() {
                place += 1;
                let Some(order) = self.orders.get_mut(&id) else {
                    continue;
                };
                let is_open = order.state == OrderState::Pending
                    || order.state == OrderState::New
                    || order.is_cancelling
                    || order.is_amending;
                if !is_open || !is_lost(order) {
                    continue;
                }
                (order.is_cancelling, order.is_amending) = (false, false);
                let why = RejectReason::UnknownOutcome;
                if let Some(change) = self.evidence(id, OrderState::Unknown, why, 0, VenueNanos(0))
                {
                    on(change);
                }
            }
        }
    }

    /// A venue is about to name its open orders.
    pub fn begin_reconcile(&mut self, venue: VenueId) {
        for order in self
            .orders
            .values_mut()
            .filter(|order| order.venue == venue)
        {
            order.is_seen = false;
        }
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
        self.orders.get(&id)
    }

    /// Live orders of an instrument, oldest first.
    pub fn live(&self, instrument: InstrumentId) -> impl Iterator<Item = &Order> + '_ {
        let ids = self
            .live
            .get(instrument.0 as usize)
            .map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.orders.get(id))
    }

    /// All live orders, by instrument.
    pub fn all_live(&self) -> impl Iterator<Item = &Order> + '_ {
        self.live
            .iter()
            .flatten()
            .filter_map(|id| self.orders.get(id))
    }

    /// Live orders as a strategy sees them, into its own list.
    pub fn live_of(
        &self,
        strategy: StrategyId,
        instrument: InstrumentId,
        into: &mut Vec<LiveOrder>,
    ) {
        into.clear();
        let ours = self
            .live(instrument)
            .filter(|order| order.strategy == strategy);
        into.extend(ours.map(Order::live).take(into.capacity()));
    }

    /// How many orders are not final.
    pub const fn live_count(&self) -> usize {
        self.live_count
    }

    /// Worst case of an instrument. Cost: a walk over its live orders.
    pub fn exposure(&self, instrument: InstrumentId) -> Exposure {
        let mut exposure = Exposure::default();
        for order in self.live(instrument) {
            let leaves = order.leaves();
            match order.side {
                Side::Buy => {
                    exposure.buy = Qty(exposure.buy.0.saturating_add(leaves.0));
                    exposure.own_bid = exposure.own_bid.max(Some(order.price));
                }
                Side::Sell => {
                    exposure.sell = Qty(exposure.sell.0.saturating_add(leaves.0));
                    let best = exposure
                        .own_ask
                        .map_or(order.price, |best| best.min(order.price));
                    exposure.own_ask = Some(best);
                }
            }
        }
        exposure
    }

    /// What should not have happened.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    fn find(&self, client_id: Option<ClientOrderId>, order_id: OrderId) -> Option<ClientOrderId> {
        if let Some(id) = client_id {
            return self.orders.contains_key(&id).then_some(id);
        }
        if order_id.0 == 0 {
            return None;
        }
        // Only reconciliation names orders by the venue's id alone.
        self.orders
            .values()
            .find(|order| order.order_id == order_id)
            .map(|order| order.client_id)
    }

    fn insert(&mut self, order: Order) {
        self.orders.insert(order.client_id, order);
        if let Some(ids) = self.live.get_mut(order.instrument.0 as usize) {
            ids.push(order.client_id);
            self.live_count += 1;
        }
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
        let order = self.orders.get_mut(&id)?;
        let from = order.state;
        match judge(from, to) {
            Verdict::Illegal => {
                self.tally.illegal += 1;
                return None;
            }
            Verdict::Stays => return None,
            Verdict::Moves => {}
        }
        order.state = to;
        if to.is_final() {
            (order.is_cancelling, order.is_amending) = (false, false);
        }
        let order = *order;
        if to.is_final() && !from.is_final() {
            self.retire(&order);
        }
        Some(Change {
            order,
            from,
            reason,
            code,
            venue_ns,
        })
    }

    /// Takes a final order off the live list; the oldest final one is forgotten.
    fn retire(&mut self, order: &Order) {
        if let Some(ids) = self.live.get_mut(order.instrument.0 as usize)
            && let Some(at) = ids.iter().position(|id| *id == order.client_id)
        {
            ids.remove(at);
            self.live_count = self.live_count.saturating_sub(1);
        }
        self.finals.push_back(order.client_id);
        if self.finals.len() > FINAL_ORDERS_KEPT
            && let Some(oldest) = self.finals.pop_front()
        {
            self.orders.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{AssetId, Decimal, Liquidity, OrderKind, Text, Tif};
    use proptest::prelude::*;

    const VENUE: VenueId = VenueId::OKX;

    fn instrument() -> Instrument {
        Instrument::bare(InstrumentId(0), VENUE, Text::EMPTY, 0, 0)
    }

    fn oms() -> Oms {
        Oms::new(Epoch(1), LaneId(0), 1)
    }

    fn place(oms: &mut Oms, side: Side, price: i64, qty: i64) -> ClientOrderId {
        let client_id = oms.next_id().unwrap();
        let order = NewOrder {
            instrument: InstrumentId(0),
            client_id,
            side,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price: Price(price),
            qty: Qty(qty),
        };
        oms.admit(&order, VENUE, StrategyId(0), UnixNanos(1))
            .unwrap();
        client_id
    }

    fn whole(value: i64) -> Option<Decimal> {
        Some(Decimal {
            mantissa: value,
            exponent: 0,
        })
    }

    fn report(id: ClientOrderId, state: OrderState, cum: i64) -> OrderReport {
        OrderReport {
            instrument: InstrumentId(0),
            client_id: Some(id),
            order_id: OrderId(7),
            side: None,
            state,
            reason: RejectReason::None,
            price: None,
            qty: None,
            cum: whole(cum),
            venue_ns: VenueNanos(0),
        }
    }

    fn fill(id: ClientOrderId, trade: u128, qty: i64) -> FillReport {
        FillReport {
            instrument: InstrumentId(0),
            client_id: Some(id),
            order_id: OrderId(7),
            trade_id: TradeId(trade),
            side: Side::Buy,
            price: Decimal {
                mantissa: 100,
                exponent: 0,
            },
            qty: Decimal {
                mantissa: qty,
                exponent: 0,
            },
            fee: Decimal::ZERO,
            fee_asset: AssetId::NONE,
            liquidity: Liquidity::Maker,
            venue_ns: VenueNanos(0),
        }
    }

    fn state(oms: &Oms, id: ClientOrderId) -> OrderState {
        oms.get(id).unwrap().state
    }

    #[test]
    fn a_plain_life() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Buy, 100, 5);
        assert_eq!(
            oms.on_sent(id, UnixNanos(2)).unwrap().order.state,
            OrderState::Pending
        );
        let change = oms
            .on_report(&report(id, OrderState::Ack, 0), &instrument())
            .unwrap();
        assert_eq!(
            (change.from, change.order.state),
            (OrderState::Pending, OrderState::Ack)
        );
        assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(5));
        let FillOutcome::Counted { qty, change, .. } = oms.on_fill(&fill(id, 1, 2), &instrument())
        else {
            panic!("not counted")
        };
        assert_eq!(
            (qty, change.unwrap().order.state),
            (Qty(2), OrderState::PartiallyFilled)
        );
        assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(3));
        oms.on_fill(&fill(id, 2, 3), &instrument());
        assert_eq!((state(&oms, id), oms.live_count()), (OrderState::Filled, 0));
        assert_eq!(oms.exposure(InstrumentId(0)), Exposure::default());
    }

    #[test]
    fn a_fill_told_three_times_counts_once() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Buy, 100, 5);
        oms.on_sent(id, UnixNanos(2));
        oms.on_fill(&fill(id, 1, 2), &instrument());
        // Told again by a query that names the venue's id only.
        let again = FillReport {
            client_id: None,
            ..fill(id, 1, 2)
        };
        assert_eq!(oms.on_fill(&again, &instrument()), FillOutcome::Duplicate);
        assert_eq!(
            oms.on_fill(&fill(id, 1, 2), &instrument()),
            FillOutcome::Duplicate
        );
        assert_eq!(
            (oms.get(id).unwrap().filled, oms.tally().duplicate_fills),
            (Qty(2), 2)
        );
    }

    #[test]
    fn the_stream_may_come_before_the_reply() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Buy, 100, 5);
        oms.on_sent(id, UnixNanos(2));
        oms.on_fill(&fill(id, 1, 5), &instrument());
        assert_eq!(
            oms.on_report(&report(id, OrderState::Ack, 0), &instrument()),
            None
        );
        assert_eq!(
            (state(&oms, id), oms.tally().illegal),
            (OrderState::Filled, 0)
        );
    }

    #[test]
    fn a_fill_that_crossed_the_cancel_is_true() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Buy, 100, 5);
        oms.on_sent(id, UnixNanos(2));
        oms.on_report(&report(id, OrderState::Cancelled, 0), &instrument());
        let FillOutcome::Counted { order, .. } = oms.on_fill(&fill(id, 1, 2), &instrument()) else {
            panic!("not counted")
        };
        assert_eq!((order.state, order.filled), (OrderState::Cancelled, Qty(2)));
        assert_eq!(oms.tally().late_fills, 1);
    }

    #[test]
    fn no_answer_is_unknown_and_still_counts_as_working() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Sell, 100, 5);
        oms.on_sent(id, UnixNanos(0));
        let mut changes = Vec::new();
        oms.on_timeout(UnixNanos(ANSWER_NS_MAX + 1), &mut |change| {
            changes.push(change)
        });
        assert_eq!(changes.len(), 1);
        assert_eq!(state(&oms, id), OrderState::Unknown);
        assert_eq!(oms.exposure(InstrumentId(0)).sell, Qty(5));
        assert_eq!(oms.unknown(VENUE).len(), 1);
        oms.on_report(&report(id, OrderState::Rejected, 0), &instrument());
        assert_eq!(
            (state(&oms, id), oms.live_count()),
            (OrderState::Rejected, 0)
        );
    }

    #[test]
    fn a_cancel_the_venue_does_not_know_is_asked_about() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Buy, 100, 5);
        oms.on_sent(id, UnixNanos(1));
        oms.on_report(&report(id, OrderState::Ack, 0), &instrument());
        oms.on_cancel_sent(id, UnixNanos(2));
        let ask = oms.on_answer(id, OrderId(0), RejectReason::UnknownOrder);
        assert_eq!(ask.map(|order| order.client_id), Some(id));
        assert_eq!(state(&oms, id), OrderState::Ack, "never guessed");
    }

    #[test]
    fn reconciliation_asks_about_what_was_not_named() {
        let mut oms = oms();
        let ids: Vec<_> = (0..3)
            .map(|at| place(&mut oms, Side::Buy, 100 + at, 5))
            .collect();
        for id in &ids {
            oms.on_sent(*id, UnixNanos(1));
        }
        oms.begin_reconcile(VENUE);
        oms.on_report(&report(ids[1], OrderState::Ack, 0), &instrument());
        let asked: Vec<_> = oms
            .end_reconcile(VENUE)
            .iter()
            .map(|order| order.client_id)
            .collect();
        assert_eq!(asked, [ids[0], ids[2]]);
    }

    #[test]
    fn recovered_orders_without_an_answer_are_unknown() {
        let mut oms = oms();
        let id = place(&mut oms, Side::Buy, 100, 5);
        let live = oms.get(id).unwrap().live();
        let mut heir = Oms::new(Epoch(2), LaneId(0), 1);
        heir.adopt(&Recovered {
            live,
            venue: VENUE,
            strategy: StrategyId(0),
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            qty: Qty(5),
        });
        assert_eq!(state(&heir, id), OrderState::Unknown);
        assert_ne!(heir.next_id().unwrap(), id, "another epoch, another id");
    }

    #[test]
    fn a_full_table_refuses() {
        let mut oms = oms();
        for _ in 0..LIVE_ORDERS_MAX {
            place(&mut oms, Side::Buy, 1, 1);
        }
        let client_id = oms.next_id().unwrap();
        let order = NewOrder {
            instrument: InstrumentId(0),
            client_id,
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            price: Price(1),
            qty: Qty(1),
        };
        assert_eq!(
            oms.admit(&order, VENUE, StrategyId(0), UnixNanos(1)),
            Err(OmsFault::Full)
        );
    }

    proptest! {
        /// Whatever comes in whatever order: fills add up, cum never falls, live counts agree.
        #[test]
        fn evidence_in_any_order_keeps_the_books(
            steps in proptest::collection::vec((0u8..8, 0usize..4, 0u128..6, 1i64..4), 0..120)
        ) {
            let mut oms = oms();
            let ids: Vec<_> = (0..4).map(|at| place(&mut oms, Side::Buy, 100 + at, 5)).collect();
            let mut counted = std::collections::BTreeSet::new();
            let mut sums = [0i64; 4];
            for (kind, at, trade, qty) in steps {
                let id = ids[at];
                let before = oms.get(id).copied().unwrap();
                match kind {
                    0 => drop(oms.on_sent(id, UnixNanos(1))),
                    1..=4 => {
                        let to = [OrderState::Ack, OrderState::Cancelled, OrderState::Rejected, OrderState::Expired];
                        oms.on_report(&report(id, to[usize::from(kind) - 1], before.cum.0), &instrument());
                    }
                    5 => oms.on_cancel_sent(id, UnixNanos(2)),
                    _ => {
                        let outcome = oms.on_fill(&fill(id, trade, qty), &instrument());
                        let is_new = counted.insert((at, trade));
                        prop_assert_eq!(matches!(outcome, FillOutcome::Counted { .. }), is_new);
                        sums[at] += if is_new { qty } else { 0 };
                    }
                }
                let after = oms.get(id).copied().unwrap();
                prop_assert!(after.cum >= before.cum);
                prop_assert_eq!(after.filled, Qty(sums[at]));
                let live = ids.iter().filter(|id| !oms.get(**id).unwrap().state.is_final()).count();
                prop_assert_eq!(oms.live_count(), live);
                prop_assert_eq!(oms.all_live().count(), live);
                let working: i64 = oms.all_live().map(|order| order.leaves().0).sum();
                prop_assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(working));
            }
        }
    }
}
