//! The two programs that decide who sees a frame, as tables of instructions.
//!
//! ```text
//!   in    TCP/IPv4 to one of our ports, from (venue address, port) in the flow map ──▶ the queue's socket
//!         anything else: ARP, DNS, ssh, VLAN tags, IP options, fragments            ──▶ the kernel
//!
//!   out   a RST of the kernel's for such a flow                                     ──▶ dropped
//!         anything else                                                             ──▶ on its way
//! ```
//!
//! A frame of a flow whose queue has no socket (yet, or any more) is dropped and counted, not passed: the
//! kernel would answer it with RST. Fragments and options of a flow do reach the kernel, which may then
//! answer; the second program is the belt for that. It is outside our own frames' way out.
//!
//! They do not check checksums, sequence numbers or lengths: the TCP above does, on every frame.
//! Source: RFC 791, RFC 9293 (offsets); net/core/filter.c (`bpf_xdp_redirect_map`, flags as fallback).

use super::bpf::{self, Loaded, Map, MapKind, ProgramKind};
use super::fault::XdpFault;
use super::insn::*;
use super::{BUSY_MS_MAX, XdpMode, while_busy};
use core::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Venue endpoints steered at once.
pub const FLOWS_MAX: u32 = 1024;
/// Queues of one interface that can have a socket.
pub const QUEUES_MAX: u32 = 64;

/// Local ports that are ours, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest.
    pub first: u16,
    /// Highest.
    pub last: u16,
}

impl PortRange {
    /// Whether it has this port.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    fn check(self) -> Result<(), XdpFault> {
        if self.first >= 1024 && self.first <= self.last {
            return Ok(());
        }
        Err(XdpFault::Option {
            what: "first port of the range",
            got: u64::from(self.first),
            must: "it must be 1024 or more, and not past the last",
        })
    }
}

/// A venue's endpoint and the address of ours that talks to it. Any port of the range belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Where its frames come from.
    pub venue: SocketAddrV4,
    /// Where they go to.
    pub local: Ipv4Addr,
}

/// What the programs did with a flow's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowCounters {
    /// Given to a socket.
    pub steered: u64,
    /// Dropped: no socket on the queue they came in on.
    pub unclaimed: u64,
    /// RSTs of the kernel's that were held back.
    pub resets_held: u64,
}

const KEY_BYTES: usize = 12;
const VALUE_BYTES: usize = 24;
const STEERED: i16 = 0;
const UNCLAIMED: i16 = 8;
const RESETS_HELD: i16 = 16;

impl Flow {
    /// As the programs build it from a frame, all in network order:
    /// `venue address:4 | local address:4 | venue port:2 | 0:2`.
    fn key(self) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(&self.venue.ip().octets());
        key[4..8].copy_from_slice(&self.local.octets());
        key[8..10].copy_from_slice(&self.venue.port().to_be_bytes());
        key
    }
}

/// The programs on one interface, with their maps. They are gone when this is, and when the process is.
#[derive(Debug)]
pub struct Steering {
    flows: Map,
    sockets: Map,
    #[cfg(test)]
    xdp: Loaded,
    guard: Result<(Loaded, OwnedFd), XdpFault>,
    _link: OwnedFd,
    is_native: bool,
    ifindex: u32,
    ports: PortRange,
}

impl Steering {
    /// Loads the programs and attaches them: natively where one of `modes` is native and the driver can,
    /// else generically. From here on no frame of a [`Flow`] that is added reaches the kernel's TCP.
    ///
    /// An interface that is busy, as it is for some milliseconds after a crash, is tried for 3 s.
    /// Errors: no rights, refused by the verifier, held by another program, no allowed mode.
    pub fn attach(ifindex: u32, ports: PortRange, modes: &[XdpMode]) -> Result<Self, XdpFault> {
        ports.check()?;
        let flows = Map::new(
            MapKind::Hash,
            "spinlane_flows",
            KEY_BYTES,
            VALUE_BYTES,
            FLOWS_MAX,
        )?;
        let sockets = Map::new(MapKind::Xsk, "spinlane_xsks", 4, 4, QUEUES_MAX)?;
        let code = steer(ports, flows.raw_fd(), sockets.raw_fd());
        let xdp = bpf::load(ProgramKind::Xdp, "spinlane_steer", &code)?;
        let (link, is_native) = attach_in(&xdp, ifindex, modes)?;
        let guard = attach_guard(ports, &flows, ifindex);
        Ok(Self {
            flows,
            sockets,
            #[cfg(test)]
            xdp,
            guard,
            _link: link,
            is_native,
            ifindex,
            ports,
        })
    }

