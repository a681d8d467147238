//! WebSocket: tokens and subscriptions of the classic streams; challenge, login and operations of the order link.

use super::limits::{Pool, Usage};
use super::ops::{Op, field};
use super::reply::{self, OUTCOME_OPEN, Refused, SUCCESS};
use super::{Kucoin, auth, streams};
use crate::core::{ConnId, Core, ReplyTo, Response};
use crate::engine::{AccountId, MARKET, Order};
use crate::fault::{Kind, Link};
use crate::venues::query_pairs;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where the classic streams are: what `bullet-public` and `bullet-private` give out.
pub const STREAM_PATH: &str = "/";
/// Order entry.
pub const ORDERS_PATH: &str = "/v1/private";
/// Order events; the second is the older one.
pub const ORDER_TOPICS: [&str; 2] = ["/spotMarket/tradeOrdersV2", "/spotMarket/tradeOrders"];
/// Balances.
pub const BALANCE_TOPIC: &str = "/account/balance";

/// How often the client is to ping, and how long it is to wait for the pong, milliseconds.
pub const PING_MS: u64 = 18_000;
pub const PONG_MS: u64 = 10_000;
/// A link is cut so long after its client's last frame: what streams to it does not count.
const SILENT_NS: u64 = 60_000_000_000;
/// How long a challenge may stay unanswered.
const CHALLENGE_NS: u64 = 30_000_000_000;
/// Frames a client may send on a link in 10 s.
const FRAMES_MAX: u32 = 100;
const FRAMES_NS: u64 = 10_000_000_000;
/// Symbols in one subscription, and topics of a link.
const SYMBOLS_MAX: usize = 100;
const TOPICS_MAX: usize = 400;
/// Longest id of a request on the order link.
const ID_MAX: usize = 32;
/// A request that cannot be read; it is answered without an id.
const UNREADABLE: i64 = 4_001_002;

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// Market data.
    Public,
    /// An account's own events.
    Private,
    /// Order entry.
    Orders,
}

/// How far it is let in.
#[derive(Debug)]
enum Stage {
    /// A stream, by its token; of an account, or of everybody.
    Stream(AccountId),
    /// An order link whose challenge is open.
    Challenged(AccountId, String),
    /// An order link that may trade.
    Orders(AccountId),
    /// Not let in: said so, to be closed.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sub {
    /// Without its symbol; of `ticker:all` with it.
    topic: &'static str,
    /// `None` where the topic has no symbol.
    inst: Option<usize>,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    kin: Kin,
    stage: Stage,
    subs: Vec<Sub>,
    opened_ns: u64,
    received_ns: u64,
    close_ns: Option<u64>,
    frames: (u64, u32),
}

impl Conn {
    fn new(kin: Kin, stage: Stage, now: u64) -> Self {
        Self {
            kin,
            close_ns: matches!(stage, Stage::Refused).then_some(now),
            stage,
            subs: Vec::new(),
            opened_ns: now,
            received_ns: now,
            frames: (now, 0),
        }
    }

    /// What it is.
    pub fn kin(&self) -> Kin {
        self.kin
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether it has to go, and with which last word; empty for none.
    pub fn end(&self, now: u64, lifetime_ns: u64, core: &Core) -> Option<String> {
        let since = |at: u64| now.saturating_sub(at);
        if self.close_ns.is_some_and(|at| now >= at) || since(self.opened_ns) >= lifetime_ns {
            return Some(String::new());
        }
        if matches!(self.stage, Stage::Challenged(..)) && since(self.opened_ns) >= CHALLENGE_NS {
            let refused = Refused::new(400_012, "Challenge response timeout");
            return Some(login_refused(core, &refused));
        }
        let word = match self.kin {
            Kin::Orders => String::new(),
            _ => json!({"type": "error", "code": 400, "data": "ping timeout"}).to_string(),
        };
        (since(self.received_ns) >= SILENT_NS).then_some(word)
    }

    fn account(&self) -> Option<AccountId> {
        match self.stage {
            Stage::Stream(MARKET) | Stage::Challenged(..) | Stage::Refused => None,
            Stage::Stream(account) | Stage::Orders(account) => Some(account),
        }
    }

    /// Counts a frame; whether it is one too many.
    fn is_too_busy(&mut self, now: u64) -> bool {
        if now >= self.frames.0 + FRAMES_NS {
            self.frames = (now, 0);
        }
        self.frames.1 += 1;
        self.frames.1 > FRAMES_MAX
    }
}

/// Subscribers of a public topic.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, topic: &str, inst: usize) -> Vec<ConnId> {
    let wants = |sub: &Sub| sub.topic == topic && sub.inst.is_none_or(|wanted| wanted == inst);
    conns
        .iter()
        .filter(|(_, conn)| conn.subs.iter().any(wants))
        .map(|(id, _)| *id)
        .collect()
}

