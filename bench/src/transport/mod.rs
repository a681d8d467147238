//! `transport`: round trips of 200 bytes over each way, beside a bare `recv` spin over the same road.
//!
//! ```text
//!   loopback   recv spin · sockets · io_uring                                 ══ spinning kernel echo
//!   veth       recv spin · sockets · io_uring                                 ══ spinning kernel echo
//!              AF_XDP, one end                                                ══ spinning kernel echo
//!              AF_XDP, both ends                                              ══ our TCP over AF_XDP
//!              AF_XDP, raw frames (no TCP)                                    ══ AF_XDP
//! ```
//! Every way over a veth has a cable of its own, because an interface has one XDP program. Ways go in blocks in
//! turn; the echo's thread looks at the one whose turn it is and at no other.

mod echo;
mod raw;
mod ways;

use crate::client::xdp;
use crate::host::{Hiccups, Seats, Suffered};
use crate::road::{self, Cable, Mode};
use crate::stats::Samples;
use crate::summary::Summary;
use crate::t2t::Family;
use crate::venue::bypass::{self, CLIENT_PORTS};
use crate::venue::net::Sockets;
use anyhow::{Context as _, bail};
use core::net::SocketAddrV4;
use dp_transport::xdp::PortRange;
use dp_transport::{Clock, Uring, tsc};
use echo::{Echo, OverNet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use tests_net::Veth;
use ways::{Bare, Over, Way};

/// Round trips of one block: they share a window.
const BLOCK: usize = 200;
/// Longest message.
const BYTES_MAX: usize = 16_384;
/// Longest payload of one raw frame.
const RAW_BYTES_MAX: usize = 1_400;

/// What `transport` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Round trips a transport.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(200..=10_000_000))]
    pub trips: u32,
    /// Bytes a message.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub bytes: u32,
    /// Between the ends: loopback, a cable between two namespaces (needs root).
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Family::Loopback, Family::Veth])]
    pub family: Vec<Family>,
    /// How the ends of the cable are bypassed.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Mode::Native, Mode::Generic])]
    pub xdp_mode: Vec<Mode>,
    /// Core of our end.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the echo.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
}

/// Our end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Near {
    RecvSpin,
    Sockets,
    Uring,
    Bypass(Mode),
    Raw(Mode),
}

/// One row: who, at which end, over which road.
struct Lane {
    name: String,
    near: Near,
    /// The far end bypasses its kernel too.
    is_both: bool,
    cable: Option<Cable>,
}

impl Lane {
    fn new(name: &str, near: Near, is_both: bool, has_cable: bool) -> anyhow::Result<Self> {
        let has_offloads = matches!(near, Near::RecvSpin | Near::Sockets | Near::Uring);
        let cable = has_cable.then(|| Cable::lay(has_offloads)).transpose()?;
        let name = name.to_owned();
        Ok(Self {
            name,
            near,
            is_both,
            cable,
        })
    }

    fn address(&self, loopback: &TcpListener) -> anyhow::Result<SocketAddr> {
        if self.is_both {
            return Ok(SocketAddr::from((Veth::THEIRS, bypass::PORT)));
        }
        let listener = self.cable.as_ref().map_or(loopback, |it| &it.listener);
        Ok(listener.local_addr()?)
    }

