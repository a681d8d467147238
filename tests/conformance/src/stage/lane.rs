//! The production lane of a case: one venue, two instruments, one strategy.

use super::Known;
use crate::script::{Actor, Shared};
use crate::venues::Tried;
use dp_lane::{AnyVenue, Engine, Lane, Link, OnInstruments, Parts, Setup, Wall};
use dp_proto::tls::{Roots, client_config};
use dp_shm::Region;
use dp_strategy::Strategy;
use dp_transport::{Clock, Idle, Transport};
use dp_types::{Epoch, LaneId, Qty, StrategyId};
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use spinlane_sim::keys::Credential;
use std::net::SocketAddr;
use std::sync::Arc;

const EPOCH: Epoch = Epoch(1);
const LANE: LaneId = LaneId(0);
/// How long after it was written an order may still be taken.
const ORDER_WINDOW_MS: u32 = 5_000;

/// Where the venue is and who vouches for it.
pub struct Place<'a> {
    pub venue: Tried,
    pub symbols: Vec<String>,
    pub port: u16,
    pub ca_pem: &'a str,
}

/// Builds the lane. The region is fresh.
pub fn build<'r, T: Transport>(
    region: &'r Region,
    transport: T,
    clock: Clock,
    place: &Place<'_>,
) -> (Lane<'r, T>, Known<'r>) {
    region.begin_run(EPOCH, clock.tsc_hz(), clock.now().unix);
    region.lease().hold_always(EPOCH);
    let script = Shared::default();
    let mut registry = Registry::new();
    let venue = AnyVenue::new(place.venue.id, config(place), &mut registry)
        .expect("registered")
        .expect("in this build");
    let capabilities = venue.capabilities();
    let tls = client_config(Roots::Ca(place.ca_pem.as_bytes()), None).expect("our own CA");
    let peer = SocketAddr::from(([127, 0, 0, 1], place.port));
    let link = |(at, spec): (usize, &dp_venue_api::LinkSpec)| {
        Link::new(spec.clone(), vec![peer], Arc::clone(&tls), at as u64 + 1)
    };
    let links = venue.links().iter().enumerate().map(link).collect();
    let writer = region.lane_writer(LANE).expect("one writer");
    let engine = Engine::new(
        Wall::new(region, writer, LANE, EPOCH),
        Setup {
            epoch: EPOCH,
            lane: LANE,
            limits: dp_risk::NodeLimits {
                collar_bps: 5_000,
                orders_per_s_max: 1_000_000,
                // Cases in which nobody trades are about other things than a book's age.
                book_age_ns_max: 3_600_000_000_000,
            },
            order_window_ns: u64::from(ORDER_WINDOW_MS) * 1_000_000,
            venues: vec![place.venue.id],
            instruments: registry.instruments().to_vec(),
        },
    );
    let lane = Lane::new(Parts {
        id: LANE,
        transport,
        clock,
        engine,
        registry,
        venues: vec![(venue, links)],
        idle: Idle::Park,
        addresses: dp_lane::inbox(),
        on_instruments: on_instruments(place, &script),
    });
    let known = Known {
        region,
        venue: place.venue,
        capabilities,
        script,
    };
    (lane, known)
}

fn config(place: &Place<'_>) -> VenueConfig {
    let known = spinlane_sim::venues::known(place.venue.name).expect("simulated");
    let key = Credential::default_key(1);
    let host = || ("localhost".to_owned(), place.port);
    VenueConfig {
        rest: host(),
        public: host(),
        private: host(),
        symbols: place.symbols.clone(),
        secrets: Secrets {
            api_key: key.api_key.clone(),
            api_secret: if known.has_base64_secret {
                key.secret_base64()
            } else {
                key.api_secret.clone()
            },
            passphrase: key.passphrase.clone(),
            ..Secrets::default()
        },
        order_window_ms: ORDER_WINDOW_MS,
        nonce_slot: 0,
    }
}

/// Limits for every instrument, the script for the first.
fn on_instruments<'r>(place: &Place<'_>, script: &Shared) -> OnInstruments<'r> {
    let (symbols, script) = (place.symbols.clone(), Arc::clone(script));
    Box::new(move |registry, engine, venue| {
        for (at, symbol) in symbols.iter().enumerate() {
            let Some(id) = registry.find(venue, symbol.as_bytes()) else {
                continue;
            };
            let limits = dp_risk::Limits {
                order_qty_max: Qty(i64::MAX / 4),
                position_max: Qty(i64::MAX / 4),
            };
            engine.set_limits(id, Some(limits));
            if at == 0 {
                let actor: Box<dyn Strategy + Send> = Box::new(Actor(Arc::clone(&script)));
                engine.seat(StrategyId(0), id, actor);
            }
        }
    })
}
