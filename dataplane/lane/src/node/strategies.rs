//! Strategies into their seats: by kind, once the rules of all their instruments are known.

use super::kept::{Kept, spec_of};
use super::{NodeError, Plan, sentence};
use crate::engine::{Engine, Seating};
use dp_config::Config;
use dp_strategy::{Arbitrage, Kind, Values};
use dp_types::{InstrumentId, StrategyId, VenueId};
use dp_venue_api::Registry;

/// Checks all that can be before a venue is met. Errors name the key and the mend.
pub fn check(config: &Config, kinds: &[Kind]) -> Result<(), String> {
    for (index, section) in config.strategy.iter().enumerate() {
        let key = format!("strategy[{index}]");
        let kind = find(kinds, &section.kind).map_err(|why| format!("{key}.kind: {why}"))?;
        let (least, most) = kind.legs;
        let legs = section.legs().len();
        if !(least..=most).contains(&legs) {
            return Err(format!(
                "{key}: {} works on {least} to {most} instruments, {legs} are named",
                kind.name
            ));
        }
        let given: Vec<&str> = section.params().collect();
        let checked = kind.check(&given, |name| section.param(name));
        checked.map_err(|(name, why)| format!("{key}.{name}: {why}"))?;
        if kind.name == Arbitrage::KIND.name {
            check_reach(config, section).map_err(|why| format!("{key}.{why}"))?;
        }
    }
    Ok(())
}

/// An order that hedges must be one the gate lets out. Errors: the key, and what is wrong with it.
fn check_reach(config: &Config, section: &dp_config::Strategy) -> Result<(), String> {
    let name = Arbitrage::HEDGE_MAX;
    let param = Arbitrage::KIND
        .params
        .iter()
        .find(|param| param.name == name);
    let given = section.param(name).and_then(|text| text.parse().ok());
    let reach: i64 = given.or(param.and_then(|it| it.default)).unwrap_or(0);
    let collar = i64::from(config.risk.collar_bps) * 100;
    if reach < collar {
        return Ok(());
    }
    let bps = config.risk.collar_bps;
    Err(format!(
        "{name}: {reach} is not below risk.collar_bps ({bps}: {collar} millionths), beyond which no order leaves: lower it"
    ))
}

fn find<'k>(kinds: &'k [Kind], name: &str) -> Result<&'k Kind, String> {
    kinds.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        format!("`{name}` is not one of: {}", names.join(", "))
    })
}

impl Plan<'_> {
    /// As [`seat`].
    pub(super) fn seat_strategies(
        &self,
        registry: &Registry,
        engine: &mut Engine<'_>,
        venue: VenueId,
    ) {
        let kept = |index: usize| self.kept.get(index).copied();
        for error in seat((self.config, self.kinds), &kept, registry, engine, venue) {
            tracing::error!(%error, "a strategy cannot run");
        }
    }
}

/// What a node's strategies are made from: its configuration, and the kinds there are.
type Cast<'a> = (&'a Config, &'a [Kind]);

/// Seats every strategy whose last unknown instrument is this venue's, as it was `kept`. Returns why some cannot run.
pub(super) fn seat(
    cast: Cast<'_>,
    kept: &dyn Fn(usize) -> Option<Kept>,
    registry: &Registry,
    engine: &mut Engine<'_>,
    venue: VenueId,
) -> Vec<NodeError> {
    let mut faults = Vec::new();
    for (index, section) in cast.0.strategy.iter().enumerate() {
        let id = StrategyId(index as u16);
        let legs = section.legs();
        let is_here = legs
            .iter()
            .any(|leg| VenueId::from_name(&leg.venue) == Some(venue));
        if !is_here || engine.is_seated(id) {
            continue;
        }
        let known = |leg: &dp_config::Leg| {
            let found = registry.find(VenueId::from_name(&leg.venue)?, leg.symbol.as_bytes())?;
            engine.book(found).is_some().then_some(found)
        };
        let Some(ids) = legs.iter().map(known).collect::<Option<Vec<_>>>() else {
            continue;
        };
        match seating(cast, kept, index, &ids, registry) {
            Ok(seating) => {
                let symbols: Vec<&str> = legs.iter().map(|leg| leg.symbol.as_str()).collect();
                tracing::info!(
                    strategy = seating.name.as_str(),
                    kind = seating.kind.name,
                    symbols = symbols.join(" "),
                    goal = seating.goal.name(),
                    "strategy seated"
                );
                engine.sit(seating);
            }
            Err(error) => faults.push(error),
        }
    }
    faults
}

