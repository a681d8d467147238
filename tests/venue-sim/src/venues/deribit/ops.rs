//! Order methods, one place for HTTP and WebSocket.
//!
//! ```text
//! post_only         alone: moved to just behind the spread     with reject_post_only: refused, 11054
//! edit              same id; post-only that would take: cancelled, edit_post_only_reject
//! valid_until       over: 13888, nothing done
//! label             any text up to 64, as often as one likes
//! ```

use super::reply::{self, Refused, Terms};
use super::{Deribit, channels};
use crate::core::ConnId;
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Side, Size, State, Tif};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Characters of a label.
const LABEL_MAX: usize = 64;

/// Who asks, and over which connection.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The connection; `None` over HTTP.
    pub conn: Option<ConnId>,
    /// Whose it is, where that is known.
    pub account: Option<AccountId>,
}

/// A field as text, whatever its kind. `None` when absent or empty.
pub fn field(params: &Value, name: &str) -> Option<String> {
    match params.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(word) => Some(word.to_string()),
        _ => None,
    }
}

/// A flag; absent is no.
pub fn flag(params: &Value, name: &str) -> bool {
    field(params, name).as_deref() == Some("true")
}

/// A field that must be there.
pub fn wanted(params: &Value, name: &str) -> Result<String, Refused> {
    field(params, name).ok_or_else(|| Refused::parameter(name, "is required"))
}

/// Whether a method changes orders.
pub fn is_order_method(method: &str) -> bool {
    op_name(method) != "query"
}

/// The record's word for a method.
pub fn op_name(method: &str) -> &'static str {
    match method {
        "private/buy" | "private/sell" => "new",
        "private/edit" | "private/edit_by_label" => "amend",
        "private/cancel" | "private/cancel_by_label" => "cancel",
        "private/cancel_all"
        | "private/cancel_all_by_instrument"
        | "private/cancel_all_by_currency"
        | "private/cancel_all_by_kind_or_type" => "cancel_all",
        _ => "query",
    }
}

impl Deribit {
    /// Carries out an order method. Errors: in the venue's words.
    pub(super) fn operate(
        &mut self,
        caller: &Caller,
        account: AccountId,
        method: &str,
        params: &Value,
    ) -> Result<Value, Refused> {
        let op = op_name(method);
        let label = field(params, "label").unwrap_or_default();
        let counted = (op == "new").then_some(label.as_str());
        self.core.record.request(op, counted);
        self.traded.clear();
        let result = match method {
            _ if self.core.now < self.maintained_until => Err(Refused::new(11_051)),
            "private/buy" => self.place(caller, account, Side::Buy, params),
            "private/sell" => self.place(caller, account, Side::Sell, params),
            "private/edit" | "private/edit_by_label" => self.edit(account, params),
            "private/cancel" => self.cancel(account, params),
            "private/cancel_by_label" => self.cancel_by_label(account, params),
            _ => self.cancel_all(account, method, params),
        };
        if let Err(refused) = &result
            && !refused.is_done
        {
            let name = field(params, "label").or(field(params, "order_id"));
            let (name, now) = (name.unwrap_or_default(), self.core.now);
            let record = &mut self.core.record;
            record.refused(op, &name, refused.code, refused.text, now);
        }
        result
    }

    /// An order as the venue shows it.
    pub(super) fn order_row(&self, order: &Order) -> Value {
        let name = self.names.get(order.ask.inst).map_or("", String::as_str);
        reply::order_row(&self.core, name, order, self.edited.contains(&order.id))
    }

    /// `{order, trades}`: where it stands, and what the request traded.
    fn answer(&self, id: u64) -> Result<Value, Refused> {
        let order = self.core.engine.order(id);
        let order = order.ok_or_else(|| Refused::new(10_004))?;
        let trades = self.traded.iter().filter(|(of, _)| *of == id);
        let trades: Vec<&Value> = trades.map(|(_, row)| row).collect();
        Ok(json!({"order": self.order_row(order), "trades": trades}))
    }

