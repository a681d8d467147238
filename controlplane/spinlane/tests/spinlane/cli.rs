//! The command line against a node without processes.

use crate::node::{Node, good_config, id};
use dp_shm::{BalanceState, MarketState, MinuteBar, MinuteSpread};
use dp_types::{AssetId, InstrumentId, LaneId, Notional, Price, Qty, Text, UnixNanos, VenueId};
use serde_json::Value;
use std::process::Command;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn status_tells_all_and_fits_the_terminal() {
    let node = Node::new();
    node.fill();
    let status = node.json(&["status"]);
    assert_eq!(
        keys(&status),
        [
            "outcome",
            "node",
            "is_paper",
            "epoch",
            "dataplane",
            "control",
            "journal_waiting",
            "kill",
            "lease",
            "open_orders",
            "lanes",
            "venues",
            "books"
        ]
    );
    assert_eq!(
        (&status["node"], &status["is_paper"]),
        (&"t".into(), &false.into())
    );
    assert_eq!(status["epoch"], 7);
    assert_eq!(
        status["dataplane"]["is_running"], true,
        "this test's own process"
    );
    assert_eq!(status["journal_waiting"], 7);
    assert_eq!(status["lanes"][0]["counters"]["orders_sent"], 2);
    assert_eq!(status["venues"][0]["links"][0], "up");
    assert_eq!(status["books"][0]["bid"], "65000.00");
    assert_eq!(
        status["books"][0]["ask"],
        Value::Null,
        "an empty side has no price"
    );
    let text = node.text(&["status"]);
    assert!(
        text.contains("binance") && text.contains("65000.00"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn a_node_on_paper_says_so_first() {
    let node = Node::new();
    node.fill();
    node.region.set_node("PAPER t");
    let status = node.json(&["status"]);
    assert_eq!(
        (&status["node"], &status["is_paper"]),
        (&"t".into(), &true.into())
    );
    let text = node.text(&["status"]);
    assert!(text.starts_with("*** PAPER ***"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn orders_are_folded_from_the_journal() {
    let node = Node::new();
    node.fill();
    let open = node.json(&["orders"]);
    let list = open["orders"].as_array().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(
        keys(&list[0]),
        [
            "client_order_id",
            "venue",
            "symbol",
            "side",
            "kind",
            "price",
            "qty",
            "state",
            "cum_qty",
            "order_id",
            "reject_reason"
        ]
    );
    assert_eq!(list[0]["client_order_id"], id(2).0);
    assert_eq!(
        (list[0]["state"].as_str(), list[0]["price"].as_str()),
        (Some("ACK"), Some("65000"))
    );
    let all = node.json(&["orders", "--all"]);
    assert_eq!(all["orders"].as_array().unwrap().len(), 2);
    assert_eq!(all["orders"][0]["state"], "FILLED");
    assert_eq!(all["orders"][0]["cum_qty"], "0.01");
    assert_eq!(
        node.json(&["orders", "--all", "--limit", "1"])["orders"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(
        node.text(&["orders"])
            .lines()
            .all(|line| line.chars().count() <= 80)
    );
}

#[test]
fn a_market_is_shown_as_it_was_of_late() {
    let node = Node::new();
    assert_eq!(node.text(&["market"]).trim(), "no market yet");
    node.fill();
    let state = MarketState {
        bar: Some(MinuteBar {
            open: Price(6_500_000),
            high: Price(6_500_100),
            low: Price(6_499_900),
            close: Price(6_500_050),
            volume: Qty(150_000),
            trades: 3,
            ..MinuteBar::default()
        }),
        vwap: Some((Price(6_500_010), Qty(400_000))),
        spread: Some(MinuteSpread {
            mean_milli: 1_500,
            min: 1,
            max: 3,
        }),
        depth: None,
        spread_now: 0,
        updated: UnixNanos(7),
    };
    let line = node.region.market(InstrumentId(0)).unwrap();
    line.write(&state);
    let market = &node.json(&["market"])["markets"][0];
    assert_eq!(market["bar"]["close"], "65000.50");
    assert_eq!(market["bar"]["volume"], "1.50000");
    assert_eq!(
        (&market["spread_mean"], &market["spread_max"]),
        (&"0.01500".into(), &"0.03".into())
    );
    assert_eq!(market["vwap_qty"], "4.00000");
    assert!(
        market["spread"].is_null() && market["bids"].is_null(),
        "no proven book: {market}"
    );
    let text = node.text(&["market"]);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn positions_add_up() {
    let node = Node::new();
    assert_eq!(node.text(&["positions"]).trim(), "no positions yet");
    node.fill();
    let positions = node.json(&["positions"]);
    assert_eq!(positions["positions"][0]["qty"], "0.01000");
    assert_eq!(positions["positions"][0]["funding"], "-0.125");
    assert_eq!(positions["positions"][0]["pnl"], "0.125");
    assert_eq!(positions["pnl"]["binance"], "0.125");
    assert!(node.text(&["positions"]).contains("-1.50"));
}

#[test]
fn balances_stand_beside_the_venue_s() {
    let node = Node::new();
    assert_eq!(node.text(&["balances"]).trim(), "no balances told yet");
    let lines = node.region.lane(LaneId(0)).unwrap().balances;
    let usdt = Text::new("USDT").unwrap();
    node.region.assets().publish(AssetId(0), usdt).unwrap();
    let state = BalanceState {
        venue: VenueId::BINANCE,
        asset: AssetId(0),
        ours: Some(Notional(1_500_000_000_000)),
        theirs: Some(Notional(1_250_000_000_000)),
        is_compared: true,
        differs: true,
        ..BalanceState::default()
    };
    lines[0].write(&state);
    lines[1].write(&BalanceState {
        asset: AssetId(9),
        ours: None,
        differs: false,
        ..state
    });
    let balances = node.json(&["balances"]);
    let first = &balances["balances"][0];
    assert_eq!(
        (&first["asset"], &first["ours"]),
        (&"#9".into(), &Value::Null)
    );
    let second = &balances["balances"][1];
    assert_eq!(second["asset"], "USDT");
    assert_eq!(
        (&second["ours"], &second["theirs"]),
        (&"1.50".into(), &"1.25".into())
    );
    assert_eq!(second["differs"], true);
    let text = node.text(&["balances"]);
    assert!(
        text.contains("DIFFERS") && text.contains("not yet"),
        "{text}"
    );
}

#[test]
fn latency_in_nanoseconds_and_as_a_page() {
    let node = Node::new();
    assert!(node.text(&["latency"]).contains("no latencies"));
    let html = node.dir.path().join("out").join("r.html");
    let failed = node.run(&["latency", "--html", html.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1), "nothing to plot yet");
    node.fill();
    let latency = node.json(&["latency", "--html", html.to_str().unwrap()]);
    let decode = &latency["all"][0];
    assert_eq!(
        keys(decode),
        ["stage", "count", "p50_ns", "p99_ns", "p999_ns", "max_ns"]
    );
    assert_eq!(
        (decode["stage"].as_str(), decode["count"].as_u64()),
        (Some("decode"), Some(10_000))
    );
    let p50 = decode["p50_ns"].as_u64().unwrap();
    assert!(
        (548..=556).contains(&p50),
        "1,100 cycles at 2 GHz are 550 ns, got {p50}"
    );
    assert_eq!(decode["max_ns"], 650);
    let page = std::fs::read_to_string(html).unwrap();
    assert_eq!(
        page.matches("<svg").count(),
        2,
        "end to end, and inside the lane"
    );
    for want in [
        "tick to trade",
        "99.9 %",
        "How to read this",
        "Measured on",
        "</html>",
    ] {
        assert!(page.contains(want), "{want}");
    }
    assert!(
        !page.contains("http://") || page.contains("www.w3.org"),
        "nothing is fetched"
    );
}

#[test]
fn kill_and_arm_are_recorded_and_say_when_orders_remain() {
    let node = Node::new();
    node.fill();
    // The test holds the region and no lane cancels: the order stays open and the command says so.
    let stuck = node.run(&[
        "kill", "--reason", "test", "--by", "me", "--wait-s", "0", "--json",
    ]);
    assert_eq!(stuck.status.code(), Some(1));
    let stuck: Value = serde_json::from_slice(&stuck.stdout).unwrap();
    assert_eq!(
        (stuck["outcome"].as_str(), stuck["open_orders"].as_u64()),
        (Some("unknown"), Some(1))
    );
    assert!(node.region.kill().is_killed());
    node.venue(0);
    let doubtful = node.run(&["kill", "--wait-s", "0", "--json"]);
    let doubtful: Value = serde_json::from_slice(&doubtful.stdout).unwrap();
    assert_eq!(
        (
            doubtful["outcome"].as_str(),
            doubtful["venues_asked"].as_bool()
        ),
        (Some("unknown"), Some(false)),
        "no order is open as far as the node knows; the venue has not said so"
    );
    node.venue_asked(0, UnixNanos(u64::MAX));
    let killed = node.json(&["kill"]);
    assert_eq!(
        (killed["outcome"].as_str(), killed["changed"].as_bool()),
        (Some("done"), Some(false))
    );
    assert_eq!(killed["kill"]["by"], "me");
    assert_eq!(killed["kill"]["reason"], "test");
    assert_eq!(
        node.run(&["arm"]).status.code(),
        Some(2),
        "arming needs a name"
    );
    assert_eq!(node.run(&["arm", "--by", " "]).status.code(), Some(1));
    let armed = node.json(&["arm", "--by", "me too"]);
    assert_eq!(
        (armed["changed"].as_bool(), armed["kill"]["by"].as_str()),
        (Some(true), Some("me too"))
    );
    assert!(!node.region.kill().is_killed());
}

#[test]
fn errors_name_what_and_the_mend() {
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_spinlane"))
            .args(args)
            .output()
            .unwrap()
    };
    let gone = run(&[
        "status",
        "--json",
        "--shm",
        "/dev/shm/spinlane-there-is-none",
    ]);
    assert_eq!(gone.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&gone.stdout).unwrap();
    assert_eq!(json["outcome"], "unreachable");
    assert!(
        json["error"]
            .as_str()
            .unwrap()
            .contains("start its dataplane")
    );

    let missing = run(&["run", "--config", "/nowhere/node.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    let text = String::from_utf8(missing.stderr).unwrap();
    assert!(text.contains("/nowhere/node.toml"), "{text}");
    let config = good_config();
    let standby = run(&[
        "run",
        "--role",
        "standby",
        "--config",
        config.1.to_str().unwrap(),
    ]);
    assert_eq!(standby.status.code(), Some(2));
}

#[test]
fn help_man_and_completions_come_from_one_definition() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_spinlane"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = run(&["--help"]);
    for verb in [
        "demo",
        "run",
        "replay",
        "venue",
        "status",
        "orders",
        "market",
        "pnl",
        "positions",
        "balances",
        "strategies",
        "strategy",
        "risk",
        "limits",
        "reconcile",
        "latency",
        "kill",
        "arm",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("  {verb} ")), "{verb} in {help}");
    }
    assert!(help.contains("Exit codes: 0 done, 1 failed, 2 usage or configuration"));
    assert!(run(&["man"]).contains(".TH"));
    assert!(run(&["completions", "bash"]).contains("_spinlane"));
}
