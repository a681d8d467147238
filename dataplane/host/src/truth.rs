//! What was asked of the machine, and what is so: one list, told at start and by the doctor.
//!
//! The wish comes from the configuration, the witness from the lane itself, which reads back what the kernel
//! gave it; nothing is believed because it was asked for. A fatal fact that is not so keeps a node from trading
//! live unless it is waived by its name: so nobody trades on a machine that is not what he thinks it is.

use crate::Topology;

/// How much a fact matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Costs latency now and then.
    Advice,
    /// Breaks what the appliance promises: no live trading unless waived.
    Fatal,
}

/// One thing asked for and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name, as `waive` writes it: `isolated`, `huge_pages`, …
    pub id: &'static str,
    /// The lane it is about; `None` = the whole node.
    pub lane: Option<u8>,
    /// What was asked.
    pub asked: String,
    /// What is.
    pub found: String,
    /// Whether they agree.
    pub is_so: bool,
    /// How much it matters.
    pub severity: Severity,
    /// What it costs where it is not so, and the mend.
    pub mend: &'static str,
}

/// What a lane read back of itself after it was set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witness {
    /// Its number.
    pub lane: u8,
    /// It spins: what only matters to a lane that owns its core is judged.
    pub owns_core: bool,
    /// The one core it may run on; `None` = several.
    pub core: Option<u16>,
    /// Real-time priority (SCHED_FIFO); 0 = an ordinary thread.
    pub fifo: u8,
    /// Priority asked for; 0 = none.
    pub fifo_asked: u8,
    /// All memory of the process, now and to come, is locked.
    pub is_locked: bool,
    /// The kernel holds the thread to its list of system calls.
    pub is_confined: bool,
    /// Asked for.
    pub is_confined_asked: bool,
    /// What its arenas are on: `huge`, `transparent huge`, `4 KiB`.
    pub pages: &'static str,
    /// Node its arena's pages are on, all of them; `None` = on several, or the kernel does not say.
    pub node: Option<u16>,
    /// Transport asked for, and the one that is live with its mode: `af_xdp (copy, generic)`.
    pub transport: (String, String),
    /// The transport is the one asked for.
    pub is_transport_so: bool,
    /// XDP mode asked for, the one that is live, and whether that will do; `None` = frames are the kernel's.
    pub xdp_mode: Option<(String, String, bool)>,
    /// It is to poll its card's queue, and the kernel took that; `None` = frames are the kernel's.
    pub busy_poll: Option<(bool, bool)>,
    /// The card its frames come through.
    pub nic: Option<String>,
    /// `yes` where the kernel's resets for its flows are held back, else why not; `None` = flows are the kernel's.
    pub reset_guard: Option<String>,
}

/// Everything asked against everything so, node first, then lane by lane.
pub fn judge(topology: &Topology, lanes: &[Witness]) -> Vec<Fact> {
    let mut facts = vec![clock(topology)];
    for lane in lanes {
        facts.extend(lane_facts(topology, lane));
    }
    facts
}

fn clock(topology: &Topology) -> Fact {
    Fact {
        id: "clocksource",
        lane: None,
        asked: "tsc".into(),
        found: topology.clocksource.clone(),
        is_so: topology.clocksource == "tsc",
        severity: Severity::Fatal,
        mend: "stamps come from the TSC: boot with tsc=reliable, and see why the kernel left it",
    }
}

fn lane_facts(topology: &Topology, lane: &Witness) -> Vec<Fact> {
    let id = Some(lane.lane);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let mut facts = vec![
        Fact {
            id: "transport",
            lane: id,
            asked: lane.transport.0.clone(),
            found: lane.transport.1.clone(),
            is_so: lane.is_transport_so,
            severity: Severity::Fatal,
            mend: "the bytes take another way than the one measured: see the log for what refused",
        },
        Fact {
            id: "huge_pages",
            lane: id,
            asked: "huge".into(),
            found: lane.pages.into(),
            is_so: lane.pages == "huge",
            severity: if lane.owns_core {
                Severity::Fatal
            } else {
                Severity::Advice
            },
            mend: "raise vm.nr_hugepages: each 4 KiB page costs a TLB entry, 50 ns a miss",
        },
        Fact {
            id: "locked",
            lane: id,
            asked: "yes".into(),
            found: yes(lane.is_locked),
            is_so: lane.is_locked,
            severity: Severity::Fatal,
            mend: "needs CAP_IPC_LOCK: without it a page may be taken away, 3 us and more to fault back",
        },
    ];
    facts.extend(card_facts(topology, lane));
    if lane.is_confined_asked {
        facts.push(Fact {
            id: "confined",
            lane: id,
            asked: "yes".into(),
            found: yes(lane.is_confined),
            is_so: lane.is_confined,
            severity: Severity::Fatal,
            mend: "needs a kernel with CONFIG_SECCOMP_FILTER: the lane may call what it likes",
        });
    }
    if let Some(core) = lane.core.filter(|_| lane.owns_core) {
        facts.extend(core_facts(topology, lane, core));
    }
    if lane.fifo_asked > 0 {
        facts.push(Fact {
            id: "fifo",
            lane: id,
            asked: lane.fifo_asked.to_string(),
            found: lane.fifo.to_string(),
            is_so: lane.fifo == lane.fifo_asked,
            severity: Severity::Fatal,
            mend: "needs CAP_SYS_NICE or an rtprio limit: any thread may take the core",
        });
    }
    if lane.owns_core && lane.core.is_none() {
        facts.push(Fact {
            id: "pinned",
            lane: id,
            asked: "one core".into(),
            found: "several".into(),
            is_so: false,
            severity: Severity::Fatal,
            mend: "give the lane `core = N` or `core = \"auto\"`",
        });
    }
    facts
}

