//! `spinlane strategies`: where each stands, what it is set to, what befell it.

use super::{age_ms, instrument, money, now, positions};
use crate::names;
use crate::table::Table;
use dp_shm::{Region, StrategySpec, StrategyStatus};
use dp_strategy::{Kind, Unit};
use dp_types::limit::STRATEGIES_MAX;
use dp_types::{Instrument, InstrumentId, Notional, StrategyId, StrategyState, VenueId};
use serde::Serialize;

/// Strategies of a node.
#[derive(Debug, Clone, Serialize)]
pub struct Strategies {
    /// `done`.
    pub outcome: &'static str,
    /// In the configuration's order.
    pub strategies: Vec<Strategy>,
}

/// One strategy.
#[derive(Debug, Clone, Serialize)]
pub struct Strategy {
    /// Its number, as the database has it.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// `loaded`, `running`, `paused`, `stopped` or `failed`.
    pub state: &'static str,
    /// Milliseconds since it came there; null before it has its seat.
    pub state_age_ms: Option<u64>,
    /// It has its seat: the rules of its instruments are known.
    pub is_seated: bool,
    /// The lane whose engine has it.
    pub lane: u8,
    /// What it trades; the first eight.
    pub instruments: Vec<Leg>,
    /// Its orders that are not final.
    pub open_orders: u32,
    /// Times it was made again after a fault, in this run.
    pub restarts: u32,
    /// Calls whose wishes did not fit, in this run.
    pub floods: u32,
    /// Its last fault.
    pub fault: Option<Fault>,
    /// Milliseconds since it saved what it has learnt; null = it has not.
    pub saved_age_ms: Option<u64>,
    /// The last number it told for the record, in its own unit.
    pub signal: i64,
    /// Pairs of orders it finished, in this run.
    pub pairs: u64,
    /// What they made after fees, exact, quote units, in this run; each is a row of `pair_results`.
    pub pairs_net: String,
    /// What it can be set to.
    pub params: Vec<ParamView>,
}

/// An instrument of a strategy, and what the strategy itself holds of it.
#[derive(Debug, Clone, Serialize)]
pub struct Leg {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Net quantity, exact.
    pub qty: String,
    /// Realised + unrealised + funding - fees, exact, quote units.
    pub pnl: String,
}

/// A fault.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// In its own words.
    pub text: String,
    /// How long ago.
    pub age_ms: Option<u64>,
    /// It is made again in so long; null: not by itself, or it runs.
    pub retry_in_ms: Option<u64>,
}

/// A parameter. Values are exact decimal texts of their unit.
#[derive(Debug, Clone, Serialize)]
pub struct ParamView {
    /// Its key.
    pub name: String,
    /// What it is set to; null before the strategy has its seat.
    pub value: Option<String>,
    /// What the configuration says.
    pub configured: Option<String>,
    /// `qty`, `price`, `count`, `decimal` or `flag`.
    pub unit: &'static str,
    /// Least allowed.
    pub least: String,
    /// Largest allowed.
    pub most: String,
}

/// A strategy's lines; `None`: there is none with this number.
pub fn lines(region: &Region, id: StrategyId) -> Option<(StrategySpec, StrategyStatus)> {
    let spec = region.strategy_spec(id)?.read()?;
    let status = region.strategy(id)?.read()?;
    (!spec.name.as_str().is_empty()).then_some((spec, status))
}

/// All there are.
pub fn all(
    region: &Region,
) -> impl Iterator<Item = (StrategyId, StrategySpec, StrategyStatus)> + '_ {
    let ids = (0..STRATEGIES_MAX as u16).map(StrategyId);
    ids.filter_map(|id| lines(region, id).map(|(spec, status)| (id, spec, status)))
}

/// The instrument whose decimals a strategy's parameters have.
pub fn first_instrument(region: &Region, status: &StrategyStatus) -> Instrument {
    instrument(region, VenueId(0), status.legs[0])
}

fn leg(region: &Region, strategy: StrategyId, id: InstrumentId) -> (Leg, Notional) {
    let it = instrument(region, VenueId(0), id);
    let state = positions::part(region, strategy, id).unwrap_or_default();
    let pnl = positions::pnl(&state);
    let leg = Leg {
        venue: it.venue.name().to_owned(),
        symbol: it.symbol.as_str().to_owned(),
        qty: names::trim(&it.qty_decimal(state.qty).to_string()),
        pnl: pnl.to_string(),
    };
    (leg, pnl)
}

fn legs<'a>(
    region: &'a Region,
    strategy: StrategyId,
    status: &'a StrategyStatus,
) -> impl Iterator<Item = (Leg, Notional)> + 'a {
    let count = usize::from(status.legs_count);
    let ids = status.legs.iter().take(count);
    ids.map(move |id| leg(region, strategy, *id))
}

impl Strategies {
    /// Reads them.
    pub fn read(region: &Region) -> Self {
        let strategies =
            all(region).map(|(id, spec, status)| Strategy::of(region, id, &spec, &status));
        Self {
            outcome: "done",
            strategies: strategies.collect(),
        }
    }

