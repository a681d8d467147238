//! What the measurements of books share: rounds in turn, their figures, and the levels all must agree on.

use crate::recording::{Change, TICK};
use anyhow::ensure;
use dp_transport::clock::{Clock, tsc};
use hdrhistogram::Histogram;
use hftbacktest::prelude::MarketDepth;
use nautilus_model::orderbook::OrderBook;
use serde::Serialize;

/// Rounds thrown away first.
const WARM: u32 = 2;
/// Levels a side that are compared.
const TOP: usize = 20;
/// Ours has prices in the finest decimals the venue prints.
pub const INCREMENTS_A_TICK: i64 = 1_000_000;

/// Times of one round, ns.
#[derive(Debug, Serialize)]
pub struct Round {
    p50: f64,
    p99: f64,
    p999: f64,
}

/// One entrant.
#[derive(Debug, Serialize)]
pub struct Row {
    name: &'static str,
    rounds: Vec<Round>,
}

/// Best levels of both sides, best first: ticks and hundred-millionths.
pub type Top = Vec<(i64, i64)>;

/// A book with the changes in its own form.
pub trait Entrant {
    /// Back to the snapshot; not timed. Errors: it does not take that.
    fn begin(&mut self) -> anyhow::Result<()>;
    /// Applies everything, and tells the cycles of each batch. Errors: it does not take something.
    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()>;
    /// How it ended.
    fn top(&self) -> Top;
}

/// All of them in turn, each round in another order; `batch` operations are told together. The second is the digest of
/// the best levels. Errors: books that do not end alike, or do not take a change.
pub fn run(
    entrants: &mut [(&'static str, Box<dyn Entrant + '_>)],
    rounds: u32,
    batch: usize,
) -> anyhow::Result<(Vec<Row>, u64)> {
    let clock = Clock::calibrate(200);
    let hz = u128::from(clock.tsc_hz().max(1)) * batch as u128;
    let row = |(name, _): &(&'static str, _)| Row {
        name,
        rounds: Vec::new(),
    };
    let mut rows: Vec<Row> = entrants.iter().map(row).collect();
    let mut times = Histogram::<u64>::new_with_bounds(1, 10_000_000_000_000, 3)?;
    let mut wanted: Option<Top> = None;
    for round in 0..rounds + WARM {
        for turn in 0..entrants.len() {
            let at = (turn + round as usize) % entrants.len();
            let (name, entrant) = &mut entrants[at];
            entrant.begin()?;
            times.reset();
            entrant.run(&mut |cycles| {
                let picos = u128::from(cycles) * 1_000_000_000_000 / hz;
                times.saturating_record(u64::try_from(picos).unwrap_or(u64::MAX).max(1));
            })?;
            let top = entrant.top();
            let wanted = wanted.get_or_insert_with(|| top.clone());
            ensure!(
                top.len() == 2 * TOP,
                "{name} ends with {} of {} levels",
                top.len(),
                2 * TOP
            );
            ensure!(
                top == *wanted,
                "{name} ends with {top:?}, others with {wanted:?}"
            );
            if round >= WARM {
                let nanos = |share| times.value_at_quantile(share) as f64 / 1_000.0;
                rows[at].rounds.push(Round {
                    p50: nanos(0.5),
                    p99: nanos(0.99),
                    p999: nanos(0.999),
                });
            }
        }
    }
    Ok((rows, digest(&wanted.unwrap_or_default())))
}

/// FNV-1a over both numbers of every level.
fn digest(top: &Top) -> u64 {
    let numbers = top.iter().flat_map(|(price, qty)| [*price, *qty]);
    let bytes = numbers.flat_map(i64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Applies what there is, batch by batch, and tells what each took; what is left at the end is applied untold.
pub fn timed<I>(
    items: &mut [I],
    batch: usize,
    told: &mut dyn FnMut(u64),
    mut apply: impl FnMut(&mut I),
) {
    let mut batches = items.chunks_exact_mut(batch);
    for batch in &mut batches {
        let start = tsc();
        for item in batch {
            apply(item);
        }
        told(tsc().since(start));
    }
    batches.into_remainder().iter_mut().for_each(apply);
}

/// Best levels of our book.
pub fn top_of_ours(book: &dp_book::Book) -> Top {
    let (bids, asks) = (book.bids().take(TOP), book.asks().take(TOP));
    bids.chain(asks)
        .map(|level| (level.price.0 / INCREMENTS_A_TICK, level.qty.0))
        .collect()
}

/// Best levels of hftbacktest's, found tick by tick: it has no other way in.
pub fn top_of_hft(depth: &impl MarketDepth) -> Top {
    /// Ticks walked at most.
    const FAR: i64 = 1_000_000;
    let lots = |qty: f64| (qty * 100_000_000.0).round() as i64;
    let (bid, ask) = (depth.best_bid_tick(), depth.best_ask_tick());
    let bids = (0..FAR).map(|away| {
        (
            bid.saturating_sub(away),
            lots(depth.bid_qty_at_tick(bid.saturating_sub(away))),
        )
    });
    let asks = (0..FAR).map(|away| {
        (
            ask.saturating_add(away),
            lots(depth.ask_qty_at_tick(ask.saturating_add(away))),
        )
    });
    let live = |level: &(i64, i64)| level.1 > 0;
    bids.filter(live)
        .take(TOP)
        .chain(asks.filter(live).take(TOP))
        .collect()
}

/// Best levels of NautilusTrader's.
pub fn top_of_nautilus(book: &OrderBook) -> Top {
    let sides = book.bids(Some(TOP)).chain(book.asks(Some(TOP)));
    let level = |level: &nautilus_model::orderbook::BookLevel| {
        let ticks = (level.price.value.as_f64() / TICK).round() as i64;
        (ticks, (level.size() * 100_000_000.0).round() as i64)
    };
    sides.map(level).collect()
}

/// Every price that is touched, as a removal: hftbacktest's books are emptied by these, since clearing a vector writes
/// all of it and leaves the caches cold.
pub fn removals<'c>(changes: impl Iterator<Item = &'c Change>) -> Vec<Change> {
    let mut all: Vec<(bool, i64)> = changes.map(|it| (it.is_bid, it.price)).collect();
    all.sort_unstable();
    all.dedup();
    let removal = |(is_bid, price)| Change {
        is_bid,
        price,
        qty: 0,
    };
    all.into_iter().map(removal).collect()
}
