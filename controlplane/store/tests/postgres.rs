//! The store against a real PostgreSQL: its life, its schema, and the drain under crashes.
//!
//! Needs PostgreSQL's programs; without them each test says so and passes, unless `REQUIRE=postgres`.

mod performance;
mod rig;

use cp_store::{Cluster, ClusterError, Drain, Names, Query, Source, StoreError, migrate};
use dp_shm::Lock;
use dp_types::LaneId;
use rig::*;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

macro_rules! need_postgres {
    () => {
        if !has_postgres() {
            return;
        }
    };
}

#[tokio::test]
async fn a_cluster_survives_us_and_its_own_death() {
    need_postgres!();
    let dir = open_dir();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    assert!(!cluster.is_adopted());
    let pid = cluster.pid().unwrap();
    if nix::unistd::geteuid().is_root() {
        assert_ne!(uid_of(pid), 0, "the server must not run as root");
    }
    let client = client(&cluster.dsn()).await;
    assert_eq!(text(&client, "show listen_addresses").await, "");
    assert_eq!(text(&client, "show fsync").await, "on");
    drop(client);

    let second = Cluster::start(dir.path()).await;
    assert!(matches!(second, Err(ClusterError::Held(_))), "{second:?}");

    // The control plane is gone, the server is not: the next control plane takes it up.
    drop(cluster);
    let mut cluster = Cluster::start(dir.path()).await.unwrap();
    assert!(cluster.is_adopted());
    assert_eq!(cluster.pid(), Some(pid));

    // The server is gone, its lock file is not.
    kill_9(pid);
    cluster.ensure().await.unwrap();
    let pid_after = cluster.pid().unwrap();
    assert_ne!(pid_after, pid);
    cluster.ensure().await.unwrap();
    assert_eq!(
        cluster.pid(),
        Some(pid_after),
        "ensuring twice changes nothing"
    );

    cluster.stop().await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid_after}")).exists());
    let again = Cluster::start(dir.path()).await.unwrap();
    assert!(!again.is_adopted());
    let socket = again.dsn().split([' ', '=']).nth(1).unwrap().to_owned();
    let data = again.data_dir();
    again.stop().await.unwrap();

    // Killed while it made its lock files: PostgreSQL itself would refuse to start for ever.
    std::fs::write(data.join("postmaster.pid"), "").unwrap();
    std::fs::write(format!("{socket}/.s.PGSQL.5432.lock"), "").unwrap();
    let again = Cluster::start(dir.path()).await.unwrap();
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_or_closed_state_dir_is_no_obstacle() {
    need_postgres!();
    // 0700 and, where we are root, not the server user's: the data must go elsewhere.
    let dir = dir_of_mode(0o700);
    let state_dir = dir.path().join("x".repeat(120));
    let cluster = Cluster::start(&state_dir).await.unwrap();
    let base = cluster.data_dir().parent().unwrap().to_owned();
    assert!(cluster.dsn().split_whitespace().next().unwrap().len() < 107);
    let pid = cluster.pid().unwrap();
    drop(cluster);
    let cluster = Cluster::start(&state_dir).await.unwrap();
    assert_eq!(cluster.pid(), Some(pid), "found again");
    let socket = cluster.dsn().split([' ', '=']).nth(1).unwrap().to_owned();
    cluster.stop().await.unwrap();
    std::fs::remove_dir_all(&base).unwrap();
    std::fs::remove_dir_all(socket).ok();
}

