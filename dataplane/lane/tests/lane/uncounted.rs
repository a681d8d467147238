//! What must be counted and is not yet: what an earlier run left of instruments whose rules are not known, worths that
//! nobody tells, losses over midnight.

use crate::engine::{Desk, ID, Memory, SECOND, VENUE, fill, instrument, report, setup, whole};
use crate::risk::{ONE, QUOTE, fill_one, losing, standing};
use dp_risk::{Refusal, WatchLimits};
use dp_shm::{Counter, Region, RiskState};
use dp_types::{
    AssetId, LaneId, Notional, Now, OrderState, Qty, StrategyId, Text, Tsc, UnixNanos, VenueNanos,
};
use dp_venue_api::Event;

/// A node that is 21 ahead starts again: its first ticks come before any venue has told its instruments.
#[test]
fn a_restart_before_its_instruments_are_known_is_no_loss() {
    let Memory { region, _dir } = Memory::new();
    let (path, shape) = (region.path().to_owned(), *region.shape());
    let limits = WatchLimits {
        drawdown_max: Notional(15 * ONE),
        ..WatchLimits::default()
    };
    {
        let mut desk = losing(&region, 1, 1_000);
        desk.engine.set_watch(limits);
        desk.pass(SECOND);
        fill_one(&mut desk);
        desk.book_at(0, (120, 122));
        desk.pass(SECOND);
        desk.pass(11 * SECOND);
        desk.pass(11 * SECOND);
        assert_eq!(standing(&region).equity, Notional(21 * ONE));
        assert!(!region.kill().is_killed());
    }
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let epoch = dp_types::Epoch(2);
    let now = Now {
        unix: UnixNanos(2_000 * SECOND),
        tsc: Tsc(0),
    };
    region.begin_run(epoch, SECOND, now.unix);
    region.lease().hold_always(epoch);
    let recovered = dp_journal::recover(&[&region]);
    let writer = region.lane_writer(LaneId(0)).unwrap();
    let setup = setup(epoch, &[instrument()]);
    // In the order of `node/build.rs`: watches, then what was left, then turns of the lane.
    let mut engine =
        dp_lane::Engine::new(dp_lane::Wall::new(&region, writer, LaneId(0), epoch), setup);
    engine.set_watch(limits);
    engine.set_currency(QUOTE);
    engine.recover(&recovered, now);
    engine.read_words(now);
    engine.on_tick(now);
    let why = region
        .kill()
        .last_change()
        .map(|it| it.why.as_str().to_owned());
    assert!(
        !region.kill().is_killed(),
        "{why:?}; {:?}",
        standing(&region)
    );
}

/// Of two instruments one is quoted in an asset whose worth is not known (its source is down since the start).
fn blind(has_other: bool) -> (bool, RiskState) {
    let memory = Memory::new();
    let region = &memory.region;
    let epoch = dp_types::Epoch(1);
    let at = |s: u64| Now {
        unix: UnixNanos(1_000 * SECOND + s * SECOND),
        tsc: Tsc(0),
    };
    region.begin_run(epoch, SECOND, at(0).unix);
    region.lease().hold_always(epoch);
    let one = instrument();
    let other = dp_types::Instrument {
        id: dp_types::InstrumentId(1),
        symbol: Text::new("ETH-KRW").unwrap(),
        base: AssetId(6),
        quote: AssetId(5),
        ..one
    };
    let mut recovered = dp_journal::Recovered::default();
    let part = |cost: i128| dp_shm::PositionState {
        qty: Qty(1),
        cost: Notional(cost * ONE),
        fills: 1,
        ..Default::default()
    };
    recovered.parts.insert((ID, StrategyId(0)), part(100));
    if has_other {
        recovered.parts.insert((other.id, StrategyId(0)), part(100));
    }
    let writer = region.lane_writer(LaneId(0)).unwrap();
    let setup = setup(epoch, &[one, other]);
    let mut engine =
        dp_lane::Engine::new(dp_lane::Wall::new(region, writer, LaneId(0), epoch), setup);
    engine.recover(&recovered, at(0));
    engine.set_instruments(VENUE, &[one, other]);
    engine.set_currency(QUOTE);
    engine.set_watch(WatchLimits {
        day_loss_max: Notional(5 * ONE),
        ..WatchLimits::default()
    });
    for (s, mid) in [(1, 101), (2, 51)] {
        let level = |price| dp_types::RawLevel {
            price: whole(price),
            qty: whole(5),
        };
        let (bids, asks) = ([level(mid - 1)], [level(mid + 1)]);
        engine.read_words(at(s));
        engine.on_event(
            &Event::Book(dp_types::BookMsg {
                instrument: ID,
                kind: dp_types::BookMsgKind::Snapshot,
                first_id: s as i64,
                last_id: s as i64,
                prev_id: -1,
                checksum: None,
                bids: &bids,
                asks: &asks,
                venue_ns: VenueNanos(0),
            }),
            at(s),
            Tsc(0),
        );
        engine.on_tick(at(s));
    }
    (region.kill().is_killed(), standing(region))
}

