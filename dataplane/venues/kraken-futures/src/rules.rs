//! An instrument's rules, from the Unified WebSocket's `instrument` channel or the legacy list.
//!
//! ```text
//! Unified   price_increment → tick      qty_increment → lot       qty_min → smallest order      status
//! legacy    tickSize → tick             10^-contractValueTradePrecision → lot and smallest order
//! ```
//! A message is read while the registry may not be written: rules read from one wait here until an answer of REST
//! brings it. The symbol's first letters say how a contract pays (README, "Contracts"); an inverse one is settled in its base.
//! Source: venue page, section 2, read 2026-11-20.

use crate::ID;
use crate::feed::{at, optional, some, text};
use crate::symbols::{SYMBOL_MAX, capitals};
use dp_types::{Decimal, Instrument, InstrumentId, NumError, Payoff, Text};
use dp_venue_api::{DecodeError, Registry};
use dp_wire::json::Value;

/// Books may hold orders from before a tick or lot was made coarser: increments are finer by two places.
const DECIMALS_FINER: u8 = 2;
const DECIMALS_MAX: u8 = 18;

/// States in which post-only orders are taken: quoting goes on.
const LIVE: [&str; 3] = ["online", "post_only", "limit_only"];

/// What the venue says of one instrument that we follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    id: InstrumentId,
    tick: Decimal,
    lot: Decimal,
    qty_min: Decimal,
    base: Text<15>,
    quote: Text<15>,
    is_live: bool,
}

/// 10^-precision, which may be negative: -3 is a lot of a thousand. `None` when no number of ours holds it.
pub(crate) fn lot_of_precision(precision: i64) -> Option<Decimal> {
    let exponent = precision.checked_neg()?;
    (-18..=18).contains(&exponent).then_some(Decimal {
        mantissa: 1,
        exponent: exponent as i8,
    })
}

/// An asset's name; one that is too long for any is none.
fn asset(item: Value<'_>, key: &str) -> Text<15> {
    Text::new(text(item, key)).unwrap_or(Text::EMPTY)
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

impl Rules {
    /// One contract of the `instrument` channel; `None` for one we do not follow.
    pub(crate) fn of_unified(
        registry: &Registry,
        item: Value<'_>,
    ) -> Result<Option<Self>, DecodeError> {
        let symbol = item.str("symbol").map_err(at("symbol"))?;
        let Some(id) = registry.find(ID, symbol.as_bytes()) else {
            return Ok(None);
        };
        let lot = item.decimal("qty_increment").map_err(at("qty_increment"))?;
        Ok(Some(Self {
            id,
            tick: item
                .decimal("price_increment")
                .map_err(at("price_increment"))?,
            lot,
            qty_min: optional(item, "qty_min")?.unwrap_or(lot),
            base: asset(item, "base"),
            quote: asset(item, "quote"),
            is_live: LIVE.contains(&text(item, "status")),
        }))
    }

    /// One item of the legacy list; `None` for one we do not follow, or without a tick (an index).
    pub(crate) fn of_legacy(
        registry: &Registry,
        item: Value<'_>,
        lot: Decimal,
        is_live: bool,
    ) -> Result<Option<Self>, DecodeError> {
        let symbol = item.str("symbol").map_err(at("symbol"))?;
        let mut buffer = [0; SYMBOL_MAX];
        let found = capitals(symbol, &mut buffer).and_then(|symbol| registry.find(ID, symbol));
        let (Some(id), Some(tick)) = (found, some(item, "tickSize")) else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            tick: tick.as_decimal().map_err(at("tickSize"))?,
            lot,
            qty_min: lot,
            base: asset(item, "base"),
            quote: asset(item, "quote"),
            is_live,
        }))
    }

    /// Whose they are.
    pub(crate) const fn id(&self) -> InstrumentId {
        self.id
    }

    /// The instrument under these rules.
    ///
    /// Errors: a tick, lot or smallest order that is not above 0 or does not fit 64 bits.
    fn made(&self, known: Instrument) -> Result<Instrument, DecodeError> {
        let finer = |decimals: u8| (decimals + DECIMALS_FINER).min(DECIMALS_MAX);
        let qty_decimals = self.lot.decimals().max(self.qty_min.decimals());
        let mut made = Instrument {
            price_decimals: finer(self.tick.decimals()),
            qty_decimals: finer(qty_decimals),
            is_live: self.is_live,
            payoff: payoff(known.symbol.as_str()),
            ..known
        };
        made.tick = made.price(self.tick).map_err(number("tick"))?;
        made.lot = made.qty(self.lot).map_err(number("lot"))?;
        made.qty_min = made.qty(self.qty_min).map_err(number("qty_min"))?;
        if made.tick.0 <= 0 || made.lot.0 <= 0 || made.qty_min.0 < 0 {
            return Err(DecodeError::Field("increment"));
        }
        Ok(made)
    }

    /// Writes them. Errors: as [`Rules::made`]; an asset table that is full.
    pub(crate) fn apply(&self, registry: &mut Registry) -> Result<(), DecodeError> {
        let Some(&known) = registry.get(self.id) else {
            return Ok(());
        };
        let mut made = self.made(known)?;
        for (name, asset) in [(&self.base, &mut made.base), (&self.quote, &mut made.quote)] {
            if !name.is_empty() {
                *asset = registry
                    .asset(name.as_str())
                    .map_err(|_| DecodeError::TooMuch("assets"))?;
            }
        }
        if made.payoff == Payoff::Inverse {
            made.quote = made.base;
        }
        registry.update(made);
        Ok(())
    }
}

/// How a contract pays, by the venue's families of symbols.
fn payoff(symbol: &str) -> Payoff {
    match symbol.as_bytes() {
        [b'P' | b'F', b'F', b'_', ..] => Payoff::Linear,
        [b'P' | b'F', b'I', b'_', ..] => Payoff::Inverse,
        _ => Payoff::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letters_say_how_it_pays() {
        for (symbol, pays) in [
            ("PF_XBTUSD", Payoff::Linear),
            ("FF_XBTUSD_261225", Payoff::Linear),
            ("PI_XBTUSD", Payoff::Inverse),
            ("FI_XBTUSD_261225", Payoff::Inverse),
            ("XBTUSD", Payoff::Unknown),
        ] {
            assert_eq!(payoff(symbol), pays, "{symbol}");
        }
    }

    #[test]
    fn precision_is_a_lot_either_way() {
        let lot = |precision| lot_of_precision(precision).map(|lot| lot.to_string());
        assert_eq!(lot(4).as_deref(), Some("0.0001"));
        assert_eq!(lot(0).as_deref(), Some("1"));
        assert_eq!(lot(-3).as_deref(), Some("1000"));
        assert_eq!((lot(19), lot(-19), lot(i64::MIN)), (None, None, None));
    }
}
