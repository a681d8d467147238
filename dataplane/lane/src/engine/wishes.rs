//! From a strategy's wish to an action: the one way out, through gate, OMS and journal, in this order.

use super::{Action, AnyOrders, Engine, REFUSAL_NS, Seat};
use dp_book::State;
use dp_journal::entry::{AmendIntent, CancelIntent, OrderIntent, Risk};
use dp_journal::{Durability, Entry};
use dp_oms::Order;
use dp_risk::{BookState as RiskBook, Context, Gate, Refusal, Resting};
use dp_shm::{Counter, Stage};
use dp_strategy::{Intent, Intents, Strategy, View};
use dp_transport::tsc;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, InstrumentId, NewOrder, Now, Price, Qty, RejectReason,
    StrategyId, VenueId,
};

impl Engine<'_> {
    pub(super) fn mark(&self, id: InstrumentId) -> Option<Price> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        slot.keeper
            .book()
            .mid_doubled()
            .map(|doubled| Price(doubled / 2))
    }

    /// Calls every strategy of an instrument.
    #[inline]
    pub(super) fn call(
        &mut self,
        id: InstrumentId,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        for at in 0..self.seats.len() {
            if self.seats.get(at).is_some_and(|seat| seat.instrument == id) {
                self.call_seat(at, now, &speak);
            }
        }
    }

    /// Calls the strategy an order belongs to.
    pub(super) fn call_one(
        &mut self,
        strategy: StrategyId,
        id: InstrumentId,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        let is_it = |seat: &Seat| seat.id == strategy && seat.instrument == id;
        if let Some(at) = self.seats.iter().position(is_it) {
            self.call_seat(at, now, speak);
        }
    }

    pub(super) fn call_seat(
        &mut self,
        at: usize,
        now: Now,
        speak: impl Fn(&mut dyn Strategy, &View<'_>, &mut Intents),
    ) {
        let start = tsc();
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let id = seat.instrument;
        let (Some(instrument), Some(Some(slot))) = (
            self.instruments.get(id.0 as usize),
            self.books.get(id.0 as usize),
        ) else {
            return;
        };
        if !seat.is_running {
            return;
        }
        let is_reconciled = self
            .venues
            .iter()
            .any(|state| state.venue == instrument.venue && state.is_reconciled);
        let proof = slot.keeper.proof();
        let age_max = self.gate.node_limits().book_age_ns_max;
        let can_trade = !self.is_paused
            && self.wall.has_room()
            && !self.is_stopping
            && proof.state == State::Synced
            && now.unix.since(proof.at) <= age_max
            && self.gate.check_authority(is_reconciled, now.unix).is_ok();
        self.oms.live_of(seat.id, id, &mut self.live);
        let position = self.positions.get(id);
        let view = View {
            now,
            instrument,
            book: slot.keeper.book(),
            orders: slot.orders.as_deref().map(AnyOrders::view),
            position: position.held(),
            cost: position.cost,
            live: &self.live,
            can_trade,
        };
        self.intents.clear();
        speak(seat.strategy.as_mut(), &view, &mut self.intents);
        self.wall.stamp(Stage::Strategy, start);
        for wish in 0..self.intents.len() {
            if let Some(intent) = self.intents.get(wish) {
                self.on_intent(at, intent, now);
            }
        }
    }

    fn on_intent(&mut self, at: usize, intent: Intent, now: Now) {
        let Some(seat) = self.seats.get(at) else {
            return;
        };
        let (id, instrument) = (seat.id, seat.instrument);
        match intent {
            Intent::New {
                side,
                kind,
                tif,
                price,
                qty,
            } => {
                // The one id a wish can get; it is used up only when the order is admitted.
                let Ok(client_id) = self.oms.next_id() else {
                    return;
                };
                let order = NewOrder {
                    instrument,
                    client_id,
                    side,
                    kind,
                    tif,
                    price,
                    qty,
                };
                self.place(at, id, &order, now);
            }
            Intent::Cancel { client_id } => {
                if let Some(order) = self.own(client_id, id) {
                    self.cancel(&order.named(), now);
                }
            }
            Intent::Amend {
                client_id,
                price,
                qty,
            } => {
                if let Some(order) = self.own(client_id, id) {
                    self.amend(at, &order, price, qty, now);
                }
            }
        }
    }

    /// A live order of this strategy.
    fn own(&self, client_id: ClientOrderId, strategy: StrategyId) -> Option<Order> {
        let order = self.oms.get(client_id)?;
        (order.strategy == strategy && !order.state.is_final()).then_some(*order)
    }

    fn place(&mut self, at: usize, strategy: StrategyId, order: &NewOrder, now: Now) {
        let start = tsc();
        let Some(instrument) = self.instrument(order.instrument) else {
            return;
        };
        let cleared = self.check(order.instrument, |gate, context| {
            gate.check_new(order, context, now.unix)
        });
        let checked = self.wall.stamp(Stage::Risk, start);
        // Before the order gets a place: one that is given up again would push a real one's memory out.
        let may_wish = !self.is_paused && !self.is_stopping && self.wall.has_room();
        let cleared = match cleared {
            Some(Ok(cleared)) if may_wish => cleared,
            Some(Err(refusal)) => {
                self.on_refusal(at, strategy, order.instrument, refusal, now);
                return;
            }
            _ => return,
        };
        if self
            .oms
            .admit(&cleared, instrument.venue, strategy, now.unix)
            .is_err()
        {
            return;
        }
        let admitted = self.wall.stamp(Stage::Oms, checked);
        let entry = Entry::OrderIntent(OrderIntent {
            client_id: order.client_id,
            instrument: order.instrument,
            venue: instrument.venue,
            strategy,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            price: order.price,
            qty: order.qty,
            level: Durability::Published,
        });
        let is_published = self.wall.wish(now.unix, &entry);
        self.wall.stamp(Stage::Journal, admitted);
        if is_published {
            self.act(Action::New(cleared));
        } else {
            // Never sent: nothing to journal, and the id is not used again.
            self.oms.on_not_sent(order.client_id, RejectReason::Other);
        }
    }

    pub(super) fn cancel(&mut self, order: &CancelOrder, now: Now) {
        let venue = self
            .instrument(order.instrument)
            .map_or(VenueId(0), |it| it.venue);
        let entry = Entry::CancelIntent(CancelIntent {
            client_id: order.client_id,
            instrument: order.instrument,
            venue,
            order_id: order.order_id,
        });
        self.wall.fact(now.unix, &entry);
        let cleared = self.gate.clear_cancel(*order);
        self.act(Action::Cancel(cleared));
    }

    fn amend(
        &mut self,
        at: usize,
        order: &Order,
        price: Option<Price>,
        qty: Option<Qty>,
        now: Now,
    ) {
        let amend = AmendOrder {
            instrument: order.instrument,
            client_id: order.client_id,
            order_id: order.order_id,
            price,
            qty,
        };
        let resting = Resting {
            side: order.side,
            kind: order.kind,
            price: order.price,
            qty: order.qty,
        };
        let cleared = self.check(order.instrument, |gate, context| {
            gate.check_amend(&amend, &resting, context, now.unix)
        });
        match cleared {
            Some(Ok(cleared)) => {
                let entry = Entry::AmendIntent(AmendIntent {
                    client_id: order.client_id,
                    instrument: order.instrument,
                    venue: order.venue,
                    order_id: order.order_id,
                    price,
                    qty,
                });
                if self.wall.wish(now.unix, &entry) {
                    // From here on the larger of both quantities may be filled.
                    self.oms.on_amend_asked(&amend);
                    self.act(Action::Amend(cleared));
                }
            }
            Some(Err(refusal)) => {
                self.on_refusal(at, order.strategy, order.instrument, refusal, now);
            }
            None => {}
        }
    }

    /// Runs a check of the gate with the context of an instrument.
    fn check<T>(
        &mut self,
        id: InstrumentId,
        check: impl FnOnce(&mut Gate, &Context<'_>) -> Result<T, Refusal>,
    ) -> Option<Result<T, Refusal>> {
        let at = id.0 as usize;
        let instrument = self.instruments.get(at)?;
        let slot = self.books.get(at)?.as_ref()?;
        let proof = slot.keeper.proof();
        let (bid, ask) = (slot.keeper.book().best_bid(), slot.keeper.book().best_ask());
        let exposure = self.oms.exposure(id);
        let is_reconciled = self
            .venues
            .iter()
            .any(|state| state.venue == instrument.venue && state.is_reconciled);
        let context = Context {
            instrument,
            book: RiskBook {
                is_proven: proof.state == State::Synced,
                updated: proof.at,
                bid: bid.map(|level| level.price),
                ask: ask.map(|level| level.price),
            },
            position: self.positions.get(id).held(),
            working_buy: exposure.buy,
            working_sell: exposure.sell,
            own_bid: exposure.own_bid,
            own_ask: exposure.own_ask,
            is_reconciled,
        };
        Some(check(&mut self.gate, &context))
    }

    /// A refusal is counted always and journaled once a second and kind: a strategy that keeps asking
    /// must not fill the journal.
    fn on_refusal(
        &mut self,
        at: usize,
        strategy: StrategyId,
        instrument: InstrumentId,
        refusal: Refusal,
        now: Now,
    ) {
        self.wall.count(Counter::RiskRefusals);
        let venue = self
            .instrument(instrument)
            .map_or(VenueId(0), |it| it.venue);
        let Some(seat) = self.seats.get_mut(at) else {
            return;
        };
        let (code, last) = seat.refused;
        if code == refusal.code() && now.unix.since(last) < REFUSAL_NS {
            return;
        }
        seat.refused = (refusal.code(), now.unix);
        let (observed, limit) = refusal.numbers();
        let entry = Entry::Risk(Risk {
            rule: refusal.code(),
            client_id: None,
            instrument,
            venue,
            strategy,
            observed,
            limit,
        });
        self.wall.wish(now.unix, &entry);
    }
}
