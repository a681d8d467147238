//! Public channels: `book`, `trade`, `ticker`; and the old book that REST may show.
//!
//! A book is told at every change of its levels. There is no sequence number: the checksum of the ten best levels
//! is the only proof. What falls out of the depth is not told, clients cut their books.

use super::level3;
use super::names::Pair;
use super::reply::{self, COST_DECIMALS, price, qty, rest_price};
use super::{time, venue_ns};
use crate::core::{ConnId, Core};
use crate::engine::{Amount, Engine, Event, Side, Spec, Trade};
use crate::fault::Depth;
use crate::text::fixed;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Depths offered.
pub const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// Levels a side of the checksum, whatever the depth.
const CHECKSUM_LEVELS: usize = 10;
/// Public trades kept for REST.
pub const TRADES_KEPT: usize = 1_000;
/// Trades of a snapshot.
const TRADES_SHOWN: usize = 50;
/// The number before the first public trade of a pair.
const FIRST_TRADE: u64 = 83_449_368;
const SECOND_NS: u64 = 1_000_000_000;

/// A public channel of one pair, as subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// `book` of a depth.
    Book(usize),
    /// `level3` of a depth.
    Level3(usize),
    /// `trade`.
    Trade,
    /// `ticker`; at every change of the best prices, or at trades only.
    Ticker(bool),
}

/// Who listens: by channel and instrument index.
pub type Listeners<'a> = &'a dyn Fn(Channel, usize) -> Vec<ConnId>;

/// Price and total, best first, of bids and asks.
pub type Levels = [Vec<(i64, i64)>; 2];

/// A book cut to a depth, as its subscribers have it.
#[derive(Debug)]
struct View {
    depth: usize,
    shown: Levels,
}

/// One pair's channels.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    views: Vec<View>,
    queues: Vec<level3::View>,
    is_changed: bool,
    held_until: u64,
    best: [Option<(i64, i64)>; 2],
    /// Public trades with their numbers, which rise by one for each pair by itself.
    prints: VecDeque<(Trade, u64)>,
    next_trade: u64,
    /// A REST book of about a second ago, and the one before it.
    old: [Levels; 2],
    old_due: u64,
}

impl Feed {
    /// The channels of a pair, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, pair: &Pair, now: u64) -> Self {
        let whole = levels(engine, inst, usize::MAX);
        Self {
            inst,
            symbol: pair.symbol.clone(),
            views: Vec::new(),
            queues: Vec::new(),
            is_changed: false,
            held_until: now,
            best: best(engine, inst),
            prints: VecDeque::new(),
            next_trade: FIRST_TRADE,
            old: [whole.clone(), whole],
            old_due: now + SECOND_NS,
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        let held = self.is_changed.then_some(self.held_until);
        held.unwrap_or(u64::MAX).min(self.old_due)
    }

