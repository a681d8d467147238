//! Binance USD-M futures: REST, market streams by route, WS-API, the user stream of a listen key.
//!
//! ```text
//!  /fapi/…                 REST          limits ─▶ signature ─▶ operate / answer_public
//!  /ws-fapi/v1             WS-API        the same, plus session.logon; no user data on it
//!  /public, /market        streams       each route carries its own kinds: depth, trade, bookTicker; aggTrade
//!  /private/ws/KEY         user stream   what became of an account's orders, its balances and positions
//! ```
//! Signatures, limits, sessions and stream subscriptions are spot's ([`super::binance`]). Positions and margin are the
//! engine's contracts. Update ids skip, as the venue's do: a diff is to be chained by `pu`.
//!
//! Not here: algo orders, hedge mode, leverage and margin types, liquidation, batches of changes and cancels. There is no announced
//! restart: connections just close.

mod account;
mod info;
mod ops;
mod reply;
mod streams;
#[cfg(test)]
mod tests;
mod user;
mod ws;

use super::binance::auth::{self, Params};
use super::binance::limits::{self, Limits};
use super::binance::reply::Reject;
use super::binance::ws::{Conn, listeners};
use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, ReplyTo, Request, RequestId, Response};
use crate::engine::{AccountId, Event, Fees, FirstIds, Trade};
use crate::fault::{Fault, Kind, Link};
use crate::venues::Face;
use ops::Op;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use streams::Feed;
use user::Keys;
use ws::Door;

/// Public trades kept for REST.
const TRADES_KEPT: usize = 1_000;
/// Weight of an address in a minute.
const WEIGHT: u32 = 2_400;
/// New orders and changes of an account in 10 s.
const ORDERS: u32 = 300;
/// PINGs come every 3 min, and a client has 10 min to answer.
const PING_NS: u64 = 180_000_000_000;
const PONG_NS: u64 = 600_000_000_000;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 8_886_000_000,
    trade: 109_100_000,
    update: 3_000_000,
};

/// The simulated venue.
pub struct BinanceUsdm {
    core: Core,
    symbols: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    doors: BTreeMap<ConnId, Door>,
    keys: Keys,
    feeds: Vec<Feed>,
    prints: Vec<VecDeque<Trade>>,
    limits: Limits,
    weight_max: u32,
    private: Vec<(ConnId, String)>,
    /// When an account's orders of an instrument are cancelled unless it is put off.
    dead_man: BTreeMap<(AccountId, usize), u64>,
    next_auto_id: u64,
    lifetime_ns: u64,
    next_check: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, tick, qty_decimals) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (2, 10, 3),
        (_, 100_000..) => (2, 1, 3),
        (_, 1_000..) => (3, 1, 1),
        _ => (4, 1, 0),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick,
        qty_min: 1,
        is_contract: true,
    }
}

