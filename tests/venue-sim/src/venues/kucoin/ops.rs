//! Order operations, one place for REST and WebSocket; and the dead man's switch.

use super::Kucoin;
use super::reply::{self, CANCEL_GONE, OUTCOME_OPEN, Refused};
use crate::engine::{
    AccountId, Amount, Cause, NewOrder, Order, PostOnly, Refusal, Side, Size, Tif,
};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Open orders of an account in one instrument, and in all.
const OPEN_PER_SYMBOL: usize = 200;
const OPEN_MAX: usize = 2_000;
/// Symbols the dead man's switch may name.
const SWITCH_SYMBOLS: usize = 50;
/// How late the switch fires: the venue says up to 10 s.
const SWITCH_LATE_NS: u64 = 1_000_000_000;
/// The code of an order whose time window is over [U].
const WINDOW_OVER: i64 = 400_002;

/// Operations that change one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// New.
    Place,
    /// Cancel.
    Cancel,
    /// Cancel of a part.
    Reduce,
    /// Cancel, and a new order in its place.
    Alter,
}

impl Op {
    /// The record's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Place => "new",
            Self::Cancel => "cancel",
            Self::Reduce | Self::Alter => "amend",
        }
    }
}

/// An account's dead man's switch.
#[derive(Debug)]
pub struct Switch {
    /// Empty stands for all there are.
    insts: Vec<usize>,
    symbols: String,
    timeout_s: u64,
    current_s: i64,
    due_ns: u64,
}

impl Switch {
    /// When it fires.
    pub fn due(&self) -> u64 {
        self.due_ns
    }

    /// As a query shows it.
    pub fn json(&self) -> Value {
        json!({
            "timeout": self.timeout_s, "symbols": self.symbols, "currentTime": self.current_s,
            "triggerTime": self.current_s + self.timeout_s as i64,
        })
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
    let is_known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=40).contains(&id.len()) && id.bytes().all(is_known)
}

fn missing(name: &str) -> Refused {
    Refused::parameter(format!("{name} can not be empty"))
}

fn invalid(name: &str) -> Refused {
    Refused::parameter(format!("{name} is invalid"))
}

impl Kucoin {
    /// Carries out an operation and returns the order as it stands then: an altered one is a new one.
    pub(super) fn operate(
        &mut self,
        account: AccountId,
        op: Op,
        arg: &Value,
    ) -> Result<Order, Refused> {
        let client_id = field(arg, "clientOid").unwrap_or_default();
        let counted = (op == Op::Place).then_some(client_id.as_str());
        self.core.record.request(op.name(), counted);
        let result = match op {
            Op::Place => self.place(account, arg),
            Op::Cancel => self.cancel(account, arg),
            Op::Reduce => self.reduce(account, arg),
            Op::Alter => self.alter(account, arg),
        };
        if let Err(refused) = &result {
            self.note_refused(account, op, arg, refused);
        }
        result
    }

    /// Notes a refusal, but for an open outcome of an order that was carried out all the same.
    pub(super) fn note_refused(
        &mut self,
        account: AccountId,
        op: Op,
        arg: &Value,
        refused: &Refused,
    ) {
        let id = field(arg, "clientOid")
            .or(field(arg, "orderId"))
            .unwrap_or_default();
        let is_done = op == Op::Place
            && refused.code == OUTCOME_OPEN
            && self.core.engine.by_client_id(account, &id).is_some();
        if !is_done {
            let (code, now) = (refused.code, self.core.now);
            let record = &mut self.core.record;
            record.refused(op.name(), &id, code, &refused.text, now);
        }
    }

    /// Checks a new order and places nothing. Errors: those of placing it.
    pub(super) fn test(&self, account: AccountId, arg: &Value) -> Result<(), Refused> {
        let ask = self.parse_new(account, arg)?;
        self.core.engine.check(&ask).map_err(reply::engine_refused)
    }

    /// The instrument an argument names.
    pub(super) fn inst(&self, arg: &Value) -> Result<usize, Refused> {
        let name = field(arg, "symbol").ok_or_else(|| missing("symbol"))?;
        self.inst_of(&name).ok_or_else(Refused::symbol)
    }

