//! Kernel TCP by plain system calls, spun: `recv` until something comes.
//!
//! For one or two talking sockets on a core of their own it is the quickest way through the kernel (a
//! round trip of 14.5 us against 16.6 of io_uring, veth, where this was chosen); every further socket costs
//! an empty `recv`, some 0.4 us a turn. So only the [`HOT`] sockets that were heard last are looked at
//! each turn, the others every [`COLD_TURNS`] turns: the REST link of a lane costs next to nothing and is
//! heard some microseconds later.
//!
//! ```text
//!   order of looking:  last heard ▶ feed  orders │ rest …        a socket that speaks moves to the front
//!                                  every turn    │ every 64th
//! ```
//! A turn ends with the first piece received: what it caused leaves before the next is asked for. The next turn
//! asks the other hot socket first, so that none starves.
//! Source: recv(2), send(2), connect(2).

use crate::acks::Acks;
use crate::arena::{Arena, Pages};
use crate::bits::{bit, bits};
use crate::socket::{SocketFault, offer, trading_socket};
use crate::tx::TxRing;
use crate::{
    CHUNK_BYTES, CONNECT_NS_MAX, Chunk, CloseReason, OpenError, Ready, SOCKETS_MAX, SendError,
    Socket, TX_BYTES_MAX, Transport,
};
use dp_types::UnixNanos;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::socket::{
    MsgFlags, Shutdown, SockaddrStorage, connect, getsockopt, recv, shutdown, sockopt,
};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

/// Sockets looked at each turn: a feed and its orders.
const HOT: usize = 2;
/// Turns between two looks at the others: some 50 us.
const COLD_TURNS: u32 = 64;
/// Chunks that can be out at once.
const CHUNKS: u32 = 64;
const _: () = assert!(CHUNKS <= u64::BITS && SOCKETS_MAX <= u64::BITS as usize);

/// Plain sockets, spun. Made and used on one thread.
#[derive(Debug)]
pub struct Sockets {
    rx: Arena,
    /// One [`TX_BYTES_MAX`] piece a slot: what the kernel did not take at once.
    tx: Arena,
    /// Chunks that are out, one bit each.
    out: u64,
    slots: Box<[Slot]>,
    /// Slots of open connections, the last heard first.
    open: Vec<u16>,
    /// Slots whose handshake runs.
    connecting: u64,
    /// Slots with bytes the kernel did not take yet.
    blocked: u64,
    turn: u32,
    acks: Acks,
    /// Looks at the sockets that are not hot; the next one begins so far on.
    cold: usize,
    ready: VecDeque<Ready>,
}

#[derive(Debug)]
struct Slot {
    /// `None` = free.
    fd: Option<OwnedFd>,
    generation: u32,
    is_open: bool,
    tx: TxRing,
    /// When a connect has taken too long; 0 until the first poll has told the time.
    connect_by: UnixNanos,
}

/// What one look at a socket brought.
enum Look {
    Nothing,
    Heard,
}

impl Sockets {
    /// Bytes of memory it takes, for plans.
    pub const BYTES: usize = CHUNKS as usize * CHUNK_BYTES + SOCKETS_MAX * TX_BYTES_MAX;

    /// With its memory anywhere. Cost: milliseconds. Errors: no memory.
    pub fn new() -> Result<Self, SocketFault> {
        Self::on_node(None)
    }

    /// The same with its memory on a node. Errors: also when the machine has no such node.
    pub fn on_node(node: Option<u16>) -> Result<Self, SocketFault> {
        let memory = |error: crate::ArenaError| SocketFault::Os {
            what: "memory for buffers",
            errno: error.errno,
        };
        let slot = |_| Slot {
            fd: None,
            generation: 0,
            is_open: false,
            tx: TxRing::new(),
            connect_by: UnixNanos(0),
        };
        Ok(Self {
            rx: Arena::on_node(CHUNKS as usize * CHUNK_BYTES, node).map_err(memory)?,
            tx: Arena::on_node(SOCKETS_MAX * TX_BYTES_MAX, node).map_err(memory)?,
            out: 0,
            slots: (0..SOCKETS_MAX).map(slot).collect(),
            open: Vec::with_capacity(SOCKETS_MAX),
            connecting: 0,
            blocked: 0,
            turn: 0,
            acks: Acks::default(),
            cold: 0,
            // Each socket may have connected, spoken and ended in one turn.
            ready: VecDeque::with_capacity(4 * SOCKETS_MAX),
        })
    }

    /// What the receive and send buffers live on.
    pub const fn pages(&mut self) -> (Pages, Pages) {
        (self.rx.pages(), self.tx.pages())
    }