#[tokio::test]
async fn schema_partitions_and_owner() {
    need_postgres!();
    let dir = open_dir();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    let base = cluster.dsn();

    let mut client = database(&base, "steps").await;
    let latest = migrate::latest();
    assert_eq!(migrate::migrate(&mut client, latest).await.unwrap(), 0);
    assert_eq!(migrate::migrate(&mut client, latest).await.unwrap(), latest);
    migrate::migrate(&mut client, 0).await.unwrap();
    let left = text(
        &client,
        "select coalesce(string_agg(tablename, ','), '') from pg_tables
           where schemaname = 'public' and tablename <> 'schema_migrations'",
    );
    assert_eq!(left.await, "", "down leaves nothing behind");
    migrate::migrate(&mut client, latest).await.unwrap();
    for (table, method) in [
        ("market_data_ticks", "brin"),
        ("orders", "brin"),
        ("orders", "btree"),
        ("orders", "hash"),
        ("fills", "hash"),
        ("risk_events", "brin"),
    ] {
        let query = format!(
            "select count(*) > 0 from pg_indexes where tablename = '{table}' and indexdef like '%USING {method}%'"
        );
        assert_eq!(text(&client, &query).await, "true", "{table} {method}");
    }
    client
        .execute("update schema_migrations set fingerprint = 0", &[])
        .await
        .unwrap();
    let edited = migrate::migrate(&mut client, latest).await;
    assert!(matches!(edited, Err(StoreError::Schema(_))), "{edited:?}");

    hypertable_path(&base).await;
    hourly_partitions(&base).await;
    cluster.stop().await.unwrap();
}

/// The extension's own function takes over where it exists; a stub stands in for it here.
async fn hypertable_path(base: &str) {
    let mut client = database(base, "hyper").await;
    client
        .batch_execute(
            "create table calls (what text);
             create function create_hypertable(relation regclass, column_name name,
               chunk_time_interval interval) returns void language sql as
               $$ insert into calls values (relation || ' ' || column_name || ' ' || chunk_time_interval) $$",
        )
        .await
        .unwrap();
    migrate::migrate(&mut client, migrate::latest())
        .await
        .unwrap();
    assert_eq!(
        text(&client, "select string_agg(what, ';') from calls").await,
        "market_data_ticks at 01:00:00"
    );
}

async fn hourly_partitions(base: &str) {
    let node = Node::new(1);
    let mut lane = node.region.lane_writer(LaneId(0)).unwrap();
    let hour = now().0 / HOUR_NS;
    for back in [0, 1, 5] {
        let at = (hour - back) * HOUR_NS + 1;
        lane.ticks.push(&quote_at(at)).unwrap();
    }
    lane.ticks.push(&[u64::MAX; 8]).unwrap();
    let mut source = source(base, "partitions").await;
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain_all(&mut drain, &mut source).await;
    assert_eq!(drain.status().ticks, 3);
    assert_eq!(drain.status().ticks_bad, 1);

    let client = client(&with_database(base, "partitions")).await;
    let partitions =
        "select count(*)::text from pg_inherits where inhparent = 'market_data_ticks'::regclass";
    assert_eq!(
        text(&client, partitions).await,
        "5",
        "three hours seen, two ahead"
    );
    let plan = client
        .query(
            &format!(
                "explain select * from market_data_ticks
                   where at >= to_timestamp({}) and at < to_timestamp({})",
                hour * 3600,
                (hour + 1) * 3600
            ),
            &[],
        )
        .await
        .unwrap();
    let plan: String = plan.iter().map(|row| row.get::<_, String>(0)).collect();
    assert_eq!(plan.matches(" on market_data_ticks_").count(), 1, "{plan}");
}

