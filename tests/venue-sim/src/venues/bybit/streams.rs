//! Public topics: orderbook of four depths, publicTrade, tickers.
//!
//! ```text
//!  subscribe ─▶ what is pending goes out ─▶ snapshot u
//!  every 20, 100 or 200 ms with changes within the depth ─▶ delta u + 1
//!  orderbook.1: every 10 ms with changes ─▶ snapshot u + 1; nothing for 3 s ─▶ the same u again
//!  restart ─▶ snapshot u = 1
//! ```
//! Each depth is a book of its own with a counter of its own. What leaves the depth is deleted (recorded: a book of
//! 500 stays one of 500), bids and asks come best first.

use super::Category;
use super::reply::{self, execution_id, px, sequence, sz};
use crate::core::{ConnId, Core};
use crate::engine::{Engine, Event, Side, Spec, Trade};
use crate::text::{amount, trimmed};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const MS: u64 = 1_000_000;
/// Depths and their cadence.
const DEPTHS: [(usize, u64); 4] = [
    (1, 10 * MS),
    (50, 20 * MS),
    (200, 100 * MS),
    (1_000, 200 * MS),
];
/// The depth whose counter REST books carry.
const REST_DEPTH: usize = 3;
/// Levels of a REST book kept for when an old one is asked for.
const OLD_LEVELS: usize = 200;
/// A quiet best level is sent again after so long.
const QUIET_NS: u64 = 3_000 * MS;
/// Cadence of `tickers`: 50 ms on spot, 100 ms elsewhere.
const TICKER_NS: [u64; 2] = [50 * MS, 100 * MS];
/// Trades in one message.
const TRADES_MAX: usize = 1_024;

/// Who listens to a topic.
pub type Listeners<'a> = &'a dyn Fn(Category, &str) -> Vec<ConnId>;

/// Levels of one side by price.
type Levels = BTreeMap<i64, i64>;

/// One depth of one instrument.
#[derive(Debug)]
struct Depth {
    topic: String,
    levels: usize,
    every_ns: u64,
    /// Number of the last message.
    u: u64,
    /// As told by it: bids, asks.
    told: [Levels; 2],
    is_dirty: bool,
    due: u64,
    /// When it was last told; `orderbook.1` is told again.
    told_ns: u64,
}

/// One instrument's topics.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    category: Category,
    depths: [Depth; 4],
    /// Nothing is told of the books before; a fault holds them back.
    held_until: u64,
    last: (i64, &'static str),
    ticker: Map<String, Value>,
    ticker_due: Option<u64>,
    /// A REST book of about a second ago, and the one before it.
    old: [String; 2],
    old_due: u64,
}

impl Feed {
    /// The topics of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, symbol: &str, now: u64) -> Self {
        let depth = |(levels, every_ns): (usize, u64)| Depth {
            topic: format!("orderbook.{levels}.{symbol}"),
            levels,
            every_ns,
            u: engine.update_id(inst) * 10 / levels as u64,
            told: top(engine, inst, levels),
            is_dirty: false,
            due: now + every_ns,
            told_ns: now,
        };
        Self {
            inst,
            symbol: symbol.to_owned(),
            category: Category::of(engine.spec(inst)),
            depths: DEPTHS.map(depth),
            held_until: 0,
            last: (engine.day(inst).last, "ZeroPlusTick"),
            ticker: Map::new(),
            ticker_due: Some(now),
            old: [String::new(), String::new()],
            old_due: now,
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        let depths = self.depths.iter().map(|depth| match depth.levels {
            1 if !depth.is_dirty => depth.told_ns + QUIET_NS,
            _ if !depth.is_dirty => u64::MAX,
            _ => depth.due.max(self.held_until),
        });
        depths
            .min()
            .unwrap_or(u64::MAX)
            .min(self.ticker_due.unwrap_or(u64::MAX))
            .min(self.old_due)
    }

