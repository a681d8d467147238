//! An execution in three parts, since venues tell any two of them in one message: whose it is, what traded, how
//! the order stands.

use dp_types::{
    AssetId, ClientOrderId, Decimal, FillReport, InstrumentId, Liquidity, OrderId, OrderReport,
    OrderState, RejectReason, Side, TradeId, VenueNanos,
};

/// Whose it is, and how much of it is filled.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Our id; none for an order that is not ours.
    pub client_id: Option<ClientOrderId>,
    /// The venue's id; not 0.
    pub order_id: OrderId,
    /// Its side.
    pub side: Side,
    /// Filled in all, in the base asset.
    pub cum: Option<Decimal>,
}

/// What traded.
#[derive(Debug, Clone, Copy)]
pub struct Trade {
    /// The venue's id.
    pub id: TradeId,
    /// In the quote asset.
    pub price: Decimal,
    /// In the base asset.
    pub qty: Decimal,
    /// A charge is positive.
    pub fee: Decimal,
    /// What the fee is in.
    pub fee_asset: AssetId,
    /// Which side of the book ours was.
    pub liquidity: Liquidity,
    /// The venue's time.
    pub venue_ns: VenueNanos,
}

/// How the order stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// What the message is evidence for.
    pub state: OrderState,
    /// Why it ended so.
    pub reason: RejectReason,
    /// Limit price, if told.
    pub price: Option<Decimal>,
    /// Quantity, if told.
    pub qty: Option<Decimal>,
    /// The venue's time.
    pub venue_ns: VenueNanos,
}

impl Named {
    /// The fill this trade is.
    pub const fn fill(&self, trade: &Trade) -> FillReport {
        FillReport {
            instrument: self.instrument,
            client_id: self.client_id,
            order_id: self.order_id,
            trade_id: trade.id,
            side: self.side,
            price: trade.price,
            qty: trade.qty,
            cum: self.cum,
            fee: trade.fee,
            fee_asset: trade.fee_asset,
            liquidity: trade.liquidity,
            venue_ns: trade.venue_ns,
        }
    }

    /// The report of this standing.
    pub const fn report(&self, standing: &Standing) -> OrderReport {
        OrderReport {
            instrument: self.instrument,
            client_id: self.client_id,
            order_id: self.order_id,
            side: Some(self.side),
            state: standing.state,
            reason: standing.reason,
            price: standing.price,
            qty: standing.qty,
            cum: self.cum,
            venue_ns: standing.venue_ns,
        }
    }
}