#[tokio::test]
async fn draining_twice_is_draining_once() {
    need_postgres!();
    let dir = open_dir();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    let base = cluster.dsn();
    let node = Node::new(3);
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut source = source(&base, "twice").await;
    let mut writer = node.writer(0, 1);
    let mut other = node.writer(1, 1);
    for n in 0..300 {
        writer.life_of_order(n);
        other.life_of_order(n);
    }
    let mut ticks = node.ticks();
    for _ in 0..100 {
        ticks.push(&quote_at(now().0)).unwrap();
    }
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain_all(&mut drain, &mut source).await;
    let first = drain.status();
    assert_eq!(first.journal_rows_known, 0);
    assert_eq!(first.lag_records, 0);
    let client = client(&with_database(&base, "twice")).await;
    let before = picture(&client).await;
    assert_eq!(before.orders, 600);
    assert_eq!(before.fills, 200, "every third order of both lanes");
    assert_eq!(before.ticks, 100);
    // A payment of three, a third of it the strategy's, for every third order; a sum told again is no payment.
    let funding = "select string_agg(distinct concat_ws(' ', venue, strategy, trim_scale(share), trim_scale(amount)), ', ')
                     from funding";
    assert_eq!(text(&client, funding).await, "binance 0 1 -3, okx 0 1 -3");
    assert_eq!(
        text(&client, "select count(*)::text from funding").await,
        "200"
    );

    // Killed between commit and cursor: everything is told again.
    for view in node.region.lanes() {
        view.journal.set_drained(0);
        view.ticks(&guard).release(0);
    }
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain_all(&mut drain, &mut source).await;
    let second = drain.status();
    assert_eq!(
        (second.journal_rows, second.journal_rows_known),
        (0, first.journal_rows)
    );
    assert_eq!(picture(&client).await, before);

    // Half told again, together with news: states only go forward.
    for view in node.region.lanes() {
        view.journal.set_drained(view.journal.head() / 2);
    }
    writer.life_of_order(300);
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain_all(&mut drain, &mut source).await;
    let after = picture(&client).await;
    assert_eq!(after.orders, 601);
    assert_eq!(
        text(
            &client,
            "select count(*)::text from orders where state in ('PENDING', 'ACK')"
        )
        .await,
        "0"
    );

    // A run that was given an epoch already used must not pass for the earlier run.
    let impostor = Node::new(1);
    impostor.writer(0, 1).life_of_order(0);
    let impostor_guard = impostor.region.lock(Lock::Drainer).unwrap();
    let mut drain = Drain::new(&impostor.region, &impostor_guard, Names::default());
    let error = drain.step(&mut source, NODE).await.unwrap_err();
    assert!(matches!(error, StoreError::EpochReused(1, 1)), "{error}");
    assert_eq!(picture(&client).await, after);
    let error = Drain::new(&impostor.region, &impostor_guard, Names::default())
        .step(&mut source, "another")
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn kill_9_of_the_database_loses_and_doubles_nothing() {
    need_postgres!();
    let dir = open_dir();
    let mut source = Source::open("", dir.path()).await.unwrap();
    let node = Node::new(2);
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    let mut writer = node.writer(0, 1);
    let mut ticks = node.ticks();
    let mut kills = 0;
    let mut killer: Option<std::thread::JoinHandle<()>> = None;
    for round in 0..40u32 {
        for n in 0..50 {
            writer.life_of_order(round * 50 + n);
            assert!(ticks.push(&quote_at(now().0)).is_ok());
        }
        if round % 10 == 5 {
            let pid = pid_of(&source);
            // Somewhere inside the next transactions: where exactly must not matter.
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(u64::from(round) % 7));
                kill_9(pid);
            }));
            kills += 1;
        }
        drain.step(&mut source, NODE).await.unwrap();
        if let Some(killer) = killer.take() {
            killer.join().unwrap();
        }
    }
    drain_all(&mut drain, &mut source).await;
    let status = drain.status();
    assert!(status.outages >= 1, "{status:?}");
    let Source::Private(cluster) = &source else {
        unreachable!()
    };
    let client = client(&cluster.dsn()).await;
    let picture = picture(&client).await;
    assert_eq!(picture.orders, 2_000);
    assert_eq!(picture.ticks, 2_000, "{kills} kills, {status:?}");
    assert_eq!(
        status.journal_rows,
        picture.journal_rows.unsigned_abs(),
        "no row twice"
    );
    let query = Query::dsn(&cluster.dsn()).await.unwrap();
    assert!(query.orders(true, 10).await.unwrap().is_empty());
    assert_eq!(query.orders(false, 10).await.unwrap().len(), 10);
    drop((query, client));
    source.close().await.unwrap();
}

