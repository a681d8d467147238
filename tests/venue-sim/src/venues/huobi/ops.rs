//! Order operations, one place for REST and the trade socket.

use super::Huobi;
use super::limits::{self, Pool};
use super::reply::{self, Refused};
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Side, Size, Spec, State, Tif};
use crate::fault::Kind;
use crate::text;
use serde_json::{Value, json};
use std::sync::Arc;

/// Orders in one batch.
const BATCH_MAX: usize = 10;
/// Orders one request may cancel by name.
const CANCELS_MAX: usize = 50;
/// Orders one request cancels of those open.
const CANCEL_OPEN_MAX: usize = 100;
/// Orders the dead man's switch cancels.
const DEAD_MAN_MAX: usize = 500;
/// Its shortest time, seconds.
const DEAD_MAN_MIN_S: u64 = 5;
/// How long a client id finds an order after its creation, open and final.
const CLIENT_ID_NS: [u64; 2] = [8 * 3_600_000_000_000, 2 * 3_600_000_000_000];
/// Largest market buy, in the quote asset.
pub const BUDGET_MAX: i64 = 1_000_000;
/// Buys may be this far above the last price, sells this far below it, in percent.
pub const BAND: [i64; 2] = [110, 90];

/// Types of orders: side, kind and life in one word. Stop orders are not here.
const TYPES: [(&str, Side, Option<Tif>, PostOnly); 10] = [
    ("buy-limit", Side::Buy, Some(Tif::Gtc), PostOnly::No),
    ("sell-limit", Side::Sell, Some(Tif::Gtc), PostOnly::No),
    ("buy-ioc", Side::Buy, Some(Tif::Ioc), PostOnly::No),
    ("sell-ioc", Side::Sell, Some(Tif::Ioc), PostOnly::No),
    ("buy-limit-fok", Side::Buy, Some(Tif::Fok), PostOnly::No),
    ("sell-limit-fok", Side::Sell, Some(Tif::Fok), PostOnly::No),
    (
        "buy-limit-maker",
        Side::Buy,
        Some(Tif::Gtc),
        PostOnly::AcceptThenCancel,
    ),
    (
        "sell-limit-maker",
        Side::Sell,
        Some(Tif::Gtc),
        PostOnly::AcceptThenCancel,
    ),
    ("buy-market", Side::Buy, None, PostOnly::No),
    ("sell-market", Side::Sell, None, PostOnly::No),
];

/// What `reject:code=` picks from: its number is the place in this list.
const REJECTIONS: [(&str, &str); 6] = [
    (
        "account-frozen-balance-insufficient-error",
        "trade account balance is not enough, left: `0`",
    ),
    ("order-value-min-error", "order value is too small"),
    (
        "order-limitorder-price-max-error",
        "limit order price error",
    ),
    ("order-holding-limit-failed", "exceed the holding limit"),
    ("base-symbol-trade-disabled", "trading is disabled"),
    ("invalid-client-order-id", "invalid client order id"),
];

/// A field as text; numbers keep theirs. `None` when absent or empty.
pub fn field(arg: &Value, name: &str) -> Option<String> {
    match arg.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// Texts of a list; `None` when it is none.
fn texts(arg: &Value, name: &str) -> Option<Vec<String>> {
    let list = arg.get(name)?.as_array()?;
    let text = |item: &Value| match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    list.iter().map(text).collect()
}

fn is_client_id(id: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&id.len()) && id.bytes().all(is_fine)
}

/// Whether the account that a request names is the key's own. Errors: it is not, or none is named.
pub fn check_account(account: AccountId, arg: &Value) -> Result<(), Refused> {
    match field(arg, "account-id") {
        Some(id) if id == reply::account_id(account).to_string() => Ok(()),
        id => {
            let text = format!("account for id `{}` does not exist", id.unwrap_or_default());
            Err(Refused::new("account-get-accounts-inexistent-error", text))
        }
    }
}

impl Huobi {
    /// Counts a request against its limit.
    fn pace(&mut self, account: AccountId, pool: Pool) -> Result<(), Refused> {
        if self.limits.take(self.core.now, account, pool) {
            Ok(())
        } else {
            let text = "the request frequency is too high";
            Err(Refused::new("base-request-exceed-frequency-limit", text))
        }
    }

