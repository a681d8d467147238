//! WebSocket v2: connections, status, heartbeats, tokens, answers.

use super::level3::COST_MAX;
use super::reply::Refused;
use super::streams::Channel;
use super::{Kraken, SECOND_NS, time, venue_ns};
use crate::core::ConnId;
use crate::engine::{AccountId, Order};
use crate::fault::Link;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A connection without subscriptions and messages is closed after so long.
const IDLE_NS: u64 = 60 * SECOND_NS;

/// One private channel of a connection. Its messages are numbered from 1.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    account: AccountId,
    sequence: u64,
    has_details: bool,
}

impl Stream {
    /// A channel of an account; with details it tells all transitions of orders.
    pub fn new(account: AccountId, has_details: bool) -> Self {
        Self {
            account,
            sequence: 0,
            has_details,
        }
    }

    /// Its next message.
    pub fn message(&mut self, channel: &str, kind: &str, data: &Value) -> String {
        self.sequence += 1;
        let sequence = self.sequence;
        json!({"channel": channel, "type": kind, "data": data, "sequence": sequence}).to_string()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Public channels with the pair's index.
    pub subs: Vec<(Channel, usize)>,
    /// Whether it listens to `instrument`.
    pub has_instruments: bool,
    /// `executions`, where subscribed.
    pub executions: Option<Stream>,
    /// `balances`, where subscribed.
    pub balances: Option<Stream>,
    token: Option<(String, AccountId)>,
    is_private: bool,
    /// What was spent on single orders in the second that began then.
    spent: (u64, u32),
    received_ns: u64,
    beat_ns: u64,
    close_ns: Option<u64>,
}

impl Conn {
    /// A fresh connection.
    pub fn new(now: u64) -> Self {
        Self {
            subs: Vec::new(),
            has_instruments: false,
            executions: None,
            balances: None,
            token: None,
            is_private: false,
            spent: (0, 0),
            received_ns: now,
            beat_ns: now,
            close_ns: None,
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Lets its private channels count from 1 again.
    pub fn reset_sequences(&mut self) {
        let streams = [&mut self.executions, &mut self.balances];
        for stream in streams.into_iter().flatten() {
            stream.sequence = 0;
        }
    }

    /// Forgets its token; what is subscribed stays.
    pub fn forget_token(&mut self) {
        self.token = None;
    }

    /// Takes room for subscriptions of single orders; whether there was some.
    pub fn spend(&mut self, now: u64, cost: u32) -> bool {
        let second = now / SECOND_NS;
        if self.spent.0 != second {
            self.spent = (second, 0);
        }
        self.spent.1 = self.spent.1.saturating_add(cost);
        self.spent.1 <= COST_MAX
    }

    /// Whether something is subscribed that a token lives on.
    fn has_lent(&self) -> bool {
        let mut subs = self.subs.iter();
        self.has_private() || subs.any(|(channel, _)| matches!(channel, Channel::Level3(_)))
    }

    fn has_private(&self) -> bool {
        self.executions.is_some() || self.balances.is_some()
    }

    fn has_any(&self) -> bool {
        !self.subs.is_empty() || self.has_instruments || self.has_private()
    }

    /// Whether it has to go.
    pub fn is_over(&self, now: u64) -> bool {
        let is_idle = !self.has_any() && now.saturating_sub(self.received_ns) >= IDLE_NS;
        is_idle || self.close_ns.is_some_and(|at| now >= at)
    }

    /// Whether a heartbeat is due; counts it as sent.
    pub fn beats(&mut self, now: u64) -> bool {
        let is_due = self.has_any() && now.saturating_sub(self.beat_ns) >= SECOND_NS;
        if is_due {
            self.beat_ns = now;
        }
        is_due
    }
}

/// Subscribers of a public channel.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, channel: Channel, inst: usize) -> Vec<ConnId> {
    conns
        .iter()
        .filter(|(_, conn)| conn.subs.contains(&(channel, inst)))
        .map(|(id, _)| *id)
        .collect()
}

/// A row of `executions` for each connection that listens; details only for those that want all transitions.
pub fn executions(
    conns: &mut BTreeMap<ConnId, Conn>,
    order: &Order,
    row: &Value,
    is_detail: bool,
) -> Vec<(ConnId, String)> {
    let streams = conns
        .iter_mut()
        .filter_map(|(id, conn)| Some((*id, conn.executions.as_mut()?)));
    streams
        .filter(|(_, stream)| stream.account == order.ask.account)
        .filter(|(_, stream)| stream.has_details || !is_detail)
        .map(|(id, stream)| (id, stream.message("executions", "update", &json!([row]))))
        .collect()
}

/// A message of `balances` for each connection that listens.
pub fn balances(
    conns: &mut BTreeMap<ConnId, Conn>,
    account: AccountId,
    kind: &str,
    rows: &[Value],
) -> Vec<(ConnId, String)> {
    let streams = conns
        .iter_mut()
        .filter_map(|(id, conn)| Some((*id, conn.balances.as_mut()?)));
    streams
        .filter(|(_, stream)| stream.account == account)
        .map(|(id, stream)| (id, stream.message("balances", kind, &json!(rows))))
        .collect()
}

/// The system's status: what a connection hears first.
pub fn status(conn: ConnId, system: &str) -> String {
    let connection_id = 13_834_774_380_200_032_777_u64.wrapping_add(conn);
    json!({
        "channel": "status", "type": "update",
        "data": [{
            "api_version": "v2", "connection_id": connection_id, "system": system,
            "version": "2.0.10",
        }],
    })
    .to_string()
}

impl Kraken {
    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.received_ns = self.core.now;
        let message = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            self.respond(id, &message, Err(Refused::new("Malformed request")));
            return;
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        match method {
            "ping" => self.pong_text(id, &message),
            "subscribe" => self.subscribe(id, &message, params),
            "unsubscribe" => self.unsubscribe(id, &message, params),
            "add_order"
            | "amend_order"
            | "cancel_order"
            | "cancel_all"
            | "batch_add"
            | "batch_cancel"
            | "cancel_all_orders_after" => {
                self.order_method(id, &message, method, params);
            }
            _ => self.respond(id, &message, Err(Refused::new("Unsupported event"))),
        }
    }

