//! The exchange: requests in, reports out, both after their delays.

use crate::delay::Delay;
use crate::queue::{Place, QueueModel};
use dp_book::Book;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, FillReport, Instrument, InstrumentId,
    Liquidity, NewOrder, OrderId, OrderKind, OrderReport, OrderState, Price, Qty, RejectReason,
    Side, Tif, TradeId, UnixNanos, VenueNanos,
};
use dp_venue_api::RequestAck;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// Decimals fees are told with, where they fit.
const FEE_DECIMALS: i8 = 12;
/// Parts of one that fees are given in.
const FEE_PARTS: i128 = 1_000_000;

/// What trading costs, in millionths of the value traded; negative is a rebate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fees {
    /// Of orders that rested.
    pub maker_ppm: i32,
    /// Of orders that took.
    pub taker_ppm: i32,
}

/// What an exchange is made with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// From the venue to us, of the market data: books and trades told here at a time were the venue's so much earlier.
    pub feed: Delay,
    /// From us to the venue.
    pub order: Delay,
    /// From the venue to us.
    pub answer: Delay,
    /// Who cancels.
    pub queue: QueueModel,
    /// What it costs.
    pub fees: Fees,
    /// For the delays.
    pub seed: u64,
    /// Order and trade ids begin above it: those of an earlier exchange must not come again.
    pub ids_above: u64,
}

/// What we ask of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A new order.
    New(NewOrder),
    /// Another price or quantity.
    Amend(AmendOrder),
    /// The end of an order.
    Cancel(CancelOrder),
    /// The end of all orders of an instrument.
    CancelAll(InstrumentId),
    /// What became of an order.
    Query(CancelOrder),
}

/// What it tells us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// How an order stands.
    Order(OrderReport),
    /// An execution.
    Fill(FillReport),
    /// A request refused, the order as it was.
    Ack(RequestAck),
}

/// One order at the venue.
#[derive(Debug, Clone, Copy)]
struct Resting {
    id: OrderId,
    ask: NewOrder,
    done: i64,
    place: Place,
}

impl Resting {
    const fn left(&self) -> i64 {
        self.ask.qty.0 - self.done
    }
}

/// Taken by us from a level, until the level is told anew.
#[derive(Debug, Clone, Copy)]
struct Taken {
    instrument: InstrumentId,
    side: Side,
    price: Price,
    level: i64,
    qty: i64,
}

/// Orders of ours at one or several paper venues that share delays.
#[derive(Debug)]
pub struct Exchange {
    setup: Setup,
    instruments: Vec<Option<Instrument>>,
    resting: Vec<Resting>,
    taken: Vec<Taken>,
    inbox: VecDeque<(UnixNanos, Request)>,
    outbox: VecDeque<(UnixNanos, Answer)>,
    dice: ChaCha8Rng,
    last_order: u128,
    last_trade: u128,
}

impl Exchange {
    /// Without orders, for instrument ids below `instruments`.
    pub fn new(setup: Setup, instruments: usize) -> Self {
        let ids = u128::from(setup.ids_above);
        Self {
            dice: ChaCha8Rng::seed_from_u64(setup.seed),
            setup,
            instruments: vec![None; instruments],
            resting: Vec::with_capacity(64),
            taken: Vec::with_capacity(64),
            inbox: VecDeque::with_capacity(64),
            outbox: VecDeque::with_capacity(64),
            last_order: ids,
            last_trade: ids,
        }
    }

    /// The rules of an instrument.
    pub fn set_instrument(&mut self, instrument: &Instrument) {
        if let Some(slot) = self.instruments.get_mut(instrument.id.0 as usize) {
            *slot = Some(*instrument);
        }
    }

    /// A request leaves us at `now`.
    pub fn request(&mut self, request: Request, now: UnixNanos) {
        // It meets the market of when it arrives, and that is heard of a feed's delay later.
        let order = self.setup.order.draw(&mut self.dice);
        let due = now.after(order.saturating_add(self.setup.feed.draw(&mut self.dice)));
        let last = self.inbox.back().map_or(UnixNanos(0), |(due, _)| *due);
        self.inbox.push_back((due.max(last), request));
    }