    fn note<T>(
        &mut self,
        op: &'static str,
        id: &str,
        result: Result<T, Refused>,
    ) -> Result<T, Refused> {
        if let Err(refused) = &result
            && !refused.is_done
        {
            let (record, now) = (&mut self.core.record, self.core.now);
            record.refused(op, id, reply::REFUSED, &refused.told(), now);
        }
        result
    }

    /// Refuses a request where a fault says so; orders in it are counted as asked for.
    pub(super) fn refused_by_fault(&mut self, args: &[Value]) -> Option<Refused> {
        self.core.faults.take(Kind::RateLimit)?;
        let refused = Refused::new(
            "base-request-exceed-frequency-limit",
            "the request frequency is too high",
        );
        for arg in args {
            let id = field(arg, "client-order-id").unwrap_or_default();
            self.core.record.request("new", Some(&id));
            let _ = self.note::<()>("new", &id, Err(refused.clone()));
        }
        Some(refused)
    }

    /// Places one order. Returns its id.
    pub(super) fn place(&mut self, account: AccountId, arg: &Value) -> Result<u64, Refused> {
        let paced = self.pace(account, limits::PLACE);
        self.place_paced(account, arg, paced)
    }

    /// Places several, each for itself.
    pub(super) fn place_many(
        &mut self,
        account: AccountId,
        args: &[Value],
    ) -> Result<Value, Refused> {
        if args.is_empty() || args.len() > BATCH_MAX {
            return Err(Refused::field("orders"));
        }
        self.core.record.request("new_batch", None);
        let paced = self.pace(account, limits::PLACE_MANY);
        let mut rows = Vec::new();
        for arg in args {
            let client_id = field(arg, "client-order-id").unwrap_or_default();
            rows.push(match self.place_paced(account, arg, paced.clone()) {
                Ok(id) => json!({"order-id": id, "client-order-id": client_id}),
                Err(refused) => json!({
                    "client-order-id": client_id, "err-code": refused.word,
                    "err-msg": refused.text,
                }),
            });
        }
        paced.map(|()| json!(rows))
    }

    fn place_paced(
        &mut self,
        account: AccountId,
        arg: &Value,
        paced: Result<(), Refused>,
    ) -> Result<u64, Refused> {
        let id = field(arg, "client-order-id").unwrap_or_default();
        self.core.record.request("new", Some(&id));
        let result = paced.and_then(|()| self.try_place(account, arg));
        self.note("new", &id, result)
    }

