//! Pipes in memory and a clock that jumps: the lane and the venue take turns on one thread.

use super::lane::{Place, build};
use super::{Known, Memory, Stage, sim_config};
use crate::venues::Tried;
use crate::wire::{Frame, Heard, Server, certificates};
use dp_lane::{Engine, Lane};
use dp_shm::Region;
use dp_transport::{Clock, Mem, Socket, tsc};
use dp_types::{Now, UnixNanos};
use rustls::ServerConfig;
use serde_json::Value;
use spinlane_sim::config::SimConfig;
use spinlane_sim::core::{ConnId, Out, RequestId};
use spinlane_sim::fault::Fault;
use spinlane_sim::record;
use spinlane_sim::venues::Face;
use std::collections::HashMap;
use std::sync::Arc;

/// Where virtual time starts: 2026-11-22 00:00:00 UTC.
const START: UnixNanos = UnixNanos(1_795_305_600_000_000_000);
/// Bytes waiting for a lane that does not read; beyond it the venue cuts it.
const BACKLOG_MAX: usize = 64 << 20;
/// The venue looks at its own deadlines at least so often while the lane stands still.
const STALL_STEP_NS: u64 = 5_000_000;

struct Connection {
    socket: Socket,
    server: Server,
    /// Sealed bytes the lane has not taken yet.
    backlog: Vec<u8>,
    /// The venue has hung up; what it said before still goes out.
    is_over: bool,
}

/// The stage of virtual time.
pub struct Virtual<'r> {
    region: &'r Region,
    lane: Lane<'r, Mem>,
    face: Box<dyn Face>,
    now: UnixNanos,
    tls: Arc<ServerConfig>,
    connections: Vec<Connection>,
    waiting: HashMap<RequestId, Socket>,
    next_id: u64,
    scratch: Vec<u8>,
    heard: Vec<Heard>,
}

impl<'r> Virtual<'r> {
    /// A venue with the usual parameters.
    pub fn new(memory: &'r Memory, venue: Tried, seed: u64) -> (Self, Known<'r>) {
        Self::with(memory, venue, &sim_config(&venue, seed))
    }

    /// A venue with these parameters.
    pub fn with(memory: &'r Memory, venue: Tried, sim: &SimConfig) -> (Self, Known<'r>) {
        let region = memory.region();
        let make = spinlane_sim::venues::known(venue.name)
            .expect("simulated")
            .make;
        let face = make(sim, START.0);
        let symbols = (0..sim.symbols.len()).map(|inst| face.symbol(inst));
        let (ca_pem, tls) = certificates();
        let place = Place {
            venue,
            symbols: symbols.collect(),
            port: 443,
            ca_pem: &ca_pem,
        };
        let (lane, known) = build(region, Mem::new(), Clock::standing(START), &place);
        let stage = Self {
            region,
            lane,
            face,
            now: START,
            tls,
            connections: Vec::new(),
            waiting: HashMap::new(),
            next_id: 0,
            scratch: Vec::new(),
            heard: Vec::new(),
        };
        (stage, known)
    }

