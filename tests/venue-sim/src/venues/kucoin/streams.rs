//! Public topics: level2, level1, ticker, level2Depth5 and 50, match.
//!
//! ```text
//!  every change of a level, and every trade, takes the next number of its instrument
//!  changes of 10 ms ─▶ one level2 message sequenceStart..sequenceEnd     a trade in it: price "0"
//!  REST book at number s: messages up to s are in it, the first to apply begins at or below s + 1
//! ```
//! A level that changes twice within a message is in it twice: sides are listed by price, numbers tell the order.

use super::reply;
use crate::core::{ConnId, Core};
use crate::engine::{Book, Engine, Event, Side, Trade, What};
use crate::text::{price, qty};
use std::fmt::Write as _;

/// How long changes are collected for one message. The venue says real time [U: how long].
const BOOK_NS: u64 = 10_000_000;
/// Cadence of tickers and of whole books.
const SLOW_NS: u64 = 100_000_000;
/// Where a book's numbers start.
const SEQUENCE_FIRST: u64 = 1_617_071_937_790;
/// How far they fall when they begin anew, each time: a fall of a few would look like messages that come late.
const SEQUENCE_FALL: u64 = 1_000_000_000;

/// Books.
pub const LEVEL2: &str = "/market/level2";
/// Best bid and offer.
pub const LEVEL1: &str = "/spotMarket/level1";
/// Trades.
pub const MATCH: &str = "/market/match";
/// Tickers.
pub const TICKER: &str = "/market/ticker";
/// Tickers of all instruments.
pub const TICKER_ALL: &str = "/market/ticker:all";
/// Five levels.
pub const DEPTH5: &str = "/spotMarket/level2Depth5";
/// Fifty levels.
pub const DEPTH50: &str = "/spotMarket/level2Depth50";
/// Every public topic served, without its symbols.
pub const TOPICS: [&str; 6] = [LEVEL2, LEVEL1, MATCH, TICKER, DEPTH5, DEPTH50];

/// Who listens: by topic without its symbols, and instrument.
pub type Listeners<'a> = &'a dyn Fn(&str, usize) -> Vec<ConnId>;

/// One number of a book, and the level it set; none for a trade.
#[derive(Debug, Clone, Copy)]
struct Change {
    sequence: u64,
    level: Option<(Side, i64, i64)>,
}

/// A public trade as it was told.
#[derive(Debug, Clone)]
pub struct Print {
    /// The trade.
    pub trade: Trade,
    /// Whose order rested.
    pub maker: String,
    /// Its number.
    pub sequence: u64,
}

/// One instrument's topics.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    sequence: u64,
    changes: Vec<Change>,
    book_due: Option<u64>,
    slow_due: u64,
    /// Best bid and offer as last told.
    best: [Option<(i64, i64)>; 2],
    is_ticker_due: bool,
    /// Whole books as last told, of 5 and of 50 levels.
    depths: [String; 2],
    /// A REST book of about a second ago, and the one before it.
    old: [String; 2],
    old_due: u64,
}

impl Feed {
    /// The topics of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, symbol: &str, now: u64) -> Self {
        Self {
            inst,
            symbol: symbol.to_owned(),
            sequence: SEQUENCE_FIRST,
            changes: Vec::new(),
            book_due: None,
            slow_due: now + SLOW_NS,
            best: best(engine.book(inst)),
            is_ticker_due: false,
            depths: [String::new(), String::new()],
            old: [String::new(), String::new()],
            old_due: now,
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        self.slow_due.min(self.book_due.unwrap_or(u64::MAX))
    }

