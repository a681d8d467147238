//! WebSocket: pings, subscriptions, login, order operations.

use super::ops::Op;
use super::reply::Refused;
use super::{Bybit, Category, auth, dcp, reply};
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::AccountId;
use crate::fault::duration_ns;
use crate::venues::query_pairs;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Private and trade connections without a message for so long are cut, unless their URL says otherwise.
const IDLE_NS: u64 = 600_000_000_000;
/// The shortest `max_active_time` of a URL; the longest is the default.
const IDLE_NS_MIN: u64 = 30_000_000_000;
/// Topics in one request on spot.
const SPOT_ARGS_MAX: usize = 10;
/// Characters of all of a connection's topics.
const ARGS_TEXT_MAX: usize = 21_000;
/// Longest request id.
const REQUEST_ID_MAX: usize = 36;
/// Request ids a connection remembers; the venue's number is not published.
const REQUEST_IDS_KEPT: usize = 10_000;
/// An order request before the login; the venue's code for it is `[U]`.
const NOT_LOGGED_IN: i64 = 10005;
/// Private topics that also come by category.
const BY_CATEGORY: [&str; 4] = ["order", "execution", "execution.fast", "position"];
/// Private topics that do not.
const PLAIN: [&str; 5] = ["wallet", "greeks", "dcp.spot", "dcp.future", "dcp.option"];
/// Categories of private topics.
const CATEGORIES: [&str; 4] = ["spot", "linear", "inverse", "option"];

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Market data of a category.
    Public(Category),
    /// The account.
    Private,
    /// Orders.
    Trade,
}

impl Room {
    /// By path.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/v5/private" => Some(Self::Private),
            "/v5/trade" => Some(Self::Trade),
            _ => Category::parse(path.strip_prefix("/v5/public/")?).map(Self::Public),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    room: Room,
    account: Option<AccountId>,
    topics: BTreeSet<String>,
    request_ids: BTreeSet<String>,
    request_ids_old: VecDeque<String>,
    received_ns: u64,
    idle_ns: u64,
    close_ns: Option<u64>,
}

impl Conn {
    /// A fresh connection; the URL's query may name how long it lives without messages.
    pub fn new(room: Room, query: &str, now: u64) -> Self {
        let asked = query_pairs(query)
            .into_iter()
            .find(|(key, _)| key == "max_active_time")
            .and_then(|(_, value)| duration_ns(&value))
            .filter(|ns| (IDLE_NS_MIN..=IDLE_NS).contains(ns));
        Self {
            room,
            account: None,
            topics: BTreeSet::new(),
            request_ids: BTreeSet::new(),
            request_ids_old: VecDeque::new(),
            received_ns: now,
            idle_ns: asked.unwrap_or(IDLE_NS),
            close_ns: None,
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether it has to go: nothing came or went for too long, or a restart is due.
    pub fn is_over(&self, now: u64, sent_ns: u64) -> bool {
        let is_public = matches!(self.room, Room::Public(_));
        let quiet_ns = now.saturating_sub(self.received_ns.max(sent_ns));
        (!is_public && quiet_ns >= self.idle_ns) || self.close_ns.is_some_and(|at| now >= at)
    }

    /// The dead man's switches it holds.
    pub fn switches(&self) -> impl Iterator<Item = (AccountId, Category)> {
        let all = [Category::Spot, Category::Linear];
        let held = all
            .into_iter()
            .filter(|category| self.topics.contains(dcp::product(*category).1));
        held.filter_map(|category| Some((self.account?, category)))
    }

    /// Remembers a request id; whether it is new.
    fn is_new_request(&mut self, id: &str) -> bool {
        if !self.request_ids.insert(id.to_owned()) {
            return false;
        }
        self.request_ids_old.push_back(id.to_owned());
        if self.request_ids_old.len() > REQUEST_IDS_KEPT
            && let Some(old) = self.request_ids_old.pop_front()
        {
            self.request_ids.remove(&old);
        }
        true
    }
}

/// Subscribers of a public topic; names are the same on spot and linear.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, category: Category, topic: &str) -> Vec<ConnId> {
    conns
        .iter()
        .filter(|(_, conn)| conn.room == Room::Public(category) && conn.topics.contains(topic))
        .map(|(id, _)| *id)
        .collect()
}

/// An account's subscriptions to a private topic, or to its part of a category, as they are named.
pub fn private_subs(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
    topic: &str,
    category: Category,
) -> Vec<(ConnId, String)> {
    let part = format!("{topic}.{}", category.name());
    let mut found = Vec::new();
    for (id, conn) in conns
        .iter()
        .filter(|(_, conn)| conn.account == Some(account))
    {
        let names = [topic, part.as_str()].into_iter();
        found.extend(
            names
                .filter(|name| conn.topics.contains(*name))
                .map(|name| (*id, name.to_owned())),
        );
    }
    found
}

/// The name of a connection in the venue's words.
fn conn_id(id: ConnId) -> String {
    format!("cejreaspqfm9se7usbrg-{id:x}")
}

fn is_private_topic(topic: &str) -> bool {
    let is_part = |base: &str| {
        let part = topic
            .strip_prefix(base)
            .and_then(|end| end.strip_prefix('.'));
        part.is_some_and(|part| CATEGORIES.contains(&part))
    };
    PLAIN.contains(&topic) || BY_CATEGORY.contains(&topic) || BY_CATEGORY.iter().any(|b| is_part(b))
}

/// A topic may not come whole and by category in one request.
fn is_mixed(topics: &[&str]) -> bool {
    BY_CATEGORY.iter().any(|base| {
        let parts = CATEGORIES.map(|category| format!("{base}.{category}"));
        topics.contains(base) && parts.iter().any(|part| topics.contains(&part.as_str()))
    })
}

fn text_of<'a>(message: &'a Value, key: &str) -> &'a str {
    message.get(key).and_then(Value::as_str).unwrap_or("")
}

