//! Public streams: diff and partial depth, trades, best quotes, tickers.
//!
//! ```text
//!  level change n, n+1, … ──▶ Batch 100 ms ──▶ depthUpdate U = last u + 1, u = n+k
//!                         └─▶ Batch 1 s    ──▶ the same, with its own U/u chain
//! ```
//! The update id is the engine's: REST books, diffs and best quotes share one counter.

use crate::core::{ConnId, Core};
use crate::engine::{Book, Day, Engine, Event, Side, Spec, Trade};
use crate::text::{amount8, fixed, price8, qty8};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Cadence of `@depth@100ms`.
pub const FAST_NS: u64 = 100_000_000;
/// Cadence of `@depth` and tickers.
pub const SLOW_NS: u64 = 1_000_000_000;

/// Changes since the last diff.
#[derive(Debug)]
pub struct Batch {
    last: u64,
    dirty: Changes,
}

/// Levels that changed: side and price, and the quantity there now.
pub type Changes = BTreeMap<(Side, i64), i64>;

impl Batch {
    /// Nothing has changed since this number.
    pub const fn since(last: u64) -> Self {
        Self {
            last,
            dirty: BTreeMap::new(),
        }
    }

    /// Notes a change.
    pub fn note(&mut self, side: Side, price: i64, qty: i64) {
        self.dirty.insert((side, price), qty);
    }

    /// The number the next diff begins with, and what it tells, if anything changed.
    pub fn take(&mut self, update_id: u64) -> Option<(u64, Changes)> {
        if self.dirty.is_empty() {
            return None;
        }
        let first = self.last + 1;
        self.last = update_id;
        Some((first, std::mem::take(&mut self.dirty)))
    }

    /// The next diff event, if anything changed.
    fn event(&mut self, spec: &Spec, symbol: &str, now_ms: i64, update_id: u64) -> Option<String> {
        let (first, changes) = self.take(update_id)?;
        let mut sides = [String::new(), String::new()];
        for ((side, price), qty) in changes {
            push_level(
                &mut sides[usize::from(side == Side::Sell)],
                spec,
                price,
                qty,
            );
        }
        let [bids, asks] = sides;
        Some(format!(
            "{{\"e\":\"depthUpdate\",\"E\":{now_ms},\"s\":\"{symbol}\",\"U\":{first},\
             \"u\":{update_id},\"b\":[{bids}],\"a\":[{asks}]}}"
        ))
    }
}

fn push_level(out: &mut String, spec: &Spec, price: i64, qty: i64) {
    let comma = if out.is_empty() { "" } else { "," };
    let _ = write!(
        out,
        "{comma}[\"{}\",\"{}\"]",
        price8(spec, price),
        qty8(spec, qty)
    );
}

