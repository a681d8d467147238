//! Pipes in memory: the transport of tests and simulation. Whoever plays the venue holds the other end.
//!
//! Nothing allocates once the pipes have grown to their working size; nothing reads a clock.

use crate::{
    CHUNK_BYTES, Chunk, CloseReason, OpenError, Ready, SOCKETS_MAX, SendError, Socket,
    TX_BYTES_MAX, Transport,
};
use dp_types::UnixNanos;
use std::collections::VecDeque;
use std::net::SocketAddr;

#[derive(Debug)]
struct Pipe {
    peer: SocketAddr,
    generation: u32,
    is_open: bool,
    /// Bytes from the lane to the venue.
    out: Vec<u8>,
}

/// An in-memory transport. The venue's end is reached through [`Mem::opened`], [`Mem::sent`],
/// [`Mem::deliver`] and [`Mem::hang_up`].
#[derive(Debug)]
pub struct Mem {
    pipes: Vec<Pipe>,
    ready: VecDeque<Ready>,
    chunks: Vec<Vec<u8>>,
    free: Vec<u16>,
}

/// Chunks in flight at once.
const CHUNKS: u16 = 64;

impl Default for Mem {
    fn default() -> Self {
        Self::new()
    }
}

impl Mem {
    /// No pipes yet.
    pub fn new() -> Self {
        Self {
            pipes: Vec::with_capacity(SOCKETS_MAX),
            ready: VecDeque::with_capacity(1024),
            chunks: (0..CHUNKS)
                .map(|_| Vec::with_capacity(CHUNK_BYTES))
                .collect(),
            free: (0..CHUNKS).rev().collect(),
        }
    }

    /// Sockets the lane has open, and to whom.
    pub fn opened(&self) -> impl Iterator<Item = (Socket, SocketAddr)> + '_ {
        self.pipes
            .iter()
            .enumerate()
            .filter(|(_, pipe)| pipe.is_open)
            .map(|(slot, pipe)| {
                (
                    Socket {
                        slot: slot as u16,
                        generation: pipe.generation,
                    },
                    pipe.peer,
                )
            })
    }

    /// Moves what the lane has sent on a socket to the end of `into`.
    pub fn sent(&mut self, socket: Socket, into: &mut Vec<u8>) {
        if let Some(pipe) = self.pipes.get_mut(usize::from(socket.slot)) {
            into.append(&mut pipe.out);
        }
    }

    /// Hands bytes to the lane as one chunk (or several of [`CHUNK_BYTES`]). False when the lane has
    /// all chunks in hand: nothing of the rest was delivered.
    pub fn deliver(&mut self, socket: Socket, bytes: &[u8]) -> bool {
        for piece in bytes.chunks(CHUNK_BYTES) {
            let Some(buffer) = self.free.pop() else {
                return false;
            };
            if let Some(chunk) = self.chunks.get_mut(usize::from(buffer)) {
                chunk.clear();
                chunk.extend_from_slice(piece);
            }
            self.ready.push_back(Ready::Bytes(
                socket,
                Chunk {
                    buffer,
                    len: piece.len() as u32,
                },
            ));
        }
        true
    }

    /// The venue ends the connection.
    pub fn hang_up(&mut self, socket: Socket) {
        if let Some(pipe) = self.pipes.get_mut(usize::from(socket.slot)) {
            pipe.is_open = false;
            self.ready
                .push_back(Ready::Closed(socket, CloseReason::Peer));
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
        if self.pipes.iter().filter(|pipe| pipe.is_open).count() >= SOCKETS_MAX {
            return Err(OpenError::TooMany);
        }
        let free = self.pipes.iter().position(|pipe| !pipe.is_open);
        let at = free.unwrap_or(self.pipes.len());
        if free.is_none() {
            self.pipes.push(Pipe {
                peer,
                generation: 0,
                is_open: false,
                out: Vec::new(),
            });
        }
        let pipe = &mut self.pipes[at];
        pipe.peer = peer;
        pipe.generation = pipe.generation.wrapping_add(1);
        pipe.is_open = true;
        pipe.out.clear();
        let socket = Socket {
            slot: at as u16,
            generation: pipe.generation,
        };
        self.ready.push_back(Ready::Connected(socket));
        Ok(socket)
    }

    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError> {
        let pipe = self.pipes.get_mut(usize::from(socket.slot));
        let pipe = pipe.filter(|pipe| pipe.is_open && pipe.generation == socket.generation);
        let Some(pipe) = pipe else {
            return Err(SendError::NotConnected);
        };
        if pipe.out.len() + bytes.len() > TX_BYTES_MAX {
            return Err(SendError::Full);
        }
        pipe.out.extend_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self, socket: Socket) {
        if let Some(pipe) = self.pipes.get_mut(usize::from(socket.slot))
            && pipe.generation == socket.generation
        {
            pipe.is_open = false;
        }
    }

    fn poll(&mut self, _now: UnixNanos) -> usize {
        self.ready.len()
    }

    fn next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        self.chunks
            .get_mut(usize::from(chunk.buffer))
            .map_or(&mut [], Vec::as_mut_slice)
    }

    fn release(&mut self, chunk: Chunk) {
        self.free.push(chunk.buffer);
    }

    fn park(&mut self, _timeout_ns: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_both_ways_and_chunks_come_back() {
        let mut mem = Mem::new();
        let socket = mem.open("127.0.0.1:1".parse().unwrap()).unwrap();
        assert_eq!(mem.next(), Some(Ready::Connected(socket)));
        mem.send(socket, b"abc").unwrap();
        let mut sent = Vec::new();
        mem.sent(socket, &mut sent);
        assert_eq!(sent, b"abc");
        for _ in 0..500 {
            assert!(mem.deliver(socket, b"xyz"));
            let Some(Ready::Bytes(_, chunk)) = mem.next() else {
                panic!("no bytes")
            };
            assert_eq!(mem.bytes(&chunk), b"xyz");
            mem.release(chunk);
        }
        mem.close(socket);
        assert_eq!(mem.send(socket, b"x"), Err(SendError::NotConnected));
    }
}
