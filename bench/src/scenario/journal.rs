//! Records into a journal ring in shared memory, as a lane writes them.

use super::book::instrument;
use crate::data::MESSAGES;
use crate::meter::{BATCH, Meter};
use crate::scratch::Scratch;
use anyhow::Context as _;
use dp_journal::entry::OrderIntent;
use dp_journal::{Durability, Entry, Journal, Reader};
use dp_shm::layout::Shape;
use dp_types::{
    ClientOrderId, Epoch, LaneId, OrderKind, Price, Qty, Side, StrategyId, Tif, UnixNanos, VenueId,
};

const RECORDS: u32 = 1 << 14;

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("journal");
    let scratch = Scratch::new(&Shape::new(1, 1, RECORDS, 1 << 8))?;
    let region = &scratch.region;
    let lane = region.lane_writer(LaneId(0))?;
    let mut journal = Journal::new(lane.journal, LaneId(0), Epoch(1));
    let view = region.lane(LaneId(0)).context("the region has one lane")?;
    let reader = Reader::from_oldest(view.journal);
    let entries: Vec<Entry> = (0..MESSAGES as u32).filter_map(intent).collect();

    let mut refused = 0u64;
    // The drain of the database, untimed: what is written is told as drained.
    let mut drain = |journal: &mut Journal<'_>, _: usize| reader.set_drained(journal.next_seq());
    meter.batch_on(
        "publish an order intent",
        &mut journal,
        &mut drain,
        |journal, at| {
            let done = journal.publish(UnixNanos(at as u64), &entries[at % MESSAGES]);
            refused += u64::from(done.is_err());
        },
    );
    meter.each_on("one by one", &mut journal, &mut drain, |journal| {
        let at = journal.next_seq();
        let done = journal.publish(UnixNanos(at), &entries[at as usize % MESSAGES]);
        refused += u64::from(done.is_err());
    });
    anyhow::ensure!(
        refused == 0 && BATCH < RECORDS as usize / 8,
        "{refused} were refused"
    );
    Ok(())
}

/// An order intent; `None` beyond the ids of an epoch.
pub fn intent(at: u32) -> Option<Entry> {
    let side = if at.is_multiple_of(2) {
        Side::Buy
    } else {
        Side::Sell
    };
    Some(Entry::OrderIntent(OrderIntent {
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), at)?,
        instrument: instrument().id,
        venue: VenueId::BINANCE,
        strategy: StrategyId(0),
        side,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(6_500_000 + i64::from(at)),
        qty: Qty(1_000 + i64::from(at)),
        level: Durability::Published,
    }))
}
