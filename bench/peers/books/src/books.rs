//! One level into each book.

use crate::recording::{Change, LOT, PRICE_DECIMALS, QTY_DECIMALS, Recording, TICK};
use crate::round::{self, Entrant, INCREMENTS_A_TICK, Row, Top, timed};
use anyhow::ensure;
use dp_book::Book;
use dp_types::{
    Decimal, Instrument, InstrumentId as OurId, Level, Price, Qty, RawLevel, Side, Text, VenueId,
};
use hftbacktest::prelude::{
    BTreeMarketDepth, HashMapMarketDepth, L2MarketDepth, MarketDepth, ROIVectorMarketDepth,
};
use nautilus_model::data::{BookOrder, OrderBookDelta};
use nautilus_model::enums::{BookAction, BookType, OrderSide};
use nautilus_model::identifiers::InstrumentId;
use nautilus_model::orderbook::OrderBook;
use nautilus_model::types::{Price as NtPrice, Quantity};
use std::hint::black_box;

/// Changes timed together: the clock steps by ten nanoseconds.
const BATCH: usize = 64;

/// All books, in turn; the second is the digest of how they ended. Errors: as [`round::run`].
pub fn run(
    recording: &Recording,
    rounds: u32,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Vec<Row>, u64)> {
    let (low, high) = recording.range();
    let mut entrants: Vec<(&str, Box<dyn Entrant>)> = vec![
        ("spinlane", Box::new(Ours::new(recording))),
        (
            "spinlane, from decimals",
            Box::new(FromDecimals::new(recording)),
        ),
        (
            "hftbacktest ROIVectorMarketDepth",
            Box::new(Hft::new(recording, vector(recording.range()))),
        ),
        (
            "hftbacktest HashMapMarketDepth",
            Box::new(Hft::new(recording, HashMapMarketDepth::new(TICK, LOT))),
        ),
        (
            "hftbacktest BTreeMarketDepth",
            Box::new(Hft::new(recording, BTreeMarketDepth::new(TICK, LOT))),
        ),
        (
            "NautilusTrader OrderBook (L2)",
            Box::new(Nautilus::new(recording)),
        ),
    ];
    let found = round::run(&mut entrants, rounds, BATCH)?;
    let outside = recording
        .levels()
        .filter(|it| !(low..=high).contains(&it.price))
        .count();
    notes.push(format!(
        "level: ours takes integers (from decimals: as its decoders give them), hftbacktest doubles, NautilusTrader its \
         deltas; ROIVectorMarketDepth skips {outside} levels beyond 3 % of the price, the others keep them; all are built \
         with link-time optimisation and without overflow checks, which is not how ours ships (`spinlane-bench book`)"
    ));
    Ok(found)
}

/// hftbacktest's fastest book, of these ticks.
pub fn vector((low, high): (i64, i64)) -> ROIVectorMarketDepth {
    ROIVectorMarketDepth::new(TICK, LOT, low as f64 * TICK, high as f64 * TICK)
}

/// A level of ours. Prices have the eight decimals Binance prints.
fn ours(it: &Change) -> (Side, Level) {
    let (side, raw) = raw(it);
    let level = Level {
        price: Price(raw.price.mantissa),
        qty: Qty(raw.qty.mantissa),
        price_printed: QTY_DECIMALS,
        qty_printed: QTY_DECIMALS,
    };
    (side, level)
}

/// A level as our decoders read it.
pub fn raw(it: &Change) -> (Side, RawLevel) {
    let decimal = |mantissa| Decimal {
        mantissa,
        exponent: -QTY_DECIMALS.cast_signed(),
    };
    let level = RawLevel {
        price: decimal(it.price * INCREMENTS_A_TICK),
        qty: decimal(it.qty),
    };
    (if it.is_bid { Side::Buy } else { Side::Sell }, level)
}

struct Ours {
    book: Book,
    snapshot: Vec<(Side, Level)>,
    changes: Vec<(Side, Level)>,
}

impl Ours {
    fn new(recording: &Recording) -> Self {
        Self {
            book: Book::default(),
            snapshot: recording.snapshot.iter().map(ours).collect(),
            changes: recording.levels().map(ours).collect(),
        }
    }
}

impl Entrant for Ours {
    fn begin(&mut self) -> anyhow::Result<()> {
        self.book.clear();
        self.snapshot
            .iter()
            .for_each(|(side, level)| self.book.apply_level(*side, level));
        Ok(())
    }

    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let book = &mut self.book;
        timed(&mut self.changes, BATCH, told, |change| {
            let (side, level) = black_box(change);
            book.apply_level(*side, level);
        });
        Ok(())
    }

    fn top(&self) -> Top {
        round::top_of_ours(&self.book)
    }
}

/// Ours as its decoders give levels: decimals, checked against the instrument's increments.
struct FromDecimals {
    book: Book,
    instrument: Instrument,
    snapshot: Vec<(Side, Level)>,
    changes: Vec<(Side, RawLevel)>,
}

