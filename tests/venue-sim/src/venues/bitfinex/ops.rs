//! Order operations, one place for REST and the socket.
//!
//! SUCCESS means accepted for processing; what became of it is told on channel 0. Several operations of one message are
//! answered each for itself on a socket, and in one list over REST; the message itself is answered only when it is refused
//! whole, with nobody's name in it. A client id names an order
//! together with the UTC day of its submission. Not there: stops, hidden orders, `tif`, `lev`; they are refused.

use super::Bitfinex;
use super::reply::{self, Refused};
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Side, Size, State, Tif};
use crate::fault::Kind;
use dp_types::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;

/// Operations of one `ox_multi`.
const OPS_MAX: usize = 75;
/// Open orders of an account [U].
const OPEN_MAX: usize = 2_500;
/// Post-only.
const FLAG_POST_ONLY: u64 = 4_096;
/// Client ids have 45 bits.
const CLIENT_BITS: u32 = 45;
/// Longest `meta` kept.
const META_MAX: usize = 512;
const DAY_NS: u64 = 86_400_000_000_000;

/// Operations that change orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// New.
    Place,
    /// Amend.
    Amend,
    /// Cancel.
    Cancel,
    /// Cancel several, or all.
    CancelMany,
    /// Several of these.
    Several,
}

impl Op {
    /// By the word of channel 0.
    pub fn of_socket(word: &str) -> Option<Self> {
        Some(match word {
            "on" => Self::Place,
            "ou" => Self::Amend,
            "oc" => Self::Cancel,
            "oc_multi" => Self::CancelMany,
            "ox_multi" => Self::Several,
            _ => return None,
        })
    }

    fn notice(self) -> &'static str {
        match self {
            Self::Place => "on-req",
            Self::Amend => "ou-req",
            Self::Cancel => "oc-req",
            Self::CancelMany => "oc_multi-req",
            Self::Several => "ox_multi-req",
        }
    }

    /// The record's word.
    fn name(self) -> &'static str {
        match self {
            Self::Place => "new",
            Self::Amend => "amend",
            Self::Cancel => "cancel",
            Self::CancelMany => "cancel_all",
            Self::Several => "batch",
        }
    }
}

/// What an operation is answered.
#[derive(Debug)]
pub struct Outcome {
    /// The orders it is about.
    pub data: Value,
    /// A sentence, or why not.
    pub result: Result<String, Refused>,
}

impl Outcome {
    fn new(data: Value, result: Result<String, Refused>) -> Self {
        Self { data, result }
    }

    /// As a notification at a time in the transport's unit.
    pub fn notice(&self, mts: i64, op: Op) -> Value {
        let result = self.result.as_ref().map(String::as_str);
        reply::notice(mts, op.notice(), self.data.clone(), result)
    }

    /// The notifications of a socket: of several operations that were taken each has its own.
    pub fn notices(&self, mts: i64, op: Op) -> Vec<Value> {
        match (&self.data, &self.result) {
            (Value::Array(rows), Ok(_)) if op == Op::Several => rows.clone(),
            _ => vec![self.notice(mts, op)],
        }
    }
}

