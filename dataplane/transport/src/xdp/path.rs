//! What the kernel's tables say about the way to a peer: which address of ours, which router, which MAC.
//!
//! Asked at set-up and by the monitor's thread, never by a lane: each question is a system call or two and
//! allocates. Nothing is cached here.

use super::fault::XdpFault;
use super::netlink::{self, LinkInfo, Mac, Message, NeighbourInfo, RouteInfo};
use core::net::Ipv4Addr;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Bytes of one answer (rtnetlink(7): the kernel's own datagrams are at most 32 KiB).
const DATAGRAM_BYTES: usize = 32 << 10;
/// Datagrams of one answer before it is given up: a host with more addresses is none of ours.
const DATAGRAMS_MAX: usize = 1_000;
/// Seconds the kernel has for an answer, which it gives within the call.
const ANSWER_S: i64 = 2;

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub ifindex: u32,
    /// Switched on, and its cable carries.
    pub is_up: bool,
    /// Bytes of the largest IP packet.
    pub mtu: u32,
    /// Hardware address.
    pub mac: Mac,
    /// How often the carrier was lost since the interface was made.
    pub down_count: u32,
}

/// Everything needed to send a frame to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Address of ours to send from.
    pub local: Ipv4Addr,
    /// Hardware address of ours.
    pub local_mac: Mac,
    /// The router, or the peer itself.
    pub next_hop: Ipv4Addr,
    /// Its hardware address.
    pub next_hop_mac: Mac,
    /// Bytes of the largest IP packet.
    pub mtu: u32,
}

/// Why there is no [`Path`] now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// The interface is down or gone.
    #[error("the link is down")]
    LinkDown,
    /// The tables have no route.
    #[error("no route")]
    NoRoute,
    /// The route leads out of another interface, to ourselves, or to nowhere.
    #[error("the route does not lead out of this interface")]
    Elsewhere,
    /// The route's gateway is an IPv6 one.
    #[error("the route's gateway is IPv6")]
    ViaIpv6,
    /// The next hop's hardware address is not known; it is being asked for.
    #[error("{0} has not answered who it is")]
    NoNeighbour(Ipv4Addr),
    /// The card took no rule that brings the peer's frames to our queue.
    #[error("the card's flow rule: {}", std::io::Error::from_raw_os_error(*.0))]
    NoRule(i32),
}

