//! Public channels of a product: level2, level2_batch, full, matches, ticker, ticker_batch, heartbeat.
//!
//! ```text
//!  subscribe ─▶ snapshot ─▶ l2update with each change (level2) or every 50 ms (level2_batch)
//!  full       numbered from the tape; GET /products/X/book says at which number its book stands
//! ```
//! level2 has neither numbers nor checksums: the venue promises that nothing is lost while the connection lives.

use super::full::{Tape, Told};
use super::reply::{iso, side};
use super::ws::Channel;
use crate::core::{ConnId, Core};
use crate::engine::{AccountId, Book, Engine, Event, Side, Spec};
use crate::fault::Depth;
use crate::text::{amount8, fixed, price, qty};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Cadence of `level2_batch`.
const BATCH_NS: u64 = 50_000_000;
/// Cadence of `heartbeat`.
const BEAT_NS: u64 = 1_000_000_000;
/// Cadence of `ticker_batch`.
const SLOW_NS: u64 = 5_000_000_000;
/// Messages kept back while the stream lags behind a REST book; beyond them it lags no longer.
const WAITING_MAX: usize = 100_000;
/// Where a product's numbers start.
const FIRST_SEQUENCE: i64 = 37_475_248_783;

/// Who listens: by channel and instrument index.
pub type Listeners<'a> = &'a dyn Fn(Channel, usize) -> Vec<ConnId>;
/// What a book consists of in an answer: `level=1`, `2` or `3`.
type Detail = usize;

/// A message of an account's own order.
#[derive(Debug)]
pub struct Own {
    /// Whose.
    pub account: AccountId,
    /// What is told.
    pub text: String,
    /// Whether it tells of a fill.
    pub is_fill: bool,
}

/// One product's channels.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    product: String,
    tape: Tape,
    changed: BTreeSet<(Side, i64)>,
    batched: BTreeSet<(Side, i64)>,
    batch_due: u64,
    beat_due: u64,
    slow_due: u64,
    is_slow_changed: bool,
    held_until: u64,
    waiting: Vec<(Channel, String)>,
    /// REST books of about a second ago, and those before them, one of each detail; while `full` is followed,
    /// since older than nothing means nothing.
    old: [Option<[String; 3]>; 2],
}

impl Feed {
    /// The channels of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, product: &str, now: u64) -> Self {
        Self {
            inst,
            product: product.to_owned(),
            tape: Tape::new(engine, inst, product, FIRST_SEQUENCE),
            changed: BTreeSet::new(),
            batched: BTreeSet::new(),
            batch_due: now + BATCH_NS,
            beat_due: now + BEAT_NS,
            slow_due: now + SLOW_NS,
            is_slow_changed: false,
            held_until: 0,
            waiting: Vec::new(),
            old: [None, None],
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        self.batch_due.min(self.beat_due).min(self.slow_due)
    }

