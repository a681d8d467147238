//! Each verb for a moment, as a user starts it: does it count right, and does its JSON have its names? Times
//! are not looked at. One after the other, because each takes the cores it measures on. With
//! `SPINLANE_BENCH_LONG=1` and a release build the instruction count too.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BENCH: &str = env!("CARGO_BIN_EXE_spinlane-bench");

fn start(args: &[&str]) -> Output {
    let output = Command::new(BENCH).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    output
}

/// What it says to stderr as it fails.
fn refused(args: &[&str]) -> String {
    let output = Command::new(BENCH).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    said
}

fn json(args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    serde_json::from_slice(&start(&args).stdout).unwrap()
}

fn fits_80_columns(args: &[&str]) {
    let output = start(args);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        assert!(line.chars().count() <= 80, "{args:?}: {line}");
    }
}

fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

fn estimate(value: &Value) {
    has(value, &["value", "low", "high"]);
}

const COMMON: [&str; 6] = ["outcome", "kind", "machine", "is_debug", "rows", "notes"];
const SUMMARY: [&str; 5] = ["seats", "hiccups", "ratios", "facts", "targets"];

/// A scratch folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("spinlane-bench-test-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_verb_counts_right_and_keeps_its_names() {
    let folder = Folder::new();
    stages();
    let run = tick_to_trade(&folder);
    cable(&folder);
    baseline(&folder, &run);
    compare();
    summaries();
    jitter();
    let said = refused(&["books", "--peers", "/nowhere/books"]);
    assert!(said.contains("`make bench` builds it"), "{said}");
    instructions(&folder);
}

fn stages() {
    let report = json(&["decode", "--samples", "300", "--captures", "/nowhere"]);
    has(
        &report,
        &["outcome", "machine", "hiccups", "rows", "targets", "notes"],
    );
    assert!(!report["targets"].as_array().unwrap().is_empty());
    fits_80_columns(&["risk", "order", "--samples", "300"]);
}

fn tick_to_trade(folder: &Folder) -> Value {
    let page = folder.file("page.html", "");
    // No peers here: they are a build of their own, and it must say so.
    let args = [
        "tick-to-trade",
        "--rates",
        "1000",
        "--rounds",
        "2",
        "--seconds",
        "0.2",
        "--family",
        "loopback",
        "--peers",
        "/nowhere/peers",
        "--html",
        &page,
    ];
    let report = json(&args);
    has(&report, &COMMON);
    has(
        &report,
        &["seats", "rounds", "seconds", "ratios", "stages", "targets"],
    );
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "ours both ways and two floors");
    for row in rows {
        let rate = row["rate"].as_u64().unwrap();
        assert_eq!(row["asked"].as_u64(), Some(2 * rate / 5), "{row}");
        assert_eq!(
            (&row["unanswered"], &row["strays"]),
            (&0.into(), &0.into()),
            "{row}"
        );
        has(
            row,
            &[
                "windows",
                "preemptions",
                "venue_late",
                "venue_load",
                "hiccups",
                "histograms",
            ],
        );
        assert_eq!(row["all"]["count"], row["asked"]);
        for quantile in ["p50", "p90", "p99", "p999"] {
            estimate(&row["all"][quantile]);
        }
    }
    // Every tick of both rounds went through every stage of the lane.
    let stage = |name: &str, rate: u64| {
        let stages = report["stages"].as_array().unwrap();
        let is_it = |line: &&Value| line["stage"] == name && line["rate"] == rate;
        stages.iter().find(is_it).unwrap()["count"]
            .as_u64()
            .unwrap()
    };
    for name in ["book", "risk", "oms", "encode", "tick_to_trade"] {
        assert_eq!(
            stage(name, 1_000),
            2 * (100 + 200),
            "{name}: with the warm-up"
        );
    }
    for ratio in report["ratios"].as_array().unwrap() {
        has(
            ratio,
            &["over", "under", "rate", "quantile", "set", "better"],
        );
        estimate(ratio);
    }
    let notes = report["notes"].to_string();
    assert!(notes.contains("no peers"), "{notes}");
    let short = [
        "tick-to-trade",
        "--family",
        "loopback",
        "--peers",
        "/nowhere/peers",
        "--rates",
        "10000",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--only",
    ];
    let with = |only| [&short[..], &[only]].concat();
    fits_80_columns(&with("spinlane,scan,parking"));
    let said = refused(&[&with("spinlane,scan,parking")[..], &["--gate"]].concat());
    for wanted in [
        "parking / spinlane, p50, at least 3.5 (not measured)",
        // One round proves nothing, and a crowded machine has not even that.
        "at most 1.3 (not ",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    assert!(
        !said.contains("spinning / spinlane"),
        "nobody asked: {said}"
    );
    let said = refused(&[&with("io_uring")[..], &["--gate"]].concat());
    assert!(said.contains("none of the gated targets"), "{said}");
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.matches("<svg").count() >= 4 && page.contains("</html>"));
    report
}