#[test]
fn one_worth_nobody_tells_leaves_the_other_losses_watched() {
    let (alone, _) = blind(false);
    assert!(alone, "50 lost of 5");
    let (killed, state) = blind(true);
    assert!(killed, "{state:?}");
}

/// Made 50 by noon, gave 12 back by night, killed and started after midnight: nothing is lost today.
#[test]
fn what_was_lost_before_midnight_is_not_of_today_over_a_restart() {
    let Memory { region, _dir } = Memory::new();
    let (path, shape) = (region.path().to_owned(), *region.shape());
    let day = 86_400 * SECOND;
    {
        let mut desk = losing(&region, 1, 1_000);
        desk.pass(SECOND);
        fill_one(&mut desk);
        for (bid, secs) in [(150, 11), (150, 11), (138, 11), (138, 11)] {
            desk.book_at(0, (bid, bid + 2));
            desk.pass(secs * SECOND);
        }
        assert_eq!(standing(&region).equity, Notional(39 * ONE));
    }
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let recovered = dp_journal::recover(&[&region]);
    let told = recovered.equity[&LaneId(0)];
    let mut watch = dp_risk::LossWatch::default();
    watch.restore(dp_risk::Equity {
        day: told.day,
        at_midnight: told.at_midnight,
        highest: told.highest,
        now: told.now,
    });
    let limits = WatchLimits {
        day_loss_max: Notional(10 * ONE),
        ..WatchLimits::default()
    };
    let trip = watch.on_equity(
        (Notional(39 * ONE), Notional(0)),
        &limits,
        UnixNanos(day + 60 * SECOND),
    );
    assert_eq!(trip, None, "{told:?}");
}

/// Fees in assets of unknown worth are not in the profit: nothing more is risked until somebody tells what each is worth.
#[test]
fn fees_of_unknown_worth_end_new_risk_until_all_are_known() {
    let memory = Memory::new();
    let mut desk = losing(&memory.region, 1, 1_000);
    let id = desk.first_order();
    let (one, other) = (AssetId(7), AssetId(8));
    let told = |asset, cum, trade| dp_types::FillReport {
        fee: whole(1),
        fee_asset: asset,
        ..fill(id, cum, Some(trade))
    };
    desk.hear(&Event::Fill(told(one, 1, 1)));
    desk.hear(&Event::Fill(told(other, 2, 2)));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 2)));
    let refused = desk.count(Counter::RiskRefusals);
    desk.book(0);
    assert_eq!(desk.news().len(), 1, "nothing new");
    assert!(desk.count(Counter::RiskRefusals) > refused);
    let of_rule = |rule| {
        let lanes = memory.region.lanes();
        lanes.map(|lane| lane.violations.get(rule)).sum::<u64>()
    };
    assert!(of_rule(Refusal::NoRate { asset: one.0 }.code()) > 0);
    for (asset, orders) in [(other, 1), (one, 2)] {
        desk.pass(SECOND);
        assert!(!standing(&memory.region).is_counted);
        desk.engine.set_rate(asset, 2 * ONE as u64);
        desk.pass(SECOND);
        desk.book(0);
        assert_eq!(desk.news().len(), orders, "the worth of {asset:?} is known");
    }
    assert!(standing(&memory.region).is_counted);
}

/// Where the node's other lane stands.
fn other_lane(region: &Region, desk: &Desk<'_>, (lost, gross): (i128, i128)) {
    region.risk(LaneId(1)).unwrap().write(&RiskState {
        at_midnight: Notional(100 * ONE),
        equity: Notional((100 - lost) * ONE),
        gross: Notional(gross * ONE),
        updated: desk.at().unix,
        ..RiskState::default()
    });
}

/// Three lost here of five, and three, or won two, at the other lane.
#[test]
fn the_day_s_loss_and_the_exposure_are_the_node_s() {
    for (elsewhere, is_killed) in [(3, true), (-2, false)] {
        let memory = Memory::of_lanes(2);
        let mut desk = losing(&memory.region, 1, 5);
        fill_one(&mut desk);
        other_lane(&memory.region, &desk, (elsewhere, 0));
        desk.book_at(0, (96, 98));
        desk.pass(SECOND / 5);
        assert_eq!(memory.region.kill().is_killed(), is_killed, "{elsewhere}");
    }
    for (gross, passes) in [(0, true), (150, false)] {
        let memory = Memory::of_lanes(2);
        let mut desk = losing(&memory.region, 1, 1_000);
        desk.engine.set_exposure_max(Notional(200 * ONE));
        other_lane(&memory.region, &desk, (0, gross));
        desk.pass(SECOND / 5);
        desk.settle(&[]);
        desk.book(0);
        assert_eq!(desk.news().len(), usize::from(passes), "{gross}");
    }
}
