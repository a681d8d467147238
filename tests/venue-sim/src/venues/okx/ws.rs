//! WebSocket: text ping, subscriptions, login, order operations.

use super::auth;
use super::ops::{Call, Op};
use super::reply::{self, Refused};
use super::{Okx, uid};
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::AccountId;
use crate::fault::Kind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Public channels served.
const PUBLIC: [&str; 6] = [
    "books",
    "books5",
    "bbo-tbt",
    "trades",
    "tickers",
    "instruments",
];
/// Private channels served.
const PRIVATE: [&str; 5] = [
    "orders",
    "account",
    "fills",
    "positions",
    "balance_and_position",
];
/// Subscribe, unsubscribe and login operations of a connection in an hour.
const OPS_PER_HOUR: u32 = 480;

#[derive(Debug, Clone, PartialEq)]
struct Sub {
    channel: String,
    inst: Option<usize>,
    arg: Value,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    is_private: bool,
    account: Option<AccountId>,
    subs: Vec<Sub>,
    received_ns: u64,
    close_ns: Option<u64>,
    hour: (u64, u32),
}

impl Conn {
    /// A fresh connection.
    pub fn new(is_private: bool, now: u64) -> Self {
        Self {
            is_private,
            account: None,
            subs: Vec::new(),
            received_ns: now,
            close_ns: None,
            hour: (0, 0),
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether it has to go: nothing came or went for `idle_ns`, or a restart is due.
    pub fn is_over(&self, now: u64, sent_ns: u64, idle_ns: u64) -> bool {
        now.saturating_sub(self.received_ns.max(sent_ns)) >= idle_ns
            || self.close_ns.is_some_and(|at| now >= at)
    }

    /// Counts an operation; whether it is one too many.
    fn is_too_busy(&mut self, now: u64) -> bool {
        let hour = now / 3_600_000_000_000;
        if self.hour.0 != hour {
            self.hour = (hour, 0);
        }
        self.hour.1 += 1;
        self.hour.1 > OPS_PER_HOUR
    }
}

/// Subscribers of a public channel.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, channel: &str, inst: usize) -> Vec<ConnId> {
    conns
        .iter()
        .filter(|(_, conn)| {
            conn.subs
                .iter()
                .any(|sub| sub.inst == Some(inst) && sub.channel == channel)
        })
        .map(|(id, _)| *id)
        .collect()
}

/// An account's subscriptions to a private channel that an instrument fits, with the push's `arg`.
pub fn private_subs(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
    channel: &str,
    inst_id: &str,
) -> Vec<(ConnId, Value)> {
    let mut found = Vec::new();
    for (id, conn) in conns
        .iter()
        .filter(|(_, conn)| conn.account == Some(account))
    {
        for sub in conn.subs.iter().filter(|sub| sub.channel == channel) {
            let wants = |name: &str| sub.arg.get(name).and_then(Value::as_str);
            let fits = wants("instId").is_none_or(|wanted| wanted == inst_id)
                && wants("instType")
                    .is_none_or(|kind| kind == "ANY" || kind == reply::inst_type(inst_id));
            if fits {
                let mut arg = sub.arg.clone();
                arg["uid"] = json!(uid(account));
                found.push((*id, arg));
            }
        }
    }
    found
}

/// A push of the `account` channel.
pub fn account_push(arg: &Value, event: &str, balances: &Value) -> String {
    json!({
        "arg": arg, "eventType": event, "curPage": 1, "lastPage": true, "data": [balances],
    })
    .to_string()
}

/// The name of a connection in the venue's words.
fn conn_id(conn: ConnId) -> String {
    format!("{:08x}", conn.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

/// The notice before a restart.
pub fn notice(conn: ConnId) -> String {
    json!({
        "event": "notice", "code": "64008",
        "msg": "The connection will soon be closed for a service upgrade. Please reconnect.",
        "connId": conn_id(conn),
    })
    .to_string()
}

impl Okx {
    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.received_ns = now;
        if text == "ping" {
            self.core.send(id, "pong");
            return;
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            self.error(id, &Value::Null, &Refused::new(60012, "Invalid request"));
            return;
        };
        let op = message.get("op").and_then(Value::as_str).unwrap_or("");
        let empty = Vec::new();
        let args = message
            .get("args")
            .and_then(Value::as_array)
            .unwrap_or(&empty);
        if matches!(op, "subscribe" | "unsubscribe" | "login") && conn.is_too_busy(now) {
            self.error(id, &message, &Refused::new(60014, "Requests too frequent."));
            return;
        }
        match op {
            "subscribe" => {
                for arg in args {
                    self.subscribe(id, &message, arg);
                }
            }
            "unsubscribe" => {
                for arg in args {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.subs.retain(|sub| sub.arg != *arg);
                    }
                    self.event(id, &message, "unsubscribe", arg);
                }
            }
            "login" => self.login(id, &message, args),
            "order" | "batch-orders" => self.order_op(id, &message, Op::Place, op),
            "cancel-order" | "batch-cancel-orders" => {
                self.order_op(id, &message, Op::Cancel, op);
            }
            "amend-order" | "batch-amend-orders" => self.order_op(id, &message, Op::Amend, op),
            _ => self.error(
                id,
                &message,
                &Refused::new(60012, format!("Invalid request: {text}")),
            ),
        }
    }

    fn login(&mut self, id: ConnId, message: &Value, args: &[Value]) {
        let arg = args.first().unwrap_or(&Value::Null);
        let is_private = self.conns.get(&id).is_some_and(|conn| conn.is_private);
        let result = if is_private {
            auth::login(&self.core, arg)
        } else {
            Err(Refused::new(60018, "Wrong URL: log in on the private one."))
        };
        match result {
            Ok(account) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.account = Some(account);
                }
                let answer = json!({
                    "event": "login", "code": "0", "msg": "", "connId": conn_id(id),
                });
                self.core.send(id, answer.to_string());
            }
            Err(refused) => {
                let now = self.core.now;
                self.core
                    .record
                    .refused("login", "", refused.code, &refused.text, now);
                self.error(id, message, &refused);
            }
        }
    }

    fn subscribe(&mut self, id: ConnId, message: &Value, arg: &Value) {
        let channel = arg.get("channel").and_then(Value::as_str).unwrap_or("");
        let name = arg.get("instId").and_then(Value::as_str).unwrap_or("");
        let inst = self.inst_of(name);
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let is_public = PUBLIC.contains(&channel) && (inst.is_some() || channel == "instruments");
        let is_served = if conn.is_private {
            PRIVATE.contains(&channel)
        } else {
            is_public
        };
        if !is_served {
            let text = format!("Wrong URL or channel:{channel},instId:{name} doesn't exist.");
            self.error(id, message, &Refused::new(60018, text));
            return;
        }
        if conn.is_private && conn.account.is_none() {
            self.error(id, message, &Refused::new(60011, "Please log in."));
            return;
        }
        let account = conn.account;
        // What is pending goes to those who were there before; then this one starts.
        let sub = Sub {
            channel: channel.to_owned(),
            inst,
            arg: arg.clone(),
        };
        let is_new = conn.subs.iter().all(|known| *known != sub);
        self.event(id, message, "subscribe", arg);
        match (account, inst) {
            (Some(account), _) => self.private_snapshot(id, account, channel, arg),
            (None, Some(inst)) => {
                let conns = &self.conns;
                let listeners = |channel: &str, inst: usize| listeners(conns, channel, inst);
                self.feeds[inst].subscribed(&mut self.core, channel, id, &listeners);
            }
            (None, None) => {}
        }
        if let Some(conn) = self.conns.get_mut(&id).filter(|_| is_new) {
            conn.subs.push(sub);
        }
    }

    fn private_snapshot(&mut self, id: ConnId, account: AccountId, channel: &str, arg: &Value) {
        let mut arg = arg.clone();
        arg["uid"] = json!(uid(account));
        if channel == "account" {
            let balances = reply::balances(&self.core, account, None);
            self.core
                .send(id, account_push(&arg, "snapshot", &balances));
        } else if channel == "positions" {
            let text = json!({
                "arg": arg, "eventType": "snapshot", "curPage": 1, "lastPage": true, "data": [],
            });
            self.core.send(id, text.to_string());
        }
        if matches!(channel, "orders" | "account" | "fills") {
            let count = self
                .conns
                .values()
                .filter(|conn| conn.account == Some(account))
                .filter(|conn| conn.subs.iter().any(|sub| sub.channel == channel))
                .count();
            let text = json!({
                "event": "channel-conn-count", "channel": channel,
                "connCount": (count + 1).to_string(), "connId": conn_id(id),
            });
            self.core.send(id, text.to_string());
        }
    }

    fn order_op(&mut self, id: ConnId, message: &Value, op: Op, name: &str) {
        let Some(account) = self.conns.get(&id).and_then(|conn| conn.account) else {
            self.error(id, message, &Refused::new(60011, "Please log in."));
            return;
        };
        let empty = Vec::new();
        let args = message
            .get("args")
            .and_then(Value::as_array)
            .unwrap_or(&empty);
        let in_time = self.core.now / 1_000;
        let deadline = message.get("expTime").and_then(Value::as_str);
        let is_batch = name.starts_with("batch");
        if is_batch && op == Op::Place {
            self.core.record.request("new_batch", None);
        }
        let result = if self.core.faults.take(Kind::RateLimit).is_some() {
            Err(Refused::too_fast())
        } else if !is_batch && args.len() != 1 {
            Err(Refused::new(60012, "Invalid request"))
        } else {
            self.operate(account, Call { op, is_batch }, args, deadline)
        };
        let (code, text, rows) = match result {
            Ok((code, rows)) => (code, String::new(), rows),
            Err(refused) => {
                let (record, now) = (&mut self.core.record, self.core.now);
                for arg in args {
                    let id = super::ops::field(arg, "clOrdId").unwrap_or_default();
                    record.request(op.name(), (op == Op::Place).then_some(id.as_str()));
                    record.refused(op.name(), &id, refused.code, &refused.text, now);
                }
                (refused.code, refused.text, Vec::new())
            }
        };
        let answer = json!({
            "id": message.get("id").cloned().unwrap_or(json!("")), "op": name,
            "code": code.to_string(), "msg": text, "data": rows,
            "inTime": in_time.to_string(), "outTime": in_time.to_string(),
        });
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Ws(id), Response::json(200, answer), private);
    }

    /// `{"id":…,"event":…,"arg":…,"connId":…}`.
    fn event(&mut self, id: ConnId, message: &Value, event: &str, arg: &Value) {
        let mut answer = Map::new();
        if let Some(request_id) = message.get("id") {
            answer.insert("id".into(), request_id.clone());
        }
        answer.insert("event".into(), json!(event));
        answer.insert("arg".into(), arg.clone());
        answer.insert("connId".into(), json!(conn_id(id)));
        self.core.send(id, Value::Object(answer).to_string());
    }

    fn error(&mut self, id: ConnId, message: &Value, refused: &Refused) {
        let mut answer = Map::new();
        if let Some(request_id) = message.get("id") {
            answer.insert("id".into(), request_id.clone());
        }
        answer.insert("event".into(), json!("error"));
        if let Some(op) = message.get("op") {
            answer.insert("op".into(), op.clone());
        }
        answer.insert("code".into(), json!(refused.code.to_string()));
        answer.insert("msg".into(), json!(refused.text));
        answer.insert("connId".into(), json!(conn_id(id)));
        self.core.send(id, Value::Object(answer).to_string());
    }
}
