//! Order operations, one place for REST and the WS-API.

use super::{BinanceUsdm, reply};
use crate::core::Request;
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Refusal, Side, Size, Spec, Tif};
use crate::fault::Kind;
use crate::text;
use crate::venues::binance::auth::Params;
use crate::venues::binance::ops::rejected_text;
use crate::venues::binance::reply::{Reject, unknown_order};
use serde_json::{Value, json};
use std::sync::Arc;

/// Orders of one request, and what it counts in an account's windows of orders.
const BATCH_MAX: usize = 5;
const BATCH_ORDERS: [u32; 2] = [5, 1];
/// Open orders of one account and symbol at most.
const MAX_NUM_ORDERS: usize = 200;

/// The operations a request can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// New order.
    Place,
    /// Several of them.
    Batch,
    /// Price and quantity of one.
    Modify,
    /// Cancel one.
    Cancel,
    /// Cancel all of a symbol.
    CancelAll,
    /// Put the dead man's switch of a symbol off.
    Countdown,
    /// One order.
    Status,
    /// Open orders.
    Open,
    /// Fills.
    Trades,
    /// Balances.
    Balance,
    /// Positions.
    Positions,
    /// Funding payments, of all that comes in and goes.
    Income,
}

impl Op {
    /// Documented weight.
    pub fn weight(self, params: &Params) -> u32 {
        match self {
            // They count as orders instead.
            Self::Place | Self::Modify => 0,
            // They do both.
            Self::Batch => 5,
            Self::Cancel | Self::CancelAll | Self::Status => 1,
            Self::Open if params.get("symbol").is_some() => 1,
            Self::Open => 40,
            Self::Countdown => 10,
            Self::Trades | Self::Balance | Self::Positions => 5,
            Self::Income => 30,
        }
    }

    /// Whether order faults apply, and order counts are told.
    pub fn is_order(self) -> bool {
        matches!(
            self,
            Self::Place | Self::Batch | Self::Modify | Self::Cancel | Self::CancelAll
        )
    }

    /// The record's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Place => "new",
            Self::Batch => "new_batch",
            Self::Modify => "amend",
            Self::Cancel => "cancel",
            Self::CancelAll => "cancel_all",
            _ => "query",
        }
    }
}

/// The operation of a REST request.
pub fn route(request: &Request) -> Option<Op> {
    Some(match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/fapi/v1/order") => Op::Place,
        ("POST", "/fapi/v1/batchOrders") => Op::Batch,
        ("PUT", "/fapi/v1/order") => Op::Modify,
        ("DELETE", "/fapi/v1/order") => Op::Cancel,
        ("GET", "/fapi/v1/order") => Op::Status,
        ("DELETE", "/fapi/v1/allOpenOrders") => Op::CancelAll,
        ("POST", "/fapi/v1/countdownCancelAll") => Op::Countdown,
        ("GET", "/fapi/v1/openOrders") => Op::Open,
        ("GET", "/fapi/v1/userTrades") => Op::Trades,
        ("GET", "/fapi/v2/balance" | "/fapi/v3/balance") => Op::Balance,
        ("GET", "/fapi/v2/positionRisk" | "/fapi/v3/positionRisk") => Op::Positions,
        ("GET", "/fapi/v1/income") => Op::Income,
        _ => return None,
    })
}

/// The orders that a request names together; none where it names none that can be read.
pub fn orders_of(params: &Params) -> Vec<Params> {
    let list = params.get("batchOrders").unwrap_or("");
    let list: Vec<Value> = serde_json::from_str(list).unwrap_or_default();
    let orders = list.iter().map(|order| Params::of_json(Some(order)));
    orders.collect()
}

/// Whether a client order id is well formed.
fn is_client_id(id: &str) -> bool {
    (1..=36).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/'))
}

