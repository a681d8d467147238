//! Public channels of one instrument: books, trades, quote, ticker.
//!
//! ```text
//! subscribe ─▶ what is pending goes to the others ─▶ snapshot, change_id s
//! a change ─▶ raw at once, 100ms and agg2 when their time comes: prev_change_id s, change_id s'
//! ```
//! Change ids count the levels of all books, so those of one jump. Each channel keeps what its followers know: a level
//! is `new` to those who do not have it. Source of the order of fields and levels: recordings of 2021 and 2022.

use super::cast::{Change, Told, Writer};
use super::channels::{Kind, Pace};
use super::reply::{self, float, mark, number};
use super::tape::Print;
use crate::core::{ConnId, Core};
use crate::engine::{Engine, Side, Spec};
use crate::text;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Who listens to a channel of an instrument: the channel's name, and the connections.
pub type Listeners<'a> = &'a dyn Fn(Kind, Pace, usize) -> Vec<(String, Vec<ConnId>)>;

/// What the followers of a book channel have.
#[derive(Debug, Default)]
struct Shown {
    levels: BTreeMap<(Side, i64), i64>,
    dirty: BTreeSet<(Side, i64)>,
    last: u64,
}

impl Shown {
    /// What changed since the last message: bids from the lowest, then asks from the highest.
    fn changes(&mut self, engine: &Engine, inst: usize) -> Vec<Change> {
        let book = engine.book(inst);
        let mut out = Vec::new();
        let dirty = std::mem::take(&mut self.dirty);
        let (bids, asks): (Vec<_>, Vec<_>) =
            dirty.into_iter().partition(|(side, _)| *side == Side::Buy);
        for (side, price) in bids.into_iter().chain(asks.into_iter().rev()) {
            let total = book.total(side, price);
            let action = match (self.levels.get(&(side, price)), total) {
                (None, 0) => continue,
                (Some(known), total) if *known == total => continue,
                (Some(_), 0) => "delete",
                (Some(_), _) => "change",
                (None, _) => "new",
            };
            if total == 0 {
                self.levels.remove(&(side, price));
            } else {
                self.levels.insert((side, price), total);
            }
            out.push(Change {
                side,
                price,
                total,
                action,
            });
        }
        out
    }

    /// Every level, best first.
    fn whole(&self, spec: &Spec) -> [String; 2] {
        let mut out = [String::new(), String::new()];
        let [bids, asks] = &mut out;
        for (&(side, price), &total) in self.levels.iter().rev() {
            if side == Side::Buy {
                push_told(bids, spec, "new", price, total);
            }
        }
        for (&(side, price), &total) in &self.levels {
            if side == Side::Sell {
                push_told(asks, spec, "new", price, total);
            }
        }
        out
    }
}

fn push_told(line: &mut String, spec: &Spec, action: &str, price: i64, total: i64) {
    let comma = if line.is_empty() { "" } else { "," };
    let (price, total) = (
        float(text::price(spec, price)),
        float(text::qty(spec, total)),
    );
    let _ = write!(line, "{comma}[\"{action}\",{price},{total}]");
}

/// Levels of both sides as `[price,amount]`, best first.
fn plain(engine: &Engine, inst: usize, depth: usize) -> [String; 2] {
    let (spec, book) = (engine.spec(inst), engine.book(inst));
    [Side::Buy, Side::Sell].map(|side| {
        let mut line = String::new();
        for (price, level) in book.levels(side).take(depth) {
            let comma = if line.is_empty() { "" } else { "," };
            let (price, total) = (
                float(text::price(spec, price)),
                float(text::qty(spec, level.total)),
            );
            let _ = write!(line, "{comma}[{price},{total}]");
        }
        line
    })
}

/// One instrument's channels.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    name: String,
    change_id: u64,
    /// As [`Pace::ALL`].
    books: [Shown; 3],
    prints: [Vec<Print>; 3],
    due: [u64; 3],
    held_until: u64,
    /// Price and amount of the best bid and the best ask.
    best: [(i64, i64); 2],
    is_touched: bool,
    is_ticker_due: [bool; 3],
    grouped: BTreeMap<usize, [String; 2]>,
    /// Number and levels of about a second ago, and those before them.
    old: [(u64, [String; 2]); 2],
    /// What is to go out by multicast; `None` where nothing does.
    cast: Option<Vec<Told>>,
}

