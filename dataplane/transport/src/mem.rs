//! Pipes in memory: the transport of tests and simulation. Whoever plays the venue holds the other end.
//!
//! ```text
//!   lane ──send──▶ out ──sent──▶ venue       at once
//!   lane ◀──next── ready ◀──deliver── venue  after `delay_ns` of the lane's time, cut into chunks
//! ```
//!
//! Nothing allocates but `open`; nothing reads a clock; the same seed cuts the same way.

use crate::{
    CHUNK_BYTES, Chunk, CloseReason, Group, OpenError, Ready, SOCKETS_MAX, SendError, Socket,
    TX_BYTES_MAX, Transport,
};
use dp_types::UnixNanos;
use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};

/// Chunks in flight at once.
const CHUNKS: u32 = 64;
/// Things on their way to the lane at once: every chunk, and each socket's beginning and end.
const READY_MAX: usize = CHUNKS as usize + 2 * SOCKETS_MAX;

/// How a [`Mem`] behaves. The default is the plain one: no delay, chunks as large as they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemOptions {
    /// Nanoseconds of the lane's time between the venue's doing and the lane's hearing of it.
    pub delay_ns: u64,
    /// Bytes of the largest chunk; below [`CHUNK_BYTES`] each is of a random size up to it.
    pub chunk_bytes_max: usize,
    /// What the random sizes are made from.
    pub seed: u64,
}

impl Default for MemOptions {
    fn default() -> Self {
        Self {
            delay_ns: 0,
            chunk_bytes_max: CHUNK_BYTES,
            seed: 1,
        }
    }
}

#[derive(Debug)]
struct Pipe {
    peer: SocketAddr,
    generation: u32,
    is_open: bool,
    /// A multicast group the lane hears; its address is the peer.
    is_group: bool,
    /// Bytes from the lane to the venue.
    out: Vec<u8>,
}

/// An in-memory transport. The venue's end is reached through [`Mem::opened`], [`Mem::sent`],
/// [`Mem::deliver`] and [`Mem::hang_up`]; of groups through [`Mem::datagram`].
#[derive(Debug)]
pub struct Mem {
    options: MemOptions,
    random: u64,
    is_refusing: bool,
    now: UnixNanos,
    pipes: Vec<Pipe>,
    /// With the time each is due, in that order.
    ready: VecDeque<(UnixNanos, Ready)>,
    chunks: Vec<Vec<u8>>,
    free: Vec<u32>,
}

impl Default for Mem {
    fn default() -> Self {
        Self::new()
    }
}

impl Mem {
    /// No pipes yet; no delay, no cutting.
    pub fn new() -> Self {
        Self::with(MemOptions::default())
    }

    /// No pipes yet.
    pub fn with(options: MemOptions) -> Self {
        Self {
            random: options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            options,
            is_refusing: false,
            now: UnixNanos(0),
            pipes: Vec::with_capacity(SOCKETS_MAX),
            ready: VecDeque::with_capacity(READY_MAX),
            chunks: (0..CHUNKS).map(|_| vec![0; CHUNK_BYTES]).collect(),
            free: (0..CHUNKS).rev().collect(),
        }
    }

