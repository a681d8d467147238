//! Public streams: diff depth, trades, best quotes, aggregated trades.
//!
//! ```text
//!  level change n, n+1, … ──▶ Batch 100 ms ──▶ depthUpdate pu = id(last), U = id(last) + 2, u = id(n+k)
//!                         └─▶ Batch 250 ms ──▶ the same, with its own chain
//! ```
//! An update id is three times the engine's: ids skip, so that only `pu` chains diffs. REST books and best quotes
//! share the counter.

use super::reply::{price, qty};
use crate::core::Core;
use crate::engine::{Event, Side, Spec, Trade};
use crate::venues::binance::streams::{Listeners, best, next_slot, publish, split, wrap};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Cadence of `@depth@100ms`.
const FAST_NS: u64 = 100_000_000;
/// Cadence of `@depth`.
const SLOW_NS: u64 = 250_000_000;
/// How often a book is kept for those who want an old one.
const OLD_NS: u64 = 1_000_000_000;
/// Levels of a kept book.
const OLD_LEVELS: usize = 1_000;

/// The venue's id of an engine's.
const fn id(engine: u64) -> u64 {
    engine * 3
}

/// Changes since the last diff.
#[derive(Debug)]
struct Batch {
    last: u64,
    dirty: BTreeMap<(Side, i64), i64>,
}

impl Batch {
    const fn new(last: u64) -> Self {
        Self {
            last,
            dirty: BTreeMap::new(),
        }
    }

    /// The next diff event, if anything changed.
    fn event(&mut self, spec: &Spec, symbol: &str, now_ms: i64, update_id: u64) -> Option<String> {
        if self.dirty.is_empty() {
            return None;
        }
        let before = id(self.last);
        self.last = update_id;
        let mut sides = [String::new(), String::new()];
        for ((side, at), total) in std::mem::take(&mut self.dirty) {
            push_level(&mut sides[usize::from(side == Side::Sell)], spec, at, total);
        }
        let [bids, asks] = sides;
        Some(format!(
            "{{\"e\":\"depthUpdate\",\"E\":{now_ms},\"T\":{now_ms},\"s\":\"{symbol}\",\"U\":{},\
             \"u\":{},\"pu\":{before},\"b\":[{bids}],\"a\":[{asks}]}}",
            before + 2,
            id(update_id)
        ))
    }
}

fn push_level(out: &mut String, spec: &Spec, at: i64, total: i64) {
    let comma = if out.is_empty() { "" } else { "," };
    let _ = write!(
        out,
        "{comma}[\"{}\",\"{}\"]",
        price(spec, at),
        qty(spec, total)
    );
}

/// A REST book.
pub fn book_json(core: &Core, inst: usize, limit: usize) -> String {
    let (spec, book) = (core.engine.spec(inst), core.engine.book(inst));
    let side = |side| {
        let mut out = String::new();
        for (at, level) in book.levels(side).take(limit) {
            push_level(&mut out, spec, at, level.total);
        }
        out
    };
    let now_ms = core.venue_ms();
    format!(
        "{{\"lastUpdateId\":{},\"E\":{now_ms},\"T\":{now_ms},\"bids\":[{}],\"asks\":[{}]}}",
        id(core.engine.update_id(inst)),
        side(Side::Buy),
        side(Side::Sell)
    )
}

/// One instrument's streams.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    lower: String,
    fast: Batch,
    slow: Batch,
    fast_due: u64,
    slow_due: u64,
    old_due: u64,
    bbo: [(i64, i64); 2],
    aggregate: u64,
    /// A REST book of about a second ago, and the one before it.
    pub old: [String; 2],
}

impl Feed {
    /// The streams of an instrument, from its book as it is.
    pub fn new(core: &Core, inst: usize, symbol: &str) -> Self {
        let (now, last) = (core.now, core.engine.update_id(inst));
        let book = core.engine.book(inst);
        let text = book_json(core, inst, OLD_LEVELS);
        Self {
            inst,
            symbol: symbol.to_owned(),
            lower: symbol.to_ascii_lowercase(),
            fast: Batch::new(last),
            slow: Batch::new(last),
            fast_due: now + FAST_NS,
            slow_due: now + SLOW_NS,
            old_due: now + OLD_NS,
            bbo: [best(book, Side::Buy), best(book, Side::Sell)],
            aggregate: last,
            old: [text.clone(), text],
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        self.fast_due.min(self.slow_due).min(self.old_due)
    }

    /// Holds the depth streams back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.fast_due = self.fast_due.max(until);
        self.slow_due = self.slow_due.max(until);
    }

