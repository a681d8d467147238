//! REST: the spot host's token and status, and the whole legacy interface.
//!
//! `result: success` of the legacy interface does not mean that an order exists: the status inside says so.

use super::ops::{Call, Name, Shape};
use super::reply::{Refused, Row, Why, double_price, double_qty, list, order_id};
use super::send::{batch, missing, read_cancel};
use super::time::rfc3339;
use super::{KrakenFutures, auth, legacy, venue_ns};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Cause, Side, State};
use crate::fault::{Fault, Kind};
use crate::venues::query_pairs;
use crate::window::Window;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the legacy interface lives.
const LEGACY: &str = "/derivatives/api/v3/";
/// Orders of a legacy batch. [U]
const BATCH_MAX: usize = 50;

/// Arguments of a request, decoded.
pub type Fields = BTreeMap<String, String>;

/// Query and body of a request, decoded.
fn fields(request: &Request) -> Fields {
    let pairs = query_pairs(&request.query).into_iter();
    pairs.chain(query_pairs(&request.body)).collect()
}

fn order_route(name: &str) -> Option<&'static str> {
    Some(match name {
        "sendorder" => "sendStatus",
        "editorder" => "editStatus",
        "cancelorder" => "cancelStatus",
        "batchorder" => "batchStatus",
        _ => return None,
    })
}

/// Units of the pool a private request costs.
fn cost(name: &str, fields: &Fields, parts: usize) -> u32 {
    match name {
        "batchorder" => 9 + parts as u32,
        "sendorder" | "editorder" | "cancelorder" => 10,
        "cancelallorders" | "cancelallordersafter" => 25,
        "fills" if fields.contains_key("lastFillTime") => 25,
        "orders/status" => 1,
        _ => 2,
    }
}