/// Every road over a cable, in both modes: nothing lost, and the page shows them.
fn cable(folder: &Folder) {
    if let Err(error) = tests_net::Namespace::new() {
        return tests_net::skip(
            "netns",
            &format!("no network namespaces ({error}); run as root"),
        );
    }
    let page = folder.file("cable.html", "");
    let args = [
        "tick-to-trade",
        "--family",
        "veth",
        "--rates",
        "1000",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
        "--html",
        &page,
    ];
    let report = json(&args);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8, "kernel and floor, and three of each mode");
    for row in rows {
        assert_eq!(row["all"]["count"], row["asked"], "{row}");
        assert_eq!(
            (&row["unanswered"], &row["strays"]),
            (&0.into(), &0.into()),
            "{row}"
        );
    }
    let stages = report["stages"].as_array().unwrap();
    let spans = stages
        .iter()
        .filter(|line| line["stage"] == "rx_to_tx_descriptor");
    let counts: Vec<u64> = spans.map(|line| line["count"].as_u64().unwrap()).collect();
    // The warm-up is counted too; ticks that came together make one span, on a busy machine many.
    assert!(
        counts.len() == 4 && counts.iter().all(|count| (1..=4_000).contains(count)),
        "{counts:?}"
    );
    // Targets are told, and asked for at 10,000 a second alone: a development build does not keep up with that.
    let targets = report["targets"].as_array().unwrap();
    let is_told = |one: &Value| {
        one["what"]
            .as_str()
            .unwrap()
            .contains("native, both ends / spinlane")
    };
    assert!(targets.iter().any(is_told), "{report}");
    let ratios = report["ratios"].as_array().unwrap();
    for over in ["veth: XDP native, both ends", "veth: XDP generic, one end"] {
        let is_it = |one: &&Value| one["over"] == over && one["under"] == "veth: spinlane";
        let ratio = ratios.iter().find(is_it);
        assert!(ratio.is_some_and(|one| one["value"].is_f64()), "{report}");
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("over a cable (veth)") && !page.contains("over loopback"));
    let short = [
        "--family",
        "veth",
        "--only",
        "spinlane,both",
        "--xdp-mode",
        "generic",
        "--rates",
        "1000",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
    ];
    fits_80_columns(&[&["tick-to-trade"], &short[..]].concat());
}

fn baseline(folder: &Folder, run: &Value) {
    let few = folder.file("few.json", &run.to_string());
    let mut run = run.clone();
    run["rounds"] = 8.into();
    let file = folder.file("run.json", &run.to_string());
    let place = folder.0.display().to_string();
    start(&[
        "baseline", "save", &file, "--label", "test", "--folder", &place,
    ]);
    let kept = folder
        .0
        .join("tick_to_trade-test.json")
        .display()
        .to_string();
    fits_80_columns(&["baseline", "compare", &file, "--against", &kept]);
    let said = refused(&["baseline", "compare", &few, "--against", &kept]);
    assert!(said.contains("not proven (2 rounds)"), "{said}");
    // A baseline nobody can reach.
    let mut better: Value = serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    for ratio in better["ratios"].as_array_mut().unwrap() {
        for key in ["value", "low", "high"] {
            ratio[key] = 1e-6.into();
        }
    }
    let better = folder.file("better.json", &better.to_string());
    let said = refused(&["baseline", "compare", &file, "--against", &better]);
    assert!(said.contains("worse than"), "a regression fails: {said}");
}

fn compare() {
    let rounds = ["--rounds", "2", "--seconds", "0.2", "--rates", "1000"];
    let report = json(&[&["compare", "--a", BENCH, "--b", BENCH], &rounds[..]].concat());
    has(&report, &COMMON);
    assert_eq!(report["kind"], "compare");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let what = ["--what", "in-process", "--rounds", "2", "--ticks", "500"];
    let report = json(&[&["compare", "--a", BENCH, "--b", BENCH], &what[..]].concat());
    let ratios = report["ratios"].as_array().unwrap();
    assert_eq!(ratios.len(), 4, "paced and hot, p50 and p99");
    ratios.iter().for_each(estimate);
}

