//! Balances by the venue's word beside ours by fills: through the engine, over real shared memory.

use crate::engine::{
    Desk, ID, Memory, SECOND, VENUE, fill, instrument, is_reconcile, report, whole,
};
use dp_journal::Entry;
use dp_journal::entry::{BalanceCause, Reconcile, ReconcileCause};
use dp_risk::Trip;
use dp_shm::{BalanceLine, BalanceState, Command, CommandNote, Counter, Region};
use dp_types::{
    AssetId, Balance, Decimal, FillReport, Instrument, LaneId, Notional, OrderState, UnixNanos,
    VenueId, VenueNanos,
};
use dp_venue_api::Event;

const ONE: i128 = 1_000_000_000_000;
const BASE: AssetId = AssetId(0);
const QUOTE: AssetId = AssetId(1);
/// No instrument's: fees may be paid in it.
const THIRD: AssetId = AssetId(7);

fn spot() -> Instrument {
    Instrument {
        is_spot: true,
        ..instrument()
    }
}

fn desk(region: &Region, epoch: u16) -> Desk<'_> {
    let mut desk = Desk::new(region, epoch);
    desk.engine.set_instruments(VENUE, &[spot()]);
    desk
}

const fn said(asset: AssetId, free: i64, locked: i64) -> Event<'static> {
    Event::Balance(Balance {
        venue: VENUE,
        asset,
        free: whole(free),
        locked: whole(locked),
    })
}

/// A comparison at the end of which the venue says what one has.
fn compare(desk: &mut Desk<'_>, balances: &[(AssetId, i64)]) {
    desk.pass(SECOND);
    desk.engine.on_reconcile_started(VENUE, desk.at());
    for (asset, total) in balances {
        desk.hear(&said(*asset, *total, 0));
    }
    desk.engine.on_reconciled(VENUE, desk.at());
    desk.drain();
}

fn settle(desk: &mut Desk<'_>, balances: &[(AssetId, i64)]) {
    desk.engine.on_logged_in(VENUE, desk.at());
    compare(desk, balances);
}

/// Buys one at 100; nothing works there afterwards.
fn buy(desk: &mut Desk<'_>, trade: u128, fee: FillReport) {
    let before = desk.news().len();
    desk.pass(SECOND);
    desk.book(0);
    let id = desk.news()[before];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Fill(FillReport {
        fee: fee.fee,
        fee_asset: fee.fee_asset,
        ..fill(id, trade, Some(1))
    }));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
}

fn free() -> FillReport {
    fee(0, QUOTE)
}

fn fee(mantissa: i64, asset: AssetId) -> FillReport {
    let some = dp_types::ClientOrderId::new(dp_types::Epoch(1), LaneId(0), 1).unwrap();
    FillReport {
        fee: Decimal {
            mantissa,
            exponent: -3,
        },
        fee_asset: asset,
        ..fill(some, 0, None)
    }
}

fn line(region: &Region, asset: AssetId) -> BalanceState {
    let lines = region.lane(LaneId(0)).unwrap().balances.iter();
    let mut states = lines.filter_map(BalanceLine::read);
    let found = states.find(|it| (it.venue, it.asset) == (VENUE, asset));
    found.unwrap()
}

fn ours(region: &Region, asset: AssetId) -> Option<i128> {
    line(region, asset).ours.map(|it| it.0)
}

fn causes(desk: &Desk<'_>) -> Vec<(AssetId, BalanceCause)> {
    let of = |entry: &Entry| match entry {
        Entry::Balance(it) => Some((it.asset, it.cause)),
        _ => None,
    };
    desk.journal().iter().filter_map(of).collect()
}

fn is_halted(desk: &Desk<'_>) -> bool {
    desk.engine.is_halted(VENUE, None)
}