    /// Steers a flow. One that is steered already stays as it is, counters too.
    /// Errors: more than [`FLOWS_MAX`].
    pub fn add(&self, flow: Flow) -> Result<(), XdpFault> {
        match self.flows.update(&flow.key(), &[0; VALUE_BYTES], true) {
            Err(XdpFault::Os { errno, .. }) if errno == libc::EEXIST => Ok(()),
            other => other,
        }
    }

    /// Gives a flow back to the kernel. One that is not steered is none.
    pub fn remove(&self, flow: Flow) -> Result<(), XdpFault> {
        match self.flows.delete(&flow.key()) {
            Err(XdpFault::Os { errno, .. }) if errno == libc::ENOENT => Ok(()),
            other => other,
        }
    }

    /// What was done with a flow's frames since it was added; `None` when it is not steered.
    pub fn counters(&self, flow: Flow) -> Option<FlowCounters> {
        let mut value = [0; VALUE_BYTES];
        self.flows.lookup(&flow.key(), &mut value).ok()?;
        let word = |at: i16| {
            let at = at as usize;
            let bytes = value.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_ne_bytes(bytes))
        };
        Some(FlowCounters {
            steered: word(STEERED)?,
            unclaimed: word(UNCLAIMED)?,
            resets_held: word(RESETS_HELD)?,
        })
    }

    /// Whether the driver runs the program, or the stack's generic hook does.
    pub const fn is_native(&self) -> bool {
        self.is_native
    }

    /// Whether RSTs of the kernel's are held back, or why not (kernels before 6.6 cannot). Without it an
    /// IP fragment of a steered flow can make the kernel reset the connection.
    pub fn guard(&self) -> Result<(), XdpFault> {
        self.guard.as_ref().map(|_| ()).map_err(|fault| *fault)
    }

    /// The interface.
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The local ports that are ours.
    pub const fn ports(&self) -> PortRange {
        self.ports
    }

    /// Gives a queue's frames to a socket. The kernel forgets it when the socket is closed.
    pub(super) fn set_socket(&self, queue: u32, socket: BorrowedFd) -> Result<(), XdpFault> {
        let fd = socket.as_raw_fd().to_ne_bytes();
        self.sockets.update(&queue.to_ne_bytes(), &fd, false)
    }

    /// Runs the program on bytes as if they had been received; says what it returned. For tests.
    #[cfg(test)]
    pub(super) fn test_run(&self, frame: &[u8]) -> Result<u32, i32> {
        bpf::test_run(&self.xdp.fd, frame)
    }
}

/// `XDP_FLAGS_SKB_MODE`, `XDP_FLAGS_DRV_MODE` (include/uapi/linux/if_link.h).
const GENERIC: u32 = 1 << 1;
const NATIVE: u32 = 1 << 2;

fn attach_in(xdp: &Loaded, ifindex: u32, modes: &[XdpMode]) -> Result<(OwnedFd, bool), XdpFault> {
    let mut last = Err(XdpFault::Option {
        what: "number of allowed modes",
        got: 0,
        must: "at least one is needed",
    });
    for (flags, is_native) in [(NATIVE, true), (GENERIC, false)] {
        let Some(mode) = modes.iter().find(|mode| mode.is_native() == is_native) else {
            continue;
        };
        let attached = while_busy(|| bpf::attach(xdp, ifindex, flags));
        last = match attached {
            Ok(link) => return Ok((link, is_native)),
            Err(libc::EBUSY) => {
                return Err(XdpFault::Busy {
                    what: "the interface's XDP hook",
                    waited_ms: BUSY_MS_MAX,
                });
            }
            Err(errno) => Err(XdpFault::NoMode {
                what: "the XDP program attaches",
                last: *mode,
                errno,
            }),
        };
    }
    last
}

fn attach_guard(
    ports: PortRange,
    flows: &Map,
    ifindex: u32,
) -> Result<(Loaded, OwnedFd), XdpFault> {
    let code = hold_resets(ports, flows.raw_fd());
    let loaded = bpf::load(ProgramKind::TcxEgress, "spinlane_guard", &code)?;
    let link = bpf::attach(&loaded, ifindex, 0).map_err(|errno| XdpFault::Os {
        what: "bpf: link of the guard (needs Linux 6.6)",
        errno,
    })?;
    Ok((loaded, link))
}

// Offsets in an untagged Ethernet frame whose IPv4 header has no options.
const ETHERTYPE: i16 = 12;
const VERSION_AND_LENGTH: i16 = 14;
const FRAGMENT: i16 = 20;
const PROTOCOL: i16 = 23;
const SOURCE: i16 = 26;
const TARGET: i16 = 30;
const SOURCE_PORT: i16 = 34;
const TARGET_PORT: i16 = 36;
const TCP_FLAGS: i16 = 47;
const HEADERS_BYTES: i32 = 54;

