//! Order methods of the WebSocket.
//!
//! A batch of new orders is looked at as a whole: one that is wrong in itself refuses all. What only the engine finds is
//! that order's own.

use super::Kraken;
use super::ops::{Added, Arg, Named, Take};
use super::reply::{self, Refused};
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::{AccountId, Cause, Order};
use crate::fault::Kind;
use serde_json::{Map, Value, json};

/// Orders one cancel may name.
const CANCELS_MAX: usize = 50;
/// Orders of a batch of new ones.
pub const BATCH: std::ops::RangeInclusive<usize> = 2..=15;

impl Kraken {
    /// Carries out an order method and answers it.
    pub(super) fn order_method(
        &mut self,
        id: ConnId,
        message: &Value,
        method: &str,
        params: &Value,
    ) {
        let arg = Arg::message(params);
        let op = match method {
            "add_order" | "batch_add" => "new",
            "amend_order" => "amend",
            "cancel_order" | "batch_cancel" => "cancel",
            "cancel_all" => "cancel_all",
            _ => "cancel_all_after",
        };
        let client_id = params.get("cl_ord_id").and_then(Value::as_str);
        let client_id = client_id.unwrap_or("").to_owned();
        if method == "batch_add" {
            self.core.record.request("new_batch", None);
        }
        let mut refused = None;
        if self.core.faults.take(Kind::RateLimit).is_some() {
            refused = Some(Refused::new("EOrder:Rate limit exceeded"));
        }
        let account = match (refused, self.who(id, params)) {
            (None, Ok(account)) => account,
            (Some(refused), _) | (None, Err(refused)) => {
                let names = match method {
                    "batch_add" => client_ids(listed(params)),
                    _ => vec![client_id],
                };
                for name in &names {
                    let name_of_new = (op == "new").then_some(name.as_str());
                    self.core.record.request(op, name_of_new);
                    self.note(op, name, &refused);
                }
                return self.answer(id, message, Err(refused));
            }
        };
        let result = match method {
            "add_order" => {
                self.core.record.request("new", Some(&client_id));
                let added = self.add_order(account, arg, Take::Alone);
                self.told_new(account, &client_id, added)
                    .map(|added| added_row(&added, &client_id))
            }
            "amend_order" => {
                self.core.record.request("amend", None);
                self.amend_order(account, arg)
                    .map(|(named, amend_id)| match named {
                        Named::Id(id) => json!({"amend_id": amend_id, "order_id": id}),
                        Named::Client(id) => json!({"amend_id": amend_id, "cl_ord_id": id}),
                    })
            }
            "cancel_order" => return self.cancel_method(id, message, account, params),
            "cancel_all" => {
                self.core.record.request("cancel_all", None);
                Ok(json!({"count": self.cancel_all(account, Cause::CancelAll)}))
            }
            "batch_add" => self.batch_add(account, arg, params),
            "batch_cancel" => return self.batch_cancel(id, message, account, params),
            _ => {
                self.core.record.request("cancel_all_after", None);
                self.cancel_all_after(account, arg)
            }
        };
        if let (Err(refused), true) = (&result, op != "new") {
            self.note(op, &client_id, &refused.clone());
        }
        self.answer(id, message, result);
    }

    /// Notes the refusal of a new order, unless it is there all the same.
    pub(super) fn told_new<T>(
        &mut self,
        account: AccountId,
        client_id: &str,
        result: Result<T, Refused>,
    ) -> Result<T, Refused> {
        if let Err(refused) = &result {
            let is_there = self.core.engine.by_client_id(account, client_id).is_some();
            if refused.text != "EService:Timeout" || !is_there {
                self.note("new", client_id, &refused.clone());
            }
        }
        result
    }

    /// Answers an order request, with the private messages it caused.
    fn answer(&mut self, id: ConnId, message: &Value, result: Result<Value, Refused>) {
        let text = self.response(message, result, None);
        let private = std::mem::take(&mut self.private);
        let response = Response::json(200, text);
        self.core.answer(ReplyTo::Ws(id), response, private);
    }

    /// One answer for each order.
    fn cancel_method(&mut self, id: ConnId, message: &Value, account: AccountId, params: &Value) {
        let names = cancelled(params);
        if names.is_empty() || names.len() > CANCELS_MAX {
            return self.answer(id, message, Err(Refused::argument("order_id")));
        }
        for named in names {
            let result = self.cancel_one(account, &named);
            let result = result.map(|order| match named {
                Named::Id(id) => json!({"order_id": id}),
                Named::Client(id) => {
                    json!({"cl_ord_id": id, "order_id": reply::order_id(order.id)})
                }
            });
            self.answer(id, message, result);
        }
    }

