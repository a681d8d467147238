//! A lane, its memory pipes and its venue, turned by hand.

use crate::peer::{Peer, Role};
use dp_lane::{AnyVenue, Engine, Lane, Link, Parts, Setup, Wall};
use dp_proto::tls::{Roots, client_config};
use dp_shm::layout::Shape;
use dp_shm::{Counter, Region};
use dp_strategy::{MarketMaker, Params, Strategy};
use dp_transport::{Clock, Idle, Mem, Socket};
use dp_types::{Epoch, LaneId, Qty, StrategyId, VenueId};
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

const PORTS: [(u16, Role); 3] = [(1, Role::Rest), (2, Role::Feed), (3, Role::Orders)];

/// The lane and everything around it.
pub struct Rig<'r> {
    lane: Lane<'r, Mem>,
    clock: Clock,
    peers: BTreeMap<u16, (Socket, Peer)>,
    server: Arc<ServerConfig>,
    scratch: Vec<u8>,
    update: i64,
    /// TLS records the lane has sent since the start.
    pub records_out: u64,
}

/// Shared memory of one rig, removed when dropped.
pub struct Memory {
    /// The region.
    pub region: Region,
    path: PathBuf,
}

impl Memory {
    /// A fresh region. `name` keeps tests apart.
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(format!(
            "/dev/shm/spinlane-hotpath-{name}-{}",
            std::process::id()
        ));
        let shape = Shape::new(1, 8, 1 << 16, 1 << 16);
        let (region, _) = Region::open_or_create(&path, &shape).expect("shared memory");
        Self { region, path }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl<'r> Rig<'r> {
    /// A lane that trades with `strategy` (the market maker when `None`) on BTCUSDT.
    pub fn new(memory: &'r Memory, strategy: Option<fn() -> Box<dyn Strategy + Send>>) -> Self {
        let (ca, server) = certificates();
        let clock = Clock::calibrate(5);
        let epoch = Epoch(1);
        memory
            .region
            .begin_run(epoch, clock.tsc_hz(), clock.now().unix);
        memory.region.lease().hold_always(epoch);
        let mut registry = Registry::new();
        let host = |port| ("localhost".to_owned(), port);
        let config = VenueConfig {
            rest: host(1),
            public: host(2),
            private: host(3),
            symbols: vec!["BTCUSDT".to_owned()],
            secrets: Secrets {
                api_key: "key".into(),
                api_secret: "secret".into(),
                ..Secrets::default()
            },
            order_window_ms: 5_000,
        };
        let venue = AnyVenue::new(VenueId::BINANCE, config, &mut registry);
        let venue = venue.expect("registered").expect("in this build");
        let tls = client_config(Roots::Ca(ca.as_bytes()), None).expect("our own CA");
        let links = venue.links().iter().map(|spec| {
            let peers = vec![SocketAddr::from(([127, 0, 0, 1], spec.port))];
            Link::new(spec.clone(), peers, Arc::clone(&tls), u64::from(spec.port))
        });
        let links: Vec<Link> = links.collect();
        let writer = memory.region.lane_writer(LaneId(0)).expect("one writer");
        let limits = dp_risk::NodeLimits {
            collar_bps: 1_000,
            orders_per_s_max: 1_000_000,
            book_age_ns_max: u64::MAX,
        };
        let engine = Engine::new(
            Wall::new(&memory.region, writer, LaneId(0), epoch),
            Setup {
                epoch,
                lane: LaneId(0),
                limits,
                order_window_ns: 5_000_000_000,
                venues: vec![VenueId::BINANCE],
                instruments: registry.instruments().to_vec(),
            },
        );
        let on_instruments = move |registry: &Registry, engine: &mut Engine<'r>, venue: VenueId| {
            let id = registry.find(venue, b"BTCUSDT").expect("registered");
            let instrument = registry.get(id).expect("registered");
            let lots = |count: i64| Qty(instrument.lot.0 * count);
            let position_max = lots(1_000_000);
            let limits = dp_risk::Limits {
                order_qty_max: lots(1_000),
                position_max,
            };
            engine.set_limits(id, Some(limits));
            let maker = || -> Box<dyn Strategy + Send> {
                Box::new(MarketMaker::new(Params {
                    quote_qty: lots(1_000),
                    half_spread_ticks: 10,
                    requote_ticks: 0,
                    position_max,
                    amend: false,
                    requote_ns_min: 0,
                }))
            };
            engine.seat(
                StrategyId(0),
                id,
                strategy.map_or_else(maker, |make| make()),
            );
        };
        let lane = Lane::new(Parts {
            id: LaneId(0),
            transport: Mem::new(),
            clock,
            registry,
            engine,
            venues: vec![(venue, links)],
            idle: Idle::Spin,
            addresses: dp_lane::inbox(),
            on_instruments: Box::new(on_instruments),
        });
        let mut rig = Self {
            lane,
            clock,
            peers: BTreeMap::new(),
            server,
            scratch: Vec::with_capacity(1 << 20),
            update: 100,
            records_out: 0,
        };
        rig.come_up();
        rig
    }

