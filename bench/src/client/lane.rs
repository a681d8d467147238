//! The production lane as a client of the bench venue: transport, links, venue machine, book, risk, OMS and
//! journal are what `spinlane-dataplane` runs. Only the strategy is the bench's own, because no sane one
//! answers every tick.

use super::is_asked;
use crate::venue::walk::{NUMBER_LOTS, NUMBERS};
use anyhow::Context as _;
use dp_lane::{AnyVenue, Engine, Lane, Link, Parts, Setup, Wall};
use dp_proto::tls::{Roots, client_config};
use dp_shm::Region;
use dp_shm::layout::Shape;
use dp_strategy::{Intents, Strategy, View};
use dp_transport::confine::confine;
use dp_transport::{Clock, Idle, Transport, grow_heap};
use dp_types::{Epoch, LaneId, OrderKind, Qty, Side, StrategyId, Tif, VenueId};
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a lane's heap is grown to, as `spinlane-dataplane` does.
const HEAP_BYTES: usize = 16 << 20;
/// Journal records and market ticks the rings hold, as in the default configuration.
const RECORDS: u32 = 1 << 17;
/// The symbol the bench venue has.
pub const SYMBOL: &str = "BTCUSDT";
/// The throw-away Ed25519 key the venue publishes in its manual: with a session logon, as in production, no
/// order bears a signature.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
    -----END PRIVATE KEY-----\n";

/// Answers each tick (or one in `every`) with one IOC at the touch, of the touch's quantity.
#[derive(Debug)]
pub struct Answer {
    /// One tick in so many.
    pub every: u64,
}

impl Strategy for Answer {
    fn name(&self) -> &'static str {
        "bench_answer"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let Some(bid) = view.book.best_bid().filter(|_| view.can_trade) else {
            return;
        };
        let lots = bid.qty.0 / view.instrument.lot.0.max(1);
        if u64::try_from(lots).is_ok_and(|lots| is_asked(lots, self.every)) {
            out.new_order(Side::Buy, OrderKind::Limit, Tif::Ioc, bid.price, bid.qty);
        }
    }
}

/// The rings a lane under test needs.
pub fn shape() -> Shape {
    Shape::new(1, 8, RECORDS, RECORDS)
}

/// Begins a run in a fresh region.
pub fn begin(region: &Region, clock: &Clock) {
    region.begin_run(Epoch(1), clock.tsc_hz(), clock.now().unix);
    region.lease().hold_always(Epoch(1));
}

/// The configuration of the one venue, all links to one address.
pub fn venue_config(address: SocketAddr) -> VenueConfig {
    let host = || ("localhost".to_owned(), address.port());
    VenueConfig {
        rest: host(),
        public: host(),
        private: host(),
        symbols: vec![SYMBOL.to_owned()],
        secrets: Secrets {
            api_key: "bench".into(),
            ed25519_pem: KEY.into(),
            ..Secrets::default()
        },
        order_window_ms: 5_000,
        ..VenueConfig::default()
    }
}

/// The limits of a lane under test: wide, and each of them checked all the same.
pub fn set_up(
    registry: &Registry,
    engine: &mut Engine<'_>,
    venue: VenueId,
    strategy: Box<dyn Strategy + Send>,
) {
    let Some(id) = registry.find(venue, SYMBOL.as_bytes()) else {
        return;
    };
    let lot = registry.get(id).map_or(1, |instrument| instrument.lot.0);
    let order = (NUMBER_LOTS + NUMBERS) as i64;
    let limits = dp_risk::Limits {
        order_qty_max: Qty(lot * order),
        position_max: Qty(lot * order * 100_000),
    };
    engine.set_limits(id, Some(limits));
    engine.seat(StrategyId(0), &[id], strategy);
}

/// An engine of the first lane of `region`.
pub fn engine<'r>(region: &'r Region, registry: &Registry) -> anyhow::Result<Engine<'r>> {
    let wall = Wall::new(region, region.lane_writer(LaneId(0))?, LaneId(0), Epoch(1));
    let setup = Setup {
        epoch: Epoch(1),
        lane: LaneId(0),
        limits: dp_risk::NodeLimits {
            collar_bps: 1_000,
            orders_per_s_max: 10_000_000,
            book_age_ns_max: 60_000_000_000,
        },
        order_window_ns: 5_000_000_000,
        venues: vec![VenueId::BINANCE],
        instruments: registry.instruments().to_vec(),
    };
    Ok(Engine::new(wall, setup))
}

/// A lane over any transport, wired as `spinlane-dataplane` wires it.
pub fn build<'r, T: Transport>(
    region: &'r Region,
    transport: T,
    clock: Clock,
    address: SocketAddr,
    ca: &[u8],
    every: u64,
) -> anyhow::Result<Lane<'r, T>> {
    let mut registry = Registry::new();
    let machine = AnyVenue::new(VenueId::BINANCE, venue_config(address), &mut registry)?;
    let machine = machine.context("this build has no Binance")?;
    let tls = client_config(Roots::Ca(ca), None)?;
    let links = machine.links().iter().zip(1..).map(|(spec, seed)| {
        let peers = vec![address];
        Link::new(spec.clone(), &peers, Arc::clone(&tls), seed)
    });
    let links: Vec<Link> = links.collect();
    let engine = engine(region, &registry)?;
    let on_instruments = move |registry: &Registry, engine: &mut Engine<'r>, venue| {
        set_up(registry, engine, venue, Box::new(Answer { every }));
    };
    Ok(Lane::new(Parts {
        id: LaneId(0),
        transport,
        clock,
        registry,
        engine,
        venues: vec![(machine, links)],
        idle: Idle::Spin,
        addresses: dp_lane::inbox(),
        on_instruments: Box::new(on_instruments),
    }))
}

/// The lane's process: turns until it is ended. Errors: it cannot start.
pub fn run(
    transport: impl Transport,
    address: SocketAddr,
    ca: &[u8],
    shm: &Path,
    every: u64,
) -> anyhow::Result<()> {
    // As a node does before its lanes. Being refused is a fact the one who measures finds out (race.rs).
    let _ = dp_transport::lock_memory();
    let (region, _) = Region::open_or_create(shm, &shape())
        .with_context(|| format!("making {}", shm.display()))?;
    let clock = Clock::calibrate(100);
    begin(&region, &clock);
    grow_heap(HEAP_BYTES);
    let (steady, cold) = (transport.steady_syscalls(), transport.cold_syscalls());
    let mut lane = build(&region, transport, clock, address, ca, every)?;
    // The last thing before it meets a venue, as on a node.
    let calls = [steady, cold, Idle::Spin.steady_syscalls()].concat();
    let _ = confine(&calls);
    lane.run(&AtomicBool::new(false));
    Ok(())
}
