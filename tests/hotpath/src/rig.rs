//! A node's lanes, their memory pipes and their venue, turned by hand.

use crate::peer::{Peer, Role};
use dp_lane::roles::{EngineLane, EngineParts, Peer as Wire, Remote, RemoteSetup, Rings};
use dp_lane::{
    AnyVenue, Engine, Lane, Link, OnInstruments, Parts, RemoteLane, RemoteParts, Setup, Wall,
};
use dp_proto::tls::{Roots, client_config};
use dp_shm::layout::Shape;
use dp_shm::{Counter, Region};
use dp_strategy::{MarketMaker, Pace, Params, Strategy};
use dp_transport::{Clock, Idle, Mem, Socket};
use dp_types::{Epoch, LaneId, Now, Qty, StrategyId, UnixNanos, VenueId};
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

const PORTS: [(u16, Role); 3] = [(1, Role::Rest), (2, Role::Feed), (3, Role::Orders)];
const EPOCH: Epoch = Epoch(1);
/// Time between two turns.
const TURN_NS: u64 = 2_000_000;

/// A strategy of the test's own.
pub type Make = fn() -> Box<dyn Strategy + Send>;

/// The lanes of one node, one thread.
enum Lanes<'r> {
    /// Everything in one.
    One(Box<Lane<'r, Mem>>),
    /// A role each.
    Spread {
        feed: Box<RemoteLane<'r, Mem>>,
        engine: Box<EngineLane<'r>>,
        gateway: Box<RemoteLane<'r, Mem>>,
    },
}

/// The lanes and everything around them.
pub struct Rig<'r> {
    region: &'r Region,
    lanes: Lanes<'r>,
    clock: Clock,
    /// The lanes' time: so much a turn, so that nothing depends on how fast this machine is.
    now: UnixNanos,
    turns: u64,
    /// By lane with sockets and port.
    peers: BTreeMap<(usize, u16), (Socket, Peer)>,
    server: Arc<ServerConfig>,
    scratch: Vec<u8>,
    update: i64,
    /// TLS records the lanes have sent since the start.
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
        let shape = Shape::new(3, 8, 1 << 16, 1 << 16);
        let (region, _) = Region::open_or_create(&path, &shape).expect("shared memory");
        Self { region, path }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What the lanes of a rig are made from.
struct Maker<'r> {
    region: &'r Region,
    clock: Clock,
    ca: String,
    strategy: Option<Make>,
}

