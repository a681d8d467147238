//! Backtests of recordings made up here, with what they must come to by hand, and of real ones where they are.

mod rig;

use dp_backtest::{Args, InstrumentReport, Options, Report};
use dp_types::VenueId;
use rig::{Binance, MS, Rig, START, go, okx_book};
use std::path::PathBuf;

const BID_ONCE: &str =
    "[[strategy]]\nkind = \"bid_once\"\nvenue = \"binance\"\nsymbol = \"BTCUSDT\"\nqty = \"1\"";
const MAKER: &str = "[[strategy]]\nkind = \"market_maker\"\nvenue = \"binance\"\nsymbol = \"BTCUSDT\"\n\
    quote_qty = \"0.1\"\nposition_max = \"0.5\"\nhalf_spread_ticks = 2\nrequote_ticks = 1\nrequote_ms_min = 50";

fn first(report: &Report) -> &InstrumentReport {
    &report.strategies[0].instruments[0]
}

/// A bid of 1 joins 2 at 100.0. 2 and then 0.4 are sold there, then the market goes through it; the mid ends at 98.0.
fn joined() -> Binance {
    let mut tape = Binance::open("ws1", &[("100.0", "2")], &[("101.0", "5")]);
    // Wished for at 1 ms, there on the book that is heard at 4 ms: this trade came before it.
    tape.trade(3, true, "100.0", "1.5");
    tape.depth(3, &[("100.0", "2")], &[]);
    tape.depth(10, &[("99.0", "4")], &[]);
    tape.trade(40, true, "100.0", "2");
    tape.trade(41, true, "100.0", "0.4");
    tape.depth(1_000, &[("100.0", "0")], &[]);
    tape.trade(1_500, true, "99.0", "1");
    tape.depth(1_500, &[], &[("101.0", "0"), ("97.0", "0"), ("99.5", "1")]);
    tape.depth(3_000, &[("99.0", "0"), ("97.5", "1")], &[("98.5", "1")]);
    tape.depth(4_000, &[], &[("98.6", "1")]);
    tape
}

#[test]
fn a_resting_order_waits_its_turn_and_the_books_balance() {
    let rig = Rig::new();
    let path = rig.write("binance.jsonl.gz", &joined().records);
    let report = go(&rig.options(BID_ONCE, &[(VenueId::BINANCE, &path)]));
    assert_eq!(
        (report.decode_errors, report.gaps, report.lost_records),
        (0, 0, 0)
    );
    let it = first(&report);
    assert_eq!(
        (it.orders, it.orders_filled, it.fills, it.fills_maker),
        (1, 1, 2, 2)
    );
    let fills: Vec<_> = it
        .fills_shown
        .iter()
        .map(|fill| {
            (
                (fill.at_ns - START) / MS,
                fill.price.as_str(),
                fill.qty.as_str(),
            )
        })
        .collect();
    // Heard with the trades, and an answer's 3 ms less the feed's 1 ms later.
    let (price, got) = ("100.00000000", ["0.40000000", "0.60000000"]);
    assert_eq!(fills, [(43, price, got[0]), (1_502, price, got[1])]);
    // 100 at 100 ppm; bought at 100, the mid is 98.0.
    let money = [
        &it.volume,
        &it.fees,
        &it.realised,
        &it.unrealised,
        &it.pnl,
        &it.drawdown_max,
    ];
    // At its best 0.4 were worth 0.2 more than they cost, less 0.004.
    assert_eq!(money, ["100.00", "0.01", "0.00", "-2.00", "-2.01", "2.206"]);
    assert_eq!(it.position, "1.00000000");
    // 0.4 at 43 ms: the mid is 100.5 after 100 ms and 100 after 1 s; 0.6 at 1502 ms: 99.25 after both.
    let markout = |at: usize| (it.markouts[at].fills, it.markouts[at].gain.as_str());
    assert_eq!(markout(0), (2, "-0.25"));
    assert_eq!(markout(1), (2, "-0.45"));
    assert_eq!(markout(2), (0, "0.00"));
}

#[test]
fn several_connections_that_say_the_same_are_one_market() {
    let rig = Rig::new();
    let one = joined();
    let mut records = one.records.clone();
    for mut copy in one.records {
        if copy.conn == "ws1" {
            copy.conn = "ws2".into();
            records.push(copy);
        }
    }
    records.sort_by_key(|record| record.ts);
    let path = rig.write("binance.jsonl", &records);
    let report = go(&rig.options(BID_ONCE, &[(VenueId::BINANCE, &path)]));
    let it = first(&report);
    assert_eq!((report.gaps, it.fills, it.pnl.as_str()), (0, 2, "-2.01"));
}

