//! The way to a peer by the kernel's own tables, and its frames by the steering program.

use super::fault::XdpFault;
use super::monitor::{Monitor, NetEvent, PEERS_MAX};
use super::path::{Link, NoPath, Path, Rtnl};
use super::program::{Flow, PortRange, Steering};
use super::rules::FlowRules;
use super::socket::{Xsk, XskOptions};
use crate::bypass::{Bypass, CONNECTIONS, WayCounters, WayEvent, Ways};
use crate::socket::SocketFault;
use core::net::{Ipv4Addr, SocketAddrV4};
use dp_tcp::wire::{Checksums, ethernet::Mac};
use dp_tcp::{Config, Host, Secret, StackConfig};
use std::sync::Arc;

/// Bytes of one connection's buffers, and some for what it keeps about them.
const CONNECTION_BYTES: usize = {
    let Config {
        send_buffer,
        receive_buffer,
        ..
    } = Config::DEFAULT;
    send_buffer + receive_buffer + (64 << 10)
};

/// Bytes of the largest IP packet sent whatever the link takes: a frame's place is 2 KiB.
const MTU_MAX: u32 = 1_500;

/// Flows without a connection that stay ours, the latest: a peer that has not heard the end yet goes on sending, and
/// the kernel, which knows no such connection, would answer with a reset.
const IDLE_FLOWS_MAX: usize = 16;

/// Who we are on a link, as far as the TCP above must know.
fn host(local: Ipv4Addr, mac: Mac) -> Host {
    // Next hops come with each peer's path: our own rule is never asked.
    Host::on_link(mac, local, 32)
}

fn mtu(bytes: u32) -> u16 {
    bytes.clamp(u32::from(Config::MTU_MIN), MTU_MAX) as u16
}

/// A lane's share of a card that has other lanes too.
#[derive(Debug, Clone)]
pub struct Share {
    /// Its part of the steered ports: two lanes that call one address must not do so from one port.
    pub ports: PortRange,
    /// What brings its flows to its queue; `None` = the card has one queue only.
    pub rules: Option<FlowRules>,
}

/// One interface's monitor and steering, as [`Bypass`] wants them.
///
/// A flow stays steered until the last connection to its venue's address has said goodbye: what it is still
/// told must not reach the kernel, which would answer it with a reset.
#[derive(Debug)]
pub struct KernelWays {
    steering: Arc<Steering>,
    monitor: Monitor,
    local: Ipv4Addr,
    /// Addresses of the interface, `local` while it has it.
    addresses: Vec<Ipv4Addr>,
    mac: Mac,
    mtu: u16,
    /// Addresses that are steered, and how many connections each has.
    flows: Vec<(SocketAddrV4, u32)>,
    rules: Option<FlowRules>,
    /// Whether the link carried when it was last told, and how often it had been lost then.
    link: (bool, u32),
    /// Next hops by their last hardware address.
    neighbours: Vec<(Ipv4Addr, Mac)>,
    counters: WayCounters,
}

impl KernelWays {
    /// Bytes of memory a lane's frames and connections take with [`XskOptions::default`], for plans.
    pub const BYTES: usize = XskOptions::BYTES + CONNECTIONS * CONNECTION_BYTES;

    /// Frames for one lane's queue: opened on its thread, in its namespace. `steering` is attached to the
    /// interface, and its port range is reserved ([`super::reserve_ports`]). `secret`: 16 random bytes.
    ///
    /// Cost, errors: as [`KernelWays::open_shared`].
    pub fn open(
        steering: &Arc<Steering>,
        options: &XskOptions,
        checksums: Checksums,
        secret: [u8; 16],
    ) -> Result<Bypass<Xsk, Self>, XdpFault> {
        let share = Share {
            ports: steering.ports(),
            rules: None,
        };
        Self::open_shared(steering, options, share, checksums, secret)
    }

