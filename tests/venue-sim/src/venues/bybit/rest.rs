//! REST: public data, queries, and orders.

use super::ops::{Done, Op, field};
use super::reply::{self, Refused, envelope};
use super::{Bybit, Category, auth, dcp, streams, ws};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Fill, Order};
use crate::fault::{Fault, Kind};
use crate::text::{amount, trimmed};
use crate::venues::{percent_decode, query_pairs};
use serde_json::{Value, json};

/// The longest span of a list of executions, and its length where no start is given.
const SPAN_MS: u64 = 7 * 86_400_000;
/// Ended orders the list of orders still has.
const RECENT_MAX: usize = 500;
/// Most levels of a book: spot, linear.
const BOOK_MAX: [usize; 2] = [200, 500];

/// What an address gets that asks too often.
pub fn too_frequent() -> Response {
    let body = json!({"retCode": 403, "retMsg": "access too frequent"});
    Response::json(403, body)
}

/// Parameters of a query, as a JSON object so that bodies and queries are read alike.
fn query_value(query: &str) -> Value {
    let pairs = query_pairs(query);
    let pairs = pairs
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)));
    Value::Object(pairs.collect())
}

impl Bybit {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(request_id, request, &fault);
            return;
        }
        if !self.limits.rest(self.core.now) {
            self.core.reply(request_id, too_frequent());
            return;
        }
        if let Some(done) = self.public(request) {
            let response = match done {
                Ok(body) => Response::json(200, body),
                Err(refused) => self.response((Err(refused), None)),
            };
            self.core.reply(request_id, response);
            return;
        }
        let account = match auth::rest(&self.core, request) {
            Ok(account) => account,
            Err(refused) => {
                let (record, now) = (&mut self.core.record, self.core.now);
                record.refused("auth", "", refused.code, &refused.text, now);
                let response = self.response((Err(refused), None));
                self.core.reply(request_id, response);
                return;
            }
        };
        if let Some(done) = self.order_path(account, request) {
            let response = self.response(done);
            let private = std::mem::take(&mut self.private);
            self.core
                .answer(ReplyTo::Http(request_id), response, private);
            return;
        }
        let done = self.query(account, request);
        let response = self.response(done);
        self.core.reply(request_id, response);
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, request_id: RequestId, request: &Request, fault: &Fault) {
        if fault.is_executed
            && let Ok(account) = auth::rest(&self.core, request)
        {
            let _ = self.order_path(account, request);
        }
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Http(request_id), fault.server_error(), private);
    }

    /// The answer to a signed request, with the headers that tell its pool.
    fn response(&self, (result, usage): Done) -> Response {
        let body = match result {
            Ok(parts) => envelope(Ok(parts), self.core.venue_ms()),
            Err(refused) => envelope(Err(&refused), self.core.venue_ms()),
        };
        let mut response = Response::json(200, body);
        response.headers = reply::usage_headers(usage, &self.core);
        response
    }

    /// Requests that change orders; `None` when the path is another.
    fn order_path(&mut self, account: AccountId, request: &Request) -> Option<Done> {
        let name = request.path.strip_prefix("/v5/order/")?;
        let route = Op::parse(name);
        if request.method != "POST" || (route.is_none() && name != "cancel-all") {
            return None;
        }
        let Ok(body) = serde_json::from_str::<Value>(&request.body) else {
            return Some((Err(Refused::parameter("body is not JSON")), None));
        };
        Some(match route {
            Some((op, is_batch)) => self.order_request(account, op, is_batch, &body),
            None => self.cancel_all(account, &body),
        })
    }

    /// Public questions; `None` when the path is not one.
    fn public(&mut self, request: &Request) -> Option<Result<String, Refused>> {
        let name = request.path.strip_prefix("/v5/market/")?;
        if request.method != "GET" {
            return None;
        }
        if self.core.faults.take(Kind::RateLimit).is_some() {
            return Some(Err(Refused::new(10006, "Too many visits!")));
        }
        let arg = query_value(&request.query);
        let result = match name {
            "time" => Ok(json!({
                "timeSecond": (self.core.venue_ms() / 1_000).to_string(),
                "timeNano": format!("{}000000", self.core.venue_ms()),
            })),
            "instruments-info" => self.instruments(&arg),
            "orderbook" => return Some(self.book(&arg)),
            "tickers" => self.tickers(&arg),
            "recent-trade" => self.recent(&arg),
            _ => return None,
        };
        let time = self.core.venue_ms();
        Some(result.map(|result| envelope(Ok((result, json!({}))), time).to_string()))
    }

    fn category_of(arg: &Value) -> Result<Category, Refused> {
        let name = field(arg, "category").unwrap_or_default();
        let category = Category::parse(&name);
        category.ok_or_else(|| Refused::parameter("category is not supported"))
    }

    fn book(&mut self, arg: &Value) -> Result<String, Refused> {
        let category = Self::category_of(arg)?;
        let inst = self.named(category, arg)?;
        let max = BOOK_MAX[usize::from(category == Category::Linear)];
        let usual = if category == Category::Linear { 25 } else { 1 };
        let limit = match field(arg, "limit") {
            Some(text) => text.parse().ok().filter(|limit| *limit > 0),
            None => Some(usual),
        };
        let limit = limit.ok_or_else(|| Refused::parameter("limit invalid"))?;
        let is_old = self.core.faults.take(Kind::SnapshotOld).is_some();
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.feeds[inst].hold_until(until);
        }
        let conns = &self.conns;
        let listeners = |category, topic: &str| ws::listeners(conns, category, topic);
        let feed = &mut self.feeds[inst];
        let book = if is_old {
            feed.old_book().to_owned()
        } else {
            feed.rest_book(&mut self.core, &listeners, usize::min(limit, max))
        };
        let time = self.core.venue_ms();
        Ok(format!(
            "{{\"retCode\":0,\"retMsg\":\"OK\",\"result\":{book},\"retExtInfo\":{{}},\"time\":{time}}}"
        ))
    }

    /// The instrument a public question names.
    fn named(&self, category: Category, arg: &Value) -> Result<usize, Refused> {
        let name = field(arg, "symbol").unwrap_or_default();
        let inst = self.inst_of(category, &name);
        inst.ok_or_else(|| Refused::parameter("symbol invalid"))
    }

    /// The instruments of a category, or the one that is named.
    fn listed(&self, arg: &Value) -> Result<(Category, Vec<usize>), Refused> {
        let category = Self::category_of(arg)?;
        if field(arg, "symbol").is_some() {
            return Ok((category, vec![self.named(category, arg)?]));
        }
        let all = 0..self.symbols.len();
        let all = all.filter(|inst| self.category(*inst) == category);
        Ok((category, all.collect()))
    }

    fn tickers(&self, arg: &Value) -> Result<Value, Refused> {
        let (category, insts) = self.listed(arg)?;
        let row = |inst: &usize| streams::rest_ticker(&self.core, *inst, &self.symbols[*inst]);
        let rows: Vec<Value> = insts.iter().map(row).collect();
        Ok(json!({"category": category.name(), "list": rows}))
    }

    fn recent(&self, arg: &Value) -> Result<Value, Refused> {
        let category = Self::category_of(arg)?;
        let inst = self.named(category, arg)?;
        let spec = self.core.engine.spec(inst);
        let (usual, max) = match category {
            Category::Spot => (60, 60),
            Category::Linear => (500, 1_000),
        };
        let rows = self.prints[inst].iter().rev().take(limit(arg, usual, max));
        let rows = rows.map(|trade| {
            json!({
                "execId": reply::execution_id(category, trade.id), "symbol": self.symbols[inst],
                "price": reply::px(spec, trade.price), "size": reply::sz(spec, trade.qty),
                "side": reply::side(trade.taker), "time": (trade.at_ns / 1_000_000).to_string(),
                "isBlockTrade": false, "isRPITrade": false,
                "seq": reply::sequence(&self.core, inst).to_string(),
            })
        });
        let rows: Vec<Value> = rows.collect();
        Ok(json!({"category": category.name(), "list": rows}))
    }

    fn instruments(&self, arg: &Value) -> Result<Value, Refused> {
        let (category, insts) = self.listed(arg)?;
        let rows: Vec<Value> = insts.iter().map(|inst| self.rules(*inst)).collect();
        let mut result = json!({"category": category.name(), "list": rows});
        if category == Category::Linear {
            result["nextPageCursor"] = json!("");
        }
        Ok(result)
    }

    fn rules(&self, inst: usize) -> Value {
        let (spec, symbol) = (self.core.engine.spec(inst), &self.symbols[inst]);
        let (tick, lot) = (reply::px(spec, spec.tick), reply::sz(spec, spec.lot));
        let (min, max) = (reply::sz(spec, spec.qty_min), reply::sz(spec, spec.qty_max));
        let value_min = amount(spec.notional_min);
        if !spec.is_contract {
            return json!({
                "symbol": symbol, "baseCoin": spec.base, "quoteCoin": spec.quote,
                "innovation": "0", "status": "Trading", "marginTrading": "none",
                "lotSizeFilter": {
                    "basePrecision": lot, "quotePrecision": "0.00000001", "minOrderQty": min,
                    "maxOrderQty": max, "minOrderAmt": value_min, "maxOrderAmt": "2000000",
                },
                "priceFilter": {"tickSize": tick},
            });
        }
        json!({
            "symbol": symbol, "symbolId": inst + 1, "contractType": "LinearPerpetual",
            "status": "Trading", "baseCoin": spec.base, "quoteCoin": spec.quote,
            "settleCoin": spec.quote, "launchTime": "1584230400000",
            "priceScale": spec.price_decimals.to_string(),
            "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
            "lotSizeFilter": {
                "minNotionalValue": value_min, "maxOrderQty": max, "maxMktOrderQty": max,
                "minOrderQty": min, "qtyStep": lot,
            },
            "fundingInterval": 480,
        })
    }

    /// Private questions. Each endpoint has a pool of its own.
    fn query(&mut self, account: AccountId, request: &Request) -> Done {
        let is_post = request.method == "POST";
        let arg = if is_post {
            serde_json::from_str(&request.body).unwrap_or(Value::Null)
        } else {
            query_value(&request.query)
        };
        let pool = match (is_post, request.path.as_str()) {
            (false, "/v5/order/realtime") => "realtime",
            (false, "/v5/order/history") => "history",
            (false, "/v5/execution/list") => "executions",
            (false, "/v5/position/list") => "positions",
            (false, "/v5/account/wallet-balance") => "wallet",
            (false, "/v5/account/query-dcp-info") => "dcp-info",
            (true, "/v5/order/disconnected-cancel-all") => "dcp",
            (false, "/v5/account/info") => "account",
            (false, "/v5/user/query-api") => "key",
            (false, "/v5/account/fee-rate") => "fees",
            (false, "/v5/asset/coin/query-info") => "coins",
            _ => return (Err(Refused::new(10404, "path not found")), None),
        };
        self.core.record.request("query", None);
        // Questions about the account as a whole have no category: they count where spot's do.
        let category = Self::category_of(&arg).unwrap_or(Category::Spot);
        let usage = match self.spend(account, category, pool, 1) {
            Ok(usage) => usage,
            Err((refused, usage)) => return (Err(refused), Some(usage)),
        };
        let result = match pool {
            "realtime" => self.realtime(account, &arg),
            "history" => self.history(account, &arg),
            "executions" => self.executions(account, &arg),
            "positions" => self.positions(account, &arg),
            "wallet" => Ok(json!({"list": [reply::wallet(&self.core, account, None)]})),
            "dcp-info" => Ok(self.dead_man_info(account)),
            "dcp" => self.set_dead_man(account, &arg),
            "account" => Ok(json!({
                "marginMode": "REGULAR_MARGIN", "updatedTime": "1697078946000",
                "unifiedMarginStatus": 6, "dcpStatus": "ON", "timeWindow": 10, "smpGroup": 0,
                "isMasterTrader": false, "spotHedgingStatus": "OFF",
            })),
            "key" => Ok(json!({
                "id": "13770661", "note": "simulator",
                "apiKey": self.core.key_name(account), "readOnly": 0, "secret": "",
                "permissions": {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"]},
                "ips": ["*"], "type": 1, "unified": 0, "uta": 1,
                "userID": 24_600_000 + account, "vipLevel": "No VIP", "mktMakerLevel": "0",
                "isMaster": true,
            })),
            "fees" => self.fees(&arg),
            _ => Ok(self.coins()),
        };
        (result.map(|result| (result, json!({}))), Some(usage))
    }

    /// A row for each order, newest first, cut to a page.
    fn page(&self, category: Category, arg: &Value, mut orders: Vec<&Order>) -> Value {
        let wanted = |name: &str| field(arg, name);
        let spec = |order: &Order| self.core.engine.spec(order.ask.inst);
        let (symbol, base, settle) = (wanted("symbol"), wanted("baseCoin"), wanted("settleCoin"));
        orders.retain(|order| {
            self.category(order.ask.inst) == category
                && symbol
                    .as_ref()
                    .is_none_or(|name| *name == self.symbols[order.ask.inst])
                && base.as_ref().is_none_or(|name| *name == spec(order).base)
                && settle
                    .as_ref()
                    .is_none_or(|name| *name == spec(order).quote)
        });
        orders.sort_by_key(|order| std::cmp::Reverse(order.id));
        let keys = orders.iter().map(|order| order.id).collect::<Vec<u64>>();
        let (range, cursor) = window(&keys, arg, 20, 50);
        let rows = orders.get(range).unwrap_or_default();
        let rows = rows
            .iter()
            .map(|order| reply::order_row(&self.core, &self.symbols[order.ask.inst], order));
        let rows: Vec<Value> = rows.collect();
        json!({"list": rows, "nextPageCursor": cursor, "category": category.name()})
    }

    /// Open orders, or with `openOnly=1` the last that ended; a named one whatever its state.
    fn realtime(&mut self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let category = Self::category_of(arg)?;
        let is_named = field(arg, "orderId")
            .or(field(arg, "orderLinkId"))
            .is_some();
        let is_listed = ["symbol", "baseCoin", "settleCoin"]
            .iter()
            .any(|key| field(arg, key).is_some());
        if category == Category::Linear && !is_named && !is_listed {
            return Err(Refused::parameter(
                "one of symbol, baseCoin and settleCoin is needed",
            ));
        }
        if is_named {
            let found = self.find(account, category, arg)?;
            return Ok(self.page(category, arg, found.iter().collect()));
        }
        let engine = &self.core.engine;
        let orders = if field(arg, "openOnly").as_deref() == Some("1") {
            let ended: Vec<&Order> = engine.finished_orders(account).collect();
            let from = ended.len().saturating_sub(RECENT_MAX);
            ended.get(from..).unwrap_or_default().to_vec()
        } else {
            engine.open_orders(account).collect()
        };
        Ok(self.page(category, arg, orders))
    }

    fn history(&mut self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let category = Self::category_of(arg)?;
        if field(arg, "orderId")
            .or(field(arg, "orderLinkId"))
            .is_some()
        {
            let found = self.find(account, category, arg)?;
            let ended = found.iter().filter(|order| !order.state.is_open());
            return Ok(self.page(category, arg, ended.collect()));
        }
        let ended = self.core.engine.finished_orders(account).collect();
        Ok(self.page(category, arg, ended))
    }

    fn executions(&mut self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let category = Self::category_of(arg)?;
        let time = |key: &str| field(arg, key).and_then(|text| text.parse::<u64>().ok());
        let now_ms = self.core.now / 1_000_000;
        let (start, end) = match (time("startTime"), time("endTime")) {
            (Some(start), Some(end)) => (start, end),
            (Some(start), None) => (start, start.saturating_add(SPAN_MS)),
            (None, end) => {
                let end = end.unwrap_or(now_ms);
                (end.saturating_sub(SPAN_MS), end)
            }
        };
        if end < start || end - start > SPAN_MS {
            return Err(Refused::parameter("the time span must be within 7 days"));
        }
        let named = match field(arg, "orderId").or(field(arg, "orderLinkId")) {
            // An order that is not known has no executions.
            Some(_) => Some(
                self.find(account, category, arg)?
                    .map_or(0, |order| order.id),
            ),
            None => None,
        };
        let symbol = field(arg, "symbol");
        let is_trade = field(arg, "execType").is_none_or(|kind| kind == "Trade");
        let fits = |order: &Order, fill: Fill| {
            is_trade
                && self.category(order.ask.inst) == category
                && named.is_none_or(|id| order.id == id)
                && symbol
                    .as_ref()
                    .is_none_or(|name| *name == self.symbols[order.ask.inst])
                && (start..=end).contains(&(fill.at_ns / 1_000_000))
        };
        let all = self.core.record.fills(account).rev();
        let all: Vec<(&Order, Fill)> = all.filter(|(order, fill)| fits(order, *fill)).collect();
        let keys: Vec<u64> = all.iter().map(|(_, fill)| fill.trade).collect();
        let (range, cursor) = window(&keys, arg, 50, 100);
        let rows = all.get(range).unwrap_or_default().iter();
        let rows = rows.map(|(order, fill)| {
            let symbol = &self.symbols[order.ask.inst];
            let mut row = reply::execution_row(&self.core, symbol, order, *fill);
            let spec = self.core.engine.spec(order.ask.inst);
            row["feeCurrency"] = json!(reply::fee_asset(spec, order.ask.side));
            row
        });
        let mut rows: Vec<Value> = rows.collect();
        // Funding is listed among them: here on the first page, however many there are.
        let kind = field(arg, "execType");
        let is_listed = named.is_none() && field(arg, "cursor").is_none();
        let payments = self.core.record.payments(account).rev().filter(|it| {
            is_listed
                && kind.as_ref().is_none_or(|kind| *kind == "Funding")
                && self.category(it.inst) == category
                && symbol
                    .as_ref()
                    .is_none_or(|name| *name == self.symbols[it.inst])
                && (start..=end).contains(&(it.at_ns / 1_000_000))
        });
        rows.extend(payments.map(|it| reply::funding_row(&self.core, &self.symbols[it.inst], it)));
        Ok(json!({"nextPageCursor": cursor, "category": category.name(), "list": rows}))
    }

    /// Positions that are open; a named one even when it is flat.
    fn positions(&mut self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let (category, insts) = self.listed(arg)?;
        let (is_named, settle) = (field(arg, "symbol").is_some(), field(arg, "settleCoin"));
        if category == Category::Spot {
            return Err(Refused::parameter("category is not supported"));
        }
        if !is_named && settle.is_none() {
            return Err(Refused::parameter("symbol or settleCoin is needed"));
        }
        let engine = &self.core.engine;
        let rows = insts
            .into_iter()
            .filter(|inst| is_named || engine.position(account, *inst).qty != 0)
            .filter(|inst| {
                settle
                    .as_ref()
                    .is_none_or(|name| *name == engine.spec(*inst).quote)
            })
            .map(|inst| {
                let symbol = &self.symbols[inst];
                reply::position_row(&self.core, symbol, (account, inst), "avgPrice")
            });
        let rows: Vec<Value> = rows.collect();
        Ok(json!({"nextPageCursor": "", "category": category.name(), "list": rows}))
    }

    fn dead_man_info(&self, account: AccountId) -> Value {
        let all = [Category::Spot, Category::Linear].map(|category| {
            let window = self.dead_man.window_s(account, category);
            json!({
                "product": dcp::product(category).0, "dcpStatus": "ON",
                "timeWindow": window.to_string(),
            })
        });
        json!({"dcpInfos": all})
    }

    /// Sets a switch's window; without a product that of options, which are not simulated.
    fn set_dead_man(&mut self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let seconds: u64 = field(arg, "timeWindow")
            .and_then(|text| text.parse().ok())
            .filter(|seconds| (3..=300).contains(seconds))
            .ok_or_else(|| Refused::parameter("timeWindow invalid"))?;
        let product = field(arg, "product").unwrap_or_else(|| "OPTIONS".to_owned());
        let all = [Category::Spot, Category::Linear];
        match all
            .into_iter()
            .find(|category| dcp::product(*category).0 == product)
        {
            Some(category) => self.dead_man.set(self.core.now, account, category, seconds),
            None if product == "OPTIONS" => {}
            None => return Err(Refused::parameter("product invalid")),
        }
        Ok(json!({}))
    }

    fn fees(&self, arg: &Value) -> Result<Value, Refused> {
        let (category, insts) = self.listed(arg)?;
        let rate = trimmed(i128::from(super::FEE_PPM), 6);
        let rows: Vec<Value> = insts
            .iter()
            .map(|inst| {
                json!({
                    "symbol": self.symbols[*inst], "takerFeeRate": rate, "makerFeeRate": rate,
                })
            })
            .collect();
        Ok(json!({"category": category.name(), "list": rows}))
    }

    fn coins(&self) -> Value {
        let mut names: Vec<&str> = Vec::new();
        for inst in 0..self.symbols.len() {
            let spec = self.core.engine.spec(inst);
            for name in [spec.base.as_str(), spec.quote.as_str()] {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let rows = names.into_iter().map(|name| {
            json!({
                "name": name, "coin": name, "remainAmount": "0", "chains": [{
                    "chainType": name, "confirmation": "1", "withdrawFee": "0",
                    "depositMin": "0", "withdrawMin": "0", "chain": name, "chainDeposit": "0",
                    "chainWithdraw": "0", "minAccuracy": "8",
                }],
            })
        });
        json!({"rows": rows.collect::<Vec<Value>>()})
    }
}

fn limit(arg: &Value, usual: usize, max: usize) -> usize {
    let asked = field(arg, "limit").and_then(|text| text.parse().ok());
    usize::clamp(asked.unwrap_or(usual), 1, max)
}

/// A page of a list whose keys fall: which items, and the cursor of the next page, escaped as the venue hands it
/// out; empty after the last. A cursor may come back escaped once more.
fn window(keys: &[u64], arg: &Value, usual: usize, max: usize) -> (std::ops::Range<usize>, String) {
    let cursor = field(arg, "cursor").map(|text| percent_decode(&text));
    let last = cursor
        .as_deref()
        .and_then(|text| text.rsplit_once(','))
        .and_then(|(_, last)| last.split_once(':')?.0.parse::<u64>().ok());
    let from = match last {
        Some(last) => keys.partition_point(|key| *key >= last),
        None => 0,
    };
    let to = keys.len().min(from + limit(arg, usual, max));
    let next = match (keys.get(from), keys.get(to.wrapping_sub(1))) {
        (Some(first), Some(last)) if to < keys.len() => {
            format!("{first}%3A{from}%2C{last}%3A{to}")
        }
        _ => String::new(),
    };
    (from..to, next)
}
