//! Typed parameters: what a strategy can be set to, in the configuration and while it runs.

use dp_types::{Decimal, Instrument, Price, Qty};

/// Parameters one kind of strategy may have.
pub const PARAMS_MAX: usize = 16;

/// What a parameter's text means, and what one of its integer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A quantity of the first instrument, as a decimal; increments.
    Qty,
    /// A price of the first instrument, as a decimal; increments.
    Price,
    /// A whole number of things the name tells (ticks, milliseconds, basis points).
    Count,
    /// A decimal with at most nine places; 10^-9.
    Nano,
    /// `true` or `false`; 1 or 0.
    Flag,
}

impl Unit {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [Self::Qty, Self::Price, Self::Count, Self::Nano, Self::Flag];

    /// The word in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qty => "qty",
            Self::Price => "price",
            Self::Count => "count",
            Self::Nano => "decimal",
            Self::Flag => "flag",
        }
    }

    /// From its number; `None`: there is none.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Self::ALL.get(usize::from(raw)).copied()
    }

    /// A value as people write it: the inverse of [`Unit::parse`].
    pub fn text(self, value: i64, instrument: &Instrument) -> String {
        match self {
            Self::Qty => instrument.qty_decimal(Qty(value)).to_string(),
            Self::Price => instrument.price_decimal(Price(value)).to_string(),
            Self::Count => value.to_string(),
            Self::Nano => Decimal {
                mantissa: value,
                exponent: -9,
            }
            .to_string(),
            Self::Flag => (value != 0).to_string(),
        }
    }

    /// Reads a value. Errors: what is wanted instead.
    pub fn parse(self, text: &str, instrument: &Instrument) -> Result<i64, &'static str> {
        let decimal = || Decimal::parse(text.as_bytes()).ok();
        let (value, wanted) = match self {
            Self::Qty => (
                decimal()
                    .and_then(|it| instrument.qty(it).ok())
                    .map(|qty| qty.0),
                "a quantity with the instrument's decimals",
            ),
            Self::Price => (
                decimal()
                    .and_then(|it| instrument.price(it).ok())
                    .map(|price| price.0),
                "a price with the instrument's decimals",
            ),
            Self::Count => (text.parse().ok(), "a whole number"),
            Self::Nano => (
                decimal().and_then(|it| it.to_increments(9).ok()),
                "a decimal with at most nine places",
            ),
            Self::Flag => (
                text.parse::<bool>().ok().map(i64::from),
                "`true` or `false`",
            ),
        };
        value.ok_or(wanted)
    }
}

/// One parameter of a kind of strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// The key in the configuration and on the command line.
    pub name: &'static str,
    /// What its text means.
    pub unit: Unit,
    /// Its value where none is given; `None`: one must be.
    pub default: Option<i64>,
    /// Least and largest value.
    pub range: (i64, i64),
    /// One line for people.
    pub help: &'static str,
}

impl Param {
    /// A quantity above 0 that must be given.
    pub const fn qty(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            unit: Unit::Qty,
            default: None,
            range: (1, i64::MAX),
            help,
        }
    }

    /// A whole number.
    pub const fn count(
        name: &'static str,
        default: i64,
        range: (i64, i64),
        help: &'static str,
    ) -> Self {
        Self {
            name,
            unit: Unit::Count,
            default: Some(default),
            range,
            help,
        }
    }

    /// A decimal above 0, its default in 10^-9.
    pub const fn nano(name: &'static str, default: i64, help: &'static str) -> Self {
        Self {
            name,
            unit: Unit::Nano,
            default: Some(default),
            range: (1, i64::MAX),
            help,
        }
    }

    /// Yes or no; no where nothing is said.
    pub const fn flag(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            unit: Unit::Flag,
            default: Some(0),
            range: (0, 1),
            help,
        }
    }

    /// Reads a value. Errors: [`ParamFault`], which says what was wanted.
    pub fn parse(&self, text: &str, instrument: &Instrument) -> Result<i64, ParamFault> {
        let value = self.unit.parse(text, instrument);
        self.check(value.map_err(|wanted| ParamFault::Unreadable {
            name: self.name,
            wanted,
        })?)
    }

    /// A value within the range. Errors: [`ParamFault::Range`].
    pub const fn check(&self, value: i64) -> Result<i64, ParamFault> {
        let (least, most) = self.range;
        if value < least || value > most {
            return Err(ParamFault::Range {
                name: self.name,
                value,
                least,
                most,
            });
        }
        Ok(value)
    }
}

