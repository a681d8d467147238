//! What each market was like of late, for people and metrics: bars and mean price of trades, spread and depth of its book.
//!
//! A trade costs a few additions, a book's message nothing: books are looked at ten times a second, and what is known is
//! shown once a second. Strategies that want the like at each event keep their own from `dp_signal`.

use super::Engine;
use dp_book::{Book, State};
use dp_shm::{MarketState, MinuteBar, MinuteSpread};
use dp_signal::{Bar, Bars, Depth, DepthStats, Vwap};
use dp_types::{Instrument, InstrumentId, Now, Side, TradeMsg, UnixNanos};

const MINUTE_NS: u64 = 60_000_000_000;
const VWAP_NS: u64 = 5 * MINUTE_NS;
/// How far from the mid depth is counted, basis points.
const DEPTH_BPS: u32 = 10;
const SHOW_NS: u64 = 1_000_000_000;

/// One instrument's.
#[derive(Debug)]
pub(super) struct Stats {
    bars: Bars,
    vwap: Vwap,
    /// Of the minute under way, counted from 1970.
    spread: (u64, DepthStats),
    shown: MarketState,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            bars: Bars::new(MINUTE_NS),
            vwap: Vwap::new(VWAP_NS),
            spread: (0, DepthStats::default()),
            shown: MarketState::default(),
        }
    }

    /// Somebody traded.
    pub(super) fn on_trade(&mut self, instrument: &Instrument, trade: &TradeMsg, now: UnixNanos) {
        let (Ok(price), Ok(qty)) = (instrument.price(trade.price), instrument.qty(trade.qty))
        else {
            return;
        };
        let over = self.bars.on_trade(price, qty, trade.taker, now);
        self.keep_bar(over);
        self.vwap.on_trade(price, qty, now);
    }

    fn keep_bar(&mut self, over: Option<Bar>) {
        if let Some(bar) = over {
            self.shown.bar = Some(MinuteBar {
                start: bar.start,
                open: bar.open,
                high: bar.high,
                low: bar.low,
                close: bar.close,
                volume: bar.volume,
                bought: bar.bought,
                trades: bar.trades,
            });
        }
    }

    /// Time passed; `book`: as it stands, where it is proven. Gives what is to be shown, once a second.
    fn on_time(&mut self, book: Option<&Book>, now: UnixNanos) -> Option<&MarketState> {
        let over = self.bars.on_time(now);
        self.keep_bar(over);
        let best = |side| book.and_then(|book| book.side(side).next());
        let (bid, ask) = (best(Side::Buy), best(Side::Sell));
        let spread = bid
            .zip(ask)
            .map(|(bid, ask)| ask.price.0.saturating_sub(bid.price.0));
        let minute = now.0 / MINUTE_NS;
        if minute > self.spread.0 {
            let mut over = self.spread.1;
            // To the minute's end as it was last.
            over.on_spread(None, UnixNanos(minute * MINUTE_NS));
            let of = over.spread_mean_milli().map(|mean_milli| MinuteSpread {
                mean_milli,
                min: over.spread_min,
                max: over.spread_max,
            });
            self.shown.spread = of.or(self.shown.spread);
            self.spread = (minute, DepthStats::default());
        }
        self.spread.1.on_spread(spread, now);
        if now.since(self.shown.updated) < SHOW_NS {
            return None;
        }
        self.vwap.on_time(now);
        let depth = book.and_then(|book| Depth::of(book, DEPTH_BPS));
        self.shown.vwap = self.vwap.get().map(|price| (price, self.vwap.qty()));
        self.shown.depth = depth.map(|depth| (depth.bids, depth.asks));
        self.shown.spread_now = spread.unwrap_or(0);
        self.shown.updated = now;
        Some(&self.shown)
    }
}

impl Engine<'_> {
    /// Looks at every book, and shows what there is to show.
    pub(super) fn show_markets(&mut self, now: Now) {
        for (id, slot) in (0..).map(InstrumentId).zip(&mut self.books) {
            let Some(slot) = slot else { continue };
            let is_proven = slot.keeper.proof().state == State::Synced;
            let book = is_proven.then(|| slot.keeper.book());
            if let Some(state) = slot.stats.on_time(book, now.unix) {
                self.wall.show_market(id, state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Decimal, Level, Price, Qty, Text, TradeId, VenueId, VenueNanos};

    const S: u64 = 1_000_000_000;

    fn instrument() -> Instrument {
        Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 0, 0)
    }

    fn book(bid: i64, ask: i64) -> Book {
        let mut book = Book::new(8);
        for (side, price, qty) in [
            (Side::Buy, bid, 5),
            (Side::Buy, bid - 10, 50),
            (Side::Sell, ask, 7),
        ] {
            let level = Level {
                price: Price(price),
                qty: Qty(qty),
                ..Level::default()
            };
            book.apply_level(side, &level);
        }
        book
    }

    fn trade(price: i64, qty: i64, taker: Side) -> TradeMsg {
        let whole = |mantissa| Decimal {
            mantissa,
            exponent: 0,
        };
        TradeMsg {
            instrument: InstrumentId(0),
            trade_id: TradeId(0),
            taker,
            price: whole(price),
            qty: whole(qty),
            venue_ns: VenueNanos(0),
        }
    }

    /// Worked by hand: 40 s at a spread of 2, then 20 s at 5; three trades; and a minute with neither.
    #[test]
    fn a_minute_by_hand() {
        let mut stats = Stats::new();
        let at = |second: u64| UnixNanos(600 * S + second * S);
        let mut last = MarketState::default();
        for second in 0..=60 {
            for (when, price, qty, taker) in [
                (10, 100, 2, Side::Buy),
                (20, 104, 1, Side::Sell),
                (30, 98, 3, Side::Buy),
            ] {
                if when == second {
                    stats.on_trade(&instrument(), &trade(price, qty, taker), at(second));
                }
            }
            let spread = if second < 40 { 2 } else { 5 };
            let book = book(10_000, 10_000 + spread);
            last = *stats.on_time(Some(&book), at(second)).unwrap();
        }
        let bar = last.bar.unwrap();
        assert_eq!(
            (bar.open, bar.high, bar.low, bar.close),
            (Price(100), Price(104), Price(98), Price(98))
        );
        assert_eq!((bar.volume, bar.bought, bar.trades), (Qty(6), Qty(5), 3));
        // (200 + 104 + 294) / 6
        assert_eq!(last.vwap, Some((Price(99), Qty(6))));
        let spread = last.spread.unwrap();
        assert_eq!((spread.mean_milli, spread.min, spread.max), (3_000, 2, 5));
        assert_eq!((last.depth, last.spread_now), (Some((Qty(5), Qty(7))), 5));
        // A book nobody vouches for has no spread and no depth; what was is still known, the trades for five minutes.
        let gone = *stats.on_time(None, at(200)).unwrap();
        assert_eq!((gone.depth, gone.spread_now), (None, 0));
        assert_eq!((gone.bar, gone.vwap), (last.bar, last.vwap));
        assert_eq!(stats.on_time(None, at(600)).unwrap().vwap, None);
    }
}
