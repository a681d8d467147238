//! Order operations, one place for REST and WebSocket.

use super::names::id_of;
use super::reply::{self, Refused};
use super::{Kraken, limits, time, venue_ns};
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Side, Size, Tif, UNIT};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Smallest value of an order: the pairs' usual `costmin`, half a unit of the quote asset.
pub const COST_MIN: i128 = UNIT / 2;
/// Longest free text of a client order id.
const FREE_TEXT_MAX: usize = 18;
/// The farthest a deadline may lie ahead.
const DEADLINE_NS: u64 = 60 * 1_000_000_000;
/// The longest time of the dead man's switch, seconds [U].
const DEAD_MAN_MAX_S: u64 = 86_400;

/// A parameter's name on the WebSocket and in REST's forms.
pub type Name = (&'static str, &'static str);

const SYMBOL: Name = ("symbol", "pair");
const SIDE: Name = ("side", "type");
const ORDER_TYPE: Name = ("order_type", "ordertype");
const QTY: Name = ("order_qty", "volume");
const CASH: Name = ("cash_order_qty", "volume");
const PRICE: Name = ("limit_price", "price");
const TIF: Name = ("time_in_force", "timeinforce");
const POST_ONLY: Name = ("post_only", "oflags");
const USERREF: Name = ("order_userref", "userref");
const STP: Name = ("stp_type", "stptype");
const CLIENT_ID: Name = ("cl_ord_id", "cl_ord_id");
const DEADLINE: Name = ("deadline", "deadline");
const VALIDATE: Name = ("validate", "validate");
/// Names an amendment has alike in both.
const NEW_QTY: Name = ("order_qty", "order_qty");
const NEW_PRICE: Name = ("limit_price", "limit_price");
const NEW_POST_ONLY: Name = ("post_only", "post_only");
const ORDER_ID: Name = ("order_id", "txid");
const TIMEOUT: Name = ("timeout", "timeout");

/// Parameters of a request. The WebSocket wants numbers as numbers and words as words; forms have only words.
#[derive(Debug, Clone, Copy)]
pub struct Arg<'a> {
    value: &'a Value,
    is_form: bool,
}

impl<'a> Arg<'a> {
    /// Of a WebSocket message.
    pub fn message(value: &'a Value) -> Self {
        Self {
            value,
            is_form: false,
        }
    }

    /// Of a REST request's body.
    pub fn form(value: &'a Value) -> Self {
        Self {
            value,
            is_form: true,
        }
    }

    /// Of one order of several in the same request.
    pub fn of(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    /// A parameter as it came.
    pub fn raw(self, name: &str) -> Option<&'a Value> {
        self.value.get(name)
    }

    fn name(self, (message, form): Name) -> &'static str {
        if self.is_form { form } else { message }
    }

    fn get(self, name: Name) -> Option<&'a Value> {
        let value = self.value.get(self.name(name));
        value.filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    fn wrong_kind(self, name: Name, kind: &str) -> Refused {
        let name = self.name(name);
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let name: String = first.into_iter().chain(letters).collect();
        Refused::new(format!("{name} field must be a {kind}"))
    }

    /// A number's digits.
    pub fn number(self, name: Name) -> Result<Option<String>, Refused> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::String(text)) if self.is_form => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong_kind(name, "number_float")),
        }
    }

    /// A word.
    pub fn word(self, name: Name) -> Result<Option<String>, Refused> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if self.is_form => Ok(Some(number.to_string())),
            Some(_) => Err(self.wrong_kind(name, "string")),
        }
    }

    /// A yes or no; no when absent.
    pub fn flag(self, name: Name) -> Result<bool, Refused> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(yes)) => Ok(*yes),
            Some(Value::String(text)) if self.is_form => {
                Ok(matches!(text.as_str(), "true" | "True" | "1"))
            }
            Some(_) => Err(self.wrong_kind(name, "boolean")),
        }
    }

    fn needed(self, name: Name, value: Option<String>) -> Result<String, Refused> {
        value.ok_or_else(|| Refused::argument(self.name(name)))
    }

    fn bad(self, name: Name) -> Refused {
        Refused::argument(self.name(name))
    }

    /// Whether REST's flags hold one.
    fn has_flag(self, flag: &str) -> bool {
        let flags = self.value.get("oflags").and_then(Value::as_str);
        self.is_form && flags.is_some_and(|flags| flags.split(',').any(|known| known == flag))
    }
}

