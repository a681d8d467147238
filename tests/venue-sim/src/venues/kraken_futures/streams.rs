//! Market data of both interfaces, real-time: each change of the engine goes out at once.
//!
//! ```text
//!  Unified   book of a depth   snapshot, then what changed within the depth; what fell out of it is not told; checksum
//!            trade, ticker     numbered trades; the best quote at each change, or at each trade
//!  legacy    book              snapshot seq S, then one level a message, S+1, S+2, …; whole depth
//!            trade, ticker     each trade; ticker and ticker_lite at most once a second
//! ```

use super::reply::{Row, double, double_price, double_qty, list, price, qty, side, trade_uid};
use super::time::rfc3339;
use crate::core::{ConnId, Core};
use crate::engine::{Book, Engine, Event, Side, Spec, Trade};
use crate::fault::Kind;
use crate::text;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// Depths a Unified book may be subscribed at.
pub const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// Levels a side the checksum covers.
const CHECKSUM_LEVELS: usize = 10;
/// Trades kept, for REST and the legacy snapshot.
const PRINTS_KEPT: usize = 100;
/// Trades of a Unified snapshot.
const SNAPSHOT_TRADES: usize = 50;
/// Cadence of the legacy ticker.
const TICKER_NS: u64 = 1_000_000_000;
/// Where the numbers of trades start, for each instrument.
const FIRST_TRADE: u64 = 655_500;

/// What may be subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Unified: a book of a depth.
    Book(usize),
    /// Unified: trades.
    Trade,
    /// Unified: the ticker, at each change of the best quote, or at each trade.
    Ticker(bool),
    /// Unified: the instruments.
    Instrument,
    /// Legacy: `book`.
    LegacyBook,
    /// Legacy: `trade`.
    LegacyTrade,
    /// Legacy: `ticker`, or `ticker_lite`.
    LegacyTicker(bool),
    /// Legacy: `heartbeat`.
    LegacyHeartbeat,
}

/// Who listens: by channel and instrument index.
pub type Listeners<'a> = &'a dyn Fn(Channel, usize) -> Vec<ConnId>;

/// Price and quantity of a level, in increments.
type Level = (i64, i64);

/// The best levels as the subscribers of a depth have them: bids, asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View([Vec<Level>; 2]);

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

impl View {
    fn new(book: &Book, depth: usize) -> Self {
        let side = |side| {
            let levels = book.levels(side).take(depth);
            levels.map(|(price, level)| (price, level.total)).collect()
        };
        Self(SIDES.map(side))
    }

    /// What its holders must be told to come to `next`: levels that are gone, then those that changed. One that only
    /// fell out of the depth is cut by the client.
    fn changes(&self, next: &Self, book: &Book) -> [Vec<Level>; 2] {
        let mut out = [Vec::new(), Vec::new()];
        for (((old, new), side), out) in self.0.iter().zip(&next.0).zip(SIDES).zip(&mut out) {
            let gone = old
                .iter()
                .filter(|(price, _)| book.total(side, *price) == 0);
            out.extend(gone.map(|(price, _)| (*price, 0)));
            // Both are sorted, bids from above.
            let rank = |price: i64| if side == Side::Buy { -price } else { price };
            let is_known = |level: &&Level| {
                let found = old.binary_search_by_key(&rank(level.0), |(price, _)| rank(*price));
                found.is_ok_and(|at| old.get(at) == Some(*level))
            };
            out.extend(new.iter().filter(|level| !is_known(level)));
        }
        out
    }

    /// CRC-32 of the ten best asks, then the ten best bids: digits as printed, no point, no zeros in front. The spot
    /// market's rule; one source says that derivatives have it too.
    fn checksum(&self) -> u32 {
        let [bids, asks] = &self.0;
        let mut text = String::new();
        for side in [asks, bids] {
            for (price, qty) in side.iter().take(CHECKSUM_LEVELS) {
                let _ = write!(text, "{price}{qty}");
            }
        }
        crc32fast::hash(text.as_bytes())
    }
}

/// A trade with its number within the instrument.
#[derive(Debug, Clone, Copy)]
struct Print {
    trade: Trade,
    number: u64,
}

/// One instrument's channels.
#[derive(Debug)]
pub struct Feed {
    inst: usize,
    symbol: String,
    views: BTreeMap<usize, View>,
    bbo: View,
    prints: VecDeque<Print>,
    last_trade: u64,
    /// What the legacy numbers are behind the engine's.
    offset: u64,
    is_ticker_due: bool,
    ticker_at: u64,
}

