//! Order requests of the legacy REST interface read, and their statuses written.

use super::ops::{Amend, Item, Job, Name, Op};
use super::reply::{Refused, Row, Why, list, order_id};
use super::rest::Fields;
use super::time::rfc3339;
use super::{KrakenFutures, legacy, venue_ns};
use crate::core::Response;
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Side, Size, State, Tif};
use serde_json::Value;
use std::sync::Arc;

/// Longest client id of the legacy interface.
const CLIENT_ID_MAX: usize = 100;
/// Whether `orderType=fok` is taken. [U]
const TAKES_FOK: bool = true;
/// An object of a batch, its values as text.
fn object_fields(value: &Value) -> Fields {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| match value {
            Value::String(text) => (key.clone(), text.clone()),
            other => (key.clone(), other.to_string()),
        })
        .collect()
}

/// A missing argument.
pub fn missing(name: &str) -> Refused {
    Refused::of(Why::Missing, name)
}

/// The order a request names.
fn name_of(fields: &Fields) -> Option<Name> {
    let venue = ["order_id", "orderId"]
        .into_iter()
        .find_map(|key| fields.get(key));
    let client = ["cliOrdId", "cli_ord_id"]
        .into_iter()
        .find_map(|key| fields.get(key));
    match (venue, client) {
        (Some(id), _) => Some(Name::Venue(id.clone())),
        (None, Some(id)) => Some(Name::Client(id.clone())),
        (None, None) => None,
    }
}

impl KrakenFutures {
    /// One part of a batch.
    pub(super) fn read_part(&self, account: AccountId, fields: &Fields) -> Item {
        let mut item = match fields.get("order").map(String::as_str) {
            Some("send") => self.read_send(account, fields),
            Some("edit") => self.read_edit(account, fields),
            Some("cancel") => read_cancel(fields),
            _ => Item::new(Op::Place, None, Err(missing("order"))),
        };
        item.tag = fields.get("order_tag").cloned().unwrap_or_default();
        item
    }

    /// A new order.
    pub(super) fn read_send(&self, account: AccountId, fields: &Fields) -> Item {
        let name = fields.get("cliOrdId").map(|id| Name::Client(id.clone()));
        Item::new(
            Op::Place,
            name,
            self.try_send(account, fields).map(Job::Place),
        )
    }

