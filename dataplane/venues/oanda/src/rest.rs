//! REST: tags, requests, and the rules of instruments.
//!
//! ```text
//! GET /v3/accounts/A/instruments                          → registry, rules
//! GET /v3/accounts/A/pricing/stream?instruments=X%2CY     on a link of its own: the answer goes on
//! GET /v3/accounts/A/pricing?instruments=X                prices of books that lost their place
//! ```
//! Every request bears the token. The same functions read answers live and in replay ([`tag_of_url`]).
//! Source: developer.oanda.com/rest-live-v20, "Account", "Pricing", "Primitives", read 2026-11-22.

use crate::auth::Auth;
use crate::feed::at;
use crate::{ID, symbols};
use dp_types::{Decimal, Instrument, LinkId, NumError, Qty};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Digits behind the point that are kept beyond those of the rules: a ladder may hold finer ones `[U]`.
const FINER: i64 = 2;
/// Digits behind the point, at most.
const DECIMALS_MAX: i64 = 18;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The account's instruments.
    Instruments,
    /// Prices as they change.
    Stream,
    /// Prices of now.
    Prices,
}

impl Ask {
    /// As a tag.
    pub const fn tag(self) -> RestTag {
        RestTag(match self {
            Self::Instruments => 1,
            Self::Stream => 2,
            Self::Prices => 3,
        })
    }

    /// From a tag. `None` when it is not one of ours.
    pub const fn of(tag: RestTag) -> Option<Self> {
        Some(match tag.0 {
            1 => Self::Instruments,
            2 => Self::Stream,
            3 => Self::Prices,
            _ => return None,
        })
    }

    /// The path behind the account.
    const fn path(self) -> &'static str {
        match self {
            Self::Instruments => "instruments",
            Self::Stream => "pricing/stream",
            Self::Prices => "pricing",
        }
    }
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL is
/// not one we ask.
pub fn tag_of_url(url: &str) -> Option<RestTag> {
    let (_, rest) = url.split_once("/v3/accounts/")?;
    let path = rest.split('?').next().unwrap_or(rest);
    let (_, path) = path.split_once('/')?;
    let all = [Ask::Instruments, Ask::Stream, Ask::Prices];
    let ask = all.into_iter().find(|ask| ask.path() == path)?;
    Some(ask.tag())
}

/// Queues a request on a link; `symbols` go into the query where there are some.
pub(crate) fn get<'s>(
    auth: &Auth,
    (link, ask): (LinkId, Ask),
    symbols: impl Iterator<Item = &'s str>,
    out: &mut impl Sink,
) {
    let mut target = format!("/v3/accounts/{}/{}", auth.account(), ask.path());
    for (count, symbol) in symbols.enumerate() {
        // A comma, encoded.
        target.push_str(if count == 0 { "?instruments=" } else { "%2C" });
        symbols::push(&mut target, symbol);
    }
    let request = RestRequest {
        tag: ask.tag(),
        method: RestMethod::Get,
        target: &target,
        headers: &[
            ("Authorization", auth.bearer()),
            ("Accept-Datetime-Format", "RFC3339"),
        ],
        body: &[],
    };
    out.request(link, &request);
}

/// Registers the rules of every listed instrument that we follow; returns how many there were.
///
/// Errors: an instrument of ours whose numbers cannot be read.
pub(crate) fn instruments(registry: &mut Registry, root: Value<'_>) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in root.array("instruments").map_err(at("instruments"))? {
        let name = item.str("name").map_err(at("name"))?;
        let Some(id) = registry.find(ID, name.as_bytes()) else {
            continue;
        };
        let Some(&known) = registry.get(id) else {
            continue;
        };
        let updated = rules(registry, known, name, item)?;
        registry.update(updated);
        count += 1;
    }
    Ok(count)
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// A number of digits behind the point, and one unit of the last of them.
fn step(item: Value<'_>, key: &'static str) -> Result<(u8, Decimal), DecodeError> {
    let digits = item.i64(key).map_err(at(key))?;
    let is_good = (0..=DECIMALS_MAX).contains(&digits);
    let (Ok(decimals), Ok(exponent), true) = (
        u8::try_from(digits.saturating_add(FINER).min(DECIMALS_MAX)),
        i8::try_from(digits),
        is_good,
    ) else {
        return Err(DecodeError::Number {
            field: key,
            error: NumError::TooLarge,
        });
    };
    let unit = Decimal {
        mantissa: 1,
        exponent: -exponent,
    };
    Ok((decimals, unit))
}

/// One instrument's rules over what we knew of it. Largest orders are those of the account.
fn rules(
    registry: &mut Registry,
    known: Instrument,
    name: &str,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let (price_decimals, tick) = step(item, "displayPrecision")?;
    let (qty_decimals, lot) = step(item, "tradeUnitsPrecision")?;
    let mut made = Instrument {
        price_decimals,
        qty_decimals,
        is_live: true,
        ..known
    };
    made.tick = made.price(tick).map_err(number("displayPrecision"))?;
    made.lot = made.qty(lot).map_err(number("tradeUnitsPrecision"))?;
    let qty = |key: &'static str| match item.get(key) {
        None => Ok(Qty(0)),
        Some(field) => {
            let field = field.as_decimal().map_err(at(key))?;
            made.qty(field).map_err(number(key))
        }
    };
    let (qty_min, qty_max) = (qty("minimumTradeSize")?, qty("maximumOrderUnits")?);
    made.qty_min = qty_min.max(made.lot);
    made.qty_max = qty_max;
    if let Some((base, quote)) = symbols::assets(name) {
        let full = |_| DecodeError::TooMuch("assets");
        made.base = registry.asset(base).map_err(full)?;
        made.quote = registry.asset(quote).map_err(full)?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_urls_name_what_was_asked() {
        for ask in [Ask::Instruments, Ask::Stream, Ask::Prices] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
            let url = format!(
                "https://api-fxpractice.oanda.com/v3/accounts/101-1/{}",
                ask.path()
            );
            assert_eq!(tag_of_url(&url), Some(ask.tag()));
            assert_eq!(tag_of_url(&format!("{url}?instruments=A")), Some(ask.tag()));
        }
        assert_eq!(Ask::of(RestTag(0)), None);
        for none in [
            "",
            "/v3/accounts/1/orders",
            "/v3/accounts/1",
            "/instruments",
        ] {
            assert_eq!(tag_of_url(none), None, "{none}");
        }
    }
}
