//! WebSocket side: which door a path is, stream control, the WS-API and its session.

use super::BinanceUsdm;
use super::info::Ask;
use super::ops::Op;
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::AccountId;
use crate::venues::binance::auth::{self, Params};
use crate::venues::binance::reply::Reject;
use crate::venues::binance::ws::{Conn, control, envelope};
use serde_json::{Value, json};

/// Messages a client may send on a stream connection within a second.
const INBOUND_PER_S: u32 = 10;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Depth, trades, best quotes.
    Public,
    /// Everything else of the market.
    Market,
    /// A listen key's stream.
    Private,
    /// The WS-API.
    Api,
}

impl Door {
    /// Whether a stream is told here: one of another route is taken and stays silent.
    pub fn carries(self, name: &str) -> bool {
        let kind = name.split('@').nth(1).unwrap_or("");
        let is_book = kind.starts_with("depth") || matches!(kind, "trade" | "bookTicker");
        match self {
            Self::Public => is_book,
            Self::Market => !is_book,
            Self::Private | Self::Api => false,
        }
    }
}

/// The door of a path, and the rest of the path as spot's would be. `None` where there is none.
pub fn door(path: &str) -> Option<(Door, &str)> {
    if path == "/ws-fapi/v1" {
        return Some((Door::Api, "/ws-api/v3"));
    }
    let doors = [
        ("/public", Door::Public),
        ("/market", Door::Market),
        ("/private", Door::Private),
    ];
    let found = doors
        .iter()
        .find_map(|(name, door)| Some((*door, path.strip_prefix(name)?)));
    found.filter(|(_, rest)| matches!(*rest, "/stream" | "/ws") || rest.starts_with("/ws/"))
}

impl BinanceUsdm {
    /// A control message on a stream connection.
    pub(super) fn on_control(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        let (Some(conn), Some(door)) = (self.conns.get_mut(&id), self.doors.get(&id)) else {
            return;
        };
        if conn.is_too_fast(now, INBOUND_PER_S) {
            self.drop_conn(id, Some(1008));
            return;
        }
        let answer = match serde_json::from_str::<Value>(text) {
            Ok(message) => control(conn, &message),
            Err(error) => json!({"code": 3, "msg": format!("Invalid JSON: {error}")}),
        };
        conn.streams.retain(|name| door.carries(name));
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
        let op = op_of(method);
        let (result, account) = match op {
            Some(op) => self.private_call(conn, op, &params),
            None => {
                let result = self.other_call(conn, method, &params);
                (result, self.session(conn).unwrap_or(0))
            }
        };
        let is_order = op.is_some_and(Op::is_order);
        let with_limits = self.conns.get(&conn).is_some_and(Conn::with_limits);
        let orders_of = is_order.then_some(account);
        let limits = with_limits.then_some((&self.limits, self.core.now, orders_of));
        let response = Response::json(200, envelope(&id, limits, result));
        let private = std::mem::take(&mut self.private);
        if is_order {
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
        let ask = match method {
            "depth" => Some(Ask::Depth),
            "ticker.book" => Some(Ask::BookTicker),
            "ticker.price" => Some(Ask::Price),
            _ => None,
        };
        if let Some(ask) = ask {
            self.spend(ask.weight(params))?;
            return self.answer_public(ask, params);
        }
        self.spend(2)?;
        let now_ms = self.core.venue_ms();
        let is_logon = method == "session.logon";
        let account = is_logon
            .then(|| auth::logon(&self.core, params))
            .transpose()?;
        let Some(conn) = self.conns.get_mut(&conn) else {
            return Ok("{}".to_owned());
        };
        match (method, account) {
            ("session.logon", Some(account)) => {
                conn.session = Some((account, now_ms));
                params.need("apiKey")?.clone_into(&mut conn.api_key);
            }
            ("session.status", _) => {}
            ("session.logout", _) => conn.session = None,
            ("userDataStream.start" | "userDataStream.ping", _) => {
                let account = params.need("apiKey").and_then(|key| {
                    let known = self.core.credential(key);
                    let bad = || {
                        Reject::new(
                            401,
                            -2015,
                            "Invalid API-key, IP, or permissions for action.",
                        )
                    };
                    known.map(|key| key.account).ok_or_else(bad)
                })?;
                let key = self.keys.give(account, self.core.now);
                return Ok(json!({"listenKey": key}).to_string());
            }
            _ => {
                let text = "Invalid method: the simulator does not know it.";
                return Err(Reject::new(400, -1135, text));
            }
        }
        Ok(conn.status(now_ms).to_string())
    }
}

fn op_of(method: &str) -> Option<Op> {
    Some(match method {
        "order.place" => Op::Place,
        "order.modify" => Op::Modify,
        "order.cancel" => Op::Cancel,
        "order.status" => Op::Status,
        "account.balance" | "v2/account.balance" => Op::Balance,
        "account.position" | "v2/account.position" => Op::Positions,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_a_door_and_carries_its_own() {
        assert_eq!(door("/ws-fapi/v1"), Some((Door::Api, "/ws-api/v3")));
        assert_eq!(door("/public/stream"), Some((Door::Public, "/stream")));
        assert_eq!(door("/private/ws/abc"), Some((Door::Private, "/ws/abc")));
        for none in [
            "/stream",
            "/ws/btcusdt@trade",
            "/public",
            "/ws-api/v3",
            "/publicity/ws",
        ] {
            assert_eq!(door(none), None, "{none}");
        }
        assert!(Door::Public.carries("btcusdt@depth@100ms"));
        assert!(!Door::Public.carries("btcusdt@aggTrade"));
        assert!(Door::Market.carries("btcusdt@aggTrade"));
    }
}