impl BinanceUsdm {
    /// Carries out an operation of an account.
    pub(super) fn operate(
        &mut self,
        account: AccountId,
        op: Op,
        params: &Params,
    ) -> Result<Value, Reject> {
        match op {
            Op::Place => self.place(account, params, true),
            Op::Batch => self.place_all(account, params),
            Op::Modify => self.modify(account, params),
            Op::Cancel => self.cancel(account, params),
            Op::CancelAll => {
                let inst = self.inst(params)?;
                self.cancel_every(account, inst, Cause::CancelAll);
                let msg = "The operation of cancel all open order is done.";
                Ok(json!({"code": 200, "msg": msg}))
            }
            Op::Countdown => self.countdown(account, params),
            Op::Status => {
                let none = || Reject::new(400, -2013, "Order does not exist.");
                let order = self.find(account, params)?.ok_or_else(none)?;
                Ok(reply::queried(
                    &self.core,
                    &self.symbols[order.ask.inst],
                    &order,
                ))
            }
            Op::Open => self.open_orders(account, params),
            Op::Trades => self.trades(account, params),
            Op::Balance => Ok(self.balances(account)),
            Op::Positions => self.positions(account, params),
            Op::Income => Ok(self.income(account, params)),
        }
    }

    pub(super) fn inst(&self, params: &Params) -> Result<usize, Reject> {
        let symbol = params.need("symbol")?;
        self.symbols
            .iter()
            .position(|known| known == symbol)
            .ok_or_else(|| Reject::new(400, -1121, "Invalid symbol."))
    }

    fn known(&self, id: u64) -> Result<Order, Reject> {
        let order = self.core.engine.order(id).cloned();
        order.ok_or_else(unknown_order)
    }

    /// Each order by itself: the whole is a success whatever becomes of them. However many there are, they count five
    /// times in 10 s, and once in a minute.
    fn place_all(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let orders = orders_of(params);
        if orders.is_empty() || orders.len() > BATCH_MAX {
            return Err(Reject::missing("batchOrders"));
        }
        let now = self.core.now;
        self.limits.new_orders(now, account, BATCH_ORDERS)?;
        let mut rows = Vec::new();
        for order in &orders {
            let client_id = order.get("newClientOrderId").unwrap_or("");
            self.core.record.request(Op::Place.name(), Some(client_id));
            rows.push(match self.place(account, order, false) {
                Ok(row) => row,
                Err(reject) => {
                    let (record, op) = (&mut self.core.record, Op::Place.name());
                    record.refused(op, client_id, reject.code, &reject.text, now);
                    json!({"code": reject.code, "msg": reject.text})
                }
            });
        }
        Ok(rows.into())
    }

