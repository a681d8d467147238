//! Processors, caches, memory nodes and network cards, as the kernel tells them.
//!
//! Sources: Documentation/admin-guide/cputopology.rst, ABI/stable/sysfs-devices-node,
//! ABI/testing/sysfs-class-net. What a machine does not tell (no L3, no node) is told as absent, never guessed.

use crate::CpuList;
use crate::tree::Tree;

/// One logical processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// The kernel's number of it.
    pub id: u16,
    /// All logical processors of its physical core, itself included.
    pub siblings: CpuList,
    /// Socket.
    pub package: u16,
    /// Memory node.
    pub node: u16,
    /// Lowest processor that shares its last-level cache; `None` = the machine does not say.
    pub l3: Option<u16>,
    /// Frequency governor; `None` = nothing here scales frequencies (a virtual machine).
    pub governor: Option<String>,
}

/// One memory node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The kernel's number of it.
    pub id: u16,
    /// Its processors.
    pub cpus: CpuList,
    /// Bytes of memory.
    pub bytes: u64,
    /// Bytes in reserved 2 MiB pages.
    pub huge_bytes: u64,
    /// Of those, not in use.
    pub huge_free_bytes: u64,
    /// Distance to each node, in the order of [`Topology::nodes`] (10 = itself; ACPI SLIT).
    pub distances: Vec<u16>,
}

/// One network card with queues of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Interface name.
    pub name: String,
    /// Memory node of its slot; `None` = the machine does not say.
    pub node: Option<u16>,
    /// Receive queues.
    pub rx_queues: u16,
    /// Whether a device stands behind it (not veth, bridge or loopback).
    pub is_physical: bool,
}

/// What a machine is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// Processors that are online, in order.
    pub cpus: Vec<Cpu>,
    /// Memory nodes, in order.
    pub nodes: Vec<Node>,
    /// Network cards, by name.
    pub nics: Vec<Nic>,
    /// Taken out of the scheduler's hands (`isolcpus`, isolated cpuset partitions).
    pub isolated: CpuList,
    /// Without a tick while one thread runs (`nohz_full`).
    pub tickless: CpuList,
    /// The clocksource the kernel uses.
    pub clocksource: String,
    /// Simultaneous multithreading is on.
    pub has_smt: bool,
}

const CPU: &str = "sys/devices/system/cpu";
const NODE: &str = "sys/devices/system/node";
const NET: &str = "sys/class/net";
/// Bytes of a page of the pool that is counted.
const HUGE_BYTES: u64 = 2 << 20;

impl Topology {
    /// Reads a machine. A file that is missing or makes no sense leaves what it would have told absent.
    pub fn read(tree: &impl Tree) -> Self {
        let nodes = nodes(tree);
        let online = list(tree, &format!("{CPU}/online")).unwrap_or_default();
        let node_of = |cpu| {
            let mut nodes = nodes.iter();
            nodes
                .find(|node| node.cpus.has(cpu))
                .map_or(0, |node| node.id)
        };
        let cpus = online.iter().map(|id| cpu(tree, id, node_of(id))).collect();
        let smt = word(tree, &format!("{CPU}/smt/active"));
        let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            cpus,
            nodes,
            nics: nics(tree),
            isolated: list(tree, &format!("{CPU}/isolated")).unwrap_or_default(),
            // The kernel prints `(null)` where the option was not given.
            tickless: list(tree, &format!("{CPU}/nohz_full")).unwrap_or_default(),
            clocksource: word(tree, clock).unwrap_or_default(),
            has_smt: smt.as_deref() == Some("1"),
        }
    }

    /// A processor by number; `None` = not there or offline.
    pub fn cpu(&self, id: u16) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.id == id)
    }

    /// A node by number.
    pub fn node(&self, id: u16) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// A card by name.
    pub fn nic(&self, name: &str) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.name == name)
    }
}

