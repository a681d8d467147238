//! `[[strategy]]`: a kind, the instruments it works on, and what that kind can be set to.
//!
//! ```toml
//! [[strategy]]                          # on one instrument
//! kind = "market_maker"
//! venue = "okx"
//! symbol = "BTC-USDT"
//! quote_qty = "0.01"                    # from here on: the kind's own; `spinlane strategies --kinds` lists them
//! position_max = "0.1"
//!
//! [[strategy]]                          # on several
//! name = "arb-btc"                      # else the kind and its place: arbitrage-1
//! start = false                         # waits for `spinlane strategy start arb-btc`; true where nothing is said
//! kind = "arbitrage"
//! legs = [
//!   { venue = "okx", symbol = "BTC-USDT" },
//!   { venue = "binance", symbol = "BTCUSDT" },
//! ]
//! order_qty = "0.01"
//! position_max = "0.5"
//! ```
//! What is no whole number and no yes or no is written as a text: quantities and decimals are exact.

use crate::Config;
use dp_types::limit::STRATEGIES_MAX;
use dp_types::{StrategyId, VenueId};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One strategy.
#[derive(Debug, Clone, Deserialize)]
pub struct Strategy {
    /// Its name on the command line; [`Config::strategy_name`] where none is given.
    pub name: Option<String>,
    /// Which kind.
    pub kind: String,
    /// It acts as soon as it can; else it waits for `spinlane strategy start`. What people have done since counts more.
    #[serde(default = "yes")]
    pub start: bool,
    /// Venue of its only instrument.
    venue: Option<String>,
    /// Its only instrument, as the venue writes it.
    symbol: Option<String>,
    /// Its instruments, where it has several.
    #[serde(default)]
    legs: Vec<Leg>,
    /// What its kind can be set to.
    #[serde(flatten)]
    params: BTreeMap<String, Setting>,
}

const fn yes() -> bool {
    true
}

/// An instrument.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Venue name.
    pub venue: String,
    /// Symbol as the venue writes it.
    pub symbol: String,
}

/// A value of a key that only the kind knows.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Setting {
    Text(String),
    Whole(i64),
    Flag(bool),
    /// Anything else: refused by name.
    Other(toml::Value),
}

impl Strategy {
    /// Its instruments, in order.
    pub fn legs(&self) -> Vec<Leg> {
        match (&self.venue, &self.symbol) {
            (Some(venue), Some(symbol)) => vec![Leg {
                venue: venue.clone(),
                symbol: symbol.clone(),
            }],
            _ => self.legs.clone(),
        }
    }

    /// What a key of its kind is set to, as text; `None` where it is not there.
    pub fn param(&self, name: &str) -> Option<String> {
        match self.params.get(name)? {
            Setting::Text(text) => Some(text.clone()),
            Setting::Whole(number) => Some(number.to_string()),
            Setting::Flag(flag) => Some(flag.to_string()),
            Setting::Other(_) => None,
        }
    }

    /// Keys of its kind that are there.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.keys().map(String::as_str)
    }
}

impl Config {
    /// A strategy's name: its own, or its kind and place.
    pub fn strategy_name(&self, id: StrategyId) -> Option<String> {
        let section = self.strategy.get(usize::from(id.0))?;
        let place = || format!("{}-{}", section.kind, id.0);
        Some(section.name.clone().unwrap_or_else(place))
    }

    /// The strategy with this name, or this number.
    pub fn strategy_id(&self, name: &str) -> Option<StrategyId> {
        let ids = || (0..self.strategy.len() as u16).map(StrategyId);
        let by_name = ids().find(|id| self.strategy_name(*id).as_deref() == Some(name));
        by_name.or_else(|| ids().find(|id| name.parse() == Ok(id.0)))
    }

