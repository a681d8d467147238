//! Signed REST: queries and orders.

use super::Huobi;
use super::auth;
use super::limits::{self, Pool};
use super::ops::{self, field};
use super::reply::{self, Refused, ok};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Order};
use crate::fault::{Fault, Kind};
use crate::venues::query_pairs;
use serde_json::{Value, json};

/// Items of a list that names no size, and most of them.
const SIZES: [usize; 2] = [100, 500];

/// What a signed request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call<'a> {
    Place,
    PlaceMany,
    Cancel(&'a str),
    CancelClient,
    CancelMany,
    CancelOpen,
    DeadMan,
    Accounts,
    Balance(&'a str),
    Open,
    Order(&'a str),
    ClientOrder,
    OrderFills(&'a str),
    Orders,
    Fills,
    FeeRates,
    User,
}

impl<'a> Call<'a> {
    /// What a path asks, and what it counts against where orders do not count themselves.
    fn of(method: &str, path: &'a str) -> Option<(Self, Option<Pool>)> {
        let ask = |name| Some(Pool::query(name));
        let orders = path.strip_prefix("/v1/order/orders/");
        Some(match (method, path) {
            ("POST", "/v1/order/orders/place") => (Self::Place, None),
            ("POST", "/v1/order/batch-orders") => (Self::PlaceMany, None),
            ("POST", "/v1/order/orders/submitCancelClientOrder") => (Self::CancelClient, None),
            ("POST", "/v1/order/orders/batchcancel") => (Self::CancelMany, None),
            ("POST", "/v1/order/orders/batchCancelOpenOrders") => (Self::CancelOpen, None),
            ("POST", "/v2/algo-orders/cancel-all-after") => (Self::DeadMan, Some(limits::DEAD_MAN)),
            ("POST", _) => {
                let id = orders?.strip_suffix("/submitcancel")?;
                (Self::Cancel(id), None)
            }
            ("GET", "/v1/account/accounts") => (Self::Accounts, ask("accounts")),
            ("GET", "/v1/order/openOrders") => (Self::Open, ask("open orders")),
            ("GET", "/v1/order/orders") => (Self::Orders, Some(limits::HISTORY)),
            ("GET", "/v1/order/matchresults") => (Self::Fills, Some(limits::HISTORY)),
            ("GET", "/v1/order/orders/getClientOrder") => (Self::ClientOrder, ask("client order")),
            ("GET", "/v2/reference/transact-fee-rate") => (Self::FeeRates, ask("fee rates")),
            ("GET", "/v2/user/uid") => (Self::User, ask("uid")),
            ("GET", _) => match (path.strip_prefix("/v1/account/accounts/"), orders) {
                (Some(rest), _) => (
                    Self::Balance(rest.strip_suffix("/balance")?),
                    ask("balance"),
                ),
                (None, Some(rest)) => match rest.split_once('/') {
                    None => (Self::Order(rest), ask("order")),
                    Some((id, "matchresults")) => (Self::OrderFills(id), ask("order fills")),
                    Some(_) => return None,
                },
                (None, None) => return None,
            },
            _ => return None,
        })
    }

    /// Whether it changes orders.
    const fn is_order(self) -> bool {
        matches!(
            self,
            Self::Place
                | Self::PlaceMany
                | Self::Cancel(_)
                | Self::CancelClient
                | Self::CancelMany
                | Self::CancelOpen
        )
    }
}

/// Parameters of a query, as a JSON object so that bodies and queries are read alike.
pub(super) fn query_value(query: &str) -> Value {
    let pairs = query_pairs(query).into_iter();
    let pairs = pairs.map(|(key, value)| (key, Value::String(value)));
    Value::Object(pairs.collect())
}

/// A field as a number.
pub(super) fn number(arg: &Value, name: &str) -> Option<u64> {
    field(arg, name).and_then(|text| text.parse().ok())
}

fn size(arg: &Value) -> usize {
    let [usual, most] = SIZES;
    number(arg, "size").map_or(usual, |size| (size as usize).clamp(1, most))
}

impl Huobi {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(request_id, request, &fault);
            return;
        }
        if let Some(response) = self.public(request) {
            self.core.reply(request_id, response);
            return;
        }
        let path = request.path.as_str();
        let account = auth::rest(&self.core, request);
        let call = Call::of(&request.method, path);
        let (account, (call, pool)) = match (account, call) {
            (Err(refused), _) => {
                let (record, now) = (&mut self.core.record, self.core.now);
                record.refused("auth", "", refused.number, &refused.told(), now);
                self.core.reply(request_id, refused.response(path));
                return;
            }
            (Ok(_), None) => {
                let response = Response::json(404, json!({"code": 404, "message": "Not Found"}));
                self.core.reply(request_id, response);
                return;
            }
            (Ok(account), Some(call)) => (account, call),
        };
        if call.is_order() {
            let response = self.order_request(account, call, request);
            let private = std::mem::take(&mut self.private);
            self.core
                .answer(ReplyTo::Http(request_id), response, private);
            return;
        }
        let response = self.counted(account, pool, path, |venue| {
            venue.query(account, call, request)
        });
        self.core.reply(request_id, response);
    }

    /// Counts a request, answers it, and tells in headers what is left of its limit.
    pub(super) fn counted(
        &mut self,
        account: AccountId,
        pool: Option<Pool>,
        path: &str,
        answer: impl FnOnce(&mut Self) -> Result<Response, Refused>,
    ) -> Response {
        let now = self.core.now;
        let is_refused = self.core.faults.take(Kind::RateLimit).is_some();
        let fits = pool.is_none_or(|pool| self.limits.take(now, account, pool));
        let result = if is_refused || !fits {
            Err(Refused::too_fast())
        } else {
            answer(self)
        };
        let mut response = result.unwrap_or_else(|refused| refused.response(path));
        if let Some(pool) = pool {
            response.headers = self.limits.headers(now, account, pool);
        }
        response
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, request_id: RequestId, request: &Request, fault: &Fault) {
        let call = Call::of(&request.method, &request.path).map(|(call, _)| call);
        let call = call.filter(|call| call.is_order() && fault.is_executed);
        if let (Some(call), Ok(account)) = (call, auth::rest(&self.core, request)) {
            self.order_request(account, call, request);
        }
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Http(request_id), fault.server_error(), private);
    }

    fn order_request(&mut self, account: AccountId, call: Call<'_>, request: &Request) -> Response {
        let body = serde_json::from_str::<Value>(&request.body);
        let body = match body {
            Ok(body) => body,
            Err(_) if request.body.is_empty() => json!({}),
            Err(_) => return Refused::field("body").response(&request.path),
        };
        let orders = match (call, &body) {
            (Call::Place, _) => std::slice::from_ref(&body),
            (Call::PlaceMany, Value::Array(orders)) => orders,
            _ => &[],
        };
        let result = match self.refused_by_fault(orders) {
            Some(refused) => Err(refused),
            None => match call {
                Call::Place => self.place(account, &body).map(|id| json!(id.to_string())),
                Call::PlaceMany => self.place_many(account, orders),
                Call::Cancel(id) => self.cancel(account, id).map(|id| json!(id.to_string())),
                Call::CancelClient => self.cancel_client(account, &body).map(|code| json!(code)),
                Call::CancelMany => self.cancel_many(account, &body),
                _ => self.cancel_open(account, &body),
            },
        };
        match result {
            Ok(data) => ok(data),
            Err(refused) => refused.response(&request.path),
        }
    }

    /// Private questions, and the dead man's switch.
    fn query(
        &mut self,
        account: AccountId,
        call: Call<'_>,
        request: &Request,
    ) -> Result<Response, Refused> {
        let arg = query_value(&request.query);
        let v2 = |data: Value| Response::json(200, json!({"code": 200, "data": data}));
        self.core.record.request("query", None);
        let own_id = reply::account_id(account);
        Ok(match call {
            Call::DeadMan => {
                let body = serde_json::from_str(&request.body);
                let body: Value = body.map_err(|_| Refused::field("timeout"))?;
                v2(self.cancel_all_after(account, &body)?)
            }
            Call::Accounts => ok(json!([
                {"id": own_id, "type": "spot", "subtype": "", "state": "working"},
            ])),
            Call::Balance(id) => {
                ops::check_account(account, &json!({"account-id": id}))?;
                let list = self.balances(account);
                ok(json!({"id": own_id, "type": "spot", "state": "working", "list": list}))
            }
            Call::Open => ok(self.open_list(account, &arg)?),
            Call::Order(id) => {
                let order = self.by_id(account, id).ok_or_else(Refused::unknown_order)?;
                ok(reply::order_row(&self.core, self.symbol_of(order), order))
            }
            Call::ClientOrder => {
                let id = field(&arg, "clientOrderId").unwrap_or_default();
                let order = self.by_client_id(account, &id);
                let order = order.ok_or_else(Refused::unknown_order)?;
                ok(reply::order_row(&self.core, self.symbol_of(order), order))
            }
            Call::OrderFills(id) => {
                let order = self.by_id(account, id).ok_or_else(Refused::unknown_order)?;
                let order = order.id;
                ok(self.fill_list(account, &arg, Some(order))?)
            }
            Call::Orders => ok(self.order_list(account, &arg)?),
            Call::Fills => ok(self.fill_list(account, &arg, None)?),
            Call::FeeRates => {
                let names = field(&arg, "symbols").unwrap_or_default();
                let rows: Vec<Value> = names
                    .split(',')
                    .filter(|name| self.inst_of(name).is_some())
                    .map(|name| {
                        json!({
                            "symbol": name, "makerFeeRate": "0.002", "takerFeeRate": "0.002",
                            "actualMakerRate": "0.002", "actualTakerRate": "0.002",
                        })
                    })
                    .collect();
                v2(json!(rows))
            }
            _ => v2(json!(63_628_520 + account)),
        })
    }

    fn symbol_of(&self, order: &Order) -> &str {
        &self.symbols[order.ask.inst]
    }

    /// Whether an order is of the symbol a list is asked for, or none is named. Errors: there is no such symbol.
    fn wanted_inst(&self, arg: &Value) -> Result<Option<usize>, Refused> {
        match field(arg, "symbol") {
            None => Ok(None),
            Some(name) => match self.inst_of(&name) {
                None => Err(Refused::new("base-symbol-error", "The symbol is invalid")),
                found => Ok(found),
            },
        }
    }

    /// A page of orders: newest first, and on from an id towards older ones, or with `prev` towards newer
    /// ones, oldest first. Unverified: which way is which, and that the id itself is not told again.
    fn page<'a>(arg: &Value, mut orders: Vec<&'a Order>) -> Vec<&'a Order> {
        orders.sort_by_key(|order| std::cmp::Reverse(order.id));
        let from = number(arg, "from");
        if field(arg, "direct").as_deref() == Some("prev") {
            orders.reverse();
            orders.retain(|order| from.is_none_or(|from| order.id > from));
        } else {
            orders.retain(|order| from.is_none_or(|from| order.id < from));
        }
        orders.truncate(size(arg));
        orders
    }

    fn open_list(&self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        if field(arg, "account-id").is_some() {
            ops::check_account(account, arg)?;
        }
        let inst = self.wanted_inst(arg)?;
        let side = field(arg, "side");
        let open = self.core.engine.open_orders(account);
        let open = open
            .filter(|order| inst.is_none_or(|inst| order.ask.inst == inst))
            .filter(|order| {
                let word = reply::side(order.ask.side);
                side.as_deref().is_none_or(|side| side == word)
            });
        let page = Self::page(arg, open.collect()).into_iter();
        let row = |order: &Order| reply::open_row(&self.core, self.symbol_of(order), order);
        Ok(page.map(row).collect())
    }

    fn order_list(&self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        let inst = self.wanted_inst(arg)?;
        let inst = inst.ok_or_else(|| Refused::field("symbol"))?;
        let states = field(arg, "states").ok_or_else(|| Refused::field("states"))?;
        let engine = &self.core.engine;
        let orders = engine.open_orders(account);
        let orders = orders.chain(engine.finished_orders(account));
        let orders = orders
            .filter(|order| order.ask.inst == inst && ops::has_state(order, &states))
            .collect();
        let page = Self::page(arg, orders).into_iter();
        let row = |order: &Order| reply::order_row(&self.core, self.symbol_of(order), order);
        Ok(page.map(row).collect())
    }

    /// Fills, newest first; `from` is a fill's own id.
    fn fill_list(
        &self,
        account: AccountId,
        arg: &Value,
        order: Option<u64>,
    ) -> Result<Value, Refused> {
        let inst = self.wanted_inst(arg)?;
        let (from, begin, end) = (
            number(arg, "from"),
            number(arg, "start-time"),
            number(arg, "end-time"),
        );
        let fills = self.core.record.fills(account).rev();
        let rows = fills
            .filter(|(of, _)| inst.is_none_or(|inst| of.ask.inst == inst))
            .filter(|(of, _)| order.is_none_or(|id| of.id == id))
            .filter(|(_, fill)| {
                let (id, at) = (reply::fill_id(fill), fill.at_ns / 1_000_000);
                from.is_none_or(|from| id < from)
                    && begin.is_none_or(|begin| at >= begin)
                    && end.is_none_or(|end| at <= end)
            })
            .take(size(arg))
            .map(|(of, fill)| reply::fill_row(&self.core, self.symbol_of(of), of, &fill));
        Ok(rows.collect())
    }

    /// What an account has of each asset, free and held as rows of their own.
    fn balances(&self, account: AccountId) -> Vec<Value> {
        let sequence = self.wallet_seq.to_string();
        let row = |name: &str, kind: &str, amount: i128| {
            json!({
                "currency": name.to_lowercase(), "type": kind,
                "balance": crate::text::fixed(amount, 12, 18), "seq-num": sequence,
            })
        };
        let mut rows = Vec::new();
        for (name, asset) in self.assets() {
            let balance = self.core.engine.ledger().balance(account, asset);
            rows.push(row(&name, "trade", balance.free));
            rows.push(row(&name, "frozen", balance.locked));
        }
        rows
    }
}
