//! What answers the bench venue's ticks: the real lane, and the bare loops it is compared with. Each runs in
//! a process of its own (`spinlane-bench client …`), as the peers of `bench/peers` do.

pub mod floor;
pub mod lane;
pub mod xdp;

use crate::road::{self, Mode};
use crate::venue::walk::{NUMBER_LOTS, NUMBERS};
use crate::watched::{Page, Watched};
use anyhow::Context as _;
use dp_transport::{Sockets, Uring};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The production lane, over what the planner takes for it: plain sockets, or AF_XDP.
    Spinlane,
    /// The same over io_uring.
    SpinlaneUring,
    /// A spinning loop over TCP without TLS that looks at every byte.
    FloorPlain,
    /// The same loop with rustls.
    FloorTls,
}

/// How a client is started. Two builds may be compared, so these names stay as they are.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which client.
    #[arg(value_enum)]
    pub kind: Kind,
    /// Where the bench venue listens.
    #[arg(long)]
    pub connect: SocketAddr,
    /// What to trust, PEM.
    #[arg(long)]
    pub ca: PathBuf,
    /// Shared memory to make (the lane only).
    #[arg(long)]
    pub shm: PathBuf,
    /// Answer one tick in so many.
    #[arg(long, default_value_t = 1)]
    pub every: u64,
    /// Network namespace to live in.
    #[arg(long)]
    pub netns: Option<PathBuf>,
    /// Bypass the kernel at this end of the cable.
    #[arg(long)]
    pub xdp_mode: Option<Mode>,
}

/// Runs a client until the venue ends it. Errors: it cannot start, or the venue is gone.
pub fn run(args: &Args) -> anyhow::Result<()> {
    // The bench that started us may die without a word.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM);
    let ca = std::fs::read(&args.ca).with_context(|| format!("reading {}", args.ca.display()))?;
    if let Some(netns) = &args.netns {
        road::enter(netns)?;
    }
    match args.kind {
        Kind::Spinlane => match args.xdp_mode {
            Some(mode) => {
                let page = Page::make(&args.shm)?;
                let transport = xdp::open(mode)?;
                let watch = page.watch()?;
                let transport = transport.map_frames(|frames| Watched::new(frames, watch));
                lane::run(transport, args.connect, &ca, &args.shm, args.every)
            }
            None => lane::run(Sockets::new()?, args.connect, &ca, &args.shm, args.every),
        },
        Kind::SpinlaneUring => lane::run(Uring::new()?, args.connect, &ca, &args.shm, args.every),
        Kind::FloorPlain => match args.xdp_mode {
            Some(mode) => {
                let mut wire = xdp::Wire::open(mode)?;
                floor::run(|| wire.connect(args.connect), None, args.every, None)
            }
            None => floor::run(|| floor::tcp(args.connect), None, args.every, None),
        },
        Kind::FloorTls => floor::run(|| floor::tcp(args.connect), Some(&ca), args.every, None),
    }
}

/// Whether a best bid of `lots` calls for an answer.
pub const fn is_asked(lots: u64, every: u64) -> bool {
    lots >= NUMBER_LOTS
        && lots < NUMBER_LOTS + NUMBERS
        && (lots - NUMBER_LOTS).is_multiple_of(every)
}
