//! WebSocket side: stream subscriptions, and the WS-API with its session and user data.

use super::Binance;
use super::auth::{self, Params};
use super::info::Ask;
use super::limits::Limits;
use super::ops::Op;
use super::reply::Reject;
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::AccountId;
use crate::venues::query_pairs;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Messages a client may send on a stream connection of spot within a second.
const INBOUND_PER_S: u32 = 5;
/// Streams of one connection.
const STREAMS_MAX: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Stream { is_wrapped: bool },
    Api { with_limits: bool },
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    kind: Kind,
    /// What it listens to.
    pub streams: BTreeSet<String>,
    opened_ns: u64,
    pinged_ns: u64,
    ponged_ns: u64,
    close_ns: Option<u64>,
    second: (u64, u32),
    /// Who is logged on, and since when, milliseconds.
    pub session: Option<(AccountId, i64)>,
    /// By which key.
    pub api_key: String,
    user_streams: Vec<(u64, AccountId)>,
}

impl Conn {
    /// A connection opened at a path.
    pub fn new(path: &str, query: &str, now: u64) -> Self {
        let pairs = query_pairs(query);
        let value = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| key == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let (kind, names) = match path {
            "/ws-api/v3" => {
                let with_limits = value("returnRateLimits") != "false";
                (Kind::Api { with_limits }, "")
            }
            "/stream" => (Kind::Stream { is_wrapped: true }, value("streams")),
            _ => {
                let names = path.strip_prefix("/ws/").unwrap_or("");
                (Kind::Stream { is_wrapped: false }, names)
            }
        };
        Self {
            kind,
            streams: names
                .split('/')
                .filter(|name| !name.is_empty())
                .take(STREAMS_MAX)
                .map(str::to_owned)
                .collect(),
            opened_ns: now,
            pinged_ns: now,
            ponged_ns: now,
            close_ns: None,
            second: (0, 0),
            session: None,
            api_key: String::new(),
            user_streams: Vec::new(),
        }
    }

    /// Whether it is a WS-API connection.
    pub fn is_api(&self) -> bool {
        matches!(self.kind, Kind::Api { .. })
    }

    /// Whether stream payloads are wrapped with their name.
    pub fn is_wrapped(&self) -> bool {
        self.kind == Kind::Stream { is_wrapped: true }
    }

    /// Whether answers of the WS-API tell what is used of the limits.
    pub fn with_limits(&self) -> bool {
        self.kind == Kind::Api { with_limits: true }
    }

    /// The session of a WS-API connection, as the venue shows it.
    pub fn status(&self, now_ms: i64) -> Value {
        json!({
            "apiKey": self.session.map(|_| self.api_key.as_str()),
            "authorizedSince": self.session.map(|(_, since)| since),
            "connectedSince": self.opened_ns / 1_000_000,
            "returnRateLimits": self.with_limits(),
            "serverTime": now_ms,
            "userDataStream": !self.user_streams.is_empty(),
        })
    }

    /// Notes a PONG.
    pub fn ponged(&mut self, now: u64) {
        self.ponged_ns = now;
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether it has to go: no PONG for `silence_ns`, its lifetime is over, or a restart is due.
    pub fn is_over(&self, now: u64, silence_ns: u64, lifetime_ns: u64) -> bool {
        let is_mute = self.pinged_ns > self.ponged_ns && now - self.ponged_ns >= silence_ns;
        is_mute || now - self.opened_ns >= lifetime_ns || self.close_ns.is_some_and(|at| now >= at)
    }

    /// Whether a PING is due; notes it as sent.
    pub fn wants_ping(&mut self, now: u64, every_ns: u64) -> bool {
        let is_due = now - self.pinged_ns >= every_ns;
        if is_due {
            self.pinged_ns = now;
        }
        is_due
    }

    /// Counts an inbound message; whether it is one too many for so many a second.
    pub fn is_too_fast(&mut self, now: u64, per_s: u32) -> bool {
        let second = now / 1_000_000_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.second.1 > per_s
    }
}

/// Who listens to a stream, and whether wrapped.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, name: &str) -> Vec<(ConnId, bool)> {
    conns
        .iter()
        .filter(|(_, conn)| conn.streams.contains(name))
        .map(|(id, conn)| (*id, conn.is_wrapped()))
        .collect()
}

/// An account's user data subscriptions.
pub fn user_streams(conns: &BTreeMap<ConnId, Conn>, account: AccountId) -> Vec<(ConnId, u64)> {
    conns
        .iter()
        .flat_map(|(id, conn)| conn.user_streams.iter().map(|stream| (*id, *stream)))
        .filter(|(_, (_, owner))| *owner == account)
        .map(|(id, (subscription, _))| (id, subscription))
        .collect()
}

