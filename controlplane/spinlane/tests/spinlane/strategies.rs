//! `spinlane strategies` and `spinlane strategy` against a lane that this test plays, and the project it writes out.

use crate::node::Node;
use dp_shm::{
    Command, CommandNote, LaneWriter, ParamSpec, PartState, PositionState, StrategySpec,
    StrategyStatus, twin::Words as _,
};
use dp_types::{InstrumentId, LaneId, Notional, Qty, StrategyId, StrategyState, Text, UnixNanos};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ID: StrategyId = StrategyId(2);

fn param(name: &str, unit: u8, range: (i64, i64)) -> ParamSpec {
    ParamSpec {
        name: Text::lossy(name),
        unit,
        range,
    }
}

/// A strategy with a quantity, a count and a flag.
fn publish(node: &Node, is_seated: bool) {
    let mut spec = StrategySpec {
        name: Text::lossy("maker"),
        kind: Text::lossy("market_maker"),
        identity: 1,
        params_count: 3,
        ..StrategySpec::default()
    };
    spec.params[0] = param("quote_qty", 0, (1, 1_000_000));
    spec.params[1] = param("half_spread_ticks", 2, (1, 1_000));
    spec.params[2] = param("amend", 4, (0, 1));
    node.region.strategy_spec(ID).unwrap().write(&spec);
    let mut status = StrategyStatus {
        state: StrategyState::Running,
        is_seated,
        legs_count: 1,
        live_orders: 2,
        restarts: 3,
        floods: 4,
        fault: Text::lossy("line 7: it broke"),
        fault_at: UnixNanos(1),
        since: UnixNanos(1),
        pairs: 7,
        pairs_net: Notional(-1_250_000_000_000),
        ..StrategyStatus::default()
    };
    status.legs[0] = InstrumentId(0);
    (status.values[0], status.values[1]) = (1_000, 2);
    (status.configured[0], status.configured[1]) = (1_000, 1);
    node.region.strategy(ID).unwrap().write(&status);
}

