//! A strategy that does what a case wishes and remembers what it heard.

use dp_strategy::{Intent, Intents, Strategy, View};
use dp_types::{
    ClientOrderId, FillReport, LiveOrder, OrderState, Qty, QuoteMsg, TradeId, TradeMsg,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// What a case wishes, and what came of it.
#[derive(Debug, Default)]
pub struct Script {
    /// Wishes not uttered yet.
    pub wishes: VecDeque<Intent>,
    /// The last word on each order.
    pub orders: BTreeMap<ClientOrderId, (LiveOrder, OrderState)>,
    /// Every fill heard, once each.
    pub fills: Vec<(Option<ClientOrderId>, TradeId)>,
    /// Public trades heard.
    pub trades: u64,
    /// Best quotes heard.
    pub quotes: u64,
    /// Book changes heard.
    pub books: u64,
    /// Changes of single orders heard.
    pub queues: u64,
    /// The position as last shown.
    pub position: Qty,
    /// Whether the gate would look at an order, as last shown.
    pub can_trade: bool,
}

/// The script of a lane and its case.
pub type Shared = Arc<Mutex<Script>>;

/// The strategy.
pub struct Actor(pub Shared);

impl Actor {
    fn play(&self, view: &View<'_>, out: &mut Intents, hear: impl FnOnce(&mut Script)) {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hear(&mut script);
        script.position = view.position;
        script.can_trade = view.can_trade;
        while out.len() < dp_strategy::INTENTS_MAX {
            let Some(wish) = script.wishes.pop_front() else {
                break;
            };
            out.push(wish);
        }
    }
}

impl Strategy for Actor {
    fn name(&self) -> &'static str {
        "script"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.play(view, out, |script| script.books += 1);
    }

    fn on_orders(&mut self, view: &View<'_>, out: &mut Intents) {
        self.play(view, out, |script| script.queues += 1);
    }

    fn on_trade(&mut self, view: &View<'_>, _: &TradeMsg, out: &mut Intents) {
        self.play(view, out, |script| script.trades += 1);
    }

    fn on_quote(&mut self, view: &View<'_>, _: &QuoteMsg, out: &mut Intents) {
        self.play(view, out, |script| script.quotes += 1);
    }

    fn on_fill(&mut self, view: &View<'_>, fill: &FillReport, out: &mut Intents) {
        self.play(view, out, |script| {
            script.fills.push((fill.client_id, fill.trade_id));
        });
    }

    fn on_order(
        &mut self,
        view: &View<'_>,
        order: &LiveOrder,
        state: OrderState,
        out: &mut Intents,
    ) {
        self.play(view, out, |script| {
            script.orders.insert(order.client_id, (*order, state));
        });
    }

    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        self.play(view, out, |_| ());
    }
}