/// What a lane that has a card's frames depends on.
fn card_facts(topology: &Topology, lane: &Witness) -> Vec<Fact> {
    let id = Some(lane.lane);
    let mut facts = Vec::new();
    if let Some((asked, found, is_so)) = lane.xdp_mode.clone() {
        facts.push(Fact {
            id: "xdp_mode",
            lane: id,
            asked,
            found,
            is_so,
            severity: Severity::Advice,
            mend: "every frame is copied by the kernel: the card's driver has no zero-copy, or refused it",
        });
    }
    if let Some((asked, found)) = lane.busy_poll {
        let word = |is: bool| if is { "yes" } else { "no" }.to_owned();
        facts.push(Fact {
            id: "busy_poll",
            lane: id,
            asked: word(asked),
            found: word(found),
            is_so: asked == found,
            severity: Severity::Advice,
            mend: "needs Linux 5.11 and CAP_NET_ADMIN: frames wait for an interrupt on the core the card's goes to",
        });
    }
    if let Some(found) = lane.reset_guard.clone() {
        facts.push(Fact {
            id: "reset_guard",
            lane: id,
            asked: "yes".into(),
            is_so: found == "yes",
            found,
            severity: Severity::Advice,
            mend: "needs Linux 6.6: an IP fragment of a venue's flow can make the kernel reset it",
        });
    }
    let node = lane.nic.as_ref().and_then(|nic| topology.nic(nic)?.node);
    let core = lane.core.and_then(|core| topology.cpu(core));
    if let (Some(nic), Some(node), Some(core), true) =
        (&lane.nic, node, core, topology.nodes.len() > 1)
    {
        facts.push(Fact {
            id: "card_node",
            lane: id,
            asked: format!("node {node}, where {nic} is"),
            found: format!("node {}", core.node),
            is_so: core.node == node,
            severity: Severity::Advice,
            mend: "each frame crosses the interconnect: give the lane a core of the card's node, or `auto`",
        });
    }
    facts
}

