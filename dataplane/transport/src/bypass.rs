//! The kernel's stack left out: our TCP over raw frames, behind the same trait as the kernel's.
//!
//! ```text
//!   lane ──open/send/close──▶ Bypass ──▶ dp_tcp::Stack ──reserve, write, submit, kick──▶ FrameIo
//!        ◀──next: Ready─────         ◀── on_frame ◀──────── poll, next (in place) ───────
//!                              Ways: who tells the way to a peer (the kernel's tables, or a test)
//! ```
//!
//! What arrives in order is handed out in the frame it arrived in; what came out of order is handed out of the
//! connection's own buffer once the gap is closed. An acknowledgement that is owed leaves with the order the
//! data caused, or with the next turn: never between the two, where its system call would hold the order up.
//!
//! Deliberately not here: IPv6, listening, and how frames come and go.

use crate::socket::SocketFault;
use crate::xdp::{Frame, FrameIo};
use crate::{
    Chunk, CloseReason, Counts, OpenError, Ready, SOCKETS_MAX, SendError, Socket, Transport,
};
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use dp_tcp::wire::ethernet::Mac;
use dp_tcp::{ConfigError, ConnId, Connection, Counters, End, Events, Host, Stack, StackConfig};
use dp_types::UnixNanos;
use std::collections::VecDeque;

/// Connections of the stack: as many again as sockets may be closing while new ones open.
pub const CONNECTIONS: usize = 2 * SOCKETS_MAX;
/// Marks a chunk that lies in a connection's own buffer; the rest of the number is the socket's slot.
const READABLE: u32 = 1 << 31;
/// A peer to which no way is found within this has not answered.
const WAY_NS_MAX: u64 = 3_000_000_000;

/// A change of the way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayEvent {
    /// Frames to this peer go to this next hop, which has this hardware address.
    Way {
        /// The peer.
        peer: Ipv4Addr,
        /// The router, or the peer itself.
        next_hop: Ipv4Addr,
        /// Its hardware address.
        mac: Mac,
        /// Octets of the largest IPv4 packet on this way.
        mtu: u16,
    },
    /// The next hop's hardware address is no longer known: connections wait.
    Lost(Ipv4Addr),
    /// The interface is another than it was: connections end.
    Changed {
        /// Who we are on it now.
        host: Host,
        /// Octets of the largest IPv4 packet.
        mtu: u16,
    },
}

/// Who tells the way to a peer, and has its frames come to us.
pub trait Ways {
    /// The peer's frames are to come to us from now on, and its way is to be told. Cold: may call the kernel.
    /// Errors: the kernel's.
    fn open(&mut self, peer: SocketAddrV4) -> Result<(), SocketFault>;
    /// One connection fewer with the peer, and the last frame to it was sent: to be called as often as
    /// [`Ways::open`]. Cold.
    fn close(&mut self, peer: SocketAddrV4);
    /// The next change. Never blocks.
    fn next(&mut self) -> Option<WayEvent>;
    /// What has changed so far.
    fn counters(&self) -> WayCounters {
        WayCounters::default()
    }
}

/// How often the ways have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WayCounters {
    /// Times the cable was pulled or the interface switched off.
    pub link_downs: u64,
    /// Times a next hop had another hardware address than before.
    pub neighbour_changes: u64,
}

/// What went on below the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BypassCounters {
    /// Frames that were none of ours, or broken.
    pub refused: u64,
    /// Chunks handed out in the frame they came in.
    pub in_place: u64,
    /// Chunks handed out of a connection's own buffer.
    pub gathered: u64,
    /// Turns in which a segment waited for a free frame.
    pub starved: u64,
    /// Times the interface changed under us.
    pub changes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Free,
    /// The way is being asked for, since then.
    Seeking(UnixNanos),
    Connecting,
    Open,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    phase: Phase,
    peer: SocketAddrV4,
    conn: Option<ConnId>,
    /// Bytes of the chunk of its own buffer that is out; 0 = none.
    lent: u32,
    /// It ends once everything readable was read.
    ending: Option<CloseReason>,
}

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Nobody,
    Slot(u16),
    /// Closed by us or told closed: it only says goodbye to this peer.
    Leaving(SocketAddrV4),
}

