//! Market streams in SBE: what the host of their own says, in the venue's schema 1 version 0.
//!
//! ```text
//!  message   header (length of the root, template, schema, version: u16 each) │ root │ groups │ symbol
//!  10000  @trade         as they happen, those of one taker together
//!  10001  @bestBidAsk    when the best level of a side is another
//!  10002  @depth20       every 50 ms
//!  10003  @depth         what changed, every 20 ms, with the numbers of the text streams
//! ```
//! Numbers are mantissas, little-endian; prices and quantities have an exponent each. New fields (a fault) come as a
//! newer version would bring them: at the end of each block. Answers to control messages stay text.
//! Source: venue page, section 3 (SBE market streams).

use super::streams::{Batch, best, next_slot};
use crate::core::{ConnId, Core};
use crate::engine::{Engine, Event, Side, Spec, Trade};
use crate::fault::Kind;

/// Cadence of `@depth`.
pub const DIFF_NS: u64 = 20_000_000;
/// Cadence of `@depth20`.
pub const TOP_NS: u64 = 50_000_000;
const TOP_LEVELS: usize = 20;

const SCHEMA: u16 = 1;
const VERSION: u16 = 0;
const TRADES: u16 = 10_000;
const BEST_BID_ASK: u16 = 10_001;
const DEPTH_20: u16 = 10_002;
const DEPTH_DIFF: u16 = 10_003;

/// Bytes of a trade, and of a level.
const TRADE_LEN: usize = 25;
const LEVEL_LEN: usize = 16;
/// Bytes that new fields take.
const NEW_LEN: usize = 3;

/// Price and quantity.
type Level = (i64, i64);

/// A message being written.
struct Message {
    bytes: Vec<u8>,
    /// Bytes of new fields in each block.
    new: usize,
}

impl Message {
    fn new(core: &mut Core, template: u16, root: &[u8]) -> Self {
        let is_newer = core.faults.take(Kind::ExtraFields).is_some();
        let new = if is_newer { NEW_LEN } else { 0 };
        let mut bytes = Vec::new();
        for field in [(root.len() + new) as u16, template, SCHEMA, VERSION] {
            bytes.extend(field.to_le_bytes());
        }
        let mut message = Self { bytes, new };
        message.block(root);
        message
    }

    fn block(&mut self, fields: &[u8]) {
        self.bytes.extend(fields);
        self.bytes.extend(std::iter::repeat_n(0xee, self.new));
    }

    /// The head of a group, whose count has two bytes or four.
    fn head(&mut self, len: usize, count: &[u8]) {
        let len = (len + self.new) as u16;
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(count);
    }

    fn levels(&mut self, levels: &[Level]) {
        self.head(LEVEL_LEN, &(levels.len() as u16).to_le_bytes());
        for (price, qty) in levels {
            self.block(&numbers(&[*price, *qty]));
        }
    }

    fn end(mut self, symbol: &str) -> Vec<u8> {
        self.bytes.push(symbol.len() as u8);
        self.bytes.extend(symbol.as_bytes());
        self.bytes
    }
}

fn numbers(numbers: &[i64]) -> Vec<u8> {
    let bytes = numbers.iter().map(|number| number.to_le_bytes());
    bytes.flatten().collect()
}

/// A root: numbers, the exponents of prices and quantities, more numbers.
fn root(spec: &Spec, before: &[i64], after: &[i64]) -> Vec<u8> {
    let mut root = numbers(before);
    let exponents = [spec.price_decimals, spec.qty_decimals];
    root.extend(exponents.map(|decimals| (-(decimals as i8)).cast_unsigned()));
    root.extend(numbers(after));
    root
}

/// The venue's time, microseconds.
fn micros(core: &Core) -> i64 {
    core.venue_ms() * 1_000
}

/// One instrument's streams.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    lower: String,
    changes: Batch,
    diff_due: u64,
    top_due: u64,
    bbo: [Level; 2],
}

/// Who listens to a stream.
pub type Listeners<'a> = &'a dyn Fn(&str) -> Vec<ConnId>;

impl Feed {
    /// The streams of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, symbol: &str, now: u64) -> Self {
        let book = engine.book(inst);
        Self {
            inst,
            symbol: symbol.to_owned(),
            lower: symbol.to_ascii_lowercase(),
            changes: Batch::since(engine.update_id(inst)),
            diff_due: now + DIFF_NS,
            top_due: now + TOP_NS,
            bbo: [best(book, Side::Buy), best(book, Side::Sell)],
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        self.diff_due.min(self.top_due)
    }