    fn try_send(&self, account: AccountId, fields: &Fields) -> Result<NewOrder, Refused> {
        let field = |name: &str| {
            fields
                .get(name)
                .map(String::as_str)
                .ok_or_else(|| missing(name))
        };
        let (tif, is_post_only, is_market) = match field("orderType")? {
            "lmt" => (Tif::Gtc, false, false),
            "post" => (Tif::Gtc, true, false),
            "ioc" => (Tif::Ioc, false, false),
            "fok" if TAKES_FOK => (Tif::Fok, false, false),
            "mkt" => (Tif::Ioc, false, true),
            _ => return Err(Why::OrderType.into()),
        };
        let symbol = field("symbol")?;
        let inst = self.inst_of(&symbol.to_ascii_uppercase());
        let inst = inst.ok_or_else(|| Refused::of(Why::Symbol, symbol))?;
        let side = match field("side")? {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            _ => return Err(Refused::of(Why::Argument, "side")),
        };
        let size = Size::Base(self.parse_qty(inst, field("size")?)?);
        let price = if is_market {
            None
        } else {
            Some(self.parse_price(inst, field("limitPrice")?)?)
        };
        let client_id = fields.get("cliOrdId").map_or("", String::as_str);
        if client_id.len() > CLIENT_ID_MAX {
            return Err(Why::ClientId.into());
        }
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif,
            post_only: if is_post_only {
                PostOnly::Refuse
            } else {
                PostOnly::No
            },
            client_id: Arc::from(client_id),
            type_name: if is_market { "market" } else { "limit" },
            echo: Arc::from(""),
        })
    }

    /// An edit.
    pub(super) fn read_edit(&self, account: AccountId, fields: &Fields) -> Item {
        let name = name_of(fields);
        let job = match &name {
            Some(name) => self.try_edit(account, name, fields),
            None => Err(missing("orderId")),
        };
        Item::new(Op::Amend, name, job.map(Job::Amend))
    }

    fn try_edit(&self, account: AccountId, name: &Name, fields: &Fields) -> Result<Amend, Refused> {
        let order = self
            .find(account, name)
            .filter(|order| order.state.is_open());
        let order = order.ok_or(Why::Unknown)?;
        let inst = order.ask.inst;
        let price = fields
            .get("limitPrice")
            .map(|text| self.parse_price(inst, text));
        let qty = fields.get("size").map(|text| self.parse_qty(inst, text));
        Ok(Amend {
            id: order.id,
            price: price.transpose()?,
            qty: qty.transpose()?,
            is_post_only: order.ask.post_only != PostOnly::No,
        })
    }

    /// The answer to one order request.
    pub(super) fn legacy_status(&self, key: &str, items: &[Item]) -> Response {
        let Some(item) = items.first() else {
            return Response::json(200, legacy::error(&self.core, &Why::Argument.into()));
        };
        let body = match item.result() {
            Err(refused) if refused.is_of_request() => legacy::error(&self.core, &refused),
            _ => legacy::success(
                &self.core,
                key,
                &self.status_row(Row::new(), item, "receivedTime").end(),
            ),
        };
        Response::json(200, body)
    }

    /// The answer to a batch.
    pub(super) fn legacy_batch(&self, items: &[Item]) -> Response {
        let rows = items.iter().map(|item| {
            let row = Row::new().text_if("order_tag", &item.tag);
            self.status_row(row, item, "dateTimeReceived").end()
        });
        let rows = list(&rows.collect::<Vec<_>>());
        Response::json(200, legacy::success(&self.core, "batchStatus", &rows))
    }

    fn status_row(&self, row: Row, item: &Item, time: &str) -> Row {
        let now = rfc3339(venue_ns(&self.core), 3);
        let client_id = |order: Option<&Order>| match (order, &item.name) {
            (Some(order), _) => order.ask.client_id.to_string(),
            (None, Some(Name::Client(id))) => id.clone(),
            _ => String::new(),
        };
        let done = match item.result() {
            Ok(done) => done,
            Err(refused) => {
                let status = match (item.op, refused.why) {
                    (Op::Amend, Why::Unknown) => "orderForEditNotFound",
                    (Op::Cancel, Why::Unknown) if refused.detail == "filled" => "filled",
                    _ => refused.legacy(),
                };
                let row = row.text("status", status).text(time, &now);
                return row.text_if("cliOrdId", &client_id(None));
            }
        };
        let order = done.order.as_ref();
        let is_untouched = order.is_some_and(|order| order.cum == 0);
        let ended = order.map(|order| order.state);
        let status = match (item.op, ended) {
            (Op::Place, Some(State::Canceled(Cause::Ioc | Cause::Fok))) if is_untouched => {
                "iocWouldNotExecute"
            }
            (Op::Place, Some(State::Canceled(Cause::SelfTrade))) if is_untouched => "selfFill",
            (Op::Place, _) => "placed",
            (Op::Amend, _) => "edited",
            (Op::Cancel, _) => "cancelled",
        };
        let id = order.map_or(String::new(), |order| order_id(order.id));
        let key = if item.op == Op::Amend {
            "orderId"
        } else {
            "order_id"
        };
        let events = done.events.iter().map(|(order, what)| {
            let inst = order.ask.inst;
            legacy::order_event(
                self.core.engine.spec(inst),
                &self.symbols[inst],
                order,
                *what,
            )
        });
        row.text_if(key, &id)
            .text("status", status)
            .text(time, &now)
            .text_if("cliOrdId", &client_id(order))
            .raw("orderEvents", list(&events.collect::<Vec<_>>()))
    }
}

/// The parts of `json={"batchOrder":[…]}`.
pub fn batch(fields: &Fields) -> Vec<Fields> {
    let json = fields.get("json").map_or("", String::as_str);
    let json: Value = serde_json::from_str(json).unwrap_or(Value::Null);
    let parts = json.get("batchOrder").and_then(Value::as_array);
    parts.into_iter().flatten().map(object_fields).collect()
}

/// A cancel.
pub fn read_cancel(fields: &Fields) -> Item {
    let name = name_of(fields);
    let job = name
        .clone()
        .map(Job::Cancel)
        .ok_or_else(|| missing("order_id"));
    Item::new(Op::Cancel, name, job)
}
