//! The tape of a product: every order and trade as the `full` channel tells them, in the engine's order.
//!
//! ```text
//!  received ─▶ open ─────────────▶ match … ─▶ done filled | canceled      an order that rests
//!  received ─▶ match … ─▶ done                                            one that takes
//! ```
//! Each message has the next number of its product. The `user` channel repeats those of own orders with the
//! names of user and profile, under the same number.
//!
//! What nobody hears is numbered and not written.
//!
//! The engine tells of other traders' orders only what they do to the book and which trades they make, so
//! theirs are read from that: a taker's size is the sum of its trades.

use super::reply::{self, order_id, profile_id, user_id};
use crate::core::Core;
use crate::engine::{
    AccountId, Cause, Engine, Event, Fill, MARKET, Order, Side, Size, State, Trade, What,
};
use crate::text::{amount, price, qty};
use std::collections::HashMap;
use std::fmt::Write as _;

/// One message.
#[derive(Debug)]
pub struct Told {
    /// As everybody gets it.
    pub text: String,
    /// Whether it is a match, which has a channel of its own.
    pub is_match: bool,
    /// As those get it whose order it is.
    pub own: Vec<(AccountId, String)>,
}

/// One product's tape.
#[derive(Debug)]
pub struct Tape {
    inst: usize,
    product: String,
    sequence: i64,
    is_heard: bool,
    /// What each order has left in the book.
    resting: HashMap<u64, i64>,
    /// The order that was last made less, at which price, and what it had before: an amendment begins with it.
    moved: Option<(u64, i64, i64)>,
    /// The last of other traders' orders of which `received` was told.
    announced: u64,
    last: Option<(Trade, i64)>,
}

impl Tape {
    /// The tape of an instrument, from its book as it is, numbered from `sequence`.
    pub fn new(engine: &Engine, inst: usize, product: &str, sequence: i64) -> Self {
        let mut resting = HashMap::new();
        for side in [Side::Buy, Side::Sell] {
            for (_, level) in engine.book(inst).levels(side) {
                for &id in &level.queue {
                    resting.insert(id, engine.order(id).map_or(0, Order::leaves));
                }
            }
        }
        Self {
            inst,
            product: product.to_owned(),
            sequence,
            is_heard: false,
            resting,
            moved: None,
            announced: 0,
            last: None,
        }
    }

    /// The number of the last message.
    pub const fn sequence(&self) -> i64 {
        self.sequence
    }

    /// Makes the numbers fall from the next message on.
    pub fn reset(&mut self) {
        self.sequence = 1_000;
    }

    /// The last trade and its number.
    pub const fn last(&self) -> Option<(Trade, i64)> {
        self.last
    }

    /// The last trade as it is told to who comes later.
    pub fn last_match(&self, core: &Core) -> Option<String> {
        let (trade, sequence) = self.last?;
        Some(self.match_head(core, "last_match", &trade, sequence) + "}")
    }

    /// Tells what the engine did. Unless `is_heard`, of own orders only.
    pub fn read(&mut self, core: &Core, events: &[Event], is_heard: bool) -> Vec<Told> {
        self.is_heard = is_heard;
        let events: Vec<&Event> = events.iter().filter(|event| self.is_ours(event)).collect();
        // By taker: its size in all, and its last trade.
        let mut taken: HashMap<u64, (i64, u64)> = HashMap::new();
        for event in &events {
            if let Event::Trade(trade) = event {
                let sum = taken.entry(trade.taker_order).or_default();
                *sum = (sum.0 + trade.qty, trade.id);
            }
        }
        let mut told = Vec::new();
        for (at, event) in events.iter().enumerate() {
            let rest = events.get(at + 1..).unwrap_or(&[]);
            match event {
                Event::Order(order, What::New) => self.received(core, order, &mut told),
                Event::Order(order, What::Canceled(cause)) => {
                    self.canceled(core, order, *cause, &mut told);
                }
                Event::Order(order, What::Amended) => self.amended(core, order, &mut told),
                // Fills are told with their trade.
                Event::Order(_, What::Fill(_)) => {}
                Event::Trade(trade) => {
                    let sum = taken.get(&trade.taker_order).copied().unwrap_or_default();
                    self.traded(core, trade, sum, rest, &mut told);
                }
                Event::Level {
                    side,
                    price,
                    order,
                    leaves,
                    ..
                } => {
                    let is_fill = matches!(
                        rest.first(),
                        Some(Event::Trade(trade)) if trade.maker_order == *order
                    );
                    let before = if *leaves > 0 {
                        self.resting.insert(*order, *leaves)
                    } else {
                        self.resting.remove(order)
                    };
                    if !is_fill {
                        self.moved = before.map(|before| (*order, *price, before));
                        let change = (before.unwrap_or(0), *leaves);
                        self.rested(core, *order, (*side, *price), change, &mut told);
                    }
                }
            }
        }
        told
    }

