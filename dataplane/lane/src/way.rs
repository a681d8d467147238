//! Which way each lane's bytes take: prepared before there are lanes, opened on each lane's thread, put back
//! when the last has ended.
//!
//! ```text
//!   setup thread    list of changes (mends a crash) ─▶ ports kept off ─▶ each card: offloads, programs
//!   lane's thread   Way ─▶ io_uring │ sockets │ frames of one queue and our TCP
//!   the end         lanes ─▶ programs (a descriptor's) ─▶ offloads, ports, newest first
//!   killed          the kernel drops the programs; the list says the rest: `spinlane run` or the next start
//! ```
//!
//! A transport that was asked for and cannot be had ends the start with the reason: nobody trades over another
//! one than he measured. Only the XDP mode falls, where the configuration lets it, and is told as a fact.

use crate::node::NodeError;
use dp_config::{Config, Lane, Ports};
use dp_host::{Topology, Witness};
use dp_shm::{Counter, Counters};
use dp_transport::bypass::Bypass;
use dp_transport::xdp::ethtool::{self, Offload};
use dp_transport::xdp::{
    BusyPoll, Change, FlowRules, KernelWays, PortRange, Share, Steering, Undo, XdpFault, XdpMode,
    Xsk, XskOptions, reserve_ports,
};
use dp_transport::{Counts, Pages, Sockets, Transport, Uring};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What was changed on this host that does not end with the process.
pub fn changes_file(state_dir: &Path) -> PathBuf {
    state_dir.join("net.changes")
}

/// What a lane is asked to run over: the planner's choice where the configuration leaves it.
pub fn chosen(lane: &Lane) -> dp_host::Way {
    let asked = match lane.transport {
        dp_config::Transport::Auto => None,
        dp_config::Transport::IoUring => Some(dp_host::Way::IoUring),
        dp_config::Transport::Sockets => Some(dp_host::Way::Sockets),
        dp_config::Transport::AfXdp => Some(dp_host::Way::AfXdp),
    };
    let is_spinning = matches!(lane.idle, dp_config::Idle::Spin);
    dp_host::Way::choose(asked, lane.nic.is_some(), is_spinning, lane.venues.len())
}

/// Bytes a lane's transport takes.
pub fn bytes(lane: &Lane) -> u64 {
    let bytes = match chosen(lane) {
        dp_host::Way::IoUring => Uring::BYTES,
        dp_host::Way::Sockets => Sockets::BYTES,
        dp_host::Way::AfXdp => KernelWays::BYTES,
    };
    bytes as u64
}

/// Cards the configuration names, as this process sees them. `/sys` may be another namespace's (a container,
/// a test): the kernel's own answer counts.
pub fn cards(config: &Config, topology: &mut Topology) {
    for nic in config.lane.iter().filter_map(|lane| lane.nic.as_deref()) {
        let is_there = nix::net::if_::if_nametoindex(nic).is_ok();
        if !is_there {
            topology.nics.retain(|known| known.name != nic);
        } else if topology.nic(nic).is_none() {
            let rx_queues = ethtool::rx_queues(nic).unwrap_or(1);
            topology.nics.push(dp_host::Nic {
                name: nic.to_owned(),
                node: None,
                rx_queues: u16::try_from(rx_queues).unwrap_or(u16::MAX),
                is_physical: false,
            });
        }
    }
}

/// One lane's way, not opened yet.
#[derive(Debug, Clone)]
pub enum Way {
    /// The kernel's TCP through io_uring.
    IoUring,
    /// The kernel's TCP through sockets asked over and over.
    Sockets,
    /// Our TCP over a card's frames.
    AfXdp(Queue),
}

impl Way {
    /// A lane's that has no card.
    fn of_kernel(lane: &Lane) -> Self {
        if chosen(lane) == dp_host::Way::Sockets {
            Self::Sockets
        } else {
            Self::IoUring
        }
    }
}

/// A queue of a card that is prepared.
#[derive(Debug, Clone)]
pub struct Queue {
    steering: Arc<Steering>,
    card: String,
    queue: u16,
    mode: dp_config::XdpMode,
    busy_poll: bool,
    share: Share,
}

/// Every lane's way, and what was changed for them.
#[derive(Debug)]
pub struct Ways {
    lanes: Vec<Way>,
    /// Undoes it all when dropped: after the programs, which are the lanes'.
    _undo: Option<Arc<Mutex<Undo>>>,
}