    /// Takes in a batch of events of the engine and publishes what is real-time.
    pub fn on_events(&mut self, core: &mut Core, events: &[Event], listeners: Listeners<'_>) {
        let mut trades: Vec<Trade> = Vec::new();
        for event in events {
            match event {
                Event::Level {
                    inst,
                    side,
                    price,
                    qty,
                    ..
                } if *inst == self.inst => {
                    self.fast.dirty.insert((*side, *price), *qty);
                    self.slow.dirty.insert((*side, *price), *qty);
                }
                Event::Trade(trade) if trade.inst == self.inst => trades.push(*trade),
                _ => {}
            }
        }
        if !trades.is_empty() {
            self.print(core, &trades, listeners);
        }
        self.quote(core, listeners);
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if core.now >= self.fast_due {
            self.fast_due = next_slot(core.now, FAST_NS);
            self.diff(core, true, listeners);
        }
        if core.now >= self.slow_due {
            self.slow_due = next_slot(core.now, SLOW_NS);
            self.diff(core, false, listeners);
        }
        if core.now >= self.old_due {
            self.old_due = next_slot(core.now, OLD_NS);
            self.old.swap(0, 1);
            self.old[1] = book_json(core, self.inst, OLD_LEVELS);
        }
    }

    fn diff(&mut self, core: &mut Core, is_fast: bool, listeners: Listeners<'_>) {
        let now_ms = core.venue_ms();
        let (suffix, batch) = if is_fast {
            ("@100ms", &mut self.fast)
        } else {
            ("", &mut self.slow)
        };
        let update_id = core.engine.update_id(self.inst);
        let spec = core.engine.spec(self.inst);
        let name = format!("{}@depth{suffix}", self.lower);
        if let Some(event) = batch.event(spec, &self.symbol, now_ms, update_id) {
            let (plain, wrapped) = split(&listeners(&name));
            core.publish_depth(&format!("{name} wrapped"), &wrapped, wrap(&name, &event));
            core.publish_depth(&name, &plain, event);
        }
    }

    fn print(&mut self, core: &mut Core, trades: &[Trade], listeners: Listeners<'_>) {
        let now_ms = core.venue_ms();
        let spec = core.engine.spec(self.inst).clone();
        let symbol = &self.symbol;
        let name = format!("{}@trade", self.lower);
        for trade in trades {
            let text = format!(
                "{{\"e\":\"trade\",\"E\":{now_ms},\"T\":{},\"s\":\"{symbol}\",\"t\":{},\"p\":\"{}\",\
                 \"q\":\"{}\",\"X\":\"MARKET\",\"m\":{}}}",
                trade.at_ns / 1_000_000,
                trade.id,
                price(&spec, trade.price),
                qty(&spec, trade.qty),
                trade.taker == Side::Sell,
            );
            publish(core, &name, text, listeners);
        }
        let name = format!("{}@aggTrade", self.lower);
        for run in trades.chunk_by(|a, b| (a.taker_order, a.price) == (b.taker_order, b.price)) {
            self.aggregate += 1;
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let total: i64 = run.iter().map(|trade| trade.qty).sum();
            let text = format!(
                "{{\"e\":\"aggTrade\",\"E\":{now_ms},\"a\":{},\"s\":\"{symbol}\",\"p\":\"{}\",\
                 \"q\":\"{}\",\"f\":{},\"l\":{},\"T\":{},\"m\":{}}}",
                self.aggregate,
                price(&spec, first.price),
                qty(&spec, total),
                first.id,
                last.id,
                first.at_ns / 1_000_000,
                first.taker == Side::Sell,
            );
            publish(core, &name, text, listeners);
        }
    }

    fn quote(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let book = core.engine.book(self.inst);
        let bbo = [best(book, Side::Buy), best(book, Side::Sell)];
        if bbo == self.bbo {
            return;
        }
        self.bbo = bbo;
        let name = format!("{}@bookTicker", self.lower);
        let (spec, now_ms) = (core.engine.spec(self.inst), core.venue_ms());
        let [bid, ask] = bbo;
        let text = format!(
            "{{\"e\":\"bookTicker\",\"u\":{},\"s\":\"{}\",\"b\":\"{}\",\"B\":\"{}\",\"a\":\"{}\",\
             \"A\":\"{}\",\"T\":{now_ms},\"E\":{now_ms}}}",
            id(core.engine.update_id(self.inst)),
            self.symbol,
            price(spec, bid.0),
            qty(spec, bid.1),
            price(spec, ask.0),
            qty(spec, ask.1)
        );
        publish(core, &name, text, listeners);
    }
}
