//! Pipes in memory and a clock that jumps: the lane and the venue take turns on one thread.

use super::lane::{Place, build};
use super::{Known, Memory, Stage};
use crate::venues::Tried;
use crate::wire::{Frame, Heard, Server, certificates};
use dp_lane::{Engine, Lane};
use dp_shm::Region;
use dp_transport::{Clock, Mem, Socket, tsc};
use dp_types::{Epoch, Now, UnixNanos};
use dp_venue_api::limits::Budget;
use rustls::ServerConfig;
use serde_json::Value;
use spinlane_sim::config::SimConfig;
use spinlane_sim::core::{ConnId, LINES, Out, RequestId};
use spinlane_sim::fault::Fault;
use spinlane_sim::record;
use spinlane_sim::venues::Face;
use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::ops::Range;
use std::sync::Arc;

/// Where virtual time starts: 2026-11-22 00:00:00 UTC.
const START: UnixNanos = UnixNanos(1_795_305_600_000_000_000);
/// The venue's ports: of everything, and of FIX.
const PORT: u16 = 443;
const FIX_PORT: u16 = 9_443;
/// Bytes waiting for a lane that does not read; beyond it the venue cuts it.
const BACKLOG_MAX: usize = 64 << 20;
/// The venue looks at its own deadlines at least so often while the lane stands still.
const STALL_STEP_NS: u64 = 5_000_000;

struct Connection {
    /// Whose: a node, and its socket.
    of: Of,
    server: Server,
    /// Sealed bytes the lane has not taken yet.
    backlog: Vec<u8>,
    /// The venue has hung up; what it said before still goes out.
    is_over: bool,
}

type Of = (usize, Socket);

/// A node of the stage: what it trades, by the simulator's numbers, and its part of the venue's limits.
pub struct Seat<'r> {
    /// Its shared memory, fresh.
    pub memory: &'r Memory,
    /// Its instruments.
    pub symbols: Range<usize>,
    /// Connections that bring its market data.
    pub feeds: usize,
    /// Its part.
    pub budget: Budget,
}

struct Node<'r> {
    region: &'r Region,
    lane: Lane<'r, Mem>,
    /// What its lane is made of.
    symbols: Vec<String>,
    feeds: usize,
    budget: Budget,
    epoch: Epoch,
}

/// The stage of virtual time.
pub struct Virtual<'r> {
    nodes: Vec<Node<'r>>,
    face: Box<dyn Face>,
    now: UnixNanos,
    tls: Arc<ServerConfig>,
    connections: Vec<Connection>,
    waiting: HashMap<RequestId, Of>,
    /// Answers that go on.
    going_on: HashMap<RequestId, Of>,
    next_id: u64,
    scratch: Vec<u8>,
    heard: Vec<Heard>,
    /// Of a multicast feed's lines.
    groups: Option<[SocketAddrV4; 2]>,
    venue: Tried,
    ca_pem: String,
}

impl<'r> Virtual<'r> {
    /// A venue with these parameters, and a node with so many feeds of it that trades all of it.
    pub fn with(
        memory: &'r Memory,
        venue: Tried,
        feeds: usize,
        sim: &SimConfig,
    ) -> (Self, Known<'r>) {
        let seat = Seat {
            memory,
            symbols: 0..sim.symbols.len(),
            feeds,
            budget: Budget::WHOLE,
        };
        let (stage, mut known) = Self::shared(&[seat], venue, sim);
        (stage, known.remove(0))
    }