    fn is_ours(&self, event: &Event) -> bool {
        self.inst
            == match event {
                Event::Level { inst, .. } => *inst,
                Event::Trade(trade) => trade.inst,
                Event::Order(order, _) => order.ask.inst,
            }
    }

    /// An order came to rest, or left without a trade.
    fn rested(
        &mut self,
        core: &Core,
        id: u64,
        (side, at): (Side, i64),
        (before, leaves): (i64, i64),
        told: &mut Vec<Told>,
    ) {
        let spec = core.engine.spec(self.inst);
        let own = core.engine.order(id).filter(|order| is_own(order));
        let (name, at) = (|| order_id(id), || price(spec, at));
        if before == 0 && leaves > 0 {
            let size = || qty(spec, leaves);
            if own.is_none() {
                self.message(core, ("received", side, None), told, || {
                    format!(
                        "\"order_id\":\"{}\",\"order_type\":\"limit\",\"size\":\"{}\",\
                         \"price\":\"{}\"",
                        name(),
                        size(),
                        at()
                    )
                });
            }
            self.message(core, ("open", side, own.map(account)), told, || {
                let (name, at, size) = (name(), at(), size());
                format!("\"price\":\"{at}\",\"order_id\":\"{name}\",\"remaining_size\":\"{size}\"")
            });
        } else if leaves == 0 && own.is_none() {
            // An own order's end is told with its cause.
            self.message(core, ("done", side, None), told, || {
                let (name, at, left) = (name(), at(), qty(spec, before));
                format!(
                    "\"price\":\"{at}\",\"order_id\":\"{name}\",\"reason\":\"canceled\",\
                     \"remaining_size\":\"{left}\""
                )
            });
        }
    }

    fn received(&mut self, core: &Core, order: &Order, told: &mut Vec<Told>) {
        let spec = core.engine.spec(self.inst);
        let ask = &order.ask;
        self.message(
            core,
            ("received", ask.side, Some(ask.account)),
            told,
            || {
                let id = order_id(order.id);
                let mut lead =
                    format!("\"order_id\":\"{id}\",\"order_type\":\"{}\"", ask.type_name);
                let _ = match ask.size {
                    Size::Base(size) => write!(lead, ",\"size\":\"{}\"", qty(spec, size)),
                    Size::Quote(funds) => write!(lead, ",\"funds\":\"{}\"", amount(funds)),
                };
                if let Some(at) = ask.price {
                    let _ = write!(lead, ",\"price\":\"{}\"", price(spec, at));
                }
                if !ask.client_id.is_empty() {
                    let _ = write!(lead, ",\"client_oid\":\"{}\"", ask.client_id);
                }
                lead
            },
        );
    }

    /// An own order has another price or size. Where it comes to rest, no `open` is told again.
    fn amended(&mut self, core: &Core, order: &Order, told: &mut Vec<Told>) {
        let new_price = order.ask.price.unwrap_or(0);
        let moved = self.moved.take().filter(|(id, ..)| *id == order.id);
        let (_, old_price, old_size) = moved.unwrap_or((order.id, new_price, order.leaves()));
        self.resting.insert(order.id, order.leaves());
        let spec = core.engine.spec(self.inst);
        let own = Some(order.ask.account);
        self.message(core, ("change", order.ask.side, own), told, || {
            format!(
                "\"reason\":\"modify_order\",\"order_id\":\"{}\",\"old_size\":\"{}\",\
                 \"new_size\":\"{}\",\"old_price\":\"{}\",\"new_price\":\"{}\"",
                order_id(order.id),
                qty(spec, old_size),
                qty(spec, order.leaves()),
                price(spec, old_price),
                price(spec, new_price)
            )
        });
    }

    fn canceled(&mut self, core: &Core, order: &Order, cause: Cause, told: &mut Vec<Told>) {
        let spec = core.engine.spec(self.inst);
        let own = Some(order.ask.account);
        self.resting.remove(&order.id);
        self.message(core, ("done", order.ask.side, own), told, || {
            let id = order_id(order.id);
            let mut lead = format!("\"order_id\":\"{id}\",\"reason\":\"canceled\"");
            if let Some(at) = order.ask.price {
                let (at, left) = (price(spec, at), qty(spec, order.leaves()));
                let _ = write!(lead, ",\"price\":\"{at}\",\"remaining_size\":\"{left}\"");
            }
            if let Some(reason) = reply::cancel_reason(cause) {
                let _ = write!(lead, ",\"cancel_reason\":\"{reason}\"");
            }
            lead
        });
    }

