//! `kill -9` of the writing process, again and again, at moments nobody chose.

use crate::{LANE, Place, SHAPE, SPAWN, journal};
use dp_journal::entry::*;
use dp_journal::*;
use dp_shm::{PositionState, Region};
use dp_types::*;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const CHILD: &str = "DP_JOURNAL_TEST_REGION";
const ROUNDS: u16 = 12;
const INSTRUMENT: InstrumentId = InstrumentId(1);

/// The child: fills without end, each with the position after it, then the line; it drains itself.
fn trade_until_killed(path: &Path) -> ! {
    let region = Region::open_or_create(path, &SHAPE).unwrap().0;
    let held = recover(&[&region]).positions.get(&INSTRUMENT).copied();
    let mut state = held.unwrap_or_default();
    let mut pen = journal(&region, 1);
    let log = region.lane(LANE).unwrap().journal;
    loop {
        let now = UnixNanos(state.fills);
        state.fills += 1;
        state.qty = Qty(state.qty.0 + 3);
        state.cost = Notional(state.cost.0 + (1 << 70));
        let fill = Entry::Fill(Fill {
            client_id: None,
            order_id: OrderId(1),
            trade_id: TradeId(u128::from(state.fills)),
            instrument: INSTRUMENT,
            venue: VenueId::OKX,
            side: Side::Buy,
            price: Price(1),
            qty: Qty(3),
            fee: Decimal::ZERO,
            fee_asset: AssetId::NONE,
            liquidity: Liquidity::Taker,
            venue_ns: VenueNanos(0),
        });
        let position = Entry::Position(Position {
            strategy: StrategyId(0),
            instrument: INSTRUMENT,
            venue: VenueId::OKX,
            qty: state.qty,
            cost: state.cost,
            realised: Notional(0),
            unrealised: Notional(0),
            fees: Notional(0),
            mark: Price(1),
            fills: state.fills,
            base_fees: 0,
        });
        log.set_drained(pen.next_seq());
        let seq = pen.publish_all(now, [&fill, &position]).unwrap();
        let line = PositionState {
            lane: LANE,
            journal_seq: seq + 2,
            updated: now,
            ..state
        };
        region.position(INSTRUMENT).unwrap().write(&line);
    }
}

fn spawn(region: &Path) -> Child {
    let _nobody_opens = SPAWN
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "kill::positions_and_records_are_exact_after_kill_9",
            "--exact",
        ])
        .env(CHILD, region)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first word: the exec is over, and our descriptors are closed in it.
    let mut word = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut word)
        .unwrap();
    child
}

#[test]
fn positions_and_records_are_exact_after_kill_9() {
    if let Some(path) = std::env::var_os(CHILD) {
        trade_until_killed(path.as_ref());
    }
    let place = Place::new();
    let mut fills_before = 0;
    for _ in 0..ROUNDS {
        let mut child = spawn(&place.file());
        // Until it has traded for a while, by what it wrote, not by the clock.
        let fills = || {
            let region = Region::attach(&place.file()).ok()?;
            region.position(INSTRUMENT)?.read().map(|line| line.fills)
        };
        while fills().unwrap_or(0) < fills_before + 500 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the child ended by itself"
            );
            std::thread::yield_now();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let region = place.open();
        let log = region.lane(LANE).unwrap().journal;
        let records: Vec<Record> = Reader::from_oldest(log)
            .map(|item| match item {
                ReadItem::Record(record) => record,
                other => panic!("after a kill every published record is whole: {other:?}"),
            })
            .collect();
        let last = records[records.len() - 1];
        assert_eq!(last.seq + 1, log.head());
        let Entry::Position(last) = last.entry else {
            panic!("a fill without its position")
        };
        let held = recover(&[&region]).positions[&INSTRUMENT];
        assert_eq!(
            (held.qty, held.cost, held.fills),
            (last.qty, last.cost, last.fills)
        );
        assert_eq!(held.qty.0, 3 * held.fills as i64);
        assert_eq!(held.cost.0, i128::from(held.fills) << 70);
        fills_before = held.fills;
    }
    assert!(fills_before >= 500 * u64::from(ROUNDS));
}
