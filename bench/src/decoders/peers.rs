//! The usual ways: a document of the whole message, and the levels read out of it as doubles.
//!
//! What a document is made by differs, what is read does not: one reader a venue, over either. Nothing is kept but a
//! sum, so that no work can be left out.

use anyhow::{Context as _, ensure};
use dp_types::VenueId;
use flate2::{Decompress, FlushDecompress};
use simd_json::BorrowedValue;
use simd_json::prelude::{ValueAsArray as _, ValueAsScalar as _, ValueObjectAccess as _};
use std::hint::black_box;

/// A document's node.
trait Node: Sized {
    fn field(&self, name: &str) -> Option<&Self>;
    fn items(&self) -> &[Self];
    /// A number, printed bare or as text.
    fn number(&self) -> Option<f64>;
}

impl Node for serde_json::Value {
    fn field(&self, name: &str) -> Option<&Self> {
        self.get(name)
    }
    fn items(&self) -> &[Self] {
        self.as_array().map_or(&[], Vec::as_slice)
    }
    fn number(&self) -> Option<f64> {
        match self {
            Self::String(text) => text.parse().ok(),
            value => value.as_f64(),
        }
    }
}

impl Node for BorrowedValue<'_> {
    fn field(&self, name: &str) -> Option<&Self> {
        self.get(name)
    }
    fn items(&self) -> &[Self] {
        self.as_array().map_or(&[], Vec::as_slice)
    }
    fn number(&self) -> Option<f64> {
        match self.as_str() {
            Some(text) => text.parse().ok(),
            None => self.cast_f64(),
        }
    }
}

/// Levels and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Read {
    /// How many.
    pub levels: u64,
    sum: f64,
}

impl Read {
    fn level<N: Node>(&mut self, price: Option<&N>, qty: Option<&N>) -> Option<()> {
        self.levels += 1;
        self.sum += black_box(price?.number()?) + black_box(qty?.number()?);
        Some(())
    }

    /// Arrays whose price and quantity stand at these places.
    fn rows<N: Node>(&mut self, rows: Option<&N>, price: usize, qty: usize) -> Option<()> {
        for row in rows.map_or(&[][..], N::items) {
            let row = row.items();
            self.level(row.get(price), row.get(qty))?;
        }
        Some(())
    }
}

/// Reads the levels of one update. `None`: it is of another shape.
fn read<N: Node>(venue: VenueId, root: &N) -> Option<Read> {
    let mut read = Read::default();
    let first = |data: &'static str| root.field(data)?.items().first();
    let (object, keys, price, qty) = match venue {
        VenueId::BINANCE => (root.field("data").unwrap_or(root), ["b", "a"], 0, 1),
        VenueId::BYBIT => (root.field("data")?, ["b", "a"], 0, 1),
        VenueId::DERIBIT => (root.field("params")?.field("data")?, ["bids", "asks"], 1, 2),
        VenueId::HUOBI => (root.field("tick")?, ["bids", "asks"], 0, 1),
        VenueId::KUCOIN => (
            root.field("data")?.field("changes")?,
            ["bids", "asks"],
            0,
            1,
        ),
        VenueId::OKX => (first("data")?, ["bids", "asks"], 0, 1),
        VenueId::COINBASE => (root, ["changes", ""], 1, 2),
        VenueId::BITFINEX => {
            let level = root.items().get(1)?.items();
            read.level(level.first(), level.get(2))?;
            return Some(read);
        }
        VenueId::KRAKEN | VenueId::KRAKEN_FUTURES => {
            let data = first("data")?;
            for side in ["bids", "asks"] {
                for level in data.field(side).map_or(&[][..], N::items) {
                    read.level(level.field("price"), level.field("qty"))?;
                }
            }
            return Some(read);
        }
        _ => return None,
    };
    for key in keys {
        read.rows(object.field(key), price, qty)?;
    }
    Some(read)
}

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `serde_json::Value`.
    Serde,
    /// simd-json's borrowed document, its buffers kept.
    Simd,
    /// No document: what of a message's cost is inflating it.
    InflateOnly,
}

/// A way with what it keeps between messages.
pub struct Peer {
    venue: VenueId,
    way: Way,
    inflater: Decompress,
    /// Room for what is inflated.
    text: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl Peer {
    /// Of one venue.
    pub fn new(venue: VenueId, way: Way) -> Self {
        Self {
            venue,
            way,
            inflater: Decompress::new(false),
            text: vec![0; 1 << 20],
            buffers: simd_json::Buffers::new(1 << 16),
        }
    }

    /// Reads one message where it lies. Errors: it is not understood.
    pub fn read(&mut self, bytes: &mut [u8], is_compressed: bool) -> anyhow::Result<Read> {
        let Self {
            venue,
            way,
            inflater,
            text,
            buffers,
        } = self;
        let bytes = if is_compressed {
            // A gzip member without optional fields: ten bytes of head, eight of tail.
            let data = bytes
                .len()
                .checked_sub(8)
                .and_then(|end| bytes.get(10..end));
            inflater.reset(false);
            let end = FlushDecompress::Finish;
            inflater.decompress(data.context("gzip")?, text, end)?;
            let len = usize::try_from(inflater.total_out())?;
            text.get_mut(..len).context("a text that is too long")?
        } else {
            bytes
        };
        let found = match way {
            Way::Serde => read(*venue, &serde_json::from_slice::<serde_json::Value>(bytes)?),
            Way::Simd => read(
                *venue,
                &simd_json::to_borrowed_value_with_buffers(bytes, buffers)?,
            ),
            Way::InflateOnly => {
                ensure!(!black_box(bytes).is_empty(), "nothing came out");
                Some(Read::default())
            }
        };
        found.context("an update of another shape")
    }
}

/// Whether this build's `serde_json` keeps numbers as text, which costs it an allocation a number printed bare.
pub fn keeps_number_text() -> bool {
    let number = serde_json::from_str::<serde_json::Value>("1.00000000000000000000000001");
    number.is_ok_and(|number| number.to_string().len() > 20)
}

#[cfg(test)]
mod tests {
    use super::super::tape::SOURCES;
    use super::*;
    use std::path::Path;

    #[test]
    fn both_ways_read_the_levels_we_read() {
        for source in SOURCES {
            let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
            let Some(tape) = source.tape(&captures).unwrap() else {
                continue;
            };
            let [mut serde, mut simd] =
                [Way::Serde, Way::Simd].map(|way| Peer::new(tape.venue, way));
            let mut levels = 0;
            for step in tape.updates() {
                let one = serde.read(&mut step.bytes.clone(), step.is_binary).unwrap();
                let other = simd.read(&mut step.bytes.clone(), step.is_binary).unwrap();
                assert_eq!(one, other, "{}", tape.venue);
                levels += one.levels;
            }
            // KuCoin tells of numbers without a change by a level of price 0, which we pass over.
            let is_fine = if tape.venue == VenueId::KUCOIN {
                levels >= tape.levels
            } else {
                levels == tape.levels
            };
            assert!(is_fine, "{}: {levels} and {}", tape.venue, tape.levels);
        }
    }
}
