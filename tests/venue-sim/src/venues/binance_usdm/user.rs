//! The user stream: listen keys, and what is told over the connections they open.

use super::{BinanceUsdm, reply};
use crate::core::{ConnId, Request};
use crate::engine::{AccountId, Order, What};
use crate::fault::Kind;
use crate::record::Payment;
use crate::venues::binance::reply::Reject;
use serde_json::json;
use std::collections::BTreeMap;

/// How long a key lives unless it is kept alive.
const LIFE_NS: u64 = 3_600_000_000_000;

/// The keys in use and the connections they opened.
#[derive(Debug, Default)]
pub struct Keys {
    /// Key → account and end.
    live: BTreeMap<String, (AccountId, u64)>,
    conns: BTreeMap<ConnId, String>,
    count: u64,
}

impl Keys {
    /// An account's key, its life begun anew.
    pub fn give(&mut self, account: AccountId, now: u64) -> String {
        let known = self.live.iter().find(|(_, (owner, _))| *owner == account);
        let key = known.map_or_else(
            || {
                self.count += 1;
                format!("usdm{account:030}{:030}", self.count)
            },
            |(key, _)| key.clone(),
        );
        self.live.insert(key.clone(), (account, now + LIFE_NS));
        key
    }

    fn of(&self, account: AccountId) -> Option<&str> {
        let known = self.live.iter().find(|(_, (owner, _))| *owner == account);
        known.map(|(key, _)| key.as_str())
    }

    /// Takes the keys that have ended.
    pub fn lapsed(&mut self, now: u64) -> Vec<String> {
        let over = self.live.iter().filter(|(_, (_, end))| *end <= now);
        let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
        self.live.retain(|_, (_, end)| *end > now);
        over
    }

    /// The connections a key opened.
    fn conns(&self, key: &str) -> Vec<ConnId> {
        let of_key = self.conns.iter().filter(|(_, known)| *known == key);
        of_key.map(|(conn, _)| *conn).collect()
    }

    /// A connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }
}

impl BinanceUsdm {
    /// `POST`, `PUT` and `DELETE` of `/fapi/v1/listenKey`: with a key's name, not signed. Errors: -2014, -2015, -1125.
    pub(super) fn listen_key(&mut self, request: &Request) -> Result<String, Reject> {
        let api_key = request.header("x-mbx-apikey").unwrap_or("");
        if api_key.is_empty() {
            return Err(Reject::new(401, -2014, "API-key format invalid."));
        }
        let text = "Invalid API-key, IP, or permissions for action.";
        let known = self.core.credential(api_key);
        let account = known.ok_or_else(|| Reject::new(401, -2015, text))?.account;
        let has_key = self.keys.of(account).is_some();
        match request.method.as_str() {
            "POST" => {}
            "PUT" | "DELETE" if !has_key => {
                return Err(Reject::new(400, -1125, "This listenKey does not exist."));
            }
            "PUT" => {}
            "DELETE" => {
                self.keys.live.retain(|_, (owner, _)| *owner != account);
                return Ok("{}".to_owned());
            }
            _ => return Err(Reject::new(404, -5000, "Path not found.")),
        }
        let key = self.keys.give(account, self.core.now);
        Ok(json!({"listenKey": key}).to_string())
    }

    /// A connection was opened with a key; with one that is none it is closed.
    pub(super) fn open_user_stream(&mut self, conn: ConnId, key: &str) {
        if self.keys.live.contains_key(key) {
            self.keys.conns.insert(conn, key.to_owned());
        } else {
            self.drop_conn(conn, Some(1008));
        }
    }

    /// Every key given out so far is worth nothing.
    pub(super) fn expire_keys(&mut self) {
        for key in self.keys.lapsed(u64::MAX) {
            self.tell_expired(&key);
        }
    }

    /// Tells the connections of a key that it has ended: nothing more comes over them.
    pub(super) fn tell_expired(&mut self, key: &str) {
        let event = json!({"e": "listenKeyExpired", "E": self.core.venue_ms(), "listenKey": key});
        for conn in self.keys.conns(key) {
            self.core.send(conn, event.to_string());
            self.keys.forget(conn);
        }
    }

    /// Funding was paid: the stream tells the balance it made, no symbol.
    pub(super) fn tell_funding(&mut self, payment: &Payment) {
        let conns = self
            .keys
            .of(payment.account)
            .map(|key| self.keys.conns(key));
        let event = reply::funding_update(&self.core, payment).to_string();
        for conn in conns.into_iter().flatten() {
            self.private.push((conn, event.clone()));
        }
    }

    /// Queues what an event of an order is told as.
    pub(super) fn tell(&mut self, order: &Order, what: What) {
        let (account, inst) = (order.ask.account, order.ask.inst);
        let Some(key) = self.keys.of(account) else {
            return;
        };
        let conns = self.keys.conns(key);
        if conns.is_empty() {
            return;
        }
        let symbol = &self.symbols[inst];
        let report = reply::report(&self.core, symbol, order, what).to_string();
        let mut events = Vec::new();
        if let What::Fill(fill) = what {
            events.push(reply::lite(&self.core, symbol, order, fill).to_string());
            events.push(reply::account_update(&self.core, symbol, account, inst).to_string());
            if self.core.faults.take(Kind::DuplicateFill).is_some() {
                events.push(report.clone());
            }
        }
        events.push(report);
        for conn in conns {
            let texts = events.iter().map(|text| (conn, text.clone()));
            self.private.extend(texts);
        }
    }
}