impl<'r> Maker<'r> {
    fn wall(&self, lane: u8) -> Wall<'r> {
        let writer = self.region.lane_writer(LaneId(lane)).expect("one writer");
        Wall::new(self.region, writer, LaneId(lane), EPOCH)
    }

    /// The machine with the links of these ports.
    fn venue(
        &self,
        registry: &mut Registry,
        has_keys: bool,
        ports: &[u16],
    ) -> (AnyVenue, Vec<Link>) {
        let host = |port| ("localhost".to_owned(), port);
        let secrets = Secrets {
            api_key: "key".into(),
            api_secret: "secret".into(),
            ..Secrets::default()
        };
        let config = VenueConfig {
            rest: host(1),
            public: host(2),
            private: host(3),
            symbols: vec!["BTCUSDT".to_owned()],
            secrets: if has_keys {
                secrets
            } else {
                Secrets::default()
            },
            order_window_ms: 5_000,
            ..VenueConfig::default()
        };
        let venue = AnyVenue::new(VenueId::BINANCE, config, registry);
        let venue = venue.expect("registered").expect("in this build");
        let tls = client_config(Roots::Ca(self.ca.as_bytes()), None).expect("our own CA");
        let specs = venue
            .links()
            .iter()
            .filter(|spec| ports.contains(&spec.port));
        let links = specs.map(|spec| {
            let peers = vec![SocketAddr::from(([127, 0, 0, 1], spec.port))];
            Link::new(spec.clone(), &peers, Arc::clone(&tls), u64::from(spec.port))
        });
        let links = links.collect();
        (venue, links)
    }

    fn engine(&self, registry: &Registry) -> Engine<'r> {
        let limits = dp_risk::NodeLimits {
            collar_bps: 1_000,
            orders_per_s_max: 1_000_000,
            book_age_ns_max: u64::from(u32::MAX) * 1_000_000,
        };
        Engine::new(
            self.wall(0),
            Setup {
                epoch: EPOCH,
                lane: LaneId(0),
                limits,
                order_window_ns: 5_000_000_000,
                venues: vec![VenueId::BINANCE],
                instruments: registry.instruments().to_vec(),
            },
        )
    }

    fn on_instruments(&self) -> OnInstruments<'r> {
        let strategy = self.strategy;
        Box::new(move |registry, engine, venue| {
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
                    position_max,
                    pace: Pace::default(),
                }))
            };
            engine.seat(
                StrategyId(0),
                &[id],
                strategy.map_or_else(maker, |make| make()),
            );
        })
    }

    fn one(&self) -> Lanes<'r> {
        let mut registry = Registry::new();
        let venue = self.venue(&mut registry, true, &[1, 2, 3]);
        Lanes::One(Box::new(Lane::new(Parts {
            id: LaneId(0),
            transport: Mem::new(),
            clock: self.clock,
            engine: self.engine(&registry),
            registry,
            venues: vec![venue],
            idle: Idle::Spin,
            addresses: dp_lane::inbox(),
            on_instruments: self.on_instruments(),
        })))
    }

    /// A lane with sockets, and its engine's ends of the rings.
    fn remote(&self, lane: u8, is_gateway: bool) -> (Box<RemoteLane<'r, Mem>>, Wire) {
        let mut registry = Registry::new();
        let ports: &[u16] = if is_gateway { &[1, 3] } else { &[1, 2] };
        let venue = self.venue(&mut registry, is_gateway, ports);
        let rings = Rings::on_nodes(None, None).expect("memory");
        let all = vec![VenueId::BINANCE];
        let desk = Remote::new(RemoteSetup {
            wall: self.wall(lane),
            epoch: EPOCH,
            rings: rings.remote,
            engine: self.region.lane(LaneId(0)).expect("there").beat,
            tells: if is_gateway { all.clone() } else { Vec::new() },
            on_known: Box::new(|_, _| Vec::new()),
        });
        let (gateways, feeds) = if is_gateway {
            (all, Vec::new())
        } else {
            (Vec::new(), all)
        };
        let remote = RemoteLane::remote(RemoteParts {
            transport: Mem::new(),
            clock: self.clock,
            registry,
            desk,
            venues: vec![venue],
            idle: Idle::Spin,
            addresses: dp_lane::inbox(),
        });
        let wire = Wire {
            rings: rings.engine,
            feeds,
            gateways,
        };
        (Box::new(remote), wire)
    }

    fn spread(&self) -> Lanes<'r> {
        let (feed, from_feed) = self.remote(1, false);
        let (gateway, from_gateway) = self.remote(2, true);
        let mut registry = Registry::new();
        self.venue(&mut registry, false, &[]);
        let engine = EngineLane::new(EngineParts {
            id: LaneId(0),
            clock: self.clock,
            engine: self.engine(&registry),
            registry,
            peers: vec![from_feed, from_gateway],
            idle: Idle::Spin,
            on_instruments: self.on_instruments(),
        });
        Lanes::Spread {
            feed,
            engine: Box::new(engine),
            gateway,
        }
    }
}

impl<'r> Rig<'r> {
    /// One lane that trades with `strategy` (the market maker when `None`) on BTCUSDT.
    pub fn new(memory: &'r Memory, strategy: Option<Make>) -> Self {
        Self::of(memory, strategy, Maker::one)
    }

    /// The same in three lanes: feed, engine, gateway.
    pub fn spread(memory: &'r Memory, strategy: Option<Make>) -> Self {
        Self::of(memory, strategy, Maker::spread)
    }

