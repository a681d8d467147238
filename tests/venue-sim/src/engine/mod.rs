//! The matching engine: price-time priority per instrument, balances, fees; integers only, no clock.
//!
//! It knows no venue: what is a refusal here becomes a venue's code and text in its face. It publishes
//! what happened as [`Event`]s in order, and a face drains them after each call.
//!
//! ```text
//!  place ──refused──▶ Refusal                       cancel, reduce, amend
//!    │ accepted                                          │
//!    ▼                                                   ▼
//!  Live ──fill──▶ Partial ──fill──▶ Filled           Canceled(cause)
//!    └──post-only crosses, IOC/FOK remainder, own order met──▶ Canceled(cause)
//! ```
//! Deliberately not here: stop orders, order lists, margin.

mod book;
mod ledger;
mod matching;
#[cfg(test)]
mod naive;
mod order;
mod position;
mod spec;

pub use book::{Book, Level};
pub use ledger::{Balance, Ledger};
pub use order::*;
pub use position::Position;
pub use spec::{Day, Fees, FirstIds, Spec};

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Finished orders kept for queries; the oldest go first.
pub const HISTORY_MAX: usize = 200_000;

struct Instrument {
    spec: Spec,
    book: Book,
    update_id: u64,
    day: Day,
}

/// The engine of one venue.
pub struct Engine {
    instruments: Vec<Instrument>,
    ledger: Ledger,
    fees: Fees,
    orders: HashMap<u64, Order>,
    open: Vec<BTreeSet<u64>>,
    by_client: HashMap<(AccountId, Arc<str>), u64>,
    finished: VecDeque<u64>,
    positions: HashMap<(AccountId, usize), Position>,
    are_client_ids_free: bool,
    next_order: u64,
    next_trade: u64,
    events: Vec<Event>,
}

impl Engine {
    /// An engine without orders. `clients` accounts are 1..=clients; ids follow the given ones.
    pub fn new(
        specs: Vec<Spec>,
        ledger: Ledger,
        fees: Fees,
        clients: usize,
        first: FirstIds,
    ) -> Self {
        Self {
            instruments: specs
                .into_iter()
                .map(|spec| Instrument {
                    day: Day {
                        open: spec.price_start,
                        high: spec.price_start,
                        low: spec.price_start,
                        last: spec.price_start,
                        ..Day::default()
                    },
                    spec,
                    book: Book::default(),
                    update_id: first.update,
                })
                .collect(),
            ledger,
            fees,
            orders: HashMap::new(),
            open: vec![BTreeSet::new(); clients + 1],
            by_client: HashMap::new(),
            finished: VecDeque::new(),
            positions: HashMap::new(),
            are_client_ids_free: false,
            next_order: first.order,
            next_trade: first.trade,
            events: Vec::new(),
        }
    }

    /// From now on several open orders of an account may bear one client id: the venue does not look at it.
    pub fn free_client_ids(&mut self) {
        self.are_client_ids_free = true;
    }

    /// Accepts and matches a new order; its fate is in the events. Errors: [`Refusal`]; nothing changed.
    pub fn place(&mut self, now: u64, ask: NewOrder) -> Result<u64, Refusal> {
        self.check_client_id(&ask)?;
        let crosses = ask
            .price
            .is_none_or(|price| self.crosses(ask.inst, ask.side, price));
        if ask.post_only == PostOnly::Refuse && crosses {
            return Err(Refusal::WouldTake);
        }
        let (fillable, cost) = self.walk(&ask);
        let held = self.to_hold(&ask, fillable, cost)?;
        if !self.lock(&ask, held) {
            return Err(Refusal::Balance);
        }
        let id = self.insert(now, ask, held);
        let (tif, post_only, size) = {
            let ask = &self.orders[&id].ask;
            (ask.tif, ask.post_only, ask.size)
        };
        if post_only == PostOnly::AcceptThenCancel && crosses {
            self.finish(now, id, Cause::PostOnly);
        } else if tif == Tif::Fok && matches!(size, Size::Base(qty) if fillable < qty) {
            self.finish(now, id, Cause::Fok);
        } else {
            self.run(now, id);
        }
        Ok(id)
    }

    /// Whether [`Engine::place`] would accept. Errors: as there; nothing changes.
    pub fn check(&self, ask: &NewOrder) -> Result<(), Refusal> {
        self.check_client_id(ask)?;
        if let Some(price) = ask.price
            && ask.post_only == PostOnly::Refuse
            && self.crosses(ask.inst, ask.side, price)
        {
            return Err(Refusal::WouldTake);
        }
        let (fillable, cost) = self.walk(ask);
        let held = self.to_hold(ask, fillable, cost)?;
        let free = self
            .ledger
            .balance(ask.account, self.paid_asset(ask.inst, ask.side))
            .free;
        if ask.account != MARKET && free < held {
            return Err(Refusal::Balance);
        }
        Ok(())
    }