impl BinanceUsdm {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 200,
            taker_ppm: 500,
            decimals: 8,
            in_quote: true,
        };
        let core = config.core("binance-usdm", now, fees, grain, 11, FIRST);
        let engine = &core.engine;
        let symbols: Vec<String> = (0..engine.instruments())
            .map(|inst| format!("{}{}", engine.spec(inst).base, engine.spec(inst).quote))
            .collect();
        let feeds = symbols
            .iter()
            .enumerate()
            .map(|(inst, symbol)| Feed::new(&core, inst, symbol))
            .collect();
        let factor = config.rate_factor.max(1);
        let weight_max = WEIGHT.saturating_mul(factor);
        let long = limits::Long {
            max: limits::MINUTE.max.saturating_mul(factor),
            ..limits::MINUTE
        };
        Self {
            prints: vec![VecDeque::new(); symbols.len()],
            symbols,
            feeds,
            core,
            conns: BTreeMap::new(),
            doors: BTreeMap::new(),
            keys: Keys::default(),
            limits: Limits::with(weight_max, ORDERS.saturating_mul(factor), long),
            weight_max,
            private: Vec::new(),
            dead_man: BTreeMap::new(),
            next_auto_id: 0,
            lifetime_ns: config.lifetime_s.max(1) * 1_000_000_000,
            next_check: now,
        }
    }

    /// Publishes what the engine did; private events are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let conns = &self.conns;
        let who = |name: &str| listeners(conns, name);
        for feed in &mut self.feeds {
            feed.on_events(&mut self.core, &events, &who);
        }
        for event in &events {
            match event {
                Event::Trade(trade) => {
                    let prints = &mut self.prints[trade.inst];
                    prints.push_back(*trade);
                    if prints.len() > TRADES_KEPT {
                        prints.pop_front();
                    }
                }
                Event::Order(order, what) => self.tell(order, *what),
                Event::Level { .. } => {}
            }
        }
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    fn spend(&mut self, weight: u32) -> Result<(), Reject> {
        if let Some(fault) = self.core.faults.take(Kind::RateLimit) {
            let until_ms = (self.core.now + fault.for_ns) / 1_000_000;
            return Err(limits::too_many(until_ms, self.weight_max));
        }
        self.limits.spend(self.core.now, weight)
    }

    fn on_fault(&mut self, fault: &Fault) {
        let now = self.core.now;
        match fault.kind {
            Kind::Disconnect => {
                for conn in self.core.struck(fault) {
                    self.drop_conn(conn, None);
                }
            }
            Kind::Silence => self.core.silence(fault, now + fault.for_ns),
            Kind::Restart => {
                for conn in self.core.fitting(fault.link) {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.close_at(now + fault.for_ns);
                    }
                }
            }
            Kind::Ban => self.limits.banned_until = now + fault.for_ns,
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            Kind::TokenExpiry => self.expire_keys(),
            Kind::Funding => {
                for payment in self.core.fund(fault.ppm) {
                    self.tell_funding(&payment);
                }
                self.send_private();
            }
            _ => {}
        }
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.doors.remove(&conn);
        self.core.close(conn, code);
    }

    /// PINGs, missing PONGs, lifetimes, restarts, listen keys; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + 100_000_000;
        let mut over = Vec::new();
        for (&id, conn) in &mut self.conns {
            if conn.is_over(now, PONG_NS, self.lifetime_ns) {
                over.push(id);
            } else if conn.wants_ping(now, PING_NS) {
                self.core.ping(id);
            }
        }
        for id in over {
            self.drop_conn(id, Some(1008));
        }
        for key in self.keys.lapsed(now) {
            self.tell_expired(&key);
        }
    }

    /// The dead man's switches that were not put off.
    fn run_dead_man(&mut self) {
        let now = self.core.now;
        let due = self.dead_man.iter().filter(|(_, at)| **at <= now);
        let due: Vec<(AccountId, usize)> = due.map(|(whose, _)| *whose).collect();
        for (account, inst) in due {
            self.dead_man.remove(&(account, inst));
            self.cancel_every(account, inst, crate::engine::Cause::DeadMan);
        }
    }

    fn rest(&mut self, request: &Request) -> (Result<String, Reject>, bool, AccountId) {
        let params = Params::of_rest(request);
        if request.path == "/fapi/v1/listenKey" {
            let result = self.spend(1).and_then(|()| self.listen_key(request));
            return (result, false, 0);
        }
        if let Some(ask) = info::route(request) {
            let result = self
                .spend(ask.weight(&params))
                .and_then(|()| self.answer_public(ask, &params));
            return (result, false, 0);
        }
        let Some(op) = ops::route(request) else {
            return (Err(Reject::new(404, -5000, "Path not found.")), false, 0);
        };
        let account = self
            .spend(op.weight(&params))
            .and_then(|()| auth::rest(&self.core, request, &params));
        match account {
            Ok(account) => {
                let result = self.run(account, op, &params);
                let text = result.map(|value| value.to_string());
                (text, op.is_order(), account)
            }
            Err(reject) => {
                self.turned_away(op, &params, &reject);
                (Err(reject), false, 0)
            }
        }
    }

    /// Carries out an operation and records it.
    fn run(&mut self, account: AccountId, op: Op, params: &Params) -> Result<Value, Reject> {
        let client_id = match op {
            Op::Place => params.get("newClientOrderId"),
            _ => None,
        };
        self.core.record.request(op.name(), client_id);
        let now = self.core.now;
        let result = self.operate(account, op, params);
        if let Err(reject) = &result {
            if op == Op::Batch {
                self.turned_away_each(params, reject);
                return result;
            }
            let names = ["newClientOrderId", "origClientOrderId", "orderId"];
            let id = names.iter().find_map(|name| params.get(name)).unwrap_or("");
            let record = &mut self.core.record;
            record.refused(op.name(), id, reject.code, &reject.text, now);
        }
        result
    }

    /// Records a request that was refused before it was carried out: for rate, or its signature or window.
    fn turned_away(&mut self, op: Op, params: &Params, reject: &Reject) {
        let client_id = params.get("newClientOrderId");
        let (record, now) = (&mut self.core.record, self.core.now);
        record.request(op.name(), client_id.filter(|_| op == Op::Place));
        if op == Op::Batch {
            return self.turned_away_each(params, reject);
        }
        let id = client_id.unwrap_or("");
        record.refused(op.name(), id, reject.code, &reject.text, now);
    }

    /// The same of each order that was to be placed with others: none was looked at.
    fn turned_away_each(&mut self, params: &Params, reject: &Reject) {
        for order in ops::orders_of(params) {
            self.turned_away(Op::Place, &order, reject);
        }
    }
}

