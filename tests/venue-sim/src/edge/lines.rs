//! The two lines of a multicast feed: datagrams to their groups, on loopback and nowhere else.

use crate::core::{ConnId, LINES};
use anyhow::Context as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

/// Where datagrams leave.
#[derive(Debug)]
pub struct Lines {
    socket: UdpSocket,
    groups: [SocketAddrV4; 2],
}

impl Lines {
    /// A socket of loopback: what it sends to a group stays there.
    pub fn open(groups: [SocketAddrV4; 2]) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket for multicast")?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, groups })
    }

    /// Sends a datagram, where the connection is a line. What the kernel does not take is lost, as on a wire.
    pub fn send(&self, conn: ConnId, bytes: &[u8]) -> bool {
        let Some(at) = LINES.iter().position(|line| *line == conn) else {
            return false;
        };
        let _ = self.socket.send_to(bytes, self.groups[at]);
        true
    }
}