    /// Sockets the lane has open, and to whom.
    pub fn opened(&self) -> impl Iterator<Item = (Socket, SocketAddr)> + '_ {
        let open = self
            .pipes
            .iter()
            .enumerate()
            .filter(|(_, pipe)| pipe.is_open && !pipe.is_group);
        open.map(|(slot, pipe)| (pipe.socket(slot), pipe.peer))
    }

    /// Moves what the lane has sent on a socket, which may have ended since, to the end of `into`.
    pub fn sent(&mut self, socket: Socket, into: &mut Vec<u8>) {
        if let Some(pipe) = self.pipes.get_mut(usize::from(socket.slot))
            && pipe.generation == socket.generation
        {
            into.append(&mut pipe.out);
        }
    }

    /// Hands bytes to the lane, as one chunk or several. Returns how many were taken: fewer than
    /// offered when no chunk is free (the lane does not read), none on a socket that is not open.
    pub fn deliver(&mut self, socket: Socket, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.pipe(socket).is_some() {
            let Some(buffer) = self.free.pop() else { break };
            let (piece, later) = rest.split_at(self.cut().min(rest.len()));
            rest = later;
            self.chunks[buffer as usize][..piece.len()].copy_from_slice(piece);
            let len = piece.len() as u32;
            let start = 0;
            self.tell(Ready::Bytes(socket, Chunk { buffer, start, len }));
        }
        bytes.len() - rest.len()
    }

    /// Sends a datagram to a group, whole. Lost, as on a wire, where the lane does not hear the group, has no chunk
    /// free, or it is longer than [`CHUNK_BYTES`].
    pub fn datagram(&mut self, group: SocketAddrV4, bytes: &[u8]) {
        let hears = |pipe: &Pipe| pipe.is_open && pipe.is_group && pipe.peer == group.into();
        let Some(at) = self.pipes.iter().position(hears) else {
            return;
        };
        let socket = self.pipes[at].socket(at);
        if bytes.len() > CHUNK_BYTES || bytes.is_empty() {
            return;
        }
        let Some(buffer) = self.free.pop() else {
            return;
        };
        self.chunks[buffer as usize][..bytes.len()].copy_from_slice(bytes);
        let (start, len) = (0, bytes.len() as u32);
        self.tell(Ready::Bytes(socket, Chunk { buffer, start, len }));
    }

    /// The venue ends the connection.
    pub fn hang_up(&mut self, socket: Socket) {
        self.cut_off(socket, CloseReason::Peer);
    }

    /// The connection ends, for a reason of the caller's choice. Bytes delivered before still come.
    pub fn cut_off(&mut self, socket: Socket, reason: CloseReason) {
        if let Some(pipe) = self.pipe(socket) {
            pipe.is_open = false;
            self.tell(Ready::Closed(socket, reason));
        }
    }

    /// While true, connections are refused.
    pub const fn set_refusing(&mut self, is_refusing: bool) {
        self.is_refusing = is_refusing;
    }

    /// A free pipe to a peer, open from now on.
    fn take_pipe(&mut self, peer: SocketAddr, is_group: bool) -> Result<Socket, OpenError> {
        let free = self.pipes.iter().position(|pipe| !pipe.is_open);
        let at = free.unwrap_or(self.pipes.len());
        if at == SOCKETS_MAX {
            return Err(OpenError::TooMany);
        }
        if at == self.pipes.len() {
            self.pipes.push(Pipe {
                peer,
                generation: 0,
                is_open: false,
                is_group,
                out: Vec::with_capacity(TX_BYTES_MAX),
            });
        }
        let pipe = &mut self.pipes[at];
        pipe.peer = peer;
        pipe.is_group = is_group;
        pipe.generation = pipe.generation.wrapping_add(1);
        pipe.is_open = true;
        pipe.out.clear();
        Ok(pipe.socket(at))
    }

    fn pipe(&mut self, socket: Socket) -> Option<&mut Pipe> {
        let pipe = self.pipes.get_mut(usize::from(socket.slot))?;
        (pipe.is_open && pipe.generation == socket.generation).then_some(pipe)
    }

    fn tell(&mut self, ready: Ready) {
        let due = self.now.after(self.options.delay_ns);
        self.ready.push_back((due, ready));
    }

    /// Size of the next chunk.
    const fn cut(&mut self) -> usize {
        let max = self.options.chunk_bytes_max;
        if max >= CHUNK_BYTES || max == 0 {
            return CHUNK_BYTES;
        }
        // xorshift64: spread, not secrecy.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        1 + (self.random % max as u64) as usize
    }
}

impl Pipe {
    const fn socket(&self, slot: usize) -> Socket {
        Socket {
            slot: slot as u16,
            generation: self.generation,
        }
    }
}

