//! REST: public data, signed questions, orders. Every answer is `{"error":[…],"result":…}` under status 200.

use super::ops::{Added, Arg, Named, Take};
use super::reply::{self, Refused};
use super::{Kraken, auth, limits, names, streams, time, venue_ns};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Cause, Fill, Order};
use crate::fault::{Fault, Kind};
use crate::text::{amount, fixed};
use serde_json::{Map, Value, json};

/// Orders or trades of one page, and ids one question may name.
const PAGE: usize = 50;
/// Levels of a book at most, and unless asked.
const DEPTH: (usize, usize) = (500, 100);

fn answered(result: Result<Value, Refused>) -> Response {
    let body = match result {
        Ok(result) => json!({"error": [], "result": result}),
        Err(refused) => json!({"error": [refused.text]}),
    };
    Response::json(200, body)
}

/// A parameter as text; empty when absent.
fn text<'a>(parameters: &'a Value, name: &str) -> &'a str {
    parameters.get(name).and_then(Value::as_str).unwrap_or("")
}

fn is_order(name: &str) -> bool {
    matches!(
        name,
        "AddOrder"
            | "AddOrderBatch"
            | "AmendOrder"
            | "CancelOrder"
            | "CancelOrderBatch"
            | "CancelAll"
            | "CancelAllOrdersAfter"
    )
}

