//! Public REST, and the queries of the WS-API that need no key.

use super::{BinanceUsdm, reply, streams};
use crate::core::Request;
use crate::engine::Side;
use crate::fault::Kind;
use crate::text::amount8;
use crate::venues::binance::auth::Params;
use crate::venues::binance::ops::limit;
use crate::venues::binance::reply::Reject;
use crate::venues::binance::streams::best;
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
}

/// The question of a REST request.
pub fn route(request: &Request) -> Option<Ask> {
    if request.method != "GET" {
        return None;
    }
    Some(match request.path.as_str() {
        "/fapi/v1/ping" => Ask::Ping,
        "/fapi/v1/time" => Ask::Time,
        "/fapi/v1/exchangeInfo" => Ask::ExchangeInfo,
        "/fapi/v1/depth" => Ask::Depth,
        "/fapi/v1/trades" => Ask::Trades,
        "/fapi/v1/ticker/bookTicker" => Ask::BookTicker,
        "/fapi/v2/ticker/price" => Ask::Price,
        _ => return None,
    })
}

impl Ask {
    /// Documented weight.
    pub fn weight(self, params: &Params) -> u32 {
        match self {
            Self::Ping | Self::Time | Self::ExchangeInfo => 1,
            Self::Trades => 5,
            Self::BookTicker | Self::Price => 2,
            Self::Depth => match limit(params, 500, 1_000) {
                0..=50 => 2,
                51..=100 => 5,
                101..=500 => 10,
                _ => 20,
            },
        }
    }
}

impl BinanceUsdm {
    /// Answers a public question; text, since books are written without a tree.
    pub(super) fn answer_public(&mut self, ask: Ask, params: &Params) -> Result<String, Reject> {
        match ask {
            Ask::Ping => Ok("{}".to_owned()),
            Ask::Time => Ok(json!({"serverTime": self.core.venue_ms()}).to_string()),
            Ask::ExchangeInfo => Ok(self.exchange_info().to_string()),
            Ask::Depth => self.depth(params),
            Ask::Trades => self.recent_trades(params).map(|value| value.to_string()),
            Ask::BookTicker => {
                let inst = self.inst(params)?;
                let (spec, book) = (self.core.engine.spec(inst), self.core.engine.book(inst));
                let (bid, ask) = (best(book, Side::Buy), best(book, Side::Sell));
                let row = json!({
                    "symbol": self.symbols[inst],
                    "bidPrice": reply::price(spec, bid.0), "bidQty": reply::qty(spec, bid.1),
                    "askPrice": reply::price(spec, ask.0), "askQty": reply::qty(spec, ask.1),
                    "time": self.core.venue_ms(),
                });
                Ok(row.to_string())
            }
            Ask::Price => {
                let inst = self.inst(params)?;
                let last = self.core.engine.day(inst).last;
                let price = reply::price(self.core.engine.spec(inst), last);
                let now_ms = self.core.venue_ms();
                let row = json!({"symbol": self.symbols[inst], "price": price, "time": now_ms});
                Ok(row.to_string())
            }
        }
    }

    fn depth(&mut self, params: &Params) -> Result<String, Reject> {
        let inst = self.inst(params)?;
        let limit = limit(params, 500, 1_000);
        if self.core.faults.take(Kind::SnapshotOld).is_some() {
            return Ok(self.feeds[inst].old[0].clone());
        }
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.feeds[inst].hold_until(until);
        }
        Ok(streams::book_json(&self.core, inst, limit))
    }

    fn recent_trades(&self, params: &Params) -> Result<Value, Reject> {
        let inst = self.inst(params)?;
        let limit = limit(params, 500, super::TRADES_KEPT);
        let spec = self.core.engine.spec(inst);
        let rows = self.prints[inst].iter().rev().take(limit).map(|trade| {
            json!({
                "id": trade.id, "price": reply::price(spec, trade.price),
                "qty": reply::qty(spec, trade.qty),
                "quoteQty": amount8(spec.notional(trade.price, trade.qty).unwrap_or(0)),
                "time": trade.at_ns / 1_000_000, "isBuyerMaker": trade.taker == Side::Sell,
            })
        });
        let mut rows: Vec<Value> = rows.collect();
        rows.reverse();
        Ok(rows.into())
    }

    /// Every symbol, whatever is asked.
    fn exchange_info(&self) -> Value {
        let symbols = (0..self.symbols.len()).map(|inst| self.symbol_row(inst));
        json!({
            "timezone": "UTC", "serverTime": self.core.venue_ms(), "futuresType": "U_MARGINED",
            "rateLimits": self.limits.rules(), "exchangeFilters": [], "assets": [],
            "symbols": symbols.collect::<Vec<Value>>(),
        })
    }

    fn symbol_row(&self, inst: usize) -> Value {
        let spec = self.core.engine.spec(inst);
        let max_price = 1_000_000 * 10i64.pow(u32::from(spec.price_decimals));
        let lot = |kind: &str| {
            json!({"filterType": kind, "minQty": reply::qty(spec, spec.qty_min),
                   "maxQty": reply::qty(spec, spec.qty_max), "stepSize": reply::qty(spec, spec.lot)})
        };
        json!({
            "symbol": self.symbols[inst], "pair": self.symbols[inst],
            "contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000u64,
            "onboardDate": 1_569_398_400_000u64, "status": "TRADING",
            "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
            "baseAsset": spec.base, "quoteAsset": spec.quote, "marginAsset": spec.quote,
            "pricePrecision": spec.price_decimals, "quantityPrecision": spec.qty_decimals,
            "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
            "underlyingSubType": ["PoW"], "triggerProtect": "0.0500",
            "liquidationFee": "0.012500", "marketTakeBound": "0.05", "maxMoveOrderLimit": 10_000,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": reply::price(spec, spec.tick),
                 "maxPrice": reply::price(spec, max_price),
                 "tickSize": reply::price(spec, spec.tick)},
                lot("LOT_SIZE"),
                lot("MARKET_LOT_SIZE"),
                {"filterType": "MAX_NUM_ORDERS", "limit": 200},
                {"filterType": "MIN_NOTIONAL", "notional": "5"},
                {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2",
                 "multiplierDecimal": "4"}
            ],
            "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT",
                           "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        })
    }
}
