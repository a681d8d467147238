//! The venue's connections around the kernel: our own TCP, listening, over raw frames.
//!
//! ```text
//!   FrameIo ──frame──▶ Stack ──payload, stamped──▶ inbox of its connection ──read──▶ session
//!           ◀─frame──       ◀──────────────────────────────────────────────write──
//! ```
//! The stamp of an arrival is taken when this TCP has judged the segment and hands its payload over: what
//! `recv` does for [`super::net::Sockets`] is in the figure here as well.

use super::net::Net;
use anyhow::{Context as _, bail};
use core::net::{Ipv4Addr, SocketAddrV4};
use dp_tcp::wire::ethernet::Mac;
use dp_tcp::{ConnId, Connection, Events, Host, Secret, Stack, StackConfig};
use dp_transport::xdp::{Flow, FrameIo, PortRange, Rtnl, Steering, XdpMode, Xsk, XskOptions};
use dp_transport::{Clock, tsc};
use dp_types::{Tsc, UnixNanos};
use ring::rand::SecureRandom as _;

/// Where the venue listens around the kernel.
pub const PORT: u16 = 50_443;
/// Local ports of clients that bypass the kernel: as many as their stack has connections, and again.
pub const CLIENT_PORTS: PortRange = PortRange {
    first: 41_000,
    last: 41_255,
};
/// Connections at once: a client has three, and may come back before its old ones are gone.
const CONNECTIONS: usize = 16;

/// 16 bytes nobody has had before: a new run must not meet the sequence numbers and ports of the last.
pub fn secret() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.ok().context("the system's random numbers")?;
    Ok(bytes)
}

/// One connection.
struct Peer {
    conn: ConnId,
    inbox: Vec<u8>,
    /// When the first byte of the inbox came.
    arrival: Tsc,
    is_over: bool,
}

/// Connections over raw frames. One thread.
pub struct Bypassed<F> {
    frames: F,
    stack: Stack,
    clock: Clock,
    peers: Vec<Peer>,
    accepted: usize,
    /// Frames of its flows come here as long as it lives.
    #[expect(dead_code, reason = "held, not used")]
    steering: Option<Steering>,
}

/// Opens the venue's end of a cable: in the calling thread's namespace, used on it. `clients` is where they
/// connect from. Errors: the kernel refuses a part of it.
pub fn open(
    interface: &str,
    address: Ipv4Addr,
    clients: Ipv4Addr,
    mode: XdpMode,
    clock: Clock,
) -> anyhow::Result<Bypassed<Xsk>> {
    let ifindex = nix::net::if_::if_nametoindex(interface)?;
    let (modes, port) = ([mode], PORT);
    let range = PortRange {
        first: port,
        last: port,
    };
    let steering = Steering::attach(ifindex, range, &modes)?;
    for port in CLIENT_PORTS.first..=CLIENT_PORTS.last {
        steering.add(Flow {
            venue: SocketAddrV4::new(clients, port),
            local: address,
        })?;
    }
    let options = XskOptions {
        modes: &modes,
        ..XskOptions::default()
    };
    let frames = Xsk::open(&steering, &options)?;
    let link = Rtnl::new()?.link(ifindex)?;
    let mac = Mac(link.context("the cable's end is gone")?.mac);
    let net = Bypassed::new(frames, mac, address, clock)?;
    Ok(Bypassed {
        steering: Some(steering),
        ..net
    })
}

impl<F: FrameIo> Bypassed<F> {
    /// Listens on [`PORT`] of `address` over any frames. Errors: no random numbers.
    pub fn new(frames: F, mac: Mac, address: Ipv4Addr, clock: Clock) -> anyhow::Result<Self> {
        let mut stack = Stack::new(&StackConfig {
            connections: CONNECTIONS,
            half_open_max: CONNECTIONS / 2,
            ..StackConfig::new(
                Host::on_link(mac, address, 24),
                (PORT, PORT),
                Secret::new(secret()?),
            )
        })?;
        stack.listen(PORT);
        Ok(Self {
            frames,
            stack,
            clock,
            peers: Vec::new(),
            accepted: 0,
            steering: None,
        })
    }

