//! The WebSocket: requests and answers, channels, heartbeats, cancel on disconnect.
//!
//! ```text
//! set_heartbeat N ─▶ every N s: heartbeat, test_request ─▶ public/test within N s, or the connection is cut
//! subscribe ─▶ the names that are now told; those that are missing are the error ─▶ first messages of each
//! ```

use super::auth::{self, Login};
use super::channels::{Kind, Pace, Topic};
use super::limits::Pool;
use super::ops::{Caller, field, is_order_method};
use super::reply::{self, Refused};
use super::{Deribit, streams};
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::AccountId;
use crate::fault::{self, Link};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Channels of one request [U].
const CHANNELS_MAX: usize = 500;
/// Connections that may be logged in with one account's key.
const SESSIONS_MAX: usize = 16;
/// The shortest interval of heartbeats, seconds.
const HEARTBEAT_S_MIN: u64 = 10;
/// The longest [U].
const HEARTBEAT_S_MAX: u64 = 86_400;
const SECOND_NS: u64 = 1_000_000_000;

#[derive(Debug)]
struct Heartbeat {
    length_ns: u64,
    next_ns: u64,
    /// Until when `public/test` must come.
    proof_by: Option<u64>,
}

/// One connection.
#[derive(Debug, Default)]
pub struct Conn {
    login: Option<Login>,
    subs: Vec<(String, Topic)>,
    heartbeat: Option<Heartbeat>,
    /// Cancel on disconnect.
    is_armed: bool,
    /// Open orders placed over it.
    orders: BTreeSet<u64>,
    close_ns: Option<u64>,
}

impl Conn {
    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Its login is over.
    pub fn lapse(&mut self, now: u64) {
        if let Some(login) = &mut self.login {
            login.until_ns = now;
        }
    }

    /// Whether its orders end with it.
    pub fn is_armed(&self) -> bool {
        self.is_armed
    }

    /// What to cancel when it ends.
    pub fn to_cancel(&self) -> impl Iterator<Item = &u64> {
        self.orders.iter().filter(|_| self.is_armed)
    }

    /// An order was placed over it.
    pub fn placed(&mut self, order: u64) {
        self.orders.insert(order);
    }

    /// An order is over.
    pub fn done(&mut self, order: u64) {
        self.orders.remove(&order);
    }

    /// When it next wants looking at.
    pub fn next_deadline(&self) -> u64 {
        let beat = self.heartbeat.as_ref().map(|it| {
            let proof = it.proof_by.unwrap_or(u64::MAX);
            it.next_ns.min(proof)
        });
        let close = self.close_ns.unwrap_or(u64::MAX);
        beat.unwrap_or(u64::MAX).min(close)
    }

    /// Whether it has to go: a restart is due, or it gave no proof of life.
    fn is_over(&self, now: u64) -> bool {
        let proof_by = self.heartbeat.as_ref().and_then(|it| it.proof_by);
        let is_due = |at: Option<u64>| at.is_some_and(|at| now >= at);
        is_due(self.close_ns) || is_due(proof_by)
    }
}

/// Followers of a public channel, by its name.
pub fn listeners(
    conns: &BTreeMap<ConnId, Conn>,
    kind: Kind,
    pace: Pace,
    inst: usize,
) -> Vec<(String, Vec<ConnId>)> {
    let mut found: BTreeMap<&str, Vec<ConnId>> = BTreeMap::new();
    for (id, conn) in conns {
        for (name, topic) in &conn.subs {
            if topic.kind == kind && topic.pace == pace && topic.insts.contains(&inst) {
                found.entry(name).or_default().push(*id);
            }
        }
    }
    let found = found.into_iter();
    found.map(|(name, ids)| (name.to_owned(), ids)).collect()
}

/// Followers of a kind, whatever the channel.
pub fn listeners_of(conns: &BTreeMap<ConnId, Conn>, kind: Kind) -> Vec<ConnId> {
    let follows = |conn: &Conn| conn.subs.iter().any(|(_, topic)| topic.kind == kind);
    let found = conns.iter().filter(|(_, conn)| follows(conn));
    found.map(|(id, _)| *id).collect()
}

