//! Bars of trades: open, high, low, close and volume of a length of time (OHLCV).

use dp_types::{Price, Qty, Side, UnixNanos};

/// What was traded from `start` on, for the length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// A multiple of the length.
    pub start: UnixNanos,
    /// First price, increments.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Quantity, increments; saturates.
    pub volume: Qty,
    /// Of it, what takers bought.
    pub bought: Qty,
    /// Sum of price x quantity, in increments of each.
    pub value: i128,
    /// Trades.
    pub trades: u64,
}

impl Bar {
    const fn of(start: UnixNanos, price: Price) -> Self {
        Self {
            start,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Qty(0),
            bought: Qty(0),
            value: 0,
            trades: 0,
        }
    }

    /// Mean price by quantity (VWAP), increments, rounded towards zero; `None` without quantity.
    pub fn vwap(&self) -> Option<Price> {
        let mean = self.value.checked_div(i128::from(self.volume.0))?;
        i64::try_from(mean).ok().map(Price)
    }
}

/// Makes bars of one instrument's trades.
#[derive(Debug, Clone, Copy)]
pub struct Bars {
    length_ns: u64,
    bar: Option<Bar>,
    late: u64,
}

impl Bars {
    /// Bars of `length_ns`, each beginning at a multiple of it; 0 is taken for 1.
    pub const fn new(length_ns: u64) -> Self {
        Self {
            length_ns: if length_ns == 0 { 1 } else { length_ns },
            bar: None,
            late: 0,
        }
    }

    /// A trade at `at`. Returns the bar it ended. One that belongs to a bar already told is counted and left out.
    #[inline]
    pub fn on_trade(&mut self, price: Price, qty: Qty, taker: Side, at: UnixNanos) -> Option<Bar> {
        let start = UnixNanos(at.0 - at.0 % self.length_ns);
        let told = self.bar.filter(|bar| bar.start < start);
        if told.is_some() {
            self.bar = None;
        }
        let bar = self.bar.get_or_insert(Bar::of(start, price));
        if bar.start > start {
            self.late = self.late.saturating_add(1);
            return told;
        }
        bar.high = bar.high.max(price);
        bar.low = bar.low.min(price);
        bar.close = price;
        bar.volume = Qty(bar.volume.0.saturating_add(qty.0));
        if taker == Side::Buy {
            bar.bought = Qty(bar.bought.0.saturating_add(qty.0));
        }
        let value = i128::from(price.0) * i128::from(qty.0);
        bar.value = bar.value.saturating_add(value);
        bar.trades = bar.trades.saturating_add(1);
        told
    }

    /// The bar that is over at `now` though no trade has ended it; at most once.
    pub fn on_time(&mut self, now: UnixNanos) -> Option<Bar> {
        let bar = self.bar?;
        if now.0 < bar.start.0.saturating_add(self.length_ns) {
            return None;
        }
        self.bar.take()
    }

    /// The bar under way.
    pub const fn current(&self) -> Option<Bar> {
        self.bar
    }

    /// Trades that came after their bar was told.
    pub const fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn trade(bars: &mut Bars, price: i64, qty: i64, taker: Side, seconds: u64) -> Option<Bar> {
        bars.on_trade(Price(price), Qty(qty), taker, UnixNanos(seconds * S))
    }

    #[test]
    fn equals_a_bar_by_hand() {
        let mut bars = Bars::new(60 * S);
        for (price, qty, taker, at) in [
            (100, 2, Side::Buy, 61),
            (104, 1, Side::Sell, 70),
            (98, 3, Side::Buy, 90),
            (101, 4, Side::Sell, 119),
        ] {
            assert_eq!(trade(&mut bars, price, qty, taker, at), None);
        }
        let told = trade(&mut bars, 110, 1, Side::Buy, 125).unwrap();
        let want = Bar {
            start: UnixNanos(60 * S),
            open: Price(100),
            high: Price(104),
            low: Price(98),
            close: Price(101),
            volume: Qty(10),
            bought: Qty(5),
            value: 200 + 104 + 294 + 404,
            trades: 4,
        };
        assert_eq!(told, want);
        assert_eq!(told.vwap(), Some(Price(100)), "1002 / 10");
        assert_eq!(bars.current().unwrap().open, Price(110));
    }

    #[test]
    fn a_late_trade_is_counted_and_a_quiet_market_ends_its_bar_by_time() {
        let mut bars = Bars::new(60 * S);
        trade(&mut bars, 100, 1, Side::Buy, 60);
        assert_eq!(bars.on_time(UnixNanos(119 * S)), None);
        let told = bars.on_time(UnixNanos(120 * S)).unwrap();
        assert_eq!((told.start, told.trades), (UnixNanos(60 * S), 1));
        assert_eq!(bars.on_time(UnixNanos(240 * S)), None);
        trade(&mut bars, 100, 1, Side::Buy, 250);
        trade(&mut bars, 500, 9, Side::Buy, 60);
        assert_eq!((bars.late(), bars.current().unwrap().trades), (1, 1));
    }

    #[test]
    fn no_number_overflows() {
        let mut bars = Bars::new(0);
        for at in [0, 1, u64::MAX, u64::MAX] {
            bars.on_trade(Price(i64::MAX), Qty(i64::MAX), Side::Buy, UnixNanos(at));
        }
        assert_eq!(bars.current().unwrap().volume, Qty(i64::MAX));
        assert_eq!(bars.on_time(UnixNanos(u64::MAX)).unwrap().trades, 2);
    }
}