impl KrakenFutures {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(id, request, &fault);
        } else if let Some(name) = request.path.strip_prefix(LEGACY) {
            self.on_legacy_rest(id, request, name, None);
        } else {
            let body = match self.spot(request) {
                Ok(result) => Row::new().raw("error", "[]").raw("result", result).end(),
                Err(error) => Row::new()
                    .raw("error", list(&[Value::from(error).to_string()]))
                    .end(),
            };
            self.core.reply(id, Response::json(200, body));
        }
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, id: RequestId, request: &Request, fault: &Fault) {
        let name = request
            .path
            .strip_prefix(LEGACY)
            .filter(|name| order_route(name).is_some());
        match name.filter(|_| fault.is_executed) {
            Some(name) => self.on_legacy_rest(id, request, name, Some(fault.server_error())),
            None => self.core.reply(id, fault.server_error()),
        }
    }

    /// The spot host. Errors: the venue's text.
    fn spot(&mut self, request: &Request) -> Result<String, String> {
        let is_limited = self.core.faults.take(Kind::RateLimit).is_some();
        let too_many = || "EAPI:Rate limit exceeded".to_owned();
        if is_limited {
            return Err(too_many());
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/0/public/SystemStatus") => {
                let row = Row::new().text("status", "online");
                Ok(row
                    .text("timestamp", &rfc3339(venue_ns(&self.core), 0))
                    .end())
            }
            ("GET", "/0/public/Time") => {
                let row = Row::new().raw("unixtime", venue_ns(&self.core) / 1_000_000_000);
                Ok(row.text("rfc1123", &rfc3339(venue_ns(&self.core), 0)).end())
            }
            ("POST", "/0/private/GetWebSocketsToken") => {
                let account = auth::spot(&self.core, &mut self.nonces, request);
                let account = account.map_err(|refused| {
                    self.refuse_auth(&refused);
                    refused.unified()
                })?;
                let most = super::SPOT_CALLS.saturating_mul(self.rate_factor);
                let calls = self.spot_calls.entry(account);
                let calls = calls.or_insert_with(|| Window::new(most, super::SPOT_NS));
                if !calls.take(self.core.now, 1) {
                    return Err(too_many());
                }
                let token = self.tokens.give(account, self.core.now);
                Ok(Row::new().text("token", &token).raw("expires", 900).end())
            }
            _ => Err("EGeneral:Unknown method".to_owned()),
        }
    }

    fn refuse_auth(&mut self, refused: &Refused) {
        let (now, text) = (self.core.now, refused.unified());
        self.core
            .record
            .refused("auth", "", refused.code(), &text, now);
    }

    /// The legacy interface; `broken` is what a gateway answers instead.
    fn on_legacy_rest(
        &mut self,
        id: RequestId,
        request: &Request,
        name: &str,
        broken: Option<Response>,
    ) {
        let result = self.try_legacy(id, request, name, broken);
        match result {
            Ok(Some(body)) => self.core.reply(id, Response::json(200, body)),
            Ok(None) => {}
            Err(refused) => {
                let body = legacy::error(&self.core, &refused);
                self.core.reply(id, Response::json(200, body));
            }
        }
    }

    /// The answer, or none where an order's comes by its call.
    fn try_legacy(
        &mut self,
        id: RequestId,
        request: &Request,
        name: &str,
        broken: Option<Response>,
    ) -> Result<Option<String>, Refused> {
        if self.core.faults.take(Kind::RateLimit).is_some() {
            return Err(Why::Rate.into());
        }
        let fields = fields(request);
        if let Some(body) = self.public(request, name, &fields) {
            return body.map(Some);
        }
        let account = auth::legacy(&self.core, &mut self.nonces, request);
        let account = account.inspect_err(|refused| self.refuse_auth(refused))?;
        let batch = batch(&fields);
        if !self.spend(account, cost(name, &fields, batch.len())) {
            let op = if name == "sendorder" { "new" } else { "query" };
            let client_id = fields.get("cliOrdId").map_or("", String::as_str);
            let (now, refused) = (self.core.now, Refused::from(Why::Rate));
            self.core
                .record
                .request(op, (op == "new").then_some(client_id));
            self.core
                .record
                .refused(op, client_id, refused.code(), &refused.unified(), now);
            return Err(refused);
        }
        let Some(key) = order_route(name).filter(|_| request.method != "GET") else {
            return self.query(account, request, name, &fields).map(Some);
        };
        let items = match name {
            "batchorder" => {
                if batch.is_empty() || batch.len() > BATCH_MAX {
                    return Err(missing("batchOrder"));
                }
                batch
                    .iter()
                    .map(|part| self.read_part(account, part))
                    .collect()
            }
            "sendorder" => vec![self.read_send(account, &fields)],
            "editorder" => vec![self.read_edit(account, &fields)],
            _ => vec![read_cancel(&fields)],
        };
        let shape = match (broken, name) {
            (Some(response), _) => Shape::Broken(response),
            (None, "batchorder") => Shape::LegacyBatch,
            (None, _) => Shape::Legacy(key),
        };
        self.begin(Call {
            account,
            to: ReplyTo::Http(id),
            shape,
            deadline_ns: fields
                .get("processBefore")
                .and_then(|text| super::time::parse(text)),
            items,
        });
        Ok(None)
    }

    /// Public questions; `None` when the name is not one.
    fn public(
        &self,
        request: &Request,
        name: &str,
        fields: &Fields,
    ) -> Option<Result<String, Refused>> {
        if request.method != "GET" {
            return None;
        }
        let named = || {
            let symbol = fields.get("symbol").ok_or_else(|| missing("symbol"))?;
            let inst = self.inst_of(&symbol.to_ascii_uppercase());
            inst.ok_or_else(|| Refused::of(Why::Symbol, symbol))
        };
        let (key, value) = match name {
            "instruments" => ("instruments", Ok(self.instrument_list())),
            "tickers" => {
                let rows = self.feeds.iter().zip(&self.symbols).map(|(feed, symbol)| {
                    feed.legacy_figures(&self.core, Row::new().text("symbol", symbol), false)
                        .end()
                });
                ("tickers", Ok(list(&rows.collect::<Vec<_>>())))
            }
            "orderbook" => ("orderBook", named().map(|inst| self.order_book(inst))),
            "history" => {
                let history = |inst: usize| {
                    self.feeds
                        .get(inst)
                        .map_or(String::new(), |feed| feed.history(&self.core))
                };
                ("history", named().map(history))
            }
            _ => return None,
        };
        Some(value.map(|value| legacy::success(&self.core, key, &value)))
    }

    fn instrument_list(&self) -> String {
        let rows = self.symbols.iter().enumerate().map(|(inst, symbol)| {
            let spec = self.core.engine.spec(inst);
            let level = Row::new().raw("numNonContractUnits", 0);
            let level = level
                .raw("initialMargin", 0.1)
                .raw("maintenanceMargin", 0.05);
            Row::new()
                .text("symbol", symbol)
                .text("type", "flexible_futures")
                .raw("tickSize", crate::text::price(spec, spec.tick))
                .raw("contractSize", 1)
                .raw("tradeable", true)
                .raw("impactMidSize", 1)
                .raw("maxPositionSize", 1_000_000)
                .text("openingDate", "2022-03-22T13:18:45Z")
                .raw("contractValueTradePrecision", spec.qty_decimals)
                .raw("postOnly", false)
                .raw("makerProtectionMillis", super::ops::HOLD_MS)
                .raw("fundingRateCoefficient", 24)
                .raw("maxRelativeFundingRate", 0.0025)
                .raw("marginLevels", list(&[level.end()]))
                .text("base", &spec.base)
                .text("quote", &spec.quote)
                .text("pair", &format!("{}:{}", spec.base, spec.quote))
                .raw("tags", "[]")
                .end()
        });
        list(&rows.collect::<Vec<_>>())
    }

    fn order_book(&self, inst: usize) -> String {
        let (spec, book) = (self.core.engine.spec(inst), self.core.engine.book(inst));
        let levels = |side| {
            let rows = book.levels(side).map(|(at, level)| {
                format!(
                    "[{},{}]",
                    double_price(spec, at),
                    double_qty(spec, level.total)
                )
            });
            list(&rows.collect::<Vec<_>>())
        };
        let row = Row::new().raw("bids", levels(Side::Buy));
        row.raw("asks", levels(Side::Sell)).end()
    }

    /// Private questions, and what concerns all orders at once.
    fn query(
        &mut self,
        account: AccountId,
        request: &Request,
        name: &str,
        fields: &Fields,
    ) -> Result<String, Refused> {
        let is_get = request.method == "GET";
        if is_get || name == "orders/status" {
            self.core.record.request("query", None);
        }
        let (key, value) = match name {
            "openorders" if is_get => {
                let orders = self.core.engine.open_orders(account).map(|order| {
                    let inst = order.ask.inst;
                    legacy::open_order(self.core.engine.spec(inst), &self.symbols[inst], order)
                });
                ("openOrders", list(&orders.collect::<Vec<_>>()))
            }
            "openpositions" if is_get => ("openPositions", self.rest_positions(account)),
            "accounts" if is_get => ("accounts", legacy::accounts(&self.core, account)),
            "fills" if is_get => ("fills", self.fills(account, fields.get("lastFillTime"))?),
            "orders/status" => ("orders", self.statuses(account, fields)),
            "cancelallorders" if !is_get => {
                ("cancelStatus", self.cancel_everything(account, fields)?)
            }
            "cancelallordersafter" if !is_get => {
                let seconds = fields.get("timeout").ok_or_else(|| missing("timeout"))?;
                let seconds: u64 = seconds
                    .parse()
                    .map_err(|_| Refused::of(Why::Argument, "timeout"))?;
                let at = self.arm(account, seconds.min(86_400));
                let at = at.map_or_else(|| "0".to_owned(), |at| rfc3339(at, 3));
                let row = Row::new().text("currentTime", &rfc3339(venue_ns(&self.core), 3));
                ("status", row.text("triggerTime", &at).end())
            }
            _ => return Err(Refused::of(Why::Argument, name)),
        };
        self.send_private();
        Ok(legacy::success(&self.core, key, &value))
    }

    /// The latest fills before a time, newest first.
    fn fills(&self, account: AccountId, before: Option<&String>) -> Result<String, Refused> {
        let before = match before {
            None => u64::MAX,
            Some(text) => super::time::parse(text)
                .ok_or_else(|| Refused::of(Why::Argument, "lastFillTime"))?,
        };
        let fills = self.core.record.fills(account).rev();
        let fills = fills
            .filter(|(_, fill)| fill.at_ns < before)
            .take(super::FILLS_LISTED);
        let rows = fills.map(|(order, fill)| {
            let inst = order.ask.inst;
            legacy::rest_fill(
                self.core.engine.spec(inst),
                &self.symbols[inst],
                order,
                fill,
            )
        });
        Ok(list(&rows.collect::<Vec<_>>()))
    }

    /// Orders by their names, `orderIds` and `cliOrdIds`, each a list separated by commas or a JSON one.
    fn statuses(&self, account: AccountId, fields: &Fields) -> String {
        let names = |key: &str, make: fn(String) -> Name| -> Vec<Name> {
            let text = fields.get(key).map_or("", String::as_str);
            let parts = text
                .split(',')
                .map(|part| part.trim_matches(['[', ']', '"', ' ']));
            parts
                .filter(|part| !part.is_empty())
                .map(|part| make(part.to_owned()))
                .collect()
        };
        let mut all = names("orderIds", Name::Venue);
        all.extend(names("cliOrdIds", Name::Client));
        let found = all.iter().filter_map(|name| self.find(account, name));
        let rows = found.map(|order| {
            let status = match order.state {
                State::Live | State::Partial => "ENTERED_BOOK",
                State::Filled => "FULLY_EXECUTED",
                State::Canceled(_) => "CANCELLED",
            };
            let (spec, symbol) = (
                self.core.engine.spec(order.ask.inst),
                &self.symbols[order.ask.inst],
            );
            let row = Row::new().raw("order", legacy::event_order(spec, symbol, order, order.cum));
            row.text("status", status)
                .raw("updateReason", "null")
                .raw("error", "null")
                .end()
        });
        list(&rows.collect::<Vec<_>>())
    }

    fn cancel_everything(
        &mut self,
        account: AccountId,
        fields: &Fields,
    ) -> Result<String, Refused> {
        self.core.record.request("cancel_all", None);
        let inst = match fields.get("symbol") {
            None => None,
            Some(symbol) => {
                let inst = self.inst_of(&symbol.to_ascii_uppercase());
                Some(inst.ok_or_else(|| Refused::of(Why::Symbol, symbol))?)
            }
        };
        let orders = self.cancel_all(account, inst, Cause::CancelAll);
        let rows = orders.iter().map(|order| {
            let row = Row::new().text("order_id", &order_id(order.id));
            row.text_if("cliOrdId", &order.ask.client_id).end()
        });
        let status = if orders.is_empty() {
            "noOrdersToCancel"
        } else {
            "cancelled"
        };
        let row = Row::new().text("receivedTime", &rfc3339(venue_ns(&self.core), 3));
        Ok(row
            .text(
                "cancelOnly",
                fields.get("symbol").map_or("all", String::as_str),
            )
            .text("status", status)
            .raw("cancelledOrders", list(&rows.collect::<Vec<_>>()))
            .raw("orderEvents", "[]")
            .end())
    }
}
