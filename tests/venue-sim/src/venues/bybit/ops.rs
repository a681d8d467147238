//! Order operations, one place for REST and WebSocket.

use super::limits::Usage;
use super::reply::{self, Refused, engine_refused, order_id};
use super::{Bybit, Category};
use crate::engine::{AccountId, Cause, Order, Size, State};
use crate::fault::Kind;
use serde_json::{Value, json};

/// A cancel so soon after the last fill is taken, and the order told as filled once more. How long the venue's
/// engine takes is `[U]`.
const CANCEL_RACE_NS: u64 = 1_000_000;

/// Operations that change orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// New.
    Create,
    /// Amend.
    Amend,
    /// Cancel.
    Cancel,
}

impl Op {
    /// From the end of a path or of an operation's name; whether it is a batch.
    pub fn parse(name: &str) -> Option<(Self, bool)> {
        let all = [Self::Create, Self::Amend, Self::Cancel];
        let both = all.into_iter().flat_map(|op| [(op, false), (op, true)]);
        both.into_iter()
            .find(|(op, is_batch)| op.pool(*is_batch) == name)
    }

    /// Its pool, named as the end of its path.
    const fn pool(self, is_batch: bool) -> &'static str {
        match (self, is_batch) {
            (Self::Create, false) => "create",
            (Self::Create, true) => "create-batch",
            (Self::Amend, false) => "amend",
            (Self::Amend, true) => "amend-batch",
            (Self::Cancel, false) => "cancel",
            (Self::Cancel, true) => "cancel-batch",
        }
    }

    /// The record's word.
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "new",
            Self::Amend => "amend",
            Self::Cancel => "cancel",
        }
    }
}

/// The data of an answer and what goes beside it, or the refusal; and how the account's pool stands.
pub type Done = (Result<(Value, Value), Refused>, Option<Usage>);

/// A field as text; numbers keep theirs. `None` when absent or empty.
pub fn field(arg: &Value, name: &str) -> Option<String> {
    match arg.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(word)) => Some(word.to_string()),
        _ => None,
    }
}

/// Orders of a batch.
const fn batch_max(category: Category) -> usize {
    match category {
        Category::Spot => 10,
        Category::Linear => 20,
    }
}

impl Bybit {
    /// Takes from an account's pool. Errors: 10006, and how the pool stands.
    pub(super) fn spend(
        &mut self,
        account: AccountId,
        category: Category,
        pool: &'static str,
        cost: usize,
    ) -> Result<Usage, (Refused, Usage)> {
        let now = self.core.now;
        let result = match self.core.faults.take(Kind::RateLimit) {
            Some(fault) => Err(Usage {
                limit: self.limits.limit(category, pool),
                left: 0,
                reset_ms: (now + fault.for_ns) / 1_000_000,
            }),
            None => self
                .limits
                .take(now, (account, category, pool), cost as u32),
        };
        result.map_err(|usage| (Refused::too_fast(), usage))
    }

    /// Carries out an operation, or each of a batch.
    pub(super) fn order_request(
        &mut self,
        account: AccountId,
        op: Op,
        is_batch: bool,
        arg: &Value,
    ) -> Done {
        let category = field(arg, "category").and_then(|name| Category::parse(&name));
        let items = items(is_batch, arg);
        let Some(category) = category else {
            let refused = Refused::parameter("category is not supported");
            self.turned_away(op, is_batch, arg, &refused);
            return (Err(refused), None);
        };
        if items.is_empty() || items.len() > batch_max(category) {
            let refused = Refused::parameter("request has too few or too many items");
            self.turned_away(op, is_batch, arg, &refused);
            return (Err(refused), None);
        }
        let usage = match self.spend(account, category, op.pool(is_batch), items.len()) {
            Ok(usage) => usage,
            Err((refused, usage)) => {
                self.turned_away(op, is_batch, arg, &refused);
                return (Err(refused), Some(usage));
            }
        };
        if is_batch && op == Op::Create {
            self.core.record.request("new_batch", None);
        }
        if !is_batch {
            let result = self.operate(account, op, category, arg);
            let ids = |order: Order| (ids(category, &order), json!({}));
            return (result.map(ids), Some(usage));
        }
        let (mut rows, mut codes) = (Vec::new(), Vec::new());
        for item in &items {
            let result = self.operate(account, op, category, item);
            let (code, text) = result
                .as_ref()
                .err()
                .map_or((0, "OK"), |r| (r.code, &r.text));
            codes.push(json!({"code": code, "msg": text}));
            rows.push(self.batch_row(op, category, result.ok().as_ref()));
        }
        (
            Ok((json!({"list": rows}), json!({"list": codes}))),
            Some(usage),
        )
    }

