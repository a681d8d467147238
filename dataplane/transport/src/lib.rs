//! The dataplane's only way to the kernel: sockets, clock, cores, memory.
//!
//! ```text
//!   lane ──open/send/close──▶ Transport ──io_uring──▶ kernel TCP
//!        ◀──next: Ready────── (poll)
//! ```
//!
//! [`Transport`] is narrow on purpose: bytes in, bytes out, no protocol. [`Uring`] is kernel TCP through
//! io_uring, [`Sockets`] is kernel TCP by `recv` and `send`, [`Mem`] is pipes in memory under virtual time; AF_XDP with a TCP of its own fits the same
//! trait. Received bytes are handed out in place, mutable, because TLS decrypts them in place.

mod acks;
mod affinity;
mod arena;
mod backoff;
mod bits;
pub mod bypass;
pub mod clock;
pub mod confine;
mod counts;
mod heap;
mod idle;
mod mem;
mod multicast;
mod numa;
mod realtime;
mod socket;
mod sockets;
mod tx;
mod uring;
pub mod xdp;

pub use affinity::{AffinityError, can_pin, pin};
pub use arena::{Arena, ArenaError, HUGE_PAGE_BYTES, Pages};
pub use backoff::Backoff;
pub use clock::{Clock, VirtualClock, tsc};
pub use counts::Counts;
pub use heap::grow_heap;
pub use idle::Idle;
pub use mem::{Mem, MemOptions};
pub use numa::NODE_MAX;
pub use realtime::{FIFO_MAX, RealtimeError, fifo, is_memory_locked, lock_memory, set_fifo};
pub use socket::{SocketFault, acknowledge_late, acknowledge_now, check_sockets, socket_facts};
pub use sockets::Sockets;
pub use uring::{CONNECT_NS_MAX, OPCODES, Uring};

use dp_types::UnixNanos;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Sockets one transport holds at once.
pub const SOCKETS_MAX: usize = 64;
/// Bytes waiting to be sent on one socket before [`SendError::Full`]. Beside what the kernel takes; over raw
/// frames there is no kernel, and a connection keeps [`dp_tcp::Config::send_buffer`] until acknowledged.
pub const TX_BYTES_MAX: usize = 256 << 10;
/// Bytes of one received chunk.
pub const CHUNK_BYTES: usize = 64 << 10;

/// A connection of a transport. A closed one's id is never valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socket {
    pub(crate) slot: u16,
    pub(crate) generation: u32,
}

impl Socket {
    /// A socket no transport gives out: for tests of what only passes one on.
    pub const NONE: Self = Self {
        slot: u16::MAX,
        generation: u32::MAX,
    };
}

/// A multicast group, as one line of a feed is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Address and port of the group.
    pub at: SocketAddrV4,
    /// Our address on the interface it comes in by.
    pub interface: Ipv4Addr,
}

/// A received piece of the stream, in the transport's memory until released: bytes `start..start + len`
/// of one of its buffers. Over raw frames the rest of the buffer is the frame's headers.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a chunk that is not released is memory the transport cannot receive into"]
pub struct Chunk {
    pub(crate) buffer: u32,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// What happened on a socket.
#[derive(Debug, PartialEq, Eq)]
pub enum Ready {
    /// The TCP handshake is done.
    Connected(Socket),
    /// Bytes arrived, in stream order; of a group one whole datagram (an empty one is not told).
    Bytes(Socket, Chunk),
    /// The connection is gone and the socket's id with it. Bytes that came before it are told before.
    Closed(Socket, CloseReason),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// The kernel's error number.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Os(i32),
}

/// Why a connection could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// All [`SOCKETS_MAX`] are in use.
    #[error("no free socket: {SOCKETS_MAX} are open")]
    TooMany,
    /// The host cannot give the socket what it must have.
    #[error(transparent)]
    Socket(#[from] SocketFault),
    /// This transport hears no multicast.
    #[error("multicast is heard over io_uring alone: give the lane transport = \"io_uring\"")]
    NoMulticast,
}

/// Why bytes were not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// More than [`Transport::room`]: the peer does not read.
    #[error("too much waits to be sent already: the peer does not read")]
    Full,
    /// The socket is not connected.
    #[error("the socket is not connected")]
    NotConnected,
}

/// Sockets of one lane. No call blocks but [`Transport::park`].
pub trait Transport {
    /// For logs: `io_uring`, `mem`.
    fn name(&self) -> &'static str;
    /// System calls a lane makes in steady state through this transport.
    fn steady_syscalls(&self) -> &'static [&'static str];
    /// System calls it makes besides, when connections are opened or lost, and which not every lane may make
    /// ([`confine::COLD`]).
    fn cold_syscalls(&self) -> &'static [&'static str] {
        &[]
    }

    /// Starts connecting. [`Ready::Connected`] or [`Ready::Closed`] follows.
    fn open(&mut self, peer: SocketAddr) -> Result<Socket, OpenError>;
    /// Hears a multicast group from now on: each datagram is told as [`Ready::Bytes`] of the socket, in the order the
    /// kernel has them. Nothing can be sent on it. Before the lane is confined: its system calls are no lane's.
    ///
    /// Frames of a card do not bring it: a queue gets what its card sends there by address and port of a connection,
    /// and the card must be told of a group by the kernel, which then has the datagrams itself.
    fn join(&mut self, group: &Group) -> Result<Socket, OpenError> {
        let _ = group;
        Err(OpenError::NoMulticast)
    }
    /// Bytes [`Transport::send`] would take on this socket now; 0 when it is not connected.
    fn room(&mut self, socket: Socket) -> usize;
    /// Takes bytes for sending, in order. Copies; never blocks. Sent at once where possible.
    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError>;
    /// Ends the connection. Nothing more is told of it; bytes the kernel has not taken yet are dropped.
    fn close(&mut self, socket: Socket);

    /// Looks for what happened; says how many things there are. Then take them with [`Transport::next`].
    fn poll(&mut self, now: UnixNanos) -> usize;
    /// The next thing that happened.
    fn next(&mut self) -> Option<Ready>;
    /// The bytes of a chunk.
    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8];
    /// Gives a chunk's memory back.
    fn release(&mut self, chunk: Chunk);

    /// Sleeps until something happens or `timeout_ns` passed.
    fn park(&mut self, timeout_ns: u64);

    /// What was counted since it was opened. For a few times a second: at most one of the
    /// [steady system calls](Transport::steady_syscalls).
    fn counts(&mut self) -> Counts {
        Counts::default()
    }
}