fn word(tree: &impl Tree, path: &str) -> Option<String> {
    let text = tree.read(path)?;
    let word = text.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

fn number(tree: &impl Tree, path: &str) -> Option<u16> {
    word(tree, path)?.parse().ok()
}

fn list(tree: &impl Tree, path: &str) -> Option<CpuList> {
    CpuList::parse(&tree.read(path)?)
}

/// Names in `path` of the form `prefix` and a number, as numbers in order.
fn numbered(tree: &impl Tree, path: &str, prefix: &str) -> Vec<u16> {
    let names = tree.list(path);
    let number = |name: &String| name.strip_prefix(prefix)?.parse().ok();
    let mut numbers: Vec<u16> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn cpu(tree: &impl Tree, id: u16, node: u16) -> Cpu {
    let at = format!("{CPU}/cpu{id}");
    let caches = numbered(tree, &format!("{at}/cache"), "index");
    let l3 = caches.into_iter().find_map(|index| {
        let cache = format!("{at}/cache/index{index}");
        let is_last = number(tree, &format!("{cache}/level")) == Some(3);
        is_last.then(|| list(tree, &format!("{cache}/shared_cpu_list"))?.first())?
    });
    let siblings = list(tree, &format!("{at}/topology/thread_siblings_list"));
    Cpu {
        id,
        siblings: siblings.unwrap_or_else(|| [id].into_iter().collect()),
        package: number(tree, &format!("{at}/topology/physical_package_id")).unwrap_or(0),
        node,
        l3,
        governor: word(tree, &format!("{at}/cpufreq/scaling_governor")),
    }
}

fn nodes(tree: &impl Tree) -> Vec<Node> {
    let node = |id: u16| {
        let at = format!("{NODE}/node{id}");
        let pool = format!("{at}/hugepages/hugepages-2048kB");
        let pages = |file: &str| {
            let count = word(tree, &format!("{pool}/{file}"));
            count
                .and_then(|count| count.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let distances = tree.read(&format!("{at}/distance")).unwrap_or_default();
        Node {
            id,
            cpus: list(tree, &format!("{at}/cpulist")).unwrap_or_default(),
            bytes: mem_total(&tree.read(&format!("{at}/meminfo")).unwrap_or_default()),
            huge_bytes: pages("nr_hugepages").saturating_mul(HUGE_BYTES),
            huge_free_bytes: pages("free_hugepages").saturating_mul(HUGE_BYTES),
            distances: distances
                .split_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect(),
        }
    };
    numbered(tree, NODE, "node").into_iter().map(node).collect()
}

/// `Node 0 MemTotal:   24611588 kB`, bytes.
fn mem_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find(|line| line.contains("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

fn nics(tree: &impl Tree) -> Vec<Nic> {
    let nic = |name: String| {
        let at = format!("{NET}/{name}");
        let queues = tree.list(&format!("{at}/queues"));
        let rx = queues
            .iter()
            .filter(|queue| queue.starts_with("rx-"))
            .count();
        // -1: a device that belongs to no node. No file: no device behind the interface.
        // A virtio device says nothing itself: the PCI function it is on does.
        let node = word(tree, &format!("{at}/device/numa_node"))
            .or_else(|| word(tree, &format!("{at}/device/../numa_node")));
        Nic {
            is_physical: node.is_some() || !tree.list(&format!("{at}/device")).is_empty(),
            node: node.and_then(|node| node.parse().ok()),
            rx_queues: u16::try_from(rx).unwrap_or(u16::MAX),
            name,
        }
    };
    let names = tree.list(NET).into_iter().filter(|name| name != "lo");
    names.map(nic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Live, Recorded};

    #[test]
    fn this_machine_has_cores_memory_and_a_clock() {
        let here = Topology::read(&Live::default());
        let count = std::thread::available_parallelism().unwrap().get();
        assert!(here.cpus.len() >= count, "{here:?}");
        for cpu in &here.cpus {
            assert!(cpu.siblings.has(cpu.id), "{cpu:?}");
            assert!(here.node(cpu.node).is_some(), "{cpu:?}");
        }
        assert!(here.nodes.iter().map(|node| node.bytes).sum::<u64>() > 1 << 30);
        assert!(!here.clocksource.is_empty());
    }

    #[test]
    fn what_is_missing_is_absent_and_what_is_wrong_is_passed_over() {
        assert_eq!(Topology::read(&Recorded::default()), Topology::default());
        let mut odd = Recorded::default();
        odd.set("sys/devices/system/cpu/online", "0-1");
        odd.set("sys/devices/system/cpu/nohz_full", "(null)\n");
        odd.set(
            "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
            "x",
        );
        odd.set("sys/devices/system/node/nodeX/cpulist", "0-1");
        odd.set("sys/class/net/eth0/device/numa_node", "-1\n");
        odd.set("sys/class/net/eth1/device/vendor", "0x1af4\n");
        odd.set("sys/class/net/eth1/device/../numa_node", "1\n");
        let odd = Topology::read(&odd);
        assert_eq!(odd.cpus.len(), 2);
        assert_eq!(odd.cpu(0).unwrap().siblings.to_string(), "0");
        assert!(odd.tickless.is_empty() && odd.nodes.is_empty());
        let nic = odd.nic("eth0").unwrap();
        assert_eq!((nic.node, nic.is_physical), (None, true));
        assert_eq!(odd.nic("eth1").unwrap().node, Some(1));
    }

    #[test]
    fn meminfo_is_read() {
        assert_eq!(
            mem_total("Node 0 MemFree: 1 kB\nNode 0 MemTotal:   24 kB\n"),
            24 << 10
        );
        assert_eq!(mem_total("MemTotal:"), 0);
    }
}
