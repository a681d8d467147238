//! REST: public data by GET; questions and orders by signed POST.

use super::Bitfinex;
use super::book::Shape;
use super::ops::{Op, field};
use super::reply::{self, Refused};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Order};
use crate::fault::{Fault, Kind};
use crate::venues::{percent_decode, query_pairs};
use crate::window::Window;
use serde_json::{Value, json};

/// A minute, the window of every REST limit.
pub const MINUTE_NS: u64 = 60_000_000_000;
/// Rows of a list: by default, and at most.
const ROWS_USUAL: usize = 125;
const ROWS_MAX: usize = 2_500;

/// An endpoint's requests in a minute, and until when it answers nobody.
#[derive(Debug)]
pub struct Pace {
    /// The requests.
    pub window: Window,
    blocked_until: u64,
}

impl Bitfinex {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(request_id, request, &fault);
            return;
        }
        if self.core.faults.take(Kind::RateLimit).is_some() || !self.rest_pace(request) {
            self.core.reply(request_id, too_many());
            return;
        }
        let path = percent_decode(&request.path);
        let Some(path) = path.strip_prefix("/v2/") else {
            self.core.reply(request_id, not_found());
            return;
        };
        if self.is_paused() && path != "platform/status" {
            let refused = Err(Refused::maintenance());
            self.core.reply(request_id, response(refused));
            return;
        }
        if request.method == "GET" {
            let result = self.public(path, &request.query);
            self.core.reply(request_id, response(result));
            return;
        }
        match self.rest_account(request) {
            Ok(account) => self.signed(request_id, account, path, request),
            Err(refused) => {
                let (record, now) = (&mut self.core.record, self.core.now);
                record.refused("auth", "", refused.code, &refused.text, now);
                self.core.reply(request_id, response(Err(refused)));
            }
        }
    }

    fn signed(&mut self, request_id: RequestId, account: AccountId, path: &str, request: &Request) {
        let Some(body) = body_of(request) else {
            let refused = Refused::new(10_020, "body: invalid");
            self.core.reply(request_id, response(Err(refused)));
            return;
        };
        let Some(op) = order_route(path) else {
            self.core.record.request("query", None);
            let result = self.query(account, path, &body);
            self.core.reply(request_id, response(result));
            return;
        };
        let answer = self.order_request(account, op, &body);
        let private = self.take_private();
        self.core.answer(ReplyTo::Http(request_id), answer, private);
    }

    fn order_request(&mut self, account: AccountId, op: Op, body: &Value) -> Response {
        let Some(mut outcome) = self.request(account, op, body, false) else {
            return Response::json(504, "<html><h1>504 Gateway Time-out</h1></html>");
        };
        match outcome.result {
            Err(refused) => response(Err(refused)),
            Ok(_) => {
                if op == Op::Place {
                    outcome.data = json!([outcome.data]);
                }
                // Seconds here, milliseconds on a socket.
                let row = outcome.notice(self.core.venue_ms() / 1_000, op);
                Response::json(200, row)
            }
        }
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, request_id: RequestId, request: &Request, fault: &Fault) {
        let route = request.path.strip_prefix("/v2/").and_then(order_route);
        let op = route.filter(|_| fault.is_executed && request.method == "POST");
        if let (Some(op), Some(body)) = (op, body_of(request))
            && let Ok(account) = self.rest_account(request)
        {
            self.order_request(account, op, &body);
        }
        let private = self.take_private();
        self.core
            .answer(ReplyTo::Http(request_id), fault.server_error(), private);
    }

    /// Counts a request against its endpoint's limit; one too many closes the endpoint for a minute, and each
    /// during it begins another. Whether it fits.
    fn rest_pace(&mut self, request: &Request) -> bool {
        let now = self.core.now;
        let (name, limit) = endpoint_limit(&request.path);
        let limit = limit.saturating_mul(self.rate_factor);
        let pace = self.rest_paces.entry(name).or_insert_with(|| Pace {
            window: Window::new(limit, MINUTE_NS),
            blocked_until: 0,
        });
        let is_open = now >= pace.blocked_until && pace.window.take(now, 1);
        if !is_open {
            pace.blocked_until = now + MINUTE_NS;
        }
        is_open
    }

    /// Public questions.
    fn public(&mut self, path: &str, query: &str) -> Result<Value, Refused> {
        let pairs = query_pairs(query);
        let arg = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["platform", "status"] => Ok(json!([i32::from(!self.is_paused())])),
            ["conf", keys] => {
                let lists: Option<Vec<Value>> = keys.split(',').map(|key| self.conf(key)).collect();
                lists
                    .map(Value::Array)
                    .ok_or_else(|| Refused::parameter("conf"))
            }
            ["tickers"] => {
                let wanted = arg("symbols").ok_or_else(|| Refused::parameter("symbols"))?;
                let is_wanted =
                    |name: &str| wanted == "ALL" || wanted.split(',').any(|w| w == name);
                let insts = (0..self.names.len()).filter(|inst| is_wanted(self.name(*inst)));
                let rows = insts.map(|inst| self.ticker_row(inst, self.name(inst)));
                Ok(rows.collect())
            }
            ["ticker", symbol] => {
                let mut row = self.ticker_row(self.named(symbol)?, "");
                if let Some(items) = row.as_array_mut() {
                    items.pop();
                }
                Ok(row)
            }
            ["book", symbol, prec] => self.book(symbol, prec, arg("len").unwrap_or("25")),
            ["trades", symbol, "hist"] => {
                let inst = self.named(symbol)?;
                let body = json!({
                    "start": arg("start"), "end": arg("end"), "limit": arg("limit"),
                    "sort": arg("sort"),
                });
                Ok(page(&body, self.trades(inst), 1, ROWS_USUAL))
            }
            _ => Err(not_served()),
        }
    }

    fn named(&self, symbol: &str) -> Result<usize, Refused> {
        let inst = self.inst_of(symbol);
        inst.ok_or_else(|| Refused::parameter("symbol"))
    }

    /// One list of the configuration.
    fn conf(&self, key: &str) -> Option<Value> {
        let pairs = self.names.iter().map(|name| name.get(1..).unwrap_or(""));
        Some(match key {
            "pub:list:pair:exchange" => pairs.collect(),
            "pub:list:pair:futures" | "pub:info:pair:futures" => json!([]),
            "pub:list:currency" => {
                let assets = reply::assets(&self.core);
                let names = assets.iter().map(|(name, _)| json!(reply::currency(name)));
                names.collect()
            }
            "pub:info:pair" => {
                let rows = pairs.enumerate().map(|(inst, pair)| {
                    let spec = self.core.engine.spec(inst);
                    let size = |qty: i64| reply::spelled(i128::from(qty), spec.qty_decimals);
                    let (min, max) = (size(spec.qty_min), size(spec.qty_max));
                    json!([
                        pair,
                        [
                            null, null, null, min, max, null, null, null, 0.2, 0.1, null, null
                        ]
                    ])
                });
                rows.collect()
            }
            _ => return None,
        })
    }

    fn book(&mut self, symbol: &str, prec: &str, len: &str) -> Result<Value, Refused> {
        let inst = self.named(symbol)?;
        let shape = Shape::of(prec, "F0", len).map_err(Refused::parameter)?;
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            self.hold_books(inst, until);
        }
        let is_old = self.core.faults.take(Kind::SnapshotOld).is_some();
        let book = self.rest_book(inst, shape, is_old);
        Ok(serde_json::from_str(&book).unwrap_or_default())
    }

    /// Private questions.
    fn query(&self, account: AccountId, path: &str, body: &Value) -> Result<Value, Refused> {
        let engine = &self.core.engine;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["auth", "r", "orders"] => {
                let open = engine.open_orders(account).collect();
                Ok(self.orders(open, None, body))
            }
            ["auth", "r", "orders", "hist"] => {
                let finished = engine.finished_orders(account).collect();
                Ok(self.closed(finished, None, body))
            }
            ["auth", "r", "orders", symbol] => {
                let inst = self.named(symbol)?;
                let open = engine.open_orders(account).collect();
                Ok(self.orders(open, Some(inst), body))
            }
            ["auth", "r", "orders", symbol, "hist"] => {
                let inst = self.named(symbol)?;
                let finished = engine.finished_orders(account).collect();
                Ok(self.closed(finished, Some(inst), body))
            }
            ["auth", "r", "trades", "hist"] => Ok(self.fills(account, None, None, body)),
            ["auth", "r", "trades", symbol, "hist"] => {
                Ok(self.fills(account, Some(self.named(symbol)?), None, body))
            }
            ["auth", "r", "order", name, "trades"] => {
                // The id follows the last colon: a symbol may have one too.
                let (symbol, id) = name.rsplit_once(':').unwrap_or((name, ""));
                let id = id.parse().map_err(|_| Refused::parameter("id"))?;
                Ok(self.fills(account, Some(self.named(symbol)?), Some(id), body))
            }
            ["auth", "r", "wallets"] => Ok(Value::Array(reply::wallets(&self.core, account))),
            ["auth", "r", "positions"] => Ok(json!([])),
            _ => Err(not_served()),
        }
    }

    /// Open orders, newest first.
    fn orders(&self, mut orders: Vec<&Order>, inst: Option<usize>, body: &Value) -> Value {
        orders.sort_by_key(|order| std::cmp::Reverse(order.id));
        let listed = orders.into_iter().filter(|order| {
            inst.is_none_or(|inst| order.ask.inst == inst) && is_listed(body, order.id)
        });
        listed.map(|order| self.order_row(order)).collect()
    }

    /// Orders that have ended, the latest first, in the times and number asked for.
    fn closed(&self, orders: Vec<&Order>, inst: Option<usize>, body: &Value) -> Value {
        let listed = orders.into_iter().rev().filter(|order| {
            inst.is_none_or(|inst| order.ask.inst == inst) && is_listed(body, order.id)
        });
        page(
            body,
            listed.map(|order| self.order_row(order)),
            5,
            ROWS_USUAL,
        )
    }

    fn fills(
        &self,
        account: AccountId,
        inst: Option<usize>,
        order: Option<u64>,
        body: &Value,
    ) -> Value {
        let fills = self.core.record.fills(account).rev();
        let listed = fills.filter(|(known, _)| {
            inst.is_none_or(|inst| known.ask.inst == inst) && order.is_none_or(|id| known.id == id)
        });
        let rows = listed.map(|(order, fill)| {
            let symbol = self.name(order.ask.inst);
            reply::fill_row(&self.core, symbol, order, fill, true)
        });
        page(body, rows, 2, ROWS_USUAL)
    }
}

