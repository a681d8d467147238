//! Public channels: books, trades, tickers.
//!
//! ```text
//!  subscribe ─▶ the whole book, bids first      every 50 ms with changes ─▶ a frame a level, then "cs"
//!  trade     ─▶ "te" at once, "tu" of the same number a little later
//! ```
//! A channel shows `len` lines a side: a line that moves into the window is told, one that moves out is deleted.
//! What is left comes before what is new, so that a book is never crossed on its way.

use super::Bitfinex;
use super::book::{Line, Shape, changes, checksum, lines, rows};
use super::conn::{self, Conn, Topic};
use super::reply::{self, number};
use crate::core::Core;
use crate::engine::{Event, Side, Trade};
use crate::fault::Kind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Cadence of tickers [U].
const TICKER_NS: u64 = 1_000_000_000;
/// How long after `te` an execution is confirmed with `tu` [U]: "moments".
pub const CONFIRM_NS: u64 = 100_000_000;
/// Trades a channel begins with.
const TRADES_FIRST: usize = 30;
/// Public trades kept for REST.
const TRADES_KEPT: usize = 500;
/// Best levels whose amounts a ticker adds up.
const TICKER_LEVELS: usize = 25;
/// Lines a side of the REST book that is kept, to be answered when it is old.
const OLD_LINES: usize = 100;

/// A book as its subscribers know it, best lines first: `[bids, asks]`.
#[derive(Debug)]
struct Shown {
    sides: [Vec<Line>; 2],
    update_id: u64,
    due: u64,
}

/// One instrument's channels.
#[derive(Debug)]
pub struct Feed {
    books: BTreeMap<Shape, Shown>,
    hold_until: u64,
    ticker: String,
    ticker_due: u64,
    /// Executions to be confirmed.
    executed: VecDeque<(u64, Trade)>,
    prints: VecDeque<Trade>,
    /// Lines of a REST book of about a second ago, and of the one before it.
    old: [[Vec<Line>; 2]; 2],
}

impl Feed {
    /// The channels of an instrument.
    pub fn new(now: u64) -> Self {
        Self {
            books: BTreeMap::new(),
            hold_until: 0,
            ticker: String::new(),
            ticker_due: now,
            executed: VecDeque::new(),
            prints: VecDeque::new(),
            old: Default::default(),
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        let books = self.books.values().map(|shown| shown.due).min();
        let books = books.map_or(u64::MAX, |due| due.max(self.hold_until));
        let executed = self.executed.front().map_or(u64::MAX, |(due, _)| *due);
        books.min(executed).min(self.ticker_due)
    }
}

/// The next multiple of a period.
fn next(now: u64, period: u64) -> u64 {
    (now / period + 1) * period
}

/// `[ID,MTS,AMOUNT,PRICE]`; the sign is the taker's.
fn trade_row(core: &Core, trade: &Trade) -> Value {
    let spec = core.engine.spec(trade.inst);
    json!([
        trade.id,
        trade.at_ns / 1_000_000,
        reply::amount(spec, trade.taker, trade.qty),
        reply::price(spec, trade.price),
    ])
}

impl Bitfinex {
    /// Takes in what the engine did to an instrument and tells what is told at once.
    pub(super) fn on_events(&mut self, events: &[Event]) {
        for event in events {
            let Event::Trade(trade) = event else {
                continue;
            };
            let due = self.core.now + CONFIRM_NS;
            let is_paused = self.is_paused();
            if let Some(feed) = self.feeds.get_mut(trade.inst) {
                feed.prints.push_back(*trade);
                if feed.prints.len() > TRADES_KEPT {
                    feed.prints.pop_front();
                }
                if !is_paused {
                    feed.executed.push_back((due, *trade));
                }
            }
            self.print(trade, "te");
        }
    }

    /// Publishes what fell due.
    pub(super) fn publish_due(&mut self) {
        let now = self.core.now;
        if self.is_paused() {
            return;
        }
        for inst in 0..self.feeds.len() {
            while let Some(trade) = self.next_executed(inst) {
                self.print(&trade, "tu");
            }
            let Some(feed) = self.feeds.get_mut(inst) else {
                continue;
            };
            let due: Vec<Shape> = feed
                .books
                .iter()
                .filter(|(_, shown)| now >= shown.due && now >= feed.hold_until)
                .map(|(shape, _)| *shape)
                .collect();
            let is_ticker_due = now >= feed.ticker_due;
            if is_ticker_due {
                feed.ticker_due = next(now, TICKER_NS);
            }
            for shape in due {
                self.publish_book(inst, shape);
            }
            if is_ticker_due {
                self.publish_ticker(inst);
                self.keep_book(inst);
            }
        }
    }