fn core_facts(topology: &Topology, lane: &Witness, core: u16) -> Vec<Fact> {
    let id = Some(lane.lane);
    let cpu = topology.cpu(core);
    let on = |list: &crate::CpuList| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.to_string()
        }
    };
    let mut facts = vec![
        Fact {
            id: "isolated",
            lane: id,
            asked: format!("core {core}"),
            found: on(&topology.isolated),
            is_so: topology.isolated.has(core),
            severity: Severity::Fatal,
            mend: "boot with isolcpus=: the scheduler puts other work on the core, milliseconds at a time",
        },
        Fact {
            id: "tickless",
            lane: id,
            asked: format!("core {core}"),
            found: on(&topology.tickless),
            is_so: topology.tickless.has(core),
            severity: Severity::Advice,
            mend: "boot with nohz_full=: the timer tick takes the core some tens of times a second",
        },
    ];
    if let Some(governor) = cpu.and_then(|cpu| cpu.governor.as_ref()) {
        facts.push(Fact {
            id: "governor",
            lane: id,
            asked: "performance".into(),
            found: governor.clone(),
            is_so: governor == "performance",
            severity: Severity::Fatal,
            mend: "set scaling_governor: a slow clock makes every stage slower",
        });
    }
    if let Some(cpu) = cpu.filter(|cpu| cpu.siblings.len() > 1) {
        facts.push(Fact {
            id: "smt",
            lane: id,
            asked: "the physical core alone".into(),
            found: format!("threads {}", cpu.siblings),
            is_so: false,
            severity: Severity::Advice,
            mend: "boot with nosmt: a busy sibling takes half the core's units",
        });
    }
    if let (Some(cpu), true) = (cpu, topology.nodes.len() > 1) {
        facts.push(Fact {
            id: "memory_node",
            lane: id,
            asked: format!("node {}", cpu.node),
            found: lane
                .node
                .map_or("several".into(), |node| format!("node {node}")),
            is_so: lane.node == Some(cpu.node),
            severity: Severity::Fatal,
            mend: "the lane's memory is across the interconnect: free huge pages on its node",
        });
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CpuList;
    use crate::tree::Recorded;

    fn machine(isolated: &str, governor: &str) -> Topology {
        let mut tree = Recorded::default();
        for (path, text) in [
            ("sys/devices/system/cpu/online", "0-3"),
            ("sys/devices/system/cpu/isolated", isolated),
            ("sys/devices/system/cpu/nohz_full", isolated),
            (
                "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor",
                governor,
            ),
            (
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "tsc\n",
            ),
        ] {
            tree.set(path, text);
        }
        Topology::read(&tree)
    }

    fn lane() -> Witness {
        Witness {
            owns_core: true,
            core: Some(2),
            fifo: 50,
            fifo_asked: 50,
            is_locked: true,
            is_confined: true,
            is_confined_asked: true,
            pages: "huge",
            transport: ("io_uring".into(), "io_uring".into()),
            is_transport_so: true,
            ..Witness::default()
        }
    }

    fn wrong(facts: &[Fact]) -> Vec<&'static str> {
        let wrong = facts.iter().filter(|fact| !fact.is_so);
        wrong.map(|fact| fact.id).collect()
    }

    #[test]
    fn a_machine_as_asked_has_nothing_against_it() {
        let facts = judge(&machine("2-3", "performance"), &[lane()]);
        assert_eq!(wrong(&facts), Vec::<&str>::new());
        assert!(facts.len() >= 7, "{facts:?}");
    }

    #[test]
    fn a_lane_with_a_card_is_asked_for_more() {
        let with = |found: &str, is_so, guard: &str| {
            let lane = Witness {
                xdp_mode: Some(("zero_copy".into(), found.into(), is_so)),
                nic: Some("eth1".into()),
                reset_guard: Some(guard.into()),
                ..lane()
            };
            judge(&machine("2-3", "performance"), &[lane])
        };
        assert_eq!(
            wrong(&with("zero-copy, native", true, "yes")),
            Vec::<&str>::new()
        );
        let facts = with("copy, generic", false, "needs Linux 6.6");
        assert_eq!(wrong(&facts), ["xdp_mode", "reset_guard"]);
        assert!(
            facts
                .iter()
                .all(|fact| fact.is_so || fact.severity == Severity::Advice)
        );
    }

    #[test]
    fn a_lane_far_from_its_card_is_told() {
        let mut machine = machine("2-3", "performance");
        let node = |id| crate::Node {
            id,
            cpus: CpuList::default(),
            bytes: 0,
            huge_bytes: 0,
            huge_free_bytes: 0,
            distances: Vec::new(),
        };
        machine.nodes = vec![node(0), node(1)];
        machine.nics = vec![crate::Nic {
            name: "eth1".into(),
            node: Some(1),
            rx_queues: 1,
            is_physical: true,
        }];
        let far = Witness {
            nic: Some("eth1".into()),
            node: Some(0),
            ..lane()
        };
        let facts = judge(&machine, &[far]);
        assert_eq!(wrong(&facts), ["card_node"]);
        let fact = facts.iter().find(|fact| fact.id == "card_node").unwrap();
        assert_eq!(
            (&*fact.asked, &*fact.found),
            ("node 1, where eth1 is", "node 0")
        );
    }

    #[test]
    fn each_lack_is_named_alone() {
        let good = machine("2-3", "performance");
        let cases: [(&str, Topology, Witness); 8] = [
            ("governor", machine("2-3", "powersave"), lane()),
            (
                "huge_pages",
                good.clone(),
                Witness {
                    pages: "4 KiB",
                    ..lane()
                },
            ),
            (
                "locked",
                good.clone(),
                Witness {
                    is_locked: false,
                    ..lane()
                },
            ),
            (
                "confined",
                good.clone(),
                Witness {
                    is_confined: false,
                    ..lane()
                },
            ),
            ("fifo", good.clone(), Witness { fifo: 0, ..lane() }),
            (
                "transport",
                good.clone(),
                Witness {
                    is_transport_so: false,
                    ..lane()
                },
            ),
            (
                "pinned",
                good.clone(),
                Witness {
                    core: None,
                    ..lane()
                },
            ),
            (
                "clocksource",
                Topology {
                    clocksource: "hpet".into(),
                    ..good
                },
                lane(),
            ),
        ];
        for (id, topology, witness) in cases {
            assert_eq!(wrong(&judge(&topology, &[witness])), [id]);
        }
        let facts = judge(&machine("", "performance"), &[lane()]);
        assert_eq!(wrong(&facts), ["isolated", "tickless"]);
    }

    #[test]
    fn a_lane_that_shares_its_core_is_not_held_to_one() {
        let shares = Witness {
            owns_core: false,
            core: None,
            fifo: 0,
            fifo_asked: 0,
            ..lane()
        };
        let facts = judge(&machine("", "powersave"), &[shares]);
        assert_eq!(wrong(&facts), Vec::<&str>::new());
    }
}