/// Whether a list of ids, where there is one, has this one.
fn is_listed(body: &Value, id: u64) -> bool {
    match body.get("id").and_then(Value::as_array) {
        Some(ids) => ids.iter().any(|listed| listed.as_u64() == Some(id)),
        None => true,
    }
}

/// A page of rows that come newest first: `start` and `end` are times, at `place` of a row; `sort` 1 is oldest
/// first.
fn page(body: &Value, rows: impl Iterator<Item = Value>, place: usize, usual: usize) -> Value {
    let number = |name: &str| field(body, name).and_then(|text| text.parse::<u64>().ok());
    let (start, end) = (
        number("start").unwrap_or(0),
        number("end").unwrap_or(u64::MAX),
    );
    let limit = number("limit").map_or(usual, |limit| limit.clamp(1, ROWS_MAX as u64) as usize);
    let in_time = rows.filter(|row| {
        let time = row.get(place).and_then(Value::as_u64).unwrap_or(0);
        (start..=end).contains(&time)
    });
    if field(body, "sort").as_deref() == Some("1") {
        let mut all: Vec<Value> = in_time.collect();
        all.reverse();
        all.truncate(limit);
        Value::Array(all)
    } else {
        in_time.take(limit).collect()
    }
}

/// The body of a signed request; an empty one is an empty object.
fn body_of(request: &Request) -> Option<Value> {
    if request.body.is_empty() {
        return Some(json!({}));
    }
    let body = serde_json::from_str::<Value>(&request.body).ok();
    body.filter(|body| body.is_object() || body.is_array())
}

