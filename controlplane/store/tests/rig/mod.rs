//! A node without a dataplane: a region and journals filled with plausible orders.

use cp_store::Source;
use dp_journal::entry::{EpochStart, Fill, Funding, OrderIntent, OrderUpdate, Position, Risk};
use dp_journal::{Durability, Entry, Journal, Tick, TickKind};
use dp_shm::twin::Words;
use dp_shm::{InstrumentEntry, Producer, Region, Shape};
use dp_types::*;
use std::time::UNIX_EPOCH;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub const NODE: &str = "test";
pub const HOUR_NS: u64 = 3_600_000_000_000;

/// Whether PostgreSQL is here; says what is skipped when not, and fails where it is required.
pub fn has_postgres() -> bool {
    let found = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut dir| dir.next().is_some());
    let require = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        found || !require.split(',').any(|it| it == "postgres"),
        "REQUIRE=postgres, and there is none in /usr/lib/postgresql"
    );
    if !found {
        println!("skipped: no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)");
    }
    found
}

/// A directory the server's user can pass through, or not.
pub fn dir_of_mode(mode: u32) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(mode);
    tempfile::Builder::new()
        .permissions(mode)
        .tempdir()
        .unwrap()
}

pub fn open_dir() -> TempDir {
    dir_of_mode(0o755)
}

pub fn now() -> UnixNanos {
    UnixNanos(UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64)
}

pub async fn client(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub fn with_database(dsn: &str, name: &str) -> String {
    dsn.replace("dbname=spinlane", &format!("dbname={name}"))
}

/// A new database in the cluster.
pub async fn database(base: &str, name: &str) -> Client {
    let admin = client(base).await;
    let text = format!("create database {name}");
    admin.batch_execute(&text).await.unwrap();
    client(&with_database(base, name)).await
}

pub async fn source(base: &str, name: &str) -> Source {
    database(base, name).await;
    let dsn = with_database(base, name);
    Source::open(&dsn, "/nowhere".as_ref()).await.unwrap()
}

/// The only value of the only row, as text.
pub async fn text(client: &Client, query: &str) -> String {
    let messages = client.simple_query(query).await.unwrap();
    messages
        .iter()
        .find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(|text| match text {
                "t" => "true".to_owned(),
                "f" => "false".to_owned(),
                other => other.to_owned(),
            }),
            _ => None,
        })
        .unwrap_or_default()
}

pub fn kill_9(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

pub fn uid_of(pid: u32) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

pub fn pid_of(source: &Source) -> u32 {
    match source {
        Source::Private(cluster) => cluster.pid().unwrap(),
        Source::Dsn(_) => unreachable!(),
    }
}

pub fn quote_at(at: u64) -> [u64; 8] {
    Tick {
        at: UnixNanos(at),
        venue_ns: VenueNanos(0),
        instrument: InstrumentId(0),
        venue: VenueId::BINANCE,
        kind: TickKind::Quote {
            bid_price: Price(6_500_000),
            bid_qty: Qty(12),
            ask_price: Price(6_500_001),
            ask_qty: Qty(0),
        },
    }
    .to_words()
}

/// A region of its own.
pub struct Node {
    pub region: Region,
    _dir: TempDir,
}

impl Node {
    pub fn new(lanes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape::new(lanes, 4, 1 << 17, 1 << 16);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        region.set_node(NODE);
        region.begin_run(Epoch(1), 1_000_000_000, now());
        for (id, venue, symbol) in [
            (0, VenueId::BINANCE, "BTCUSDT"),
            (1, VenueId::OKX, "BTC-USDT"),
        ] {
            let symbol = Text::new(symbol).unwrap();
            let entry = InstrumentEntry {
                instrument: Instrument::bare(InstrumentId(id), venue, symbol, 2, 5),
                base: Text::new("BTC").unwrap(),
                quote: Text::new("USDT").unwrap(),
            };
            region.instruments().publish(&entry).unwrap();
        }
        Self { region, _dir: dir }
    }

    pub fn writer(&self, lane: u8, epoch: u16) -> Writer<'_> {
        let parts = self.region.lane_writer(LaneId(lane)).unwrap();
        let mut journal = Journal::new(parts.journal, LaneId(lane), Epoch(epoch));
        // Told apart from every other region's first start.
        let starts = now().0 & 0xffff_ffff;
        let start = Entry::EpochStart(EpochStart { starts });
        journal.publish(now(), &start).unwrap();
        Writer {
            journal,
            lane: LaneId(lane),
            epoch: Epoch(epoch),
            clock: None,
        }
    }

    /// The tick ring of the last lane, whose journal stays empty.
    pub fn ticks(&self) -> Producer<'_, 8> {
        let last = LaneId((self.region.shape().lanes - 1) as u8);
        self.region.lane_writer(last).unwrap().ticks
    }
}

