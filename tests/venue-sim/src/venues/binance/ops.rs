//! Order operations, one place for REST and the WS-API.

use super::Binance;
use super::auth::Params;
use super::reply::{self, Reject};
use crate::engine::{
    AccountId, Cause, Fill, NewOrder, Order, PostOnly, Side, Size, Spec, State, Tif,
};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Open orders of one account and symbol at most.
const MAX_NUM_ORDERS: usize = 200;

/// The operations a request can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// New order.
    Place,
    /// Validate only.
    Test,
    /// Cancel one.
    Cancel,
    /// Cancel one, place one.
    CancelReplace,
    /// Reduce the quantity.
    Amend,
    /// Cancel all of a symbol.
    CancelAll,
    /// One order.
    Status,
    /// Open orders.
    Open,
    /// All orders of a symbol.
    All,
    /// Balances.
    Account,
    /// Fills.
    Trades,
    /// Unfilled-order usage.
    OrderUsage,
}

impl Op {
    /// Documented weight, before successful order requests are given back.
    pub fn weight(self, params: &Params) -> u32 {
        match self {
            Self::Place | Self::Test | Self::Cancel | Self::CancelReplace | Self::CancelAll => 1,
            Self::Amend | Self::Status => 4,
            Self::Open if params.get("symbol").is_some() => 6,
            Self::Open => 80,
            Self::All | Self::Account => 20,
            Self::Trades if params.get("orderId").is_some() => 5,
            Self::Trades => 20,
            Self::OrderUsage => 40,
        }
    }

    /// Whether a success costs nothing, and order faults apply.
    pub fn is_order(self) -> bool {
        matches!(
            self,
            Self::Place | Self::Cancel | Self::CancelReplace | Self::CancelAll | Self::Amend
        )
    }

    /// The record's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Place | Self::CancelReplace => "new",
            Self::Test => "test",
            Self::Cancel => "cancel",
            Self::Amend => "amend",
            Self::CancelAll => "cancel_all",
            Self::Status
            | Self::Open
            | Self::All
            | Self::Account
            | Self::Trades
            | Self::OrderUsage => "query",
        }
    }
}