    /// Errors: the key, and what is wrong with it.
    pub(crate) fn check_strategies(&self) -> Result<(), (String, String)> {
        for (index, section) in self.strategy.iter().enumerate() {
            let refuse = |key: &str, why: String| Err((format!("strategy[{index}]{key}"), why));
            let has_one = section.venue.is_some() || section.symbol.is_some();
            if has_one && !section.legs.is_empty() {
                return refuse(".legs", "leave out either venue and symbol, or legs".into());
            }
            let legs = section.legs();
            if legs.is_empty() {
                return refuse(
                    "",
                    "name its instrument: venue and symbol, or several as legs".into(),
                );
            }
            for (at, leg) in legs.iter().enumerate() {
                let key = |name: &str| {
                    if has_one {
                        format!(".{name}")
                    } else {
                        format!(".legs[{at}].{name}")
                    }
                };
                if !VenueId::from_name(&leg.venue).is_none_or(VenueId::takes_orders) {
                    let why = format!("{} takes no orders: it is prices alone", leg.venue);
                    return refuse(&key("venue"), why);
                }
                let known = self.venue.get(&leg.venue).map(|venue| &venue.symbols);
                if !known.is_some_and(|symbols| symbols.contains(&leg.symbol)) {
                    let why = format!("`{}` is not among venue.{}.symbols", leg.symbol, leg.venue);
                    return refuse(&key("symbol"), why);
                }
                if legs[..at].contains(leg) {
                    return refuse(&key("symbol"), "is there twice".into());
                }
            }
            self.check_one_engine(index, &legs)?;
            for (name, value) in &section.params {
                if let Setting::Other(value) = value {
                    let why = format!("write {value} as a text: {name} = \"{value}\"");
                    return refuse(&format!(".{name}"), why);
                }
            }
            let name = self.strategy_name(StrategyId(index as u16));
            // It names a file, and a field of 31 bytes.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let is_name = |name: &str| {
                (1..=31).contains(&name.len())
                    && name.chars().all(is_plain)
                    && !name.starts_with('.')
            };
            if !name.as_deref().is_some_and(is_name) {
                let why = "1 to 31 letters, digits, `-`, `_` and `.`, not first a `.`";
                return refuse(".name", why.into());
            }
            if index >= STRATEGIES_MAX {
                return refuse(
                    "",
                    format!("a node has at most {STRATEGIES_MAX} strategies"),
                );
            }
            let twin =
                (0..index as u16).find(|other| self.strategy_name(StrategyId(*other)) == name);
            if let (Some(twin), Some(name)) = (twin, name) {
                return refuse(".name", format!("strategy[{twin}] is called `{name}` too"));
            }
        }
        Ok(())
    }

    /// A strategy lives in one engine, which must have the books of all its instruments.
    fn check_one_engine(&self, index: usize, legs: &[Leg]) -> Result<(), (String, String)> {
        let engine = |leg: &Leg| {
            self.lanes_of(crate::Role::Engine, &leg.venue)
                .first()
                .copied()
        };
        let Some(first) = legs.first().and_then(engine) else {
            return Ok(());
        };
        match legs
            .iter()
            .find(|leg| engine(leg).is_some_and(|other| other != first))
        {
            None => Ok(()),
            Some(leg) => Err((
                format!("strategy[{index}].legs"),
                format!(
                    "{} and {} have their engines in two lanes: put both venues into one lane with the role engine",
                    legs[0].venue, leg.venue
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{GOOD, load};
    use dp_types::StrategyId;

    /// The good configuration with another strategy section.
    fn with(section: &str) -> Result<crate::Config, String> {
        let (before, rest) = GOOD.split_once("[[strategy]]").unwrap();
        let after = rest.find("\n[").map_or("", |at| &rest[at..]);
        load(&format!("{before}[[strategy]]\n{section}\n{after}"))
    }

    const ONE: &str = "kind = \"x\"\nvenue = \"binance\"\nsymbol = \"BTCUSDT\"";

    #[test]
    fn one_instrument_or_several_and_the_kinds_own_keys() {
        let config = with(&format!("{ONE}\nqty = \"0.1\"\nticks = 3\namend = true")).unwrap();
        let section = &config.strategy[0];
        assert!(section.start);
        let waits = with(&format!("{ONE}\nstart = false")).unwrap();
        assert!(!waits.strategy[0].start);
        assert_eq!(section.legs().len(), 1);
        let told = ["qty", "ticks", "amend", "none"].map(|name| section.param(name));
        let want = [Some("0.1"), Some("3"), Some("true"), None];
        assert_eq!(told, want.map(|text| text.map(str::to_owned)));
        assert_eq!(
            section.params().collect::<Vec<_>>(),
            ["amend", "qty", "ticks"]
        );
        let legs =
            "kind = \"x\"\nname = \"it\"\nlegs = [{ venue = \"binance\", symbol = \"BTCUSDT\" }]";
        let config = with(legs).unwrap();
        assert_eq!(config.strategy[0].legs()[0].symbol, "BTCUSDT");
        assert_eq!(config.strategy_name(StrategyId(0)).as_deref(), Some("it"));
        assert_eq!(config.strategy_id("it"), Some(StrategyId(0)));
        assert_eq!(config.strategy_id("0"), Some(StrategyId(0)));
        assert_eq!(config.strategy_id("other"), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_mend() {
        for (section, key, why) in [
            (
                "kind = \"x\"",
                "strategy[0]",
                "venue and symbol, or several as legs",
            ),
            (
                &format!("{ONE}\ngamma = 0.1"),
                "strategy[0].gamma",
                "gamma = \"0.1\"",
            ),
            (
                &format!("{ONE}\nlegs = [{{ venue = \"binance\", symbol = \"BTCUSDT\" }}]"),
                "strategy[0].legs",
                "leave out",
            ),
            (
                "kind = \"x\"\nlegs = [{ venue = \"binance\", symbol = \"BTCUSDT\" }, { venue = \"binance\", symbol = \"BTCUSDT\" }]",
                "strategy[0].legs[1].symbol",
                "twice",
            ),
            (
                &format!("{ONE}\nname = \"../killed\""),
                "strategy[0].name",
                "letters",
            ),
            (
                "kind = \"x\"\nlegs = [{ venue = \"binance\", symbol = \"NONE\" }]",
                "strategy[0].legs[0].symbol",
                "not among",
            ),
        ] {
            let error = with(section).unwrap_err();
            assert!(
                error.contains(key) && error.contains(why),
                "{section}: {error}"
            );
        }
        let two = format!("{ONE}\nname = \"a\"\n[[strategy]]\n{ONE}\nname = \"a\"");
        assert!(
            with(&two)
                .unwrap_err()
                .contains("strategy[0] is called `a` too")
        );
    }
}