    fn try_place(&mut self, account: AccountId, arg: &Value) -> Result<u64, Refused> {
        let ask = self.parse_new(account, arg)?;
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            let at = fault.code.and_then(|code| usize::try_from(code).ok());
            let chosen = REJECTIONS.get(at.unwrap_or(0)).or(REJECTIONS.first());
            let (word, text) = chosen.copied().unwrap_or(("system-error", "rejected"));
            return Err(Refused::new(word, text));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            return Err(Refused {
                is_done: fault.is_executed,
                number: 500,
                ..Refused::new(
                    "gateway-internal-error",
                    "System is busy, please try again later",
                )
            });
        }
        let spec = self.core.engine.spec(ask.inst);
        let asset = match ask.side {
            Side::Buy => spec.quote_asset,
            Side::Sell => spec.base_asset,
        };
        let left = self.core.engine.ledger().balance(account, asset).free;
        let placed = self.core.engine.place(self.core.now, ask);
        let id = placed.map_err(|refusal| reply::engine_refused(refusal, left))?;
        self.absorb();
        Ok(id)
    }

    fn parse_new(&self, account: AccountId, arg: &Value) -> Result<NewOrder, Refused> {
        check_account(account, arg)?;
        let inst = field(arg, "symbol")
            .and_then(|name| self.inst_of(&name))
            .ok_or_else(|| Refused::new("base-symbol-error", "The symbol is invalid"))?;
        let kind = field(arg, "type").ok_or_else(|| Refused::field("type"))?;
        let &(type_name, side, tif, post_only) = TYPES
            .iter()
            .find(|(known, ..)| *known == kind)
            .ok_or_else(|| Refused::new("order-type-invalid", "Order type is invalid"))?;
        let source = field(arg, "source").unwrap_or_else(|| "spot-api".into());
        if source != "spot-api" {
            return Err(Refused::new(
                "order-source-invalid",
                "Order source is invalid",
            ));
        }
        let client_id = match field(arg, "client-order-id") {
            Some(id) if !is_client_id(&id) => {
                return Err(Refused::new(
                    "invalid-client-order-id",
                    "invalid client order id",
                ));
            }
            id => Arc::from(id.unwrap_or_default()),
        };
        let spec = self.core.engine.spec(inst);
        let price = match tif {
            Some(_) => Some(self.parse_price(inst, side, arg)?),
            None => None,
        };
        let amount = field(arg, "amount").ok_or_else(|| Refused::field("amount"))?;
        let size = match (price, side) {
            (None, Side::Buy) => Size::Quote(parse_budget(spec, &amount)?),
            _ => Size::Base(parse_qty(spec, price, &amount)?),
        };
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif: tif.unwrap_or(Tif::Ioc),
            post_only,
            client_id,
            type_name,
            echo: Arc::from(source),
        })
    }

    fn parse_price(&self, inst: usize, side: Side, arg: &Value) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let invalid = || Refused::new("order-invalid-price", "the order price is invalid");
        let price = field(arg, "price").ok_or_else(invalid)?;
        let price = text::increments(&price, spec.price_decimals)
            .ok_or_else(invalid)?
            .filter(|price| price % spec.tick == 0)
            .ok_or_else(|| {
                let text = format!(
                    "order price precision error, scale: `{}`",
                    spec.price_decimals
                );
                Refused::new("order-orderprice-precision-error", text)
            })?;
        if price <= 0 {
            return Err(invalid());
        }
        let last = i128::from(self.core.engine.day(inst).last);
        let hundredfold = i128::from(price) * 100;
        match side {
            Side::Buy if hundredfold > last * i128::from(BAND[0]) => {
                let text = "Buy price cannot be higher than 110% of the market price";
                Err(Refused::new("order-limitorder-price-max-error", text))
            }
            Side::Sell if hundredfold < last * i128::from(BAND[1]) => {
                let text = "Sell price cannot be lower than 90% of the market price";
                Err(Refused::new("order-limitorder-price-min-error", text))
            }
            _ => Ok(price),
        }
    }

    /// An account's order by the venue's id.
    pub(super) fn by_id(&self, account: AccountId, id: &str) -> Option<&Order> {
        let order = self.core.engine.order(id.parse().ok()?)?;
        (order.ask.account == account).then_some(order)
    }

    /// An account's newest order under a client id, as long as the venue finds it by that.
    pub(super) fn by_client_id(&self, account: AccountId, id: &str) -> Option<&Order> {
        let order = self.core.engine.by_client_id(account, id)?;
        let [open, done] = CLIENT_ID_NS;
        let lasts = if order.state.is_open() { open } else { done };
        let age = self.core.now.saturating_sub(order.created_ns);
        (age < lasts).then_some(order)
    }

    /// Cancels one order by the venue's id. Returns its id: the end itself is told on the private stream.
    pub(super) fn cancel(&mut self, account: AccountId, id: &str) -> Result<u64, Refused> {
        self.core.record.request("cancel", None);
        let result = self
            .pace(account, limits::CANCEL)
            .and_then(|()| self.try_cancel(self.by_id(account, id).cloned(), Cause::User));
        self.note("cancel", id, result)
    }

    /// Cancels one order by its client id. Returns the number of how it stands.
    pub(super) fn cancel_client(
        &mut self,
        account: AccountId,
        arg: &Value,
    ) -> Result<i64, Refused> {
        /// Cancelling, as the accepted request leaves it. Unverified: the page has the list of numbers only.
        const CANCELLING: i64 = 10;
        self.core.record.request("cancel", None);
        let result = self.pace(account, limits::CANCEL);
        self.note("cancel", "", result)?;
        let id = field(arg, "client-order-id").ok_or_else(|| Refused::field("client-order-id"))?;
        let order = self.by_client_id(account, &id).cloned();
        Ok(match &order {
            Some(order) if order.state.is_open() => {
                let _ = self.try_cancel(Some(order.clone()), Cause::User);
                CANCELLING
            }
            Some(order) => reply::state_number(order.state, order.cum),
            // Known once: closed long ago.
            None if self.core.engine.by_client_id(account, &id).is_some() => -1,
            None => 0,
        })
    }

    fn try_cancel(&mut self, order: Option<Order>, cause: Cause) -> Result<u64, Refused> {
        let order = order.ok_or_else(Refused::unknown_order)?;
        self.core
            .engine
            .cancel(self.core.now, order.id, cause)
            .map_err(|_| Refused::order_state(order.state, order.cum))?;
        self.absorb();
        Ok(order.id)
    }

    /// Cancels the orders a request names by either id: which were taken and which were not.
    pub(super) fn cancel_many(
        &mut self,
        account: AccountId,
        arg: &Value,
    ) -> Result<Value, Refused> {
        self.core.record.request("cancel", None);
        let (ids, is_client) = match (texts(arg, "order-ids"), texts(arg, "client-order-ids")) {
            (Some(ids), _) => (ids, false),
            (None, Some(ids)) => (ids, true),
            (None, None) => return Err(Refused::field("order-ids")),
        };
        if ids.is_empty() || ids.len() > CANCELS_MAX {
            return Err(Refused::field("order-ids"));
        }
        let pool = if ids.len() == 1 {
            limits::CANCEL
        } else {
            limits::CANCEL_MANY
        };
        let paced = self.pace(account, pool);
        self.note("cancel", "", paced)?;
        let (mut success, mut failed) = (Vec::new(), Vec::new());
        for id in ids {
            let order = if is_client {
                self.by_client_id(account, &id)
            } else {
                self.by_id(account, &id)
            };
            let order = order.cloned();
            let result = self.try_cancel(order.clone(), Cause::User);
            match self.note("cancel", &id, result) {
                Ok(_) => success.push(json!(id)),
                Err(refused) => failed.push(failed_row(&id, is_client, order.as_ref(), &refused)),
            }
        }
        Ok(json!({"success": success, "failed": failed}))
    }

    /// Cancels open orders by symbol, type and side, a hundred at most.
    pub(super) fn cancel_open(
        &mut self,
        account: AccountId,
        arg: &Value,
    ) -> Result<Value, Refused> {
        self.core.record.request("cancel_all", None);
        let paced = self.pace(account, limits::CANCEL_ALL);
        self.note("cancel_all", "", paced)?;
        if field(arg, "account-id").is_some() {
            check_account(account, arg)?;
        }
        let symbols =
            match field(arg, "symbol") {
                None => None,
                Some(names) => {
                    let found: Option<Vec<usize>> =
                        names.split(',').map(|name| self.inst_of(name)).collect();
                    Some(found.ok_or_else(|| {
                        Refused::new("base-symbol-error", "The symbol is invalid")
                    })?)
                }
            };
        let types = field(arg, "types");
        let side = field(arg, "side");
        let size = field(arg, "size").and_then(|text| text.parse().ok());
        let size = size.unwrap_or(CANCEL_OPEN_MAX).min(CANCEL_OPEN_MAX);
        let fits = |order: &&Order| {
            let ask = &order.ask;
            symbols
                .as_ref()
                .is_none_or(|known| known.contains(&ask.inst))
                && side
                    .as_deref()
                    .is_none_or(|word| word == reply::side(ask.side))
                && types
                    .as_deref()
                    .is_none_or(|words| words.split(',').any(|word| word == ask.type_name))
        };
        let open = self.core.engine.open_orders(account).filter(fits);
        let mut ids: Vec<u64> = open.map(|order| order.id).collect();
        let next = ids.get(size).map_or(json!(-1), |id| json!(id));
        ids.truncate(size);
        for id in &ids {
            let _ = self
                .core
                .engine
                .cancel(self.core.now, *id, Cause::CancelAll);
        }
        self.absorb();
        Ok(json!({"success-count": ids.len(), "failed-count": 0, "next-id": next}))
    }

    /// Sets or clears the dead man's switch: once, and in seconds (unverified, as is the shape of the times).
    pub(super) fn cancel_all_after(
        &mut self,
        account: AccountId,
        arg: &Value,
    ) -> Result<Value, Refused> {
        self.core.record.request("cancel_all_after", None);
        let seconds = field(arg, "timeout")
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|seconds| *seconds == 0 || (DEAD_MAN_MIN_S..=86_400).contains(seconds))
            .ok_or_else(|| Refused::field("timeout"))?;
        let now_s = self.core.venue_ms() / 1_000;
        let trigger_s = if seconds == 0 {
            self.dead_man.remove(&account);
            0
        } else {
            let at = self.core.now + seconds * 1_000_000_000;
            self.dead_man.insert(account, at);
            now_s + seconds as i64
        };
        Ok(json!([{
            "currentTime": now_s.to_string(), "triggerTime": trigger_s.to_string(),
        }]))
    }

    /// Cancels what is open of accounts whose switch fell due, five hundred orders at most.
    pub(super) fn run_dead_man(&mut self) {
        let now = self.core.now;
        let due = self.dead_man.iter().filter(|(_, at)| **at <= now);
        let due: Vec<AccountId> = due.map(|(account, _)| *account).collect();
        for account in due {
            self.dead_man.remove(&account);
            let open = self.core.engine.open_orders(account).take(DEAD_MAN_MAX);
            let ids: Vec<u64> = open.map(|order| order.id).collect();
            for id in ids {
                let _ = self.core.engine.cancel(now, id, Cause::DeadMan);
            }
            self.absorb();
        }
    }
}