    /// Holds the stream of the book back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.book_due = Some(self.book_due.unwrap_or(until).max(until));
    }

    /// Makes the numbers fall after what is pending.
    pub fn reset_sequence(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        self.push_changes(core, listeners);
        self.sequence = self.sequence.saturating_sub(SEQUENCE_FALL).max(1);
    }

    /// The number of the book as it is.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes in events of the engine and publishes its trades, which it returns.
    pub fn on_events(
        &mut self,
        core: &mut Core,
        events: &[Event],
        listeners: Listeners<'_>,
    ) -> Vec<Print> {
        let mut prints = Vec::new();
        for event in events {
            match event {
                Event::Level {
                    inst,
                    side,
                    price,
                    qty,
                    ..
                } if *inst == self.inst => self.change(core.now, Some((*side, *price, *qty))),
                Event::Trade(trade) if trade.inst == self.inst => {
                    self.change(core.now, None);
                    prints.push(Print {
                        trade: *trade,
                        maker: maker_of(trade, events),
                        sequence: self.sequence,
                    });
                }
                _ => {}
            }
        }
        let conns = listeners(MATCH, self.inst);
        for print in &prints {
            self.is_ticker_due = true;
            if !conns.is_empty() {
                let data = reply::trade_row(core, &self.symbol, print);
                core.publish(
                    &conns,
                    self.message(MATCH, "trade.l3match", &data.to_string()),
                );
            }
        }
        prints
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if self.book_due.is_some_and(|due| due <= core.now) {
            self.push_changes(core, listeners);
        }
        if core.now < self.slow_due {
            return;
        }
        self.slow_due = (core.now / SLOW_NS + 1) * SLOW_NS;
        self.push_ticker(core, listeners);
        for (at, (topic, depth)) in [(DEPTH5, 5), (DEPTH50, 50)].into_iter().enumerate() {
            let conns = listeners(topic, self.inst);
            if conns.is_empty() {
                continue;
            }
            let sides = sides(&core.engine, self.inst, depth);
            if self.depths[at] != sides {
                let text = self.depth(core, topic, &sides);
                core.publish(&conns, text);
                self.depths[at] = sides;
            }
        }
        self.keep_old(core);
    }

    /// What a new subscriber of a topic gets at once; of books and trades there is nothing.
    pub fn subscribed(&self, core: &mut Core, topic: &str, conn: ConnId) {
        let text = match topic {
            LEVEL1 => self.level1(core),
            TICKER => self.ticker(core, TICKER),
            DEPTH5 => self.depth(core, DEPTH5, &sides(&core.engine, self.inst, 5)),
            DEPTH50 => self.depth(core, DEPTH50, &sides(&core.engine, self.inst, 50)),
            _ => return,
        };
        core.send(conn, text);
    }

    /// The data of a REST book.
    pub fn rest_book(&self, core: &Core, depth: usize) -> String {
        format!(
            "{{\"time\":{},\"sequence\":\"{}\",{}}}",
            core.venue_ms(),
            self.sequence,
            sides(&core.engine, self.inst, depth)
        )
    }

    /// The data of a whole REST book of one or two seconds ago.
    pub fn old_book(&self) -> &str {
        &self.old[0]
    }

    fn keep_old(&mut self, core: &Core) {
        if core.now < self.old_due {
            return;
        }
        self.old_due = core.now + 1_000_000_000;
        let book = self.rest_book(core, usize::MAX);
        let [older, newer] = &mut self.old;
        *older = std::mem::replace(newer, book);
        if older.is_empty() {
            older.clone_from(newer);
        }
    }

    fn change(&mut self, now: u64, level: Option<(Side, i64, i64)>) {
        self.sequence += 1;
        self.changes.push(Change {
            sequence: self.sequence,
            level,
        });
        self.book_due.get_or_insert(now + BOOK_NS);
    }

    fn push_changes(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        self.book_due = None;
        let mut changes = std::mem::take(&mut self.changes);
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            return;
        };
        let (first, last) = (first.sequence, last.sequence);
        let conns = listeners(LEVEL2, self.inst);
        if !conns.is_empty() {
            // Best first; a level's changes in their order, for clients that read none of its numbers.
            changes.sort_by_key(|change| {
                let key = change
                    .level
                    .map_or(i64::MIN, |(side, price, _)| match side {
                        Side::Buy => -price,
                        Side::Sell => price,
                    });
                (key, change.sequence)
            });
            let [bids, asks] = self.change_rows(core, &changes);
            let data = format!(
                "{{\"changes\":{{\"asks\":[{asks}],\"bids\":[{bids}]}},\"sequenceEnd\":{last},\
                 \"sequenceStart\":{first},\"symbol\":\"{}\",\"time\":{}}}",
                self.symbol,
                core.venue_ms()
            );
            let text = self.message(LEVEL2, "trade.l2update", &data);
            core.publish_depth(&self.symbol.clone(), &conns, text);
        }
        let now_best = best(core.engine.book(self.inst));
        if now_best != self.best {
            self.best = now_best;
            self.is_ticker_due = true;
            let conns = listeners(LEVEL1, self.inst);
            if !conns.is_empty() {
                core.publish(&conns, self.level1(core));
            }
        }
    }

    /// `[price, size, sequence]` of both sides.
    fn change_rows(&self, core: &Core, changes: &[Change]) -> [String; 2] {
        let spec = core.engine.spec(self.inst);
        let mut rows = [String::new(), String::new()];
        for change in changes {
            // A number without a level stands on either side.
            let (side, at, size) = change.level.unwrap_or((Side::Sell, 0, 0));
            let line = &mut rows[usize::from(side == Side::Sell)];
            let comma = if line.is_empty() { "" } else { "," };
            let _ = write!(
                line,
                "{comma}[\"{}\",\"{}\",\"{}\"]",
                price(spec, at),
                qty(spec, size),
                change.sequence
            );
        }
        rows
    }

    fn push_ticker(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if !std::mem::take(&mut self.is_ticker_due) {
            return;
        }
        for topic in [TICKER, TICKER_ALL] {
            let conns = listeners(topic, self.inst);
            if !conns.is_empty() {
                core.publish(&conns, self.ticker(core, topic));
            }
        }
    }

    fn ticker(&self, core: &Core, topic: &str) -> String {
        let data = reply::quote_row(core, self.inst, self.sequence).to_string();
        if topic == TICKER_ALL {
            return format!(
                "{{\"type\":\"message\",\"topic\":\"{TICKER_ALL}\",\"subject\":\"{}\",\
                 \"data\":{data}}}",
                self.symbol
            );
        }
        self.message(TICKER, "trade.ticker", &data)
    }

    fn level1(&self, core: &Core) -> String {
        let spec = core.engine.spec(self.inst);
        let [bid, ask] = best(core.engine.book(self.inst)).map(|level| {
            level.map_or(String::new(), |(at, size)| {
                format!("\"{}\",\"{}\"", price(spec, at), qty(spec, size))
            })
        });
        let data = format!(
            "{{\"asks\":[{ask}],\"bids\":[{bid}],\"timestamp\":{}}}",
            core.venue_ms()
        );
        self.message(LEVEL1, "level1", &data)
    }

    fn depth(&self, core: &Core, topic: &str, sides: &str) -> String {
        let data = format!("{{{sides},\"timestamp\":{}}}", core.venue_ms());
        self.message(topic, "level2", &data)
    }

    fn message(&self, topic: &str, subject: &str, data: &str) -> String {
        format!(
            "{{\"type\":\"message\",\"topic\":\"{topic}:{}\",\"subject\":\"{subject}\",\
             \"data\":{data}}}",
            self.symbol
        )
    }
}

