//! `risk`, `limits`, `resume`: a node filled by the test; no lane obeys.

use crate::node::Node;
use dp_shm::twin::Words as _;
use dp_shm::{
    Command, CommandNote, HaltNote, InstrumentLimits, Lock, NodeLimits, PartState, PositionState,
    RiskState,
};
use dp_types::{AssetId, InstrumentId, LaneId, Notional, Qty, StrategyId, Text, VenueId};

const ONE: i128 = 1_000_000_000_000;

fn limited() -> Node {
    let node = Node::new();
    node.fill();
    let limits = InstrumentLimits {
        order_qty_max: Qty(500),
        position_max: Qty(4_000),
    };
    let all = NodeLimits {
        collar_bps: 100,
        day_loss_max: Notional(1_000 * ONE),
        who: Text::lossy("configuration"),
        ..NodeLimits::default()
    };
    node.region
        .assets()
        .publish(AssetId(0), Text::lossy("USDT"))
        .unwrap();
    node.region
        .assets()
        .publish(AssetId(1), Text::lossy("BTC"))
        .unwrap();
    let guard = node.region.lock(Lock::Control).unwrap();
    node.region.config().publish(&guard, &all, &[limits]);
    drop(guard);
    node
}

fn halted(node: &Node) {
    let usdt = AssetId(0);
    let mut state = RiskState {
        currency: Some(usdt),
        is_counted: true,
        equity: Notional(-250 * ONE),
        day_loss_max: Notional(1_000 * ONE),
        highest: Notional(50 * ONE),
        orders_used: 3,
        orders_max: 100,
        halts_count: 1,
        ..RiskState::default()
    };
    state.halts[0] = Some(HaltNote {
        venue: VenueId::BINANCE,
        instrument: Some(InstrumentId(0)),
        rule: 67,
    });
    node.region.risk(LaneId(0)).unwrap().write(&state);
}

#[test]
fn what_is_used_of_each_limit_is_shown() {
    let node = limited();
    halted(&node);
    let risk = node.json(&["risk"]);
    let lane = &risk["lanes"][0];
    assert_eq!(lane["currency"], "USDT");
    assert_eq!(lane["day_loss"]["value"], "250.00");
    assert_eq!(lane["day_loss"]["used_ppm"], 250_000);
    assert_eq!(lane["drawdown"]["value"], "300.00");
    assert!(lane["drawdown"]["limit"].is_null());
    assert_eq!(lane["orders_per_s"]["used_ppm"], 30_000);
    assert_eq!(risk["positions"][0]["value"], "0.01000");
    assert_eq!(risk["positions"][0]["used_ppm"], 250_000);
    assert_eq!(risk["halts"][0]["rule"], "market_move");
    let text = node.text(&["risk"]);
    assert!(
        text.contains("25.0 %") && text.contains("spinlane resume binance BTCUSDT"),
        "{text}"
    );
}

