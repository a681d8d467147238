//! `level3`: the single orders of the best prices, as each depth's subscribers have them.
//!
//! ```text
//!  subscribe (with a token) ─▶ the orders of the best prices, in their queues
//!  a change ─▶ delete: gone, or grown or moved; modify: less, in its place; add: new, or of a price that came in
//! ```
//! A price that falls out of the depth goes without a word, and its orders with it. The checksum is over every order of
//! the ten best prices.

use super::reply::{order_id, price, qty};
use super::{time, venue_ns};
use crate::core::Core;
use crate::engine::{Engine, Order, Side, Spec};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Depths offered, with what a subscription of each costs.
pub const DEPTHS: [(usize, u32); 3] = [(10, 5), (100, 25), (1_000, 100)];
/// What a connection may spend on them in a second.
pub const COST_MAX: u32 = 200;
/// Prices a side of the checksum, whatever the depth.
const CHECKSUM_PRICES: usize = 10;

/// An order as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    id: u64,
    price: i64,
    qty: i64,
    at_ns: u64,
}

/// Bids and asks, best price first, each in its queue.
pub type Queues = [Vec<Shown>; 2];

/// The queues cut to a depth, as its subscribers have them.
#[derive(Debug)]
pub struct View {
    /// Prices a side.
    pub depth: usize,
    shown: Queues,
}

/// One line of an update.
struct Line {
    event: &'static str,
    order: Shown,
}

impl View {
    /// The queues as they are.
    pub fn new(engine: &Engine, inst: usize, depth: usize) -> Self {
        Self {
            depth,
            shown: queues(engine, inst, depth),
        }
    }

    /// What a new subscriber gets.
    pub fn snapshot(&self, core: &Core, inst: usize, symbol: &str) -> String {
        let lines = |at: usize| -> Vec<Line> {
            let orders = self.shown[at].iter();
            let line = |order: &Shown| Line {
                event: "",
                order: *order,
            };
            orders.map(line).collect()
        };
        let sum = checksum(&self.shown);
        message(core, inst, (symbol, "snapshot"), &[lines(0), lines(1)], sum)
    }

    /// Takes the queues as they are now; what subscribers must be told for it, if anything. `spoils` makes the checksum
    /// wrong.
    pub fn renew(
        &mut self,
        core: &mut Core,
        inst: usize,
        symbol: &str,
        spoils: impl FnOnce(&mut Core) -> bool,
    ) -> Option<String> {
        let now = queues(&core.engine, inst, self.depth);
        let lines = [0, 1].map(|at| changes(&core.engine, &self.shown[at], &now[at]));
        self.shown = now;
        if lines.iter().all(Vec::is_empty) {
            return None;
        }
        let wrong = u32::from(spoils(core));
        let sum = checksum(&self.shown) ^ wrong;
        Some(message(core, inst, (symbol, "update"), &lines, sum))
    }
}

fn queues(engine: &Engine, inst: usize, depth: usize) -> Queues {
    let book = engine.book(inst);
    [Side::Buy, Side::Sell].map(|side| {
        let levels = book.levels(side).take(depth);
        let orders = levels.flat_map(|(price, level)| {
            let queue = level.queue.iter().filter_map(|id| engine.order(*id));
            queue.map(move |order| Shown {
                id: order.id,
                price,
                qty: order.leaves(),
                at_ns: order.updated_ns,
            })
        });
        orders.collect()
    })
}

/// What makes one side of another.
fn changes(engine: &Engine, old: &[Shown], new: &[Shown]) -> Vec<Line> {
    let now: HashMap<u64, &Shown> = new.iter().map(|order| (order.id, order)).collect();
    let before: HashMap<u64, &Shown> = old.iter().map(|order| (order.id, order)).collect();
    let is_kept = |old: &Shown, new: &Shown| old.price == new.price && new.qty <= old.qty;
    let mut lines = Vec::new();
    for order in old {
        let event = match now.get(&order.id) {
            Some(new) if !is_kept(order, new) => "delete",
            Some(new) if new.qty < order.qty => {
                lines.push(Line {
                    event: "modify",
                    order: **new,
                });
                continue;
            }
            Some(_) => continue,
            // It rests on where its price is no longer shown.
            None if engine
                .order(order.id)
                .is_some_and(|it| rests_at(it, order.price)) =>
            {
                continue;
            }
            None => "delete",
        };
        let order = Shown { qty: 0, ..*order };
        lines.push(Line { event, order });
    }
    let is_new = |order: &&Shown| before.get(&order.id).is_none_or(|old| !is_kept(old, order));
    let added = new.iter().filter(is_new);
    lines.extend(added.map(|order| Line {
        event: "add",
        order: *order,
    }));
    lines
}

fn rests_at(order: &Order, price: i64) -> bool {
    order.state.is_open() && order.ask.price == Some(price)
}

/// CRC-32 of every order of the ten best prices, asks first: the digits of price and quantity.
fn checksum(queues: &Queues) -> u32 {
    let mut text = String::new();
    let [bids, asks] = queues;
    for side in [asks, bids] {
        let prices = side.chunk_by(|one, other| one.price == other.price);
        for order in prices.take(CHECKSUM_PRICES).flatten() {
            let _ = write!(text, "{}{}", order.price, order.qty);
        }
    }
    crc32fast::hash(text.as_bytes())
}

fn message(
    core: &Core,
    inst: usize,
    (symbol, kind): (&str, &str),
    sides: &[Vec<Line>; 2],
    checksum: u32,
) -> String {
    let spec = core.engine.spec(inst);
    let [bids, asks] = sides.each_ref().map(|lines| list(core, spec, lines));
    format!(
        "{{\"channel\":\"level3\",\"type\":\"{kind}\",\"data\":[{{\"symbol\":\"{symbol}\",\
         \"checksum\":{checksum},\"bids\":[{bids}],\"asks\":[{asks}],\"timestamp\":\"{}\"}}]}}",
        time::micros(venue_ns(core, core.now)),
    )
}

fn list(core: &Core, spec: &Spec, lines: &[Line]) -> String {
    let mut out = String::new();
    for Line { event, order } in lines {
        let comma = if out.is_empty() { "" } else { "," };
        let event = match *event {
            "" => String::new(),
            event => format!("\"event\":\"{event}\","),
        };
        let _ = write!(
            out,
            "{comma}{{{event}\"order_id\":\"{}\",\"limit_price\":{},\"order_qty\":{},\
             \"timestamp\":\"{}\"}}",
            order_id(order.id),
            price(spec, order.price),
            qty(spec, order.qty),
            time::micros(venue_ns(core, order.at_ns)),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The venue page's vector.
    #[test]
    fn checksum_vector() {
        let order = |price, qty| Shown {
            id: 0,
            price,
            qty,
            at_ns: 0,
        };
        let bids = vec![order(650_000, 50_000_000), order(649_999, 12_000_000)];
        let asks = vec![
            order(650_001, 25_000_000),
            order(650_001, 10_000_000),
            order(650_002, 100_000_000),
        ];
        assert_eq!(checksum(&[bids, asks]), 4_193_277_946);
    }
}
