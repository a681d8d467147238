//! Lines, tables, limits, kill switch, lease stub: what goes in comes out, whole, whoever writes.

use crate::{Place, open};
use dp_shm::*;
use dp_types::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

fn instrument(id: u32, symbol: &str) -> InstrumentEntry {
    let mut instrument = Instrument::bare(
        InstrumentId(id),
        VenueId::OKX,
        Text::new(symbol).unwrap(),
        8,
        4,
    );
    instrument.base = AssetId(0);
    instrument.quote = AssetId(1);
    instrument.venue_code = 12345;
    instrument.payoff = Payoff::Inverse;
    instrument.tick = Price(10);
    instrument.notional_min = Notional(-7);
    instrument.multiplier = Decimal {
        mantissa: 25,
        exponent: -2,
    };
    InstrumentEntry {
        instrument,
        base: Text::new("BTC").unwrap(),
        quote: Text::new("USDT").unwrap(),
    }
}

proptest! {
    #[test]
    fn a_position_comes_back_as_it_was(words: [i64; 4], wide: [i128; 5], fills: u64, lane: u8) {
        let state = PositionState {
            base_fees: -7,
            qty: Qty(words[0]),
            cost: Notional(wide[0]),
            realised: Notional(wide[1]),
            unrealised: Notional(wide[2]),
            fees: Notional(wide[3]),
            funding: Notional(wide[4]),
            fills,
            mark: Price(words[1]),
            lane: LaneId(lane),
            journal_seq: words[2] as u64,
            updated: UnixNanos(words[3] as u64),
        };
        let line = PositionLine::default();
        prop_assert_eq!(line.read(), None);
        line.write(&state);
        prop_assert_eq!(line.read(), Some(state));
    }

    #[test]
    fn standings_and_parts_come_back_as_they_were(
        money: [i128; 9], numbers: [u32; 3], halts: [Option<(u8, Option<u32>, u8)>; HALTS_SHOWN], asset: u16
    ) {
        let money = money.map(Notional);
        let state = RiskState {
            currency: (asset != u16::MAX).then_some(AssetId(asset)),
            is_counted: numbers[0] & 1 != 0,
            equity: money[0],
            at_midnight: money[1],
            highest: money[2],
            day_loss_max: money[3],
            drawdown_max: money[4],
            gross: money[5],
            gross_max: money[6],
            top: None,
            top_exposure: money[7],
            top_max: money[8],
            orders_used: numbers[1],
            orders_max: numbers[2],
            halts: halts.map(|halt| halt.map(|(venue, instrument, rule)| HaltNote {
                venue: VenueId(venue.max(1)),
                instrument: instrument.map(InstrumentId),
                rule,
            })),
            halts_count: 65_535,
            updated: UnixNanos(7),
        };
        let line = RiskLine::default();
        line.write(&state);
        prop_assert_eq!(line.read(), Some(state));
        let part = PartState {
            strategy: StrategyId(asset),
            instrument: InstrumentId(numbers[0]),
            state: linked(i64::from(asset)),
        };
        let line = PartLine::default();
        line.write(&part);
        prop_assert_eq!(line.read(), Some(part));
    }

    #[test]
    fn a_book_top_comes_back_as_it_was(words: [i64; 8], levels: [u32; 2]) {
        let top = BookTop {
            bid_price: Price(words[0]),
            bid_qty: Qty(words[1]),
            ask_price: Price(words[2]),
            ask_qty: Qty(words[3]),
            last_update_id: words[4],
            bid_levels: levels[0],
            ask_levels: levels[1],
            state: BookState::Synced,
            updates: words[5] as u64,
            updated: UnixNanos(words[6] as u64),
            venue_ns: VenueNanos(words[7] as u64),
        };
        let line = BookLine::default();
        line.write(&top);
        prop_assert_eq!(line.read(), Some(top));
    }
}

#[test]
fn a_venue_status_comes_back_as_it_was() {
    let place = Place::new();
    let region = open(&place.file());
    let mut links = [LinkState::None; 8];
    links[..3].copy_from_slice(&[LinkState::Up, LinkState::Handshaking, LinkState::Down]);
    let status = VenueStatus {
        reconciled: UnixNanos(99),
        venue: VenueId::OKX,
        lane: LaneId(1),
        links,
        is_logged_in: true,
        is_reconciled: false,
        open_orders: 3,
        unknown_orders: 1,
        last_message: UnixNanos(5),
        logged_in: UnixNanos(6),
        stopped_until: UnixNanos(7),
        reconnects: 8,
        updated: UnixNanos(9),
    };
    region.venue(VenueId::OKX).unwrap().write(&status);
    assert_eq!(region.venue(VenueId::OKX).unwrap().read(), Some(status));
    assert_eq!(region.venue(VenueId::BINANCE).unwrap().read(), None);
    assert!(region.venue(VenueId(16)).is_none());
}

