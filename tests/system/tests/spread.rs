//! A node whose feeds, engine and gateways are in lanes of their own, over both venues.

use serde_json::Value;
use std::time::Duration;
use tests_system::{Options, Rig, SPREAD, turn, wait_for};

/// The engine's.
const ENGINE: usize = 2;
/// The gateway's.
const GATEWAY: usize = 3;

fn spread() -> Options {
    Options {
        lanes: SPREAD.to_owned(),
        ..Options::default()
    }
}

/// Starts everything and waits until both venues have orders acknowledged.
fn trading(name: &str) -> Rig {
    let mut rig = Rig::new(name, &spread()).unwrap();
    rig.start_dataplane().unwrap();
    rig.start_control().unwrap();
    wait_acks(&rig, 4);
    rig
}

fn engine(rig: &Rig) -> Option<Value> {
    let status = rig.cli(&["status"]).ok()?;
    Some(status["lanes"][ENGINE].clone())
}

/// So many acknowledged orders more, and both venues ready to trade.
fn wait_acks(rig: &Rig, more: u64) {
    let acks = || engine(rig)?["counters"]["acks"].as_u64();
    let before = wait_for("the node answers", acks).unwrap();
    let waited = wait_for("both venues trade", || {
        let status = rig.cli(&["status"]).ok()?;
        let venues = status["venues"].as_array()?;
        let is_ready = |venue: &Value| venue["is_reconciled"] == true;
        let are_ready = venues.len() == 2 && venues.iter().all(is_ready);
        (are_ready && acks()? >= before + more).then_some(())
    });
    waited.unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
}

#[test]
fn a_spread_node_trades_on_both_venues_and_ends_equal() {
    let _turn = turn();
    let rig = trading("spread");
    let status = rig.cli(&["status"]).unwrap();
    let lanes = status["lanes"].as_array().unwrap();
    let roles: Vec<String> = lanes.iter().map(|lane| lane["roles"].to_string()).collect();
    assert_eq!(
        roles,
        [
            r#"["feed"]"#,
            r#"["feed"]"#,
            r#"["engine","journal"]"#,
            r#"["gateway"]"#
        ]
    );
    for lane in lanes {
        assert!(lane["beat_age_ms"].as_u64().unwrap() < 5_000, "{lane}");
        for count in ["ring_losses", "ring_refusals", "gaps"] {
            assert_eq!(lane["counters"][count], 0, "{count}: {lane}");
        }
    }
    // Each does its own part and no other.
    let count = |lane: usize, name: &str| lanes[lane]["counters"][name].as_u64().unwrap();
    assert!(count(0, "messages_rx") > 0 && count(1, "messages_rx") > 0);
    assert_eq!(
        (count(ENGINE, "messages_rx"), count(0, "orders_sent")),
        (0, 0)
    );
    assert!(count(ENGINE, "orders_sent") > 0 && count(ENGINE, "book_events") > 0);
    for venue in status["venues"].as_array().unwrap() {
        assert_eq!(venue["lane"].as_u64(), Some(ENGINE as u64));
    }
    // Depth, and the answers to orders, are read by hand; the counts follow a few times a second.
    wait_for("feeds and gateway show what they scanned", || {
        let lanes = rig.cli(&["lanes"]).ok()?;
        let has_scanned = |lane: usize| lanes["lanes"][lane]["messages_scanned"].as_u64() > Some(0);
        [0, 1, GATEWAY].into_iter().all(has_scanned).then_some(())
    })
    .unwrap();
    // A feed's REST and market data, a gateway's REST and orders; the line is renewed ten times a second.
    let up = serde_json::json!(["up", "up", "up", "up"]);
    wait_for("every link is up", || {
        let status = rig.cli(&["status"]).ok()?;
        let venues = status["venues"].as_array()?;
        venues
            .iter()
            .all(|venue| venue["links"] == up)
            .then_some(())
    })
    .unwrap();
    rig.ends_equal().unwrap();
}

/// Killed while orders are open: what the engine journaled is settled by the next one, over new rings.
#[test]
fn a_spread_node_that_is_killed_takes_its_orders_up_again() {
    let _turn = turn();
    let mut rig = trading("spreadkill");
    rig.kill_dataplane().unwrap();
    rig.start_dataplane().unwrap();
    wait_acks(&rig, 4);
    rig.ends_equal().unwrap();
}

/// The switch is read where orders leave: nothing is open a moment later.
#[test]
fn a_kill_reaches_the_gateway() {
    let _turn = turn();
    let rig = trading("spreadstop");
    rig.cli(&["kill", "--reason", "test"]).unwrap();
    wait_for("nothing is open", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap();
    let sent = || rig.stat("binance", "/accepted").unwrap() + rig.stat("okx", "/accepted").unwrap();
    let before = sent();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(sent(), before);
    rig.ends_equal().unwrap();
}
