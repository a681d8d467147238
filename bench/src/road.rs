//! What lies between client and venue: loopback, or a cable between two network namespaces.
//!
//! ```text
//!   loopback                client ══ kernel ══ venue
//!   veth                    client ══ kernel ── veth ── kernel ══ venue        offloads as the kernel likes
//!   bypass, one end         client ══ AF_XDP ── veth ── kernel ══ venue        the venue's end: frames as on
//!   bypass, both ends       client ══ AF_XDP ── veth ── AF_XDP ══ venue        a wire, no offloads
//! ```
//! Two cables, because offloads belong to an interface: the kernel path keeps those a card would do for it.
//! A client enters its namespace by itself ([`enter`]), before it has a second thread. Namespaces and what is
//! in them are gone with the last process that has them open, however it ends.

use crate::venue::bypass;
use crate::venue::net::{Net, Sockets};
use anyhow::Context as _;
use dp_transport::Clock;
use dp_transport::xdp::XdpMode;
use dp_transport::xdp::ethtool::{self, Offload};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tests_net::Veth;

/// What the venue's kernel holds of one client's orders.
const RECEIVE_BYTES: usize = 4 << 20;

/// How a cable's end is bypassed. Without a card there is no zero copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// The driver runs our program. What a card has; on a veth it makes each frame anew.
    Native,
    /// The stack's hook runs it.
    Generic,
}

impl Mode {
    /// As the transport has it.
    pub const fn xdp(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::CopyNative,
            Self::Generic => XdpMode::CopyGeneric,
        }
    }

    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// A way between client and venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// Kernel sockets over loopback.
    Loopback,
    /// Kernel sockets over a veth.
    Veth,
    /// AF_XDP at the client's end, and at the venue's or not.
    Bypass {
        /// How.
        mode: Mode,
        /// The venue bypasses its kernel too.
        is_both: bool,
    },
}

/// A cable and the venue's listener at its far end.
pub struct Cable {
    /// The cable.
    pub veth: Veth,
    /// The listener, which does not block.
    pub listener: TcpListener,
}

impl Cable {
    /// Lays one; without offloads frames are as on a wire. Errors: no rights, no `ip`.
    pub fn lay(has_offloads: bool) -> anyhow::Result<Self> {
        let veth = Veth::new().context("a cable between two network namespaces (needs root)")?;
        let listener = veth.theirs.run(|| -> anyhow::Result<TcpListener> {
            if !has_offloads {
                for offload in [Offload::Tso, Offload::Gso, Offload::TxChecksum] {
                    ethtool::set_offload(Veth::NAME, offload, false)?;
                }
            }
            listen(SocketAddr::from((Veth::THEIRS, 0)))
        })?;
        Ok(Self { veth, listener })
    }
}

/// A listener that does not block.
pub fn listen(at: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(at).with_context(|| format!("listening at {at}"))?;
    listener.set_nonblocking(true)?;
    // A venue's kernel takes what comes while the venue itself is preempted; smaller where refused.
    let _ = setsockopt(&listener, sockopt::RcvBufForce, &RECEIVE_BYTES);
    Ok(listener)
}

/// All roads of one race.
pub struct Roads {
    loopback: TcpListener,
    veth: Option<Cable>,
    bare: Option<Cable>,
}

impl Roads {
    /// Those that are `needed`. Errors: no rights to make a namespace, no `ip`.
    pub fn build(needed: &[Road]) -> anyhow::Result<Self> {
        let lay = |has_offloads: bool, is_it: fn(&Road) -> bool| {
            let is_needed = needed.iter().any(is_it);
            is_needed.then(|| Cable::lay(has_offloads)).transpose()
        };
        Ok(Self {
            loopback: listen(SocketAddr::from(([127, 0, 0, 1], 0)))?,
            veth: lay(true, |road| *road == Road::Veth)?,
            bare: lay(false, |road| matches!(road, Road::Bypass { .. }))?,
        })
    }

    fn cable(&self, road: Road) -> anyhow::Result<Option<&Cable>> {
        let cable = match road {
            Road::Loopback => return Ok(None),
            Road::Veth => &self.veth,
            Road::Bypass { .. } => &self.bare,
        };
        cable.as_ref().context("this road was not built").map(Some)
    }

    /// Where the venue is.
    pub fn address(&self, road: Road) -> anyhow::Result<SocketAddr> {
        if let Road::Bypass { is_both: true, .. } = road {
            return Ok(SocketAddr::from((Veth::THEIRS, bypass::PORT)));
        }
        let cable = self.cable(road)?;
        let listener = cable.map_or(&self.loopback, |cable| &cable.listener);
        Ok(listener.local_addr()?)
    }

    /// What a client is told to come this way.
    pub fn client_args(&self, road: Road) -> anyhow::Result<Vec<String>> {
        let Some(cable) = self.cable(road)? else {
            return Ok(Vec::new());
        };
        let mut args = vec!["--netns".to_owned(), cable.veth.ours.path()];
        if let Road::Bypass { mode, .. } = road {
            args.extend(["--xdp-mode".to_owned(), mode.name().to_owned()]);
        }
        Ok(args)
    }

    /// The venue's end, for a thread of its own, which it may move into another namespace.
    pub fn net(&self, road: Road, clock: Clock) -> anyhow::Result<Box<dyn Net + '_>> {
        let cable = self.cable(road)?;
        if let (
            Some(cable),
            Road::Bypass {
                mode,
                is_both: true,
            },
        ) = (cable, road)
        {
            enter(Path::new(&cable.veth.theirs.path()))?;
            let (us, them) = (Veth::THEIRS, Veth::OURS);
            let net = bypass::open(Veth::NAME, us, them, mode.xdp(), clock);
            return Ok(Box::new(net.context("the venue's end over AF_XDP")?));
        }
        let listener = cable.map_or(&self.loopback, |cable| &cable.listener);
        Ok(Box::new(Sockets::new(listener)))
    }
}

/// Moves the calling thread into a network namespace.
pub fn enter(namespace: &Path) -> anyhow::Result<()> {
    let enter = || -> anyhow::Result<()> {
        let file = File::open(namespace)?;
        Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
    };
    enter().with_context(|| format!("entering the network namespace {}", namespace.display()))
}
