//! A trading socket: what it must have, asked for and read back.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, getsockopt, send, setsockopt,
    socket, sockopt,
};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// Receive buffer every trading socket must have, bytes (NW-03).
pub const RECEIVE_BYTES_MIN: usize = 2 << 20;
sockopt_impl!(
    /// Microseconds a receive may poll the card's queue itself (SO_BUSY_POLL, socket(7)).
    BusyPoll,
    Both,
    libc::SOL_SOCKET,
    libc::SO_BUSY_POLL,
    i32
);

sockopt_impl!(
    /// Whether what arrives is acknowledged at once (TCP_QUICKACK, tcp(7)); the kernel forgets it in time.
    QuickAck,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_QUICKACK,
    i32
);

/// Has the kernel hold acknowledgements back for what is sent next, or the second segment. Otherwise a receive
/// that empties the socket sends one before it returns, between a tick and its order. A wish, and forgotten by
/// the kernel when its timer (40 ms) had to send one.
pub fn acknowledge_late(fd: &impl AsFd) {
    let _ = setsockopt(fd, QuickAck, &0);
}

/// Sends the acknowledgement that is held back, and goes on holding back. After a tick, when nothing else is to be
/// done: two ticks are more than the kernel holds back, and the receive of the second would send it before it
/// returns. A wish.
pub fn acknowledge_now(fd: &impl AsFd) {
    // Any number but 0 sends what is held back; one that finds nothing ends the holding back.
    let _ = setsockopt(fd, QuickAck, &2);
    acknowledge_late(fd);
}

/// Microseconds of it. A receive that does not wait polls once, whatever the number: what a spinning lane
/// asks for is that its own core fetches from the card, instead of an interrupt on another one.
pub(crate) const BUSY_POLL_US: i32 = 50;
/// Congestion control of a trading socket: window based, never paced.
const CONGESTION: &str = "cubic";
/// Seconds of silence before the kernel probes the peer.
const KEEPALIVE_IDLE_S: u32 = 10;
/// Seconds between probes.
const KEEPALIVE_INTERVAL_S: u32 = 5;
/// Probes without an answer before the connection is dropped.
const KEEPALIVE_COUNT: u32 = 3;
/// Milliseconds sent data may stay unacknowledged before the connection is dropped.
const USER_TIMEOUT_MS: u32 = 15_000;

/// What the host did not give. The text names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocketFault {
    /// The kernel refused a call.
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*.errno))]
    Os {
        /// Which call or option.
        what: &'static str,
        /// The kernel's error number.
        errno: i32,
    },
    /// The receive buffer is smaller than asked: `rmem_max` caps it silently.
    #[error(
        "receive buffer is {got} bytes, {RECEIVE_BYTES_MIN} are needed: \
         raise net.core.rmem_max (sysctl) or give the process CAP_NET_ADMIN"
    )]
    ReceiveBuffer {
        /// Read back.
        got: usize,
    },
}

pub(crate) fn fault(what: &'static str) -> impl Fn(Errno) -> SocketFault {
    move |errno| SocketFault::Os {
        what,
        errno: errno as i32,
    }
}

/// Whether this process may have trading sockets. Errors: [`SocketFault`], with the mend: better at start
/// than at every connect.
pub fn check_sockets() -> Result<(), SocketFault> {
    trading_socket(&SocketAddr::from(([127, 0, 0, 1], 1))).map(drop)
}

/// A non-blocking TCP socket with every option a trading socket needs, each read back or refused.
pub(crate) fn trading_socket(peer: &SocketAddr) -> Result<OwnedFd, SocketFault> {
    let family = if peer.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, SockProtocol::Tcp).map_err(fault("socket"))?;
    setsockopt(&fd, sockopt::TcpNoDelay, &true).map_err(fault("TCP_NODELAY"))?;
    setsockopt(&fd, sockopt::KeepAlive, &true).map_err(fault("SO_KEEPALIVE"))?;
    setsockopt(&fd, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_S).map_err(fault("TCP_KEEPIDLE"))?;
    setsockopt(&fd, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_S)
        .map_err(fault("TCP_KEEPINTVL"))?;
    setsockopt(&fd, sockopt::TcpKeepCount, &KEEPALIVE_COUNT).map_err(fault("TCP_KEEPCNT"))?;
    setsockopt(&fd, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS)
        .map_err(fault("TCP_USER_TIMEOUT"))?;
    receive_buffer(&fd, RECEIVE_BYTES_MIN)?;
    // A host may pace (BBR), which puts a timer between an order and the wire; orders are far too few to
    // congest anything. A wish: without it the host's own choice stands (`socket_facts` tells which).
    let _ = setsockopt(&fd, sockopt::TcpCongestion, &OsString::from(CONGESTION));
    // As well a wish: it does something where the card has a NAPI queue, nothing on loopback.
    let _ = setsockopt(&fd, BusyPoll, &BUSY_POLL_US);
    Ok(fd)
}

/// Gives the kernel what it takes now, without waiting; 0 = nothing. Errors: the connection is over.
pub(crate) fn offer(fd: RawFd, bytes: &[u8]) -> Result<usize, Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match send(fd, bytes, flags) {
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        other => other,
    }
}

/// Gives a socket a receive buffer of at least `bytes`, or says what it got instead.
pub(crate) fn receive_buffer(fd: &impl AsFd, bytes: usize) -> Result<(), SocketFault> {
    // FORCE passes rmem_max with CAP_NET_ADMIN; without it the plain option is capped silently, so
    // only what is read back counts.
    if setsockopt(fd, sockopt::RcvBufForce, &bytes).is_err() {
        setsockopt(fd, sockopt::RcvBuf, &bytes).map_err(fault("SO_RCVBUF"))?;
    }
    // The kernel keeps half of what it reports for its own bookkeeping (socket(7)).
    let got = getsockopt(fd, sockopt::RcvBuf).map_err(fault("SO_RCVBUF"))? / 2;
    if got < bytes {
        return Err(SocketFault::ReceiveBuffer { got });
    }
    Ok(())
}