const IPV4: u16 = 0x0800;
/// More-fragments and the offset; without don't-fragment and the reserved bit.
const IS_FRAGMENT: u16 = 0x3fff;
const TCP: i32 = 6;
const RST: i32 = 0x04;

const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
/// `struct xdp_md`.
const XDP_DATA: i16 = 0;
const XDP_DATA_END: i16 = 4;
const XDP_QUEUE: i16 = 16;
/// `struct __sk_buff`.
const SKB_DATA: i16 = 76;
const SKB_DATA_END: i16 = 80;
/// `TCX_NEXT`, `TCX_DROP`.
const TCX_NEXT: i32 = -1;
const TCX_DROP: i32 = 2;

/// A constant of the wire as it looks when loaded in the host's order.
const fn wire(value: u16) -> i32 {
    value.to_be() as i32
}

/// Leaves for `other` unless the frame is plain TCP over IPv4 with our port at `port`. R2: the frame.
fn only_ours(code: &mut Assembler, ports: PortRange, port: i16) {
    code.put([mov(R4, R2), add(R4, HEADERS_BYTES)])
        .jump_by(R4, If::Greater, R3, "other")
        .put([load(Width::B2, R5, R2, ETHERTYPE)])
        .jump(R5, If::NotEqual, wire(IPV4), "other")
        .put([load(Width::B1, R5, R2, VERSION_AND_LENGTH)])
        .jump(R5, If::NotEqual, 0x45, "other")
        .put([load(Width::B1, R5, R2, PROTOCOL)])
        .jump(R5, If::NotEqual, TCP, "other")
        .put([load(Width::B2, R5, R2, FRAGMENT)])
        .jump(R5, If::Set, wire(IS_FRAGMENT), "other")
        .put([load(Width::B2, R5, R2, port), from_be16(R5)])
        .jump(R5, If::Less, i32::from(ports.first), "other")
        .jump(R5, If::Greater, i32::from(ports.last), "other");
}

/// Looks the flow up; leaves for `other` when there is none. R7: its counters.
fn find_flow(code: &mut Assembler, flows: i32, venue: i16, local: i16, venue_port: i16) {
    code.put([
        load(Width::B4, R5, R2, venue),
        store(Width::B4, R10, -12, R5),
        load(Width::B4, R5, R2, local),
        store(Width::B4, R10, -8, R5),
        load(Width::B2, R5, R2, venue_port),
        store(Width::B4, R10, -4, R5),
    ])
    .map(R1, flows)
    .put([mov(R2, R10), add(R2, -12), call(MAP_LOOKUP_ELEM)])
    .jump(R0, If::Equal, 0, "other")
    .put([mov(R7, R0)]);
}

/// The program at the way in.
fn steer(ports: PortRange, flows: i32, sockets: i32) -> Vec<Insn> {
    let mut code = Assembler::default();
    code.put([
        mov(R6, R1),
        load(Width::B4, R2, R1, XDP_DATA),
        load(Width::B4, R3, R1, XDP_DATA_END),
    ]);
    only_ours(&mut code, ports, TARGET_PORT);
    find_flow(&mut code, flows, SOURCE, TARGET, SOURCE_PORT);
    code.map(R1, sockets)
        .put([
            load(Width::B4, R2, R6, XDP_QUEUE),
            set(R3, XDP_DROP),
            call(REDIRECT_MAP),
            set(R1, 1),
        ])
        .jump(R0, If::Equal, XDP_DROP, "unclaimed")
        .put([count(R7, STEERED, R1), exit()])
        .label("unclaimed")
        .put([count(R7, UNCLAIMED, R1), exit()])
        .label("other")
        .put([set(R0, XDP_PASS), exit()]);
    code.finish()
}

/// The program at the way out.
fn hold_resets(ports: PortRange, flows: i32) -> Vec<Insn> {
    let mut code = Assembler::default();
    code.put([
        load(Width::B4, R2, R1, SKB_DATA),
        load(Width::B4, R3, R1, SKB_DATA_END),
    ]);
    only_ours(&mut code, ports, SOURCE_PORT);
    code.put([load(Width::B1, R5, R2, TCP_FLAGS)])
        .jump(R5, If::Set, RST, "reset")
        .put([set(R0, TCX_NEXT), exit()])
        .label("reset");
    find_flow(&mut code, flows, TARGET, SOURCE, TARGET_PORT);
    code.put([
        set(R1, 1),
        count(R7, RESETS_HELD, R1),
        set(R0, TCX_DROP),
        exit(),
    ])
    .label("other")
    .put([set(R0, TCX_NEXT), exit()]);
    code.finish()
}

#[cfg(test)]
mod tests;