#[test]
fn fills_and_their_fees_move_what_the_venue_told_first() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000), (THIRD, 2)]);
    let opening = |asset| (asset, BalanceCause::Opening);
    assert_eq!(causes(&desk), [opening(BASE), opening(QUOTE)]);
    buy(&mut desk, 1, fee(10, BASE));
    assert_eq!(ours(region, BASE), Some(6 * ONE - ONE / 100));
    assert_eq!(ours(region, QUOTE), Some(900 * ONE));
    buy(&mut desk, 2, fee(250, QUOTE));
    assert_eq!(ours(region, QUOTE), Some(799 * ONE + ONE * 3 / 4));
    // Once a fee was paid in it, it is compared too, from what the venue says from then on.
    buy(&mut desk, 3, fee(500, THIRD));
    assert_eq!(ours(region, THIRD), None);
    compare(&mut desk, &[(THIRD, 1)]);
    buy(&mut desk, 4, fee(500, THIRD));
    assert_eq!(ours(region, THIRD), Some(ONE / 2));
    assert!(!is_halted(&desk) && desk.is_settled());
}

#[test]
fn a_balance_beyond_its_tolerance_halts_its_venue_until_somebody_takes_its_word() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    desk.engine.set_balance_tolerance(QUOTE, Notional(5 * ONE));
    settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000)]);
    buy(&mut desk, 1, free());
    compare(&mut desk, &[(BASE, 6), (QUOTE, 900)]);
    assert!(desk.is_settled() && !line(region, QUOTE).differs);
    compare(&mut desk, &[(BASE, 6), (QUOTE, 890)]);
    assert!(!is_halted(&desk), "a fill may be on its way");
    assert!(!desk.is_settled(), "and nothing is sent meanwhile");
    assert!(line(region, QUOTE).differs);
    compare(&mut desk, &[(BASE, 6), (QUOTE, 890)]);
    assert!(is_halted(&desk));
    assert_eq!(causes(&desk)[2..], [(QUOTE, BalanceCause::Differs)]);
    let numbers = |entry: &Entry| match entry {
        Entry::Halt(halt) => Some((halt.rule, halt.observed, halt.limit)),
        _ => None,
    };
    let code = Trip::FIRST + 6;
    let halts: Vec<_> = desk.journal().iter().filter_map(numbers).collect();
    assert_eq!(halts, [(code, 890 * 100_000_000, 900 * 100_000_000)]);
    assert_eq!(desk.count(Counter::RiskTrips), 1);
    // Compared again it is still the same difference, and no second record.
    compare(&mut desk, &[(QUOTE, 890)]);
    assert_eq!(causes(&desk).len(), 3);
    desk.engine.resume(VENUE, None, "ann", desk.at().unix);
    assert_eq!(ours(region, QUOTE), Some(890 * ONE));
    assert!(!line(region, QUOTE).differs);
    compare(&mut desk, &[(BASE, 6), (QUOTE, 890)]);
    assert!(!is_halted(&desk) && desk.is_settled());
    assert_eq!(causes(&desk)[3..], [(QUOTE, BalanceCause::Taken)]);
}

#[test]
fn an_account_others_trade_in_is_shown_and_halts_nothing() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    desk.engine.share_account(VENUE);
    settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000)]);
    buy(&mut desk, 1, free());
    for theirs in [900, 700, 700, 700] {
        compare(&mut desk, &[(BASE, 6), (QUOTE, theirs)]);
        assert!(!is_halted(&desk) && desk.is_settled());
    }
    let line = line(region, QUOTE);
    assert_eq!(
        (line.theirs, line.is_compared),
        (Some(Notional(700 * ONE)), false)
    );
}