    /// The same where several lanes share a card.
    ///
    /// Cost: milliseconds; up to 3 s when the queue is still held by a run that crashed.
    /// Errors: [`XdpFault`]; also when the interface has no IPv4 address or is gone.
    pub fn open_shared(
        steering: &Arc<Steering>,
        options: &XskOptions,
        share: Share,
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
            mac,
            mtu: bytes,
            is_up,
            down_count,
            ..
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
            addresses,
            mac: Mac(mac),
            mtu: mtu(bytes),
            flows: Vec::new(),
            rules: share.rules,
            link: (is_up, down_count),
            neighbours: Vec::with_capacity(PEERS_MAX),
            counters: WayCounters::default(),
        };
        let config = StackConfig {
            connection: Config {
                mtu: ways.mtu,
                ..Config::default()
            },
            connections: CONNECTIONS,
            checksums,
            // The kernel answers ARP, and for everything that is not steered to us.
            ..StackConfig::new(
                host(local, ways.mac),
                (share.ports.first, share.ports.last),
                Secret::new(secret),
            )
        };
        Bypass::new(frames, ways, config).map_err(|_| absent("local ports for all connections"))
    }

    const fn flow(&self, venue: SocketAddrV4) -> Flow {
        Flow {
            venue,
            local: self.local,
        }
    }

    /// Has a peer's frames brought to our socket. Errors: as many as can be are steered already.
    fn steer(&self, peer: SocketAddrV4) -> Result<(), XdpFault> {
        let flow = self.flow(peer);
        self.steering.add(flow)?;
        if let Some(rules) = &self.rules {
            self.monitor.steer(rules.clone(), flow);
        }
        Ok(())
    }

    /// Gives them back to the kernel.
    fn unsteer(&self, peer: SocketAddrV4) {
        let flow = self.flow(peer);
        if let Some(rules) = &self.rules {
            self.monitor.unsteer(rules.clone(), flow);
        }
        // The map has no other answer than that it is not there.
        let _ = self.steering.remove(flow);
    }

    /// Counts what a link went through since it was last told.
    const fn count_link(&mut self, is_up: bool, down_count: u32) {
        let (was_up, before) = self.link;
        // A carrier lost and found between two looks is in the kernel's count only.
        let unseen = was_up && is_up && down_count != before;
        if unseen || (was_up && !is_up) {
            self.counters.link_downs += 1;
        }
        self.link = (is_up, down_count);
    }

    /// Counts a next hop that is another than it was.
    fn count_neighbour(&mut self, next_hop: Ipv4Addr, mac: Mac) {
        let mut known = self.neighbours.iter_mut();
        if let Some((_, before)) = known.find(|(address, _)| *address == next_hop) {
            self.counters.neighbour_changes += u64::from(*before != mac);
            *before = mac;
        } else if self.neighbours.len() < PEERS_MAX {
            self.neighbours.push((next_hop, mac));
        }
    }

    /// The interface as it is now; an event when that is another than the TCP above knows.
    fn compare(&mut self, mac: [u8; 6], bytes: u32) -> Option<WayEvent> {
        let (mac, mtu) = (Mac(mac), mtu(bytes));
        if (mac, mtu) == (self.mac, self.mtu) {
            return None;
        }
        (self.mac, self.mtu) = (mac, mtu);
        Some(self.changed())
    }

    fn changed(&self) -> WayEvent {
        WayEvent::Changed {
            host: host(self.local, self.mac),
            mtu: self.mtu,
        }
    }

    /// An address came or went.
    fn on_address(&mut self, address: Ipv4Addr, is_there: bool) {
        self.addresses.retain(|known| *known != address);
        if is_there {
            self.addresses.push(address);
        }
    }

    /// Takes `local` for ours if what was ours has left the interface; while it is there it stays, whatever a
    /// route would rather have, or two routes would throw us back and forth.
    fn follow(&mut self, local: Ipv4Addr) -> Option<WayEvent> {
        if local == self.local || self.addresses.contains(&self.local) {
            return None;
        }
        let peers: Vec<SocketAddrV4> = self.flows.iter().map(|(peer, _)| *peer).collect();
        for peer in &peers {
            self.unsteer(*peer);
        }
        self.local = local;
        for peer in peers {
            // The map had room for as many; what its connection still misses ends with the change anyway.
            let _ = self.steer(peer);
        }
        Some(self.changed())
    }
}

impl Ways for KernelWays {
    fn open(&mut self, peer: SocketAddrV4) -> Result<(), SocketFault> {
        if let Some((_, count)) = self.flows.iter_mut().find(|(known, _)| *known == peer) {
            *count += 1;
        } else {
            self.steer(peer).map_err(|fault| SocketFault::Os {
                what: "flow of a venue",
                errno: fault.errno().unwrap_or(libc::ENOSPC),
            })?;
            self.flows.push((peer, 1));
        }
        // Asked again for each connection: the answer comes anew with it.
        self.monitor.unwatch(*peer.ip());
        self.monitor.watch(*peer.ip());
        Ok(())
    }

    fn close(&mut self, peer: SocketAddrV4) {
        let mut flows = self.flows.iter();
        let Some(at) = flows.position(|(known, count)| *known == peer && *count > 0) else {
            return;
        };
        let (peer, count) = self.flows.remove(at);
        self.flows.push((peer, count - 1));
        let idle = self.flows.iter().filter(|(_, count)| *count == 0);
        if idle.count() > IDLE_FLOWS_MAX
            && let Some(oldest) = self.flows.iter().position(|(_, count)| *count == 0)
        {
            let (peer, _) = self.flows.remove(oldest);
            self.unsteer(peer);
            if !self.flows.iter().any(|(known, _)| known.ip() == peer.ip()) {
                self.monitor.unwatch(*peer.ip());
            }
        }
    }

    fn next(&mut self) -> Option<WayEvent> {
        loop {
            let event = match self.monitor.next()? {
                NetEvent::Link(Some(link)) => {
                    self.count_link(link.is_up, link.down_count);
                    if link.is_up {
                        self.compare(link.mac, link.mtu)
                    } else {
                        None
                    }
                }
                NetEvent::Path(peer, path) => {
                    self.count_neighbour(path.next_hop, Mac(path.next_hop_mac));
                    // Another address ends all connections: their ways are asked for anew.
                    let changed = self.follow(path.local);
                    Some(changed.unwrap_or_else(|| way(peer, &path)))
                }
                NetEvent::Address { address, is_there } => {
                    self.on_address(address, is_there);
                    None
                }
                NetEvent::Missed => {
                    // Told anew, before any path.
                    self.addresses.clear();
                    None
                }
                NetEvent::NoPath(_, NoPath::NoNeighbour(next_hop)) => {
                    Some(WayEvent::Lost(next_hop))
                }
                // What is down may come back: connections wait as long as their patience lasts.
                NetEvent::Link(None) | NetEvent::NoPath(..) => None,
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn counters(&self) -> WayCounters {
        self.counters
    }
}

fn way(peer: Ipv4Addr, path: &Path) -> WayEvent {
    WayEvent::Way {
        peer,
        next_hop: path.next_hop,
        mac: Mac(path.next_hop_mac),
        mtu: mtu(path.mtu),
    }
}
