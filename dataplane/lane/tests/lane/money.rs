//! Instruments that do not pay by price x quantity: how the engine counts them, and what it makes of a price that is no rate.

use crate::engine::{Desk, ID, Memory, SECOND, VENUE, fill, instrument, report};
use dp_journal::Entry;
use dp_risk::{Refusal, WatchLimits};
use dp_shm::RiskState;
use dp_types::{
    AssetId, Instrument, InstrumentFault, LaneId, Notional, OrderState, Payoff, StrategyId,
};
use dp_venue_api::Event;

const ONE: i128 = 1_000_000_000_000;
const COIN: AssetId = AssetId(0);
const DOLLAR: AssetId = AssetId(1);

/// A desk that counts in dollars, and has one contract of a dollar, settled in a coin of 100 dollars.
fn desk(memory: &Memory, payoff: Payoff) -> Desk<'_> {
    let mut desk = Desk::new(&memory.region, 1);
    let contract = Instrument {
        payoff,
        quote: COIN,
        ..instrument()
    };
    desk.engine.set_instruments(VENUE, &[contract]);
    desk.engine.set_currency(DOLLAR);
    desk.engine.set_rate(COIN, 100 * ONE as u64);
    desk.engine.set_exposure_max(Notional(1_000 * ONE));
    desk.engine.set_watch(WatchLimits {
        day_loss_max: Notional(ONE),
        ..WatchLimits::default()
    });
    desk.book(0);
    desk.pass(SECOND);
    desk
}

fn standing(memory: &Memory) -> RiskState {
    memory.region.risk(LaneId(0)).unwrap().read().unwrap()
}

#[test]
fn the_price_of_an_inverse_contract_is_no_rate_of_its_coin() {
    let memory = Memory::new();
    let mut desk = desk(&memory, Payoff::Inverse);
    let first = desk.first_order();
    desk.hear(&Event::Fill(fill(first, 1, Some(1))));
    desk.hear(&Event::Order(report(first, OrderState::Filled, 1)));
    desk.book(0);
    assert_eq!(desk.news().len(), 2, "one is held, one works");
    for second in 1..=3 {
        // Each look at the rates would feed its own back, were the price one.
        desk.book(0);
        desk.pass(SECOND);
        let risk = standing(&memory);
        assert!(risk.is_counted, "after {second} s");
        // 2 / 101 of a coin of 100 dollars; 1/100 - 1/101 of it gained, the second cut as a value is.
        assert_eq!(risk.gross, Notional(200 * ONE / 101), "after {second} s");
        let gained = ONE / 100 - (ONE / 101 + 1);
        assert_eq!(risk.equity, Notional(100 * gained), "after {second} s");
    }
    let part = desk.engine.ledger().part(ID, StrategyId(0));
    assert_eq!(part.cost, Notional(-ONE / 100), "a hundredth of the coin");
}

#[test]
fn an_instrument_whose_payoff_is_not_known_is_refused_for_that() {
    let memory = Memory::new();
    let mut desk = desk(&memory, Payoff::Unknown);
    desk.settle(&[]);
    desk.book(0);
    assert!(desk.news().is_empty());
    let refused = Refusal::Instrument(InstrumentFault::NoPayoff);
    let numbers = |entry: Entry| match entry {
        Entry::Risk(risk) => Some((risk.rule, risk.observed)),
        _ => None,
    };
    let seen: Vec<_> = desk.journal().into_iter().filter_map(numbers).collect();
    assert_eq!(seen.first(), Some(&(refused.code(), refused.numbers().0)));
}
