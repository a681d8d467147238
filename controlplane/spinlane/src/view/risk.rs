//! `spinlane risk`: what is used of each limit, what is halted, how the kill switch stands.

use super::status::{self, Kill};
use super::{age_ms, instrument, now, positions};
use crate::table::Table;
use dp_risk::used_ppm;
use dp_shm::{InstrumentLimits, Region, RiskState};
use dp_types::{AssetId, InstrumentId, LaneId, Notional, Qty, VenueId};
use serde::Serialize;

/// How a node stands towards its limits.
#[derive(Debug, Clone, Serialize)]
pub struct Risk {
    /// `done`.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// Kill switch.
    pub kill: Kill,
    /// What is halted until a named person resumes it.
    pub halts: Vec<Halt>,
    /// Of every rule, in the order of their numbers.
    pub violations: Vec<Violation>,
    /// Lost since midnight UTC over all lanes, beside what the node may lose; negative: won.
    pub day_loss: Used,
    /// Everything held and working over all lanes, beside what that may be.
    pub exposure: Used,
    /// By lane with an engine.
    pub lanes: Vec<Lane>,
    /// By instrument with a limit or a position.
    pub positions: Vec<Position>,
}

/// A halt.
#[derive(Debug, Clone, Serialize)]
pub struct Halt {
    /// Where.
    pub venue: String,
    /// What; `None` = the whole venue.
    pub symbol: Option<String>,
    /// The rule that tripped.
    pub rule: &'static str,
}

/// How often a rule was violated, all lanes, since the shared memory was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule: one of the gate's, which refuses an order or an amend, or a watch's, which trips.
    pub rule: &'static str,
    /// How often. `risk_events` has each trip, and of refusals by one rule to one strategy the first of each second.
    pub count: u64,
}

/// Of every rule there is; `risk_violations_total`.
pub fn violations(region: &Region) -> Vec<Violation> {
    let count = |code| region.lanes().map(|lane| lane.violations.get(code)).sum();
    let rules = (0..=u8::MAX).filter_map(|code| Some((code, dp_risk::rule_name(code)?)));
    let violation = |(code, rule)| Violation {
        rule,
        count: count(code),
    };
    rules.map(violation).collect()
}

/// A number beside what it may be. Exact decimal texts; `None` = not limited.
#[derive(Debug, Clone, Serialize)]
pub struct Used {
    /// What it is.
    pub value: String,
    /// What it may be.
    pub limit: Option<String>,
    /// How much of it is used, millionths.
    pub used_ppm: Option<u64>,
}

/// A lane.
#[derive(Debug, Clone, Serialize)]
pub struct Lane {
    /// Which.
    pub lane: u8,
    /// The reporting currency; `None` = money is not watched.
    pub currency: Option<String>,
    /// What everything held is worth is known.
    pub is_counted: bool,
    /// Realised + unrealised + funding - fees.
    pub equity: String,
    /// Lost since midnight UTC; negative: won.
    pub day_loss: Used,
    /// Fallen from the highest equity.
    pub drawdown: Used,
    /// Everything held and working.
    pub exposure: Used,
    /// The currency nearest to its limit.
    pub top_currency: Option<String>,
    /// Exposure in it.
    pub currency_exposure: Used,
    /// New orders and amends of the last second.
    pub orders_per_s: Used,
    /// Since this was written.
    pub age_ms: Option<u64>,
}

/// An instrument.
#[derive(Debug, Clone, Serialize)]
pub struct Position {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Net position, and the largest either way.
    #[serde(flatten)]
    pub used: Used,
}

fn amount(value: Notional, limit: Notional) -> Used {
    let is_limited = limit.0 > 0;
    Used {
        value: value.to_string(),
        limit: is_limited.then(|| limit.to_string()),
        used_ppm: is_limited.then(|| used_ppm(value.0.max(0), limit.0)),
    }
}

