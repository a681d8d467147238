//! Names: instruments and assets by their dense ids, so that readers can print what lanes count.
//!
//! An id, once given, means the same for the life of the file: journal records carry ids, not names.
//! A restarted dataplane therefore registers what the table already holds first, in the table's order
//! ([`InstrumentTable::iter`]), and its new instruments after that. Rules (tick, lot, limits, is_live)
//! may change at any time; identity (venue, symbol, decimals) may not.

use crate::twin::{Twin, Words, join, split};
use crate::words::{pack_text, unpack_text, words_of};
use core::sync::atomic::{AtomicU64, Ordering};
use dp_types::{
    AssetId, Decimal, Instrument, InstrumentId, Notional, Payoff, Price, Qty, Text, VenueId,
};

/// Decimals one increment may have (`dp_types::Instrument`).
const DECIMALS_MAX: u8 = 18;

/// Count of a table, before its lines.
#[repr(C, align(64))]
pub(crate) struct TableHead {
    count: AtomicU64,
    pad: [AtomicU64; 7],
}

pub(crate) type AssetLine = Twin<AssetName, 2>;
pub(crate) type InstrumentLine = Twin<InstrumentEntry, 19>;

/// Name of an asset.
pub(crate) struct AssetName(Text<15>);

impl Words<2> for AssetName {
    fn to_words(&self) -> [u64; 2] {
        let mut bytes = [0; 16];
        pack_text(&mut bytes, self.0.as_bytes());
        words_of(&bytes)
    }

    fn from_words(words: &[u64; 2]) -> Option<Self> {
        Some(Self(unpack_text(
            words.map(u64::to_le_bytes).as_flattened(),
        )))
    }
}

/// An instrument with the names of its assets: all that is needed to print its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstrumentEntry {
    /// The instrument.
    pub instrument: Instrument,
    /// Name of the base asset.
    pub base: Text<15>,
    /// Name of the quote asset.
    pub quote: Text<15>,
}

impl Words<19> for InstrumentEntry {
    fn to_words(&self) -> [u64; 19] {
        let it = &self.instrument;
        let mut texts = [0u8; 64];
        pack_text(&mut texts[..32], it.symbol.as_bytes());
        pack_text(&mut texts[32..48], self.base.as_bytes());
        pack_text(&mut texts[48..], self.quote.as_bytes());
        let texts: [u64; 8] = words_of(&texts);
        let [notional, notional_high] = split(it.notional_min.0);
        let mut words = [0; 19];
        words[0] = u64::from(it.id.0)
            | u64::from(it.venue.0) << 32
            | u64::from(it.price_decimals) << 40
            | u64::from(it.qty_decimals) << 48
            | u64::from(it.is_live) << 56
            | u64::from(it.is_spot) << 57
            | u64::from(it.payoff as u8) << 58;
        words[1..9].copy_from_slice(&texts);
        words[9] = u64::from(it.base.0)
            | u64::from(it.quote.0) << 16
            | u64::from(it.multiplier.exponent as u8) << 32;
        words[10] = it.venue_code;
        words[11] = it.tick.0 as u64;
        words[12] = it.lot.0 as u64;
        words[13] = it.qty_min.0 as u64;
        words[14] = it.qty_max.0 as u64;
        words[15] = notional;
        words[16] = notional_high;
        words[17] = it.multiplier.mantissa as u64;
        words
    }

    fn from_words(words: &[u64; 19]) -> Option<Self> {
        let bytes = words.map(u64::to_le_bytes);
        let bytes = bytes.as_flattened();
        let [.., venue, price_decimals, qty_decimals, flags] = words[0].to_le_bytes();
        if price_decimals > DECIMALS_MAX || qty_decimals > DECIMALS_MAX {
            return None;
        }
        Some(Self {
            instrument: Instrument {
                id: InstrumentId(words[0] as u32),
                venue: VenueId(venue),
                price_decimals,
                qty_decimals,
                is_live: flags & 1 != 0,
                is_spot: flags & 2 != 0,
                payoff: Payoff::from_raw(flags >> 2 & 3)?,
                symbol: unpack_text(bytes.get(8..40)?),
                base: AssetId(words[9] as u16),
                quote: AssetId((words[9] >> 16) as u16),
                venue_code: words[10],
                tick: Price(words[11] as i64),
                lot: Qty(words[12] as i64),
                qty_min: Qty(words[13] as i64),
                qty_max: Qty(words[14] as i64),
                notional_min: Notional(join(words[15], words[16])),
                multiplier: Decimal {
                    mantissa: words[17] as i64,
                    exponent: (words[9] >> 32) as u8 as i8,
                },
            },
            base: unpack_text(bytes.get(40..56)?),
            quote: unpack_text(bytes.get(56..72)?),
        })
    }
}

