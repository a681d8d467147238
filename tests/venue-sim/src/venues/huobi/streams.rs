//! Market data of one instrument: increments of books, whole books, best quotes, trades, tickers.
//!
//! ```text
//!  mbp.5 .10 .20     at once         the side that changed        seqNum is the engine's, less an offset
//!  mbp.150 .400      every 100 ms    both sides, perhaps empty    prevSeqNum is the last seqNum of that topic
//!  req ─▶ the book as that topic has told it so far, under its last seqNum
//! ```
//! A topic is a window on the best levels. A level that leaves the book is told as 0; one that only falls out of
//! the window is not told: clients cut their book to the window after each message.

use super::number::bare;
use super::reply::{self, levels};
use super::topic::{Topic, WINDOWS};
use crate::core::{ConnId, Core, Out};
use crate::engine::{Book, Engine, Event, Side, Trade};
use crate::fault::Kind;
use std::fmt::Write as _;

/// How far sequence numbers fall when they begin anew.
const SEQUENCE_FALL: u64 = 1_000_000_000;
/// Cadence of `mbp.150`, `mbp.400`, `mbp.refresh` and `ticker`.
const FAST_NS: u64 = 100_000_000;
/// Cadence of `depth` and `detail`.
const SLOW_NS: u64 = 1_000_000_000;
/// Levels of `depth.step0`; the aggregated ones have fewer.
const DEPTH: usize = 150;
const DEPTH_STEP: usize = 20;
/// Best quotes and trades count for themselves, far from the books' numbers.
const QUOTE_IDS: u64 = 36_985_063_438;
const PRINT_IDS: u64 = 34_481_872_000;
/// A trade's own id is its message's and 15 digits more.
const LONG_IDS: u64 = 359_286_410_000_000;

/// Who listens: by topic and instrument index.
pub type Listeners<'a> = &'a dyn Fn(Topic, usize) -> Vec<ConnId>;

/// Levels of bids and asks, best first.
type Image = [Vec<(i64, i64)>; 2];

/// One topic of increments: what it has told so far, while somebody listens.
#[derive(Debug)]
struct Window {
    levels: usize,
    is_at_once: bool,
    image: Option<Image>,
    sequence: u64,
    /// The books of about a second ago and of the second before, older first.
    old: [Option<(Image, u64)>; 2],
}

/// A snapshot that is answered later.
#[derive(Debug)]
struct Late {
    at: u64,
    conn: ConnId,
    levels: usize,
    head: String,
}

/// One instrument's market data.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    offset: u64,
    windows: Vec<Window>,
    quote: [Option<(i64, i64)>; 2],
    print: Option<String>,
    is_ticker_due: bool,
    is_detail_due: bool,
    refreshed: u64,
    deepened: u64,
    fast_due: u64,
    slow_due: u64,
    held_until: u64,
    late: Vec<Late>,
}

fn image(engine: &Engine, inst: usize, depth: usize) -> Image {
    [Side::Buy, Side::Sell].map(|side| {
        let levels = engine.book(inst).levels(side).take(depth);
        levels.map(|(at, level)| (at, level.total)).collect()
    })
}

fn quote(book: &Book) -> [Option<(i64, i64)>; 2] {
    [Side::Buy, Side::Sell].map(|side| book.best(side).map(|(at, level)| (at, level.total)))
}

impl Feed {
    /// The market data of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, symbol: &str, now: u64) -> Self {
        let sequence = engine.update_id(inst);
        let windows = WINDOWS.map(|(levels, is_at_once)| Window {
            levels,
            is_at_once,
            image: None,
            sequence,
            old: [None, None],
        });
        Self {
            inst,
            symbol: symbol.to_owned(),
            offset: 0,
            windows: windows.into(),
            quote: quote(engine.book(inst)),
            print: None,
            is_ticker_due: true,
            is_detail_due: true,
            refreshed: sequence,
            deepened: sequence,
            fast_due: now + FAST_NS,
            slow_due: now + SLOW_NS,
            held_until: 0,
            late: Vec::new(),
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        let late = self.late.iter().map(|late| late.at).min();
        self.fast_due.min(late.unwrap_or(u64::MAX))
    }

