//! `[risk]`: what may be traded and held, and what stops it.
//!
//! ```toml
//! [risk]
//! order_qty_max = { BTCUSDT = "0.01" }    # a symbol missing here or below cannot trade
//! position_max = { BTCUSDT = "0.05" }
//! currency = "USDT"                       # what limits of money are in
//! rates = { USDC = "1" }                  # worth of an asset in it, until an instrument of the two has a price
//! day_loss_max = "10000"                  # since midnight UTC: trading is killed; absent: not watched
//! drawdown_max = "15000"                  # from the highest equity: the same
//! order_value_max = "50000"               # one order: larger ones are refused
//! exposure_max = "1000000"                # everything held and working: orders beyond it are refused
//! currency_exposure_max = { BTC = "500000" }      # in one asset, over all venues
//! reject_pct_max = 50                     # of a venue's last 64 answers: the venue is halted; 0: not watched
//! move_bps_max = 300                      # of a mid within move_ms: the instrument is halted; 0: not watched
//! move_ms = 60000
//! position_tolerance = { "BTC-PERPETUAL" = "10" }  # venue's position against ours: beyond it the venue is halted
//! balance_tolerance = { USDT = "5" }      # venue's balance of an asset against ours, spot: the same
//! balance_rounding_max = { USDT = "1" }   # the most of it that rounding may come to, beside the tolerance
//! ```
//! Amounts and quantities are decimal texts. The day's loss and the exposure are the node's: each lane adds what the others
//! showed a tenth of a second ago. The drawdown and the exposure in one asset are those of each lane with an engine.

use dp_types::limit::CURRENCY_LIMITS_MAX;
use dp_types::{Decimal, Notional};
use serde::Deserialize;
use std::collections::BTreeMap;

/// `[risk]`: by symbol (venue text) where it says so; quantities are decimal texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Risk {
    /// Largest order, by symbol. A symbol without a line cannot trade.
    pub order_qty_max: BTreeMap<String, String>,
    /// Largest position including working orders, by symbol. A symbol without a line cannot trade.
    pub position_max: BTreeMap<String, String>,
    /// Furthest an order price may be from the mid, basis points.
    pub collar_bps: u32,
    /// New orders and amends a second, per lane.
    pub orders_per_s_max: u32,
    /// A book older than this cannot be traded on, milliseconds.
    pub book_age_ms_max: u32,
    /// Reporting currency, an asset as venues name it; absent = money is not watched.
    pub currency: Option<String>,
    /// Worth of assets in it, by asset.
    pub rates: BTreeMap<String, String>,
    /// Largest loss since midnight UTC, reporting currency; absent = not watched.
    pub day_loss_max: Option<String>,
    /// Largest fall of equity from its highest.
    pub drawdown_max: Option<String>,
    /// Largest worth of one order.
    pub order_value_max: Option<String>,
    /// Largest gross exposure, working orders included.
    pub exposure_max: Option<String>,
    /// Largest exposure in an asset over all venues, by asset.
    pub currency_exposure_max: BTreeMap<String, String>,
    /// Largest share of refusals among a venue's last 64 answers to orders, percent; 0 = not watched.
    pub reject_pct_max: u32,
    /// Furthest a mid may move within `move_ms`, basis points; 0 = not watched.
    pub move_bps_max: u32,
    /// Within how long, milliseconds.
    pub move_ms: u32,
    /// How far a venue's word of a position may be from ours before the venue is halted, by symbol; absent = not at all.
    pub position_tolerance: BTreeMap<String, String>,
    /// How far a venue's word of an asset may be from ours before the venue is halted, by asset, on each venue; absent: by
    /// no more than rounding makes.
    pub balance_tolerance: BTreeMap<String, String>,
    /// The most of an asset that venues' rounding may come to between comparisons, by asset; absent: what one of the
    /// reporting currency is worth in it, or a hundredth of one where that is not known.
    pub balance_rounding_max: BTreeMap<String, String>,
}

impl Default for Risk {
    fn default() -> Self {
        Self {
            order_qty_max: BTreeMap::new(),
            position_max: BTreeMap::new(),
            collar_bps: 100,
            orders_per_s_max: 100,
            book_age_ms_max: 5_000,
            currency: None,
            rates: BTreeMap::new(),
            day_loss_max: None,
            drawdown_max: None,
            order_value_max: None,
            exposure_max: None,
            currency_exposure_max: BTreeMap::new(),
            reject_pct_max: 0,
            move_bps_max: 0,
            move_ms: 60_000,
            position_tolerance: BTreeMap::new(),
            balance_tolerance: BTreeMap::new(),
            balance_rounding_max: BTreeMap::new(),
        }
    }
}