    fn of(memory: &'r Memory, strategy: Option<Make>, lanes: fn(&Maker<'r>) -> Lanes<'r>) -> Self {
        let (ca, server) = certificates();
        let clock = Clock::calibrate(5);
        let region = &memory.region;
        region.begin_run(EPOCH, clock.tsc_hz(), clock.now().unix);
        region.lease().hold_always(EPOCH);
        let maker = Maker {
            region,
            clock,
            ca,
            strategy,
        };
        let mut rig = Self {
            region,
            lanes: lanes(&maker),
            clock,
            now: clock.now().unix,
            turns: 0,
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
            if self.feed().is_some_and(|(_, peer)| peer.is_up()) {
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
        panic!("the lanes did not come up: {}", counts.join(", "));
    }

    fn next_now(&mut self) -> Now {
        self.now = self.now.after(TURN_NS);
        self.turns += 1;
        Now {
            unix: self.now,
            ..self.clock.now()
        }
    }

    /// One turn of each lane: the part that is measured. What came in has its effect within it, as in one lane.
    pub fn turn(&mut self) {
        let now = self.next_now();
        match &mut self.lanes {
            Lanes::One(lane) => {
                lane.turn(now);
            }
            Lanes::Spread {
                feed,
                engine,
                gateway,
            } => {
                feed.turn(now);
                gateway.turn(now);
                engine.turn(now);
                gateway.turn(now);
                engine.turn(now);
                // What was asked of it after its turn it does before the venue is heard, as one lane does.
                feed.turn(Now {
                    unix: now.unix.after(TURN_NS / 2),
                    ..now
                });
            }
        }
    }

    fn transport(&mut self, lane: usize) -> Option<&mut Mem> {
        match (&mut self.lanes, lane) {
            (Lanes::One(lane), 0) => Some(lane.transport()),
            (Lanes::Spread { feed, .. }, 0) => Some(feed.transport()),
            (Lanes::Spread { gateway, .. }, 1) => Some(gateway.transport()),
            _ => None,
        }
    }

    fn feed(&mut self) -> Option<&mut (Socket, Peer)> {
        self.peers.get_mut(&(0, 2))
    }

    /// The venue hears what the lanes sent and answers.
    pub fn serve(&mut self) {
        self.answer(|_| ());
    }

    /// The same, with a turn after each answer: lanes of their own may hear two that come together in either
    /// order, one lane hears them in one.
    pub fn serve_each(&mut self) {
        self.answer(Self::turn);
    }

    fn answer(&mut self, after: fn(&mut Self)) {
        for lane in 0..2 {
            let Some(transport) = self.transport(lane) else {
                continue;
            };
            let opened: Vec<(Socket, SocketAddr)> = transport.opened().collect();
            for (socket, address) in opened {
                let mut sent = core::mem::take(&mut self.scratch);
                sent.clear();
                if let Some(transport) = self.transport(lane) {
                    transport.sent(socket, &mut sent);
                }
                self.records_out += count_records(&sent);
                let answer = self.peer(lane, socket, address.port()).on_cipher(&sent);
                self.scratch = sent;
                self.deliver(lane, socket, &answer);
                if !answer.is_empty() {
                    after(self);
                }
            }
        }
    }

    fn peer(&mut self, lane: usize, socket: Socket, port: u16) -> &mut Peer {
        let server = &self.server;
        let (held, peer) = self.peers.entry((lane, port)).or_insert_with(|| {
            let role = PORTS.iter().find(|(one, _)| *one == port).expect("ours").1;
            (socket, Peer::new(role, Arc::clone(server)))
        });
        if *held != socket {
            // A new connection to the same venue: it remembers the orders.
            *held = socket;
            peer.begin_again(Arc::clone(server));
        }
        peer
    }

    fn deliver(&mut self, lane: usize, socket: Socket, bytes: &[u8]) {
        if let Some(transport) = self.transport(lane)
            && !bytes.is_empty()
        {
            transport.deliver(socket, bytes);
        }
    }

    /// The touch moves by a dollar, up and down: every quote is wrong now.
    pub fn move_book(&mut self) {
        let is_up = self.update % 2 != 0;
        let (gone, bid, ask) = if is_up {
            (65_000, 65_002, 65_003)
        } else {
            (65_002, 65_000, 65_001)
        };
        self.push_depth(
            &[(gone, 0), (bid, 150_000_000)],
            &[(gone + 1, 0), (ask, 120_000_000)],
        );
    }

    /// A depth message of these levels: dollars, and quantity in 10^-8.
    pub fn push_depth(&mut self, bids: &[(u32, u64)], asks: &[(u32, u64)]) {
        self.update += 1;
        self.push_depth_at(self.update, bids, asks);
    }

    /// The same with an update id of the caller's choice.
    pub fn push_depth_at(&mut self, id: i64, bids: &[(u32, u64)], asks: &[(u32, u64)]) {
        self.update = id;
        for (_, peer) in self.peers.values_mut() {
            peer.update = id;
        }
        let side = |levels: &[(u32, u64)]| {
            let level = |(price, qty): &(u32, u64)| {
                let (whole, part) = (qty / 100_000_000, qty % 100_000_000);
                format!("[\"{price}.00000000\",\"{whole}.{part:08}\"]")
            };
            levels.iter().map(level).collect::<Vec<_>>().join(",")
        };
        let text = format!(
            "{{\"stream\":\"btcusdt@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":1760000000123,\
             \"s\":\"BTCUSDT\",\"U\":{id},\"u\":{id},\"b\":[{}],\"a\":[{}]}}}}",
            side(bids),
            side(asks)
        );
        let Some((socket, peer)) = self.feed() else {
            return;
        };
        let (socket, bytes) = (*socket, peer.push(&text));
        self.deliver(0, socket, &bytes);
    }

    /// Turns since the start: timers run by them.
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// Update id of the last depth message.
    pub const fn update(&self) -> i64 {
        self.update
    }

    /// A counter, all lanes.
    pub fn count(&self, counter: Counter) -> u64 {
        let lanes = self.region.lanes();
        lanes.map(|lane| lane.counters.get(counter)).sum()
    }

    /// Everything asked about orders since the start, as the venue heard it, in order.
    pub fn asked(&self) -> Vec<String> {
        let peers = self.peers.values().map(|(_, peer)| peer);
        peers.flat_map(|peer| peer.asked.iter().cloned()).collect()
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