fn order_route(path: &str) -> Option<Op> {
    Some(match path {
        "auth/w/order/submit" => Op::Place,
        "auth/w/order/update" => Op::Amend,
        "auth/w/order/cancel" => Op::Cancel,
        "auth/w/order/cancel/multi" => Op::CancelMany,
        "auth/w/order/multi" => Op::Several,
        _ => return None,
    })
}

/// Requests in a minute. The page gives 10 to 90 an endpoint, 90 for the configuration, and 45 for orders as what
/// another client assumes; which of them an endpoint has is [U] beyond that. Public ones count by address,
/// private ones by key, and everything on loopback is one address with one key.
fn endpoint_limit(path: &str) -> (&'static str, u32) {
    let path = path.strip_prefix("/v2/").unwrap_or("");
    let parts: Vec<&str> = path.split('/').take(4).collect();
    match parts.as_slice() {
        ["conf", ..] => ("conf", 90),
        ["book", ..] => ("book", 90),
        ["tickers" | "ticker", ..] => ("tickers", 90),
        ["trades", ..] => ("trades", 30),
        ["auth", "w", "order", "submit"] => ("submit", 45),
        ["auth", "w", "order", "update"] => ("update", 45),
        ["auth", "w", "order", ..] => ("cancel", 45),
        ["auth", "r", "orders", ..] => ("orders", 90),
        ["auth", "r", "trades" | "order", ..] => ("own trades", 90),
        ["auth", "r", "wallets"] => ("wallets", 90),
        ["auth", ..] => ("private", 45),
        _ => ("public", 30),
    }
}

fn not_served() -> Refused {
    Refused {
        status: 404,
        code: reply::PARAMETERS,
        text: "path: invalid".into(),
    }
}

fn not_found() -> Response {
    response(Err(not_served()))
}

fn too_many() -> Response {
    Response::json(429, json!({"error": "ERR_RATE_LIMIT"}))
}

fn response(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(data) => Response::json(200, data),
        Err(refused) if refused.code == reply::RATE => too_many(),
        Err(refused) => Response::json(refused.status, refused.row()),
    }
}