    /// A venue, and nodes that share one key of it: each is a process of its own.
    pub fn shared(seats: &[Seat<'r>], venue: Tried, sim: &SimConfig) -> (Self, Vec<Known<'r>>) {
        let make = spinlane_sim::venues::known(venue.name)
            .expect("simulated")
            .make;
        let face = make(sim, START.0);
        let (ca_pem, tls) = certificates();
        let mut known = Vec::new();
        let nodes = seats.iter().zip(1..).map(|(seat, epoch)| {
            let region = seat.memory.region();
            let place = Place {
                venue,
                symbols: seat.symbols.clone().map(|at| face.symbol(at)).collect(),
                port: PORT,
                fix_port: venue.is_fix.then_some(FIX_PORT),
                ca_pem: &ca_pem,
                feeds: seat.feeds,
                lines: sim.multicast,
                decoys: &[],
                epoch: Epoch(epoch),
                budget: seat.budget,
            };
            let (lane, told) = build(region, Mem::new(), Clock::standing(START), &place);
            known.push(told);
            Node {
                region,
                lane,
                symbols: place.symbols,
                feeds: place.feeds,
                budget: place.budget,
                epoch: place.epoch,
            }
        });
        let stage = Self {
            nodes: nodes.collect(),
            face,
            now: START,
            tls,
            connections: Vec::new(),
            waiting: HashMap::new(),
            going_on: HashMap::new(),
            next_id: 0,
            scratch: Vec::new(),
            heard: Vec::new(),
            groups: sim.multicast,
            venue,
            ca_pem: ca_pem.clone(),
        };
        (stage, known)
    }

    /// A node's engine.
    pub fn engine_of(&self, node: usize) -> &Engine<'r> {
        self.nodes[node].lane.engine()
    }