/// A question-and-answer socket to the kernel's tables, of the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Rtnl {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Rtnl {
    /// Opens one. Needs no rights but for [`Rtnl::solicit`] (CAP_NET_ADMIN).
    pub fn new() -> Result<Self, XdpFault> {
        Self::subscribed(0)
    }

    /// Opens one that is also told of changes: `groups` is a set of `RTMGRP_*`.
    pub(super) fn subscribed(groups: u32) -> Result<Self, XdpFault> {
        let fault = XdpFault::nix("rtnetlink socket");
        let (flags, protocol) = (SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).map_err(&fault)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(&fault)?;
        let timeout = nix::sys::time::TimeVal::new(ANSWER_S, 0);
        setsockopt(&fd, sockopt::ReceiveTimeout, &timeout).map_err(&fault)?;
        Ok(Self {
            fd,
            sequence: 0,
            buffer: vec![0; DATAGRAM_BYTES],
        })
    }

    /// An interface; `None` when there is none of this index.
    pub fn link(&mut self, ifindex: u32) -> Result<Option<Link>, XdpFault> {
        let mut found = None;
        let request = netlink::ask_link(self.next_sequence(), ifindex);
        let asked = self.ask(&request, true, |message| {
            if let Message::Link(info) = message {
                found = link(info);
            }
        });
        absent(asked, libc::ENODEV).map(|()| found)
    }

    /// Addresses of ours on an interface.
    pub fn addresses(&mut self, on: u32) -> Result<Vec<Ipv4Addr>, XdpFault> {
        let mut all = Vec::new();
        let request = netlink::ask_addresses(self.next_sequence());
        self.ask(&request, false, |message| match message {
            Message::Address {
                ifindex, address, ..
            } if ifindex == on => all.push(address),
            _ => {}
        })?;
        Ok(all)
    }

    /// Which way a packet to `peer` would go; `None` when none.
    pub fn route(&mut self, peer: Ipv4Addr) -> Result<Option<RouteInfo>, XdpFault> {
        let mut found = None;
        let request = netlink::ask_route(self.next_sequence(), peer);
        let asked = self.ask(&request, true, |message| {
            if let Message::Route(route) = message {
                found = Some(route);
            }
        });
        // Whatever the tables say instead of a way (unreachable, prohibited, invalid) is none.
        match asked {
            Err(XdpFault::Os { errno, .. }) if errno != libc::ETIMEDOUT => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// A row of the neighbour table; `None` when there is none.
    pub fn neighbour(
        &mut self,
        ifindex: u32,
        address: Ipv4Addr,
    ) -> Result<Option<NeighbourInfo>, XdpFault> {
        let mut found = None;
        let request = netlink::ask_neighbour(self.next_sequence(), ifindex, address);
        let asked = self.ask(&request, true, |message| {
            if let Message::Neighbour(neighbour) = message {
                found = Some(neighbour);
            }
        });
        absent(asked, libc::ENOENT).map(|()| found)
    }

    /// Has the kernel find out, or confirm, who `address` is. The answer comes to the table later.
    pub fn solicit(&mut self, ifindex: u32, address: Ipv4Addr) -> Result<(), XdpFault> {
        let request = netlink::use_neighbour(self.next_sequence(), ifindex, address);
        self.ask(&request, true, |_| ())
    }

    /// The path to `peer` out of `link`, from the tables as they are; a neighbour that is not known or not
    /// fresh is solicited when `may_solicit`.
    pub fn path(
        &mut self,
        link: &Link,
        peer: Ipv4Addr,
        may_solicit: bool,
    ) -> Result<Result<Path, NoPath>, XdpFault> {
        if !link.is_up {
            return Ok(Err(NoPath::LinkDown));
        }
        let Some(route) = self.route(peer)? else {
            return Ok(Err(NoPath::NoRoute));
        };
        let is_here = route.is_unicast && route.ifindex == Some(link.ifindex);
        let (true, Some(local)) = (is_here, route.source) else {
            return Ok(Err(NoPath::Elsewhere));
        };
        if route.is_via_ipv6 {
            return Ok(Err(NoPath::ViaIpv6));
        }
        let next_hop = route.gateway.unwrap_or(peer);
        let row = self.neighbour(link.ifindex, next_hop)?;
        if may_solicit && !row.is_some_and(|row| row.is_fresh) {
            self.solicit(link.ifindex, next_hop)?;
        }
        let Some(next_hop_mac) = row.and_then(|row| row.mac) else {
            return Ok(Err(NoPath::NoNeighbour(next_hop)));
        };
        Ok(Ok(Path {
            local,
            local_mac: link.mac,
            next_hop,
            next_hop_mac,
            mtu: route.mtu.unwrap_or(link.mtu).min(link.mtu),
        }))
    }

    /// What came by itself, without waiting. Errors: ENOBUFS, the kernel dropped some of it.
    pub(super) fn notifications(&mut self, mut sink: impl FnMut(Message)) -> Result<(), i32> {
        for _ in 0..DATAGRAMS_MAX {
            match recv(
                self.fd.as_raw_fd(),
                &mut self.buffer,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(count) => {
                    let datagram = self.buffer.get(..count).unwrap_or_default();
                    netlink::read(datagram, |_, message| sink(message));
                }
                Err(nix::errno::Errno::EAGAIN) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno as i32),
            }
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    /// Sends a question, and reads to the end of its answer: the one message when `is_single`, else all.
    fn ask(
        &mut self,
        request: &[u8],
        is_single: bool,
        mut sink: impl FnMut(Message),
    ) -> Result<(), XdpFault> {
        const WHAT: &str = "rtnetlink question";
        let fault = XdpFault::nix(WHAT);
        let fd = self.fd.as_raw_fd();
        send(fd, request, MsgFlags::empty()).map_err(&fault)?;
        for _ in 0..DATAGRAMS_MAX {
            let count = match recv(fd, &mut self.buffer, MsgFlags::empty()) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(nix::errno::Errno::EAGAIN) => return Err(fault(nix::errno::Errno::ETIMEDOUT)),
                Err(errno) => return Err(fault(errno)),
            };
            let mut end = None;
            let datagram = self.buffer.get(..count).unwrap_or_default();
            netlink::read(datagram, |sequence, message| match message {
                // An answer to a question given up on.
                _ if sequence != self.sequence => {}
                Message::Answered { errno } => end = Some(errno),
                other => {
                    sink(other);
                    end = end.or(is_single.then_some(0));
                }
            });
            match end {
                Some(0) => return Ok(()),
                Some(errno) => return Err(XdpFault::Os { what: WHAT, errno }),
                None => {}
            }
        }
        Err(XdpFault::Answer(WHAT))
    }
}

impl AsFd for Rtnl {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A complete one; interfaces without an Ethernet address (tunnels) are none.
pub(super) fn link(info: LinkInfo) -> Option<Link> {
    Some(Link {
        ifindex: info.ifindex,
        is_up: info.is_up,
        mtu: info.mtu?,
        mac: info.mac?,
        down_count: info.down_count.unwrap_or(0),
    })
}

/// "There is none" is an answer.
fn absent(asked: Result<(), XdpFault>, number: i32) -> Result<(), XdpFault> {
    match asked {
        Err(XdpFault::Os { errno, .. }) if errno == number => Ok(()),
        other => other,
    }
}