fn asset(region: &Region, id: Option<AssetId>) -> Option<String> {
    let name = region.assets().get(id?)?;
    Some(name.as_str().to_owned())
}

impl Risk {
    /// Reads it.
    pub fn read(region: &Region) -> Self {
        let states: Vec<(LaneId, RiskState)> = (0..region.shape().lanes as u8)
            .map(LaneId)
            .filter_map(|lane| Some((lane, region.risk(lane)?.read()?)))
            .collect();
        let halts = states.iter().flat_map(|(_, state)| state.halts).flatten();
        let halts = halts.map(|halt| {
            let it = halt.instrument.map(|id| instrument(region, halt.venue, id));
            Halt {
                venue: halt.venue.name().to_owned(),
                symbol: it.map(|it| it.symbol.as_str().to_owned()),
                rule: crate::names::rule(halt.rule),
            }
        });
        Self {
            outcome: "done",
            node: region.node().as_str().to_owned(),
            kill: status::kill(region),
            halts: halts.collect(),
            violations: violations(region),
            day_loss: sum(&states, |it| (day_loss(it), it.day_loss_max)),
            exposure: sum(&states, |it| (it.gross, it.gross_max)),
            lanes: states
                .iter()
                .map(|(lane, state)| Lane::of(region, *lane, state))
                .collect(),
            positions: limited(region),
        }
    }

    /// Every limit that has a number beside it: Prometheus' labels, and how much of it is used, millionths.
    pub fn utilisation(&self) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        let mut add = |labels: String, used: &Used| {
            all.extend(used.used_ppm.map(|ppm| (format!("{{{labels}}}"), ppm)));
        };
        add("limit=\"day_loss\"".into(), &self.day_loss);
        add("limit=\"exposure\"".into(), &self.exposure);
        for it in &self.lanes {
            let lane = it.lane;
            add(format!("limit=\"drawdown\",lane=\"{lane}\""), &it.drawdown);
            let currency = "currency_exposure";
            add(
                format!("limit=\"{currency}\",lane=\"{lane}\""),
                &it.currency_exposure,
            );
            add(
                format!("limit=\"orders_per_s\",lane=\"{lane}\""),
                &it.orders_per_s,
            );
        }
        for it in &self.positions {
            let (venue, symbol) = (&it.venue, &it.symbol);
            add(
                format!("limit=\"position\",venue=\"{venue}\",symbol=\"{symbol}\""),
                &it.used,
            );
        }
        all
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{}: {}",
            self.node,
            if self.kill.is_killed {
                "KILLED"
            } else {
                "armed"
            }
        );
        if let (true, Some(why)) = (self.kill.is_killed, &self.kill.reason) {
            out.push_str(&format!(" ({why})"));
        }
        for halt in &self.halts {
            let symbol = halt.symbol.as_deref().unwrap_or("");
            out.push_str(&format!(
                "\nHALTED {} {symbol}: {}; when it is safe: spinlane resume {} {symbol} --by NAME",
                halt.venue, halt.rule, halt.venue
            ));
        }
        let violated = self.violations.iter().filter(|it| it.count > 0);
        let violated: Vec<String> = violated
            .map(|it| format!("{} {}", it.rule, it.count))
            .collect();
        if !violated.is_empty() {
            out.push_str(&format!("\nviolations: {}", violated.join(", ")));
        }
        let mut table = Table::new(&["what", ">is", ">limit", ">used"]);
        if self.lanes.len() > 1 {
            self.day_loss
                .row("all lanes: lost today".into(), &mut table);
            self.exposure.row("all lanes: exposure".into(), &mut table);
        }
        for lane in &self.lanes {
            lane.rows(&mut table);
        }
        for position in &self.positions {
            let what = format!("position {} {}", position.venue, position.symbol);
            position.used.row(what, &mut table);
        }
        if !table.is_empty() {
            out.push('\n');
            out.push_str(&table.render());
        }
        out
    }
}