impl Transport for Mem {
    fn name(&self) -> &'static str {
        "mem"
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        &[]
    }

    fn open(&mut self, peer: SocketAddr) -> Result<Socket, OpenError> {
        let socket = self.take_pipe(peer, false)?;
        if self.is_refusing {
            self.cut_off(socket, CloseReason::Os(libc::ECONNREFUSED));
        } else {
            self.tell(Ready::Connected(socket));
        }
        Ok(socket)
    }

    fn join(&mut self, group: &Group) -> Result<Socket, OpenError> {
        self.take_pipe(group.at.into(), true)
    }

    fn room(&mut self, socket: Socket) -> usize {
        let pipe = self.pipe(socket).filter(|pipe| !pipe.is_group);
        pipe.map_or(0, |pipe| TX_BYTES_MAX - pipe.out.len())
    }

    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError> {
        let pipe = self.pipe(socket).filter(|pipe| !pipe.is_group);
        let pipe = pipe.ok_or(SendError::NotConnected)?;
        if bytes.len() > TX_BYTES_MAX - pipe.out.len() {
            return Err(SendError::Full);
        }
        pipe.out.extend_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self, socket: Socket) {
        if let Some(pipe) = self.pipe(socket) {
            pipe.is_open = false;
        }
        for _ in 0..self.ready.len() {
            match self.ready.pop_front() {
                Some((_, Ready::Bytes(of, chunk))) if of == socket => self.release(chunk),
                Some((_, Ready::Connected(of) | Ready::Closed(of, _))) if of == socket => {}
                Some(other) => self.ready.push_back(other),
                None => break,
            }
        }
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        self.now = self.now.max(now);
        self.ready
            .iter()
            .take_while(|(due, _)| *due <= self.now)
            .count()
    }

    fn next(&mut self) -> Option<Ready> {
        let (due, _) = self.ready.front()?;
        if *due > self.now {
            return None;
        }
        self.ready.pop_front().map(|(_, ready)| ready)
    }

    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        let range = chunk.start as usize..(chunk.start + chunk.len) as usize;
        let bytes = self.chunks.get_mut(chunk.buffer as usize);
        bytes
            .and_then(|bytes| bytes.get_mut(range))
            .unwrap_or_default()
    }

    fn release(&mut self, chunk: Chunk) {
        debug_assert!(
            !self.free.contains(&chunk.buffer),
            "not a chunk of this transport"
        );
        self.free.push(chunk.buffer);
    }

    /// Nothing to sleep on: time is the caller's.
    fn park(&mut self, _timeout_ns: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer() -> SocketAddr {
        "127.0.0.1:1".parse().unwrap()
    }

    #[test]
    fn bytes_go_both_ways_and_chunks_come_back() {
        let mut mem = Mem::new();
        let socket = mem.open(peer()).unwrap();
        assert_eq!(mem.next(), Some(Ready::Connected(socket)));
        mem.send(socket, b"abc").unwrap();
        let mut sent = Vec::new();
        mem.sent(socket, &mut sent);
        assert_eq!(sent, b"abc");
        for _ in 0..500 {
            assert_eq!(mem.deliver(socket, b"xyz"), 3);
            let Some(Ready::Bytes(_, chunk)) = mem.next() else {
                panic!("no bytes")
            };
            assert_eq!(mem.bytes(&chunk), b"xyz");
            mem.release(chunk);
        }
        mem.close(socket);
        assert_eq!(mem.send(socket, b"x"), Err(SendError::NotConnected));
        assert_eq!(mem.deliver(socket, b"x"), 0);
    }

    #[test]
    fn nothing_is_told_of_a_closed_socket_and_its_chunks_come_back() {
        let mut mem = Mem::new();
        for _ in 0..10 {
            let socket = mem.open(peer()).unwrap();
            let all = vec![1; CHUNKS as usize * CHUNK_BYTES + 1];
            assert_eq!(mem.deliver(socket, &all), all.len() - 1);
            mem.hang_up(socket);
            mem.close(socket);
            assert_eq!((mem.poll(UnixNanos(1)), mem.next()), (0, None));
        }
    }

    #[test]
    fn refused_cut_and_full_are_told() {
        let mut mem = Mem::new();
        mem.set_refusing(true);
        let socket = mem.open(peer()).unwrap();
        let refused = CloseReason::Os(libc::ECONNREFUSED);
        assert_eq!(mem.next(), Some(Ready::Closed(socket, refused)));
        mem.set_refusing(false);
        let socket = mem.open(peer()).unwrap();
        assert_eq!(mem.send(socket, &vec![0; TX_BYTES_MAX]), Ok(()));
        assert_eq!(mem.send(socket, b"x"), Err(SendError::Full));
        mem.cut_off(socket, CloseReason::Os(libc::ECONNRESET));
        assert_eq!(mem.next(), Some(Ready::Connected(socket)));
        let reset = CloseReason::Os(libc::ECONNRESET);
        assert_eq!(mem.next(), Some(Ready::Closed(socket, reset)));
    }

    #[test]
    fn a_delay_is_of_the_lanes_time() {
        let mut mem = Mem::with(MemOptions {
            delay_ns: 100,
            ..MemOptions::default()
        });
        mem.poll(UnixNanos(1_000));
        let socket = mem.open(peer()).unwrap();
        assert_eq!((mem.poll(UnixNanos(1_099)), mem.next()), (0, None));
        assert_eq!(mem.deliver(socket, b"x"), 1);
        assert_eq!(mem.poll(UnixNanos(1_100)), 1);
        assert_eq!(mem.next(), Some(Ready::Connected(socket)));
        assert_eq!((mem.poll(UnixNanos(1_198)), mem.next()), (0, None));
        assert_eq!(mem.poll(UnixNanos(1_199)), 1);
    }

    #[test]
    fn a_group_brings_whole_datagrams_to_who_hears_it() {
        let mut mem = Mem::with(MemOptions {
            chunk_bytes_max: 3,
            ..MemOptions::default()
        });
        let group = |last| Group {
            at: SocketAddrV4::new([239, 1, 1, last].into(), 5),
            interface: [127, 0, 0, 1].into(),
        };
        let line = mem.join(&group(1)).unwrap();
        mem.datagram(group(2).at, b"nobody hears");
        for _ in 0..500 {
            mem.datagram(group(1).at, b"all of it");
            let Some(Ready::Bytes(of, chunk)) = mem.next() else {
                panic!("nothing came")
            };
            assert_eq!((of, &*mem.bytes(&chunk)), (line, &b"all of it"[..]));
            mem.release(chunk);
        }
        assert_eq!((mem.next(), mem.room(line)), (None, 0));
        assert_eq!(mem.send(line, b"x"), Err(SendError::NotConnected));
        assert_eq!(mem.opened().count(), 0, "no connection");
        mem.close(line);
        mem.datagram(group(1).at, b"nobody hears");
        assert_eq!(mem.next(), None);
    }

    #[test]
    fn there_is_an_end_of_sockets() {
        let mut mem = Mem::new();
        let all: Vec<Socket> = (0..SOCKETS_MAX)
            .map(|_| mem.open(peer()).unwrap())
            .collect();
        assert_eq!(mem.open(peer()), Err(OpenError::TooMany));
        mem.close(all[3]);
        let again = mem.open(peer()).unwrap();
        assert_ne!(again, all[3]);
        assert_eq!(mem.opened().count(), SOCKETS_MAX);
    }

    proptest! {
        #[test]
        fn streams_arrive_whole_in_order_however_they_are_cut(
            pieces in prop::collection::vec((0usize..3, prop::collection::vec(any::<u8>(), 0..300)), 0..80),
            (seed, chunk_bytes_max, delay_ns) in (any::<u64>(), 1usize..200, 0u64..50),
        ) {
            let mut mem = Mem::with(MemOptions { delay_ns, chunk_bytes_max, seed });
            let sockets: Vec<Socket> = (0..3).map(|_| mem.open(peer()).unwrap()).collect();
            let (mut want, mut got) = (vec![Vec::new(); 3], vec![Vec::new(); 3]);
            let mut now = 0;
            let mut drain = |mem: &mut Mem, got: &mut Vec<Vec<u8>>| {
                now += 17;
                mem.poll(UnixNanos(now));
                while let Some(ready) = mem.next() {
                    if let Ready::Bytes(socket, chunk) = ready {
                        assert!((1..=chunk_bytes_max).contains(&mem.bytes(&chunk).len()));
                        got[usize::from(socket.slot)].extend_from_slice(mem.bytes(&chunk));
                        mem.release(chunk);
                    }
                }
            };
            for (at, piece) in &pieces {
                let mut taken = 0;
                while taken < piece.len() {
                    taken += mem.deliver(sockets[*at], &piece[taken..]);
                    drain(&mut mem, &mut got);
                }
                want[*at].extend_from_slice(piece);
            }
            (0..4).for_each(|_| drain(&mut mem, &mut got));
            prop_assert_eq!(got, want);
        }
    }
}
