//! Orders: new, cancel, cancel all. There is no other door to them than REST.

use super::reply::{self, Named, Refused};
use super::{Coinbase, PRIVATE};
use crate::core::{Request, Response};
use crate::engine::{
    AccountId, Amount, Cause, NewOrder, Order, PostOnly, Refusal, Side, Size, State, Tif, UNIT,
};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Smallest value of an order in quote.
pub const FUNDS_MIN: Amount = UNIT;
/// Open orders of a profile in one product.
const OPEN_MAX: usize = 500;

/// What a request does to orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A new order.
    Place,
    /// Ends the order of this name.
    Cancel(String),
    /// Ends all, or those of one product.
    CancelAll,
}

impl Op {
    /// What a request does; `None` when it does nothing to orders.
    pub fn of(request: &Request) -> Option<Self> {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/orders") => Some(Self::Place),
            ("DELETE", "/orders") => Some(Self::CancelAll),
            ("DELETE", path) => Some(Self::Cancel(path.strip_prefix("/orders/")?.to_owned())),
            _ => None,
        }
    }

    /// The record's word.
    const fn word(&self) -> &'static str {
        match self {
            Self::Place => "new",
            Self::Cancel(_) => "cancel",
            Self::CancelAll => "cancel_all",
        }
    }
}

