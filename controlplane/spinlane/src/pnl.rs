//! `spinlane pnl`: what every position made, by average cost and first in, first out, from every move of it in the database.
//!
//! Limits, strategies and `spinlane positions` go by average cost; tax and compliance ask for the other. Both are worked out
//! from the same cash: after a move a position has cost less what it realised, and that is what was paid for it.

use crate::app::show;
use crate::cli::PnlArgs;
use crate::fail::Refused;
use crate::names::trim;
use crate::table::Table;
use crate::target::Target;
use crate::{daemon, view};
use cp_store::MoveView;
use dp_oms::Lots;
use dp_shm::Region;
use dp_types::{BASE_FEE_PARTS, Decimal, Instrument, Notional, Qty, Side, VenueId};
use serde::Serialize;
use std::collections::BTreeMap;

/// Lots a line remembers one by one; beyond them the newest are told at their mean cost.
const LOTS_MAX: usize = 65_536;

/// What every position made.
#[derive(Debug, Clone, Serialize)]
pub struct Pnl {
    /// `done`.
    pub outcome: &'static str,
    /// By strategy, venue and instrument.
    pub lines: Vec<Line>,
}

/// What one strategy made with one instrument. Exact decimal texts; money in quote units.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Whose, in the configuration's order; `None`: corrections by a venue's word.
    pub strategy: Option<u16>,
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Net quantity traded; negative = short.
    pub qty: String,
    /// Fees taken out of it: what is held is `qty` less them.
    pub base_fees: String,
    /// Fills and corrections.
    pub moves: u64,
    /// What is open cost, by average cost.
    pub average_cost: String,
    /// What was closed brought, by average cost.
    pub average_realised: String,
    /// What is open cost, first in, first out.
    pub fifo_cost: String,
    /// What was closed brought, first in, first out.
    pub fifo_realised: String,
    /// Open lots.
    pub lots: usize,
    /// Moves that went into the newest lot for want of room: told at their mean cost.
    pub merged: u64,
    /// Fees paid.
    pub fees: String,
}

/// One line as its moves are read.
struct Fold {
    it: Instrument,
    /// Traded, and what is held of it: less the fees taken out of it, [`BASE_FEE_PARTS`]ths of an increment.
    qty: Qty,
    held: i128,
    /// Cost less realised: cash paid but for fees, 10^-12 quote units.
    paid: i128,
    realised: i128,
    fees: i128,
    base_fees: String,
    moves: u64,
    lots: Lots,
}

impl Fold {
    fn new(it: Instrument) -> Self {
        Self {
            it,
            qty: Qty(0),
            held: 0,
            paid: 0,
            realised: 0,
            fees: 0,
            base_fees: "0".to_owned(),
            moves: 0,
            lots: Lots::new(LOTS_MAX),
        }
    }

    /// Takes the position as it was after one more move. `None`: a number is none, or left its range.
    fn take(&mut self, after: &MoveView) -> Option<()> {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).ok();
        let qty = self.it.qty(decimal(&after.qty)?).ok()?;
        let base_fees = self.it.base_fee(decimal(&after.base_fees)?)?;
        let held = i128::from(qty.0) * i128::from(BASE_FEE_PARTS) - i128::from(base_fees);
        let cost: i128 = after.cost.parse().ok()?;
        let realised: i128 = after.realised.parse().ok()?;
        let paid = cost.checked_sub(realised)?;
        let moved = held.checked_sub(self.held)?;
        if moved != 0 {
            let side = if moved > 0 { Side::Buy } else { Side::Sell };
            let value = paid.checked_sub(self.paid)? * i128::from(side.sign());
            self.lots.book(side, moved.abs(), Notional(value)).ok()?;
            self.moves += 1;
        }
        (self.qty, self.held) = (qty, held);
        (self.paid, self.realised) = (paid, realised);
        self.fees = after.fees.parse().ok()?;
        self.base_fees.clone_from(&after.base_fees);
        Some(())
    }

    fn line(&self, strategy: i32) -> Line {
        let money = |amount: i128| Notional(amount).to_string();
        Line {
            strategy: u16::try_from(strategy).ok(),
            venue: self.it.venue.name().to_owned(),
            symbol: self.it.symbol.as_str().to_owned(),
            qty: self.it.qty_decimal(self.qty).to_string(),
            base_fees: self.base_fees.clone(),
            moves: self.moves,
            average_cost: money(self.paid.saturating_add(self.realised)),
            average_realised: money(self.realised),
            fifo_cost: self.lots.cost().to_string(),
            fifo_realised: self.lots.realised().to_string(),
            lots: self.lots.iter().count(),
            merged: self.lots.merged(),
            fees: money(self.fees),
        }
    }
}

/// All lines as their moves are read, in the order each was made.
struct Folds<'r> {
    region: &'r Region,
    of: BTreeMap<(i32, String, String), Fold>,
    fault: Option<String>,
}

