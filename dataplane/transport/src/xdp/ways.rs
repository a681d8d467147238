//! The way to a peer by the kernel's own tables, and its frames by the steering program.

use super::fault::XdpFault;
use super::monitor::{Monitor, NetEvent};
use super::path::{Link, NoPath, Path, Rtnl};
use super::program::{Flow, Steering};
use super::socket::{Xsk, XskOptions};
use crate::bypass::{Bypass, WayEvent, Ways};
use crate::socket::SocketFault;
use core::net::{Ipv4Addr, SocketAddrV4};
use dp_tcp::wire::{Checksums, ethernet::Mac};
use dp_tcp::{Config, Host, Secret, StackConfig};
use std::sync::Arc;

/// Bytes of the largest IP packet sent whatever the link takes: a frame's place is 2 KiB.
const MTU_MAX: u32 = 1_500;

/// Who we are on a link, as far as the TCP above must know.
fn host(local: Ipv4Addr, mac: Mac) -> Host {
    // Next hops come with each peer's path: our own rule is never asked.
    Host {
        mac,
        address: local,
        prefix_len: 32,
        gateway: None,
    }
}

fn mtu(bytes: u32) -> u16 {
    bytes.clamp(u32::from(Config::MTU_MIN), MTU_MAX) as u16
}

/// One interface's monitor and steering, as [`Bypass`] wants them.
///
/// A flow that was once opened stays steered: what its connection says in farewell must not reach the kernel,
/// which would answer it with a reset.
#[derive(Debug)]
pub struct KernelWays {
    steering: Arc<Steering>,
    monitor: Monitor,
    local: Ipv4Addr,
    mac: Mac,
    mtu: u16,
    flows: Vec<SocketAddrV4>,
}

impl KernelWays {
    /// Frames for one lane's queue: opened on its thread, in its namespace. `steering` is attached to the
    /// interface, and its port range is reserved ([`super::reserve_ports`]). `secret`: 16 random bytes.
    ///
    /// Cost: milliseconds; up to 3 s when the queue is still held by a run that crashed.
    /// Errors: [`XdpFault`]; also when the interface has no IPv4 address or is gone.
    pub fn open(
        steering: &Arc<Steering>,
        options: &XskOptions,
        checksums: Checksums,
        secret: [u8; 16],
    ) -> Result<Bypass<Xsk, Self>, XdpFault> {
        let ifindex = steering.ifindex();
        let mut tables = Rtnl::new()?;
        let absent = |what| XdpFault::Option {
            what,
            got: u64::from(ifindex),
            must: "give it one",
        };
        let Some(Link {
            mac, mtu: bytes, ..
        }) = tables.link(ifindex)?
        else {
            return Err(absent("interface"));
        };
        let addresses = tables.addresses(ifindex)?;
        let local = *addresses
            .first()
            .ok_or(absent("IPv4 address of the interface"))?;
        let frames = Xsk::open(steering, options)?;
        let ways = Self {
            steering: Arc::clone(steering),
            monitor: Monitor::start(ifindex)?,
            local,
            mac: Mac(mac),
            mtu: mtu(bytes),
            flows: Vec::new(),
        };
        let ports = steering.ports();
        let config = StackConfig {
            connection: Config {
                mtu: ways.mtu,
                ..Config::default()
            },
            connections: crate::bypass::CONNECTIONS,
            half_open_max: 1,
            host: host(local, ways.mac),
            ports: (ports.first, ports.last),
            checksums,
            // The kernel answers for the address, and for everything that is not steered to us.
            answers_arp: false,
            resets_unknown: true,
            secret: Secret::new(secret),
        };
        Bypass::new(frames, ways, config).map_err(|_| absent("local ports for all connections"))
    }

    /// The interface as it is now; an event when that is another than the TCP above knows.
    fn compare(&mut self, mac: [u8; 6], bytes: u32) -> Option<WayEvent> {
        let (mac, mtu) = (Mac(mac), mtu(bytes));
        if (mac, mtu) == (self.mac, self.mtu) {
            return None;
        }
        (self.mac, self.mtu) = (mac, mtu);
        Some(WayEvent::Changed {
            host: host(self.local, mac),
            mtu,
        })
    }
}

impl Ways for KernelWays {
    fn open(&mut self, peer: SocketAddrV4) -> Result<(), SocketFault> {
        if !self.flows.contains(&peer) {
            let flow = Flow {
                venue: peer,
                local: self.local,
            };
            self.steering.add(flow).map_err(|_| SocketFault::Os {
                what: "flow of a venue",
                errno: libc::ENOSPC,
            })?;
            self.flows.push(peer);
        }
        // Asked again for each connection: the answer comes anew with it.
        self.monitor.unwatch(*peer.ip());
        self.monitor.watch(*peer.ip());
        Ok(())
    }

    fn close(&mut self, _peer: SocketAddrV4) {}

    fn next(&mut self) -> Option<WayEvent> {
        loop {
            let event = match self.monitor.next()? {
                NetEvent::Link(Some(link)) if link.is_up => self.compare(link.mac, link.mtu),
                NetEvent::Path(peer, path) => Some(way(peer, &path)),
                NetEvent::NoPath(_, NoPath::NoNeighbour(next_hop)) => {
                    Some(WayEvent::Lost(next_hop))
                }
                // What is down may come back: connections wait as long as their patience lasts.
                NetEvent::Link(_)
                | NetEvent::Address { .. }
                | NetEvent::NoPath(..)
                | NetEvent::Missed => None,
            };
            if event.is_some() {
                return event;
            }
        }
    }
}

const fn way(peer: Ipv4Addr, path: &Path) -> WayEvent {
    WayEvent::Way {
        peer,
        next_hop: path.next_hop,
        mac: Mac(path.next_hop_mac),
    }
}