/// A member as text; numbers keep theirs. `None` when absent or empty.
pub fn field(body: &Value, name: &str) -> Option<String> {
    match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// A number in increments; what is finer is cut. `None` when it is none or too large.
fn cut(text: &str, decimals: u8) -> Option<i64> {
    let number = Decimal::parse(text.as_bytes()).ok()?;
    let power = i32::from(number.exponent) + i32::from(decimals);
    let mantissa = i128::from(number.mantissa);
    let scale = 10i128.checked_pow(power.unsigned_abs())?;
    let value = if power >= 0 {
        mantissa.checked_mul(scale)?
    } else {
        mantissa / scale
    };
    i64::try_from(value).ok()
}

/// A number of a request as a number, null when it is none.
fn echoed(body: &Value, name: &str) -> Value {
    let number = field(body, name).and_then(|text| text.parse().ok());
    number.map_or(Value::Null, Value::Number)
}

/// The list of an `ox_multi`, bare on a socket and under a name over REST.
fn list(body: &Value) -> &[Value] {
    let list = body
        .as_array()
        .or(body.get("ops").and_then(Value::as_array));
    list.map_or(&[], Vec::as_slice)
}

/// The operations of an `ox_multi`.
fn operations(body: &Value) -> impl Iterator<Item = (Op, &Value)> {
    list(body).iter().filter_map(|item| {
        let op = Op::of_socket(item.get(0)?.as_str()?)?;
        Some((op, item.get(1)?))
    })
}

fn sided(amount: i64) -> (Side, i64) {
    let side = if amount < 0 { Side::Sell } else { Side::Buy };
    (side, amount.saturating_abs())
}

/// The UTC day of a text `YYYY-MM-DD`, counted from 1970.
fn day_of(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_day =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_day || parts.next().is_some() {
        return None;
    }
    // Years that begin in March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    days.checked_sub(719_468)
}

impl Bitfinex {
    /// Carries out a request. `None` is one that stays without an answer.
    pub(super) fn request(
        &mut self,
        account: AccountId,
        op: Op,
        body: &Value,
        is_limited: bool,
    ) -> Option<Outcome> {
        let client_id = field(body, "cid").unwrap_or_default();
        let counted = (op == Op::Place).then_some(client_id.as_str());
        self.core.record.request(op.name(), counted);
        let outcome = if is_limited {
            Some(Self::turned_away(op, body, Refused::too_fast()))
        } else if self.is_paused() {
            Some(Self::turned_away(op, body, Refused::maintenance()))
        } else {
            self.operate(account, op, body)
        };
        if let Some(Err(refused)) = outcome.as_ref().map(|outcome| &outcome.result) {
            let name = field(body, "cid").or(field(body, "id")).unwrap_or_default();
            let (record, now) = (&mut self.core.record, self.core.now);
            record.refused(op.name(), &name, refused.code, &refused.text, now);
            if op == Op::Several {
                // The record has each new order of what was refused whole.
                for (op, body) in operations(body).filter(|(op, _)| *op == Op::Place) {
                    let name = field(body, "cid").unwrap_or_default();
                    record.request(op.name(), Some(&name));
                    record.refused(op.name(), &name, refused.code, &refused.text, now);
                }
            }
        }
        outcome
    }

    fn turned_away(op: Op, body: &Value, refused: Refused) -> Outcome {
        let data = match op {
            Op::CancelMany | Op::Several => Value::Null,
            Op::Place | Op::Amend | Op::Cancel => reply::refused_row(
                echoed(body, "id"),
                echoed(body, "cid"),
                echoed(body, "amount"),
                echoed(body, "price"),
            ),
        };
        Outcome::new(data, Err(refused))
    }

    fn operate(&mut self, account: AccountId, op: Op, body: &Value) -> Option<Outcome> {
        let result = match op {
            Op::Place => self.place(account, body).transpose()?,
            Op::Amend => self.amend(account, body),
            Op::Cancel => self.cancel(account, body),
            Op::CancelMany => return Some(self.cancel_many(account, body)),
            Op::Several => return Some(self.several(account, body)),
        };
        let order = match result {
            Ok(order) => order,
            Err(refused) => return Some(Self::turned_away(op, body, refused)),
        };
        let described = reply::described(&self.core, &order);
        let text = match op {
            Op::Place => format!("Submitting {described}."),
            Op::Amend => format!("Submitting update to {described}."),
            _ => {
                let id = order.id;
                format!("Submitted for cancellation; waiting for confirmation (ID: {id}).")
            }
        };
        Some(Outcome::new(self.order_row(&order), Ok(text)))
    }

    /// Places an order. Returns it as it was accepted; `None` where a fault leaves the outcome open.
    fn place(&mut self, account: AccountId, body: &Value) -> Result<Option<Order>, Refused> {
        let ask = self.parse_new(account, body)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            return Err(self.rejected(fault.code, body, ask.inst));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            return Ok(None);
        }
        if !self.new_orders(account) {
            return Err(Refused::too_fast());
        }
        if self.core.engine.open_orders(account).count() >= OPEN_MAX {
            return Err(Refused::order("Invalid order: too many open orders")); // wording [U]
        }
        self.check_day(account, &ask.client_id)?;
        let inst = ask.inst;
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(|refusal| self.refused(refusal, body, inst))?;
        let order = self.core.engine.order(id).cloned();
        self.absorb();
        let mut order = order.ok_or_else(Refused::unknown_order)?;
        (order.state, order.last, order.cum, order.cum_quote) = (State::Live, None, 0, 0);
        order.updated_ns = order.created_ns;
        Ok(Some(order))
    }

    /// A client id is used once a UTC day.
    fn check_day(&self, account: AccountId, client_id: &str) -> Result<(), Refused> {
        let known = self.core.engine.by_client_id(account, client_id);
        let today = self.core.now / DAY_NS;
        match known.filter(|order| !client_id.is_empty() && order.created_ns / DAY_NS == today) {
            Some(_) => Err(Refused::order("duplicate cid")), // wording [U]
            None => Ok(()),
        }
    }

    fn refused(&self, refusal: crate::engine::Refusal, body: &Value, inst: usize) -> Refused {
        let spec = self.core.engine.spec(inst);
        let pair = reply::pair(&spec.base, &spec.quote);
        let (amount, price) = (echoed(body, "amount"), echoed(body, "price"));
        reply::engine_refused(refusal, &amount, &pair, &price)
    }

    fn rejected(&self, code: Option<i64>, body: &Value, inst: usize) -> Refused {
        match code {
            None | Some(reply::GENERIC) => {
                self.refused(crate::engine::Refusal::Balance, body, inst)
            }
            Some(reply::PARAMETERS) => Refused::parameter("price"),
            Some(reply::RATE) => Refused::too_fast(),
            Some(reply::MAINTENANCE) => Refused::maintenance(),
            Some(code) => Refused::new(code, "Rejected by the simulator on request."),
        }
    }

    fn parse_new(&mut self, account: AccountId, body: &Value) -> Result<NewOrder, Refused> {
        let symbol = field(body, "symbol").unwrap_or_default();
        let inst = self.inst_of(&symbol);
        let inst = inst.ok_or_else(|| Refused::parameter("symbol"))?;
        let flags = match field(body, "flags") {
            Some(text) => text.parse().map_err(|_| Refused::parameter("flags"))?,
            None => 0,
        };
        if flags & !FLAG_POST_ONLY != 0 {
            return Err(Refused::parameter("flags"));
        }
        let kind = field(body, "type").unwrap_or_default();
        let (type_name, tif, is_limit) = match kind.as_str() {
            "EXCHANGE LIMIT" => ("EXCHANGE LIMIT", Tif::Gtc, true),
            "EXCHANGE MARKET" => ("EXCHANGE MARKET", Tif::Ioc, false),
            "EXCHANGE IOC" => ("EXCHANGE IOC", Tif::Ioc, true),
            "EXCHANGE FOK" => ("EXCHANGE FOK", Tif::Fok, true),
            _ => return Err(Refused::parameter("type")),
        };
        for name in [
            "tif",
            "lev",
            "price_trailing",
            "price_aux_limit",
            "price_oco_stop",
        ] {
            if field(body, name).is_some() {
                return Err(Refused::parameter(name));
            }
        }
        let client_id = match field(body, "cid") {
            Some(text) => {
                let number = text.parse::<u64>().ok();
                let number = number.filter(|number| (1..1 << CLIENT_BITS).contains(number));
                number.ok_or_else(|| Refused::parameter("cid"))?.to_string()
            }
            None => String::new(),
        };
        let group = match field(body, "gid") {
            Some(text) => Some(text.parse::<i32>().map_err(|_| Refused::parameter("gid"))?),
            None => None,
        };
        let meta = body.get("meta").cloned().unwrap_or_default();
        if meta.to_string().len() > META_MAX {
            return Err(Refused::parameter("meta"));
        }
        let price = if is_limit {
            Some(self.parse_price(inst, body)?)
        } else {
            None
        };
        let (side, qty) = self.parse_amount(inst, body)?;
        let is_post_only = flags & FLAG_POST_ONLY != 0 && tif == Tif::Gtc;
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size: Size::Base(qty),
            tif,
            post_only: if is_post_only {
                PostOnly::AcceptThenCancel
            } else {
                PostOnly::No
            },
            client_id: Arc::from(client_id),
            type_name,
            echo: Arc::from(reply::kept(group.map(i64::from), flags, &meta)),
        })
    }

    fn parse_price(&self, inst: usize, body: &Value) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let text = field(body, "price");
        let price = text.and_then(|text| cut(&text, spec.price_decimals));
        let price = price.map(reply::five_digits).filter(|price| *price > 0);
        price.ok_or_else(|| Refused::parameter("price"))
    }

    /// Side and size of `amount`. Errors: no number, too small, too large.
    fn parse_amount(&self, inst: usize, body: &Value) -> Result<(Side, i64), Refused> {
        let spec = self.core.engine.spec(inst);
        let text = field(body, "amount");
        let amount = text.and_then(|text| cut(&text, spec.qty_decimals));
        let amount = amount.ok_or_else(|| Refused::parameter("amount"))?;
        let (side, qty) = sided(amount);
        let bound = |word: &str, qty: i64| {
            let limit = reply::spelled(i128::from(qty), spec.qty_decimals);
            let (base, quote) = (reply::currency(&spec.base), reply::currency(&spec.quote));
            // The wording of the largest size is [U].
            Refused::order(format!(
                "Invalid order: {word} size for {base}/{quote} is {limit}"
            ))
        };
        if qty < spec.qty_min {
            return Err(bound("minimum", spec.qty_min));
        }
        if qty > spec.qty_max {
            return Err(bound("maximum", spec.qty_max));
        }
        Ok((side, qty))
    }

    /// The open order that a body names by `id`, or by `cid` and `cid_date`.
    fn find(&self, account: AccountId, body: &Value) -> Result<Order, Refused> {
        let engine = &self.core.engine;
        let order = match (
            field(body, "id"),
            field(body, "cid"),
            field(body, "cid_date"),
        ) {
            (Some(id), ..) => id.parse().ok().and_then(|id| engine.order(id)),
            (None, Some(client_id), Some(day)) => {
                let day = day_of(&day).ok_or_else(|| Refused::parameter("cid_date"))?;
                let known = engine.by_client_id(account, &client_id);
                known.filter(|order| order.created_ns / DAY_NS == day)
            }
            _ => return Err(Refused::parameter("id")),
        };
        let is_theirs = |order: &&Order| order.ask.account == account && order.state.is_open();
        let order = order.filter(is_theirs).cloned();
        order.ok_or_else(Refused::unknown_order)
    }

    /// Amends an order. Returns it as it was before.
    fn amend(&mut self, account: AccountId, body: &Value) -> Result<Order, Refused> {
        let order = self.find(account, body)?;
        let inst = order.ask.inst;
        let price = match field(body, "price") {
            Some(_) => self.parse_price(inst, body)?,
            None => order.ask.price.unwrap_or(0),
        };
        let qty = order.cum.saturating_add(self.new_leaves(&order, body)?);
        if Some(price) == order.ask.price && qty == order.qty {
            // Wording [U].
            return Err(Refused::order("Invalid update: nothing changes"));
        }
        let amended = self.core.engine.amend(self.core.now, order.id, price, qty);
        amended.map_err(|refusal| self.refused(refusal, body, inst))?;
        self.absorb();
        Ok(order)
    }

    /// What is to be left of an order: `amount` says it, `delta` what to add. The side stays.
    fn new_leaves(&self, order: &Order, body: &Value) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(order.ask.inst);
        let (side, leaves) = if field(body, "amount").is_some() {
            self.parse_amount(order.ask.inst, body)?
        } else {
            let delta = match field(body, "delta") {
                Some(text) => cut(&text, spec.qty_decimals),
                None => return Ok(order.leaves()),
            };
            let signed = match order.ask.side {
                Side::Buy => order.leaves(),
                Side::Sell => -order.leaves(),
            };
            let amount = delta.and_then(|delta| signed.checked_add(delta));
            sided(amount.ok_or_else(|| Refused::parameter("delta"))?)
        };
        let is_right = side == order.ask.side && (1..=spec.qty_max).contains(&leaves);
        is_right
            .then_some(leaves)
            .ok_or_else(|| Refused::parameter("amount"))
    }

    /// Cancels an order. Returns it as it was before.
    fn cancel(&mut self, account: AccountId, body: &Value) -> Result<Order, Refused> {
        let order = self.find(account, body)?;
        let now = self.core.now;
        let cancelled = self.core.engine.cancel(now, order.id, Cause::User);
        cancelled.map_err(|_| Refused::unknown_order())?;
        self.absorb();
        Ok(order)
    }

    /// Cancels what `id`, `cid` and `gid` list, or `all`.
    fn cancel_many(&mut self, account: AccountId, body: &Value) -> Outcome {
        let list = |name: &str| match body.get(name) {
            Some(Value::Array(items)) => items.clone(),
            Some(Value::Null) | None => Vec::new(),
            Some(item) => vec![item.clone()],
        };
        let is_all = field(body, "all").as_deref() == Some("1");
        let groups = list("gid");
        let by_id = list("id").into_iter().map(|id| json!({"id": id}));
        let by_client = list("cid")
            .into_iter()
            .map(|pair| json!({"cid": pair.get(0), "cid_date": pair.get(1)}));
        let mut orders: Vec<Order> = by_id
            .chain(by_client)
            .filter_map(|name| self.find(account, &name).ok())
            .collect();
        let open = self.core.engine.open_orders(account);
        let listed = open.filter(|order| is_all || groups.contains(&reply::group(order)));
        orders.extend(listed.cloned());
        orders.sort_by_key(|order| order.id);
        orders.dedup_by_key(|order| order.id);
        if orders.is_empty() && !is_all {
            return Outcome::new(Value::Null, Err(Refused::unknown_order()));
        }
        for order in &orders {
            let now = self.core.now;
            let _ = self.core.engine.cancel(now, order.id, Cause::CancelAll);
        }
        self.absorb();
        let rows = orders.iter().map(|order| self.order_row(order)).collect();
        let text = format!("Submitting {} order cancellations.", orders.len());
        Outcome::new(Value::Array(rows), Ok(text))
    }

    /// Carries out a list of `[op, body]`; `DATA` holds each one's own notification.
    fn several(&mut self, account: AccountId, body: &Value) -> Outcome {
        let count = operations(body).count();
        // The venue takes no amends among them; its words for anything wrong with the list.
        let is_bad = operations(body).any(|(op, _)| matches!(op, Op::Amend | Op::Several));
        if list(body).len() != count || !(1..=OPS_MAX).contains(&count) || is_bad {
            return Outcome::new(Value::Null, Err(Refused::parameter("input")));
        }
        if operations(body).any(|(op, _)| op == Op::Place) {
            self.core.record.request("new_batch", None);
        }
        let ms = self.core.venue_ms();
        let mut rows = Vec::new();
        for (op, inner) in operations(body) {
            let outcome = self.request(account, op, inner, false);
            rows.extend(outcome.map(|outcome| outcome.notice(ms, op)));
        }
        let text = format!("Submitting {count} order operations.");
        Outcome::new(Value::Array(rows), Ok(text))
    }

    /// Cancels everything of an account whose guarded socket is gone.
    pub(super) fn dead_man(&mut self, account: AccountId) {
        let open = self.core.engine.open_orders(account);
        let ids: Vec<u64> = open.map(|order| order.id).collect();
        for id in ids {
            let _ = self.core.engine.cancel(self.core.now, id, Cause::DeadMan);
        }
        self.absorb();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_numbers() {
        assert_eq!(day_of("1970-01-01"), Some(0));
        assert_eq!(day_of("2023-11-14"), Some(19_675));
        assert_eq!(day_of("2024-02-29"), Some(19_782));
        for bad in [
            "",
            "2023-11",
            "2023-13-01",
            "2023-11-14-1",
            "x",
            "1969-12-31",
        ] {
            assert_eq!(day_of(bad), None, "{bad}");
        }
        assert_eq!(cut("65000.19", 1), Some(650_001));
        assert_eq!(cut("-0.000000019", 8), Some(-1));
        assert_eq!(cut("1e3", 1), Some(10_000));
        assert_eq!((cut("x", 1), cut("1e18", 8)), (None, None));
    }
}