impl Ways {
    /// Prepares every card, each known to `topology` ([`cards`]). In the order of lanes; nothing is left changed when it fails.
    ///
    /// Cost: milliseconds; up to 3 s where a card is still held by a run that crashed.
    /// Errors: which lane's card and why.
    pub fn prepare(config: &Config, topology: &Topology) -> Result<Self, NodeError> {
        let path = changes_file(&config.node.state_dir);
        let count = config.lane.iter().filter_map(Lane::card).count();
        if count == 0 {
            // Nothing of ours is needed; what a run over a card has left still goes.
            tell_mended(&Undo::mend(&path).map_err(|fault| sentence("list of changes", fault))?);
            return Ok(Self {
                lanes: config.lane.iter().map(Way::of_kernel).collect(),
                _undo: None,
            });
        }
        let ports = config.node.ports;
        let mut undo = Undo::open(&path).map_err(|fault| sentence("list of changes", fault))?;
        tell_mended(undo.mended());
        reserve_ports(&mut undo, range(ports)).map_err(|fault| sentence("node.ports", fault))?;
        let undo = Arc::new(Mutex::new(undo));
        let mut cards: BTreeMap<&str, (Arc<Steering>, bool)> = BTreeMap::new();
        let mut lanes = Vec::with_capacity(config.lane.len());
        let mut part = 0;
        for (index, lane) in config.lane.iter().enumerate() {
            let Some(card) = lane.card() else {
                lanes.push(Way::of_kernel(lane));
                continue;
            };
            let (steering, has_rules) = match cards.get(card.nic) {
                Some(known) => known.clone(),
                None => {
                    let why = |fault| sentence(&format!("lane[{index}].nic: {}", card.nic), fault);
                    let mut undo = undo.lock().unwrap_or_else(PoisonError::into_inner);
                    let has_rules = needs_rules(&mut undo, card.nic).map_err(why)?;
                    let steering = attach(&mut undo, &card, ports).map_err(why)?;
                    let known = (Arc::new(steering), has_rules);
                    cards.insert(card.nic, known.clone());
                    known
                }
            };
            let is_native = steering.is_native();
            lanes.push(Way::AfXdp(Queue {
                steering,
                card: card.nic.to_owned(),
                queue: card.queue,
                mode: card.mode,
                busy_poll: dp_host::polls_queue(
                    card.busy_poll,
                    !is_native,
                    topology.nic(card.nic).is_some_and(|nic| nic.is_physical),
                    matches!(lane.idle, dp_config::Idle::Spin),
                ),
                share: Share {
                    ports: range(ports.part(part, count)),
                    rules: has_rules
                        .then(|| FlowRules::new(&undo, card.nic, u32::from(card.queue))),
                },
            }));
            part += 1;
        }
        Ok(Self {
            lanes,
            _undo: Some(undo),
        })
    }

    /// Each lane's, in order.
    pub fn lanes(&self) -> &[Way] {
        &self.lanes
    }
}

/// Undoes what a run that crashed has left; nothing while one lives.
/// Errors: one sentence; [`XdpFault::Held`] when one does.
pub fn mend(config: &Config) -> Result<Vec<Change>, XdpFault> {
    Undo::mend(&changes_file(&config.node.state_dir))
}

fn tell_mended(changes: &[Change]) {
    for change in changes {
        tracing::warn!(%change, "left by a run that crashed: undone");
    }
}

fn sentence(what: &str, fault: XdpFault) -> NodeError {
    NodeError::Host(format!("{what}: {fault}"))
}

fn range(ports: Ports) -> PortRange {
    PortRange {
        first: ports.first,
        last: ports.last,
    }
}

/// Modes that will do, best first.
const fn modes(mode: dp_config::XdpMode) -> &'static [XdpMode] {
    match mode {
        dp_config::XdpMode::Auto | dp_config::XdpMode::ZeroCopy => &XdpMode::ALL,
        dp_config::XdpMode::Native => &[XdpMode::CopyNative],
        dp_config::XdpMode::Generic => &[XdpMode::CopyGeneric],
    }
}

/// Whether a card must be told by rules which queue a flow's frames go to, which one with several must.
/// Errors: it takes none; a venue's frames would come in on whichever queue its hash says.
fn needs_rules(undo: &mut Undo, nic: &str) -> Result<bool, XdpFault> {
    let queues = ethtool::rx_queues(nic)?;
    if queues < 2 {
        return Ok(false);
    }
    // Some cards have rules without the switch.
    if ethtool::offload(nic, Offload::Ntuple) == Ok(false) {
        let _ = ethtool::switch(undo, nic, Offload::Ntuple, true);
    }
    FlowRules::check(nic).map_err(|_| XdpFault::Option {
        what: "number of the card's receive queues",
        got: u64::from(queues),
        must: "without flow rules, which it does not take, one is needed: `ethtool -L NIC combined 1`",
    })?;
    Ok(true)
}