    fn next_executed(&mut self, inst: usize) -> Option<Trade> {
        let now = self.core.now;
        let executed = &mut self.feeds.get_mut(inst)?.executed;
        let is_due = executed.front().is_some_and(|(due, _)| *due <= now);
        let first = if is_due { executed.pop_front() } else { None };
        first.map(|(_, trade)| trade)
    }

    /// Holds the books of an instrument back until a time.
    pub(super) fn hold_books(&mut self, inst: usize, until: u64) {
        if let Some(feed) = self.feeds.get_mut(inst) {
            feed.hold_until = feed.hold_until.max(until);
        }
    }

    /// What an item more at the end of a row looks like, where a fault asks for it.
    fn with_extra(&mut self, row: String) -> String {
        match row.strip_suffix(']') {
            Some(items) if self.core.faults.take(Kind::ExtraFields).is_some() => {
                format!("{items},null,\"zz_new\",[1,{{}}]]")
            }
            _ => row,
        }
    }

    fn print(&mut self, trade: &Trade, kind: &str) {
        let conns = conn::listeners(&self.conns, trade.inst, Topic::Trades);
        if conns.is_empty() || self.is_paused() {
            return;
        }
        let row = self.with_extra(trade_row(&self.core, trade).to_string());
        for (conn, channel) in conns {
            self.say(conn, channel, &format!("\"{kind}\",{row}"));
        }
    }

    /// The data a trades channel begins with, newest first.
    pub(super) fn recent_trades(&self, inst: usize) -> String {
        Value::Array(self.trades(inst).take(TRADES_FIRST).collect()).to_string()
    }

    /// Rows of the last trades, newest first.
    pub(super) fn trades(&self, inst: usize) -> impl Iterator<Item = Value> + '_ {
        let prints = self.feeds.get(inst).map(|feed| feed.prints.iter().rev());
        let prints = prints.into_iter().flatten();
        prints.map(|trade| trade_row(&self.core, trade))
    }

    /// The data a book channel begins with. Those that have the same book get what is pending before.
    pub(super) fn whole_book(&mut self, inst: usize, shape: Shape) -> String {
        let is_known = self
            .feeds
            .get(inst)
            .is_some_and(|feed| feed.books.contains_key(&shape));
        if is_known {
            self.publish_book(inst, shape);
        }
        let new = self.core.engine.update_id(inst);
        let sides = lines(&self.core.engine, inst, shape);
        let body = rows(self.core.engine.spec(inst), &sides);
        if let Some(feed) = self.feeds.get_mut(inst) {
            let due = next(self.core.now, shape.period());
            let shown = Shown {
                sides,
                update_id: new,
                due,
            };
            feed.books.insert(shape, shown);
        }
        body
    }

    fn publish_book(&mut self, inst: usize, shape: Shape) {
        let conns = conn::listeners(&self.conns, inst, Topic::Book(shape));
        let update_id = self.core.engine.update_id(inst);
        let Some(feed) = self.feeds.get_mut(inst) else {
            return;
        };
        if conns.is_empty() {
            feed.books.remove(&shape);
            return;
        }
        let Some(shown) = feed.books.get_mut(&shape) else {
            return;
        };
        shown.due = next(self.core.now, shape.period());
        if shown.update_id == update_id {
            return;
        }
        shown.update_id = update_id;
        let sides = lines(&self.core.engine, inst, shape);
        let spec = self.core.engine.spec(inst);
        let rows = changes(spec, &shown.sides, &sides);
        if rows.is_empty() {
            return;
        }
        let has_checksums = |conn| self.conns.get(conn).is_some_and(Conn::has_checksums);
        let checked = conns.iter().any(|(conn, _)| has_checksums(conn));
        let sum = checked.then(|| checksum(spec, &sides));
        shown.sides = sides;
        let rows: Vec<String> = rows.into_iter().map(|row| self.with_extra(row)).collect();
        for (conn, channel) in conns {
            let key = format!("{conn}/{channel}");
            for row in &rows {
                if let Some(text) = self.frame(conn, channel, row) {
                    self.core.publish_on(shape.depth(), &key, &[conn], text);
                }
            }
            let sum = sum.filter(|_| self.conns.get(&conn).is_some_and(Conn::has_checksums));
            if let Some(sum) = sum {
                let wrong = self.core.spoils(shape.depth());
                let sum = sum ^ i32::from(wrong);
                self.say(conn, channel, &format!("\"cs\",{sum}"));
            }
        }
    }