#[test]
fn instruments_keep_their_ids_and_may_change_their_rules() {
    let place = Place::new();
    let region = open(&place.file());
    let table = region.instruments();
    table.publish(&instrument(0, "BTC-USDT")).unwrap();
    table.publish(&instrument(1, "ETH-USDT")).unwrap();
    let mut renewed = instrument(0, "BTC-USDT");
    renewed.instrument.is_live = false;
    renewed.instrument.tick = Price(5);
    table.publish(&renewed).unwrap();
    drop(region);
    let region = open(&place.file());
    let table = region.instruments();
    assert_eq!(table.get(InstrumentId(0)), Some(renewed));
    assert_eq!(
        table.find(VenueId::OKX, "ETH-USDT"),
        Some(instrument(1, "ETH-USDT"))
    );
    assert_eq!(
        (table.len(), table.find(VenueId::BINANCE, "ETH-USDT")),
        (2, None)
    );
    assert_eq!(
        table.publish(&instrument(1, "SOL-USDT")),
        Err(TableError::Taken(1))
    );
    let mut rescaled = instrument(1, "ETH-USDT");
    rescaled.instrument.price_decimals = 2;
    assert_eq!(
        table.publish(&rescaled),
        Err(TableError::Taken(1)),
        "old records would change value"
    );
    // Venues answer in any order: a hole is no entry, and is filled later.
    table.publish(&instrument(3, "S3")).unwrap();
    assert_eq!(
        (
            table.len(),
            table.iter().count(),
            table.get(InstrumentId(2))
        ),
        (4, 3, None)
    );
    table.publish(&instrument(2, "S2")).unwrap();
    assert_eq!(table.iter().count(), 4);
    let beyond = TableError::NotNext { id: 4, count: 4 };
    assert_eq!(table.publish(&instrument(4, "S4")), Err(beyond));

    let assets = region.assets();
    assets
        .publish(AssetId(0), Text::new("BTC").unwrap())
        .unwrap();
    assets
        .publish(AssetId(0), Text::new("BTC").unwrap())
        .unwrap();
    assert_eq!(
        assets.publish(AssetId(0), Text::new("ETH").unwrap()),
        Err(TableError::Taken(0))
    );
    assert_eq!(assets.get(AssetId(0)).unwrap().as_str(), "BTC");
    assert_eq!(
        (assets.get(AssetId(1)), assets.get(AssetId::NONE)),
        (None, None)
    );
}

#[test]
fn limits_are_replaced_whole_and_outlive_the_process() {
    let place = Place::new();
    let region = open(&place.file());
    let mut held = [InstrumentLimits::default(); 4];
    assert_eq!(region.config().read(&mut held), None, "never set");
    let mut node = NodeLimits {
        collar_bps: 50,
        orders_per_s_max: 7,
        book_age_ms_max: 9,
        reject_pct_max: 8,
        move_bps_max: 6,
        move_ms: 5,
        day_loss_max: Notional(-1),
        drawdown_max: Notional(i128::MAX),
        exposure_max: Notional(4),
        order_value_max: Notional(5 << 70),
        who: Text::lossy("ann"),
        currencies: Default::default(),
    };
    // Sixteen have a place, and one that has it keeps it.
    let one = |asset: u16| (AssetId(asset), Notional(i128::MAX - i128::from(asset)));
    for asset in 0..16 {
        assert!(node.limit_currency(one(asset).0, one(asset).1));
    }
    assert!(!node.limit_currency(AssetId(16), Notional(1)));
    assert!(node.limit_currency(AssetId(3), Notional(7)));
    let limits = |n| InstrumentLimits {
        order_qty_max: Qty(n),
        position_max: Qty(n * 10),
    };
    let guard = region.lock(Lock::Control).unwrap();
    assert_eq!(
        region
            .config()
            .publish(&guard, &node, &[limits(1), limits(2)]),
        1
    );
    drop((guard, region));
    let region = open(&place.file());
    assert_eq!(region.config().read(&mut held), Some((1, node)));
    assert_eq!(held[..2], [limits(1), limits(2)]);
    assert_eq!(
        held[2],
        InstrumentLimits::default(),
        "without a limit: cannot trade"
    );
    let guard = region.lock(Lock::Control).unwrap();
    assert_eq!(region.config().publish(&guard, &node, &[limits(3)]), 2);
    assert_eq!(region.config().read(&mut held), Some((2, node)));
    assert_eq!(held[..2], [limits(3), InstrumentLimits::default()]);
}

