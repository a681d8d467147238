//! What each market was like of late: bars and mean price of trades, spread and depth of the book.
//!
//! Writer of a line: the lane whose engine has the instrument, once a second. Readers: the control plane, the CLI.

use crate::twin::{Twin, Words};
use dp_types::{Price, Qty, UnixNanos};

/// One instrument's market. Read it with [`Twin::read`], write it with [`Twin::write`].
pub type MarketLine = Twin<MarketState, 19>;

/// Trades of one minute. Prices and quantities: increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinuteBar {
    /// When it began, on this node's clock: a whole minute.
    pub start: UnixNanos,
    /// First price.
    pub open: Price,
    /// Highest.
    pub high: Price,
    /// Lowest.
    pub low: Price,
    /// Last.
    pub close: Price,
    /// Quantity.
    pub volume: Qty,
    /// Of it, what takers bought.
    pub bought: Qty,
    /// Trades.
    pub trades: u64,
}

/// Spread of one minute, increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinuteSpread {
    /// Weighted by time, thousandths of an increment.
    pub mean_milli: i64,
    /// Smallest.
    pub min: i64,
    /// Largest.
    pub max: i64,
}

/// One instrument's market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MarketState {
    /// The last minute that is over and had trades.
    pub bar: Option<MinuteBar>,
    /// Mean price by quantity of the last five minutes (VWAP), increments, and that quantity.
    pub vwap: Option<(Price, Qty)>,
    /// The last minute that is over and had a proven book.
    pub spread: Option<MinuteSpread>,
    /// Quantity within ten basis points of the mid, bids and asks; `None` = no proven book now.
    pub depth: Option<(Qty, Qty)>,
    /// Best ask less best bid now.
    pub spread_now: i64,
    /// When.
    pub updated: UnixNanos,
}

impl Words<19> for MarketState {
    fn to_words(&self) -> [u64; 19] {
        let bar = self.bar.unwrap_or_default();
        let (vwap, vwap_qty) = self.vwap.unwrap_or_default();
        let spread = self.spread.unwrap_or_default();
        let (bids, asks) = self.depth.unwrap_or_default();
        let flags = [
            self.bar.is_some(),
            self.vwap.is_some(),
            self.spread.is_some(),
            self.depth.is_some(),
        ];
        let flags = flags
            .iter()
            .rev()
            .fold(0, |bits, it| bits << 1 | u64::from(*it));
        [
            flags,
            bar.start.0,
            bar.open.0 as u64,
            bar.high.0 as u64,
            bar.low.0 as u64,
            bar.close.0 as u64,
            bar.volume.0 as u64,
            bar.bought.0 as u64,
            bar.trades,
            vwap.0 as u64,
            vwap_qty.0 as u64,
            spread.mean_milli as u64,
            spread.min as u64,
            spread.max as u64,
            bids.0 as u64,
            asks.0 as u64,
            self.spread_now as u64,
            self.updated.0,
            0,
        ]
    }

    fn from_words(words: &[u64; 19]) -> Option<Self> {
        let number = |at: usize| words[at] as i64;
        let has = |at: u32| words[0] >> at & 1 != 0;
        Some(Self {
            bar: has(0).then(|| MinuteBar {
                start: UnixNanos(words[1]),
                open: Price(number(2)),
                high: Price(number(3)),
                low: Price(number(4)),
                close: Price(number(5)),
                volume: Qty(number(6)),
                bought: Qty(number(7)),
                trades: words[8],
            }),
            vwap: has(1).then(|| (Price(number(9)), Qty(number(10)))),
            spread: has(2).then(|| MinuteSpread {
                mean_milli: number(11),
                min: number(12),
                max: number(13),
            }),
            depth: has(3).then(|| (Qty(number(14)), Qty(number(15)))),
            spread_now: number(16),
            updated: UnixNanos(words[17]),
        })
    }
}
