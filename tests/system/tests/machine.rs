//! The machine under a node: what a live one refuses to do without, and what a running lane costs the kernel.

use std::time::Duration;
use tests_system::{Options, Rig, turn, wait_for};

const LIVE: (&str, &str) = ("mode = \"test\"", "mode = \"live\"");
/// How long a lane is watched.
const WATCHED: Duration = Duration::from_secs(3);

fn one_venue(edits: Vec<(&'static str, &'static str)>) -> Options {
    Options {
        venues: vec![("binance", "BTCUSDT")],
        edits,
        ..Options::default()
    }
}

/// A spinning lane of a live node on a machine without isolated cores: it ends before any venue hears of it,
/// and says what is missing and how to mend or waive it.
#[test]
fn a_live_node_refuses_a_machine_that_is_not_what_it_needs() {
    let _turn = turn();
    let spin = ("idle = \"park\"", "core = \"auto\"\nidle = \"spin\"");
    let mut rig = Rig::new("live", &one_venue(vec![LIVE, spin])).unwrap();
    rig.start_dataplane().unwrap();
    let (code, text) = rig.dataplane_end().unwrap();
    assert_eq!(code, Some(1), "{text}");
    for word in [
        "isolated",
        "boot with isolcpus=",
        "node.waive",
        "this machine is not what live",
    ] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert_eq!(
        rig.stat("binance", "/accepted").unwrap(),
        0,
        "a venue was met"
    );
}

/// Waived by name it trades, and the facts stand where the command line finds them.
#[test]
fn what_is_waived_by_name_is_done_without() {
    let _turn = turn();
    let waive = (
        "mode = \"test\"",
        "mode = \"live\"\nwaive = [\"isolated\", \"huge_pages\", \"locked\", \"governor\", \"fifo\"]",
    );
    let spin = (
        "idle = \"park\"",
        "core = \"auto\"\nidle = \"spin\"\nfifo = 5",
    );
    let rig = Rig::trading("waived", &one_venue(vec![waive, spin])).unwrap();
    let facts = rig.cli(&["doctor"]).unwrap();
    assert_eq!(facts["is_live"], true, "{facts}");
    let all = facts["facts"].as_array().unwrap();
    let fact = |id: &str| {
        all.iter()
            .find(|fact| fact["id"] == id)
            .unwrap_or_else(|| panic!("{id}: {facts}"))
    };
    assert_eq!(fact("isolated")["is_waived"], true);
    assert_eq!(fact("clocksource")["found"], "tsc");
    let status = rig.cli(&["status"]).unwrap();
    assert!(status["lanes"][0]["core"].is_number(), "{status}");
    rig.ends_equal().unwrap();
}

#[test]
fn a_plan_that_cannot_be_is_refused_whole() {
    let _turn = turn();
    let spin = ("idle = \"park\"", "core = 0\nidle = \"spin\"");
    let mut rig = Rig::new(
        "plan",
        &Options {
            edits: vec![spin],
            ..Options::default()
        },
    )
    .unwrap();
    rig.start_dataplane().unwrap();
    let (code, text) = rig.dataplane_end().unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("lane 1: core 0 is lane 0's, and a spinning lane owns its core"),
        "{text}"
    );
    assert!(!rig.has_shared_memory(), "something was taken");
}

/// What a thread has cost the kernel so far: page faults, and switches it asked for.
fn cost(pid: i32, thread: i32) -> (u64, u64) {
    let at = format!("/proc/{pid}/task/{thread}");
    let stat = std::fs::read_to_string(format!("{at}/stat")).unwrap();
    // Fields after the name in brackets: minflt is the 8th, majflt the 10th (proc(5): 10 and 12).
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().unwrap();
    let status = std::fs::read_to_string(format!("{at}/status")).unwrap();
    let switches = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .and_then(|rest| rest.trim().parse().ok());
    (number(7) + number(9), switches.unwrap())
}

fn lane_thread(pid: i32) -> i32 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut tasks = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        name.starts_with("lane-")
            .then(|| path.file_name()?.to_str()?.parse().ok())?
    });
    tasks.next().expect("a lane runs")
}

/// TM-12: a lane that spins asks for no switch and meets no page it has not met before, while it trades.
#[test]
fn a_spinning_lane_neither_faults_nor_sleeps() {
    let _turn = turn();
    let spin = ("idle = \"park\"", "core = \"auto\"\nidle = \"spin\"");
    let rig = Rig::trading("steady", &one_venue(vec![spin])).unwrap();
    rig.wait_acks(10).unwrap();
    let pid = rig.dataplane_pid().unwrap();
    let thread = lane_thread(pid);
    let sent = rig.counter("orders_sent").unwrap();
    let before = cost(pid, thread);
    // The length of the watch, not a wait for anything.
    std::thread::sleep(WATCHED);
    let after = cost(pid, thread);
    assert!(
        rig.counter("orders_sent").unwrap() > sent,
        "no order left meanwhile"
    );
    println!(
        "page faults {} → {}, voluntary switches {} → {}",
        before.0, after.0, before.1, after.1
    );
    assert_eq!(after, before, "page faults, voluntary switches");
    // The node's own account says the same.
    let lane = &rig.lanes().unwrap()[0];
    let steady = &lane["steady"];
    assert!(steady["for_ms"].as_u64().unwrap() > 1_000, "{lane}");
    assert_eq!(steady["page_faults"], 0, "{lane}");
    assert_eq!(steady["voluntary_switches"], 0, "{lane}");
    println!(
        "taken from it while steady: {} times",
        steady["involuntary_switches"]
    );
    rig.ends_equal().unwrap();
}

/// The same watch over a lane that parks sees it sleep: what finds nothing above can find something.
#[test]
fn the_watch_sees_a_lane_that_sleeps() {
    let _turn = turn();
    let rig = Rig::trading("sleeps", &one_venue(Vec::new())).unwrap();
    let pid = rig.dataplane_pid().unwrap();
    let thread = lane_thread(pid);
    let before = cost(pid, thread);
    wait_for("the lane sleeps", || {
        (cost(pid, thread).1 > before.1).then_some(())
    })
    .unwrap();
    wait_for("the node's own account says so", || {
        let lane = rig.lanes().ok()?.swap_remove(0);
        (lane["steady"]["voluntary_switches"].as_u64()? > 0).then_some(())
    })
    .unwrap();
}