/// Whether a client order id is well formed.
fn is_client_id(id: &str) -> bool {
    (1..=36).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

impl Binance {
    /// Carries out an operation of an account.
    pub(super) fn operate(
        &mut self,
        account: AccountId,
        op: Op,
        params: &Params,
    ) -> Result<Value, Reject> {
        match op {
            Op::Place => self.place(account, params),
            Op::Test => self.parse_new(account, params).map(|_| json!({})),
            Op::Cancel => self.cancel(account, params),
            Op::CancelReplace => self.cancel_replace(account, params),
            Op::Amend => self.amend(account, params),
            Op::CancelAll => self.cancel_all(account, params),
            Op::Status => self.status(account, params),
            Op::Open => self.open_orders(account, params),
            Op::All => self.all_orders(account, params),
            Op::Account => Ok(self.account(account, params)),
            Op::Trades => self.trades(account, params),
            Op::OrderUsage => Ok(self.limits.order_usage(self.core.now, account).into()),
        }
    }

    fn inst(&self, params: &Params) -> Result<usize, Reject> {
        let symbol = params.need("symbol")?;
        self.symbols
            .iter()
            .position(|known| known == symbol)
            .ok_or_else(|| Reject::new(400, -1121, "Invalid symbol."))
    }

    fn place(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let ask = self.parse_new(account, params)?;
        let kind = match params.get("newOrderRespType") {
            Some(kind) => kind.to_owned(),
            None if matches!(ask.type_name, "LIMIT" | "MARKET") => "FULL".to_owned(),
            None => "ACK".to_owned(),
        };
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            let code = fault.code.unwrap_or(-2010);
            return Err(Reject::new(400, code, rejected_text(code)));
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
        self.limits.new_order(self.core.now, account)?;
        let inst = ask.inst;
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(|refusal| {
            self.limits.give_back(self.core.now, account);
            reply::new_refused(refusal)
        })?;
        let fills: Vec<Fill> = self.absorb_fills(id);
        let order = self.known(id)?;
        Ok(reply::placed(
            &self.core,
            &self.symbols[inst],
            &order,
            &kind,
            &fills,
        ))
    }

    fn known(&self, id: u64) -> Result<Order, Reject> {
        self.core
            .engine
            .order(id)
            .cloned()
            .ok_or_else(reply::unknown_order)
    }

    fn parse_new(&mut self, account: AccountId, params: &Params) -> Result<NewOrder, Reject> {
        let inst = self.inst(params)?;
        let side = match params.need("side")? {
            "BUY" => Side::Buy,
            "SELL" => Side::Sell,
            _ => return Err(Reject::new(400, -1117, "Invalid side.")),
        };
        let (type_name, post_only) = match params.need("type")? {
            "LIMIT" => ("LIMIT", PostOnly::No),
            "LIMIT_MAKER" => ("LIMIT_MAKER", PostOnly::Refuse),
            "MARKET" => ("MARKET", PostOnly::No),
            _ => return Err(Reject::new(400, -1116, "Invalid orderType.")),
        };
        let tif = match (type_name, params.get("timeInForce")) {
            ("LIMIT", None) => return Err(Reject::missing("timeInForce")),
            ("LIMIT", Some("GTC")) | ("LIMIT_MAKER", None) => Tif::Gtc,
            ("LIMIT", Some("IOC")) | ("MARKET", None) => Tif::Ioc,
            ("LIMIT", Some("FOK")) => Tif::Fok,
            ("LIMIT", Some(_)) => return Err(Reject::new(400, -1115, "Invalid timeInForce.")),
            _ => {
                let text = "Parameter 'timeInForce' sent when not required.";
                return Err(Reject::new(400, -1106, text));
            }
        };
        let spec = self.core.engine.spec(inst).clone();
        let price = if type_name == "MARKET" {
            None
        } else {
            Some(parse_price(&spec, params)?)
        };
        let size = match (
            type_name,
            params.get("quoteOrderQty"),
            params.get("quantity"),
        ) {
            ("MARKET", Some(budget), None) => {
                let amount = text::parse_amount(budget).filter(|amount| *amount > 0);
                Size::Quote(amount.ok_or_else(|| Reject::missing("quoteOrderQty"))?)
            }
            _ => Size::Base(parse_qty(&spec, params, "quantity")?),
        };
        self.check_value(inst, side, price, size)?;
        let client_id = self.client_id(params, "newClientOrderId")?;
        let open = self
            .core
            .engine
            .open_orders(account)
            .filter(|o| o.ask.inst == inst)
            .count();
        if open >= MAX_NUM_ORDERS {
            return Err(Reject::filter("MAX_NUM_ORDERS"));
        }
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif,
            post_only,
            client_id,
            type_name,
            echo: Arc::from(""),
        })
    }

    fn client_id(&mut self, params: &Params, name: &str) -> Result<Arc<str>, Reject> {
        match params.get(name) {
            None => {
                self.next_auto_id += 1;
                Ok(Arc::from(format!("sim{:019}", self.next_auto_id)))
            }
            Some(id) if is_client_id(id) => Ok(Arc::from(id)),
            Some(_) => {
                let text = format!(
                    "Illegal characters found in parameter '{name}'; legal range is \
                     '^[a-zA-Z0-9-_]{{1,36}}$'."
                );
                Err(Reject::new(400, -1100, text))
            }
        }
    }

    /// The filters that need a reference price.
    fn check_value(
        &self,
        inst: usize,
        side: Side,
        price: Option<i64>,
        size: Size,
    ) -> Result<(), Reject> {
        let spec = self.core.engine.spec(inst);
        let last = self.core.engine.day(inst).last;
        let band = last.saturating_mul(5);
        if price.is_some_and(|price| price > band || price < last / 5) {
            return Err(Reject::filter("PERCENT_PRICE_BY_SIDE"));
        }
        let book = self.core.engine.book(inst);
        let best = book.best(side.opposite()).map_or(last, |(price, _)| price);
        let value = match size {
            Size::Quote(amount) => amount,
            Size::Base(qty) => spec
                .notional(price.unwrap_or(best), qty)
                .ok_or_else(|| Reject::filter("NOTIONAL"))?,
        };
        if value < spec.notional_min {
            return Err(Reject::filter("NOTIONAL"));
        }
        Ok(())
    }

    /// The order a request names, whatever its state.
    fn find(&self, account: AccountId, params: &Params) -> Result<Option<Order>, Reject> {
        let inst = self.inst(params)?;
        let id = params.get("orderId");
        let client_id = params.get("origClientOrderId");
        if id.is_none() && client_id.is_none() {
            let text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were \
                        empty/null!";
            return Err(Reject::new(400, -1102, text));
        }
        let engine = &self.core.engine;
        let order = match id {
            Some(id) => id.parse().ok().and_then(|id| engine.order(id)),
            None => engine.by_client_id(account, client_id.unwrap_or("")),
        };
        let order = order.filter(|order| order.ask.account == account && order.ask.inst == inst);
        if let (Some(order), Some(client_id), Some(_)) = (order, client_id, id)
            && &*order.ask.client_id != client_id
        {
            let text = "Client order ID is not correct for this order ID";
            return Err(Reject::new(400, -2039, text));
        }
        Ok(order.cloned())
    }

    fn cancel(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let order = self
            .find(account, params)?
            .ok_or_else(reply::unknown_order)?;
        let allowed = match params.get("cancelRestrictions") {
            Some("ONLY_NEW") => order.state == State::Live,
            Some("ONLY_PARTIALLY_FILLED") => order.state == State::Partial,
            _ => true,
        };
        if !allowed && order.state.is_open() {
            let text = "Order was not canceled due to cancel restrictions.";
            return Err(Reject::new(400, -2011, text));
        }
        self.cancel_id = self.client_id(params, "newClientOrderId")?;
        self.core
            .engine
            .cancel(self.core.now, order.id, Cause::User)
            .map_err(|_| reply::unknown_order())?;
        self.absorb();
        let order = self.known(order.id)?;
        let symbol = &self.symbols[order.ask.inst];
        Ok(reply::canceled(&self.core, symbol, &order, &self.cancel_id))
    }

    fn cancel_all(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let inst = self.inst(params)?;
        let ids: Vec<u64> = self
            .core
            .engine
            .open_orders(account)
            .filter(|order| order.ask.inst == inst)
            .map(|order| order.id)
            .collect();
        if ids.is_empty() {
            return Err(reply::unknown_order());
        }
        let mut rows = Vec::new();
        for id in ids {
            self.cancel_id = self.client_id(&Params::default(), "newClientOrderId")?;
            let _ = self.core.engine.cancel(self.core.now, id, Cause::CancelAll);
            self.absorb();
            let order = self.known(id)?;
            rows.push(reply::canceled(
                &self.core,
                &self.symbols[inst],
                &order,
                &self.cancel_id,
            ));
        }
        Ok(rows.into())
    }

    fn amend(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let order = self
            .find(account, params)?
            .filter(|order| order.state.is_open())
            .ok_or_else(|| Reject::new(400, -2013, "Order does not exist."))?;
        let spec = self.core.engine.spec(order.ask.inst).clone();
        let qty = parse_qty(&spec, params, "newQty")?;
        self.core
            .engine
            .reduce(self.core.now, order.id, qty)
            .map_err(|_| {
                let text = "The requested action would change no state; rejecting.";
                Reject::new(400, -2038, text)
            })?;
        self.absorb();
        let order = self.known(order.id)?;
        let symbol = &self.symbols[order.ask.inst];
        self.next_execution += 1;
        Ok(json!({
            "transactTime": order.updated_ns / 1_000_000,
            "executionId": self.next_execution,
            "amendedOrder": {
                "symbol": symbol, "orderId": order.id, "orderListId": -1,
                "origClientOrderId": &*order.ask.client_id,
                "clientOrderId": &*order.ask.client_id,
                "price": text::price8(&spec, order.ask.price.unwrap_or(0)),
                "qty": text::qty8(&spec, order.qty),
                "executedQty": text::qty8(&spec, order.cum),
                "preventedQty": "0.00000000", "quoteOrderQty": "0.00000000",
                "cumulativeQuoteQty": text::amount8(order.cum_quote),
                "status": reply::status(order.state), "timeInForce": reply::tif(order.ask.tif),
                "type": order.ask.type_name, "side": reply::side(order.ask.side),
                "workingTime": order.created_ns / 1_000_000,
                "selfTradePreventionMode": "EXPIRE_TAKER",
            },
        }))
    }

    /// Cancel, then place. Names differ: the order to cancel is `cancelOrigClientOrderId`.
    fn cancel_replace(&mut self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let may_fail = match params.need("cancelReplaceMode")? {
            "STOP_ON_FAILURE" => false,
            "ALLOW_FAILURE" => true,
            _ => return Err(Reject::missing("cancelReplaceMode")),
        };
        let pairs = [
            ("symbol", "symbol"),
            ("cancelOrderId", "orderId"),
            ("cancelOrigClientOrderId", "origClientOrderId"),
            ("cancelNewClientOrderId", "newClientOrderId"),
            ("cancelRestrictions", "cancelRestrictions"),
        ];
        let cancel_params = Params(
            pairs
                .iter()
                .filter_map(|(from, to)| Some(((*to).to_owned(), params.get(from)?.to_owned())))
                .collect(),
        );
        // A new order that cannot be valid is refused before anything is cancelled.
        self.parse_new(account, params)?;
        let canceled = self.cancel(account, &cancel_params);
        let placed = match (&canceled, may_fail) {
            (Err(_), false) => None,
            _ => Some(self.place(account, params)),
        };
        let word = |is_ok: bool| if is_ok { "SUCCESS" } else { "FAILURE" };
        let body = |result: &Result<Value, Reject>| match result {
            Ok(value) => value.clone(),
            Err(reject) => reject.json(),
        };
        let data = json!({
            "cancelResult": word(canceled.is_ok()),
            "newOrderResult": placed.as_ref().map_or("NOT_ATTEMPTED", |p| word(p.is_ok())),
            "cancelResponse": body(&canceled),
            "newOrderResponse": placed.as_ref().map(body),
        });
        match (
            canceled.is_ok(),
            placed.is_some_and(|placed| placed.is_ok()),
        ) {
            (true, true) => Ok(data),
            (false, false) => {
                let mut reject = Reject::new(400, -2022, "Order cancel-replace failed.");
                reject.data = Some(Box::new(data));
                Err(reject)
            }
            _ => {
                let text = "Order cancel-replace partially failed.";
                let mut reject = Reject::new(409, -2021, text);
                reject.data = Some(Box::new(data));
                Err(reject)
            }
        }
    }

    fn status(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let order = self
            .find(account, params)?
            .ok_or_else(|| Reject::new(400, -2013, "Order does not exist."))?;
        Ok(reply::queried(
            &self.core,
            &self.symbols[order.ask.inst],
            &order,
        ))
    }

    fn open_orders(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let inst = match params.get("symbol") {
            None => None,
            Some(_) => Some(self.inst(params)?),
        };
        Ok(self
            .core
            .engine
            .open_orders(account)
            .filter(|order| inst.is_none_or(|inst| order.ask.inst == inst))
            .map(|order| reply::queried(&self.core, &self.symbols[order.ask.inst], order))
            .collect())
    }

    fn all_orders(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let inst = self.inst(params)?;
        let from: u64 = params
            .get("orderId")
            .and_then(|id| id.parse().ok())
            .unwrap_or(0);
        let limit = limit(params, 500, 1_000);
        let engine = &self.core.engine;
        let mut orders: Vec<&Order> = engine
            .finished_orders(account)
            .chain(engine.open_orders(account))
            .filter(|order| order.ask.inst == inst && order.id >= from)
            .collect();
        orders.sort_by_key(|order| order.id);
        let skip = if from > 0 {
            0
        } else {
            orders.len().saturating_sub(limit)
        };
        let rows = orders.into_iter().skip(skip).take(limit);
        Ok(rows
            .map(|order| reply::queried(&self.core, &self.symbols[inst], order))
            .collect())
    }

    fn account(&self, account: AccountId, params: &Params) -> Value {
        let engine = &self.core.engine;
        let omits_zero = params.get("omitZeroBalances") == Some("true");
        let mut balances: Vec<(usize, Value)> = Vec::new();
        for inst in 0..engine.instruments() {
            let spec = engine.spec(inst);
            for (name, asset) in [
                (&spec.base, spec.base_asset),
                (&spec.quote, spec.quote_asset),
            ] {
                if balances.iter().all(|(known, _)| *known != asset) {
                    let balance = engine.ledger().balance(account, asset);
                    if omits_zero && balance.free == 0 && balance.locked == 0 {
                        continue;
                    }
                    let (free, locked) =
                        (text::amount8(balance.free), text::amount8(balance.locked));
                    balances.push((
                        asset,
                        json!({"asset": name, "free": free, "locked": locked}),
                    ));
                }
            }
        }
        let balances: Vec<Value> = balances.into_iter().map(|(_, row)| row).collect();
        json!({
            "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": "0.00100000", "taker": "0.00100000",
                                "buyer": "0.00000000", "seller": "0.00000000"},
            "canTrade": true, "canWithdraw": false, "canDeposit": false, "brokered": false,
            "requireSelfTradePrevention": false, "preventSor": false,
            "updateTime": self.core.venue_ms(), "accountType": "SPOT", "balances": balances,
            "permissions": ["SPOT"], "uid": account,
        })
    }

    fn trades(&self, account: AccountId, params: &Params) -> Result<Value, Reject> {
        let inst = self.inst(params)?;
        let number = |name: &str| params.get(name).and_then(|text| text.parse::<u64>().ok());
        let (order_id, from) = (number("orderId"), number("fromId"));
        let limit = limit(params, 500, 1_000);
        let rows: Vec<Value> = self
            .core
            .record
            .fills(account)
            .filter(|(order, fill)| {
                order.ask.inst == inst
                    && order_id.is_none_or(|id| order.id == id)
                    && from.is_none_or(|from| fill.trade >= from)
            })
            .map(|(order, fill)| reply::my_trade(&self.core, &self.symbols[inst], order, fill))
            .collect();
        let skip = if from.is_some() {
            0
        } else {
            rows.len().saturating_sub(limit)
        };
        Ok(rows.into_iter().skip(skip).take(limit).collect())
    }
}

