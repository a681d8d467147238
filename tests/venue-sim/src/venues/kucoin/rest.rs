//! REST: public data, tokens, queries, and orders.

use super::limits::{Pool, Usage, cost};
use super::ops::{Op, field};
use super::reply::{self, Refused, SUCCESS};
use super::{Kucoin, TRADES_KEPT, auth, ws};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Cause, MARKET, Order};
use crate::fault::{Fault, Kind};
use crate::text::{price, qty};
use crate::venues::query_pairs;
use serde_json::{Value, json};

/// Orders in one batch.
const BATCH_MAX: usize = 20;
/// Lines of a list, and the most there may be.
const PAGE_USUAL: usize = 20;
const PAGE_MAX: usize = 100;
/// A part book's levels; there is one of 20, too.
const PART_LEVELS: usize = 100;

/// What a signed request asks for.
enum Route {
    /// Something about one order.
    One(Op, Value, Shown),
    /// New orders.
    Batch,
    /// A check of a new order.
    Test,
    /// A cancel of all orders in an instrument.
    CancelSymbol,
    /// A cancel of all orders.
    CancelAll,
    /// Anything that changes no order.
    Query,
}

/// What the answer to an operation shows of its order.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Placed,
    OrderId,
    ClientId,
    Sizes,
    Part,
    Altered,
}

/// Parameters of a query, as a JSON object so that bodies and queries are read alike.
fn query_value(query: &str) -> Value {
    let pairs = query_pairs(query);
    let text = |(key, value)| (key, Value::String(value));
    Value::Object(pairs.into_iter().map(text).collect())
}

fn body_value(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap_or(Value::Null)
}

fn route(request: &Request) -> Route {
    let Some(path) = request.path.strip_prefix("/api/v1/hf/orders") else {
        return Route::Query;
    };
    let named = |name: &str, id: &str| {
        let mut arg = query_value(&request.query);
        if let Some(map) = arg.as_object_mut() {
            map.remove("orderId");
            map.remove("clientOid");
            map.insert(name.to_owned(), json!(id));
        }
        arg
    };
    let body = || body_value(request);
    match (request.method.as_str(), path) {
        ("POST", "") => Route::One(Op::Place, body(), Shown::Placed),
        ("POST", "/sync") => Route::One(Op::Place, body(), Shown::Sizes),
        ("POST", "/test") => Route::Test,
        ("POST", "/multi") => Route::Batch,
        ("POST", "/alter") => Route::One(Op::Alter, body(), Shown::Altered),
        ("DELETE", "") => Route::CancelSymbol,
        ("DELETE", "/cancelAll") => Route::CancelAll,
        ("DELETE", path) => {
            let mut parts = path.trim_start_matches('/').split('/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("client-order"), Some(id), None) => {
                    Route::One(Op::Cancel, named("clientOid", id), Shown::ClientId)
                }
                (Some("sync"), Some("client-order"), Some(id)) => {
                    Route::One(Op::Cancel, named("clientOid", id), Shown::Sizes)
                }
                (Some("sync"), Some(id), None) => {
                    Route::One(Op::Cancel, named("orderId", id), Shown::Sizes)
                }
                (Some("cancel"), Some(id), None) => {
                    Route::One(Op::Reduce, named("orderId", id), Shown::Part)
                }
                (Some(id), None, None) => {
                    Route::One(Op::Cancel, named("orderId", id), Shown::OrderId)
                }
                _ => Route::Query,
            }
        }
        _ => Route::Query,
    }
}

fn good(data: &Value) -> Response {
    let code = SUCCESS.to_string();
    Response::json(200, json!({"code": code, "data": data}))
}

fn refusal(refused: &Refused) -> Response {
    let code = refused.code.to_string();
    Response::json(refused.status, json!({"code": code, "msg": refused.text}))
}

fn of(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(data) => good(&data),
        Err(refused) => refusal(&refused),
    }
}

fn counted(mut response: Response, usage: &Usage) -> Response {
    response.headers = usage.headers();
    response
}