    /// Holds the books back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.held_until = self.held_until.max(until);
    }

    /// The number of a recent trade.
    pub fn number_of(&self, trade: u64) -> Option<u64> {
        let mut recent = self.prints.iter().rev();
        recent
            .find(|(known, _)| known.id == trade)
            .map(|(_, number)| *number)
    }

    /// The latest public trades, oldest first.
    pub fn prints(&self) -> impl DoubleEndedIterator<Item = &(Trade, u64)> {
        self.prints.iter()
    }

    /// The whole book of one or two seconds ago.
    pub fn old_book(&self) -> &Levels {
        &self.old[0]
    }

    /// Takes in events of the engine and publishes them.
    pub fn on_events(&mut self, core: &mut Core, events: &[Event], listeners: Listeners<'_>) {
        // Before this batch, not after it: its fills still ask for their numbers.
        while self.prints.len() > TRADES_KEPT {
            self.prints.pop_front();
        }
        let mut printed = 0;
        for event in events {
            match event {
                Event::Level { inst, .. } if *inst == self.inst => self.is_changed = true,
                Event::Trade(trade) if trade.inst == self.inst => {
                    self.next_trade += 1;
                    self.prints.push_back((*trade, self.next_trade));
                    printed += 1;
                }
                _ => {}
            }
        }
        if printed > 0 {
            let conns = listeners(Channel::Trade, self.inst);
            if !conns.is_empty() {
                let text = self.trades(core, "update", printed);
                core.publish(&conns, text);
            }
        }
        self.push_books(core, listeners);
        let best = best(&core.engine, self.inst);
        for (is_due, is_bbo) in [(best != self.best, true), (printed > 0, false)] {
            let conns = listeners(Channel::Ticker(is_bbo), self.inst);
            if is_due && !conns.is_empty() {
                let text = self.ticker(core, "update");
                core.publish(&conns, text);
            }
        }
        self.best = best;
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        self.push_books(core, listeners);
        if core.now >= self.old_due {
            self.old_due = core.now + SECOND_NS;
            self.old.swap(0, 1);
            self.old[1] = levels(&core.engine, self.inst, usize::MAX);
        }
    }

    /// What a new subscriber of a channel gets at once.
    pub fn subscribed(&mut self, core: &mut Core, channel: Channel, conn: ConnId) {
        let text = match channel {
            Channel::Book(depth) => self.book_snapshot(core, depth),
            Channel::Level3(depth) => self.queues_snapshot(core, depth),
            Channel::Trade => self.trades(core, "snapshot", TRADES_SHOWN),
            Channel::Ticker(_) => self.ticker(core, "snapshot"),
        };
        core.send(conn, text);
    }

    /// Keeps a book for a subscriber, whether it wants a snapshot or not.
    pub fn follow(&mut self, engine: &Engine, channel: Channel) {
        let depth = match channel {
            Channel::Book(depth) => depth,
            Channel::Level3(depth) => {
                if self.queues.iter().all(|view| view.depth != depth) {
                    self.queues
                        .push(level3::View::new(engine, self.inst, depth));
                }
                return;
            }
            _ => return,
        };
        if self.views.iter().all(|view| view.depth != depth) {
            let shown = levels(engine, self.inst, depth);
            self.views.push(View { depth, shown });
        }
    }

    fn book_snapshot(&mut self, core: &Core, depth: usize) -> String {
        self.follow(&core.engine, Channel::Book(depth));
        let shown = self.views.iter().find(|view| view.depth == depth);
        let empty = Levels::default();
        let shown = shown.map_or(&empty, |view| &view.shown);
        let sum = checksum(shown);
        self.book_message(core, "snapshot", shown, sum)
    }

    fn queues_snapshot(&mut self, core: &Core, depth: usize) -> String {
        self.follow(&core.engine, Channel::Level3(depth));
        let mut views = self.queues.iter();
        let view = views.find(|view| view.depth == depth);
        view.map_or_else(String::new, |view| {
            view.snapshot(core, self.inst, &self.symbol)
        })
    }

    fn push_queues(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        for mut view in std::mem::take(&mut self.queues) {
            let conns = listeners(Channel::Level3(view.depth), self.inst);
            if conns.is_empty() {
                continue;
            }
            let spoils = |core: &mut Core| core.spoils(Depth::Orders);
            if let Some(text) = view.renew(core, self.inst, &self.symbol, spoils) {
                let key = format!("{} level3 {}", self.symbol, view.depth);
                core.publish_on(Depth::Orders, &key, &conns, text);
            }
            self.queues.push(view);
        }
    }

    fn push_books(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if !self.is_changed || core.now < self.held_until {
            return;
        }
        self.is_changed = false;
        self.push_queues(core, listeners);
        for mut view in std::mem::take(&mut self.views) {
            let conns = listeners(Channel::Book(view.depth), self.inst);
            if conns.is_empty() {
                continue; // nobody is left: the next subscriber begins anew
            }
            let now = levels(&core.engine, self.inst, view.depth);
            let changes = [Side::Buy, Side::Sell].map(|side| {
                let at = usize::from(side == Side::Sell);
                let book = core.engine.book(self.inst);
                changes(&view.shown[at], &now[at], |price| book.total(side, price))
            });
            view.shown = now;
            if changes.iter().any(|side| !side.is_empty()) {
                let wrong = u32::from(core.spoils(Depth::Levels));
                let sum = checksum(&view.shown) ^ wrong;
                let text = self.book_message(core, "update", &changes, sum);
                core.publish_depth(&format!("{} {}", self.symbol, view.depth), &conns, text);
            }
            self.views.push(view);
        }
    }

    fn book_message(&self, core: &Core, kind: &str, levels: &Levels, checksum: u32) -> String {
        let spec = core.engine.spec(self.inst);
        let list = |levels: &[(i64, i64)]| {
            let mut out = String::new();
            for &(at, total) in levels {
                let comma = if out.is_empty() { "" } else { "," };
                let (price, qty) = (price(spec, at), qty(spec, total));
                let _ = write!(out, "{comma}{{\"price\":{price},\"qty\":{qty}}}");
            }
            out
        };
        format!(
            "{{\"channel\":\"book\",\"type\":\"{kind}\",\"data\":[{{\"symbol\":\"{}\",\
             \"bids\":[{}],\"asks\":[{}],\"checksum\":{checksum},\"timestamp\":\"{}\"}}]}}",
            self.symbol,
            list(&levels[0]),
            list(&levels[1]),
            time::micros(venue_ns(core, core.now)),
        )
    }

    /// The latest `count` trades.
    fn trades(&self, core: &Core, kind: &str, count: usize) -> String {
        let spec = core.engine.spec(self.inst);
        let mut rows = String::new();
        let skipped = self.prints.len().saturating_sub(count);
        for (trade, number) in self.prints.iter().skip(skipped) {
            let comma = if rows.is_empty() { "" } else { "," };
            let _ = write!(
                rows,
                "{comma}{{\"symbol\":\"{}\",\"side\":\"{}\",\"price\":{},\"qty\":{},\
                 \"ord_type\":\"{}\",\"trade_id\":{number},\"timestamp\":\"{}\"}}",
                self.symbol,
                reply::side(trade.taker),
                price(spec, trade.price),
                qty(spec, trade.qty),
                taker_type(&core.engine, trade),
                time::micros(venue_ns(core, trade.at_ns)),
            );
        }
        format!("{{\"channel\":\"trade\",\"type\":\"{kind}\",\"data\":[{rows}]}}")
    }

    fn ticker(&self, core: &Core, kind: &str) -> String {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let [bid, ask] = best(&core.engine, self.inst).map(Option::unwrap_or_default);
        let decimals = spec.price_decimals;
        // In hundredths of a per cent of the opening price.
        let percent = Amount::from(day.last - day.open) * 10_000 / Amount::from(day.open.max(1));
        format!(
            "{{\"channel\":\"ticker\",\"type\":\"{kind}\",\"data\":[{{\"symbol\":\"{}\",\
             \"bid\":{},\"bid_qty\":{},\"ask\":{},\"ask_qty\":{},\"last\":{},\"volume\":{},\
             \"vwap\":{},\"low\":{},\"high\":{},\"change\":{},\"change_pct\":{},\
             \"timestamp\":\"{}\"}}]}}",
            self.symbol,
            price(spec, bid.0),
            qty(spec, bid.1),
            price(spec, ask.0),
            qty(spec, ask.1),
            price(spec, day.last),
            qty(spec, day.volume),
            vwap(core, self.inst),
            price(spec, day.low),
            price(spec, day.high),
            fixed((day.last - day.open).into(), decimals, decimals),
            fixed(percent, 2, 2),
            time::micros(venue_ns(core, core.now)),
        )
    }
}