    /// Cancels an open order. Errors: [`Refusal::Unknown`].
    pub fn cancel(&mut self, now: u64, id: u64, cause: Cause) -> Result<(), Refusal> {
        match self.orders.get(&id) {
            Some(order) if order.state.is_open() => {
                self.take_off_book(id);
                self.finish(now, id, cause);
                Ok(())
            }
            _ => Err(Refusal::Unknown),
        }
    }

    /// Lowers an order's quantity, keeping its place in the queue.
    ///
    /// Errors: [`Refusal::Unknown`]; [`Refusal::Amend`] unless done < `qty` < current quantity.
    pub fn reduce(&mut self, now: u64, id: u64, qty: i64) -> Result<(), Refusal> {
        let order = self.open_order(id)?;
        if qty <= order.cum || qty >= order.qty {
            return Err(Refusal::Amend);
        }
        let (inst, side, price) = (order.ask.inst, order.ask.side, order.ask.price.unwrap_or(0));
        let (cut, leaves) = (order.qty - qty, qty - order.cum);
        if let Some(order) = self.orders.get_mut(&id) {
            order.qty = qty;
            order.updated_ns = now;
        }
        self.release_excess(id);
        self.instruments[inst].book.reduce(side, price, cut);
        self.touch(inst, side, price, (id, leaves));
        self.tell(id, What::Amended);
        Ok(())
    }

    /// Changes price and quantity under the same id; the place in the queue is lost unless the quantity
    /// only falls. A quantity at or below what is done ends the order.
    ///
    /// Errors: [`Refusal::Unknown`], [`Refusal::Balance`], [`Refusal::Overflow`].
    pub fn amend(&mut self, now: u64, id: u64, price: i64, qty: i64) -> Result<(), Refusal> {
        let order = self.open_order(id)?;
        if Some(price) == order.ask.price && qty > order.cum && qty < order.qty {
            return self.reduce(now, id, qty);
        }
        if qty <= order.cum {
            return self.cancel(now, id, Cause::User);
        }
        let (inst, side, account) = (order.ask.inst, order.ask.side, order.ask.account);
        let (old_held, leaves) = (order.held, qty - order.cum);
        let spec = &self.instruments[inst].spec;
        let held = spec.hold(side, price, leaves).ok_or(Refusal::Overflow)?;
        let asset = self.paid_asset(inst, side);
        let more = (held - old_held).max(0);
        if !self.ledger.lock(account, asset, more) {
            return Err(Refusal::Balance);
        }
        self.take_off_book(id);
        if let Some(order) = self.orders.get_mut(&id) {
            order.ask.price = Some(price);
            order.qty = qty;
            order.held += more;
            order.updated_ns = now;
        }
        self.release_excess(id);
        self.tell(id, What::Amended);
        let post_only = self.orders[&id].ask.post_only;
        if post_only != PostOnly::No && self.crosses(inst, side, price) {
            self.finish(now, id, Cause::PostOnly);
        } else {
            self.run(now, id);
        }
        Ok(())
    }