#[test]
fn within_the_tolerance_it_is_corrected_and_rounding_is_no_difference() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    desk.engine.set_balance_tolerance(QUOTE, Notional(5 * ONE));
    settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000)]);
    compare(&mut desk, &[(QUOTE, 1_004)]);
    assert_eq!(ours(region, QUOTE), Some(1_000 * ONE));
    compare(&mut desk, &[(QUOTE, 1_004)]);
    assert_eq!(ours(region, QUOTE), Some(1_004 * ONE));
    assert_eq!(causes(&desk)[2..], [(QUOTE, BalanceCause::Corrected)]);
    assert!(!is_halted(&desk) && desk.is_settled());
    // A hundred moved: a hundredth is rounding.
    buy(&mut desk, 1, free());
    desk.pass(SECOND);
    desk.engine.on_reconcile_started(VENUE, desk.at());
    desk.hear(&Event::Balance(Balance {
        venue: VENUE,
        asset: QUOTE,
        free: Decimal {
            mantissa: 90_400 + 1,
            exponent: -2,
        },
        locked: Decimal::ZERO,
    }));
    desk.engine.on_reconciled(VENUE, desk.at());
    assert!(desk.is_settled());
    assert_eq!(ours(region, QUOTE), Some(904 * ONE + ONE / 100));
    assert_eq!(causes(&desk)[3..], [(QUOTE, BalanceCause::Rounded)]);
}

/// Pushed before its fill, or asked for while the fill was on its way: neither is a difference.
#[test]
fn a_fill_between_two_words_of_the_venue_is_no_difference() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000)]);
    desk.pass(SECOND);
    desk.book(0);
    let id = desk.news()[0];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    // The answer has the fill, which we have not heard.
    let ack = report(id, OrderState::Ack, 0);
    desk.engine.on_reconcile_started(VENUE, desk.at());
    desk.hear(&Event::Order(ack));
    desk.hear(&said(QUOTE, 900, 0));
    desk.engine.on_reconciled(VENUE, desk.at());
    assert!(line(region, QUOTE).differs && !is_halted(&desk));
    desk.hear(&Event::Fill(fill(id, 1, Some(1))));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    compare(&mut desk, &[(BASE, 6), (QUOTE, 900)]);
    assert!(desk.is_settled() && !is_halted(&desk));
    // A push without the fill, then the fill, then a comparison in which the venue says nothing of it.
    for trade in 2..5 {
        desk.pass(SECOND);
        desk.hear(&said(QUOTE, 900, 0));
        buy(&mut desk, trade, free());
        compare(&mut desk, &[]);
        assert!(desk.is_settled() && !is_halted(&desk));
    }
}

/// While orders work, what the venue tells may hold a fill on its way: one word is not enough to begin with.
#[test]
fn with_orders_working_the_opening_is_what_was_told_twice() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    settle(&mut desk, &[]);
    desk.book(0);
    let id = desk.news()[0];
    desk.engine.on_new_sent(id, desk.at());
    let listed = [report(id, OrderState::Ack, 0)];
    let again = |desk: &mut Desk<'_>, total| {
        desk.pass(SECOND / 2);
        desk.engine.on_reconcile_started(VENUE, desk.at());
        desk.hear(&Event::Order(listed[0]));
        desk.hear(&said(QUOTE, total, 100));
        desk.engine.on_reconciled(VENUE, desk.at());
    };
    again(&mut desk, 900);
    assert_eq!(ours(region, QUOTE), None);
    again(&mut desk, 800);
    assert_eq!(ours(region, QUOTE), None);
    again(&mut desk, 800);
    assert_eq!(ours(region, QUOTE), Some(900 * ONE), "held by orders too");
    assert_eq!(line(region, QUOTE).locked, Notional(100 * ONE));
}

#[test]
fn what_derivatives_are_in_and_what_is_none_of_ours_is_shown_and_not_compared() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = Desk::new(region, 1);
    settle(&mut desk, &[(QUOTE, 1_000), (THIRD, 3)]);
    for total in [700, 600, 600, 600] {
        compare(&mut desk, &[(QUOTE, total), (THIRD, total)]);
        assert!(desk.is_settled() && !is_halted(&desk));
    }
    let state = line(region, QUOTE);
    assert_eq!(state.theirs, Some(Notional(600 * ONE)));
    assert!(!state.is_compared && !line(region, THIRD).is_compared);
    // Numbers beyond ours, an asset nobody named, more assets than there are lines: nothing breaks.
    let wild = |asset, mantissa, exponent| {
        let free = Decimal { mantissa, exponent };
        Event::Balance(Balance {
            venue: VENUE,
            asset,
            free,
            locked: free,
        })
    };
    desk.hear(&wild(QUOTE, i64::MAX, 18));
    desk.hear(&wild(QUOTE, i64::MIN, -18));
    desk.hear(&wild(AssetId::NONE, 1, 0));
    for asset in 0..300 {
        desk.hear(&wild(AssetId(asset), 1, 0));
    }
    desk.hear(&Event::Balance(Balance {
        venue: VenueId::KRAKEN,
        asset: QUOTE,
        free: whole(1),
        locked: whole(1),
    }));
    assert_eq!(line(region, QUOTE).theirs, Some(Notional(2 * ONE)));
}

