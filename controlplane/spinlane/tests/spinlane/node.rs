//! A node without processes.

use dp_journal::entry::{Fill, OrderIntent, OrderUpdate, Position};
use dp_journal::{Durability, Entry, Journal};
use dp_shm::{
    BookState, BookTop, Counter, InstrumentEntry, LinkState, PositionState, Region, Shape, Stage,
    VenueStatus,
};
use dp_types::*;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A node without processes: a region filled by the test.
pub struct Node {
    pub region: Region,
    pub dir: TempDir,
}

impl Node {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shm = dir.path().join("shm");
        let (region, _) = Region::open_or_create(&shm, &Shape::new(1, 4, 1 << 10, 1 << 8)).unwrap();
        region.set_node("t");
        region.begin_run(Epoch(7), 2_000_000_000, UnixNanos(1));
        region.lease().hold_always(Epoch(7));
        let instrument = Instrument::bare(
            InstrumentId(0),
            VenueId::BINANCE,
            Text::new("BTCUSDT").unwrap(),
            2,
            5,
        );
        let entry = InstrumentEntry {
            instrument,
            base: Text::new("BTC").unwrap(),
            quote: Text::new("USDT").unwrap(),
        };
        region.instruments().publish(&entry).unwrap();
        Self { region, dir }
    }

    /// Two orders: one filled, one open; a book, a venue, a position, latencies.
    pub fn fill(&self) {
        let lane = self.region.lane_writer(LaneId(0)).unwrap();
        lane.counters.add(Counter::OrdersSent, 2);
        lane.counters.add(Counter::Acks, 2);
        lane.counters.add(Counter::Fills, 1);
        for n in 1..=10_000u64 {
            lane.stages.record(Stage::Decode, 900 + n % 400);
            lane.stages
                .record(Stage::TickToTrade, 30_000 + (n * n) % 50_000);
        }
        let mut journal = Journal::new(lane.journal, LaneId(0), Epoch(7));
        for n in 1..=2u32 {
            journal.publish(UnixNanos(1), &intent(n)).unwrap();
            journal
                .publish(UnixNanos(2), &update(n, OrderState::Ack, 0))
                .unwrap();
        }
        journal
            .publish_all(UnixNanos(3), [&fill(1), &position()])
            .unwrap();
        journal
            .publish(UnixNanos(3), &update(1, OrderState::Filled, 1_000))
            .unwrap();
        let line = self.region.position(InstrumentId(0)).unwrap();
        line.write(&PositionState {
            qty: Qty(1_000),
            realised: Notional(-1_500_000_000_000),
            unrealised: Notional(2_000_000_000_000),
            fees: Notional(250_000_000_000),
            funding: Notional(-125_000_000_000),
            mark: Price(6_500_001),
            fills: 1,
            ..PositionState::default()
        });
        self.region.book(InstrumentId(0)).unwrap().write(&BookTop {
            bid_price: Price(6_500_000),
            bid_qty: Qty(150_000),
            ask_price: Price(6_500_010),
            ask_qty: Qty(0),
            state: BookState::Synced,
            updates: 12,
            ..BookTop::default()
        });
        self.venue(1);
    }

    pub fn venue(&self, open_orders: u32) {
        self.venue_asked(open_orders, UnixNanos(0));
    }

    /// The venue listed its open orders at `reconciled`.
    pub fn venue_asked(&self, open_orders: u32, reconciled: UnixNanos) {
        let mut links = [LinkState::None; 8];
        links[0] = LinkState::Up;
        self.region
            .venue(VenueId::BINANCE)
            .unwrap()
            .write(&VenueStatus {
                venue: VenueId::BINANCE,
                links,
                is_logged_in: true,
                is_reconciled: true,
                open_orders,
                reconciled,
                ..VenueStatus::default()
            });
    }

    pub fn run(&self, verb: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_spinlane"))
            .args(verb)
            .arg("--shm")
            .arg(self.dir.path().join("shm"))
            .output()
            .unwrap()
    }

    pub fn json(&self, verb: &[&str]) -> Value {
        let mut verb = verb.to_vec();
        verb.push("--json");
        let output = self.run(&verb);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    pub fn text(&self, verb: &[&str]) -> String {
        let output = self.run(verb);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Our id of the nth order.
pub fn id(n: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(7), LaneId(0), n).unwrap()
}

fn intent(n: u32) -> Entry {
    Entry::OrderIntent(OrderIntent {
        client_id: id(n),
        instrument: InstrumentId(0),
        venue: VenueId::BINANCE,
        strategy: StrategyId(0),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(6_500_000),
        qty: Qty(1_000),
        level: Durability::Published,
    })
}

fn update(n: u32, state: OrderState, cum: i64) -> Entry {
    Entry::OrderUpdate(OrderUpdate {
        client_id: id(n),
        order_id: OrderId(u128::from(n) + 100),
        instrument: InstrumentId(0),
        venue: VenueId::BINANCE,
        state,
        reason: RejectReason::None,
        code: 0,
        cum_qty: Qty(cum),
        price: Price(0),
        qty: Qty(0),
        venue_ns: VenueNanos(0),
    })
}

fn fill(n: u32) -> Entry {
    Entry::Fill(Fill {
        client_id: Some(id(n)),
        order_id: OrderId(101),
        trade_id: TradeId(1),
        instrument: InstrumentId(0),
        venue: VenueId::BINANCE,
        side: Side::Buy,
        price: Price(6_500_000),
        qty: Qty(1_000),
        fee: Decimal::ZERO,
        fee_asset: AssetId::NONE,
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(0),
    })
}

fn position() -> Entry {
    Entry::Position(Position {
        strategy: StrategyId(0),
        instrument: InstrumentId(0),
        venue: VenueId::BINANCE,
        qty: Qty(1_000),
        cost: Notional(0),
        realised: Notional(0),
        unrealised: Notional(0),
        fees: Notional(0),
        mark: Price(0),
        base_fees: 0,
        fills: 1,
    })
}

/// A configuration with nothing behind it.
pub fn good_config() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    let text = format!(
        "[node]\nname = \"t\"\nshm = \"{0}/shm\"\nstate_dir = \"{0}\"\n[[lane]]\nvenues = [\"binance\"]\n\
         [venue.binance]\nrest = \"localhost:1\"\npublic = \"localhost:1\"\nprivate = \"localhost:1\"\n\
         symbols = [\"BTCUSDT\"]\n",
        dir.path().display()
    );
    std::fs::write(&path, text).unwrap();
    (dir, path)
}