/// 70 bids in 1.4 s: Binance takes 50 orders in 10 s, OKX 60 in 2 s. The numbers are those the venues' sessions go by.
#[test]
fn what_a_live_session_would_hold_back_is_held_back_here() {
    let rig = Rig::new();
    let mut binance = Binance::open("ws1", &[("100.0", "2")], &[("101.0", "2")]);
    for step in 1..70 {
        binance.depth(step * 20, &[("99.0", "4")], &[]);
    }
    let okx = (0..70).map(|step| {
        let ms = 5 + step * 20;
        okx_book(ms, step as i64 + 1, &[("100.0", "2")], &[("101.0", "2")])
    });
    let binance = rig.write("a.jsonl", &binance.records);
    let okx = rig.write("b.jsonl", &okx.collect::<Vec<_>>());
    for (venue, symbol, path, sent) in [
        (VenueId::BINANCE, "BTCUSDT", &binance, 50),
        (VenueId::OKX, "BTC-USDT", &okx, 60),
    ] {
        let strategy = format!(
            "[[strategy]]\nkind = \"bid_on\"\nvenue = \"{venue}\"\nsymbol = \"{symbol}\"\nqty = \"0.001\""
        );
        let report = go(&rig.options(&strategy, &[(venue, path)]));
        let it = first(&report);
        let held_back = it.orders - sent;
        assert_eq!((it.orders, held_back), (70, 70 - sent), "{venue}");
        assert_eq!((it.rejects, it.rate_rejects), (held_back, held_back));
        assert_eq!(report.rate_refusals, held_back);
    }
}

/// Ten seconds of a market that walks, the same on every machine.
fn walk() -> Binance {
    let mut dice = 7u64;
    let mut roll = move |sides: u64| {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let price = |tenths: u64| format!("{}.{}", tenths / 10, tenths % 10);
    let mut mid = 10_000u64;
    let (bid, ask) = (price(mid - 5), price(mid + 5));
    let mut tape = Binance::open("ws1", &[(&bid, "3")], &[(&ask, "3")]);
    let (mut bid, mut ask) = (bid, ask);
    for step in 1..2_000 {
        let ms = 5 + step * 5;
        if roll(3) == 0 {
            let is_sold = roll(2) == 0;
            let at = if is_sold { &bid } else { &ask };
            tape.trade(ms, is_sold, at, &format!("0.{}", 1 + roll(9)));
            continue;
        }
        mid = mid + roll(5) - 2;
        let (low, high) = (price(mid - 5), price(mid + 5));
        let qty = format!("{}", 1 + roll(5));
        let mut bids = vec![(low.as_str(), qty.as_str())];
        let mut asks = vec![(high.as_str(), qty.as_str())];
        if low != bid {
            bids.push((&bid, "0"));
        }
        if high != ask {
            asks.push((&ask, "0"));
        }
        tape.depth(ms, &bids, &asks);
        (bid, ask) = (low, high);
    }
    tape
}

/// Committed: a build of another kind, on another machine, comes to the same.
#[test]
fn the_same_inputs_come_to_the_same_orders_and_fills() {
    let rig = Rig::new();
    let path = rig.write("binance.jsonl", &walk().records);
    let options = rig.options(MAKER, &[(VenueId::BINANCE, &path)]);
    let (one, two) = (go(&options), go(&options));
    assert_eq!(one.digest, two.digest);
    let it = first(&one);
    assert!(
        it.orders > 100 && it.fills > 10,
        "{} orders, {} fills",
        it.orders,
        it.fills
    );
    assert_eq!(one.gaps, 0);
    assert_eq!(
        one.digest,
        "673271082b278832af065d326d5bad51f4ce8c715d5e355c29b2e2489a76e7b1"
    );
    let mut slower = options.clone();
    slower.config.paper.order_us += 1;
    assert_ne!(go(&slower).digest, one.digest);
}

#[test]
fn recordings_are_run_again_without_a_gap() {
    let rig = Rig::new();
    let path = rig.write("binance.jsonl", &walk().records);
    let mut options = rig.options(MAKER, &[(VenueId::BINANCE, &path)]);
    let once = go(&options);
    options.repeat = 3;
    let thrice = go(&options);
    assert_eq!((thrice.messages, thrice.gaps), (once.messages * 3, 0));
    assert!(first(&thrice).orders > first(&once).orders * 2);
    assert!(first(&thrice).equity.len() <= 2_000);
}

/// Two venues in two files: OKX bids 103 while Binance offers 101; then both are at 100 and 101.
#[test]
fn two_recordings_are_one_market_for_an_arbitrage() {
    let rig = Rig::new();
    let mut binance = Binance::open("ws1", &[("100.0", "2")], &[("101.0", "2")]);
    for step in 1..100 {
        binance.depth(step * 20, &[("99.0", "4")], &[]);
    }
    let okx: Vec<_> = (0..100)
        .map(|step| {
            let (bid, ask) = match step {
                0..50 => ("100.5", "104.0"),
                50..90 => ("103.0", "104.0"),
                _ => ("100.0", "101.0"),
            };
            okx_book(5 + step * 20, step as i64 + 1, &[(bid, "2")], &[(ask, "2")])
        })
        .collect();
    let paths = [
        rig.write("a.jsonl", &binance.records),
        rig.write("b.jsonl.gz", &okx),
    ];
    let strategy = "[[strategy]]\nkind = \"arbitrage\"\nname = \"arb\"\norder_qty = \"0.5\"\nposition_max = \"1\"\nlegs = [{ venue = \"binance\", symbol = \"BTCUSDT\" }, { venue = \"okx\", symbol = \"BTC-USDT\" }]";
    let report = go(&rig.options(
        strategy,
        &[(VenueId::BINANCE, &paths[0]), (VenueId::OKX, &paths[1])],
    ));
    let strategy = &report.strategies[0];
    let [one, two] = strategy.instruments.as_slice() else {
        panic!("two legs");
    };
    assert!(
        one.fills > 0 && two.fills > 0,
        "{} {}",
        one.fills,
        two.fills
    );
    assert_eq!(one.position, two.position.trim_start_matches('-'), "hedged");
    assert!(two.position.starts_with('-'));
    assert!(
        one.fills_shown[0].at_ns > START + 1_000 * MS,
        "not before it was crossed"
    );
    let total = strategy.total.as_ref().unwrap();
    // 1 bought at 101 for 0.0404 and sold at 103.
    assert_eq!(
        (one.position.as_str(), total.pnl.as_str()),
        ("1.00000000", "1.9596")
    );
}

/// Delays as a node measured them: drawn by the seed.
#[test]
fn measured_delays_are_drawn_by_the_seed() {
    let rig = Rig::new();
    let path = rig.write("binance.jsonl", &walk().records);
    let measured = rig.keep(
        "latency.json",
        r#"{"outcome":"done","all":[{"stage":"order_to_ack","count":9,"p50_ns":2000000,"p99_ns":9000000,
            "p999_ns":20000000,"max_ns":30000000}]}"#,
    );
    let args = |seed| Args {
        config: rig.keep("node.toml", &rig::config(MAKER)),
        strategies: Vec::new(),
        feed_us: Some(0),
        order_us: None,
        answer_us: None,
        latency: Some(measured.clone()),
        queue: None,
        seed: Some(seed),
        repeat: 1,
        files: vec![format!("binance={}", path.display())],
    };
    let digest = |seed| go(&Options::of(&args(seed)).unwrap()).digest;
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn what_cannot_be_is_refused_with_the_mend() {
    let rig = Rig::new();
    let path = rig.write("binance.jsonl", &walk().records);
    let mut options = rig.options(MAKER, &[(VenueId::BINANCE, &path)]);
    options.config.paper.instrument.clear();
    let error = dp_backtest::run(&options, &dp_strategy::SHIPPED).unwrap_err();
    assert!(
        error.is_usage() && error.to_string().contains("[[paper.instrument]]"),
        "{error}"
    );
    let timeless = dp_capture::Record {
        raw: Some("{}".into()),
        ..Default::default()
    };
    let path = rig.write("timeless.jsonl", &[timeless]);
    let options = rig.options(MAKER, &[(VenueId::BINANCE, &path)]);
    let error = dp_backtest::run(&options, &dp_strategy::SHIPPED).unwrap_err();
    assert!(error.to_string().contains("no receive times"), "{error}");
}

