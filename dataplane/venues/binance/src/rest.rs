//! The cold path: instruments, snapshots, reconciliation and order queries over REST.
//!
//! ```text
//! tag = kind << 56 | what        what: instrument, or the client order id asked about
//! ```
//! Source: venue page, sections 2, 3, 4.1; fixtures `rest_*.json`.

use crate::auth::{Auth, percent_encode};
use crate::feed::at;
use crate::limits::{Limits, interval_ns};
use dp_types::{Decimal, Instrument, InstrumentId, Notional, Price, Qty, UnixNanos};
use dp_venue_api::{DecodeError, Registry, RestTag};
use dp_wire::json::Value;
use std::fmt::Write as _;

/// What a REST request was about, read back from its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `exchangeInfo` of our symbols.
    ExchangeInfo,
    /// A depth snapshot.
    Depth(InstrumentId),
    /// Open orders of a symbol.
    OpenOrders(InstrumentId),
    /// Our trades of a symbol.
    Trades(InstrumentId),
    /// Balances.
    Account,
    /// One order, by our id.
    Order(u64),
}

impl Kind {
    /// The tag that comes back with the answer.
    pub const fn tag(self) -> RestTag {
        let (kind, what) = match self {
            Self::ExchangeInfo => (1, 0),
            Self::Depth(id) => (2, id.0 as u64),
            Self::OpenOrders(id) => (3, id.0 as u64),
            Self::Trades(id) => (4, id.0 as u64),
            Self::Account => (5, 0),
            Self::Order(client_id) => (6, client_id),
        };
        RestTag(kind << 56 | what)
    }

    /// The inverse of [`Kind::tag`].
    pub const fn of_tag(tag: RestTag) -> Option<Self> {
        let what = tag.0 & ((1 << 56) - 1);
        let instrument = InstrumentId(what as u32);
        match tag.0 >> 56 {
            1 => Some(Self::ExchangeInfo),
            2 => Some(Self::Depth(instrument)),
            3 => Some(Self::OpenOrders(instrument)),
            4 => Some(Self::Trades(instrument)),
            5 => Some(Self::Account),
            6 => Some(Self::Order(what)),
            _ => None,
        }
    }
}

/// `GET exchangeInfo` of these symbols.
pub fn exchange_info(symbols: &[String]) -> String {
    let quoted: Vec<String> = symbols
        .iter()
        .map(|symbol| format!("%22{symbol}%22"))
        .collect();
    format!("/api/v3/exchangeInfo?symbols=%5B{}%5D", quoted.join("%2C"))
}

/// `GET depth`, 1,000 levels a side.
pub fn depth(symbol: &str) -> String {
    format!("/api/v3/depth?symbol={symbol}&limit=1000")
}

/// A signed target: `path?query&timestamp=…&recvWindow=…&signature=…`.
pub fn signed(auth: &Auth, path: &str, query: &str, now: UnixNanos, window_ms: u32) -> String {
    let mut text = query.to_owned();
    if !text.is_empty() {
        text.push('&');
    }
    // Writing to a String does not fail.
    let _ = write!(text, "timestamp={}", now.millis());
    if window_ms > 0 {
        let _ = write!(text, "&recvWindow={window_ms}");
    }
    let signature = percent_encode(auth.sign(text.as_bytes()).as_str());
    format!("{path}?{text}&signature={signature}")
}

/// Decimals of a step, trailing zeros aside: `0.01000000` → 2. Steps of zero have no rule: 8.
fn decimals(step: Decimal) -> u8 {
    if step.is_zero() {
        return 8;
    }
    let (mut mantissa, mut decimals) = (step.mantissa, step.decimals());
    while decimals > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        decimals -= 1;
    }
    decimals
}

fn filter<'a>(symbol: Value<'a>, name: &str) -> Option<Value<'a>> {
    symbol
        .get("filters")?
        .as_array()?
        .find(|filter| filter.get("filterType").and_then(|kind| kind.as_str()) == Some(name))
}