/// What a socket has, read back from the kernel: for tests and `spinlane doctor`.
pub fn socket_facts(fd: &impl AsFd) -> Result<[(&'static str, u64); 8], SocketFault> {
    let is_no_delay = getsockopt(fd, sockopt::TcpNoDelay).map_err(fault("TCP_NODELAY"))?;
    let is_alive = getsockopt(fd, sockopt::KeepAlive).map_err(fault("SO_KEEPALIVE"))?;
    let idle = getsockopt(fd, sockopt::TcpKeepIdle).map_err(fault("TCP_KEEPIDLE"))?;
    let interval = getsockopt(fd, sockopt::TcpKeepInterval).map_err(fault("TCP_KEEPINTVL"))?;
    let count = getsockopt(fd, sockopt::TcpKeepCount).map_err(fault("TCP_KEEPCNT"))?;
    let timeout = getsockopt(fd, sockopt::TcpUserTimeout).map_err(fault("TCP_USER_TIMEOUT"))?;
    let buffer = getsockopt(fd, sockopt::RcvBuf).map_err(fault("SO_RCVBUF"))?;
    let busy_poll = getsockopt(fd, BusyPoll).map_err(fault("SO_BUSY_POLL"))?;
    Ok([
        ("TCP_NODELAY", u64::from(is_no_delay)),
        ("SO_KEEPALIVE", u64::from(is_alive)),
        ("TCP_KEEPIDLE", u64::from(idle)),
        ("TCP_KEEPINTVL", u64::from(interval)),
        ("TCP_KEEPCNT", u64::from(count)),
        ("TCP_USER_TIMEOUT", u64::from(timeout)),
        ("SO_RCVBUF", buffer as u64 / 2),
        ("SO_BUSY_POLL", u64::try_from(busy_poll).unwrap_or(0)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdp::ethtool::{Offload, set_offload};
    use nix::sys::socket::{SockaddrStorage, connect, recv};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_trading_socket_has_what_it_must() {
        for peer in ["127.0.0.1:1", "[::1]:1"] {
            let fd = trading_socket(&peer.parse().unwrap()).unwrap();
            let facts = socket_facts(&fd).unwrap();
            let want = [
                ("TCP_NODELAY", 1),
                ("SO_KEEPALIVE", 1),
                ("TCP_KEEPIDLE", 10),
                ("TCP_KEEPINTVL", 5),
                ("TCP_KEEPCNT", 3),
                ("TCP_USER_TIMEOUT", 15_000),
            ];
            assert_eq!(facts[..6], want, "{peer}");
            assert!(facts[6].1 >= RECEIVE_BYTES_MIN as u64, "{facts:?}");
        }
    }

    #[test]
    fn a_trading_socket_polls_its_cards_queue_and_is_not_paced() {
        sockopt_impl!(
            /// The queue the last packet came through.
            NapiId,
            GetOnly,
            libc::SOL_SOCKET,
            libc::SO_INCOMING_NAPI_ID,
            u32
        );
        let Some(veth) = tests_net::Veth::or_skip("netns") else {
            return;
        };
        // With GRO a veth has a real NAPI queue, which takes what was not glued together before.
        for side in [&veth.ours, &veth.theirs] {
            for (offload, is_on) in [(Offload::Gro, true), (Offload::Tso, false)] {
                side.run(|| set_offload(tests_net::Veth::NAME, offload, is_on))
                    .unwrap();
            }
        }
        let theirs = (tests_net::Veth::THEIRS, 0);
        let listener = veth.theirs.run(|| std::net::TcpListener::bind(theirs));
        let listener = listener.unwrap();
        let peer = listener.local_addr().unwrap();
        veth.ours.run(|| {
            let fd = trading_socket(&peer).unwrap();
            let _ = connect(fd.as_raw_fd(), &SockaddrStorage::from(peer));
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut stream, b"tick").unwrap();
            let mut buffer = [0; 4];
            while recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_err() {}
            assert_eq!(&buffer, b"tick");
            assert_ne!(getsockopt(&fd, NapiId).unwrap(), 0, "no NAPI queue");
            assert_eq!(getsockopt(&fd, BusyPoll), Ok(BUSY_POLL_US));
            let congestion = getsockopt(&fd, sockopt::TcpCongestion).unwrap();
            assert!(congestion.to_string_lossy().starts_with(CONGESTION));
        });
    }

    #[test]
    fn a_silently_capped_receive_buffer_is_refused() {
        // A thread without capabilities: there SO_RCVBUF is capped by rmem_max, without an error.
        std::thread::spawn(|| {
            let header = [0x2008_0522u32, 0];
            let none = [0u32; 6];
            // SAFETY: capset(2) version 3 reads a header of two words and six words of sets, of this
            // thread only, which ends with the test.
            let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
            assert_eq!(result, 0);
            let cap = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
            let cap: usize = cap.trim().parse().unwrap();
            let fd = socket(
                AddressFamily::Inet,
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::Tcp,
            )
            .unwrap();
            let refused = SocketFault::ReceiveBuffer { got: cap };
            assert_eq!(receive_buffer(&fd, cap + 1), Err(refused));
            assert_eq!(receive_buffer(&fd, cap), Ok(()));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_mend_is_in_the_message() {
        let text = SocketFault::ReceiveBuffer { got: 212_992 }.to_string();
        assert!(
            text.contains("net.core.rmem_max") && text.contains("212992"),
            "{text}"
        );
    }
}