    /// The far end, in the calling thread's hands and namespace.
    fn far<'v>(
        &'v self,
        loopback: &'v TcpListener,
        clock: Clock,
    ) -> anyhow::Result<Box<dyn Echo + 'v>> {
        let Some(cable) = &self.cable else {
            return Ok(Box::new(OverNet::new(Box::new(Sockets::new(loopback)))));
        };
        let (Near::Bypass(mode) | Near::Raw(mode)) = self.near else {
            return Ok(Box::new(OverNet::new(Box::new(Sockets::new(
                &cable.listener,
            )))));
        };
        if !self.is_both {
            return Ok(Box::new(OverNet::new(Box::new(Sockets::new(
                &cable.listener,
            )))));
        }
        road::enter(Path::new(&cable.veth.theirs.path()))?;
        let (us, them) = (Veth::THEIRS, Veth::OURS);
        if let Near::Raw(mode) = self.near {
            let port = bypass::PORT;
            let ports = PortRange {
                first: port,
                last: port,
            };
            let from = SocketAddrV4::new(them, CLIENT_PORTS.first);
            let (steering, xsk) = raw::open(mode.xdp(), ports, us, from)?;
            return Ok(Box::new(echo::Raw {
                xsk,
                _steering: steering,
            }));
        }
        let net = bypass::open(Veth::NAME, us, them, mode.xdp(), clock)?;
        Ok(Box::new(OverNet::new(Box::new(net))))
    }

    /// Our end, in the calling thread's hands; the far end is looking.
    fn near(
        &self,
        loopback: &TcpListener,
        clock: Clock,
        bytes: usize,
    ) -> anyhow::Result<Box<dyn Way>> {
        let address = self.address(loopback)?;
        if let Some(cable) = &self.cable {
            road::enter(Path::new(&cable.veth.ours.path()))?;
        }
        Ok(match self.near {
            Near::RecvSpin => Box::new(Bare::open(address)?),
            Near::Sockets => Box::new(Over::open(dp_transport::Sockets::new()?, address, clock)?),
            Near::Uring => Box::new(Over::open(Uring::new()?, address, clock)?),
            Near::Bypass(mode) => Box::new(Over::open(xdp::open(mode)?, address, clock)?),
            Near::Raw(mode) => {
                let from = SocketAddrV4::new(Veth::THEIRS, bypass::PORT);
                let (steering, xsk) = raw::open(mode.xdp(), CLIENT_PORTS, Veth::OURS, from)?;
                Box::new(ways::Raw::new(steering, xsk, clock, bytes))
            }
        })
    }
}

/// The rows of both roads; the first of each is what the others are compared with.
fn lanes(args: &Args, notes: &mut Vec<String>) -> anyhow::Result<[Vec<Lane>; 2]> {
    let kernel = |has_cable| -> anyhow::Result<Vec<Lane>> {
        Ok(vec![
            Lane::new("recv spin (floor)", Near::RecvSpin, false, has_cable)?,
            Lane::new("sockets spin", Near::Sockets, false, has_cable)?,
            Lane::new("io_uring spin", Near::Uring, false, has_cable)?,
        ])
    };
    let (mut loopback, mut veth) = (Vec::new(), Vec::new());
    if args.family.contains(&Family::Loopback) {
        loopback = kernel(false)?;
    }
    if !args.family.contains(&Family::Veth) {
        return Ok([loopback, veth]);
    }
    if let Err(error) = tests_net::Namespace::new() {
        notes.push(format!("no cable: no network namespaces here ({error})"));
        return Ok([loopback, veth]);
    }
    veth = kernel(true)?;
    for mode in &args.xdp_mode {
        let name = mode.name();
        let mut add = |what: &str, near, is_both| -> anyhow::Result<()> {
            let name = format!("AF_XDP {name}, {what}");
            veth.push(Lane::new(&name, near, is_both, true)?);
            Ok(())
        };
        add("one end", Near::Bypass(*mode), false)?;
        add("both ends", Near::Bypass(*mode), true)?;
        if args.bytes as usize <= RAW_BYTES_MAX {
            add("raw frames", Near::Raw(*mode), true)?;
        }
    }
    Ok([loopback, veth])
}

/// What our end tells the far one.
#[derive(Default)]
struct Word {
    /// Which way is under test.
    turn: AtomicUsize,
    /// All are open; from here on the echo spins.
    is_timed: AtomicBool,
    stop: AtomicBool,
}

/// Opens the far ends and looks at the one whose turn it is until told to stop.
fn serve(
    lanes: &[&Lane],
    loopback: &TcpListener,
    clock: Clock,
    word: &Word,
    ready: &Sender<()>,
) -> anyhow::Result<()> {
    let mut ends = Vec::new();
    for lane in lanes {
        let end = lane.far(loopback, clock);
        ends.push(end.with_context(|| format!("the far end of {}", lane.name))?);
    }
    // Nobody listening any more has its own reason.
    let _ = ready.send(());
    while !word.stop.load(Ordering::Relaxed) {
        let at = word.turn.load(Ordering::Relaxed);
        if !word.is_timed.load(Ordering::Relaxed) {
            // Whoever finds the way to a peer needs a core as well.
            std::thread::sleep(core::time::Duration::from_micros(100));
        }
        // Many looks a look at the word, which the other core writes.
        for _ in 0..64 {
            ends[at].look()?;
        }
    }
    Ok(())
}

