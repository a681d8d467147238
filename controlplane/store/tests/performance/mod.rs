//! `performance_metrics`: a row a minute, whatever restarts, with the counts of the tables and a Sharpe ratio worked out by
//! hand.

use crate::rig::*;
use cp_store::{Cluster, Drain, Names, Query, SessionView, Source};
use dp_shm::{Lock, PartState, PositionState, StrategySpec, StrategyStatus};
use dp_types::{InstrumentId, Notional, Payoff, StrategyId, Text, UnixNanos};

const ONE: i128 = 1_000_000_000_000;
/// 2026-11-22 12:00 UTC.
const NOON: u64 = 1_795_348_800_000_000_000;
const MINUTE: u64 = 60_000_000_000;
/// As in `performance`: thirty changes of 3 and 1 in turn.
const SHARPE_BY_HAND: f64 = 1_425.594_612_784;

/// A strategy that trades BTCUSDT and has made so much.
fn show(node: &Node, realised: i128) {
    let id = StrategyId(0);
    let spec = StrategySpec {
        name: Text::lossy("maker"),
        ..StrategySpec::default()
    };
    node.region.strategy_spec(id).unwrap().write(&spec);
    let status = StrategyStatus {
        is_seated: true,
        legs_count: 1,
        ..StrategyStatus::default()
    };
    node.region.strategy(id).unwrap().write(&status);
    let part = PartState {
        strategy: id,
        instrument: InstrumentId(0),
        state: PositionState {
            realised: Notional((realised + 3) * ONE),
            unrealised: Notional(-2 * ONE),
            fees: Notional(ONE),
            fills: 3,
            ..PositionState::default()
        },
    };
    node.region.lanes().next().unwrap().held[0].write(&part);
}

async fn session(query: &Query) -> SessionView {
    let mut sessions = query.performance(1).await.unwrap();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions.remove(0)
}

#[tokio::test]
async fn a_strategys_day_is_a_row_a_minute_whatever_restarts() {
    if !has_postgres() {
        return;
    }
    let dir = open_dir();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    let base = cluster.dsn();
    let mut source: Source = source(&base, "performance").await;
    let node = Node::new(2);
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut writer = node.writer(0, 1);
    // Three filled, three cancelled, three refused.
    writer.clock = Some(UnixNanos(NOON + 20_000_000_000));
    (0..9).for_each(|n| writer.life_of_order(n));
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain.measure(UnixNanos(NOON)).await.unwrap();
    while drain.step(&mut source, NODE).await.unwrap() {}
    show(&node, 0);
    for second in [1, 30, 59] {
        let now = UnixNanos(NOON + second * 1_000_000_000);
        drain.measure(now).await.unwrap();
    }
    let query = Query::dsn(&with_database(&base, "performance"))
        .await
        .unwrap();
    let first = session(&query).await;
    assert_eq!(
        (first.name.as_str(), first.currency.as_str()),
        ("maker", "USDT")
    );
    assert_eq!((first.day.as_str(), first.minutes), ("2026-11-22", 1));
    assert_eq!(
        (first.orders, first.ended, first.filled, first.fills),
        (9, 6, 3, 3)
    );
    assert_eq!(
        first.fill_rate,
        Some(0.5),
        "what was refused is not counted"
    );
    // 0.0003 of each of 65000.00, 65000.03 and 65000.06.
    assert_eq!(first.volume, "58.500027");
    assert_eq!((first.pnl.as_str(), first.day_pnl.as_str()), ("0", "0"));
    assert_eq!((first.realised.as_str(), first.fees.as_str()), ("3", "1"));
    assert_eq!(first.sharpe, None);

    let mut realised = 0;
    for minute in 1..=30 {
        realised += if minute % 2 == 1 { 3 } else { 1 };
        if minute == 17 {
            // The daemon is killed, and the one after it knows the day from the database.
            drain = Drain::new(&node.region, &guard, Names::default());
            while drain.step(&mut source, NODE).await.unwrap() {}
        }
        if minute == 20 {
            // Journaled in a minute that has passed: it counts where it was made.
            writer.clock = Some(UnixNanos(NOON + 19 * MINUTE + 59_000_000_000));
            writer.life_of_order(9);
            while drain.step(&mut source, NODE).await.unwrap() {}
        }
        show(&node, realised);
        let now = UnixNanos(NOON + minute * MINUTE + 30_000_000_000);
        drain.measure(now).await.unwrap();
        drain.measure(now).await.unwrap();
    }
    let last = session(&query).await;
    assert_eq!(last.minutes, 31);
    assert_eq!(
        (last.day_pnl.as_str(), last.drawdown_max.as_str()),
        ("60", "0")
    );
    assert_eq!((last.orders, last.ended, last.filled), (10, 7, 4));
    let sharpe = last.sharpe.unwrap();
    assert!((sharpe - SHARPE_BY_HAND).abs() < 1e-6, "{sharpe}");
    let client = client(&with_database(&base, "performance")).await;
    let row = "select count(*)::text || ' ' || coalesce(string_agg(to_char(minute at time zone 'UTC', 'HH24:MI'), ',' order by minute), '')
                 from performance_metrics where orders > 0";
    assert_eq!(text(&client, row).await, "2 12:00,12:19");

    // A fall of 12, and the next day begins where this one ended.
    show(&node, realised - 12);
    let now = UnixNanos(NOON + 31 * MINUTE);
    drain.measure(now).await.unwrap();
    let fallen = session(&query).await;
    assert_eq!(
        (fallen.day_pnl.as_str(), fallen.drawdown_max.as_str()),
        ("48", "12")
    );
    drop((query, client, drain));
    cluster.stop().await.unwrap();
}

/// 0.0003 dollars at each of 65000.00, 65000.03 and 65000.06: what they were of the coin.
#[tokio::test]
async fn the_volume_of_an_inverse_contract_is_in_its_coin() {
    if !has_postgres() {
        return;
    }
    let dir = open_dir();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    let base = cluster.dsn();
    let mut source: Source = source(&base, "inverse").await;
    let node = Node::new(2);
    let table = node.region.instruments();
    for mut entry in table.iter().collect::<Vec<_>>() {
        entry.instrument.payoff = Payoff::Inverse;
        table.publish(&entry).unwrap();
    }
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut writer = node.writer(0, 1);
    writer.clock = Some(UnixNanos(NOON + 20_000_000_000));
    (0..9).for_each(|n| writer.life_of_order(n));
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain.measure(UnixNanos(NOON)).await.unwrap();
    while drain.step(&mut source, NODE).await.unwrap() {}
    show(&node, 0);
    let minute_over = UnixNanos(NOON + 59_000_000_000);
    drain.measure(minute_over).await.unwrap();
    let query = Query::dsn(&with_database(&base, "inverse")).await.unwrap();
    let told = session(&query).await;
    assert_eq!(told.fills, 3);
    // 3 x 0.0003 / 65000.03, but for what the prices differ by.
    assert!(
        told.volume.starts_with("0.0000000138461"),
        "{}",
        told.volume
    );
}