/// What subscribers must be told to get from one cut of a side to the next: new totals, and zero for levels that
/// are gone. What still is there and only fell out of the depth is left to them.
fn changes(old: &[(i64, i64)], new: &[(i64, i64)], total: impl Fn(i64) -> i64) -> Vec<(i64, i64)> {
    let gone = old
        .iter()
        .filter(|(price, _)| total(*price) == 0)
        .map(|(price, _)| (*price, 0));
    let changed = new.iter().filter(|level| !old.contains(level)).copied();
    gone.chain(changed).collect()
}

/// Totals of both sides, best first.
pub fn levels(engine: &Engine, inst: usize, depth: usize) -> Levels {
    let book = engine.book(inst);
    [Side::Buy, Side::Sell].map(|side| {
        let levels = book.levels(side).take(depth);
        levels.map(|(price, level)| (price, level.total)).collect()
    })
}

fn best(engine: &Engine, inst: usize) -> [Option<(i64, i64)>; 2] {
    [Side::Buy, Side::Sell].map(|side| {
        let best = engine.book(inst).best(side);
        best.map(|(price, level)| (price, level.total))
    })
}

/// CRC-32 of the ten best asks, then bids: price and quantity as printed, without the point and without zeros in
/// front, which are the digits of their increments.
fn checksum(levels: &Levels) -> u32 {
    let mut text = String::new();
    let [bids, asks] = levels;
    for side in [asks, bids] {
        for (price, qty) in side.iter().take(CHECKSUM_LEVELS) {
            let _ = write!(text, "{price}{qty}");
        }
    }
    crc32fast::hash(text.as_bytes())
}

