//! The kill switch by HTTP, on a node that trades; and how its strategies did, from the same node's database.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests_system::money::pico;
use tests_system::{Options, Rig, turn, wait_for};

const TOKEN: &str = "5f3c9a7d1e8b40c2a6f7d9e1b3c5a708";

struct Site {
    address: SocketAddr,
    _dir: TempDir,
}

impl Site {
    /// Lines of the configuration for a listener on a free port.
    fn new() -> (Self, String) {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let lines = format!(
            "[api]\nlisten = \"{address}\"\ntoken_file = \"{}\"\n",
            token.display()
        );
        (Self { address, _dir: dir }, lines)
    }

    /// Status and body; `None` where nobody listens.
    fn ask(&self, line: &str, token: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let len = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn kill(&self, token: &str) -> (u16, Value) {
        let body = r#"{"who": "ann", "why": "prices are wrong"}"#;
        let (status, body) = self.ask("POST /v1/kill", token, body).unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    fn get(&self, path: &str) -> Option<String> {
        let (status, body) = self.ask(&format!("GET {path}"), TOKEN, "")?;
        (status == 200).then_some(body)
    }
}

fn is_live(rig: &Rig, venue: &str) -> bool {
    let record = rig.record().unwrap();
    let mut orders = record.orders.iter();
    orders.any(|order| order.venue == venue && order.state == "live")
}

#[test]
fn a_kill_by_http_cancels_everything_outlives_a_restart_and_needs_the_token() {
    let _turn = turn();
    let (site, config) = Site::new();
    let options = Options {
        config,
        ..Options::default()
    };
    let mut rig = Rig::trading("api", &options).unwrap();
    let orders_rest = |rig: &Rig| {
        wait_for("orders rest at both venues", || {
            (is_live(rig, "binance") && is_live(rig, "okx")).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    };
    orders_rest(&rig);
    let wrong = TOKEN.replace('5', "6");
    assert_eq!(site.kill(&wrong).0, 401);
    assert_eq!(rig.cli(&["status"]).unwrap()["kill"]["is_killed"], false);
    rig.wait_acks(1).unwrap();

    orders_rest(&rig);
    let begun = Instant::now();
    let (status, told) = site.kill(TOKEN);
    let answered = begun.elapsed();
    assert_eq!(
        (status, &told["killed"], &told["changed"]),
        (200, &true.into(), &true.into())
    );
    wait_for("every order is cancelled at the venue", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    println!(
        "answered after {} ms, no order at a venue after {} ms",
        answered.as_millis(),
        begun.elapsed().as_millis()
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    let (_, again) = site.kill(TOKEN);
    assert_eq!(
        (&again["changed"], &again["changes"]),
        (&false.into(), &told["changes"])
    );

    // Both planes are killed; the word and the listener come back.
    rig.kill_dataplane().unwrap();
    rig.kill_control().unwrap();
    rig.start_dataplane().unwrap();
    rig.start_control().unwrap();
    let stands = wait_for("the listener is back", || site.get("/v1/kill")).unwrap();
    let stands: Value = serde_json::from_str(&stands).unwrap();
    assert_eq!(
        (&stands["killed"], &stands["who"]),
        (&true.into(), &"ann".into())
    );
    assert_eq!(rig.open_at_venue().unwrap(), 0);
    let log = std::fs::read_to_string(rig.dir().join("control.log")).unwrap();
    assert!(
        log.contains("kills as \"ann\": \"prices are wrong\""),
        "{log}"
    );
    assert!(
        !log.contains(TOKEN) && !log.contains(&wrong),
        "a token is told"
    );
    rig.cli(&["arm", "--by", "tester"]).unwrap();
    rig.wait_acks(1).unwrap();
    rig.ends_equal().unwrap();
}

/// RK-11: what the gate refuses is a row, and a count by its rule.
#[test]
fn a_violation_is_a_row_and_a_count_by_its_rule() {
    let _turn = turn();
    let (site, config) = Site::new();
    let options = Options {
        venues: vec![("binance", "BTCUSDT")],
        config,
        ..Options::default()
    };
    let rig = Rig::trading("rules", &options).unwrap();
    let count = |rule: &str| -> Option<u64> {
        let metrics = site.get("/metrics")?;
        let line = format!("risk_violations_total{{rule=\"{rule}\"}} ");
        let mut lines = metrics.lines();
        lines.find_map(|it| it.strip_prefix(&line))?.parse().ok()
    };
    let before = count("no_limits").unwrap();
    let set = [
        "limits",
        "set",
        "--symbol",
        "BTCUSDT",
        "--by",
        "ann",
        "--order-qty-max",
        "0",
        "--position-max",
        "0",
    ];
    assert_eq!(rig.cli(&set).unwrap()["who"], "ann");
    wait_for("the gate refuses, and it is counted", || {
        (count("no_limits")? > before).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    wait_for("it is on record", || {
        let row = "select count(*) from risk_events where kind = 'risk' and rule = 'no_limits'";
        (rig.sql(row).ok()?[0][0] != "0").then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    let told = rig.cli(&["risk"]).unwrap();
    let mut violations = told["violations"].as_array().unwrap().iter();
    let mine = violations.find(|it| it["rule"] == "no_limits").unwrap();
    assert!(mine["count"].as_u64().unwrap() > before, "{told}");
    rig.ends_equal().unwrap();
}

/// The word is in shared memory: it needs neither the database nor the trading process.
#[test]
fn a_kill_by_http_needs_neither_database_nor_dataplane() {
    let _turn = turn();
    let (site, config) = Site::new();
    let options = Options {
        config,
        ..Options::default()
    };
    let mut rig = Rig::trading("apidead", &options).unwrap();
    wait_for("orders rest", || is_live(&rig, "binance").then_some(())).unwrap();
    wait_for("the database runs", || rig.sql("select 1").ok()).unwrap();
    rig.kill_dataplane().unwrap();
    rig.kill_process(rig.database_pid().unwrap()).unwrap();
    let (status, told) = site.kill(TOKEN);
    assert_eq!((status, &told["killed"]), (200, &true.into()));
    assert_eq!(told["dataplane_is_running"], false);
    assert!(
        rig.open_at_venue().unwrap() > 0,
        "nobody is there to cancel"
    );
    rig.start_dataplane().unwrap();
    wait_for("the node comes up killed and cancels", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    rig.cli(&["arm", "--by", "tester"]).unwrap();
    rig.wait_acks(1).unwrap();
    rig.ends_equal().unwrap();
}

/// ST-11: rows of a session at simulated venues.
#[test]
fn how_each_strategy_did_is_in_the_database() {
    let _turn = turn();
    let mut rig = Rig::trading("sharpe", &Options::default()).unwrap();
    wait_for("there are fills", || {
        (rig.counter("fills").ok()? > 3).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    // The daemon's last look is when it stops.
    rig.stop_dataplane().unwrap();
    let whole = rig.cli(&["strategies"]).unwrap();
    rig.stop_control().unwrap();
    rig.start_control().unwrap();
    let told = wait_for("the database is back", || {
        let told = rig
            .cli(&["strategies", "--performance", "--days", "2"])
            .ok()?;
        (told["outcome"] == "done").then_some(told)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    // First in, first out comes to the same cash; average cost is what the positions say.
    let positions = rig.cli(&["positions"]).unwrap();
    let pnl = rig.cli(&["pnl"]).unwrap();
    for part in positions["strategies"].as_array().unwrap() {
        let is_it = |line: &&Value| {
            ["strategy", "venue", "symbol"]
                .iter()
                .all(|key| line[key] == part[key])
        };
        let line = pnl["lines"].as_array().unwrap().iter().find(is_it);
        let line = line.unwrap_or_else(|| panic!("{part} in {pnl}"));
        assert_eq!(
            (&line["qty"], &line["moves"]),
            (&part["qty"], &part["fills"]),
            "{line}"
        );
        assert_eq!(
            pico(&line["average_realised"]),
            pico(&part["realised"]),
            "{line}"
        );
        assert_eq!(
            pico(&line["fifo_realised"]) - pico(&line["fifo_cost"]),
            pico(&line["average_realised"]) - pico(&line["average_cost"]),
            "{line}"
        );
    }
    let sessions = told["sessions"].as_array().unwrap();
    let strategies = whole["strategies"].as_array().unwrap();
    assert!(!strategies.is_empty());
    let rows = |what: &str| -> u64 {
        let sum = rig.sql(&format!("select count(*) from {what}")).unwrap();
        sum[0][0].parse().unwrap()
    };
    let sum = |key: &str| -> u64 { sessions.iter().map(|it| it[key].as_u64().unwrap()).sum() };
    assert_eq!(sum("orders"), rows("orders where strategy is not null"));
    assert_eq!(
        sum("fills"),
        rows("fills join orders using (client_order_id)")
    );
    assert!(sum("fills") > 3);
    for strategy in strategies {
        let id = strategy["id"].as_i64().unwrap();
        let mine = |it: &&Value| it["strategy"].as_i64() == Some(id);
        let session = sessions
            .iter()
            .rfind(mine)
            .unwrap_or_else(|| panic!("{told}"));
        assert_eq!(session["name"], strategy["name"]);
        let legs = strategy["instruments"].as_array().unwrap();
        let amount = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
        let pnl: f64 = legs.iter().map(|leg| amount(&leg["pnl"])).sum();
        assert!(
            (amount(&session["pnl"]) - pnl).abs() < 1e-9,
            "{session} {strategy}"
        );
    }
    rig.start_dataplane().unwrap();
    rig.wait_acks(1).unwrap();
    rig.ends_equal().unwrap();
}