impl Binance {
    /// A control message on a stream connection.
    pub(super) fn on_control(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.is_too_fast(now, INBOUND_PER_S) {
            self.drop_conn(id, Some(1008));
            return;
        }
        let answer = match serde_json::from_str::<Value>(text) {
            Ok(message) => control(conn, &message),
            Err(error) => {
                json!({"code": 3, "msg": format!("Invalid JSON: {error}")})
            }
        };
        self.core.send(id, answer.to_string());
    }

    /// A request on the WS-API.
    pub(super) fn on_api(&mut self, conn: ConnId, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            let error = json!({"code": -1135, "msg": "Invalid JSON Request"});
            let answer = json!({"id": null, "status": 400, "error": error});
            self.core.send(conn, answer.to_string());
            return;
        };
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let method = message.get("method").and_then(Value::as_str).unwrap_or("");
        let params = Params::of_json(message.get("params"));
        let op = order_method(method);
        let account = self.session(conn).unwrap_or(0);
        let (result, account) = match op {
            Some(op) => self.private_call(conn, op, &params),
            None => (self.other_call(conn, method, &params), account),
        };
        let envelope = self.envelope(conn, &id, account, op, result);
        let private = std::mem::take(&mut self.private);
        let response = Response::json(200, envelope);
        if op.is_some_and(Op::is_order) {
            self.core.answer(ReplyTo::Ws(conn), response, private);
        } else {
            self.core.answer_now(ReplyTo::Ws(conn), response);
        }
    }

    fn session(&self, conn: ConnId) -> Option<AccountId> {
        self.conns.get(&conn)?.session.map(|(account, _)| account)
    }

    fn private_call(
        &mut self,
        conn: ConnId,
        op: Op,
        params: &Params,
    ) -> (Result<String, Reject>, AccountId) {
        let session = self.session(conn);
        let account = self.spend(op.weight(params)).and_then(|()| match session {
            Some(account) if params.get("signature").is_none() => {
                auth::window(&self.core, params).map(|()| account)
            }
            _ => auth::ws(&self.core, params),
        });
        match account {
            Ok(account) => {
                let result = self.run(account, op, params).map(|value| value.to_string());
                (result, account)
            }
            Err(reject) => {
                self.turned_away(op, params, &reject);
                (Err(reject), session.unwrap_or(0))
            }
        }
    }

    fn other_call(
        &mut self,
        conn: ConnId,
        method: &str,
        params: &Params,
    ) -> Result<String, Reject> {
        if let Some(ask) = public_method(method) {
            self.spend(ask.weight(params))?;
            return self.answer_public(ask, params);
        }
        self.spend(2)?;
        match method {
            "session.logon" => {
                let account = auth::logon(&self.core, params)?;
                let now_ms = self.core.venue_ms();
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.session = Some((account, now_ms));
                    params.need("apiKey")?.clone_into(&mut conn.api_key);
                }
                Ok(self.session_status(conn).to_string())
            }
            "session.status" => Ok(self.session_status(conn).to_string()),
            "session.logout" => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.session = None;
                }
                Ok(self.session_status(conn).to_string())
            }
            "userDataStream.subscribe" => {
                let account = self.session(conn).ok_or_else(|| {
                    Reject::new(
                        400,
                        -1102,
                        "Session is not authenticated: use session.logon.",
                    )
                })?;
                Ok(self.subscribe_user(conn, account))
            }
            "userDataStream.subscribe.signature" => {
                let account = auth::ws(&self.core, params)?;
                Ok(self.subscribe_user(conn, account))
            }
            "userDataStream.unsubscribe" => {
                let wanted = params
                    .get("subscriptionId")
                    .and_then(|id| id.parse::<u64>().ok());
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.user_streams
                        .retain(|(id, _)| wanted.is_some_and(|want| *id != want));
                }
                Ok("{}".to_owned())
            }
            _ => {
                let text = "Invalid method: the simulator does not know it.";
                Err(Reject::new(400, -1135, text))
            }
        }
    }

    /// One subscription an account and connection; a second one gets the same id.
    fn subscribe_user(&mut self, conn: ConnId, account: AccountId) -> String {
        let next = self.next_subscription;
        let Some(conn) = self.conns.get_mut(&conn) else {
            return "{}".to_owned();
        };
        let known = conn
            .user_streams
            .iter()
            .find(|(_, owner)| *owner == account);
        let id = match known {
            Some((id, _)) => *id,
            None => {
                conn.user_streams.push((next, account));
                self.next_subscription += 1;
                next
            }
        };
        json!({"subscriptionId": id}).to_string()
    }

    fn session_status(&self, conn: ConnId) -> Value {
        let conn = self.conns.get(&conn);
        conn.map_or(Value::Null, |conn| conn.status(self.core.venue_ms()))
    }

    fn envelope(
        &self,
        conn: ConnId,
        id: &Value,
        account: AccountId,
        op: Option<Op>,
        result: Result<String, Reject>,
    ) -> String {
        let orders_of = op.is_some_and(Op::is_order).then_some(account);
        let with_limits = self.conns.get(&conn).is_some_and(Conn::with_limits);
        let limits = with_limits.then_some((&self.limits, self.core.now, orders_of));
        envelope(id, limits, result)
    }
}

