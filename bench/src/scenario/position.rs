//! Fills into positions, through both signs.

use super::book::instrument;
use crate::data::{MESSAGES, Random};
use crate::meter::Meter;
use dp_oms::Positions;
use dp_types::{InstrumentId, Notional, Price, Qty, Side};

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("position");
    let instrument = instrument();
    let mut random = Random::new(9);
    let fills: Vec<(Side, Price, Qty)> = (0..MESSAGES)
        .map(|_| {
            let side = if random.below(2) == 0 {
                Side::Buy
            } else {
                Side::Sell
            };
            let price = Price(6_500_000 + random.below(1_000) as i64);
            (side, price, Qty(1 + random.below(10_000) as i64))
        })
        .collect();
    let mut positions = Positions::new(1);
    let mut refused = 0u64;
    meter.batch("book a fill", |at| {
        let (side, price, qty) = fills[at % MESSAGES];
        let booked = positions.book(&instrument, side, price, qty, Notional(1_000));
        refused += u64::from(booked.is_err());
    });
    anyhow::ensure!(refused == 0, "{refused} fills were refused");
    let position = positions.get(InstrumentId(0));
    meter.batch("value it at the mark", |at| {
        position.unrealised(&instrument, fills[at % MESSAGES].1)
    });
    Ok(())
}