/// An account's subscribers of a private topic.
pub fn subscribers(conns: &BTreeMap<ConnId, Conn>, account: AccountId, topic: &str) -> Vec<ConnId> {
    conns
        .iter()
        .filter(|(_, conn)| conn.account() == Some(account))
        .filter(|(_, conn)| conn.subs.iter().any(|sub| sub.topic == topic))
        .map(|(id, _)| *id)
        .collect()
}

/// A push of a private topic.
pub fn private_push(topic: &str, subject: &str, account: AccountId, data: &Value) -> String {
    json!({
        "type": "message", "topic": topic, "subject": subject, "channelType": "private",
        "userId": reply::account_id(account, 99), "data": data,
    })
    .to_string()
}

fn session_id(conn: ConnId) -> String {
    format!("92f2aec4-d87e-47cc-917d-{conn:012x}")
}

fn login_refused(core: &Core, refused: &Refused) -> String {
    let ms = core.venue_ms();
    json!({
        "code": refused.code.to_string(), "msg": refused.text, "inTime": ms, "outTime": ms,
    })
    .to_string()
}

impl Kucoin {
    /// A classic stream was opened with a query.
    pub(super) fn open_stream(&mut self, id: ConnId, query: &str) {
        let pairs = query_pairs(query);
        let find = |name: &str| pairs.iter().find(|(key, _)| key == name);
        let token = find("token").map_or("", |(_, value)| value.as_str());
        let name = match find("connectId") {
            Some((_, name)) if name.len() <= 64 => name.clone(),
            _ => session_id(id),
        };
        let now = self.core.now;
        let owner = self.tokens.owner(token, now);
        let (kin, link) = match owner {
            None | Some(MARKET) => (Kin::Public, Link::Public),
            Some(_) => (Kin::Private, Link::Private),
        };
        self.core.opened(id, link);
        let Some(account) = owner else {
            self.conns.insert(id, Conn::new(kin, Stage::Refused, now));
            self.refuse_token(id);
            return;
        };
        self.conns
            .insert(id, Conn::new(kin, Stage::Stream(account), now));
        let welcome = json!({"id": name, "type": "welcome"});
        self.core.send(id, welcome.to_string());
    }

    /// Tells a stream that its token is no good (any more), and closes it; an order link is only closed.
    pub(super) fn refuse_token(&mut self, id: ConnId) {
        if self
            .conns
            .get(&id)
            .is_some_and(|conn| conn.kin != Kin::Orders)
        {
            self.error(id, &session_id(id), 401, "token is invalid");
        }
        self.drop_conn(id, Some(1000));
    }

    /// An order link was opened with a query.
    pub(super) fn open_orders(&mut self, id: ConnId, query: &str) {
        let now = self.core.now;
        let (stage, text) = match auth::orders(&self.core, query) {
            Ok(account) => {
                // Blanks and all: its very bytes are to be signed.
                let text = format!(
                    "{{\"sessionId\":\"{}\", \"timestamp\": {}}}",
                    session_id(id),
                    self.core.venue_ms()
                );
                (Stage::Challenged(account, text.clone()), text)
            }
            Err(refused) => {
                self.note_login(&refused);
                (Stage::Refused, login_refused(&self.core, &refused))
            }
        };
        self.core.send(id, text);
        self.conns.insert(id, Conn::new(Kin::Orders, stage, now));
    }