impl Bybit {
    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.received_ns = now;
        let room = conn.room;
        let message = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        let op = text_of(&message, "op").to_owned();
        let args = match message.get("args") {
            Some(Value::Array(args)) => args.clone(),
            _ => Vec::new(),
        };
        match (room, op.as_str()) {
            (_, "ping") => self.ping(id, room, &message),
            (Room::Trade, "auth") => self.trade_login(id, &message, &args),
            (Room::Trade, _) => self.order_op(id, &message, &op, &args),
            (Room::Private, "auth") => self.login(id, &message, &args),
            (_, "subscribe") => self.subscribe(id, room, &message, &args),
            (_, "unsubscribe") => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.topics
                        .retain(|topic| args.iter().all(|arg| arg.as_str() != Some(topic)));
                }
                self.confirm(id, &message, Ok(()));
            }
            _ => self.confirm(id, &message, Err("error:invalid op")),
        }
    }

    /// Each kind of connection answers in its own way.
    fn ping(&mut self, id: ConnId, room: Room, message: &Value) {
        let (ms, name) = (self.core.venue_ms().to_string(), conn_id(id));
        let req_id = text_of(message, "req_id");
        let answer = match room {
            Room::Public(_) => json!({
                "success": true, "ret_msg": "pong", "conn_id": name, "req_id": req_id, "op": "ping",
            }),
            Room::Private => json!({
                "op": "pong", "args": [ms], "req_id": req_id, "conn_id": name,
            }),
            Room::Trade => with_request_id(
                message,
                json!({"retCode": 0, "retMsg": "OK", "op": "pong", "data": [ms], "connId": name}),
            ),
        };
        let held: Vec<(AccountId, Category)> = self
            .conns
            .get(&id)
            .into_iter()
            .flat_map(Conn::switches)
            .collect();
        for (account, category) in held {
            self.dead_man.held(account, category);
        }
        self.core.send(id, answer.to_string());
    }

    /// `{"success":…,"ret_msg":…,"conn_id":…,"req_id":…,"op":…}`.
    fn confirm(&mut self, id: ConnId, message: &Value, result: Result<(), &str>) {
        let mut answer = Map::new();
        answer.insert("success".into(), json!(result.is_ok()));
        answer.insert("ret_msg".into(), json!(result.err().unwrap_or("")));
        answer.insert("conn_id".into(), json!(conn_id(id)));
        // A refusal of a request without a number has none; a confirmation has an empty one (recorded).
        match message.get("req_id") {
            Some(req_id) => answer.insert("req_id".into(), req_id.clone()),
            None if result.is_ok() => answer.insert("req_id".into(), json!("")),
            None => None,
        };
        answer.insert("op".into(), json!(text_of(message, "op")));
        self.core.send(id, Value::Object(answer).to_string());
    }

    fn logged_in(&mut self, id: ConnId, args: &[Value]) -> Result<(), Refused> {
        let result = auth::login(&self.core, args);
        match result {
            Ok(account) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.account = Some(account);
                }
                Ok(())
            }
            Err(refused) => {
                let now = self.core.now;
                let record = &mut self.core.record;
                record.refused("login", "", refused.code, &refused.text, now);
                Err(refused)
            }
        }
    }

    fn login(&mut self, id: ConnId, message: &Value, args: &[Value]) {
        let result = self.logged_in(id, args);
        let text = result.as_ref().err().map_or("", |refused| &refused.text);
        let mut answer = json!({
            "success": result.is_ok(), "ret_msg": text, "op": "auth", "conn_id": conn_id(id),
        });
        if let Some(req_id) = message.get("req_id") {
            answer["req_id"] = req_id.clone();
        }
        self.core.send(id, answer.to_string());
    }

    fn trade_login(&mut self, id: ConnId, message: &Value, args: &[Value]) {
        let is_known = self
            .conns
            .get(&id)
            .is_some_and(|conn| conn.account.is_some());
        let result = if is_known {
            Err(Refused::new(20001, "Repeat auth"))
        } else {
            self.logged_in(id, args)
        };
        let refused = result.err();
        let (code, text) = refused.as_ref().map_or((0, "OK"), |r| (r.code, &r.text));
        let answer = json!({"retCode": code, "retMsg": text, "op": "auth", "connId": conn_id(id)});
        self.core
            .send(id, with_request_id(message, answer).to_string());
    }

    fn subscribe(&mut self, id: ConnId, room: Room, message: &Value, args: &[Value]) {
        let topics: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
        if let Err(text) = self.may_subscribe(id, room, args.len(), &topics) {
            self.confirm(id, message, Err(&text));
            return;
        }
        self.confirm(id, message, Ok(()));
        for topic in topics {
            if let Room::Public(category) = room {
                // What is pending goes to those who were there before; then this one starts.
                let conns = &self.conns;
                let listeners = |category, topic: &str| listeners(conns, category, topic);
                let own = |feed: &&mut super::Feed| feed.is_of(category) && feed.has(topic);
                if let Some(feed) = self.feeds.iter_mut().find(own) {
                    feed.subscribed(&mut self.core, topic, id, &listeners);
                }
            }
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.topics.insert(topic.to_owned());
            }
        }
    }

    /// One wrong topic refuses the whole request. Errors: what the venue says.
    fn may_subscribe(
        &self,
        id: ConnId,
        room: Room,
        count: usize,
        topics: &[&str],
    ) -> Result<(), String> {
        let Some(conn) = self.conns.get(&id) else {
            return Err(String::new());
        };
        if room == Room::Private && conn.account.is_none() {
            return Err("Request not authorized".to_owned());
        }
        if topics.is_empty() || topics.len() != count {
            return Err("error:invalid args".to_owned());
        }
        if room == Room::Public(Category::Spot) && count > SPOT_ARGS_MAX {
            return Err(format!("args size >{SPOT_ARGS_MAX}"));
        }
        let all = conn.topics.iter().map(String::as_str);
        let len: usize = all.chain(topics.iter().copied()).map(str::len).sum();
        if len > ARGS_TEXT_MAX {
            return Err(format!("args length >{ARGS_TEXT_MAX}"));
        }
        if is_mixed(topics) {
            return Err("error:topics whole and by category in one request".to_owned());
        }
        for topic in topics {
            let is_served = match room {
                Room::Public(category) => {
                    let mut feeds = self.feeds.iter();
                    feeds.any(|feed| feed.is_of(category) && feed.has(topic))
                }
                Room::Private => is_private_topic(topic),
                Room::Trade => false,
            };
            if !is_served {
                return Err(format!("Invalid topic: {topic}"));
            }
            if conn.topics.contains(*topic) {
                return Err(format!("error:already subscribed,topic:{topic}"));
            }
        }
        Ok(())
    }

    fn order_op(&mut self, id: ConnId, message: &Value, name: &str, args: &[Value]) {
        let route = name.strip_prefix("order.").and_then(Op::parse);
        let (mut usage, arg) = (None, args.first().cloned().unwrap_or(Value::Null));
        let result = match (self.may_order(id, message, args, route.is_some()), route) {
            (Ok(account), Some((op, is_batch))) => {
                let (result, used) = self.order_request(account, op, is_batch, &arg);
                usage = used;
                result
            }
            (Ok(_), None) => Err(Refused::new(10404, "op not found")),
            (Err(refused), route) => {
                if let Some((op, is_batch)) = route {
                    self.turned_away(op, is_batch, &arg, &refused);
                }
                Err(refused)
            }
        };
        let empty = || (json!({}), json!({}));
        let refused = result.as_ref().err().cloned();
        let (data, ext) = result.unwrap_or_else(|_| empty());
        let (code, text) = refused.as_ref().map_or((0, "OK"), |r| (r.code, &r.text));
        let mut header = Map::new();
        for (key, value) in reply::usage_headers(usage, &self.core) {
            header.insert(key.to_owned(), json!(value));
        }
        let answer = json!({
            "retCode": code, "retMsg": text, "op": name, "data": data, "retExtInfo": ext,
            "header": header, "connId": conn_id(id),
        });
        let response = Response::json(200, with_request_id(message, answer));
        let private = std::mem::take(&mut self.private);
        self.core.answer(ReplyTo::Ws(id), response, private);
    }

    /// What is checked before an order request is looked at. Errors: the refusal.
    fn may_order(
        &mut self,
        id: ConnId,
        message: &Value,
        args: &[Value],
        is_op: bool,
    ) -> Result<AccountId, Refused> {
        let now = self.core.now;
        if !self.limits.trade(now) {
            return Err(Refused::new(10403, "Exceed IP rate limit."));
        }
        let Some(conn) = self.conns.get_mut(&id) else {
            return Err(Refused::new(NOT_LOGGED_IN, ""));
        };
        if !is_op {
            return Err(Refused::new(10404, "op type is not found"));
        }
        let account = conn
            .account
            .ok_or_else(|| Refused::new(NOT_LOGGED_IN, "Permission denied, please log in."))?;
        if conn.close_ns.is_some() {
            return Err(Refused::new(10019, "ws trade service is restarting"));
        }
        let request_id = text_of(message, "reqId");
        if request_id.len() > REQUEST_ID_MAX {
            return Err(Refused::parameter("reqId is too long"));
        }
        if !request_id.is_empty() && !conn.is_new_request(request_id) {
            return Err(Refused::new(20006, "Duplicate reqId"));
        }
        let header = message.get("header").unwrap_or(&Value::Null);
        let timestamp = text_of(header, "X-BAPI-TIMESTAMP");
        auth::check_time(&self.core, timestamp, text_of(header, "X-BAPI-RECV-WINDOW"))?;
        if args.len() != 1 {
            return Err(Refused::parameter("args must have one item"));
        }
        let category = args.first().map_or("", |arg| text_of(arg, "category"));
        if Category::parse(category).is_none() {
            return Err(Refused::new(10404, "category is not correct"));
        }
        Ok(account)
    }
}

/// An answer under the request's id, where it has one.
fn with_request_id(message: &Value, answer: Value) -> Value {
    let mut map = Map::new();
    if let Some(id) = message.get("reqId") {
        map.insert("reqId".into(), id.clone());
    }
    if let Value::Object(rest) = answer {
        map.extend(rest);
    }
    Value::Object(map)
}
