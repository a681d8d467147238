//! The result, as one JSON document with stable field names.
//!
//! Money and quantities are decimal texts, exact; times are nanoseconds since 1970; ratios are numbers.

use crate::account::Account;
use crate::curve::Curve;
use crate::ledger::{Book, Ledger};
use crate::markout::HORIZONS_MS;
use dp_types::{Instrument, Notional, Price, Qty};
use dp_venue_api::Registry;
use serde::Serialize;

/// Version of the document: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Everything a backtest tells.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `done`.
    pub outcome: &'static str,
    /// What was asked for.
    pub settings: Settings,
    /// First receive time.
    pub from_ns: u64,
    /// Last receive time.
    pub to_ns: u64,
    /// Messages read.
    pub messages: u64,
    /// Events made of them: books, trades, quotes.
    pub events: u64,
    /// Messages that could not be read.
    pub decode_errors: u64,
    /// Books that lost their place.
    pub gaps: u64,
    /// Records of the engine's journal that were lost; above 0 the result is not whole.
    pub lost_records: u64,
    /// New orders, amends and cancels that the venues' rate limits held back, as live sessions do.
    pub rate_refusals: u64,
    /// Time it took, milliseconds. Not part of the digest.
    pub wall_ms: u64,
    /// Messages a second of that time.
    pub messages_per_s: u64,
    /// Events a second of that time.
    pub events_per_s: u64,
    /// SHA-256 over every order, amend, cancel, update and fill with its time.
    pub digest: String,
    /// By strategy.
    pub strategies: Vec<StrategyReport>,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// The configuration file.
    pub config: String,
    /// Venue and path of each recording.
    pub files: Vec<(String, String)>,
    /// Times they were run.
    pub repeat: u32,
    /// Delays, microseconds; `null` where they were drawn from `latency`.
    pub feed_us: u64,
    /// As above.
    pub order_us: Option<u64>,
    /// As above.
    pub answer_us: Option<u64>,
    /// The file of measured delays.
    pub latency: Option<String>,
    /// Queue model.
    pub queue: &'static str,
    /// Seed of what is drawn.
    pub seed: u64,
    /// Venue, maker and taker fee in millionths.
    pub fees: Vec<(String, i32, i32)>,
}

/// One strategy.
#[derive(Debug, Clone, Serialize)]
pub struct StrategyReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Refusals of the risk gate, as journaled: one a second and rule.
    pub risk_refusals: u64,
    /// Sum over its instruments, where their quote asset is the same.
    pub total: Option<Total>,
    /// By instrument.
    pub instruments: Vec<InstrumentReport>,
}

/// A strategy's instruments together.
#[derive(Debug, Clone, Serialize)]
pub struct Total {
    /// In what money is told.
    pub quote: String,
    /// Realised and unrealised, less fees.
    pub pnl: String,
    /// The largest fall of that from a peak.
    pub drawdown_max: String,
    /// See [`InstrumentReport::sharpe`].
    pub sharpe: Option<f64>,
    /// Time and P&L, at most 2000.
    pub equity: Vec<(u64, String)>,
}

/// One strategy in one instrument.
#[derive(Debug, Clone, Serialize)]
pub struct InstrumentReport {
    /// Venue name.
    pub venue: String,
    /// The venue's symbol.
    pub symbol: String,
    /// In what money is told.
    pub quote: String,
    /// Orders sent.
    pub orders: u64,
    /// Of these, refused: by the venue, or for rate.
    pub rejects: u64,
    /// Of the refused, those that never left: the venue's rate limit was used up.
    pub rate_rejects: u64,
    /// Of these, cancelled or expired.
    pub cancels: u64,
    /// Of these, those that got anything.
    pub orders_filled: u64,
    /// The last as a part of all.
    pub fill_rate: Option<f64>,
    /// Executions.
    pub fills: u64,
    /// Of these, those of orders that rested.
    pub fills_maker: u64,
    /// Quantity ordered.
    pub ordered_qty: String,
    /// Quantity bought and sold.
    pub traded_qty: String,
    /// Value of it.
    pub volume: String,
    /// Fees paid, less rebates.
    pub fees: String,
    /// P&L of what was closed, fees apart.
    pub realised: String,
    /// P&L of what is open, at the last mid.
    pub unrealised: String,
    /// Both, less fees.
    pub pnl: String,
    /// What is still held.
    pub position: String,
    /// The largest fall of `pnl` from a peak.
    pub drawdown_max: String,
    /// Mean over deviation of the changes of `pnl` each second, times the root of the 31,536,000 seconds of a year; no
    /// rate of interest is taken off. `null` where nothing changed.
    pub sharpe: Option<f64>,
    /// The market after fills.
    pub markouts: Vec<Markout>,
    /// Points over time, at most 2000.
    pub equity: Vec<EquityPoint>,
    /// Fills, at most 2000 of them, evenly thinned.
    pub fills_shown: Vec<FillPoint>,
}

