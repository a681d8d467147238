//! What a run of the simulator is made of: symbols, money, keys, limits, liveliness.

use crate::core::Core;
use crate::engine::{Amount, Engine, Fees, FirstIds, Ledger, Spec, UNIT};
use crate::fix::Agreed;
use crate::flow::{Flow, FlowConfig};
use crate::keys::Credential;
use std::net::SocketAddrV4;

/// One thing to trade, before a venue gives it increments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Base asset, upper case.
    pub base: String,
    /// Quote asset, upper case.
    pub quote: String,
    /// Its perpetual, not the spot pair, at a venue that has both (OKX).
    pub is_swap: bool,
    /// Starting price in hundredths of the quote asset, where given.
    pub price_cents: Option<i64>,
}

/// Quote assets recognised in a symbol without a dash.
const QUOTES: [&str; 6] = ["USDT", "USDC", "USD", "EUR", "BTC", "ETH"];

impl std::str::FromStr for Symbol {
    type Err = String;

    /// `BTC-USDT`, `BTCUSDT`, `BTC-USDT-SWAP`, each with `@65000.00` or not.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, price) = match text.split_once('@') {
            Some((name, price)) => (name, Some(price)),
            None => (text, None),
        };
        let name = name.trim().to_ascii_uppercase();
        let (name, is_swap) = match name.strip_suffix("-SWAP") {
            Some(pair) => (pair, true),
            None => (name.as_str(), false),
        };
        let (base, quote) = name
            .split_once('-')
            .or_else(|| {
                QUOTES
                    .iter()
                    .find_map(|quote| Some((name.strip_suffix(quote)?, *quote)))
            })
            .filter(|(base, quote)| !base.is_empty() && !quote.is_empty())
            .ok_or_else(|| format!("`{text}`: use BASE-QUOTE, for example BTC-USDT"))?;
        let price_cents = match price {
            None => None,
            Some(price) => Some(
                crate::text::increments(price, 2)
                    .flatten()
                    .filter(|cents| *cents > 0)
                    .ok_or_else(|| format!("`{text}`: the price has at most two decimals"))?,
            ),
        };
        Ok(Self {
            base: base.to_owned(),
            quote: quote.to_owned(),
            is_swap,
            price_cents,
        })
    }
}

/// Increments of an instrument at a venue.
#[derive(Debug, Clone, Copy)]
pub struct Grain {
    /// Decimals of the price.
    pub price_decimals: u8,
    /// Decimals of the quantity.
    pub qty_decimals: u8,
    /// Price step in increments.
    pub tick: i64,
    /// Smallest order in increments.
    pub qty_min: i64,
    /// A linear perpetual, settled in the quote asset.
    pub is_contract: bool,
}

/// A run's parameters; the same for every venue in it.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Everything random follows from it.
    pub seed: u64,
    /// What is traded.
    pub symbols: Vec<Symbol>,
    /// How lively.
    pub flow: FlowConfig,
    /// Keys, one account each.
    pub keys: usize,
    /// Deposit of each account in quote assets, whole units.
    pub quote_deposit: u64,
    /// Deposit of each account in base assets, worth this much of the quote, whole units.
    pub base_deposit: u64,
    /// New orders per 10 s and account (Binance `ORDERS`).
    pub orders_per_10s: u32,
    /// Requests per 2 s, instrument and operation (OKX).
    pub okx_orders_per_2s: u32,
    /// Request weight per minute (Binance).
    pub weight_per_minute: u32,
    /// Real checksums in OKX books instead of 0.
    pub has_okx_checksums: bool,
    /// Whether OKX sends a book's snapshot on subscribing; without, clients splice with the REST book.
    pub has_okx_snapshots: bool,
    /// Every documented limit of the other venues is multiplied by it.
    pub rate_factor: u32,
    /// Seconds between the server's PINGs (Binance); it cuts after three without an answer.
    pub ping_s: u64,
    /// Seconds after which a connection is cut, where the venue does that (24 h).
    pub lifetime_s: u64,
    /// Sessions of the liquidity provider's gateway (`yofx`).
    pub gateway: Agreed,
    /// Idle seconds after which a connection is cut (OKX).
    pub idle_s: u64,
    /// Groups of the two lines that market data goes out on besides (Deribit); the edge sends it by loopback.
    pub multicast: Option<[SocketAddrV4; 2]>,
    /// What goes out there.
    pub multicast_feed: MulticastFeed,
}

/// What the lines of a multicast feed carry (Deribit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MulticastFeed {
    /// Books of levels, trades, quotes.
    Classic,
    /// Single orders and trades.
    Starbase,
}