    /// Connections the venue holds open.
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }

    /// Those of them that are WebSockets.
    pub fn open_websockets(&self) -> usize {
        let all = self.connections.iter();
        all.filter(|one| one.server.conn.is_some()).count()
    }

    /// One step in which the lanes' turn is run, and looked at, by `look`.
    pub fn step_as<V>(&mut self, ns: u64, look: impl FnOnce(&mut dyn FnMut()) -> V) -> V {
        self.now = self.now.after(ns);
        let seen = look(&mut || self.turn_lanes());
        for node in 0..self.nodes.len() {
            self.hear_lane(node);
        }
        self.turn_venue();
        seen
    }

    fn turn_lanes(&mut self) {
        for node in &mut self.nodes {
            node.lane.clock().stand_at(self.now);
            node.lane.turn(Now {
                tsc: tsc(),
                unix: self.now,
            });
            Memory::drain(node.region);
        }
    }

    /// What a lane opened, sent and closed reaches the venue.
    fn hear_lane(&mut self, node: usize) {
        let transport = self.nodes[node].lane.transport();
        let opened: Vec<(Of, SocketAddr)> = transport
            .opened()
            .map(|(socket, peer)| ((node, socket), peer))
            .collect();
        for at in (0..self.connections.len()).rev() {
            let of = self.connections[at].of;
            if of.0 == node && !opened.iter().any(|(one, _)| *one == of) {
                self.forget(at);
            }
        }
        for (of, peer) in opened {
            let known = self.connections.iter().position(|one| one.of == of);
            let at = known.unwrap_or_else(|| {
                let mut server = Server::new(Arc::clone(&self.tls));
                if peer.port() == FIX_PORT {
                    self.next_id += 1;
                    server.speak_fix(self.next_id);
                    self.face.fix_open(self.next_id);
                }
                self.connections.push(Connection {
                    of,
                    server,
                    backlog: Vec::new(),
                    is_over: false,
                });
                self.connections.len() - 1
            });
            self.scratch.clear();
            let transport = self.nodes[node].lane.transport();
            transport.sent(of.1, &mut self.scratch);
            if self.scratch.is_empty() {
                continue;
            }
            let mut heard = std::mem::take(&mut self.heard);
            self.connections[at]
                .server
                .on_cipher(&self.scratch, &mut heard);
            for one in heard.drain(..) {
                self.on_heard(of, one);
            }
            self.heard = heard;
        }
    }

    fn on_heard(&mut self, of: Of, heard: Heard) {
        let Some(at) = self.connections.iter().position(|one| one.of == of) else {
            return;
        };
        self.next_id += 1;
        let id = self.next_id;
        let conn = self.connections[at].server.conn;
        match (heard, conn) {
            (Heard::Request(request), _) => {
                self.waiting.insert(id, of);
                self.face.http(id, &request);
            }
            (Heard::Upgrade(request, key), _) => {
                let refusal = self.face.refuses_upgrade(&request);
                let server = &mut self.connections[at].server;
                match refusal {
                    Some(refusal) => server.answer(&refusal),
                    None if (self.face.paths())(&request.path) => {
                        server.accept(&key, id);
                        self.face.open(id, &request.path, &request.query);
                    }
                    None => self.connections[at].is_over = true,
                }
            }
            (Heard::Text(text), Some(conn)) => self.face.text(conn, &text),
            (Heard::Bytes(bytes), Some(conn)) => self.face.fix_bytes(conn, &bytes),
            (Heard::Pong, Some(conn)) => self.face.pong(conn),
            (Heard::Over, _) => self.connections[at].is_over = true,
            (_, None) => {}
        }
        self.flush();
    }

    /// What the venue wants done.
    fn flush(&mut self) {
        for out in self.face.core().take_out() {
            match out {
                Out::Text(conn, text) => self.say(conn, Frame::Text(text)),
                Out::Binary(conn, bytes) => match self.group(conn) {
                    Some(group) => self.cast(group, &bytes),
                    None => self.say(conn, Frame::Binary(bytes)),
                },
                Out::Ping(conn) => self.say(conn, Frame::Ping),
                Out::Close(conn, code) => {
                    if let Some(code) = code {
                        self.say(conn, Frame::Close(code));
                    }
                    if let Some(connection) = self.of_conn(conn) {
                        connection.is_over = true;
                        // A FIX session is the venue's until its connection is gone.
                        if !connection.server.is_fix() {
                            connection.server.conn = None;
                        }
                    }
                }
                Out::Reply(request, response) => {
                    if let Some(connection) = self.of_request(request) {
                        connection.server.answer(&response);
                    }
                }
                Out::Chunk(request, text) => self.piece(request, &text),
                Out::Hang(request) => {
                    let of = self.waiting.remove(&request);
                    let of = of.or_else(|| self.going_on.remove(&request));
                    if let Some(connection) = of.and_then(|of| self.of(of)) {
                        connection.is_over = true;
                    }
                }
            }
        }
    }

    fn of_conn(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let mut all = self.connections.iter_mut();
        all.find(|one| one.server.conn == Some(conn))
    }

    fn of(&mut self, of: Of) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.of == of)
    }

    fn of_request(&mut self, request: RequestId) -> Option<&mut Connection> {
        let of = self.waiting.remove(&request)?;
        self.of(of)
    }

    /// The group of a line, where the connection is one.
    fn group(&self, conn: ConnId) -> Option<SocketAddrV4> {
        let at = LINES.iter().position(|line| *line == conn)?;
        Some(self.groups?[at])
    }

    /// Sends a datagram to a group: the venue does, and whoever else is on the wire.
    pub fn cast(&mut self, group: SocketAddrV4, bytes: &[u8]) {
        for node in &mut self.nodes {
            node.lane.transport().datagram(group, bytes);
        }
    }

    /// A piece of an answer, which begins with the first one.
    fn piece(&mut self, request: RequestId, text: &str) {
        if let Some(of) = self.waiting.remove(&request) {
            self.going_on.insert(request, of);
            if let Some(connection) = self.of(of) {
                connection.server.begin();
            }
        }
        let of = self.going_on.get(&request).copied();
        if let Some(connection) = of.and_then(|of| self.of(of)) {
            connection.server.piece(text);
        }
    }

    fn say(&mut self, conn: ConnId, frame: Frame) {
        if let Some(connection) = self.of_conn(conn) {
            connection.server.say(frame);
        }
    }

    /// What the venue has said reaches the lanes, as far as they take it.
    fn tell_lanes(&mut self) {
        for at in (0..self.connections.len()).rev() {
            let connection = &mut self.connections[at];
            connection.server.take_cipher(&mut connection.backlog);
            let (node, socket) = connection.of;
            let transport = self.nodes[node].lane.transport();
            let taken = transport.deliver(socket, &connection.backlog);
            connection.backlog.drain(..taken);
            let is_over = connection.is_over && connection.backlog.is_empty();
            if is_over || connection.backlog.len() > BACKLOG_MAX {
                transport.hang_up(socket);
                self.forget(at);
            }
        }
    }

    fn forget(&mut self, at: usize) {
        let connection = self.connections.remove(at);
        if let Some(conn) = connection.server.conn {
            self.face.closed(conn);
        }
        let going_on = self.going_on.iter();
        let left: Vec<RequestId> = going_on
            .filter(|(_, of)| **of == connection.of)
            .map(|(request, _)| *request)
            .collect();
        for request in left {
            self.going_on.remove(&request);
            self.face.left(request);
        }
    }

    fn turn_venue(&mut self) {
        self.face.step(self.now.0);
        self.flush();
        self.tell_lanes();
    }
}

