//! WebSocket connections: pings of both kinds, and the topics of the market sockets.
//!
//! ```text
//!  market   every 5 s   {"ping":MS}                          {"pong":MS}
//!  private  every 20 s  {"action":"ping","data":{"ts":MS}}   {"action":"pong","data":{"ts":MS}}
//!           two without a matching pong ─▶ closed when the third is due
//! ```
//! A pong with another value answers nothing.

use super::Huobi;
use super::auth;
use super::limits;
use super::reply::Refused;
use super::topic::Topic;
use crate::core::{ConnId, Core};
use crate::engine::AccountId;
use crate::fault::{Kind, Link};
use crate::window::Window;
use flate2::{Compress, Compression, FlushCompress, Status};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Pause between the pings of market and of private sockets.
const PING_NS: [u64; 2] = [5_000_000_000, 20_000_000_000];
/// Pings in a row that may stay without a pong. Of private sockets: unverified.
const MISSED_MAX: usize = 2;
/// How long a private socket may go without a login. Unverified: the page says a short wait.
const LOGIN_WAIT_NS: u64 = 10_000_000_000;
/// Private connections of one key.
const CONNECTIONS_MAX: usize = 10;
/// Code of a close that we ask for. Unverified.
pub const CLOSE: u16 = 1000;

/// What a connection was opened at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `/ws`: trades, best quotes, whole books, tickers.
    Market,
    /// `/feed`: increments of books.
    Feed,
    /// `/ws/v2`: what becomes of orders and balances.
    User,
    /// `/ws/trade`: orders.
    Trade,
}

impl Place {
    /// By its path.
    pub fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/ws" => Self::Market,
            "/feed" => Self::Feed,
            "/ws/v2" => Self::User,
            "/ws/trade" => Self::Trade,
            _ => return None,
        })
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Market => "/ws",
            Self::Feed => "/feed",
            Self::User => "/ws/v2",
            Self::Trade => "/ws/trade",
        }
    }

    /// Whether it needs a login.
    pub const fn is_private(self) -> bool {
        matches!(self, Self::User | Self::Trade)
    }

    /// Its kind for faults.
    pub const fn link(self) -> Link {
        if self.is_private() {
            Link::Private
        } else {
            Link::Public
        }
    }
}

/// A private subscription: its channel as confirmed, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateSub {
    pub(super) ch: String,
    pub(super) kind: PrivateKind,
}

/// Private channels; an instrument where one is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrivateKind {
    Orders(Option<usize>),
    Clearing(Option<usize>, u8),
    Accounts(u8),
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    place: Place,
    pub(super) account: Option<AccountId>,
    topics: Vec<(Topic, usize)>,
    pub(super) subs: Vec<PrivateSub>,
    opened_ns: u64,
    ping_due: u64,
    /// Values of pings without a pong.
    missed: Vec<i64>,
    close_ns: Option<u64>,
    /// Requests of a private socket, `req` of a market socket.
    requests: Window,
}

impl Conn {
    /// A fresh connection.
    pub fn new(place: Place, now: u64, factor: u32) -> Self {
        let [market, private] = PING_NS;
        let (ping_ns, requests) = if place.is_private() {
            (private, limits::of_private_socket(factor))
        } else {
            (market, limits::of_market_socket(factor))
        };
        Self {
            place,
            account: None,
            topics: Vec::new(),
            subs: Vec::new(),
            opened_ns: now,
            ping_due: now + ping_ns,
            missed: Vec::new(),
            close_ns: None,
            requests,
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether it has to go: a restart, no login in time, pings without pongs.
    fn is_over(&self, now: u64) -> bool {
        let is_stranger = self.place.is_private() && self.account.is_none();
        self.close_ns.is_some_and(|at| now >= at)
            || (is_stranger && now >= self.opened_ns + LOGIN_WAIT_NS)
            || (now >= self.ping_due && self.missed.len() >= MISSED_MAX)
    }

    /// Takes a pong.
    fn ponged(&mut self, value: &Value) {
        if value
            .as_i64()
            .is_some_and(|value| self.missed.contains(&value))
        {
            self.missed.clear();
        }
    }

    /// Its window, for the admin endpoint.
    pub fn limit_json(&self, id: ConnId) -> Value {
        self.requests
            .json(&format!("requests of {} {id}", self.place.path()))
    }
}

/// Subscribers of a topic.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, topic: Topic, inst: usize) -> Vec<ConnId> {
    conns
        .iter()
        .filter(|(_, conn)| conn.topics.contains(&(topic, inst)))
        .map(|(id, _)| *id)
        .collect()
}

/// The header of a gzip member as recorded: no flags, no time, system 0.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0];

thread_local! {
    /// A new one for each message would cost more than its work does.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// One gzip member: header, deflated text, checksum and length.
pub fn gzip(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(GZIP.len() + text.len() + 64);
    out.extend_from_slice(&GZIP);
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut at = 0;
        loop {
            let rest = text.as_bytes().get(at..).unwrap_or(&[]);
            let status = deflate.compress_vec(rest, &mut out, FlushCompress::Finish);
            if !matches!(status, Ok(Status::Ok | Status::BufError)) {
                break;
            }
            at = deflate.total_in() as usize;
            out.reserve(text.len() + 64);
        }
    });
    out.extend_from_slice(&crc32fast::hash(text.as_bytes()).to_le_bytes());
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out
}