#[test]
fn limits_are_set_by_somebody_and_what_is_not_named_stays() {
    let node = limited();
    assert_eq!(node.json(&["limits"])["who"], "configuration");
    let set = node.json(&[
        "limits",
        "set",
        "--by",
        "ann",
        "--day-loss-max",
        "2500.5",
        "--symbol",
        "BTCUSDT",
        "--position-max",
        "0.07",
    ]);
    assert_eq!(set["day_loss_max"], "2500.50");
    assert_eq!(
        (set["version"].as_u64(), set["collar_bps"].as_u64()),
        (Some(2), Some(100))
    );
    assert_eq!(set["instruments"][0]["position_max"], "0.07000");
    assert_eq!(set["instruments"][0]["order_qty_max"], "0.00500");
    let mut page = [InstrumentLimits::default(); 1];
    let (_, in_force) = node.region.config().read(&mut page).unwrap();
    assert_eq!(
        (in_force.who.as_str(), page[0].position_max),
        ("ann", Qty(7_000))
    );
    for (line, code) in [
        (&["limits", "set", "--day-loss-max", "1"][..], 2),
        (&["limits", "set", "--by", " ", "--day-loss-max", "1"], 1),
        (&["limits", "set", "--by", "a", "--day-loss-max", "much"], 2),
        (&["limits", "set", "--by", "a", "--position-max", "1"], 2),
        (&["limits", "set", "--by", "a", "--currency", "BTC"], 2),
        (
            &[
                "limits",
                "set",
                "--by",
                "a",
                "--currency",
                "DOGE",
                "--currency-exposure-max",
                "1",
            ],
            2,
        ),
        (
            &[
                "limits",
                "set",
                "--by",
                "a",
                "--symbol",
                "X",
                "--position-max",
                "1",
            ],
            2,
        ),
        (
            &[
                "limits",
                "set",
                "--by",
                "a",
                "--symbol",
                "BTCUSDT",
                "--position-max",
                "0.0000001",
            ],
            2,
        ),
    ] {
        assert_eq!(node.run(line).status.code(), Some(code), "{line:?}");
    }
    assert_eq!(
        node.json(&["limits"])["version"],
        2,
        "nothing of these came into force"
    );
}

#[test]
fn a_currency_is_limited_and_its_limit_taken_away() {
    let node = limited();
    let set = |max: &str| {
        node.json(&[
            "limits",
            "set",
            "--by",
            "ann",
            "--currency",
            "BTC",
            "--currency-exposure-max",
            max,
        ])
    };
    assert_eq!(set("250000")["currencies"][0]["exposure_max"], "250000.00");
    assert!(node.text(&["limits"]).contains("exposure_max in BTC"));
    let after = set("0");
    assert_eq!(after["currencies"][0]["asset"], "BTC");
    assert!(after["currencies"][0]["exposure_max"].is_null(), "{after}");
    assert_eq!(
        after["currencies"].as_array().unwrap().len(),
        1,
        "its place is used again"
    );
}

#[test]
fn a_halt_is_resumed_by_a_name_and_only_where_there_is_one() {
    let node = Node::new();
    node.venue(0);
    let refused = node.run(&["resume", "binance", "--by", "ann"]);
    assert_eq!(refused.status.code(), Some(1), "nothing is halted");
    halted(&node);
    let nobody = node.run(&["resume", "binance", "BTCUSDT"]);
    assert_eq!(nobody.status.code(), Some(2), "a halt needs a name");
    let asked = node.json(&[
        "resume", "binance", "BTCUSDT", "--by", "ann", "--wait-s", "0",
    ]);
    assert_eq!(asked["outcome"], "unknown", "no lane is there to obey");
    assert_eq!(asked["is_halted"], true);
    let mut lane = node.region.lane_writer(LaneId(0)).unwrap();
    let note = CommandNote::from_words(&lane.commands.pop().unwrap()).unwrap();
    assert_eq!(note.command, Command::ResumeInstrument(InstrumentId(0)));
    assert_eq!(note.who.as_str(), "ann");
}

#[test]
fn positions_of_strategies_stand_beside_their_sum() {
    let node = limited();
    let held = node.region.lane(LaneId(0)).unwrap().held;
    for (line, strategy, qty) in [
        (0, StrategyId(1), 1_500),
        (1, StrategyId(0), -500),
        (2, StrategyId::NOBODY, 0),
    ] {
        held[line].write(&PartState {
            strategy,
            instrument: InstrumentId(0),
            state: PositionState {
                qty: Qty(qty),
                fills: u64::from(qty != 0),
                ..PositionState::default()
            },
        });
    }
    let positions = node.json(&["positions"]);
    let strategies = positions["strategies"].as_array().unwrap();
    let told: Vec<_> = strategies
        .iter()
        .map(|part| (part["strategy"].as_u64(), part["qty"].as_str()))
        .collect();
    assert_eq!(
        told,
        [(Some(0), Some("-0.00500")), (Some(1), Some("0.01500"))]
    );
}
