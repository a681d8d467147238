//! `spinlane run` as a process: started, killed, started again, stopped.
//!
//! Needs PostgreSQL's programs; without them the tests say so and pass, unless `REQUIRE=postgres`.

use crate::node::{Node, good_config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);

fn has_postgres() -> bool {
    let found = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut dir| dir.next().is_some());
    let require = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        found || !require.split(',').any(|it| it == "postgres"),
        "REQUIRE=postgres, and there is none in /usr/lib/postgresql"
    );
    if !found {
        println!("skipped: no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)");
    }
    found
}

fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_spinlane"))
        .args(["run", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

fn wait_for(what: &str, probe: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !probe() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn server_pid(dir: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(dir.join("pg/data/postmaster.pid")).ok()?;
    text.lines().next()?.parse().ok()
}

#[test]
fn the_daemon_may_be_killed_at_any_time_and_stops_in_order() {
    if !has_postgres() {
        return;
    }
    let node = Node::new();
    let (dir, config) = good_config();
    // The configuration's shared memory is this node's.
    let shm = dir.path().join("shm");
    std::os::unix::fs::symlink(node.dir.path().join("shm"), &shm).unwrap();
    let waiting = || node.json(&["status"])["journal_waiting"].as_u64().unwrap();

    let mut first = start(&config);
    wait_for("the daemon attaches", || {
        node.json(&["status"])["control"]["is_running"] == true
    });
    node.fill();
    wait_for("everything is in the database", || waiting() == 0);
    let server = server_pid(dir.path()).unwrap();
    signal(&first, Signal::SIGKILL);
    first.wait().unwrap();
    // Killed between commit and cursor, it would find the same records again.
    node.region.lanes().next().unwrap().journal.set_drained(0);

    let mut second = start(&config);
    wait_for("the second daemon drains", || waiting() == 0);
    assert_eq!(
        server_pid(dir.path()),
        Some(server),
        "the server was adopted"
    );
    let orders = |args: &[&str]| -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_spinlane"))
            .args(["orders", "--db", "--json", "--config"])
            .arg(&config)
            .args(args)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };
    assert_eq!(
        orders(&["--all"])["orders"],
        node.json(&["orders", "--all"])["orders"]
    );
    assert_eq!(orders(&[])["source"], "database");

    signal(&second, Signal::SIGTERM);
    assert!(second.wait().unwrap().success());
    assert!(!spinlane::view::is_alive(server), "its server is stopped");
    assert_eq!(node.json(&["status"])["control"]["pid"], 0);
    assert_eq!(
        orders(&["--all"])["outcome"],
        "failed",
        "no database without its control plane"
    );
}

/// The demo and every supervisor may change their mind at once.
#[test]
fn a_signal_during_the_start_leaves_no_server_behind() {
    if !has_postgres() {
        return;
    }
    for pause_ms in [100, 700] {
        let (dir, config) = good_config();
        let mut daemon = start(&config);
        std::thread::sleep(Duration::from_millis(pause_ms));
        signal(&daemon, Signal::SIGTERM);
        let ended = daemon.wait().unwrap();
        // Before its handlers are in place the default action ends it (no code), and no server is there yet.
        assert!(ended.success() || ended.code().is_none(), "{ended:?}");
        let server = server_pid(dir.path());
        assert!(
            server.is_none_or(|pid| !spinlane::view::is_alive(pid)),
            "after {pause_ms} ms"
        );
    }
}