/// Runs it. Errors: a transport that cannot be opened, an echo that ends.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    let mut notes = Vec::new();
    let groups = lanes(args, &mut notes)?;
    let all: Vec<&Lane> = groups.iter().flatten().collect();
    let loopback = road::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let word = Word::default();
    let (ready, is_ready) = channel();
    let (all, loopback, word, seats) = (&all, &loopback, &word, &seats);
    let measured = std::thread::scope(|scope| {
        let far = scope.spawn(move || {
            seats.sit(seats.venue_core);
            serve(all, loopback, clock, word, &ready)
        });
        let near = scope.spawn(move || {
            seats.sit(seats.client_core);
            let outcome = measure(args, all, loopback, clock, word, &is_ready);
            word.stop.store(true, Ordering::Relaxed);
            outcome
        });
        let near = near.join();
        let far = far.join();
        let far = far.unwrap_or_else(|_| bail!("the echo's thread panicked"));
        let near = near.unwrap_or_else(|_| bail!("the measuring thread panicked"));
        // The echo's trouble is the reason for ours.
        far.and(near)
    });
    let (samples, hiccups) = measured?;
    let mut summary = Summary::new("transport", clock.tsc_hz(), seats.clone(), hiccups);
    summary.notes.extend(notes);
    let mut samples = samples.into_iter();
    for (road, lanes) in ["loopback", "veth"].iter().zip(&groups) {
        let rows = lanes.iter().zip(samples.by_ref());
        let rows: Vec<_> = rows
            .map(|(lane, samples)| (lane.name.clone(), samples))
            .collect();
        if !rows.is_empty() {
            let group = format!("{road}, {} bytes", args.bytes);
            summary.add(&group, &rows);
        }
    }
    Ok(summary)
}

fn measure(
    args: &Args,
    lanes: &[&Lane],
    loopback: &TcpListener,
    clock: Clock,
    word: &Word,
    is_ready: &Receiver<()>,
) -> anyhow::Result<(Vec<Samples>, Hiccups)> {
    let mut hiccups = Hiccups::default();
    is_ready.recv().context("the far ends are not there")?;
    hiccups.look(&clock, 50_000_000);
    let message = vec![7; args.bytes as usize];
    let mut ways = Vec::new();
    for (at, lane) in lanes.iter().enumerate() {
        word.turn.store(at, Ordering::Relaxed);
        let way = lane.near(loopback, clock, message.len());
        ways.push(way.with_context(|| lane.name.clone())?);
    }
    word.is_timed.store(true, Ordering::Relaxed);
    let mut all = vec![Samples::default(); lanes.len()];
    let blocks = (args.trips as usize).div_ceil(BLOCK);
    // The first tenth warms all of them up.
    for block in 0..blocks + blocks.div_ceil(10) {
        for (at, way) in ways.iter_mut().enumerate() {
            word.turn.store(at, Ordering::Relaxed);
            // The far end comes round within a few trips, which belong to nobody.
            for _ in 0..2 {
                way.round_trip(&message)?;
            }
            let before = Suffered::own();
            let mut values = Vec::with_capacity(BLOCK);
            for _ in 0..BLOCK {
                let start = tsc();
                way.round_trip(&message)?;
                let ns = clock.cycles_to_ns(tsc().since(start));
                values.push((u32::try_from(ns).unwrap_or(u32::MAX).max(1), 0));
            }
            way.rest();
            let is_clean = !Suffered::own().since(before).is_preempted();
            if block >= blocks.div_ceil(10) {
                all[at].add_round(&[is_clean], values);
            }
        }
    }
    hiccups.look(&clock, 50_000_000);
    Ok((all, hiccups))
}
