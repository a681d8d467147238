//! A client we did not write agrees with the simulator: `ccxt/check.py` and `ccxt/streams.py` with ccxt from PyPI.
//!
//! Needs a Python with ccxt: `SPINLANE_CCXT_PYTHON`, or `.venv/bin/python` at the repository's root.
//! Without one the test says that it was skipped; it fails then when `REQUIRE` contains `ccxt`.

use spinlane_sim::config::SimConfig;
use spinlane_sim::edge::{Options, start, write_whole};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Venues that ccxt drives; `ccxt/venues.py` says how.
const VENUES: &[&str] = &["binance", "bybit", "coinbase", "kraken", "kucoin", "okx"];

fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = match std::env::var_os("SPINLANE_CCXT_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root.join(".venv/bin/python"),
    };
    let has_ccxt = Command::new(&python)
        .args(["-c", "import ccxt"])
        .output()
        .is_ok_and(|output| output.status.success());
    has_ccxt.then_some(python)
}

/// Runs a script against every venue; each must have passed so many checks. Says so when there is no Python.
fn passes(script: &str, passed: &str) {
    let Some(python) = python() else {
        let require = std::env::var("REQUIRE").unwrap_or_default();
        assert!(
            !require.split(',').any(|word| word == "ccxt"),
            "REQUIRE has ccxt, but no Python with ccxt was found (set SPINLANE_CCXT_PYTHON)"
        );
        eprintln!("SKIPPED: no Python with ccxt (set SPINLANE_CCXT_PYTHON, or make .venv)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        venues: VENUES.iter().map(|name| ((*name).to_owned(), 0)).collect(),
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
    let output = Command::new(python)
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("ccxt")
                .join(script),
        )
        .arg("--ready")
        .arg(&ready)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
    for venue in VENUES {
        assert!(
            out.contains(&format!("{venue}: {passed}")),
            "{venue}: {out}"
        );
    }
}

#[test]
fn ccxt_trades_on_every_venue() {
    passes("check.py", "22 checks passed");
}

#[test]
fn ccxt_keeps_the_book_of_every_venue() {
    passes("streams.py", "4 checks of streams passed");
}
