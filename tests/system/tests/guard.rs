//! A lane under guard: held to its list of system calls while it trades, and seen from outside when it hangs.

use serde_json::Value;
use std::time::{Duration, Instant};
use tests_system::held::Held;
use tests_system::{Options, Rig, turn, wait_for};

/// `getppid` on x86_64: harmless, and on no lane's list.
const GETPPID: u64 = 110;
const EPERM: i64 = 1;
/// A lane is told stuck at this age of its beat at the latest: bound, two looks, and a crowded machine.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

fn one_venue(edits: Vec<(&'static str, &'static str)>) -> Options {
    Options {
        venues: vec![("binance", "BTCUSDT")],
        edits,
        ..Options::default()
    }
}

fn log(rig: &Rig, name: &str) -> String {
    std::fs::read_to_string(rig.dir().join(format!("{name}.log"))).unwrap()
}

/// It trades, loses all connections, trades again: nothing it needs is refused. What is planted is, it is seen
/// by name, and the lane trades on.
#[test]
fn a_confined_lane_trades_reconnects_and_is_refused_only_what_is_planted() {
    let _turn = turn();
    let mut rig = Rig::trading("confined", &one_venue(Vec::new())).unwrap();
    let pid = rig.dataplane_pid().unwrap();
    let thread = rig.lane_threads().unwrap()[0];
    let status = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).unwrap();
    // 2 = a filter (proc(5)); the other threads have none.
    assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
    let main = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).unwrap();
    assert!(main.contains("\nSeccomp:\t0\n"), "{main}");

    let before = rig.counter("reconnects").unwrap();
    rig.fault("disconnect:link=all:venue=binance").unwrap();
    wait_for("the links are opened again", || {
        (rig.counter("reconnects").ok()? >= before + 2).then_some(())
    })
    .unwrap();
    rig.wait_acks(2).unwrap();
    assert_eq!(rig.refused().unwrap(), 0, "{}", rig.tails());

    let planted = Held::seize(thread).unwrap().call(GETPPID).unwrap();
    assert_eq!(planted, (-EPERM, true));
    rig.expect_refusal();
    wait_for("the refusal is told", || {
        (rig.refused().ok()? == 1).then_some(())
    })
    .unwrap();
    assert_eq!(rig.lanes().unwrap()[0]["refused_call"], GETPPID);
    let told = log(&rig, "dataplane");
    let line = told.lines().find(|line| line.contains("not on its list"));
    assert!(line.unwrap().contains("call=\"getppid\""), "{line:?}");
    rig.wait_acks(2).unwrap();
    rig.ends_equal().unwrap();
}

/// The same plant in a lane that is not confined is done: what refused it above was the filter.
#[test]
fn an_unconfined_lane_is_refused_nothing() {
    let _turn = turn();
    let off = ("idle = \"park\"", "idle = \"park\"\nseccomp = \"off\"");
    let rig = Rig::trading("free", &one_venue(vec![off])).unwrap();
    let thread = rig.lane_threads().unwrap()[0];
    let planted = Held::seize(thread).unwrap().call(GETPPID).unwrap();
    assert_eq!(planted, (i64::from(std::process::id()), false));
    rig.wait_acks(2).unwrap();
    rig.ends_equal().unwrap();
}

/// The control plane's own account of its one lane.
fn watched(rig: &Rig) -> Option<Value> {
    let text = std::fs::read_to_string(rig.dir().join("state").join("control.json")).ok()?;
    let status: Value = serde_json::from_str(&text).ok()?;
    status["lanes"].get(0).cloned()
}

/// One thread frozen, all else running: told within the bound by every read-out, with where it hangs; told again
/// when it turns.
#[test]
fn a_frozen_lane_is_told_stuck_and_its_return_is_told() {
    let _turn = turn();
    let rig = Rig::trading("stuck", &one_venue(Vec::new())).unwrap();
    let thread = rig.lane_threads().unwrap()[0];
    assert_eq!(rig.lanes().unwrap()[0]["health"], "fine", "{}", rig.tails());
    assert_eq!(rig.cli(&["doctor"]).unwrap()["outcome"], "well");
    let stuck_before = wait_for("the watch sees the lane", || {
        watched(&rig)?["stuck_count"].as_u64()
    })
    .unwrap();

    let held = Held::seize(thread).unwrap();
    let frozen = Instant::now();
    wait_for("the log says it", || {
        log(&rig, "control").contains("lane stuck").then_some(())
    })
    .unwrap();
    let told = frozen.elapsed();
    println!("told stuck {} ms after it froze", told.as_millis());
    assert!(told < TOLD_WITHIN, "{told:?}");
    let lanes = rig.lanes().unwrap();
    assert_eq!(lanes[0]["health"], "stuck", "{lanes:?}");
    let state = lanes[0]["hangs"]["state"].as_str().unwrap();
    assert_eq!(state, "t (tracing stop)", "{lanes:?}");
    let doctor = rig.cli(&["doctor"]).unwrap();
    assert_eq!(doctor["outcome"], "ill", "{doctor}");
    let line = log(&rig, "control");
    let line = line
        .lines()
        .find(|line| line.contains("lane stuck"))
        .unwrap();
    assert!(
        line.contains(&thread.to_string()) && line.contains("tracing stop"),
        "{line}"
    );

    drop(held);
    wait_for("its return is told", || {
        log(&rig, "control")
            .contains("lane turns again")
            .then_some(())
    })
    .unwrap();
    wait_for("it counts", || {
        let seen = watched(&rig)?;
        let is_more = seen["stuck_count"].as_u64()? > stuck_before;
        (is_more && seen["health"] == "fine").then_some(())
    })
    .unwrap();
    // A venue that heard nothing from us for so long may have closed: it trades again all the same.
    rig.wait_acks(2).unwrap();
    rig.ends_equal().unwrap();
}
