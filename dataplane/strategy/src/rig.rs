//! A strategy's surroundings, for tests: books, positions, orders, a clock.

use crate::{Intent, Intents, Leg, Legs, View, Wish};
use dp_book::Book;
use dp_types::{
    ClientOrderId, Instrument, InstrumentId, Level, LiveOrder, Notional, Now, OrderId, OrderState,
    Price, Qty, Side, Text, UnixNanos, VenueId,
};

/// One instrument.
#[derive(Debug)]
pub struct Market {
    /// Its rules.
    pub instrument: Instrument,
    /// Whether the gate would look at an order.
    pub can_trade: bool,
    /// Net position, increments.
    pub position: i64,
    /// What the venue counts beyond it.
    pub coming: i64,
    book: Book,
}

impl Market {
    fn new(at: u32, tick: i64) -> Self {
        let bare = Instrument::bare(InstrumentId(at), VenueId::OKX, Text::EMPTY, 1, 2);
        Self {
            instrument: Instrument {
                is_live: true,
                tick: Price(tick),
                ..bare
            },
            can_trade: true,
            position: 0,
            coming: 0,
            book: Book::new(8),
        }
    }

    /// One level a side, of quantity 1.
    pub fn set_book(&mut self, bid: i64, ask: i64) {
        self.set_levels((bid, 1), (ask, 1));
    }

    /// One level a side: price, quantity.
    pub fn set_levels(&mut self, bid: (i64, i64), ask: (i64, i64)) {
        self.book.clear();
        self.level(Side::Buy, bid.0, bid.1);
        self.level(Side::Sell, ask.0, ask.1);
    }

    /// A level; quantity 0 takes it away.
    pub fn level(&mut self, side: Side, price: i64, qty: i64) {
        let level = Level {
            price: Price(price),
            qty: Qty(qty),
            ..Level::default()
        };
        self.book.apply_level(side, &level);
    }
}

/// What a view is made of.
#[derive(Debug)]
pub struct Rig {
    markets: Vec<Market>,
    live: Vec<LiveOrder>,
    now: Now,
    /// Whether every fill is counted.
    pub is_settled: bool,
}

impl Legs for Vec<Market> {
    fn get(&self, at: usize) -> Option<Leg<'_>> {
        let market = self.as_slice().get(at)?;
        Some(Leg {
            instrument: &market.instrument,
            book: &market.book,
            orders: None,
            position: Qty(market.position),
            coming: Qty(market.coming),
            cost: Notional(0),
            can_trade: market.can_trade,
        })
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl Rig {
    /// One instrument with an empty book, flat, allowed to trade.
    pub fn new(tick: i64) -> Self {
        Self::with_legs(1, tick)
    }

    /// Several.
    pub fn with_legs(legs: u32, tick: i64) -> Self {
        Self {
            markets: (0..legs).map(|at| Market::new(at, tick)).collect(),
            live: Vec::new(),
            now: Now::default(),
            is_settled: true,
        }
    }

    /// One of the instruments.
    pub fn at(&mut self, leg: usize) -> &mut Market {
        &mut self.markets[leg]
    }

    /// One level a side of the first instrument, of quantity 1.
    pub fn set_book(&mut self, bid: i64, ask: i64) {
        self.at(0).set_book(bid, ask);
    }

    /// A level of the first instrument; quantity 0 takes it away.
    pub fn level(&mut self, side: Side, price: i64, qty: i64) {
        self.at(0).level(side, price, qty);
    }

    /// The position in the first instrument is this now.
    pub fn position(&mut self, qty: i64) {
        self.at(0).position = qty;
    }

    /// The time is this now.
    pub fn now(&mut self, ns: u64) {
        self.now.unix = UnixNanos(ns);
    }

    /// Whether the gate would look at an order on the first instrument.
    pub fn may_trade(&mut self, can_trade: bool) {
        self.at(0).can_trade = can_trade;
    }

    /// An order of ours stands at the first instrument's venue.
    pub fn rest(&mut self, side: Side, price: i64) {
        self.rest_on(0, side, price, 10);
    }

    /// An order of ours stands at a venue; it is returned.
    pub fn rest_on(&mut self, leg: u32, side: Side, price: i64, qty: i64) -> LiveOrder {
        let id = 1 << 32 | self.live.len() as u64;
        let order = LiveOrder {
            instrument: InstrumentId(leg),
            client_id: ClientOrderId(id),
            order_id: OrderId(1),
            side,
            state: OrderState::Ack,
            price: Price(price),
            leaves: Qty(qty),
            is_cancelling: false,
            is_amending: false,
        };
        self.live.push(order);
        order
    }

    /// What we have open at a venue is over.
    pub fn end_on(&mut self, leg: u32) {
        self.live
            .retain(|order| order.instrument != InstrumentId(leg));
    }

    /// No order of ours is anywhere.
    pub fn no_orders(&mut self) {
        self.live.clear();
    }

    /// What a strategy wants when it is called about the first instrument.
    pub fn call(&self, speak: impl FnOnce(&View<'_>, &mut Intents)) -> Vec<Intent> {
        let out = self.call_on(0, speak);
        (0..out.len()).filter_map(|at| out.get(at)).collect()
    }

    /// What a strategy says when it is called about an instrument.
    pub fn call_on(&self, leg: usize, speak: impl FnOnce(&View<'_>, &mut Intents)) -> Intents {
        let first = Legs::get(&self.markets, leg).unwrap();
        let view = View {
            now: self.now,
            leg,
            instrument: first.instrument,
            book: first.book,
            orders: None,
            position: first.position,
            cost: Notional(0),
            live: &self.live,
            is_settled: self.is_settled,
            can_trade: first.can_trade,
            legs: &self.markets,
        };
        let mut out = Intents::new();
        speak(&view, &mut out);
        out
    }
}

/// Side and price of each new order among wishes.
pub fn prices(intents: &[Intent]) -> Vec<(Side, i64)> {
    let of = |intent: &Intent| match intent {
        Intent::New(Wish { side, price, .. }) => Some((*side, price.0)),
        _ => None,
    };
    intents.iter().filter_map(of).collect()
}
