//! Kinds of strategies by name: what each can be set to, on how many instruments it works, how it is made.

use crate::param::{Param, ParamFault, Values};
use crate::{Arbitrage, AvellanedaStoikov, FlowAlpha, MarketMaker, Strategy};

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
    use dp_types::{Instrument, InstrumentId, Text, VenueId};

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
