//! REST: public data, questions, and the way to orders.

use super::ops::Op;
use super::reply::{self, Named, Refused, iso};
use super::streams::best;
use super::{Coinbase, FILLS, PRIVATE, auth};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Order, Side, State};
use crate::fault::{Fault, Kind};
use crate::text::{amount8, price, qty};
use crate::venues::query_pairs;
use serde_json::{Value, json};

/// Items of a page when none are asked for, and of fills at most.
const PAGE: usize = 100;
/// Orders of a page at most.
const ORDERS_MAX: usize = 1_000;
/// So long is an order known that was cancelled without a trade. The venue says that it may be forgotten and not
/// when [U].
const FORGOTTEN_NS: u64 = 60_000_000_000;

/// The product a query names, as it is written there.
pub fn product_of(query: &str) -> Option<&str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("product_id="))
}

/// What a list asks for.
struct Page {
    pairs: Vec<(String, String)>,
}

impl Page {
    fn of(query: &str) -> Self {
        Self {
            pairs: query_pairs(query),
        }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.pairs.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).find(|value| !value.is_empty())
    }

    fn limit(&self, most: usize) -> usize {
        let asked = self.one("limit").and_then(|text| text.parse().ok());
        asked.unwrap_or(PAGE).min(most)
    }

    /// Whether an item lies between the cursors: `after` goes to older ones, `before` to newer.
    fn has(&self, id: u64, parse: impl Fn(&str) -> Option<u64>) -> bool {
        let cursor = |name| self.one(name).and_then(&parse);
        cursor("after").is_none_or(|after| id < after)
            && cursor("before").is_none_or(|before| id > before)
    }
}

/// A page of a list with the cursors of its ends.
fn paged(rows: Vec<(String, Value)>) -> Response {
    let cursor = |row: Option<&(String, Value)>| row.map(|(cursor, _)| cursor.clone());
    let ends = [
        ("cb-before", cursor(rows.first())),
        ("cb-after", cursor(rows.last())),
    ];
    let list: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    let mut response = Response::json(200, json!(list));
    for (name, end) in ends {
        response.headers.extend(end.map(|end| (name, end)));
    }
    response
}