    /// Handshakes, instruments, login, reconciliation, first book: until both quotes stand.
    fn come_up(&mut self) {
        for _ in 0..5_000 {
            self.turn();
            self.serve();
            if self.peers.get(&2).is_some_and(|(_, peer)| peer.is_up()) {
                self.move_book();
            }
            if self.count(Counter::Acks) >= 2 {
                return;
            }
            std::thread::sleep(core::time::Duration::from_micros(200));
        }
        let counts: Vec<String> = Counter::ALL
            .iter()
            .map(|counter| (counter.name(), self.count(*counter)))
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        panic!("the lane did not come up: {}", counts.join(", "));
    }

    /// One turn of the lane: the part that is measured.
    pub fn turn(&mut self) {
        let now = self.clock.now();
        self.lane.turn(now);
    }

    /// The venue hears what the lane sent and answers.
    pub fn serve(&mut self) {
        let opened: Vec<(Socket, SocketAddr)> = self.lane.transport().opened().collect();
        for (socket, address) in opened {
            let server = &self.server;
            let (_, peer) = self.peers.entry(address.port()).or_insert_with(|| {
                let role = PORTS
                    .iter()
                    .find(|(port, _)| *port == address.port())
                    .expect("ours")
                    .1;
                (socket, Peer::new(role, Arc::clone(server)))
            });
            self.scratch.clear();
            self.lane.transport().sent(socket, &mut self.scratch);
            self.records_out += count_records(&self.scratch);
            if self.scratch.is_empty() {
                continue;
            }
            let answer = peer.on_cipher(&self.scratch);
            self.lane.transport().deliver(socket, &answer);
        }
    }

    /// The touch moves by a dollar, up and down: every quote is wrong now.
    pub fn move_book(&mut self) {
        self.update += 1;
        let (id, is_up) = (self.update, self.update % 2 == 0);
        let (gone, bid, ask) = if is_up {
            (65_000, 65_002, 65_003)
        } else {
            (65_002, 65_000, 65_001)
        };
        let gone_ask = gone + 1;
        let text = format!(
            "{{\"stream\":\"btcusdt@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":1760000000123,\
             \"s\":\"BTCUSDT\",\"U\":{id},\"u\":{id},\"b\":[[\"{gone}.00000000\",\"0.00000000\"],\
             [\"{bid}.00000000\",\"1.50000000\"]],\"a\":[[\"{gone_ask}.00000000\",\"0.00000000\"],\
             [\"{ask}.00000000\",\"1.20000000\"]]}}}}"
        );
        let Some((socket, peer)) = self.peers.get_mut(&2) else {
            return;
        };
        let bytes = peer.push(&text);
        self.lane.transport().deliver(*socket, &bytes);
    }

    /// A counter of the lane.
    pub fn count(&self, counter: Counter) -> u64 {
        self.lane.engine().wall.counters.get(counter)
    }

    /// TLS records the venue has sent since the start.
    pub fn records_in(&self) -> u64 {
        self.peers.values().map(|(_, peer)| peer.records).sum()
    }
}

/// Records in a run of whole TLS records.
fn count_records(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let Some(head) = bytes.get(..5) {
        let len = usize::from(u16::from_be_bytes([head[3], head[4]]));
        bytes = bytes.get(5 + len..).unwrap_or(&[]);
        count += 1;
    }
    count
}

/// A CA (PEM) and a server that bears its certificate for `localhost`.
fn certificates() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let ca = ca.expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let site = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let site = site.signed_by(&key, &ca).expect("signed");
    let chain = vec![site.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("its own key");
    // Tickets would be records of their own, sent whenever the server likes.
    config.send_tls13_tickets = 0;
    (ca.pem(), Arc::new(config))
}