impl Used {
    fn row(&self, what: String, table: &mut Table) {
        let used = self
            .used_ppm
            .map(|ppm| format!("{}.{} %", ppm / 10_000, ppm / 1_000 % 10));
        table.row([
            what,
            self.value.clone(),
            self.limit.clone().unwrap_or_else(|| "-".into()),
            used.unwrap_or_default(),
        ]);
    }
}

const fn minus(a: Notional, b: Notional) -> Notional {
    Notional(a.0.saturating_sub(b.0))
}

const fn day_loss(state: &RiskState) -> Notional {
    minus(state.at_midnight, state.equity)
}

/// Something of every lane, beside what all of it together may be.
fn sum(states: &[(LaneId, RiskState)], of: impl Fn(&RiskState) -> (Notional, Notional)) -> Used {
    let (mut sum, mut limit) = (Notional(0), Notional(0));
    for (value, max) in states.iter().map(|(_, state)| of(state)) {
        sum.0 = sum.0.saturating_add(value.0);
        limit = limit.max(max);
    }
    amount(sum, limit)
}

impl Lane {
    fn of(region: &Region, lane: LaneId, state: &RiskState) -> Self {
        Self {
            lane: lane.0,
            currency: asset(region, state.currency),
            is_counted: state.is_counted,
            equity: state.equity.to_string(),
            day_loss: amount(day_loss(state), state.day_loss_max),
            drawdown: amount(minus(state.highest, state.equity), state.drawdown_max),
            exposure: amount(state.gross, state.gross_max),
            top_currency: asset(region, state.top),
            currency_exposure: Used {
                used_ppm: (state.top_max.0 > 0)
                    .then(|| used_ppm(state.top_exposure.0, state.top_max.0)),
                ..amount(state.top_exposure, state.top_max)
            },
            orders_per_s: Used {
                value: state.orders_used.to_string(),
                limit: Some(state.orders_max.to_string()),
                used_ppm: Some(used_ppm(state.orders_used.into(), state.orders_max.into())),
            },
            age_ms: age_ms(state.updated, now()),
        }
    }

    fn rows(&self, table: &mut Table) {
        let lane = self.lane;
        if let Some(currency) = &self.currency {
            let known = if self.is_counted {
                ""
            } else {
                ", not all of it counted"
            };
            table.row([
                format!("lane {lane}: equity, {currency}{known}"),
                self.equity.clone(),
            ]);
            self.day_loss.row(format!("lane {lane}: lost today"), table);
            self.drawdown.row(format!("lane {lane}: drawdown"), table);
            self.exposure.row(format!("lane {lane}: exposure"), table);
        }
        if let Some(asset) = &self.top_currency {
            let what = format!("lane {lane}: exposure in {asset}");
            self.currency_exposure.row(what, table);
        }
        self.orders_per_s
            .row(format!("lane {lane}: orders a second"), table);
    }
}

/// Every instrument with a limit or a position.
fn limited(region: &Region) -> Vec<Position> {
    let mut limits = vec![InstrumentLimits::default(); region.shape().instruments as usize];
    region.config().read(&mut limits);
    let held = positions::lines(region).map(|(it, state)| (it.id, state));
    let held: std::collections::BTreeMap<InstrumentId, _> = held.collect();
    let mut all = Vec::new();
    for (id, limits) in (0..).map(InstrumentId).zip(&limits) {
        let state = held.get(&id);
        let max = limits.position_max;
        if max.0 <= 0 && state.is_none() {
            continue;
        }
        let it = instrument(region, VenueId(0), id);
        let qty = state.map_or(Qty(0), |state| state.qty);
        let is_limited = max.0 > 0;
        all.push(Position {
            venue: it.venue.name().to_owned(),
            symbol: it.symbol.as_str().to_owned(),
            used: Used {
                value: it.qty_decimal(qty).to_string(),
                limit: is_limited.then(|| it.qty_decimal(max).to_string()),
                used_ppm: is_limited.then(|| used_ppm(qty.0.into(), max.0.into())),
            },
        });
    }
    all
}