    /// An item of a batch; one that failed has empty fields.
    fn batch_row(&self, op: Op, category: Category, order: Option<&Order>) -> Value {
        let (of, symbol, ids) = match order {
            Some(order) => {
                let symbol = self.symbols[order.ask.inst].as_str();
                (category.name(), symbol, ids(category, order))
            }
            None => ("", "", json!({"orderId": "", "orderLinkId": ""})),
        };
        let mut row = json!({
            "category": of, "symbol": symbol, "orderId": ids["orderId"],
            "orderLinkId": ids["orderLinkId"],
        });
        if op == Op::Create {
            let at = order.map_or(String::new(), |_| self.core.venue_ms().to_string());
            row["createAt"] = json!(at);
        }
        row
    }

    /// Records requests that were refused before anything was looked at.
    pub(super) fn turned_away(&mut self, op: Op, is_batch: bool, arg: &Value, refused: &Refused) {
        let now = self.core.now;
        for item in items(is_batch, arg) {
            let id = field(&item, "orderLinkId").unwrap_or_default();
            let counted = (op == Op::Create).then_some(id.as_str());
            self.core.record.request(op.name(), counted);
            let record = &mut self.core.record;
            record.refused(op.name(), &id, refused.code, &refused.text, now);
        }
    }

    fn operate(
        &mut self,
        account: AccountId,
        op: Op,
        category: Category,
        arg: &Value,
    ) -> Result<Order, Refused> {
        let id = field(arg, "orderLinkId").unwrap_or_default();
        let counted = (op == Op::Create).then_some(id.as_str());
        self.core.record.request(op.name(), counted);
        let result = match op {
            Op::Create => self.create(account, category, arg),
            Op::Amend => self.amend(account, category, arg),
            Op::Cancel => self.cancel(account, category, arg),
        };
        if let Err(refused) = &result {
            let name = field(arg, "orderLinkId").or(field(arg, "orderId"));
            let (name, now) = (name.unwrap_or_default(), self.core.now);
            let record = &mut self.core.record;
            record.refused(op.name(), &name, refused.code, &refused.text, now);
        }
        result
    }

    /// The instrument an argument names.
    pub(super) fn inst(&self, category: Category, arg: &Value) -> Result<usize, Refused> {
        let name = field(arg, "symbol").ok_or_else(|| Refused::parameter("symbol is missing"))?;
        self.inst_of(category, &name).ok_or_else(|| {
            let linear = (10001, "params error: symbol invalid");
            Refused::either(category, (170121, "Invalid symbol."), linear)
        })
    }