    /// Connections the venue holds open.
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }

    fn turn_lane(&mut self) {
        self.lane.clock().stand_at(self.now);
        self.lane.turn(Now {
            tsc: tsc(),
            unix: self.now,
        });
        Memory::drain(self.region);
    }

    /// What the lane opened, sent and closed reaches the venue.
    fn hear_lane(&mut self) {
        let opened: Vec<Socket> = self
            .lane
            .transport()
            .opened()
            .map(|(socket, _)| socket)
            .collect();
        for at in (0..self.connections.len()).rev() {
            if !opened.contains(&self.connections[at].socket) {
                self.forget(at);
            }
        }
        for socket in opened {
            let known = self.connections.iter().position(|one| one.socket == socket);
            let at = known.unwrap_or_else(|| {
                self.connections.push(Connection {
                    socket,
                    server: Server::new(Arc::clone(&self.tls)),
                    backlog: Vec::new(),
                    is_over: false,
                });
                self.connections.len() - 1
            });
            self.scratch.clear();
            self.lane.transport().sent(socket, &mut self.scratch);
            if self.scratch.is_empty() {
                continue;
            }
            let mut heard = std::mem::take(&mut self.heard);
            self.connections[at]
                .server
                .on_cipher(&self.scratch, &mut heard);
            for one in heard.drain(..) {
                self.on_heard(socket, one);
            }
            self.heard = heard;
        }
    }

    fn on_heard(&mut self, socket: Socket, heard: Heard) {
        let Some(at) = self.connections.iter().position(|one| one.socket == socket) else {
            return;
        };
        self.next_id += 1;
        let id = self.next_id;
        let conn = self.connections[at].server.conn;
        match (heard, conn) {
            (Heard::Request(request), _) => {
                self.waiting.insert(id, socket);
                self.face.http(id, &request);
            }
            (Heard::Upgrade(path, query, key), _) => {
                let refusal = self.face.refuses_upgrade();
                let server = &mut self.connections[at].server;
                match refusal {
                    Some(refusal) => server.answer(&refusal),
                    None if (self.face.paths())(&path) => {
                        server.accept(&key, id);
                        self.face.open(id, &path, &query);
                    }
                    None => self.connections[at].is_over = true,
                }
            }
            (Heard::Text(text), Some(conn)) => self.face.text(conn, &text),
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
                Out::Binary(conn, bytes) => self.say(conn, Frame::Binary(bytes)),
                Out::Ping(conn) => self.say(conn, Frame::Ping),
                Out::Close(conn, code) => {
                    if let Some(code) = code {
                        self.say(conn, Frame::Close(code));
                    }
                    if let Some(connection) = self.of_conn(conn) {
                        connection.is_over = true;
                        connection.server.conn = None;
                    }
                }
                Out::Reply(request, response) => {
                    if let Some(connection) = self.of_request(request) {
                        connection.server.answer(&response);
                    }
                }
                Out::Hang(request) => {
                    if let Some(connection) = self.of_request(request) {
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

    fn of_request(&mut self, request: RequestId) -> Option<&mut Connection> {
        let socket = self.waiting.remove(&request)?;
        self.connections.iter_mut().find(|one| one.socket == socket)
    }

    fn say(&mut self, conn: ConnId, frame: Frame) {
        if let Some(connection) = self.of_conn(conn) {
            connection.server.say(frame);
        }
    }

    /// What the venue has said reaches the lane, as far as it takes it.
    fn tell_lane(&mut self) {
        for at in (0..self.connections.len()).rev() {
            let connection = &mut self.connections[at];
            connection.server.take_cipher(&mut connection.backlog);
            let taken = self
                .lane
                .transport()
                .deliver(connection.socket, &connection.backlog);
            connection.backlog.drain(..taken);
            let is_over = connection.is_over && connection.backlog.is_empty();
            if is_over || connection.backlog.len() > BACKLOG_MAX {
                self.lane.transport().hang_up(connection.socket);
                self.forget(at);
            }
        }
    }

    fn forget(&mut self, at: usize) {
        let connection = self.connections.remove(at);
        if let Some(conn) = connection.server.conn {
            self.face.closed(conn);
        }
    }

    fn turn_venue(&mut self) {
        self.face.step(self.now.0);
        self.flush();
        self.tell_lane();
    }
}

impl<'r> Stage<'r> for Virtual<'r> {
    fn step(&mut self, ns: u64) {
        self.now = self.now.after(ns);
        self.turn_lane();
        self.hear_lane();
        self.turn_venue();
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
        self.lane.engine()
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
        stats["faults"] = self.face.core().faults.used_json();
        stats
    }

    fn book(&mut self, instrument: usize) -> Value {
        let symbol = self.face.symbol(instrument);
        record::book_json(self.face.core(), instrument, &symbol, 1)
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