    /// Holds the books back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.held_until = self.held_until.max(until);
    }

    /// The service restarted: every book begins again at 1.
    pub fn restart(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        for at in 0..self.depths.len() {
            let depth = &mut self.depths[at];
            depth.u = 1;
            depth.told = top(&core.engine, self.inst, depth.levels);
            (depth.is_dirty, depth.told_ns) = (false, core.now);
            let conns = listeners(self.category, &depth.topic);
            if !conns.is_empty() {
                let text = self.book(core, at, "snapshot", &self.depths[at].told);
                core.publish(&conns, text);
            }
        }
    }

    /// Takes in events of the engine and publishes what is real-time.
    pub fn on_events(&mut self, core: &mut Core, events: &[Event], listeners: Listeners<'_>) {
        let mut trades: Vec<Trade> = Vec::new();
        let mut is_touched = false;
        for event in events {
            match event {
                Event::Level { inst, .. } => is_touched |= *inst == self.inst,
                Event::Trade(trade) if trade.inst == self.inst => trades.push(*trade),
                _ => {}
            }
        }
        if is_touched {
            for depth in &mut self.depths {
                depth.is_dirty = true;
            }
            let cadence = TICKER_NS[usize::from(self.category == Category::Linear)];
            self.ticker_due.get_or_insert(core.now + cadence);
        }
        self.print(core, &trades, listeners);
        self.push_books(core, listeners);
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        self.push_books(core, listeners);
        let best = &self.depths[0];
        if core.now >= best.told_ns + QUIET_NS && core.now >= self.held_until {
            self.depths[0].told_ns = core.now;
            let conns = listeners(self.category, &self.depths[0].topic);
            if !conns.is_empty() {
                let text = self.book(core, 0, "snapshot", &self.depths[0].told);
                core.publish(&conns, text);
            }
        }
        if self.ticker_due.is_some_and(|due| core.now >= due) {
            self.ticker_due = None;
            if !listeners(self.category, &format!("tickers.{}", self.symbol)).is_empty() {
                self.push_ticker(core, listeners);
            }
        }
        if core.now >= self.old_due {
            self.old_due = core.now + 1_000 * MS;
            let [older, newer] = &mut self.old;
            std::mem::swap(older, newer);
            newer.clear();
            let book = self.rest_book(core, listeners, OLD_LEVELS);
            for kept in self.old.iter_mut().filter(|kept| kept.is_empty()) {
                kept.clone_from(&book);
            }
        }
    }

    /// Whether it is of a category.
    pub fn is_of(&self, category: Category) -> bool {
        self.category == category
    }

    /// Whether a topic is one of this instrument's.
    pub fn has(&self, topic: &str) -> bool {
        let is_named = |name| topic.strip_prefix(name) == Some(self.symbol.as_str());
        self.depths.iter().any(|depth| depth.topic == topic)
            || ["publicTrade.", "tickers."].into_iter().any(is_named)
    }

    /// What a new subscriber of a topic gets at once; those before it get what is pending.
    pub fn subscribed(
        &mut self,
        core: &mut Core,
        topic: &str,
        conn: ConnId,
        listeners: Listeners<'_>,
    ) {
        if let Some(at) = self.depths.iter().position(|depth| depth.topic == topic) {
            self.tell(core, at, listeners);
            let text = self.book(core, at, "snapshot", &self.depths[at].told);
            core.send(conn, text);
        } else if topic.starts_with("tickers") {
            self.push_ticker(core, listeners);
            let text = self.ticker_message(core, "snapshot", &self.ticker);
            core.send(conn, text);
        }
    }

    /// The result of a REST book.
    pub fn rest_book(
        &mut self,
        core: &mut Core,
        listeners: Listeners<'_>,
        levels: usize,
    ) -> String {
        let is_held = core.now < self.held_until;
        if !is_held {
            self.tell(core, REST_DEPTH, listeners);
        }
        let sides = top(&core.engine, self.inst, levels);
        let data = self.levels(core, &sides);
        // Of a book that is ahead of the stream, the number the stream will reach.
        let depth = &self.depths[REST_DEPTH];
        let ahead = u64::from(is_held && depth.is_dirty);
        format!(
            "{{\"s\":\"{}\",{data},\"ts\":{ts},\"u\":{},\"seq\":{},\"cts\":{ts}}}",
            self.symbol,
            depth.u + ahead,
            sequence(core, self.inst),
            ts = core.venue_ms(),
        )
    }

    /// The result of a REST book of one or two seconds ago.
    pub fn old_book(&self) -> &str {
        &self.old[0]
    }

    fn push_books(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        for at in 0..self.depths.len() {
            let depth = &mut self.depths[at];
            if !depth.is_dirty || core.now < depth.due.max(self.held_until) {
                continue;
            }
            // Nobody listens: what changed is told to the next who does, as one change.
            if listeners(self.category, &depth.topic).is_empty() {
                depth.is_dirty = false;
            } else {
                self.tell(core, at, listeners);
            }
        }
    }

    /// Publishes what changed within a depth since it was last told.
    fn tell(&mut self, core: &mut Core, at: usize, listeners: Listeners<'_>) {
        let depth = &mut self.depths[at];
        depth.due = (core.now / depth.every_ns + 1) * depth.every_ns;
        depth.is_dirty = false;
        let now = top(&core.engine, self.inst, depth.levels);
        let [bids, asks] = &depth.told;
        let changed = [changes(bids, &now[0]), changes(asks, &now[1])];
        if changed.iter().all(Levels::is_empty) {
            return;
        }
        depth.u += 1;
        (depth.told, depth.told_ns) = (now, core.now);
        let conns = listeners(self.category, &depth.topic);
        if conns.is_empty() {
            return;
        }
        if depth.levels == 1 {
            let text = self.book(core, at, "snapshot", &self.depths[at].told);
            core.publish(&conns, text);
        } else {
            let text = self.book(core, at, "delta", &changed);
            core.publish_depth(&self.depths[at].topic, &conns, text);
        }
    }

    fn book(&self, core: &Core, at: usize, kind: &str, sides: &[Levels; 2]) -> String {
        let depth = &self.depths[at];
        let data = format!(
            "{{\"s\":\"{}\",{},\"u\":{},\"seq\":{}}}",
            self.symbol,
            self.levels(core, sides),
            depth.u,
            sequence(core, self.inst)
        );
        let (head, ts) = (self.head(core, &depth.topic, kind), core.venue_ms());
        format!("{head}\"data\":{data},\"cts\":{ts}}}")
    }

    /// `"b":[…],"a":[…]`, best first.
    fn levels(&self, core: &Core, [bids, asks]: &[Levels; 2]) -> String {
        let spec = core.engine.spec(self.inst);
        let (mut b, mut a) = (String::new(), String::new());
        for (price, qty) in bids.iter().rev() {
            push_level(&mut b, spec, *price, *qty);
        }
        for (price, qty) in asks {
            push_level(&mut a, spec, *price, *qty);
        }
        format!("\"b\":[{b}],\"a\":[{a}]")
    }

    /// Everything before the data; spot has its time before its type.
    fn head(&self, core: &Core, topic: &str, kind: &str) -> String {
        let ts = core.venue_ms();
        match self.category {
            Category::Spot => format!("{{\"topic\":\"{topic}\",\"ts\":{ts},\"type\":\"{kind}\","),
            Category::Linear => format!("{{\"topic\":\"{topic}\",\"type\":\"{kind}\",\"ts\":{ts},"),
        }
    }

    fn print(&mut self, core: &mut Core, trades: &[Trade], listeners: Listeners<'_>) {
        if trades.is_empty() {
            return;
        }
        let topic = format!("publicTrade.{}", self.symbol);
        let conns = listeners(self.category, &topic);
        for part in trades.chunks(TRADES_MAX) {
            let mut data = String::new();
            for trade in part {
                self.last = (trade.price, tick_direction(self.last, trade.price));
                let comma = if data.is_empty() { "" } else { "," };
                let _ = write!(data, "{comma}{}", self.trade(core, trade));
            }
            if conns.is_empty() {
                continue; // the direction of the last one is kept all the same
            }
            let head = self.head(core, &topic, "snapshot");
            core.publish(&conns, format!("{head}\"data\":[{data}]}}"));
        }
    }

    fn trade(&self, core: &Core, trade: &Trade) -> String {
        let spec = core.engine.spec(self.inst);
        let (side, time) = (reply::side(trade.taker), trade.at_ns / MS);
        let (price, qty) = (px(spec, trade.price), sz(spec, trade.qty));
        let (id, symbol) = (execution_id(self.category, trade.id), &self.symbol);
        let seq = sequence(core, self.inst);
        match self.category {
            Category::Spot => format!(
                "{{\"i\":\"{id}\",\"T\":{time},\"p\":\"{price}\",\"v\":\"{qty}\",\"S\":\"{side}\",\
                 \"s\":\"{symbol}\",\"BT\":false,\"RPI\":false,\"seq\":{seq}}}"
            ),
            Category::Linear => format!(
                "{{\"T\":{time},\"s\":\"{symbol}\",\"S\":\"{side}\",\"v\":\"{qty}\",\"p\":\"{price}\",\
                 \"L\":\"{}\",\"i\":\"{id}\",\"BT\":false,\"RPI\":false,\"seq\":{seq}}}",
                self.last.1
            ),
        }
    }

    /// Spot tells the whole ticker, linear what changed.
    fn push_ticker(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let fresh = ticker(core, self.inst, &self.symbol, self.last.1);
        let changed: Map<String, Value> = fresh
            .iter()
            .filter(|(key, value)| *key == "symbol" || self.ticker.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if changed.len() < 2 {
            return;
        }
        self.ticker = fresh;
        let conns = listeners(self.category, &format!("tickers.{}", self.symbol));
        if conns.is_empty() {
            return;
        }
        let text = match self.category {
            Category::Spot => self.ticker_message(core, "snapshot", &self.ticker),
            Category::Linear => self.ticker_message(core, "delta", &changed),
        };
        core.publish(&conns, text);
    }

    fn ticker_message(&self, core: &Core, kind: &str, data: &Map<String, Value>) -> String {
        let topic = format!("tickers.{}", self.symbol);
        let (cs, ts) = (sequence(core, self.inst), core.venue_ms());
        match self.category {
            Category::Spot => {
                json!({"topic": topic, "ts": ts, "type": kind, "cs": cs, "data": data})
            }
            Category::Linear => {
                json!({"topic": topic, "type": kind, "data": data, "cs": cs, "ts": ts})
            }
        }
        .to_string()
    }
}