    /// Holds what concerns the book back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.held_until = self.held_until.max(until);
    }

    /// Makes sequence numbers fall from the next message on.
    pub fn reset_sequence(&mut self) {
        self.tape.reset();
    }

    /// Takes in events of the engine, publishes what is real-time, and returns the messages of own orders.
    pub fn on_events(
        &mut self,
        core: &mut Core,
        events: &[Event],
        listeners: Listeners<'_>,
    ) -> Vec<Own> {
        for event in events {
            if let Event::Level {
                inst, side, price, ..
            } = event
                && *inst == self.inst
            {
                self.changed.insert((*side, *price));
                self.batched.insert((*side, *price));
            }
        }
        let hears = |channel| !listeners(channel, self.inst).is_empty();
        let is_heard = hears(Channel::Full) || hears(Channel::Matches);
        let last = self.tape.last();
        let told = self.tape.read(core, events, is_heard);
        let is_traded = self.tape.last() != last;
        let mut own = Vec::new();
        for Told {
            text,
            is_match,
            own: to,
        } in told
        {
            own.extend(to.into_iter().map(|(account, text)| Own {
                account,
                text,
                is_fill: is_match,
            }));
            if is_match {
                self.pass(core, Channel::Matches, text.clone(), listeners);
            }
            self.pass(core, Channel::Full, text, listeners);
        }
        self.push_level2(core, listeners);
        if is_traded {
            self.is_slow_changed = true;
            self.push_ticker(core, Channel::Ticker, listeners);
        }
        own
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if core.now >= self.held_until {
            for (channel, text) in std::mem::take(&mut self.waiting) {
                self.pass(core, channel, text, listeners);
            }
            self.push_level2(core, listeners);
        }
        if core.now >= self.batch_due {
            self.batch_due = next_slot(core.now, BATCH_NS);
            if core.now >= self.held_until {
                let changed = std::mem::take(&mut self.batched);
                self.push_changes(core, Channel::Level2Batch, &changed, listeners);
            }
        }
        if core.now >= self.slow_due {
            self.slow_due = next_slot(core.now, SLOW_NS);
            if std::mem::take(&mut self.is_slow_changed) {
                self.push_ticker(core, Channel::TickerBatch, listeners);
            }
        }
        if core.now >= self.beat_due {
            self.beat_due = next_slot(core.now, BEAT_NS);
            let conns = listeners(Channel::Heartbeat, self.inst);
            if !conns.is_empty() {
                let text = self.heartbeat(core);
                core.publish(&conns, text);
            }
            let is_followed = !listeners(Channel::Full, self.inst).is_empty();
            let books = || [1, 2, 3].map(|detail| self.rest_book(core, detail));
            let books = is_followed.then(books);
            self.old.swap(0, 1);
            self.old[1] = books;
        }
    }

    /// What a new subscriber of a channel gets at once.
    pub fn subscribed(&self, core: &mut Core, channel: Channel, conn: ConnId) {
        let text = match channel {
            Channel::Level2 | Channel::Level2Batch => Some(self.snapshot(core)),
            Channel::Ticker | Channel::TickerBatch => self.ticker(core),
            Channel::Matches => self.tape.last_match(core),
            _ => None,
        };
        if let Some(text) = text {
            core.send(conn, text);
        }
    }

    /// A REST book. Detail 1, 2 or 3.
    pub fn rest_book(&self, core: &Core, detail: Detail) -> String {
        let levels = if detail == 1 { 1 } else { usize::MAX };
        let side = |side| rest_side(&core.engine, self.inst, side, levels, detail == 3);
        format!(
            "{{\"bids\":[{}],\"asks\":[{}],\"sequence\":{},\"auction_mode\":false,\"auction\":null,\
             \"time\":\"{}\"}}",
            side(Side::Buy),
            side(Side::Sell),
            self.tape.sequence(),
            iso(core, core.now)
        )
    }

    /// A REST book of one or two seconds ago, where there is one.
    pub fn old_book(&self, detail: Detail) -> Option<&str> {
        let books = self.old.iter().flatten().next()?;
        books.get(detail - 1).map(String::as_str)
    }

    /// Publishes a message of the tape, unless the stream is held back.
    fn pass(&mut self, core: &mut Core, channel: Channel, text: String, listeners: Listeners<'_>) {
        if core.now < self.held_until && self.waiting.len() < WAITING_MAX {
            self.waiting.push((channel, text));
            return;
        }
        let conns = listeners(channel, self.inst);
        if channel == Channel::Full {
            core.publish_on(Depth::Orders, &self.product, &conns, text);
        } else if !conns.is_empty() {
            core.publish(&conns, text);
        }
    }

    fn push_level2(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if core.now >= self.held_until {
            let changed = std::mem::take(&mut self.changed);
            self.push_changes(core, Channel::Level2, &changed, listeners);
        }
    }

    fn push_changes(
        &self,
        core: &mut Core,
        channel: Channel,
        changed: &BTreeSet<(Side, i64)>,
        listeners: Listeners<'_>,
    ) {
        let conns = listeners(channel, self.inst);
        if changed.is_empty() || conns.is_empty() {
            return;
        }
        core.brings_books(&conns);
        let (spec, book) = (core.engine.spec(self.inst), core.engine.book(self.inst));
        let mut rows = String::new();
        for &(of, at) in changed {
            let comma = if rows.is_empty() { "" } else { "," };
            let _ = write!(
                rows,
                "{comma}[\"{}\",\"{}\",\"{}\"]",
                side(of),
                whole_price(spec, at),
                whole_qty(spec, book.total(of, at))
            );
        }
        let text = format!(
            "{{\"type\":\"l2update\",\"product_id\":\"{}\",\"changes\":[{rows}],\"time\":\"{}\"}}",
            self.product,
            iso(core, core.now)
        );
        core.publish(&conns, text);
    }

    fn snapshot(&self, core: &Core) -> String {
        let (spec, book) = (core.engine.spec(self.inst), core.engine.book(self.inst));
        let side = |side| {
            let mut out = String::new();
            for (at, level) in book.levels(side) {
                let comma = if out.is_empty() { "" } else { "," };
                let (at, size) = (whole_price(spec, at), whole_qty(spec, level.total));
                let _ = write!(out, "{comma}[\"{at}\",\"{size}\"]");
            }
            out
        };
        format!(
            "{{\"type\":\"snapshot\",\"product_id\":\"{}\",\"asks\":[{}],\"bids\":[{}],\
             \"time\":\"{}\"}}",
            self.product,
            side(Side::Sell),
            side(Side::Buy),
            iso(core, core.now)
        )
    }

    fn heartbeat(&self, core: &Core) -> String {
        format!(
            "{{\"type\":\"heartbeat\",\"last_trade_id\":{},\"product_id\":\"{}\",\"sequence\":{},\
             \"time\":\"{}\"}}",
            core.engine.day(self.inst).last_trade,
            self.product,
            self.tape.sequence(),
            iso(core, core.now)
        )
    }

    fn push_ticker(&self, core: &mut Core, channel: Channel, listeners: Listeners<'_>) {
        let conns = listeners(channel, self.inst);
        if conns.is_empty() {
            return;
        }
        if let Some(text) = self.ticker(core) {
            core.publish(&conns, text);
        }
    }

    /// `None` before the first trade: a ticker tells of one. `side` is the taker's.
    fn ticker(&self, core: &Core) -> Option<String> {
        let (trade, sequence) = self.tape.last()?;
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let book = core.engine.book(self.inst);
        let (bid, ask) = (best(book, Side::Buy), best(book, Side::Sell));
        let volume = amount8(spec.base_amount(day.volume));
        Some(format!(
            "{{\"type\":\"ticker\",\"sequence\":{sequence},\"product_id\":\"{}\",\"price\":\"{}\",\
             \"open_24h\":\"{}\",\"volume_24h\":\"{volume}\",\"low_24h\":\"{}\",\"high_24h\":\"{}\",\
             \"volume_30d\":\"{volume}\",\"best_bid\":\"{}\",\"best_bid_size\":\"{}\",\
             \"best_ask\":\"{}\",\"best_ask_size\":\"{}\",\"side\":\"{}\",\"time\":\"{}\",\
             \"trade_id\":{},\"last_size\":\"{}\"}}",
            self.product,
            price(spec, trade.price),
            price(spec, day.open),
            price(spec, day.low),
            price(spec, day.high),
            whole_price(spec, bid.0),
            whole_qty(spec, bid.1),
            whole_price(spec, ask.0),
            whole_qty(spec, ask.1),
            side(trade.taker),
            iso(core, trade.at_ns),
            trade.id,
            qty(spec, trade.qty)
        ))
    }
}

