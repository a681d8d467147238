//! What venues and our own gate allow, held under a strategy that wants more.

use serde_json::Value;
use tests_system::{Options, Rig, SPREAD, turn, wait_for};

/// Quotes that follow every change of the book, as fast as it changes.
const BUSY: [(&str, &str); 2] = [
    (
        "half_spread_ticks = 2\n",
        "half_spread_ticks = 1\nrequote_ticks = 0\n",
    ),
    ("[risk]\n", "[risk]\norders_per_s_max = 1000\n"),
];
/// A lively market: best prices move many times a second.
const LIVELY: [&str; 4] = ["--ticks-per-s", "400", "--moves", "300"];

/// One window of `GET /stats`: its limit, the most there was in one, and how often it refused.
#[derive(Debug)]
struct Window {
    name: String,
    limit: u64,
    highest: u64,
    refused: u64,
}

fn windows(rig: &Rig, venue: &str) -> Vec<Window> {
    let stats = rig.sim_get("/stats").unwrap();
    let limits = stats[venue]["limits"].as_array().unwrap().clone();
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap();
    limits
        .iter()
        .map(|row| Window {
            name: row["name"].as_str().unwrap().to_owned(),
            limit: number(row, "limit"),
            highest: number(row, "highest"),
            refused: number(row, "refused"),
        })
        .collect()
}

/// When each new order came to Binance, taken or refused, in the simulator's nanoseconds, in order.
fn new_orders(rig: &Rig) -> Vec<u64> {
    let record = rig.sim_get("/record").unwrap();
    let rows = |name: &str, key: &str| -> Vec<u64> {
        let rows = record["binance"][name].as_array().unwrap().iter();
        let new = rows.filter(|row| name == "orders" || row["op"] == "new");
        new.map(|row| row[key].as_u64().unwrap()).collect()
    };
    let mut times = rows("orders", "created_ns");
    times.extend(rows("refused", "at_ns"));
    times.sort_unstable();
    times
}