/// Mid a while after fills against the price got.
#[derive(Debug, Clone, Serialize)]
pub struct Markout {
    /// How long after.
    pub ms: u64,
    /// Fills that old.
    pub fills: u64,
    /// What they had gained by then, fees apart.
    pub gain: String,
    /// The same in hundredths of a percent of their value.
    pub bps: Option<f64>,
}

/// An account at a time.
#[derive(Debug, Clone, Serialize)]
pub struct EquityPoint {
    /// When.
    pub at_ns: u64,
    /// P&L then.
    pub pnl: String,
    /// Held then.
    pub position: String,
    /// Mid then; `null` before there was one.
    pub mid: Option<String>,
}

/// A fill.
#[derive(Debug, Clone, Serialize)]
pub struct FillPoint {
    /// When we heard of it.
    pub at_ns: u64,
    /// `buy` or `sell`.
    pub side: &'static str,
    /// Price.
    pub price: String,
    /// Quantity.
    pub qty: String,
}

/// Every strategy's part.
pub fn strategies(ledger: &Ledger, registry: &Registry) -> Vec<StrategyReport> {
    let books = ledger.books.iter();
    books.map(|book| strategy(book, registry)).collect()
}

fn strategy(book: &Book, registry: &Registry) -> StrategyReport {
    let accounts = book.accounts.iter();
    let told = accounts.filter_map(|account| {
        let instrument = registry.get(account.instrument)?;
        let quote = registry.asset_name(instrument.quote).to_owned();
        Some(self::account(account, instrument, quote))
    });
    let instruments: Vec<_> = told.collect();
    let total = book.total.as_ref().zip(instruments.first());
    StrategyReport {
        name: book.name.clone(),
        kind: book.kind.clone(),
        risk_refusals: book.refusals,
        total: total.map(|(curve, first)| self::total(curve, first.quote.clone())),
        instruments,
    }
}

fn total(curve: &Curve, quote: String) -> Total {
    let last = curve.points().last();
    Total {
        quote,
        pnl: last.map_or(Notional(0), |point| point.equity).to_string(),
        drawdown_max: curve.drawdown().to_string(),
        sharpe: curve.sharpe(),
        equity: curve
            .points()
            .map(|point| (point.at.0, point.equity.to_string()))
            .collect(),
    }
}

fn account(account: &Account, instrument: &Instrument, quote: String) -> InstrumentReport {
    let price = |price: Price| instrument.price_decimal(price).to_string();
    let qty = |qty: i64| instrument.qty_decimal(Qty(qty)).to_string();
    // A sum over a long run may be wider than one quantity.
    let sum = |sum: i128| {
        let exact = i64::try_from(sum).unwrap_or(i64::MAX);
        instrument.qty_decimal(Qty(exact)).to_string()
    };
    let position = &account.position;
    let unrealised = account.unrealised(instrument);
    let pnl = position.realised.0 + unrealised.0 - position.fees.0;
    let markouts = account.markouts.sums().iter().zip(HORIZONS_MS);
    InstrumentReport {
        venue: instrument.venue.name().to_owned(),
        symbol: instrument.symbol.as_str().to_owned(),
        quote,
        orders: account.orders,
        rejects: account.rejects,
        rate_rejects: account.rate_rejects,
        cancels: account.cancels,
        orders_filled: account.orders_filled,
        fill_rate: (account.orders > 0)
            .then(|| account.orders_filled as f64 / account.orders as f64),
        fills: account.fills.1,
        fills_maker: account.fills.0,
        ordered_qty: sum(account.ordered),
        traded_qty: sum(account.got),
        volume: account.volume.to_string(),
        fees: position.fees.to_string(),
        realised: position.realised.to_string(),
        unrealised: unrealised.to_string(),
        pnl: Notional(pnl).to_string(),
        position: qty(position.qty.0),
        drawdown_max: account.curve.drawdown().to_string(),
        sharpe: account.curve.sharpe(),
        markouts: markouts
            .map(|(sum, ms)| Markout {
                ms,
                fills: sum.count,
                gain: sum.gain().to_string(),
                bps: sum.bps(),
            })
            .collect(),
        equity: account
            .curve
            .points()
            .map(|point| EquityPoint {
                at_ns: point.at.0,
                pnl: point.equity.to_string(),
                position: qty(point.qty),
                mid: (point.mark > Price(0)).then(|| price(point.mark)),
            })
            .collect(),
        fills_shown: account
            .shown
            .iter()
            .map(|fill| FillPoint {
                at_ns: fill.at.0,
                side: fill.side.name(),
                price: price(fill.price),
                qty: qty(fill.qty.0),
            })
            .collect(),
    }
}
