//! From a strategy's wish to an action: the one way out, through gate, OMS and journal, in this order.

use super::{ACTIONS_MAX, Action, BookSlot, Engine, REFUSAL_NS, VenueState};
use dp_book::State;
use dp_journal::entry::{AmendIntent, CancelIntent, OrderIntent, Risk};
use dp_journal::{Durability, Entry};
use dp_oms::{Ledger, Oms, Order};
use dp_risk::{BookState as RiskBook, Cleared, Context, Gate, Refusal, Resting};
use dp_shm::{Counter, Stage};
use dp_strategy::{Intent, Wish};
use dp_transport::tsc;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Instrument, InstrumentId, NewOrder, Now, Price, Qty,
    RejectReason, StrategyId, Tsc, VenueId,
};

impl Engine<'_> {
    pub(super) fn mark(&self, id: InstrumentId) -> Option<Price> {
        let slot = self.books.get(id.0 as usize)?.as_ref()?;
        slot.keeper
            .book()
            .mid_doubled()
            .map(|doubled| Price(doubled / 2))
    }

    pub(super) fn on_intent(&mut self, at: usize, leg: usize, intent: Intent, now: Now) {
        let Some(id) = self.seats.get(at).map(|seat| seat.id) else {
            return;
        };
        match intent {
            Intent::New(wish) => {
                // The one id a wish can get; it is used up only when the order is admitted.
                if let Some(order) = self.order_of(at, leg, &wish, 0) {
                    self.place(at, id, &order, now);
                }
            }
            Intent::Pair(one, two) => {
                let one = self.order_of(at, leg, &one, 0);
                let two = self.order_of(at, leg, &two, 1);
                if let (Some(one), Some(two)) = (one, two) {
                    self.place_pair(at, id, (&one, &two), now);
                }
            }
            Intent::Cancel { client_id } => {
                // One that is under way is answered or found lost; asking again meanwhile would be a storm.
                if let Some(order) = self.own(client_id, id).filter(|it| !it.is_cancelling) {
                    self.cancel(&order.named(), now);
                }
            }
            Intent::Amend {
                client_id,
                price,
                qty,
            } => {
                // One at a time: of two under way nobody could say how much may be filled.
                let order = self.own(client_id, id);
                if let Some(order) = order.filter(|it| !it.is_cancelling && !it.is_amending)
                    && !self.is_amend_waiting(client_id)
                    && self.may_wish()
                {
                    self.amend(at, &order, price, qty, now);
                }
            }
        }
    }

    /// The order a wish is for; `before`: orders of the same wish that get their ids first.
    fn order_of(&self, at: usize, leg: usize, wish: &Wish, before: u32) -> Option<NewOrder> {
        let leg = wish.leg.map_or(leg, usize::from);
        Some(NewOrder {
            instrument: *self.seats.get(at)?.legs.get(leg)?,
            client_id: self.oms.id_after(before).ok()?,
            side: wish.side,
            kind: wish.kind,
            tif: wish.tif,
            price: wish.price,
            qty: wish.qty,
        })
    }

    /// A live order of this strategy.
    fn own(&self, client_id: ClientOrderId, strategy: StrategyId) -> Option<Order> {
        let order = self.oms.get(client_id)?;
        (order.strategy == strategy && !order.state.is_final()).then_some(*order)
    }

    /// An amend of it was asked for within this event and has not left.
    fn is_amend_waiting(&self, client_id: ClientOrderId) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|it| matches!(it, Action::Amend(amend) if amend.client_id == client_id))
    }

    /// Whether a wish may be carried out at all, whatever the gate says of it: of up to two orders.
    fn may_wish(&mut self) -> bool {
        let is_heard = self.actions.len() + 2 <= ACTIONS_MAX && self.oms.has_room(2);
        is_heard && !self.is_paused && !self.is_stopping && self.wall.has_room()
    }

    fn place(&mut self, at: usize, strategy: StrategyId, order: &NewOrder, now: Now) {
        let start = tsc();
        let cleared = self.check(order.instrument, |gate, context| {
            gate.check_new(order, context, now.unix)
        });
        let checked = self.wall.stamp(Stage::Risk, start);
        match cleared {
            // Before the order gets a place: one that is given up again would push a real one's memory out.
            Some(Ok(cleared)) if self.may_wish() => self.enter(cleared, strategy, checked, now),
            Some(Err(refusal)) => {
                self.on_refusal(at, strategy, order.instrument, refusal, now);
            }
            _ => {}
        }
    }

    /// Both or neither: both pass the gate before either has a place.
    fn place_pair(
        &mut self,
        at: usize,
        strategy: StrategyId,
        (one, two): (&NewOrder, &NewOrder),
        now: Now,
    ) {
        let start = tsc();
        let both = {
            let Self {
                instruments,
                books,
                ledger,
                venues,
                oms,
                gate,
                ..
            } = self;
            let mut context =
                |id: InstrumentId| context_of((instruments, books), (ledger, venues, oms), id);
            let (Some(first), Some(second)) = (context(one.instrument), context(two.instrument))
            else {
                return;
            };
            gate.check_pair((one, &first), (two, &second), now.unix)
        };
        let checked = self.wall.stamp(Stage::Risk, start);
        match both {
            Ok((first, second)) if self.may_wish() => {
                self.enter(first, strategy, checked, now);
                self.enter(second, strategy, tsc(), now);
            }
            Err((which, refusal)) => {
                let instrument = if which == 0 {
                    one.instrument
                } else {
                    two.instrument
                };
                self.on_refusal(at, strategy, instrument, refusal, now);
            }
            Ok(_) => {}
        }
    }

    /// A cleared order gets its place, its intent is journaled, and it may leave.
    fn enter(&mut self, cleared: Cleared<NewOrder>, strategy: StrategyId, checked: Tsc, now: Now) {
        let order = *cleared;
        let Some(venue) = self.place_of(order.instrument) else {
            return;
        };
        if self.oms.admit(&cleared, venue, strategy, now.unix).is_err() {
            return;
        }
        let admitted = self.wall.stamp(Stage::Oms, checked);
        let entry = Entry::OrderIntent(OrderIntent {
            client_id: order.client_id,
            instrument: order.instrument,
            venue,
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
        let venue = self.place_of(order.instrument).unwrap_or(VenueId(0));
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
        let markets = (self.instruments.as_slice(), self.books.as_slice());
        let context = context_of(
            markets,
            (&self.ledger, self.venues.as_slice(), &mut self.oms),
            id,
        )?;
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
        self.wall.violations.count(refusal.code());
        let venue = self.place_of(instrument).unwrap_or(VenueId(0));
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

/// What the gate is shown of an instrument.
fn context_of<'a>(
    (instruments, books): (&'a [Instrument], &[Option<Box<BookSlot>>]),
    (ledger, venues, oms): (&Ledger, &[VenueState], &mut Oms),
    id: InstrumentId,
) -> Option<Context<'a>> {
    let at = id.0 as usize;
    let instrument = instruments.get(at)?;
    let slot = books.get(at)?.as_ref()?;
    let proof = slot.keeper.proof();
    let (bid, ask) = (slot.keeper.book().best_bid(), slot.keeper.book().best_ask());
    let exposure = oms.exposure(id);
    Some(Context {
        instrument,
        book: RiskBook {
            is_proven: proof.state == State::Synced,
            updated: proof.at,
            bid: bid.map(|level| level.price),
            ask: ask.map(|level| level.price),
        },
        // The instrument's, whichever strategies hold it: limits are of the sum.
        position: ledger.total(id).held(),
        working_buy: exposure.buy,
        working_sell: exposure.sell,
        own_bid: exposure.own_bid,
        own_ask: exposure.own_ask,
        is_reconciled: is_reconciled(venues, instrument),
    })
}

pub(super) fn is_reconciled(venues: &[VenueState], instrument: &Instrument) -> bool {
    let mut known = venues.iter();
    known.any(|state| state.venue == instrument.venue && state.is_reconciled)
}