impl Feed {
    /// The channels of an instrument, from its book as it is.
    pub fn new(core: &Core, inst: usize, name: &str, change_id: u64) -> Self {
        let book = core.engine.book(inst);
        let shown = || {
            let both = [Side::Buy, Side::Sell].into_iter();
            let levels = both.flat_map(|side| {
                let levels = book.levels(side);
                levels.map(move |(price, level)| ((side, price), level.total))
            });
            Shown {
                levels: levels.collect(),
                dirty: BTreeSet::new(),
                last: change_id,
            }
        };
        Self {
            inst,
            name: name.to_owned(),
            change_id,
            books: [shown(), shown(), shown()],
            prints: Default::default(),
            due: [u64::MAX, core.now, core.now],
            held_until: 0,
            best: best(&core.engine, inst),
            is_touched: false,
            is_ticker_due: [true; 3],
            grouped: BTreeMap::new(),
            old: Default::default(),
            cast: None,
        }
    }

    /// From now on its news go out by multicast too.
    pub fn cast(&mut self) {
        self.cast = Some(Vec::new());
    }

    /// Takes what is to go out by multicast.
    pub fn take_cast(&mut self) -> Vec<Told> {
        self.cast.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Its definition and whole book, as the last change told by multicast left it: the bodies of datagrams.
    pub fn whole_cast(&self, core: &Core) -> Vec<Vec<u8>> {
        let [shown, ..] = &self.books;
        let levels = shown.levels.iter();
        let levels: Vec<_> = levels
            .map(|(&(side, price), &total)| (side, price, total))
            .collect();
        Writer::plain(core, self.inst, 0).whole(&self.name, shown.last, &levels)
    }

    /// When something is due.
    pub fn next_deadline(&self, now: u64) -> u64 {
        let [_, fast, slow] = self.due;
        let held = if self.held_until > now {
            self.held_until
        } else {
            u64::MAX
        };
        fast.min(slow).min(held)
    }

    /// Holds the books back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.held_until = self.held_until.max(until);
    }

    /// A level changed, and with it the book's number.
    pub fn level(&mut self, side: Side, price: i64, change_id: u64) {
        self.change_id = change_id;
        self.is_touched = true;
        for shown in &mut self.books {
            shown.dirty.insert((side, price));
        }
    }

    /// A trade printed.
    pub fn trade(&mut self, print: Print) {
        self.is_touched = true;
        self.is_ticker_due = [true; 3];
        for prints in &mut self.prints {
            prints.push(print);
        }
    }

    /// Publishes what is told at once.
    pub fn publish(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if !std::mem::take(&mut self.is_touched) {
            return;
        }
        self.push_trades(core, 0, listeners);
        self.push_book(core, 0, listeners);
        let best = best(&core.engine, self.inst);
        if best != self.best {
            self.best = best;
            if let Some(cast) = &mut self.cast {
                cast.push(Writer::new(core, self.inst).quote(best));
            }
            self.is_ticker_due = [true; 3];
            for (name, conns) in listeners(Kind::Quote, Pace::Raw, self.inst) {
                core.publish(&conns, message(&name, &self.quote_row(core).to_string()));
            }
        }
        self.push_ticker(core, 0, listeners);
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        self.push_book(core, 0, listeners);
        for (at, pace) in Pace::ALL.into_iter().enumerate().skip(1) {
            let Some(due) = self.due.get_mut(at).filter(|due| **due <= core.now) else {
                continue;
            };
            *due = (core.now / pace.length_ns() + 1) * pace.length_ns();
            self.push_trades(core, at, listeners);
            self.push_book(core, at, listeners);
            self.push_ticker(core, at, listeners);
            if pace == Pace::Ms100 {
                self.push_grouped(core, listeners);
            } else {
                self.grow_old(core);
            }
        }
    }

    /// Sends a channel's followers what they have not heard yet: a new one must not be ahead of them.
    pub fn catch_up(&mut self, core: &mut Core, pace: Pace, listeners: Listeners<'_>) {
        let at = Pace::ALL.iter().position(|known| *known == pace);
        self.push_book(core, at.unwrap_or(0), listeners);
    }

