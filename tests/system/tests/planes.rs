//! The two planes side by side: what one tells the other, how little one waits for the other, and that
//! neither tells a secret.

use dp_shm::{HistSnapshot, Region, Stage};
use serde_json::Value;
use spinlane::view::latency::StageLatency;
use std::time::{Duration, Instant};
use tests_system::{Options, Rig, turn, wait_for};

/// How long each half of a comparison is watched.
const WATCHED: Duration = Duration::from_secs(6);

/// One venue's lane counters and ring, by the status.
fn lane_of<'v>(status: &'v Value, venue: &str) -> Option<&'v Value> {
    let mut venues = status["venues"].as_array()?.iter();
    let lane = &venues.find(|line| line["venue"] == venue)?["lane"];
    let mut lanes = status["lanes"].as_array()?.iter();
    lanes.find(|one| one["lane"] == *lane)
}

/// Market data of both venues reaches the database: every tick that was published and not dropped.
#[test]
fn ticks_of_both_venues_are_in_the_database() {
    let _turn = turn();
    let mut rig = Rig::trading("ticks", &Options::default()).unwrap();
    for venue in ["binance", "okx"] {
        wait_for("books move", || {
            (rig.counter_at(venue, "book_events").ok()? > 40).then_some(())
        })
        .unwrap();
    }
    rig.stop_dataplane().unwrap();
    let status = wait_for("the tick rings are read", || {
        let status = rig.cli(&["status"]).ok()?;
        let lanes = status["lanes"].as_array()?;
        lanes
            .iter()
            .all(|lane| lane["ticks_waiting"] == 0)
            .then_some(status.clone())
    })
    .unwrap();
    for venue in ["binance", "okx"] {
        let lane = lane_of(&status, venue).expect("a lane");
        let counter = |name: &str| lane["counters"][name].as_u64().unwrap();
        let rows = |kind: &str| -> u64 {
            let statement = format!(
                "select count(*) from market_data_ticks where venue = '{venue}' and kind = '{kind}'"
            );
            rig.sql(&statement).unwrap()[0][0].parse().unwrap()
        };
        let (quotes, trades) = (rows("quote"), rows("trade"));
        println!("{venue}: {quotes} quotes, {trades} trades");
        assert_eq!(counter("ticks_dropped"), 0);
        assert_eq!(trades, counter("trade_events"), "{venue}");
        // A quote is kept when a book's best levels have moved: no more often than there were messages.
        let books = counter("book_events");
        assert!(
            quotes > 10 && quotes <= books,
            "{venue}: {quotes} of {books}"
        );
    }
    rig.stop_control().unwrap();
}

/// Copies of one stage of every lane, together.
fn snapshot(region: &Region, stage: Stage) -> HistSnapshot {
    let mut sum = HistSnapshot::default();
    for lane in region.lanes() {
        sum.merge(&lane.stages.view(stage).snapshot());
    }
    sum
}

/// Median of what was recorded while watched, nanoseconds.
fn medians(region: &Region) -> Vec<(Stage, u64, u64)> {
    let stages = [Stage::TickToTrade, Stage::DutyCycle];
    let before = stages.map(|stage| snapshot(region, stage));
    // The length of the watch, not a wait for anything.
    std::thread::sleep(WATCHED);
    let hz = region.tsc_hz().expect("the clock was measured");
    stages
        .into_iter()
        .zip(before)
        .map(|(stage, before)| {
            let delta = snapshot(region, stage).since(&before);
            let latency = StageLatency::of(stage, &delta, hz).expect("something was timed");
            (stage, latency.count, latency.p50_ns)
        })
        .collect()
}

/// The lanes do not notice that the control plane is gone.
#[test]
fn a_lane_works_on_without_a_control_plane() {
    let _turn = turn();
    let mut rig = Rig::trading("alone", &Options::default()).unwrap();
    let config = dp_config::Config::load(&rig.config()).unwrap();
    let region = Region::attach(&config.node.shm).unwrap();
    let with = medians(&region);
    rig.kill_control().unwrap();
    let without = medians(&region);
    for ((stage, count, with), (_, alone, without)) in with.into_iter().zip(without) {
        println!(
            "{}: p50 {with} ns of {count} with, {without} ns of {alone} without a control plane",
            stage.name()
        );
        // The times are told, not gated: the machine is shared. That the work goes on is gated.
        assert!(alone * 4 >= count, "{}", stage.name());
    }
    rig.start_control().unwrap();
    rig.ends_equal().unwrap();
}