/// Why a table did not take an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The table is full, or (assets) the id skips some.
    #[error("id {id} does not follow {count} entries, or the table is full")]
    NotNext {
        /// The id offered.
        id: u32,
        /// Entries held.
        count: u32,
    },
    /// The id belongs to something else: register the table's entries first, in its order.
    #[error(
        "id {0} already names another instrument or asset, or the same one with other decimals"
    )]
    Taken(u32),
}

/// Where an id stands in a table of `count` entries.
fn place(id: u32, count: &TableHead, capacity: usize) -> Result<bool, TableError> {
    let held = count.count.load(Ordering::Acquire).min(capacity as u64) as u32;
    if id > held || id as usize >= capacity {
        return Err(TableError::NotNext { id, count: held });
    }
    Ok(id < held)
}

/// Instruments by id. Writers: the dataplane's lanes, each for its own instruments.
#[derive(Clone, Copy)]
pub struct InstrumentTable<'r> {
    pub(crate) head: &'r TableHead,
    pub(crate) lines: &'r [InstrumentLine],
}

impl InstrumentTable<'_> {
    /// Adds an instrument, or renews the rules of one that is there. Lanes learn their instruments when
    /// their venues answer, in any order, so an id may come before a smaller one.
    pub fn publish(&self, entry: &InstrumentEntry) -> Result<(), TableError> {
        let id = entry.instrument.id.0;
        let count = self.len() as u32;
        let line = self
            .lines
            .get(id as usize)
            .ok_or(TableError::NotNext { id, count })?;
        let identity = |it: &Instrument| (it.venue, it.symbol, it.price_decimals, it.qty_decimals);
        if let Some(held) = line.read()
            && identity(&held.instrument) != identity(&entry.instrument)
        {
            return Err(TableError::Taken(id));
        }
        line.write(entry);
        self.head
            .count
            .fetch_max(u64::from(id) + 1, Ordering::AcqRel);
        Ok(())
    }

    /// The instrument with this id; `None` when there is none.
    pub fn get(&self, id: InstrumentId) -> Option<InstrumentEntry> {
        let index = usize::try_from(id.0)
            .ok()
            .filter(|index| *index < self.len())?;
        self.lines
            .get(index)?
            .read()
            .filter(|entry| entry.instrument.id == id)
    }

    /// The instrument a venue calls so.
    pub fn find(&self, venue: VenueId, symbol: &str) -> Option<InstrumentEntry> {
        self.iter().find(|entry| {
            entry.instrument.venue == venue && entry.instrument.symbol.as_str() == symbol
        })
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = InstrumentEntry> + '_ {
        (0..self.len() as u32).filter_map(|id| self.get(InstrumentId(id)))
    }

    /// One past the highest id there is; ids below it may be missing ([`InstrumentTable::iter`] skips them).
    pub fn len(&self) -> usize {
        (self.head.count.load(Ordering::Acquire) as usize).min(self.lines.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Asset names by id. Writer: the dataplane, one thread at a time.
#[derive(Clone, Copy)]
pub struct AssetTable<'r> {
    pub(crate) head: &'r TableHead,
    pub(crate) lines: &'r [AssetLine],
}

impl AssetTable<'_> {
    /// Adds the next asset; the same name under the same id is no change.
    pub fn publish(&self, id: AssetId, name: Text<15>) -> Result<(), TableError> {
        let raw = u32::from(id.0);
        if place(raw, self.head, self.lines.len())? {
            let is_same = self.get(id).is_some_and(|held| held == name);
            return if is_same {
                Ok(())
            } else {
                Err(TableError::Taken(raw))
            };
        }
        self.lines[usize::from(id.0)].write(&AssetName(name));
        self.head.count.store(u64::from(raw) + 1, Ordering::Release);
        Ok(())
    }

    /// The asset's name; `None` when there is none (or [`AssetId::NONE`]).
    pub fn get(&self, id: AssetId) -> Option<Text<15>> {
        let index = usize::from(id.0);
        if index >= self.len() {
            return None;
        }
        self.lines.get(index)?.read().map(|name| name.0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        (self.head.count.load(Ordering::Acquire) as usize).min(self.lines.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All names, by id.
    pub fn iter(&self) -> impl Iterator<Item = Text<15>> + '_ {
        (0..self.len()).filter_map(|index| self.get(AssetId(index as u16)))
    }
}