impl std::str::FromStr for MulticastFeed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "classic" => Ok(Self::Classic),
            "starbase" => Ok(Self::Starbase),
            _ => Err(format!("`{text}`: use classic or starbase")),
        }
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            symbols: ["BTC-USDT", "ETH-USDT"]
                .iter()
                .filter_map(|s| s.parse().ok())
                .collect(),
            flow: FlowConfig::default(),
            keys: 1,
            quote_deposit: 1_000_000,
            base_deposit: 1_000_000,
            orders_per_10s: 100,
            okx_orders_per_2s: 60,
            weight_per_minute: 6_000,
            has_okx_checksums: false,
            has_okx_snapshots: true,
            rate_factor: 1,
            ping_s: 20,
            lifetime_s: 86_400,
            idle_s: 30,
            gateway: Agreed::default(),
            multicast: None,
            multicast_feed: MulticastFeed::Classic,
        }
    }
}

impl SimConfig {
    /// Starting price in hundredths, by habit where none was given.
    fn price_cents(symbol: &Symbol) -> i64 {
        symbol.price_cents.unwrap_or(match symbol.base.as_str() {
            "BTC" => 6_500_000,
            "ETH" => 320_000,
            "SOL" => 15_000,
            "LTC" => 9_000,
            _ => 1_000,
        })
    }

    /// Builds a venue's core at `now`. `grain` gives each symbol its increments, `salt` makes venues
    /// differ under one seed, `first` is where ids start.
    pub fn core(
        &self,
        name: &'static str,
        now: u64,
        fees: Fees,
        grain: impl Fn(&Symbol, i64) -> Grain,
        salt: u64,
        first: FirstIds,
    ) -> Core {
        let mut assets: Vec<String> = Vec::new();
        let mut asset = |name: &str| {
            assets
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    assets.push(name.to_owned());
                    assets.len() - 1
                })
        };
        let mut specs = Vec::new();
        for symbol in &self.symbols {
            let cents = Self::price_cents(symbol);
            let grain = grain(symbol, cents);
            let spread = 10i64.pow(u32::from(grain.price_decimals.saturating_sub(2)));
            let price = match grain.price_decimals {
                0 => cents / 100,
                1 => cents / 10,
                _ => cents * spread,
            };
            specs.push(Spec {
                base: symbol.base.clone(),
                quote: symbol.quote.clone(),
                base_asset: asset(&symbol.base),
                quote_asset: asset(&symbol.quote),
                price_decimals: grain.price_decimals,
                qty_decimals: grain.qty_decimals,
                tick: grain.tick,
                lot: 1,
                qty_min: grain.qty_min,
                qty_max: 9_000 * 10i64.pow(u32::from(grain.qty_decimals)),
                notional_min: 5 * UNIT,
                price_start: price / grain.tick * grain.tick,
                is_contract: grain.is_contract,
            });
        }
        let mut ledger = Ledger::new(self.keys, assets.len());
        self.deposit(&mut ledger, &specs);
        let engine = Engine::new(specs, ledger, fees, self.keys, first);
        let flows = (0..engine.instruments())
            .map(|inst| Flow::new(&engine, inst, self.flow, self.seed.wrapping_add(salt), now))
            .collect();
        let keys = (1..=self.keys).map(Credential::default_key).collect();
        Core::new(name, now, engine, flows, keys)
    }

    fn deposit(&self, ledger: &mut Ledger, specs: &[Spec]) {
        for account in 1..=self.keys {
            let mut done: Vec<usize> = Vec::new();
            for spec in specs {
                if !done.contains(&spec.quote_asset) {
                    done.push(spec.quote_asset);
                    let amount = Amount::from(self.quote_deposit) * UNIT;
                    ledger.deposit(account, spec.quote_asset, amount);
                }
                if !done.contains(&spec.base_asset) {
                    done.push(spec.base_asset);
                    // Whole units worth at least the sum asked for.
                    let one = spec.notional(spec.price_start, 10i64.pow(spec.qty_decimals.into()));
                    let worth = Amount::from(self.base_deposit) * UNIT;
                    let units = worth / one.unwrap_or(UNIT).max(1) + 1;
                    ledger.deposit(account, spec.base_asset, units * UNIT);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_read_with_and_without_dash() {
        for text in ["BTC-USDT", "btcusdt", "BTCUSDT@65000"] {
            let symbol: Symbol = text.parse().unwrap();
            assert_eq!(
                (symbol.base.as_str(), symbol.quote.as_str()),
                ("BTC", "USDT")
            );
        }
        assert!("USDT".parse::<Symbol>().is_err() && "X@1".parse::<Symbol>().is_err());
    }
}