    /// The node both are on; `None` = they are on several, or the kernel does not say.
    pub fn node(&mut self) -> Option<u16> {
        let node = self.rx.node();
        node.filter(|node| self.tx.node() == Some(*node))
    }

    fn slot(&mut self, socket: Socket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(socket.slot))?;
        (slot.generation == socket.generation && slot.fd.is_some()).then_some(slot)
    }

    fn socket(&self, at: usize) -> Socket {
        let generation = self.slots[at].generation;
        let slot = at as u16;
        Socket { slot, generation }
    }

    fn stands(&mut self, at: usize) {
        self.connecting &= !bit(at);
        self.slots[at].is_open = true;
        self.open.push(at as u16);
        let socket = self.socket(at);
        self.ready.push_back(Ready::Connected(socket));
    }

    /// The connection ended by itself.
    fn fail(&mut self, at: usize, reason: CloseReason) {
        let socket = self.socket(at);
        self.ready.push_back(Ready::Closed(socket, reason));
        self.let_go(at);
    }

    /// Closes a slot's file; its id is dead.
    fn let_go(&mut self, at: usize) {
        self.connecting &= !bit(at);
        self.blocked &= !bit(at);
        self.acks.settled(at);
        self.open.retain(|open| usize::from(*open) != at);
        let slot = &mut self.slots[at];
        slot.is_open = false;
        if let Some(fd) = slot.fd.take() {
            let _ = shutdown(fd.as_raw_fd(), Shutdown::Both);
        }
    }

    /// Receives once, into a free chunk.
    fn look(&mut self, at: usize) -> Look {
        let free = (!self.out).trailing_zeros();
        if free >= CHUNKS {
            return Look::Nothing;
        }
        let Some(fd) = self.slots[at].fd.as_ref().map(OwnedFd::as_raw_fd) else {
            return Look::Nothing;
        };
        let start = free as usize * CHUNK_BYTES;
        let buffer = self.rx.slice_mut(start..start + CHUNK_BYTES);
        match recv(fd, buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => self.fail(at, CloseReason::Peer),
            Ok(len) => {
                self.out |= 1 << free;
                self.acks.heard(at);
                let chunk = Chunk {
                    buffer: free,
                    start: 0,
                    len: len as u32,
                };
                let socket = self.socket(at);
                self.ready.push_back(Ready::Bytes(socket, chunk));
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return Look::Nothing,
            Err(errno) => self.fail(at, CloseReason::Os(errno as i32)),
        }
        Look::Heard
    }

    /// Looks at open sockets in their order until one has something.
    fn look_around(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        let hot = self.open.len().min(HOT);
        // The quiet ones first on their turn: a talkative one would end it before them.
        if self.turn.is_multiple_of(COLD_TURNS) && self.look_at_cold(hot) {
            return;
        }
        // Of the hot ones the one that was heard last comes last.
        for at in (0..hot).rev() {
            if self.has_heard(at) {
                return;
            }
        }
    }

    /// Looks at the sockets from `hot` on, each time from the next one: one among them that talks all the time
    /// would end every look before those behind it. True when one spoke.
    fn look_at_cold(&mut self, hot: usize) -> bool {
        self.cold = self.cold.wrapping_add(1);
        let count = self.open.len().saturating_sub(hot);
        (0..count).any(|step| self.has_heard(hot + self.cold.wrapping_add(step) % count))
    }

    /// Looks at the socket at `at` of the order; true when it spoke.
    fn has_heard(&mut self, at: usize) -> bool {
        let Some(slot) = self.open.get(at).copied() else {
            return false;
        };
        let is_heard = matches!(self.look(usize::from(slot)), Look::Heard);
        if is_heard {
            self.heard(at);
        }
        is_heard
    }

    /// The socket at `at` of the order spoke: it goes to the front.
    fn heard(&mut self, at: usize) {
        // It may have ended, and be gone from the order.
        if let Some(before) = self.open.get_mut(..=at) {
            before.rotate_right(1);
        }
    }

    /// Handshakes under way, one look each.
    fn tend_connecting(&mut self, now: UnixNanos) {
        for at in bits(self.connecting) {
            let slot = &mut self.slots[at];
            let Some(fd) = &slot.fd else { continue };
            let mut one = [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)];
            if matches!(poll(&mut one, PollTimeout::ZERO), Ok(1..)) {
                match getsockopt(fd, sockopt::SocketError) {
                    Ok(0) => self.stands(at),
                    Ok(errno) => self.fail(at, CloseReason::Os(errno)),
                    Err(errno) => self.fail(at, CloseReason::Os(errno as i32)),
                }
            } else if slot.connect_by == UnixNanos(0) {
                slot.connect_by = now.after(CONNECT_NS_MAX);
            } else if now > slot.connect_by {
                self.fail(at, CloseReason::Os(libc::ETIMEDOUT));
            }
        }
    }

    /// Offers the kernel what it did not take before.
    fn tend_blocked(&mut self) {
        for at in bits(self.blocked) {
            self.push_out(at);
        }
    }

    fn push_out(&mut self, at: usize) {
        loop {
            let slot = &mut self.slots[at];
            let front = slot.tx.front();
            let Some(fd) = slot.fd.as_ref().filter(|_| !front.is_empty()) else {
                self.blocked &= !bit(at);
                return;
            };
            let base = at * TX_BYTES_MAX;
            let bytes = self.tx.slice(base + front.start..base + front.end);
            match offer(fd.as_raw_fd(), bytes) {
                Ok(0) => return,
                Ok(taken) => slot.tx.pop(taken),
                Err(errno) => {
                    self.fail(at, CloseReason::Os(errno as i32));
                    return;
                }
            }
        }
    }
}