    /// When the next request arrives or answer comes back.
    pub fn next_due(&self) -> Option<UnixNanos> {
        let request = self.inbox.front().map(|(due, _)| *due);
        let answer = self.outbox.front().map(|(due, _)| *due);
        request.into_iter().chain(answer).min()
    }

    /// The next answer that has come back by `now`.
    pub fn answer(&mut self, now: UnixNanos) -> Option<Answer> {
        let is_due = self.outbox.front().is_some_and(|(due, _)| *due <= now);
        if is_due {
            self.outbox.pop_front().map(|(_, answer)| answer)
        } else {
            None
        }
    }

    /// Orders at the venue.
    pub fn open_orders(&self) -> usize {
        self.resting.len()
    }

    /// How every order at the venue stands, as a list that is asked for tells it.
    pub fn list(&self, now: UnixNanos) -> impl Iterator<Item = OrderReport> + '_ {
        let orders = self.resting.iter();
        orders.map(move |order| self.report(order, order_state(order), RejectReason::None, now))
    }

    // ---- the market -----------------------------------------------------------------------------

    /// Carries out what has arrived by `now`, on the books as they are. Before any change of the market at `now`.
    pub fn advance<'b>(&mut self, now: UnixNanos, book: impl Fn(InstrumentId) -> Option<&'b Book>) {
        while let Some((due, request)) = self.inbox.front().copied() {
            if due > now {
                return;
            }
            self.inbox.pop_front();
            self.carry_out(&request, due, &book);
        }
    }

    /// A book of the venue changed; it is `book` now.
    pub fn on_book(&mut self, id: InstrumentId, book: &Book, now: UnixNanos) {
        if self.resting.is_empty() && self.taken.is_empty() {
            return;
        }
        let level = |side, price| book.level_at(side, price).map_or(0, |level| level.qty.0);
        self.taken.retain(|taken| {
            taken.instrument != id || level(taken.side, taken.price) == taken.level
        });
        let model = self.setup.queue;
        for order in self.resting.iter_mut().filter(|it| it.ask.instrument == id) {
            let there = level(order.ask.side, order.ask.price);
            order.place.on_level(there, model);
        }
        let (bid, ask) = (book.best_bid(), book.best_ask());
        let is_through = |order: &Resting| match order.ask.side {
            Side::Buy => ask.is_some_and(|ask| ask.price <= order.ask.price),
            Side::Sell => bid.is_some_and(|bid| bid.price >= order.ask.price),
        };
        self.fill_resting(
            id,
            now,
            |order| {
                if is_through(order) { i64::MAX } else { 0 }
            },
        );
    }

    /// Somebody traded at the venue.
    pub fn on_trade(
        &mut self,
        id: InstrumentId,
        price: Price,
        qty: Qty,
        taker: Side,
        now: UnixNanos,
    ) {
        if qty.0 <= 0 {
            return;
        }
        // Of our own orders at one price the first is served first.
        let mut served = 0;
        self.fill_resting(id, now, |order| {
            let ours = order.ask.price;
            let is_met = order.ask.side != taker;
            let is_beyond = match taker {
                Side::Sell => price < ours,
                Side::Buy => price > ours,
            };
            if !is_met {
                0
            } else if is_beyond {
                i64::MAX
            } else if price == ours {
                let reached = (order.place.on_trade(qty.0) - served).max(0);
                served += reached.min(order.left());
                reached
            } else {
                0
            }
        });
    }

    /// Fills orders of an instrument by what `reach` says reaches each, oldest first.
    fn fill_resting(
        &mut self,
        id: InstrumentId,
        now: UnixNanos,
        mut reach: impl FnMut(&mut Resting) -> i64,
    ) {
        let mut at = 0;
        while let Some(order) = self.resting.get_mut(at) {
            let reached = if order.ask.instrument == id {
                reach(order)
            } else {
                0
            };
            let qty = reached.min(order.left());
            if qty <= 0 {
                at += 1;
                continue;
            }
            order.done += qty;
            let order = *order;
            if order.left() == 0 {
                self.resting.remove(at);
            } else {
                at += 1;
            }
            self.tell_fill(&order, order.ask.price, qty, Liquidity::Maker, now);
        }
    }

    // ---- requests -------------------------------------------------------------------------------

    fn carry_out<'b>(
        &mut self,
        request: &Request,
        now: UnixNanos,
        book: &impl Fn(InstrumentId) -> Option<&'b Book>,
    ) {
        match request {
            Request::New(ask) => self.enter(ask, now, book(ask.instrument)),
            Request::Amend(amend) => self.amend(amend, now, book(amend.instrument)),
            Request::Cancel(cancel) => match self.find(cancel.client_id) {
                Some(at) => self.take_away(at, now),
                None => self.refuse(cancel.client_id, RejectReason::UnknownOrder, now),
            },
            Request::CancelAll(id) => {
                while let Some(at) = self.resting.iter().position(|it| it.ask.instrument == *id) {
                    self.take_away(at, now);
                }
            }
            Request::Query(asked) => match self.find(asked.client_id).map(|at| self.resting[at]) {
                Some(order) => self.tell(&order, order_state(&order), RejectReason::None, now),
                None => {
                    let answer = Answer::Order(OrderReport {
                        instrument: asked.instrument,
                        client_id: Some(asked.client_id),
                        order_id: asked.order_id,
                        side: None,
                        state: OrderState::Rejected,
                        reason: RejectReason::UnknownOrder,
                        price: None,
                        qty: None,
                        cum: None,
                        venue_ns: VenueNanos(now.0),
                    });
                    self.send(answer, now);
                }
            },
        }
    }

    fn find(&self, id: ClientOrderId) -> Option<usize> {
        self.resting
            .iter()
            .position(|order| order.ask.client_id == id)
    }

    fn take_away(&mut self, at: usize, now: UnixNanos) {
        let order = self.resting.remove(at);
        self.tell(&order, OrderState::Cancelled, RejectReason::None, now);
    }

    fn enter(&mut self, ask: &NewOrder, now: UnixNanos, book: Option<&Book>) {
        self.last_order += 1;
        let mut order = Resting {
            id: OrderId(self.last_order),
            ask: *ask,
            done: 0,
            place: Place::behind(0),
        };
        let instrument = self.instruments.get(ask.instrument.0 as usize);
        let (Some(Some(instrument)), Some(book)) = (instrument, book) else {
            self.tell(&order, OrderState::Rejected, RejectReason::BadSymbol, now);
            return;
        };
        let price = (ask.kind != OrderKind::Market).then_some(ask.price);
        let reason = if instrument.check(price, ask.qty).is_err() {
            RejectReason::Invalid
        } else if self.find(ask.client_id).is_some() {
            RejectReason::DuplicateId
        } else if ask.kind == OrderKind::PostOnly && crosses(book, ask.side, ask.price) {
            RejectReason::PostOnlyCross
        } else {
            RejectReason::None
        };
        if reason != RejectReason::None {
            self.tell(&order, OrderState::Rejected, reason, now);
            return;
        }
        let can_rest = ask.kind != OrderKind::Market && ask.tif == Tif::Gtc;
        let is_all_or_none = ask.kind != OrderKind::PostOnly && ask.tif == Tif::Fok;
        if is_all_or_none && self.within_reach(&order, book) < ask.qty.0 {
            self.tell(&order, OrderState::Cancelled, RejectReason::None, now);
            return;
        }
        self.tell(&order, OrderState::Ack, RejectReason::None, now);
        self.take(&mut order, book, now);
        self.rest(order, can_rest, book, now);
    }

    /// What an order has not got rests at the end of its queue, or is cancelled.
    fn rest(&mut self, mut order: Resting, can_rest: bool, book: &Book, now: UnixNanos) {
        if order.left() <= 0 {
            return;
        }
        if !can_rest {
            self.tell(&order, OrderState::Cancelled, RejectReason::None, now);
            return;
        }
        let level = book.level_at(order.ask.side, order.ask.price);
        order.place = Place::behind(level.map_or(0, |level| level.qty.0));
        self.resting.push(order);
    }

    fn amend(&mut self, amend: &AmendOrder, now: UnixNanos, book: Option<&Book>) {
        let instrument = self.instruments.get(amend.instrument.0 as usize);
        let (Some(at), Some(Some(instrument)), Some(book)) =
            (self.find(amend.client_id), instrument, book)
        else {
            self.refuse(amend.client_id, RejectReason::UnknownOrder, now);
            return;
        };
        let before = self.resting[at];
        let mut order = before;
        order.ask.price = amend.price.unwrap_or(before.ask.price);
        order.ask.qty = amend.qty.unwrap_or(before.ask.qty);
        if instrument
            .check(Some(order.ask.price), order.ask.qty)
            .is_err()
        {
            self.refuse(amend.client_id, RejectReason::Invalid, now);
            return;
        }
        let is_crossing = crosses(book, order.ask.side, order.ask.price);
        if is_crossing && order.ask.kind == OrderKind::PostOnly {
            self.refuse(amend.client_id, RejectReason::PostOnlyCross, now);
            return;
        }
        if order.left() <= 0 {
            self.take_away(at, now);
            return;
        }
        let keeps_place = order.ask.price == before.ask.price && order.ask.qty <= before.ask.qty;
        self.tell(&order, order_state(&order), RejectReason::None, now);
        if keeps_place {
            self.resting[at] = order;
            return;
        }
        self.resting.remove(at);
        self.take(&mut order, book, now);
        self.rest(order, true, book, now);
    }

    // ---- taking ---------------------------------------------------------------------------------

    /// What a book still offers an order at each price it accepts, best first.
    fn offers<'a>(
        &'a self,
        order: &Resting,
        book: &'a Book,
    ) -> impl Iterator<Item = (Price, i64, i64)> + 'a {
        let ask = order.ask;
        let other = match ask.side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let levels = book.side(other).take_while(move |level| {
            ask.kind == OrderKind::Market
                || match ask.side {
                    Side::Buy => level.price <= ask.price,
                    Side::Sell => level.price >= ask.price,
                }
        });
        levels.map(move |level| {
            let is_it = |taken: &&Taken| {
                (taken.instrument, taken.side, taken.price) == (ask.instrument, other, level.price)
            };
            let taken = self.taken.iter().find(is_it).map_or(0, |taken| taken.qty);
            (
                level.price,
                level.qty.0,
                level.qty.0.saturating_sub(taken).max(0),
            )
        })
    }

    fn within_reach(&self, order: &Resting, book: &Book) -> i64 {
        let offers = self.offers(order, book);
        offers.fold(0i64, |sum, (_, _, qty)| sum.saturating_add(qty))
    }

    fn take(&mut self, order: &mut Resting, book: &Book, now: UnixNanos) {
        while order.left() > 0 {
            let next = self.offers(order, book).find(|(_, _, qty)| *qty > 0);
            let Some((price, level, offered)) = next else {
                return;
            };
            let qty = offered.min(order.left());
            order.done += qty;
            self.note_taken(order, price, level, qty);
            self.tell_fill(order, price, qty, Liquidity::Taker, now);
        }
    }

    fn note_taken(&mut self, order: &Resting, price: Price, level: i64, qty: i64) {
        let side = match order.ask.side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let instrument = order.ask.instrument;
        let is_it = |taken: &&mut Taken| {
            (taken.instrument, taken.side, taken.price) == (instrument, side, price)
        };
        match self.taken.iter_mut().find(is_it) {
            Some(taken) => taken.qty = taken.qty.saturating_add(qty),
            None => self.taken.push(Taken {
                instrument,
                side,
                price,
                level,
                qty,
            }),
        }
    }

    // ---- answers --------------------------------------------------------------------------------

    fn send(&mut self, answer: Answer, now: UnixNanos) {
        // `now` is when the market of that moment is heard: the feed's delay is in it already.
        let way = self.setup.answer.draw(&mut self.dice);
        let due = now.after(way.saturating_sub(self.setup.feed.draw(&mut self.dice)));
        let last = self.outbox.back().map_or(UnixNanos(0), |(due, _)| *due);
        self.outbox.push_back((due.max(last), answer));
    }

    fn refuse(&mut self, client_id: ClientOrderId, reason: RejectReason, now: UnixNanos) {
        let ack = RequestAck {
            client_id,
            order_id: OrderId(0),
            reason,
            code: 0,
            venue_ns: VenueNanos(now.0),
        };
        self.send(Answer::Ack(ack), now);
    }

    fn tell(&mut self, order: &Resting, state: OrderState, reason: RejectReason, now: UnixNanos) {
        let report = self.report(order, state, reason, now);
        self.send(Answer::Order(report), now);
    }

    fn report(
        &self,
        order: &Resting,
        state: OrderState,
        reason: RejectReason,
        now: UnixNanos,
    ) -> OrderReport {
        let instrument = self.instruments.get(order.ask.instrument.0 as usize);
        let instrument = instrument.and_then(Option::as_ref);
        let qty = |qty: i64| instrument.map(|it| it.qty_decimal(Qty(qty)));
        let price = instrument.map(|it| it.price_decimal(order.ask.price));
        OrderReport {
            instrument: order.ask.instrument,
            client_id: Some(order.ask.client_id),
            order_id: order.id,
            side: Some(order.ask.side),
            state,
            reason,
            price: price.filter(|_| order.ask.kind != OrderKind::Market),
            qty: qty(order.ask.qty.0),
            cum: qty(order.done),
            venue_ns: VenueNanos(now.0),
        }
    }

    fn tell_fill(
        &mut self,
        order: &Resting,
        price: Price,
        qty: i64,
        liquidity: Liquidity,
        now: UnixNanos,
    ) {
        let instrument = self.instruments.get(order.ask.instrument.0 as usize);
        let Some(instrument) = instrument.and_then(Option::as_ref) else {
            return;
        };
        self.last_trade += 1;
        let rate = match liquidity {
            Liquidity::Maker => self.setup.fees.maker_ppm,
            _ => self.setup.fees.taker_ppm,
        };
        let report = FillReport {
            instrument: order.ask.instrument,
            client_id: Some(order.ask.client_id),
            order_id: order.id,
            trade_id: TradeId(self.last_trade),
            side: order.ask.side,
            price: instrument.price_decimal(price),
            qty: instrument.qty_decimal(Qty(qty)),
            cum: Some(instrument.qty_decimal(Qty(order.done))),
            fee: fee(instrument, price, qty, rate),
            fee_asset: instrument.quote,
            liquidity,
            venue_ns: VenueNanos(now.0),
        };
        self.send(Answer::Fill(report), now);
        self.tell(order, order_state(order), RejectReason::None, now);
    }
}

const fn order_state(order: &Resting) -> OrderState {
    if order.left() <= 0 {
        OrderState::Filled
    } else if order.done > 0 {
        OrderState::PartiallyFilled
    } else {
        OrderState::Ack
    }
}

/// Whether an order would take at once.
fn crosses(book: &Book, side: Side, price: Price) -> bool {
    match side {
        Side::Buy => book.best_ask().is_some_and(|ask| price >= ask.price),
        Side::Sell => book.best_bid().is_some_and(|bid| price <= bid.price),
    }
}

/// The fee of a fill, in quote units, rounded to our harm.
fn fee(instrument: &Instrument, price: Price, qty: i64, rate_ppm: i32) -> Decimal {
    let value = instrument
        .notional(price, Qty(qty))
        .map_or(0, |value| value.0);
    let parts = value.saturating_mul(rate_ppm.into());
    // A charge is rounded up, a rebate towards zero.
    let mut fee = parts.div_euclid(FEE_PARTS) + i128::from(parts.rem_euclid(FEE_PARTS) != 0);
    let mut exponent = -FEE_DECIMALS;
    while i64::try_from(fee).is_err() {
        fee /= 10;
        exponent += 1;
    }
    Decimal {
        mantissa: fee as i64,
        exponent,
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
