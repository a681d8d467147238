//! A socket: events as objects, channels as arrays, login and order operations on channel 0.
//!
//! ```text
//!  {"event":"conf"|"ping"|"subscribe"|"unsubscribe"|"auth",…} ─▶ {"event":…}
//!  [0,"on"|"ou"|"oc"|"oc_multi"|"ox_multi"|"calc",null,BODY]  ─▶ [0,"n",…], then events of channel 0
//! ```

use super::Bitfinex;
use super::book::Shape;
use super::conn::{Channel, FLAGS, Login, Topic};
use super::ops::{Op, field};
use super::reply::{self, Refused};
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::AccountId;
use crate::fault::{Kind, Link};
use serde_json::{Map, Value, json};

/// Channels of a connection.
const CHANNELS_MAX: usize = 25;
/// A channel that said nothing for so long says so.
const BEAT_NS: u64 = 15_000_000_000;
/// The value that switches the dead man's switch on.
const DEAD_MAN: &str = "4";
/// Words of a login's filter.
const FILTER_MAX: usize = 64;

/// `{"event":"info","code":…,"msg":…}`.
pub fn info(code: i64, text: &str) -> String {
    json!({"event": "info", "code": code, "msg": text}).to_string()
}

/// A number that looks random and repeats.
fn scattered(seed: u64) -> u64 {
    let mut value = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value ^= value >> 29;
    value = value.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^ value >> 32
}