/// Seats them as the configuration says, whatever was before.
pub(crate) fn seat_fresh(
    cast: Cast<'_>,
    registry: &Registry,
    engine: &mut Engine<'_>,
    venue: VenueId,
) -> Vec<NodeError> {
    let fresh = |index: usize| cast.0.strategy.get(index).map(Kept::configured);
    seat(cast, &fresh, registry, engine, venue)
}

/// A strategy as the configuration wants it and as it was left: what was set since stays, unless the configuration says
/// something else of it than it did then.
fn seating(
    (config, kinds): Cast<'_>,
    kept: &dyn Fn(usize) -> Option<Kept>,
    index: usize,
    legs: &[InstrumentId],
    registry: &Registry,
) -> Result<Seating, NodeError> {
    let section = &config.strategy[index];
    let id = StrategyId(index as u16);
    let told = |why: String| sentence(format!("strategy[{index}]: {why}"));
    let kind = find(kinds, &section.kind).map_err(told)?;
    let first = legs.first().and_then(|id| registry.get(*id));
    let first = first.ok_or_else(|| told("its instrument is not known".into()))?;
    let configured = Values::read(kind.params, first, |name| section.param(name))
        .map_err(|fault| told(fault.to_string()))?;
    let spec = spec_of(config, id, kind);
    let kept = kept(index).ok_or_else(|| told("its state is not known".into()))?;
    let mut raw = *configured.raw();
    if kept.identity == spec.identity {
        let then = kept.values.iter().zip(&kept.configured);
        for (value, (set, configured)) in raw.iter_mut().zip(then) {
            if configured == value {
                *value = *set;
            }
        }
    }
    let values = Values::from_raw(kind.params, &raw).unwrap_or(configured);
    Ok(Seating {
        id,
        name: spec.name,
        legs: legs.to_vec(),
        kind: *kind,
        values,
        configured,
        identity: spec.identity,
        goal: kept.goal,
        saved: kept.saved,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of an arbitrage with this key more, under a collar of 40 basis points.
    fn told(more: &str) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let venue = |name: &str, symbol: &str| {
            format!(
                "[venue.{name}]\nrest = \"localhost:1\"\npublic = \"localhost:2\"\nprivate = \"localhost:3\"\n\
                 symbols = [\"{symbol}\"]\n"
            )
        };
        let text = format!(
            "[node]\nname = \"t\"\nshm = \"/dev/shm/t\"\nstate_dir = \"/tmp/t\"\n\
             [[lane]]\nvenues = [\"binance\", \"okx\"]\nidle = \"park\"\n{}{}\
             [[strategy]]\nkind = \"arbitrage\"\norder_qty = \"1\"\nposition_max = \"1\"\n{more}\n\
             legs = [{{ venue = \"binance\", symbol = \"BTCUSDT\" }}, {{ venue = \"okx\", symbol = \"BTC-USDT\" }}]\n\
             [risk]\ncollar_bps = 40\n",
            venue("binance", "BTCUSDT"),
            venue("okx", "BTC-USDT"),
        );
        std::fs::write(&path, text).unwrap();
        check(&Config::load(&path).unwrap(), &dp_strategy::SHIPPED)
    }

    #[test]
    fn a_hedge_may_not_be_set_to_reach_beyond_the_collar() {
        assert_eq!(told("hedge_max_ppm = 3999"), Ok(()));
        for more in ["", "hedge_max_ppm = 4000"] {
            let why = told(more).unwrap_err();
            assert!(why.starts_with("strategy[0].hedge_max_ppm: "), "{why}");
            assert!(why.contains("risk.collar_bps (40: 4000"), "{why}");
        }
    }
}
