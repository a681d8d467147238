//! FIX in front of a venue's face: a second door to the same engine, accounts, keys and faults.
//!
//! ```text
//!  REST, WebSocket ─▶ face ─┐                       ┌─▶ face: streams
//!                           ├─▶ core, engine ─events┤
//!  FIX ─▶ codec ─▶ session ─▶ door ─┘               └─▶ door: reports, books
//!                                └── profile: what differs from venue to venue, as data
//! ```
//! Orders go into the engine itself, so the face tells of them as of its own; what the face did comes out of the
//! same events. Like the rest of the core it is sans-IO and takes virtual time.

mod codec;
mod door;
mod market;
mod orders;
mod parse;
mod profile;
mod report;
mod session;
mod singles;
#[cfg(test)]
mod tests;
mod time;
pub mod venues;

pub use codec::{Framer, Message};
pub use profile::{Agreed, Profile};

use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::venues::Face;
use door::Door;

/// A time in FIX's words, UTC with milliseconds.
pub fn time_text(ms: i64) -> String {
    time::text(ms)
}

/// A face with a FIX door.
pub struct WithFix<F> {
    /// The face behind it.
    pub face: F,
    door: Door,
}

impl<F: Face> WithFix<F> {
    /// Opens the door of a profile.
    pub fn new(face: F, profile: &'static Profile) -> Self {
        Self {
            face,
            door: Door::new(profile, None),
        }
    }

    /// As [`WithFix::new`], for the sessions agreed with one client.
    pub fn agreed(face: F, profile: &'static Profile, agreed: Agreed) -> Self {
        Self {
            face,
            door: Door::new(profile, Some(agreed)),
        }
    }
}

impl<F: Face> Face for WithFix<F> {
    fn core(&mut self) -> &mut Core {
        self.face.core()
    }

    fn step(&mut self, now: u64) {
        self.face.step(now);
        self.door.step(&mut self.face);
    }

    fn next_deadline(&self) -> u64 {
        self.face.next_deadline().min(self.door.next_deadline())
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.face.http(request_id, request);
        self.door.read(&mut self.face);
    }

    fn left(&mut self, request_id: RequestId) {
        self.face.left(request_id);
    }

    fn refuses_upgrade(&mut self, request: &Request) -> Option<Response> {
        self.face.refuses_upgrade(request)
    }

    fn paths(&self) -> fn(&str) -> bool {
        self.face.paths()
    }

    fn open(&mut self, conn: ConnId, path: &str, query: &str) {
        self.face.open(conn, path, query);
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        self.face.text(conn, text);
        self.door.read(&mut self.face);
    }

    fn pong(&mut self, conn: ConnId) {
        self.face.pong(conn);
    }

    fn closed(&mut self, conn: ConnId) {
        if self.door.has(conn) {
            self.door.closed(&mut self.face, conn);
        } else {
            self.face.closed(conn);
            self.door.read(&mut self.face);
        }
    }

    fn symbol(&self, inst: usize) -> String {
        self.face.symbol(inst)
    }

    fn order_id(&self, id: u64) -> String {
        self.face.order_id(id)
    }

    fn stats(&self) -> serde_json::Value {
        let mut stats = self.face.stats();
        stats["fix"] = self.door.stats();
        stats
    }

    fn has_fix(&self) -> bool {
        true
    }

    fn fix_open(&mut self, conn: ConnId) {
        self.door.open(&mut self.face, conn);
    }

    fn fix_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        self.door.bytes(&mut self.face, conn, bytes);
    }
}
