//! Public channels: books, books5, bbo-tbt, trades, tickers.
//!
//! ```text
//!  subscribe ─▶ what is pending goes out ─▶ snapshot prevSeqId -1, seqId s
//!  every 100 ms with changes ─▶ update prevSeqId s, seqId s'      nothing for 60 s ─▶ prevSeqId = seqId
//! ```
//! The sequence number is the engine's update id less an offset, so that it can be made to fall.

use super::reply::inst_type;
use crate::config::SimConfig;
use crate::core::{ConnId, Core};
use crate::engine::{Book, Engine, Event, Side, Spec, Trade};
use crate::fault::Kind;
use crate::text::{amount, price, qty};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Cadence of `books`, `books5` and `tickers`.
const BOOK_NS: u64 = 100_000_000;
/// Cadence of `bbo-tbt`.
const BBO_NS: u64 = 10_000_000;
/// A push without changes after so long.
const QUIET_NS: u64 = 60_000_000_000;
/// Levels of a snapshot.
const DEPTH: usize = 400;

/// Who listens: by channel and instrument index.
pub type Listeners<'a> = &'a dyn Fn(&str, usize) -> Vec<ConnId>;

/// One instrument's channels.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    inst_id: String,
    has_checksum: bool,
    has_snapshot: bool,
    offset: i64,
    dirty: BTreeSet<(Side, i64)>,
    last_seq: i64,
    book_due: u64,
    quiet_since: u64,
    bbo: [(i64, i64); 2],
    bbo_due: Option<u64>,
    bbo_sent: u64,
    is_ticker_due: bool,
    top5: String,
    /// A REST book of about a second ago, and the one before it.
    old: [String; 2],
    old_due: u64,
}

impl Feed {
    /// The channels of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, inst_id: &str, now: u64, config: &SimConfig) -> Self {
        Self {
            inst,
            inst_id: inst_id.to_owned(),
            has_checksum: config.has_okx_checksums,
            has_snapshot: config.has_okx_snapshots,
            offset: 0,
            dirty: BTreeSet::new(),
            last_seq: engine.update_id(inst) as i64,
            book_due: now + BOOK_NS,
            quiet_since: now,
            bbo: [
                best(engine.book(inst), Side::Buy),
                best(engine.book(inst), Side::Sell),
            ],
            bbo_due: None,
            bbo_sent: 0,
            is_ticker_due: true,
            top5: String::new(),
            old: [String::new(), String::new()],
            old_due: now,
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        self.book_due.min(self.bbo_due.unwrap_or(u64::MAX))
    }