/// Tells a fault's code and message to a private socket.
pub fn refusal(action: &str, code: i64, ch: &Value, message: &str) -> String {
    json!({"action": action, "code": code, "ch": ch, "message": message}).to_string()
}

fn is_text_or_number(value: &&Value) -> bool {
    value.is_string() || value.is_number()
}

impl Huobi {
    /// Pings what is due, closes what is over.
    pub(super) fn check_conns(&mut self) {
        let now = self.core.now;
        let over = self.conns.iter().filter(|(_, conn)| conn.is_over(now));
        let over: Vec<ConnId> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.drop_conn(id, Some(CLOSE));
        }
        let stamp = self.core.venue_ms();
        for (id, conn) in &mut self.conns {
            if now < conn.ping_due {
                continue;
            }
            let is_private = conn.place.is_private();
            conn.ping_due = now + PING_NS[usize::from(is_private)];
            // Of a silence nobody can be blamed.
            if self.core.is_silent(*id) {
                continue;
            }
            conn.missed.push(stamp);
            let text = if is_private {
                format!("{{\"action\":\"ping\",\"data\":{{\"ts\":{stamp}}}}}")
            } else {
                format!("{{\"ping\":{stamp}}}")
            };
            self.core.send(*id, text);
        }
    }

    /// When [`Huobi::check_conns`] next has work.
    pub(super) fn conns_deadline(&self) -> u64 {
        let at = self.conns.values().map(|conn| {
            let login = conn.opened_ns + LOGIN_WAIT_NS;
            let is_stranger = conn.place.is_private() && conn.account.is_none();
            conn.ping_due
                .min(if is_stranger { login } else { u64::MAX })
                .min(conn.close_ns.unwrap_or(u64::MAX))
        });
        at.min().unwrap_or(u64::MAX)
    }

    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        let Some(place) = self.conns.get(&id).map(|conn| conn.place) else {
            return;
        };
        let message = serde_json::from_str::<Value>(text);
        match (place, message) {
            (Place::Market | Place::Feed, Ok(message @ Value::Object(_))) => {
                self.on_market(id, place, &message);
            }
            (Place::Market | Place::Feed, _) => self.refuse(id, &Value::Null, "invalid json"),
            (Place::User | Place::Trade, Ok(message @ Value::Object(_))) => {
                self.on_private(id, place, &message);
            }
            (Place::User | Place::Trade, _) => {
                let text = json!({"code": 2001, "message": "invalid.json"});
                self.core.send(id, text.to_string());
            }
        }
    }

    fn on_market(&mut self, id: ConnId, place: Place, message: &Value) {
        if let Some(value) = message.get("pong") {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.ponged(value);
            }
            return;
        }
        if let Some(value) = message.get("ping") {
            match value.as_i64() {
                Some(value) => self.core.send(id, json!({"pong": value}).to_string()),
                None => self.refuse(id, message, "invalid ping"),
            }
            return;
        }
        let found = ["sub", "unsub", "req"]
            .into_iter()
            .find_map(|verb| Some((verb, message.get(verb)?.as_str().unwrap_or(""))));
        let Some((verb, name)) = found else {
            self.refuse(id, message, "invalid command");
            return;
        };
        match self.parse_topic(place, name) {
            Ok((topic, inst)) => self.on_topic(id, verb, (topic, inst), name, message),
            Err(text) => self.refuse(id, message, &text),
        }
    }

    /// A topic that is served at a place. Errors: what the venue says of another.
    fn parse_topic(&self, place: Place, name: &str) -> Result<(Topic, usize), String> {
        let invalid = || String::from("invalid topic");
        let rest = name.strip_prefix("market.").ok_or_else(invalid)?;
        let (symbol, words) = rest.split_once('.').ok_or_else(invalid)?;
        let topic = Topic::parse(words).ok_or_else(invalid)?;
        // Snapshots fit increments on this socket only: there they are, and nothing else.
        let is_increment = matches!(topic, Topic::Increments(_));
        if is_increment != (place == Place::Feed) {
            return Err(invalid());
        }
        let inst = self.inst_of(symbol).ok_or_else(|| match topic {
            Topic::Increments(levels) => format!("invalid mbp.{levels}.symbol {symbol}"),
            _ => "invalid symbol".into(),
        })?;
        Ok((topic, inst))
    }

    fn on_topic(
        &mut self,
        id: ConnId,
        verb: &str,
        (topic, inst): (Topic, usize),
        name: &str,
        message: &Value,
    ) {
        let now = self.core.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        match verb {
            "sub" => {
                if !conn.topics.contains(&(topic, inst)) {
                    conn.topics.push((topic, inst));
                }
                self.confirm(id, message, "subbed", name);
                if let Some(first) = self.feeds[inst].subscribed(&self.core, topic) {
                    self.core.send(id, first);
                }
            }
            "unsub" => {
                let count = conn.topics.len();
                conn.topics.retain(|known| *known != (topic, inst));
                if conn.topics.len() == count {
                    self.refuse(id, message, "unsub with not subbed topic");
                } else {
                    self.confirm(id, message, "unsubbed", name);
                }
            }
            _ if !conn.requests.take(now, 1) => self.refuse(id, message, "429 too many request"),
            _ => self.answer_req(id, (topic, inst), name, message),
        }
    }

    fn answer_req(
        &mut self,
        id: ConnId,
        (topic, inst): (Topic, usize),
        name: &str,
        message: &Value,
    ) {
        let mut head = Map::new();
        if let Some(own) = message.get("id").filter(is_text_or_number) {
            head.insert("id".into(), own.clone());
        }
        head.insert("rep".into(), json!(name));
        head.insert("status".into(), json!("ok"));
        let head = Value::Object(head).to_string();
        let head = format!("{},\"data\":", head.trim_end_matches('}'));
        let feed = &mut self.feeds[inst];
        if let Topic::Increments(levels) = topic
            && let Some(fault) = self.core.faults.take(Kind::SnapshotNew)
        {
            let ns = fault.ms.unsigned_abs().saturating_mul(1_000_000);
            feed.answer_late(self.core.now, id, levels, ns, head);
            return;
        }
        match feed.data(&mut self.core, topic) {
            Some(data) => self.core.send(id, format!("{head}{data}}}")),
            None => self.refuse(id, message, "invalid topic"),
        }
    }

    /// `{"id":…,"status":"ok","subbed":…,"ts":…}`; the id as it came.
    fn confirm(&mut self, id: ConnId, message: &Value, verb: &str, name: &str) {
        let mut answer = Map::new();
        if let Some(own) = message.get("id").filter(is_text_or_number) {
            answer.insert("id".into(), own.clone());
        }
        answer.insert("status".into(), json!("ok"));
        answer.insert(verb.into(), json!(name));
        answer.insert("ts".into(), json!(self.core.venue_ms()));
        self.core.send(id, Value::Object(answer).to_string());
    }

    /// `{"ts":…,"status":"error","err-code":"bad-request","err-msg":…,"id":…}`.
    fn refuse(&mut self, id: ConnId, message: &Value, text: &str) {
        let mut answer = json!({
            "ts": self.core.venue_ms(), "status": "error", "err-code": "bad-request",
            "err-msg": text,
        });
        if let Some(own) = message.get("id").filter(is_text_or_number) {
            answer["id"] = own.clone();
        }
        self.core.send(id, answer.to_string());
    }

    fn on_private(&mut self, id: ConnId, place: Place, message: &Value) {
        let action = message.get("action").and_then(Value::as_str);
        let ch = message.get("ch").unwrap_or(&Value::Null);
        let now = self.core.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        match action {
            Some("pong") => {
                if let Some(value) = message.pointer("/data/ts") {
                    conn.ponged(value);
                }
                return;
            }
            Some("ping") => {
                let answer = json!({"action": "pong", "data": message.get("data")});
                self.core.send(id, answer.to_string());
                return;
            }
            _ => {}
        }
        if !conn.requests.take(now, 1) {
            if place == Place::Trade && action.is_none() {
                self.too_many(id, message);
            } else {
                let text = refusal(action.unwrap_or(""), 4000, ch, "too.many.request");
                self.core.send(id, text);
            }
            return;
        }
        match (place, action) {
            (_, Some("req")) if ch == "auth" => self.login(id, place, message),
            (Place::User, Some(verb @ ("sub" | "unsub"))) => self.on_private_sub(id, verb, ch),
            (Place::Trade, None) => self.on_trade(id, message),
            (_, Some("req" | "sub" | "unsub")) => {
                let text = refusal(action.unwrap_or(""), 2001, ch, "invalid.ch");
                self.core.send(id, text);
            }
            (_, action) => {
                let text = refusal(action.unwrap_or(""), 2001, ch, "invalid.action");
                self.core.send(id, text);
            }
        }
    }

    fn login(&mut self, id: ConnId, place: Place, message: &Value) {
        let params = message.get("params").unwrap_or(&Value::Null);
        let result = auth::login(&self.core, place.path(), params).and_then(|account| {
            let of_key = |conn: &&Conn| conn.account == Some(account);
            let others = self.conns.values().filter(of_key).count();
            if others < CONNECTIONS_MAX * self.limits.factor() as usize {
                Ok(account)
            } else {
                Err((4000, "too.many.connection"))
            }
        });
        let text = match result {
            Ok(account) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.account = Some(account);
                }
                json!({"action": "req", "code": 200, "ch": "auth", "data": {}}).to_string()
            }
            Err((code, text)) => {
                note_login(&mut self.core, code, text);
                refusal("req", code, &json!("auth"), text)
            }
        };
        self.core.send(id, text);
    }

    fn too_many(&mut self, id: ConnId, message: &Value) {
        let refused = Refused::new("too-many-requests", "too many request");
        self.refuse_trade(id, message, &refused);
    }
}

fn note_login(core: &mut Core, code: i64, text: &str) {
    let now = core.now;
    core.record.refused("login", "", code, text, now);
}