    /// For people.
    pub fn text(region: &Region) -> String {
        let mut table = Table::new(&[
            "strategy",
            "state",
            "instruments",
            ">orders",
            ">P&L",
            ">restarts",
            "last fault",
        ]);
        let mut params = String::new();
        for (id, spec, status) in all(region) {
            let told: Vec<(Leg, Notional)> = legs(region, id, &status).collect();
            let symbols: Vec<&str> = told.iter().map(|(leg, _)| leg.symbol.as_str()).collect();
            let pnl = told
                .iter()
                .fold(0i128, |sum, (_, pnl)| sum.saturating_add(pnl.0));
            table.row([
                spec.name.as_str().to_owned(),
                status.state.name().to_owned(),
                symbols.join(" "),
                status.live_orders.to_string(),
                money(Notional(pnl)),
                status.restarts.to_string(),
                status.fault.as_str().to_owned(),
            ]);
            params.push_str(&format!("\n\n{} ({})", spec.name, spec.kind));
            if status.pairs > 0 {
                let net = money(status.pairs_net);
                params.push_str(&format!("\n  {} pairs made {net}", status.pairs));
            }
            for param in param_views(region, &spec, &status) {
                let value = param.value.unwrap_or_else(|| "-".into());
                params.push_str(&format!(
                    "\n  {} = {value}   {}, {} to {}",
                    param.name, param.unit, param.least, param.most
                ));
            }
        }
        if table.is_empty() {
            return "no strategies".to_owned();
        }
        format!("{}{params}", table.render())
    }
}

impl Strategy {
    fn of(region: &Region, id: StrategyId, spec: &StrategySpec, status: &StrategyStatus) -> Self {
        let now = now();
        let fault = status.fault.as_str();
        let waits = status.state == StrategyState::Failed && status.retry_at.0 > 0;
        Self {
            id: id.0,
            name: spec.name.as_str().to_owned(),
            kind: spec.kind.as_str().to_owned(),
            state: status.state.name(),
            state_age_ms: age_ms(status.since, now),
            is_seated: status.is_seated,
            lane: status.lane.0,
            instruments: legs(region, id, status).map(|(leg, _)| leg).collect(),
            open_orders: status.live_orders,
            restarts: status.restarts,
            floods: status.floods,
            fault: (!fault.is_empty()).then(|| Fault {
                text: fault.to_owned(),
                age_ms: age_ms(status.fault_at, now),
                retry_in_ms: waits.then(|| status.retry_at.since(now) / 1_000_000),
            }),
            saved_age_ms: age_ms(status.saved_at, now),
            signal: status.signal,
            pairs: status.pairs,
            pairs_net: status.pairs_net.to_string(),
            params: param_views(region, spec, status),
        }
    }
}

fn param_views(region: &Region, spec: &StrategySpec, status: &StrategyStatus) -> Vec<ParamView> {
    let it = first_instrument(region, status);
    let views = spec.params.iter().zip(status.values).zip(status.configured);
    let views = views.take(usize::from(spec.params_count));
    let view = |((param, value), configured): ((&dp_shm::ParamSpec, i64), i64)| {
        let unit = Unit::from_raw(param.unit).unwrap_or(Unit::Count);
        let text = |value| {
            let text = unit.text(value, &it);
            names::trim(&text)
        };
        ParamView {
            name: param.name.as_str().to_owned(),
            value: status.is_seated.then(|| text(value)),
            configured: status.is_seated.then(|| text(configured)),
            unit: unit.name(),
            least: text(param.range.0),
            most: text(param.range.1),
        }
    };
    views.map(view).collect()
}

/// The kinds of this build, and what each can be set to.
#[derive(Debug, Clone, Serialize)]
pub struct Kinds {
    /// `done`.
    pub outcome: &'static str,
    /// By name.
    pub kinds: Vec<KindView>,
}

/// A kind.
#[derive(Debug, Clone, Serialize)]
pub struct KindView {
    /// `kind` in the configuration.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// Least and largest number of instruments.
    pub instruments: (usize, usize),
    /// What it can be set to.
    pub params: Vec<KindParam>,
}

/// A parameter of a kind.
#[derive(Debug, Clone, Serialize)]
pub struct KindParam {
    /// Its key.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Where none is given, in the unit's integers; null: one must be.
    pub default: Option<i64>,
    /// Least and largest, in the unit's integers.
    pub range: (i64, i64),
}

impl Kinds {
    /// Of these.
    pub fn of(kinds: &[Kind]) -> Self {
        let view = |kind: &Kind| KindView {
            name: kind.name,
            help: kind.help,
            instruments: kind.legs,
            params: kind
                .params
                .iter()
                .map(|param| KindParam {
                    name: param.name,
                    help: param.help,
                    unit: param.unit.name(),
                    default: param.default,
                    range: param.range,
                })
                .collect(),
        };
        Self {
            outcome: "done",
            kinds: kinds.iter().map(view).collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let kind = |kind: &KindView| {
            let mut text = format!("{}: {}", kind.name, kind.help);
            for param in &kind.params {
                text.push_str(&format!(
                    "\n  {:<16} {}: {}",
                    param.name, param.unit, param.help
                ));
            }
            text
        };
        let kinds: Vec<String> = self.kinds.iter().map(kind).collect();
        kinds.join("\n\n")
    }
}