fn next_slot(now: u64, length_ns: u64) -> u64 {
    (now / length_ns + 1) * length_ns
}

/// Best price and its size; zeros when there is none.
pub fn best(book: &Book, side: Side) -> (i64, i64) {
    book.best(side)
        .map_or((0, 0), |(price, level)| (price, level.total))
}

/// With all decimals of the tick, as `level2` prints.
fn whole_price(spec: &Spec, at: i64) -> String {
    fixed(i128::from(at), spec.price_decimals, spec.price_decimals)
}

/// With all decimals of the lot.
fn whole_qty(spec: &Spec, size: i64) -> String {
    fixed(i128::from(size), spec.qty_decimals, spec.qty_decimals)
}

/// Levels with how many orders each has, or single orders with their ids.
fn rest_side(
    engine: &Engine,
    inst: usize,
    side: Side,
    levels: usize,
    is_single_orders: bool,
) -> String {
    let (spec, book) = (engine.spec(inst), engine.book(inst));
    let mut out = String::new();
    let mut push = |at: i64, size: i64, last: &str| {
        let comma = if out.is_empty() { "" } else { "," };
        let (at, size) = (price(spec, at), qty(spec, size));
        let _ = write!(out, "{comma}[\"{at}\",\"{size}\",{last}]");
    };
    for (at, level) in book.levels(side).take(levels) {
        if is_single_orders {
            for order in level.queue.iter().filter_map(|id| engine.order(*id)) {
                let id = super::reply::order_id(order.id);
                push(at, order.leaves(), &format!("\"{id}\""));
            }
        } else {
            push(at, level.total, &level.queue.len().to_string());
        }
    }
    out
}
