//! A live node whose engines' inputs are recorded: the recording plays to the very orders and fills that PostgreSQL
//! holds, whatever befell the node meanwhile.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests_system::{Options, Rig, binary, turn, wait_for};

/// A rig that records into its own directory.
fn recorded(name: &str, options: &Options) -> (Rig, PathBuf) {
    let mut rig = Rig::new(name, options).unwrap();
    let dir = rig.dir().join("inputs");
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let line = format!("[node]\ninputs_dir = \"{}\"\n", dir.display());
    assert!(config.contains("[node]\n"), "{config}");
    std::fs::write(rig.config(), config.replacen("[node]\n", &line, 1)).unwrap();
    rig.start_dataplane().unwrap();
    rig.start_control().unwrap();
    rig.wait_acks(1).unwrap();
    (rig, dir)
}

/// What all recordings of a directory play to: each file's outcome, and orders and fills as PostgreSQL has them.
fn played(dir: &Path) -> (Vec<Value>, BTreeSet<String>, Vec<String>) {
    let files = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let output = Command::new(binary("spinlane-dataplane"))
        .args(["replay", "--json", "--orders"])
        .args(&files)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut outcomes, mut orders, mut fills) = (Vec::new(), BTreeSet::new(), Vec::new());
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let row = || {
            let text = |key: &str| value[key].to_string().replace('"', "");
            format!("{} {}", text("client_order_id"), text("side"))
        };
        match value["kind"].as_str() {
            Some("order") => {
                orders.insert(row());
            }
            Some("fill") => fills.push(row()),
            _ => outcomes.push(value),
        }
    }
    fills.sort();
    for outcome in &outcomes {
        assert_eq!(outcome["is_same"], true, "{outcome}");
    }
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(outcomes.len(), files.len());
    (outcomes, orders, fills)
}

/// Whether a sorted list is part of another, each row as often.
fn is_part_of(part: &[String], whole: &[String]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|row| rest.any(|other| other == row))
}

#[test]
fn a_recorded_node_plays_to_its_own_orders_and_fills() {
    let _turn = turn();
    let (mut rig, dir) = recorded("inputs", &Options::default());
    rig.wait_acks(20).unwrap();
    rig.cli(&["kill", "--reason", "test"]).unwrap();
    rig.cli(&["arm", "--by", "somebody", "--reason", "test"])
        .unwrap();
    rig.wait_acks(2).unwrap();
    // One that is killed leaves a recording without an end; the next start makes another.
    rig.kill_dataplane().unwrap();
    rig.start_dataplane().unwrap();
    rig.wait_acks(5).unwrap();
    rig.stop_dataplane().unwrap();
    let (outcomes, orders, fills) = played(&dir);
    // Two lanes, two starts.
    assert_eq!(outcomes.len(), 4);
    assert_eq!(played(&dir).0, outcomes, "twice is the same");
    let rows = |query: &str| -> Option<Vec<String>> {
        let rows = rig.sql(query).ok()?;
        Some(rows.into_iter().map(|row| row.join(" ")).collect())
    };
    let ids = "select client_order_id, side from";
    let held = wait_for("every order that was played is in the database", || {
        let held: BTreeSet<String> = rows(&format!("{ids} orders"))?.into_iter().collect();
        orders.is_subset(&held).then_some(held)
    })
    .unwrap();
    let filled = wait_for("every fill that was played is in the database", || {
        let mut filled = rows(&format!("{ids} fills"))?;
        filled.sort();
        is_part_of(&fills, &filled).then_some(filled)
    })
    .unwrap();
    println!(
        "{} of {} orders, {} of {} fills played",
        orders.len(),
        held.len(),
        fills.len(),
        filled.len()
    );
    assert!(orders.len() > 20, "{}", rig.tails());
    // What a killed process had decided in its last tenth of a second is in the journal and not in the recording.
    assert!(held.len() - orders.len() < 20);
    assert!(filled.len() - fills.len() < 20);
    let is_whole = |it: &&Value| it["torn_at"].is_null();
    assert!(outcomes.iter().filter(is_whole).count() >= 2);
    wait_for("the database is what the venues recorded", || {
        rig.differences().ok()?.is_empty().then_some(())
    })
    .unwrap();
    rig.stop_control().unwrap();
}
