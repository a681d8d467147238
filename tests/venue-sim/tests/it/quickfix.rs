//! A FIX engine we did not write trades at the simulator: `quickfix/check.py` with QuickFIX from PyPI, over TLS.
//!
//! Needs a Python with quickfix: `SPINLANE_FIX_PYTHON`, or `.venv-fix/bin/python` at the repository's root (`.ci/fix`
//! makes it). Without one the test says that it was skipped; it fails then when `REQUIRE` contains `quickfix`.

use spinlane_sim::config::SimConfig;
use spinlane_sim::edge::{Options, start, write_whole};
use std::path::{Path, PathBuf};
use std::process::Command;

fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = match std::env::var_os("SPINLANE_FIX_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root.join(".venv-fix/bin/python"),
    };
    let has_engine = Command::new(&python)
        .args(["-c", "import quickfix"])
        .output()
        .is_ok_and(|output| output.status.success());
    has_engine.then_some(python)
}

#[test]
fn quickfix_trades_is_resent_what_it_missed_and_keeps_a_book() {
    let Some(python) = python() else {
        let require = std::env::var("REQUIRE").unwrap_or_default();
        assert!(
            !require.split(',').any(|word| word == "quickfix"),
            "REQUIRE has quickfix, but no Python with quickfix was found (set SPINLANE_FIX_PYTHON)"
        );
        eprintln!("SKIPPED: no Python with quickfix (.ci/fix makes one)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let venues = ["yofx", "coinbase"];
    let options = Options {
        venues: venues.map(|name| (name.to_owned(), 0)).to_vec(),
        listen: [127, 0, 0, 1].into(),
        admin_port: 0,
        tls_dir: dir.path().to_owned(),
        sim: SimConfig::default(),
        faults: Vec::new(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.block_on(start(&options)).unwrap();
    let ready = dir.path().join("ready.json");
    write_whole(&ready, &running.ready_line().to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("quickfix/check.py");
    let output = Command::new(python)
        .arg(script)
        .arg("--ready")
        .arg(&ready)
        .arg(dir.path().join("quickfix"))
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("quickfix: 12 checks passed"), "{out}");
}
