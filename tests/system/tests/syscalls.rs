//! The system calls of a running lane, watched from outside while it trades: only its transport's own and
//! its idle policy's.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use tests_system::{Options, Rig, turn};

/// What a lane that spins or yields may call: io_uring's one call, a send that does not wait, and giving up
/// the core.
const ALLOWED: [&str; 4] = ["io_uring_enter", "sendto", "setsockopt", "sched_yield"];
/// What one that spins over plain sockets may: a receive and a send that do not wait.
const ALLOWED_SOCKETS: [&str; 3] = ["recvfrom", "sendto", "setsockopt"];
/// What one over raw frames may: having frames sent and buffers filled, the ring's counts ten times a second.
const ALLOWED_XDP: [&str; 4] = ["sendto", "recvfrom", "getsockopt", "sched_yield"];
/// How long each lane is watched.
const SECONDS: u64 = 3;

/// Calls of one thread while `strace` watched it, by name.
fn watch(thread: i32) -> BTreeMap<String, u64> {
    let mut strace = Command::new("strace")
        .args(["-qq", "-p", &thread.to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace starts");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(strace.id()).unwrap());
    let text = std::thread::scope(|scope| {
        let lines = scope.spawn(|| {
            let output = strace.stderr.take().expect("piped");
            std::io::read_to_string(output).expect("strace prints text")
        });
        // The length of the watch, not a wait for anything.
        std::thread::sleep(std::time::Duration::from_secs(SECONDS));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("strace lives");
        lines.join().expect("reader")
    });
    strace.wait().expect("strace ends");
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let name: String = line
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        // The call the watch ended in is told in part.
        let is_whole = !line.contains("<detached");
        if is_whole && !name.is_empty() && line[name.len()..].starts_with('(') {
            // io_uring_enter(fd, to_submit, min_complete, …): one that waits for a completion blocks.
            let min_complete = line.split(',').nth(2).map_or("0", str::trim);
            let is_blocking = name == "io_uring_enter" && min_complete != "0";
            let is_call = ["sendto", "recvfrom"].contains(&&*name);
            let is_blocking = is_blocking || is_call && !line.contains("MSG_DONTWAIT");
            let name = if is_blocking {
                format!("{name}, waiting")
            } else {
                name
            };
            *calls.entry(name).or_insert(0) += 1;
        }
    }
    calls
}

/// Threads of a process whose name begins so.
fn threads(pid: i32, prefix: &str) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            name.starts_with(prefix)
                .then(|| path.file_name()?.to_str()?.parse().ok())?
        })
        .collect()
}

fn has_strace() -> bool {
    let found = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        let must = std::env::var("REQUIRE").unwrap_or_default();
        assert!(!must.contains("strace"), "strace is required and not there");
        println!("skipped: strace is not installed");
    }
    is_there
}

fn strangers<'a>(calls: &'a BTreeMap<String, u64>, allowed: &[&str]) -> Vec<&'a String> {
    calls
        .keys()
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect()
}

#[test]
fn a_trading_lane_calls_its_transport_and_nothing_else() {
    if !has_strace() {
        return;
    }
    let _turn = turn();
    // One lane alone spins: two that never let go of a core leave none to the venue.
    let lone = || vec![("binance", "BTCUSDT")];
    let ring = (
        "idle = \"spin\"",
        "idle = \"spin\"\ntransport = \"io_uring\"",
    );
    for (idle, venues, edits, main, allowed) in [
        (
            "yield",
            Options::default().venues,
            vec![],
            "io_uring_enter",
            &ALLOWED[..],
        ),
        ("spin", lone(), vec![ring], "io_uring_enter", &ALLOWED),
        ("spin", lone(), vec![], "recvfrom", &ALLOWED_SOCKETS),
    ] {
        let options = Options {
            venues,
            idle,
            edits,
            ..Options::default()
        };
        watch_lanes(&options, main, allowed);
    }
}

/// The same of a lane that has a card's frames.
#[test]
fn a_lane_on_raw_frames_calls_its_transport_and_nothing_else() {
    let Some(options) = Options::on_cable("idle = \"yield\"\nnic = \"veth0\"") else {
        return;
    };
    if !has_strace() {
        return;
    }
    let _turn = turn();
    watch_lanes(&options, "sendto", &ALLOWED_XDP);
}

fn watch_lanes(options: &Options, main: &str, allowed: &[&str]) {
    let rig = Rig::trading("strace", options).unwrap();
    rig.wait_acks(5).unwrap();
    let lanes = threads(rig.dataplane_pid().unwrap(), "lane-");
    assert_eq!(lanes.len(), options.venues.len());
    for lane in lanes {
        let sent = rig.counter("orders_sent").unwrap();
        let reconnects = rig.counter("reconnects").unwrap();
        let calls = watch(lane);
        println!("{}: thread {lane}, {SECONDS} s: {calls:?}", options.idle);
        assert_eq!(
            rig.counter("reconnects").unwrap(),
            reconnects,
            "a link was opened meanwhile"
        );
        assert!(
            rig.counter("orders_sent").unwrap() > sent,
            "no order left meanwhile"
        );
        assert!(
            calls.get(main).copied().unwrap_or(0) > 0,
            "strace saw nothing: {calls:?}"
        );
        assert_eq!(
            strangers(&calls, allowed),
            Vec::<&String>::new(),
            "{calls:?}"
        );
    }
}

/// The watcher sees what should not be there: a process that opens files over and over.
#[test]
fn the_watch_finds_a_planted_call() {
    if !has_strace() {
        return;
    }
    let mut child = Command::new("sh")
        .args(["-c", "while :; do read -r line < /proc/self/stat; done"])
        .spawn()
        .unwrap();
    let calls = watch(i32::try_from(child.id()).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    for allowed in [&ALLOWED[..], &ALLOWED_SOCKETS, &ALLOWED_XDP] {
        assert!(!strangers(&calls, allowed).is_empty(), "{calls:?}");
    }
}
