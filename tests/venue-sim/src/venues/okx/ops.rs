//! Order operations, one place for REST and WebSocket.

use super::Okx;
use super::reply::{self, Refused};
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Refusal, Side, Size, Tif};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Orders in one batch.
const BATCH_MAX: usize = 20;

/// Operations that change orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// New.
    Place,
    /// Cancel.
    Cancel,
    /// Amend.
    Amend,
}

impl Op {
    /// The record's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Place => "new",
            Self::Cancel => "cancel",
            Self::Amend => "amend",
        }
    }
}

/// A kind of request: what it does, to one order or to several. Each kind has a limit of its own on each instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// What it does.
    pub op: Op,
    /// Whether it may name several orders.
    pub is_batch: bool,
}

impl Call {
    /// The record's word.
    pub fn name(self) -> String {
        let batch = if self.is_batch { " in batches" } else { "" };
        format!("{}{batch}", self.op.name())
    }
}

/// A field as text; numbers keep theirs. `None` when absent or empty.
pub fn field(arg: &Value, name: &str) -> Option<String> {
    match arg.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(word)) => Some(word.to_string()),
        _ => None,
    }
}

fn is_client_id(id: &str) -> bool {
    (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

impl Okx {
    /// Carries out an operation on each argument. Returns the code of the whole and the items' rows.
    pub(super) fn operate(
        &mut self,
        account: AccountId,
        call: Call,
        args: &[Value],
        deadline_ms: Option<&str>,
    ) -> Result<(i64, Vec<Value>), Refused> {
        let op = call.op;
        if args.is_empty() || args.len() > BATCH_MAX {
            return Err(Refused::parameter("args"));
        }
        let late = self.check_deadline(op, deadline_ms)?;
        let mut rows = Vec::new();
        let mut failed = 0;
        for arg in args {
            let client_id = field(arg, "clOrdId").unwrap_or_default();
            let counted = (op == Op::Place).then_some(client_id.as_str());
            self.core.record.request(op.name(), counted);
            let result = match (late, op) {
                (true, _) => Err(Refused::new(51149, "Order timed out.")),
                (false, Op::Place) => self.place(account, call, arg),
                (false, Op::Cancel) => self.cancel(account, call, arg),
                (false, Op::Amend) => self.amend(account, call, arg),
            };
            let ts = self.core.venue_ms().to_string();
            let (order_id, client_id, code, text) = match result {
                Ok(order) => (
                    order.id.to_string(),
                    order.ask.client_id.to_string(),
                    0,
                    String::new(),
                ),
                Err(refused) => {
                    failed += 1;
                    let name = field(arg, "clOrdId")
                        .or(field(arg, "ordId"))
                        .unwrap_or_default();
                    let now = self.core.now;
                    self.core
                        .record
                        .refused(op.name(), &name, refused.code, &refused.text, now);
                    let order_id = field(arg, "ordId").unwrap_or_default();
                    (order_id, client_id, refused.code, refused.text)
                }
            };
            let mut row = json!({"ordId": order_id, "clOrdId": client_id});
            match op {
                Op::Place => row["tag"] = json!(field(arg, "tag").unwrap_or_default()),
                Op::Amend => row["reqId"] = json!(field(arg, "reqId").unwrap_or_default()),
                Op::Cancel => {}
            }
            row["ts"] = json!(ts);
            row["sCode"] = json!(code.to_string());
            row["sMsg"] = json!(text);
            rows.push(row);
        }
        let code = match failed {
            0 => 0,
            _ if failed == args.len() => 1,
            _ => 2,
        };
        Ok((code, rows))
    }

    /// Whether the request's deadline is over. Errors: 50036 when it does not parse.
    fn check_deadline(&self, op: Op, deadline_ms: Option<&str>) -> Result<bool, Refused> {
        match deadline_ms {
            Some(text) if op != Op::Cancel => {
                let at: i64 = text
                    .parse()
                    .map_err(|_| Refused::new(50036, "Invalid expTime."))?;
                Ok(self.core.venue_ms() > at)
            }
            _ => Ok(false),
        }
    }

    /// The instrument an argument names; the numeric code takes precedence.
    fn inst(&self, arg: &Value) -> Result<usize, Refused> {
        let found = match field(arg, "instIdCode") {
            Some(code) => {
                (0..self.inst_ids.len()).find(|inst| Self::code(*inst).to_string() == code)
            }
            None => {
                let name = field(arg, "instId").ok_or_else(|| Refused::parameter("instId"))?;
                self.inst_of(&name)
            }
        };
        let text = "Instrument ID, Instrument ID code, or Spread ID doesn't exist.";
        found.ok_or_else(|| Refused::new(51001, text))
    }

    fn place(&mut self, account: AccountId, call: Call, arg: &Value) -> Result<Order, Refused> {
        let ask = self.parse_new(account, arg)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            let code = fault.code.unwrap_or(51008);
            return Err(Refused::new(code, rejected_text(code)));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            let text = "API endpoint request timeout (does not mean that the request was \
                        successful or failed, please check the request result).";
            return Err(Refused::new(50004, text));
        }
        self.pace(account, call, ask.inst)?;
        let (inst, side) = (ask.inst, ask.side);
        let id = self
            .core
            .engine
            .place(self.core.now, ask)
            .map_err(|refusal| reply::engine_refused(refusal, self.paid(inst, side)))?;
        self.absorb();
        self.known(id)
    }

    fn paid(&self, inst: usize, side: Side) -> &str {
        let spec = self.core.engine.spec(inst);
        match side {
            Side::Buy => &spec.quote,
            Side::Sell if spec.is_contract => &spec.quote,
            Side::Sell => &spec.base,
        }
    }

    fn known(&self, id: u64) -> Result<Order, Refused> {
        let order = self.core.engine.order(id).cloned();
        order.ok_or_else(|| Refused::new(51603, "Order does not exist"))
    }

    fn parse_new(&mut self, account: AccountId, arg: &Value) -> Result<NewOrder, Refused> {
        let inst = self.inst(arg)?;
        let is_contract = self.core.engine.spec(inst).is_contract;
        let mode = if is_contract { "cross" } else { "cash" };
        if field(arg, "tdMode").as_deref() != Some(mode) {
            return Err(Refused::parameter("tdMode"));
        }
        let side = match field(arg, "side").as_deref() {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            _ => return Err(Refused::parameter("side")),
        };
        let (type_name, tif, post_only) = match field(arg, "ordType").as_deref() {
            Some("limit") => ("limit", Tif::Gtc, PostOnly::No),
            Some("post_only") => ("post_only", Tif::Gtc, PostOnly::AcceptThenCancel),
            Some("ioc") => ("ioc", Tif::Ioc, PostOnly::No),
            Some("fok") => ("fok", Tif::Fok, PostOnly::No),
            Some("market") => ("market", Tif::Ioc, PostOnly::No),
            _ => return Err(Refused::parameter("ordType")),
        };
        let client_id = match field(arg, "clOrdId") {
            Some(id) if !is_client_id(&id) => return Err(Refused::parameter("clOrdId")),
            id => Arc::from(id.unwrap_or_default()),
        };
        let price = match (type_name, field(arg, "px")) {
            ("market", _) => None,
            (_, None) => return Err(Refused::parameter("px")),
            (_, Some(px)) => Some(self.parse_price(inst, &px)?),
        };
        let sz = field(arg, "sz").ok_or_else(|| Refused::parameter("sz"))?;
        let is_budget = type_name == "market"
            && !is_contract
            && match field(arg, "tgtCcy").as_deref() {
                None => side == Side::Buy,
                Some("quote_ccy") => true,
                Some("base_ccy") => false,
                Some(_) => return Err(Refused::parameter("tgtCcy")),
            };
        let size = if is_budget {
            let budget = text::parse_amount(&sz).filter(|amount| *amount > 0);
            Size::Quote(budget.ok_or_else(|| Refused::parameter("sz"))?)
        } else {
            Size::Base(self.parse_qty(inst, &sz)?)
        };
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif,
            post_only,
            client_id,
            type_name,
            echo: Arc::from(field(arg, "tag").unwrap_or_default()),
        })
    }

    fn parse_price(&self, inst: usize, px: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let price = text::increments(px, spec.price_decimals)
            .flatten()
            .filter(|price| *price > 0 && price % spec.tick == 0)
            .ok_or_else(|| Refused::parameter("px"))?;
        let last = self.core.engine.day(inst).last;
        if price > last.saturating_mul(5) || price < last / 5 {
            return Err(Refused::new(
                51006,
                "Order price is not within the price limit.",
            ));
        }
        Ok(price)
    }

    fn parse_qty(&self, inst: usize, sz: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let qty = text::increments(sz, spec.qty_decimals)
            .ok_or_else(|| Refused::parameter("sz"))?
            .filter(|qty| qty % spec.lot == 0)
            .ok_or_else(|| {
                Refused::new(51121, "Order quantity must be a multiple of the lot size.")
            })?;
        if qty < spec.qty_min {
            let text = "Your order should meet or exceed the minimum order amount.";
            return Err(Refused::new(51020, text));
        }
        if qty > spec.qty_max {
            return Err(Refused::new(
                51004,
                "Order amount exceeds the current tier limit.",
            ));
        }
        Ok(qty)
    }

    /// The order an argument names, whatever its state.
    pub(super) fn find(&self, account: AccountId, arg: &Value) -> Result<Option<Order>, Refused> {
        let engine = &self.core.engine;
        let order = match (field(arg, "ordId"), field(arg, "clOrdId")) {
            (Some(id), _) => id.parse().ok().and_then(|id| engine.order(id)),
            (None, Some(id)) => engine.by_client_id(account, &id),
            (None, None) => return Err(Refused::parameter("ordId")),
        };
        Ok(order.filter(|order| order.ask.account == account).cloned())
    }

    fn cancel(&mut self, account: AccountId, call: Call, arg: &Value) -> Result<Order, Refused> {
        let inst = self.inst(arg)?;
        self.pace(account, call, inst)?;
        let gone = || {
            let text = "Cancellation failed as the order has been filled, canceled or does not \
                        exist.";
            Refused::new(51400, text)
        };
        let order = self.find(account, arg)?.ok_or_else(gone)?;
        self.core
            .engine
            .cancel(self.core.now, order.id, Cause::User)
            .map_err(|_| gone())?;
        self.absorb();
        self.known(order.id)
    }

    fn amend(&mut self, account: AccountId, call: Call, arg: &Value) -> Result<Order, Refused> {
        let inst = self.inst(arg)?;
        self.pace(account, call, inst)?;
        let order = self
            .find(account, arg)?
            .filter(|order| order.state.is_open())
            .ok_or_else(|| reply::engine_refused(Refusal::Unknown, ""))?;
        let price = match field(arg, "newPx") {
            Some(px) => self.parse_price(inst, &px)?,
            None => order.ask.price.unwrap_or(0),
        };
        let qty = match field(arg, "newSz") {
            Some(sz) => self.parse_qty(inst, &sz)?,
            None => order.qty,
        };
        if Some(price) == order.ask.price && qty == order.qty {
            return Err(Refused::parameter("newPx or newSz"));
        }
        self.amend_request = field(arg, "reqId").unwrap_or_default();
        let result = self.core.engine.amend(self.core.now, order.id, price, qty);
        let refused = result
            .map_err(|refusal| reply::engine_refused(refusal, self.paid(inst, order.ask.side)));
        self.absorb();
        self.amend_request.clear();
        if refused.is_err() && field(arg, "cxlOnFail").as_deref() == Some("true") {
            let _ = self
                .core
                .engine
                .cancel(self.core.now, order.id, Cause::User);
            self.absorb();
        }
        refused?;
        self.known(order.id)
    }

    /// Sets or clears the dead man's switch. Errors: 51000.
    pub(super) fn cancel_all_after(
        &mut self,
        account: AccountId,
        arg: &Value,
    ) -> Result<Value, Refused> {
        let seconds: u64 = field(arg, "timeOut")
            .and_then(|text| text.parse().ok())
            .filter(|seconds| *seconds == 0 || (10..=120).contains(seconds))
            .ok_or_else(|| Refused::parameter("timeOut"))?;
        self.core.record.request("cancel_all_after", None);
        let trigger = if seconds == 0 {
            self.dead_man.remove(&account);
            "0".to_owned()
        } else {
            let at = self.core.now + seconds * 1_000_000_000;
            self.dead_man.insert(account, at);
            (self.core.venue_ms() + seconds as i64 * 1_000).to_string()
        };
        let ts = self.core.venue_ms().to_string();
        Ok(json!({"triggerTime": trigger, "tag": "", "ts": ts}))
    }

    /// Cancels everything of accounts whose switch fell due.
    pub(super) fn run_dead_man(&mut self) {
        let now = self.core.now;
        let due: Vec<AccountId> = self
            .dead_man
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(account, _)| *account)
            .collect();
        for account in due {
            self.dead_man.remove(&account);
            let ids: Vec<u64> = self
                .core
                .engine
                .open_orders(account)
                .map(|order| order.id)
                .collect();
            for id in ids {
                let _ = self.core.engine.cancel(now, id, Cause::DeadMan);
            }
            self.absorb();
        }
    }
}

fn rejected_text(code: i64) -> &'static str {
    match code {
        51008 => "Order failed. Insufficient USDT balance in account.",
        51121 => "Order quantity must be a multiple of the lot size.",
        50011 => "Rate limit reached.",
        _ => "Rejected by the simulator on request.",
    }
}
