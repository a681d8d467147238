//! What a node's configuration means to an engine that is turned without a node: limits, seats, paper exchanges, and the
//! venue machines' view of a recording.

use crate::engine::Engine;
use crate::node;
use dp_config::{Config, MarketData, Queue};
use dp_paper::{Delay, Fees, QueueModel, Setup};
use dp_strategy::Kind;
use dp_types::{Instrument, VenueId};
use dp_venue_api::limits::{Budget, Share};
use dp_venue_api::{Registry, RestTag, VenueConfig};

/// Lane-wide limits of `[risk]`.
pub fn node_limits(config: &Config) -> dp_risk::NodeLimits {
    let risk = &config.risk;
    dp_risk::NodeLimits {
        collar_bps: risk.collar_bps,
        orders_per_s_max: risk.orders_per_s_max,
        book_age_ns_max: u64::from(risk.book_age_ms_max) * 1_000_000,
    }
}

/// Puts the limits of money and what they are counted in into force, as far as the registry's assets are known.
pub fn limit_money(config: &Config, registry: &Registry, engine: &mut Engine<'_>) {
    let assets = (0..).map(dp_types::AssetId).zip(registry.assets());
    node::risk::watch(config, engine, assets.map(|(id, name)| (id, name.as_str())));
}

/// Limits of an instrument by its symbol; `None` when the configuration has no line for it: it cannot trade.
///
/// Errors: a sentence naming the key.
pub fn limits_of(
    config: &Config,
    instrument: &Instrument,
) -> Result<Option<dp_risk::Limits>, String> {
    node::limits_of(config, instrument).map_err(|error| error.to_string())
}

/// Seats every strategy whose last unknown instrument is this venue's. Returns why some cannot run.
pub fn seat(
    config: &Config,
    kinds: &[Kind],
    registry: &Registry,
    engine: &mut Engine<'_>,
    venue: VenueId,
) -> Vec<String> {
    let faults = node::seat_fresh((config, kinds), registry, engine, venue);
    faults.iter().map(ToString::to_string).collect()
}

/// The exchange that stands in for a venue; its ids begin above `ids_above`.
pub fn exchange(config: &Config, venue: VenueId, ids_above: u64) -> Setup {
    let paper = &config.paper;
    let delay = |us: u64| Delay::constant(us * 1_000);
    let fees = paper.fees.get(venue.name()).copied().unwrap_or_default();
    Setup {
        feed: delay(paper.feed_us),
        order: delay(paper.order_us),
        answer: delay(paper.answer_us),
        queue: match paper.queue {
            Queue::Behind => QueueModel::Behind,
            Queue::Proportional => QueueModel::Proportional,
            Queue::Squared => QueueModel::Squared,
        },
        fees: Fees {
            maker_ppm: fees.maker_ppm,
            taker_ppm: fees.taker_ppm,
        },
        // Venues draw apart.
        seed: paper.seed ^ u64::from(venue.0) << 56,
        ids_above,
    }
}

/// A venue machine that only reads: no hosts, no keys. Its limits are those of the node's own.
pub fn reader(section: &dp_config::Venue) -> VenueConfig {
    VenueConfig {
        symbols: section.symbols.clone(),
        market_data: match section.market_data {
            MarketData::Json => dp_venue_api::MarketData::Json,
            MarketData::Sbe => dp_venue_api::MarketData::Sbe,
        },
        budget: Budget::of(Share::percent(section.budget_pct)),
        ..VenueConfig::default()
    }
}

/// The tag under which a venue's REST answer from this URL is read; `None` when we do not ask for it.
pub fn tag_of_url(venue: VenueId, registry: &Registry, url: &str) -> Option<RestTag> {
    use dp_venue_binance::{Of as _, Spot, Usdm};
    let binance = dp_venue_binance::rest::tag_of_url;
    match venue {
        VenueId::BINANCE => binance(Spot::PRODUCT, registry, url),
        VenueId::BINANCE_USDM => binance(Usdm::PRODUCT, registry, url),
        VenueId::BITFINEX => dp_venue_bitfinex::rest::tag_of_url(registry, url),
        VenueId::BYBIT => dp_venue_bybit::rest::tag_of_url(registry, url),
        VenueId::COINBASE => dp_venue_coinbase::rest::tag_of_url(registry, url),
        VenueId::DERIBIT => dp_venue_deribit::rest::tag_of_url(registry, url),
        VenueId::HUOBI => dp_venue_huobi::rest::tag_of_url(url),
        VenueId::KRAKEN => dp_venue_kraken::rest::tag_of_url(registry, url),
        VenueId::KRAKEN_FUTURES => dp_venue_kraken_futures::rest::tag_of_url(registry, url),
        VenueId::KUCOIN => dp_venue_kucoin::rest::tag_of_url(registry, url),
        VenueId::OANDA => dp_venue_oanda::rest::tag_of_url(url),
        VenueId::OKX => dp_venue_okx::rest::tag_of_url(registry, url),
        _ => None,
    }
}