    /// Holds the books back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.book_due = self.book_due.max(until);
    }

    /// Makes sequence numbers fall from the next message on.
    pub fn reset_sequence(&mut self, engine: &Engine) {
        self.offset = engine.update_id(self.inst) as i64 - 1_000;
    }

    /// The sequence number of the book as it is.
    pub fn sequence(&self, engine: &Engine) -> i64 {
        engine.update_id(self.inst) as i64 - self.offset
    }

    /// Takes in events of the engine and publishes what is real-time.
    pub fn on_events(&mut self, core: &mut Core, events: &[Event], listeners: Listeners<'_>) {
        let mut trades: Vec<Trade> = Vec::new();
        for event in events {
            match event {
                Event::Level {
                    inst, side, price, ..
                } if *inst == self.inst => {
                    self.dirty.insert((*side, *price));
                }
                Event::Trade(trade) if trade.inst == self.inst => trades.push(*trade),
                _ => {}
            }
        }
        self.print(core, &trades, listeners);
        let book = core.engine.book(self.inst);
        let bbo = [best(book, Side::Buy), best(book, Side::Sell)];
        if bbo != self.bbo {
            self.bbo = bbo;
            self.is_ticker_due = true;
            self.bbo_due
                .get_or_insert(core.now.max(self.bbo_sent + BBO_NS));
        }
        self.push_bbo(core, listeners);
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        self.push_bbo(core, listeners);
        if core.now < self.book_due {
            return;
        }
        self.book_due = (core.now / BOOK_NS + 1) * BOOK_NS;
        self.push_books(core, listeners);
        let conns = listeners("books5", self.inst);
        if !conns.is_empty() {
            self.push_books5(core, &conns);
        }
        let conns = listeners("tickers", self.inst);
        if self.is_ticker_due && !conns.is_empty() {
            let row = ticker(core, self.inst, &self.inst_id);
            core.publish(&conns, self.message("tickers", "", &row.to_string()));
        }
        self.is_ticker_due = false;
        if core.now >= self.old_due {
            self.old_due = core.now + 1_000_000_000;
            let [older, newer] = &mut self.old;
            std::mem::swap(older, newer);
            newer.clear();
            let book = self.rest_book(core, DEPTH);
            for kept in self.old.iter_mut().filter(|kept| kept.is_empty()) {
                kept.clone_from(&book);
            }
        }
    }

    /// What a new subscriber of a channel gets at once.
    pub fn subscribed(
        &mut self,
        core: &mut Core,
        channel: &str,
        conn: ConnId,
        listeners: Listeners<'_>,
    ) {
        match channel {
            "books" => {
                // Others must not see a snapshot's number they have not reached.
                self.push_books(core, listeners);
                if self.has_snapshot {
                    let data = self.book_data(core, None, -1);
                    core.send(
                        conn,
                        self.message("books", "\"action\":\"snapshot\",", &data),
                    );
                }
            }
            "books5" => {
                let data = self.top(core, 5);
                core.send(conn, self.message("books5", "", &data));
            }
            "bbo-tbt" => {
                let data = self.top(core, 1);
                core.send(conn, self.message("bbo-tbt", "", &data));
            }
            "tickers" => {
                let row = ticker(core, self.inst, &self.inst_id);
                core.send(conn, self.message("tickers", "", &row.to_string()));
            }
            _ => {}
        }
    }

    /// The data of a REST book.
    pub fn rest_book(&self, core: &Core, depth: usize) -> String {
        let (bids, asks) = sides(&core.engine, self.inst, depth);
        format!(
            "{{\"asks\":[{asks}],\"bids\":[{bids}],\"ts\":\"{}\",\"seqId\":{}}}",
            core.venue_ms(),
            self.sequence(&core.engine)
        )
    }

    /// The data of a REST book of one or two seconds ago.
    pub fn old_book(&self) -> &str {
        &self.old[0]
    }

    fn push_books(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if self.dirty.is_empty() && core.now - self.quiet_since < QUIET_NS {
            return;
        }
        self.quiet_since = core.now;
        let dirty = std::mem::take(&mut self.dirty);
        let conns = listeners("books", self.inst);
        let previous = self.last_seq;
        if dirty.is_empty() {
            // Nothing changed: the number repeats.
            let data = self.book_data(core, Some(&dirty), previous);
            let text = self.message("books", "\"action\":\"update\",", &data);
            core.publish_depth(&self.inst_id.clone(), &conns, text);
            return;
        }
        self.last_seq = self.sequence(&core.engine);
        if conns.is_empty() {
            return;
        }
        let data = self.book_data(core, Some(&dirty), previous);
        let text = self.message("books", "\"action\":\"update\",", &data);
        core.publish_depth(&self.inst_id.clone(), &conns, text);
    }

    /// The data of a `books` message: the whole book, or the levels that changed.
    fn book_data(
        &self,
        core: &mut Core,
        dirty: Option<&BTreeSet<(Side, i64)>>,
        previous: i64,
    ) -> String {
        let checksum = self.checksum(core);
        let (spec, book) = (core.engine.spec(self.inst), core.engine.book(self.inst));
        let (bids, asks) = match dirty {
            None => sides(&core.engine, self.inst, DEPTH),
            Some(dirty) => {
                let mut out = [String::new(), String::new()];
                for &(side, at) in dirty {
                    let count = book.count(side, at);
                    let line = &mut out[usize::from(side == Side::Sell)];
                    push_level(line, spec, at, book.total(side, at), count);
                }
                let [bids, asks] = out;
                (bids, asks)
            }
        };
        format!(
            "{{\"asks\":[{asks}],\"bids\":[{bids}],\"ts\":\"{}\",\"checksum\":{checksum},\
             \"prevSeqId\":{previous},\"seqId\":{}}}",
            core.venue_ms(),
            self.last_seq
        )
    }

    fn checksum(&self, core: &mut Core) -> i32 {
        let right = if self.has_checksum {
            checksum(&core.engine, self.inst)
        } else {
            0
        };
        if core.faults.take(Kind::BadChecksum).is_some() {
            right ^ 1
        } else {
            right
        }
    }

    fn push_books5(&mut self, core: &mut Core, conns: &[ConnId]) {
        let (bids, asks) = sides(&core.engine, self.inst, 5);
        let shown = format!("{bids}|{asks}");
        if shown != self.top5 {
            self.top5 = shown;
            let data = self.top(core, 5);
            let text = self.message("books5", "", &data);
            core.publish_depth(&format!("{} 5", self.inst_id), conns, text);
        }
    }

    fn push_bbo(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if self.bbo_due.is_none_or(|due| core.now < due) {
            return;
        }
        (self.bbo_due, self.bbo_sent) = (None, core.now);
        let conns = listeners("bbo-tbt", self.inst);
        if !conns.is_empty() {
            let data = self.top(core, 1);
            core.publish(&conns, self.message("bbo-tbt", "", &data));
        }
    }

    /// A complete message of few levels.
    fn top(&self, core: &Core, depth: usize) -> String {
        let (bids, asks) = sides(&core.engine, self.inst, depth);
        let name = if depth == 1 {
            String::new()
        } else {
            format!("\"instId\":\"{}\",", self.inst_id)
        };
        format!(
            "{{\"asks\":[{asks}],\"bids\":[{bids}],{name}\"ts\":\"{}\",\"seqId\":{}}}",
            core.venue_ms(),
            self.sequence(&core.engine)
        )
    }

    fn print(&mut self, core: &mut Core, trades: &[Trade], listeners: Listeners<'_>) {
        if trades.is_empty() {
            return;
        }
        self.is_ticker_due = true;
        let conns = listeners("trades", self.inst);
        if conns.is_empty() {
            return;
        }
        let spec = core.engine.spec(self.inst).clone();
        let sequence = self.sequence(&core.engine);
        for run in trades.chunk_by(|a, b| (a.taker_order, a.price) == (b.taker_order, b.price)) {
            let Some(last) = run.last() else {
                continue;
            };
            let size: i64 = run.iter().map(|trade| trade.qty).sum();
            let data = format!(
                "{{\"instId\":\"{}\",\"tradeId\":\"{}\",\"px\":\"{}\",\"sz\":\"{}\",\
                 \"side\":\"{}\",\"ts\":\"{}\",\"count\":\"{}\",\"source\":\"0\",\"seqId\":{}}}",
                self.inst_id,
                last.id,
                price(&spec, last.price),
                qty(&spec, size),
                super::reply::side(last.taker),
                last.at_ns / 1_000_000,
                run.len(),
                sequence
            );
            core.publish(&conns, self.message("trades", "", &data));
        }
    }

    fn message(&self, channel: &str, action: &str, data: &str) -> String {
        format!(
            "{{\"arg\":{{\"channel\":\"{channel}\",\"instId\":\"{}\"}},{action}\"data\":[{data}]}}",
            self.inst_id
        )
    }
}

