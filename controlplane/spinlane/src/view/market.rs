//! `spinlane market`.

use super::instrument;
use crate::table::Table;
use dp_shm::{MarketState, Region};
use dp_types::{Decimal, Instrument, InstrumentId, UnixNanos, VenueId};
use serde::Serialize;

/// What each market was like of late.
#[derive(Debug, Clone, Serialize)]
pub struct Markets {
    /// `done`.
    pub outcome: &'static str,
    /// By instrument.
    pub markets: Vec<Market>,
}

/// One instrument's. Prices and quantities are exact decimal texts; absent = not known, or nothing traded.
#[derive(Debug, Clone, Serialize)]
pub struct Market {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Best ask less best bid now.
    pub spread: Option<String>,
    /// Quantity within ten basis points of the mid, bids.
    pub bids: Option<String>,
    /// The same of asks.
    pub asks: Option<String>,
    /// Spread of the last whole minute, weighted by time.
    pub spread_mean: Option<String>,
    /// Its smallest.
    pub spread_min: Option<String>,
    /// Its largest.
    pub spread_max: Option<String>,
    /// Mean price by quantity of the last five minutes.
    pub vwap: Option<String>,
    /// What was traded in them.
    pub vwap_qty: Option<String>,
    /// Trades of the last whole minute that had any.
    pub bar: Option<Bar>,
    /// When, Unix nanoseconds.
    pub updated_ns: u64,
}

/// Trades of one minute.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    /// When it began, Unix nanoseconds.
    pub start_ns: u64,
    /// First price.
    pub open: String,
    /// Highest.
    pub high: String,
    /// Lowest.
    pub low: String,
    /// Last.
    pub close: String,
    /// Quantity.
    pub volume: String,
    /// Of it, what takers bought.
    pub bought: String,
    /// Trades.
    pub trades: u64,
}

impl Market {
    fn of(it: &Instrument, state: &MarketState) -> Self {
        let distance = |increments: i64, finer: i8| Decimal {
            mantissa: increments,
            exponent: -(it.price_decimals.min(30) as i8) - finer,
        };
        let price = |price| it.price_decimal(price).to_string();
        let qty = |qty| it.qty_decimal(qty).to_string();
        Self {
            venue: it.venue.name().to_owned(),
            symbol: it.symbol.as_str().to_owned(),
            spread: state
                .depth
                .map(|_| distance(state.spread_now, 0).to_string()),
            bids: state.depth.map(|(bids, _)| qty(bids)),
            asks: state.depth.map(|(_, asks)| qty(asks)),
            spread_mean: state
                .spread
                .map(|it| distance(it.mean_milli, 3).to_string()),
            spread_min: state.spread.map(|it| distance(it.min, 0).to_string()),
            spread_max: state.spread.map(|it| distance(it.max, 0).to_string()),
            vwap: state.vwap.map(|(mean, _)| price(mean)),
            vwap_qty: state.vwap.map(|(_, sum)| qty(sum)),
            bar: state.bar.map(|bar| Bar {
                start_ns: bar.start.0,
                open: price(bar.open),
                high: price(bar.high),
                low: price(bar.low),
                close: price(bar.close),
                volume: qty(bar.volume),
                bought: qty(bar.bought),
                trades: bar.trades,
            }),
            updated_ns: state.updated.0,
        }
    }
}

impl Markets {
    /// Reads them.
    pub fn read(region: &Region) -> Self {
        let all = (0..region.shape().instruments).map(InstrumentId);
        let known = all.filter_map(|id| {
            let state = region.market(id)?.read()?;
            let is_shown = state.updated > UnixNanos(0);
            is_shown.then(|| Market::of(&instrument(region, VenueId(0), id), &state))
        });
        Self {
            outcome: "done",
            markets: known.collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&[
            "venue", "symbol", ">spread", ">mean", ">bids", ">asks", ">VWAP", ">close", ">volume",
        ]);
        let text = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
        for it in &self.markets {
            let bar = |of: fn(&Bar) -> &String| it.bar.as_ref().map(|bar| of(bar).clone());
            table.row([
                it.venue.clone(),
                it.symbol.clone(),
                text(&it.spread),
                text(&it.spread_mean),
                text(&it.bids),
                text(&it.asks),
                text(&it.vwap),
                text(&bar(|bar| &bar.close)),
                text(&bar(|bar| &bar.volume)),
            ]);
        }
        if table.is_empty() {
            "no market yet".to_owned()
        } else {
            let head = "mean: spread of the last minute; bids, asks: within 10 bp; VWAP: 5 minutes";
            format!("{}\n{head}", table.render())
        }
    }
}