/// A name made of a number, in the venue's shape.
fn uuid(seed: u64) -> String {
    let (high, low) = (scattered(seed), scattered(seed ^ 0x5bd1_e995));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

impl Bitfinex {
    /// What a new connection is told.
    pub(super) fn greet(&mut self, id: ConnId) {
        let status = i32::from(!self.is_paused());
        let text = json!({
            "event": "info", "version": 2, "serverId": uuid(1), "platform": {"status": status},
        });
        self.core.send(id, text.to_string());
    }

    /// A frame of a channel for one connection; `None` when it is gone.
    pub(super) fn frame(&mut self, id: ConnId, channel: u64, body: &str) -> Option<String> {
        let (now, ms) = (self.core.now, self.core.venue_ms());
        let conn = self.conns.get_mut(&id)?;
        Some(conn.frame(now, ms, channel, body))
    }

    /// Sends a frame of a channel.
    pub(super) fn say(&mut self, id: ConnId, channel: u64, body: &str) {
        if let Some(text) = self.frame(id, channel, body) {
            self.core.send(id, text);
        }
    }

    /// The events that wait, as frames.
    pub(super) fn take_private(&mut self) -> Vec<(ConnId, String)> {
        let (now, ms) = (self.core.now, self.core.venue_ms());
        let mut frames = Vec::new();
        for (id, body) in std::mem::take(&mut self.private) {
            if let Some(conn) = self.conns.get_mut(&id) {
                frames.push((id, conn.event(now, ms, &body, false)));
            }
        }
        frames
    }

    /// Heartbeats of channels that have been quiet.
    pub(super) fn beat(&mut self) {
        let now = self.core.now;
        let mut due = Vec::new();
        for (id, conn) in &self.conns {
            let is_due = |said: u64| now.saturating_sub(said) >= BEAT_NS;
            if conn.login.is_some() && is_due(conn.said_ns) {
                due.push((*id, 0));
            }
            let quiet = conn
                .channels
                .iter()
                .filter(|(_, channel)| is_due(channel.said_ns));
            due.extend(quiet.map(|(channel, _)| (*id, *channel)));
        }
        for (id, channel) in due {
            self.say(id, channel, "\"hb\"");
        }
    }

    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        if !self.conns.contains_key(&id) {
            return;
        }
        let message = serde_json::from_str::<Value>(text).unwrap_or_default();
        if let Some(items) = message.as_array() {
            self.on_input(id, items);
            return;
        }
        match message.get("event").and_then(Value::as_str) {
            Some("conf") => self.configure(id, &message),
            Some("ping") => {
                let ms = self.core.venue_ms();
                let mut answer = json!({"event": "pong", "ts": ms});
                if let Some(cid) = message.get("cid") {
                    answer["cid"] = cid.clone();
                }
                self.core.send(id, answer.to_string());
            }
            Some("subscribe") => self.subscribe(id, &message),
            Some("unsubscribe") => self.unsubscribe(id, &message),
            Some("auth") => self.log_in(id, &message),
            _ => self.error(id, Map::new(), &Refused::new(10_000, "event: invalid")),
        }
    }

    fn configure(&mut self, id: ConnId, message: &Value) {
        let flags = field(message, "flags").and_then(|text| text.parse::<u64>().ok());
        let flags = flags.filter(|flags| flags & !FLAGS == 0);
        let Some((conn, flags)) = self.conns.get_mut(&id).zip(flags) else {
            self.error(id, Map::new(), &Refused::new(10_050, "conf: invalid"));
            return;
        };
        conn.flags = flags;
        let answer = json!({"event": "conf", "status": "OK", "flags": flags});
        self.core.send(id, answer.to_string());
    }

    fn log_in(&mut self, id: ConnId, message: &Value) {
        let result = if self.conns.get(&id).is_some_and(|conn| conn.login.is_some()) {
            Err(Refused::new(10_100, "auth: dup")) // wording [U]
        } else if !self.logins.take(self.core.now, 1) {
            Err(Refused::too_fast())
        } else {
            self.login_account(message)
        };
        let account = match result {
            Ok(account) => account,
            Err(refused) => {
                let now = self.core.now;
                let record = &mut self.core.record;
                record.refused("login", "", refused.code, &refused.text, now);
                let answer = json!({
                    "event": "auth", "status": "FAILED", "chanId": 0,
                    "code": refused.code, "msg": refused.text,
                });
                self.core.send(id, answer.to_string());
                return;
            }
        };
        let words = message.get("filter").and_then(Value::as_array);
        let words = words.into_iter().flatten().filter_map(Value::as_str);
        let login = Login {
            account,
            has_dead_man: field(message, "dms").as_deref() == Some(DEAD_MAN),
            filter: words.take(FILTER_MAX).map(str::to_owned).collect(),
        };
        let answer = json!({
            "event": "auth", "status": "OK", "chanId": 0, "userId": 269_312 + account,
            "auth_id": uuid(id), "caps": {
                "orders": {"read": 1, "write": 1}, "account": {"read": 1, "write": 0},
                "history": {"read": 1, "write": 0}, "wallets": {"read": 1, "write": 0},
                "positions": {"read": 1, "write": 0},
            },
        });
        self.core.opened(id, Link::Private);
        self.core.send(id, answer.to_string());
        let snapshots = self.snapshots(&login);
        let (now, ms) = (self.core.now, self.core.venue_ms());
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.login = Some(login);
            for body in snapshots {
                let text = conn.event(now, ms, &body, true);
                self.core.send(id, text);
            }
        }
    }

    /// What channel 0 begins with: orders, positions, wallets, and what it is all worth.
    fn snapshots(&self, login: &Login) -> Vec<String> {
        let mut bodies = Vec::new();
        let orders = self.core.engine.open_orders(login.account);
        let orders: Vec<Value> = orders
            .filter(|order| login.wants("trading", self.name(order.ask.inst)))
            .map(|order| self.order_row(order))
            .collect();
        let has_trading = |word: &String| word.starts_with("trading");
        if login.filter.is_empty() || login.filter.iter().any(has_trading) {
            bodies.push(format!("\"os\",{}", Value::Array(orders)));
            bodies.push("\"ps\",[]".to_owned());
        }
        if login.wants("wallet", "") {
            let rows = reply::wallets(&self.core, login.account);
            bodies.push(format!("\"ws\",{}", Value::Array(rows)));
        }
        if login.wants("balance", "") {
            let worth = self.worth(login.account);
            bodies.push(format!("\"bu\",[{worth},{worth}]"));
        }
        bodies
    }

    fn subscribe(&mut self, id: ConnId, message: &Value) {
        let channel = field(message, "channel").unwrap_or_default();
        let symbol = field(message, "symbol")
            .or_else(|| field(message, "pair").map(|pair| format!("t{pair}")))
            .unwrap_or_default();
        let mut words = Map::new();
        words.insert("channel".into(), json!(channel));
        words.insert("symbol".into(), json!(symbol));
        if channel == "book" {
            for (name, usual) in [("prec", "P0"), ("freq", "F0"), ("len", "25")] {
                let word = field(message, name).unwrap_or_else(|| usual.to_owned());
                words.insert(name.into(), json!(word));
            }
        }
        if let Some(sub_id) = message.get("subId") {
            words.insert("subId".into(), sub_id.clone());
        }
        words.insert("pair".into(), json!(symbol.get(1..).unwrap_or("")));
        match self.new_channel(id, &words) {
            Ok((inst, topic, number)) => {
                let mut answer = Map::new();
                answer.insert("event".into(), json!("subscribed"));
                answer.insert("channel".into(), json!(topic.name()));
                answer.insert("chanId".into(), json!(number));
                words.shift_remove("channel");
                answer.extend(words);
                self.core.send(id, Value::Object(answer).to_string());
                self.start(id, number, inst, topic);
            }
            Err(refused) => self.error(id, words, &refused),
        }
    }

    /// Opens a channel. Errors: 10300 to 10305, 11000.
    fn new_channel(
        &mut self,
        id: ConnId,
        words: &Map<String, Value>,
    ) -> Result<(usize, Topic, u64), Refused> {
        let word = |name: &str| words.get(name).and_then(Value::as_str).unwrap_or("");
        if self.is_paused() {
            return Err(Refused::new(11_000, "not ready"));
        }
        if !matches!(word("channel"), "book" | "trades" | "ticker") {
            return Err(Refused::new(10_302, "channel: unknown"));
        }
        let symbol = self.inst_of(word("symbol"));
        let inst = symbol.ok_or_else(|| Refused::new(10_300, "symbol: invalid"))?;
        let topic = match word("channel") {
            "book" => {
                let shape = Shape::of(word("prec"), word("freq"), word("len"));
                let wrong = |name| Refused::new(10_300, format!("{name}: invalid"));
                Topic::Book(shape.map_err(wrong)?)
            }
            "trades" => Topic::Trades,
            _ => Topic::Ticker,
        };
        let gone = || Refused::new(10_001, "generic error");
        let conn = self.conns.get_mut(&id).ok_or_else(gone)?;
        let mut held = conn.channels.values();
        if held.any(|channel| channel.inst == inst && channel.topic == topic) {
            return Err(Refused::new(10_301, "subscribe: dup"));
        }
        if conn.channels.len() >= CHANNELS_MAX {
            return Err(Refused::new(10_305, "subscribe: limit"));
        }
        // Numbers mean nothing on another connection, and look so.
        let mut seed = id << 16 ^ (inst as u64) << 8 ^ conn.seq;
        let number = loop {
            let number = 1_000 + scattered(seed) % 500_000;
            if !conn.channels.contains_key(&number) {
                break number;
            }
            seed = seed.wrapping_add(1);
        };
        Ok((inst, topic, number))
    }

    /// Begins a channel with what is known.
    fn start(&mut self, id: ConnId, number: u64, inst: usize, topic: Topic) {
        // What is pending goes to those who were there before; then this one starts.
        let body = match topic {
            Topic::Book(shape) => self.whole_book(inst, shape),
            Topic::Trades => self.recent_trades(inst),
            Topic::Ticker => self.ticker_row(inst, "").to_string(),
        };
        let channel = Channel {
            inst,
            topic,
            said_ns: self.core.now,
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.channels.insert(number, channel);
        }
        self.say(id, number, &body);
    }

    fn unsubscribe(&mut self, id: ConnId, message: &Value) {
        let number = field(message, "chanId").and_then(|text| text.parse::<u64>().ok());
        let conn = self.conns.get_mut(&id);
        let held = number
            .zip(conn)
            .and_then(|(number, conn)| conn.channels.remove(&number).map(|_| number));
        match held {
            Some(number) => {
                let answer = json!({"event": "unsubscribed", "status": "OK", "chanId": number});
                self.core.send(id, answer.to_string());
            }
            None => {
                let mut words = Map::new();
                if let Some(number) = number {
                    words.insert("chanId".into(), json!(number));
                }
                self.error(id, words, &Refused::new(10_401, "not subscribed"));
            }
        }
    }

    /// A message on channel 0: `[0,KIND,null,BODY]`.
    fn on_input(&mut self, id: ConnId, items: &[Value]) {
        let zero = items.first().and_then(Value::as_u64);
        let kind = items.get(1).and_then(Value::as_str).unwrap_or("");
        let body = items.get(3).unwrap_or(&Value::Null);
        let op = Op::of_socket(kind);
        if zero != Some(0) || (op.is_none() && kind != "calc") {
            self.error(id, Map::new(), &Refused::new(10_000, "event: invalid"));
            return;
        }
        let login = self.conns.get(&id).and_then(|conn| conn.login.as_ref());
        let Some(account) = login.map(|login| login.account) else {
            self.error(id, Map::new(), &Refused::new(10_200, "auth: invalid")); // wording [U]
            return;
        };
        let Some(op) = op else {
            self.compute(id, account, body);
            return;
        };
        let is_limited = self.core.faults.take(Kind::RateLimit).is_some();
        let outcome = self.request(account, op, body, is_limited);
        let (now, ms) = (self.core.now, self.core.venue_ms());
        let has_notices = |login: &Login| login.wants("notify", "");
        let rows = outcome.map_or(Vec::new(), |outcome| outcome.notices(ms, op));
        let conn = self.conns.get_mut(&id);
        let conn = conn.filter(|conn| conn.login.as_ref().is_some_and(has_notices));
        let notices: Vec<String> = match conn {
            Some(conn) => rows.iter().map(|row| conn.notice(now, ms, row)).collect(),
            None => Vec::new(),
        };
        let mut private = self.take_private();
        let last = notices.len().wrapping_sub(1);
        for (index, body) in notices.into_iter().enumerate() {
            let response = Response {
                status: 200,
                headers: Vec::new(),
                body,
            };
            // What happened follows the last of several.
            let events = if index == last {
                std::mem::take(&mut private)
            } else {
                Vec::new()
            };
            self.core.answer(ReplyTo::Ws(id), response, events);
        }
        for (conn, text) in private {
            self.core.send_private(conn, text);
        }
    }

    /// Computes wallets: `[["wallet_exchange_USD"],…]`.
    fn compute(&mut self, id: ConnId, account: AccountId, body: &Value) {
        let now = self.core.now;
        if !self
            .conns
            .get_mut(&id)
            .is_some_and(|conn| conn.calcs.take(now, 1))
        {
            self.error(id, Map::new(), &Refused::too_fast());
            return;
        }
        let asked: Vec<&str> = body
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item.get(0).and_then(Value::as_str))
            .filter_map(|name| name.strip_prefix("wallet_exchange_"))
            .collect();
        for (name, asset) in reply::assets(&self.core) {
            if asked.contains(&reply::currency(&name)) {
                let row = reply::wallet_row(&self.core, account, &name, asset, true);
                self.private.push((id, format!("\"wu\",{row}")));
            }
        }
        self.send_private();
    }

    fn error(&mut self, id: ConnId, words: Map<String, Value>, refused: &Refused) {
        let mut answer = Map::new();
        answer.insert("event".into(), json!("error"));
        answer.extend(words);
        answer.insert("msg".into(), json!(refused.text));
        answer.insert("code".into(), json!(refused.code));
        self.core.send(id, Value::Object(answer).to_string());
    }
}