    fn place(
        &mut self,
        account: AccountId,
        params: &Params,
        is_counted: bool,
    ) -> Result<Value, Reject> {
        let ask = self.parse_new(account, params)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            let code = fault.code.unwrap_or(-2019);
            let text = match code {
                -2019 => "Margin is insufficient.",
                code => rejected_text(code),
            };
            return Err(Reject::new(400, code, text));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            let text = "Timeout waiting for response from backend server. Send status unknown; \
                        execution status unknown.";
            return Err(Reject::new(503, -1007, text));
        }
        if is_counted {
            self.limits.new_order(self.core.now, account)?;
        }
        let inst = ask.inst;
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(reply::refused)?;
        self.absorb();
        let order = self.known(id)?;
        let symbol = &self.symbols[inst];
        Ok(match params.get("newOrderRespType") {
            Some("RESULT") => reply::row(&self.core, symbol, &order),
            _ => reply::placed(&self.core, symbol, &order),
        })
    }

    fn parse_new(&mut self, account: AccountId, params: &Params) -> Result<NewOrder, Reject> {
        let inst = self.inst(params)?;
        let side = parse_side(params)?;
        let type_name = match params.need("type")? {
            "LIMIT" => "LIMIT",
            "MARKET" => "MARKET",
            "STOP"
            | "STOP_MARKET"
            | "TAKE_PROFIT"
            | "TAKE_PROFIT_MARKET"
            | "TRAILING_STOP_MARKET" => {
                let text = "Order type not supported for this endpoint. Please use the Algo Order \
                            API endpoints instead.";
                return Err(Reject::new(400, -4120, text));
            }
            _ => return Err(Reject::new(400, -1116, "Invalid orderType.")),
        };
        let (tif, post_only) = match (type_name, params.get("timeInForce")) {
            ("LIMIT", None) => return Err(Reject::missing("timeInForce")),
            ("LIMIT", Some("GTC")) => (Tif::Gtc, PostOnly::No),
            ("LIMIT", Some("GTX")) => (Tif::Gtc, PostOnly::Refuse),
            ("LIMIT", Some("IOC")) | ("MARKET", None) => (Tif::Ioc, PostOnly::No),
            ("LIMIT", Some("FOK")) => (Tif::Fok, PostOnly::No),
            ("LIMIT", Some(_)) => return Err(Reject::new(400, -1115, "Invalid timeInForce.")),
            _ => {
                let text = "Parameter 'timeInForce' sent when not required.";
                return Err(Reject::new(400, -1106, text));
            }
        };
        if !matches!(params.get("positionSide"), None | Some("BOTH")) {
            let text = "Order's position side does not match user's setting.";
            return Err(Reject::new(400, -4061, text));
        }
        let spec = self.core.engine.spec(inst).clone();
        let price = match type_name {
            "MARKET" => None,
            _ => Some(self.parse_price(inst, params)?),
        };
        let qty = parse_qty(&spec, params)?;
        if params.get("reduceOnly") == Some("true") {
            let held = self.core.engine.position(account, inst).qty;
            let room = if side == Side::Buy { -held } else { held };
            if qty > room {
                return Err(Reject::new(400, -2022, "ReduceOnly Order is rejected."));
            }
        }
        let value = spec.notional(price.unwrap_or(self.core.engine.day(inst).last), qty);
        if value.is_none_or(|value| value < spec.notional_min) {
            let text =
                "Order's notional must be no smaller than 5 (unless you choose reduce only).";
            return Err(Reject::new(400, -4164, text));
        }
        let open = self.core.engine.open_orders(account);
        if open.filter(|order| order.ask.inst == inst).count() >= MAX_NUM_ORDERS {
            let text = "Reach max open order limit.";
            return Err(Reject::new(400, -2025, text));
        }
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size: Size::Base(qty),
            tif,
            post_only,
            client_id: self.client_id(params)?,
            type_name,
            echo: Arc::from(""),
        })
    }

    fn client_id(&mut self, params: &Params) -> Result<Arc<str>, Reject> {
        match params.get("newClientOrderId") {
            None => {
                self.next_auto_id += 1;
                Ok(Arc::from(format!("sim{:019}", self.next_auto_id)))
            }
            Some(id) if is_client_id(id) => Ok(Arc::from(id)),
            Some(_) => {
                let text = "Illegal characters found in parameter 'newClientOrderId'; legal range \
                            is '^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.";
                Err(Reject::new(400, -1100, text))
            }
        }
    }

    /// Errors: -1102, -1111, -4013, -4014, -4016, -4024.
    fn parse_price(&self, inst: usize, params: &Params) -> Result<i64, Reject> {
        let spec = self.core.engine.spec(inst);
        let price = number(params, "price", spec.price_decimals)?;
        let last = self.core.engine.day(inst).last;
        let refused = |code, text| Err(Reject::new(400, code, text));
        match price {
            ..=0 => refused(-4013, "Price less than min price."),
            _ if price % spec.tick != 0 => refused(-4014, "Price not increased by tick size."),
            _ if price > last.saturating_mul(5) => {
                refused(-4016, "Price is higher than mark price multiplier cap.")
            }
            _ if price < last / 5 => {
                refused(-4024, "Price is lower than mark price multiplier floor.")
            }
            _ => Ok(price),
        }
    }

    /// The order a request names, whatever its state.
    fn find(&self, account: AccountId, params: &Params) -> Result<Option<Order>, Reject> {
        let inst = self.inst(params)?;
        let engine = &self.core.engine;
        let order = match (params.get("orderId"), params.get("origClientOrderId")) {
            (Some(id), _) => id.parse().ok().and_then(|id| engine.order(id)),
            (None, Some(name)) => engine.by_client_id(account, name),
            (None, None) => {
                let text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were \
                            empty/null!";
                return Err(Reject::new(400, -1102, text));
            }
        };
        let order = order.filter(|order| order.ask.account == account && order.ask.inst == inst);
        Ok(order.cloned())
    }

    fn modify(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let order = self
            .find(account, params)?
            .filter(|order| order.state.is_open())
            .ok_or_else(|| reply::refused(Refusal::Unknown))?;
        let (inst, side) = (order.ask.inst, parse_side(params)?);
        if side != order.ask.side {
            return Err(Reject::new(400, -1117, "Invalid side."));
        }
        let spec = self.core.engine.spec(inst).clone();
        let (price, qty) = (self.parse_price(inst, params)?, parse_qty(&spec, params)?);
        self.limits.new_order(self.core.now, account)?;
        if (order.ask.price, order.qty) == (Some(price), qty) {
            return Err(reply::refused(Refusal::Amend));
        }
        let now = self.core.now;
        let amended = self.core.engine.amend(now, order.id, price, qty);
        amended.map_err(reply::refused)?;
        self.absorb();
        let order = self.known(order.id)?;
        Ok(reply::row(&self.core, &self.symbols[inst], &order))
    }

    fn cancel(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let order = self.find(account, params)?.ok_or_else(unknown_order)?;
        let canceled = self
            .core
            .engine
            .cancel(self.core.now, order.id, Cause::User);
        canceled.map_err(|_| unknown_order())?;
        self.absorb();
        let order = self.known(order.id)?;
        Ok(reply::row(
            &self.core,
            &self.symbols[order.ask.inst],
            &order,
        ))
    }

    /// Cancels whatever an account has open in an instrument.
    pub(super) fn cancel_every(&mut self, account: AccountId, inst: usize, cause: Cause) {
        let open = self.core.engine.open_orders(account);
        let ids: Vec<u64> = open
            .filter(|order| order.ask.inst == inst)
            .map(|order| order.id)
            .collect();
        for id in ids {
            let _ = self.core.engine.cancel(self.core.now, id, cause); // it is open
        }
        self.absorb();
    }

    /// `countdownTime` from now an account's orders of a symbol go; 0 ends the countdown.
    fn countdown(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let inst = self.inst(params)?;
        let text = params.need("countdownTime")?;
        let ms: u64 = text.parse().map_err(|_| Reject::missing("countdownTime"))?;
        if ms == 0 {
            self.dead_man.remove(&(account, inst));
        } else {
            let at = self.core.now.saturating_add(ms.saturating_mul(1_000_000));
            self.dead_man.insert((account, inst), at);
        }
        Ok(json!({"symbol": self.symbols[inst], "countdownTime": text}))
    }
}

fn parse_side(params: &Params) -> Result<Side, Reject> {
    match params.need("side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(Reject::new(400, -1117, "Invalid side.")),
    }
}

/// Errors: -1102, -1111, -4003, -4004, -4005.
fn parse_qty(spec: &Spec, params: &Params) -> Result<i64, Reject> {
    let qty = number(params, "quantity", spec.qty_decimals)?;
    let refused = |code, text| Err(Reject::new(400, code, text));
    match qty {
        ..=0 => refused(-4003, "Quantity less than or equal to zero."),
        _ if qty < spec.qty_min => refused(-4004, "Quantity less than min quantity."),
        _ if qty > spec.qty_max => refused(-4005, "Quantity greater than max quantity."),
        _ => Ok(qty),
    }
}

/// A parameter in increments. Errors: -1102; -1111 for one that is finer than they are.
fn number(params: &Params, name: &str, decimals: u8) -> Result<i64, Reject> {
    let number = text::increments(params.need(name)?, decimals);
    number.ok_or_else(|| Reject::missing(name))?.ok_or_else(|| {
        let text = "Precision is over the maximum defined for this asset.";
        Reject::new(400, -1111, text)
    })
}