pub struct Writer<'r> {
    journal: Journal<'r>,
    lane: LaneId,
    epoch: Epoch,
    /// When what it writes happened; `None` = when it is written.
    pub clock: Option<UnixNanos>,
}

impl Writer<'_> {
    /// An order's whole life: a third are filled, a third cancelled, a third refused.
    pub fn life_of_order(&mut self, n: u32) {
        let client_id = ClientOrderId::new(self.epoch, self.lane, n + 1).unwrap();
        let (instrument, venue) = if self.lane.0 == 0 {
            (InstrumentId(0), VenueId::BINANCE)
        } else {
            (InstrumentId(1), VenueId::OKX)
        };
        let order_id = OrderId(u128::from(client_id.0) * 7);
        let (price, qty) = (Price(6_500_000 + i64::from(n)), Qty(30));
        self.put(&Entry::OrderIntent(OrderIntent {
            client_id,
            instrument,
            venue,
            strategy: StrategyId(0),
            side: if n.is_multiple_of(2) {
                Side::Buy
            } else {
                Side::Sell
            },
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price,
            qty,
            level: Durability::Published,
        }));
        let update = |state, cum, reason| {
            Entry::OrderUpdate(OrderUpdate {
                client_id,
                order_id,
                instrument,
                venue,
                state,
                reason,
                code: if reason == RejectReason::None {
                    0
                } else {
                    -2010
                },
                cum_qty: Qty(cum),
                price: Price(0),
                qty: Qty(0),
                venue_ns: VenueNanos(now().0),
            })
        };
        match n % 3 {
            0 => {
                self.put(&update(OrderState::Ack, 0, RejectReason::None));
                self.put(&update(OrderState::PartiallyFilled, 10, RejectReason::None));
                self.put(&Entry::Fill(Fill {
                    client_id: Some(client_id),
                    order_id,
                    trade_id: TradeId(u128::from(n) + 1),
                    instrument,
                    venue,
                    side: Side::Buy,
                    price,
                    qty,
                    fee: Decimal::parse(b"0.0000001").unwrap(),
                    fee_asset: AssetId::NONE,
                    liquidity: Liquidity::Maker,
                    venue_ns: VenueNanos(0),
                }));
                self.put(&Entry::Position(Position {
                    strategy: StrategyId(0),
                    instrument,
                    venue,
                    qty: Qty(30 * i64::from(n)),
                    cost: Notional(-1_234_567_890_123_456),
                    realised: Notional(1),
                    unrealised: Notional(0),
                    fees: Notional(0),
                    mark: price,
                    base_fees: 1_234,
                    fills: u64::from(n),
                }));
                let funding = Funding {
                    strategy: StrategyId(0),
                    instrument,
                    venue,
                    payment: Some(TradeId(u128::from(n) + 1)),
                    share: Notional(1_000_000_000_000),
                    sum: Notional(i128::from(n)),
                    amount: Decimal::parse(b"-3").unwrap(),
                    asset: AssetId::NONE,
                    mark: price,
                    venue_ns: VenueNanos(0),
                };
                self.put(&Entry::Funding(funding));
                self.put(&Entry::Funding(Funding {
                    payment: None,
                    ..funding
                }));
                self.put(&update(OrderState::Filled, 30, RejectReason::None));
            }
            1 => {
                self.put(&update(OrderState::Ack, 0, RejectReason::None));
                self.put(&update(OrderState::Cancelled, 0, RejectReason::None));
            }
            _ => {
                self.put(&update(
                    OrderState::Rejected,
                    0,
                    RejectReason::PostOnlyCross,
                ));
                self.put(&Entry::Risk(Risk {
                    rule: 10,
                    client_id: None,
                    instrument,
                    venue,
                    strategy: StrategyId(0),
                    observed: 31,
                    limit: 30,
                }));
            }
        }
    }

    fn put(&mut self, entry: &Entry) {
        let at = self.clock.unwrap_or_else(now);
        self.journal.publish(at, entry).unwrap();
    }
}