impl FromDecimals {
    fn new(recording: &Recording) -> Self {
        Self {
            book: Book::default(),
            instrument: Instrument::bare(
                OurId(0),
                VenueId::BINANCE,
                Text::EMPTY,
                QTY_DECIMALS,
                QTY_DECIMALS,
            ),
            snapshot: recording.snapshot.iter().map(ours).collect(),
            changes: recording.levels().map(raw).collect(),
        }
    }
}

impl Entrant for FromDecimals {
    fn begin(&mut self) -> anyhow::Result<()> {
        self.book.clear();
        self.snapshot
            .iter()
            .for_each(|(side, level)| self.book.apply_level(*side, level));
        Ok(())
    }

    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let (book, instrument, mut refused) = (&mut self.book, &self.instrument, 0u64);
        timed(&mut self.changes, BATCH, told, |change| {
            let (side, raw) = black_box(change);
            match instrument.level(raw) {
                Ok(level) => book.apply_level(*side, &level),
                Err(_) => refused += 1,
            }
        });
        ensure!(refused == 0, "{refused} levels do not fit the instrument");
        Ok(())
    }

    fn top(&self) -> Top {
        round::top_of_ours(&self.book)
    }
}

struct Hft<D> {
    depth: D,
    removals: Vec<Change>,
    snapshot: Vec<Change>,
    changes: Vec<(bool, f64, f64, i64)>,
}

impl<D: L2MarketDepth> Hft<D> {
    fn new(recording: &Recording, depth: D) -> Self {
        let form = |it: &Change| (it.is_bid, it.price_f64(), it.qty_f64(), recording.begin_ns);
        Self {
            depth,
            removals: round::removals(recording.snapshot.iter().chain(recording.levels())),
            snapshot: recording.snapshot.clone(),
            changes: recording.levels().map(form).collect(),
        }
    }
}

/// One level into one of hftbacktest's books.
#[inline]
pub fn hft_apply<D: L2MarketDepth>(depth: &mut D, is_bid: bool, price: f64, qty: f64, at: i64) {
    black_box(if is_bid {
        depth.update_bid_depth(price, qty, at)
    } else {
        depth.update_ask_depth(price, qty, at)
    });
}

impl<D: L2MarketDepth + MarketDepth> Entrant for Hft<D> {
    fn begin(&mut self) -> anyhow::Result<()> {
        for it in self.removals.iter().chain(&self.snapshot) {
            hft_apply(&mut self.depth, it.is_bid, it.price_f64(), it.qty_f64(), 0);
        }
        Ok(())
    }

    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let depth = &mut self.depth;
        timed(&mut self.changes, BATCH, told, |change| {
            let (is_bid, price, qty, at) = *black_box(change);
            hft_apply(depth, is_bid, price, qty, at);
        });
        Ok(())
    }

    fn top(&self) -> Top {
        round::top_of_hft(&self.depth)
    }
}

/// What NautilusTrader calls the market.
pub fn nautilus_id() -> InstrumentId {
    InstrumentId::from("BTCUSDT.BINANCE")
}

/// A level as NautilusTrader's delta.
#[inline]
pub fn delta(
    id: InstrumentId,
    is_bid: bool,
    price: f64,
    qty: f64,
    sequence: u64,
) -> OrderBookDelta {
    let side = if is_bid {
        OrderSide::Buy
    } else {
        OrderSide::Sell
    };
    let action = if qty == 0.0 {
        BookAction::Delete
    } else {
        BookAction::Update
    };
    let (price, qty) = (
        NtPrice::new(price, PRICE_DECIMALS),
        Quantity::new(qty, QTY_DECIMALS),
    );
    let order = BookOrder::new(side, price, qty, 0);
    OrderBookDelta::new(
        id,
        action,
        order,
        0,
        sequence,
        sequence.into(),
        sequence.into(),
    )
}

struct Nautilus {
    book: OrderBook,
    snapshot: Vec<OrderBookDelta>,
    changes: Vec<OrderBookDelta>,
}

impl Nautilus {
    fn new(recording: &Recording) -> Self {
        let id = nautilus_id();
        let form =
            |(it, at): (&Change, u64)| delta(id, it.is_bid, it.price_f64(), it.qty_f64(), at);
        Self {
            book: OrderBook::new(id, BookType::L2_MBP),
            snapshot: recording.snapshot.iter().zip(1..).map(form).collect(),
            changes: recording.levels().zip(1..).map(form).collect(),
        }
    }
}

impl Entrant for Nautilus {
    fn begin(&mut self) -> anyhow::Result<()> {
        self.book.clear(0, 0.into());
        for delta in &self.snapshot {
            self.book.apply_delta(delta)?;
        }
        Ok(())
    }

    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let (book, mut refused) = (&mut self.book, 0u64);
        timed(&mut self.changes, BATCH, told, |delta| {
            refused += u64::from(book.apply_delta(black_box(delta)).is_err());
        });
        ensure!(
            refused == 0,
            "NautilusTrader's book refused {refused} deltas"
        );
        Ok(())
    }

    fn top(&self) -> Top {
        round::top_of_nautilus(&self.book)
    }
}
