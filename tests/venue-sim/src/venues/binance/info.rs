//! Public REST and the queries of the WS-API that need no key.

use super::auth::Params;
use super::ops::limit;
use super::reply::Reject;
use super::{Binance, streams};
use crate::core::Core;
use crate::engine::Side;
use crate::fault::Kind;
use crate::text::{amount8, price8, qty8};
use serde_json::{Value, json};

/// Public questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Connectivity.
    Ping,
    /// Server time.
    Time,
    /// Rules and symbols.
    ExchangeInfo,
    /// The book.
    Depth,
    /// Recent trades.
    Trades,
    /// Best quotes.
    BookTicker,
    /// Last prices.
    Price,
    /// The day.
    Day,
    /// Average price.
    Average,
}

impl Ask {
    /// Documented weight.
    pub fn weight(self, params: &Params) -> u32 {
        match self {
            Self::Ping | Self::Time => 1,
            Self::ExchangeInfo => 20,
            Self::Trades => 25,
            Self::Depth => match limit(params, 100, 5_000) {
                0..=100 => 5,
                101..=500 => 25,
                501..=1_000 => 50,
                _ => 250,
            },
            Self::BookTicker | Self::Price | Self::Average => 2,
            Self::Day => {
                if params.get("symbol").is_some() {
                    2
                } else {
                    80
                }
            }
        }
    }
}

impl Binance {
    /// Answers a public question; text, since books are written without a tree.
    pub(super) fn answer_public(&mut self, ask: Ask, params: &Params) -> Result<String, Reject> {
        match ask {
            Ask::Ping => Ok("{}".to_owned()),
            Ask::Time => Ok(json!({"serverTime": self.core.venue_ms()}).to_string()),
            Ask::ExchangeInfo => self.exchange_info(params).map(|value| value.to_string()),
            Ask::Depth => self.depth(params),
            Ask::Trades => self.recent_trades(params).map(|value| value.to_string()),
            Ask::BookTicker => self.per_symbol(params, book_ticker),
            Ask::Price => self.per_symbol(params, |core, inst, symbol| {
                let price = price8(core.engine.spec(inst), core.engine.day(inst).last);
                json!({"symbol": symbol, "price": price})
            }),
            Ask::Day => self.per_symbol(params, streams::rest_ticker),
            Ask::Average => self.per_symbol(params, |core, inst, _| {
                let price = streams::vwap(core.engine.spec(inst), core.engine.day(inst));
                json!({"mins": 5, "price": price, "closeTime": core.venue_ms()})
            }),
        }
    }

    fn symbol_inst(&self, symbol: &str) -> Result<usize, Reject> {
        self.symbols
            .iter()
            .position(|known| known == symbol)
            .ok_or_else(|| Reject::new(400, -1121, "Invalid symbol."))
    }

    /// Instruments asked for by `symbol`, `symbols` or not at all; and whether it was a single one.
    fn wanted(&self, params: &Params) -> Result<(Vec<usize>, bool), Reject> {
        if let Some(symbol) = params.get("symbol") {
            return Ok((vec![self.symbol_inst(symbol)?], true));
        }
        if let Some(list) = params.get("symbols") {
            let list: Vec<String> =
                serde_json::from_str(list).map_err(|_| Reject::missing("symbols"))?;
            let insts: Result<Vec<usize>, Reject> =
                list.iter().map(|symbol| self.symbol_inst(symbol)).collect();
            return Ok((insts?, false));
        }
        Ok(((0..self.symbols.len()).collect(), false))
    }

    fn per_symbol(
        &self,
        params: &Params,
        row: impl Fn(&Core, usize, &str) -> Value,
    ) -> Result<String, Reject> {
        let (insts, is_single) = self.wanted(params)?;
        let rows: Vec<Value> = insts
            .into_iter()
            .map(|inst| row(&self.core, inst, &self.symbols[inst]))
            .collect();
        match (is_single, rows.first()) {
            (true, Some(row)) => Ok(row.to_string()),
            _ => Ok(Value::Array(rows).to_string()),
        }
    }

