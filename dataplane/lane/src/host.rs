//! The machine under the lanes: planned before anything is taken, judged before anything is traded.
//!
//! ```text
//!   configuration + topology ─▶ plan ─▶ lanes set themselves up ─▶ witnesses ─▶ judge ─▶ go, or nobody does
//! ```

use crate::cast;
use crate::node::NodeError;
use crate::way;
use crossbeam::channel::{Receiver, Sender, bounded};
use dp_config::{Config, Core, Idle, Mode};
use dp_host::tree::Live;
use dp_host::{CoreWish, CpuList, Fact, Placement, Severity, Sizes, Topology, Wish, Witness};
use dp_shm::layout::Shape;
use dp_transport::{AffinityError, Pages, RealtimeError};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

/// Bytes a lane takes besides its arenas: heap, stacks, tables of engine and venues.
const LANE_BYTES: u64 = 64 << 20;

/// Where the facts of the last start stand, for whoever asks later.
pub fn facts_file(state_dir: &Path) -> PathBuf {
    state_dir.join("host.json")
}

/// Processors this process may run on. Isolated ones are not in the mask it has inherited: they are tried.
fn allowed(topology: &Topology) -> CpuList {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let cpus = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    let cpus = cpus.filter_map(|cpu| u16::try_from(cpu).ok());
    let isolated = topology.isolated.iter();
    cpus.chain(isolated.filter(|cpu| dp_transport::can_pin(usize::from(*cpu))))
        .collect()
}

/// Whether a lane owns its core.
pub const fn owns_core(lane: &dp_config::Lane) -> bool {
    matches!(lane.idle, Idle::Spin) || lane.fifo > 0
}

/// Places the lanes. Errors: every reason, one a line.
pub fn place(
    config: &Config,
    topology: &Topology,
    shape: &Shape,
) -> Result<Vec<Placement>, NodeError> {
    let wish = |(lane, section): (u8, &dp_config::Lane)| Wish {
        lane,
        core: match section.core {
            None => CoreWish::Anywhere,
            Some(Core::Auto) => CoreWish::Auto,
            Some(Core::At(core)) => CoreWish::At(core),
        },
        owns_core: owns_core(section),
        nic: section.card().map(|card| card.nic.to_owned()),
        queue: section.card().map_or(0, |card| card.queue),
        bytes: socket_bytes(section) + cast::ring_bytes(config, usize::from(lane)) + LANE_BYTES,
        kin: config
            .kin(usize::from(lane))
            .into_iter()
            .map(|kin| kin as u8)
            .collect(),
    };
    let wishes: Vec<Wish> = (0u8..).zip(&config.lane).map(wish).collect();
    let sizes = Sizes {
        shared_bytes: shape.size(),
        needs_huge: false,
    };
    dp_host::plan(topology, &allowed(topology), &wishes, sizes).map_err(|refusals| {
        let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        NodeError::Host(format!(
            "the lanes cannot sit so:\n  {}",
            lines.join("\n  ")
        ))
    })
}

/// Bytes of a lane's transport; none without sockets.
fn socket_bytes(lane: &dp_config::Lane) -> u64 {
    if lane.has_sockets() {
        way::bytes(lane)
    } else {
        0
    }
}

/// What a lane without sockets found of itself: its arenas are its rings.
pub fn witness_alone(
    seat: Placement,
    lane: &dp_config::Lane,
    pages: Pages,
    node: Option<u16>,
) -> Witness {
    let name = "rings".to_owned();
    Witness {
        lane: seat.lane,
        owns_core: owns_core(lane),
        core: seat.core,
        fifo: dp_transport::fifo(),
        fifo_asked: lane.fifo,
        is_locked: dp_transport::is_memory_locked(),
        pages: pages.name(),
        node,
        transport: (name.clone(), name),
        is_transport_so: true,
        ..Witness::default()
    }
}

/// What a lane that has sat down found of itself.
pub fn witness(
    seat: Placement,
    lane: &dp_config::Lane,
    transport: &mut impl way::Seated,
) -> Witness {
    let name = way::chosen(lane).name().to_owned();
    Witness {
        lane: seat.lane,
        owns_core: owns_core(lane),
        core: seat.core,
        fifo: dp_transport::fifo(),
        fifo_asked: lane.fifo,
        is_locked: dp_transport::is_memory_locked(),
        pages: transport.pages().name(),
        // Told once it is: the last thing a lane does before it is heard.
        is_confined: false,
        is_confined_asked: false,
        node: transport.node(),
        transport: (name.clone(), name),
        // One that cannot be had has ended the start.
        is_transport_so: true,
        ..Witness::default()
    }
}

/// Reads the machine, and the cards the configuration names.
pub fn topology(config: &Config) -> Topology {
    let mut topology = Topology::read(&Live::default());
    way::cards(config, &mut topology);
    topology
}

/// Puts the calling thread where it was placed, and into its class. Being refused the class is a fact for the
/// judge; being refused the core is the end.
pub fn sit(placement: Placement, fifo: u8) -> Result<(), AffinityError> {
    if let Some(core) = placement.core {
        dp_transport::pin(usize::from(core))?;
    }
    if fifo > 0
        && let Err(error) = dp_transport::set_fifo(fifo)
    {
        tracing::warn!(lane = placement.lane, %error, "the lane runs as an ordinary thread");
    }
    Ok(())
}

/// Locks the process's memory, or says why not: a fact for the judge.
pub fn lock_memory() {
    match dp_transport::lock_memory() {
        Ok(()) => {}
        Err(error @ RealtimeError::Lock(_)) => tracing::warn!(%error, "a page may be taken away"),
        Err(error) => tracing::warn!(%error),
    }
}