/// Obeys like an engine, or refuses everything with a word.
fn play(node: &Node, lane: &mut LaneWriter<'_>, refuse: &str) -> bool {
    let Some(words) = lane.commands.pop() else {
        return false;
    };
    let note = CommandNote::from_words(&words).unwrap();
    let line = node.region.strategy(ID).unwrap();
    let mut status = line.read().unwrap();
    if refuse.is_empty() {
        match note.command {
            Command::StrategyStart(ID) | Command::StrategyResume(ID) => {
                status.state = StrategyState::Running;
            }
            Command::StrategyPause(ID) => status.state = StrategyState::Paused,
            Command::StrategyStop(ID) => status.state = StrategyState::Stopped,
            Command::StrategySet {
                id: ID,
                param,
                value,
                is_last,
            } => {
                status.values[usize::from(param)] = value;
                line.write(&status);
                if !is_last {
                    return true;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(note.who.as_str(), "ann");
    (status.answered, status.answer) = (note.at, Text::lossy(refuse));
    line.write(&status);
    true
}

/// Runs a verb while a lane is played; its code and what it said.
fn told(node: &Node, refuse: &str, verb: &[&str]) -> (Option<i32>, Value) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut lane = node.region.lane_writer(LaneId(0)).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                if !play(node, &mut lane, refuse) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let output = node.run(&[verb, &["--by", "ann", "--json"]].concat());
        is_over.store(true, Ordering::Relaxed);
        let said = serde_json::from_slice(&output.stdout);
        (
            output.status.code(),
            said.unwrap_or_else(|error| panic!("{error}: {output:?}")),
        )
    })
}

#[test]
fn strategies_are_told_with_values_ranges_units_and_what_befell_them() {
    let node = Node::new();
    assert_eq!(node.text(&["strategies"]).trim(), "no strategies");
    node.fill();
    publish(&node, true);
    // Its own, not the instrument's, which is others' too.
    node.region.lane(LaneId(0)).unwrap().held[0].write(&PartState {
        strategy: ID,
        instrument: InstrumentId(0),
        state: PositionState {
            qty: Qty(400),
            realised: Notional(750_000_000_000),
            fees: Notional(250_000_000_000),
            fills: 1,
            ..PositionState::default()
        },
    });
    let told = node.json(&["strategies"]);
    let it = &told["strategies"][0];
    for (key, want) in [
        ("id", Value::from(2)),
        ("name", "maker".into()),
        ("kind", "market_maker".into()),
        ("state", "running".into()),
        ("open_orders", 2.into()),
        ("restarts", 3.into()),
        ("floods", 4.into()),
        ("pairs", 7.into()),
        ("pairs_net", "-1.25".into()),
        ("saved_age_ms", Value::Null),
    ] {
        assert_eq!(it[key], want, "{key}");
    }
    let leg = &it["instruments"][0];
    assert_eq!(
        (leg["venue"].as_str(), leg["symbol"].as_str()),
        (Some("binance"), Some("BTCUSDT"))
    );
    assert_eq!(
        (leg["qty"].as_str(), leg["pnl"].as_str()),
        (Some("0.004"), Some("0.50"))
    );
    assert_eq!(it["fault"]["text"], "line 7: it broke");
    assert_eq!(it["fault"]["retry_in_ms"], Value::Null);
    let qty = &it["params"][0];
    assert_eq!(
        ["name", "value", "configured", "unit", "least", "most"].map(|key| qty[key].as_str()),
        [
            Some("quote_qty"),
            Some("0.01"),
            Some("0.01"),
            Some("qty"),
            Some("0.00001"),
            Some("10")
        ]
    );
    assert_eq!(it["params"][1]["value"], "2");
    assert_eq!(it["params"][1]["configured"], "1");
    assert_eq!(it["params"][2]["value"], "false");
    let text = node.text(&["strategies"]);
    for want in [
        "maker",
        "running",
        "BTCUSDT",
        "it broke",
        "7 pairs made -1.25",
        "quote_qty = 0.01   qty, 0.00001 to 10",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
}

#[test]
fn each_verb_is_a_command_to_the_lane_and_ends_with_its_answer() {
    for (verb, want) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("stop", "stopped"),
        ("start", "running"),
    ] {
        let node = Node::new();
        publish(&node, true);
        let (code, said) = told(&node, "", &["strategy", verb, "maker"]);
        assert_eq!(
            (code, &said["outcome"], &said["state"]),
            (Some(0), &"done".into(), &want.into())
        );
        assert_eq!(said["strategy"], "maker");
    }
    let node = Node::new();
    publish(&node, true);
    let (code, said) = told(&node, "it runs already", &["strategy", "start", "maker"]);
    assert_eq!((code, &said["outcome"]), (Some(1), &"refused".into()));
    assert_eq!(said["error"], "maker: it runs already");
}

#[test]
fn parameters_go_together_in_their_units_and_wrong_ones_do_not_leave() {
    let node = Node::new();
    publish(&node, true);
    let line = || node.region.strategy(ID).unwrap().read().unwrap();
    let set = ["strategy", "set", "maker", "quote_qty=0.025", "amend=true"];
    let (code, said) = told(&node, "", &set);
    assert_eq!((code, &said["outcome"]), (Some(0), &"done".into()));
    assert_eq!(line().values[..3], [2_500, 2, 1]);
    for (setting, why) in [
        (
            "quote_qty=11",
            "`quote_qty` is 11.00000, allowed are 0.00001 to 10.00000",
        ),
        (
            "quote_qty=x",
            "`quote_qty` must be a quantity with the instrument's decimals, not `x`",
        ),
        (
            "speed=1",
            "maker has no parameter `speed`; it has quote_qty, half_spread_ticks, amend",
        ),
    ] {
        let refused = node.json(&["strategy", "set", "maker", "amend=false", setting]);
        assert_eq!(refused["outcome"], "refused", "{setting}");
        assert_eq!(refused["error"], why);
    }
    let wrong = node.run(&["strategy", "set", "maker", "quote_qty"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(line().values[..3], [2_500, 2, 1], "nothing left");
}

#[test]
fn who_cannot_be_told_is_said_at_once() {
    let node = Node::new();
    let none = node.run(&["strategy", "stop", "maker"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    publish(&node, false);
    let unseated = node.json(&["strategy", "stop", "maker"]);
    assert_eq!(unseated["outcome"], "refused");
    assert!(unseated["error"].as_str().unwrap().contains("no seat yet"));
    publish(&node, true);
    let silent = node.run(&["strategy", "stop", "maker", "--wait-s", "0", "--json"]);
    assert_eq!(silent.status.code(), Some(1));
    let silent: Value = serde_json::from_slice(&silent.stdout).unwrap();
    assert_eq!(silent["outcome"], "unknown", "no lane took it");
    let none = node.json(&["strategy", "stop", "breaker"]);
    let error = none["error"].as_str().unwrap();
    assert!(error.contains("there are: maker"), "{error}");
}

#[test]
fn kinds_are_listed_without_a_node() {
    let node = Node::new();
    let kinds = node.json(&["strategies", "--kinds"]);
    let names: Vec<&str> = kinds["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"market_maker") && names.contains(&"arbitrage"));
}

#[test]
fn a_new_project_is_whole_and_its_configuration_is_one_a_node_takes() {
    let node = Node::new();
    let dir = node.dir.path().join("own");
    let dir_text = dir.to_str().unwrap();
    let written = node.json(&["strategy", "new", "my-bid", "--dir", dir_text]);
    assert_eq!(written["outcome"], "done", "{written}");
    for file in ["Cargo.toml", "Cargo.lock", "node.toml", "src/main.rs"] {
        let text = std::fs::read_to_string(dir.join(file)).unwrap();
        for left in ["{name}", "{dir}", "{checkout}"] {
            assert!(!text.contains(left), "{file} has {left}");
        }
    }
    let config = dp_config::Config::load(&dir.join("node.toml")).unwrap();
    assert_eq!(
        config.strategy_name(StrategyId(0)).as_deref(),
        Some("my-bid")
    );
    let manifest: toml::Table = std::fs::read_to_string(dir.join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let app = manifest["dependencies"]["dp-app"]["path"].as_str().unwrap();
    assert!(std::path::Path::new(app).join("Cargo.toml").is_file());
    let again = node.run(&["strategy", "new", "my-bid", "--dir", dir_text]);
    assert_eq!(again.status.code(), Some(2), "nothing is written over");
    let name = node.run(&["strategy", "new", "../x", "--dir", "y"]);
    assert_eq!(name.status.code(), Some(2));
}
