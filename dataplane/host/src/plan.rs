//! Who sits on which core: checked where the configuration says, chosen where it says `auto`.
//!
//! A lane that spins owns its physical core: no other lane on it, none on its sibling. It sits on an isolated
//! core where there are any, on its network card's node, beside its kin under one last-level cache, and it
//! always leaves a core to everybody else. A plan that breaks one of these is refused whole, with every reason
//! at once; nothing is placed "as well as it goes".
//!
//! A lane that parks or yields shares: it may sit anywhere the process may, also with others.

use crate::{Cpu, CpuList, Topology};
use core::cmp::Reverse;

/// What a lane asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its number.
    pub lane: u8,
    /// Where; `Auto` lets the planner choose.
    pub core: CoreWish,
    /// It spins, or runs in a real-time class: it owns its core.
    pub owns_core: bool,
    /// The card its frames come through, by interface name; `None` = the kernel's stack, any card.
    pub nic: Option<String>,
    /// Receive queue of that card.
    pub queue: u16,
    /// Bytes of its own memory: arenas, buffers, heap.
    pub bytes: u64,
    /// Lanes it shares rings with: near is where its messages are.
    pub kin: Vec<u8>,
}

/// How a lane's bytes get to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The kernel's TCP through io_uring.
    IoUring,
    /// The kernel's TCP through sockets that are asked over and over.
    Sockets,
    /// Our TCP over a card's frames.
    AfXdp,
}

impl Way {
    /// The way that was asked for, or (`None`) the one that suits. A card is never taken from the kernel unless
    /// it is named: whoever names none may be logged in through it. Asking a socket over and over is quickest
    /// for a lane that spins on two talking ones; each more costs every turn a system call, and for a lane
    /// that gives its core up the ring is cheaper.
    pub const fn choose(
        asked: Option<Self>,
        is_card_named: bool,
        is_spinning: bool,
        venues: usize,
    ) -> Self {
        match (asked, is_card_named) {
            (Some(way), _) => way,
            (None, true) => Self::AfXdp,
            (None, false) if is_spinning && venues == 1 => Self::Sockets,
            (None, false) => Self::IoUring,
        }
    }

    /// As the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Sockets => "sockets",
            Self::AfXdp => "af_xdp",
        }
    }
}

/// Whether a lane over AF_XDP polls its card's queue itself (NAPI busy polling): what was asked for, or (`None`)
/// what suits. Whoever spins has the time, and a real card's frames then come without an interrupt on another
/// core; the price is a system call in each turn that finds nothing. A pair of virtual interfaces interrupts
/// nobody: its sender does the work. The generic hook stands behind the queue, not in its NAPI: nothing to poll.
pub const fn polls_queue(
    asked: Option<bool>,
    is_generic: bool,
    is_physical: bool,
    is_spinning: bool,
) -> bool {
    match asked {
        _ if is_generic => false,
        Some(asked) => asked,
        None => is_physical && is_spinning,
    }
}

/// Where a lane wants to sit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreWish {
    /// Not pinned.
    Anywhere,
    /// The planner's choice.
    Auto,
    /// This one.
    At(u16),
}

/// Memory the plan must fit in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Bytes shared by all lanes: rings, metric pages.
    pub shared_bytes: u64,
    /// Lane memory must come from reserved 2 MiB pages.
    pub needs_huge: bool,
}

/// Where a lane sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Its number.
    pub lane: u8,
    /// Its core; `None` = not pinned.
    pub core: Option<u16>,
    /// The node its memory belongs on; `None` = not pinned, or the machine has one node only.
    pub node: Option<u16>,
}