impl Folds<'_> {
    fn take(&mut self, after: &MoveView) {
        if self.fault.is_some() {
            return;
        }
        let key = (after.strategy, after.venue.clone(), after.symbol.clone());
        if !self.of.contains_key(&key) {
            let venue = VenueId::from_name(&after.venue);
            let found =
                venue.and_then(|venue| self.region.instruments().find(venue, &after.symbol));
            let Some(entry) = found else {
                self.fault = Some(format!(
                    "{} at {} is in the database and not in this node's shared memory: name it in the configuration, and \
                     start the node once",
                    after.symbol, after.venue
                ));
                return;
            };
            self.of.insert(key.clone(), Fold::new(entry.instrument));
        }
        let fold = self.of.get_mut(&key);
        if fold.and_then(|fold| fold.take(after)).is_none() {
            self.fault = Some(format!(
                "{} at {}: a move in position_history is no number of that instrument: {after:?}",
                after.symbol, after.venue
            ));
        }
    }

    fn pnl(self) -> Result<Pnl, Refused> {
        if let Some(fault) = self.fault {
            return Err(Refused(format!("pnl: {fault}")));
        }
        let lines = self
            .of
            .iter()
            .map(|((strategy, ..), fold)| fold.line(*strategy));
        Ok(Pnl {
            outcome: "done",
            lines: lines.collect(),
        })
    }
}

/// `spinlane pnl`. Errors: the database, or an instrument this node does not know.
pub fn run(target: &Target, args: &PnlArgs, as_json: bool) -> anyhow::Result<()> {
    let config = target.config("pnl")?;
    let region = target.attach()?;
    let mut folds = Folds {
        region: &region,
        of: BTreeMap::new(),
        fault: None,
    };
    daemon::ask(config, async |query| {
        query.moves(args.strategy, |after| folds.take(after)).await
    })?;
    let pnl = folds.pnl()?;
    show(as_json, &pnl, || pnl.text())
}

impl Pnl {
    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&[
            "strategy", "venue", "symbol", ">qty", ">average", ">FIFO", ">fees", ">lots", ">moves",
        ]);
        let short = |text: &str| {
            let parsed = Decimal::parse(text.as_bytes()).ok().and_then(Notional::of);
            parsed.map_or_else(|| trim(text), view::money)
        };
        for it in &self.lines {
            table.row([
                it.strategy
                    .map_or_else(|| "-".to_owned(), |id| id.to_string()),
                it.venue.clone(),
                it.symbol.clone(),
                it.qty.clone(),
                short(&it.average_realised),
                short(&it.fifo_realised),
                short(&it.fees),
                it.lots.to_string(),
                it.moves.to_string(),
            ]);
        }
        if table.is_empty() {
            "no position has moved yet".to_owned()
        } else {
            format!("{}\nrealised, quote units; fees apart", table.render())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{InstrumentId, Text};

    const ONE: i128 = 1_000_000_000_000;

    /// A position after a move.
    fn after(qty: &str, cost: i128, realised: i128) -> MoveView {
        MoveView {
            strategy: 0,
            venue: "okx".into(),
            symbol: "X".into(),
            qty: qty.into(),
            cost: (cost * ONE).to_string(),
            realised: (realised * ONE).to_string(),
            fees: ONE.to_string(),
            base_fees: "0".into(),
        }
    }

    /// The ledger worked by hand in `dp-oms` (`ledgers`), as position_history would hold it.
    #[test]
    fn moves_come_to_the_ledger_worked_by_hand() {
        let it = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 0, 0);
        let mut fold = Fold::new(it);
        for (qty, cost, realised, fifo) in [
            (10, 1_000, 0, (1_000, 0)),
            (20, 2_100, 0, (2_100, 0)),
            (15, 1_575, 75, (1_600, 100)),
            (5, 525, 175, (550, 200)),
            (-5, -450, 100, (-450, 100)),
            (-10, -850, 100, (-850, 100)),
            (-6, -510, 100, (-490, 120)),
            (0, 0, 100, (0, 100)),
        ] {
            let after = after(&qty.to_string(), cost, realised);
            fold.take(&after).unwrap();
            let line = fold.line(0);
            let money = |units: i128| Notional(units * ONE).to_string();
            assert_eq!(
                (line.average_cost, line.average_realised),
                (money(cost), money(realised))
            );
            assert_eq!(
                (line.fifo_cost, line.fifo_realised),
                (money(fifo.0), money(fifo.1))
            );
            // A row of the same position (a fee, funding) is no move.
            fold.take(&after).unwrap();
        }
        assert_eq!((fold.moves, fold.line(-1).strategy), (8, None));
        let bad = after("0.5", 0, 0);
        assert_eq!(fold.take(&bad), None, "half an increment");
    }

    /// 1,000 bought at 100, one of them the fee; 999 sold at 110, as position_history would hold it.
    #[test]
    fn lots_close_though_a_fee_was_taken_out_of_them() {
        let it = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 0, 0);
        let mut fold = Fold::new(it);
        for (qty, cost, realised, lots) in [(1_000, 99_900, 0, 1), (1, 0, 9_990, 0)] {
            let after = MoveView {
                fees: (100 * ONE).to_string(),
                base_fees: "1".into(),
                ..after(&qty.to_string(), cost, realised)
            };
            fold.take(&after).unwrap();
            let line = fold.line(0);
            let money = |units: i128| Notional(units * ONE).to_string();
            assert_eq!(
                (line.lots, line.fifo_cost, line.fifo_realised),
                (lots, money(cost), money(realised))
            );
        }
    }
}