    fn note_login(&mut self, refused: &Refused) {
        let (record, now) = (&mut self.core.record, self.core.now);
        record.refused("login", "", refused.code, &refused.text, now);
    }

    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.received_ns = now;
        match conn.stage {
            Stage::Stream(_) => self.on_stream(id, text),
            Stage::Challenged(..) => self.on_challenge_answer(id, text),
            Stage::Orders(account) => self.on_request(id, account, text),
            Stage::Refused => {}
        }
    }

    fn on_challenge_answer(&mut self, id: ConnId, text: &str) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let Stage::Challenged(account, challenge) = &conn.stage else {
            return;
        };
        if auth::is_signed(&self.core, *account, challenge, text) {
            conn.stage = Stage::Orders(*account);
            let welcome = format!(
                "{{\"sessionId\":\"{}\", \"data\": \"welcome\", \"pingInterval\": {PING_MS}, \
                 \"pingTimeout\": {PONG_MS}}}",
                session_id(id)
            );
            self.core.send(id, welcome);
        } else {
            let refused = Refused::new(400_011, "Challenge response signature is invalid");
            self.note_login(&refused);
            let text = login_refused(&self.core, &refused);
            self.core.send(id, text);
            self.drop_conn(id, Some(1000));
        }
    }

    fn error(&mut self, id: ConnId, name: &str, code: i64, text: &str) {
        let answer = json!({"id": name, "type": "error", "code": code, "data": text});
        self.core.send(id, answer.to_string());
    }

    /// A frame on a classic stream.
    fn on_stream(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        let is_too_busy = self
            .conns
            .get_mut(&id)
            .is_some_and(|conn| conn.is_too_busy(now));
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            self.error(id, &session_id(id), 400, "message format is invalid");
            return;
        };
        let name = field(&message, "id").unwrap_or_default();
        if is_too_busy {
            self.error(id, &name, 509, "exceed max permits per 10 seconds");
            return;
        }
        match field(&message, "type").as_deref() {
            Some("ping") => {
                let us = self.core.now / 1_000;
                let pong = json!({"id": name, "type": "pong", "timestamp": us});
                self.core.send(id, pong.to_string());
            }
            Some("subscribe") => self.subscribe(id, &name, &message),
            Some("unsubscribe") => {
                if let Ok(subs) = self.topic(id, &message)
                    && let Some(conn) = self.conns.get_mut(&id)
                {
                    conn.subs.retain(|sub| !subs.contains(sub));
                }
                self.ack(id, &name, &message);
            }
            _ => self.error(id, &name, 415, "type is not supported"),
        }
    }

    fn ack(&mut self, id: ConnId, name: &str, message: &Value) {
        if message.get("response").and_then(Value::as_bool) == Some(true) {
            let ack = json!({"id": name, "type": "ack"});
            self.core.send(id, ack.to_string());
        }
    }

    fn subscribe(&mut self, id: ConnId, name: &str, message: &Value) {
        let subs = match self.topic(id, message) {
            Ok(subs) => subs,
            Err((code, text)) => return self.error(id, name, code, &text),
        };
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let fresh: Vec<Sub> = subs
            .into_iter()
            .filter(|sub| !conn.subs.contains(sub))
            .collect();
        if conn.subs.len() + fresh.len() > TOPICS_MAX {
            let text =
                format!("exceed max subscription count limitation of {TOPICS_MAX} per session");
            return self.error(id, name, 509, &text);
        }
        self.ack(id, name, message);
        for sub in fresh {
            if let Some(inst) = sub.inst {
                self.feeds[inst].subscribed(&mut self.core, sub.topic, id);
            }
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.subs.push(sub);
            }
        }
    }

    /// What a message's topic stands for; a symbol that is not listed stands for nothing and stays silent.
    /// Errors: the code and text of an error message.
    fn topic(&self, id: ConnId, message: &Value) -> Result<Vec<Sub>, (i64, String)> {
        let topic = field(message, "topic").ok_or((406, "topic is required".to_owned()))?;
        let is_private = ORDER_TOPICS
            .into_iter()
            .chain([BALANCE_TOPIC])
            .find(|known| *known == topic);
        if let Some(topic) = is_private {
            let is_asked = message.get("privateChannel").and_then(Value::as_bool) == Some(true);
            let has_account = self
                .conns
                .get(&id)
                .is_some_and(|conn| conn.account().is_some());
            return if is_asked && has_account {
                Ok(vec![Sub { topic, inst: None }])
            } else {
                Err((403, "login is required".to_owned()))
            };
        }
        if topic == streams::TICKER_ALL {
            let topic = streams::TICKER_ALL;
            return Ok(vec![Sub { topic, inst: None }]);
        }
        let (head, symbols) = topic.split_once(':').unwrap_or((&topic, ""));
        let known = streams::TOPICS.into_iter().find(|known| *known == head);
        let Some(topic) = known.filter(|_| !symbols.is_empty()) else {
            let shown: String = topic.chars().take(100).collect();
            return Err((404, format!("topic {shown} is not found")));
        };
        if symbols.split(',').count() > SYMBOLS_MAX {
            let text =
                format!("exceed max subscription count limitation of {SYMBOLS_MAX} per time");
            return Err((509, text));
        }
        let mut subs: Vec<Sub> = Vec::new();
        for inst in symbols.split(',').filter_map(|symbol| self.inst_of(symbol)) {
            let sub = Sub {
                topic,
                inst: Some(inst),
            };
            if !subs.contains(&sub) {
                subs.push(sub);
            }
        }
        Ok(subs)
    }

    /// A frame on an order link that is let in.
    fn on_request(&mut self, id: ConnId, account: AccountId, text: &str) {
        let message = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        let op = field(&message, "op").unwrap_or_default();
        let name = message.get("id").and_then(Value::as_str).unwrap_or("");
        if op == "ping" {
            let timestamp = message.get("timestamp").cloned().unwrap_or(Value::Null);
            let pong = json!({"id": name, "op": "pong", "timestamp": timestamp});
            self.core.send(id, pong.to_string());
            return;
        }
        let known = match op.as_str() {
            "spot.order" | "spot.sync_order" => Some(Op::Place),
            "spot.cancel" | "spot.sync_cancel" => Some(Op::Cancel),
            "spot.modify" => Some(Op::Alter),
            _ => None,
        };
        let args = message.get("args").filter(|args| args.is_object());
        let is_named = (1..=ID_MAX).contains(&name.len());
        let (Some(kind), Some(args), true) = (known, args, is_named) else {
            let ms = self.core.venue_ms();
            let shown: String = op.chars().take(ID_MAX).collect();
            let answer = json!({
                "op": shown, "code": UNREADABLE.to_string(), "msg": "request is invalid",
                "inTime": ms, "outTime": ms,
            });
            self.core.send(id, answer.to_string());
            return;
        };
        let result = self.request(account, kind, args);
        let answer = self.answer_row(name, &op, kind, result);
        let private = std::mem::take(&mut self.private);
        self.core
            .answer(ReplyTo::Ws(id), Response::json(200, answer), private);
    }

    /// Counts a request and carries it out.
    fn request(
        &mut self,
        account: AccountId,
        op: Op,
        args: &Value,
    ) -> (Usage, Result<Order, Refused>) {
        let usage = match self.core.faults.take(Kind::RateLimit) {
            Some(fault) => self.pools.spent(Pool::Spot, fault.for_ns),
            None => self.pools.take(Pool::Spot, account, 1, self.core.now),
        };
        if usage.is_within {
            return (usage, self.operate(account, op, args));
        }
        let refused = Refused::too_fast();
        let client_id = field(args, "clientOid").unwrap_or_default();
        let counted = (op == Op::Place).then_some(client_id.as_str());
        self.core.record.request(op.name(), counted);
        self.note_refused(account, op, args, &refused);
        (usage, Err(refused))
    }

    fn answer_row(
        &self,
        name: &str,
        op: &str,
        kind: Op,
        (usage, result): (Usage, Result<Order, Refused>),
    ) -> Value {
        let ms = self.core.venue_ms();
        match result {
            Ok(order) => {
                let id = reply::order_id(order.id);
                let data = match kind {
                    _ if op.contains("sync") => reply::sync_row(&self.core, &order),
                    Op::Place => json!({"orderId": id, "clientOid": &*order.ask.client_id}),
                    Op::Alter => json!({"newOrderId": id, "clientOid": &*order.ask.client_id}),
                    Op::Cancel | Op::Reduce => json!({"orderId": id}),
                };
                json!({
                    "id": name, "op": op, "code": SUCCESS.to_string(), "data": data,
                    "inTime": ms, "outTime": ms, "rateLimit": usage.json(),
                })
            }
            Err(refused) => {
                let mut answer = json!({
                    "id": name, "op": op, "code": refused.code.to_string(),
                    "msg": refused.text, "inTime": ms, "outTime": ms,
                });
                // The gateway knows the pool; what is behind it does not.
                if !usage.is_within {
                    answer["rateLimit"] = usage.json();
                } else if refused.code == OUTCOME_OPEN {
                    answer["msg"] = json!("Internal server error");
                }
                answer
            }
        }
    }
}