/// Why a plan cannot be carried out: what, why, and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such processor, or it is offline.
    #[error("lane {lane}: there is no core {core} online; the machine has {online}")]
    NoSuchCore {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// Those there are.
        online: CpuList,
    },
    /// The process may not run there.
    #[error(
        "lane {lane}: this process may run on {allowed} only, not on core {core}; mend its cpuset or affinity"
    )]
    NotAllowed {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// Those it may use.
        allowed: CpuList,
    },
    /// Two lanes on one core, one of which spins.
    #[error(
        "lane {lane}: core {core} is lane {other}'s, and a spinning lane owns its core; give it another, or `auto`"
    )]
    Taken {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// Who has it.
        other: u8,
    },
    /// Two lanes on one physical core, one of which spins.
    #[error(
        "lane {lane}: core {core} is a thread of lane {other}'s physical core ({siblings}); give it another, or `auto`"
    )]
    SiblingTaken {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// Who has the other thread.
        other: u8,
        /// Threads of that physical core.
        siblings: CpuList,
    },
    /// There are isolated cores, and the lane is not on one.
    #[error(
        "lane {lane}: core {core} is not isolated, and {isolated} are; a spinning lane belongs on one of those"
    )]
    NotIsolated {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// Isolated ones.
        isolated: CpuList,
    },
    /// On another node than its card.
    #[error(
        "lane {lane}: core {core} is on node {node}, its card {nic} on node {nic_node}; use a core of {cpus}"
    )]
    FarFromCard {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// The core's node.
        node: u16,
        /// Card.
        nic: String,
        /// The card's node.
        nic_node: u16,
        /// Cores of the card's node.
        cpus: CpuList,
    },
    /// On another node than a lane it has rings with, and no card holds either there.
    #[error(
        "lane {lane}: core {core} is on node {node}, lane {other}, with which it has rings, on node {other_node}: \
         each message would cross between them; use a core of {cpus}"
    )]
    FarFromKin {
        /// Lane.
        lane: u8,
        /// Asked for.
        core: u16,
        /// The core's node.
        node: u16,
        /// Who is there.
        other: u8,
        /// That one's node.
        other_node: u16,
        /// Cores of that node.
        cpus: CpuList,
    },
    /// No such card.
    #[error("lane {lane}: there is no interface {nic}; the machine has {there}")]
    NoSuchCard {
        /// Lane.
        lane: u8,
        /// Asked for.
        nic: String,
        /// Those there are.
        there: String,
    },
    /// No such queue.
    #[error("lane {lane}: {nic} has {queues} receive queues, none numbered {queue}")]
    NoSuchQueue {
        /// Lane.
        lane: u8,
        /// Card.
        nic: String,
        /// Asked for, from 0.
        queue: u16,
        /// How many there are.
        queues: u16,
    },
    /// Two lanes on one queue.
    #[error("lane {lane}: queue {queue} of {nic} is lane {other}'s; one lane a queue")]
    QueueTaken {
        /// Lane.
        lane: u8,
        /// Card.
        nic: String,
        /// Asked for.
        queue: u16,
        /// Who has it.
        other: u8,
    },
    /// `auto`, and nothing is left.
    #[error(
        "lane {lane}: no core is left for it: {spare} could be used, all are taken, kept free or their siblings are"
    )]
    NoneLeft {
        /// Lane.
        lane: u8,
        /// Cores that could have been.
        spare: CpuList,
    },
    /// Spinning lanes would own every core.
    #[error(
        "spinning lanes would own every core of {allowed}: leave one to the system, or let a lane yield"
    )]
    NothingLeftOver {
        /// Cores the process may use.
        allowed: CpuList,
    },
    /// Memory does not fit.
    #[error(
        "node {node}: {need_mib} MiB of {what} are needed, {have_mib} MiB are to be had; {mend}"
    )]
    Memory {
        /// Node.
        node: u16,
        /// What kind.
        what: &'static str,
        /// Needed, MiB, rounded up.
        need_mib: u64,
        /// There, MiB.
        have_mib: u64,
        /// What to do.
        mend: &'static str,
    },
}

/// Share of a node's memory a plan may ask for: one part in this many stays for the rest of the system
/// (requirement PF-05: peak below 80 %).
const SPARE_SHARE: u64 = 5;