impl Feed {
    /// The channels of an instrument, from its book as it is.
    pub fn new(engine: &Engine, inst: usize, symbol: &str, now: u64) -> Self {
        Self {
            inst,
            symbol: symbol.to_owned(),
            views: BTreeMap::new(),
            bbo: View::new(engine.book(inst), 1),
            prints: VecDeque::new(),
            last_trade: FIRST_TRADE,
            offset: 0,
            is_ticker_due: false,
            ticker_at: now + TICKER_NS,
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> u64 {
        if self.is_ticker_due {
            self.ticker_at
        } else {
            u64::MAX
        }
    }

    /// Makes the legacy numbers fall from the next message on.
    pub fn reset_sequence(&mut self, engine: &Engine) {
        self.offset = engine.update_id(self.inst).saturating_sub(1_000);
    }

    /// Takes in events of the engine and publishes them.
    pub fn on_events(&mut self, core: &mut Core, events: &[Event], listeners: Listeners<'_>) {
        let (mut prints, mut is_touched) = (Vec::new(), false);
        let deltas = listeners(Channel::LegacyBook, self.inst);
        for event in events {
            match event {
                Event::Level {
                    inst,
                    side,
                    price,
                    qty,
                    update_id,
                    ..
                } if *inst == self.inst => {
                    is_touched = true;
                    if !deltas.is_empty() {
                        let text = self.delta(core, *side, (*price, *qty), *update_id);
                        core.publish_depth(&format!("{} legacy", self.symbol), &deltas, text);
                    }
                }
                Event::Trade(trade) if trade.inst == self.inst => {
                    self.last_trade += 1;
                    let number = self.last_trade;
                    prints.push(Print {
                        trade: *trade,
                        number,
                    });
                }
                _ => {}
            }
        }
        if is_touched {
            self.push_books(core, listeners);
        }
        if !prints.is_empty() {
            self.print(core, &prints, listeners);
        }
        let bbo = View::new(core.engine.book(self.inst), 1);
        let is_new = bbo != self.bbo;
        self.bbo = bbo;
        self.is_ticker_due |= is_new || !prints.is_empty();
        for (is_bbo, is_due) in [(true, is_new), (false, !prints.is_empty())] {
            let conns = listeners(Channel::Ticker(is_bbo), self.inst);
            if is_due && !conns.is_empty() {
                let text = self.ticker(core, "update");
                core.publish(&conns, text);
            }
        }
    }

    /// Publishes what fell due: the legacy tickers.
    pub fn step(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        if !self.is_ticker_due || core.now < self.ticker_at {
            return;
        }
        self.is_ticker_due = false;
        self.ticker_at = core.now + TICKER_NS;
        for is_lite in [false, true] {
            let conns = listeners(Channel::LegacyTicker(is_lite), self.inst);
            if !conns.is_empty() {
                let text = self.legacy_ticker(core, is_lite);
                core.publish(&conns, text);
            }
        }
    }

    /// What a new subscriber of a channel gets at once; `None` when that is nothing.
    pub fn snapshot(&mut self, core: &Core, channel: Channel) -> Option<String> {
        let book = core.engine.book(self.inst);
        Some(match channel {
            Channel::Book(depth) => {
                let view = View::new(book, depth);
                let checksum = view.checksum();
                let text = self.book(core, "snapshot", &view.0, checksum);
                self.views.insert(depth, view);
                text
            }
            Channel::Trade => {
                let prints: Vec<Print> = self
                    .prints
                    .iter()
                    .rev()
                    .take(SNAPSHOT_TRADES)
                    .rev()
                    .copied()
                    .collect();
                self.trades(core, "snapshot", &prints)
            }
            Channel::Ticker(_) => self.ticker(core, "snapshot"),
            Channel::LegacyBook => {
                let sides = View::new(book, usize::MAX).0.map(|levels| {
                    let spec = core.engine.spec(self.inst);
                    let rows = levels.iter().map(|(price, qty)| {
                        let row = Row::new().raw("price", double_price(spec, *price));
                        row.raw("qty", double_qty(spec, *qty)).end()
                    });
                    list(&rows.collect::<Vec<_>>())
                });
                let [bids, asks] = sides;
                let row = Row::new()
                    .text("feed", "book_snapshot")
                    .text("product_id", &self.symbol);
                row.raw("timestamp", core.venue_ms())
                    .raw("seq", core.engine.update_id(self.inst) - self.offset)
                    .raw("tickSize", "null")
                    .raw("bids", bids)
                    .raw("asks", asks)
                    .end()
            }
            Channel::LegacyTrade => {
                let spec = core.engine.spec(self.inst);
                let rows = self
                    .prints
                    .iter()
                    .rev()
                    .map(|print| self.legacy_trade(spec, print));
                let rows: Vec<String> = rows.collect();
                let row = Row::new()
                    .text("feed", "trade_snapshot")
                    .text("product_id", &self.symbol);
                row.raw("trades", list(&rows)).end()
            }
            Channel::LegacyTicker(is_lite) => self.legacy_ticker(core, is_lite),
            Channel::Instrument | Channel::LegacyHeartbeat => return None,
        })
    }

    /// The latest trades as REST shows them, newest first.
    pub fn history(&self, core: &Core) -> String {
        let spec = core.engine.spec(self.inst);
        let rows = self.prints.iter().rev().map(|Print { trade, number }| {
            Row::new()
                .text("time", &rfc3339(trade.at_ns, 3))
                .raw("trade_id", number)
                .raw("price", double_price(spec, trade.price))
                .raw("size", double_qty(spec, trade.qty))
                .text("side", side(trade.taker))
                .text("type", "fill")
                .text("uid", &trade_uid(trade.id))
                .end()
        });
        list(&rows.collect::<Vec<_>>())
    }

    fn push_books(&mut self, core: &mut Core, listeners: Listeners<'_>) {
        for depth in DEPTHS {
            let conns = listeners(Channel::Book(depth), self.inst);
            let Some(old) = self.views.remove(&depth).filter(|_| !conns.is_empty()) else {
                continue;
            };
            let book = core.engine.book(self.inst);
            let next = View::new(book, depth);
            let changes = old.changes(&next, book);
            let is_changed = changes.iter().any(|side| !side.is_empty());
            let mut checksum = next.checksum();
            self.views.insert(depth, next);
            if is_changed {
                if core.faults.take(Kind::BadChecksum).is_some() {
                    checksum ^= 1;
                }
                let text = self.book(core, "update", &changes, checksum);
                core.publish_depth(&format!("{} {depth}", self.symbol), &conns, text);
            }
        }
    }

    fn book(
        &self,
        core: &Core,
        kind: &str,
        [bids, asks]: &[Vec<Level>; 2],
        checksum: u32,
    ) -> String {
        let spec = core.engine.spec(self.inst);
        let levels = |levels: &[Level]| {
            let rows = levels.iter().map(|(at, total)| {
                let row = Row::new().raw("price", price(spec, *at));
                row.raw("qty", qty(spec, *total)).end()
            });
            list(&rows.collect::<Vec<_>>())
        };
        let data = Row::new()
            .text("symbol", &self.symbol)
            .raw("bids", levels(bids))
            .raw("asks", levels(asks))
            .raw("checksum", checksum)
            .text("timestamp", &rfc3339(super::venue_ns(core), 6));
        push("book", kind, &[data.end()])
    }

    fn delta(&self, core: &Core, of: Side, (price, qty): Level, update_id: u64) -> String {
        let spec = core.engine.spec(self.inst);
        Row::new()
            .text("feed", "book")
            .text("product_id", &self.symbol)
            .text("side", side(of))
            .raw("seq", update_id - self.offset)
            .raw("price", double_price(spec, price))
            .raw("qty", double_qty(spec, qty))
            .raw("timestamp", core.venue_ms())
            .end()
    }

    fn print(&mut self, core: &mut Core, prints: &[Print], listeners: Listeners<'_>) {
        let conns = listeners(Channel::Trade, self.inst);
        if !conns.is_empty() {
            let text = self.trades(core, "update", prints);
            core.publish(&conns, text);
        }
        let conns = listeners(Channel::LegacyTrade, self.inst);
        for print in prints {
            if !conns.is_empty() {
                let text = self.legacy_trade(core.engine.spec(self.inst), print);
                core.publish(&conns, text);
            }
            self.prints.push_back(*print);
            if self.prints.len() > PRINTS_KEPT {
                self.prints.pop_front();
            }
        }
    }

    fn trades(&self, core: &Core, kind: &str, prints: &[Print]) -> String {
        let spec = core.engine.spec(self.inst);
        let rows = prints.iter().map(|Print { trade, number }| {
            Row::new()
                .text("symbol", &self.symbol)
                .text("side", side(trade.taker))
                .raw("price", price(spec, trade.price))
                .raw("qty", qty(spec, trade.qty))
                .text("ord_type", "limit")
                .raw("trade_id", number)
                .text("timestamp", &rfc3339(trade.at_ns, 6))
                .end()
        });
        push("trade", kind, &rows.collect::<Vec<_>>())
    }

    fn legacy_trade(&self, spec: &Spec, Print { trade, number }: &Print) -> String {
        Row::new()
            .text("feed", "trade")
            .text("product_id", &self.symbol)
            .text("uid", &trade_uid(trade.id))
            .text("side", side(trade.taker))
            .text("type", "fill")
            .raw("seq", number)
            .raw("time", trade.at_ns / 1_000_000)
            .raw("qty", double_qty(spec, trade.qty))
            .raw("price", double_price(spec, trade.price))
            .end()
    }

    fn ticker(&self, core: &Core, kind: &str) -> String {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let [bid, ask] = &self.bbo.0;
        // An empty side has no price.
        let at = |side: &[Level]| {
            side.first()
                .map_or_else(|| "null".to_owned(), |(at, _)| price(spec, *at))
        };
        let size = |side: &[Level]| {
            side.first()
                .map_or_else(|| qty(spec, 0), |(_, total)| qty(spec, *total))
        };
        let base = spec.base_amount(day.volume).max(1);
        let vwap = match day.volume {
            0 => price(spec, day.last),
            _ => text::trimmed(day.quote_volume.saturating_mul(100_000) / base, 5),
        };
        let change = i128::from(day.last - day.open);
        let percent = change * 10_000 / i128::from(day.open.max(1));
        let data = Row::new()
            .text("symbol", &self.symbol)
            .raw("bid", at(bid))
            .raw("bid_qty", size(bid))
            .raw("ask", at(ask))
            .raw("ask_qty", size(ask))
            .raw("last", price(spec, day.last))
            .raw("volume", qty(spec, day.volume))
            .raw("vwap", vwap)
            .raw("low", price(spec, day.low))
            .raw("high", price(spec, day.high))
            .raw(
                "change",
                text::fixed(change, spec.price_decimals, spec.price_decimals),
            )
            .raw("change_pct", text::fixed(percent, 2, 2))
            .text("timestamp", &rfc3339(super::venue_ns(core), 6));
        push("ticker", kind, &[data.end()])
    }

    fn legacy_ticker(&self, core: &Core, is_lite: bool) -> String {
        let name = if is_lite { "ticker_lite" } else { "ticker" };
        let head = Row::new()
            .text("feed", name)
            .text("product_id", &self.symbol);
        self.legacy_figures(core, head, is_lite).end()
    }

    /// The figures of a legacy ticker, of the feed or of REST.
    pub fn legacy_figures(&self, core: &Core, row: Row, is_lite: bool) -> Row {
        let (spec, day) = (core.engine.spec(self.inst), core.engine.day(self.inst));
        let [bid, ask] = &self.bbo.0;
        let at = |side: &[Level]| double_price(spec, side.first().map_or(0, |(at, _)| *at));
        let size = |side: &[Level]| double_qty(spec, side.first().map_or(0, |(_, total)| *total));
        let last = double_price(spec, day.last);
        let percent = i128::from(day.last - day.open) * 10_000 / i128::from(day.open.max(1));
        let change = double(&text::trimmed(percent, 2));
        let row = if is_lite {
            row.raw("bid", at(bid))
                .raw("ask", at(ask))
                .raw("change", change)
        } else {
            row.raw("time", core.venue_ms())
                .raw("bid", at(bid))
                .raw("ask", at(ask))
                .raw("bid_size", size(bid))
                .raw("ask_size", size(ask))
        };
        let row = row.raw("volume", double_qty(spec, day.volume));
        if is_lite {
            return row
                .text("tag", "perpetual")
                .text("pair", &pair(spec))
                .raw("dtm", 0);
        }
        row.raw("dtm", 0)
            .text("leverage", "50x")
            .raw("index", &last)
            .raw("premium", "0.0")
            .raw("last", &last)
            .raw("change", double(&text::trimmed(percent, 2)))
            .raw("suspended", false)
            .text("tag", "perpetual")
            .text("pair", &pair(spec))
            .raw("openInterest", "0.0")
            .raw("markPrice", &last)
            .raw("maturityTime", 0)
            .raw("post_only", false)
            .raw("volumeQuote", double(&text::fixed(day.quote_volume, 12, 0)))
            .raw("open", double_price(spec, day.open))
            .raw("high", double_price(spec, day.high))
            .raw("low", double_price(spec, day.low))
    }
}

/// `XBT:USD`.
fn pair(spec: &Spec) -> String {
    format!("{}:{}", super::asset_in_symbol(&spec.base), spec.quote)
}

/// A push of a Unified channel.
pub fn push(channel: &str, kind: &str, rows: &[String]) -> String {
    let row = Row::new().text("channel", channel).text("type", kind);
    row.raw("data", list(rows)).end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_vectors() {
        let small = View([vec![(650_000, 50_000_000)], vec![(650_001, 25_000_000)]]);
        assert_eq!(small.checksum(), 2_851_171_180);
        let bids = [
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
        ];
        let asks = [
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
        ];
        let mut view = View([bids.to_vec(), asks.to_vec()]);
        assert_eq!(view.checksum(), 3_426_176_702);
        // What lies deeper does not count.
        view.0[0].push((1, 1));
        assert_eq!(view.checksum(), 3_426_176_702);
        view.0[0] = [&bids[..1], &bids[2..], &[(649_950, 20_000_000)]].concat();
        assert_eq!(view.checksum(), 823_980_338);
    }
}
