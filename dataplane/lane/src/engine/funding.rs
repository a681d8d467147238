//! Funding payments: the venue's word, booked once, to the strategies by what each of them holds.
//!
//! ```text
//!   Event::Funding ─▶ told before?  ─▶ nothing
//!                  ─▶ worth in quote units ─▶ a share for each holder (`dp_oms::Ledger`) ─▶ journal, lines, equity
//! ```
//! A venue's list goes back to times before this lane held anything there: what was due before its first run is not its
//! own, what was due between two runs is, for the position stood meanwhile. Shared is what each holds when the payment is
//! told, some seconds after it was due: what a strategy traded between is beyond what the venue tells. No strategy is
//! called: a payment changes no order and no position.

use super::Engine;
use crate::wall::position_state;
use dp_journal::Journal;
use dp_journal::entry::{Entry, Funding};
use dp_types::{FundingReport, InstrumentId, Notional, Now, StrategyId, UnixNanos};

/// How far behind the last word on a position a payment may be due and untold still.
const UNTOLD_NS: u64 = 600 * 1_000_000_000;

impl Engine<'_> {
    /// From when on payments are ours: since the earlier run's last word, or from now.
    pub(super) fn fund_since(&mut self, recovered: &dp_journal::Recovered, now: Now) {
        for (at, since) in self.funded_since.iter_mut().enumerate() {
            let held = recovered.positions.get(&InstrumentId(at as u32));
            let known = held.map(|held| held.updated.0.saturating_sub(UNTOLD_NS));
            *since = known.map_or(now.unix, UnixNanos);
        }
    }

    /// A venue paid us for holding a derivative, or we paid.
    pub(super) fn on_funding(&mut self, report: &FundingReport, now: Now) {
        let Some(instrument) = self.instrument(report.instrument) else {
            return;
        };
        let since = self.funded_since.get(instrument.id.0 as usize).copied();
        let is_older = since.is_some_and(|since| report.venue_ns.0 < since.0);
        if is_older && report.venue_ns.0 != 0 {
            return;
        }
        let mark = self.last_mark(instrument.id);
        let paid = (report.amount, report.asset);
        let value = self.value_of(&instrument, paid, instrument.price_decimal(mark));
        let entry = |strategy, share, sum| {
            Entry::Funding(Funding {
                strategy,
                instrument: instrument.id,
                venue: instrument.venue,
                payment: Some(report.id),
                share,
                sum,
                amount: report.amount,
                asset: report.asset,
                mark,
                venue_ns: report.venue_ns,
            })
        };
        let nobody = self.ledger.part(instrument.id, StrategyId::NOBODY).funding;
        // Without any worth the payment is on record all the same.
        let mut list = [entry(StrategyId::NOBODY, Notional(0), nobody); Journal::LIST_MAX];
        let mut count = 0;
        let wall = &mut self.wall;
        let share = |whose, share, part: &dp_oms::Position| {
            if count == list.len() {
                wall.funded(now.unix, &list);
                count = 0;
            }
            list[count] = entry(whose, share, part.funding);
            count += 1;
            let state = position_state(&instrument, part, mark, now);
            wall.show_part((instrument.id, whose), state);
        };
        match self.ledger.fund(instrument.id, report.id, value, share) {
            Ok(false) => {}
            Ok(true) => {
                self.wall.funded(now.unix, &list[..count.max(1)]);
                let total = self.ledger.total(instrument.id);
                let state = position_state(&instrument, &total, mark, now);
                self.wall.show_position(instrument.id, state);
                self.watch_funding(&instrument, now);
            }
            Err(_) => self.kill_for_range(now),
        }
    }
}