impl Coinbase {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(request_id, request, &fault);
            return;
        }
        if let Some(result) = self.public(request) {
            let response = result.unwrap_or_else(|refused| refused.response());
            self.core.reply(request_id, response);
            return;
        }
        let account = match auth::rest(&self.core, request) {
            Ok(account) => account,
            Err(refused) => {
                let (code, now) = (refused.status.into(), self.core.now);
                let record = &mut self.core.record;
                record.refused("auth", "", code, &refused.text, now);
                self.core.reply(request_id, refused.response());
                return;
            }
        };
        if let Some(op) = Op::of(request) {
            let response = self.operate(account, &op, request);
            let private = std::mem::take(&mut self.private);
            self.core
                .answer(ReplyTo::Http(request_id), response, private);
            return;
        }
        let answer = self.query(account, request);
        let response = answer.unwrap_or_else(|refused| refused.response());
        self.core.reply(request_id, response);
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, request_id: RequestId, request: &Request, fault: &Fault) {
        let op = Op::of(request).filter(|_| fault.is_executed);
        if let (Some(op), Ok(account)) = (op, auth::rest(&self.core, request)) {
            self.operate(account, &op, request);
        }
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Http(request_id), fault.server_error(), private);
    }

    /// Public questions; `None` when the path is not one.
    fn public(&mut self, request: &Request) -> Option<Result<Response, Refused>> {
        let path = request.path.as_str();
        let is_public =
            ["/time", "/products", "/currencies"].contains(&path) || path.starts_with("/products/");
        if request.method != "GET" || !is_public {
            return None;
        }
        let is_refused = self.core.faults.take(Kind::RateLimit).is_some();
        if is_refused || !self.public_pace.take(self.core.now) {
            let text = "Public rate limit exceeded";
            return Some(Err(Refused::new(429, text)));
        }
        Some(match path {
            "/time" => Ok(self.time()),
            "/products" => Ok(self.rules().into()),
            "/currencies" => Ok(json!(reply::currencies(&self.core))),
            _ => return Some(self.of_product(path, &request.query)),
        })
        .map(|value: Result<Value, Refused>| value.map(|value| Response::json(200, value)))
    }

    /// Every product's rules.
    pub(super) fn rules(&self) -> Vec<Value> {
        let products = self.products.iter().enumerate();
        products
            .map(|(inst, id)| reply::product(&self.core, inst, id))
            .collect()
    }

    fn time(&self) -> Value {
        let ms = self.core.venue_ms();
        let (seconds, millis) = (ms / 1_000, ms % 1_000);
        // A number with its three decimals, exactly.
        let epoch: Value =
            serde_json::from_str(&format!("{seconds}.{millis:03}")).unwrap_or(json!(seconds));
        json!({"iso": iso(&self.core, self.core.now), "epoch": epoch})
    }

    fn of_product(&mut self, path: &str, query: &str) -> Result<Response, Refused> {
        let mut parts = path.split('/').skip(2);
        let (product, what) = (parts.next().unwrap_or(""), parts.next());
        let inst = self.inst_of(product).ok_or_else(Refused::not_found)?;
        let page = Page::of(query);
        Ok(match what {
            None => Response::json(200, reply::product(&self.core, inst, product)),
            Some("book") => return self.book(inst, &page),
            Some("ticker") => Response::json(200, self.ticker(inst)),
            Some("stats") => Response::json(200, self.day(inst)),
            Some("trades") => paged(self.recent(inst, &page)),
            Some(_) => return Err(Refused::not_found()),
        })
    }

    fn book(&mut self, inst: usize, page: &Page) -> Result<Response, Refused> {
        let detail = match page.one("level") {
            None | Some("1") => 1,
            Some("2") => 2,
            Some("3") => 3,
            Some(_) => return Err(Refused::new(400, "Invalid level")),
        };
        let is_old = self.core.faults.take(Kind::SnapshotOld).is_some();
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let lag_ns = fault.ms.unsigned_abs().saturating_mul(1_000_000);
            self.feeds[inst].hold_until(self.core.now.saturating_add(lag_ns));
        }
        let feed = &self.feeds[inst];
        let old = feed.old_book(detail).filter(|_| is_old);
        let book = old.map_or_else(|| feed.rest_book(&self.core, detail), str::to_owned);
        Ok(Response::json(200, book))
    }

    fn ticker(&self, inst: usize) -> Value {
        let engine = &self.core.engine;
        let (spec, day, book) = (engine.spec(inst), engine.day(inst), engine.book(inst));
        let at = self.prints[inst].back().map_or(self.core.now, |t| t.at_ns);
        json!({
            "ask": price(spec, best(book, Side::Sell).0), "bid": price(spec, best(book, Side::Buy).0),
            "volume": amount8(spec.base_amount(day.volume)), "trade_id": day.last_trade,
            "price": price(spec, day.last), "size": qty(spec, day.last_qty),
            "time": iso(&self.core, at),
        })
    }

    fn day(&self, inst: usize) -> Value {
        let (spec, day) = (self.core.engine.spec(inst), self.core.engine.day(inst));
        let volume = amount8(spec.base_amount(day.volume));
        json!({
            "open": price(spec, day.open), "high": price(spec, day.high),
            "low": price(spec, day.low), "last": price(spec, day.last), "volume": volume,
            "volume_30day": volume,
        })
    }

    /// The last trades, newest first. `side` is the maker's.
    fn recent(&self, inst: usize, page: &Page) -> Vec<(String, Value)> {
        let spec = self.core.engine.spec(inst);
        self.prints[inst]
            .iter()
            .rev()
            .filter(|trade| page.has(trade.id, |text| text.parse().ok()))
            .take(page.limit(ORDERS_MAX))
            .map(|trade| {
                let row = json!({
                    "trade_id": trade.id, "side": reply::side(trade.taker.opposite()),
                    "size": qty(spec, trade.qty), "price": price(spec, trade.price),
                    "time": iso(&self.core, trade.at_ns),
                });
                (trade.id.to_string(), row)
            })
            .collect()
    }

    /// Private questions.
    fn query(&mut self, account: AccountId, request: &Request) -> Result<Response, Refused> {
        self.core.record.request("query", None);
        let is_fills = request.path == "/fills";
        self.pace(account, if is_fills { FILLS } else { PRIVATE })?;
        if request.method != "GET" {
            return Err(Refused::not_found());
        }
        let page = Page::of(&request.query);
        let value = match request.path.as_str() {
            "/orders" => return Ok(paged(self.orders(account, &page))),
            "/fills" => return Ok(paged(self.fills(account, &page)?)),
            "/accounts" => json!(reply::accounts(&self.core, account)),
            "/profiles" => json!([{
                "id": reply::profile_id(account), "user_id": reply::user_id(account),
                "name": "default", "active": true, "is_default": true, "has_margin": false,
                "created_at": "2026-01-01T00:00:00.000000Z",
            }]),
            "/fees" => json!({
                "taker_fee_rate": reply::rate(false), "maker_fee_rate": reply::rate(true),
                "usd_volume": null,
            }),
            path => match path
                .split_once('/')
                .and_then(|(_, rest)| rest.split_once('/'))
            {
                Some(("orders", name)) => {
                    let order = self.find(account, name)?.ok_or_else(Refused::not_found)?;
                    reply::order_row(&self.core, self.product(&order), &order)
                }
                Some(("accounts", id)) => {
                    let accounts = reply::accounts(&self.core, account);
                    let found = accounts.into_iter().find(|row| row["id"] == id);
                    found.ok_or_else(Refused::not_found)?
                }
                _ => return Err(Refused::not_found()),
            },
        };
        Ok(Response::json(200, value))
    }

    /// Whether the venue knows nothing of an order any more.
    pub(super) fn is_forgotten(&self, order: &Order) -> bool {
        let is_trace = matches!(order.state, State::Canceled(_)) && order.cum == 0;
        is_trace && self.core.now.saturating_sub(order.updated_ns) > FORGOTTEN_NS
    }

    /// Orders newest first; those that rest unless others are asked for.
    fn orders(&self, account: AccountId, page: &Page) -> Vec<(String, Value)> {
        let asked = |name: &str| page.all("status").any(|status| status == name);
        let has_none = page.one("status").is_none();
        let has_open = has_none || asked("all") || asked("open");
        let has_done = asked("all") || asked("done");
        let engine = &self.core.engine;
        let open = engine.open_orders(account).filter(|_| has_open);
        let done = engine.finished_orders(account).filter(|_| has_done);
        let mut orders: Vec<&Order> = open.chain(done).collect();
        orders.sort_by_key(|order| std::cmp::Reverse(order.id));
        let wanted = page.one("product_id");
        orders
            .into_iter()
            .filter(|order| !self.is_forgotten(order))
            .filter(|order| wanted.is_none_or(|wanted| wanted == self.product(order)))
            .filter(|order| page.has(order.id, |text| reply::number(Named::Order, text)))
            .take(page.limit(ORDERS_MAX))
            .map(|order| {
                let row = reply::order_row(&self.core, self.product(order), order);
                (reply::order_id(order.id), row)
            })
            .collect()
    }

    /// Fills newest first, of a product or an order. Errors: neither was named.
    fn fills(&self, account: AccountId, page: &Page) -> Result<Vec<(String, Value)>, Refused> {
        let (product, order_id) = (page.one("product_id"), page.one("order_id"));
        if product.is_none() && order_id.is_none() {
            let text = "either order_id or product_id must be specified"; // [U]
            return Err(Refused::new(400, text));
        }
        // An id that is none of ours names no order.
        let wanted = order_id.map(|id| reply::number(Named::Order, id));
        let fills = self.core.record.fills(account).rev();
        Ok(fills
            .filter(|(order, _)| product.is_none_or(|wanted| wanted == self.product(order)))
            .filter(|(order, _)| wanted.is_none_or(|wanted| wanted == Some(order.id)))
            .filter(|(_, fill)| page.has(fill.trade, |text| text.parse().ok()))
            .take(page.limit(PAGE))
            .map(|(order, fill)| {
                let row = reply::fill_row(&self.core, self.product(order), order, fill);
                (fill.trade.to_string(), row)
            })
            .collect())
    }

    /// For the tests' laws.
    pub(super) fn best(&self, inst: usize, side: Side) -> Option<i64> {
        let best = self.core.engine.book(inst).best(side);
        best.map(|(price, _)| price)
    }
}