    /// What a new follower of a channel gets at once.
    pub fn first(&self, core: &Core, kind: Kind, pace: Pace) -> Option<String> {
        Some(match kind {
            Kind::Book => {
                let at = Pace::ALL.iter().position(|known| *known == pace)?;
                let shown = self.books.get(at)?;
                let [bids, asks] = shown.whole(core.engine.spec(self.inst));
                format!(
                    "{{\"type\":\"snapshot\",\"timestamp\":{},\"instrument_name\":\"{}\",\
                     \"change_id\":{},\"bids\":[{bids}],\"asks\":[{asks}]}}",
                    core.venue_ms(),
                    self.name,
                    shown.last
                )
            }
            Kind::Grouped(depth) => self.grouped(core, depth),
            Kind::Quote => self.quote_row(core).to_string(),
            Kind::Ticker => self.ticker(core).to_string(),
            _ => return None,
        })
    }

    /// The answer to `get_order_book`: as it is, or as it was one or two seconds ago.
    pub fn order_book(&self, core: &Core, depth: usize, is_old: bool) -> String {
        let now = (self.change_id, plain(&core.engine, self.inst, depth));
        let [old, _] = &self.old;
        let is_old = is_old && old.0 > 0;
        let (change_id, [bids, asks]) = if is_old { old } else { &now };
        let ticker = self.ticker(core);
        let part = |names: &[&str]| {
            let mut out = String::new();
            for name in names {
                let _ = write!(out, "\"{name}\":{},", ticker[*name]);
            }
            out
        };
        let head = [
            "timestamp",
            "stats",
            "state",
            "settlement_price",
            "open_interest",
            "min_price",
            "max_price",
            "mark_price",
            "last_price",
            "instrument_name",
            "index_price",
            "funding_8h",
            "estimated_delivery_price",
            "current_funding",
        ];
        let best = [
            "best_bid_price",
            "best_bid_amount",
            "best_ask_price",
            "best_ask_amount",
        ];
        format!(
            "{{{}\"change_id\":{},\"bids\":[{bids}],{}\"asks\":[{asks}]}}",
            part(&head),
            change_id,
            part(&best)
        )
    }

    fn grow_old(&mut self, core: &Core) {
        let now = (self.change_id, plain(&core.engine, self.inst, usize::MAX));
        let [older, newer] = &mut self.old;
        *older = std::mem::replace(newer, now);
    }

    fn push_book(&mut self, core: &mut Core, at: usize, listeners: Listeners<'_>) {
        let (Some(shown), Some(pace)) = (self.books.get_mut(at), Pace::ALL.get(at)) else {
            return;
        };
        if core.now < self.held_until || shown.dirty.is_empty() {
            return;
        }
        let changes = shown.changes(&core.engine, self.inst);
        if changes.is_empty() {
            return;
        }
        let previous = std::mem::replace(&mut shown.last, self.change_id);
        if let (Some(cast), 0) = (&mut self.cast, at) {
            let ids = (previous, self.change_id);
            cast.extend(Writer::new(core, self.inst).book(ids, &changes));
        }
        let [mut bids, mut asks] = [String::new(), String::new()];
        for change in &changes {
            let line = if change.side == Side::Buy {
                &mut bids
            } else {
                &mut asks
            };
            let spec = core.engine.spec(self.inst);
            push_told(line, spec, change.action, change.price, change.total);
        }
        for (name, conns) in listeners(Kind::Book, *pace, self.inst) {
            let data = format!(
                "{{\"type\":\"change\",\"timestamp\":{},\"prev_change_id\":{previous},\
                 \"instrument_name\":\"{}\",\"change_id\":{},\"bids\":[{bids}],\"asks\":[{asks}]}}",
                core.venue_ms(),
                self.name,
                self.change_id
            );
            core.publish_depth(&name, &conns, message(&name, &data));
        }
    }

    fn push_grouped(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        for depth in [1, 10, 20] {
            let told = listeners(Kind::Grouped(depth), Pace::Ms100, self.inst);
            if told.is_empty() {
                continue;
            }
            let now = plain(&core.engine, self.inst, depth);
            if self.grouped.get(&depth) == Some(&now) {
                continue;
            }
            self.grouped.insert(depth, now);
            let data = self.grouped(core, depth);
            for (name, conns) in told {
                core.publish_depth(&name, &conns, message(&name, &data));
            }
        }
    }

    fn grouped(&self, core: &Core, depth: usize) -> String {
        let [bids, asks] = plain(&core.engine, self.inst, depth);
        format!(
            "{{\"timestamp\":{},\"instrument_name\":\"{}\",\"change_id\":{},\"bids\":[{bids}],\
             \"asks\":[{asks}]}}",
            core.venue_ms(),
            self.name,
            self.change_id
        )
    }

