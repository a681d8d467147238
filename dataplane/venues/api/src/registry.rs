//! The node's instruments and assets: filled on the cold path at start, read by dense id ever after.

use dp_types::limit::{ASSETS_MAX, INSTRUMENTS_MAX};
use dp_types::{AssetId, Instrument, InstrumentId, Text, VenueId};
use std::sync::{Arc, Mutex, PoisonError};

/// Why something could not be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Over [`INSTRUMENTS_MAX`] or [`ASSETS_MAX`].
    #[error("the instrument or asset table is full")]
    Full,
    /// Longer than the text that holds it.
    #[error("symbol or asset name is too long")]
    TooLong,
}

/// All instruments and assets of one lane or tool. Lookup by symbol is an open-addressing table:
/// no allocation after start, O(1).
///
/// A clone goes its own way, but for the numbers of assets: all clones of one registry give an asset the same,
/// whichever of them meets it first. So lanes that learn theirs apart mean the same asset by an id.
#[derive(Debug, Clone)]
pub struct Registry {
    instruments: Vec<Instrument>,
    /// The front of `numbered`, as far as this one has needed it: read without a lock.
    assets: Vec<Text<15>>,
    /// Assets in the order any clone has met them.
    numbered: Arc<Mutex<Vec<Text<15>>>>,
    /// Slot → instrument index + 1; 0 = empty. Twice the maximum, so probes stay short.
    slots: Box<[u32]>,
}

const SLOTS: usize = 2 * INSTRUMENTS_MAX;
const _: () = assert!(SLOTS.is_power_of_two());

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry with all its memory taken.
    pub fn new() -> Self {
        Self {
            instruments: Vec::with_capacity(INSTRUMENTS_MAX),
            assets: Vec::with_capacity(ASSETS_MAX),
            numbered: Arc::default(),
            slots: vec![0; SLOTS].into_boxed_slice(),
        }
    }

    /// Adds an instrument with bare increments, or finds the one already there.
    ///
    /// Errors: [`RegistryError`].
    pub fn register(
        &mut self,
        venue: VenueId,
        symbol: &str,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Result<InstrumentId, RegistryError> {
        if let Some(id) = self.find(venue, symbol.as_bytes()) {
            return Ok(id);
        }
        let symbol = Text::new(symbol).ok_or(RegistryError::TooLong)?;
        if self.instruments.len() >= INSTRUMENTS_MAX {
            return Err(RegistryError::Full);
        }
        let id = InstrumentId(self.instruments.len() as u32);
        self.instruments.push(Instrument::bare(
            id,
            venue,
            symbol,
            price_decimals,
            qty_decimals,
        ));
        let slot = self.probe(venue, symbol.as_bytes());
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = id.0 + 1;
        }
        Ok(id)
    }

    /// Finds or adds an asset by its upper-case name. Cold: an asset not met before takes a lock. Errors:
    /// [`RegistryError`].
    pub fn asset(&mut self, name: &str) -> Result<AssetId, RegistryError> {
        if let Some(id) = self.find_asset(name) {
            return Ok(id);
        }
        let new = Text::new(name).ok_or(RegistryError::TooLong)?;
        let mut numbered = self.numbered.lock().unwrap_or_else(PoisonError::into_inner);
        if !numbered.contains(&new) {
            if numbered.len() >= ASSETS_MAX {
                return Err(RegistryError::Full);
            }
            numbered.push(new);
        }
        self.assets.clone_from(&numbered);
        drop(numbered);
        self.find_asset(name).ok_or(RegistryError::Full)
    }

    /// Replaces an instrument's metadata (same id, venue and symbol).
    pub fn update(&mut self, instrument: Instrument) {
        if let Some(slot) = self.instruments.get_mut(instrument.id.0 as usize) {
            *slot = instrument;
        }
    }

    /// The instrument with this id.
    pub fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.0 as usize)
    }

    /// The id of a venue's symbol, as the venue writes it.
    #[inline]
    pub fn find(&self, venue: VenueId, symbol: &[u8]) -> Option<InstrumentId> {
        let slot = self.probe(venue, symbol);
        self.slots.get(slot)?.checked_sub(1).map(InstrumentId)
    }

    /// The id of an asset.
    pub fn find_asset(&self, name: &str) -> Option<AssetId> {
        let at = self
            .assets
            .iter()
            .position(|asset| asset.as_str() == name)?;
        Some(AssetId(at as u16))
    }

    /// The name of an asset, empty for [`AssetId::NONE`].
    pub fn asset_name(&self, id: AssetId) -> &str {
        self.assets.get(usize::from(id.0)).map_or("", Text::as_str)
    }

    /// All instruments, by id.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// All assets, by id.
    pub fn assets(&self) -> &[Text<15>] {
        &self.assets
    }

    /// The slot that holds the symbol, or the empty one where it would go.
    fn probe(&self, venue: VenueId, symbol: &[u8]) -> usize {
        // FNV-1a: symbols are short and come from venues we chose.
        let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ u64::from(venue.0);
        for &byte in symbol {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut slot = (hash ^ (hash >> 32)) as usize & (SLOTS - 1);
        for _ in 0..SLOTS {
            let Some(index) = self.slots.get(slot).and_then(|raw| raw.checked_sub(1)) else {
                break;
            };
            let is_match = self
                .instruments
                .get(index as usize)
                .is_some_and(|instrument| {
                    instrument.venue == venue && instrument.symbol.as_bytes() == symbol
                });
            if is_match {
                break;
            }
            slot = (slot + 1) & (SLOTS - 1);
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_registered_and_nothing_else() {
        let mut registry = Registry::new();
        for n in 0..INSTRUMENTS_MAX {
            let id = registry
                .register(VenueId::OKX, &format!("S{n}-USDT"), 8, 8)
                .unwrap();
            assert_eq!(id.0 as usize, n);
        }
        for n in 0..INSTRUMENTS_MAX {
            let found = registry.find(VenueId::OKX, format!("S{n}-USDT").as_bytes());
            assert_eq!(found, Some(InstrumentId(n as u32)));
        }
        assert_eq!(registry.find(VenueId::BINANCE, b"S1-USDT"), None);
        assert_eq!(
            registry.register(VenueId::OKX, "X", 8, 8),
            Err(RegistryError::Full)
        );
        assert_eq!(
            registry.register(VenueId::OKX, "S1-USDT", 8, 8),
            Ok(InstrumentId(1))
        );
    }

    #[test]
    fn assets_are_dense() {
        let mut registry = Registry::new();
        let usdt = registry.asset("USDT").unwrap();
        assert_eq!(registry.asset("USDT"), Ok(usdt));
        assert_eq!(registry.asset_name(usdt), "USDT");
        assert_eq!(registry.asset_name(AssetId::NONE), "");
    }

    #[test]
    fn clones_number_assets_alike_whoever_meets_them_first() {
        let mut one = Registry::new();
        one.asset("USDT").unwrap();
        let mut other = one.clone();
        let btc = one.asset("BTC").unwrap();
        let eth = other.asset("ETH").unwrap();
        assert_ne!(btc, eth);
        assert_eq!((other.asset("BTC"), one.asset("ETH")), (Ok(btc), Ok(eth)));
        assert_eq!(other.asset_name(btc), "BTC");
        assert_eq!(one.assets(), other.assets());
        assert_eq!(Registry::new().asset("ETH"), Ok(AssetId(0)), "another node");
    }
}