/// Holds lanes at their start until everyone's witness is heard and judged.
#[derive(Debug)]
pub struct Gate {
    witnesses: Receiver<Witness>,
    goes: Vec<Sender<()>>,
}

/// A lane's side of the gate.
#[derive(Debug)]
pub struct Turnstile {
    tell: Sender<Witness>,
    go: Receiver<()>,
}

impl Gate {
    /// A gate for `lanes` lanes, and each one's turnstile.
    pub fn new(lanes: usize) -> (Self, Vec<Turnstile>) {
        let (tell, witnesses) = bounded(lanes);
        let (goes, turnstiles) = (0..lanes)
            .map(|_| {
                let (send, go) = bounded(1);
                (
                    send,
                    Turnstile {
                        tell: tell.clone(),
                        go,
                    },
                )
            })
            .unzip();
        (Self { witnesses, goes }, turnstiles)
    }

    /// Waits for every lane's witness, in order of lanes; `None` when one ended before it could give it.
    pub fn hear(&self) -> Option<Vec<Witness>> {
        let heard = self.goes.iter().map(|_| self.witnesses.recv().ok());
        let mut heard: Vec<Witness> = heard.collect::<Option<_>>()?;
        heard.sort_by_key(|witness| witness.lane);
        Some(heard)
    }

    /// Lets everyone through. Dropping the gate instead turns everyone back.
    pub fn open(self) {
        for go in self.goes {
            // A lane that has ended meanwhile says so itself.
            let _ = go.send(());
        }
    }
}

impl Turnstile {
    /// Gives the witness and waits. Says whether the lane may go on.
    pub fn pass(self, witness: Witness) -> bool {
        let is_heard = self.tell.send(witness).is_ok();
        drop(self.tell);
        is_heard && self.go.recv().is_ok()
    }
}

/// Judges, tells and keeps the facts. Errors: fatal facts that are not so and not waived, in a live node.
pub fn judge(config: &Config, topology: &Topology, lanes: &[Witness]) -> Result<(), NodeError> {
    let facts = dp_host::judge(topology, lanes);
    keep(&facts_file(&config.node.state_dir), config, &facts);
    let mut missing = Vec::new();
    for fact in facts.iter().filter(|fact| !fact.is_so) {
        let is_waived = config.node.waive.iter().any(|id| id == fact.id);
        let stops =
            fact.severity == Severity::Fatal && config.node.mode == Mode::Live && !is_waived;
        if stops {
            missing.push(sentence(fact));
        } else {
            let (lane, asked, found) = (fact.lane, &fact.asked, &fact.found);
            tracing::warn!(
                fact = fact.id,
                lane,
                asked,
                found,
                is_waived,
                mend = fact.mend,
                "not so"
            );
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(NodeError::Host(format!(
        "this machine is not what live trading needs:\n  {}\nmend it, or name what you can do without in \
         node.waive; a node that never meets a venue says node.mode = \"test\"",
        missing.join("\n  ")
    )))
}

fn sentence(fact: &Fact) -> String {
    let lane = fact
        .lane
        .map_or(String::new(), |lane| format!("lane {lane}: "));
    let Fact {
        id,
        asked,
        found,
        mend,
        ..
    } = fact;
    format!("{id}: {lane}asked for {asked}, found {found}; {mend}")
}

/// Facts as JSON, for the command line. Failing to keep them is told and harms nothing.
fn keep(path: &Path, config: &Config, facts: &[Fact]) {
    let fact = |fact: &Fact| {
        let is_fatal = fact.severity == Severity::Fatal;
        serde_json::json!({
            "id": fact.id, "lane": fact.lane, "asked": fact.asked, "found": fact.found, "is_so": fact.is_so,
            "is_fatal": is_fatal, "is_waived": config.node.waive.iter().any(|id| id == fact.id),
            "mend": fact.mend,
        })
    };
    let facts: Vec<serde_json::Value> = facts.iter().map(fact).collect();
    let is_live = config.node.mode == Mode::Live;
    let text = serde_json::json!({ "is_live": is_live, "facts": facts }).to_string();
    if let Err(error) = std::fs::write(path, text) {
        tracing::warn!(file = %path.display(), %error, "facts about the machine cannot be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_goes_or_nobody_does() {
        for is_opened in [true, false] {
            let (gate, turnstiles) = Gate::new(3);
            let lanes: Vec<_> = (0u8..)
                .zip(turnstiles)
                .map(|(lane, turnstile)| {
                    let witness = Witness {
                        lane,
                        ..Witness::default()
                    };
                    std::thread::spawn(move || turnstile.pass(witness))
                })
                .collect();
            let heard = gate.hear().unwrap();
            assert_eq!(
                heard.iter().map(|it| it.lane).collect::<Vec<_>>(),
                [0, 1, 2]
            );
            if is_opened {
                gate.open();
            } else {
                drop(gate);
            }
            for lane in lanes {
                assert_eq!(lane.join().unwrap(), is_opened);
            }
        }
    }

    #[test]
    fn a_lane_that_ends_early_is_not_waited_for() {
        let (gate, mut turnstiles) = Gate::new(2);
        let last = turnstiles.pop().unwrap();
        drop(turnstiles);
        let other = std::thread::spawn(move || last.pass(Witness::default()));
        assert!(gate.hear().is_none());
        drop(gate);
        assert!(!other.join().unwrap());
    }
}
