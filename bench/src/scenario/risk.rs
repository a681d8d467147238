//! The pre-trade gate: passes and refusals over distinct orders and contexts, with limits in lots alone and with limits
//! in money (gross, of each currency) besides; and two legs that leave together or not at all, over two venues.

use super::book::instrument;
use crate::data::{MESSAGES, Random};
use crate::meter::Meter;
use dp_risk::{BookState, Context, Gate, Lease, Limits, NodeLimits, million_of};
use dp_types::limit::INSTRUMENTS_MAX;
use dp_types::{
    AssetId, ClientOrderId, Epoch, Instrument, InstrumentId, LaneId, NewOrder, Notional, OrderKind,
    Price, Qty, Side, Tif, UnixNanos, VenueId,
};

const NOW: UnixNanos = UnixNanos(1_000_000_000_000);
const MID: i64 = 6_500_000;
const MONEY: &str = "check_new, limits in money";

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("risk");
    let instrument = Instrument {
        tick: Price(1),
        lot: Qty(1),
        qty_min: Qty(1),
        notional_min: Notional(1_000_000_000_000),
        ..instrument()
    };
    let mut gate = Gate::new(
        INSTRUMENTS_MAX,
        NodeLimits {
            collar_bps: 100,
            orders_per_s_max: u32::MAX,
            book_age_ns_max: 5_000_000_000,
        },
    );
    let limits = Limits {
        order_qty_max: Qty(10_000),
        position_max: Qty(1_000_000),
    };
    gate.set_limits(InstrumentId(0), Some(limits));
    gate.set_lease(Lease {
        until: UnixNanos(u64::MAX),
        epoch: Epoch(1),
    });
    let cases = cases(&instrument)?;

    let mut passed = 0usize;
    let mut passes = |meter: &mut Meter, is_batch: bool| {
        let mut check = |at: usize| {
            let (order, context) = &cases[at % MESSAGES];
            // A nanosecond a check, so that the bucket of 2^32 a second never runs dry.
            let cleared = gate.check_new(order, context, NOW.after(at as u64));
            passed += usize::from(cleared.is_ok());
            cleared.is_ok()
        };
        if is_batch {
            meter.batch("check_new, passes", &mut check);
        } else {
            meter.each("check_new, passes, one by one", &mut check);
        }
    };
    passes(meter, true);
    passes(meter, false);
    let asked = meter
        .rows
        .iter()
        .rev()
        .take(2)
        .map(|row| row.ops)
        .sum::<u64>();
    anyhow::ensure!(passed as u64 >= asked, "{passed} of {asked} orders passed");

    money(meter, &mut gate, &instrument, limits, &cases)?;
    gate.set_limits(
        InstrumentId(0),
        Some(Limits {
            position_max: Qty(0),
            ..limits
        }),
    );
    let mut refused = 0u64;
    meter.batch("check_new, over the position", |at| {
        let (order, context) = &cases[at % MESSAGES];
        let result = gate.check_new(order, context, NOW);
        refused += u64::from(result.is_err());
        result.is_err()
    });
    let asked = meter.rows.last().map_or(0, |row| row.ops);
    anyhow::ensure!(refused >= asked, "{refused} of {asked} were refused");
    Ok(())
}

/// Exposure in money is limited, and the same instrument of another venue stands beside: one order, and a pair.
fn money(
    meter: &mut Meter,
    gate: &mut Gate,
    instrument: &Instrument,
    limits: Limits,
    cases: &[(NewOrder, Context<'_>)],
) -> anyhow::Result<()> {
    let [one, two] = [(0, VenueId::BINANCE), (1, VenueId::OKX)].map(|(id, venue)| Instrument {
        id: InstrumentId(id),
        venue,
        base: AssetId(0),
        quote: AssetId(1),
        ..*instrument
    });
    // Wide enough that every case passes: what is measured is the counting.
    let most = Notional(i128::MAX / 1_000_000_000);
    let exposures = gate.exposures_mut();
    exposures.set_gross_max(most);
    exposures.set_currency_max(one.base, most);
    exposures.set_counted(true);
    for leg in [&one, &two] {
        exposures.set_worth(leg, million_of(leg, Price(MID)));
        exposures.show(leg.id, Qty(1_000), Qty(5_000), Qty(5_000));
    }
    gate.set_limits(two.id, Some(limits));
    let legs = |leg: &Instrument| -> Vec<NewOrder> {
        let instrument = leg.id;
        let order = |(order, _): &(NewOrder, Context<'_>)| NewOrder {
            instrument,
            ..*order
        };
        cases.iter().map(order).collect()
    };
    let (ones, twos) = (legs(&one), legs(&two));
    let (one, two) = (seen_by(cases, &one), seen_by(cases, &two));
    let (mut passed, mut asked) = (0u64, 0u64);
    meter.batch(MONEY, |at| {
        let at = at % MESSAGES;
        let cleared = gate.check_new(&ones[at], &one[at], NOW.after(at as u64));
        asked += 1;
        passed += u64::from(cleared.is_ok());
        cleared.is_ok()
    });
    meter.batch("check_pair, limits in money", |at| {
        let (at, other) = (at % MESSAGES, (at + 1) % MESSAGES);
        let legs = ((&ones[at], &one[at]), (&twos[other], &two[other]));
        let cleared = gate.check_pair(legs.0, legs.1, NOW.after(at as u64));
        asked += 1;
        passed += u64::from(cleared.is_ok());
        cleared.is_ok()
    });
    meter.is_peer_of(MONEY);
    anyhow::ensure!(
        passed == asked,
        "{passed} of {asked} orders and pairs passed"
    );
    Ok(())
}

/// The contexts of the cases, of another instrument.
fn seen_by<'a>(cases: &[(NewOrder, Context<'a>)], instrument: &'a Instrument) -> Vec<Context<'a>> {
    let context = |case: &(NewOrder, Context<'a>)| Context {
        instrument,
        ..case.1
    };
    cases.iter().map(context).collect()
}

fn cases(instrument: &Instrument) -> anyhow::Result<Vec<(NewOrder, Context<'_>)>> {
    let mut random = Random::new(5);
    let mut cases = Vec::with_capacity(MESSAGES);
    for sequence in 0..MESSAGES as u32 {
        let is_buy = random.below(2) == 0;
        let away = 1 + random.below(200) as i64;
        let qty = Qty(1 + 1_000 + random.below(8_000) as i64);
        let client_id = ClientOrderId::new(Epoch(1), LaneId(0), sequence)
            .ok_or_else(|| anyhow::anyhow!("the sequence does not fit"))?;
        let order = NewOrder {
            instrument: instrument.id,
            client_id,
            side: if is_buy { Side::Buy } else { Side::Sell },
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price: Price(if is_buy { MID - away } else { MID + away }),
            qty,
        };
        // On the side of the order, so that a limit of nothing refuses every one of them.
        let position = Qty(random.below(100_000) as i64 * order.side.sign());
        let context = Context {
            instrument,
            book: BookState {
                is_proven: true,
                updated: UnixNanos(NOW.0 - random.below(1_000_000_000)),
                bid: Some(Price(MID - 1)),
                ask: Some(Price(MID + 1)),
            },
            position,
            working_buy: Qty(random.below(100_000) as i64),
            working_sell: Qty(random.below(100_000) as i64),
            own_bid: Some(Price(MID - 300)),
            own_ask: Some(Price(MID + 300)),
            is_reconciled: true,
        };
        cases.push((order, context));
    }
    Ok(cases)
}
