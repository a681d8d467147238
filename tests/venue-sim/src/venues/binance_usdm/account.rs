//! What an account has: open orders, fills, balances, positions.

use super::{BinanceUsdm, reply};
use crate::engine::AccountId;
use crate::text::amount8;
use crate::venues::binance::auth::Params;
use crate::venues::binance::ops::limit;
use crate::venues::binance::reply::Reject;
use serde_json::{Value, json};

impl BinanceUsdm {
    /// The instruments a request is about: the one it names, or all.
    fn wanted(&self, params: &Params) -> Result<Vec<usize>, Reject> {
        match params.get("symbol") {
            Some(_) => Ok(vec![self.inst(params)?]),
            None => Ok((0..self.symbols.len()).collect()),
        }
    }

    pub(super) fn open_orders(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let insts = self.wanted(params)?;
        let open = self.core.engine.open_orders(account);
        let wanted = open.filter(|order| insts.contains(&order.ask.inst));
        Ok(wanted
            .map(|order| reply::queried(&self.core, &self.symbols[order.ask.inst], order))
            .collect())
    }

    pub(super) fn trades(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let inst = self.inst(params)?;
        let number = |name: &str| params.get(name).and_then(|text| text.parse::<u64>().ok());
        let (order_id, from) = (number("orderId"), number("fromId"));
        let limit = limit(params, 500, 1_000);
        let fills = self.core.record.fills(account);
        let rows: Vec<Value> = fills
            .filter(|(order, fill)| {
                order.ask.inst == inst
                    && order_id.is_none_or(|id| order.id == id)
                    && from.is_none_or(|from| fill.trade >= from)
            })
            .map(|(order, fill)| reply::trade(&self.core, &self.symbols[inst], order, fill))
            .collect();
        let skip = if from.is_some() {
            0
        } else {
            rows.len().saturating_sub(limit)
        };
        Ok(rows.into_iter().skip(skip).take(limit).collect())
    }

    /// Each asset of the instruments once.
    pub(super) fn balances(&self, account: AccountId) -> Value {
        let engine = &self.core.engine;
        let mut rows: Vec<(usize, Value)> = Vec::new();
        for spec in (0..engine.instruments()).map(|inst| engine.spec(inst)) {
            for (name, asset) in [
                (&spec.quote, spec.quote_asset),
                (&spec.base, spec.base_asset),
            ] {
                if rows.iter().any(|(known, _)| *known == asset) {
                    continue;
                }
                let total = amount8(reply::total(&self.core, account, asset));
                let free = amount8(engine.ledger().balance(account, asset).free);
                let row = json!({
                    "accountAlias": "SgsR", "asset": name, "balance": total,
                    "crossWalletBalance": total, "crossUnPnl": "0.00000000",
                    "availableBalance": free, "maxWithdrawAmount": free, "marginAvailable": true,
                    "updateTime": self.core.venue_ms(),
                });
                rows.push((asset, row));
            }
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Funding payments, oldest first: nothing else is listed here.
    pub(super) fn income(&self, account: AccountId, params: &Params) -> Value {
        let number = |name: &str| params.get(name).and_then(|text| text.parse::<u64>().ok());
        let (from, to) = (number("startTime"), number("endTime"));
        let is_asked = params
            .get("incomeType")
            .is_none_or(|kind| kind == "FUNDING_FEE");
        let payments = self.core.record.payments(account).filter(|it| {
            let ms = it.at_ns / 1_000_000;
            let symbol = &self.symbols[it.inst];
            is_asked
                && from.is_none_or(|from| ms >= from)
                && to.is_none_or(|to| ms <= to)
                && params.get("symbol").is_none_or(|name| name == symbol)
        });
        let rows = payments.map(|it| {
            json!({
                "symbol": self.symbols[it.inst], "incomeType": "FUNDING_FEE",
                "income": amount8(it.amount), "asset": self.core.engine.spec(it.inst).quote,
                "info": "FUNDING_FEE", "time": it.at_ns / 1_000_000, "tranId": it.id,
                "tradeId": "",
            })
        });
        rows.take(limit(params, 100, 1_000)).collect()
    }

    /// Instruments with a position or an open order.
    pub(super) fn positions(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let engine = &self.core.engine;
        let insts = self.wanted(params)?.into_iter();
        let is_shown = |inst: &usize| {
            let mut open = engine.open_orders(account);
            engine.position(account, *inst).qty != 0 || open.any(|order| order.ask.inst == *inst)
        };
        let rows = insts.filter(is_shown).map(|inst| {
            let (spec, position) = (engine.spec(inst), engine.position(account, inst));
            json!({
                "symbol": self.symbols[inst], "positionSide": "BOTH",
                "positionAmt": reply::qty(spec, position.qty),
                "entryPrice": reply::entry(spec, position), "breakEvenPrice": "0.0",
                "markPrice": reply::price(spec, engine.day(inst).last),
                "unRealizedProfit": "0.00000000", "liquidationPrice": "0",
                "isolatedMargin": "0", "marginAsset": spec.quote,
                "updateTime": self.core.venue_ms(),
            })
        });
        Ok(rows.collect())
    }
}