/// Why a parameter is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamFault {
    /// No such parameter.
    #[error("there is no such parameter")]
    Unknown,
    /// It must be given and is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Its text is no value.
    #[error("`{name}` must be {wanted}")]
    Unreadable {
        /// Which.
        name: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// Out of its range.
    #[error("`{name}` is {value}, allowed are {least} to {most}")]
    Range {
        /// Which.
        name: &'static str,
        /// As given, in its unit's integers.
        value: i64,
        /// Least allowed.
        least: i64,
        /// Largest allowed.
        most: i64,
    },
    /// Two do not go together.
    #[error("{0}")]
    Together(&'static str),
}

/// Values of all parameters of one strategy, in the order of its kind's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values([i64; PARAMS_MAX]);

impl Values {
    /// From texts by name; what is not given is its default.
    ///
    /// Errors: [`ParamFault`]: unreadable, out of range, or missing.
    pub fn read(
        params: &[Param],
        instrument: &Instrument,
        text_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ParamFault> {
        let mut values = [0; PARAMS_MAX];
        for (slot, param) in values.iter_mut().zip(params) {
            *slot = match text_of(param.name) {
                Some(text) => param.parse(&text, instrument)?,
                None => param.default.ok_or(ParamFault::Missing(param.name))?,
            };
        }
        Ok(Self(values))
    }

    /// From integers of their units. Errors: [`ParamFault`]: one is out of its range.
    pub fn from_raw(params: &[Param], raw: &[i64; PARAMS_MAX]) -> Result<Self, ParamFault> {
        let mut values = [0; PARAMS_MAX];
        for ((slot, param), value) in values.iter_mut().zip(params).zip(raw) {
            *slot = param.check(*value)?;
        }
        Ok(Self(values))
    }

    /// All of them, each in its unit; 0 beyond the list.
    pub const fn raw(&self) -> &[i64; PARAMS_MAX] {
        &self.0
    }

    /// The value at `at` of the list; 0 beyond it.
    pub fn get(&self, at: usize) -> i64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The same with another value at `at`. Errors: [`ParamFault`].
    pub fn with(mut self, params: &[Param], at: usize, value: i64) -> Result<Self, ParamFault> {
        let (Some(param), Some(slot)) = (params.get(at), self.0.get_mut(at)) else {
            return Err(ParamFault::Unknown);
        };
        *slot = param.check(value)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{InstrumentId, Text, VenueId};

    const PARAMS: [Param; 4] = [
        Param::qty("quote_qty", "quantity"),
        Param::count("ticks", 2, (1, 50), "ticks"),
        Param::nano("gamma", 100_000_000, "aversion"),
        Param::flag("amend", "amends"),
    ];

    fn read(texts: &[(&str, &str)]) -> Result<Values, String> {
        let it = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 1, 3);
        let text_of = |name: &str| {
            let mut found = texts.iter().filter(|(key, _)| *key == name);
            found.next().map(|(_, text)| (*text).to_owned())
        };
        Values::read(&PARAMS, &it, text_of).map_err(|fault| fault.to_string())
    }

    #[test]
    fn texts_become_integers_of_their_unit_and_the_rest_is_default() {
        let values = read(&[("quote_qty", "0.25"), ("amend", "true"), ("gamma", "1.5")]).unwrap();
        assert_eq!(
            [0, 1, 2, 3, 9].map(|at| values.get(at)),
            [250, 2, 1_500_000_000, 1, 0]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (texts, want) in [
            (&[][..], "`quote_qty` is missing"),
            (
                &[("quote_qty", "0.0001")],
                "`quote_qty` must be a quantity with the instrument's decimals",
            ),
            (
                &[("quote_qty", "0")],
                "`quote_qty` is 0, allowed are 1 to 9223372036854775807",
            ),
            (
                &[("quote_qty", "1"), ("ticks", "51")],
                "`ticks` is 51, allowed are 1 to 50",
            ),
            (
                &[("quote_qty", "1"), ("ticks", "1.5")],
                "`ticks` must be a whole number",
            ),
            (
                &[("quote_qty", "1"), ("amend", "yes")],
                "`amend` must be `true` or `false`",
            ),
            (
                &[("quote_qty", "1"), ("gamma", "0.0000000001")],
                "`gamma` must be a decimal with at most nine places",
            ),
        ] {
            assert_eq!(read(texts), Err(want.to_owned()));
        }
    }

    #[test]
    fn a_value_is_told_as_it_is_read_and_a_unit_has_one_number() {
        let it = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 1, 3);
        for (raw, unit) in (0..).zip(Unit::ALL) {
            assert_eq!((unit as u8, Unit::from_raw(raw)), (raw, Some(unit)));
            for value in [0, 1] {
                assert_eq!(unit.parse(&unit.text(value, &it), &it), Ok(value));
            }
        }
        assert_eq!(Unit::Qty.text(250, &it), "0.250");
        assert_eq!(Unit::Nano.text(-1_500_000_000, &it), "-1.500000000");
    }

    #[test]
    fn integers_come_back_or_one_is_out_of_its_range() {
        let values = read(&[("quote_qty", "1")]).unwrap();
        assert_eq!(Values::from_raw(&PARAMS, values.raw()), Ok(values));
        let mut raw = *values.raw();
        raw[1] = 51;
        assert!(Values::from_raw(&PARAMS, &raw).is_err());
    }

    #[test]
    fn one_value_is_changed_or_none() {
        let values = read(&[("quote_qty", "1")]).unwrap();
        assert_eq!(values.with(&PARAMS, 1, 7).map(|it| it.get(1)), Ok(7));
        assert!(values.with(&PARAMS, 1, 0).is_err());
        assert_eq!(values.with(&PARAMS, 4, 1), Err(ParamFault::Unknown));
        assert_eq!(values.with(&PARAMS, 99, 1), Err(ParamFault::Unknown));
    }
}
