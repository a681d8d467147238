//! The machine under a node: what a live one refuses to do without, and what a running lane costs the kernel.

use std::time::Duration;
use tests_system::held::Held;
use tests_system::{Options, Rig, turn, wait_for};

const LIVE: (&str, &str) = ("mode = \"test\"", "mode = \"live\"");
/// How long a lane is watched.
const WATCHED: Duration = Duration::from_secs(3);
/// `getppid` on x86_64: touches no memory.
const GETPPID: u64 = 110;

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

/// While it lives, the kernel leaves locked pages where they are. Without, one that is moved to make room for a
/// greater one is met anew, and a machine in a hurry to build something moves many. A real-time kernel leaves them
/// by itself. Source: Documentation/admin-guide/sysctl/vm.rst, `compact_unevictable_allowed`.
struct LockedPagesStay(String);

impl LockedPagesStay {
    const AT: &str = "/proc/sys/vm/compact_unevictable_allowed";

    /// `None` where the kernel has no such choice, or this user may not make it.
    fn while_alive() -> Option<Self> {
        let before = std::fs::read_to_string(Self::AT).ok()?;
        std::fs::write(Self::AT, "0").ok()?;
        Some(Self(before))
    }
}

impl Drop for LockedPagesStay {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::AT, self.0.trim());
    }
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

/// A spinning lane with a core of its own, over `way`.
fn spins(way: &'static str) -> (&'static str, &'static str) {
    let lines = match way {
        "sockets" => "core = \"auto\"\nidle = \"spin\"",
        "io_uring" => "core = \"auto\"\nidle = \"spin\"\ntransport = \"io_uring\"",
        "af_xdp" => "core = \"auto\"\nidle = \"spin\"\nnic = \"veth0\"",
        other => panic!("no way {other}"),
    };
    ("idle = \"park\"", lines)
}

/// TM-12: a lane that spins asks for no switch and meets no page it has not met before, while it trades.
fn costs_nothing(way: &str, options: &Options) {
    let _stay = LockedPagesStay::while_alive();
    let rig = Rig::trading("steady", options).unwrap();
    rig.wait_acks(10).unwrap();
    let doctor = rig.cli(&["doctor"]).unwrap();
    let facts = doctor["facts"].as_array().unwrap();
    let transport = facts.iter().find(|fact| fact["id"] == "transport").unwrap();
    let found = transport["found"].as_str().unwrap();
    assert!(found.starts_with(way), "not {way}: {transport}");
    let pid = rig.dataplane_pid().unwrap();
    let thread = rig.lane_threads().unwrap()[0];
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
        "{found}: page faults {} → {}, voluntary switches {} → {}",
        before.0, after.0, before.1, after.1
    );
    assert_eq!(after, before, "{way}: page faults, voluntary switches");
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

#[test]
fn a_spinning_lane_neither_faults_nor_sleeps() {
    let _turn = turn();
    for way in ["sockets", "io_uring"] {
        costs_nothing(way, &one_venue(vec![spins(way)]));
    }
}

#[test]
fn a_spinning_lane_on_raw_frames_neither_faults_nor_sleeps() {
    let (_, lines) = spins("af_xdp");
    let Some(options) = Options::on_cable(lines) else {
        return;
    };
    let _turn = turn();
    costs_nothing("af_xdp", &options);
}

/// A page taken away and touched again, as often as planted, and no more: by the watch above and by the node's
/// own account. The calls that plant it touch nothing else: those before it, which touch no page, cost none.
#[test]
fn the_watch_finds_a_planted_page_fault() {
    const PLANTED: u64 = 5;
    let _turn = turn();
    let (from, lines) = spins("sockets");
    let free = format!("{lines}\nseccomp = \"off\"").leak();
    let rig = Rig::trading("faults", &one_venue(vec![(from, free)])).unwrap();
    rig.wait_acks(10).unwrap();
    let pid = rig.dataplane_pid().unwrap();
    let thread = rig.lane_threads().unwrap()[0];
    let held = Held::seize(thread).unwrap();
    let page = held.map_page().unwrap();
    // The vDSO's page of the call, and the tables above the new page.
    held.fault(page).unwrap();
    let before = cost(pid, thread).0;
    for _ in 0..PLANTED {
        held.call(GETPPID).unwrap();
    }
    assert_eq!(cost(pid, thread).0, before, "a call alone costs a fault");
    let own = wait_for("the lane is steady", || {
        rig.lanes().ok()?[0]["steady"]["page_faults"].as_u64()
    })
    .unwrap();
    for _ in 0..PLANTED {
        held.fault(page).unwrap();
    }
    drop(held);
    let after = cost(pid, thread).0;
    println!("{PLANTED} planted: page faults {before} → {after}");
    assert_eq!(after, before + PLANTED);
    wait_for("the node's own account says so", || {
        let lane = rig.lanes().ok()?.swap_remove(0);
        (lane["steady"]["page_faults"].as_u64()? >= own + PLANTED).then_some(())
    })
    .unwrap();
    rig.ends_equal().unwrap();
}

/// The same watch over a lane that parks sees it sleep: what finds nothing above can find something.
#[test]
fn the_watch_sees_a_lane_that_sleeps() {
    let _turn = turn();
    let rig = Rig::trading("sleeps", &one_venue(Vec::new())).unwrap();
    let pid = rig.dataplane_pid().unwrap();
    let thread = rig.lane_threads().unwrap()[0];
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