/// Places every lane, `wishes` in order of their claims. `allowed`: processors this process may run on.
///
/// Errors: everything that is wrong with the wishes, in their order; never empty.
pub fn plan(
    topology: &Topology,
    allowed: &CpuList,
    wishes: &[Wish],
    sizes: Sizes,
) -> Result<Vec<Placement>, Vec<Refusal>> {
    let mut planner = Planner {
        topology,
        allowed,
        seats: Vec::with_capacity(wishes.len()),
        refusals: Vec::new(),
    };
    // Those who say where they sit first: `auto` goes round them.
    let (said, auto): (Vec<&Wish>, Vec<&Wish>) =
        wishes.iter().partition(|wish| wish.core != CoreWish::Auto);
    for wish in said.into_iter().chain(auto) {
        planner.card(wish, wishes);
        let core = match wish.core {
            CoreWish::Anywhere => None,
            CoreWish::At(core) => planner.check(wish, core),
            CoreWish::Auto => planner.choose(wish),
        };
        planner.seats.push((wish, core));
    }
    planner.left_over();
    planner.memory(sizes);
    if !planner.refusals.is_empty() {
        return Err(planner.refusals);
    }
    let is_single = topology.nodes.len() < 2;
    let mut placements: Vec<Placement> = planner
        .seats
        .iter()
        .map(|(wish, core)| Placement {
            lane: wish.lane,
            core: *core,
            node: core
                .and_then(|core| Some(topology.cpu(core)?.node))
                .filter(|_| !is_single),
        })
        .collect();
    placements.sort_by_key(|placement| placement.lane);
    Ok(placements)
}

struct Planner<'a> {
    topology: &'a Topology,
    allowed: &'a CpuList,
    seats: Vec<(&'a Wish, Option<u16>)>,
    refusals: Vec<Refusal>,
}

impl<'a> Planner<'a> {
    /// The card and queue a lane names.
    fn card(&mut self, wish: &'a Wish, wishes: &'a [Wish]) {
        let (lane, queue) = (wish.lane, wish.queue);
        let Some(nic) = wish.nic.clone() else { return };
        let Some(card) = self.topology.nic(&nic) else {
            let there: Vec<&str> = self.topology.nics.iter().map(|nic| &*nic.name).collect();
            let there = there.join(", ");
            self.refusals.push(Refusal::NoSuchCard { lane, nic, there });
            return;
        };
        let queues = card.rx_queues;
        if queue >= queues {
            self.refusals.push(Refusal::NoSuchQueue {
                lane,
                nic,
                queue,
                queues,
            });
            return;
        }
        let mut before = wishes.iter().take_while(|other| other.lane != lane);
        let same = before.find(|other| other.nic.as_ref() == Some(&nic) && other.queue == queue);
        if let Some(other) = same.map(|other| other.lane) {
            self.refusals.push(Refusal::QueueTaken {
                lane,
                nic,
                queue,
                other,
            });
        }
    }

    fn nic_node(&self, wish: &Wish) -> Option<u16> {
        self.topology.nic(wish.nic.as_deref()?)?.node
    }

    /// Who sits on this physical core, where that keeps `wish` from it.
    fn rival(&self, wish: &Wish, cpu: &Cpu) -> Option<(u8, u16)> {
        let mut seats = self.seats.iter();
        seats.find_map(|(other, core)| {
            let core = (*core)?;
            let collides = wish.owns_core || other.owns_core;
            (collides && cpu.siblings.has(core)).then_some((other.lane, core))
        })
    }