#[test]
fn a_restart_counts_on_from_where_fills_had_brought_it() {
    let Memory { region, _dir } = Memory::new();
    {
        let mut desk = desk(&region, 1);
        settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000)]);
        buy(&mut desk, 1, free());
    }
    let (path, shape) = (region.path().to_owned(), *region.shape());
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = desk(&region, 2);
    assert_eq!(ours(&region, QUOTE), Some(900 * ONE));
    assert_eq!(line(&region, QUOTE).theirs, None, "not told in this run");
    settle(&mut heir, &[(BASE, 6), (QUOTE, 850)]);
    compare(&mut heir, &[(BASE, 6), (QUOTE, 850)]);
    assert!(is_halted(&heir), "fifty went while nobody looked");
}

/// The process died between a fill's record and the lines: they no longer say what fills came to.
#[test]
fn lines_a_fill_was_journaled_after_are_not_taken_up() {
    let Memory { region, _dir } = Memory::new();
    {
        let mut desk = desk(&region, 1);
        settle(&mut desk, &[(BASE, 5), (QUOTE, 1_000)]);
        let lines = region.lane(LaneId(0)).unwrap().balances;
        let before: Vec<_> = lines.iter().filter_map(BalanceLine::read).collect();
        assert_eq!(before.len(), 2);
        buy(&mut desk, 1, free());
        assert_eq!(dp_journal::recover(&[&region]).balances.len(), 2);
        for (line, state) in lines.iter().zip(&before) {
            line.write(state);
        }
    }
    assert_eq!(dp_journal::recover(&[&region]).balances.len(), 0);
    let (path, shape) = (region.path().to_owned(), *region.shape());
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = desk(&region, 2);
    settle(&mut heir, &[(BASE, 6), (QUOTE, 850)]);
    assert_eq!(
        ours(&region, QUOTE),
        Some(850 * ONE),
        "the venue's word anew"
    );
    assert!(!is_halted(&heir));
    let at = UnixNanos(heir.at().unix.0);
    assert_eq!(line(&region, QUOTE).told, at);
    assert_eq!(heir.engine.instruments()[ID.0 as usize].base, BASE);
}

fn reports(desk: &Desk<'_>) -> Vec<Reconcile> {
    let of = |entry: Entry| match entry {
        Entry::Reconcile(report) => Some(report),
        _ => None,
    };
    desk.journal().into_iter().filter_map(of).collect()
}