/// `limit` or `market`: of orders that are forgotten, the latter.
pub fn taker_type(engine: &Engine, trade: &Trade) -> &'static str {
    match engine
        .order(trade.taker_order)
        .and_then(|order| order.ask.price)
    {
        Some(_) => "limit",
        None => "market",
    }
}

/// The day's average price weighted by volume, with some decimals more than the pair's.
pub fn vwap(core: &Core, inst: usize) -> String {
    let (spec, day) = (core.engine.spec(inst), core.engine.day(inst));
    let base = spec.base_amount(day.volume);
    let scaled = match base {
        0 => Amount::from(day.last) * 10i128.pow(12 - u32::from(spec.price_decimals)),
        base => day.quote_volume / (base / 1_000_000).max(1) * 1_000_000,
    };
    fixed(scaled, 12, COST_DECIMALS)
}

/// A side of REST's book: `[price, volume, seconds]`.
pub fn rest_side(
    core: &Core,
    spec: &Spec,
    levels: &[(i64, i64)],
    count: usize,
) -> Vec<serde_json::Value> {
    let at = venue_ns(core, core.now) / SECOND_NS;
    let rows = levels.iter().take(count);
    rows.map(|(price, total)| {
        let volume = fixed((*total).into(), spec.qty_decimals, 3);
        serde_json::json!([rest_price(spec, *price), volume, at])
    })
    .collect()
}

/// REST's ticker.
pub fn rest_ticker(core: &Core, inst: usize) -> serde_json::Value {
    let (spec, day) = (core.engine.spec(inst), core.engine.day(inst));
    let [bid, ask] = best(&core.engine, inst).map(Option::unwrap_or_default);
    let quote = |(price, total): (i64, i64)| {
        let whole = fixed(total.into(), spec.qty_decimals, 0);
        let volume = fixed(total.into(), spec.qty_decimals, 3);
        [rest_price(spec, price), whole, volume]
    };
    let twice = |text: String| [text.clone(), text];
    serde_json::json!({
        "a": quote(ask), "b": quote(bid), "c": [rest_price(spec, day.last), qty(spec, day.last_qty)],
        "v": twice(qty(spec, day.volume)), "p": twice(vwap(core, inst)), "t": [day.count, day.count],
        "l": twice(rest_price(spec, day.low)), "h": twice(rest_price(spec, day.high)),
        "o": rest_price(spec, day.open),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_vectors() {
        let levels = |rows: &[(i64, i64)]| rows.to_vec();
        let one = [
            levels(&[(650_000, 50_000_000)]),
            levels(&[(650_001, 25_000_000)]),
        ];
        assert_eq!(checksum(&one), 2_851_171_180);
        let asks: Vec<(i64, i64)> = [
            (650_001, 25_000_000),
            (650_002, 100_000_000),
            (650_005, 150_000),
            (650_010, 320_000_000),
            (650_017, 10_000_000),
            (650_020, 75_000_000),
            (650_024, 200_000_000),
            (650_031, 20_000),
            (650_039, 500_000_000),
            (650_040, 33_330_000),
            (650_041, 1),
        ]
        .to_vec();
        let bids: Vec<(i64, i64)> = [
            (650_000, 50_000_000),
            (649_999, 12_000_000),
            (649_995, 200_000_000),
            (649_990, 500_000),
            (649_988, 110_000_000),
            (649_981, 40_000_000),
            (649_976, 10_000),
            (649_970, 600_000_000),
            (649_962, 9_000_000),
            (649_955, 175_000_000),
        ]
        .to_vec();
        assert_eq!(checksum(&[bids, asks]), 3_426_176_702);
    }

    #[test]
    fn levels_that_fell_out_are_not_told() {
        let (old, new) = ([(10, 1), (9, 1), (8, 1)], [(11, 2), (10, 3), (9, 1)]);
        let there = |price: i64| i64::from(price == 8);
        assert_eq!(changes(&old, &new, |_| 1), [(11, 2), (10, 3)]);
        assert_eq!(changes(&old, &old, |_| 1), []);
        let told = changes(&old, &[(8, 1)], there);
        assert_eq!(told, [(10, 0), (9, 0)]);
    }
}