/// An answer of the WS-API: with the weight used, and the orders of an account where it was about one.
pub fn envelope(
    id: &Value,
    limits: Option<(&Limits, u64, Option<AccountId>)>,
    result: Result<String, Reject>,
) -> String {
    let limits = limits.map_or(String::new(), |(limits, now, orders_of)| {
        let account = orders_of.filter(|account| *account != 0);
        let mut rows = account.map_or(Vec::new(), |account| limits.order_usage(now, account));
        rows.push(limits.weight_usage(now));
        format!(",\"rateLimits\":{}", Value::Array(rows))
    });
    match result {
        Ok(result) => format!("{{\"id\":{id},\"status\":200,\"result\":{result}{limits}}}"),
        Err(reject) => {
            let (status, error) = (reject.status, reject.json());
            format!("{{\"id\":{id},\"status\":{status},\"error\":{error}{limits}}}")
        }
    }
}

/// Answers a control message of streams.
pub fn control(conn: &mut Conn, message: &Value) -> Value {
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let params = message.get("params").and_then(Value::as_array);
    let names = || {
        params
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    match message.get("method").and_then(Value::as_str) {
        Some("SUBSCRIBE") => {
            let names = names();
            if conn.streams.len() + names.len() > STREAMS_MAX {
                return json!({"code": 2, "msg": "Invalid request: too many streams", "id": id});
            }
            conn.streams.extend(names);
            json!({"result": null, "id": id})
        }
        Some("UNSUBSCRIBE") => {
            for name in names() {
                conn.streams.remove(&name);
            }
            json!({"result": null, "id": id})
        }
        Some("LIST_SUBSCRIPTIONS") => json!({"result": conn.streams, "id": id}),
        Some("SET_PROPERTY") => match params.map(Vec::as_slice) {
            Some([Value::String(name), Value::Bool(is_wrapped)]) if name == "combined" => {
                conn.kind = Kind::Stream {
                    is_wrapped: *is_wrapped,
                };
                json!({"result": null, "id": id})
            }
            _ => json!({"code": 0, "msg": "Unknown property", "id": id}),
        },
        Some("GET_PROPERTY") => json!({"result": conn.is_wrapped(), "id": id}),
        Some(other) => {
            json!({"code": 2, "msg": format!("Invalid request: unknown variant `{other}`")})
        }
        None => json!({"code": 2, "msg": "Invalid request: missing field `method`"}),
    }
}

fn order_method(method: &str) -> Option<Op> {
    Some(match method {
        "order.place" => Op::Place,
        "order.test" => Op::Test,
        "order.cancel" => Op::Cancel,
        "order.cancelReplace" => Op::CancelReplace,
        "order.amend.keepPriority" => Op::Amend,
        "order.status" => Op::Status,
        "openOrders.status" => Op::Open,
        "openOrders.cancelAll" => Op::CancelAll,
        "allOrders" => Op::All,
        "account.status" => Op::Account,
        "myTrades" => Op::Trades,
        "account.rateLimits.orders" => Op::OrderUsage,
        _ => return None,
    })
}

fn public_method(method: &str) -> Option<Ask> {
    Some(match method {
        "ping" => Ask::Ping,
        "time" => Ask::Time,
        "exchangeInfo" => Ask::ExchangeInfo,
        "depth" => Ask::Depth,
        "trades.recent" => Ask::Trades,
        "ticker.book" => Ask::BookTicker,
        "ticker.price" => Ask::Price,
        "ticker.24hr" => Ask::Day,
        "avgPrice" => Ask::Average,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_streams() {
        let conn = Conn::new("/stream", "streams=btcusdt@depth@100ms/btcusdt@trade", 0);
        assert!(conn.is_wrapped() && conn.streams.len() == 2);
        let conn = Conn::new("/ws/btcusdt@trade", "", 0);
        assert!(!conn.is_wrapped() && conn.streams.contains("btcusdt@trade"));
        assert!(Conn::new("/ws-api/v3", "returnRateLimits=false", 0).is_api());
        let text = super::super::streams::wrap("a@trade", "{}");
        assert_eq!(text, "{\"stream\":\"a@trade\",\"data\":{}}");
    }

    #[test]
    fn six_messages_in_a_second_are_too_many() {
        let mut conn = Conn::new("/ws", "", 0);
        assert!((0..5).all(|_| !conn.is_too_fast(1, INBOUND_PER_S)));
        assert!(conn.is_too_fast(2, INBOUND_PER_S));
        assert!(!conn.is_too_fast(1_000_000_000, INBOUND_PER_S));
    }
}
