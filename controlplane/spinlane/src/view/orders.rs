//! `spinlane orders`: the fold of the journal rings, ended orders included as far back as they reach.

use super::instrument;
use crate::names;
use crate::table::Table;
use dp_journal::entry::{Checkpoint, Entry, OrderIntent, OrderUpdate};
use dp_journal::{ReadItem, Reader, Record};
use dp_shm::Region;
use dp_types::{
    ClientOrderId, InstrumentId, OrderId, OrderKind, OrderState, Price, Qty, RejectReason, Side,
    VenueId,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Orders of a node.
#[derive(Debug, Clone, Serialize)]
pub struct Orders {
    /// `done`.
    pub outcome: &'static str,
    /// `shm` or `database`.
    pub source: &'static str,
    /// By client order id.
    pub orders: Vec<Order>,
}

/// One order. Numbers are exact decimal texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Our id.
    pub client_order_id: u64,
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Side, where known.
    pub side: Option<String>,
    /// Kind, where known.
    pub kind: Option<String>,
    /// Limit price.
    pub price: Option<String>,
    /// Quantity.
    pub qty: Option<String>,
    /// Where it stands.
    pub state: String,
    /// Done so far.
    pub cum_qty: String,
    /// The venue's id.
    pub order_id: Option<String>,
    /// Why it was refused.
    pub reject_reason: Option<String>,
}

impl From<cp_store::OrderView> for Order {
    fn from(row: cp_store::OrderView) -> Self {
        Self {
            client_order_id: row.client_order_id.cast_unsigned(),
            venue: row.venue,
            symbol: row.symbol,
            side: row.side,
            kind: row.kind,
            price: row.price,
            qty: row.qty,
            state: row.state,
            cum_qty: row.cum_qty,
            order_id: row.order_id,
            reject_reason: row.reject_reason,
        }
    }
}

impl Orders {
    /// Folds every lane's ring. `all`: ended ones too; at most `limit`, the newest.
    pub fn read(region: &Region, all: bool, limit: usize) -> Self {
        let mut folded: BTreeMap<ClientOrderId, Folded> = BTreeMap::new();
        for view in region.lanes() {
            let reader = Reader::from_oldest(view.journal);
            // Bounded: a running lane writes while we read.
            let items_max = usize::try_from(reader.capacity())
                .unwrap_or(usize::MAX)
                .saturating_mul(2);
            for item in reader.take(items_max) {
                if let ReadItem::Record(record) = item {
                    fold(&mut folded, &record);
                }
            }
        }
        let orders = folded
            .values()
            .filter(|order| all || !order.state.is_final());
        let mut orders: Vec<Order> = orders.map(|order| order.view(region)).collect();
        orders.drain(..orders.len().saturating_sub(limit));
        Self {
            outcome: "done",
            source: "shm",
            orders,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&[
            ">id", "venue", "symbol", "side", ">price", ">qty", ">done", "state", "reason",
        ]);
        for order in &self.orders {
            let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            table.row([
                order.client_order_id.to_string(),
                order.venue.clone(),
                order.symbol.clone(),
                cell(&order.side),
                cell(&order.price),
                cell(&order.qty),
                order.cum_qty.clone(),
                order.state.clone(),
                order.reject_reason.clone().unwrap_or_default(),
            ]);
        }
        if table.is_empty() {
            "no orders".to_owned()
        } else {
            table.render()
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Folded {
    client_id: ClientOrderId,
    order_id: OrderId,
    instrument: InstrumentId,
    venue: VenueId,
    side: Option<(Side, OrderKind)>,
    state: OrderState,
    price: Price,
    qty: Qty,
    cum_qty: Qty,
    reason: RejectReason,
}

fn fold(orders: &mut BTreeMap<ClientOrderId, Folded>, record: &Record) {
    match &record.entry {
        Entry::OrderIntent(e) => {
            orders
                .entry(e.client_id)
                .or_insert_with(|| Folded::of_intent(e));
        }
        Entry::Checkpoint(e) => {
            orders.insert(e.order.client_id, Folded::of_checkpoint(e));
        }
        Entry::OrderUpdate(e) => {
            let order = orders
                .entry(e.client_id)
                .or_insert_with(|| Folded::of_update(e));
            order.update(e);
        }
        _ => {}
    }
}

impl Folded {
    fn of_intent(e: &OrderIntent) -> Self {
        Self {
            client_id: e.client_id,
            order_id: OrderId(0),
            instrument: e.instrument,
            venue: e.venue,
            side: Some((e.side, e.kind)),
            state: OrderState::Pending,
            price: e.price,
            qty: e.qty,
            cum_qty: Qty(0),
            reason: RejectReason::None,
        }
    }

    fn of_checkpoint(e: &Checkpoint) -> Self {
        Self {
            client_id: e.order.client_id,
            order_id: e.order.order_id,
            instrument: e.order.instrument,
            venue: e.venue,
            side: Some((e.order.side, e.kind)),
            state: e.order.state,
            price: e.order.price,
            qty: e.qty,
            cum_qty: Qty(e.qty.0.saturating_sub(e.order.leaves.0)),
            reason: RejectReason::None,
        }
    }

    /// An order whose intent has left the ring.
    fn of_update(e: &OrderUpdate) -> Self {
        Self {
            client_id: e.client_id,
            order_id: e.order_id,
            instrument: e.instrument,
            venue: e.venue,
            side: None,
            state: e.state,
            price: e.price,
            qty: e.qty,
            cum_qty: e.cum_qty,
            reason: RejectReason::None,
        }
    }

    fn update(&mut self, e: &OrderUpdate) {
        self.state = e.state;
        self.cum_qty = self.cum_qty.max(e.cum_qty);
        if e.order_id.0 != 0 {
            self.order_id = e.order_id;
        }
        if e.price.0 != 0 {
            self.price = e.price;
        }
        if e.qty.0 != 0 {
            self.qty = e.qty;
        }
        if e.state.is_final() {
            self.reason = e.reason;
        }
    }

    fn view(&self, region: &Region) -> Order {
        let it = instrument(region, self.venue, self.instrument);
        let price = it.price_decimal(self.price);
        let qty = it.qty_decimal(self.qty);
        Order {
            client_order_id: self.client_id.0,
            venue: self.venue.name().to_owned(),
            symbol: it.symbol.as_str().to_owned(),
            side: self.side.map(|(side, _)| side.name().to_owned()),
            kind: self.side.map(|(_, kind)| kind.name().to_owned()),
            price: (self.price.0 != 0).then(|| names::trim(&price.to_string())),
            qty: (self.qty.0 != 0).then(|| names::trim(&qty.to_string())),
            state: self.state.name().to_owned(),
            cum_qty: names::trim(&it.qty_decimal(self.cum_qty).to_string()),
            order_id: (self.order_id.0 != 0).then(|| {
                names::order_id(self.venue, self.order_id)
                    .as_str()
                    .to_owned()
            }),
            reject_reason: (self.reason != RejectReason::None)
                .then(|| self.reason.name().to_owned()),
        }
    }
}