    /// Holds depth back until a time.
    pub fn hold_until(&mut self, until: u64) {
        self.diff_due = self.diff_due.max(until);
        self.top_due = self.top_due.max(until);
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
                } if *inst == self.inst => self.changes.note(*side, *price, *qty),
                Event::Trade(trade) if trade.inst == self.inst => trades.push(*trade),
                _ => {}
            }
        }
        let conns = listeners(&format!("{}@trade", self.lower));
        if !conns.is_empty() {
            for run in trades.chunk_by(|a, b| a.taker_order == b.taker_order) {
                let message = self.trades(core, run);
                core.publish(&conns, message);
            }
        }
        self.quote(core, listeners);
    }

    /// Publishes what fell due.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if core.now >= self.diff_due {
            self.diff_due = next_slot(core.now, DIFF_NS);
            self.diff(core, listeners);
        }
        if core.now >= self.top_due {
            self.top_due = next_slot(core.now, TOP_NS);
            let conns = listeners(&format!("{}@depth20", self.lower));
            if !conns.is_empty() {
                let message = self.top(core);
                core.publish(&conns, message);
            }
        }
    }

    fn diff(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let last = core.engine.update_id(self.inst);
        let Some((first, changes)) = self.changes.take(last) else {
            return;
        };
        let name = format!("{}@depth", self.lower);
        let conns = listeners(&name);
        if conns.is_empty() {
            return;
        }
        let before = [micros(core), first as i64, last as i64];
        let root = root(core.engine.spec(self.inst), &before, &[]);
        let mut message = Message::new(core, DEPTH_DIFF, &root);
        for wanted in [Side::Buy, Side::Sell] {
            let of_side = changes.iter().filter(|((side, _), _)| *side == wanted);
            let levels: Vec<Level> = of_side.map(|((_, price), qty)| (*price, *qty)).collect();
            message.levels(&levels);
        }
        core.publish_depth(&name, &conns, message.end(&self.symbol));
    }

    fn top(&self, core: &mut Core) -> Vec<u8> {
        let before = [micros(core), core.engine.update_id(self.inst) as i64];
        let root = root(core.engine.spec(self.inst), &before, &[]);
        let mut message = Message::new(core, DEPTH_20, &root);
        for side in [Side::Buy, Side::Sell] {
            let levels = core.engine.book(self.inst).levels(side).take(TOP_LEVELS);
            let levels: Vec<Level> = levels.map(|(price, level)| (price, level.total)).collect();
            message.levels(&levels);
        }
        message.end(&self.symbol)
    }

    /// Trades of one taker.
    fn trades(&self, core: &mut Core, run: &[Trade]) -> Vec<u8> {
        let at_ns = run.first().map_or(core.now, |trade| trade.at_ns);
        let before = [micros(core), (at_ns / 1_000) as i64];
        let root = root(core.engine.spec(self.inst), &before, &[]);
        let mut message = Message::new(core, TRADES, &root);
        message.head(TRADE_LEN, &(run.len() as u32).to_le_bytes());
        for trade in run {
            let mut fields = numbers(&[trade.id as i64, trade.price, trade.qty]);
            fields.push(u8::from(trade.taker == Side::Sell));
            message.block(&fields);
        }
        message.end(&self.symbol)
    }

    fn quote(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        let book = core.engine.book(self.inst);
        let bbo = [best(book, Side::Buy), best(book, Side::Sell)];
        if std::mem::replace(&mut self.bbo, bbo) == bbo {
            return;
        }
        let conns = listeners(&format!("{}@bestBidAsk", self.lower));
        if conns.is_empty() {
            return;
        }
        let [bid, ask] = bbo;
        let before = [micros(core), core.engine.update_id(self.inst) as i64];
        let after = [bid.0, bid.1, ask.0, ask.1];
        let root = root(core.engine.spec(self.inst), &before, &after);
        let message = Message::new(core, BEST_BID_ASK, &root);
        core.publish(&conns, message.end(&self.symbol));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SimConfig;
    use crate::core::Request;
    use crate::venues::Face as _;
    use crate::venues::binance::Binance;
    use crate::venues::rig::{Rig, START};
    use std::collections::BTreeMap;

    fn rig() -> Rig<Binance> {
        Rig::new(Binance::in_sbe(&SimConfig::default(), START))
    }

    fn upgrade(path: &str, key: Option<&str>) -> Request {
        let field = key.map(|key| ("x-mbx-apikey".to_owned(), key.to_owned()));
        Request {
            method: "GET".into(),
            path: path.into(),
            headers: field.into_iter().collect(),
            ..Request::default()
        }
    }

    /// Takes numbers off the front.
    struct Cut<'a>(&'a [u8]);

    impl Cut<'_> {
        fn take(&mut self, len: usize) -> Vec<u8> {
            let (taken, rest) = self.0.split_at(len);
            self.0 = rest;
            taken.to_vec()
        }

        fn number(&mut self, len: usize) -> i64 {
            let mut bytes = self.take(len);
            let sign = bytes.last().is_some_and(|last| *last >= 0x80) && len != 2;
            bytes.resize(8, if sign { 0xff } else { 0 });
            i64::from_le_bytes(bytes.try_into().unwrap())
        }

        fn levels(&mut self, into: &mut BTreeMap<i64, i64>) {
            let (len, count) = (self.number(2) as usize, self.number(2));
            for _ in 0..count {
                let mut block = Cut(self.0);
                let (price, qty) = (block.number(8), block.number(8));
                self.take(len);
                match qty {
                    0 => into.remove(&price),
                    qty => into.insert(price, qty),
                };
            }
        }
    }

    #[test]
    fn streams_are_for_who_shows_a_key_and_the_rest_is_as_ever() {
        let mut rig = rig();
        let status = |rig: &mut Rig<Binance>, path: &str, key: Option<&str>| {
            let refusal = rig.face.refuses_upgrade(&upgrade(path, key));
            refusal.map(|one| one.status)
        };
        let known = crate::keys::DEFAULT_KEY.0;
        assert_eq!(status(&mut rig, "/stream", None), Some(401));
        assert_eq!(
            status(&mut rig, "/ws/btcusdt@trade", Some("stranger")),
            Some(401)
        );
        assert_eq!(status(&mut rig, "/stream", Some(known)), None);
        assert_eq!(status(&mut rig, "/ws-api/v3", None), None);
        let mut text = Rig::new(Binance::new(&SimConfig::default(), START));
        assert_eq!(status(&mut text, "/stream", None), None);
    }

    /// Contiguous diffs over a book of the same counter are the engine's book, fields of a newer version or not;
    /// control messages are answered in text.
    #[test]
    fn diffs_rebuild_the_book() {
        let mut rig = rig();
        let mut sides: [BTreeMap<i64, i64>; 2] = [Side::Buy, Side::Sell].map(|side| {
            let levels = rig.face.core().engine.book(0).levels(side);
            levels.map(|(price, level)| (price, level.total)).collect()
        });
        let mut last = rig.face.core().engine.update_id(0) as i64;
        let conn = rig.open("/ws", "");
        let asked = r#"{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}"#;
        assert_eq!(rig.send(conn, asked)[0]["id"], 1);
        rig.run(2_000);
        rig.fault("extra-fields:n=5");
        rig.run(2_000);
        rig.face.core().flows.clear();
        rig.run(100);
        let frames = std::mem::take(rig.binary.get_mut(&conn).unwrap());
        assert!(frames.len() > 20, "{} frames", frames.len());
        let mut newer = 0;
        for frame in &frames {
            let mut cut = Cut(frame);
            let len = cut.number(2) as usize;
            newer += usize::from(len > 26);
            assert_eq!(
                [cut.number(2), cut.number(2), cut.number(2)],
                [10_003, 1, 0]
            );
            let mut root = Cut(cut.0);
            cut.take(len);
            let (_, first, end) = (root.number(8), root.number(8), root.number(8));
            assert_eq!([root.number(1), root.number(1)], [-2, -5], "exponents");
            assert_eq!(first, last + 1);
            last = end;
            for side in &mut sides {
                cut.levels(side);
            }
            let symbol = cut.take(1)[0];
            assert_eq!(cut.take(symbol.into()), b"BTCUSDT");
            assert!(cut.0.is_empty());
        }
        assert_eq!(newer, 5);
        for (side, built) in [Side::Buy, Side::Sell].into_iter().zip(sides) {
            let levels = rig.face.core().engine.book(0).levels(side);
            let real: BTreeMap<i64, i64> =
                levels.map(|(price, level)| (price, level.total)).collect();
            assert_eq!(built, real);
        }
    }
}
