//! Kinds of strategies by name: what each can be set to, on how many instruments it works, how it is made.

use crate::param::{Param, ParamFault, Unit, Values};
use crate::{Arbitrage, AvellanedaStoikov, FlowAlpha, MarketMaker, Strategy};
use dp_types::{Instrument, InstrumentId, Text, VenueId};

/// A strategy as the engine holds it.
pub type Boxed = Box<dyn Strategy + Send>;

/// One kind of strategy.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// `kind` in the configuration.
    pub name: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// What it can be set to, in the order of its [`Values`].
    pub params: &'static [Param],
    /// Least and largest number of instruments it works on.
    pub legs: (usize, usize),
    /// Makes one. Errors: values that do not go together.
    pub make: fn(&Values) -> Result<Boxed, ParamFault>,
}

impl Kind {
    /// Checks what can be before an instrument's rules are known: that each given name is a parameter, that those that
    /// must be given are, and that what needs no rules can be read.
    ///
    /// Errors: the name, and what is wrong with it.
    pub fn check(
        &self,
        given: &[&str],
        text_of: impl Fn(&str) -> Option<String>,
    ) -> Result<(), (String, String)> {
        let find = |name: &str| self.params.iter().find(|param| param.name == name);
        for name in given {
            if find(name).is_none() {
                let names: Vec<&str> = self.params.iter().map(|param| param.name).collect();
                let why = format!("{} has no such key; it has {}", self.name, names.join(", "));
                return Err(((*name).to_owned(), why));
            }
        }
        let nobody = Instrument::bare(InstrumentId(0), VenueId(0), Text::EMPTY, 18, 18);
        for param in self.params {
            let needs_rules = matches!(param.unit, Unit::Qty | Unit::Price);
            let told = match text_of(param.name) {
                Some(_) if needs_rules => continue,
                Some(text) => param.parse(&text, &nobody).map(drop),
                None if param.default.is_none() => Err(ParamFault::Missing(param.name)),
                None => continue,
            };
            told.map_err(|fault| (param.name.to_owned(), fault.to_string()))?;
        }
        Ok(())
    }
}

/// The kinds that are shipped. A binary of your own hands its kinds to the node beside these.
pub const SHIPPED: [Kind; 4] = [
    MarketMaker::KIND,
    AvellanedaStoikov::KIND,
    FlowAlpha::KIND,
    Arbitrage::KIND,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::param::PARAMS_MAX;

    #[test]
    fn a_wrong_key_is_told_with_the_right_ones() {
        let kind = MarketMaker::KIND;
        let none = |_: &str| None;
        let (key, why) = kind.check(&["quote_qtty"], none).unwrap_err();
        assert_eq!(key, "quote_qtty");
        assert!(why.contains("quote_qty, position_max"), "{why}");
        let (key, why) = kind.check(&[], none).unwrap_err();
        assert_eq!(
            (key.as_str(), why.as_str()),
            ("quote_qty", "`quote_qty` is missing")
        );
        let ticks = |name: &str| match name {
            "half_spread_ticks" => Some("many".to_owned()),
            _ => Some("1".to_owned()),
        };
        let (key, _) = kind.check(&["half_spread_ticks"], ticks).unwrap_err();
        assert_eq!(key, "half_spread_ticks");
    }

    #[test]
    fn each_shipped_kind_is_made_of_its_defaults_and_named_as_it_names_itself() {
        let it = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 1, 3);
        for kind in SHIPPED {
            assert!(kind.params.len() <= PARAMS_MAX, "{}", kind.name);
            let must = |name: &str| {
                let param = kind.params.iter().find(|param| param.name == name);
                param
                    .filter(|param| param.default.is_none())
                    .map(|_| "1".to_owned())
            };
            let values = Values::read(kind.params, &it, must).unwrap();
            let mut made = (kind.make)(&values).unwrap();
            assert_eq!(made.name(), kind.name);
            made.set(&values).unwrap();
            for (at, param) in kind.params.iter().enumerate() {
                let twins = kind.params.iter().filter(|other| other.name == param.name);
                assert_eq!(twins.count(), 1, "{}.{}", kind.name, param.name);
                assert!(param.default.is_none_or(|value| param.check(value).is_ok()));
                assert!(values.with(kind.params, at, values.get(at)).is_ok());
            }
        }
    }
}
