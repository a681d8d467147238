//! Whatever dies, nothing is lost, nothing is doubled, nothing stays unknown.
//!
//! Every test runs the real processes against the simulator under order flow and ends by comparing what the
//! simulator recorded with what PostgreSQL holds, order by order and fill by fill.

use std::time::Instant;
use tests_system::{Options, Rig, turn, wait_for};

fn ends_equal(rig: Rig) {
    rig.ends_equal().unwrap();
}

#[test]
fn a_node_in_order_ends_equal_to_its_venues() {
    let _turn = turn();
    let rig = Rig::trading("plain", &Options::default()).unwrap();
    rig.wait_acks(10).unwrap();
    wait_for(
        "quotes are moved by amends where the venue has them",
        || (rig.counter("amends_sent").ok()? > 5).then_some(()),
    )
    .unwrap();
    assert_eq!(rig.counter("gaps").unwrap(), 0);
    ends_equal(rig);
}

/// `kill -9` of the control plane under load: feed and orders go on, and PostgreSQL misses nothing.
#[test]
fn control_plane_killed_under_load() {
    let _turn = turn();
    let mut rig = Rig::trading("control", &Options::default()).unwrap();
    rig.kill_control().unwrap();
    let before = rig.counter("book_events").unwrap();
    let start = Instant::now();
    rig.wait_acks(20).unwrap();
    let books = rig.counter("book_events").unwrap() - before;
    let seconds = start.elapsed().as_secs_f64();
    // The simulator sends each of the books ten times a second at most; what matters is that the
    // feed did not stop with its watcher.
    assert!(
        books > 10,
        "{books} depth messages in {seconds:.1} s without a control plane"
    );
    assert_eq!(rig.counter("ticks_dropped").unwrap(), 0);
    assert_eq!(rig.counter("journal_refusals").unwrap(), 0);
    println!(
        "without a control plane: {books} depth messages and 20 orders a lane in {seconds:.1} s"
    );
    rig.start_control().unwrap();
    ends_equal(rig);
}

/// `kill -9` of the dataplane, again and again: each restart asks the venues, no order is unknown and
/// none is sent twice.
#[test]
fn dataplane_killed_under_load() {
    let _turn = turn();
    let mut rig = Rig::trading("dataplane", &Options::default()).unwrap();
    for round in 0..5 {
        rig.wait_acks(3 + round).unwrap();
        rig.kill_dataplane().unwrap();
        let start = Instant::now();
        rig.start_dataplane().unwrap();
        rig.wait_acks(1).unwrap();
        println!(
            "round {round}: killed, restarted and trading again in {:?}",
            start.elapsed()
        );
    }
    let status = rig.cli(&["status"]).unwrap();
    println!("epoch {}", status["epoch"]);
    ends_equal(rig);
}

/// PostgreSQL dies by `kill -9`: orders go on, the control plane brings it back, nothing is missing.
#[test]
fn database_killed_under_load() {
    let _turn = turn();
    let mut rig = Rig::trading("database", &Options::default()).unwrap();
    let pid = wait_for("PostgreSQL runs", || rig.database_pid().ok()).unwrap();
    rig.kill_process(pid).unwrap();
    rig.wait_acks(10).unwrap();
    wait_for("PostgreSQL is back under another process", || {
        rig.database_pid().ok().filter(|now| *now != pid)
    })
    .unwrap();
    rig.wait_acks(2).unwrap();
    rig.kill_control().unwrap();
    rig.start_control().unwrap();
    ends_equal(rig);
}