    /// Takes what happened since the last call, in order.
    pub fn drain(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Rules of an instrument.
    pub fn spec(&self, inst: usize) -> &Spec {
        &self.instruments[inst].spec
    }

    /// Number of instruments.
    pub fn instruments(&self) -> usize {
        self.instruments.len()
    }

    /// Its book.
    pub fn book(&self, inst: usize) -> &Book {
        &self.instruments[inst].book
    }

    /// Its update id: one more with each change of a level.
    pub fn update_id(&self, inst: usize) -> u64 {
        self.instruments[inst].update_id
    }

    /// Its day.
    pub fn day(&self, inst: usize) -> Day {
        self.instruments[inst].day
    }

    /// The balances.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes every client's orders off the book, unasked.
    pub fn pull(&mut self, now: u64) {
        let clients = (MARKET + 1)..self.ledger.venue();
        let open = clients.flat_map(|account| self.open_orders(account).map(|order| order.id));
        for id in open.collect::<Vec<_>>() {
            // Open a moment ago, so it can be cancelled.
            let _ = self.cancel(now, id, Cause::CancelAll);
        }
    }

    /// Takes a part of what is free of every client's money, millionths: no fill says so.
    pub fn withdraw(&mut self, ppm: i64) {
        self.ledger.withdraw(Amount::from(ppm));
    }

    /// Closes every client's position at the last price: no fill says so.
    pub fn liquidate(&mut self) {
        let venue = self.ledger.venue();
        let mut held: Vec<_> = self.positions.keys().copied().collect();
        held.sort_unstable();
        for (account, inst) in held {
            let qty = self.position(account, inst).qty;
            let spec = &self.instruments[inst].spec;
            let worth = spec.notional(self.instruments[inst].day.last, qty.abs());
            if account != MARKET && account != venue && qty != 0 {
                self.move_position(account, inst, -qty, worth.unwrap_or(0));
            }
        }
    }

    /// Whether the fee of a trade on a side is charged in the quote asset.
    pub fn is_fee_in_quote(&self, inst: usize, side: Side) -> bool {
        side == Side::Sell || self.fees.in_quote || self.spec(inst).is_contract
    }

    /// An account's position in a contract; empty where it has none.
    pub fn position(&self, account: AccountId, inst: usize) -> Position {
        let held = self.positions.get(&(account, inst));
        held.copied().unwrap_or_default()
    }

    /// Pays every account for its position in a contract, or takes from it: `ppm` of what it is worth at the last price,
    /// from long to short, through the venue. What each got, by account and instrument.
    pub fn fund(&mut self, ppm: i64) -> Vec<(AccountId, usize, Amount)> {
        let mut held: Vec<_> = self
            .positions
            .iter()
            .map(|(at, it)| (*at, it.qty))
            .collect();
        held.retain(|(_, qty)| *qty != 0);
        held.sort_unstable();
        let (venue, mut paid) = (self.ledger.venue(), Vec::new());
        for ((account, inst), qty) in held {
            let spec = &self.instruments[inst].spec;
            let worth = spec.notional(self.instruments[inst].day.last, qty.abs());
            let share = worth.unwrap_or(0) * Amount::from(ppm) / 1_000_000;
            // No venue tells more than eight decimals of money.
            let amount = -(share - share % 10_000) * Amount::from(qty.signum());
            let asset = spec.quote_asset;
            self.ledger.pay((venue, false), account, asset, amount);
            paid.push((account, inst, amount));
        }
        paid
    }

    /// An order that is open or still in the history.
    pub fn order(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// The latest order of an account under a client id.
    pub fn by_client_id(&self, account: AccountId, client_id: &str) -> Option<&Order> {
        let id = self.by_client.get(&(account, Arc::from(client_id)))?;
        self.orders.get(id)
    }

    /// Open orders of an account, oldest first.
    pub fn open_orders(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        self.open
            .get(account)
            .into_iter()
            .flatten()
            .filter_map(|id| self.orders.get(id))
    }

    /// Finished orders of an account, oldest first.
    pub fn finished_orders(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        self.finished
            .iter()
            .filter_map(|id| self.orders.get(id))
            .filter(move |order| order.ask.account == account)
    }

    /// Whether an order at `price` would take.
    pub fn crosses(&self, inst: usize, side: Side, price: i64) -> bool {
        match (self.instruments[inst].book.best(side.opposite()), side) {
            (Some((best, _)), Side::Buy) => price >= best,
            (Some((best, _)), Side::Sell) => price <= best,
            (None, _) => false,
        }
    }

    fn open_order(&self, id: u64) -> Result<&Order, Refusal> {
        let order = self.orders.get(&id).ok_or(Refusal::Unknown)?;
        if order.state.is_open() {
            Ok(order)
        } else {
            Err(Refusal::Unknown)
        }
    }

    fn check_client_id(&self, ask: &NewOrder) -> Result<(), Refusal> {
        let known = (!ask.client_id.is_empty() && !self.are_client_ids_free)
            .then(|| self.by_client.get(&(ask.account, ask.client_id.clone())))
            .flatten();
        match known.and_then(|id| self.orders.get(id)) {
            Some(order) if order.state.is_open() => Err(Refusal::Duplicate),
            _ => Ok(()),
        }
    }

    /// What an order could take at once: base increments and their value.
    fn walk(&self, ask: &NewOrder) -> (i64, Amount) {
        let Instrument { spec, book, .. } = &self.instruments[ask.inst];
        let (mut qty, mut cost) = (0i64, 0);
        for (price, level) in book.levels(ask.side.opposite()) {
            let in_limit = match (ask.price, ask.side) {
                (None, _) => true,
                (Some(limit), Side::Buy) => price <= limit,
                (Some(limit), Side::Sell) => price >= limit,
            };
            let wanted = match ask.size {
                Size::Base(size) => size - qty,
                Size::Quote(budget) => spec.affordable(budget - cost, price),
            };
            let take = wanted.min(level.total);
            if !in_limit || take <= 0 {
                break;
            }
            qty += take;
            cost += spec.notional(price, take).unwrap_or(0);
        }
        (qty, cost)
    }

    fn to_hold(&self, ask: &NewOrder, fillable: i64, cost: Amount) -> Result<Amount, Refusal> {
        let spec = &self.instruments[ask.inst].spec;
        match (ask.side, ask.price, ask.size) {
            (side, Some(price), Size::Base(qty)) => {
                spec.hold(side, price, qty).ok_or(Refusal::Overflow)
            }
            (Side::Sell, None, Size::Base(qty)) if !spec.is_contract => Ok(spec.base_amount(qty)),
            (_, None, Size::Base(_)) => Ok(spec.hold_taken(cost)),
            (Side::Sell, _, Size::Quote(_)) if !spec.is_contract => Ok(spec.base_amount(fillable)),
            (_, _, Size::Quote(budget)) => Ok(spec.hold_taken(budget)),
        }
    }

    /// The asset an order pays with.
    fn paid_asset(&self, inst: usize, side: Side) -> usize {
        self.instruments[inst].spec.paid_asset(side)
    }

    fn lock(&mut self, ask: &NewOrder, held: Amount) -> bool {
        let asset = self.paid_asset(ask.inst, ask.side);
        self.ledger.lock(ask.account, asset, held)
    }

    fn insert(&mut self, now: u64, ask: NewOrder, held: Amount) -> u64 {
        self.next_order += 1;
        let id = self.next_order;
        if ask.account != MARKET {
            self.open[ask.account].insert(id);
            if !ask.client_id.is_empty() {
                self.by_client
                    .insert((ask.account, ask.client_id.clone()), id);
            }
        }
        let qty = match ask.size {
            Size::Base(qty) => qty,
            Size::Quote(_) => 0,
        };
        self.orders.insert(
            id,
            Order {
                id,
                ask,
                qty,
                cum: 0,
                cum_quote: 0,
                fee: 0,
                held,
                state: State::Live,
                created_ns: now,
                updated_ns: now,
                last: None,
            },
        );
        self.tell(id, What::New);
        id
    }

    /// Gives back what a limit buy holds beyond its price times what is left.
    fn release_excess(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else {
            return;
        };
        let spec = &self.instruments[order.ask.inst].spec;
        let needed = match (order.ask.price, order.ask.size) {
            (Some(price), Size::Base(_)) => spec.hold(order.ask.side, price, order.leaves()),
            _ => None,
        };
        let Some(excess) = needed.map(|needed| order.held - needed) else {
            return;
        };
        let (account, asset) = (
            order.ask.account,
            self.paid_asset(order.ask.inst, order.ask.side),
        );
        self.ledger.unlock(account, asset, excess);
        if let Some(order) = self.orders.get_mut(&id) {
            order.held -= excess;
        }
    }

    fn take_off_book(&mut self, id: u64) {
        let order = &self.orders[&id];
        let (inst, side, leaves) = (order.ask.inst, order.ask.side, order.leaves());
        if let Some(price) = order.ask.price {
            self.instruments[inst].book.remove(side, price, id, leaves);
            self.touch(inst, side, price, (id, 0));
        }
    }

    /// Ends an order that is not in the book (any more) and tells.
    fn finish(&mut self, now: u64, id: u64, cause: Cause) {
        self.close(now, id, State::Canceled(cause));
        self.tell(id, What::Canceled(cause));
        self.forget_market(id);
    }

    /// Final state and release of everything held.
    fn close(&mut self, now: u64, id: u64, state: State) {
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        order.state = state;
        order.updated_ns = now;
        let held = std::mem::take(&mut order.held);
        let (account, inst, side) = (order.ask.account, order.ask.inst, order.ask.side);
        let asset = self.paid_asset(inst, side);
        self.ledger.unlock(account, asset, held);
        if account != MARKET {
            self.open[account].remove(&id);
            self.finished.push_back(id);
            self.trim_history();
        }
    }

    fn trim_history(&mut self) {
        while self.finished.len() > HISTORY_MAX {
            let Some(old) = self.finished.pop_front() else {
                return;
            };
            if let Some(order) = self.orders.remove(&old) {
                let key = (order.ask.account, order.ask.client_id);
                if self.by_client.get(&key) == Some(&old) {
                    self.by_client.remove(&key);
                }
            }
        }
    }

    fn forget_market(&mut self, id: u64) {
        let is_over = self
            .orders
            .get(&id)
            .is_some_and(|order| order.ask.account == MARKET && !order.state.is_open());
        if is_over {
            self.orders.remove(&id);
        }
    }

    fn tell(&mut self, id: u64, what: What) {
        if let Some(order) = self.orders.get(&id)
            && order.ask.account != MARKET
        {
            self.events
                .push(Event::Order(Box::new(order.clone()), what));
        }
    }

    /// Tells a level after `order` changed it and has `leaves` in it.
    fn touch(&mut self, inst: usize, side: Side, price: i64, (order, leaves): (u64, i64)) {
        let instrument = &mut self.instruments[inst];
        instrument.update_id += 1;
        self.events.push(Event::Level {
            inst,
            side,
            price,
            qty: instrument.book.total(side, price),
            order,
            leaves,
            update_id: instrument.update_id,
        });
    }
}

#[cfg(test)]
mod tests;