/// The venue's id of the order that rested: a client's own where the trade was with one.
fn maker_of(trade: &Trade, events: &[Event]) -> String {
    let maker = events.iter().find_map(|event| match event {
        Event::Order(order, What::Fill(fill)) if fill.trade == trade.id && fill.is_maker => {
            Some(reply::order_id(order.id))
        }
        _ => None,
    });
    maker.unwrap_or_else(|| reply::other_order_id(trade.id))
}

/// Best bid and offer.
fn best(book: &Book) -> [Option<(i64, i64)>; 2] {
    [Side::Buy, Side::Sell].map(|side| book.best(side).map(|(at, level)| (at, level.total)))
}

/// `"bids":[…],"asks":[…]`, best first.
fn sides(engine: &Engine, inst: usize, depth: usize) -> String {
    let (spec, book) = (engine.spec(inst), engine.book(inst));
    let side = |side| {
        let mut out = String::new();
        for (at, level) in book.levels(side).take(depth) {
            let comma = if out.is_empty() { "" } else { "," };
            let _ = write!(
                out,
                "{comma}[\"{}\",\"{}\"]",
                price(spec, at),
                qty(spec, level.total)
            );
        }
        out
    };
    format!(
        "\"bids\":[{}],\"asks\":[{}]",
        side(Side::Buy),
        side(Side::Sell)
    )
}
