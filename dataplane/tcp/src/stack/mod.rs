//! Many connections behind one interface: frames in, frames out.
//!
//! ```text
//!   on_frame ─▶ Ethernet ─▶ IPv4 ─┬▶ TCP ─▶ four-tuple ─▶ Connection ─▶ Arrival
//!                     │           └▶ ICMP errors about them
//!                     └▶ ARP, only if told to answer
//!   poll_transmit ◀─ replies (resets, ARP) ◀─ connections marked or due
//! ```
//!
//! What is not ours is passed: to the kernel, if the caller shares the interface with it. Hardware
//! addresses come from outside ([`Stack::set_neighbour`]); routes are one link and one gateway.

mod input;
mod neighbours;
mod table;

use crate::config::{Config, ConfigError};
use crate::connection::{Connection, Events, Opening, State};
use crate::counters::{Counters, StackCounters};
use crate::hash::Secret;
use crate::seq::Seq;
use crate::wire::Checksums;
use crate::wire::ethernet::{self, Arp, ETHERNET_LEN, EthernetHeader, Mac};
use crate::wire::ipv4::{self, IPV4_LEN, Ipv4Header};
use crate::wire::tcp::{Flags, TcpHeader, seal};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::ops::Range;
use neighbours::Neighbours;
use std::collections::VecDeque;
use table::{Bits, Table};

pub use table::ConnId;

/// Resets and ARP answers waiting; more are dropped and counted.
const REPLIES_MAX: usize = 32;
/// Ports listened on.
const LISTENERS_MAX: usize = 8;
/// How soon a connection whose next hop is unknown tries again.
const NEIGHBOUR_RETRY_NS: u64 = 10_000_000;
/// Octets before the TCP header.
const HEADERS_LEN: usize = ETHERNET_LEN + IPV4_LEN;

/// Who we are on the link, as the kernel's tables say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Our hardware address.
    pub mac: Mac,
    /// Our address.
    pub address: Ipv4Addr,
    /// Addresses that share this many leading bits with ours are on the link.
    pub prefix_len: u8,
    /// Next hop of all others.
    pub gateway: Option<Ipv4Addr>,
}

impl Host {
    /// One whose link has no gateway; `prefix_len` is at most 32.
    pub const fn on_link(mac: Mac, address: Ipv4Addr, prefix_len: u8) -> Self {
        Self {
            mac,
            address,
            prefix_len,
            gateway: None,
        }
    }
}

/// What a stack is built with.
#[derive(Debug, Clone, Copy)]
pub struct StackConfig {
    /// Every connection's sizes and times.
    pub connection: Config,
    /// Connections at once, those in TIME-WAIT too.
    pub connections: usize,
    /// Those of them that may be passive and not yet confirmed: what a SYN flood can take. At least
    /// 1; beyond, the oldest gives way.
    pub half_open_max: usize,
    /// Us.
    pub host: Host,
    /// First and last local port that is ours and not the kernel's.
    pub ports: (u16, u16),
    /// How received checksums are judged.
    pub checksums: Checksums,
    /// Answer ARP questions for our address: where no kernel does.
    pub answers_arp: bool,
    /// Reset segments to our ports that belong to no connection.
    pub resets_unknown: bool,
    /// For sequence numbers.
    pub secret: Secret,
}

impl StackConfig {
    /// What a lane's stack is: 16 connections of the usual sizes, one of them half open, every checksum verified,
    /// strangers reset, ARP left to the kernel. `ports`: first and last that are ours.
    pub fn new(host: Host, ports: (u16, u16), secret: Secret) -> Self {
        Self {
            connection: Config::default(),
            connections: 16,
            half_open_max: 1,
            host,
            ports,
            checksums: Checksums::Verify,
            answers_arp: false,
            resets_unknown: true,
            secret,
        }
    }
}

/// Whose a frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not ours; the kernel may want it.
    Passed,
    /// Ours, and nothing more is to be done with it.
    Taken,
    /// Broken, forged or refused; counted.
    Dropped,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Whose it was.
    pub verdict: Verdict,
    /// The connection it belongs to.
    pub conn: Option<ConnId>,
    /// Payload next in line, as a place in the frame; read it there, it counts as consumed. What
    /// [`Connection::readable`] has comes after it.
    pub data: Range<usize>,
    /// What happened on the connection.
    pub events: Events,
}

