//! Books of single orders over FIX: all orders in pieces (W), then every event of one with the instrument's number (X).
//!
//! ```text
//!  W  83 893 55 268: 269 278 270 271               893=Y ends the whole book
//!  X  268=1: 279 269 278 83 55 270 271 60 5797     0 rests, 1 has so much left, 2 is gone; 269=2 a trade of who rested
//! ```
//! Acknowledgements of orders on their way, which have no 278, are not played. Source: the market data page of Coinbase
//! Exchange's FIX 5.0.

use super::codec::Message;
use super::time;
use crate::engine::{Event, Side, Trade};
use crate::text::{price, qty};
use crate::venues::Face;
use std::collections::BTreeMap;

/// Orders in one piece of a whole book.
const PIECE: usize = 500;
/// Numbers begin above this; a change of the engine's book is two messages at most.
const FIRST: u64 = 37_475_248_783;

/// An order as it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resting {
    side: Side,
    price: i64,
    leaves: i64,
}

/// What a subscriber has heard of an instrument's orders.
#[derive(Debug)]
pub struct Singles {
    inst: usize,
    id: String,
    resting: BTreeMap<u64, Resting>,
    seq: u64,
}

fn kind(side: Side) -> u32 {
    u32::from(side == Side::Sell)
}

impl Singles {
    /// The orders as they are, for the request of this id.
    pub fn new(face: &mut dyn Face, inst: usize, id: &str) -> Self {
        let engine = &face.core().engine;
        let mut resting = BTreeMap::new();
        for side in [Side::Buy, Side::Sell] {
            for (price, level) in engine.book(inst).levels(side) {
                for order in &level.queue {
                    let leaves = engine.order(*order).map_or(0, crate::engine::Order::leaves);
                    let one = Resting {
                        side,
                        price,
                        leaves,
                    };
                    resting.insert(*order, one);
                }
            }
        }
        Self {
            inst,
            id: id.to_owned(),
            resting,
            seq: FIRST + 2 * face.core().engine.update_id(inst),
        }
    }

    /// All of it, in pieces.
    pub fn whole(&self, face: &mut dyn Face) -> Vec<Message> {
        let symbol = face.symbol(self.inst);
        let all: Vec<(u64, Resting)> = self.resting.iter().map(|(id, one)| (*id, *one)).collect();
        let last = all.len().div_ceil(PIECE).max(1);
        let piece = |at: usize| {
            let orders = all.chunks(PIECE).nth(at - 1).unwrap_or(&[]);
            let mut message = Message::new("W");
            message.put(262, &self.id).put(83, self.seq);
            message.put(893, if at == last { "Y" } else { "N" });
            message.put(55, &symbol).put(268, orders.len());
            message.put(1682, "full_trading");
            for (id, one) in orders {
                let order_id = face.order_id(*id);
                let spec = face.core().engine.spec(self.inst);
                message.put(269, kind(one.side)).put(278, order_id);
                message.put(270, price(spec, one.price));
                message.put(271, qty(spec, one.leaves));
            }
            message
        };
        (1..=last).map(piece).collect()
    }

    /// What these events of the engine did, a message each.
    pub fn read(&mut self, face: &mut dyn Face, tape: &[Event]) -> Vec<Message> {
        let is_ours = |event: &&Event| match event {
            Event::Level { inst, .. } => *inst == self.inst,
            Event::Trade(trade) => trade.inst == self.inst,
            Event::Order(..) => false,
        };
        let events: Vec<Event> = tape.iter().filter(is_ours).cloned().collect();
        let mut told = Vec::new();
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Trade(trade) => self.traded(face, trade, &mut told),
                Event::Level {
                    side,
                    price,
                    order,
                    leaves,
                    ..
                } => {
                    // What a trade takes off is told with the trade, which follows.
                    let is_fill = matches!(
                        events.get(at + 1),
                        Some(Event::Trade(trade)) if trade.maker_order == *order
                    );
                    let now = Resting {
                        side: *side,
                        price: *price,
                        leaves: *leaves,
                    };
                    if !is_fill {
                        self.moved(face, *order, now, &mut told);
                    }
                }
                Event::Order(..) => {}
            }
        }
        told
    }

    fn moved(&mut self, face: &mut dyn Face, order: u64, now: Resting, told: &mut Vec<Message>) {
        let before = if now.leaves > 0 {
            self.resting.insert(order, now)
        } else {
            self.resting.remove(&order)
        };
        let (action, why) = match (before, now.leaves) {
            (None, 0) => return,
            (None, _) => (0, None),
            (Some(_), 0) => (2, Some("CANCELED")),
            (Some(before), _) if before == now => return,
            (Some(_), _) => (1, Some("CHANGE_REASON_MODIFY_ORDER")),
        };
        told.push(
            self.message(face, order, (action, kind(now.side)), now, |entry| {
                entry.put_some(58, why);
            }),
        );
    }

    fn traded(&mut self, face: &mut dyn Face, trade: &Trade, told: &mut Vec<Message>) {
        let maker = trade.maker_order;
        let taken = Resting {
            side: trade.taker.opposite(),
            price: trade.price,
            leaves: trade.qty,
        };
        let taker = u32::from(trade.taker == Side::Sell) + 1;
        told.push(self.message(face, maker, (0, 2), taken, |entry| {
            entry.put(5797, taker);
        }));
        let Some(resting) = self.resting.get_mut(&maker) else {
            return;
        };
        resting.leaves -= trade.qty;
        if resting.leaves <= 0 {
            self.resting.remove(&maker);
            let gone = Resting { leaves: 0, ..taken };
            told.push(
                self.message(face, maker, (2, kind(gone.side)), gone, |entry| {
                    entry.put(58, "FILLED");
                }),
            );
        }
    }

    fn message(
        &mut self,
        face: &mut dyn Face,
        order: u64,
        (action, kind): (u32, u32),
        one: Resting,
        more: impl FnOnce(&mut Message),
    ) -> Message {
        self.seq += 1;
        let (symbol, order_id) = (face.symbol(self.inst), face.order_id(order));
        let core = face.core();
        let spec = core.engine.spec(self.inst);
        let mut message = Message::new("X");
        message.put(262, &self.id).put(268, 1);
        message.put(279, action).put(269, kind).put(278, order_id);
        message.put(83, self.seq).put(55, symbol);
        message.put(270, price(spec, one.price));
        message.put(271, qty(spec, one.leaves));
        message.put(60, time::text(core.venue_ms()));
        more(&mut message);
        message
    }
}
