//! One order and what can be said to have happened to it.

use dp_types::{
    CancelOrder, ClientOrderId, InstrumentId, LiveOrder, NewOrder, OrderId, OrderKind, OrderState,
    Price, Qty, RejectReason, Side, StrategyId, Tif, UnixNanos, VenueId, VenueNanos,
};

/// All we know of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// On whose wish.
    pub strategy: StrategyId,
    /// Side.
    pub side: Side,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Where it stands.
    pub state: OrderState,
    /// Limit price, increments.
    pub price: Price,
    /// Total quantity, increments.
    pub qty: Qty,
    /// Done: the larger of what reports say and what fills add up to.
    pub cum: Qty,
    /// What the counted fills add up to.
    pub filled: Qty,
    /// A cancel was written and not answered.
    pub is_cancelling: bool,
    /// An amend was written and not answered.
    pub is_amending: bool,
    /// Price an amend in flight asks for; else the price.
    pub asked_price: Price,
    /// Total quantity an amend in flight asks for; else the quantity.
    pub asked_qty: Qty,
    /// When the oldest request about it without an answer was written; the latest one when all are answered.
    pub sent_at: UnixNanos,
    /// When the new order was written: until its window has passed, the venue may still take it.
    pub placed_at: UnixNanos,
    /// How often the venue said, after that window, that it knows no such order.
    pub absences: u8,
    /// Final because the venue does not know it, not because it said so.
    pub is_inferred: bool,
    /// Its venue has named it, or told a fill, since reconciliation began, or it is younger than that.
    pub is_seen: bool,
}

impl Order {
    /// What is left of it (FIX 151), never negative.
    pub const fn leaves(&self) -> Qty {
        let left = self.qty.0.saturating_sub(self.cum.0);
        Qty(if left < 0 { 0 } else { left })
    }

    /// The most that the position may still move by: an amend in flight may or may not have been done, and
    /// what is done may not have been counted yet. Of a final order only the latter.
    pub const fn leaves_worst(&self) -> Qty {
        let most = if self.state.is_final() {
            self.cum.0
        } else if self.asked_qty.0 > self.qty.0 {
            self.asked_qty.0
        } else {
            self.qty.0
        };
        let left = most.saturating_sub(self.filled.0);
        Qty(if left < 0 { 0 } else { left })
    }

    /// Whether every fill the venue counts was counted here.
    pub const fn is_settled(&self) -> bool {
        self.filled.0 >= self.cum.0
    }

    /// Whether a request about it was written and not answered.
    pub const fn is_waiting(&self) -> bool {
        let is_new = matches!(self.state, OrderState::New | OrderState::Pending);
        is_new || self.is_cancelling || self.is_amending
    }

    /// As strategies and recovery see it.
    pub const fn live(&self) -> LiveOrder {
        LiveOrder {
            instrument: self.instrument,
            client_id: self.client_id,
            order_id: self.order_id,
            side: self.side,
            state: self.state,
            price: self.price,
            leaves: self.leaves(),
            is_cancelling: self.is_cancelling,
            is_amending: self.is_amending,
        }
    }

    /// It was over before the reconciliation under way began, and was not heard of since.
    pub const fn is_past(&self) -> bool {
        self.state.is_final() && !self.is_seen
    }

    /// As a cancel or a query names it.
    pub const fn named(&self) -> CancelOrder {
        CancelOrder {
            instrument: self.instrument,
            client_id: self.client_id,
            order_id: self.order_id,
        }
    }

    pub(crate) const fn new(
        order: &NewOrder,
        venue: VenueId,
        strategy: StrategyId,
        now: UnixNanos,
    ) -> Self {
        Self {
            client_id: order.client_id,
            order_id: OrderId(0),
            instrument: order.instrument,
            venue,
            strategy,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            state: OrderState::New,
            price: order.price,
            qty: order.qty,
            cum: Qty(0),
            filled: Qty(0),
            is_cancelling: false,
            is_amending: false,
            asked_price: order.price,
            asked_qty: order.qty,
            sent_at: now,
            placed_at: now,
            absences: 0,
            is_inferred: false,
            is_seen: true,
        }
    }
}

/// An order found in the journal at a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// As the journal left it.
    pub live: LiveOrder,
    /// Where.
    pub venue: VenueId,
    /// On whose wish.
    pub strategy: StrategyId,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Total quantity, increments.
    pub qty: Qty,
    /// What the counted fills add up to, increments.
    pub filled: Qty,
    /// When the journal last spoke of it: the venue had it then at the latest.
    pub at: UnixNanos,
}

/// An order stands elsewhere than before: what the lane journals and tells the strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The order after the change.
    pub order: Order,
    /// Where it stood.
    pub from: OrderState,
    /// Why, when refused.
    pub reason: RejectReason,
    /// The venue's code, 0 = none.
    pub code: i32,
    /// Venue time, 0 = none.
    pub venue_ns: VenueNanos,
}
