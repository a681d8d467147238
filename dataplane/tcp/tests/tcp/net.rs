//! The rig: two hosts on one link, each direction impaired by its own seed, in virtual time.

use core::net::{Ipv4Addr, SocketAddrV4};
use dp_tcp::wire::ethernet::Mac;
use dp_tcp::{Arrival, Config, ConnId, Events, Host, Secret, Stack, StackConfig};
use tests_relay::{Impairments, Link};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;
pub const PORT: u16 = 443;
/// Where the world begins: not at 0, as no clock does.
pub const START: u64 = 1_000 * SECOND;

pub fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host)
}

pub fn mac(host: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, host])
}

pub fn stack_config(host: u8, connection: Config) -> StackConfig {
    let us = Host::on_link(mac(host), address(host), 24);
    StackConfig {
        connection,
        connections: 4,
        half_open_max: 2,
        ..StackConfig::new(us, (40_000, 40_100), Secret::new([host; 16]))
    }
}

/// What an application does with its end of the world.
pub trait App {
    /// Payload next in line.
    fn on_data(&mut self, conn: ConnId, bytes: &[u8], now: u64);
    /// Something happened.
    fn on_events(&mut self, conn: ConnId, events: Events);
    /// The chance to write, read and close; called after each batch of frames. Returns when it
    /// wants to be called although nothing happens.
    fn turn(&mut self, stack: &mut Stack, now: u64) -> Option<u64>;
}

/// Judges a frame of a side at a time: false = lost.
pub type Gate = Box<dyn FnMut(usize, u64, &[u8]) -> bool>;

pub struct World {
    pub now: u64,
    pub stacks: [Stack; 2],
    /// From host 0 to 1, and back.
    pub links: [Link; 2],
    buffer: Vec<u8>,
    /// Sees each frame before it enters a link.
    pub gate: Option<Gate>,
}

impl World {
    pub fn new(configs: [StackConfig; 2], impairments: [Impairments; 2]) -> Self {
        let mut stacks = configs.map(|config| Stack::new(&config).unwrap());
        assert!(stacks[0].set_neighbour(address(2), Some(mac(2))));
        assert!(stacks[1].set_neighbour(address(1), Some(mac(1))));
        assert!(stacks[1].listen(PORT));
        Self {
            now: START,
            stacks,
            links: impairments.map(Link::new),
            buffer: vec![0; 2_048],
            gate: None,
        }
    }

    pub fn connect(&mut self) -> ConnId {
        let remote = SocketAddrV4::new(address(2), PORT);
        self.stacks[0].connect(remote, self.now).unwrap()
    }

    /// Everything that can happen at this instant: arrivals, applications, departures. Returns when
    /// something happens next.
    pub fn turn<A: App, B: App>(&mut self, a: &mut A, b: &mut B) -> Option<u64> {
        for side in 0..2 {
            while let Some(frame) = self.links[1 - side].take(self.now) {
                let arrival = self.stacks[side].on_frame(&frame, self.now);
                match side {
                    0 => hand_over(a, &arrival, &frame, self.now),
                    _ => hand_over(b, &arrival, &frame, self.now),
                }
            }
        }
        let mut next = None;
        for _ in 0..2 {
            let wishes = [
                a.turn(&mut self.stacks[0], self.now),
                b.turn(&mut self.stacks[1], self.now),
            ];
            next = wishes.into_iter().flatten().min();
            for side in 0..2 {
                self.transmit(side);
                while let Some((conn, events)) = self.stacks[side].poll_event() {
                    match side {
                        0 => a.on_events(conn, events),
                        _ => b.on_events(conn, events),
                    }
                }
            }
        }
        let mut all: Vec<u64> = self.links.iter().filter_map(Link::next_due).collect();
        all.extend(self.stacks.iter().filter_map(Stack::next_deadline));
        all.extend(next);
        all.into_iter().min()
    }

    /// One round of sending.
    pub fn transmit(&mut self, side: usize) {
        let now = self.now;
        while let Some(len) = self.stacks[side].poll_transmit(now, &mut self.buffer) {
            let frame = &self.buffer[..len];
            if self.gate.as_mut().is_none_or(|gate| gate(side, now, frame)) {
                self.links[side].offer(now, frame);
            }
        }
    }

    /// Runs until `is_done`, or nothing more happens, or `limit` is reached; true = done.
    pub fn run<A: App, B: App>(
        &mut self,
        a: &mut A,
        b: &mut B,
        limit: u64,
        mut is_done: impl FnMut(&A, &B, &[Stack; 2]) -> bool,
    ) -> bool {
        while self.now <= limit {
            let next = self.turn(a, b);
            if is_done(a, b, &self.stacks) {
                return true;
            }
            let Some(next) = next else {
                return false;
            };
            // A deadline in the past would mean a poll that does not do its work.
            self.now = next.max(self.now + 1);
        }
        false
    }
}

fn hand_over(app: &mut impl App, arrival: &Arrival, frame: &[u8], now: u64) {
    if let Some(conn) = arrival.conn {
        if !arrival.events.is_empty() {
            app.on_events(conn, arrival.events);
        }
        if !arrival.data.is_empty() {
            app.on_data(conn, &frame[arrival.data.clone()], now);
        }
    }
}