/// A field as text; numbers keep theirs. `None` when absent or empty.
fn field(body: &Value, name: &str) -> Option<String> {
    match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn refused(text: impl Into<String>) -> Refused {
    Refused::new(400, text)
}

impl Coinbase {
    /// Carries an order request out; its answer, and its place in the record.
    pub(super) fn operate(&mut self, account: AccountId, op: &Op, request: &Request) -> Response {
        let body = serde_json::from_str::<Value>(&request.body).unwrap_or_default();
        let name = match op {
            Op::Place => field(&body, "client_oid").unwrap_or_default(),
            Op::Cancel(name) => name.strip_prefix("client:").unwrap_or(name).to_owned(),
            Op::CancelAll => String::new(),
        };
        let counted = (*op == Op::Place).then_some(name.as_str());
        self.core.record.request(op.word(), counted);
        let result = self.pace(account, PRIVATE).and_then(|()| match op {
            Op::Place => self.place(account, &body),
            Op::Cancel(of) => self.cancel(account, of, &request.query),
            Op::CancelAll => self.cancel_all(account, &request.query),
        });
        result.map_or_else(
            |why| {
                let (code, now) = (why.status.into(), self.core.now);
                let record = &mut self.core.record;
                // A 5xx says nothing of the order.
                if why.status < 500 {
                    record.refused(op.word(), &name, code, &why.text, now);
                }
                why.response()
            },
            |value| Response::json(200, value),
        )
    }

    fn place(&mut self, account: AccountId, body: &Value) -> Result<Value, Refused> {
        let ask = self.parse_new(account, body)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            return Err(rejected(fault.code));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            return Err(Refused::new(500, "Internal server error"));
        }
        let placed = self.core.engine.place(self.core.now, ask.clone());
        self.absorb();
        match placed {
            Ok(id) => {
                let order = self.core.engine.order(id).ok_or_else(Refused::not_found)?;
                Ok(reply::accepted(&self.core, self.product(order), order))
            }
            Err(Refusal::WouldTake) => Ok(self.post_only(ask)),
            Err(refusal) => Err(reply::engine_refused(refusal)),
        }
    }

    /// A post-only order that would take: the request is taken, the order is not. No channel tells of it, and
    /// nobody finds it again.
    fn post_only(&mut self, ask: NewOrder) -> Value {
        self.rejected += 1;
        let now = self.core.now;
        let name = ask.client_id.to_string();
        let product = self.products.get(ask.inst).map_or("", String::as_str);
        let Size::Base(qty) = ask.size else {
            return Value::Null; // only limit orders are post-only
        };
        let unborn = Order {
            id: 0,
            ask,
            qty,
            cum: 0,
            cum_quote: 0,
            fee: 0,
            held: 0,
            state: State::Live,
            created_ns: now,
            updated_ns: now,
            last: None,
        };
        let mut row = reply::accepted(&self.core, product, &unborn);
        row["id"] = json!(reply::uuid(Named::Rejected, self.rejected));
        row["status"] = json!("rejected");
        row["reject_reason"] = json!("post only");
        self.core
            .record
            .refused("new", &name, 200, "post only", now);
        row
    }

    fn parse_new(&self, account: AccountId, body: &Value) -> Result<NewOrder, Refused> {
        if !body.is_object() {
            return Err(refused("Invalid request body")); // [U]
        }
        let product = field(body, "product_id").unwrap_or_default();
        let unknown = || Refused::new(404, "Product not found");
        let inst = self.inst_of(&product).ok_or_else(unknown)?;
        let side = match field(body, "side").as_deref() {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            _ => return Err(refused("Invalid side")),
        };
        let client_id = field(body, "client_oid").unwrap_or_default();
        if !client_id.is_empty() && !reply::is_uuid(&client_id) {
            return Err(refused("Invalid client_oid: not a UUID")); // [U]
        }
        let stp = field(body, "stp").unwrap_or_else(|| "dc".to_owned());
        if !matches!(stp.as_str(), "dc" | "co" | "cn" | "cb") {
            return Err(refused("Invalid stp"));
        }
        if body.get("stop").is_some() {
            return Err(refused("Invalid stop: not simulated"));
        }
        let is_limit = match field(body, "type").as_deref() {
            None | Some("limit") => true,
            Some("market") => false,
            _ => return Err(refused("Invalid type")),
        };
        let (tif, post_only) = if is_limit {
            life(body)?
        } else {
            (Tif::Ioc, PostOnly::No)
        };
        let price = if is_limit {
            Some(self.parse_price(inst, field(body, "price"))?)
        } else {
            None
        };
        let size = match (field(body, "size"), field(body, "funds")) {
            (None, Some(funds)) if !is_limit => Size::Quote(parse_funds(&funds)?),
            (size, _) => Size::Base(self.parse_size(inst, size)?),
        };
        let engine = &self.core.engine;
        if let (Some(price), Size::Base(qty)) = (price, size) {
            let value = engine.spec(inst).notional(price, qty);
            if value.is_none_or(|value| value < FUNDS_MIN) {
                return Err(refused("notional is too small. Minimum is 1"));
            }
        }
        let open = engine.open_orders(account);
        if open.filter(|order| order.ask.inst == inst).count() >= OPEN_MAX {
            return Err(refused("Too many open orders")); // [U]
        }
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif,
            post_only,
            client_id: Arc::from(client_id),
            type_name: if is_limit { "limit" } else { "market" },
            echo: Arc::from(stp),
        })
    }

    fn parse_price(&self, inst: usize, price: Option<String>) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let invalid = || refused("Invalid price");
        let price = text::increments(&price.ok_or_else(invalid)?, spec.price_decimals);
        let price = price.ok_or_else(invalid)?;
        let unit = text::price8(spec, spec.tick);
        let price = price
            .filter(|price| price % spec.tick == 0)
            .ok_or_else(|| refused(format!("price is too accurate. Smallest unit is {unit}")))?;
        if price <= 0 {
            return Err(invalid());
        }
        Ok(price)
    }

    fn parse_size(&self, inst: usize, size: Option<String>) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let invalid = || refused("Invalid order size");
        let qty = text::increments(&size.ok_or_else(invalid)?, spec.qty_decimals);
        let unit = text::qty8(spec, spec.lot);
        let qty = qty
            .ok_or_else(invalid)?
            .filter(|qty| qty % spec.lot == 0)
            .ok_or_else(|| refused(format!("size is too accurate. Smallest unit is {unit}")))?;
        if qty < spec.qty_min {
            let least = text::qty8(spec, spec.qty_min);
            return Err(refused(format!(
                "size is too small. Minimum size is {least}"
            )));
        }
        if qty > spec.qty_max {
            let most = text::qty8(spec, spec.qty_max);
            return Err(refused(format!(
                "size is too large. Maximum size is {most}"
            )));
        }
        Ok(qty)
    }

    /// The order a path names: the venue's id, or `client:` and the client's. Errors: 400 for what is no UUID.
    pub(super) fn find(&self, account: AccountId, name: &str) -> Result<Option<Order>, Refused> {
        let engine = &self.core.engine;
        let (client_id, id) = (name.strip_prefix("client:"), name);
        let order = match client_id {
            Some(id) if reply::is_uuid(id) => engine.by_client_id(account, id),
            None if reply::is_uuid(id) => {
                reply::number(Named::Order, id).and_then(|id| engine.order(id))
            }
            _ => return Err(refused("Invalid order id")),
        };
        let own = order.filter(|order| order.ask.account == account);
        Ok(own.filter(|order| !self.is_forgotten(order)).cloned())
    }

    fn cancel(&mut self, account: AccountId, name: &str, query: &str) -> Result<Value, Refused> {
        let wanted = super::rest::product_of(query);
        let order = self.find(account, name)?;
        let order = order
            .filter(|order| wanted.is_none_or(|wanted| wanted == self.product(order)))
            .ok_or_else(|| Refused::new(404, "order not found"))?;
        let canceled = self
            .core
            .engine
            .cancel(self.core.now, order.id, Cause::User);
        canceled.map_err(reply::engine_refused)?;
        self.absorb();
        Ok(json!(reply::order_id(order.id)))
    }

    fn cancel_all(&mut self, account: AccountId, query: &str) -> Result<Value, Refused> {
        let wanted = super::rest::product_of(query);
        if wanted.is_some_and(|product| self.inst_of(product).is_none()) {
            return Err(Refused::new(404, "Product not found"));
        }
        let open = self.core.engine.open_orders(account);
        let ids: Vec<u64> = open
            .filter(|order| wanted.is_none_or(|wanted| wanted == self.product(order)))
            .map(|order| order.id)
            .collect();
        for id in &ids {
            let _ = self
                .core
                .engine
                .cancel(self.core.now, *id, Cause::CancelAll);
        }
        self.absorb();
        Ok(ids.into_iter().map(reply::order_id).collect())
    }
}