/// The kill switch cancels everything, survives a restart of the dataplane, and needs a name to be armed.
#[test]
fn kill_switch_outlives_the_process() {
    let _turn = turn();
    let mut rig = Rig::trading("kill", &Options::default()).unwrap();
    rig.cli(&["kill", "--reason", "test"]).unwrap();
    wait_for("no order is open at the venue", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap();
    rig.kill_dataplane().unwrap();
    rig.start_dataplane().unwrap();
    wait_for("both venues are reconciled", || {
        let status = rig.cli(&["status"]).ok()?;
        let venues = status["venues"].as_array()?.clone();
        (venues.len() == 2 && venues.iter().all(|venue| venue["is_reconciled"] == true))
            .then_some(())
    })
    .unwrap();
    let sent = rig.counter("orders_sent").unwrap();
    let books = rig.counter("book_events").unwrap();
    wait_for("books move while killed", || {
        (rig.counter("book_events").ok()? > books + 20).then_some(())
    })
    .unwrap();
    assert_eq!(
        rig.counter("orders_sent").unwrap(),
        sent,
        "an order left while killed"
    );
    assert_eq!(rig.open_at_venue().unwrap(), 0);
    rig.cli(&["arm", "--by", "tester"]).unwrap();
    rig.wait_acks(2).unwrap();
    ends_equal(rig);
}

/// Paused lanes pull their quotes, hear the market, and go on when told to.
#[test]
fn pause_and_resume() {
    let _turn = turn();
    let rig = Rig::trading("pause", &Options::default()).unwrap();
    let paused = rig.cli(&["pause"]).unwrap();
    assert_eq!(paused["outcome"], "done", "{paused}");
    wait_for("no order is open at the venue", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap();
    let status = rig.cli(&["status"]).unwrap();
    let lanes = status["lanes"].as_array().unwrap();
    assert!(
        lanes.iter().all(|lane| lane["is_paused"] == true),
        "{status}"
    );
    let sent = rig.counter("orders_sent").unwrap();
    let books = rig.counter("book_events").unwrap();
    wait_for("books move while paused", || {
        (rig.counter("book_events").ok()? > books + 20).then_some(())
    })
    .unwrap();
    assert_eq!(rig.counter("orders_sent").unwrap(), sent);
    rig.cli(&["resume"]).unwrap();
    rig.wait_acks(2).unwrap();
    ends_equal(rig);
}

/// A reboot takes the shared memory away; a kill stays.
#[test]
fn kill_switch_outlives_the_shared_memory() {
    let _turn = turn();
    let mut rig = Rig::trading("reboot", &Options::default()).unwrap();
    rig.cli(&["kill", "--reason", "test"]).unwrap();
    rig.stop_dataplane().unwrap();
    rig.stop_control().unwrap();
    rig.forget_shared_memory().unwrap();
    rig.start_dataplane().unwrap();
    let is_killed = || {
        let status = rig.cli(&["status"]).ok()?;
        let venues = status["venues"].as_array()?.len();
        (venues == 2).then(|| status["kill"]["is_killed"] == true)
    };
    let is_killed = wait_for("the node is up", is_killed).unwrap();
    assert!(is_killed, "{}", rig.cli(&["status"]).unwrap());
    assert_eq!(rig.counter("orders_sent").unwrap(), 0);
    rig.stop_dataplane().unwrap();
}

/// A reboot takes positions away: what is held is not known, so nothing is sent until somebody has looked.
#[test]
fn positions_lost_with_the_shared_memory_stop_trading() {
    let _turn = turn();
    let mut rig = Rig::trading("lost", &Options::default()).unwrap();
    rig.stop_dataplane().unwrap();
    rig.stop_control().unwrap();
    let positions = rig.cli(&["positions"]).unwrap();
    let positions = positions["positions"].as_array().unwrap().clone();
    let is_flat = positions
        .iter()
        .all(|one| one["qty"].as_str().unwrap().parse() == Ok(0.0));
    rig.forget_shared_memory().unwrap();
    rig.start_dataplane().unwrap();
    let kill = wait_for("the node is up", || {
        let status = rig.cli(&["status"]).ok()?;
        let venues = status["venues"].as_array()?.len();
        (venues == 2).then(|| status["kill"].clone())
    })
    .unwrap();
    assert_eq!(kill["is_killed"], !is_flat, "{kill} {positions:?}");
    rig.cli(&["arm", "--by", "tester"]).unwrap();
    rig.wait_acks(1).unwrap();
    rig.stop_dataplane().unwrap();
}

/// Another ring size and the venues on each other's lanes, after both processes died: shared memory is made
/// anew, and what the old one held goes on: orders, positions, fills not yet in the database.
#[test]
fn sizes_and_lanes_changed_after_a_kill() {
    let _turn = turn();
    let mut rig = Rig::trading("resize", &Options::default()).unwrap();
    rig.kill_control().unwrap();
    wait_for("fills that no database has", || {
        (rig.counter("fills").ok()? > 3).then_some(())
    })
    .unwrap();
    rig.kill_dataplane().unwrap();
    let text = std::fs::read_to_string(rig.config()).unwrap();
    let swapped = text
        .replace("journal_records = 65536", "journal_records = 32768")
        .replace("venues = [\"binance\"]", "venues = [\"swap\"]")
        .replace("venues = [\"okx\"]", "venues = [\"binance\"]")
        .replace("venues = [\"swap\"]", "venues = [\"okx\"]");
    assert_ne!(swapped, text);
    std::fs::write(rig.config(), swapped).unwrap();
    rig.start_dataplane().unwrap();
    rig.wait_acks(1).unwrap();
    assert_eq!(rig.kept_regions(), 1);
    rig.start_control().unwrap();
    wait_for("the old file is in the database", || {
        (rig.kept_regions() == 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    rig.kill_dataplane().unwrap();
    rig.start_dataplane().unwrap();
    rig.wait_acks(1).unwrap();
    ends_equal(rig);
}
