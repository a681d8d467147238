//! The program: ready line, keys, signals, and what happens when its parent ends.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIM: &str = env!("CARGO_BIN_EXE_spinlane-sim");

/// Looks again and again, 10 s at most.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within 10 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn says_when_it_is_ready_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let ready_file = dir.path().join("ready.json");
    let mut sim = Command::new(SIM)
        .args([
            "--venues",
            "binance",
            "--ed25519",
            "--faults",
            "gap:every=1s",
        ])
        .arg("--tls-dir")
        .arg(dir.path())
        .arg("--ready-file")
        .arg(&ready_file)
        .arg("--keys-out")
        .arg(dir.path().join("keys"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(sim.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["ready"], true);
    assert!(ready["venues"]["binance"]["port"].as_u64().unwrap() > 0);
    assert!(ready["venues"].get("okx").is_none());
    assert!(ready["admin"]["port"].as_u64().unwrap() > 0);
    assert!(Path::new(ready["ca"].as_str().unwrap()).is_file());
    assert_eq!(std::fs::read_to_string(&ready_file).unwrap(), line);
    let keys = std::fs::read_to_string(dir.path().join("keys/binance.toml")).unwrap();
    assert!(keys.contains("api_key = \"spinlane-sim-key\"") && keys.contains("BEGIN PRIVATE KEY"));

    let pid = nix::unistd::Pid::from_raw(sim.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(sim.wait().unwrap().success());
}

#[test]
fn a_bad_command_line_is_told_and_exits_with_2() {
    for (args, word) in [
        (["--faults", "earthquake"], "earthquake"),
        (["--venues", "nyse"], "nyse"),
        (["--symbols", "X"], "BASE-QUOTE"),
    ] {
        let output = Command::new(SIM).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(word),
            "{args:?}"
        );
    }
}

#[test]
fn ends_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let ready_file = dir.path().join("ready.json");
    // A shell is the parent: it starts the simulator, prints its number and waits for its input to end.
    let script = format!(
        "'{SIM}' --die-with-parent --tls-dir '{dir}' --ready-file '{ready}' >/dev/null </dev/null & \
         echo $!; read -r _",
        dir = dir.path().display(),
        ready = ready_file.display(),
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let stat = format!("/proc/{}/stat", line.trim());
    eventually("ready", || ready_file.is_file());
    drop(shell.stdin.take());
    shell.wait().unwrap();
    eventually("ended with its parent", || {
        // Gone, or dead and waiting for whoever adopted it.
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}