impl Arrival {
    const fn nothing(verdict: Verdict) -> Self {
        Self {
            verdict,
            conn: None,
            data: 0..0,
            events: Events::NONE,
        }
    }
}

/// Why no connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// All places are taken.
    #[error("all connections are taken")]
    Full,
    /// Every reserved local port is in use.
    #[error("all reserved local ports are in use")]
    Ports,
    /// Not on the link, and there is no gateway.
    #[error("no route: not on the link, and no gateway")]
    Route,
    /// More next hops than can be remembered.
    #[error("too many next hops")]
    Neighbours,
}

/// Where local ports begin: elsewhere under each secret, so that a process that starts anew does not meet the
/// connections its predecessor left half open at the peer (RFC 6056, 3.3.3).
fn first_port(config: &StackConfig) -> u16 {
    let (first, last) = config.ports;
    let us = SocketAddrV4::new(config.host.address, first);
    let count = usize::from(last - first) + 1;
    first + (config.secret.bucket(us, us) % count) as u16
}

/// Something to send that belongs to no connection.
enum Reply {
    Reset {
        local: SocketAddrV4,
        remote: SocketAddrV4,
        mac: Mac,
        seq: Seq,
        ack: Option<Seq>,
    },
    Arp(Arp),
}

/// Connections, table of neighbours, and what waits to be sent.
pub struct Stack {
    config: StackConfig,
    table: Table,
    neighbours: Neighbours,
    listeners: Vec<u16>,
    ports: Bits,
    next_port: u16,
    half_open: usize,
    /// Passive connections so far: their order.
    accepted: u64,
    /// Connections that may have something to send.
    marked: Bits,
    /// Connections on which something happened that was not told with a frame.
    eventful: Bits,
    /// No connection is due before this.
    earliest: u64,
    replies: VecDeque<Reply>,
    counters: StackCounters,
    now: u64,
}