fn best(book: &Book, side: Side) -> (i64, i64) {
    book.best(side)
        .map_or((0, 0), |(price, level)| (price, level.total))
}

fn push_level(out: &mut String, spec: &Spec, at: i64, total: i64, count: usize) {
    let comma = if out.is_empty() { "" } else { "," };
    let _ = write!(
        out,
        "{comma}[\"{}\",\"{}\",\"0\",\"{count}\"]",
        price(spec, at),
        qty(spec, total)
    );
}

/// Levels of both sides, best first: `(bids, asks)`.
fn sides(engine: &Engine, inst: usize, depth: usize) -> (String, String) {
    let (spec, book) = (engine.spec(inst), engine.book(inst));
    let side = |side| {
        let mut out = String::new();
        for (at, level) in book.levels(side).take(depth) {
            push_level(&mut out, spec, at, level.total, level.queue.len());
        }
        out
    };
    (side(Side::Buy), side(Side::Sell))
}

/// CRC-32 of the 25 best levels, bid and ask in turn, as printed, read as a signed number.
fn checksum(engine: &Engine, inst: usize) -> i32 {
    let (spec, book) = (engine.spec(inst), engine.book(inst));
    let side = |side| {
        book.levels(side)
            .take(25)
            .map(|(at, level)| format!("{}:{}", price(spec, at), qty(spec, level.total)))
            .collect::<Vec<String>>()
    };
    checksum_of(&side(Side::Buy), &side(Side::Sell))
}

fn checksum_of(bids: &[String], asks: &[String]) -> i32 {
    let mut parts: Vec<&str> = Vec::new();
    for at in 0..25 {
        parts.extend(bids.get(at).map(String::as_str));
        parts.extend(asks.get(at).map(String::as_str));
    }
    crc32fast::hash(parts.join(":").as_bytes()) as i32
}

/// A ticker's row.
pub fn ticker(core: &Core, inst: usize, inst_id: &str) -> serde_json::Value {
    let (spec, day) = (core.engine.spec(inst), core.engine.day(inst));
    let book = core.engine.book(inst);
    let (bid, ask) = (best(book, Side::Buy), best(book, Side::Sell));
    serde_json::json!({
        "instType": inst_type(inst_id), "instId": inst_id, "last": price(spec, day.last),
        "lastSz": qty(spec, day.last_qty), "askPx": price(spec, ask.0), "askSz": qty(spec, ask.1),
        "bidPx": price(spec, bid.0), "bidSz": qty(spec, bid.1), "open24h": price(spec, day.open),
        "high24h": price(spec, day.high), "low24h": price(spec, day.low),
        "volCcy24h": amount(day.quote_volume), "vol24h": qty(spec, day.volume),
        "sodUtc0": price(spec, day.open), "sodUtc8": price(spec, day.open),
        "ts": core.venue_ms().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_vectors() {
        let levels = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
        for (bids, asks, sum) in [
            (
                vec!["3366.1:7", "3366:6"],
                vec!["3366.8:9", "3368:8"],
                -1_881_014_294,
            ),
            (
                vec!["3366.1:7"],
                vec!["3366.8:9", "3368:8", "3372:8"],
                831_078_360,
            ),
            (
                vec!["65000:1.5", "64999.9:0.2", "64999.5:3"],
                vec!["65000.1:0.8", "65000.4:2"],
                -1_516_162_764,
            ),
        ] {
            assert_eq!(checksum_of(&levels(&bids), &levels(&asks)), sum);
        }
    }
}
