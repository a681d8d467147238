//! Raw frames around the kernel's stack: AF_XDP, and what must be known to use it.
//!
//! ```text
//!   setup thread                                       lane
//!   Undo ─ names what is changed, mends after a crash
//!   Ports ─ the kernel keeps off our port range
//!   Steering ─ programs, flow map                      Xsk: FrameIo ⇄ one queue
//!   Rules ─ the card's flow rules (real cards)           │  poll, next, reserve, submit, kick
//!   Monitor ─ link, address, route, MAC ──NetEvent──▶  TCP above, which is not here
//! ```
//!
//! Order at start: [`Undo::open`] (mends), [`reserve_ports`], [`Steering::attach`], [`Xsk::open`] on the lane's
//! thread, [`Steering::add`] for each venue, and only then the first SYN. Everything but the port range
//! and the card's rules belongs to a descriptor: the kernel undoes it when the process ends, however.
//! Source: Documentation/networking/af_xdp.rst.

mod bpf;
pub mod ethtool;
mod fault;
mod frames;
mod insn;
mod monitor;
pub mod netlink;
mod pair;
mod path;
mod ports;
mod program;
mod ring;
mod rules;
mod socket;
mod umem;
mod undo;
mod ways;

pub use fault::XdpFault;
pub use frames::{Frame, FrameCounters, FrameIo};
pub use monitor::{Monitor, NetEvent, PEERS_MAX};
pub use pair::{MemFrames, PairOptions, pair};
pub use path::{Link, NoPath, Path, Rtnl};
pub use ports::{reserve_ports, reserved_ports};
pub use program::{FLOWS_MAX, Flow, FlowCounters, PortRange, QUEUES_MAX, Steering};
pub use rules::{FlowRules, Rule};
pub use socket::{BusyPoll, Xsk, XskOptions, XskStatistics};
pub use umem::FrameSize;
pub use undo::{Change, Undo};
pub use ways::{KernelWays, Share};

use std::time::{Duration, Instant};

/// How frames get to us, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// The card writes into our frames.
    ZeroCopyNative,
    /// The driver runs the program; the kernel copies.
    CopyNative,
    /// The stack's generic hook runs the program, on a packet already allocated; the kernel copies.
    CopyGeneric,
}

impl XdpMode {
    /// All of them, in the order they are tried.
    pub const ALL: [Self; 3] = [Self::ZeroCopyNative, Self::CopyNative, Self::CopyGeneric];

    /// For logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroCopyNative => "zero-copy, native",
            Self::CopyNative => "copy, native",
            Self::CopyGeneric => "copy, generic",
        }
    }

    const fn is_native(self) -> bool {
        !matches!(self, Self::CopyGeneric)
    }
}

impl core::fmt::Display for XdpMode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Milliseconds a busy queue or interface is tried for. After a crash the kernel frees them by deferred
/// work, 15 to 21 ms later as measured; a lane that restarts must be trading in under a second.
const BUSY_MS_MAX: u64 = 3_000;
/// Between tries.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Tries until it is not EBUSY, for at most [`BUSY_MS_MAX`].
fn while_busy<T>(mut attempt: impl FnMut() -> Result<T, i32>) -> Result<T, i32> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(libc::EBUSY) if start.elapsed() < Duration::from_millis(BUSY_MS_MAX) => {
                std::thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
}
