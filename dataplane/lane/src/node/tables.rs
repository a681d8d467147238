//! What lanes and readers share: instruments and assets by the same ids, limits in force.

use super::{NodeError, Plan, Shared, sentence};
use crate::engine::Engine;
use dp_config::Config;
use dp_shm::{InstrumentEntry, InstrumentLimits, Lock, Region};
use dp_types::{AssetId, Decimal, Instrument, InstrumentId, Qty, Text, VenueId};
use dp_venue_api::Registry;
use std::sync::{Mutex, PoisonError};

/// Shows readers the limits the lanes have set. Not done by a lane: it takes a lock that a command may hold.
pub(super) fn publish_limits(region: &Region, shared: &Mutex<Shared>) -> Result<(), NodeError> {
    let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if !core::mem::take(&mut held.is_changed) {
        return Ok(());
    }
    let fresh = core::mem::take(&mut held.fresh);
    let is_first = !core::mem::replace(&mut held.is_published, true);
    let (mut node, mut limits) = (held.node, held.limits.clone());
    drop(held);
    let guard = region.lock(Lock::Control)?;
    let mut page = vec![InstrumentLimits::default(); limits.len()];
    // What people have set since this run began stays; the page of an earlier run does not.
    if !is_first && let Some((_, in_force)) = region.config().read(&mut page) {
        for id in fresh {
            let at = id.0 as usize;
            if let (Some(page), Some(limits)) = (page.get_mut(at), limits.get(at)) {
                *page = *limits;
            }
        }
        (node, limits) = (in_force, page);
    }
    region.config().publish(&guard, &node, &limits);
    Ok(())
}

/// Assets by id.
pub(super) fn named_assets(registry: &Registry) -> impl Iterator<Item = (AssetId, &str)> {
    let names = registry.assets().iter().map(Text::as_str);
    (0..).map(AssetId).zip(names)
}

/// Instruments in the order of the region's ids, then the configuration's new ones.
pub(super) fn seed_registry(config: &Config, region: &Region) -> Result<Registry, NodeError> {
    let mut registry = Registry::new();
    let full = |error| sentence(format!("instruments: {error}"));
    for name in region.assets().iter() {
        registry.asset(name.as_str()).map_err(full)?;
    }
    // What is limited has an id before any venue names it: the page of limits goes by ids.
    for name in config.risk.currency_exposure_max.keys() {
        registry.asset(name).map_err(full)?;
    }
    for (id, name) in (0..).map(AssetId).zip(registry.assets()) {
        let shown = region.assets().publish(id, *name);
        shown.map_err(|error| sentence(format!("assets: {error}")))?;
    }
    for entry in region.instruments().iter() {
        let held = entry.instrument;
        let id = registry
            .register(
                held.venue,
                held.symbol.as_str(),
                held.price_decimals,
                held.qty_decimals,
            )
            .map_err(full)?;
        if id != held.id {
            return Err(sentence(format!(
                "{}: its instruments have holes; move the file away and start again",
                config.node.shm.display()
            )));
        }
    }
    for (name, venue) in &config.venue {
        let Some(id) = VenueId::from_name(name) else {
            continue;
        };
        for symbol in &venue.symbols {
            registry.register(id, symbol, 8, 8).map_err(full)?;
        }
    }
    Ok(registry)
}

impl Plan<'_> {
    /// Shows a venue's instruments to the node. Returns those that cannot trade: their increments are others
    /// than those of earlier runs.
    pub(super) fn show_instruments(
        &self,
        registry: &Registry,
        venue: VenueId,
    ) -> Vec<InstrumentId> {
        let mut barred = Vec::new();
        let all = registry.instruments().iter();
        let ours = all.filter(|it| it.venue == venue);
        // The node's tables have many writers in turn.
        let guard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, name) in (0..).map(AssetId).zip(registry.assets()) {
            if let Err(error) = self.region.assets().publish(id, *name) {
                tracing::error!(%error, asset = %name, "an asset has no name for readers");
            }
        }
        for instrument in ours.clone() {
            if let Err(error) = self.show_instrument(registry, instrument) {
                tracing::error!(%error, "an instrument cannot trade");
                barred.push(instrument.id);
            }
        }
        drop(guard);
        tracing::info!(venue = %venue, instruments = ours.clone().count(), "instruments known");
        for instrument in ours.filter(|it| it.tick.0 == 0) {
            tracing::error!(symbol = %instrument.symbol, venue = %venue, "the venue does not list it: it cannot trade");
        }
        barred
    }

    /// Puts the limits of a venue's instruments in force; those of `barred` cannot trade.
    pub(super) fn limit(
        &self,
        registry: &Registry,
        engine: &mut Engine<'_>,
        venue: VenueId,
        barred: &[InstrumentId],
    ) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = registry.instruments().iter().filter(|it| it.venue == venue);
        for instrument in ours {
            let limits = limits_of(self.config, instrument).unwrap_or_else(|error| {
                tracing::error!(%error, "an instrument cannot trade");
                None
            });
            let limits = limits.filter(|_| !barred.contains(&instrument.id));
            self.tolerate(engine, instrument);
            let shown = limits.map_or_else(InstrumentLimits::default, |limits| InstrumentLimits {
                order_qty_max: limits.order_qty_max,
                position_max: limits.position_max,
            });
            // Told again by a venue that logs in again, they are not set again: people may have changed them since.
            let slot = shared.limits.get_mut(instrument.id.0 as usize);
            if slot.is_some_and(|slot| core::mem::replace(slot, shown) != shown) {
                engine.set_limits(instrument.id, limits);
                shared.fresh.push(instrument.id);
            }
        }
        shared.is_changed = !shared.is_published || !shared.fresh.is_empty();
        self.name_money(engine);
    }

    /// Puts an instrument into the node's table. Errors: its increments are others than those its orders,
    /// positions and records of earlier runs are counted in.
    fn show_instrument(
        &self,
        registry: &Registry,
        instrument: &Instrument,
    ) -> Result<(), NodeError> {
        let name = |id: AssetId| Text::lossy(registry.asset_name(id));
        let entry = InstrumentEntry {
            instrument: *instrument,
            base: name(instrument.base),
            quote: name(instrument.quote),
        };
        self.region.instruments().publish(&entry).map_err(|error| {
            sentence(format!(
                "{}: {error}: its price or quantity increments changed: close its position, stop, let \
                 `spinlane run` drain, then start with another node.shm",
                instrument.symbol
            ))
        })
    }
}

/// Limits of an instrument by its symbol; `None` when the configuration has no line for it.
pub(crate) fn limits_of(
    config: &Config,
    instrument: &Instrument,
) -> Result<Option<dp_risk::Limits>, NodeError> {
    let risk = &config.risk;
    let symbol = instrument.symbol.as_str();
    let (Some(order), Some(position)) = (
        risk.order_qty_max.get(symbol),
        risk.position_max.get(symbol),
    ) else {
        return Ok(None);
    };
    Ok(Some(dp_risk::Limits {
        order_qty_max: quantity(instrument, "risk.order_qty_max", order)?,
        position_max: quantity(instrument, "risk.position_max", position)?,
    }))
}

/// A quantity of the configuration in an instrument's increments.
pub(super) fn quantity(instrument: &Instrument, key: &str, text: &str) -> Result<Qty, NodeError> {
    let symbol = instrument.symbol;
    let value = Decimal::parse(text.as_bytes())
        .map_err(|error| sentence(format!("{key} of {symbol}: `{text}`: {error}")))?;
    instrument
        .qty(value)
        .map_err(|error| sentence(format!("{key} of {symbol}: `{text}`: {error}")))
}