    fn publish_ticker(&mut self, inst: usize) {
        let conns = conn::listeners(&self.conns, inst, Topic::Ticker);
        if conns.is_empty() {
            return;
        }
        let text = self.ticker_row(inst, "").to_string();
        if self.feeds.get(inst).is_none_or(|feed| feed.ticker == text) {
            return;
        }
        if let Some(feed) = self.feeds.get_mut(inst) {
            feed.ticker.clone_from(&text);
        }
        let row = self.with_extra(text);
        for (conn, channel) in conns {
            self.say(conn, channel, &row);
        }
    }

    /// `[BID,BID_SIZE,ASK,ASK_SIZE,CHANGE,CHANGE_REL,LAST,VOLUME,HIGH,LOW,null]`, over REST with the symbol in
    /// front and nothing behind.
    pub(super) fn ticker_row(&self, inst: usize, symbol: &str) -> Value {
        let engine = &self.core.engine;
        let (spec, day, book) = (engine.spec(inst), engine.day(inst), engine.book(inst));
        let best = |side| book.best(side).map_or(0, |(price, _)| price);
        let size = |side| {
            let levels = book.levels(side).take(TICKER_LEVELS);
            let total = levels.map(|(_, level)| i128::from(level.total)).sum();
            number(total, spec.qty_decimals)
        };
        let price = |value| reply::price(spec, value);
        let change = i128::from(day.last - day.open);
        let relative = (change * 1_000_000).checked_div(i128::from(day.open));
        let mut row = vec![
            price(best(Side::Buy)),
            size(Side::Buy),
            price(best(Side::Sell)),
            size(Side::Sell),
            price(day.last - day.open),
            number(relative.unwrap_or(0), 6),
            price(day.last),
            number(i128::from(day.volume), spec.qty_decimals),
            price(day.high),
            price(day.low),
        ];
        if symbol.is_empty() {
            row.push(Value::Null);
        } else {
            row.insert(0, json!(symbol));
        }
        Value::Array(row)
    }

    /// A REST book, or the one of one or two seconds ago.
    pub(super) fn rest_book(&self, inst: usize, shape: Shape, is_old: bool) -> String {
        let old = self.feeds.get(inst).map(|feed| &feed.old[0]);
        let old = old.filter(|sides| is_old && sides.iter().any(|side| !side.is_empty()));
        let sides = match old {
            Some(sides) => sides.clone().map(|mut side| {
                side.truncate(shape.len());
                side
            }),
            None => lines(&self.core.engine, inst, shape),
        };
        rows(self.core.engine.spec(inst), &sides)
    }

    fn keep_book(&mut self, inst: usize) {
        let fresh = lines(&self.core.engine, inst, Shape::usual(OLD_LINES));
        if let Some(feed) = self.feeds.get_mut(inst) {
            let [_, newer] = std::mem::take(&mut feed.old);
            let is_first = newer.iter().all(Vec::is_empty);
            let older = if is_first { fresh.clone() } else { newer };
            feed.old = [older, fresh];
        }
    }

    /// What an account's assets are worth in the quote asset.
    pub(super) fn worth(&self, account: usize) -> Value {
        let engine = &self.core.engine;
        let mut total = 0i128;
        for (name, asset) in reply::assets(&self.core) {
            let balance = engine.ledger().balance(account, asset);
            let cents = (balance.free + balance.locked) / 10_000_000_000;
            let mut based =
                (0..engine.instruments()).filter(|inst| engine.spec(*inst).base == name);
            let price = based.next().map_or((1, 0), |inst| {
                let decimals = engine.spec(inst).price_decimals;
                (engine.day(inst).last, decimals)
            });
            total += cents * i128::from(price.0) / 10i128.pow(u32::from(price.1));
        }
        number(total, 2)
    }
}