/// From the command to the last cancel at the venue.
#[test]
fn a_kill_reaches_the_venues_within_two_seconds() {
    let _turn = turn();
    let rig = Rig::trading("quick", &Options::default()).unwrap();
    wait_for("orders rest at both venues", || {
        let record = rig.record().ok()?;
        let is_live = |venue: &str| {
            let mut orders = record.orders.iter();
            orders.any(|order| order.venue == venue && order.state == "live")
        };
        (is_live("binance") && is_live("okx")).then_some(())
    })
    .unwrap();
    let start = Instant::now();
    let start_ns = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let killed = rig.cli(&["kill", "--reason", "test"]).unwrap();
    let command = start.elapsed();
    assert_eq!(killed["open_orders"], 0, "{killed}");
    let record = rig.sim_get("/record").unwrap();
    let mut last_ms = 0;
    for venue in ["binance", "okx"] {
        let orders = record[venue]["orders"].as_array().unwrap();
        assert!(
            orders.iter().all(|order| order["state"] != "live"),
            "{venue}"
        );
        let cancels = orders.iter().filter(|order| order["state"] == "canceled");
        let last_ns = cancels
            .filter_map(|order| order["updated_ns"].as_u64())
            .max()
            .unwrap_or_else(|| panic!("nothing was cancelled at {venue}"));
        let after_ms = u128::from(last_ns).saturating_sub(start_ns) / 1_000_000;
        println!("{venue}: last cancel {after_ms} ms after the command was given");
        last_ms = last_ms.max(after_ms);
    }
    println!("`spinlane kill` took {} ms", command.as_millis());
    assert!(
        last_ms < 2_000 && command.as_millis() < 10_000,
        "{last_ms} ms"
    );
    rig.cli(&["arm", "--by", "tester"]).unwrap();
    rig.wait_acks(1).unwrap();
    rig.ends_equal().unwrap();
}

/// The values of a keys file: what must be nowhere else. Of a PEM, its lines.
fn secrets(rig: &Rig, venue: &str) -> Vec<String> {
    let keys = dp_config::load_keys(&rig.dir().join(format!("{venue}.toml"))).unwrap();
    let pem = keys.ed25519_pem.lines();
    let pem = pem.filter(|line| !line.starts_with("-----"));
    [&*keys.api_key, &*keys.api_secret, &*keys.passphrase]
        .into_iter()
        .chain(pem)
        .map(|line| line.trim().to_owned())
        .filter(|secret| secret.len() >= 8)
        .collect()
}

/// PA-07: keys are in their file and in memory, and nowhere else, however much is logged.
#[test]
fn secrets_are_told_to_nobody() {
    let _turn = turn();
    let options = Options {
        sim_args: vec!["--ed25519".into()],
        log: "trace",
        ..Options::default()
    };
    let mut rig = Rig::trading("secrets", &options).unwrap();
    // Reconnects, questions and refusals have words of their own.
    rig.fault("disconnect:link=all,timeout:n=1,reject:n=1,rate-limit:n=1:for=1s")
        .unwrap();
    rig.wait_acks(5).unwrap();
    let secrets: Vec<String> = ["binance", "okx"]
        .into_iter()
        .flat_map(|venue| secrets(&rig, venue))
        .collect();
    assert!(
        secrets.len() >= 6,
        "key, secret, PEM; key, secret, passphrase"
    );
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    let pids = [rig.dataplane_pid().unwrap(), rig.control_pid().unwrap()];
    for pid in pids {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{file}");
            places.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    let config = dp_config::Config::load(&rig.config()).unwrap();
    let shm = &config.node.shm;
    places.push((shm.display().to_string(), std::fs::read(shm).unwrap()));
    rig.stop_dataplane().unwrap();
    wait_for("everything is in the database", || {
        let status = rig.cli(&["status"]).ok()?;
        let is_drained = |lane: &Value| lane["journal_waiting"] == 0 && lane["ticks_waiting"] == 0;
        status["lanes"]
            .as_array()?
            .iter()
            .all(is_drained)
            .then_some(())
    })
    .unwrap();
    let tables = rig
        .sql("select tablename from pg_tables where schemaname = 'public'")
        .unwrap();
    assert!(tables.len() > 5);
    for table in tables.iter().map(|row| &row[0]) {
        let rows = rig
            .sql(&format!("select t::text from \"{table}\" t"))
            .unwrap();
        let text = rows.concat().join("\n");
        places.push((format!("table {table}"), text.into_bytes()));
    }
    rig.stop_control().unwrap();
    for file in [
        "dataplane.log",
        "control.log",
        "node.toml",
        "state/control.json",
    ] {
        let bytes = std::fs::read(rig.dir().join(file)).unwrap();
        assert!(!bytes.is_empty(), "{file}");
        places.push((file.to_owned(), bytes));
    }
    let trace = String::from_utf8_lossy(&places[places.len() - 4].1).into_owned();
    assert!(
        trace.contains("DEBUG") || trace.contains("TRACE"),
        "nothing more was logged"
    );
    for (place, bytes) in &places {
        for secret in &secrets {
            let is_told = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!is_told, "{}… stands in {place}", &secret[..4]);
        }
    }
}
