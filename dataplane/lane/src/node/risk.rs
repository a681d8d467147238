//! `[risk]` into engines and the page of limits: money in the reporting currency, watches, tolerances.

use super::Plan;
use super::tables::quantity;
use crate::any_venue::AnyVenue;
use crate::engine::Engine;
use dp_config::{Config, Risk};
use dp_risk::WatchLimits;
use dp_shm::NodeLimits;
use dp_types::{AssetId, Instrument, Text, VenueId};
use dp_venue_api::Positions;

/// The configuration's limits of the whole node; those of currencies as far as their names have ids.
pub(super) fn node_limits<'n>(
    config: &Config,
    assets: impl Iterator<Item = (AssetId, &'n str)>,
) -> NodeLimits {
    let risk = &config.risk;
    let mut limits = NodeLimits {
        collar_bps: risk.collar_bps,
        orders_per_s_max: risk.orders_per_s_max,
        book_age_ms_max: risk.book_age_ms_max,
        reject_pct_max: risk.reject_pct_max,
        move_bps_max: risk.move_bps_max,
        move_ms: risk.move_ms,
        day_loss_max: Risk::money(risk.day_loss_max.as_ref()),
        drawdown_max: Risk::money(risk.drawdown_max.as_ref()),
        exposure_max: Risk::money(risk.exposure_max.as_ref()),
        order_value_max: Risk::money(risk.order_value_max.as_ref()),
        currencies: Default::default(),
        who: Text::lossy("configuration"),
    };
    for (id, name) in assets {
        let max = Risk::money(risk.currency_exposure_max.get(name));
        // As many as may be configured have a place.
        let _ = max.0 > 0 && limits.limit_currency(id, max);
    }
    limits
}

/// What trips by these limits.
pub(crate) const fn watch_limits(node: &NodeLimits) -> WatchLimits {
    WatchLimits {
        day_loss_max: node.day_loss_max,
        drawdown_max: node.drawdown_max,
        reject_pct_max: node.reject_pct_max,
        move_bps_max: node.move_bps_max,
        move_ns: node.move_ms as u64 * 1_000_000,
    }
}

/// Sets an engine's watches, and limits of money as far as its assets are known.
pub(crate) fn watch<'n>(
    config: &Config,
    engine: &mut Engine<'_>,
    assets: impl Iterator<Item = (AssetId, &'n str)>,
) {
    let assets: Vec<_> = assets.collect();
    let node = node_limits(config, assets.iter().copied());
    engine.set_watch(watch_limits(&node));
    engine.set_exposure_max(node.exposure_max);
    engine.set_order_value_max(node.order_value_max);
    for limit in node
        .currencies
        .iter()
        .filter(|it| it.asset != AssetId::NONE)
    {
        engine.set_currency_max(limit.asset, limit.max);
    }
    name_money(config, engine, assets.into_iter());
}

/// Names the reporting currency, and rates of assets.
fn name_money<'n>(
    config: &Config,
    engine: &mut Engine<'_>,
    assets: impl Iterator<Item = (AssetId, &'n str)>,
) {
    let risk = &config.risk;
    for (id, name) in assets {
        if risk.currency.as_deref() == Some(name) {
            engine.set_currency(id);
        }
        let rate = Risk::money(risk.rates.get(name)).0;
        if rate > 0 {
            engine.set_rate(id, u64::try_from(rate).unwrap_or(u64::MAX));
        }
        let tolerance = Risk::money(risk.balance_tolerance.get(name));
        if tolerance.0 > 0 {
            engine.set_balance_tolerance(id, tolerance);
        }
        let rounding = Risk::money(risk.balance_rounding_max.get(name));
        if rounding.0 > 0 {
            engine.set_balance_rounding(id, rounding);
        }
    }
}

impl Plan<'_> {
    /// Sets an engine's watches before it meets a venue.
    pub(super) fn watch(&self, engine: &mut Engine<'_>) {
        let shared = self
            .config
            .venue
            .iter()
            .filter(|(_, venue)| venue.has_shared_account());
        for id in shared.filter_map(|(name, _)| VenueId::from_name(name)) {
            engine.share_account(id);
        }
        let venues = self.config.venue.keys();
        let venues = venues.filter_map(|name| VenueId::from_name(name));
        // On paper nobody tells what one holds: it is what the fills made.
        let live = venues.filter(|_| !self.config.is_paper());
        for id in live.filter(|id| AnyVenue::positions(*id) == Positions::Listed) {
            engine.await_positions(id);
        }
        let names: Vec<_> = self.region.assets().iter().collect();
        let assets = (0..).map(AssetId).zip(&names);
        watch(
            self.config,
            engine,
            assets.map(|(id, name)| (id, name.as_str())),
        );
    }

    /// Names the reporting currency and rates of assets, as far as the node's table knows those: it grows with
    /// each venue's instruments.
    pub(super) fn name_money(&self, engine: &mut Engine<'_>) {
        let names: Vec<_> = self.region.assets().iter().collect();
        let assets = (0..).map(AssetId).zip(&names);
        name_money(
            self.config,
            engine,
            assets.map(|(id, name)| (id, name.as_str())),
        );
    }

    /// How far a venue's word of a position may be from ours.
    pub(super) fn tolerate(&self, engine: &mut Engine<'_>, instrument: &Instrument) {
        let symbol = instrument.symbol.as_str();
        let Some(text) = self.config.risk.position_tolerance.get(symbol) else {
            return;
        };
        match quantity(instrument, "risk.position_tolerance", text) {
            Ok(qty) => engine.set_tolerance(instrument.id, qty),
            Err(error) => tracing::error!(%error, "the venue's positions must be exactly ours"),
        }
    }
}
