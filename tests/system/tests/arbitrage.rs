//! Arbitrage over three venues in one lane, each leg failing in each way it can: what one leg got more than the other is
//! found and hedged, whichever venue it was, and the books of all of them agree at the end.

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests_system::money::pico;
use tests_system::{Options, Rig, turn, wait_for};

const VENUES: [(&str, &str); 3] = [
    ("binance", "BTCUSDT"),
    ("okx", "BTC-USDT"),
    ("bybit", "BTCUSDT"),
];
/// What befalls an order of a leg; whether the venue did what it was asked all the same.
const LEG_FAULTS: [&str; 8] = [
    "reject",
    "timeout:executed=true",
    "timeout:executed=false",
    "lost-ack",
    "slow-ack:ms=700",
    "reply-after-stream",
    "stream-after-reply:ms=300",
    "duplicate-fill",
];
/// How far a venue's prices jump so that a pair pays.
const JUMP_PPM: i32 = 600;
/// Less than this no venue takes as an order: five quote units' worth, and what fees in the base asset leave.
const BOUND: i128 = 200_000_000;

fn strategy() -> String {
    let legs: Vec<String> = VENUES
        .iter()
        .map(|(venue, symbol)| format!("{{ venue = \"{venue}\", symbol = \"{symbol}\" }}"))
        .collect();
    format!(
        "[[strategy]]\nkind = \"arbitrage\"\nlegs = [{}]\norder_qty = \"0.005\"\nposition_max = \"4\"\n\
         edge_ppm = 0\nfee_ppm = 0\nfee_ppm_2 = 0\nfee_ppm_3 = 0\nhedge_ppm = 1000\npause_ms = 100\n\n",
        legs.join(", ")
    )
}

/// The rig's configuration with the arbitrage in the place of its strategies.
fn with_arbitrage(config: &str) -> String {
    let mut blocks: Vec<&str> = config.split("\n\n").collect();
    blocks.retain(|block| !block.trim_start().starts_with("[[strategy]]"));
    let text = strategy();
    let at = blocks
        .iter()
        .position(|block| block.trim_start().starts_with("[risk]"));
    blocks.insert(at.expect("limits"), text.trim_end());
    blocks.join("\n\n")
}

fn trading() -> Rig {
    let options = Options {
        venues: VENUES.to_vec(),
        lanes: "[[lane]]\nvenues = [\"binance\", \"okx\", \"bybit\"]\nidle = \"park\"\n\n".into(),
        sim_args: ["--ticks-per-s", "60"].map(String::from).to_vec(),
        // Prices stand apart for minutes: what is bought here and sold there adds up.
        edits: vec![("\"0.5\"", "\"5\"")],
        ..Options::default()
    };
    let mut rig = Rig::new("arbitrage", &options).unwrap();
    let config = std::fs::read_to_string(rig.config()).unwrap();
    std::fs::write(rig.config(), with_arbitrage(&config)).unwrap();
    rig.start_dataplane().unwrap();
    rig.start_control().unwrap();
    rig
}

/// What is held of the base asset at each venue, 10^-12.
fn held(rig: &Rig) -> Option<BTreeMap<String, i128>> {
    let told = rig.cli(&["positions"]).ok()?;
    let lines = told["positions"].as_array()?.clone();
    let one = |line: &Value| {
        let held = pico(&line["qty"]) - pico(&line["base_fees"]);
        (line["venue"].as_str().unwrap().to_owned(), held)
    };
    Some(lines.iter().map(one).collect())
}

/// Until nothing is unhedged that a venue would take, no order is open and none unknown.
fn is_hedged(rig: &Rig, after: &str) -> Duration {
    let start = Instant::now();
    let mut last = String::new();
    let done = wait_for("hedged", || {
        let held = held(rig)?;
        let open = rig.open_at_venue().ok()?;
        last = format!("{held:?}, {open} open");
        (held.values().sum::<i128>().abs() < BOUND && open == 0).then_some(())
    });
    if let Err(error) = done {
        panic!("after {after}: {error}: {last}\n{}", rig.tails());
    }
    start.elapsed()
}

fn used(rig: &Rig, venue: &str, fault: &str) -> u64 {
    let kind = fault.split(':').next().unwrap();
    rig.stat(venue, &format!("/faults/{kind}")).unwrap_or(0)
}

/// Gives a fault to a venue, makes that venue dear or cheap so that a leg of the next pair is there, and waits until the
/// fault has befallen it.
fn befalls(rig: &Rig, (venue, ppm): (&str, i32), fault: &str) {
    let before = used(rig, venue, fault);
    rig.fault(&format!("{fault}:venue={venue}")).unwrap();
    rig.fault(&format!("jump:ppm={ppm}:venue={venue}")).unwrap();
    let done = wait_for("the fault befalls a leg", || {
        (used(rig, venue, fault) > before).then_some(())
    });
    if let Err(error) = done {
        let held = held(rig);
        panic!("{fault} at {venue}: {error}: {held:?}\n{}", rig.tails());
    }
}

/// Every pair that is counted is a row, and its result what its prices and fees come to.
fn pairs_are_on_record(rig: &Rig) {
    let told = rig.cli(&["strategies"]).unwrap();
    let pairs = told["strategies"][0]["pairs"].as_u64().unwrap();
    assert!(pairs > 0, "{told:#}");
    let rows = |more: &str| -> Option<u64> {
        let of = format!("select count(*) from pair_results where qty > 0 {more}");
        rig.sql(&of).ok()?.first()?.first()?.parse().ok()
    };
    wait_for("a row of each pair", || (rows("")? >= pairs).then_some(()))
        .unwrap_or_else(|error| panic!("{error}: {pairs} pairs\n{}", rig.tails()));
    // Averages are rounded down, 10^-12.
    let wrong = "and abs(net - (qty * (sold_at - bought_at) - fees)) > 0.000000001";
    assert_eq!(rows(wrong), Some(0));
}

#[test]
fn arbitrage_over_three_venues_ends_hedged_whichever_leg_fails() {
    let _turn = turn();
    let rig = trading();
    let pairs = || rig.counter("acks").ok();
    wait_for("pairs at all venues", || {
        let told = rig.cli(&["positions"]).ok()?;
        let lines = told["positions"].as_array()?;
        let all = lines.len() == 3 && lines.iter().all(|line| line["fills"].as_u64() > Some(2));
        all.then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    is_hedged(&rig, "the first pairs");
    pairs_are_on_record(&rig);
    for (round, fault) in LEG_FAULTS.iter().enumerate() {
        for (venue, _) in VENUES {
            let before = pairs().unwrap();
            // Up and down in turn, so that each side of a pair meets each fault.
            let ppm = if round % 2 == 0 { JUMP_PPM } else { -JUMP_PPM };
            befalls(&rig, (venue, ppm), fault);
            let took = is_hedged(&rig, &format!("{fault} at {venue}"));
            println!("{fault} at {venue}: hedged again within {took:?}");
            wait_for("it goes on", || (pairs()? > before).then_some(()))
                .unwrap_or_else(|error| panic!("{fault} at {venue}: {error}\n{}", rig.tails()));
        }
    }
    // A venue that is gone for a while, with an order of the pair under way or not.
    for (venue, _) in VENUES {
        rig.fault(&format!("disconnect:link=private:venue={venue}"))
            .unwrap();
        is_hedged(&rig, &format!("{venue} is cut off"));
    }
    let told = rig.cli(&["positions"]).unwrap();
    println!("{:#}", told["pnl"]);
    pairs_are_on_record(&rig);
    rig.ends_equal().unwrap();
}
