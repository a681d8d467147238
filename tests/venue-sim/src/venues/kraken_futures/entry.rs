//! Order entry on the Unified WebSocket: requests read, answers written.
//!
//! ```text
//!  {"method":"add_order","params":{"asset_class":"derivatives",…,"token":"T"},"req_id":2}
//!  {"method":"add_order","req_id":2,"success":true,"result":{"order_id":…,"cl_ord_id":…},"time_in":…,"time_out":…}
//!  {"method":"add_order","req_id":2,"success":false,"error":"EOrder:…","time_in":…,"time_out":…}
//! ```
//! Source: venue page, section 3; `kraken.md`, section 4.

use super::ops::{Amend, Call, Item, Job, Name, Op, Shape};
use super::reply::{Refused, Row, Why, list, order_id};
use super::time::{parse, rfc3339};
use super::{KrakenFutures, venue_ns};
use crate::core::{ConnId, Core, ReplyTo, Response};
use crate::engine::{AccountId, Cause, NewOrder, PostOnly, Side, Size, Tif};
use crate::fault::Kind;
use serde_json::Value;
use std::sync::Arc;

/// How far ahead a deadline may be. [U for derivatives]
const DEADLINE_NS: std::ops::RangeInclusive<u64> = 500_000_000..=60_000_000_000;
/// The deadline of a request that names none. [U for derivatives]
const DEADLINE_DEFAULT_NS: u64 = 5_000_000_000;
/// Whether `fok` is taken. [U on this protocol; on REST it is]
const TAKES_FOK: bool = true;
/// The longest time of the dead man's switch. [U]
const SWITCH_S_MAX: u64 = 86_400;
/// Orders of a batch of new ones, and of cancels.
const BATCH_ADD: std::ops::RangeInclusive<usize> = 2..=15;
const BATCH_CANCEL: std::ops::RangeInclusive<usize> = 2..=50;
/// Longest free client id.
const FREE_ID_MAX: usize = 18;

/// What an answer repeats of its request.
#[derive(Debug, Clone)]
pub struct Asked {
    method: String,
    req_id: Option<Value>,
    time_in: u64,
}

impl Asked {
    /// Of a message that came at the venue's time `time_in`.
    pub fn new(message: &Value, time_in: u64) -> Self {
        let method = message.get("method").and_then(Value::as_str).unwrap_or("");
        let req_id = message
            .get("req_id")
            .filter(|id| id.is_u64() || id.is_i64());
        Self {
            method: method.to_owned(),
            req_id: req_id.cloned(),
            time_in,
        }
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// `time_in` and `time_out` behind a row.
    pub fn times(&self, core: &Core, row: Row) -> Row {
        row.text("time_in", &rfc3339(self.time_in, 6))
            .text("time_out", &rfc3339(venue_ns(core), 6))
    }

    /// The request's number behind a row, where it has one.
    pub fn number(&self, row: Row) -> Row {
        row.raw_if("req_id", self.req_id.as_ref())
    }

    /// The answer of an order request.
    pub fn done(&self, core: &Core, result: Result<String, Refused>) -> String {
        let row = self.number(Row::new().text("method", &self.method));
        let row = match result {
            Ok(result) => row.raw("success", true).raw("result", result),
            Err(refused) => row.raw("success", false).text("error", &refused.unified()),
        };
        self.times(core, row).end()
    }

    /// The answer of a call: of its only part, or of a batch.
    pub fn answer(&self, core: &Core, items: &[Item]) -> String {
        let result = match (self.method.as_str(), items) {
            ("batch_add", _) => {
                let rows: Vec<String> = items.iter().map(batch_row).collect();
                Ok(list(&rows))
            }
            ("batch_cancel", _) => {
                let count = items.iter().filter(|item| item.result().is_ok()).count();
                Ok(Row::new().raw("count", count).end())
            }
            (_, [item, ..]) => item.result().map(|_| names(item)),
            _ => Err(Why::Argument.into()),
        };
        self.done(core, result)
    }
}

/// The ids of an order, as its answer has them.
fn names(item: &Item) -> String {
    let row = match item.op {
        Op::Amend => Row::new().text("amend_id", ""),
        _ => Row::new(),
    };
    let order = item.result().ok().and_then(|done| done.order.as_ref());
    match (item.op, &item.name, order) {
        // An amend repeats the name it was given.
        (Op::Amend, Some(Name::Client(id)), _) | (_, Some(Name::Client(id)), None) => {
            row.text("cl_ord_id", id)
        }
        (Op::Amend, Some(Name::Venue(id)), _) => row.text("order_id", id),
        (_, _, Some(order)) => row
            .text("order_id", &order_id(order.id))
            .text_if("cl_ord_id", &order.ask.client_id),
        _ => row,
    }
    .end()
}

fn batch_row(item: &Item) -> String {
    let client = item.name.as_ref().map_or("", Name::text);
    match item.result() {
        Ok(done) => {
            let id = done
                .order
                .as_ref()
                .map_or(String::new(), |order| order_id(order.id));
            let row = Row::new()
                .text("order_id", &id)
                .text_if("cl_ord_id", client);
            row.raw("success", true)
        }
        Err(refused) => {
            let row = Row::new()
                .text_if("cl_ord_id", client)
                .raw("success", false);
            row.text("error", &refused.unified())
        }
    }
    .end()
}

/// A number of a request; its digits as sent.
fn number(params: &Value, name: &str) -> Option<String> {
    params
        .get(name)
        .filter(|value| value.is_number())
        .map(Value::to_string)
}

/// A text of a request.
pub fn word<'a>(params: &'a Value, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str)
}

