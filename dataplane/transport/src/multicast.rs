//! What a multicast group's socket must have, asked for and read back.

use crate::socket::{RECEIVE_BYTES_MIN, fault, receive_buffer};
use crate::{Group, SocketFault};
use nix::sys::socket::{
    AddressFamily, IpMembershipRequest, SockFlag, SockProtocol, SockType, SockaddrIn, bind,
    setsockopt, socket, sockopt,
};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// A non-blocking UDP socket that hears one group and nothing else: it is bound to the group's own address, so that
/// a datagram sent to this host is not taken for one of the feed.
pub(crate) fn joined(group: &Group) -> Result<OwnedFd, SocketFault> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        flags,
        SockProtocol::Udp,
    )
    .map_err(fault("socket"))?;
    // Several lanes, and several processes, may hear one group.
    setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(fault("SO_REUSEADDR"))?;
    receive_buffer(&fd, RECEIVE_BYTES_MIN)?;
    let address = SockaddrIn::from(group.at);
    bind(fd.as_raw_fd(), &address).map_err(fault("bind to the group"))?;
    let request = IpMembershipRequest::new(*group.at.ip(), Some(group.interface));
    setsockopt(&fd, sockopt::IpAddMembership, &request).map_err(fault(
        "IP_ADD_MEMBERSHIP (is `interface` an address of this host's interface?)",
    ))?;
    Ok(fd)
}
