//! HTTP: the same methods as over the WebSocket, `GET /api/v2/METHOD?…` or `POST` with a JSON-RPC body.

use super::Deribit;
use super::limits::Pool;
use super::ops::{Caller, field, is_order_method};
use super::reply::{self, Refused};
use crate::core::{ReplyTo, Request, RequestId, Response};
use crate::fault::{Fault, Kind};
use crate::venues::query_pairs;
use serde_json::{Map, Value};

/// Methods that make sense on a connection only.
const NEEDS_CONNECTION: [&str; 5] = [
    "set_heartbeat",
    "disable_heartbeat",
    "subscribe",
    "unsubscribe",
    "unsubscribe_all",
];

/// What a request asks.
struct Asked {
    method: String,
    id: Option<Value>,
    params: Value,
}

/// Reads a request. Errors: -32700, -32600.
fn asked(request: &Request) -> Result<Asked, Refused> {
    let path = request.path.strip_prefix("/api/v2").unwrap_or("");
    let method = path.trim_start_matches('/').to_owned();
    if request.method == "GET" {
        let pairs = query_pairs(&request.query).into_iter();
        let params: Map<String, Value> = pairs
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        return Ok(Asked {
            method,
            id: None,
            params: Value::Object(params),
        });
    }
    let body = serde_json::from_str::<Value>(&request.body);
    let body = body.map_err(|_| Refused::new(-32_700))?;
    let named = body.get("method").and_then(Value::as_str);
    let method = if method.is_empty() {
        named.unwrap_or("").to_owned()
    } else {
        method
    };
    if method.is_empty() || !body.is_object() {
        return Err(Refused::new(-32_600));
    }
    Ok(Asked {
        method,
        id: body.get("id").cloned(),
        params: body.get("params").cloned().unwrap_or(Value::Null),
    })
}

impl Deribit {
    /// Answers a request.
    pub(super) fn on_rest(&mut self, request_id: RequestId, request: &Request) {
        let to = ReplyTo::Http(request_id);
        let asked = asked(request);
        let is_order = matches!(&asked, Ok(asked) if is_order_method(&asked.method));
        if let Some(fault) = self.core.faults.take(Kind::Http500) {
            self.broken(to, request, asked.ok(), &fault);
            return;
        }
        let (id, result) = match asked {
            Ok(asked) => (asked.id.clone(), self.answer_http(request, &asked)),
            Err(refused) => (None, Err(refused)),
        };
        let status = result.as_ref().map_or_else(Refused::status, |_| 200);
        let body = reply::envelope(&self.core, id.as_ref(), &result);
        let response = Response::json(status, body);
        if is_order {
            let private = std::mem::take(&mut self.private);
            self.core.answer(to, response, private);
        } else {
            self.core.answer_now(to, response);
        }
    }

    /// A request that a gateway answers with 5xx; an order is carried out all the same where the fault says.
    fn broken(&mut self, to: ReplyTo, request: &Request, asked: Option<Asked>, fault: &Fault) {
        let order = asked.filter(|asked| fault.is_executed && is_order_method(&asked.method));
        if let Some(asked) = order {
            // Nobody hears how it went.
            let _ = self.answer_http(request, &asked);
        }
        let private = std::mem::take(&mut self.private);
        self.core.answer(to, fault.server_error(), private);
    }

    fn answer_http(&mut self, request: &Request, asked: &Asked) -> Result<Value, Refused> {
        let (method, params) = (asked.method.as_str(), &asked.params);
        let who = self.logins.header(&self.core, request);
        let who = match (who, field(params, "access_token")) {
            (Ok(None), Some(token)) => self.logins.token(&self.core, &token).map(Some),
            (who, _) => who,
        };
        let account = who.as_ref().ok().copied().flatten();
        let is_stopped = self.core.faults.take(Kind::RateLimit).is_some();
        let now = self.core.now;
        if is_stopped || !self.limits.take(now, account, Pool::of(method)) {
            let refused = Refused::new(10_028);
            self.refused(method, params, &refused);
            return Err(refused);
        }
        if let Err(refused) = who {
            let record = &mut self.core.record;
            record.refused("auth", "", refused.code, refused.text, now);
            return Err(refused);
        }
        let name = method.split_once('/').map_or(method, |(_, name)| name);
        if NEEDS_CONNECTION.contains(&name) {
            return Err(Refused::new(10_030)); // the code is [U]
        }
        if method == "public/auth" {
            let granted = self.logins.grant(&self.core, params);
            return granted.map(|(_, answer)| answer).inspect_err(|refused| {
                let record = &mut self.core.record;
                record.refused("login", "", refused.code, refused.text, now);
            });
        }
        let caller = Caller {
            conn: None,
            account,
        };
        self.call(&caller, method, params)
    }
}
