//! Strategies into their seats: by kind, once the rules of all their instruments are known.

use super::{NodeError, Plan, sentence};
use crate::engine::Engine;
use dp_config::Config;
use dp_strategy::{Boxed, Kind, Values};
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
    }
    Ok(())
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
        for error in seat((self.config, self.kinds), registry, engine, venue) {
            tracing::error!(%error, "a strategy cannot run");
        }
    }
}

/// What a node's strategies are made from: its configuration, and the kinds there are.
type Cast<'a> = (&'a Config, &'a [Kind]);

/// Seats every strategy whose last unknown instrument is this venue's. Returns why some cannot run.
pub(crate) fn seat(
    (config, kinds): Cast<'_>,
    registry: &Registry,
    engine: &mut Engine<'_>,
    venue: VenueId,
) -> Vec<NodeError> {
    let mut faults = Vec::new();
    for (index, section) in config.strategy.iter().enumerate() {
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
        match make((config, kinds), index, &ids, registry) {
            Ok(made) => {
                let symbols: Vec<&str> = legs.iter().map(|leg| leg.symbol.as_str()).collect();
                tracing::info!(
                    strategy = made.name(),
                    symbols = symbols.join(" "),
                    "strategy seated"
                );
                engine.seat(id, &ids, made);
            }
            Err(error) => faults.push(error),
        }
    }
    faults
}

fn make(
    (config, kinds): Cast<'_>,
    index: usize,
    legs: &[InstrumentId],
    registry: &Registry,
) -> Result<Boxed, NodeError> {
    let section = &config.strategy[index];
    let told = |why: String| sentence(format!("strategy[{index}]: {why}"));
    let kind = find(kinds, &section.kind).map_err(told)?;
    let first = legs.first().and_then(|id| registry.get(*id));
    let first = first.ok_or_else(|| told("its instrument is not known".into()))?;
    let values = Values::read(kind.params, first, |name| section.param(name));
    let made = values.and_then(|values| (kind.make)(&values));
    made.map_err(|fault| told(fault.to_string()))
}
