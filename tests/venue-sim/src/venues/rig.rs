//! A face under a virtual clock, for the tests of both venues: no socket, no thread, no waiting.

use super::Face;
use crate::core::{ConnId, Out, Request, RequestId, Response};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where virtual time starts: 2026-11-21 00:00:00 UTC.
pub const START: u64 = 1_795_219_200_000_000_000;
/// One millisecond.
pub const MS: u64 = 1_000_000;

/// A face, its clients' inboxes and its answers.
pub struct Rig<F: Face> {
    pub face: F,
    pub now: u64,
    pub inbox: BTreeMap<ConnId, Vec<String>>,
    pub binary: BTreeMap<ConnId, Vec<Vec<u8>>>,
    pub closed: BTreeMap<ConnId, Option<u16>>,
    pub replies: BTreeMap<RequestId, Response>,
    pub hung: Vec<RequestId>,
    pub chunks: BTreeMap<RequestId, Vec<String>>,
    fix: Vec<ConnId>,
    next: u64,
}

impl<F: Face> Rig<F> {
    pub fn new(face: F) -> Self {
        Self {
            face,
            now: START,
            inbox: BTreeMap::new(),
            binary: BTreeMap::new(),
            closed: BTreeMap::new(),
            replies: BTreeMap::new(),
            hung: Vec::new(),
            chunks: BTreeMap::new(),
            fix: Vec::new(),
            next: 0,
        }
    }

    /// Opens a WebSocket.
    pub fn open(&mut self, path: &str, query: &str) -> ConnId {
        assert!(self.face.paths()(path), "{path}");
        self.next += 1;
        self.face.open(self.next, path, query);
        self.inbox.insert(self.next, Vec::new());
        self.flush();
        self.next
    }

    /// Sends a text and returns what came back on that connection at once.
    pub fn send(&mut self, conn: ConnId, text: &str) -> Vec<Value> {
        let seen = self.inbox[&conn].len();
        self.face.step(self.now);
        self.face.text(conn, text);
        self.flush();
        self.inbox[&conn][seen..]
            .iter()
            .map(|text| serde_json::from_str(text).unwrap_or(Value::String(text.clone())))
            .collect()
    }

    /// Opens a connection at the FIX port.
    pub fn fix_open(&mut self) -> ConnId {
        self.next += 1;
        self.face.fix_open(self.next);
        self.fix.push(self.next);
        self.binary.insert(self.next, Vec::new());
        self.next
    }

    /// Sends bytes to it.
    pub fn fix_send(&mut self, conn: ConnId, bytes: &[u8]) {
        self.face.step(self.now);
        self.face.fix_bytes(conn, bytes);
        self.flush();
    }

    /// Sends a request; the answer when there is one at once.
    pub fn http(&mut self, request: &Request) -> Option<Response> {
        self.next += 1;
        self.face.step(self.now);
        self.face.http(self.next, request);
        self.flush();
        self.replies.remove(&self.next)
    }

    /// The number of the last request.
    pub fn last_request(&self) -> RequestId {
        self.next
    }

    /// Sends an unsigned GET and parses the answer.
    pub fn get(&mut self, path: &str, query: &str) -> Value {
        let request = Request {
            method: "GET".into(),
            path: path.into(),
            query: query.into(),
            ..Request::default()
        };
        let response = self.http(&request).expect("an answer");
        serde_json::from_str(&response.body).expect("JSON")
    }

    /// Lets time pass in steps of the face's own deadlines.
    pub fn run(&mut self, ms: u64) {
        let end = self.now + ms * MS;
        while self.now < end {
            self.now = self.face.next_deadline().max(self.now + MS).min(end);
            self.face.step(self.now);
            self.flush();
        }
    }

    /// Gives faults as text.
    pub fn fault(&mut self, text: &str) {
        for fault in crate::fault::Fault::parse_list(text).expect("a fault") {
            let now = self.now;
            self.face.core().faults.add(now, fault);
        }
        self.face.step(self.now);
        self.flush();
    }

    /// Takes what a connection got.
    pub fn take(&mut self, conn: ConnId) -> Vec<Value> {
        let texts = std::mem::take(self.inbox.get_mut(&conn).expect("a connection"));
        texts
            .iter()
            .map(|text| serde_json::from_str(text).expect("JSON"))
            .collect()
    }

    fn flush(&mut self) {
        for out in self.face.core().take_out() {
            match out {
                Out::Text(conn, text) => self.inbox.entry(conn).or_default().push(text),
                Out::Binary(conn, bytes) => self.binary.entry(conn).or_default().push(bytes),
                Out::Ping(conn) => self.face.pong(conn),
                Out::Close(conn, code) => {
                    self.closed.insert(conn, code);
                    // The edge tells of the end of what it closed.
                    if self.fix.contains(&conn) {
                        self.face.closed(conn);
                    }
                }
                Out::Reply(id, response) => {
                    self.replies.insert(id, response);
                }
                Out::Chunk(id, text) => self.chunks.entry(id).or_default().push(text),
                Out::Hang(id) => self.hung.push(id),
            }
        }
    }
}

/// A book rebuilt from texts as a client would: `[bids, asks]`, price and size as printed.
pub type Texts = [BTreeMap<String, String>; 2];

/// Applies levels `[[price, size, …], …]`; size zero deletes.
pub fn apply(side: &mut BTreeMap<String, String>, levels: &Value) {
    for level in levels.as_array().expect("levels") {
        let (price, size) = (level[0].as_str().unwrap(), level[1].as_str().unwrap());
        if size.bytes().all(|b| matches!(b, b'0' | b'.')) {
            side.remove(price);
        } else {
            side.insert(price.to_owned(), size.to_owned());
        }
    }
}
