//! What a segment costs: in order in, and an order of 230 octets out. Told, not gated.
//!
//! `cargo run --release -p tests-kernel --example tcp_cost`

use core::net::SocketAddrV4;
use dp_tcp::{Config, ConnId, Stack};
use std::hint::black_box;
use std::time::Instant;
use tests_kernel::{address, stack};

const ROUNDS: usize = 200_000;
/// Segments fed between two looks at the clock, which itself costs tens of nanoseconds.
const BATCH: usize = 16;

struct Pair {
    client: Stack,
    server: Stack,
    client_id: ConnId,
    server_id: ConnId,
    now: u64,
    frame: Vec<u8>,
}

impl Pair {
    fn open() -> Self {
        let [mut client, mut server] =
            [1, 2].map(|host| stack(host, Config::default()).expect("the sizes are right"));
        server.listen(443);
        let now = 1_000_000_000;
        let remote = SocketAddrV4::new(address(2), 443);
        let client_id = client.connect(remote, now).expect("a place is free");
        let mut frame = vec![0; 1_600];
        let mut server_id = None;
        for _ in 0..3 {
            while let Some(len) = client.poll_transmit(now, &mut frame) {
                server_id = server.on_frame(&frame[..len], now).conn.or(server_id);
            }
            while let Some(len) = server.poll_transmit(now, &mut frame) {
                client.on_frame(&frame[..len], now);
            }
        }
        Self {
            client,
            server,
            client_id,
            server_id: server_id.expect("the handshake is done"),
            now,
            frame,
        }
    }

    /// What the server has to say now, as frames.
    fn server_frames(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(len) = self.server.poll_transmit(self.now, &mut self.frame) {
            out.push(self.frame[..len].to_vec());
        }
        out
    }
}

fn told(what: &str, mut samples: Vec<u64>, per: usize) {
    samples.sort_unstable();
    let at = |share: usize| samples[(samples.len() - 1) * share / 1_000] / per as u64;
    println!(
        "{what:58} min {:>4}  p50 {:>4}  p99 {:>5}  p99.9 {:>6} ns",
        at(0),
        at(500),
        at(990),
        at(999)
    );
}

fn main() {
    for len in [200, 500, 1_400] {
        let mut pair = Pair::open();
        let (mut into, mut acks) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS / BATCH {
            pair.now += 50_000;
            let mut frames = Vec::new();
            for _ in 0..BATCH {
                let conn = pair.server.conn_mut(pair.server_id).expect("it is open");
                conn.send(&vec![7; len]);
                frames.extend(pair.server_frames());
            }
            let begin = Instant::now();
            for frame in &frames {
                black_box(pair.client.on_frame(black_box(frame), pair.now));
            }
            if frames.len() == BATCH {
                into.push(begin.elapsed().as_nanos() as u64);
            }
            let begin = Instant::now();
            let ack = pair.client.poll_transmit(pair.now, &mut pair.frame);
            acks.push(begin.elapsed().as_nanos() as u64);
            let ack = ack.expect("data is acknowledged");
            pair.server.on_frame(&pair.frame[..ack], pair.now);
        }
        told(
            &format!("on_frame, {len} octets in order, each of {BATCH}"),
            into,
            BATCH,
        );
        told("  then one ACK for them, with a look at the clock", acks, 1);
    }
    for len in [230, 1_400] {
        let mut pair = Pair::open();
        let (mut out, mut acks) = (Vec::new(), Vec::new());
        let order = vec![b'o'; len];
        let mut frames = vec![vec![0; 1_600]; BATCH / 2];
        for _ in 0..ROUNDS / BATCH {
            pair.now += 50_000;
            let begin = Instant::now();
            for frame in &mut frames {
                let conn = pair.client.conn_mut(pair.client_id).expect("it is open");
                conn.send(black_box(&order));
                let sent = pair.client.poll_transmit(pair.now, frame);
                assert_eq!(sent, Some(66 + len));
            }
            out.push(begin.elapsed().as_nanos() as u64);
            // They are answered with one ACK, so that the window stays open.
            for frame in &frames {
                pair.server.on_frame(&frame[..66 + len], pair.now);
            }
            let frames = pair.server_frames();
            let begin = Instant::now();
            for frame in &frames {
                black_box(pair.client.on_frame(frame, pair.now));
                black_box(pair.client.poll_transmit(pair.now, &mut pair.frame));
            }
            if frames.len() == 1 {
                acks.push(begin.elapsed().as_nanos() as u64);
            }
        }
        told(
            &format!("send + poll_transmit, {len} octets, each of {}", BATCH / 2),
            out,
            BATCH / 2,
        );
        told(
            &format!(
                "on_frame of an ACK of {}, with a look at the clock",
                BATCH / 2
            ),
            acks,
            1,
        );
    }
    let mut pair = Pair::open();
    let mut idle = Vec::new();
    for _ in 0..ROUNDS / BATCH {
        let begin = Instant::now();
        for _ in 0..BATCH {
            black_box(pair.client.poll_transmit(pair.now, &mut pair.frame));
        }
        idle.push(begin.elapsed().as_nanos() as u64);
    }
    told("poll_transmit with nothing to do", idle, BATCH);
}