impl<'r> Stage<'r> for Virtual<'r> {
    fn step(&mut self, ns: u64) {
        self.step_as(ns, |turn| turn());
    }

    fn stall(&mut self, ns: u64) {
        let end = self.now.after(ns);
        while self.now < end {
            let next = self.now.after(STALL_STEP_NS).min(end);
            self.now = next;
            self.turn_venue();
        }
    }

    fn now(&self) -> UnixNanos {
        self.now
    }

    fn engine(&self) -> &Engine<'r> {
        self.engine_of(0)
    }

    fn fault(&mut self, text: &str) {
        for fault in Fault::parse_list(text).expect("a fault") {
            self.face.core().faults.add(self.now.0, fault);
        }
        self.turn_venue();
    }

    fn record(&mut self) -> Value {
        let count = self.face.core().engine.instruments();
        let symbols: Vec<String> = (0..count).map(|inst| self.face.symbol(inst)).collect();
        record::to_json(self.face.core(), &|inst| {
            symbols.get(inst).cloned().unwrap_or_default()
        })
    }

    fn stats(&mut self) -> Value {
        let mut stats = self.face.stats();
        let core = self.face.core();
        stats["faults"] = core.faults.used_json();
        stats["counts"] = core.record.counts();
        stats
    }

    fn book(&mut self, instrument: usize) -> Value {
        let symbol = self.face.symbol(instrument);
        record::book_json(self.face.core(), instrument, &symbol, 1)
    }

    fn queues(&mut self, instrument: usize) -> Value {
        record::queues_json(self.face.as_mut(), instrument)
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn restart(&mut self) -> Option<Known<'r>> {
        // The kernel closes what a dead process had open.
        for at in (0..self.connections.len()).rev() {
            if self.connections[at].of.0 == 0 {
                self.waiting.retain(|_, of| *of != self.connections[at].of);
                self.forget(at);
            }
        }
        // A lane has one writer: the dead one's goes first.
        let Node {
            region,
            symbols,
            feeds,
            budget,
            epoch,
            ..
        } = self.nodes.remove(0);
        region.end_run();
        let place = Place {
            venue: self.venue,
            symbols,
            port: PORT,
            fix_port: self.venue.is_fix.then_some(FIX_PORT),
            ca_pem: &self.ca_pem,
            feeds,
            lines: self.groups,
            decoys: &[],
            epoch: epoch.next()?,
            budget,
        };
        let clock = Clock::standing(self.now);
        let (lane, known) = build(region, Mem::new(), clock, &place);
        let node = Node {
            region,
            lane,
            symbols: place.symbols,
            feeds,
            budget,
            epoch: place.epoch,
        };
        self.nodes.insert(0, node);
        Some(known)
    }
}