/// Sockets over raw frames. One thread; after construction nothing allocates but [`Transport::open`]'s ways.
pub struct Bypass<F, W> {
    frames: F,
    ways: W,
    config: StackConfig,
    stack: Stack,
    slots: Box<[Slot]>,
    holders: Box<[Holder]>,
    ready: VecDeque<Ready>,
    seeking: usize,
    now: UnixNanos,
    counters: BypassCounters,
    /// Counts of stacks that gave way to new ones: frames with bad checksums, and connections'.
    past: (u64, Counters),
}

impl<F: core::fmt::Debug, W> core::fmt::Debug for Bypass<F, W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bypass")
            .field("frames", &self.frames)
            .field("stack", &self.stack)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<F: FrameIo, W: Ways> Bypass<F, W> {
    /// Sockets over `frames`. `config.connections` is set to [`CONNECTIONS`].
    ///
    /// Cost: about half a MiB a connection. Errors: sizes that cannot work.
    pub fn new(frames: F, ways: W, mut config: StackConfig) -> Result<Self, ConfigError> {
        config.connections = CONNECTIONS;
        let slot = |_| Slot {
            generation: 0,
            phase: Phase::Free,
            peer: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            conn: None,
            lent: 0,
            ending: None,
        };
        Ok(Self {
            frames,
            ways,
            stack: Stack::new(&config)?,
            config,
            slots: (0..SOCKETS_MAX).map(slot).collect(),
            holders: vec![Holder::Nobody; CONNECTIONS].into_boxed_slice(),
            ready: VecDeque::with_capacity(8192),
            seeking: 0,
            now: UnixNanos(0),
            counters: BypassCounters::default(),
            past: (0, Counters::default()),
        })
    }

    /// The same sockets over the same frames with something around them: a watch, a recorder. Before the first
    /// frame goes through.
    pub fn map_frames<G: FrameIo>(self, wrap: impl FnOnce(F) -> G) -> Bypass<G, W> {
        Bypass {
            frames: wrap(self.frames),
            ways: self.ways,
            config: self.config,
            stack: self.stack,
            slots: self.slots,
            holders: self.holders,
            ready: self.ready,
            seeking: self.seeking,
            now: self.now,
            counters: self.counters,
            past: self.past,
        }
    }

    /// What went on below.
    pub const fn counters(&self) -> BypassCounters {
        self.counters
    }

    /// The frames, for their counters.
    pub const fn frames(&self) -> &F {
        &self.frames
    }

    /// The connection of a socket, for its counters and round trip.
    pub fn connection(&self, socket: Socket) -> Option<&Connection> {
        let slot = self.slots.get(usize::from(socket.slot))?;
        let is_live = slot.generation == socket.generation && slot.phase != Phase::Free;
        self.stack.conn(slot.conn.filter(|_| is_live)?)
    }

    fn slot_of(&mut self, socket: Socket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(socket.slot))?;
        (slot.generation == socket.generation && slot.phase != Phase::Free).then_some(slot)
    }

    fn socket(&self, at: u16) -> Option<Socket> {
        let slot = self.slots.get(usize::from(at))?;
        Some(Socket {
            slot: at,
            generation: slot.generation,
        })
    }

    fn hold(&mut self, conn: ConnId, holder: Holder) {
        if let Some(held) = self.holders.get_mut(conn.index()) {
            *held = holder;
        }
    }

    /// Frames with bad checksums, and counts of connections, of all stacks there were.
    fn totals(&self) -> (u64, Counters) {
        let (bad_checksums, mut totals) = self.past;
        totals.add(&self.stack.totals());
        (
            bad_checksums.wrapping_add(self.stack.counters().bad_checksums),
            totals,
        )
    }

    // ---- sending ------------------------------------------------------------------------------

    /// Has everything sent that can be: orders, acknowledgements, what a timer asks for.
    fn transmit(&mut self) {
        let mut has_sent = false;
        loop {
            let Some(frame) = self.frames.reserve() else {
                self.counters.starved += 1;
                break;
            };
            let Some(len) = self
                .stack
                .poll_transmit(self.now.0, self.frames.bytes(&frame))
            else {
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

    // ---- receiving ----------------------------------------------------------------------------

    fn receive(&mut self) {
        self.frames.poll(self.now);
        while let Some(frame) = self.frames.next() {
            let arrival = self.stack.on_frame(self.frames.bytes(&frame), self.now.0);
            let holder = arrival.conn.map(|conn| (conn, self.holder(conn)));
            let Some((conn, holder)) = holder else {
                self.counters.refused += u64::from(arrival.verdict != dp_tcp::Verdict::Taken);
                self.frames.release(frame);
                continue;
            };
            let socket = match holder {
                Holder::Slot(at) => self.socket(at),
                _ => None,
            };
            if arrival.events.has(Events::CONNECTED) {
                self.on_connected(holder);
            }
            if arrival.data.is_empty() {
                self.frames.release(frame);
            } else if let Some(socket) = socket {
                self.counters.in_place += 1;
                self.ready
                    .push_back(Ready::Bytes(socket, frame.into_chunk(arrival.data)));
            } else {
                // Data for nobody: the peer must not go on sending it.
                self.frames.release(frame);
                self.part(conn);
            }
            self.on_events(conn, holder, arrival.events);
        }
        while let Some((conn, events)) = self.stack.poll_event() {
            let holder = self.holder(conn);
            if events.has(Events::CONNECTED) {
                self.on_connected(holder);
            }
            self.on_events(conn, holder, events);
        }
    }

    fn holder(&self, conn: ConnId) -> Holder {
        let holder = self.holders.get(conn.index()).copied();
        match holder {
            Some(Holder::Slot(at)) => {
                let slot = self.slots.get(usize::from(at));
                let is_its = slot.is_some_and(|slot| slot.conn == Some(conn));
                if is_its {
                    Holder::Slot(at)
                } else {
                    Holder::Nobody
                }
            }
            other => other.unwrap_or(Holder::Nobody),
        }
    }

    fn on_connected(&mut self, holder: Holder) {
        let Holder::Slot(at) = holder else { return };
        let Some(socket) = self.socket(at) else {
            return;
        };
        if let Some(slot) = self.slot_of(socket) {
            slot.phase = Phase::Open;
            self.ready.push_back(Ready::Connected(socket));
        }
    }

    fn on_events(&mut self, conn: ConnId, holder: Holder, events: Events) {
        let Holder::Slot(at) = holder else {
            // It has said goodbye, or must: what it may still have to say interests nobody.
            if events.has(Events::ENDED) || events.has(Events::READABLE) {
                self.part(conn);
            }
            return;
        };
        if events.has(Events::READABLE) {
            self.lend(at);
        }
        let reason = if events.has(Events::ENDED) {
            self.stack
                .conn(conn)
                .and_then(Connection::end)
                .map_or(CloseReason::Peer, reason)
        } else if events.has(Events::PEER_CLOSED) {
            CloseReason::Peer
        } else {
            return;
        };
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        slot.ending.get_or_insert(reason);
        self.end_if_read(at);
    }

    /// Shows the lane what a connection's own buffer has, one piece at a time.
    fn lend(&mut self, at: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        if slot.lent > 0 || slot.phase == Phase::Free {
            return;
        }
        let conn = slot.conn.and_then(|conn| self.stack.conn_mut(conn));
        let len = conn.map_or(0, |conn| conn.readable().len() as u32);
        if len == 0 {
            return;
        }
        slot.lent = len;
        let socket = Socket {
            slot: at,
            generation: slot.generation,
        };
        let chunk = Chunk {
            buffer: READABLE | u32::from(at),
            start: slot.generation,
            len,
        };
        self.counters.gathered += 1;
        self.ready.push_back(Ready::Bytes(socket, chunk));
    }

    /// Tells the end of a socket once nothing of it is unread.
    fn end_if_read(&mut self, at: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        let Some(reason) = slot
            .ending
            .filter(|_| slot.lent == 0 && slot.phase != Phase::Free)
        else {
            return;
        };
        let socket = Socket {
            slot: at,
            generation: slot.generation,
        };
        self.let_go(at);
        self.ready.push_back(Ready::Closed(socket, reason));
    }

    /// The socket is no more; its connection says goodbye by itself.
    fn let_go(&mut self, at: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        self.seeking -= usize::from(matches!(slot.phase, Phase::Seeking(_)));
        slot.phase = Phase::Free;
        slot.generation = slot.generation.wrapping_add(1);
        slot.ending = None;
        slot.lent = 0;
        let (conn, peer) = (slot.conn.take(), slot.peer);
        if let Some(conn) = conn {
            self.hold(conn, Holder::Leaving(peer));
            let is_over = match self.stack.conn_mut(conn) {
                Some(connection)
                    if connection.readable_len() == 0 && connection.end().is_none() =>
                {
                    connection.close();
                    false
                }
                _ => true,
            };
            if is_over {
                self.part(conn);
            }
        } else {
            self.ways.close(peer);
        }
    }

    /// Nothing more is wanted of a connection that nobody has: the stack frees it, its peer is no more ours.
    fn part(&mut self, conn: ConnId) {
        self.stack.release(conn);
        if let Holder::Leaving(peer) = self.holder(conn) {
            self.ways.close(peer);
        }
        self.hold(conn, Holder::Nobody);
    }

    // ---- ways ---------------------------------------------------------------------------------

    fn hear_ways(&mut self) {
        while let Some(event) = self.ways.next() {
            match event {
                WayEvent::Way {
                    peer,
                    next_hop,
                    mac,
                    mtu,
                } => {
                    self.stack.set_neighbour(next_hop, Some(mac));
                    self.stack.redirect(peer, next_hop, mtu);
                    self.connect_all(peer, next_hop, mtu);
                }
                WayEvent::Lost(next_hop) => {
                    self.stack.set_neighbour(next_hop, None);
                }
                WayEvent::Changed { host, mtu } => {
                    self.config.host = host;
                    self.config.connection.mtu = mtu;
                    self.begin_anew();
                }
            }
        }
        if self.seeking > 0 {
            self.give_up_seeking();
        }
    }

    fn connect_all(&mut self, peer: Ipv4Addr, next_hop: Ipv4Addr, mtu: u16) {
        for at in 0..SOCKETS_MAX as u16 {
            let Some(slot) = self.slots.get_mut(usize::from(at)) else {
                return;
            };
            if !matches!(slot.phase, Phase::Seeking(_)) || *slot.peer.ip() != peer {
                continue;
            }
            self.seeking -= 1;
            let (venue, now) = (slot.peer, self.now.0);
            match self.stack.connect_via(venue, next_hop, mtu, now) {
                Ok(conn) => {
                    slot.phase = Phase::Connecting;
                    slot.conn = Some(conn);
                    self.hold(conn, Holder::Slot(at));
                }
                Err(_) => {
                    slot.phase = Phase::Connecting;
                    slot.ending = Some(CloseReason::Os(libc::EADDRNOTAVAIL));
                    self.end_if_read(at);
                }
            }
        }
    }

    fn give_up_seeking(&mut self) {
        let now = self.now;
        for at in 0..SOCKETS_MAX as u16 {
            let Some(slot) = self.slots.get_mut(usize::from(at)) else {
                return;
            };
            let Phase::Seeking(since) = &mut slot.phase else {
                continue;
            };
            // Opened before the first turn: no clock had been shown yet.
            if since.0 == 0 {
                *since = now;
            }
            if now.since(*since) > WAY_NS_MAX {
                slot.ending = Some(CloseReason::Os(libc::EHOSTUNREACH));
                self.end_if_read(at);
            }
        }
    }

    /// Cold: every connection ends, and a stack that knows the new interface takes the old one's place.
    fn begin_anew(&mut self) {
        self.counters.changes += 1;
        for at in 0..SOCKETS_MAX as u16 {
            let Some(slot) = self.slots.get_mut(usize::from(at)) else {
                return;
            };
            if slot.phase == Phase::Free {
                continue;
            }
            slot.lent = 0;
            slot.ending = Some(CloseReason::Os(libc::ENETRESET));
            self.end_if_read(at);
        }
        // Resets and farewells to whom they can still be said.
        self.transmit();
        if let Ok(mut stack) = Stack::new(&self.config) {
            stack.continue_ports(&self.stack);
            self.past = self.totals();
            self.stack = stack;
        }
        for holder in &mut self.holders {
            if let Holder::Leaving(peer) = core::mem::replace(holder, Holder::Nobody) {
                self.ways.close(peer);
            }
        }
    }
}

const fn reason(end: End) -> CloseReason {
    match end {
        End::Closed => CloseReason::Peer,
        End::Refused => CloseReason::Os(libc::ECONNREFUSED),
        End::Reset => CloseReason::Os(libc::ECONNRESET),
        End::TimedOut => CloseReason::Os(libc::ETIMEDOUT),
        End::Aborted => CloseReason::Os(libc::ECONNABORTED),
    }
}

impl<F: FrameIo, W: Ways> Transport for Bypass<F, W> {
    fn name(&self) -> &'static str {
        self.frames.name()
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        self.frames.steady_syscalls()
    }

    fn cold_syscalls(&self) -> &'static [&'static str] {
        // A flow steered or let go, a word to the monitor's thread, and parking.
        &["bpf", "write", "ppoll"]
    }

    fn open(&mut self, peer: SocketAddr) -> Result<Socket, OpenError> {
        let SocketAddr::V4(peer) = peer else {
            return Err(OpenError::Socket(SocketFault::Os {
                what: "IPv6 over raw frames",
                errno: libc::EAFNOSUPPORT,
            }));
        };
        let free = self.slots.iter().position(|slot| slot.phase == Phase::Free);
        let at = free.ok_or(OpenError::TooMany)?;
        self.ways.open(peer)?;
        let now = self.now;
        let slot = self.slots.get_mut(at).ok_or(OpenError::TooMany)?;
        slot.phase = Phase::Seeking(now);
        slot.peer = peer;
        self.seeking += 1;
        Ok(Socket {
            slot: at as u16,
            generation: slot.generation,
        })
    }

    fn room(&mut self, socket: Socket) -> usize {
        self.connection(socket).map_or(0, Connection::send_room)
    }

    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError> {
        let slot = self
            .slot_of(socket)
            .filter(|slot| slot.phase == Phase::Open);
        let conn = slot
            .and_then(|slot| slot.conn)
            .ok_or(SendError::NotConnected)?;
        let conn = self.stack.conn_mut(conn).ok_or(SendError::NotConnected)?;
        if conn.send_room() < bytes.len() {
            return Err(SendError::Full);
        }
        conn.send(bytes);
        self.transmit();
        Ok(())
    }

    fn close(&mut self, socket: Socket) {
        if self.slot_of(socket).is_some() {
            self.let_go(socket.slot);
            self.transmit();
        }
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        self.now = self.now.max(now);
        // What the last turn left: acknowledgements nobody's order took along, and what is due.
        self.transmit();
        self.hear_ways();
        self.receive();
        self.ready.len()
    }

    fn next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        if chunk.buffer & READABLE == 0 {
            return self.frames.bytes(&Frame::of(chunk));
        }
        let slot = self.slots.get((chunk.buffer & !READABLE) as usize);
        let slot = slot.filter(|slot| slot.generation == chunk.start && slot.lent == chunk.len);
        let conn = slot.and_then(|slot| slot.conn);
        let readable = conn
            .and_then(|conn| self.stack.conn_mut(conn))
            .map(Connection::readable);
        readable
            .and_then(|bytes| bytes.get_mut(..chunk.len as usize))
            .unwrap_or_default()
    }

    fn release(&mut self, chunk: Chunk) {
        if chunk.buffer & READABLE == 0 {
            self.frames.release(Frame::from_chunk(chunk));
            return;
        }
        let at = (chunk.buffer & !READABLE) as u16;
        let slot = self.slots.get_mut(usize::from(at));
        let slot = slot.filter(|slot| slot.generation == chunk.start && slot.lent == chunk.len);
        let Some(slot) = slot else { return };
        slot.lent = 0;
        if let Some(conn) = slot.conn.and_then(|conn| self.stack.conn_mut(conn)) {
            conn.consume(chunk.len as usize);
        }
        self.lend(at);
        self.end_if_read(at);
    }

    fn park(&mut self, timeout_ns: u64) {
        self.transmit();
        let due = self.stack.next_deadline().unwrap_or(u64::MAX);
        let until_due = due.saturating_sub(self.now.0);
        self.frames.park(timeout_ns.min(until_due));
    }

    fn counts(&mut self) -> Counts {
        let (bad_checksums, tcp) = self.totals();
        let (frames, ways) = (self.frames.counters(), self.ways.counters());
        Counts {
            frames_in: frames.rx_frames,
            frames_out: frames.tx_frames,
            frames_refused: self.counters.refused,
            frames_dropped: self.frames.dropped(),
            bad_checksums,
            retransmits: tcp.retransmits,
            timeouts: tcp.timeouts,
            sack_blocks: tcp.sack_blocks_in,
            out_of_order: tcp.out_of_order_in,
            link_downs: ways.link_downs,
            link_changes: self.counters.changes,
            neighbour_changes: ways.neighbour_changes,
        }
    }
}

#[cfg(test)]
mod tests;