    /// A core the configuration names. It is kept even where it is refused, so that later lanes are told of it.
    fn check(&mut self, wish: &Wish, core: u16) -> Option<u16> {
        let lane = wish.lane;
        let Some(cpu) = self.topology.cpu(core) else {
            let online = self.topology.cpus.iter().map(|cpu| cpu.id).collect();
            self.refusals
                .push(Refusal::NoSuchCore { lane, core, online });
            return None;
        };
        if !self.allowed.has(core) {
            let allowed = self.allowed.clone();
            self.refusals.push(Refusal::NotAllowed {
                lane,
                core,
                allowed,
            });
        }
        if let Some((other, theirs)) = self.rival(wish, cpu) {
            self.refusals.push(if theirs == core {
                Refusal::Taken { lane, core, other }
            } else {
                let siblings = cpu.siblings.clone();
                Refusal::SiblingTaken {
                    lane,
                    core,
                    other,
                    siblings,
                }
            });
        }
        let isolated = &self.topology.isolated;
        if wish.owns_core && !isolated.is_empty() && !isolated.has(core) {
            let isolated = isolated.clone();
            self.refusals.push(Refusal::NotIsolated {
                lane,
                core,
                isolated,
            });
        }
        if wish.owns_core
            && let Some(nic_node) = self.nic_node(wish)
            && nic_node != cpu.node
        {
            let node = self.topology.node(nic_node);
            self.refusals.push(Refusal::FarFromCard {
                lane,
                core,
                node: cpu.node,
                nic: wish.nic.clone().unwrap_or_default(),
                nic_node,
                cpus: node.map(|node| node.cpus.clone()).unwrap_or_default(),
            });
        }
        self.check_kin(wish, cpu);
        Some(core)
    }

    /// A core the configuration names, against the lanes beside which it would be. Frames of a card come first: a
    /// lane with one sits on its node, and whoever reads its rings cannot be on every node.
    fn check_kin(&mut self, wish: &Wish, cpu: &Cpu) {
        if !wish.owns_core || wish.nic.is_some() {
            return;
        }
        let far = self
            .kin_of(wish)
            .find(|(other, kin)| other.owns_core && other.nic.is_none() && kin.node != cpu.node);
        if let Some((other, kin)) = far {
            let node = self.topology.node(kin.node);
            let refusal = Refusal::FarFromKin {
                lane: wish.lane,
                core: cpu.id,
                node: cpu.node,
                other: other.lane,
                other_node: kin.node,
                cpus: node.map(|node| node.cpus.clone()).unwrap_or_default(),
            };
            self.refusals.push(refusal);
        }
    }

    /// Lanes that have rings with this one and sit already, and where.
    fn kin_of(&self, wish: &Wish) -> impl Iterator<Item = (&'a Wish, &'a Cpu)> {
        let seats = self.seats.iter();
        seats.filter_map(|(other, core)| {
            let is_kin = wish.kin.contains(&other.lane) || other.kin.contains(&wish.lane);
            let cpu = self.topology.cpu((*core)?)?;
            is_kin.then_some((*other, cpu))
        })
    }

