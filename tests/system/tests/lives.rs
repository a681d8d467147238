//! Strategies' lives over a node's: what people did stays done over a killed process and over lost memory.

use serde_json::Value;
use tests_system::{Options, Rig, turn, wait_for};

const NAME: &str = "market_maker-0";

fn one() -> Options {
    Options {
        venues: vec![("binance", "BTCUSDT")],
        ..Options::default()
    }
}

fn strategy(rig: &Rig) -> Value {
    rig.cli(&["strategies"]).unwrap()["strategies"][0].take()
}

fn seated(rig: &Rig) -> Value {
    // Of the run before, until this one is announced.
    let runs = || (rig.cli(&["status"]).ok()?["dataplane"]["is_running"] == true).then_some(());
    wait_for("the dataplane runs", runs).unwrap();
    let seat = || Some(strategy(rig)).filter(|it| it["is_seated"] == true);
    wait_for("the strategy has its seat", seat).unwrap()
}

fn param<'a>(strategy: &'a Value, name: &str) -> &'a str {
    let params = strategy["params"].as_array().unwrap();
    let found = params.iter().find(|param| param["name"] == name).unwrap();
    found["value"].as_str().unwrap()
}

fn told(rig: &Rig, verb: &[&str]) -> String {
    let said = rig.cli(&[&["strategy"], verb, &["--by", "ann"]].concat());
    let said = said.unwrap();
    assert_eq!(said["outcome"], "done", "{verb:?}: {said}");
    said["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_stopped_strategy_stays_stopped_and_a_set_parameter_stays_set() {
    let _turn = turn();
    let mut rig = Rig::trading("lives", &one()).unwrap();
    assert_eq!(strategy(&rig)["state"], "running");
    assert_eq!(told(&rig, &["set", NAME, "half_spread_ticks=7"]), "running");
    assert_eq!(told(&rig, &["pause", NAME]), "paused");
    let no_orders = || (strategy(&rig)["open_orders"] == 0).then_some(());
    wait_for("its quotes are pulled", no_orders).unwrap();
    assert_eq!(told(&rig, &["resume", NAME]), "running");
    let quotes = || (strategy(&rig)["open_orders"] != 0).then_some(());
    wait_for("it quotes again", quotes).unwrap();
    assert_eq!(told(&rig, &["stop", NAME]), "stopped");
    wait_for("its orders are cancelled", no_orders).unwrap();
    let refused = rig.cli(&["strategy", "pause", NAME]).unwrap();
    assert_eq!(refused["outcome"], "refused");
    assert!(refused["error"].as_str().unwrap().contains("start it"));

    rig.kill_dataplane().unwrap();
    rig.start_dataplane().unwrap();
    let again = seated(&rig);
    assert_eq!(
        (&again["state"], param(&again, "half_spread_ticks")),
        (&"stopped".into(), "7")
    );
    assert_eq!(rig.open_at_venue().unwrap(), 0);
    assert_eq!(told(&rig, &["start", NAME]), "running");
    wait_for("it quotes", || {
        (strategy(&rig)["open_orders"] != 0).then_some(())
    })
    .unwrap();
    assert_eq!(told(&rig, &["stop", NAME]), "stopped");
    let journaled = || {
        let rows = rig.sql(
            "select rule, coalesce(who, ''), detail from risk_events where kind = 'strategy' order by at, seq",
        );
        let has = |row: &[&str]| {
            rows.as_ref()
                .is_ok_and(|rows| rows.iter().any(|it| it == row))
        };
        let all = has(&["set", "ann", "running: half_spread_ticks"])
            && has(&["asked", "ann", "paused"])
            && has(&["asked", "ann", "stopped"]);
        all.then_some(())
    };
    wait_for("the database has who did what", journaled).unwrap();

    // A reboot takes the memory away; the state directory knows.
    rig.stop_dataplane().unwrap();
    rig.stop_control().unwrap();
    rig.forget_shared_memory().unwrap();
    rig.start_dataplane().unwrap();
    let again = seated(&rig);
    assert_eq!(
        (&again["state"], param(&again, "half_spread_ticks")),
        (&"stopped".into(), "7")
    );
}
