//! An order to the bytes its venue reads, at all ten: the whole machine, limits, templates and signatures in it.
//!
//! A batch is written while the venue listens to nobody; then it hears all of it, and what it would not take fails the
//! run. Between batches time passes, until every limit of the venue has room again.

use crate::facing::{Facing, VENUES};
use crate::meter::{BATCH, Meter};
use anyhow::ensure;

/// One after the other what a venue can be asked: a new order, a change of one, its cancel.
pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    for (venue, symbol) in VENUES {
        let mut facing = Facing::new(venue, symbol)?;
        let can = facing.capabilities();
        let mut failed = None;
        let mut keep = |result: anyhow::Result<()>| failed = failed.take().or(result.err());
        meter.batch_rarely(
            &format!("bytes: new, {venue}"),
            &mut facing,
            |facing, _| keep(facing.clear()),
            |facing, _| facing.place(),
        );
        if can.amend_price || can.amend_qty {
            meter.batch_rarely(
                &format!("bytes: amend, {venue}"),
                &mut facing,
                |facing, _| keep(facing.fill(BATCH)),
                Facing::amend,
            );
        }
        meter.batch_rarely(
            &format!("bytes: cancel, {venue}"),
            &mut facing,
            |facing, _| keep(facing.fill(BATCH)),
            Facing::cancel,
        );
        keep(facing.clear());
        if let Some(error) = failed {
            return Err(error);
        }
        let (unwritten, refused) = (facing.unwritten, facing.refused());
        ensure!(
            unwritten == 0 && refused == 0,
            "{venue}: {unwritten} orders were not written, {refused} refused"
        );
    }
    Ok(())
}