/// A real session of BTCUSDT: no gap, nothing unread, and P&L that is what fills and fees make it.
#[test]
fn a_real_recording_is_read_whole() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let path = PathBuf::from(root).join("binance/spot-btcusdt-20240808.jsonl.gz");
    if !path.is_file() {
        let require = std::env::var("REQUIRE").unwrap_or_default();
        assert!(
            !require.contains("captures"),
            "REQUIRE has captures, and they are not there"
        );
        println!("SKIPPED: {} is not there", path.display());
        return;
    }
    let args = Args {
        config: concat!(env!("CARGO_MANIFEST_DIR"), "/example.toml").into(),
        strategies: vec!["maker".into()],
        feed_us: None,
        order_us: Some(250),
        answer_us: None,
        latency: None,
        queue: Some("behind".into()),
        seed: None,
        repeat: 1,
        files: vec![path.display().to_string()],
    };
    let options = Options::of(&args).unwrap();
    let report = go(&options);
    let settings = &report.settings;
    assert_eq!(
        (settings.queue, settings.order_us, settings.answer_us),
        ("behind", Some(250), Some(300))
    );
    assert_eq!(settings.files[0].0, "binance", "by its directory");
    assert_eq!(
        (report.messages, report.decode_errors, report.gaps),
        (41_249, 0, 0)
    );
    let it = first(&report);
    assert!(it.fills > 10, "{}", it.fills);
    let money = |text: &str| text.parse::<f64>().unwrap();
    let sum = money(&it.realised) + money(&it.unrealised) - money(&it.fees);
    assert!((sum - money(&it.pnl)).abs() < 1e-9);
    let last = it.equity.last().unwrap();
    assert_eq!((&last.pnl, &last.position), (&it.pnl, &it.position));
}