/// A UUID, 32 hex digits, or free text.
pub fn is_client_id(id: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_uuid = lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| hex(group));
    let is_free = id.len() <= FREE_TEXT_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_uuid || (id.len() == 32 && hex(id)) || is_free
}

/// How an order is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By the venue's id.
    Id(String),
    /// By the client's.
    Client(String),
}

/// How a new order is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Placed and counted.
    Alone,
    /// Placed; its request was counted with all its orders.
    OfBatch,
    /// Only looked at: what is wrong with it before the engine sees it.
    Look,
}

/// What became of a new order.
#[derive(Debug, Clone)]
pub enum Added {
    /// It was placed.
    Placed(Box<Order>),
    /// It could be.
    Checked(NewOrder),
}

fn unknown() -> Refused {
    Refused::new("EOrder:Unknown order")
}

fn paced(fits: bool) -> Result<(), Refused> {
    let full = || Refused::new("EOrder:Rate limit exceeded");
    fits.then_some(()).ok_or_else(full)
}

impl Kraken {
    /// Places a new order, or only checks it.
    pub(super) fn add_order(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
        take: Take,
    ) -> Result<Added, Refused> {
        let ask = self.parse_new(account, arg)?;
        let is_dry = arg.flag(VALIDATE)?;
        if take == Take::Look {
            return Ok(Added::Checked(ask));
        }
        if is_dry {
            let checked = self.core.engine.check(&ask);
            checked.map_err(reply::engine_refused)?;
            return Ok(Added::Checked(ask));
        }
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            return Err(Refused::numbered(fault.code));
        }
        if take == Take::Alone {
            self.pace(account, ask.inst, 1)?;
        }
        let open = self.core.engine.open_orders(account);
        let open = open.filter(|order| order.ask.inst == ask.inst).count();
        if open >= self.open_orders_max {
            return Err(Refused::new("EOrder:Orders limit exceeded"));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            return Err(Refused::new("EService:Timeout"));
        }
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(reply::engine_refused)?;
        self.absorb();
        let order = self.core.engine.order(id).cloned();
        order
            .map(|order| Added::Placed(Box::new(order)))
            .ok_or_else(unknown)
    }

    /// Counts an order request. Errors: the pair's counter is full.
    pub(super) fn pace(
        &mut self,
        account: AccountId,
        inst: usize,
        cost: u64,
    ) -> Result<(), Refused> {
        let now = self.core.now;
        paced(self.counter(account, inst).take(now, cost))
    }

    /// Counts a request of several new orders, on receipt: whatever comes of it. Errors: as of [`Self::pace`], or the pair
    /// is none.
    pub(super) fn pace_batch(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
        orders: usize,
    ) -> Result<(), Refused> {
        let (now, inst) = (self.core.now, self.inst(arg)?);
        let counter = self.counter(account, inst);
        paced(counter.take_milli(now, limits::batch_cost(orders)))
    }

    fn counter(&mut self, account: AccountId, inst: usize) -> &mut limits::Counter {
        self.order_counters
            .entry((account, inst))
            .or_insert_with(|| limits::Counter::new(limits::ORDERS, self.rate_factor))
    }

    /// The pair an argument names.
    fn inst(&self, arg: Arg<'_>) -> Result<usize, Refused> {
        let name = arg.needed(SYMBOL, arg.word(SYMBOL)?)?;
        let found = self.pairs.iter().position(|pair| {
            if arg.is_form {
                pair.is_called(&name)
            } else {
                pair.symbol == name
            }
        });
        found.ok_or_else(|| Refused::new("EQuery:Unknown asset pair"))
    }

    fn parse_new(&self, account: AccountId, arg: Arg<'_>) -> Result<NewOrder, Refused> {
        self.check_deadline(arg)?;
        let inst = self.inst(arg)?;
        let side = match arg.word(SIDE)?.as_deref() {
            Some("buy") => Side::Buy,
            Some("sell") => Side::Sell,
            _ => return Err(arg.bad(SIDE)),
        };
        let type_name = match arg.word(ORDER_TYPE)?.as_deref() {
            Some("limit") => "limit",
            Some("market") => "market",
            _ => return Err(arg.bad(ORDER_TYPE)),
        };
        let is_market = type_name == "market";
        let life = arg.word(TIF)?.unwrap_or_default().to_ascii_lowercase();
        let tif = match (is_market, life.as_str()) {
            (true, "" | "gtc" | "ioc") | (false, "ioc") => Tif::Ioc,
            (false, "" | "gtc") => Tif::Gtc,
            (false, "fok") => Tif::Fok,
            _ => return Err(arg.bad(TIF)),
        };
        let is_post = arg.has_flag("post") || (!arg.is_form && arg.flag(POST_ONLY)?);
        if is_post && tif != Tif::Gtc {
            return Err(arg.bad(POST_ONLY));
        }
        // The newer order is cancelled when two of an account meet; the other modes are not simulated.
        if !matches!(
            arg.word(STP)?.as_deref(),
            None | Some("cancel_newest" | "cancel-newest")
        ) {
            return Err(arg.bad(STP));
        }
        let (client_id, echo) = Self::parse_names(arg)?;
        let price = if is_market {
            None
        } else {
            let price = arg.needed(PRICE, arg.number(PRICE)?)?;
            Some(self.parse_price(inst, &price, arg.bad(PRICE))?)
        };
        let size = self.parse_size(inst, arg, is_market)?;
        if let (Some(price), Size::Base(qty)) = (price, size) {
            self.check_cost(inst, price, qty)?;
        }
        let post_only = if is_post {
            PostOnly::AcceptThenCancel
        } else {
            PostOnly::No
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
            echo,
        })
    }

    /// Client order id or user reference; not both.
    fn parse_names(arg: Arg<'_>) -> Result<(Arc<str>, Arc<str>), Refused> {
        let client_id = arg.word(CLIENT_ID)?.unwrap_or_default();
        let userref = arg.number(USERREF)?.unwrap_or_default();
        if !is_client_id(&client_id) || (!client_id.is_empty() && !userref.is_empty()) {
            return Err(arg.bad(CLIENT_ID));
        }
        if !userref.is_empty() && userref.parse::<i32>().is_err() {
            return Err(arg.bad(USERREF));
        }
        Ok((Arc::from(client_id), Arc::from(userref)))
    }

    fn parse_size(&self, inst: usize, arg: Arg<'_>, is_market: bool) -> Result<Size, Refused> {
        let is_cash = arg.has_flag("viqc") || (!arg.is_form && arg.get(CASH).is_some());
        if !is_cash {
            let qty = arg.needed(QTY, arg.number(QTY)?)?;
            return Ok(Size::Base(self.parse_qty(inst, &qty, arg.bad(QTY))?));
        }
        let budget = arg.needed(CASH, arg.number(CASH)?)?;
        let budget = text::parse_amount(&budget).filter(|budget| is_market && *budget > 0);
        let budget = budget.ok_or_else(|| arg.bad(CASH))?;
        if budget < COST_MIN {
            return Err(Refused::new("EOrder:Cost minimum not met"));
        }
        Ok(Size::Quote(budget))
    }

    fn check_cost(&self, inst: usize, price: i64, qty: i64) -> Result<(), Refused> {
        let spec = self.core.engine.spec(inst);
        match spec.notional(price, qty) {
            Some(cost) if cost < COST_MIN => Err(Refused::new("EOrder:Cost minimum not met")),
            _ => Ok(()),
        }
    }

    fn parse_price(&self, inst: usize, digits: &str, bad: Refused) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let price = text::increments(digits, spec.price_decimals).ok_or(bad)?;
        let Some(price) = price else {
            return Err(Refused::new(format!(
                "EOrder:Invalid price:{} price can only be specified up to {} decimals.",
                self.pairs[inst].symbol, spec.price_decimals
            )));
        };
        if price <= 0 {
            return Err(Refused::new("EOrder:Invalid price"));
        }
        if price % spec.tick != 0 {
            return Err(Refused::new("EOrder:Tick size check failed"));
        }
        Ok(price)
    }

    fn parse_qty(&self, inst: usize, digits: &str, bad: Refused) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let qty = text::increments(digits, spec.qty_decimals)
            .flatten()
            .filter(|qty| *qty > 0 && *qty <= spec.qty_max)
            .ok_or(bad)?;
        if qty < spec.qty_min {
            return Err(Refused::argument("volume minimum not met"));
        }
        Ok(qty)
    }

    /// Errors: the request came too late, or names a time too far ahead.
    fn check_deadline(&self, arg: Arg<'_>) -> Result<(), Refused> {
        let Some(deadline) = arg.word(DEADLINE)? else {
            return Ok(());
        };
        let at = time::parse(&deadline).ok_or_else(|| arg.bad(DEADLINE))?;
        let now = venue_ns(&self.core, self.core.now);
        if at < now {
            return Err(Refused::new("EService:Deadline elapsed"));
        }
        if at - now > DEADLINE_NS {
            return Err(arg.bad(DEADLINE));
        }
        Ok(())
    }

    /// The one order an argument names.
    pub(super) fn named(arg: Arg<'_>) -> Result<Named, Refused> {
        match (arg.word(ORDER_ID)?, arg.word(CLIENT_ID)?) {
            (Some(id), None) => Ok(Named::Id(id)),
            (None, Some(id)) => Ok(Named::Client(id)),
            _ => Err(arg.bad(ORDER_ID)),
        }
    }

    /// An account's order, whatever its state. Errors: an id the venue never made, or of nobody's order.
    pub(super) fn find(&self, account: AccountId, named: &Named) -> Result<&Order, Refused> {
        let engine = &self.core.engine;
        let found = match named {
            Named::Id(text) => {
                let id = id_of('O', text).ok_or_else(|| Refused::new("EOrder:Invalid order"))?;
                engine.order(id)
            }
            Named::Client(text) => engine.by_client_id(account, text),
        };
        found
            .filter(|order| order.ask.account == account)
            .ok_or_else(unknown)
    }

    fn find_open(&self, account: AccountId, named: &Named) -> Result<Order, Refused> {
        let order = self.find(account, named)?;
        if order.state.is_open() {
            Ok(order.clone())
        } else {
            Err(unknown())
        }
    }

    /// How long ago an order was placed or amended.
    pub(super) fn age_ns(&self, order: &Order) -> u64 {
        let touched = self.touched.get(&order.id).copied();
        self.core.now.saturating_sub(touched.unwrap_or(0))
    }

    /// Cancels one order; it is told as it was.
    pub(super) fn cancel_order(
        &mut self,
        account: AccountId,
        named: &Named,
    ) -> Result<Order, Refused> {
        let order = self.find_open(account, named)?;
        let cost = limits::cancel_cost(self.age_ns(&order));
        self.pace(account, order.ask.inst, cost)?;
        let result = self
            .core
            .engine
            .cancel(self.core.now, order.id, Cause::User);
        self.absorb();
        result.map(|()| order).map_err(reply::engine_refused)
    }

    /// Cancels every open order of an account; how many there were.
    pub(super) fn cancel_all(&mut self, account: AccountId, cause: Cause) -> usize {
        let open = self.core.engine.open_orders(account);
        let ids: Vec<u64> = open.map(|order| order.id).collect();
        for id in &ids {
            let _ = self.core.engine.cancel(self.core.now, *id, cause);
        }
        self.absorb();
        ids.len()
    }

    /// Amends one order in place; its id, and that of the amendment.
    pub(super) fn amend_order(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
    ) -> Result<(Named, String), Refused> {
        self.check_deadline(arg)?;
        let named = Self::named(arg)?;
        let order = self.find_open(account, &named)?;
        let inst = order.ask.inst;
        let price = match arg.number(NEW_PRICE)? {
            Some(price) => self.parse_price(inst, &price, arg.bad(NEW_PRICE))?,
            None => order.ask.price.unwrap_or(0),
        };
        let qty = match arg.number(NEW_QTY)? {
            Some(qty) => self.parse_qty(inst, &qty, arg.bad(NEW_QTY))?,
            None => order.qty,
        };
        if Some(price) == order.ask.price && qty == order.qty {
            return Err(arg.bad(NEW_QTY));
        }
        self.check_cost(inst, price, qty)?;
        let cost = limits::amend_cost(self.age_ns(&order));
        self.pace(account, inst, cost)?;
        let engine = &mut self.core.engine;
        // The amendment is refused, the order stays as it was.
        if arg.flag(NEW_POST_ONLY)? && engine.crosses(inst, order.ask.side, price) {
            return Err(Refused::new("EOrder:Post only order"));
        }
        let result = engine.amend(self.core.now, order.id, price, qty);
        self.absorb();
        result.map_err(reply::engine_refused)?;
        self.amendments += 1;
        // Far from the numbers of executions, which share the letter.
        let id = super::names::id_text('T', 1 << 62 | self.amendments);
        Ok((named, id))
    }

    /// Sets or clears the dead man's switch; the answer's result.
    pub(super) fn cancel_all_after(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
    ) -> Result<Value, Refused> {
        let seconds = arg.needed(TIMEOUT, arg.number(TIMEOUT)?)?;
        let seconds: u64 = seconds
            .parse()
            .ok()
            .filter(|seconds| *seconds <= DEAD_MAN_MAX_S)
            .ok_or_else(|| arg.bad(TIMEOUT))?;
        let at = self.core.now + seconds * 1_000_000_000;
        let trigger = if seconds == 0 {
            self.dead_man.remove(&account);
            "0".to_owned()
        } else {
            self.dead_man.insert(account, at);
            time::seconds(venue_ns(&self.core, at))
        };
        let now = time::seconds(venue_ns(&self.core, self.core.now));
        Ok(json!({"currentTime": now, "triggerTime": trigger}))
    }

    /// Cancels everything of accounts whose switch fell due; it is disarmed then.
    pub(super) fn run_dead_man(&mut self) {
        let now = self.core.now;
        let due = self.dead_man.iter().filter(|(_, at)| **at <= now);
        let due: Vec<AccountId> = due.map(|(account, _)| *account).collect();
        for account in due {
            self.dead_man.remove(&account);
            self.cancel_all(account, Cause::DeadMan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_client_id;

    #[test]
    fn client_ids() {
        for (id, is_one) in [
            ("", true),
            ("hbx-000001", true),
            ("123456789012345678", true),
            ("1234567890123456789", false),
            ("with space", false),
            ("6d1b345e-2821-40e2-ad83-4ecb18a06876", true),
            ("6d1b345e282140e2ad834ecb18a06876", true),
            ("6d1b345e-2821-40e2-ad83-4ecb18a0687g", false),
        ] {
            assert_eq!(is_client_id(id), is_one, "{id}");
        }
    }
}
