//! Funding payments through the engine: whose they are, told once, kept over a restart, counted as a loss.

use crate::engine::{Desk, ID, Memory, SECOND, fill, report, whole};
use dp_journal::Entry;
use dp_risk::WatchLimits;
use dp_shm::{PartLine, Region};
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    AssetId, Decimal, FundingReport, Notional, OrderState, StrategyId, TradeId, VenueNanos,
};
use dp_venue_api::Event;

const ONE: i128 = 1_000_000_000_000;
const QUOTE: AssetId = AssetId(1);

/// Holds nothing.
struct Idle;

impl Strategy for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn on_book(&mut self, _: &View<'_>, _: &mut Intents) {}
}

fn paid(desk: &Desk<'_>, id: u128, amount: i64) -> FundingReport {
    FundingReport {
        instrument: ID,
        id: TradeId(id),
        amount: whole(amount),
        asset: QUOTE,
        venue_ns: VenueNanos(desk.at().unix.0),
    }
}

/// One bought at 100 by the first strategy.
fn holding(region: &Region, epoch: u16) -> Desk<'_> {
    let mut desk = Desk::new(region, epoch);
    desk.engine.seat(StrategyId(1), &[ID], Box::new(Idle));
    let id = desk.first_order();
    desk.hear(&Event::Fill(fill(id, 1, Some(1))));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    desk
}

fn total(region: &Region) -> Notional {
    region.position(ID).unwrap().read().unwrap().funding
}

fn payments(desk: &Desk<'_>) -> Vec<(StrategyId, i128, i128)> {
    let journal = desk.journal();
    let entries = journal.iter().filter_map(|entry| match entry {
        Entry::Funding(it) if it.payment.is_some() => {
            Some((it.strategy, it.share.0 / ONE, it.sum.0 / ONE))
        }
        _ => None,
    });
    entries.collect()
}

#[test]
fn a_payment_is_the_holder_s_and_booked_once() {
    let memory = Memory::new();
    let mut desk = holding(&memory.region, 1);
    let (first, second) = (paid(&desk, 7, -3), paid(&desk, 8, 5));
    for report in [first, first, second, first] {
        desk.hear(&Event::Funding(report));
    }
    let holder = StrategyId(0);
    assert_eq!(payments(&desk), [(holder, -3, -3), (holder, 5, 2)]);
    assert_eq!(total(&memory.region), Notional(2 * ONE));
    let held = memory.region.lane(dp_types::LaneId(0)).unwrap().held;
    let parts: Vec<_> = held.iter().filter_map(PartLine::read).collect();
    let parts: Vec<_> = parts
        .iter()
        .map(|it| (it.strategy, it.state.funding))
        .collect();
    assert_eq!(parts, [(holder, Notional(2 * ONE))]);
}

#[test]
fn a_payment_while_nobody_holds_any_is_nobodys_and_of_another_asset_is_worth_its_price() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.book(0);
    let report = paid(&desk, 7, 4);
    desk.hear(&Event::Funding(report));
    // A hundredth of the base asset at the mid of 101; an asset nobody knows the worth of.
    let hundredth = Decimal {
        mantissa: 1,
        exponent: -2,
    };
    desk.hear(&Event::Funding(FundingReport {
        id: TradeId(8),
        amount: hundredth,
        asset: AssetId(0),
        ..report
    }));
    desk.hear(&Event::Funding(FundingReport {
        id: TradeId(9),
        asset: AssetId(77),
        ..report
    }));
    let nobody = StrategyId::NOBODY;
    assert_eq!(
        payments(&desk),
        [(nobody, 4, 4), (nobody, 1, 5), (nobody, 0, 5)]
    );
    assert_eq!(total(&memory.region), Notional(5 * ONE + ONE / 100));
}

#[test]
fn payments_outlive_the_process_and_are_not_booked_again() {
    let Memory { region, _dir } = Memory::new();
    let (path, shape) = (region.path().to_owned(), *region.shape());
    let report = {
        let mut desk = holding(&region, 1);
        let report = paid(&desk, 7, -3);
        desk.hear(&Event::Funding(report));
        report
    };
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = Desk::new(&region, 2);
    assert_eq!(total(&region), Notional(-3 * ONE));
    // Told again; one that was due between the runs; one due long before the first of them.
    heir.hear(&Event::Funding(report));
    let between = FundingReport {
        id: TradeId(8),
        venue_ns: VenueNanos(1_500 * SECOND),
        ..report
    };
    heir.hear(&Event::Funding(between));
    let before = FundingReport {
        id: TradeId(9),
        venue_ns: VenueNanos(SECOND),
        ..report
    };
    heir.hear(&Event::Funding(before));
    assert_eq!(total(&region), Notional(-6 * ONE));
    // The sums are written again with the live orders: here, at the start.
    let recovered = dp_journal::recover(&[&region]);
    let part = recovered.parts[&(ID, StrategyId(0))];
    assert_eq!((part.funding, part.qty.0), (Notional(-6 * ONE), 1));
    assert!(!recovered.parts.contains_key(&(ID, StrategyId::NOBODY)));
}

#[test]
fn payments_of_a_venue_s_past_are_not_ours() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let past = FundingReport {
        venue_ns: VenueNanos(desk.at().unix.0 - 1),
        ..paid(&desk, 7, 4)
    };
    desk.hear(&Event::Funding(past));
    assert_eq!(payments(&desk), []);
}

/// It counts for the day's loss like any other, within the event that tells it.
#[test]
fn a_payment_beyond_the_days_loss_kills() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_currency(QUOTE);
    desk.engine.set_watch(WatchLimits {
        day_loss_max: Notional(5 * ONE),
        ..WatchLimits::default()
    });
    desk.book(0);
    desk.pass(SECOND);
    let report = paid(&desk, 7, -4);
    desk.hear(&Event::Funding(report));
    assert!(!memory.region.kill().is_killed(), "four of five lost");
    let report = paid(&desk, 8, -1);
    desk.hear(&Event::Funding(report));
    assert!(memory.region.kill().is_killed());
}