    /// The best core that is free: the card's node, then the nodes and caches of the lanes it has rings with,
    /// then a cache some of our lanes sit under, then the cache with the most room (so that kin fit beside each
    /// other), then the lowest number.
    fn choose(&mut self, wish: &Wish) -> Option<u16> {
        let topology = self.topology;
        let isolated = &topology.isolated;
        let kept = self.kept_free();
        let usable: Vec<&Cpu> = topology
            .cpus
            .iter()
            .filter(|cpu| self.allowed.has(cpu.id))
            .filter(|cpu| isolated.is_empty() || !wish.owns_core || isolated.has(cpu.id))
            .collect();
        let is_free = |cpu: &&&Cpu| {
            self.rival(wish, cpu).is_none()
                && !(wish.owns_core && cpu.siblings.iter().any(|id| kept == Some(id)))
        };
        let free: Vec<&Cpu> = usable.iter().filter(is_free).copied().collect();
        let home = self.nic_node(wish);
        let mine: Vec<Option<u16>> = self
            .seats
            .iter()
            .filter_map(|(_, core)| Some(topology.cpu((*core)?)?.l3))
            .collect();
        let kin: Vec<&Cpu> = self.kin_of(wish).map(|(_, cpu)| cpu).collect();
        let near = |cpu: &Cpu| {
            let is_same_node = |kin: &&&Cpu| kin.node == cpu.node;
            let is_same_cache = |kin: &&&Cpu| cpu.l3.is_some() && kin.l3 == cpu.l3;
            let nodes = kin.iter().filter(is_same_node).count();
            (nodes, kin.iter().filter(is_same_cache).count())
        };
        let room = |cpu: &Cpu| free.iter().filter(|other| other.l3 == cpu.l3).count();
        let best = free.iter().min_by_key(|cpu| {
            let distance = home.map_or(0, |home| self.distance(home, cpu.node));
            let is_beside_kin = cpu.l3.is_some() && mine.contains(&cpu.l3);
            let (near, is_beside) = (Reverse(near(cpu)), Reverse(is_beside_kin));
            (distance, near, is_beside, Reverse(room(cpu)), cpu.id)
        });
        if best.is_none() {
            let spare = usable.iter().map(|cpu| cpu.id).collect();
            self.refusals.push(Refusal::NoneLeft {
                lane: wish.lane,
                spare,
            });
        }
        best.map(|cpu| cpu.id)
    }

    /// Where nothing is isolated, the lowest core is everybody else's: interrupts and the boot processor.
    fn kept_free(&self) -> Option<u16> {
        let is_needed = self.topology.isolated.is_empty();
        is_needed.then(|| self.allowed.first()).flatten()
    }

    fn distance(&self, from: u16, to: u16) -> u16 {
        if from == to {
            return 0;
        }
        let at = self.topology.nodes.iter().position(|node| node.id == to);
        let from = self.topology.node(from);
        at.and_then(|at| from?.distances.get(at).copied())
            .unwrap_or(u16::MAX)
    }

    fn left_over(&mut self) {
        let owned: Vec<u16> = self
            .seats
            .iter()
            .filter(|(wish, _)| wish.owns_core)
            .filter_map(|(_, core)| *core)
            .collect();
        let is_online = |id: &u16| self.topology.cpu(*id).is_some();
        let mut others = self
            .topology
            .cpus
            .iter()
            .map(|cpu| cpu.id)
            .filter(is_online);
        if !owned.is_empty() && others.all(|cpu| owned.contains(&cpu)) {
            let allowed = self.allowed.clone();
            self.refusals.push(Refusal::NothingLeftOver { allowed });
        }
    }

    /// What lanes need on each node must be there. Lanes that are not pinned count to the first.
    fn memory(&mut self, sizes: Sizes) {
        let topology = self.topology;
        let first = topology.nodes.first().map_or(0, |node| node.id);
        for node in &topology.nodes {
            let lanes: u64 = self
                .seats
                .iter()
                .filter(|(_, core)| {
                    let cpu = core.and_then(|core| topology.cpu(core));
                    cpu.map_or(first, |cpu| cpu.node) == node.id
                })
                .fold(0, |sum, (wish, _)| sum.saturating_add(wish.bytes));
            let shared = if node.id == first {
                sizes.shared_bytes
            } else {
                0
            };
            let usable = node.bytes - node.bytes / SPARE_SHARE;
            if lanes.saturating_add(shared) > usable {
                self.refusals.push(Refusal::Memory {
                    node: node.id,
                    what: "memory",
                    need_mib: lanes.saturating_add(shared).div_ceil(1 << 20),
                    have_mib: usable >> 20,
                    mend: "make rings smaller, or run fewer lanes on it",
                });
            }
            if sizes.needs_huge && lanes > node.huge_free_bytes {
                self.refusals.push(Refusal::Memory {
                    node: node.id,
                    what: "reserved 2 MiB pages",
                    need_mib: lanes.div_ceil(1 << 20),
                    have_mib: node.huge_free_bytes >> 20,
                    mend: "raise vm.nr_hugepages, or waive huge_pages",
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