    fn push_trades(&mut self, core: &mut Core, at: usize, listeners: Listeners<'_>) {
        let (Some(prints), Some(pace)) = (self.prints.get_mut(at), Pace::ALL.get(at)) else {
            return;
        };
        let prints = std::mem::take(prints);
        if prints.is_empty() {
            return;
        }
        if let (Some(cast), 0) = (&mut self.cast, at) {
            let writer = Writer::new(core, self.inst);
            cast.extend(prints.iter().map(|print| {
                let trade = &print.trade;
                writer.trade(trade.id, trade.taker, trade.price, trade.qty)
            }));
        }
        let told = listeners(Kind::Trades, *pace, self.inst);
        if told.is_empty() {
            return;
        }
        let rows = prints
            .iter()
            .map(|print| trade_row(core, &self.name, print));
        let data = Value::Array(rows.collect()).to_string();
        for (name, conns) in told {
            core.publish(&conns, message(&name, &data));
        }
    }

    fn push_ticker(&mut self, core: &mut Core, at: usize, listeners: Listeners<'_>) {
        let (Some(is_due), Some(pace)) = (self.is_ticker_due.get_mut(at), Pace::ALL.get(at)) else {
            return;
        };
        if !std::mem::take(is_due) {
            return;
        }
        for (name, conns) in listeners(Kind::Ticker, *pace, self.inst) {
            let text = message(&name, &self.ticker(core).to_string());
            core.publish(&conns, text);
        }
    }

    fn quote_row(&self, core: &Core) -> Value {
        let spec = core.engine.spec(self.inst);
        let [bid, ask] = best(&core.engine, self.inst);
        json!({
            "timestamp": core.venue_ms(), "instrument_name": self.name,
            "best_bid_price": reply::price(spec, bid.0), "best_bid_amount": reply::qty(spec, bid.1),
            "best_ask_price": reply::price(spec, ask.0), "best_ask_amount": reply::qty(spec, ask.1),
        })
    }

    /// The ticker. There is no index and no funding here: mark and index are the middle of the book.
    pub fn ticker(&self, core: &Core) -> Value {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let price = |value| reply::price(spec, value);
        let (low, high) = reply::band(core, self.inst);
        let (mark, quote) = (price(mark(core, self.inst)), self.quote_row(core));
        let zero = number("0".to_owned());
        let moved = i128::from(day.last - day.open) * 1_000_000 / i128::from(day.open.max(1));
        json!({
            "timestamp": core.venue_ms(), "state": "open", "instrument_name": self.name,
            "last_price": price(day.last), "mark_price": mark, "index_price": mark,
            "best_bid_price": quote["best_bid_price"], "best_bid_amount": quote["best_bid_amount"],
            "best_ask_price": quote["best_ask_price"], "best_ask_amount": quote["best_ask_amount"],
            "open_interest": zero, "min_price": price(low), "max_price": price(high),
            "settlement_price": price(day.open), "current_funding": zero, "funding_8h": zero,
            "interest_value": zero, "estimated_delivery_price": mark,
            "stats": {
                "high": price(day.high), "low": price(day.low),
                "price_change": number(text::fixed(moved, 4, 4)),
                "volume": reply::qty(spec, day.volume),
                "volume_usd": reply::money(day.quote_volume),
                "volume_notional": reply::money(day.quote_volume),
            },
        })
    }
}

/// Price and amount of the best bid and the best ask; zeros where there is none.
fn best(engine: &Engine, inst: usize) -> [(i64, i64); 2] {
    let book = engine.book(inst);
    [Side::Buy, Side::Sell].map(|side| {
        let best = book.best(side);
        best.map_or((0, 0), |(price, level)| (price, level.total))
    })
}

/// A public trade.
pub fn trade_row(core: &Core, name: &str, print: &Print) -> Value {
    let (trade, spec) = (print.trade, core.engine.spec(print.trade.inst));
    let price = reply::price(spec, trade.price);
    json!({
        "trade_seq": print.seq, "trade_id": trade.id.to_string(),
        "timestamp": reply::ms(core, trade.at_ns), "tick_direction": print.tick, "price": price,
        "mark_price": price, "instrument_name": name, "index_price": price,
        "direction": reply::side(trade.taker), "amount": reply::qty(spec, trade.qty),
        "contracts": number((trade.qty / spec.lot).to_string()),
    })
}

/// A push of a channel.
pub fn message(channel: &str, data: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{{\"channel\":\"{channel}\",\
         \"data\":{data}}}}}"
    )
}
