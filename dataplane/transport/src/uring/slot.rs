//! One connection, as the ring keeps it, and how its operations are told apart.
//!
//! ```text
//!   Free ──open──▶ Connecting ──connected──▶ Open ──┐ close, EOF, error
//!    ▲                 └──────────────────────────▶ Closing
//!    └──────────── the kernel holds nothing any more ──┘
//! ```
//! A slot is not used again before the kernel has answered every operation on it, so an answer is never
//! taken for that of a later connection.

use crate::Socket;
use crate::tx::TxRing;
use dp_types::UnixNanos;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Operations of one connection that can be with the kernel at once: a receive, a send, a cancel (a
/// connect comes before the first two).
pub const OPS_MAX: usize = 3;

/// Operation, in the low byte of `user_data`; then 16 bits of slot and 32 of generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    Connect = 1,
    Recv = 2,
    Send = 3,
    Cancel = 4,
}

impl Op {
    pub const fn user_data(self, socket: Socket) -> u64 {
        self as u64 | (socket.slot as u64) << 8 | (socket.generation as u64) << 32
    }

    pub const fn parse(user_data: u64) -> Option<(Self, Socket)> {
        let op = match user_data as u8 {
            1 => Self::Connect,
            2 => Self::Recv,
            3 => Self::Send,
            4 => Self::Cancel,
            _ => return None,
        };
        let slot = (user_data >> 8) as u16;
        let generation = (user_data >> 32) as u32;
        Some((op, Socket { slot, generation }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Free,
    Connecting,
    Open,
    /// Ended; waits for the kernel to give back what it holds.
    Closing,
}

#[derive(Debug)]
pub struct Slot {
    pub phase: Phase,
    pub generation: u32,
    /// Operations the kernel has not finished.
    pub in_kernel: u32,
    pub is_sending: bool,
    /// A multicast group: datagrams, of which an empty one is no end, and nothing is sent or acknowledged.
    pub is_group: bool,
    pub tx: TxRing,
    pub fd: Option<OwnedFd>,
    /// When a connect has taken too long; 0 until the first poll has told the time.
    pub connect_by: UnixNanos,
    /// The peer, in the kernel's form: read by it while a connect is in flight.
    pub address: SockaddrStorage,
}

impl Slot {
    pub fn new() -> Self {
        Self {
            phase: Phase::Free,
            generation: 0,
            in_kernel: 0,
            is_sending: false,
            is_group: false,
            tx: TxRing::new(),
            fd: None,
            connect_by: UnixNanos(0),
            address: SocketAddr::from(([0, 0, 0, 0], 0)).into(),
        }
    }

    /// Starts a new life of the slot.
    pub fn begin(&mut self, peer: SocketAddr, fd: OwnedFd) {
        self.phase = Phase::Connecting;
        self.generation = self.generation.wrapping_add(1);
        self.is_sending = false;
        self.is_group = false;
        self.tx = TxRing::new();
        self.fd = Some(fd);
        self.connect_by = UnixNanos(0);
        self.address = peer.into();
    }

    /// Starts a life as a group's socket: it is open at once.
    pub fn join(&mut self, group: SocketAddr, fd: OwnedFd) {
        self.begin(group, fd);
        self.is_group = true;
        self.phase = Phase::Open;
    }

    /// The file descriptor; -1 (refused by the kernel) when there is none.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// The peer's address for the kernel.
    pub fn raw_address(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        (self.address.as_ptr(), self.address.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_read_back() {
        for op in [Op::Connect, Op::Recv, Op::Send, Op::Cancel] {
            let socket = Socket {
                slot: 0xabcd,
                generation: 0xdead_beef,
            };
            assert_eq!(Op::parse(op.user_data(socket)), Some((op, socket)));
        }
        assert_eq!(Op::parse(0), None);
        assert_eq!(Op::parse(5), None);
    }
}