fn summaries() {
    let report = json(&["in-process", "--ticks", "600"]);
    has(&report, &COMMON);
    has(&report, &SUMMARY);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(
        rows.len(),
        8,
        "ours and the peer, ours over frames of 10 and 20 levels; paced and hot"
    );
    for row in rows {
        assert!(row["all"]["count"].as_u64().unwrap() >= 600, "{row}");
    }
    fits_80_columns(&["transport", "--trips", "400"]);
    let report = json(&["transport", "--trips", "400", "--bytes", "900"]);
    has(&report, &SUMMARY);
    // Without root there is no cable, and it says so.
    let has_cable = tests_net::Namespace::new().is_ok();
    let rows = if has_cable { 3 + 9 } else { 3 };
    assert_eq!(report["rows"].as_array().unwrap().len(), rows);
    assert_eq!(report["notes"].to_string().contains("no cable"), !has_cable);
    throughput();
    let recording = Path::new("../../shared/captures/binance/spot-20210405.jsonl.gz");
    if recording.is_file() {
        let file = recording.display().to_string();
        let args = ["replay", &file, "--rate", "20000", "--seconds", "0.2"];
        has(&json(&args), &SUMMARY);
        fits_80_columns(&args);
    } else {
        println!("SKIPPED: {} is not there", recording.display());
        let require = std::env::var("REQUIRE").unwrap_or_default();
        assert!(!require.contains("captures"), "REQUIRE has captures");
    }
}

fn throughput() {
    let args = ["throughput", "--rate", "5000", "--seconds", "0.2"];
    let report = json(&args);
    has(&report, &SUMMARY);
    let fact = |what: &str| {
        let facts = report["facts"].as_array().unwrap();
        let found = facts.iter().find(|fact| fact["what"] == what);
        found.unwrap_or_else(|| panic!("{what}"))["value"]
            .as_f64()
            .unwrap()
    };
    for shape in ["depth, 20 levels", "quote", "trade", "mixed as recorded"] {
        assert!(
            fact(&format!(
                "memory, {shape}: messages a second, all of the time"
            )) > 0.0
        );
        assert!(fact(&format!("memory, {shape}: seconds")) >= 0.2);
    }
    // A fifth of a second, and a tenth to warm up, in whole bursts.
    for (form, said) in [
        ("evenly", 1_500),
        ("bursts", 1_008 + 512),
        ("coalesced", 1_008 + 512),
    ] {
        let fact = |what: &str| fact(&format!("{form}, 5000/s: {what}"));
        assert_eq!(fact("ticks said") as u64, said);
        assert_eq!(fact("ticks not applied, gaps") as u64, 0);
        assert_eq!(fact("orders missing") as u64, 0);
        assert!(fact("venue busy, ns a tick") > 0.0 && fact("lane busy, ns a tick") > 0.0);
    }
    let targets = report["targets"].as_array().unwrap();
    let lost = targets
        .iter()
        .filter(|one| one["what"].as_str().unwrap().contains("lost"));
    assert!(lost.clone().count() == 3 && lost.clone().all(|one| one["is_met"] == true));
    fits_80_columns(&[&args[..], &["--part", "sockets", "--form", "coalesced"]].concat());
    let said = refused(&[&args[..], &["--gate"]].concat());
    assert!(said.contains("needs 60 seconds"), "{said}");
}

fn jitter() {
    let report = json(&["jitter", "--seconds", "0.1", "--cores", "0"]);
    has(
        &report["rows"][0],
        &["core", "gaps", "max_ns", "lost", "switched", "stolen"],
    );
}

fn instructions(folder: &Folder) {
    if cfg!(debug_assertions) {
        // The program under test is built as this one is.
        let said = refused(&["instructions"]);
        assert!(said.contains("debug build"), "{said}");
        return;
    }
    if std::env::var_os("SPINLANE_BENCH_LONG").is_none() {
        println!("SKIPPED: instructions (SPINLANE_BENCH_LONG=1 runs them)");
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed");
        return;
    }
    let file = folder.0.join("counts.json").display().to_string();
    let first = json(&[
        "instructions",
        "--ticks",
        "100",
        "--baseline",
        &file,
        "--save",
    ]);
    assert!(first["rows"][0]["instructions"].as_f64().unwrap() > 100.0);
    assert!(Path::new(&file).is_file());
}
