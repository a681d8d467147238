//! The production lane of a case: one venue, two instruments, one strategy.

use super::Known;
use crate::script::{Actor, Shared};
use crate::venues::{Follows, Tried};
use dp_book::FeedPlan;
use dp_lane::{
    AnyVenue, Engine, FixLink, Lane, Link, OnInstruments, Parts, Setup, Wall, further_feed,
    is_of_feed,
};
use dp_proto::tls::{Roots, client_config};
use dp_shm::Region;
use dp_strategy::Strategy;
use dp_transport::{Clock, Group, Idle, Transport, tsc};
use dp_types::{Decimal, Epoch, LaneId, Now, Qty, StrategyId, VenueId};
use dp_venue_api::limits::Budget;
use dp_venue_api::{
    FixConfig, FixInstrument, MarketData, Positions, Registry, Secret, Secrets, Venue as _,
    VenueConfig,
};
use spinlane_sim::keys::Credential;
use spinlane_sim::venues::oanda::Oanda;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

const LANE: LaneId = LaneId(0);
/// How long after it was written an order may still be taken.
const ORDER_WINDOW_MS: u32 = 5_000;
/// How long a hole in one feed waits for another.
const FEED_HOLD_NS: u64 = 100_000_000;
/// Single orders a book has room for.
const ORDERS_MAX: usize = 1 << 14;

/// Where the venue is and who vouches for it.
pub struct Place<'a> {
    pub venue: Tried,
    pub symbols: Vec<String>,
    pub port: u16,
    /// Of its FIX sessions, where orders go over them.
    pub fix_port: Option<u16>,
    pub ca_pem: &'a str,
    /// Connections that bring the market data; by multicast, its lines.
    pub feeds: usize,
    /// The groups of its lines, where it comes by multicast.
    pub lines: Option<[SocketAddrV4; 2]>,
    /// Addresses of its host that are none of its own.
    pub decoys: &'a [SocketAddr],
    /// Another one of each node that shares the key.
    pub epoch: Epoch,
    pub budget: Budget,
}