/// Whether a client id is one: a UUID, 32 hex digits, or short free text.
fn is_client_id(id: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let is_uuid = groups == [8, 4, 4, 4, 12] && is_hex(&id.replace('-', ""));
    let is_free =
        (1..=FREE_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_uuid || is_free || id.len() == 32 && is_hex(id)
}

/// Texts of a list; `None` when it is none.
fn texts(params: &Value, name: &str) -> Option<Vec<String>> {
    let list = params.get(name)?.as_array()?;
    list.iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn argument(name: &str) -> Refused {
    Refused::of(Why::Argument, name)
}

/// Cost of a request in units of the derivatives pool. What the Unified WebSocket counts is [U]; legacy's numbers.
fn cost(method: &str, params: &Value) -> u32 {
    let count = |name| {
        params
            .get(name)
            .and_then(Value::as_array)
            .map_or(0, Vec::len) as u32
    };
    match method {
        "batch_add" => 9 + count("orders"),
        "batch_cancel" => 9 + count("orders") + count("cl_ord_id"),
        "cancel_order" => 10 * (count("order_id") + count("cl_ord_id")).max(1),
        "cancel_all" | "cancel_all_orders_after" => 25,
        _ => 10,
    }
}

impl KrakenFutures {
    /// An order request; whether its method is one.
    pub(super) fn order_request(&mut self, id: ConnId, asked: &Asked, params: &Value) -> bool {
        let is_one = matches!(
            asked.method(),
            "add_order"
                | "amend_order"
                | "cancel_order"
                | "cancel_all"
                | "cancel_all_orders_after"
                | "batch_add"
                | "batch_cancel"
        );
        if is_one && let Err(refused) = self.try_order_request(id, asked, params) {
            self.refuse_order(id, asked, params, &refused);
        }
        is_one
    }

    /// The whole request is refused; the record has each order of it.
    fn refuse_order(&mut self, id: ConnId, asked: &Asked, params: &Value, refused: &Refused) {
        let op = match asked.method() {
            "add_order" | "batch_add" => "new",
            "amend_order" => "amend",
            "cancel_all_orders_after" => "cancel_all_after",
            "cancel_all" => "cancel_all",
            _ => "cancel",
        };
        let orders = params.get("orders").and_then(Value::as_array);
        let items = orders
            .filter(|_| op == "new")
            .map_or_else(|| vec![params], |items| items.iter().collect());
        let now = self.core.now;
        for item in items {
            let name = word(item, "cl_ord_id").unwrap_or("");
            self.core.record.request(op, (op == "new").then_some(name));
            let text = refused.unified();
            self.core
                .record
                .refused(op, name, refused.code(), &text, now);
        }
        let text = asked.done(&self.core, Err(refused.clone()));
        self.core.send(id, text);
    }

    fn try_order_request(
        &mut self,
        id: ConnId,
        asked: &Asked,
        params: &Value,
    ) -> Result<(), Refused> {
        let account = self.session(id, params)?;
        if self.core.faults.take(Kind::RateLimit).is_some()
            || !self.spend(account, cost(asked.method(), params))
        {
            return Err(Why::Rate.into());
        }
        if word(params, "asset_class") != Some("derivatives") {
            return Err(argument("asset_class"));
        }
        let items = match asked.method() {
            "add_order" => {
                let symbol = word(params, "symbol");
                vec![self.read_new(account, params, symbol)]
            }
            "amend_order" => vec![self.read_amend(account, params)?],
            "cancel_order" => return self.cancel_each(id, account, asked, params),
            "batch_cancel" => {
                let names = both_names(params);
                if !BATCH_CANCEL.contains(&names.len()) {
                    return Err(argument("orders"));
                }
                names.into_iter().map(cancel).collect()
            }
            "batch_add" => {
                let symbol = word(params, "symbol");
                let orders = params.get("orders").and_then(Value::as_array);
                let orders = orders.filter(|orders| BATCH_ADD.contains(&orders.len()));
                let orders = orders.ok_or_else(|| argument("orders"))?;
                self.core.record.request("new_batch", None);
                // What is wrong with one refuses all; what the engine finds is that one's own.
                let read = |order| self.try_new(account, order, symbol).map(|ask| (order, ask));
                let asks: Result<Vec<_>, _> = orders.iter().map(read).collect();
                let item =
                    |(order, ask)| Item::new(Op::Place, client_name(order), Ok(Job::Place(ask)));
                asks?.into_iter().map(item).collect()
            }
            "cancel_all" => {
                self.core.record.request("cancel_all", None);
                let count = self.cancel_all(account, None, Cause::CancelAll).len();
                self.answer(id, asked, Row::new().raw("count", count).end());
                return Ok(());
            }
            _ => {
                let seconds = params.get("timeout").and_then(Value::as_u64);
                let seconds = seconds.filter(|seconds| *seconds <= SWITCH_S_MAX);
                let at = self.arm(account, seconds.ok_or_else(|| argument("timeout"))?);
                let now = rfc3339(venue_ns(&self.core), 0);
                let at = at.map_or_else(|| "0".to_owned(), |at| rfc3339(at, 0));
                let row = Row::new()
                    .text("currentTime", &now)
                    .text("triggerTime", &at);
                self.answer(id, asked, row.end());
                return Ok(());
            }
        };
        let deadline_ns = self.deadline(asked.method(), params)?;
        self.begin(Call {
            account,
            to: ReplyTo::Ws(id),
            shape: Shape::Unified(asked.clone()),
            deadline_ns,
            items,
        });
        Ok(())
    }

    fn answer(&mut self, id: ConnId, asked: &Asked, result: String) {
        let text = asked.done(&self.core, Ok(result));
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Ws(id), Response::json(200, text), private);
    }

    /// When the request lapses. Errors: a deadline that is over, or out of range; cancels have none.
    fn deadline(&self, method: &str, params: &Value) -> Result<Option<u64>, Refused> {
        if !matches!(method, "add_order" | "amend_order" | "batch_add") {
            return Ok(None);
        }
        let now = venue_ns(&self.core);
        let Some(text) = params.get("deadline") else {
            return Ok(Some(now + DEADLINE_DEFAULT_NS));
        };
        let at = text
            .as_str()
            .and_then(parse)
            .ok_or_else(|| argument("deadline"))?;
        match at.checked_sub(now) {
            None => Err(Why::Deadline.into()),
            Some(ahead) if DEADLINE_NS.contains(&ahead) => Ok(Some(at)),
            Some(_) => Err(argument("deadline")),
        }
    }

    fn cancel_each(
        &mut self,
        id: ConnId,
        account: AccountId,
        asked: &Asked,
        params: &Value,
    ) -> Result<(), Refused> {
        let names = both_names(params);
        let is_mixed = params.get("order_id").is_some() && params.get("cl_ord_id").is_some();
        if names.is_empty() || is_mixed {
            return Err(argument("order_id"));
        }
        // One answer for each.
        for name in names {
            self.begin(Call {
                account,
                to: ReplyTo::Ws(id),
                shape: Shape::Unified(asked.clone()),
                deadline_ns: None,
                items: vec![cancel(name)],
            });
        }
        Ok(())
    }

    fn read_new(&self, account: AccountId, params: &Value, symbol: Option<&str>) -> Item {
        let job = self.try_new(account, params, symbol);
        Item::new(Op::Place, client_name(params), job.map(Job::Place))
    }

    fn try_new(
        &self,
        account: AccountId,
        params: &Value,
        symbol: Option<&str>,
    ) -> Result<NewOrder, Refused> {
        let symbol = symbol.ok_or_else(|| argument("symbol"))?;
        let inst = self
            .inst_of(symbol)
            .ok_or_else(|| Refused::of(Why::Symbol, symbol))?;
        let is_market = match word(params, "order_type") {
            Some("limit") => false,
            Some("market") => true,
            _ => return Err(Why::OrderType.into()),
        };
        let side = match word(params, "side") {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            _ => return Err(argument("side")),
        };
        let tif = match word(params, "time_in_force") {
            _ if is_market => Tif::Ioc,
            None | Some("gtc") => Tif::Gtc,
            Some("ioc") => Tif::Ioc,
            Some("fok") if TAKES_FOK => Tif::Fok,
            Some(_) => return Err(argument("time_in_force")),
        };
        let is_post_only = params
            .get("post_only")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        if is_post_only && tif != Tif::Gtc {
            return Err(argument("post_only"));
        }
        let client_id = match params.get("cl_ord_id") {
            None => "",
            Some(id) => id
                .as_str()
                .filter(|id| is_client_id(id))
                .ok_or(Why::ClientId)?,
        };
        let price = match number(params, "limit_price") {
            _ if is_market => None,
            Some(text) => Some(self.parse_price(inst, &text)?),
            None => return Err(argument("limit_price")),
        };
        let qty = number(params, "order_qty").ok_or(Why::Size)?;
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size: Size::Base(self.parse_qty(inst, &qty)?),
            tif,
            post_only: if is_post_only {
                PostOnly::Refuse
            } else {
                PostOnly::No
            },
            client_id: Arc::from(client_id),
            type_name: if is_market { "market" } else { "limit" },
            echo: Arc::from(""),
        })
    }

    fn read_amend(&self, account: AccountId, params: &Value) -> Result<Item, Refused> {
        let name = client_name(params)
            .or_else(|| word(params, "order_id").map(|id| Name::Venue(id.to_owned())));
        let name = name.ok_or_else(|| argument("order_id"))?;
        let job = self.try_amend(account, &name, params);
        Ok(Item::new(Op::Amend, Some(name), job.map(Job::Amend)))
    }

    fn try_amend(&self, account: AccountId, name: &Name, params: &Value) -> Result<Amend, Refused> {
        let order = self
            .find(account, name)
            .filter(|order| order.state.is_open());
        let order = order.ok_or(Why::Unknown)?;
        let read =
            |field: &str, parse: &dyn Fn(&str) -> Result<i64, Refused>| match params.get(field) {
                None => Ok(None),
                Some(_) => number(params, field)
                    .ok_or_else(|| argument(field))
                    .and_then(|text| parse(&text))
                    .map(Some),
            };
        let inst = order.ask.inst;
        let price = read("limit_price", &|text| self.parse_price(inst, text))?;
        let qty = read("order_qty", &|text| self.parse_qty(inst, text))?;
        if price.is_none() && qty.is_none() {
            return Err(argument("order_qty"));
        }
        let is_asked = params.get("post_only").and_then(Value::as_bool);
        Ok(Amend {
            id: order.id,
            price,
            qty,
            is_post_only: is_asked.unwrap_or(order.ask.post_only != PostOnly::No),
        })
    }
}

/// The name a client gives an order.
fn client_name(order: &Value) -> Option<Name> {
    word(order, "cl_ord_id").map(|id| Name::Client(id.to_owned()))
}

fn cancel(name: Name) -> Item {
    Item::new(Op::Cancel, Some(name.clone()), Ok(Job::Cancel(name)))
}

/// Every order a cancel names, by the venue's id (`order_id`, in a batch `orders`) or the client's.
fn both_names(params: &Value) -> Vec<Name> {
    let list = |name| texts(params, name).unwrap_or_default();
    let by_venue = list("order_id")
        .into_iter()
        .chain(list("orders"))
        .map(Name::Venue);
    by_venue
        .chain(list("cl_ord_id").into_iter().map(Name::Client))
        .collect()
}