#[test]
fn the_kill_switch_tells_who_and_why_and_outlives_the_process() {
    let place = Place::new();
    let region = open(&place.file());
    assert_eq!(
        (region.kill().is_killed(), region.kill().last_change()),
        (false, None)
    );
    assert!(region.kill().kill("ann", "strange fills", UnixNanos(5)));
    assert!(
        !region.kill().kill("bob", "me too", UnixNanos(6)),
        "it was killed already"
    );
    drop(region);
    let region = open(&place.file());
    let change = region.kill().last_change().unwrap();
    assert_eq!(
        (change.who.as_str(), change.why.as_str()),
        ("ann", "strange fills")
    );
    assert_eq!(change.at, UnixNanos(5));
    assert_eq!(
        region.kill().state(),
        KillState {
            is_killed: true,
            changes: 1
        }
    );
    let long = "é".repeat(200);
    assert!(region.kill().arm(&long, &long, UnixNanos(7)));
    let change = region.kill().last_change().unwrap();
    assert_eq!(
        (change.who.as_str().len(), change.why.as_str().len()),
        (30, 126)
    );
    for n in 0..20 {
        assert!(region.kill().kill("a", "b", UnixNanos(n)));
        assert!(region.kill().arm("c", "d", UnixNanos(n)));
    }
    assert_eq!(
        region.kill().state(),
        KillState {
            is_killed: false,
            changes: 42
        }
    );
}

#[test]
fn kills_from_many_threads_are_each_counted_once() {
    let place = Place::new();
    let region = open(&place.file());
    let changed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|who| {
                let kill = region.kill();
                let toggle = move |n: u64| {
                    let name = who.to_string();
                    if n.is_multiple_of(2) {
                        kill.kill(&name, &name, UnixNanos(who))
                    } else {
                        kill.arm(&name, &name, UnixNanos(who))
                    }
                };
                scope.spawn(move || (0..2_000).filter(|n| toggle(*n)).count())
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(region.kill().state().changes, changed as u64);
    let last = region.kill().last_change().expect("all notes are finished");
    assert_eq!(last.who.as_str(), last.why.as_str());
    assert_eq!(last.who.as_str(), last.at.0.to_string());
}

#[test]
fn the_lease_stub_is_held_by_its_epoch_only() {
    let place = Place::new();
    let region = open(&place.file());
    assert!(
        !region.lease().may_trade(Epoch(1), UnixNanos(1)),
        "nobody holds it yet"
    );
    region.lease().hold_always(Epoch(2));
    assert!(region.lease().may_trade(Epoch(2), UnixNanos(u64::MAX - 1)));
    assert!(
        !region.lease().may_trade(Epoch(1), UnixNanos(1)),
        "stale epoch"
    );
    region.lease().drop_lease();
    assert!(!region.lease().may_trade(Epoch(2), UnixNanos(1)));
}

/// A value whose fields follow from one number, so that a torn copy shows.
fn linked(n: i64) -> PositionState {
    let wide = Notional(i128::from(n) << 64 | i128::from(n));
    PositionState {
        base_fees: 0,
        qty: Qty(n),
        cost: wide,
        realised: wide,
        unrealised: wide,
        fees: wide,
        funding: wide,
        fills: n as u64,
        mark: Price(n),
        lane: LaneId(0),
        journal_seq: n as u64,
        updated: UnixNanos(n as u64),
    }
}

#[test]
fn a_line_read_while_it_is_written_is_whole() {
    let place = Place::new();
    let region = open(&place.file());
    let line = region.position(InstrumentId(3)).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut reads, mut last) = (0u64, 0);
                    while !is_done.load(Ordering::Relaxed) || reads == 0 {
                        if let Some(state) = line.read() {
                            assert_eq!(state, linked(state.qty.0), "torn");
                            assert!(state.qty.0 >= last, "went back");
                            last = state.qty.0;
                            reads += 1;
                        }
                    }
                    reads
                })
            })
            .collect();
        for n in 1..=200_000 {
            line.write(&linked(n));
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    assert_eq!(line.read(), Some(linked(200_000)));
}
