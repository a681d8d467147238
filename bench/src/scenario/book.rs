//! Levels and whole messages into the book, beside the tree map most people keep theirs in.

use crate::data::{self, Depth, FIRST_ID, IDS_EACH, MESSAGES};
use crate::meter::Meter;
use anyhow::bail;
use dp_book::{Book, Keeper, Outcome};
use dp_types::{
    BookMsg, BookMsgKind, Instrument, InstrumentId, Level, LinkId, Side, Text, UnixNanos, VenueId,
    VenueNanos,
};
use dp_venue_api::{Event, Registry, RestRequest, Sink};
use dp_venue_binance::feed::{Decoder, decode_any};
use dp_venue_binance::sync::BinanceSync;
use std::collections::BTreeMap;
use std::path::Path;

/// Bids and asks as a tree map of floats would keep them, keyed by price in ticks.
#[derive(Debug, Default)]
pub struct TreeBook {
    bids: BTreeMap<i64, f64>,
    asks: BTreeMap<i64, f64>,
}

impl TreeBook {
    /// Sets or removes one level.
    pub fn apply(&mut self, side: Side, price: i64, qty: f64) {
        let side = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if qty == 0.0 {
            side.remove(&price);
        } else {
            side.insert(price, qty);
        }
    }

    /// Best bid and ask.
    pub fn best(&self) -> Option<(i64, i64)> {
        Some((
            *self.bids.last_key_value()?.0,
            *self.asks.first_key_value()?.0,
        ))
    }
}

/// The instrument of the synthetic market.
pub fn instrument() -> Instrument {
    let symbol = Text::new("BTCUSDT").unwrap_or(Text::EMPTY);
    Instrument::bare(InstrumentId(0), VenueId::BINANCE, symbol, 2, 5)
}

/// A depth message: the snapshot when `at` is `None`, else the `at`-th delta.
pub fn message(at: Option<usize>, depth: &Depth) -> BookMsg<'_> {
    let last = FIRST_ID + at.map_or(0, |at| (at as i64 + 1) * IDS_EACH);
    BookMsg {
        instrument: InstrumentId(0),
        kind: at.map_or(BookMsgKind::Snapshot, |_| BookMsgKind::Delta),
        first_id: at.map_or(last, |_| last - IDS_EACH + 1),
        last_id: last,
        prev_id: -1,
        checksum: None,
        bids: &depth.bids,
        asks: &depth.asks,
        venue_ns: VenueNanos(0),
    }
}

/// A keeper whose book is whole.
pub fn warm_keeper(instrument: &Instrument) -> anyhow::Result<Keeper<BinanceSync>> {
    let mut keeper = Keeper::new(BinanceSync);
    let snapshot = data::snapshot();
    let outcome = keeper.on_msg(&message(None, &snapshot), instrument, UnixNanos(1));
    if outcome != Outcome::Applied {
        bail!("the snapshot was not applied: {outcome:?}");
    }
    Ok(keeper)
}