    fn depth(&mut self, params: &Params) -> Result<String, Reject> {
        let inst = self.symbol_inst(params.need("symbol")?)?;
        let limit = limit(params, 100, 5_000);
        if self.core.faults.take(Kind::SnapshotOld).is_some() {
            return Ok(self.feeds[inst].old[0].clone());
        }
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.feeds[inst].hold_until(until);
            if let Some(feed) = self.binary.get_mut(inst) {
                feed.hold_until(until);
            }
        }
        Ok(streams::book_json(&self.core.engine, inst, limit))
    }

    fn recent_trades(&self, params: &Params) -> Result<Value, Reject> {
        let inst = self.symbol_inst(params.need("symbol")?)?;
        let limit = limit(params, 500, super::TRADES_KEPT);
        let spec = self.core.engine.spec(inst);
        let rows = self.prints[inst].iter().rev().take(limit);
        let mut rows: Vec<Value> = rows.map(|trade| streams::trade_row(spec, trade)).collect();
        rows.reverse();
        Ok(rows.into())
    }

    fn exchange_info(&self, params: &Params) -> Result<Value, Reject> {
        let (insts, _) = self.wanted(params)?;
        let symbols: Vec<Value> = insts
            .into_iter()
            .map(|inst| self.symbol_row(inst))
            .collect();
        Ok(json!({
            "timezone": "UTC", "serverTime": self.core.venue_ms(),
            "rateLimits": self.limits.rules(), "exchangeFilters": [], "symbols": symbols,
        }))
    }

    fn symbol_row(&self, inst: usize) -> Value {
        let spec = self.core.engine.spec(inst);
        let max_price = 1_000_000 * 10i64.pow(u32::from(spec.price_decimals));
        json!({
            "symbol": self.symbols[inst], "status": "TRADING",
            "baseAsset": spec.base, "baseAssetPrecision": 8,
            "quoteAsset": spec.quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": false, "ocoAllowed": false, "otoAllowed": false,
            "opoAllowed": false, "quoteOrderQtyMarketAllowed": true,
            "allowTrailingStop": false, "cancelReplaceAllowed": true, "amendAllowed": true,
            "pegInstructionsAllowed": false, "isSpotTradingAllowed": true,
            "isMarginTradingAllowed": false,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": price8(spec, spec.tick),
                 "maxPrice": price8(spec, max_price), "tickSize": price8(spec, spec.tick)},
                {"filterType": "LOT_SIZE", "minQty": qty8(spec, spec.qty_min),
                 "maxQty": qty8(spec, spec.qty_max), "stepSize": qty8(spec, spec.lot)},
                {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000",
                 "maxQty": qty8(spec, spec.qty_max), "stepSize": "0.00000000"},
                {"filterType": "NOTIONAL", "minNotional": amount8(spec.notional_min),
                 "applyMinToMarket": true, "maxNotional": "9000000.00000000",
                 "applyMaxToMarket": false, "avgPriceMins": 5},
                {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5",
                 "bidMultiplierDown": "0.2", "askMultiplierUp": "5", "askMultiplierDown": "0.2",
                 "avgPriceMins": 5},
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200}
            ],
            "permissions": [], "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_TAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER"],
        })
    }
}

fn book_ticker(core: &Core, inst: usize, symbol: &str) -> Value {
    let (spec, book) = (core.engine.spec(inst), core.engine.book(inst));
    let (bid, ask) = (
        streams::best(book, Side::Buy),
        streams::best(book, Side::Sell),
    );
    json!({
        "symbol": symbol, "bidPrice": price8(spec, bid.0), "bidQty": qty8(spec, bid.1),
        "askPrice": price8(spec, ask.0), "askQty": qty8(spec, ask.1),
    })
}