    fn create(
        &mut self,
        account: AccountId,
        category: Category,
        arg: &Value,
    ) -> Result<Order, Refused> {
        let ask = self.parse_new(account, category, arg)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            let usual = Refused::either(
                category,
                (170131, "Insufficient balance."),
                (110007, "ab not enough for new order"),
            );
            return Err(match fault.code {
                Some(code) if code != usual.code => {
                    Refused::new(code, "Rejected by the simulator on request.")
                }
                _ => usual,
            });
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            let code = fault.code.unwrap_or(10000);
            return Err(Refused::new(code, "Server Timeout"));
        }
        let is_used = !ask.client_id.is_empty()
            && self
                .core
                .engine
                .by_client_id(account, &ask.client_id)
                .is_some();
        if is_used {
            return Err(reply::duplicate(category));
        }
        self.check_open(account, category, ask.inst)?;
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(|refusal| engine_refused(category, refusal))?;
        self.absorb();
        self.known(category, id)
    }

    fn known(&self, category: Category, id: u64) -> Result<Order, Refused> {
        let order = self.core.engine.order(id).cloned();
        order.ok_or_else(|| Refused::unknown_order(category))
    }

    /// The order an argument names, whatever its state. Errors: it names none.
    pub(super) fn find(
        &self,
        account: AccountId,
        category: Category,
        arg: &Value,
    ) -> Result<Option<Order>, Refused> {
        let engine = &self.core.engine;
        let order = match (field(arg, "orderId"), field(arg, "orderLinkId")) {
            (Some(id), _) => reply::parse_order_id(&id).and_then(|id| engine.order(id)),
            (None, Some(id)) => engine.by_client_id(account, &id),
            (None, None) => return Err(Refused::parameter("OrderId and orderLinkId are missing")),
        };
        let is_ours = |order: &&Order| {
            order.ask.account == account && self.category(order.ask.inst) == category
        };
        Ok(order.filter(is_ours).cloned())
    }

    fn cancel(
        &mut self,
        account: AccountId,
        category: Category,
        arg: &Value,
    ) -> Result<Order, Refused> {
        let inst = self.inst(category, arg)?;
        let found = self.find(account, category, arg)?;
        let gone = || Refused::unknown_order(category);
        let order = found
            .filter(|order| order.ask.inst == inst)
            .ok_or_else(gone)?;
        let now = self.core.now;
        if self.core.engine.cancel(now, order.id, Cause::User).is_ok() {
            self.absorb();
            return self.known(category, order.id);
        }
        let is_racing = order.state == State::Filled && now < order.updated_ns + CANCEL_RACE_NS;
        if !is_racing {
            return Err(gone());
        }
        let row = reply::late_cancel_row(&self.core, &self.symbols[inst], &order);
        self.push(account, "order", inst, &row);
        Ok(order)
    }

    fn amend(
        &mut self,
        account: AccountId,
        category: Category,
        arg: &Value,
    ) -> Result<Order, Refused> {
        let inst = self.inst(category, arg)?;
        let order = self
            .find(account, category, arg)?
            .filter(|order| order.ask.inst == inst && order.state.is_open())
            .ok_or_else(|| Refused::unknown_order(category))?;
        let price = match field(arg, "price") {
            Some(price) => self.parse_price(category, inst, order.ask.side, &price)?,
            None => order.ask.price.unwrap_or(0),
        };
        let qty = match field(arg, "qty") {
            Some(qty) => self.parse_qty(category, inst, &qty)?,
            None => order.qty,
        };
        if Some(price) == order.ask.price && qty == order.qty {
            let text =
                "The order remains unchanged as the parameters entered match the existing ones.";
            return Err(Refused::new(10001, text));
        }
        if qty <= order.cum {
            let text = "The number of contracts modified cannot be less than or equal to the filled \
                        quantity";
            return Err(Refused::either(
                category,
                (10001, "Qty invalid"),
                (110064, text),
            ));
        }
        self.check_value(category, inst, Some(price), Size::Base(qty))?;
        let result = self.core.engine.amend(self.core.now, order.id, price, qty);
        let result = result.map_err(|refusal| engine_refused(category, refusal));
        self.absorb();
        result?;
        self.known(category, order.id)
    }

    /// Cancels an account's orders that fit, and publishes it. Returns them.
    pub(super) fn cancel_where(
        &mut self,
        account: AccountId,
        cause: Cause,
        fits: impl Fn(&Self, &Order) -> bool,
    ) -> Vec<Order> {
        let open = self.core.engine.open_orders(account);
        let fitting: Vec<Order> = open.filter(|order| fits(self, order)).cloned().collect();
        for order in &fitting {
            let _ = self.core.engine.cancel(self.core.now, order.id, cause);
        }
        self.absorb();
        fitting
    }

    /// Cancels what a symbol, base asset or settlement asset names; on spot without one, everything.
    pub(super) fn cancel_all(&mut self, account: AccountId, arg: &Value) -> Done {
        let category = field(arg, "category").and_then(|name| Category::parse(&name));
        let Some(category) = category else {
            return (Err(Refused::parameter("category is not supported")), None);
        };
        self.core.record.request("cancel_all", None);
        let usage = match self.spend(account, category, "cancel-all", 1) {
            Ok(usage) => usage,
            Err((refused, usage)) => return (Err(refused), Some(usage)),
        };
        let symbol = match field(arg, "symbol").map(|_| self.inst(category, arg)) {
            Some(Err(refused)) => return (Err(refused), Some(usage)),
            Some(Ok(inst)) => Some(inst),
            None => None,
        };
        let (base, settle) = (field(arg, "baseCoin"), field(arg, "settleCoin"));
        if category == Category::Linear && symbol.is_none() && base.is_none() && settle.is_none() {
            let text = "one of symbol, baseCoin and settleCoin is needed";
            return (Err(Refused::parameter(text)), Some(usage));
        }
        let cancelled = self.cancel_where(account, Cause::CancelAll, |face, order| {
            let spec = face.core.engine.spec(order.ask.inst);
            face.category(order.ask.inst) == category
                && symbol.is_none_or(|inst| inst == order.ask.inst)
                && base.as_ref().is_none_or(|name| *name == spec.base)
                && settle.as_ref().is_none_or(|name| *name == spec.quote)
        });
        let rows: Vec<Value> = cancelled.iter().map(|order| ids(category, order)).collect();
        let result = json!({"list": rows, "success": "1"});
        (Ok((result, json!({}))), Some(usage))
    }
}

fn items(is_batch: bool, arg: &Value) -> Vec<Value> {
    match (is_batch, arg.get("request")) {
        (false, _) => vec![arg.clone()],
        (true, Some(Value::Array(items))) => items.clone(),
        (true, _) => Vec::new(),
    }
}

fn ids(category: Category, order: &Order) -> Value {
    json!({
        "orderId": order_id(category, order.id), "orderLinkId": &*order.ask.client_id,
    })
}
