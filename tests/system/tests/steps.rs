//! `kill -9` at each step between a decision and the durable record of its answer, on the real process: its lane is
//! stopped where it enters the function that does the step, and killed there. The next start must know every order,
//! send none twice, and hold the simulator's own position.

use std::time::{Duration, Instant};
use tests_system::{Options, Rig, turn};

/// Steps of an order's life, by the function that does them.
const STEPS: &[(&str, &str)] = &[
    (
        "decided, not checked",
        "dp_lane::engine::wishes::<impl dp_lane::engine::Engine>::place",
    ),
    (
        "checked, its intent not in the journal",
        "dp_lane::wall::Wall::wish",
    ),
    (
        "its intent in the journal, not handed out",
        "dp_lane::engine::Engine::act",
    ),
    (
        "written by the machine, not with the kernel",
        "<dp_transport::uring::Uring as dp_transport::Transport>::send",
    ),
    (
        "with the kernel, not noted",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_new_sent",
    ),
    (
        "noted as sent, not in the journal",
        "dp_lane::wall::Wall::order_moved",
    ),
    (
        "answered, the answer not taken",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_ack",
    ),
    (
        "reported, the report not taken",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_order",
    ),
    (
        "moved, the move not in the journal",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_change",
    ),
    (
        "filled, the fill not taken",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_fill",
    ),
    (
        "fill counted, not booked",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::book_fill",
    ),
    (
        "fill booked, not in the journal",
        "dp_lane::wall::Wall::filled",
    ),
    (
        "fill in the journal, the position not shown",
        "dp_lane::wall::Wall::show_position",
    ),
];

/// Of a quote that moves: where orders are cancelled, and where they are amended.
const CANCELS: &[(&str, &str)] = &[
    (
        "a cancel decided",
        "dp_lane::engine::wishes::<impl dp_lane::engine::Engine>::cancel",
    ),
    (
        "a cancel sent, not noted",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_cancel_sent",
    ),
];
const AMENDS: &[(&str, &str)] = &[
    (
        "an amend decided",
        "dp_lane::engine::wishes::<impl dp_lane::engine::Engine>::amend",
    ),
    (
        "an amend sent, not noted",
        "dp_lane::engine::orders::<impl dp_lane::engine::Engine>::on_amend_sent",
    ),
];

/// Steps of a login, which a lost link brings about.
const LOGIN: &[(&str, &str)] = &[
    (
        "logged in, not compared",
        "dp_lane::engine::venues::<impl dp_lane::engine::Engine>::on_logged_in",
    ),
    (
        "compared, not settled",
        "dp_lane::engine::venues::<impl dp_lane::engine::Engine>::on_reconciled",
    ),
];

fn killed_at_each_step(venue: (&'static str, &'static str), moves: &[(&str, &str)]) {
    let _turn = turn();
    let options = Options {
        venues: vec![venue],
        ..Options::default()
    };
    let mut rig = Rig::trading("steps", &options).unwrap();
    let kill_at = |rig: &mut Rig, (step, function): (&str, &str), nth: u32, fault: Option<&str>| {
        let provoke = |rig: &Rig| fault.map_or(Ok(()), |fault| rig.fault(fault));
        if let Err(error) = rig.kill_dataplane_at(function, nth, provoke) {
            panic!("{step}: {error:#}\n{}", rig.tails());
        }
        let start = Instant::now();
        rig.start_dataplane().unwrap();
        if let Err(error) = rig.wait_acks(1) {
            panic!("killed when {step}: {error:#}\n{}", rig.tails());
        }
        // Seconds where the venue does not know the order: it may come in until its validity window is over.
        println!("killed when {step}: trades again in {:?}", start.elapsed());
    };
    for (at, step) in (0..).zip(STEPS.iter().chain(moves)) {
        // Not always the first: what stands around it differs.
        kill_at(&mut rig, *step, 1 + at % 3, None);
    }
    for step in LOGIN {
        kill_at(&mut rig, *step, 1, Some("disconnect:link=private"));
    }
    // Starts that are killed in turn, wherever they are.
    for wait_ms in [5, 20, 60, 150, 300, 600] {
        rig.kill_dataplane().unwrap();
        rig.start_dataplane().unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
    }
    rig.wait_acks(2).unwrap();
    let status = rig.cli(&["status"]).unwrap();
    for venue in status["venues"].as_array().unwrap() {
        assert_eq!(venue["unknown_orders"], 0, "{venue}");
    }
    rig.ends_equal().unwrap();
}

#[test]
fn killed_at_each_step_binance() {
    killed_at_each_step(("binance", "BTCUSDT"), CANCELS);
}

#[test]
fn killed_at_each_step_okx() {
    killed_at_each_step(("okx", "BTC-USDT"), AMENDS);
}