    fn transmit(&mut self, now: u64) {
        let mut has_sent = false;
        while let Some(frame) = self.frames.reserve() {
            let Some(len) = self.stack.poll_transmit(now, self.frames.bytes(&frame)) else {
                self.frames.release(frame);
                break;
            };
            self.frames.submit(frame, len);
            has_sent = true;
        }
        if has_sent {
            self.frames.kick();
        }
    }

    /// Sends what is owed and takes what came.
    fn turn(&mut self) {
        let now = self.clock.cycles_to_ns(tsc().0);
        self.transmit(now);
        self.frames.poll(UnixNanos(now));
        while let Some(frame) = self.frames.next() {
            let arrival = self.stack.on_frame(self.frames.bytes(&frame), now);
            let stamp = tsc();
            if let Some(conn) = arrival.conn {
                let bytes = self.frames.bytes(&frame);
                let data = bytes.get(arrival.data).unwrap_or_default();
                Self::note(&mut self.peers, conn, arrival.events, data, stamp);
                Self::gather(&mut self.peers, &mut self.stack, conn, stamp);
            }
            self.frames.release(frame);
        }
        while let Some((conn, events)) = self.stack.poll_event() {
            let stamp = tsc();
            Self::note(&mut self.peers, conn, events, &[], stamp);
            Self::gather(&mut self.peers, &mut self.stack, conn, stamp);
        }
    }

    fn note(peers: &mut Vec<Peer>, conn: ConnId, events: Events, data: &[u8], stamp: Tsc) {
        if events.has(Events::CONNECTED) {
            peers.push(Peer {
                conn,
                inbox: Vec::with_capacity(64 << 10),
                arrival: stamp,
                is_over: false,
            });
        }
        let Some(peer) = peers.iter_mut().find(|peer| peer.conn == conn) else {
            return;
        };
        if peer.inbox.is_empty() {
            peer.arrival = stamp;
        }
        peer.inbox.extend_from_slice(data);
        peer.is_over |= events.has(Events::PEER_CLOSED) || events.has(Events::ENDED);
    }

    /// What came out of order and is whole now.
    fn gather(peers: &mut [Peer], stack: &mut Stack, conn: ConnId, stamp: Tsc) {
        if stack.conn(conn).is_none_or(|it| it.readable_len() == 0) {
            return;
        }
        let peer = peers.iter_mut().find(|peer| peer.conn == conn);
        let (Some(peer), Some(connection)) = (peer, stack.conn_mut(conn)) else {
            return;
        };
        if peer.inbox.is_empty() {
            peer.arrival = stamp;
        }
        while connection.readable_len() > 0 {
            let bytes = connection.readable();
            let count = bytes.len();
            peer.inbox.extend_from_slice(bytes);
            connection.consume(count);
        }
    }
}

impl<F: FrameIo> Net for Bypassed<F> {
    fn accept(&mut self) -> anyhow::Result<bool> {
        self.turn();
        let has_come = self.accepted < self.peers.len();
        self.accepted += usize::from(has_come);
        Ok(has_come)
    }

    fn read(&mut self, at: usize, buffer: &mut [u8]) -> anyhow::Result<Option<(usize, Tsc)>> {
        if self.peers[at].inbox.is_empty() {
            self.turn();
        }
        let peer = &mut self.peers[at];
        let count = peer.inbox.len().min(buffer.len());
        if count == 0 {
            if peer.is_over {
                bail!("the client has left");
            }
            return Ok(None);
        }
        buffer[..count].copy_from_slice(&peer.inbox[..count]);
        peer.inbox.drain(..count);
        Ok(Some((count, peer.arrival)))
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> anyhow::Result<usize> {
        let peer = &self.peers[at];
        if peer.is_over {
            bail!("the client has left");
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let conn = self.stack.conn_mut(peer.conn);
        let count = conn.map_or(0, |conn| Connection::send(conn, bytes));
        let now = self.clock.cycles_to_ns(tsc().0);
        self.transmit(now);
        Ok(count)
    }
}