impl Kraken {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            return self.broken(id, request, &fault);
        }
        let response = if let Some(name) = request.path.strip_prefix("/0/public/") {
            answered(self.public(name, request))
        } else if let Some(name) = request.path.strip_prefix("/0/private/") {
            let result = self.private_request(name, request);
            if is_order(name) {
                let private = std::mem::take(&mut self.private);
                let response = answered(result);
                return self.core.answer(ReplyTo::Http(id), response, private);
            }
            answered(result)
        } else {
            Response::json(404, json!({"error": ["EGeneral:Unknown method"]}))
        };
        self.core.reply(id, response);
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, id: RequestId, request: &Request, fault: &Fault) {
        let name = request.path.strip_prefix("/0/private/");
        if let Some(name) = name.filter(|name| fault.is_executed && is_order(name)) {
            let _ = self.private_request(name, request);
        }
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Http(id), fault.server_error(), private);
    }

    /// A signed request. Errors: the key's, the counter's, the operation's.
    fn private_request(&mut self, name: &str, request: &Request) -> Result<Value, Refused> {
        if self.core.now < self.locked_until {
            return Err(Refused::new("EGeneral:Temporary lockout"));
        }
        let checked = if request.method == "POST" {
            auth::rest(&self.core, &mut self.nonces, request)
        } else {
            Err(Refused::new("EGeneral:Unknown method"))
        };
        let (account, parameters) = match checked {
            Ok(checked) => checked,
            Err(refused) => {
                self.note("auth", "", &refused);
                return Err(refused);
            }
        };
        if self.core.faults.take(Kind::RateLimit).is_some() {
            let kind = if is_order(name) { "EOrder" } else { "EAPI" };
            return Err(Refused::new(format!("{kind}:Rate limit exceeded")));
        }
        if is_order(name) {
            return self.order_request(account, name, &parameters);
        }
        let cost = match name {
            "TradesHistory" | "QueryTrades" | "ClosedOrders" => 2,
            _ => 1,
        };
        let counter = self
            .rest_counters
            .entry(account)
            .or_insert_with(|| limits::Counter::new(limits::REST, self.rate_factor));
        if !counter.take(self.core.now, cost) {
            return Err(Refused::new("EAPI:Rate limit exceeded"));
        }
        self.core.record.request("query", None);
        self.query(account, name, &parameters)
    }

    fn order_request(
        &mut self,
        account: AccountId,
        name: &str,
        parameters: &Value,
    ) -> Result<Value, Refused> {
        let arg = Arg::form(parameters);
        match name {
            "AddOrder" => {
                let client_id = text(parameters, "cl_ord_id");
                self.core.record.request("new", Some(client_id));
                let added = self.add_order(account, arg, Take::Alone);
                let added = self.told_new(account, client_id, added)?;
                Ok(self.added(&added, false))
            }
            "AddOrderBatch" => {
                let empty = Vec::new();
                let orders = parameters.get("orders").and_then(Value::as_array);
                let orders = orders.unwrap_or(&empty);
                self.core.record.request("new_batch", None);
                let rows = self.add_orders(account, arg, orders, "pair")?;
                let rows = rows.into_iter().map(|(_, added)| match added {
                    Ok(added) => self.added(&added, true),
                    Err(refused) => json!({"error": refused.text}),
                });
                Ok(json!({"orders": rows.collect::<Vec<Value>>()}))
            }
            "AmendOrder" => {
                self.core.record.request("amend", None);
                let result = self.amend_order(account, arg);
                if let Err(refused) = &result {
                    self.note("amend", text(parameters, "cl_ord_id"), &refused.clone());
                }
                Ok(json!({"amend_id": result?.1}))
            }
            "CancelOrder" => {
                let named = Self::named(arg)?;
                self.cancel_one(account, &named)?;
                Ok(json!({"count": 1}))
            }
            "CancelOrderBatch" => {
                let list = |name: &str| parameters.get(name).and_then(Value::as_array);
                let words = |name: &str| {
                    let words = list(name).into_iter().flatten().filter_map(Value::as_str);
                    words.map(str::to_owned).collect::<Vec<String>>()
                };
                let ids = words("orders").into_iter().map(Named::Id);
                let names = ids.chain(words("cl_ord_ids").into_iter().map(Named::Client));
                let names: Vec<Named> = names.collect();
                if names.is_empty() || names.len() > PAGE {
                    return Err(Refused::argument("orders"));
                }
                let done = names
                    .iter()
                    .filter(|named| self.cancel_one(account, named).is_ok());
                Ok(json!({"count": done.count()}))
            }
            "CancelAll" => {
                self.core.record.request("cancel_all", None);
                Ok(json!({"count": self.cancel_all(account, Cause::CancelAll)}))
            }
            _ => {
                self.core.record.request("cancel_all_after", None);
                self.cancel_all_after(account, arg)
            }
        }
    }

    /// The result of a new order; one that was only checked has no id.
    fn added(&self, added: &Added, is_one_of_many: bool) -> Value {
        let (ask, id) = match added {
            Added::Placed(order) => (&order.ask, Some(reply::order_id(order.id))),
            Added::Checked(ask) => (ask, None),
        };
        let pair = &self.pairs[ask.inst];
        let descr = json!({"order": reply::asked(&self.core, pair, ask)});
        match (id, is_one_of_many) {
            (None, _) => json!({"descr": descr}),
            (Some(id), true) => json!({"txid": id, "descr": descr}),
            (Some(id), false) => json!({"descr": descr, "txid": [id]}),
        }
    }

    /// Public questions.
    fn public(&mut self, name: &str, request: &Request) -> Result<Value, Refused> {
        let source = if request.query.is_empty() {
            &request.body
        } else {
            &request.query
        };
        let parameters = auth::parameters(source).unwrap_or(Value::Null);
        let now = venue_ns(&self.core, self.core.now);
        match name {
            "Time" => {
                Ok(json!({"unixtime": now / super::SECOND_NS, "rfc1123": time::rfc1123(now)}))
            }
            "SystemStatus" => Ok(json!({"status": "online", "timestamp": time::seconds(now)})),
            "Assets" => Ok(self.assets()),
            "AssetPairs" => self.each(&parameters, Self::asset_pair),
            "Ticker" => self.each(&parameters, |venue, inst| {
                streams::rest_ticker(&venue.core, inst)
            }),
            "Depth" => self.depth(&parameters),
            "Trades" => self.trades(&parameters),
            _ => Err(Refused::new("EGeneral:Unknown method")),
        }
    }

    fn pair_of(&self, name: &str) -> Result<usize, Refused> {
        let found = self.pairs.iter().position(|pair| pair.is_called(name));
        found.ok_or_else(|| Refused::new("EQuery:Unknown asset pair"))
    }

    /// Something of each pair that is named, or of all.
    fn each(
        &self,
        parameters: &Value,
        of: impl Fn(&Self, usize) -> Value,
    ) -> Result<Value, Refused> {
        let insts: Vec<usize> = match text(parameters, "pair") {
            "" => (0..self.pairs.len()).collect(),
            names => {
                let insts = names.split(',').map(|name| self.pair_of(name));
                insts.collect::<Result<Vec<usize>, Refused>>()?
            }
        };
        let rows = insts.into_iter();
        let rows = rows.map(|inst| (self.pairs[inst].key.clone(), of(self, inst)));
        Ok(Value::Object(rows.collect()))
    }

    fn assets(&self) -> Value {
        let mut rows = Map::new();
        for (inst, pair) in self.pairs.iter().enumerate() {
            let spec = self.core.engine.spec(inst);
            for (id, asset) in [(&pair.base_id, &spec.base), (&pair.quote_id, &spec.quote)] {
                rows.insert(
                    id.clone(),
                    json!({
                        "aclass": "currency", "altname": names::old_name(asset),
                        "decimals": reply::BALANCE_DECIMALS, "display_decimals": 5,
                        "status": "enabled",
                    }),
                );
            }
        }
        Value::Object(rows)
    }

    fn asset_pair(&self, inst: usize) -> Value {
        let (pair, spec) = (&self.pairs[inst], self.core.engine.spec(inst));
        json!({
            "altname": pair.altname, "wsname": pair.wsname, "aclass_base": "currency",
            "base": pair.base_id, "aclass_quote": "currency", "quote": pair.quote_id,
            "lot": "unit", "cost_decimals": reply::COST_DECIMALS,
            "pair_decimals": spec.price_decimals, "lot_decimals": spec.qty_decimals,
            "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [],
            "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]], "fee_volume_currency": "ZUSD",
            "margin_call": 80, "margin_stop": 40,
            "ordermin": crate::text::qty(spec, spec.qty_min), "costmin": amount(super::ops::COST_MIN),
            "tick_size": reply::price(spec, spec.tick), "status": "online",
        })
    }

    fn depth(&mut self, parameters: &Value) -> Result<Value, Refused> {
        let inst = self.pair_of(text(parameters, "pair"))?;
        let (most, usual) = DEPTH;
        let count = match text(parameters, "count") {
            "" => usual,
            digits => digits.parse().map_err(|_| Refused::argument("count"))?,
        };
        let is_old = self.core.faults.take(Kind::SnapshotOld).is_some();
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.feeds[inst].hold_until(until);
        }
        let [bids, asks] = if is_old {
            self.feeds[inst].old_book().clone()
        } else {
            streams::levels(&self.core.engine, inst, most)
        };
        let spec = self.core.engine.spec(inst);
        let count = count.clamp(1, most);
        let side = |levels: &[(i64, i64)]| streams::rest_side(&self.core, spec, levels, count);
        let book = json!({"asks": side(&asks), "bids": side(&bids)});
        Ok(json!({self.pairs[inst].key.as_str(): book}))
    }

    fn trades(&self, parameters: &Value) -> Result<Value, Refused> {
        let inst = self.pair_of(text(parameters, "pair"))?;
        let since: u64 = text(parameters, "since").parse().unwrap_or(0);
        let count: usize = text(parameters, "count")
            .parse()
            .unwrap_or(streams::TRADES_KEPT);
        let spec = self.core.engine.spec(inst);
        let prints: Vec<_> = self.feeds[inst]
            .prints()
            .filter(|(trade, _)| trade.at_ns > since)
            .take(count.min(streams::TRADES_KEPT))
            .collect();
        let last = prints
            .last()
            .map_or(self.core.now, |(trade, _)| trade.at_ns);
        let rows: Vec<Value> = prints
            .into_iter()
            .map(|(trade, number)| {
                let is_limit = streams::taker_type(&self.core.engine, trade) == "limit";
                json!([
                    reply::rest_price(spec, trade.price),
                    reply::qty(spec, trade.qty),
                    reply::number(&time::fraction(venue_ns(&self.core, trade.at_ns))),
                    if reply::side(trade.taker) == "buy" {
                        "b"
                    } else {
                        "s"
                    },
                    if is_limit { "l" } else { "m" },
                    "",
                    number,
                ])
            })
            .collect();
        Ok(json!({self.pairs[inst].key.as_str(): rows, "last": last.to_string()}))
    }

    /// Signed questions.
    fn query(
        &mut self,
        account: AccountId,
        name: &str,
        parameters: &Value,
    ) -> Result<Value, Refused> {
        match name {
            "GetWebSocketsToken" => {
                let token = self.tokens.issue(self.core.now, account);
                Ok(json!({"token": token, "expires": 900}))
            }
            "Balance" | "BalanceEx" => {
                let is_whole = name == "BalanceEx";
                let rows = reply::balances(&self.core, &self.pairs, account).into_iter();
                let rows = rows.map(|(_, id, total, held)| {
                    let (total, held) = (reply::balance(total), reply::balance(held));
                    let row = if is_whole {
                        json!({"balance": total, "hold_trade": held})
                    } else {
                        json!(total)
                    };
                    (id, row)
                });
                Ok(Value::Object(rows.collect()))
            }
            "TradeBalance" => Ok(self.trade_balance(account)),
            "OpenPositions" => Ok(json!({})),
            "OpenOrders" => {
                let open: Vec<&Order> = self.core.engine.open_orders(account).collect();
                Ok(json!({"open": self.list(parameters, open.into_iter().rev())}))
            }
            "ClosedOrders" => {
                let closed: Vec<&Order> = self.core.engine.finished_orders(account).collect();
                let closed = closed
                    .into_iter()
                    .rev()
                    .filter(|order| is_called(order, parameters));
                let closed: Vec<&Order> = closed.collect();
                let from: usize = text(parameters, "ofs").parse().unwrap_or(0);
                let page = closed.iter().copied().skip(from).take(PAGE);
                Ok(json!({"closed": self.list(parameters, page), "count": closed.len()}))
            }
            "QueryOrders" => self.query_orders(account, parameters),
            "QueryTrades" => self.query_trades(account, parameters),
            "TradesHistory" => Ok(self.history(account, parameters)),
            _ => Err(Refused::new("EGeneral:Unknown method")),
        }
    }

    fn trade_balance(&self, account: AccountId) -> Value {
        let rows = reply::balances(&self.core, &self.pairs, account);
        let quote = &self.core.engine.spec(0).quote;
        let held = rows.iter().find(|(name, ..)| name == quote);
        let total = fixed(held.map_or(0, |(_, _, total, _)| *total), 12, 4);
        let zero = fixed(0, 0, 4);
        json!({
            "eb": total, "tb": total, "m": zero, "n": zero, "c": zero, "v": zero, "e": total,
            "mf": total,
        })
    }

    /// The public number of a fill's trade.
    pub(super) fn trade_number(&self, fill: Fill) -> u64 {
        self.trade_numbers.get(&fill.trade).copied().unwrap_or(0)
    }

    fn row(&self, order: &Order, parameters: &Value) -> Value {
        let wants_trades = matches!(parameters.get("trades"), Some(Value::Bool(true)))
            || matches!(text(parameters, "trades"), "true" | "True" | "1");
        let trades = wants_trades.then(|| {
            let fills = self.core.record.fills(order.ask.account);
            let fills = fills.filter(|(of, _)| of.id == order.id);
            fills.map(|(_, fill)| reply::exec_id(fill)).collect()
        });
        reply::listed(&self.core, &self.pairs[order.ask.inst], order, trades)
    }

    fn list<'a>(&self, parameters: &Value, orders: impl Iterator<Item = &'a Order>) -> Value {
        let named = orders.filter(|order| is_called(order, parameters));
        let rows = named.map(|order| (reply::order_id(order.id), self.row(order, parameters)));
        Value::Object(rows.collect())
    }

    fn query_orders(&self, account: AccountId, parameters: &Value) -> Result<Value, Refused> {
        let mut rows = Map::new();
        let ids = text(parameters, "txid");
        let mut found = Vec::new();
        if ids.is_empty() {
            let client_id = text(parameters, "cl_ord_id");
            if client_id.is_empty() {
                return Err(Refused::argument("txid"));
            }
            found.push(self.find(account, &Named::Client(client_id.to_owned()))?);
        }
        for id in ids.split(',').filter(|id| !id.is_empty()).take(PAGE) {
            found.push(self.find(account, &Named::Id(id.to_owned()))?);
        }
        for order in found
            .into_iter()
            .filter(|order| is_called(order, parameters))
        {
            rows.insert(reply::order_id(order.id), self.row(order, parameters));
        }
        Ok(Value::Object(rows))
    }

    fn trade_row(&self, order: &Order, fill: Fill) -> (String, Value) {
        let pair = &self.pairs[order.ask.inst];
        let row = reply::listed_trade(&self.core, pair, order, fill, self.trade_number(fill));
        (reply::exec_id(fill), row)
    }

    fn query_trades(&self, account: AccountId, parameters: &Value) -> Result<Value, Refused> {
        let ids: Vec<&str> = text(parameters, "txid").split(',').collect();
        let fills = self.core.record.fills(account);
        let rows = fills.map(|(order, fill)| self.trade_row(order, fill));
        let rows: Map<String, Value> = rows.filter(|(id, _)| ids.contains(&id.as_str())).collect();
        if rows.is_empty() {
            return Err(Refused::new("EQuery:Unknown trade"));
        }
        Ok(Value::Object(rows))
    }

    /// A page of executions, newest first. `start` is not in it, `end` is.
    fn history(&self, account: AccountId, parameters: &Value) -> Value {
        let bound = |name: &str| {
            let seconds = crate::text::parse_amount(text(parameters, name))?;
            u64::try_from(seconds / 1_000).ok()
        };
        let (start, end) = (
            bound("start").unwrap_or(0),
            bound("end").unwrap_or(u64::MAX),
        );
        let from: usize = text(parameters, "ofs").parse().unwrap_or(0);
        let fills = self.core.record.fills(account).rev();
        let fills = fills.filter(|(_, fill)| {
            let at = venue_ns(&self.core, fill.at_ns);
            at > start && at <= end
        });
        let fills: Vec<(&Order, Fill)> = fills.collect();
        let page = fills.iter().skip(from).take(PAGE);
        let rows: Map<String, Value> = page
            .map(|(order, fill)| self.trade_row(order, *fill))
            .collect();
        json!({"trades": rows, "count": fills.len()})
    }
}

/// Whether an order has the names a question asks for.
fn is_called(order: &Order, parameters: &Value) -> bool {
    let client_id = text(parameters, "cl_ord_id");
    let userref = text(parameters, "userref");
    (client_id.is_empty() || *order.ask.client_id == *client_id)
        && (userref.is_empty() || *order.ask.echo == *userref)
}