fn failed_row(id: &str, is_client: bool, order: Option<&Order>, refused: &Refused) -> Value {
    let (order_id, client_id) = match (order, is_client) {
        (Some(order), _) => (order.id.to_string(), order.ask.client_id.to_string()),
        (None, true) => (String::new(), id.to_owned()),
        (None, false) => (id.to_owned(), String::new()),
    };
    json!({
        "err-msg": refused.text, "order-state": refused.order_state.unwrap_or(-1),
        "order-id": order_id, "err-code": refused.word, "client-order-id": client_id,
    })
}

/// What a market buy may spend.
fn parse_budget(spec: &Spec, amount: &str) -> Result<i128, Refused> {
    let budget = text::parse_amount(amount)
        .filter(|budget| *budget > 0)
        .ok_or_else(|| Refused::new("order-orderamount-precision-error", "order amount error"))?;
    if budget < spec.notional_min {
        return Err(too_small());
    }
    if budget > i128::from(BUDGET_MAX) * crate::engine::UNIT {
        let text = "market order buy amount is too large";
        return Err(Refused::new("order-marketorder-amount-buy-max-error", text));
    }
    Ok(budget)
}

fn parse_qty(spec: &Spec, price: Option<i64>, amount: &str) -> Result<i64, Refused> {
    let qty = text::increments(amount, spec.qty_decimals)
        .ok_or_else(|| Refused::new("invalid-amount", "the order amount is invalid"))?
        .filter(|qty| qty % spec.lot == 0)
        .ok_or_else(|| {
            let text = format!(
                "order amount precision error, scale: `{}`",
                spec.qty_decimals
            );
            Refused::new("order-orderamount-precision-error", text)
        })?;
    let (least, most) = match price {
        Some(_) => (
            "order-limitorder-amount-min-error",
            "order-limitorder-amount-max-error",
        ),
        None => (
            "order-marketorder-amount-min-error",
            "order-marketorder-amount-sell-max-error",
        ),
    };
    if qty < spec.qty_min {
        let text = format!("order amount min: `{}`", text::qty(spec, spec.qty_min));
        return Err(Refused::new(least, text));
    }
    if qty > spec.qty_max {
        let text = format!("order amount max: `{}`", text::qty(spec, spec.qty_max));
        return Err(Refused::new(most, text));
    }
    let value = price.and_then(|price| spec.notional(price, qty));
    if value.is_some_and(|value| value < spec.notional_min) {
        return Err(too_small());
    }
    Ok(qty)
}

fn too_small() -> Refused {
    Refused::new(
        "order-value-min-error",
        "Order total cannot be lower than 5",
    )
}

/// Whether an order is in the lists of those with any of these states.
pub fn has_state(order: &Order, states: &str) -> bool {
    let is_open = matches!(order.state, State::Live | State::Partial);
    let own = reply::state(order);
    let mut words = states.split(',');
    words.any(|word| word == own || (word == "created" && is_open && own == "submitted"))
}
