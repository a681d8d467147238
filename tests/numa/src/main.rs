//! Runs inside an emulated machine with several memory nodes and tells, as one line of JSON, what the code that
//! places lanes makes of it: what it reads of the machine, where its arenas really are, where it seats lanes and
//! what it refuses, and the doctor's facts. It judges nothing: the test outside knows what the machine is.
#![forbid(unsafe_code)]

use dp_host::tree::Live;
use dp_host::{CoreWish, CpuList, Fact, Node, Sizes, Topology, Wish, Witness, judge, plan};
use dp_transport::{Arena, Pages, Transport as _, Uring, pin};
use serde_json::{Value, json};

/// Bytes of the arenas asked for: two huge pages.
const ARENA_BYTES: usize = 4 << 20;

fn main() {
    let topology = Topology::read(&Live::default());
    let nodes: Vec<u16> = topology.nodes.iter().map(|node| node.id).collect();
    let absent = nodes.last().map_or(0, |last| last + 1);
    let asked = nodes.iter().copied().chain([absent]);
    let arenas: Vec<Value> = asked.map(arena).collect();
    // All lanes' memory at once, as in a node.
    let lanes: Vec<Result<Witness, String>> = topology.nodes.iter().map(lane).collect();
    let witnesses: Vec<Witness> = lanes.iter().flatten().cloned().collect();
    let report = json!({
        "topology": told(&topology),
        "arenas": arenas,
        "lanes": lanes.iter().map(|lane| match lane {
            Ok(witness) => json!({"core": witness.core, "pages": witness.pages, "node": witness.node}),
            Err(error) => json!({"error": error}),
        }).collect::<Vec<_>>(),
        "plans": plans(&topology),
        "facts": judge(&topology, &witnesses).iter().map(fact).collect::<Vec<_>>(),
    });
    println!("PROBE {report}");
}

fn told(topology: &Topology) -> Value {
    let node = |node: &Node| {
        json!({
            "id": node.id, "cpus": node.cpus.to_string(), "mib": node.bytes >> 20,
            "huge_pages": node.huge_bytes >> 21, "distances": node.distances,
        })
    };
    let nic = |nic: &dp_host::Nic| json!({"name": nic.name, "node": nic.node});
    let cards = topology.nics.iter().filter(|nic| nic.is_physical);
    let isolated = topology.isolated.to_string();
    json!({
        "nodes": topology.nodes.iter().map(node).collect::<Vec<_>>(),
        "cards": cards.map(nic).collect::<Vec<_>>(),
        "siblings": topology.cpus.iter().map(|cpu| cpu.siblings.to_string()).collect::<Vec<_>>(),
        "isolated": isolated,
    })
}

/// An arena on a node, and the node its pages are on by `move_pages`.
fn arena(node: u16) -> Value {
    match Arena::on_node(ARENA_BYTES, Some(node)) {
        Ok(arena) => json!({"asked": node, "pages": arena.pages().name(), "on": arena.node()}),
        Err(error) => json!({"asked": node, "error": error.to_string()}),
    }
}

/// A lane's thread pinned to the node's first core, with its transport's memory: what it reads back of itself.
/// The memory is kept: the next lane finds what is left.
fn lane(node: &Node) -> Result<Witness, String> {
    let (id, core) = (node.id, node.cpus.iter().next().ok_or("no core")?);
    let thread = std::thread::spawn(move || -> Result<Witness, String> {
        pin(usize::from(core)).map_err(|error| error.to_string())?;
        let mut transport = Uring::on_node(Some(id)).map_err(|error| error.to_string())?;
        let (rx, tx) = transport.pages();
        let pages = if rx == Pages::Huge { tx } else { rx };
        let name = transport.name().to_owned();
        let witness = Witness {
            lane: id as u8,
            owns_core: true,
            core: Some(core),
            pages: pages.name(),
            node: transport.node(),
            transport: (name.clone(), name),
            is_transport_so: true,
            ..Witness::default()
        };
        core::mem::forget(transport);
        Ok(witness)
    });
    thread.join().map_err(|_| "panicked".to_owned())?
}

fn fact(fact: &Fact) -> Value {
    json!({
        "id": fact.id, "lane": fact.lane, "asked": fact.asked, "found": fact.found, "is_so": fact.is_so,
    })
}

fn plans(topology: &Topology) -> Value {
    let allowed: CpuList = topology.cpus.iter().map(|cpu| cpu.id).collect();
    let card = topology.nics.iter().find(|nic| nic.is_physical);
    let wish = |core, nic: Option<&str>, bytes| Wish {
        lane: 0,
        core,
        owns_core: true,
        nic: nic.map(str::to_owned),
        queue: 0,
        kin: Vec::new(),
        bytes,
    };
    let seat = |wish: Wish| {
        let sizes = Sizes {
            shared_bytes: 0,
            needs_huge: true,
        };
        match plan(topology, &allowed, &[wish], sizes) {
            Ok(seats) => json!({"core": seats[0].core, "node": seats[0].node}),
            Err(refusals) => {
                let text: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                json!({ "refused": text })
            }
        }
    };
    let first = |node: &Node| node.cpus.iter().last().unwrap_or(0);
    let small = ARENA_BYTES as u64;
    // On each node's last core: near the card or refused; and with more than the node's huge pages.
    let name = card.map(|card| card.name.as_str());
    let near: Vec<Value> = topology
        .nodes
        .iter()
        .map(|node| seat(wish(CoreWish::At(first(node)), name, small)))
        .collect();
    let large: Vec<Value> = topology
        .nodes
        .iter()
        .map(|node| {
            let core = CoreWish::At(first(node));
            seat(wish(core, None, node.huge_bytes + (2 << 20)))
        })
        .collect();
    json!({
        "auto_by_card": seat(wish(CoreWish::Auto, name, small)),
        "by_card": near,
        "too_large": large,
    })
}