/// A node whose strategies want more than venues allow. No window holds more than `percent` of its limit, and what
/// binds is used.
fn stays_within(percent: u64, name: &str, options: Options) {
    // A comparison with the venue costs 120: a spread node's gateway must hold it beside its orders.
    let weight = if percent < 100 { "2400" } else { "600" };
    let limits = ["--orders-per-10s", "30", "--weight-per-minute", weight];
    let sim_args = LIVELY.iter().chain(&limits);
    let options = Options {
        sim_args: sim_args.map(|arg| (*arg).to_owned()).collect(),
        edits: options.edits.into_iter().chain(BUSY).collect(),
        ..options
    };
    let mut rig = Rig::new(name, &options).unwrap();
    rig.start_dataplane().unwrap();
    rig.start_control().unwrap();
    wait_for("requests are held back by our own count", || {
        (rig.counter("rate_refusals").ok()? > 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    wait_for("orders come near our part of OKX's limit", || {
        let all = windows(&rig, "okx");
        let orders = all.iter().find(|one| one.name == "new BTC-USDT")?;
        (orders.highest * 200 > orders.limit * percent).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", windows(&rig, "okx")));
    wait_for("Binance's window has passed three times", || {
        (new_orders(&rig).len() as u64 * 100 > 90 * percent).then_some(())
    })
    .unwrap();
    for venue in ["binance", "okx"] {
        for window in windows(&rig, venue) {
            println!(
                "{venue} {}: {} of {}",
                window.name, window.highest, window.limit
            );
            assert_eq!(window.refused, 0, "{venue} {window:?}");
            // Of a limit of one there is no part.
            let most = (window.limit * percent / 100).max(1);
            assert!(window.highest <= most, "{venue} {window:?}");
        }
    }
    // The venue gives back what a fill used; ours must hold without that.
    let times = new_orders(&rig);
    let most = times.iter().enumerate().map(|(at, first)| {
        let span = times[at..].iter();
        span.take_while(|time| **time - first < 10_000_000_000)
            .count()
    });
    let most = most.max().unwrap() as u64;
    println!("binance: at most {most} new orders in any 10 s");
    let ours = 30 * percent / 100;
    assert!((ours / 2..=ours).contains(&most), "{most} orders in 10 s");
    rig.ends_equal().unwrap();
}

/// VC-13: whatever the strategy wants, no window of a venue holds more than its limit, and what binds is used.
#[test]
fn no_rate_window_of_a_venue_is_overrun() {
    let _turn = turn();
    stays_within(100, "limits", Options::default());
}

/// A node with half of the limits, whose feeds and gateway share that half, leaves the other half alone.
#[test]
fn a_spread_node_with_half_of_the_limits_uses_no_more_than_half() {
    let _turn = turn();
    let half = (
        "order_window_ms = 5000\n",
        "order_window_ms = 5000\nbudget_pct = 50\n",
    );
    let options = Options {
        lanes: SPREAD.to_owned(),
        edits: vec![half],
        ..Options::default()
    };
    stays_within(50, "limitsspread", options);
}

/// A banned address asks for nothing, not even a connection, until the ban is over: asking makes it longer.
#[test]
fn a_banned_address_is_silent_until_the_ban_ends() {
    let _turn = turn();
    let options = Options {
        venues: vec![("binance", "BTCUSDT")],
        ..Options::default()
    };
    let rig = Rig::trading("ban", &options).unwrap();
    let stat = |path| rig.stat("binance", path).unwrap();
    rig.fault("ban:for=8s:venue=binance").unwrap();
    wait_for("we are told", || (stat("/while_banned") > 0).then_some(())).unwrap();
    // What was on the wire when the answer came is counted too; from here nothing may be added.
    wait_for("the ban has run a second", || {
        (stat("/banned_ms") < 7_000).then_some(())
    })
    .unwrap();
    let (told, accepted) = (stat("/while_banned"), stat("/accepted"));
    // Every stream is cut, so that each wants to be opened again.
    rig.fault("disconnect:link=all:venue=binance").unwrap();
    // The REST connection, over which nothing is asked, may stay.
    wait_for("the streams are gone", || {
        (stat("/sockets") <= 1).then_some(())
    })
    .unwrap();
    wait_for("the ban is nearly over", || {
        (stat("/banned_ms") < 500).then_some(())
    })
    .unwrap();
    println!("{told} requests until we knew");
    assert!(
        stat("/banned_ms") > 0,
        "the machine slept over the end of the ban"
    );
    assert_eq!((stat("/while_banned"), stat("/accepted")), (told, accepted));
    rig.wait_acks(3).unwrap();
    assert_eq!(stat("/while_banned"), told);
    rig.ends_equal().unwrap();
}

/// A strategy that may hold more than the risk section allows: what goes beyond never reaches the venue, and
/// the refusal is on record with what it would have been and what is allowed.
#[test]
fn an_order_beyond_the_limit_stays_here_and_is_on_record() {
    let _turn = turn();
    let options = Options {
        edits: vec![
            ("quote_qty = \"0.01\"", "quote_qty = \"0.06\""),
            ("position_max = \"0.1\"", "position_max = \"5\""),
        ],
        ..Options::default()
    };
    let mut rig = Rig::new("risk", &options).unwrap();
    rig.start_dataplane().unwrap();
    rig.start_control().unwrap();
    for venue in ["binance", "okx"] {
        wait_for("the gate refuses", || {
            (rig.counter_at(venue, "risk_refusals").ok()? > 2).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    }
    let rows = wait_for("the refusals are in the database", || {
        let rows = rig.sql(
            "select venue, rule, observed::float8, allowed::float8 from risk_events
              where kind = 'risk' order by at",
        );
        rows.ok().filter(|rows| {
            let has = |venue: &str| rows.iter().any(|row| row[0] == venue);
            has("binance") && has("okx")
        })
    })
    .unwrap_or_else(|error| {
        panic!("{error}: {:?}", rig.sql("select * from risk_events"));
    });
    println!("{:?}", rows[0]);
    for row in &rows {
        assert_eq!(
            (row[2].as_str(), row[3].as_str()),
            ("0.06", "0.05"),
            "{row:?}"
        );
    }
    let record = rig.record().unwrap();
    assert_eq!((record.new_requests, record.orders.len()), (0, 0));
    rig.ends_equal().unwrap();
}