    /// Cancels one order and keeps the record.
    pub(super) fn cancel_one(
        &mut self,
        account: AccountId,
        named: &Named,
    ) -> Result<Order, Refused> {
        self.core.record.request("cancel", None);
        let result = self.cancel_order(account, named);
        if let Err(refused) = &result {
            let (Named::Id(name) | Named::Client(name)) = named;
            self.note("cancel", name, &refused.clone());
        }
        result
    }

    fn batch_cancel(&mut self, id: ConnId, message: &Value, account: AccountId, params: &Value) {
        let names = cancelled(params);
        if !(2..=CANCELS_MAX).contains(&names.len()) {
            return self.answer(id, message, Err(Refused::argument("orders")));
        }
        let done = names
            .iter()
            .filter(|named| self.cancel_one(account, named).is_ok());
        // The count stands beside the verdict, as recorded.
        let beside = ("orders_cancelled", json!(done.count()));
        let text = self.response(message, Ok(Value::Null), Some(beside));
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Ws(id), Response::json(200, text), private);
    }

    /// Several new orders of one pair.
    fn batch_add(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
        params: &Value,
    ) -> Result<Value, Refused> {
        let rows = self.add_orders(account, arg, listed(params), "symbol")?;
        let rows = rows.into_iter().map(|(client_id, added)| match added {
            Ok(added) => added_row(&added, &client_id),
            Err(refused) => {
                json!({"cl_ord_id": client_id, "error": refused.text, "success": false})
            }
        });
        Ok(rows.collect())
    }

    /// Places the orders of a batch. Errors: one of them is wrong, or they are too many now; none was placed.
    pub(super) fn add_orders(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
        orders: &[Value],
        pair: &str,
    ) -> Result<Vec<(String, Result<Added, Refused>)>, Refused> {
        let names = client_ids(orders);
        for name in &names {
            self.core.record.request("new", Some(name));
        }
        let whole = self.look_at(account, arg, orders, pair);
        if let Err(refused) = &whole {
            for name in &names {
                self.note("new", name, refused);
            }
        }
        let mut rows = Vec::new();
        for (order, client_id) in whole?.iter().zip(names) {
            let added = self.add_order(account, arg.of(order), Take::OfBatch);
            let added = self.told_new(account, &client_id, added);
            rows.push((client_id, added));
        }
        Ok(rows)
    }

    /// Counts a batch and looks at all of it; its orders with what they share. Errors: one of them is wrong, or the pair's
    /// counter is full.
    fn look_at(
        &mut self,
        account: AccountId,
        arg: Arg<'_>,
        orders: &[Value],
        pair: &str,
    ) -> Result<Vec<Value>, Refused> {
        if !BATCH.contains(&orders.len()) {
            return Err(Refused::argument("orders"));
        }
        self.pace_batch(account, arg, orders.len())?;
        let shared = [pair, "deadline", "validate"].map(|name| (name, arg.raw(name)));
        let mut whole = Vec::new();
        for order in orders {
            let mut order = order.clone();
            let Some(fields) = order.as_object_mut() else {
                return Err(Refused::argument("orders"));
            };
            for (name, value) in &shared {
                if let Some(value) = value {
                    fields.insert((*name).to_owned(), (*value).clone());
                }
            }
            self.add_order(account, arg.of(&order), Take::Look)?;
            whole.push(order);
        }
        Ok(whole)
    }
}

/// The orders a batch lists.
fn listed(params: &Value) -> &[Value] {
    let orders = params.get("orders").and_then(Value::as_array);
    orders.map_or(&[], Vec::as_slice)
}

/// What a client calls them.
fn client_ids(orders: &[Value]) -> Vec<String> {
    let name = |order: &Value| {
        order
            .get("cl_ord_id")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    orders
        .iter()
        .map(|order| name(order).unwrap_or_default())
        .collect()
}

/// The result of a new order; of one that was only checked, its name.
fn added_row(added: &Added, client_id: &str) -> Value {
    let mut row = Map::new();
    if !client_id.is_empty() {
        row.insert("cl_ord_id".into(), json!(client_id));
    }
    if let Added::Placed(order) = added {
        row.insert("order_id".into(), json!(reply::order_id(order.id)));
        if !order.ask.echo.is_empty() {
            row.insert("order_userref".into(), reply::number(&order.ask.echo));
        }
    }
    Value::Object(row)
}

/// The orders a cancel names.
fn cancelled(params: &Value) -> Vec<Named> {
    let list = |name: &str| {
        let list = params.get(name).and_then(Value::as_array);
        let names = list.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect::<Vec<String>>()
    };
    let ids = list("order_id")
        .into_iter()
        .chain(list("orders"))
        .map(Named::Id);
    let clients = list("cl_ord_id").into_iter().map(Named::Client);
    ids.chain(clients).collect()
}
