//! io_uring on loopback, real TLS, the machine's clock.

use super::lane::{Place, build};
use super::{Known, Memory, Stage, sim_config};
use crate::venues::Tried;
use dp_lane::{Engine, Lane};
use dp_shm::Region;
use dp_transport::{Clock, Idle, Uring};
use dp_types::{Epoch, UnixNanos};
use dp_venue_api::limits::Budget;
use serde_json::Value;
use spinlane_sim::edge::{Handle, Options, Running, start};
use spinlane_sim::fault::Fault;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The stage of real sockets.
pub struct Sockets<'r> {
    region: &'r Region,
    lane: Lane<'r, Uring>,
    handle: Handle,
    now: UnixNanos,
    // Dropped in this order: the venue before the threads it runs on.
    _running: Running,
    runtime: Runtime,
    _dir: TempDir,
}

impl<'r> Sockets<'r> {
    /// Starts the venue and the lane, with so many feeds. The calling thread is the lane's.
    pub fn new(memory: &'r Memory, venue: Tried, feeds: usize, seed: u64) -> (Self, Known<'r>) {
        Self::beside(memory, venue, feeds, &[], seed)
    }

    /// As [`Sockets::new`], with addresses beside the venue's that are none of its own.
    pub fn beside(
        memory: &'r Memory,
        venue: Tried,
        feeds: usize,
        decoys: &[SocketAddr],
        seed: u64,
    ) -> (Self, Known<'r>) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut sim = sim_config(&venue, seed);
        for group in sim.multicast.iter_mut().flatten() {
            // A port nobody has: other tests send to these groups too.
            let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            group.set_port(free.local_addr().expect("bound").port());
        }
        let lines = sim.multicast;
        let options = Options {
            venues: vec![(venue.name.to_owned(), 0)],
            listen: [127, 0, 0, 1].into(),
            admin_port: 0,
            tls_dir: dir.path().to_owned(),
            faults: Vec::new(),
            sim,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let running = runtime.block_on(start(&options)).expect("a venue");
        let handle = running.handle(venue.name).expect("started").clone();
        let books = (0..venue.symbols.len()).map(|inst| handle.book(inst));
        let symbols = books.map(|book| {
            let book = runtime.block_on(book);
            book["symbol"].as_str().unwrap_or_default().to_owned()
        });
        let symbols = symbols.collect();
        let ca_pem = std::fs::read_to_string(&running.ca_path).expect("the CA");
        let place = Place {
            venue,
            symbols,
            port: running.port(venue.name).expect("started"),
            fix_port: running.fix_port(venue.name).filter(|_| venue.is_fix),
            ca_pem: &ca_pem,
            feeds,
            lines,
            decoys,
            epoch: Epoch(1),
            budget: Budget::WHOLE,
        };
        let transport = Uring::new().expect("io_uring");
        let region = memory.region();
        let clock = Clock::calibrate(20);
        let (lane, known) = build(region, transport, clock, &place);
        let stage = Self {
            region,
            lane,
            handle,
            now: clock.now().unix,
            _running: running,
            runtime,
            _dir: dir,
        };
        (stage, known)
    }

    fn ask<V>(&self, question: impl Future<Output = V>) -> V {
        self.runtime.block_on(question)
    }
}

impl<'r> Stage<'r> for Sockets<'r> {
    fn step(&mut self, ns: u64) {
        let now = self.lane.clock().now();
        self.now = now.unix;
        if self.lane.turn(now) == 0 {
            Idle::Park.wait(self.lane.transport(), ns);
        }
        Memory::drain(self.region);
    }

    fn stall(&mut self, ns: u64) {
        // The lane's thread is this one.
        let end = Instant::now() + Duration::from_nanos(ns);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    fn now(&self) -> UnixNanos {
        self.now
    }

    fn engine(&self) -> &Engine<'r> {
        self.lane.engine()
    }

    fn fault(&mut self, text: &str) {
        let faults = Fault::parse_list(text).expect("a fault");
        self.ask(self.handle.faults(faults));
        // An answer to anything asked after it: it has been taken.
        self.ask(self.handle.stats());
    }

    fn record(&mut self) -> Value {
        self.ask(self.handle.record())
    }

    fn stats(&mut self) -> Value {
        self.ask(self.handle.stats())
    }

    fn book(&mut self, instrument: usize) -> Value {
        self.ask(self.handle.book(instrument))
    }

    fn queues(&mut self, instrument: usize) -> Value {
        self.ask(self.handle.queues(instrument))
    }

    fn restart(&mut self) -> Option<Known<'r>> {
        None
    }

    fn is_virtual(&self) -> bool {
        false
    }
}
