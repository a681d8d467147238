//! `spinlane positions`.

use super::{instrument, money};
use crate::table::Table;
use dp_shm::{PartLine, PartState, PositionState, Region};
use dp_types::{Instrument, InstrumentId, Notional, StrategyId, VenueId};
use serde::Serialize;
use std::collections::BTreeMap;

/// Positions and P&L of a node.
#[derive(Debug, Clone, Serialize)]
pub struct Positions {
    /// `done`.
    pub outcome: &'static str,
    /// By instrument.
    pub positions: Vec<Position>,
    /// What of them each strategy holds.
    pub strategies: Vec<Part>,
    /// P&L by venue, exact decimal quote units: realised + unrealised + funding - fees.
    pub pnl: BTreeMap<String, String>,
}

/// One instrument's. Numbers are exact decimal texts.
#[derive(Debug, Clone, Serialize)]
pub struct Position {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Net quantity traded; negative = short.
    pub qty: String,
    /// Fees taken out of what was bought: what is there to sell is `qty` less these.
    pub base_fees: String,
    /// P&L of what was closed, quote units.
    pub realised: String,
    /// P&L of what is open, at `mark`.
    pub unrealised: String,
    /// Fees paid, quote units.
    pub fees: String,
    /// Funding received, quote units; below 0 = paid.
    pub funding: String,
    /// Realised + unrealised + funding - fees.
    pub pnl: String,
    /// Price it is valued at.
    pub mark: String,
    /// Executions.
    pub fills: u64,
}

/// What one strategy holds of one instrument. As [`Position`].
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Whose, in the configuration's order; `None`: corrections by a venue's word.
    pub strategy: Option<u16>,
    /// What it holds.
    #[serde(flatten)]
    pub position: Position,
}

/// All lines of strategies that hold or held something, by strategy and instrument.
pub fn parts(region: &Region) -> Vec<(PartState, Instrument)> {
    let lines = region.lanes().flat_map(|lane| lane.held.iter());
    let held = lines
        .filter_map(PartLine::read)
        .filter(|part| part.state.fills > 0 || part.state.funding.0 != 0);
    let named = held.map(|part| (part, instrument(region, VenueId(0), part.instrument)));
    let mut all: Vec<_> = named.collect();
    all.sort_by_key(|(part, _)| (part.strategy, part.instrument));
    all
}

/// What a strategy holds of an instrument; `None`: it never held any.
pub fn part(region: &Region, strategy: StrategyId, id: InstrumentId) -> Option<PositionState> {
    let mut lines = region.lanes().flat_map(|lane| lane.held.iter());
    let is_it = |part: &PartState| (part.strategy, part.instrument) == (strategy, id);
    lines.find_map(|line| PartLine::read(line).filter(is_it).map(|part| part.state))
}

/// All position lines that were ever written.
pub fn lines(region: &Region) -> impl Iterator<Item = (Instrument, PositionState)> + '_ {
    (0..region.shape().instruments).filter_map(|raw| {
        let id = InstrumentId(raw);
        let state = region.position(id)?.read()?;
        Some((instrument(region, VenueId(0), id), state))
    })
}

/// Realised + unrealised + funding - fees; saturates.
pub fn pnl(state: &PositionState) -> Notional {
    let sum = state.realised.0.saturating_add(state.unrealised.0);
    let sum = sum.saturating_add(state.funding.0);
    Notional(sum.saturating_sub(state.fees.0))
}

impl Position {
    fn of(it: &Instrument, state: &PositionState) -> Self {
        Self {
            venue: it.venue.name().to_owned(),
            symbol: it.symbol.as_str().to_owned(),
            qty: it.qty_decimal(state.qty).to_string(),
            base_fees: it.base_fee_decimal(state.base_fees).to_string(),
            realised: state.realised.to_string(),
            unrealised: state.unrealised.to_string(),
            fees: state.fees.to_string(),
            funding: state.funding.to_string(),
            pnl: pnl(state).to_string(),
            mark: it.price_decimal(state.mark).to_string(),
            fills: state.fills,
        }
    }
}

impl Positions {
    /// Reads them.
    pub fn read(region: &Region) -> Self {
        let mut by_venue: BTreeMap<String, Notional> = BTreeMap::new();
        let positions = lines(region).map(|(it, state)| {
            let sum = by_venue.entry(it.venue.name().to_owned()).or_default();
            sum.0 = sum.0.saturating_add(pnl(&state).0);
            Position::of(&it, &state)
        });
        let positions = positions.collect();
        let strategies = parts(region).into_iter().map(|(part, it)| Part {
            strategy: (part.strategy != StrategyId::NOBODY).then_some(part.strategy.0),
            position: Position::of(&it, &part.state),
        });
        Self {
            outcome: "done",
            positions,
            strategies: strategies.collect(),
            pnl: by_venue
                .into_iter()
                .map(|(venue, sum)| (venue, sum.to_string()))
                .collect(),
        }
    }

    /// For people.
    pub fn text(region: &Region) -> String {
        let mut table = Table::new(&[
            "venue",
            "symbol",
            ">qty",
            ">mark",
            ">realised",
            ">unrealised",
            ">fees",
            ">funding",
            ">P&L",
            ">fills",
        ]);
        for (it, state) in lines(region) {
            table.row([
                it.venue.name().to_owned(),
                it.symbol.as_str().to_owned(),
                it.qty_decimal(state.qty).to_string(),
                it.price_decimal(state.mark).to_string(),
                money(state.realised),
                money(state.unrealised),
                money(state.fees),
                money(state.funding),
                money(pnl(&state)),
                state.fills.to_string(),
            ]);
        }
        if table.is_empty() {
            "no positions yet".to_owned()
        } else {
            table.render()
        }
    }
}
