//! Memory and cores of a machine with several nodes, in an emulator: this machine has one node only.
//!
//! ```text
//!   busybox + numa-probe + drivers ─▶ initramfs ─▶ qemu -accel tcg ─▶ one line of JSON on the serial port
//! ```
//! The short form boots two nodes once. The long form (`SPINLANE_NUMA=long`) adds one node, four nodes, SMT, a node
//! short of huge pages and isolated cores. The emulator is slow and keeps no time: facts only, no figures.
//!
//! It needs `qemu-system-x86_64`, and a kernel, drivers and busybox in `SPINLANE_GUEST` (default `target/guest`),
//! fetched by `.ci/guest`. Where one is missing it is skipped and says so; `REQUIRE=qemu` makes that a failure.

mod guest;

use guest::{Machine, boot, has_emulator};
use serde_json::{Value, json};

/// Two nodes of two cores, a card on the second.
fn two_nodes() -> Machine {
    Machine {
        nodes: 2,
        cores_a_node: 2,
        threads_a_core: 1,
        huge_pages: vec![40, 40],
        card_node: Some(1),
        isolated: "",
    }
}

/// Every node is read as it is, every arena and lane is where it was asked for, and nothing is where no node is.
fn check(machine: &Machine) -> Value {
    let report = boot(machine);
    let nodes = report["topology"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), machine.nodes, "{report:#}");
    let cpus = machine.cores_a_node * machine.threads_a_core;
    for (id, node) in nodes.iter().enumerate() {
        let range = format!("{}-{}", id * cpus, (id + 1) * cpus - 1);
        assert_eq!(node["id"], id, "{node}");
        assert_eq!(node["cpus"], range, "{node}");
        assert_eq!(node["huge_pages"], machine.huge_pages[id], "{node}");
        let distances = (0..machine.nodes).map(|to| if to == id { 10 } else { 20 });
        assert_eq!(node["distances"], json!(distances.collect::<Vec<_>>()));
    }
    let arenas = report["arenas"].as_array().unwrap();
    for (id, arena) in arenas.iter().enumerate().take(machine.nodes) {
        assert_eq!(arena["on"], id, "{arena}");
        assert_eq!(arena["pages"], "huge", "{arena}");
    }
    let absent = arenas.last().unwrap();
    assert_eq!(absent["asked"], machine.nodes);
    assert!(absent["error"].is_string(), "{absent}");
    for (id, lane) in report["lanes"].as_array().unwrap().iter().enumerate() {
        assert_eq!(lane["node"], id, "{lane}");
        assert_eq!(lane["core"], id * cpus, "{lane}");
    }
    let large = report["plans"]["too_large"].as_array().unwrap();
    for (id, plan) in large.iter().enumerate() {
        let text = plan["refused"].to_string();
        assert!(text.contains(&format!("node {id}: ")), "{text}");
    }
    let facts = report["facts"].as_array().unwrap();
    let facts = facts.iter().filter(|fact| fact["id"] == "memory_node");
    let facts: Vec<&Value> = facts.collect();
    let judged = if machine.nodes > 1 { machine.nodes } else { 0 };
    assert_eq!(facts.len(), judged, "one machine word a lane: {facts:?}");
    assert!(facts.iter().all(|fact| fact["is_so"] == true), "{facts:?}");
    if let Some(node) = machine.card_node {
        by_the_card(&report, node, cpus);
    }
    report
}

/// A lane belongs on its card's node: chosen there, refused elsewhere.
fn by_the_card(report: &Value, node: usize, cpus: usize) {
    assert_eq!(report["topology"]["cards"][0]["node"], node, "{report:#}");
    let plans = &report["plans"];
    assert_eq!(plans["auto_by_card"]["node"], node, "{plans:#}");
    for (id, plan) in plans["by_card"].as_array().unwrap().iter().enumerate() {
        if id == node {
            assert_eq!(plan["core"], (id + 1) * cpus - 1, "{plan}");
        } else {
            let text = plan["refused"].to_string();
            let far = format!("is on node {id}, its card eth0 on node {node}");
            assert!(text.contains(&far), "{text}");
        }
    }
}

fn is_long() -> bool {
    std::env::var("SPINLANE_NUMA").is_ok_and(|form| form == "long")
}

#[test]
fn two_nodes_hold_what_was_asked_of_each() {
    if has_emulator() {
        check(&two_nodes());
    }
}

#[test]
fn other_machines_are_read_as_they_are() {
    if !is_long() {
        println!("the short form: SPINLANE_NUMA=long boots further machines");
        return;
    }
    if !has_emulator() {
        return;
    }
    check(&Machine {
        nodes: 1,
        huge_pages: vec![40],
        card_node: None,
        ..two_nodes()
    });
    check(&Machine {
        nodes: 4,
        cores_a_node: 1,
        threads_a_core: 2,
        huge_pages: vec![40, 36, 32, 44],
        card_node: Some(2),
        isolated: "",
    });
    let report = check(&Machine {
        threads_a_core: 2,
        isolated: "4-7",
        ..two_nodes()
    });
    assert_eq!(report["topology"]["siblings"][5], "4-5", "{report:#}");
    assert_eq!(report["topology"]["isolated"], "4-7");
    let facts = report["facts"].as_array().unwrap();
    let is_isolated = |lane: usize| {
        let mut facts = facts.iter();
        facts.any(|fact| fact["id"] == "isolated" && fact["lane"] == lane && fact["is_so"] == true)
    };
    assert!(!is_isolated(0) && is_isolated(1), "{facts:?}");
}

/// A node short of huge pages: its lane's memory is on its node all the same, on small pages; the doctor says so,
/// and a plan that must have huge ones names the node.
#[test]
fn a_node_short_of_huge_pages_is_named() {
    if !is_long() || !has_emulator() {
        return;
    }
    let report = boot(&Machine {
        huge_pages: vec![40, 4],
        ..two_nodes()
    });
    let lane = &report["lanes"][1];
    assert_eq!(lane["node"], 1, "{lane}");
    assert_ne!(lane["pages"], "huge", "{lane}");
    assert_eq!(report["lanes"][0]["pages"], "huge");
    let facts = report["facts"].as_array().unwrap();
    let pages = |lane: usize| {
        let mut facts = facts.iter();
        facts.find(|fact| fact["id"] == "huge_pages" && fact["lane"] == lane)
    };
    assert_eq!(pages(0).unwrap()["is_so"], true);
    assert_eq!(pages(1).unwrap()["is_so"], false);
    let refused = report["plans"]["too_large"][1]["refused"].to_string();
    assert!(
        refused.contains("node 1: ") && refused.contains("huge"),
        "{refused}"
    );
}