/// Builds the lane: what an earlier one left in the region is taken over.
pub fn build<'r, T: Transport>(
    region: &'r Region,
    transport: T,
    clock: Clock,
    place: &Place<'_>,
) -> (Lane<'r, T>, Known<'r>) {
    let recovered = dp_journal::recover(&[region]);
    region.begin_run(place.epoch, clock.tsc_hz(), clock.now().unix);
    region.lease().hold_always(place.epoch);
    let script = Shared::default();
    let mut registry = Registry::new();
    let venue_config = config(place);
    let venue = AnyVenue::new(place.venue.id, venue_config.clone(), &mut registry)
        .expect("registered")
        .expect("in this build");
    let capabilities = venue.capabilities();
    let machine = AnyVenue::new(place.venue.id, venue_config.clone(), &mut Registry::new());
    let machine = machine.expect("registered").expect("in this build");
    let tls = client_config(Roots::Ca(place.ca_pem.as_bytes()), None).expect("our own CA");
    let link_of = |machine: &AnyVenue, at: usize, spec: &dp_venue_api::LinkSpec| {
        let mut peers = place.decoys.to_vec();
        peers.push(SocketAddr::from(([127, 0, 0, 1], spec.port)));
        let link = Link::new(spec.clone(), &peers, Arc::clone(&tls), at as u64 + 1);
        let link = link.with_upgrade(machine.upgrade_fields(spec.id));
        match machine.fix_spec(spec.id) {
            Some(session) => link.with_fix(FixLink::new(session, None)),
            None => link,
        }
    };
    let links_of = |machine: &AnyVenue| -> Vec<Link> {
        let specs = machine.links().iter().enumerate();
        specs.map(|(at, spec)| link_of(machine, at, spec)).collect()
    };
    let links = links_of(&venue);
    let count = links.len();
    let mut venues = Vec::new();
    let feeds = if place.lines.is_some() {
        1
    } else {
        place.feeds
    };
    for feed in 1..feeds {
        let further = further_feed(&venue, &venue_config, feed as u8, &mut registry);
        let further = further.expect("registered").expect("in this build");
        let mut links = links_of(&further);
        links.retain(|link| is_of_feed(&further, link.spec.id));
        venues.push((further, links));
    }
    venues.insert(0, (venue, links));
    let writer = region.lane_writer(LANE).expect("one writer");
    let mut engine = Engine::new(
        Wall::new(region, writer, LANE, place.epoch),
        Setup {
            epoch: place.epoch,
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
    engine.set_feeds(
        place.venue.id,
        FeedPlan {
            count: feeds,
            hold_ns: FEED_HOLD_NS,
        },
    );
    if capabilities.positions == Positions::Listed {
        engine.await_positions(place.venue.id);
    }
    let now = Now {
        tsc: tsc(),
        unix: clock.now().unix,
    };
    engine.recover(&recovered, now);
    if place.venue.follows == Follows::Orders {
        for instrument in registry.instruments() {
            engine.follow_orders(instrument.id, ORDERS_MAX);
        }
    }
    let mut lane = Lane::new(Parts {
        id: LANE,
        transport,
        clock,
        engine,
        registry,
        venues,
        idle: Idle::Park,
        addresses: dp_lane::inbox(),
        on_instruments: on_instruments(place, &script),
    });
    let lines = place.lines.iter().flatten().take(place.feeds);
    for (line, at) in lines.enumerate() {
        let group = Group {
            at: *at,
            interface: Ipv4Addr::LOCALHOST,
        };
        lane.hear(place.venue.id, line as u8, &group)
            .expect("loopback");
    }
    let known = Known {
        region,
        venue: place.venue,
        capabilities,
        links: count,
        machine,
        script,
    };
    (lane, known)
}

fn config(place: &Place<'_>) -> VenueConfig {
    let known = spinlane_sim::venues::known(place.venue.name).expect("simulated");
    let key = Credential::default_key(1);
    let host = || ("localhost".to_owned(), place.port);
    let is_sbe = place.venue.market_data == MarketData::Sbe;
    VenueConfig {
        rest: host(),
        public: host(),
        private: host(),
        l3: host(),
        symbols: place.symbols.clone(),
        l3_symbols: match place.venue.follows {
            Follows::Levels => Vec::new(),
            Follows::Orders => place.symbols.clone(),
        },
        secrets: Secrets {
            api_key: match place.venue.id {
                // A token is an account's, which is named beside it.
                VenueId::OANDA => Oanda::account_name(key.account),
                _ => key.api_key.clone(),
            },
            api_secret: if known.has_base64_secret {
                key.secret_base64().into()
            } else {
                key.api_secret.as_str().into()
            },
            passphrase: key.passphrase.as_str().into(),
            ed25519_pem: if known.has_ed25519 && (place.fix_port.is_some() || is_sbe) {
                key.ed25519_pem().into()
            } else {
                Secret::default()
            },
        },
        order_window_ms: ORDER_WINDOW_MS,
        nonce_slot: 0,
        is_further_feed: false,
        market_data: place.venue.market_data,
        fix: place.fix_port.map(|port| fix_config(place, port)),
        rest_batches: place.venue.has_rest_batches,
        budget: place.budget,
    }
}

/// FIX as the simulator has it: a name that Kraken assigned, and the sessions agreed with the provider.
fn fix_config(place: &Place<'_>, port: u16) -> FixConfig {
    let host = || ("localhost".to_owned(), port);
    let number = |text: &str| Decimal::parse(text.as_bytes()).expect("a number");
    let mut config = FixConfig {
        entry: host(),
        market: Some(host()),
        sender: match place.venue.id {
            VenueId::KRAKEN | VenueId::YOFX => "SPINLANE".to_owned(),
            _ => String::new(),
        },
        ..FixConfig::default()
    };
    if place.venue.id == VenueId::COINBASE {
        // Two hosts there and one port here.
        "Coinbase-MD".clone_into(&mut config.market_target);
    }
    if place.venue.id == VenueId::YOFX {
        "SPINLANE-MD".clone_into(&mut config.market_sender);
        "YOFX".clone_into(&mut config.target);
        let pairs = place.symbols.iter().filter_map(|symbol| {
            let (base, quote) = symbol.split_once('/')?;
            Some(FixInstrument {
                symbol: symbol.clone(),
                base: base.to_owned(),
                quote: quote.to_owned(),
                tick: number("0.00001"),
                lot: number("1"),
                qty_min: number("1"),
            })
        });
        config.instruments = pairs.collect();
    }
    config
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
                engine.seat(StrategyId(0), &[id], actor);
            }
        }
    })
}