/// Reads `exchangeInfo` into the registry and the limits. Symbols we do not follow are passed over.
///
/// Errors: [`DecodeError`]; symbols before the bad one were taken.
pub fn on_exchange_info(
    registry: &mut Registry,
    limits: &mut Limits,
    root: Value<'_>,
) -> Result<usize, DecodeError> {
    for limit in root
        .get("rateLimits")
        .and_then(|limits| limits.as_array())
        .into_iter()
        .flatten()
    {
        let text = |key| {
            limit
                .get(key)
                .and_then(|value| value.as_str())
                .unwrap_or("")
        };
        let count = limit.u64("intervalNum").unwrap_or(1);
        if let Ok(most) = limit.u64("limit") {
            let interval = interval_ns(text("interval"), count);
            limits.set(
                text("rateLimitType"),
                interval,
                u32::try_from(most).unwrap_or(u32::MAX),
            );
        }
    }
    let mut taken = 0;
    for symbol in root.array("symbols").map_err(at("symbols"))? {
        let name = symbol.str("symbol").map_err(at("symbol"))?;
        let Some(id) = registry.find(crate::ID, name.as_bytes()) else {
            continue;
        };
        let Some(held) = registry.get(id).copied() else {
            continue;
        };
        let instrument = read_symbol(registry, held, symbol)?;
        registry.update(instrument);
        taken += 1;
    }
    Ok(taken)
}

fn read_symbol(
    registry: &mut Registry,
    held: Instrument,
    symbol: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let price = filter(symbol, "PRICE_FILTER").ok_or(DecodeError::Field("PRICE_FILTER"))?;
    let lot = filter(symbol, "LOT_SIZE").ok_or(DecodeError::Field("LOT_SIZE"))?;
    let tick = price.decimal("tickSize").map_err(at("tickSize"))?;
    let step = lot.decimal("stepSize").map_err(at("stepSize"))?;
    let (price_decimals, qty_decimals) = (decimals(tick), decimals(step));
    let qty = |key: &'static str| -> Result<Qty, DecodeError> {
        let value = lot.decimal(key).map_err(at(key))?;
        // A maximum that 64 bits of increments cannot hold is no rule for us.
        Ok(Qty(value.to_increments(qty_decimals).unwrap_or(0)))
    };
    let notional = filter(symbol, "NOTIONAL").or_else(|| filter(symbol, "MIN_NOTIONAL"));
    let notional_min = match notional {
        Some(rule) => {
            let least = rule.decimal("minNotional").map_err(at("minNotional"))?;
            i128::from(least.to_increments(12).unwrap_or(0))
        }
        None => 0,
    };
    let mut asset = |key: &'static str| -> Result<_, DecodeError> {
        let name = symbol.str(key).map_err(at(key))?;
        registry
            .asset(name)
            .map_err(|_| DecodeError::TooMuch("assets"))
    };
    Ok(Instrument {
        price_decimals,
        qty_decimals,
        is_live: symbol.str("status") == Ok("TRADING"),
        base: asset("baseAsset")?,
        quote: asset("quoteAsset")?,
        tick: Price(tick.to_increments(price_decimals).unwrap_or(0)),
        lot: Qty(step.to_increments(qty_decimals).unwrap_or(0)),
        qty_min: qty("minQty")?,
        qty_max: qty("maxQty")?,
        notional_min: Notional(notional_min),
        ..held
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        for kind in [
            Kind::ExchangeInfo,
            Kind::Depth(InstrumentId(7)),
            Kind::OpenOrders(InstrumentId(1023)),
            Kind::Trades(InstrumentId(0)),
            Kind::Account,
            Kind::Order((1 << 45) - 1),
        ] {
            assert_eq!(Kind::of_tag(kind.tag()), Some(kind));
        }
        assert_eq!(Kind::of_tag(RestTag(99 << 56)), None);
    }

    #[test]
    fn steps_become_decimals() {
        for (step, want) in [
            ("0.01000000", 2),
            ("1.00000000", 0),
            ("0.00001000", 5),
            ("0", 8),
            ("10", 0),
        ] {
            assert_eq!(
                decimals(Decimal::parse(step.as_bytes()).unwrap()),
                want,
                "{step}"
            );
        }
    }
}