/// A decimal amount above 0. Errors: a sentence.
pub fn amount(text: &str) -> Result<Notional, String> {
    let parsed = Decimal::parse(text.as_bytes()).ok();
    parsed
        .and_then(Notional::of)
        .filter(|amount| amount.0 > 0)
        .ok_or_else(|| format!("`{text}`: use an amount above 0, as \"10000\""))
}

impl Risk {
    /// An amount that has been checked; 0 where there is none.
    pub fn money(text: Option<&String>) -> Notional {
        text.and_then(|text| amount(text).ok()).unwrap_or_default()
    }

    /// Errors: the key and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        let single = [
            ("day_loss_max", &self.day_loss_max),
            ("drawdown_max", &self.drawdown_max),
            ("order_value_max", &self.order_value_max),
            ("exposure_max", &self.exposure_max),
        ];
        let single = single
            .into_iter()
            .filter_map(|(key, text)| Some((format!("risk.{key}"), text.as_ref()?)));
        let by_asset = |key: &'static str, map: &BTreeMap<String, String>| {
            let lines = map.iter();
            let lines = lines.map(|(asset, text)| (format!("risk.{key}.{asset}"), text.clone()));
            lines.collect::<Vec<_>>()
        };
        let limits = by_asset("currency_exposure_max", &self.currency_exposure_max);
        let rates = by_asset("rates", &self.rates);
        let mut amounts: Vec<(String, String)> =
            single.map(|(key, text)| (key, text.clone())).collect();
        amounts.extend(limits);
        if let Some((key, _)) = amounts.first().filter(|_| self.currency.is_none()) {
            let why = format!("{key} needs the currency it is in: currency = \"USDT\"");
            return Err(("risk.currency".into(), why));
        }
        amounts.extend(rates);
        amounts.extend(by_asset("balance_tolerance", &self.balance_tolerance));
        amounts.extend(by_asset("balance_rounding_max", &self.balance_rounding_max));
        for (key, text) in amounts {
            amount(&text).map_err(|why| (key, why))?;
        }
        let currencies = self.currency_exposure_max.len();
        if currencies > CURRENCY_LIMITS_MAX {
            let why =
                format!("{currencies} currencies: at most {CURRENCY_LIMITS_MAX} can be limited");
            return Err(("risk.currency_exposure_max".into(), why));
        }
        if self.reject_pct_max > 100 {
            let why = format!("{}: use 1 to 100 percent, or 0", self.reject_pct_max);
            return Err(("risk.reject_pct_max".into(), why));
        }
        if self.move_bps_max > 0 && !(100..=86_400_000).contains(&self.move_ms) {
            let why = format!("{}: use 100 to 86400000", self.move_ms);
            return Err(("risk.move_ms".into(), why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{GOOD, load};

    fn with(lines: &str) -> Result<Risk, String> {
        load(&format!("{GOOD}[risk]\n{lines}")).map(|config| config.risk)
    }

    #[test]
    fn money_is_exact_and_has_a_currency() {
        let risk =
            with("currency = \"USDT\"\nday_loss_max = \"10000.5\"\nrates = { USDC = \"0.999\" }");
        let risk = risk.unwrap();
        assert_eq!(
            Risk::money(risk.day_loss_max.as_ref()).to_string(),
            "10000.50"
        );
        assert_eq!(Risk::money(risk.drawdown_max.as_ref()), Notional(0));
        let large = amount("123456789012").unwrap();
        assert_eq!(large.to_string(), "123456789012.00");
        for (lines, key, mend) in [
            ("day_loss_max = \"1\"", "risk.currency", "currency ="),
            (
                "currency = \"USDT\"\nexposure_max = \"-1\"",
                "risk.exposure_max",
                "above 0",
            ),
            (
                "balance_tolerance = { BTC = \"-1\" }",
                "risk.balance_tolerance.BTC",
                "above 0",
            ),
            (
                "balance_rounding_max = { BTC = \"-1\" }",
                "risk.balance_rounding_max.BTC",
                "above 0",
            ),
            (
                "currency = \"USDT\"\nrates = { BTC = \"x\" }",
                "risk.rates.BTC",
                "above 0",
            ),
            ("reject_pct_max = 101", "risk.reject_pct_max", "1 to 100"),
            ("move_bps_max = 1\nmove_ms = 1", "risk.move_ms", "86400000"),
            ("day_los_max = \"1\"", "day_los_max", "unknown"),
        ] {
            let error = with(lines).unwrap_err();
            assert!(
                error.contains(key) && error.contains(mend),
                "{lines}: {error}"
            );
        }
    }
}