/// Every five minutes, at a login, when asked: one record each, and what it found is in it.
#[test]
fn each_comparison_ends_with_one_record_of_what_it_found() {
    let memory = Memory::new();
    let mut desk = desk(&memory.region, 1);
    desk.engine.set_balance_tolerance(QUOTE, Notional(5 * ONE));
    settle(&mut desk, &[(QUOTE, 1_000)]);
    let began = desk.at().unix;
    let first = Reconcile::begun(VENUE, ReconcileCause::Start, began, 0);
    assert_eq!(reports(&desk), [first]);
    assert!(!first.differs());

    // An order rests; the venue took it away and told nobody. In five minutes it is asked.
    desk.book(0);
    let id = desk.news()[0];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    let asked = desk.has(is_reconcile);
    desk.pass(290 * SECOND);
    assert_eq!(desk.has(is_reconcile), asked);
    desk.pass(10 * SECOND);
    assert_eq!(desk.has(is_reconcile), asked + 1, "five minutes are over");
    compare(&mut desk, &[(QUOTE, 1_000)]);
    assert_eq!(reports(&desk).len(), 1, "its fate is not known yet");
    // It was filled, long ago: the fill was booked late.
    let late = FillReport {
        venue_ns: VenueNanos(began.0),
        ..fill(id, 1, Some(1))
    };
    desk.hear(&Event::Fill(late));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    desk.pass(SECOND);
    let made = reports(&desk);
    assert_eq!(made.len(), 2);
    let found = made[1];
    assert_eq!(found.cause, ReconcileCause::Timer);
    assert_eq!(
        (found.compared, found.open_orders, found.missing),
        (1, 0, 1)
    );
    assert_eq!((found.late_fills, found.unknown, found.adopted), (1, 0, 0));

    // A difference takes two comparisons: asked for, and in doubt.
    desk.engine.on_command(&CommandNote {
        command: Command::Reconcile(VENUE),
        who: dp_types::Text::lossy("ann"),
        at: desk.at().unix,
    });
    desk.pass(SECOND);
    compare(&mut desk, &[(QUOTE, 903)]);
    compare(&mut desk, &[(QUOTE, 903)]);
    let made = reports(&desk);
    let told: Vec<_> = made[2..]
        .iter()
        .map(|it| (it.cause, it.balances_differed, it.balances_corrected))
        .collect();
    let (asked, doubt) = (ReconcileCause::Asked, ReconcileCause::Doubt);
    assert_eq!(told, [(asked, 1, 0), (doubt, 1, 1)]);

    // One that a lost link cuts short has not ended.
    desk.engine.on_reconcile_started(VENUE, desk.at());
    desk.engine.on_orders_lost(VENUE, desk.at());
    assert_eq!(reports(&desk).len(), 4);
    settle(&mut desk, &[]);
    assert_eq!(reports(&desk)[4].cause, ReconcileCause::Reconnect);
}

/// An order that rests, which the venue names in every comparison: nothing is quiet here.
fn rest(desk: &mut Desk<'_>) -> dp_types::OrderReport {
    let before = desk.news().len();
    desk.pass(SECOND);
    desk.book(0);
    let id = desk.news()[before];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    report(id, OrderState::Ack, 0)
}

/// A comparison with that order, in which the venue tells thousandths of the quote asset.
fn compare_busy(desk: &mut Desk<'_>, stands: &dp_types::OrderReport, mantissa: i64) {
    desk.pass(SECOND);
    desk.engine.on_reconcile_started(VENUE, desk.at());
    desk.hear(&Event::Order(*stands));
    desk.hear(&Event::Balance(Balance {
        venue: VENUE,
        asset: QUOTE,
        free: Decimal {
            mantissa,
            exponent: -3,
        },
        locked: Decimal::ZERO,
    }));
    desk.engine.on_reconciled(VENUE, desk.at());
    desk.drain();
}

/// A fill of one at 100 of the order that stands, and the next order.
fn fill_and_rest(
    desk: &mut Desk<'_>,
    stands: &dp_types::OrderReport,
    trade: u128,
) -> dp_types::OrderReport {
    let id = stands.client_id.unwrap();
    desk.hear(&Event::Fill(FillReport {
        fee: Decimal::ZERO,
        ..fill(id, trade, Some(1))
    }));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    rest(desk)
}

/// A hundred is moved at a time, and something always works there, as a market maker's.
#[test]
fn all_that_fills_ever_moved_excuses_no_more_than_the_last_of_them_did() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    desk.engine.set_balance_rounding(QUOTE, Notional(ONE));
    settle(&mut desk, &[(BASE, 5), (QUOTE, 100_000)]);
    let mut stands = rest(&mut desk);
    for trade in 1..=9 {
        stands = fill_and_rest(&mut desk, &stands, trade);
        // Off by a thousandth, one way and the other: what rounding makes.
        let off = if trade % 2 == 0 { 1 } else { -1 };
        let theirs = (100_000 - 100 * trade as i64) * 1_000 + off;
        compare_busy(&mut desk, &stands, theirs);
        assert!(desk.is_settled() && !is_halted(&desk), "{trade}");
    }
    // Nine hundred in all make nine hundredths of rounding; the last hundred, and the one before, two.
    for _ in 0..2 {
        compare_busy(&mut desk, &stands, 99_100 * 1_000 - 50);
    }
    assert!(is_halted(&desk));
    assert_eq!(causes(&desk).last(), Some(&(QUOTE, BalanceCause::Differs)));
}