    /// A trade, and the end of whichever order it filled.
    fn traded(
        &mut self,
        core: &Core,
        trade: &Trade,
        (size, last): (i64, u64),
        rest: &[&Event],
        told: &mut Vec<Told>,
    ) {
        let fills: Vec<(&Order, Fill)> = rest
            .iter()
            .map_while(|event| match event {
                Event::Order(order, What::Fill(fill)) if fill.trade == trade.id => {
                    Some((&**order, *fill))
                }
                _ => None,
            })
            .collect();
        let of = |id: u64| fills.iter().map(|(order, _)| *order).find(|o| o.id == id);
        let spec = core.engine.spec(self.inst);
        let taker = of(trade.taker_order);
        if taker.is_none() && self.announced != trade.taker_order {
            self.announced = trade.taker_order;
            self.message(core, ("received", trade.taker, None), told, || {
                let (id, size) = (order_id(trade.taker_order), qty(spec, size));
                format!("\"order_id\":\"{id}\",\"order_type\":\"market\",\"size\":\"{size}\"")
            });
        }
        self.matched(core, trade, &fills, told);
        let done = |id: u64, at: Option<i64>| {
            let id = order_id(id);
            let mut lead = format!("\"order_id\":\"{id}\",\"reason\":\"filled\"");
            if let Some(at) = at {
                let at = price(spec, at);
                let _ = write!(lead, ",\"price\":\"{at}\",\"remaining_size\":\"0\"");
            }
            lead
        };
        if !self.resting.contains_key(&trade.maker_order) {
            let (side, own) = (trade.taker.opposite(), of(trade.maker_order).map(account));
            self.message(core, ("done", side, own), told, || {
                done(trade.maker_order, Some(trade.price))
            });
        }
        let (is_done, at) = match taker {
            Some(order) => (order.state == State::Filled, order.ask.price),
            None => (trade.id == last, None),
        };
        if is_done {
            self.resting.remove(&trade.taker_order);
            let own = taker.map(account);
            self.message(core, ("done", trade.taker, own), told, || {
                done(trade.taker_order, at)
            });
        }
    }

    fn matched(
        &mut self,
        core: &Core,
        trade: &Trade,
        fills: &[(&Order, Fill)],
        told: &mut Vec<Told>,
    ) {
        self.sequence += 1;
        self.last = Some((*trade, self.sequence));
        if !self.is_heard && fills.is_empty() {
            return;
        }
        let head = self.match_head(core, "match", trade, self.sequence);
        let own = fills.iter().map(|(order, fill)| {
            let account = account(order);
            let (user, profile) = (user_id(account), profile_id(account));
            let role = if fill.is_maker { "maker" } else { "taker" };
            let rate = reply::rate(fill.is_maker);
            let text = format!(
                "{head},\"{role}_user_id\":\"{user}\",\"user_id\":\"{user}\",\
                 \"{role}_profile_id\":\"{profile}\",\"profile_id\":\"{profile}\",\
                 \"{role}_fee_rate\":\"{rate}\"}}"
            );
            (account, text)
        });
        told.push(Told {
            own: own.collect(),
            text: head + "}",
            is_match: true,
        });
    }

    /// A match without its last brace. `side` is the maker's.
    fn match_head(&self, core: &Core, kind: &str, trade: &Trade, sequence: i64) -> String {
        let spec = core.engine.spec(self.inst);
        format!(
            "{{\"type\":\"{kind}\",\"trade_id\":{},\"maker_order_id\":\"{}\",\
             \"taker_order_id\":\"{}\",\"side\":\"{}\",\"size\":\"{}\",\"price\":\"{}\",\
             \"product_id\":\"{}\",\"sequence\":{sequence},\"time\":\"{}\"",
            trade.id,
            order_id(trade.maker_order),
            order_id(trade.taker_order),
            reply::side(trade.taker.opposite()),
            qty(spec, trade.qty),
            price(spec, trade.price),
            self.product,
            reply::iso(core, trade.at_ns)
        )
    }

    /// A message about one order: what is of its kind (`lead`), then what all have.
    fn message(
        &mut self,
        core: &Core,
        (kind, side, own): (&str, Side, Option<AccountId>),
        told: &mut Vec<Told>,
        lead: impl FnOnce() -> String,
    ) {
        self.sequence += 1;
        if !self.is_heard && own.is_none() {
            return;
        }
        let head = format!(
            "{{{},\"type\":\"{kind}\",\"side\":\"{}\",\"product_id\":\"{}\",\"time\":\"{}\",\
             \"sequence\":{}",
            lead(),
            reply::side(side),
            self.product,
            reply::iso(core, core.now),
            self.sequence
        );
        let own = own.map(|account| {
            let (user, profile) = (user_id(account), profile_id(account));
            let text = format!("{head},\"user_id\":\"{user}\",\"profile_id\":\"{profile}\"}}");
            (account, text)
        });
        told.push(Told {
            own: own.into_iter().collect(),
            text: head + "}",
            is_match: false,
        });
    }
}

fn account(order: &Order) -> AccountId {
    order.ask.account
}

fn is_own(order: &Order) -> bool {
    order.ask.account != MARKET
}