fn subs_of(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
) -> impl Iterator<Item = (ConnId, &String, &Topic)> {
    let of = move |conn: &&Conn| conn.login.is_some_and(|login| login.account == account);
    let found = conns.iter().filter(move |(_, conn)| of(conn));
    found.flat_map(|(id, conn)| {
        let subs = conn.subs.iter();
        subs.map(|(name, topic)| (*id, name, topic))
    })
}

/// An account's subscriptions to what is told of its orders in an instrument.
pub fn private_subs(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
    kind: Kind,
    inst: usize,
) -> Vec<(ConnId, String, Pace)> {
    subs_of(conns, account)
        .filter(|(_, _, topic)| topic.kind == kind && topic.insts.contains(&inst))
        .map(|(id, name, topic)| (id, name.clone(), topic.pace))
        .collect()
}

/// An account's subscriptions to what is told of an asset.
pub fn followers(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
    asset: usize,
) -> Vec<(ConnId, String)> {
    subs_of(conns, account)
        .filter(|(_, _, topic)| topic.assets.contains(&asset))
        .map(|(id, name, _)| (id, name.clone()))
        .collect()
}

impl Deribit {
    /// Connections that are over, and heartbeats that are due.
    pub(super) fn check_conns(&mut self) {
        let now = self.core.now;
        let over = self.conns.iter().filter(|(_, conn)| conn.is_over(now));
        let over: Vec<ConnId> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.drop_conn(id, Some(1000));
        }
        for (id, conn) in &mut self.conns {
            let Some(beat) = conn.heartbeat.as_mut().filter(|it| it.next_ns <= now) else {
                continue;
            };
            beat.next_ns = now + beat.length_ns;
            if self.core.is_silent(*id) {
                continue; // who was not asked owes no answer
            }
            for kind in ["heartbeat", "test_request"] {
                let params = json!({"type": kind});
                let text = json!({"jsonrpc": "2.0", "method": "heartbeat", "params": params});
                self.core.send(*id, text.to_string());
            }
            beat.proof_by.get_or_insert(now + beat.length_ns);
        }
    }

    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        if !self.conns.contains_key(&id) {
            return;
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            let text = reply::envelope(&self.core, None, &Err(Refused::new(-32_700)));
            self.core.send(id, text);
            return;
        };
        let request_id = message.get("id");
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            let text = reply::envelope(&self.core, request_id, &Err(Refused::new(-32_600)));
            self.core.send(id, text);
            return;
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        let before = self.conns.get(&id).map_or(0, |conn| conn.subs.len());
        let result = self.on_method(id, method, params);
        let is_stopped = matches!(&result, Err(refused) if refused.code == 10_028);
        let answer = reply::envelope(&self.core, request_id, &result);
        if is_order_method(method) {
            let private = std::mem::take(&mut self.private);
            let response = Response::json(200, answer);
            self.core.answer(ReplyTo::Ws(id), response, private);
        } else if method != "private/logout" {
            self.core.send(id, answer);
        }
        // Too many requests end the session.
        if is_stopped || method == "private/logout" && result.is_ok() {
            self.drop_conn(id, Some(1000));
            return;
        }
        self.first_words(id, before);
        self.send_private();
    }

    fn on_method(&mut self, id: ConnId, method: &str, params: &Value) -> Result<Value, Refused> {
        let is_order = is_order_method(method);
        let login = self.conns.get(&id).and_then(|conn| conn.login);
        let account = login.map(|login| login.account);
        let is_stopped = is_order && self.core.faults.take(fault::Kind::RateLimit).is_some();
        if is_stopped || !self.limits.take(self.core.now, account, Pool::of(method)) {
            let refused = Refused::new(10_028);
            self.refused(method, params, &refused);
            return Err(refused);
        }
        let result = self.who(login, params, method);
        let caller = match result {
            Ok(account) => Caller {
                conn: Some(id),
                account,
            },
            Err(refused) => {
                self.refused(method, params, &refused);
                return Err(refused);
            }
        };
        if is_order {
            self.core.opened(id, Link::Private);
        }
        match self.on_connection(id, &caller, method, params) {
            Some(result) => result,
            None => self.call(&caller, method, params),
        }
    }

    /// Who asks. Errors: a private method without a login, or with one that has lapsed.
    fn who(
        &self,
        login: Option<Login>,
        params: &Value,
        method: &str,
    ) -> Result<Option<AccountId>, Refused> {
        if let Some(token) = field(params, "access_token") {
            return self.logins.token(&self.core, &token).map(Some);
        }
        let is_private = method.starts_with("private/");
        match login {
            None if is_private => Err(Refused::new(10_000)),
            Some(login) if is_private && login.until_ns <= self.core.now => Err(auth::lapsed()),
            login => Ok(login.map(|login| login.account)),
        }
    }

    /// Methods about the connection itself; `None` when it is not one.
    fn on_connection(
        &mut self,
        id: ConnId,
        caller: &Caller,
        method: &str,
        params: &Value,
    ) -> Option<Result<Value, Refused>> {
        let now = self.core.now;
        Some(match method {
            "public/auth" => self.log_in(id, params),
            "public/test" => {
                let conn = self.conns.get_mut(&id)?;
                if let Some(beat) = &mut conn.heartbeat {
                    beat.proof_by = None;
                }
                return None;
            }
            "public/set_heartbeat" => {
                let wanted = field(params, "interval").and_then(|it| it.parse::<u64>().ok());
                let range = HEARTBEAT_S_MIN..=HEARTBEAT_S_MAX;
                let Some(seconds) = wanted.filter(|it| range.contains(it)) else {
                    let reason = "value is out of range";
                    return Some(Err(Refused::parameter("interval", reason)));
                };
                let length_ns = seconds * SECOND_NS;
                self.conns.get_mut(&id)?.heartbeat = Some(Heartbeat {
                    length_ns,
                    next_ns: now + length_ns,
                    proof_by: None,
                });
                Ok(json!("ok"))
            }
            "public/disable_heartbeat" => {
                self.conns.get_mut(&id)?.heartbeat = None;
                Ok(json!("ok"))
            }
            "public/subscribe" | "private/subscribe" => {
                self.subscribe(id, params, method == "private/subscribe")
            }
            "public/unsubscribe" | "private/unsubscribe" => self.unsubscribe(id, params),
            "public/unsubscribe_all" | "private/unsubscribe_all" => {
                self.conns.get_mut(&id)?.subs.clear();
                self.batches.forget(id);
                Ok(json!("ok"))
            }
            "private/enable_cancel_on_disconnect" => self.arm(id, caller, params, true),
            "private/disable_cancel_on_disconnect" => self.arm(id, caller, params, false),
            "private/get_cancel_on_disconnect" => {
                let scope = field(params, "scope").unwrap_or("connection".into());
                let is_armed = match scope.as_str() {
                    "account" => caller.account.and_then(|it| self.on_disconnect.get(&it)),
                    _ => None,
                };
                let is_armed = is_armed.copied().unwrap_or(self.conns.get(&id)?.is_armed);
                Ok(json!({"scope": scope, "enabled": is_armed}))
            }
            "private/logout" => Ok(json!("ok")),
            _ => return None,
        })
    }

    fn log_in(&mut self, id: ConnId, params: &Value) -> Result<Value, Refused> {
        let granted = self.logins.grant(&self.core, params);
        let result = granted.and_then(|(login, answer)| {
            let of = |conn: &Conn| conn.login.is_some_and(|it| it.account == login.account);
            let others = self.conns.iter().filter(|(other, _)| **other != id);
            if others.filter(|(_, conn)| of(conn)).count() >= SESSIONS_MAX {
                return Err(Refused::new(10_066)); // the code is [U]
            }
            let is_armed = self.on_disconnect.get(&login.account).copied();
            if let Some(conn) = self.conns.get_mut(&id) {
                if conn.login.is_none() {
                    conn.is_armed |= is_armed.unwrap_or(false);
                }
                conn.login = Some(login);
            }
            Ok(answer)
        });
        if let Err(refused) = &result {
            let now = self.core.now;
            self.core
                .record
                .refused("login", "", refused.code, refused.text, now);
        }
        result
    }

    /// Turns cancel on disconnect on or off: here, or for the connections an account opens from now on too.
    fn arm(
        &mut self,
        id: ConnId,
        caller: &Caller,
        params: &Value,
        is_armed: bool,
    ) -> Result<Value, Refused> {
        match (field(params, "scope").as_deref(), caller.account) {
            (None | Some("connection"), _) => {}
            (Some("account"), Some(account)) => {
                self.on_disconnect.insert(account, is_armed);
            }
            _ => return Err(Refused::parameter("scope", "must be connection or account")),
        }
        self.core.record.request("cancel_on_disconnect", None);
        self.core.opened(id, Link::Private);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.is_armed = is_armed;
        }
        Ok(json!("ok"))
    }

    fn subscribe(
        &mut self,
        id: ConnId,
        params: &Value,
        is_private: bool,
    ) -> Result<Value, Refused> {
        let names = channel_names(params)?;
        let is_logged_in = self.conns.get(&id).is_some_and(|conn| conn.login.is_some());
        let mut told = BTreeSet::new();
        for name in names {
            let Some(topic) = Topic::parse(&self.core.engine, &self.names, name) else {
                continue;
            };
            let is_allowed =
                (is_private || !topic.kind.is_private()) && (is_logged_in || !topic.wants_login());
            if !is_allowed {
                continue;
            }
            if topic.kind.is_private() {
                self.core.opened(id, Link::Private);
            }
            told.insert(name.to_owned());
            for inst in topic.insts.iter().filter(|_| topic.kind == Kind::Book) {
                let conns = &self.conns;
                let listeners = |kind, pace, inst| listeners(conns, kind, pace, inst);
                if let Some(feed) = self.feeds.get_mut(*inst) {
                    feed.catch_up(&mut self.core, topic.pace, &listeners);
                }
            }
            if let Some(conn) = self.conns.get_mut(&id)
                && conn.subs.iter().all(|(known, _)| known != name)
            {
                conn.subs.push((name.to_owned(), topic));
            }
        }
        Ok(in_the_venues_order(told))
    }

    fn unsubscribe(&mut self, id: ConnId, params: &Value) -> Result<Value, Refused> {
        let names = channel_names(params)?;
        let mut told = BTreeSet::new();
        if let Some(conn) = self.conns.get_mut(&id) {
            for name in names {
                let before = conn.subs.len();
                conn.subs.retain(|(known, _)| known != name);
                if conn.subs.len() < before {
                    told.insert(name.to_owned());
                }
            }
        }
        Ok(in_the_venues_order(told))
    }

    /// The first messages of the channels that were just subscribed, those after the first `before`.
    fn first_words(&mut self, id: ConnId, before: usize) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let account = conn.login.map(|login| login.account);
        let fresh = conn.subs.iter().skip(before);
        let fresh: Vec<(String, Topic)> = fresh.cloned().collect();
        for (name, topic) in fresh {
            for feed in topic.insts.iter().filter_map(|inst| self.feeds.get(*inst)) {
                if let Some(data) = feed.first(&self.core, topic.kind, topic.pace) {
                    self.core.send(id, streams::message(&name, &data));
                }
            }
            for asset in &topic.assets {
                if let Some(account) = account {
                    self.tell_portfolio(id, &name, account, *asset);
                }
            }
        }
    }

    /// Notes a request that got no further than the door.
    pub(super) fn refused(&mut self, method: &str, params: &Value, refused: &Refused) {
        let (op, now) = (super::ops::op_name(method), self.core.now);
        let label = field(params, "label").unwrap_or_default();
        let counted = (op == "new").then_some(label.as_str());
        self.core.record.request(op, counted);
        let (code, text) = (refused.code, refused.text);
        self.core.record.refused(op, &label, code, text, now);
    }
}

fn channel_names(params: &Value) -> Result<Vec<&str>, Refused> {
    let list = params.get("channels").and_then(Value::as_array);
    let list = list.ok_or_else(|| Refused::parameter("channels", "is required"))?;
    if list.len() > CHANNELS_MAX {
        return Err(Refused::parameter("channels", "too many channels"));
    }
    Ok(list.iter().filter_map(Value::as_str).collect())
}

/// From the last name to the first, as recorded.
fn in_the_venues_order(names: BTreeSet<String>) -> Value {
    json!(names.into_iter().rev().collect::<Vec<String>>())
}