    fn place(
        &mut self,
        caller: &Caller,
        account: AccountId,
        side: Side,
        params: &Value,
    ) -> Result<Value, Refused> {
        let ask = self.parse_new(account, side, params)?;
        self.check_deadline(params)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            return Err(Refused::new(fault.code.unwrap_or(10_009)));
        }
        let open_outcome = self.core.faults.take(Kind::Timeout);
        if open_outcome.as_ref().is_some_and(|it| !it.is_executed) {
            return Err(Refused::new(13_888));
        }
        self.check_overlap(&ask, None)?;
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(reply::engine_refused)?;
        if let Some(conn) = caller.conn.and_then(|conn| self.conns.get_mut(&conn)) {
            conn.placed(id);
        }
        self.absorb();
        if open_outcome.is_some() {
            return Err(Refused {
                is_done: true,
                ..Refused::new(13_888)
            });
        }
        self.answer(id)
    }

    fn parse_new(
        &mut self,
        account: AccountId,
        side: Side,
        params: &Value,
    ) -> Result<NewOrder, Refused> {
        let inst = self.named(params)?;
        let is_foreign = |name: &&str| field(params, name).is_some();
        if ["trigger_price", "linked_order_type", "display_amount"]
            .iter()
            .any(is_foreign)
        {
            return Err(Refused::new(10_033));
        }
        let type_name = match field(params, "type").as_deref() {
            None | Some("limit") => "limit",
            Some("market") => "market",
            Some(
                "market_limit" | "stop_limit" | "stop_market" | "take_limit" | "take_market"
                | "trailing_stop",
            ) => return Err(Refused::new(10_033)),
            Some(_) => return Err(Refused::parameter("type", "unknown order type")),
        };
        let (life, tif) = match field(params, "time_in_force").as_deref() {
            None | Some("good_til_cancelled") => ("good_til_cancelled", Tif::Gtc),
            Some("good_til_day") => ("good_til_day", Tif::Gtc),
            Some("fill_or_kill") => ("fill_or_kill", Tif::Fok),
            Some("immediate_or_cancel") => ("immediate_or_cancel", Tif::Ioc),
            Some(_) => return Err(Refused::parameter("time_in_force", "unknown value")),
        };
        let label = field(params, "label").unwrap_or_default();
        if label.chars().count() > LABEL_MAX {
            return Err(Refused::parameter("label", "is too long"));
        }
        let terms = Terms {
            life,
            is_post_only: flag(params, "post_only"),
            rejects: flag(params, "reject_post_only"),
            is_reduce_only: flag(params, "reduce_only"),
        };
        if terms.is_post_only && (tif != Tif::Gtc || type_name == "market") {
            return Err(Refused::new(11_029));
        }
        let mut qty = self.parse_amount(inst, params)?;
        if terms.is_reduce_only {
            let held = self.core.engine.position(account, inst).qty;
            let room = if side == Side::Buy { -held } else { held };
            if room <= 0 {
                return Err(Refused::new(11_029));
            }
            qty = qty.min(room);
        }
        let mut price = match type_name {
            "market" => None,
            _ => Some(self.parse_price(inst, side, &wanted(params, "price")?)?),
        };
        if terms.is_post_only && !terms.rejects {
            price = price.map(|price| self.behind_the_spread(inst, side, price));
        }
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size: Size::Base(qty),
            // What a market order leaves does not rest.
            tif: if price.is_none() && tif == Tif::Gtc {
                Tif::Ioc
            } else {
                tif
            },
            post_only: if terms.is_post_only {
                PostOnly::Refuse
            } else {
                PostOnly::No
            },
            client_id: Arc::from(label),
            type_name,
            echo: Arc::from(terms.echo()),
        })
    }

    /// Where a post-only order goes that may be moved: at its price, or just behind the other side's best.
    pub(super) fn behind_the_spread(&self, inst: usize, side: Side, price: i64) -> i64 {
        let engine = &self.core.engine;
        let tick = engine.spec(inst).tick;
        match (engine.book(inst).best(side.opposite()), side) {
            (Some((best, _)), Side::Buy) => price.min(best - tick),
            (Some((best, _)), Side::Sell) => price.max(best + tick),
            (None, _) => price,
        }
    }

    /// An order that would meet one of its own account.
    fn check_overlap(&self, ask: &NewOrder, except: Option<u64>) -> Result<(), Refused> {
        let meets = |other: &Order| {
            let (Some(theirs), true) = (other.ask.price, other.ask.side != ask.side) else {
                return false;
            };
            ask.price.is_none_or(|ours| match ask.side {
                Side::Buy => ours >= theirs,
                Side::Sell => ours <= theirs,
            })
        };
        let mut own = self.core.engine.open_orders(ask.account);
        if own.any(|it| it.ask.inst == ask.inst && Some(it.id) != except && meets(it)) {
            return Err(Refused::new(10_003));
        }
        Ok(())
    }

    /// Errors: 13888 when the request's time is over.
    fn check_deadline(&self, params: &Value) -> Result<(), Refused> {
        let Some(text) = field(params, "valid_until") else {
            return Ok(());
        };
        let until = text.parse::<i64>();
        let until = until.map_err(|_| Refused::parameter("valid_until", "must be an integer"))?;
        if self.core.venue_ms() > until {
            return Err(Refused::new(13_888));
        }
        Ok(())
    }

    fn parse_price(&self, inst: usize, side: Side, text: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let price = text::increments(text, spec.price_decimals);
        let price = price.ok_or_else(|| Refused::new(10_023))?;
        let price = price.ok_or_else(|| Refused::new(10_043))?;
        let (low, high) = reply::band(&self.core, inst);
        match side {
            _ if price <= 0 => Err(Refused::new(10_023)),
            _ if price % spec.tick != 0 => Err(Refused::new(10_043)),
            Side::Buy if price > high => Err(Refused::new(10_007)),
            Side::Sell if price < low => Err(Refused::new(10_005)),
            _ => Ok(price),
        }
    }

    /// `amount`, or `contracts` of the least that trades.
    fn parse_amount(&self, inst: usize, params: &Value) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let bad = || Refused::new(10_021);
        let qty = match (field(params, "amount"), field(params, "contracts")) {
            (Some(amount), _) => {
                let qty = text::increments(&amount, spec.qty_decimals).ok_or_else(bad)?;
                qty.filter(|qty| qty % spec.lot == 0).ok_or_else(bad)?
            }
            (None, Some(count)) => {
                let count = text::increments(&count, 0).flatten().ok_or_else(bad)?;
                count.checked_mul(spec.lot).ok_or_else(bad)?
            }
            (None, None) => return Err(Refused::parameter("amount", "is required")),
        };
        match qty {
            ..=0 => Err(bad()),
            qty if qty < spec.qty_min => Err(Refused::new(10_002)),
            qty if qty > spec.qty_max => Err(bad()),
            qty => Ok(qty),
        }
    }

    /// The instrument a request names. Errors: -32602, 10020.
    pub(super) fn named(&self, params: &Value) -> Result<usize, Refused> {
        let name = wanted(params, "instrument_name")?;
        self.inst_of(&name).ok_or_else(|| Refused::new(10_020))
    }

    /// The account's order a request names by the venue's id, whatever its state. Errors: 10004.
    pub(super) fn by_id(&self, account: AccountId, params: &Value) -> Result<Order, Refused> {
        let id = wanted(params, "order_id")?;
        let id = id.parse().ok();
        let order = id.and_then(|id| self.core.engine.order(id));
        let order = order.filter(|order| order.ask.account == account);
        order.cloned().ok_or_else(|| Refused::new(10_004))
    }

    fn edit(&mut self, account: AccountId, params: &Value) -> Result<Value, Refused> {
        self.check_deadline(params)?;
        let order = match field(params, "order_id") {
            Some(_) => self.by_id(account, params)?,
            None => self.the_only_one(account, params)?,
        };
        match order.state {
            State::Live | State::Partial => {}
            State::Filled => return Err(Refused::new(11_008)),
            State::Canceled(_) => return Err(Refused::new(10_010)),
        }
        let (inst, side) = (order.ask.inst, order.ask.side);
        let qty = self.parse_amount(inst, params)?;
        if qty <= order.cum {
            return Err(Refused::new(10_021));
        }
        let mut price = match field(params, "price") {
            Some(text) => self.parse_price(inst, side, &text)?,
            None => order.ask.price.unwrap_or(0),
        };
        // What was placed post-only stays so.
        let is_post_only = flag(params, "post_only") || order.ask.post_only != PostOnly::No;
        if is_post_only && !flag(params, "reject_post_only") {
            price = self.behind_the_spread(inst, side, price);
        }
        let ask = NewOrder {
            price: Some(price),
            ..order.ask.clone()
        };
        self.check_overlap(&ask, Some(order.id))?;
        let (now, engine) = (self.core.now, &mut self.core.engine);
        if is_post_only && engine.crosses(inst, side, price) {
            let _ = engine.cancel(now, order.id, Cause::PostOnly); // it is open, as seen above
        } else if (Some(price), qty) != (order.ask.price, order.qty) {
            let amended = engine.amend(now, order.id, price, qty);
            amended.map_err(reply::engine_refused)?;
        }
        self.absorb();
        self.answer(order.id)
    }

    /// The open order with a label, if it is the only one. Errors: 10004, 11029.
    fn the_only_one(&self, account: AccountId, params: &Value) -> Result<Order, Refused> {
        let (label, inst) = (wanted(params, "label")?, self.named(params)?);
        let open = self.core.engine.open_orders(account);
        let mut found = open.filter(|it| *it.ask.client_id == *label && it.ask.inst == inst);
        match (found.next(), found.next()) {
            (Some(order), None) => Ok(order.clone()),
            (None, _) => Err(Refused::new(10_004)),
            _ => Err(Refused::new(11_029)),
        }
    }

    fn cancel(&mut self, account: AccountId, params: &Value) -> Result<Value, Refused> {
        let id = self.by_id(account, params)?.id;
        let canceled = self.core.engine.cancel(self.core.now, id, Cause::User);
        canceled.map_err(|_| Refused::new(11_044))?;
        self.absorb();
        let order = self.core.engine.order(id);
        let order = order.ok_or_else(|| Refused::new(10_004))?;
        Ok(self.order_row(order))
    }

    fn cancel_by_label(&mut self, account: AccountId, params: &Value) -> Result<Value, Refused> {
        let label = wanted(params, "label")?;
        let insts = self.of_currency(params)?;
        let fits = |order: &Order| *order.ask.client_id == *label;
        Ok(self.cancel_where(account, &insts, Cause::User, fits))
    }

    fn cancel_all(
        &mut self,
        account: AccountId,
        method: &str,
        params: &Value,
    ) -> Result<Value, Refused> {
        let insts = match method {
            "private/cancel_all_by_instrument" => vec![self.named(params)?],
            "private/cancel_all" => (0..self.names.len()).collect(),
            _ => {
                wanted(params, "currency")?;
                self.of_currency(params)?
            }
        };
        let wanted = field(params, "type");
        let fits = |order: &Order| {
            wanted
                .as_deref()
                .is_none_or(|kind| kind == "all" || kind == order.ask.type_name)
        };
        Ok(self.cancel_where(account, &insts, Cause::CancelAll, fits))
    }

    fn cancel_where(
        &mut self,
        account: AccountId,
        insts: &[usize],
        cause: Cause,
        fits: impl Fn(&Order) -> bool,
    ) -> Value {
        let open = self.core.engine.open_orders(account);
        let ids: Vec<u64> = open
            .filter(|order| insts.contains(&order.ask.inst) && fits(order))
            .map(|order| order.id)
            .collect();
        for id in &ids {
            let _ = self.core.engine.cancel(self.core.now, *id, cause); // it is open
        }
        self.absorb();
        json!(ids.len())
    }

    /// Instruments of the `currency` and `kind` of a request; all without. Errors: -32602.
    pub(super) fn of_currency(&self, params: &Value) -> Result<Vec<usize>, Refused> {
        let currency = field(params, "currency").unwrap_or("any".into());
        let kind = field(params, "kind").unwrap_or("any".into());
        channels::of_kind(&self.core.engine, &kind, &currency)
            .ok_or_else(|| Refused::parameter("currency", "unknown currency or kind"))
    }
}