impl Face for BinanceUsdm {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_dead_man();
        self.send_private();
        let conns = &self.conns;
        let who = |name: &str| listeners(conns, name);
        for feed in &mut self.feeds {
            feed.step(&mut self.core, &who);
        }
        for fault in faults {
            self.on_fault(&fault);
        }
        self.check_conns();
    }

    fn next_deadline(&self) -> u64 {
        let feeds = self.feeds.iter().map(Feed::next_deadline).min();
        let dead_man = self.dead_man.values().min().copied();
        self.core
            .next_deadline()
            .min(feeds.unwrap_or(u64::MAX))
            .min(dead_man.unwrap_or(u64::MAX))
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        let broken = self.core.faults.take(Kind::Http500);
        if let Some(fault) = broken.as_ref().filter(|fault| !fault.is_executed) {
            self.core.reply(request_id, fault.server_error());
            return;
        }
        let (result, is_order, account) = self.rest(request);
        let response = match broken {
            Some(fault) => fault.server_error(),
            None => self.limits.response(self.core.now, result, account),
        };
        let private = std::mem::take(&mut self.private);
        if is_order {
            self.core
                .answer(ReplyTo::Http(request_id), response, private);
        } else {
            self.core.reply(request_id, response);
        }
    }

    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        let reject = self.limits.admit(self.core.now).err()?;
        Some(self.limits.response(self.core.now, Err(reject), 0))
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| ws::door(path).is_some()
    }

    fn open(&mut self, conn: ConnId, path: &str, query: &str) {
        let Some((door, rest)) = ws::door(path) else {
            return;
        };
        let mut state = Conn::new(rest, query, self.core.now);
        state.streams.retain(|name| door.carries(name));
        let link = match door {
            Door::Public | Door::Market => Link::Public,
            Door::Private | Door::Api => Link::Private,
        };
        self.core.opened(conn, link);
        self.conns.insert(conn, state);
        self.doors.insert(conn, door);
        if door == Door::Private {
            self.open_user_stream(conn, rest.trim_start_matches("/ws/"));
        }
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        match self.doors.get(&conn) {
            Some(Door::Api) => self.on_api(conn, text),
            Some(_) => self.on_control(conn, text),
            None => {}
        }
    }

    fn pong(&mut self, conn: ConnId) {
        let now = self.core.now;
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.ponged(now);
        }
    }

    fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.doors.remove(&conn);
        self.keys.forget(conn);
        self.core.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.symbols[inst].clone()
    }

    fn stats(&self) -> Value {
        let trades: u64 = (0..self.symbols.len())
            .map(|inst| self.core.engine.day(inst).count)
            .sum();
        json!({
            "connections": self.conns.len(), "trades": trades,
            "used_weight_1m": self.limits.used_weight(self.core.now),
            "limits": self.limits.stats(),
            "while_banned": self.limits.while_banned,
            "banned_ms": self.limits.banned_until.saturating_sub(self.core.now) / 1_000_000,
        })
    }
}