    /// Makes sequence numbers start anew: the next increments follow nothing that was told before.
    pub fn reset_sequence(&mut self, engine: &Engine) {
        // Far, each time: a fall of a few would look like messages that come late.
        let lower = (engine.update_id(self.inst) - self.offset)
            .saturating_sub(1)
            .min(SEQUENCE_FALL);
        self.offset += lower;
        for window in &mut self.windows {
            window.sequence = window.sequence.saturating_sub(lower);
            window.old = [None, None];
        }
    }

    /// Takes in events of the engine and publishes what is real-time.
    pub fn on_events(&mut self, core: &mut Core, events: &[Event], listeners: Listeners<'_>) {
        let is_mine = |event: &&Event| match event {
            Event::Level { inst, .. } => *inst == self.inst,
            _ => false,
        };
        let is_touched = events.iter().any(|event| is_mine(&event));
        let trades: Vec<Trade> = events
            .iter()
            .filter_map(|event| match event {
                Event::Trade(trade) if trade.inst == self.inst => Some(*trade),
                _ => None,
            })
            .collect();
        if is_touched {
            self.push_windows(core, true, listeners);
        }
        self.print(core, &trades, listeners);
        let best = quote(core.engine.book(self.inst));
        if best != self.quote {
            self.quote = best;
            self.is_ticker_due = true;
            self.push(core, Topic::Quote, listeners);
        }
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let now = core.now;
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|late: &Late| late.at <= now);
        self.late = late;
        for Late {
            conn, levels, head, ..
        } in due
        {
            let text = format!("{head}{}}}", self.snapshot(core, levels, false));
            core.send(conn, text);
        }
        if now < self.fast_due {
            return;
        }
        self.fast_due = (now / FAST_NS + 1) * FAST_NS;
        self.push_windows(core, false, listeners);
        self.push_whole(core, listeners);
        if now >= self.slow_due {
            self.slow_due = (now / SLOW_NS + 1) * SLOW_NS;
            self.push_slow(core, listeners);
        }
    }

    /// What a new subscriber of a topic gets at once; `None` where the next message is the first.
    pub fn subscribed(&mut self, core: &Core, topic: Topic) -> Option<String> {
        match topic {
            Topic::Increments(depth) => {
                let sequence = core.engine.update_id(self.inst) - self.offset;
                let mut windows = self.windows.iter_mut();
                let window = windows.find(|window| window.levels == depth)?;
                if window.image.is_none() {
                    window.image = Some(image(&core.engine, self.inst, depth));
                    (window.sequence, window.old) = (sequence, [None, None]);
                }
                None
            }
            Topic::Trades => self.print.clone(),
            _ => Some(self.message(core, topic, &self.tick(core, topic)?)),
        }
    }

    /// The data that a `req` for a topic is answered with.
    pub fn data(&self, core: &mut Core, topic: Topic) -> Option<String> {
        match topic {
            Topic::Increments(depth) => {
                let is_old = core.faults.take(Kind::SnapshotOld).is_some();
                Some(self.snapshot(core, depth, is_old))
            }
            Topic::Trades => self.print.as_ref().map_or(Some("[]".into()), |text| {
                let at = text.find("\"data\":")?;
                text.get(at + 7..text.len() - 2).map(str::to_owned)
            }),
            _ => self.tick(core, topic),
        }
    }

    /// Answers a `req` for increments after `ns` only, and holds the stream back for as long again: the
    /// snapshot is then newer than it. `head` is the answer up to its data.
    pub fn answer_late(&mut self, now: u64, conn: ConnId, levels: usize, ns: u64, head: String) {
        let at = now.saturating_add(ns);
        self.held_until = self.held_until.max(at.saturating_add(ns));
        self.late.push(Late {
            at,
            conn,
            levels,
            head,
        });
    }

    /// Forgets a connection.
    pub fn closed(&mut self, conn: ConnId) {
        self.late.retain(|late| late.conn != conn);
    }

    /// The tick of a whole book, for REST.
    pub fn depth_tick(&self, core: &Core, step: u32, depth: usize) -> String {
        let spec = core.engine.spec(self.inst);
        let unit = spec.tick.saturating_mul(10i64.pow(step));
        let mut sides = image(&core.engine, self.inst, usize::MAX);
        for (at, side) in sides.iter_mut().enumerate() {
            let mut merged: Vec<(i64, i64)> = Vec::new();
            for &(price, total) in side.iter() {
                // Bids are counted down to the coarser price, asks up to it.
                let up = if at == 1 { unit - 1 } else { 0 };
                let price = (price + up) / unit * unit;
                match merged.last_mut() {
                    Some(last) if last.0 == price => last.1 += total,
                    _ => merged.push((price, total)),
                }
            }
            merged.truncate(depth);
            *side = merged;
        }
        let [bids, asks] = sides.map(|side| levels(spec, &side));
        format!(
            "{{\"bids\":{bids},\"asks\":{asks},\"version\":{},\"ts\":{}}}",
            core.engine.update_id(self.inst) + QUOTE_IDS,
            core.venue_ms()
        )
    }

    /// The tick of the day's figures. `with_quotes` adds the best of both sides as levels.
    pub fn detail_tick(&self, core: &Core, with_quotes: bool) -> String {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let price = |at: i64| bare(at.into(), spec.price_decimals);
        let id = core.engine.update_id(self.inst) + 2 * QUOTE_IDS;
        let mut out = format!(
            "{{\"id\":{id},\"low\":{},\"high\":{},\"open\":{},\"close\":{},\"vol\":{},\"amount\":{},\
             \"version\":{id},\"count\":{}",
            price(day.low),
            price(day.high),
            price(day.open),
            price(day.last),
            bare(day.quote_volume, 12),
            bare(day.volume.into(), spec.qty_decimals),
            day.count
        );
        for (name, best) in ["bid", "ask"].into_iter().zip(self.quote) {
            if let (true, Some((at, total))) = (with_quotes, best) {
                let total = bare(total.into(), spec.qty_decimals);
                let _ = write!(out, ",\"{name}\":[{},{total}]", price(at));
            }
        }
        out.push('}');
        out
    }

    /// Sends a topic of increments what changed in its window.
    fn push_windows(&mut self, core: &mut Core, at_once: bool, listeners: Listeners<'_>) {
        let sequence = core.engine.update_id(self.inst) - self.offset;
        for at in 0..self.windows.len() {
            let Some(window) = self.windows.get_mut(at) else {
                return;
            };
            let topic = Topic::Increments(window.levels);
            let conns = listeners(topic, self.inst);
            if conns.is_empty() {
                window.image = None;
            }
            let Some(told) = &window.image else {
                continue;
            };
            if window.is_at_once != at_once || window.sequence == sequence {
                continue;
            }
            let image = image(&core.engine, self.inst, window.levels);
            let book = core.engine.book(self.inst);
            let bids = changes(book, Side::Buy, &told[0], &image[0]);
            let asks = changes(book, Side::Sell, &told[1], &image[1]);
            if at_once && bids.is_empty() && asks.is_empty() {
                continue;
            }
            let previous = std::mem::replace(&mut window.sequence, sequence);
            window.image = Some(image);
            let spec = core.engine.spec(self.inst);
            let mut tick = format!("{{\"seqNum\":{sequence},\"prevSeqNum\":{previous}");
            for (name, side) in [("bids", &bids), ("asks", &asks)] {
                if !at_once || !side.is_empty() {
                    let _ = write!(tick, ",\"{name}\":{}", levels(spec, side));
                }
            }
            tick.push('}');
            let text = self.message(core, topic, &tick);
            self.publish_increments(core, topic, &conns, text);
        }
    }

    fn publish_increments(&self, core: &mut Core, topic: Topic, conns: &[ConnId], text: String) {
        if core.now >= self.held_until {
            let key = format!("{} {}", self.symbol, topic.name());
            core.publish_depth(&key, conns, text);
            return;
        }
        for &conn in conns {
            core.at(self.held_until, Out::Text(conn, text.clone()));
        }
    }

    /// Whole books of few levels and the ticker, where something changed.
    fn push_whole(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let sequence = core.engine.update_id(self.inst);
        if self.refreshed != sequence {
            self.refreshed = sequence;
            for depth in [5, 10, 20] {
                self.push(core, Topic::Refresh(depth), listeners);
            }
        }
        if std::mem::take(&mut self.is_ticker_due) {
            self.is_detail_due = true;
            self.push(core, Topic::Ticker, listeners);
        }
    }

    fn push_slow(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let sequence = core.engine.update_id(self.inst);
        if self.deepened != sequence {
            self.deepened = sequence;
            for step in 0..=5 {
                self.push(core, Topic::Depth(step), listeners);
            }
        }
        if std::mem::take(&mut self.is_detail_due) {
            self.push(core, Topic::Detail, listeners);
        }
        for window in &mut self.windows {
            let kept = window.image.clone().map(|image| (image, window.sequence));
            let [older, newer] = &mut window.old;
            *older = newer.take().or_else(|| kept.clone());
            *newer = kept;
        }
    }

    fn push(&self, core: &mut Core, topic: Topic, listeners: Listeners<'_>) {
        let conns = listeners(topic, self.inst);
        if conns.is_empty() {
            return;
        }
        if let Some(tick) = self.tick(core, topic) {
            core.publish(&conns, self.message(core, topic, &tick));
        }
    }

    /// The tick of topics whose every message is whole.
    fn tick(&self, core: &Core, topic: Topic) -> Option<String> {
        let spec = core.engine.spec(self.inst);
        Some(match topic {
            Topic::Refresh(depth) => {
                let [bids, asks] =
                    image(&core.engine, self.inst, depth).map(|side| levels(spec, &side));
                let sequence = core.engine.update_id(self.inst) - self.offset;
                format!("{{\"seqNum\":{sequence},\"bids\":{bids},\"asks\":{asks}}}")
            }
            Topic::Depth(step) => {
                let depth = if step == 0 { DEPTH } else { DEPTH_STEP };
                self.depth_tick(core, step, depth)
            }
            Topic::Quote => self.quote_tick(core),
            Topic::Ticker => self.ticker_tick(core),
            Topic::Detail => self.detail_tick(core, false),
            Topic::Increments(_) | Topic::Trades => return None,
        })
    }

    fn quote_tick(&self, core: &Core) -> String {
        let spec = core.engine.spec(self.inst);
        let [bid, ask] = self.quote;
        let mut out = format!(
            "{{\"seqId\":{}",
            core.engine.update_id(self.inst) + QUOTE_IDS
        );
        for (name, best) in [("ask", ask), ("bid", bid)] {
            if let Some((at, total)) = best {
                let price = bare(at.into(), spec.price_decimals);
                let total = bare(total.into(), spec.qty_decimals);
                let _ = write!(out, ",\"{name}\":{price},\"{name}Size\":{total}");
            }
        }
        let now = core.venue_ms();
        let _ = write!(out, ",\"quoteTime\":{now},\"symbol\":\"{}\"}}", self.symbol);
        out
    }

    fn ticker_tick(&self, core: &Core) -> String {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let price = |at: i64| bare(at.into(), spec.price_decimals);
        let size = |qty: i64| bare(qty.into(), spec.qty_decimals);
        let [bid, ask] = self.quote.map(Option::unwrap_or_default);
        format!(
            "{{\"open\":{},\"high\":{},\"low\":{},\"close\":{},\"amount\":{},\"vol\":{},\"count\":{},\
             \"bid\":{},\"bidSize\":{},\"ask\":{},\"askSize\":{},\"lastPrice\":{},\"lastSize\":{}}}",
            price(day.open),
            price(day.high),
            price(day.low),
            price(day.last),
            size(day.volume),
            bare(day.quote_volume, 12),
            day.count,
            price(bid.0),
            size(bid.1),
            price(ask.0),
            size(ask.1),
            price(day.last),
            size(day.last_qty)
        )
    }

    /// A snapshot of a topic of increments: as it was told so far, or as of about two seconds ago.
    fn snapshot(&self, core: &Core, depth: usize, is_old: bool) -> String {
        let spec = core.engine.spec(self.inst);
        let Some(window) = self.windows.iter().find(|known| known.levels == depth) else {
            return "{}".into();
        };
        let old = window.old[0].as_ref().filter(|_| is_old);
        let ([bids, asks], sequence) = match (old, &window.image) {
            (Some((image, sequence)), _) => (image.clone(), *sequence),
            (None, Some(image)) => (image.clone(), window.sequence),
            (None, None) => {
                let sequence = core.engine.update_id(self.inst) - self.offset;
                (image(&core.engine, self.inst, depth), sequence)
            }
        };
        format!(
            "{{\"seqNum\":{sequence},\"bids\":{},\"asks\":{}}}",
            levels(spec, &bids),
            levels(spec, &asks)
        )
    }

    /// One message for each taker, with all it took.
    fn print(&mut self, core: &mut Core, trades: &[Trade], listeners: Listeners<'_>) {
        for run in trades.chunk_by(|a, b| a.taker_order == b.taker_order) {
            let Some(last) = run.last() else {
                continue;
            };
            self.is_ticker_due = true;
            let tick = format!(
                "{{\"id\":{},\"ts\":{},\"data\":{}}}",
                last.id + PRINT_IDS,
                last.at_ns / 1_000_000,
                prints(core, run)
            );
            let text = self.message(core, Topic::Trades, &tick);
            self.print = Some(text.clone());
            let conns = listeners(Topic::Trades, self.inst);
            if !conns.is_empty() {
                core.publish(&conns, text);
            }
        }
    }

    fn message(&self, core: &Core, topic: Topic, tick: &str) -> String {
        format!(
            "{{\"ch\":\"market.{}.{}\",\"ts\":{},\"tick\":{tick}}}",
            self.symbol,
            topic.name(),
            core.venue_ms()
        )
    }
}

/// Rows of public trades.
pub fn prints<'a>(core: &Core, trades: impl IntoIterator<Item = &'a Trade>) -> String {
    let rows: Vec<String> = trades
        .into_iter()
        .map(|trade| {
            let spec = core.engine.spec(trade.inst);
            format!(
                "{{\"id\":{}{},\"ts\":{},\"tradeId\":{},\"amount\":{},\"price\":{},\
                 \"direction\":\"{}\"}}",
                trade.id + PRINT_IDS,
                LONG_IDS + trade.id % 1_000_000_000,
                trade.at_ns / 1_000_000,
                trade.id,
                bare(trade.qty.into(), spec.qty_decimals),
                bare(trade.price.into(), spec.price_decimals),
                reply::side(trade.taker)
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
}

/// What leads from one image of a side to the next: levels that are new or other, and those that left the book.
fn changes(book: &Book, side: Side, old: &[(i64, i64)], new: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let gone = old
        .iter()
        .filter(|(at, _)| book.total(side, *at) == 0)
        .map(|(at, _)| (*at, 0));
    let fresh = new.iter().filter(|level| !old.contains(level)).copied();
    gone.chain(fresh).collect()
}