impl Kucoin {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(request_id, request, &fault);
            return;
        }
        let (pool, weight) = cost(&request.method, &request.path);
        if let Some(fault) = self.core.faults.take(Kind::RateLimit) {
            let usage = self.pools.spent(pool, fault.for_ns);
            let response = counted(refusal(&Refused::too_fast()), &usage);
            self.core.reply(request_id, response);
            return;
        }
        let is_public = is_public(request);
        let account = if is_public {
            MARKET
        } else {
            match auth::rest(&self.core, request) {
                Ok(account) => account,
                Err(refused) => {
                    let (record, now) = (&mut self.core.record, self.core.now);
                    record.refused("auth", "", refused.code, &refused.text, now);
                    self.core.reply(request_id, refusal(&refused));
                    return;
                }
            }
        };
        let owner = if pool == Pool::Public {
            MARKET
        } else {
            account
        };
        let usage = self.pools.take(pool, owner, weight, self.core.now);
        if !usage.is_within {
            let response = counted(refusal(&Refused::too_fast()), &usage);
            self.core.reply(request_id, response);
            return;
        }
        if is_public {
            let response = self.public(request);
            self.core.reply(request_id, counted(response, &usage));
            return;
        }
        match self.change(account, request) {
            Some(result) => {
                let response = counted(of(result), &usage);
                let private = std::mem::take(&mut self.private);
                self.core
                    .answer(ReplyTo::Http(request_id), response, private);
            }
            None => {
                let response = self.query(account, request);
                self.core.reply(request_id, counted(response, &usage));
            }
        }
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, request_id: RequestId, request: &Request, fault: &Fault) {
        if let Ok(account) = auth::rest(&self.core, request)
            && fault.is_executed
        {
            let _ = self.change(account, request);
        }
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Http(request_id), fault.server_error(), private);
    }

    /// Carries out a request that changes orders; `None` for any other.
    fn change(&mut self, account: AccountId, request: &Request) -> Option<Result<Value, Refused>> {
        Some(match route(request) {
            Route::One(op, arg, shown) => self
                .operate(account, op, &arg)
                .map(|order| self.shown(&order, &arg, shown)),
            Route::Batch => self.batch(account, &body_value(request)),
            Route::Test => {
                let arg = body_value(request);
                let id = reply::other_order_id(self.core.now);
                self.test(account, &arg)
                    .map(|()| json!({"orderId": id, "clientOid": field(&arg, "clientOid")}))
            }
            Route::CancelSymbol => {
                self.core.record.request("cancel_all", None);
                let inst = self.inst(&query_value(&request.query));
                inst.map(|inst| {
                    self.cancel_all(account, &[inst], Cause::CancelAll);
                    json!("success")
                })
            }
            Route::CancelAll => {
                self.core.record.request("cancel_all", None);
                let touched = self.cancel_all(account, &[], Cause::CancelAll);
                let names: Vec<&String> = touched.iter().map(|inst| &self.symbols[*inst]).collect();
                Ok(json!({"succeedSymbols": names, "failedSymbols": []}))
            }
            Route::Query => return None,
        })
    }

    fn shown(&self, order: &Order, arg: &Value, shown: Shown) -> Value {
        let id = reply::order_id(order.id);
        let client_id = &*order.ask.client_id;
        match shown {
            Shown::Placed => json!({"orderId": id, "clientOid": client_id}),
            Shown::OrderId => json!({"orderId": id}),
            Shown::ClientId => json!({"clientOid": client_id}),
            Shown::Sizes => reply::sync_row(&self.core, order),
            Shown::Part => json!({"orderId": id, "cancelSize": field(arg, "cancelSize")}),
            Shown::Altered => json!({"newOrderId": id, "clientOid": client_id}),
        }
    }

    /// Each order by itself: the whole is a success whatever becomes of them.
    fn batch(&mut self, account: AccountId, body: &Value) -> Result<Value, Refused> {
        let list = body.get("orderList").and_then(Value::as_array);
        let list = list
            .filter(|list| (1..=BATCH_MAX).contains(&list.len()))
            .ok_or_else(|| Refused::parameter("orderList is invalid"))?;
        self.core.record.request("new_batch", None);
        let mut rows = Vec::new();
        for arg in list {
            rows.push(match self.operate(account, Op::Place, arg) {
                Ok(order) => json!({
                    "orderId": reply::order_id(order.id),
                    "clientOid": &*order.ask.client_id, "success": true,
                }),
                Err(refused) => json!({
                    "clientOid": field(arg, "clientOid"), "success": false,
                    "failMsg": refused.text,
                }),
            });
        }
        Ok(rows.into())
    }

    /// Public questions.
    fn public(&mut self, request: &Request) -> Response {
        let arg = query_value(&request.query);
        let all = 0..self.symbols.len();
        let core = &self.core;
        let result = match request.path.as_str() {
            "/api/v1/bullet-public" => Ok(self.bullet(MARKET)),
            "/api/v1/timestamp" => Ok(json!(core.venue_ms())),
            "/api/v1/status" => Ok(json!({"status": "open", "msg": ""})),
            "/api/v1/symbols" | "/api/v2/symbols" => Ok(all
                .map(|inst| reply::symbol_row(core, inst, &self.symbols[inst]))
                .collect()),
            "/api/v3/currencies" => Ok(self.currencies()),
            "/api/v1/market/allTickers" => {
                let rows = all.map(|inst| self.ticker(inst));
                Ok(json!({"time": core.venue_ms(), "ticker": rows.collect::<Vec<Value>>()}))
            }
            "/api/v1/market/stats" => self
                .inst(&arg)
                .map(|inst| reply::stats_row(core, inst, &self.symbols[inst])),
            "/api/v1/market/orderbook/level1" => self
                .inst(&arg)
                .map(|inst| reply::quote_row(core, inst, self.feeds[inst].sequence())),
            "/api/v1/market/orderbook/level2_20" => return self.book(&arg, 20),
            "/api/v1/market/orderbook/level2_100" => return self.book(&arg, PART_LEVELS),
            "/api/v1/market/histories" => self.inst(&arg).map(|inst| self.histories(inst)),
            path => {
                let symbol = path.strip_prefix("/api/v2/symbols/").unwrap_or("");
                let inst = self.inst_of(symbol).ok_or_else(Refused::symbol);
                inst.map(|inst| reply::symbol_row(core, inst, symbol))
            }
        };
        of(result)
    }

    fn ticker(&self, inst: usize) -> Value {
        let mut row = reply::stats_row(&self.core, inst, &self.symbols[inst]);
        row["symbolName"] = json!(self.symbols[inst]);
        row
    }

    fn histories(&self, inst: usize) -> Value {
        let spec = self.core.engine.spec(inst);
        let rows = self.prints[inst].iter().rev().take(TRADES_KEPT);
        rows.map(|print| {
            json!({
                "sequence": print.sequence.to_string(), "price": price(spec, print.trade.price),
                "size": qty(spec, print.trade.qty), "side": reply::side(print.trade.taker),
                "time": print.trade.at_ns,
            })
        })
        .collect()
    }

    fn book(&mut self, arg: &Value, depth: usize) -> Response {
        let inst = match self.inst(arg) {
            Ok(inst) => inst,
            Err(refused) => return refusal(&refused),
        };
        let is_old = self.core.faults.take(Kind::SnapshotOld).is_some();
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.feeds[inst].hold_until(until);
        }
        let feed = &self.feeds[inst];
        let data = if is_old && !feed.old_book().is_empty() {
            feed.old_book().to_owned()
        } else {
            feed.rest_book(&self.core, depth)
        };
        Response::json(200, format!("{{\"code\":\"{SUCCESS}\",\"data\":{data}}}"))
    }

    /// A token and where it is good for.
    fn bullet(&mut self, account: AccountId) -> Value {
        let token = self.tokens.give(account, self.core.now);
        let endpoint = format!("wss://{}{}", self.core.origin, ws::STREAM_PATH);
        json!({
            "token": token,
            "instanceServers": [{
                "endpoint": endpoint, "encrypt": true, "protocol": "websocket",
                "pingInterval": ws::PING_MS, "pingTimeout": ws::PONG_MS,
            }],
        })
    }

    fn currencies(&self) -> Value {
        let row = |(name, _): &(String, usize)| {
            json!({
                "currency": name, "name": name, "fullName": name, "precision": 8,
                "confirms": null, "contractAddress": null, "isMarginEnabled": false,
                "isDebitEnabled": false, "chains": [],
            })
        };
        self.assets().iter().map(row).collect()
    }

    /// Every asset with its place in the ledger.
    fn assets(&self) -> Vec<(String, usize)> {
        let mut assets: Vec<(String, usize)> = Vec::new();
        for inst in 0..self.symbols.len() {
            let spec = self.core.engine.spec(inst);
            for (name, asset) in [
                (&spec.base, spec.base_asset),
                (&spec.quote, spec.quote_asset),
            ] {
                if assets.iter().all(|(_, known)| *known != asset) {
                    assets.push((name.clone(), asset));
                }
            }
        }
        assets
    }

    /// Private questions, tokens and the switch.
    fn query(&mut self, account: AccountId, request: &Request) -> Response {
        let arg = query_value(&request.query);
        self.core.record.request("query", None);
        let result = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/v1/bullet-private") => Ok(self.bullet(account)),
            ("POST", "/api/v1/hf/orders/dead-cancel-all") => {
                self.arm(account, &body_value(request))
            }
            ("GET", "/api/v1/hf/orders/dead-cancel-all/query") => {
                let switch = self.switches.get(&account);
                Ok(switch.map_or(json!({}), super::Switch::json))
            }
            ("GET", "/api/v3/market/orderbook/level2") => return self.book(&arg, usize::MAX),
            ("GET", "/api/v1/hf/orders/active") => self.active(account, &arg),
            ("GET", "/api/v1/hf/orders/active/symbols") => {
                let open = self.core.engine.open_orders(account);
                let mut insts: Vec<usize> = open.map(|order| order.ask.inst).collect();
                insts.sort_unstable();
                insts.dedup();
                let names: Vec<&String> = insts.iter().map(|inst| &self.symbols[*inst]).collect();
                Ok(json!({"symbols": names}))
            }
            ("GET", "/api/v1/hf/orders/done") => self.done(account, &arg),
            ("GET", "/api/v1/hf/fills") => self.fills(account, &arg),
            ("GET", "/api/v1/accounts") => Ok(self.accounts(account, &arg)),
            ("GET", "/api/v1/trade-fees") => self.fees(&arg),
            // The account is of the kind this face has.
            ("GET", "/api/v1/hf/accounts/opened") => Ok(json!(true)),
            ("GET", "/api/ua/v1/account/mode") => Ok(json!({"selfAccountMode": "CLASSIC"})),
            ("GET", "/api/v3/margin/symbols") => {
                Ok(json!({"timestamp": self.core.venue_ms(), "items": []}))
            }
            ("GET", "/api/v1/isolated/symbols") => Ok(json!([])),
            ("GET", path) => match path.strip_prefix("/api/v1/hf/orders/") {
                Some(id) => self.one(account, id, &arg),
                None => Err(Refused::http(404, 404_000, "Url Not Found")),
            },
            _ => Err(Refused::http(404, 404_000, "Url Not Found")),
        };
        of(result)
    }

    /// One order, by the end of its path.
    fn one(&self, account: AccountId, id: &str, arg: &Value) -> Result<Value, Refused> {
        let inst = self.inst(arg)?;
        let name = match id.strip_prefix("client-order/") {
            Some(id) => json!({"clientOid": id}),
            None => json!({"orderId": id}),
        };
        self.find(account, &name)?
            .filter(|order| order.ask.inst == inst)
            .map(|order| self.row(&order))
            .ok_or_else(|| Refused::parameter("order not exist"))
    }

    fn row(&self, order: &Order) -> Value {
        reply::order_row(&self.core, &self.symbols[order.ask.inst], order)
    }

    fn active(&self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let inst = self.inst(arg)?;
        let open = self.core.engine.open_orders(account);
        let mut open: Vec<&Order> = open.filter(|order| order.ask.inst == inst).collect();
        open.reverse();
        Ok(open.into_iter().map(|order| self.row(order)).collect())
    }

    /// Finished orders, newest first; a page goes on below `lastId`.
    fn done(&self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let inst = self.inst(arg)?;
        let below = number(arg, "lastId").filter(|id| *id > 0);
        let done = self.core.engine.finished_orders(account);
        let mut done: Vec<&Order> = done.filter(|order| order.ask.inst == inst).collect();
        done.sort_by_key(|order| std::cmp::Reverse(order.id));
        let number = |order: &Order| order.id - super::FIRST.order;
        let page: Vec<&Order> = done
            .into_iter()
            .filter(|order| below.is_none_or(|below| number(order) < below))
            .filter(|order| is_within(arg, order.created_ns))
            .take(limit(arg))
            .collect();
        let last = page.last().map_or(0, |order| number(order));
        let items: Vec<Value> = page.into_iter().map(|order| self.row(order)).collect();
        Ok(json!({"lastId": last, "items": items}))
    }

    /// Fills, newest first; a page goes on below `lastId`.
    fn fills(&self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let inst = self.inst(arg)?;
        let below = number(arg, "lastId").filter(|id| *id > 0);
        let order = field(arg, "orderId");
        let mut last = 0;
        let items: Vec<Value> = self
            .core
            .record
            .fills(account)
            .rev()
            .filter(|(of, _)| of.ask.inst == inst)
            .filter(|(of, _)| {
                order
                    .as_ref()
                    .is_none_or(|id| reply::order_id(of.id) == *id)
            })
            .filter(|(_, fill)| below.is_none_or(|below| reply::fill_id(fill.trade) < below))
            .filter(|(_, fill)| is_within(arg, fill.at_ns))
            .take(limit(arg))
            .map(|(of, fill)| {
                last = reply::fill_id(fill.trade);
                let print = self.prints[inst]
                    .iter()
                    .find(|print| print.trade.id == fill.trade);
                let counter = match print {
                    Some(print) if fill.is_maker => reply::order_id(print.trade.taker_order),
                    Some(print) => print.maker.clone(),
                    None => reply::other_order_id(fill.trade),
                };
                reply::fill_row(&self.core, &self.symbols[inst], of, fill, &counter)
            })
            .collect();
        Ok(json!({"items": items, "lastId": last}))
    }

    /// Balances. Money is in the trade account, which goes by two names; the main account is empty.
    fn accounts(&self, account: AccountId, arg: &Value) -> Value {
        let kind = field(arg, "type").unwrap_or_else(|| "trade".to_owned());
        let currency = field(arg, "currency");
        self.assets()
            .iter()
            .filter(|_| matches!(kind.as_str(), "trade" | "trade_hf"))
            .filter(|(name, _)| currency.as_ref().is_none_or(|wanted| wanted == name))
            .map(|(name, asset)| {
                let held = self.core.engine.ledger().balance(account, *asset);
                reply::account_row(account, &kind, (name, *asset), held)
            })
            .collect()
    }

    fn fees(&self, arg: &Value) -> Result<Value, Refused> {
        let symbols = field(arg, "symbols").unwrap_or_default();
        symbols
            .split(',')
            .map(|symbol| {
                self.inst_of(symbol).ok_or_else(Refused::symbol)?;
                Ok(json!({
                    "symbol": symbol, "takerFeeRate": "0.001", "makerFeeRate": "0.001",
                }))
            })
            .collect()
    }
}

fn is_public(request: &Request) -> bool {
    let path = request.path.as_str();
    match request.method.as_str() {
        "POST" => path == "/api/v1/bullet-public",
        "GET" => {
            path.starts_with("/api/v1/market/")
                || path.starts_with("/api/v2/symbols/")
                || matches!(
                    path,
                    "/api/v1/timestamp"
                        | "/api/v1/status"
                        | "/api/v1/symbols"
                        | "/api/v2/symbols"
                        | "/api/v3/currencies"
                )
        }
        _ => false,
    }
}

fn number(arg: &Value, name: &str) -> Option<u64> {
    field(arg, name)?.parse().ok()
}

fn limit(arg: &Value) -> usize {
    let asked = number(arg, "limit").and_then(|limit| usize::try_from(limit).ok());
    asked.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX)
}

/// Whether a time lies within the query's own.
fn is_within(arg: &Value, at_ns: u64) -> bool {
    let at = at_ns / 1_000_000;
    number(arg, "startAt").is_none_or(|start| at >= start)
        && number(arg, "endAt").is_none_or(|end| at <= end)
}
