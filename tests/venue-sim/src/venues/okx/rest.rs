//! REST: public data, queries, and orders.

use super::auth;
use super::ops::{Call, Op};
use super::reply::{self, Refused, envelope};
use super::{Okx, streams};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Order, Side};
use crate::fault::{Fault, Kind};
use crate::text::{price, qty};
use crate::venues::query_pairs;
use crate::window::Window;
use serde_json::{Value, json};

/// Parameters of a query, as a JSON object so that WebSocket arguments and queries are read alike.
fn query_value(query: &str) -> Value {
    let pairs = query_pairs(query);
    Value::Object(
        pairs
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)))
            .collect(),
    )
}

impl Okx {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(request_id, request, &fault);
            return;
        }
        if self.core.faults.take(Kind::RateLimit).is_some() || !self.rest_pace(request) {
            let refused = Refused::too_fast();
            self.core.reply(request_id, refusal(&refused));
            return;
        }
        if let Some(result) = self.public(request) {
            let response = match result {
                Ok(data) => data,
                Err(refused) => refusal(&refused),
            };
            self.core.reply(request_id, response);
            return;
        }
        let account = match auth::rest(&self.core, request) {
            Ok(account) => account,
            Err(refused) => {
                let now = self.core.now;
                self.core
                    .record
                    .refused("auth", "", refused.code, &refused.text, now);
                self.core.reply(request_id, refusal(&refused));
                return;
            }
        };
        if let Some((op, is_batch)) = order_route(request) {
            let response = self.order_request(account, op, is_batch, request);
            let private = std::mem::take(&mut self.private);
            self.core
                .answer(ReplyTo::Http(request_id), response, private);
            return;
        }
        let response = match self.query(account, request) {
            Ok(data) => Response::json(200, envelope(0, "", data)),
            Err(refused) => refusal(&refused),
        };
        self.core.reply(request_id, response);
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, request_id: RequestId, request: &Request, fault: &Fault) {
        let route = order_route(request).filter(|_| fault.is_executed);
        if let (Some((op, is_batch)), Ok(account)) = (route, auth::rest(&self.core, request)) {
            self.order_request(account, op, is_batch, request);
        }
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Http(request_id), fault.server_error(), private);
    }

    /// Counts a request against its endpoint's limit. Whether it fits.
    fn rest_pace(&mut self, request: &Request) -> bool {
        let Some((name, limit)) = endpoint_limit(&request.path) else {
            return true;
        };
        let window = self
            .rest_paces
            .entry(name)
            .or_insert_with(|| Window::new(limit, super::TWO_S_NS));
        window.take(self.core.now, 1)
    }

    fn order_request(
        &mut self,
        account: AccountId,
        op: Op,
        is_batch: bool,
        request: &Request,
    ) -> Response {
        let Ok(body) = serde_json::from_str::<Value>(&request.body) else {
            return refusal(&Refused::http(400, 50002, "Json syntax error"));
        };
        let args = match (body, is_batch) {
            (Value::Array(args), true) => args,
            // A single endpoint takes the list form too, as some clients send it.
            (Value::Array(args), false) if args.len() == 1 => args,
            (arg @ Value::Object(_), false) => vec![arg],
            _ => return refusal(&Refused::http(400, 50002, "Json syntax error")),
        };
        match self.operate(
            account,
            Call { op, is_batch },
            &args,
            request.header("exptime"),
        ) {
            Ok((code, rows)) => {
                let text = if code == 1 {
                    "All operations failed"
                } else {
                    ""
                };
                let mut answer = envelope(code, text, rows);
                let us = self.core.now / 1_000;
                answer["inTime"] = json!(us.to_string());
                answer["outTime"] = json!(us.to_string());
                Response::json(200, answer)
            }
            Err(refused) => refusal(&refused),
        }
    }

    /// Public questions; `None` when the path is not one.
    fn public(&mut self, request: &Request) -> Option<Result<Response, Refused>> {
        if request.method != "GET" {
            return None;
        }
        let arg = query_value(&request.query);
        let data = match request.path.as_str() {
            "/api/v5/public/time" => Ok(vec![json!({"ts": self.core.venue_ms().to_string()})]),
            "/api/v5/public/instruments" => Ok(self.instruments(&arg)),
            "/api/v5/market/books" => return Some(self.books(&arg)),
            "/api/v5/market/ticker" => self
                .named(&arg)
                .map(|inst| vec![streams::ticker(&self.core, inst, &self.inst_ids[inst])]),
            "/api/v5/market/tickers" => Ok(self
                .inst_ids
                .iter()
                .enumerate()
                .map(|(inst, name)| streams::ticker(&self.core, inst, name))
                .collect()),
            "/api/v5/market/trades" => self.named(&arg).map(|inst| self.recent(inst, &arg)),
            "/api/v5/system/status" => Ok(Vec::new()),
            _ => return None,
        };
        Some(data.map(|data| Response::json(200, envelope(0, "", data))))
    }

    fn named(&self, arg: &Value) -> Result<usize, Refused> {
        arg.get("instId")
            .and_then(Value::as_str)
            .and_then(|name| self.inst_of(name))
            .ok_or_else(|| Refused::http(200, 51001, "Instrument ID doesn't exist."))
    }

    fn books(&mut self, arg: &Value) -> Result<Response, Refused> {
        let inst = self.named(arg)?;
        let depth = arg
            .get("sz")
            .and_then(Value::as_str)
            .map_or(Some(1), |text| text.parse().ok())
            .ok_or_else(|| Refused::parameter("sz"))?;
        let old = self.core.faults.take(Kind::SnapshotOld).is_some();
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.feeds[inst].hold_until(until);
        }
        let feed = &self.feeds[inst];
        let book = if old && !feed.old_book().is_empty() {
            feed.old_book().to_owned()
        } else {
            feed.rest_book(&self.core, usize::clamp(depth, 1, 400))
        };
        let body = format!("{{\"code\":\"0\",\"msg\":\"\",\"data\":[{book}]}}");
        Ok(Response::json(200, body))
    }

    fn recent(&self, inst: usize, arg: &Value) -> Vec<Value> {
        let limit = arg
            .get("limit")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .unwrap_or(100usize)
            .min(super::TRADES_KEPT);
        let spec = self.core.engine.spec(inst);
        let rows = self.prints[inst].iter().rev().take(limit);
        rows.map(|trade| {
            json!({
                "instId": self.inst_ids[inst], "tradeId": trade.id.to_string(),
                "px": price(spec, trade.price), "sz": qty(spec, trade.qty),
                "side": reply::side(trade.taker), "ts": (trade.at_ns / 1_000_000).to_string(),
            })
        })
        .collect()
    }

    fn instruments(&self, arg: &Value) -> Vec<Value> {
        let wanted = |name: &str| {
            arg.get(name)
                .and_then(Value::as_str)
                .filter(|v| !v.is_empty())
        };
        (0..self.inst_ids.len())
            .filter(|inst| wanted("instId").is_none_or(|name| self.inst_ids[*inst] == name))
            .filter(|inst| {
                let kind = reply::inst_type(&self.inst_ids[*inst]);
                wanted("instType").is_none_or(|wanted| wanted == kind)
            })
            .map(|inst| {
                let spec = self.core.engine.spec(inst);
                // One contract is one unit of the base.
                let of_swap = |text| if spec.is_contract { text } else { "" };
                let of_spot = |text| if spec.is_contract { "" } else { text };
                let pair = format!("{}-{}", spec.base, spec.quote);
                json!({
                    "instType": reply::inst_type(&self.inst_ids[inst]),
                    "instId": self.inst_ids[inst], "instIdCode": Self::code(inst),
                    "uly": of_swap(&pair), "instFamily": of_swap(&pair),
                    "baseCcy": of_spot(&spec.base), "quoteCcy": of_spot(&spec.quote),
                    "settleCcy": of_swap(&spec.quote), "ctVal": of_swap("1"),
                    "ctMult": of_swap("1"), "ctValCcy": of_swap(&spec.base), "optType": "", "stk": "",
                    "listTime": "1548133413000", "expTime": "", "lever": "",
                    "tickSz": price(spec, spec.tick), "lotSz": qty(spec, spec.lot),
                    "minSz": qty(spec, spec.qty_min), "ctType": of_swap("linear"), "alias": "",
                    "state": "live", "ruleType": "normal", "maxLmtSz": qty(spec, spec.qty_max),
                    "maxMktSz": "1000000", "maxLmtAmt": "20000000", "maxMktAmt": "1000000",
                    "category": "1",
                })
            })
            .collect()
    }

    /// Private questions.
    fn query(&mut self, account: AccountId, request: &Request) -> Result<Vec<Value>, Refused> {
        let arg = query_value(&request.query);
        self.core.record.request("query", None);
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/v5/trade/cancel-all-after") => {
                let body: Value = serde_json::from_str(&request.body)
                    .map_err(|_| Refused::http(400, 50002, "Json syntax error"))?;
                self.cancel_all_after(account, &body).map(|row| vec![row])
            }
            ("GET", "/api/v5/trade/order") => {
                let order = self
                    .find(account, &arg)?
                    .ok_or_else(|| Refused::new(51603, "Order does not exist"))?;
                Ok(vec![self.row(&order)])
            }
            ("GET", "/api/v5/trade/orders-pending") => {
                let engine = &self.core.engine;
                Ok(self.page(&arg, engine.open_orders(account).collect()))
            }
            ("GET", "/api/v5/trade/orders-history" | "/api/v5/trade/orders-history-archive") => {
                let engine = &self.core.engine;
                Ok(self.page(&arg, engine.finished_orders(account).collect()))
            }
            ("GET", "/api/v5/trade/fills" | "/api/v5/trade/fills-history") => {
                Ok(self.fills(account, &arg))
            }
            ("GET", "/api/v5/account/balance") => {
                Ok(vec![reply::balances(&self.core, account, None)])
            }
            ("GET", "/api/v5/account/bills") => Ok(self.bills(account, &arg)),
            ("GET", "/api/v5/account/positions") => Ok(self.positions(account)),
            ("GET", "/api/v5/account/config") => Ok(vec![json!({
                "uid": super::uid(account), "mainUid": super::uid(account), "acctLv": "1",
                "posMode": "net_mode", "autoLoan": false, "greeksType": "PA", "level": "Lv1",
                "levelTmp": "", "ctIsoMode": "automatic", "mgnIsoMode": "automatic",
                "label": "simulator", "perm": "read_only,trade", "ip": "",
                "acctStpMode": "cancel_taker", "enableSpotBorrow": false,
            })]),
            ("GET", "/api/v5/account/instruments") => Ok(self.instruments(&arg)),
            ("GET", "/api/v5/account/trade-fee") => Ok(vec![
                json!({"instType": "SPOT", "maker": "-0.0008", "taker": "-0.001",
                               "level": "Lv1", "ts": self.core.venue_ms().to_string()}),
            ]),
            ("GET", "/api/v5/trade/account-rate-limit") => Ok(vec![json!({
                "accRateLimit": super::SUB_ACCOUNT_PER_2S.to_string(),
                "nextAccRateLimit": super::SUB_ACCOUNT_PER_2S.to_string(),
                "fillRatio": "", "mainFillRatio": "", "ts": self.core.venue_ms().to_string(),
            })]),
            ("GET", "/api/v5/asset/currencies") => Ok(self.currencies()),
            _ => Err(Refused::http(404, 404, "Not Found")),
        }
    }

    /// Positions in swaps that are not flat: a flat one is not listed.
    fn positions(&self, account: AccountId) -> Vec<Value> {
        let engine = &self.core.engine;
        let held = (0..engine.instruments()).map(|inst| (inst, engine.position(account, inst)));
        let held = held.filter(|(_, position)| position.qty != 0);
        held.map(|(inst, position)| {
            reply::position_row(&self.core, &self.inst_ids[inst], inst, position)
        })
        .collect()
    }

    fn row(&self, order: &Order) -> Value {
        reply::order_row(
            &self.core,
            &self.inst_ids[order.ask.inst],
            order,
            order.last,
        )
    }

    /// Orders newest first, filtered and paged by `ordId` as the venue does.
    fn page(&self, arg: &Value, mut orders: Vec<&Order>) -> Vec<Value> {
        let wanted = |name: &str| {
            arg.get(name)
                .and_then(Value::as_str)
                .filter(|v| !v.is_empty())
        };
        let number = |name: &str| wanted(name).and_then(|text| text.parse::<u64>().ok());
        orders.sort_by_key(|order| std::cmp::Reverse(order.id));
        orders
            .into_iter()
            .filter(|o| wanted("instId").is_none_or(|name| self.inst_ids[o.ask.inst] == name))
            .filter(|o| {
                let own = reply::inst_type(&self.inst_ids[o.ask.inst]);
                wanted("instType").is_none_or(|kind| kind == own || kind == "ANY")
            })
            .filter(|o| wanted("ordType").is_none_or(|kind| kind.contains(o.ask.type_name)))
            .filter(|o| number("after").is_none_or(|after| o.id < after))
            .filter(|o| number("before").is_none_or(|before| o.id > before))
            .take(number("limit").unwrap_or(100).min(100) as usize)
            .map(|order| self.row(order))
            .collect()
    }

    fn fills(&self, account: AccountId, arg: &Value) -> Vec<Value> {
        let wanted = |name: &str| {
            arg.get(name)
                .and_then(Value::as_str)
                .filter(|v| !v.is_empty())
        };
        let number = |name: &str| wanted(name).and_then(|text| text.parse::<u64>().ok());
        self.core
            .record
            .fills(account)
            .rev()
            .filter(|(o, _)| wanted("instId").is_none_or(|name| self.inst_ids[o.ask.inst] == name))
            .filter(|(o, _)| number("ordId").is_none_or(|id| o.id == id))
            .filter(|(_, fill)| number("after").is_none_or(|after| fill.trade < after))
            .filter(|(_, fill)| number("before").is_none_or(|before| fill.trade > before))
            .take(number("limit").unwrap_or(100).min(100) as usize)
            .map(|(order, fill)| {
                reply::fill_row(&self.core, &self.inst_ids[order.ask.inst], order, fill)
            })
            .collect()
    }

    /// Bills, newest first: funding alone, which no other list tells.
    fn bills(&self, account: AccountId, arg: &Value) -> Vec<Value> {
        let wanted = |name: &str| {
            arg.get(name)
                .and_then(Value::as_str)
                .filter(|v| !v.is_empty())
        };
        let number = |name: &str| wanted(name).and_then(|text| text.parse::<u64>().ok());
        let kind = |inst: usize| reply::inst_type(&self.inst_ids[inst]);
        self.core
            .record
            .payments(account)
            .rev()
            .filter(|_| wanted("type").is_none_or(|kind| kind == "8"))
            .filter(|it| wanted("instType").is_none_or(|wanted| wanted == kind(it.inst)))
            .filter(|it| number("begin").is_none_or(|begin| it.at_ns / 1_000_000 >= begin))
            .filter(|it| number("end").is_none_or(|end| it.at_ns / 1_000_000 <= end))
            .filter(|it| number("after").is_none_or(|after| reply::bill_id(it) < after))
            .filter(|it| number("before").is_none_or(|before| reply::bill_id(it) > before))
            .take(number("limit").unwrap_or(100).min(100) as usize)
            .map(|it| reply::bill(&self.core, &self.inst_ids[it.inst], it))
            .collect()
    }

    fn currencies(&self) -> Vec<Value> {
        let mut names: Vec<&str> = Vec::new();
        for inst in 0..self.inst_ids.len() {
            let spec = self.core.engine.spec(inst);
            for name in [spec.base.as_str(), spec.quote.as_str()] {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
            .into_iter()
            .map(|name| {
                json!({
                    "ccy": name, "name": name, "chain": format!("{name}-Simulated"),
                    "canDep": false, "canWd": false, "canInternal": false, "mainNet": true,
                    "minDep": "0", "minWd": "0", "maxWd": "0", "minFee": "0", "maxFee": "0",
                    "fee": "0", "wdTickSz": "8", "wdQuota": "0", "usedWdQuota": "0",
                    "needTag": false, "logoLink": "",
                })
            })
            .collect()
    }

    /// For the tests' laws.
    pub(super) fn best(&self, inst: usize, side: Side) -> Option<i64> {
        self.core
            .engine
            .book(inst)
            .best(side)
            .map(|(price, _)| price)
    }
}

fn order_route(request: &Request) -> Option<(Op, bool)> {
    if request.method != "POST" {
        return None;
    }
    Some(match request.path.as_str() {
        "/api/v5/trade/order" => (Op::Place, false),
        "/api/v5/trade/batch-orders" => (Op::Place, true),
        "/api/v5/trade/cancel-order" => (Op::Cancel, false),
        "/api/v5/trade/cancel-batch-orders" | "/api/v5/trade/batch-cancel-orders" => {
            (Op::Cancel, true)
        }
        "/api/v5/trade/amend-order" => (Op::Amend, false),
        "/api/v5/trade/amend-batch-orders" | "/api/v5/trade/batch-amend-orders" => {
            (Op::Amend, true)
        }
        _ => return None,
    })
}

/// Requests in 2 s of the endpoints clients poll; public ones by address, private ones by account, and
/// everything on loopback is one address with one account. Source: the venue's REST pages, read 2026-11-21.
fn endpoint_limit(path: &str) -> Option<(&'static str, u32)> {
    Some(match path {
        "/api/v5/public/instruments" => ("instruments", 20),
        "/api/v5/market/books" => ("books", 40),
        "/api/v5/trade/order" => ("order", 60),
        "/api/v5/trade/orders-pending" => ("orders-pending", 60),
        "/api/v5/trade/fills" => ("fills", 60),
        "/api/v5/account/balance" => ("balance", 10),
        "/api/v5/account/positions" => ("positions", 10),
        "/api/v5/account/bills" => ("bills", 10),
        "/api/v5/trade/cancel-all-after" => ("cancel-all-after", 2),
        _ => return None,
    })
}

fn refusal(refused: &Refused) -> Response {
    Response::json(
        refused.status,
        envelope(refused.code, &refused.text, Vec::new()),
    )
}