/// The best levels of both sides.
fn top(engine: &Engine, inst: usize, levels: usize) -> [Levels; 2] {
    [Side::Buy, Side::Sell].map(|side| {
        let best = engine.book(inst).levels(side).take(levels);
        best.map(|(price, level)| (price, level.total)).collect()
    })
}

/// What turns one side into another; 0 deletes.
fn changes(from: &Levels, to: &Levels) -> Levels {
    let gone = from.keys().filter(|price| !to.contains_key(price));
    let new = to
        .iter()
        .filter(|(price, qty)| from.get(price) != Some(qty));
    gone.map(|price| (*price, 0))
        .chain(new.map(|(price, qty)| (*price, *qty)))
        .collect()
}

fn push_level(out: &mut String, spec: &Spec, price: i64, qty: i64) {
    let comma = if out.is_empty() { "" } else { "," };
    let _ = write!(
        out,
        "{comma}[\"{}\",\"{}\"]",
        px(spec, price),
        sz(spec, qty)
    );
}

fn tick_direction((last, direction): (i64, &'static str), price: i64) -> &'static str {
    match (price.cmp(&last), direction) {
        (std::cmp::Ordering::Greater, _) => "PlusTick",
        (std::cmp::Ordering::Less, _) => "MinusTick",
        (_, "PlusTick" | "ZeroPlusTick") => "ZeroPlusTick",
        _ => "ZeroMinusTick",
    }
}

/// The figures of an instrument's day, as its category's stream tells them.
fn ticker(core: &Core, inst: usize, symbol: &str, direction: &str) -> Map<String, Value> {
    let (spec, day) = (core.engine.spec(inst), core.engine.day(inst));
    let change = trimmed(
        i128::from(day.last - day.open) * 10_000 / i128::from(day.open.max(1)),
        4,
    );
    let all = if spec.is_contract {
        let best = best_fields(core, inst);
        json!({
            "symbol": symbol, "tickDirection": direction, "price24hPcnt": change,
            "lastPrice": px(spec, day.last), "prevPrice24h": px(spec, day.open),
            "highPrice24h": px(spec, day.high), "lowPrice24h": px(spec, day.low),
            "prevPrice1h": px(spec, day.open), "markPrice": px(spec, day.last),
            "indexPrice": px(spec, day.last), "openInterest": "0", "openInterestValue": "0",
            "turnover24h": amount(day.quote_volume), "volume24h": sz(spec, day.volume),
            "nextFundingTime": "1795248000000", "fundingRate": "0.0001",
            "bid1Price": best[0], "bid1Size": best[1], "ask1Price": best[2], "ask1Size": best[3],
        })
    } else {
        json!({
            "symbol": symbol, "lastPrice": px(spec, day.last),
            "highPrice24h": px(spec, day.high), "lowPrice24h": px(spec, day.low),
            "prevPrice24h": px(spec, day.open), "volume24h": sz(spec, day.volume),
            "turnover24h": amount(day.quote_volume), "price24hPcnt": change,
            "usdIndexPrice": px(spec, day.last),
        })
    };
    match all {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Price and size of the best bid and ask.
fn best_fields(core: &Core, inst: usize) -> [String; 4] {
    let (spec, book) = (core.engine.spec(inst), core.engine.book(inst));
    let [bid, ask] = [Side::Buy, Side::Sell].map(|side| book.best(side));
    let price = |best: Option<(i64, &crate::engine::Level)>| {
        best.map_or(String::new(), |(at, _)| px(spec, at))
    };
    let size = |best: Option<(i64, &crate::engine::Level)>| {
        best.map_or(String::new(), |(_, level)| sz(spec, level.total))
    };
    [price(bid), size(bid), price(ask), size(ask)]
}

/// A ticker as REST shows it: the stream's fields, and the best prices of spot too.
pub fn rest_ticker(core: &Core, inst: usize, symbol: &str) -> Value {
    let mut row = ticker(core, inst, symbol, "ZeroPlusTick");
    let keys = ["bid1Price", "bid1Size", "ask1Price", "ask1Size"];
    for (key, value) in keys.into_iter().zip(best_fields(core, inst)) {
        row.insert(key.to_owned(), Value::String(value));
    }
    if core.engine.spec(inst).is_contract {
        row.shift_remove("tickDirection");
    }
    Value::Object(row)
}
