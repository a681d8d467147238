//! Watches, limits put in force while trading, and a file that kills: through the processes people run.

use serde_json::Value;
use tests_system::{Options, Rig, turn, wait_for};

fn risk(rig: &Rig) -> Value {
    rig.cli(&["risk"]).unwrap()
}

fn trades_on(rig: &Rig, what: &str) {
    let before = rig.counter("acks").unwrap();
    wait_for(what, || {
        (rig.counter("acks").ok()? > before + 5).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
}

#[test]
fn a_watch_halts_a_name_resumes_a_file_kills_and_all_of_it_is_on_record() {
    let _turn = turn();
    let options = Options {
        venues: vec![("binance", "BTCUSDT")],
        config: "currency = \"USDT\"\nday_loss_max = \"1000000\"\nexposure_max = \"1000000\"\n"
            .into(),
        ..Options::default()
    };
    let rig = Rig::trading("risk", &options).unwrap();
    trades_on(
        &rig,
        "money is counted, and trading goes on within its limits",
    );
    let lane = risk(&rig)["lanes"][0].clone();
    assert_eq!(lane["currency"], "USDT");
    assert_eq!(lane["is_counted"], true, "{lane}");
    assert!(lane["exposure"]["used_ppm"].as_u64().unwrap() > 0, "{lane}");

    wait_for("the market's trades and depth are shown", || {
        let market = rig.cli(&["market"]).ok()?["markets"][0].clone();
        let has = |key: &str| !market[key].is_null();
        (has("vwap") && has("bids") && has("spread")).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));

    // A millionth of one in base currency: what adds to it is refused, until there is room again.
    let in_btc = |max: &str| {
        let set = [
            "limits",
            "set",
            "--by",
            "ann",
            "--currency",
            "BTC",
            "--currency-exposure-max",
            max,
        ];
        let limits = rig.cli(&set).unwrap();
        assert_eq!(limits["currencies"][0]["asset"], "BTC", "{limits}");
    };
    in_btc("0.000001");
    wait_for("orders are refused for the currency's exposure", || {
        let rows = rig
            .sql("select rule from risk_events where kind = 'risk'")
            .ok()?;
        rows.iter()
            .any(|row| row == &["currency_exposure"])
            .then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    in_btc("0");
    trades_on(&rig, "trading with room again");

    // A basis point: whatever moves at all trips it.
    let watch = |bps: &str| {
        let set = ["limits", "set", "--by", "ann", "--move-bps-max", bps];
        assert_eq!(rig.cli(&set).unwrap()["who"], "ann");
    };
    watch("1");
    wait_for("the instrument is halted, and its orders are gone", || {
        let is_halted = risk(&rig)["halts"][0]["rule"] == "market_move";
        (is_halted && rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    watch("0");
    let resume = [
        "resume", "binance", "BTCUSDT", "--by", "ann", "--wait-s", "30",
    ];
    assert_eq!(rig.cli(&resume).unwrap()["outcome"], "done");
    trades_on(&rig, "trading after the halt");

    let file = rig.dir().join("state/kill");
    std::fs::write(&file, "the desk called\n").unwrap();
    let kill = wait_for("the file kills", || {
        let kill = rig.cli(&["status"]).ok()?["kill"].clone();
        (kill["is_killed"] == true).then_some(kill)
    });
    let kill = kill.unwrap();
    assert_eq!(
        (&kill["by"], &kill["reason"]),
        (&"file".into(), &"the desk called".into())
    );
    let refused = rig.cli(&["arm", "--by", "ann"]).unwrap();
    assert_eq!(
        refused["outcome"], "refused",
        "while the file is there: {refused}"
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(rig.cli(&["arm", "--by", "ann"]).unwrap()["outcome"], "done");
    trades_on(&rig, "trading after the kill");

    assert_eq!(
        rig.cli(&["reconcile", "binance", "--wait-s", "30"])
            .unwrap()["outcome"],
        "done"
    );
    let positions = rig.cli(&["positions"]).unwrap();
    let whole = positions["strategies"].as_array().unwrap();
    assert!(
        whole.iter().all(|part| part["strategy"] == 0),
        "{positions}"
    );
    wait_for("the record is in the database", || {
        let rows = rig
            .sql("select kind, coalesce(rule, ''), coalesce(who, '') from risk_events")
            .ok()?;
        let has =
            |kind: &str, rule: &str, who: &str| rows.iter().any(|row| row == &[kind, rule, who]);
        let is_whole = has("risk", "market_move", "")
            && has("halt", "market_move", "")
            && has("resume", "market_move", "ann")
            && has("switch", "kill", "file")
            && has("limits", "currency_exposure_max", "ann")
            && has("limits", "move_bps_max", "ann")
            && has("limits", "day_loss_max", "configuration");
        is_whole.then_some(())
    })
    .unwrap();
    rig.ends_equal().unwrap();
}

/// Money goes from the account and no fill says so: flagged, halted, told, and only a named person goes on.
#[test]
fn a_balance_no_fill_explains_halts_its_venue_and_a_comparison_says_what_it_found() {
    let _turn = turn();
    let options = Options {
        venues: vec![("binance", "BTCUSDT")],
        config: "balance_tolerance = { USDT = \"1\", BTC = \"0.0001\" }\n".into(),
        ..Options::default()
    };
    let rig = Rig::trading("balance", &options).unwrap();
    trades_on(&rig, "trading, and fills are no difference");
    let balances = || rig.cli(&["balances"]).unwrap()["balances"].clone();
    let compared = wait_for("both assets are compared and agree", || {
        let all = balances();
        let is_so = |it: &&Value| it["is_compared"] == true && it["ours"].is_string();
        (all.as_array()?.iter().filter(is_so).count() == 2).then_some(all)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    let usdt = |all: &Value| {
        let all = all.as_array().unwrap();
        all.iter().find(|it| it["asset"] == "USDT").unwrap().clone()
    };
    assert_eq!(usdt(&compared)["tolerance"], "1.00");
    let reconcile = ["reconcile", "binance", "--by", "ann", "--wait-s", "30"];
    let agreed = rig.cli(&reconcile).unwrap();
    assert_eq!(agreed["outcome"], "done", "{agreed}");
    assert_eq!(agreed["report"]["balances_corrected"], 0, "{agreed}");

    rig.fault("withdraw:ppm=100000").unwrap();
    let found = rig.cli(&reconcile).unwrap();
    assert_eq!(found["is_halted"], true, "{found}");
    assert_eq!(found["report"]["balances_differed"], 2, "{found}");
    assert_eq!(risk(&rig)["halts"][0]["rule"], "balance_mismatch");
    assert_eq!(usdt(&balances())["differs"], true);
    wait_for("its orders are gone", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    let resume = ["resume", "binance", "--by", "ann", "--wait-s", "30"];
    assert_eq!(rig.cli(&resume).unwrap()["outcome"], "done");
    let usdt = usdt(&balances());
    assert_eq!(
        (&usdt["differs"], &usdt["is_compared"]),
        (&false.into(), &true.into())
    );
    trades_on(&rig, "trading after the halt");
    wait_for("the record is in the database", || {
        let rows = rig
            .sql("select kind, coalesce(rule, ''), coalesce(who, '') from risk_events")
            .ok()?;
        let has =
            |kind: &str, rule: &str, who: &str| rows.iter().any(|row| row == &[kind, rule, who]);
        let made = rig
            .sql("select cause from reconciliations where balances_differed = 2")
            .ok()?;
        let is_whole = has("halt", "balance_mismatch", "")
            && has("resume", "balance_mismatch", "ann")
            && has("balance", "differs", "")
            && has("balance", "taken", "")
            && !made.is_empty();
        is_whole.then_some(())
    })
    .unwrap();
    rig.ends_equal().unwrap();
}
