//! A recording of one market as level changes and trades, spliced as Binance says: the snapshot, then every message
//! that ends behind it.

use anyhow::{Context as _, ensure};
use dp_capture::{Capture, Record};
use dp_types::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

/// Decimals of the market's price: a tick is 0.01.
pub const PRICE_DECIMALS: u8 = 2;
/// Decimals of its quantity.
pub const QTY_DECIMALS: u8 = 8;
/// A tick, as the peers take it.
pub const TICK: f64 = 0.01;
/// The smallest quantity, as the peers take it.
pub const LOT: f64 = 0.000_000_01;

/// What happened to a level, or on it.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Bid or buyer's trade.
    pub is_bid: bool,
    /// Ticks.
    pub price: i64,
    /// In hundred-millionths; 0 removes the level.
    pub qty: i64,
}

impl Change {
    /// The price as the peers take it.
    pub fn price_f64(&self) -> f64 {
        self.price as f64 / 100.0
    }

    /// The quantity as the peers take it.
    pub fn qty_f64(&self) -> f64 {
        self.qty as f64 / 100_000_000.0
    }
}

/// A depth message.
#[derive(Debug)]
pub struct Message {
    /// As the venue sent it.
    pub text: Vec<u8>,
    last_id: i64,
    /// Bids, then asks.
    pub levels: Vec<Change>,
}

/// What came, in order.
#[derive(Debug)]
pub enum What {
    /// A depth message.
    Depth(Message),
    /// A trade.
    Trade(Change),
}

/// All of it.
#[derive(Debug)]
pub struct Recording {
    /// Where it was read from.
    pub path: PathBuf,
    /// The whole book it begins with.
    pub snapshot: Vec<Change>,
    /// The last change in that.
    pub snapshot_id: i64,
    /// When that was received, ns since 1970.
    pub begin_ns: i64,
    /// Everything behind it with its receive time, ns since 1970, which never goes back.
    pub steps: Vec<(i64, What)>,
}

#[derive(Deserialize)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(alias = "lastUpdateId")]
    u: i64,
    #[serde(borrow, alias = "bids")]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow, alias = "asks")]
    a: Vec<[&'a str; 2]>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    p: &'a str,
    q: &'a str,
    m: bool,
}

impl Recording {
    /// Reads it. Errors: it is no capture of one of Binance's spot markets, or has no snapshot.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut capture = Capture::open(path)?;
        let mut found = Self {
            path: path.to_owned(),
            snapshot: Vec::new(),
            snapshot_id: 0,
            begin_ns: 0,
            steps: Vec::new(),
        };
        while let Some(record) = capture.next_record()? {
            let line = capture.line_number();
            found
                .take(record)
                .with_context(|| format!("{}:{line}", path.display()))?;
        }
        ensure!(
            !found.snapshot.is_empty(),
            "{}: no snapshot of the book",
            path.display()
        );
        let (id, mut last) = (found.snapshot_id, found.begin_ns);
        found.steps.retain(|(at, what)| match what {
            What::Depth(message) => message.last_id > id,
            What::Trade(_) => *at >= last,
        });
        for (at, _) in &mut found.steps {
            last = last.max(*at);
            *at = last;
        }
        Ok(found)
    }

    fn take(&mut self, record: Record) -> anyhow::Result<()> {
        let at = i64::try_from(record.ts.unwrap_or(0))?;
        let Some(raw) = record.raw else { return Ok(()) };
        if record.url.is_some_and(|url| url.contains("/depth")) {
            let depth: Depth<'_> = serde_json::from_str(&raw)?;
            ensure!(
                self.snapshot.is_empty(),
                "a second snapshot: one is understood"
            );
            (self.snapshot, self.snapshot_id, self.begin_ns) = (levels(&depth)?, depth.u, at);
            return Ok(());
        }
        let message: Combined<'_> = serde_json::from_str(&raw)?;
        if message.stream.contains("@depth") {
            let depth: Depth<'_> = serde_json::from_str(message.data.get())?;
            let (levels, last_id) = (levels(&depth)?, depth.u);
            let message = Message {
                text: raw.into_bytes(),
                last_id,
                levels,
            };
            self.steps.push((at, What::Depth(message)));
        } else if message.stream.ends_with("@trade") {
            let trade: Trade<'_> = serde_json::from_str(message.data.get())?;
            let trade = change(!trade.m, [trade.p, trade.q])?;
            self.steps.push((at, What::Trade(trade)));
        }
        Ok(())
    }

    /// Depth messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.steps.iter().filter_map(|(_, what)| match what {
            What::Depth(message) => Some(message),
            What::Trade(_) => None,
        })
    }

    /// Their level changes, in order.
    pub fn levels(&self) -> impl Iterator<Item = &Change> {
        self.messages().flat_map(|message| &message.levels)
    }

    /// Trades, in order.
    pub fn trades(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().filter_map(|(_, what)| match what {
            What::Depth(_) => None,
            What::Trade(trade) => Some(trade),
        })
    }

    /// The range of prices a vector book is given: a thirty-second about the first bid, in ticks.
    pub fn range(&self) -> (i64, i64) {
        let best = self.snapshot.first().map_or(0, |it| it.price);
        (best - best / 32, best + best / 32)
    }
}

fn levels(depth: &Depth<'_>) -> anyhow::Result<Vec<Change>> {
    let sides = [(true, &depth.b), (false, &depth.a)];
    let all = sides
        .into_iter()
        .flat_map(|(is_bid, side)| side.iter().map(move |it| (is_bid, it)));
    all.map(|(is_bid, level)| change(is_bid, *level)).collect()
}

fn change(is_bid: bool, [price, qty]: [&str; 2]) -> anyhow::Result<Change> {
    let number = |text: &str, decimals: u8| -> anyhow::Result<i64> {
        let number = Decimal::parse(text.as_bytes())?;
        let scaled = number.to_increments(decimals);
        scaled.with_context(|| format!("{text} does not fit {decimals} decimals"))
    };
    Ok(Change {
        is_bid,
        price: number(price, PRICE_DECIMALS)?,
        qty: number(qty, QTY_DECIMALS)?,
    })
}