/// A `limit` parameter with its default and maximum.
pub fn limit(params: &Params, usual: usize, max: usize) -> usize {
    params
        .get("limit")
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
        .min(max)
}

fn parse_price(spec: &Spec, params: &Params) -> Result<i64, Reject> {
    let text = params.need("price")?;
    let price = number(text, "price", spec.price_decimals, "PRICE_FILTER")?;
    if price <= 0 || price % spec.tick != 0 {
        return Err(Reject::filter("PRICE_FILTER"));
    }
    Ok(price)
}

fn parse_qty(spec: &Spec, params: &Params, name: &'static str) -> Result<i64, Reject> {
    let text = params.need(name)?;
    let qty = number(text, name, spec.qty_decimals, "LOT_SIZE")?;
    if qty < spec.qty_min || qty > spec.qty_max || qty % spec.lot != 0 {
        return Err(Reject::filter("LOT_SIZE"));
    }
    Ok(qty)
}

fn number(text: &str, name: &str, decimals: u8, filter: &str) -> Result<i64, Reject> {
    let places = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    if places > 8 {
        let text = format!("Parameter '{name}' has too much precision.");
        return Err(Reject::new(400, -1111, text));
    }
    text::increments(text, decimals)
        .ok_or_else(|| Reject::missing(name))?
        .ok_or_else(|| Reject::filter(filter))
}

/// The words of a refusal on request.
pub fn rejected_text(code: i64) -> &'static str {
    match code {
        -1013 => "Filter failure: LOT_SIZE",
        -1015 => "Too many new orders; current limit is 100 orders per 10 SECOND.",
        -1021 => "Timestamp for this request is outside of the recvWindow.",
        -2010 => "Account has insufficient balance for requested action.",
        _ => "Rejected by the simulator on request.",
    }
}