    /// An answer's text. Its keys come in the order of the alphabet, as recorded.
    pub(super) fn response(
        &self,
        message: &Value,
        result: Result<Value, Refused>,
        beside: Option<(&'static str, Value)>,
    ) -> String {
        let mut answer = self.envelope(message);
        if let Some(method) = message.get("method") {
            answer.insert("method", method.clone());
        }
        answer.insert("success", json!(result.is_ok()));
        match result {
            Ok(Value::Null) => None,
            Ok(result) => answer.insert("result", result),
            Err(refused) => answer.insert("error", json!(refused.text)),
        };
        answer.extend(beside);
        json!(answer).to_string()
    }

    /// The request's number and the times of an answer.
    fn envelope(&self, message: &Value) -> BTreeMap<&'static str, Value> {
        let at = json!(time::micros(venue_ns(&self.core, self.core.now)));
        let mut answer = BTreeMap::from([("time_in", at.clone()), ("time_out", at)]);
        if let Some(number) = message.get("req_id").filter(|number| number.is_u64()) {
            answer.insert("req_id", number.clone());
        }
        answer
    }

    /// Answers at once.
    pub(super) fn respond(&mut self, id: ConnId, message: &Value, result: Result<Value, Refused>) {
        let text = self.response(message, result, None);
        self.core.send(id, text);
    }

    /// A refusal that names a symbol.
    pub(super) fn refuse_symbol(&mut self, id: ConnId, message: &Value, words: &str, symbol: &str) {
        let beside = ("symbol", json!(symbol));
        let text = self.response(message, Err(Refused::new(words)), Some(beside));
        self.core.send(id, text);
    }

    fn pong_text(&mut self, id: ConnId, message: &Value) {
        if message.get("params").is_some() {
            let words = "Unsupported field: 'params' for the given msg type: ping";
            return self.respond(id, message, Err(Refused::new(words)));
        }
        let mut answer = self.envelope(message);
        answer.insert("method", json!("pong"));
        self.core.send(id, json!(answer).to_string());
    }

    /// Whose a request is; its connection is private from then on.
    pub(super) fn who(&mut self, id: ConnId, params: &Value) -> Result<AccountId, Refused> {
        let account = self.lent(id, params)?;
        if let Some(conn) = self.conns.get_mut(&id)
            && !conn.is_private
        {
            conn.is_private = true;
            self.core.opened(id, Link::Private);
        }
        Ok(account)
    }

    /// Whose a request is: its token must be young, or the one that what is subscribed on the connection lives on.
    pub(super) fn lent(&mut self, id: ConnId, params: &Value) -> Result<AccountId, Refused> {
        let token = params.get("token").and_then(Value::as_str);
        let token = token.ok_or_else(|| Refused::new("Token(s) not found"))?;
        let issued = self.tokens.account(self.core.now, token);
        let conn = self.conns.get_mut(&id);
        let conn = conn.ok_or_else(|| Refused::new("ESession:Invalid session"))?;
        let used = conn
            .token
            .as_ref()
            .filter(|(known, _)| known == token && conn.has_lent());
        let account = issued.or(used.map(|(_, account)| *account));
        let account = account.ok_or_else(|| Refused::new("ESession:Invalid session"))?;
        conn.token = Some((token.to_owned(), account));
        Ok(account)
    }
}
