//! A trading socket: what it must have, asked for and read back.

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, getsockopt, setsockopt, socket, sockopt,
};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// Receive buffer every trading socket must have, bytes (NW-03).
pub const RECEIVE_BYTES_MIN: usize = 2 << 20;
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

fn fault(what: &'static str) -> impl Fn(nix::errno::Errno) -> SocketFault {
    move |errno| SocketFault::Os {
        what,
        errno: errno as i32,
    }
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
    // FORCE passes rmem_max with CAP_NET_ADMIN; without it the plain option is capped silently, so
    // only what is read back counts.
    if setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BYTES_MIN).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BYTES_MIN).map_err(fault("SO_RCVBUF"))?;
    }
    // The kernel keeps half of what it reports for its own bookkeeping (socket(7)).
    let got = getsockopt(&fd, sockopt::RcvBuf).map_err(fault("SO_RCVBUF"))? / 2;
    if got < RECEIVE_BYTES_MIN {
        return Err(SocketFault::ReceiveBuffer { got });
    }
    Ok(fd)
}

/// What a socket has, read back from the kernel: for tests and `spinlane doctor`.
pub fn socket_facts(fd: &impl AsFd) -> Result<[(&'static str, u64); 5], SocketFault> {
    Ok([
        (
            "TCP_NODELAY",
            u64::from(getsockopt(fd, sockopt::TcpNoDelay).map_err(fault("TCP_NODELAY"))?),
        ),
        (
            "SO_KEEPALIVE",
            u64::from(getsockopt(fd, sockopt::KeepAlive).map_err(fault("SO_KEEPALIVE"))?),
        ),
        (
            "TCP_KEEPIDLE",
            u64::from(getsockopt(fd, sockopt::TcpKeepIdle).map_err(fault("TCP_KEEPIDLE"))?),
        ),
        (
            "TCP_USER_TIMEOUT",
            u64::from(getsockopt(fd, sockopt::TcpUserTimeout).map_err(fault("TCP_USER_TIMEOUT"))?),
        ),
        (
            "SO_RCVBUF",
            getsockopt(fd, sockopt::RcvBuf).map_err(fault("SO_RCVBUF"))? as u64 / 2,
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trading_socket_has_what_it_must() {
        let fd = trading_socket(&"127.0.0.1:1".parse().unwrap()).unwrap();
        let facts = socket_facts(&fd).unwrap();
        for (name, want) in [
            ("TCP_NODELAY", 1),
            ("SO_KEEPALIVE", 1),
            ("TCP_KEEPIDLE", 10),
        ] {
            assert!(facts.contains(&(name, want)), "{name}: {facts:?}");
        }
        assert!(facts[4].1 >= RECEIVE_BYTES_MIN as u64, "{facts:?}");
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
