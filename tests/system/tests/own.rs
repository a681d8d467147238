//! What the README tells a newcomer, done literally: a project of one's own is written out, built, run against the
//! simulator until an order of its own is filled; and then broken, which the node survives.

use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests_system::{binary, turn, wait_for};

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn spinlane(dir: &Path, verb: &[&str]) -> Value {
    let output = Command::new(binary("spinlane"))
        .args(verb)
        .arg("--json")
        .current_dir(dir)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn of_node(dir: &Path, verb: &[&str]) -> Value {
    spinlane(dir, &[verb, &["--config", "node.toml"]].concat())
}

/// The project's program. Nothing is fetched: the versions are those of this workspace.
fn build(dir: &Path, name: &str) -> PathBuf {
    let target = binary("spinlane").parent().unwrap().join("own");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--target-dir"])
        .arg(&target)
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(built.success());
    target.join("debug").join(name)
}

fn start(program: &Path, args: &[&str], dir: &Path, log: &str) -> Running {
    let log = File::create(dir.join(log)).unwrap();
    let mut command = Command::new(program);
    command.args(args).arg("--die-with-parent").current_dir(dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Running(command.spawn().unwrap())
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_newcomers_strategy_is_written_built_run_and_filled() {
    let _turn = turn();
    let place = tempfile::Builder::new()
        .prefix("sl-own-")
        .tempdir_in("/tmp")
        .unwrap();
    let name = format!("own-{}", std::process::id());
    let written = spinlane(place.path(), &["strategy", "new", &name]);
    assert_eq!(written["outcome"], "done", "{written}");
    let dir = place.path().join(&name);
    let program = build(&dir, &name);

    // The one thing that is not literal: a port that is free here.
    let port = free_port().to_string();
    let config = dir.join("node.toml");
    let text = std::fs::read_to_string(&config)
        .unwrap()
        .replace("19443", &port);
    std::fs::write(&config, text).unwrap();
    let at = format!("binance={port}");
    let sim = [
        "--venues",
        "binance",
        "--port",
        &at,
        "--tls-dir",
        "sim",
        "--keys-out",
        "sim",
    ];
    let _sim = start(&binary("spinlane-sim"), &sim, &dir, "sim.log");
    let keys = dir.join("sim/binance.toml");
    let is_written = || std::fs::read_to_string(&keys).is_ok_and(|text| text.contains("secret"));
    wait_for("the simulator's keys", || is_written().then_some(())).unwrap();
    let node = start(&program, &["--config", "node.toml"], &dir, "node.log");
    let filled = || {
        let orders = of_node(&dir, &["orders", "--all"]);
        let mut list = orders["orders"].as_array()?.iter();
        list.any(|order| order["state"] == "FILLED").then_some(())
    };
    let log = || std::fs::read_to_string(dir.join("node.log")).unwrap_or_default();
    wait_for("an order of its own is filled", filled)
        .unwrap_or_else(|error| panic!("{error}\n{}", log()));
    let strategies = of_node(&dir, &["strategies"]);
    let it = &strategies["strategies"][0];
    assert_eq!(
        (&it["name"], &it["kind"], &it["state"]),
        (&name.as_str().into(), &"mine".into(), &"running".into())
    );
    drop(node);

    // Broken: a panic in a lane that is confined, in a program that aborts on every other.
    let main = dir.join("src/main.rs");
    let text = std::fs::read_to_string(&main).unwrap();
    let before = "        let away = self.ticks";
    assert!(text.contains(before));
    let planted = format!("        assert!(self.ticks < 900, \"too far\");\n{before}");
    std::fs::write(&main, text.replace(before, &planted)).unwrap();
    let program = build(&dir, &name);
    let mut node = start(&program, &["--config", "node.toml"], &dir, "broken.log");
    let one = || of_node(&dir, &["strategies"])["strategies"][0].take();
    let runs = || (one()["open_orders"].as_u64() > Some(0)).then_some(());
    wait_for("it trades", runs).unwrap();
    let told = of_node(&dir, &["strategy", "set", &name, "ticks=950"]);
    assert_eq!(told["outcome"], "done", "{told}");
    let again = || (one()["restarts"].as_u64() >= Some(2)).then_some(());
    wait_for("it was made again twice", again).unwrap();
    let broken = one();
    assert!(
        broken["fault"]["text"]
            .as_str()
            .unwrap()
            .contains("too far"),
        "{broken}"
    );
    assert_eq!(node.0.try_wait().unwrap(), None, "the node goes on");
    let told = of_node(&dir, &["strategy", "set", &name, "ticks=0"]);
    assert_eq!(told["outcome"], "done", "{told}");
    wait_for("it trades again", runs).unwrap();
    std::fs::remove_file(format!("/dev/shm/spinlane-{name}")).ok();
}