    fn place(&mut self, account: AccountId, arg: &Value) -> Result<Order, Refused> {
        let ask = self.parse_new(account, arg)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            let code = fault.code.unwrap_or(200_004);
            let text = match code {
                200_004 => "Balance insufficient!",
                _ => "Rejected by the simulator on request.",
            };
            return Err(Refused::new(code, text));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            return Err(Refused::open_outcome());
        }
        let id = self
            .core
            .engine
            .place(self.core.now, ask)
            .map_err(reply::engine_refused)?;
        self.absorb();
        self.known(id)
    }

    fn known(&self, id: u64) -> Result<Order, Refused> {
        let order = self.core.engine.order(id).cloned();
        order.ok_or_else(|| Refused::parameter("order not exist"))
    }

    fn parse_new(&self, account: AccountId, arg: &Value) -> Result<NewOrder, Refused> {
        let inst = self.inst(arg)?;
        let side = match field(arg, "side").as_deref() {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            _ => return Err(invalid("side")),
        };
        let type_name = match field(arg, "type").as_deref() {
            // The venue's default.
            Some("limit") | None => "limit",
            Some("market") => "market",
            _ => return Err(invalid("type")),
        };
        let client_id = match field(arg, "clientOid") {
            Some(id) if !is_client_id(&id) => return Err(invalid("clientOid")),
            id => id.unwrap_or_default(),
        };
        if !matches!(
            field(arg, "stp").as_deref(),
            None | Some("CN" | "CO" | "CB" | "DC")
        ) {
            return Err(invalid("stp"));
        }
        for name in ["hidden", "iceberg"] {
            if arg.get(name).and_then(Value::as_bool) == Some(true) {
                return Err(Refused::parameter(format!("{name} is not simulated")));
            }
        }
        let is_market = type_name == "market";
        let tif = match field(arg, "timeInForce").as_deref() {
            _ if is_market => Tif::Ioc,
            Some("GTC") | None => Tif::Gtc,
            Some("IOC") => Tif::Ioc,
            Some("FOK") => Tif::Fok,
            Some("GTT") => return Err(Refused::parameter("GTT is not simulated")),
            _ => return Err(invalid("timeInForce")),
        };
        let is_post_only = arg.get("postOnly").and_then(Value::as_bool) == Some(true);
        let price = match field(arg, "price") {
            _ if is_market => None,
            None => return Err(missing("price")),
            Some(text) => Some(self.parse_price(inst, &text)?),
        };
        let size = match (field(arg, "size"), field(arg, "funds")) {
            (Some(size), _) => Size::Base(self.parse_size(inst, price, &size)?),
            (None, Some(funds)) if is_market => Size::Quote(self.parse_funds(inst, &funds)?),
            _ => return Err(missing("size")),
        };
        self.check_window(arg)?;
        self.check_room(account, inst)?;
        let kept = |name: &str| arg.get(name).cloned().unwrap_or(Value::Null);
        let echo = json!({"stp": kept("stp"), "remark": kept("remark"), "tags": kept("tags")});
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif,
            // Without a meaning for orders that never rest.
            post_only: if is_post_only && tif == Tif::Gtc {
                PostOnly::AcceptThenCancel
            } else {
                PostOnly::No
            },
            client_id: Arc::from(client_id),
            type_name,
            echo: Arc::from(echo.to_string()),
        })
    }

    fn parse_price(&self, inst: usize, text: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let price = text::increments(text, spec.price_decimals)
            .ok_or_else(|| invalid("price"))?
            .filter(|price| *price > 0 && price % spec.tick == 0)
            .ok_or_else(|| Refused::parameter("Price increment invalid."))?;
        let last = self.core.engine.day(inst).last;
        let away = last / 100 * super::PRICE_LIMIT_PERCENT;
        if (price - last).abs() > away {
            return Err(Refused::parameter("price not in the given range!"));
        }
        Ok(price)
    }

    fn parse_size(&self, inst: usize, price: Option<i64>, text: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let size = text::increments(text, spec.qty_decimals)
            .ok_or_else(|| invalid("size"))?
            .filter(|size| size % spec.lot == 0)
            .ok_or_else(|| Refused::new(600_100, "Order size increment invalid."))?;
        if size < spec.qty_min {
            let text = "Order size below the minimum requirement.";
            return Err(Refused::parameter(text));
        }
        if size > spec.qty_max {
            let text = "Order size exceeds the maximum requirement.";
            return Err(Refused::parameter(text));
        }
        let price = price.unwrap_or(self.core.engine.day(inst).last);
        self.check_funds(inst, spec.notional(price, size).unwrap_or(Amount::MAX))?;
        Ok(size)
    }

    fn parse_funds(&self, inst: usize, text: &str) -> Result<Amount, Refused> {
        let funds = text::parse_amount(text).ok_or_else(|| invalid("funds"))?;
        self.check_funds(inst, funds)?;
        Ok(funds)
    }

    fn check_funds(&self, inst: usize, funds: Amount) -> Result<(), Refused> {
        let spec = self.core.engine.spec(inst);
        if funds >= spec.notional_min {
            return Ok(());
        }
        let (least, quote) = (text::amount(spec.notional_min), &spec.quote);
        let text = format!("The order funds should more then {least} {quote}.");
        Err(Refused::new(600_101, text))
    }

    /// An order may say until when the gateway is to take it.
    fn check_window(&self, arg: &Value) -> Result<(), Refused> {
        let number = |name: &str| match field(arg, name) {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| invalid(name)),
        };
        let (sent, window) = (number("clientTimestamp")?, number("allowMaxTimeWindow")?);
        match sent.zip(window) {
            Some((sent, window)) if sent.saturating_add(window) < self.core.venue_ms() => {
                let text = "The order's allowMaxTimeWindow is over.";
                Err(Refused::new(WINDOW_OVER, text))
            }
            _ => Ok(()),
        }
    }

    fn check_room(&self, account: AccountId, inst: usize) -> Result<(), Refused> {
        let (mut all, mut here) = (0, 0);
        for order in self.core.engine.open_orders(account) {
            all += 1;
            here += usize::from(order.ask.inst == inst);
        }
        if all >= OPEN_MAX || here >= OPEN_PER_SYMBOL {
            let text = "The number of active orders exceeds the limit.";
            return Err(Refused::parameter(text));
        }
        Ok(())
    }

    /// The order an argument names, whatever its state.
    pub(super) fn find(&self, account: AccountId, arg: &Value) -> Result<Option<Order>, Refused> {
        let engine = &self.core.engine;
        let order = match (field(arg, "orderId"), field(arg, "clientOid")) {
            (Some(id), _) => reply::parse_order_id(&id).and_then(|id| engine.order(id)),
            (None, Some(id)) => engine.by_client_id(account, &id),
            (None, None) => return Err(missing("orderId")),
        };
        Ok(order.filter(|order| order.ask.account == account).cloned())
    }

    /// The open order an argument names in the instrument it names.
    fn open_order(&self, account: AccountId, arg: &Value) -> Result<Order, Refused> {
        let inst = self.inst(arg)?;
        self.find(account, arg)?
            .filter(|order| order.state.is_open() && order.ask.inst == inst)
            .ok_or_else(|| Refused::parameter(CANCEL_GONE))
    }

    fn cancel(&mut self, account: AccountId, arg: &Value) -> Result<Order, Refused> {
        let order = self.open_order(account, arg)?;
        let engine = &mut self.core.engine;
        engine
            .cancel(self.core.now, order.id, Cause::User)
            .map_err(reply::engine_refused)?;
        self.absorb();
        self.known(order.id)
    }

    fn reduce(&mut self, account: AccountId, arg: &Value) -> Result<Order, Refused> {
        let order = self.open_order(account, arg)?;
        let decimals = self.core.engine.spec(order.ask.inst).qty_decimals;
        let size = field(arg, "cancelSize").ok_or_else(|| missing("cancelSize"))?;
        let size = text::increments(&size, decimals)
            .flatten()
            .filter(|size| *size > 0)
            .ok_or_else(|| invalid("cancelSize"))?;
        self.old_qty = order.qty;
        let (engine, now) = (&mut self.core.engine, self.core.now);
        let result = if size >= order.leaves() {
            engine.cancel(now, order.id, Cause::User)
        } else {
            engine.reduce(now, order.id, order.qty - size)
        };
        result.map_err(reply::engine_refused)?;
        self.absorb();
        self.known(order.id)
    }

    /// The old order ends, and what is left of the new size is placed under a new id and the same client id [U].
    fn alter(&mut self, account: AccountId, arg: &Value) -> Result<Order, Refused> {
        let order = self.open_order(account, arg)?;
        let inst = order.ask.inst;
        let price = match field(arg, "newPrice") {
            Some(text) => Some(self.parse_price(inst, &text)?),
            None => order.ask.price,
        };
        let size = match field(arg, "newSize") {
            Some(text) => self.parse_size(inst, price, &text)?,
            None => order.qty,
        };
        if (price, size) == (order.ask.price, order.qty) {
            return Err(missing("newPrice or newSize"));
        }
        let (engine, now) = (&mut self.core.engine, self.core.now);
        let cause = Cause::Replaced;
        engine
            .cancel(now, order.id, cause)
            .map_err(reply::engine_refused)?;
        let left = size - order.cum;
        let result = if left > 0 {
            let ask = NewOrder {
                price,
                size: Size::Base(left),
                ..order.ask
            };
            engine.place(now, ask)
        } else {
            Err(Refusal::Unknown)
        };
        self.absorb();
        self.known(result.map_err(reply::engine_refused)?)
    }

    /// Cancels an account's orders in some instruments, all where none is named. Returns those it had any in.
    pub(super) fn cancel_all(
        &mut self,
        account: AccountId,
        insts: &[usize],
        cause: Cause,
    ) -> Vec<usize> {
        let open = self.core.engine.open_orders(account);
        let meant: Vec<(u64, usize)> = open
            .map(|order| (order.id, order.ask.inst))
            .filter(|(_, inst)| insts.is_empty() || insts.contains(inst))
            .collect();
        let mut touched: Vec<usize> = Vec::new();
        for (id, inst) in meant {
            let _ = self.core.engine.cancel(self.core.now, id, cause);
            if !touched.contains(&inst) {
                touched.push(inst);
            }
        }
        self.absorb();
        touched
    }

    /// Sets or clears the dead man's switch. Errors: 400100, 900001.
    pub(super) fn arm(&mut self, account: AccountId, arg: &Value) -> Result<Value, Refused> {
        self.core.record.request("cancel_all_after", None);
        let symbols = field(arg, "symbols").unwrap_or_default();
        let names: Vec<&str> = symbols.split(',').filter(|name| !name.is_empty()).collect();
        if names.len() > SWITCH_SYMBOLS {
            return Err(invalid("symbols"));
        }
        let insts: Option<Vec<usize>> = names.iter().map(|name| self.inst_of(name)).collect();
        let insts = insts.ok_or_else(Refused::symbol)?;
        let timeout: i64 = field(arg, "timeout")
            .and_then(|text| text.parse().ok())
            .filter(|timeout| *timeout == -1 || (5..=86_400).contains(timeout))
            .ok_or_else(|| invalid("timeout"))?;
        let current_s = self.core.venue_ms() / 1_000;
        let Ok(timeout_s) = u64::try_from(timeout) else {
            self.switches.remove(&account);
            return Ok(json!({"currentTime": current_s, "triggerTime": 0}));
        };
        let due_ns = self.core.now + timeout_s * 1_000_000_000 + SWITCH_LATE_NS;
        self.switches.insert(
            account,
            Switch {
                insts,
                symbols,
                timeout_s,
                current_s,
                due_ns,
            },
        );
        Ok(json!({"currentTime": current_s, "triggerTime": current_s + timeout}))
    }

    /// Cancels what the switches that fell due name; each fires once.
    pub(super) fn run_switches(&mut self) {
        let now = self.core.now;
        let is_due = |switch: &Switch| switch.due_ns <= now;
        let due: Vec<AccountId> = self
            .switches
            .iter()
            .filter(|(_, switch)| is_due(switch))
            .map(|(account, _)| *account)
            .collect();
        for account in due {
            if let Some(switch) = self.switches.remove(&account) {
                self.cancel_all(account, &switch.insts, Cause::DeadMan);
            }
        }
    }
}