/// A REST book or a partial depth payload.
pub fn book_json(engine: &Engine, inst: usize, limit: usize) -> String {
    let (spec, book) = (engine.spec(inst), engine.book(inst));
    let side = |side| {
        let mut out = String::new();
        for (price, level) in book.levels(side).take(limit) {
            push_level(&mut out, spec, price, level.total);
        }
        out
    };
    format!(
        "{{\"lastUpdateId\":{},\"bids\":[{}],\"asks\":[{}]}}",
        engine.update_id(inst),
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
    bbo: [(i64, i64); 2],
    aggregate: u64,
    /// A REST book of about a second ago, and the one before it.
    pub old: [String; 2],
}

/// Who listens to a stream: `(plain, wrapped)` connections by stream name.
pub type Listeners<'a> = &'a dyn Fn(&str) -> Vec<(ConnId, bool)>;

impl Feed {
    /// The streams of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, symbol: &str, now: u64) -> Self {
        let last = engine.update_id(inst);
        let batch = || Batch::since(last);
        let book = book_json(engine, inst, 5_000);
        Self {
            inst,
            symbol: symbol.to_owned(),
            lower: symbol.to_ascii_lowercase(),
            fast: batch(),
            slow: batch(),
            fast_due: now + FAST_NS,
            slow_due: now + SLOW_NS,
            bbo: [
                best(engine.book(inst), Side::Buy),
                best(engine.book(inst), Side::Sell),
            ],
            aggregate: last,
            old: [book.clone(), book],
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        self.fast_due.min(self.slow_due)
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
                    self.fast.note(*side, *price, *qty);
                    self.slow.note(*side, *price, *qty);
                }
                Event::Trade(trade) if trade.inst == self.inst => trades.push(*trade),
                _ => {}
            }
        }
        self.print(core, &trades, listeners);
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
            self.tickers(core, listeners);
            let [older, newer] = &mut self.old;
            std::mem::swap(older, newer);
            *newer = book_json(&core.engine, self.inst, 5_000);
        }
    }

    fn diff(&mut self, core: &mut Core, is_fast: bool, listeners: Listeners<'_>) {
        let now_ms = core.venue_ms();
        let suffix = if is_fast { "@100ms" } else { "" };
        let batch = if is_fast {
            &mut self.fast
        } else {
            &mut self.slow
        };
        let update_id = core.engine.update_id(self.inst);
        let spec = core.engine.spec(self.inst);
        let event = batch.event(spec, &self.symbol, now_ms, update_id);
        let name = format!("{}@depth{suffix}", self.lower);
        if let Some(event) = event {
            let (plain, wrapped) = split(&listeners(&name));
            core.publish_depth(&format!("{name} wrapped"), &wrapped, wrap(&name, &event));
            core.publish_depth(&name, &plain, event);
        }
        for depth in [5, 10, 20] {
            let name = format!("{}@depth{depth}{suffix}", self.lower);
            if !listeners(&name).is_empty() {
                let text = book_json(&core.engine, self.inst, depth);
                publish(core, &name, text, listeners);
            }
        }
    }

    fn print(&mut self, core: &mut Core, trades: &[Trade], listeners: Listeners<'_>) {
        if trades.is_empty() {
            return;
        }
        let now_ms = core.venue_ms();
        let spec = core.engine.spec(self.inst).clone();
        let symbol = self.symbol.clone();
        let name = format!("{}@trade", self.lower);
        if !listeners(&name).is_empty() {
            for trade in trades {
                let text = format!(
                    "{{\"e\":\"trade\",\"E\":{now_ms},\"s\":\"{symbol}\",\"t\":{},\"p\":\"{}\",\
                     \"q\":\"{}\",\"T\":{},\"m\":{},\"M\":true}}",
                    trade.id,
                    price8(&spec, trade.price),
                    qty8(&spec, trade.qty),
                    trade.at_ns / 1_000_000,
                    trade.taker == Side::Sell,
                );
                publish(core, &name, text, listeners);
            }
        }
        let name = format!("{}@aggTrade", self.lower);
        for run in trades.chunk_by(|a, b| (a.taker_order, a.price) == (b.taker_order, b.price)) {
            self.aggregate += 1;
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let qty: i64 = run.iter().map(|trade| trade.qty).sum();
            let text = format!(
                "{{\"e\":\"aggTrade\",\"E\":{now_ms},\"s\":\"{symbol}\",\"a\":{},\"p\":\"{}\",\
                 \"q\":\"{}\",\"f\":{},\"l\":{},\"T\":{},\"m\":{},\"M\":true}}",
                self.aggregate,
                price8(&spec, first.price),
                qty8(&spec, qty),
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
        if listeners(&name).is_empty() {
            return;
        }
        let spec = core.engine.spec(self.inst);
        let text = format!(
            "{{\"u\":{},{}}}",
            core.engine.update_id(self.inst),
            bbo_fields(spec, &self.symbol, bbo)
        );
        publish(core, &name, text, listeners);
    }

    fn tickers(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let name = format!("{}@ticker", self.lower);
        if !listeners(&name).is_empty() {
            let text = self.ticker(core);
            publish(core, &name, text, listeners);
        }
        let name = format!("{}@miniTicker", self.lower);
        if !listeners(&name).is_empty() {
            let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
            let text = format!(
                "{{\"e\":\"24hrMiniTicker\",\"E\":{},\"s\":\"{}\",\"c\":\"{}\",\"o\":\"{}\",\
                 \"h\":\"{}\",\"l\":\"{}\",\"v\":\"{}\",\"q\":\"{}\"}}",
                core.venue_ms(),
                self.symbol,
                price8(spec, day.last),
                price8(spec, day.open),
                price8(spec, day.high),
                price8(spec, day.low),
                qty8(spec, day.volume),
                amount8(day.quote_volume),
            );
            publish(core, &name, text, listeners);
        }
    }

    fn ticker(&self, core: &Core) -> String {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let now_ms = core.venue_ms();
        let [bid, ask] = self.bbo;
        let (change, percent) = change(spec, day);
        format!(
            "{{\"e\":\"24hrTicker\",\"E\":{now_ms},\"s\":\"{}\",\"p\":\"{change}\",\
             \"P\":\"{percent}\",\"w\":\"{}\",\"x\":\"{}\",\"c\":\"{}\",\"Q\":\"{}\",\
             \"b\":\"{}\",\"B\":\"{}\",\"a\":\"{}\",\"A\":\"{}\",\"o\":\"{}\",\"h\":\"{}\",\
             \"l\":\"{}\",\"v\":\"{}\",\"q\":\"{}\",\"O\":{},\"C\":{now_ms},\"F\":{},\"L\":{},\
             \"n\":{}}}",
            self.symbol,
            vwap(spec, day),
            price8(spec, day.open),
            price8(spec, day.last),
            qty8(spec, day.last_qty),
            price8(spec, bid.0),
            qty8(spec, bid.1),
            price8(spec, ask.0),
            qty8(spec, ask.1),
            price8(spec, day.open),
            price8(spec, day.high),
            price8(spec, day.low),
            qty8(spec, day.volume),
            amount8(day.quote_volume),
            now_ms - 86_400_000,
            day.first_trade,
            day.last_trade,
            day.count,
        )
    }
}

/// Volume-weighted average price of the day.
pub fn vwap(spec: &Spec, day: Day) -> String {
    let base = spec.base_amount(day.volume);
    if base == 0 {
        return price8(spec, day.last);
    }
    fixed(day.quote_volume.saturating_mul(100_000_000) / base, 8, 8)
}

/// Change of the day, absolute and in percent.
pub fn change(spec: &Spec, day: Day) -> (String, String) {
    let change = day.last - day.open;
    let percent = i128::from(change) * 100_000 / i128::from(day.open.max(1));
    (price8(spec, change), fixed(percent, 3, 3))
}

/// `"s":…,"b":…,"B":…,"a":…,"A":…`.
pub fn bbo_fields(spec: &Spec, symbol: &str, bbo: [(i64, i64); 2]) -> String {
    let [bid, ask] = bbo;
    format!(
        "\"s\":\"{symbol}\",\"b\":\"{}\",\"B\":\"{}\",\"a\":\"{}\",\"A\":\"{}\"",
        price8(spec, bid.0),
        qty8(spec, bid.1),
        price8(spec, ask.0),
        qty8(spec, ask.1)
    )
}

/// Best price and quantity; zeros when a side is empty.
pub fn best(book: &Book, side: Side) -> (i64, i64) {
    book.best(side)
        .map_or((0, 0), |(price, level)| (price, level.total))
}

/// Sends a message of a stream to whom it concerns, in the form each asked for.
pub fn publish(core: &mut Core, name: &str, text: String, listeners: Listeners<'_>) {
    let (plain, wrapped) = split(&listeners(name));
    if !wrapped.is_empty() {
        core.publish(&wrapped, wrap(name, &text));
    }
    if !plain.is_empty() {
        core.publish(&plain, text);
    }
}

/// Those who listen to plain payloads, and to wrapped ones.
pub fn split(listeners: &[(ConnId, bool)]) -> (Vec<ConnId>, Vec<ConnId>) {
    let of = |wanted: bool| {
        listeners
            .iter()
            .filter(|(_, is_wrapped)| *is_wrapped == wanted)
            .map(|(conn, _)| *conn)
            .collect()
    };
    (of(false), of(true))
}

/// `{"stream":…,"data":…}`.
pub fn wrap(name: &str, text: &str) -> String {
    format!("{{\"stream\":\"{name}\",\"data\":{text}}}")
}

/// The next multiple of a length after now.
pub fn next_slot(now: u64, length: u64) -> u64 {
    (now / length + 1) * length
}

/// The 24-hour ticker of REST.
pub fn rest_ticker(core: &Core, inst: usize, symbol: &str) -> serde_json::Value {
    let (engine, spec, day) = (&core.engine, core.engine.spec(inst), core.engine.day(inst));
    let (bid, ask) = (
        best(engine.book(inst), Side::Buy),
        best(engine.book(inst), Side::Sell),
    );
    let (change, percent) = change(spec, day);
    let now_ms = core.venue_ms();
    serde_json::json!({
        "symbol": symbol, "priceChange": change, "priceChangePercent": percent,
        "weightedAvgPrice": vwap(spec, day), "prevClosePrice": price8(spec, day.open),
        "lastPrice": price8(spec, day.last), "lastQty": qty8(spec, day.last_qty),
        "bidPrice": price8(spec, bid.0), "bidQty": qty8(spec, bid.1),
        "askPrice": price8(spec, ask.0), "askQty": qty8(spec, ask.1),
        "openPrice": price8(spec, day.open), "highPrice": price8(spec, day.high),
        "lowPrice": price8(spec, day.low), "volume": qty8(spec, day.volume),
        "quoteVolume": amount8(day.quote_volume), "openTime": now_ms - 86_400_000,
        "closeTime": now_ms, "firstId": day.first_trade, "lastId": day.last_trade,
        "count": day.count,
    })
}

/// `outboundAccountPosition` for the two assets of an instrument.
pub fn position(core: &Core, account: usize, inst: usize) -> serde_json::Value {
    let spec = core.engine.spec(inst);
    let row = |name: &str, asset: usize| {
        let balance = core.engine.ledger().balance(account, asset);
        serde_json::json!({"a": name, "f": amount8(balance.free), "l": amount8(balance.locked)})
    };
    serde_json::json!({
        "e": "outboundAccountPosition", "E": core.venue_ms(), "u": core.venue_ms(),
        "B": [row(&spec.base, spec.base_asset), row(&spec.quote, spec.quote_asset)],
    })
}

/// One public trade of REST.
pub fn trade_row(spec: &Spec, trade: &Trade) -> serde_json::Value {
    let quote = spec.notional(trade.price, trade.qty).unwrap_or(0);
    serde_json::json!({
        "id": trade.id, "price": price8(spec, trade.price), "qty": qty8(spec, trade.qty),
        "quoteQty": amount8(quote), "time": trade.at_ns / 1_000_000,
        "isBuyerMaker": trade.taker == Side::Sell, "isBestMatch": true,
    })
}
