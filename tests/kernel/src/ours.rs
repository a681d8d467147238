//! What our end does: the same as the kernel's sockets do.

use crate::sockets::{Bulk, octet};
use crate::{App, PORT, address};
use core::net::SocketAddrV4;
use dp_tcp::{ConnId, Counters, End, Stack, State};

/// Connects to the other host when first asked.
fn connect(conn: &mut Option<ConnId>, stack: &mut Stack, now: u64) -> Option<ConnId> {
    if conn.is_none() {
        let remote = SocketAddrV4::new(address(2), PORT);
        *conn = stack.connect(remote, now).ok();
    }
    *conn
}

/// Sends and hears at once.
#[derive(Debug)]
pub struct BulkApp {
    plan: Bulk,
    conn: Option<ConnId>,
    sent: u64,
    /// Octets that came right.
    pub heard: u64,
    /// The first octet that did not.
    pub wrong: Option<u64>,
    /// How it ended.
    pub end: Option<End>,
    /// When the last octet came, and when it was open.
    pub times: (u64, u64),
    /// What happened.
    pub counters: Counters,
    resume: u64,
}

impl BulkApp {
    /// Nothing sent yet.
    pub fn new(plan: Bulk) -> Self {
        Self {
            plan,
            conn: None,
            sent: 0,
            heard: 0,
            wrong: None,
            end: None,
            times: (0, 0),
            counters: Counters::default(),
            resume: 0,
        }
    }

    fn check(&mut self, bytes: &[u8], now: u64) {
        for found in bytes {
            if *found != octet(self.heard) {
                self.wrong.get_or_insert(self.heard);
            }
            self.heard += 1;
        }
        self.times.1 = now;
    }
}

impl App for BulkApp {
    fn on_data(&mut self, bytes: &mut [u8], now: u64) {
        self.check(bytes, now);
    }

    fn turn(&mut self, stack: &mut Stack, now: u64) -> bool {
        let Some(id) = connect(&mut self.conn, stack, now) else {
            return false;
        };
        let Some(conn) = stack.conn_mut(id) else {
            return false;
        };
        if conn.state() == State::Established && self.times.0 == 0 {
            self.times.0 = now;
        }
        let is_lazy = self.plan.lazy.is_some();
        conn.hold(is_lazy && now < self.resume);
        if now >= self.resume {
            if let Some((_, pause)) = self.plan.lazy {
                self.resume = now + pause.as_nanos() as u64;
            }
            while !conn.readable().is_empty() {
                let piece = conn.readable().to_vec();
                conn.consume(piece.len());
                self.check(&piece, now);
            }
        }
        let room = (conn.send_room() as u64).min(self.plan.send - self.sent);
        if room > 0 && matches!(conn.state(), State::Established | State::CloseWait) {
            let piece: Vec<u8> = (self.sent..self.sent + room).map(octet).collect();
            self.sent += conn.send(&piece) as u64;
        }
        if self.sent == self.plan.send && conn.state() != State::SynSent {
            conn.close();
        }
        self.counters = *conn.counters();
        self.end = conn.end();
        // In TIME-WAIT both streams are over.
        conn.readable_len() > 0 || !matches!(conn.state(), State::Closed | State::TimeWait)
    }
}

/// Sends a message, waits for it to come back, and again.
#[derive(Debug)]
pub struct PingApp {
    conn: Option<ConnId>,
    len: usize,
    left: usize,
    gap_ns: u64,
    due: u64,
    sent_at: Option<u64>,
    heard: usize,
    /// Round trips, nanoseconds.
    pub times: Vec<u64>,
    /// What happened.
    pub counters: Counters,
}

impl PingApp {
    /// `count` messages of `len` octets, each `gap_ns` after the answer to the last.
    pub fn new(count: usize, len: usize, gap_ns: u64) -> Self {
        Self {
            conn: None,
            len,
            left: count,
            gap_ns,
            due: 0,
            sent_at: None,
            heard: 0,
            times: Vec::with_capacity(count),
            counters: Counters::default(),
        }
    }

    fn hear(&mut self, count: usize, now: u64) {
        self.heard += count;
        if self.heard == self.len
            && let Some(sent) = self.sent_at.take()
        {
            self.times.push(now - sent);
            (self.heard, self.due) = (0, now + self.gap_ns);
        }
    }
}

impl App for PingApp {
    fn on_data(&mut self, bytes: &mut [u8], now: u64) {
        self.hear(bytes.len(), now);
    }

    fn turn(&mut self, stack: &mut Stack, now: u64) -> bool {
        let Some(conn) = connect(&mut self.conn, stack, now).and_then(|id| stack.conn_mut(id))
        else {
            return false;
        };
        while !conn.readable().is_empty() {
            let count = conn.readable().len();
            conn.consume(count);
            self.hear(count, now);
        }
        self.counters = *conn.counters();
        let is_open = conn.state() == State::Established;
        if is_open && self.sent_at.is_none() && self.left > 0 && now >= self.due {
            self.left -= 1;
            self.sent_at = Some(now);
            conn.send(&vec![7; self.len]);
        }
        let is_over = self.left == 0 && self.sent_at.is_none();
        if is_over {
            conn.close();
        }
        !is_over && conn.state() != State::Closed
    }
}
