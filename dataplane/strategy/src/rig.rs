//! A strategy's surroundings, for tests: a book, a position, orders, a clock.

use crate::{Intent, Intents, View};
use dp_book::Book;
use dp_types::{
    ClientOrderId, Instrument, InstrumentId, Level, LiveOrder, Notional, Now, OrderId, OrderState,
    Price, Qty, Side, Text, UnixNanos, VenueId,
};

/// What a view is made of.
pub struct Rig {
    instrument: Instrument,
    book: Book,
    position: Qty,
    live: Vec<LiveOrder>,
    now: Now,
    can_trade: bool,
}

impl Rig {
    /// An empty book, flat, allowed to trade.
    pub fn new(tick: i64) -> Self {
        let bare = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 1, 2);
        Self {
            instrument: Instrument {
                tick: Price(tick),
                ..bare
            },
            book: Book::new(8),
            position: Qty(0),
            live: Vec::new(),
            now: Now::default(),
            can_trade: true,
        }
    }

    /// One level a side, of quantity 1.
    pub fn set_book(&mut self, bid: i64, ask: i64) {
        self.book.clear();
        self.level(Side::Buy, bid, 1);
        self.level(Side::Sell, ask, 1);
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

    /// The position is this now.
    pub fn position(&mut self, qty: i64) {
        self.position = Qty(qty);
    }

    /// The time is this now.
    pub fn now(&mut self, ns: u64) {
        self.now.unix = UnixNanos(ns);
    }

    /// Whether the gate would look at an order.
    pub fn may_trade(&mut self, can_trade: bool) {
        self.can_trade = can_trade;
    }

    /// An order of ours stands at the venue.
    pub fn rest(&mut self, side: Side, price: i64) {
        let id = 1 << 32 | self.live.len() as u64;
        self.live.push(LiveOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId(id),
            order_id: OrderId(1),
            side,
            state: OrderState::Ack,
            price: Price(price),
            leaves: Qty(10),
            is_cancelling: false,
            is_amending: false,
        });
    }

    /// What a strategy wants when it is called.
    pub fn call(&self, speak: impl FnOnce(&View<'_>, &mut Intents)) -> Vec<Intent> {
        let view = View {
            now: self.now,
            instrument: &self.instrument,
            book: &self.book,
            orders: None,
            position: self.position,
            cost: Notional(0),
            live: &self.live,
            can_trade: self.can_trade,
        };
        let mut out = Intents::new();
        speak(&view, &mut out);
        (0..out.len()).filter_map(|at| out.get(at)).collect()
    }
}

/// Side and price of each new order among wishes.
pub fn prices(intents: &[Intent]) -> Vec<(Side, i64)> {
    let of = |intent: &Intent| match intent {
        Intent::New { side, price, .. } => Some((*side, price.0)),
        _ => None,
    };
    intents.iter().filter_map(of).collect()
}