/// However much was moved since: rounding has an end, configured or by what the money is worth.
#[test]
fn rounding_has_an_end_however_much_was_moved() {
    let off = |rounding: Option<i128>, thousandths: i64| {
        let memory = Memory::new();
        let mut desk = desk(&memory.region, 1);
        if let Some(max) = rounding {
            desk.engine.set_balance_rounding(QUOTE, Notional(max));
        }
        settle(&mut desk, &[(BASE, 5), (QUOTE, 100_000)]);
        for trade in 1..=10 {
            buy(&mut desk, trade, free());
        }
        for _ in 0..2 {
            desk.pass(SECOND);
            desk.engine.on_reconcile_started(VENUE, desk.at());
            desk.hear(&Event::Balance(Balance {
                venue: VENUE,
                asset: QUOTE,
                free: Decimal {
                    mantissa: 99_000 * 1_000 - thousandths,
                    exponent: -3,
                },
                locked: Decimal::ZERO,
            }));
            desk.engine.on_reconciled(VENUE, desk.at());
            desk.drain();
        }
        (is_halted(&desk), causes(&desk)[2..].to_vec())
    };
    let rounded = (false, vec![(QUOTE, BalanceCause::Rounded)]);
    let halted = (true, vec![(QUOTE, BalanceCause::Differs)]);
    // A thousand moved: a tenth would be rounding, and a hundredth of one is the end where nobody said more.
    assert_eq!(off(None, 10), rounded);
    assert_eq!(off(None, 11), halted);
    assert_eq!(off(Some(ONE), 100), rounded);
    assert_eq!(off(Some(ONE), 101), halted);
    assert_eq!(off(Some(ONE / 20), 50), rounded);
    assert_eq!(off(Some(ONE / 20), 51), halted);
}

/// While orders work, only what two comparisons in a row found is rounding; and it is on record as what it was.
#[test]
fn rounding_that_stands_is_taken_while_orders_work_and_is_on_record() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(region, 1);
    settle(&mut desk, &[(BASE, 5), (QUOTE, 100_000)]);
    let stands = rest(&mut desk);
    let stands = fill_and_rest(&mut desk, &stands, 1);
    compare_busy(&mut desk, &stands, 99_900_004);
    assert_eq!(ours(region, QUOTE), Some(99_900 * ONE), "on its way?");
    assert_eq!(causes(&desk).len(), 2);
    let stands = fill_and_rest(&mut desk, &stands, 2);
    compare_busy(&mut desk, &stands, 99_800_006);
    let four = 4 * ONE / 1_000;
    assert_eq!(ours(region, QUOTE), Some(99_800 * ONE + four));
    let record = |entry: &Entry| match entry {
        Entry::Balance(it) if it.cause == BalanceCause::Rounded => Some((it.ours, it.theirs)),
        _ => None,
    };
    let records: Vec<_> = desk.journal().iter().filter_map(record).collect();
    let before = 99_800 * ONE;
    assert_eq!(records, [(Notional(before), Notional(before + four))]);
    assert!(desk.is_settled() && !is_halted(&desk));
    // The same again: what was new the last time stands now.
    compare_busy(&mut desk, &stands, 99_800_006);
    assert_eq!(ours(region, QUOTE), Some(99_800 * ONE + 6 * ONE / 1_000));
    compare_busy(&mut desk, &stands, 99_800_006);
    assert_eq!(causes(&desk).len(), 4, "equal: nothing to write");
}