pub fn run(meter: &mut Meter, captures: &Path) -> anyhow::Result<()> {
    meter.begin("book");
    let instrument = instrument();
    let depths = data::depths();
    let levels = levels(&instrument, &depths)?;
    let mask = levels.len() - 1;

    let mut book = Book::default();
    let mut tree = TreeBook::default();
    for (side, level) in self::levels(&instrument, &[data::snapshot()])? {
        book.apply_level(side, &level);
        tree.apply(side, level.price.0, level.qty.0 as f64);
    }
    meter.batch("one level", |at| {
        let (side, level) = &levels[at & mask];
        book.apply_level(*side, level);
    });
    meter.batch("one level, tree map", |at| {
        let (side, level) = &levels[at & mask];
        tree.apply(*side, level.price.0, level.qty.0 as f64);
    });
    meter.is_peer_of("one level");
    meter.batch("best bid and ask", |_| (book.best_bid(), book.best_ask()));
    meter.batch("best bid and ask, tree map", |_| tree.best());
    meter.is_peer_of("best bid and ask");

    let mut keeper = warm_keeper(&instrument)?;
    let mut refused = 0u64;
    meter.each("message of 20 levels, checked", |at| {
        let msg = message(Some(at), &depths[at % MESSAGES]);
        let outcome = keeper.on_msg(&msg, &instrument, UnixNanos(at as u64));
        refused += u64::from(outcome != Outcome::Applied);
        outcome
    });
    if refused > 0 {
        bail!("{refused} messages were not applied");
    }
    meter.each("20 levels, tree map, unchecked", |at| {
        let depth = &depths[at % MESSAGES];
        for (side, levels) in [(Side::Buy, &depth.bids), (Side::Sell, &depth.asks)] {
            for level in levels {
                tree.apply(side, level.price.mantissa, level.qty.mantissa as f64);
            }
        }
        tree.best()
    });
    meter.is_peer_of("message of 20 levels, checked");
    recorded(
        meter,
        &captures.join("binance/spot-btcusdt-20240808.jsonl.gz"),
    )
}

/// The levels of a recording, from its first change on: prices come that were never there before, and the
/// touch moves.
fn recorded(meter: &mut Meter, path: &Path) -> anyhow::Result<()> {
    let Some((texts, _)) = data::recorded(path)? else {
        let note = format!("{} is not there: left out", path.display());
        meter.notes.push(note);
        return Ok(());
    };
    let (mut decoder, mut registry) = (Decoder::default(), Registry::new());
    let mut levels = Recorded::default();
    for mut text in texts {
        decode_any(&mut decoder, &mut registry, None, &mut text, &mut levels)?;
    }
    let levels = levels.0;
    anyhow::ensure!(!levels.is_empty(), "no levels in {}", path.display());
    let ours = "one level, recorded 2024-08-08";
    let (mut book, mut tree) = (Book::default(), TreeBook::default());
    let mut told = 0u64;
    meter.batch(ours, |at| {
        if at % levels.len() == 0 {
            book.clear();
            told += 1;
        }
        let (side, level) = &levels[at % levels.len()];
        book.apply_level(*side, level);
    });
    meter.batch("same, tree map", |at| {
        if at % levels.len() == 0 {
            tree = TreeBook::default();
        }
        let (side, level) = &levels[at % levels.len()];
        tree.apply(*side, level.price.0, level.qty.0 as f64);
    });
    meter.is_peer_of(ours);
    meter.notes.push(format!(
        "{ours}: {} levels in the recording, gone through {told} times",
        levels.len()
    ));
    Ok(())
}

/// Keeps the levels of every depth message.
#[derive(Default)]
struct Recorded(Vec<(Side, Level)>);

impl Sink for Recorded {
    fn event(&mut self, event: &Event<'_>) {
        let Event::Book(book) = event else { return };
        let symbol = Text::EMPTY;
        let instrument = Instrument::bare(book.instrument, VenueId::BINANCE, symbol, 8, 8);
        for (side, levels) in [(Side::Buy, book.bids), (Side::Sell, book.asks)] {
            let levels = levels.iter().filter_map(|raw| instrument.level(raw).ok());
            self.0.extend(levels.map(|level| (side, level)));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// All levels of `depths` in increments, cut to a power of two.
fn levels(instrument: &Instrument, depths: &[Depth]) -> anyhow::Result<Vec<(Side, Level)>> {
    let mut all = Vec::new();
    for depth in depths {
        for (bid, ask) in depth.bids.iter().zip(&depth.asks) {
            for (side, raw) in [(Side::Buy, bid), (Side::Sell, ask)] {
                let level = instrument
                    .level(raw)
                    .map_err(|error| anyhow::anyhow!("{error}"))?;
                all.push((side, level));
            }
        }
    }
    let power = if all.len().is_power_of_two() {
        all.len()
    } else {
        all.len().next_power_of_two() / 2
    };
    all.truncate(power);
    Ok(all)
}