/// How long a limit order lives, and whether it may take.
fn life(body: &Value) -> Result<(Tif, PostOnly), Refused> {
    let is_post_only = body.get("post_only") == Some(&Value::Bool(true));
    match (field(body, "time_in_force").as_deref(), is_post_only) {
        (None | Some("GTC"), true) => Ok((Tif::Gtc, PostOnly::Refuse)),
        (None | Some("GTC"), false) => Ok((Tif::Gtc, PostOnly::No)),
        (Some("IOC"), false) => Ok((Tif::Ioc, PostOnly::No)),
        (Some("FOK"), false) => Ok((Tif::Fok, PostOnly::No)),
        // [U] the venue's words.
        (Some("IOC" | "FOK"), true) => Err(refused("Invalid post_only with this time_in_force")),
        (Some("GTT"), _) => Err(refused("Invalid time_in_force: GTT is not simulated")),
        _ => Err(refused("Invalid time_in_force")),
    }
}

fn parse_funds(funds: &str) -> Result<Amount, Refused> {
    let funds = text::parse_amount(funds).ok_or_else(|| refused("Invalid funds"))?;
    if funds < FUNDS_MIN {
        return Err(refused("funds is too small. Minimum size is 1.00000000"));
    }
    Ok(funds)
}

/// A refusal on request: the code is the HTTP status.
fn rejected(code: Option<i64>) -> Refused {
    let status = code.and_then(|code| u16::try_from(code).ok());
    match status.filter(|status| (400..500).contains(status)) {
        None | Some(400) => refused("Insufficient funds"),
        Some(401) => Refused::new(401, "invalid signature"),
        Some(403) => Refused::new(403, "Forbidden"),
        Some(404) => Refused::new(404, "Product not found"),
        Some(429) => Refused::too_fast(),
        Some(status) => Refused::new(status, "Rejected by the simulator on request"),
    }
}