impl Transport for Sockets {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        &["recvfrom", "sendto", "setsockopt", "ppoll"]
    }

    fn cold_syscalls(&self) -> &'static [&'static str] {
        // Whether a handshake is done.
        &["poll"]
    }

    fn open(&mut self, peer: SocketAddr) -> Result<Socket, OpenError> {
        let at = self.slots.iter().position(|slot| slot.fd.is_none());
        let at = at.ok_or(OpenError::TooMany)?;
        let fd = trading_socket(&peer)?;
        let result = connect(fd.as_raw_fd(), &SockaddrStorage::from(peer));
        let slot = &mut self.slots[at];
        slot.fd = Some(fd);
        slot.generation = slot.generation.wrapping_add(1);
        slot.is_open = false;
        slot.tx = TxRing::new();
        slot.connect_by = UnixNanos(0);
        let socket = self.socket(at);
        match result {
            Ok(()) => self.stands(at),
            Err(Errno::EINPROGRESS | Errno::EINTR) => self.connecting |= bit(at),
            Err(errno) => self.fail(at, CloseReason::Os(errno as i32)),
        }
        Ok(socket)
    }

    fn room(&mut self, socket: Socket) -> usize {
        let slot = self.slot(socket).filter(|slot| slot.is_open);
        slot.map_or(0, |slot| slot.tx.room())
    }

    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError> {
        let slot = self.slot(socket).filter(|slot| slot.is_open);
        let slot = slot.ok_or(SendError::NotConnected)?;
        if bytes.len() > slot.tx.room() {
            return Err(SendError::Full);
        }
        let at = usize::from(socket.slot);
        let mut taken = 0;
        self.acks.settled(at);
        let slot = &mut self.slots[at];
        if slot.tx.is_empty()
            && let Some(fd) = &slot.fd
        {
            match offer(fd.as_raw_fd(), bytes) {
                Ok(count) => taken = count,
                Err(errno) => {
                    self.fail(at, CloseReason::Os(errno as i32));
                    return Ok(());
                }
            }
        }
        let (_, rest) = bytes.split_at(taken);
        if !rest.is_empty() {
            let slot = &mut self.slots[at];
            let (first, second) = slot.tx.push(rest.len()).ok_or(SendError::Full)?;
            let (head, tail) = rest.split_at(first.len());
            let base = at * TX_BYTES_MAX;
            for (range, from) in [(first, head), (second, tail)] {
                let range = base + range.start..base + range.end;
                self.tx.slice_mut(range).copy_from_slice(from);
            }
            self.blocked |= bit(at);
        }
        Ok(())
    }

    fn close(&mut self, socket: Socket) {
        if self.slot(socket).is_some() {
            self.let_go(usize::from(socket.slot));
        }
        // What was queued before is nobody's any more; the chunks go back.
        for _ in 0..self.ready.len() {
            match self.ready.pop_front() {
                Some(Ready::Bytes(of, chunk)) if of == socket => self.release(chunk),
                Some(Ready::Connected(of) | Ready::Closed(of, _)) if of == socket => {}
                Some(other) => self.ready.push_back(other),
                None => break,
            }
        }
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        if self.connecting != 0 {
            self.tend_connecting(now);
        }
        if self.blocked != 0 {
            self.tend_blocked();
        }
        // A lane that left things lying takes them first: what is told stays bounded.
        if self.ready.len() <= SOCKETS_MAX {
            self.look_around();
        }
        let (slots, is_quiet) = (&self.slots, self.ready.is_empty());
        self.acks.tend(now, is_quiet, |at| {
            let slot = slots.get(at).filter(|slot| slot.is_open)?;
            slot.fd.as_ref()
        });
        self.ready.len()
    }

    fn next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        if chunk.buffer >= CHUNKS || self.out & (1 << chunk.buffer) == 0 {
            return &mut [];
        }
        let end = (chunk.start.saturating_add(chunk.len) as usize).min(CHUNK_BYTES);
        let start = (chunk.start as usize).min(end);
        let base = chunk.buffer as usize * CHUNK_BYTES;
        self.rx.slice_mut(base + start..base + end)
    }

    fn release(&mut self, chunk: Chunk) {
        if chunk.buffer < CHUNKS {
            self.out &= !(1 << chunk.buffer);
        }
    }

    fn park(&mut self, timeout_ns: u64) {
        if !self.ready.is_empty() {
            return;
        }
        let can_take = (!self.out).trailing_zeros() < CHUNKS;
        let wants_out = self.blocked | self.connecting;
        let held = self.slots.iter().enumerate();
        let held = held.filter_map(|(at, slot)| Some((at, slot.fd.as_ref()?)));
        let mut held = held.map(|(at, fd)| {
            // Without a chunk to receive into, what waits must not wake it over and over.
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, can_take);
            flags.set(PollFlags::POLLOUT, wants_out & bit(at) != 0);
            PollFd::new(fd.as_fd(), flags)
        });
        let time = TimeSpec::from_duration(core::time::Duration::from_nanos(timeout_ns));
        // Whatever the kernel says, the caller's next turn looks at everything.
        if let Some(first) = held.next() {
            let mut count = 1;
            let mut waits: [PollFd<'_>; SOCKETS_MAX] = core::array::from_fn(|_| first.clone());
            for (wait, one) in waits[1..].iter_mut().zip(held) {
                *wait = one;
                count += 1;
            }
            let _ = ppoll(&mut waits[..count], Some(time), None);
        } else {
            let _ = ppoll(&mut [], Some(time), None);
        }
        self.turn = COLD_TURNS - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    fn pair(sockets: &mut Sockets, listener: &TcpListener) -> (Socket, TcpStream) {
        let socket = sockets.open(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        while sockets.poll(UnixNanos(1)) == 0 {}
        assert_eq!(sockets.next(), Some(Ready::Connected(socket)));
        (socket, stream)
    }

    /// Whom the next turn hears.
    fn heard(sockets: &mut Sockets) -> Option<Socket> {
        sockets.poll(UnixNanos(1));
        let ready = sockets.next();
        assert_eq!(sockets.next(), None, "one piece a turn");
        match ready? {
            Ready::Bytes(socket, chunk) => {
                sockets.release(chunk);
                Some(socket)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_starves_and_who_speaks_becomes_hot() {
        let mut sockets = Sockets::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut all = [(); 4].map(|()| pair(&mut sockets, &listener));
        let ids = all.each_ref().map(|(socket, _)| *socket);
        // The first was opened first and never speaks. Once both of the next two were heard they take turns.
        for (at, (_, stream)) in (1..).zip(&mut all[1..3]) {
            stream.write_all(b"x").unwrap();
            let mut turns = 0..COLD_TURNS;
            assert!(turns.any(|_| heard(&mut sockets) == Some(ids[at])));
        }
        for (_, stream) in &mut all[1..3] {
            stream.write_all(&vec![1; 1 << 20]).unwrap();
        }
        let first: Vec<_> = (0..8).map(|_| heard(&mut sockets).unwrap()).collect();
        assert!(first.windows(2).all(|two| two[0] != two[1]), "{first:?}");
        // Two that speak in turn are both hot, whichever was opened first and never spoke.
        assert!(
            all[1..3]
                .iter()
                .all(|(socket, _)| sockets.open[..HOT].contains(&socket.slot))
        );
        // A quiet one is heard all the same, soon, and is hot from then on.
        all[0].1.write_all(b"x").unwrap();
        let mut turns = 0..COLD_TURNS;
        let is_heard = turns.any(|_| heard(&mut sockets) == Some(ids[0]));
        assert!(is_heard);
        assert!(sockets.open[..HOT].contains(&ids[0].slot));
        // Nor does one starve behind three that talk all the time, wherever it stands.
        for _ in 0..3 {
            // Last in the order, behind a cold one that talks.
            sockets.open.retain(|slot| *slot != ids[0].slot);
            sockets.open.push(ids[0].slot);
            all[0].1.write_all(b"x").unwrap();
            let mut turns = 0..3 * COLD_TURNS;
            assert!(turns.any(|_| {
                let talkers = all[1..].iter_mut();
                talkers.for_each(|(_, stream)| stream.write_all(b"y").unwrap());
                heard(&mut sockets) == Some(ids[0])
            }));
        }
        // One that has ended is out of the order.
        sockets.close(ids[0]);
        assert!(!sockets.open.contains(&ids[0].slot) && sockets.open.len() == 3);
        assert_eq!(sockets.send(ids[0], b"x"), Err(SendError::NotConnected));
    }
}