impl core::fmt::Debug for Stack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stack")
            .field("host", &self.config.host)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// Connections at most: a place is 16 bits wide, one value means none.
    pub const CONNECTIONS_MAX: usize = 32_768;

    /// A stack with all its buffers: the only allocations of its life.
    ///
    /// Errors: [`ConfigError`].
    pub fn new(config: &StackConfig) -> Result<Self, ConfigError> {
        config.connection.check()?;
        let count = config.connections;
        if !(1..=Self::CONNECTIONS_MAX).contains(&count) {
            return Err(ConfigError::Connections(count));
        }
        let (first, last) = config.ports;
        if first == 0 || first > last {
            return Err(ConfigError::Ports(first, last));
        }
        Ok(Self {
            config: *config,
            table: Table::new(&config.connection, count, config.secret),
            neighbours: Neighbours::new(),
            listeners: Vec::with_capacity(LISTENERS_MAX),
            ports: Bits::new(usize::from(last - first) + 1),
            next_port: first_port(config),
            half_open: 0,
            accepted: 0,
            marked: Bits::new(count),
            eventful: Bits::new(count),
            earliest: u64::MAX,
            replies: VecDeque::with_capacity(REPLIES_MAX),
            counters: StackCounters::default(),
            now: 0,
        })
    }

    /// Opens a connection from a reserved port; the SYN leaves with the next
    /// [`Stack::poll_transmit`].
    pub fn connect(&mut self, remote: SocketAddrV4, now: u64) -> Result<ConnId, ConnectError> {
        let next_hop = self.next_hop(*remote.ip())?;
        self.connect_via(remote, next_hop, self.config.connection.mtu, now)
    }

    /// The same through a next hop that somebody with a routing table has named, with the octets of the largest
    /// IPv4 packet on that way.
    pub fn connect_via(
        &mut self,
        remote: SocketAddrV4,
        next_hop: Ipv4Addr,
        mtu: u16,
        now: u64,
    ) -> Result<ConnId, ConnectError> {
        self.tick(now);
        let index = self.table.free().ok_or(ConnectError::Full)?;
        let neighbour = self
            .neighbours
            .place(next_hop)
            .ok_or(ConnectError::Neighbours)?;
        let port = self.take_port().ok_or(ConnectError::Ports)?;
        let local = SocketAddrV4::new(self.config.host.address, port);
        let opening = self.opening(local, remote);
        let now = self.now;
        if let Some(slot) = self.table.slot_mut(index) {
            slot.conn.connect(opening, now);
            slot.conn.limit_mtu(mtu);
            slot.neighbour = neighbour;
            (slot.is_known, slot.is_released) = (true, false);
        }
        self.table.link(index);
        self.marked.add(index);
        Ok(self.table.id(index))
    }

    /// Local ports go on where those of the stack before this one stopped: a peer may still hold the last ones
    /// for open (RFC 6056 tells why ports should not come again soon).
    pub fn continue_ports(&mut self, of: &Self) {
        let (first, last) = self.config.ports;
        if (first..=last).contains(&of.next_port) {
            self.next_port = of.next_port;
        }
    }

    /// Takes connections on `port` from now on; they are told with [`Events::CONNECTED`]. Returns
    /// false when too many ports are listened on.
    pub fn listen(&mut self, port: u16) -> bool {
        let has_room = self.listeners.len() < LISTENERS_MAX;
        if has_room && !self.listeners.contains(&port) {
            self.listeners.push(port);
        }
        has_room
    }

    /// Writes the next frame into `frame`, which must hold the MTU and 14 more; returns its length,
    /// `None` when nothing is to be sent now. Call until `None` after feeding frames, after writing
    /// to connections, and when [`Stack::next_deadline`] has come.
    ///
    /// Cost: one comparison when nothing is to be done.
    #[inline]
    pub fn poll_transmit(&mut self, now: u64, frame: &mut [u8]) -> Option<usize> {
        self.tick(now);
        if frame.len() < ETHERNET_LEN + usize::from(self.config.connection.mtu) {
            return None;
        }
        if let Some(reply) = self.replies.pop_front() {
            return self.write_reply(&reply, frame);
        }
        if self.now >= self.earliest {
            self.mark_due();
        }
        while let Some(index) = self.marked.first() {
            if let Some(len) = self.poll_one(index, frame) {
                return Some(len);
            }
        }
        None
    }

    /// What happened on a connection without a frame: time-outs above all. Call until `None`, after
    /// [`Stack::poll_transmit`].
    pub fn poll_event(&mut self) -> Option<(ConnId, Events)> {
        while let Some(index) = self.eventful.first() {
            self.eventful.remove(index);
            let id = self.table.id(index);
            let events = self.collect(index);
            if !events.is_empty() {
                return Some((id, events));
            }
        }
        None
    }

    /// A connection, to write to, read from or close.
    pub fn conn_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        let index = self.table.resolve(id)?;
        self.marked.add(index);
        self.table.slot_mut(index).map(|slot| &mut slot.conn)
    }

    /// The application forgets a connection. One that is still open is aborted; one in TIME-WAIT
    /// keeps its place until that is over.
    pub fn release(&mut self, id: ConnId) {
        let Some(index) = self.table.resolve(id) else {
            return;
        };
        if let Some(slot) = self.table.slot_mut(index) {
            slot.is_released = true;
            if slot.conn.state() != State::TimeWait {
                slot.conn.abort();
            }
        }
        self.marked.add(index);
    }

    /// Tells a next hop's hardware address, or that it is no longer known. Returns false when too
    /// many are remembered.
    pub fn set_neighbour(&mut self, address: Ipv4Addr, mac: Option<Mac>) -> bool {
        self.neighbours.set(address, mac, self.now)
    }

    /// The way to `remote` is this from now on. Connections that went by another next hop take what is in flight
    /// there for lost; a way for larger packets is for those to come. Cost: one look at each place. Returns false
    /// when too many next hops are remembered.
    pub fn redirect(&mut self, remote: Ipv4Addr, next_hop: Ipv4Addr, mtu: u16) -> bool {
        let Some(neighbour) = self.neighbours.place(next_hop) else {
            return false;
        };
        for index in 0..self.config.connections {
            let slot = self.table.slot_mut(index);
            let its =
                slot.filter(|slot| slot.is_used && *slot.conn.opening().remote.ip() == remote);
            let Some(slot) = its else { continue };
            slot.conn.limit_mtu(mtu);
            if slot.neighbour != neighbour {
                slot.neighbour = neighbour;
                slot.conn.on_redirected(self.now);
            }
            self.marked.add(index);
        }
        true
    }

    /// Next hops whose hardware address is wanted and not known.
    pub fn missing_neighbours(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.neighbours.missing()
    }

    /// A connection.
    pub fn conn(&self, id: ConnId) -> Option<&Connection> {
        let index = self.table.resolve(id)?;
        self.table.slot(index).map(|slot| &slot.conn)
    }

    /// When [`Stack::poll_transmit`] next has work although nothing came in; good after it has
    /// returned `None`. It may be early, never late.
    pub fn next_deadline(&self) -> Option<u64> {
        (self.earliest != u64::MAX).then_some(self.earliest)
    }

    /// Places in use, those in TIME-WAIT too.
    pub fn connections(&self) -> usize {
        self.table.slots().filter(|slot| slot.is_used).count()
    }

    /// Counts of all connections since the stack was made, those that are no more too. Cost: one addition a
    /// count and place.
    pub fn totals(&self) -> Counters {
        self.table.totals()
    }

    /// Counts of frames that reached no connection.
    pub fn counters(&self) -> &StackCounters {
        &self.counters
    }

    fn tick(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    fn opening(&self, local: SocketAddrV4, remote: SocketAddrV4) -> Opening {
        let secret = &self.config.secret;
        Opening {
            local,
            remote,
            initial_seq: secret.initial_seq(local, remote, self.now),
            timestamp_offset: secret.timestamp_offset(local, remote),
        }
    }

    /// The next hop towards an address, by our own address and gateway alone.
    fn next_hop(&self, remote: Ipv4Addr) -> Result<Ipv4Addr, ConnectError> {
        let host = &self.config.host;
        let differing = u32::from(remote) ^ u32::from(host.address);
        let is_on_link = differing.leading_zeros() >= u32::from(host.prefix_len.min(32));
        if is_on_link {
            return Ok(remote);
        }
        host.gateway.ok_or(ConnectError::Route)
    }

    fn take_port(&mut self) -> Option<u16> {
        let (first, last) = self.config.ports;
        for _ in first..=last {
            let port = self.next_port;
            self.next_port = if port == last { first } else { port + 1 };
            let bit = usize::from(port - first);
            if !self.ports.has(bit) {
                self.ports.add(bit);
                return Some(port);
            }
        }
        None
    }

    /// Marks every connection that is due, and finds when the next one will be.
    fn mark_due(&mut self) {
        self.earliest = u64::MAX;
        for (index, slot) in self.table.slots().enumerate() {
            if slot.deadline <= self.now {
                self.marked.add(index);
            } else {
                self.earliest = self.earliest.min(slot.deadline);
            }
        }
    }

    /// Asks one marked connection for a segment; unmarks it when it has none.
    #[inline]
    fn poll_one(&mut self, index: usize, frame: &mut [u8]) -> Option<usize> {
        let now = self.now;
        let Some(slot) = self.table.slot_mut(index).filter(|slot| slot.is_used) else {
            self.marked.remove(index);
            return None;
        };
        let Some(mac) = self.neighbours.mac(slot.neighbour) else {
            self.wait_for_neighbour(index);
            return None;
        };
        let (headers, segment) = frame.split_at_mut_checked(HEADERS_LEN)?;
        if let Some(len) = slot.conn.poll_transmit(now, segment) {
            let remote = *slot.conn.opening().remote.ip();
            let host = &self.config.host;
            let header = EthernetHeader {
                target: mac,
                source: host.mac,
                kind: ethernet::IPV4,
            };
            let packet = Ipv4Header::bytes(host.address, remote, ipv4::TCP, len as u16);
            let (link, network) = headers.split_at_mut(ETHERNET_LEN);
            link.copy_from_slice(&header.bytes());
            network.copy_from_slice(&packet);
            self.counters.frames_out += 1;
            return Some(HEADERS_LEN + len);
        }
        slot.deadline = slot.conn.next_deadline().unwrap_or(u64::MAX);
        let (deadline, is_over) = (slot.deadline, slot.is_over());
        self.settle(index, deadline, is_over);
        None
    }

    /// Nothing can leave for want of a hardware address; what is due happens all the same, the end too.
    #[cold]
    fn wait_for_neighbour(&mut self, index: usize) {
        self.counters.no_neighbour += 1;
        let Some(slot) = self.table.slot_mut(index) else {
            return;
        };
        let now = self.now;
        slot.conn.wait(now, self.neighbours.lost_at(slot.neighbour));
        slot.deadline = match slot.conn.state() {
            State::Closed => u64::MAX,
            _ => now.saturating_add(NEIGHBOUR_RETRY_NS),
        };
        let (deadline, is_over) = (slot.deadline, slot.is_over());
        self.settle(index, deadline, is_over);
    }

    /// A connection has nothing to send now: its deadline counts, its events are told, and one that nobody
    /// wants any more gives up its place.
    #[inline]
    fn settle(&mut self, index: usize, deadline: u64, is_over: bool) {
        self.earliest = self.earliest.min(deadline);
        self.marked.remove(index);
        self.eventful.add(index);
        if is_over {
            self.free(index);
        }
    }

    /// Gives up a place.
    fn free(&mut self, index: usize) {
        let Some(slot) = self.table.slot(index) else {
            return;
        };
        let port = slot.conn.opening().local.port();
        self.half_open -= usize::from(!slot.is_known);
        let (first, last) = self.config.ports;
        if (first..=last).contains(&port) && !self.listeners.contains(&port) {
            self.ports.remove(usize::from(port - first));
        }
        self.table.unlink(index);
        self.eventful.remove(index);
        self.marked.remove(index);
    }

    /// Takes a connection's events for the application, which hears of a passive one only once it
    /// is confirmed.
    fn collect(&mut self, index: usize) -> Events {
        let Some(slot) = self.table.slot_mut(index).filter(|slot| slot.is_used) else {
            return Events::NONE;
        };
        let events = slot.conn.take_events();
        if !slot.is_known {
            if !events.has(Events::CONNECTED) {
                return Events::NONE;
            }
            slot.is_known = true;
            self.half_open -= 1;
        }
        if slot.is_released {
            Events::NONE
        } else {
            events
        }
    }

    fn write_reply(&mut self, reply: &Reply, frame: &mut [u8]) -> Option<usize> {
        self.counters.frames_out += 1;
        let source = self.config.host.mac;
        let (link, rest) = frame.split_first_chunk_mut::<ETHERNET_LEN>()?;
        match *reply {
            Reply::Arp(arp) => {
                *link = EthernetHeader {
                    target: arp.target_mac,
                    source,
                    kind: ethernet::ARP,
                }
                .bytes();
                let bytes = arp.bytes();
                rest.get_mut(..bytes.len())?.copy_from_slice(&bytes);
                Some(ETHERNET_LEN + bytes.len())
            }
            Reply::Reset {
                local,
                remote,
                mac,
                seq,
                ack,
            } => {
                *link = EthernetHeader {
                    target: mac,
                    source,
                    kind: ethernet::IPV4,
                }
                .bytes();
                let header = TcpHeader {
                    source_port: local.port(),
                    target_port: remote.port(),
                    seq,
                    ack: ack.unwrap_or_default(),
                    flags: ack.map_or(Flags::RST, |_| Flags::RST.with(Flags::ACK)),
                    ..TcpHeader::default()
                };
                let (network, segment) = rest.split_first_chunk_mut::<IPV4_LEN>()?;
                let len = header.write(segment)?;
                seal(segment.get_mut(..len)?, *local.ip(), *remote.ip());
                *network = Ipv4Header::bytes(*local.ip(), *remote.ip(), ipv4::TCP, len as u16);
                self.counters.resets_out += 1;
                Some(HEADERS_LEN + len)
            }
        }
    }
}