/// Makes a card give us its frames as they are on the wire, and puts the programs on it.
fn attach(undo: &mut Undo, card: &dp_config::Card<'_>, ports: Ports) -> Result<Steering, XdpFault> {
    let ifindex = nix::net::if_::if_nametoindex(card.nic).map_err(|errno| XdpFault::Os {
        what: "no such interface",
        errno: errno as i32,
    })?;
    // Before the programs: some drivers take none while segments are glued, or set the queues up again.
    for offload in [Offload::RxVlan, Offload::Lro] {
        switch_off(undo, card.nic, offload);
    }
    let steering = Steering::attach(ifindex, range(ports), modes(card.mode))?;
    if !steering.is_native() {
        switch_off(undo, card.nic, Offload::Gro);
    }
    tracing::info!(nic = card.nic, is_native = steering.is_native(), %ports, "card prepared");
    Ok(steering)
}

/// A card that has no such offload is as good as one that has it off.
fn switch_off(undo: &mut Undo, nic: &str, offload: Offload) {
    if ethtool::offload(nic, offload) != Ok(true) {
        return;
    }
    if let Err(error) = ethtool::switch(undo, nic, offload, false) {
        tracing::warn!(nic, offload = offload.name(), %error, "cannot be switched off");
    }
}

impl Queue {
    /// Opens it on the lane's thread. Errors: [`XdpFault`].
    pub fn open(&self, node: Option<u16>) -> Result<Bypass<Xsk, KernelWays>, XdpFault> {
        let mut secret = [0; 16];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| XdpFault::Os {
                what: "random numbers",
                errno: nix::errno::Errno::EIO as i32,
            })?;
        let options = XskOptions {
            queue: u32::from(self.queue),
            modes: modes(self.mode),
            busy_poll: self.busy_poll.then_some(BusyPoll::default()),
            node,
            ..XskOptions::default()
        };
        let checksums = dp_tcp::wire::Checksums::Verify;
        let share = self.share.clone();
        KernelWays::open_shared(&self.steering, &options, share, checksums, secret)
    }

    /// Adds what there is to say about it to a lane's witness.
    pub fn testify(&self, frames: &Xsk, witness: &mut Witness) {
        let live = frames.mode();
        let asked = self.mode.name();
        let is_so = self.mode != dp_config::XdpMode::ZeroCopy || live == XdpMode::ZeroCopyNative;
        witness.xdp_mode = Some((asked.to_owned(), live.name().to_owned(), is_so));
        witness.busy_poll = Some((self.busy_poll, frames.is_busy_polling()));
        witness.nic = Some(self.card.clone());
        witness.reset_guard = Some(match self.steering.guard() {
            Ok(()) => "yes".to_owned(),
            Err(fault) => fault.to_string(),
        });
        witness.transport.1 = format!("af_xdp, {} queue {} ({live})", self.card, self.queue);
    }
}

/// What a transport says of itself once it is open.
pub trait Seated: Transport {
    /// What its memory is on, the worse of all of it.
    fn pages(&mut self) -> Pages;
    /// The node its memory is on; `None` = several, or the kernel does not say.
    fn node(&mut self) -> Option<u16>;
}

impl Seated for Uring {
    fn pages(&mut self) -> Pages {
        let (rx, tx) = Self::pages(self);
        if rx == Pages::Huge { tx } else { rx }
    }

    fn node(&mut self) -> Option<u16> {
        Self::node(self)
    }
}

impl Seated for Sockets {
    fn pages(&mut self) -> Pages {
        let (rx, tx) = Self::pages(self);
        if rx == Pages::Huge { tx } else { rx }
    }

    fn node(&mut self) -> Option<u16> {
        Self::node(self)
    }
}

impl Seated for Bypass<Xsk, KernelWays> {
    fn pages(&mut self) -> Pages {
        self.frames().pages()
    }

    fn node(&mut self) -> Option<u16> {
        self.frames().node()
    }
}

/// Adds what a transport counted to a lane's counters.
pub fn publish(counters: Counters<'_>, counts: &Counts) {
    for (counter, by) in [
        (Counter::FramesIn, counts.frames_in),
        (Counter::FramesOut, counts.frames_out),
        (Counter::FramesRefused, counts.frames_refused),
        (Counter::FramesDropped, counts.frames_dropped),
        (Counter::BadChecksums, counts.bad_checksums),
        (Counter::TcpRetransmits, counts.retransmits),
        (Counter::TcpTimeouts, counts.timeouts),
        (Counter::TcpSackBlocks, counts.sack_blocks),
        (Counter::TcpOutOfOrder, counts.out_of_order),
        (Counter::LinkDowns, counts.link_downs),
        (Counter::LinkChanges, counts.link_changes),
        (Counter::NeighbourChanges, counts.neighbour_changes),
    ] {
        if by > 0 {
            counters.add(counter, by);
        }
    }
}