#[tokio::test]
async fn a_full_ring_drains_whole_and_says_how_fast() {
    need_postgres!();
    let dir = open_dir();
    let mut source = Source::open("", dir.path()).await.unwrap();
    let node = Node::new(2);
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut writer = node.writer(0, 1);
    let mut ticks = node.ticks();
    for n in 0..10_000 {
        writer.life_of_order(n);
    }
    for _ in 0..30_000 {
        ticks.push(&quote_at(now().0)).unwrap();
    }
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    let started = Instant::now();
    drain_all(&mut drain, &mut source).await;
    let status = drain.status();
    let rows = status.journal_rows + status.ticks;
    let rate = rows as f64 / started.elapsed().as_secs_f64();
    println!(
        "drained {rows} rows in {:?}: {rate:.0} rows/s, {status:?}",
        started.elapsed()
    );
    assert_eq!(status.ticks, 30_000);
    assert_eq!((status.lag_records, status.torn, status.lost), (0, 0, 0));
    let Source::Private(cluster) = &source else {
        panic!("a private cluster");
    };
    let told = picture(&client(&cluster.dsn()).await).await;
    assert_eq!((told.orders, told.ticks), (10_000, 30_000));
    source.close().await.unwrap();
}

async fn drain_all(drain: &mut Drain<'_>, source: &mut Source) {
    let deadline = Instant::now() + Duration::from_mins(1);
    assert!(drain.finish(source, NODE, deadline).await.unwrap());
}

/// Everything that must not change when records are told again.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    orders: i64,
    fills: i64,
    ticks: i64,
    journal_rows: i64,
    hash: String,
}

async fn picture(client: &Client) -> Picture {
    let count = async |table: &str| {
        let query = format!("select count(*) from {table}");
        client
            .query_one(&query, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
    };
    let mut journal_rows = 0;
    for table in [
        "epochs",
        "order_events",
        "fills",
        "position_history",
        "funding",
        "risk_events",
        "strategy_signals",
        "pair_results",
    ] {
        journal_rows += count(table).await;
    }
    let hash = "select md5(string_agg(o::text, ';' order by client_order_id)) ||
                  (select md5(string_agg(f::text, ';' order by trade_id)) from fills f) ||
                  (select md5(string_agg(p::text, ';' order by venue)) from positions p) ||
                  (select md5(string_agg(p::text, ';' order by venue)) from position_funding p) from orders o";
    Picture {
        orders: count("orders").await,
        fills: count("fills").await,
        ticks: count("market_data_ticks").await,
        journal_rows,
        hash: text(client, hash).await,
    }
}

#[test]
fn a_drain_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Drain<'static>>();
}

/// SIGTERM may drop a step anywhere: inside COPY, inside the merge, with the commit on its way; SIGKILL
/// takes the drain with it.
#[tokio::test]
async fn a_step_dropped_half_way_loses_and_doubles_nothing() {
    need_postgres!();
    let dir = open_dir();
    let mut source = Source::open("", dir.path()).await.unwrap();
    let node = Node::new(2);
    let guard = node.region.lock(Lock::Drainer).unwrap();
    let mut drain = Drain::new(&node.region, &guard, Names::default());
    drain.step(&mut source, NODE).await.unwrap();
    let mut writer = node.writer(0, 1);
    let mut ticks = node.ticks();
    for round in 0..60u32 {
        for n in 0..10 {
            writer.life_of_order(round * 10 + n);
            ticks.push(&quote_at(now().0)).unwrap();
        }
        let step = drain.step(&mut source, NODE);
        let patience = Duration::from_micros(u64::from(round) * 400);
        tokio::time::timeout(patience, step).await.ok();
        if round % 3 == 0 {
            drain = Drain::new(&node.region, &guard, Names::default());
        }
    }
    drain_all(&mut drain, &mut source).await;
    let Source::Private(cluster) = &source else {
        unreachable!()
    };
    let picture = picture(&client(&cluster.dsn()).await).await;
    assert_eq!(
        (picture.orders, picture.ticks),
        (600, 600),
        "{:?}",
        drain.status()
    );
    source.close().await.unwrap();
}
